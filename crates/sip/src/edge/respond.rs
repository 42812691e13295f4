//! Responses the edge makes itself, and the hop-by-hop requests of a client transaction: ACK of a non-2xx, CANCEL,
//! and the ACK and BYE that end a late 2xx.

use crate::branch::Seen;
use crate::edit::{self, Stamp};
use crate::message::{Core, Message, Method, Name, Via};
use crate::text;
use crate::transport::{Flow, Hop, Transport};
use crate::uri;
use crate::write;

/// A response to be written.
pub(crate) struct Reply<'e> {
    pub(crate) status: u16,
    pub(crate) reason: &'e str,
    /// Tag for To where the request has none; empty for 100.
    pub(crate) to_tag: &'e [u8],
    /// Whole header lines with their line breaks.
    pub(crate) lines: &'e [u8],
}

/// How the Via of a request that came by `flow` is stamped.
pub(crate) fn stamp(flow: &Flow) -> Stamp {
    Stamp { source: flow.remote, always: flow.transport.stream() }
}

/// Writes a response to `request` (RFC 3261 section 8.2.6); works for malformed requests with what they have. A 100 gives the
/// Timestamp back.
pub(crate) fn reply(request: &Message<'_>, flow: &Flow, reply: &Reply<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"SIP/2.0 ");
    write::number(&mut out, u32::from(reply.status));
    out.push(b' ');
    out.extend_from_slice(reply.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (place, value) in request.values(Name::Via).take(crate::VIAS_MAX).enumerate() {
        out.extend_from_slice(b"Via: ");
        if place > 0 || !edit::stamp_via(value, stamp(flow), &mut out) {
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b"\r\n");
    }
    for (name, title) in
        [(Name::From, "From: "), (Name::To, "To: "), (Name::CallId, "Call-ID: "), (Name::CSeq, "CSeq: ")]
    {
        let Some(value) = request.value(name) else { continue };
        out.extend_from_slice(title.as_bytes());
        out.extend_from_slice(value);
        if name == Name::To && !reply.to_tag.is_empty() && !tagged(value) {
            out.extend_from_slice(b";tag=");
            out.extend_from_slice(reply.to_tag);
        }
        out.extend_from_slice(b"\r\n");
    }
    if reply.status == 100
        && let Some(value) = request.value(Name::Timestamp)
    {
        line(&mut out, "Timestamp: ", value);
    }
    out.extend_from_slice(reply.lines);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out
}

/// The answer to a request that was sent without a transaction and could not be delivered, as if its receiver had given it (RFC
/// 3261 section 8.1.3.1): to be taken in like any answer from there. None to what is no such request: nobody awaits an answer to an
/// ACK, and the INVITE of a CANCEL ends by itself.
pub fn undelivered(bytes: &[u8], to: &Flow) -> Option<Vec<u8>> {
    let request = Message::parse(bytes).ok()?;
    let method = request.method().filter(|method| !matches!(method, Method::Ack | Method::Cancel))?;
    let lines = if method == Method::Invite { &b"Retry-After: 5\r\n"[..] } else { b"" };
    let answer = Reply { status: 503, reason: "Next Hop Not Reached", to_tag: b"", lines };
    Some(reply(&request, to, &answer))
}

fn tagged(value: &[u8]) -> bool {
    text::name_addr(value).is_some_and(|read| text::param_value(read.params, b"tag").is_some())
}

/// Where a response to a request that came by `flow` goes (RFC 3261 section 18.2.2, RFC 3581): back on the stream, or where
/// that is gone to the port of sent-by by a new one; to the source port where `rport` was asked for, else to the port of sent-by.
pub(crate) fn reply_flow(flow: Flow, via: &Via<'_>) -> Flow {
    if flow.transport.web() || !flow.transport.stream() && via.rport.is_some() {
        return flow;
    }
    let mut back = flow;
    back.remote.set_port(via.port.unwrap_or_else(|| flow.transport.port()));
    back
}

/// What the answers to a request that came by `flow` will show of it.
pub(crate) fn seen<'a>(flow: &Flow, core: &Core<'a>) -> Seen<'a> {
    let via = &core.via;
    let back = Transport::read(via.transport).map(|transport| {
        let shown = flow.transport.stream() || via.rport.is_some();
        let port = if shown { flow.remote.port() } else { via.port.unwrap_or_else(|| transport.port()) };
        Hop { transport, addr: std::net::SocketAddr::new(flow.remote.ip(), port) }
    });
    let branch = via.branch.unwrap_or_default();
    Seen { branch, sent_by: via.sent_by, back, call_id: core.call_id, cseq: core.cseq }
}

