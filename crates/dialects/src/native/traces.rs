//! Traces: the SIP messages of a call as text or as a packet capture, and for how long calls of a number are traced.
//!
//! A capture is a pcap file (the classic format, in microseconds) of raw IP packets: for each message a UDP datagram with headers
//! made for it. Messages that went over TCP or TLS stand in it the same way, each in one datagram: tools read them as SIP, and what
//! was encrypted is readable. Ports and addresses are those of the message.

use http::StatusCode;
use serde::Serialize;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use utoipa::ToSchema;

use super::read::path_id;
use super::reply::{time, time_or_null};
use super::words::one_of;
use super::{numbers, page};
use crate::json;
use crate::{Reply, Request};
use domain::error::{Result, What};
use domain::ids::CallId;
use domain::trace::{MINUTES_MAX, Trace, TraceFormat, TraceWindow, TracedMessage};
use domain::{Op, Timestamp};

pub(super) fn begin(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Trace)?;
    let must = format!("a whole number from 1 to {MINUTES_MAX}");
    let minutes = body.required("minutes", &must, |value| {
        value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MINUTES_MAX).contains(n))
    })?;
    body.close()?;
    Ok(Op::NumberTrace(numbers::number(request)?, minutes))
}

pub(super) fn window(request: &Request<'_>) -> Result<Op> {
    Ok(Op::NumberTraceGet(numbers::number(request)?))
}

pub(super) fn end(request: &Request<'_>) -> Result<Op> {
    Ok(Op::NumberTraceEnd(numbers::number(request)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    let id = path_id(request, What::Call, CallId::parse)?;
    let format = page::filter(request, "format", one_of(&TraceFormat::NAMES), TraceFormat::parse)?;
    Ok(Op::CallTrace(id, format.unwrap_or_default()))
}

/// For how long calls of a number are traced.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TraceWindow)]
pub(super) struct WindowOut {
    /// The number's id.
    #[schema(format = "uuid")]
    number_id: String,
    /// Whether calls that begin now are traced.
    active: bool,
    /// Until when.
    #[schema(required = true, format = DateTime)]
    until: Option<String>,
}

impl WindowOut {
    pub(super) fn new(window: TraceWindow, now: Timestamp) -> Self {
        let until = window.until.filter(|until| *until > now);
        let number_id = window.number_id.to_string();
        Self { number_id, active: until.is_some(), until: time_or_null(until) }
    }
}

/// A body to trace calls of a number.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NumberTrace)]
#[expect(dead_code, reason = "describes a request to OpenAPI and is never built")]
pub(super) struct TraceBody {
    /// For so many minutes.
    #[schema(minimum = 1, maximum = 1440)]
    minutes: u32,
}

/// The messages as they were asked for.
pub(super) fn reply(id: CallId, trace: &Trace, format: TraceFormat) -> Reply {
    let (content_type, body, end) = match format {
        TraceFormat::Text => ("text/plain; charset=utf-8", text(trace).into_bytes(), "txt"),
        TraceFormat::Pcap => ("application/vnd.tcpdump.pcap", pcap(trace), "pcap"),
    };
    Reply { status: StatusCode::OK, headers: Vec::new(), content_type, body }
        .with("cache-control", "no-store")
        .with("content-disposition", &format!("attachment; filename=\"{id}.{end}\""))
}

/// Each message behind a line that says when it went from where to where. What is no UTF-8 is replaced.
fn text(trace: &Trace) -> String {
    let mut out = String::new();
    for TracedMessage { at, from, to, bytes } in &trace.messages {
        let line = writeln!(
            out,
            "--- {} {} {} -> {} {} bytes",
            time(*at),
            from.transport.as_str(),
            from.address,
            to.address,
            bytes.len()
        );
        line.expect("a String takes every text");
        out.push_str(String::from_utf8_lossy(bytes).trim_end_matches(['\r', '\n']));
        out.push_str("\n\n");
    }
    if trace.left_out > 0 {
        let line = writeln!(out, "--- {} more messages were not kept", trace.left_out);
        line.expect("a String takes every text");
    }
    out
}

/// Packets begin with an IP header.
const LINKTYPE_RAW: u32 = 101;
/// The longest packet.
const SNAP_LEN: u32 = 65_535;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

fn pcap(trace: &Trace) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + trace.messages.iter().map(|m| m.bytes.len() + 80).sum::<usize>());
    out.extend_from_slice(&0xA1B2_C3D4_u32.to_be_bytes());
    out.extend_from_slice(&[0, 2, 0, 4]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&SNAP_LEN.to_be_bytes());
    out.extend_from_slice(&LINKTYPE_RAW.to_be_bytes());
    for message in &trace.messages {
        let packet = packet(message);
        let micros = message.at.as_microsecond();
        let second = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(0);
        let rest = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0);
        let len = u32::try_from(packet.len()).unwrap_or(SNAP_LEN);
        for field in [second, rest, len, len] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&packet);
    }
    out
}

