//! The planner's statistics of tables that were filled at once. The server gathers them by itself, but only a minute or more later;
//! until then it takes a table of a million rows for an empty one, and a search reads all of it.
//!
//! Only the owner of the tables may have them gathered. Where an owner other than the nodes' role made the schema the server skips
//! them, and what it does by itself has to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connection::Purpose;
use super::gate::Gate;
use crate::error::StoreError;

/// How many changes of one group are a bulk.
const BULK: usize = 1_000;
/// How many of a bulk's changes there are before statistics are gathered.
const ROWS: usize = 5_000;
/// What bulks fill.
const FILLED: &[&str] = &["numbers", "number_claims", "number_search", "stock", "stock_search"];

/// How much was filled, and who gathers.
pub(super) struct Filling {
    gate: Arc<Gate>,
    /// All changes of bulks, and those since statistics were gathered last.
    all: usize,
    since: usize,
    busy: Arc<AtomicBool>,
}

impl Filling {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, all: 0, since: 0, busy: Arc::default() }
    }

    /// Takes note of a group that was committed. What grows by a third since the last time is looked at again, beside the writer: so a
    /// filling of any size is a few times, and nobody waits for it.
    pub(super) fn note(&mut self, changes: usize) {
        if changes < BULK {
            return;
        }
        self.all += changes;
        self.since += changes;
        if self.since < ROWS || self.since * 4 < self.all || self.busy.swap(true, Ordering::Acquire) {
            return;
        }
        self.since = 0;
        let (gate, busy) = (Arc::clone(&self.gate), Arc::clone(&self.busy));
        let thread = std::thread::Builder::new().name("store-statistics".to_owned());
        let begun = thread.spawn(move || {
            told(gather(&gate, FILLED));
            busy.store(false, Ordering::Release);
        });
        if let Err(error) = begun {
            self.busy.store(false, Ordering::Release);
            told(Err(StoreError::Database(error.to_string())));
        }
    }
}

/// Has the server gather the statistics of these tables, where this role may.
pub(super) fn gather(gate: &Gate, tables: &[&str]) -> Result<(), StoreError> {
    let connection = gate.connect(Purpose::Gather)?;
    Ok(connection.batch(&format!("ANALYZE {}", tables.join(", ")))?)
}

/// What was filled is there all the same.
pub(super) fn told(gathered: Result<(), StoreError>) {
    if let Err(error) = gathered {
        tracing::warn!(error = %error, "no statistics were gathered of tables that were filled; the server does it by itself later");
    }
}
