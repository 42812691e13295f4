//! Rates: what calls cost, by the prefix of the number that is called. An organization's own deck comes before the operator's,
//! and in a deck the longest prefix wins; where neither has one, the organization's price of a minute
//! (`settings.rate_cents_per_minute`) holds. Only the operator sets rates.

use crate::Timestamp;
use crate::call::Direction;
use crate::e164::E164;
use crate::error::{Error, Result, What};
use crate::ids::{OrganizationId, RateId};
use crate::price::Price;

/// The digits that a number begins with; none: every number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    digits: u64,
    len: u8,
}

impl Prefix {
    /// The most digits: an E.164 number has no more.
    pub const MAX: u8 = 15;

    /// From digits, with or without `+`; none where it is something else, or begins with 0 as no number does.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let fits = digits.len() <= usize::from(Self::MAX) && digits.bytes().all(|b| b.is_ascii_digit());
        if !fits || digits.starts_with('0') {
            return None;
        }
        let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        Some(Self { digits: number, len: u8::try_from(digits.len()).ok()? })
    }

    /// The prefix of so many digits of a number; the number itself where it has fewer.
    pub fn of(e164: E164, len: u8) -> Self {
        let number = e164.as_u64();
        let have = u8::try_from(number.checked_ilog10().map_or(0, |log| log + 1)).unwrap_or(Self::MAX);
        let len = len.min(have);
        Self { digits: number / 10_u64.pow(u32::from(have - len)), len }
    }

    /// How many digits it has.
    pub fn digits(self) -> u8 {
        self.len
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.len == 0 { Ok(()) } else { self.digits.fmt(f) }
    }
}

/// What calls to numbers with a prefix cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Its id.
    pub id: RateId,
    /// Whose; [`OrganizationId::NONE`]: everybody's without one of their own.
    pub organization_id: OrganizationId,
    /// Which way calls go.
    pub direction: Direction,
    /// Of which numbers: of ours that are called, where calls come in; of those that are called, where they go out.
    pub prefix: Prefix,
    /// The price.
    pub price: Price,
    /// When it was set.
    pub created_at: Timestamp,
}

/// A rate that is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateNew {
    /// Which way calls go.
    pub direction: Direction,
    /// Of which numbers.
    pub prefix: Prefix,
    /// The price.
    pub price: Price,
}

impl Rate {
    /// The longest minimum and the longest step, in seconds.
    pub const SECONDS_MAX: u32 = 3_600;
    /// The highest rate and the highest fee: a thousand main units.
    pub const MICROS_MAX: i64 = 1_000_000_000;

    /// A new one.
    pub fn create(
        id: RateId,
        organization_id: OrganizationId,
        new: RateNew,
        created_at: Timestamp,
    ) -> Result<Self> {
        let RateNew { direction, prefix, price } = new;
        let Price { per_minute, setup, minimum_seconds, increment_seconds } = price;
        let bad = |field, words: String| Err(Error::invalid(What::Rate, field, words));
        for (field, amount) in [("rate_per_minute_micros", per_minute), ("setup_micros", setup)] {
            if !(0..=Self::MICROS_MAX).contains(&amount.0) {
                return bad(
                    field,
                    format!("`{field}` must be a whole number from 0 to {}.", Self::MICROS_MAX),
                );
            }
        }
        if minimum_seconds > Self::SECONDS_MAX {
            return bad(
                "minimum_seconds",
                format!("`minimum_seconds` must be a whole number from 0 to {}.", Self::SECONDS_MAX),
            );
        }
        if !(1..=Self::SECONDS_MAX).contains(&increment_seconds) {
            return bad(
                "increment_seconds",
                format!("`increment_seconds` must be a whole number from 1 to {}.", Self::SECONDS_MAX),
            );
        }
        Ok(Self { id, organization_id, direction, prefix, price, created_at })
    }
}

/// Rates of one owner for one direction, looked up by the longest prefix: a look for each length that there is.
#[derive(Clone, Debug, Default)]
pub struct Deck {
    prices: std::collections::HashMap<Prefix, (RateId, Price)>,
    /// How many rates have prefixes of each length.
    lengths: [u32; Prefix::MAX as usize + 1],
}

impl Deck {
    /// Sets a rate; the one of the same prefix before it is gone.
    pub fn put(&mut self, prefix: Prefix, id: RateId, price: Price) {
        if self.prices.insert(prefix, (id, price)).is_none() {
            self.lengths[usize::from(prefix.len)] += 1;
        }
    }

