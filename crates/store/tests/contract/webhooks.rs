//! Webhooks: deliveries are made with their events, once each, and kept in order.

use domain::call::{CallStatus, Direction, Ended, EndedBy, FactKind, Moment, Started, Unanswered};
use domain::ids::{CallId, EventId, NumberId, OrganizationId, WebhookId};
use domain::key::DialectName;
use domain::number::Status;
use domain::provider::Sealed;
use domain::webhook::{About, Answer, DETAILS_MAX, DeliveryState, WAITING_MAX, Wanted, WebhookPatch};
use domain::{Change, Commit, Delivery, Fact, Generation, Guard, Micros, Page, Webhook};
use jiff::SignedDuration;
use proptest::prelude::*;
use store::CommitError;

use crate::world::{World, block_on, e164, time};

fn new_webhook(world: &World, organization: OrganizationId, topics: &[&str]) -> Webhook {
    let names: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let new = WebhookPatch {
        url: Some("https://example.com/hook".to_owned()),
        wanted: Some(Wanted { events: names.clone(), topics: names }),
        active: None,
    };
    let id = (WebhookId(world.uuid()), Sealed(vec![3; 40]));
    Webhook::create(organization, DialectName("native".to_owned()), id, new, world.now()).unwrap()
}

async fn webhook(world: &World, organization: OrganizationId, topics: &[&str]) -> Webhook {
    let webhook = new_webhook(world, organization, topics);
    world.commit(vec![Change::Webhook(webhook.clone())]).await.unwrap();
    webhook
}

fn sent(world: &World, webhook: &Webhook) -> Vec<Delivery> {
    let page = Page::first(100_000);
    world.store.delivery_list(webhook.organization_id, webhook.id, &page).unwrap().items
}

fn names(world: &World, webhook: &Webhook) -> Vec<String> {
    sent(world, webhook).into_iter().rev().map(|delivery| delivery.happening.name).collect()
}

async fn event(world: &World, organization: OrganizationId, name: &'static str) -> domain::Event {
    let mut event = world.new_event(organization);
    event.name = name;
    world.commit(vec![Change::Event(event.clone())]).await.unwrap();
    event
}

#[tokio::test]
async fn a_webhook_is_kept_as_it_is_and_changes_by_version() {
    let world = World::new();
    let organization = world.organization().await;
    let made = webhook(&world, organization, &["number.purchased"]).await;
    assert_eq!(world.store.webhook_get(organization, made.id).unwrap().as_ref(), Some(&made));
    let other = world.organization().await;
    assert_eq!(world.store.webhook_get(other, made.id).unwrap(), None);
    let off = WebhookPatch { active: Some(false), ..WebhookPatch::default() };
    let next = made.update(off, world.now()).unwrap();
    world.commit(vec![Change::Webhook(next.clone())]).await.unwrap();
    let stale = world.commit(vec![Change::Webhook(next.clone())]).await;
    assert!(matches!(stale, Err(CommitError::Stale(domain::What::Webhook))));
    let native = DialectName("native".to_owned());
    let listed = world.store.webhook_list(organization, &native, &Page::first(9)).unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&next));
    let another = DialectName("another".to_owned());
    assert!(world.store.webhook_list(organization, &another, &Page::first(9)).unwrap().items.is_empty());
    let second = new_webhook(&world, organization, &["*"]);
    let guard = Guard::WebhooksWithin(organization, 1);
    let refused = world.guarded(vec![Change::Webhook(second.clone())], guard).await;
    assert!(matches!(refused, Err(CommitError::Guard(_))));
    world.commit(vec![Change::WebhookDelete(organization, made.id, 2)]).await.unwrap();
    assert_eq!(world.store.webhook_get(organization, made.id).unwrap(), None);
    world.guarded(vec![Change::Webhook(second)], guard).await.unwrap();
    world.check();
}

