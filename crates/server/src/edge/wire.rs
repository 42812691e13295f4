//! The one lock, and the order of what comes out of it. Invariant: within one drain, a fact is in the journal before any
//! send that stands behind it is given to a socket.

use sip::{Edge, Flow, Input, Output, SendId, Transport};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::decide::{Around, Decider, Step};
use super::gauge::Gauge;
use super::plan::Plan;
use super::tcp::Streams;
use super::{EdgeParts, facts, resolve};
use crate::clock;

/// How exact deadlines are kept while something is open.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// More facts than this in one drain are written at once.
const FACTS_MAX: usize = 64;

/// Everything the threads and tasks of the edge share.
#[derive(Debug)]
pub(super) struct Wire {
    core: Mutex<Core>,
    pub(super) parts: EdgeParts,
    /// By the number of the listener.
    pub(super) udp: Vec<Option<Arc<UdpSocket>>>,
    pub(super) streams: Streams,
    pub(super) gauge: Gauge,
    pub(super) names: resolve::Names,
    pub(super) stopping: AtomicBool,
    /// Wakes the task that keeps deadlines: set by inputs that no UDP thread sees.
    armed: Notify,
    runtime: tokio::runtime::Handle,
}

#[derive(Debug)]
struct Core {
    edge: Edge,
    decider: Decider,
}

/// What one drain gave, kept by its thread to be used again.
#[derive(Debug, Default)]
pub(super) struct Work {
    actions: Vec<Action>,
    facts: Vec<domain::Fact>,
    faults: Vec<SendId>,
    plans: Vec<Plan>,
}

#[derive(Debug)]
enum Action {
    Fact(domain::Fact),
    Send(sip::Send),
}

impl Work {
    /// A fact to be written in its turn.
    pub(super) fn fact(&mut self, fact: domain::Fact) {
        self.actions.push(Action::Fact(fact));
    }
}

