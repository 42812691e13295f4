//! Forwarding by editing bytes (RFC 3261 sections 16.6 and 16.7): one pass over the message copies what stays and
//! writes what changes into an output buffer. Headers that are not named here arrive byte for byte as they were sent.

use std::net::SocketAddr;

use crate::digest;
use crate::message::{Header, Message, Name, Span, Via};
use crate::text;
use crate::write;

/// What becomes of the Route headers.
#[derive(Clone, Copy, Debug)]
pub enum Routes<'e> {
    /// They are left out.
    Drop,
    /// These header lines stand instead.
    Lines(&'e [u8]),
}

/// What is written into the top Via of a request: where it really came from (RFC 3261 section 18.2.1, RFC 3581).
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The source of the request.
    pub source: SocketAddr,
    /// Write `rport` though it was not asked for: on streams we look the connection up by it later.
    pub always: bool,
}

/// What becomes of the session interval (RFC 4028 section 8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interval {
    /// It stays as it is.
    #[default]
    Keep,
    /// There is none: so many seconds are asked for.
    Add(u32),
    /// It is shortened to so many seconds; its parameters stay.
    Lower(u32),
}

/// The changes of one forwarded request.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'e> {
    /// The new Request-URI, where it changes.
    pub request_uri: Option<&'e [u8]>,
    /// Whole lines that come first: our Via, Record-Route, added headers.
    pub top: &'e [u8],
    /// For the top Via.
    pub stamp: Stamp,
    /// For the Route headers.
    pub routes: Routes<'e>,
    /// Remove identity headers of an untrusted sender.
    pub anonymous: bool,
    /// What is added to `CSeq`, and to the `CSeq` number in `RAck`.
    pub shift: u8,
    /// The value that stands in To instead.
    pub to: Option<&'e [u8]>,
    /// The value that stands in From instead, with the same tag.
    pub from: Option<&'e [u8]>,
    /// For the session interval.
    pub interval: Interval,
}

/// What a response is told back as, where its request was changed on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Back<'e> {
    /// What was added to `CSeq`.
    pub(crate) shift: u8,
    /// The To value of the request as it came; the tag is the response's.
    pub(crate) to: Option<&'e [u8]>,
    /// The From value of the request as it came.
    pub(crate) from: Option<&'e [u8]>,
    /// An SDP body without a `Content-Type` gets one.
    pub(crate) sdp_type: bool,
    /// Header lines to add.
    pub(crate) lines: &'e [u8],
}

struct Editor<'e> {
    bytes: &'e [u8],
    at: usize,
    out: &'e mut Vec<u8>,
}

