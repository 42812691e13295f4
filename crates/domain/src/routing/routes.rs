//! What the call path knows of numbers, trunks, tenants and endpoints.

use crate::endpoint::{Endpoint, EndpointKind, EndpointStatus};
use crate::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use crate::money::Micros;
use crate::number::{Network, Status};
use crate::provider::{MediaEncryption, Offer};
use crate::trail::{Rule, RuleName, Seen};

use super::Refusal;

/// Whether a number takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It does.
    Open,
    /// Its holder has switched them off.
    Off,
    /// It is not made for them, whatever its holder says.
    NoVoice,
}

impl Intake {
    /// By a number's `allow_inbound` and its capability for voice.
    pub fn of(allow_inbound: bool, voice: bool) -> Self {
        match (voice, allow_inbound) {
            (false, _) => Self::NoVoice,
            (true, false) => Self::Off,
            (true, true) => Self::Open,
        }
    }
}

/// A number as the call path knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberRoute {
    /// Its id.
    pub id: NumberId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Its state.
    pub status: Status,
    /// Whether it is inactive because its rent is not paid.
    pub unpaid: bool,
    /// Whether it takes calls.
    pub intake: Intake,
    /// Its own trunk; none: the operator's stock.
    pub trunk: Option<ProviderId>,
    /// Which phone network it is part of.
    pub network: Network,
    /// Where its calls go.
    pub endpoint_id: Option<EndpointId>,
    /// Whether its holder has said more of its calls: [`super::Table::rules`].
    pub ruled: bool,
}

/// A trunk as the call path knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkRoute {
    /// Its id.
    pub id: ProviderId,
    /// Whose it is; none: the operator's, which carries the stock's numbers of all.
    pub organization_id: Option<OrganizationId>,
    /// Which phone network it brings calls from.
    pub network: Network,
}

impl TrunkRoute {
    /// The route of a trunk.
    pub fn of(id: ProviderId, organization_id: Option<OrganizationId>) -> Self {
        let network = if id == ProviderId::SIMULATED { Network::Simulated } else { Network::Public };
        Self { id, organization_id, network }
    }
}

/// A tenant as the call path knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrganizationRoute {
    /// What it can spend.
    pub balance: Micros,
    /// The price of a call's minute.
    pub rate_per_minute: Micros,
    /// How many calls it may have in progress; none: no limit.
    pub calls_max: Option<u32>,
}

/// An endpoint as the rules know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRoute {
    /// What stands behind it.
    pub kind: EndpointKind,
    /// Whether it is in use.
    pub status: EndpointStatus,
    /// How many of its targets are switched on.
    pub targets_on: usize,
    /// How many of those are known to be down; none: they are not asked.
    pub down: Option<usize>,
    /// Whether it has fallbacks of its own: [`super::Table::fallback`].
    pub has_fallback: bool,
    /// What its sound may be.
    pub media: EndpointMedia,
}

/// What the sound of calls to an endpoint may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointMedia {
    /// Whether it is encrypted.
    pub encryption: MediaEncryption,
    /// Whether its keys may be agreed by DTLS.
    pub dtls: bool,
    /// Whether all its targets are reached by TLS.
    pub tls: bool,
}

impl EndpointMedia {
    /// Of an endpoint.
    pub fn of(endpoint: &Endpoint) -> Self {
        let mut on = endpoint.targets.iter().filter(|target| target.enabled);
        Self {
            encryption: endpoint.manner.media_encryption,
            dtls: crate::platform::preset_of(endpoint.kind, &endpoint.config).dtls,
            tls: on.all(|target| target.uri.transport().secure()),
        }
    }

    /// Why an offer that came through a trunk cannot go there. `tls` says whether the call came encrypted, where that is known.
    pub fn refuses(&self, offer: Offer, trunk: MediaEncryption, tls: Option<bool>) -> Option<Refusal> {
        let required = [self.encryption, trunk].contains(&MediaEncryption::Required);
        if self.encryption.refuses(offer) {
            let plain = self.encryption == MediaEncryption::Required;
            return Some(if plain { Refusal::EndpointMediaPlain } else { Refusal::EndpointMediaSecure });
        }
        if offer == Offer::Dtls && !self.dtls {
            return Some(Refusal::EndpointMediaDtls);
        }
        // who reads the offer reads the keys
        let open = required && offer == Offer::Secure && (tls == Some(false) || !self.tls);
        open.then_some(Refusal::MediaKeysOpen)
    }
}

impl EndpointRoute {
    /// Whether all its targets are known to be down.
    pub fn all_down(&self) -> bool {
        self.targets_on > 0 && self.down == Some(self.targets_on)
    }

    /// What is told of its targets, where they are asked.
    pub(super) fn health(&self) -> Option<Rule> {
        let down = self.down?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let seen = Seen::Down { down: count(down), of: count(self.targets_on) };
        Some(if down == 0 {
            RuleName::TargetsUp.is(true)
        } else {
            RuleName::TargetsUp.is(false).seeing(seen)
        })
    }
}

impl From<&Endpoint> for EndpointRoute {
    fn from(endpoint: &Endpoint) -> Self {
        let targets_on = endpoint.targets.iter().filter(|target| target.enabled).count();
        let has_fallback = !endpoint.rules.fallback.is_empty();
        let media = EndpointMedia::of(endpoint);
        Self { kind: endpoint.kind, status: endpoint.status, targets_on, down: None, has_fallback, media }
    }
}
