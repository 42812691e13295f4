//! Properties of a number's life.

use super::*;
use proptest::prelude::*;

#[test]
fn every_state_has_a_name_and_no_transition_leaves_deleted() {
    for (status, name) in Status::NAMES {
        assert_eq!(Status::parse(name), Some(status));
        assert_eq!(status.as_str(), name);
    }
    assert!(TRANSITIONS.iter().all(|(from, _, _)| *from != Status::Deleted));
}

#[test]
fn only_restore_leaves_released_alive() {
    for (from, step, to) in TRANSITIONS {
        if !from.is_held() && to.is_held() {
            assert_eq!(from, Status::Released);
            assert!(matches!(step, Step::Restore | Step::Reclaim));
        }
        assert_eq!(from.after(step).unwrap(), to);
    }
    assert_eq!(Status::Released.after(Step::Activate).unwrap_err().kind, Kind::Conflict);
}

#[test]
fn whatever_the_table_lets_be_deleted_is() {
    let (settings, now) = (Settings::read(&Bag::new()).unwrap(), Timestamp::UNIX_EPOCH);
    let buy = (NumberSetup::default(), Wiring::default());
    let (bought, _) =
        Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
    for (status, ..) in TRANSITIONS.into_iter().filter(|(_, step, _)| *step == Step::Delete) {
        for by_operator in [false, true] {
            let gone = Number { status, ..bought.clone() }.delete(&settings, by_operator, now).unwrap();
            let rests = status.is_held() && !(by_operator && status == Status::PortOut);
            assert_eq!((gone.status, gone.quarantined_until.is_some()), (Status::Deleted, rests));
        }
    }
}

fn birth(id: u128) -> Birth {
    let sip_credentials = Credentials { username: "u".into(), password: crate::provider::Sealed(Vec::new()) };
    let id = NumberId(uuid::Uuid::from_u128(id));
    Birth { now: Timestamp::UNIX_EPOCH, id, sip_credentials, environment: Environment::Live }
}

fn in_stock() -> Stock {
    let new = crate::stock::StockNew {
        e164: "+14155550100".into(),
        country: None,
        kind: None,
        setup_cost_cents: 1,
        monthly_cost_cents: 1,
        capabilities: Capabilities::default(),
    };
    Stock::create(StockId(uuid::Uuid::nil()), new, Timestamp::UNIX_EPOCH).unwrap()
}

#[test]
fn a_number_moves_between_trunks_and_never_off_the_stock() {
    let (owner, trunk) = (OrganizationId(uuid::Uuid::nil()), |n| ProviderId(uuid::Uuid::from_u128(n)));
    let moved = |number: &Number| {
        let patch = NumberPatch { provider_id: Some(trunk(2)), ..NumberPatch::default() };
        number.update(patch, Wiring::default(), Trust::Trusted, Timestamp::UNIX_EPOCH)
    };
    let nothing = || (NumberSetup::default(), Wiring::default());
    let own = Number::import(owner, "+14155550100", trunk(1), nothing(), birth(1)).unwrap();
    assert_eq!(moved(&own).unwrap().provider_id, Some(trunk(2)));
    let (bought, _) = Number::buy(owner, &in_stock(), None, nothing(), birth(1)).unwrap();
    assert_eq!(moved(&bought).unwrap_err().field, Some("provider_id"));
    assert!(own.check_unassigned().is_ok());
    let assigned = Number { agent_id: AgentId::parse("a"), ..own };
    assert_eq!(assigned.check_unassigned().unwrap_err().kind, Kind::Conflict);
}

