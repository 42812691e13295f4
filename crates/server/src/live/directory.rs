//! Everything in the live table but the numbers: tenants, endpoints, trunks, keys. Changed in place under one lock; a change
//! costs the same whether there are ten of them or a million.

use dialects::plan::Plan;
use domain::call::Direction;
use domain::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use domain::key::KeyHash;
use domain::organization::Settings;
use domain::outbound::{Caps, Countries};
use domain::platform;
use domain::provider::{AddressRule, Provider, ProviderKind};
use domain::reach::{Private, Reach};
use domain::routing::{OrganizationRoute, TrunkRoute};
use domain::rules::{NumberRules, Schedule};
use domain::{E164, Endpoint, Key, Micros, Organization, Price, Timestamp};
use hashbrown::{HashMap, HashSet};
use sip::{Login, Manner};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::carriers::Carriers;
use super::guards::{Guard, Guards};
use super::hosts::{Hosts, Looked};
use super::numbers::NONE;
use super::rates::Rates;
use super::reach::Grounds;
use super::sources::Sources;

/// Names of an organization's targets that a certificate is compared with.
const SECURE_HOSTS_MAX: usize = 256;

/// Gives small integers for ids. They are never reused, so a number that still names a thing that is gone finds nothing.
#[derive(Debug)]
pub(super) struct Indexed<K, V> {
    by_id: HashMap<K, u32>,
    rows: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Indexed<K, V> {
    fn default() -> Self {
        Self { by_id: HashMap::new(), rows: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Indexed<K, V> {
    /// The small integer of an id, given out at its first mention: a number may come before its endpoint.
    fn index(&mut self, id: K) -> u32 {
        *self.by_id.entry(id).or_insert_with(|| {
            self.rows.push((id, None));
            u32::try_from(self.rows.len() - 1).expect("fewer than 2^32 things")
        })
    }

    pub(super) fn put(&mut self, id: K, value: Option<V>) {
        let index = self.index(id);
        self.rows[index as usize].1 = value;
    }

    fn at(&self, index: u32) -> Option<&(K, Option<V>)> {
        self.rows.get(index as usize)
    }

    fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.iter().filter_map(|(_, value)| value.as_ref())
    }

    /// Shows what is there.
    #[cfg(test)]
    pub(super) fn each(&self, mut see: impl FnMut(K, &V)) {
        self.rows
            .iter()
            .filter_map(|(id, value)| Some((*id, value.as_ref()?)))
            .for_each(|(id, one)| see(id, one));
    }

    /// What is there besides these.
    pub(super) fn others(&self, seen: &HashSet<K>) -> Vec<K> {
        let there = self.rows.iter().filter(|(_, value)| value.is_some());
        there.map(|(id, _)| *id).filter(|id| !seen.contains(id)).collect()
    }

    fn get(&self, id: K) -> Option<&V> {
        self.by_id.get(&id).and_then(|&index| self.at(index)).and_then(|(_, value)| value.as_ref())
    }
}

/// A tenant as the edge needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// What the rules read.
    pub(crate) route: OrganizationRoute,
    /// Whom its numbers may call.
    pub(crate) countries: Countries,
    /// What bounds how many calls they begin.
    pub(crate) caps: Caps,
    /// The longest call.
    pub(crate) max_call_seconds: u32,
    /// Its plan in each vendor's API that has such.
    pub(crate) plans: PlansHeld,
    /// Whether what it names for SIP may be at private addresses, where its settings say.
    pub(crate) private: Option<Private>,
}

/// A plan by the name of its dialect, for each dialect that there is.
type PlansHeld = [Option<(&'static str, &'static Plan)>; dialects::COUNT];

/// The plans that an organization's settings name. Names were checked when they were written; one that is none sets no limit.
fn plans_of(settings: &domain::Bag) -> PlansHeld {
    dialects::all().map(|dialect| {
        let plan = dialect.plans().and_then(|plans| plans.of(settings).ok().flatten());
        plan.map(|plan| (dialect.name(), plan))
    })
}

fn registers(endpoint: &Endpoint) -> bool {
    endpoint.targets.iter().any(|target| target.enabled && target.uri.is_registered())
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(super) organizations: Indexed<OrganizationId, Tenant>,
    pub(super) endpoints: Indexed<EndpointId, Arc<Endpoint>>,
    pub(super) trunks: Indexed<ProviderId, Arc<Provider>>,
    /// Trunks by single addresses; ranges are in `ranges`. Here and there in the order of their ids: of which of several a call is,
    /// every node says alike, whatever changed first.
    pub(super) addresses: HashMap<IpAddr, Vec<TrunkRoute>>,
    /// Trunks by the domains of their callers' certificates.
    pub(super) certificates: HashMap<String, Vec<ProviderId>>,
    pub(super) ranges: Vec<(AddressRule, TrunkRoute)>,
    /// Trunks by what the hosts that they name resolve to.
    pub(super) hosts: Hosts,
    pub(super) keys: HashMap<KeyHash, Arc<Key>>,
    /// Trunks whose callers are asked for a password.
    pub(super) guards: Guards,
    /// What answers challenges of targets and carriers, by the endpoint or trunk that it is of.
    pub(super) logins: HashMap<Uuid, Arc<Login>>,
    /// What targets of endpoints need beyond the ordinary; most need nothing.
    pub(super) manners: HashMap<EndpointId, Arc<Manner>>,
    /// Sockets of this process's own from which the simulated network calls.
    pub(super) simulated: Vec<SocketAddr>,
    /// Carriers at which organizations have accounts.
    pub(super) carriers: Carriers,
    /// From where endpoints call without a password.
    pub(super) sources: Sources,
    /// Endpoints with a target for registered agents.
    pub(super) registering: usize,
    /// Endpoints whose targets are asked.
    pub(super) asked: HashSet<EndpointId>,
    /// The operator's trunks that take calls out.
    pub(super) operators: Vec<ProviderId>,
    /// What calls cost by prefix.
    pub(super) rates: Rates,
    /// What is said of calls to numbers: few have it.
    pub(super) rules: HashMap<NumberId, Arc<NumberRules>>,
    /// Where what is named for SIP may be, unless an organization's settings say otherwise.
    pub(super) grounds: Grounds,
    /// When organizations' numbers take calls, where they say so.
    pub(super) schedules: HashMap<OrganizationId, Arc<Schedule>>,
}

impl Directory {
    /// A tenant was made or changed.
    pub(crate) fn put_organization(&mut self, organization: &Organization, balance: Micros) {
        // Settings are checked when they are written; should a row predate a rule, its defaults hold.
        let settings =
            Settings::read(&organization.settings).or_else(|_| Settings::read(&domain::Bag::new()));
        let (countries, caps) =
            settings.as_ref().map(|s| (s.outbound_countries.clone(), s.outbound_caps)).unwrap_or_default();
        let private = settings.as_ref().ok().and_then(|settings| settings.sip_private);
        let (rate, max_call_seconds, own_max) = settings.map_or((0, 14_400, None), |s| {
            (s.rate_cents_per_minute, s.max_call_seconds, s.max_concurrent_calls)
        });
        match Settings::read(&organization.settings).ok().and_then(|settings| settings.schedule) {
            Some(schedule) => drop(self.schedules.insert(organization.id, Arc::new(schedule))),
            None => drop(self.schedules.remove(&organization.id)),
        }
        let rate_per_minute = Micros::from_cents(rate).unwrap_or_default();
        let plans = plans_of(&organization.settings);
        let by_plan = plans.iter().flatten().filter_map(|(_, plan)| plan.calls);
        // Of several limits the narrowest holds.
        let calls_max = by_plan.chain(own_max).min();
        let route = OrganizationRoute { balance, rate_per_minute, calls_max };
        let tenant = Tenant { route, countries, caps, max_call_seconds, plans, private };
        self.organizations.put(organization.id, Some(tenant));
    }

    /// A tenant's money moved.
    pub(crate) fn put_balance(&mut self, id: OrganizationId, balance: Micros) {
        if let Some(mut tenant) = self.organizations.get(id).cloned() {
            tenant.route.balance = balance;
            self.organizations.put(id, Some(tenant));
        }
    }

    /// An endpoint was made, changed, or (`None`) went away.
    /// Its login was put before.
    pub(crate) fn put_endpoint(&mut self, id: EndpointId, endpoint: Option<Endpoint>) {
        let manner = endpoint.as_ref().map(|endpoint| self.manner_of(endpoint)).unwrap_or_default();
        if manner == Manner::default() {
            self.manners.remove(&id);
        } else {
            self.manners.insert(id, Arc::new(manner));
        }
        self.sources.put(id, endpoint.as_ref());
        let former = self.endpoints.get(id).map(Arc::as_ref).is_some_and(registers);
        self.registering += usize::from(endpoint.as_ref().is_some_and(registers));
        self.registering -= usize::from(former);
        if endpoint.as_ref().is_some_and(super::health::asked) {
            self.asked.insert(id);
        } else {
            self.asked.remove(&id);
        }
        self.endpoints.put(id, endpoint.map(Arc::new));
    }

    /// The endpoints whose targets are asked whether they are there.
    pub(super) fn asked(&self) -> Vec<Arc<Endpoint>> {
        self.asked.iter().filter_map(|id| self.endpoints.get(*id).cloned()).collect()
    }

    fn manner_of(&self, endpoint: &Endpoint) -> Manner {
        let preset = platform::preset_of(endpoint.kind, &endpoint.config);
        let ring = endpoint.manner.ring_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Manner { login: self.login(endpoint.id.0), sdp_type: preset.sdp_type, once: preset.once, ring }
    }

    /// What the targets of an endpoint need beyond the ordinary.
    pub(super) fn manner(&self, id: EndpointId) -> Option<Arc<Manner>> {
        // most installations have none
        if self.manners.is_empty() { None } else { self.manners.get(&id).cloned() }
    }

    /// Whether an endpoint has a target for registered agents.
    pub(super) fn registers(&self) -> bool {
        self.registering > 0
    }

    /// A provider was made, changed, or (`None`) went away.
    /// `guard` is what it asks of its callers.
    pub(super) fn put_provider(&mut self, id: ProviderId, provider: Option<Provider>, guard: Option<Guard>) {
        self.addresses.retain(|_, trunks| {
            trunks.retain(|trunk| trunk.id != id);
            !trunks.is_empty()
        });
        self.ranges.retain(|(_, trunk)| trunk.id != id);
        self.carriers.put(id, provider.as_ref().is_some_and(|p| p.kind.is_account()));
        let trunk = provider.filter(|p| p.kind != ProviderKind::Managed);
        for rule in trunk.iter().filter_map(|t| t.inbound.as_ref()).flat_map(|i| &i.allowed_addresses) {
            let route = TrunkRoute::of(id, trunk.as_ref().and_then(|t| t.organization_id));
            let widest = if rule.network.is_ipv4() { 32 } else { 128 };
            if rule.prefix == widest {
                let trunks = self.addresses.entry(rule.network).or_default();
                trunks.insert(trunks.partition_point(|other| other.id <= id), route);
            } else {
                let at = self.ranges.partition_point(|(_, other)| other.id <= id);
                self.ranges.insert(at, (*rule, route));
            }
        }
        self.certificates.retain(|_, trunks| {
            trunks.retain(|other| *other != id);
            !trunks.is_empty()
        });
        for name in trunk.iter().filter_map(|t| t.inbound.as_ref()).flat_map(|i| i.certificate_names.iter()) {
            self.certificates.entry(name.clone()).or_default().push(id);
        }
        let hosts = trunk.as_ref().and_then(|t| t.inbound.as_ref()).map(|i| i.allowed_hosts.as_slice());
        let owner = trunk.as_ref().and_then(|t| t.organization_id);
        self.hosts.put(TrunkRoute::of(id, owner), hosts.unwrap_or_default());
        if trunk.as_ref().is_none_or(|t| t.register.is_none()) {
            self.hosts.put_registrar(TrunkRoute::of(id, owner), Vec::new());
        }
        self.guards.put(id, guard.filter(|_| trunk.is_some()));
        self.operators.retain(|other| *other != id);
        if trunk.as_ref().is_some_and(|t| t.organization_id.is_none() && t.outbound.is_some()) {
            self.operators.push(id);
        }
        self.trunks.put(id, trunk.map(Arc::new));
    }

    /// What answers challenges for an endpoint or a trunk, if it has that.
    pub(super) fn put_login(&mut self, owner: Uuid, login: Option<Arc<Login>>) {
        match login {
            Some(login) => drop(self.logins.insert(owner, login)),
            None => drop(self.logins.remove(&owner)),
        }
    }

    /// The login of an endpoint or a trunk.
    pub(super) fn login(&self, owner: Uuid) -> Option<Arc<Login>> {
        self.logins.get(&owner).cloned()
    }

    /// A key was made, changed or revoked.
    pub(crate) fn put_key(&mut self, key: Key) {
        if key.revoked_at.is_some() {
            self.keys.remove(&key.hash);
        } else {
            self.keys.insert(key.hash, Arc::new(key));
        }
    }

    /// A live key by its secret's hash.
    pub(crate) fn key(&self, hash: &KeyHash) -> Option<&Arc<Key>> {
        self.keys.get(hash)
    }

    /// A tenant.
    pub(crate) fn organization(&self, id: OrganizationId) -> Option<&Tenant> {
        self.organizations.get(id)
    }

    /// Where what somebody names for SIP may be; none: the operator, whose may be anywhere.
    pub(super) fn reach(&self, owner: Option<OrganizationId>) -> Reach {
        owner.map_or(Reach::ANYWHERE, |id| {
            self.grounds.reach(self.organization(id).and_then(|one| one.private))
        })
    }

    /// What a call of a tenant's costs; `far` is the called number.
    pub(crate) fn price(&self, id: OrganizationId, direction: Direction, far: E164) -> Price {
        let by_minute = || self.organization(id).map(|tenant| Price::by_minute(tenant.route.rate_per_minute));
        self.rates.price(id, direction, far).or_else(by_minute).unwrap_or_default()
    }

    /// An endpoint.
    pub(crate) fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(id)
    }

    /// See [`super::Live::secure_hosts`].
    pub(crate) fn secure_hosts(&self, organization: OrganizationId) -> Vec<String> {
        let own = self.endpoints.values().filter(|endpoint| endpoint.organization_id == organization);
        let targets = own.flat_map(|endpoint| &endpoint.targets).map(|target| &target.uri);
        let secure = targets.filter(|uri| uri.transport().secure());
        let trunks =
            self.trunks.values().filter(|t| t.organization_id.is_none_or(|owner| owner == organization));
        let places = trunks.flat_map(|trunk| {
            let out = trunk.outbound.as_ref().map(|out| (out.transport, out.address.as_str()));
            let register = trunk.register.as_ref().map(|one| (one.transport, one.registrar.as_str()));
            out.into_iter().chain(register)
        });
        let places = places.filter(|(transport, _)| transport.secure());
        let out = places.filter_map(|(_, at)| domain::target::host_and_port(at)).map(|(host, _)| host);
        secure
            .map(domain::target::TargetUri::host)
            .chain(out)
            .map(str::to_owned)
            .take(SECURE_HOSTS_MAX)
            .collect()
    }

    /// A trunk.
    pub(crate) fn trunk(&self, id: ProviderId) -> Option<&Arc<Provider>> {
        self.trunks.get(id)
    }

    /// Every trunk that allows calls from an address.
    pub(crate) fn trunks_from(&self, source: IpAddr) -> Vec<TrunkRoute> {
        let source = source.to_canonical();
        let mut found = self.addresses.get(&source).cloned().unwrap_or_default();
        found.extend(self.ranges.iter().filter(|(rule, _)| rule.contains(source)).map(|(_, trunk)| *trunk));
        // What an endpoint calls from stays so, whatever a name of somebody else's is made to resolve to.
        let named = self.hosts.trunks_from(source);
        if !named.is_empty() && self.organizations_from(source).is_empty() {
            found.extend(named.iter().filter(|trunk| !found.contains(trunk)).copied().collect::<Vec<_>>());
        }
        found
    }

    /// The same for one socket: the simulated network is known by its own, not by an address that others share.
    pub(crate) fn trunks_of(&self, source: SocketAddr) -> Vec<TrunkRoute> {
        let mut found = self.trunks_from(source.ip());
        let own = SocketAddr::new(source.ip().to_canonical(), source.port());
        if self.simulated.contains(&own) {
            found.push(TrunkRoute::of(ProviderId::SIMULATED, None));
        }
        if self.is_carrier(source) {
            found.push(Carriers::unnamed());
        }
        found
    }

    /// The trunks that name one of these domains as that of their callers' certificates.
    pub(super) fn trunks_certified(&self, domains: &[String]) -> Vec<TrunkRoute> {
        let mut ids: Vec<_> =
            domains.iter().filter_map(|name| self.certificates.get(name)).flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| Some(TrunkRoute::of(*id, self.trunk(*id)?.organization_id))).collect()
    }

