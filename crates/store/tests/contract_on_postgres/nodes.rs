//! Several nodes on one database: one order of writes, one table in memory, guards that hold between them.

use domain::change::Guard;
use domain::ids::OrganizationId;
use domain::{Change, Commit, Generation, Micros};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::{CommitError, Store};
use tokio::time::timeout;

use crate::changes::{Memory, follow, step};
use crate::world::{World, block_on};

/// How long anything may take that is waited for.
const LONG: Duration = Duration::from_secs(20);

fn one(change: Change) -> Commit {
    Commit { changes: vec![change], ..Commit::default() }
}

/// Commits by several tasks of one node, one after the other each; gives what came of them.
async fn fund(
    world: &World,
    store: &Store,
    organization: OrganizationId,
    (tasks, each): (usize, usize),
) -> Vec<Result<Generation, CommitError>> {
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let commits: Vec<_> = (0..each).map(|_| one(world.funding(organization, 1))).collect();
        let store = store.clone();
        all.spawn(async move {
            let mut done = Vec::new();
            for commit in commits {
                done.push(store.commit(commit).await);
            }
            done
        });
    }
    all.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn generations_of_all_nodes_are_in_one_order_without_gaps() {
    let world = World::new();
    let id = world.organization().await;
    let other = world.beside();
    let before = world.store.generation().unwrap().1;
    let (mine, theirs) =
        tokio::join!(fund(&world, &world.store, id, (8, 12)), fund(&world, &other, id, (8, 12)));
    let mut seen: Vec<u64> = mine.into_iter().chain(theirs).map(|done| done.unwrap().0).collect();
    seen.sort_unstable();
    let expected: Vec<u64> = (before.0 + 1..).take(192).collect();
    assert_eq!(seen, expected);
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(192).unwrap());
    assert_eq!(other.generation().unwrap(), world.store.generation().unwrap());
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_fails_in_a_group_fails_alone() {
    let world = World::new();
    let id = world.organization().await;
    let money = world.funding(id, 1);
    world.commit(vec![money.clone()]).await.unwrap();
    let mut all = tokio::task::JoinSet::new();
    for n in 0..60 {
        let commit = one(if n % 3 == 0 { money.clone() } else { world.funding(id, 1) });
        let store = world.store.clone();
        all.spawn(async move { (n, store.commit(commit).await) });
    }
    for (n, done) in all.join_all().await {
        assert_eq!(done.is_ok(), n % 3 != 0, "{n}: {done:?}");
    }
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(41).unwrap());
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_holds_between_nodes() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let stores = [world.store.clone(), world.beside(), world.beside()];
    let mut all = tokio::task::JoinSet::new();
    for n in 0..24_u64 {
        let number = world.new_number(id, &provider, 14_155_550_100 + n);
        let changes = vec![Change::Number(Box::new(number))];
        let store = stores[usize::try_from(n % 3).unwrap()].clone();
        let commit = Commit { changes, guards: vec![Guard::SlotsWithin(id, 5)], answer: None };
        all.spawn(async move { store.commit(commit).await });
    }
    let done = all.join_all().await;
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 5);
    assert!(done.iter().all(|done| matches!(done, Ok(_) | Err(CommitError::Guard(_)))), "{done:?}");
    assert_eq!(world.store.number_held_count(id).unwrap(), 5);
    world.check();
}

/// Two nodes write whatever comes, a third one follows; what it holds at the end is what building anew gives.
#[test]
fn a_node_that_follows_several_writers_has_what_building_anew_gives() {
    for seed in 0..3_u64 {
        let world = World::new();
        // Ids and times of their own, to write with at once.
        let node = |first| World::at(Arc::clone(&world.home), first);
        let (second, third) = (node(1_000_000), node(2_000_000));
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let write = |world, seed: u64| {
                move || {
                    block_on(async {
                        let mut state = seed;
                        for _ in 0..60 {
                            state = state
                                .wrapping_mul(6_364_136_223_846_793_005)
                                .wrapping_add(1_442_695_040_888_963_407);
                            let [what, whose, other, ..] = state.to_be_bytes();
                            step(world, (what, usize::from(whose % 3), usize::from(other % 50))).await;
                        }
                    });
                }
            };
            let reader = scope.spawn(|| {
                let (mut memory, mut at) = (Memory::default(), Generation(0));
                let mut last = false;
                while !last {
                    last = ended.load(Ordering::SeqCst);
                    follow(&third, &mut memory, &mut at, 5);
                }
                (memory, at)
            });
            let writers = [scope.spawn(write(&world, seed)), scope.spawn(write(&second, seed + 100))];
            for writer in writers {
                writer.join().unwrap();
            }
            ended.store(true, Ordering::SeqCst);
            let (memory, at) = reader.join().unwrap();
            let (rebuilt, generation) = Memory::rebuilt(&world);
            assert_eq!((at, memory), (generation, rebuilt), "seed {seed}");
        });
        world.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_nudges_the_other_nodes_also_after_the_connection_that_listens_broke() {
    let world = World::new();
    let other = world.beside();
    let mut nudges = other.nudges();
    // That it listens is a nudge.
    timeout(LONG, nudges.next()).await.unwrap();
    let id = world.organization().await;
    timeout(LONG, nudges.next()).await.unwrap();
    let at = other.generation().unwrap().1;
    assert_eq!(at, world.store.generation().unwrap().1, "what it tells of can be read");
    world.home.cut();
    world.commit(vec![world.funding(id, 1)]).await.unwrap();
    // Of what was told while nobody listened the new connection tells.
    while other.generation().unwrap().1 == at {
        timeout(LONG, nudges.next()).await.unwrap();
    }
    timeout(LONG, nudges.next()).await.unwrap();
    world.commit(vec![world.funding(id, 1)]).await.unwrap();
    timeout(LONG, nudges.next()).await.unwrap();
}

/// Lists that take long have all the connections that reads have. What memory follows is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_follows_waits_for_nobodys_list() {
    const READERS: usize = 8;
    let world = World::new();
    let id = world.organization().await;
    let before = world.store.generation().unwrap().1;
    let (client, wire) = tokio_postgres::connect(world.home.url(), tokio_postgres::NoTls).await.unwrap();
    let wire = tokio::spawn(wire);
    client.batch_execute("BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let lists: Vec<_> = (0..READERS)
        .map(|_| {
            let store = world.store.clone();
            std::thread::spawn(move || store.agent_list(id, &domain::Page::first(9)).unwrap().items.len())
        })
        .collect();
    let waiting = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while world.home.column(waiting) != [READERS.to_string()] {
        assert!(lists.iter().all(|list| !list.is_finished()), "they wait for the lock");
    }
    // One more read has to wait for its turn; the feed has not.
    let behind = world.store.clone();
    let behind = std::thread::spawn(move || behind.organization_get(id).unwrap());
    let written = world.commit(vec![world.funding(id, 1)]).await.unwrap();
    assert_eq!(world.store.generation().unwrap().1, written);
    let changes = world.store.changes_since(before, 9).unwrap();
    assert_eq!((changes.upto, changes.items.len()), (written, 1));
    assert!(lists.iter().all(|list| !list.is_finished()) && !behind.is_finished(), "they wait still");
    client.batch_execute("ROLLBACK").await.unwrap();
    for list in lists {
        assert_eq!(list.join().unwrap(), 0);
    }
    assert!(behind.join().unwrap().is_some());
    drop(client);
    wire.await.unwrap().unwrap();
}