/// What is done to a number agrees with the table, for each state and each step: what is not there is refused.
#[test]
fn each_operation_in_each_state_does_what_the_table_says() {
    let (settings, now) = (Settings::read(&Bag::new()).unwrap(), Timestamp::UNIX_EPOCH);
    let buy = (NumberSetup::default(), Wiring::default());
    let (bought, _) =
        Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
    let own = Number { stock_id: None, rented_until: None, ..bought.clone() };
    let switched = |number: &Number, switch| {
        let patch = NumberPatch { status: Some(switch), ..NumberPatch::default() };
        number.update(patch, Wiring::default(), Trust::Operator, now)
    };
    let do_it = |number: &Number, step| match step {
        Step::Activate => switched(number, Switch::Active),
        Step::Deactivate => switched(number, Switch::Inactive),
        Step::Release => number.release(&settings, now),
        Step::Restore => number.restore(None, Trust::Trusted, now).map(|(number, _)| number),
        Step::Reclaim => number.restore(None, Trust::Untrusted, now).map(|(number, _)| number),
        Step::Delete => number.delete(&settings, true, now),
        Step::PortIn => number.clone().port_in(),
        Step::PortOut => number.port_out(now),
    };
    let steps = [
        Step::Activate,
        Step::Deactivate,
        Step::Release,
        Step::Restore,
        Step::Reclaim,
        Step::Delete,
        Step::PortIn,
        Step::PortOut,
    ];
    let mut seen = 0;
    for (status, name) in Status::NAMES {
        for step in steps {
            let number = Number { status, quarantined_until: Some(Timestamp::MAX), ..own.clone() };
            let to =
                TRANSITIONS.iter().find(|(from, by, _)| (*from, *by) == (status, step)).map(|(.., to)| *to);
            match (do_it(&number, step), to) {
                (Ok(next), Some(to)) => {
                    assert_eq!(next.status, to, "{name} {step:?}");
                    seen += 1;
                }
                (Err(error), None) => {
                    assert_eq!(
                        (error.kind, error.field),
                        (Kind::Conflict, Some("status")),
                        "{name} {step:?}"
                    );
                }
                (outcome, to) => panic!("{name} {step:?}: {outcome:?}, the table says {to:?}"),
            }
        }
    }
    assert_eq!(seen, TRANSITIONS.len());
}

/// On its way in, a number waits for the operator alone; on its way out it is there until it is deleted, and then for good.
#[test]
fn ports_begin_and_end_as_the_table_says() {
    let (settings, now) = (Settings::read(&Bag::new()).unwrap(), Timestamp::UNIX_EPOCH);
    let (owner, trunk) = (OrganizationId(uuid::Uuid::nil()), ProviderId(uuid::Uuid::nil()));
    let sandbox = NumberSetup { environment: Some(Environment::Sandbox), ..NumberSetup::default() };
    let coming = Number::import(owner, "+14155550100", trunk, (sandbox, Wiring::default()), birth(1));
    let coming = coming.and_then(Number::port_in).unwrap();
    assert_eq!((coming.status, coming.version), (Status::PortIn, 1));
    let switched = |number: &Number, switch, trust| {
        let patch = NumberPatch { status: Some(switch), ..NumberPatch::default() };
        number.update(patch, Wiring::default(), trust, now)
    };
    for trust in [Trust::Untrusted, Trust::Trusted] {
        assert_eq!(switched(&coming, Switch::Active, trust).unwrap_err().field, Some("status"));
    }
    assert_eq!(switched(&coming, Switch::Active, Trust::Operator).unwrap().status, Status::Active);
    assert_eq!(coming.port_out(now).unwrap_err().kind, Kind::Conflict);
    let withdrawn = coming.release(&settings, now).unwrap();
    assert_eq!(withdrawn.status, Status::Deleted);
    assert!(withdrawn.restore(None, Trust::Trusted, now).is_err(), "not a way round the operator");

    let buy = (NumberSetup::default(), Wiring::default());
    let (bought, _) = Number::buy(owner, &in_stock(), None, buy, birth(1)).unwrap();
    let active = bought.activate().unwrap();
    let off = switched(&active, Switch::Inactive, Trust::Trusted).unwrap();
    assert_eq!(off.port_out(now).unwrap_err().kind, Kind::Conflict, "it would take calls again");
    let going = active.port_out(now).unwrap();
    assert_eq!(going.status, Status::PortOut);
    assert_eq!(
        switched(&going, Switch::Active, Trust::Untrusted).unwrap().status,
        Status::Active,
        "called back"
    );
    assert!(going.release(&settings, now).is_err());
    assert!(going.delete(&settings, true, now).is_ok());
    assert!(going.is_ported_away(true) && !active.is_ported_away(true));
    assert!(!going.is_ported_away(false), "its holder alone takes nothing out of the stock");
}

