//! Ends of calls that come from us. A call that is being set up is cancelled towards its targets and refused to its caller;
//! an answered one gets a BYE of our own to each side (departure (b) of a pure proxy), written from the dialog's facts alone,
//! so that any process can do it. Each BYE is a client transaction (RFC 3261 section 17.1.2); what it is answered, 200, 481,
//! 408 or nothing, changes nothing: the fact of the end stands before it.

use std::time::Instant;

use uuid::Uuid;

use super::Edge;
use super::api::{Cause, Dialog, Fact, STEP_FIRST, Side, Whom};
use super::context::{At, Context, Extra, Phase, Work};
use super::dialog::write_path;
use super::respond;
use crate::branch::STATEFUL_TEXT;
use crate::cookie::{CallIds, Reach};
use crate::message::Method;
use crate::transport::{Flow, Hop};
use crate::write;

/// A `CSeq` number above every one of as many bits as `last`, and of up to [`STEP_FIRST`] bits: gaps are allowed (RFC 3261
/// section 12.2.2), and nobody has to remember each number.
pub(crate) fn beyond(last: u32) -> u32 {
    const MOST: u32 = (1 << 31) - 1;
    let bits = (u32::BITS - last.leading_zeros()).max(u32::from(STEP_FIRST));
    if bits >= 31 { MOST } else { 1 << bits }
}

/// A request of ours, ready to be sent.
pub(super) struct Own {
    pub(super) at: At,
    pub(super) to: Flow,
    pub(super) prefer: Option<Hop>,
    pub(super) whom: Whom,
    pub(super) token: [u8; STATEFUL_TEXT],
    pub(super) bytes: Vec<u8>,
    /// Where the side may ask for credentials.
    pub(super) extra: Option<Box<Extra>>,
}

impl Edge {
    /// Ends a call that is being set up here: its targets get CANCEL, its caller 487. False when this process is not setting
    /// it up.
    pub fn stop(&mut self, now: Instant, call: Uuid) -> bool {
        let wanted = |context: &&Context| {
            context.open() && matches!(&context.work, Work::Call(routing) if routing.ids.call == call)
        };
        let Some(at) = self.slab.iter().find(wanted).map(|context| context.at) else { return false };
        self.with(now, at, |edge, context| {
            for index in 0..context.clients.len() {
                edge.attempt_told(context, index, None, Cause::Stopped);
            }
            context.cancelled = true;
            edge.fail(context, (487, "Request Terminated"), Cause::Stopped, b"");
        });
        true
    }

    /// Ends an answered call: [`Fact::HungUp`], then a BYE to each side that the dialog tells enough of. Gives how many
    /// sides those are; without any there is no fact either. `reason` is the value of a `Reason` header (RFC 3326).
    pub fn hang_up(
        &mut self,
        now: Instant,
        (ids, mark): (CallIds, u64),
        dialog: &Dialog,
        reason: &str,
    ) -> usize {
        let byes: Vec<_> = [Side::Callee, Side::Caller]
            .into_iter()
            .filter_map(|side| self.bye(ids, dialog, side, reason))
            .collect();
        if byes.is_empty() {
            return 0;
        }
        self.fact(Fact::HungUp { ids, mark });
        let count = byes.len();
        for bye in byes {
            self.launch_own(now, bye);
        }
        count
    }

