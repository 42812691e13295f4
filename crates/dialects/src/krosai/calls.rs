//! KrosAI's calls: pages with totals, counts by state and by day, one call with its events, and the removal of a record.
//! Generation A of the vendor's pages; where that shows no field, generation B's names.

use domain::call::{Attempt, Call, CallCount, CallDay, CallQuery, CallStatus, Direction, EndedBy};
use domain::error::{Error, Result, What};
use domain::ids::{CallId, EndpointId, NumberId};
use domain::key::{Area, Scope};
use domain::number::NumberRef;
use domain::originate::{CallTo, CallingNumber, DURATION_MAX, Originate};
use domain::{E164, Op, Page, Paged, Start, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::read::{UUID, either, invalid, set};
use crate::Request;
use crate::json::{self, object, text, time, whole};

/// How many rows a page has where the request does not say.
const LIMIT_DEFAULT: u32 = 20;
/// The most rows of a page.
const LIMIT_MAX: u32 = 100;
/// The last page that can be asked for: its first row is still a number of 32 bits.
const PAGE_MAX: u32 = 10_000_000;
/// How many days trends tell of where the request does not say.
const DAYS_DEFAULT: i64 = 30;
/// The most days that trends tell of.
const DAYS_MAX: i64 = 366;
/// The vendor's states with ours. `initiated` is one that no call of ours has.
const STATES: [(&str, &[CallStatus]); 8] = [
    ("initiated", &[]),
    ("ringing", &[CallStatus::Ringing]),
    ("answered", &[CallStatus::Answered]),
    ("in_progress", &[CallStatus::Answered]),
    ("completed", &[CallStatus::Completed]),
    ("failed", &[CallStatus::Failed, CallStatus::Refused]),
    ("busy", &[CallStatus::Busy]),
    ("no_answer", &[CallStatus::NoAnswer, CallStatus::Cancelled]),
];
const STATUS: &str =
    "one of `initiated`, `ringing`, `answered`, `in_progress`, `completed`, `failed`, `busy`, `no_answer`";
const DATE: &str = "a date such as `2026-03-01`, or a time such as `2026-03-01T12:00:00Z`";

fn id(request: &Request<'_>) -> Result<CallId> {
    CallId::parse(request.param("call_id")).ok_or_else(|| Error::not_found(What::Call))
}

fn paging(request: &Request<'_>) -> Result<(u32, u32)> {
    let page = request.whole("page", 1..=PAGE_MAX)?.unwrap_or(1);
    Ok((page, request.whole("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT)))
}

fn filter<T>(
    request: &Request<'_>,
    name: &'static str,
    must: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    request.query(name).map(|text| read(text).ok_or_else(|| invalid(name, must))).transpose()
}

/// A time, or a day's first moment in UTC; whether it was a day.
fn moment(text: &str) -> Option<(Timestamp, bool)> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some((at, false));
    }
    let day: Date = text.parse().ok().filter(|_| text.len() == 10)?;
    Some((day.to_zoned(TimeZone::UTC).ok()?.timestamp(), true))
}

fn query(request: &Request<'_>) -> Result<CallQuery> {
    let states =
        |text: &str| STATES.iter().find(|(name, _)| *name == text).map(|(_, states)| states.to_vec());
    let from = filter(request, "start_date", DATE, moment)?.map(|(at, _)| at);
    // A day counts whole, to its end.
    let end = |text: &str| match moment(text)? {
        (at, true) => at.checked_add(SignedDuration::from_hours(24)).ok(),
        (at, false) => Some(at),
    };
    let before = filter(request, "end_date", DATE, end)?;
    if from.zip(before).is_some_and(|(from, before)| from >= before) {
        return Err(invalid("end_date", "behind `start_date`"));
    }
    Ok(CallQuery {
        any_of: filter(request, "status", STATUS, states)?,
        direction: filter(request, "direction", "`inbound` or `outbound`", Direction::parse)?,
        number_id: filter(request, "phone_number_id", UUID, NumberId::parse)?,
        from,
        before,
        ..CallQuery::default()
    })
}

/// The first and the last day that trends tell of, in UTC.
fn days(request: &Request<'_>, query: &CallQuery) -> Result<(Date, Date)> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let last = query.before.and_then(|at| at.checked_sub(SignedDuration::from_micros(1)).ok());
    let last = day(last.unwrap_or_else(|| request.now.max(query.from.unwrap_or(request.now))));
    let first = match query.from {
        Some(from) => day(from),
        None => last.checked_sub((DAYS_DEFAULT - 1).days()).unwrap_or(last),
    };
    let span = first.until(last).map_or(i64::MAX, |span| i64::from(span.get_days()));
    if span >= DAYS_MAX {
        return Err(invalid("start_date", &format!("at most {DAYS_MAX} days before `end_date`")));
    }
    Ok((first, last))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let mut query = query(request)?;
    match request.query("action") {
        None => {
            let (page, limit) = paging(request)?;
            let start = if page == 1 { Start::First } else { Start::Offset((page - 1) * limit) };
            Ok(Op::CallPage(query, Page { limit, start }))
        }
        Some("stats") => {
            request.caller.require(Scope::read(Area::Analytics))?;
            Ok(Op::CallStats(query))
        }
        Some("trends") => {
            request.caller.require(Scope::read(Area::Analytics))?;
            let (first, _) = days(request, &query)?;
            query.from =
                query.from.or_else(|| first.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()));
            Ok(Op::CallTrends(query))
        }
        Some(_) => Err(invalid("action", "`stats` or `trends`, or absent for the list")),
    }
}

/// Begins a call. Fields of the guide that have no meaning here, such as `webhook_url`, are passed over.
pub(super) fn originate(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Call)?;
    let must = "a phone number in E.164 form, such as +14155550100";
    let number = |value: Value| E164::dialled(value.as_str()?, None);
    let from = set(either(&mut body, ["from_number", "fromNumber"], must, number)?);
    let to = set(either(&mut body, ["to_number", "toNumber"], must, text)?);
    let from = from.ok_or_else(|| Error::missing(What::Call, "from_number"))?;
    let to = to.ok_or_else(|| Error::missing(What::Call, "to_number"))?;
    let endpoint = |value: Value| EndpointId::parse(value.as_str()?);
    let endpoint_id = set(either(&mut body, ["endpointId", "endpoint_id"], UUID, endpoint)?);
    let metadata = body.optional("metadata", "an object", object)?.unwrap_or_default();
    let lasts = format!("a whole number of seconds from 1 to {DURATION_MAX}");
    let seconds = |value: Value| {
        let seconds = whole(value).and_then(|seconds| u32::try_from(seconds).ok())?;
        (1..=DURATION_MAX).contains(&seconds).then_some(seconds)
    };
    let max_seconds = set(either(&mut body, ["max_duration", "maxDuration"], &lasts, seconds)?);
    Ok(Op::CallOriginate(Box::new(Originate {
        from: CallingNumber::Named(NumberRef::E164(from)),
        agent_id: None,
        endpoint_id,
        calls: vec![CallTo { number: to, country: None, metadata }],
        each: false,
        ring_seconds: None,
        max_seconds,
    })))
}

