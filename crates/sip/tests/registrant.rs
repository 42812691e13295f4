//! Registering with a carrier, on invented time: what is sent, when it is sent again, and what is never done.

use proptest::prelude::*;
use sip::{
    Account, Fault, Flow, Hop, Listener, Login, Message, Name, REFUSED_REST, Registrant, RegistrantConfig,
    RegistrantOutput, RegistrantState, Timers, Transport, Trouble, registrant_of, registrant_sending,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"\r\n";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

/// One registrant, and what it sent last.
struct Bench {
    one: Registrant,
    now: Instant,
    located: Vec<String>,
    sent: Vec<sip::Send>,
    hops: Vec<Hop>,
}

impl Bench {
    fn new(registrar: &str, transport: Transport, seed: u8) -> Self {
        let listener = |transport, port| Listener {
            transport,
            local: SocketAddr::from(([10, 0, 0, 1], port)),
            public_host: "edge.example".to_owned(),
            public_port: port,
        };
        let login = Login { owner: Uuid::nil(), username: "line7".to_owned(), password: b"secret".to_vec() };
        let account = Account {
            registrar: registrar.to_owned(),
            aor: "sip:line7@carrier.example".to_owned(),
            user: "tr0123".to_owned(),
            instance: Uuid::from_u128(7),
            login: Arc::new(login),
            expires: 3_600,
        };
        let now = origin();
        let listeners = [listener(Transport::Udp, 5060), listener(Transport::Tcp, 5060)].into();
        let config =
            RegistrantConfig { index: 9, account, listeners, timers: Timers::default(), seed: [seed; 32] };
        let hops = vec![Hop { transport, addr: at("192.0.2.9:5060") }];
        Self { one: Registrant::new(config, now), now, located: Vec::new(), sent: Vec::new(), hops }
    }

    fn udp() -> Self {
        Self::new("sip:carrier.example", Transport::Udp, 1)
    }

    /// Takes what there is, and says where the registrar is.
    fn drain(&mut self) {
        while let Some(output) = self.one.poll() {
            match output {
                RegistrantOutput::Locate(uri) => {
                    self.located.push(uri);
                    self.one.found(self.now, &self.hops);
                }
                RegistrantOutput::Send(send) => {
                    assert_eq!(registrant_sending(send.id), Some(9));
                    self.sent.push(send);
                }
            }
        }
    }

    /// Lets time pass to the next deadline; gives how long that took.
    fn wait(&mut self) -> Duration {
        let due = self.one.next_deadline().expect("something is due");
        let took = due.duration_since(self.now);
        self.now = due;
        self.one.tick(due);
        self.drain();
        took
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
    }

    fn begin(mut self) -> Self {
        self.one.tick(self.now);
        self.drain();
        self
    }

    fn last(&self) -> Message<'_> {
        Message::parse(&self.sent.last().expect("something was sent").bytes).expect("it is SIP")
    }

    fn header(&self, name: Name) -> String {
        String::from_utf8_lossy(self.last().value(name).unwrap_or_default()).into_owned()
    }

    fn expires(&self) -> String {
        String::from_utf8_lossy(self.last().other("Expires").unwrap_or_default()).into_owned()
    }

    fn cseq(&self) -> u32 {
        self.header(Name::CSeq).split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
    }

    /// The registrar answers the last request.
    fn answer(&mut self, status: u16, lines: &str) {
        let text = format!(
            "SIP/2.0 {status} Word\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\n{lines}Content-Length: 0\r\n\r\n",
            self.header(Name::Via),
            self.header(Name::From),
            self.header(Name::To),
            self.header(Name::CallId),
            self.header(Name::CSeq),
        );
        assert_eq!(registrant_of(text.as_bytes()), Some(9));
        let to = self.sent.last().expect("something was sent").to;
        let flow = Flow { connection: to.transport.stream().then_some(4), ..to };
        self.one.handle(self.now, flow, text.as_bytes());
        self.drain();
    }

    /// It takes the binding for so many seconds.
    fn accept(&mut self, seconds: u32) {
        let contact = self.header(Name::Contact);
        let uri = contact.split('>').next().unwrap_or_default();
        self.answer(200, &format!("Contact: <sip:other@h>;expires=9, {uri}>;expires={seconds}\r\n"));
    }

    fn state(&self) -> RegistrantState {
        self.one.status(self.now).state
    }

    fn trouble(&self) -> Option<Trouble> {
        self.one.status(self.now).trouble
    }
}

