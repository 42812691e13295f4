//! Settling a call: its one terminal event, its minutes, its money.
//!
//! Facts may come late, so a call may be final first without an answer ("the end was seen, the answer was not") and gain one
//! later. The event is written once, with what was known then. Minutes and money are counted when they are first known. A call
//! that was closed without its end being seen counted and cost what was proven then; should its end be seen after all, the
//! difference is added once. Nothing else changes either: each is a function of facts that are stored once.

use crate::db::params;
use domain::call::{CallStatus, minutes};
use domain::caller::Actor;
use domain::ids::EventId;
use domain::{Bag, Call, Event, Micros, Posting, Timestamp};
use serde_json::Value;

use super::super::apply::Tx;
use super::super::sql::{blob, int, time, write};
use super::super::{event, ledger, organization};
use crate::error::StoreError;

/// What was settled of a call so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// Whether its terminal event was written.
    pub(super) ended: bool,
    /// The minutes counted.
    pub(super) minutes: u64,
    /// The money posted.
    pub(super) charged: Micros,
}

pub(super) fn settle(tx: &mut Tx<'_>, call: &Call, settled: &mut Settled) -> Result<(), StoreError> {
    if !call.status.is_final() {
        return Ok(());
    }
    if !settled.ended {
        settled.ended = true;
        // Webhooks are told by the call's own way, in `tell`.
        event::write_down(tx, &ended(call))?;
    }
    let counted = minutes(call.duration_seconds);
    if let (Some(number), Some(answered)) = (call.number_id, call.answered_at) {
        // A call of no time leaves its month behind as well: that the number was called outlasts the call's record.
        let more = counted.saturating_sub(settled.minutes);
        settled.minutes += more;
        let sql = "INSERT INTO usage (organization_id, number_id, month, minutes) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (organization_id, number_id, month) DO UPDATE SET minutes = usage.minutes + excluded.minutes";
        let row = params![blob(call.organization_id), blob(number), time(month_of(answered)), int(more)];
        write(tx.db, sql, row).map_err(|f| f.about(domain::What::Call, domain::What::Call))?;
    }
    // A call of nobody, or of an organization that this store does not know, costs nobody anything.
    if (call.cost > Micros::ZERO || settled.charged > Micros::ZERO)
        && organization::serial(tx.db, call.organization_id)?.is_some()
        && let Some(posting) = Posting::call(call, settled.charged)
    {
        settled.charged = call.cost;
        // The posting's id is made of the call's: even a row that was lost and folded again cannot charge twice.
        ledger::post(tx, &posting)?;
    }
    Ok(())
}

/// The first moment of a time's month (UTC).
fn month_of(at: Timestamp) -> Timestamp {
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC);
    let first = zoned.date().first_of_month().to_zoned(jiff::tz::TimeZone::UTC);
    // The first of a month exists in UTC for every time that exists.
    first.map_or(at, |z| z.timestamp())
}

/// The terminal event. Its id is made of the call's, with the time of the end: one call, one event.
pub(super) fn ended(call: &Call) -> Event {
    let at = call.ended_at.unwrap_or(call.started_at);
    let name = match call.status {
        CallStatus::Completed => "call.completed",
        CallStatus::Busy => "call.busy",
        CallStatus::NoAnswer => "call.no_answer",
        CallStatus::Refused => "call.refused",
        CallStatus::Cancelled => "call.cancelled",
        CallStatus::Failed | CallStatus::Ringing | CallStatus::Answered => "call.failed",
    };
    let mut data = Bag::new();
    data.insert("status".to_owned(), Value::from(call.status.as_str()));
    data.insert("direction".to_owned(), Value::from(call.direction.as_str()));
    data.insert(
        "number".to_owned(),
        call.number.map_or(Value::Null, |number| Value::from(number.to_string())),
    );
    data.insert("duration_seconds".to_owned(), Value::from(call.duration_seconds));
    Event {
        id: EventId(event::stamped(call.id.0, at)),
        organization_id: call.organization_id,
        name,
        actor: Actor::Service,
        subject: call.id.to_string(),
        data,
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_at_midnight_utc() {
        let at: Timestamp = "2026-02-28T23:59:59.5Z".parse().unwrap();
        assert_eq!(month_of(at), "2026-02-01T00:00:00Z".parse().unwrap());
    }
}
