//! Whole nodes on one store, each with its own way to it and its own table that follows the feed: whatever they wrote, and whatever
//! happened to them meanwhile, their tables are one, and that which building anew gives.

mod held;
mod history;
mod home;
#[expect(dead_code, reason = "the store's own tests use the rest")]
#[path = "../../../../store/tests/contract_on_postgres/server.rs"]
mod server;
#[expect(dead_code, reason = "the store's own tests use the rest")]
#[path = "../../../../store/tests/contract/world.rs"]
mod world;

use domain::Generation;
use domain::carrier_account::CarrierSources;
use domain::provider::AddressRule;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{Epoch, Store, StoreError};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet, block_in_place};

use super::{Live, refresh};
use crate::clock;
use crate::vault::Vault;
use held::Held;
use history::Step;
use home::Home;
use server::Server;
use world::World;

/// How long anything may take that is waited for.
const LONG: Duration = Duration::from_secs(30);
/// How long a writer waits for its table at the most, here.
const SHORT: Duration = Duration::from_millis(100);

/// What happens while steps are made.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Nothing,
    /// A node does not look at the feed until the history ends, or until it is told to again.
    Stops(usize),
    Goes(usize),
    /// A node is started anew, from a snapshot.
    Restarts(usize),
    /// The connections that listen end.
    Deaf,
    /// All connections end.
    Cut,
    /// What the log told before is gone and the history is another, as after a standby took over: connections end then too.
    OtherHistory,
    /// The server is killed and started.
    Crash,
}

/// Steps at nodes, made at once, and what happens meanwhile.
type Round = (Vec<(usize, Step)>, Meanwhile);

fn rounds(nodes: usize, meanwhile: impl Strategy<Value = Meanwhile>) -> impl Strategy<Value = Vec<Round>> {
    let step = (0..nodes, (any::<u8>(), 0_usize..4, 0_usize..1_000));
    prop::collection::vec((prop::collection::vec(step, 1..8), meanwhile), 4..16)
}

/// One process of the service, as far as its table goes.
struct Node {
    world: Arc<World>,
    live: Arc<Live>,
    feed: Option<JoinHandle<()>>,
}

fn vault() -> Vault {
    Vault::new([7; 32])
}

fn table(store: &Store) -> Result<Live, StoreError> {
    let live = Live::with_vault(vault(), store.clone());
    live.carriers_from(CarrierSources(AddressRule::parse("203.0.113.0/28").into_iter().collect()), false);
    refresh::build(&live, store)?;
    Ok(live)
}

impl Node {
    async fn start(home: &Arc<Home>) -> Self {
        // Ids and times of its own, to write with beside others.
        static FIRST: AtomicU64 = AtomicU64::new(1);
        let first = FIRST.fetch_add(1_000_000, Ordering::Relaxed);
        let node = soon(|| {
            let store = Store::open(home.url())?;
            let live = Arc::new(table(&store)?);
            Ok((Arc::new(World::with(store, Arc::clone(home), first)), live))
        });
        let (world, live) = node.await;
        let mut node = Self { world, live, feed: None };
        node.follow();
        node
    }

    /// As the service does.
    fn follow(&mut self) {
        let (live, store) = (Arc::clone(&self.live), self.world.store.clone());
        self.feed.get_or_insert_with(|| tokio::spawn(refresh::follow(live, store)));
        self.live.nudge();
    }

    /// Nothing follows any more when this is done, nor holds the store.
    async fn stop(&mut self) {
        if let Some(feed) = self.feed.take() {
            feed.abort();
            drop(feed.await);
        }
    }

    /// Where the store is, if the table is there.
    fn settled(&self) -> Result<Option<(Epoch, Generation)>, StoreError> {
        let (epoch, newest) = self.world.store.generation()?;
        let here = self.live.generation() == newest && self.live.standing.follows((epoch, newest), newest);
        Ok(here.then_some((epoch, newest)))
    }
}

