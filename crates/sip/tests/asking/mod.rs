//! A target that asks for credentials, and checks what it is sent; the caller's side, and processes that are replaced in between.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../settings/mod.rs"]
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use md5::{Digest as _, Md5};
pub(crate) use settings::config;
use sha2::Sha256;
use sip::*;
use uuid::Uuid;

pub(crate) const CARRIER: &str = "198.51.100.7:5060";
pub(crate) const AGENT: &str = "192.0.2.10:5060";
pub(crate) const OTHER: &str = "192.0.2.11:5060";
pub(crate) const URI: &str = "sip:+4930123456@192.0.2.10:5060";
pub(crate) const OWNER: Uuid = Uuid::from_u128(77);
pub(crate) const CALL: Uuid = Uuid::from_u128(5);

pub(crate) fn login() -> Arc<Login> {
    Arc::new(Login { owner: OWNER, username: "line".into(), password: b"secret".to_vec() })
}

/// How an agent asks.
#[expect(clippy::struct_excessive_bools, reason = "each is a quirk of its own")]
#[derive(Clone, Default)]
pub(crate) struct Asks {
    pub(crate) algorithm: Option<&'static str>,
    pub(crate) qop: bool,
    /// Asked one after the other; a name that begins with `w` by 401.
    pub(crate) realms: Vec<&'static str>,
    /// The first answer of each realm is called stale.
    pub(crate) stale: bool,
    /// Every request of the dialog is asked too, with a nonce of its own.
    pub(crate) within: bool,
    /// Nothing is right.
    pub(crate) never: bool,
    /// To the INVITE, a type is missing in the answer.
    pub(crate) untyped: bool,
}

#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) asks: Asks,
    pub(crate) nonce: u32,
    /// Nonces given out by realm, and the count each was used with.
    pub(crate) given: BTreeMap<String, u32>,
    pub(crate) staled: Vec<&'static str>,
    pub(crate) cseq: u32,
    /// Of the first INVITE as it was let in.
    pub(crate) invited: u32,
    pub(crate) challenged: u32,
    pub(crate) branches: Vec<String>,
    pub(crate) got: Vec<String>,
}

pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line =
        text.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
    line.map_or("", |line| line.split_once(':').unwrap().1.trim())
}

pub(crate) fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(crate) fn part<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let from = value.split_once(&format!(" {name}="))?.1;
    let quoted = from.strip_prefix('"').map(|rest| rest.split('"').next().unwrap());
    quoted.or_else(|| from.split(',').next())
}

