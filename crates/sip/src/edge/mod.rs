//! The proxy as a state machine (RFC 3261 section 16): [`Edge::handle`] takes one input, [`Edge::poll`] gives what came
//! of it. Not a policy: who may call and where a call goes is asked of the shell. Files: `ask` new requests and
//! verdicts, `attempt` targets and branches, `client` answers to them, `dialog` in-dialog requests by cookie,
//! `hang_up` ends of ours, `login` challenges of targets, `onward` what comes after an attempt, `probe` questions of ours, `stray`
//! answers without a transaction, `timer` deadlines.

mod api;
mod ask;
mod attempt;
mod client;
mod context;
mod dialog;
mod hang_up;
mod login;
mod onward;
mod probe;
mod record;
mod respond;
mod session;
mod shed;
mod stray;
mod timer;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::hash::BuildHasher as _;
use std::time::Instant;

use hashbrown::HashTable;

pub use api::{
    Ask, AskId, AskKind, Attempt, Cause, Config, Dialog, Fact, Fault, Input, Known, Limits, LoginAsk, Manner,
    Output, STEP_FIRST, Send, SendId, Side, Target, Timers, Transfer, Trust, Verdict, Whom,
};

pub(crate) use context::Repeat;
pub(crate) use dialog::write_path;
pub(crate) use hang_up::beyond;
pub use onward::{Exit, Leg, Outcome, Outcomes, STATUSES};
pub use probe::{Probe, Probed};
pub(crate) use record::secured;
pub use respond::undelivered;
pub(crate) use respond::{Reply, companion, reply, reply_flow};
pub(crate) use session::interval;

pub use shed::Shed;

use crate::keys::Ring;
use crate::message::{Core, Message, Method};
use crate::transport::{Flow, Hop, Transport};
use context::{At, Context, Phase, Slab};

/// How many deadlines of what is gone may stand in the queue beside those of what is alive.
const DEADLINES_SLACK: usize = 4096;

/// The proxy. See the crate's head for the contract.
pub struct Edge {
    config: Config,
    ring: Ring,
    slab: Slab,
    /// Server transactions by key, each with its hash.
    lookup: HashTable<(u64, At)>,
    hasher: foldhash::quality::FixedState,
    deadlines: BinaryHeap<Reverse<(Instant, At)>>,
    out: VecDeque<Output>,
    sessions: login::Sessions,
    /// What is written of each listener.
    faces: Box<[record::Face]>,
    draining: bool,
    key: Vec<u8>,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("alive", &self.slab.alive())
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

/// The most edges of one process.
pub const SHARDS_MAX: u8 = 32;

impl Edge {
    /// An edge without calls.
    pub fn new(config: Config) -> Self {
        Self::shard(config, 0)
    }

    /// One of several edges of a process, each under a lock of its own, so that all cores are used. Every message goes to the
    /// edge that its Call-ID names, always the same; the ids that an edge gives out tell which it is. `shard` is below
    /// [`SHARDS_MAX`].
    pub fn shard(config: Config, shard: u8) -> Self {
        let ring = Ring::new(&config.keys);
        let seed = u64::from_le_bytes(*ring.current().tag.first_chunk().expect("a key has 32 bytes"))
            ^ u64::from(config.process);
        let faces = config.listeners.iter().map(record::Face::of).collect();
        Self {
            config,
            ring,
            slab: Slab::of(shard),
            lookup: HashTable::new(),
            faces,
            hasher: foldhash::quality::FixedState::with_seed(seed),
            deadlines: BinaryHeap::new(),
            out: VecDeque::new(),
            sessions: login::Sessions::default(),
            draining: false,
            key: Vec::new(),
        }
    }

