//! Writes to the search indexes, held back until the end of the writer's group.
//!
//! A row of an index is [`NEWEST`] minus its number's alias (or its stock's serial): the index answers in ascending order many
//! times faster than in descending, and lists want the newest first. But it takes many rows at once only in ascending order
//! too, and new rows come descending: so a group's writes are kept, sorted, and made once. Nobody can miss them meanwhile: what
//! reads the index reads what is committed.

use super::sql::int;
use crate::db::Db;
use crate::error::StoreError;

/// Above every alias and serial that will ever be given.
pub(crate) const NEWEST: i64 = 1 << 53;

pub(super) fn row_of(serial: u64) -> i64 {
    NEWEST - int(serial)
}

/// What stands in the index of numbers.
pub(crate) struct NumberText {
    pub(crate) tenant: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) digits: String,
    pub(crate) fours: String,
    pub(crate) label: Option<String>,
}

/// What is to stand in an index.
pub(crate) enum Text {
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
pub(crate) struct Pending(Vec<Write>);

impl Pending {
    pub(crate) fn put(&mut self, serial: u64, stood: bool, text: Text) {
        self.0.push(Write { row: row_of(serial), stood, text });
    }

    /// How many there are: what a command that fails goes back to.
    pub(crate) fn mark(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn back_to(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// Makes the writes. Of several to one row the first knows whether it stood before the group, and the last is right.
    pub(crate) fn flush(&mut self, db: Db<'_>) -> Result<(), StoreError> {
        let (mut numbers, mut stock): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(|write| matches!(write.text, Text::Number(_)));
        numbers.sort_by_key(|write| write.row);
        stock.sort_by_key(|write| write.row);
        for writes in numbers.chunk_by(same).chain(stock.chunk_by(same)) {
            if let [first, ..] = writes
                && let [.., last] = writes
            {
                db.index(first.stood, last.row, &last.text)?;
            }
        }
        Ok(())
    }
}

fn same(one: &Write, other: &Write) -> bool {
    one.row == other.row
}
