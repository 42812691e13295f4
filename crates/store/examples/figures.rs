//! Figures of the store on this machine: `cargo run --release -p store --example figures [numbers [URL]]`; without a URL on a
//! SQLite file of its own, otherwise on the empty PostgreSQL database that it names.
//!
//! Ratios within one run are what counts; the seconds are this machine's.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool, not the product"
)]

use domain::call::{Direction, Ended, EndedBy, FactKind, Moment, Started};
use domain::e164::{Country, E164, NumberType};
use domain::ids::{CallId, NumberId, OrganizationId, PostingId, StockId};
use domain::number::{Environment, NumberQuery, Status};
use domain::organization::Kyc;
use domain::provider::{Credentials, Sealed};
use domain::stock::{Capabilities, StockState};
use domain::{
    Bag, Change, Commit, Fact, Generation, Micros, Number, Organization, Page, Posting, Start, Stock,
    Timestamp,
};
use std::time::Instant;
use store::Store;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn uuid(n: u64) -> Uuid {
    Uuid::from_u128(u128::from(n) << 64)
}

fn organization(id: OrganizationId) -> Change {
    let (name, kyc, settings) = ("Org".to_owned(), Kyc::Approved, Bag::new());
    Change::Organization(Organization {
        id,
        name,
        kyc,
        number_slots: None,
        settings,
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    })
}

fn number(organization_id: OrganizationId, n: u64) -> Change {
    Change::Number(Box::new(Number {
        id: NumberId(uuid(n)),
        organization_id,
        alias: 0,
        e164: E164::from_u64(10_000_000_000 + n * 7).unwrap(),
        country: Country::parse("US").unwrap(),
        kind: NumberType::Local,
        status: Status::Active,
        label: Some(format!("Desk {n} of floor {}", n % 40)),
        provider_id: None,
        stock_id: None,
        setup_cost: Micros::ZERO,
        monthly_cost: Micros::ZERO,
        capabilities: Capabilities::default(),
        endpoint_id: None,
        agent_id: None,
        environment: Environment::Live,
        allow_inbound: true,
        allow_outbound: false,
        rules: domain::rules::NumberRules::default(),
        psa_settings: Bag::new(),
        agent_settings: Bag::new(),
        sip_credentials: Credentials { username: uuid(n).to_string(), password: Sealed(vec![0; 72]) },
        created_at: NOW,
        updated_at: NOW,
        released_at: None,
        quarantined_until: None,
        network: domain::number::Network::Public,
        rented_until: None,
        delivered_at: None,
        unpaid: false,
        version: 1,
    }))
}

fn stock(n: u64) -> Change {
    Change::Stock(Stock {
        id: StockId(uuid(n)),
        e164: E164::from_u64(20_000_000_000 + n).unwrap(),
        country: Country::parse("US").unwrap(),
        kind: NumberType::Local,
        setup_cost: Micros::ZERO,
        monthly_cost: Micros::ZERO,
        capabilities: Capabilities::default(),
        state: StockState::Available,
        hold: None,
        network: domain::number::Network::Public,
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    })
}

async fn commit(store: &Store, changes: Vec<Change>) {
    store.commit(Commit { changes, ..Commit::default() }).await.unwrap();
}

fn call(organization_id: OrganizationId, n: u64) -> Vec<Fact> {
    let started = Started {
        direction: Direction::Inbound,
        number_id: Some(NumberId(uuid(1))),
        number: E164::from_u64(10_000_000_007),
        from: "sip:+14155550123@carrier.example".to_owned(),
        to: "+10000000007".to_owned(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(1),
        price: domain::Price::by_minute(Micros::ZERO),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: uuid(n).to_string(),
    };
    let ended = Ended { by: EndedBy::Caller, reason: None };
    let kinds = [
        FactKind::Started(Box::new(started)),
        FactKind::Answered(Some(Box::default())),
        FactKind::Ended(ended),
    ];
    let fact = |(second, kind)| {
        let at = Moment { wall: NOW, process: 1, monotonic_us: second * 1_000_000 };
        Fact { organization_id, call_id: CallId(uuid(n)), at, kind }
    };
    (0u64..).zip(kinds).map(fact).collect()
}

/// Durable commits a second by so many writers at once, each with `each` commits one after the other.
async fn rate(store: &Store, organization: OrganizationId, (writers, each): (u64, u64), first: u64) -> f64 {
    let posting = move |n: u64| {
        Change::Posting(Posting::funding(PostingId(uuid(n)), organization, Micros(1), String::new(), NOW))
    };
    let began = Instant::now();
    let writers: Vec<_> = (0..writers)
        .map(|w| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..each {
                    commit(&store, vec![posting(first + w * each + n)]).await;
                }
            })
        })
        .collect();
    let count = writers.len() as u64 * each;
    for writer in writers {
        writer.await.unwrap();
    }
    u32::try_from(count).map_or(0.0, f64::from) / began.elapsed().as_secs_f64()
}