    /// Takes one input. Drain [`Edge::poll`] afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Message { flow, bytes } => {
                if let Ok(message) = Message::parse(bytes) {
                    self.message(now, flow, &message);
                }
            }
            Input::Parsed { flow, message } => self.message(now, flow, message),
            Input::Verdict { ask, verdict } => self.verdict(now, ask, verdict),
            Input::Trying { ask } => self.trying(now, ask),
            Input::Fault { send, why } => self.fault(now, send, why),
            Input::Login { ask, login } => self.login(ask, login),
            Input::Tick => {}
        }
        self.expire(now);
    }

    /// The next output, in order; `None` when there is nothing more to do until an input or the deadline.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When the next [`Input::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// True when no transaction is alive: a drained process may exit.
    pub fn idle(&self) -> bool {
        self.slab.alive() == 0
    }

    /// True when no transaction awaits an answer. What is left only absorbs repeats, and any process can do that: a
    /// drained one need not wait for it.
    pub fn settled(&self) -> bool {
        !self.slab.iter().any(Context::awaits)
    }

    /// How many transactions are alive.
    pub fn alive(&self) -> usize {
        self.slab.alive()
    }

    /// How many deadlines are kept.
    pub fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// From now on new calls are refused with 503 and Retry-After; what is up goes on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    fn message(&mut self, now: Instant, flow: Flow, message: &Message<'_>) {
        if usize::from(flow.listener) >= self.config.listeners.len() {
            return;
        }
        match (message.method(), Core::read(message)) {
            (None, Ok(core)) => self.response(now, flow, message, &core),
            (Some(_), Ok(core)) => self.request(now, flow, message, &core),
            (None | Some(Method::Ack | Method::Cancel), Err(_)) => {}
            (Some(_), Err(refusal)) => self.malformed(now, flow, message, refusal),
        }
    }

    fn request(&mut self, now: Instant, flow: Flow, message: &Message<'_>, core: &Core<'_>) {
        let known = self.find(core, message);
        match core.method {
            Method::Ack => {
                if !known.is_some_and(|at| self.ack(now, at)) {
                    self.dialog(now, flow, message, core);
                }
            }
            Method::Cancel => match known {
                Some(at) => self.cancel(now, flow, at, (message, core)),
                None => self.dialog(now, flow, message, core),
            },
            _ => match known {
                Some(at) => self.repeat(at),
                None if core.to_tag.is_some() => self.dialog(now, flow, message, core),
                None => self.ask(now, flow, message, core),
            },
        }
    }

    /// A repeat of a request is answered with what was answered last (RFC 3261 section 17.2).
    fn repeat(&mut self, at: At) {
        let Some(context) = self.slab.get(at) else { return };
        // after a 2xx repeats are absorbed (RFC 6026): the callee repeats the 2xx itself
        if context.last.is_empty()
            || matches!(context.phase, Phase::Accepted { .. } | Phase::Confirmed { .. })
        {
            return;
        }
        let (to, bytes) = (context.back, context.last.clone());
        self.send(to, bytes);
    }

    /// An ACK with the branch of its INVITE; true when it is used up here.
    fn ack(&mut self, now: Instant, at: At) -> bool {
        let t4 = self.config.timers.t4;
        self.with(now, at, |_, context| match context.phase {
            Phase::Completed { .. } if context.method == Method::Invite => {
                let until = if context.back.transport.stream() { now } else { now + t4 };
                context.phase = Phase::Confirmed { until };
                true
            }
            Phase::Accepted { .. } => false,
            _ => true,
        })
        .unwrap_or(false)
    }

    /// Works on a context taken out of the slab, then puts it back, arms its timer, or forgets it.
    fn with<T>(
        &mut self,
        now: Instant,
        at: At,
        work: impl FnOnce(&mut Self, &mut Context) -> T,
    ) -> Option<T> {
        let mut context = self.slab.take(at)?;
        context.now = now;
        let result = work(self, &mut context);
        self.settle(now, at, context);
        Some(result)
    }

    fn settle(&mut self, now: Instant, at: At, mut context: Box<Context>) {
        if let Phase::Confirmed { until } = context.phase
            && until <= now
        {
            context.phase = Phase::Done;
        }
        if context.done() {
            if !context.key.is_empty() {
                let hash = self.hasher.hash_one(&context.key[..]);
                if let Ok(entry) = self.lookup.find_entry(hash, |found| found.1 == at) {
                    entry.remove();
                }
            }
            self.slab.free(at);
            return;
        }
        if let Some(due) = context.deadline()
            && context.queued.is_none_or(|queued| due < queued)
        {
            context.queued = Some(due);
            self.deadlines.push(Reverse((due, at)));
        }
        self.slab.put(at, context);
        self.forget_deadlines();
    }

    /// Deadlines of what is gone stand in the queue until they are due: when they are many, they are taken out, so that what
    /// is kept is bounded by what is alive and not by how much came in the last minutes.
    fn forget_deadlines(&mut self) {
        if self.deadlines.len() > 4 * self.slab.alive() + DEADLINES_SLACK {
            let slab = &self.slab;
            self.deadlines.retain(|Reverse((due, at))| {
                slab.get(*at).is_some_and(|context| context.queued == Some(*due))
            });
        }
    }

    /// Adds a context; with a key, repeats of its request find it.
    fn insert(&mut self, now: Instant, at: At, context: Context) {
        if !context.key.is_empty() {
            let hash = self.hasher.hash_one(&context.key[..]);
            self.lookup.insert_unique(hash, (hash, at), |entry| entry.0);
        }
        self.settle(now, at, Box::new(context));
    }

    /// The server transaction of a request (RFC 3261 section 17.2.3); an ACK or CANCEL finds that of its INVITE.
    /// Leaves the key in `self.key`.
    fn find(&mut self, core: &Core<'_>, message: &Message<'_>) -> Option<At> {
        let mut key = std::mem::take(&mut self.key);
        transaction_key(core, message, &mut key);
        let hash = self.hasher.hash_one(&key[..]);
        let slab = &self.slab;
        let same = |entry: &(u64, At)| {
            entry.0 == hash && slab.get(entry.1).is_some_and(|context| *context.key == *key)
        };
        let found = self.lookup.find(hash, same).map(|entry| entry.1);
        self.key = key;
        found
    }

    fn send(&mut self, to: Flow, bytes: Vec<u8>) {
        self.out.push_back(Output::Send(Send {
            id: SendId::NONE,
            to,
            prefer: None,
            whom: Whom::Address,
            bytes,
        }));
    }

    fn fact(&mut self, fact: Fact) {
        self.out.push_back(Output::Fact(Box::new(fact)));
    }

    /// The flow to a hop: through the listener it came by if that fits, else the first that does.
    fn flow_to(&self, hop: Hop, near: u16) -> Option<Flow> {
        let fits = |index: usize| {
            self.config.listeners.get(index).is_some_and(|one| {
                one.transport == hop.transport && one.local.is_ipv4() == hop.addr.is_ipv4()
            })
        };
        let near = usize::from(near);
        let index =
            if fits(near) { near } else { (0..self.config.listeners.len()).find(|index| fits(*index))? };
        let listener = u16::try_from(index).ok()?;
        Some(Flow { listener, transport: hop.transport, remote: hop.addr, connection: None })
    }

    /// What others call a listener by: its public `host:port`.
    fn listener_name(&self, index: u16) -> Option<String> {
        self.faces.get(usize::from(index)).map(|one| one.name.clone())
    }

    /// The listener of a transport that is called so. Those of WebSocket have one word for both ([`Transport::param`]).
    fn listener_named(&self, name: &str, transport: Transport) -> Option<u16> {
        let count = u16::try_from(self.config.listeners.len()).unwrap_or(u16::MAX);
        let fits = |index: &u16| {
            let one = self.config.listeners.get(usize::from(*index));
            one.is_some_and(|one| one.transport == transport || one.transport.web() && transport.web())
                && self.faces.get(usize::from(*index)).is_some_and(|one| one.name == name)
        };
        (0..count).find(fits)
    }

    /// Tag of our own answers: the same for repeats.
    fn tag(&self, core: &Core<'_>) -> Vec<u8> {
        let branch = core.via.branch.unwrap_or_default();
        let mac = crate::keys::mac(&self.ring.current().tag, &[core.call_id, core.from_tag, branch]);
        let mut tag = Vec::with_capacity(16);
        crate::keys::base64url(mac.get(..9).unwrap_or_default(), &mut tag);
        tag
    }
}

