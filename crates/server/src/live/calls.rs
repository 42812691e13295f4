//! Which calls are in progress, by organization, number and trunk: what a limit on calls at a time is held against. A cache: the records are in the
//! store.
//!
//! A call counts from the decision that lets it in until the fact that ends it, so one that rings counts. Both happen under the
//! edge's lock or behind it, one call after the other: of two calls that come at once, the second finds the first one counted.
//! What an earlier process let in is known once the store's open calls are looked at, right after the start. Nobody can say whether
//! such a call lives: media does not pass here, and its end may have come while no process ran. One that rang is not counted unless
//! it is answered here; one that was answered counts for a while ([`EARLIER_FOR`]), and on if anything of it is seen here. So a
//! crash takes nobody's room for hours, and for a while there may be more calls than the limit says.

use domain::call::{CallStatus, FactKind};
use domain::ids::{CallId, NumberId, OrganizationId, ProviderId};
use domain::{Fact, Timestamp};
use hashbrown::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::OpenCall;

use crate::clock;

/// A call younger than this may not be in the store yet.
const YOUNG: Duration = Duration::from_mins(1);
/// How long after the start, in seconds, an answered call of an earlier process counts of which nothing is seen here.
const EARLIER_FOR: i64 = 600;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Calls {
    state: Mutex<State>,
    /// When this process began: calls that began before are an earlier one's.
    begun: Timestamp,
}

impl Default for Calls {
    fn default() -> Self {
        Self { state: Mutex::default(), begun: clock::now() }
    }
}

/// A call that counts.
#[derive(Clone, Copy, Debug)]
struct Counted {
    organization: OrganizationId,
    way: Way,
    /// When it was first counted.
    at: Instant,
    /// It began in an earlier process, and nothing of it was seen here.
    earlier: bool,
}

/// Which number a call is for and which trunk it came through, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) number: Option<NumberId>,
    pub(super) trunk: Option<ProviderId>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<CallId, Counted>,
    counts: HashMap<OrganizationId, u32>,
    numbers: HashMap<NumberId, u32>,
    trunks: HashMap<ProviderId, u32>,
}

fn more<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: Option<K>) {
    if let Some(key) = key {
        *counts.entry(key).or_insert(0) += 1;
    }
}

