//! Deliveries: an outbox. A row is written in the transaction in which its event is, for each webhook that wants it, so that
//! none is lost and none is made twice; it is read by whoever sends it, and written again with each attempt's outcome.
//!
//! Invariant of each transaction: a webhook's `waiting` is the number of its rows that wait, its `due_at` the earliest of their
//! times, but not before `rests_until`, which is there as long as the last attempt failed.

mod codec;

use crate::db::{Db, Failure, params};
use domain::call::STARTED_EVENT;
use domain::ids::{CallId, EventId, NumberId, OrganizationId, WebhookId};
use domain::number::Status;
use domain::webhook::{
    Answer, DETAILS_MAX, Delivery, DeliveryState, Happening, Tried, WAIT_MAX, WAITING_MAX, is_wanted, told_as,
};
use domain::{Event, Fact, Page, Paged, Timestamp, Webhook, What};

use super::apply::Tx;
use super::event::{actor_read, actor_text};
use super::list::{List, page_of_ids};
use super::sql::{Columns, all, bag, blob, blob_of, change, exists, int, json, one, time, write};
use super::{number, webhook};
use crate::error::{CommitError, StoreError};
use codec::{AboutRow, LastRow};

const SELECT: &str = "SELECT organization_id, webhook_id, event_id, event, actor, subject, details, about, at, attempts, state, \
                      state_at, last FROM deliveries WHERE true";
const DELIVERED: &str = "delivered";
const GIVEN_UP: &str = "given_up";
const WAITING: &str = "waiting";

fn read(mut row: Columns<'_, '_>) -> Result<Delivery, StoreError> {
    let (organization_id, webhook_id, id): (OrganizationId, _, _) = (row.id()?, row.id()?, row.id()?);
    let (name, actor, subject) = (row.get()?, row.named(actor_read)?, row.get()?);
    let (details, about) = (row.json()?, row.json::<AboutRow>()?.read(organization_id)?);
    let (at, attempts) = (row.time()?, row.get()?);
    let state: fn(Timestamp) -> DeliveryState = row.named(|text| match text {
        WAITING => Some(DeliveryState::Waiting as fn(Timestamp) -> DeliveryState),
        DELIVERED => Some(DeliveryState::Delivered),
        GIVEN_UP => Some(DeliveryState::GivenUp),
        _ => None,
    })?;
    let (state, last) = (state(row.time()?), row.get::<Option<String>>()?);
    let last = last.map(|text| LastRow::read(&text)).transpose()?;
    let happening = Happening { id, organization_id, name, actor, subject, details, about, at };
    Ok(Delivery { webhook_id, happening, attempts, state, last })
}

fn failed(failure: Failure) -> CommitError {
    failure.about(What::Delivery, What::Webhook)
}

/// What all deliveries of one event have alike.
struct EventRow<'a> {
    organization: OrganizationId,
    id: EventId,
    name: &'a str,
    actor: String,
    subject: String,
    details: String,
    about: String,
    call: Option<CallId>,
    at: Timestamp,
    /// From when on it is sent.
    due: i64,
}

/// Sends the events that this transaction wrote to the webhooks that want them. To be called once all its rows stand, so that
/// what is told of a number is what it became.
pub(super) fn announce(tx: &mut Tx<'_>) -> Result<(), CommitError> {
    for event in tx.take_events() {
        let Event { id, organization_id, name, actor, subject, data, at } = event;
        let active = active_of(tx.db, organization_id)?;
        if active.is_empty() {
            continue;
        }
        let number = NumberId::parse(&subject).filter(|_| name.starts_with("number."));
        let number = number.map(|id| number::get(tx.db, organization_id, id)).transpose()?.flatten();
        let webhooks = wanting(active, name, number.as_ref().map(|number| told_as(number, at)));
        let about = number.map_or(AboutRow::Other, |number| AboutRow::of_number(&number));
        let details = Some(bag(&data)).filter(|text| text.len() <= DETAILS_MAX);
        let row = EventRow {
            organization: organization_id,
            id,
            name,
            actor: actor_text(&actor),
            subject,
            details: details.unwrap_or_else(|| "{}".to_owned()),
            about: json(&about),
            call: None,
            at,
            due: time(at),
        };
        insert_all(tx, &row, &webhooks)?;
    }
    Ok(())
}

