//! An agent, who is called, and the bridge between them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::*;
use uuid::Uuid;

pub(crate) use crate::settings::EDGE;
use crate::settings::over;

pub(crate) const AGENT_SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\n";
pub(crate) const PHONE_SDP: &[u8] =
    b"v=0\r\no=- 2 2 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn party_addr(index: usize) -> SocketAddr {
    addr(&format!("192.0.2.{}:5060", (index + 1) * 10))
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ids() -> CallIds {
    CallIds { call: Uuid::from_u128(1), organization: Uuid::from_u128(2), number: Uuid::from_u128(3) }
}

pub(crate) const RING: Answering = Answering::Accept { ring: Duration::from_millis(1500) };

pub(crate) fn answerer(index: usize, answering: Answering) -> AnswererConfig {
    AnswererConfig {
        local: Local { transport: Transport::Udp, addr: party_addr(index) },
        answering,
        sdp: if index == 1 { PHONE_SDP.into() } else { AGENT_SDP.into() },
        hang_up_after: None,
        reinvite_after: None,
        calls_max: 10,
        seed: 1000 + index as u64,
        timers: Timers::default(),
    }
}

pub(crate) fn target(index: usize) -> Target {
    Target {
        request_uri: format!("sip:+12015550123@{}", party_addr(index)),
        hops: vec![Hop { transport: Transport::Udp, addr: party_addr(index) }],
        ..Target::default()
    }
}

