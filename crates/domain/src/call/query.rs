//! Which calls are asked for, and how they are counted.

use crate::Timestamp;
use crate::e164::E164;
use crate::ids::NumberId;

use super::{CallStatus, Direction};

/// Which calls of an agent are wanted in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentCallQuery {
    /// Whose.
    pub agent_id: crate::ids::AgentId,
    /// Only those that began at this time or later.
    pub from: Option<Timestamp>,
    /// Only those that began at this time or earlier.
    pub to: Option<Timestamp>,
    /// Only of numbers that keys of this mode see ([`crate::Number::is_for`]); none: all.
    pub mode: Option<crate::key::Mode>,
}

/// Which calls are wanted in a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallQuery {
    /// Only in this state.
    pub status: Option<CallStatus>,
    /// Only this way.
    pub direction: Option<Direction>,
    /// Only of this number.
    pub number: Option<E164>,
    /// Only in one of these states, where a list is given.
    pub any_of: Option<Vec<CallStatus>>,
    /// Only of this number, by its id.
    pub number_id: Option<NumberId>,
    /// Only those that began at this time or later.
    pub from: Option<Timestamp>,
    /// Only those that began before this time.
    pub before: Option<Timestamp>,
    /// Only of numbers that keys of this mode see ([`crate::Number::is_for`]); none: all.
    pub mode: Option<crate::key::Mode>,
}

/// How many calls there are in one state, and how long they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The state.
    pub status: CallStatus,
    /// How many.
    pub calls: u64,
    /// Seconds between answer and end, of all of them.
    pub seconds: u64,
}

/// How many calls began on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDay {
    /// The day's first moment (UTC).
    pub day: Timestamp,
    /// How many.
    pub calls: u64,
}