    /// The BYE to one side, as if from the other.
    fn bye(&mut self, ids: CallIds, dialog: &Dialog, to: Side, reason: &str) -> Option<Own> {
        let (hop, contact, routes, last) = match to {
            Side::Callee => (dialog.callee_hop, &dialog.callee_contact, &dialog.callee_routes, dialog.cseq),
            Side::Caller => {
                (dialog.caller_hop, &dialog.caller_contact, &dialog.caller_routes, dialog.callee_cseq)
            }
        };
        let listener = match to {
            Side::Callee => &dialog.callee_listener,
            Side::Caller => &dialog.caller_listener,
        };
        let hop = hop?;
        // from where the side knows us: a trunk may take nothing from elsewhere, and a NAT lets nothing else in
        let near = listener.as_deref().and_then(|name| self.listener_named(name, hop.transport)).unwrap_or(0);
        // a Contact that is not known: the dialog is known by its tags, so the place is enough
        let target = contact.clone().filter(|uri| !uri.is_empty()).unwrap_or_else(|| place(hop));
        let routes: Vec<&[u8]> = routes.iter().map(String::as_bytes).collect();
        let (first, lines, next) = write_path(target.as_bytes(), &routes);
        let flow = to == Side::Callee && dialog.callee_reach == Reach::Flow;
        let (to_flow, prefer) = if flow {
            self.flow_to(hop, near).map(|to| (to, Some(hop)))?
        } else {
            self.next_hop(next, hop, near)?
        };
        let login = dialog.login.filter(|_| to == Side::Callee);
        let whom = if flow { Whom::Connected } else { Whom::within(next, Some(ids.organization), to) };
        let (from, to) = match to {
            Side::Callee => (&dialog.from, &dialog.to),
            Side::Caller => (&dialog.to, &dialog.from),
        };
        let cseq = beyond(last);
        let at = self.slab.reserve();
        let token = self.token_own(at, 0, dialog.call_id.as_bytes(), cseq);
        let mut bytes = Vec::with_capacity(640);
        respond::start(&mut bytes, "BYE", first.unwrap_or(target.as_bytes()));
        self.via(&mut bytes, to_flow.listener, &token);
        bytes.extend_from_slice(&lines);
        let key = (ids.call, hop.addr);
        if let Some(owner) = login {
            self.ask_login(key, owner);
            self.credentials_bye(key, &token, first.unwrap_or(target.as_bytes()), &mut bytes);
        }
        let extra = login.map(|_| Box::new(Extra { key: Some(key), ..Extra::default() }));
        for (title, value) in [("From: ", from), ("To: ", to), ("Call-ID: ", &dialog.call_id)] {
            respond::line(&mut bytes, title, value.as_bytes());
        }
        bytes.extend_from_slice(b"CSeq: ");
        write::number(&mut bytes, cseq);
        bytes.extend_from_slice(b" BYE\r\nMax-Forwards: 70\r\n");
        respond::line(&mut bytes, "Reason: ", reason.as_bytes());
        bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        Some(Own { at, to: to_flow, prefer, whom, token, bytes, extra })
    }

    /// Sends a request of ours, for whose answer nobody waits.
    pub(super) fn launch_own(&mut self, now: Instant, own: Own) {
        self.launch_as(now, own, (Method::Bye, Work::Own), None);
    }

    /// The same for any request of ours but INVITE. `until` ends the wait for its final answer, in place of timer F.
    pub(super) fn launch_as(
        &mut self,
        now: Instant,
        own: Own,
        (method, work): (Method, Work),
        until: Option<Instant>,
    ) {
        let Own { at, to, prefer, whom, token, bytes, extra } = own;
        let mut context = Context {
            at,
            now,
            key: Box::default(),
            source: to,
            back: to,
            method,
            request: None,
            phase: Phase::Done,
            last: Vec::new(),
            cancelled: false,
            cancel_answer: None,
            work,
            clients: Vec::with_capacity(1),
            bound: None,
            queued: None,
        };
        let mut client = self.client(now, to, token, bytes);
        client.extra = extra;
        client.until = until.or(client.until);
        client.whom = whom;
        self.launch(at, &mut context, client, prefer);
        self.insert(now, at, context);
    }
}

/// A URI of a place.
fn place(hop: Hop) -> String {
    let mut uri = b"sip:".to_vec();
    write::place(&mut uri, &hop.addr.ip().to_string(), hop.addr.port());
    uri.extend_from_slice(b";transport=");
    uri.extend_from_slice(hop.transport.param().as_bytes());
    String::from_utf8_lossy(&uri).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_is_above_all_of_as_many_bits() {
        for (last, wanted) in [
            (0, 1024),
            (1, 1024),
            (1023, 1024),
            (1024, 2048),
            (32_767, 32_768),
            ((1 << 30) - 1, 1 << 30),
            (1 << 30, (1 << 31) - 1),
            ((1 << 31) - 1, (1 << 31) - 1),
        ] {
            assert_eq!(beyond(last), wanted, "{last}");
        }
    }

    #[test]
    fn a_place_is_written_as_a_uri() {
        let hop = |addr: &str| Hop { transport: crate::Transport::Tcp, addr: addr.parse().unwrap() };
        assert_eq!(place(hop("192.0.2.1:7")), "sip:192.0.2.1:7;transport=tcp");
        assert_eq!(place(hop("[2001:db8::1]:7")), "sip:[2001:db8::1]:7;transport=tcp");
    }
}
