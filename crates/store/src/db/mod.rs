//! A connection to the one engine or the other, as the statements of [`crate::rows`] see it.
//!
//! A statement is written once, in what both engines read alike: parameters are `$1`, `$2`, …, ids are bytes, truths are the
//! integers 0 and 1, texts compare by their bytes. What the engines have apart stands in their own folders.

mod value;

use domain::What;

use crate::error::{CommitError, StoreError};
use crate::rows::index::Text;
use crate::rows::list::List;
use crate::rows::search::Sought;
use crate::{postgres, sqlite};
pub(crate) use value::{Cell, Field, Param, Value};

/// A connection, lent for the time of one piece of work.
#[derive(Clone, Copy)]
pub(crate) enum Db<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a postgres::Connection),
}

/// One row of a result.
pub(crate) enum Row<'r, 's> {
    Sqlite(&'r rusqlite::Row<'s>),
    Postgres(&'r tokio_postgres::Row),
}

impl<'r> Row<'r, '_> {
    /// The value of a column.
    pub(crate) fn cell(&self, at: usize) -> Result<Cell<'r>, StoreError> {
        match self {
            Self::Sqlite(row) => sqlite::statement::cell(row, at),
            Self::Postgres(row) => postgres::cell(row, at),
        }
    }
}

/// The value of a column as what it is to be.
pub(crate) fn field<T: Field>(row: &Row<'_, '_>, at: usize) -> Result<T, StoreError> {
    let wrong = || StoreError::Corrupt(format!("column {at} is of another kind, or too large"));
    T::read(row.cell(at)?).ok_or_else(wrong)
}

/// The parameters of a statement.
macro_rules! params {
    () => { &[] as &[&dyn $crate::db::Param] };
    ($($param:expr),+ $(,)?) => { &[$(&$param as &dyn $crate::db::Param),+] as &[&dyn $crate::db::Param] };
}
pub(crate) use params;

/// A statement that did not succeed, before it is known what that means to the caller.
pub(crate) enum Failure {
    /// A row with such a key is there already.
    Taken,
    /// A row that is referred to is not there; which, where the engine says so.
    Dangling(Option<What>),
    /// Anything else.
    Commit(CommitError),
}

impl Failure {
    /// Names the things: `own` was to be written, `other` is what it refers to.
    pub(crate) fn about(self, own: What, other: What) -> CommitError {
        match self {
            Self::Taken => CommitError::Exists(own),
            Self::Dangling(missing) => CommitError::Stale(missing.unwrap_or(other)),
            Self::Commit(error) => error,
        }
    }
}

/// What each row of a result is given to.
pub(crate) type See<'a> = dyn FnMut(Row<'_, '_>) -> Result<(), StoreError> + 'a;