/// A call to be begun.
#[derive(ToSchema)]
#[schema(as = OutboundCallRequest)]
#[expect(dead_code, reason = "only described")]
pub(super) struct OriginateIn {
    /// A number of the organization that calls out, in E.164.
    from_number: String,
    /// Who is called, in E.164.
    to_number: String,
    /// The endpoint that takes the call; without it the number's.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Kept with the call, told to webhooks, and sent to the agent; at most 8 KB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<domain::Bag>,
    /// Seconds that the call may last.
    #[schema(minimum = 1, maximum = 86400)]
    max_duration: Option<u32>,
}

/// A call that was begun.
#[derive(Serialize, ToSchema)]
#[schema(as = OutboundCall)]
pub(super) struct InitiatedOut {
    #[schema(format = "uuid")]
    call_id: String,
    /// Always `initiated`: see the call for what becomes of it.
    status: &'static str,
    from_number: String,
    to_number: String,
    #[schema(required = true, format = "uuid")]
    endpoint_id: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
}

impl From<&Call> for InitiatedOut {
    fn from(call: &Call) -> Self {
        Self {
            call_id: call.id.to_string(),
            status: "initiated",
            from_number: call.from.clone(),
            to_number: call.to.clone(),
            endpoint_id: call.endpoint_id.map(|id| id.to_string()),
            created_at: time(call.started_at),
        }
    }
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::CallGet(id(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::CallDelete(id(request)?))
}

/// The states of calls.
#[derive(Serialize, ToSchema)]
#[schema(as = CallStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusOut {
    Ringing,
    InProgress,
    Completed,
    Failed,
    Busy,
    NoAnswer,
}

