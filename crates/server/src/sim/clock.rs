//! The simulation's clock: how far the wall clock was moved, kept in a file so that a restart does not turn it back.

use anyhow::Context;
use domain::{Error, Kind, Result, Timestamp, What};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::write_whole;
use crate::clock;

/// How far the clock can be moved in all: twenty years, which every period of the rules fits into many times.
pub(super) const MOVED_MAX: Duration = Duration::from_hours(20 * 365 * 24);

/// How far the clock was moved, and where that is kept.
pub(super) struct SimClock {
    file: PathBuf,
    moved: Mutex<Duration>,
}

impl SimClock {
    /// Moves this process's clock as far as the last one's was.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let moved = match std::fs::read_to_string(file) {
            Ok(text) => {
                let micros = text.trim().parse().with_context(|| format!("{}: no number", file.display()))?;
                Duration::from_micros(micros)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Duration::ZERO,
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        clock::advance(moved.min(MOVED_MAX)).context("the simulation's clock cannot be moved that far")?;
        Ok(Self { file: file.to_owned(), moved: Mutex::new(moved.min(MOVED_MAX)) })
    }

    /// How far it was moved in all.
    pub(super) fn moved(&self) -> Duration {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it forward and gives the new time.
    pub(super) fn advance(&self, by: Duration) -> Result<Timestamp> {
        // Held over the write: the file never says less than what was moved, so a restart never goes back.
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let next = moved.checked_add(by).filter(|next| *next <= MOVED_MAX).ok_or_else(too_far)?;
        let kept = write_whole(&self.file, &next.as_micros().to_string());
        kept.map_err(|error| Error::internal(format!("{}: {error}", self.file.display())))?;
        let now = clock::advance(by).ok_or_else(too_far)?;
        *moved = next;
        Ok(now)
    }

    /// Moves it to a time of day, which must not be past.
    pub(super) fn advance_to(&self, to: Timestamp) -> Result<Timestamp> {
        let by = Duration::try_from(to.duration_since(clock::now())).map_err(|_| {
            Error::invalid(What::Request, "now", "`now` is past: this clock only goes forward.")
        })?;
        self.advance(by)
    }
}

fn too_far() -> Error {
    let words = "The clock can be moved by twenty years in all; begin a new simulation with a new store.";
    Error::new(Kind::Conflict, What::Request, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_only_and_a_restart_does_not_turn_it_back() {
        let folder = std::env::temp_dir().join(format!("trunkline-sim-clock-{}", clock::id()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("clock");
        let sim = SimClock::open(&file).unwrap();
        let before = clock::now();
        let moved = sim.advance(Duration::from_hours(24)).unwrap();
        assert!(moved.duration_since(before).as_secs() >= 86_400);
        let there = sim.advance_to(moved + Duration::from_mins(1)).unwrap();
        assert!(there >= moved + Duration::from_mins(1));
        assert_eq!(sim.advance_to(before).unwrap_err().field, Some("now"));
        assert_eq!(sim.advance(MOVED_MAX).unwrap_err().kind, Kind::Conflict);
        assert_eq!(SimClock::open(&file).unwrap().moved(), sim.moved());
        assert!(sim.moved() > Duration::from_hours(24) && sim.moved() <= Duration::from_mins(24 * 60 + 1));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
