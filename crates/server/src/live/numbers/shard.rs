//! One shard: an open table of slots, in the order of their homes (Robin Hood hashing with linear probing).
//!
//! A slot's home is the place that its number's hash leads to. Slots stand in the order of their homes, each at its home or behind it
//! with no free place between. So a search walks from the home to the number, to a free place, or to a slot whose home is further on. Nothing
//! wraps around: behind the last home are a few places for what is pushed out.

use super::Slot;

/// Of so many places one is free at the least.
const SPARE: usize = 5;
/// Places behind the last home.
const TAIL: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Shard {
    /// `homes` places and the tail; none at all before the first number.
    pub(super) slots: Vec<Slot>,
    homes: usize,
    pub(super) len: usize,
}

impl Shard {
    fn home(&self, hash: u64) -> usize {
        // The hash's high half, as a fraction of the homes.
        let homes = u64::try_from(self.homes).unwrap_or(u64::MAX);
        usize::try_from(((hash >> 32) * homes) >> 32).unwrap_or(0)
    }

    /// Where a number stands, or else where it would. `hash_of` is asked for the hashes of others.
    pub(super) fn find(&self, e164: u64, hash: u64, hash_of: impl Fn(u64) -> u64) -> Result<usize, usize> {
        let home = self.home(hash);
        for (at, slot) in self.slots.iter().enumerate().skip(home) {
            if slot.e164 == e164 {
                return Ok(at);
            }
            if slot.is_free() || self.home(hash_of(slot.e164)) > home {
                return Err(at);
            }
        }
        Err(self.slots.len())
    }

    /// Puts a slot in; gives what stood under the same digits.
    pub(super) fn put(&mut self, slot: Slot, hash: u64, hash_of: impl Fn(u64) -> u64 + Copy) -> Option<Slot> {
        loop {
            let at = match self.find(slot.e164, hash, hash_of) {
                Ok(at) => return Some(std::mem::replace(&mut self.slots[at], slot)),
                Err(at) => at,
            };
            let free = self.slots[at..].iter().position(Slot::is_free);
            if let Some(free) = free
                && (self.len + 1) * SPARE <= self.homes * (SPARE - 1)
            {
                // Those behind move on by one place, as far as the free one.
                self.slots[at..=at + free].rotate_right(1);
                self.slots[at] = slot;
                self.len += 1;
                return None;
            }
            self.grow(hash_of);
        }
    }

    /// An eighth more homes: growing by doubling would leave half of the memory of millions of numbers unused.
    fn grow(&mut self, hash_of: impl Fn(u64) -> u64 + Copy) {
        let homes = self.homes + self.homes / 8 + 8;
        let slots = vec![Slot::FREE; homes + TAIL];
        let former = std::mem::replace(self, Self { slots, homes, len: 0 });
        for slot in former.slots.into_iter().filter(|slot| !slot.is_free()) {
            self.put(slot, hash_of(slot.e164), hash_of);
        }
    }

    /// Takes out what stands at a place; those behind it that are not at home come nearer.
    pub(super) fn remove(&mut self, at: usize, hash_of: impl Fn(u64) -> u64) {
        let settled = |&(at, slot): &(usize, &Slot)| slot.is_free() || self.home(hash_of(slot.e164)) == at;
        let end =
            self.slots.iter().enumerate().skip(at + 1).find(settled).map_or(self.slots.len(), |(end, _)| end);
        self.slots[at..end].rotate_left(1);
        self.slots[end - 1] = Slot::FREE;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::E164;
    use domain::ids::NumberId;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use uuid::Uuid;

    /// Homes crowd: of many numbers the hash's high half is the same.
    fn crowded(e164: u64) -> u64 {
        (e164 % 13) << 60
    }

    fn slot(nth: u64, serial: u32) -> Slot {
        Slot::new(E164::from_u64(12_025_550_000 + nth).unwrap(), NumberId(Uuid::nil()), serial)
    }

    fn check(shard: &Shard, model: &HashMap<u64, u32>) {
        let mut last = 0;
        for (at, slot) in shard.slots.iter().enumerate().filter(|(_, slot)| !slot.is_free()) {
            let home = shard.home(crowded(slot.e164));
            assert!(last <= home && home <= at, "out of order at {at}");
            assert!(shard.slots[home..at].iter().all(|slot| !slot.is_free()), "a gap before {at}");
            last = home;
        }
        assert_eq!(
            (shard.len, shard.slots.iter().filter(|slot| !slot.is_free()).count()),
            (model.len(), model.len())
        );
        for nth in 0..200 {
            let e164 = slot(nth, 0).e164;
            let found = shard.find(e164, crowded(e164), crowded).ok().map(|at| shard.slots[at].organization);
            assert_eq!(found, model.get(&e164).copied());
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(acts in prop::collection::vec((any::<bool>(), 0..200_u64, any::<u32>()), 1..300)) {
            let (mut shard, mut model) = (Shard::default(), HashMap::new());
            for (put, nth, serial) in acts {
                let slot = slot(nth, serial);
                let (e164, hash) = (slot.e164, crowded(slot.e164));
                if put {
                    let former = shard.put(slot, hash, crowded).map(|slot| slot.organization);
                    prop_assert_eq!(former, model.insert(e164, serial));
                } else if let Ok(at) = shard.find(e164, hash, crowded) {
                    shard.remove(at, crowded);
                    prop_assert!(model.remove(&e164).is_some());
                } else {
                    prop_assert!(!model.contains_key(&e164));
                }
            }
            check(&shard, &model);
        }
    }
}
