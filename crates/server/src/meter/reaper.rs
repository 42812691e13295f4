//! Closes calls whose end nobody saw: at the last moment they were known to live, never later, so that nobody pays for
//! silence. Its facts go the way of all others, and the first end of a call stands: several nodes may reap one call.

use domain::call::{CallStatus, Ended, EndedBy, FactKind, Note, Unanswered};
use domain::{Fact, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use store::{OpenCall, Store};

use super::Tally;
use crate::clock;
use crate::journal::Journal;
use crate::live::Live;

/// How often open calls are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often it is asked whether another process has written to the store: its calls hold money and count, too.
const ELSEWHERE_EVERY: Duration = Duration::from_secs(1);
/// How young those are that are then looked at, in seconds: facts are in the store some two seconds after they are told.
const YOUNG: i64 = 10;
/// Calls looked at in one go.
const CALLS_MAX: u32 = 10_000;
/// A call that rings longer has lost its process: the edge's own bound on setup is two minutes.
const RINGING_MAX: i64 = 300;
/// The answer of a call whose end was seen is waited for so long: another node's journal may have it.
const UNPROVEN_AFTER: i64 = 600;
/// An answered call may be this much longer than its organization allows before it is closed.
const MARGIN: i64 = 120;
/// How long after its session a call is still taken for one whose BYE is on its way (64·T1; RFC 4028 section 10 has the sides
/// hang up shortly before).
const SESSION_MARGIN: i64 = 32;
/// The longest call of an organization that is not known.
const CALL_MAX: u32 = 14_400;

#[derive(Debug)]
pub(super) struct Reaper {
    pub(super) store: Store,
    pub(super) live: Arc<Live>,
    pub(super) journal: Arc<Journal>,
    pub(super) tally: Arc<Tally>,
}

impl Reaper {
    pub(super) async fn run(self) {
        let this = Arc::new(self);
        let mut sleeper = clock::Sleeper::new();
        loop {
            let looking = Arc::clone(&this);
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look()).await {
                tracing::error!(error = %error, "open calls were not looked at");
            }
            let next = clock::instant() + LOOK_EVERY;
            let mut moved = false;
            while clock::instant() < next && !moved {
                moved = sleeper.sleep(ELSEWHERE_EVERY).await;
                if this.store.written_elsewhere().await {
                    let looking = Arc::clone(&this);
                    if let Err(error) = tokio::task::spawn_blocking(move || looking.look_at_young()).await {
                        tracing::error!(error = %error, "another process's calls were not looked at");
                    }
                }
            }
        }
    }

    /// Takes calls in that another process has let in: until then the two may let in calls for the same money.
    fn look_at_young(&self) {
        let since = clock::now().as_second().saturating_sub(YOUNG);
        let since = Timestamp::from_second(since).unwrap_or(Timestamp::UNIX_EPOCH);
        match self.store.calls_open_since(since, CALLS_MAX) {
            Ok(open) => {
                self.tally.reconcile(&open, false);
                self.live.reconcile_calls(&open, false);
            }
            Err(error) => tracing::debug!(error = %error, "open calls cannot be read"),
        }
    }

    fn look(&self) {
        let open = match self.store.calls_open(CALLS_MAX) {
            Ok(open) => open,
            Err(error) => {
                tracing::debug!(error = %error, "open calls cannot be read");
                return;
            }
        };
        let all = open.len() < CALLS_MAX as usize;
        self.tally.reconcile(&open, all);
        self.live.reconcile_calls(&open, all);
        let now = clock::now();
        let longest =
            |open: &OpenCall| self.live.max_call_seconds(open.call.organization_id).unwrap_or(CALL_MAX);
        let mut facts: Vec<_> = open.iter().filter_map(|open| close(open, now, longest(open))).collect();
        if !facts.is_empty() {
            tracing::info!(calls = facts.len(), "calls closed whose end nobody saw");
            for fact in &facts {
                self.tally.saw(fact);
                self.live.saw(fact);
            }
            self.journal.append(&mut facts);
        }
    }
}

