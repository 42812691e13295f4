//! Migrations: numbered, embedded, applied in order at open, recorded in `migrations`. They are append-only: an edited one would
//! make stores that differ by their age. Adding one: the file, then a line in `ALL`.

use rusqlite::{Connection, params};

use crate::error::StoreError;

const ALL: [(i64, &str, &str); 21] = [
    (1, "tables", include_str!("../../migrations/sqlite/0001_tables.sql")),
    (2, "search", include_str!("../../migrations/sqlite/0002_search.sql")),
    (3, "endpoint bags", include_str!("../../migrations/sqlite/0003_endpoint_bags.sql")),
    (4, "agent calls", include_str!("../../migrations/sqlite/0004_agent_calls.sql")),
    (
        5,
        "platforms, key rules, removed calls",
        include_str!("../../migrations/sqlite/0005_platforms_keys_calls.sql"),
    ),
    (6, "lifecycle and money", include_str!("../../migrations/sqlite/0006_lifecycle_money.sql")),
    (7, "webhooks", include_str!("../../migrations/sqlite/0007_webhooks.sql")),
    (8, "work at carriers", include_str!("../../migrations/sqlite/0008_intents.sql")),
    (9, "transfers", include_str!("../../migrations/sqlite/0009_transfer.sql")),
    (10, "accounts at carriers", include_str!("../../migrations/sqlite/0010_accounts.sql")),
    (11, "replaced keys", include_str!("../../migrations/sqlite/0011_replaced_keys.sql")),
    (12, "webhooks' rests", include_str!("../../migrations/sqlite/0012_webhook_rests.sql")),
    (13, "deliveries of carriers", include_str!("../../migrations/sqlite/0013_delivered.sql")),
    (14, "numbers by SIP user name", include_str!("../../migrations/sqlite/0014_sip_usernames.sql")),
    (15, "calls out by time", include_str!("../../migrations/sqlite/0015_calls_out.sql")),
    (16, "how calls are put to endpoints", include_str!("../../migrations/sqlite/0016_endpoint_manner.sql")),
    (17, "rates and traces", include_str!("../../migrations/sqlite/0017_rates_traces.sql")),
    (18, "where calls go", include_str!("../../migrations/sqlite/0018_routing.sql")),
    (19, "registrations with carriers", include_str!("../../migrations/sqlite/0019_register.sql")),
    (20, "unfinished copies", include_str!("../../migrations/sqlite/0020_copying.sql")),
    (21, "claims on work at carriers", include_str!("../../migrations/sqlite/0021_claims.sql")),
];

/// The schema that this version writes.
pub(super) const NEWEST: i64 = ALL[ALL.len() - 1].0;

/// The schema of a store.
pub(super) fn version(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.query_row("SELECT coalesce(max(number), 0) FROM migrations", [], |row| row.get(0))
}

/// What was done, and what is to be done. An older version cannot work with any of it.
pub(super) fn schema(db: &Connection) -> Result<crate::Schema, StoreError> {
    let there = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'migrations'")?.exists([])?;
    let applied = if there { version(db)? } else { 0 };
    let waiting = ALL.iter().filter(|(number, ..)| *number > applied);
    let pending = waiting.map(|(number, name, _)| crate::Pending { number: *number, name, breaks: true });
    Ok(crate::Schema { applied, pending: pending.collect() })
}

/// Brings the schema up to date.
pub(super) fn run(db: &Connection) -> Result<(), StoreError> {
    // Exclusive: of two processes that open a new file at once, one waits and then finds the work done.
    db.execute_batch("BEGIN EXCLUSIVE")?;
    let done = apply(db);
    db.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

fn apply(db: &Connection) -> Result<(), StoreError> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
         applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    )?;
    let have = version(db)?;
    if have > NEWEST {
        let words =
            format!("the store was written by a newer version (schema {have}, this version knows {NEWEST})");
        return Err(StoreError::Url(words));
    }
    for (number, name, sql) in ALL.iter().filter(|(number, ..)| *number > have) {
        db.execute_batch(sql)?;
        db.execute("INSERT INTO migrations (number, name) VALUES ($1, $2)", params![number, name])?;
    }
    Ok(())
}
