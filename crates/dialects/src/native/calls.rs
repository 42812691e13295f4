//! Calls: read only; the edge writes them.

use serde::Serialize;
use utoipa::ToSchema;

use super::explain::StepOut;
use super::page::{filter, page};
use super::read::path_id;
use super::reply::{id_or_null, time, time_or_null};
use super::words::{self, one_of};
use crate::Request;
use domain::call::{Attempt, Call, CallQuery, CallStatus, Direction, EndedBy};
use domain::e164::E164;
use domain::error::{Result, What};
use domain::ids::{CallId, OrganizationId};
use domain::{Bag, Op, Price};

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let query = CallQuery {
        status: filter(request, "status", one_of(&CallStatus::NAMES), CallStatus::parse)?,
        direction: filter(request, "direction", one_of(&Direction::NAMES), Direction::parse)?,
        // Form decoding turns `+` into a blank, so the number is read as it could be dialled.
        number: filter(request, "number", "a phone number in E.164 form", |text| {
            E164::dialled(text.trim(), None)
        })?,
        ..CallQuery::default()
    };
    Ok(Op::CallList(query, page(request, CallId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::CallGet(path_id(request, What::Call, CallId::parse)?))
}

/// Ends a call.
pub(super) fn hang_up(request: &Request<'_>) -> Result<Op> {
    Ok(Op::CallHangup(path_id(request, What::Call, CallId::parse)?))
}

/// How one target was tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptOut {
    /// Counts from 0.
    n: u16,
    /// The target.
    target: String,
    /// The SIP status it answered with, if it did.
    #[schema(required = true)]
    sip_status: Option<u16>,
    /// Where it was sent, such as `udp:192.0.2.7:5060`; null where it was not, or where that was taken out of the record.
    #[schema(required = true)]
    hop: Option<String>,
    /// Why it ended.
    cause: String,
    /// The `Reason` header of its answer, such as `Q.850;cause=17`.
    #[schema(required = true)]
    reason: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it rang first.
    #[schema(required = true, format = DateTime)]
    ringing_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: String,
}

/// Where a call came from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallSource)]
pub(super) struct SourceOut {
    /// How: `udp`, `tcp`, `tls`, `ws` or `wss`.
    transport: &'static str,
    /// The address and port it was sent from.
    address: String,
    /// What kind of address that is: `loopback`, `private` or `public`.
    class: &'static str,
}

/// Something that a receipt tells beside.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallNote)]
pub(super) struct NoteOut {
    /// A short name: `record_route_dropped`, `media_unreachable`, `cancel_race`, `unproven`.
    code: &'static str,
    /// What it means, and what to do about it.
    words: &'static str,
}

/// What a call costs by, as it was when the call came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallPrice)]
pub(super) struct PriceOut {
    /// A minute, in millionths of the currency.
    per_minute_micros: i64,
    /// Once, in millionths of the currency.
    setup_micros: i64,
    /// Seconds that are billed at least.
    minimum_seconds: u32,
    /// Beyond the minimum, billed in whole steps of so many seconds.
    increment_seconds: u32,
}

/// Why a call went where it went: what was decided, on what, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallReceipt)]
pub(super) struct ReceiptOut {
    /// The configuration it was decided on: counts changes of the installation.
    generation: u64,
    /// Where it came from; null where that is not known, or was taken out of the record.
    #[schema(required = true)]
    source: Option<SourceOut>,
    /// The trunk it came through.
    #[schema(required = true, format = "uuid")]
    trunk_id: Option<String>,
    /// What was dialled, as it came.
    dialled: String,
    /// Each rule of its decision, in order, as `explain` tells them.
    steps: Vec<StepOut>,
    /// What it costs by.
    price: PriceOut,
    /// By which clock its duration was measured: `monotonic` where one process saw both ends, else `wall`; null where it was not
    /// answered or has not ended.
    #[schema(required = true)]
    clock: Option<&'static str>,
    /// Seconds that were billed.
    billed_seconds: u64,
    /// What else is to be told.
    notes: Vec<NoteOut>,
}