/// No way round the operator: not by giving back and taking back, not by way of the sandbox.
#[test]
fn an_import_is_not_used_without_consent() {
    let (settings, now) = (Settings::read(&Bag::new()).unwrap(), Timestamp::UNIX_EPOCH);
    let import = |environment| {
        let setup =
            (NumberSetup { environment: Some(environment), ..NumberSetup::default() }, Wiring::default());
        Number::import(
            OrganizationId(uuid::Uuid::nil()),
            "+14155550100",
            ProviderId(uuid::Uuid::nil()),
            setup,
            birth(1),
        )
        .unwrap()
    };
    let released = import(Environment::Live).release(&settings, now).unwrap();
    assert_eq!(released.restore(None, Trust::Untrusted, now).unwrap().0.status, Status::Pending);
    assert_eq!(released.restore(None, Trust::Trusted, now).unwrap().0.status, Status::Active);
    let tried = import(Environment::Sandbox).activate().unwrap();
    let live = || NumberPatch { environment: Some(Environment::Live), ..NumberPatch::default() };
    assert_eq!(
        tried.update(live(), Wiring::default(), Trust::Untrusted, now).unwrap_err().kind,
        Kind::Conflict
    );
    assert_eq!(
        tried.update(live(), Wiring::default(), Trust::Trusted, now).unwrap().environment,
        Environment::Live
    );
    let on = NumberPatch { status: Some(Switch::Active), ..live() };
    assert!(import(Environment::Sandbox).update(on, Wiring::default(), Trust::Untrusted, now).is_err());
}

#[test]
fn what_is_off_for_want_of_money_comes_on_by_money_alone() {
    let (settings, now) = (Settings::read(&Bag::new()).unwrap(), Timestamp::UNIX_EPOCH);
    let buy = (NumberSetup::default(), Wiring::default());
    let (bought, _) =
        Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
    let active = bought.activate().unwrap();
    let off = active.suspend(now).unwrap();
    assert_eq!((off.status, off.unpaid, off.version), (Status::Inactive, true, active.version + 1));
    assert_eq!(off.suspend(now), None);
    let on = NumberPatch { status: Some(Switch::Active), ..NumberPatch::default() };
    let refused = off.update(on, Wiring::default(), Trust::Operator, now).unwrap_err();
    assert_eq!((refused.kind, refused.field), (Kind::Conflict, Some("status")));
    let wish = NumberPatch { status: Some(Switch::Inactive), ..NumberPatch::default() };
    let wished = off.update(wish, Wiring::default(), Trust::Trusted, now).unwrap();
    assert_eq!((wished.status, wished.resume(now)), (Status::Inactive, None), "its holder wants it off");
    let back = off.resume(now).unwrap();
    assert_eq!((back.status, back.unpaid), (Status::Active, false));
    assert_eq!(back.resume(now), None);
    let released = off.release(&settings, now).unwrap();
    assert!(released.unpaid && released.resume(now).is_none());
    assert!(
        !Number { quarantined_until: Some(Timestamp::MAX), ..released }
            .restore(None, Trust::Trusted, now)
            .unwrap()
            .0
            .unpaid
    );
}

/// Switched off over the day on which its rent is due, on its way out, or given back meanwhile: on again it comes by money.
#[test]
fn what_comes_on_again_is_paid_where_unpaid_numbers_are_off() {
    let (off_rule, now) = (crate::organization::Unpaid::Deactivate, Timestamp::UNIX_EPOCH);
    let keeps = Settings::read(&Bag::new()).unwrap();
    let rule = Settings { rental_unpaid: off_rule, ..keeps.clone() };
    let buy = (NumberSetup::default(), Wiring::default());
    let (bought, _) =
        Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
    let active = bought.activate().unwrap();
    for status in [Status::Inactive, Status::PortOut, Status::Released] {
        let before = Number { status, ..active.clone() };
        assert!(active.must_be_covered(&before, &rule) && !active.must_be_covered(&before, &keeps));
        let own = Number { stock_id: None, ..active.clone() };
        assert!(!own.must_be_covered(&before, &rule), "an own trunk's has no rent");
        let unpaid = Number { unpaid: true, ..before };
        assert!(active.must_be_covered(&unpaid, &keeps), "unpaid when it was given up");
    }
    assert!(!active.must_be_covered(&active, &rule));
    let off = active.suspend(now).unwrap();
    assert!(!off.must_be_covered(&active, &rule), "off it goes without");
}

