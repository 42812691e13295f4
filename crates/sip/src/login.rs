//! What a call is asked for by its target or carrier, and what it has answered so far: of each realm the strongest challenge, once,
//! and once more where its nonce was stale; later requests count the last nonce up. Not here: the answer itself (`proof`), and
//! when one is given (`edge::login`).
#![warn(clippy::indexing_slicing)]

use std::fmt;

use uuid::Uuid;

use crate::message::{Message, Name};
use crate::proof::{self, Challenge};

/// Challenges read of one response.
const CHALLENGES_MAX: usize = 8;
/// The longest header value that is answered.
const VALUE_MAX: usize = 2_048;
/// Protection spaces that one call may have: each took a round trip.
const REALMS_MAX: usize = 4;

/// A user name and its password at a target. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose it is, for the shell: the cookie carries it, so that any process can ask for the password again.
    pub owner: Uuid,
    /// The user name, without quotes and backslashes.
    pub username: String,
    /// The password.
    pub password: Vec<u8>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A challenge with the header that its answer stands in.
pub(crate) type Put = (Challenge, bool);

/// The challenges of a 401 or 407 that can be answered: of each realm the strongest (RFC 8760 section 2.4). True beside those of
/// `Proxy-Authenticate`.
pub(crate) fn challenges(message: &Message<'_>) -> Vec<Put> {
    let mut best: Vec<Put> = Vec::new();
    let proxies = message.all(Name::ProxyAuthenticate).map(|header| (header, true));
    let servers = message.all(Name::WwwAuthenticate).map(|header| (header, false));
    let values = proxies.chain(servers).map(|(header, proxy)| (header.value.of(message.bytes), proxy));
    let all = values.filter(|(value, _)| value.len() <= VALUE_MAX);
    let all = all.flat_map(|(value, proxy)| Challenge::read(value).into_iter().map(move |one| (one, proxy)));
    for (one, proxy) in all.take(CHALLENGES_MAX) {
        match best.iter_mut().find(|(other, at)| other.realm == one.realm && *at == proxy) {
            Some((other, _)) if one.is_stronger_than(other) => *other = one,
            Some(_) => {}
            None => best.push((one, proxy)),
        }
    }
    best
}

/// What is answered in one protection space.
#[derive(Clone, Debug)]
struct Answer {
    challenge: Challenge,
    /// It stands in `Proxy-Authorization`, not `Authorization`.
    proxy: bool,
    /// How often its nonce was used.
    count: u32,
    /// A stale nonce was replaced already.
    renewed: bool,
}

/// What a call has been asked for by its target, and the answers: the last nonce of each realm, counted up.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) login: std::sync::Arc<Login>,
    answers: Vec<Answer>,
    /// The credentials of the last INVITE: its ACK has the same (RFC 3261 section 22.1).
    pub(crate) invite: Vec<u8>,
}

/// A request that credentials are made for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a [u8],
    /// The Request-URI as it is sent.
    pub(crate) uri: &'a [u8],
    /// A text that nobody can guess.
    pub(crate) cnonce: &'a [u8],
}

impl Session {
    pub(crate) fn new(login: std::sync::Arc<Login>) -> Self {
        Self { login, answers: Vec::new(), invite: Vec::new() }
    }

    /// Takes challenges in; false when answering would be in vain: nothing readable, or a realm that has had its answer. With
    /// `fresh` the answer before was to an older request: then a realm that is known may ask again.
    pub(crate) fn take(&mut self, challenges: Vec<Put>, fresh: bool) -> bool {
        let mut news = false;
        for (challenge, proxy) in challenges {
            let same = |one: &&mut Answer| one.challenge.realm == challenge.realm && one.proxy == proxy;
            let room = self.answers.len() < REALMS_MAX;
            match self.answers.iter_mut().find(same) {
                None if room => {
                    self.answers.push(Answer { challenge, proxy, count: 0, renewed: false });
                    news = true;
                }
                Some(known) if fresh || challenge.stale && !known.renewed => {
                    *known = Answer { renewed: !fresh, count: 0, challenge, proxy };
                    news = true;
                }
                Some(_) | None => {}
            }
        }
        news
    }

