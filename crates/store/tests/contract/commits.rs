//! One commit: whole or not at all, under expected versions, durable when answered.

use domain::change::KeptAnswer;
use domain::endpoint::EndpointPatch;
use domain::number::{NumberPatch, Status, Trust, Wiring};
use domain::organization::Settings;
use domain::{Bag, Change, Commit, Guard, Patch, What};
use store::CommitError;

use crate::world::{World, e164, time};

#[tokio::test]
async fn every_thing_comes_back_as_it_was_written() {
    let world = World::new();
    let organization = world.new_organization();
    let (id, store) = (organization.id, &world.store);
    let agent = world.new_agent(id, "Front desk");
    let mut endpoint = world.new_endpoint(id, Some(&agent));
    endpoint.is_default = true;
    let (provider, operators) = (world.new_provider(Some(id)), world.new_provider(None));
    let (key, stock, event) = (world.new_key(id), world.new_stock(14_155_550_100, 5), world.new_event(id));
    let mut number = world.new_number(id, &provider, 14_155_550_101);
    number.endpoint_id = Some(endpoint.id);
    number.agent_id = Some(agent.id.clone());
    let changes = vec![
        Change::Organization(organization.clone()),
        Change::Agent(agent.clone()),
        Change::Endpoint(endpoint.clone()),
        Change::Provider(provider.clone()),
        Change::Provider(operators.clone()),
        Change::Key(key.clone()),
        Change::Stock(stock.clone()),
        Change::Number(Box::new(number.clone())),
        Change::Event(event.clone()),
    ];
    world.commit(changes).await.unwrap();
    number.alias = 1;
    assert_eq!(store.organization_get(id).unwrap(), Some(organization));
    assert_eq!(store.agent_get(id, &agent.id).unwrap(), Some(agent.clone()));
    assert_eq!(
        store.agent_names(id, std::slice::from_ref(&agent.id)).unwrap(),
        [(agent.id.clone(), agent.name.clone())]
    );
    assert!(store.agent_has_endpoints(id, &agent.id).unwrap());
    assert_eq!(store.endpoint_get(id, endpoint.id).unwrap(), Some(endpoint.clone()));
    assert_eq!(store.endpoint_default(id, &agent.id, endpoint.environment).unwrap(), Some(endpoint.clone()));
    assert_eq!(store.provider_get(provider.id).unwrap(), Some(provider.clone()));
    assert_eq!(store.provider_visible(id, operators.id).unwrap(), Some(operators));
    assert_eq!(store.key_find(&key.hash).unwrap(), Some(key.clone()));
    assert_eq!(store.key_get(id, key.id).unwrap(), Some(key.clone()));
    let replaced = domain::Key { replaced_at: Some(time(7)), version: key.version + 1, ..key };
    world.commit(vec![Change::Key(replaced.clone())]).await.unwrap();
    assert_eq!(store.key_get(id, replaced.id).unwrap(), Some(replaced));
    assert_eq!(store.stock_find(stock.e164).unwrap(), Some(stock.clone()));
    assert_eq!(store.stock_get(stock.id).unwrap(), Some(stock));
    assert_eq!(store.number_find(id, number.e164).unwrap(), Some(number.clone()));
    let shown = store.number_shown(id, number.id).unwrap().unwrap();
    assert_eq!(shown.number, number);
    assert_eq!(
        shown.agent.map(|a| (a.id, a.name)),
        number.agent_id.is_some().then(|| (agent.id.clone(), agent.name.clone()))
    );
    assert_eq!(
        shown.provider.map(|p| (p.id, p.kind, p.label)),
        Some((provider.id, provider.kind, provider.label.clone()))
    );
    assert_eq!(store.numbers_on_endpoint(id, endpoint.id, None, 9).unwrap(), [number.clone()]);
    assert!(store.numbers_on_endpoint(id, endpoint.id, Some(number.id), 9).unwrap().is_empty());
    assert_eq!(store.event_list(id, &domain::Page::first(9)).unwrap().items, [event]);
    // Another tenant finds nothing of it.
    let other = world.organization().await;
    assert_eq!(store.number_get(other, number.id).unwrap(), None);
    assert_eq!(store.number_shown(other, number.id).unwrap(), None);
    assert_eq!(store.number_find(other, number.e164).unwrap(), None);
    assert_eq!(store.endpoint_get(other, endpoint.id).unwrap(), None);
    assert_eq!(store.provider_visible(other, provider.id).unwrap(), None);
    assert_eq!(store.agent_get(other, &agent.id).unwrap(), None);
    world.check();
}

