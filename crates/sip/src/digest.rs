//! Digest authentication of callers, the server's side (RFC 7616, RFC 8760, RFC 3261 section 22): challenges, reading
//! credentials, verifying them. Nothing is kept of a challenge: its nonce is a time and a count under a MAC. What is kept,
//! in a bounded table, is how often a nonce was used, so that an answer that was overheard is worth nothing.
#![warn(clippy::indexing_slicing)]

use std::fmt;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::cookie::equal;
use crate::keys;
use crate::text;

/// The protection space that callers are asked for.
pub const REALM: &str = "trunkline";
/// How long a nonce is taken: a caller may use it for several calls, counting up.
const NONCE_LIFE: Duration = Duration::from_mins(1);
/// Nonces whose use is remembered. When so many were used within their life, further ones are called stale.
const NONCES_MAX: usize = 65_536;
const MAC: usize = 12;
const NONCE: usize = 12 + MAC;

/// An algorithm of RFC 7616, in the order of the challenges. RFC 8760 section 2.3 has the stronger one first; but callers
/// that look at the first challenge only and know nothing but MD5 are many, and they would never get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, for those who know no other.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::Md5, Self::Sha256];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// By name, if we know it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| name.eq_ignore_ascii_case(one.name()))
    }

    pub(crate) fn hash(self, parts: &[&[u8]]) -> Hex {
        match self {
            Self::Sha256 => {
                let mut state = Sha256::new();
                for part in parts {
                    state.update(part);
                }
                Hex::of(&state.finalize())
            }
            Self::Md5 => {
                let mut state = Md5::new();
                for part in parts {
                    state.update(part);
                }
                Hex::of(&state.finalize())
            }
        }
    }
}

/// A hash in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex {
    text: [u8; 64],
    length: usize,
}

impl Hex {
    fn of(hash: &[u8]) -> Self {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self { text, length: (hash.len() * 2).min(64) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// What verifying needs of a password, for one name and [`REALM`]: as good as the password there, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    sha256: Hex,
    md5: Hex,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Of a name and its password.
    pub fn new(username: &str, password: &[u8]) -> Self {
        let of = |algorithm: Algorithm| {
            algorithm.hash(&[username.as_bytes(), b":", REALM.as_bytes(), b":", password])
        };
        Self { sha256: of(Algorithm::Sha256), md5: of(Algorithm::Md5) }
    }

    const fn of(&self, algorithm: Algorithm) -> &Hex {
        match algorithm {
            Algorithm::Sha256 => &self.sha256,
            Algorithm::Md5 => &self.md5,
        }
    }

    /// True when the credentials were made with this password for a request of this method. Takes as long for wrong ones.
    pub fn proves(&self, given: &Credentials<'_>, method: &str) -> bool {
        let second = given.algorithm.hash(&[method.as_bytes(), b":", given.uri]);
        let first = self.of(given.algorithm);
        let wanted = given.algorithm.hash(&[
            first.bytes(),
            b":",
            given.nonce,
            b":",
            given.nc_text,
            b":",
            given.cnonce,
            b":auth:",
            second.bytes(),
        ]);
        let mut lower = [0; 64];
        let Some(answer) = lower.get_mut(..given.response.len()) else { return false };
        answer.copy_from_slice(given.response);
        answer.make_ascii_lowercase();
        equal(wanted.bytes(), answer)
    }
}

/// The parts of an `Authorization` or `Proxy-Authorization` value.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The name, with its escapes as they came.
    pub username: &'a str,
    /// The request that they are for.
    pub uri: &'a [u8],
    algorithm: Algorithm,
    nonce: &'a [u8],
    response: &'a [u8],
    cnonce: &'a [u8],
    nc_text: &'a [u8],
    nc: u32,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl<'a> Credentials<'a> {
    /// Reads a header value. `None` unless it answers a challenge of ours: its realm, `qop=auth`, an algorithm that was
    /// offered, each parameter once.
    pub fn read(value: &'a str) -> Option<Self> {
        let rest =
            value.as_bytes().get(..7).filter(|head| head.eq_ignore_ascii_case(b"Digest ")).map(|_| value)?;
        let fields = Fields::read(rest.as_bytes().get(7..)?)?;
        let algorithm = match fields.algorithm {
            None => Algorithm::Md5,
            Some(name) => Algorithm::named(std::str::from_utf8(name).ok()?)?,
        };
        let known = fields.realm? == REALM.as_bytes() && fields.qop?.eq_ignore_ascii_case(b"auth");
        let nc_text = fields.nc.filter(|text| text.len() == 8)?;
        let nc = std::str::from_utf8(nc_text).ok().and_then(|text| u32::from_str_radix(text, 16).ok())?;
        let cnonce = fields.cnonce.filter(|text| !text.is_empty())?;
        let username = std::str::from_utf8(fields.username?).ok()?;
        known.then_some(Self {
            username,
            uri: fields.uri?,
            algorithm,
            nonce: fields.nonce?,
            response: fields.response?,
            cnonce,
            nc_text,
            nc,
        })
    }
}

#[derive(Default)]
struct Fields<'a> {
    username: Option<&'a [u8]>,
    realm: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    response: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    nc: Option<&'a [u8]>,
    cnonce: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a [u8]) -> Option<Self> {
        let mut fields = Self::default();
        for pair in text::List(text) {
            let (name, value) = text::split(pair, b'=')?;
            let value = text::trim(value);
            let value = match value.strip_prefix(b"\"") {
                Some(inside) => inside.strip_suffix(b"\"")?,
                None => value,
            };
            let slot = match text::trim(name).to_ascii_lowercase().as_slice() {
                b"username" => &mut fields.username,
                b"realm" => &mut fields.realm,
                b"nonce" => &mut fields.nonce,
                b"uri" => &mut fields.uri,
                b"response" => &mut fields.response,
                b"algorithm" => &mut fields.algorithm,
                b"qop" => &mut fields.qop,
                b"nc" => &mut fields.nc,
                b"cnonce" => &mut fields.cnonce,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        Some(fields)
    }
}

/// What a nonce turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It may be used now, and was counted.
    Fresh,
    /// It is ours, but too old, or used as often before: the caller is to answer a new one.
    Stale,
    /// Not of this process.
    Foreign,
}

/// Makes nonces and remembers which were used.
pub struct Nonces {
    key: [u8; 32],
    origin: Instant,
    count: u32,
    used: HashMap<(u64, u32), u32>,
    most: usize,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("used", &self.used.len()).finish_non_exhaustive()
    }
}

