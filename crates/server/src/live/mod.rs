//! The live table: what calls are decided on. All of it is memory; the store is never asked while a caller waits.
//!
//! It is built from a snapshot and then follows the change log by generation ([`refresh`]). Applying changes and building
//! anew give the same table (a property test says so). Writers wait, bounded, until their generation is applied here before
//! they answer: after a 200 the next INVITE follows the change.

pub(crate) mod bans;
mod begun;
mod bindings;
mod calls;
mod carriers;
mod directory;
mod guards;
pub(crate) mod health;
mod holds;
pub(crate) mod hosts;
pub(crate) mod lines;
mod numbers;
mod out;
mod rates;
mod reach;
mod rebuild;
pub(crate) mod refresh;
pub(crate) mod registering;
pub(crate) mod registrations;
mod sources;
mod standing;

use dialects::plan::Plan;
use domain::call::{Direction, FactKind};
use domain::carrier_account::CarrierSources;
use domain::e164::E164;
use domain::ids::{CallId, EndpointId, NumberId, OrganizationId, ProviderId};
use domain::key::KeyHash;
use domain::provider::{AddressRule, MediaEncryption};
use domain::reach::Reach;
use domain::routing::{self, CallIn, NumberRoute, OrganizationRoute, Refused, Routed, TrunkRoute};
use domain::rules::{Exit, NumberRules, Schedule, Step};
use domain::trail::Rule;
use domain::trunk_status::HostStatus;
use domain::{Endpoint, Fact, Generation, Key, Micros, Price, Timestamp};
use sip::Login;
use sip::digest::Secret;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use store::{Changed, OpenCall, Store};
use tokio::sync::watch;
use uuid::Uuid;

use crate::trace::Traces;
use crate::vault::Vault;

use directory::Directory;
pub(crate) use numbers::Numbers;
use numbers::{Marks, Slot};
pub(crate) use out::{RouteOut, WayOut};

/// How long a write's reply waits for the live table: until the refresher would have looked by itself. A busy store may take
/// some hundred milliseconds; longer means that the refresher is stuck, and the write stands anyway.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Live {
    numbers: Numbers,
    directory: RwLock<Directory>,
    opener: guards::Opener,
    calls: calls::Calls,
    begun: begun::Calls,
    /// Where the simulated network's callees answer, where there is one.
    callees: RwLock<Option<SocketAddr>>,
    /// Numbers by the user names of their SIP credentials.
    pub(crate) lines: lines::Lines,
    /// Where registered agents are.
    pub(crate) registrations: registrations::Registrations,
    /// The trunks that are to register with their carriers.
    pub(crate) registering: registering::Registering,
    /// Who is not heard for a while.
    pub(crate) bans: bans::Bans,
    holds: holds::Holds,
    /// Messages of calls that are traced.
    pub(crate) traces: Traces,
    /// How the targets of endpoints are that are asked.
    pub(crate) health: health::Healths,
    /// Of the draw by which callers are shared among endpoints.
    split_key: [u8; 32],
    /// The last generation applied. Readers of a call see at least this.
    applied: watch::Sender<Generation>,
    /// How that stands to the store.
    standing: standing::Standing,
    /// Wakes the refresher; carries nothing.
    nudge: tokio::sync::Notify,
}

/// The longest call of an organization that is not known.
const CALL_MAX: u32 = 14_400;

/// What bounds the calls of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The longest call.
    pub(crate) max_call_seconds: u32,
    /// What is left to spend, without what calls in progress cost.
    pub(crate) balance: Micros,
}

/// A place that a call can come to, with what the edge needs to send it there.
#[derive(Debug)]
pub(crate) struct RouteLeg {
    /// The endpoint.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What its targets need beyond the ordinary.
    pub(crate) manner: Option<Arc<sip::Manner>>,
    /// Where the call goes on from there.
    pub(crate) exits: Vec<Exit>,
    /// Where its targets may be.
    pub(crate) reach: Reach,
}