    /// True when there is a nonce to answer with before being asked.
    pub(crate) fn ready(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Writes the header lines that answer every challenge so far; each use counts.
    pub(crate) fn write(&mut self, asked: &Asked<'_>, out: &mut Vec<u8>) {
        let begin = out.len();
        let read = |text| std::str::from_utf8(text).ok();
        let (Some(method), Some(uri), Some(cnonce)) =
            (read(asked.method), read(asked.uri), read(asked.cnonce))
        else {
            return;
        };
        // a quote would end the parameter: no URI has one (RFC 3261 section 25.1)
        if uri.contains('"') {
            return;
        }
        let Self { login, answers, .. } = self;
        for Answer { challenge, proxy, count, .. } in answers {
            *count = count.saturating_add(1);
            let value = challenge.answer(login, &proof::Asked { method, uri, count: *count, cnonce });
            out.extend_from_slice(if *proxy { b"Proxy-Authorization: " } else { b"Authorization: " });
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if method == "INVITE" {
            self.invite = out.get(begin..).unwrap_or_default().to_vec();
        }
    }

    /// True for a header value that answers a challenge of this session's: a newer one takes its place.
    pub(crate) fn wrote(&self, value: &[u8]) -> bool {
        let user = format!("Digest username=\"{}\", realm=\"", self.login.username);
        let Some(rest) = value.strip_prefix(user.as_bytes()) else { return false };
        self.answers.iter().any(|one| {
            rest.strip_prefix(one.challenge.realm.as_bytes()).is_some_and(|rest| rest.starts_with(b"\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Credentials, Secret};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn session() -> Session {
        let (owner, username, password) = (Uuid::nil(), "line".to_owned(), b"pass: word".to_vec());
        Session::new(Arc::new(Login { owner, username, password }))
    }

    fn asked(headers: &str) -> Vec<Put> {
        let text = format!("SIP/2.0 407 Who\r\n{headers}\r\n");
        challenges(&Message::parse(text.as_bytes()).unwrap())
    }

    fn written(session: &mut Session, method: &str, uri: &str) -> String {
        let mut out = Vec::new();
        let asked = Asked { method: method.as_bytes(), uri: uri.as_bytes(), cnonce: b"0a4f113b" };
        session.write(&asked, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_strongest_challenge_of_each_realm_is_answered() {
        let md5 = "Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", algorithm=MD5\r\n";
        let sha = "Proxy-Authenticate: Digest realm=\"a\", nonce=\"2\", algorithm=SHA-256, qop=\"auth\"\r\n";
        let other = "WWW-Authenticate: Basic realm=\"a\", Digest realm=\"b,c\",nonce=\"3\"\r\n";
        for headers in [format!("{md5}{sha}{other}"), format!("{other}{sha}{md5}")] {
            let mut session = session();
            assert!(session.take(asked(&headers), false));
            let lines = written(&mut session, "INVITE", "sip:a@b");
            assert!(lines.contains("algorithm=SHA-256") && lines.contains("realm=\"b,c\""), "{lines}");
            assert!(!lines.contains("nonce=\"1\"") && lines.matches("\r\n").count() == 2, "{lines}");
            assert_eq!(session.invite, lines.as_bytes());
            assert!(lines.lines().all(|line| session.wrote(line.split_once(": ").unwrap().1.as_bytes())));
        }
        for unknown in [
            "Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", algorithm=SHA-512-256\r\n",
            "Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", qop=\"auth-int\"\r\n",
            "Proxy-Authenticate: Digest realm=\"a\"\r\n",
            "Proxy-Authenticate: Digest nonce=\"a\"\r\n",
            "Proxy-Authenticate: Bearer realm=\"a\"\r\n",
            "Proxy-Authenticate: \r\n",
            "",
        ] {
            assert!(!session().take(asked(unknown), false), "{unknown}");
        }
    }

    #[test]
    fn a_realm_is_answered_once_and_once_more_when_stale() {
        let of = |nonce: &str, more: &str| {
            asked(&format!(
                "Proxy-Authenticate: Digest realm=\"a\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n"
            ))
        };
        let mut session = session();
        assert!(session.take(of("1", ""), false) && !session.take(of("2", ""), false));
        assert!(
            session.take(of("3", ", stale=TRUE"), false) && !session.take(of("4", ", stale=true"), false)
        );
        assert!(written(&mut session, "INVITE", "sip:a@b").contains("nonce=\"3\""));
        assert!(written(&mut session, "BYE", "sip:a@b").contains("nc=00000002"));
        assert!(session.take(of("5", ""), true), "a later request of the dialog may be asked anew");
        assert!(written(&mut session, "BYE", "sip:a\"b").is_empty());
    }

    #[test]
    fn what_we_answer_we_would_take() {
        let realm = crate::digest::REALM;
        for algorithm in ["MD5", "SHA-256"] {
            let mut session = session();
            assert!(session.take(asked(&format!("Proxy-Authenticate: Digest realm=\"{realm}\", nonce=\"n\", algorithm={algorithm}, qop=\"auth\"\r\n")), false));
            let line = written(&mut session, "INVITE", "sip:+1@h");
            let value = line.trim_end().split_once(": ").unwrap().1;
            let given = Credentials::read(value).unwrap();
            assert!(Secret::new("line", b"pass: word").proves(&given, "INVITE"));
            assert!(!format!("{session:?}").contains("pass: word"));
        }
    }

    proptest! {
        #[test]
        fn no_challenge_is_too_odd_to_be_read(value in "[ -~]{0,120}") {
            let _ = asked(&format!("WWW-Authenticate: Digest {value}\r\nProxy-Authenticate: {value}\r\n"));
        }
    }
}
