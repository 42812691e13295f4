//! What one node of all does and no other: a lock of a session's (`pg_try_advisory_lock`). The server gives it back when the
//! connection ends, however it ends: then another node has it within its next question.

use std::sync::Arc;

use super::connection::{Connection, Purpose};
use super::gate::Gate;
use crate::db::{Cell, Db, params};
use crate::error::StoreError;

/// The server is to notice within half a minute that a machine is gone that could not say so; by itself it takes two hours.
const KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// See the module's head.
pub(crate) struct Lead {
    gate: Arc<Gate>,
    name: i64,
    /// The session that has the lock; none while another has it.
    held: Option<Connection>,
    /// One that has asked and did not get it.
    asks: Option<Connection>,
}

impl Lead {
    pub(super) fn new(gate: Arc<Gate>, name: i64) -> Self {
        Self { gate, name, held: None, asks: None }
    }

    /// Whether this node has it now. Where the database does not say, nobody has it.
    pub(crate) fn holds(&mut self) -> Result<bool, StoreError> {
        if let Some(held) = &self.held {
            // The session lives, so the lock does.
            if held.batch("SELECT 1").is_ok() && held.is_sound() {
                return Ok(true);
            }
            self.held = None;
        }
        let connection = match self.asks.take().filter(Connection::is_sound) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut has = false;
        let asked = Db::Postgres(&connection).first(
            "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END",
            params![self.name],
            &mut |row| {
                has = matches!(row.cell(0)?, Cell::Int(1));
                Ok(())
            },
        );
        if has {
            self.held = Some(connection);
        } else {
            self.asks = Some(connection).filter(Connection::is_sound);
        }
        asked.map(|()| has)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let connection = self.gate.connect(Purpose::Read)?;
        connection.batch(KEEPALIVE)?;
        Ok(connection)
    }
}
