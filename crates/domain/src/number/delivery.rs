//! A number that its carrier has yet to deliver: bought and paid for, pending until the carrier has the last word.

use super::{Number, Status, Step};
use crate::Timestamp;
use crate::error::{Error, Kind, Result, What};
use crate::ids::ProviderId;
use crate::money::Micros;

impl Number {
    /// The carrier has delivered it: it can be used, and the month begins that came with the purchase.
    pub fn acquired(&self, now: Timestamp) -> Result<Self> {
        let status = self.status.after(Step::Activate)?;
        let mut next = Self { status, ..self.clone() };
        // A store of an earlier version may have charged months meanwhile: those are reckoned from the purchase.
        if next.rented_until.is_none() {
            next.delivered_at = Some(now);
            next.rented_until = next.first_rent();
        }
        Ok(next.changed_from(self, now))
    }

    /// Calls to it are sent to us from an account at its carrier: it is on that account's provider, and can be used.
    pub fn attached(&self, provider: ProviderId, now: Timestamp) -> Result<Self> {
        let pending = self.status == Status::Pending;
        let status = if pending { self.status.after(Step::Activate)? } else { self.status };
        Ok(Self { status, provider_id: Some(provider), ..self.clone() }.changed_from(self, now))
    }

    /// The carrier does not deliver it: it is gone, and rests for nobody.
    pub fn not_acquired(&self, now: Timestamp) -> Result<Self> {
        let status = self.status.after(Step::Delete)?;
        let gone = Self { status, released_at: Some(now), quarantined_until: None, ..self.clone() };
        Ok(gone.changed_from(self, now))
    }

    /// All that was paid for a number that was never delivered: setup and the first month, and what a store of an earlier version
    /// charged meanwhile.
    pub fn paid(&self) -> Micros {
        let months = self.rented_until.map_or(1, |until| self.next_period(until).max(1));
        (0..months).fold(self.setup_cost, |sum, _| sum + self.monthly_cost)
    }

    /// Whether it waits for its carrier: only the carrier's word ends that, nobody's switch.
    pub(super) fn check_delivered(&self) -> Result<()> {
        if self.status == Status::Pending && self.stock_id.is_some() {
            let words = "The number waits for its carrier; it is active once the carrier has delivered it.";
            return Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NumberId, OrganizationId, StockId};
    use crate::number::{Birth, Environment, Network, NumberPatch, NumberSetup, Switch, Trust, Wiring};
    use crate::organization::Settings;
    use crate::provider::{Credentials, Sealed};
    use crate::stock::{Capabilities, StockNew};
    use crate::{Bag, Stock};
    use uuid::Uuid;

    fn ordered(network: Network, now: Timestamp) -> Number {
        let new = StockNew {
            e164: "+14155550100".into(),
            country: None,
            kind: None,
            setup_cost_cents: 100,
            monthly_cost_cents: 200,
            capabilities: Capabilities::default(),
        };
        let stock = Stock::create(StockId(Uuid::nil()), new, now).unwrap().of_network(network);
        let sip_credentials = Credentials { username: String::new(), password: Sealed(Vec::new()) };
        let birth = Birth { now, id: NumberId(Uuid::nil()), sip_credentials, environment: Environment::Live };
        let parts = (NumberSetup::default(), Wiring::default());
        Number::buy(OrganizationId(Uuid::nil()), &stock, None, parts, birth).unwrap().0
    }

    #[test]
    fn only_its_carrier_ends_the_waiting() {
        let now = Timestamp::UNIX_EPOCH;
        let number = ordered(Network::Simulated, now);
        for switch in [Switch::Active, Switch::Inactive] {
            let patch = NumberPatch { status: Some(switch), ..NumberPatch::default() };
            let refused = number.update(patch, Wiring::default(), Trust::Operator, now).unwrap_err();
            assert_eq!((refused.kind, refused.field), (Kind::Conflict, Some("status")));
        }
        let active = number.acquired(now).unwrap();
        assert_eq!((active.status, active.version), (Status::Active, 2));
        let gone = number.not_acquired(now).unwrap();
        assert_eq!((gone.status, gone.quarantined_until), (Status::Deleted, None));
        assert!(gone.acquired(now).is_err() && gone.not_acquired(now).is_err());
    }

    #[test]
    fn all_that_was_paid_is_known_also_after_months_of_waiting() {
        let now = Timestamp::UNIX_EPOCH;
        let number = ordered(Network::Simulated, now);
        let cents = |number: &Number| number.paid().cents_floor();
        assert_eq!(cents(&number), 300);
        let charged = Number { rented_until: crate::number::period_start(now, 3), ..number };
        assert_eq!(cents(&charged), 700, "by an earlier version");
        assert_eq!(cents(&ordered(Network::Test, now)), 0);
    }

    #[test]
    fn the_first_month_begins_with_the_delivery() {
        let ordered_at: Timestamp = "2027-01-15T00:00:00Z".parse().unwrap();
        let delivered_at: Timestamp = "2027-03-31T06:00:00Z".parse().unwrap();
        let number = ordered(Network::Simulated, ordered_at);
        assert_eq!(
            number.rent(Timestamp::MAX, 9),
            (number.clone(), Vec::new()),
            "nothing while it is waited for"
        );
        let old = Number { rented_until: Some(ordered_at), ..number.clone() };
        assert!(old.rent(Timestamp::MAX, 9).1.is_empty(), "nor in a store of an earlier version");
        let here = number.acquired(delivered_at).unwrap();
        assert_eq!(here.rented_until, Some("2027-04-30T06:00:00Z".parse().unwrap()));
        let (next, postings) = here.rent("2027-05-31T06:00:00Z".parse().unwrap(), 9);
        let periods: Vec<_> = postings.iter().filter_map(|posting| posting.subject.period()).collect();
        assert_eq!(periods, [1, 2]);
        assert_eq!(next.rented_until, Some("2027-06-30T06:00:00Z".parse().unwrap()), "from the delivery");
    }

    #[test]
    fn a_number_for_tests_does_not_rest() {
        let now = Timestamp::UNIX_EPOCH;
        let settings = Settings::read(&Bag::new()).unwrap();
        for (network, rests) in [(Network::Simulated, true), (Network::Public, true), (Network::Test, false)]
        {
            let number = ordered(network, now).acquired(now).unwrap();
            assert_eq!(number.release(&settings, now).unwrap().quarantined_until.is_some(), rests);
        }
    }
}
