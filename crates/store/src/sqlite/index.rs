//! Writes to the search indexes, held back until the end of the writer's group.
//!
//! A row of an index is [`NEWEST`] minus its number's alias (or its stock's serial): the index answers in ascending order many
//! times faster than in descending, and lists want the newest first. But it takes many rows at once only in ascending order
//! too, and new rows come descending: so a group's writes are kept, sorted, and made once. Nobody can miss them meanwhile: what
//! reads the index reads what is committed.

use rusqlite::{Connection, params};

use super::sql::{int, write};
use crate::error::StoreError;

/// Above every alias and serial that will ever be given.
pub(super) const NEWEST: i64 = 1 << 53;

pub(super) fn row_of(serial: u64) -> i64 {
    NEWEST - int(serial)
}

/// What stands in the index of numbers.
pub(super) struct NumberText {
    pub(super) tenant: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) digits: String,
    pub(super) fours: String,
    pub(super) label: Option<String>,
}

/// What is to stand in an index.
pub(super) enum Text {
    Number(NumberText),
    /// Digits and fours.
    Stock(String, String),
    /// Nothing: a stock's row that goes.
    StockGone,
}

struct Write {
    row: i64,
    /// Whether the index has the row already.
    stood: bool,
    text: Text,
}

/// The writes of a group so far.
#[derive(Default)]
pub(super) struct Pending(Vec<Write>);

impl Pending {
    pub(super) fn put(&mut self, serial: u64, stood: bool, text: Text) {
        self.0.push(Write { row: row_of(serial), stood, text });
    }

    /// How many there are: what a command that fails goes back to.
    pub(super) fn mark(&self) -> usize {
        self.0.len()
    }

    pub(super) fn back_to(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// Makes the writes. Of several to one row the first knows whether it stood before the group, and the last is right.
    pub(super) fn flush(&mut self, db: &Connection) -> Result<(), StoreError> {
        let (mut numbers, mut stock): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(|write| matches!(write.text, Text::Number(_)));
        numbers.sort_by_key(|write| write.row);
        stock.sort_by_key(|write| write.row);
        for writes in numbers.chunk_by(same).chain(stock.chunk_by(same)) {
            if let [first, ..] = writes
                && let [.., last] = writes
            {
                replace(db, first.stood, last)?;
            }
        }
        Ok(())
    }
}

fn same(one: &Write, other: &Write) -> bool {
    one.row == other.row
}

fn replace(db: &Connection, stood: bool, last: &Write) -> Result<(), StoreError> {
    let run = |sql: &str, row: &[&dyn rusqlite::ToSql]| {
        let failed = |f: super::sql::Failure| {
            StoreError::Database(f.about(domain::What::Number, domain::What::Number).to_string())
        };
        write(db, sql, row).map(|_| ()).map_err(failed)
    };
    let table = if matches!(last.text, Text::Number(_)) { "number_search" } else { "stock_search" };
    if stood {
        run(&format!("DELETE FROM {table} WHERE rowid = $1"), params![last.row])?;
    }
    match &last.text {
        Text::Number(NumberText { tenant, agent, digits, fours, label }) => {
            let sql = "INSERT INTO number_search (rowid, tenant, agent, digits, fours, label) VALUES ($1, $2, $3, $4, $5, $6)";
            run(sql, params![last.row, tenant, agent, digits, fours, label])
        }
        Text::Stock(digits, fours) => {
            let sql = "INSERT INTO stock_search (rowid, digits, fours) VALUES ($1, $2, $3)";
            run(sql, params![last.row, digits, fours])
        }
        Text::StockGone => Ok(()),
    }
}
