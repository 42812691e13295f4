//! Calls in progress in this process, and how calls ended: for the metrics, to tell a call's dialog from that of a target
//! that answered too late, and to know which calls have lasted or cost enough. A cache: the records are in the store.

use domain::call::{CallStatus, EndedBy, FactKind, Side};
use domain::call_end::InProgress;
use domain::ids::{CallId, OrganizationId};
use domain::{Fact, Price};
use hashbrown::{HashMap, HashSet};
use metrics::{Counter, Gauge, counter, gauge};
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::OpenCall;

use crate::clock;

/// A call younger than this may not be in the store yet.
const YOUNG: Duration = Duration::from_mins(1);
/// A call that rings longer was lost: the edge's own bound on setup is two minutes.
const RINGING_MAX: Duration = Duration::from_mins(5);

/// A call's record hears of its session no more often.
const RENEWALS_EVERY: Duration = Duration::from_mins(1);

/// Calls that are remembered after their end: what a side sends in the dialog of such a call is carried, and leaves nothing.
const OVER_MAX: usize = 10_000;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Tally {
    state: Mutex<State>,
    hasher: foldhash::fast::RandomState,
    outcomes: Vec<(CallStatus, Counter)>,
    in_progress: Gauge,
}

#[derive(Debug, Default)]
struct State {
    up: HashMap<CallId, Up>,
    /// The price of calls that ring, of those that cost something.
    ringing: HashMap<CallId, (Price, Instant)>,
    /// How long a call that rings may last, in seconds, where whoever began it said so.
    limits: HashMap<CallId, u32>,
    /// Calls whose end is written, the last ones.
    over: Over,
}

/// The last so many calls that ended.
#[derive(Debug, Default)]
struct Over {
    all: HashSet<CallId>,
    order: VecDeque<CallId>,
}

