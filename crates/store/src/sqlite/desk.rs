//! Where SQLite is written: one connection, one transaction for each group.

use rusqlite::Connection;

use crate::db::Db;
use crate::error::StoreError;
use crate::rows::apply::{Counters, Group};
use crate::writer::{Done, Work};

/// The writing connection.
pub(crate) struct Desk {
    db: Connection,
    /// What [`version`] was when it was asked last.
    seen: Option<i64>,
}

impl Desk {
    pub(super) fn new(db: Connection) -> Self {
        let seen = version(&db);
        Self { db, seen }
    }

    /// See [`crate::writer::Desk::commit`].
    pub(crate) fn commit(&mut self, work: Vec<Work>) -> Result<Vec<Done>, StoreError> {
        let committed = commit(&self.db, work);
        if committed.is_err()
            && !self.db.is_autocommit()
            && let Err(error) = run(&self.db, "ROLLBACK")
        {
            tracing::error!(error = %error, "the failed group could not be rolled back");
        }
        committed
    }

    pub(crate) fn elsewhere(&mut self) -> bool {
        let before = std::mem::replace(&mut self.seen, version(&self.db));
        before != self.seen
    }

    pub(crate) fn close(&mut self) {
        if let Err(error) = self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(error = %error, "the log was not checkpointed; the next start reads it");
        }
    }
}

/// Changes with each commit of other connections, of which other processes alone have any that write
/// (`PRAGMA data_version`).
fn version(db: &Connection) -> Option<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0)).ok()
}

fn commit(db: &Connection, work: Vec<Work>) -> Result<Vec<Done>, StoreError> {
    run(db, "BEGIN IMMEDIATE")?;
    let before = Counters::load(Db::Sqlite(db))?;
    let mut group = Group::new(before);
    let done = work.into_iter().map(|work| alone(db, &mut group, work)).collect();
    still_open(db)?;
    group.index.flush(Db::Sqlite(db))?;
    if before != group.counters {
        group.counters.save(Db::Sqlite(db))?;
    }
    run(db, "COMMIT")?;
    Ok(done)
}

/// Some failures (a full disk) roll the whole transaction back by themselves: then nothing of the group is left to commit, and
/// a savepoint would begin a transaction of its own.
fn still_open(db: &Connection) -> Result<(), StoreError> {
    if db.is_autocommit() {
        return Err(StoreError::Database("the transaction was rolled back".to_owned()));
    }
    Ok(())
}

/// Does one piece of work so that its failure leaves no trace: neither in the database nor in what the group shares.
fn alone(db: &Connection, group: &mut Group, work: Work) -> Done {
    let mark = group.mark();
    let begun = still_open(db).and_then(|()| run(db, "SAVEPOINT command"));
    if let Err(error) = begun {
        return work.failed(error);
    }
    let done = work.apply(Db::Sqlite(db), group);
    let ended = if done.is_ok() {
        Ok(())
    } else {
        group.back_to(mark);
        // Where the failure ended the transaction there is no savepoint left to go back to.
        still_open(db).and_then(|()| run(db, "ROLLBACK TO command"))
    };
    match ended.and_then(|()| run(db, "RELEASE command")) {
        Ok(()) => done,
        Err(error) => done.instead(error),
    }
}

/// One of the few statements that every group runs.
fn run(db: &Connection, sql: &str) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}
