//! Calls of our own, message by message: what the two sides may say that a whole user agent of ours never does.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod settings;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sip::*;
use uuid::Uuid;

const AGENT: &str = "192.0.2.10:5060";
const PHONE: &str = "192.0.2.20:5060";
const OTHER: &str = "192.0.2.30:5060";

fn sdp(host: &str, port: u16) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n")
}

fn ids() -> CallIds {
    CallIds { call: Uuid::from_u128(1), organization: Uuid::from_u128(2), number: Uuid::from_u128(3) }
}

fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.map_or("", |line| line.split_once(':').unwrap().1.trim())
}

/// The bridges, and what they said.
struct Desk {
    now: Instant,
    bridges: Bridges,
    sent: Vec<(String, String)>,
    facts: Vec<Fact>,
    count: u32,
}

impl Desk {
    fn new(phones: &[&str]) -> Self {
        Self::with(phones, MediaRule::default())
    }

    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    fn with(phones: &[&str], media: MediaRule) -> Self {
        let target = |at: &&str| Target {
            request_uri: format!("sip:+12015550123@{at}"),
            hops: vec![Hop { transport: Transport::Udp, addr: at.parse().unwrap() }],
            ..Target::default()
        };
        let party = |at: &[&str]| Party {
            targets: at.iter().map(target).collect(),
            from: "sip:+12015550100@203.0.113.1".into(),
            to: String::new(),
            answer: Duration::from_mins(1),
        };
        let (agent, callee) = (party(&[AGENT]), party(phones));
        let (sound, transfer) = (Sound::Plain, Transfer::Refused);
        let new = Origination { ids: ids(), agent, callee, transfer, sound, media };
        let (sent, facts) = (Vec::new(), Vec::new());
        let bridges = Bridges::new(settings::over(&[Transport::Udp], 1));
        let mut desk = Self { now: Instant::now(), bridges, sent, facts, count: 0 };
        assert!(desk.bridges.originate(desk.now, new));
        desk.drain();
        desk
    }

    fn drain(&mut self) {
        while let Some(output) = self.bridges.poll() {
            match output {
                Output::Send(send) => {
                    let text = String::from_utf8(send.bytes).unwrap();
                    self.sent.push((send.to.remote.to_string(), text));
                }
                Output::Fact(fact) => self.facts.push(*fact),
                Output::Ask(_) | Output::Login(_) | Output::Probed(_) => panic!("a question"),
            }
        }
    }

    fn come(&mut self, from: &str, text: &str) {
        assert!(Bridges::owns(text.as_bytes()), "{text}");
        let remote = from.parse().unwrap();
        let flow = Flow { listener: 0, transport: Transport::Udp, remote, connection: None };
        self.bridges.handle(self.now, flow, text.as_bytes());
        self.drain();
    }

