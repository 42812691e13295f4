//! What one process of an installation does and no other: a lock on a small file beside the store. The system gives it back when the
//! process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Held for as long as this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    _locked: File,
}

impl Lease {
    /// Takes it; none while another process has it.
    pub(crate) fn take(path: &Path) -> std::io::Result<Option<Self>> {
        Self::of(path, File::try_lock)
    }

    /// Takes a share of it, as others may; none while another process has it for itself.
    pub(crate) fn share(path: &Path) -> std::io::Result<Option<Self>> {
        Self::of(path, File::try_lock_shared)
    }

    fn of(
        path: &Path,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> std::io::Result<Option<Self>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match lock(&file) {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time() {
        let name = format!("trunkline-lease-{:x}", crate::clock::process_number());
        let path = std::env::temp_dir().join(name);
        let first = Lease::take(&path).unwrap();
        assert!(first.is_some() && Lease::take(&path).unwrap().is_none());
        drop(first);
        let shares = [Lease::share(&path).unwrap(), Lease::share(&path).unwrap()];
        assert!(shares.iter().all(Option::is_some) && Lease::take(&path).unwrap().is_none());
        drop(shares);
        assert!(Lease::take(&path).unwrap().is_some());
        assert!(Lease::take(&path.join("no")).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
