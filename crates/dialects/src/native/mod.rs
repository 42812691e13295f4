//! Trunkline's own API under `/api/v1`: every operation of the domain, in the domain's own words.
//!
//! Not here: rules. Requests are closed objects read field by field; answers are wire structs made by full destructuring, so
//! that a new field of the domain breaks the build until somebody decides about it.

use crate::{Context, Dialect, Endpoint, Reply, Request};
use domain::error::{Error, Result};
use domain::key::Mode;
use domain::{Op, View};
use http::HeaderMap;

mod access;
mod agents;
mod bodies;
mod bulk;
mod calls;
mod csv;
mod endpoints;
mod error;
mod events;
mod explain;
mod numbers;
mod openapi;
mod organizations;
mod originate;
mod page;
mod providers;
mod rates;
mod read;
mod reconcile;
mod reply;
mod ring;
mod rules;
mod stock;
mod table;
mod traces;
mod trunk_status;
mod webhooks;
mod words;

/// The native API.
#[derive(Debug)]
pub struct Native;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        table::ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        (path == "/api" || path.starts_with("/api/")).then_some("/api/".len().min(path.len()))
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        crate::bearer_or_api_key(headers)
    }

    fn key(&self, secret: &str, mode: Mode) -> String {
        match mode {
            Mode::Live => format!("tl_live_{secret}"),
            Mode::Test => format!("tl_test_{secret}"),
        }
    }

    fn body_max(&self, endpoint: &Endpoint) -> usize {
        match endpoint.verb {
            // 100,000 rows with every field spelled out.
            "stock_create" | "number_import" => 32 << 20,
            _ => crate::BODY_MAX,
        }
    }

    fn deviations(&self) -> &'static [&'static str] {
        &["This API is Trunkline's own; its OpenAPI document is the contract."]
    }

    #[expect(clippy::too_many_lines, reason = "a table: one line for each operation")]
    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        page::known_parameters(request)?;
        match request.endpoint.verb {
            "organization_create" => organizations::create(request),
            "organization_list" => organizations::list(request),
            "organization_get" => organizations::get(request),
            "organization_update" => organizations::update(request),
            "key_create" => organizations::key_create(request),
            "key_list" => organizations::key_list(request),
            "key_delete" => organizations::key_delete(request),
            "ledger_post" => organizations::ledger_post(request),
            "ledger_list" => organizations::ledger_list(request),
            "balance_get" => organizations::balance_get(request),
            "agent_create" => agents::create(request),
            "agent_list" => agents::list(request),
            "agent_get" => agents::get(request),
            "agent_update" => agents::update(request),
            "agent_delete" => agents::delete(request),
            "endpoint_create" => endpoints::create(request),
            "endpoint_list" => endpoints::list(request),
            "endpoint_health" => endpoints::health(request),
            "endpoint_get" => endpoints::get(request),
            "endpoint_update" => endpoints::update(request),
            "endpoint_delete" => endpoints::delete(request),
            "provider_create" => providers::create(request),
            "provider_list" => providers::list(request),
            "provider_get" => providers::get(request),
            "provider_status" => providers::status(request),
            "provider_update" => providers::update(request),
            "provider_delete" => providers::delete(request),
            "stock_create" => stock::create(request),
            "stock_list" => stock::list(request),
            "stock_update" => stock::update(request),
            "stock_delete" => stock::delete(request),
            "stock_hold" => stock::hold(request),
            "stock_unhold" => stock::unhold(request),
            "number_create" => numbers::create(request),
            "number_import" => bulk::import(request),
            "number_list" => numbers::list(request),
            "number_get" => numbers::get(request),
            "number_update" => numbers::update(request),
            "number_delete" => numbers::delete(request),
            "number_restore" => numbers::restore(request),
            "number_port_out" => numbers::port_out(request),
            "number_credentials" => numbers::credentials(request),
            "number_explain" => explain::explain(request),
            "number_ring" => ring::ring(request),
            "number_registrations" => access::registrations(request),
            "ban_list" => Ok(access::list(request)),
            "ban_delete" => access::lift(request),
            "call_list" => calls::list(request),
            "call_get" => calls::get(request),
            "call_create" => originate::originate(request),
            "call_hangup" => calls::hang_up(request),
            "webhook_create" => webhooks::create(request),
            "webhook_list" => webhooks::list(request),
            "webhook_get" => webhooks::get(request),
            "webhook_update" => webhooks::update(request),
            "webhook_delete" => webhooks::delete(request),
            "webhook_deliveries" => webhooks::deliveries(request),
            "webhook_retry" => webhooks::again(request),
            "call_trace" => traces::get(request),
            "number_trace" => traces::begin(request),
            "number_trace_state" => traces::window(request),
            "number_trace_end" => traces::end(request),
            "rate_set" => rates::set(request),
            "rate_list" => rates::list(request),
            "rate_remove" => rates::delete(request),
            "carrier_reconcile" => reconcile::reconcile(request),
            "event_list" => events::list(request),
            verb => Err(Error::internal(format!("the native table has no operation {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        reply::encode(request, view)
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::refuse(context, error)
    }

    fn hook_body(&self, happening: &domain::webhook::Happening) -> Option<Vec<u8>> {
        Some(webhooks::body(happening))
    }

    fn openapi(&self) -> serde_json::Value {
        openapi::document()
    }
}