impl Nonces {
    /// `key` must be another one in each process: nonces of an earlier one, whose use is not remembered, are foreign then.
    pub fn new(key: [u8; 32], now: Instant) -> Self {
        let key = blake3::derive_key("trunkline 2026 sip digest nonce", &key);
        Self { key, origin: now, count: 0, used: HashMap::new(), most: NONCES_MAX }
    }

    fn age_of(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }

    /// The challenges, as values of `Proxy-Authenticate`, to be sent in this order. `stale` says that the answer was
    /// right but for its nonce.
    pub fn challenges(&mut self, now: Instant, stale: bool) -> [String; 2] {
        self.count = self.count.wrapping_add(1);
        let mut raw = [0; NONCE];
        let (place, mac) = raw.split_at_mut(12);
        let (time, count) = place.split_at_mut(8);
        time.copy_from_slice(&self.age_of(now).to_be_bytes());
        count.copy_from_slice(&self.count.to_be_bytes());
        mac.copy_from_slice(keys::mac(&self.key, &[place]).get(..MAC).unwrap_or_default());
        let mut nonce = Vec::with_capacity(32);
        keys::base64url(&raw, &mut nonce);
        let nonce = text::owned(&nonce);
        let stale = if stale { ", stale=true" } else { "" };
        Algorithm::ALL.map(|algorithm| {
            let name = algorithm.name();
            format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
        })
    }

    /// True when the nonce is ours, however old: otherwise the answer need not be looked at.
    pub fn ours(&self, given: &Credentials<'_>) -> bool {
        self.place(given.nonce).is_some()
    }