    /// The organizations of whose endpoints calls come from an address.
    pub(super) fn organizations_from(&self, source: IpAddr) -> Vec<OrganizationId> {
        self.sources.organizations_from(source.to_canonical())
    }

    /// The operator's trunks that take calls out.
    pub(super) fn operators(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.operators.iter().filter_map(|id| self.trunk(*id))
    }

    /// Whether a socket is that of a carrier at which organizations have accounts.
    pub(super) fn is_carrier(&self, source: SocketAddr) -> bool {
        let own = SocketAddr::new(source.ip().to_canonical(), source.port());
        self.carriers.calls_from(source) || (self.carriers.simulated && self.simulated.contains(&own))
    }

    /// Whether calls out of an account go to the simulated network: its carrier is simulated, and lets them out at this host.
    pub(super) fn is_simulated_account(&self, provider: &Provider, host: &str) -> bool {
        let carrier = carriers::account::carrier(provider.kind);
        self.carriers.simulated && carrier.is_some_and(|carrier| carrier.lets_out_at(host))
    }

    /// The simulated network calls from a socket, or (`false`) does no longer.
    pub(crate) fn put_simulated(&mut self, source: SocketAddr, calls: bool) {
        self.simulated.retain(|known| *known != source);
        if calls {
            self.simulated.push(source);
        }
    }

