//! Keeps the live table at the store's generation: a snapshot at start, then the change log.
//!
//! Start-up, a missed nudge and a normal change are one code path: look what came since the last generation, apply it, say
//! so. Nudges carry nothing; the log is the truth, and it is looked at every few seconds even without one.

use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};

use super::Live;
use crate::clock;

/// How often the log is looked at without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many log rows are applied between two looks at the lock.
const BATCH: usize = 10_000;

/// Builds the table from a snapshot.
pub(crate) fn build(live: &Live, store: &Store) -> Result<(), StoreError> {
    let began = clock::instant();
    let (_, generation) = store.snapshot(&mut |change| live.apply(change))?;
    live.reached(generation);
    let (numbers, bytes) = live.size();
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(numbers, bytes, duration_ms, generation = generation.0, "live table built");
    Ok(())
}

/// Applies what has come since the table's generation.
pub(crate) fn catch_up(live: &Live, store: &Store) -> Result<(), StoreError> {
    loop {
        let changes = store.changes_since(live.generation(), BATCH)?;
        for change in changes.items {
            live.apply(change);
        }
        // Every change up to here is visible to calls before anybody is told so.
        live.reached(changes.upto);
        if !changes.more {
            return Ok(());
        }
    }
}

/// Follows the log until the task is dropped.
pub(crate) async fn follow(live: Arc<Live>, store: Store) {
    loop {
        tokio::select! {
            () = live.nudge.notified() => {}
            () = clock::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = catch_up(&live, &store) {
            // The last table stays in use; calls go on.
            tracing::warn!(error = %error, "the change log cannot be read");
        }
    }
}
