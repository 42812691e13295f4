//! Where a store of the tests is: a file of its own.

use tempfile::TempDir;

pub(crate) struct Home {
    folder: TempDir,
    url: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self { folder, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("store.db")).unwrap()
    }

    /// A copy of what is there now.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::new();
        let path = copy.folder.path().join("store.db");
        self.open().execute("VACUUM INTO $1", [path.to_str().unwrap()]).unwrap();
        copy
    }

    /// Runs a statement behind the store's back.
    pub(crate) fn run(&self, sql: &str) {
        self.open().execute(sql, []).unwrap();
    }
}