    /// The hosts that trunks name, for who looks them up.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// What a host resolved to.
    pub(super) fn put_host(&mut self, host: &str, looked: Looked, times: (Timestamp, Timestamp)) {
        self.hosts.resolved(host, looked, times);
    }

    /// Where a trunk has registered.
    pub(super) fn put_registrar(&mut self, trunk: ProviderId, addresses: Vec<IpAddr>) {
        let Some(found) = self.trunk(trunk).filter(|one| one.register.is_some()) else { return };
        let route = TrunkRoute::of(trunk, found.organization_id);
        self.hosts.put_registrar(route, addresses);
    }

    /// Whether an address range shares an address with a trunk's.
    pub(crate) fn is_trunk_address(&self, rule: &AddressRule) -> bool {
        let rules =
            self.trunks.values().filter_map(|t| t.inbound.as_ref()).flat_map(|i| &i.allowed_addresses);
        rules.into_iter().any(|other| other.overlaps(rule))
            || self.carriers.overlaps(rule)
            || self.hosts.addresses().any(|address| rule.contains(address))
    }

    /// Whether an address range shares an address with an endpoint's source addresses.
    pub(crate) fn is_endpoint_address(&self, rule: &AddressRule) -> bool {
        self.endpoints.values().flat_map(|e| &e.source_addresses).any(|other| other.overlaps(rule))
    }

