//! The numbers of the live table: packed, sharded, about 53 bytes each.
//!
//! Each shard is an array of 40-byte slots, in the order of their numbers' hashes and with a fifth of it free: a number stands
//! where its hash leads or a few slots on. A look-up among millions costs one cache miss, and the lines beside it that the processor
//! fetches along. Organizations, endpoints and trunks are small integers that the directory gives out.

mod shard;

use domain::E164;
use domain::ids::NumberId;
use domain::number::{Network, Status};
use domain::routing::Intake;
use shard::Shard;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use store::NumberRow;
use uuid::Uuid;

/// Shards are independent locks: a change of one number never makes calls to most others wait. With so many of them one that
/// grows, among ten million numbers, holds its own up for half a millisecond or less.
const SHARDS: usize = 256;
/// Stands for "none" among small integers.
pub(crate) const NONE: u32 = u32::MAX;

/// A number as packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    e164: u64,
    id: [u64; 2],
    /// The organization's small integer.
    pub(crate) organization: u32,
    /// The endpoint's, or [`NONE`].
    pub(crate) endpoint: u32,
    /// The trunk's, or [`NONE`] for the operator's stock.
    pub(crate) trunk: u32,
    /// Its state.
    pub(crate) status: Status,
    /// What else is true of it.
    pub(crate) marks: Marks,
    /// Which phone network it is part of.
    pub(crate) network: Network,
    /// Whether it takes calls.
    pub(crate) intake: Intake,
}

impl Slot {
    /// A place where no number is. No number is 0.
    const FREE: Self = Self {
        e164: 0,
        id: [0, 0],
        organization: NONE,
        endpoint: NONE,
        trunk: NONE,
        status: Status::Pending,
        marks: Marks(0),
        network: Network::Public,
        intake: Intake::Off,
    };

    fn is_free(&self) -> bool {
        self.e164 == Self::FREE.e164
    }

    /// Packs a number.
    pub(crate) fn new(e164: E164, id: NumberId, organization: u32) -> Self {
        let (high, low) = id.0.as_u64_pair();
        Self { e164: e164.as_u64(), id: [high, low], organization, ..Self::FREE }
    }

    /// The number.
    pub(crate) fn digits(&self) -> u64 {
        self.e164
    }

    /// The number's id.
    pub(crate) fn id(&self) -> NumberId {
        NumberId(Uuid::from_u64_pair(self.id[0], self.id[1]))
    }
}

/// Three truths in a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

impl Marks {
    const UNPAID: u8 = 1;
    const OUTBOUND: u8 = 2;
    const RULED: u8 = 4;

    /// Packs them.
    pub(crate) fn of(row: &NumberRow) -> Self {
        let mark = |set: bool, bit| if set { bit } else { 0 };
        Self(
            mark(row.unpaid, Self::UNPAID)
                | mark(row.allow_outbound, Self::OUTBOUND)
                | mark(row.rules.is_some(), Self::RULED),
        )
    }

    /// Whether it is inactive because its rent is not paid.
    pub(crate) fn unpaid(self) -> bool {
        self.0 & Self::UNPAID != 0
    }

    /// Whether its holder has said more of its calls: the directory has it.
    pub(crate) fn ruled(self) -> bool {
        self.0 & Self::RULED != 0
    }

    /// Whether it may call out.
    pub(crate) fn outbound(self) -> bool {
        self.0 & Self::OUTBOUND != 0
    }
}

/// All numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    shards: Vec<RwLock<Shard>>,
    /// How many may call out.
    outbound: AtomicUsize,
    hasher: foldhash::fast::RandomState,
}

impl Numbers {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            outbound: AtomicUsize::new(0),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    fn hash(&self, e164: u64) -> u64 {
        self.hasher.hash_one(e164)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The low bits choose the shard, the high ones the place in it.
        let low = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[low]
    }

    /// A number, if it is there.
    pub(crate) fn get(&self, e164: E164) -> Option<Slot> {
        let hash = self.hash(e164.as_u64());
        // A panic while a lock was held can only have come from memory running out; the slots are plain data either way.
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        shard.find(e164.as_u64(), hash, |number| self.hash(number)).ok().map(|at| shard.slots[at])
    }

    /// Puts a number in, in place of what stood under the same digits.
    pub(crate) fn put(&self, slot: Slot) {
        let hash = self.hash(slot.e164);
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        self.count(slot.marks, true);
        if let Some(former) = shard.put(slot, hash, |number| self.hash(number)) {
            self.count(former.marks, false);
        }
    }

    /// Takes a number out, if it is still this one: the same digits may have a new holder by now.
    pub(crate) fn remove(&self, e164: E164, id: NumberId) {
        let hash = self.hash(e164.as_u64());
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        let found = shard.find(e164.as_u64(), hash, |number| self.hash(number));
        if let Ok(at) = found
            && shard.slots[at].id() == id
        {
            self.count(shard.slots[at].marks, false);
            shard.remove(at, |number| self.hash(number));
        }
    }

    fn count(&self, marks: Marks, more: bool) {
        // Nothing else hangs on the count: each change stands for itself.
        match (marks.outbound(), more) {
            (true, true) => self.outbound.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.outbound.fetch_sub(1, Ordering::Relaxed),
            (false, _) => 0,
        };
    }

    /// Whether any of them may call out.
    pub(crate) fn any_outbound(&self) -> bool {
        self.outbound.load(Ordering::Relaxed) > 0
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.read().unwrap_or_else(PoisonError::into_inner).len).sum()
    }

    /// The bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        let of = |shard: &Shard| size_of::<RwLock<Shard>>() + shard.slots.capacity() * size_of::<Slot>();
        self.shards.iter().map(|s| of(&s.read().unwrap_or_else(PoisonError::into_inner))).sum()
    }

    /// Shows every number, in no order. A shard cannot be changed meanwhile.
    pub(crate) fn each(&self, mut see: impl FnMut(&Slot)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.slots.iter().filter(|slot| !slot.is_free()).for_each(&mut see);
        }
    }

    /// The numbers of the simulated network that are in use or switched off, in no order.
    pub(crate) fn of_carriers(&self) -> Vec<E164> {
        let mut found = Vec::new();
        self.each(|slot| {
            let in_use = matches!(slot.status, Status::Active | Status::Inactive);
            if in_use && slot.network == Network::Simulated {
                found.extend(E164::from_u64(slot.e164));
            }
        });
        found
    }

    /// Every number, in no order.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<Slot> {
        let mut all = Vec::new();
        self.each(|slot| all.push(*slot));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_forty_bytes() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn a_number_with_a_new_holder_is_not_removed_by_its_former_one() {
        let numbers = Numbers::new();
        let e164 = E164::from_u64(14_155_550_100).unwrap();
        let (old, new) = (NumberId(Uuid::from_u128(1)), NumberId(Uuid::from_u128(2)));
        let calling = Slot { marks: Marks(Marks::OUTBOUND), ..Slot::new(e164, old, 0) };
        numbers.put(calling);
        numbers.put(calling);
        assert!(numbers.any_outbound() && calling.marks.outbound() && !calling.marks.unpaid());
        numbers.put(Slot::new(e164, new, 1));
        assert!(!numbers.any_outbound());
        numbers.remove(e164, old);
        assert_eq!(numbers.get(e164).map(|s| s.id()), Some(new));
        numbers.put(Slot { marks: calling.marks, ..Slot::new(e164, new, 1) });
        numbers.remove(e164, new);
        assert_eq!((numbers.get(e164), numbers.len(), numbers.any_outbound()), (None, 0, false));
    }
}
