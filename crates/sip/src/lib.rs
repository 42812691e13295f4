//! SIP for the edge: reading and editing messages, transactions, the record-routing proxy, and two small user agents
//! (RFC 3261 and its updates). **Sans-I/O**: no socket, no clock, no randomness. Bytes and `now` go in; bytes,
//! questions and facts come out.
//!
//! # The contract
//!
//! ```text
//! loop {
//!     edge.handle(now, input);                 // a message, a verdict, a fault, or a tick
//!     while let Some(output) = edge.poll() {   // drain until None, every time
//!         match output {
//!             Send(send) => …                  // put the bytes on the wire; report a failure as Input::Fault
//!             Ask(ask)   => …                  // decide, now or later: Input::Verdict { ask: ask.id, … }
//!             Fact(fact) => …                  // journal it BEFORE the sends that come after it
//!             Login { … } => …                 // look the login up now or later: Input::Login { … }
//!         }
//!     }
//!     wait for bytes, or until edge.next_deadline(), then Input::Tick
//! }
//! ```
//!
//! * Outputs are in order; a fact stands before the send that depends on it.
//! * A verdict may be given while draining: `handle` only appends to the outputs.
//! * Nothing answers a source before its verdict: to `Verdict::Drop` the edge stays silent.
//! * `now` never goes back.
//! * The shell frames streams with [`Framer`] and gives whole messages.

mod agent;
mod branch;
mod bridge;
mod cookie;
pub mod digest;
mod edge;
mod edit;
mod keys;
mod login;
mod message;
mod proof;
pub mod register;
mod registrant;
mod sdp;
mod stream;
mod text;
mod transport;
mod uri;
mod write;

pub use agent::{
    AgentEvent, AgentInput, AgentOutput, Answerer, AnswererConfig, Answering, Caller, CallerConfig, Local,
};
pub use bridge::{BRIDGES_MAX, BridgeDialogs, BridgeLeg, Bridges, Origination, Party, Sound, Unknown};
pub use cookie::{CallIds, Cookie, Direction, Place, Reach};
pub use edge::{
    Ask, AskId, AskKind, Attempt, Cause, Config, Dialog, Edge, Exit, Fact, Fault, Input, Known, Leg, Limits,
    LoginAsk, Manner, Outcome, Outcomes, Output, Probe, Probed, SHARDS_MAX, STATUSES, STEP_FIRST, Send,
    SendId, Shed, Side, Target, Timers, Transfer, Trust, Verdict, Whom, private, undelivered,
};
pub use edit::{Forward, Interval, Routes, Stamp, request as forward_request, response as forward_response};
pub use keys::{Key, Keys};
pub use login::Login;
pub use message::{
    Core, HEADERS_MAX, MESSAGE_MAX, Message, Method, Name, ParseError, Refusal, VIAS_MAX, Via,
};
pub use registrant::{
    Account, REFUSED_REST, Registrant, RegistrantConfig, RegistrantOutput, RegistrantState, RegistrantStatus,
    Trouble, owner as registrant_of, sender as registrant_sending,
};
pub use sdp::{Media, MediaRule};
pub use stream::{Frame, FrameError, Framer};
pub use transport::{Flow, Hop, Listener, Transport};
pub use uri::{Dialled, Scheme, Uri};
