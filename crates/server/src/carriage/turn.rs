//! Turns with organizations' own accounts: of one account one task of one node changes things at a time ([`domain::claim`]).
//!
//! Within a process a lock makes the order; between nodes a row of the store, which ends by itself. What is decided by what is stored
//! (does somebody hold the number? was a trunk made?) is read in one's turn: whatever an earlier turn did is written down by then.
//! So a trunk is looked for and made by one, and a slow detach is over before what attaches the number again begins.

use domain::claim::{AccountTurn, SKEW, TURN};
use domain::ids::ProviderId;
use domain::{Change, Commit};
use std::time::{Duration, Instant};
use store::CommitError;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use super::Carriage;
use crate::clock;

/// How long another node's turn is waited for: longer than one lasts.
const WAIT_MAX: Duration = Duration::from_secs(45);
/// How often is looked whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One's turn, and a place among all that are at work at once.
struct Turn {
    written: AccountTurn,
    /// When the work must have ended.
    until: Instant,
    _own: OwnedMutexGuard<()>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Carriage {
    /// Does work in one's turn with a provider's account. None where no turn was to be had, or the work took too long for one: then
    /// what was asked of the carrier last may still come about.
    pub(super) async fn in_turn<T>(&self, id: ProviderId, work: impl Future<Output = T>) -> Option<T> {
        let turn = self.turn(id).await?;
        let left = turn.until.saturating_duration_since(clock::instant());
        let Ok(done) = tokio::time::timeout(left, work).await else {
            tracing::warn!(provider.id = %id, "work in an account takes longer than a turn");
            // It ends by itself, when whatever is on its way has arrived.
            return None;
        };
        let ended = self.commit_turn(Change::AccountTurnEnd(id, turn.written)).await;
        if let Err(error) = ended {
            tracing::warn!(error = ?error, provider.id = %id, "a turn with an account ends by itself");
        }
        Some(done)
    }

    /// The turn within the process comes first, then the place, then the turn among nodes: who waits for a slow account takes no
    /// place, and who waits for a place holds up no other node.
    async fn turn(&self, id: ProviderId) -> Option<Turn> {
        let own = self.accounts.turn(id).await;
        let until = clock::instant() + WAIT_MAX;
        loop {
            let held = self.store.account_turn(id);
            if held.is_ok_and(|held| held.is_none_or(|held| held.is_free_for(self.node.id(), clock::now()))) {
                let place = self.accounts.place().await;
                let began = clock::instant();
                let written = AccountTurn::new(self.node.id(), clock::now());
                match self.commit_turn(Change::AccountTurn(id, written)).await {
                    Ok(()) => {
                        let until = began + Duration::try_from(TURN).unwrap_or_default().saturating_sub(SKEW);
                        return Some(Turn { written, until, _own: own, _place: place });
                    }
                    // Another node was faster.
                    Err(CommitError::Exists(_)) => {}
                    // The store may be back before the time is over.
                    Err(error) => {
                        tracing::debug!(error = ?error, provider.id = %id, "a turn with an account was not written");
                    }
                }
            }
            if clock::instant() >= until {
                tracing::warn!(provider.id = %id, "no turn with an account is to be had");
                return None;
            }
            clock::sleep(LOOK_EVERY).await;
        }
    }

    async fn commit_turn(&self, change: Change) -> Result<(), CommitError> {
        self.store.commit(Commit { changes: vec![change], ..Commit::default() }).await.map(drop)
    }
}
