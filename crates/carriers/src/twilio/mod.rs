//! Twilio: numbers in an organization's own account reach us through an elastic SIP trunk that we make there. The trunk has
//! one origination URL, ours, and the numbers are attached to it. Where a number calls out, the trunk has a termination domain and
//! a credential list of ours beside; nothing else in the account is touched.
//!
//! Two of its APIs: `2010-04-01` (the numbers and the credential lists of the account) and Trunking v1. The used part of both contracts is
//! `contracts/carriers/twilio.json`. Keys of the standard kind cannot read the account itself (error 20003), so a key is
//! checked by reading one of the account's numbers.

#[cfg(test)]
mod played;
mod talk;
mod way_out;
mod wire;

use domain::provider::AddressRule;

use crate::account::{Access, AccountCarrier, Talk, Task};

/// See the module's head.
pub(crate) struct Twilio;

/// The signalling addresses that Twilio publishes for elastic SIP trunking (twilio.com/docs/sip-trunking/ip-addresses): each
/// edge's gateways, in the order Virginia, Oregon, Dublin, Frankfurt, Singapore, Tokyo, São Paulo, Sydney.
const SIGNALLING: [&str; 8] = [
    "54.172.60.0/30",
    "54.244.51.0/30",
    "54.171.127.192/30",
    "35.156.191.128/30",
    "54.169.127.128/30",
    "54.65.63.192/30",
    "177.71.206.192/30",
    "54.252.254.64/30",
];

impl AccountCarrier for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn sources(&self) -> Vec<AddressRule> {
        SIGNALLING.iter().filter_map(|text| AddressRule::parse(text)).collect()
    }

    fn lets_out_at(&self, host: &str) -> bool {
        host.ends_with(way_out::DOMAIN)
    }

    fn begin(&self, task: Task, access: Access) -> Box<dyn Talk> {
        match task {
            Task::Open(way) => Box::new(way_out::Opening::new(way, access)),
            Task::Close(name) => Box::new(way_out::Closing::new(name, access)),
            task @ (Task::Check
            | Task::Find(_)
            | Task::Missing(_)
            | Task::Attach(..)
            | Task::Detach(..)
            | Task::Dismantle(_)) => Box::new(talk::Conversation::new(task, access)),
        }
    }
}

#[cfg(test)]
mod contract_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signalling_range_is_read() {
        assert_eq!(Twilio.sources().len(), SIGNALLING.len());
        assert!(Twilio.sources().iter().all(|rule| rule.prefix == 30));
    }
}
