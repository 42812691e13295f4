//! Reservations, rent, low balances, caps and late ends, as the store keeps them.

use domain::call::{Direction, Ended, EndedBy, FactKind, Moment, Started};
use domain::change::Guard;
use domain::ids::{CallId, NumberId, OrganizationId};
use domain::ledger::Subject;
use domain::number::{NumberSetup, Wiring, period_start};
use domain::stock::{Hold, StockQuery};
use domain::{Change, Commit, Fact, Generation, Micros, Number, Page, Posting, Stock, Timestamp, What};
use serde_json::json;
use store::CommitError;

use crate::world::{World, time};

fn minutes(count: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(count)
}

async fn in_stock(world: &World, digits: u64, monthly: i64) -> Stock {
    let mut stock = world.new_stock(digits, 100);
    stock.monthly_cost = Micros::from_cents(monthly).unwrap();
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    stock
}

/// A number bought at a time.
async fn bought(world: &World, owner: OrganizationId, digits: u64, now: Timestamp) -> Number {
    let stock = in_stock(world, digits, 200).await;
    let birth = domain::number::Birth { now, ..world.birth() };
    let setup = (NumberSetup::default(), Wiring::default());
    let (number, sold) = Number::buy(owner, &stock, None, setup, birth).unwrap();
    let number = number.activate().unwrap();
    let paid = Posting::purchase(&number, now).unwrap();
    let changes = vec![Change::Stock(sold), Change::Number(Box::new(number.clone())), Change::Posting(paid)];
    world.commit(changes).await.unwrap();
    world.store.number_get(owner, number.id).unwrap().unwrap()
}

fn on_sale(world: &World, buyer: Option<OrganizationId>, at: Timestamp) -> usize {
    let query = StockQuery { available_at: Some(at), buyer, ..StockQuery::default() };
    world.store.stock_list(&query, &Page::first(9)).unwrap().items.len()
}

#[tokio::test]
async fn what_is_reserved_is_on_sale_to_its_holder_alone_until_it_ends() {
    let world = World::new();
    let (own, other) = (world.organization().await, world.organization().await);
    let (now, later) = (time(1_000), time(1_000) + minutes(Hold::MINUTES));
    let stock = in_stock(&world, 14_155_550_100, 200).await;
    let held = stock.hold(own, now).unwrap();
    assert_eq!(held.updated_at, stock.updated_at);
    world.commit(vec![Change::Stock(held.clone())]).await.unwrap();
    let world = world.reopened();
    assert_eq!(world.store.stock_get(stock.id).unwrap(), Some(held.clone()));
    let seen = |at| [None, Some(own), Some(other)].map(|buyer| on_sale(&world, buyer, at));
    assert_eq!(seen(now), [0, 1, 0]);
    assert_eq!(seen(later), [1, 1, 1]);
    let q = StockQuery {
        available_at: Some(now),
        buyer: Some(other),
        q: Some("4155".to_owned()),
        ..StockQuery::default()
    };
    assert_eq!(world.store.stock_list(&q, &Page::first(9)).unwrap().items.len(), 0);
    let cheapest = |buyer, at| {
        world.store.stock_cheapest(stock.country, (buyer, domain::key::Mode::Live), at).unwrap().map(|s| s.id)
    };
    assert_eq!(
        [cheapest(own, now), cheapest(other, now), cheapest(other, later)],
        [Some(stock.id), None, Some(stock.id)]
    );
    assert_eq!(world.store.stock_holds(own, now).unwrap(), [later]);
    assert_eq!(world.store.stock_holds(own, later).unwrap(), []);
    // The holder's repeat is the same; another's comes to nothing, and so does a purchase of what was on sale before.
    assert_eq!(held.hold(own, later - minutes(1)), Some(held.clone()));
    assert_eq!(held.hold(other, now), None);
    let lost = world.commit(world.purchase(other, &stock)).await;
    assert!(matches!(lost, Err(CommitError::Stale(What::Stock))), "{lost:?}");
    world.commit(world.purchase(own, &held)).await.unwrap();
    assert_eq!(world.store.stock_get(stock.id).unwrap().unwrap().hold, None, "used up");
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_reserve_or_buy_at_once_one_wins() {
    let world = World::new();
    let stock = in_stock(&world, 14_155_550_100, 200).await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let id = world.organization().await;
        let changes = match n % 2 {
            0 => vec![Change::Stock(stock.hold(id, time(9)).unwrap())],
            _ => world.purchase(id, &stock),
        };
        let store = world.store.clone();
        tasks.push(tokio::spawn(async move { store.commit(Commit { changes, ..Commit::default() }).await }));
    }
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, CommitError::Stale(What::Stock)), "{error}"),
        }
    }
    assert_eq!(won, 1);
    world.check();
}

