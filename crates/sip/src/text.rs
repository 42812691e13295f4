//! Small readers of SIP text: white space, quoted strings, parameters, comma lists (RFC 3261 section 25).
//! They take any bytes, never panic and never allocate. CR and LF count as white space, so a folded value reads as one.
#![warn(clippy::indexing_slicing)]

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// High bits where a byte of `word` equals that of `pattern`; exact up to and including the lowest one.
const fn hits(word: u64, pattern: u64) -> u64 {
    let differs = word ^ pattern;
    differs.wrapping_sub(LOW) & !differs & HIGH
}

/// Where a word has its first hit, eight bytes at a time; the last word overlaps the one before it. What is searched here is
/// short: inlined, this beats a vector search whose set-up alone costs more.
#[inline]
fn search(text: &[u8], hit: impl Fn(u64) -> u64, is: impl Fn(u8) -> bool) -> Option<usize> {
    let place = |found: u64| found.trailing_zeros() as usize / 8;
    let (chunks, tail) = text.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let found = hit(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Some(index * 8 + place(found));
        }
    }
    if tail.is_empty() {
        return None;
    }
    let Some(last) = text.last_chunk::<8>() else { return text.iter().position(|byte| is(*byte)) };
    let found = hit(u64::from_le_bytes(*last));
    (found != 0).then(|| text.len() - 8 + place(found))
}

/// Where a byte first stands.
#[inline]
pub(crate) fn find(text: &[u8], byte: u8) -> Option<usize> {
    let pattern = LOW.wrapping_mul(u64::from(byte));
    search(text, |word| hits(word, pattern), |b| b == byte)
}

/// Where one of two bytes first stands.
#[inline]
pub(crate) fn find2(text: &[u8], one: u8, other: u8) -> Option<usize> {
    let patterns = (LOW.wrapping_mul(u64::from(one)), LOW.wrapping_mul(u64::from(other)));
    let hit = |word| hits(word, patterns.0) | hits(word, patterns.1);
    search(text, hit, |b| b == one || b == other)
}

/// The lines of a text, without their breaks.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let line = match find(text, b'\n') {
            Some(at) => {
                let (line, after) = cut(text, at);
                rest = Some(after);
                line
            }
            None => rest.take()?,
        };
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// True for space, tab and the line breaks of a folded value.
#[inline]
pub(crate) const fn blank(byte: u8) -> bool {
    // one comparison for most bytes
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A set of bytes.
pub(crate) struct Set([bool; 256]);

impl Set {
    /// Letters, digits and these.
    #[expect(clippy::indexing_slicing, reason = "run by the compiler: a bad index does not build")]
    pub(crate) const fn new(mut more: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0u8;
        while byte < 128 {
            set[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        while let [first, tail @ ..] = more {
            set[*first as usize] = true;
            more = tail;
        }
        Self(set)
    }

    /// True when all bytes of the text are in it.
    #[inline]
    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.has(*byte))
    }

    /// How many bytes at the start of the text are in it.
    #[inline]
    pub(crate) fn length(&self, text: &[u8]) -> usize {
        text.iter().position(|byte| !self.has(*byte)).unwrap_or(text.len())
    }

    #[inline]
    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_some_and(|inside| *inside)
    }
}

static TOKEN: Set = Set::new(b"-.!%*_+`'~");

/// Without white space at both ends.
#[inline]
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// Without white space before it.
#[inline]
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && blank(*first)
    {
        text = rest;
    }
    text
}

/// Without white space behind it.
#[inline]
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    // the common end of a line first
    text = text.strip_suffix(b"\r\n").unwrap_or(text);
    while let [rest @ .., last] = text
        && blank(*last)
    {
        text = rest;
    }
    text
}

/// Everything before and after position `at`, the byte there left out.
pub(crate) fn cut(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    (text.get(..at).unwrap_or(text), text.get(at.saturating_add(1)..).unwrap_or_default())
}

/// Everything before and after the first `byte`, if there is one.
pub(crate) fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    find(text, byte).map(|at| cut(text, at))
}

/// The first place of `wanted` that stands neither in quotes nor in angle brackets.
pub(crate) fn find_outside(text: &[u8], wanted: u8) -> Option<usize> {
    let patterns = [wanted, b'"', b'<'].map(|byte| LOW.wrapping_mul(u64::from(byte)));
    let hit = |word| patterns.iter().fold(0, |found, pattern| found | hits(word, *pattern));
    let mut rest = text;
    loop {
        let at = search(rest, hit, |b| b == wanted || b == b'"' || b == b'<')?;
        let (found, after) = rest.get(at..)?.split_first()?;
        rest = match *found {
            byte if byte == wanted => return Some(text.len() - after.len() - 1),
            b'"' => after_quoted(rest.get(at..)?)?,
            _ => cut(after, find(after, b'>')?).1,
        };
    }
}

/// True when quotes are closed: a display name with an open quote makes the header malformed.
pub(crate) fn quotes_closed(text: &[u8]) -> bool {
    if find(text, b'"').is_none() {
        return true;
    }
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// What follows a quoted string at the start of a text; `None` when it is not closed.
pub(crate) fn after_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let at = find2(rest, b'"', b'\\')?;
        let quote = rest.get(at) == Some(&b'"');
        rest = rest.get(at + if quote { 1 } else { 2 }..)?;
        if quote {
            return Some(rest);
        }
    }
}

/// The values of a comma list, quotes and angle brackets respected; empty ones are left out.
pub(crate) struct List<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let has_comma = find(self.0, b',').is_some();
            let (value, rest) = match if has_comma { find_outside(self.0, b',') } else { None } {
                Some(at) => cut(self.0, at),
                None => (self.0, &[][..]),
            };
            self.0 = rest;
            let value = trim(value);
            if !value.is_empty() {
                return Some(value);
            }
        }
        None
    }
}