#[tokio::test]
async fn an_event_makes_a_delivery_for_each_that_wants_it_in_its_transaction() {
    let world = World::new();
    let (organization, other) = (world.organization().await, world.organization().await);
    let all = webhook(&world, organization, &["*"]).await;
    let some = webhook(&world, organization, &["number.purchased"]).await;
    let none = webhook(&world, organization, &["agent.created"]).await;
    let theirs = webhook(&world, other, &["*"]).await;
    let provider = world.provider(organization).await;
    let number = world.new_number(organization, &provider, 14_155_550_100);
    let mut told = world.new_event(organization);
    told.subject = number.id.to_string();
    // The event stands before its number: what is told is what the commit leads to.
    let changes = vec![Change::Event(told.clone()), Change::Number(Box::new(number.clone()))];
    world.commit(changes).await.unwrap();
    for webhook in [&all, &some] {
        let [one] = sent(&world, webhook).try_into().unwrap();
        assert_eq!((one.happening.id, one.happening.at, one.attempts), (told.id, told.at, 0));
        assert_eq!((one.happening.details, one.happening.actor), (told.data.clone(), told.actor.clone()));
        assert_eq!(one.state, DeliveryState::Waiting(told.at));
        let About::Number(brief) = one.happening.about else { panic!("no number") };
        assert_eq!((brief.id, brief.e164, brief.status), (number.id, number.e164, number.status));
    }
    assert!(sent(&world, &none).is_empty() && sent(&world, &theirs).is_empty());
    // A commit that is refused sends nothing.
    let refused = vec![Change::Event(world.new_event(organization)), Change::Webhook(all.clone())];
    world.commit(refused).await.unwrap_err();
    assert_eq!(sent(&world, &all).len(), 1);
    assert_eq!(world.store.delivery_oldest().unwrap(), Some(told.at));
    world.check();
}

#[tokio::test]
async fn details_that_are_too_large_are_left_out() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    for (length, kept) in [(DETAILS_MAX - 100, true), (DETAILS_MAX, false)] {
        let mut event = world.new_event(organization);
        event.data.insert("long".to_owned(), "x".repeat(length).into());
        world.commit(vec![Change::Event(event.clone())]).await.unwrap();
        let told = world.store.delivery_get(organization, webhook.id, event.id).unwrap().unwrap();
        assert_eq!(told.happening.details.is_empty(), !kept);
        assert_eq!(told.happening.subject, event.subject, "the rest is told");
    }
}

#[tokio::test]
async fn an_attempt_moves_a_delivery_on_and_only_once() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    let first = event(&world, organization, "number.purchased").await;
    let second = event(&world, organization, "number.released").await;
    let now = second.at;
    assert_eq!(world.store.webhooks_due(first.at - SignedDuration::from_secs(1), 9).unwrap(), []);
    assert_eq!(world.store.webhooks_due(now, 9).unwrap(), [(organization, webhook.id, false)]);
    let (_, next) = world.store.delivery_next(organization, webhook.id, now).unwrap().unwrap();
    assert_eq!(next.happening.id, first.id);
    let failed = next.clone().tried(Answer::Status(500, Some("broken".to_owned())), now);
    let put = |delivery: &Delivery| vec![Change::Delivery(Box::new(delivery.clone()))];
    let before = world.store.generation().unwrap();
    world.commit(put(&failed)).await.unwrap();
    assert_eq!(world.store.generation().unwrap(), before, "memory does not follow deliveries");
    assert_eq!(world.store.delivery_get(organization, webhook.id, first.id).unwrap(), Some(failed.clone()));
    assert!(matches!(world.commit(put(&failed)).await, Err(CommitError::Stale(_))), "the same attempt again");
    assert_eq!(world.store.webhooks_due(now, 9).unwrap(), [], "it rests whole");
    let (_, next) = world.store.delivery_next(organization, webhook.id, now).unwrap().unwrap();
    assert_eq!(next.happening.id, second.id, "the first rests a minute");
    world.commit(put(&next.tried(Answer::Status(200, None), now))).await.unwrap();
    assert_eq!(world.store.delivery_next(organization, webhook.id, now).unwrap(), None);
    assert_eq!(world.store.webhooks_due(now, 9).unwrap(), []);
    let later = now + SignedDuration::from_mins(1);
    assert_eq!(world.store.webhooks_due(later, 9).unwrap(), [(organization, webhook.id, false)]);
    // Whoever asks for it again begins from the start; an attempt that was under way no longer counts.
    world.commit(put(&failed.clone().again(now))).await.unwrap();
    let late = failed.tried(Answer::Status(200, None), later);
    assert!(matches!(world.commit(put(&late)).await, Err(CommitError::Stale(_))));
    let world = world.reopened();
    let again = world.store.delivery_get(organization, webhook.id, first.id).unwrap().unwrap();
    assert_eq!((again.attempts, again.state), (0, DeliveryState::Waiting(now)));
    world.check();
}

