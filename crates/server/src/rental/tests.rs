//! Lives of numbers on a real store: what was posted equals what a model of days and months says, over restarts, jumps of the
//! clock and two nodes at once.

use super::*;
use domain::e164::NumberType;
use domain::ids::{NumberId, OrganizationId, PostingId, StockId};
use domain::number::{Birth, Environment, Network, NumberSetup, Status, Trust, Wiring, period_start};
use domain::organization::Kyc;
use domain::provider::{Credentials, Sealed};
use domain::stock::{Capabilities, StockState};
use domain::{E164, Organization, Page, Stock};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A store of its own, which can be opened again.
struct Place {
    folder: PathBuf,
    rental: Rental,
    count: u64,
}

impl Place {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("trunkline-rental-{}", clock::id()));
        std::fs::create_dir(&folder).unwrap();
        let rental = open(&folder);
        Self { folder, rental, count: 0 }
    }

    /// The process ends and another begins.
    fn restart(&mut self) {
        self.rental = open(&self.folder);
    }

    fn store(&self) -> &Store {
        &self.rental.store
    }

    async fn commit(&self, changes: Vec<Change>) {
        self.store().commit(Commit { changes, ..Commit::default() }).await.unwrap();
    }

    async fn organization(&self, settings: serde_json::Value) -> OrganizationId {
        let id = OrganizationId(clock::id());
        let settings = settings.as_object().cloned().unwrap();
        let (created_at, updated_at) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let organization = Organization {
            id,
            name: "acme".to_owned(),
            kyc: Kyc::Approved,
            number_slots: None,
            settings,
            created_at,
            updated_at,
            version: 1,
        };
        self.commit(vec![Change::Organization(organization)]).await;
        id
    }

    async fn fund(&self, id: OrganizationId, cents: i64) {
        let amount = Micros::from_cents(cents).unwrap();
        let posting =
            Posting::funding(PostingId(clock::id()), id, amount, "cash".to_owned(), Timestamp::UNIX_EPOCH);
        self.commit(vec![Change::Posting(posting)]).await;
    }

    /// A number for 1 and 2 cents, bought at a time.
    async fn buy(&mut self, owner: OrganizationId, now: Timestamp) -> Number {
        self.count += 1;
        let stock = Stock {
            id: StockId(clock::id()),
            e164: E164::from_u64(14_155_550_000 + self.count).unwrap(),
            country: domain::e164::Country::parse("US").unwrap(),
            kind: NumberType::Local,
            setup_cost: Micros::from_cents(1).unwrap(),
            monthly_cost: Micros::from_cents(2).unwrap(),
            capabilities: Capabilities::default(),
            state: StockState::Available,
            hold: None,
            network: Network::Public,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let sip_credentials = Credentials { username: "u".to_owned(), password: Sealed(vec![1]) };
        let id = NumberId(clock::id());
        let birth = Birth { now, id, sip_credentials, environment: Environment::Live };
        let setup = (NumberSetup::default(), Wiring::default());
        let (number, sold) = Number::buy(owner, &stock, None, setup, birth).unwrap();
        let number = number.activate().unwrap();
        let paid = Posting::purchase(&number, now).map(Change::Posting);
        self.commit(vec![Change::Stock(stock)]).await;
        let bought = [Change::Stock(sold), Change::Number(Box::new(number))];
        self.commit(bought.into_iter().chain(paid).collect()).await;
        self.number(owner, id)
    }

    fn number(&self, owner: OrganizationId, id: NumberId) -> Number {
        self.store().number_get(owner, id).unwrap().unwrap()
    }

    async fn release(&self, number: &Number, now: Timestamp) -> bool {
        let settings = Settings::read(&Bag::new()).unwrap();
        let Ok(next) = number.release(&settings, now) else { return false };
        let (next, postings) = next.rent_at_end(number, now);
        let stock = self.store().stock_get(number.stock_id.unwrap()).unwrap().unwrap();
        let rests = Change::Stock(next.stock_after(&stock, now));
        let changes = [rests, Change::Number(Box::new(next))];
        self.commit(changes.into_iter().chain(postings.into_iter().map(Change::Posting)).collect()).await;
        true
    }

    async fn restore(&self, number: &Number, now: Timestamp) -> bool {
        let Ok((next, rent)) = number.restore(None, Trust::Trusted, now) else { return false };
        let stock = self.store().stock_get(number.stock_id.unwrap()).unwrap().unwrap();
        let sold = Change::Stock(stock.moved(StockState::Sold(next.id), now));
        let changes = [sold, Change::Number(Box::new(next))];
        self.commit(changes.into_iter().chain(rent.map(Change::Posting)).collect()).await;
        true
    }

    /// Each period's charges, by number.
    fn charged(&self, owner: OrganizationId) -> BTreeMap<NumberId, Vec<u32>> {
        let mut periods: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in self.store().ledger_list(owner, &Page::first(100_000)).unwrap().items.iter().rev() {
            if let (domain::ledger::Subject::Rental(number, period), domain::ledger::Account::Wallet) =
                (entry.subject, entry.account)
            {
                periods.entry(number).or_default().push(period);
            }
        }
        periods
    }

    fn check(&self) {
        assert_eq!(self.store().doctor().unwrap(), Vec::<String>::new());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn open(folder: &std::path::Path) -> Rental {
    let store = Store::open(&format!("sqlite:{}", folder.join("t.db").display())).unwrap();
    Rental { store, live: Arc::new(Live::new()), wake: Arc::new(Notify::new()) }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[tokio::test]
async fn months_of_downtime_are_posted_once_each_whatever_comes_after() {
    let mut place = Place::new();
    let owner = place.organization(json!({})).await;
    place.fund(owner, 10).await;
    let begin = at("2027-01-31T10:00:00Z");
    let (number, other) = (place.buy(owner, begin).await, place.buy(owner, begin).await);
    place.rental.turn(at("2027-02-28T09:59:59Z")).await.unwrap();
    assert!(place.charged(owner).is_empty());
    // Three years later, on two nodes at once.
    let later = period_start(begin, 36).unwrap();
    let second = open(&place.folder);
    let (one, two) = tokio::join!(place.rental.turn(later), second.turn(later));
    one.unwrap();
    two.unwrap();
    let all: Vec<u32> = (1..=36).collect();
    assert_eq!(place.charged(owner), BTreeMap::from([(number.id, all.clone()), (other.id, all.clone())]));
    assert_eq!(
        place.store().balance(owner).unwrap(),
        Micros::from_cents(10 - 2 * (3 + 36 * 2)).unwrap(),
        "below zero"
    );
    // The clock jumps back, and the process is another one.
    place.restart();
    for time in [begin, later, period_start(begin, 20).unwrap()] {
        place.rental.turn(time).await.unwrap();
    }
    assert_eq!(place.charged(owner)[&number.id], all);
    let shown = place.number(owner, number.id);
    assert_eq!(shown.rented_until, period_start(begin, 37));
    assert_eq!((shown.status, shown.unpaid, shown.updated_at), (Status::Active, false, number.updated_at));
    place.check();
}

#[tokio::test]
async fn more_numbers_than_are_charged_at_once() {
    let mut place = Place::new();
    let owner = place.organization(json!({})).await;
    let begin = at("2027-05-01T00:00:00Z");
    for _ in 0..AT_ONCE + 9 {
        place.buy(owner, begin).await;
    }
    place.rental.turn(period_start(begin, 2).unwrap()).await.unwrap();
    let charged = place.charged(owner);
    assert_eq!(charged.len(), AT_ONCE as usize + 9);
    assert!(charged.values().all(|periods| *periods == [1, 2]));
    place.check();
}

#[tokio::test]
async fn an_unpaid_number_is_off_until_it_is_paid_where_the_operator_says_so() {
    let mut place = Place::new();
    let (strict, kept) = (
        place.organization(json!({ "rental_unpaid": "deactivate" })).await,
        place.organization(json!({})).await,
    );
    let begin = at("2027-05-01T00:00:00Z");
    place.fund(strict, 3 + 3 + 2).await;
    place.fund(kept, 3).await;
    let first = place.buy(strict, begin).await;
    let second = place.buy(strict, begin + jiff::SignedDuration::from_mins(1)).await;
    let other = place.buy(kept, begin).await;
    let state = |place: &Place, number: &Number| {
        let number = place.number(number.organization_id, number.id);
        (number.status, number.unpaid)
    };
    let month = |n| period_start(begin, n).unwrap() + jiff::SignedDuration::from_hours(1);
    // Two cents for two numbers of two cents each: one of them is paid.
    place.rental.turn(month(1)).await.unwrap();
    let states = [state(&place, &first), state(&place, &second)];
    assert_eq!(states.iter().filter(|state| **state == (Status::Inactive, true)).count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == (Status::Active, false)).count(), 1, "{states:?}");
    assert_eq!(state(&place, &other), (Status::Active, false));
    assert_eq!(place.store().balance(strict).unwrap(), Micros::from_cents(-2).unwrap());
    // Charged while it is off: it is still held.
    place.rental.turn(month(2)).await.unwrap();
    assert_eq!(place.charged(strict).values().filter(|periods| **periods == [1, 2]).count(), 2);
    assert_eq!([state(&place, &first), state(&place, &second)], [(Status::Inactive, true); 2]);
    // Not quite enough, then enough.
    place.fund(strict, 5).await;
    place.rental.turn(month(2)).await.unwrap();
    assert_eq!(state(&place, &first), (Status::Inactive, true));
    place.fund(strict, 1).await;
    place.rental.turn(month(2)).await.unwrap();
    assert_eq!([state(&place, &first), state(&place, &second)], [(Status::Active, false); 2]);
    let told = |name| {
        let events = place.store().event_list(strict, &Page::first(99)).unwrap().items;
        events.iter().filter(|event| event.name == name).count()
    };
    assert_eq!((told("number.suspended"), told("number.resumed")), (2, 2));
    place.check();
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Charge,
    Buy,
    Release(usize),
    Restore(usize),
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, i64)>> {
    let deed = prop_oneof![
        4 => Just(Deed::Charge),
        1 => Just(Deed::Buy),
        2 => (0usize..3).prop_map(Deed::Release),
        2 => (0usize..3).prop_map(Deed::Restore),
        1 => Just(Deed::Restart),
    ];
    let hours = prop_oneof![6 => 0i64..24 * 40, 1 => 0i64..24 * 200, 1 => -24i64 * 90..0];
    prop::collection::vec((deed, hours), 1..30)
}

/// What the model knows of a number: when it was bought, whether it is held, and the last period that is behind it, paid or
/// passed over.
struct Model {
    id: NumberId,
    begin: Timestamp,
    held: bool,
    reached: u32,
    charged: Vec<u32>,
}

impl Model {
    /// The period that a time lies in: the last that has begun.
    fn at(&self, now: Timestamp) -> u32 {
        let begun = |k: &u32| period_start(self.begin, *k).is_some_and(|start| start <= now);
        (0..1_200).take_while(begun).last().unwrap_or(0)
    }

    fn charge(&mut self, now: Timestamp) {
        if self.held {
            while self.reached < self.at(now) {
                self.reached += 1;
                self.charged.push(self.reached);
            }
        }
    }

    fn restore(&mut self, now: Timestamp) {
        self.held = true;
        let current = self.at(now);
        if current > self.reached {
            self.reached = current;
            self.charged.push(current);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_posted_is_what_the_model_says(days in 0i64..1_500, life in deeds()) {
        block_on(async {
            let mut place = Place::new();
            let owner = place.organization(json!({})).await;
            // Month ends and a leap year lie in reach.
            let mut now = at("2027-01-28T23:00:00Z") + jiff::SignedDuration::from_hours(24 * days);
            let mut models = Vec::new();
            let number = place.buy(owner, now).await;
            models.push(Model { id: number.id, begin: now, held: true, reached: 0, charged: Vec::new() });
            for (deed, hours) in life {
                now += jiff::SignedDuration::from_hours(hours);
                match deed {
                    Deed::Charge => {
                        place.rental.turn(now).await.unwrap();
                        for model in &mut models {
                            model.charge(now);
                        }
                    }
                    Deed::Buy => {
                        let number = place.buy(owner, now).await;
                        models.push(Model { id: number.id, begin: now, held: true, reached: 0, charged: Vec::new() });
                    }
                    Deed::Release(n) => {
                        let Some(model) = models.get_mut(n).filter(|model| model.held) else { continue };
                        if place.release(&place.number(owner, model.id), now).await {
                            model.charge(now);
                            model.held = false;
                        }
                    }
                    Deed::Restore(n) => {
                        let Some(model) = models.get_mut(n).filter(|model| !model.held) else { continue };
                        if place.restore(&place.number(owner, model.id), now).await {
                            model.restore(now);
                        }
                    }
                    Deed::Restart => place.restart(),
                }
            }
            let expected: BTreeMap<_, _> =
                models.into_iter().filter(|model| !model.charged.is_empty()).map(|model| (model.id, model.charged)).collect();
            assert_eq!(place.charged(owner), expected);
            place.check();
        });
    }
}
