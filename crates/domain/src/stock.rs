//! Stock: numbers that the operator can sell.

use crate::Timestamp;
use crate::e164::{Country, E164, NumberType};
use crate::error::{Error, Kind, Result, What};
use crate::ids::{NumberId, StockId};
use crate::money::Micros;

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
    /// Whether it can be bought.
    pub state: StockState,
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
            state: StockState::Available,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// Applies a patch; the same stock back means that nothing changed. A sold number keeps the price it was sold at.
    pub fn update(&self, patch: StockPatch, now: Timestamp) -> Result<Self> {
        let StockPatch { setup_cost_cents, monthly_cost_cents, capabilities, kind } = patch;
        let mut next = self.clone();
        if let Some(cents) = setup_cost_cents {
            next.setup_cost = price("setup_cost_cents", cents)?;
        }
        if let Some(cents) = monthly_cost_cents {
            next.monthly_cost = price("monthly_cost_cents", cents)?;
        }
        next.capabilities = capabilities.unwrap_or(next.capabilities);
        next.kind = kind.unwrap_or(next.kind);
        Ok(next.changed_from(self, now))
    }

    /// The same in another state.
    #[must_use]
    pub fn moved(&self, state: StockState, now: Timestamp) -> Self {
        Self { state, ..self.clone() }.changed_from(self, now)
    }

    fn changed_from(mut self, before: &Self, now: Timestamp) -> Self {
        if self != *before {
            self.version += 1;
            self.updated_at = now;
        }
        self
    }

    /// Whether it is on sale at `now`: a quarantine that has ended counts as on sale.
    pub fn is_available(&self, now: Timestamp) -> bool {
        match self.state {
            StockState::Available => true,
            StockState::Quarantined { until, .. } => until <= now,
            StockState::Sold(_) => false,
        }
    }

    /// Whether it may be taken out of stock: nobody holds it.
    pub fn check_removable(&self) -> Result<()> {
        match self.state {
            StockState::Sold(_) => {
                let words = "The number is held by an organization; release it first.";
                Err(Error::new(Kind::Conflict, What::Stock, words))
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
    /// Part of the number.
    pub q: Option<String>,
}
