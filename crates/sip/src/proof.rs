//! Digest authentication, the client's side (RFC 7616, RFC 8760, RFC 3261 section 22): reading what a peer asks, and answering
//! it with a password. Nothing is kept here: nonce counts and client nonces come from the caller.
#![warn(clippy::indexing_slicing)]

use crate::digest::Algorithm;
use crate::login::Login;
use crate::text;

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The protection space, its escapes as they came.
    pub(crate) realm: String,
    /// The nonce.
    pub(crate) nonce: String,
    /// Whether the last answer was right but for its nonce.
    pub(crate) stale: bool,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether `qop=auth` was offered; without any the answer has the form of RFC 2069.
    quality: bool,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The method of the request.
    pub(crate) method: &'a str,
    /// Its Request-URI as sent.
    pub(crate) uri: &'a str,
    /// How often the nonce was used, this time included.
    pub(crate) count: u32,
    /// A text of the client's own that nobody can foresee.
    pub(crate) cnonce: &'a str,
}

impl Challenge {
    /// The challenge with the strongest algorithm that we know, of `WWW-Authenticate` or `Proxy-Authenticate` values
    /// (RFC 8760 section 2.4). `None` where none can be answered: another scheme, an unknown algorithm, `auth-int` alone.
    pub(crate) fn strongest<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let read = |value: &'a str| Self::read(value.as_bytes());
        values.into_iter().flat_map(read).max_by_key(|one| one.algorithm == Algorithm::Sha256)
    }

    /// By the algorithm (RFC 8760 section 2.4).
    pub(crate) fn is_stronger_than(&self, other: &Self) -> bool {
        self.algorithm == Algorithm::Sha256 && other.algorithm != Algorithm::Sha256
    }

    /// The challenges in one header value: a comma list may hold several (RFC 9110 section 11.6.1).
    pub(crate) fn read(value: &[u8]) -> Vec<Self> {
        let mut all: Vec<Vec<(&[u8], &[u8])>> = Vec::new();
        for piece in text::List(value) {
            let Some((name, value)) = text::split(piece, b'=') else { continue };
            let (mut name, value) = (text::trim(name), text::trim(value));
            if let Some((scheme, rest)) = text::split(name, b' ') {
                // Another scheme's parameters are kept apart, and not read.
                all.push(Vec::new());
                name = if scheme.eq_ignore_ascii_case(b"Digest") { text::trim(rest) } else { b"" };
            }
            let Some(last) = all.last_mut() else { continue };
            last.push((name, value));
        }
        all.iter().filter_map(|pairs| Self::of(pairs)).collect()
    }

    fn of(pairs: &[(&[u8], &[u8])]) -> Option<Self> {
        let get = |wanted: &[u8]| {
            let (_, value) = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            std::str::from_utf8(inside.unwrap_or(value)).ok().map(str::to_owned)
        };
        let algorithm = match get(b"algorithm") {
            None => Algorithm::Md5,
            Some(name) => Algorithm::named(&name)?,
        };
        let quality = match get(b"qop") {
            None => false,
            Some(list) => {
                text::List(list.as_bytes()).any(|one| one.eq_ignore_ascii_case(b"auth")).then_some(true)?
            }
        };
        // A line break in what is written back would be another header.
        let plain = |text: &String| !text.chars().any(char::is_control);
        let (realm, nonce) = (get(b"realm").filter(plain)?, get(b"nonce").filter(plain)?);
        let stale = get(b"stale").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Some(Self { realm, nonce, stale, opaque: get(b"opaque").filter(plain), algorithm, quality })
    }

    /// The value of `Authorization` or `Proxy-Authorization`.
    pub(crate) fn answer(&self, login: &Login, asked: &Asked<'_>) -> String {
        let Self { realm, nonce, opaque, algorithm, quality, stale: _ } = self;
        let Login { owner: _, username, password } = login;
        let Asked { method, uri, count, cnonce } = asked;
        let clear = unescaped(realm);
        let first = algorithm.hash(&[username.as_bytes(), b":", clear.as_bytes(), b":", password]);
        let second = algorithm.hash(&[method.as_bytes(), b":", uri.as_bytes()]);
        let count = format!("{count:08x}");
        let middle = if *quality { format!(":{nonce}:{count}:{cnonce}:auth:") } else { format!(":{nonce}:") };
        let response = algorithm.hash(&[first.bytes(), middle.as_bytes(), second.bytes()]);
        let response = text::owned(response.bytes());
        let username = username.replace('\\', "\\\\").replace('"', "\\\"");
        let name = algorithm.name();
        let quality =
            quality.then(|| format!(", qop=auth, cnonce=\"{cnonce}\", nc={count}")).unwrap_or_default();
        let opaque = opaque.as_ref().map(|text| format!(", opaque=\"{text}\"")).unwrap_or_default();
        format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm={name}{quality}{opaque}"
        )
    }
}

