//! Copies everything from one store into another, whatever their engines: from a file to PostgreSQL when one node is no longer enough.
//!
//! The source is read in one snapshot; who writes to it meanwhile is not copied, so its server is stopped first. The target is
//! a store in which nothing ever was. Rows go over table by table, in batches in the order of their keys, each batch in one durable
//! transaction. What was copied so far is what stands in the target: a copy that was interrupted goes on behind the last key of each table.
//! Until it has ended and was compared row by row the target says in `copying` that it is unfinished, and cannot be served.
//!
//! The change log stays behind: the target has an epoch of its own, so whoever follows it builds anew.

mod table;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::db::{Cell, Db, Param, Value, params};
use crate::error::StoreError;
use crate::rows::apply::{Counters, Group};
use crate::rows::{number, stock};
use crate::{Engine, Store};
use table::{ALL, Table};

/// How many rows are read, and written in one transaction.
const BATCH: usize = 2_000;
/// The most parameters of one statement that inserts several rows. SQLite takes 32,766, PostgreSQL twice as many.
const PARAMETERS: usize = 4_000;

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is copied or compared.
    pub table: &'static str,
    /// Whether its rows are compared already.
    pub checking: bool,
    /// Rows so far, those of an interrupted copy included.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// What a copy has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Rows that the target has, all compared with the source's.
    pub rows: u64,
    /// Of these so many stood there already when this run began.
    pub found: u64,
}

/// A step of a copy at the target, done by its writer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Says that a copy of this source has begun. Refused where something else is or was.
    Begin(Source),
    /// Rows of a table, in the order of its columns.
    Rows(&'static Table, Arc<[String]>, Arc<Vec<Vec<Value>>>),
    /// Takes over the source's counters, and says that the copy has ended.
    End(Counters),
}

/// Which moment of which store is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    epoch: i64,
    generation: i64,
}

impl Store {
    /// Copies everything from another store into this one; see the module's head. It blocks for minutes on a large store and belongs on a
    /// blocking thread. Both are to be opened with [`Store::open_to_copy`].
    pub fn copy_from(&self, from: &Self, see: &mut dyn FnMut(Progress)) -> Result<Copied, StoreError> {
        // One snapshot for all of it: what is compared at the end is what was copied.
        from.read_long(|db| copy(db, self, see))
    }

