//! Refusals as problem documents (RFC 9457): `type` is `about:blank`, so `title` is the status's own phrase; `code` says which
//! kind it is and `field` which field is at fault.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Context, Reply};
use domain::error::{Error, Kind};

/// Seconds to wait where the error does not know.
const RETRY_AFTER_DEFAULT: u64 = 1;

/// A refusal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemOut {
    /// `about:blank`: the title is the status's phrase.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status's phrase.
    title: &'static str,
    /// The status.
    status: u16,
    /// A sentence that says what is wrong and what to do next.
    detail: String,
    /// What went wrong, for programs.
    #[schema(schema_with = super::words::code)]
    code: &'static str,
    /// The field or parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    field: Option<&'static str>,
    /// The numbers that stand in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    numbers: Vec<String>,
    /// Names the request for the operator.
    #[schema(format = "uuid")]
    request_id: String,
}

/// Adding a kind, 2 of 2: its status and its code.
pub(super) fn column(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Kind::Exists => (StatusCode::CONFLICT, "exists"),
        Kind::Stale => (StatusCode::PRECONDITION_FAILED, "stale"),
        Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
        Kind::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Kind::Missing => (StatusCode::UNPROCESSABLE_ENTITY, "missing"),
        Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
        Kind::Running => (StatusCode::CONFLICT, "idempotency_key_running"),
        Kind::KycNotSubmitted => (StatusCode::FORBIDDEN, "kyc_not_submitted"),
        Kind::KycInitiated => (StatusCode::FORBIDDEN, "kyc_initiated"),
        Kind::KycPending => (StatusCode::FORBIDDEN, "kyc_pending"),
        Kind::KycDeclined => (StatusCode::FORBIDDEN, "kyc_declined"),
        Kind::Balance => (StatusCode::PAYMENT_REQUIRED, "insufficient_balance"),
        Kind::Slots => (StatusCode::PAYMENT_REQUIRED, "no_slots_left"),
        Kind::Limit => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
        Kind::CarrierRefused => (StatusCode::UNPROCESSABLE_ENTITY, "carrier_refused"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// Writes a refusal.
pub(super) fn refuse(context: &Context, error: &Error) -> Reply {
    let (status, code) = column(error.kind);
    let request_id = context.request_id.as_hyphenated().to_string();
    let problem = ProblemOut {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        detail: error.public.clone(),
        code,
        field: error.field,
        numbers: error.numbers.iter().map(ToString::to_string).collect(),
        request_id: request_id.clone(),
    };
    let mut reply = Reply::json(status, &problem).with("x-request-id", &request_id);
    reply.content_type = "application/problem+json";
    if status == StatusCode::UNAUTHORIZED {
        reply = reply.with("www-authenticate", "Bearer");
    }
    let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    // A part of a second is a whole one: asking too early would be refused again.
    let known = error.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    match known.or_else(|| waits.then_some(RETRY_AFTER_DEFAULT)) {
        Some(seconds) => reply.with("retry-after", &seconds.to_string()),
        None => reply,
    }
}

/// What became of one row of a bulk request, where it was refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RowError)]
pub(super) struct RowErrorOut {
    /// What went wrong, for programs.
    #[schema(schema_with = super::words::code)]
    code: &'static str,
    /// A sentence that says what is wrong.
    detail: String,
    /// The field at fault.
    #[schema(required = true)]
    field: Option<&'static str>,
}

impl From<Error> for RowErrorOut {
    fn from(error: Error) -> Self {
        Self { code: column(error.kind).1, detail: error.public, field: error.field }
    }
}