    fn place(&self, nonce: &[u8]) -> Option<(u64, u32)> {
        let mut buffer = [0; NONCE + 3];
        let raw: &[u8; NONCE] = keys::base64url_read(nonce, &mut buffer)?.try_into().ok()?;
        let (place, mac) = raw.split_at(12);
        let wanted = keys::mac(&self.key, &[place]);
        if !equal(wanted.get(..MAC)?, mac) {
            return None;
        }
        let (time, count) = place.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*time), u32::from_be_bytes(count.try_into().ok()?)))
    }

    /// Takes one use of the nonce that right credentials were made with. Wrong ones must not come here: they would use
    /// up the nonce of another.
    pub fn take(&mut self, given: &Credentials<'_>, now: Instant) -> Freshness {
        let Some(place) = self.place(given.nonce) else { return Freshness::Foreign };
        let now = self.age_of(now);
        let life = u64::try_from(NONCE_LIFE.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(place.0) > life {
            return Freshness::Stale;
        }
        if self.used.len() >= self.most && !self.used.contains_key(&place) {
            self.used.retain(|(time, _), _| now.saturating_sub(*time) <= life);
            if self.used.len() >= self.most {
                return Freshness::Stale;
            }
        }
        let last = self.used.entry(place).or_insert(0);
        if given.nc <= *last {
            return Freshness::Stale;
        }
        *last = given.nc;
        Freshness::Fresh
    }
}

/// True when the credentials were made for this request line: the same URI, or the same host without a user part, as
/// some clients write it.
pub fn names(given: &Credentials<'_>, request_uri: &str) -> bool {
    if given.uri == request_uri.as_bytes() {
        return true;
    }
    let (Some(named), Some(asked)) =
        (crate::Uri::parse(given.uri), crate::Uri::parse(request_uri.as_bytes()))
    else {
        return false;
    };
    let port = |uri: &crate::Uri<'_>| uri.port.unwrap_or(5060);
    (named.user.is_none() || named.user == asked.user)
        && named.host.eq_ignore_ascii_case(asked.host)
        && port(&named) == port(&asked)
}

