//! The price of a call: a rate per minute, with what is charged at least, in which steps, and once. Frozen into the call's
//! record when it begins, so that later changes of a rate do not touch it.
//!
//! The rounding rule, exactly: time is billed in whole seconds. The first [`Price::minimum_seconds`] of an answered call are billed
//! whole, what is beyond in whole [`Price::increment_seconds`]. Money is the rate times the billed seconds, divided by 60, rounded
//! up to a whole micro-unit once for the call; the fee is added to it.

use crate::money::Micros;

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// A minute.
    pub per_minute: Micros,
    /// Once, when it is answered.
    pub setup: Micros,
    /// Billed at least, in seconds.
    pub minimum_seconds: u32,
    /// Beyond the minimum, billed in whole steps of so many seconds; at least 1.
    pub increment_seconds: u32,
}

impl Default for Price {
    fn default() -> Self {
        Self::FREE
    }
}

/// What a call holds of the balance is for at least so many seconds: those in which the service can end it.
pub const HELD_SECONDS_MIN: u32 = 2;

impl Price {
    /// Nothing.
    pub const FREE: Self = Self::by_minute(Micros::ZERO);

    /// A rate by the second.
    pub const fn by_minute(per_minute: Micros) -> Self {
        Self { per_minute, setup: Micros::ZERO, minimum_seconds: 0, increment_seconds: 1 }
    }

    /// Whether a call costs nothing.
    pub fn is_free(&self) -> bool {
        self.per_minute <= Micros::ZERO && self.setup <= Micros::ZERO
    }

    /// The seconds that are billed of so many.
    pub fn billed_seconds(&self, seconds: u64) -> u64 {
        let (minimum, step) = (u64::from(self.minimum_seconds), u64::from(self.increment_seconds.max(1)));
        let beyond = seconds.saturating_sub(minimum);
        minimum.saturating_add(beyond.div_ceil(step).saturating_mul(step))
    }

    /// What an answered call of so many seconds costs; one of 0 seconds too costs the minimum and the fee.
    pub fn charge(&self, seconds: u64) -> Micros {
        let billed = i128::from(self.billed_seconds(seconds));
        let minutes = (i128::from(self.per_minute.0.max(0)) * billed + 59) / 60;
        let whole = minutes + i128::from(self.setup.0.max(0));
        Micros(i64::try_from(whole).unwrap_or(i64::MAX))
    }

    /// For how many seconds more than it has lasted a call holds money: those it is billed for ahead of time.
    pub fn ahead_seconds(&self) -> u32 {
        self.minimum_seconds.max(self.increment_seconds).max(HELD_SECONDS_MIN)
    }

    /// What a call that is let in may cost before anybody looks at it again: it is let in only where so much is free.
    pub fn held(&self) -> Micros {
        self.charge(u64::from(self.ahead_seconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(per_minute: i64, setup: i64, minimum_seconds: u32, increment_seconds: u32) -> Price {
        Price { per_minute: Micros(per_minute), setup: Micros(setup), minimum_seconds, increment_seconds }
    }

    #[test]
    fn seconds_are_billed_from_the_minimum_in_whole_steps() {
        for (minimum, step, seconds, billed) in [
            (0, 1, 0, 0),
            (0, 1, 1, 1),
            (60, 60, 0, 60),
            (60, 60, 59, 60),
            (60, 60, 60, 60),
            (60, 60, 61, 120),
            (30, 6, 0, 30),
            (30, 6, 29, 30),
            (30, 6, 30, 30),
            (30, 6, 31, 36),
            (30, 6, 36, 36),
            (30, 6, 37, 42),
            (1, 60, 1, 1),
            (1, 60, 2, 61),
            (20, 7, 21, 27),
            (0, 0, 5, 5),
            (6, 6, 86_400, 86_400),
            (60, 60, 86_401, 86_460),
        ] {
            let price = price(60, 0, minimum, step);
            assert_eq!(price.billed_seconds(seconds), billed, "{minimum}/{step} of {seconds} s");
        }
        assert_eq!(price(1, 0, 60, 60).billed_seconds(u64::MAX), u64::MAX);
    }

    #[test]
    fn money_is_rounded_up_once_for_the_call() {
        for (per_minute, setup, seconds, cost) in [
            (60, 0, 1, 1),
            (61, 0, 1, 2),
            (1, 0, 1, 1),
            (1, 0, 60, 1),
            (1, 0, 61, 2),
            (0, 0, 1_000, 0),
            (0, 5, 0, 5),
            (10_000, 2_500, 61, 12_667),
            // 0.65 cents a minute for 7 s: 758.33 micro-units
            (6_500, 0, 7, 759),
            (-60, -1, 60, 0),
        ] {
            assert_eq!(
                price(per_minute, setup, 0, 1).charge(seconds),
                Micros(cost),
                "{per_minute} {setup} {seconds}"
            );
        }
        assert_eq!(price(10_000, 0, 60, 60).charge(0), Micros(10_000));
        assert_eq!(price(i64::MAX, i64::MAX, 60, 60).charge(u64::MAX), Micros(i64::MAX));
    }

    #[test]
    fn what_is_held_covers_the_minimum_a_step_and_the_time_to_end_a_call() {
        assert_eq!(price(60, 0, 0, 1).held(), Micros(2));
        assert_eq!(price(60, 7, 30, 6).held(), Micros(37));
        assert_eq!(price(60, 0, 0, 60).held(), Micros(60));
        assert_eq!(Price::FREE.held(), Micros::ZERO);
        assert!(Price::default().is_free() && !price(0, 1, 0, 1).is_free() && !price(1, 0, 0, 1).is_free());
    }

    proptest! {
        #[test]
        fn a_longer_call_never_costs_less(
            per_minute in 0_i64..100_000_000, minimum in 0_u32..600, step in 1_u32..600, seconds in 0_u64..100_000,
        ) {
            let price = price(per_minute, 3, minimum, step);
            prop_assert!(price.charge(seconds) <= price.charge(seconds + 1));
            let billed = price.billed_seconds(seconds);
            prop_assert!(billed >= seconds.max(u64::from(minimum)));
            prop_assert!(billed < seconds.max(u64::from(minimum)) + u64::from(step));
            // By the second, nothing is lost or won by more than one micro-unit.
            let exact = i128::from(per_minute) * i128::from(billed);
            let told = i128::from(price.charge(seconds).0 - 3) * 60;
            prop_assert!((exact..exact + 60).contains(&told));
        }
    }
}
