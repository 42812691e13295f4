//! Hosts that trunks name instead of addresses, and those that trunks have registered with. The call path reads what they
//! resolved to last, in memory; looking them up is done beside it (`edge::hosts`), again and again, and an answer that fails
//! to come changes nothing: the last good one stays.

use domain::Timestamp;
use domain::ids::ProviderId;
use domain::provider::HostName;
use domain::routing::TrunkRoute;
use domain::trunk_status::HostStatus;
use hashbrown::HashMap;
use std::net::IpAddr;

/// A name of which DNS says so often in a row that it is not there is nowhere any more: one such answer may be a mistake.
const ABSENT_MAX: u8 = 3;

/// What a look-up gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Addresses, each once, in order.
    Found(Vec<IpAddr>),
    /// There is no such name, or it has no address.
    Absent,
    /// Nobody answered.
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) trunks: Vec<TrunkRoute>,
    addresses: Vec<IpAddr>,
    /// When these were found.
    looked: Option<Timestamp>,
    next: Option<Timestamp>,
    failing: bool,
    absent: u8,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) by_name: HashMap<String, Host>,
    registrars: Vec<(TrunkRoute, Vec<IpAddr>)>,
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

    /// What a look-up of a host gave, when, and when the next one is.
    pub(super) fn resolved(&mut self, host: &str, looked: Looked, (at, next): (Timestamp, Timestamp)) {
        let Some(known) = self.by_name.get_mut(host) else { return };
        (known.next, known.failing) = (Some(next), !matches!(looked, Looked::Found(_)));
        known.absent = if looked == Looked::Absent { known.absent.saturating_add(1) } else { 0 };
        let addresses = match looked {
            Looked::Found(addresses) => {
                known.looked = Some(at);
                addresses
            }
            Looked::Absent if known.absent >= ABSENT_MAX => Vec::new(),
            Looked::Absent | Looked::Failed => return,
        };
        if known.addresses != addresses {
            known.addresses = addresses;
            self.index();
        }
    }

    /// Where a trunk has registered, in place of what was known; empty: nowhere.
    pub(super) fn put_registrar(&mut self, trunk: TrunkRoute, addresses: Vec<IpAddr>) {
        let before = self.registrars.iter().position(|(other, _)| other.id == trunk.id);
        match before {
            None if addresses.is_empty() => return,
            Some(at) if self.registrars[at] == (trunk, addresses.clone()) => return,
            Some(at) => drop(self.registrars.swap_remove(at)),
            None => {}
        }
        if !addresses.is_empty() {
            self.registrars.push((trunk, addresses));
        }
        self.index();
    }

    fn index(&mut self) {
        self.by_address.clear();
        let named = self.by_name.values().map(|host| (host.trunks.as_slice(), &host.addresses));
        let registered = self.registrars.iter().map(|(trunk, at)| (std::slice::from_ref(trunk), at));
        for (new, addresses) in named.chain(registered) {
            for address in addresses {
                let trunks = self.by_address.entry(*address).or_default();
                for trunk in new {
                    // In the order of their ids, as of trunks by their addresses.
                    if let Err(at) = trunks.binary_search_by_key(&trunk.id, |other| other.id) {
                        trunks.insert(at, *trunk);
                    }
                }
            }
        }
    }

    /// The hosts of a trunk, by name.
    pub(super) fn of(&self, trunk: ProviderId) -> Vec<HostStatus> {
        let own = self.by_name.iter().filter(|(_, host)| host.trunks.iter().any(|one| one.id == trunk));
        let mut shown: Vec<_> = own
            .map(|(name, host)| HostStatus {
                name: name.clone(),
                addresses: host.addresses.clone(),
                looked_up_at: host.looked,
                next_look_up_at: host.next,
                failing: host.failing,
            })
            .collect();
        shown.sort_by(|one, other| one.name.cmp(&other.name));
        shown
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{OrganizationId, ProviderId};
    use uuid::Uuid;

    fn trunk(n: u128) -> TrunkRoute {
        TrunkRoute::of(ProviderId(Uuid::from_u128(n)), Some(OrganizationId(Uuid::from_u128(n))))
    }

    const TIMES: (Timestamp, Timestamp) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);

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
        let found = |hosts: &mut Hosts, host: &str, addresses: &[&str]| {
            hosts.resolved(host, Looked::Found(at(addresses)), TIMES);
        };
        found(&mut hosts, "sip.a.example", &["192.0.2.1", "192.0.2.2"]);
        found(&mut hosts, "sip.b.example", &["192.0.2.2"]);
        found(&mut hosts, "sip.c.example", &["192.0.2.3"]);
        assert_eq!(ids(&hosts, "192.0.2.1"), [1, 2], "tenants behind one carrier");
        assert_eq!(ids(&hosts, "192.0.2.2").len(), 2, "each once");
        assert!(ids(&hosts, "192.0.2.3").is_empty(), "nobody names it");
        found(&mut hosts, "sip.a.example", &["192.0.2.9"]);
        assert_eq!((ids(&hosts, "192.0.2.1"), ids(&hosts, "192.0.2.9")), (vec![], vec![1, 2]));
        hosts.put(trunk(1), &[]);
        assert_eq!((ids(&hosts, "192.0.2.9"), ids(&hosts, "192.0.2.2")), (vec![2], vec![]));
        hosts.put(trunk(2), &[]);
        assert!(hosts.names().is_empty() && hosts.addresses().next().is_none());
    }

    #[test]
    fn silence_changes_nothing_and_one_denial_neither() {
        let mut hosts = Hosts::default();
        hosts.put(trunk(1), &[HostName::parse("sip.a.example").unwrap()]);
        let look = |hosts: &mut Hosts, looked| hosts.resolved("sip.a.example", looked, TIMES);
        look(&mut hosts, Looked::Found(vec!["192.0.2.1".parse().unwrap()]));
        for _ in 0..100 {
            look(&mut hosts, Looked::Failed);
        }
        let [shown] = &hosts.of(trunk(1).id)[..] else { panic!() };
        assert!(shown.failing && shown.looked_up_at.is_some() && shown.addresses.len() == 1);
        for (turn, known) in [(1, 1), (2, 1), (3, 0)] {
            look(&mut hosts, Looked::Absent);
            assert_eq!(ids(&hosts, "192.0.2.1").len(), known, "{turn}");
        }
        look(&mut hosts, Looked::Found(vec!["192.0.2.1".parse().unwrap()]));
        assert!(!hosts.of(trunk(1).id)[0].failing && hosts.of(trunk(2).id).is_empty());
        assert_eq!(ids(&hosts, "192.0.2.1"), [1]);
    }

    #[test]
    fn a_carrier_is_known_where_a_trunk_has_registered() {
        let mut hosts = Hosts::default();
        let at = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        hosts.put_registrar(trunk(1), at("192.0.2.1"));
        hosts.put_registrar(trunk(2), at("192.0.2.1"));
        hosts.put_registrar(trunk(2), at("192.0.2.1"));
        assert_eq!(ids(&hosts, "192.0.2.1"), [1, 2]);
        hosts.put_registrar(trunk(1), at("192.0.2.2"));
        assert_eq!((ids(&hosts, "192.0.2.1"), ids(&hosts, "192.0.2.2")), (vec![2], vec![1]));
        hosts.put_registrar(trunk(1), Vec::new());
        hosts.put_registrar(trunk(3), Vec::new());
        assert!(ids(&hosts, "192.0.2.2").is_empty() && hosts.registrars.len() == 1);
    }
}