impl Wire {
    pub(super) fn new(config: sip::Config, udp: Vec<Option<Arc<UdpSocket>>>, parts: EdgeParts) -> Arc<Self> {
        let transports = config.listeners.iter().map(|one| one.transport).collect();
        let decider = Decider::new(Arc::clone(&parts.live), Arc::clone(&parts.journal), transports);
        Arc::new(Self {
            core: Mutex::new(Core { edge: Edge::new(config), decider }),
            parts,
            udp,
            streams: Streams::default(),
            gauge: Gauge::new(),
            names: resolve::Names::default(),
            stopping: AtomicBool::new(false),
            armed: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    // A panic inside the edge loses the transaction at hand, not the others: its slab took it out first.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn drain(&self) {
        self.lock().edge.drain();
    }

    pub(super) fn idle(&self) -> bool {
        self.lock().edge.settled()
    }

    /// A whole message. True when something is open afterwards, so that deadlines have to be kept.
    pub(super) fn message(self: &Arc<Self>, flow: Flow, bytes: &[u8], work: &mut Work) -> bool {
        self.gauge.received(flow.transport);
        self.input(Input::Message { flow, bytes }, work)
    }

    /// Time has passed. True when something is open afterwards.
    pub(super) fn tick(self: &Arc<Self>, work: &mut Work) -> bool {
        self.input(Input::Tick, work)
    }

    /// An input that no UDP thread will keep the deadlines of.
    pub(super) fn aside(self: &Arc<Self>, input: Input<'_>) {
        if self.input(input, &mut Work::default()) {
            self.armed.notify_one();
        }
    }

    /// Keeps deadlines for inputs of streams.
    pub(super) fn arm(&self) {
        self.armed.notify_one();
    }

    /// Does something to the edge that is no input of the network, and performs what came of it.
    pub(super) fn act<T>(self: &Arc<Self>, act: impl FnOnce(&mut Edge, Instant) -> T) -> T {
        let (done, open) = self.run(&mut Work::default(), act);
        if open {
            self.armed.notify_one();
        }
        done
    }

    fn input(self: &Arc<Self>, input: Input<'_>, work: &mut Work) -> bool {
        self.run(work, |edge, now| edge.handle(now, input)).1
    }

    /// One turn: work on the edge under its lock, then its outputs in their order. Gives whether something is open afterwards.
    fn run<T>(self: &Arc<Self>, work: &mut Work, act: impl FnOnce(&mut Edge, Instant) -> T) -> (T, bool) {
        let mut core = self.lock();
        // Read under the lock: for the edge time never goes back.
        let now = clock::instant();
        let done = act(&mut core.edge, now);
        let mut open = self.collect(&mut core, now, work);
        drop(core);
        self.perform(work);
        while !work.faults.is_empty() {
            let mut core = self.lock();
            let now = clock::instant();
            for send in std::mem::take(&mut work.faults) {
                core.edge.handle(now, Input::Fault { send });
            }
            open = self.collect(&mut core, now, work);
            drop(core);
            self.perform(work);
        }
        (done, open)
    }

    fn collect(&self, core: &mut Core, now: Instant, work: &mut Work) -> bool {
        while let Some(output) = core.edge.poll() {
            match output {
                Output::Send(send) => work.actions.push(Action::Send(send)),
                Output::Fact(fact) => {
                    if let Some(fact) = facts::read(*fact, now, &self.gauge, &self.parts.tally) {
                        work.fact(fact);
                    }
                }
                Output::Ask(ask) => {
                    let id = ask.id;
                    let mut around = Around { now, gauge: &self.gauge, names: &self.names, work };
                    match core.decider.decide(&ask, &mut around) {
                        Step::Now(verdict) => core.edge.handle(now, Input::Verdict { ask: id, verdict }),
                        Step::Later(plan) => {
                            core.edge.handle(now, Input::Trying { ask: id });
                            work.plans.push(*plan);
                        }
                    }
                }
            }
        }
        core.edge.next_deadline().is_some()
    }

    fn perform(self: &Arc<Self>, work: &mut Work) {
        let mut actions = std::mem::take(&mut work.actions);
        for action in actions.drain(..) {
            match action {
                Action::Fact(fact) => {
                    self.parts.tally.saw(&fact);
                    self.parts.live.saw(&fact);
                    work.facts.push(fact);
                    if work.facts.len() >= FACTS_MAX {
                        self.parts.journal.append(&mut work.facts);
                    }
                }
                Action::Send(send) => {
                    self.parts.journal.append(&mut work.facts);
                    self.send(send, work);
                }
            }
        }
        self.parts.journal.append(&mut work.facts);
        work.actions = actions;
        for plan in work.plans.drain(..) {
            self.runtime.spawn(resolve::finish(Arc::clone(self), plan));
        }
    }

    fn send(self: &Arc<Self>, send: sip::Send, work: &mut Work) {
        self.gauge.sent(send.to.transport);
        match send.to.transport {
            Transport::Udp => {
                let socket = self.udp.get(usize::from(send.to.listener)).and_then(Option::as_ref);
                let left = socket.is_some_and(|socket| socket.send_to(&send.bytes, send.to.remote).is_ok());
                if !left {
                    self.gauge.send_failed.increment(1);
                    work.faults.push(send.id);
                }
            }
            Transport::Tcp | Transport::Tls => {
                if let Err(id) = self.streams.send(self, send) {
                    self.gauge.queue_full.increment(1);
                    work.faults.push(id);
                }
            }
        }
    }

    /// Runs a future beside the caller, who may be a thread of no runtime.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Ends the blocking receives: each socket gets an empty datagram from itself.
    pub(super) fn wake_threads(&self) {
        for socket in self.udp.iter().flatten() {
            super::udp::wake(socket);
        }
    }
}

/// Keeps the deadlines that inputs of streams and late verdicts made; UDP threads keep those of their own.
pub(super) async fn follow_deadlines(wire: Arc<Wire>) {
    let mut work = Work::default();
    loop {
        wire.armed.notified().await;
        loop {
            clock::sleep(TICK).await;
            if wire.stopping.load(Ordering::Acquire) || !wire.tick(&mut work) {
                break;
            }
        }
    }
}
