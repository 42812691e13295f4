//! Connections that others make. One that has to agree on something first (TLS, WebSocket) does that in a bounded time, and
//! only so many at once: trunks' are counted apart, so that strangers who keep silent hold up nobody.

use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::connection::Stream;
use super::{Names, Origin, web};
use crate::clock;
use crate::edge::wire::Wire;
use sip::Transport;

/// A pause after the system refuses to accept (out of file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// The longest that a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Accepts connections until the task is dropped.
pub(in super::super) async fn listen(
    wire: Arc<Wire>,
    socket: TcpListener,
    listener: u16,
    transport: Transport,
) {
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => taken(&wire, stream, (transport, listener), remote),
            Err(error) => {
                tracing::warn!(error = %error, "a SIP connection cannot be accepted");
                clock::sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn taken(wire: &Arc<Wire>, stream: TcpStream, (transport, listener): (Transport, u16), remote: SocketAddr) {
    let known = !wire.parts.live.trunks_of(remote).is_empty();
    let Some(seat) = wire.streams.seats.take(remote.ip(), known) else {
        return wire.gauge.connections.increment(1);
    };
    let how = |seat| Origin { transport, remote, listener, seat: Some(seat), key: None, names: None, known };
    if transport == Transport::Tcp {
        return wire.streams.admit(wire, Stream::Plain(stream), how(seat));
    }
    let places = if known { &wire.streams.trunks } else { &wire.streams.strangers };
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return wire.gauge.connections.increment(1);
    };
    let (wire, origin) = (Arc::clone(wire), how(seat));
    tokio::spawn(async move {
        let agreed = tokio::time::timeout(HANDSHAKE_MAX, agree(&wire, stream, transport)).await;
        drop(place);
        match agreed {
            Ok(Some((stream, names))) => {
                let known = origin.known || names.is_some();
                wire.streams.admit(&wire, stream, Origin { names, known, ..origin });
            }
            Ok(None) | Err(_) => wire.gauge.handshakes.increment(1),
        }
    });
}

/// What the transport agrees on before the first message, with the names that the other end has proved.
async fn agree(wire: &Wire, stream: TcpStream, transport: Transport) -> Option<(Stream, Option<Arc<Names>>)> {
    if !transport.secure() {
        return Some((Stream::Web(Box::new(web::accept(stream).await?)), None));
    }
    let config = wire.streams.tls()?.server()?;
    let stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let names = shown.map(|certificate| Arc::new(Names::of(certificate)));
    let stream = TlsStream::from(stream);
    if transport.web() {
        return Some((Stream::WebTls(Box::new(web::accept(stream).await?)), names));
    }
    Some((Stream::Tls(Box::new(stream)), names))
}
