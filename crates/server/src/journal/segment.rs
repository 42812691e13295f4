//! One file of the journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clock;

/// A file and the positions it holds.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The position of its first byte.
    pub(super) base: u64,
    pub(super) length: u64,
}

impl Segment {
    pub(super) fn read(&self, at: u64, most: u64) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        file.take(most.min(self.length.saturating_sub(at))).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Another process may have adopted and deleted it: both had its facts stored.
    pub(super) fn delete(&self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "a journal file cannot be deleted; it will be read again at the next start");
        }
    }
}

/// The segment that is written to, locked so that no other process adopts it.
#[derive(Debug)]
pub(super) struct Active {
    file: Arc<File>,
    /// Ended segments that were not synced yet.
    ended: Vec<Arc<File>>,
    /// True until the folder's entry for the file was synced.
    fresh: bool,
}

/// What a sync is about.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<Arc<File>>,
    fresh: bool,
}

impl Active {
    /// A new file in the folder.
    pub(super) fn create(folder: &Path) -> std::io::Result<(Self, PathBuf)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let millis = clock::now().as_millisecond();
        let path = folder.join(format!("{millis:013}-{:016x}-{count:06}.facts", clock::process_number()));
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        file.lock()?;
        Ok((Self { file: Arc::new(file), ended: Vec::new(), fresh: true }, path))
    }

    /// Takes over what its predecessor has not synced.
    pub(super) fn after(&mut self, before: Self) {
        self.ended = before.ended;
        self.ended.push(before.file);
    }

    /// One write(2), if the system takes all at once. A failure leaves the file as long as it was.
    pub(super) fn write(&self, bytes: &[u8], length: u64) -> std::io::Result<()> {
        let mut file = &*self.file;
        file.write_all(bytes).inspect_err(|_| {
            if let Err(error) = self.file.set_len(length) {
                tracing::error!(error = %error, "a half-written fact cannot be taken back");
            }
        })
    }

    pub(super) fn files(&mut self) -> Files {
        let mut files = std::mem::take(&mut self.ended);
        files.push(Arc::clone(&self.file));
        Files { files, fresh: std::mem::replace(&mut self.fresh, false) }
    }
}

impl Files {
    pub(super) fn sync(&self, folder: &Path) -> std::io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        if self.fresh { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// Segments of processes that are gone, oldest first. Those of a living process are locked by it and left alone.
pub(super) fn left_behind(folder: &Path) -> std::io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "facts") {
            continue;
        }
        let file = File::open(&path)?;
        match file.try_lock() {
            Ok(()) => found.push(Segment { path, base: 0, length: file.metadata()?.len() }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
