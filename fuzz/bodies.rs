//! What each fuzz target does with bytes. Beside the targets, `crates/sip/tests/corpora.rs` runs it over the corpora that are kept
//! here and over changes of them, on any toolchain.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::digest::{Credentials, Nonces, Secret, names};
use sip::*;

/// Between the messages of an input of [`edge`].
pub const NEXT: &[u8] = b"\n\0";

/// Reads a message in every way there is, forwards it, and reads that again.
pub fn parser(bytes: &[u8]) {
    let mut framer = Framer::new();
    framer.push(bytes);
    while let Ok(Some(_)) = framer.next_frame() {}
    if let Some(uri) = Uri::parse(bytes) {
        std::hint::black_box((uri.dialled_user(), uri.address(), uri.loose()));
    }
    let Ok(message) = Message::parse(bytes) else { return };
    if Core::read(&message).is_err() {
        return;
    }
    let mut out = Vec::new();
    if message.status().is_some() {
        forward_response(&message, &mut out);
        let told = Message::parse(&out).expect("what is forwarded is SIP");
        assert_eq!((told.status(), told.body()), (message.status(), message.body()));
        return;
    }
    let plan = Forward {
        request_uri: Some(b"sip:a@192.0.2.10"),
        top: b"Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx\r\n",
        stamp: Stamp { source: ([198, 51, 100, 7], 5060).into(), always: false },
        routes: Routes::Drop,
        anonymous: true,
        shift: 0,
        to: None,
        from: None,
        interval: Interval::Add(1800),
    };
    forward_request(&message, &plan, &mut out);
    // what was close to the limits may be above them now
    let Ok(sent) = Message::parse(&out) else { return };
    assert_eq!(sent.method_text(), message.method_text());
    assert_eq!(sent.values(Name::Route).count(), 0);
    if Core::read(&sent).is_ok() {
        assert_eq!(sent.body(), message.body());
        assert_eq!(sent.values(Name::Via).count(), message.values(Name::Via).count() + 1);
    }
}

/// Reads credentials; nobody proves a password by chance.
pub fn digest(bytes: &[u8], now: Instant) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(given) = Credentials::read(text) else { return };
    let mut nonces = Nonces::new([7; 32], now);
    std::hint::black_box((nonces.ours(&given), names(&given, "sip:a@b"), nonces.challenges(now, false)));
    std::hint::black_box(nonces.take(&given, now));
    assert!(!Secret::new("nobody", b"a password that stands in no corpus").proves(&given, "INVITE"));
}

/// An offer within an INVITE.
pub fn sdp(bytes: &[u8], now: Instant) {
    let mut text = b"INVITE sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK-1\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\n"
        .to_vec();
    text.extend_from_slice(bytes);
    let mut driver = Driver::new(now);
    driver.give(place(0), &text);
    driver.finish();
}

/// Messages at a whole edge, each after a byte that says who sends it, how, and how long after the last; whether its targets have a
/// password, and whether we ask one of them something first.
pub fn edge(bytes: &[u8], now: Instant) {
    let mut driver = Driver::new(now);
    for part in split(bytes).take(64) {
        driver.part(part);
    }
    driver.finish();
}

fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end = bytes.windows(NEXT.len()).position(|window| window == NEXT);
        let (part, rest) = match end {
            Some(end) => (&bytes[..end], &bytes[end + NEXT.len()..]),
            None => (bytes, &[][..]),
        };
        bytes = rest;
        Some(part)
    })
}

/// The carrier, an agent, another agent, a stranger.
pub fn place(who: u8) -> Flow {
    let remote: SocketAddr = match who {
        0 => ([198, 51, 100, 7], 5060).into(),
        1 => ([192, 0, 2, 10], 5060).into(),
        2 => ([192, 0, 2, 11], 5060).into(),
        _ => ([203, 0, 113, 99], 40_000).into(),
    };
    Flow { listener: 0, transport: Transport::Udp, remote, connection: None }
}

/// An edge with a carrier and two agents.
pub struct Driver {
    pub edge: Edge,
    now: Instant,
    known: bool,
    login: bool,
    sent: usize,
    /// Questions that were asked, and those that were answered, be it by silence.
    asked: u64,
    heard: u64,
}

impl Driver {
    pub fn new(now: Instant) -> Self {
        let listener = |transport| Listener {
            transport,
            local: ([203, 0, 113, 1], 5060).into(),
            public_host: "203.0.113.1".into(),
            public_port: 5060,
        };
        let edge = Edge::new(Config {
            listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
            node: 1,
            process: 1,
            keys: Keys { current: Key { id: 1, secret: [7; 32] }, previous: None },
            timers: Timers::default(),
            limits: Limits::default(),
        });
        Self { edge, now, known: true, login: false, sent: 0, asked: 0, heard: 0 }
    }

