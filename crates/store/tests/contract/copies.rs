//! Copies of a whole store into another one: everything arrives, in one run or in several, or it is said that it did not.

use domain::call::CallQuery;
use domain::number::NumberQuery;
use domain::{Change, Commit, Page};
use std::panic::{AssertUnwindSafe, catch_unwind};
use store::copy::{Copied, Progress};
use store::{Store, StoreError};

use crate::calls::whole;
use crate::home::Home;
use crate::world::World;

/// More numbers than one batch has, and something of everything that can be bought, called and posted.
async fn source() -> World {
    let world = World::new();
    let owner = world.organization().await;
    let (agent, provider) = (world.agent(owner, "Desk").await, world.provider(owner).await);
    let endpoint = world.new_endpoint(owner, Some(&agent));
    world.commit(vec![Change::Endpoint(endpoint), Change::Key(world.new_key(owner))]).await.unwrap();
    let numbers = (0..4_100).map(|nth| world.new_number(owner, &provider, 14_155_550_000 + nth));
    world.commit(numbers.map(|number| Change::Number(Box::new(number))).collect()).await.unwrap();
    let (sold, kept) = (world.new_stock(14_165_550_100, 5), world.new_stock(14_165_550_101, 5));
    world
        .commit(vec![Change::Stock(sold.clone()), Change::Stock(kept), world.funding(owner, 9)])
        .await
        .unwrap();
    world.commit(world.purchase(owner, &sold)).await.unwrap();
    let (_, number) = world.store.number_holder(sold.e164).unwrap().unwrap();
    world.store.facts_append(whole(owner, world.call_id(), number)).await.unwrap();
    world.commit(vec![Change::Event(world.new_event(owner))]).await.unwrap();
    world
}

async fn copy(
    from: &World,
    to: &Home,
    see: impl FnMut(Progress) + Send + 'static,
) -> Result<Copied, StoreError> {
    let (from, to) = (from.store.clone(), Store::open_to_copy(to.url())?);
    let mut see = see;
    tokio::task::spawn_blocking(move || to.copy_from(&from, &mut see)).await.unwrap()
}

/// Stops it, as a process that ends does, when so many rows of numbers have gone over.
async fn stopped(from: &World, to: &Home) {
    let (from, to) = (from.store.clone(), Store::open_to_copy(to.url()).unwrap());
    let run = move || {
        let stop =
            |progress: Progress| assert!(progress.table != "numbers" || progress.done < 2_000, "stopped");
        catch_unwind(AssertUnwindSafe(|| to.copy_from(&from, &mut { stop }))).is_err()
    };
    assert!(tokio::task::spawn_blocking(run).await.unwrap(), "it was not stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives() {
    let (from, to) = (source().await, Home::new());
    let mut seen = Vec::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let copied = copy(&from, &to, move |progress| sender.send(progress).unwrap()).await.unwrap();
    seen.extend(receiver);
    assert_eq!(copied.found, 0);
    assert!(copied.rows > 8_000, "{copied:?}");
    let numbers = |checking| {
        seen.iter().rfind(|p| p.table == "numbers" && p.checking == checking).map(|p| (p.done, p.total))
    };
    assert_eq!((numbers(false), numbers(true)), (Some((4_101, 4_101)), Some((4_101, 4_101))));

    let target = Store::open(to.url()).unwrap();
    assert_eq!(target.doctor().unwrap(), Vec::<String>::new());
    assert_ne!(
        target.generation().unwrap().0,
        from.store.generation().unwrap().0,
        "whoever follows builds anew"
    );
    assert_eq!(target.generation().unwrap().1, from.store.generation().unwrap().1);
    for organization in from.store.organization_list(&Page::first(9)).unwrap().items {
        let id = organization.id;
        let page = Page::first(100);
        let both = |q: &str| {
            let query = NumberQuery { q: Some(q.to_owned()), ..NumberQuery::default() };
            [&from.store, &target].map(|store| store.number_list(id, &query, &page).unwrap().items)
        };
        // By digits, by label, by the agent's name, by none.
        for (q, least) in
            [("4155551", 100), ("number 14155550007", 1), ("desk", 0), ("55-55 09", 100), ("no such", 0)]
        {
            let [ours, theirs] = both(q);
            assert!(ours.len() >= least, "{q}");
            assert_eq!(ours, theirs, "{q}");
        }
        assert_eq!(target.balance(id).unwrap(), from.store.balance(id).unwrap());
        assert_eq!(target.call_list(id, &CallQuery::default(), &Page::first(9)).unwrap().items.len(), 1);
        assert_eq!(
            target.event_list(id, &Page::first(99)).unwrap(),
            from.store.event_list(id, &Page::first(99)).unwrap()
        );
    }
    goes_on(&from, target).await;
}

/// What is new after a copy gets what nobody had before it: aliases, serials, entries.
async fn goes_on(from: &World, target: Store) {
    let owner = target.organization_list(&Page::first(9)).unwrap().items[0].id;
    let provider = target.provider_list(Some(owner), &Page::first(9)).unwrap().items.remove(0);
    let stock = from.new_stock(14_165_550_200, 1);
    let number = from.new_number(owner, &provider, 14_175_550_100);
    let changes =
        vec![Change::Stock(stock.clone()), Change::Number(Box::new(number)), from.funding(owner, 3)];
    target.commit(Commit { changes, ..Commit::default() }).await.unwrap();
    let changes = from.purchase(owner, &stock);
    target.commit(Commit { changes, ..Commit::default() }).await.unwrap();
    assert_eq!(target.doctor().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_stopped_is_not_served_and_goes_on_where_it_was() {
    let (from, to) = (source().await, Home::new());
    stopped(&from, &to).await;
    let refused = Store::open(to.url()).unwrap_err();
    assert!(refused.to_string().contains("trunkline copy"), "{refused}");
    let copied = copy(&from, &to, |_| {}).await.unwrap();
    assert!(copied.found > 2_000 && copied.rows > copied.found + 2_000, "{copied:?}");
    assert_eq!(Store::open(to.url()).unwrap().doctor().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_of_another_moment_or_store_is_refused() {
    let (from, to) = (source().await, Home::new());
    stopped(&from, &to).await;
    from.organization().await;
    let refused = copy(&from, &to, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("before it changed"), "{refused}");

    let full = World::new();
    full.organization().await;
    let refused = copy(&from, &full.home, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("not empty"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_changed_behind_the_copy_are_found() {
    let (from, to) = (source().await, Home::new());
    stopped(&from, &to).await;
    to.run("UPDATE organizations SET name = 'somebody else'");
    let refused = copy(&from, &to, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("`organizations` is not the same"), "{refused}");
    assert!(Store::open(to.url()).is_err());
}
