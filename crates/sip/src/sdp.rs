//! What an offer says of encryption, and nothing more (RFC 8866, RFC 4568, RFC 5763, RFC 5124): the edge changes no
//! body and stands in no way of media; it only tells plain streams from encrypted ones. Lines are read in place,
//! bounded by the message, without allocation.
#![warn(clippy::indexing_slicing)]

use memchr::memmem;
use std::net::IpAddr;

use crate::message::{Message, Name};
use crate::text;
use crate::uri;

/// The most parts of a multipart body that are looked at for an offer.
const PARTS_MAX: usize = 16;

/// The streams of an offer, by whether their packets are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Media {
    /// There is no offer: the other side makes it (RFC 3261 section 13.2.1).
    #[default]
    Absent,
    /// There is a body that could not be read as an offer.
    Unreadable,
    /// Every stream may be plain. That holds for `RTP/AVP` with `a=crypto` or a fingerprint too: the answerer may pass
    /// over them (RFC 8643).
    Plain,
    /// Every stream is encrypted: a profile that forbids plain packets, with keys that stand in the SDP (RFC 4568), at least
    /// of one stream.
    Secure,
    /// Every stream is encrypted, with keys that are agreed between the two ends (RFC 5763).
    Dtls,
    /// Some streams are encrypted; others may be plain.
    Mixed,
}

impl Media {
    /// What two offers say of which either may be taken.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unreadable, _) | (_, Self::Unreadable) => Self::Unreadable,
            (Self::Absent, one) | (one, Self::Absent) => one,
            (Self::Plain, Self::Plain) => Self::Plain,
            (Self::Dtls, Self::Dtls) => Self::Dtls,
            (Self::Secure | Self::Dtls, Self::Secure | Self::Dtls) => Self::Secure,
            (Self::Plain | Self::Secure | Self::Dtls | Self::Mixed, _) => Self::Mixed,
        }
    }
}

/// Which offers are refused within a call. It stands in the cookie, so that any process judges later offers alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaRule(u8);

impl MediaRule {
    /// What may end up plain.
    pub const PLAIN: Self = Self(1);
    /// What is encrypted with keys in the SDP and cannot be answered plain.
    pub const SDES: Self = Self(2);
    /// What is encrypted with keys agreed by DTLS and cannot be answered plain.
    pub const DTLS: Self = Self(4);

    /// Refuses what either refuses.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether anything is refused at all.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Whether an offer cannot be taken. Without one there is nothing to refuse: the other side makes it.
    pub fn refuses(self, offer: Media) -> bool {
        let one = match offer {
            Media::Absent => return false,
            Media::Unreadable | Media::Plain | Media::Mixed => Self::PLAIN,
            Media::Secure => Self::SDES,
            Media::Dtls => Self::DTLS,
        };
        self.0 & one.0 != 0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }
}