#[tokio::test]
async fn reservations_are_capped_and_those_that_ended_do_not_count() {
    let world = World::new();
    let id = world.organization().await;
    let hold = async |digits, now| {
        let stock = in_stock(&world, digits, 0).await.hold(id, now).unwrap();
        world.guarded(vec![Change::Stock(stock)], Guard::HoldsWithin(id, 2, now)).await
    };
    let now = time(10);
    hold(14_155_550_101, now).await.unwrap();
    hold(14_155_550_102, now).await.unwrap();
    assert!(matches!(hold(14_155_550_103, now).await, Err(CommitError::Guard(Guard::HoldsWithin(..)))));
    hold(14_155_550_104, now + minutes(Hold::MINUTES)).await.unwrap();
    world.check();

    // Those of a clock that was ahead and has been corrected have ended, for sale and for the count.
    let world = World::new();
    let id = world.organization().await;
    let row = in_stock(&world, 14_155_550_101, 0).await;
    let ahead = row.hold(id, now + minutes(2 * 60)).unwrap();
    world.commit(vec![Change::Stock(ahead)]).await.unwrap();
    let us = row.country;
    let other = OrganizationId(world.uuid());
    let cheapest = |at| {
        let found = world.store.stock_cheapest(us, (other, domain::key::Mode::Live), at).unwrap();
        found.map_or(0, |_| 1)
    };
    for (at, free) in [(now, 1), (now + minutes(90), 0), (now + minutes(2 * 60), 0), (now + minutes(150), 1)]
    {
        assert_eq!((on_sale(&world, Some(other), at), cheapest(at)), (free, free));
        assert_eq!(world.store.stock_holds(id, at).unwrap().len(), 1 - free);
    }
}

#[tokio::test]
async fn a_period_is_posted_once_and_what_is_due_is_found() {
    let world = World::new();
    let id = world.organization().await;
    let begin: Timestamp = "2027-01-31T00:00:00Z".parse().unwrap();
    let number = bought(&world, id, 14_155_550_101, begin).await;
    let later = bought(&world, id, 14_155_550_102, begin + minutes(1)).await;
    let due = |at, after| {
        let found = world.store.numbers_due(at, after, 9).unwrap();
        found.into_iter().map(|number| number.id).collect::<Vec<_>>()
    };
    let second = period_start(begin, 1).unwrap();
    assert_eq!(due(second - minutes(1), None), Vec::<NumberId>::new());
    assert_eq!(due(second, None), [number.id]);
    assert_eq!(due(second + minutes(1), None), [number.id, later.id]);
    assert_eq!(due(second + minutes(1), number.rented_until.map(|until| (until, number.alias))), [later.id]);

    let (paid, postings) = number.rent(second, 9);
    let changes: Vec<_> = [Change::Number(Box::new(paid.clone()))]
        .into_iter()
        .chain(postings.clone().into_iter().map(Change::Posting))
        .collect();
    world.commit(changes.clone()).await.unwrap();
    assert!(
        matches!(world.commit(changes.clone()).await, Err(CommitError::Stale(What::Number))),
        "another node"
    );
    // Even under the right version the ledger takes no period twice.
    let again = Number { version: paid.version + 1, ..paid.clone() };
    let forged = vec![Change::Number(Box::new(again)), Change::Posting(postings[0].clone())];
    assert!(matches!(world.commit(forged).await, Err(CommitError::Exists(What::Ledger))));
    let entry = world.store.wallet_entry(id, postings[0].id).unwrap().unwrap();
    assert_eq!((entry.subject, entry.amount), (Subject::Rental(number.id, 1), -number.monthly_cost));
    // A released number is nobody's debt.
    let settings = domain::organization::Settings::read(&domain::Bag::new()).unwrap();
    let released = paid.release(&settings, second).unwrap();
    let stock = world.store.stock_get(number.stock_id.unwrap()).unwrap().unwrap();
    let rests = released.stock_after(&stock, second);
    world.commit(vec![Change::Stock(rests), Change::Number(Box::new(released))]).await.unwrap();
    assert_eq!(due(Timestamp::MAX, None), [later.id]);
    world.check();
}