fn fewer<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: Option<K>) {
    let Some(key) = key else { return };
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl State {
    fn begin(&mut self, call: CallId, counted: Counted) {
        let Counted { organization, way, .. } = counted;
        if let Some(known) = self.calls.get_mut(&call) {
            // What an answer alone did not tell of a call of an earlier process.
            if known.way == Way::default() && way != known.way {
                known.way = way;
                more(&mut self.numbers, way.number);
                more(&mut self.trunks, way.trunk);
            }
            (known.at, known.earlier) = (counted.at, counted.earlier);
            return;
        }
        more(&mut self.counts, Some(organization));
        more(&mut self.numbers, way.number);
        more(&mut self.trunks, way.trunk);
        self.calls.insert(call, counted);
    }

    fn end(&mut self, call: CallId) {
        let Some(Counted { organization, way, .. }) = self.calls.remove(&call) else { return };
        fewer(&mut self.counts, Some(organization));
        fewer(&mut self.numbers, way.number);
        fewer(&mut self.trunks, way.trunk);
    }
}

impl Calls {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was let in.
    pub(super) fn begin(&self, call: CallId, organization: OrganizationId, way: Way) {
        self.lock().begin(call, Counted { organization, way, at: clock::instant(), earlier: false });
    }

    /// A fact is about to be written.
    pub(super) fn saw(&self, fact: &Fact) {
        let (call, organization) = (fact.call_id, fact.organization_id);
        match fact.kind {
            FactKind::Ended(_) | FactKind::Unanswered(_) => self.lock().end(call),
            // Also of a call that an earlier process let in: it lives.
            FactKind::Answered(_) if organization != OrganizationId::NONE => {
                self.begin(call, organization, Way::default());
            }
            FactKind::Step(..) | FactKind::Refreshed(_) => {
                if let Some(counted) = self.lock().calls.get_mut(&call) {
                    counted.earlier = false;
                }
            }
            FactKind::Answered(_)
            | FactKind::Started(_)
            | FactKind::Attempt(_)
            | FactKind::Note(_)
            | FactKind::Origin(_)
            | FactKind::Leg(_) => {}
        }
    }

    /// Does what is no proof of a call's life, though it writes facts of it: a call of an earlier process stays one.
    pub(super) fn asking(&self, call: CallId, work: impl FnOnce()) {
        let earlier = self.lock().calls.get(&call).is_some_and(|counted| counted.earlier);
        work();
        if earlier && let Some(counted) = self.lock().calls.get_mut(&call) {
            counted.earlier = true;
        }
    }

    /// When this process began.
    pub(super) fn begun(&self) -> Timestamp {
        self.begun
    }

    /// How many calls of an organization are in progress.
    pub(super) fn of(&self, organization: OrganizationId) -> u32 {
        self.lock().counts.get(&organization).copied().unwrap_or(0)
    }

    /// How many calls to a number are in progress.
    pub(super) fn of_number(&self, number: NumberId) -> u32 {
        self.lock().numbers.get(&number).copied().unwrap_or(0)
    }

    /// How many calls through a trunk are in progress.
    pub(super) fn of_trunk(&self, trunk: ProviderId) -> u32 {
        self.lock().trunks.get(&trunk).copied().unwrap_or(0)
    }

    /// The calls that the store knows to be open; `all` says that there are no others. Those are counted that another process
    /// let in; those no longer whose end another process saw.
    pub(super) fn reconcile(&self, calls: &[OpenCall], all: bool) {
        let now = clock::instant();
        // One whose end is known waits for its answer to be: it is over.
        let calls = || calls.iter().map(|open| &open.call).filter(|call| call.ended_at.is_none());
        let open: HashSet<CallId> = calls().map(|call| call.id).collect();
        let mut state = self.lock();
        let waited = clock::now().as_second().saturating_sub(self.begun.as_second()) >= EARLIER_FOR;
        let old = |at: Instant| all && now.saturating_duration_since(at) >= YOUNG;
        let over = |id: &CallId, one: &Counted| one.earlier && waited || !open.contains(id) && old(one.at);
        let over: Vec<CallId> =
            state.calls.iter().filter(|(id, one)| over(id, one)).map(|(id, _)| *id).collect();
        for call in over {
            state.end(call);
        }
        for call in calls() {
            let way = Way { number: call.number_id, trunk: call.provider_id };
            if call.organization_id == OrganizationId::NONE {
                continue;
            }
            if let Some(known) = state.calls.get(&call.id).copied() {
                state.begin(call.id, Counted { way, ..known });
                continue;
            }
            let earlier = call.started_at < self.begun;
            if earlier && (waited || call.status == CallStatus::Ringing) {
                continue;
            }
            // Not young: where its end is seen meanwhile, the next look takes it out.
            let at = now.checked_sub(YOUNG).unwrap_or(now);
            state.begin(call.id, Counted { organization: call.organization_id, way, at, earlier });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::{Ended, EndedBy, Unanswered};
    use uuid::Uuid;

    fn fact(call: u128, kind: FactKind) -> Fact {
        let call_id = CallId(Uuid::from_u128(call));
        Fact { organization_id: OrganizationId(Uuid::from_u128(9)), call_id, at: clock::moment(), kind }
    }

    fn open(call: u128) -> OpenCall {
        let fact = fact(call, FactKind::Answered(None));
        let call = domain::Call::fold(std::slice::from_ref(&fact)).unwrap();
        OpenCall { call, last: fact.at }
    }

    #[test]
    fn a_call_counts_once_until_its_end() {
        let (calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        let [one, two] = [1, 2].map(|n| CallId(Uuid::from_u128(n)));
        calls.begin(one, organization, Way::default());
        calls.begin(one, organization, Way::default());
        calls.begin(two, organization, Way::default());
        assert_eq!(calls.of(organization), 2);
        assert_eq!(calls.of(OrganizationId::NONE), 0);
        let ended = || fact(1, FactKind::Ended(Ended { by: EndedBy::Caller, reason: None }));
        calls.saw(&ended());
        calls.saw(&ended());
        assert_eq!(calls.of(organization), 1);
        let busy = Unanswered { sip_status: 486, status: CallStatus::Busy, reason: String::new(), by: None };
        calls.saw(&fact(2, FactKind::Unanswered(busy)));
        assert_eq!((calls.of(organization), calls.lock().counts.len()), (0, 0));
    }

    #[test]
    fn calls_of_another_process_count_while_the_store_has_them_open() {
        let (calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        calls.begin(CallId(Uuid::from_u128(1)), organization, Way::default());
        calls.reconcile(&[open(2), open(3)], true);
        assert_eq!(calls.of(organization), 3, "a young one need not be in the store");
        calls.reconcile(&[open(3)], false);
        assert_eq!(calls.of(organization), 3);
        calls.reconcile(&[open(3)], true);
        assert_eq!(calls.of(organization), 2);
    }

    /// An open call that began this many seconds before (negative: after) the process; ringing or answered.
    fn since(calls: &Calls, call: u128, seconds: i64, status: CallStatus) -> OpenCall {
        let mut open = open(call);
        (open.call.status, open.call.started_at) = (status, calls.begun);
        open.call.started_at = Timestamp::from_second(calls.begun.as_second() - seconds).unwrap();
        open
    }

    #[test]
    fn ringing_calls_of_an_earlier_process_take_no_room_until_they_are_answered_here() {
        let (calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        let rang = since(&calls, 1, 5, CallStatus::Ringing);
        let elsewhere = since(&calls, 2, -5, CallStatus::Ringing);
        calls.reconcile(&[rang, elsewhere], true);
        assert_eq!(calls.of(organization), 1, "that of another node counts");
        calls.saw(&fact(1, FactKind::Answered(None)));
        assert_eq!(calls.of(organization), 2);
        calls.saw(&fact(1, FactKind::Ended(Ended { by: EndedBy::Caller, reason: None })));
        assert_eq!(calls.of(organization), 1);
    }

    #[test]
    fn answered_calls_of_an_earlier_process_count_for_a_while_or_while_they_show_life() {
        let (mut calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        let up = [1, 2].map(|call| since(&calls, call, 5, CallStatus::Answered));
        calls.reconcile(&up, true);
        calls.reconcile(&up, true);
        assert_eq!(calls.of(organization), 2);
        calls.asking(CallId(Uuid::from_u128(1)), || {
            calls.saw(&fact(1, FactKind::Step(domain::call::Side::Caller, 12)));
        });
        calls.saw(&fact(2, FactKind::Step(domain::call::Side::Caller, 12)));
        calls.begun = Timestamp::from_second(calls.begun.as_second() - EARLIER_FOR).unwrap();
        let up = [1, 2].map(|call| since(&calls, call, 5, CallStatus::Answered));
        calls.reconcile(&up, true);
        calls.reconcile(&up, true);
        assert_eq!(calls.of(organization), 1);
        assert!(calls.lock().calls.contains_key(&CallId(Uuid::from_u128(2))));
    }

    #[test]
    fn numbers_and_trunks_are_counted_too_also_of_calls_that_an_earlier_process_let_in() {
        let (calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        let (number, trunk) = (NumberId(Uuid::from_u128(7)), ProviderId(Uuid::from_u128(8)));
        let way = Way { number: Some(number), trunk: Some(trunk) };
        calls.begin(CallId(Uuid::from_u128(1)), organization, way);
        // Its answer is seen first, the store's row tells the rest.
        calls.saw(&fact(2, FactKind::Answered(None)));
        assert_eq!((calls.of(organization), calls.of_number(number), calls.of_trunk(trunk)), (2, 1, 1));
        let mut earlier = open(2);
        (earlier.call.number_id, earlier.call.provider_id) = (Some(number), Some(trunk));
        calls.reconcile(&[earlier.clone()], false);
        calls.reconcile(&[earlier], false);
        assert_eq!((calls.of(organization), calls.of_number(number), calls.of_trunk(trunk)), (2, 2, 2));
        for call in [1, 2, 2] {
            calls.saw(&fact(call, FactKind::Ended(Ended { by: EndedBy::Caller, reason: None })));
        }
        let state = calls.lock();
        assert!(state.counts.is_empty() && state.numbers.is_empty() && state.trunks.is_empty());
    }
}
