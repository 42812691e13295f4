//! Calls in progress in this process, and how calls ended: for the metrics, and to tell a call's dialog from that of a
//! target that answered too late. A cache: the records are in the store.

use domain::Fact;
use domain::call::{CallStatus, FactKind};
use domain::ids::CallId;
use hashbrown::{HashMap, HashSet};
use metrics::{Counter, Gauge, counter, gauge};
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::OpenCall;

use crate::clock;

/// A call younger than this may not be in the store yet.
const YOUNG: Duration = Duration::from_mins(1);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Tally {
    up: Mutex<HashMap<CallId, Up>>,
    hasher: foldhash::fast::RandomState,
    outcomes: Vec<(CallStatus, Counter)>,
    in_progress: Gauge,
}

#[derive(Clone, Copy, Debug)]
struct Up {
    /// Of the callee's tag; none where it is not known.
    tag: Option<u64>,
    since: Instant,
}

impl Tally {
    /// Knows of no call.
    pub(crate) fn new() -> Self {
        metrics::describe_counter!("trunkline_calls_total", "Calls that are over, by outcome");
        metrics::describe_gauge!("trunkline_calls_in_progress", "Calls that are answered and not over");
        let over = CallStatus::NAMES.iter().filter(|(status, _)| status.is_final());
        let outcomes = over
            .map(|(status, name)| (*status, counter!("trunkline_calls_total", "outcome" => *name)))
            .collect();
        Self {
            up: Mutex::default(),
            hasher: foldhash::fast::RandomState::default(),
            outcomes,
            in_progress: gauge!("trunkline_calls_in_progress"),
        }
    }

    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Up>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered by the dialog with this tag of the callee.
    pub(crate) fn answered(&self, call: CallId, callee_tag: &str) {
        let tag = Some(self.hasher.hash_one(callee_tag));
        self.lock().entry(call).or_insert(Up { tag, since: clock::instant() });
    }

    /// True when the call is known to be up in a dialog with another callee.
    pub(crate) fn other_dialog(&self, call: CallId, callee_tag: &str) -> bool {
        let known = self.lock().get(&call).and_then(|up| up.tag);
        known.is_some_and(|tag| tag != self.hasher.hash_one(callee_tag))
    }

    /// A fact is about to be written.
    pub(crate) fn saw(&self, fact: &Fact) {
        match &fact.kind {
            FactKind::Ended(_) => {
                let known = self.lock().remove(&fact.call_id).is_some();
                if known {
                    self.over(CallStatus::Completed);
                }
            }
            FactKind::Unanswered(unanswered) => self.over(unanswered.status),
            FactKind::Started(_) | FactKind::Attempt(_) | FactKind::Answered(_) => {}
        }
    }

    /// The calls that the store knows to be open, where `calls` is all of them.
    pub(super) fn reconcile(&self, calls: &[OpenCall]) {
        let now = clock::instant();
        let open: HashSet<CallId> = calls.iter().map(|open| open.call.id).collect();
        let mut up = self.lock();
        up.retain(|id, up| open.contains(id) || now.saturating_duration_since(up.since) < YOUNG);
        for call in calls.iter().map(|open| &open.call).filter(|call| call.status == CallStatus::Answered) {
            let to = call.dialog.as_ref().map(|dialog| dialog.to.as_str());
            let tag =
                to.and_then(|to| to.split_once(";tag=")).map(|(_, tag)| tag.split(';').next().unwrap_or(tag));
            let tag = tag.map(|tag| self.hasher.hash_one(tag));
            up.entry(call.id).or_insert(Up { tag, since: now });
        }
        drop(up);
        self.show();
    }

    fn over(&self, status: CallStatus) {
        if let Some((_, counter)) = self.outcomes.iter().find(|(one, _)| *one == status) {
            counter.increment(1);
        }
    }

    /// Brings the gauge up to date.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; calls are fewer than 2^52")]
    pub(super) fn show(&self) {
        self.in_progress.set(self.lock().len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_end_of_another_dialog_is_not_the_end_of_the_call() {
        let tally = Tally::new();
        let call = CallId(Uuid::from_u128(1));
        assert!(!tally.other_dialog(call, "late"), "not known to be up: the end is believed");
        tally.answered(call, "first");
        tally.answered(call, "late");
        assert!(tally.other_dialog(call, "late"));
        assert!(!tally.other_dialog(call, "first"));
    }
}
