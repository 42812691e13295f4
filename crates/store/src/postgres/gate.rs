//! The way to new connections. After a failure it is shut for a while, so that a database that is away is not asked by every
//! reader at once, and nobody waits for a time-out that somebody else has just waited for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use super::connection::{Connection, Purpose};
use super::settings::Settings;
use crate::error::StoreError;

/// How long it is shut after the first failure, and at the most; it doubles in between. Who began before it was shut has failed with
/// the others, not after them.
const SHUT_MIN: Duration = Duration::from_millis(100);
const SHUT_MAX: Duration = Duration::from_secs(2);

/// See the module's head.
pub(super) struct Gate {
    settings: Settings,
    io: Io,
    shut: Mutex<Option<Shut>>,
}

/// Waits for sockets and time-outs on a thread of its own, as long as anything connects.
struct Io(Option<Runtime>);

impl Drop for Io {
    fn drop(&mut self) {
        // Not waited for: this may be dropped on a thread that must not wait.
        if let Some(io) = self.0.take() {
            io.shutdown_background();
        }
    }
}

struct Shut {
    /// Since when and until when, by the runtime's clock, which measures time-outs only.
    since: Instant,
    until: Instant,
    after: Duration,
    why: StoreError,
}

impl Gate {
    pub(super) fn new(settings: Settings) -> Result<Self, StoreError> {
        let mut builder = Builder::new_multi_thread();
        let io = builder.worker_threads(1).thread_name("store-io").enable_all().build();
        let io = io.map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Self { settings, io: Io(Some(io)), shut: Mutex::new(None) })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn io(&self) -> &Handle {
        self.io.0.as_ref().expect("taken out only when it is dropped").handle()
    }

    /// A new connection, or why there is none.
    pub(super) fn connect(&self, purpose: Purpose) -> Result<Connection, StoreError> {
        if let Some(why) = self.refusal() {
            return Err(why);
        }
        let began = Instant::now();
        match Connection::open(&self.settings, self.io(), purpose) {
            Ok(connection) => {
                *self.lock() = None;
                Ok(connection)
            }
            Err(why) => {
                shut(&mut self.lock(), (began, Instant::now()), &why);
                Err(why)
            }
        }
    }

    fn refusal(&self) -> Option<StoreError> {
        self.lock().as_ref().filter(|shut| Instant::now() < shut.until).map(|shut| shut.why.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Shut>> {
        // What is kept is whole at every moment.
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shuts it after a failure that began and ended at these times.
fn shut(state: &mut Option<Shut>, (began, now): (Instant, Instant), why: &StoreError) {
    let after = match state {
        Some(shut) if began < shut.since => return,
        Some(shut) => (shut.after * 2).min(SHUT_MAX),
        None => SHUT_MIN,
    };
    *state = Some(Shut { since: now, until: now + after, after, why: why.clone() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_fail_at_once_are_one_failure() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let why = StoreError::Away("nobody is there".to_owned());
        let mut state = None;
        let mut pause = |began, ended| {
            shut(&mut state, (began, ended), &why);
            state.as_ref().map(|shut| shut.after)
        };
        // Eight readers that began together, and one that ended late.
        for _ in 0..8 {
            assert_eq!(pause(start, start + second), Some(SHUT_MIN));
        }
        assert_eq!(pause(start, start + 3 * second), Some(SHUT_MIN));
        // Those who came after the pause have failed again.
        assert_eq!(pause(start + 2 * second, start + 4 * second), Some(2 * SHUT_MIN));
        for turn in 2..20 {
            pause(start + 2 * turn * second, start + (2 * turn + 1) * second);
        }
        assert_eq!(pause(start + 60 * second, start + 61 * second), Some(SHUT_MAX));
    }
}