pub(crate) fn hash(algorithm: Option<&str>, text: &str) -> String {
    let bytes = match algorithm {
        Some("SHA-256") => Sha256::digest(text).to_vec(),
        _ => Md5::digest(text).to_vec(),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

impl Agent {
    pub(crate) fn status(text: &str) -> &str {
        text.split(' ').next().unwrap()
    }

    /// Whether the credentials for a realm are right; a nonce that was not given, or a count that does not rise, is wrong.
    pub(crate) fn proven(&mut self, realm: &str, text: &str) -> bool {
        let method = Self::status(text);
        let lines: Vec<_> =
            fields(text, "Authorization").chain(fields(text, "Proxy-Authorization")).collect();
        let Some(value) = lines.into_iter().find(|value| part(value, "realm") == Some(realm)) else {
            return false;
        };
        let uri = text.split(' ').nth(1).unwrap();
        assert_eq!(part(value, "uri"), Some(uri), "the URI is the one of the request line");
        let nonce = part(value, "nonce").unwrap();
        let algorithm = self.asks.algorithm;
        assert_eq!(part(value, "algorithm"), algorithm.or(Some("MD5")));
        let first = hash(algorithm, &format!("line:{realm}:secret"));
        let second = hash(algorithm, &format!("{method}:{uri}"));
        let count = part(value, "nc").map(|nc| u32::from_str_radix(nc, 16).unwrap());
        assert_eq!(count.is_some(), self.asks.qop);
        let wanted = match count {
            Some(count) => {
                let cnonce = part(value, "cnonce").unwrap();
                hash(algorithm, &format!("{first}:{nonce}:{count:08x}:{cnonce}:auth:{second}"))
            }
            None => hash(algorithm, &format!("{first}:{nonce}:{second}")),
        };
        let last = self.given.get_mut(nonce);
        let fresh = last.is_some_and(|last| {
            let rises = count.is_none_or(|count| count > *last);
            *last = count.unwrap_or(*last);
            rises
        });
        fresh && part(value, "response") == Some(&wanted)
    }

    pub(crate) fn ask(&mut self, realm: &str, text: &str, stale: bool) -> String {
        self.nonce += 1;
        let nonce = format!("n{}", self.nonce);
        let (algorithm, qop) = (self.asks.algorithm, self.asks.qop);
        let mut value = format!("Digest realm=\"{realm}\", nonce=\"{nonce}\"");
        for more in [
            algorithm.map(|name| format!(", algorithm={name}")),
            qop.then(|| ", qop=\"auth,auth-int\", opaque=\"o\"".into()),
            stale.then(|| ", stale=true".into()),
        ] {
            value.push_str(&more.unwrap_or_default());
        }
        self.given.insert(nonce, 0);
        self.challenged += 1;
        let (status, name) = if realm.starts_with('w') { (401, "WWW") } else { (407, "Proxy") };
        let weaker = match algorithm {
            Some("SHA-256") => {
                format!("{name}-Authenticate: Digest realm=\"{realm}\", nonce=\"weak\", algorithm=MD5\r\n")
            }
            _ => String::new(),
        };
        reply(text, status, &format!("{weaker}{name}-Authenticate: {value}\r\n"), "")
    }

    /// What it answers.
    pub(crate) fn receive(&mut self, text: &str) -> Vec<String> {
        self.got.push(text.to_owned());
        let (method, branch) = (Self::status(text).to_owned(), field(text, "Via").to_owned());
        let cseq: u32 = field(text, "CSeq").split(' ').next().unwrap().parse().unwrap();
        if method == "ACK" {
            assert!(cseq <= self.cseq, "an ACK of an INVITE that was never here:\n{text}");
            return Vec::new();
        }
        if method == "CANCEL" {
            assert_eq!(cseq, self.cseq);
            return vec![reply(text, 200, "", "")];
        }
        if self.branches.contains(&branch) {
            return Vec::new();
        }
        self.branches.push(branch);
        let within = field(text, "To").contains(";tag=");
        // within a dialog a challenged request comes again with its number
        let again = within && cseq == self.cseq;
        assert!(cseq > self.cseq || again && self.challenged > 0, "{cseq} after {}:\n{text}", self.cseq);
        self.cseq = cseq;
        if method == "INVITE" && !within {
            self.invited = cseq;
        }
        if let Some(rack) = (method == "PRACK").then(|| field(text, "RAck")) {
            assert_eq!(rack, format!("1 {} INVITE", self.invited), "{text}");
        }
        if method == "INVITE" && !within || self.asks.within {
            for realm in self.asks.realms.clone() {
                if !self.proven(realm, text) || self.asks.never {
                    return vec![self.ask(realm, text, false)];
                }
                if self.asks.stale && !self.staled.contains(&realm) {
                    self.staled.push(realm);
                    return vec![self.ask(realm, text, true)];
                }
            }
        }
        let kind = if self.asks.untyped { "" } else { "Content-Type: application/sdp\r\n" };
        let contact = "Contact: <sip:agent@192.0.2.10>\r\n";
        match method.as_str() {
            "INVITE" if !within => vec![
                reply(text, 180, &format!("Require: 100rel\r\nRSeq: 1\r\n{contact}"), ""),
                reply(text, 200, &format!("{contact}{kind}"), "v=0\r\n"),
            ],
            "INVITE" => vec![reply(text, 200, &format!("{contact}{kind}"), "v=0\r\n")],
            _ => vec![reply(text, 200, contact, "")],
        }
    }
}

pub(crate) fn reply(request: &str, status: u16, lines: &str, body: &str) -> String {
    let mut out = format!("SIP/2.0 {status} As Told\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap();
        if matches!(name, "Via" | "From" | "Call-ID" | "CSeq") || name == "Record-Route" && status != 407 {
            out.extend([line, "\r\n"]);
        }
        if name == "To" {
            let tag = if line.contains(";tag=") || status == 100 { "" } else { ";tag=t1" };
            out.extend([line, tag, "\r\n"]);
        }
    }
    format!("{out}{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(crate) struct Line {
    pub(crate) edge: Edge,
    pub(crate) process: u32,
    /// A new process takes over after each message of the caller.
    pub(crate) replaced: bool,
    pub(crate) now: Instant,
    pub(crate) agent: Agent,
    /// Answers what is called at the second address.
    pub(crate) other: Agent,
    pub(crate) targets: Vec<Target>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) logins: u32,
    pub(crate) known: bool,
}

pub(crate) fn target(address: &str, manner: Manner) -> Target {
    Target {
        request_uri: format!("sip:+4930123456@{address}"),
        hops: vec![Hop { transport: Transport::Udp, addr: address.parse().unwrap() }],
        manner: Some(Arc::new(manner)),
        ..Target::default()
    }
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    pub(crate) fn new(asks: Asks) -> Self {
        Self {
            edge: Edge::new(config(1)),
            process: 1,
            replaced: false,
            now: Instant::now(),
            agent: Agent { asks, ..Agent::default() },
            other: Agent::default(),
            targets: vec![target(AGENT, Manner { login: Some(login()), ..Manner::default() })],
            facts: Vec::new(),
            logins: 0,
            known: true,
        }
    }

    /// Gives a message of the caller; what it hears comes back.
    pub(crate) fn caller(&mut self, text: &str) -> Vec<String> {
        if self.replaced {
            self.process += 1;
            self.edge = Edge::new(config(self.process));
        }
        self.give(CARRIER, text);
        self.drain()
    }

    /// The same for the agent.
    pub(crate) fn callee(&mut self, text: &str) -> Vec<String> {
        self.give(AGENT, text);
        self.drain()
    }

    pub(crate) fn give(&mut self, from: &str, text: &str) {
        let remote = from.parse().unwrap();
        let flow = Flow { listener: 0, transport: Transport::Udp, remote, connection: None };
        self.edge.handle(self.now, Input::Message { flow, bytes: text.as_bytes() });
    }

    pub(crate) fn drain(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Fact(fact) => self.facts.push(*fact),
                Output::Probed(_) => panic!("nobody is asked here"),
                Output::Login(ask) => {
                    assert_eq!((ask.call, ask.owner), (CALL, OWNER));
                    self.logins += 1;
                    let login = self.known.then(login);
                    self.edge.handle(self.now, Input::Login { ask, login });
                }
                Output::Ask(ask) => {
                    let call = CallIds { call: CALL, ..CallIds::default() };
                    let (direction, trust, transfer) =
                        (Direction::Inbound, Trust::Untrusted, Transfer::Allowed);
                    let verdict = match ask.kind {
                        AskKind::Invite => Verdict::Route {
                            call,
                            direction,
                            trust,
                            transfer,
                            targets: self.targets.clone(),
                            legs: Vec::new(),
                        },
                        _ => Verdict::Drop,
                    };
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Send(send) => {
                    let text = String::from_utf8(send.bytes).unwrap();
                    let to = send.to.remote.to_string();
                    if to == CARRIER {
                        heard.push(text);
                        continue;
                    }
                    if text.starts_with("SIP/2.0") {
                        heard.push(format!("agent:{text}"));
                        continue;
                    }
                    let agent = if to == OTHER { &mut self.other } else { &mut self.agent };
                    for answer in agent.receive(&text) {
                        self.give(&to, &answer);
                    }
                }
            }
        }
        heard
    }

    pub(crate) fn attempts(&self) -> Vec<(Option<u16>, Cause)> {
        let attempt = |fact: &Fact| match fact {
            Fact::Attempt(one) => Some((one.status, one.cause)),
            _ => None,
        };
        self.facts.iter().filter_map(attempt).collect()
    }

    /// The INVITE that was let in.
    pub(crate) fn taken(&self) -> String {
        let first = |text: &&String| text.starts_with("INVITE") && !field(text, "To").contains("tag=");
        self.agent.got.iter().rfind(first).unwrap().clone()
    }

    /// A 200 to it with what the caller takes from one.
    pub(crate) fn answer(&self) -> String {
        reply(&self.taken(), 200, "Contact: <sip:agent@192.0.2.10>\r\n", "")
    }

    pub(crate) fn dialog(&self) -> Dialog {
        let answered = |fact: &Fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.as_ref().clone()),
            _ => None,
        };
        self.facts.iter().find_map(answered).expect("the call was answered")
    }
}

