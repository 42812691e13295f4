//! Who asks for a password, in the world of the simulation. [`Door`] stands before an agent, as a target's or a carrier's proxy does: it
//! challenges by RFC 7616 with a hand of its own, and holds what is sent to it against what a peer may expect. [`Gate`] is the shell
//! of an edge that asks its callers, and takes no answer twice.
#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use md5::{Digest as _, Md5};
use sha2::Sha256;
use sip::digest::{Credentials, Freshness, Nonces, Secret, names};
use sip::*;

pub(crate) const USER: &str = "line";
pub(crate) const PASSWORD: &str = "secret";

/// How a door asks.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a quirk of its own")]
pub(crate) struct Asking {
    pub(crate) sha256: bool,
    pub(crate) qop: bool,
    /// By 401, not 407.
    pub(crate) server: bool,
    /// So many right answers are called stale.
    pub(crate) stale: usize,
    /// Requests of the dialog are asked too.
    pub(crate) within: bool,
    /// No answer is right.
    pub(crate) never: bool,
}

/// What becomes of a message at a door.
pub(crate) enum Passed {
    In,
    Answered(Vec<u8>),
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Door {
    asking: Asking,
    /// Nonces given out, with the count that each was used with.
    given: BTreeMap<String, u32>,
    /// Answers by branch: a repeat gets the same.
    told: BTreeMap<Vec<u8>, Vec<u8>>,
    let_in: BTreeSet<Vec<u8>>,
    /// `CSeq` numbers of INVITEs that were let in.
    taken: BTreeSet<u32>,
    /// Numbers of the edge's own requests, by dialog.
    own: BTreeSet<(Vec<u8>, u32)>,
    /// Counts that nonces were used with.
    used: BTreeSet<(String, u32)>,
    /// Those of first INVITEs, in the order of their branches.
    pub(crate) first: Vec<u32>,
    /// Of first INVITEs.
    pub(crate) challenged: usize,
    pub(crate) challenged_within: usize,
}

impl Door {
    pub(crate) fn new(asking: Asking) -> Self {
        Self { asking, ..Self::default() }
    }

    /// A message on its way to the agent.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Passed {
        let message = Message::parse(bytes).unwrap();
        let core = Core::read(&message).unwrap();
        if message.status().is_some() {
            return Passed::In;
        }
        let branch = core.via.branch.unwrap().to_vec();
        let (refused, known) = (self.told.get(&branch).cloned(), self.let_in.contains(&branch));
        let within = core.to_tag.is_some();
        match core.method {
            Method::Ack if refused.is_some() => return Passed::Nothing,
            Method::Ack => {
                // of a refusal it has its INVITE's branch; of a 2xx, its number
                let number = core.cseq;
                assert!(
                    known || self.taken.contains(&number),
                    "an ACK of {number}, and no such INVITE was let in"
                );
                return Passed::In;
            }
            Method::Cancel if refused.is_some() => return Passed::Answered(reply(&message, 200, "OK", "")),
            Method::Cancel => return Passed::In,
            _ if refused.is_some() => return refused.map_or(Passed::Nothing, Passed::Answered),
            _ if known => return Passed::In,
            _ => {}
        }
        if message.values(Name::Via).count() == 1 {
            // the edge's own: each try within a dialog has a number of its own (RFC 3261 section 22.2)
            let dialog = core.to_tag.unwrap_or_default().to_vec();
            assert!(
                self.own.insert((dialog, core.cseq)),
                "two requests of the edge's own have the number {}",
                core.cseq
            );
        }
        let first = self.taken.first().copied().unwrap_or(0);
        assert!(!within || core.cseq > first, "{} within the dialog of {first}", core.cseq);
        if !within {
            self.first.push(core.cseq);
        }
        let proven = self.proven(&message, std::str::from_utf8(bytes).unwrap());
        let stale = proven && self.asking.stale > 0;
        let asks = if within { self.asking.within } else { core.method == Method::Invite };
        if !asks || proven && !stale && !self.asking.never {
            self.let_in.insert(branch);
            if core.method == Method::Invite {
                self.taken.insert(core.cseq);
            }
            return Passed::In;
        }
        self.asking.stale -= usize::from(stale);
        self.challenged += usize::from(!within);
        self.challenged_within += usize::from(within);
        let answer = self.ask(&message, stale);
        self.told.insert(branch, answer.clone());
        Passed::Answered(answer)
    }

