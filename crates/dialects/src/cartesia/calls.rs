//! Calls of agents. Who had the number when the call came is the agent; a call that no agent had is not shown.

use domain::call::{AgentCallQuery, CallStatus, Direction, EndedBy};
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, CallId};
use domain::provider::ProviderKind;
use domain::view::AgentCall;
use domain::{Call, Op, Page, Paged, Start, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::read::{filled, page};
use crate::Request;
use crate::json::time;
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
            error_message: call.reason.filter(|words| failed && !words.is_empty()),
        }
    }
}
