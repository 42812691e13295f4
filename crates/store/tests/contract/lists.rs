//! Lists: every row once, in one order, in both directions; and the search.

use domain::ids::{NumberId, OrganizationId};
use domain::number::{NumberPatch, NumberQuery, Status, Trust, Wiring};
use domain::organization::Settings;
use domain::provider::ProviderKind;
use domain::stock::{StockQuery, StockState};
use domain::{Bag, Change, Page, Paged, Patch, Start};
use proptest::prelude::*;
use store::StoreError;

use crate::world::{World, block_on, e164};

/// Walks a list from its newest row to its oldest and back, and counts through it.
fn walk<T, K: Clone + PartialEq + std::fmt::Debug>(
    limit: u32,
    key: impl Fn(&T) -> K,
    list: impl Fn(&Page<K>) -> Result<Paged<T>, StoreError>,
) -> Vec<K> {
    let keys = |page: &Page<K>| list(page).unwrap().map(|row| key(&row));
    let mut forward: Vec<K> = Vec::new();
    let mut start = Start::First;
    loop {
        let page = keys(&Page { limit, start });
        assert!(page.items.len() <= usize::try_from(limit).unwrap());
        forward.extend(page.items);
        let offset = Page { limit, start: Start::Offset(u32::try_from(forward.len()).unwrap()) };
        assert_eq!(!keys(&offset).items.is_empty(), page.more, "by offset");
        if !page.more {
            break;
        }
        start = Start::After(forward.last().unwrap().clone());
    }
    let mut backward: Vec<K> = forward.last().cloned().into_iter().collect();
    if backward.is_empty() {
        return forward;
    }
    loop {
        let page = keys(&Page { limit, start: Start::Before(backward[0].clone()) });
        backward.splice(0..0, page.items);
        if !page.more {
            break;
        }
    }
    assert_eq!(forward, backward);
    forward
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn each_row_is_seen_once_in_the_same_order_both_ways(count in 0u64..25, limit in 1u32..12) {
        block_on(async {
            let world = World::new();
            let (id, other) = (world.organization().await, world.organization().await);
            let (mine, theirs) = (world.provider(id).await, world.provider(other).await);
            let agent = world.agent(id, "Reception").await;
            let mut wanted = Vec::new();
            for n in 0..count {
                let mut number = world.new_number(id, &mine, 14_155_550_100 + n);
                number.agent_id = (n % 2 == 0).then(|| agent.id.clone());
                let foreign = world.new_number(other, &theirs, 14_155_560_100 + n);
                let stock = world.new_stock(14_155_570_100 + n, 1);
                wanted.push((number.id, number.agent_id.is_some()));
                let event = Change::Event(world.new_event(id));
                let changes = vec![Change::Number(Box::new(foreign)), Change::Number(Box::new(number)), Change::Stock(stock), event];
                world.commit(changes).await.unwrap();
            }
            let numbers = |q: Option<&str>| {
                let query = NumberQuery { q: q.map(str::to_owned), ..NumberQuery::default() };
                walk(limit, |n: &domain::Number| n.id, |page| world.store.number_list(id, &query, page))
            };
            let all: Vec<NumberId> = wanted.iter().rev().map(|(id, _)| *id).collect();
            let of_agent: Vec<NumberId> = wanted.iter().rev().filter(|w| w.1).map(|(id, _)| *id).collect();
            assert_eq!(numbers(None), all);
            assert_eq!(numbers(Some("415-555")), all);
            assert_eq!(numbers(Some("mBeR")), all);
            assert_eq!(numbers(Some("41")), all);
            assert_eq!(numbers(Some("reCEPT")), of_agent);
            assert_eq!(numbers(Some("pt")), of_agent);
            assert_eq!(numbers(Some("5556")), Vec::<NumberId>::new());
            let stock = |q: Option<&str>| {
                let query = StockQuery { q: q.map(str::to_owned), available_at: Some(world.now()), ..StockQuery::default() };
                walk(limit, |s: &domain::Stock| s.id, |page| world.store.stock_list(&query, page)).len()
            };
            let count = usize::try_from(count).unwrap();
            assert_eq!([stock(None), stock(Some("+1 415 557")), stock(Some("57")), stock(Some("abc"))], [count, count, count, 0]);
            assert_eq!(walk(limit, |e: &domain::Event| e.id, |page| world.store.event_list(id, page)).len(), count);
        });
    }
}

