//! The checks of RFC 3261 section 16.3 and the fields every element needs (Via, From, To, Call-ID, `CSeq`). Separate from
//! reading, so that a malformed request can still be answered: the [`Refusal`] carries the status.
#![warn(clippy::indexing_slicing)]

use super::{Flaw, Message, Method, Name, Span, VIAS_MAX};
use crate::text::{self, NameAddr};
use crate::uri::{self, Scheme, Uri};

/// The status a malformed or unacceptable request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status code.
    pub status: u16,
    /// Reason phrase; names what is wrong.
    pub reason: &'static str,
}

const fn refuse(status: u16, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// One Via value (RFC 3261 section 20.42, RFC 3581).
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// Transport token, as written.
    pub transport: &'a [u8],
    /// Host of sent-by, without brackets.
    pub host: &'a [u8],
    /// Port of sent-by.
    pub port: Option<u16>,
    /// sent-by as written.
    pub sent_by: &'a [u8],
    /// The branch, magic cookie included.
    pub branch: Option<&'a [u8]>,
    /// The address the request came from, where the receiver wrote it.
    pub received: Option<&'a [u8]>,
    /// `rport`: `Some(None)` asked for, `Some(Some(port))` filled in.
    pub rport: Option<Option<u16>>,
}

impl<'a> Via<'a> {
    /// Reads one Via value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (head, params) = text::split(value, b';').unwrap_or((value, &[]));
        if params.first() == Some(&b';') {
            return None;
        }
        // No bracket stands in a Via. An open one would hide a comma in a parameter that is ours to replace: then what it hid
        // would be another Via.
        if text::find(value, b'<').is_some() && text::find_outside(value, b'<').is_some() {
            return None;
        }
        let mut via = Self::head(head)?;
        for (name, value) in text::Params(params) {
            if name.eq_ignore_ascii_case(b"branch") {
                via.branch = value;
            } else if name.eq_ignore_ascii_case(b"received") {
                via.received = value;
            } else if name.eq_ignore_ascii_case(b"rport") {
                via.rport = Some(value.and_then(text::number).and_then(|port| u16::try_from(port).ok()));
            }
        }
        Some(via)
    }

    /// What stands before the parameters.
    pub(crate) fn head(head: &'a [u8]) -> Option<Self> {
        let rest = match head.strip_prefix(b"SIP/2.0/") {
            Some(rest) => text::trim(rest),
            None => spaced(head)?,
        };
        Self::place(rest)
    }

    /// The transport, and behind it sent-by.
    fn place(rest: &'a [u8]) -> Option<Self> {
        let (transport, sent_by) = text::cut(rest, rest.iter().position(|b| text::blank(*b))?);
        let sent_by = text::trim(sent_by);
        let (host, port) = uri::host_port(sent_by)?;
        Some(Self { transport, host, port, sent_by, branch: None, received: None, rport: None })
    }
}

impl<'a> Via<'a> {
    /// Where to answer a request whose Via is malformed or of another version: its sent-by, if that can be made out.
    pub(crate) fn rough(value: &'a [u8]) -> Option<Self> {
        let (head, _) = text::split(value, b';').unwrap_or((value, &[]));
        let at = head.iter().rposition(|byte| *byte == b'/')?;
        let rest = text::trim(text::cut(head, at).1);
        Self::place(rest)
    }
}

/// What follows `SIP / 2.0 /` where it is written with spaces or in another case.
fn spaced(head: &[u8]) -> Option<&[u8]> {
    let (protocol, rest) = text::split(head, b'/')?;
    let (version, rest) = text::split(rest, b'/')?;
    let known = text::trim(protocol).eq_ignore_ascii_case(b"SIP") && text::trim(version) == b"2.0";
    known.then(|| text::trim(rest))
}

