//! From where agents call without a password: the source addresses of endpoints. Platforms call for many tenants from the same
//! addresses, so one address may be several organizations'; which it is, is told by the number that is shown as the caller.

use domain::Endpoint;
use domain::endpoint::EndpointStatus;
use domain::ids::{EndpointId, OrganizationId};
use domain::provider::AddressRule;
use hashbrown::HashMap;
use std::net::IpAddr;

/// An endpoint whose addresses these are.
pub(super) type Owner = (EndpointId, OrganizationId);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Single addresses; ranges are in `ranges`.
    pub(super) addresses: HashMap<IpAddr, Vec<Owner>>,
    pub(super) ranges: Vec<(AddressRule, Owner)>,
    /// Endpoints that have any: most have none, and nothing is looked for when they change.
    pub(super) known: HashMap<EndpointId, Vec<AddressRule>>,
}

fn is_single(rule: &AddressRule) -> bool {
    rule.prefix == if rule.network.is_ipv4() { 32 } else { 128 }
}

impl Sources {
    /// An endpoint was made, changed, or went away. One that is off calls nobody.
    pub(super) fn put(&mut self, id: EndpointId, endpoint: Option<&Endpoint>) {
        for rule in self.known.remove(&id).unwrap_or_default() {
            if let Some(owners) = self.addresses.get_mut(&rule.network).filter(|_| is_single(&rule)) {
                owners.retain(|(other, _)| *other != id);
                if owners.is_empty() {
                    self.addresses.remove(&rule.network);
                }
            }
            self.ranges.retain(|(_, (other, _))| *other != id);
        }
        let Some(endpoint) = endpoint.filter(|e| e.status == EndpointStatus::Active) else { return };
        if endpoint.source_addresses.is_empty() {
            return;
        }
        let owner = (id, endpoint.organization_id);
        for rule in &endpoint.source_addresses {
            if is_single(rule) {
                self.addresses.entry(rule.network).or_default().push(owner);
            } else {
                self.ranges.push((*rule, owner));
            }
        }
        self.known.insert(id, endpoint.source_addresses.clone());
    }

    /// Whose an address is; each once.
    pub(super) fn organizations_from(&self, source: IpAddr) -> Vec<OrganizationId> {
        let single = self.addresses.get(&source).into_iter().flatten();
        let ranges = self.ranges.iter().filter(|(rule, _)| rule.contains(source)).map(|(_, owner)| owner);
        let mut owners: Vec<_> = single.chain(ranges).map(|(_, organization)| *organization).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::endpoint::EndpointPatch;
    use domain::number::Environment;
    use uuid::Uuid;

    fn endpoint(id: u128, owner: u128, addresses: &[&str], status: EndpointStatus) -> Endpoint {
        let rules = addresses.iter().map(|text| AddressRule::parse(text).unwrap()).collect();
        let patch = EndpointPatch {
            name: Some("e".into()),
            status: Some(status),
            source_addresses: Some(rules),
            ..EndpointPatch::default()
        };
        let (owner, id) = (OrganizationId(Uuid::from_u128(owner)), EndpointId(Uuid::from_u128(id)));
        Endpoint::create(owner, id, patch, Environment::Live, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn addresses_are_those_of_endpoints_that_are_on() {
        let mut sources = Sources::default();
        let mut put = |id, owner, addresses: &[&str], status| {
            let one = endpoint(id, owner, addresses, status);
            sources.put(one.id, Some(&one));
            ["192.0.2.7", "192.0.2.8"].map(|from| {
                let owners = sources.organizations_from(from.parse().unwrap());
                owners.iter().map(|o| o.0.as_u128()).collect::<Vec<_>>()
            })
        };
        let (on, off) = (EndpointStatus::Active, EndpointStatus::Inactive);
        assert_eq!(put(1, 1, &["192.0.2.7"], on), [vec![1], vec![]]);
        assert_eq!(put(2, 2, &["192.0.2.0/24", "192.0.2.7"], on), [vec![1, 2], vec![2]]);
        assert_eq!(put(1, 1, &["192.0.2.8"], on), [vec![2], vec![1, 2]]);
        assert_eq!(put(2, 2, &["192.0.2.0/24"], off), [vec![], vec![1]]);
        sources.put(EndpointId(Uuid::from_u128(1)), None);
        assert!(sources.known.is_empty() && sources.addresses.is_empty() && sources.ranges.is_empty());
    }
}
