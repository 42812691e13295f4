//! A caller, an edge and some agents on invented time, over a network that loses, repeats and reorders datagrams from a
//! seed. Streams keep their order and lose nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part of it")]

mod door;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use door::{Asking, Door, Gate, PASSWORD, Passed, USER};
use sip::*;

pub(crate) const EDGE: &str = "203.0.113.1:5060";
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
    let listener = |transport| Listener {
        transport,
        local: addr(EDGE),
        public_host: "203.0.113.1".into(),
        public_port: 5060,
    };
    Config {
        listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
        node: 1,
        process,
        keys: Keys { current: Key { id: 1, secret: [7; 32] }, previous: None },
        timers: Timers::default(),
        limits: Limits::default(),
    }
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

    /// A door before an agent, whose answers the edge has the password for.
    pub(crate) fn door(&mut self, index: usize, asking: Asking) {
        let at = agent_addr(index);
        self.doors.insert(at, Door::new(asking));
        let manner = Arc::new(Manner { login: Some(login()), ..Manner::default() });
        for target in self.targets.iter_mut().filter(|target| target.hops.iter().any(|hop| hop.addr == at)) {
            target.manner = Some(Arc::clone(&manner));
        }
    }

    /// The caller is asked by us, and knows the password.
    pub(crate) fn gate(&mut self) {
        self.gate = Some(Gate::new(1, self.now));
    }

    /// Another agent at the place of the first: what comes there without a tag reaches both, as through a fork.
    pub(crate) fn fork(&mut self, twin: AnswererConfig) {
        self.agents.push((twin.local.addr, twin.local.transport, Answerer::new(twin)));
    }

    /// How many BYEs the edge made of its own, repeats aside.
    pub(crate) fn own_byes(&self) -> usize {
        let own = |bytes: &&Vec<u8>| {
            let message = Message::parse(bytes).expect("the edge sends SIP");
            message.method() == Some(Method::Bye) && message.values(Name::Via).count() == 1
        };
        self.requests.keys().filter(own).count()
    }

    /// How many answers to other requests than INVITE and BYE went on within a dialog.
    pub(crate) fn carried(&self) -> usize {
        self.carried
    }

    /// What has a transaction here is sent no more often than its timers say.
    pub(crate) fn check_repeats(&self) {
        for (bytes, count) in &self.requests {
            let message = Message::parse(bytes).expect("the edge sends SIP");
            let own = message.values(Name::Via).count() == 1;
            let most = match message.method() {
                Some(Method::Bye | Method::Cancel) if own => 11,
                Some(Method::Invite) if Core::read(&message).is_ok_and(|core| core.to_tag.is_none()) => 7,
                _ => continue,
            };
            assert!(*count <= most, "sent {count} times: {}", String::from_utf8_lossy(bytes));
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

    fn post(&mut self, from: SocketAddr, to: SocketAddr, stream: bool, bytes: &[u8]) {
        let first: String =
            String::from_utf8_lossy(bytes).chars().take_while(|c| *c != '\r').take(60).collect();
        let at = (self.now - self.start).as_millis();
        self.trace.push(format!("{at:>7} {from} > {to} {first}"));
        *self
            .sent
            .entry(format!("{from} {}", first.split(" sip").next().unwrap_or_default()))
            .or_default() += 1;
        let net = self.net;
        let copies = match () {
            () if stream => 1,
            () if self.chance(net.loss) => 0,
            () if self.chance(net.twice) => 2,
            () => 1,
        };
        for _ in 0..copies {
            let late = !stream && self.chance(self.net.late);
            let delay = match (stream, late) {
                (true, _) => 10,
                (false, true) => 100 + self.next_random() % 900,
                (false, false) => 5 + self.next_random() % 20,
            };
            self.count += 1;
            let packet = Packet { from, to, stream, bytes: bytes.to_vec() };
            let held = self.hold.get(&from).map_or(self.start, |after| self.start + *after);
            self.queue.push(Reverse((held.max(self.now) + ms(delay), self.count, packet)));
        }
    }

    fn drain_edge(&mut self) {
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Send(send) => {
                    self.check_order(&send);
                    if self.faulty.contains(&send.to.remote) {
                        self.edge.handle(self.now, Input::Fault { send: send.id, why: Fault::Unreachable });
                        continue;
                    }
                    self.post(addr(EDGE), send.to.remote, send.to.transport.stream(), &send.bytes);
                }
                Output::Ask(ask) => {
                    self.asks += usize::from(!matches!(ask.kind, AskKind::Malformed { .. }));
                    let invite = ask.kind == AskKind::Invite;
                    let challenge =
                        self.gate.as_mut().filter(|_| invite).and_then(|gate| gate.challenge(&ask, self.now));
                    let verdict = match (&ask.kind, self.refuse) {
                        _ if challenge.is_some() => challenge.expect("just looked at"),
                        (AskKind::Invite, None) => self.route(&ask),
                        (AskKind::Options, _) => {
                            Verdict::Answer { headers: vec!["Accept: application/sdp".into()] }
                        }
                        (AskKind::Malformed { status, reason }, _) => Verdict::Refuse {
                            status: *status,
                            reason,
                            reason_header: None,
                            retry_after: None,
                            fact_call: None,
                        },
                        (_, status) => refuse(status.unwrap_or(405), "Refused"),
                    };
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Login(ask) => {
                    assert_eq!((ask.call, ask.owner), (ids().call, OWNER));
                    self.edge.handle(self.now, Input::Login { ask, login: Some(login()) });
                }
                Output::Probed(probed) => self.probed.push(probed),
                Output::Fact(fact) => {
                    self.trace.push(format!("        fact {}", short(&fact)));
                    self.facts.push(*fact);
                }
            }
        }
    }

    fn route(&mut self, ask: &Ask) -> Verdict {
        assert_eq!(ask.flow.remote, addr(CALLER), "what the eavesdropper sends lets nobody in");
        self.routed += 1;
        Verdict::Route {
            call: ids(),
            direction: Direction::Inbound,
            trust: Trust::Untrusted,
            transfer: Transfer::Allowed,
            targets: self.targets.clone(),
            legs: self.legs.clone(),
        }
    }

    /// Somebody who heard the caller's INVITE sends it as a call of their own.
    fn replay(&mut self) {
        let Ok(text) = std::str::from_utf8(&self.invite) else { return };
        if text.is_empty() {
            return;
        }
        self.count += 1;
        let fresh = |line: &str| match line.split(": ").next() {
            Some("Via") => {
                format!("Via: SIP/2.0/UDP {EAVESDROPPER};branch=z9hG4bKreplay{};rport", self.count)
            }
            Some("Call-ID") => format!("Call-ID: replay-{}", self.count),
            _ => line.to_owned(),
        };
        let text: Vec<_> = text.split("\r\n").map(fresh).collect();
        self.post(addr(EAVESDROPPER), addr(EDGE), false, text.join("\r\n").as_bytes());
    }

    /// A fact stands before what depends on it.
    fn check_order(&mut self, send: &Send) {
        let message = Message::parse(&send.bytes).expect("the edge sends SIP");
        let core = Core::read(&message).expect("the edge sends valid SIP");
        let replaced = self.replacements() > 0;
        self.note(send, &message, &core);
        let asked = matches!(message.status(), Some(407)) && self.gate.is_some();
        if send.to.remote == addr(CALLER) && !replaced && !asked && self.is_first(&message, &core) {
            match message.status() {
                Some(200..=299) => assert!(self.answered() > 0, "a 2xx without its fact"),
                Some(300..) => {
                    assert!(self.failed().is_some() || self.refuse.is_some(), "a final without its fact");
                }
                _ => {}
            }
        }
        // one of our own that ends a late answer has no fact: there is no call that it ends
        let none_of_ours = self.hung_up.iter().all(|(_, sides)| *sides == 0);
        let late = message.values(Name::Via).count() == 1 && none_of_ours;
        let ours = replaced || late || self.failed().is_some() || self.answered() > 0;
        if message.method() == Some(Method::Bye) && !ours {
            let end = |fact: &Fact| matches!(fact, Fact::Ended { .. } | Fact::HungUp { .. });
            let told = self.facts.iter().any(end);
            assert!(told, "a BYE without its fact");
        }
    }

    /// Whether an answer is to the caller's first INVITE, or the one with its password.
    fn is_first(&self, message: &Message<'_>, core: &Core<'_>) -> bool {
        let first = if self.gate.is_some() { 2 } else { 1 };
        message.status().is_some() && core.method == Method::Invite && core.cseq <= first
    }

    fn note(&mut self, send: &Send, message: &Message<'_>, core: &Core<'_>) {
        if message.status().is_some() {
            let within = !matches!(core.method, Method::Invite | Method::Bye | Method::Cancel);
            self.carried += usize::from(within);
            return;
        }
        *self.requests.entry(send.bytes.clone()).or_default() += 1;
        if core.method == Method::Invite && core.to_tag.is_none() {
            let own =
                message.values(Name::RecordRoute).map(|value| String::from_utf8_lossy(value).into_owned());
            self.routes.insert(send.to.remote, own.collect());
        }
    }

    /// A request within the dialog, from one of its sides.
    fn within(&mut self, side: Side, method: &str) {
        let Some(dialog) = self.dialog() else { return };
        let (Some(callee), Some(near)) = (dialog.callee_hop, dialog.caller_hop) else { return };
        let mut routes = self.routes.get(&callee.addr).cloned().unwrap_or_default();
        let (from, hop, target, ends) = match side {
            Side::Caller => {
                routes.reverse();
                (addr(CALLER), near, dialog.callee_contact, (&dialog.from, &dialog.to))
            }
            Side::Callee => (callee.addr, callee, dialog.caller_contact, (&dialog.to, &dialog.from)),
        };
        self.count += 1;
        let lines: String = routes.iter().flat_map(|route| ["Route: ", route, "\r\n"]).collect();
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bKwithin{};rport\r\n{lines}From: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} {method}\r\nMax-Forwards: 70\r\nRAck: 1 1 INVITE\r\nSupported: timer\r\nSession-Expires: 600\r\nContent-Length: 0\r\n\r\n",
            target.unwrap_or_default(),
            hop.transport.via(),
            hop.addr,
            self.count,
            ends.0,
            ends.1,
            dialog.call_id,
            500 + self.within_at.len(),
        );
        self.post(from, addr(EDGE), hop.transport.stream(), text.as_bytes());
    }

    pub(crate) fn replacements(&self) -> u32 {
        self.replaced - 1
    }

    pub(crate) fn answered(&self) -> usize {
        self.facts.iter().filter(|fact| matches!(fact, Fact::Answered { .. })).count()
    }

    /// The end of the dialog that was answered.
    pub(crate) fn ended(&self) -> Option<Side> {
        let tag = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.to_tag.as_str()),
            _ => None,
        })?;
        self.facts.iter().find_map(|fact| match fact {
            Fact::Ended { by, callee_tag, .. } if callee_tag == tag => Some(*by),
            _ => None,
        })
    }

    pub(crate) fn failed(&self) -> Option<(u16, Cause)> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Failed { status, cause, .. } => Some((*status, *cause)),
            _ => None,
        })
    }

    pub(crate) fn attempts(&self) -> Vec<(u64, Option<u16>, Cause)> {
        let attempt = |fact: &Fact| match fact {
            Fact::Attempt(one) => Some((one.tag, one.status, one.cause)),
            _ => None,
        };
        self.facts.iter().filter_map(attempt).collect()
    }

    /// What the caller sends, for who holds answers against it.
    fn heard(&mut self, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("the caller sends SIP");
        let core = Core::read(&message).expect("valid SIP");
        if message.status().is_none() {
            self.numbers.insert(core.via.branch.unwrap_or_default().to_vec(), core.cseq);
        }
    }

    /// What came from the caller, for who repeats it. Whoever is quicker than the caller itself is not stopped by digest: its
    /// answer is taken once, whoever brings it.
    fn came(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let first =
            Core::read(&message).is_ok_and(|core| core.method == Method::Invite && core.to_tag.is_none());
        if message.status().is_none() && first {
            self.invite = bytes.to_vec();
        }
    }

    /// Whatever numbers its requests have on the other side: the caller hears its own.
    fn check_number(&self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let Some(own) = core.via.branch.and_then(|branch| self.numbers.get(branch)) else { return };
        assert!(message.status().is_none() || core.cseq == *own, "an answer to {own} says {}", core.cseq);
    }

    fn drain_agents(&mut self) {
        while let Some(output) = self.caller.poll() {
            match output {
                AgentOutput::Send { to, bytes } => {
                    self.heard(&bytes);
                    self.post(addr(CALLER), to, self.caller_stream, &bytes);
                }
                AgentOutput::Event { event, .. } => {
                    self.trace.push(format!("        caller {event:?}"));
                    self.events.push(event);
                }
            }
        }
        for index in 0..self.agents.len() {
            let (from, transport, _) = self.agents[index];
            while let Some(output) = self.agents[index].2.poll() {
                match output {
                    AgentOutput::Send { to, bytes } => {
                        if let Some(tag) = own_tag(&bytes, true) {
                            self.tags.insert(tag, index);
                        }
                        self.post(from, to, transport.stream(), &bytes);
                    }
                    AgentOutput::Event { event, .. } => self.agent_events.push((index, event)),
                }
            }
        }
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

    /// Ends the call as the shell does: by the facts alone.
    fn hang_up(&mut self) {
        self.trace.push("        hang up".into());
        let stopped = self.edge.stop(self.now, ids().call);
        let sides = match self.dialog() {
            Some(dialog) if !stopped => self.edge.hang_up(self.now, (ids(), 7), &dialog, "Q.850;cause=16"),
            _ => 0,
        };
        self.hung_up.push((stopped, sides));
    }

    /// The dialog as the facts tell it.
    pub(crate) fn dialog(&self) -> Option<Dialog> {
        let mut dialog = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.as_ref().clone()),
            _ => None,
        })?;
        for fact in &self.facts {
            match fact {
                Fact::Step { by: Side::Caller, bits, .. } => dialog.cseq = dialog.cseq.max((1 << bits) - 1),
                Fact::Step { by: Side::Callee, bits, .. } => {
                    dialog.callee_cseq = dialog.callee_cseq.max((1 << bits) - 1);
                }
                _ => {}
            }
        }
        Some(dialog)
    }

    fn deliver(&mut self, packet: &Packet) {
        if self.deaf.get(&packet.to).is_some_and(|after| self.start + *after <= self.now) {
            return;
        }
        let input = AgentInput::Message { from: packet.from, bytes: &packet.bytes };
        if packet.to == addr(EDGE) {
            if packet.from == addr(CALLER) {
                self.came(&packet.bytes);
            }
            let transport = if packet.stream { Transport::Tcp } else { Transport::Udp };
            let connection = packet.stream.then_some(1);
            let flow =
                Flow { listener: u16::from(packet.stream), transport, remote: packet.from, connection };
            self.edge.handle(self.now, Input::Message { flow, bytes: &packet.bytes });
        } else if packet.to == addr(CALLER) {
            self.check_number(&packet.bytes);
            self.caller.handle(self.now, input);
        } else if packet.to == addr(EAVESDROPPER) {
            // it hears that it is nobody
        } else {
            match self.doors.get_mut(&packet.to).map_or(Passed::In, |door| door.pass(&packet.bytes)) {
                Passed::In => {}
                Passed::Answered(bytes) => return self.post(packet.to, packet.from, packet.stream, &bytes),
                Passed::Nothing => return,
            }
            let whose = own_tag(&packet.bytes, false).and_then(|tag| self.tags.get(&tag).copied());
            let here = |(index, one): &(usize, &mut (SocketAddr, Transport, Answerer))| {
                one.0 == packet.to && whose.is_none_or(|whose| whose == *index)
            };
            for (_, (_, _, agent)) in self.agents.iter_mut().enumerate().filter(here) {
                agent.handle(self.now, input);
            }
        }
    }

    fn check_idle(&self) {
        let trace = || self.trace.join("\n");
        assert!(self.edge.idle(), "the edge is not idle:\n{}", trace());
        assert!(self.caller.finished(), "the caller is not finished:\n{}", trace());
        for (at, _, agent) in &self.agents {
            assert!(agent.idle(), "agent {at} is not idle:\n{}", trace());
        }
    }
}