    fn read_long<T>(&self, work: impl FnOnce(Db<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.0 {
            Engine::Sqlite(engine) => engine.read_long(work),
            Engine::Postgres(engine) => engine.read_long(work),
        }
    }

    /// Whether a copy into this store was begun and has not ended.
    pub(crate) fn is_unfinished(&self) -> Result<bool, StoreError> {
        self.read_long(|db| db.exists("SELECT 1 FROM copying", &[]))
    }
}

fn copy(source: Db<'_>, to: &Store, see: &mut dyn FnMut(Progress)) -> Result<Copied, StoreError> {
    if source.exists("SELECT 1 FROM copying", &[])? {
        return Err(StoreError::Url("the source is itself an unfinished copy".to_owned()));
    }
    let counters = Counters::load(source)?;
    to.writer().step(Step::Begin(Source::read(source)?))?;
    let mut copied = Copied { rows: 0, found: 0 };
    for table in &ALL {
        let columns: Arc<[String]> = source.columns(table.name)?.into();
        if to.read_long(|db| db.columns(table.name))? != *columns {
            let words =
                format!("`{}` has other columns in the target: both are to be of one version", table.name);
            return Err(StoreError::Url(words));
        }
        let found = to.read_long(|db| count(db, table))?;
        let mut progress =
            Progress { table: table.name, checking: false, done: found, total: count(source, table)? };
        let mut last = to.read_long(|db| table.last(db))?;
        see(progress);
        loop {
            let rows = table.batch(source, &columns, last.as_deref(), BATCH)?;
            let Some(row) = rows.last() else { break };
            last = Some(table.key_of(&columns, row));
            progress.done += as_count(rows.len());
            to.writer().step(Step::Rows(table, Arc::clone(&columns), Arc::new(rows)))?;
            see(progress);
        }
        copied.found += found;
        copied.rows += progress.done;
    }
    for table in &ALL {
        compare(source, to, table, see)?;
    }
    to.writer().step(Step::End(counters))?;
    if let Engine::Postgres(engine) = &to.0 {
        let indexes = ["number_search", "stock_search"];
        engine.gather(&ALL.iter().map(|table| table.name).chain(indexes).collect::<Vec<_>>());
    }
    Ok(copied)
}

/// Refuses where the two differ: the source was written to between two runs, or the target beside them.
fn compare(
    source: Db<'_>,
    to: &Store,
    table: &'static Table,
    see: &mut dyn FnMut(Progress),
) -> Result<(), StoreError> {
    let columns = source.columns(table.name)?;
    let mut progress = Progress { table: table.name, checking: true, done: 0, total: count(source, table)? };
    let ours = digest(source, table, &columns, &mut |rows| {
        progress.done += rows;
        see(progress);
    })?;
    if to.read_long(|db| digest(db, table, &columns, &mut |_| {}))? != ours {
        let words = format!(
            "`{}` is not the same in both: the source changed since the copy began. Empty the target and copy again",
            table.name
        );
        return Err(StoreError::Url(words));
    }
    Ok(())
}

/// How many rows there are, and a sum of their hashes.
fn digest(
    db: Db<'_>,
    table: &Table,
    columns: &[String],
    see: &mut dyn FnMut(u64),
) -> Result<(u64, u64), StoreError> {
    let (mut rows, mut sum, mut last) = (0, 0_u64, None);
    loop {
        let batch = table.batch(db, columns, last.as_deref(), BATCH)?;
        let Some(row) = batch.last() else { return Ok((rows, sum)) };
        last = Some(table.key_of(columns, row));
        for row in &batch {
            let mut hasher = DefaultHasher::new();
            for value in row {
                hash(value.cell(), &mut hasher);
            }
            sum = sum.wrapping_add(hasher.finish());
        }
        rows += as_count(batch.len());
        see(as_count(batch.len()));
    }
}

fn hash(cell: Cell<'_>, hasher: &mut DefaultHasher) {
    match cell {
        Cell::Null => 0_u8.hash(hasher),
        Cell::Int(value) => (1_u8, value).hash(hasher),
        Cell::Text(text) => (2_u8, text).hash(hasher),
        Cell::Bytes(bytes) => (3_u8, bytes).hash(hasher),
    }
}

fn count(db: Db<'_>, table: &Table) -> Result<u64, StoreError> {
    let mut rows = 0_i64;
    db.first(&format!("SELECT count(*) FROM {}", table.name), &[], &mut |row| {
        rows = crate::db::field(&row, 0)?;
        Ok(())
    })?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

fn as_count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

impl Source {
    fn read(db: Db<'_>) -> Result<Self, StoreError> {
        let mut source = Self { epoch: 0, generation: 0 };
        db.first("SELECT epoch, generation FROM meta WHERE one = 1", &[], &mut |row| {
            source = Self { epoch: crate::db::field(&row, 0)?, generation: crate::db::field(&row, 1)? };
            Ok(())
        })?;
        Ok(source)
    }
}

impl Step {
    /// Does it, in the writer's transaction.
    pub(crate) fn apply(&self, db: Db<'_>, group: &mut Group) -> Result<(), StoreError> {
        match self {
            Self::Begin(source) => begin(db, *source),
            Self::Rows(table, columns, rows) => {
                insert(db, table, columns, rows)?;
                let key =
                    |row: Option<&Vec<Value>>| row.map(|row| table.key_of(columns, row)).unwrap_or_default();
                let keys = [key(rows.first()), key(rows.last())].concat();
                match table.name {
                    _ if rows.is_empty() => Ok(()),
                    "numbers" => number::index_copied(db, &mut group.index, &keys),
                    "stock" => stock::index_copied(db, &mut group.index, &keys),
                    _ => Ok(()),
                }
            }
            Self::End(counters) => {
                group.counters = *counters;
                db.counts_on()?;
                write(db, "DELETE FROM copying", &[])
            }
        }
    }
}

fn begin(db: Db<'_>, source: Source) -> Result<(), StoreError> {
    let Source { epoch, generation } = source;
    if db.exists("SELECT 1 FROM copying WHERE epoch = $1 AND generation = $2", params![epoch, generation])? {
        return Ok(());
    }
    let refused = |words: &str| Err(StoreError::Url(words.to_owned()));
    if db.exists("SELECT 1 FROM copying", &[])? {
        return refused(
            "the target holds an unfinished copy of another store, or of this one before it changed; empty it first",
        );
    }
    if Counters::load(db)?.generation().0 > 0 {
        return refused("the target is not empty: a copy goes into a store in which nothing ever was");
    }
    for table in &ALL {
        if db.exists(&format!("SELECT 1 FROM {} LIMIT 1", table.name), &[])? {
            return refused("the target is not empty: a copy goes into a store in which nothing ever was");
        }
    }
    write(db, "INSERT INTO copying (one, epoch, generation) VALUES (1, $1, $2)", params![epoch, generation])
}

/// Inserts rows, many with a statement; the statements are of two lengths, so that they stay prepared.
fn insert(db: Db<'_>, table: &Table, columns: &[String], rows: &[Vec<Value>]) -> Result<(), StoreError> {
    let many = (PARAMETERS / columns.len()).max(1);
    for chunk in rows.chunks(many) {
        let at_once = if chunk.len() == many { many } else { 1 };
        let sql = inserting(table.name, columns, at_once);
        for rows in chunk.chunks(at_once) {
            let values: Vec<&dyn Param> = rows.iter().flatten().map(|value| value as &dyn Param).collect();
            write(db, &sql, &values)?;
        }
    }
    Ok(())
}

fn inserting(table: &str, columns: &[String], rows: usize) -> String {
    let mut marks = (1..=rows * columns.len()).map(|n| format!("${n}"));
    let of_a_row = |_| format!("({})", marks.by_ref().take(columns.len()).collect::<Vec<_>>().join(", "));
    let values: Vec<String> = (0..rows).map(of_a_row).collect();
    format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), values.join(", "))
}

fn write(db: Db<'_>, sql: &str, row: &[&dyn Param]) -> Result<(), StoreError> {
    let failed = |f: crate::db::Failure| {
        StoreError::Database(f.about(domain::What::Request, domain::What::Request).to_string())
    };
    db.write(sql, row).map_err(failed)
}
