//! Lists: a statement that grows by conditions, and pages over its key. No list is scanned to find where its page begins
//! (except by an offset, for the contracts that have one).

use crate::db::{Db, Param, Value};
use domain::{Page, Paged, Start};

use super::sql::{Columns, all};
use crate::error::StoreError;

/// A statement under construction. Parameters are numbered as they are added.
pub(crate) struct List {
    sql: String,
    values: Vec<Value>,
}

impl List {
    /// `sql` ends with a condition to which others are added, and names `values.len()` parameters.
    pub(crate) fn new(sql: &str, values: Vec<Value>) -> Self {
        Self { sql: sql.to_owned(), values }
    }

    /// A condition without a parameter.
    pub(super) fn literally(mut self, condition: &str) -> Self {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self
    }

    /// A condition that ends where its parameter stands.
    pub(crate) fn and(mut self, condition: &str, value: impl Into<Value>) -> Self {
        self.push(" AND ", condition, value.into());
        self
    }

    /// An alternative to the condition added last, which stands in an open bracket.
    pub(crate) fn or(mut self, condition: &str, value: impl Into<Value>) -> Self {
        self.push(" OR ", condition, value.into());
        self
    }

    fn push(&mut self, before: &str, words: &str, value: Value) {
        self.values.push(value);
        let mark = self.values.len().to_string();
        self.sql.extend([before, words, " $", mark.as_str()]);
    }

    /// The rest of the condition added last.
    pub(crate) fn literally_closed(mut self, rest: &str) -> Self {
        self.sql.push_str(rest);
        self
    }

    /// The same where there is a value.
    pub(super) fn and_some<V: Into<Value>>(self, condition: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.and(condition, value),
            None => self,
        }
    }

    /// One page, newest first, over the column `key`, which rises with time.
    pub(super) fn page<T>(
        self,
        db: Db<'_>,
        key: &str,
        page: Page<Value>,
        read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Paged<T>, StoreError> {
        self.page_in(db, (key, ["DESC", "ASC"]), page, read)
    }

    /// One page, newest first, over the column `key`, which falls with time.
    pub(super) fn page_ascending<T>(
        self,
        db: Db<'_>,
        key: &str,
        page: Page<Value>,
        read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Paged<T>, StoreError> {
        self.page_in(db, (key, ["ASC", "DESC"]), page, read)
    }

    fn page_in<T>(
        mut self,
        db: Db<'_>,
        (key, [to_older, to_newer]): (&str, [&str; 2]),
        page: Page<Value>,
        read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Paged<T>, StoreError> {
        let Page { limit, start } = page;
        let (order, offset, bound) = match start {
            Start::First => (to_older, None, None),
            Start::Offset(rows) => (to_older, Some(rows), None),
            Start::After(at) => (to_older, None, Some(at)),
            Start::Before(at) => (to_newer, None, Some(at)),
        };
        if let Some(at) = bound {
            let beyond = if order == "ASC" { ">" } else { "<" };
            self.push(" AND ", &[key, beyond].join(" "), at);
        }
        // One row beyond the page tells whether there is more.
        let most = Value::Integer(i64::from(limit) + 1);
        self.push(" ORDER BY ", &[key, order, "LIMIT"].join(" "), most);
        if let Some(rows) = offset {
            self.push(" ", "OFFSET", Value::Integer(i64::from(rows)));
        }
        let mut items = self.all(db, read)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        if order == to_newer {
            items.reverse();
        }
        Ok(Paged { items, more })
    }

    /// Every row, with what ends the statement.
    pub(super) fn rows<T>(
        mut self,
        db: Db<'_>,
        end: &str,
        read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.sql.extend([" ", end]);
        self.all(db, read)
    }

    fn all<T>(
        &self,
        db: Db<'_>,
        read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let values: Vec<&dyn Param> = self.values.iter().map(|value| value as &dyn Param).collect();
        all(db, &self.sql, &values, read)
    }
}

/// The same page over a column's values.
pub(super) fn page_of<K>(page: &Page<K>, key: impl Fn(&K) -> Value) -> Page<Value> {
    let start = match &page.start {
        Start::First => Start::First,
        Start::After(at) => Start::After(key(at)),
        Start::Before(at) => Start::Before(key(at)),
        Start::Offset(rows) => Start::Offset(*rows),
    };
    Page { limit: page.limit, start }
}

/// The same page over ids that are UUIDs.
pub(super) fn page_of_ids<I: super::sql::Id>(page: &Page<I>) -> Page<Value> {
    page_of(page, |id| Value::Blob(super::sql::blob(*id).to_vec()))
}
