//! Many at once, and the ledger.

use domain::call::{Ended, EndedBy, FactKind, Moment};
use domain::change::Guard;
use domain::ids::{CallId, OrganizationId, PostingId};
use domain::ledger::{Account, Subject};
use domain::{Call, Change, Commit, Fact, Generation, Micros, Page, Posting, Start, What};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use store::CommitError;

use crate::world::{World, block_on};

/// A call of an organization's.
fn a_call(organization: OrganizationId) -> Call {
    let moment = Moment { wall: crate::world::time(1), process: 1, monotonic_us: 1 };
    let kind = FactKind::Ended(Ended { by: EndedBy::Caller, reason: None });
    let fact = Fact { organization_id: organization, call_id: CallId(uuid::Uuid::nil()), at: moment, kind };
    Call::fold(&[fact]).unwrap()
}

/// Sends all commits before any is answered.
async fn all_at_once(world: &World, commits: Vec<Commit>) -> Vec<Result<Generation, CommitError>> {
    let tasks: Vec<_> = commits
        .into_iter()
        .map(|commit| {
            let store = world.store.clone();
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_buyers_of_one_number_one_wins() {
    let world = World::new();
    let stock = world.new_stock(14_155_550_100, 100);
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    let mut commits = Vec::new();
    for _ in 0..20 {
        let id = world.organization().await;
        world.commit(vec![world.funding(id, 100)]).await.unwrap();
        commits.push(Commit {
            changes: world.purchase(id, &stock),
            guards: vec![Guard::WalletCovers(id)],
            answer: None,
        });
    }
    let before = world.store.generation().unwrap().1;
    let results = all_at_once(&world, commits).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(CommitError::Stale(What::Stock)))), "{results:?}");
    assert_eq!(world.store.generation().unwrap().1.0, before.0 + 1);
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_numbers_only_what_the_money_covers_is_bought() {
    let world = World::new();
    let id = world.organization().await;
    world.commit(vec![world.funding(id, 350)]).await.unwrap();
    let mut commits = Vec::new();
    for n in 0..20 {
        let stock = world.new_stock(14_155_550_100 + n, 100);
        world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
        commits.push(Commit {
            changes: world.purchase(id, &stock),
            guards: vec![Guard::WalletCovers(id)],
            answer: None,
        });
    }
    let results = all_at_once(&world, commits).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3);
    assert!(
        results.iter().all(|r| matches!(r, Ok(_) | Err(CommitError::Guard(Guard::WalletCovers(_))))),
        "{results:?}"
    );
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(50).unwrap());
    assert_eq!(world.store.number_held_count(id).unwrap(), 3);
    world.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_in_a_group_leaves_the_others_alone() {
    let world = World::new();
    let id = world.organization().await;
    let (before, mut commits) = (world.store.generation().unwrap().1, Vec::new());
    for n in 0..200 {
        let mut changes = vec![world.funding(id, 1), Change::Agent(world.new_agent(id, "A"))];
        if n % 3 == 0 {
            changes.push(Change::Endpoint(world.new_endpoint(id, Some(&world.new_agent(id, "Unwritten")))));
        }
        commits.push(Commit { changes, ..Commit::default() });
    }
    let results = all_at_once(&world, commits).await;
    let mut generations: Vec<u64> = results.iter().filter_map(|r| r.as_ref().ok()).map(|g| g.0).collect();
    generations.sort_unstable();
    assert_eq!(generations, (before.0 + 1..=before.0 + 133).collect::<Vec<_>>());
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(133).unwrap());
    assert_eq!(world.store.agent_list(id, &Page::first(1_000)).unwrap().items.len(), 133);
    world.check();
}