impl From<&Call> for ReceiptOut {
    fn from(call: &Call) -> Self {
        let source = call.source.map(|place| SourceOut {
            transport: place.transport.as_str(),
            address: place.address.to_string(),
            class: place.class(),
        });
        let Price { per_minute, setup, minimum_seconds, increment_seconds } = call.price;
        let measured = call.answered_at.is_some() && call.ended_at.is_some();
        let billed = call.status == CallStatus::Completed && !call.price.is_free();
        Self {
            generation: call.generation.0,
            source,
            trunk_id: id_or_null(call.provider_id),
            dialled: call.to.clone(),
            steps: call.trail.steps().map(StepOut::from).collect(),
            price: PriceOut {
                per_minute_micros: per_minute.0,
                setup_micros: setup.0,
                minimum_seconds,
                increment_seconds,
            },
            clock: measured.then_some(if call.monotonic { "monotonic" } else { "wall" }),
            billed_seconds: if billed { call.price.billed_seconds(call.duration_seconds) } else { 0 },
            notes: call
                .notes
                .iter()
                .map(|note| NoteOut { code: note.as_str(), words: note.words() })
                .collect(),
        }
    }
}

/// A call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub(super) struct CallOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Whose it is; null where no organization is known.
    #[schema(required = true, format = "uuid")]
    organization_id: Option<String>,
    /// Which way, seen from the number.
    #[schema(schema_with = words::direction)]
    direction: &'static str,
    /// The number of ours, as dialled or shown.
    #[schema(required = true)]
    number: Option<String>,
    /// Its id.
    #[schema(required = true, format = "uuid")]
    number_id: Option<String>,
    /// Who called.
    from: String,
    /// Who was called.
    to: String,
    /// What became of it.
    #[schema(schema_with = words::call_status)]
    status: &'static str,
    /// When it came.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it was answered.
    #[schema(required = true, format = DateTime)]
    answered_at: Option<String>,
    /// When it ended.
    #[schema(required = true, format = DateTime)]
    ended_at: Option<String>,
    /// Seconds from answer to end; 0 where it was not answered.
    duration_seconds: u64,
    /// Who ended it.
    #[schema(schema_with = words::ended_by)]
    ended_by: Option<&'static str>,
    /// What the caller was answered, where that was not 200.
    #[schema(required = true)]
    sip_status: Option<u16>,
    /// Why it ended as it did.
    #[schema(required = true)]
    reason: Option<String>,
    /// The endpoint it was sent to.
    #[schema(required = true, format = "uuid")]
    endpoint_id: Option<String>,
    /// The trunk it came from.
    #[schema(required = true, format = "uuid")]
    provider_id: Option<String>,
    /// Each target tried.
    attempts: Vec<AttemptOut>,
    /// What it cost, in millionths of the currency.
    cost_micros: i64,
    /// What whoever began it through an API said of it.
    #[schema(value_type = Object)]
    metadata: Bag,
    /// Why it went where it went: in the answer about one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptOut>,
}

impl CallOut {
    /// With its receipt.
    pub(super) fn whole(call: Call) -> Self {
        let receipt = Some(ReceiptOut::from(&call));
        Self { receipt, ..Self::from(call) }
    }
}

impl From<Attempt> for AttemptOut {
    fn from(attempt: Attempt) -> Self {
        let Attempt { n, target, sip_status, cause, started_at, ended_at, hop, ringing_at, reason } = attempt;
        Self {
            n,
            target,
            hop: hop.map(|hop| hop.to_string()),
            sip_status,
            cause,
            reason,
            started_at: time(started_at),
            ringing_at: time_or_null(ringing_at),
            ended_at: time(ended_at),
        }
    }
}

impl From<Call> for CallOut {
    fn from(call: Call) -> Self {
        let Call {
            id,
            organization_id,
            direction,
            number_id,
            number,
            from,
            to,
            status,
            started_at,
            answered_at,
            ended_at,
            duration_seconds,
            monotonic: _,
            ended_by,
            sip_status,
            reason,
            provider_id,
            endpoint_id,
            attempts,
            generation: _,
            price: _,
            cost,
            dialog: _,
            trail: _,
            source: _,
            notes: _,
            origin,
            legs: _,
        } = call;
        let metadata = origin.map(|origin| origin.metadata).unwrap_or_default();
        Self {
            id: id.to_string(),
            organization_id: id_or_null(Some(organization_id).filter(|id| *id != OrganizationId::NONE)),
            direction: direction.as_str(),
            number: number.map(|number| number.to_string()),
            number_id: id_or_null(number_id),
            from,
            to,
            status: status.as_str(),
            started_at: time(started_at),
            answered_at: time_or_null(answered_at),
            ended_at: time_or_null(ended_at),
            duration_seconds,
            ended_by: ended_by.map(EndedBy::as_str),
            sip_status,
            reason,
            endpoint_id: id_or_null(endpoint_id),
            provider_id: id_or_null(provider_id),
            attempts: attempts.into_iter().map(AttemptOut::from).collect(),
            cost_micros: cost.0,
            metadata,
            receipt: None,
        }
    }
}
