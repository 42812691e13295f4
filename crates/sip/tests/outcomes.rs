//! RFC 4475 message by message, through a whole edge: `tests/torture/OUTCOMES.md` says what becomes of each from a source that is
//! known, and why; here it is held against what does. From a source that is not known: silence, for all of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bench::*;
use sip::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/torture")
}

/// The message by its name.
fn messages() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let messages = files.filter(|path| path.extension().is_some_and(|ext| ext == "dat"));
    messages
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// What the table says of each: the third cell of its row.
fn table() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("OUTCOMES.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        (cells[0].trim_matches(['`', ' ']).to_owned(), cells[3].to_owned())
    })
    .collect()
}

fn flow(bytes: &[u8]) -> Flow {
    // by the transport that its Via names, so that it is answered there
    let text = String::from_utf8_lossy(bytes);
    if text.contains("SIP/2.0/TCP") || text.contains("SIP/2.0/TLS") { tcp(CARRIER) } else { udp(CARRIER) }
}

fn give(bench: &mut Bench, bytes: &[u8]) -> Vec<Output> {
    bench.edge.handle(bench.now, Input::Message { flow: flow(bytes), bytes });
    let mut sends = Vec::new();
    while let Some(output) = bench.edge.poll() {
        match output {
            Output::Ask(ask) => {
                let verdict = match (&bench.verdict, &ask.kind) {
                    (Some(verdict), _) => verdict.clone(),
                    (None, AskKind::Invite) => bench.route(),
                    (None, AskKind::Options) => Verdict::Answer { headers: Vec::new() },
                    (None, AskKind::Malformed { status, reason }) => refuse(*status, reason),
                    (None, _) => refuse(405, "Method Not Allowed"),
                };
                let id = ask.id;
                bench.asks.push(*ask);
                bench.edge.handle(bench.now, Input::Verdict { ask: id, verdict });
            }
            other => sends.push(other),
        }
    }
    sends
}

/// What became of a message, in the words of the table.
fn outcome(bytes: &[u8]) -> String {
    let mut bench = Bench::new();
    let mut told = Vec::new();
    for output in give(&mut bench, bytes) {
        let Output::Send(send) = output else { continue };
        let message = Message::parse(&send.bytes).unwrap();
        match message.status() {
            Some(100) => {}
            Some(status) => {
                assert_eq!(send.to.remote.ip(), flow(bytes).remote.ip(), "an answer goes to its source");
                answers(bytes, &message);
                told.push(format!("{status} {}", String::from_utf8_lossy(message.reason())));
            }
            None => {
                assert_eq!(send.to.remote, AGENT.parse().unwrap(), "a call goes where the verdict says");
                forwards(bytes, &send.bytes);
                told.push("forward".to_owned());
            }
        }
    }
    match &told[..] {
        [] => "silence".to_owned(),
        [one] => one.clone(),
        more => panic!("one outcome: {more:?}"),
    }
}

/// An answer has the Vias, From, Call-ID and `CSeq` of its request, as far as it had them.
fn answers(bytes: &[u8], answer: &Message<'_>) {
    let request = Message::parse(bytes).unwrap();
    assert_eq!(answer.values(Name::Via).count(), request.values(Name::Via).count());
    for name in [Name::From, Name::CallId, Name::CSeq] {
        assert_eq!(answer.value(name), request.value(name), "{name:?}");
    }
    let to = |message: &Message<'_>| message.value(Name::To).map(<[u8]>::to_vec).unwrap_or_default();
    assert!(to(answer).starts_with(&to(&request)));
}

/// What is forwarded has the method, every header line that the edge does not name, in order, and the body as they came.
fn forwards(bytes: &[u8], sent: &[u8]) {
    let (came, goes) = (Message::parse(bytes).unwrap(), Message::parse(sent).unwrap());
    assert_eq!(came.method_text(), goes.method_text());
    assert_eq!(came.body(), goes.body());
    assert_eq!(goes.request_uri(), b"sip:+4930123456@192.0.2.10:5060");
    assert_eq!(goes.values(Name::Via).count(), came.values(Name::Via).count() + 1);
    let head = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        head.replace("\r\n ", "\u{1}")
            .replace("\r\n\t", "\u{2}")
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let named = |line: &String| {
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(
            name.as_str(),
            "via" | "v" | "max-forwards" | "record-route" | "session-expires" | "content-length" | "l"
        ) || name.starts_with("p-asserted")
    };
    let (came, goes): (Vec<_>, Vec<_>) = (
        head(bytes).into_iter().filter(|line| !named(line)).collect(),
        head(sent).into_iter().filter(|line| !named(line)).collect(),
    );
    assert_eq!(came, goes);
}

#[test]
fn every_message_becomes_what_the_table_says() {
    let (messages, table) = (messages(), table());
    assert_eq!(messages.len(), 49);
    let mut wrong = Vec::new();
    for (name, bytes) in &messages {
        let (is, said) = (outcome(bytes), table.get(name).map_or("nothing", String::as_str));
        if is != said {
            wrong.push(format!("{name}: {is}, the table says {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(table.len(), 49);
}

#[test]
fn from_a_stranger_every_message_meets_silence_and_leaves_nothing() {
    for (name, bytes) in messages() {
        let mut bench = Bench::new();
        bench.verdict = Some(Verdict::Drop);
        assert!(give(&mut bench, &bytes).is_empty(), "{name}");
        assert!(bench.edge.idle(), "{name}");
    }
}

/// A request that is repeated is answered as before, or again in the same way; it is not forwarded twice.
#[test]
fn a_message_that_comes_twice_has_one_outcome() {
    for (name, bytes) in messages() {
        let mut bench = Bench::new();
        give(&mut bench, &bytes);
        let again = give(&mut bench, &bytes);
        let requests = again.iter().filter(|output| match output {
            Output::Send(send) => Message::parse(&send.bytes).unwrap().status().is_none(),
            _ => false,
        });
        assert_eq!(requests.count(), 0, "{name}");
    }
}
