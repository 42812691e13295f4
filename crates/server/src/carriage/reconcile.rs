//! What carriers hold for us and what is held here are kept the same: what is nobody's goes back.

use carriers::{Failure, Told};
use domain::ids::IntentId;
use domain::number::Network;
use domain::stock::StockState;
use domain::{Change, Commit, E164, Intent, Timestamp};
use store::{CommitError, StoreError};

use super::Carriage;
use crate::clock;

/// How much stock one look gives back.
const RESTED_MAX: u32 = 1_000;
/// The most pages of a carrier's list that are read in one turn.
const PAGES_MAX: usize = 10_000;

impl Carriage {
    /// Stock of a carrier's whose rest is over goes back to it: nobody can restore it any more, and nobody pays for it. In the
    /// same commit it is on sale again; it can be bought once the carrier has it.
    pub(super) async fn release_rested(&self, now: Timestamp) {
        let rested = match self.store.stock_rested(now, RESTED_MAX) {
            Ok(rested) => rested,
            Err(error) => {
                tracing::error!(error = %error, "rested stock could not be read");
                return;
            }
        };
        for stock in rested.iter().filter(|stock| stock.held(now).is_none()) {
            let intent = Intent::release_stock(IntentId(clock::id()), stock, now);
            let changes = vec![
                Change::Stock(stock.moved(StockState::Available, now)),
                Change::Intent(Box::new(intent)),
            ];
            match self.store.commit(Commit { changes, ..Commit::default() }).await {
                // Bought, restored or taken out of stock in this moment: then it is not to go back.
                Ok(_) | Err(CommitError::Stale(_) | CommitError::Exists(_)) => {}
                Err(error) => tracing::error!(error = ?error, "rested stock was not given back"),
            }
        }
    }

    /// Compares a carrier's own list with what is held here, and writes down that strays are to go back: what a purchase left
    /// that was given up meanwhile, or what a store that was restored from an older copy does not know.
    pub(super) async fn reconcile(&self, now: Timestamp) {
        let mut after = None;
        for _ in 0..PAGES_MAX {
            match self.list(Network::Simulated, after).await {
                Ok(Told::Page(numbers, next)) => {
                    for e164 in numbers {
                        self.release_if_stray(e164, now).await;
                    }
                    after = next;
                    if after.is_none() {
                        return;
                    }
                }
                Ok(Told::Ours | Told::NotOurs | Told::Pending) | Err(Failure::Unsupported(_)) => return,
                Err(Failure::Refused(cause) | Failure::Unavailable(cause)) => {
                    tracing::warn!(cause, "a carrier's list could not be read");
                    return;
                }
            }
        }
    }

    async fn release_if_stray(&self, e164: E164, now: Timestamp) {
        match self.is_somebodys(e164) {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    number = e164.redacted(),
                    "a carrier holds a number for us that is nobody's; it goes back"
                );
                let stray = Intent::release_stray(IntentId(clock::id()), e164, Network::Simulated, now);
                let changes = vec![Change::Intent(Box::new(stray))];
                // Where work on it was begun meanwhile, that decides.
                let done = self.store.commit(Commit { changes, ..Commit::default() }).await;
                if let Err(error) = done
                    && !matches!(error, CommitError::Exists(_))
                {
                    tracing::error!(error = ?error, "a stray number was not given back");
                }
            }
            Err(error) => tracing::error!(error = %error, "a carrier's number could not be looked up"),
        }
    }

    /// Whether a number at a carrier is held here, rests for whoever gave it up, or is being worked on.
    fn is_somebodys(&self, e164: E164) -> Result<bool, StoreError> {
        if self.store.intent_open(e164)?.is_some() || self.store.number_holder(e164)?.is_some() {
            return Ok(true);
        }
        let stock = self.store.stock_find(e164)?;
        Ok(stock.is_some_and(|stock| matches!(stock.state, StockState::Quarantined { .. })))
    }
}
