//! The locks, and the order of what comes out of them. A call belongs to one of several edges by its Call-ID, each under its
//! own lock, so that any thread can take any message and two calls seldom meet; calls are decided under one more lock, taken
//! within an edge's and never the other way round. Invariant: within one drain, a fact is in the journal before any send that
//! stands behind it is given to a socket.

use sip::{Ask, Edge, Fault, Flow, Input, Message, Method, Name, Output, SendId, Shed, Transport};
use std::hash::BuildHasher;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::bridge::BridgeDesk;
use super::decide::{Around, Decider, RETRY_AFTER, Step};
use super::gauge::Gauge;
use super::plan::Plan;
use super::proof::Named;
use super::registrants::RegistrantDesk;
use super::rush::Load;
use super::streams::Streams;
use super::{EdgeParts, facts, gate, health, resolve};
use crate::clock;

/// How exact deadlines are kept while something is open.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// More facts than this in one drain are written at once.
const FACTS_MAX: usize = 64;

/// An edge, and the way out of it: held while what it said is written and sent.
#[derive(Debug)]
struct Shard {
    edge: Mutex<Edge>,
    way_out: Mutex<()>,
}

/// Edges for each core: with two threads, two calls meet under one lock once in eight times.
const EDGES_PER_CORE: usize = 4;

/// Everything the threads and tasks of the edge share.
#[derive(Debug)]
pub(super) struct Wire {
    /// A power of two of them.
    edges: Box<[Shard]>,
    /// Whoever decides finds what was decided before: limits on calls at a time hold over all edges.
    decider: Mutex<Decider>,
    hasher: foldhash::fast::RandomState,
    begun: Instant,
    /// When every edge was last told of the time, in milliseconds since `begun`.
    looked: AtomicU64,
    pub(super) parts: EdgeParts,
    /// By the number of the listener.
    pub(super) udp: Vec<Option<Arc<UdpSocket>>>,
    /// Our own address by the number of the listener, as traces name it.
    locals: Vec<SocketAddr>,
    pub(super) streams: Streams,
    pub(super) gauge: Gauge,
    pub(super) names: resolve::Names,
    /// The transports of the listeners.
    pub(super) spoken: Vec<Transport>,
    pub(super) bridges: BridgeDesk,
    /// Questions to targets.
    pub(super) open: health::Open,
    pub(super) registrants: RegistrantDesk,
    host: String,
    pub(super) stopping: AtomicBool,
    /// Wakes the task that keeps deadlines: set by inputs that no UDP thread sees.
    armed: Notify,
    runtime: tokio::runtime::Handle,
}

/// What one drain gave, kept by its thread to be used again.
#[derive(Debug, Default)]
pub(super) struct Work {
    actions: Vec<Action>,
    facts: Vec<domain::Fact>,
    pub(super) faults: Vec<(SendId, Fault)>,
    plans: Vec<Plan>,
    /// Questions that wait for a name to be looked up.
    look_ups: Vec<(Box<Ask>, String)>,
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
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

    /// Does what was decided of a question.
    fn step(&mut self, (edge, now): (&mut Edge, Instant), ask: Box<Ask>, step: Step) {
        match step {
            Step::Now(verdict) => edge.handle(now, Input::Verdict { ask: ask.id, verdict }),
            Step::Later(plan) => {
                edge.handle(now, Input::Trying { ask: ask.id });
                self.plans.push(*plan);
            }
            // Not even a 100 before it is known who calls.
            Step::LookUp(name) => self.look_ups.push((ask, name)),
        }
    }

    /// The facts that wait for their turn.
    #[cfg(test)]
    pub(super) fn facts(&self) -> impl Iterator<Item = &domain::Fact> {
        self.actions.iter().filter_map(|action| match action {
            Action::Fact(fact) => Some(fact),
            Action::Send(_) => None,
        })
    }

    /// Bytes to be sent in their turn.
    pub(super) fn send(&mut self, send: sip::Send) {
        self.actions.push(Action::Send(send));
    }
}