pub(crate) fn origination(agents: &[usize], phones: &[usize]) -> Origination {
    let party = |indices: &[usize], answer| Party {
        targets: indices.iter().map(|index| target(*index)).collect(),
        from: "sip:+12015550100@203.0.113.1".into(),
        to: String::new(),
        answer,
    };
    Origination {
        ids: ids(),
        agent: party(agents, secs(60)),
        callee: party(phones, secs(60)),
        transfer: Transfer::Refused,
        sound: Sound::Plain,
        media: MediaRule::default(),
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, Packet)>>,
    pub(crate) count: u64,
    pub(crate) random: u64,
    /// In thousandths.
    pub(crate) loss: u64,
    pub(crate) bridges: Bridges,
    /// 0 the agent, 1 who is called, then others.
    pub(crate) parties: Vec<Answerer>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) unknown: Vec<(Unknown, Flow, Vec<u8>)>,
    pub(crate) events: Vec<(usize, AgentEvent)>,
    pub(crate) seen: Vec<(Duration, SocketAddr, SocketAddr, String)>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    pub(crate) fn new(seed: u64, parties: Vec<AnswererConfig>) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            queue: BinaryHeap::new(),
            count: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            loss: 0,
            bridges: Bridges::new(over(&[Transport::Udp], 1)),
            parties: parties.into_iter().map(Answerer::new).collect(),
            facts: Vec::new(),
            unknown: Vec::new(),
            events: Vec::new(),
            seen: Vec::new(),
        }
    }

    pub(crate) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 3
    }

    pub(crate) fn post(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.seen.push((self.now - self.start, from, to, text));
        let copies = match self.next_random() % 1000 {
            lost if lost < self.loss => 0,
            twice if self.loss > 0 && twice > 970 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.loss > 0 { self.next_random() % 300 } else { 0 };
            self.count += 1;
            let at = self.now + Duration::from_millis(20 + late);
            self.queue.push(Reverse((at, self.count, Packet { from, to, bytes: bytes.to_vec() })));
        }
    }

    pub(crate) fn drain(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.bridges.poll() {
                quiet = false;
                match output {
                    Output::Send(send) => self.post(addr(EDGE), send.to.remote, &send.bytes),
                    Output::Fact(fact) => self.facts.push(*fact),
                    Output::Ask(_) | Output::Login(_) | Output::Probed(_) => panic!("a question"),
                }
            }
            while let Some(unknown) = self.bridges.poll_unknown() {
                self.unknown.push(unknown);
            }
            for index in 0..self.parties.len() {
                while let Some(output) = self.parties[index].poll() {
                    quiet = false;
                    match output {
                        AgentOutput::Send { to, bytes } => self.post(party_addr(index), to, &bytes),
                        AgentOutput::Event { event, .. } => self.events.push((index, event)),
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        for turn in 0.. {
            assert!(
                turn < 100_000,
                "no end: {:?} {:?}",
                self.story(),
                self.bridges.next_deadline().map(|at| at - self.start)
            );
            self.drain();
            let packet = self.queue.peek().map(|Reverse((at, ..))| *at);
            let parties = self.parties.iter().filter_map(Answerer::next_deadline);
            let next = parties.chain(self.bridges.next_deadline()).chain(packet).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let now = self.now;
            if packet.is_some_and(|at| at <= now) {
                let Reverse((_, _, Packet { from, to, bytes })) = self.queue.pop().unwrap();
                if to == addr(EDGE) {
                    assert!(Bridges::owns(&bytes), "{}", String::from_utf8_lossy(&bytes));
                    let flow =
                        Flow { listener: 0, transport: Transport::Udp, remote: from, connection: None };
                    self.bridges.handle(now, flow, &bytes);
                } else if let Some(index) = (0..self.parties.len()).find(|index| party_addr(*index) == to) {
                    self.parties[index].handle(now, AgentInput::Message { from, bytes: &bytes });
                }
                continue;
            }
            self.bridges.tick(now);
            for party in &mut self.parties {
                party.handle(now, AgentInput::Tick);
            }
        }
        self.now = end;
    }

    pub(crate) fn call(&mut self, agents: &[usize], phones: &[usize]) {
        assert!(self.bridges.originate(self.now, origination(agents, phones)));
    }

    /// A new process takes over.
    pub(crate) fn replace(&mut self) {
        self.drain();
        self.bridges = Bridges::new(over(&[Transport::Udp], 2));
    }

    pub(crate) fn sent<'w>(&'w self, from: &'w str, to: usize, method: &'w str) -> Vec<&'w str> {
        let fits = |(_, f, t, text): &&(Duration, SocketAddr, SocketAddr, String)| {
            *f == addr(from) && *t == party_addr(to) && text.starts_with(method)
        };
        self.seen.iter().filter(fits).map(|(.., text)| text.as_str()).collect()
    }

    pub(crate) fn to(&self, index: usize, method: &str) -> usize {
        self.sent(EDGE, index, method).len()
    }

    pub(crate) fn story(&self) -> Vec<String> {
        let tell = |fact: &Fact| match fact {
            Fact::Leg { side, leg, .. } => {
                format!("leg {side:?} {}", if leg.branch.is_empty() { "up" } else { "dialled" })
            }
            Fact::Attempt(attempt) => {
                format!("attempt {} {:?} {:?}", attempt.n, attempt.status, attempt.cause)
            }
            Fact::Answered { .. } => "answered".to_owned(),
            Fact::Ended { by, .. } => format!("ended {by:?}"),
            Fact::HungUp { mark, .. } => format!("hung up {mark}"),
            Fact::Unplaced { side, status, cause, .. } => format!("unplaced {side:?} {status} {cause:?}"),
            other => format!("{other:?}"),
        };
        self.facts.iter().map(tell).collect()
    }

    /// What the record has of a call that is up.
    pub(crate) fn dialogs(&self) -> BridgeDialogs {
        let found = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.clone()),
            _ => None,
        });
        let dialog = found.unwrap();
        let callee = BridgeLeg {
            call_id: dialog.call_id,
            ours: dialog.from,
            theirs: dialog.to,
            target: dialog.callee_contact.unwrap(),
            routes: dialog.callee_routes,
            hop: dialog.callee_hop,
            listener: dialog.callee_listener.unwrap(),
            cseq: dialog.cseq,
            branch: String::new(),
        };
        let agent = *dialog.bridged.unwrap();
        BridgeDialogs { agent, callee, ..BridgeDialogs::default() }
    }

    pub(crate) fn legs(&self) -> Vec<(Side, BridgeLeg)> {
        let mut legs: Vec<(Side, BridgeLeg)> = Vec::new();
        for fact in &self.facts {
            if let Fact::Leg { side, leg, .. } = fact {
                legs.retain(|(known, _)| known != side);
                legs.push((*side, (**leg).clone()));
            }
        }
        legs
    }

    pub(crate) fn over(&mut self) {
        self.run(secs(400));
        assert_eq!(self.bridges.count(), 0, "{:?}", self.story());
        assert!(self.parties.iter().all(|party| party.up() == 0), "{:?}", self.story());
    }
}

pub(crate) fn two(agent: Answering, phone: Answering) -> World {
    World::new(1, vec![answerer(0, agent), answerer(1, phone)])
}

pub(crate) const NOW: Answering = Answering::Accept { ring: Duration::ZERO };