/// The message as a datagram. One that is longer than any is cut.
fn packet(message: &TracedMessage) -> Vec<u8> {
    let pair = (message.from.address, message.to.address);
    let canonical = |address: SocketAddr| address.ip().to_canonical();
    let (header, most) = match (canonical(pair.0), canonical(pair.1)) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (IPV4_HEADER, usize::from(u16::MAX) - IPV4_HEADER - UDP_HEADER),
        // A packet's length is bounded by the file's.
        (IpAddr::V6(_), _) | (_, IpAddr::V6(_)) => {
            (IPV6_HEADER, SNAP_LEN as usize - IPV6_HEADER - UDP_HEADER)
        }
    };
    let payload = &message.bytes[..message.bytes.len().min(most)];
    let mut datagram = Vec::with_capacity(header + UDP_HEADER + payload.len());
    let udp_len = u16::try_from(UDP_HEADER + payload.len()).unwrap_or(u16::MAX);
    match (canonical(pair.0), canonical(pair.1)) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(IPV4_HEADER).unwrap_or(0) + udp_len;
            datagram.extend_from_slice(&[0x45, 0]);
            datagram.extend_from_slice(&total.to_be_bytes());
            datagram.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
            datagram.extend_from_slice(&from.octets());
            datagram.extend_from_slice(&to.octets());
            let sum = checksum(&[&datagram]);
            datagram[10..12].copy_from_slice(&sum.to_be_bytes());
            udp_header(&mut datagram, pair, udp_len);
            datagram.extend_from_slice(payload);
        }
        (from, to) => {
            let (from, to) = (six(from), six(to));
            datagram.extend_from_slice(&[0x60, 0, 0, 0]);
            datagram.extend_from_slice(&udp_len.to_be_bytes());
            datagram.extend_from_slice(&[UDP, 64]);
            datagram.extend_from_slice(&from.octets());
            datagram.extend_from_slice(&to.octets());
            udp_header(&mut datagram, pair, udp_len);
            datagram.extend_from_slice(payload);
            // IPv6 has no datagram without a checksum (RFC 8200 section 8.1).
            let pseudo = [&from.octets()[..], &to.octets()[..]].concat();
            let rest = [0, 0, udp_len.to_be_bytes()[0], udp_len.to_be_bytes()[1], 0, 0, 0, UDP];
            let sum = match checksum(&[&pseudo, &rest, &datagram[IPV6_HEADER..]]) {
                0 => u16::MAX,
                sum => sum,
            };
            datagram[IPV6_HEADER + 6..IPV6_HEADER + 8].copy_from_slice(&sum.to_be_bytes());
        }
    }
    datagram
}

fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

/// Without a checksum: over IPv4 that is none (RFC 768).
fn udp_header(out: &mut Vec<u8>, (from, to): (SocketAddr, SocketAddr), len: u16) {
    for field in [from.port(), to.port(), len, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
}

/// The sum of RFC 1071 over parts; each but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::Place;

    fn message(from: &str, to: &str, bytes: &[u8]) -> TracedMessage {
        let place = |text| Place::parse(text).unwrap();
        let at = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
        TracedMessage { at, from: place(from), to: place(to), bytes: bytes.to_vec() }
    }

    #[test]
    fn packets_have_lengths_and_checksums_that_hold() {
        let four = packet(&message("udp:192.0.2.1:5060", "udp:192.0.2.2:5070", b"BYE x"));
        assert_eq!(four.len(), 20 + 8 + 5);
        assert_eq!(four[..4], [0x45, 0, 0, 33]);
        assert_eq!(checksum(&[&four[..20]]), 0, "a header with its checksum sums to zero");
        assert_eq!(four[20..28], [0x13, 0xC4, 0x13, 0xCE, 0, 13, 0, 0]);
        assert_eq!(&four[28..], b"BYE x");
        let six = packet(&message("tcp:[2001:db8::1]:5060", "tcp:[2001:db8::2]:5070", b"BYE x"));
        assert_eq!((six.len(), six[4..8].to_vec()), (40 + 8 + 5, vec![0, 13, 17, 64]));
        let pseudo = [&six[8..40], &[0, 0, 0, 13, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &six[40..]]), 0);
        let mixed = packet(&message("udp:192.0.2.1:5060", "udp:[2001:db8::2]:5070", b"BYE x"));
        assert_eq!(mixed.len(), 40 + 8 + 5);
        let long = packet(&message("tcp:192.0.2.1:5060", "tcp:192.0.2.2:5070", &vec![b'y'; 70_000]));
        assert_eq!((long.len(), long[2..4].to_vec()), (65_535, vec![0xFF, 0xFF]));
    }

    #[test]
    fn a_capture_and_a_text_have_every_message_with_its_time() {
        let trace = Trace {
            messages: vec![
                message("udp:192.0.2.1:5060", "udp:192.0.2.2:5070", b"BYE a\r\n\r\n"),
                message("tls:192.0.2.2:5061", "tls:192.0.2.1:5061", b"\xFF\xFE"),
            ],
            left_out: 3,
        };
        let told = text(&trace);
        assert!(told.starts_with(
            "--- 2023-11-14T22:13:20.123456Z udp 192.0.2.1:5060 -> 192.0.2.2:5070 9 bytes\nBYE a\n\n---"
        ));
        assert!(told.ends_with("--- 3 more messages were not kept\n"), "{told}");
        let file = pcap(&trace);
        assert_eq!(file[..4], [0xA1, 0xB2, 0xC3, 0xD4]);
        let len = u32::from_be_bytes(file[32..36].try_into().unwrap()) as usize;
        assert_eq!((len, file.len()), (28 + 9, 24 + 16 + 28 + 9 + 16 + 28 + 2));
        assert_eq!(u32::from_be_bytes(file[24..28].try_into().unwrap()), 1_700_000_000);
        assert_eq!(u32::from_be_bytes(file[28..32].try_into().unwrap()), 123_456);
    }
}