/// What a transaction and a dialog are known by.
#[derive(Clone, Copy, Debug)]
pub struct Core<'a> {
    /// The top Via.
    pub via: Via<'a>,
    /// The From value, whole.
    pub from: &'a [u8],
    /// Tag of From; empty where an RFC 2543 client sent none.
    pub from_tag: &'a [u8],
    /// The To value, whole.
    pub to: &'a [u8],
    /// Tag of To.
    pub to_tag: Option<&'a [u8]>,
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// Number of `CSeq`.
    pub cseq: u32,
    /// Method of `CSeq`.
    pub method: Method,
    /// Method of `CSeq` as written.
    pub method_text: &'a [u8],
}

impl<'a> Core<'a> {
    /// Reads the fields and checks the message; the refusal says what to answer a request with. A response that is
    /// refused here is dropped.
    pub fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        match message.flaw {
            None => {}
            Some(Flaw::Version) => return Err(refuse(505, "Version Not Supported")),
            Some(Flaw::StartLine) => return Err(refuse(400, "Malformed Request Line")),
            Some(Flaw::HeaderLine) => return Err(refuse(400, "Malformed Header")),
            Some(Flaw::Duplicate) => return Err(refuse(400, "Header Repeated")),
            Some(Flaw::Length) => return Err(refuse(400, "Bad Content-Length")),
            Some(Flaw::TooMany) => return Err(refuse(513, "Too Many Headers")),
        }
        let core = Self::fields(message)?;
        if message.status().is_none() {
            check_uri(message)?;
            if message.method_text() != core.method_text {
                return Err(refuse(400, "CSeq Method Differs"));
            }
            if core.method == Method::Other && shouted(core.method_text) != Method::Other {
                return Err(refuse(400, "Method Not in Capitals"));
            }
        }
        Ok(core)
    }

    fn fields(message: &Message<'a>) -> Result<Self, Refusal> {
        let need = |name, reason| message.value(name).ok_or_else(|| refuse(400, reason));
        let first = message.values(Name::Via).next().ok_or(refuse(400, "Missing Via"))?;
        let via = Via::parse(first).ok_or(refuse(400, "Malformed Via"))?;
        if crowded(message) {
            return Err(refuse(513, "Too Many Vias"));
        }
        let from = need(Name::From, "Missing From")?;
        let to = need(Name::To, "Missing To")?;
        let call_id = need(Name::CallId, "Missing Call-ID")?;
        let (cseq, method_text) =
            cseq(need(Name::CSeq, "Missing CSeq")?).ok_or(refuse(400, "Malformed CSeq"))?;
        let from_params = party(from).ok_or(refuse(400, "Malformed From"))?.params;
        let to_params = party(to).ok_or(refuse(400, "Malformed To"))?.params;
        if call_id.is_empty() || text::find2(call_id, b' ', b'\t').is_some() {
            return Err(refuse(400, "Malformed Call-ID"));
        }
        Ok(Self {
            via,
            from,
            from_tag: text::param_value(from_params, b"tag").unwrap_or_default(),
            to,
            to_tag: text::param_value(to_params, b"tag").filter(|tag| !tag.is_empty()),
            call_id,
            cseq,
            method: Method::read(method_text),
            method_text,
        })
    }
}

/// Where the fields stand in their message, so that they are read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreSpans {
    via: [Span; 3],
    via_port: Option<u16>,
    branch: Option<Span>,
    received: Option<Span>,
    /// Whether it is there, and its port.
    rport: (bool, Option<u16>),
    from: [Span; 2],
    to: (Span, Option<Span>),
    call_id: Span,
    cseq: (u32, Method, Span),
}

impl CoreSpans {
    pub(super) fn of(core: &Core<'_>, bytes: &[u8]) -> Self {
        let at = |part: &[u8]| Span::within(part, bytes);
        let via = &core.via;
        Self {
            via: [via.transport, via.host, via.sent_by].map(at),
            via_port: via.port,
            branch: via.branch.map(at),
            received: via.received.map(at),
            rport: (via.rport.is_some(), via.rport.flatten()),
            from: [core.from, core.from_tag].map(at),
            to: (at(core.to), core.to_tag.map(at)),
            call_id: at(core.call_id),
            cseq: (core.cseq, core.method, at(core.method_text)),
        }
    }

