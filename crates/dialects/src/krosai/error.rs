//! KrosAI's refusals: `{error, code, details?}`. Codes are the contract's where it has one, the vendor's error page's where
//! that has one, else ours in the same style.

use domain::error::{Error, Kind, What};
use http::StatusCode;

use super::wire::{DetailsOut, ErrorOut};
use crate::{Context, Reply, retry_seconds};

/// The field that [`super::organization`] faults.
pub(super) const ORGANIZATION_HEADER: &str = "x-organization-id";

/// The refusal of a request.
pub(super) fn reply(context: &Context, error: &Error) -> Reply {
    let field = error.field.map(field);
    let internal = error.kind == Kind::Internal;
    let request_id = internal.then(|| context.request_id.to_string());
    let details = (field.is_some() || internal).then_some(DetailsOut { field, request_id });
    let (status, code) = status_and_code(context, error);
    let retry_after = (error.kind == Kind::Limit).then(|| retry_seconds(error)).flatten();
    let body = ErrorOut { error: words(error), code, details, retry_after };
    Reply::json(status, &body).with_retry_after(error)
}

/// Tells the limits, where a plan sets some.
pub(super) fn limited(reply: Reply, context: &Context) -> Reply {
    match context.limits {
        None => reply,
        Some(crate::Limits { limit, remaining, reset }) => reply
            .with("x-ratelimit-limit", &limit.to_string())
            .with("x-ratelimit-remaining", &remaining.to_string())
            .with("x-ratelimit-reset", &reset.to_string()),
    }
}

fn status_and_code(context: &Context, error: &Error) -> (StatusCode, &'static str) {
    match error.kind {
        Kind::Unauthenticated if error.field == Some("expires_at") => {
            (StatusCode::UNAUTHORIZED, "KEY_EXPIRED")
        }
        Kind::Unauthenticated if sent_a_key(context) => (StatusCode::UNAUTHORIZED, "INVALID_API_KEY"),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "MISSING_API_KEY"),
        Kind::Forbidden if error.field == Some(ORGANIZATION_HEADER) => {
            (StatusCode::FORBIDDEN, "ORGANIZATION_MISMATCH")
        }
        Kind::Forbidden if error.field == Some("allowed_addresses") => {
            (StatusCode::FORBIDDEN, "IP_NOT_ALLOWED")
        }
        // The number that is to call.
        Kind::Forbidden if error.field == Some("allow_outbound") => {
            (StatusCode::FORBIDDEN, "OUTBOUND_DISABLED")
        }
        Kind::Forbidden if error.what == What::Call => (StatusCode::FORBIDDEN, "DESTINATION_NOT_ALLOWED"),
        Kind::NotFound | Kind::Forbidden if error.what == What::Number && error.field == Some("from") => {
            (StatusCode::FORBIDDEN, "NUMBER_NOT_OWNED")
        }
        // A number that calls, and nobody who answers for it.
        Kind::NotFound if error.what == What::Endpoint && error.field == Some("number_endpoint") => {
            (StatusCode::BAD_REQUEST, "NO_ENDPOINT")
        }
        Kind::Forbidden => (StatusCode::FORBIDDEN, "INSUFFICIENT_SCOPE"),
        // An endpoint that a body names: the purchase's contract has no 404.
        Kind::NotFound if error.what == What::Endpoint && error.field.is_some() => {
            (StatusCode::BAD_REQUEST, "ENDPOINT_NOT_FOUND")
        }
        Kind::NotFound => not_found(error.what),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        // Only a purchase can meet somebody who was faster; the contract has no 409.
        Kind::Exists => (StatusCode::BAD_REQUEST, "NUMBER_NOT_AVAILABLE"),
        Kind::Stale | Kind::Conflict => (StatusCode::BAD_REQUEST, "CONFLICT"),
        Kind::Malformed => (StatusCode::BAD_REQUEST, "INVALID_REQUEST"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE"),
        Kind::Missing => (StatusCode::BAD_REQUEST, "MISSING_FIELDS"),
        Kind::Invalid if error.field == Some("to") => (StatusCode::BAD_REQUEST, "INVALID_PHONE_NUMBERS"),
        Kind::Invalid if error.field == Some("e164") => (StatusCode::BAD_REQUEST, "INVALID_PHONE_NUMBERS"),
        Kind::Invalid => (StatusCode::BAD_REQUEST, "INVALID_PARAMETER"),
        Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED"),
        Kind::Running => (StatusCode::CONFLICT, "REQUEST_IN_PROGRESS"),
        Kind::KycNotSubmitted => (StatusCode::BAD_REQUEST, "KYC_NOT_SUBMITTED"),
        Kind::KycInitiated => (StatusCode::BAD_REQUEST, "KYC_INITIATED"),
        Kind::KycPending => (StatusCode::BAD_REQUEST, "KYC_PENDING"),
        Kind::KycDeclined => (StatusCode::BAD_REQUEST, "KYC_DECLINED"),
        Kind::Balance => (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE"),
        Kind::Slots => (StatusCode::PAYMENT_REQUIRED, "NUMBER_LIMIT_REACHED"),
        Kind::Limit if error.what == What::Call => {
            (StatusCode::TOO_MANY_REQUESTS, "CONCURRENT_LIMIT_EXCEEDED")
        }
        Kind::Limit => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED"),
        Kind::CarrierRefused => (StatusCode::BAD_REQUEST, "CARRIER_REFUSED"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}

fn not_found(what: What) -> (StatusCode, &'static str) {
    match what {
        What::Number => (StatusCode::NOT_FOUND, "NUMBER_NOT_FOUND"),
        // What a purchase names and what is not on sale are one to the buyer.
        What::Stock => (StatusCode::BAD_REQUEST, "NUMBER_NOT_AVAILABLE"),
        What::Call => (StatusCode::NOT_FOUND, "CALL_NOT_FOUND"),
        What::Endpoint => (StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND"),
        What::Webhook => (StatusCode::NOT_FOUND, "WEBHOOK_NOT_FOUND"),
        What::Delivery => (StatusCode::NOT_FOUND, "DELIVERY_NOT_FOUND"),
        What::Organization
        | What::Key
        | What::Agent
        | What::Provider
        | What::Ledger
        | What::Intent
        | What::Rate
        | What::Trace
        | What::Route
        | What::Request => (StatusCode::NOT_FOUND, "NOT_FOUND"),
    }
}

fn sent_a_key(context: &Context) -> bool {
    context.headers.contains_key("authorization") || context.headers.contains_key("x-api-key")
}

/// The vendor's name of a field.
fn field(name: &'static str) -> &'static str {
    match name {
        "stock_id" => "inventory_id",
        "from" => "from_number",
        "to" => "to_number",
        "max_seconds" => "max_duration",
        "kind" => "type",
        "config" => "provider_config",
        "targets" => "url",
        "allowed_addresses" => "allowed_ips",
        "number_id" => "phone_number_id",
        "endpoint_id" => "endpointId",
        "allow_inbound" => "allowInbound",
        "allow_outbound" => "allowOutbound",
        "total_cost_cents" | "total_cents" => "totalCostCents",
        "setup_cost_cents" | "setup_cents" => "setupCostCents",
        "monthly_cost_cents" | "monthly_cents" => "monthlyCostCents",
        other => other,
    }
}

/// The sentence with the field at fault as the vendor names it.
fn words(error: &Error) -> String {
    match error.field {
        Some(name) => error.public.replace(&format!("`{name}`"), &format!("`{}`", field(name))),
        None => error.public.clone(),
    }
}