#[tokio::test]
async fn a_stale_version_is_refused_and_nothing_of_its_commit_stays() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let number = world.number(id, &provider, 14_155_550_100).await;
    let patch = NumberPatch { allow_outbound: Some(true), ..NumberPatch::default() };
    let next = number.update(patch, Wiring::default(), Trust::Trusted, world.now()).unwrap();
    let before = world.store.generation().unwrap();
    let put = |number: &domain::Number| Change::Number(Box::new(number.clone()));
    let generation = world.commit(vec![put(&next)]).await.unwrap();
    assert_eq!(generation.0, before.1.0 + 1);
    let agent = world.new_agent(id, "Never seen");
    let refused = world.commit(vec![Change::Agent(agent.clone()), put(&next)]).await;
    assert!(matches!(refused, Err(CommitError::Stale(What::Number))), "{refused:?}");
    assert_eq!(world.store.agent_get(id, &agent.id).unwrap(), None);
    assert_eq!(world.store.generation().unwrap().1, generation);
    assert_eq!(world.store.number_get(id, number.id).unwrap(), Some(next));
    world.check();
}

#[tokio::test]
async fn what_is_there_already_exists() {
    let world = World::new();
    let (id, other) = (world.organization().await, world.organization().await);
    let (mine, theirs) = (world.provider(id).await, world.provider(other).await);
    let number = world.number(id, &mine, 14_155_550_100).await;
    let second = world.new_number(other, &theirs, 14_155_550_100);
    let refused = world.commit(vec![Change::Number(Box::new(second.clone()))]).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Number))), "{refused:?}");
    let key = world.new_key(id);
    world.commit(vec![Change::Key(key.clone())]).await.unwrap();
    let same_hash = domain::Key { id: domain::ids::KeyId(world.uuid()), ..key };
    assert!(matches!(world.commit(vec![Change::Key(same_hash)]).await, Err(CommitError::Exists(What::Key))));
    let stock = world.new_stock(14_155_550_102, 1);
    world.commit(vec![Change::Stock(stock.clone())]).await.unwrap();
    let again = world.new_stock(14_155_550_102, 1);
    assert!(matches!(world.commit(vec![Change::Stock(again)]).await, Err(CommitError::Exists(What::Stock))));
    let money = world.funding(id, 5);
    world.commit(vec![money.clone()]).await.unwrap();
    assert!(matches!(world.commit(vec![money]).await, Err(CommitError::Exists(What::Ledger))));
    let agent = world.agent(id, "Chosen").await;
    assert!(matches!(
        world.commit(vec![Change::Agent(agent.clone())]).await,
        Err(CommitError::Exists(What::Agent))
    ));
    // Another tenant may choose the same agent's id.
    world.commit(vec![Change::Agent(domain::Agent { organization_id: other, ..agent })]).await.unwrap();
    // Once given back, the number is free for anybody.
    let settings = Settings::read(&Bag::new()).unwrap();
    let released = number.release(&settings, world.now()).unwrap();
    world.commit(vec![Change::Number(Box::new(released.clone()))]).await.unwrap();
    world.commit(vec![Change::Number(Box::new(second.clone()))]).await.unwrap();
    assert_eq!(world.store.number_holder(number.e164).unwrap(), Some((other, second.id)));
    assert_eq!(world.store.number_find(id, number.e164).unwrap(), Some(released.clone()));
    // Its SIP credentials are nobody's any more.
    let named: Vec<_> = world.store.numbers_of_username("sip").unwrap().iter().map(|n| n.id).collect();
    assert!(named.contains(&second.id) && !named.contains(&released.id), "{named:?}");
    assert!(world.store.numbers_of_username("nobody").unwrap().is_empty());
    let (restored, _) = released.restore(None, Trust::Trusted, world.now()).unwrap();
    let refused = world.commit(vec![Change::Number(Box::new(restored))]).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Number))), "{refused:?}");
    assert_eq!(
        (world.store.number_held_count(id).unwrap(), world.store.number_held_count(other).unwrap()),
        (0, 1)
    );
    world.check();
}

