//! Where the tables are spread over servers (Citus): what the lock of `meta` does not do there.
//!
//! A commit that wrote on several servers ends in two steps. With the first the coordinator's part can be seen and the lock of `meta`
//! taken; the other servers' parts can be seen when each has carried out the second. In between the next group would read old rows
//! (a balance before it was charged), and who follows the change log would take an old row for the new one, for good. So there each
//! group holds one lock more, the session's, until all parts can be seen; and who follows passes by it between log and rows.
//!
//! A server that ends between the two steps has its part prepared when it is back: it can be seen once the coordinator has asked
//! after it, and until then the lock is kept. That is what [`settle`] waits for. A writer whose connection is new, or that met a
//! server's absence, settles before it writes. Without Citus nothing of this is said.

use std::time::Duration;
use tokio::time::Instant;

use super::connection::Connection;
use super::fault::Fault;
use crate::db::{Cell, Db};
use crate::error::StoreError;

/// How long the parts of a commit are waited for. A server that needs longer is not written to meanwhile either.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// The number names the lock; it is of no meaning beside that.
pub(super) const ENTER: &str = "SELECT pg_advisory_lock(128034945264493)";
const LEAVE: &str = "SELECT pg_advisory_unlock_all()";
const PASS: &str =
    "SELECT pg_advisory_lock_shared(128034945264493); SELECT pg_advisory_unlock_shared(128034945264493)";

const SPREAD: &str = "SELECT count(*) FROM pg_extension WHERE extname = 'citus'";
/// Citus does it by itself as well, by default once a minute.
const RECOVER: &str = "SELECT recover_prepared_transactions()";
/// How many servers have, or may have, a part that cannot be seen yet.
const UNSEEN: &str = "SELECT count(*) FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts \
                      WHERE database = current_database() AND gid LIKE ''citus%''') WHERE NOT success OR result <> '0'";

/// Whether the database's tables may be on several servers.
pub(super) fn is(connection: &Connection) -> Result<bool, StoreError> {
    Ok(count(connection, SPREAD)? > 0)
}

/// Gives the lock back.
pub(super) fn leave(connection: &Connection) -> Result<(), Fault> {
    connection.batch(LEAVE)
}

/// Waits until the group that holds the lock has ended.
pub(super) fn pass(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.batch(PASS)?)
}

/// Waits until all parts of what was committed can be seen. The lock is held.
pub(super) fn settle(connection: &Connection, patience: Duration) -> Result<(), StoreError> {
    // The runtime's clock, which measures time-outs only.
    let until = Instant::now() + patience;
    loop {
        if count(connection, UNSEEN)? == 0 {
            return Ok(());
        }
        // Who may not ask waits for Citus to do it.
        if let Err(fault) = connection.batch(RECOVER) {
            tracing::debug!(error = %fault.text(), "prepared transactions were not recovered");
        }
        if Instant::now() >= until {
            return Err(StoreError::Away(
                "a server of the database has not said how a commit ended".to_owned(),
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

fn count(connection: &Connection, sql: &str) -> Result<i64, StoreError> {
    let mut found = 0;
    Db::Postgres(connection).first(sql, &[], &mut |row| {
        if let Cell::Int(count) = row.cell(0)? {
            found = count;
        }
        Ok(())
    })?;
    Ok(found)
}