#[tokio::test]
async fn a_webhook_rests_after_a_failure_until_it_is_changed_or_asked_for() {
    let world = World::new();
    let organization = world.organization().await;
    let (bad, good) =
        (webhook(&world, organization, &["*"]).await, webhook(&world, organization, &["*"]).await);
    let first = event(&world, organization, "number.purchased").await;
    let fails = |now| {
        let (_, next) = world.store.delivery_next(organization, bad.id, now).unwrap().unwrap();
        vec![Change::Delivery(Box::new(next.tried(Answer::Failure("no answer".to_owned()), now)))]
    };
    let due = |at| world.store.webhooks_due(at, 9).unwrap();
    world.commit(fails(first.at)).await.unwrap();
    let now = event(&world, organization, "number.released").await.at;
    assert_eq!(due(now), [(organization, good.id, false)], "what comes later waits too");
    world.check();
    let over = first.at + SignedDuration::from_mins(1);
    assert_eq!(due(over), [(organization, good.id, false), (organization, bad.id, true)]);
    // Its own schedule is the delivery's: the later one is tried first.
    world.commit(fails(over)).await.unwrap();
    assert_eq!(due(over).len(), 1);
    let url = WebhookPatch { url: Some("https://example.com/other".to_owned()), ..WebhookPatch::default() };
    world.commit(vec![Change::Webhook(bad.update(url, over).unwrap())]).await.unwrap();
    assert!(due(over).contains(&(organization, bad.id, false)), "another address is tried at once");
    world.commit(fails(over)).await.unwrap();
    assert_eq!(due(over).len(), 1);
    let one = world.store.delivery_get(organization, bad.id, first.id).unwrap().unwrap();
    world.commit(vec![Change::Delivery(Box::new(one.again(over)))]).await.unwrap();
    assert!(due(over).contains(&(organization, bad.id, false)), "asked for, it goes at once");
    world.check();
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_wrote_is_due() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    let told = event(&world, organization, "number.purchased").await;
    let next = world.store.delivery_next(organization, webhook.id, told.at).unwrap().unwrap().1;
    let ahead = told.at + SignedDuration::from_hours(24 * 400);
    world
        .commit(vec![Change::Delivery(Box::new(next.tried(Answer::Status(500, None), ahead)))])
        .await
        .unwrap();
    assert_eq!(world.store.webhooks_due(told.at, 9).unwrap(), [(organization, webhook.id, true)]);
    let (_, next) = world.store.delivery_next(organization, webhook.id, told.at).unwrap().unwrap();
    assert_eq!((next.happening.id, next.attempts), (told.id, 1));
    // What waits by the schedule does.
    let legal = ahead - SignedDuration::from_hours(1);
    assert_eq!(world.store.webhooks_due(legal, 9).unwrap(), []);
    assert!(world.store.delivery_next(organization, webhook.id, legal).unwrap().is_none());
}

#[tokio::test]
async fn a_number_that_was_released_and_then_deleted_is_given_up_once() {
    let world = World::new();
    let organization = world.organization().await;
    let topics = ["number.released", "number.deleted:deleted"];
    let (some, all) =
        (webhook(&world, organization, &topics).await, webhook(&world, organization, &["*"]).await);
    let provider = world.provider(organization).await;
    let leaves = async |e164, steps: &[(&'static str, Status)]| {
        let mut number = world.new_number(organization, &provider, e164);
        world.commit(vec![Change::Number(Box::new(number.clone()))]).await.unwrap();
        for (name, status) in steps {
            let mut told = world.new_event(organization);
            (told.name, told.subject) = (name, number.id.to_string());
            number.released_at = Some(number.released_at.unwrap_or(told.at));
            (number.status, number.version) = (*status, number.version + 1);
            world.commit(vec![Change::Number(Box::new(number.clone())), Change::Event(told)]).await.unwrap();
        }
    };
    leaves(14_155_550_100, &[("number.released", Status::Released), ("number.deleted", Status::Deleted)])
        .await;
    assert_eq!(names(&world, &some), ["number.released"]);
    leaves(14_155_550_101, &[("number.deleted", Status::Deleted)]).await;
    assert_eq!(names(&world, &some), ["number.released", "number.deleted"]);
    assert_eq!(names(&world, &all).len(), 3);
    world.check();
}

#[tokio::test]
async fn a_webhook_that_is_switched_off_rests_and_misses_what_happens() {
    let world = World::new();
    let organization = world.organization().await;
    let on = webhook(&world, organization, &["*"]).await;
    let waiting = event(&world, organization, "number.purchased").await;
    let set = |active| WebhookPatch { active: Some(active), ..WebhookPatch::default() };
    let off = on.update(set(false), world.now()).unwrap();
    world.commit(vec![Change::Webhook(off.clone())]).await.unwrap();
    let now = event(&world, organization, "number.released").await.at;
    assert_eq!(world.store.webhooks_due(now, 9).unwrap(), []);
    assert_eq!(world.store.delivery_next(organization, on.id, now).unwrap(), None);
    let on = off.update(set(true), world.now()).unwrap();
    world.commit(vec![Change::Webhook(on.clone())]).await.unwrap();
    assert_eq!(world.store.webhooks_due(now, 9).unwrap(), [(organization, on.id, false)]);
    let (_, next) = world.store.delivery_next(organization, on.id, now).unwrap().unwrap();
    assert_eq!((next.happening.id, sent(&world, &on).len()), (waiting.id, 1));
    world.check();
}

#[tokio::test]
async fn the_oldest_makes_room_when_too_many_wait() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    let events: Vec<domain::Event> = (0..WAITING_MAX + 2).map(|_| world.new_event(organization)).collect();
    let changes = events.iter().cloned().map(Change::Event).collect();
    world.commit(changes).await.unwrap();
    let of = |id: EventId| world.store.delivery_get(organization, webhook.id, id).unwrap().unwrap();
    for event in &events[..2] {
        let gone = of(event.id);
        assert!(matches!(gone.state, DeliveryState::GivenUp(_)), "{:?}", gone.state);
        assert!(matches!(gone.last.unwrap().answer, Answer::Failure(words) if words.contains("10000")));
    }
    assert!(matches!(of(events[2].id).state, DeliveryState::Waiting(_)));
    assert!(matches!(of(events.last().unwrap().id).state, DeliveryState::Waiting(_)));
    world.check();
}

