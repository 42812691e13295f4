//! What only a file of SQLite is asked.

use crate::db::Db;
use crate::error::StoreError;
use crate::rows::doctor::{asked, named};

/// As in [`crate::rows::doctor`], in SQLite's own words.
const CHECKS: [(&str, &str); 2] = [
    (
        "a number is not in the search index",
        "SELECT n.id FROM numbers n WHERE NOT EXISTS (SELECT 1 FROM number_search_docsize d \
         WHERE d.id = (1 << 53) - n.alias)",
    ),
    (
        "a rent is for a period behind the one that its number is paid for",
        "SELECT id FROM (SELECT p.id, p.period, n.rented_until, \
         (strftime('%Y', n.rented_until / 1000000, 'unixepoch') - strftime('%Y', coalesce(n.delivered_at, n.created_at) / 1000000, 'unixepoch')) * 12 \
         + strftime('%m', n.rented_until / 1000000, 'unixepoch') - strftime('%m', coalesce(n.delivered_at, n.created_at) / 1000000, 'unixepoch') AS next \
         FROM postings p JOIN numbers n ON n.organization_id = p.organization_id AND n.id = p.number_id \
         WHERE p.kind = 'rental') AS rents WHERE rented_until IS NOT NULL AND period >= next",
    ),
];

/// How many damaged rows are named.
const DAMAGED_MAX: usize = 10;

pub(crate) fn problems(db: Db<'_>) -> Result<Vec<String>, StoreError> {
    let mut problems = asked(db, &CHECKS)?;
    let mut damaged = |sql: &str, sentence: &str| -> Result<(), StoreError> {
        let rows = named(db, sql)?.into_iter().filter(|row| row != "ok").take(DAMAGED_MAX);
        problems.extend(rows.map(|row| format!("{sentence}: {row}")));
        Ok(())
    };
    damaged("PRAGMA foreign_key_check", "a row refers to nothing")?;
    damaged("PRAGMA quick_check", "the file is damaged")?;
    Ok(problems)
}
