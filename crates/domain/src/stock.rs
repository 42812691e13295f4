//! Stock: numbers that the operator can sell.

use crate::Timestamp;
use crate::e164::{Country, E164, NumberType};
use crate::error::{Error, Kind, Result, What};
use crate::ids::{NumberId, OrganizationId, StockId};
use crate::key::Mode;
use crate::money::Micros;
use crate::number::Network;

/// What a number can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Calls.
    pub voice: bool,
    /// Text messages.
    pub sms: bool,
    /// Fax.
    pub fax: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { voice: true, sms: false, fax: false }
    }
}

/// Whether it can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockState {
    /// On sale.
    Available,
    /// Held by an organization as this number.
    Sold(NumberId),
    /// Released by `number`'s holder; rests until then, and can be restored to it.
    Quarantined {
        /// The released number.
        number: NumberId,
        /// When it may be sold again.
        until: Timestamp,
    },
}

/// A reservation: until it ends, only its holder can buy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// When it ends, by itself.
    pub until: Timestamp,
}

impl Hold {
    /// How long a reservation lasts.
    pub const MINUTES: i64 = 30;
    /// The longest that one can have to run. One that would end later was made by a clock that was ahead and has been corrected,
    /// and has ended; the half hour beyond the first is for clocks that are corrected by less.
    pub const MINUTES_MAX: i64 = 60;

    /// Until when what runs at `now` ends at the latest.
    pub fn latest(now: Timestamp) -> Timestamp {
        now.checked_add(jiff::SignedDuration::from_mins(Self::MINUTES_MAX)).unwrap_or(Timestamp::MAX)
    }
    /// The most numbers that one organization can have reserved at once.
    pub const MOST: u32 = 20;
}

/// A number that the operator can sell.
#[derive(Clone, Debug, PartialEq)]
pub struct Stock {
    /// Its id.
    pub id: StockId,
    /// The number.
    pub e164: E164,
    /// Its country.
    pub country: Country,
    /// Its type.
    pub kind: NumberType,
    /// Paid once.
    pub setup_cost: Micros,
    /// Paid per month, the first at purchase.
    pub monthly_cost: Micros,
    /// What it carries.
    pub capabilities: Capabilities,
    /// Which phone network it is part of: decides its carrier and whose keys see it.
    pub network: Network,
    /// Whether it can be bought.
    pub state: StockState,
    /// Who has reserved it, or had: one that has ended counts as none.
    pub hold: Option<Hold>,
    /// When it was put in stock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// What a number put in stock is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct StockNew {
    /// The number as written.
    pub e164: String,
    /// Its country; absent: by the numbering plan.
    pub country: Option<Country>,
    /// Its type; absent: by the numbering plan.
    pub kind: Option<NumberType>,
    /// Setup price in cents.
    pub setup_cost_cents: i64,
    /// Monthly price in cents.
    pub monthly_cost_cents: i64,
    /// What it carries.
    pub capabilities: Capabilities,
}

/// What a change of a number in stock may name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StockPatch {
    /// Setup price in cents.
    pub setup_cost_cents: Option<i64>,
    /// Monthly price in cents.
    pub monthly_cost_cents: Option<i64>,
    /// What it carries.
    pub capabilities: Option<Capabilities>,
    /// Its type.
    pub kind: Option<NumberType>,
}

/// A price that a number of a network can have: what is for tests costs nothing.
fn price_in(network: Network, field: &'static str, cents: i64) -> Result<Micros> {
    if network == Network::Test && cents != 0 {
        let words = format!("`{field}` must be 0: a number for tests costs nothing.");
        return Err(Error::invalid(What::Stock, field, words));
    }
    price(field, cents)
}

fn price(field: &'static str, cents: i64) -> Result<Micros> {
    Micros::from_cents(cents).filter(|m| *m >= Micros::ZERO).ok_or_else(|| {
        let words = format!("`{field}` must be a whole number of cents, 0 or more.");
        Error::invalid(What::Stock, field, words)
    })
}

