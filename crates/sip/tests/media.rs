//! What becomes of offers after the first: in the answer, within the dialog, on any process; and addresses nobody reaches.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod settings;

use std::time::Instant;

use settings::over;
use sip::*;

const CARRIER: &str = "198.51.100.7:5060";
const AGENT: &str = "192.0.2.10:5060";
const PLAIN: &str = "v=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 4000 RTP/AVP 0\r\n";
const SDES: &str = "v=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 X inline:y\r\n";
const DTLS: &str =
    "v=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 4000 UDP/TLS/RTP/SAVP 0\r\na=fingerprint:sha-256 AA\r\n";

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

struct Line {
    edge: Edge,
    now: Instant,
    media: MediaRule,
    sent: Vec<(String, String)>,
    facts: Vec<Fact>,
}

impl Line {
    fn new(media: MediaRule) -> Self {
        Self {
            edge: Edge::new(over(&[Transport::Udp], 1)),
            now: origin(),
            media,
            sent: Vec::new(),
            facts: Vec::new(),
        }
    }

    fn give(&mut self, from: &str, text: &str) {
        let remote = from.parse().unwrap();
        let flow = Flow { listener: 0, transport: Transport::Udp, remote, connection: None };
        self.edge.handle(self.now, Input::Message { flow, bytes: text.as_bytes() });
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Send(send) => {
                    let text = String::from_utf8(send.bytes).unwrap();
                    self.sent.push((send.to.remote.to_string(), text));
                }
                Output::Fact(fact) => self.facts.push(*fact),
                Output::Ask(ask) => {
                    let target = Target {
                        request_uri: format!("sip:+4930123456@{AGENT}"),
                        hops: vec![Hop { transport: Transport::Udp, addr: AGENT.parse().unwrap() }],
                        media: self.media,
                        ..Target::default()
                    };
                    let verdict = match ask.kind {
                        AskKind::Invite => Verdict::Route {
                            call: CallIds::default(),
                            direction: Direction::Inbound,
                            trust: Trust::Untrusted,
                            transfer: Transfer::Allowed,
                            targets: vec![target],
                            legs: Vec::new(),
                        },
                        _ => Verdict::Drop,
                    };
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Login(_) | Output::Probed(_) => panic!("nothing of the kind is asked here"),
            }
        }
    }

    /// The last message to a place that begins so.
    fn last(&self, to: &str, begins: &str) -> Option<&str> {
        let found = self.sent.iter().rev().find(|(at, text)| at == to && text.starts_with(begins));
        found.map(|(_, text)| text.as_str())
    }

    /// Sets a call up; what is offered, and what the agent answers.
    fn call(&mut self, offer: &str, answer: &str) {
        self.give(CARRIER, &invite(offer));
        let invite = self.last(AGENT, "INVITE").unwrap().to_owned();
        self.give(AGENT, &reply(&invite, 200, answer));
    }

    fn unreachable(&self) -> bool {
        self.facts.iter().any(|fact| matches!(fact, Fact::Answered { dialog, .. } if dialog.unreachable))
    }
}

fn body_of(sdp: &str) -> String {
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

fn invite(sdp: &str) -> String {
    format!(
        "INVITE sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-1\r\n\
         From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+4930123456@203.0.113.1>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:+1201@198.51.100.7>\r\nMax-Forwards: 70\r\n{}",
        body_of(sdp)
    )
}

fn reply(request: &str, status: u16, sdp: &str) -> String {
    let kept = ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"];
    let lines = request.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter(|line| kept.contains(&line.split(':').next().unwrap()));
    let tagged = lines.map(|line| {
        let tag = if line.starts_with("To:") && !line.contains("tag=") { ";tag=t1" } else { "" };
        format!("{line}{tag}\r\n")
    });
    let head = tagged.collect::<Vec<_>>().concat();
    format!("SIP/2.0 {status} X\r\n{head}Contact: <sip:a@192.0.2.10>\r\n{}", body_of(sdp))
}

/// A request within the dialog; the caller's, or with `back` the agent's.
fn within(line: &Line, method: &str, sdp: &str, back: bool) -> String {
    let invite = line.last(AGENT, "INVITE").unwrap();
    let route = invite.lines().find_map(|line| line.strip_prefix("Record-Route: ")).unwrap();
    let (uri, via) = if back { ("sip:+1201@198.51.100.7", AGENT) } else { ("sip:a@192.0.2.10", CARRIER) };
    let (one, other) = ("<sip:+1201@c>;tag=f1", "<sip:+4930123456@203.0.113.1>;tag=t1");
    let (from, to) = if back { (other, one) } else { (one, other) };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK-{method}{back}{}\r\nRoute: {route}\r\nFrom: {from}\r\n\
         To: {to}\r\nCall-ID: c1\r\nCSeq: 9 {method}\r\nMax-Forwards: 70\r\n{}",
        sdp.len(),
        body_of(sdp)
    )
}