/// The same, read from an answer: `below` is the Via below ours.
pub(crate) fn seen_below<'a>(below: &Via<'a>, core: &Core<'a>) -> Seen<'a> {
    let branch = below.branch.unwrap_or_default();
    Seen { branch, sent_by: below.sent_by, back: answer_hop(below), call_id: core.call_id, cseq: core.cseq }
}

/// Where a response goes by its next Via (RFC 3261 section 18.2.2): `received` and `rport` are ours, which the signature of our
/// own Via proves.
pub(crate) fn answer_hop(via: &Via<'_>) -> Option<Hop> {
    let transport = Transport::read(via.transport)?;
    let received = via.received.map(|text| {
        let inside = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]"));
        inside.unwrap_or(text)
    });
    let address = received.and_then(uri::address).or_else(|| uri::address(via.host))?;
    let port = via.rport.flatten().or(via.port).unwrap_or_else(|| transport.port());
    Some(Hop { transport, addr: std::net::SocketAddr::new(address, port) })
}

/// The hop-by-hop ACK of a non-2xx (RFC 3261 section 17.1.1.3) or CANCEL (section 9.1) for an INVITE as it was sent.
/// `to` is the To value of the response for an ACK, and of the request for a CANCEL.
pub(crate) fn companion(sent: &Message<'_>, core: &Core<'_>, method: &str, to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    start(&mut out, method, sent.request_uri());
    line(&mut out, "Via: ", sent.values(Name::Via).next().unwrap_or_default());
    for route in sent.all(Name::Route) {
        line(&mut out, "Route: ", route.value.of(sent.bytes));
    }
    line(&mut out, "From: ", core.from);
    line(&mut out, "To: ", to);
    rest(&mut out, core, core.cseq, method);
    out
}

/// A request of ours within the dialog of a 2xx, as if from the caller: the ACK or BYE of departure (c).
pub(crate) struct Within<'e> {
    pub(crate) method: &'e str,
    pub(crate) via: &'e [u8],
    pub(crate) cseq: u32,
}

/// Writes it from the 2xx; the next hop stays that of the INVITE.
pub(crate) fn within(
    response: &Message<'_>,
    core: &Core<'_>,
    routes: &[&[u8]],
    within: &Within<'_>,
) -> Option<Vec<u8>> {
    let contact = response.values(Name::Contact).next()?;
    let mut out = Vec::with_capacity(512);
    start(&mut out, within.method, text::target(contact)?);
    out.extend_from_slice(within.via);
    for route in routes {
        line(&mut out, "Route: ", route);
    }
    line(&mut out, "From: ", core.from);
    line(&mut out, "To: ", core.to);
    rest(&mut out, core, within.cseq, within.method);
    Some(out)
}

pub(crate) fn start(out: &mut Vec<u8>, method: &str, uri: &[u8]) {
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(uri);
    out.extend_from_slice(b" SIP/2.0\r\n");
}

pub(crate) fn line(out: &mut Vec<u8>, title: &str, value: &[u8]) {
    out.extend_from_slice(title.as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn rest(out: &mut Vec<u8>, core: &Core<'_>, cseq: u32, method: &str) {
    line(out, "Call-ID: ", core.call_id);
    out.extend_from_slice(b"CSeq: ");
    write::number(out, cseq);
    out.push(b' ');
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n");
}