#[test]
fn a_challenge_is_answered_and_the_binding_renewed_before_it_ends() {
    let mut bench = Bench::udp().begin();
    assert_eq!((bench.located.len(), bench.state()), (1, RegistrantState::Registering));
    assert_eq!(bench.last().request_uri(), b"sip:carrier.example");
    let call_id = bench.header(Name::CallId);
    let contact = bench.header(Name::Contact);
    assert!(contact.starts_with("<sip:tr0123@edge.example:5060>;+sip.instance=\"<urn:uuid:"), "{contact}");
    assert!(contact.contains(";reg-id=1;expires=3600"), "{contact}");
    for status in [401, 407] {
        let asks = if status == 401 { CHALLENGE.to_owned() } else { CHALLENGE.replace("WWW", "Proxy") };
        bench.answer(status, &asks);
    }
    let answered = String::from_utf8(bench.sent.last().unwrap().bytes.clone()).unwrap();
    assert!(
        answered.contains("\r\nAuthorization: Digest username=\"line7\"") && answered.contains("Proxy-Auth")
    );
    assert!(!answered.contains("secret") && answered.contains("uri=\"sip:carrier.example\""));
    bench.accept(600);
    assert_eq!((bench.state(), bench.trouble()), (RegistrantState::Registered, None));
    let status = bench.one.status(bench.now);
    assert_eq!(status.until, Some(bench.now + Duration::from_mins(10)));
    for _ in 0..3 {
        let cseq = bench.cseq();
        let wait = bench.wait();
        assert!((360..=480).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!((bench.header(Name::CallId), bench.cseq()), (call_id.clone(), cseq + 1));
        assert!(bench.header(Name::Authorization).contains("nc=0000000"), "the nonce is counted up unasked");
        assert_eq!(bench.state(), RegistrantState::Registered, "the binding stands meanwhile");
        bench.accept(600);
    }
    assert!(bench.header(Name::Authorization).contains("nc=00000005"));
    // The nonce has aged: the new one is answered, with or without a word of staleness.
    bench.wait();
    bench.answer(401, &CHALLENGE.replace("n1", "n2"));
    assert!(bench.header(Name::Authorization).contains("nonce=\"n2\""));
    bench.accept(600);
    assert_eq!(bench.state(), RegistrantState::Registered);
}

#[test]
fn waits_differ_from_one_registrant_to_the_next() {
    let waits: std::collections::BTreeSet<_> = (1..20)
        .map(|seed| {
            let mut bench = Bench::new("sip:carrier.example", Transport::Udp, seed).begin();
            bench.accept(600);
            bench.wait()
        })
        .collect();
    assert!(waits.len() > 15, "{waits:?}");
}

#[test]
fn a_wrong_password_is_not_tried_again_and_again() {
    let mut bench = Bench::udp().begin();
    bench.answer(401, CHALLENGE);
    bench.answer(401, &CHALLENGE.replace("n1", "n2"));
    assert_eq!((bench.state(), bench.trouble()), (RegistrantState::Refused, Some(Trouble::Credentials(401))));
    let begun = bench.now;
    let before = bench.sent.len();
    for tries in 1..=8_u32 {
        let wait = bench.wait();
        assert!(wait >= REFUSED_REST / 2 && wait <= REFUSED_REST, "{wait:?}");
        bench.answer(401, CHALLENGE);
        bench.answer(401, CHALLENGE);
        assert_eq!(bench.state(), RegistrantState::Refused);
        assert_eq!(bench.sent.len(), before + 2 * tries as usize);
        assert_eq!(bench.one.status(bench.now).failures, 1 + tries);
    }
    assert!(bench.now.duration_since(begun) >= Duration::from_hours(4));
    // A stale nonce is no wrong password, once.
    let mut bench = Bench::udp().begin();
    bench.answer(401, CHALLENGE);
    bench.answer(401, &CHALLENGE.replace("n1\"", "n2\", stale=true"));
    bench.answer(401, &CHALLENGE.replace("n1\"", "n3\", stale=true"));
    assert_eq!((bench.state(), bench.sent.len()), (RegistrantState::Refused, 3));
    for (status, lines) in [(403, ""), (404, ""), (401, "WWW-Authenticate: Bearer realm=\"a\"\r\n")] {
        let mut bench = Bench::udp().begin();
        bench.answer(status, lines);
        assert_eq!(bench.state(), RegistrantState::Refused, "{status}");
        assert!(bench.one.next_deadline().unwrap() >= bench.now + REFUSED_REST / 2);
    }
}

#[test]
fn failures_wait_ever_longer_within_bounds() {
    let mut bench = Bench::udp().begin();
    for count in 0..12 {
        bench.answer(500, "");
        assert_eq!(bench.trouble(), Some(Trouble::Answer(500)));
        let wait = bench.wait().as_millis();
        let most = (30_000_u128 << count).min(1_800_000);
        assert!((most / 2..=most).contains(&wait), "{count}: {wait}");
    }
    bench.answer(503, "Retry-After: 2400 (soon)\r\n");
    assert_eq!(bench.wait(), Duration::from_mins(40), "it says so itself");
    bench.answer(503, "Retry-After: 99999999\r\n");
    assert_eq!(bench.wait(), Duration::from_hours(1), "within a bound");
    // A binding that stood for a while: what comes after it is a first failure.
    bench.accept(600);
    bench.wait();
    bench.answer(500, "");
    assert!(bench.one.next_deadline().unwrap() <= bench.now + Duration::from_secs(30));
    assert_eq!(bench.state(), RegistrantState::Registered, "the binding stands until its end");
    bench.pass(Duration::from_mins(10));
    assert_eq!(bench.state(), RegistrantState::Failing);
}

#[test]
fn a_registrar_that_is_silent_is_asked_again_by_the_book() {
    let mut bench = Bench::udp().begin();
    let begun = bench.now;
    let mut at = Vec::new();
    while bench.trouble().is_none() {
        bench.wait();
        at.push(bench.now.duration_since(begun).as_millis());
    }
    // Timer E: 500 ms, doubled up to T2; timer F: 64·T1 (RFC 3261 section 17.1.2.2).
    assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
    assert_eq!(bench.trouble(), Some(Trouble::Silent));
    assert!(bench.sent.windows(2).all(|two| two[0].bytes == two[1].bytes));
    // On a stream nothing is repeated; a provisional answer slows repeats down.
    let mut bench = Bench::new("sip:carrier.example;transport=tcp", Transport::Tcp, 1).begin();
    assert!(bench.header(Name::Contact).contains(":5060;transport=tcp>"));
    assert_eq!((bench.wait(), bench.sent.len()), (Duration::from_secs(32), 1));
    let mut bench = Bench::udp().begin();
    bench.answer(100, "");
    assert_eq!(bench.wait(), Duration::from_secs(4));
}

#[test]
fn the_next_host_is_tried_where_one_fails() {
    let mut bench = Bench::udp();
    let six = Hop { transport: Transport::Udp, addr: at("[2001:db8::1]:5060") };
    let tls = Hop { transport: Transport::Tls, addr: at("192.0.2.8:5061") };
    let other = Hop { transport: Transport::Tcp, addr: at("192.0.2.10:5060") };
    bench.hops.splice(1..1, [six, tls, other]);
    let mut bench = bench.begin();
    let id = bench.sent[0].id;
    bench.one.fault(bench.now, id, Fault::Unreachable);
    bench.drain();
    assert_eq!(
        (bench.sent.len(), bench.sent[1].to.remote),
        (2, other.addr),
        "those without a listener are passed over"
    );
    bench.one.fault(bench.now, id, Fault::Unreachable);
    assert_eq!(bench.sent.len(), 2, "an old fault changes nothing");
    bench.accept(60);
    assert_eq!(bench.state(), RegistrantState::Registered);
    for hops in [vec![], vec![six, tls]] {
        let mut bench = Bench::udp();
        bench.hops = hops;
        let bench = bench.begin();
        assert!(bench.sent.is_empty() && bench.state() == RegistrantState::Failing);
        assert!(matches!(bench.trouble(), Some(Trouble::Fault(Fault::Unresolved | Fault::Unspoken))));
    }
}

#[test]
fn too_brief_an_interval_is_raised_once() {
    let mut bench = Bench::udp().begin();
    bench.answer(423, "Min-Expires: 7200\r\n");
    assert_eq!((bench.expires().as_str(), bench.cseq()), ("7200", 2));
    bench.answer(423, "Min-Expires: 9000\r\n");
    assert_eq!((bench.sent.len(), bench.trouble()), (2, Some(Trouble::Answer(423))));
    bench.wait();
    assert_eq!(bench.expires(), "7200", "what was learnt stays");
    for odd in ["", "Min-Expires: 10\r\n", "Min-Expires: 4294967295\r\n", "Min-Expires: x\r\n"] {
        let mut bench = Bench::udp().begin();
        bench.answer(423, odd);
        assert_eq!((bench.sent.len(), bench.state()), (1, RegistrantState::Failing), "{odd}");
    }
}

#[test]
fn a_registrar_that_moved_is_followed_but_not_round_and_round() {
    let mut bench = Bench::udp().begin();
    bench.answer(302, "Contact: <mailto:a@b>, <sip:x@other.example:5070;transport=udp?Subject=a>\r\n");
    assert_eq!(bench.located.last().unwrap(), "sip:other.example:5070;transport=udp");
    assert_eq!(bench.last().request_uri(), b"sip:other.example:5070;transport=udp");
    bench.accept(600);
    bench.wait();
    assert_eq!(bench.located.last().unwrap(), "sip:other.example:5070;transport=udp", "it goes on there");
    bench.answer(500, "");
    bench.wait();
    assert_eq!(bench.located.last().unwrap(), "sip:carrier.example", "until that fails");
    for _ in 0..3 {
        bench.answer(301, "Contact: <sip:round.example>\r\n");
        assert_eq!(bench.last().request_uri(), b"sip:round.example");
    }
    let count = bench.sent.len();
    bench.answer(301, "Contact: <sip:round.example>\r\n");
    assert_eq!((bench.sent.len(), bench.trouble()), (count, Some(Trouble::Answer(301))));
    // What began under TLS stays so.
    let mut bench = Bench::new("sip:carrier.example;transport=tls", Transport::Tcp, 1).begin();
    bench.answer(302, "Contact: <sip:other.example>\r\n");
    assert_eq!((bench.located.len(), bench.state()), (1, RegistrantState::Failing));
}

#[test]
fn who_is_on_the_public_network_leads_nobody_inside() {
    for (registrar, inside, followed) in [
        ("198.18.0.9:5060", "127.0.0.1:5060", false),
        ("198.18.0.9:5060", "10.0.0.7:5060", false),
        ("198.18.0.9:5060", "192.0.2.77:5060", true),
        ("10.0.0.9:5060", "10.0.0.7:5060", true),
    ] {
        // By address or by a name that leads there: what counts is where it is.
        let mut bench = Bench::udp();
        bench.hops[0].addr = at(registrar);
        let mut bench = bench.begin();
        bench.hops[0].addr = at(inside);
        bench.answer(302, "Contact: <sip:elsewhere.example>\r\n");
        let asked = bench.sent.iter().any(|send| send.to.remote == at(inside));
        assert_eq!(asked, followed, "{registrar} to {inside}");
        if !followed {
            assert_eq!(bench.trouble(), Some(Trouble::Answer(302)));
            bench.hops[0].addr = at(registrar);
            bench.wait();
            assert_eq!(
                bench.located.last().unwrap(),
                "sip:carrier.example",
                "the next try is the trunk's own"
            );
        }
    }
    for (registrar, count) in [("198.18.0.9:5060", 0), ("10.0.0.9:5060", 2)] {
        let mut bench = Bench::udp();
        bench.hops[0].addr = at(registrar);
        let mut bench = bench.begin();
        bench.answer(200, "Service-Route: <sip:a.example;lr>, <sip:10.0.0.7;lr>\r\n");
        assert_eq!(bench.one.status(bench.now).service_route.len(), count, "{registrar}");
    }
}

#[test]
fn a_flow_that_ends_is_made_anew_after_a_while() {
    let mut bench = Bench::new("sip:carrier.example;transport=tcp", Transport::Tcp, 1).begin();
    bench.accept(3_600);
    bench.one.lost(bench.now, 3);
    assert_eq!(bench.state(), RegistrantState::Registered, "another connection");
    bench.one.lost(bench.now, 4);
    assert_eq!(
        (bench.state(), bench.trouble()),
        (RegistrantState::Failing, Some(Trouble::Fault(Fault::Broken)))
    );
    let wait = bench.wait();
    assert!((15..=30).contains(&wait.as_secs()), "{wait:?}");
    bench.accept(3_600);
    assert_eq!(bench.state(), RegistrantState::Registered);
    // It ends while it is renewed: nobody can call by it, whatever the binding says.
    bench.wait();
    bench.one.lost(bench.now, 4);
    assert_eq!(bench.state(), RegistrantState::Registering);
    let id = bench.sent.last().unwrap().id;
    bench.one.fault(bench.now, id, Fault::Broken);
    assert_eq!(
        (bench.state(), bench.trouble()),
        (RegistrantState::Failing, Some(Trouble::Fault(Fault::Broken)))
    );
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(status in 100_u16..700, lines in "((Contact|Expires|Min-Expires|Retry-After|Service-Route|WWW-Authenticate): [ -~]{0,60}\r\n){0,4}") {
        let mut bench = Bench::udp().begin();
        bench.answer(status, &lines);
        // Whatever it said: there is a next step, and not before it is due.
        prop_assert!(bench.one.next_deadline().is_some_and(|at| at > bench.now));
        prop_assert!(bench.sent.len() <= 2 && bench.one.status(bench.now).state != RegistrantState::Leaving);
        bench.one.leave(bench.now);
        bench.drain();
        for _ in 0..16 {
            if !bench.one.finished() {
                bench.wait();
            }
        }
        prop_assert!(bench.one.finished());
    }
}

#[test]
fn who_leaves_takes_the_binding_away() {
    let mut bench = Bench::udp().begin();
    bench.accept(600);
    bench.one.leave(bench.now);
    bench.drain();
    assert_eq!((bench.expires().as_str(), bench.state()), ("0", RegistrantState::Leaving));
    assert!(bench.header(Name::Contact).ends_with(";expires=0"));
    bench.answer(401, CHALLENGE);
    assert!(!bench.one.finished() && bench.expires() == "0");
    bench.answer(200, "");
    assert!(bench.one.finished() && bench.one.next_deadline().is_none());
    // A try that is under way may bind us yet; where nothing was sent there is nothing to take away.
    let mut bench = Bench::udp().begin();
    bench.one.leave(bench.now);
    bench.one.leave(bench.now);
    bench.drain();
    assert_eq!((bench.sent.len(), bench.expires().as_str(), bench.cseq()), (2, "0", 2));
    while !bench.one.finished() {
        bench.wait();
    }
    let mut bench = Bench::udp();
    bench.one.leave(bench.now);
    assert!(bench.one.finished() && bench.one.poll().is_none());
    let mut bench = Bench::udp().begin();
    bench.answer(403, "");
    bench.one.leave(bench.now);
    assert!(bench.one.finished());
}

#[test]
fn what_the_registrar_grants_is_read_as_it_says_it() {
    let until = |lines: &str| {
        let mut bench = Bench::udp().begin();
        bench.answer(200, lines);
        let status = bench.one.status(bench.now);
        (status.until.map(|until| until.duration_since(bench.now).as_secs()), status)
    };
    assert_eq!(until("Contact: <sip:tr0123@nat:9>;expires=120\r\nExpires: 60\r\n").0, Some(120));
    assert_eq!(until("Contact: <sip:x@h>;expires=90\r\n").0, Some(90), "a Contact that was written anew");
    assert_eq!(until("Contact: <sip:x@h>;expires=90, <sip:y@h>\r\nExpires: 70\r\n").0, Some(70));
    assert_eq!(until("").0, Some(3_600));
    assert_eq!(until("Expires: 4294967295\r\n").0, Some(7 * 86_400));
    assert_eq!(until("Expires: 0\r\n").1.trouble, Some(Trouble::Unbound));
    let routes = until("Service-Route: <sip:a.example;lr>, <sip:b.example;lr>\r\nPath: <sip:p;lr>\r\n").1;
    assert_eq!(routes.service_route, ["<sip:a.example;lr>", "<sip:b.example;lr>"]);
    assert!(until("Service-Route: <sip:a.example;lr>, <sip:strict>\r\n").1.service_route.is_empty());
    let short = {
        let mut bench = Bench::udp().begin();
        bench.accept(1);
        bench.wait()
    };
    assert_eq!(short, Duration::from_secs(10), "never more often");
}

#[test]
fn what_is_not_ours_changes_nothing() {
    let mut bench = Bench::udp().begin();
    let text = String::from_utf8(bench.sent[0].bytes.clone()).unwrap();
    for odd in
        ["SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr.9.x\r\n\r\n", "SIP/2.0 200", "", text.as_str()]
    {
        bench.one.handle(bench.now, bench.sent[0].to, odd.as_bytes());
    }
    assert_eq!(bench.state(), RegistrantState::Registering);
    for (bytes, owner) in [
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr.ff.x\r\n", Some(255)),
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr.fffffffff.x\r\n", None),
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr.\r\n", None),
        ("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKb.9.x\r\n", None),
        ("REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKr.9.x\r\n", None),
        ("SIP/2.0 200 OK\r\n", None),
    ] {
        assert_eq!(registrant_of(bytes.as_bytes()), owner, "{bytes}");
    }
    assert!(!format!("{:?}", bench.one.account()).contains("secret"));
}
