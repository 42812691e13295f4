//! Answers of 2xx that nobody waits for any more: of a fork that came second, or of an INVITE whose process is gone. The dialog
//! that it made is ended from the answer alone: ACK, then BYE.

use super::desk::Desk;
use super::names;
use crate::edge::{SendId, write_path};
use crate::message::{Core, Message, Method, Name};
use crate::text;
use crate::transport::Flow;

/// Ends it. `to` is where the answer came from, or where its INVITE went. A repeat is ended again: nothing is remembered, and
/// a BYE that is lost is sent with the next repeat of the 2xx.
pub(super) fn end(desk: &mut Desk<'_>, (message, core): (&Message<'_>, &Core<'_>), to: Option<Flow>) {
    let (Some(to), Method::Invite) = (to, core.method) else { return };
    let Some(contact) = message.values(Name::Contact).next().and_then(text::target) else { return };
    let mut routes: Vec<_> = message.values(Name::RecordRoute).collect();
    routes.reverse();
    let (first, lines, _) = write_path(contact, &routes);
    let uri = text::owned(first.unwrap_or(contact));
    let (from, theirs, call_id) = (text::owned(core.from), text::owned(core.to), text::owned(core.call_id));
    for (method, cseq) in [("ACK", core.cseq), ("BYE", core.cseq.saturating_add(1))] {
        // the same for repeats: a second BYE is a repeat of the first
        let branch = names::branch(desk.ring, (u32::MAX, cseq), &call_id, cseq);
        let place = desk.place(to.listener);
        let mut bytes = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{} {place};branch={branch};rport\r\n",
            to.transport.via()
        )
        .into_bytes();
        bytes.extend_from_slice(&lines);
        let rest = format!(
            "From: {from}\r\nTo: {theirs}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        bytes.extend_from_slice(rest.as_bytes());
        desk.send(SendId::NONE, to, None, bytes);
    }
}
