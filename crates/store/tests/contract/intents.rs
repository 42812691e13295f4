//! Work at carriers, and numbers of a simulated network, as the store keeps them.

use domain::change::Guard;
use domain::claim::AccountTurn;
use domain::e164::Country;
use domain::ids::{IntentId, NodeId, OrganizationId};
use domain::intent::{Intent, Progress, Slot};
use domain::key::Mode;
use domain::number::{Network, NumberSetup, Wiring};
use domain::stock::{StockQuery, StockState};
use domain::{Change, Commit, Number, Page, Posting, Stock, What};
use store::CommitError;

use crate::world::World;

async fn in_stock(world: &World, digits: u64, network: Network) -> Stock {
    let stock = world.new_stock(digits, 100).of_network(network);
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    stock
}

/// A number that waits for its carrier, and what the carrier is asked.
async fn ordered(
    world: &World,
    owner: OrganizationId,
    stock: &Stock,
    slot: Option<Slot>,
) -> (Number, Intent) {
    let setup = (NumberSetup::default(), Wiring::default());
    let (number, sold) = Number::buy(owner, stock, None, setup, world.birth()).unwrap();
    let intent = Intent::acquire(IntentId(world.uuid()), &number, slot, world.now());
    let mut changes = vec![
        Change::Stock(sold),
        Change::Number(Box::new(number.clone())),
        Change::Intent(Box::new(intent.clone())),
    ];
    changes.extend(Posting::purchase(&number, world.now()).map(Change::Posting));
    world.commit(changes).await.unwrap();
    (world.store.number_get(owner, number.id).unwrap().unwrap(), intent)
}

#[tokio::test]
async fn an_intent_comes_back_as_it_was_and_is_found_in_every_way() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    let stock = in_stock(&world, 14_155_550_100, Network::Simulated).await;
    let slot = Slot { key: [7; 32], body: [8; 32] };
    let (number, intent) = ordered(&world, owner, &stock, Some(slot)).await;
    assert_eq!(number.network, Network::Simulated);
    let waiting = intent.waiting("pending", world.now());
    world.commit(vec![Change::Intent(Box::new(waiting.clone()))]).await.unwrap();
    let world = world.reopened();
    let store = &world.store;
    assert_eq!(store.intent_get(intent.id).unwrap(), Some(waiting.clone()));
    assert_eq!(store.intent_open(stock.e164).unwrap(), Some(waiting.clone()));
    assert_eq!(store.intent_last(number.id).unwrap(), Some(waiting.clone()));
    assert_eq!(store.intent_of_slot(&slot.key, waiting.updated_at).unwrap(), Some(waiting.clone()));
    let a_day_later = waiting.created_at + jiff::SignedDuration::from_hours(24);
    assert_eq!(store.intent_of_slot(&slot.key, a_day_later).unwrap(), None);
    assert_eq!(store.intent_next().unwrap(), Some(waiting.next_at));
    let node = NodeId(world.uuid());
    assert_eq!(store.intents_due(waiting.next_at, node, 9).unwrap(), std::slice::from_ref(&waiting));
    let before = waiting.next_at - jiff::SignedDuration::from_micros(1);
    assert!(store.intents_due(before, node, 9).unwrap().is_empty());
    // Under the version that was read, once.
    let stale = intent.ended(Progress::Done, "", world.now());
    let refused = world.commit(vec![Change::Intent(Box::new(stale))]).await;
    assert!(matches!(refused, Err(CommitError::Stale(What::Intent))));
    let changes = vec![
        Change::Number(Box::new(number.acquired(world.now()).unwrap())),
        Change::Intent(Box::new(waiting.ended(Progress::Done, "", world.now()))),
    ];
    world.commit(changes).await.unwrap();
    assert_eq!(
        (world.store.intent_open(stock.e164).unwrap(), world.store.intent_next().unwrap()),
        (None, None)
    );
    world.check();
}

#[tokio::test]
async fn of_one_number_and_of_one_request_one_piece_of_work_is_open() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    let slot = Slot { key: [1; 32], body: [2; 32] };
    let one = in_stock(&world, 14_155_550_100, Network::Simulated).await;
    let (number, intent) = ordered(&world, owner, &one, Some(slot)).await;
    let again = Intent::release(IntentId(world.uuid()), &number, world.now());
    let refused = world.commit(vec![Change::Intent(Box::new(again.clone()))]).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Intent))));
    let two = in_stock(&world, 14_155_550_101, Network::Simulated).await;
    let setup = (NumberSetup::default(), Wiring::default());
    let (other, _) = Number::buy(owner, &two, None, setup, world.birth()).unwrap();
    let same = Intent::acquire(IntentId(world.uuid()), &other, Some(slot), world.now());
    let refused = world.commit(vec![Change::Intent(Box::new(same))]).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Request))));
    let changes = vec![
        Change::Number(Box::new(number.acquired(world.now()).unwrap())),
        Change::Intent(Box::new(intent.ended(Progress::Done, "", world.now()))),
    ];
    world.commit(changes).await.unwrap();
    world.commit(vec![Change::Intent(Box::new(again))]).await.unwrap();
}

