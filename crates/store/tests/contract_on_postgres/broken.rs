//! Connections that break: in the middle of groups, before a COMMIT, behind it.

use domain::{Change, Commit, Micros};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{CommitError, Store};

use crate::home::{Home, server};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_cut_what_was_answered_stands_and_nothing_stands_twice() {
    let world = World::new();
    let id = world.organization().await;
    let other = world.beside();
    let mut all = tokio::task::JoinSet::new();
    for task in 0..6 {
        let commits: Vec<_> = (0..60).map(|_| world.funding(id, 1)).collect();
        let store = if task % 2 == 0 { world.store.clone() } else { other.clone() };
        all.spawn(async move {
            let mut stand = 0_i64;
            for change in commits {
                match store.commit(Commit { changes: vec![change], ..Commit::default() }).await {
                    Ok(_) => stand += 1,
                    Err(CommitError::Unavailable(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                store.balance(id).unwrap_or_default();
            }
            stand
        });
    }
    tokio::task::block_in_place(|| {
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(60));
            world.home.cut();
        }
    });
    let stand: i64 = all.join_all().await.into_iter().sum();
    assert!(stand > 300, "most are written again and answered: {stand} of 360");
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(stand).unwrap());
    world.check();
}

#[tokio::test]
async fn a_read_on_a_connection_that_has_ended_is_read_on_another() {
    let world = World::new();
    let id = world.organization().await;
    for _ in 0..5 {
        assert!(world.store.organization_get(id).unwrap().is_some());
        let before = world.store.changes_since(domain::Generation(0), 9).unwrap();
        world.home.cut();
        assert!(world.store.organization_get(id).unwrap().is_some());
        world.home.cut();
        assert_eq!(world.store.changes_since(domain::Generation(0), 9).unwrap(), before);
    }
}

#[tokio::test]
async fn a_group_that_another_transaction_stood_in_the_way_of_is_written_again_a_few_times() {
    // Tables that are spread over servers have no triggers.
    let world = World::at(Arc::new(Home::bare()), 1);
    let id = world.organization().await;
    world.home.run(
        "CREATE SEQUENCE tries; CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') % 4 IN (1, 2) OR NEW.reason = 'never' THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF; \
         RETURN NEW; END $$; CREATE TRIGGER conflict BEFORE INSERT ON postings FOR EACH ROW EXECUTE FUNCTION conflict()",
    );
    let generation = world.store.generation().unwrap().1;
    let done = world.commit(vec![world.funding(id, 1)]).await.unwrap();
    assert_eq!(done.0, generation.0 + 1);
    let mut never = world.funding(id, 1);
    if let Change::Posting(posting) = &mut never {
        posting.reason = "never".to_owned();
    }
    let given_up = world.commit(vec![never]).await;
    assert!(matches!(given_up, Err(CommitError::Unavailable(_))), "{given_up:?}");
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(1).unwrap());
    world.check();
}

/// What a [`Wire`] does to connections.
const PASS: u8 = 0;
/// The next COMMIT is not passed on, and the connection ends.
const LOSE_COMMIT: u8 = 1;
/// The next COMMIT is passed on; its answer is not, and the connection ends.
const LOSE_ANSWER: u8 = 2;
/// The same, and nobody is connected any more.
const LOSE_ALL: u8 = 3;
const REFUSE: u8 = 4;
/// The next words that hold [`MARK`] are not passed on, and the connection ends.
const LOSE_WORDS: u8 = 5;
/// The same, but they are passed on.
const LOSE_THEIR_ANSWERS: u8 = 6;
const MARK: &[u8] = b"cut here";

/// A wire to the server that breaks where it is told to.
struct Wire {
    url: String,
    plan: Arc<AtomicU8>,
    /// How often something was said.
    said: Arc<AtomicUsize>,
}

impl Wire {
    fn to(home: &Home) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = server().split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
        let url = home.url().replace(&place, &listener.local_addr().unwrap().to_string());
        let plan = Arc::new(AtomicU8::new(PASS));
        let (told, said) = (Arc::clone(&plan), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&said);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if told.load(Ordering::SeqCst) == REFUSE {
                    continue;
                }
                let server = TcpStream::connect(&place).unwrap();
                pass(client, server, &told, &count);
            }
        });
        Self { url, plan, said }
    }

    fn plan(&self, plan: u8) {
        self.plan.store(plan, Ordering::SeqCst);
    }
}