/// Tries until it succeeds, while the store may be away.
async fn soon<T>(mut what: impl FnMut() -> Result<T, StoreError>) -> T {
    let until = clock::instant() + LONG;
    loop {
        match block_in_place(&mut what) {
            Ok(done) => return done,
            Err(error) => assert!(clock::instant() < until, "{error}"),
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
}

/// Dropped in this order.
struct Cluster {
    nodes: Vec<Node>,
    home: Arc<Home>,
    server: Option<Server>,
}

impl Cluster {
    async fn start(home: Home, server: Option<Server>, nodes: usize) -> Self {
        let home = Arc::new(home);
        let mut cluster = Self { nodes: Vec::new(), home, server };
        for _ in 0..nodes {
            cluster.nodes.push(Node::start(&cluster.home).await);
        }
        cluster
    }

    async fn round(&mut self, (steps, meanwhile): Round) {
        let mut all = JoinSet::new();
        for (at, step) in steps {
            let node = &self.nodes[at];
            let (world, live) = (Arc::clone(&node.world), Arc::clone(&node.live));
            all.spawn(async move {
                let done = history::step(&world, &vault(), step).await;
                // Some writers wait for the table, as requests do; of other writes the feed alone tells.
                if let Some(generation) = done.filter(|_| step.2.is_multiple_of(3)) {
                    // In vain where the node's feed stands still.
                    drop(tokio::time::timeout(SHORT, live.follow(generation)).await);
                }
            });
        }
        self.meanwhile(meanwhile).await;
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    }

    async fn meanwhile(&mut self, what: Meanwhile) {
        match what {
            Meanwhile::Nothing => {}
            Meanwhile::Stops(at) => self.nodes[at].stop().await,
            Meanwhile::Goes(at) => self.nodes[at].follow(),
            Meanwhile::Restarts(at) => {
                self.nodes[at].stop().await;
                self.nodes[at] = Node::start(&self.home).await;
            }
            Meanwhile::Deaf => block_in_place(|| self.home.deafen()),
            Meanwhile::Cut => block_in_place(|| self.home.cut()),
            Meanwhile::OtherHistory => {
                block_in_place(|| {
                    self.home.run("UPDATE meta SET epoch = epoch + 1 WHERE one = 1; DELETE FROM change_log");
                    self.home.deafen();
                });
            }
            Meanwhile::Crash => {
                if let Some(server) = &self.server {
                    block_in_place(|| {
                        server.stop("immediate");
                        server.start(&[]);
                    });
                }
            }
        }
    }

    /// All nodes come to where the store is, and hold what a table that is built there holds. Gives that.
    async fn check(&mut self) -> Held {
        let mut stands = Vec::new();
        for node in &mut self.nodes {
            node.follow();
            let until = clock::instant() + LONG;
            let at = loop {
                if let Some(at) = soon(|| node.settled()).await {
                    break at;
                }
                assert!(clock::instant() < until, "the table stays at {:?}", node.live.generation());
                clock::sleep(Duration::from_millis(5)).await;
            };
            stands.push(at);
        }
        let store = soon(|| Store::open(self.home.url())).await;
        let built = soon(|| table(&store)).await;
        let expected = Held::of(&built);
        let at = soon(|| store.generation()).await;
        for (node, stands) in self.nodes.iter().zip(stands) {
            assert_eq!((stands, node.live.generation()), (at, at.1));
            assert_eq!(Held::of(&node.live).differs_from(&expected), Vec::<String>::new());
        }
        assert_eq!(soon(|| store.doctor()).await, Vec::<String>::new());
        expected
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// A history on one store, compared in its middle and at its end.
fn lived(home: Home, server: Option<Server>, nodes: usize, rounds: Vec<Round>) -> Held {
    runtime().block_on(async {
        let mut cluster = Cluster::start(home, server, nodes).await;
        let middle = rounds.len() / 2;
        for (n, round) in rounds.into_iter().enumerate() {
            if n == middle {
                cluster.check().await;
            }
            cluster.round(round).await;
        }
        let held = cluster.check().await;
        for node in &mut cluster.nodes {
            node.stop().await;
        }
        held
    })
}

fn at_nodes(nodes: usize) -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        4 => Just(Meanwhile::Nothing),
        2 => (0..nodes).prop_map(Meanwhile::Stops),
        2 => (0..nodes).prop_map(Meanwhile::Goes),
        2 => (0..nodes).prop_map(Meanwhile::Restarts),
    ]
}

fn on_postgres(nodes: usize) -> impl Strategy<Value = Vec<Round>> {
    let others = [Meanwhile::Deaf, Meanwhile::Cut, Meanwhile::OtherHistory];
    rounds(nodes, prop_oneof![2 => at_nodes(nodes), 1 => prop::sample::select(others.to_vec())])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_on_postgres_hold_what_building_anew_gives(history in on_postgres(2)) {
        lived(Home::new(), None, 2, history);
    }

    #[test]
    fn three_nodes_on_postgres_hold_what_building_anew_gives(history in on_postgres(3)) {
        lived(Home::new(), None, 3, history);
    }

    #[test]
    fn a_node_on_a_file_holds_what_building_anew_gives(history in rounds(1, at_nodes(1))) {
        lived(Home::file(), None, 1, history);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// What was under way is known to its writer or not; the tables know what the store has.
    #[test]
    fn nodes_hold_what_building_anew_gives_after_their_postgres_crashed_on_the_way(
        history in rounds(2, at_nodes(2)),
    ) {
        let server = Server::new();
        let home = Home::on(&server.url);
        let crash = vec![((vec![(0, (4, 0, 0)), (1, (16, 0, 5))]), Meanwhile::Crash)];
        lived(home, Some(server), 2, [history.clone(), crash, history].concat());
    }
}

/// Otherwise the histories above would compare tables that have next to nothing in them.
#[test]
fn steps_of_every_kind_are_done_in_these_histories() {
    let steps = (0..35)
        .flat_map(|n| (0..history::KINDS).map(move |what| (0, (what, n % 2, n * 37 + usize::from(what)))));
    let steps: Vec<_> = steps.collect();
    // One by one: which of several changes at once comes last differs from run to run, and with it what is left at the end.
    let rounds = steps.chunks(1).map(|steps| (steps.to_vec(), Meanwhile::Nothing)).collect();
    let held = lived(Home::file(), None, 1, rounds);
    let kinds = [
        "organization ",
        "endpoint ",
        "trunk ",
        "trunks at ",
        "certificate ",
        "host ",
        "key ",
        "guard ",
        "guards of ",
        "manner ",
        "rules ",
        "schedule ",
        "endpoints at ",
        "addresses of ",
        "rate ",
        "prices of ",
        "number ",
    ];
    assert_eq!(held.lacks(&kinds), Vec::<&str>::new());
}
