//! Views to answers: one resource with its entity tag, a list, or nothing.

use std::fmt::Display;

use http::StatusCode;
use serde::Serialize;

use super::page::ListOut;
use super::{
    access, agents, bulk, calls, endpoints, error, events, explain, numbers, organizations, providers, rates,
    reconcile, ring, stock, traces, trunk_status, webhooks,
};
use crate::{Reply, Request};
use domain::{Call, Error, View};

/// Writes an answer.
pub(super) fn encode(request: &Request<'_>, view: View) -> Reply {
    body(request, view).with("x-request-id", &request.context.request_id.as_hyphenated().to_string())
}

#[expect(clippy::too_many_lines, reason = "a table: each view, and how it is written")]
fn body(request: &Request<'_>, view: View) -> Reply {
    let now = request.now;
    match view {
        View::Organization(o) => {
            one(request, ("organizations", &o.id), o.version, &organizations::OrganizationOut::from(&o))
        }
        View::Organizations(page) => {
            list(&ListOut::of(page, |o| o.id.to_string(), |o| organizations::OrganizationOut::from(&o)))
        }
        View::KeyCreated(key, secret) => {
            let location = format!("/api/v1/organizations/{}/keys/{}", key.organization_id, key.id);
            Reply::json(StatusCode::CREATED, &organizations::KeyCreatedOut::new(key, secret))
                .with("location", &location)
                .with("cache-control", "no-store")
        }
        View::Keys(page) => list(&ListOut::of(page, |k| k.id.to_string(), organizations::KeyOut::from)),
        View::Entry(entry) => Reply::json(StatusCode::CREATED, &organizations::EntryOut::from(entry)),
        View::Ledger(page) => list(&ListOut::of(page, |e| e.id.to_string(), organizations::EntryOut::from)),
        View::Balance(amount) => Reply::json(StatusCode::OK, &organizations::BalanceOut::from(amount)),
        View::Rate(rate) => rates::reply(rate),
        View::Rates(page) => list(&rates::page_out(page)),
        View::Reconciled(report) => Reply::json(StatusCode::OK, &reconcile::ReconciledOut::from(*report)),
        View::TraceWindow(window) => Reply::json(StatusCode::OK, &traces::WindowOut::new(window, now)),
        View::Trace(id, trace, format) => traces::reply(id, &trace, format),
        View::Agent(a) => one(request, ("agents", &a.id), a.version, &agents::AgentOut::from(&a)),
        View::Agents(page) => list(&ListOut::of(page, |a| a.id.to_string(), |a| agents::AgentOut::from(&a))),
        View::Endpoint(e) => one(request, ("endpoints", &e.id), e.version, &endpoints::EndpointOut::from(&e)),
        View::EndpointHealth(endpoint, health) => {
            Reply::json(StatusCode::OK, &endpoints::HealthOut::new(&endpoint, health))
        }
        View::Endpoints(page) => {
            list(&ListOut::of(page, |e| e.id.to_string(), |e| endpoints::EndpointOut::from(&e)))
        }
        View::Provider(p) => one(request, ("providers", &p.id), p.version, &providers::ProviderOut::from(&p)),
        View::Providers(page) => {
            list(&ListOut::of(page, |p| p.id.to_string(), |p| providers::ProviderOut::from(&p)))
        }
        View::TrunkStatus(status) => {
            Reply::json(StatusCode::OK, &trunk_status::TrunkStatusOut::from(*status))
        }
        View::Stock(s) => {
            one(request, ("stock", &s.id), s.version, &stock::StockOut::new(&s, request.caller, now))
        }
        View::Stocks(page) => {
            list(&ListOut::of(page, |s| s.id.to_string(), |s| stock::StockOut::new(&s, request.caller, now)))
        }
        View::StockAdded(rows) => Reply::json(StatusCode::OK, &bulk::BulkOut::from(rows)),
        View::Number(view) if request.endpoint.verb == "number_credentials" => {
            etag(Reply::json(StatusCode::OK, &numbers::CredentialsOut::from(view.sip)), view.number.version)
                .with("cache-control", "no-store")
        }
        View::Number(view) => {
            let number = &view.number;
            one(request, ("numbers", &number.id), number.version, &numbers::NumberOut::from(view.as_ref()))
        }
        View::Numbers(page) => {
            list(&ListOut::of(page, |n| n.number.id.to_string(), |n| numbers::NumberOut::from(&n)))
        }
        View::Imported(rows) => Reply::json(StatusCode::OK, &bulk::BulkOut::from(rows)),
        View::Registrations(all) => list(&access::whole::<_, access::RegistrationOut>(all)),
        View::Bans(all) => list(&access::whole::<_, access::BanOut>(all)),
        View::Explanation(told) => Reply::json(StatusCode::OK, &explain::ExplanationOut::from(told)),
        View::Rung(rung) => Reply::json(StatusCode::OK, &ring::RungOut::from(*rung)),
        View::Call(call) => Reply::json(StatusCode::OK, &calls::CallOut::whole(*call)),
        View::Originated(rows) => begun(request, rows),
        View::Calls(page) => list(&ListOut::of(page, |c| c.id.to_string(), calls::CallOut::from)),
        View::Events(page) => list(&ListOut::of(page, |e| e.id.to_string(), events::EventOut::from)),
        View::Webhook(w, secret) => webhooks::reply(request, &w, secret),
        View::Webhooks(page) => list(&webhooks::page_out(page)),
        View::Deliveries(page) => list(&webhooks::deliveries_out(page)),
        View::Delivery(delivery) => webhooks::accepted(&delivery),
        View::CallStats(_)
        | View::CallTrends(_)
        | View::CallPage(..)
        | View::KeyUsed(..)
        | View::KeysUsed(_)
        | View::EndpointRows(_)
        | View::EndpointGone(..)
        | View::AgentProfile(_)
        | View::AgentProfiles(_)
        | View::AgentCall(_)
        | View::AgentCalls(_) => error::refuse(request.context, &Error::internal("a vendor's view")),
        View::Done => Reply::empty(StatusCode::NO_CONTENT),
    }
}

