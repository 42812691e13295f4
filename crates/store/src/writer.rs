//! The one writer of this process: a thread that owns the writing connection and commits in groups.
//!
//! It takes what waits in its queue, up to [`GROUP_MAX`] commands, into one transaction, each command in a savepoint of its own:
//! one that fails is rolled back alone. Nobody is answered before the transaction is durable; if it cannot be made durable,
//! nobody's change stands and everybody is told so. The more writers wait, the larger the groups: the disk's flush, which
//! costs most, is shared. How a group is committed is the engine's ([`Desk`]).

use domain::{Commit, Fact, Generation};
use tokio::sync::{mpsc, oneshot};

use crate::copy::Step;
use crate::db::Db;
use crate::error::{CommitError, StoreError};
use crate::feed::Appended;
use crate::rows::apply::{self, Group};
use crate::rows::call;
use crate::{postgres, sqlite};

/// The most commands in one transaction: bounds how long the first waits for the last.
const GROUP_MAX: usize = 256;
/// No command joins a group that has as many changes: a bulk is committed before what came behind it is begun.
const WEIGHT_MAX: usize = 10_000;
/// The most commands that wait; more wait for room in the queue, where they can still be cancelled.
const QUEUE_MAX: usize = 1_024;

type Reply<T> = oneshot::Sender<T>;

/// What is to be written, whole or not at all.
#[derive(Clone)]
pub(crate) enum Work {
    Commit(Box<Commit>),
    Facts(Vec<Fact>),
    Step(Step),
}

impl Work {
    fn weight(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.changes.len(),
            Self::Facts(facts) => facts.len(),
            Self::Step(_) => WEIGHT_MAX,
        }
    }

    /// How many changes a commit has.
    pub(crate) fn changes(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.changes.len(),
            Self::Facts(_) | Self::Step(_) => 0,
        }
    }

    /// Writes it, in a transaction that is open. After a failure the caller goes back to where it began.
    pub(crate) fn apply(self, db: Db<'_>, group: &mut Group) -> Done {
        match self {
            Self::Commit(commit) => Done::Commit(apply::commit(db, group, &commit)),
            Self::Facts(facts) => Done::Facts(call::append(db, group, facts)),
            Self::Step(step) => Done::Step(step.apply(db, group)),
        }
    }

    /// What came of it where it could not be tried.
    pub(crate) fn failed(&self, error: StoreError) -> Done {
        match self {
            Self::Commit(_) => Done::Commit(Err(error.into())),
            Self::Facts(_) => Done::Facts(Err(error)),
            Self::Step(_) => Done::Step(Err(error)),
        }
    }
}

/// What came of a piece of work, held back until it is durable.
pub(crate) enum Done {
    Commit(Result<Generation, CommitError>),
    Facts(Result<Appended, StoreError>),
    Step(Result<(), StoreError>),
}

impl Done {
    pub(crate) fn is_ok(&self) -> bool {
        match self {
            Self::Commit(result) => result.is_ok(),
            Self::Facts(result) => result.is_ok(),
            Self::Step(result) => result.is_ok(),
        }
    }

    /// The same with an error in its place.
    pub(crate) fn instead(&self, error: StoreError) -> Self {
        match self {
            Self::Commit(_) => Self::Commit(Err(error.into())),
            Self::Facts(_) => Self::Facts(Err(error)),
            Self::Step(_) => Self::Step(Err(error)),
        }
    }
}

/// The engine's place to write at.
pub(crate) enum Desk {
    Sqlite(sqlite::Desk),
    Postgres(postgres::Desk),
}

impl Desk {
    /// Writes a group in one transaction; when it answers, what is `Ok` is durable. An error: nothing of it stands, but
    /// where it is [`StoreError::Unknown`].
    fn commit(&mut self, group: Vec<Work>) -> Result<Vec<Done>, StoreError> {
        match self {
            Self::Sqlite(desk) => desk.commit(group),
            Self::Postgres(desk) => desk.commit(&group),
        }
    }

    /// Whether somebody else has written since this was asked last.
    fn elsewhere(&mut self) -> bool {
        match self {
            Self::Sqlite(desk) => desk.elsewhere(),
            Self::Postgres(desk) => desk.elsewhere(),
        }
    }

    fn close(&mut self) {
        match self {
            Self::Sqlite(desk) => desk.close(),
            Self::Postgres(desk) => desk.close(),
        }
    }
}

/// What the writer can be told.
enum Command {
    Commit(Box<Commit>, Reply<Result<Generation, CommitError>>),
    Facts(Vec<Fact>, Reply<Result<Appended, StoreError>>),
    Step(Step, Reply<Result<(), StoreError>>),
    /// Whether another process has written since this was asked last.
    Elsewhere(Reply<bool>),
    Close(Reply<()>),
}

