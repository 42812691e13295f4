//! What calls in progress hold of their organization's balance: so much a call is let in for, and cannot be spent twice.
//!
//! A call that is let in holds what it may cost before anybody looks at it again ([`Price::held`]); once answered, what it has
//! cost and as much ahead of it. Each is told in time that does not depend on how many calls there are: a sum for each
//! organization that grows by the second. A hold is the call's own, and goes with it: at its end, seen here or in the store.
//! Nothing of it is stored, so a crash leaves none behind; the next process has those of the calls that the store knows to be up.

use domain::call::{CallStatus, FactKind};
use domain::ids::{CallId, OrganizationId};
use domain::{Fact, Micros, Price, Timestamp};
use hashbrown::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::OpenCall;

use crate::clock;

/// A call younger than this may not be in the store yet.
const YOUNG: Duration = Duration::from_mins(1);
/// A rate per minute times microseconds: this much of it is a micro-unit.
const MINUTE_US: i128 = 60_000_000;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Holds {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    organization: OrganizationId,
    price: Price,
    since: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It rang in a process that is gone: it holds nothing unless it is answered.
    Lost,
    Ringing,
    Answered(Timestamp),
}

/// The holds of one organization: `fixed`, and what grows by the time since answers.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: u32,
    fixed: i128,
    rate: i128,
    /// Rates times the times of answers.
    rate_at: i128,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<CallId, Held>,
    sums: HashMap<OrganizationId, Sum>,
}

impl Held {
    fn add(&self, sum: &mut Sum, sign: i128) {
        let rate = i128::from(self.price.per_minute.0.max(0));
        if self.phase != Phase::Lost {
            sum.fixed += sign * i128::from(self.price.held().0);
        }
        if let Phase::Answered(at) = self.phase {
            sum.rate += sign * rate;
            sum.rate_at += sign * rate * i128::from(at.as_microsecond());
        }
    }
}

impl State {
    fn put(&mut self, call: CallId, held: Held) {
        self.take(call);
        let sum = self.sums.entry(held.organization).or_default();
        sum.calls += 1;
        held.add(sum, 1);
        self.calls.insert(call, held);
    }

    fn take(&mut self, call: CallId) -> Option<Held> {
        let held = self.calls.remove(&call)?;
        if let Some(sum) = self.sums.get_mut(&held.organization) {
            sum.calls = sum.calls.saturating_sub(1);
            held.add(sum, -1);
            if sum.calls == 0 {
                self.sums.remove(&held.organization);
            }
        }
        Some(held)
    }
}

impl Holds {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was let in.
    pub(super) fn begin(&self, call: CallId, organization: OrganizationId, price: Price) {
        if price.is_free() {
            return;
        }
        let held = Held { organization, price, since: clock::instant(), phase: Phase::Ringing };
        self.lock().put(call, held);
    }

    /// A fact is about to be written.
    pub(super) fn saw(&self, fact: &Fact) {
        match fact.kind {
            FactKind::Ended(_) | FactKind::Unanswered(_) => {
                self.lock().take(fact.call_id);
            }
            FactKind::Answered(_) => {
                let mut state = self.lock();
                if let Some(held) = state.calls.get(&fact.call_id).copied()
                    && !matches!(held.phase, Phase::Answered(_))
                {
                    state.put(fact.call_id, Held { phase: Phase::Answered(fact.at.wall), ..held });
                }
            }
            FactKind::Started(_)
            | FactKind::Attempt(_)
            | FactKind::Step(..)
            | FactKind::Refreshed(_)
            | FactKind::Origin(_)
            | FactKind::Leg(_)
            | FactKind::Note(_) => {}
        }
    }

    /// What calls of an organization hold.
    pub(super) fn of(&self, organization: OrganizationId, now: Timestamp) -> Micros {
        let Some(sum) = self.lock().sums.get(&organization).copied() else { return Micros::ZERO };
        let grown = (sum.rate * i128::from(now.as_microsecond()) - sum.rate_at).max(0) / MINUTE_US;
        Micros(i64::try_from(sum.fixed + grown).unwrap_or(i64::MAX))
    }

    /// How many calls hold something.
    pub(super) fn calls(&self) -> usize {
        self.lock().calls.len()
    }