#[tokio::test]
async fn of_two_nodes_that_claim_the_same_work_one_has_it() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    let stock = in_stock(&world, 14_155_550_100, Network::Simulated).await;
    let (number, intent) = ordered(&world, owner, &stock, None).await;
    let (one, other) = (NodeId(world.uuid()), NodeId(world.uuid()));
    let now = world.now();
    let claimed = intent.claimed(one, now);
    world.commit(vec![Change::Intent(Box::new(claimed.clone()))]).await.unwrap();
    let refused = world.commit(vec![Change::Intent(Box::new(intent.claimed(other, now)))]).await;
    assert!(matches!(refused, Err(CommitError::Stale(What::Intent))), "{refused:?}");
    assert_eq!(world.store.intent_get(intent.id).unwrap(), Some(claimed.clone()));
    let due = |node, at| world.store.intents_due(at, node, 9).unwrap();
    assert_eq!(due(one, now), std::slice::from_ref(&claimed), "what an earlier process of the node left");
    assert_eq!(due(other, now), []);
    assert_eq!(due(other, claimed.next_at), std::slice::from_ref(&claimed), "its claim has ended");
    let changes = vec![
        Change::Number(Box::new(number.acquired(world.now()).unwrap())),
        Change::Intent(Box::new(claimed.ended(Progress::Done, "", world.now()))),
    ];
    world.commit(changes).await.unwrap();
    assert_eq!(due(one, claimed.next_at), []);
    world.check();
}

#[tokio::test]
async fn an_account_is_one_nodes_at_a_time() {
    let world = World::new();
    let owner = world.organization().await;
    let provider = world.provider(owner).await.id;
    let (one, other) = (NodeId(world.uuid()), NodeId(world.uuid()));
    let generation = world.store.generation().unwrap();
    let now = world.now();
    let taken = AccountTurn::new(one, now);
    let take = |turn| vec![Change::AccountTurn(provider, turn)];
    world.commit(take(taken)).await.unwrap();
    assert_eq!(world.store.account_turn(provider).unwrap(), Some(taken));
    let refused = world.commit(take(AccountTurn::new(other, now))).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Provider))), "{refused:?}");
    // The next process of the same node; and another node, once it has ended.
    let again = AccountTurn::new(one, now + jiff::SignedDuration::from_secs(1));
    world.commit(take(again)).await.unwrap();
    let next = AccountTurn::new(other, again.until);
    world.commit(take(next)).await.unwrap();
    // Who comes late ends nobody else's.
    world.commit(vec![Change::AccountTurnEnd(provider, again)]).await.unwrap();
    assert_eq!(world.store.account_turn(provider).unwrap(), Some(next));
    world.commit(vec![Change::AccountTurnEnd(provider, next)]).await.unwrap();
    assert_eq!(world.store.account_turn(provider).unwrap(), None);
    assert_eq!(world.store.generation().unwrap(), generation, "no memory follows it");
    world.check();
}

#[tokio::test]
async fn the_doctor_sees_work_and_money_that_do_not_belong_together() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    let stock = in_stock(&world, 14_155_550_100, Network::Simulated).await;
    let (number, intent) = ordered(&world, owner, &stock, None).await;
    world.check();
    // Ended without the number: it would wait for ever.
    let failed = intent.ended(Progress::Failed, "no", world.now());
    world.commit(vec![Change::Intent(Box::new(failed))]).await.unwrap();
    let found = world.store.doctor().unwrap().join("\n");
    assert!(
        found.contains("waits for a carrier that is not asked") && found.contains("not paid back"),
        "{found}"
    );
    let paid = number.paid();
    let sold = world.store.stock_get(stock.id).unwrap().unwrap();
    let changes = vec![
        Change::Number(Box::new(number.not_acquired(world.now()).unwrap())),
        Change::Stock(sold.moved(StockState::Available, world.now())),
        Change::Posting(Posting::refund(&number, paid, "not bought".to_owned(), world.now())),
    ];
    world.commit(changes).await.unwrap();
    assert_eq!(world.store.balance(owner).unwrap().cents_floor(), 10_000);
    world.check();
}

#[tokio::test]
async fn work_that_ended_long_ago_goes_and_open_work_stays() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    let mut intents = Vec::new();
    for (digits, progress) in [
        (14_155_550_100, Some(Progress::Done)),
        (14_155_550_101, Some(Progress::Failed)),
        (14_155_550_102, None),
        (14_155_550_103, Some(Progress::Done)),
    ] {
        let stock = in_stock(&world, digits, Network::Simulated).await;
        let (number, intent) = ordered(&world, owner, &stock, None).await;
        let at = world.now();
        if let Some(progress) = progress {
            let next = if progress == Progress::Done { number.acquired(at) } else { number.not_acquired(at) };
            let mut changes = vec![Change::Number(Box::new(next.unwrap()))];
            if progress == Progress::Failed {
                let sold = world.store.stock_get(stock.id).unwrap().unwrap();
                changes.push(Change::Stock(sold.moved(StockState::Available, at)));
                changes.push(Change::Posting(Posting::refund(&number, number.paid(), "no".to_owned(), at)));
            }
            changes.push(Change::Intent(Box::new(intent.ended(progress, "", at))));
            world.commit(changes).await.unwrap();
        }
        intents.push(intent.id);
    }
    let there =
        || -> Vec<bool> { intents.iter().map(|id| world.store.intent_get(*id).unwrap().is_some()).collect() };
    let ended = |at: usize| world.store.intent_get(intents[at]).unwrap().unwrap().updated_at;
    let last = ended(3);
    let none = ended(0);
    assert!(!world.store.intents_prunable(none).unwrap() && world.store.intents_prunable(last).unwrap());
    for (before, most, left) in [
        (none, 9, [true, true, true, true]),
        (last, 1, [false, true, true, true]),
        (last, 9, [false, false, true, true]),
    ] {
        world.commit(vec![Change::IntentsPrune(before, most)]).await.unwrap();
        assert_eq!(there(), left);
        world.check();
    }
    assert!(!world.store.intents_prunable(last).unwrap());
}

