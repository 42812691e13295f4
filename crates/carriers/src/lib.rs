//! Carriers: who a number is bought from. The mirror of the dialects: one folder per carrier, pure; building a request and
//! reading a reply, no network. What a carrier cannot do is said with [`Failure::Unsupported`], not with an empty success, and a
//! state that is not known reads as pending, never as done.
//!
//! Two carriers need no request at all: the operator's own stock, and a trunk that an organization brings. Both answer at once.
#![warn(clippy::wildcard_enum_match_arm)]

use domain::E164;
use domain::provider::ProviderKind;

mod stock;
mod trunk;

/// What can be asked of a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarrierOp {
    /// Make the number reach us.
    Acquire(E164),
    /// Let the number go.
    Release(E164),
}

/// What a carrier says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is under way; calls do not come yet.
    Pending,
}

/// Why a carrier did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This carrier cannot do that; what to do instead.
    Unsupported(&'static str),
}

/// A carrier.
pub trait Carrier: Sync {
    /// Its name in logs and records.
    fn name(&self) -> &'static str;

    /// Answers what needs no request over the network.
    fn ask(&self, op: CarrierOp) -> Result<Outcome, Failure>;
}

/// The carrier behind a kind of provider.
pub fn of(kind: ProviderKind) -> &'static dyn Carrier {
    match kind {
        ProviderKind::Managed => &stock::Stock,
        ProviderKind::SipTrunk => &trunk::Trunk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_provider_has_a_carrier_that_acquires_and_releases() {
        let number = E164::from_u64(14_155_550_100).unwrap();
        for (kind, _) in ProviderKind::NAMES {
            let carrier = of(kind);
            assert!(!carrier.name().is_empty());
            assert_eq!(carrier.ask(CarrierOp::Acquire(number)), Ok(Outcome::Done));
            assert_eq!(carrier.ask(CarrierOp::Release(number)), Ok(Outcome::Done));
        }
    }
}
