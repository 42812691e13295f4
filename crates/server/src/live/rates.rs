//! What calls cost by prefix, in memory: a deck for each owner and direction.

use domain::call::Direction;
use domain::ids::{OrganizationId, RateId};
use domain::rate::{Deck, Prefix};
use domain::{E164, Price, Rate};
use hashbrown::{HashMap, HashSet};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) decks: HashMap<(OrganizationId, Way), Deck>,
    /// Where each rate stands.
    pub(super) places: HashMap<RateId, (OrganizationId, Way, Prefix)>,
}

/// A direction as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    In,
    Out,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::In,
            Direction::Outbound => Self::Out,
        }
    }
}

impl Rates {
    /// A rate was set. Changes may come again and in any order within a generation.
    pub(super) fn put(&mut self, rate: &Rate) {
        let Rate { id, organization_id, direction, prefix, price, created_at: _ } = rate;
        let way = Way::from(*direction);
        self.places.insert(*id, (*organization_id, way, *prefix));
        self.decks.entry((*organization_id, way)).or_default().put(*prefix, *id, *price);
    }

    /// A rate is gone, or another stands in its place.
    pub(super) fn take(&mut self, id: RateId) {
        let Some((owner, way, prefix)) = self.places.remove(&id) else { return };
        if let Some(deck) = self.decks.get_mut(&(owner, way)) {
            deck.take(prefix, id);
            if deck.is_empty() {
                self.decks.remove(&(owner, way));
            }
        }
    }

    /// What is there besides these.
    pub(super) fn others(&self, seen: &HashSet<RateId>) -> Vec<RateId> {
        self.places.keys().filter(|id| !seen.contains(*id)).copied().collect()
    }

    /// The price of a call to a number: by the organization's deck, else by everybody's.
    pub(super) fn price(
        &self,
        organization: OrganizationId,
        direction: Direction,
        far: E164,
    ) -> Option<Price> {
        if self.decks.is_empty() {
            return None;
        }
        let deck = |owner| self.decks.get(&(owner, Way::from(direction)));
        let own = deck(organization).and_then(|deck| deck.price(far));
        own.or_else(|| deck(OrganizationId::NONE)?.price(far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Micros, Timestamp};
    use uuid::Uuid;

    fn rate(id: u128, owner: u128, direction: Direction, prefix: &str, micros: i64) -> Rate {
        Rate {
            id: RateId(Uuid::from_u128(id)),
            organization_id: OrganizationId(Uuid::from_u128(owner)),
            direction,
            prefix: Prefix::parse(prefix).unwrap(),
            price: Price::by_minute(Micros(micros)),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_own_deck_comes_before_everybodys_whatever_the_prefix() {
        let mut rates = Rates::default();
        let of = |rates: &Rates, owner: u128, direction| {
            let far = E164::from_u64(442_071_838_750).unwrap();
            rates
                .price(OrganizationId(Uuid::from_u128(owner)), direction, far)
                .map(|price| price.per_minute.0)
        };
        assert_eq!(of(&rates, 1, Direction::Outbound), None);
        rates.put(&rate(1, 0, Direction::Outbound, "4420", 10));
        rates.put(&rate(2, 1, Direction::Outbound, "", 20));
        assert_eq!(of(&rates, 1, Direction::Outbound), Some(20));
        assert_eq!(of(&rates, 2, Direction::Outbound), Some(10));
        assert_eq!(of(&rates, 1, Direction::Inbound), None);
        // A replacement comes with the end of what it replaced, in either order.
        rates.put(&rate(3, 1, Direction::Outbound, "", 30));
        rates.take(RateId(Uuid::from_u128(2)));
        assert_eq!(of(&rates, 1, Direction::Outbound), Some(30));
        rates.take(RateId(Uuid::from_u128(3)));
        assert_eq!(of(&rates, 1, Direction::Outbound), Some(10));
        rates.take(RateId(Uuid::from_u128(3)));
        rates.take(RateId(Uuid::from_u128(1)));
        assert!(rates.decks.is_empty() && rates.places.is_empty());
    }
}
