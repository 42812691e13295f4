//! What can go wrong. The server turns these into the domain's error at one place.

use domain::{Guard, What};

/// A failure of the store itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or failed.
    #[error("the database failed: {0}")]
    Database(String),
    /// The database cannot be reached, is starting or shutting down, follows another one, or took too long. Nothing was written;
    /// the same may be asked again.
    #[error("the database is away: {0}")]
    Away(String),
    /// The database went away while it was committing: what was asked for may stand or not.
    #[error("the database went away in the middle of a commit: {0}")]
    Unknown(String),
    /// A stored row cannot be read: it was damaged, or written by a newer version.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(String),
    /// The URL names no store that this version can open.
    #[error("{0}")]
    Url(String),
    /// A file is not as it must be for what was asked; the words say which and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

/// Why a commit was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The thing is not there in the version that the change expects (or, as a thing referred to, not there at all).
    #[error("the {} is not in the expected version", .0.noun())]
    Stale(What),
    /// It is there already, or somebody else has it.
    #[error("the {} exists already", .0.noun())]
    Exists(What),
    /// A guard did not hold.
    #[error("a guard did not hold: {0:?}")]
    Guard(Guard),
    /// The store failed or is away. The text is for the log.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The database went away while it was committing: this commit may stand or not. Who asks again under the same idempotency
    /// key, or under the version that was read, does not do it twice. The text is for the log.
    #[error("it is not known whether the commit stands: {0}")]
    Unknown(String),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unknown(text) => Self::Unknown(text),
            StoreError::Database(_)
            | StoreError::Away(_)
            | StoreError::Corrupt(_)
            | StoreError::Url(_)
            | StoreError::Refused(_)
            | StoreError::Closed => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(StoreError::from(error))
    }
}