/// Who is to be answered.
enum Asked {
    Commit(Reply<Result<Generation, CommitError>>),
    Facts(Reply<Result<Appended, StoreError>>),
    Step(Reply<Result<(), StoreError>>),
}

impl Asked {
    /// Answers. Who has stopped waiting does not hear of it; what was done stands all the same.
    fn answer(self, done: Done) {
        match (self, done) {
            (Self::Commit(reply), Done::Commit(result)) => drop(reply.send(result)),
            (Self::Facts(reply), Done::Facts(result)) => drop(reply.send(result)),
            (Self::Step(reply), Done::Step(result)) => drop(reply.send(result)),
            // Each is made of the other's command; a reply that is dropped says that the store is closed.
            (Self::Commit(_), Done::Facts(_) | Done::Step(_))
            | (Self::Facts(_), Done::Commit(_) | Done::Step(_))
            | (Self::Step(_), Done::Commit(_) | Done::Facts(_)) => {}
        }
    }

    fn refuse(self, error: StoreError) {
        match self {
            Self::Commit(reply) => drop(reply.send(Err(error.into()))),
            Self::Facts(reply) => drop(reply.send(Err(error))),
            Self::Step(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// What was taken from the queue at once.
#[derive(Default)]
struct Taken {
    work: Vec<Work>,
    asked: Vec<Asked>,
    elsewhere: Vec<Reply<bool>>,
    close: Option<Reply<()>>,
    weight: usize,
}

impl Taken {
    fn add(&mut self, command: Command) {
        let (work, asked) = match command {
            Command::Commit(commit, reply) => (Work::Commit(commit), Asked::Commit(reply)),
            Command::Facts(facts, reply) => (Work::Facts(facts), Asked::Facts(reply)),
            Command::Step(step, reply) => (Work::Step(step), Asked::Step(reply)),
            Command::Elsewhere(reply) => return self.elsewhere.push(reply),
            Command::Close(reply) => {
                self.close = Some(reply);
                return;
            }
        };
        self.weight += work.weight();
        self.work.push(work);
        self.asked.push(asked);
    }

    fn has_room(&self) -> bool {
        self.work.len() < GROUP_MAX && self.weight < WEIGHT_MAX && self.close.is_none()
    }
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Command>,
}

impl Writer {
    /// Starts the thread. It ends when it is told to, or when the last way to it is dropped.
    pub(crate) fn start(desk: Desk) -> Result<Self, StoreError> {
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || write_all(desk, commands)).map_err(|e| StoreError::Database(e.to_string()))?;
        Ok(Self { queue })
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Generation, CommitError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Commit(Box::new(commit), reply);
        self.queue.send(command).await.map_err(|_| CommitError::from(StoreError::Closed))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    pub(crate) async fn facts(&self, facts: Vec<Fact>) -> Result<Appended, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command::Facts(facts, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Waits on this thread, which is none of the runtime's own.
    pub(crate) fn step(&self, step: Step) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.blocking_send(Command::Step(step, reply)).map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) async fn elsewhere(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Command::Elsewhere(reply)).await.is_ok() && answer.await.unwrap_or(false)
    }

    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        // A writer that has ended needs no closing.
        if self.queue.send(Command::Close(reply)).await.is_ok() {
            answer.await.unwrap_or(());
        }
    }
}

fn write_all(mut desk: Desk, mut commands: mpsc::Receiver<Command>) {
    while let Some(first) = commands.blocking_recv() {
        let mut taken = Taken::default();
        taken.add(first);
        while taken.has_room()
            && let Ok(next) = commands.try_recv()
        {
            taken.add(next);
        }
        let Taken { work, asked, elsewhere, close, .. } = taken;
        if !work.is_empty() {
            write(&mut desk, work, asked);
        }
        for reply in elsewhere {
            // Who has stopped waiting asks again.
            reply.send(desk.elsewhere()).unwrap_or_default();
        }
        if let Some(closed) = close {
            // Whoever comes from here on is refused: the queue goes with this function.
            drop(commands);
            desk.close();
            closed.send(()).unwrap_or(());
            return;
        }
    }
}

/// Writes a group and answers each of those who asked.
fn write(desk: &mut Desk, work: Vec<Work>, asked: Vec<Asked>) {
    match desk.commit(work) {
        Ok(done) => asked.into_iter().zip(done).for_each(|(asked, done)| asked.answer(done)),
        Err(error) => {
            tracing::error!(error = %error, "a group of writes was not committed");
            for asked in asked {
                asked.refuse(error.clone());
            }
        }
    }
}
