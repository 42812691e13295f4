//! How the table stands to its store: which history it follows, how far it is behind, since when, and whether the store answers.
//! Health and metrics tell it. No call is decided on it: a table whose store is away decides for as long as that lasts.

use domain::Generation;
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::{Epoch, StoreError};

/// A store that says nothing for so long counts as away: the question itself may wait longer.
const SILENT: Duration = Duration::from_secs(3);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Standing {
    state: Mutex<State>,
    gauges: Gauges,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The history that the table is of; none before it is first built.
    epoch: Option<Epoch>,
    /// The newest generation that the store is known to have.
    newest: Generation,
    /// When the table last had all that the store had.
    current: Option<Instant>,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    away: bool,
    /// Whether that was since nobody answered, and not by what was said.
    cut_off: bool,
}

#[derive(Debug)]
struct Gauges {
    generation: Gauge,
    newest: Gauge,
    behind: Gauge,
    age: Gauge,
    up: Gauge,
    rebuilds: Counter,
}

/// The standing at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stands {
    /// The last generation applied.
    pub(crate) generation: Generation,
    /// The newest that the store is known to have.
    pub(crate) newest: Generation,
    /// How long ago the table had all that the store had.
    pub(crate) age: Duration,
    /// Whether the store answered when it was last asked.
    pub(crate) up: bool,
}

impl Stands {
    /// How many generations are still to be applied.
    pub(crate) fn behind(&self) -> u64 {
        self.newest.0.saturating_sub(self.generation.0)
    }
}

impl Default for Standing {
    fn default() -> Self {
        let state = State {
            epoch: None,
            newest: Generation(0),
            current: None,
            asked: None,
            away: false,
            cut_off: false,
        };
        Self { state: Mutex::new(state), gauges: Gauges::new() }
    }
}

impl Standing {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the table was never built.
    pub(super) fn is_new(&self) -> bool {
        self.lock().epoch.is_none()
    }

    /// Whether the store's history is the one that a table at `applied` is of. Where it is not, that cannot be told from single
    /// changes: the store was restored, or a standby without the last commits took over.
    pub(super) fn follows(&self, (epoch, newest): (Epoch, Generation), applied: Generation) -> bool {
        self.lock().epoch == Some(epoch) && newest >= applied
    }

    /// The table was built; gives whether it was there before.
    pub(super) fn built(&self, (epoch, generation): (Epoch, Generation)) -> bool {
        let mut state = self.lock();
        let before = state.epoch.replace(epoch).is_some();
        (state.newest, state.asked) = (generation, None);
        drop(state);
        if before {
            self.gauges.rebuilds.increment(1);
        }
        before
    }

    /// The store is asked what it has.
    pub(super) fn asks(&self, now: Instant) {
        self.lock().asked = Some(now);
    }

    /// The store answered, and has this much.
    pub(super) fn saw(&self, newest: Generation) {
        let mut state = self.lock();
        (state.newest, state.asked) = (newest, None);
    }

    /// The table has all that the store had at a time. Gives whether the store was away before.
    pub(super) fn current(&self, at: Instant) -> bool {
        let mut state = self.lock();
        (state.current, state.cut_off) = (Some(at), false);
        std::mem::replace(&mut state.away, false)
    }

    /// The store did not do what was asked. Gives whether it did so before.
    pub(super) fn away(&self, error: &StoreError) -> bool {
        let mut state = self.lock();
        (state.asked, state.cut_off) = (None, matches!(error, StoreError::Away(_)));
        !std::mem::replace(&mut state.away, true)
    }

    fn stands(&self, generation: Generation, now: Instant) -> Stands {
        let state = *self.lock();
        // What was written here meanwhile and applied is known to be there.
        let newest = state.newest.max(generation);
        let age = state.current.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        Stands { generation, newest, age, up: !state.away && !state.is_silent(now) }
    }
}

impl State {
    /// Whether an answer has been waited for so long that there will be none.
    fn is_silent(&self, now: Instant) -> bool {
        self.asked.is_some_and(|at| now.saturating_duration_since(at) >= SILENT)
    }
}

impl super::Live {
    /// Whether the store cannot be reached.
    pub(crate) fn is_cut_off(&self, now: Instant) -> bool {
        let state = self.standing.lock();
        state.cut_off || state.is_silent(now)
    }

    /// How the table stands to its store, which the metrics are told too.
    pub(crate) fn stands(&self, now: Instant) -> Stands {
        let stands = self.standing.stands(self.generation(), now);
        self.standing.gauges.show(&stands);
        stands
    }
}

impl Gauges {
    fn new() -> Self {
        let names = [
            ("trunkline_table_generation", "The generation that calls are decided on"),
            ("trunkline_store_generation", "The newest generation that the store is known to have"),
            ("trunkline_table_behind", "Generations of the store that calls are not decided on yet"),
            ("trunkline_table_age_seconds", "How long ago the table had all that the store had"),
            ("trunkline_store_up", "Whether the store answered when it was last asked"),
        ];
        for (name, what) in names {
            metrics::describe_gauge!(name, what);
        }
        metrics::describe_counter!(
            "trunkline_table_rebuilds_total",
            "How often the table was built anew since the store's history had become another"
        );
        let [generation, newest, behind, age, up] = names.map(|(name, _)| gauge!(name));
        Self { generation, newest, behind, age, up, rebuilds: counter!("trunkline_table_rebuilds_total") }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; generations stay far below 2^52")]
    fn show(&self, stands: &Stands) {
        self.generation.set(stands.generation.0 as f64);
        self.newest.set(stands.newest.0 as f64);
        self.behind.set(stands.behind() as f64);
        self.age.set(stands.age.as_secs_f64());
        self.up.set(if stands.up { 1.0 } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_how_far_behind_it_is_and_since_when() {
        let (standing, now) = (Standing::default(), crate::clock::instant());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(!standing.built((Epoch(1), Generation(5))));
        assert!(!standing.current(at(0)));
        let stands = |generation, seconds| standing.stands(Generation(generation), at(seconds));
        assert_eq!((stands(5, 0).behind(), stands(5, 2).age.as_secs(), stands(5, 2).up), (0, 2, true));
        standing.saw(Generation(9));
        assert_eq!((stands(5, 3).behind(), stands(10, 3).behind()), (4, 0));
        let away = StoreError::Away(String::new());
        assert!(standing.away(&away) && !standing.away(&away), "that is said once");
        assert_eq!((stands(9, 60).up, stands(9, 60).age.as_secs()), (false, 60));
        assert!(standing.current(at(61)));
        standing.asks(at(61));
        assert!(stands(9, 63).up && !stands(9, 64).up, "one that says nothing is away");
        standing.saw(Generation(9));
        assert!(stands(9, 64).up);
        assert_eq!((stands(9, 64).up, stands(9, 64).age.as_secs()), (true, 3));
        standing.asks(at(64));
        assert!(stands(9, 66).up && !stands(9, 67).up, "also one that says nothing to its second question");
        standing.saw(Generation(9));
        assert!(stands(9, 67).up);
    }

    #[test]
    fn another_epoch_and_a_generation_that_went_back_are_another_history() {
        let standing = Standing::default();
        let follows = |epoch, newest| standing.follows((Epoch(epoch), Generation(newest)), Generation(5));
        assert!(!follows(1, 5), "nothing was built yet");
        standing.built((Epoch(1), Generation(5)));
        assert_eq!((follows(1, 5), follows(1, 9), follows(1, 4), follows(2, 9)), (true, true, false, false));
        assert!(standing.built((Epoch(2), Generation(4))));
    }
}
