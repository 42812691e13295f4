//! The messages of RFC 4475: what is accepted, what is refused with which status, what is not SIP. Then all of them, and
//! mutations of them, at an edge.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod settings;

use std::path::PathBuf;

use sip::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/torture")
}

fn message(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.dat"))).unwrap()
}

fn all() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "dat"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    found
}

fn outcome(bytes: &[u8]) -> Result<(), u16> {
    let message = Message::parse(bytes).map_err(|_| 0u16)?;
    Core::read(&message).map(|_| ()).map_err(|refusal| refusal.status)
}

#[test]
fn all_are_here() {
    assert_eq!(all().len(), 49);
}

/// RFC 4475 sections 3.1.1, 3.2 to 3.4: valid, or for the application to judge; a proxy carries them.
#[test]
fn what_is_valid_is_accepted() {
    for name in [
        "wsinv",
        "intmeth",
        "esc01",
        "escnull",
        "esc02",
        "lwsdisp",
        "longreq",
        "dblreq",
        "semiuri",
        "transports",
        "mpart01",
        "unreason",
        "noreason",
        "badbranch",
        "unksm2",
        "bext01",
        "invut",
        "regaut01",
        "zeromf",
        "cparam01",
        "cparam02",
        "regescrt",
        "sdp01",
        "inv2543",
    ] {
        assert_eq!(outcome(&message(name)), Ok(()), "{name}");
    }
}

#[test]
fn what_is_broken_is_refused_with_its_status() {
    for (name, status) in [
        ("badvers", 505),
        ("unkscm", 416),
        ("novelsc", 416),
        ("clerr", 400),
        ("ncl", 400),
        ("mcl01", 400),
        ("multi01", 400),
        ("insuf", 400),
        ("mismatch01", 400),
        ("mismatch02", 400),
        ("scalar02", 400),
        ("ltgtruri", 400),
        ("lwsruri", 400),
        ("lwsstart", 400),
        ("trws", 400),
        ("quotbal", 400),
        ("badinv01", 400),
        ("escruri", 400),
    ] {
        assert_eq!(outcome(&message(name)), Err(status), "{name}");
    }
}

/// Answers with a malformed number or Via are dropped.
#[test]
fn broken_answers_are_dropped() {
    for name in ["bigcode", "scalarlg"] {
        assert!(outcome(&message(name)).is_err(), "{name}");
    }
}

fn refuse(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refuse { status, reason, reason_header: None, retry_after: None, fact_call: None }
}

fn flow() -> Flow {
    Flow {
        listener: 0,
        transport: Transport::Udp,
        remote: "192.0.2.99:5060".parse().unwrap(),
        connection: None,
    }
}

/// Gives bytes to an edge that routes every call, and drains it.
fn throw(edge: &mut Edge, now: std::time::Instant, bytes: &[u8]) -> usize {
    edge.handle(now, Input::Message { flow: flow(), bytes });
    let mut count = 0;
    while let Some(output) = edge.poll() {
        count += 1;
        assert!(count < 100, "one message makes a bounded number of outputs");
        match output {
            Output::Ask(ask) => {
                let verdict = match ask.kind {
                    AskKind::Invite => Verdict::Route {
                        call: CallIds::default(),
                        direction: Direction::Inbound,
                        trust: Trust::Untrusted,
                        transfer: Transfer::Allowed,
                        targets: vec![Target {
                            request_uri: "sip:a@192.0.2.10".into(),
                            hops: vec![Hop {
                                transport: Transport::Udp,
                                addr: "192.0.2.10:5060".parse().unwrap(),
                            }],
                            flow: None,
                            tag: 0,
                            headers: Vec::new(),
                            ..Target::default()
                        }],
                        legs: Vec::new(),
                    },
                    AskKind::Options => Verdict::Answer { headers: Vec::new() },
                    AskKind::Other(_) => refuse(405, "Method Not Allowed"),
                    AskKind::Malformed { status, reason } => refuse(status, reason),
                };
                edge.handle(now, Input::Verdict { ask: ask.id, verdict });
            }
            Output::Send(send) => {
                assert!(Message::parse(&send.bytes).is_ok(), "{}", String::from_utf8_lossy(&send.bytes));
            }
            Output::Fact(_) | Output::Login(_) | Output::Probed(_) => {}
        }
    }
    count
}

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn an_edge_bears_all_of_them_and_their_mutations() {
    let all = all();
    let mut now = origin();
    let mut edge = Edge::new(settings::over(&[Transport::Udp], 1));
    for (_, bytes) in &all {
        throw(&mut edge, now, bytes);
    }
    let mut random = 0x1234_5678_9ABC_DEF1u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 8).unwrap()
    };
    for _ in 0..3000 {
        let (_, bytes) = &all[next() % all.len()];
        let mut bytes = bytes.clone();
        for _ in 0..=next() % 4 {
            let at = next() % bytes.len();
            match next() % 4 {
                0 => bytes[at] = u8::try_from(next() % 256).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"\r\n:;,<>\"@ "[next() % 10]),
                _ => {
                    bytes.remove(at);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        throw(&mut edge, now, &bytes);
        now += std::time::Duration::from_millis(10);
    }
    for _ in 0..100_000 {
        let Some(due) = edge.next_deadline() else { break };
        now = now.max(due);
        edge.handle(now, Input::Tick);
        while edge.poll().is_some() {}
    }
    assert!(edge.idle(), "{edge:?}");
}

#[test]
fn random_bytes_meet_silence() {
    let mut edge = Edge::new(settings::over(&[Transport::Udp], 1));
    let now = origin();
    for bytes in
        [&b""[..], b"\r\n\r\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"INVITE", b"\xFF\xFE SIP/2.0"]
    {
        assert_eq!(throw(&mut edge, now, bytes), 0);
    }
    assert!(edge.idle());
}
