//! Rates: one row for each owner, direction and prefix.

use crate::db::{Db, params};
use domain::call::Direction;
use domain::ids::{OrganizationId, RateId};
use domain::rate::Prefix;
use domain::{Page, Paged, Price, Rate, What};

use super::apply::Tx;
use super::change_log::Topic;
use super::list::{List, page_of_ids};
use super::sql::{Columns, all, blob, change, corrupt, one, time, write};
use crate::error::{CommitError, StoreError};

const SELECT: &str = "SELECT organization_id, id, direction, prefix, per_minute, setup, minimum_seconds, \
                      increment_seconds, created_at FROM rates WHERE true";

fn read(mut row: Columns<'_, '_>) -> Result<Rate, StoreError> {
    let (organization_id, id) = (row.id()?, row.id()?);
    let (direction, prefix): (String, String) = (row.get()?, row.get()?);
    let direction = Direction::parse(&direction).ok_or_else(|| corrupt("a rate's direction", &direction))?;
    let prefix = Prefix::parse(&prefix).ok_or_else(|| corrupt("a rate's prefix", &prefix))?;
    let price = Price {
        per_minute: row.micros()?,
        setup: row.micros()?,
        minimum_seconds: row.get()?,
        increment_seconds: row.get()?,
    };
    Ok(Rate { id, organization_id, direction, prefix, price, created_at: row.time()? })
}

/// Sets a rate. What had its prefix goes; memory is told of both.
pub(super) fn put(tx: &mut Tx<'_>, rate: &Rate) -> Result<(), CommitError> {
    let Rate { id, organization_id, direction, prefix, price, created_at } = rate;
    let Price { per_minute, setup, minimum_seconds, increment_seconds } = price;
    let sql = "SELECT id FROM rates WHERE organization_id = $1 AND direction = $2 AND prefix = $3";
    let (owner, prefix) = (blob(*organization_id), prefix.to_string());
    let before: Option<RateId> =
        one(tx.db, sql, params![owner, direction.as_str(), prefix], |mut row| row.id())?;
    if let Some(before) = before {
        delete(tx, *organization_id, before)?;
    }
    let sql = "INSERT INTO rates (organization_id, id, direction, prefix, per_minute, setup, minimum_seconds, \
               increment_seconds, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let row = params![
        owner,
        blob(*id),
        direction.as_str(),
        prefix,
        per_minute.0,
        setup.0,
        minimum_seconds,
        increment_seconds,
        time(*created_at)
    ];
    write(tx.db, sql, row).map_err(|f| f.about(What::Rate, What::Organization))?;
    tx.log(Topic::Rate, *organization_id, &blob(*id))
}

pub(super) fn delete(tx: &mut Tx<'_>, organization: OrganizationId, id: RateId) -> Result<(), CommitError> {
    let sql = "DELETE FROM rates WHERE organization_id = $1 AND id = $2";
    let done = change(tx.db, sql, params![blob(organization), blob(id)]);
    if !done.map_err(|f| f.about(What::Rate, What::Rate))? {
        return Err(CommitError::Stale(What::Rate));
    }
    tx.log(Topic::Rate, organization, &blob(id))
}

pub(crate) fn get(db: Db<'_>, organization: OrganizationId, id: RateId) -> Result<Option<Rate>, StoreError> {
    let sql = format!("{SELECT} AND organization_id = $1 AND id = $2");
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<RateId>,
) -> Result<Paged<Rate>, StoreError> {
    // Everybody's stand beside one's own.
    let list = List::new(SELECT, Vec::new())
        .and("(organization_id =", blob(organization).to_vec())
        .or("organization_id =", blob(OrganizationId::NONE).to_vec())
        .literally_closed(")");
    list.page(db, "id", page_of_ids(page), read)
}

/// How many an owner has.
pub(super) fn count(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM rates WHERE organization_id = $1";
    Ok(one(db, sql, params![blob(organization)], |mut row| row.uint())?.unwrap_or(0))
}

/// Every rate.
pub(super) fn each(db: Db<'_>, mut see: impl FnMut(Rate)) -> Result<(), StoreError> {
    for rate in all(db, SELECT, params![], read)? {
        see(rate);
    }
    Ok(())
}