/// Where a call goes, with what the edge needs to send it there.
#[derive(Debug)]
pub(crate) struct Route {
    /// The decision.
    pub(crate) routed: Routed,
    /// The endpoint.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What its targets need beyond the ordinary.
    pub(crate) manner: Option<Arc<sip::Manner>>,
    /// Where its targets may be.
    pub(crate) reach: Reach,
    /// The places that the call can come to, that endpoint first; empty: to no other.
    pub(crate) legs: Vec<RouteLeg>,
    /// Whether sound is encrypted on the trunk's side.
    pub(crate) trunk_media: MediaEncryption,
    /// The tables it was decided on.
    pub(crate) generation: Generation,
}

/// A socket from which the simulated network calls.
#[derive(Debug)]
pub(crate) struct Simulated {
    live: Arc<Live>,
    source: SocketAddr,
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.live.write().put_simulated(self.source, false);
    }
}

impl Live {
    /// An empty table at generation 0.
    pub(crate) fn new() -> Self {
        let (applied, _) = watch::channel(Generation(0));
        Self {
            numbers: Numbers::new(),
            directory: RwLock::default(),
            opener: guards::Opener::default(),
            calls: calls::Calls::default(),
            begun: begun::Calls::default(),
            callees: RwLock::default(),
            lines: lines::Lines::new(None),
            registrations: registrations::Registrations::default(),
            registering: registering::Registering::default(),
            bans: bans::Bans::default(),
            holds: holds::Holds::default(),
            traces: Traces::default(),
            health: health::Healths::default(),
            split_key: [0; 32],
            applied,
            standing: standing::Standing::default(),
            nudge: tokio::sync::Notify::new(),
        }
    }

    /// The same with the vault that passwords are sealed with, and the store that has those of numbers: without them no
    /// caller can prove anything.
    pub(crate) fn with_vault(vault: Vault, store: Store) -> Self {
        let lines = lines::Lines::new(Some((store, vault.clone())));
        let split_key = vault.split_key();
        Self { opener: guards::Opener(Some(vault)), lines, split_key, ..Self::new() }
    }

    // A panic under the lock could only come from memory running out; the directory is plain data either way.
    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies one change. Changes may come again and in any order within a generation: each carries the whole row.
    pub(crate) fn apply(&self, change: Changed) {
        match change {
            Changed::Organization(organization, balance) => {
                self.write().put_organization(&organization, balance);
            }
            Changed::Balance(id, balance) => self.write().put_balance(id, balance),
            Changed::Key(key) => self.write().put_key(key),
            Changed::Endpoint(endpoint) => {
                let login = self.opener.login(endpoint.id.0, endpoint.manner.credentials.as_ref());
                let mut directory = self.write();
                directory.put_login(endpoint.id.0, login);
                directory.put_endpoint(endpoint.id, Some(endpoint));
            }
            Changed::EndpointGone(id) => {
                let mut directory = self.write();
                directory.put_login(id.0, None);
                directory.put_endpoint(id, None);
            }
            Changed::Provider(provider) => {
                // Opened before the table is locked: calls do not wait for it.
                let guard = self.opener.guard(&provider);
                let outbound = provider.outbound.as_ref().and_then(|outbound| outbound.credentials.as_ref());
                let login = self.opener.login(provider.id.0, outbound);
                let (id, account) = (provider.id, self.opener.account(&provider));
                let mut directory = self.write();
                directory.put_login(id.0, login);
                directory.put_provider(id, Some(provider), guard);
                drop(directory);
                // Who registers it is told last: what it may reach is known by whose it is.
                self.registering.put(id, account);
            }
            Changed::Rate(rate) => self.write().rates.put(&rate),
            Changed::RateGone(id) => self.write().rates.take(id),
            Changed::Trace(window) => self.traces.put(window),
            Changed::ProviderGone(id) => {
                self.registering.put(id, None);
                let mut directory = self.write();
                directory.put_login(id.0, None);
                directory.put_provider(id, None, None);
            }
            Changed::Number(row) if !row.status.is_held() => {
                self.forget(row.id);
                self.numbers.remove(row.e164, row.id);
            }
            Changed::Number(row) => {
                self.lines.forget(row.id);
                let mut directory = self.write();
                let (organization, endpoint, trunk) =
                    directory.indices(row.organization_id, row.endpoint_id, row.provider_id);
                let marks = Marks::of(&row);
                directory.put_rules(row.id, row.rules);
                drop(directory);
                let mut slot = Slot::new(row.e164, row.id, organization);
                (slot.endpoint, slot.trunk, slot.status) = (endpoint, trunk, row.status);
                (slot.intake, slot.marks, slot.network) = (row.intake, marks, row.network);
                self.numbers.put(slot);
            }
        }
    }

