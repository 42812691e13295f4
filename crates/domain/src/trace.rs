//! The SIP messages of single calls, kept for a while where somebody switched it on for a number. Secrets are gone from them
//! before they are kept: see [`redact`].

use crate::Timestamp;
use crate::call::Place;
use crate::ids::NumberId;

/// The longest that calls of a number can be traced at one go, in minutes: a day.
pub const MINUTES_MAX: u32 = 1_440;

/// For how long calls of a number are traced: those that begin in that time, to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceWindow {
    /// Which number.
    pub number_id: NumberId,
    /// Until when; none: calls that begin now are not traced.
    pub until: Option<Timestamp>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedMessage {
    /// When it came, or was given to a socket.
    pub at: Timestamp,
    /// From where.
    pub from: Place,
    /// To where.
    pub to: Place,
    /// The message, without its secrets.
    pub bytes: Vec<u8>,
}

/// The messages of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the order of their times.
    pub messages: Vec<TracedMessage>,
    /// Messages that were not kept, since a trace has a bound.
    pub left_out: u32,
}

/// How a trace is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// As people read it.
    #[default]
    Text,
    /// As network tools read it.
    Pcap,
}

impl TraceFormat {
    /// The formats with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Text, "text"), (Self::Pcap, "pcap")];

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// Stands for each byte of a secret: a message keeps its length, so that its Content-Length stays right.
const HIDDEN: u8 = b'x';

/// Takes the secrets out of a message: answers of digest authentication (RFC 7616) and keys of encrypted sound
/// (RFC 4568 `a=crypto`, RFC 4567 `a=key-mgmt`, RFC 4566 `k=`), and what the headers say that are named in `also`. Whatever the
/// message is, its length stays.
pub fn redact(message: &mut [u8], also: &[String]) {
    let (mut start, mut in_body, mut hiding) = (0, false, false);
    while start < message.len() {
        let end =
            message[start..].iter().position(|b| *b == b'\n').map_or(message.len(), |at| start + at + 1);
        let (line, folded) = (&mut message[start..end], hiding);
        let text = line.trim_ascii_end().len();
        if in_body {
            redact_sdp(&mut line[..text]);
        } else if text == 0 {
            in_body = true;
        } else if matches!(line.first(), Some(b' ' | b'\t')) {
            // A header may go on in the next line (RFC 3261 section 7.3.1).
            if folded {
                line[..text].fill(HIDDEN);
                line[0] = b' ';
            }
        } else {
            hiding = false;
            if let Some(colon) = line[..text].iter().position(|b| *b == b':')
                && is_secret(line[..colon].trim_ascii(), also)
            {
                line[colon + 1..text].fill(HIDDEN);
                hiding = true;
            }
        }
        start = end;
    }
}

fn is_secret(name: &[u8], also: &[String]) -> bool {
    let is = |secret: &[u8]| name.eq_ignore_ascii_case(secret);
    is(b"authorization") || is(b"proxy-authorization") || also.iter().any(|name| is(name.as_bytes()))
}

/// A line of a body: SDP, or SDP as a part of several.
fn redact_sdp(line: &mut [u8]) {
    let begins =
        |line: &[u8], name: &[u8]| line.get(..name.len()).is_some_and(|have| have.eq_ignore_ascii_case(name));
    if begins(line, b"a=crypto:") {
        let mut at = 0;
        // `inline:` with the key, up to what may follow it: several keys are set apart by `;`.
        while let Some(found) = find(&line[at..], b"inline:") {
            let from = at + found + b"inline:".len();
            let len = line[from..].iter().position(|b| b"|; \t".contains(b)).unwrap_or(line.len() - from);
            line[from..from + len].fill(HIDDEN);
            at = from + len;
        }
    } else if begins(line, b"a=key-mgmt:") {
        line[b"a=key-mgmt:".len()..].fill(HIDDEN);
    } else if begins(line, b"k=") {
        line[b"k=".len()..].fill(HIDDEN);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|have| have.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        redact(&mut bytes, &["X-Gate-Token".to_owned()]);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn secrets_are_gone_and_nothing_else() {
        let told = redacted(
            "INVITE sip:a@b SIP/2.0\r\nAuthorization: Digest username=\"u\",\r\n response=\"abc\"\r\nVia: SIP/2.0/UDP h\r\n\
             PROXY-authorization : Digest y\nx-gate-token:TOKEN\r\nWWW-Authenticate: Digest nonce=\"n\"\r\n\r\nv=0\r\n\
             a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRETKEY|2^31|1:4;INLINE:OTHER UNENCRYPTED_SRTP\r\n\
             a=key-mgmt:mikey SECRET\r\nk=base64:SECRET\r\na=fingerprint:sha-256 AA:BB\r\nAuthorization: kept\r\n",
        );
        for gone in ["username", "abc", "Digest y", "SECRET", "OTHER", "TOKEN"] {
            assert!(!told.contains(gone), "{gone}: {told}");
        }
        for kept in [
            "Authorization:xxx",
            "Via: SIP/2.0/UDP h\r\n",
            "nonce=\"n\"",
            "inline:xxxxxxxxx|2^31|1:4;INLINE:xxxxx UNENCRYPTED_SRTP\r\n",
            "a=key-mgmt:xxxxx",
            "k=xxx",
            "a=fingerprint:sha-256 AA:BB",
            "\r\n\r\nv=0",
            "Authorization: kept",
        ] {
            assert!(told.contains(kept), "{kept}: {told}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_message_is_its_length_and_lines_stay(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut told = bytes.clone();
            redact(&mut told, &[]);
            prop_assert_eq!(told.len(), bytes.len());
            let ends = |bytes: &[u8]| bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect::<Vec<_>>();
            prop_assert_eq!(ends(&told), ends(&bytes));
            let mut again = told.clone();
            redact(&mut again, &[]);
            prop_assert_eq!(again, told);
        }
    }
}