#[tokio::test]
async fn what_is_referred_to_must_be_there() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let unknown = domain::ids::OrganizationId(world.uuid());
    let stale = |result: Result<_, CommitError>, what| match result {
        Err(CommitError::Stale(named)) => assert_eq!(named, what),
        other => panic!("{other:?}"),
    };
    stale(world.commit(vec![Change::Agent(world.new_agent(unknown, "A"))]).await, What::Organization);
    stale(world.commit(vec![Change::Key(world.new_key(unknown))]).await, What::Organization);
    stale(world.commit(vec![Change::Provider(world.new_provider(Some(unknown)))]).await, What::Organization);
    stale(world.commit(vec![world.funding(unknown, 1)]).await, What::Organization);
    let agent = world.new_agent(id, "Unwritten");
    stale(world.commit(vec![Change::Endpoint(world.new_endpoint(id, Some(&agent)))]).await, What::Agent);
    let mut number = world.new_number(id, &provider, 14_155_550_100);
    number.endpoint_id = Some(domain::ids::EndpointId(world.uuid()));
    stale(world.commit(vec![Change::Number(Box::new(number.clone()))]).await, What::Endpoint);
    number.endpoint_id = None;
    number.agent_id = Some(agent.id.clone());
    stale(world.commit(vec![Change::Number(Box::new(number.clone()))]).await, What::Agent);
    number.agent_id = None;
    number.provider_id = Some(domain::ids::ProviderId(world.uuid()));
    stale(world.commit(vec![Change::Number(Box::new(number))]).await, What::Provider);
    // What is referred to cannot go; what a released number referred to can.
    let (agent, endpoint) = (world.agent(id, "A").await, world.endpoint(id).await);
    let mut number = world.new_number(id, &provider, 14_155_550_101);
    number.endpoint_id = Some(endpoint.id);
    number.agent_id = Some(agent.id.clone());
    world.commit(vec![Change::Number(Box::new(number.clone()))]).await.unwrap();
    stale(world.commit(vec![Change::EndpointDelete(id, endpoint.id, 1)]).await, What::Endpoint);
    stale(world.commit(vec![Change::AgentDelete(id, agent.id.clone(), 1)]).await, What::Agent);
    stale(world.commit(vec![Change::ProviderDelete(provider.id, 1)]).await, What::Provider);
    let released = number.release(&Settings::read(&Bag::new()).unwrap(), world.now()).unwrap();
    assert_eq!(released.status, Status::Released);
    let gone = vec![
        Change::EndpointDelete(id, endpoint.id, 1),
        Change::AgentDelete(id, agent.id.clone(), 1),
        Change::ProviderDelete(provider.id, 1),
        Change::Number(Box::new(released.clone())),
    ];
    // Applied in order: the number must let go first.
    stale(world.commit(gone.clone()).await, What::Endpoint);
    world.commit(gone.into_iter().rev().collect()).await.unwrap();
    let kept = world.store.number_get(id, number.id).unwrap().unwrap();
    assert_eq!((kept.endpoint_id, kept.agent_id, kept.provider_id), (None, None, Some(provider.id)));
    world.check();
}

#[tokio::test]
async fn an_agent_has_one_default_in_an_environment() {
    let world = World::new();
    let id = world.organization().await;
    let agent = world.agent(id, "A").await;
    let mut first = world.new_endpoint(id, Some(&agent));
    assert!(first.settle_default(None, world.now()).is_none());
    world.commit(vec![Change::Endpoint(first.clone())]).await.unwrap();
    let mut second = world.new_endpoint(id, Some(&agent));
    second.is_default = true;
    let refused = world.commit(vec![Change::Endpoint(second.clone())]).await;
    assert!(matches!(refused, Err(CommitError::Stale(What::Endpoint))), "{refused:?}");
    // In either order, as long as one is left at the end.
    let former = second.settle_default(Some(&first), world.now()).unwrap();
    world.commit(vec![Change::Endpoint(second.clone()), Change::Endpoint(former)]).await.unwrap();
    let default = world.store.endpoint_default(id, &agent.id, second.environment).unwrap().unwrap();
    assert_eq!(default.id, second.id);
    world.check();
}

