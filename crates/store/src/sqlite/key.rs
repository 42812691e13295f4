//! API keys: found by the hash of their secret.

use domain::ids::{KeyId, OrganizationId};
use domain::key::{DialectName, KeyHash, Mode, Role, Scope};
use domain::{Key, Page, Paged, What};
use rusqlite::{Connection, params};
use std::sync::LazyLock;

use super::apply::Tx;
use super::change_log::Topic;
use super::list::{List, page_of_ids};
use super::sql::{Columns, Table, blob, corrupt, int, json, one, time, time_of};
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let columns = "name, dialect, role, scopes, mode, prefix, created_at, revoked_at, version";
    Table::new("keys", columns, "hash, organization_id, id")
});

fn read(mut row: Columns<'_, '_>) -> Result<Key, StoreError> {
    let name = row.get()?;
    let dialect = DialectName(row.get()?);
    let role = row.named(Role::parse)?;
    let scopes: Option<String> = row.get()?;
    let scopes = scopes.map(|text| scopes_read(&text)).transpose()?;
    let mode = row.named(Mode::parse)?;
    let prefix = row.get()?;
    let (created_at, revoked_at, version) = (row.time()?, row.time_of()?, row.uint()?);
    let hash = KeyHash(row.get()?);
    let (organization_id, id) = (row.id()?, row.id()?);
    Ok(Key {
        id,
        organization_id,
        name,
        dialect,
        role,
        scopes,
        mode,
        prefix,
        hash,
        created_at,
        revoked_at,
        version,
    })
}

fn scopes_read(text: &str) -> Result<Vec<Scope>, StoreError> {
    let names: Vec<String> = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    names.iter().map(|name| Scope::parse(name).ok_or_else(|| corrupt("a scope", name))).collect()
}

pub(super) fn put(tx: &mut Tx<'_>, key: &Key) -> Result<(), CommitError> {
    let Key {
        id,
        organization_id,
        name,
        dialect,
        role,
        scopes,
        mode,
        prefix,
        hash,
        created_at,
        revoked_at,
        version,
    } = key;
    let scopes = scopes.as_ref().map(|s| json(&s.iter().map(Scope::to_string).collect::<Vec<_>>()));
    let (created, revoked, own) = (time(*created_at), time_of(*revoked_at), blob(*id));
    let row = params![
        name,
        dialect.0,
        role.as_str(),
        scopes,
        mode.as_str(),
        prefix,
        created,
        revoked,
        int(*version),
        hash.0,
        blob(*organization_id),
        own
    ];
    TABLE.put(tx.db, What::Key, *version, row).map_err(|f| f.about(What::Key, What::Organization))?;
    tx.log(Topic::Key, *organization_id, &own)
}

pub(crate) fn get(
    db: &Connection,
    organization: OrganizationId,
    id: KeyId,
) -> Result<Option<Key>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND id = $2", TABLE.select);
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn find(db: &Connection, hash: &KeyHash) -> Result<Option<Key>, StoreError> {
    one(db, &format!("{} AND hash = $1", TABLE.select), params![hash.0], read)
}

pub(crate) fn list(
    db: &Connection,
    organization: OrganizationId,
    page: &Page<KeyId>,
) -> Result<Paged<Key>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new()).and("organization_id =", blob(organization).to_vec());
    list.page(db, "id", page_of_ids(page), read)
}

/// Every key that was not revoked.
pub(super) fn each(
    db: &Connection,
    mut see: impl FnMut(Key) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare(&format!("{} AND revoked_at IS NULL", TABLE.select))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        see(read(Columns::new(row))?)?;
    }
    Ok(())
}