/// True for a header value that answers a challenge of ours: it is for nobody behind us.
pub(crate) fn ours(value: &[u8]) -> bool {
    let digest = value.get(..7).is_some_and(|head| head.eq_ignore_ascii_case(b"Digest "));
    digest
        && value.get(7..).and_then(Fields::read).is_some_and(|fields| fields.realm == Some(REALM.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
    fn origin() -> Instant {
        Instant::now()
    }

    /// What a client answers to a challenge (RFC 7616 section 3.4.1), written apart from the code that verifies.
    fn answer(challenge: &str, user: &str, password: &str, nc: u32) -> String {
        let part = |name: &str| {
            let from = challenge.split_once(&format!("{name}=")).unwrap().1;
            from.split(',').next().unwrap().trim_matches('"').to_owned()
        };
        let hex = |text: String| {
            let bytes = match part("algorithm").as_str() {
                "MD5" => Md5::digest(text).to_vec(),
                _ => Sha256::digest(text).to_vec(),
            };
            text::owned(Hex::of(&bytes).bytes())
        };
        let (realm, nonce) = (part("realm"), part("nonce"));
        let (first, second) = (hex(format!("{user}:{realm}:{password}")), hex("INVITE:sip:+1@h".to_owned()));
        let response = hex(format!("{first}:{nonce}:{nc:08x}:c1:auth:{second}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"sip:+1@h\", response=\"{response}\", \
             algorithm={}, cnonce=\"c1\", qop=auth, nc={nc:08x}",
            part("algorithm")
        )
    }

    #[test]
    fn right_answers_are_taken_once_and_wrong_ones_never() {
        let now = origin();
        let mut nonces = Nonces::new([1; 32], now);
        let secret = Secret::new("line", b"pass: word");
        for (challenge, name) in nonces.challenges(now, false).iter().zip(["MD5", "SHA-256"]) {
            assert!(challenge.contains(&format!("algorithm={name}")) && !challenge.contains("stale"));
            let text = answer(challenge, "line", "pass: word", 1);
            let given = Credentials::read(&text).unwrap();
            assert!(secret.proves(&given, "INVITE") && !secret.proves(&given, "BYE"));
            assert!(!Secret::new("line", b"other").proves(&given, "INVITE"));
            assert!(!Secret::new("else", b"pass: word").proves(&given, "INVITE"));
        }
        let [challenge, _] = nonces.challenges(now, false);
        let [one, two, three, four] = [1, 2, 3, 4].map(|nc| answer(&challenge, "line", "pass: word", nc));
        let mut take = |text: &str, now| nonces.take(&Credentials::read(text).unwrap(), now);
        assert_eq!(take(&one, now), Freshness::Fresh);
        assert_eq!(take(&one, now), Freshness::Stale, "the same answer again");
        assert_eq!(take(&two, now), Freshness::Fresh);
        assert_eq!(take(&four, now), Freshness::Fresh);
        assert_eq!(take(&three, now), Freshness::Stale, "counted back");
        assert_eq!(take(&four, now + NONCE_LIFE * 2), Freshness::Stale);
        let mut other = Nonces::new([2; 32], now);
        assert_eq!(other.take(&Credentials::read(&one).unwrap(), now), Freshness::Foreign);
    }

    #[test]
    fn the_table_of_used_nonces_is_bounded_and_lets_nobody_in_twice() {
        let now = origin();
        let mut nonces = Nonces::new([1; 32], now);
        nonces.most = 2;
        let texts: Vec<_> = (0..3).map(|_| answer(&nonces.challenges(now, false)[0], "u", "p", 1)).collect();
        let all = |nonces: &mut Nonces, now| {
            texts.iter().map(|text| nonces.take(&Credentials::read(text).unwrap(), now)).collect::<Vec<_>>()
        };
        assert_eq!(all(&mut nonces, now), [Freshness::Fresh, Freshness::Fresh, Freshness::Stale]);
        assert_eq!(all(&mut nonces, now), [Freshness::Stale; 3]);
        let later = now + NONCE_LIFE * 2;
        let text = answer(&nonces.challenges(later, false)[0], "u", "p", 1);
        assert_eq!(nonces.take(&Credentials::read(&text).unwrap(), later), Freshness::Fresh);
    }

    #[test]
    fn the_example_of_rfc_7616_is_verified() {
        // section 3.9.1, with our realm's secret replaced by the example's own
        let hash = |algorithm: Algorithm| algorithm.hash(&[b"Mufasa:http-auth@example.org:Circle of Life"]);
        let secret = Secret { sha256: hash(Algorithm::Sha256), md5: hash(Algorithm::Md5) };
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let given = Credentials {
                username: "Mufasa",
                uri: b"/dir/index.html",
                algorithm,
                nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                response: response.as_bytes(),
                cnonce: b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                nc_text: b"00000001",
                nc: 1,
            };
            assert!(secret.proves(&given, "GET"), "{algorithm:?}");
        }
    }

    #[test]
    fn what_answers_no_challenge_of_ours_is_not_read() {
        let now = origin();
        let mut nonces = Nonces::new([1; 32], now);
        let good = answer(&nonces.challenges(now, true)[0], "u", "p", 1);
        assert!(Credentials::read(&good).is_some() && ours(good.as_bytes()));
        assert!(Credentials::read(&good.replace("algorithm=MD5, ", "")).is_some(), "MD5 is the default");
        for (from, to) in [
            ("Digest ", "Basic "),
            ("realm=\"trunkline\"", "realm=\"other\""),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth", "x=y"),
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=0000000g"),
            ("cnonce=\"c1\"", "cnonce=\"\""),
            ("username=\"u\"", "username=\"u\", username=\"v\""),
            ("username=\"u\"", "username=\"u"),
        ] {
            assert!(Credentials::read(&good.replace(from, to)).is_none(), "{to}");
        }
        assert!(!ours(b"Digest realm=\"other\"") && !ours(b"Basic x"));
        let shown = format!("{:?} {:?}", Credentials::read(&good), Secret::new("u", b"p"));
        assert_eq!(shown, "Some(Credentials(…)) Secret(…)");
    }

    #[test]
    fn credentials_name_the_request_they_are_for() {
        let now = origin();
        let text = answer(&Nonces::new([1; 32], now).challenges(now, false)[0], "u", "p", 1);
        let named = |uri: &str, request: &str| {
            names(&Credentials { uri: uri.as_bytes(), ..Credentials::read(&text).unwrap() }, request)
        };
        assert!(named("sip:+1@h:5060", "sip:+1@h:5060"));
        assert!(named("sip:h:5060", "sip:+1@h") && named("sip:H", "sip:+1@h;user=phone"));
        assert!(
            !named("sip:+2@h", "sip:+1@h") && !named("sip:g", "sip:+1@h") && !named("sip:h:5061", "sip:+1@h")
        );
    }

    proptest! {
        #[test]
        fn no_value_is_too_odd_to_be_read(text in "(Digest )?[ -~]{0,200}") {
            ours(text.as_bytes());
            Credentials::read(&text);
        }
    }
}