    /// One message of an input of [`edge`]; what is sent because of it.
    pub fn part(&mut self, part: &[u8]) -> Vec<Vec<u8>> {
        let Some((how, message)) = part.split_first() else { return Vec::new() };
        self.known = how & 64 == 0;
        self.login = how & 8 != 0;
        let mut sent = if how & 128 != 0 { self.probe() } else { Vec::new() };
        self.wait(Duration::from_millis([0, 400, 2100, 33_000][usize::from(how >> 4 & 3)]));
        let mut flow = place(how & 3);
        if how & 4 != 0 {
            flow = Flow { listener: 1, transport: Transport::Tcp, connection: Some(1), ..flow };
        }
        sent.extend(self.give(flow, message));
        sent
    }

    pub fn give(&mut self, flow: Flow, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.edge.handle(self.now, Input::Message { flow, bytes });
        self.drain()
    }

    fn probe(&mut self) -> Vec<Vec<u8>> {
        let hop = Hop { transport: Transport::Udp, addr: place(1).remote };
        let (uri, wait) = (format!("sip:{}", hop.addr), Duration::from_secs(5));
        // an input can foresee it, so that it may answer but for the branch
        let call_id = format!("probe-{}", self.asked);
        if self.edge.probe(self.now, &Probe { mark: self.asked, hop, uri, call_id, wait }).is_ok() {
            self.asked += 1;
        }
        self.drain()
    }

    fn wait(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(due) = self.edge.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.edge.handle(self.now, Input::Tick);
            self.drain();
        }
        self.now = end;
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut sends = Vec::new();
        let mut count = 0;
        while let Some(output) = self.edge.poll() {
            count += 1;
            assert!(count < 200, "one input makes a bounded number of outputs");
            match output {
                Output::Send(send) => {
                    self.sent += 1;
                    assert!(Message::parse(&send.bytes).is_ok(), "what is sent is SIP");
                    allowed(send.to.remote);
                    sends.push(send.bytes);
                }
                Output::Ask(ask) => {
                    let verdict = verdict(&ask.kind, self.known, self.login);
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Login(ask) => {
                    self.edge.handle(self.now, Input::Login { ask, login: Some(login()) });
                }
                Output::Probed(_) => self.heard += 1,
                Output::Fact(_) => {}
            }
        }
        sends
    }

    /// Whatever came in, the edge ends idle, in a bounded number of steps.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            let Some(due) = self.edge.next_deadline() else { break };
            self.now = self.now.max(due);
            self.edge.handle(self.now, Input::Tick);
            self.drain();
        }
        assert!(self.edge.idle(), "idle in the end");
        assert_eq!(self.asked, self.heard, "each question has one answer, be it silence");
    }
}

/// Nothing is sent to a place inside: those who take part here are all outside.
fn allowed(to: SocketAddr) {
    let inside = match to.ip() {
        IpAddr::V4(four) => {
            let shared = four.octets()[0] == 100 && four.octets()[1] & 0xC0 == 64;
            four.is_private() || four.is_loopback() || four.is_link_local() || four.is_unspecified() || shared
        }
        IpAddr::V6(six) => six.is_loopback() || six.is_unspecified() || six.is_unique_local(),
    };
    assert!(!inside, "sent to {to}");
}

fn verdict(kind: &AskKind, known: bool, login: bool) -> Verdict {
    let refuse = |status, reason| Verdict::Refuse {
        status,
        reason,
        reason_header: None,
        retry_after: None,
        fact_call: None,
    };
    match kind {
        _ if !known => Verdict::Drop,
        AskKind::Invite => Verdict::Route {
            call: CallIds::default(),
            direction: Direction::Inbound,
            trust: Trust::Untrusted,
            transfer: Transfer::Refused,
            targets: [1, 2].map(|who| target(who, login)).to_vec(),
            legs: Vec::new(),
        },
        AskKind::Options => Verdict::Answer { headers: Vec::new() },
        AskKind::Malformed { status, reason } => refuse(*status, *reason),
        _ => refuse(405, "Method Not Allowed"),
    }
}

fn login() -> Arc<Login> {
    Arc::new(Login { owner: Default::default(), username: "line".into(), password: b"secret".to_vec() })
}

fn target(who: u8, logs_in: bool) -> Target {
    let addr = place(who).remote;
    Target {
        request_uri: format!("sip:+4930123456@{addr}"),
        hops: vec![Hop { transport: Transport::Udp, addr }],
        tag: who.into(),
        manner: logs_in.then(|| Arc::new(Manner { login: Some(login()), ..Manner::default() })),
        ..Target::default()
    }
}
