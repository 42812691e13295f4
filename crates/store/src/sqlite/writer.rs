//! The one writer: a thread that owns the writing connection and commits in groups.
//!
//! It takes what waits in its queue, up to [`GROUP_MAX`] commands, into one transaction, each command in a savepoint of its own:
//! one that fails is rolled back alone. Nobody is answered before the transaction is durable; if it cannot be made durable,
//! nobody's change stands and everybody is told so. The more writers wait, the larger the groups: the disk's flush, which
//! costs most, is shared.

use domain::{Commit, Fact, Generation};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::apply::{self, Counters};
use super::call;
use crate::error::{CommitError, StoreError};
use crate::feed::Appended;

/// The most commands in one transaction: bounds how long the first waits for the last.
const GROUP_MAX: usize = 256;
/// The most commands that wait; more wait for room in the queue, where they can still be cancelled.
const QUEUE_MAX: usize = 1_024;

type Reply<T> = oneshot::Sender<T>;

/// What the writer can be told.
enum Command {
    Commit(Box<Commit>, Reply<Result<Generation, CommitError>>),
    Facts(Vec<Fact>, Reply<Result<Appended, StoreError>>),
    Close(Reply<()>),
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

    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        // A writer that has ended needs no closing.
        if self.queue.send(Command::Close(reply)).await.is_ok() {
            answer.await.unwrap_or(());
        }
    }
}

fn write_all(db: &Connection, mut commands: mpsc::Receiver<Command>) {
    while let Some(first) = commands.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = commands.try_recv()
        {
            group.push(next);
        }
        if let Some(closed) = commit_group(db, group) {
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

/// Applies a group in one transaction and answers each. Gives whom to tell when the store is closed, if that was asked.
fn commit_group(db: &Connection, group: Vec<Command>) -> Option<Reply<()>> {
    let mut close = None;
    let mut outcomes = Vec::with_capacity(group.len());
    let begun = run(db, "BEGIN IMMEDIATE").and_then(|_| Counters::load(db));
    let (mut counters, mut failed) = match begun {
        Ok(counters) => (Some(counters), None),
        Err(error) => (None, Some(error)),
    };
    let before = counters;
    for command in group {
        match command {
            Command::Commit(commit, reply) => {
                let result = alone(db, counters.as_mut(), |counters| apply::commit(db, counters, &commit));
                outcomes.push(Outcome::Commit(result, reply));
            }
            Command::Facts(facts, reply) => {
                let result = alone(db, counters.as_mut(), |counters| call::append(db, counters, facts));
                outcomes.push(Outcome::Facts(result, reply));
            }
            Command::Close(reply) => close = Some(reply),
        }
    }
    if let Some(counters) = counters {
        failed = end(db, &counters, before.as_ref()).err();
    }
    if let Some(error) = &failed {
        tracing::error!(error = %error, "a group of writes was not committed");
        if !db.is_autocommit()
            && let Err(error) = db.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "the failed group could not be rolled back");
        }
    }
    for outcome in outcomes {
        outcome.answer(failed.as_ref());
    }
    close
}

fn end(db: &Connection, counters: &Counters, before: Option<&Counters>) -> Result<(), StoreError> {
    // Some failures (a full disk) roll the whole transaction back by themselves: then nothing of the group is left to commit.
    if db.is_autocommit() {
        return Err(StoreError::Database("the transaction was rolled back".to_owned()));
    }
    if before != Some(counters) {
        counters.save(db)?;
    }
    run(db, "COMMIT").map(|_| ())
}

/// Runs one command so that its failure leaves no trace: neither in the database nor in the counters.
fn alone<T, E: From<StoreError>>(
    db: &Connection,
    counters: Option<&mut Counters>,
    work: impl FnOnce(&mut Counters) -> Result<T, E>,
) -> Result<T, E> {
    // Without counters the transaction never began; the answer is replaced by the reason.
    let Some(counters) = counters else { return Err(StoreError::Closed.into()) };
    let before = *counters;
    run(db, "SAVEPOINT command")?;
    let result = work(counters);
    if result.is_err() {
        *counters = before;
        run(db, "ROLLBACK TO command")?;
    }
    run(db, "RELEASE command")?;
    result
}

/// One of the few statements that every group runs.
fn run(db: &Connection, sql: &str) -> Result<usize, StoreError> {
    Ok(db.prepare_cached(sql)?.execute([])?)
}