#[tokio::test]
async fn old_deliveries_and_those_of_removed_webhooks_go_a_few_at_a_time() {
    let world = World::new();
    let organization = world.organization().await;
    let stays = webhook(&world, organization, &["*"]).await;
    let goes = webhook(&world, organization, &["*"]).await;
    let mut last = None;
    for _ in 0..5 {
        last = Some(event(&world, organization, "number.purchased").await);
    }
    let last = last.unwrap();
    assert!(!world.store.deliveries_prunable(time(0)).unwrap());
    world.commit(vec![Change::WebhookDelete(organization, goes.id, 1)]).await.unwrap();
    assert_eq!(world.store.webhooks_due(last.at, 9).unwrap(), [(organization, stays.id, false)]);
    assert!(world.store.deliveries_prunable(time(0)).unwrap());
    let mut turns = 0;
    while world.store.deliveries_prunable(last.at).unwrap() {
        world.commit(vec![Change::DeliveriesPrune(last.at, 3)]).await.unwrap();
        turns += 1;
        world.check();
    }
    // Four old ones of the one that stays, five of the one that goes, three at a time: a row may be found as both.
    assert!((3..=4).contains(&turns), "{turns}");
    assert_eq!(sent(&world, &stays).iter().map(|d| d.happening.id).collect::<Vec<_>>(), [last.id]);
    assert!(sent(&world, &goes).is_empty());
}

// --- Calls -------------------------------------------------------------------------------------------------------------------

fn fact(organization_id: OrganizationId, call_id: CallId, second: i64, kind: FactKind) -> Fact {
    let monotonic_us = u64::try_from(second).unwrap() * 1_000_000;
    Fact { organization_id, call_id, at: Moment { wall: time(second), process: 7, monotonic_us }, kind }
}

