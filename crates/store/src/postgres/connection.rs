//! One connection, used by one thread at a time.
//!
//! Whoever asks drives it: the calling thread moves the connection's bytes itself and sleeps in between, so that an answer costs
//! no task and no thread of its own, in a runtime and outside of one. The sockets' readiness and the time-outs come from the
//! engine's own small runtime ([`super::gate`]). Each wait is bounded; a connection that was late or broke says so
//! ([`Connection::is_sound`]) and is not used again.

use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio::time::timeout;
use tokio_postgres::error::Severity;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Error, Socket, Statement};

use super::fault::Fault;
use super::owed::{Answer, Hope, Owed};
use super::settings::Settings;
use crate::db::{Cell, Db, Failure, Param, Row, See, Value};
use crate::error::StoreError;
use futures_util::TryStreamExt;

/// Statements kept prepared: more than this crate has, with the usual variants of its lists. Beyond it all are prepared anew.
const STATEMENTS: usize = 512;
/// How many rows of what is never held in memory at once are fetched together.
const FETCHED: usize = 2_000;
/// How long a transaction may be open in which nobody says anything.
const IDLE: Duration = Duration::from_secs(15);
/// How many words may be said without an answer: they and their answers are held in memory, and all are awaited within one bound.
const OWED: usize = 64;
/// How many words are sent together: the server works on them while the next are made.
const TOGETHER: usize = 8;
/// How long the client waits beyond the server's own bound on a statement.
const GRACE: Duration = Duration::from_secs(2);

/// What a connection is for: how long its statements may take, and whether they may write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Look-ups and pages.
    Read,
    /// What reads everything.
    ReadLong,
    /// A group of writes. Its statements are short; what takes long is waiting for the other nodes' groups.
    Write,
    /// Changes of the schema, which may wait for other nodes that make them.
    Migrate,
    /// Statistics of tables, which may wait for the server's own gathering.
    Gather,
}

impl Purpose {
    fn bound(self) -> Duration {
        Duration::from_secs(match self {
            Self::Read => 10,
            Self::Write => 30,
            Self::Gather => 120,
            Self::ReadLong | Self::Migrate => 600,
        })
    }

    /// What the session is told first. A transaction in which nobody says anything holds the lock of all writers, or old rows:
    /// the server ends it, so that a node that stands still stops nobody else.
    fn session(self) -> String {
        let bound = self.bound().as_millis();
        let writes = if matches!(self, Self::Read | Self::ReadLong) { "on" } else { "off" };
        // What reads everything may be busy elsewhere in between (a copy writes); it holds no writer's lock.
        let idle = if matches!(self, Self::ReadLong) { bound } else { IDLE.as_millis() };
        // An acknowledged commit is durable, whatever the server's default; a stricter one than `on` is kept.
        let durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";
        // That tables are skipped which this role may not look at is no news.
        let heard = if matches!(self, Self::Gather) { "error" } else { "warning" };
        format!(
            "SET statement_timeout = {bound}; SET lock_timeout = {bound}; SET default_transaction_read_only = {writes}; \
             SET idle_in_transaction_session_timeout = {idle}; SET client_min_messages = {heard}; {durable}"
        )
    }
}

type Wire = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;
/// Rows that are to come.
type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Vec<tokio_postgres::Row>, Error>> + 'a>>;

/// See the module's head.
pub(crate) struct Connection {
    client: Arc<Client>,
    /// Moves the bytes; none once the connection has ended.
    wire: RefCell<Option<Wire>>,
    /// What was said without waiting for the answer: it is looked at with the next one.
    owed: Owed,
    /// How many writes of a transaction (and checks, which may come out otherwise too) are said without waiting, and how many there
    /// were.
    ahead: Flag<usize>,
    writes: Flag<usize>,
    statements: RefCell<HashMap<String, Statement>>,
    io: Handle,
    bound: Duration,
    late: Flag<bool>,
    /// Whether another transaction stood in the way of a statement.
    conflict: Flag<bool>,
    /// Whether the server has warned of something.
    warned: Arc<AtomicBool>,
    /// Names the server's history (see [`super::epoch`]).
    history: String,
    /// Whether the tables may be on several servers (see [`super::spread`]).
    spread: bool,
}

