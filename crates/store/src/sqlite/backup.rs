//! A copy of a file that is in use, and a file made of a copy. Neither ever writes over anything: what is written is first called
//! `….part`, and gets its name when it is whole, checked and on disk.
//!
//! A copy is of one moment: it is read inside one transaction, so writers go on. The log of the file (`-wal`) cannot be begun anew
//! meanwhile and grows by what is written; who copies says how fast ([`backup`]'s `pause`).

use domain::Generation;
use rusqlite::backup::{Backup as Copying, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::migrate;
use crate::db::Db;
use crate::error::StoreError;
use crate::feed::Epoch;
use crate::rows::{change_log, doctor};

/// Pages copied between two pauses: 8 MB of the usual 4,096 bytes.
const STEP_PAGES: i32 = 2_048;
/// How an SQLite file begins (sqlite.org/fileformat2.html, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// What SQLite keeps beside a file, and would take for a new file's own.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Pages that are copied.
    pub done: u64,
    /// Pages in all.
    pub all: u64,
}

/// A copy, or a store that was made of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How long the file is.
    pub bytes: u64,
    /// The history that it is of.
    pub epoch: Epoch,
    /// The last generation in it.
    pub generation: Generation,
    /// What must hold and does not, as [`crate::Store::doctor`] says it: the store that was copied has it too.
    pub problems: Vec<String>,
}

/// See [`crate::backup`].
pub(crate) fn backup(from: &Path, to: &Path, pause: &mut dyn FnMut(Progress)) -> Result<Copied, StoreError> {
    if !is_there(from)? {
        return refused(format!("{} is not there", from.display()));
    }
    let part = Part::create(to)?;
    copy(from, &part.path, pause)?;
    let copied = checked(&part.path)?;
    part.finish(to)?;
    Ok(copied)
}

/// See [`crate::restore`].
pub(crate) fn restore(from: &Path, to: &Path) -> Result<Copied, StoreError> {
    if !is_there(from)? {
        return refused(format!("{} is not there", from.display()));
    }
    if has_content(&beside(from, "-wal"))? {
        let words = "it has a log beside it: it is a store in use, or one that was not closed; `trunkline backup` copies it";
        return refused(format!("{}: {words}", from.display()));
    }
    free(to)?;
    // A log that another file left would be taken for this one's.
    for ending in BESIDE {
        let path = beside(to, ending);
        if is_there(&path)? {
            return refused(format!(
                "{} is there: move it away with the store that it is of",
                path.display()
            ));
        }
    }
    let part = Part::create(to)?;
    let mut source = File::open(from).map_err(|error| failed(from, &error))?;
    let mut head = [0; MAGIC.len()];
    let begins = source.read_exact(&mut head);
    if begins.is_err() || head != *MAGIC {
        return refused(format!("{} is no copy of a store", from.display()));
    }
    let mut target = OpenOptions::new().append(true).open(&part.path).map_err(|e| failed(&part.path, &e))?;
    std::io::Write::write_all(&mut target, &head).map_err(|error| failed(&part.path, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| failed(&part.path, &error))?;
    drop(target);
    let copied = checked(&part.path)?;
    let db = Connection::open(&part.path)?;
    // A history of its own: whoever followed the store that the copy is of builds anew.
    db.execute_batch("UPDATE meta SET epoch = abs(random() / 2)")?;
    let (epoch, _) = change_log::generation(Db::Sqlite(&db))?;
    drop(db);
    part.finish(to)?;
    Ok(Copied { epoch, ..copied })
}

/// Copies page by page, inside one transaction of the source.
fn copy(from: &Path, to: &Path, pause: &mut dyn FnMut(Progress)) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)?;
    source.execute_batch("PRAGMA busy_timeout = 5000; BEGIN")?;
    // The transaction begins with its first read; from here on it sees one moment.
    change_log::generation(Db::Sqlite(&source))?;
    let mut target = Connection::open(to)?;
    // Until it has its name nobody relies on it, and then it was synced whole.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    {
        let copying = Copying::new(&source, &mut target)?;
        loop {
            let step = copying.step(STEP_PAGES)?;
            let rusqlite::backup::Progress { remaining, pagecount } = copying.progress();
            let all = u64::try_from(pagecount).unwrap_or(0);
            pause(Progress { done: all.saturating_sub(u64::try_from(remaining).unwrap_or(0)), all });
            // Busy or locked it is for moments only: nobody else uses the copy, and readers are never locked out.
            if step == StepResult::Done {
                break;
            }
        }
    }
    source.execute_batch("COMMIT")?;
    Ok(())
}

/// Looks at a whole file: that it is sound as SQLite's, and what the doctor says of it. It is one file afterwards, without a log.
fn checked(path: &Path) -> Result<Copied, StoreError> {
    let db = Connection::open(path)?;
    let no_copy = |error: rusqlite::Error| {
        let words = format!("it is damaged, or no copy of a store: {error}");
        StoreError::Refused(words)
    };
    db.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(no_copy)?;
    let sound: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(no_copy)?;
    if sound != "ok" {
        return refused(format!("it is damaged: {sound}"));
    }
    let schema = migrate::version(&db).map_err(no_copy)?;
    if schema > migrate::NEWEST {
        let newest = migrate::NEWEST;
        return refused(format!(
            "it was written by a newer version (schema {schema}, this version knows {newest})"
        ));
    }
    let (epoch, generation) = change_log::generation(Db::Sqlite(&db))?;
    // What is of an older schema is brought up to date, and can be asked, when a service opens it.
    let problems = if schema == migrate::NEWEST { doctor::problems(Db::Sqlite(&db))? } else { Vec::new() };
    drop(db);
    let bytes = std::fs::metadata(path).map_err(|error| failed(path, &error))?.len();
    Ok(Copied { bytes, epoch, generation, problems })
}

