//! SIP, SIPS and TEL URIs (RFC 3261 section 19.1, RFC 3966), read in place. Not a resolver: a host stays text.
#![warn(clippy::indexing_slicing)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::text;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966); its number is in [`Uri::user`].
    Tel,
    /// Anything else: answered 416.
    Other,
}

/// A URI as spans of the text it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// User part, still escaped, without a password; the number of a `tel:` URI.
    pub user: Option<&'a [u8]>,
    /// Host: a name, or an address without brackets.
    pub host: &'a [u8],
    /// Port, where one is written.
    pub port: Option<u16>,
    /// Parameters of the URI, `a=b;c`.
    pub params: &'a [u8],
    /// What stands after `?`.
    pub headers: &'a [u8],
}

/// Who was dialled: the user part of a URI with the marks that tell how to read it as a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialled {
    /// User part with escapes resolved and its own parameters cut off.
    pub user: String,
    /// `phone-context` (RFC 3966): the prefix or domain in which a local number has a meaning.
    pub phone_context: Option<String>,
    /// `npdi` (RFC 4694): number portability was looked up already.
    pub npdi: bool,
    /// `user=phone`, or a `tel:` URI.
    pub phone: bool,
}

impl Dialled {
    /// Of a URI; of nobody where it is none.
    pub(crate) fn of(uri: &[u8]) -> Self {
        Uri::parse(uri).map_or_else(Self::default, |uri| uri.dialled_user())
    }
}

impl<'a> Uri<'a> {
    /// Reads a URI; `None` when there is no scheme or the host part is malformed.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(b"sip:") {
            return Self::hosted(Scheme::Sip, rest);
        }
        let (scheme, rest) = text::split(text, b':')?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
            _ if scheme.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
            _ if scheme.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
            [first, more @ ..] if first.is_ascii_alphabetic() && more.iter().all(|b| scheme_byte(*b)) => {
                let none = &[][..];
                return Some(Self {
                    scheme: Scheme::Other,
                    user: None,
                    host: none,
                    port: None,
                    params: none,
                    headers: none,
                });
            }
            _ => return None,
        };
        if scheme == Scheme::Tel {
            let (number, params) = text::split(rest, b';').unwrap_or((rest, &[]));
            let user = (!number.is_empty()).then_some(number)?;
            return Some(Self { scheme, user: Some(user), host: &[], port: None, params, headers: &[] });
        }
        Self::hosted(scheme, rest)
    }

    /// What follows the scheme of a SIP or SIPS URI.
    fn hosted(scheme: Scheme, rest: &'a [u8]) -> Option<Self> {
        let (user, rest) = match text::split(rest, b'@') {
            Some((user, rest)) => (Some(text::split(user, b':').map_or(user, |(name, _)| name)), rest),
            None => (None, rest),
        };
        let (place, params, headers) = match text::find2(rest, b';', b'?').map(|at| (at, rest.get(at))) {
            Some((at, Some(b'?'))) => (text::cut(rest, at).0, &[][..], text::cut(rest, at).1),
            Some((at, _)) => {
                let (place, more) = text::cut(rest, at);
                let (params, headers) = text::split(more, b'?').unwrap_or((more, &[]));
                (place, params, headers)
            }
            None => (rest, &[][..], &[][..]),
        };
        let (host, port) = host_port(place)?;
        Some(Self { scheme, user, host, port, params, headers })
    }

    /// The host as an address, where it is one.
    pub fn address(&self) -> Option<IpAddr> {
        address(self.host)
    }

    /// A parameter's value.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        text::param_value(self.params, name)
    }

    /// True with the `lr` parameter: a loose router (RFC 3261 section 16.4).
    pub fn loose(&self) -> bool {
        text::has_param(self.params, b"lr")
    }

    /// The user part for the one who normalises numbers.
    pub fn dialled_user(&self) -> Dialled {
        let whole = self.user.unwrap_or_default();
        let (user, own) = text::split(whole, b';').unwrap_or((whole, &[]));
        let context = text::param_value(own, b"phone-context").or_else(|| self.param(b"phone-context"));
        let npdi = text::has_param(own, b"npdi") || text::has_param(self.params, b"npdi");
        let phone = self.scheme == Scheme::Tel
            || self.param(b"user").is_some_and(|value| value.eq_ignore_ascii_case(b"phone"));
        Dialled { user: unescape(user), phone_context: context.map(unescape), npdi, phone }
    }
}

