//! One SIP message as spans over its bytes (RFC 3261 section 7). Reading is lenient and allocates nothing: what is
//! wrong but answerable is kept as a [`Flaw`] for [`Core::read`], which chooses the status. What cannot be taken for
//! SIP at all is an error, and the edge stays silent. Bodies are never looked into.
#![warn(clippy::indexing_slicing)]

mod check;
mod name;

use memchr::{memchr, memrchr};
use std::sync::Arc;

use check::CoreSpans;
pub use check::{Core, Refusal, Via};
pub use name::Name;

use crate::text::{self, List};

/// The longest message taken, from a datagram or a stream.
pub const MESSAGE_MAX: usize = 65_535;
/// The most header lines taken.
pub const HEADERS_MAX: usize = 100;
/// The most Via values taken.
pub const VIAS_MAX: usize = 70;

/// A place in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self { start: small(start), end: small(end) }
    }

    /// Where a part of a text stands in it.
    fn within(part: &[u8], bytes: &[u8]) -> Self {
        let start = part.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
        Self::new(start, start + part.len())
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a message is at most MESSAGE_MAX long: parse refuses more"
)]
const fn small(at: usize) -> u16 {
    at as u16
}

/// One header: its name, its whole line(s) with the line break, its value without white space around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) name: Name,
    pub(crate) name_end: u16,
    pub(crate) line: Span,
    pub(crate) value: Span,
}

impl Header {
    const NONE: Self = Self {
        name: Name::Other,
        name_end: 0,
        line: Span { start: 0, end: 0 },
        value: Span { start: 0, end: 0 },
    };
}

/// How many headers are kept in place. Few messages have more.
const HEADERS_FEW: usize = 32;

/// The headers of a message: in place while they are few, on the heap all together where they are more.
#[derive(Clone, Debug)]
struct Headers {
    few: [Header; HEADERS_FEW],
    count: usize,
    many: Vec<Header>,
}

impl Headers {
    const NONE: Self = Self { few: [Header::NONE; HEADERS_FEW], count: 0, many: Vec::new() };

    /// Adds one and gives its index; `None`, and nothing is added, where there are too many.
    fn push(&mut self, header: Header) -> Option<usize> {
        let index = self.count;
        if let Some(slot) = self.few.get_mut(index) {
            *slot = header;
        } else if index < HEADERS_MAX {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(header);
        } else {
            return None;
        }
        self.count += 1;
        Some(index)
    }

    fn all(&self) -> &[Header] {
        let few = self.few.get(..self.count);
        few.unwrap_or(&self.many)
    }
}

/// A request method. Unknown ones are carried too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261
    Invite,
    /// RFC 3261
    Ack,
    /// RFC 3261
    Bye,
    /// RFC 3261
    Cancel,
    /// RFC 3261
    Options,
    /// RFC 3261
    Register,
    /// RFC 3262
    Prack,
    /// RFC 3311
    Update,
    /// RFC 6086
    Info,
    /// RFC 3515
    Refer,
    /// RFC 3428
    Message,
    /// RFC 6665
    Notify,
    /// RFC 6665
    Subscribe,
    /// RFC 3903
    Publish,
    /// Any other token.
    Other,
}

impl Method {
    fn read(text: &[u8]) -> Self {
        match text {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"OPTIONS" => Self::Options,
            b"REGISTER" => Self::Register,
            b"PRACK" => Self::Prack,
            b"UPDATE" => Self::Update,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"MESSAGE" => Self::Message,
            b"NOTIFY" => Self::Notify,
            b"SUBSCRIBE" => Self::Subscribe,
            b"PUBLISH" => Self::Publish,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Request { method: Method, text: Span, uri: Span },
    Response { status: u16, reason: Span },
}

/// What is wrong with a message that could still be read; the first one found is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Version,
    StartLine,
    HeaderLine,
    Duplicate,
    Length,
    TooMany,
}

/// Why bytes are not a SIP message that could be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Only line breaks, or nothing.
    Empty,
    /// Longer than [`MESSAGE_MAX`].
    TooLong,
    /// The first line is neither a request nor a status line.
    NotSip,
}

/// A message: the bytes and where things are in them.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: Start,
    pub(crate) flaw: Option<Flaw>,
    headers: Headers,
    first: [u8; Name::COUNT],
    /// Where the first header begins, and where the empty line begins.
    pub(crate) headers_start: u16,
    pub(crate) headers_end: u16,
    body: Span,
}

/// A message that is kept: its bytes and where things are in them, so that it is read once.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    spans: Message<'static>,
    core: Option<CoreSpans>,
}

impl Kept {
    /// `core` is that of the message, where it could be read.
    pub(crate) fn of(message: &Message<'_>, core: Option<&Core<'_>>) -> Arc<Self> {
        let core = core.map(|core| CoreSpans::of(core, message.bytes));
        Arc::new(Self { bytes: message.bytes.to_vec(), spans: message.over(&[]), core })
    }

