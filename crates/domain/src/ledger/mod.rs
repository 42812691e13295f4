//! Money of an organization: a double-entry ledger. Each posting's entries sum to zero; the balance is the last
//! `balance_after` of the wallet and is stored nowhere else.

use uuid::Uuid;

use crate::Timestamp;
use crate::call::Call;
use crate::ids::{CallId, NumberId, OrganizationId, PostingId};
use crate::money::Micros;
use crate::number::{Network, Number, period_start};

/// An account within an organization's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What the organization can spend.
    Wallet,
    /// Where its money came from.
    Funding,
    /// What was sold to it.
    Sales,
}

impl Account {
    /// The accounts with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Wallet, "wallet"), (Self::Funding, "funding"), (Self::Sales, "sales")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// What a movement of money is about. A posting says of which thing it is, so that an entry can be followed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Money in or out by the operator's hand.
    Funding,
    /// A number was bought: setup and first month. The number is not known of what was bought before postings had subjects.
    Purchase(Option<NumberId>),
    /// A number's rent for one period, counted from its purchase.
    Rental(NumberId, u32),
    /// A number's price, or a part of it, given back.
    Refund(NumberId),
    /// A call.
    Call(CallId),
}

impl Subject {
    /// The kinds.
    pub const KINDS: [&'static str; 5] = ["funding", "purchase", "rental", "refund", "call"];

    /// What kind it is.
    pub fn kind(self) -> &'static str {
        let [funding, purchase, rental, refund, call] = Self::KINDS;
        match self {
            Self::Funding => funding,
            Self::Purchase(_) => purchase,
            Self::Rental(..) => rental,
            Self::Refund(_) => refund,
            Self::Call(_) => call,
        }
    }

    /// The number it is about.
    pub fn number(self) -> Option<NumberId> {
        match self {
            Self::Purchase(number) => number,
            Self::Rental(number, _) | Self::Refund(number) => Some(number),
            Self::Funding | Self::Call(_) => None,
        }
    }

    /// The call it is about.
    pub fn call(self) -> Option<CallId> {
        match self {
            Self::Call(call) => Some(call),
            Self::Funding | Self::Purchase(_) | Self::Rental(..) | Self::Refund(_) => None,
        }
    }

    /// The period it is for.
    pub fn period(self) -> Option<u32> {
        match self {
            Self::Rental(_, period) => Some(period),
            Self::Funding | Self::Purchase(_) | Self::Refund(_) | Self::Call(_) => None,
        }
    }

    /// From its parts as stored.
    pub fn of(
        kind: &str,
        number: Option<NumberId>,
        call: Option<CallId>,
        period: Option<u32>,
    ) -> Option<Self> {
        let [funding, purchase, rental, refund, a_call] = Self::KINDS;
        match kind {
            kind if kind == funding => Some(Self::Funding),
            kind if kind == purchase => Some(Self::Purchase(number)),
            kind if kind == rental => number.zip(period).map(|(number, period)| Self::Rental(number, period)),
            kind if kind == refund => number.map(Self::Refund),
            kind if kind == a_call => call.map(Self::Call),
            _ => None,
        }
    }
}

impl PostingId {
    /// The id of what is posted once about a thing: a hash of the thing's own id, of what is posted, and of a count.
    fn once(thing: Uuid, what: &str, count: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("trunkline posting id 1");
        hasher.update(thing.as_bytes()).update(&count.to_le_bytes()).update(what.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Of a number's purchase.
    pub fn of_purchase(number: NumberId) -> Self {
        Self::once(number.0, "purchase", 0)
    }

    /// Of a number's rent for one period.
    pub fn of_rental(number: NumberId, period: u32) -> Self {
        Self::once(number.0, "rental", period)
    }

    /// Of what is given back of a number's price: once, whatever the reason.
    pub fn of_refund(number: NumberId) -> Self {
        Self::once(number.0, "refund", 0)
    }

    /// Of what a call cost beside its first charge.
    pub fn of_correction(call: CallId) -> Self {
        Self::once(call.0, "correction", 0)
    }
}

/// One movement of money. Made only by the functions below, so that it always sums to zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its id. That of what can be posted only once is made of the thing's id: the ledger refuses a second.
    pub id: PostingId,
    /// In whose books.
    pub organization_id: OrganizationId,
    /// What it is about.
    pub subject: Subject,
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    entries: [(Account, Micros); 2],
}

impl Posting {
    /// Money in (or, negative, out) by the operator's hand.
    pub fn funding(
        id: PostingId,
        organization_id: OrganizationId,
        amount: Micros,
        reason: String,
        at: Timestamp,
    ) -> Self {
        let entries = [(Account::Wallet, amount), (Account::Funding, -amount)];
        Self { id, organization_id, subject: Subject::Funding, reason, at, entries }
    }