impl Wire {
    /// `lease` is taken by the process that registers trunks.
    pub(super) fn new(
        config: &sip::Config,
        udp: Vec<Option<Arc<UdpSocket>>>,
        parts: EdgeParts,
        lease: Option<PathBuf>,
    ) -> Arc<Self> {
        let transports: Vec<_> = config.listeners.iter().map(|one| one.transport).collect();
        let spoken = transports.clone();
        let decider = Decider::new(Arc::clone(&parts.live), Arc::clone(&parts.journal), transports);
        Arc::new(Self {
            edges: edges(config),
            decider: Mutex::new(decider),
            hasher: foldhash::fast::RandomState::default(),
            begun: clock::instant(),
            looked: AtomicU64::new(0),
            parts,
            udp,
            locals: config.listeners.iter().map(local).collect(),
            streams: Streams::default(),
            gauge: Gauge::new(),
            names: resolve::Names::default(),
            spoken,
            bridges: BridgeDesk::new(config.clone()),
            open: health::Open::default(),
            registrants: RegistrantDesk::new(config.clone(), lease),
            host: config.listeners.first().map(|one| one.public_host.clone()).unwrap_or_default(),
            stopping: AtomicBool::new(false),
            armed: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    // A panic inside the edge loses the transaction at hand, not the others: its slab took it out first.
    fn lock(&self, shard: u8) -> MutexGuard<'_, Edge> {
        let shard = usize::from(shard) % self.edges.len();
        self.edges[shard].edge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shards(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.edges.len()).unwrap_or(sip::SHARDS_MAX)
    }

    /// The edge of a call: all its messages have one Call-ID.
    fn shard_of(&self, call_id: &[u8]) -> u8 {
        let mask = u64::from(self.shards().end) - 1;
        u8::try_from(self.hasher.hash_one(call_id) & mask).unwrap_or_default()
    }

    pub(super) fn drain(&self) {
        self.bridges.drain();
        self.shards().for_each(|shard| self.lock(shard).drain());
    }

    pub(super) fn idle(&self) -> bool {
        self.bridges.settled() && self.shards().all(|shard| self.lock(shard).settled())
    }

    /// True while an edge has a deadline to keep.
    pub(super) fn open(&self) -> bool {
        self.shards().any(|shard| self.lock(shard).next_deadline().is_some())
    }

    /// A whole message. True when something is open afterwards, so that deadlines have to be kept.
    pub(super) fn message(self: &Arc<Self>, flow: Flow, bytes: &[u8], work: &mut Work) -> bool {
        self.message_at(Load::Usual, flow, bytes, work)
    }

    /// The same where more may come than can be worked off: then new calls are shed.
    pub(super) fn message_at(
        self: &Arc<Self>,
        load: Load,
        flow: Flow,
        bytes: &[u8],
        work: &mut Work,
    ) -> bool {
        self.gauge.received(flow.transport);
        if let Some(index) = self.registrants.owner(bytes) {
            self.registrants.message(self, index, flow, bytes);
            return false;
        }
        if BridgeDesk::owns(bytes) {
            if self.parts.live.traces.active() {
                self.traced(clock::now(), flow, bytes, Way::In);
            }
            self.bridges.message(self, flow, bytes);
            return false;
        }
        if !gate::admits(&self.parts.live, &self.gauge, &flow, bytes, clock::instant()) {
            return false;
        }
        let Ok(message) = Message::parse(bytes) else { return false };
        let shard = self.shard_of(message.value(Name::CallId).unwrap_or_default());
        let how = (load == Load::Over).then(|| self.shed_how(flow, &message)).flatten();
        let input = Input::Parsed { flow, message: &message };
        // Before it is worked on: what is sent because of it comes after it.
        let came = self.parts.live.traces.active().then(clock::now);
        let (shed, now, open) = self.run(work, shard, |edge, now| {
            let shed = how.is_some_and(|how| edge.shed(flow, &message, how));
            if !shed {
                edge.handle(now, input);
            }
            shed
        });
        if shed {
            self.gauge.shed.increment(1);
        }
        if let Some(came) = came {
            // Behind it: an INVITE is known to be of a traced call once it is decided.
            self.traced(came, flow, bytes, Way::In);
        }
        // Where messages never cease no receive times out: then they keep the deadlines of the other edges too.
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let millis_now = millis(now.duration_since(self.begun));
        let looked = self.looked.load(Ordering::Relaxed);
        let due = millis_now.saturating_sub(looked) >= millis(TICK);
        let order = Ordering::Relaxed;
        if due && self.looked.compare_exchange(looked, millis_now, order, order).is_ok() {
            return self.tick(work);
        }
        open
    }

    /// How a new call is refused before it is decided.
    fn shed_how(&self, flow: Flow, message: &Message<'_>) -> Option<Shed> {
        let known = || self.parts.live.is_known(flow.remote, clock::instant());
        let how = || if known() { Shed::Answer { retry_after: RETRY_AFTER } } else { Shed::Silence };
        (message.method() == Some(Method::Invite)).then(how)
    }

    /// Time has passed. True when something is open afterwards.
    pub(super) fn tick(self: &Arc<Self>, work: &mut Work) -> bool {
        let mut open = false;
        for shard in self.shards() {
            let due = self.lock(shard).next_deadline();
            open |= match due {
                Some(due) if due <= clock::instant() => {
                    self.run(work, shard, |edge, now| edge.handle(now, Input::Tick)).2
                }
                Some(_) => true,
                None => false,
            };
        }
        open
    }

    /// A verdict or a fault: an input that no UDP thread will keep the deadlines of.
    pub(super) fn aside(self: &Arc<Self>, input: Input<'_>) {
        if let Input::Fault { send, why } = input
            && let Some(index) = sip::registrant_sending(send)
        {
            return self.registrants.fault(self, index, send, why);
        }
        if let Input::Fault { send, why } = input
            && sip::Bridges::sent(send)
        {
            return self.bridges.fault(self, send, why);
        }
        let shard = match &input {
            Input::Verdict { ask, .. } | Input::Trying { ask } => ask.shard(),
            Input::Fault { send, .. } => send.shard(),
            Input::Parsed { message, .. } => self.shard_of(message.value(Name::CallId).unwrap_or_default()),
            // answered at once, where it is asked
            Input::Message { .. } | Input::Login { .. } | Input::Tick => 0,
        };
        if self.run(&mut Work::default(), shard, |edge, now| edge.handle(now, input)).2 {
            self.armed.notify_one();
        }
    }

    /// Keeps deadlines for inputs of streams.
    pub(super) fn arm(&self) {
        self.armed.notify_one();
    }

    /// Does something to the edge of a call that is no input of the network, and performs what came of it.
    pub(super) fn act<T>(self: &Arc<Self>, call_id: &str, act: impl FnOnce(&mut Edge, Instant) -> T) -> T {
        self.act_on(self.shard_of(call_id.as_bytes()), act)
    }

    /// The same to one edge after the other, until one says that it was the right one.
    pub(super) fn act_on_any(self: &Arc<Self>, act: impl Fn(&mut Edge, Instant) -> bool) -> bool {
        self.shards().any(|shard| self.act_on(shard, &act))
    }

    fn act_on<T>(self: &Arc<Self>, shard: u8, act: impl FnOnce(&mut Edge, Instant) -> T) -> T {
        let (done, _, open) = self.run(&mut Work::default(), shard, act);
        if open {
            self.armed.notify_one();
        }
        done
    }

    /// One turn: work on an edge under its lock, then its outputs in their order. Gives when it was, and whether something is
    /// open afterwards.
    fn run<T>(
        self: &Arc<Self>,
        work: &mut Work,
        shard: u8,
        act: impl FnOnce(&mut Edge, Instant) -> T,
    ) -> (T, Instant, bool) {
        let mut edge = self.lock(shard);
        // Read under the lock: for an edge time never goes back.
        let now = clock::instant();
        let done = act(&mut edge, now);
        let open = self.collect(&mut edge, now, work);
        (done, now, self.finish(work, (shard, edge), open))
    }

    /// Performs what came of a turn, and of the faults in doing so. Gives whether something is open afterwards.
    fn finish(
        self: &Arc<Self>,
        work: &mut Work,
        (shard, edge): (u8, MutexGuard<'_, Edge>),
        mut open: bool,
    ) -> bool {
        self.perform_after(edge, shard, work);
        while !work.faults.is_empty() {
            let mut edge = self.lock(shard);
            let now = clock::instant();
            for (send, why) in std::mem::take(&mut work.faults) {
                edge.handle(now, Input::Fault { send, why });
            }
            open = self.collect(&mut edge, now, work);
            self.perform_after(edge, shard, work);
        }
        open
    }

    /// Gives the edge back and performs what came of it. The way out is taken before the edge is given back: what a call's edge
    /// said first leaves first, whichever threads they are.
    fn perform_after(self: &Arc<Self>, edge: MutexGuard<'_, Edge>, shard: u8, work: &mut Work) {
        let way = &self.edges[usize::from(shard) % self.edges.len()].way_out;
        let way = way.lock().unwrap_or_else(PoisonError::into_inner);
        drop(edge);
        self.perform(work);
        drop(way);
    }

    fn collect(&self, edge: &mut Edge, now: Instant, work: &mut Work) -> bool {
        while let Some(output) = edge.poll() {
            match output {
                Output::Send(send) => work.actions.push(Action::Send(send)),
                Output::Fact(fact) => {
                    let notes = facts::notes(&fact);
                    if let Some(fact) = facts::read(*fact, now, &self.gauge, &self.parts.tally) {
                        work.fact(fact);
                        for note in notes {
                            work.fact(note);
                        }
                    }
                }
                Output::Probed(probed) => self.open.heard(probed),
                Output::Login(ask) => {
                    let login = self.parts.live.login(ask.owner);
                    edge.handle(now, Input::Login { ask, login });
                }
                Output::Ask(ask) => {
                    let mut around =
                        Around { now, gauge: &self.gauge, names: &self.names, streams: &self.streams, work };
                    let decider = self.decider.lock();
                    let step = decider.unwrap_or_else(PoisonError::into_inner).decide(&ask, &mut around);
                    work.step((edge, now), ask, step);
                }
            }
        }
        edge.next_deadline().is_some()
    }

    /// A name was looked up: its call is decided now.
    fn named(self: &Arc<Self>, ask: Box<Ask>, named: &Named) {
        let (mut work, shard) = (Work::default(), ask.id.shard());
        let mut edge = self.lock(shard);
        let now = clock::instant();
        let mut around =
            Around { now, gauge: &self.gauge, names: &self.names, streams: &self.streams, work: &mut work };
        let decider = self.decider.lock();
        let step = decider.unwrap_or_else(PoisonError::into_inner).named(&ask, named, &mut around);
        work.step((&mut edge, now), ask, step);
        let open = self.collect(&mut edge, now, &mut work);
        if self.finish(&mut work, (shard, edge), open) {
            self.armed.notify_one();
        }
    }

    pub(super) fn perform(self: &Arc<Self>, work: &mut Work) {
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
        for (ask, username) in work.look_ups.drain(..) {
            let wire = Arc::clone(self);
            self.runtime.spawn_blocking(move || {
                let looked = wire.parts.live.lines.look_up(&username);
                wire.named(ask, &Named { username, looked });
            });
        }
    }

    /// A message of a call that may be traced.
    fn traced(&self, at: domain::Timestamp, flow: Flow, bytes: &[u8], way: Way) {
        let own = self.locals.get(usize::from(flow.listener)).copied().unwrap_or(flow.remote);
        let [far, near] = [flow.remote, own].map(|address| facts::place(flow.transport, address));
        let ends = match way {
            Way::In => (far, near),
            Way::Out => (near, far),
        };
        self.parts.live.traces.message(at, ends, bytes);
    }

    fn send(self: &Arc<Self>, send: sip::Send, work: &mut Work) {
        self.gauge.sent(send.to.transport);
        if self.parts.live.traces.active() {
            self.traced(clock::now(), send.to, &send.bytes, Way::Out);
        }
        match send.to.transport {
            Transport::Udp => {
                let socket = self.udp.get(usize::from(send.to.listener)).and_then(Option::as_ref);
                let left = socket.is_some_and(|socket| socket.send_to(&send.bytes, send.to.remote).is_ok());
                if !left {
                    self.gauge.send_failed.increment(1);
                    work.faults.push((send.id, Fault::Unreachable));
                }
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                if let Err(lost) = self.streams.send(self, send) {
                    self.gauge.queue_full.increment(1);
                    work.faults.push(lost);
                }
            }
        }
    }

    /// Does something under the lock that calls are decided under. It may not touch an edge.
    pub(super) fn in_turn<T>(&self, decide: impl FnOnce() -> T) -> T {
        let _decider = self.decider.lock().unwrap_or_else(PoisonError::into_inner);
        decide()
    }

    /// A connection has ended: nobody who registered by it is to be reached any more, neither an agent nor we.
    pub(super) fn gone(self: &Arc<Self>, connection: u64) {
        self.parts.live.registrations.gone(connection);
        self.registrants.gone(self, connection);
    }

    /// The host of our first listener, as others know it.
    pub(super) fn public_host(&self) -> &str {
        &self.host
    }

    /// Whether a listener speaks a transport: others cannot be sent by.
    pub(super) fn speaks(&self, transport: Transport) -> bool {
        self.spoken.contains(&transport)
    }

    /// Runs a future beside the caller, who may be a thread of no runtime.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Ends the blocking receives: each socket gets an empty datagram from itself for each of its threads.
    pub(super) fn wake_threads(&self, threads: usize) {
        for socket in self.udp.iter().flatten() {
            (0..threads).for_each(|_| super::udp::wake(socket));
        }
    }
}

/// Our address on a listener: where it is bound to all of them, the one that others reach it by.
fn local(listener: &sip::Listener) -> SocketAddr {
    let public = listener.public_host.parse().ok().filter(|_| listener.local.ip().is_unspecified());
    public.map_or(listener.local, |ip| SocketAddr::new(ip, listener.local.port()))
}

/// The edges of this process, which share its bound on transactions.
fn edges(config: &sip::Config) -> Box<[Shard]> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = cores.saturating_mul(EDGES_PER_CORE).next_power_of_two();
    let count = u8::try_from(wanted).unwrap_or(sip::SHARDS_MAX).min(sip::SHARDS_MAX);
    let transactions_max = config.limits.transactions_max.div_ceil(usize::from(count));
    let config = sip::Config { limits: sip::Limits { transactions_max }, ..config.clone() };
    let one = |shard| Shard { edge: Mutex::new(Edge::shard(config.clone(), shard)), way_out: Mutex::new(()) };
    (0..count).map(one).collect()
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
