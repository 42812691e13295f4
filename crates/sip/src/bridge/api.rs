//! The words between the bridges and their shell. Data only.

use std::sync::Arc;
use std::time::Duration;

use crate::cookie::CallIds;
use crate::edge::{Side, Target, Transfer};
use crate::login::Login;
use crate::sdp::MediaRule;
use crate::transport::Hop;

/// One side of a call that we place.
#[derive(Clone, Debug)]
pub struct Party {
    /// Where it may be, in the order of trying.
    pub targets: Vec<Target>,
    /// The URI of From, as this side is to see it.
    pub from: String,
    /// The URI of To; empty: the target's.
    pub to: String,
    /// How long it may take from the INVITE to its answer.
    pub answer: Duration,
}

/// A call to be placed: the agent first, then who is called.
#[derive(Clone, Debug)]
pub struct Origination {
    /// Its ids.
    pub ids: CallIds,
    /// The agent; in facts the caller.
    pub agent: Party,
    /// Who is called; in facts the callee.
    pub callee: Party,
    /// Whether the agent may hand the call on.
    pub transfer: Transfer,
    /// What the agent is offered before there is anybody to talk to.
    pub sound: Sound,
    /// Which offers and answers are refused, from the agent's first answer on.
    pub media: MediaRule,
}

/// What is offered on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sound {
    /// Plain RTP.
    #[default]
    Plain,
    /// RTP encrypted with keys that stand in the SDP (RFC 4568), and nothing else.
    Encrypted,
}

/// One of the two dialogs of a bridged call, as far as it goes: enough to cancel its INVITE, or to send requests within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeLeg {
    /// The Call-ID.
    pub call_id: String,
    /// Our From value, tag included.
    pub ours: String,
    /// The other side's To value; with its tag once it has answered.
    pub theirs: String,
    /// Where requests go: the target, then its Contact.
    pub target: String,
    /// Routes, nearest first.
    pub routes: Vec<String>,
    /// The place.
    pub hop: Option<Hop>,
    /// Our listener towards it, as its public `host:port`.
    pub listener: String,
    /// The highest `CSeq` number of ours that is known.
    pub cseq: u32,
    /// The branch of the INVITE while that is open, else empty.
    pub branch: String,
}

/// Both dialogs of a bridged call that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeDialogs {
    /// The agent's.
    pub agent: BridgeLeg,
    /// That of who was called.
    pub callee: BridgeLeg,
    /// What either may ask for.
    pub logins: [Option<Arc<Login>>; 2],
    /// Which offers are refused.
    pub media: MediaRule,
}

/// A call of whose dialogs something came that is not here: its row tells them, see [`super::Bridges::adopt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The call.
    pub ids: CallIds,
    /// Who sent it.
    pub side: Side,
}
