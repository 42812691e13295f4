//! New calls that there is no room for: refused without keeping anything of them (RFC 3261 section 8.2.7, a stateless answer).

use super::Edge;
use super::respond::{self, Reply};
use crate::message::{Core, Message, Method};
use crate::transport::Flow;

/// What a source whose call is shed hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// 503 with so many seconds of `Retry-After`; repeats get the same.
    Answer {
        /// Seconds.
        retry_after: u32,
    },
    /// Nothing: it is nobody we know.
    Silence,
}

impl Edge {
    /// Refuses a new call. False, and nothing done, for everything else: what belongs to a call that is here, repeats of its
    /// INVITE too, goes on.
    pub fn shed(&mut self, flow: Flow, message: &Message<'_>, how: Shed) -> bool {
        let Ok(core) = Core::read(message) else { return false };
        let new = message.method() == Some(Method::Invite) && core.to_tag.is_none();
        if !new || self.find(&core, message).is_some() {
            return false;
        }
        if let Shed::Answer { retry_after } = how {
            let tag = self.tag(&core);
            let lines = format!("Retry-After: {retry_after}\r\n");
            let reply = Reply { status: 503, reason: "Overloaded", to_tag: &tag, lines: lines.as_bytes() };
            let bytes = respond::reply(message, &flow, &reply);
            self.send(respond::reply_flow(flow, &core.via), bytes);
        }
        true
    }
}