/// Sends an event of a call; `facts` are what is to be told of it.
pub(super) fn announce_call(
    tx: &mut Tx<'_>,
    (id, name, at): (EventId, &str, Timestamp),
    (organization, call): (OrganizationId, CallId),
    facts: &[Fact],
) -> Result<(), CommitError> {
    let webhooks = wanting(active_of(tx.db, organization)?, name, None);
    if webhooks.is_empty() {
        return Ok(());
    }
    let row = EventRow {
        organization,
        id,
        name,
        actor: actor_text(&domain::caller::Actor::Service),
        subject: call.to_string(),
        details: "{}".to_owned(),
        about: json(&AboutRow::of_call(call, facts)),
        call: Some(call),
        at,
        // A call that is refused begins and ends at one moment: its beginning is told first.
        due: time(at) + i64::from(name != STARTED_EVENT),
    };
    insert_all(tx, &row, &webhooks)
}

/// A webhook that events may be sent to: what it wants, and how much waits for it.
struct Active {
    id: WebhookId,
    waiting: u64,
    topics: Vec<String>,
}

fn active_of(db: Db<'_>, organization: OrganizationId) -> Result<Vec<Active>, StoreError> {
    let sql =
        "SELECT id, waiting, topics FROM webhooks WHERE organization_id = $1 AND active = 1 AND gone = 0";
    all(db, sql, params![blob(organization)], |mut row| {
        Ok(Active { id: row.id()?, waiting: row.uint()?, topics: row.json()? })
    })
}

/// Those that want an event, with how much waits for each.
fn wanting(active: Vec<Active>, name: &str, number: Option<Status>) -> Vec<(WebhookId, u64)> {
    let wants = |one: &Active| is_wanted(&one.topics, name, number);
    active.into_iter().filter(wants).map(|one| (one.id, one.waiting)).collect()
}

fn insert_all(
    tx: &mut Tx<'_>,
    event: &EventRow<'_>,
    webhooks: &[(WebhookId, u64)],
) -> Result<(), CommitError> {
    let EventRow { organization, id, name, actor, subject, details, about, call, at, due } = event;
    let (owner, at) = (blob(*organization), time(*at));
    for (webhook, waiting) in webhooks {
        let sql = "INSERT INTO deliveries (organization_id, webhook_id, event_id, event, actor, subject, details, about, call_id, at, \
                   attempts, state, state_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 'waiting', $11) \
                   ON CONFLICT DO NOTHING";
        let own = blob(*webhook);
        let row =
            params![owner, own, blob(*id), name, actor, subject, details, about, blob_of(*call), at, due];
        if !change(tx.db, sql, row).map_err(failed)? {
            continue;
        }
        let sql = "UPDATE webhooks SET waiting = waiting + 1, \
                   due_at = CASE WHEN due_at <= $1 THEN due_at WHEN rests_until > $1 THEN rests_until ELSE $1 END \
                   WHERE organization_id = $2 AND id = $3";
        write(tx.db, sql, params![due, owner, own]).map_err(failed)?;
        if *waiting >= WAITING_MAX {
            give_up_oldest(tx.db, *organization, *webhook, at)?;
        }
    }
    Ok(())
}

/// The oldest event that waits makes room for the newest.
fn give_up_oldest(
    db: Db<'_>,
    organization: OrganizationId,
    webhook: WebhookId,
    at: i64,
) -> Result<(), CommitError> {
    let text = format!("More than {WAITING_MAX} deliveries waited: the oldest made room.");
    let at_time = super::sql::time_from(at)?;
    let last = json(&LastRow::from(&Tried { at: at_time, answer: Answer::Failure(text) }));
    let sql = "UPDATE deliveries SET state = 'given_up', state_at = $1, last = $2 WHERE organization_id = $3 AND webhook_id = $4 \
               AND event_id = (SELECT event_id FROM deliveries WHERE organization_id = $3 AND webhook_id = $4 \
               AND state = 'waiting' ORDER BY event_id LIMIT 1)";
    let gone = db.touched(sql, params![at, last, blob(organization), blob(webhook)]).map_err(failed)?;
    measure(db, organization, webhook, -int(gone as u64))
}

