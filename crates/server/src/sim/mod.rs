//! The simulation that `--sim` adds to the service: a clock that can be moved, under `/sim` and the operator's key.
//!
//! What it does is seen only by its effects on the rest, which does not know that it is simulated. Without `--sim` none of
//! this is made, and the paths do not exist.

mod body;
mod clock;
mod door;

use std::path::Path;

pub(crate) use door::router;

/// A running simulation.
pub(crate) struct Sim {
    clock: clock::SimClock,
}

impl Sim {
    /// Begins, or goes on where the last process of this store stopped. To be called before anything takes the time.
    /// `beside` gives the path of a file of the simulation's own, by its ending.
    pub(crate) fn open(beside: impl Fn(&str) -> std::path::PathBuf) -> anyhow::Result<Self> {
        Ok(Self { clock: clock::SimClock::open(&beside(".sim-clock"))? })
    }
}

/// Writes a small file whole: a reader sees the old text or the new one, also after a crash.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let next = path.with_added_extension("next");
    std::fs::write(&next, text)?;
    std::fs::File::open(&next)?.sync_all()?;
    std::fs::rename(&next, path)
}