fn search(world: &World, id: OrganizationId, query: &NumberQuery) -> Vec<u64> {
    let found = world.store.number_list(id, query, &Page::first(100)).unwrap();
    found.items.iter().map(|n| n.e164.as_u64()).collect()
}

fn q(text: &str) -> NumberQuery {
    NumberQuery { q: Some(text.to_owned()), ..NumberQuery::default() }
}

#[tokio::test]
async fn a_search_finds_number_label_and_agent() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let agent = world.agent(id, "Zoë's Café").await;
    let mut number = world.new_number(id, &provider, 14_155_550_100);
    number.label = Some("100% \"Main\" Straße_1 OR NEAR(x)".to_owned());
    number.agent_id = Some(agent.id.clone());
    world.commit(vec![Change::Number(Box::new(number.clone()))]).await.unwrap();
    world.number(id, &provider, 442_071_838_750).await;
    let one = [14_155_550_100];
    for text in [
        "+1 (415) 555-0100",
        "5550100",
        "41.55",
        "\"main\"",
        "100%",
        "straße",
        "ße_1",
        "ZOË",
        "café",
        "%",
        "or near(",
        "é",
    ] {
        assert_eq!(search(&world, id, &q(text)), one, "{text}");
    }
    for text in ["5550101", "Mai n", "x*", "label:Main", "1_0", "Straße%1", "zoe", "\u{0}xyz", "_%_", "x\""]
    {
        assert_eq!(search(&world, id, &q(text)), [0u64; 0], "{text}");
    }
    assert_eq!(search(&world, id, &q("  ")).len(), 2);
    let mut named = world.new_number(id, &provider, 14_155_550_199);
    named.label = Some("Formerly +44 (20) 7183-8750, ext. 12".to_owned());
    world.commit(vec![Change::Number(Box::new(named))]).await.unwrap();
    assert_eq!(search(&world, id, &q("+44 20 7183 8750")), [14_155_550_199, 442_071_838_750]);
    assert_eq!(search(&world, id, &q("207")), [14_155_550_199, 442_071_838_750]);
    assert_eq!(search(&world, id, &q("875012")), [0u64; 0]);
    // Renaming the agent and the label moves both at once.
    let mut renamed = agent.clone();
    renamed.name = "Night shift".to_owned();
    renamed.version = 2;
    let stored = world.store.number_get(id, number.id).unwrap().unwrap();
    let patch = NumberPatch { label: Patch::Set("Side door".to_owned()), ..NumberPatch::default() };
    let next = stored.update(patch, Wiring::default(), Trust::Trusted, world.now()).unwrap();
    world.commit(vec![Change::Agent(renamed), Change::Number(Box::new(next.clone()))]).await.unwrap();
    assert_eq!((search(&world, id, &q("zoë")).len(), search(&world, id, &q("main")).len()), (0, 0));
    assert_eq!(search(&world, id, &q("side door")), one);
    assert_eq!(search(&world, id, &q("night")), one);
    // Released numbers are found only by their status.
    let released = next.release(&Settings::read(&Bag::new()).unwrap(), world.now()).unwrap();
    world.commit(vec![Change::Number(Box::new(released))]).await.unwrap();
    assert_eq!(search(&world, id, &q("side")).len(), 0);
    assert_eq!(search(&world, id, &NumberQuery { status: Some(Status::Released), ..q("side") }), one);
    assert_eq!(search(&world, id, &NumberQuery { status: Some(Status::Released), ..q("00") }), one);
    world.check();
}