/// Brings what stands in a webhook's row up to date after `more` deliveries began to wait, or fewer.
fn measure(
    db: Db<'_>,
    organization: OrganizationId,
    webhook: WebhookId,
    more: i64,
) -> Result<(), CommitError> {
    let sql = "UPDATE webhooks SET waiting = waiting + $1, due_at = (SELECT CASE WHEN min(d.state_at) < webhooks.rests_until \
               THEN webhooks.rests_until ELSE min(d.state_at) END FROM deliveries d \
               WHERE d.organization_id = $2 AND d.webhook_id = $3 AND d.state = 'waiting') \
               WHERE organization_id = $2 AND id = $3";
    write(db, sql, params![more, blob(organization), blob(webhook)]).map_err(failed)
}

/// Says until when a webhook rests; none: not at all.
pub(super) fn rest(
    db: Db<'_>,
    organization: OrganizationId,
    webhook: WebhookId,
    until: Option<Timestamp>,
) -> Result<(), CommitError> {
    let sql = "UPDATE webhooks SET rests_until = $1 WHERE organization_id = $2 AND id = $3";
    write(db, sql, params![until.map(time), blob(organization), blob(webhook)]).map_err(failed)?;
    measure(db, organization, webhook, 0)
}

/// Writes what became of a delivery. After an attempt it must wait still, as it did before the attempt: one that was given up or
/// sent again meanwhile stays as it is. One without attempts is sent from the beginning, whatever it was.
pub(super) fn put(tx: &mut Tx<'_>, delivery: &Delivery) -> Result<(), CommitError> {
    let Delivery { webhook_id, happening, attempts, state, last } = delivery;
    let (organization, event) = (happening.organization_id, happening.id);
    let key = params![blob(organization), blob(*webhook_id), blob(event)];
    let sql = "SELECT state, attempts FROM deliveries WHERE organization_id = $1 AND webhook_id = $2 AND event_id = $3";
    let before = one(tx.db, sql, key, |mut row| Ok((row.get::<String>()?, row.get::<u32>()?)))?;
    let stale = || CommitError::Stale(What::Delivery);
    let (before, done) = before.ok_or_else(stale)?;
    let waited = before == WAITING;
    if attempts.checked_sub(1).is_some_and(|earlier| !waited || earlier != done) {
        return Err(stale());
    }
    let (name, at) = match state {
        DeliveryState::Waiting(at) => (WAITING, at),
        DeliveryState::Delivered(at) => (DELIVERED, at),
        DeliveryState::GivenUp(at) => (GIVEN_UP, at),
    };
    let last = last.as_ref().map(|tried| json(&LastRow::from(tried)));
    let sql = "UPDATE deliveries SET attempts = $1, state = $2, state_at = $3, last = $4 \
               WHERE organization_id = $5 AND webhook_id = $6 AND event_id = $7";
    let row = params![attempts, name, time(*at), last, blob(organization), blob(*webhook_id), blob(event)];
    write(tx.db, sql, row).map_err(failed)?;
    let more = i64::from(name == WAITING) - i64::from(waited);
    measure(tx.db, organization, *webhook_id, more)?;
    rest(tx.db, organization, *webhook_id, delivery.rest())
}

/// Takes what is private out of what was, or is to be, told of a call.
pub(super) fn redact_call(
    tx: &Tx<'_>,
    organization: OrganizationId,
    call: CallId,
) -> Result<(), CommitError> {
    let sql =
        "SELECT webhook_id, event_id, about FROM deliveries WHERE organization_id = $1 AND call_id = $2";
    let found = all(tx.db, sql, params![blob(organization), blob(call)], |mut row| {
        Ok((row.id::<WebhookId>()?, row.id::<EventId>()?, row.json::<AboutRow>()?))
    })?;
    for (webhook, event, about) in found {
        let about = json(&about.redacted(organization)?);
        let sql = "UPDATE deliveries SET about = $1 WHERE organization_id = $2 AND webhook_id = $3 AND event_id = $4";
        let row = params![about, blob(organization), blob(webhook), blob(event)];
        write(tx.db, sql, row).map_err(failed)?;
    }
    Ok(())
}

