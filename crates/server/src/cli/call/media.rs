//! The sound of a test call: packets of silence, sent and counted when they come back (RFC 3550, RFC 3551).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Between two packets.
pub(super) const PACKET_EVERY: Duration = Duration::from_millis(20);
/// Samples of a packet: 20 ms at 8 kHz.
const SAMPLES: u32 = 160;
/// A packet: 12 bytes of header, a byte a sample.
const PACKET: usize = 12 + SAMPLES as usize;
/// Silence in µ-law.
const SILENCE: u8 = 0xFF;

/// One side of a call's sound.
#[derive(Debug)]
pub(super) struct Media {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    source: u32,
    pub(super) sent: u32,
    pub(super) echoed: u32,
}

impl Media {
    pub(super) async fn open(address: IpAddr, source: u32) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).await?;
        Ok(Self { socket, peer: None, source, sent: 0, echoed: 0 })
    }

    /// The offer.
    pub(super) fn sdp(&self) -> std::io::Result<Vec<u8>> {
        self.socket.local_addr().map(sdp)
    }

    /// Begins to send to where an answer says.
    pub(super) fn begin(&mut self, answer: &[u8]) {
        self.peer = peer(answer);
    }

    /// Sends the next packet, if there is somewhere to send it.
    pub(super) async fn speak(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut packet = [SILENCE; PACKET];
        let [_, _, high, low] = self.sent.to_be_bytes();
        let samples = self.sent.wrapping_mul(SAMPLES);
        packet[..4].copy_from_slice(&[0x80, 0, high, low]);
        packet[4..8].copy_from_slice(&samples.to_be_bytes());
        packet[8..12].copy_from_slice(&self.source.to_be_bytes());
        if self.socket.send_to(&packet, peer).await.is_ok() {
            self.sent += 1;
        }
    }

    /// Waits for a packet of ours to come back.
    pub(super) async fn listen(&self) -> std::io::Result<bool> {
        let mut packet = [0; PACKET];
        let (length, from) = self.socket.recv_from(&mut packet).await?;
        let ours = length == packet.len() && packet[8..12] == self.source.to_be_bytes();
        Ok(ours && Some(from) == self.peer)
    }
}

/// A description of one µ-law stream at an address.
pub(crate) fn sdp(at: SocketAddr) -> Vec<u8> {
    let family = if at.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (at.ip(), at.port());
    format!(
        "v=0\r\no=trunkline 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
    )
    .into_bytes()
}

/// Where a description wants its audio: the address of the media, else of the session.
fn peer(sdp: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(sdp).ok()?;
    let (mut address, mut port) = (None, None);
    for line in text.lines() {
        if let Some(connection) = line.strip_prefix("c=IN IP") {
            address = connection
                .split([' ', '/'])
                .nth(1)
                .and_then(|ip| ip.trim().parse::<IpAddr>().ok())
                .or(address);
        } else if let Some(media) = line.strip_prefix("m=") {
            if port.is_some() {
                break;
            }
            port = media.strip_prefix("audio ").and_then(|rest| rest.split(' ').next()?.parse::<u16>().ok());
        }
    }
    Some(SocketAddr::new(address?, port.filter(|port| *port > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_says_where_its_sound_goes() {
        let at: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        assert_eq!(peer(&sdp(at)), Some(at));
        assert_eq!(peer(b"v=0\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n"), "10.0.0.1:9".parse().ok());
        assert_eq!(peer(b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n"), None);
        assert_eq!(peer(b"\xFF"), None);
    }
}