#[tokio::test]
async fn guards_are_evaluated_after_the_changes() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let endpoint = world.endpoint(id).await;
    for (digits, fits) in [(14_155_550_100, true), (14_155_550_101, true), (14_155_550_102, false)] {
        let mut number = world.new_number(id, &provider, digits);
        number.endpoint_id = Some(endpoint.id);
        let result = world.guarded(vec![Change::Number(Box::new(number))], Guard::SlotsWithin(id, 2)).await;
        assert_eq!(result.is_ok(), fits, "{result:?}");
    }
    let unused = world.guarded(Vec::new(), Guard::EndpointUnused(id, endpoint.id)).await;
    assert!(matches!(unused, Err(CommitError::Guard(Guard::EndpointUnused(..)))));
    let unused = world.guarded(Vec::new(), Guard::ProviderUnused(provider.id)).await;
    assert!(matches!(unused, Err(CommitError::Guard(Guard::ProviderUnused(_)))));
    let poor = world.guarded(vec![world.funding(id, -1)], Guard::WalletCovers(id)).await;
    assert!(matches!(poor, Err(CommitError::Guard(Guard::WalletCovers(_)))));
    assert_eq!(world.store.balance(id).unwrap(), domain::Micros::ZERO);
    world.check();
}

#[tokio::test]
async fn a_number_lands_on_what_was_read_and_a_moved_endpoint_takes_all_its_numbers() {
    let world = World::new();
    let id = world.organization().await;
    let (provider, old, new) =
        (world.provider(id).await, world.agent(id, "old").await, world.agent(id, "new").await);
    let endpoint = world.new_endpoint(id, Some(&old));
    world.commit(vec![Change::Endpoint(endpoint.clone())]).await.unwrap();
    let of = |agent: &domain::Agent| world.store.endpoints_of_agent(id, &agent.id, 9).unwrap();
    assert_eq!((of(&old), of(&new)), (vec![endpoint.clone()], vec![]));
    let mut number = world.new_number(id, &provider, 14_155_550_100);
    number = number.follow(Some(&endpoint), Trust::Trusted, world.now()).unwrap();
    number.version = 1;
    let put = |number: &domain::Number| vec![Change::Number(Box::new(number.clone()))];
    let landed = world.guarded(put(&number), Guard::EndpointAt(id, endpoint.id, 2)).await;
    assert!(matches!(landed, Err(CommitError::Guard(Guard::EndpointAt(..)))), "{landed:?}");
    world.guarded(put(&number), Guard::EndpointAt(id, endpoint.id, 1)).await.unwrap();
    // The endpoint moves: not without its number, whose agent and environment follow.
    let patch = EndpointPatch { agent_id: Patch::Set(new.id.clone()), ..EndpointPatch::default() };
    let moved = endpoint.update(patch, world.now()).unwrap();
    let followed = Guard::EndpointFollowed(id, endpoint.id);
    let alone = world.guarded(vec![Change::Endpoint(moved.clone())], followed).await;
    assert!(matches!(alone, Err(CommitError::Guard(Guard::EndpointFollowed(..)))), "{alone:?}");
    let mut both = put(&number.follow(Some(&moved), Trust::Trusted, world.now()).unwrap());
    both.push(Change::Endpoint(moved.clone()));
    world.guarded(both, followed).await.unwrap();
    assert_eq!((of(&old), of(&new)), (vec![], vec![moved]));
    world.check();
}

#[tokio::test]
async fn a_taken_answer_slot_refuses_the_commit_until_it_expires() {
    let world = World::new();
    let id = world.organization().await;
    let answer =
        |second, body| KeptAnswer { slot: [1; 32], body: [body; 32], sealed: vec![9; 3], at: time(second) };
    let commit = |change, answer| Commit { changes: vec![change], guards: Vec::new(), answer: Some(answer) };
    world.store.commit(commit(world.funding(id, 1), answer(0, 1))).await.unwrap();
    let refused = world.store.commit(commit(world.funding(id, 1), answer(86_400, 2))).await;
    assert!(matches!(refused, Err(CommitError::Exists(What::Request))), "{refused:?}");
    assert_eq!(world.store.answer_find(&[1; 32]).unwrap(), Some(answer(0, 1)));
    assert_eq!(world.store.balance(id).unwrap(), domain::Micros(10_000));
    let before = world.store.generation().unwrap();
    let alone = Commit { answer: Some(answer(86_401, 3)), ..Commit::default() };
    assert_eq!(world.store.commit(alone).await.unwrap(), before.1);
    assert_eq!(world.store.answer_find(&[1; 32]).unwrap(), Some(answer(86_401, 3)));
    let later = KeptAnswer { slot: [2; 32], ..answer(200_000, 4) };
    world.store.commit(Commit { answer: Some(later), ..Commit::default() }).await.unwrap();
    assert_eq!(world.store.answer_find(&[1; 32]).unwrap(), None);
}

