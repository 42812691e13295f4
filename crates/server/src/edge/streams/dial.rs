//! Connections that we make: to a target, or anew to where a dialog goes. From the listener's own address, so that others can
//! let us in by it; with TLS only to whom the certificate names, and never without it instead.

use rustls::pki_types::{CertificateDer, ServerName};
use sip::{Fault, Input, Whom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::connection::Stream;
use super::{Key, Names, Origin, web};
use crate::edge::gauge::connect_failed;
use crate::edge::wire::Wire;

/// The longest a connection may take to be made, what it agrees on included.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// A browser's host (RFC 7118 section 5.1): its connection is gone, and nobody can make it but the browser.
const NOBODYS: &str = ".invalid";

/// Makes a connection, and sends what waits for it; or tells the edge why not.
pub(super) async fn connect(wire: Arc<Wire>, key: Key, listener: u16) {
    let made = tokio::time::timeout(CONNECT_MAX, made(&wire, &key, listener)).await;
    let why = match made {
        Ok(Ok(stream)) => {
            let (transport, remote) = (key.transport, key.remote);
            let how =
                Origin { transport, remote, listener, seat: None, key: Some(key), names: None, known: true };
            return wire.streams.admit(&wire, stream, how);
        }
        Ok(Err(why)) => why,
        Err(_) => Fault::Unreachable,
    };
    connect_failed(why);
    let waiting = wire.streams.lock().connecting.remove(&key).unwrap_or_default();
    for piece in waiting {
        wire.aside(Input::Fault { send: piece.id, why });
    }
}

async fn made(wire: &Wire, key: &Key, listener: u16) -> Result<Stream, Fault> {
    let named = match &key.whom {
        Whom::Domain(host) => Some(&**host),
        Whom::Address | Whom::Of(_) => None,
    };
    if key.transport.web() && named.is_some_and(|host| host.ends_with(NOBODYS)) {
        return Err(Fault::Unreachable);
    }
    let stream = reached(wire, key.remote, listener).await.map_err(|_| Fault::Unreachable)?;
    let (secure, web) = (key.transport.secure(), key.transport.web());
    if !secure && !web {
        return Ok(Stream::Plain(stream));
    }
    if !secure {
        return Ok(Stream::Web(Box::new(web::ask(stream, (named, key.remote)).await?)));
    }
    let stream = secured(wire, key, stream).await?;
    if web {
        return Ok(Stream::WebTls(Box::new(web::ask(stream, (named, key.remote)).await?)));
    }
    Ok(Stream::Tls(Box::new(stream)))
}

/// Begins TLS, with whom it is meant for only.
async fn secured(wire: &Wire, key: &Key, stream: TcpStream) -> Result<TlsStream<TcpStream>, Fault> {
    let config = wire.streams.tls().ok_or(Fault::Unspoken)?.client();
    let name = match &key.whom {
        Whom::Domain(host) => ServerName::try_from(host.to_string()).map_err(|_| Fault::TlsName)?,
        Whom::Address | Whom::Of(_) => ServerName::from(key.remote.ip()),
    };
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| super::super::tls::fault(&error))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let hosts = |organization| wire.parts.live.secure_hosts(organization);
    let right = shown.is_some_and(|shown| Names::reach(shown, (&key.whom, key.remote.ip()), hosts));
    if right { Ok(stream.into()) } else { Err(Fault::TlsName) }
}

async fn reached(wire: &Wire, remote: SocketAddr, listener: u16) -> std::io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = wire.streams.local(listener).filter(|local| local.is_ipv4() == remote.is_ipv4()) {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(remote).await
}
