//! Providers that are an organization's account at a carrier.

use domain::carrier_account::{AccountPatch, AccountRef};
use domain::ids::{OrganizationId, ProviderId};
use domain::op::TrunkQuery;
use domain::provider::{ProviderKind, ProviderPatch, Sealed};
use domain::{Change, Page, Provider, What};
use store::CommitError;

use crate::world::World;

fn account(world: &World, organization: OrganizationId, id: &str, region: &str) -> Provider {
    let account = AccountPatch {
        id: Some(id.to_owned()),
        key_id: Some("SK1".to_owned()),
        key_secret: Some(Sealed(vec![0, 1, 254, 255])),
        region: Some(region.to_owned()),
    };
    let new =
        ProviderPatch { label: Some("Ours".to_owned()), account: Some(account), ..ProviderPatch::default() };
    let id = ProviderId(world.uuid());
    Provider::create(Some(organization), id, ProviderKind::Twilio, new, world.now()).unwrap()
}

#[tokio::test]
async fn an_account_is_read_back_as_it_was_written() {
    let world = World::new();
    let organization = world.organization().await;
    let made = account(&world, organization, "AC1", "us1");
    world.commit(vec![Change::Provider(made.clone())]).await.unwrap();
    assert_eq!(world.store.provider_get(made.id).unwrap(), Some(made.clone()));
    let next = made.attached("TK1".to_owned(), world.now());
    world.commit(vec![Change::Provider(next.clone())]).await.unwrap();
    assert_eq!(world.store.provider_get(made.id).unwrap(), Some(next.clone()));
    let named = AccountRef { kind: ProviderKind::Twilio, id: "AC1".to_owned(), region: "us1".to_owned() };
    assert_eq!(world.store.provider_of_account(organization, &named).unwrap(), Some(next));
    let elsewhere = AccountRef { region: "ie1".to_owned(), ..named.clone() };
    assert_eq!(world.store.provider_of_account(organization, &elsewhere).unwrap(), None);
    let other = world.organization().await;
    assert_eq!(world.store.provider_of_account(other, &named).unwrap(), None);
}

#[tokio::test]
async fn an_organization_has_one_provider_for_an_account_and_region() {
    let world = World::new();
    let (one, two) = (world.organization().await, world.organization().await);
    let put = |organization, id: &'static str, region: &'static str| {
        world.commit(vec![Change::Provider(account(&world, organization, id, region))])
    };
    put(one, "AC1", "us1").await.unwrap();
    assert!(matches!(put(one, "AC1", "us1").await, Err(CommitError::Exists(What::Provider))));
    put(one, "AC1", "ie1").await.unwrap();
    put(one, "AC2", "us1").await.unwrap();
    put(two, "AC1", "us1").await.unwrap();
    world.provider(one).await;
    let count = |kind, account_id: Option<&str>| {
        let query = TrunkQuery { kind, account_id: account_id.map(str::to_owned) };
        world.store.provider_own(Some(one), &query, &Page::first(10)).unwrap().items.len()
    };
    assert_eq!((count(None, None), count(Some(ProviderKind::Twilio), None)), (4, 3));
    assert_eq!((count(Some(ProviderKind::SipTrunk), None), count(None, Some("AC1"))), (1, 2));
}
