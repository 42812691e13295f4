//! The search index as PostgreSQL has it: texts with trigrams (`pg_trgm`), see `migrations/postgres/0019_schema.sql`. The same is
//! found as in SQLite's index; a text of which no trigram is indexed is found as well, by reading the tenant's rows.

use crate::db::{Db, Failure, Value, params};
use crate::error::StoreError;
use crate::rows::index::{NEWEST, NumberText, Text};
use crate::rows::list::List;
use crate::rows::search::{Sought, agent};

pub(crate) fn put(db: Db<'_>, stood: bool, row: i64, text: &Text) -> Result<(), StoreError> {
    let written = match text {
        Text::Number(NumberText { tenant, agent, digits, fours: _, label }) => {
            let label = label.as_ref().map(|label| label.to_lowercase());
            let sql = if stood {
                "UPDATE number_search SET tenant = $2, agent = $3, digits = $4, label = $5 WHERE row = $1"
            } else {
                "INSERT INTO number_search (row, tenant, agent, digits, label) VALUES ($1, $2, $3, $4, $5)"
            };
            db.write(sql, params![row, tenant, agent, digits, label])
        }
        Text::Stock(digits, _) if stood => {
            db.write("UPDATE stock_search SET digits = $2 WHERE row = $1", params![row, digits])
        }
        Text::Stock(digits, _) => {
            db.write("INSERT INTO stock_search (row, digits) VALUES ($1, $2)", params![row, digits])
        }
        Text::StockGone => db.write("DELETE FROM stock_search WHERE row = $1", params![row]),
    };
    let failed =
        |f: Failure| StoreError::Database(f.about(domain::What::Number, domain::What::Number).to_string());
    written.map_err(failed)
}

/// The rows that are found are looked up one by one (`OFFSET 0` keeps the planner from turning it round): so the newest come first
/// without the others being read.
pub(crate) fn numbers(
    columns: &str,
    sought: &Sought,
    (owner, tenant): (Vec<u8>, &str),
    agents: &[u64],
) -> (List, &'static str) {
    let sql = format!(
        "SELECT {columns} FROM number_search s CROSS JOIN LATERAL (SELECT * FROM numbers \
         WHERE numbers.alias = {NEWEST} - s.row AND numbers.organization_id = $1 OFFSET 0) AS n WHERE s.tenant = $2"
    );
    let list = List::new(&sql, vec![Value::Blob(owner), Value::Text(tenant.to_owned())]);
    let list = match &sought.digits {
        Some(digits) => list.and("(s.digits LIKE", part(digits)),
        None => list.and("(s.label LIKE", part(&sought.text)),
    };
    let list = if agents.is_empty() {
        list
    } else {
        // One parameter for all of them: a statement for each count of agents would be prepared for itself.
        let all: Vec<String> = agents.iter().map(|serial| agent(*serial)).collect();
        list.or("s.agent = ANY (string_to_array(", all.join(" ")).literally_closed(", ' '))")
    };
    (list.literally_closed(")"), "s.row")
}

pub(crate) fn stock(columns: &str, digits: &str) -> (List, &'static str) {
    let sql = format!(
        "SELECT {columns} FROM stock_search s CROSS JOIN LATERAL (SELECT * FROM stock AS one WHERE one.serial = {NEWEST} - s.row \
         OFFSET 0) AS stock WHERE s.digits LIKE $1"
    );
    (List::new(&sql, vec![Value::Text(part(digits))]), "s.row")
}

/// The pattern of texts with this part, in which nothing has a special meaning.
fn part(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_has_a_special_meaning() {
        assert_eq!(part("50%_\\ a"), "%50\\%\\_\\\\ a%");
    }
}
