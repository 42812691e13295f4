//! Organizations.

use crate::db::{Db, params};
use domain::ids::OrganizationId;
use domain::organization::Kyc;
use domain::{Micros, Organization, Page, Paged, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::change_log::Topic;
use super::list::{List, page_of_ids};
use super::sql::{Columns, Table, bag, blob, int, one, time, write};
use crate::error::{CommitError, StoreError};

const COLUMNS: &str = "name, kyc, number_slots, settings, created_at, updated_at, serial, version";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new("organizations", COLUMNS, "id"));

fn read(mut row: Columns<'_, '_>) -> Result<Organization, StoreError> {
    let name = row.get()?;
    let kyc = row.named(Kyc::parse)?;
    let number_slots = row.get()?;
    let settings = row.json()?;
    let (created_at, updated_at) = (row.time()?, row.time()?);
    row.skip(); // serial
    let version = row.uint()?;
    Ok(Organization { id: row.id()?, name, kyc, number_slots, settings, created_at, updated_at, version })
}

pub(super) fn put(tx: &mut Tx<'_>, organization: &Organization) -> Result<(), CommitError> {
    let Organization { id, name, kyc, number_slots, settings, created_at, updated_at, version } =
        organization;
    let key = blob(*id);
    let serial = match serial(tx.db, *id)? {
        Some(serial) => serial,
        None => tx.counters.next_serial(),
    };
    let (settings, created, updated) = (bag(settings), time(*created_at), time(*updated_at));
    let row = params![
        name,
        kyc.as_str(),
        number_slots,
        settings,
        created,
        updated,
        int(serial),
        int(*version),
        key
    ];
    TABLE
        .put(tx.db, What::Organization, *version, row)
        .map_err(|f| f.about(What::Organization, What::Organization))?;
    if *version == 1 {
        let sql = "INSERT INTO holdings (organization_id, held) VALUES ($1, 0)";
        write(tx.db, sql, params![key]).map_err(|f| f.about(What::Organization, What::Organization))?;
    }
    tx.log(Topic::Organization, *id, &key)
}

/// The number that stands for an organization in the search index.
pub(super) fn serial(db: Db<'_>, id: OrganizationId) -> Result<Option<u64>, StoreError> {
    one(db, "SELECT serial FROM organizations WHERE id = $1", params![blob(id)], |mut row| row.uint())
}

pub(crate) fn get(db: Db<'_>, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
    one(db, &format!("{} AND id = $1", TABLE.select), params![blob(id)], read)
}

pub(crate) fn list(db: Db<'_>, page: &Page<OrganizationId>) -> Result<Paged<Organization>, StoreError> {
    List::new(&TABLE.select, Vec::new()).page(db, "id", page_of_ids(page), read)
}

pub(crate) fn count(db: Db<'_>) -> Result<u64, StoreError> {
    let count = one(db, "SELECT count(*) FROM organizations", &[], |mut row| row.uint())?;
    Ok(count.unwrap_or(0))
}

/// Every organization with what its wallet holds, one after the other.
pub(super) fn each(db: Db<'_>, mut see: impl FnMut(Organization, Micros)) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT (SELECT e.balance_after FROM entries e WHERE e.organization_id = o.id AND e.account = 'wallet' \
         ORDER BY e.id DESC LIMIT 1), {COLUMNS}, id FROM organizations o"
    );
    super::sql::each(db, &sql, |mut row| {
        let balance: Option<i64> = row.get()?;
        see(read(row)?, Micros(balance.unwrap_or(0)));
        Ok(())
    })
}
