//! Servers of their own: one that stops, one that follows and takes over.

use domain::{Commit, Micros};
use std::time::{Duration, Instant};
use store::{CommitError, Store, StoreError};

use crate::home::{ask, script};
use crate::server::Server;
use crate::world::World;

/// How long a server may take to be back.
const LONG: Duration = Duration::from_secs(20);

/// Tries until it succeeds.
#[expect(clippy::disallowed_methods, reason = "a test's bound")]
async fn soon<T, E: std::fmt::Debug>(mut what: impl AsyncFnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match what().await {
            Ok(done) => return done,
            Err(error) => assert!(began.elapsed() < LONG, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a test's bound")]
async fn a_server_that_is_away_is_said_to_be_and_what_was_answered_is_there_when_it_is_back() {
    // Only to draw ids and times from; its own database is not used.
    let world = World::new();
    let server = Server::new();
    let store = Store::open(&server.url).unwrap();
    let organization = world.new_organization();
    let id = organization.id;
    let commit = |change| Commit { changes: vec![change], ..Commit::default() };
    store.commit(commit(domain::Change::Organization(organization))).await.unwrap();
    store.commit(commit(world.funding(id, 5))).await.unwrap();
    let before = store.generation().unwrap();
    for how in ["immediate", "fast"] {
        server.stop(how);
        let began = Instant::now();
        for _ in 0..5 {
            let refused = store.commit(commit(world.funding(id, 1))).await;
            assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
            let away = store.balance(id);
            assert!(matches!(away, Err(StoreError::Away(_))), "{away:?}");
            let away = store.snapshot(&mut |_| {});
            assert!(matches!(away, Err(StoreError::Away(_))), "{away:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "nobody waits long for what is not there");
        assert!(matches!(Store::open(&server.url), Err(StoreError::Away(_))));
        server.start(&[]);
        let balance = soon(async || store.balance(id)).await;
        assert_eq!(balance, Micros::from_cents(5).unwrap());
        assert_eq!(store.generation().unwrap(), before, "the same history goes on");
    }
    soon(async || store.commit(commit(world.funding(id, 1))).await).await;
    assert_eq!(store.balance(id).unwrap(), Micros::from_cents(6).unwrap());
}

/// A host that takes connections and says nothing: a machine that stands still, a wrong port.
struct Silent(std::net::TcpListener);

impl Silent {
    fn new() -> Self {
        Self(std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn place(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// How often it was asked since this was asked last.
    fn asked(&self) -> usize {
        self.0.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_says_nothing_keeps_nobody_from_the_other() {
    let (world, silent, mute) = (World::new(), Silent::new(), Silent::new());
    let place = crate::home::server().split_once('@').unwrap().1.split_once('/').unwrap().0;
    let hosts = |hosts: &str| world.home.url().replace(place, hosts);
    let store = Store::open(&hosts(&format!("{},{place}", silent.place()))).unwrap();
    let mut nudges = store.nudges();
    tokio::time::timeout(LONG, nudges.next()).await.unwrap();
    let id = world.organization().await;
    assert!(store.organization_get(id).unwrap().is_some());
    assert_eq!(silent.asked(), 1, "who answered last is asked first");
    // Nobody answers: that is known within a bound.
    let both = hosts(&format!("{},{}", silent.place(), mute.place()));
    let opening = tokio::task::spawn_blocking(move || Store::open(&both).map(drop));
    let refused = tokio::time::timeout(LONG, opening).await.unwrap().unwrap();
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    assert_eq!((silent.asked(), mute.asked()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_is_another_epoch_and_has_every_answered_commit() {
    let world = World::new();
    let first = Server::new();
    let second = first.standby();
    // From here on a commit is answered when the standby has it too.
    ask(&first.url, &["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"]);
    let refused = Store::open(&second.url).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Away(_)), "who follows is not written to: {refused}");
    let url = first.url.replace(first.place(), &format!("{},{}", first.place(), second.place()));
    let store = Store::open(&url).unwrap();
    let organization = world.new_organization();
    let id = organization.id;
    let commit = |change| Commit { changes: vec![change], ..Commit::default() };
    store.commit(commit(domain::Change::Organization(organization))).await.unwrap();
    for _ in 0..20 {
        store.commit(commit(world.funding(id, 1))).await.unwrap();
    }
    let before = store.generation().unwrap();
    first.stop("immediate");
    script(&["promote", &second.folder]);
    let after = soon(async || store.generation()).await;
    assert_ne!(after.0, before.0, "another history");
    assert_eq!(after.1, before.1);
    assert_eq!(store.balance(id).unwrap(), Micros::from_cents(20).unwrap());
    soon(async || store.commit(commit(world.funding(id, 1))).await).await;
    assert_eq!(store.generation().unwrap().0, after.0);
    assert_eq!(store.doctor().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_said_is_encrypted_and_the_server_is_who_it_says_where_that_is_asked_for() {
    let server = Server::new();
    server.stop("fast");
    let settings = script(&["tls", &server.folder]);
    server.start(&settings.lines().collect::<Vec<_>>());
    let roots = format!("{}/authority.pem", server.folder);
    let secret = |options: &str| {
        let store = Store::open(&format!("{}?{options}&application_name=seen", server.url))?;
        store.generation()?;
        let sql = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'seen'";
        let told = ask(&server.url, &[sql]);
        assert_eq!(told.len(), 1, "{told:?}");
        Ok::<bool, StoreError>(told == ["t"])
    };
    assert!(!secret("sslmode=disable").unwrap());
    assert!(secret("sslmode=prefer").unwrap() && secret("sslmode=require").unwrap());
    assert!(secret(&format!("sslmode=verify-full&sslrootcert={roots}")).unwrap());
    // An authority that did not make it, and a name that it does not have.
    assert!(secret("sslmode=verify-full").is_err());
    let named = server.url.replace("127.0.0.1", "localhost");
    assert!(Store::open(&format!("{named}?sslmode=verify-full&sslrootcert={roots}")).is_err());
    assert!(Store::open(&format!("{named}?sslmode=require")).is_ok());
    server.stop("fast");
    server.start(&[]);
    let refused = Store::open(&format!("{}?sslmode=require", server.url)).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("TLS"), "{refused}");
}