fn pass(client: TcpStream, server: TcpStream, plan: &Arc<AtomicU8>, count: &Arc<AtomicUsize>) {
    let muted = Arc::new(Mutex::new(false));
    let (mut from, mut to, told, mute) =
        (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(plan), Arc::clone(&muted));
    let turns = Arc::clone(count);
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let said = &bytes[..count];
            turns.fetch_add(1, Ordering::SeqCst);
            let ends = said.windows(7).any(|words| words == b"COMMIT\0");
            let marked = said.windows(MARK.len()).any(|words| words == MARK);
            match told.load(Ordering::SeqCst) {
                LOSE_COMMIT if ends => {
                    told.store(PASS, Ordering::SeqCst);
                    break;
                }
                LOSE_WORDS if marked => {
                    told.store(PASS, Ordering::SeqCst);
                    break;
                }
                LOSE_THEIR_ANSWERS if marked => {
                    *mute.lock().unwrap() = true;
                    told.store(PASS, Ordering::SeqCst);
                }
                what @ (LOSE_ANSWER | LOSE_ALL) if ends => {
                    *mute.lock().unwrap() = true;
                    told.store(if what == LOSE_ALL { REFUSE } else { PASS }, Ordering::SeqCst);
                }
                _ => {}
            }
            if to.write_all(said).is_err() {
                break;
            }
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if *muted.lock().unwrap() || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    });
}

#[tokio::test]
async fn a_commit_that_was_lost_and_one_whose_answer_was_lost_stand_once() {
    let world = World::new();
    let id = world.organization().await;
    let wire = Wire::to(&world.home);
    let store = Store::open(&wire.url).unwrap();
    for (n, plan) in (1..).zip([LOSE_COMMIT, LOSE_ANSWER, LOSE_ANSWER, LOSE_COMMIT]) {
        let before = store.generation().unwrap().1;
        wire.plan(plan);
        let commit = Commit { changes: vec![world.funding(id, 1)], ..Commit::default() };
        let generation = store.commit(commit).await.unwrap();
        assert_eq!(generation.0, before.0 + 1, "plan {plan}");
        assert_eq!(wire.plan.load(Ordering::SeqCst), PASS, "it was carried out");
        assert_eq!(store.balance(id).unwrap(), Micros::from_cents(n).unwrap());
        assert!(!store.written_elsewhere().await, "it was this node's own");
    }
    world.check();
}

#[tokio::test]
async fn what_nobody_can_know_is_said_to_be_unknown() {
    let world = World::new();
    let id = world.organization().await;
    let wire = Wire::to(&world.home);
    let store = Store::open(&wire.url).unwrap();
    wire.plan(LOSE_ALL);
    let money = world.funding(id, 1);
    let commit = || Commit { changes: vec![money.clone()], ..Commit::default() };
    let unknown = store.commit(commit()).await;
    assert!(matches!(unknown, Err(CommitError::Unknown(_))), "{unknown:?}");
    // Nothing can be written now, and that is known.
    let away = store.commit(commit()).await;
    assert!(matches!(away, Err(CommitError::Unavailable(_))), "{away:?}");
    wire.plan(PASS);
    // Who asks again for the same is told what became of it.
    let mut again = store.commit(commit()).await;
    while let Err(CommitError::Unavailable(_)) = again {
        tokio::time::sleep(Duration::from_millis(50)).await;
        again = store.commit(commit()).await;
    }
    assert!(matches!(again, Err(CommitError::Exists(domain::What::Ledger))), "{again:?}");
    assert_eq!(world.store.balance(id).unwrap(), Micros::from_cents(1).unwrap());
    world.check();
}

#[tokio::test]
async fn words_that_were_lost_with_their_connection_are_said_again_on_another() {
    let world = World::new();
    let id = world.organization().await;
    let wire = Wire::to(&world.home);
    let store = Store::open(&wire.url).unwrap();
    for (n, plan) in (1..).zip([LOSE_WORDS, LOSE_THEIR_ANSWERS, LOSE_THEIR_ANSWERS, LOSE_WORDS]) {
        let before = store.generation().unwrap().1;
        let agents = ["First", "Second", "cut here", "Last"].map(|name| world.new_agent(id, name));
        let mut changes = agents.clone().map(Change::Agent).to_vec();
        changes.insert(2, world.funding(id, 1));
        wire.plan(plan);
        let generation = store.commit(Commit { changes, ..Commit::default() }).await.unwrap();
        assert_eq!(wire.plan.load(Ordering::SeqCst), PASS, "it was carried out");
        assert_eq!(generation.0, before.0 + 1, "plan {plan}");
        for agent in agents {
            assert_eq!(store.agent_get(id, &agent.id).unwrap(), Some(agent));
        }
        assert_eq!(store.balance(id).unwrap(), Micros::from_cents(n).unwrap());
    }
    world.check();
}

#[tokio::test]
async fn a_bulk_is_said_in_few_turns() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let wire = Wire::to(&world.home);
    let store = Store::open(&wire.url).unwrap();
    let bulk = async |first: u64| {
        let numbers =
            (first..first + 200).map(|n| Change::Number(Box::new(world.new_number(id, &provider, n))));
        let commit = Commit { changes: numbers.collect(), ..Commit::default() };
        let before = wire.said.load(Ordering::SeqCst);
        store.commit(commit).await.unwrap();
        wire.said.load(Ordering::SeqCst) - before
    };
    // The first has its statements prepared.
    bulk(14_155_550_000).await;
    let turns = bulk(14_155_551_000).await;
    assert!(turns < 300, "800 writes and checks in {turns} turns");
    world.check();
}
