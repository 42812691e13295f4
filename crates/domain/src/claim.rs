//! Who works at a carrier, where several nodes could: a claim in the store, which ends by itself.
//!
//! **What holds.** Who asks a carrier has a claim that was committed before, and stops asking [`SKEW`] before it ends by its own
//! clock. Nobody else takes what is claimed before it has ended by theirs. So as long as clocks differ by less than that, no two nodes ask
//! for the same at once; and of two that take a claim in the same moment the store lets one, since both write the same version or row.
//! Who dies leaves what it was at to the others when the claim ends, and to the next process of its own node at once.

use crate::Timestamp;
use crate::ids::NodeId;
use jiff::SignedDuration;
use std::time::Duration;

/// How long a claim on an intent lasts; who works for longer renews it.
pub const CLAIM: SignedDuration = SignedDuration::from_secs(20);
/// How long a turn with an account lasts. It is not renewed: longer than the longest work there.
pub const TURN: SignedDuration = SignedDuration::from_secs(30);
/// By how much the clocks of nodes may differ.
pub const SKEW: Duration = Duration::from_secs(5);
/// The longest wait for anything at a carrier, in seconds. What is to wait for longer was written by a clock that was ahead.
pub const WAIT_MAX: i64 = 300;

/// The end of a claim of this length that begins now.
pub(crate) fn end(length: SignedDuration, now: Timestamp) -> Timestamp {
    now.checked_add(length).unwrap_or(now)
}

/// Whether a claim until then has ended.
pub(crate) fn is_over(until: Timestamp, now: Timestamp) -> bool {
    until <= now || until.duration_since(now) > SignedDuration::from_secs(WAIT_MAX)
}

/// A node's turn with an organization's account at a carrier: until it ends nobody else changes anything there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTurn {
    /// Whose turn it is.
    pub node: NodeId,
    /// When it was taken.
    pub since: Timestamp,
    /// When it ends, whatever becomes of the node.
    pub until: Timestamp,
}

impl AccountTurn {
    /// One that begins now.
    pub fn new(node: NodeId, now: Timestamp) -> Self {
        Self { node, since: now, until: end(TURN, now) }
    }

    /// Whether another may follow it, or the same node once more: its own process knows whether it is still at it.
    pub fn is_free_for(&self, node: NodeId, now: Timestamp) -> bool {
        self.node == node || is_over(self.until, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_turn_is_a_nodes_until_it_ends_or_a_clock_was_wrong() {
        let (one, other) = (NodeId(Uuid::nil()), NodeId(Uuid::max()));
        let start = Timestamp::UNIX_EPOCH;
        let turn = AccountTurn::new(one, start);
        let after = |seconds| start + SignedDuration::from_secs(seconds);
        assert!(turn.is_free_for(one, start));
        for (now, free) in [(after(0), false), (after(29), false), (after(30), true), (after(-271), true)] {
            assert_eq!(turn.is_free_for(other, now), free, "{now}");
        }
        assert!(SKEW < Duration::try_from(CLAIM).unwrap() / 2);
    }
}
