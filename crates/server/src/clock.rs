//! The one place that reads clocks and draws randomness. Everything else takes time and ids as parameters.
//!
//! In a simulation the wall clock can be moved forward ([`advance`]): rules that count days then run in seconds. What waits for
//! a time of day waits with a [`Sleeper`], which wakes when the clock is moved. Timers of SIP and HTTP run on [`instant`], which
//! nothing moves, and so does [`sleep`].

use domain::Timestamp;
use domain::call::Moment;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use uuid::Uuid;

/// How far the wall clock was moved, in microseconds; always 0 outside a simulation.
static MOVED: AtomicI64 = AtomicI64::new(0);

/// Wakes what sleeps when the wall clock is moved.
fn moves() -> &'static Notify {
    static MOVES: OnceLock<Notify> = OnceLock::new();
    MOVES.get_or_init(Notify::new)
}

struct Process {
    number: u64,
    began: Instant,
}

#[expect(clippy::disallowed_methods, reason = "this module is where the monotonic clock is read")]
fn process() -> &'static Process {
    static PROCESS: OnceLock<Process> = OnceLock::new();
    PROCESS.get_or_init(|| Process { number: u64::from_le_bytes(random()), began: Instant::now() })
}

/// The wall clock, in whole microseconds: what the store keeps, so that a view built before a write equals the row read later.
#[expect(clippy::disallowed_methods, reason = "this module is where the wall clock is read")]
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    let moved = now.as_microsecond().saturating_add(MOVED.load(Ordering::Relaxed));
    Timestamp::from_microsecond(moved).unwrap_or(now)
}

/// When the day began, by UTC.
pub(crate) fn day_begin() -> Timestamp {
    let second = now().as_second();
    Timestamp::from_second(second - second.rem_euclid(86_400)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Moves the wall clock forward, for a simulation, and wakes what sleeps. Gives the new time, or none where that is beyond
/// what a timestamp holds; then nothing has moved. The clock never goes back: what was charged or rested until a time stays so.
pub(crate) fn advance(by: Duration) -> Option<Timestamp> {
    let by = i64::try_from(by.as_micros()).ok()?;
    let to = now().as_microsecond().checked_add(by)?;
    Timestamp::from_microsecond(to).ok()?;
    MOVED.fetch_add(by, Ordering::Release);
    moves().notify_waiters();
    Some(now())
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this module is where the monotonic clock is read")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A number of this process's own, new at each start.
pub(crate) fn process_number() -> u64 {
    process().number
}

/// Both clocks at once, for the facts of a call.
pub(crate) fn moment() -> Moment {
    let process = process();
    let elapsed = u64::try_from(process.began.elapsed().as_micros()).unwrap_or(u64::MAX);
    // A call that is up while the clock is moved lasts as much longer.
    let monotonic_us = elapsed.saturating_add_signed(MOVED.load(Ordering::Relaxed));
    Moment { wall: now(), process: process.number, monotonic_us }
}

/// A fresh id, ordered by time (UUID version 7; monotonic within the process).
#[expect(clippy::disallowed_methods, reason = "this module is where ids are made")]
pub(crate) fn id() -> Uuid {
    Uuid::now_v7()
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Sleeps, by the monotonic clock.
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// What a loop rests with that looks at what is due by the wall clock.
#[derive(Debug)]
pub(crate) struct Sleeper {
    /// How far the clock was moved before the loop's last look began.
    moved: i64,
}

impl Sleeper {
    /// For a loop whose first look comes after this.
    pub(crate) fn new() -> Self {
        Self { moved: MOVED.load(Ordering::Relaxed) }
    }

    /// Sleeps, or less where the wall clock is moved: also where it was moved since the last sleep, after the loop has read the
    /// time. Whoever looks again whenever this returns overlooks no move. Whether it was moved.
    pub(crate) async fn sleep(&mut self, duration: Duration) -> bool {
        // A move that comes after this line wakes it; one that came before is seen in the next.
        let moves = moves().notified();
        if MOVED.load(Ordering::Acquire) == self.moved {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = moves => {}
            }
        }
        let before = std::mem::replace(&mut self.moved, MOVED.load(Ordering::Acquire));
        before != self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_moved_clock_wakes_sleepers_and_shows_the_new_time() {
        let before = (now(), moment());
        let sleeper = tokio::spawn(async { Sleeper::new().sleep(Duration::from_hours(1)).await });
        while !sleeper.is_finished() {
            advance(Duration::from_mins(1)).unwrap();
            tokio::task::yield_now().await;
        }
        assert!(now().duration_since(before.0).as_secs() >= 60);
        assert!(moment().monotonic_us - before.1.monotonic_us >= 60_000_000);
        assert_eq!(advance(Duration::MAX), None);
    }

    #[tokio::test]
    async fn a_move_while_nobody_sleeps_is_not_overlooked() {
        let mut sleeper = Sleeper::new();
        // The loop's look, which read the time before this.
        advance(Duration::from_mins(1)).unwrap();
        let hour = Duration::from_hours(1);
        let woken = tokio::time::timeout(Duration::from_secs(10), sleeper.sleep(hour)).await;
        assert_eq!(woken, Ok(true), "it looks again at once");
        let again = tokio::time::timeout(Duration::from_millis(50), sleeper.sleep(hour)).await;
        assert!(again.is_err(), "once is enough");
    }
}
