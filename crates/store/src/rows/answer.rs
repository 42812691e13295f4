//! First answers to requests with an idempotency key.

use crate::db::{Db, params};
use domain::What;
use domain::change::{KEPT_HOURS, KeptAnswer};

use super::sql::{one, time, write};
use crate::error::{CommitError, StoreError};

/// How long an answer is kept, in microseconds.
const KEPT_US: i64 = KEPT_HOURS * 3_600 * 1_000_000;
/// How many expired answers are removed with each one that is kept: more than one, so that they cannot pile up.
const PURGED: i64 = 2;

/// Keeps an answer. Its own time tells which others have expired: the store reads no clock.
pub(super) fn keep(db: Db<'_>, answer: &KeptAnswer) -> Result<(), CommitError> {
    let KeptAnswer { slot, body, sealed, at } = answer;
    let expired = time(*at) - KEPT_US;
    let failed = |f: crate::db::Failure| f.about(What::Request, What::Request);
    let sql = "DELETE FROM answers WHERE slot = $1 AND at < $2";
    write(db, sql, params![slot, expired]).map_err(failed)?;
    let sql =
        "DELETE FROM answers WHERE slot IN (SELECT slot FROM answers WHERE at < $1 ORDER BY at LIMIT $2)";
    write(db, sql, params![expired, PURGED]).map_err(failed)?;
    let sql = "INSERT INTO answers (slot, body, sealed, at) VALUES ($1, $2, $3, $4)";
    write(db, sql, params![slot, body, sealed, time(*at)]).map_err(failed)?;
    Ok(())
}

pub(crate) fn find(db: Db<'_>, slot: &[u8; 32]) -> Result<Option<KeptAnswer>, StoreError> {
    let sql = "SELECT slot, body, sealed, at FROM answers WHERE slot = $1";
    one(db, sql, params![slot], |mut row| {
        Ok(KeptAnswer { slot: row.get()?, body: row.get()?, sealed: row.get()?, at: row.time()? })
    })
}
