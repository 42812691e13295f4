//! The store: many reads, one write.
//!
//! [`Store`] is a closed choice of engines behind one set of functions: SQLite for one process, PostgreSQL for any number of
//! nodes. All configuration is written by
//! [`Store::commit`]: one transaction applies each change under its expected version, appends it to the change log and raises
//! the generation. Calls are written by [`Store::facts_append`]. No transaction leaves this crate, and no clock or randomness
//! enters it.
//!
//! Writes are asynchronous: they wait for the writer, which commits in groups and answers when the group is durable. Reads
//! (everything that is no `async fn`) are plain calls on a pooled connection: a point read takes some ten microseconds, a page
//! well under a millisecond, so they are called directly from asynchronous code; on PostgreSQL they wait for the network, and
//! tell the runtime so. What reads everything ([`Store::snapshot`],
//! [`Store::doctor`]) takes seconds on a large store and belongs on a blocking thread.

pub mod copy;
mod db;
mod error;
mod fact;
mod feed;
mod postgres;
mod reads;
mod rows;
mod sqlite;
mod writer;

use domain::{Commit, Fact, Generation};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{CommitError, StoreError};
pub use fact::{fact_decode, fact_encode};
pub use feed::{AgentCallRow, Appended, Changed, Changes, Epoch, NumberRow, NumberShown, OpenCall};
pub use postgres::Nudges;
use postgres::Postgres;
use sqlite::Sqlite;
pub use sqlite::backup::{Copied, Progress};
use writer::Writer;

/// The store. Cloning it is cheap and gives another way to the same one.
#[derive(Clone, Debug)]
pub struct Store(Engine);

/// Adding an engine: a variant, a folder, a folder of migrations; the build says where else.
#[derive(Clone, Debug)]
enum Engine {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Store {
    /// Opens the store that a URL names and brings its schema up to date: `sqlite:./trunkline.db`, or
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with the options of libpq (`sslmode` disable, prefer, require or verify-full,
    /// `sslrootcert`, `connect_timeout`, …). Blocks until it is there.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::open_to_copy(url)?;
        if store.is_unfinished()? {
            let words = "a copy into this store has not ended: run `trunkline copy` again, or empty it";
            return Err(StoreError::Url(words.to_owned()));
        }
        Ok(store)
    }

    /// The same where an unfinished copy may stand.
    pub fn open_to_copy(url: &str) -> Result<Self, StoreError> {
        if let Some(("postgres" | "postgresql", _)) = url.split_once(':') {
            return Ok(Self(Engine::Postgres(Arc::new(Postgres::open(url)?))));
        }
        let path = path_of(url)?;
        Ok(Self(Engine::Sqlite(Arc::new(Sqlite::open(&path)?))))
    }

    /// The file, where the store is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Engine::Sqlite(engine) => Some(engine.path()),
            Engine::Postgres(_) => None,
        }
    }

    fn writer(&self) -> &Writer {
        match &self.0 {
            Engine::Sqlite(engine) => engine.writer(),
            Engine::Postgres(engine) => engine.writer(),
        }
    }

    /// What tells of commits that raised the generation, of every process that writes to this store; on SQLite nothing does. A
    /// nudge says that there is something to be looked at, and may be lost: look now and then without one.
    pub fn nudges(&self) -> Nudges {
        match &self.0 {
            Engine::Sqlite(_) => Nudges::none(),
            Engine::Postgres(engine) => engine.nudges(),
        }
    }

    /// Something that one process does for all that share the store. A file's processes are not told apart: each does it.
    pub fn lead(&self, what: Leading) -> Lead {
        match &self.0 {
            Engine::Sqlite(_) => Lead(None),
            Engine::Postgres(engine) => Lead(Some(engine.lead(what.lock()))),
        }
    }

    /// Writes what is queued, brings the file into one piece and refuses writes from then on. Reads go on.
    pub async fn close(&self) {
        self.writer().close().await;
    }

    /// Applies a commit whole or not at all. `Ok` means durable: it survives the loss of power. Gives the generation from
    /// which on it is visible; a commit without changes gives the current one.
    pub async fn commit(&self, commit: Commit) -> Result<Generation, CommitError> {
        self.writer().commit(commit).await
    }

    /// Appends facts of calls, in any order and as often as one likes: a fact that is there already (same organization, call
    /// and [`Fact::key`]) is passed over. Each call touched is folded anew; one that is final for the first time is settled in
    /// the same transaction: its one terminal event, its minutes, its cost. `Ok` means durable.
    pub async fn facts_append(&self, facts: Vec<Fact>) -> Result<Appended, StoreError> {
        self.writer().facts(facts).await
    }

    /// Whether another process has written to this store since this was asked last. Costs next to nothing, so that what only matters
    /// where there are several can be done there alone.
    pub async fn written_elsewhere(&self) -> bool {
        self.writer().elsewhere().await
    }
}