fn started(number_id: Option<NumberId>) -> FactKind {
    FactKind::Started(Box::new(Started {
        direction: Direction::Inbound,
        number_id,
        number: Some(e164(14_155_550_100)),
        from: "+442071838750".to_owned(),
        to: "+14155550100".to_owned(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(3),
        price: domain::Price::by_minute(Micros(600)),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: "abc@192.0.2.1".to_owned(),
    }))
}

fn ended(by: EndedBy) -> FactKind {
    FactKind::Ended(Ended { by, reason: None })
}

fn unanswered(status: CallStatus) -> FactKind {
    FactKind::Unanswered(Unanswered { sip_status: 486, status, reason: "said so".to_owned(), by: None })
}

/// All that can be told of one call, the reaper's guess included, and how it can have ended.
fn facts(organization: OrganizationId, call: CallId, number: NumberId, answered: bool) -> Vec<Fact> {
    let mut kinds = vec![(0, started(Some(number)))];
    if answered {
        kinds.push((4, FactKind::Answered(None)));
        kinds.push((4, ended(EndedBy::Reaper)));
        kinds.push((65, ended(EndedBy::Callee)));
    } else {
        kinds.push((9, unanswered(CallStatus::Busy)));
    }
    kinds.into_iter().map(|(second, kind)| fact(organization, call, second, kind)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_call_is_told_to_begin_and_to_end_once(
        answered in any::<bool>(),
        order in Just((0..4usize).chain(0..4).collect::<Vec<_>>()).prop_shuffle(),
        batch in 1usize..5,
        reopened in 0usize..8,
    ) {
        block_on(async {
            let mut world = World::new();
            let organization = world.organization().await;
            let webhook = webhook(&world, organization, &["*"]).await;
            let (call, number) = (world.call_id(), NumberId(world.uuid()));
            let facts = facts(organization, call, number, answered);
            for (turn, part) in order.chunks(batch).enumerate() {
                let part = part.iter().filter_map(|n| facts.get(*n).cloned()).collect();
                world.store.facts_append(part).await.unwrap();
                if turn == reopened {
                    world = world.reopened();
                }
            }
            let told = sent(&world, &webhook);
            let of = |name: &str| told.iter().filter(|d| d.happening.name == name).count();
            // The audit log has other events (money that ran low); of the call there are these two.
            let calls: Vec<_> = told.iter().filter(|d| d.happening.name.starts_with("call.")).collect();
            assert_eq!((calls.len(), of("call.started")), (2, 1), "{:?}", names(&world, &webhook));
            let [start, end] = ["call.started", ""].map(|name| {
                let is = |d: &&&Delivery| (d.happening.name == "call.started") == (name == "call.started");
                calls.iter().find(is).copied().unwrap().happening.clone()
            });
            let About::Call(begun) = start.about else { panic!("no call") };
            assert_eq!((begun.status, begun.from.as_str(), begun.number_id), (CallStatus::Ringing, "+442071838750", Some(number)));
            let About::Call(over) = end.about else { panic!("no call") };
            assert!(over.status.is_final() && over.dialog.is_none() && over.number_id == Some(number));
            assert_ne!(start.id, end.id);
            let world = world.reopened();
            world.store.facts_append(facts).await.unwrap();
            assert_eq!(sent(&world, &webhook).len(), told.len());
            world.check();
        });
    }
}

#[tokio::test]
async fn a_call_that_reached_no_number_is_told_to_nobody() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    for owner in [organization, OrganizationId::NONE, OrganizationId(world.uuid())] {
        let call = world.call_id();
        let refused = fact(owner, call, 1, unanswered(CallStatus::Refused));
        world.store.facts_append(vec![fact(owner, call, 1, started(None)), refused]).await.unwrap();
    }
    assert_eq!(names(&world, &webhook), Vec::<String>::new());
    // One that reached a number and was refused is told, as any other.
    let call = world.call_id();
    let refused = fact(organization, call, 1, unanswered(CallStatus::Refused));
    let begun = fact(organization, call, 1, started(Some(NumberId(world.uuid()))));
    world.store.facts_append(vec![refused, begun]).await.unwrap();
    let mut told = names(&world, &webhook);
    told.sort_unstable();
    assert_eq!(told, ["call.refused", "call.started"]);
    // Both are of one moment; the beginning is told first.
    let (_, first) = world.store.delivery_next(organization, webhook.id, time(2)).unwrap().unwrap();
    assert_eq!(first.happening.name, "call.started");
}

#[tokio::test]
async fn a_webhook_made_during_a_call_hears_of_its_end_alone() {
    let world = World::new();
    let organization = world.organization().await;
    let (call, number) = (world.call_id(), NumberId(world.uuid()));
    let all = facts(organization, call, number, true);
    world.store.facts_append(all[..2].to_vec()).await.unwrap();
    let webhook = webhook(&world, organization, &["*"]).await;
    world.store.facts_append(all).await.unwrap();
    assert_eq!(names(&world, &webhook), ["call.completed"]);
}

#[tokio::test]
async fn what_is_private_goes_from_what_was_told_of_a_call() {
    let world = World::new();
    let organization = world.organization().await;
    let webhook = webhook(&world, organization, &["*"]).await;
    for redact in [true, false] {
        let (call, number) = (world.call_id(), NumberId(world.uuid()));
        world.store.facts_append(facts(organization, call, number, true)).await.unwrap();
        let change = if redact {
            Change::CallRedact(organization, call, world.now())
        } else {
            Change::CallDelete(organization, call)
        };
        world.store.commit(Commit { changes: vec![change], ..Commit::default() }).await.unwrap();
        let mut seen = 0;
        for delivery in sent(&world, &webhook) {
            let About::Call(told) = delivery.happening.about else { continue };
            assert_eq!((told.from.as_str(), told.to.as_str()), ("", ""));
            seen += usize::from(told.id == call);
        }
        assert_eq!(seen, 2);
    }
}
