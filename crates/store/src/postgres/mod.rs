//! The PostgreSQL engine: one writing connection on the writer's thread, several that read, one that the feed reads on, one that
//! listens.
//!
//! Any number of processes write at once, and they stand in one row: each group's transaction begins by locking the one row of
//! `meta` ([`desk`]). So what holds because there is one writer on SQLite holds across nodes here: a guard that was evaluated
//! stays true until the commit; generations have no gaps, and none becomes visible after a later one; counters are given once.
//! Nothing may write outside of such a transaction.

mod connection;
mod desk;
pub(crate) mod doctor;
mod epoch;
mod fault;
mod gate;
pub(crate) mod lead;
mod listen;
mod migrate;
mod owed;
pub(crate) mod search;
mod settings;
mod spread;
mod statistics;
mod tls;
mod value;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::db::Db;
use crate::error::StoreError;
use crate::writer::Writer;
use connection::Purpose;
pub(crate) use connection::{Connection, cell};
pub(crate) use desk::Desk;
use gate::Gate;
use listen::Ear;
pub use listen::Nudges;
use settings::Settings;

/// How many reads run at once; connections are made when they are needed. A long one has a connection of its own.
const READERS: usize = 8;

/// See the module's head.
pub(crate) struct Postgres {
    gate: Arc<Gate>,
    writer: Writer,
    readers: Vec<Mutex<Option<Connection>>>,
    /// What memory follows is read here, and nothing else: lists and searches that take long hold up no node's table.
    feed: Mutex<Option<Connection>>,
    next: AtomicUsize,
    ear: OnceLock<Ear>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

impl Postgres {
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let gate = Arc::new(Gate::new(Settings::read(url)?)?);
        let desk = blocking(|| {
            migrate::run(&gate.connect(Purpose::Migrate)?)?;
            Desk::new(Arc::clone(&gate))
        })?;
        Ok(Self {
            gate,
            writer: Writer::start(crate::writer::Desk::Postgres(desk))?,
            readers: (0..READERS).map(|_| Mutex::default()).collect(),
            feed: Mutex::default(),
            next: AtomicUsize::new(0),
            ear: OnceLock::new(),
        })
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// A thing that one node does.
    pub(crate) fn lead(&self, name: i64) -> lead::Lead {
        lead::Lead::new(Arc::clone(&self.gate), name)
    }

    /// The schema that is there, and that which this version has.
    pub(crate) fn schema(url: &str) -> Result<crate::Schema, StoreError> {
        let gate = Gate::new(Settings::read(url)?)?;
        blocking(|| migrate::schema(&gate.connect(Purpose::Read)?))
    }

    /// Has statistics gathered of all these tables; where that fails it is only said.
    pub(crate) fn gather(&self, tables: &[&str]) {
        statistics::told(blocking(|| statistics::gather(&self.gate, tables)));
    }

    /// What tells of commits of all nodes. The first who asks makes the connection that listens.
    pub(crate) fn nudges(&self) -> Nudges {
        self.ear.get_or_init(|| Ear::open(&self.gate)).nudges()
    }

    /// Lends a reader. Where its connection turns out to have ended (a server that was started anew, a standby that took over),
    /// `work` is done once more on a new one: it only reads.
    pub(crate) fn read<T>(&self, work: impl Fn(Db<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.lend(|| self.reader(), |connection| work(Db::Postgres(connection)))
    }

    /// The same inside a transaction: all it reads is of one moment.
    pub(crate) fn read_at_once<T>(
        &self,
        work: impl Fn(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lend(|| self.reader(), |connection| connection.at_once(&work))
    }

    /// The same on the feed's own connection.
    pub(crate) fn read_feed<T>(
        &self,
        work: impl Fn(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lend(|| placed(&self.feed), |connection| connection.at_once(&work))
    }

    /// The same on a connection of its own, for what takes seconds. It is not done again.
    pub(crate) fn read_long<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        blocking(|| self.gate.connect(Purpose::ReadLong)?.at_once(work))
    }

    fn lend<'a, T>(
        &'a self,
        place: impl FnOnce() -> Place<'a>,
        work: impl Fn(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        blocking(|| {
            let mut lent = place();
            if let Some(connection) = lent.take() {
                let result = work(&connection);
                if connection.is_sound() {
                    *lent = Some(connection);
                    return result;
                }
                if result.is_ok() {
                    return result;
                }
            }
            let connection = self.gate.connect(Purpose::Read)?;
            let result = work(&connection);
            *lent = Some(connection).filter(Connection::is_sound);
            result
        })
    }

    /// The first that is free and has a connection, else the first that is free, else one in turn.
    fn reader(&self) -> Place<'_> {
        let free = || self.readers.iter().filter_map(|reader| reader.try_lock().ok());
        let ready = free().find(|reader| reader.is_some()).or_else(|| free().next());
        ready.unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len();
            placed(&self.readers[turn])
        })
    }
}

/// A place for a connection, in one's hands.
type Place<'a> = MutexGuard<'a, Option<Connection>>;

fn placed(place: &Mutex<Option<Connection>>) -> Place<'_> {
    // It holds no state of ours that a panic could have broken.
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what waits for the network. In a runtime of several threads the others take over what this one would have done meanwhile.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
