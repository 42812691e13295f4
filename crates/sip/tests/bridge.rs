//! Calls of our own on invented time: an agent, who is called, and the bridge between them, over a network that loses, repeats
//! and delays datagrams from a seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::*;
use uuid::Uuid;

const EDGE: &str = "203.0.113.1:5060";
const AGENT_SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\n";
const PHONE_SDP: &[u8] =
    b"v=0\r\no=- 2 2 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn party_addr(index: usize) -> SocketAddr {
    addr(&format!("192.0.2.{}:5060", (index + 1) * 10))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ids() -> CallIds {
    CallIds { call: Uuid::from_u128(1), organization: Uuid::from_u128(2), number: Uuid::from_u128(3) }
}

fn config(process: u32) -> Config {
    let listener = Listener {
        transport: Transport::Udp,
        local: addr(EDGE),
        public_host: "203.0.113.1".into(),
        public_port: 5060,
    };
    Config {
        listeners: vec![listener],
        process,
        keys: Keys { current: Key { id: 1, secret: [7; 32] }, previous: None },
        timers: Timers::default(),
        limits: Limits::default(),
        node: 1,
    }
}

const RING: Answering = Answering::Accept { ring: Duration::from_millis(1500) };

fn answerer(index: usize, answering: Answering) -> AnswererConfig {
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

fn target(index: usize) -> Target {
    Target {
        request_uri: format!("sip:+12015550123@{}", party_addr(index)),
        hops: vec![Hop { transport: Transport::Udp, addr: party_addr(index) }],
        ..Target::default()
    }
}

fn origination(agents: &[usize], phones: &[usize]) -> Origination {
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

struct World {
    now: Instant,
    start: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, Packet)>>,
    count: u64,
    random: u64,
    /// In thousandths.
    loss: u64,
    bridges: Bridges,
    /// 0 the agent, 1 who is called, then others.
    parties: Vec<Answerer>,
    facts: Vec<Fact>,
    unknown: Vec<(Unknown, Flow, Vec<u8>)>,
    events: Vec<(usize, AgentEvent)>,
    seen: Vec<(Duration, SocketAddr, SocketAddr, String)>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    fn new(seed: u64, parties: Vec<AnswererConfig>) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            queue: BinaryHeap::new(),
            count: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            loss: 0,
            bridges: Bridges::new(config(1)),
            parties: parties.into_iter().map(Answerer::new).collect(),
            facts: Vec::new(),
            unknown: Vec::new(),
            events: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 3
    }

    fn post(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
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

    fn drain(&mut self) {
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

    fn run(&mut self, span: Duration) {
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

    fn call(&mut self, agents: &[usize], phones: &[usize]) {
        assert!(self.bridges.originate(self.now, origination(agents, phones)));
    }

    /// A new process takes over.
    fn replace(&mut self) {
        self.drain();
        self.bridges = Bridges::new(config(2));
    }

    fn sent<'w>(&'w self, from: &'w str, to: usize, method: &'w str) -> Vec<&'w str> {
        let fits = |(_, f, t, text): &&(Duration, SocketAddr, SocketAddr, String)| {
            *f == addr(from) && *t == party_addr(to) && text.starts_with(method)
        };
        self.seen.iter().filter(fits).map(|(.., text)| text.as_str()).collect()
    }

    fn to(&self, index: usize, method: &str) -> usize {
        self.sent(EDGE, index, method).len()
    }

    fn story(&self) -> Vec<String> {
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
    fn dialogs(&self) -> BridgeDialogs {
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

    fn legs(&self) -> Vec<(Side, BridgeLeg)> {
        let mut legs: Vec<(Side, BridgeLeg)> = Vec::new();
        for fact in &self.facts {
            if let Fact::Leg { side, leg, .. } = fact {
                legs.retain(|(known, _)| known != side);
                legs.push((*side, (**leg).clone()));
            }
        }
        legs
    }

    fn over(&mut self) {
        self.run(secs(400));
        assert_eq!(self.bridges.count(), 0, "{:?}", self.story());
        assert!(self.parties.iter().all(|party| party.up() == 0), "{:?}", self.story());
    }
}

fn two(agent: Answering, phone: Answering) -> World {
    World::new(1, vec![answerer(0, agent), answerer(1, phone)])
}

const NOW: Answering = Answering::Accept { ring: Duration::ZERO };

#[test]
fn the_agent_is_called_first_and_learns_the_others_answer() {
    let mut world = two(RING, RING);
    world.call(&[0], &[1]);
    world.run(secs(10));
    assert_eq!(
        world.story(),
        [
            "leg Caller dialled",
            "attempt 0 Some(200) Answered",
            "leg Caller up",
            "leg Callee dialled",
            "attempt 1 Some(200) Answered",
            "answered"
        ]
    );
    let invites = world.sent(EDGE, 0, "INVITE");
    assert!(invites[0].contains("a=inactive") && invites[1].ends_with(str::from_utf8(PHONE_SDP).unwrap()));
    assert_eq!(invites.len(), 2);
    let offer = world.sent(EDGE, 1, "INVITE");
    assert!(offer[0].contains("m=audio 4000") && !offer[0].contains("a=inactive"), "{}", offer[0]);
    assert_eq!((world.to(0, "ACK"), world.to(1, "ACK"), offer.len()), (2, 1, 1));
    world.parties[1].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "ended Callee");
    assert_eq!((world.to(0, "BYE"), world.to(1, "BYE")), (1, 0));
}

#[test]
fn a_long_ring_keeps_nobody_waiting_for_an_ack() {
    let mut world = two(NOW, Answering::Accept { ring: secs(59) });
    world.call(&[0], &[1]);
    world.run(secs(58));
    assert_eq!((world.to(0, "INVITE"), world.to(0, "ACK"), world.to(1, "INVITE")), (1, 1, 1));
    world.run(secs(10));
    assert_eq!(world.story().last().unwrap(), "answered");
    world.bridges.stop(world.now, ids().call, 7, "Q.850;cause=16");
    world.over();
    assert_eq!(world.story().last().unwrap(), "hung up 7");
    assert!(world.sent(EDGE, 1, "BYE")[0].contains("Reason: Q.850;cause=16"));
}

#[test]
fn who_does_not_take_the_call_ends_it_for_both() {
    for (agent, phone, told) in [
        (Answering::Refuse { status: 486 }, RING, "unplaced Caller 486 Refused"),
        (Answering::Silent, RING, "unplaced Caller 408 Timeout"),
        (Answering::Accept { ring: secs(90) }, RING, "unplaced Caller 480 Timeout"),
        (RING, Answering::Refuse { status: 486 }, "unplaced Callee 486 Refused"),
        (RING, Answering::Refuse { status: 404 }, "unplaced Callee 404 Refused"),
        (RING, Answering::Silent, "unplaced Callee 408 Timeout"),
        (RING, Answering::Accept { ring: secs(90) }, "unplaced Callee 480 Timeout"),
    ] {
        let mut world = two(agent, phone);
        world.call(&[0], &[1]);
        world.over();
        assert_eq!(world.story().last().unwrap(), told);
    }
}

#[test]
fn the_next_target_is_tried_where_one_is_silent_or_broken() {
    let mut world = World::new(
        1,
        vec![
            answerer(0, RING),
            answerer(1, RING),
            answerer(2, Answering::Silent),
            answerer(3, Answering::Refuse { status: 503 }),
        ],
    );
    world.call(&[2, 0], &[3, 1]);
    world.run(secs(20));
    let story = world.story();
    assert_eq!(story.last().unwrap(), "answered", "{story:?}");
    assert!(story.contains(&"attempt 0 None Silent".to_owned()), "{story:?}");
    assert!(story.contains(&"attempt 2 Some(503) Refused".to_owned()), "{story:?}");
    world.parties[0].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "ended Caller");
}

#[test]
fn a_call_is_given_up_at_any_time() {
    for millis in (0..5_000).step_by(50) {
        let mut world = two(RING, RING);
        world.call(&[0], &[1]);
        world.run(Duration::from_millis(millis));
        assert!(world.bridges.stop(world.now, ids().call, 3, "Q.850;cause=16"));
        world.over();
        let ends = world
            .story()
            .iter()
            .filter(|fact| fact.starts_with("unplaced") || fact.starts_with("hung up"))
            .count();
        assert_eq!(ends, 1, "{millis} ms: {:?}", world.story());
        assert!(!world.bridges.stop(world.now, ids().call, 3, ""));
    }
}

#[test]
fn an_agent_that_hangs_up_while_it_rings_ends_the_ringing() {
    let mut world = two(NOW, Answering::Accept { ring: secs(30) });
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.parties[0].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "unplaced Caller 487 Cancelled");
    assert_eq!((world.to(1, "CANCEL"), world.to(0, "BYE")), (1, 0));
}