    /// Time passes in steps, as it does.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.bridges.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.bridges.tick(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// The last request of a method to somebody.
    fn last(&self, to: &str, method: &str) -> String {
        let fits = |(at, text): &&(String, String)| at == to && text.starts_with(&format!("{method} "));
        self.sent.iter().rev().find(fits).map(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// How many messages somebody got, without repeats.
    fn count(&self, to: &str, start: &str) -> usize {
        let fits = self.sent.iter().filter(|(at, text)| at == to && text.starts_with(start));
        fits.collect::<BTreeSet<_>>().len()
    }

    /// Answers the last request of a method to somebody.
    fn answer(&mut self, who: &str, method: &str, status: u16, (lines, body): (&str, &str)) {
        let request = self.last(who, method);
        assert!(!request.is_empty(), "no {method} to {who}: {:?}", self.sent);
        let mut text = format!("SIP/2.0 {status} Word\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let value = value(&request, &name.to_ascii_lowercase());
            let tag = if name == "To" && !value.contains(";tag=") && status > 100 { ";tag=them" } else { "" };
            write!(text, "{name}: {value}{tag}\r\n").unwrap();
        }
        write!(text, "Contact: <sip:them@{who}>\r\n{lines}").unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        write!(text, "{kind}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.come(who, &text);
    }

    /// A request of somebody's within its dialog.
    fn ask(&mut self, who: &str, method: &str, (lines, body): (&str, &str)) {
        let (invite, ack) = (self.last(who, "INVITE"), self.last(who, "ACK"));
        let contact = value(&invite, "contact").trim_matches(['<', '>']).to_owned();
        self.count += 1;
        let number = 100 + self.count;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {who};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:them@{who}>\r\n{lines}{kind}Content-Length: {}\r\n\r\n{body}",
            value(&ack, "to"),
            value(&ack, "from"),
            value(&ack, "call-id"),
            body.len()
        );
        self.come(who, &text);
    }

    /// Both sides are up.
    fn up(phone_lines: &str) -> Self {
        let mut desk = Self::new(&[PHONE]);
        desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
        desk.answer(PHONE, "INVITE", 200, (phone_lines, &sdp("192.0.2.20", 6000)));
        desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
        assert!(desk.last(AGENT, "INVITE").contains("m=audio 6000"));
        desk
    }

    fn ended(&self) -> bool {
        self.facts.iter().any(|fact| matches!(fact, Fact::Ended { .. } | Fact::Unplaced { .. }))
    }

    fn renewals(&self) -> Vec<Option<u32>> {
        let one = |fact: &Fact| match fact {
            Fact::Refreshed { seconds, .. } => Some(*seconds),
            _ => None,
        };
        self.facts.iter().filter_map(one).collect()
    }
}

#[test]
fn a_phone_whose_carrier_is_still_looking_for_it_is_not_called_a_second_time() {
    let mut desk = Desk::new(&[PHONE, OTHER]);
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
    desk.answer(PHONE, "INVITE", 100, ("", ""));
    desk.pass(Duration::from_secs(10));
    assert_eq!((desk.count(OTHER, "INVITE"), desk.count(PHONE, "CANCEL")), (0, 0));
    desk.answer(PHONE, "INVITE", 200, ("", &sdp("192.0.2.20", 6000)));
    let Some(Fact::Attempt(attempt)) = desk.facts.iter().rev().find(|fact| matches!(fact, Fact::Attempt(_)))
    else {
        panic!("an attempt")
    };
    assert_eq!((attempt.status, attempt.ringing), (Some(200), None), "100 is no ringing");
}

#[test]
fn a_session_that_we_refresh_is_known_to_live() {
    let mut desk = Desk::up("Session-Expires: 1800;refresher=uac\r\n");
    desk.pass(Duration::from_secs(901));
    desk.answer(PHONE, "INVITE", 200, ("Session-Expires: 1800;refresher=uac\r\n", &sdp("192.0.2.20", 6000)));
    assert_eq!(desk.renewals(), [Some(1800)]);
}

#[test]
fn a_session_that_the_sides_agree_on_is_kept_by_whom_they_say() {
    let mut desk = Desk::up("Session-Expires: 1800;refresher=uas\r\n");
    let lines = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
    for _ in 0..4 {
        desk.pass(Duration::from_mins(15));
        assert!(!desk.ended(), "{:?}", desk.facts.last());
        desk.ask(AGENT, "UPDATE", (lines, ""));
        assert!(desk.last(PHONE, "UPDATE").contains("Session-Expires: 1800;refresher=uac"));
        desk.answer(PHONE, "UPDATE", 200, ("Session-Expires: 1800;refresher=uac\r\n", ""));
    }
    assert_eq!(desk.renewals(), [Some(1800); 4]);
    desk.pass(Duration::from_secs(1831));
    assert!(!desk.ended());
    desk.pass(Duration::from_secs(2));
    assert!(desk.ended(), "the agent was to refresh it, and did not");
}

#[test]
fn sound_that_was_refused_while_it_rang_is_told_again_with_the_answer() {
    let mut desk = Desk::new(&[PHONE]);
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
    desk.answer(PHONE, "INVITE", 183, ("", &sdp("192.0.2.20", 6000)));
    desk.answer(AGENT, "INVITE", 500, ("", ""));
    assert!(!desk.ended());
    desk.answer(PHONE, "INVITE", 200, ("", &sdp("192.0.2.20", 6000)));
    assert_eq!(desk.count(AGENT, "INVITE"), 3);
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
    assert!(!desk.ended());
}

#[test]
fn an_agent_that_moves_when_it_hears_of_the_phone_is_found_by_it() {
    // while it rings, and where the two meet
    let mut desk = Desk::new(&[PHONE]);
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
    desk.answer(PHONE, "INVITE", 183, ("", &sdp("192.0.2.20", 6000)));
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4002)));
    assert_eq!(desk.count(PHONE, "INVITE"), 1);
    desk.answer(PHONE, "INVITE", 200, ("", &sdp("192.0.2.20", 6000)));
    assert!(desk.last(PHONE, "INVITE").contains("m=audio 4002"));
    desk.answer(PHONE, "INVITE", 491, ("", ""));
    assert_eq!(desk.count(PHONE, "INVITE"), 2);
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.count(PHONE, "INVITE"), 3);
    desk.answer(PHONE, "INVITE", 200, ("", &sdp("192.0.2.20", 6000)));
    desk.pass(Duration::from_mins(1));
    assert_eq!((desk.count(PHONE, "INVITE"), desk.ended()), (3, false));
}