proptest! {
    /// Whatever holders do, the stock is sold exactly while the number is held, and after a sale it is never on sale
    /// again before its quarantine is over.
    #[test]
    fn no_path_skips_the_quarantine(steps in prop::collection::vec((0u8..6, 0i64..200), 1..40), days in 0u32..120) {
        let settings = Settings { quarantine_days: days, ..Settings::read(&Bag::new()).unwrap() };
        let owner = OrganizationId(uuid::Uuid::nil());
        let buy = (NumberSetup::default(), Wiring::default());
        let (bought, mut stock) = Number::buy(owner, &in_stock(), None, buy, birth(1)).unwrap();
        let mut number = bought.activate().unwrap();
        let mut now = Timestamp::UNIX_EPOCH;
        for (step, hours) in steps {
            now += jiff::SignedDuration::from_hours(hours);
            let patch = |switch| NumberPatch { status: Some(switch), ..NumberPatch::default() };
            let next = match step {
                0 => number.update(patch(Switch::Inactive), Wiring::default(), Trust::Trusted, now),
                1 => number.update(patch(Switch::Active), Wiring::default(), Trust::Trusted, now),
                2 => number.release(&settings, now),
                3 => number.restore(None, Trust::Trusted, now).map(|(number, _)| number),
                4 => number.delete(&settings, false, now),
                _ => number.replace_credentials(number.sip_credentials.clone(), now),
            };
            let Ok(next) = next else { continue };
            if number.status.is_held() && !next.status.is_held() {
                stock = next.stock_after(&stock, now);
                let rested = now + jiff::SignedDuration::from_hours(24 * i64::from(days));
                prop_assert_eq!(stock.is_available(now), days == 0);
                prop_assert!(stock.is_available(rested));
            }
            if !number.status.is_held() && next.status.is_held() {
                prop_assert!(number.quarantined_until.is_some_and(|until| now < until), "restored after its quarantine");
                stock = stock.moved(StockState::Sold(number.id), now);
            }
            prop_assert!(next.version == number.version || next.version == number.version + 1);
            number = next;
            prop_assert_eq!(matches!(stock.state, StockState::Sold(_)), number.status.is_held());
        }
    }

    /// Free settings are kept up to their limit and refused, by name, beyond it.
    #[test]
    fn free_settings_are_bounded(over in 0usize..100) {
        let buy = (NumberSetup::default(), Wiring::default());
        let (bought, _) = Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
        // {"x":"…"} takes eight bytes besides the text.
        let bag = |length: usize| Bag::from_iter([("x".to_owned(), "y".repeat(length).into())]);
        let with = |bag| NumberPatch { psa_settings: Some(bag), ..NumberPatch::default() };
        let update = |bag| bought.update(with(bag), Wiring::default(), Trust::Trusted, Timestamp::UNIX_EPOCH);
        prop_assert!(update(bag(SETTINGS_MAX - 8 - over)).is_ok());
        prop_assert_eq!(update(bag(SETTINGS_MAX - 7 + over)).unwrap_err().field, Some("psa_settings"));
    }

    /// A change that names what is there already changes nothing: the entity tag stays.
    #[test]
    fn writing_back_what_was_read_changes_nothing(inbound: bool, outbound: bool, label in "[a-z]{1,9}") {
        let buy = (NumberSetup::default(), Wiring::default());
        let (bought, _) = Number::buy(OrganizationId(uuid::Uuid::nil()), &in_stock(), None, buy, birth(1)).unwrap();
        let patch = NumberPatch {
            label: Patch::Set(label),
            allow_inbound: Some(inbound),
            allow_outbound: Some(outbound),
            ..NumberPatch::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let active = bought.activate().unwrap();
        let once = active.update(patch.clone(), Wiring::default(), Trust::Trusted, now).unwrap();
        let twice = once.update(patch, Wiring::default(), Trust::Trusted, Timestamp::MAX).unwrap();
        prop_assert_eq!(once, twice);
    }
}
