//! Forwarding by editing bytes (RFC 3261 sections 16.6 and 16.7): one pass over the message copies what stays and
//! writes what changes into an output buffer. Headers that are not named here arrive byte for byte as they were sent.

use std::net::SocketAddr;

use crate::digest;
use crate::message::{Message, Name, Span, Via};
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
            Name::Route => edit.replace(header.line, b""),
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

/// Writes a response as it goes back: without the top Via.
pub fn response(message: &Message<'_>, out: &mut Vec<u8>) {
    out.reserve(message.bytes.len() + 24);
    let begin = message.bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let mut edit = Editor { bytes: message.bytes, at: begin, out };
    if let Some(header) = message.header(Name::Via) {
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
    finish(message, &mut edit, false);
}

/// Where the first value of a list ends; empty ones before it are part of it.
fn first_comma(value: &[u8]) -> Option<usize> {
    let lead = value.iter().take_while(|b| text::blank(**b) || **b == b',').count();
    text::find_outside(value.get(lead..)?, b',').map(|at| lead + at)
}

/// The end of the headers, what is missing among them, and the body.
fn finish(message: &Message<'_>, edit: &mut Editor<'_>, unbounded: bool) {
    edit.copy(message.headers_end);
    if !edit.out.ends_with(b"\n") {
        edit.out.extend_from_slice(b"\r\n");
    }
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
    let begin = out.len();
    let (head, params) = text::split(value, b';').unwrap_or((value, &[]));
    out.extend_from_slice(text::trim(head));
    let (mut ask, mut told) = (stamp.always, false);
    for (name, value) in text::Params(params) {
        if name.eq_ignore_ascii_case(b"received") {
            told = true;
            continue;
        }
        if name.eq_ignore_ascii_case(b"rport") {
            ask = true;
            continue;
        }
        out.push(b';');
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    if !ask && !told {
        let Some(via) = Via::parse(value) else {
            out.truncate(begin);
            return false;
        };
        if crate::uri::address(via.host) == Some(stamp.source.ip()) {
            out.truncate(begin);
            return false;
        }
    }
    out.extend_from_slice(b";received=");
    write::ip(out, stamp.source.ip());
    if ask {
        out.extend_from_slice(b";rport=");
        write::number(out, u32::from(stamp.source.port()));
    }
    true
}
