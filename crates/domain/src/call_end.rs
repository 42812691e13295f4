//! When the service itself ends a call, and for which of its causes. Pure: calls and times in, causes out; the server looks
//! each second and whenever the clock is moved.

use crate::Timestamp;
use crate::call::EndedBy;
use crate::money::Micros;

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
            Self::MaxDuration => "The call lasted as long as `settings.max_call_seconds` allows.",
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
    /// The price of its minute.
    pub rate_per_minute: Micros,
}

impl InProgress {
    /// What it has cost so far, to the part of a second; at its end whole seconds are charged.
    pub fn cost(&self, now: Timestamp) -> Micros {
        let micros =
            i128::from(now.as_microsecond().saturating_sub(self.answered_at.as_microsecond()).max(0));
        let cost = i128::from(self.rate_per_minute.0) * micros / 60_000_000;
        Micros(i64::try_from(cost).unwrap_or(i64::MAX))
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
        if self.is_over(max_call_seconds, now) {
            return Some(CallEnd::MaxDuration);
        }
        let costs = self.rate_per_minute > Micros::ZERO;
        (costs && spent >= balance).then_some(CallEnd::Balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn call(rate: i64) -> InProgress {
        InProgress { answered_at: at(0), rate_per_minute: Micros(rate) }
    }

    const RICH: (Micros, Micros) = (Micros(1_000_000), Micros(0));

    #[test]
    fn a_call_ends_when_it_has_lasted_as_long_as_it_may() {
        assert_eq!(call(0).end(60, RICH, at(59)), None);
        assert_eq!(call(0).end(60, RICH, at(60)), Some(CallEnd::MaxDuration));
        assert_eq!(call(0).end(60, RICH, at(100_000)), Some(CallEnd::MaxDuration));
        assert_eq!(call(0).end(60, RICH, at(-5)), None, "a clock that was set back ends nothing");
    }

    #[test]
    fn calls_that_cost_end_with_the_balance_and_free_ones_do_not() {
        assert_eq!(call(60).cost(at(10)), Micros(10));
        let money = |balance, spent| (Micros(balance), Micros(spent));
        assert_eq!(call(60).end(600, money(100, 99), at(10)), None);
        assert_eq!(call(60).end(600, money(100, 100), at(10)), Some(CallEnd::Balance));
        assert_eq!(call(60).end(600, money(-1, 0), at(0)), Some(CallEnd::Balance));
        assert_eq!(call(0).end(600, money(0, 100), at(10)), None);
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