/// The text within quotes without its escapes (RFC 3261 section 25.1, `quoted-pair`).
fn unescaped(quoted: &str) -> String {
    let mut clear = String::with_capacity(quoted.len());
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        clear.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    clear
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
                       nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    fn login(username: &str, password: &[u8]) -> Login {
        let (owner, username) = (uuid::Uuid::nil(), username.to_owned());
        Login { owner, username, password: password.to_vec() }
    }

    fn asked() -> Asked<'static> {
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        Asked { method: "GET", uri: "/dir/index.html", count: 1, cnonce }
    }

    #[test]
    fn the_examples_of_rfc_7616_are_answered() {
        let login = login("Mufasa", b"Circle of Life");
        let md5 = Challenge::strongest([RFC]).unwrap();
        let answer = md5.answer(&login, &asked());
        assert!(answer.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{answer}");
        assert!(answer.contains("opaque=\"FQhe") && answer.contains("nc=00000001"), "{answer}");
        let sha = RFC.replace("MD5", "SHA-256");
        let strongest = Challenge::strongest([RFC, sha.as_str()]).unwrap();
        let answer = strongest.answer(&login, &asked());
        let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(answer.contains(wanted) && answer.contains("algorithm=SHA-256"), "{answer}");
        assert!(!format!("{login:?}").contains("Life"));
    }

    #[test]
    fn several_challenges_in_one_value_are_told_apart() {
        let both = "Basic realm=\"b\", Digest realm=\"d\", nonce=\"n1\", Digest realm=\"e\", nonce=\"n2\", algorithm=SHA-256, stale=TRUE";
        let found = Challenge::strongest([both]).unwrap();
        assert_eq!((found.realm.as_str(), found.nonce.as_str(), found.stale), ("e", "n2", true));
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        for value in [
            "",
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-512",
            "Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"x\r\ny\", nonce=\"n\"",
        ] {
            assert_eq!(Challenge::strongest([value]), None, "{value}");
        }
    }

    #[test]
    fn without_a_quality_the_old_form_is_written_and_quotes_are_escaped() {
        let old = Challenge::strongest(["Digest realm=\"a\\\"b\", nonce=\"n\""]).unwrap();
        let answer = old.answer(&login("u\"v", b"p"), &asked());
        assert!(!answer.contains("qop") && !answer.contains("nc="), "{answer}");
        assert!(answer.contains("username=\"u\\\"v\"") && answer.contains("realm=\"a\\\"b\""), "{answer}");
        // md5(md5('u"v:a"b:p'):n:md5(GET:/dir/index.html)), by hand.
        let first = Algorithm::Md5.hash(&[b"u\"v:a\"b:p"]);
        let second = Algorithm::Md5.hash(&[b"GET:/dir/index.html"]);
        let wanted = Algorithm::Md5.hash(&[first.bytes(), b":n:", second.bytes()]);
        assert!(answer.contains(&text::owned(wanted.bytes())), "{answer}");
    }
}
