//! Migrations: numbered as SQLite's are, from that on with which this engine began; each is one transaction with its record.
//!
//! Safe with nodes of two versions at once: a migration only adds (tables, indexes, columns with a default or none), so the older
//! version reads and writes on. One that must do more is marked as breaking: an older version that starts then refuses, and the
//! upgrade's notes say that all nodes are to be stopped for it. Adding one: the file, and a line in `ALL`.

use super::connection::Connection;
use crate::db::{Db, field, params};
use crate::error::StoreError;

struct Migration {
    number: i64,
    name: &'static str,
    /// Whether versions that do not know it cannot work with it.
    breaks: bool,
    sql: &'static str,
}

const ALL: [Migration; 3] = [
    Migration {
        number: 19,
        name: "schema",
        breaks: false,
        sql: include_str!("../../migrations/postgres/0019_schema.sql"),
    },
    Migration {
        number: 20,
        name: "unfinished copies",
        breaks: false,
        sql: include_str!("../../migrations/postgres/0020_copying.sql"),
    },
    Migration {
        number: 21,
        name: "claims on work at carriers",
        breaks: false,
        sql: include_str!("../../migrations/postgres/0021_claims.sql"),
    },
];

/// Names the lock of those who migrate; of no meaning beside that.
const LOCK: i64 = 0x7472_756e_6b6c;

/// Brings the schema up to date. Where it is, nothing is locked and no right to change it is needed.
pub(super) fn run(connection: &Connection) -> Result<(), StoreError> {
    let newest = ALL.last().map_or(0, |migration| migration.number);
    if applied(connection)? >= newest {
        return refuse_breaking(connection, newest);
    }
    // Of several nodes that start at once one migrates; the others wait and find the work done.
    connection.batch("BEGIN")?;
    let done = apply(connection);
    connection.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done?;
    refuse_breaking(connection, newest)
}

/// What was done, and what is to be done.
pub(super) fn schema(connection: &Connection) -> Result<crate::Schema, StoreError> {
    let applied = applied(connection)?;
    let waiting = ALL.iter().filter(|migration| migration.number > applied);
    let pending =
        waiting.map(|one| crate::Pending { number: one.number, name: one.name, breaks: one.breaks });
    Ok(crate::Schema { applied, pending: pending.collect() })
}

/// The newest migration that the schema has had.
fn applied(connection: &Connection) -> Result<i64, StoreError> {
    let db = Db::Postgres(connection);
    if !db.exists("SELECT 1 WHERE to_regclass('migrations') IS NOT NULL", &[])? {
        return Ok(0);
    }
    let mut newest = 0;
    db.first("SELECT coalesce(max(number), 0) FROM migrations", &[], &mut |row| {
        newest = field(&row, 0)?;
        Ok(())
    })?;
    Ok(newest)
}

fn apply(connection: &Connection) -> Result<(), StoreError> {
    connection.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
    connection.batch(
        "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, breaks SMALLINT NOT NULL, \
         applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
    )?;
    let have = applied(connection)?;
    for Migration { number, name, breaks, sql } in ALL.iter().filter(|migration| migration.number > have) {
        connection.batch(sql)?;
        let sql = "INSERT INTO migrations (number, name, breaks) VALUES ($1, $2, $3)";
        let written = Db::Postgres(connection).write(sql, params![number, *name, breaks]);
        written.map_err(|f| {
            StoreError::Database(f.about(domain::What::Request, domain::What::Request).to_string())
        })?;
    }
    Ok(())
}

/// Whether the schema was changed by a newer version so that this one cannot work with it.
fn refuse_breaking(connection: &Connection, newest: i64) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM migrations WHERE number > $1 AND breaks = 1";
    if Db::Postgres(connection).exists(sql, params![newest])? {
        let words =
            format!("the store was changed by a newer version for good (this version knows schema {newest})");
        return Err(StoreError::Url(words));
    }
    Ok(())
}
