//! Calls that an API begins: what is asked, and what the record keeps of it. The rules are those of every call out
//! ([`crate::outbound`]); who answers for the number is one of its organization's endpoints.

use std::time::Duration;

use crate::Bag;
use crate::call::Side;
use crate::e164::Country;
use crate::error::{Error, Result, What};
use crate::ids::{AgentId, EndpointId};
use crate::number::{Environment, NumberRef};

/// The most calls that one request begins.
pub const CALLS_MAX: usize = 100;
/// The largest metadata of one call, in bytes of JSON: larger ones do not fit into the agent's INVITE.
pub const METADATA_MAX: usize = 8 * 1024;
/// How long it may ring, in seconds, where the request does not say.
pub const RING_DEFAULT: u32 = 60;
/// The bounds of what a request may say.
pub const RING: std::ops::RangeInclusive<u32> = 5..=80;
/// The longest duration that a request may set, in seconds.
pub const DURATION_MAX: u32 = 24 * 3_600;

/// Which number calls.
#[derive(Clone, Debug, PartialEq)]
pub enum CallingNumber {
    /// This one.
    Named(NumberRef),
    /// One of the agent's in an environment that may call out, the oldest.
    OfAgent(Environment),
}

/// Who is to be called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallTo {
    /// As it is dialled in the number's country, or in this one.
    pub number: String,
    /// Where it is dialled.
    pub country: Option<Country>,
    /// The client's own words about the call.
    pub metadata: Bag,
}

/// Calls to be begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Originate {
    /// Which number calls.
    pub from: CallingNumber,
    /// Whom the number speaks for, if that is not whoever it is assigned to.
    pub agent_id: Option<AgentId>,
    /// Which endpoint takes the call, if that is not the agent's default.
    pub endpoint_id: Option<EndpointId>,
    /// Whom to call. A list of one that is no list in the request is refused whole; in a list each call is for itself.
    pub calls: Vec<CallTo>,
    /// Whether each call has a result of its own.
    pub each: bool,
    /// How long it may ring, in seconds.
    pub ring_seconds: Option<u32>,
    /// How long it may last, in seconds, at most as long as the organization allows.
    pub max_seconds: Option<u32>,
}

impl Originate {
    /// What holds whatever the tables say.
    pub fn check(&self) -> Result<()> {
        if self.calls.is_empty() {
            return Err(Error::missing(What::Call, "to"));
        }
        if self.calls.len() > CALLS_MAX {
            let words = format!("A request begins at most {CALLS_MAX} calls.");
            return Err(Error::invalid(What::Call, "calls", words));
        }
        if self.ring_seconds.is_some_and(|seconds| !RING.contains(&seconds)) {
            let words = format!("`ring_seconds` must be from {} to {}.", RING.start(), RING.end());
            return Err(Error::invalid(What::Call, "ring_seconds", words));
        }
        if self.max_seconds.is_some_and(|seconds| !(1..=DURATION_MAX).contains(&seconds)) {
            let words = format!("`max_seconds` must be from 1 to {DURATION_MAX}.");
            return Err(Error::invalid(What::Call, "max_seconds", words));
        }
        Ok(())
    }

    /// How long the other side may take to answer.
    pub fn ring(&self) -> Duration {
        Duration::from_secs(u64::from(self.ring_seconds.unwrap_or(RING_DEFAULT)))
    }
}

/// What the record of such a call keeps of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Whom the number spoke for.
    pub agent_id: Option<AgentId>,
    /// In which environment.
    pub environment: Option<Environment>,
    /// The client's own words.
    pub metadata: Bag,
    /// How long the call may last, in seconds.
    pub max_seconds: Option<u32>,
}

/// One of the two dialogs of a call that we place, as far as it came: what ending it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegParts {
    /// Which side it is.
    pub side: Side,
    /// Call-ID.
    pub call_id: String,
    /// Our From, with our tag.
    pub ours: String,
    /// The other side's To; with a tag once it has answered.
    pub theirs: String,
    /// The target, or its Contact.
    pub target: String,
    /// Routes, in order.
    pub routes: Vec<String>,
    /// Where it is, as in [`crate::call::DialogParts`].
    pub hop: String,
    /// The number of our last request.
    pub cseq: u32,
    /// The branch of the INVITE while it is open, else empty.
    pub branch: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_held_before_anything_is_looked_up() {
        let good = Originate {
            from: CallingNumber::OfAgent(Environment::Live),
            agent_id: None,
            endpoint_id: None,
            calls: vec![CallTo::default()],
            each: false,
            ring_seconds: None,
            max_seconds: None,
        };
        assert!(good.check().is_ok());
        assert_eq!(good.ring(), Duration::from_mins(1));
        let field = |change: &dyn Fn(&mut Originate)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check().err().and_then(|error| error.field)
        };
        assert_eq!(field(&|o| o.calls.clear()), Some("to"));
        assert_eq!(field(&|o| o.calls = vec![CallTo::default(); CALLS_MAX + 1]), Some("calls"));
        for seconds in [4, 81] {
            assert_eq!(field(&|o| o.ring_seconds = Some(seconds)), Some("ring_seconds"));
        }
        for seconds in [0, DURATION_MAX + 1] {
            assert_eq!(field(&|o| o.max_seconds = Some(seconds)), Some("max_seconds"));
        }
    }
}