/// The parameters of `;a=b;c` as (name, value) pairs; text before the first semicolon is not expected here.
pub(crate) struct Params<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Params<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let at = match find2(self.0, b';', b'"') {
                Some(at) if self.0.get(at) == Some(&b'"') => find_outside(self.0, b';'),
                at => at,
            };
            let (one, rest) = at.map_or((self.0, &[][..]), |at| cut(self.0, at));
            self.0 = rest;
            let one = trim(one);
            if one.is_empty() {
                continue;
            }
            // names are short: a plain loop finds the end before a search has begun
            return Some(match one.iter().position(|b| *b == b'=') {
                Some(at) => {
                    let (name, value) = cut(one, at);
                    (trim_end(name), Some(trim_start(value)))
                }
                None => (one, None),
            });
        }
        None
    }
}

/// True when a parameter is there, with or without a value.
pub(crate) fn has_param(params: &[u8], wanted: &[u8]) -> bool {
    Params(params).any(|(name, _)| name.eq_ignore_ascii_case(wanted))
}

/// The value of one parameter, where it has one.
pub(crate) fn param_value<'a>(params: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    // it stands first, as a tag mostly does
    if let Some([b'=', value @ ..]) = params.strip_prefix(wanted) {
        match find2(value, b';', b'"').map(|at| value.split_at_checked(at)) {
            None => return Some(trim(value)),
            Some(Some((value, [b';', ..]))) => return Some(trim(value)),
            Some(_) => {}
        }
    }
    Params(params).find(|(name, _)| name.eq_ignore_ascii_case(wanted)).and_then(|(_, value)| value)
}

/// An unsigned number of digits only.
pub(crate) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut sum = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u64::from(digit);
    }
    u32::try_from(sum).ok()
}

/// A token of RFC 3261 section 25.1.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && TOKEN.holds(text)
}

/// Text for people and records: invalid UTF-8 is replaced.
pub(crate) fn owned(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(text).into_owned(),
    }
}

/// The URI and the parameters behind it of a From, To, Contact, Route or Record-Route value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameAddr<'a> {
    pub(crate) uri: &'a [u8],
    pub(crate) params: &'a [u8],
}

/// Reads a name-addr or addr-spec (RFC 3261 section 20.10): without brackets, parameters belong to the header.
pub(crate) fn name_addr(value: &[u8]) -> Option<NameAddr<'_>> {
    let open = match find2(value, b'<', b'"') {
        Some(at) if value.get(at) == Some(&b'"') => find_open(value),
        at => at,
    };
    let Some(open) = open else {
        let (uri, params) = split(value, b';').unwrap_or((value, &[]));
        let uri = trim(uri);
        return (!uri.is_empty()).then_some(NameAddr { uri, params });
    };
    let (_, inside) = cut(value, open);
    let (uri, rest) = split(inside, b'>')?;
    let params = rest.iter().position(|b| *b == b';').map_or(&[][..], |at| cut(rest, at).1);
    Some(NameAddr { uri: trim(uri), params })
}

/// The same where the URI may come to stand in a request line: one that is folded or has spaces in it would break that.
pub(crate) fn target(value: &[u8]) -> Option<&[u8]> {
    name_addr(value).map(|read| read.uri).filter(|uri| uri.iter().all(|byte| *byte > b' '))
}

/// The first `<` outside a quoted display name.
fn find_open(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_respect_quotes_and_brackets() {
        let values: Vec<_> = List(b"\"a,b\" <sip:a,b@c>;x=1, <sip:d>,, e").collect();
        assert_eq!(values, [&b"\"a,b\" <sip:a,b@c>;x=1"[..], b"<sip:d>", b"e"]);
    }

    #[test]
    fn what_stands_in_quotes_or_brackets_is_passed_over() {
        for (text, at) in [
            (&b",a"[..], Some(0)),
            (b"\"a,b\\\",\" <c,d> >, e", Some(16)),
            (b"<a,<b>,c", Some(6)),
            (b"abcdefghijklmno,", Some(15)),
            (b"\"a,b", None),
            (b"<a\",b", None),
            (b"<\">,\"", Some(3)),
            (b"a", None),
            (b"", None),
        ] {
            assert_eq!(find_outside(text, b','), at, "{}", owned(text));
        }
        assert_eq!(find_outside(b"\"<\" x <y", b'<'), Some(6));
    }

    #[test]
    fn parameters_are_read_without_regard_to_case_and_space() {
        assert_eq!(param_value(b"; TAG = 7 ;lr", b"tag"), Some(&b"7"[..]));
        assert!(has_param(b"a=1;lr", b"lr"));
    }

    #[test]
    fn what_may_stand_in_a_request_line_is_in_one_piece() {
        assert_eq!(target(b"<sip:a@b;lr>;x"), Some(&b"sip:a@b;lr"[..]));
        for value in [&b"<sip:a\r\n b@c>"[..], b"<sip:a b@c>", b"sip:a\tb@c;x", b"<sip:a@b\0>"] {
            assert!(name_addr(value).is_some() && target(value).is_none());
        }
    }

    #[test]
    fn a_display_name_may_hold_an_escaped_quote_and_a_bracket() {
        let read = name_addr(b"\"<x> \\\" y\" <sip:a@b;lr> ;tag=1").unwrap();
        assert_eq!((read.uri, read.params), (&b"sip:a@b;lr"[..], &b"tag=1"[..]));
    }
}
