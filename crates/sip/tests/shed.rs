//! New calls that there is no room for.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;

use bench::config;
use sip::*;
use std::time::Instant;

const INVITE: &str = "INVITE sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKone;rport\r\n\
From: <sip:+12015550123@198.51.100.7>;tag=f\r\nTo: <sip:+4930123456@203.0.113.1>\r\nCall-ID: shed-1\r\nCSeq: 1 INVITE\r\n\
Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
const ANSWER: Shed = Shed::Answer { retry_after: 5 };

fn flow() -> Flow {
    let remote = "198.51.100.7:5060".parse().unwrap();
    Flow { listener: 0, transport: Transport::Udp, remote, connection: None }
}

fn sent(edge: &mut Edge) -> Vec<String> {
    let outputs = std::iter::from_fn(|| edge.poll());
    let texts = outputs.filter_map(|output| match output {
        Output::Send(send) => Some(String::from_utf8(send.bytes).unwrap()),
        _ => None,
    });
    texts.collect()
}

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

#[test]
fn a_new_call_is_told_to_come_back_and_leaves_nothing() {
    let mut edge = Edge::new(config());
    let message = Message::parse(INVITE.as_bytes()).unwrap();
    assert!(edge.shed(flow(), &message, ANSWER));
    let first = sent(&mut edge);
    assert!(first[0].starts_with("SIP/2.0 503 ") && first[0].contains("\r\nRetry-After: 5\r\n"), "{first:?}");
    assert!(edge.idle(), "nothing is kept");
    assert!(edge.shed(flow(), &message, ANSWER));
    assert_eq!(sent(&mut edge), first, "a repeat hears the same, its tag too (RFC 3261 section 8.2.7)");
    assert!(edge.shed(flow(), &message, Shed::Silence));
    assert_eq!(sent(&mut edge), [""; 0]);
}

#[test]
fn what_belongs_to_a_call_is_not_shed() {
    let mut edge = Edge::new(config());
    edge.handle(origin(), Input::Message { flow: flow(), bytes: INVITE.as_bytes() });
    let message = Message::parse(INVITE.as_bytes()).unwrap();
    assert!(!edge.shed(flow(), &message, ANSWER), "the repeat of an INVITE that is here");
    let within =
        INVITE.replace("203.0.113.1>\r\nCall", "203.0.113.1>;tag=t\r\nCall").replace("bKone", "bKtwo");
    assert!(!edge.shed(flow(), &Message::parse(within.as_bytes()).unwrap(), ANSWER), "a re-INVITE");
    for method in ["ACK", "BYE", "CANCEL", "OPTIONS"] {
        let text = INVITE.replace("INVITE", method).replace("bKone", "bKthree");
        assert!(!edge.shed(flow(), &Message::parse(text.as_bytes()).unwrap(), ANSWER), "{method}");
    }
}