#[test]
fn a_change_of_the_session_goes_to_the_other_side() {
    for changer in [0, 1] {
        let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
        parties[changer].reinvite_after = Some(secs(5));
        let mut world = World::new(1, parties);
        world.call(&[0], &[1]);
        world.run(secs(20));
        let other = 1 - changer;
        let changed =
            world.events.iter().filter(|(at, event)| *at == changer && *event == AgentEvent::Changed).count();
        assert!(changed >= 1, "{changer}: {:?}", world.events);
        let body = if changer == 0 { "m=audio 4000" } else { "m=audio 6000" };
        assert!(world.sent(EDGE, other, "INVITE").last().unwrap().contains(body), "{changer}");
        world.parties[other].hang_up(world.now, None);
        world.over();
    }
}

#[test]
fn when_both_change_at_once_neither_waits_for_ever() {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    // on its way while the other one's is
    parties[0].reinvite_after = Some(secs(5));
    parties[1].reinvite_after = Some(Duration::from_millis(4_990));
    let mut world = World::new(1, parties);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.run(secs(20));
    let texts: Vec<_> = world.seen.iter().map(|(.., text)| text.as_str()).collect();
    assert!(texts.iter().any(|text| text.starts_with("SIP/2.0 491")), "they met");
    assert_eq!(world.story().last().unwrap(), "answered");
    world.parties[0].hang_up(world.now, None);
    world.over();
}

