//! The SQLite engine: one file in WAL mode, one writing connection on its own thread, several that read.

pub(crate) mod backup;
mod desk;
pub(crate) mod doctor;
mod migrate;
pub(crate) mod search;
pub(crate) mod statement;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::Db;
use crate::error::StoreError;
use crate::writer::Writer;
pub(crate) use desk::Desk;

/// How many reads run at once. A read takes some ten microseconds, so few are enough; a long one has a connection of its own.
const READERS: usize = 8;
/// Statements kept prepared per connection: more than this crate has, with the variants of its lists.
const STATEMENTS: usize = 256;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    readers: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        db.execute_batch(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
        )?;
        // FULL: an answered commit survives the loss of power, not only of the process.
        db.execute_batch(
            "PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
        )?;
        // Pages that many calls share are written back once for many commits; 32 MB of log is half of what is kept anyway.
        db.execute_batch("PRAGMA wal_autocheckpoint = 8192;")?;
        migrate::run(&db)?;
        db.execute_batch("PRAGMA foreign_keys = ON;")?;
        keep_prepared(&db)?;
        let readers = (0..READERS).map(|_| reader(path).map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer::start(crate::writer::Desk::Sqlite(Desk::new(db)))?,
            readers,
            next: AtomicUsize::new(0),
        })
    }

    /// The schema of a file, and that which this version has; nothing is written.
    pub(crate) fn schema(path: &Path) -> Result<crate::Schema, StoreError> {
        migrate::schema(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Lends a reader.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(Db::Sqlite(&self.reader()))
    }

    /// Lends a reader inside a transaction: all it reads is of one moment.
    pub(crate) fn read_at_once<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        at_once(&self.reader(), work)
    }

    /// What memory follows. Here a read takes so little that it needs no place of its own.
    pub(crate) fn read_feed<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_at_once(work)
    }

    /// The first that is free, since its statements are prepared and its pages at hand; else one in turn.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len();
            // A reader holds no state of ours that a panic could have broken.
            self.readers[turn].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// The same on a connection of its own, for what takes seconds. Who reads everything sees each page once: mapped, they would only count
    /// as this process's memory.
    pub(crate) fn read_long<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let db = reader(&self.path)?;
        db.execute_batch("PRAGMA mmap_size = 0;")?;
        at_once(&db, work)
    }
}

fn at_once<T>(db: &Connection, work: impl FnOnce(Db<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let transaction = db.unchecked_transaction()?;
    let result = work(Db::Sqlite(&transaction));
    transaction.finish()?;
    result
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA mmap_size = 1073741824;")?;
    keep_prepared(&db)?;
    Ok(db)
}

/// Keeps statements prepared. SQLite would prepare those anew at each run whose plan might depend on the values bound, which
/// takes ten times as long as running them; no statement of ours wants that.
fn keep_prepared(db: &Connection) -> Result<(), StoreError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn a_start_reads_the_numbers_as_they_lie() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Sqlite::open(&folder.path().join("a.db")).unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {}", *crate::rows::number::EACH);
        let plan: String = store.reader().query_row(&sql, [], |row| row.get("detail")).unwrap();
        assert_eq!(plan, "SCAN numbers");
    }

    #[test]
    fn statements_are_not_prepared_anew_for_other_values() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Sqlite::open(&folder.path().join("a.db")).unwrap();
        let db = store.reader();
        let mut statement = db.prepare_cached(&crate::rows::number::SHOWN).unwrap();
        for id in 0..3u8 {
            statement.query([[id; 16], [id + 1; 16]]).unwrap().next().unwrap();
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