impl Editor<'_> {
    /// Copies everything up to `to`.
    fn copy(&mut self, to: u16) {
        let to = usize::from(to);
        self.out.extend_from_slice(self.bytes.get(self.at..to).unwrap_or_default());
        self.at = self.at.max(to);
    }

    /// Leaves out everything up to `to`.
    fn skip(&mut self, to: u16) {
        self.at = self.at.max(usize::from(to));
    }

    /// Ends the last header line, where it was cut short.
    fn end_line(&mut self) {
        if !self.out.ends_with(b"\n") {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Puts `text` in the place of `span`.
    fn replace(&mut self, span: Span, text: &[u8]) {
        self.copy(span.start);
        self.out.extend_from_slice(text);
        self.skip(span.end);
    }
}

/// Writes a request as it goes on. `Max-Forwards` is lowered by one, or added as 70.
pub fn request(message: &Message<'_>, plan: &Forward<'_>, out: &mut Vec<u8>) {
    let crate::message::Start::Request { text: method, uri, .. } = message.start else { return };
    out.reserve(message.bytes.len() + plan.top.len() + 96);
    let mut edit = Editor { bytes: message.bytes, at: usize::from(method.start), out };
    if let Some(wanted) = plan.request_uri {
        edit.replace(uri, wanted);
    }
    edit.copy(message.headers_start);
    edit.out.extend_from_slice(plan.top);
    if let Routes::Lines(lines) = plan.routes {
        edit.out.extend_from_slice(lines);
    }
    if let Interval::Add(seconds) = plan.interval {
        edit.out.extend_from_slice(b"Session-Expires: ");
        write::number(edit.out, seconds);
        edit.out.extend_from_slice(b"\r\n");
    }
    let (mut stamped, mut bounded) = (false, false);
    for header in message.headers() {
        match header.name {
            Name::Via if !stamped => {
                stamped = true;
                edit.copy(header.value.start);
                let value = header.value.of(message.bytes);
                let first = text::List(value).next().unwrap_or_default();
                if stamp_via(first, plan.stamp, edit.out) {
                    let length = if first.len() == value.len() { None } else { first_comma(value) };
                    edit.at = usize::from(header.value.start) + length.unwrap_or(value.len());
                }
            }
            Name::MaxForwards => {
                bounded = true;
                let value = text::number(header.value.of(message.bytes)).unwrap_or(70);
                edit.copy(header.value.start);
                write::number(edit.out, value.saturating_sub(1));
                edit.skip(header.value.end);
            }
            Name::SessionExpires => {
                if let Interval::Lower(seconds) = plan.interval {
                    let value = header.value.of(message.bytes);
                    let (number, _) = text::split(value, b';').unwrap_or((value, &[]));
                    edit.copy(header.value.start);
                    write::number(edit.out, seconds);
                    edit.at += text::trim_end(number).len();
                }
            }
            Name::Route => edit.replace(header.line, b""),
            Name::CSeq if plan.shift > 0 => shifted(&mut edit, header, 0, i64::from(plan.shift)),
            Name::RAck if plan.shift > 0 => shifted(&mut edit, header, 1, i64::from(plan.shift)),
            Name::To | Name::From => {
                let instead = if header.name == Name::To { plan.to } else { plan.from };
                if let Some(value) = instead {
                    edit.replace(header.value, value);
                }
            }
            // what answers our own challenge is for nobody behind us
            Name::Authorization | Name::ProxyAuthorization
                if digest::ours(header.value.of(message.bytes)) =>
            {
                edit.replace(header.line, b"");
            }
            Name::AssertedIdentity | Name::PreferredIdentity | Name::RemotePartyId | Name::Diversion
                if plan.anonymous =>
            {
                edit.replace(header.line, b"");
            }
            _ => {}
        }
    }
    finish(message, &mut edit, !bounded);
}

/// Writes the number that is the `place`th word of a header with `by` added.
fn shifted(edit: &mut Editor<'_>, header: &Header, place: usize, by: i64) {
    let value = header.value.of(edit.bytes);
    let mut at = 0;
    for (index, word) in value.split(|byte| text::blank(*byte)).enumerate() {
        if index == place
            && let Some(number) = text::number(word)
        {
            let moved = u32::try_from((i64::from(number) + by).max(0)).unwrap_or(u32::MAX);
            let start = usize::from(header.value.start) + at;
            edit.copy(u16::try_from(start).unwrap_or(u16::MAX));
            write::number(edit.out, moved);
            return edit.skip(u16::try_from(start + word.len()).unwrap_or(u16::MAX));
        }
        at += word.len() + 1;
    }
}

/// Writes a request of ours once more, as it was sent but for these lines: our Via, and credentials, of which those that
/// `former` knows are left out.
pub(crate) fn again(sent: &Message<'_>, top: &[u8], by: u8, former: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(sent.bytes.len() + top.len());
    let mut edit = Editor { bytes: sent.bytes, at: 0, out: &mut out };
    edit.copy(sent.headers_start);
    edit.out.extend_from_slice(top);
    let mut replaced = false;
    for header in sent.headers() {
        match header.name {
            Name::Via if !replaced => {
                replaced = true;
                edit.replace(header.line, b"");
            }
            Name::Authorization | Name::ProxyAuthorization if former(header.value.of(sent.bytes)) => {
                edit.replace(header.line, b"");
            }
            Name::CSeq if by > 0 => shifted(&mut edit, header, 0, i64::from(by)),
            _ => {}
        }
    }
    finish(sent, &mut edit, false);
    out
}

/// Writes a response as it goes back: without the top Via.
pub fn response(message: &Message<'_>, out: &mut Vec<u8>) {
    response_back(message, &Back::default(), out);
}

/// Writes a response as it goes back to a sender whose request was changed on its way.
pub(crate) fn response_back(message: &Message<'_>, back: &Back<'_>, out: &mut Vec<u8>) {
    out.reserve(message.bytes.len() + 24);
    let begin = message.bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let mut edit = Editor { bytes: message.bytes, at: begin, out };
    if back.shift == 0 && back.to.is_none() && back.from.is_none() {
        if let Some(header) = message.header(Name::Via) {
            pop_via(message, header, &mut edit);
        }
    } else {
        told(message, back, &mut edit);
    }
    edit.copy(message.headers_end);
    if !back.lines.is_empty() {
        edit.end_line();
        edit.out.extend_from_slice(back.lines);
    }
    if back.sdp_type && message.header(Name::ContentType).is_none() && message.body().starts_with(b"v=") {
        edit.end_line();
        edit.out.extend_from_slice(b"Content-Type: application/sdp\r\n");
    }
    finish(message, &mut edit, false);
}

/// A 503 of a target as the 500 that its caller is told (RFC 3261 section 16.7 step 6), without its `Retry-After`.
pub(crate) fn unavailable(bytes: &[u8]) -> Vec<u8> {
    let Ok(message) = Message::parse(bytes) else { return bytes.to_vec() };
    let mut out = Vec::with_capacity(bytes.len() + 16);
    out.extend_from_slice(b"SIP/2.0 500 Server Internal Error\r\n");
    let mut edit = Editor { bytes, at: usize::from(message.headers_start), out: &mut out };
    for header in message.headers() {
        let name = bytes.get(usize::from(header.line.start)..usize::from(header.name_end));
        if name.is_some_and(|name| name.eq_ignore_ascii_case(b"Retry-After")) {
            edit.replace(header.line, b"");
        }
    }
    finish(&message, &mut edit, false);
    out
}

/// A response with the challenges of another one beside its own.
pub(crate) fn with_challenges(bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let (Ok(message), Ok(other)) = (Message::parse(bytes), Message::parse(other)) else {
        return bytes.to_vec();
    };
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let mut edit = Editor { bytes, at: 0, out: &mut out };
    edit.copy(message.headers_end);
    edit.end_line();
    for header in other.headers() {
        let name = other.bytes.get(usize::from(header.line.start)..usize::from(header.name_end));
        let challenge = [&b"WWW-Authenticate"[..], b"Proxy-Authenticate"];
        if name.is_some_and(|name| challenge.iter().any(|one| name.eq_ignore_ascii_case(one))) {
            edit.out.extend_from_slice(header.line.of(other.bytes));
            edit.end_line();
        }
    }
    finish(&message, &mut edit, false);
    out
}

/// Where the first value of a list ends; empty ones before it are part of it.
fn first_comma(value: &[u8]) -> Option<usize> {
    let lead = value.iter().take_while(|b| text::blank(**b) || **b == b',').count();
    text::find_outside(value.get(lead..)?, b',').map(|at| lead + at)
}

/// Takes the first Via value away.
fn pop_via(message: &Message<'_>, header: &Header, edit: &mut Editor<'_>) {
    let value = header.value.of(message.bytes);
    let comma = text::find(value, b',').and_then(|_| first_comma(value));
    match comma {
        None => edit.replace(header.line, b""),
        Some(comma) => {
            edit.copy(header.value.start);
            edit.at += comma + 1;
        }
    }
}

/// Takes the first Via value away and puts back what was changed in the request.
fn told(message: &Message<'_>, back: &Back<'_>, edit: &mut Editor<'_>) {
    let mut popped = false;
    for header in message.headers() {
        match (header.name, back.to) {
            (Name::Via, _) if !popped => {
                popped = true;
                pop_via(message, header, edit);
            }
            (Name::CSeq, _) if back.shift > 0 => shifted(edit, header, 0, -i64::from(back.shift)),
            (Name::From, _) => {
                if let Some(from) = back.from {
                    edit.replace(header.value, from);
                }
            }
            (Name::To, Some(to)) => {
                let read = text::name_addr(header.value.of(message.bytes));
                let tag = read.and_then(|read| text::param_value(read.params, b"tag"));
                edit.replace(header.value, to);
                if let Some(tag) = tag {
                    edit.out.extend_from_slice(b";tag=");
                    edit.out.extend_from_slice(tag);
                }
            }
            _ => {}
        }
    }
}

/// The end of the headers, what is missing among them, and the body.
fn finish(message: &Message<'_>, edit: &mut Editor<'_>, unbounded: bool) {
    edit.copy(message.headers_end);
    edit.end_line();
    if unbounded {
        edit.out.extend_from_slice(b"Max-Forwards: 70\r\n");
    }
    let body = message.body();
    if message.header(Name::ContentLength).is_none() {
        edit.out.extend_from_slice(b"Content-Length: ");
        write::number(edit.out, u32::try_from(body.len()).unwrap_or_default());
        edit.out.extend_from_slice(b"\r\n");
    }
    edit.out.extend_from_slice(b"\r\n");
    edit.out.extend_from_slice(body);
}

/// Writes the Via value with `received` and `rport`; false, and nothing written, when it can stay as it is.
pub(crate) fn stamp_via(value: &[u8], stamp: Stamp, out: &mut Vec<u8>) -> bool {
    let (head, params) = text::split(value, b';').unwrap_or((value, &[]));
    let mut params = text::Params(params);
    let (mut ask, mut told) = (stamp.always, false);
    // what is before `copied` is written or left out; the parameter being looked at begins, with its semicolon, at `start`
    let (mut copied, mut start) = (0, head.len());
    let begin = out.len();
    while let Some((name, _)) = params.next() {
        let end = if params.0.is_empty() { value.len() } else { value.len() - params.0.len() - 1 };
        let received = name.eq_ignore_ascii_case(b"received");
        let rport = name.eq_ignore_ascii_case(b"rport");
        if received || rport {
            (told, ask) = (told || received, ask || rport);
            out.extend_from_slice(value.get(copied..start).unwrap_or_default());
            copied = end;
        }
        start = end;
    }
    if !ask && !told {
        let Some(via) = Via::head(head) else { return false };
        if crate::uri::address(via.host) == Some(stamp.source.ip()) {
            return false;
        }
    }
    out.extend_from_slice(value.get(copied..).unwrap_or_default());
    // an empty parameter at the end would stand before ours: nobody reads two semicolons
    let written = out.get(begin..).unwrap_or_default();
    let kept = written.iter().rposition(|b| *b != b';' && !text::blank(*b)).map_or(0, |last| last + 1);
    out.truncate(begin + kept);
    out.extend_from_slice(b";received=");
    write::ip(out, stamp.source.ip());
    if ask {
        out.extend_from_slice(b";rport=");
        write::number(out, u32::from(stamp.source.port()));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp { source: ([192, 0, 2, 1], 5060).into(), always: false }
    }

    #[test]
    fn a_via_is_stamped_so_that_it_can_be_read_again() {
        for (via, stamped) in [
            ("SIP/2.0/UDP 10.0.0.1:5060", "SIP/2.0/UDP 10.0.0.1:5060;received=192.0.2.1"),
            ("SIP/2.0/UDP 10.0.0.1:5060;", "SIP/2.0/UDP 10.0.0.1:5060;received=192.0.2.1"),
            (
                "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx; ;",
                "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx;received=192.0.2.1",
            ),
            ("SIP/2.0/UDP a;received=1.1.1.1;rport;x", "SIP/2.0/UDP a;x;received=192.0.2.1;rport=5060"),
        ] {
            let mut out = b"Via: ".to_vec();
            assert!(stamp_via(via.as_bytes(), stamp(), &mut out));
            assert_eq!(String::from_utf8(out).unwrap(), format!("Via: {stamped}"));
            assert!(Via::parse(stamped.as_bytes()).is_some());
        }
    }

    #[test]
    fn a_shift_is_added_to_requests_and_taken_from_their_answers() {
        let text = b"PRACK sip:a@b SIP/2.0\r\nCSeq:  7   PRACK\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nTo: <sip:x@y>\r\nf: B <sip:b@y>;tag=f\r\nRAck: 9 6 INVITE\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n";
        let message = Message::parse(text).unwrap();
        let plan = Forward {
            request_uri: None,
            top: b"Via: us\r\n",
            stamp: stamp(),
            routes: Routes::Drop,
            anonymous: false,
            shift: 2,
            to: Some(b"<sip:+1@z>"),
            from: Some(b"<sip:+2@z>;tag=f"),
            interval: Interval::Keep,
        };
        let mut out = Vec::new();
        request(&message, &plan, &mut out);
        let sent = String::from_utf8(out).unwrap();
        for part in
            ["CSeq:  9   PRACK\r\n", "RAck: 9 8 INVITE\r\n", "To: <sip:+1@z>\r\n", "f: <sip:+2@z>;tag=f\r\n"]
        {
            assert!(sent.contains(part), "{part} in {sent}");
        }
        let text = b"SIP/2.0 200 OK\r\nFrom: <sip:+2@z>;tag=f\r\nTo: <sip:+1@z>;x;tag=t\r\nCSeq: 9 PRACK\r\nVia: us, SIP/2.0/UDP 192.0.2.1\r\n\r\nv=0\r\n";
        let (to, from) = (Some(&b"\"A\" <sip:x@y>;p"[..]), Some(&b"B <sip:b@y>;tag=f"[..]));
        let back = Back { shift: 2, to, from, sdp_type: true, lines: b"" };
        let mut out = Vec::new();
        response_back(&Message::parse(text).unwrap(), &back, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "SIP/2.0 200 OK\r\nFrom: B <sip:b@y>;tag=f\r\nTo: \"A\" <sip:x@y>;p;tag=t\r\nCSeq: 7 PRACK\r\nVia:  SIP/2.0/UDP 192.0.2.1\r\n\
             Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
    }

    #[test]
    fn a_body_has_its_type_added_only_where_it_is_sdp_without_one() {
        let back = Back { sdp_type: true, ..Back::default() };
        for (head, body, count) in [
            ("", "v=0\r\n", 1),
            ("c: application/sdp\r\n", "v=0\r\n", 0),
            ("Content-Type: text/plain\r\n", "v=0\r\n", 1),
            ("", "hello", 0),
            ("", "", 0),
        ] {
            let text = format!("SIP/2.0 200 OK\r\nVia: us\r\n{head}\r\n{body}");
            let mut out = Vec::new();
            response_back(&Message::parse(text.as_bytes()).unwrap(), &back, &mut out);
            assert_eq!(
                String::from_utf8(out).unwrap().matches("Content-Type").count(),
                count,
                "{head}{body}"
            );
        }
    }

    #[test]
    fn a_request_is_sent_again_with_a_new_via_and_new_credentials() {
        let text = b"BYE sip:a@b SIP/2.0\r\nVia: old\r\nAuthorization: ours\r\nProxy-Authorization: theirs\r\nVia: below\r\nCSeq: 3 BYE\r\nContent-Length: 0\r\n\r\n";
        let sent = Message::parse(text).unwrap();
        let out = again(&sent, b"Via: new\r\nAuthorization: better\r\n", 1, |value| value == b"ours");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "BYE sip:a@b SIP/2.0\r\nVia: new\r\nAuthorization: better\r\nProxy-Authorization: theirs\r\nVia: below\r\nCSeq: 4 BYE\r\nContent-Length: 0\r\n\r\n"
        );
    }
}
