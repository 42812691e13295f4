//! Rent against models that count by themselves: with a calendar of their own, over random lives, whatever the clock does.

use super::*;
use crate::ids::{NumberId, OrganizationId, PostingId, StockId};
use crate::number::{Birth, Environment, NumberSetup, Trust, Wiring};
use crate::{Bag, Stock};
use proptest::prelude::*;
use std::collections::BTreeSet;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn settings(values: &serde_json::Value) -> Settings {
    let bag: Bag = values.as_object().cloned().unwrap();
    Settings::read(&bag).unwrap()
}

fn bought(now: Timestamp, monthly_cost_cents: i64) -> Number {
    let new = crate::stock::StockNew {
        e164: "+14155550100".into(),
        country: None,
        kind: None,
        setup_cost_cents: 100,
        monthly_cost_cents,
        capabilities: crate::stock::Capabilities::default(),
    };
    let stock = Stock::create(StockId(uuid::Uuid::nil()), new, now).unwrap();
    let sip_credentials =
        crate::provider::Credentials { username: "u".into(), password: crate::provider::Sealed(Vec::new()) };
    let id = NumberId(uuid::Uuid::from_u128(1));
    let birth = Birth { now, id, sip_credentials, environment: Environment::Live };
    let setup = (NumberSetup::default(), Wiring::default());
    let (number, _) = Number::buy(OrganizationId(uuid::Uuid::nil()), &stock, None, setup, birth).unwrap();
    number.activate().unwrap()
}

fn periods(postings: &[Posting]) -> Vec<u32> {
    postings.iter().filter_map(|posting| posting.subject.period()).collect()
}

#[test]
fn the_thirty_first_comes_back_after_a_short_month() {
    let starts = |since: &str, count: u32| -> Vec<String> {
        (0..count).map(|k| period_start(at(since), k).unwrap().to_string()).collect()
    };
    assert_eq!(
        starts("2027-01-31T22:10:03.000001Z", 5),
        [
            "2027-01-31T22:10:03.000001Z",
            "2027-02-28T22:10:03.000001Z",
            "2027-03-31T22:10:03.000001Z",
            "2027-04-30T22:10:03.000001Z",
            "2027-05-31T22:10:03.000001Z"
        ]
    );
    assert_eq!(starts("2028-01-30T00:00:00Z", 3)[1], "2028-02-29T00:00:00Z", "a leap year");
    let leap = starts("2028-02-29T12:00:00Z", 49);
    assert_eq!((leap[12].as_str(), leap[48].as_str()), ("2029-02-28T12:00:00Z", "2032-02-29T12:00:00Z"));
    assert_eq!(period_start(Timestamp::MAX, 1), None);
    assert_eq!(period_start(Timestamp::UNIX_EPOCH, u32::MAX), None);
}

#[test]
fn only_numbers_of_the_stock_with_a_price_are_rented() {
    let now = at("2027-01-31T00:00:00Z");
    assert_eq!(bought(now, 200).rented_until, Some(at("2027-02-28T00:00:00Z")));
    assert_eq!(bought(now, 0).rented_until, None);
    let test = Number { network: Network::Test, ..bought(now, 200) };
    assert_eq!(test.first_rent(), None);
    let free = Number { rented_until: None, ..bought(now, 0) };
    assert_eq!(free.rent(Timestamp::MAX, 9), (free.clone(), Vec::new()));
}

#[test]
fn a_clock_at_the_end_of_time_charges_a_bounded_number() {
    let number = bought(at("2027-01-31T00:00:00Z"), 1);
    let (next, postings) = number.rent(Timestamp::MAX, usize::MAX);
    assert_eq!(postings.len(), PERIODS_MAX);
    assert_eq!(next.version, number.version + 1);
    let late = bought(at("9999-11-30T00:00:00Z"), 1);
    let (next, postings) = late.rent(Timestamp::MAX, usize::MAX);
    assert_eq!((periods(&postings), next.rented_until), (vec![1], None));
}

#[test]
fn a_refund_is_for_the_first_days_and_is_paid_back_by_who_takes_the_number_back() {
    let (rule, now) = (settings(&serde_json::json!({ "refund_hours": 48 })), at("2027-01-31T00:00:00Z"));
    let number = bought(now, 200);
    let given = |hours: i64| {
        let later = now + jiff::SignedDuration::from_hours(hours);
        (number.release(&rule, later).unwrap(), later)
    };
    let (released, later) = given(47);
    let (refunded, posting) = released.refund(&number, &rule, later).unwrap();
    assert_eq!(
        posting.entries()[0],
        (crate::ledger::Account::Wallet, number.monthly_cost),
        "not the setup price"
    );
    assert_eq!(posting.id, PostingId::of_refund(number.id));
    let (back, rent) = refunded.restore(None, Trust::Trusted, later).unwrap();
    assert_eq!(rent.as_ref().and_then(|rent| rent.subject.period()), Some(0), "the month is paid again");
    assert_eq!(back.rented_until, number.rented_until);
    let again = released.restore(None, Trust::Trusted, later).unwrap();
    assert_eq!(again.1, None, "what is paid is not paid again");

    let (late, later) = given(48);
    assert_eq!(late.refund(&number, &rule, later), None);
    let off = settings(&serde_json::json!({}));
    assert_eq!(released.refund(&number, &off, now), None);
    let pending = Number { status: Status::Pending, ..number.clone() };
    assert_eq!(released.refund(&pending, &rule, now), None);
    let leaving = number.port_out(now).unwrap();
    assert_eq!(released.refund(&leaving, &rule, now), None);
}

