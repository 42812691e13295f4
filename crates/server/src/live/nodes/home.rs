//! Where a store of these tests is, on either engine: by the kit of the store's own tests.

#[expect(dead_code, reason = "the store's own tests use the rest")]
#[path = "../../../../store/tests/contract_on_postgres/home.rs"]
mod database;
#[path = "../../../../store/tests/contract/home.rs"]
mod file;

pub(crate) use database::script;

pub(crate) enum Home {
    Database(database::Home),
    File(file::Home),
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::Database(database::Home::new())
    }

    /// On the server of this URL.
    pub(crate) fn on(server: &str) -> Self {
        Self::Database(database::Home::on(server))
    }

    pub(crate) fn file() -> Self {
        Self::File(file::Home::new())
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Database(home) => home.url(),
            Self::File(home) => home.url(),
        }
    }

    pub(crate) fn copied(&self) -> Self {
        match self {
            Self::Database(home) => Self::Database(home.copied()),
            Self::File(home) => Self::File(home.copied()),
        }
    }

    /// Runs a statement behind the store's back.
    pub(crate) fn run(&self, sql: &str) {
        match self {
            Self::Database(home) => home.run(sql),
            Self::File(home) => home.run(sql),
        }
    }

    /// Ends everybody's connection; a file has none.
    pub(crate) fn cut(&self) {
        if let Self::Database(home) = self {
            home.cut();
        }
    }

    /// Ends the connections that listen, and no other.
    pub(crate) fn deafen(&self) {
        if let Self::Database(home) = self {
            home.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            );
        }
    }
}
