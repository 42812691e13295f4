//! Work at a carrier that is under way: written down before the carrier is asked, so that whatever dies in between, the next
//! process knows what was meant and asks the carrier what became of it.
//!
//! Of one number there is at most one open intent (the store sees to it): nothing is bought while it is being given back.

use crate::Timestamp;
use crate::claim::{CLAIM, WAIT_MAX, end, is_over};
use crate::e164::E164;
use crate::ids::{IntentId, NodeId, NumberId, OrganizationId, ProviderId, StockId};
use crate::number::{Network, Number};
use crate::stock::Stock;
use jiff::SignedDuration;
use std::time::Duration;

/// What a carrier is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Make the number reach us.
    Acquire,
    /// Let the number go.
    Release,
    /// Make a number reach us again that its carrier has lost and its holder has not. Nothing is charged for it.
    Recover,
}

impl Work {
    /// The kinds with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Acquire, "acquire"), (Self::Release, "release"), (Self::Recover, "recover")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The carrier may or may not have done it.
    Open,
    /// It is done.
    Done,
    /// The carrier will not do it; what was written for it has been taken back.
    Failed,
}

impl Progress {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Open, "open"), (Self::Done, "done"), (Self::Failed, "failed")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// Names a request among all repeats of it, so that a repeat finds the work that the first began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// A hash over organization, route and idempotency key.
    pub key: [u8; 32],
    /// A hash of the request's body.
    pub body: [u8; 32],
}

/// One piece of work at a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id; the carrier is told it, so that it does not do the same twice.
    pub id: IntentId,
    /// Whose number it is; none of the tenants' where the number is nobody's any more.
    pub organization_id: OrganizationId,
    /// What the carrier is to do.
    pub work: Work,
    /// The number.
    pub e164: E164,
    /// The network it is part of.
    pub network: Network,
    /// The provider whose account it is in; none: the operator's.
    pub provider_id: Option<ProviderId>,
    /// The number's row, where a tenant has one.
    pub number_id: Option<NumberId>,
    /// The stock it comes from.
    pub stock_id: Option<StockId>,
    /// How far it is.
    pub progress: Progress,
    /// How often the carrier was asked without a last word.
    pub attempts: u32,
    /// When it is looked at again; of one that is claimed, when the claim ends.
    pub next_at: Timestamp,
    /// The node that works on it ([`crate::claim`]).
    pub claimed_by: Option<NodeId>,
    /// What the carrier said last, for people.
    pub told: Option<String>,
    /// The request that began it.
    pub slot: Option<Slot>,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1.
    pub version: u64,
}

/// As much as is kept of a carrier's words, in characters.
const TOLD_MAX: usize = 300;

impl Intent {
    /// That a number that was bought becomes the tenant's at its carrier.
    pub fn acquire(id: IntentId, number: &Number, slot: Option<Slot>, now: Timestamp) -> Self {
        let own = (number.organization_id, Some(number.id));
        let what = (number.e164, number.network, number.stock_id);
        Self { slot, provider_id: number.provider_id, ..Self::of(id, Work::Acquire, own, what, now) }
    }

    /// That a number that was given up goes back to its carrier.
    pub fn release(id: IntentId, number: &Number, now: Timestamp) -> Self {
        let own = (number.organization_id, Some(number.id));
        let what = (number.e164, number.network, number.stock_id);
        Self { provider_id: number.provider_id, ..Self::of(id, Work::Release, own, what, now) }
    }

    /// That a number becomes its holder's at its carrier again, which says that it is not.
    pub fn recover(id: IntentId, number: &Number, now: Timestamp) -> Self {
        let own = (number.organization_id, Some(number.id));
        let what = (number.e164, number.network, number.stock_id);
        Self { provider_id: number.provider_id, ..Self::of(id, Work::Recover, own, what, now) }
    }

    /// That a number of the stock goes back whose rest is over.
    pub fn release_stock(id: IntentId, stock: &Stock, now: Timestamp) -> Self {
        let what = (stock.e164, stock.network, Some(stock.id));
        Self::of(id, Work::Release, (OrganizationId::NONE, None), what, now)
    }

    /// That a number goes back which a carrier says is ours, and which is nobody's here.
    pub fn release_stray(id: IntentId, e164: E164, network: Network, now: Timestamp) -> Self {
        Self::of(id, Work::Release, (OrganizationId::NONE, None), (e164, network, None), now)
    }

