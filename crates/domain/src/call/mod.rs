//! Calls: facts that merge in any order, and the record they fold into.
//!
//! A fact is written once per (organization, call, kind), by whichever process saw it; the record is a pure function of the
//! set of facts, so retries, replays and several nodes cannot disagree. Exactly one `Settled` ends a call. Files: `fact` what
//! happens, `fold` the record, `query` which are asked for.

mod fact;
mod fold;
mod query;

pub use fact::{Attempt, DialogParts, Ended, Fact, FactKind, Moment, Note, Place, Started, Unanswered};
pub use fold::{CANCEL_RACE_SECONDS, Call, minutes};
pub use query::{AgentCallQuery, CallCount, CallDay, CallQuery};

/// The event of a call that came; that of its end has the name of how it ended.
pub const STARTED_EVENT: &str = "call.started";

/// Which way a call goes, seen from the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the phone network to the agent.
    Inbound,
    /// From the agent to the phone network.
    Outbound,
}

impl Direction {
    /// The directions with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Inbound, "inbound"), (Self::Outbound, "outbound")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// What became of a call, or is becoming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Being set up.
    Ringing,
    /// In progress.
    Answered,
    /// Answered and ended.
    Completed,
    /// The agent was busy or declined.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// It could not be set up.
    Failed,
    /// We refused it.
    Refused,
    /// The caller gave up.
    Cancelled,
}

impl CallStatus {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::Ringing, "ringing"),
        (Self::Answered, "answered"),
        (Self::Completed, "completed"),
        (Self::Busy, "busy"),
        (Self::NoAnswer, "no_answer"),
        (Self::Failed, "failed"),
        (Self::Refused, "refused"),
        (Self::Cancelled, "cancelled"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Ringing | Self::Answered)
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
    /// Somebody asked the service to, through an API.
    Api,
    /// The service: it lasted as long as its organization allows.
    MaxDuration,
    /// The service: the balance was used up.
    Balance,
    /// Nobody was seen ending it: closed at its last proof of life.
    Reaper,
}

/// One of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
}

impl Side {
    /// The sides with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Caller, "caller"), (Self::Callee, "callee")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

impl EndedBy {
    /// All with their names.
    pub const NAMES: [(Self, &'static str); 6] = [
        (Self::Caller, "caller"),
        (Self::Callee, "callee"),
        (Self::Api, "api"),
        (Self::MaxDuration, "max_duration"),
        (Self::Balance, "balance"),
        (Self::Reaper, "reaper"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}