#[tokio::test]
async fn the_generation_grows_by_one_and_aliases_are_never_given_twice() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let start = world.store.generation().unwrap();
    let settings = Settings::read(&Bag::new()).unwrap();
    for n in 0..5u64 {
        let number = world.number(id, &provider, 14_155_550_100).await;
        assert_eq!(number.alias, n + 1);
        let gone = number.delete(&settings, true, world.now()).unwrap();
        let generation = world.commit(vec![Change::Number(Box::new(gone))]).await.unwrap();
        assert_eq!(generation.0, start.1.0 + 2 * (n + 1));
    }
    assert_eq!(world.store.number_find(id, e164(14_155_550_100)).unwrap(), None);
    let idle = world.store.commit(Commit::default()).await.unwrap();
    assert_eq!((start.0, idle), world.store.generation().unwrap());
    world.check();
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let world = World::new();
    let id = world.organization().await;
    let provider = world.provider(id).await;
    let number = world.number(id, &provider, 14_155_550_100).await;
    let at = world.store.generation().unwrap();
    let world = world.reopened();
    assert_eq!(world.store.generation().unwrap(), at);
    assert_eq!(world.store.number_get(id, number.id).unwrap(), Some(number));
    // A copy of the first store's handle has ended with it; the new one writes on.
    assert_eq!(world.commit(vec![world.funding(id, 1)]).await.unwrap().0, at.1.0 + 1);
    world.store.close().await;
    assert!(matches!(world.commit(vec![world.funding(id, 1)]).await, Err(CommitError::Unavailable(_))));
    assert_eq!(world.store.generation().unwrap().1.0, at.1.0 + 1);
}

#[tokio::test]
async fn what_fails_among_others_fails_alone_and_as_what_it_is() {
    let world = World::new();
    let id = world.organization().await;
    let desk = world.agent(id, "Desk").await;
    let stock = world.new_stock(14_165_550_100, 5);
    let known = world.funding(id, 1);
    world.commit(vec![known.clone(), Change::Stock(stock.clone())]).await.unwrap();
    let before = world.store.generation().unwrap().1;
    let provider = world.new_provider(Some(id));
    let agents = ["A", "B", "C", "D", "E"].map(|name| world.new_agent(id, name));
    let [one, two, three, four, five] = agents.clone().map(Change::Agent);
    let behind = domain::Agent { version: desk.version + 2, ..desk.clone() };
    let for_sale = Change::Number(Box::new(world.new_number(id, &provider, stock.e164.as_u64())));
    // The writer is busy with the first; what comes meanwhile is one group.
    let (busy, good, taken, stale, sold, last) = tokio::join!(
        world.commit((0..300).map(|_| Change::Event(world.new_event(id))).collect()),
        world.commit(vec![one, world.funding(id, 10)]),
        world.commit(vec![two, world.funding(id, 100), known, Change::Event(world.new_event(id))]),
        world.commit(vec![world.funding(id, 1_000), three, Change::Agent(behind)]),
        world.commit(vec![four, Change::Provider(provider), for_sale]),
        world.commit(vec![world.funding(id, 10_000), five]),
    );
    assert!(matches!(taken, Err(CommitError::Exists(What::Ledger))), "{taken:?}");
    assert!(matches!(stale, Err(CommitError::Stale(What::Agent))), "{stale:?}");
    assert!(matches!(sold, Err(CommitError::Exists(What::Number))), "{sold:?}");
    assert_eq!([busy, good, last].map(|done| done.unwrap().0 - before.0), [1, 2, 3]);
    let here = agents.map(|agent| world.store.agent_get(id, &agent.id).unwrap().is_some());
    assert_eq!(here, [true, false, false, false, true]);
    assert_eq!(world.store.balance(id).unwrap(), domain::Micros::from_cents(10_011).unwrap());
    world.check();
}
