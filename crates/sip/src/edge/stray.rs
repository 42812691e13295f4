//! Answers: to the transaction their branch names, or, without one, on by the next Via if the signature in our own
//! proves that this cluster sent the request (departure (d): RFC 6026 forbids forwarding what nobody asked for).

use std::time::Instant;

use super::api::{Fact, Known, Output, Send, SendId, Side, Whom};
use super::respond::{answer_hop, seen_below};
use super::{Edge, session};
use crate::branch::{Branch, Mark, Ours};
use crate::edit::{self, Back};
use crate::message::{Core, Message, Method, Name, Via};
use crate::transport::Flow;

impl Edge {
    pub(super) fn response(&mut self, now: Instant, flow: Flow, message: &Message<'_>, core: &Core<'_>) {
        let Some(token) = core.via.branch else { return };
        if let Some(branch) = Branch::read(token)
            && branch.node == self.config.node
            && branch.process == self.config.process
            && let Some(at) = self.slab.at(branch.index).filter(|at| at.generation == branch.generation)
            && let Some(context) = self.slab.get(at)
        {
            let index = branch.place();
            if context.clients.get(index).is_some_and(|client| client.token == *token) {
                self.client_response(now, at, index, (message, core));
            }
            return;
        }
        self.stray(flow.listener, message, core, token);
    }

    /// `near` is the listener it came by: where it fits, the request came by it too.
    fn stray(&mut self, near: u16, message: &Message<'_>, core: &Core<'_>, token: &[u8]) {
        let Some(next) = message.values(Name::Via).nth(1).and_then(Via::parse) else { return };
        let Some(ours) = seen_below(&next, core).proves(token, &self.ring) else { return };
        let status = message.status().unwrap_or_default();
        let mark = match ours {
            Ours::Stateful(branch) => Mark { shift: branch.shift(), ..Mark::default() },
            Ours::Stateless(mark) | Ours::Named(_, mark) => mark,
        };
        if mark.shift > 0 && matches!(status, 401 | 407) {
            // a challenge for us, of a request that is not here: its sender repeats it
            return;
        }
        if let Ours::Stateful(branch) = ours {
            // hop by hop; or of a transaction that this very process ended: its final answer is long sent
            let here = branch.node == self.config.node && branch.process == self.config.process;
            if status == 100 || core.method == Method::Cancel || here && !(200..300).contains(&status) {
                return;
            }
        }
        let Some(hop) = answer_hop(&next) else { return };
        let Some(mut to) = self.flow_to(hop, near) else { return };
        let prefer = hop.transport.stream().then_some(hop);
        if prefer.is_some() && !hop.transport.web() {
            // the connection may be gone: then a new one to where it listens
            to.remote.set_port(next.port.unwrap_or_else(|| hop.transport.port()));
        }
        if core.method == Method::Invite && (200..300).contains(&status) && matches!(ours, Ours::Stateful(_))
        {
            let cookie =
                message.values(Name::RecordRoute).find_map(|value| self.cookie_in(value, core, Side::Caller));
            if let Some(cookie) = cookie {
                let mut dialog = self.dialog_of(message, core, None);
                [dialog.caller_listener, dialog.callee_listener] = self.listeners_of(message, core);
                dialog.caller_hop = Some(cookie.caller);
                dialog.callee_hop = Some(cookie.callee);
                dialog.callee_reach = cookie.reach;
                dialog.login = cookie.login;
                self.fact(Fact::Answered {
                    ids: cookie.ids,
                    dialog: Box::new(dialog),
                    known: Known::CookieOnly,
                });
            }
        }
        let mut lines = None;
        if let Ours::Named(ids, mark) = ours
            && (200..300).contains(&status)
            && matches!(core.method, Method::Invite | Method::Update)
        {
            lines = session::lines(message, mark.interval);
            let seconds = session::interval(message).or(mark.interval);
            self.fact(Fact::Refreshed { ids, seconds });
        }
        let mut bytes = Vec::new();
        let lines = lines.unwrap_or_default();
        let back = Back {
            shift: mark.shift,
            to: None,
            from: None,
            sdp_type: mark.sdp_type,
            lines: lines.as_bytes(),
        };
        edit::response_back(message, &back, &mut bytes);
        self.out.push_back(Output::Send(Send { id: SendId::NONE, to, prefer, whom: Whom::Address, bytes }));
    }
}
