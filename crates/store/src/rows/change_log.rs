//! The change log: which thing changed in which generation, and the reading of it.

use crate::db::{Db, params};
use domain::Generation;
use domain::ids::{EndpointId, KeyId, NumberId, OrganizationId, ProviderId, RateId};
use domain::trace::TraceWindow;
use std::collections::HashSet;
use uuid::Uuid;

use super::sql::{all, blob, corrupt, int, one};
use super::{endpoint, key, ledger, number, organization, provider, rate, trace};
use crate::error::StoreError;
use crate::feed::{Changed, Changes, Epoch};

/// What kind of thing a row of the log names. The numbers are stored: they are never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Organization = 1,
    Balance = 2,
    Key = 3,
    Endpoint = 4,
    Provider = 5,
    Number = 6,
    Rate = 7,
    Trace = 8,
}

impl Topic {
    fn of(code: u8) -> Option<Self> {
        [
            Self::Organization,
            Self::Balance,
            Self::Key,
            Self::Endpoint,
            Self::Provider,
            Self::Number,
            Self::Rate,
            Self::Trace,
        ]
        .into_iter()
        .find(|topic| *topic as u8 == code)
    }
}

pub(crate) fn generation(db: Db<'_>) -> Result<(Epoch, Generation), StoreError> {
    let found = one(db, "SELECT epoch, generation FROM meta WHERE one = 1", &[], |mut row| {
        Ok((row.uint()?, row.uint()?))
    })?;
    let (epoch, generation) = found.ok_or_else(|| corrupt("meta", "absent"))?;
    Ok((Epoch(db.epoch(epoch)), Generation(generation)))
}

/// See [`crate::Store::changes_since`]. `db` is in a transaction: log and rows are of one snapshot.
pub(crate) fn since(db: Db<'_>, from: Generation, limit: usize) -> Result<Changes, StoreError> {
    let mut at = Line { generation: from, ..Line::LAST };
    let (epoch, newest, mut lines) = look(db, &at)?;
    if newest > from {
        db.see_whole()?;
    }
    let mut changes = Changes { epoch, newest, upto: newest, more: false, items: Vec::new() };
    let mut seen = HashSet::new();
    loop {
        let whole = lines.len() < LINES;
        for line in lines {
            // A generation is never cut in two: memory that has applied it has seen the whole commit.
            if seen.len() >= limit.max(1) && line.generation != at.generation {
                changes.more = true;
                changes.upto = at.generation;
                return Ok(changes);
            }
            let Line { kind, organization, key, .. } = line;
            let unknown = || corrupt("a topic of the change log", &kind.to_string());
            let topic = Topic::of(kind).ok_or_else(unknown)?;
            if seen.insert((topic, organization, key)) {
                changes.items.extend(current(db, topic, organization, key)?);
            }
            at = line;
        }
        if whole {
            return Ok(changes);
        }
        lines = lines_behind(db, &at)?;
    }
}

/// How many lines of the log are read at once.
const LINES: usize = 1_000;

/// A line of the log.
struct Line {
    generation: Generation,
    kind: u8,
    organization: OrganizationId,
    key: Uuid,
}

impl Line {
    /// Behind every line of its generation.
    const LAST: Self = Self {
        generation: Generation(0),
        kind: u8::MAX,
        organization: OrganizationId(Uuid::max()),
        key: Uuid::max(),
    };
}