pub(crate) fn invite(more: &str) -> String {
    format!(
        "INVITE sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-i1\r\n\
         From: <sip:+1201@c>;tag=f1\r\nTo: \"N\" <sip:030123456@203.0.113.1>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\n\
         Contact: <sip:+1201@198.51.100.7>\r\nMax-Forwards: 70\r\nSupported: 100rel\r\n{more}Content-Type: application/sdp\r\n\
         Content-Length: 5\r\n\r\nv=0\r\n"
    )
}

/// A request of the caller within the dialog that an answer made.
pub(crate) fn within(answer: &str, method: &str, cseq: u32, more: &str) -> String {
    let routes: Vec<_> = fields(answer, "Record-Route").collect();
    let routes = routes.iter().rev().map(|route| format!("Route: {route}\r\n")).collect::<Vec<_>>().concat();
    let contact = field(answer, "Contact").trim_matches(['<', '>']);
    format!(
        "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-{method}{cseq}\r\n{routes}\
         From: {}\r\nTo: {}\r\nCall-ID: c1\r\nCSeq: {cseq} {method}\r\nContact: <sip:+1201@198.51.100.7>\r\nMax-Forwards: 70\r\n\
         {more}Content-Length: 0\r\n\r\n",
        field(answer, "From"),
        field(answer, "To")
    )
}

