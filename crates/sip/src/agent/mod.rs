//! Two small user agents, sans-I/O like the edge: [`Caller`] places one call, [`Answerer`] answers any number. They serve
//! the product's test call and echo agent, and the simulation. Not phones: SDP is bytes given by their user.

mod answerer;
mod caller;
mod leg;

use std::collections::VecDeque;
use std::net::SocketAddr;

pub use answerer::{Answerer, AnswererConfig, Answering};
pub use caller::{Caller, CallerConfig};

use crate::keys;
use crate::transport::Transport;

/// What an agent gets. Time comes beside it.
#[derive(Clone, Copy, Debug)]
pub enum AgentInput<'a> {
    /// A datagram or a framed message.
    Message {
        /// Where it came from.
        from: SocketAddr,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Time has passed.
    Tick,
    /// The transport failed.
    Fault,
}

/// What an agent gives, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutput {
    /// Bytes to send; on a stream, on the connection to (or from) this address.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Something happened.
    Event {
        /// The Call-ID it happened to.
        call_id: String,
        /// What.
        event: AgentEvent,
    },
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentEvent {
    /// A new call came in, with its offer.
    Invited {
        /// The body of the INVITE.
        sdp: Vec<u8>,
    },
    /// A provisional answer above 100.
    Ringing {
        /// Its status.
        status: u16,
    },
    /// The call is up.
    Answered {
        /// The other side's SDP.
        sdp: Vec<u8>,
    },
    /// The other side changed the session, or agreed to our change.
    Changed,
    /// The call was not answered.
    Refused {
        /// The final status; 408 when nothing came, 503 on a transport fault.
        status: u16,
    },
    /// The other side hung up.
    HungUp,
    /// Our BYE was answered, or waited for long enough.
    Ended {
        /// The status of the answer; 408 when none came.
        status: u16,
    },
}

/// Where an agent is, as others reach it.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// How it is reached.
    pub transport: Transport,
    /// Stands in Via and Contact.
    pub addr: SocketAddr,
}

/// Names made from a seed: tags, branches, Call-IDs.
#[derive(Debug)]
struct Names {
    key: [u8; 32],
    count: u64,
}

impl Names {
    fn new(seed: u64) -> Self {
        Self { key: blake3::derive_key("trunkline 2026 sip agent", &seed.to_le_bytes()), count: 0 }
    }

    fn next(&mut self) -> String {
        self.count += 1;
        let mac = keys::mac(&self.key, &[&self.count.to_le_bytes()]);
        let mut text = Vec::new();
        keys::base64url(mac.get(..12).unwrap_or_default(), &mut text);
        crate::text::owned(&text)
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.next())
    }
}

/// A message and its fields.
type Got<'m, 'a> = (&'m crate::Message<'a>, &'m crate::Core<'a>);

type Outbox = VecDeque<AgentOutput>;