/// The history, its newest generation and the first lines behind one: a single question, since each node asks it after each commit
/// of any.
fn look(db: Db<'_>, line: &Line) -> Result<(Epoch, Generation, Vec<Line>), StoreError> {
    let sql = "SELECT meta.epoch, meta.generation, behind.generation, kind, organization_id, key FROM meta LEFT JOIN \
               (SELECT generation, kind, organization_id, key FROM change_log \
                WHERE (generation, kind, organization_id, key) > ($1, $2, $3, $4) \
                ORDER BY generation, kind, organization_id, key LIMIT $5) AS behind ON TRUE \
               WHERE one = 1 ORDER BY behind.generation, kind, organization_id, key";
    let Line { generation, kind, organization, key } = line;
    let most = int(LINES as u64);
    let row = params![int(generation.0), kind, blob(*organization), key.into_bytes(), most];
    let rows = all(db, sql, row, |mut row| {
        let meta = (row.uint()?, row.uint()?);
        let Some(generation) = row.get::<Option<i64>>()? else { return Ok((meta, None)) };
        let generation =
            u64::try_from(generation).map_err(|_| corrupt("a count", &generation.to_string()))?;
        let (generation, kind) = (Generation(generation), row.get()?);
        let line = Line { generation, kind, organization: row.id()?, key: Uuid::from_bytes(row.get()?) };
        Ok((meta, Some(line)))
    })?;
    let (epoch, newest) = rows.first().map(|(meta, _)| *meta).ok_or_else(|| corrupt("meta", "absent"))?;
    let lines = rows.into_iter().filter_map(|(_, line)| line).collect();
    Ok((Epoch(db.epoch(epoch)), Generation(newest), lines))
}

/// The lines behind one, in order, as many as are read at once.
fn lines_behind(db: Db<'_>, line: &Line) -> Result<Vec<Line>, StoreError> {
    let sql = "SELECT generation, kind, organization_id, key FROM change_log \
               WHERE (generation, kind, organization_id, key) > ($1, $2, $3, $4) \
               ORDER BY generation, kind, organization_id, key LIMIT $5";
    let Line { generation, kind, organization, key } = line;
    let most = int(LINES as u64);
    let row = params![int(generation.0), kind, blob(*organization), key.into_bytes(), most];
    all(db, sql, row, |mut row| {
        let (generation, kind) = (Generation(row.uint()?), row.get()?);
        Ok(Line { generation, kind, organization: row.id()?, key: Uuid::from_bytes(row.get()?) })
    })
}

/// The thing as it is now.
fn current(db: Db<'_>, topic: Topic, owner: OrganizationId, id: Uuid) -> Result<Option<Changed>, StoreError> {
    Ok(match topic {
        Topic::Organization => match organization::get(db, owner)? {
            Some(organization) => Some(Changed::Organization(organization, ledger::balance(db, owner)?)),
            None => None,
        },
        Topic::Balance => Some(Changed::Balance(owner, ledger::balance(db, owner)?)),
        Topic::Key => key::get(db, owner, KeyId(id))?.map(Changed::Key),
        Topic::Endpoint => {
            let gone = Changed::EndpointGone(EndpointId(id));
            Some(endpoint::get(db, owner, EndpointId(id))?.map_or(gone, Changed::Endpoint))
        }
        Topic::Provider => {
            let gone = Changed::ProviderGone(ProviderId(id));
            Some(provider::get(db, ProviderId(id))?.map_or(gone, Changed::Provider))
        }
        Topic::Number => number::slim(db, owner, NumberId(id))?.map(Changed::Number),
        Topic::Rate => {
            let gone = Changed::RateGone(RateId(id));
            Some(rate::get(db, owner, RateId(id))?.map_or(gone, Changed::Rate))
        }
        Topic::Trace => {
            let number_id = NumberId(id);
            let until = trace::until(db, owner, number_id)?;
            Some(Changed::Trace(TraceWindow { number_id, until }))
        }
    })
}

/// See [`crate::Store::snapshot`]. `db` is in a transaction. What numbers refer to comes before them.
pub(crate) fn snapshot(db: Db<'_>, see: &mut dyn FnMut(Changed)) -> Result<(Epoch, Generation), StoreError> {
    let at = generation(db)?;
    db.see_whole()?;
    organization::each(db, |organization, balance| see(Changed::Organization(organization, balance)))?;
    key::each(db, |key| {
        see(Changed::Key(key));
        Ok(())
    })?;
    provider::each(db, |provider| {
        see(Changed::Provider(provider));
        Ok(())
    })?;
    endpoint::each(db, |endpoint| {
        see(Changed::Endpoint(endpoint));
        Ok(())
    })?;
    rate::each(db, |rate| see(Changed::Rate(rate)))?;
    trace::each(db, |window| see(Changed::Trace(window)))?;
    number::each(db, |number| {
        see(Changed::Number(number));
        Ok(())
    })?;
    Ok(at)
}
