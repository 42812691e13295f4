//! Ends calls that have lasted as long as they may, or whose organization's balance is used up. The rule is
//! [`domain::call_end`]; calls in progress are known from memory, and only what is to be ended is read from the store.
//!
//! Looks each second and whenever the clock is moved, by the wall clock: a process that was started during the call finds the
//! same. What a call costs until then is counted against the balance without being posted: the ledger has it at its end.

use domain::call::{CallStatus, EndedBy, FactKind};
use domain::ids::{CallId, OrganizationId};
use domain::{Call, CallEnd, Fact, Micros, Timestamp};
use hashbrown::HashMap;
use metrics::Counter;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

use super::Tally;
use super::tally::Running;
use crate::clock;
use crate::edge::{Control, Stranded};
use crate::live::{Bounds, Live};

/// How long a BYE is repeated (64·T1, RFC 3261 section 17.1.2.2): what an earlier process began longer ago is done with.
const REPEATED_FOR: Duration = Duration::from_secs(32);

/// A call that an earlier process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unheard {
    organization: OrganizationId,
    id: CallId,
    why: CallEnd,
}

impl Unheard {
    /// Reads a fact that an earlier process left in the journal.
    pub(super) fn read(fact: &Fact, now: Timestamp) -> Option<Self> {
        let FactKind::Ended(ended) = &fact.kind else { return None };
        let age = now.as_microsecond().saturating_sub(fact.at.wall.as_microsecond());
        let young = u128::try_from(age).is_ok_and(|age| age < REPEATED_FOR.as_micros());
        // Who hung up has heard of it; the other side may not have: its BYE was on its way when the process died.
        let why = match ended.by {
            EndedBy::Caller | EndedBy::Callee => Some(CallEnd::Api),
            by => CallEnd::of(by),
        };
        let why = why.filter(|_| young)?;
        Some(Self { organization: fact.organization_id, id: fact.call_id, why })
    }
}

/// Open calls looked at when a process begins.
const OPEN_MAX: u32 = 10_000;
/// The time between two calls of an earlier process whose sides are asked whether they are there.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// How often, and how long between, the record of a call is looked for whose message came.
const STRAND_TRIES: u32 = 40;
const STRAND_LOOK: Duration = Duration::from_millis(50);

/// How often calls in progress are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while one is about to be over: well within the half second by which a duration is rounded.
const LOOK_NEAR: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Ends {
    pub(super) store: Store,
    pub(super) live: Arc<Live>,
    pub(super) tally: Arc<Tally>,
    pub(super) control: Control,
    /// Calls that an earlier process ended shortly before it died: their sides may not have heard of it.
    pub(super) unheard: Vec<Unheard>,
    /// Calls that were ended, by cause.
    pub(super) stopped: [Counter; CallEnd::ALL.len()],
    /// When this process began: calls that began before are an earlier one's.
    pub(super) begun: Timestamp,
}

/// Ends a task with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ends {
    pub(super) async fn run(mut self) {
        let unheard = std::mem::take(&mut self.unheard);
        let this = Arc::new(self);
        let again = Arc::clone(&this);
        let ended = move || {
            again.end_again(unheard);
            again.abandon()
        };
        let strands = Arc::clone(&this).strands();
        let _strands = AbortOnDrop(tokio::spawn(strands));
        let up = tokio::task::spawn_blocking(ended).await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "calls that were ended are not ended again");
            Vec::new()
        });
        this.control.adopted();
        let _probes = AbortOnDrop(tokio::spawn(Arc::clone(&this).probe(up)));
        let mut sleeper = clock::Sleeper::new();
        loop {
            let (running, now) = (this.tally.running(), clock::now());
            let due = due(&running, now, |id| this.live.bounds(id));
            let pause = pause(&running, now, |id| this.live.bounds(id));
            if !due.is_empty() {
                let ending = Arc::clone(&this);
                if let Err(error) = tokio::task::spawn_blocking(move || ending.end(due)).await {
                    tracing::error!(error = %error, "calls that are over were not ended");
                }
            }
            sleeper.sleep(pause).await;
        }
    }

    /// Sends the BYEs again: a side that heard them answers 481, and the record keeps its first end.
    fn end_again(&self, unheard: Vec<Unheard>) {
        for Unheard { organization, id, why } in unheard {
            match self.store.call_get(organization, id) {
                Ok(Some(call)) => {
                    let sent = self.control.hang_up(&call, why);
                    tracing::info!(call.id = %id, sent, "the end of a call is told again");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(error = %error, "a call's record cannot be read"),
            }
        }
    }

    /// Calls that an earlier process was placing: nobody else knows of them. What they left is ended. Gives those that are up.
    fn abandon(&self) -> Vec<Call> {
        let open = match self.store.calls_open(OPEN_MAX) {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(error = %error, "calls that were being placed cannot be read");
                return Vec::new();
            }
        };
        let mut up = Vec::new();
        for call in open.into_iter().map(|open| open.call) {
            let rings = call.status == CallStatus::Ringing && call.ended_at.is_none();
            if rings && call.origin.is_some() && call.started_at < self.begun {
                self.control.abandon(&call);
                tracing::info!(call.id = %call.id, "a call that an earlier process was placing is given up");
            } else if call.status == CallStatus::Answered
                && call.origin.is_some()
                && call.started_at < self.begun
            {
                // at once: its sides may be repeating what the earlier process did not answer any more
                self.control.adopt(&call);
                up.push(call);
            }
        }
        up
    }

    /// Whether the sides of calls that an earlier process placed are still there: they are dialogs of our own, so that they can be
    /// asked. One after the other, in no hurry.
    async fn probe(self: Arc<Self>, calls: Vec<Call>) {
        for call in calls {
            self.live.asking(call.id, || self.control.probe(&call));
            clock::sleep(PROBE_EVERY).await;
        }
    }

    /// Messages of calls that an earlier process placed: their calls come back from their records.
    async fn strands(self: Arc<Self>) {
        let Some(mut stranded) = self.control.stranded() else { return };
        while let Some(message) = stranded.recv().await {
            let this = Arc::clone(&self);
            tokio::task::spawn(async move { this.strand(message).await });
        }
    }

    async fn strand(&self, message: Stranded) {
        for _ in 0..STRAND_TRIES {
            match self.store.call_get(message.organization, message.call) {
                Ok(Some(call)) if call.status == CallStatus::Answered => {
                    if self.control.adopt(&call) {
                        return self.control.again(&message);
                    }
                    break;
                }
                Ok(Some(call)) if call.status.is_final() => break,
                // what was seen within the moment is on its way to the store
                Ok(_) => {}
                Err(error) => tracing::debug!(error = %error, "a call's record cannot be read"),
            }
            clock::sleep(STRAND_LOOK).await;
        }
        self.control.refuse(&message);
    }

    fn end(&self, due: Vec<(Running, CallEnd)>) {
        for (Running { id, organization, .. }, why) in due {
            let call = match self.store.call_get(organization, id) {
                // Its answer is on its way to the store, or its end is: the next look tells.
                Ok(call) => call.filter(|call| call.status == CallStatus::Answered),
                Err(error) => {
                    tracing::warn!(error = %error, "a call that is over cannot be ended: its record cannot be read");
                    return;
                }
            };
            let Some(call) = call else { continue };
            if self.control.hang_up(&call, why) {
                self.stopped[why.place()].increment(1);
                tracing::info!(call.id = %id, by = why.ended_by().as_str(), "call ended");
            } else {
                self.tally.stuck(id);
                tracing::warn!(call.id = %id, "a call that is over cannot be ended: its record tells neither side's place");
            }
        }
    }
}