/// Reads the offer of a request.
pub(crate) fn media(message: &Message<'_>) -> Media {
    let body = message.body();
    if text::trim(body).is_empty() {
        return Media::Absent;
    }
    let encoding = message.other("Content-Encoding").or_else(|| message.other("e"));
    if encoding.is_some_and(|value| !value.eq_ignore_ascii_case(b"identity")) {
        return Media::Unreadable;
    }
    let Some(kind) = message.value(Name::ContentType) else { return offer(body) };
    let (essence, params) = text::split(kind, b';').unwrap_or((kind, &[]));
    let essence = text::trim(essence);
    if essence.eq_ignore_ascii_case(b"application/sdp") {
        return offer(body);
    }
    let multipart = essence.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/"));
    let boundary = text::param_value(params, b"boundary").map(unquoted).filter(|text| !text.is_empty());
    match boundary.filter(|_| multipart) {
        Some(boundary) => parts(body, boundary).unwrap_or(Media::Unreadable),
        // a body of another kind, such as an INFO package's: no offer in it
        None if multipart => Media::Unreadable,
        None => Media::Absent,
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// What all parts of a multipart body (RFC 2046) that are SDP say together: the answerer may take any of them. `None` where
/// there is no such part, where there are too many parts to look at, and where parts are in parts.
fn parts(body: &[u8], boundary: &[u8]) -> Option<Media> {
    let mut rest = body;
    let mut found = None::<Media>;
    for _ in 0..=PARTS_MAX {
        let Some(at) = delimiter(rest, boundary) else { return found };
        rest = rest.get(at + 2 + boundary.len()..)?;
        if rest.starts_with(b"--") {
            return found;
        }
        let end = delimiter(rest, boundary).unwrap_or(rest.len());
        let (head, inside) = halves(rest.get(..end)?)?;
        for kind in text::lines(head).filter_map(content_type) {
            if kind.get(..10).is_some_and(|head| head.eq_ignore_ascii_case(b"multipart/")) {
                return None;
            }
            if kind.eq_ignore_ascii_case(b"application/sdp") {
                let one = offer(inside);
                found = Some(found.map_or(one, |before| before.and(one)));
            }
        }
        rest = rest.get(end..)?;
    }
    None
}

/// The type that a header line of a part tells, without its parameters.
fn content_type(line: &[u8]) -> Option<&[u8]> {
    let (name, value) = text::split(line, b':')?;
    let (essence, _) = text::split(value, b';').unwrap_or((value, &[]));
    text::trim(name).eq_ignore_ascii_case(b"content-type").then(|| text::trim(essence))
}

/// Where `--boundary` stands at the beginning of a line.
fn delimiter(body: &[u8], boundary: &[u8]) -> Option<usize> {
    let starts = |at: usize| at == 0 || body.get(at - 1) == Some(&b'\n');
    let dashes = |at: usize| at.checked_sub(2).filter(|from| body.get(*from..at) == Some(b"--"));
    memmem::find_iter(body, boundary).filter_map(dashes).find(|at| starts(*at))
}

/// The headers of a part and its body.
fn halves(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let crlf = memmem::find(part, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = memmem::find(part, b"\n\n").map(|at| (at, at + 2));
    let (end, begin) = crlf.into_iter().chain(lf).min()?;
    Some((part.get(..end)?, part.get(begin..)?))
}

/// The addresses at which a body asks for its sound (RFC 4566 section 5.7), but for those of a call on hold.
pub(crate) fn addresses(body: &[u8]) -> impl Iterator<Item = IpAddr> {
    text::lines(body).filter_map(|line| {
        let rest = line.strip_prefix(b"c=IN IP4 ").or_else(|| line.strip_prefix(b"c=IN IP6 "))?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b' ')).unwrap_or(rest.len());
        let address = uri::address(rest.get(..end)?)?;
        (!address.is_unspecified()).then_some(address)
    })
}

/// One `m=` line with the attributes below it.
#[derive(Clone, Copy, Default)]
struct Stream {
    /// Its profile forbids plain packets.
    secure: bool,
    /// How its keys are agreed, if it says so.
    keyed: Option<Keys>,
}

/// How keys are agreed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// They stand in the SDP.
    Written,
    Dtls,
}

#[derive(Default)]
struct Found {
    session_keyed: Option<Keys>,
    plain: bool,
    written: bool,
    dtls: bool,
}

/// Keys that stand in the SDP count before a fingerprint: the answerer may take either.
fn either(one: Option<Keys>, other: Keys) -> Option<Keys> {
    if one == Some(Keys::Written) { one } else { Some(other) }
}

impl Found {
    fn end(&mut self, stream: Option<Stream>) {
        let Some(stream) = stream else { return };
        match (stream.secure, stream.keyed.or(self.session_keyed)) {
            (true, Some(Keys::Dtls)) => self.dtls = true,
            (true, Some(Keys::Written)) => self.written = true,
            // without keys nothing is proven: it counts as both
            (true, None) => (self.written, self.plain) = (true, true),
            (false, _) => self.plain = true,
        }
    }
}

pub(crate) fn offer(body: &[u8]) -> Media {
    let mut found = Found::default();
    let (mut stream, mut described) = (None::<Stream>, false);
    let mut first = true;
    for line in text::lines(body) {
        if std::mem::take(&mut first) && !line.starts_with(b"v=") {
            return Media::Unreadable;
        }
        match line {
            [b'm', b'=', rest @ ..] => {
                found.end(stream.take());
                let Some((on, secure)) = described_by(rest) else { return Media::Unreadable };
                described = true;
                stream = on.then_some(Stream { secure, keyed: None });
            }
            [b'a', b'=', rest @ ..] => match (keys(rest), &mut stream) {
                (Some(keys), Some(stream)) => stream.keyed = either(stream.keyed, keys),
                (Some(keys), None) if !described => found.session_keyed = either(found.session_keyed, keys),
                _ => {}
            },
            _ => {}
        }
    }
    found.end(stream);
    match (found.plain, found.written, found.dtls) {
        (false, false, false) => Media::Absent,
        (true, false, false) => Media::Plain,
        (false, true, _) => Media::Secure,
        (false, false, true) => Media::Dtls,
        (true, _, _) => Media::Mixed,
    }
}

/// How keys are agreed by an attribute: in the SDP itself (RFC 4568), by MIKEY (RFC 4567), by DTLS (RFC 5763).
fn keys(attribute: &[u8]) -> Option<Keys> {
    let named = |name: &[u8]| {
        attribute
            .get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name) && attribute.len() > name.len())
    };
    match () {
        () if named(b"crypto:") || named(b"key-mgmt:") => Some(Keys::Written),
        () if named(b"fingerprint:") => Some(Keys::Dtls),
        () => None,
    }
}