const fn scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// What a host name is made of; the underscore is not of the RFC, but met.
static HOST: text::Set = text::Set::new(b"-._");

/// Splits `host[:port]`, `[v6][:port]`; `None` when empty or malformed.
pub(crate) fn host_port(place: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let place = text::trim(place);
    if let [b'[', inside @ ..] = place {
        let close = text::find(inside, b']')?;
        let (host, rest) = text::cut(inside, close);
        return match text::trim(rest) {
            [] => Some((host, None)),
            [b':', port @ ..] => Some((host, Some(port_number(port)?))),
            _ => None,
        };
    }
    let (host, rest) = place.split_at_checked(HOST.length(place)).filter(|(host, _)| !host.is_empty())?;
    match text::trim_start(rest) {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(port_number(port)?))),
        _ => None,
    }
}

#[inline]
fn port_number(text: &[u8]) -> Option<u16> {
    text::number(text::trim(text)).and_then(|port| u16::try_from(port).ok())
}

/// An address without brackets.
pub(crate) fn address(host: &[u8]) -> Option<IpAddr> {
    match host.first() {
        Some(byte) if byte.is_ascii_hexdigit() || *byte == b':' => {}
        _ => return None,
    }
    let six = || std::str::from_utf8(host).ok()?.parse::<Ipv6Addr>().ok();
    four(host).map(IpAddr::V4).or_else(|| text::find(host, b':').and_then(|_| six()).map(IpAddr::V6))
}

/// An IPv4 address, by the rules of the standard library, whose own reader takes several times as long.
fn four(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let (mut done, mut digits, mut value) = (0, 0, 0_u16);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || value > 0) => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && done < 3 => {
                *octets.get_mut(done)? = u8::try_from(value).ok()?;
                (done, digits, value) = (done + 1, 0, 0);
            }
            _ => return None,
        }
    }
    let [.., last] = &mut octets;
    *last = u8::try_from(value).ok()?;
    (done == 3 && digits > 0).then(|| Ipv4Addr::from(octets))
}

/// Resolves `%41` escapes; what is no valid escape stays as it is.
fn unescape(text: &[u8]) -> String {
    if text::find(text, b'%').is_none() {
        return text::owned(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (*byte, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high * 16 + low);
            rest = after;
        } else {
            out.push(*byte);
        }
    }
    text::owned(&out)
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_sip_uri_are_found() {
        let uri = Uri::parse(b"sips:alice:pw@[2001:db8::1]:5061;transport=tls;lr?x=y").unwrap();
        assert_eq!(uri.scheme, Scheme::Sips);
        assert_eq!(uri.user, Some(&b"alice"[..]));
        assert_eq!(uri.address(), "2001:db8::1".parse().ok());
        assert_eq!((uri.port, uri.loose()), (Some(5061), true));
        assert_eq!(uri.param(b"transport"), Some(&b"tls"[..]));
    }

    #[test]
    fn a_dialled_user_keeps_its_marks() {
        let uri = Uri::parse(b"sip:%2B4930;phone-context=+49;npdi@host;user=phone").unwrap();
        let dialled = uri.dialled_user();
        assert_eq!((dialled.user.as_str(), dialled.phone_context.as_deref()), ("+4930", Some("+49")));
        assert!(dialled.npdi && dialled.phone);
        let dialled = Uri::parse(b"tel:+1-201-555-0123;npdi").unwrap().dialled_user();
        assert_eq!((dialled.user.as_str(), dialled.npdi, dialled.phone), ("+1-201-555-0123", true, true));
    }

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        for text in [
            "192.0.2.1",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "01.2.3.4",
            "00.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            "1..2.3",
            "1.2.3.4a",
            "1.2.3.0004",
            "::1",
            "2001:db8::7",
            "::ffff:1.2.3.4",
            "fe80::1%1",
            "a.b.c.d",
        ] {
            assert_eq!(address(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn malformed_hosts_are_refused() {
        for text in ["sip:", "sip:a@", "sip:a@b:x", "sip:a@[::1", "nothing", "sip:a@b c"] {
            assert!(Uri::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