/// How long nothing can come due.
fn pause(calls: &[Running], now: Timestamp, bounds: impl Fn(OrganizationId) -> Bounds) -> Duration {
    let next = now.checked_add(LOOK_EVERY + LOOK_NEAR).unwrap_or(now);
    if due(calls, next, bounds).is_empty() { LOOK_EVERY } else { LOOK_NEAR }
}

/// The calls that are to be ended now.
fn due(
    calls: &[Running],
    now: Timestamp,
    bounds: impl Fn(OrganizationId) -> Bounds,
) -> Vec<(Running, CallEnd)> {
    let mut known: HashMap<OrganizationId, (Bounds, Micros)> = HashMap::new();
    for Running { organization, call, .. } in calls {
        let (_, spent) = known.entry(*organization).or_insert_with(|| (bounds(*organization), Micros::ZERO));
        *spent = Micros(spent.0.saturating_add(call.cost(now).0));
    }
    let end = |running: &Running| {
        let (Bounds { max_call_seconds, balance }, spent) = *known.get(&running.organization)?;
        let why = running.call.end(max_call_seconds, (balance, spent), now)?;
        Some((*running, why))
    };
    calls.iter().filter_map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call_end::InProgress;
    use uuid::Uuid;

    #[test]
    fn only_fresh_ends_are_told_again() {
        use domain::call::{Ended, Moment};
        let at = |seconds: i64| Timestamp::from_second(1_000 + seconds).unwrap();
        let fact = |by| Fact {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            call_id: CallId(Uuid::from_u128(2)),
            at: Moment { wall: at(0), process: 1, monotonic_us: 0 },
            kind: FactKind::Ended(Ended { by, reason: None }),
        };
        let read = |by, seconds| Unheard::read(&fact(by), at(seconds)).map(|unheard| unheard.why);
        assert_eq!(read(EndedBy::Api, 31), Some(CallEnd::Api));
        assert_eq!(read(EndedBy::Balance, 0), Some(CallEnd::Balance));
        assert_eq!(read(EndedBy::Caller, 31), Some(CallEnd::Api), "the other side may not have heard of it");
        assert_eq!(
            (read(EndedBy::Api, 32), read(EndedBy::Reaper, 0), read(EndedBy::Api, -1)),
            (None, None, None)
        );
    }

    #[test]
    fn calls_of_one_organization_share_its_balance_and_no_other() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let running = |id: u128, organization: u128, rate| Running {
            id: CallId(Uuid::from_u128(id)),
            organization: OrganizationId(Uuid::from_u128(organization)),
            call: InProgress {
                answered_at: at(0),
                price: domain::Price::by_minute(Micros(rate)),
                max_seconds: None,
            },
        };
        let calls = [running(1, 1, 60), running(2, 1, 60), running(3, 1, 0), running(4, 2, 60)];
        let ended = |seconds, max| {
            let bounds = |_| Bounds { max_call_seconds: max, balance: Micros(100) };
            let due = due(&calls, at(seconds), bounds);
            due.iter().map(|(running, why)| (running.id.0.as_u128(), *why)).collect::<Vec<_>>()
        };
        assert_eq!(ended(50, 600), [], "what is there may be spent");
        let pause =
            |seconds| pause(&calls, at(seconds), |_| Bounds { max_call_seconds: 600, balance: Micros(100) });
        assert_eq!(
            (pause(10), pause(50)),
            (LOOK_EVERY, LOOK_NEAR),
            "what is about to be over is looked at often"
        );
        assert_eq!(ended(51, 600), [(1, CallEnd::Balance), (2, CallEnd::Balance)]);
        assert_eq!(ended(101, 600).len(), 3, "a call that costs nothing goes on");
        assert_eq!(ended(600, 600).len(), 4);
        assert!(ended(600, 600).iter().all(|(_, why)| *why == CallEnd::MaxDuration));
    }
}