    fn of(
        id: IntentId,
        work: Work,
        (organization_id, number_id): (OrganizationId, Option<NumberId>),
        (e164, network, stock_id): (E164, Network, Option<StockId>),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            organization_id,
            work,
            e164,
            network,
            provider_id: None,
            number_id,
            stock_id,
            progress: Progress::Open,
            attempts: 0,
            next_at: now,
            claimed_by: None,
            told: None,
            slot: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// A new one that is in the hands of the node that writes it down.
    #[must_use]
    pub fn in_hands_of(self, node: NodeId, now: Timestamp) -> Self {
        Self { claimed_by: Some(node), next_at: end(CLAIM, now), ..self }
    }

    /// The same in the hands of a node, from now on.
    #[must_use]
    pub fn claimed(&self, node: NodeId, now: Timestamp) -> Self {
        Self { version: self.version + 1, ..self.clone().in_hands_of(node, now) }
    }

    /// Whether a node may claim it: it is nobody's, or the claim on it has ended, or it is the node's own, whose process knows
    /// whether it is still at it.
    pub fn is_free_for(&self, node: NodeId, now: Timestamp) -> bool {
        self.claimed_by.is_none_or(|by| by == node) || is_over(self.next_at, now)
    }

    /// How much is left of a node's claim.
    pub fn claim_left(&self, node: NodeId, now: Timestamp) -> Duration {
        let left = self.next_at.duration_since(now).min(CLAIM);
        let own = self.claimed_by == Some(node);
        Duration::try_from(left).ok().filter(|_| own).unwrap_or_default()
    }

    /// The same after the carrier had no last word: looked at again after a wait that doubles from one second to five minutes.
    #[must_use]
    pub fn waiting(&self, told: &str, now: Timestamp) -> Self {
        let wait = 1_i64.checked_shl(self.attempts).unwrap_or(WAIT_MAX).clamp(1, WAIT_MAX);
        let next_at = now.checked_add(SignedDuration::from_secs(wait)).unwrap_or(now);
        let attempts = self.attempts.saturating_add(1).min(16);
        Self { attempts, next_at, ..self.ended(Progress::Open, told, now) }
    }

    /// The same with the carrier's last word. It is in nobody's hands then.
    #[must_use]
    pub fn ended(&self, progress: Progress, told: &str, now: Timestamp) -> Self {
        let told = (!told.is_empty()).then(|| told.chars().take(TOLD_MAX).collect());
        let version = self.version + 1;
        Self { progress, told, updated_at: now, version, claimed_by: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let e164 = E164::from_u64(14_155_550_100).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        let mut intent = Intent::release_stray(IntentId(Uuid::nil()), e164, Network::Simulated, start);
        let mut waits = Vec::new();
        for _ in 0..40 {
            intent = intent.waiting("busy", start);
            waits.push(intent.next_at.as_second());
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!((waits[9], waits[39], intent.version), (300, 300, 41));
        assert_eq!(intent.ended(Progress::Done, "", start).told, None);
    }

    #[test]
    fn what_one_node_works_on_another_takes_when_its_claim_has_ended() {
        let (one, other) = (NodeId(Uuid::nil()), NodeId(Uuid::max()));
        let e164 = E164::from_u64(14_155_550_100).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        let after = |seconds| start + SignedDuration::from_secs(seconds);
        let intent = Intent::release_stray(IntentId(Uuid::nil()), e164, Network::Simulated, start);
        assert!(intent.is_free_for(one, start) && intent.is_free_for(other, start));
        assert_eq!(intent.claim_left(one, start), Duration::ZERO);
        let claimed = intent.claimed(one, start);
        assert_eq!((claimed.version, intent.clone().in_hands_of(one, start).version), (2, 1));
        assert_eq!(claimed.claim_left(one, after(5)), Duration::from_secs(15));
        assert_eq!(claimed.claim_left(other, after(5)), Duration::ZERO);
        for (now, free) in [(after(19), false), (after(20), true), (after(-290), true)] {
            assert!(claimed.is_free_for(one, now));
            assert_eq!(claimed.is_free_for(other, now), free, "{now}");
        }
        assert!(claimed.waiting("busy", start).is_free_for(other, start));
        assert_eq!(claimed.ended(Progress::Done, "", start).claimed_by, None);
    }
}
