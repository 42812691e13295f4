//! The planner's statistics of tables that were filled at once.

use domain::Change;
use std::time::{Duration, Instant};
use store::Store;

use crate::home::Home;
use crate::world::World;

/// How long gathering them may take.
const LONG: Duration = Duration::from_mins(1);
/// Who has them because somebody asked: the server's own gathering is counted elsewhere.
const GATHERED: &str =
    "SELECT relname::text FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL ORDER BY 1";

async fn filled() -> World {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let numbers = (0..5_000).map(|nth| world.new_number(id, &provider, 14_155_550_000 + nth));
    world.commit(numbers.map(|number| Change::Number(Box::new(number))).collect()).await.unwrap();
    world
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test's bound")]
async fn tables_that_were_filled_at_once_have_statistics_soon() {
    let world = filled().await;
    let (began, all) =
        (Instant::now(), ["number_claims", "number_search", "numbers", "stock", "stock_search"]);
    while world.home.column(GATHERED) != all {
        assert!(began.elapsed() < LONG, "{:?}", world.home.column(GATHERED));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rows = "SELECT reltuples::bigint::text FROM pg_class WHERE relname = 'number_search'";
    assert_eq!(world.home.column(rows), ["5000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_statistics_when_it_is_done() {
    let (world, home) = (filled().await, Home::new());
    let (from, to) = (world.store.clone(), Store::open_to_copy(home.url()).unwrap());
    tokio::task::spawn_blocking(move || to.copy_from(&from, &mut |_| {}).unwrap()).await.unwrap();
    let gathered = home.column(GATHERED);
    assert!(gathered.len() > 20, "{gathered:?}");
    assert!(gathered.iter().any(|name| name == "number_search"), "{gathered:?}");
}

#[tokio::test]
async fn who_does_not_own_the_tables_writes_without() {
    let world = World::new();
    let (id, name) = (world.organization().await, world.home.url().rsplit_once('/').unwrap().1.to_owned());
    world.home.run(&format!(
        "CREATE ROLE guest_{name} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest_{name}"
    ));
    let (_, place) = world.home.url().split_once('@').unwrap();
    let store = Store::open(&format!("postgres://guest_{name}@{place}")).unwrap();
    let events = |count| (0..count).map(|_| Change::Event(world.new_event(id))).collect();
    for count in [5_000, 1] {
        store.commit(domain::Commit { changes: events(count), ..domain::Commit::default() }).await.unwrap();
    }
    drop(store);
    world.home.run(&format!("DROP OWNED BY guest_{name}"));
    world.home.cut();
    world.home.run(&format!("DROP ROLE guest_{name}"));
    world.check();
}