#[tokio::test]
async fn filters_narrow_lists_down() {
    let world = World::new();
    let id = world.organization().await;
    let (provider, endpoint, agent) =
        (world.provider(id).await, world.endpoint(id).await, world.agent(id, "A").await);
    let stock = world.new_stock(14_155_550_100, 1);
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    world.commit(world.purchase(id, &stock)).await.unwrap();
    let mut one = world.new_number(id, &provider, 14_155_550_101);
    one.endpoint_id = Some(endpoint.id);
    let mut two = world.new_number(id, &provider, 442_071_838_750);
    two.agent_id = Some(agent.id.clone());
    two.status = Status::Inactive;
    two.environment = domain::number::Environment::Sandbox;
    world.commit(vec![Change::Number(Box::new(one)), Change::Number(Box::new(two.clone()))]).await.unwrap();
    let all = NumberQuery::default;
    let cases = [
        (all(), vec![442_071_838_750, 14_155_550_101, 14_155_550_100]),
        (NumberQuery { provider_kind: Some(ProviderKind::Managed), ..all() }, vec![14_155_550_100]),
        (
            NumberQuery { provider_kind: Some(ProviderKind::SipTrunk), ..all() },
            vec![442_071_838_750, 14_155_550_101],
        ),
        (NumberQuery { provider_id: Some(provider.id), ..all() }, vec![442_071_838_750, 14_155_550_101]),
        (NumberQuery { endpoint_id: Some(endpoint.id), ..all() }, vec![14_155_550_101]),
        (NumberQuery { agent_id: Some(agent.id.clone()), ..all() }, vec![442_071_838_750]),
        (NumberQuery { country: Some(two.country), ..all() }, vec![442_071_838_750]),
        (NumberQuery { kind: Some(domain::e164::NumberType::Mobile), ..all() }, vec![]),
        (NumberQuery { environment: Some(two.environment), ..all() }, vec![442_071_838_750]),
        (NumberQuery { status: Some(Status::Active), ..all() }, vec![14_155_550_101, 14_155_550_100]),
        (NumberQuery { status: Some(Status::Inactive), ..all() }, vec![442_071_838_750]),
        (NumberQuery { status: Some(Status::Inactive), ..q("1838") }, vec![442_071_838_750]),
        (NumberQuery { country: Some(two.country), ..q("555") }, vec![]),
    ];
    for (query, wanted) in cases {
        assert_eq!(search(&world, id, &query), wanted, "{query:?}");
    }
    let sold = StockQuery { available_at: Some(world.now()), ..StockQuery::default() };
    assert!(world.store.stock_list(&sold, &Page::first(9)).unwrap().items.is_empty());
    assert_eq!(world.store.stock_list(&StockQuery::default(), &Page::first(9)).unwrap().items.len(), 1);
    let current = world.store.stock_find(e164(14_155_550_100)).unwrap().unwrap();
    let until = world.now();
    let resting = current.moved(StockState::Quarantined { number: NumberId(world.uuid()), until }, until);
    world.commit(vec![Change::Stock(resting.clone())]).await.unwrap();
    assert!(world.store.stock_list(&sold, &Page::first(9)).unwrap().items.is_empty());
    let later = StockQuery { available_at: Some(world.now()), ..StockQuery::default() };
    assert_eq!(world.store.stock_list(&later, &Page::first(9)).unwrap().items, [resting]);
}

#[tokio::test]
async fn lists_of_everything_else_have_their_rows() {
    let world = World::new();
    let id = world.organization().await;
    for _ in 0..3 {
        let agent = world.new_agent(id, "A");
        let changes = vec![
            Change::Agent(agent.clone()),
            Change::Endpoint(world.new_endpoint(id, Some(&agent))),
            Change::Provider(world.new_provider(Some(id))),
            Change::Provider(world.new_provider(None)),
            Change::Key(world.new_key(id)),
            world.funding(id, 1),
        ];
        world.commit(changes).await.unwrap();
    }
    world.organization().await;
    let store = &world.store;
    assert_eq!(store.organization_count().unwrap(), 2);
    for limit in 1..5 {
        assert_eq!(
            walk(limit, |o: &domain::Organization| o.id, |page| store.organization_list(page)).len(),
            2
        );
        assert_eq!(walk(limit, |a: &domain::Agent| a.id.clone(), |page| store.agent_list(id, page)).len(), 3);
        assert_eq!(walk(limit, |e: &domain::Endpoint| e.id, |page| store.endpoint_list(id, page)).len(), 3);
        assert_eq!(
            walk(limit, |p: &domain::Provider| p.id, |page| store.provider_list(Some(id), page)).len(),
            3
        );
        assert_eq!(walk(limit, |p: &domain::Provider| p.id, |page| store.provider_list(None, page)).len(), 6);
        assert_eq!(walk(limit, |k: &domain::Key| k.id, |page| store.key_list(id, page)).len(), 3);
        assert_eq!(
            walk(limit, |e: &domain::ledger::Entry| e.id, |page| store.ledger_list(id, page)).len(),
            6
        );
    }
}
