//! The one writer: a thread that owns the writing connection and commits in groups.
//!
//! It takes what waits in its queue, up to [`GROUP_MAX`] commands, into one transaction, each command in a savepoint of its own:
//! one that fails is rolled back alone. Nobody is answered before the transaction is durable; if it cannot be made durable,
//! nobody's change stands and everybody is told so. The more writers wait, the larger the groups: the disk's flush, which
//! costs most, is shared.

use domain::{Commit, Fact, Generation};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::apply::{self, Counters, Group};
use super::call;
use super::index::Pending;
use crate::error::{CommitError, StoreError};
use crate::feed::Appended;

/// The most commands in one transaction: bounds how long the first waits for the last.
const GROUP_MAX: usize = 256;
/// No command joins a group that has as many changes: a bulk is committed before what came behind it is begun.
const WEIGHT_MAX: usize = 10_000;
/// The most commands that wait; more wait for room in the queue, where they can still be cancelled.
const QUEUE_MAX: usize = 1_024;

type Reply<T> = oneshot::Sender<T>;

/// What the writer can be told.
enum Command {
    Commit(Box<Commit>, Reply<Result<Generation, CommitError>>),
    Facts(Vec<Fact>, Reply<Result<Appended, StoreError>>),
    /// Whether another process has written since this was asked last.
    Elsewhere(Reply<bool>),
    Close(Reply<()>),
}

impl Command {
    fn weight(&self) -> usize {
        match self {
            Self::Commit(commit, _) => commit.changes.len(),
            Self::Facts(facts, _) => facts.len(),
            Self::Elsewhere(_) | Self::Close(_) => 0,
        }
    }
}

/// A command's outcome, held back until it is durable.
enum Outcome {
    Commit(Result<Generation, CommitError>, Reply<Result<Generation, CommitError>>),
    Facts(Result<Appended, StoreError>, Reply<Result<Appended, StoreError>>),
}

impl Outcome {
    /// Answers; `failed` is why the whole group did not become durable.
    fn answer(self, failed: Option<&StoreError>) {
        let why = failed.map(ToString::to_string);
        // Who has stopped waiting does not hear of it; what was done stands all the same.
        match self {
            Self::Commit(result, reply) => {
                let answer = why.map_or(result, |why| Err(CommitError::Unavailable(why)));
                drop(reply.send(answer));
            }
            Self::Facts(result, reply) => {
                let answer = why.map_or(result, |why| Err(StoreError::Database(why)));
                drop(reply.send(answer));
            }
        }
    }
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Command>,
}

impl Writer {
    /// Starts the thread. It ends when it is told to, or when the last way to it is dropped.
    pub(super) fn start(db: Connection) -> Result<Self, StoreError> {
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || write_all(&db, commands)).map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Self { queue })
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<Generation, CommitError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Commit(Box::new(commit), reply);
        self.queue.send(command).await.map_err(|_| CommitError::from(StoreError::Closed))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    pub(super) async fn facts(&self, facts: Vec<Fact>) -> Result<Appended, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command::Facts(facts, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn elsewhere(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command::Elsewhere(reply)).await.is_ok() && answer.await.unwrap_or(false)
    }

    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        // A writer that has ended needs no closing.
        if self.queue.send(Command::Close(reply)).await.is_ok() {
            answer.await.unwrap_or(());
        }
    }
}

fn write_all(db: &Connection, mut commands: mpsc::Receiver<Command>) {
    let mut seen = version(db);
    while let Some(first) = commands.blocking_recv() {
        if let Command::Elsewhere(reply) = first {
            tell_elsewhere(db, &mut seen, reply);
            continue;
        }
        let mut weight = first.weight();
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && weight < WEIGHT_MAX
            && let Ok(next) = commands.try_recv()
        {
            weight += next.weight();
            group.push(next);
        }
        if let Some(closed) = commit_group(db, group, &mut seen) {
            // Whoever comes from here on is refused: the queue goes with this function.
            drop(commands);
            if let Err(error) = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
                tracing::warn!(error = %error, "the log was not checkpointed; the next start reads it");
            }
            closed.send(()).unwrap_or(());
            return;
        }
    }
}

