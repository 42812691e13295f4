//! Keeps the live table at the store's generation: a snapshot at start, then the change log.
//!
//! Start-up, a missed nudge and a normal change are one code path: look what came since the last generation, apply it, say
//! so. Nudges carry nothing, whether they are this node's or another's; the log is the truth, and it is looked at every few
//! seconds even without one. Where the log is no longer the one that was followed, the table is built anew ([`super::rebuild`]).

use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Nudges, Store, StoreError};

use super::Live;
use super::rebuild::Rebuild;
use crate::clock;

/// How often the log is looked at without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// From one look to the next that only a nudge of the store's asks for: what others commit meanwhile is read at one go, so that a
/// node pays for so many looks a second at the most, however many the others write. Whoever waits here is not kept waiting.
const PACE: Duration = Duration::from_millis(2);
/// How many log rows are applied between two looks at the lock.
const BATCH: usize = 10_000;

/// Builds the table from a snapshot.
pub(crate) fn build(live: &Live, store: &Store) -> Result<(), StoreError> {
    let began = clock::instant();
    let mut rebuild = Rebuild::begin(live);
    let (epoch, generation) = store.snapshot(&mut |change| rebuild.see(change))?;
    rebuild.finish((epoch, generation));
    live.standing.current(began);
    let (numbers, bytes) = live.size();
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(numbers, bytes, duration_ms, generation = generation.0, "live table built");
    Ok(())
}

/// Applies what has come since the table's generation.
pub(crate) fn catch_up(live: &Live, store: &Store) -> Result<(), StoreError> {
    // What was committed before this is in the log that is read below.
    let looked = clock::instant();
    loop {
        // Each question has its own patience: the store may fall silent between two of them.
        live.standing.asks(clock::instant());
        // Which history it is comes with what it tells: no change of another one is applied.
        let changes = store.changes_since(live.generation(), BATCH)?;
        live.standing.saw(changes.newest);
        if !live.standing.follows((changes.epoch, changes.newest), live.generation()) {
            tracing::warn!(
                generation = changes.newest.0,
                applied = live.generation().0,
                "the store's history is another than the one followed: the live table is built anew"
            );
            return build(live, store);
        }
        for change in changes.items {
            live.apply(change);
        }
        // Every change up to here is visible to calls before anybody is told so.
        live.reached(changes.upto);
        if !changes.more {
            break;
        }
    }
    if live.standing.current(looked) {
        tracing::info!(
            generation = live.generation().0,
            "the store answers again; the live table follows it"
        );
    }
    Ok(())
}

/// Follows the log until the task is dropped.
pub(crate) async fn follow(live: Arc<Live>, store: Store) {
    let mut nudges = store.nudges();
    let mut looked = clock::instant();
    loop {
        tokio::select! {
            () = live.nudge.notified() => {}
            () = nudged(&mut nudges, looked) => {}
            () = clock::sleep(LOOK_EVERY) => {}
        }
        if let Err(error) = catch_up(&live, &store)
            && live.standing.away(&error)
        {
            // The last table stays in use; calls go on.
            tracing::warn!(error = %error, "the change log cannot be read; calls go on with the last table");
        }
        looked = clock::instant();
    }
}

/// Waits for a nudge of the store's, in its turn. Dropped in between it is not lost: whatever woke instead looks at the log then.
async fn nudged(nudges: &mut Nudges, looked: Instant) {
    nudges.next().await;
    let left = PACE.saturating_sub(clock::instant().saturating_duration_since(looked));
    if !left.is_zero() {
        clock::sleep(left).await;
    }
}
