//! One edge on invented time, message by message: what is sent, asked and told by each.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part of it")]

#[path = "../settings/mod.rs"]
mod settings;

use std::time::{Duration, Instant};

use sip::*;

pub(crate) const CARRIER: &str = "198.51.100.7:5060";
pub(crate) const AGENT: &str = "192.0.2.10:5060";
pub(crate) const SECOND: &str = "192.0.2.11:5060";
pub(crate) const EDGE: &str = settings::EDGE;
/// Tags and Call-ID of the dialog that [`Bench::up`] makes, as the caller writes them.
pub(crate) const ENDS: (&str, &str, &str) = ("f1", "t1", "c1");
pub(crate) const TARGET: &str = "sip:agent@192.0.2.10:5060";

pub(crate) fn config() -> Config {
    settings::config(1)
}

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn udp(remote: &str) -> Flow {
    Flow { listener: 0, transport: Transport::Udp, remote: remote.parse().unwrap(), connection: None }
}

pub(crate) fn tcp(remote: &str) -> Flow {
    Flow { listener: 1, transport: Transport::Tcp, remote: remote.parse().unwrap(), connection: Some(9) }
}

/// Something that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) to: Flow,
    pub(crate) id: SendId,
    pub(crate) text: String,
}

impl Sent {
    pub(crate) fn first(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let value =
            |line: &'_ str| line.split_once(':').filter(|(n, _)| n.trim() == name).map(|(n, _)| n.len() + 1);
        head.lines().filter_map(|line| value(line).map(|at| line[at..].trim())).collect()
    }

    /// The answer of an agent to this request; `lines` stand before its end.
    pub(crate) fn answer(&self, status: u16, tag: &str, lines: &str) -> String {
        let mut out = format!("SIP/2.0 {status} Answer\r\n");
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.headers(name) {
                let tagged = name == "To" && !value.contains(";tag=") && !tag.is_empty();
                let tag = if tagged { format!(";tag={tag}") } else { String::new() };
                out.extend([name, ": ", value, &tag, "\r\n"]);
            }
        }
        out + "Contact: <sip:agent@192.0.2.10:5060>\r\n" + lines + "Content-Length: 0\r\n\r\n"
    }
}

pub(crate) struct Bench {
    pub(crate) edge: Edge,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) asks: Vec<Ask>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) probed: Vec<Probed>,
    /// Where calls go.
    pub(crate) targets: Vec<Target>,
    pub(crate) transfer: Transfer,
    /// What every question gets instead of the usual verdict.
    pub(crate) verdict: Option<Verdict>,
    /// Questions are kept, not answered.
    pub(crate) hold: bool,
}

pub(crate) fn target(place: &str, transport: Transport) -> Target {
    Target {
        request_uri: format!("sip:+4930123456@{place}"),
        hops: vec![Hop { transport, addr: place.parse().unwrap() }],
        ..Target::default()
    }
}

