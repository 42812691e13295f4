//! Messages of traced calls, sent to a collector as they come: HEP version 3 over UDP (github.com/sipcapture/HEP, revision 3). One
//! datagram a message, without its secrets, as the trace keeps it.
//!
//! Nothing waits for the collector: what does not fit into the queue is dropped and counted, and so is what the network takes no more.

use domain::Timestamp;
use domain::call::Place;
use domain::ids::CallId;
use domain::target::Transport;
use metrics::{Counter, counter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::clock;

/// Messages that wait to be sent: some megabytes at most.
const QUEUE_MAX: usize = 4_096;
/// The largest datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_MAX: usize = 65_507;
/// How long an address of the collector's is taken for its own: its name is looked up again then.
const KNOWN_FOR: Duration = Duration::from_mins(1);
/// How long after a name that was not found it is looked up again.
const LOST_FOR: Duration = Duration::from_secs(5);
/// Who captures, as collectors tell several apart (chunk 12); 2001 is what Homer's own examples have.
const CAPTURE_ID: u32 = 2_001;

/// Where messages are handed over.
#[derive(Debug)]
pub(crate) struct Collector {
    queue: mpsc::Sender<Vec<u8>>,
    dropped: Counter,
}

/// Sends what was handed over.
#[derive(Debug)]
pub(crate) struct Sending {
    host: String,
    queue: mpsc::Receiver<Vec<u8>>,
    sent: Counter,
    dropped: Counter,
}

/// A collector at `host:port`, and what sends to it.
pub(crate) fn to(host: String) -> (Collector, Sending) {
    metrics::describe_counter!("trunkline_hep_sent_total", "SIP messages that were sent to the collector");
    metrics::describe_counter!(
        "trunkline_hep_dropped_total",
        "SIP messages for the collector that were dropped: too many at once, or it cannot be reached"
    );
    let (sent, dropped) = (counter!("trunkline_hep_sent_total"), counter!("trunkline_hep_dropped_total"));
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    (Collector { queue: sender, dropped: dropped.clone() }, Sending { host, queue, sent, dropped })
}

impl Collector {
    /// Hands a message of a call over. All of a call's have one correlation id, whatever their Call-IDs are.
    pub(crate) fn message(&self, call: CallId, at: Timestamp, ends: (Place, Place), bytes: &[u8]) {
        if self.queue.try_send(packet(call, at, ends, bytes)).is_err() {
            self.dropped.increment(1);
        }
    }
}

impl Sending {
    /// Runs until it is aborted.
    pub(crate) async fn run(mut self) {
        let mut way: Option<(UdpSocket, Instant)> = None;
        let mut lost: Option<Instant> = None;
        while let Some(packet) = self.queue.recv().await {
            let now = clock::instant();
            if way.as_ref().is_some_and(|(_, until)| *until <= now) {
                way = None;
            }
            if way.is_none() && lost.is_none_or(|until| until <= now) {
                way = connect(&self.host).await.map(|socket| (socket, now + KNOWN_FOR));
                lost = way.is_none().then(|| now + LOST_FOR);
                if way.is_none() {
                    tracing::warn!(
                        "the collector of traces (--hep) is not found; messages for it are dropped"
                    );
                }
            }
            let sent = match &way {
                Some((socket, _)) => socket.send(&packet).await.is_ok(),
                None => false,
            };
            if sent { self.sent.increment(1) } else { self.dropped.increment(1) }
        }
    }
}

/// A socket towards the collector, of the first of its addresses that can be spoken to.
async fn connect(host: &str) -> Option<UdpSocket> {
    for address in tokio::net::lookup_host(host).await.ok()? {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let Ok(socket) = UdpSocket::bind(SocketAddr::new(any, 0)).await else { continue };
        if socket.connect(address).await.is_ok() {
            return Some(socket);
        }
    }
    None
}

/// A message as HEP has it: `HEP3`, the length of all, then chunks of vendor 0 (generic), type, length and value.
fn packet(call: CallId, at: Timestamp, (from, to): (Place, Place), bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 192);
    out.extend_from_slice(b"HEP3\0\0");
    let (source, target) = (from.address.ip().to_canonical(), to.address.ip().to_canonical());
    let protocol = if from.transport == Transport::Udp { 17 } else { 6 };
    if let (IpAddr::V4(source), IpAddr::V4(target)) = (source, target) {
        // AF_INET, and the two addresses.
        chunk(&mut out, 1, &[2]);
        chunk(&mut out, 3, &source.octets());
        chunk(&mut out, 4, &target.octets());
    } else {
        let wide = |ip: IpAddr| match ip {
            IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
            IpAddr::V6(six) => six.octets(),
        };
        chunk(&mut out, 1, &[10]);
        chunk(&mut out, 5, &wide(source));
        chunk(&mut out, 6, &wide(target));
    }
    chunk(&mut out, 2, &[protocol]);
    chunk(&mut out, 7, &from.address.port().to_be_bytes());
    chunk(&mut out, 8, &to.address.port().to_be_bytes());
    let micros = at.as_microsecond().rem_euclid(1_000_000);
    chunk(&mut out, 9, &u32::try_from(at.as_second()).unwrap_or(u32::MAX).to_be_bytes());
    chunk(&mut out, 10, &u32::try_from(micros).unwrap_or_default().to_be_bytes());
    // SIP.
    chunk(&mut out, 11, &[1]);
    chunk(&mut out, 12, &CAPTURE_ID.to_be_bytes());
    chunk(&mut out, 17, call.0.to_string().as_bytes());
    // What a datagram does not hold is cut.
    let room = DATAGRAM_MAX.saturating_sub(out.len() + 6);
    chunk(&mut out, 15, bytes.get(..room).unwrap_or(bytes));
    let length = u16::try_from(out.len()).unwrap_or(u16::MAX);
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 6).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        assert_eq!(&packet[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
        let (mut rest, mut found) = (&packet[6..], Vec::new());
        while !rest.is_empty() {
            let number = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
            assert_eq!(number(0), 0);
            let (kind, length) = (number(2), usize::from(number(4)));
            found.push((kind, rest[6..length].to_vec()));
            rest = &rest[length..];
        }
        found
    }

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn a_packet_has_its_chunks() {
        let at = Timestamp::from_microsecond(1_700_000_000_000_007).unwrap();
        let call = CallId(Uuid::from_u128(1));
        let ends = (place("udp:192.0.2.1:5060"), place("udp:192.0.2.2:5070"));
        let read = chunks(&packet(call, at, ends, b"INVITE x"));
        let value = |kind| read.iter().find(|(one, _)| *one == kind).map(|(_, value)| value.clone());
        assert_eq!((value(1), value(2), value(11)), (Some(vec![2]), Some(vec![17]), Some(vec![1])));
        assert_eq!((value(3), value(4)), (Some(vec![192, 0, 2, 1]), Some(vec![192, 0, 2, 2])));
        assert_eq!((value(7), value(8)), (Some(vec![0x13, 0xC4]), Some(vec![0x13, 0xCE])));
        assert_eq!(
            (value(9), value(10)),
            (Some(1_700_000_000_u32.to_be_bytes().to_vec()), Some(vec![0, 0, 0, 7]))
        );
        assert_eq!(value(15), Some(b"INVITE x".to_vec()));
        assert_eq!(value(17), Some(call.0.to_string().into_bytes()));
    }

    #[test]
    fn other_ways_and_large_messages_fit_too() {
        let ends = (place("tls:[2001:db8::1]:5061"), place("tls:192.0.2.2:5061"));
        let read = chunks(&packet(CallId(Uuid::nil()), Timestamp::UNIX_EPOCH, ends, &vec![b'a'; 70_000]));
        let value = |kind| read.iter().find(|(one, _)| *one == kind).map(|(_, value)| value.clone()).unwrap();
        assert_eq!((value(1), value(2), value(5).len(), value(6).len()), (vec![10], vec![6], 16, 16));
        assert!(value(15).len() < 65_507 && value(15).len() > 65_000);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_nobody_waits() {
        let (collector, _sending) = to("127.0.0.1:9".to_owned());
        let ends = (place("udp:192.0.2.1:5060"), place("udp:192.0.2.2:5070"));
        for _ in 0..=QUEUE_MAX {
            collector.message(CallId(Uuid::nil()), Timestamp::UNIX_EPOCH, ends, b"x");
        }
        assert_eq!(collector.queue.capacity(), 0);
    }
}
