//! What went wrong, and what that means: whether the database is away, whether to try again, what a constraint says.

use domain::What;
use std::error::Error as _;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::db::Failure;
use crate::error::StoreError;

/// A failure of a statement or of its connection.
#[derive(Debug)]
pub(super) enum Fault {
    /// As the driver tells it.
    Driver(Error),
    /// No answer came in time; nothing more is to be said on this connection.
    Slow,
    /// A statement touched or found other rows than was taken for granted.
    Otherwise,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl Fault {
    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Driver(error) => error.code(),
            Self::Slow | Self::Otherwise => None,
        }
    }

    /// Whether the same might well succeed at once: another transaction stood in the way.
    pub(super) fn is_conflict(&self) -> bool {
        self.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        })
    }

    /// Whether the server said that the statement is at fault, not the circumstances.
    fn is_refusal(&self) -> bool {
        let error = match self {
            Self::Slow => return false,
            Self::Otherwise => return true,
            Self::Driver(error) => error,
        };
        let Some(code) = error.code() else {
            return !error.is_closed() && !is_of_socket(error);
        };
        // Classes of SQLSTATE: connections, resources, operators' doing (among it: shutting down, starting, took too long).
        let circumstance = ["08", "53", "57", "58", "40"].iter().any(|class| code.code().starts_with(class));
        // A lock that was not to be had; a server that follows another one; a transaction that idled.
        let others = [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        !circumstance && !others.contains(code)
    }

    /// For the log: without values of rows, which may be anybody's numbers.
    pub(super) fn text(&self) -> String {
        let error = match self {
            Self::Slow => return "no answer in time".to_owned(),
            Self::Otherwise => return "a statement came out otherwise than it was taken to".to_owned(),
            Self::Driver(error) => error,
        };
        if let Some(said) = error.as_db_error() {
            return format!("{} ({})", said.message(), said.code().code());
        }
        // The causes of what is not the server's word: names of hosts and errors of sockets.
        let (mut text, mut cause) = (error.to_string(), error.source());
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    }
}

fn is_of_socket(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(next) = cause {
        if next.is::<std::io::Error>() {
            return true;
        }
        cause = next.source();
    }
    false
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if fault.is_refusal() { Self::Database(fault.text()) } else { Self::Away(fault.text()) }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Self::Taken,
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => Self::Dangling(missing(&fault)),
            _ => Self::Commit(StoreError::from(fault).into()),
        }
    }
}

/// What is referred to: foreign keys are named for it (`migrations/postgres`). Where the table is spread over servers, that of a part
/// of it ends with the part's number.
fn missing(fault: &Fault) -> Option<What> {
    let Fault::Driver(error) = fault else { return None };
    let constraint =
        error.as_db_error()?.constraint()?.trim_end_matches(|c: char| c == '_' || c.is_ascii_digit());
    let named = [
        ("_name_organizations", What::Organization),
        ("_name_agents", What::Agent),
        ("_name_endpoints", What::Endpoint),
    ];
    named.into_iter().find(|(suffix, _)| constraint.ends_with(suffix)).map(|(_, what)| what)
}
