//! The fuzz targets of `fuzz/`, over their corpora and over changes of these, on any toolchain: no input makes the parser, digest,
//! SDP or the edge fail, wait for ever, or send to a place that neither the verdict nor a dialog named.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../../../fuzz/bodies.rs"]
#[expect(unreachable_pub, clippy::pedantic, reason = "shared with targets outside of the workspace")]
mod bodies;

use std::path::PathBuf;
use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read(&path).unwrap());
    let mut all: Vec<_> = files.map(read).collect();
    all.sort();
    assert!(!all.is_empty(), "{target} has a corpus");
    all
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 9).unwrap() % sides.max(1)
    }

    /// The bytes with a few of them changed, left out, doubled, or with a piece of another input in their midst.
    fn change(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        const PIECES: [&[u8]; 14] = [
            b"\r\n",
            b"\r\n ",
            b";",
            b",",
            b"<",
            b">",
            b"\"",
            b"\\",
            b"@",
            b":",
            b"%00",
            b"[::1]",
            b"127.0.0.1",
            b"10.0.0.1",
        ];
        let mut out = bytes.to_vec();
        for _ in 0..=self.roll(4) {
            let at = self.roll(out.len() + 1);
            let end = (at + self.roll(40)).min(out.len());
            match self.roll(6) {
                0 => drop(out.drain(at..end)),
                1 => {
                    let piece = out[at..end].to_vec();
                    out.splice(at..at, piece);
                }
                2 => drop(out.splice(at..at, PIECES[self.roll(PIECES.len())].iter().copied())),
                3 => {
                    let from = self.roll(other.len() + 1);
                    let to = (from + self.roll(200)).min(other.len());
                    out.splice(at..at, other[from..to].iter().copied());
                }
                4 if at < out.len() => out[at] = u8::try_from(self.roll(256)).unwrap(),
                _ => drop(out.splice(at..end, PIECES[self.roll(PIECES.len())].iter().copied())),
            }
        }
        out
    }
}

fn replay(target: &str, changes: usize, body: impl Fn(&[u8])) {
    let all = corpus(target);
    let tried = |name: &str, bytes: &[u8]| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(bytes)));
        assert!(caught.is_ok(), "{target}, from {name}:\n{:?}", String::from_utf8_lossy(bytes));
    };
    for (name, bytes) in &all {
        tried(name, bytes);
    }
    let mut dice = Dice(0x1234_5678_9ABC_DEF1);
    for _ in 0..changes {
        let (name, bytes) = &all[dice.roll(all.len())];
        let (_, other) = &all[dice.roll(all.len())];
        tried(name, &dice.change(bytes, other));
    }
}

#[test]
fn the_parser_bears_its_corpus() {
    replay("parser", 4000, bodies::parser);
}

#[test]
fn digest_bears_its_corpus() {
    let now = origin();
    replay("digest", 4000, |bytes| bodies::digest(bytes, now));
}

#[test]
fn sdp_bears_its_corpus() {
    let now = origin();
    replay("sdp", 400, |bytes| bodies::sdp(bytes, now));
}

#[test]
fn the_edge_bears_its_corpus_and_sends_to_nobody_that_was_not_named() {
    let now = origin();
    replay("edge", 1000, |bytes| bodies::edge(bytes, now));
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(folder(target)).unwrap();
    let path = folder(target).join(name);
    if std::fs::read(&path).ok().as_deref() != Some(bytes) {
        std::fs::write(path, bytes).unwrap();
    }
}

/// The answer of the agent to a request.
fn answer(request: &str, status: &str, lines: &str) -> String {
    let keep = |line: &&str| {
        ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .any(|name| line.starts_with(&format!("{name}:")))
    };
    let tag = |line: &str| {
        if line.starts_with("To:") && !line.contains(";tag=") {
            format!("{line};tag=t1")
        } else {
            line.to_owned()
        }
    };
    let head: Vec<String> = request.lines().filter(keep).map(tag).collect();
    format!(
        "SIP/2.0 {status} x\r\n{}\r\n{lines}Contact: <sip:agent@192.0.2.10>\r\nContent-Length: 0\r\n\r\n",
        head.join("\r\n")
    )
}

const INVITE: &str = "INVITE sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-1;rport\r\n\
    From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+4930123456@203.0.113.1>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n\
    Contact: <sip:+1201@198.51.100.7>\r\nSupported: timer, 100rel\r\nContent-Length: 0\r\n\r\n";

/// A call as the edge sees it, message by message.
struct Script {
    driver: bodies::Driver,
    input: Vec<u8>,
}

impl Script {
    fn new() -> Self {
        Self { driver: bodies::Driver::new(origin()), input: Vec::new() }
    }

    /// A message, after the byte that says how it comes; what the edge sends because of it.
    fn say(&mut self, how: u8, text: &str) -> Vec<String> {
        let part = [&[how], text.as_bytes()].concat();
        self.input.extend_from_slice(&part);
        self.input.extend_from_slice(bodies::NEXT);
        let sent = self.driver.part(&part);
        sent.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }
}

fn the<'a>(sent: &'a [String], method: &str) -> &'a str {
    sent.iter().find(|text| text.starts_with(method)).unwrap()
}

