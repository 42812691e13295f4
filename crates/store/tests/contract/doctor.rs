//! What the doctor must not call ill.

use domain::claim::WAIT_MAX;
use domain::ids::IntentId;
use domain::intent::{Intent, Progress};
use domain::{Change, Micros, Posting};
use jiff::SignedDuration;

use crate::world::World;

#[tokio::test]
async fn work_in_an_own_account_may_fail_and_be_about_an_active_number() {
    let world = World::new();
    let owner = world.organization().await;
    let provider = world.provider(owner).await;
    let number = world.number(owner, &provider, 14_155_550_100).await;
    let asked = Intent::acquire(IntentId(world.uuid()), &number, None, world.now());
    world.commit(vec![Change::Intent(Box::new(asked.clone()))]).await.unwrap();
    world.check();
    let failed = asked.ended(Progress::Failed, "not now", world.now());
    world.commit(vec![Change::Intent(Box::new(failed))]).await.unwrap();
    world.check();
}

#[tokio::test]
async fn a_refund_of_a_number_whose_purchase_does_not_name_it_is_no_fault() {
    let world = World::new();
    let owner = world.organization().await;
    let stock = world.new_stock(14_155_550_100, 5);
    world.commit(vec![Change::Stock(stock.clone()), world.funding(owner, 9)]).await.unwrap();
    world.commit(world.purchase(owner, &stock)).await.unwrap();
    let (_, id) = world.store.number_holder(stock.e164).unwrap().unwrap();
    let number = world.store.number_get(owner, id).unwrap().unwrap();
    let refund = |cents| {
        let amount = Micros::from_cents(cents).unwrap();
        Posting::refund(&number, amount, "unused".to_owned(), world.now())
    };
    world.commit(vec![Change::Posting(refund(4))]).await.unwrap();
    world.check();
    // As versions wrote it in which postings named no number.
    let sql = "UPDATE postings SET number_id = NULL WHERE kind = 'purchase'";
    world.meddled(sql).check();
}

#[tokio::test]
async fn work_that_a_clock_that_was_ahead_put_off_is_due() {
    let world = World::new();
    let owner = world.organization().await;
    let provider = world.provider(owner).await;
    let number = world.number(owner, &provider, 14_155_550_100).await;
    let now = world.now();
    let ahead = now + SignedDuration::from_hours(24 * 400);
    let asked = Intent::acquire(IntentId(world.uuid()), &number, None, ahead);
    world.commit(vec![Change::Intent(Box::new(asked.clone()))]).await.unwrap();
    assert_eq!(world.store.intents_due(now, domain::ids::NodeId(uuid::Uuid::nil()), 9).unwrap(), [asked]);
    let legal = ahead - SignedDuration::from_secs(WAIT_MAX);
    assert_eq!(world.store.intents_due(legal, domain::ids::NodeId(uuid::Uuid::nil()), 9).unwrap(), []);
}
