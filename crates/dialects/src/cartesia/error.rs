//! Cartesia's refusals: `{error_code, title, message, request_id}`. `error_code` is null but for the codes that the vendor
//! publishes; clients go by the status.

use domain::error::{Error, Kind, What};
use http::StatusCode;

use super::wire::ErrorOut;
use crate::{Context, Reply};

/// The header that names the version of the API; also the field of an error about it.
pub(super) const VERSION_HEADER: &str = "cartesia-version";

/// The refusal of a request.
pub(super) fn reply(context: &Context, error: &Error) -> Reply {
    let (status, title) = status_and_title(error);
    let error_code = (error.kind == Kind::Slots).then_some("quota_exceeded");
    let request_id = context.request_id.to_string();
    let unreachable_numbers = error.numbers.iter().map(ToString::to_string).collect();
    let body = ErrorOut { error_code, title, message: error.public.clone(), request_id, unreachable_numbers };
    let reply = Reply::json(status, &body).with_retry_after(error);
    match error.kind {
        _ if status != StatusCode::CONFLICT => reply,
        // The vendor's SDKs send a 409 three times unless told not to. Only a request that still runs is worth another try.
        Kind::Exists | Kind::Stale | Kind::Conflict => reply.with("x-should-retry", "false"),
        Kind::Unauthenticated
        | Kind::Forbidden
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::Malformed
        | Kind::TooLarge
        | Kind::Missing
        | Kind::Invalid
        | Kind::KeyReused
        | Kind::Running
        | Kind::KycNotSubmitted
        | Kind::KycInitiated
        | Kind::KycPending
        | Kind::KycDeclined
        | Kind::Balance
        | Kind::Slots
        | Kind::Limit
        | Kind::CarrierRefused
        | Kind::Unavailable
        | Kind::Internal => reply,
    }
}

fn status_and_title(error: &Error) -> (StatusCode, &'static str) {
    match error.kind {
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        // A number that may not call out.
        Kind::Forbidden if error.field == Some("allow_outbound") => (StatusCode::BAD_REQUEST, "Bad request"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
        Kind::NotFound if error.field == Some(VERSION_HEADER) => {
            (StatusCode::NOT_FOUND, "API version not found")
        }
        Kind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        Kind::Exists => (StatusCode::CONFLICT, "Already exists"),
        // What a thing's state does not allow is 400 where the vendor says so: a number that has an agent, a call that has not
        // ended, addresses that are an endpoint's.
        Kind::Conflict
            if error.what == What::Call
                || matches!(error.field, Some("agent_id" | "inbound" | "from" | "endpoint_id")) =>
        {
            (StatusCode::BAD_REQUEST, "Bad request")
        }
        Kind::Stale | Kind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        // Validation is 400 here: the API has no 422.
        Kind::Malformed | Kind::Missing | Kind::Invalid | Kind::KeyReused => {
            (StatusCode::BAD_REQUEST, "Bad request")
        }
        Kind::Running => (StatusCode::CONFLICT, "Request in progress"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request too large"),
        Kind::KycNotSubmitted | Kind::KycInitiated | Kind::KycPending | Kind::KycDeclined => {
            (StatusCode::FORBIDDEN, "Identity verification required")
        }
        Kind::Balance => (StatusCode::PAYMENT_REQUIRED, "Insufficient balance"),
        Kind::Slots => (StatusCode::PAYMENT_REQUIRED, "Quota exceeded"),
        Kind::Limit => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Kind::CarrierRefused => (StatusCode::BAD_REQUEST, "Refused by the carrier"),
        // A call that cannot be ended now.
        Kind::Unavailable if error.what == What::Call => (StatusCode::BAD_GATEWAY, "Bad gateway"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
    }
}
