//! The native column of the table of errors.

use std::time::Duration;

use dialects::native::Native;
use dialects::{Context, Dialect as _};
use domain::error::{Error, Kind, What};
use http::HeaderMap;
use uuid::Uuid;

use crate::support::answer;

fn context() -> Context {
    Context { request_id: Uuid::nil(), headers: HeaderMap::new(), limits: None }
}

#[test]
fn every_kind_has_its_status_and_code() {
    let row = |kind: Kind| {
        let reply = Native.refuse(&context(), &Error::new(kind, What::Number, "Words."));
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.content_type, "application/problem+json");
        assert_eq!(problem["status"], reply.status.as_u16());
        let retry = reply.headers.iter().find(|(name, _)| name == "retry-after");
        let retry =
            retry.map(|(_, value)| format!(" retry-after {}", value.to_str().unwrap())).unwrap_or_default();
        format!("{kind:?}: {} {}{retry}", reply.status.as_u16(), problem["code"].as_str().unwrap())
    };
    insta::assert_snapshot!(Kind::ALL.map(row).join("\n"), @r"
    Unauthenticated: 401 unauthenticated
    Forbidden: 403 forbidden
    NotFound: 404 not_found
    MethodNotAllowed: 405 method_not_allowed
    Exists: 409 exists
    Stale: 412 stale
    Conflict: 409 conflict
    Malformed: 400 malformed
    TooLarge: 413 too_large
    Missing: 422 missing
    Invalid: 422 invalid
    KeyReused: 422 idempotency_key_reused
    Running: 409 idempotency_key_running
    KycNotSubmitted: 403 kyc_not_submitted
    KycInitiated: 403 kyc_initiated
    KycPending: 403 kyc_pending
    KycDeclined: 403 kyc_declined
    Balance: 402 insufficient_balance
    Slots: 402 no_slots_left
    Limit: 429 rate_limited retry-after 1
    CarrierRefused: 422 carrier_refused
    Unavailable: 503 unavailable retry-after 1
    Internal: 500 internal
    ");
}

#[test]
fn a_refusal_is_a_problem_document() {
    let error =
        Error::new(Kind::Limit, What::Number, "Too many.").at("q").after(Duration::from_millis(1_500));
    insta::assert_snapshot!(answer(&Native.refuse(&context(), &error.because("a secret of ours"))), @r#"
    429
    x-request-id: 00000000-0000-0000-0000-000000000000
    retry-after: 2
    application/problem+json: {
      "code": "rate_limited",
      "detail": "Too many.",
      "field": "q",
      "request_id": "00000000-0000-0000-0000-000000000000",
      "status": 429,
      "title": "Too Many Requests",
      "type": "about:blank"
    }
    "#);
    let error = Error::new(Kind::Unauthenticated, What::Key, "No key.");
    insta::assert_snapshot!(answer(&Native.refuse(&context(), &error)), @r#"
    401
    x-request-id: 00000000-0000-0000-0000-000000000000
    www-authenticate: Bearer
    application/problem+json: {
      "code": "unauthenticated",
      "detail": "No key.",
      "request_id": "00000000-0000-0000-0000-000000000000",
      "status": 401,
      "title": "Unauthorized",
      "type": "about:blank"
    }
    "#);
}