impl Db<'_> {
    /// Runs one writing statement. In a group's transaction on PostgreSQL it may be taken to succeed before its answer has come; where
    /// it has not, the group finds out before it is committed, and is written again from this statement on as if it had waited.
    pub(crate) fn write(self, sql: &str, row: &[&dyn Param]) -> Result<(), Failure> {
        match self {
            Self::Sqlite(db) => sqlite::statement::write(db, sql, row).map(|_| ()),
            Self::Postgres(db) => db.write(sql, row),
        }
    }

    /// The same of one that is expected to touch a row: whether it did.
    pub(crate) fn change(self, sql: &str, row: &[&dyn Param]) -> Result<bool, Failure> {
        match self {
            Self::Sqlite(db) => sqlite::statement::write(db, sql, row).map(|touched| touched > 0),
            Self::Postgres(db) => db.change(sql, row),
        }
    }

    /// The same of a look-up that is expected to find nothing: whether it did not.
    pub(crate) fn absent(self, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(db) => sqlite::statement::exists(db, sql, row).map(|found| !found),
            Self::Postgres(db) => db.absent(sql, row),
        }
    }

    /// Runs one writing statement and waits for the number of rows it touched.
    pub(crate) fn touched(self, sql: &str, row: &[&dyn Param]) -> Result<usize, Failure> {
        match self {
            Self::Sqlite(db) => sqlite::statement::write(db, sql, row),
            Self::Postgres(db) => db.touched(sql, row),
        }
    }

    /// Gives the first row to `see`, where there is one.
    pub(crate) fn first(self, sql: &str, row: &[&dyn Param], see: &mut See<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(db) => sqlite::statement::first(db, sql, row, see),
            Self::Postgres(db) => db.first(sql, row, see),
        }
    }

    /// Gives each row to `see`.
    pub(crate) fn all(self, sql: &str, row: &[&dyn Param], see: &mut See<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(db) => sqlite::statement::all(db, sql, row, see),
            Self::Postgres(db) => db.all(sql, row, see),
        }
    }

    /// The same for what is never held in memory at once. `see` asks this connection nothing.
    pub(crate) fn each(self, sql: &str, see: &mut See<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(db) => sqlite::statement::each(db, sql, see),
            Self::Postgres(db) => db.each(sql, see),
        }
    }

    /// Brings a row of the search index to what it is to be; `stood` says whether it is there.
    pub(crate) fn index(self, stood: bool, row: i64, text: &Text) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::search::put(self, stood, row, text),
            Self::Postgres(_) => postgres::search::put(self, stood, row, text),
        }
    }

    /// The list of an organization's numbers (`n`) that the index finds, and its column to page by. `whose` names the organization
    /// and its trigram.
    pub(crate) fn numbers_sought(
        self,
        columns: &str,
        sought: &Sought,
        whose: (Vec<u8>, &str),
        agents: &[u64],
    ) -> (List, &'static str) {
        match self {
            Self::Sqlite(_) => sqlite::search::numbers(columns, sought, whose, agents),
            Self::Postgres(_) => postgres::search::numbers(columns, sought, whose, agents),
        }
    }

    /// The list of the stock that the index finds, and its column to page by.
    pub(crate) fn stock_sought(self, columns: &str, digits: &str) -> (List, &'static str) {
        match self {
            Self::Sqlite(_) => sqlite::search::stock(columns, digits),
            Self::Postgres(_) => postgres::search::stock(columns, digits),
        }
    }

    /// What the engine checks beside what both do, and what it finds.
    pub(crate) fn problems(self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::doctor::problems(self),
            Self::Postgres(_) => postgres::doctor::problems(self),
        }
    }

    /// The epoch, where `drawn` stands in the store.
    pub(crate) fn epoch(self, drawn: u64) -> u64 {
        match self {
            Self::Sqlite(_) => drawn,
            Self::Postgres(db) => db.epoch(drawn),
        }
    }

    /// Rows that are read from here on are at least as new as what was read before, on whatever servers they are.
    pub(crate) fn see_whole(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(db) => db.see_whole(),
        }
    }

    /// The columns of a table.
    pub(crate) fn columns(self, table: &str) -> Result<Vec<String>, StoreError> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT name FROM pragma_table_info($1) ORDER BY name",
            Self::Postgres(_) => {
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name::text = $1 ORDER BY column_name COLLATE \"C\""
            }
        };
        let mut columns = Vec::new();
        self.all(sql, params![table], &mut |row| {
            columns.push(field(&row, 0)?);
            Ok(())
        })?;
        Ok(columns)
    }

    /// Has the engine count on where rows that were copied left off.
    pub(crate) fn counts_on(self) -> Result<(), StoreError> {
        match self {
            // The table's own counter follows its rows.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => {
                let sql = "SELECT setval(pg_get_serial_sequence('stock', 'serial'), max(serial)) FROM stock";
                self.first(sql, &[], &mut |_| Ok(()))
            }
        }
    }

    /// Whether there is such a row.
    pub(crate) fn exists(self, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(db) => sqlite::statement::exists(db, sql, row),
            Self::Postgres(db) => db.exists(sql, row),
        }
    }
}
