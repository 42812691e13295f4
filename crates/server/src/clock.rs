//! The one place that reads clocks and draws randomness. Everything else takes time and ids as parameters.

use domain::Timestamp;
use domain::call::Moment;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use uuid::Uuid;

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
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
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
    let monotonic_us = u64::try_from(process.began.elapsed().as_micros()).unwrap_or(u64::MAX);
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

/// Sleeps. Only loops that wait for work use it, never a rule.
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
