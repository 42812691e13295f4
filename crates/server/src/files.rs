//! Where this node keeps what is its own: call records on their way to the store, registrations, what is simulated. Beside an
//! SQLite store, unless a folder is named; a store that is no file has nothing beside it.

use anyhow::{Context, bail};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::settings::Settings;
use crate::store_url::StoreUrl;
use crate::vault::Vault;

/// The folder of a node whose store is no file, unless another is named.
const FOLDER: &str = "./trunkline.data";
/// What the files in such a folder begin with.
const STEM: &str = "node";

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Files {
    /// What this node's own files begin with.
    stem: PathBuf,
    /// The same of what belongs to the store, where it is a file.
    store: Option<PathBuf>,
}

impl Files {
    /// Where things lie, and what opens the secrets in the store.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<(Self, Vault)> {
        let files = Self::of(&settings.store, settings.data.as_deref())?;
        let vault = files.vault(settings)?;
        Ok((files, vault))
    }

    /// Makes the folder, where there is to be one and is not.
    fn of(store: &StoreUrl, folder: Option<&Path>) -> anyhow::Result<Self> {
        let file = store.file().map(Path::to_owned);
        let folder = match (folder, &file) {
            (None, Some(file)) => return Ok(Self { stem: file.clone(), store: Some(file.clone()) }),
            (Some(folder), _) => {
                if let Some(left) = file.as_deref().map(journal_of).filter(|journal| has_records(journal)) {
                    tracing::warn!(
                        journal = %left.display(),
                        "call records were kept beside the store before --data was given; start once without it, so that they reach the store"
                    );
                }
                folder
            }
            (None, None) if store.is_shared() => Path::new(FOLDER),
            (None, None) => {
                bail!("--store {store}: name a file by sqlite:PATH, or a database by postgres://…")
            }
        };
        // Records of calls say who called whom.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("--data {}: cannot be made", folder.display()))?;
        Ok(Self { stem: folder.join(STEM), store: file })
    }

    /// A file or a folder of this node's.
    pub(crate) fn own(&self, ending: &str) -> PathBuf {
        with(&self.stem, ending)
    }

    /// Held by all who have the store open, where it is a file.
    pub(crate) fn lock(&self) -> Option<PathBuf> {
        self.store.as_deref().map(lock_of)
    }

    /// The journal's folder.
    pub(crate) fn journal(&self) -> PathBuf {
        self.own(".journal")
    }

    /// Where the hash of the operator's key is kept, if this program made it: with a store that is a file beside it.
    pub(crate) fn admin(&self) -> PathBuf {
        with(self.store.as_ref().unwrap_or(&self.stem), ".admin")
    }

    /// The secret key: the one that was given; else that beside the store, made at the first start. Nodes that share a store share
    /// the key, so that there none is ever made: each node would make another.
    fn vault(&self, settings: &Settings) -> anyhow::Result<Vault> {
        match (&settings.secret_key, &settings.secret_key_file, &self.store) {
            (Some(text), _, _) => Vault::from_text(text).context("TRUNKLINE_SECRET_KEY"),
            (None, Some(path), Some(_)) => Vault::from_file(path).context("--secret-key-file"),
            (None, Some(path), None) => {
                if !path.exists() {
                    let path = path.display();
                    bail!(
                        "--secret-key-file {path} is not there: copy it from another node; for the first one, openssl rand -base64 32 makes one"
                    );
                }
                Vault::from_file(path).context("--secret-key-file")
            }
            (None, None, Some(file)) => Vault::from_file(&key_of(file)),
            (None, None, None) => {
                let store = &settings.store;
                bail!(
                    "--store {store} needs --secret-key-file, or TRUNKLINE_SECRET_KEY: 32 bytes in base64, the same on all its nodes (openssl rand -base64 32 makes one)"
                )
            }
        }
    }
}

/// The lock of all who have a store open that is a file.
pub(crate) fn lock_of(store: &Path) -> PathBuf {
    with(store, ".lock")
}

/// The secret key beside a store, unless another was named.
pub(crate) fn key_of(store: &Path) -> PathBuf {
    with(store, ".key")
}

/// The journal beside a store, unless another folder was named.
pub(crate) fn journal_of(store: &Path) -> PathBuf {
    with(store, ".journal")
}

/// Whether a journal may hold records that the store lacks.
pub(crate) fn has_records(journal: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(journal) else { return false };
    entries.flatten().any(|entry| entry.metadata().is_ok_and(|found| found.len() > 0))
}

fn with(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ServeArgs;

    fn settings(text: &str) -> Settings {
        toml::from_str::<ServeArgs>(text).unwrap().resolve().unwrap()
    }

    #[test]
    fn what_lies_where() {
        let beside = Files::of(&StoreUrl::new("sqlite:./a.db".to_owned()), None).unwrap();
        assert_eq!(
            (beside.journal(), beside.admin()),
            (PathBuf::from("./a.db.journal"), PathBuf::from("./a.db.admin"))
        );
        let folder =
            std::env::temp_dir().join(format!("trunkline-files-{:x}", crate::clock::process_number()));
        let apart = Files::of(&StoreUrl::new("sqlite:./a.db".to_owned()), Some(&folder)).unwrap();
        assert_eq!(
            (apart.journal(), apart.admin()),
            (folder.join("node.journal"), PathBuf::from("./a.db.admin"))
        );
        let shared = Files::of(&StoreUrl::new("postgres://h/d".to_owned()), Some(&folder)).unwrap();
        assert_eq!(
            (shared.own(".register"), shared.admin()),
            (folder.join("node.register"), folder.join("node.admin"))
        );
        assert!(folder.is_dir());
        std::fs::remove_dir(&folder).unwrap();
        let error =
            Files::of(&StoreUrl::new("mysql://me:secret@h/d".to_owned()), None).unwrap_err().to_string();
        assert!(error.contains("--store") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_store_of_several_nodes_is_opened_with_a_key_that_was_given() {
        let folder =
            std::env::temp_dir().join(format!("trunkline-keys-{:x}", crate::clock::process_number()));
        let files = Files::of(&StoreUrl::new("postgres://h/d".to_owned()), Some(&folder)).unwrap();
        let refused = |text: &str| files.vault(&settings(text)).err().unwrap().to_string();
        let error = refused("store = \"postgres://me:secret@h/d\"");
        assert!(error.contains("--secret-key-file") && error.contains("TRUNKLINE_SECRET_KEY"), "{error}");
        let path = folder.join("key");
        let named = format!("store = \"postgres://h/d\"\nsecret_key_file = \"{}\"", path.display());
        assert!(refused(&named).contains("--secret-key-file"));
        assert!(!path.exists(), "another node would make another");
        std::fs::write(&path, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
        assert!(files.vault(&settings(&named)).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
