//! Calls of agents: whose they were stays, what is private goes for good; and the cheapest number on sale.

use domain::agent::AgentPatch;
use domain::call::{
    AgentCallQuery, Attempt, DialogParts, Direction, Ended, EndedBy, FactKind, Moment, Started,
};
use domain::e164::Country;
use domain::ids::{CallId, NumberId, OrganizationId};
use domain::key::Mode;
use domain::number::{NumberPatch, Trust, Wiring};
use domain::stock::StockState;
use domain::{Agent, Bag, Change, Fact, Generation, Micros, Number, Page, Patch, Start, Timestamp};
use uuid::Uuid;

use crate::world::{World, e164, time};

const CALLER: &str = "+442071838750";

/// An id made at a second, as the server makes them.
fn call_id(second: i64) -> CallId {
    let millis = u128::try_from(time(second).as_millisecond()).unwrap();
    CallId(Uuid::from_u128((millis << 80) | 7))
}

fn facts(organization_id: OrganizationId, number: Option<NumberId>, second: i64) -> Vec<Fact> {
    let started = Started {
        direction: Direction::Inbound,
        number_id: number,
        number: Some(e164(14_155_550_100)),
        from: CALLER.to_owned(),
        to: "+14155550100".to_owned(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(1),
        price: domain::Price::by_minute(Micros(600)),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: "abc@192.0.2.1".to_owned(),
    };
    let attempt = Attempt {
        n: 0,
        target: format!("sip:{CALLER}@192.0.2.1"),
        sip_status: Some(200),
        cause: "answered".to_owned(),
        started_at: time(second),
        ended_at: time(second),
        hop: domain::call::Place::parse("udp:192.0.2.1:5060"),
        ringing_at: Some(time(second)),
        reason: Some(CALLER.to_owned()),
    };
    let parts = DialogParts { from: CALLER.to_owned(), ..DialogParts::default() };
    let ended = Ended { by: EndedBy::Caller, reason: Some(CALLER.to_owned()) };
    let kinds = [
        (0, FactKind::Started(Box::new(started))),
        (1, FactKind::Attempt(attempt)),
        (1, FactKind::Answered(Some(Box::new(parts)))),
        (31, FactKind::Ended(ended)),
    ];
    let fact = |(after, kind)| {
        let at = Moment {
            wall: time(second + after),
            process: 7,
            monotonic_us: u64::try_from(after).unwrap() * 1_000_000,
        };
        Fact { organization_id, call_id: call_id(second), at, kind }
    };
    kinds.map(fact).into()
}

/// A number with an agent.
async fn line(world: &World, organization: OrganizationId) -> (Number, Agent) {
    let provider = world.provider(organization).await;
    let number = world.number(organization, &provider, 14_155_550_100).await;
    let agent = world.agent(organization, "Ada").await;
    let number = give(world, &number, &agent).await;
    (number, agent)
}

async fn give(world: &World, number: &Number, agent: &Agent) -> Number {
    let patch = NumberPatch { agent_id: Patch::Set(agent.id.clone()), ..NumberPatch::default() };
    let next = number.update(patch, Wiring::default(), Trust::Trusted, world.now()).unwrap();
    world.commit(vec![Change::Number(Box::new(next.clone()))]).await.unwrap();
    next
}

fn of(world: &World, agent: &Agent, from: Option<Timestamp>, to: Option<Timestamp>) -> Vec<CallId> {
    let query = AgentCallQuery { agent_id: agent.id.clone(), from, to, mode: None };
    let page = world.store.agent_call_list(agent.organization_id, &query, &Page::first(9)).unwrap();
    page.items.into_iter().map(|row| row.call.id).collect()
}

#[tokio::test]
async fn a_call_stays_with_the_agent_that_had_its_number() {
    let world = World::new();
    let organization = world.organization().await;
    let (number, agent) = line(&world, organization).await;
    world.store.facts_append(facts(organization, Some(number.id), 100)).await.unwrap();
    let second = world.agent(organization, "Grace").await;
    give(&world, &number, &second).await;
    world.store.facts_append(facts(organization, Some(number.id), 200)).await.unwrap();
    world.store.facts_append(facts(organization, None, 300)).await.unwrap();
    assert_eq!(of(&world, &agent, None, None), [call_id(100)]);
    assert_eq!(of(&world, &second, None, None), [call_id(200)]);
    let read = |second| world.store.agent_call_get(organization, call_id(second)).unwrap();
    assert_eq!(read(100).unwrap().agent_id, agent.id);
    assert!(read(300).is_none());
    assert!(world.store.agent_call_get(world.organization().await, call_id(100)).unwrap().is_none());
    world.check();
}

#[tokio::test]
async fn calls_are_found_by_their_time_and_paged_both_ways() {
    let world = World::new();
    let organization = world.organization().await;
    let (number, agent) = line(&world, organization).await;
    for second in [0, 10_000, 20_000] {
        world.store.facts_append(facts(organization, Some(number.id), second)).await.unwrap();
    }
    assert_eq!(of(&world, &agent, Some(time(10_000)), None), [call_id(20_000), call_id(10_000)]);
    assert_eq!(of(&world, &agent, None, Some(time(10_000))), [call_id(10_000), call_id(0)]);
    assert_eq!(of(&world, &agent, Some(time(1)), Some(time(9_999))), []);
    let query = AgentCallQuery { agent_id: agent.id.clone(), from: None, to: None, mode: None };
    let page = Page { limit: 1, start: Start::Before(call_id(0)) };
    let found = world.store.agent_call_list(organization, &query, &page).unwrap();
    assert_eq!((found.items[0].call.id, found.more), (call_id(10_000), true));
}

#[tokio::test]
async fn what_is_private_is_gone_from_the_file_and_what_counts_stays() {
    let world = World::new();
    let organization = world.organization().await;
    let (number, _) = line(&world, organization).await;
    let mut all = facts(organization, Some(number.id), 100);
    let late = all.remove(1);
    world.store.facts_append(all).await.unwrap();
    let before = world.store.agent_call_get(organization, call_id(100)).unwrap().unwrap();
    let at = world.now();
    let redact = || world.commit(vec![Change::CallRedact(organization, call_id(100), at)]);
    redact().await.unwrap();
    world.store.facts_append(vec![late]).await.unwrap();
    world.commit(vec![Change::CallRedact(organization, call_id(100), world.now())]).await.unwrap();
    let after = world.store.agent_call_get(organization, call_id(100)).unwrap().unwrap();
    assert_eq!(after.redacted_at, Some(at));
    assert!(!format!("{after:?}").contains(&CALLER[1..]), "{after:?}");
    assert_eq!(after.call.attempts.len(), 1);
    assert_eq!((after.call.cost, after.call.duration_seconds), (before.call.cost, 30));
    assert_ne!(after.call.cost, Micros::ZERO);
    assert_eq!((after.call.started_at, after.call.status), (before.call.started_at, before.call.status));
    world.check();
}

#[tokio::test]
async fn what_one_dialect_keeps_of_an_agent_is_given_back() {
    let world = World::new();
    let agent = world.agent(world.organization().await, "Ada").await;
    let bags: Bag = [("one".to_owned(), serde_json::json!({"voice": "v"}))].into_iter().collect();
    let next = agent.update(AgentPatch { bags, ..AgentPatch::default() }, world.now()).unwrap();
    world.commit(vec![Change::Agent(next.clone())]).await.unwrap();
    let world = world.reopened();
    assert_eq!(world.store.agent_get(agent.organization_id, &agent.id).unwrap(), Some(next));
}

#[tokio::test]
async fn the_cheapest_number_on_sale_is_found() {
    let world = World::new();
    let us = Country::parse("US").unwrap();
    let cheapest = || {
        world
            .store
            .stock_cheapest(us, (OrganizationId::NONE, Mode::Live), time(1_000_000))
            .unwrap()
            .map(|stock| stock.e164)
    };
    assert_eq!(cheapest(), None);
    let mut silent = world.new_stock(14_155_550_109, 1);
    silent.capabilities.voice = false;
    let stock = [(1, 300), (2, 200), (3, 200)].map(|(n, cents)| world.new_stock(14_155_550_100 + n, cents));
    world.commit(stock.clone().map(Change::Stock).into()).await.unwrap();
    world.commit(vec![Change::Stock(silent)]).await.unwrap();
    assert_eq!(cheapest(), Some(stock[1].e164));
    let resting = StockState::Quarantined { number: NumberId(world.uuid()), until: time(2_000_000) };
    world.commit(vec![Change::Stock(stock[1].moved(resting, world.now()))]).await.unwrap();
    assert_eq!(cheapest(), Some(stock[2].e164));
    let later = world
        .store
        .stock_cheapest(us, (OrganizationId::NONE, Mode::Live), time(2_000_000))
        .unwrap()
        .map(|stock| stock.e164);
    assert_eq!(later, Some(stock[1].e164));
}