    /// The calls that the store knows to be open; `all` says that there are no others. `begun` is when this process began.
    pub(super) fn reconcile(&self, calls: &[OpenCall], all: bool, begun: Timestamp) {
        let now = clock::instant();
        let up = || calls.iter().map(|open| &open.call).filter(|call| call.ended_at.is_none());
        let open: HashSet<CallId> = up().map(|call| call.id).collect();
        let mut state = self.lock();
        let over = |id: &CallId, one: &Held| {
            all && !open.contains(id) && now.saturating_duration_since(one.since) >= YOUNG
        };
        let over: Vec<CallId> =
            state.calls.iter().filter(|(id, one)| over(id, one)).map(|(id, _)| *id).collect();
        for call in over {
            state.take(call);
        }
        for call in up().filter(|call| !call.price.is_free() && call.organization_id != OrganizationId::NONE)
        {
            if state.calls.contains_key(&call.id) {
                continue;
            }
            let phase = match (call.status, call.answered_at) {
                (CallStatus::Answered, Some(at)) => Phase::Answered(at),
                _ if call.started_at < begun => Phase::Lost,
                _ => Phase::Ringing,
            };
            // Not young: where its end is seen meanwhile, the next look takes it out.
            let since = now.checked_sub(YOUNG).unwrap_or(now);
            let held = Held { organization: call.organization_id, price: call.price, since, phase };
            state.put(call.id, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::{Ended, EndedBy};
    use proptest::prelude::*;
    use uuid::Uuid;

    const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(9));

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn fact(call: u128, second: i64, kind: FactKind) -> Fact {
        let at = domain::call::Moment { wall: at(second), ..clock::moment() };
        Fact { organization_id: OWNER, call_id: CallId(Uuid::from_u128(call)), at, kind }
    }

    fn ended() -> FactKind {
        FactKind::Ended(Ended { by: EndedBy::Caller, reason: None })
    }

    fn price() -> Price {
        Price { minimum_seconds: 30, increment_seconds: 6, setup: Micros(5), ..Price::by_minute(Micros(60)) }
    }

    #[test]
    fn a_call_holds_more_the_longer_it_lasts_and_nothing_after_its_end() {
        let holds = Holds::default();
        let id = CallId(Uuid::from_u128(1));
        holds.begin(id, OWNER, price());
        assert_eq!(holds.of(OWNER, at(999)), Micros(35), "one that rings holds its minimum and its fee");
        holds.saw(&fact(1, 0, FactKind::Answered(None)));
        holds.saw(&fact(1, 50, FactKind::Answered(None)));
        assert_eq!(holds.of(OWNER, at(0)), Micros(35));
        assert_eq!(holds.of(OWNER, at(100)), Micros(135));
        assert_eq!(holds.of(OWNER, at(-5)), Micros(35), "a clock that was set back gives nothing free");
        holds.begin(CallId(Uuid::from_u128(2)), OWNER, Price::FREE);
        assert_eq!(holds.calls(), 1);
        holds.saw(&fact(1, 101, ended()));
        holds.saw(&fact(1, 102, ended()));
        assert_eq!((holds.of(OWNER, at(102)), holds.calls()), (Micros::ZERO, 0));
        assert!(holds.lock().sums.is_empty());
    }

    fn open(call: u128, status: CallStatus, second: i64) -> OpenCall {
        let fact = fact(call, second, FactKind::Answered(None));
        let mut call = domain::Call::fold(std::slice::from_ref(&fact)).unwrap();
        (call.status, call.price) = (status, price());
        call.answered_at = call.answered_at.filter(|_| status == CallStatus::Answered);
        OpenCall { call, last: fact.at }
    }

    #[test]
    fn after_a_crash_what_is_up_holds_and_what_rang_does_when_it_is_answered() {
        let holds = Holds::default();
        let up = [open(1, CallStatus::Answered, 0), open(2, CallStatus::Ringing, 0)];
        holds.reconcile(&up, true, at(60));
        holds.reconcile(&up, true, at(60));
        assert_eq!((holds.of(OWNER, at(60)), holds.calls()), (Micros(95), 2));
        holds.saw(&fact(2, 60, FactKind::Answered(None)));
        assert_eq!(holds.of(OWNER, at(60)), Micros(130));
        // Another node's, that rings now.
        holds.reconcile(&[up[0].clone(), up[1].clone(), open(3, CallStatus::Ringing, 61)], true, at(60));
        assert_eq!(holds.of(OWNER, at(60)), Micros(165));
        // Ended elsewhere: the store has them no longer.
        holds.reconcile(&[], false, at(60));
        assert_eq!(holds.calls(), 3);
        holds.reconcile(&[], true, at(60));
        assert_eq!((holds.of(OWNER, at(60)), holds.calls()), (Micros::ZERO, 0));
    }

    proptest! {
        /// Whatever happens to calls in whatever order, what is held covers what they have cost.
        #[test]
        fn holds_cover_costs(
            steps in prop::collection::vec((0_u128..4, 0_u8..3, 0_i64..200), 1..40),
            minimum in 0_u32..90, step in 1_u32..90, rate in 1_i64..1_000,
        ) {
            let price = Price { minimum_seconds: minimum, increment_seconds: step, ..Price::by_minute(Micros(rate)) };
            let holds = Holds::default();
            let mut model: HashMap<u128, Option<i64>> = HashMap::new();
            for (call, what, second) in steps {
                match what {
                    0 => {
                        if !model.contains_key(&call) {
                            holds.begin(CallId(Uuid::from_u128(call)), OWNER, price);
                            model.insert(call, None);
                        }
                    }
                    1 => {
                        holds.saw(&fact(call, second, FactKind::Answered(None)));
                        if let Some(answered) = model.get_mut(&call) {
                            answered.get_or_insert(second);
                        }
                    }
                    _ => {
                        holds.saw(&fact(call, second, ended()));
                        model.remove(&call);
                    }
                }
                let now = 200;
                let costs: i64 = model.values().flatten().map(|from| price.charge((now - from).unsigned_abs()).0).sum();
                // Sums are rounded once, costs once a call.
                let held = holds.of(OWNER, at(now)).0 + 4;
                prop_assert!(held >= costs, "{held} < {costs}");
                prop_assert!(model.len() == holds.calls());
            }
        }
    }
}