/// A request of the agent.
pub(crate) fn back(invite: &str, method: &str, cseq: u32) -> String {
    let routes = fields(invite, "Record-Route").map(|route| format!("Route: {route}\r\n"));
    let routes = routes.collect::<Vec<_>>().concat();
    format!(
        "{method} sip:+1201@198.51.100.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-back{cseq}\r\n{routes}\
         From: {};tag=t1\r\nTo: {}\r\nCall-ID: c1\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        field(invite, "To"),
        field(invite, "From")
    )
}

pub(crate) fn status(text: &str) -> &str {
    text.split(' ').nth(1).unwrap()
}

/// Sets a call up and carries it through each kind of request; `replaced` puts a new process in before each of the caller's.
pub(crate) fn whole_call(asks: Asks, shift: u32, replaced: bool) -> Line {
    let mut line = Line::new(asks);
    let heard = line.caller(&invite("Proxy-Authorization: Digest realm=\"theirs\", nonce=\"x\"\r\n"));
    let statuses: Vec<_> = heard.iter().map(|text| status(text)).collect();
    assert_eq!(statuses, ["100", "180", "200"], "{heard:?}");
    assert!(heard.iter().all(|text| field(text, "CSeq") == "7 INVITE" && !text.contains("Authenticate")));
    assert_eq!(line.agent.cseq, 7 + shift);
    let challenged = line.attempts().iter().filter(|(_, cause)| *cause == Cause::Challenged).count();
    assert_eq!(u32::try_from(challenged).unwrap(), shift);
    line.replaced = replaced;
    let answer = heard[2].clone();
    for (method, cseq, more) in
        [("PRACK", 8, "RAck: 1 7 INVITE\r\n"), ("UPDATE", 9, ""), ("INVITE", 10, ""), ("INFO", 11, "")]
    {
        let heard = line.caller(&within(&heard[1], method, cseq, more));
        let last = heard.last().unwrap_or_else(|| panic!("{method} is not answered"));
        assert_eq!((status(last), field(last, "CSeq")), ("200", &*format!("{cseq} {method}")), "{last}");
        assert_eq!(line.agent.cseq, cseq + shift);
        if method == "INVITE" {
            let acked = line.agent.got.len();
            line.caller(&within(&answer, "ACK", cseq, ""));
            let ack = &line.agent.got[acked];
            assert!(ack.starts_with("ACK") && field(ack, "CSeq") == format!("{} ACK", cseq + shift), "{ack}");
        }
    }
    line
}

pub(crate) fn md5(realms: &[&'static str]) -> Asks {
    Asks { algorithm: Some("MD5"), qop: true, realms: realms.to_vec(), ..Asks::default() }
}

pub(crate) fn ways() -> Vec<(Asks, u32)> {
    vec![
        (md5(&["a"]), 1),
        (Asks { algorithm: None, qop: false, ..md5(&["livekit"]) }, 1),
        (Asks { algorithm: Some("SHA-256"), ..md5(&["w"]) }, 1),
        (Asks { stale: true, ..md5(&["a"]) }, 2),
        (md5(&["a", "w"]), 2),
        (Asks { within: true, ..md5(&["a"]) }, 1),
        (Asks { within: true, algorithm: Some("SHA-256"), ..md5(&["w", "b"]) }, 2),
        (md5(&[]), 0),
    ]
}
