//! Calls: facts come in, each call's row is folded anew from all of its facts.
//!
//! The facts stand in the call's own row: appending is one read and one write per call, and reading a call folds them, so that
//! what is shown cannot differ from what happened. A call is settled in the transaction in which it is first final.

pub(crate) mod agent;
pub(crate) mod query;
mod settle;
mod tell;

use crate::db::{Db, params};
use domain::call::{CallQuery, FactKind, Note};
use domain::ids::{AgentId, CallId, NumberId, OrganizationId};
use domain::{Call, Fact, Page, Paged, Timestamp};
use std::collections::HashSet;

use super::apply::{Group, Tx};
use super::delivery;
use super::list::page_of_ids;
use super::sql::{
    Columns, absent, all, blob, blob_of, change, corrupt, e164, int, one, time, time_of, write,
};
use crate::error::{CommitError, StoreError};
use crate::fact::{line_read, line_write};
use crate::feed::{Appended, OpenCall};
use settle::Settled;
use tell::Told;

const SELECT: &str = "SELECT organization_id, id, facts FROM calls WHERE true";

fn facts_read(organization: OrganizationId, call: CallId, text: &str) -> Result<Vec<Fact>, StoreError> {
    let read = |line| {
        line_read(organization, call, line).ok_or_else(|| corrupt("a fact of call", &call.to_string()))
    };
    text.lines().map(read).collect()
}

fn facts_write(facts: &[Fact]) -> String {
    let mut text = String::new();
    for fact in facts {
        if !text.is_empty() {
            text.push('\n');
        }
        line_write(fact, &mut text);
    }
    text
}

fn read_facts(mut row: Columns<'_, '_>) -> Result<Vec<Fact>, StoreError> {
    let (organization, call, text): (_, _, String) = (row.id()?, row.id()?, row.get()?);
    facts_read(organization, call, &text)
}

/// What a call's row holds beside its facts.
#[derive(Default)]
struct Kept {
    settled: Settled,
    agent_id: Option<AgentId>,
    redacted_at: Option<Timestamp>,
    told: Told,
}

fn read(row: Columns<'_, '_>) -> Result<Call, StoreError> {
    Call::fold(&read_facts(row)?).ok_or_else(|| corrupt("a call", "without facts"))
}