    /// Setup and first month of a number that is bought; none where they cost nothing, as of numbers for tests.
    pub fn purchase(number: &Number, at: Timestamp) -> Option<Self> {
        let price = number.setup_cost + number.monthly_cost;
        let subject = Subject::Purchase(Some(number.id));
        let about = (PostingId::of_purchase(number.id), number.organization_id, subject);
        let costs = price > Micros::ZERO && number.network != Network::Test;
        costs.then(|| Self::sale(about, price, format!("number {} bought", number.e164), at))
    }

    /// A number's rent for one period, counted from its purchase.
    pub fn rental(number: &Number, period: u32, at: Timestamp) -> Self {
        let begins = period_start(number.created_at, period).unwrap_or(at).to_zoned(jiff::tz::TimeZone::UTC);
        let reason = format!("number {} rented for the month from {}", number.e164, begins.date());
        let subject = Subject::Rental(number.id, period);
        let about = (PostingId::of_rental(number.id, period), number.organization_id, subject);
        Self::sale(about, number.monthly_cost, reason, at)
    }

    /// Gives back what was paid for a number, or a part of it. Of one number this can be posted once: a second is refused by
    /// the ledger as there already. A purchase that the carrier refuses is given back in whole: setup and monthly cost.
    pub fn refund(number: &Number, amount: Micros, reason: String, at: Timestamp) -> Self {
        let about = (PostingId::of_refund(number.id), number.organization_id, Subject::Refund(number.id));
        Self::sale(about, -amount, reason, at)
    }

    /// What a call cost, in so far as it is not charged: the first charge has the call's id. A call that was closed without
    /// its end being seen is charged the rest once, when that is. None where nothing is left to charge, or to give back.
    pub fn call(call: &Call, charged: Micros) -> Option<Self> {
        let (id, reason) = if charged == Micros::ZERO {
            (PostingId(call.id.0), format!("Call {}", call.id))
        } else {
            (PostingId::of_correction(call.id), format!("Call {}: its end was seen later", call.id))
        };
        let (rest, at) = (call.cost - charged, call.ended_at.unwrap_or(call.started_at));
        let about = (id, call.organization_id, Subject::Call(call.id));
        (rest != Micros::ZERO).then(|| Self::sale(about, rest, reason, at))
    }

    /// The wallet pays (or, negative, gets back) a price.
    fn sale(
        (id, organization_id, subject): (PostingId, OrganizationId, Subject),
        price: Micros,
        reason: String,
        at: Timestamp,
    ) -> Self {
        let entries = [(Account::Wallet, -price), (Account::Sales, price)];
        Self { id, organization_id, subject, reason, at, entries }
    }

    /// Its entries; they sum to zero.
    pub fn entries(&self) -> &[(Account, Micros)] {
        &self.entries
    }
}

/// One entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts entries of the installation; the list's key.
    pub id: u64,
    /// The posting it belongs to.
    pub posting_id: PostingId,
    /// What the posting is about.
    pub subject: Subject,
    /// The account.
    pub account: Account,
    /// What was added to it.
    pub amount: Micros,
    /// What it holds since.
    pub balance_after: Micros,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests;
