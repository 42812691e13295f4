//! Copies from one engine to the other and back.

use domain::number::NumberQuery;
use domain::{Change, Page};
use std::path::Path;
use store::Store;
use tempfile::TempDir;

use crate::home::Home;
use crate::world::World;

fn copy(from: &Store, to: &str) -> Store {
    let target = Store::open_to_copy(to).unwrap();
    target.copy_from(from, &mut |_| {}).unwrap();
    drop(target);
    Store::open(to).unwrap()
}

fn file(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("a.db").display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_a_file_and_comes_back() {
    let (world, home, folder) = (World::new(), Home::new(), TempDir::new().unwrap());
    let owner = world.organization().await;
    let (agent, provider) = (world.agent(owner, "Desk").await, world.provider(owner).await);
    world.commit(vec![Change::Endpoint(world.new_endpoint(owner, Some(&agent)))]).await.unwrap();
    let stock = world.new_stock(14_165_550_100, 5);
    world.commit(vec![Change::Stock(stock.clone()), world.funding(owner, 9)]).await.unwrap();
    world.commit(world.purchase(owner, &stock)).await.unwrap();
    world.number(owner, &provider, 14_155_550_100).await;
    let first = world.store.clone();
    let (there, back) = tokio::task::spawn_blocking(move || {
        let there = copy(&first, &file(folder.path()));
        let back = copy(&there, home.url());
        // The folder stays until the file is no longer read.
        ((there, folder), (back, home))
    })
    .await
    .unwrap();
    for store in [&there.0, &back.0] {
        assert_eq!(store.doctor().unwrap(), Vec::<String>::new());
        let numbers =
            |store: &Store| store.number_list(owner, &NumberQuery::default(), &Page::first(9)).unwrap().items;
        assert_eq!(numbers(store), numbers(&world.store));
        assert_eq!(store.balance(owner).unwrap(), world.store.balance(owner).unwrap());
    }
}
