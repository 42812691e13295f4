//! Where a request within a dialog of ours goes next.

use std::net::SocketAddr;

use crate::edge::{private, write_path};
use crate::transport::{Flow, Hop, Listener, Transport};
use crate::uri::{Scheme, Uri};
use crate::write;

/// The flow to a hop: through the listener `near` if that fits, else the first that does.
pub(crate) fn flow_to(listeners: &[Listener], hop: Hop, near: u16) -> Option<Flow> {
    let fits = |index: usize| {
        listeners
            .get(index)
            .is_some_and(|one| one.transport == hop.transport && one.local.is_ipv4() == hop.addr.is_ipv4())
    };
    let near = usize::from(near);
    let index = if fits(near) { near } else { (0..listeners.len()).find(|index| fits(*index))? };
    let listener = u16::try_from(index).ok()?;
    Some(Flow { listener, transport: hop.transport, remote: hop.addr, connection: None })
}

/// What others call a listener by.
pub(crate) fn name(listeners: &[Listener], index: u16) -> String {
    let Some(one) = listeners.get(usize::from(index)) else { return String::new() };
    let mut name = Vec::new();
    write::place(&mut name, &one.public_host, one.public_port);
    crate::text::owned(&name)
}

/// The listener that is called so.
pub(super) fn named(listeners: &[Listener], wanted: &str, transport: Transport) -> Option<u16> {
    (0..u16::try_from(listeners.len()).unwrap_or(u16::MAX)).find(|index| {
        let one = listeners.get(usize::from(*index));
        one.is_some_and(|one| one.transport == transport || one.transport.web() && transport.web())
            && name(listeners, *index) == wanted
    })
}

/// A request as its path wants it.
pub(super) struct Way {
    pub(super) request_uri: Vec<u8>,
    /// Its Route lines.
    pub(super) lines: Vec<u8>,
    pub(super) to: Flow,
    pub(super) prefer: Option<Hop>,
}

/// A request as its path wants it: the Request-URI, the Route lines, and where it is sent. A host that is a name was resolved when
/// the dialog began, and one that is not public is where the dialog already goes, or nowhere: then the request goes to `peer`, from
/// where the dialog was answered.
pub(super) fn path(
    listeners: &[Listener],
    (target, routes): (&str, &[String]),
    (peer, near): (Hop, u16),
) -> Option<Way> {
    let routes: Vec<&[u8]> = routes.iter().map(String::as_bytes).collect();
    let (first, lines, next) = write_path(target.as_bytes(), &routes);
    let request_uri = first.unwrap_or(target.as_bytes()).to_vec();
    let hop = place(next, peer).unwrap_or(peer);
    let to = flow_to(listeners, hop, near).or_else(|| flow_to(listeners, peer, near))?;
    let live = to.transport.stream() && to.transport == peer.transport && to.remote.ip() == peer.addr.ip();
    Some(Way { request_uri, lines, to, prefer: live.then_some(peer) })
}

fn place(uri: &[u8], peer: Hop) -> Option<Hop> {
    if peer.transport.web() {
        // its connection is the only way to it (RFC 7118 section 5)
        return None;
    }
    let uri = Uri::parse(uri)?;
    let named = uri.param(b"transport").and_then(Transport::read);
    let transport = match (uri.scheme, named) {
        (Scheme::Sips, _) => Transport::Tls,
        (_, Some(named)) => named,
        (_, None) => peer.transport,
    };
    let address = uri.address()?;
    if private(address) && address != peer.addr.ip() {
        return None;
    }
    let port = uri.port.unwrap_or_else(|| transport.port());
    Some(Hop { transport, addr: SocketAddr::new(address, port) })
}
