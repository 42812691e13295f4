//! Messages out of a stream (RFC 3261 section 18.3): Content-Length ends each; bare line breaks between them are
//! keep-alives (RFC 5626 section 3.5.1). Not a connection: who reads and writes is the shell.
#![warn(clippy::indexing_slicing)]

use memchr::memchr;
use memchr::memmem;

use crate::message::{MESSAGE_MAX, Name};
use crate::text;

/// Why a stream must be closed: its framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A message longer than [`MESSAGE_MAX`].
    TooLong,
    /// No Content-Length, or one that is no number, or two that differ.
    Length,
    /// Not SIP.
    NotSip,
}

/// What a stream yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Vec<u8>),
    /// A double line break: answer with a single one ([`Framer::PONG`]).
    Ping,
}

/// Collects bytes of one connection and cuts them into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    at: usize,
    searched: usize,
}

impl Framer {
    /// The answer to a [`Frame::Ping`].
    pub const PONG: &'static [u8] = b"\r\n";
    /// What a [`Frame::Ping`] is made of.
    pub const PING: &'static [u8] = b"\r\n\r\n";

    /// A framer for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes as they arrived. Call [`Framer::next_frame`] until `None` before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.searched = self.searched.saturating_sub(self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// True when a message has begun and its end is not here: the shell bounds how long that may last.
    pub fn partial(&self) -> bool {
        self.rest().iter().any(|b| !matches!(b, b'\r' | b'\n'))
    }

    /// The next message or ping; `None` when more bytes are needed; after an error the connection is to be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.rest() {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.advance(4);
                    return Ok(Some(Frame::Ping));
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => self.advance(2),
                [b'\n', ..] => self.advance(1),
                _ => break,
            }
        }
        let rest = self.rest();
        if rest.first().is_some_and(|b| !b.is_ascii_graphic()) {
            return Err(FrameError::NotSip);
        }
        let from = self.searched.saturating_sub(self.at).saturating_sub(3);
        let Some(end) = memmem::find(rest.get(from..).unwrap_or_default(), b"\r\n\r\n").map(|end| from + end)
        else {
            self.searched = self.buffer.len();
            return if self.rest().len() > MESSAGE_MAX { Err(FrameError::TooLong) } else { Ok(None) };
        };
        let head = rest.get(..end + 2).unwrap_or_default();
        let length = content_length(head)?;
        let total = end + 4 + length;
        if total > MESSAGE_MAX {
            return Err(FrameError::TooLong);
        }
        let Some(message) = rest.get(..total) else { return Ok(None) };
        let message = message.to_vec();
        self.advance(total);
        Ok(Some(Frame::Message(message)))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        self.at += by;
        self.searched = self.at;
    }
}

/// Content-Length is mandatory on streams; without one, a message that has no body by its nature is not guessed.
fn content_length(head: &[u8]) -> Result<usize, FrameError> {
    let mut rest = head;
    let mut found = None;
    let mut first = true;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = tail;
        if std::mem::take(&mut first) {
            if memmem::find(line, b"SIP/").is_none() && memmem::find(line, b"sip/").is_none() {
                return Err(FrameError::NotSip);
            }
            continue;
        }
        let Some((name, value)) = text::split(line, b':') else { continue };
        if name.first().is_some_and(|b| text::blank(*b))
            || Name::read(text::trim(name)) != Name::ContentLength
        {
            continue;
        }
        let length = text::number(text::trim(value)).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(FrameError::Length)?;
        if found.is_some_and(|before| before != length) {
            return Err(FrameError::Length);
        }
        found = Some(length);
    }
    found.ok_or(FrameError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn messages_come_out_whole_however_the_bytes_arrive() {
        let whole = [ONE, b"\r\n\r\n", ONE, b"\r\n", ONE].concat();
        for step in 1..whole.len() {
            let mut framer = Framer::new();
            let mut seen = Vec::new();
            for bytes in whole.chunks(step) {
                framer.push(bytes);
                while let Some(frame) = framer.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            let message = || Frame::Message(ONE.to_vec());
            assert_eq!(seen, [message(), Frame::Ping, message(), message()], "{step}");
            assert!(!framer.partial());
        }
    }

    #[test]
    fn lost_framing_is_an_error() {
        for (bytes, error) in [
            (&b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n"[..], FrameError::Length),
            (b"OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n", FrameError::Length),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n", FrameError::Length),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 70000\r\n\r\n", FrameError::TooLong),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", FrameError::NotSip),
            (b"\0\0\0", FrameError::NotSip),
        ] {
            let mut framer = Framer::new();
            framer.push(bytes);
            assert_eq!(framer.next_frame(), Err(error));
        }
        let mut framer = Framer::new();
        framer.push(&vec![b'a'; MESSAGE_MAX + 1]);
        assert_eq!(framer.next_frame(), Err(FrameError::TooLong));
    }
}
