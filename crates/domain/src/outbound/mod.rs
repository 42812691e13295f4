//! Whether a number may call out, and how. Pure, as [`crate::routing`] is for calls that come in: the call path, calls that an API
//! begins, and `explain` run the same function. Everything is decided before anything rings.
//!
//! Calls for help stand apart: a trunk that says it carries them gets them whatever the balance, the countries and the caps say.

mod refusal;
mod rules;

pub use refusal::Refusal;
pub use rules::decide;

use std::sync::Arc;

use crate::e164::{Country, E164};
use crate::emergency::Emergency;
use crate::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use crate::money::Micros;
use crate::number::{Network, Status};
use crate::price::Price;
use crate::provider::{MediaEncryption, Offer};

/// A number as the rules know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberOut {
    /// The number.
    pub e164: E164,
    /// Its id.
    pub id: NumberId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Its state.
    pub status: Status,
    /// Whether it is inactive because its rent is not paid.
    pub unpaid: bool,
    /// Whether it is made for calls.
    pub voice: bool,
    /// Whether it may call out.
    pub allow_outbound: bool,
    /// Its own trunk or account; none: the operator's stock.
    pub trunk: Option<ProviderId>,
    /// Which phone network it is part of.
    pub network: Network,
    /// Where its calls go, which is who calls from it.
    pub endpoint_id: Option<EndpointId>,
}

/// How many calls may be begun; none: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// By one number in a minute.
    pub number_minute: Option<u32>,
    /// By one number in a day.
    pub number_day: Option<u32>,
    /// By the organization in a minute.
    pub organization_minute: Option<u32>,
    /// By the organization in a day.
    pub organization_day: Option<u32>,
}

/// What bounds the calls of one number; none: no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberCaps {
    /// How many are in progress, those that ring too, and how many may be.
    pub calls: Option<(u32, u32)>,
    /// How many it may begin in a minute.
    pub minute: Option<u32>,
    /// How many it may begin in a day.
    pub day: Option<u32>,
}

/// Which countries an organization may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Countries {
    /// The number's own, and the one that its trunk is for.
    #[default]
    Own,
    /// These.
    Named(Arc<[Country]>),
    /// Every one.
    All,
}

/// A tenant as the rules know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationOut {
    /// What it can spend.
    pub balance: Micros,
    /// How many calls it may have in progress; none: no limit.
    pub calls_max: Option<u32>,
    /// What bounds how many it begins.
    pub caps: Caps,
    /// Whom it may call.
    pub countries: Countries,
}

/// A way to the phone network as the rules know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkOut {
    /// Its id.
    pub id: ProviderId,
    /// The country that its calls are for; none: all.
    pub destination_country: Option<Country>,
    /// Whether it carries calls for help.
    pub emergency: bool,
    /// Whether its sound is encrypted.
    pub media: MediaEncryption,
    /// Whether it is reached by TLS.
    pub tls: bool,
    /// Which of several is tried first: the lowest.
    pub priority: u16,
    /// Whether it takes another call this second.
    pub paced: bool,
    /// How many calls of it are in progress, those that ring too, and how many may be; none: no limit.
    pub calls: Option<(u32, u32)>,
}

/// What calls are counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// Sixty seconds.
    Minute,
    /// A day by UTC.
    Day,
}

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A number's.
    Number(NumberId),
    /// A tenant's.
    Organization(OrganizationId),
}

/// Calls that were begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// How many within the window.
    pub calls: u32,
    /// In how many seconds there are fewer.
    pub fewer_in: u32,
}

/// What the rules can look up. All of it is memory.
pub trait Table {
    /// A number, if somebody holds it.
    fn number(&self, e164: E164) -> Option<NumberOut>;
    /// A tenant.
    fn organization(&self, id: OrganizationId) -> Option<OrganizationOut>;
    /// How many calls of a tenant are in progress, those that ring too.
    fn calls(&self, organization: OrganizationId) -> u32;
    /// What bounds the calls of a number by itself.
    fn caps(&self, number: NumberId) -> NumberCaps;
    /// What a call of a tenant's to a number costs: by its own rates, else by the operator's, else by the tenant's price of a
    /// minute.
    fn price(&self, organization: OrganizationId, to: E164) -> Price;
    /// What calls of a tenant that are in progress hold of its balance.
    fn held(&self, organization: OrganizationId) -> Micros;
    /// How many calls out were begun.
    fn begun(&self, whose: Whose, window: Window) -> Begun;
    /// The ways out of a number: its own trunk, or those of the operator's that carry its network; in any order. An error says
    /// why there is none.
    fn ways(&self, number: &NumberOut) -> Result<Vec<TrunkOut>, Refusal>;
}

/// Whose call it is, as far as that is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party<'a> {
    /// Nobody's that is known.
    Unknown,
    /// The caller knows this number's SIP credentials: it calls from it and from no other.
    Number(E164),
    /// The caller is one of these tenants': by an address of their endpoints, or by an API key.
    Organizations(&'a [OrganizationId]),
}

/// The number shown as the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// None: credentials say which it is.
    Nothing,
    /// This one.
    Number(E164),
    /// Something that could be taken for a number, and is none.
    Odd,
}

impl Shown {
    /// By the user part of From (`context`: its `phone-context`). A name, which begins with a letter, shows nothing; whatever else is
    /// no number is odd: a carrier might make one of it.
    pub fn of(user: &str, context: Option<&str>) -> Self {
        match E164::dialled(user, context) {
            Some(e164) => Self::Number(e164),
            None if user.is_empty() || user.starts_with(|c: char| c.is_ascii_alphabetic()) => Self::Nothing,
            None => Self::Odd,
        }
    }

    /// The first that shows a number, if what comes before it shows nothing: From, then what the caller asserts or prefers.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Nothing { other } else { self }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct CallOut<'a> {
    /// Whose call it is.
    pub party: Party<'a>,
    /// The number shown as the caller.
    pub shown: Shown,
    /// What was dialled, as it was written.
    pub to: &'a str,
    /// What the call's offer says of encryption; none: the question is not about one offer.
    pub offer: Option<Offer>,
    /// Whether it came by TLS; none: the question is not about that.
    pub tls: Option<bool>,
}

impl CallOut<'_> {
    /// Whether keys would be read on the way that a trunk wants kept.
    fn opens_keys(&self, trunk: &TrunkOut) -> bool {
        let open = self.tls == Some(false) || !trunk.tls;
        trunk.media == MediaEncryption::Required && self.offer == Some(Offer::Secure) && open
    }
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A number, and its country.
    Number(E164, Country),
    /// Help.
    Emergency(Emergency),
}

/// A call that is let out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The number that calls.
    pub number: NumberOut,
    /// Who is called.
    pub to: Destination,
    /// The ways it goes, in the order of trying; at least one.
    pub trunks: Vec<ProviderId>,
    /// What it costs.
    pub price: Price,
}

/// A call that is refused, with as much as was known by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// The number that calls, once it is known to be the caller's.
    pub number: Option<NumberOut>,
    /// Who is called, if that was read.
    pub to: Option<E164>,
    /// In how many seconds it may be otherwise, where only time is in the way.
    pub retry_after: Option<u32>,
}

/// What somebody in a country dialled.
pub fn destination(dialled: &str, home: Country) -> Option<Destination> {
    match Emergency::dialled(dialled, home) {
        Some(emergency) => Some(Destination::Emergency(emergency)),
        None => E164::national(dialled, home).map(|(e164, plan)| Destination::Number(e164, plan.country)),
    }
}

#[cfg(test)]
mod tests;