/// `audio 4000 RTP/SAVP 0`: whether the stream is switched on (a port of 0 says no), and whether its profile forbids
/// plain packets. `None` when it is no media line.
fn described_by(rest: &[u8]) -> Option<(bool, bool)> {
    let mut words = rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (_kind, port, profile) = (words.next()?, words.next()?, words.next()?);
    let (port, _) = text::split(port, b'/').unwrap_or((port, &[]));
    let port = text::number(port)?;
    let secure = profile.split(|byte| *byte == b'/').any(|word| {
        [&b"SAVP"[..], b"SAVPF", b"TLS", b"DTLS"].iter().any(|one| word.eq_ignore_ascii_case(one))
    });
    Some((port != 0, secure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    const CRYPTO: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n";
    const PRINT: &str = "a=fingerprint:sha-256 AA:BB\r\n";

    fn read(headers: &str, body: &str) -> Media {
        let text = format!("INVITE sip:a@b SIP/2.0\r\n{headers}\r\n{body}");
        media(&Message::parse(text.as_bytes()).unwrap())
    }

    fn sdp(streams: &str) -> Media {
        read("Content-Type: application/sdp\r\n", &format!("{HEAD}{streams}"))
    }

    #[test]
    fn addresses_of_sound_are_read_but_for_those_of_a_hold() {
        let body = b"v=0\r\nc=IN IP4 192.168.1.2\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\nc=IN IP4 224.2.1.1/127\r\n\
                     c=IN IP6 2001:db8::1\r\nc=IN IP4 host.example\r\nc=ATM x\r\n";
        let found: Vec<String> = addresses(body).map(|address| address.to_string()).collect();
        assert_eq!(found, ["192.168.1.2", "224.2.1.1", "2001:db8::1"]);
        assert_eq!(addresses(b"\xFFc=IN IP4 ").count(), 0);
    }

    #[test]
    fn profiles_and_keys_tell_plain_from_secure() {
        for (streams, wanted) in [
            ("m=audio 4000 RTP/AVP 0\r\n".to_owned(), Media::Plain),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}"), Media::Secure),
            (format!("m=audio 4000 RTP/SAVPF 0\n{}", CRYPTO.replace('\r', "")), Media::Secure),
            (format!("m=audio 4000 UDP/TLS/RTP/SAVPF 111\r\n{PRINT}a=setup:actpass\r\n"), Media::Dtls),
            (format!("{PRINT}m=audio 4000 UDP/TLS/RTP/SAVPF 111\r\n"), Media::Dtls),
            (format!("m=audio 4000 udp/tls/rtp/savp 0\r\n{PRINT}"), Media::Dtls),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{PRINT}{CRYPTO}"), Media::Secure),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{PRINT}m=audio 4002 RTP/SAVP 0\r\n{CRYPTO}"), Media::Secure),
            // what may be encrypted may be plain
            (format!("m=audio 4000 RTP/AVP 0\r\n{CRYPTO}"), Media::Plain),
            (format!("m=audio 4000 RTP/AVPF 0\r\n{PRINT}"), Media::Plain),
            // a profile without keys proves nothing
            ("m=audio 4000 RTP/SAVP 0\r\n".to_owned(), Media::Mixed),
            ("m=audio 4000 RTP/SAVP 0\r\na=crypto:\r\n".to_owned(), Media::Mixed),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}m=video 4002 RTP/AVP 96\r\n"), Media::Mixed),
            (format!("m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}m=audio 4000 RTP/AVP 0\r\n"), Media::Mixed),
            // the keys of one stream are not another's
            (format!("m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}m=video 4002 RTP/SAVP 96\r\n"), Media::Mixed),
            // a stream that is switched off counts for nothing
            (format!("m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}m=video 0 RTP/AVP 96\r\n"), Media::Secure),
            (format!("m=audio 0 RTP/AVP 0\r\n{CRYPTO}m=audio 4000/2 RTP/SAVP 0\r\n"), Media::Mixed),
            ("m=audio 0 RTP/AVP 0\r\n".to_owned(), Media::Absent),
            (String::new(), Media::Absent),
            ("m=image 4000 udptl t38\r\n".to_owned(), Media::Plain),
            ("m=audio\r\n".to_owned(), Media::Unreadable),
            ("m=audio x RTP/AVP 0\r\n".to_owned(), Media::Unreadable),
            ("m=audio 99999999999 RTP/AVP 0\r\n".to_owned(), Media::Unreadable),
        ] {
            assert_eq!(sdp(&streams), wanted, "{streams}");
        }
    }

    #[test]
    fn a_rule_refuses_what_either_side_does_and_never_what_is_not_there() {
        use Media as M;
        let all = [M::Absent, M::Unreadable, M::Plain, M::Mixed, M::Secure, M::Dtls];
        let refused = |rule: MediaRule| all.map(|offer| rule.refuses(offer));
        assert_eq!(refused(MediaRule::default()), [false; 6]);
        assert_eq!(refused(MediaRule::PLAIN), [false, true, true, true, false, false]);
        let encrypted = MediaRule::SDES.and(MediaRule::DTLS);
        assert_eq!(refused(encrypted), [false, false, false, false, true, true]);
        assert_eq!(refused(encrypted.and(MediaRule::PLAIN)), [false, true, true, true, true, true]);
        for bits in 0..8 {
            assert_eq!(MediaRule::from_bits(bits).bits(), bits);
        }
    }

    #[test]
    fn bodies_are_known_by_their_type() {
        let plain = format!("{HEAD}m=audio 4000 RTP/AVP 0\r\n");
        assert_eq!(read("", ""), Media::Absent);
        assert_eq!(read("Content-Type: application/sdp\r\n", "\r\n"), Media::Absent);
        assert_eq!(read("", &plain), Media::Plain);
        assert_eq!(read("c: Application/SDP ; charset=x\r\n", &plain), Media::Plain);
        assert_eq!(read("Content-Type: text/plain\r\n", &plain), Media::Absent);
        assert_eq!(read("Content-Type: application/sdp\r\n", "hello"), Media::Unreadable);
        let packed = "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n";
        assert_eq!(read(packed, &plain), Media::Unreadable);
    }

    #[test]
    fn an_offer_is_found_among_the_parts_of_a_body() {
        let plain = format!("{HEAD}m=audio 4000 RTP/AVP 0\r\n");
        let kind = "Content-Type: multipart/mixed; boundary=\"b1\"\r\n";
        let body = format!(
            "preamble --b1 x\r\n--b1\r\nContent-Type: application/ISUP;version=x\r\n\r\n\x01\x02\r\n\
             --b1\r\nContent-Type: application/sdp\r\nContent-Disposition: session\r\n\r\n{plain}\r\n--b1--\r\n"
        );
        assert_eq!(read(kind, &body), Media::Plain);
        assert_eq!(read(kind, &body.replace("application/sdp", "text/plain")), Media::Unreadable);
        assert_eq!(read(kind, "--b1\r\n"), Media::Unreadable);
        assert_eq!(read("Content-Type: multipart/mixed\r\n", &body), Media::Unreadable);
        let part = |sdp: &str| format!("--b1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n");
        let secure = part(&format!("{HEAD}m=audio 4000 RTP/SAVP 0\r\n{CRYPTO}"));
        let open = part(&plain);
        for (body, wanted) in [
            (format!("{secure}{open}--b1--"), Media::Mixed),
            (format!("{open}{secure}--b1--"), Media::Mixed),
            (format!("{secure}{secure}--b1--"), Media::Secure),
            (format!("{secure}{secure}{open}"), Media::Mixed),
            (format!("{open}{open}--b1--"), Media::Plain),
            (format!("{secure}{}--b1--", part("hello")), Media::Unreadable),
            (
                format!("{secure}--b1\r\nContent-Type: Multipart/alternative;boundary=x\r\n\r\n--x"),
                Media::Unreadable,
            ),
            (format!("{}{open}--b1--", secure.repeat(PARTS_MAX)), Media::Unreadable),
        ] {
            assert_eq!(read(kind, &body), wanted, "{body}");
        }
        let many = "--b1\r\nContent-Type: a/b\r\n\r\nx\r\n".repeat(PARTS_MAX);
        assert_eq!(read(kind, &format!("{many}{body}")), Media::Unreadable, "the parts are bounded");
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd_to_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), multi in any::<bool>()) {
            let kind = if multi { "multipart/mixed;boundary=b" } else { "application/sdp" };
            let mut text = format!("INVITE sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\n\r\n--b\r\nv=").into_bytes();
            text.extend_from_slice(&bytes);
            media(&Message::parse(&text).unwrap());
        }

        #[test]
        fn no_order_of_known_lines_makes_a_plain_stream_secure(picks in proptest::collection::vec(0usize..8, 0..12)) {
            let lines = ["m=audio 1 RTP/AVP 0", "m=video 2 RTP/SAVP 0", "a=crypto:1 x", "a=fingerprint:x", "", "m=", "a=", "m=audio 0 RTP/AVP 0"];
            let streams: Vec<_> = picks.iter().filter_map(|at| lines.get(*at).copied()).collect();
            let streams = streams.join("\r\n");
            let plain = picks.contains(&0);
            prop_assert!(!(plain && matches!(sdp(&streams), Media::Secure | Media::Dtls)), "{}", streams);
        }
    }
}
