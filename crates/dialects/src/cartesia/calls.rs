//! Calls of agents. Who had the number when the call came is the agent; a call that no agent had is not shown.

use domain::call::{AgentCallQuery, CallStatus, Direction, EndedBy};
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, CallId};
use domain::number::NumberRef;
use domain::originate::{CALLS_MAX, CallTo, CallingNumber, DURATION_MAX, Originate, RING};
use domain::provider::ProviderKind;
use domain::view::AgentCall;
use domain::{Bag, Call, Op, Page, Paged, Start, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::read::{filled, page};
use super::wire;
use crate::Request;
use crate::json::{self, object, text, time, whole};
use crate::openapi::one_of_words;

fn id(request: &Request<'_>) -> Result<CallId> {
    CallId::parse(request.param("call_id")).ok_or_else(|| Error::not_found(What::Call))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    if filled(request, "batch_id").is_some() {
        let words = "`batch_id`: batches of calls are not served yet; name an `agent_id`.";
        return Err(Error::invalid(What::Request, "batch_id", words));
    }
    let agent = filled(request, "agent_id").ok_or_else(|| Error::missing(What::Request, "agent_id"))?;
    let page = page(request, "a call", CallId::parse)?;
    let (from, to) = (moment(request, "start_time_gte")?, moment(request, "start_time_lte")?);
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        let words = "`start_time_gte` must not be later than `start_time_lte`.";
        return Err(Error::invalid(What::Request, "start_time_gte", words));
    }
    let agent_id = AgentId::parse(agent).ok_or_else(|| Error::not_found(What::Agent))?;
    Ok(Op::AgentCallList(AgentCallQuery { agent_id, from, to, mode: None }, page))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentCallGet(id(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentCallRedact(id(request)?))
}

pub(super) fn cancel(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentCallHangup(id(request)?))
}

/// Begins calls.
pub(super) fn originate(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Call)?;
    let from = body.required("from_number_id", "the id of a phone number", text)?;
    let from = wire::id(&from).map(NumberRef::Held);
    let from = from.ok_or_else(|| Error::not_found(What::Number).at("from"))?;
    let agent = body.required("agent_id", "the id of an agent", text)?;
    let agent = AgentId::parse(&agent).ok_or_else(|| Error::not_found(What::Agent).at("agent_id"))?;
    let must = format!("a list of 1 to {CALLS_MAX} objects with `to_number`");
    let items = body.required("outbound_calls", &must, |value| {
        let Value::Array(items) = value else { return None };
        (1..=CALLS_MAX).contains(&items.len()).then_some(items)
    })?;
    let bad = || body.invalid("outbound_calls", &must);
    let calls = items.into_iter().map(|item| item_of(item).ok_or_else(bad)).collect::<Result<_>>()?;
    let rings = format!("a whole number of seconds from {} to {}", RING.start(), RING.end());
    let ring = |value: Value| whole(value).and_then(|s| u32::try_from(s).ok()).filter(|s| RING.contains(s));
    let ring_seconds = body.optional("ringing_timeout_seconds", &rings, ring)?;
    let minutes_max = DURATION_MAX / 60;
    let lasts = format!("a whole number of minutes from 1 to {minutes_max}");
    let minutes = |value: Value| {
        whole(value).and_then(|m| u32::try_from(m).ok()).filter(|m| (1..=minutes_max).contains(m))
    };
    let max_minutes = body.optional("max_call_duration_minutes", &lasts, minutes)?;
    Ok(Op::CallOriginate(Box::new(Originate {
        from: CallingNumber::Named(from),
        agent_id: Some(agent),
        endpoint_id: None,
        calls,
        each: true,
        ring_seconds,
        max_seconds: max_minutes.map(|minutes| minutes * 60),
    })))
}