fn list<T: Serialize>(page: &ListOut<T>) -> Reply {
    Reply::json(StatusCode::OK, page)
}

fn etag(reply: Reply, version: u64) -> Reply {
    reply.with("etag", &format!("\"{version}\""))
}

pub(super) fn one(
    request: &Request<'_>,
    (collection, id): (&str, &dyn Display),
    version: u64,
    out: &impl Serialize,
) -> Reply {
    if request.endpoint.verb.ends_with("_create") {
        etag(Reply::json(StatusCode::CREATED, out), version)
            .with("location", &format!("/api/v1/{collection}/{id}"))
    } else {
        etag(Reply::json(StatusCode::OK, out), version)
    }
}

/// A call that was begun here: there is one.
fn begun(request: &Request<'_>, rows: Vec<(String, Result<Box<Call>, Error>)>) -> Reply {
    match rows.into_iter().next() {
        Some((_, Ok(call))) => {
            let location = format!("/api/v1/calls/{}", call.id);
            Reply::json(StatusCode::CREATED, &calls::CallOut::whole(*call)).with("location", &location)
        }
        Some((_, Err(error))) => error::refuse(request.context, &error),
        None => error::refuse(request.context, &Error::internal("a call that was begun is not shown")),
    }
}

/// A time on the wire: RFC 3339 in UTC, always with six decimals, so that times sort as text.
pub(super) fn time(at: domain::Timestamp) -> String {
    format!("{at:.6}")
}

/// The same where it may be absent.
pub(super) fn time_or_null(at: Option<domain::Timestamp>) -> Option<String> {
    at.map(time)
}

/// An id where it may be absent.
pub(super) fn id_or_null<T: Display>(id: Option<T>) -> Option<String> {
    id.map(|id| id.to_string())
}