/// The model's own calendar.
fn days_in(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// Seconds from the first of 2024 to a day, counted day by day.
fn second_of(year: i32, month: i32, day: i32) -> i64 {
    let (mut days, mut y, mut m) = (0, 2024, 1);
    while (y, m) != (year, month) {
        days += days_in(y, m);
        (y, m) = if m == 12 { (y + 1, 1) } else { (y, m + 1) };
    }
    i64::from(days + day - 1) * DAY
}

/// When the model's periods begin, in seconds since the first of 2024.
fn starts((year, month, day): (i32, i32, i32), second: i64, count: i32) -> Vec<i64> {
    let of = |k: i32| {
        let (y, m) = (year + (month - 1 + k) / 12, (month - 1 + k) % 12 + 1);
        second_of(y, m, day.min(days_in(y, m))) + second
    };
    (0..count).map(of).collect()
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Look,
    Release,
    Restore,
}

fn deeds(back: i64) -> impl Strategy<Value = Vec<(Deed, i64)>> {
    let deed = prop_oneof![4 => Just(Deed::Look), 2 => Just(Deed::Release), 2 => Just(Deed::Restore)];
    let hours = prop_oneof![4 => 0i64..24 * 40, 1 => 0i64..24 * 400, 1 => -back..1];
    prop::collection::vec((deed, hours), 1..40)
}

fn birthdays() -> impl Strategy<Value = (i32, i32, i32, i64)> {
    (2024i32..2029, 1i32..13, prop_oneof![1i32..29, 28i32..32], 0..DAY)
        .prop_map(|(year, month, day, second)| (year, month, day.min(days_in(year, month)), second))
}

/// Lives a life; gives the periods charged, in order, with no period twice.
fn live((year, month, day, second): (i32, i32, i32, i64), deeds: &[(Deed, i64)]) -> Vec<u32> {
    let rule = settings(&serde_json::json!({ "quarantine_days": 3_650 }));
    let origin = at("2024-01-01T00:00:00Z");
    let mut now = origin + jiff::SignedDuration::from_secs(second_of(year, month, day) + second);
    let mut number = bought(now, 200);
    let mut charged: Vec<Posting> = Vec::new();
    for (deed, hours) in deeds {
        now += jiff::SignedDuration::from_hours(*hours);
        match deed {
            // In bites, as the loop does.
            Deed::Look => loop {
                let (next, postings) = number.rent(now, 2);
                assert_eq!(postings.is_empty(), next == number);
                number = next;
                if postings.is_empty() {
                    break;
                }
                charged.extend(postings);
            },
            Deed::Release => {
                let Ok(next) = number.release(&rule, now) else { continue };
                let (next, postings) = next.rent_at_end(&number, now);
                number = next;
                charged.extend(postings);
            }
            Deed::Restore => {
                let Ok((next, rent)) = number.restore(None, Trust::Trusted, now) else { continue };
                number = next;
                charged.extend(rent);
            }
        }
    }
    let ids: BTreeSet<PostingId> = charged.iter().map(|posting| posting.id).collect();
    assert_eq!(ids.len(), charged.len(), "a period was posted twice");
    periods(&charged)
}

proptest! {
    /// While the clock goes forward: a period is charged if the number was held when it began, or was taken back within it.
    #[test]
    fn held_at_its_beginning_or_taken_back_within_it(birthday in birthdays(), life in deeds(0)) {
        let (year, month, day, second) = birthday;
        let begin = second_of(year, month, day) + second;
        let (mut now, mut held, mut since) = (begin, true, begin);
        let (mut spans, mut restores) = (Vec::new(), Vec::new());
        for (deed, hours) in life.iter().chain([&(Deed::Look, 0)]) {
            now += hours * HOUR;
            match deed {
                Deed::Release if held => {
                    spans.push((since, now));
                    held = false;
                }
                Deed::Restore if !held && now < spans.last().map_or(now, |(_, end)| end + 3_650 * DAY) => {
                    restores.push(now);
                    (held, since) = (true, now);
                }
                Deed::Look | Deed::Release | Deed::Restore => {}
            }
        }
        if held {
            spans.push((since, now));
        }
        let starts = starts((year, month, day), second, 700);
        let mut expected = Vec::new();
        for (k, start) in starts.iter().enumerate().skip(1) {
            let held_then = spans.iter().any(|(from, to)| from <= start && start <= to);
            let taken_back = restores.iter().any(|at| start <= at && *at < starts.get(k + 1).copied().unwrap_or(i64::MAX));
            if held_then || taken_back {
                expected.push(u32::try_from(k).unwrap());
            }
        }
        let mut all = life;
        all.push((Deed::Look, 0));
        prop_assert_eq!(live(birthday, &all), expected);
    }

    /// Whatever the clock does, no period is posted twice, and none that never began by the latest time that was seen.
    #[test]
    fn a_clock_that_jumps_back_charges_nothing_twice(birthday in birthdays(), life in deeds(24 * 300)) {
        let (year, month, day, second) = birthday;
        let (mut now, mut latest) = (0, 0);
        for (_, hours) in &life {
            now += hours * HOUR;
            latest = latest.max(now);
        }
        let begin = second_of(year, month, day) + second;
        let begun = starts((year, month, day), second, 700).iter().filter(|start| **start <= begin + latest).count();
        let charged = live(birthday, &life);
        prop_assert!(charged.iter().all(|period| (*period as usize) < begun), "{charged:?} of {begun}");
        prop_assert!(charged.is_sorted());
    }
}