fn transaction_key(core: &Core<'_>, message: &Message<'_>, key: &mut Vec<u8>) {
    key.clear();
    let method: &[u8] = match core.method {
        Method::Ack | Method::Cancel => b"INVITE",
        _ => core.method_text,
    };
    key.extend_from_slice(method);
    key.push(b' ');
    match core.via.branch {
        Some(branch) if branch.len() > 7 && branch.starts_with(crate::branch::MAGIC) => {
            key.extend_from_slice(branch);
            key.push(b' ');
            key.extend_from_slice(core.via.sent_by);
        }
        // RFC 2543: no unique branch
        _ => {
            for part in [message.request_uri(), core.from_tag, core.call_id, core.via.sent_by] {
                key.extend_from_slice(part);
                key.push(b' ');
            }
            key.extend_from_slice(&core.cseq.to_be_bytes());
            key.extend_from_slice(core.via.branch.unwrap_or_default());
        }
    }
}

/// A message and its fields.
type Got<'m, 'a> = (&'m Message<'a>, &'m Core<'a>);

/// An address that a peer may only name if the dialog already goes there: not on the public network.
pub fn private(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(four) => {
            let [a, b, ..] = four.octets();
            four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || four.is_unspecified()
                || four.is_broadcast()
                || four.is_multicast()
                || a == 0
                || (a == 100 && b & 0xC0 == 64)
                || a >= 240
        }
        std::net::IpAddr::V6(six) => match six.segments() {
            // what stands for an address of IPv4: mapped and compatible (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056)
            [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => {
                let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
                private(std::net::Ipv4Addr::new(a, b, c, d).into())
            }
            // translated within a network (RFC 8215)
            [0x64, 0xff9b, 1, ..] => true,
            // site-local (RFC 3879) is beside link-local
            [first, ..] => six.is_multicast() || six.is_unique_local() || first & 0xff80 == 0xfe80,
        },
    }
}

/// True for 64·T1 timers of unreliable transports only.
fn unreliable(transport: Transport) -> bool {
    !transport.stream()
}
