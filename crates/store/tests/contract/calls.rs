//! Calls: facts in any order and repeated give one row, one event, minutes and money once.

use domain::call::{
    Attempt, CallQuery, CallStatus, DialogParts, Direction, Ended, EndedBy, FactKind, Moment, Note, Started,
    Unanswered,
};
use domain::ids::{CallId, NumberId, OrganizationId};
use domain::key::KeyUse;
use domain::{Call, Change, Fact, Generation, Micros, Page};
use proptest::prelude::*;
use store::{fact_decode, fact_encode};

use crate::world::{World, block_on, e164, time};

fn fact(organization_id: OrganizationId, call_id: CallId, second: i64, kind: FactKind) -> Fact {
    let monotonic_us = u64::try_from(second).unwrap() * 1_000_000;
    Fact { organization_id, call_id, at: Moment { wall: time(second), process: 7, monotonic_us }, kind }
}

fn started(number: Option<NumberId>, rate: Micros) -> FactKind {
    FactKind::Started(Box::new(Started {
        direction: Direction::Inbound,
        number_id: number,
        number: Some(e164(14_155_550_100)),
        from: "\"Zoë\r\n\" <sip:+442071838750@example>".to_owned(),
        to: "+14155550100".to_owned(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(3),
        price: domain::Price::by_minute(rate),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: "abc@192.0.2.1".to_owned(),
    }))
}

fn attempt(n: u16) -> FactKind {
    let (target, cause) = ("sip:192.0.2.1".to_owned(), "no_response".to_owned());
    FactKind::Attempt(Attempt {
        n,
        target,
        sip_status: (n > 0).then_some(200),
        cause,
        started_at: time(1),
        ended_at: time(3),
        hop: None,
        ringing_at: None,
        reason: None,
    })
}

fn answered() -> FactKind {
    let parts = DialogParts {
        call_id: "abc".to_owned(),
        caller_routes: vec!["<sip:a;lr>".to_owned()],
        cseq: 2,
        ..DialogParts::default()
    };
    FactKind::Answered(Some(Box::new(parts)))
}

fn ended() -> FactKind {
    FactKind::Ended(Ended { by: EndedBy::Callee, reason: Some("Q.850;cause=16".to_owned()) })
}

fn unanswered() -> FactKind {
    FactKind::Unanswered(Unanswered {
        sip_status: 486,
        status: CallStatus::Busy,
        reason: "busy".to_owned(),
        by: None,
    })
}

/// Its session is known by the last renewal, whichever way the facts come; there is one fact for all of them.
#[test]
fn a_call_keeps_the_last_renewal_of_its_session() {
    let world = World::new();
    let organization = world.new_organization().id;
    let renewals = [(10, Some(90)), (100, None), (1000, Some(1800))];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let call = world.call_id();
        let append = |fact| block_on(world.store.facts_append(vec![fact])).unwrap();
        append(fact(organization, call, 4, answered()));
        for at in order {
            let (second, seconds) = renewals[at];
            append(fact(organization, call, second, FactKind::Refreshed(seconds)));
        }
        let kept = world.store.call_get(organization, call).unwrap().unwrap();
        assert_eq!(kept.dialog.unwrap().session_expires, Some(1800), "{order:?}");
        let open = world.store.calls_open(10).unwrap();
        let last = open.iter().find(|open| open.call.id == call).unwrap().last;
        assert_eq!(last.wall, time(1000), "a renewal is a proof of life");
        let again = append(fact(organization, call, 100, FactKind::Refreshed(None)));
        assert_eq!(again.inserted, 0, "a repeat changes nothing");
    }
}

/// A call of 61 seconds at 600 micro-units a minute.
pub(crate) fn whole(organization: OrganizationId, call: CallId, number: NumberId) -> Vec<Fact> {
    let kinds = [
        (0, started(Some(number), Micros(600))),
        (3, attempt(0)),
        (3, attempt(1)),
        (4, answered()),
        (65, ended()),
    ];
    kinds.into_iter().map(|(second, kind)| fact(organization, call, second, kind)).collect()
}

fn month() -> domain::Timestamp {
    "2026-09-01T00:00:00Z".parse().unwrap()
}

