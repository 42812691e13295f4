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
        let retry = retry.map(|(_, value)| format!(" retry-after {}", value.to_str().unwrap())).unwrap_or_default();
        format!("{kind:?}: {} {}{retry}", reply.status.as_u16(), problem["code"].as_str().unwrap())
    };
    insta::assert_snapshot!(Kind::ALL.map(row).join("\n"), @"");
}

#[test]
fn a_refusal_is_a_problem_document() {
    let error = Error::new(Kind::Limit, What::Number, "Too many.").at("q").after(Duration::from_millis(1_500));
    insta::assert_snapshot!(answer(&Native.refuse(&context(), &error.because("a secret of ours"))), @"");
    let error = Error::new(Kind::Unauthenticated, What::Key, "No key.");
    insta::assert_snapshot!(answer(&Native.refuse(&context(), &error)), @"");
}