impl Connection {
    pub(super) fn open(settings: &Settings, io: &Handle, purpose: Purpose) -> Result<Self, StoreError> {
        let bound = purpose.bound() + GRACE;
        // The settings' own bounds come before this one.
        let (client, wire) = drive(io, bound, settings.connect(), |_| Poll::Ready(()))?;
        let warned = Arc::<AtomicBool>::default();
        let mut connection = Self {
            client: Arc::new(client),
            wire: RefCell::new(Some(Box::pin(moved(wire, Arc::clone(&warned))))),
            owed: Owed::default(),
            ahead: Flag::new(0),
            writes: Flag::new(0),
            statements: RefCell::default(),
            io: io.clone(),
            bound,
            late: Flag::new(false),
            conflict: Flag::new(false),
            warned,
            history: String::new(),
            spread: false,
        };
        connection.run(connection.client.batch_execute(&purpose.session()))?;
        connection.history = super::epoch::history(&connection)?;
        connection.spread = super::spread::is(&connection)?;
        Ok(connection)
    }

    /// Whether it can be used again.
    pub(super) fn is_sound(&self) -> bool {
        !self.late.get() && self.wire.borrow().is_some() && !self.client.is_closed()
    }

    /// Whether another transaction stood in the way, since this was asked last; the second does not make it forget.
    pub(super) fn had_conflict(&self) -> bool {
        self.conflict.take()
    }

    pub(super) fn met_conflict(&self) -> bool {
        self.conflict.get()
    }

    /// Whether the server has warned of something since this was asked last.
    pub(super) fn was_warned(&self) -> bool {
        self.warned.swap(false, Ordering::Relaxed)
    }

    /// Whether the tables may be on several servers (see [`super::spread`]).
    pub(super) fn is_spread(&self) -> bool {
        self.spread
    }

    /// Waits until all of what was committed so far can be seen, where that is not so at once.
    pub(crate) fn see_whole(&self) -> Result<(), StoreError> {
        if self.spread { super::spread::pass(self) } else { Ok(()) }
    }

    /// Names the history of which the store's own drawn number is a part.
    pub(crate) fn epoch(&self, drawn: u64) -> u64 {
        super::epoch::of(&self.history, drawn)
    }