    pub(crate) fn core(&self) -> Option<Core<'_>> {
        self.core.as_ref().map(|core| core.over(&self.bytes))
    }

    pub(crate) fn message(&self) -> Message<'_> {
        self.spans.over(&self.bytes)
    }
}

const NO_HEADER: u8 = u8::MAX;

impl<'a> Message<'a> {
    /// Reads one datagram or one framed message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len() > MESSAGE_MAX {
            return Err(ParseError::TooLong);
        }
        let begin = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).ok_or(ParseError::Empty)?;
        let rest = bytes.get(begin..).unwrap_or_default();
        let line_end = text::find(rest, b'\n').map_or(bytes.len(), |at| begin + at + 1);
        let mut flaw = None;
        let start = start_line(bytes, begin, line_end, &mut flaw)?;
        let mut message = Self {
            bytes,
            start,
            flaw,
            headers: Headers::NONE,
            first: [NO_HEADER; Name::COUNT],
            headers_start: small(line_end),
            headers_end: small(line_end),
            body: Span::default(),
        };
        let body = message.read_headers(line_end);
        message.find_body(body);
        Ok(message)
    }

    /// Reads header lines from `at`; answers where the body begins.
    fn read_headers(&mut self, mut at: usize) -> usize {
        loop {
            self.headers_end = small(at);
            let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) else { return at };
            match rest {
                [b'\n', ..] => return at + 1,
                [b'\r', b'\n', ..] => return at + 2,
                _ => {}
            }
            let mut length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            while let Some(folded) = rest.get(length..)
                && let [b' ' | b'\t', ..] = folded
            {
                length += text::find(folded, b'\n').map_or(folded.len(), |end| end + 1);
            }
            self.read_header(at, rest.get(..length).unwrap_or_default());
            at += length;
        }
    }

    fn read_header(&mut self, at: usize, line: &[u8]) {
        let Some(colon) = text::find(line, b':') else { return self.note(Flaw::HeaderLine) };
        let (mut name, value) = text::cut(line, colon);
        while let [shorter @ .., b' ' | b'\t'] = name {
            name = shorter;
        }
        if name.first().is_none_or(|b| text::blank(*b)) {
            return self.note(Flaw::HeaderLine);
        }
        let id = Name::read(name);
        let rest = text::trim_start(value);
        let value_start = at + line.len() - rest.len();
        let value_end = value_start + text::trim_end(rest).len();
        let header = Header {
            name: id,
            name_end: small(at + name.len()),
            line: Span::new(at, at + line.len()),
            value: Span::new(value_start, value_end),
        };
        let Some(index) = self.headers.push(header) else { return self.note(Flaw::TooMany) };
        if id != Name::Other
            && let Some(first) = self.first.get_mut(id as usize)
        {
            if *first == NO_HEADER {
                *first = u8::try_from(index).unwrap_or(NO_HEADER);
            } else if id.single() {
                self.note(Flaw::Duplicate);
            }
        }
    }

    /// The body by Content-Length (RFC 3261 section 18.3): shorter than the rest cuts it, longer is an error.
    fn find_body(&mut self, begin: usize) {
        let end = self.bytes.len();
        let begin = begin.min(end);
        self.body = Span::new(begin, end);
        let Some(value) = self.value(Name::ContentLength) else { return };
        match text::number(value).and_then(|length| usize::try_from(length).ok()) {
            Some(length) if length <= end - begin => self.body = Span::new(begin, begin + length),
            _ => self.note(Flaw::Length),
        }
    }

    /// The same places over other bytes.
    fn over<'b>(&self, bytes: &'b [u8]) -> Message<'b> {
        let Self { bytes: _, start, flaw, ref headers, first, headers_start, headers_end, body } = *self;
        Message { bytes, start, flaw, headers: headers.clone(), first, headers_start, headers_end, body }
    }

    fn note(&mut self, flaw: Flaw) {
        self.flaw = self.flaw.or(Some(flaw));
    }

    /// The method of a request; `None` for a response.
    pub fn method(&self) -> Option<Method> {
        match self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The method as written.
    pub fn method_text(&self) -> &'a [u8] {
        match self.start {
            Start::Request { text, .. } => text.of(self.bytes),
            Start::Response { .. } => &[],
        }
    }

    /// The Request-URI as written; empty for a response.
    pub fn request_uri(&self) -> &'a [u8] {
        match self.start {
            Start::Request { uri, .. } => uri.of(self.bytes),
            Start::Response { .. } => &[],
        }
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            Start::Response { status, .. } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// The reason phrase of a response.
    pub fn reason(&self) -> &'a [u8] {
        match self.start {
            Start::Response { reason, .. } => reason.of(self.bytes),
            Start::Request { .. } => &[],
        }
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        self.body.of(self.bytes)
    }

    pub(crate) fn headers(&self) -> &[Header] {
        self.headers.all()
    }

    /// The value of the first header of this name.
    pub fn value(&self, name: Name) -> Option<&'a [u8]> {
        self.header(name).map(|header| header.value.of(self.bytes))
    }

    pub(crate) fn header(&self, name: Name) -> Option<&Header> {
        let index = *self.first.get(name as usize)?;
        self.headers().get(usize::from(index))
    }

    /// Headers of one name, in order.
    pub(crate) fn all(&self, name: Name) -> impl Iterator<Item = &Header> {
        let from = self.first.get(name as usize).map_or(usize::MAX, |at| usize::from(*at));
        self.headers().get(from..).unwrap_or_default().iter().filter(move |header| header.name == name)
    }

    /// All values of one name, comma lists split.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        let bytes = self.bytes;
        self.all(name).flat_map(move |header| List(header.value.of(bytes)))
    }

    /// The value of the first header with this text as name, for names that have no [`Name`].
    pub fn other(&self, name: &str) -> Option<&'a [u8]> {
        self.every(name).next()
    }

    /// The values of all headers with this text as name, each as it is written.
    pub(crate) fn every(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let (wanted, bytes) = (name.as_bytes(), self.bytes);
        let found = self.headers().iter().filter(move |header| {
            usize::from(header.name_end - header.line.start) == wanted.len()
                && Span { start: header.line.start, end: header.name_end }
                    .of(bytes)
                    .eq_ignore_ascii_case(wanted)
        });
        found.map(move |header| header.value.of(bytes))
    }
}

