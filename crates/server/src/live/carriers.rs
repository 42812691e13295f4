//! Calls of carriers at which organizations have accounts. A carrier's customers share its addresses, so an address tells no more
//! than the carrier: whose call it is, is told by the number alone, and a number of an account is reached in no other way.

use domain::carrier_account::CarrierSources;
use domain::ids::{OrganizationId, ProviderId};
use domain::provider::AddressRule;
use domain::routing::TrunkRoute;
use hashbrown::HashSet;
use std::net::SocketAddr;
use uuid::Uuid;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    sources: CarrierSources,
    /// Whether the simulated network stands for carriers too.
    pub(super) simulated: bool,
    pub(super) accounts: HashSet<ProviderId>,
}

/// A carrier as such: it is known here, and its address alone reaches no number.
const SOME_ACCOUNT: ProviderId = ProviderId(Uuid::nil());

impl Carriers {
    pub(super) fn from(&mut self, sources: CarrierSources, simulated: bool) {
        (self.sources, self.simulated) = (sources, simulated);
    }

    /// A provider is an account, or (`false`) is none any more.
    pub(super) fn put(&mut self, id: ProviderId, is_account: bool) {
        if is_account {
            self.accounts.insert(id);
        } else {
            self.accounts.remove(&id);
        }
    }

    pub(super) fn is_account(&self, id: ProviderId) -> bool {
        self.accounts.contains(&id)
    }

    /// Whether a call from a socket is a carrier's. Where nobody has an account, none is.
    pub(super) fn calls_from(&self, source: SocketAddr) -> bool {
        !self.accounts.is_empty() && self.sources.contains(source.ip().to_canonical())
    }

    /// Whether an address range shares an address with a carrier's at which somebody has an account.
    pub(super) fn overlaps(&self, rule: &AddressRule) -> bool {
        !self.accounts.is_empty() && self.sources.0.iter().any(|source| source.overlaps(rule))
    }

    /// What is known of a call by its address.
    pub(super) fn unnamed() -> TrunkRoute {
        TrunkRoute::of(SOME_ACCOUNT, Some(OrganizationId::NONE))
    }
}
