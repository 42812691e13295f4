//! The native API's operations. What only the operator may do is the rules' to say; the table has the scope.

use http::Method;

use crate::Endpoint;
use domain::key::{Area, Scope};

const fn row(method: Method, path: &'static str, verb: &'static str, scope: Scope) -> Endpoint {
    Endpoint { method, path, verb, scope: Some(scope) }
}

const fn get(path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(Method::GET, path, verb, Scope::read(area))
}

const fn post(path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(Method::POST, path, verb, Scope::write(area))
}

const fn patch(path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(Method::PATCH, path, verb, Scope::write(area))
}

const fn delete(path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(Method::DELETE, path, verb, Scope::write(area))
}

/// Adding an operation, 1 of 3: its row. 2 of 3: `decode` in `mod.rs`. 3 of 3: `operation` in `openapi.rs`.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    post("/api/v1/organizations", "organization_create", Area::Organization),
    get("/api/v1/organizations", "organization_list", Area::Organization),
    get("/api/v1/organizations/{id}", "organization_get", Area::Organization),
    patch("/api/v1/organizations/{id}", "organization_update", Area::Organization),
    post("/api/v1/organizations/{id}/keys", "key_create", Area::Keys),
    get("/api/v1/organizations/{id}/keys", "key_list", Area::Keys),
    delete("/api/v1/organizations/{id}/keys/{key_id}", "key_delete", Area::Keys),
    post("/api/v1/organizations/{id}/ledger", "ledger_post", Area::Billing),
    get("/api/v1/organizations/{id}/ledger", "ledger_list", Area::Billing),
    get("/api/v1/organizations/{id}/balance", "balance_get", Area::Billing),
    post("/api/v1/agents", "agent_create", Area::Agents),
    get("/api/v1/agents", "agent_list", Area::Agents),
    get("/api/v1/agents/{id}", "agent_get", Area::Agents),
    patch("/api/v1/agents/{id}", "agent_update", Area::Agents),
    delete("/api/v1/agents/{id}", "agent_delete", Area::Agents),
    post("/api/v1/endpoints", "endpoint_create", Area::Endpoints),
    get("/api/v1/endpoints", "endpoint_list", Area::Endpoints),
    get("/api/v1/endpoints/{id}", "endpoint_get", Area::Endpoints),
    get("/api/v1/endpoints/{id}/health", "endpoint_health", Area::Endpoints),
    patch("/api/v1/endpoints/{id}", "endpoint_update", Area::Endpoints),
    delete("/api/v1/endpoints/{id}", "endpoint_delete", Area::Endpoints),
    post("/api/v1/providers", "provider_create", Area::Providers),
    get("/api/v1/providers", "provider_list", Area::Providers),
    get("/api/v1/providers/{id}", "provider_get", Area::Providers),
    get("/api/v1/providers/{id}/status", "provider_status", Area::Providers),
    patch("/api/v1/providers/{id}", "provider_update", Area::Providers),
    delete("/api/v1/providers/{id}", "provider_delete", Area::Providers),
    post("/api/v1/stock", "stock_create", Area::Numbers),
    get("/api/v1/stock", "stock_list", Area::Numbers),
    patch("/api/v1/stock/{id}", "stock_update", Area::Numbers),
    delete("/api/v1/stock/{id}", "stock_delete", Area::Numbers),
    post("/api/v1/stock/{id}/hold", "stock_hold", Area::Numbers),
    delete("/api/v1/stock/{id}/hold", "stock_unhold", Area::Numbers),
    post("/api/v1/numbers", "number_create", Area::Numbers),
    get("/api/v1/numbers", "number_list", Area::Numbers),
    post("/api/v1/numbers/import", "number_import", Area::Numbers),
    get("/api/v1/numbers/{number}", "number_get", Area::Numbers),
    patch("/api/v1/numbers/{number}", "number_update", Area::Numbers),
    delete("/api/v1/numbers/{number}", "number_delete", Area::Numbers),
    post("/api/v1/numbers/{number}/restore", "number_restore", Area::Numbers),
    post("/api/v1/numbers/{number}/port-out", "number_port_out", Area::Numbers),
    post("/api/v1/numbers/{number}/sip-credentials", "number_credentials", Area::Numbers),
    get("/api/v1/numbers/{number}/explain", "number_explain", Area::Numbers),
    get("/api/v1/numbers/{number}/registrations", "number_registrations", Area::Numbers),
    post("/api/v1/numbers/{number}/simulate-call", "number_ring", Area::Numbers),
    post("/api/v1/calls", "call_create", Area::Calls),
    get("/api/v1/calls", "call_list", Area::Calls),
    get("/api/v1/calls/{id}", "call_get", Area::Calls),
    post("/api/v1/calls/{id}/hangup", "call_hangup", Area::Calls),
    get("/api/v1/calls/{id}/trace", "call_trace", Area::Calls),
    post("/api/v1/numbers/{number}/trace", "number_trace", Area::Numbers),
    get("/api/v1/numbers/{number}/trace", "number_trace_state", Area::Numbers),
    delete("/api/v1/numbers/{number}/trace", "number_trace_end", Area::Numbers),
    post("/api/v1/rates", "rate_set", Area::Billing),
    get("/api/v1/rates", "rate_list", Area::Billing),
    delete("/api/v1/rates/{id}", "rate_remove", Area::Billing),
    post("/api/v1/webhooks", "webhook_create", Area::Webhooks),
    get("/api/v1/webhooks", "webhook_list", Area::Webhooks),
    get("/api/v1/webhooks/{id}", "webhook_get", Area::Webhooks),
    patch("/api/v1/webhooks/{id}", "webhook_update", Area::Webhooks),
    delete("/api/v1/webhooks/{id}", "webhook_delete", Area::Webhooks),
    get("/api/v1/webhooks/{id}/deliveries", "webhook_deliveries", Area::Webhooks),
    post("/api/v1/webhooks/{id}/deliveries/{event_id}/retry", "webhook_retry", Area::Webhooks),
    get("/api/v1/events", "event_list", Area::Events),
    post("/api/v1/carriers/reconcile", "carrier_reconcile", Area::Numbers),
    get("/api/v1/bans", "ban_list", Area::Events),
    delete("/api/v1/bans/{address}", "ban_delete", Area::Events),
];

/// The query parameters of an operation; all others are refused, since a misspelt filter would show everything.
pub(super) fn parameters(verb: &str) -> &'static [&'static str] {
    match verb {
        "call_trace" => &["format"],
        "rate_list" | "organization_list" | "key_list" | "ledger_list" | "agent_list" | "endpoint_list"
        | "provider_list" | "webhook_list" | "webhook_deliveries" | "event_list" => &["limit", "cursor"],
        "stock_list" => &["limit", "cursor", "q", "country", "type", "available"],
        "number_list" => &[
            "limit",
            "cursor",
            "q",
            "agent_id",
            "endpoint_id",
            "provider_id",
            "status",
            "country",
            "type",
            "environment",
        ],
        "number_import" => &["provider_id", "endpoint_id", "agent_id", "environment", "label"],
        "number_delete" => &["permanent"],
        "number_explain" => &["from", "caller", "media", "to", "at"],
        "call_list" => &["limit", "cursor", "status", "direction", "number"],
        _ => &[],
    }
}