/// A call.
#[derive(Serialize, ToSchema)]
#[schema(as = Call)]
pub(super) struct CallOut {
    #[schema(format = "uuid")]
    id: String,
    from_number: String,
    to_number: String,
    direction: &'static str,
    status: StatusOut,
    /// Seconds from answer to end.
    duration: u64,
    /// Rounded down.
    cost_cents: i64,
    #[schema(required = true, format = "uuid")]
    endpoint_id: Option<String>,
    #[schema(required = true, format = "uuid")]
    phone_number_id: Option<String>,
    #[schema(format = "uuid")]
    organization_id: String,
    #[schema(required = true)]
    hangup_cause: Option<&'static str>,
    /// Always null: sound does not pass through the service.
    #[schema(required = true)]
    recording_url: Option<String>,
    /// Always null, for the same reason.
    #[schema(required = true)]
    transcript: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(required = true, format = "date-time")]
    answered_at: Option<String>,
    #[schema(required = true, format = "date-time")]
    completed_at: Option<String>,
}

/// One thing that happened to a call.
#[derive(Serialize, ToSchema)]
#[schema(as = CallEvent)]
pub(super) struct CallEventOut {
    event: &'static str,
    #[schema(format = "date-time")]
    timestamp: String,
    #[schema(value_type = Object)]
    data: Value,
}

/// A call with what happened to it, in order.
#[derive(Serialize, ToSchema)]
#[schema(as = CallDetail)]
pub(super) struct CallDetailOut {
    #[serde(flatten)]
    call: CallOut,
    events: Vec<CallEventOut>,
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
#[schema(as = CallPage)]
pub(super) struct CallPageOut {
    data: Vec<CallOut>,
    total: u64,
    page: u32,
    limit: u32,
    total_pages: u64,
}

/// Calls by state; a state without calls is 0.
#[derive(Serialize, ToSchema)]
#[schema(as = CallStats)]
pub(super) struct CallStatsOut {
    total: u64,
    total_duration: u64,
    by_status: BTreeMap<&'static str, u64>,
}

/// Calls of one day (UTC).
#[derive(Serialize, ToSchema)]
#[schema(as = CallTrend)]
pub(super) struct CallTrendOut {
    #[schema(format = "date")]
    date: String,
    count: u64,
}

impl From<CallStatus> for StatusOut {
    fn from(status: CallStatus) -> Self {
        match status {
            CallStatus::Ringing => Self::Ringing,
            CallStatus::Answered => Self::InProgress,
            CallStatus::Completed => Self::Completed,
            CallStatus::Busy => Self::Busy,
            CallStatus::NoAnswer | CallStatus::Cancelled => Self::NoAnswer,
            CallStatus::Failed | CallStatus::Refused => Self::Failed,
        }
    }
}

fn state(status: CallStatus) -> &'static str {
    match StatusOut::from(status) {
        StatusOut::Ringing => "ringing",
        StatusOut::InProgress => "in_progress",
        StatusOut::Completed => "completed",
        StatusOut::Failed => "failed",
        StatusOut::Busy => "busy",
        StatusOut::NoAnswer => "no_answer",
    }
}

