//! A fresh store with builders that have defaults. Ids and times are counted, so that a failure repeats.

use domain::agent::AgentPatch;
use domain::e164::{E164, NumberType};
use domain::endpoint::{Endpoint, EndpointPatch};
use domain::ids::{
    AgentId, CallId, EndpointId, EventId, KeyId, NumberId, OrganizationId, PostingId, ProviderId, StockId,
};
use domain::key::{DialectName, Key, KeyHash, KeyNew, Minted, Mode, Role};
use domain::number::{Birth, Environment, NumberSetup, Wiring};
use domain::organization::Kyc;
use domain::provider::{
    AddressRule, Credentials, Inbound, MediaEncryption, ProviderKind, ProviderPatch, Sealed,
};
use domain::stock::{Capabilities, Stock, StockState};
use domain::{
    Agent, Bag, Change, Commit, Generation, Guard, Micros, Number, Organization, Patch, Posting, Provider,
    Timestamp,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{CommitError, Store};
use uuid::Uuid;

// Beside this file for whoever has it: the server's tests have it too.
use super::home::Home;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) home: Arc<Home>,
    count: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(Arc::new(Home::new()), 1)
    }

    /// What is at a place; ids and times are counted from `first`.
    pub(crate) fn at(home: Arc<Home>, first: u64) -> Self {
        Self::with(Store::open(home.url()).unwrap(), home, first)
    }

    /// The same by a store that is open.
    pub(crate) fn with(store: Store, home: Arc<Home>, first: u64) -> Self {
        Self { store, home, count: AtomicU64::new(first) }
    }

    /// The same store, opened again.
    pub(crate) fn reopened(self) -> Self {
        let Self { store, home, count } = self;
        drop(store);
        let store = Store::open(home.url()).unwrap();
        Self { store, home, count }
    }

    /// The same store as another process has it.
    pub(crate) fn beside(&self) -> Store {
        Store::open(self.home.url()).unwrap()
    }

    /// A copy in which a statement was run behind the store's back.
    pub(crate) fn meddled(&self, sql: &str) -> Self {
        let home = self.home.copied();
        home.run(sql);
        Self::at(Arc::new(home), 1)
    }

    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.count.fetch_add(1, Ordering::Relaxed)) << 64)
    }

    pub(crate) fn now(&self) -> Timestamp {
        time(i64::try_from(self.count.fetch_add(1, Ordering::Relaxed)).unwrap())
    }

    pub(crate) async fn commit(&self, changes: Vec<Change>) -> Result<Generation, CommitError> {
        self.store.commit(Commit { changes, ..Commit::default() }).await
    }

    pub(crate) async fn guarded(
        &self,
        changes: Vec<Change>,
        guard: Guard,
    ) -> Result<Generation, CommitError> {
        self.store.commit(Commit { changes, guards: vec![guard], answer: None }).await
    }

    pub(crate) async fn organization(&self) -> OrganizationId {
        let organization = self.new_organization();
        self.commit(vec![Change::Organization(organization.clone())]).await.unwrap();
        organization.id
    }

    pub(crate) fn new_organization(&self) -> Organization {
        let (id, now) = (OrganizationId(self.uuid()), self.now());
        let (kyc, settings) = (Kyc::Approved, Bag::new());
        Organization {
            id,
            name: "Org".to_owned(),
            kyc,
            number_slots: Some(7),
            settings,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub(crate) fn new_agent(&self, organization: OrganizationId, name: &str) -> Agent {
        let new = AgentPatch {
            name: Some(name.to_owned()),
            description: Patch::Set("What it does".to_owned()),
            ..AgentPatch::default()
        };
        Agent::create(organization, AgentId::from_uuid(self.uuid()), new, self.now()).unwrap()
    }

    pub(crate) async fn agent(&self, organization: OrganizationId, name: &str) -> Agent {
        let agent = self.new_agent(organization, name);
        self.commit(vec![Change::Agent(agent.clone())]).await.unwrap();
        agent
    }

    pub(crate) fn new_endpoint(&self, organization: OrganizationId, agent: Option<&Agent>) -> Endpoint {
        let target = domain::target::TargetUri::parse("sip:192.0.2.1:5080;transport=tcp").unwrap();
        let new = EndpointPatch {
            name: Some("Endpoint".to_owned()),
            agent_id: agent.map_or(Patch::Keep, |agent| Patch::Set(agent.id.clone())),
            targets: Some(vec![domain::target::Target {
                uri: target,
                priority: 1,
                weight: 2,
                enabled: true,
            }]),
            source_addresses: Some(vec![AddressRule::parse("192.0.2.0/24").unwrap()]),
            allow_transfer: Some(false),
            ..EndpointPatch::default()
        };
        Endpoint::create(organization, EndpointId(self.uuid()), new, Environment::Live, self.now()).unwrap()
    }

    pub(crate) async fn endpoint(&self, organization: OrganizationId) -> Endpoint {
        let endpoint = self.new_endpoint(organization, None);
        self.commit(vec![Change::Endpoint(endpoint.clone())]).await.unwrap();
        endpoint
    }

    pub(crate) fn new_provider(&self, organization: Option<OrganizationId>) -> Provider {
        let credentials =
            Some(Credentials { username: "trunk".to_owned(), password: Sealed(vec![0, 1, 254, 255]) });
        let allowed_addresses = vec![AddressRule::parse("2001:db8::/32").unwrap()];
        let allowed_numbers = vec![E164::from_u64(12_125_550_100).unwrap()];
        let media_encryption = MediaEncryption::Allowed;
        let certificate_names = Box::new(vec!["carrier.example".to_owned()]);
        let allowed_hosts = vec![domain::provider::HostName::parse("sip.carrier.example").unwrap()];
        let inbound = Patch::Set(Inbound {
            allowed_addresses,
            allowed_hosts,
            allowed_numbers,
            media_encryption,
            credentials,
            certificate_names,
        });
        let register = Box::new(domain::provider::Register {
            registrar: "sip.carrier.example:5070".to_owned(),
            transport: domain::target::Transport::Tls,
            domain: Some("carrier.example".to_owned()),
            user: Some("+4930123".to_owned()),
            credentials: Credentials { username: "line".to_owned(), password: Sealed(vec![7]) },
            expires_seconds: 600,
        });
        let (label, register) = (Some("Trunk".to_owned()), Patch::Set(register));
        let new = ProviderPatch { label, inbound, register, ..ProviderPatch::default() };
        Provider::create(organization, ProviderId(self.uuid()), ProviderKind::SipTrunk, new, self.now())
            .unwrap()
    }

    pub(crate) async fn provider(&self, organization: OrganizationId) -> Provider {
        let provider = self.new_provider(Some(organization));
        self.commit(vec![Change::Provider(provider.clone())]).await.unwrap();
        provider
    }

    pub(crate) fn new_key(&self, organization: OrganizationId) -> Key {
        let id = self.uuid();
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(id.as_bytes());
        let minted = Minted { id: KeyId(id), prefix: "sk_".to_owned(), hash: KeyHash(hash) };
        let scopes = Some(vec![domain::key::Scope::read(domain::key::Area::Numbers)]);
        let (dialect, mode) = (DialectName("native".to_owned()), Mode::Live);
        let new = KeyNew {
            name: "Key".to_owned(),
            dialect,
            role: Role::Member,
            scopes,
            mode,
            allowed_addresses: Vec::new(),
            expires_at: None,
        };
        Key::create(organization, new, minted, self.now()).unwrap()
    }

    /// A number on an own trunk, active.
    pub(crate) fn new_number(
        &self,
        organization: OrganizationId,
        provider: &Provider,
        digits: u64,
    ) -> Number {
        let setup = NumberSetup { label: Some(format!("Number {digits}")), ..NumberSetup::default() };
        let text = format!("+{digits}");
        let number =
            Number::import(organization, &text, provider.id, (setup, Wiring::default()), self.birth());
        number.and_then(Number::activate).unwrap()
    }

    pub(crate) async fn number(
        &self,
        organization: OrganizationId,
        provider: &Provider,
        digits: u64,
    ) -> Number {
        let number = self.new_number(organization, provider, digits);
        self.commit(vec![Change::Number(Box::new(number.clone()))]).await.unwrap();
        self.store.number_get(organization, number.id).unwrap().unwrap()
    }

    pub(crate) fn birth(&self) -> Birth {
        let sip_credentials = Credentials { username: "sip".to_owned(), password: Sealed(vec![7; 40]) };
        Birth { now: self.now(), id: NumberId(self.uuid()), sip_credentials, environment: Environment::Live }
    }

    pub(crate) fn new_stock(&self, digits: u64, cents: i64) -> Stock {
        let now = self.now();
        let number = e164(digits);
        Stock {
            id: StockId(self.uuid()),
            e164: number,
            country: domain::e164::Country::parse("US").unwrap(),
            kind: NumberType::Local,
            setup_cost: Micros::from_cents(cents).unwrap(),
            monthly_cost: Micros::ZERO,
            capabilities: Capabilities::default(),
            state: StockState::Available,
            hold: None,
            network: domain::number::Network::Public,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// What a purchase writes.
    pub(crate) fn purchase(&self, organization: OrganizationId, stock: &Stock) -> Vec<Change> {
        let parts = (NumberSetup::default(), Wiring::default());
        let (number, sold) = Number::buy(organization, stock, None, parts, self.birth()).unwrap();
        let number = number.activate().unwrap();
        let sale = Posting::purchase(&number, self.now()).map(Change::Posting);
        [Change::Stock(sold), Change::Number(Box::new(number))].into_iter().chain(sale).collect()
    }

    pub(crate) fn funding(&self, organization: OrganizationId, cents: i64) -> Change {
        let amount = Micros::from_cents(cents).unwrap();
        Change::Posting(Posting::funding(
            PostingId(self.uuid()),
            organization,
            amount,
            "Cash".to_owned(),
            self.now(),
        ))
    }

    pub(crate) fn new_event(&self, organization: OrganizationId) -> domain::Event {
        let mut data = Bag::new();
        data.insert("a".to_owned(), serde_json::json!([1, null, "x"]));
        domain::Event {
            id: EventId(self.uuid()),
            organization_id: organization,
            name: "number.purchased",
            actor: domain::caller::Actor::Key(KeyId(self.uuid())),
            subject: "subject".to_owned(),
            data,
            at: self.now(),
        }
    }

    pub(crate) fn call_id(&self) -> CallId {
        CallId(self.uuid())
    }

    /// The store is sound: said at the end of tests that write.
    pub(crate) fn check(&self) {
        assert_eq!(self.store.doctor().unwrap(), Vec::<String>::new());
    }
}

pub(crate) fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(crate) fn e164(digits: u64) -> E164 {
    E164::from_u64(digits).unwrap()
}

/// Runs a test that draws its own cases.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}
