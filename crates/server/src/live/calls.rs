//! Which calls are in progress, by organization: what a limit on calls at a time is held against. A cache: the records are in the
//! store.
//!
//! A call counts from the decision that lets it in until the fact that ends it, so one that rings counts. Both happen under the
//! edge's lock or behind it, one call after the other: of two calls that come at once, the second finds the first one counted.
//! What an earlier process let in is counted once the store's open calls are looked at, right after the start; a call whose end is
//! never seen counts until it is closed.

use domain::Fact;
use domain::call::FactKind;
use domain::ids::{CallId, OrganizationId};
use hashbrown::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::OpenCall;

use crate::clock;

/// A call younger than this may not be in the store yet.
const YOUNG: Duration = Duration::from_mins(1);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<CallId, (OrganizationId, Instant)>,
    counts: HashMap<OrganizationId, u32>,
}

impl State {
    fn begin(&mut self, call: CallId, organization: OrganizationId, at: Instant) {
        if self.calls.insert(call, (organization, at)).is_none() {
            *self.counts.entry(organization).or_insert(0) += 1;
        }
    }

    fn end(&mut self, call: CallId) {
        let Some((organization, _)) = self.calls.remove(&call) else { return };
        if let Some(count) = self.counts.get_mut(&organization) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&organization);
            }
        }
    }
}

impl Calls {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was let in.
    pub(super) fn begin(&self, call: CallId, organization: OrganizationId) {
        self.lock().begin(call, organization, clock::instant());
    }

    /// A fact is about to be written.
    pub(super) fn saw(&self, fact: &Fact) {
        if matches!(fact.kind, FactKind::Ended(_) | FactKind::Unanswered(_)) {
            self.lock().end(fact.call_id);
        }
    }

    /// How many calls of an organization are in progress.
    pub(super) fn of(&self, organization: OrganizationId) -> u32 {
        self.lock().counts.get(&organization).copied().unwrap_or(0)
    }

    /// The calls that the store knows to be open; `all` says that there are no others. Those are counted that another process
    /// let in; those no longer whose end another process saw.
    pub(super) fn reconcile(&self, calls: &[OpenCall], all: bool) {
        let now = clock::instant();
        let open: HashSet<CallId> = calls.iter().map(|open| open.call.id).collect();
        let mut state = self.lock();
        let old = |at: Instant| all && now.saturating_duration_since(at) >= YOUNG;
        let over = state.calls.iter().filter(|(id, (_, at))| !open.contains(*id) && old(*at));
        let over: Vec<CallId> = over.map(|(id, _)| *id).collect();
        for call in over {
            state.end(call);
        }
        for call in calls.iter().map(|open| &open.call) {
            if call.organization_id != OrganizationId::NONE && !state.calls.contains_key(&call.id) {
                // Not young: where its end is seen meanwhile, the next look takes it out.
                let at = now.checked_sub(YOUNG).unwrap_or(now);
                state.begin(call.id, call.organization_id, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::{CallStatus, Ended, EndedBy, Unanswered};
    use uuid::Uuid;

    fn fact(call: u128, kind: FactKind) -> Fact {
        let call_id = CallId(Uuid::from_u128(call));
        Fact { organization_id: OrganizationId(Uuid::from_u128(9)), call_id, at: clock::moment(), kind }
    }

    fn open(call: u128) -> OpenCall {
        let fact = fact(call, FactKind::Answered(None));
        let call = domain::Call::fold(std::slice::from_ref(&fact)).unwrap();
        OpenCall { call, rate_per_minute: domain::Micros::ZERO, last: fact.at }
    }

    #[test]
    fn a_call_counts_once_until_its_end() {
        let (calls, organization) = (Calls::default(), OrganizationId(Uuid::from_u128(9)));
        let [one, two] = [1, 2].map(|n| CallId(Uuid::from_u128(n)));
        calls.begin(one, organization);
        calls.begin(one, organization);
        calls.begin(two, organization);
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
        calls.begin(CallId(Uuid::from_u128(1)), organization);
        calls.reconcile(&[open(2), open(3)], true);
        assert_eq!(calls.of(organization), 3, "a young one need not be in the store");
        calls.reconcile(&[open(3)], false);
        assert_eq!(calls.of(organization), 3);
        calls.reconcile(&[open(3)], true);
        assert_eq!(calls.of(organization), 2);
    }
}