/// Why a call ended, in the vendor's words; none while it goes on.
pub(super) fn cause(call: &Call) -> Option<&'static str> {
    match (call.status, call.ended_by) {
        (CallStatus::Ringing | CallStatus::Answered, _) => None,
        (CallStatus::Completed, Some(EndedBy::Caller)) | (CallStatus::Cancelled, None) => Some("user_hangup"),
        (CallStatus::Completed, Some(EndedBy::Callee)) => Some("agent_hangup"),
        (CallStatus::Completed, Some(EndedBy::Reaper | EndedBy::MaxDuration)) => Some("timeout"),
        (CallStatus::Completed, None | Some(EndedBy::Api | EndedBy::Balance))
        | (CallStatus::Cancelled, _) => Some("normal_clearing"),
        (CallStatus::Busy, _) => Some("busy"),
        (CallStatus::NoAnswer, _) => Some("no_answer"),
        (CallStatus::Refused, _) => Some("rejected"),
        (CallStatus::Failed, _) => Some("network_error"),
    }
}

impl From<&Call> for CallOut {
    fn from(call: &Call) -> Self {
        Self {
            id: call.id.to_string(),
            from_number: call.from.clone(),
            to_number: call.to.clone(),
            direction: call.direction.as_str(),
            status: call.status.into(),
            duration: call.duration_seconds,
            cost_cents: call.cost.cents_floor(),
            endpoint_id: call.endpoint_id.map(|id| id.to_string()),
            phone_number_id: call.number_id.map(|id| id.to_string()),
            organization_id: call.organization_id.to_string(),
            hangup_cause: cause(call),
            recording_url: None,
            transcript: None,
            created_at: time(call.started_at),
            answered_at: call.answered_at.map(time),
            completed_at: call.ended_at.map(time),
        }
    }
}

impl From<&Call> for CallDetailOut {
    fn from(call: &Call) -> Self {
        let event = |event, at: Timestamp, data| CallEventOut { event, timestamp: time(at), data };
        let mut events = vec![event("call.initiated", call.started_at, json!({}))];
        events.extend(call.attempts.iter().map(|attempt| {
            let Attempt {
                n,
                target,
                sip_status,
                cause,
                started_at,
                ended_at: _,
                hop: _,
                ringing_at: _,
                reason: _,
            } = attempt;
            event(
                "call.ringing",
                *started_at,
                json!({"attempt": n, "target": target, "sip_status": sip_status, "cause": cause}),
            )
        }));
        events.extend(call.answered_at.map(|at| event("call.answered", at, json!({}))));
        events.extend(call.ended_at.map(|at| {
            let name = if call.status == CallStatus::Completed { "call.completed" } else { "call.failed" };
            event(
                name,
                at,
                json!({"hangup_cause": cause(call), "sip_status": call.sip_status, "reason": call.reason}),
            )
        }));
        Self { call: call.into(), events }
    }
}

impl CallPageOut {
    /// The request was read once already, so its page is good.
    pub(super) fn new(request: &Request<'_>, calls: &Paged<Call>, total: u64) -> Self {
        let (page, limit) = paging(request).unwrap_or((1, LIMIT_DEFAULT));
        let data = calls.items.iter().map(CallOut::from).collect();
        Self { data, total, page, limit, total_pages: total.div_ceil(u64::from(limit)) }
    }
}

impl CallStatsOut {
    pub(super) fn new(counts: &[CallCount]) -> Self {
        // One entry for each state that a call can read as.
        let mut by_status: BTreeMap<_, _> =
            CallStatus::NAMES.iter().map(|(status, _)| (state(*status), 0)).collect();
        let (mut total, mut total_duration) = (0, 0);
        for CallCount { status, calls, seconds } in counts {
            *by_status.entry(state(*status)).or_insert(0) += calls;
            total += calls;
            total_duration += seconds;
        }
        Self { total, total_duration, by_status }
    }
}

/// Each day of the time asked about, those without calls too.
pub(super) fn trends(request: &Request<'_>, counted: &[CallDay]) -> Result<Vec<CallTrendOut>> {
    let (first, last) = days(request, &query(request)?)?;
    let on = |day: Date| {
        let fits = |counted: &&CallDay| counted.day.to_zoned(TimeZone::UTC).date() == day;
        CallTrendOut {
            date: day.to_string(),
            count: counted.iter().find(fits).map_or(0, |counted| counted.calls),
        }
    };
    Ok(first.series(1.day()).take_while(|day| *day <= last).map(on).collect())
}
