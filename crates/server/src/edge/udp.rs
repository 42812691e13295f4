//! UDP: some threads a socket, blocking: of those that wait the system wakes one for a datagram, so that a trunk that sends from
//! one address still has all cores. A wake-up is one receive, the edge's work, and its sends: no poll, no timer call. Deadlines
//! are kept by the receive's own time-out, which is changed only when the edges go from open to idle or back.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::rush::Rush;
use super::wire::{TICK, Wire, Work};
use crate::clock;

/// Asked of the system; it gives as much as its limits allow.
const BUFFER_BYTES: usize = 8 << 20;
/// The time-out of a receive while nothing is open.
const IDLE: Duration = Duration::from_secs(1);
/// After a failure that is not about one datagram, the thread rests so long.
const REST: Duration = Duration::from_millis(50);

pub(super) fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    for (what, set) in [
        ("receive", socket.set_recv_buffer_size(BUFFER_BYTES)),
        ("send", socket.set_send_buffer_size(BUFFER_BYTES)),
    ] {
        if let Err(error) = set {
            tracing::warn!(error = %error, what, "a socket buffer keeps the system's size");
        }
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Begins to receive with so many threads.
pub(super) fn spawn(
    wire: &Arc<Wire>,
    socket: &Arc<UdpSocket>,
    listener: u16,
    threads: usize,
) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
    let pause = Arc::new(Pause { socket: Arc::clone(socket), short: AtomicBool::new(true) });
    pause.set(IDLE);
    let rush = Arc::new(Rush::new(clock::instant()));
    let one = |count| {
        let (wire, pause, rush) = (Arc::clone(wire), Arc::clone(&pause), Arc::clone(&rush));
        let thread = std::thread::Builder::new().name(format!("sip-udp-{listener}-{count}"));
        thread.spawn(move || receive(&wire, (&pause, &rush), listener))
    };
    (0..threads).map(one).collect()
}

fn receive(wire: &Arc<Wire>, (pause, rush): (&Pause, &Rush), listener: u16) {
    let socket = &pause.socket;
    let mut buffer = vec![0_u8; usize::from(u16::MAX)];
    let mut work = Work::default();
    let mut looked = clock::instant();
    let mut count = 0;
    while !wire.stopping.load(Ordering::Acquire) {
        match socket.recv_from(&mut buffer) {
            Ok((length, remote)) => {
                let bytes = &buffer[..length];
                // Keep-alives and what cannot be SIP.
                if length < 16 || bytes.starts_with(b"\r\n") {
                    continue;
                }
                let flow = sip::Flow { listener, transport: sip::Transport::Udp, remote, connection: None };
                let load = rush.load(socket, &mut count, clock::instant);
                if wire.message_at(load, flow, bytes, &mut work) {
                    pause.set(TICK);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                rush.looked(true, clock::instant());
                if wire.tick(&mut work) {
                    pause.set(TICK);
                } else {
                    pause.set(IDLE);
                    // Another thread may have opened something meanwhile, and found the pause short still.
                    if wire.open() {
                        pause.set(TICK);
                    }
                }
            }
            // The answer of a peer that is gone to something sent before.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
            Err(error) => {
                complain(&error, &mut looked);
                std::thread::sleep(REST);
            }
        }
    }
}

fn complain(error: &std::io::Error, looked: &mut Instant) {
    let now = clock::instant();
    if now.duration_since(*looked) > Duration::from_secs(10) {
        *looked = now;
        tracing::error!(error = %error, "SIP cannot be received");
    }
}

/// The time-out of a socket's receives, which its threads share.
struct Pause {
    socket: Arc<UdpSocket>,
    /// Whether it is [`TICK`].
    short: AtomicBool,
}

impl Pause {
    fn set(&self, pause: Duration) {
        let short = pause == TICK;
        if self.short.swap(short, Ordering::AcqRel) == short {
            return;
        }
        if let Err(error) = self.socket.set_read_timeout(Some(pause)) {
            self.short.store(!short, Ordering::Release);
            tracing::error!(error = %error, "the time-out of a socket cannot be set");
        }
    }
}

/// Ends a blocking receive of this socket by an empty datagram from itself.
pub(super) fn wake(socket: &UdpSocket) {
    let Ok(mut address) = socket.local_addr() else { return };
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    if let Err(error) = socket.send_to(&[], address) {
        // The receive ends by its time-out then.
        tracing::debug!(error = %error, "a receiving thread could not be woken");
    }
}