#[tokio::test]
async fn each_mode_sees_its_own_stock_and_tests_take_no_slot() {
    let world = World::new();
    let owner = world.organization().await;
    let real = in_stock(&world, 14_155_550_100, Network::Public).await;
    let test = in_stock(&world, 14_155_550_101, Network::Test).await;
    let seen = |mode| {
        let query = StockQuery { mode, available_at: Some(world.now()), ..StockQuery::default() };
        let found = world.store.stock_list(&query, &Page::first(9)).unwrap();
        found.items.iter().map(|stock| stock.id).collect::<Vec<_>>()
    };
    assert_eq!(seen(Some(Mode::Live)), [real.id]);
    assert_eq!(seen(Some(Mode::Test)), [test.id]);
    assert_eq!(seen(None).len(), 2);
    let us = Country::parse("US").unwrap();
    let cheapest =
        |mode| world.store.stock_cheapest(us, (owner, mode), world.now()).unwrap().map(|stock| stock.id);
    assert_eq!((cheapest(Mode::Live), cheapest(Mode::Test)), (Some(real.id), Some(test.id)));
    assert_eq!(world.store.stock_for_tests(us, world.now()).unwrap(), (1, 1));
    let reserved = test.hold(owner, world.now()).unwrap();
    world.commit(vec![Change::Stock(reserved.clone())]).await.unwrap();
    assert_eq!(
        world.store.stock_for_tests(us, world.now()).unwrap(),
        (0, 1),
        "what is reserved is for one alone"
    );
    let test = reserved.unhold(owner, world.now()).unwrap();
    world.commit(vec![Change::Stock(test.clone())]).await.unwrap();
    let (number, intent) = ordered(&world, owner, &test, None).await;
    assert_eq!((number.paid().0, world.store.balance(owner).unwrap().0), (0, 0));
    assert_eq!(world.store.number_held_count(owner).unwrap(), 1);
    assert_eq!(world.store.number_slots_used(owner).unwrap(), 0);
    let ended = Change::Intent(Box::new(intent.ended(Progress::Done, "", world.now())));
    let active = Change::Number(Box::new(number.acquired(world.now()).unwrap()));
    let commit = |most| Commit {
        changes: vec![active.clone(), ended.clone()],
        guards: vec![Guard::SlotsWithin(owner, 0), Guard::TestNumbersWithin(owner, most)],
        answer: None,
    };
    let refused = world.store.commit(commit(0)).await.unwrap_err();
    assert!(matches!(refused, CommitError::Guard(Guard::TestNumbersWithin(_, 0))));
    world.store.commit(commit(1)).await.unwrap();
    assert_eq!(world.store.stock_for_tests(us, world.now()).unwrap(), (0, 1));
    world.check();
}

#[tokio::test]
async fn what_a_carrier_sold_is_found_when_its_rest_is_over() {
    let world = World::new();
    let owner = world.organization().await;
    world.commit(vec![world.funding(owner, 10_000)]).await.unwrap();
    for (digits, network) in [(14_155_550_100, Network::Simulated), (14_155_550_101, Network::Public)] {
        let stock = in_stock(&world, digits, network).await;
        world.commit(world.purchase(owner, &stock)).await.unwrap();
        let number = world.store.number_find(owner, stock.e164).unwrap().unwrap();
        let settings = domain::organization::Settings::read(&domain::Bag::new()).unwrap();
        let now = world.now();
        let gone = number.release(&settings, now).unwrap();
        let sold = world.store.stock_get(stock.id).unwrap().unwrap();
        let rests = gone.stock_after(&sold, now);
        world
            .commit(vec![Change::Stock(rests.clone()), Change::Number(Box::new(gone.clone()))])
            .await
            .unwrap();
        let until = gone.quarantined_until.unwrap();
        let mine = |at| {
            let rested = world.store.stock_rested(at, 9).unwrap();
            rested.into_iter().filter(|stock| stock.e164 == rests.e164).count()
        };
        assert_eq!(mine(until - jiff::SignedDuration::from_micros(1)), 0);
        // The operator's own numbers go back to nobody.
        assert_eq!(mine(until), usize::from(network == Network::Simulated));
    }
    world.check();
}
