//! Whose turn it is with an organization's account at a carrier. A row is there while somebody has one, or died in it.

use crate::db::{Db, params};
use domain::What;
use domain::claim::AccountTurn;
use domain::ids::ProviderId;

use super::apply::Tx;
use super::sql::{blob, one, time, write};
use crate::error::{CommitError, StoreError};

/// Takes a turn. There is one writer at a time, so of two who ask at once one has it.
pub(super) fn take(tx: &Tx<'_>, provider: ProviderId, turn: &AccountTurn) -> Result<(), CommitError> {
    if of(tx.db, provider)?.is_some_and(|held| !held.is_free_for(turn.node, turn.since)) {
        return Err(CommitError::Exists(What::Provider));
    }
    let sql = "INSERT INTO account_turns (provider_id, node, since, until) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (provider_id) DO UPDATE SET node = excluded.node, since = excluded.since, until = excluded.until";
    let row = params![blob(provider), blob(turn.node), time(turn.since), time(turn.until)];
    write(tx.db, sql, row).map_err(|f| f.about(What::Provider, What::Provider))?;
    Ok(())
}

/// Ends a turn, unless another one has begun since.
pub(super) fn end(tx: &Tx<'_>, provider: ProviderId, turn: &AccountTurn) -> Result<(), CommitError> {
    let sql = "DELETE FROM account_turns WHERE provider_id = $1 AND node = $2 AND until = $3";
    let row = params![blob(provider), blob(turn.node), time(turn.until)];
    write(tx.db, sql, row).map_err(|f| f.about(What::Provider, What::Provider))?;
    Ok(())
}

/// Whose turn it is, or was.
pub(crate) fn of(db: Db<'_>, provider: ProviderId) -> Result<Option<AccountTurn>, StoreError> {
    let sql = "SELECT node, since, until FROM account_turns WHERE provider_id = $1";
    one(db, sql, params![blob(provider)], |mut row| {
        Ok(AccountTurn { node: row.id()?, since: row.time()?, until: row.time()? })
    })
}
