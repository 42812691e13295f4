//! Hosts that trunks name instead of addresses. The call path reads what they resolved to last, in memory; looking them up is
//! done beside it ([`follow`]), again and again, and an answer that fails to come changes nothing: the last good one stays.
//!
//! The system's resolver tells no time to live, so each name is asked once a minute, and after a failure sooner. A resolver
//! that tells it can be put in at [`look_up`].

use domain::provider::HostName;
use domain::routing::TrunkRoute;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Live;
use crate::clock;

/// How often names that are due are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer is used before the name is asked again.
const FRESH: Duration = Duration::from_mins(1);
/// How soon it is asked again after a failure.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest that an answer is awaited.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);
/// Addresses of one name.
const ADDRESSES_MAX: usize = 32;

#[derive(Debug, Default)]
struct Host {
    trunks: Vec<TrunkRoute>,
    addresses: Vec<IpAddr>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    by_name: HashMap<String, Host>,
    by_address: HashMap<IpAddr, Vec<TrunkRoute>>,
}

impl Hosts {
    /// The hosts of a trunk, in place of those before.
    pub(super) fn put(&mut self, trunk: TrunkRoute, hosts: &[HostName]) {
        if hosts.is_empty() && self.by_name.is_empty() {
            return;
        }
        for host in self.by_name.values_mut() {
            host.trunks.retain(|other| other.id != trunk.id);
        }
        for host in hosts {
            self.by_name.entry(host.as_str().to_owned()).or_default().trunks.push(trunk);
        }
        self.by_name.retain(|_, host| !host.trunks.is_empty());
        self.index();
    }

    /// What a host resolved to.
    pub(super) fn resolved(&mut self, host: &str, addresses: Vec<IpAddr>) {
        if let Some(known) = self.by_name.get_mut(host)
            && known.addresses != addresses
        {
            known.addresses = addresses;
            self.index();
        }
    }

    fn index(&mut self) {
        self.by_address.clear();
        for host in self.by_name.values() {
            for address in &host.addresses {
                let trunks = self.by_address.entry(*address).or_default();
                trunks.extend(
                    host.trunks.iter().filter(|one| !trunks.contains(one)).copied().collect::<Vec<_>>(),
                );
            }
        }
    }

    /// The names.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Every trunk that names a host at an address.
    pub(super) fn trunks_from(&self, source: IpAddr) -> &[TrunkRoute] {
        self.by_address.get(&source).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every address that a name resolved to.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_address.keys().copied()
    }
}

/// What a host's name resolves to: each address once, in order; none that cannot be anybody's. `None` where nobody answered.
async fn look_up(host: &str) -> Option<Vec<IpAddr>> {
    let answer = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((host, 0))).await.ok()?.ok()?;
    let usable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
    let mut found: Vec<_> = answer.map(|found| found.ip().to_canonical()).filter(usable).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    (!found.is_empty()).then_some(found)
}

/// Keeps the hosts of trunks resolved until the task is dropped.
pub(crate) async fn follow(live: Arc<Live>) {
    let mut due: HashMap<String, Instant> = HashMap::new();
    loop {
        let names = live.hosts();
        due.retain(|name, _| names.contains(name));
        for name in names {
            let now = clock::instant();
            if due.get(&name).is_some_and(|due| *due > now) {
                continue;
            }
            let found = look_up(&name).await;
            let pause = if found.is_some() { FRESH } else { AGAIN };
            if let Some(addresses) = found {
                live.put_host(&name, addresses);
            } else {
                tracing::warn!(host = %name, "a trunk's host cannot be resolved: the last answer stays");
            }
            due.insert(name, clock::instant() + pause);
        }
        clock::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{OrganizationId, ProviderId};
    use uuid::Uuid;

    fn trunk(n: u128) -> TrunkRoute {
        TrunkRoute::of(ProviderId(Uuid::from_u128(n)), Some(OrganizationId(Uuid::from_u128(n))))
    }

    fn ids(hosts: &Hosts, address: &str) -> Vec<u128> {
        hosts.trunks_from(address.parse().unwrap()).iter().map(|trunk| trunk.id.0.as_u128()).collect()
    }

    #[test]
    fn a_host_is_wherever_it_resolved_to_last() {
        let mut hosts = Hosts::default();
        let name = |text: &str| HostName::parse(text).unwrap();
        let at = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        hosts.put(trunk(1), &[name("sip.a.example"), name("sip.b.example")]);
        hosts.put(trunk(2), &[name("sip.a.example")]);
        assert_eq!((hosts.names().len(), ids(&hosts, "192.0.2.1")), (2, vec![]), "nothing is known yet");
        hosts.resolved("sip.a.example", at(&["192.0.2.1", "192.0.2.2"]));
        hosts.resolved("sip.b.example", at(&["192.0.2.2"]));
        hosts.resolved("sip.c.example", at(&["192.0.2.3"]));
        assert_eq!(ids(&hosts, "192.0.2.1"), [1, 2], "tenants behind one carrier");
        assert_eq!(ids(&hosts, "192.0.2.2").len(), 2, "each once");
        assert!(ids(&hosts, "192.0.2.3").is_empty(), "nobody names it");
        hosts.resolved("sip.a.example", at(&["192.0.2.9"]));
        assert_eq!((ids(&hosts, "192.0.2.1"), ids(&hosts, "192.0.2.9")), (vec![], vec![1, 2]));
        hosts.put(trunk(1), &[]);
        assert_eq!((ids(&hosts, "192.0.2.9"), ids(&hosts, "192.0.2.2")), (vec![2], vec![]));
        hosts.put(trunk(2), &[]);
        assert!(hosts.names().is_empty() && hosts.addresses().next().is_none());
    }
}
