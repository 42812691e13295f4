//! Writing numbers and addresses into a buffer without the formatting machinery.

use std::io::Write as _;
use std::net::IpAddr;

pub(crate) fn number(out: &mut Vec<u8>, value: u32) {
    let mut digits = [0u8; 10];
    let mut at = digits.len();
    let mut rest = value;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        at -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// An address as `received` has it: no brackets.
pub(crate) fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(four) => {
            let mut text = [0u8; 16];
            let mut at = 0;
            for octet in four.octets() {
                let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
                let zeros = usize::from(octet < 100) + usize::from(octet < 10);
                for byte in digits.into_iter().skip(zeros).chain([b'.']) {
                    if let Some(slot) = text.get_mut(at) {
                        *slot = byte;
                    }
                    at += 1;
                }
            }
            out.extend_from_slice(text.get(..at - 1).unwrap_or_default());
        }
        IpAddr::V6(six) => write!(out, "{six}").expect("writing to memory does not fail"),
    }
}

/// `host:port`, an IPv6 host in brackets.
pub(crate) fn place(out: &mut Vec<u8>, host: &str, port: u16) {
    let six = host.contains(':') && !host.starts_with('[');
    out.extend_from_slice(if six { b"[" } else { b"" });
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(if six { b"]:" } else { b":" });
    number(out, u32::from(port));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_places_are_written_plainly() {
        let mut out = Vec::new();
        for address in ["0.10.99.100", "255.255.255.255", "1.2.3.4"] {
            let mut text = Vec::new();
            ip(&mut text, address.parse().unwrap());
            assert_eq!(text, address.as_bytes());
        }
        for value in [0, 7, 10, 4_294_967_295] {
            number(&mut out, value);
            out.push(b' ');
        }
        place(&mut out, "::1", 5060);
        out.push(b' ');
        place(&mut out, "sip.example.com", 5061);
        assert_eq!(String::from_utf8(out).unwrap(), "0 7 10 4294967295 [::1]:5060 sip.example.com:5061");
    }
}
