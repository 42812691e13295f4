//! The two bodies of SDP that a bridge writes or edits; every other body passes untouched.

use crate::message::{Message, Name};
use crate::text;

/// What the agent is offered before there is anybody to talk to: the codecs that every phone network carries, and no sound
/// yet in either direction (RFC 3725 section 4.4, RFC 6337 section 5.3). `host` is ours; nothing is ever received there. With keys
/// (30 bytes in base64) it is SRTP and nothing else (RFC 4568 section 6).
pub(super) fn hold(host: &str, session: u64, keys: Option<String>) -> Vec<u8> {
    let host = host.trim_matches(['[', ']']);
    let family = if host.contains(':') { "IP6" } else { "IP4" };
    let profile = if keys.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let crypto = keys.map(|keys| format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{keys}\r\n"));
    let crypto = crypto.unwrap_or_default();
    format!(
        "v=0\r\no=- {session} 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n\
         m=audio 9 {profile} 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n{crypto}a=inactive\r\n"
    )
    .into_bytes()
}

fn directed(line: &[u8]) -> bool {
    let line = text::trim(line);
    [&b"a=inactive"[..], b"a=sendonly", b"a=recvonly", b"a=sendrecv"].contains(&line)
}

/// The agent's answer to [`hold`] as the offer to who is called: the same address and codecs, with sound both ways, which is
/// what SDP means where it says nothing (RFC 8866 section 6.7). Every other byte stays.
pub(super) fn open(answer: &[u8]) -> Vec<u8> {
    let lines = answer.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !directed(line)).flatten().copied().collect()
}

/// Whether two bodies name the same places, profiles and keys: what differs beside that needs no new offer. Formats do not: an
/// answer that names fewer of them than an earlier one chose among those of the other side, which has them already.
pub(super) fn alike(one: &[u8], other: &[u8]) -> bool {
    fn place(line: &[u8]) -> Option<&[u8]> {
        let line = text::trim(line);
        if line.starts_with(b"m=") {
            // `m=audio 4000 RTP/AVP 0 8`: kind, port and profile
            let mut spaces = memchr::memchr_iter(b' ', line);
            let end = spaces.nth(2).unwrap_or(line.len());
            return line.get(..end);
        }
        (line.starts_with(b"c=") || line.starts_with(b"a=crypto:")).then_some(line)
    }
    fn places(body: &[u8]) -> impl Iterator<Item = &[u8]> {
        body.split(|byte| *byte == b'\n').filter_map(place)
    }
    places(one).eq(places(other))
}

/// The body of a message if it is SDP and there is one.
pub(super) fn sdp<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    let body = message.body();
    let kind =
        message.value(Name::ContentType).map(|kind| text::split(kind, b';').map_or(kind, |(kind, _)| kind));
    // a 200 without Content-Type was seen on platforms: its body is meant as SDP
    let fits = kind.is_none_or(|kind| text::trim(kind).eq_ignore_ascii_case(b"application/sdp"));
    (fits && !text::trim(body).is_empty()).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_on_hold_becomes_an_offer_of_the_same_place() {
        let answer = b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\na=ptime:20\r\n";
        let offer = open(answer);
        assert_eq!(offer, b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n");
        assert!(alike(answer, &offer));
        assert!(!alike(answer, b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4002 RTP/AVP 0\r\n"));
        assert!(!alike(answer, b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/SAVP 0\r\n"));
        assert!(!alike(answer, b"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP 0\r\n"));
        assert!(alike(answer, b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 101\r\n"));
    }

    #[test]
    fn the_offer_on_hold_names_us_and_is_inactive() {
        let text = String::from_utf8(hold("[2001:db8::1]", 7, None)).unwrap();
        assert!(text.contains("c=IN IP6 2001:db8::1\r\n") && text.ends_with("a=inactive\r\n"), "{text}");
        assert_eq!(crate::sdp::offer(text.as_bytes()), crate::sdp::Media::Plain);
        let keyed = hold("192.0.2.1", 7, Some("k".repeat(40)));
        assert_eq!(crate::sdp::offer(&keyed), crate::sdp::Media::Secure);
        let other = hold("192.0.2.1", 7, Some("l".repeat(40)));
        assert!(!alike(&keyed, &other) && alike(&keyed, &keyed), "a new key is news");
    }
}
