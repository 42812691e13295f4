//! The change feed: following it gives the same as building anew.

use domain::call::Direction;
use domain::endpoint::EndpointPatch;
use domain::ids::{EndpointId, KeyId, NumberId, OrganizationId, ProviderId, RateId};
use domain::number::{NumberPatch, NumberQuery, Trust, Wiring};
use domain::organization::Settings;
use domain::provider::ProviderPatch;
use domain::rate::{Prefix, RateNew};
use domain::trace::TraceWindow;
use domain::{
    Bag, Change, Endpoint, Generation, Key, Micros, Number, Organization, Page, Patch, Price, Provider, Rate,
    Timestamp,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use store::{Changed, NumberRow};

use crate::world::{World, block_on};

/// What a reader keeps.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Memory {
    organizations: HashMap<OrganizationId, (Organization, Micros)>,
    keys: HashMap<KeyId, Key>,
    endpoints: HashMap<EndpointId, Endpoint>,
    providers: HashMap<ProviderId, Provider>,
    numbers: BTreeMap<u64, NumberRow>,
    rates: HashMap<RateId, Rate>,
    traces: HashMap<NumberId, Timestamp>,
}

impl Memory {
    pub(crate) fn apply(&mut self, changed: Changed) {
        match changed {
            Changed::Organization(organization, balance) => {
                self.organizations.insert(organization.id, (organization, balance));
            }
            Changed::Balance(id, balance) => {
                self.organizations.entry(id).and_modify(|o| o.1 = balance);
            }
            Changed::Key(key) if key.revoked_at.is_some() => drop(self.keys.remove(&key.id)),
            Changed::Key(key) => drop(self.keys.insert(key.id, key)),
            Changed::Endpoint(endpoint) => drop(self.endpoints.insert(endpoint.id, endpoint)),
            Changed::EndpointGone(id) => drop(self.endpoints.remove(&id)),
            Changed::Provider(provider) => drop(self.providers.insert(provider.id, provider)),
            Changed::ProviderGone(id) => drop(self.providers.remove(&id)),
            Changed::Rate(rate) => drop(self.rates.insert(rate.id, rate)),
            Changed::RateGone(id) => drop(self.rates.remove(&id)),
            Changed::Trace(TraceWindow { number_id, until: Some(until) }) => {
                self.traces.insert(number_id, until);
            }
            Changed::Trace(TraceWindow { number_id, until: None }) => drop(self.traces.remove(&number_id)),
            Changed::Number(row) if row.status.is_held() => drop(self.numbers.insert(row.e164.as_u64(), row)),
            Changed::Number(row) => {
                if self.numbers.get(&row.e164.as_u64()).is_some_and(|known| known.id == row.id) {
                    self.numbers.remove(&row.e164.as_u64());
                }
            }
        }
    }

    pub(crate) fn rebuilt(world: &World) -> (Self, Generation) {
        let mut memory = Self::default();
        let (_, generation) = world.store.snapshot(&mut |changed| memory.apply(changed)).unwrap();
        (memory, generation)
    }
}

/// One step of a random history, as numbers that each step reads in its own way.
type Step = (u8, usize, usize);

pub(crate) async fn step(world: &World, (what, which, other): Step) {
    let organizations = world.store.organization_list(&Page::first(100)).unwrap().items;
    let Some(organization) = organizations.get(which % organizations.len().max(1)) else {
        world.organization().await;
        return;
    };
    let id = organization.id;
    let mut endpoints = world.store.endpoint_list(id, &Page::first(100)).unwrap().items;
    let mut providers = world.store.provider_list(Some(id), &Page::first(100)).unwrap().items;
    let mut numbers = world.store.number_list(id, &NumberQuery::default(), &Page::first(100)).unwrap().items;
    let picked = Picked {
        endpoint: pick(&mut endpoints, other),
        provider: pick(&mut providers, other),
        number: pick(&mut numbers, other),
    };
    let changes = match what % 15 {
        0 => vec![Change::Organization(world.new_organization())],
        1 => vec![world.funding(id, i64::try_from(other).unwrap()), Change::Key(world.new_key(id))],
        2 => vec![Change::Provider(world.new_provider(Some(id)))],
        3 => vec![Change::Endpoint(world.new_endpoint(id, None)), Change::Event(world.new_event(id))],
        4 => picked.endpoint.into_iter().map(|e| Change::EndpointDelete(id, e.id, e.version)).collect(),
        5 => picked.provider.into_iter().map(|p| Change::ProviderDelete(p.id, p.version)).collect(),
        6 | 7 => import(world, id, &picked, other),
        8 | 9 => number_step(world, &picked, (what, other)),
        10 | 11 => rename(world, id, &picked, other),
        12 | 13 => rate_step(world, id, (what, other)),
        _ => {
            let until = (other % 3 > 0).then(|| world.now());
            let window = |number: Number| TraceWindow { number_id: number.id, until };
            picked.number.map(|number| Change::Trace(id, window(number))).into_iter().collect()
        }
    };
    // Some steps are refused (a number that is held, an endpoint in use): then nothing may be told of them.
    drop(world.commit(changes).await);
}

/// What a step works on, where there is any.
struct Picked {
    endpoint: Option<Endpoint>,
    provider: Option<Provider>,
    number: Option<Number>,
}

fn pick<T>(items: &mut Vec<T>, n: usize) -> Option<T> {
    (!items.is_empty()).then(|| items.swap_remove(n % items.len()))
}