impl Over {
    fn put(&mut self, call: CallId) {
        if self.all.insert(call) {
            self.order.push_back(call);
        }
        if self.order.len() > OVER_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.all.remove(&first);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Up {
    /// Of the callee's tag; none where it is not known.
    tag: Option<u64>,
    since: Instant,
    organization: OrganizationId,
    call: InProgress,
    /// How many bits the highest `CSeq` number of each side has that its record knows of.
    steps: [u8; 2],
    /// The last renewal of its session that its record knows of.
    renewed: Option<(Instant, Option<u32>)>,
    /// Neither side can be told of its end: it is left to the reaper.
    stuck: bool,
}

/// A call in progress, with whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) id: CallId,
    pub(super) organization: OrganizationId,
    pub(super) call: InProgress,
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
            state: Mutex::default(),
            hasher: foldhash::fast::RandomState::default(),
            outcomes,
            in_progress: gauge!("trunkline_calls_in_progress"),
        }
    }

    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered now, by the dialog with this tag of the callee; `cseq` is the number of its INVITE.
    pub(crate) fn answered(
        &self,
        (organization, call): (OrganizationId, CallId),
        callee_tag: &str,
        cseq: u32,
    ) {
        let tag = Some(self.hasher.hash_one(callee_tag));
        let (since, answered_at) = (clock::instant(), clock::now());
        let mut state = self.lock();
        let price = state.ringing.remove(&call).map_or(Price::FREE, |(price, _)| price);
        let max_seconds = state.limits.remove(&call);
        state.up.entry(call).or_insert(Up {
            tag,
            since,
            organization,
            call: InProgress { answered_at, price, max_seconds },
            steps: [bits(cseq), 0],
            renewed: None,
            stuck: false,
        });
    }

    /// True when the call is known to be up in a dialog with another callee.
    pub(crate) fn other_dialog(&self, call: CallId, callee_tag: &str) -> bool {
        let known = self.lock().up.get(&call).and_then(|up| up.tag);
        known.is_some_and(|tag| tag != self.hasher.hash_one(callee_tag))
    }

    /// True when the end of a call is written.
    pub(crate) fn is_over(&self, call: CallId) -> bool {
        self.lock().over.all.contains(&call)
    }

    /// True when the answer of a call is written.
    pub(crate) fn is_old(&self, call: CallId) -> bool {
        let state = self.lock();
        state.up.contains_key(&call) || state.over.all.contains(&call)
    }

    /// True for a call in progress, unless its record is known to have a `CSeq` number of as many bits of that side. A call that
    /// is not known here is over, or will be known at the next look: the next request tells the same.
    pub(crate) fn is_step(&self, call: CallId, side: Side, bits: u8) -> bool {
        let mut state = self.lock();
        let Some(up) = state.up.get_mut(&call) else { return false };
        let known = match side {
            Side::Caller => &mut up.steps[0],
            Side::Callee => &mut up.steps[1],
        };
        let higher = bits > *known;
        *known = bits.max(*known);
        higher
    }

    /// True when the record of a call is to hear that its session was renewed: not while it knows the same of the last minute,
    /// and not after its end. A call that is not known here may have begun in an earlier process.
    pub(crate) fn is_renewal(&self, call: CallId, seconds: Option<u32>) -> bool {
        let now = clock::instant();
        let mut state = self.lock();
        if state.over.all.contains(&call) {
            return false;
        }
        let Some(up) = state.up.get_mut(&call) else { return true };
        let known = up
            .renewed
            .is_some_and(|(at, last)| last == seconds && now.saturating_duration_since(at) < RENEWALS_EVERY);
        if !known {
            up.renewed = Some((now, seconds));
        }
        !known
    }

    /// How many bits the highest `CSeq` number of each side has, caller first: newer than the record in the store.
    pub(crate) fn steps(&self, call: CallId) -> [u8; 2] {
        self.lock().up.get(&call).map_or([0; 2], |up| up.steps)
    }

    /// A fact is about to be written.
    pub(crate) fn saw(&self, fact: &Fact) {
        match &fact.kind {
            FactKind::Started(started) if !started.price.is_free() => {
                let price = (started.price, clock::instant());
                self.lock().ringing.insert(fact.call_id, price);
            }
            FactKind::Origin(origin) => {
                if let Some(most) = origin.max_seconds {
                    self.lock().limits.insert(fact.call_id, most);
                }
            }
            FactKind::Ended(ended) => {
                let mut state = self.lock();
                let known = state.up.remove(&fact.call_id).is_some();
                // The reaper saw no end: one that is seen after all stands in its place.
                if ended.by != EndedBy::Reaper {
                    state.over.put(fact.call_id);
                }
                drop(state);
                if known {
                    self.over(CallStatus::Completed);
                }
            }
            FactKind::Unanswered(unanswered) => {
                let mut state = self.lock();
                state.ringing.remove(&fact.call_id);
                state.limits.remove(&fact.call_id);
                drop(state);
                self.over(unanswered.status);
            }
            FactKind::Started(_)
            | FactKind::Attempt(_)
            | FactKind::Answered(_)
            | FactKind::Step(..)
            | FactKind::Refreshed(_)
            | FactKind::Leg(_)
            | FactKind::Note(_) => {}
        }
    }

    /// Calls in progress whose sides can be told of their end.
    pub(super) fn running(&self) -> Vec<Running> {
        let state = self.lock();
        let one =
            |(id, up): (&CallId, &Up)| Running { id: *id, organization: up.organization, call: up.call };
        state.up.iter().filter(|(_, up)| !up.stuck).map(one).collect()
    }

    /// Neither side of a call can be told of its end.
    pub(super) fn stuck(&self, call: CallId) {
        if let Some(up) = self.lock().up.get_mut(&call) {
            up.stuck = true;
        }
    }

    /// The calls that the store knows to be open; `all` says that there are no others.
    pub(super) fn reconcile(&self, calls: &[OpenCall], all: bool) {
        let now = clock::instant();
        let mut state = self.lock();
        if all {
            let open: HashSet<CallId> = calls.iter().map(|open| open.call.id).collect();
            state.up.retain(|id, up| open.contains(id) || now.saturating_duration_since(up.since) < YOUNG);
        }
        state.ringing.retain(|_, (_, since)| now.saturating_duration_since(*since) < RINGING_MAX);
        for OpenCall { call, last: _ } in calls {
            // Its end is on its way to the store, or there already, and its answer is waited for.
            if state.over.all.contains(&call.id) || call.ended_at.is_some() {
                continue;
            }
            let Some(answered_at) = call.answered_at.filter(|_| call.status == CallStatus::Answered) else {
                // It may be answered here though an earlier process let it in: then this is its price.
                let rings = !call.price.is_free() && !state.up.contains_key(&call.id);
                if rings && call.status == CallStatus::Ringing {
                    state.ringing.entry(call.id).or_insert((call.price, now));
                }
                continue;
            };
            let max_seconds = call.origin.as_ref().and_then(|origin| origin.max_seconds);
            let dialog = call.dialog.as_ref();
            let tag = dialog.and_then(|dialog| dialog.to.split_once(";tag="));
            let tag = tag.map(|(_, tag)| self.hasher.hash_one(tag.split(';').next().unwrap_or(tag)));
            if let Some(up) = state.up.get_mut(&call.id) {
                // The record knows when it was answered, and its price though nobody here saw it ring. Facts come in any
                // order: a price that is not there yet changes nothing.
                up.call.answered_at = answered_at;
                up.call.max_seconds = up.call.max_seconds.or(max_seconds);
                if !call.price.is_free() {
                    up.call.price = call.price;
                }
                continue;
            }
            state.up.insert(
                call.id,
                Up {
                    tag,
                    since: now,
                    organization: call.organization_id,
                    call: InProgress { answered_at, price: call.price, max_seconds },
                    steps: dialog.map_or([0; 2], |d| [bits(d.cseq), bits(d.callee_cseq)]),
                    renewed: None,
                    stuck: false,
                },
            );
        }
        drop(state);
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
        self.in_progress.set(self.lock().up.len() as f64);
    }
}

