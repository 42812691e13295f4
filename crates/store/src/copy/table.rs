//! Which tables are copied, and how one is read in the order of its key.

use crate::db::{Db, Param, Value};
use crate::error::StoreError;

/// A table and the columns of its key.
#[derive(Debug)]
pub(crate) struct Table {
    pub(super) name: &'static str,
    key: &'static [&'static str],
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key }
}

const OF_TENANT: &[&str] = &["organization_id", "id"];

/// Every table but those of the store itself; what others refer to comes before them.
pub(super) static ALL: [Table; 23] = [
    table("organizations", &["id"]),
    table("keys", &["hash"]),
    table("key_usage", &["organization_id", "key_id", "hour"]),
    table("agents", OF_TENANT),
    table("endpoints", OF_TENANT),
    table("endpoint_uses", &["organization_id", "endpoint_id", "holder"]),
    table("providers", OF_TENANT),
    table("stock", &["serial"]),
    table("numbers", OF_TENANT),
    table("number_claims", &["e164"]),
    table("holdings", &["organization_id"]),
    table("postings", OF_TENANT),
    table("entries", OF_TENANT),
    table("rates", OF_TENANT),
    table("traces", &["organization_id", "number_id"]),
    table("calls", OF_TENANT),
    table("calls_gone", OF_TENANT),
    table("usage", &["organization_id", "number_id", "month"]),
    table("events", OF_TENANT),
    table("answers", &["slot"]),
    table("intents", &["id"]),
    table("webhooks", OF_TENANT),
    table("deliveries", &["organization_id", "webhook_id", "event_id"]),
];

/// Tables that a copy leaves alone: what each store has of its own.
#[cfg(test)]
pub(super) const OWN: [&str; 8] = [
    "meta",
    "migrations",
    "writers",
    "change_log",
    "copying",
    "account_turns",
    "number_search",
    "stock_search",
];

impl Table {
    /// Rows behind a key, at most so many.
    pub(super) fn batch(
        &self,
        db: Db<'_>,
        columns: &[String],
        behind: Option<&[Value]>,
        most: usize,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let (key, marks) = (self.key.join(", "), marks(self.key.len()));
        let beyond = if behind.is_some() { format!("WHERE ({key}) > ({marks})") } else { String::new() };
        let sql =
            format!("SELECT {} FROM {} {beyond} ORDER BY {key} LIMIT {most}", columns.join(", "), self.name);
        let values: Vec<&dyn Param> =
            behind.unwrap_or_default().iter().map(|value| value as &dyn Param).collect();
        let mut rows = Vec::new();
        db.all(&sql, &values, &mut |row| {
            let of_column = |at| row.cell(at).map(Value::from);
            rows.push((0..columns.len()).map(of_column).collect::<Result<Vec<_>, _>>()?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The key of a row.
    pub(super) fn key_of(&self, columns: &[String], row: &[Value]) -> Vec<Value> {
        let value = |name: &&str| {
            let at = columns.iter().position(|column| column == name);
            at.and_then(|at| row.get(at)).cloned().unwrap_or(Value::Null)
        };
        self.key.iter().map(value).collect()
    }

    /// The last key that is there.
    pub(super) fn last(&self, db: Db<'_>) -> Result<Option<Vec<Value>>, StoreError> {
        let order: Vec<String> = self.key.iter().map(|column| format!("{column} DESC")).collect();
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            self.key.join(", "),
            self.name,
            order.join(", ")
        );
        let mut found = None;
        db.first(&sql, &[], &mut |row| {
            found = Some(
                (0..self.key.len()).map(|at| row.cell(at).map(Value::from)).collect::<Result<Vec<_>, _>>()?,
            );
            Ok(())
        })?;
        Ok(found)
    }
}

fn marks(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_copied_but_those_of_the_store_itself() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.db");
        drop(crate::Store::open(&format!("sqlite:{}", path.display())).unwrap());
        let db = rusqlite::Connection::open(path).unwrap();
        let sql = "SELECT name, group_concat(key, ', ') FROM (SELECT t.name, c.name AS key FROM pragma_table_list t \
                   JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c.pk > 0 AND t.name NOT LIKE 'sqlite_%' \
                   ORDER BY t.name, c.pk) GROUP BY name";
        let mut statement = db.prepare(sql).unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        let mut there: Vec<_> =
            rows.map(Result::unwrap).filter(|(name, _)| !OWN.contains(&name.as_str())).collect();
        let mut copied: Vec<_> =
            ALL.iter().map(|table| (table.name.to_owned(), table.key.join(", "))).collect();
        there.sort();
        copied.sort();
        assert_eq!(copied, there);
    }
}