#[test]
fn a_new_process_goes_on_from_the_record() {
    for first in [0, 1] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        world.replace();
        world.parties[first].hang_up(world.now, None);
        world.run(Duration::from_millis(100));
        let (unknown, flow, bytes) = world.unknown.remove(0);
        assert_eq!(
            (unknown.ids, unknown.side),
            (ids(), if first == 0 { Side::Caller } else { Side::Callee })
        );
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.handle(world.now, flow, &bytes);
        world.over();
        assert_eq!(world.story().last().unwrap(), if first == 0 { "ended Caller" } else { "ended Callee" });
        assert_eq!(world.to(1 - first, "BYE"), 1);
    }
}

#[test]
fn a_new_process_finds_out_that_a_side_is_gone() {
    for gone in [None, Some(0), Some(1)] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        world.replace();
        if let Some(index) = gone {
            // It was started anew meanwhile and knows nothing.
            world.parties[index] = Answerer::new(answerer(index, NOW));
        }
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.probe(world.now, ids().call);
        world.run(secs(40));
        assert_eq!((world.to(0, "OPTIONS"), world.to(1, "OPTIONS")), (1, 1));
        let Some(index) = gone else {
            assert!(!world.story().iter().any(|fact| fact.starts_with("ended")), "who answers lives");
            world.parties[0].hang_up(world.now, None);
            world.over();
            continue;
        };
        assert_eq!(world.story().last().unwrap(), if index == 0 { "ended Caller" } else { "ended Callee" });
        assert_eq!(world.to(1 - index, "BYE"), 1);
        world.over();
    }
}

