//! Where a store of the tests is: a database of its own, on a server that the whole run shares or on one of its own.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{NoTls, SimpleQueryMessage};

pub(crate) struct Home {
    server: String,
    name: String,
    url: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::on(server())
    }

    /// On the server of this URL.
    pub(crate) fn on(server: &str) -> Self {
        let home = Self::made(server);
        home.arrange();
        home
    }

    /// One of whose tables none is arranged ([`Self::arrange`]).
    pub(crate) fn bare() -> Self {
        Self::made(server())
    }

    fn made(server: &str) -> Self {
        let home = Self::unmade(server);
        ask(server, &[&format!("CREATE DATABASE {}", home.name)]);
        home
    }

    fn unmade(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        Self { server: server.to_owned(), name, url }
    }

    /// Where `TRUNKLINE_TEST_SQL` names a file for `psql`, it is run once the schema is there and before any node is: so the tests
    /// run on a server that wants its tables arranged (`scripts/citus.sql`).
    fn arrange(&self) {
        let Some(file) = std::env::var_os("TRUNKLINE_TEST_SQL") else { return };
        drop(store::Store::open(&self.url).unwrap());
        let psql =
            Command::new("psql").args(["-Xqd", &self.url, "-v", "ON_ERROR_STOP=1", "-f"]).arg(file).output();
        let said = psql.unwrap();
        assert!(said.status.success(), "psql: {}", String::from_utf8_lossy(&said.stderr));
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A copy of what is there now. Nobody may be connected meanwhile: who is must connect again.
    pub(crate) fn copied(&self) -> Self {
        if std::env::var_os("TRUNKLINE_TEST_SQL").is_some() {
            // A database whose tables are arranged is no template: its rows are copied.
            let copy = Self::on(&self.server);
            let open = |home: &Self| store::Store::open_to_copy(home.url()).unwrap();
            open(&copy).copy_from(&open(self), &mut |_| {}).unwrap();
            return copy;
        }
        let copy = Self::unmade(&self.server);
        self.cut();
        ask(&self.server, &[&format!("CREATE DATABASE {} TEMPLATE {}", copy.name, self.name)]);
        copy
    }

    /// Ends everybody's connection, and waits until they have ended.
    pub(crate) fn cut(&self) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        ask(&self.server, &[&sql]);
    }

    /// Runs a statement behind the store's back.
    pub(crate) fn run(&self, sql: &str) {
        ask(&self.url, &[sql]);
    }

    /// The first column of the rows of a query.
    pub(crate) fn column(&self, sql: &str) -> Vec<String> {
        ask(&self.url, &[sql])
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        ask(&self.server, &[&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)]);
    }
}

/// Runs statements on a connection of their own; gives the first column of their rows.
pub(crate) fn ask(url: &str, statements: &[&str]) -> Vec<String> {
    let work = async {
        let (client, wire) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let wire = tokio::spawn(wire);
        let mut column = Vec::new();
        for sql in statements {
            for message in client.simple_query(sql).await.unwrap() {
                if let SimpleQueryMessage::Row(row) = message {
                    column.push(row.get(0).unwrap_or_default().to_owned());
                }
            }
        }
        drop(client);
        wire.await.unwrap().unwrap();
        column
    };
    // The tests have runtimes of their own, in which none can be begun.
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        scope.spawn(move || runtime.block_on(work)).join().unwrap()
    })
}

/// The server of this run: nextest starts one for all tests (`.config/nextest.toml`), otherwise each process starts one.
pub(crate) fn server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| match std::env::var_os("TRUNKLINE_TEST_POSTGRES") {
        Some(url) => url.into_string().unwrap(),
        None => script(&["for", &std::process::id().to_string()]),
    })
}

/// What `scripts/postgres` says.
pub(crate) fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
    let said = Command::new(path).args(arguments).output().unwrap();
    assert!(
        said.status.success(),
        "scripts/postgres {arguments:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}
