//! Outbound calls of an agent: begun from one of its numbers in an environment, and what became of them.

use domain::agent_op::AgentOp;
use domain::call::{CallStatus, Side};
use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::CallId;
use domain::number::Environment;
use domain::originate::{CallTo, CallingNumber, Originate};
use domain::{Bag, Call, Op};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::read::agent;
use crate::Request;
use crate::json::{self, object, text};
use crate::openapi::one_of_words;

/// Before the id of a call, as the vendor has it.
const PREFIX: &str = "OUT-";
const ENVIRONMENT_MUST: &str = "sandbox, pre-release or live";

/// Texts by name.
fn texts(value: Value) -> Option<Bag> {
    object(value).filter(|bag| bag.values().all(Value::is_string))
}

pub(super) fn originate(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Call)?;
    let number = body.required("toNumber", "a phone number", text)?;
    let word = |value: Value| Environment::parse(value.as_str()?);
    let environment = body.required("environment", ENVIRONMENT_MUST, word)?;
    let code = |value: Value| Country::parse(value.as_str()?);
    let country = body.optional("countryCode", "an ISO 3166-1 alpha-2 code", code)?;
    let metadata = body.optional("metadata", "an object of texts", texts)?.unwrap_or_default();
    for name in ["variantId", "encryption"] {
        body.optional(name, "a text", text)?;
    }
    let asked = Originate {
        from: CallingNumber::OfAgent(environment),
        agent_id: Some(agent.clone()),
        endpoint_id: None,
        calls: vec![CallTo { number, country, metadata }],
        each: false,
        ring_seconds: None,
        max_seconds: None,
    };
    Ok(Op::OfAgent(agent, AgentOp::CallOriginate(Box::new(asked))))
}

pub(super) fn status(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let environment =
        request.query("environment").ok_or_else(|| Error::missing(What::Request, "environment"))?;
    let environment = Environment::parse(environment).ok_or_else(|| {
        let words = format!("`environment` must be {ENVIRONMENT_MUST}.");
        Error::invalid(What::Request, "environment", words)
    })?;
    let sid = request.param("callSid");
    let id = sid.strip_prefix(PREFIX).and_then(CallId::parse);
    let id = id.ok_or_else(|| Error::not_found(What::Call))?;
    Ok(Op::OfAgent(agent, AgentOp::CallOriginated(id, environment)))
}

/// A call to be begun.
#[derive(ToSchema)]
#[schema(as = InitiateOutboundCallBody, rename_all = "camelCase")]
#[expect(dead_code, reason = "only described")]
pub(super) struct OriginateIn {
    /// E.164, or as is usual in `countryCode`.
    to_number: String,
    #[schema(schema_with = environments)]
    environment: String,
    country_code: Option<String>,
    /// Has no effect.
    variant_id: Option<String>,
    /// Has no effect.
    encryption: Option<String>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<Bag>,
}

fn environments() -> Object {
    one_of_words(&["sandbox", "pre-release", "live"], false)
}

fn states() -> Object {
    one_of_words(&["QUEUED", "CALLING", "SUCCESS", "FAILURE"], false)
}

/// A call that was begun.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundCallResponse)]
#[serde(rename_all = "camelCase")]
pub(super) struct TriggeredOut {
    call_sid: String,
    status: &'static str,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundCallStatusResponse)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusOut {
    call_sid: String,
    #[schema(schema_with = states)]
    status: &'static str,
    /// Empty unless it failed.
    reason: String,
}

impl From<&Call> for TriggeredOut {
    fn from(call: &Call) -> Self {
        Self { call_sid: format!("{PREFIX}{}", call.id), status: "QUEUED" }
    }
}

impl From<&Call> for StatusOut {
    fn from(call: &Call) -> Self {
        let called = call.legs.iter().any(|leg| leg.side == Side::Callee);
        let status = match call.status {
            CallStatus::Ringing if called => "CALLING",
            CallStatus::Ringing => "QUEUED",
            CallStatus::Answered | CallStatus::Completed => "SUCCESS",
            CallStatus::Busy
            | CallStatus::NoAnswer
            | CallStatus::Failed
            | CallStatus::Refused
            | CallStatus::Cancelled => "FAILURE",
        };
        let reason = call.reason.clone().filter(|_| status == "FAILURE").unwrap_or_default();
        Self { call_sid: format!("{PREFIX}{}", call.id), status, reason }
    }
}
