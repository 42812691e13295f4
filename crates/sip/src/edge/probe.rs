//! Questions to places whether somebody is there: OPTIONS outside any dialog (RFC 3261 section 11), each a client transaction of its
//! own (section 17.1.2). Who asks hears one thing of it, as [`Output::Probed`]: the final answer, whatever it says, or why there was
//! none. Not a verdict on the place: what an answer means is the shell's to say. A challenge is an answer, and gets none of ours.

use std::time::{Duration, Instant};

use super::Edge;
use super::api::{Cause, Fault, Output, Whom};
use super::context::Work;
use super::hang_up::Own;
use super::respond;
use crate::keys;
use crate::message::Method;
use crate::transport::Hop;
use crate::write;

/// A question to a place.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The shell's own mark, given back in [`Probed`].
    pub mark: u64,
    /// Where it goes.
    pub hop: Hop,
    /// As it is written in the request line, and in To.
    pub uri: String,
    /// Its Call-ID: of the edge that answers of this Call-ID are given to.
    pub call_id: String,
    /// How long a final answer is awaited, less than timer F.
    pub wait: Duration,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Which.
    pub mark: u64,
    /// The status of the final answer, or why there was none: [`Cause::Timeout`] or [`Cause::Fault`].
    pub heard: Result<u16, Cause>,
}

impl Edge {
    /// Asks a place whether somebody is there. An error means that nothing was sent and nothing will be told: no listener speaks
    /// to the place, or this edge has no room for what is no call, or drains.
    pub fn probe(&mut self, now: Instant, probe: &Probe) -> Result<(), Fault> {
        if self.draining || self.slab.alive() >= self.config.limits.transactions_max {
            return Err(Fault::Full);
        }
        let to = self.flow_to(probe.hop, 0).ok_or(Fault::Unspoken)?;
        let own = self.config.listeners.get(usize::from(to.listener)).ok_or(Fault::Unspoken)?;
        let mut host = Vec::new();
        write::place(&mut host, &own.public_host, own.public_port);
        let call_id = probe.call_id.as_bytes();
        let at = self.slab.reserve();
        let token = self.token_own(at, 0, call_id, 1);
        let mac = keys::mac(&self.ring.current().tag, &[b"probe", call_id]);
        let mut bytes = Vec::with_capacity(448);
        respond::start(&mut bytes, "OPTIONS", probe.uri.as_bytes());
        self.via(&mut bytes, to.listener, &token);
        bytes.extend_from_slice(b"From: <sip:");
        bytes.extend_from_slice(&host);
        bytes.extend_from_slice(b">;tag=");
        keys::base64url(mac.get(..9).unwrap_or_default(), &mut bytes);
        bytes.extend_from_slice(b"\r\nTo: <");
        bytes.extend_from_slice(probe.uri.as_bytes());
        bytes.extend_from_slice(b">\r\n");
        respond::line(&mut bytes, "Call-ID: ", call_id);
        bytes.extend_from_slice(
            b"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n",
        );
        let whom = Whom::of(probe.uri.as_bytes());
        let own = Own { at, to, prefer: None, whom, token, bytes, extra: None };
        let work = Work::Probe { mark: probe.mark };
        self.launch_as(now, own, (Method::Options, work), Some(now + probe.wait));
        Ok(())
    }

    /// Tells what came of a question, once.
    pub(super) fn probed(&mut self, mark: u64, heard: Result<u16, Cause>) {
        self.out.push_back(Output::Probed(Probed { mark, heard }));
    }
}