pub(crate) fn refuse(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refuse { status, reason, reason_header: None, retry_after: None, fact_call: None }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = origin();
        Self {
            edge: Edge::new(config),
            start: now,
            now,
            asks: Vec::new(),
            facts: Vec::new(),
            probed: Vec::new(),
            targets: vec![target(AGENT, Transport::Udp)],
            transfer: Transfer::Allowed,
            verdict: None,
            hold: false,
        }
    }

    pub(crate) fn give(&mut self, from: &str, text: &str) -> Vec<Sent> {
        self.input(udp(from), text)
    }

    pub(crate) fn input(&mut self, flow: Flow, text: &str) -> Vec<Sent> {
        self.edge.handle(self.now, Input::Message { flow, bytes: text.as_bytes() });
        self.drain()
    }

    /// Lets time pass, deadline by deadline; what was sent comes with the milliseconds since the start.
    pub(crate) fn pass(&mut self, by: Duration) -> Vec<(u128, Sent)> {
        let end = self.now + by;
        let mut out = Vec::new();
        while let Some(due) = self.edge.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.edge.handle(self.now, Input::Tick);
            let at = (self.now - self.start).as_millis();
            out.extend(self.drain().into_iter().map(|sent| (at, sent)));
        }
        self.now = end;
        self.edge.handle(self.now, Input::Tick);
        let at = (self.now - self.start).as_millis();
        out.extend(self.drain().into_iter().map(|sent| (at, sent)));
        out
    }

    /// Answers a question that was held.
    pub(crate) fn decide(&mut self, ask: AskId, verdict: Verdict) -> Vec<Sent> {
        self.edge.handle(self.now, Input::Verdict { ask, verdict });
        self.drain()
    }

    pub(crate) fn route(&self) -> Verdict {
        Verdict::Route {
            call: CallIds { call: uuid::Uuid::from_u128(1), ..CallIds::default() },
            direction: Direction::Inbound,
            trust: Trust::Untrusted,
            transfer: self.transfer,
            targets: self.targets.clone(),
            legs: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self) -> Vec<Sent> {
        let mut out = Vec::new();
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Send(send) => {
                    let text = String::from_utf8_lossy(&send.bytes).into_owned();
                    out.push(Sent { to: send.to, id: send.id, text });
                }
                Output::Fact(fact) => self.facts.push(*fact),
                Output::Login(_) => panic!("no target here has a login"),
                Output::Probed(probed) => self.probed.push(probed),
                Output::Ask(ask) => {
                    let verdict = match (&self.verdict, &ask.kind) {
                        (Some(verdict), _) => verdict.clone(),
                        (None, AskKind::Invite) => self.route(),
                        (None, AskKind::Options) => Verdict::Answer { headers: Vec::new() },
                        (None, AskKind::Other(_)) => refuse(405, "Method Not Allowed"),
                        (None, AskKind::Malformed { status, reason }) => refuse(*status, reason),
                    };
                    let id = ask.id;
                    self.asks.push(*ask);
                    if !self.hold {
                        self.edge.handle(self.now, Input::Verdict { ask: id, verdict });
                    }
                }
            }
        }
        out
    }

    /// Places a call; the INVITE as it goes on.
    pub(crate) fn call(&mut self) -> Sent {
        self.give(CARRIER, &request("INVITE", ""))
            .into_iter()
            .find(|sent| sent.first().starts_with("INVITE"))
            .unwrap()
    }

    /// Another call.
    pub(crate) fn call_again(&mut self) -> Sent {
        let text = request("INVITE", "").replace("z9hG4bK-a", "z9hG4bK-again").replace("c1", "c2");
        self.give(CARRIER, &text).into_iter().find(|sent| sent.first().starts_with("INVITE")).unwrap()
    }

    /// Places a call that is answered at once; the `Route` line of the caller's requests.
    pub(crate) fn up(&mut self) -> String {
        let invite = self.call();
        let answer = invite.answer(200, "t1", "");
        self.give(AGENT, &answer);
        format!("Route: {}\r\n", invite.header("Record-Route").unwrap())
    }

    pub(crate) fn statuses(sent: &[Sent]) -> Vec<&str> {
        sent.iter().map(Sent::first).collect()
    }
}

/// A request of the caller outside a dialog.
pub(crate) fn request(method: &str, headers: &str) -> String {
    format!(
        "{method} sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-a-INVITE\r\n\
         From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+4930123456@203.0.113.1>\r\nCall-ID: c1\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:+1201@198.51.100.7>\r\n{headers}Content-Length: 0\r\n\r\n"
    )
}

/// A request within the dialog; `headers` has the routes.
pub(crate) fn within(method: &str, uri: &str, headers: &str, (from, to, call): (&str, &str, &str)) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-b-{method}\r\n{headers}\
         From: <sip:+1201@c>;tag={from}\r\nTo: <sip:+4930123456@203.0.113.1>;tag={to}\r\nCall-ID: {call}\r\n\
         CSeq: 2 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}