fn import(world: &World, id: OrganizationId, picked: &Picked, other: usize) -> Vec<Change> {
    let Some(provider) = &picked.provider else { return Vec::new() };
    let mut number = world.new_number(id, provider, 14_155_550_100 + u64::try_from(other % 6).unwrap());
    number.endpoint_id = picked.endpoint.as_ref().map(|e| e.id);
    vec![Change::Number(Box::new(number))]
}

fn number_step(world: &World, picked: &Picked, (what, other): (u8, usize)) -> Vec<Change> {
    let Some(number) = &picked.number else { return Vec::new() };
    let next = if what % 2 == 0 {
        number.release(&Settings::read(&Bag::new()).unwrap(), world.now()).unwrap()
    } else {
        let wiring = Wiring { endpoint: picked.endpoint.as_ref(), agent_default: None };
        let endpoint_id = picked.endpoint.as_ref().map_or(Patch::Clear, |e| Patch::Set(e.id));
        let patch =
            NumberPatch { endpoint_id, allow_inbound: Some(other % 2 == 0), ..NumberPatch::default() };
        number.update(patch, wiring, Trust::Trusted, world.now()).unwrap()
    };
    if next.version == number.version { Vec::new() } else { vec![Change::Number(Box::new(next))] }
}

/// Sets a rate, which may take another's place, or removes one.
fn rate_step(world: &World, id: OrganizationId, (what, other): (u8, usize)) -> Vec<Change> {
    let owner = if other % 2 == 0 { OrganizationId::NONE } else { id };
    if what % 2 == 0 {
        let known = world.store.rate_list(owner, &Page::first(100)).unwrap().items;
        return known
            .into_iter()
            .take(1)
            .map(|rate| Change::RateDelete(rate.organization_id, rate.id))
            .collect();
    }
    let prefix = Prefix::parse(["1", "44", "447", ""][other % 4]).unwrap();
    let new = RateNew { direction: Direction::Outbound, prefix, price: Price::by_minute(Micros(5)) };
    vec![Change::Rate(Rate::create(RateId(world.uuid()), owner, new, world.now()).unwrap())]
}

/// Renames what was picked, and revokes the newest key.
fn rename(world: &World, id: OrganizationId, picked: &Picked, other: usize) -> Vec<Change> {
    let (now, name) = (world.now(), Some(format!("Name {other}")));
    let mut changes = Vec::new();
    if let Some(endpoint) = &picked.endpoint {
        let next =
            endpoint.update(EndpointPatch { name: name.clone(), ..EndpointPatch::default() }, now).unwrap();
        changes.extend((next.version != endpoint.version).then_some(Change::Endpoint(next)));
    }
    if let Some(provider) = &picked.provider {
        let next = provider.update(ProviderPatch { label: name, ..ProviderPatch::default() }, now).unwrap();
        changes.extend((next.version != provider.version).then_some(Change::Provider(next)));
    }
    let keys = world.store.key_list(id, &Page::first(1)).unwrap().items;
    let live = keys.into_iter().filter(|key| key.revoked_at.is_none());
    changes
        .extend(live.map(|key| Change::Key(Key { revoked_at: Some(now), version: key.version + 1, ..key })));
    changes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn following_the_changes_equals_building_anew(
        history in prop::collection::vec((any::<u8>(), 0usize..3, 0usize..50), 1..70), every in 1usize..9, limit in 1usize..9,
    ) {
        block_on(async {
            let world = World::new();
            let (mut memory, mut at) = (Memory::default(), Generation(0));
            for (n, one) in history.iter().enumerate() {
                step(&world, *one).await;
                if n % every == 0 {
                    follow(&world, &mut memory, &mut at, limit);
                }
            }
            follow(&world, &mut memory, &mut at, limit);
            let (rebuilt, generation) = Memory::rebuilt(&world);
            assert_eq!(at, generation);
            assert_eq!(memory, rebuilt);
            world.check();
        });
    }
}

pub(crate) fn follow(world: &World, memory: &mut Memory, at: &mut Generation, limit: usize) {
    loop {
        let changes = world.store.changes_since(*at, limit).unwrap();
        changes.items.into_iter().for_each(|changed| memory.apply(changed));
        assert!(changes.upto > *at || !changes.more);
        *at = changes.upto;
        if !changes.more {
            return;
        }
    }
}

#[tokio::test]
async fn a_commit_is_never_cut_in_two() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let at = world.store.generation().unwrap().1;
    let many = |from: u64| {
        (from..from + 20).map(|n| Change::Number(Box::new(world.new_number(id, &provider, n)))).collect()
    };
    let first = world.commit(many(14_155_550_100)).await.unwrap();
    let second = world.commit(many(14_155_550_200)).await.unwrap();
    let changes = world.store.changes_since(at, 5).unwrap();
    assert_eq!((changes.items.len(), changes.upto, changes.more), (20, first, true));
    let changes = world.store.changes_since(first, 20).unwrap();
    assert_eq!((changes.items.len(), changes.upto, changes.more), (20, second, false));
    let changes = world.store.changes_since(second, 20).unwrap();
    assert_eq!((changes.items.len(), changes.upto, changes.more), (0, second, false));
    let ids: Vec<NumberId> =
        world.store.number_list(id, &NumberQuery::default(), &Page::first(99)).unwrap().map(|n| n.id).items;
    assert_eq!(ids.len(), 40);
}