    pub(super) fn over<'b>(&self, bytes: &'b [u8]) -> Core<'b> {
        let of = |span: Span| span.of(bytes);
        let [transport, host, sent_by] = self.via.map(of);
        let [from, from_tag] = self.from.map(of);
        let (cseq, method, method_text) = self.cseq;
        Core {
            via: Via {
                transport,
                host,
                port: self.via_port,
                sent_by,
                branch: self.branch.map(of),
                received: self.received.map(of),
                rport: self.rport.0.then_some(self.rport.1),
            },
            from,
            from_tag,
            to: of(self.to.0),
            to_tag: self.to.1.map(of),
            call_id: of(self.call_id),
            cseq,
            method,
            method_text: of(method_text),
        }
    }
}

/// The method that somebody who reads without regard to case would take this one for. Methods are case-sensitive (RFC 3261
/// section 7.1), so that it is another one; but a rule about REFER must hold for `refer` too.
fn shouted(text: &[u8]) -> Method {
    let mut capitals = [0; 16];
    let Some(word) = capitals.get_mut(..text.len()) else { return Method::Other };
    word.copy_from_slice(text);
    word.make_ascii_uppercase();
    Method::read(word)
}

/// More Via values than taken, counted only where the text is long enough to hold them.
fn crowded(message: &Message<'_>) -> bool {
    const SHORTEST: usize = "SIP/2.0/UDP a".len();
    let lengths = message.all(Name::Via).map(|header| header.value.of(message.bytes).len().max(SHORTEST));
    lengths.sum::<usize>() > VIAS_MAX * SHORTEST && message.values(Name::Via).nth(VIAS_MAX).is_some()
}

fn cseq(value: &[u8]) -> Option<(u32, &[u8])> {
    let gap = value.iter().position(|b| text::blank(*b))?;
    let (number, method) = text::cut(value, gap);
    let method = text::trim(method);
    // RFC 3261 section 8.1.1.5: below 2^31
    let number = text::number(number).filter(|number| *number < 1 << 31)?;
    text::is_token(method).then_some((number, method))
}

/// A From or To value: one address whose quotes are closed.
fn party(value: &[u8]) -> Option<NameAddr<'_>> {
    // a display name in quotes is passed over whole; most have neither quotes nor commas beside it
    let display =
        if value.first() == Some(&b'"') { text::trim_start(text::after_quoted(value)?) } else { value };
    if let [b'<', inside @ ..] = display
        && let Some(end) = text::find2(inside, b'>', b'"')
        && let (uri, [b'>', rest @ ..]) = inside.split_at_checked(end)?
        && text::find2(rest, b'"', b',').is_none()
    {
        let params = text::split(rest, b';').map_or(&[][..], |(_, params)| params);
        let uri = text::trim(uri);
        return text::find(uri, b':').map(|_| NameAddr { uri, params });
    }
    if text::find2(display, b'"', b',').is_some()
        && (!text::quotes_closed(display) || text::List(display).nth(1).is_some())
    {
        return None;
    }
    text::name_addr(display).filter(|read| text::find(read.uri, b':').is_some())
}

fn check_uri(message: &Message<'_>) -> Result<(), Refusal> {
    let uri = Uri::parse(message.request_uri()).ok_or(refuse(400, "Malformed Request-URI"))?;
    if uri.scheme == Scheme::Other {
        return Err(refuse(416, "Unsupported URI Scheme"));
    }
    if !uri.headers.is_empty() {
        return Err(refuse(400, "Headers in Request-URI"));
    }
    for header in message.all(Name::Contact) {
        if !text::quotes_closed(header.value.of(message.bytes)) {
            return Err(refuse(400, "Malformed Contact"));
        }
    }
    match message.value(Name::MaxForwards).map(max_forwards) {
        None | Some(Some(_)) => Ok(()),
        Some(None) => Err(refuse(400, "Malformed Max-Forwards")),
    }
}

/// 0 to 255 (RFC 3261 section 20.22).
fn max_forwards(value: &[u8]) -> Option<u8> {
    text::number(value).and_then(|number| u8::try_from(number).ok())
}
