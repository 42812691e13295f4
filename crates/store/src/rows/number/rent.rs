//! What the rules of money ask of numbers: which rents are due, which are unpaid, how many numbers came lately, who was called.

use crate::db::{Db, params};
use domain::ids::{NumberId, OrganizationId};
use domain::{Number, Timestamp};

use super::super::sql::{all, blob, exists, int, one, time};
use super::{TABLE, read};
use crate::error::StoreError;

/// Held numbers of everybody whose rent is paid no longer than until `at`, the longest overdue first, behind `after`.
pub(crate) fn due(
    db: Db<'_>,
    at: Timestamp,
    after: Option<(Timestamp, u64)>,
    limit: u32,
) -> Result<Vec<Number>, StoreError> {
    // The conditions name the index.
    let sql = format!(
        "{} AND held = 1 AND rented_until IS NOT NULL AND rented_until <= $1 AND (rented_until, alias) > ($2, $3) \
         ORDER BY rented_until, alias LIMIT $4",
        TABLE.select
    );
    let (until, alias) = after.map_or((i64::MIN, 0), |(until, alias)| (time(until), int(alias)));
    all(db, &sql, params![time(at), until, alias, limit], read)
}

/// Held numbers of everybody that are off because their rent is unpaid, behind an alias.
pub(crate) fn unpaid(db: Db<'_>, after: u64, limit: u32) -> Result<Vec<Number>, StoreError> {
    let sql = format!("{} AND unpaid = 1 AND held = 1 AND alias > $1 ORDER BY alias LIMIT $2", TABLE.select);
    all(db, &sql, params![int(after), limit], read)
}

/// What counts as bought or brought in: not what is for tests, nor what a carrier was asked for and never delivered.
const COUNTED: &str = "network <> 'test' AND (network = 'public' OR delivered_at IS NOT NULL OR held = 1)";

/// How many numbers an organization has bought or brought in since a time; counted up to `most`.
pub(crate) fn born(
    db: Db<'_>,
    organization: OrganizationId,
    since: Timestamp,
    most: u64,
) -> Result<u64, StoreError> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM numbers WHERE organization_id = $1 AND created_at > $2 AND {COUNTED} LIMIT $3) AS counted"
    );
    Ok(one(db, &sql, params![blob(organization), time(since), int(most)], |mut row| row.uint())?.unwrap_or(0))
}

/// When the last number but `behind` came that an organization has bought or brought in.
pub(crate) fn last_born(
    db: Db<'_>,
    organization: OrganizationId,
    behind: u32,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = format!(
        "SELECT created_at FROM numbers WHERE organization_id = $1 AND {COUNTED} ORDER BY created_at DESC LIMIT 1 OFFSET $2"
    );
    one(db, &sql, params![blob(organization), behind], |mut row| row.time())
}

/// Whether a call to the number was answered. The months that are counted outlast the record of a call that was removed.
pub(crate) fn was_called(db: Db<'_>, organization: OrganizationId, id: NumberId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM usage WHERE organization_id = $1 AND number_id = $2 LIMIT 1";
    if exists(db, sql, params![blob(organization), blob(id)])? {
        return Ok(true);
    }
    let sql = "SELECT 1 FROM numbers n CROSS JOIN calls c WHERE c.organization_id = n.organization_id AND c.number = n.e164 \
               AND n.organization_id = $1 AND n.id = $2 AND c.number_id = n.id AND c.answered_at IS NOT NULL LIMIT 1";
    exists(db, sql, params![blob(organization), blob(id)])
}