    /// Takes a rate out, unless another stands in its place.
    pub fn take(&mut self, prefix: Prefix, id: RateId) {
        if self.prices.get(&prefix).is_some_and(|(known, _)| *known == id) {
            self.prices.remove(&prefix);
            self.lengths[usize::from(prefix.len)] -= 1;
        }
    }

    /// Whether it has no rate.
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }

    /// The price by the longest prefix of a number.
    pub fn price(&self, e164: E164) -> Option<Price> {
        (0..=Prefix::MAX).rev().filter(|len| self.lengths[usize::from(*len)] > 0).find_map(|len| {
            let prefix = Prefix::of(e164, len);
            // A number that is shorter than this has no such prefix.
            let found = self.prices.get(&prefix).filter(|_| prefix.len == len);
            found.map(|(_, price)| *price)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Micros;
    use uuid::Uuid;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    fn id(n: u128) -> RateId {
        RateId(Uuid::from_u128(n))
    }

    fn e164(number: u64) -> E164 {
        E164::from_u64(number).unwrap()
    }

    #[test]
    fn prefixes_are_digits_that_a_number_may_begin_with() {
        for (text, read) in
            [("", ""), ("+", ""), ("1", "1"), ("+44", "44"), ("999999999999999", "999999999999999")]
        {
            assert_eq!(prefix(text).to_string(), read);
        }
        for text in ["0", "044", "4a", "1234567890123456", "++4", " 4", "-4"] {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
        assert_eq!(Prefix::of(e164(14_155_550_100), 4), prefix("1415"));
        assert_eq!(Prefix::of(e164(14_155_550_100), 15), prefix("14155550100"));
        assert_eq!(Prefix::of(e164(14_155_550_100), 0), Prefix::default());
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut deck = Deck::default();
        let price = |n| Price::by_minute(Micros(n));
        for (at, text) in ["44", "447", "4479", "1", "14155550100"].into_iter().enumerate() {
            deck.put(prefix(text), id(at as u128), price(i64::try_from(text.len()).unwrap()));
        }
        let of = |deck: &Deck, number| deck.price(e164(number)).map(|price| price.per_minute.0);
        assert_eq!(of(&deck, 442_071_838_750), Some(2));
        assert_eq!(of(&deck, 447_812_345_678), Some(3));
        assert_eq!(of(&deck, 447_912_345_678), Some(4));
        assert_eq!(of(&deck, 14_155_550_100), Some(11));
        assert_eq!(of(&deck, 14_155_550_101), Some(1));
        assert_eq!(of(&deck, 33_123_456_789), None);
        deck.put(Prefix::default(), id(9), price(0));
        assert_eq!(of(&deck, 33_123_456_789), Some(0), "a rate of no prefix is for all others");
        deck.put(prefix("447"), id(10), price(70));
        deck.take(prefix("447"), id(1));
        assert_eq!(of(&deck, 447_812_345_678), Some(70), "what was replaced takes nothing with it");
        deck.take(prefix("447"), id(10));
        assert_eq!(of(&deck, 447_812_345_678), Some(2));
        for (at, text) in ["44", "", "4479", "", "1", "14155550100"].into_iter().enumerate() {
            deck.take(prefix(text), id([0, 9, 2, 9, 3, 4][at]));
        }
        assert!(deck.is_empty() && deck.lengths == [0; 16]);
    }

    #[test]
    fn rates_have_bounds() {
        let price = Price { minimum_seconds: 60, increment_seconds: 60, ..Price::by_minute(Micros(5)) };
        let made = |price| {
            let new = RateNew { direction: Direction::Outbound, prefix: prefix("1"), price };
            Rate::create(id(1), OrganizationId::NONE, new, Timestamp::UNIX_EPOCH).map_err(|e| e.field)
        };
        assert!(made(price).is_ok());
        assert_eq!(made(Price { increment_seconds: 0, ..price }).err(), Some(Some("increment_seconds")));
        assert_eq!(made(Price { minimum_seconds: 3_601, ..price }).err(), Some(Some("minimum_seconds")));
        assert_eq!(
            made(Price { per_minute: Micros(-1), ..price }).err(),
            Some(Some("rate_per_minute_micros"))
        );
        assert_eq!(made(Price { setup: Micros(1_000_000_001), ..price }).err(), Some(Some("setup_micros")));
    }
}