#[tokio::test]
async fn each_fall_below_the_threshold_is_told_once_whoever_posts() {
    let world = World::new();
    let mut organization = world.new_organization();
    organization.settings.insert("balance_low_cents".to_owned(), json!(500));
    let id = organization.id;
    world.commit(vec![Change::Organization(organization.clone()), world.funding(id, 600)]).await.unwrap();
    let told = || -> Vec<domain::Event> {
        let events = world.store.event_list(id, &Page::first(99)).unwrap().items;
        events.into_iter().filter(|event| event.name == "balance.low").collect()
    };
    world.commit(vec![world.funding(id, -100)]).await.unwrap();
    assert_eq!(told().len(), 0, "at the threshold is not below it");
    // A refused commit tells nothing.
    let refused = world.guarded(vec![world.funding(id, -700)], Guard::WalletCovers(id)).await;
    assert!(refused.is_err() && told().is_empty());
    world.commit(vec![world.funding(id, -1)]).await.unwrap();
    let first = told();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].subject, id.to_string());
    assert_eq!(json!(first[0].data), json!({ "balance_cents": 499, "threshold_cents": 500 }));
    world.commit(vec![world.funding(id, -100)]).await.unwrap();
    assert_eq!(told().len(), 1, "below it already");
    world.commit(vec![world.funding(id, 101)]).await.unwrap();
    world.store.facts_append(call(id, world.call_id(), None, &[EndedBy::Caller])).await.unwrap();
    assert_eq!(told().len(), 2, "a call's charge tells as well");
    let events = world.store.event_list(id, &Page::first(99)).unwrap().items;
    assert!(events.iter().any(|event| event.name == "call.completed"), "beside the call's own event");
    world.check();
}

#[tokio::test]
async fn numbers_that_came_lately_are_capped_whatever_became_of_them() {
    let world = World::new();
    let id = world.organization().await;
    let (now, since) = (time(100_000), time(50_000));
    let buy = async |digits, at| {
        let stock = in_stock(&world, digits, 0).await;
        let birth = domain::number::Birth { now: at, ..world.birth() };
        let (number, sold) =
            Number::buy(id, &stock, None, (NumberSetup::default(), Wiring::default()), birth).unwrap();
        let changes = vec![Change::Stock(sold), Change::Number(Box::new(number.clone()))];
        world.guarded(changes, Guard::ChurnWithin(id, 2, since)).await.map(|_| number)
    };
    buy(14_155_550_101, time(40_000)).await.unwrap();
    let gone = buy(14_155_550_102, time(60_000)).await.unwrap();
    let settings = domain::organization::Settings::read(&domain::Bag::new()).unwrap();
    let stock = world.store.stock_get(gone.stock_id.unwrap()).unwrap().unwrap();
    let gone = gone.delete(&settings, true, now).unwrap();
    let rests = gone.stock_after(&stock, now);
    world.commit(vec![Change::Stock(rests), Change::Number(Box::new(gone))]).await.unwrap();
    buy(14_155_550_103, now).await.unwrap();
    let refused = buy(14_155_550_104, now).await;
    assert!(matches!(refused, Err(CommitError::Guard(Guard::ChurnWithin(..)))), "{refused:?}");
    assert_eq!(world.store.numbers_born(id, since, 9).unwrap(), 2);
    assert_eq!(world.store.numbers_born(id, since, 1).unwrap(), 1);
    assert_eq!(world.store.number_last_born(id, 1).unwrap(), Some(time(60_000)));
    assert_eq!(world.store.number_last_born(id, 9).unwrap(), None);
    world.check();

    // What a carrier was asked for and did not deliver counts while it is asked, and not after it has refused.
    let id = world.organization().await;
    let born = || world.store.numbers_born(id, since, 9).unwrap();
    let simulated = domain::number::Network::Simulated;
    let stock = world.new_stock(14_155_550_105, 0).of_network(simulated);
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    let birth = domain::number::Birth { now, ..world.birth() };
    let parts = (NumberSetup::default(), Wiring::default());
    let (number, sold) = Number::buy(id, &stock, None, parts, birth).unwrap();
    world.commit(vec![Change::Stock(sold.clone()), Change::Number(Box::new(number.clone()))]).await.unwrap();
    assert_eq!((born(), world.store.number_last_born(id, 0).unwrap()), (1, Some(now)));
    let number = world.store.number_get(id, number.id).unwrap().unwrap();
    let delivered = number.acquired(now).unwrap().release(&settings, now).unwrap();
    let mut gone = number.not_acquired(now).unwrap();
    world.commit(vec![Change::Number(Box::new(gone.clone()))]).await.unwrap();
    assert_eq!((born(), world.store.number_last_born(id, 0).unwrap()), (0, None));
    (gone.delivered_at, gone.version) = (delivered.delivered_at, gone.version + 1);
    world.commit(vec![Change::Number(Box::new(gone))]).await.unwrap();
    assert_eq!(born(), 1, "one that was delivered and given up");
}

