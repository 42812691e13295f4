//! Every posting sums to zero, and what is posted once has one id.

use super::*;
use proptest::prelude::*;

fn number(id: u128, setup: i64, monthly: i64) -> Number {
    let new = crate::stock::StockNew {
        e164: "+14155550100".into(),
        country: None,
        kind: None,
        setup_cost_cents: setup,
        monthly_cost_cents: monthly,
        capabilities: crate::stock::Capabilities::default(),
    };
    let stock = crate::Stock::create(crate::ids::StockId(Uuid::nil()), new, Timestamp::UNIX_EPOCH).unwrap();
    let sip_credentials =
        crate::provider::Credentials { username: "u".into(), password: crate::provider::Sealed(Vec::new()) };
    let birth = crate::number::Birth {
        now: Timestamp::UNIX_EPOCH,
        id: NumberId(Uuid::from_u128(id)),
        sip_credentials,
        environment: crate::number::Environment::Live,
    };
    let setup = (crate::number::NumberSetup::default(), crate::number::Wiring::default());
    Number::buy(OrganizationId(Uuid::nil()), &stock, None, setup, birth).unwrap().0
}

fn wallet(posting: &Posting) -> Micros {
    posting.entries().iter().filter(|(account, _)| *account == Account::Wallet).map(|(_, m)| *m).sum()
}

proptest! {
    #[test]
    fn every_posting_sums_to_zero(amount in -1_000_000_000_000_000i64..1_000_000_000_000_000, setup in 0i64..9_999, monthly in 0i64..9_999) {
        let (id, org, at) = (PostingId(Uuid::nil()), OrganizationId(Uuid::nil()), Timestamp::UNIX_EPOCH);
        let number = number(1, setup, monthly);
        let mut postings = vec![
            Posting::funding(id, org, Micros(amount), String::new(), at),
            Posting::rental(&number, 3, at),
            Posting::refund(&number, Micros(amount), String::new(), at),
        ];
        postings.extend(Posting::purchase(&number, at));
        for posting in postings {
            prop_assert_eq!(posting.entries().iter().map(|(_, m)| *m).sum::<Micros>(), Micros::ZERO);
        }
    }
}

#[test]
fn a_refund_gives_back_what_a_purchase_took() {
    let (number, at) = (number(1, 100, 200), Timestamp::UNIX_EPOCH);
    let paid = Posting::purchase(&number, at).unwrap();
    assert_eq!(wallet(&paid), Micros::from_cents(-300).unwrap());
    let back = Posting::refund(&number, number.setup_cost + number.monthly_cost, String::new(), at);
    assert_eq!(wallet(&back), Micros::from_cents(300).unwrap());
    assert_eq!(Posting::purchase(&self::number(1, 0, 0), at), None);
}

#[test]
fn what_is_posted_once_has_an_id_of_its_own() {
    let at = Timestamp::UNIX_EPOCH;
    let mut ids = std::collections::HashSet::new();
    for n in 1..20 {
        let number = number(n, 1, 1);
        ids.insert(Posting::purchase(&number, at).unwrap().id);
        ids.insert(Posting::refund(&number, Micros(1), String::new(), at).id);
        ids.insert(PostingId::of_correction(CallId(number.id.0)));
        ids.extend((0..12).map(|period| Posting::rental(&number, period, at).id));
    }
    assert_eq!(ids.len(), 19 * 15);
    assert_eq!(
        Posting::rental(&number(1, 1, 1), 2, at).id,
        PostingId::of_rental(NumberId(Uuid::from_u128(1)), 2)
    );
}

#[test]
fn subjects_survive_their_parts() {
    let (number, call) = (NumberId(Uuid::from_u128(1)), CallId(Uuid::from_u128(2)));
    let all = [
        Subject::Funding,
        Subject::Purchase(Some(number)),
        Subject::Purchase(None),
        Subject::Rental(number, 7),
        Subject::Refund(number),
        Subject::Call(call),
    ];
    for subject in all {
        let read = Subject::of(subject.kind(), subject.number(), subject.call(), subject.period());
        assert_eq!(read, Some(subject));
    }
    assert_eq!(Subject::of("rental", Some(number), None, None), None);
    assert_eq!(Subject::of("gift", None, None, None), None);
}
