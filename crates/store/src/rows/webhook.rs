//! Webhooks: the rows. What waits for them is in [`super::delivery`].

use crate::db::{Db, params};
use domain::Page;
use domain::ids::{OrganizationId, WebhookId};
use domain::key::DialectName;
use domain::provider::Sealed;
use domain::{Paged, Timestamp, Webhook, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::delivery;
use super::list::{List, page_of_ids};
use super::sql::{Columns, Table, all, blob, change, int, json, one, time};
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let columns = "dialect, url, events, topics, active, secret, created_at, updated_at, version";
    Table::new("webhooks", columns, "organization_id, id")
});

fn read(mut row: Columns<'_, '_>) -> Result<Webhook, StoreError> {
    let (dialect, url) = (DialectName(row.get()?), row.get()?);
    let (events, topics) = (row.json()?, row.json()?);
    let (active, secret) = (row.get()?, Sealed(row.get()?));
    let (created_at, updated_at, version) = (row.time()?, row.time()?, row.uint()?);
    let (organization_id, id) = (row.id()?, row.id()?);
    Ok(Webhook {
        id,
        organization_id,
        dialect,
        url,
        events,
        topics,
        active,
        secret,
        created_at,
        updated_at,
        version,
    })
}

pub(super) fn put(tx: &mut Tx<'_>, webhook: &Webhook) -> Result<(), CommitError> {
    let Webhook {
        id,
        organization_id,
        dialect,
        url,
        events,
        topics,
        active,
        secret,
        created_at,
        updated_at,
        version,
    } = webhook;
    let (created, updated) = (time(*created_at), time(*updated_at));
    let row = params![
        dialect.0,
        url,
        json(events),
        json(topics),
        active,
        secret.0,
        created,
        updated,
        int(*version),
        blob(*organization_id),
        blob(*id)
    ];
    TABLE.put(tx.db, What::Webhook, *version, row).map_err(|f| f.about(What::Webhook, What::Organization))?;
    // Whoever changes it wants to see whether it works now.
    delivery::rest(tx.db, *organization_id, *id, None)?;
    tx.touch();
    Ok(())
}

/// Hides a webhook for good. Its deliveries may be many: they are removed later, some at a time. The version rises, so that a
/// change that was decided before finds it gone.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    id: WebhookId,
    version: u64,
) -> Result<(), CommitError> {
    let sql = "UPDATE webhooks SET gone = 1, active = 0, version = version + 1 \
               WHERE organization_id = $1 AND id = $2 AND version = $3 AND gone = 0";
    let done = change(tx.db, sql, params![blob(organization), blob(id), int(version)]);
    if !done.map_err(|f| f.about(What::Webhook, What::Webhook))? {
        return Err(CommitError::Stale(What::Webhook));
    }
    tx.touch();
    Ok(())
}

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    id: WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND id = $2 AND gone = 0", TABLE.select);
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    dialect: &DialectName,
    page: &Page<WebhookId>,
) -> Result<Paged<Webhook>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new())
        .and("organization_id =", blob(organization).to_vec())
        .literally("gone = 0")
        .and("dialect =", dialect.0.clone());
    list.page(db, "id", page_of_ids(page), read)
}

/// How many an organization has.
pub(super) fn count(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM webhooks WHERE organization_id = $1 AND gone = 0";
    Ok(one(db, sql, params![blob(organization)], |mut row| row.uint())?.unwrap_or(0))
}

/// Webhooks with a delivery that is due, and whether the last attempt failed; those of which none failed come first, then the
/// longest due.
pub(crate) fn due(
    db: Db<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(OrganizationId, WebhookId, bool)>, StoreError> {
    let sql = "SELECT organization_id, id, rests_until IS NOT NULL AS failed FROM webhooks WHERE due_at IS NOT NULL AND active = 1 \
               AND gone = 0 AND (due_at <= $1 OR due_at > $2) ORDER BY failed, due_at LIMIT $3";
    let row = params![time(now), delivery::latest(now), limit];
    all(db, sql, row, |mut row| Ok((row.id()?, row.id()?, row.get()?)))
}
