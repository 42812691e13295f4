//! Where PostgreSQL is written: one connection, one transaction for each group, begun by locking the one row of `meta`.
//!
//! **One order for all nodes.** The lock is held until the commit, so all that a group reads is the newest there is and stays so
//! (at READ COMMITTED each statement sees what was committed before it began, and nobody else commits in between). The next group,
//! of whatever node, begins behind it.
//!
//! **Nothing twice, nothing lost.** A group whose connection broke before its COMMIT was said is not committed: it is written once
//! more on a new connection, and nobody notices. Where the answer to the COMMIT was lost, the group itself tells: each writes
//! this writer's number of it into `writers`, in its own transaction. A new connection takes the lock (so that what was under way
//! has ended) and reads the number: the group stands, or is written again. Only where the database cannot be reached for
//! [`PATIENCE`] nobody can know; then those who asked are told so ([`StoreError::Unknown`]).
//!
//! **Ahead of the answers.** Waiting for the answer to each write would cost more than the writes. A group is first written as if each
//! of them came out as expected ([`super::owed`]); only what is read is waited for. Before the COMMIT is said no answer is owed that the
//! server itself would not turn into a rollback. Where one came out otherwise the group is written again, and waits from that write
//! on: so whose work failed, and as what, is found as if each had been waited for.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::connection::{Connection, Purpose};
use super::gate::Gate;
use super::spread;
use super::statistics::Filling;
use crate::db::{Db, Value, params};
use crate::error::StoreError;
use crate::rows::apply::{Counters, Group};
use crate::writer::{Done, Work};

/// How often a group is written before it is given up.
const ATTEMPTS: usize = 3;
/// How long a group whose COMMIT was not answered is asked after.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited between two questions.
const PAUSE: Duration = Duration::from_millis(100);

const LOCK: &str = "SELECT generation, alias, serial, entry, commits FROM meta WHERE one = 1 FOR UPDATE";
const SAVE: &str =
    "UPDATE meta SET generation = $1, alias = $2, serial = $3, entry = $4, commits = $5 WHERE one = 1";
const MINE: &str = "INSERT INTO writers (id, last) VALUES ($1, $2) \
                    ON CONFLICT (id) DO UPDATE SET last = excluded.last, seen_at = excluded.seen_at";

/// The writing connection, and what it has written last.
pub(crate) struct Desk {
    gate: Arc<Gate>,
    connection: Option<Connection>,
    /// Names this writer; drawn by the server when it is opened.
    id: [u8; 16],
    /// The number of the last group that was tried.
    last: i64,
    /// What `meta.commits` was when it was seen last, own commits counted.
    commits: i64,
    /// Whether a commit of another writer was seen that was not told of yet.
    foreign: bool,
    /// Whether all parts of what was committed before can be seen, where tables are spread over servers (see [`spread`]).
    settled: bool,
    filling: Filling,
}

/// How a group is written.
#[derive(Clone, Copy)]
struct Manner {
    /// How many of its writes are said ahead of their answers.
    ahead: usize,
    /// Whether each piece of work is in a savepoint of its own. Most groups have none that fails, and savepoints are not free: rows
    /// that all of them refer to would be locked once for each, at a price that grows with the square of the group.
    apart: bool,
}

/// Why a group is not known to be committed.
enum Stopped {
    /// It is not. Whether writing it again is worth while.
    Undone(StoreError, bool),
    /// It is not: one of several failed, and they were not apart; or a write came out otherwise than it was taken to. Up to
    /// this write all was well.
    Mixed(usize),
    /// The answer to its COMMIT was lost.
    Unsure(StoreError),
}

impl Desk {
    pub(super) fn new(gate: Arc<Gate>) -> Result<Self, StoreError> {
        let connection = gate.connect(Purpose::Write)?;
        // Writers of processes that have long ended.
        connection.batch("DELETE FROM writers WHERE seen_at < now() - interval '30 days'")?;
        let (mut id, mut commits) = ([0; 16], 0);
        let sql = "SELECT decode(replace(gen_random_uuid()::text, '-', ''), 'hex'), commits FROM meta WHERE one = 1";
        Db::Postgres(&connection).first(sql, &[], &mut |row| {
            (id, commits) = (crate::db::field(&row, 0)?, crate::db::field(&row, 1)?);
            Ok(())
        })?;
        let filling = Filling::new(Arc::clone(&gate));
        Ok(Self {
            gate,
            connection: Some(connection),
            id,
            last: 0,
            commits,
            foreign: false,
            settled: false,
            filling,
        })
    }

    /// See [`crate::writer::Desk::commit`].
    pub(crate) fn commit(&mut self, work: &[Work]) -> Result<Vec<Done>, StoreError> {
        let done = self.commit_all(work)?;
        self.filling
            .note(work.iter().zip(&done).filter(|(_, done)| done.is_ok()).map(|(w, _)| w.changes()).sum());
        Ok(done)
    }

