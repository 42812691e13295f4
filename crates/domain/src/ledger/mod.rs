//! Money of an organization: a double-entry ledger. Each posting's entries sum to zero; the balance is the last
//! `balance_after` of the wallet and is stored nowhere else.

use crate::Timestamp;
use crate::ids::{OrganizationId, PostingId};
use crate::money::Micros;

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

/// One movement of money. Made only by the functions below, so that it always sums to zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its id. A call's charge has the call's id, so that it can be posted only once.
    pub id: PostingId,
    /// In whose books.
    pub organization_id: OrganizationId,
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
        Self {
            id,
            organization_id,
            reason,
            at,
            entries: [(Account::Wallet, amount), (Account::Funding, -amount)],
        }
    }

    /// A sale to the organization: the wallet pays.
    pub fn sale(
        id: PostingId,
        organization_id: OrganizationId,
        price: Micros,
        reason: String,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            organization_id,
            reason,
            at,
            entries: [(Account::Wallet, -price), (Account::Sales, price)],
        }
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn every_posting_sums_to_zero(amount in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
            let (id, org) = (PostingId(Uuid::nil()), OrganizationId(Uuid::nil()));
            for make in [Posting::funding, Posting::sale] {
                let posting = make(id, org, Micros(amount), String::new(), Timestamp::UNIX_EPOCH);
                prop_assert_eq!(posting.entries().iter().map(|(_, m)| *m).sum::<Micros>(), Micros::ZERO);
            }
        }
    }
}
