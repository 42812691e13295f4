//! When the service itself ends a call, and for which of its causes. Pure: calls and times in, causes out; the server looks
//! each second and whenever the clock is moved.

use crate::Timestamp;
use crate::call::EndedBy;
use crate::money::Micros;
use crate::price::Price;

/// Why the service ends a call that neither side hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// Somebody asked for it through an API.
    Api,
    /// It lasted as long as its organization allows.
    MaxDuration,
    /// It costs money, and the balance is used up.
    Balance,
}

impl CallEnd {
    /// Every cause. Its place is its mark on the call path; causes are only appended.
    pub const ALL: [Self; 3] = [Self::Api, Self::MaxDuration, Self::Balance];

    /// Its place among all.
    pub fn place(self) -> usize {
        Self::ALL.into_iter().position(|one| one == self).unwrap_or_default()
    }

    /// What the record says of who ended the call.
    pub fn ended_by(self) -> EndedBy {
        match self {
            Self::Api => EndedBy::Api,
            Self::MaxDuration => EndedBy::MaxDuration,
            Self::Balance => EndedBy::Balance,
        }
    }

    /// The cause behind what a record says; none where the service did not end the call.
    pub fn of(by: EndedBy) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.ended_by() == by)
    }

    /// What the record says of why.
    pub fn words(self) -> &'static str {
        match self {
            Self::Api => "The call was ended through the API.",
            Self::MaxDuration => {
                "The call lasted as long as `settings.max_call_seconds`, or whoever began it, allows."
            }
            Self::Balance => "The organization's balance is used up.",
        }
    }

    /// What both sides are told: the value of a `Reason` header (RFC 3326). A normal end of a call, cause 16 of Q.850.
    pub fn reason_header(self) -> &'static str {
        match self {
            Self::Api => "Q.850;cause=16;text=\"Ended by the service\"",
            Self::MaxDuration => "Q.850;cause=16;text=\"Longest duration reached\"",
            Self::Balance => "Q.850;cause=16;text=\"Balance used up\"",
        }
    }
}

/// A call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// When it was answered.
    pub answered_at: Timestamp,
    /// What it costs.
    pub price: Price,
    /// How long it may last, in seconds, where whoever began it said so.
    pub max_seconds: Option<u32>,
}

/// So much earlier than a call enters a second that is not paid it is ended: its duration is rounded to the nearest second, and
/// what ends it takes a moment.
const EARLIER_US: i128 = 250_000;

impl InProgress {
    /// What it would cost if it were ended from here: the seconds it is charged for at its end, rounded as then.
    pub fn cost(&self, now: Timestamp) -> Micros {
        let micros = i128::from(now.as_microsecond()) - i128::from(self.answered_at.as_microsecond());
        let seconds = (micros.max(0) + EARLIER_US + 500_000) / 1_000_000;
        self.price.charge(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// Whether it has lasted as long as it may: by the wall clock, so that any process finds the same.
    fn is_over(&self, max_call_seconds: u32, now: Timestamp) -> bool {
        let micros = now.as_microsecond().saturating_sub(self.answered_at.as_microsecond());
        micros >= i64::from(max_call_seconds) * 1_000_000
    }

    /// Whether it is to be ended, where all calls of its organization that are in progress cost `spent` so far. What is posted
    /// to the ledger is already taken from `balance`.
    pub fn end(
        &self,
        max_call_seconds: u32,
        (balance, spent): (Micros, Micros),
        now: Timestamp,
    ) -> Option<CallEnd> {
        let most = self.max_seconds.map_or(max_call_seconds, |most| most.min(max_call_seconds));
        if self.is_over(most, now) {
            return Some(CallEnd::MaxDuration);
        }
        (!self.price.is_free() && spent > balance).then_some(CallEnd::Balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn call(rate: i64) -> InProgress {
        InProgress { answered_at: at(0), price: Price::by_minute(Micros(rate)), max_seconds: None }
    }

    const RICH: (Micros, Micros) = (Micros(1_000_000), Micros(0));

    #[test]
    fn a_call_ends_when_it_has_lasted_as_long_as_it_may() {
        assert_eq!(call(0).end(60, RICH, at(59)), None);
        assert_eq!(call(0).end(60, RICH, at(60)), Some(CallEnd::MaxDuration));
        assert_eq!(call(0).end(60, RICH, at(100_000)), Some(CallEnd::MaxDuration));
        assert_eq!(call(0).end(60, RICH, at(-5)), None, "a clock that was set back ends nothing");
        let own = |most| InProgress { max_seconds: Some(most), ..call(0) };
        assert_eq!(
            (own(10).end(60, RICH, at(9)), own(10).end(60, RICH, at(10))),
            (None, Some(CallEnd::MaxDuration))
        );
        assert_eq!(
            own(100).end(60, RICH, at(60)),
            Some(CallEnd::MaxDuration),
            "nobody may talk longer than the organization"
        );
    }

    #[test]
    fn calls_that_cost_end_with_the_balance_and_free_ones_do_not() {
        let money = |balance, spent| (Micros(balance), Micros(spent));
        assert_eq!(call(60).end(600, money(100, 100), at(10)), None, "what is there may be spent");
        assert_eq!(call(60).end(600, money(100, 101), at(10)), Some(CallEnd::Balance));
        assert_eq!(call(60).end(600, money(-1, 0), at(0)), Some(CallEnd::Balance));
        assert_eq!(call(0).end(600, money(0, 100), at(10)), None);
    }

    #[test]
    fn a_call_is_ended_before_a_second_or_a_step_that_is_not_paid() {
        let later = |millis: i64| Timestamp::from_millisecond(1_000_000_000 + millis).unwrap();
        // Ended within half a second, it is charged for the seconds that its cost was told with.
        for (millis, cost) in [(0, 0), (249, 0), (250, 1), (1_249, 1), (1_250, 2), (9_999, 10)] {
            assert_eq!(call(60).cost(later(millis)), Micros(cost), "{millis}");
        }
        let price = Price { minimum_seconds: 60, increment_seconds: 60, ..Price::by_minute(Micros(60)) };
        let stepped = InProgress { answered_at: at(0), price, max_seconds: None };
        assert_eq!(stepped.cost(at(-9)), Micros(60), "the minimum is owed from the answer");
        assert_eq!((stepped.cost(later(60_249)), stepped.cost(later(60_250))), (Micros(60), Micros(120)));
    }

    #[test]
    fn every_cause_has_words_and_a_header_that_can_be_read() {
        assert_eq!((CallEnd::of(EndedBy::Caller), CallEnd::of(EndedBy::Reaper)), (None, None));
        for (place, cause) in CallEnd::ALL.into_iter().enumerate() {
            assert_eq!(CallEnd::ALL[place], cause);
            assert!(EndedBy::parse(cause.ended_by().as_str()) == Some(cause.ended_by()));
            assert_eq!(cause.reason_header().matches('"').count(), 2);
            assert!(cause.words().ends_with('.'));
            assert_eq!(CallEnd::of(cause.ended_by()), Some(cause));
        }
    }
}