/// A file that is being written: it goes unless it is finished.
struct Part {
    path: PathBuf,
}

impl Part {
    /// Makes it, for its owner's eyes alone: what is in a store is nobody else's.
    fn create(target: &Path) -> Result<Self, StoreError> {
        free(target)?;
        let path = beside(target, ".part");
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Self { path }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let words = "is there: it is being written, or who wrote it died; then remove it";
                refused(format!("{} {words}", path.display()))
            }
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Brings it to disk and gives it its name, if nobody else has it by now.
    fn finish(self, target: &Path) -> Result<(), StoreError> {
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|error| failed(&self.path, &error))?;
        std::fs::hard_link(&self.path, target).map_err(|error| failed(target, &error))?;
        std::fs::remove_file(&self.path).map_err(|error| failed(&self.path, &error))?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // The name is on disk too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, &error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for path in BESIDE.map(|ending| beside(&self.path, ending)).iter().chain([&self.path]) {
            // One that is finished, or has nothing beside it, is not there.
            if let Err(error) = std::fs::remove_file(path)
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(error = %error, "a part of a copy could not be removed");
            }
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| failed(path, &error))
}

/// Refuses a file that is there.
fn free(path: &Path) -> Result<(), StoreError> {
    if is_there(path)? {
        return refused(format!("{} is there: nothing is written over", path.display()));
    }
    Ok(())
}

fn has_content(path: &Path) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path, &error)),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Refused(format!("{}: {error}", path.display()))
}

fn refused<T>(words: String) -> Result<T, StoreError> {
    Err(StoreError::Refused(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn store(folder: &TempDir) -> PathBuf {
        let path = folder.path().join("a.db");
        drop(Store::open(&format!("sqlite:{}", path.display())).unwrap());
        path
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("a.db"));
        names.sort();
        names
    }

    #[test]
    fn a_copy_is_one_private_file_and_what_is_made_of_it_has_a_history_of_its_own() {
        let folder = TempDir::new().unwrap();
        let (from, to, back) = (store(&folder), folder.path().join("copy"), folder.path().join("b.db"));
        let mut seen = Vec::new();
        let copied = backup(&from, &to, &mut |progress| seen.push(progress)).unwrap();
        assert_eq!(copied.problems, Vec::<String>::new());
        assert_eq!(seen.last().map(|p| p.done == p.all && p.all > 0), Some(true));
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let restored = restore(&to, &back).unwrap();
        assert_ne!(restored.epoch, copied.epoch);
        assert_eq!(restored.generation, copied.generation);
        assert_eq!(std::fs::metadata(&back).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(&folder), ["b.db", "copy"]);
    }

    #[test]
    fn nothing_is_written_over_and_nothing_is_left_of_what_failed() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (store(&folder), folder.path().join("copy"));
        let again = |from: &Path, to: &Path| backup(from, to, &mut |_| ()).unwrap_err().to_string();
        std::fs::write(&to, "mine").unwrap();
        assert!(again(&from, &to).contains("is there"));
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "mine");
        assert!(restore(&to, &folder.path().join("b.db")).unwrap_err().to_string().contains("no copy"));
        std::fs::remove_file(&to).unwrap();
        assert!(again(&folder.path().join("none"), &to).contains("none is not there"));
        std::fs::write(folder.path().join("copy.part"), "half").unwrap();
        assert!(again(&from, &to).contains("copy.part"));
        std::fs::remove_file(folder.path().join("copy.part")).unwrap();
        backup(&from, &to, &mut |_| ()).unwrap();
        assert!(restore(&to, &from).unwrap_err().to_string().contains("nothing is written over"));
        std::fs::write(folder.path().join("b.db-wal"), "another's").unwrap();
        assert!(restore(&to, &folder.path().join("b.db")).unwrap_err().to_string().contains("b.db-wal"));
        assert_eq!(names(&folder), ["b.db-wal", "copy"]);
    }

    #[test]
    fn a_copy_that_is_damaged_is_no_store() {
        let folder = TempDir::new().unwrap();
        let (from, to, back) = (store(&folder), folder.path().join("copy"), folder.path().join("b.db"));
        backup(&from, &to, &mut |_| ()).unwrap();
        let whole = std::fs::read(&to).unwrap();
        // Whole pages, which are roots of tables: what is nobody's within a page is not looked at.
        for page in [1, 20] {
            let mut bytes = whole.clone();
            bytes[page * 4_096..(page + 1) * 4_096].fill(0x5a);
            std::fs::write(&to, bytes).unwrap();
            let error = restore(&to, &back).unwrap_err().to_string();
            assert!(error.contains("damaged") || error.contains("malformed"), "{error}");
        }
        std::fs::write(&to, &whole[..whole.len() / 2]).unwrap();
        assert!(restore(&to, &back).is_err());
        assert_eq!(names(&folder), ["copy"]);
    }
}