#[test]
fn an_answer_that_comes_again_to_a_new_process_is_acknowledged_and_the_call_goes_on() {
    for party in [0, 1] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        // its ACK was lost with the process
        let answer = |(_, from, _, text): &&(Duration, SocketAddr, SocketAddr, String)| {
            *from == party_addr(party) && text.starts_with("SIP/2.0 200") && text.contains(" INVITE\r\n")
        };
        let answer = world.seen.iter().rev().find(answer).unwrap().3.clone();
        let flow =
            Flow { listener: 0, transport: Transport::Udp, remote: party_addr(party), connection: None };
        world.replace();
        let before = world.to(party, "ACK");
        world.bridges.hold(true);
        world.bridges.handle(world.now, flow, answer.as_bytes());
        world.drain();
        assert_eq!((world.to(party, "ACK"), world.to(party, "BYE")), (before, 0), "it will come again");
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.hold(false);
        world.bridges.handle(world.now, flow, answer.as_bytes());
        world.run(secs(5));
        assert_eq!((world.to(party, "ACK"), world.to(party, "BYE")), (before + 1, 0));
        assert_eq!(world.parties[party].up(), 1);
        world.parties[party].hang_up(world.now, None);
        world.over();
    }
}

#[test]
fn a_new_process_ends_an_adopted_call_on_both_sides() {
    let mut world = two(NOW, NOW);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.replace();
    let dialogs = world.dialogs();
    assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
    assert!(world.bridges.stop(world.now, ids().call, 1, "Q.850;cause=16"));
    world.over();
    assert_eq!((world.to(0, "BYE"), world.to(1, "BYE")), (1, 1));
}

#[test]
fn what_a_dead_process_was_setting_up_is_ended() {
    for millis in (0..4_500).step_by(100) {
        let mut world = two(RING, RING);
        world.call(&[0], &[1]);
        world.run(Duration::from_millis(millis));
        let answered = world.story().contains(&"answered".to_owned());
        world.replace();
        world.run(Duration::from_millis(100));
        let legs = world.legs();
        world.bridges.abandon(world.now, ids(), &legs);
        // one that was answered is up: its record says so
        if answered {
            continue;
        }
        world.over();
    }
}

#[test]
fn a_request_of_a_call_without_a_record_is_refused() {
    let mut world = two(NOW, NOW);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.replace();
    world.parties[0].hang_up(world.now, None);
    world.run(Duration::from_millis(100));
    let (_, flow, bytes) = world.unknown.remove(0);
    world.bridges.refuse(flow, &bytes);
    world.run(secs(1));
    assert!(world.sent(EDGE, 0, "SIP/2.0 481").len() == 1);
    let forged = String::from_utf8(bytes).unwrap().replacen("b.", "b.A", 1);
    world.bridges.handle(world.now, flow, forged.as_bytes());
    assert!(
        world.bridges.poll_unknown().is_none() && world.bridges.poll().is_none(),
        "a forged name is silence"
    );
}

#[test]
fn whatever_is_lost_every_call_ends() {
    for seed in 0..400 {
        let mut parties = vec![answerer(0, RING), answerer(1, RING)];
        parties[usize::from(seed % 2 == 0)].hang_up_after = Some(secs(5));
        parties[0].reinvite_after = (seed % 3 == 0).then(|| secs(2));
        parties[1].reinvite_after = (seed % 5 == 0).then(|| secs(2));
        let mut world = World::new(seed + 1, parties);
        world.loss = 50 + seed % 200;
        world.call(&[0], &[1]);
        if seed % 7 == 0 {
            world.run(Duration::from_millis(200 * (seed % 40)));
            world.bridges.stop(world.now, ids().call, 3, "");
        }
        world.run(secs(600));
        assert_eq!(world.bridges.count(), 0, "seed {seed}: {:?}", world.story());
        let story = world.story();
        let ends = story
            .iter()
            .filter(|f| ["unplaced", "ended", "hung up"].iter().any(|end| f.starts_with(end)))
            .count();
        assert_eq!(ends, 1, "seed {seed}: {story:?}");
        let paired =
            story.contains(&"answered".to_owned()) != story.iter().any(|f| f.starts_with("unplaced"));
        assert!(paired, "seed {seed}: {story:?}");
    }
}

/// The same body with its sound encrypted, by a key of its own.
fn encrypted(sdp: &[u8], key: &str) -> Vec<u8> {
    let text = str::from_utf8(sdp).unwrap().replace("RTP/AVP", "RTP/SAVP");
    format!("{text}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n").into_bytes()
}