#[test]
fn an_offer_that_comes_with_the_answer_is_judged_then() {
    for (rule, answer, refused) in [
        (MediaRule::PLAIN, PLAIN, true),
        (MediaRule::PLAIN, SDES, false),
        (MediaRule::SDES, SDES, true),
        (MediaRule::DTLS, DTLS, true),
        (MediaRule::DTLS, PLAIN, false),
        (MediaRule::PLAIN, "", false),
        (MediaRule::default(), SDES, false),
    ] {
        let mut line = Line::new(rule);
        line.call("", answer);
        let told = line.last(CARRIER, if refused { "SIP/2.0 488" } else { "SIP/2.0 200" });
        assert!(told.is_some(), "{rule:?} {answer}: {:?}", line.sent);
        assert_eq!(line.last(AGENT, "ACK").is_some(), refused);
        assert_eq!(
            line.last(AGENT, "BYE").is_some(),
            refused,
            "the agent, who has answered, is told that it is over"
        );
        let failed = |fact: &Fact| matches!(fact, Fact::Failed { status: 488, cause: Cause::Media, .. });
        assert_eq!(line.facts.iter().any(failed), refused);
        let answered = |fact: &Fact| matches!(fact, Fact::Answered { .. });
        assert_eq!(line.facts.iter().any(answered), !refused);
        if refused {
            assert!(told.unwrap().contains("media_encryption"));
        }
    }
}

#[test]
fn an_answer_to_an_offer_is_no_offer() {
    let mut line = Line::new(MediaRule::PLAIN);
    line.call(SDES, PLAIN);
    assert!(
        line.last(CARRIER, "SIP/2.0 200").is_some(),
        "the offer was judged; its answer is the two ends' own"
    );
}

#[test]
fn later_offers_of_either_side_are_judged_alike_by_any_process() {
    for back in [false, true] {
        let (from, there) = if back { (AGENT, CARRIER) } else { (CARRIER, AGENT) };
        for (rule, sdp, refused) in [
            (MediaRule::PLAIN, PLAIN, true),
            (MediaRule::PLAIN, SDES, false),
            (MediaRule::SDES.and(MediaRule::DTLS), SDES, true),
            (MediaRule::SDES.and(MediaRule::DTLS), PLAIN, false),
            (MediaRule::DTLS, DTLS, true),
            (MediaRule::default(), DTLS, false),
            (MediaRule::PLAIN, "", false),
        ] {
            for method in ["INVITE", "UPDATE"] {
                let mut line = Line::new(rule);
                line.call("", "");
                let request = within(&line, method, sdp, back);
                line.edge = Edge::new(over(&[Transport::Udp], 2));
                line.sent.clear();
                line.give(from, &request);
                assert_eq!(line.last(from, "SIP/2.0 488").is_some(), refused, "{rule:?} {method} {sdp}");
                assert_eq!(line.last(there, method).is_some(), !refused);
            }
        }
        // what carries no offer is not looked at
        let mut line = Line::new(MediaRule::PLAIN);
        line.call("", "");
        let request = within(&line, "INFO", PLAIN, back);
        line.give(from, &request);
        assert!(line.last(there, "INFO").is_some());
    }
}

#[test]
fn an_address_that_the_other_side_cannot_reach_is_told() {
    let at = |address: &str| PLAIN.replace("198.51.100.7", address);
    for (offer, answer, told) in [
        (at("198.51.100.7"), at("192.0.2.10"), false),
        (at("10.1.2.3"), at("192.0.2.10"), true),
        (at("198.51.100.7"), at("192.168.1.1"), true),
        (at("0.0.0.0"), at("192.0.2.10"), false),
        (String::new(), at("127.0.0.1"), true),
        ("hello".into(), String::new(), false),
    ] {
        let mut line = Line::new(MediaRule::default());
        line.call(&offer, &answer);
        assert_eq!(line.unreachable(), told, "{offer} / {answer}");
        assert!(line.last(CARRIER, "SIP/2.0 200").is_some(), "it is told, and passes");
    }
}