/// Appends facts; see [`crate::Store::facts_append`].
pub(crate) fn append(db: Db<'_>, group: &mut Group, facts: Vec<Fact>) -> Result<Appended, StoreError> {
    let mut tx = Tx::new(db, group);
    let mut appended = Appended::default();
    let mut groups: Vec<Vec<Fact>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for fact in facts {
        let place = *places.entry((fact.organization_id, fact.call_id)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(fact);
    }
    for group in groups {
        append_to_call(&mut tx, group, &mut appended)?;
    }
    delivery::announce(&mut tx)?;
    appended.generation = tx.raise();
    Ok(appended)
}

/// Adds facts of one call that are not there yet. The first fact of a kind stays: a repeat changes nothing. Of refreshes
/// the last one stays.
fn append_to_call(tx: &mut Tx<'_>, facts: Vec<Fact>, appended: &mut Appended) -> Result<(), StoreError> {
    let Some(first) = facts.first() else { return Ok(()) };
    let (organization, id) = (first.organization_id, first.call_id);
    let sql = "SELECT facts, settled, minutes, charged, agent_id, redacted_at, told FROM calls WHERE organization_id = $1 AND id = $2";
    let stored = one(tx.db, sql, params![blob(organization), blob(id)], |mut row| {
        let text: String = row.get()?;
        let settled = Settled { ended: row.get()?, minutes: row.uint()?, charged: row.micros()? };
        let (agent_id, redacted_at) = (row.agent_of()?, row.time_of()?);
        Ok((text, Kept { settled, agent_id, redacted_at, told: Told(row.get()?) }))
    })?;
    if stored.is_none() && !may_begin(tx.db, organization, id)? {
        return Ok(());
    }
    let (mut text, mut kept) = stored.unwrap_or_default();
    let mut known = facts_read(organization, id, &text)?;
    let mut keys: HashSet<String> = known.iter().map(Fact::key).collect();
    let before = known.len();
    let mut renewed = false;
    for fact in facts {
        // What comes late to a record without its private part brings none back.
        let fact = if kept.redacted_at.is_some() { fact.redacted() } else { fact };
        let same = |one: &&mut Fact| matches!(one.kind, FactKind::Refreshed(_));
        if let FactKind::Refreshed(_) = fact.kind
            && let Some(known) = known.iter_mut().find(same)
        {
            // of these the last one stays: a long call has many
            renewed |= known.at.wall < fact.at.wall;
            if known.at.wall < fact.at.wall {
                *known = fact;
            }
            continue;
        }
        if keys.insert(fact.key()) {
            if !text.is_empty() {
                text.push('\n');
            }
            line_write(&fact, &mut text);
            known.push(fact);
        }
    }
    if known.len() == before && !renewed {
        return Ok(());
    }
    if renewed {
        text = facts_write(&known);
    }
    appended.inserted += known.len() - before;
    let Some(call) = Call::fold(&known) else { return Ok(()) };
    let was_ended = kept.settled.ended;
    settle::settle(tx, &call, &mut kept.settled)?;
    tell::tell(tx, &call, &known, &mut kept.told)?;
    let settled = kept.settled.ended && !was_ended;
    appended.settled += usize::from(settled);
    appended.unproven += usize::from(settled && call.notes.contains(&Note::Unproven));
    if kept.agent_id.is_none() {
        kept.agent_id = agent_of(tx.db, &call)?;
    }
    row_put(tx.db, &call, &kept, &text)
}

/// Whether no record of the call was removed, as is expected: facts that come again must not bring it back, nor count and charge it
/// once more.
fn may_begin(db: Db<'_>, organization: OrganizationId, id: CallId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM calls_gone WHERE organization_id = $1 AND id = $2";
    absent(db, sql, params![blob(organization), blob(id)])
}

/// Removes the record of a call that has ended.
pub(super) fn delete(tx: &mut Tx<'_>, organization: OrganizationId, id: CallId) -> Result<(), CommitError> {
    let row = params![blob(organization), blob(id)];
    let about = |f: crate::db::Failure| f.about(domain::What::Call, domain::What::Call);
    let sql = "DELETE FROM calls WHERE organization_id = $1 AND id = $2 AND open = 0";
    if !change(tx.db, sql, row).map_err(about)? {
        return Err(CommitError::Stale(domain::What::Call));
    }
    tx.touch();
    // What was told of it goes too, as far as it is private.
    delivery::redact_call(tx, organization, id)?;
    let sql = "INSERT INTO calls_gone (organization_id, id) VALUES ($1, $2)";
    write(tx.db, sql, row).map_err(about)
}

/// Who has the call's number at this moment: written with the call, it stays when the number goes to somebody else.
fn agent_of(db: Db<'_>, call: &Call) -> Result<Option<AgentId>, StoreError> {
    // A call that an API began names its agent itself.
    if let Some(agent) = call.origin.as_ref().and_then(|origin| origin.agent_id.clone()) {
        return Ok(Some(agent));
    }
    let Some(number) = call.number_id else { return Ok(None) };
    let sql = "SELECT agent_id FROM numbers WHERE organization_id = $1 AND id = $2";
    let found = one(db, sql, params![blob(call.organization_id), blob(number)], |mut row| row.agent_of())?;
    Ok(found.flatten())
}

fn row_put(db: Db<'_>, call: &Call, kept: &Kept, facts: &str) -> Result<(), StoreError> {
    let Call {
        id,
        organization_id,
        direction,
        number_id,
        number,
        from: _,
        to: _,
        status,
        started_at,
        answered_at,
        ended_at,
        duration_seconds,
        monotonic: _,
        ended_by: _,
        sip_status: _,
        reason: _,
        provider_id: _,
        endpoint_id: _,
        attempts: _,
        generation: _,
        price: _,
        cost,
        dialog: _,
        trail: _,
        source: _,
        notes: _,
        origin: _,
        legs: _,
    } = call;
    let Kept { settled: Settled { ended, minutes, charged }, agent_id, redacted_at, told } = kept;
    let sql = "INSERT INTO calls (organization_id, id, number_id, number, direction, status, open, started_at, answered_at, \
               ended_at, duration_seconds, cost, settled, minutes, charged, facts, agent_id, redacted_at, told) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
               ON CONFLICT (organization_id, id) DO UPDATE SET number_id = excluded.number_id, number = excluded.number, \
               direction = excluded.direction, status = excluded.status, open = excluded.open, \
               started_at = excluded.started_at, answered_at = excluded.answered_at, ended_at = excluded.ended_at, \
               duration_seconds = excluded.duration_seconds, cost = excluded.cost, settled = excluded.settled, \
               minutes = excluded.minutes, charged = excluded.charged, facts = excluded.facts, \
               agent_id = excluded.agent_id, redacted_at = excluded.redacted_at, told = excluded.told";
    let row = params![
        blob(*organization_id),
        blob(*id),
        blob_of(*number_id),
        number.map(e164),
        direction.as_str(),
        status.as_str(),
        !status.is_final(),
        time(*started_at),
        time_of(*answered_at),
        time_of(*ended_at),
        int(*duration_seconds),
        cost.0,
        ended,
        int(*minutes),
        charged.0,
        facts,
        agent_id.as_ref().map(AgentId::as_str),
        time_of(*redacted_at),
        told.0
    ];
    let failed = |f: crate::db::Failure| {
        StoreError::Database(f.about(domain::What::Call, domain::What::Call).to_string())
    };
    write(db, sql, row).map_err(failed)
}

impl From<CommitError> for StoreError {
    /// For what is posted on behalf of a call, where no expectation of a client can fail.
    fn from(error: CommitError) -> Self {
        Self::Database(error.to_string())
    }
}

pub(crate) fn get(db: Db<'_>, organization: OrganizationId, id: CallId) -> Result<Option<Call>, StoreError> {
    one(
        db,
        &format!("{SELECT} AND organization_id = $1 AND id = $2"),
        params![blob(organization), blob(id)],
        read,
    )
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    query: &CallQuery,
    page: &Page<CallId>,
) -> Result<Paged<Call>, StoreError> {
    let list = query::filtered(SELECT, organization, query);
    list.page(db, "id", page_of_ids(page), read)
}

/// Calls to which more is to come, the oldest first.
pub(crate) fn open(db: Db<'_>, limit: u32) -> Result<Vec<OpenCall>, StoreError> {
    open_since(db, Timestamp::UNIX_EPOCH, limit)
}

pub(crate) fn open_since(db: Db<'_>, since: Timestamp, limit: u32) -> Result<Vec<OpenCall>, StoreError> {
    let sql = format!("{SELECT} AND open = 1 AND started_at >= $1 ORDER BY started_at LIMIT $2");
    let found = all(db, &sql, params![time(since), limit], |row| {
        let facts = read_facts(row)?;
        let last = facts.iter().map(|fact| fact.at).max_by_key(|at| at.wall);
        Ok(Call::fold(&facts).zip(last).map(|(call, last)| OpenCall { call, last }))
    })?;
    Ok(found.into_iter().flatten().collect())
}

pub(crate) fn in_progress(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM calls WHERE organization_id = $1 AND open = 1";
    Ok(one(db, sql, params![blob(organization)], |mut row| row.uint())?.unwrap_or(0))
}

/// Minutes of each of these numbers in the month that begins at `month`.
pub(crate) fn minutes(
    db: Db<'_>,
    organization: OrganizationId,
    numbers: &[NumberId],
    month: Timestamp,
) -> Result<Vec<(NumberId, u64)>, StoreError> {
    let sql = "SELECT minutes FROM usage WHERE organization_id = $1 AND number_id = $2 AND month = $3";
    let of = |id: &NumberId| {
        let found = one(db, sql, params![blob(organization), blob(*id), time(month)], |mut row| row.uint())?;
        Ok((*id, found.unwrap_or(0)))
    };
    numbers.iter().map(of).collect()
}
