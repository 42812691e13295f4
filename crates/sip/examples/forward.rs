//! Parses and forwards one recorded INVITE of 1 KB, to count instructions:
//!
//! ```text
//! cargo build --release -p sip --example forward
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/forward edit 1000
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/forward edit 3000
//! ```
//!
//! The cost of one message is the difference divided by 2,000. `parse` reads only; `edit` reads, checks and writes the
//! forwarded message; `edge` is the whole proxy: question, verdict, 100, signed Via and cookie, INVITE out, and its
//! transaction; `call` is a whole call, six messages in, seven out.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sip::{
    CallIds, Config, Core, Direction, Edge, Flow, Forward, Hop, Input, Interval, Key, Keys, Limits, Listener,
    Message, Output, Routes, Stamp, Target, Timers, Transport, Trust, Verdict, forward_request,
};

const INVITE: &[u8] = include_bytes!("invite.txt");
const TOP: &[u8] = b"Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKAAEAAAABAAAAAAAAAAEAdzW5Mw8c;rport\r\n\
Record-Route: <sip:EQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
@203.0.113.1:5060;transport=udp;lr>\r\n";

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_else(|| "edit".into());
    let count: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let now = Instant::now();
    match mode.as_str() {
        "parse" => (0..count).for_each(|_| {
            black_box(Core::read(&Message::parse(black_box(INVITE)).expect("it is SIP")).is_ok());
        }),
        "edit" => edit(count),
        "edge" => edge(count, now, false),
        _ => edge(count, now, true),
    }
}

fn edit(count: u32) {
    let mut out = Vec::with_capacity(4096);
    let stamp = Stamp { source: "198.51.100.7:5060".parse().expect("an address"), always: false };
    for _ in 0..count {
        out.clear();
        let message = Message::parse(black_box(INVITE)).expect("it is SIP");
        black_box(Core::read(&message).is_ok());
        let request_uri = Some(&b"sip:+4930123456@192.0.2.10:5060"[..]);
        let plan = Forward {
            request_uri,
            top: TOP,
            stamp,
            routes: Routes::Drop,
            anonymous: false,
            shift: 0,
            to: None,
            from: None,
            interval: Interval::Add(1800),
        };
        forward_request(&message, &plan, &mut out);
        black_box(&out);
    }
}

fn config() -> Config {
    Config {
        listeners: vec![Listener {
            transport: Transport::Udp,
            local: "203.0.113.1:5060".parse().expect("an address"),
            public_host: "203.0.113.1".into(),
            public_port: 5060,
        }],
        node: 1,
        process: 1,
        keys: Keys { current: Key { id: 1, secret: [7; 32] }, previous: None },
        timers: Timers::default(),
        limits: Limits::default(),
    }
}

fn flow(from: &str) -> Flow {
    let remote = from.parse().expect("an address");
    Flow { listener: 0, transport: Transport::Udp, remote, connection: None }
}

/// Gives a message and answers its question; the last message sent comes back.
fn give(edge: &mut Edge, now: Instant, from: Flow, bytes: &[u8]) -> Vec<u8> {
    edge.handle(now, Input::Message { flow: from, bytes });
    let mut last = Vec::new();
    while let Some(output) = edge.poll() {
        match output {
            Output::Ask(ask) => {
                let addr = "192.0.2.10:5060".parse().expect("an address");
                let target = Target {
                    request_uri: "sip:+4930123456@192.0.2.10:5060".into(),
                    hops: vec![Hop { transport: Transport::Udp, addr }],
                    flow: None,
                    tag: 0,
                    headers: Vec::new(),
                    ..Target::default()
                };
                let verdict = Verdict::Route {
                    call: CallIds::default(),
                    direction: Direction::Inbound,
                    trust: Trust::Untrusted,
                    transfer: sip::Transfer::Allowed,
                    targets: vec![target],
                    legs: Vec::new(),
                };
                edge.handle(now, Input::Verdict { ask: ask.id, verdict });
            }
            Output::Send(send) => last = send.bytes,
            Output::Fact(fact) => drop(black_box(fact)),
            Output::Login(_) | Output::Probed(_) => {}
        }
    }
    last
}

fn edge(count: u32, start: Instant, whole: bool) {
    let mut edge = Edge::new(config());
    let (carrier, agent) = (flow("198.51.100.7:5060"), flow("192.0.2.10:5060"));
    let text = String::from_utf8_lossy(INVITE).into_owned();
    let calls: Vec<_> =
        (0..count).map(|n| text.replace("471", &n.to_string()).replace("8d4f", &n.to_string())).collect();
    for (n, call) in (0u32..).zip(&calls) {
        // 100 calls a second: transactions end as new ones come
        let now = start + Duration::from_millis(10) * n;
        let sent = give(&mut edge, now, carrier, call.as_bytes());
        if whole {
            answer_and_end(&mut edge, now, (carrier, agent), (call, &sent));
        }
        black_box(&sent);
    }
}

fn answer_and_end(
    edge: &mut Edge,
    now: Instant,
    (carrier, agent): (Flow, Flow),
    (call, sent): (&str, &[u8]),
) {
    let sent = String::from_utf8_lossy(sent);
    let pick = |names: &[&str]| {
        let lines = sent.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.flat_map(|line| [line, "\r\n"]).collect::<String>()
    };
    let to = "To: <sip:+4930123456@203.0.113.1:5060>";
    let head = pick(&["Via", "Record-Route", "From", "Call-ID", "CSeq"]);
    let tail = "Contact: <sip:agent@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n";
    for status in ["180 Ringing", "200 OK"] {
        give(edge, now, agent, format!("SIP/2.0 {status}\r\n{head}{to};tag=x1\r\n{tail}").as_bytes());
    }
    let route = pick(&["Record-Route"]).lines().next().map(|line| line.replace("Record-Route", "Route"));
    let route = route.unwrap_or_default();
    let number =
        call.lines().find_map(|line| line.strip_prefix("CSeq: ")).and_then(|line| line.split(' ').next());
    let number: u32 = number.and_then(|text| text.parse().ok()).unwrap_or_default();
    let dialog = pick(&["From", "Call-ID"]);
    let mut last = Vec::new();
    for (method, number) in [("ACK", number), ("BYE", number + 1)] {
        let request = format!(
            "{method} sip:agent@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK{method}{number}\r\n\
             {route}\r\nMax-Forwards: 70\r\n{dialog}{to};tag=x1\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n"
        );
        last = give(edge, now, carrier, request.as_bytes());
    }
    let bye = String::from_utf8_lossy(&last);
    let vias: String = bye
        .lines()
        .filter(|line| line.starts_with("Via"))
        .flat_map(|line| {
            [
                line, "
",
            ]
        })
        .collect();
    let answer = format!(
        "SIP/2.0 200 OK\r\n{vias}{dialog}{to};tag=x1\r\nCSeq: {} BYE\r\nContent-Length: 0\r\n\r\n",
        number + 1
    );
    give(edge, now, agent, answer.as_bytes());
}
