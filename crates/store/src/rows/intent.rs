//! Work at carriers.

use crate::db::{Db, params};
use domain::change::KEPT_HOURS;
use domain::claim::WAIT_MAX;
use domain::e164::E164;
use domain::ids::{IntentId, NodeId, NumberId};
use domain::intent::{Progress, Slot, Work};
use domain::number::Network;
use domain::{Intent, Timestamp, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::sql::{Columns, Table, all, blob, blob_of, e164, exists, int, one, time, write};
use crate::error::{CommitError, StoreError};

const COLUMNS: &str = "organization_id, work, e164, network, provider_id, number_id, stock_id, progress, attempts, \
                       next_at, told, slot, body, claimed_by, created_at, updated_at, version";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new("intents", COLUMNS, "id"));

/// How long a request's name stands for it, in microseconds: as long as its answer is kept.
const SLOT_US: i64 = KEPT_HOURS * 3_600 * 1_000_000;

fn read(mut row: Columns<'_, '_>) -> Result<Intent, StoreError> {
    let (organization_id, work, number) = (row.id()?, row.named(Work::parse)?, row.e164()?);
    let network = row.named(Network::parse)?;
    let (provider_id, number_id, stock_id) = (row.id_of()?, row.id_of()?, row.id_of()?);
    let progress = row.named(Progress::parse)?;
    let attempts = u32::try_from(row.uint()?).unwrap_or(u32::MAX);
    let (next_at, told) = (row.time()?, row.get()?);
    let (slot, body): (Option<[u8; 32]>, Option<[u8; 32]>) = (row.get()?, row.get()?);
    let slot = slot.zip(body).map(|(key, body)| Slot { key, body });
    let claimed_by = row.id_of()?;
    let (created_at, updated_at, version) = (row.time()?, row.time()?, row.uint()?);
    Ok(Intent {
        id: row.id()?,
        organization_id,
        work,
        e164: number,
        network,
        provider_id,
        number_id,
        stock_id,
        progress,
        attempts,
        next_at,
        claimed_by,
        told,
        slot,
        created_at,
        updated_at,
        version,
    })
}

pub(super) fn put(tx: &mut Tx<'_>, intent: &Intent) -> Result<(), CommitError> {
    let Intent {
        id,
        organization_id,
        work,
        e164: number,
        network,
        provider_id,
        number_id,
        stock_id,
        progress,
        attempts,
        next_at,
        claimed_by,
        told,
        slot,
        created_at,
        updated_at,
        version,
    } = intent;
    if let (Some(slot), 1) = (slot, *version) {
        // One request, one piece of work: a repeat that did not see the first one's must not begin another.
        let sql = "SELECT 1 FROM intents WHERE slot = $1 AND created_at > $2";
        if exists(tx.db, sql, params![slot.key, time(*created_at) - SLOT_US])? {
            return Err(CommitError::Exists(What::Request));
        }
    }
    let row = params![
        blob(*organization_id),
        work.as_str(),
        e164(*number),
        network.as_str(),
        blob_of(*provider_id),
        blob_of(*number_id),
        blob_of(*stock_id),
        progress.as_str(),
        attempts,
        time(*next_at),
        told,
        slot.map(|slot| slot.key),
        slot.map(|slot| slot.body),
        blob_of(*claimed_by),
        time(*created_at),
        time(*updated_at),
        int(*version),
        blob(*id)
    ];
    TABLE.put(tx.db, What::Intent, *version, row).map_err(|f| f.about(What::Intent, What::Intent))?;
    tx.touch();
    Ok(())
}

/// Work that ended before a time goes, the longest ended first, at most so much. The names of requests stand for it no longer.
pub(super) fn prune(tx: &Tx<'_>, before: Timestamp, most: u32) -> Result<(), CommitError> {
    // The condition names the index.
    let sql = "DELETE FROM intents WHERE id IN (SELECT id FROM intents WHERE progress <> 'open' AND updated_at < $1 \
               ORDER BY updated_at LIMIT $2)";
    write(tx.db, sql, params![time(before), most]).map_err(|f| f.about(What::Intent, What::Intent))?;
    Ok(())
}

/// Whether there is work that ended before a time.
pub(crate) fn prunable(db: Db<'_>, before: Timestamp) -> Result<bool, StoreError> {
    // The condition names the index.
    exists(db, "SELECT 1 FROM intents WHERE progress <> 'open' AND updated_at < $1", params![time(before)])
}

pub(crate) fn get(db: Db<'_>, id: IntentId) -> Result<Option<Intent>, StoreError> {
    one(db, &format!("{} AND id = $1", TABLE.select), params![blob(id)], read)
}

/// The open work on a number.
pub(crate) fn open_of(db: Db<'_>, number: E164) -> Result<Option<Intent>, StoreError> {
    let sql = format!("{} AND e164 = $1 AND progress = 'open'", TABLE.select);
    one(db, &sql, params![e164(number)], read)
}

/// The work that a request began, if its name still stands for it.
pub(crate) fn of_slot(db: Db<'_>, slot: &[u8; 32], at: Timestamp) -> Result<Option<Intent>, StoreError> {
    let sql = format!("{} AND slot = $1 AND created_at > $2 ORDER BY created_at DESC LIMIT 1", TABLE.select);
    one(db, &sql, params![slot, time(at) - SLOT_US], read)
}

/// The last work on a tenant's number.
pub(crate) fn last_of(db: Db<'_>, number: NumberId) -> Result<Option<Intent>, StoreError> {
    let sql = format!("{} AND number_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1", TABLE.select);
    one(db, &sql, params![blob(number)], read)
}

/// Open work that a node is to look at by a time, the longest due first: what is due, what would wait for longer than anything may, and
/// what is in its own hands, which an earlier process may have left.
pub(crate) fn due(db: Db<'_>, at: Timestamp, node: NodeId, limit: u32) -> Result<Vec<Intent>, StoreError> {
    let sql = format!(
        "{} AND progress = 'open' AND (next_at <= $1 OR next_at > $2 OR claimed_by = $3) ORDER BY next_at, id LIMIT $4",
        TABLE.select
    );
    let latest = time(at) + WAIT_MAX * 1_000_000;
    all(db, &sql, params![time(at), latest, blob(node), limit], read)
}

/// When the next open work is to be looked at.
pub(crate) fn next(db: Db<'_>) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT next_at FROM intents WHERE progress = 'open' ORDER BY next_at LIMIT 1";
    one(db, sql, params![], |mut row| row.time())
}
