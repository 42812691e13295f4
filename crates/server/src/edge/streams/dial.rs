//! Connections that we make: to a target, or anew to where a dialog goes. From the listener's own address, so that others can
//! let us in by it; with TLS only to whom the certificate names, and never without it instead.

use rustls::pki_types::{CertificateDer, ServerName};
use sip::{Fault, Flow, Hop, Input, SendId, Side, Whom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::connection::Stream;
use super::{Key, Names, Origin, Piece, What, web};
use crate::edge::gauge::connect_failed;
use crate::edge::plan::draws;
use crate::edge::resolve;
use crate::edge::wire::{Wire, Work};

/// The longest a connection may take to be made, what it agrees on included.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Places that a name leads to and that are tried.
const NAMED_MAX: usize = 2;

/// Makes a connection, and sends what waits for it; or tells the edge why not.
pub(super) async fn connect(wire: Arc<Wire>, key: Key, listener: u16) {
    let mut why = Fault::Unreachable;
    // a name is asked for when its turn comes: nobody waits for that who is reached without
    for by_name in by_names(&key) {
        let places = if *by_name { named_places(&wire, &key).await } else { vec![key.remote] };
        for remote in places {
            let made = tokio::time::timeout(CONNECT_MAX, made(&wire, (&key, remote), listener)).await;
            why = match made {
                Ok(Ok(stream)) => {
                    let (transport, seat, names, known) = (key.transport, None, None, true);
                    let key = Some(key);
                    let how = Origin { transport, remote, listener, seat, key, names, known };
                    return wire.streams.admit(&wire, stream, how);
                }
                Ok(Err(why)) => why,
                Err(_) => Fault::Unreachable,
            };
            connect_failed(why);
        }
    }
    let waiting = wire.streams.lock().connecting.remove(&key).unwrap_or_default();
    let to = Flow { listener, transport: key.transport, remote: key.remote, connection: None };
    for piece in waiting {
        lost(&wire, piece, (to, why));
    }
}

/// Tells that something was not delivered: its transaction, or, where it has none, whoever sent it.
fn lost(wire: &Arc<Wire>, piece: Piece, (to, why): (Flow, Fault)) {
    match piece.what {
        What::Message(bytes) if piece.id == SendId::NONE => {
            if let Some(answer) = sip::undelivered(&bytes, &to)
                && wire.message(to, &answer, &mut Work::default())
            {
                wire.arm();
            }
        }
        What::Message(_) | What::Ping | What::Pong => wire.aside(Input::Fault { send: piece.id, why }),
    }
}

/// Whether it is tried where the dialog goes (false) and by the other side's name (true), in order: what called us on a connection
/// of its own may listen elsewhere.
fn by_names(key: &Key) -> &'static [bool] {
    match &key.whom {
        Whom::Named { side: Side::Callee, .. } => &[false, true],
        Whom::Named { side: Side::Caller, .. } => &[true, false],
        Whom::Address | Whom::Domain(_) | Whom::Of(_) | Whom::Connected => &[false],
    }
}

/// Where a name of the other side leads. As with addresses that a peer names, one that is not public is only good where the dialog
/// goes already.
async fn named_places(wire: &Wire, key: &Key) -> Vec<SocketAddr> {
    let Whom::Named { host, port, .. } = &key.whom else { return Vec::new() };
    let place = resolve::Place { host: host.to_string(), port: *port, transport: Some(key.transport) };
    let found = wire.names.look_up(&place, &wire.spoken).await.unwrap_or_default();
    let hops = found.order(&mut draws(host)).hops.into_iter();
    let good = |hop: &Hop| {
        let ip = hop.addr.ip();
        hop.transport == key.transport && (ip == key.remote.ip() || !sip::private(ip))
    };
    hops.filter(good).map(|hop| hop.addr).filter(|addr| *addr != key.remote).take(NAMED_MAX).collect()
}

async fn made(wire: &Wire, (key, remote): (&Key, SocketAddr), listener: u16) -> Result<Stream, Fault> {
    let stream = reached(wire, remote, listener).await.map_err(|_| Fault::Unreachable)?;
    let (secure, web) = (key.transport.secure(), key.transport.web());
    if !secure && !web {
        return Ok(Stream::Plain(stream));
    }
    if !secure {
        return Ok(Stream::Web(Box::new(web::ask(stream, (named(key), remote)).await?)));
    }
    let stream = secured(wire, (key, remote), stream).await?;
    if web {
        return Ok(Stream::WebTls(Box::new(web::ask(stream, (named(key), remote)).await?)));
    }
    Ok(Stream::Tls(Box::new(stream)))
}

/// The name of whom it is meant for, where that is one.
fn named(key: &Key) -> Option<&str> {
    match &key.whom {
        Whom::Domain(host) | Whom::Named { host, .. } => Some(host),
        Whom::Address | Whom::Of(_) | Whom::Connected => None,
    }
}

/// Begins TLS, with whom it is meant for only.
async fn secured(
    wire: &Wire,
    (key, remote): (&Key, SocketAddr),
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Fault> {
    let config = wire.streams.tls().ok_or(Fault::Unspoken)?.client();
    let name = match named(key) {
        Some(host) => ServerName::try_from(host.to_owned()).map_err(|_| Fault::TlsName)?,
        None => ServerName::from(remote.ip()),
    };
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| super::super::tls::fault(&error))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let hosts = |organization| wire.parts.live.secure_hosts(organization);
    let right = shown.is_some_and(|shown| Names::reach(shown, (&key.whom, remote.ip()), hosts));
    if right { Ok(stream.into()) } else { Err(Fault::TlsName) }
}

async fn reached(wire: &Wire, remote: SocketAddr, listener: u16) -> std::io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = wire.streams.local(listener).filter(|local| local.is_ipv4() == remote.is_ipv4()) {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(remote).await
}
