//! Our Record-Routes (RFC 3261 section 16.6 step 4): one, or two where the sides differ in listener or scheme (RFC 5658).
//!
//! `sips` stands on the side that speaks of `sips` itself: towards a caller whose Request-URI or first Route has it, towards a
//! target whose URI has it. A side that only speaks over TLS gets `sip`, as the RFC asks: `sips` would promise more than
//! it was asked for (RFC 5630 section 3.1.2).

use super::Edge;
use crate::cookie::{Cookie, Place};
use crate::message::{Core, Message, Name};
use crate::text;
use crate::transport::{Listener, Transport};
use crate::uri::{Scheme, Uri};
use crate::write;

/// What is written of a listener, which never changes.
pub(super) struct Face {
    /// Its public `host:port`.
    pub(super) name: String,
    /// Our Via up to the branch.
    pub(super) via: Vec<u8>,
    /// The end of our Record-Route, behind the cookie, where it has `sip` and where it has `sips`.
    sip: Vec<u8>,
    sips: Vec<u8>,
}

impl Face {
    pub(super) fn of(one: &Listener) -> Self {
        let mut name = Vec::new();
        write::place(&mut name, &one.public_host, one.public_port);
        let name = text::owned(&name);
        let via = format!("Via: SIP/2.0/{} {name};branch=", one.transport.via()).into_bytes();
        let sip = format!("@{name};transport={};lr>\r\n", one.transport.param()).into_bytes();
        // with sips it is TLS over TCP, and `transport=tls` is no more (RFC 5630 section 3.1.4)
        let sips = if one.transport.web() { sip.clone() } else { format!("@{name};lr>\r\n").into_bytes() };
        Self { name, via, sip, sips }
    }
}

/// A side of a call: our listener there, and how it is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facing {
    listener: u16,
    scheme: Scheme,
}

impl Edge {
    /// The side that a request came from.
    pub(super) fn facing_caller(&self, listener: u16, request: &Message<'_>) -> Facing {
        let route = request.values(Name::Route).next().and_then(text::name_addr).map(|read| read.uri);
        let asked = secured(request.request_uri()) || route.is_some_and(secured);
        self.facing(listener, asked)
    }

    /// The side that it goes to.
    pub(super) fn facing_target(&self, listener: u16, request_uri: &str) -> Facing {
        self.facing(listener, secured(request_uri.as_bytes()))
    }

    /// A listener without TLS cannot be named with `sips`, whoever came by it.
    fn facing(&self, listener: u16, asked: bool) -> Facing {
        let one = self.config.listeners.get(usize::from(listener));
        let secure = one.is_some_and(|one| one.transport.secure());
        let scheme = if asked && secure { Scheme::Sips } else { Scheme::Sip };
        Facing { listener, scheme }
    }

    /// Appends them: what faces the target stands above.
    pub(super) fn record_routes(
        &self,
        out: &mut Vec<u8>,
        (near, far): (Facing, Facing),
        mut cookie: Cookie,
        core: &Core<'_>,
    ) {
        if near == far {
            return self.record_route(out, far, &cookie, core);
        }
        cookie.place = Place::CalleeSide;
        self.record_route(out, far, &cookie, core);
        cookie.place = Place::CallerSide;
        self.record_route(out, near, &cookie, core);
    }

    fn record_route(&self, out: &mut Vec<u8>, facing: Facing, cookie: &Cookie, core: &Core<'_>) {
        let Some(one) = self.faces.get(usize::from(facing.listener)) else { return };
        let sips = facing.scheme == Scheme::Sips;
        out.extend_from_slice(if sips { b"Record-Route: <sips:" } else { b"Record-Route: <sip:" });
        cookie.write(&self.ring, core.call_id, core.from_tag, out);
        out.extend_from_slice(if sips { &one.sips } else { &one.sip });
    }
}

/// The transport that one of our own Record-Routes names.
pub(super) fn transport(uri: &Uri<'_>) -> Option<Transport> {
    let named = uri.param(b"transport").and_then(Transport::read);
    match (uri.scheme, named) {
        (Scheme::Sips, Some(web)) if web.web() => Some(Transport::Wss),
        (Scheme::Sips, _) => Some(Transport::Tls),
        (_, named) => named,
    }
}

/// Whether a URI asks for TLS on every hop.
pub(crate) fn secured(uri: &[u8]) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}