    /// Whether a request has credentials for a nonce of ours, used for the first time with its count. What we gave a nonce for is
    /// answered right: the edge knows the password.
    fn proven(&mut self, message: &Message<'_>, text: &str) -> bool {
        let name = if self.asking.server { "Authorization: " } else { "Proxy-Authorization: " };
        let all: Vec<_> = text.split("\r\n").filter_map(|line| line.strip_prefix(name)).collect();
        let Some(value) = all.iter().find(|value| value.contains("realm=\"door\"")) else { return false };
        assert_eq!(all.len(), 1, "one answer, not those of before too");
        let nonce = part(value, "nonce").unwrap();
        let Some(last) = self.given.get_mut(nonce) else { return false };
        let uri = std::str::from_utf8(message.request_uri()).unwrap();
        assert_eq!(part(value, "uri"), Some(uri), "the URI is that of the request line");
        let method = std::str::from_utf8(message.method_text()).unwrap();
        let hash = |text: String| hash(self.asking.sha256, &text);
        let (first, second) = (hash(format!("{USER}:door:{PASSWORD}")), hash(format!("{method}:{uri}")));
        let count = part(value, "nc").map(|nc| u32::from_str_radix(nc, 16).unwrap());
        assert_eq!(count.is_some(), self.asking.qop);
        let wanted = match count {
            Some(count) => {
                let cnonce = part(value, "cnonce").unwrap();
                hash(format!("{first}:{nonce}:{count:08x}:{cnonce}:auth:{second}"))
            }
            None => hash(format!("{first}:{nonce}:{second}")),
        };
        assert_eq!(part(value, "response"), Some(&wanted[..]), "{value}");
        if let Some(count) = count {
            let once = self.used.insert((nonce.to_owned(), count));
            assert!(once, "two requests have the answer {count} of {nonce}");
        }
        // What overtook another on the way comes with a lower count: it is asked anew.
        let fresh = count.is_none_or(|count| count > *last);
        *last = count.unwrap_or(0).max(*last);
        fresh
    }

    fn ask(&mut self, message: &Message<'_>, stale: bool) -> Vec<u8> {
        let nonce = format!("n{}", self.given.len() + 1);
        let algorithm = if self.asking.sha256 { "SHA-256" } else { "MD5" };
        let qop = if self.asking.qop { ", qop=\"auth\"" } else { "" };
        let stale = if stale { ", stale=true" } else { "" };
        let (status, header) = if self.asking.server { (401, "WWW") } else { (407, "Proxy") };
        let line = format!(
            "{header}-Authenticate: Digest realm=\"door\", nonce=\"{nonce}\", algorithm={algorithm}{qop}{stale}\r\n"
        );
        self.given.insert(nonce, 0);
        reply(message, status, "Who Are You", &line)
    }
}

fn part<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let from = value.split_once(&format!(" {name}="))?.1;
    let quoted = from.strip_prefix('"').and_then(|rest| rest.split('"').next());
    quoted.or_else(|| from.split(',').next())
}

fn hash(sha256: bool, text: &str) -> String {
    let bytes = if sha256 { Sha256::digest(text).to_vec() } else { Md5::digest(text).to_vec() };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn reply(request: &Message<'_>, status: u16, reason: &str, lines: &str) -> Vec<u8> {
    let mut out = format!("SIP/2.0 {status} {reason}\r\n");
    for (name, title) in [
        (Name::Via, "Via"),
        (Name::From, "From"),
        (Name::To, "To"),
        (Name::CallId, "Call-ID"),
        (Name::CSeq, "CSeq"),
    ] {
        for value in request.values(name) {
            let value = String::from_utf8_lossy(value);
            let tag = if name == Name::To && !value.contains(";tag=") { ";tag=door" } else { "" };
            out.extend([title, ": ", &value, tag, "\r\n"]);
        }
    }
    format!("{out}{lines}Content-Length: 0\r\n\r\n").into_bytes()
}

/// The shell of an edge whose callers are asked.
pub(crate) struct Gate {
    nonces: Nonces,
    secret: Secret,
    /// Answers that were taken: a nonce and its count.
    taken: HashSet<(String, String)>,
    pub(crate) asked: usize,
    /// Right answers that were refused for having been given before.
    pub(crate) replayed: usize,
}

impl Gate {
    pub(crate) fn new(process: u32, now: Instant) -> Self {
        let key = [u8::try_from(process).unwrap(); 32];
        let secret = Secret::new(USER, PASSWORD.as_bytes());
        Self { nonces: Nonces::new(key, now), secret, taken: HashSet::new(), asked: 0, replayed: 0 }
    }

    /// A new process, which knows nothing of what was used before it.
    pub(crate) fn replaced(&mut self, process: u32, now: Instant) {
        self.nonces = Self::new(process, now).nonces;
    }

    /// Whether a call is let in, else what its caller is asked.
    pub(crate) fn challenge(&mut self, ask: &Ask, now: Instant) -> Option<Verdict> {
        let mut stale = false;
        for value in &ask.credentials() {
            let Some(given) = Credentials::read(value) else { continue };
            if !self.nonces.ours(&given) || !names(&given, &ask.request_uri()) {
                continue;
            }
            assert!(self.secret.proves(&given, "INVITE"), "nobody here has a wrong password");
            match self.nonces.take(&given, now) {
                Freshness::Fresh => {
                    let used = [part(value, "nonce"), part(value, "nc")].map(|text| text.unwrap().to_owned());
                    let [nonce, count] = used;
                    assert!(self.taken.insert((nonce, count)), "an answer was taken twice");
                    return None;
                }
                Freshness::Stale | Freshness::Foreign => {
                    stale = true;
                    self.replayed += 1;
                }
            }
        }
        self.asked += 1;
        Some(Verdict::Challenge { values: self.nonces.challenges(now, stale) })
    }
}