    /// The small integers of a number's references; what is none stays none.
    pub(crate) fn indices(
        &mut self,
        organization: OrganizationId,
        endpoint: Option<EndpointId>,
        trunk: Option<ProviderId>,
    ) -> (u32, u32, u32) {
        let endpoint = endpoint.map_or(NONE, |id| self.endpoints.index(id));
        let trunk = trunk.map_or(NONE, |id| self.trunks.index(id));
        (self.organizations.index(organization), endpoint, trunk)
    }

    /// What is said of calls to a number.
    pub(crate) fn put_rules(&mut self, id: NumberId, rules: Option<Arc<NumberRules>>) {
        match rules {
            Some(rules) => drop(self.rules.insert(id, rules)),
            None => drop(self.rules.remove(&id)),
        }
    }

    /// The organization behind a small integer.
    pub(crate) fn organization_at(&self, index: u32) -> Option<OrganizationId> {
        self.organizations.at(index).map(|(id, _)| *id)
    }

    /// The endpoint's id behind a small integer.
    pub(crate) fn endpoint_at(&self, index: u32) -> Option<EndpointId> {
        self.endpoints.at(index).map(|(id, _)| *id)
    }

    /// The trunk's id behind a small integer; a provider that is no trunk carries the stock, which counts as none.
    pub(crate) fn trunk_at(&self, index: u32) -> Option<ProviderId> {
        self.trunks.at(index).and_then(|(id, trunk)| trunk.as_ref().map(|_| *id))
    }
}
