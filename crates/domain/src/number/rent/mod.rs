//! What a number of the stock costs each month.
//!
//! Periods are counted from the purchase (period 0, paid with it), or from the delivery where a carrier was waited for: nothing is
//! charged for a number that is not there yet. Period k begins k months later at the same time of day in UTC, in a shorter month
//! on its last day: always reckoned from the beginning, so that the 31st comes back after February.
//! A period is charged if the number is held when it begins, or when it is taken back in one that is not paid. Each charge has
//! an id made of number and period, so that the ledger refuses a second: whatever clocks or nodes do, nothing is paid twice.

use jiff::tz::TimeZone;

use super::{Network, Number, Status, Step};
use crate::Timestamp;
use crate::ledger::Posting;
use crate::money::Micros;
use crate::organization::{Settings, Unpaid};

/// The most periods charged at once, a hundred years of them: a clock that leaps to the end of time posts no more.
const PERIODS_MAX: usize = 1_200;

/// When a period begins that is counted from `since`; none beyond what a timestamp holds.
pub fn period_start(since: Timestamp, period: u32) -> Option<Timestamp> {
    let months = jiff::Span::new().try_months(i64::from(period)).ok()?;
    since.to_zoned(TimeZone::UTC).checked_add(months).ok().map(|start| start.timestamp())
}

/// Calendar months from one time to another. Of the start of a period, counted from the purchase, it is the period: starts are
/// clamped to the end of a month and never leave it.
fn months_between(since: Timestamp, at: Timestamp) -> u32 {
    let months = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        i32::from(date.year()) * 12 + i32::from(date.month())
    };
    u32::try_from(months(at) - months(since)).unwrap_or(0)
}

impl Number {
    /// Whether it costs something each month: bought from the stock, at a monthly price. Numbers for tests cost nothing.
    pub fn is_rented(&self) -> bool {
        self.stock_id.is_some() && self.network != Network::Test && self.monthly_cost > Micros::ZERO
    }

    /// When its first period began.
    fn rented_since(&self) -> Timestamp {
        self.delivered_at.unwrap_or(self.created_at)
    }

    /// Until when a number that has just come is paid: its first period comes with the purchase.
    pub(super) fn first_rent(&self) -> Option<Timestamp> {
        self.is_rented().then(|| period_start(self.rented_since(), 1)).flatten()
    }

    /// Whether it is switched on by a step from `before` that only a wallet at zero or above allows: where unpaid numbers are
    /// to be off, one that was off or on its way out when its rent came is no way round that.
    pub fn must_be_covered(&self, before: &Self, settings: &Settings) -> bool {
        let comes_on = self.status == Status::Active && before.status != Status::Active;
        let off_unpaid = before.unpaid || (settings.rental_unpaid == Unpaid::Deactivate && self.is_rented());
        comes_on && off_unpaid
    }

    /// The period that begins when what is paid ends: the next to be charged.
    pub(super) fn next_period(&self, rented_until: Timestamp) -> u32 {
        months_between(self.rented_since(), rented_until)
    }

    /// Charges each period that has begun by `now` and is not paid, the oldest first, at most `most`. Only a held number pays,
    /// and none that its carrier is yet to deliver. The same number back means that nothing is due.
    pub fn rent(&self, now: Timestamp, most: usize) -> (Self, Vec<Posting>) {
        let (mut next, mut postings) = (self.clone(), Vec::new());
        while let Some(until) = next.rented_until.filter(|until| *until <= now)
            && self.status.is_held()
            && self.status != Status::Pending
            && postings.len() < most.min(PERIODS_MAX)
        {
            let period = self.next_period(until);
            postings.push(Posting::rental(self, period, now));
            // At the end of time there is no next period, and nothing is due any more.
            next.rented_until = period_start(self.rented_since(), period + 1);
        }
        if !postings.is_empty() {
            next.version = self.version + 1;
        }
        (next, postings)
    }

    /// This number as it is given up, and what is due for the periods that began while it was held (`before`).
    pub fn rent_at_end(self, before: &Self, now: Timestamp) -> (Self, Vec<Posting>) {
        let (paid, postings) = before.rent(now, PERIODS_MAX);
        (Self { rented_until: paid.rented_until, ..self }, postings)
    }

    /// Pays the period that it is taken back in, unless that is paid. Those that passed meanwhile are not charged.
    pub(super) fn rent_again(&mut self, now: Timestamp) -> Option<Posting> {
        self.rented_until.filter(|until| *until <= now)?;
        let month = months_between(self.rented_since(), now);
        let begun = period_start(self.rented_since(), month).is_some_and(|start| start <= now);
        let period = if begun { month } else { month.saturating_sub(1) };
        self.rented_until = period_start(self.rented_since(), period + 1);
        Some(Posting::rental(self, period, now))
    }

    /// The monthly price back, for a number given up within `settings.refund_hours` of its purchase. That no call to it was
    /// answered, and that nothing was given back before, is for the caller to see to. The first period is then no longer paid:
    /// who takes the number back pays it again.
    pub fn refund(&self, before: &Self, settings: &Settings, now: Timestamp) -> Option<(Self, Posting)> {
        let hours = jiff::SignedDuration::from_hours(i64::from(settings.refund_hours));
        let early = self.rented_since().checked_add(hours).is_ok_and(|end| now < end);
        let first = self.rented_until.is_some() && self.rented_until == self.first_rent();
        // Of a number that its carrier has not delivered, whoever waits for the carrier gives the whole price back; one that goes
        // to another carrier was used.
        let delivered = matches!(before.status, Status::Active | Status::Inactive);
        if !(early && first && delivered) {
            return None;
        }
        let reason =
            format!("number {} released within {} hours of its purchase", self.e164, settings.refund_hours);
        let posting = Posting::refund(self, self.monthly_cost, reason, now);
        Some((Self { rented_until: Some(self.rented_since()), ..self.clone() }, posting))
    }

    /// Switched off because its rent is not paid; none where it is not on. The holder's own switch does not undo it.
    pub fn suspend(&self, now: Timestamp) -> Option<Self> {
        let status =
            (self.status == Status::Active).then(|| self.status.after(Step::Deactivate).ok()).flatten()?;
        Some(Self { status, unpaid: true, ..self.clone() }.changed_from(self, now))
    }

    /// On again, now that the organization has paid; none where it was not off for that.
    pub fn resume(&self, now: Timestamp) -> Option<Self> {
        let status = self.unpaid.then(|| self.status.after(Step::Activate).ok()).flatten()?;
        Some(Self { status, unpaid: false, ..self.clone() }.changed_from(self, now))
    }
}

#[cfg(test)]
mod tests;