/// One call: whom to, and the client's own words by the names of either version.
fn item_of(item: Value) -> Option<CallTo> {
    let mut fields = object(item)?;
    let number = fields.remove("to_number").and_then(text)?;
    let mut metadata = Bag::new();
    for name in ["metadata", "dynamic_variables"] {
        match fields.remove(name) {
            None | Some(Value::Null) => {}
            Some(value) => metadata.extend(object(value)?),
        }
    }
    Some(CallTo { number, country: None, metadata })
}

/// What became of each call of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentOutboundCallResponse)]
pub(super) struct OriginatedOut {
    calls: Vec<OriginatedItemOut>,
}

/// One of them: begun, or not and why.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentOutboundCallItemResponse)]
pub(super) struct OriginatedItemOut {
    number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agent_call_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    error: Option<Value>,
}

impl From<Vec<(String, Result<Box<Call>>)>> for OriginatedOut {
    fn from(rows: Vec<(String, Result<Box<Call>>)>) -> Self {
        let item = |(number, result): (String, Result<Box<Call>>)| {
            let (agent_call_id, error) = match result {
                Ok(call) => (Some(call.id.to_string()), None),
                Err(error) => (None, Some(error)),
            };
            let error = error.map(|error| {
                let mut told = json!({"message": error.public});
                if let Some(seconds) = crate::retry_seconds(&error) {
                    told["retry_after_seconds"] = seconds.into();
                }
                told
            });
            OriginatedItemOut { number, agent_call_id, error }
        };
        Self { calls: rows.into_iter().map(item).collect() }
    }
}

fn moment(request: &Request<'_>, name: &'static str) -> Result<Option<Timestamp>> {
    let read = |text: &str| {
        let words = format!("`{name}` must be a time, such as 2026-03-01T12:00:00Z.");
        // A `+` of an offset that was not escaped has become a space.
        let escaped = text.trim().replace(' ', "+");
        text.parse().or_else(|_| escaped.parse()).map_err(|_| Error::invalid(What::Request, name, words))
    };
    filled(request, name).map(read).transpose()
}

/// A call was cancelled.
#[derive(Serialize, ToSchema)]
#[schema(as = CancelCallResponse)]
pub(super) struct CancelledOut {
    pub(super) cancelled: bool,
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
#[schema(as = GetCallsResponse)]
pub(super) struct CallsOut {
    data: Vec<CallOut>,
    /// Whether there is more in the direction of paging.
    has_more: bool,
    /// The id behind (or before) which the next page begins.
    next_page: Option<String>,
}

/// A call.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentCall)]
pub(super) struct CallOut {
    id: String,
    agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agent_name: Option<String>,
    #[schema(format = "date-time")]
    start_time: Option<String>,
    #[schema(format = "date-time")]
    end_time: Option<String>,
    #[schema(format = "date-time")]
    redacted_at: Option<String>,
    telephony_params: Option<TelephonyOut>,
    #[schema(required = true, schema_with = account_words)]
    telephony_account_type: Option<&'static str>,
    #[schema(schema_with = status_words)]
    status: &'static str,
    error_message: Option<String>,
    #[schema(required = true, schema_with = end_words)]
    end_reason: Option<&'static str>,
    /// What whoever began the call said of it.
    #[serde(skip_serializing_if = "Bag::is_empty")]
    #[schema(value_type = Object, required = false)]
    dynamic_variables: Bag,
}

/// Who spoke with whom. As the vendor has it, `from` is the agent's number and `to` the other side's, whoever called.
#[derive(Serialize, ToSchema)]
#[schema(as = TelephonyParams)]
pub(super) struct TelephonyOut {
    to: String,
    from: String,
    direction: &'static str,
    #[schema(schema_with = connection_words)]
    connection_type: &'static str,
}

const END_WORDS: [&str; 10] = [
    "agent_hangup",
    "client_hangup",
    "api_cancelled",
    "max_duration",
    "inactivity",
    "client_disconnected",
    "dial_busy",
    "dial_failed",
    "dial_no_answer",
    "error",
];

fn account_words() -> Object {
    one_of_words(&["cartesia", "twilio", "sip_trunk"], true)
}

fn status_words() -> Object {
    one_of_words(&["created", "started", "completed", "failed"], false)
}

fn connection_words() -> Object {
    one_of_words(&["websocket", "phone"], false)
}

/// The contract's words; some of them no call here ends with.
fn end_words() -> Object {
    one_of_words(&END_WORDS, true)
}

impl CallsOut {
    pub(super) fn of(page: Paged<AgentCall>, start: &Start<CallId>) -> Self {
        let Paged { items, more } = page;
        let edge = if matches!(start, Start::Before(_)) { items.first() } else { items.last() };
        let next_page = edge.filter(|_| more).map(|row| row.call.id.to_string());
        Self { data: items.into_iter().map(CallOut::from).collect(), has_more: more, next_page }
    }

