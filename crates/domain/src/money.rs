//! Money: whole micro-units inside, whole cents at the edges; never a float.

use std::ops::{Add, Neg, Sub};

/// An amount in millionths of the currency's main unit (1 cent = 10,000). Signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Micro-units in a cent.
    pub const PER_CENT: i64 = 10_000;
    /// The largest amount accepted from outside, in cents (a hundred million main units): sums of such stay far from overflow.
    pub const MAX_CENTS: i64 = 10_000_000_000;

    /// From whole cents; `None` beyond [`Self::MAX_CENTS`].
    pub fn from_cents(cents: i64) -> Option<Self> {
        (-Self::MAX_CENTS..=Self::MAX_CENTS).contains(&cents).then(|| Self(cents * Self::PER_CENT))
    }

    /// Whole cents, rounded towards minus infinity: a balance is never shown larger than it is.
    pub fn cents_floor(self) -> i64 {
        self.0.div_euclid(Self::PER_CENT)
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Micros {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl std::iter::Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_beyond_the_largest_amount_are_none() {
        for cents in [Micros::MAX_CENTS + 1, -Micros::MAX_CENTS - 1, i64::MAX, i64::MIN] {
            assert_eq!(Micros::from_cents(cents), None, "{cents}");
        }
        let most = Micros::from_cents(Micros::MAX_CENTS);
        assert_eq!(most.map(Micros::cents_floor), Some(Micros::MAX_CENTS));
    }
}