#[test]
fn a_phone_that_asks_at_the_same_time_over_and_over_learns_of_the_agent_all_the_same() {
    let mut desk = Desk::new(&[PHONE]);
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4000)));
    desk.answer(PHONE, "INVITE", 200, ("", &sdp("192.0.2.20", 6000)));
    desk.answer(AGENT, "INVITE", 200, ("", &sdp("192.0.2.10", 4002)));
    for tries in 2..13 {
        assert_eq!(desk.count(PHONE, "INVITE"), tries);
        assert!(desk.last(PHONE, "INVITE").contains("m=audio 4002"));
        desk.answer(PHONE, "INVITE", 491, ("", ""));
        desk.pass(Duration::from_secs(5));
    }
    // One that never does anything else is not asked for ever.
    assert_eq!((desk.count(PHONE, "INVITE"), desk.ended()), (12, false));
}

#[test]
fn large_requests_of_one_side_are_bounded_and_forgotten() {
    let mut desk = Desk::up("");
    let body = "x".repeat(60_000);
    for _ in 0..10 {
        desk.ask(AGENT, "MESSAGE", ("", &body));
    }
    let (on, back) = (desk.count(PHONE, "MESSAGE"), desk.count(AGENT, "SIP/2.0 503"));
    assert!(on + back == 10 && (1..=3).contains(&on), "{on} {back}");
    // a side that gives no answer to a message has not gone
    desk.pass(Duration::from_secs(31));
    assert!(!desk.ended());
}

#[test]
fn a_subscription_that_is_not_known_does_not_end_the_call() {
    let mut desk = Desk::up("");
    desk.ask(PHONE, "NOTIFY", ("Event: refer\r\nSubscription-State: active\r\n", ""));
    desk.answer(AGENT, "NOTIFY", 481, ("", ""));
    assert!(!desk.ended() && desk.count(PHONE, "SIP/2.0 481") == 1);
    desk.ask(PHONE, "INFO", ("", ""));
    desk.answer(AGENT, "INFO", 481, ("", ""));
    assert!(desk.ended());
}

#[test]
fn only_what_a_session_may_become_ends_a_call_that_must_be_encrypted() {
    let secure = |host, port| {
        let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:key\r\n";
        sdp(host, port).replace("RTP/AVP", "RTP/SAVP") + keys
    };
    let (agent, phone) = (secure("192.0.2.10", 4000), secure("192.0.2.20", 6000));
    let up = || {
        let mut desk = Desk::with(&[PHONE], MediaRule::PLAIN);
        desk.answer(AGENT, "INVITE", 200, ("", &agent));
        desk.answer(PHONE, "INVITE", 200, ("", &phone));
        desk.answer(AGENT, "INVITE", 200, ("", &agent));
        assert!(!desk.ended());
        desk
    };
    // what it could do, not what it does
    let mut desk = up();
    desk.ask(AGENT, "OPTIONS", ("", ""));
    desk.answer(PHONE, "OPTIONS", 200, ("", &sdp("192.0.2.20", 6000)));
    assert_eq!((desk.ended(), desk.count(AGENT, "SIP/2.0 200")), (false, 1));
    // there is no ACK but that of an INVITE
    let mut desk = up();
    let acks = desk.count(PHONE, "ACK");
    desk.ask(AGENT, "UPDATE", ("", &agent));
    desk.answer(PHONE, "UPDATE", 200, ("", &sdp("192.0.2.20", 6000)));
    assert_eq!((desk.ended(), desk.count(AGENT, "SIP/2.0 488")), (true, 1));
    assert_eq!(desk.count(PHONE, "ACK"), acks);
}