fn start_line(bytes: &[u8], begin: usize, end: usize, flaw: &mut Option<Flaw>) -> Result<Start, ParseError> {
    let line = bytes.get(begin..end).unwrap_or_default();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(line, begin);
    }
    let tidy = text::trim(line);
    let last = memrchr(b' ', tidy).ok_or(ParseError::NotSip)?;
    let (head, version) = text::cut(tidy, last);
    if !version.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return Err(ParseError::NotSip);
    }
    let space = text::find(head, b' ').ok_or(ParseError::NotSip)?;
    let (method, uri) = text::cut(head, space);
    if !text::is_token(method) {
        return Err(ParseError::NotSip);
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        *flaw = Some(Flaw::Version);
    } else if tidy.len() != line.len() || uri.is_empty() || text::find2(uri, b' ', b'\t').is_some() {
        *flaw = Some(Flaw::StartLine);
    }
    let uri_start = begin + space + 1;
    Ok(Start::Request {
        method: Method::read(method),
        text: Span::new(begin, begin + space),
        uri: Span::new(uri_start, uri_start + uri.len()),
    })
}

fn status_line(line: &[u8], begin: usize) -> Result<Start, ParseError> {
    let rest = line.get(7..).unwrap_or_default();
    let known = line.get(..7).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/2.0"));
    let [b' ', a, b, c, after @ ..] = rest else { return Err(ParseError::NotSip) };
    let status = text::number(&[*a, *b, *c]).and_then(|code| u16::try_from(code).ok());
    match (known, status, after) {
        (true, Some(status @ 100..=699), [] | [b' ', ..]) => {
            let start = begin + 11;
            Ok(Start::Response { status, reason: Span::new(start + after.len().min(1), start + after.len()) })
        }
        _ => Err(ParseError::NotSip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_lines_compact_names_and_lists_are_read() {
        let text = b"INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1,\r\n SIP/2.0/TCP b\r\nVIA : SIP/2.0/UDP c\r\nl: 2\r\n\r\nabcd";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.values(Name::Via).count(), 3);
        assert_eq!(message.body(), b"ab");
        assert_eq!(message.request_uri(), b"sip:a@b");
        assert_eq!(message.flaw, None);
    }

    #[test]
    fn what_is_not_sip_is_an_error() {
        for text in [
            "",
            "\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "hello",
            "SIP/2.0 2000 no\r\n\r\n",
            "SIP/2.0 99 no\r\n\r\n",
        ] {
            assert!(Message::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn as_many_headers_as_may_be_are_read_in_their_order() {
        for count in [31, 32, 33, 99] {
            let lines: Vec<_> = (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
            let lines = lines.concat();
            let text = format!("OPTIONS sip:a SIP/2.0\r\n{lines}Max-Forwards: 7\r\n\r\n");
            let message = Message::parse(text.as_bytes()).unwrap();
            assert_eq!((message.flaw, message.headers().len()), (None, count + 1));
            assert_eq!(message.value(Name::MaxForwards), Some(&b"7"[..]));
            for n in 0..count {
                assert_eq!(
                    message.over(text.as_bytes()).other(&format!("x-{n}")),
                    Some(n.to_string().as_bytes())
                );
            }
        }
    }

    #[test]
    fn the_hundred_and_first_header_is_a_flaw() {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(101));
        assert_eq!(Message::parse(text.as_bytes()).unwrap().flaw, Some(Flaw::TooMany));
    }
}
