//! PolyAI's refusals: six keys, and codes of the vendor's error page where it has one, else ours in the same style.

use std::borrow::Cow;

use domain::error::{Error, Kind, What};
use http::StatusCode;

use super::wire::ErrorOut;
use crate::{Context, Reply};

/// The header by which client and server name one exchange.
pub(super) const CORRELATION_HEADER: &str = "x-polyai-correlation-id";
/// The longest id of the client's that is echoed.
const CORRELATION_MAX: usize = 128;

/// The id of an exchange: the client's, if it is short and visible ASCII, else the request's.
pub(super) fn correlation_id(context: &Context) -> String {
    let fits = |text: &&str| {
        (1..=CORRELATION_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let sent = context.headers.get(CORRELATION_HEADER).and_then(|value| value.to_str().ok());
    sent.filter(fits).map_or_else(|| context.request_id.to_string(), str::to_owned)
}

/// The refusal of a request.
pub(super) fn reply(context: &Context, error: &Error) -> Reply {
    let (status, error_code) = status_and_code(context, error);
    let error_id = correlation_id(context);
    let body = ErrorOut {
        success: false,
        error: words(error).into_owned(),
        error_id: error_id.clone(),
        error_code,
        error_message: words(error).into_owned(),
        data: None,
    };
    Reply::json(status, &body).with_retry_after(error).with(CORRELATION_HEADER, &error_id)
}

fn status_and_code(context: &Context, error: &Error) -> (StatusCode, &'static str) {
    match error.kind {
        Kind::Unauthenticated if context.headers.contains_key("x-api-key") => {
            (StatusCode::UNAUTHORIZED, "AUTH_USER_INVALID_TOKEN")
        }
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "AUTH_USER_UNAUTHORISED"),
        // Outbound is not set up: the agent's number, or its trunk.
        Kind::Forbidden | Kind::Conflict
            if matches!(error.field, Some("allow_outbound" | "from" | "endpoint_id"))
                && matches!(error.what, What::Number | What::Endpoint) =>
        {
            (StatusCode::BAD_REQUEST, "OUTBOUND_NOT_CONFIGURED")
        }
        Kind::Unavailable if error.what == What::Call => (StatusCode::BAD_GATEWAY, "BAD_GATEWAY"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "USER_ACCESS_FORBIDDEN"),
        Kind::NotFound => (StatusCode::NOT_FOUND, not_found(error)),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        Kind::Exists => (StatusCode::CONFLICT, exists(error.what)),
        Kind::Stale | Kind::Conflict => (StatusCode::CONFLICT, "CONFLICT"),
        Kind::Malformed | Kind::Missing => (StatusCode::BAD_REQUEST, "SCHEMA_VALIDATION_FAILED"),
        Kind::Invalid => (StatusCode::BAD_REQUEST, invalid(error)),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE"),
        Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED"),
        Kind::Running => (StatusCode::CONFLICT, "REQUEST_IN_PROGRESS"),
        // What the account may not do, whatever the key.
        Kind::KycNotSubmitted
        | Kind::KycInitiated
        | Kind::KycPending
        | Kind::KycDeclined
        | Kind::Balance
        | Kind::Slots => (StatusCode::FORBIDDEN, "ACCOUNT_INSUFFICIENT_PERMISSIONS"),
        Kind::Limit => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED"),
        Kind::CarrierRefused => (StatusCode::BAD_REQUEST, "CARRIER_REFUSED"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR"),
    }
}

/// The sentence of a refusal, in this vendor's nouns where ours differ.
pub(super) fn words(error: &Error) -> Cow<'_, str> {
    match (error.what, error.field) {
        (What::Endpoint, _) if error.kind == Kind::NotFound => "There is no such connector.".into(),
        (What::Organization, _) if error.kind == Kind::NotFound => "There is no such account.".into(),
        (What::Number, Some("environment")) if error.kind == Kind::Invalid => {
            "`clientEnv` is decided by the connector; leave it out or name the connector's.".into()
        }
        _ => error.public.as_str().into(),
    }
}

fn not_found(error: &Error) -> &'static str {
    match error.what {
        // The connector that a number was to go to, not one that was asked for.
        What::Endpoint if error.field == Some("endpoint_id") => "PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST",
        What::Number | What::Stock => "PHONE_NUMBERS_NOT_FOUND",
        What::Endpoint => "CONNECTORS_NOT_FOUND",
        What::Agent => "PROJECT_NOT_FOUND",
        What::Organization => "ACCOUNT_NOT_FOUND",
        What::Key
        | What::Provider
        | What::Call
        | What::Ledger
        | What::Intent
        | What::Rate
        | What::Trace
        | What::Webhook
        | What::Delivery
        | What::Route
        | What::Request => "NOT_FOUND",
    }
}

fn exists(what: What) -> &'static str {
    match what {
        What::Number | What::Stock => "PHONE_NUMBERS_ALREADY_EXISTS",
        What::Agent => "PROJECT_ID_ALREADY_EXISTS",
        What::Organization
        | What::Key
        | What::Endpoint
        | What::Provider
        | What::Call
        | What::Ledger
        | What::Intent
        | What::Rate
        | What::Trace
        | What::Webhook
        | What::Delivery
        | What::Route
        | What::Request => "CONFLICT",
    }
}

fn invalid(error: &Error) -> &'static str {
    match (error.what, error.field) {
        (What::Number, Some("e164")) => "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT",
        (What::Endpoint, _) => "CONNECTORS_VALIDATION_FAILED",
        (What::Agent, Some("agentId" | "newAgentId")) => "PROJECT_ID_INVALID",
        _ => "SCHEMA_VALIDATION_FAILED",
    }
}