/// The fact that closes an open call, if it is time.
fn close(open: &OpenCall, now: Timestamp, call_max: u32) -> Option<Fact> {
    let call = &open.call;
    let age = |since: Timestamp| now.as_second().saturating_sub(since.as_second());
    let session = call.dialog.as_ref().and_then(|dialog| dialog.session_expires).map(i64::from);
    let expired = session.is_some_and(|session| age(open.last.wall) > session + SESSION_MARGIN);
    let ended =
        |reason: &str| FactKind::Ended(Ended { by: EndedBy::Reaper, reason: Some(reason.to_owned()) });
    let kind = match (call.status, call.answered_at) {
        (CallStatus::Answered, Some(answered)) if age(answered) > i64::from(call_max) + MARGIN => {
            ended("Nobody was seen ending the call: it is closed at its last proof of life.")
        }
        (CallStatus::Answered, Some(_)) if expired => {
            ended("Its session was not refreshed in time: the call is closed at its last proof of life.")
        }
        // Its end is known, its answer is not, and no node has told of it for as long as any spool may wait.
        (CallStatus::Answered, None) if call.ended_at.is_some_and(|ended| age(ended) > UNPROVEN_AFTER) => {
            FactKind::Note(Note::Unproven)
        }
        (CallStatus::Ringing, _) if age(call.started_at) > RINGING_MAX => {
            let reason = "The call was still being set up when its process ended.".to_owned();
            FactKind::Unanswered(Unanswered {
                sip_status: 408,
                status: CallStatus::NoAnswer,
                reason,
                by: None,
            })
        }
        _ => return None,
    };
    Some(Fact { organization_id: call.organization_id, call_id: call.id, at: open.last, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{CallId, OrganizationId};
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn open(kinds: &[(i64, FactKind)]) -> OpenCall {
        let facts: Vec<Fact> = kinds
            .iter()
            .map(|(second, kind)| Fact {
                organization_id: OrganizationId(Uuid::from_u128(1)),
                call_id: CallId(Uuid::from_u128(2)),
                at: domain::call::Moment { wall: at(*second), process: 1, monotonic_us: 0 },
                kind: kind.clone(),
            })
            .collect();
        OpenCall { call: domain::Call::fold(&facts).unwrap(), last: facts.last().unwrap().at }
    }

    #[test]
    fn an_end_without_an_answer_is_given_up_after_ten_minutes() {
        let ended = open(&[(9, FactKind::Ended(Ended { by: EndedBy::Caller, reason: None }))]);
        let close = |second| close(&ended, at(second), 60).map(|fact| fact.kind);
        assert_eq!(close(9 + 600), None);
        assert_eq!(close(9 + 601), Some(FactKind::Note(Note::Unproven)));
    }

    #[test]
    fn a_session_that_nobody_refreshed_ends_at_its_last_proof_of_life() {
        let closed = |session, renewals: &[(i64, Option<u32>)], now| {
            let dialog = domain::call::DialogParts { session_expires: session, ..Default::default() };
            let mut kinds = vec![(0, FactKind::Answered(Some(Box::new(dialog))))];
            kinds.extend(renewals.iter().map(|(second, seconds)| (*second, FactKind::Refreshed(*seconds))));
            kinds.sort_by_key(|(second, _)| *second);
            close(&open(&kinds), at(now), 14_400).map(|fact| fact.at.wall.as_second() - at(0).as_second())
        };
        for (session, renewals, now, wanted) in [
            (Some(1800), &[][..], 1832, None),
            (Some(1800), &[], 1833, Some(0)),
            (Some(1800), &[(900, Some(1800))], 2732, None),
            (Some(1800), &[(900, Some(1800))], 2733, Some(900)),
            (Some(1800), &[(900, Some(90))], 1023, Some(900)),
            // a refresh without an interval takes the timer away
            (Some(1800), &[(900, None)], 14_000, None),
            (None, &[(900, Some(600))], 1533, Some(900)),
            // one before the answer is part of the answer
            (None, &[(-5, Some(600))], 14_000, None),
            (None, &[], 14_520, None),
            (None, &[], 14_521, Some(0)),
        ] {
            assert_eq!(closed(session, renewals, now), wanted, "{session:?} {renewals:?} {now}");
        }
    }

    #[test]
    fn calls_that_nobody_ends_are_closed_at_their_last_proof_of_life() {
        let up = open(&[(5, FactKind::Answered(None)), (40, FactKind::Step(domain::call::Side::Caller, 12))]);
        assert_eq!(close(&up, at(5 + 180), 60), None);
        let closed = close(&up, at(5 + 181), 60).unwrap();
        assert_eq!(closed.at.wall, at(40));
        assert!(matches!(closed.kind, FactKind::Ended(Ended { by: EndedBy::Reaper, .. })));
    }
}