async fn commits(store: &Store, organization: OrganizationId) {
    let (alone, few) = (
        rate(store, organization, (1, 1_000), 0).await,
        rate(store, organization, (8, 500), 1_000_000).await,
    );
    let many = rate(store, organization, (64, 250), 2_000_000).await;
    println!(
        "durable commits/s: {alone:.0} by one writer, {few:.0} by 8 ({:.1} times), {many:.0} by 64 ({:.1} times)",
        few / alone,
        many / alone
    );
}

fn timed(what: &str, mut work: impl FnMut()) {
    work();
    let began = Instant::now();
    for _ in 0..200 {
        work();
    }
    println!("{what}: {:.0} µs", began.elapsed().as_secs_f64() * 1e6 / 200.0);
}

fn reads(store: &Store, organization: OrganizationId, count: u64) {
    let list = |q: Option<&str>, start: Start<NumberId>| {
        let query = NumberQuery { q: q.map(str::to_owned), ..NumberQuery::default() };
        store.number_list(organization, &query, &Page { limit: 20, start }).unwrap().items.len()
    };
    let middle = || Start::After(NumberId(uuid(count / 2)));
    let rare = format!("{}", 10_000_000_000 + (count / 3) * 7);
    timed("  number by id", || drop(store.number_get(organization, NumberId(uuid(count / 2))).unwrap()));
    timed("  first page of 20", || assert_eq!(list(None, Start::First), 20));
    timed("  page in the middle", || assert_eq!(list(None, middle()), 20));
    timed("  search, every row matches", || assert_eq!(list(Some("desk"), Start::First), 20));
    timed("  search, one in forty matches", || assert!(list(Some("floor 17"), middle()) >= 10));
    timed("  search, one row matches", || assert_eq!(list(Some(&rare), Start::First), 1));
    timed("  search, four digits", || assert!(list(Some("0123"), Start::First) > 0));
    timed("  search, none matches", || assert_eq!(list(Some("zebra"), Start::First), 0));
    timed("  short search, none matches", || assert_eq!(list(Some("zz"), Start::First), 0));
}

#[tokio::main]
async fn main() {
    let numbers: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::TempDir::new().unwrap();
    let file = format!("sqlite:{}", folder.path().join("figures.db").display());
    let store = Store::open(&std::env::args().nth(2).unwrap_or(file)).unwrap();
    let (small, large) = (OrganizationId(uuid(1)), OrganizationId(uuid(2)));
    commit(&store, vec![organization(small), organization(large)]).await;
    commits(&store, small).await;

    let began = Instant::now();
    commit(&store, (1..=100_000).map(stock).collect()).await;
    println!("100,000 stock rows in one commit: {:.1} s", began.elapsed().as_secs_f64());
    commit(&store, (0..1_000).map(|n| number(small, 100_000_000 + n)).collect()).await;
    let began = Instant::now();
    for from in (0..numbers).step_by(100_000) {
        commit(&store, (from..(from + 100_000).min(numbers)).map(|n| number(large, n)).collect()).await;
    }
    println!("{numbers} numbers, 100,000 a commit: {:.1} s", began.elapsed().as_secs_f64());

    println!("among {numbers} numbers:");
    reads(&store, large, numbers);
    println!("one tenant's 1,000 beside them:");
    timed("  search, every row matches", || {
        let query = NumberQuery { q: Some("desk".to_owned()), ..NumberQuery::default() };
        assert_eq!(store.number_list(small, &query, &Page::first(20)).unwrap().items.len(), 20);
    });
    let began = Instant::now();
    let mut seen = 0u64;
    store.snapshot(&mut |_| seen += 1).unwrap();
    println!("snapshot of {seen} things: {:.2} s", began.elapsed().as_secs_f64());

    let began = Instant::now();
    for from in (0..20_000u64).step_by(200) {
        store.facts_append((from..from + 200).flat_map(|n| call(large, n)).collect()).await.unwrap();
    }
    println!(
        "whole calls of three facts, 200 a batch: {:.0} µs each",
        began.elapsed().as_secs_f64() * 1e6 / 20_000.0
    );
    store.close().await;
}