fn encrypted_world(phone: Vec<u8>) -> World {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    (parties[0].sdp, parties[1].sdp) = (encrypted(AGENT_SDP, "agent"), phone);
    parties[1].reinvite_after = Some(secs(5));
    let mut world = World::new(1, parties);
    let new = Origination { sound: Sound::Encrypted, media: MediaRule::PLAIN, ..origination(&[0], &[1]) };
    assert!(world.bridges.originate(world.now, new));
    world
}

#[test]
fn each_side_learns_the_others_key_and_nothing_plain_is_offered() {
    let mut world = encrypted_world(encrypted(PHONE_SDP, "phone"));
    world.run(secs(20));
    let invites = world.sent(EDGE, 0, "INVITE");
    assert!(
        invites[0].contains("RTP/SAVP 0 8 9 101")
            && invites[0].contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
    );
    assert!(!invites[0].contains("RTP/AVP"), "{}", invites[0]);
    assert!(invites[1].contains("inline:phone"), "{}", invites[1]);
    assert!(world.sent(EDGE, 1, "INVITE")[0].contains("inline:agent"));
    assert_eq!(world.story().last().unwrap(), "answered", "an offer of the same kind passes");
    world.parties[0].hang_up(world.now, None);
    world.over();
}

#[test]
fn an_answer_that_is_plain_ends_a_call_that_must_not_be() {
    let mut world = encrypted_world(PHONE_SDP.to_vec());
    world.over();
    assert_eq!(world.story()[5..], ["answered", "ended Callee"]);
    // and the agent's, before anybody is called
    let mut world = two(NOW, NOW);
    let new = Origination { sound: Sound::Encrypted, media: MediaRule::PLAIN, ..origination(&[0], &[1]) };
    world.bridges.originate(world.now, new);
    world.over();
    assert_eq!(world.story().last().unwrap(), "unplaced Caller 488 Media");
    assert_eq!(world.to(1, "INVITE"), 0);
}

#[test]
fn a_later_offer_of_the_other_kind_is_refused_also_by_the_next_process() {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    parties[1].reinvite_after = Some(secs(5));
    let mut world = World::new(1, parties);
    world.call(&[0], &[1]);
    world.run(secs(3));
    world.replace();
    let dialogs = BridgeDialogs { media: MediaRule::PLAIN, ..world.dialogs() };
    assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
    let before = world.to(0, "INVITE");
    world.run(secs(10));
    assert_eq!((world.sent(EDGE, 1, "SIP/2.0 488").len(), world.to(0, "INVITE")), (1, before));
    world.parties[0].hang_up(world.now, None);
    world.over();
}

#[test]
fn a_side_that_asks_who_we_are_is_told() {
    let mut world = two(NOW, NOW);
    let mut new = origination(&[0], &[1]);
    let login = Login { owner: Uuid::nil(), username: "line".into(), password: b"secret".to_vec() };
    let manner = Manner { login: Some(Arc::new(login)), ..Manner::default() };
    new.agent.targets[0].manner = Some(Arc::new(manner));
    world.bridges.originate(world.now, new);
    let mut invite = String::new();
    while let Some(output) = world.bridges.poll() {
        if let Output::Send(send) = output {
            invite = String::from_utf8(send.bytes).unwrap();
        }
    }
    let lines: Vec<_> = invite
        .lines()
        .filter(|l| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|h| l.starts_with(h)))
        .collect();
    let challenge = format!(
        "SIP/2.0 407 Who\r\n{}\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
        lines.join("\r\n").replace("\r\nCall-ID", ";tag=x\r\nCall-ID")
    );
    let flow = Flow { listener: 0, transport: Transport::Udp, remote: party_addr(0), connection: None };
    world.bridges.handle(world.now, flow, challenge.as_bytes());
    let mut sent = Vec::new();
    while let Some(output) = world.bridges.poll() {
        if let Output::Send(send) = output {
            sent.push(String::from_utf8(send.bytes).unwrap());
        }
    }
    assert!(sent[0].starts_with("ACK") && sent[1].starts_with("INVITE"), "{sent:?}");
    assert!(
        sent[1].contains("Proxy-Authorization: Digest username=\"line\"")
            && sent[1].contains("CSeq: 2 INVITE")
    );
    assert!(!sent[1].contains(";tag=x") && !sent[1].contains("secret"), "{}", sent[1]);
}