/// Removes at most `most` deliveries whose events are older than `before`, or whose webhook is gone; a webhook that is gone and
/// has none left goes itself.
pub(super) fn prune(tx: &Tx<'_>, before: Timestamp, most: u32) -> Result<(), CommitError> {
    let old =
        "SELECT organization_id, webhook_id, event_id FROM deliveries WHERE at < $1 ORDER BY at LIMIT $2";
    let of_gone = "SELECT d.organization_id, d.webhook_id, d.event_id FROM webhooks w CROSS JOIN deliveries d \
                   WHERE d.organization_id = w.organization_id AND d.webhook_id = w.id AND w.gone = 1 LIMIT $1";
    let read = |mut row: Columns<'_, '_>| Ok((row.id()?, row.id()?, row.id()?));
    let mut rows: Vec<(OrganizationId, WebhookId, EventId)> =
        all(tx.db, old, params![time(before), most], read)?;
    let left = most.saturating_sub(u32::try_from(rows.len()).unwrap_or(most));
    rows.extend(all(tx.db, of_gone, params![left], read)?);
    for (organization, webhook, event) in rows {
        let key = params![blob(organization), blob(webhook), blob(event)];
        let sql =
            "SELECT state FROM deliveries WHERE organization_id = $1 AND webhook_id = $2 AND event_id = $3";
        // A row may have been found twice.
        let Some(state) = one(tx.db, sql, key, |mut row| row.get::<String>())? else { continue };
        let sql = "DELETE FROM deliveries WHERE organization_id = $1 AND webhook_id = $2 AND event_id = $3";
        write(tx.db, sql, key).map_err(failed)?;
        if state == WAITING {
            measure(tx.db, organization, webhook, -1)?;
        }
    }
    let sql = "DELETE FROM webhooks WHERE gone = 1 AND NOT EXISTS (SELECT 1 FROM deliveries d \
               WHERE d.organization_id = webhooks.organization_id AND d.webhook_id = webhooks.id)";
    write(tx.db, sql, &[]).map_err(failed)
}

/// Whether there is something to remove.
pub(crate) fn prunable(db: Db<'_>, before: Timestamp) -> Result<bool, StoreError> {
    Ok(exists(db, "SELECT 1 FROM deliveries WHERE at < $1", params![time(before)])?
        || exists(db, "SELECT 1 FROM webhooks WHERE gone = 1", &[])?)
}

/// The latest time that anything can wait for now. What is to wait for longer was written by a clock that was ahead: it is due.
pub(super) fn latest(now: Timestamp) -> i64 {
    time(now.checked_add(WAIT_MAX).unwrap_or(now))
}

/// The webhook's delivery that has been due for longest, with the webhook; none where nothing is due or it is switched off.
pub(crate) fn next(
    db: Db<'_>,
    organization: OrganizationId,
    id: WebhookId,
    now: Timestamp,
) -> Result<Option<(Webhook, Delivery)>, StoreError> {
    let Some(webhook) = webhook::get(db, organization, id)?.filter(|webhook| webhook.active) else {
        return Ok(None);
    };
    let sql = format!(
        "{SELECT} AND organization_id = $1 AND webhook_id = $2 AND state = 'waiting' AND (state_at <= $3 OR state_at > $4) \
         ORDER BY state_at, event_id LIMIT 1"
    );
    let row = params![blob(organization), blob(id), time(now), latest(now)];
    let delivery = one(db, &sql, row, read)?;
    Ok(delivery.map(|delivery| (webhook, delivery)))
}

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    webhook: WebhookId,
    event: EventId,
) -> Result<Option<Delivery>, StoreError> {
    let sql = format!("{SELECT} AND organization_id = $1 AND webhook_id = $2 AND event_id = $3");
    one(db, &sql, params![blob(organization), blob(webhook), blob(event)], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    webhook: WebhookId,
    page: &Page<EventId>,
) -> Result<Paged<Delivery>, StoreError> {
    let list = List::new(SELECT, Vec::new())
        .and("organization_id =", blob(organization).to_vec())
        .and("webhook_id =", blob(webhook).to_vec());
    list.page(db, "event_id", page_of_ids(page), read)
}

/// When the oldest event happened that still waits.
pub(crate) fn oldest(db: Db<'_>) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT at FROM deliveries WHERE state = 'waiting' ORDER BY at LIMIT 1";
    one(db, sql, &[], |mut row| row.time())
}
