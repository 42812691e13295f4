//! Neo's refusals: `{error {code, message, details?}, meta {request_id}}`. The vendor shows one code, `FORBIDDEN`; the
//! others are ours in its style. What cannot be read is 400, a value that is not allowed 422.

use domain::error::{Error, Kind};
use http::StatusCode;

use super::wire::{DetailsOut, ErrorEnvelopeOut, ErrorMetaOut, ErrorOut};
use crate::{Context, Reply};

/// The refusal of a request.
pub(super) fn reply(context: &Context, error: &Error) -> Reply {
    let (status, code) = status_and_code(error.kind);
    let details = error.field.map(|field| DetailsOut { field });
    let body = ErrorEnvelopeOut {
        error: ErrorOut { code, message: error.public.clone(), details },
        meta: ErrorMetaOut { request_id: context.request_id.to_string() },
    };
    limited(Reply::json(status, &body).with_retry_after(error), context)
}

/// Tells the limits, as every answer here does.
pub(super) fn limited(reply: Reply, context: &Context) -> Reply {
    match context.limits {
        None => reply,
        Some(crate::Limits { limit, remaining, reset }) => reply
            .with("x-ratelimit-limit", &limit.to_string())
            .with("x-ratelimit-remaining", &remaining.to_string())
            .with("x-ratelimit-reset", &reset.to_string()),
    }
}

fn status_and_code(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN"),
        Kind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        Kind::Exists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
        Kind::Stale | Kind::Conflict => (StatusCode::CONFLICT, "CONFLICT"),
        Kind::Malformed => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "REQUEST_TOO_LARGE"),
        Kind::Missing | Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
        Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED"),
        Kind::Running => (StatusCode::CONFLICT, "REQUEST_IN_PROGRESS"),
        Kind::KycNotSubmitted | Kind::KycInitiated | Kind::KycPending | Kind::KycDeclined => {
            (StatusCode::FORBIDDEN, "IDENTITY_NOT_VERIFIED")
        }
        Kind::Balance => (StatusCode::CONFLICT, "INSUFFICIENT_BALANCE"),
        Kind::Slots => (StatusCode::CONFLICT, "NUMBER_LIMIT_REACHED"),
        Kind::Limit => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
        Kind::CarrierRefused => (StatusCode::UNPROCESSABLE_ENTITY, "CARRIER_REFUSED"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}