    /// Runs statements without parameters or rows.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.run(self.client.batch_execute(sql))
    }

    /// Says something whose failure the next statement tells. What cannot be said for want of a connection, that cannot be either.
    pub(super) fn batch_later(&self, sql: &'static str) {
        let client = Arc::clone(&self.client);
        self.owed
            .say(Hope::None, Box::pin(async move { client.batch_execute(sql).await.map(|()| 0) }))
            .unwrap_or_default();
    }

    /// The same with parameters.
    pub(super) fn write_later(&self, sql: &str, row: Vec<Value>) -> Result<(), Fault> {
        self.say(Hope::None, sql, row)
    }

    fn say(&self, hope: Hope, sql: &str, row: Vec<Value>) -> Result<(), Fault> {
        if self.owed.count() >= OWED {
            self.settle_but(OWED / 2)?;
        }
        let (client, statement) = (Arc::clone(&self.client), self.prepared(sql)?);
        let answer: Answer = Box::pin(async move { client.execute_raw(&statement, row).await });
        self.owed.say(hope, answer)?;
        if self.owed.count().is_multiple_of(TOGETHER) {
            self.send();
        }
        Ok(())
    }

    /// Sends what was said, as far as it goes without waiting.
    fn send(&self) {
        let _io = self.io.enter();
        let mut context = Context::from_waker(Waker::noop());
        let mut wire = self.wire.borrow_mut();
        // What it ended with, its requests are told.
        if wire.as_mut().is_some_and(|wire| wire.as_mut().poll(&mut context).is_ready()) {
            *wire = None;
        }
    }

    /// Begins to count the writes of a transaction: the first `ahead` of them are said without waiting for their answers.
    pub(super) fn write_ahead(&self, ahead: usize) {
        self.ahead.set(ahead);
        self.writes.set(0);
        self.owed.forget();
    }

    /// How many writes there were since.
    pub(super) fn writes(&self) -> usize {
        self.writes.get()
    }

    /// The first of them that was said without waiting and did not come out as it was taken to.
    pub(super) fn refuted(&self) -> Option<usize> {
        self.owed.refuted()
    }

    /// Whether answers are owed that a COMMIT must wait for.
    pub(super) fn is_deciding(&self) -> bool {
        self.owed.is_deciding()
    }

    /// Waits for all answers that are owed; the first failure among them.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        self.settle_but(0)
    }

    fn settle_but(&self, left: usize) -> Result<(), Fault> {
        if self.owed.count() <= left {
            return Ok(());
        }
        self.run_but(left, std::future::ready(Ok(())))
    }

    /// Ends a transaction that is not to be. What was said in it and failed matters no more.
    pub(super) fn roll_back(&self) -> Result<(), Fault> {
        match self.settle() {
            Err(fault) if !self.is_sound() => Err(fault),
            _ => self.batch("ROLLBACK"),
        }
    }

    fn prepared(&self, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.run(self.client.prepare(sql))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn rows(&self, sql: &str, row: &[&dyn Param]) -> Result<Vec<tokio_postgres::Row>, Fault> {
        if sql.contains(" LIKE $") {
            return self.rows_as_asked(sql, row);
        }
        let statement = self.prepared(sql)?;
        self.run(async {
            let rows = self.client.query_raw(&statement, row.iter().map(|param| param.cell())).await?;
            pin!(rows).try_collect().await
        })
    }

    /// The same for a search. How many rows have a part differs by thousands of times, and so does the best way to find them: it is
    /// planned for the part that is asked for each time, not once for all.
    fn rows_as_asked(&self, sql: &str, row: &[&dyn Param]) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let typed = row.iter().map(|param| {
            let cell = param.cell();
            let kind = match cell {
                Cell::Null => Type::UNKNOWN,
                Cell::Int(_) => Type::INT8,
                Cell::Text(_) => Type::TEXT,
                Cell::Bytes(_) => Type::BYTEA,
            };
            (cell, kind)
        });
        self.run(async {
            let rows = self.client.query_typed_raw(sql, typed).await?;
            pin!(rows).try_collect().await
        })
    }

    /// Waits for an answer, and for those that were not waited for before.
    fn run<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        self.run_but(0, work)
    }

    /// The same, but so many may still be owed.
    fn run_but<T>(&self, left: usize, work: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        let mut earlier = None;
        let done = drive(&self.io, self.bound, work, |context| {
            let mut wire = self.wire.borrow_mut();
            // What it ended with, its requests are told.
            if let Some(Poll::Ready(_)) = wire.as_mut().map(|wire| wire.as_mut().poll(context)) {
                *wire = None;
            }
            self.owed.poll(context, left, &mut earlier)
        });
        if let Err(Fault::Slow) = done {
            self.late.set(true);
        }
        // The first failure is the cause of those behind it.
        let done = match earlier {
            Some(fault) => Err(fault),
            None => done,
        };
        if let Err(fault) = &done
            && fault.is_conflict()
        {
            self.conflict.set(true);
        }
        done
    }

    /// Writes; its answer may be owed.
    pub(crate) fn write(&self, sql: &str, row: &[&dyn Param]) -> Result<(), Failure> {
        match self.next_write() {
            Some(write) => Ok(self.say(Hope::Done(write), sql, owned(row))?),
            None => self.touched(sql, row).map(|_| ()),
        }
    }

    /// The same of what is to touch a row: whether it does, or is taken to.
    pub(crate) fn change(&self, sql: &str, row: &[&dyn Param]) -> Result<bool, Failure> {
        match self.next_write() {
            Some(write) => {
                self.say(Hope::Touched(write), sql, owned(row)).map(|()| true).map_err(Failure::from)
            }
            None => Ok(self.touched(sql, row)? > 0),
        }
    }

    /// Whether nothing is found, or is taken not to be.
    pub(crate) fn absent(&self, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
        match self.next_write() {
            Some(write) => Ok(self.say(Hope::Absent(write), sql, owned(row)).map(|()| true)?),
            None => Ok(!self.exists(sql, row)?),
        }
    }

    /// Counts a write; gives its number where it is not waited for.
    fn next_write(&self) -> Option<usize> {
        let write = self.writes.get();
        self.writes.set(write + 1);
        Some(write).filter(|write| *write < self.ahead.get())
    }

    /// Writes and waits: how many rows were touched.
    pub(crate) fn touched(&self, sql: &str, row: &[&dyn Param]) -> Result<usize, Failure> {
        let statement = self.prepared(sql)?;
        let params = row.iter().map(|param| param.cell());
        let touched = self.run(self.client.execute_raw(&statement, params))?;
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    pub(crate) fn first(&self, sql: &str, row: &[&dyn Param], see: &mut See<'_>) -> Result<(), StoreError> {
        match self.rows(sql, row)?.first() {
            Some(row) => see(Row::Postgres(row)),
            None => Ok(()),
        }
    }

    pub(crate) fn all(&self, sql: &str, row: &[&dyn Param], see: &mut See<'_>) -> Result<(), StoreError> {
        // Taken in before the first is looked at: what looks may ask this connection again.
        self.rows(sql, row)?.iter().try_for_each(|row| see(Row::Postgres(row)))
    }

    /// In a transaction only: a cursor lives in one.
    pub(crate) fn each(&self, sql: &str, see: &mut See<'_>) -> Result<(), StoreError> {
        self.batch(&format!("DECLARE each_row NO SCROLL CURSOR FOR {sql}"))?;
        // For this cursor only: the next of its name has other columns.
        let fetch = self.run(self.client.prepare(&format!("FETCH FORWARD {FETCHED} FROM each_row")))?;
        let mut rows = self.run(self.fetch(&fetch))?;
        while rows.len() == FETCHED {
            // The server reads on while these are looked at.
            let next = self.begun(self.fetch(&fetch));
            rows.iter().try_for_each(|row| see(Row::Postgres(row)))?;
            rows = self.run(next)?;
        }
        rows.iter().try_for_each(|row| see(Row::Postgres(row)))?;
        Ok(self.batch("CLOSE each_row")?)
    }

    fn fetch<'a>(&'a self, fetch: &'a Statement) -> Fetched<'a> {
        Box::pin(async move {
            let none: [Cell<'_>; 0] = [];
            pin!(self.client.query_raw(fetch, none).await?).try_collect().await
        })
    }

    /// Has something said now that is waited for later.
    fn begun<'a>(&self, mut work: Fetched<'a>) -> Fetched<'a> {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Box::pin(std::future::ready(outcome));
        }
        self.send();
        work
    }

    pub(crate) fn exists(&self, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
        let mut found = false;
        self.first(&format!("SELECT EXISTS ({sql})"), row, &mut |row| {
            found = row.cell(0)? == Cell::Int(1);
            Ok(())
        })?;
        Ok(found)
    }

    /// Does what reads several times of one moment.
    pub(super) fn at_once<T>(
        &self,
        work: impl FnOnce(Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.batch_later("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        let done = work(Db::Postgres(self));
        // What was read stands, whatever becomes of the transaction's end; a connection in which it fails is late or broken.
        if self.batch("ROLLBACK").is_err() {
            self.late.set(true);
        }
        done
    }
}

/// Moves a connection's bytes until it ends.
async fn moved<S>(
    mut wire: tokio_postgres::Connection<Socket, S>,
    warned: Arc<AtomicBool>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        loop {
            match wire.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    if notice.parsed_severity() == Some(Severity::Warning) {
                        warned.store(true, Ordering::Relaxed);
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// The value of a column.
pub(crate) fn cell(row: &tokio_postgres::Row, at: usize) -> Result<Cell<'_>, StoreError> {
    row.try_get(at).map_err(|e| StoreError::Corrupt(Fault::from(e).text()))
}

fn owned(row: &[&dyn Param]) -> Vec<Value> {
    row.iter().map(|param| Value::from(param.cell())).collect()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

/// Runs `work` on this thread, bounded, until it and what is beside it are done. Sockets and time-outs are those of `io`.
fn drive<T, E: Into<Fault>>(
    io: &Handle,
    bound: Duration,
    work: impl Future<Output = Result<T, E>>,
    mut beside: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<T, Fault> {
    let _io = io.enter();
    let (mut work, mut done) = (pin!(work), None);
    let both = poll_fn(|context| {
        if done.is_none()
            && let Poll::Ready(outcome) = work.as_mut().poll(context)
        {
            done = Some(outcome.map_err(Into::into));
        }
        if beside(context).is_pending() {
            return Poll::Pending;
        }
        done.take().map_or(Poll::Pending, Poll::Ready)
    });
    // Of one that is late nothing more is awaited.
    let both = async { timeout(bound, both).await.unwrap_or(Err(Fault::Slow)) };
    // This thread may be in the middle of a task, whose share of the runtime's time is none of ours: used up, it would make every
    // socket wait for a turn that cannot come while the task is in here.
    let mut both = pin!(unconstrained(both));
    let waker = WAKER.with(Waker::clone);
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(outcome) = both.as_mut().poll(&mut context) {
            return outcome;
        }
        // A wake-up that came since the poll makes this return at once.
        std::thread::park();
    }
}