impl Stock {
    /// A number put in stock.
    pub fn create(id: StockId, new: StockNew, now: Timestamp) -> Result<Self> {
        let StockNew { e164, country, kind, setup_cost_cents, monthly_cost_cents, capabilities } = new;
        let (e164, plan) = E164::parse(&e164)?;
        if country.is_some_and(|c| c != plan.country) {
            let words =
                format!("`country` does not fit the number, which belongs to {}.", plan.country.as_str());
            return Err(Error::invalid(What::Stock, "country", words));
        }
        Ok(Self {
            id,
            e164,
            country: plan.country,
            kind: kind.unwrap_or(plan.kind),
            setup_cost: price("setup_cost_cents", setup_cost_cents)?,
            monthly_cost: price("monthly_cost_cents", monthly_cost_cents)?,
            capabilities,
            network: Network::Public,
            state: StockState::Available,
            hold: None,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// The same new number of another phone network. What is for tests costs nothing.
    #[must_use]
    pub fn of_network(self, network: Network) -> Self {
        match network {
            Network::Public | Network::Simulated => Self { network, ..self },
            Network::Test => Self { network, setup_cost: Micros::ZERO, monthly_cost: Micros::ZERO, ..self },
        }
    }

    /// Applies a patch; the same stock back means that nothing changed. A sold number keeps the price it was sold at.
    pub fn update(&self, patch: StockPatch, now: Timestamp) -> Result<Self> {
        let StockPatch { setup_cost_cents, monthly_cost_cents, capabilities, kind } = patch;
        let mut next = self.clone();
        if let Some(cents) = setup_cost_cents {
            next.setup_cost = price_in(self.network, "setup_cost_cents", cents)?;
        }
        if let Some(cents) = monthly_cost_cents {
            next.monthly_cost = price_in(self.network, "monthly_cost_cents", cents)?;
        }
        next.capabilities = capabilities.unwrap_or(next.capabilities);
        next.kind = kind.unwrap_or(next.kind);
        Ok(next.changed_from(self, now))
    }

    /// The same in another state. A reservation is used up by a purchase, and none outlasts a change of state.
    #[must_use]
    pub fn moved(&self, state: StockState, now: Timestamp) -> Self {
        Self { state, hold: None, ..self.clone() }.changed_from(self, now)
    }

    /// The reservation that runs at `now`.
    pub fn held(&self, now: Timestamp) -> Option<Hold> {
        self.hold.filter(|hold| hold.until > now && hold.until <= Hold::latest(now))
    }

    /// Reserves it for an organization that can buy it now. Who has it reserved already keeps that reservation as it is: a
    /// repeat makes it no longer.
    pub fn hold(&self, organization_id: OrganizationId, now: Timestamp) -> Option<Self> {
        if !self.is_available_to(Some(organization_id), now) {
            return None;
        }
        if self.held(now).is_some() {
            return Some(self.clone());
        }
        let until = now.checked_add(jiff::SignedDuration::from_mins(Hold::MINUTES)).ok()?;
        // When it last changed stays: others are not to see that somebody has it reserved.
        Some(Self { hold: Some(Hold { organization_id, until }), version: self.version + 1, ..self.clone() })
    }

    /// Ends an organization's reservation; none where it has none.
    pub fn unhold(&self, organization_id: OrganizationId, now: Timestamp) -> Option<Self> {
        self.held(now).filter(|hold| hold.organization_id == organization_id)?;
        Some(Self { hold: None, version: self.version + 1, ..self.clone() })
    }

    fn changed_from(mut self, before: &Self, now: Timestamp) -> Self {
        if self != *before {
            self.version += 1;
            self.updated_at = now;
        }
        self
    }

    /// Whether it is on sale at `now`, were it not reserved: a quarantine that has ended counts as on sale.
    pub fn is_available(&self, now: Timestamp) -> bool {
        match self.state {
            StockState::Available => true,
            StockState::Quarantined { until, .. } => until <= now,
            StockState::Sold(_) => false,
        }
    }

    /// Whether an organization can buy it at `now`: it is on sale, and nobody else has it reserved.
    pub fn is_available_to(&self, organization: Option<OrganizationId>, now: Timestamp) -> bool {
        let own = |hold: Hold| Some(hold.organization_id) == organization;
        self.is_available(now) && self.held(now).is_none_or(own)
    }

    /// Whether it may be taken out of stock: nobody holds it or has it reserved.
    pub fn check_removable(&self, now: Timestamp) -> Result<()> {
        let refused = |words: &str| Err(Error::new(Kind::Conflict, What::Stock, words));
        match self.state {
            StockState::Sold(_) => refused("The number is held by an organization; release it first."),
            StockState::Available | StockState::Quarantined { .. } if self.held(now).is_some() => {
                refused("An organization has the number reserved; try again when `held_until` has passed.")
            }
            StockState::Available | StockState::Quarantined { .. } => Ok(()),
        }
    }
}

/// How a buyer names what to buy.
#[derive(Clone, Debug, PartialEq)]
pub enum StockRef {
    /// By its id.
    Id(StockId),
    /// By the number, with country and type that must fit.
    Number {
        /// The number as written.
        e164: String,
        /// Its country.
        country: Option<Country>,
        /// Its type.
        kind: Option<NumberType>,
    },
}

/// Which stock is wanted in a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StockQuery {
    /// Only of this country.
    pub country: Option<Country>,
    /// Only of this type.
    pub kind: Option<NumberType>,
    /// Only what is on sale at this moment; none: all, for the operator.
    pub available_at: Option<Timestamp>,
    /// Who asks: what others have reserved is not on sale.
    pub buyer: Option<OrganizationId>,
    /// Only what keys of this mode see; none: all, for the operator.
    pub mode: Option<Mode>,
    /// Part of the number.
    pub q: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use uuid::Uuid;

    fn in_stock(network: Network, now: Timestamp) -> Stock {
        let new = StockNew {
            e164: "+14155550100".into(),
            country: None,
            kind: None,
            setup_cost_cents: 100,
            monthly_cost_cents: 200,
            capabilities: Capabilities::default(),
        };
        Stock::create(StockId(Uuid::nil()), new, now).unwrap().of_network(network)
    }

    #[test]
    fn what_is_for_tests_has_no_price() {
        let now = Timestamp::UNIX_EPOCH;
        let setup = |cents| StockPatch { setup_cost_cents: Some(cents), ..StockPatch::default() };
        let monthly = |cents| StockPatch { monthly_cost_cents: Some(cents), ..StockPatch::default() };
        let tests = in_stock(Network::Test, now);
        assert_eq!(tests.update(setup(1), now).unwrap_err().field, Some("setup_cost_cents"));
        assert_eq!(tests.update(monthly(1), now).unwrap_err().field, Some("monthly_cost_cents"));
        assert_eq!(tests.update(monthly(0), now).unwrap(), tests);
        assert!(in_stock(Network::Simulated, now).update(monthly(1), now).is_ok());
    }

    #[test]
    fn a_reservation_by_a_clock_that_was_ahead_has_ended() {
        let (own, other) = (OrganizationId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let ahead = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(48);
        let stock = in_stock(Network::Public, Timestamp::UNIX_EPOCH).hold(own, ahead).unwrap();
        assert!(!stock.is_available_to(Some(other), ahead) && stock.check_removable(ahead).is_err());
        let corrected = Timestamp::UNIX_EPOCH;
        assert!(stock.is_available_to(Some(other), corrected) && stock.check_removable(corrected).is_ok());
        assert!(stock.unhold(own, corrected).is_none());
        let again = stock.hold(other, corrected).unwrap().held(corrected).unwrap();
        assert_eq!(again.organization_id, other);
        // A clock that is corrected by minutes takes nobody's reservation away.
        let back = ahead - SignedDuration::from_mins(30);
        assert!(!stock.is_available_to(Some(other), back) && stock.held(back).is_some());
    }
}