/// The tag of an agent in a message that it sends or gets.
fn own_tag(bytes: &[u8], sends: bool) -> Option<Vec<u8>> {
    let message = Message::parse(bytes).ok()?;
    let core = Core::read(&message).ok()?;
    // in its requests and their answers it is in From
    let tag = if message.status().is_some() == sends { core.to_tag } else { Some(core.from_tag) };
    tag.map(<[u8]>::to_vec)
}

pub(crate) fn refuse(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refuse { status, reason, reason_header: None, retry_after: None, fact_call: Some(ids()) }
}

fn short(fact: &Fact) -> String {
    match fact {
        Fact::Attempt(one) => format!("attempt {} {:?} {:?}", one.n, one.status, one.cause),
        Fact::Answered { known, .. } => format!("answered {known:?}"),
        Fact::Ended { by, .. } => format!("ended {by:?}"),
        Fact::Failed { status, cause, .. } => format!("failed {status} {cause:?}"),
        Fact::Refreshed { .. } => "refreshed".into(),
        Fact::HungUp { mark, .. } => format!("hung up {mark}"),
        Fact::Step { by, bits, .. } => format!("step {by:?} {bits}"),
        Fact::Leg { .. } | Fact::Unplaced { .. } => format!("{fact:?}"),
    }
}