/// How many bits a number has.
fn bits(number: u32) -> u8 {
    u8::try_from(u32::BITS - number.leading_zeros()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Micros;
    use uuid::Uuid;

    const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(9));

    #[test]
    fn the_end_of_another_dialog_is_not_the_end_of_the_call() {
        let tally = Tally::new();
        let call = CallId(Uuid::from_u128(1));
        assert!(!tally.other_dialog(call, "late"), "not known to be up: the end is believed");
        tally.answered((OWNER, call), "first", 1);
        tally.answered((OWNER, call), "late", 1);
        assert!(tally.other_dialog(call, "late"));
        assert!(!tally.other_dialog(call, "first"));
    }

    #[test]
    fn a_side_steps_up_once_for_each_number_of_bits() {
        let tally = Tally::new();
        let call = CallId(Uuid::from_u128(1));
        assert!(!tally.is_step(call, Side::Callee, 12), "not in progress: nothing is kept of it");
        tally.answered((OWNER, call), "t", 5_000);
        assert!(!tally.is_step(call, Side::Caller, 13) && tally.is_step(call, Side::Caller, 14));
        assert!(tally.is_step(call, Side::Callee, 12) && !tally.is_step(call, Side::Callee, 12));
        assert_eq!(tally.steps(call), [14, 12]);
    }

    #[test]
    fn a_renewal_is_told_once_a_minute_and_whenever_it_changes() {
        let tally = Tally::new();
        let call = CallId(Uuid::from_u128(1));
        assert!(tally.is_renewal(call, Some(1800)), "perhaps of an earlier process");
        tally.answered((OWNER, call), "t", 1);
        assert!(tally.is_renewal(call, Some(1800)) && !tally.is_renewal(call, Some(1800)));
        assert!(tally.is_renewal(call, None) && !tally.is_renewal(call, None));
        assert!(tally.is_renewal(call, Some(1800)), "a timer that is on again is no end");
        tally.lock().over.put(call);
        assert!(!tally.is_renewal(call, Some(90)));
    }

    #[test]
    fn what_comes_after_the_end_of_a_call_leaves_nothing() {
        let tally = Tally::new();
        let id = |n: usize| CallId(Uuid::from_u128(n as u128));
        let end_by = |n, by| Fact {
            organization_id: OWNER,
            call_id: id(n),
            at: clock::moment(),
            kind: FactKind::Ended(domain::call::Ended { by, reason: None }),
        };
        let end = |n| end_by(n, EndedBy::Caller);
        tally.answered((OWNER, id(1)), "t", 1);
        assert!(tally.is_old(id(1)) && !tally.is_over(id(1)) && tally.is_step(id(1), Side::Callee, 12));
        tally.saw(&end_by(1, EndedBy::Reaper));
        assert!(!tally.is_over(id(1)), "its real end may still be seen");
        tally.saw(&end(1));
        assert!(tally.is_old(id(1)) && tally.is_over(id(1)) && !tally.is_step(id(1), Side::Callee, 13));
        for n in 1..=2 * OVER_MAX {
            tally.saw(&end(n));
        }
        let state = tally.lock();
        assert_eq!((state.over.all.len(), state.over.order.len()), (OVER_MAX, OVER_MAX));
        assert!(state.over.all.contains(&id(2 * OVER_MAX)) && !state.over.all.contains(&id(1)));
    }

    fn open(status: CallStatus, rate: i64) -> OpenCall {
        let id = CallId(Uuid::from_u128(1));
        let kind = FactKind::Answered(None);
        let fact = Fact { organization_id: OWNER, call_id: id, at: clock::moment(), kind };
        let mut call = domain::Call::fold(std::slice::from_ref(&fact)).unwrap();
        (call.status, call.price) = (status, Price::by_minute(Micros(rate)));
        OpenCall { call, last: fact.at }
    }

    #[test]
    fn a_call_that_an_earlier_process_let_in_has_its_price() {
        let call = CallId(Uuid::from_u128(1));
        let rate = |tally: &Tally| tally.running().first().map(|one| one.call.price.per_minute);
        let tally = Tally::new();
        tally.reconcile(&[open(CallStatus::Ringing, 60)], true);
        tally.answered((OWNER, call), "t", 1);
        assert_eq!(rate(&tally), Some(Micros(60)), "known before it was answered");
        let tally = Tally::new();
        tally.answered((OWNER, call), "t", 1);
        assert_eq!(rate(&tally), Some(Micros::ZERO));
        let answered = open(CallStatus::Answered, 60);
        tally.reconcile(std::slice::from_ref(&answered), true);
        assert_eq!(rate(&tally), Some(Micros(60)), "or learned afterwards");
        assert_eq!(tally.running().first().map(|one| one.call.answered_at), answered.call.answered_at);
        tally.reconcile(&[open(CallStatus::Answered, 0)], true);
        assert_eq!(rate(&tally), Some(Micros(60)), "and kept");
    }
}
