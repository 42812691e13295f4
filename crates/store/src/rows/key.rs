//! API keys: found by the hash of their secret.

use crate::db::{Db, params};
use domain::ids::{KeyId, OrganizationId};
use domain::key::{DialectName, KeyHash, KeyUsage, KeyUse, Mode, Role, Scope};
use domain::{Key, Page, Paged, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::change_log::Topic;
use super::endpoint::{addresses_read, addresses_text};
use super::list::{List, page_of_ids};
use super::sql::{Columns, Table, all, blob, corrupt, int, json, one, time, time_of, write};
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let columns = "name, dialect, role, scopes, mode, allowed_addresses, expires_at, prefix, created_at, revoked_at, replaced_at, version";
    Table::new("keys", columns, "hash, organization_id, id")
});

fn read(mut row: Columns<'_, '_>) -> Result<Key, StoreError> {
    let name = row.get()?;
    let dialect = DialectName(row.get()?);
    let role = row.named(Role::parse)?;
    let scopes: Option<String> = row.get()?;
    let scopes = scopes.map(|text| scopes_read(&text)).transpose()?;
    let mode = row.named(Mode::parse)?;
    let allowed_addresses = addresses_read(&row.json::<Vec<String>>()?)?;
    let expires_at = row.time_of()?;
    let prefix = row.get()?;
    let (created_at, revoked_at, replaced_at) = (row.time()?, row.time_of()?, row.time_of()?);
    let version = row.uint()?;
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
        allowed_addresses,
        expires_at,
        prefix,
        hash,
        created_at,
        revoked_at,
        replaced_at,
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
        allowed_addresses,
        expires_at,
        prefix,
        hash,
        created_at,
        revoked_at,
        replaced_at,
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
        json(&addresses_text(allowed_addresses)),
        time_of(*expires_at),
        prefix,
        created,
        revoked,
        time_of(*replaced_at),
        int(*version),
        hash.0,
        blob(*organization_id),
        own
    ];
    TABLE.put(tx.db, What::Key, *version, row).map_err(|f| f.about(What::Key, What::Organization))?;
    tx.log(Topic::Key, *organization_id, &own)
}

pub(crate) fn get(db: Db<'_>, organization: OrganizationId, id: KeyId) -> Result<Option<Key>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND id = $2", TABLE.select);
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn find(db: Db<'_>, hash: &KeyHash) -> Result<Option<Key>, StoreError> {
    one(db, &format!("{} AND hash = $1", TABLE.select), params![hash.0], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<KeyId>,
) -> Result<Paged<Key>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new()).and("organization_id =", blob(organization).to_vec());
    list.page(db, "id", page_of_ids(page), read)
}

/// The tenant's keys of one API.
pub(crate) fn list_of(
    db: Db<'_>,
    organization: OrganizationId,
    dialect: &DialectName,
    page: &Page<KeyId>,
) -> Result<Paged<Key>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new())
        .and("organization_id =", blob(organization).to_vec())
        .and("dialect =", dialect.0.clone());
    list.page(db, "id", page_of_ids(page), read)
}

/// Adds uses of a key. What is older than anybody asks for goes, except while nothing newer stands beside it.
pub(super) fn used(tx: &mut Tx<'_>, used: &KeyUse) -> Result<(), CommitError> {
    let KeyUse { organization_id, key_id, hour, requests, last_at } = used;
    let (owner, own) = (blob(*organization_id), blob(*key_id));
    let sql = "INSERT INTO key_usage (organization_id, key_id, hour, requests, last_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (organization_id, key_id, hour) DO UPDATE SET \
               requests = key_usage.requests + excluded.requests, last_at = CASE WHEN excluded.last_at > key_usage.last_at THEN excluded.last_at ELSE key_usage.last_at END";
    let row = params![owner, own, hour, int(*requests), time(*last_at)];
    write(tx.db, sql, row).map_err(|f| f.about(What::Key, What::Key))?;
    let sql = "DELETE FROM key_usage WHERE organization_id = $1 AND key_id = $2 AND hour <= $3";
    let [_, month] = KeyUsage::HOURS;
    write(tx.db, sql, params![owner, own, hour - month]).map_err(|f| f.about(What::Key, What::Key))?;
    Ok(())
}

/// How much a key was used, by hours.
pub(crate) fn usage(
    db: Db<'_>,
    organization_id: OrganizationId,
    key_id: KeyId,
) -> Result<Vec<KeyUse>, StoreError> {
    let sql = "SELECT hour, requests, last_at FROM key_usage WHERE organization_id = $1 AND key_id = $2 ORDER BY hour";
    all(db, sql, params![blob(organization_id), blob(key_id)], |mut row| {
        Ok(KeyUse { organization_id, key_id, hour: row.get()?, requests: row.uint()?, last_at: row.time()? })
    })
}

/// Every key that was not revoked.
pub(super) fn each(db: Db<'_>, mut see: impl FnMut(Key) -> Result<(), StoreError>) -> Result<(), StoreError> {
    super::sql::each(db, &format!("{} AND revoked_at IS NULL", TABLE.select), |row| see(read(row)?))
}
