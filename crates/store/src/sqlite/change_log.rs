//! The change log: which thing changed in which generation, and the reading of it.

use domain::Generation;
use domain::ids::{EndpointId, KeyId, NumberId, OrganizationId, ProviderId, RateId};
use domain::trace::TraceWindow;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use uuid::Uuid;

use super::sql::{Columns, corrupt, int, one};
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
    fn of(code: u64) -> Option<Self> {
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
        .find(|topic| *topic as u64 == code)
    }
}

pub(crate) fn generation(db: &Connection) -> Result<(Epoch, Generation), StoreError> {
    let found = one(db, "SELECT epoch, generation FROM meta WHERE one = 1", &[], |mut row| {
        Ok((row.uint()?, row.uint()?))
    })?;
    let (epoch, generation) = found.ok_or_else(|| corrupt("meta", "absent"))?;
    Ok((Epoch(epoch), Generation(generation)))
}

/// See [`crate::Store::changes_since`]. `db` is in a transaction: log and rows are of one snapshot.
pub(crate) fn since(db: &Connection, from: Generation, limit: usize) -> Result<Changes, StoreError> {
    let (_, newest) = generation(db)?;
    let mut changes = Changes { upto: newest, more: false, items: Vec::new() };
    let mut seen = HashSet::new();
    let sql = "SELECT generation, kind, organization_id, key FROM change_log WHERE generation > $1 ORDER BY generation, kind";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![int(from.0)])?;
    let mut last = from;
    while let Some(row) = rows.next()? {
        let mut row = Columns::new(row);
        let at = Generation(row.uint()?);
        // A generation is never cut in two: memory that has applied it has seen the whole commit.
        if seen.len() >= limit.max(1) && at != last {
            changes.more = true;
            changes.upto = last;
            return Ok(changes);
        }
        last = at;
        let code = row.uint()?;
        let topic = Topic::of(code).ok_or_else(|| corrupt("a topic of the change log", &code.to_string()))?;
        let organization: OrganizationId = row.id()?;
        let key = Uuid::from_bytes(row.get()?);
        if seen.insert((topic, organization, key)) {
            changes.items.extend(current(db, topic, organization, key)?);
        }
    }
    Ok(changes)
}

/// The thing as it is now.
fn current(
    db: &Connection,
    topic: Topic,
    owner: OrganizationId,
    id: Uuid,
) -> Result<Option<Changed>, StoreError> {
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
pub(crate) fn snapshot(
    db: &Connection,
    see: &mut dyn FnMut(Changed),
) -> Result<(Epoch, Generation), StoreError> {
    let at = generation(db)?;
    organization::each(db, |organization| {
        let balance = ledger::balance(db, organization.id)?;
        see(Changed::Organization(organization, balance));
        Ok(())
    })?;
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