/// Changes with each commit of other connections, of which other processes alone have any that write
/// (`PRAGMA data_version`).
fn version(db: &Connection) -> Option<i64> {
    db.pragma_query_value(None, "data_version", |row| row.get(0)).ok()
}

/// Answers by what was seen the last time.
fn tell_elsewhere(db: &Connection, seen: &mut Option<i64>, reply: Reply<bool>) {
    let before = std::mem::replace(seen, version(db));
    // Who has stopped waiting asks again.
    reply.send(before != *seen).unwrap_or_default();
}

/// Applies a group in one transaction and answers each. Gives whom to tell when the store is closed, if that was asked.
fn commit_group(db: &Connection, commands: Vec<Command>, seen: &mut Option<i64>) -> Option<Reply<()>> {
    let mut close = None;
    let mut outcomes = Vec::with_capacity(commands.len());
    let begun = run(db, "BEGIN IMMEDIATE").and_then(|_| Counters::load(db));
    let mut group = begun.map(|counters| Group { counters, index: Pending::default() });
    let before = group.as_ref().ok().map(|group| group.counters);
    for command in commands {
        match command {
            Command::Commit(commit, reply) => {
                let result = alone(db, &mut group, |group| apply::commit(db, group, &commit));
                outcomes.push(Outcome::Commit(result, reply));
            }
            Command::Facts(facts, reply) => {
                let result = alone(db, &mut group, |group| call::append(db, group, facts));
                outcomes.push(Outcome::Facts(result, reply));
            }
            Command::Elsewhere(reply) => tell_elsewhere(db, seen, reply),
            Command::Close(reply) => close = Some(reply),
        }
    }
    let failed = group.and_then(|group| end(db, group, before)).err();
    if let Some(error) = &failed {
        tracing::error!(error = %error, "a group of writes was not committed");
        if !db.is_autocommit()
            && let Err(error) = run(db, "ROLLBACK")
        {
            tracing::error!(error = %error, "the failed group could not be rolled back");
        }
    }
    for outcome in outcomes {
        outcome.answer(failed.as_ref());
    }
    close
}

fn end(db: &Connection, mut group: Group, before: Option<Counters>) -> Result<(), StoreError> {
    still_open(db)?;
    group.index.flush(db)?;
    if before != Some(group.counters) {
        group.counters.save(db)?;
    }
    run(db, "COMMIT").map(|_| ())
}

/// Some failures (a full disk) roll the whole transaction back by themselves: then nothing of the group is left to commit, and
/// a savepoint would begin a transaction of its own.
fn still_open(db: &Connection) -> Result<(), StoreError> {
    if db.is_autocommit() {
        return Err(StoreError::Database("the transaction was rolled back".to_owned()));
    }
    Ok(())
}

/// Runs one command so that its failure leaves no trace: neither in the database nor in what the group shares.
fn alone<T, E: From<StoreError>>(
    db: &Connection,
    group: &mut Result<Group, StoreError>,
    work: impl FnOnce(&mut Group) -> Result<T, E>,
) -> Result<T, E> {
    // Where the transaction never began, the answer is replaced by the reason.
    let Ok(group) = group else { return Err(StoreError::Closed.into()) };
    still_open(db)?;
    let (counters, mark) = (group.counters, group.index.mark());
    run(db, "SAVEPOINT command")?;
    let result = work(group);
    if result.is_err() {
        group.counters = counters;
        group.index.back_to(mark);
        // Where the failure ended the transaction there is no savepoint left to go back to.
        still_open(db)?;
        run(db, "ROLLBACK TO command")?;
    }
    run(db, "RELEASE command")?;
    result
}

/// One of the few statements that every group runs.
fn run(db: &Connection, sql: &str) -> Result<usize, StoreError> {
    Ok(db.prepare_cached(sql)?.execute([])?)
}