/// A request of the caller within the dialog of an INVITE that went on.
fn within(on: &str, method: &str, number: u32, lines: &str) -> String {
    let route = on.lines().find(|line| line.starts_with("Record-Route:")).unwrap();
    let route = route.trim_start_matches("Record-");
    format!(
        "{method} sip:agent@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-{method}{number}\r\n{route}\r\n\
         From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+4930123456@203.0.113.1>;tag=t1\r\nCall-ID: c1\r\nCSeq: {number} {method}\r\n\
         Max-Forwards: 70\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

fn call(end: &str) -> Vec<u8> {
    let mut script = Script::new();
    let on = the(&script.say(0, INVITE), "INVITE").to_owned();
    script.say(1, &answer(&on, "180", ""));
    match end {
        "cancelled" => {
            script.say(0, &INVITE.replace("INVITE", "CANCEL"));
            script.say(1, &answer(&on, "487", ""));
            let tagged = ("sip:+4930123456@203.0.113.1>\r\n", "sip:+4930123456@203.0.113.1>;tag=t1\r\n");
            script.say(0, &INVITE.replace("INVITE", "ACK").replace(tagged.0, tagged.1));
        }
        "refused" => {
            script.say(1, &answer(&on, "503", "Retry-After: 9\r\n"));
        }
        _ => {
            script.say(1, &answer(&on, "200", "Session-Expires: 1800;refresher=uas\r\n"));
            script.say(0, &within(&on, "ACK", 1, ""));
            for (number, method) in
                (2..).zip(["UPDATE", "INFO", "PRACK", "INVITE", "OPTIONS", "REFER", "BYE"])
            {
                let lines = "Session-Expires: 600\r\nSupported: timer\r\n";
                let how = if number % 2 == 0 { 0 } else { 4 };
                let sent = script.say(how, &within(&on, method, number, lines));
                if let Some(on) = sent.iter().find(|text| text.starts_with(method)) {
                    script.say(1, &answer(on, "200", ""));
                }
            }
        }
    }
    script.input
}

/// A target that asks for a password, of the call and of its end (byte 8: the edge has one).
fn challenged() -> Vec<u8> {
    let mut script = Script::new();
    let challenge =
        "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n";
    let on = the(&script.say(8, INVITE), "INVITE").to_owned();
    let again = the(&script.say(9, &answer(&on, "407", challenge)), "INVITE").to_owned();
    assert!(again.contains("CSeq: 2 INVITE") && again.contains("Proxy-Authorization"));
    script.say(9, &answer(&again, "200", ""));
    script.say(8, &within(&again, "ACK", 1, ""));
    let bye = the(&script.say(8, &within(&again, "BYE", 2, "")), "BYE").to_owned();
    let newer = challenge.replace("\"n\"", "\"n2\"");
    let bye = the(&script.say(9, &answer(&bye, "407", &newer)), "BYE").to_owned();
    script.say(9, &answer(&bye, "200", ""));
    script.input
}

/// A question to a target beside a call (byte 128: it is asked first).
fn asked() -> Vec<u8> {
    let mut script = Script::new();
    let sent = script.say(128, INVITE);
    script.say(1, &answer(the(&sent, "OPTIONS"), "200", "Accept: application/sdp\r\n"));
    script.say(1, &answer(the(&sent, "INVITE"), "486", ""));
    script.input
}

/// Writes what is outdated of the first inputs: they are kept, and the gate fails where that changes one.
#[test]
fn the_first_inputs_are_current() {
    let torture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/torture");
    let mut messages: Vec<_> =
        std::fs::read_dir(torture).unwrap().map(|entry| entry.unwrap().path()).collect();
    messages.retain(|path| path.extension().is_some_and(|ext| ext == "dat"));
    for path in messages {
        let (name, bytes) =
            (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap());
        put("parser", &name, &bytes);
        put("edge", &format!("torture-{name}"), &[&[0][..], &bytes].concat());
    }
    for end in ["answered", "cancelled", "refused"] {
        put("edge", end, &call(end));
    }
    put("edge", "challenged", &challenged());
    put("edge", "asked", &asked());
    for (name, text) in [
        (
            "plain",
            "Digest username=\"a\", realm=\"trunkline\", nonce=\"x\", uri=\"sip:b\", response=\"0123456789abcdef0123456789abcdef\"",
        ),
        (
            "qop",
            "Digest username=\"a\\\"b\", realm=\"trunkline\", nonce=\"x\", uri=\"sip:b\", response=\"0\", algorithm=SHA-256, cnonce=\"c\", nc=00000001, qop=auth, opaque=\"\"",
        ),
        ("hash", "Digest username=a , realm=\"r\",userhash=true,algorithm=MD5"),
        ("basic", "Basic YTpi"),
    ] {
        put("digest", name, text.as_bytes());
    }
    let head = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n";
    for (name, text) in [
        ("plain", "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"),
        (
            "sdes",
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n",
        ),
        ("dtls", "a=fingerprint:sha-256 AB:CD\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=setup:actpass\r\n"),
        (
            "mixed",
            "m=audio 4000 RTP/AVP 0\r\nm=video 0 RTP/SAVP 99\r\nm=image 5000 udptl t38\r\nc=IN IP6 2001:db8::1\r\n",
        ),
        ("six", "m=audio 4000/2 RTP/AVP 0\r\nc=IN IP6 ::1\r\n"),
    ] {
        put("sdp", name, format!("{head}{text}").as_bytes());
    }
}