    /// From where the request's page starts.
    pub(super) fn start(request: &Request<'_>) -> Start<CallId> {
        page(request, "a call", CallId::parse).map_or(Start::First, |Page { limit: _, start }| start)
    }
}

fn status(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Ringing => "created",
        CallStatus::Answered => "started",
        CallStatus::Completed => "completed",
        CallStatus::Busy
        | CallStatus::NoAnswer
        | CallStatus::Failed
        | CallStatus::Refused
        | CallStatus::Cancelled => "failed",
    }
}

fn end_reason(call: &Call) -> Option<&'static str> {
    match (call.status, call.ended_by, call.direction) {
        (CallStatus::Ringing | CallStatus::Answered, ..) => None,
        (CallStatus::Busy, ..) => Some("dial_busy"),
        (CallStatus::NoAnswer, ..) => Some("dial_no_answer"),
        (CallStatus::Failed, ..) => Some("dial_failed"),
        (CallStatus::Refused, ..) | (CallStatus::Completed, Some(EndedBy::Balance), _) => Some("error"),
        (CallStatus::Completed, Some(EndedBy::Callee), Direction::Inbound)
        | (CallStatus::Completed, Some(EndedBy::Caller), Direction::Outbound) => Some("agent_hangup"),
        (CallStatus::Completed, Some(EndedBy::Reaper) | None, _) => Some("client_disconnected"),
        (CallStatus::Completed | CallStatus::Cancelled, Some(EndedBy::Api), _) => Some("api_cancelled"),
        (CallStatus::Completed, Some(EndedBy::MaxDuration), _) => Some("max_duration"),
        (CallStatus::Completed | CallStatus::Cancelled, ..) => Some("client_hangup"),
    }
}

/// The contract has plain values only.
fn variables(call: &Call) -> Bag {
    let Some(origin) = &call.origin else { return Bag::new() };
    let plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let all = origin.metadata.iter().filter(|(_, value)| plain(value));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl From<AgentCall> for CallOut {
    fn from(row: AgentCall) -> Self {
        let AgentCall { call, agent_id, agent_name, provider, redacted_at } = row;
        let failed = status(call.status) == "failed";
        let other = match call.direction {
            Direction::Inbound => &call.from,
            Direction::Outbound => &call.to,
        };
        let telephony = TelephonyOut {
            to: other.clone(),
            from: call.number.map(|number| number.to_string()).unwrap_or_default(),
            direction: call.direction.as_str(),
            connection_type: "phone",
        };
        Self {
            id: call.id.to_string(),
            agent_id: agent_id.to_string(),
            agent_name,
            start_time: Some(time(call.started_at)),
            end_time: call.ended_at.map(time),
            redacted_at: redacted_at.map(time),
            telephony_params: redacted_at.is_none().then_some(telephony),
            telephony_account_type: provider.map(|kind| match kind {
                ProviderKind::Managed => "cartesia",
                ProviderKind::SipTrunk => "sip_trunk",
                ProviderKind::Twilio => "twilio",
            }),
            status: status(call.status),
            end_reason: end_reason(&call),
            dynamic_variables: variables(&call),
            error_message: call.reason.filter(|words| failed && !words.is_empty()),
        }
    }
}