    /// Says that everything up to a generation has been applied.
    pub(crate) fn reached(&self, generation: Generation) {
        self.applied.send_if_modified(|at| {
            let later = generation > *at;
            *at = generation.max(*at);
            later
        });
    }

    /// Says that the table was built at a generation, which may be an earlier one of another history.
    fn is_at(&self, generation: Generation) {
        self.applied.send_replace(generation);
    }

    /// The last generation applied.
    pub(crate) fn generation(&self) -> Generation {
        *self.applied.borrow()
    }

    /// Wakes the refresher, for whoever has no reply to keep back.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Wakes the refresher and waits, bounded, until a generation is applied. A wait that runs out is not an error: the
    /// write is durable, and the refresher looks again by itself.
    pub(crate) async fn follow(&self, generation: Generation) {
        self.nudge.notify_one();
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|at| *at >= generation);
        if tokio::time::timeout(WAIT_MAX, reached).await.is_err() {
            tracing::warn!(generation = generation.0, "the live table is behind its store");
        }
    }

    /// A live key by its secret's hash.
    pub(crate) fn key(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.read().key(hash).cloned()
    }

    /// Every trunk that allows calls from an address.
    pub(crate) fn trunks_from(&self, source: IpAddr) -> Vec<TrunkRoute> {
        self.read().trunks_from(source)
    }

    /// Every trunk that a call from a socket may have come through.
    pub(crate) fn trunks_of(&self, source: SocketAddr) -> Vec<TrunkRoute> {
        self.read().trunks_of(source)
    }

    /// The hosts that trunks name.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.read().hosts().names()
    }

    /// What a host that trunks name resolved to, and when; calls from there are those trunks' from now on. It is looked up again
    /// at `next`.
    pub(crate) fn put_host(&self, host: &str, looked: hosts::Looked, times: (Timestamp, Timestamp)) {
        self.write().put_host(host, looked, times);
    }

    /// The hosts that a trunk names.
    pub(crate) fn hosts_of(&self, trunk: ProviderId) -> Vec<HostStatus> {
        self.read().hosts().of(trunk)
    }

    /// A trunk has registered with a carrier at these addresses: calls from there are its from now on.
    pub(crate) fn put_registrar(&self, trunk: ProviderId, addresses: Vec<IpAddr>) {
        self.write().put_registrar(trunk, addresses);
    }

    /// Whether somebody who belongs here sends from a socket: a trunk, an endpoint, a registered agent, or whoever proved
    /// itself lately.
    pub(crate) fn is_known(&self, source: SocketAddr, now: Instant) -> bool {
        let address = source.ip();
        let listed = {
            let directory = self.read();
            !directory.organizations_from(address).is_empty() || !directory.trunks_of(source).is_empty()
        };
        listed || self.registrations.knows(address) || self.bans.trusts(address, now)
    }

    /// The endpoints whose targets are asked whether they are there.
    pub(crate) fn asked(&self) -> Vec<Arc<Endpoint>> {
        self.read().asked()
    }

    /// Takes up what agents registered with an earlier process, and keeps what they do from now on.
    pub(crate) fn keep_registrations(
        &self,
        path: &Path,
        listeners: &[sip::Listener],
        times: (Instant, Timestamp),
    ) -> std::io::Result<()> {
        // A number that was given back meanwhile has no such name, nor one whose password was replaced.
        let right = |number: NumberId, username: &str| self.lines.is_of(number, username);
        match self.registrations.keep(path, listeners, times, right)? {
            Some(0) => {}
            Some(count) => tracing::info!(count, "flows of registered agents are known from before"),
            None => tracing::info!("another process of this store keeps its registrations on disk"),
        }
        Ok(())
    }

    /// Whether a trunk is to register with its carrier.
    pub(crate) fn is_to_register(&self, trunk: ProviderId) -> bool {
        self.read().trunk(trunk).is_some_and(|trunk| trunk.register.is_some())
    }

    /// Whether agents may register: some endpoint has a target for them.
    pub(crate) fn registers(&self) -> bool {
        self.read().registers()
    }

    /// The trunks that name one of these domains as that of their callers' certificates.
    pub(crate) fn trunks_certified(&self, domains: &[String]) -> Vec<TrunkRoute> {
        self.read().trunks_certified(domains)
    }

    /// Whether a trunk knows its callers by certificates.
    pub(crate) fn is_certified(&self, trunk: ProviderId) -> bool {
        let directory = self.read();
        let inbound = directory.trunk(trunk).and_then(|trunk| trunk.inbound.as_ref());
        inbound.is_some_and(|inbound| !inbound.certificate_names.is_empty())
    }

    /// From where carriers send calls at which organizations have accounts; in a simulation, its network is one of them.
    pub(crate) fn carriers_from(&self, sources: CarrierSources, simulated: bool) {
        self.write().carriers.from(sources, simulated);
    }

    /// The account that a call to a number came through, if the number is in one and a socket is its carrier's.
    pub(crate) fn account_of(&self, e164: E164, source: SocketAddr) -> Option<TrunkRoute> {
        let directory = self.read();
        if !directory.is_carrier(source) {
            return None;
        }
        let slot = self.numbers.get(e164)?;
        let id = directory.trunk_at(slot.trunk).filter(|id| directory.carriers.is_account(*id))?;
        directory.trunk(id).map(|trunk| TrunkRoute::of(id, trunk.organization_id))
    }

    /// Calls from a socket are the simulated network's for as long as what is given back lives.
    pub(crate) fn simulate(self: &Arc<Self>, source: SocketAddr) -> Simulated {
        self.write().put_simulated(source, true);
        Simulated { live: Arc::clone(self), source }
    }

    /// Whether callers may prove themselves by a password: a trunk's, or a number's that may call out.
    pub(crate) fn asks(&self) -> bool {
        self.numbers.any_outbound() || self.read().guards.any()
    }

    /// The trunk of a number, if its callers may prove themselves.
    pub(crate) fn guard_of(&self, e164: E164) -> Option<TrunkRoute> {
        let trunk = self.number(e164)?.trunk?;
        let guarded = self.read().guards.holds(trunk);
        guarded.then(|| self.trunk(trunk)).flatten()
    }

    /// Whether what a call from these trunks is told of numbers that are not theirs could tell of another organization's trunk
    /// whose callers are asked. The operator's trunks are no tenant's to look through.
    pub(crate) fn asks_beyond(&self, trunks: &[TrunkRoute]) -> bool {
        let directory = self.read();
        let mut owners = trunks.iter().filter_map(|trunk| trunk.organization_id);
        owners.any(|owner| directory.guards.any_beyond(owner))
    }

    /// The trunks that a caller with this user name may be, with what verifies it; that of the dialled number is among them.
    pub(crate) fn guards_named(
        &self,
        username: &str,
        dialled: Option<ProviderId>,
    ) -> Vec<(ProviderId, Secret)> {
        self.read().guards.named(username, dialled)
    }

    /// What the targets of an endpoint need.
    pub(crate) fn manner_of(&self, id: EndpointId) -> Option<Arc<sip::Manner>> {
        self.read().manner(id)
    }

    /// An endpoint as calls know it.
    pub(crate) fn endpoint_of(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.read().endpoint(id).cloned()
    }

    /// What answers challenges of a trunk's carrier or an endpoint's targets.
    pub(crate) fn login(&self, owner: Uuid) -> Option<Arc<Login>> {
        self.read().login(owner)
    }

    /// A trunk's route, if it is one.
    pub(crate) fn trunk(&self, id: ProviderId) -> Option<TrunkRoute> {
        self.read().trunk(id).map(|t| TrunkRoute::of(id, t.organization_id))
    }

    /// Decides an inbound call. `see` is told each rule; the call path passes a function that does nothing.
    pub(crate) fn decide(&self, call: CallIn<'_>, see: impl FnMut(Rule)) -> Result<Route, Refused> {
        let generation = self.generation();
        let directory = self.read();
        let table = self.reading(&directory);
        let routed = routing::decide(&table, call, see)?;
        let endpoint = directory.endpoint(routed.endpoint_id).cloned();
        // `decide` has just found the endpoint under this same lock.
        let endpoint = endpoint.ok_or(Refused {
            why: routing::Refusal::NoEndpoint,
            number: Some(routed.number),
            trunk: Some(routed.trunk),
            answer: None,
        })?;
        let manner = directory.manner(routed.endpoint_id);
        let legs = routed.chain.iter().flat_map(|chain| &chain.legs);
        let legs = legs.filter_map(|leg| {
            let endpoint = directory.endpoint(leg.endpoint_id).cloned()?;
            Some(RouteLeg {
                manner: directory.manner(leg.endpoint_id),
                exits: leg.exits.clone(),
                reach: directory.reach(Some(endpoint.organization_id)),
                endpoint,
            })
        });
        let legs = legs.collect();
        let trunk_media = routing::Table::media(&table, routed.trunk.id);
        let reach = directory.reach(Some(endpoint.organization_id));
        Ok(Route { routed, endpoint, manner, reach, legs, trunk_media, generation })
    }

    fn reading<'a>(&'a self, directory: &'a Directory) -> Reading<'a> {
        Reading {
            numbers: &self.numbers,
            directory,
            calls: &self.calls,
            holds: &self.holds,
            health: &self.health,
            split_key: &self.split_key,
        }
    }

    /// Names that an organization's targets over TLS have; bounded.
    pub(crate) fn secure_hosts(&self, organization: Uuid) -> Vec<String> {
        self.read().secure_hosts(OrganizationId(organization))
    }

    /// Whether there is such an organization.
    pub(crate) fn has_organization(&self, id: OrganizationId) -> bool {
        self.read().organization(id).is_some()
    }

    /// What bounds the calls of an organization; of one that is not known, the defaults and no money.
    pub(crate) fn bounds(&self, id: OrganizationId) -> Bounds {
        let unknown = Bounds { max_call_seconds: CALL_MAX, balance: Micros::ZERO };
        self.read().organization(id).map_or(unknown, |tenant| Bounds {
            max_call_seconds: tenant.max_call_seconds,
            balance: tenant.route.balance,
        })
    }

    /// A call was let in: it is in progress from now on.
    pub(crate) fn call_began_in(&self, call: CallId, routed: &Routed) {
        let way = calls::Way { number: Some(routed.number.id), trunk: Some(routed.trunk.id) };
        self.call_began(call, routed.number.organization_id, way, routed.price);
    }

    /// The same by its parts.
    fn call_began(&self, call: CallId, organization: OrganizationId, way: calls::Way, price: Price) {
        self.calls.begin(call, organization, way);
        self.holds.begin(call, organization, price);
    }

    /// A fact of a call is about to be written.
    pub(crate) fn saw(&self, fact: &Fact) {
        self.calls.saw(fact);
        self.holds.saw(fact);
        if matches!(fact.kind, FactKind::Ended(_) | FactKind::Unanswered(_)) {
            self.traces.end(fact.call_id);
        }
    }

    /// The calls that the store knows to be open; `all` says that there are no others.
    pub(crate) fn reconcile_calls(&self, calls: &[OpenCall], all: bool) {
        self.calls.reconcile(calls, all);
        self.holds.reconcile(calls, all, self.calls.begun());
    }

    /// Does what is no proof of a call's life, though it writes facts of it.
    pub(crate) fn asking(&self, call: CallId, work: impl FnOnce()) {
        self.calls.asking(call, work);
    }

    /// How many calls in progress hold something.
    pub(crate) fn holding(&self) -> usize {
        self.holds.calls()
    }

    /// The plan of an organization in a vendor's API, where its settings name one.
    pub(crate) fn plan(&self, id: OrganizationId, dialect: &str) -> Option<&'static Plan> {
        let plans = self.read().organization(id)?.plans;
        plans.into_iter().flatten().find(|(name, _)| *name == dialect).map(|(_, plan)| plan)
    }

    /// The longest call of an organization, if there is such an organization.
    pub(crate) fn max_call_seconds(&self, id: OrganizationId) -> Option<u32> {
        self.read().organization(id).map(|tenant| tenant.max_call_seconds)
    }

    /// The number's route as the rules see it, for `explain`.
    pub(crate) fn number(&self, e164: E164) -> Option<NumberRoute> {
        let directory = self.read();
        let table = self.reading(&directory);
        routing::Table::number(&table, e164)
    }

    /// Whether an address range shares an address with a trunk's.
    pub(crate) fn is_trunk_address(&self, rule: &AddressRule) -> bool {
        self.read().is_trunk_address(rule)
    }

    /// Whether an address range shares an address with an endpoint's source addresses.
    pub(crate) fn is_endpoint_address(&self, rule: &AddressRule) -> bool {
        self.read().is_endpoint_address(rule)
    }

    /// The numbers that a carrier must have for us, in use or switched off. Those for tests are not among them: each node has a
    /// carrier of its own for these.
    pub(crate) fn numbers_of_carriers(&self) -> Vec<E164> {
        self.numbers.of_carriers()
    }

    /// How many numbers there are, and the bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.numbers.len(), self.numbers.bytes())
    }
}

