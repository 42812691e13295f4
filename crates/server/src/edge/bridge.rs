//! Calls that we place: the shell around [`sip::Bridges`]. One lock of its own beside the edges'; what comes out goes the same
//! way, facts to the journal before the sends behind them. Messages are told apart by [`sip::Bridges::owns`]. What is placed, and
//! what is taken over from an earlier process: `place`.

use domain::CallEnd;
use domain::ids::{CallId, NumberId, OrganizationId};
use sip::{Bridges, Fault, Flow, Output, SendId};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, mpsc};

use super::wire::{TICK, Wire, Work};
use super::{control, facts};
use crate::clock;

/// Messages of calls that are not in memory, waiting for their records.
const STRANDED_MAX: usize = 1_024;

/// A message of a call that an earlier process placed.
#[derive(Debug)]
pub(crate) struct Stranded {
    pub(crate) organization: OrganizationId,
    pub(crate) call: CallId,
    pub(super) flow: Flow,
    pub(super) bytes: Vec<u8>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct BridgeDesk {
    bridges: Mutex<Bridges>,
    /// Held while what the bridges said is written and sent: what they said first leaves first.
    way_out: Mutex<()>,
    /// Calls that are on record and wait for the names of their targets. Who takes one out has its end, or its way, to tell.
    waiting: Mutex<HashSet<uuid::Uuid>>,
    armed: Notify,
    pub(super) draining: AtomicBool,
    strand: mpsc::Sender<Stranded>,
    stranded: Mutex<Option<mpsc::Receiver<Stranded>>>,
}

impl BridgeDesk {
    pub(super) fn new(config: sip::Config) -> Self {
        let (strand, stranded) = mpsc::channel(STRANDED_MAX);
        let mut bridges = Bridges::new(config);
        bridges.hold(true);
        Self {
            bridges: Mutex::new(bridges),
            way_out: Mutex::default(),
            waiting: Mutex::default(),
            armed: Notify::new(),
            draining: AtomicBool::new(false),
            strand,
            stranded: Mutex::new(Some(stranded)),
        }
    }

    pub(super) fn owns(bytes: &[u8]) -> bool {
        Bridges::owns(bytes)
    }

    // What is half done to one call when a panic comes is that call's loss; the others are whole.
    fn lock(&self) -> MutexGuard<'_, Bridges> {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<uuid::Uuid>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call is on record.
    pub(super) fn wait(&self, call: uuid::Uuid) {
        self.waiting().insert(call);
    }

    /// Takes a call out that waits; false where it does not any more.
    pub(super) fn waited(&self, call: uuid::Uuid) -> bool {
        self.waiting().remove(&call)
    }

    /// From now on no call is placed.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn settled(&self) -> bool {
        self.lock().settled()
    }

    pub(super) fn message(&self, wire: &Arc<Wire>, flow: Flow, bytes: &[u8]) {
        self.act(wire, |bridges, now| bridges.handle(now, flow, bytes));
    }

    pub(super) fn fault(&self, wire: &Arc<Wire>, send: SendId, why: Fault) {
        self.act(wire, |bridges, now| bridges.fault(now, send, why));
    }

    /// Ends a call that is here.
    pub(super) fn stop(&self, wire: &Arc<Wire>, call: uuid::Uuid, why: CallEnd) -> bool {
        let mark = control::mark(why);
        self.act(wire, |bridges, now| bridges.stop(now, call, mark, why.reason_header()))
    }

    /// Messages of calls that are not in memory; whoever asks first has them.
    pub(super) fn stranded(&self) -> Option<mpsc::Receiver<Stranded>> {
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One turn: work under the lock, then its outputs in their order.
    pub(super) fn act<T>(&self, wire: &Arc<Wire>, act: impl FnOnce(&mut Bridges, Instant) -> T) -> T {
        let mut work = Work::default();
        let mut bridges = self.lock();
        let now = clock::instant();
        let done = act(&mut bridges, now);
        self.collect(wire, &mut bridges, now, &mut work);
        self.perform(wire, bridges, &mut work);
        while !work.faults.is_empty() {
            let mut bridges = self.lock();
            let now = clock::instant();
            for (send, why) in std::mem::take(&mut work.faults) {
                bridges.fault(now, send, why);
            }
            self.collect(wire, &mut bridges, now, &mut work);
            self.perform(wire, bridges, &mut work);
        }
        done
    }

    /// Gives the bridges back and performs what came of them; the way out is taken before.
    fn perform(&self, wire: &Arc<Wire>, bridges: MutexGuard<'_, Bridges>, work: &mut Work) {
        let way = self.way_out.lock().unwrap_or_else(PoisonError::into_inner);
        drop(bridges);
        wire.perform(work);
        drop(way);
    }

    fn collect(&self, wire: &Arc<Wire>, bridges: &mut Bridges, now: Instant, work: &mut Work) {
        while let Some(output) = bridges.poll() {
            match output {
                Output::Send(send) => work.send(send),
                Output::Fact(fact) => {
                    follow_leg(wire, &fact);
                    if let Some(fact) = facts::read(*fact, now, &wire.gauge, &wire.parts.tally) {
                        work.fact(fact);
                    }
                }
                // they ask nothing
                Output::Ask(_) | Output::Login(_) | Output::Probed(_) => {}
            }
        }
        while let Some((unknown, flow, bytes)) = bridges.poll_unknown() {
            let ids = unknown.ids;
            let (organization, call) = (OrganizationId(ids.organization), CallId(ids.call));
            if self.strand.try_send(Stranded { organization, call, flow, bytes }).is_err() {
                tracing::warn!(call.id = %ids.call, "too many messages wait for the records of their calls");
            }
        }
        if bridges.next_deadline().is_some() {
            self.armed.notify_one();
        }
    }
}

/// A leg that is about to be called has a Call-ID of its own: its messages are of the same trace.
fn follow_leg(wire: &Wire, fact: &sip::Fact) {
    if let sip::Fact::Leg { ids, leg, .. } = fact {
        let whose = (OrganizationId(ids.organization), NumberId(ids.number));
        wire.parts.live.traces.begin(CallId(ids.call), whose, &leg.call_id);
    }
}

/// Keeps the bridges' deadlines.
pub(super) async fn follow(wire: Arc<Wire>) {
    loop {
        wire.bridges.armed.notified().await;
        loop {
            let due = wire.bridges.lock().next_deadline();
            let Some(due) = due.filter(|_| !wire.stopping.load(Ordering::Acquire)) else { break };
            let wait = due.saturating_duration_since(clock::instant()).max(TICK);
            tokio::select! {
                () = clock::sleep(wait) => {}
                // something sooner may be set
                () = wire.bridges.armed.notified() => clock::sleep(TICK).await,
            }
            wire.bridges.act(&wire, Bridges::tick);
        }
    }
}
