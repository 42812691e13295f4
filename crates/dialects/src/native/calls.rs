//! Calls: read only; the edge writes them.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::{filter, page};
use super::read::path_id;
use super::reply::{id_or_null, time, time_or_null};
use super::words::{self, one_of};
use crate::Request;
use domain::Op;
use domain::call::{Attempt, Call, CallQuery, CallStatus, Direction, EndedBy};
use domain::e164::E164;
use domain::error::{Result, What};
use domain::ids::{CallId, OrganizationId};

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
    /// Why it ended.
    cause: String,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: String,
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
}

impl From<Attempt> for AttemptOut {
    fn from(attempt: Attempt) -> Self {
        let Attempt { n, target, sip_status, cause, started_at, ended_at } = attempt;
        Self { n, target, sip_status, cause, started_at: time(started_at), ended_at: time(ended_at) }
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
            cost,
            dialog: _,
        } = call;
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
        }
    }
}