/// One consistent look at the tables.
struct Reading<'a> {
    numbers: &'a Numbers,
    directory: &'a Directory,
    calls: &'a calls::Calls,
    holds: &'a holds::Holds,
    health: &'a health::Healths,
    split_key: &'a [u8; 32],
}

impl routing::Table for Reading<'_> {
    fn number(&self, e164: E164) -> Option<NumberRoute> {
        let slot = self.numbers.get(e164)?;
        Some(NumberRoute {
            id: slot.id(),
            organization_id: self.directory.organization_at(slot.organization)?,
            status: slot.status,
            unpaid: slot.marks.unpaid(),
            ruled: slot.marks.ruled(),
            intake: slot.intake,
            trunk: self.directory.trunk_at(slot.trunk),
            network: slot.network,
            endpoint_id: self.directory.endpoint_at(slot.endpoint),
        })
    }

    fn organization(&self, id: OrganizationId) -> Option<OrganizationRoute> {
        self.directory.organization(id).map(|tenant| tenant.route)
    }

    fn calls(&self, organization: OrganizationId) -> u32 {
        self.calls.of(organization)
    }

    fn price(&self, organization: OrganizationId, direction: Direction, far: E164) -> Price {
        self.directory.price(organization, direction, far)
    }

    fn held(&self, organization: OrganizationId) -> Micros {
        self.holds.of(organization, crate::clock::now())
    }

    fn media(&self, trunk: ProviderId) -> MediaEncryption {
        let inbound = self.directory.trunk(trunk).and_then(|trunk| trunk.inbound.as_ref());
        inbound.map_or(MediaEncryption::Allowed, |inbound| inbound.media_encryption)
    }

    fn admits(&self, trunk: ProviderId, caller: Option<E164>) -> bool {
        self.directory.trunk(trunk).is_none_or(|trunk| trunk.admits(caller))
    }

    fn endpoint(&self, id: EndpointId) -> Option<routing::EndpointRoute> {
        let endpoint = self.directory.endpoint(id)?;
        let route = routing::EndpointRoute::from(endpoint.as_ref());
        let reach = self.directory.reach(Some(endpoint.organization_id));
        Some(routing::EndpointRoute { down: self.health.down(endpoint, &reach), ..route })
    }

    fn rules(&self, number: NumberId) -> Option<Arc<NumberRules>> {
        self.directory.rules.get(&number).cloned()
    }

    fn schedule(&self, organization: OrganizationId) -> Option<Arc<Schedule>> {
        self.directory.schedules.get(&organization).cloned()
    }

    fn fallback(&self, id: EndpointId) -> Vec<Step> {
        self.directory.endpoint(id).map(|endpoint| endpoint.rules.fallback.clone()).unwrap_or_default()
    }

    fn number_calls(&self, number: NumberId) -> u32 {
        self.calls.of_number(number)
    }

    fn trunk_calls(&self, trunk: ProviderId) -> u32 {
        self.calls.of_trunk(trunk)
    }

    fn trunk_calls_max(&self, trunk: ProviderId) -> Option<u32> {
        self.directory.trunk(trunk).and_then(|trunk| trunk.calls_max)
    }

    fn split_key(&self) -> &[u8; 32] {
        self.split_key
    }
}

#[cfg(test)]
mod nodes;
#[cfg(test)]
mod tests;
