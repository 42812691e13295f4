//! Work at carriers that ended long ago goes: nobody asks for it any more.

use domain::change::KEPT_HOURS;
use domain::{Change, Commit, Timestamp};
use jiff::SignedDuration;

use super::Carriage;

/// How long ended work is kept, in hours: for as long as a request's name stands for it, and a week for people to look at it.
const ENDED_HOURS: i64 = KEPT_HOURS + 7 * 24;
/// How much of it goes in one commit.
const PRUNE_MAX: u32 = 500;
/// The most commits of one turn; what they leave goes in the next.
const COMMITS_MAX: usize = 100;

impl Carriage {
    /// Removes what ended long before `now`, a bounded number at a time: others' writes come between two of these.
    pub(super) async fn prune(&self, now: Timestamp) {
        let Ok(before) = now.checked_sub(SignedDuration::from_hours(ENDED_HOURS)) else { return };
        for _ in 0..COMMITS_MAX {
            if !matches!(self.store.intents_prunable(before), Ok(true)) {
                return;
            }
            let changes = vec![Change::IntentsPrune(before, PRUNE_MAX)];
            if let Err(error) = self.store.commit(Commit { changes, ..Commit::default() }).await {
                tracing::warn!(error = ?error, "old work at carriers was not removed; it is tried again");
                return;
            }
        }
    }
}