/// What one node does for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leading {
    /// Sending events to webhooks: each once, and in their order.
    Webhooks,
}

impl Leading {
    /// The name of its lock, which is never given to another thing.
    fn lock(self) -> i64 {
        match self {
            Self::Webhooks => 0x7472_756e_6b01,
        }
    }
}

/// Whether this process is the one. Dropped, another may be.
pub struct Lead(Option<postgres::lead::Lead>);

impl std::fmt::Debug for Lead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lead(…)")
    }
}

impl Lead {
    /// Asks, and takes the lead where nobody has it. Blocks for one question.
    pub fn holds(&mut self) -> Result<bool, StoreError> {
        self.0.as_mut().map_or(Ok(true), |lead| postgres::blocking(|| lead.holds()))
    }
}

/// The schema of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The newest change that it has had; 0: none.
    pub applied: i64,
    /// What this version would do to it, in order.
    pub pending: Vec<Pending>,
}

/// A change of the schema that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub number: i64,
    /// What it is about.
    pub name: &'static str,
    /// Whether versions that do not know it cannot work with it.
    pub breaks: bool,
}

/// The schema of the store that a URL names; nothing is written.
pub fn schema(url: &str) -> Result<Schema, StoreError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Postgres::schema(url),
        _ => Sqlite::schema(&path_of(url)?),
    }
}

/// Copies the file of an SQLite store, which may be in use, into a new one: of one moment, checked, readable by its owner only, on
/// disk. `pause` is called between steps of 8 MB. Blocks for as long as that takes.
pub fn backup(from: &Path, to: &Path, pause: &mut dyn FnMut(Progress)) -> Result<Copied, StoreError> {
    sqlite::backup::backup(from, to, pause)
}

/// Makes the file of an SQLite store of a copy, checked, with a new epoch. Nobody may have a store of this name open.
pub fn restore(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    sqlite::backup::restore(from, to)
}

fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    let refused = |words: String| Err(StoreError::Url(words));
    match url.split_once(':') {
        Some(("sqlite", rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.starts_with(':') {
                return refused(format!(
                    "`{url}` names no file; write a path, such as sqlite:./trunkline.db"
                ));
            }
            Ok(PathBuf::from(path))
        }
        _ => refused(
            "a store is named by sqlite:PATH, such as sqlite:./trunkline.db, or by postgres://USER:PASSWORD@HOST/DATABASE"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file_or_are_refused_with_a_hint() {
        assert_eq!(path_of("sqlite:./a.db").unwrap(), PathBuf::from("./a.db"));
        assert_eq!(path_of("sqlite:///var/a.db").unwrap(), PathBuf::from("/var/a.db"));
        for url in ["sqlite:", "sqlite::memory:", "./a.db", "mysql://x"] {
            assert!(path_of(url).unwrap_err().to_string().contains("sqlite:./trunkline.db"), "{url}");
        }
    }
}
