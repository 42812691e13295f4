//! A caller, an edge and some agents on invented time, over a network that loses, repeats and reorders datagrams from a
//! seed. Streams keep their order and lose nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part of it")]

mod acts;
mod checks;
mod door;
mod net;
#[path = "../settings/mod.rs"]
mod settings;
mod told;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use door::{Asking, Door, Gate, PASSWORD, Passed, USER};
pub(crate) use settings::EDGE;
use sip::*;

pub(crate) const CALLER: &str = "198.51.100.7:5060";
/// Whoever heard what the caller sent, and sends it again.
pub(crate) const EAVESDROPPER: &str = "198.51.100.66:5060";
pub(crate) const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn agent_addr(index: usize) -> SocketAddr {
    addr(&format!("192.0.2.{}:5060", index + 10))
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn ids() -> CallIds {
    CallIds {
        call: uuid::Uuid::from_u128(1),
        organization: uuid::Uuid::from_u128(2),
        number: uuid::Uuid::from_u128(3),
    }
}

pub(crate) fn config(process: u32) -> Config {
    settings::config(process)
}

pub(crate) fn caller(seed: u64, transport: Transport) -> CallerConfig {
    CallerConfig {
        local: Local { transport, addr: addr(CALLER) },
        peer: addr(EDGE),
        to_uri: "sip:+4930123456@203.0.113.1".into(),
        from_uri: "sip:+12015550123@198.51.100.7".into(),
        sdp: SDP.into(),
        headers: Vec::new(),
        login: None,
        hang_up_after: Some(ms(3000)),
        cancel_after: None,
        reinvite_after: None,
        seed,
        timers: Timers::default(),
    }
}

pub(crate) fn agent(index: usize, answering: Answering) -> AnswererConfig {
    AnswererConfig {
        local: Local { transport: Transport::Udp, addr: agent_addr(index) },
        answering,
        sdp: SDP.into(),
        hang_up_after: None,
        reinvite_after: None,
        calls_max: 10,
        seed: 1000 + index as u64,
        timers: Timers::default(),
    }
}

pub(crate) const RING: Answering = Answering::Accept { ring: Duration::from_millis(1500) };

#[derive(Clone, Copy, Default)]
pub(crate) struct Net {
    /// In thousandths.
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    stream: bool,
    bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, Packet)>>,
    count: u64,
    random: u64,
    pub(crate) net: Net,
    caller_stream: bool,
    pub(crate) edge: Edge,
    pub(crate) caller: Caller,
    pub(crate) agents: Vec<(SocketAddr, Transport, Answerer)>,
    pub(crate) targets: Vec<Target>,
    pub(crate) legs: Vec<Leg>,
    pub(crate) faulty: HashSet<SocketAddr>,
    /// What such an agent sends in its first seconds leaves only then.
    pub(crate) hold: BTreeMap<SocketAddr, Duration>,
    /// Nothing reaches such an agent after this time.
    pub(crate) deaf: BTreeMap<SocketAddr, Duration>,
    /// A new process takes over at these times after the start.
    pub(crate) replace_at: Vec<Duration>,
    replaced: u32,
    /// The call is ended from here at these times after the start.
    pub(crate) hang_up_at: Vec<Duration>,
    /// What each of those ends did: false for a call that was set up, and how many got a BYE.
    pub(crate) hung_up: Vec<(bool, usize)>,
    pub(crate) refuse: Option<u16>,
    pub(crate) asks: usize,
    pub(crate) facts: Vec<Fact>,
    pub(crate) probed: Vec<Probed>,
    pub(crate) events: Vec<AgentEvent>,
    pub(crate) agent_events: Vec<(usize, AgentEvent)>,
    pub(crate) trace: Vec<String>,
    pub(crate) sent: BTreeMap<String, usize>,
    /// Something is sent within the dialog at these times after the start, by whom, of which method.
    pub(crate) within_at: Vec<(Duration, Side, &'static str)>,
    /// Our Record-Routes towards each agent, as they were sent.
    routes: BTreeMap<SocketAddr, Vec<String>>,
    /// Whose tag it is, where several agents stand at one place.
    tags: BTreeMap<Vec<u8>, usize>,
    /// Requests of the edge, each with how often it was sent.
    requests: BTreeMap<Vec<u8>, usize>,
    carried: usize,
    /// Before an agent.
    pub(crate) doors: BTreeMap<SocketAddr, Door>,
    /// Before the edge.
    pub(crate) gate: Option<Gate>,
    /// The caller's last INVITE comes again at these times after the start, from somebody else, as another call.
    pub(crate) replay_at: Vec<Duration>,
    /// Calls that were let in.
    pub(crate) routed: usize,
    /// The number that each request of the caller has, by its branch.
    numbers: BTreeMap<Vec<u8>, u32>,
    /// The last INVITE of the caller that came here, outside its dialog.
    invite: Vec<u8>,
}

/// A login that answers doors.
fn login() -> Arc<Login> {
    Arc::new(Login { owner: OWNER, username: USER.into(), password: PASSWORD.into() })
}

const OWNER: uuid::Uuid = uuid::Uuid::from_u128(77);

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    pub(crate) fn new(seed: u64, caller_config: CallerConfig, agents: Vec<AnswererConfig>) -> Self {
        let now = Instant::now();
        let targets = agents
            .iter()
            .enumerate()
            .map(|(index, one)| Target {
                request_uri: format!("sip:+4930123456@{}", one.local.addr),
                hops: vec![Hop { transport: one.local.transport, addr: one.local.addr }],
                flow: None,
                tag: index as u64,
                headers: Vec::new(),
                ..Target::default()
            })
            .collect();
        Self {
            now,
            start: now,
            queue: BinaryHeap::new(),
            count: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            net: Net::default(),
            caller_stream: caller_config.local.transport.stream(),
            edge: Edge::new(config(1)),
            caller: Caller::new(caller_config, now),
            agents: agents
                .into_iter()
                .map(|one| (one.local.addr, one.local.transport, Answerer::new(one)))
                .collect(),
            targets,
            legs: Vec::new(),
            faulty: HashSet::new(),
            hold: BTreeMap::new(),
            deaf: BTreeMap::new(),
            replace_at: Vec::new(),
            replaced: 1,
            hang_up_at: Vec::new(),
            hung_up: Vec::new(),
            refuse: None,
            asks: 0,
            facts: Vec::new(),
            probed: Vec::new(),
            events: Vec::new(),
            agent_events: Vec::new(),
            trace: Vec::new(),
            sent: BTreeMap::new(),
            within_at: Vec::new(),
            routes: BTreeMap::new(),
            tags: BTreeMap::new(),
            requests: BTreeMap::new(),
            carried: 0,
            doors: BTreeMap::new(),
            gate: None,
            replay_at: Vec::new(),
            routed: 0,
            numbers: BTreeMap::new(),
            invite: Vec::new(),
        }
    }

    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        self.next_random() % 1000 < thousandths
    }

    pub(crate) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 3
    }

    pub(crate) fn replacements(&self) -> u32 {
        self.replaced - 1
    }

    /// Runs until nothing is left to happen, and checks that all are idle.
    pub(crate) fn run(&mut self) {
        for _ in 0..20_000 {
            self.drain_agents();
            self.drain_edge();
            let times = [
                self.queue.peek().map(|Reverse((at, ..))| *at),
                self.edge.next_deadline(),
                self.caller.next_deadline(),
                self.replace_at.first().map(|after| self.start + *after),
                self.hang_up_at.first().map(|after| self.start + *after),
                self.within_at.first().map(|(after, ..)| self.start + *after),
                self.replay_at.first().map(|after| self.start + *after),
            ];
            let agents = self.agents.iter().filter_map(|(_, _, agent)| agent.next_deadline());
            let Some(next) = times.into_iter().flatten().chain(agents).min() else {
                return self.check_idle();
            };
            self.now = self.now.max(next);
            self.step();
        }
        panic!("never idle:\n{}", self.trace.join("\n"));
    }

    fn step(&mut self) {
        let now = self.now;
        if self.replace_at.first().is_some_and(|after| self.start + *after <= now) {
            self.replace_at.remove(0);
            self.replaced += 1;
            self.edge = Edge::new(config(self.replaced));
            if let Some(gate) = &mut self.gate {
                gate.replaced(self.replaced, now);
            }
            self.trace.push("        edge replaced".into());
            return;
        }
        if self.within_at.first().is_some_and(|(after, ..)| self.start + *after <= now) {
            let (_, side, method) = self.within_at.remove(0);
            return self.within(side, method);
        }
        if self.replay_at.first().is_some_and(|after| self.start + *after <= now) {
            self.replay_at.remove(0);
            return self.replay();
        }
        if self.hang_up_at.first().is_some_and(|after| self.start + *after <= now) {
            self.hang_up_at.remove(0);
            return self.hang_up();
        }
        if let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= now
            && let Some(Reverse((_, _, packet))) = self.queue.pop()
        {
            return self.deliver(&packet);
        }
        self.edge.handle(now, Input::Tick);
        self.caller.handle(now, AgentInput::Tick);
        for (_, _, agent) in &mut self.agents {
            agent.handle(now, AgentInput::Tick);
        }
    }
}

pub(crate) fn refuse(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refuse { status, reason, reason_header: None, retry_after: None, fact_call: Some(ids()) }
}