fn minutes(world: &World, organization: OrganizationId, number: NumberId) -> u64 {
    world.store.minutes(organization, &[number], month()).unwrap()[0].1
}

fn events(world: &World, organization: OrganizationId) -> Vec<&'static str> {
    world.store.event_list(organization, &Page::first(99)).unwrap().items.iter().map(|e| e.name).collect()
}

#[test]
fn facts_survive_their_codec() {
    let (organization, call) = (OrganizationId::NONE, CallId(uuid::Uuid::max()));
    let mut facts = whole(organization, call, NumberId(uuid::Uuid::max()));
    facts.push(fact(organization, call, 5, FactKind::Answered(None)));
    facts.push(fact(organization, call, 5, unanswered()));
    for fact in facts {
        let mut bytes = Vec::new();
        fact_encode(&fact, &mut bytes);
        assert_eq!(fact_decode(&bytes), Some(fact));
        assert_eq!(fact_decode(&bytes[..bytes.len() - 1]), None);
    }
    assert_eq!(fact_decode(b""), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn facts_in_any_order_and_repeated_give_one_call(
        order in Just((0..5usize).chain(0..5).collect::<Vec<_>>()).prop_shuffle(), batch in 1usize..6,
    ) {
        block_on(async {
            let world = World::new();
            let organization = world.organization().await;
            let (call, number) = (world.call_id(), NumberId(world.uuid()));
            let facts = whole(organization, call, number);
            let (mut settled, mut inserted) = (0, 0);
            for part in order.chunks(batch) {
                let part = part.iter().map(|n| facts[*n].clone()).collect();
                let appended = world.store.facts_append(part).await.unwrap();
                settled += appended.settled;
                inserted += appended.inserted;
            }
            assert_eq!((settled, inserted), (1, 5));
            let stored = world.store.call_get(organization, call).unwrap().unwrap();
            assert_eq!(Some(&stored), Call::fold(&facts).as_ref());
            assert_eq!((stored.status, stored.duration_seconds, stored.cost), (CallStatus::Completed, 61, Micros(610)));
            assert_eq!(minutes(&world, organization, number), 2);
            assert_eq!(world.store.balance(organization).unwrap(), Micros(-610));
            assert_eq!(events(&world, organization).len(), 1);
            let world = world.reopened();
            assert_eq!(world.store.facts_append(facts).await.unwrap(), store::Appended::default());
            assert_eq!(world.store.call_get(organization, call).unwrap(), Some(stored));
            world.check();
        });
    }
}

#[tokio::test]
async fn a_late_answer_is_billed_once_and_the_event_stays_one() {
    let world = World::new();
    let organization = world.organization().await;
    let (call, number) = (world.call_id(), NumberId(world.uuid()));
    let facts = whole(organization, call, number);
    let before = world.store.generation().unwrap();
    let early: Vec<Fact> =
        facts.iter().filter(|f| !matches!(f.kind, FactKind::Answered(_))).cloned().collect();
    let appended = world.store.facts_append(early).await.unwrap();
    assert_eq!(
        (appended.settled, appended.unproven),
        (0, 0),
        "its answer may be on its way from another node"
    );
    let waits = world.store.call_get(organization, call).unwrap().unwrap();
    assert_eq!((waits.status, waits.answered_at), (CallStatus::Answered, None));
    assert_eq!(events(&world, organization), [""; 0]);
    let given_up = fact(organization, call, 700, FactKind::Note(Note::Unproven));
    let appended = world.store.facts_append(vec![given_up]).await.unwrap();
    assert_eq!((appended.settled, appended.unproven), (1, 1));
    assert_eq!(world.store.call_get(organization, call).unwrap().unwrap().status, CallStatus::Failed);
    assert_eq!(
        (minutes(&world, organization, number), world.store.balance(organization).unwrap()),
        (0, Micros::ZERO)
    );
    let appended = world.store.facts_append(facts).await.unwrap();
    assert_eq!((appended.inserted, appended.settled), (1, 0));
    // Money moved, so memory is told.
    assert!(appended.generation > Some(before.1));
    let told = world.store.changes_since(before.1, 100).unwrap();
    assert_eq!(told.items, [store::Changed::Balance(organization, Micros(-610))]);
    assert_eq!(world.store.call_get(organization, call).unwrap().unwrap().status, CallStatus::Completed);
    assert_eq!(
        (minutes(&world, organization, number), world.store.balance(organization).unwrap()),
        (2, Micros(-610))
    );
    assert_eq!(events(&world, organization), ["call.failed"]);
    world.check();
}

#[tokio::test]
async fn calls_of_nobody_are_kept_and_cost_nothing() {
    let world = World::new();
    let unknown = OrganizationId(world.uuid());
    for organization in [OrganizationId::NONE, unknown] {
        let call = world.call_id();
        world.store.facts_append(whole(organization, call, NumberId(world.uuid()))).await.unwrap();
        assert!(world.store.call_get(organization, call).unwrap().is_some());
        assert_eq!(world.store.balance(organization).unwrap(), Micros::ZERO);
    }
    world.check();
}

#[tokio::test]
async fn what_another_process_writes_is_told_once_and_what_this_one_writes_is_not() {
    let world = World::new();
    let organization = world.organization().await;
    let other = world.beside();
    // How the file was made is of no interest.
    world.store.written_elsewhere().await;
    let (one, two) = (world.call_id(), world.call_id());
    let start = |call, second| vec![fact(organization, call, second, started(None, Micros::ZERO))];
    world.store.facts_append(start(one, 5)).await.unwrap();
    assert!(!world.store.written_elsewhere().await);
    other.facts_append(start(two, 9)).await.unwrap();
    assert!(world.store.written_elsewhere().await);
    assert!(!world.store.written_elsewhere().await, "it was told");
    other.facts_append(start(two, 9)).await.unwrap();
    world.store.facts_append(start(one, 5)).await.unwrap();
    other.facts_append(vec![fact(organization, two, 10, answered())]).await.unwrap();
    world.store.facts_append(vec![fact(organization, one, 10, answered())]).await.unwrap();
    assert!(world.store.written_elsewhere().await, "own writes hide nothing");
    // Among writes that wait for the writer, which takes them together.
    for round in 0..20_u32 {
        let at = 11 + i64::from(round);
        other
            .facts_append(vec![fact(organization, two, at, FactKind::Refreshed(Some(round)))])
            .await
            .unwrap();
        let own = || world.store.facts_append(start(one, 5));
        let (.., told) = tokio::join!(own(), own(), own(), own(), world.store.written_elsewhere());
        assert!(told, "{round}");
    }
    let young = world.store.calls_open_since(time(6), 9).unwrap();
    assert_eq!(young.iter().map(|open| open.call.id).collect::<Vec<_>>(), [two]);
}

#[tokio::test]
async fn open_calls_are_known_until_they_end() {
    let world = World::new();
    let organization = world.organization().await;
    let (one, two) = (world.call_id(), world.call_id());
    let start = |call, second| fact(organization, call, second, started(None, Micros::ZERO));
    world
        .store
        .facts_append(vec![start(two, 9), start(one, 5), fact(organization, one, 6, answered())])
        .await
        .unwrap();
    let open = world.store.calls_open(9).unwrap();
    assert_eq!(
        open.iter().map(|o| (o.call.id, o.last.wall)).collect::<Vec<_>>(),
        [(one, time(6)), (two, time(9))]
    );
    assert_eq!(open[0].call.dialog.as_ref().unwrap().cseq, 2);
    assert_eq!(world.store.calls_in_progress_count(organization).unwrap(), 2);
    world.store.facts_append(vec![fact(organization, two, 12, unanswered())]).await.unwrap();
    assert_eq!(world.store.calls_open(9).unwrap().len(), 1);
    // An answer that is heard of after all opens it again.
    world.store.facts_append(vec![fact(organization, two, 12, answered())]).await.unwrap();
    assert_eq!(world.store.calls_in_progress_count(organization).unwrap(), 2);
    world.store.facts_append(vec![fact(organization, two, 20, ended())]).await.unwrap();
    assert_eq!(events(&world, organization), ["call.busy"]);
    let of = |query: CallQuery| {
        world.store.call_list(organization, &query, &Page::first(9)).unwrap().map(|c| c.id).items
    };
    assert_eq!(of(CallQuery::default()), [two, one]);
    assert_eq!(of(CallQuery { status: Some(CallStatus::Answered), ..CallQuery::default() }), [one]);
    assert_eq!(of(CallQuery { status: Some(CallStatus::Completed), ..CallQuery::default() }), [two]);
    assert_eq!(of(CallQuery { status: Some(CallStatus::Busy), ..CallQuery::default() }), []);
    assert_eq!(of(CallQuery { number: Some(e164(14_155_550_100)), ..CallQuery::default() }), [two, one]);
    assert_eq!(of(CallQuery { direction: Some(Direction::Outbound), ..CallQuery::default() }), []);
    world.check();
}

#[tokio::test]
async fn a_removed_call_stays_removed_and_keeps_what_it_counted() {
    let world = World::new();
    let organization = world.organization().await;
    let (call, number) = (world.call_id(), NumberId(world.uuid()));
    let facts = whole(organization, call, number);
    let delete =
        || domain::Commit { changes: vec![Change::CallDelete(organization, call)], ..Default::default() };
    world.store.facts_append(facts[..2].to_vec()).await.unwrap();
    // While it is written it cannot go: its minutes would go with it.
    assert!(world.store.commit(delete()).await.is_err());
    world.store.facts_append(facts.clone()).await.unwrap();
    let counted = || (minutes(&world, organization, number), world.store.balance(organization).unwrap());
    assert_eq!(counted(), (2, Micros(-610)));
    world.store.commit(delete()).await.unwrap();
    // A journal that is read again brings nothing back, and nothing is charged twice.
    assert_eq!(world.store.facts_append(facts).await.unwrap().inserted, 0);
    assert_eq!(world.store.call_get(organization, call).unwrap(), None);
    assert_eq!(world.store.call_count(organization, &CallQuery::default()).unwrap(), 0);
    assert_eq!(counted(), (2, Micros(-610)));
    assert!(world.store.commit(delete()).await.is_err());
    world.check();
}

#[tokio::test]
async fn calls_are_counted_by_state_and_by_day() {
    let world = World::new();
    let organization = world.organization().await;
    let number = NumberId(world.uuid());
    for _ in 0..2 {
        world.store.facts_append(whole(organization, world.call_id(), number)).await.unwrap();
    }
    let query = CallQuery {
        any_of: Some(vec![CallStatus::Completed]),
        number_id: Some(number),
        ..CallQuery::default()
    };
    assert_eq!(world.store.call_count(organization, &query).unwrap(), 2);
    let [count] = world.store.call_stats(organization, &query).unwrap()[..] else { panic!("not one state") };
    assert_eq!((count.status, count.calls, count.seconds), (CallStatus::Completed, 2, 122));
    let [day] = world.store.call_days(organization, &query).unwrap()[..] else { panic!("not one day") };
    assert_eq!(day.calls, 2);
    let later = CallQuery { from: Some("2030-01-01T00:00:00Z".parse().unwrap()), ..query.clone() };
    assert_eq!(world.store.call_count(organization, &later).unwrap(), 0);
    let nothing = CallQuery { any_of: Some(Vec::new()), ..query };
    assert_eq!(world.store.call_count(organization, &nothing).unwrap(), 0);
}

#[tokio::test]
async fn uses_of_a_key_add_up_by_the_hour() {
    let world = World::new();
    let (organization_id, key_id) = (world.organization().await, domain::ids::KeyId(world.uuid()));
    let before = world.store.generation().unwrap();
    for (hour, requests) in [(10, 3), (10, 4), (730, 1)] {
        let used = KeyUse { organization_id, key_id, hour, requests, last_at: time(hour) };
        let changes = vec![Change::KeyUse(used)];
        world.store.commit(domain::Commit { changes, ..Default::default() }).await.unwrap();
        let stored = world.store.key_usage(organization_id, key_id).unwrap();
        assert_eq!(stored.last().map(|used| used.hour), Some(hour));
    }
    // The first hour is older than thirty days by now, and no memory was told.
    let stored = world.store.key_usage(organization_id, key_id).unwrap();
    assert_eq!(stored.iter().map(|used| (used.hour, used.requests)).collect::<Vec<_>>(), [(730, 1)]);
    assert_eq!(world.store.generation().unwrap(), before);
}