#[tokio::test]
async fn a_posting_can_be_asked_for() {
    let world = World::new();
    let id = world.organization().await;
    world.commit(vec![world.funding(id, 500)]).await.unwrap();
    let call = Call { id: world.call_id(), cost: Micros(3), organization_id: id, ..a_call(id) };
    let posting = PostingId(call.id.0);
    world.commit(vec![Change::Posting(Posting::call(&call, Micros::ZERO).unwrap())]).await.unwrap();
    let entry = world.store.wallet_entry(id, posting).unwrap().unwrap();
    assert_eq!(
        (entry.account, entry.amount, entry.balance_after),
        (Account::Wallet, Micros(-3), Micros(4_999_997))
    );
    assert_eq!((entry.reason, entry.subject), (format!("Call {}", call.id), Subject::Call(call.id)));
    let ids: Vec<u64> =
        world.store.ledger_list(id, &Page::first(9)).unwrap().items.iter().map(|e| e.id).collect();
    assert_eq!(ids, [4, 3, 2, 1]);
    let page = Page { limit: 1, start: Start::After(3) };
    assert_eq!(world.store.ledger_list(id, &page).unwrap().map(|e| e.id).items, [2]);
    assert_eq!(world.store.wallet_entry(world.organization().await, posting).unwrap(), None);
}

#[tokio::test]
async fn the_doctor_finds_planted_faults() {
    let world = World::new();
    let id = world.organization().await;
    let mut stock = world.new_stock(14_155_550_100, 1);
    stock.monthly_cost = Micros::from_cents(2).unwrap();
    world.commit(vec![Change::Stock(stock.clone()), world.funding(id, 9)]).await.unwrap();
    world.commit(world.purchase(id, &stock)).await.unwrap();
    world.check();
    let faults = [
        ("UPDATE entries SET amount = amount + 1 WHERE id = 1", "sum to zero"),
        ("UPDATE entries SET balance_after = 5 WHERE id = 3", "balance"),
        ("DELETE FROM number_claims", "no claim"),
        ("UPDATE stock SET state = 'available', number_id = NULL", "not sold to it"),
        ("UPDATE holdings SET held = 2", "count"),
        ("UPDATE meta SET alias = 0", "counter"),
        ("DELETE FROM number_search", "search index"),
        ("UPDATE numbers SET rented_until = NULL", "until which it is paid"),
        ("UPDATE numbers SET unpaid = 1", "unpaid and not inactive"),
        ("UPDATE stock SET hold_by = number_id, hold_until = 1", "sold stock is reserved"),
        ("UPDATE postings SET kind = 'rental', period = 0 WHERE kind = 'purchase'", "not the monthly price"),
        ("UPDATE postings SET kind = 'rental', period = 1 WHERE kind = 'purchase'", "behind the one"),
        (
            "UPDATE entries SET amount = 1 WHERE posting_id IN (SELECT id FROM postings WHERE kind = 'purchase')",
            "given back",
        ),
    ];
    for (sql, words) in faults {
        let found = world.meddled(sql).store.doctor().unwrap();
        assert!(found.iter().any(|problem| problem.contains(words)), "{sql}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_sums_to_zero_whatever_is_posted(
        moves in prop::collection::vec((0usize..3, any::<bool>(), -1_000_000i64..1_000_000), 1..40),
    ) {
        block_on(async {
            let world = World::new();
            let ids = [world.organization().await, world.organization().await, world.organization().await];
            let mut expected: HashMap<_, Micros> = HashMap::new();
            for (n, funding, amount) in moves {
                let (posting, amount) = (PostingId(world.uuid()), Micros(amount));
                let change = if funding { amount } else { -amount };
                let call = Call { id: world.call_id(), cost: amount, ..a_call(ids[n]) };
                let sale = Posting::call(&call, Micros::ZERO);
                let posting = if funding { Some(Posting::funding(posting, ids[n], amount, String::new(), world.now())) } else { sale };
                *expected.entry(ids[n]).or_default() = expected.get(&ids[n]).copied().unwrap_or_default() + change;
                world.commit(posting.map(Change::Posting).into_iter().collect()).await.unwrap();
            }
            for id in ids {
                let entries = world.store.ledger_list(id, &Page::first(1_000)).unwrap().items;
                let mut sums: BTreeMap<Account, Micros> = BTreeMap::new();
                for entry in entries.iter().rev() {
                    let sum = sums.entry(entry.account).or_default();
                    *sum = *sum + entry.amount;
                    assert_eq!(*sum, entry.balance_after);
                }
                assert_eq!(sums.values().copied().sum::<Micros>(), Micros::ZERO);
                assert_eq!(world.store.balance(id).unwrap(), expected.get(&id).copied().unwrap_or_default());
            }
            world.check();
        });
    }
}
