//! The search index as SQLite has it: trigrams of FTS5, see `migrations/sqlite/0002_search.sql`.

use crate::db::{Db, Failure, Param, Value, params};
use crate::error::StoreError;
use crate::rows::index::{NEWEST, NumberText, Text};
use crate::rows::list::List;
use crate::rows::search::{Sought, agent, fours};

pub(crate) fn put(db: Db<'_>, stood: bool, row: i64, text: &Text) -> Result<(), StoreError> {
    let run = |sql: &str, values: &[&dyn Param]| {
        let failed = |f: Failure| {
            StoreError::Database(f.about(domain::What::Number, domain::What::Number).to_string())
        };
        db.write(sql, values).map_err(failed)
    };
    if stood {
        let table = if matches!(text, Text::Number(_)) { "number_search" } else { "stock_search" };
        run(&format!("DELETE FROM {table} WHERE rowid = $1"), params![row])?;
    }
    match text {
        Text::Number(NumberText { tenant, agent, digits, fours, label }) => {
            let sql = "INSERT INTO number_search (rowid, tenant, agent, digits, fours, label) VALUES ($1, $2, $3, $4, $5, $6)";
            run(sql, params![row, tenant, agent, digits, fours, label])
        }
        Text::Stock(digits, fours) => {
            let sql = "INSERT INTO stock_search (rowid, digits, fours) VALUES ($1, $2, $3)";
            run(sql, params![row, digits, fours])
        }
        Text::StockGone => Ok(()),
    }
}

/// The join is crossed, and the owner no way into the table: what the index has narrowed down no other index may take over.
pub(crate) fn numbers(
    columns: &str,
    sought: &Sought,
    (owner, tenant): (Vec<u8>, &str),
    agents: &[u64],
) -> (List, &'static str) {
    let sql = format!(
        "SELECT {columns} FROM number_search CROSS JOIN numbers n ON n.alias = {NEWEST} - number_search.rowid \
         WHERE number_search MATCH $1"
    );
    let list = List::new(&sql, vec![Value::Text(in_numbers(sought, tenant, agents))]);
    (list.and("+n.organization_id =", owner), "number_search.rowid")
}

pub(crate) fn stock(columns: &str, digits: &str) -> (List, &'static str) {
    let sql = format!(
        "SELECT {columns} FROM stock_search CROSS JOIN stock ON stock.serial = {NEWEST} - stock_search.rowid \
         WHERE stock_search MATCH $1"
    );
    (List::new(&sql, vec![Value::Text(digits_asked(digits))]), "stock_search.rowid")
}

/// What the index is asked for a part of a number, of three digits or more.
fn digits_asked(digits: &str) -> String {
    match digits.len() {
        3 => format!("digits : {}", quoted(digits)),
        _ => format!("fours : {}", quoted(&fours(digits))),
    }
}

/// The question to the index of numbers: in this tenant, by number, label, or one of these agents.
fn in_numbers(sought: &Sought, tenant: &str, agents: &[u64]) -> String {
    // Digits are known with those of the label: its own trigrams of digits are on too many rows.
    let what = sought.digits.as_ref().map(|digits| digits_asked(digits));
    let mut parts = vec![what.unwrap_or_else(|| format!("label : {}", quoted(&sought.text)))];
    parts.extend(agents.iter().map(|serial| format!("agent : {}", quoted(&agent(*serial)))));
    format!("tenant : {} AND ({})", quoted(tenant), parts.join(" OR "))
}

/// A string of FTS5's query language: a quote within is doubled.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