fn call(
    organization_id: OrganizationId,
    call_id: CallId,
    number: Option<&Number>,
    ends: &[EndedBy],
) -> Vec<Fact> {
    let started = Started {
        direction: Direction::Inbound,
        number_id: number.map(|number| number.id),
        number: number.map(|number| number.e164),
        from: String::new(),
        to: String::new(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(1),
        price: domain::Price::by_minute(Micros(60_000)),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: String::new(),
    };
    let fact = |second: i64, kind| {
        let monotonic_us = u64::try_from(second).unwrap() * 1_000_000;
        Fact { organization_id, call_id, at: Moment { wall: time(second), process: 7, monotonic_us }, kind }
    };
    let end = |by: &EndedBy| {
        // What nobody saw is closed at its last proof of life.
        let second = if *by == EndedBy::Reaper { 31 } else { 601 };
        fact(second, FactKind::Ended(Ended { by: *by, reason: None }))
    };
    let begun = [fact(0, FactKind::Started(Box::new(started))), fact(1, FactKind::Answered(None))];
    begun.into_iter().chain(ends.iter().map(end)).collect()
}

#[tokio::test]
async fn an_end_that_is_seen_after_all_is_charged_and_counted_once() {
    let world = World::new();
    let id = world.organization().await;
    let number = bought(&world, id, 14_155_550_101, time(0)).await;
    let before = world.store.balance(id).unwrap();
    let of = |ends: &[EndedBy]| call(id, CallId(uuid::Uuid::from_u128(77)), Some(&number), ends);
    let counted = || {
        let month = "2026-09-01T00:00:00Z".parse().unwrap();
        let minutes = world.store.minutes(id, &[number.id], month).unwrap()[0].1;
        (before - world.store.balance(id).unwrap(), minutes)
    };
    world.store.facts_append(of(&[EndedBy::Reaper])).await.unwrap();
    assert_eq!(counted(), (Micros(30_000), 1));
    for _ in 0..2 {
        world.store.facts_append(of(&[EndedBy::Reaper, EndedBy::Caller])).await.unwrap();
        assert_eq!(counted(), (Micros(600_000), 10));
        world.check();
    }
    let shown = world.store.call_get(id, CallId(uuid::Uuid::from_u128(77))).unwrap().unwrap();
    assert_eq!(shown.cost, Micros(600_000));
    let events = world.store.event_list(id, &Page::first(9)).unwrap().items;
    assert_eq!(events.iter().filter(|event| event.name == "call.completed").count(), 1);
}

#[tokio::test]
async fn an_answered_call_is_known_even_when_its_record_was_removed() {
    let world = World::new();
    let id = world.organization().await;
    let number = bought(&world, id, 14_155_550_101, time(0)).await;
    let call_id = world.call_id();
    assert!(!world.store.number_was_called(id, number.id).unwrap());
    world.guarded(vec![world.funding(id, 1)], Guard::NumberUncalled(id, number.id)).await.unwrap();
    world.store.facts_append(call(id, call_id, Some(&number), &[])).await.unwrap();
    assert!(world.store.number_was_called(id, number.id).unwrap(), "while it goes on");
    world.store.facts_append(call(id, call_id, Some(&number), &[EndedBy::Caller])).await.unwrap();
    world.commit(vec![Change::CallDelete(id, call_id)]).await.unwrap();
    assert!(world.store.number_was_called(id, number.id).unwrap());
    // One of no time at all, too.
    let short = bought(&world, id, 14_155_550_102, time(0)).await;
    let short_id = world.call_id();
    let mut facts = call(id, short_id, Some(&short), &[EndedBy::Caller]);
    facts[2].at = facts[1].at;
    world.store.facts_append(facts).await.unwrap();
    world.commit(vec![Change::CallDelete(id, short_id)]).await.unwrap();
    assert!(world.store.number_was_called(id, short.id).unwrap());
    let refused = world.guarded(vec![world.funding(id, 1)], Guard::NumberUncalled(id, number.id)).await;
    assert!(matches!(refused, Err(CommitError::Guard(Guard::NumberUncalled(..)))));
}