    fn commit_all(&mut self, work: &[Work]) -> Result<Vec<Done>, StoreError> {
        let (mut attempt, mut manner) = (1, Manner { ahead: usize::MAX, apart: false });
        loop {
            let mut done = Vec::with_capacity(work.len());
            let (error, again) = match self.attempt((work, manner), &mut done) {
                Ok(()) => return Ok(done),
                Err(Stopped::Mixed(well)) => {
                    // The second time nothing is taken for granted: what is waited for cannot come out otherwise.
                    let ahead = if manner.ahead == usize::MAX { well } else { 0 };
                    manner = Manner { ahead, apart: work.len() > 1 };
                    continue;
                }
                Err(Stopped::Undone(error, again)) => (error, again),
                Err(Stopped::Unsure(error)) => {
                    tracing::warn!(error = %error, "the answer to a commit was lost; asking after it");
                    if self.is_committed(&error)? {
                        return Ok(done);
                    }
                    (error, true)
                }
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// Writes a group in one transaction.
    fn attempt(&mut self, work: (&[Work], Manner), done: &mut Vec<Done>) -> Result<(), Stopped> {
        let connection = self.take().map_err(|error| Stopped::Undone(error, false))?;
        connection.write_ahead(work.1.ahead);
        let outcome = self.write(&connection, work, done);
        connection.write_ahead(0);
        if let Err(Stopped::Undone(..) | Stopped::Mixed(_)) = outcome
            && connection.is_sound()
            && connection.roll_back().is_err()
        {
            // The server rolls back when it notices that the connection has gone.
            return outcome;
        }
        self.leave(&connection, &outcome);
        self.connection = Some(connection).filter(Connection::is_sound);
        outcome
    }

    fn write(
        &mut self,
        connection: &Connection,
        (work, manner): (&[Work], Manner),
        done: &mut Vec<Done>,
    ) -> Result<(), Stopped> {
        let undone = |error: StoreError| {
            let again = !connection.is_sound() || connection.had_conflict();
            match connection.refuted() {
                // What the server had no time for would have none again.
                Some(write) if !again && !matches!(error, StoreError::Away(_)) => Stopped::Mixed(write),
                _ => Stopped::Undone(error, again),
            }
        };
        let db = Db::Postgres(connection);
        self.enter(connection).map_err(undone)?;
        connection.batch_later("BEGIN ISOLATION LEVEL READ COMMITTED");
        let (before, commits) = self.lock(db).map_err(undone)?;
        let mut group = Group::new(before);
        for one in work {
            let result = alone(connection, &mut group, one.clone(), manner.apart).map_err(undone)?;
            // Of a group that is written as one its only member fails alone; among others it needs to be apart.
            if !manner.apart && work.len() > 1 && !result.is_ok() {
                return Err(Stopped::Mixed(connection.writes()));
            }
            done.push(result);
        }
        if !done.iter().any(Done::is_ok) {
            // Nothing to make durable.
            return connection.roll_back().map_err(|fault| undone(fault.into()));
        }
        group.index.flush(db).map_err(undone)?;
        self.last += 1;
        let [generation, alias, serial, entry] = group.counters.row();
        let counted = [generation, alias, serial, entry, commits + 1].map(Value::Integer);
        let mine = vec![Value::Blob(self.id.to_vec()), Value::Integer(self.last)];
        let said =
            connection.write_later(SAVE, counted.into()).and_then(|()| connection.write_later(MINE, mine));
        said.map_err(|fault| undone(fault.into()))?;
        if before.generation() != group.counters.generation() {
            connection.batch_later(super::listen::NUDGE);
        }
        if connection.is_deciding() {
            connection.settle().map_err(|fault| undone(fault.into()))?;
        }
        if let Some(write) = connection.refuted() {
            return Err(Stopped::Mixed(write));
        }
        // From here on it may be committed. A failure that the server tells (of what was said before, or of the COMMIT itself) is
        // its word that it is not.
        match connection.batch("COMMIT") {
            Ok(()) => {
                self.commits = commits + 1;
                Ok(())
            }
            Err(fault) if connection.is_sound() => Err(undone(fault.into())),
            Err(fault) => Err(Stopped::Unsure(fault.into())),
        }
    }

    /// Where tables are spread over servers: takes the lock that is held until all parts of a commit can be seen.
    fn enter(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if !connection.is_spread() {
            return Ok(());
        }
        // Waited for by itself: the server's bound on it and that on the lock of `meta` together are more than the client waits.
        connection.batch(spread::ENTER).map_err(StoreError::from)?;
        if !self.settled {
            spread::settle(connection, PATIENCE)?;
            self.settled = true;
        }
        connection.was_warned();
        Ok(())
    }

    /// Gives it back. A commit of which a part is missing stands all the same: it is waited for, and nobody reads meanwhile what
    /// was there before it.
    fn leave(&mut self, connection: &Connection, outcome: &Result<(), Stopped>) {
        if !connection.is_spread() {
            return;
        }
        match outcome {
            Ok(()) if connection.was_warned() => {
                tracing::warn!(
                    "a server of the database did not carry out its part of a commit; waiting for it"
                );
                self.settled = spread::settle(connection, spread::PATIENCE).is_ok();
            }
            // Whoever met a server's absence asks how it came back.
            Err(Stopped::Undone(StoreError::Away(_), _) | Stopped::Unsure(_)) => self.settled = false,
            Ok(()) | Err(Stopped::Undone(..) | Stopped::Mixed(_)) => {}
        }
        // The lock goes with the connection.
        if connection.is_sound() && spread::leave(connection).is_err() {
            tracing::debug!("the connection ended before it gave its lock back");
        }
    }

    /// Takes the lock of all writers; gives the counters, and how many groups were committed before.
    fn lock(&mut self, db: Db<'_>) -> Result<(Counters, i64), StoreError> {
        let (counters, commits) = Counters::load_with(db, LOCK)?;
        self.foreign |= commits != self.commits;
        self.commits = commits;
        Ok((counters, commits))
    }

    fn take(&mut self) -> Result<Connection, StoreError> {
        if let Some(connection) = self.connection.take().filter(Connection::is_sound) {
            return Ok(connection);
        }
        self.settled = false;
        self.gate.connect(Purpose::Write)
    }

    /// Whether the last group that was tried stands, where its own connection did not say.
    fn is_committed(&mut self, lost: &StoreError) -> Result<bool, StoreError> {
        // The runtime's clock, which measures time-outs only.
        let until = Instant::now() + PATIENCE;
        loop {
            match self.ask() {
                Ok(committed) => return Ok(committed),
                Err(error) => tracing::debug!(error = %error, "the database does not say yet"),
            }
            if Instant::now() >= until {
                return Err(StoreError::Unknown(lost.to_string()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn ask(&mut self) -> Result<bool, StoreError> {
        let connection = self.take()?;
        self.enter(&connection)?;
        connection.batch_later("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = 2000");
        // Behind the transaction that is asked after: it holds this lock as long as it is under way, be it only that it waits for
        // a standby that is gone.
        let (_, commits) = Counters::load_with(Db::Postgres(&connection), LOCK)?;
        let committed = Db::Postgres(&connection)
            .exists("SELECT 1 FROM writers WHERE id = $1 AND last = $2", params![self.id, self.last])?;
        connection.batch("ROLLBACK")?;
        self.leave(&connection, &Ok(()));
        self.connection = Some(connection).filter(Connection::is_sound);
        // One's own commit is none of another writer's.
        self.foreign |= commits != self.commits + i64::from(committed);
        self.commits = commits;
        Ok(committed)
    }

    /// Whether another writer has committed since this was asked last. Where the database does not say, it is told the next time.
    pub(crate) fn elsewhere(&mut self) -> bool {
        let mut now = None;
        for _ in 0..2 {
            let Ok(connection) = self.take() else { break };
            let told =
                Db::Postgres(&connection).first("SELECT commits FROM meta WHERE one = 1", &[], &mut |row| {
                    now = Some(crate::db::field(&row, 0)?);
                    Ok(())
                });
            self.connection = Some(connection).filter(Connection::is_sound);
            if told.is_ok() {
                break;
            }
        }
        if let Some(now) = now {
            self.foreign |= now != self.commits;
            self.commits = now;
        }
        std::mem::take(&mut self.foreign)
    }

    pub(crate) fn close(&mut self) {
        self.connection = None;
    }
}

/// Does one piece of work so that its failure leaves no trace beside others of its group. An error: the group has failed.
fn alone(connection: &Connection, group: &mut Group, work: Work, apart: bool) -> Result<Done, StoreError> {
    let mark = group.mark();
    if apart {
        connection.batch_later("SAVEPOINT command");
    }
    let done = work.apply(Db::Postgres(connection), group);
    if done.is_ok() {
        if apart {
            connection.batch_later("RELEASE command");
        }
        return Ok(done);
    }
    // What it was taken for granted is answered first: it may have failed of that.
    let settled = connection.settle();
    if !connection.is_sound() {
        return Err(StoreError::Away("the connection broke in the middle of a group".to_owned()));
    }
    if connection.met_conflict() {
        return Err(StoreError::Away("another transaction stood in the way".to_owned()));
    }
    settled?;
    if connection.refuted().is_some() {
        return Err(StoreError::Database("a write came out otherwise than it was taken to".to_owned()));
    }
    group.back_to(mark);
    if apart {
        connection.batch("ROLLBACK TO command; RELEASE command")?;
    }
    Ok(done)
}
