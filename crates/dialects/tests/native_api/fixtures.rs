//! One of everything that is shown.

use domain::agent::{Agent, AgentPatch};
use domain::call::{Attempt, Call, CallStatus, Direction, EndedBy, Note, Place};
use domain::caller::Actor;
use domain::endpoint::{Endpoint, EndpointPatch};
use domain::event::Event;
use domain::ids::*;
use domain::key::{DialectName, Key, KeyHash, KeyNew, Minted, Mode, Role, Scope};
use domain::ledger::{Account, Entry, Subject};
use domain::number::{Birth, Environment, Number, NumberSetup, Wiring};
use domain::organization::{Kyc, Organization};
use domain::provider::{
    AddressRule, Credentials, Inbound, Outbound, Provider, ProviderKind, ProviderPatch, Register, Sealed,
};
use domain::rate::{Prefix, Rate, RateNew};
use domain::stock::{Capabilities, Stock, StockNew};
use domain::target::{Target, TargetUri, Transport};
use domain::trail::{RuleName, Seen, Trail};
use domain::trunk_status::{HostStatus, RegistrationState, TrunkRegistration, TrunkStatus};
use domain::view::{AgentBrief, NumberView, SipAccess};
use domain::webhook::{About, Answer, Delivery, DeliveryState, Happening, Wanted, Webhook, WebhookPatch};
use domain::{Bag, E164, Generation, Micros, Patch, Price};
use serde_json::json;

use crate::support::{now, uuid};

pub(crate) fn organization() -> Organization {
    Organization {
        id: OrganizationId(uuid(1)),
        name: "acme".into(),
        kyc: Kyc::Approved,
        number_slots: None,
        settings: Bag::from_iter([("imports".into(), json!("open"))]),
        created_at: now(),
        updated_at: now(),
        version: 3,
    }
}

pub(crate) fn key() -> Key {
    let new = KeyNew {
        name: "ci".into(),
        dialect: DialectName("native".into()),
        role: Role::Member,
        scopes: Some(vec![Scope::parse("numbers:read").unwrap()]),
        mode: Mode::Test,
        allowed_addresses: Vec::new(),
        expires_at: None,
    };
    let minted = Minted { id: KeyId(uuid(2)), prefix: "tl_test_abcd".into(), hash: KeyHash([7; 32]) };
    Key::create(OrganizationId(uuid(1)), new, minted, now()).unwrap()
}

pub(crate) fn entry() -> Entry {
    Entry {
        id: 9,
        posting_id: PostingId(uuid(3)),
        subject: Subject::Rental(NumberId(uuid(7)), 3),
        account: Account::Wallet,
        amount: Micros(-15_001),
        balance_after: Micros(984_999),
        reason: "call".into(),
        at: now(),
    }
}

pub(crate) fn agent() -> Agent {
    let new = AgentPatch { name: Some("Ada".into()), ..AgentPatch::default() };
    Agent::create(OrganizationId(uuid(1)), AgentId::parse("ada").unwrap(), new, now()).unwrap()
}

pub(crate) fn endpoint() -> Endpoint {
    let uri = TargetUri::parse("sip:agent@127.0.0.1:5080").unwrap();
    let new = EndpointPatch {
        name: Some("desk".into()),
        agent_id: Patch::Set(AgentId::parse("ada").unwrap()),
        targets: Some(vec![Target { uri, priority: 10, weight: 10, enabled: true }]),
        source_addresses: Some(vec![AddressRule::parse("192.0.2.0/24").unwrap()]),
        ..EndpointPatch::default()
    };
    let organization = OrganizationId(uuid(1));
    Endpoint::create(organization, EndpointId(uuid(4)), new, Environment::Live, now()).unwrap()
}

pub(crate) fn provider() -> Provider {
    let credentials = |name: &str| Credentials { username: name.into(), password: Sealed(vec![1, 2, 3]) };
    let new = ProviderPatch {
        label: Some("carrier".into()),
        inbound: Patch::Set(Inbound {
            allowed_addresses: vec![AddressRule::parse("127.0.0.1").unwrap()],
            credentials: Some(credentials("in")),
            ..Inbound::default()
        }),
        outbound: Patch::Set(Outbound::new("sip.example.com:5061".into(), Transport::Tls)),
        register: Patch::Set(Box::new(Register {
            registrar: "sip.example.com".into(),
            transport: Transport::Udp,
            domain: None,
            user: Some("+4930123".into()),
            credentials: credentials("line"),
            expires_seconds: 600,
        })),
        ..ProviderPatch::default()
    };
    let (id, kind) = (ProviderId(uuid(5)), ProviderKind::SipTrunk);
    Provider::create(Some(OrganizationId(uuid(1))), id, kind, new, now()).unwrap()
}

/// A trunk that its carrier does not take.
pub(crate) fn trunk_status() -> TrunkStatus {
    let registration = TrunkRegistration {
        state: RegistrationState::Refused,
        contact: Some("sip:tr00@edge.example.com:5060".into()),
        registrar: Some("udp:192.0.2.9:5060".into()),
        expires_at: None,
        next_attempt_at: Some(now()),
        sip_status: Some(403),
        problem: Some("The carrier refuses it.".into()),
        failures: 1,
        service_route: vec!["<sip:proxy.example.com;lr>".into()],
    };
    let host = HostStatus {
        name: "sip.example.com".into(),
        addresses: vec!["192.0.2.9".parse().unwrap()],
        looked_up_at: Some(now()),
        next_look_up_at: None,
        failing: true,
    };
    TrunkStatus { registration: Some(registration), hosts: vec![host] }
}

pub(crate) fn stock() -> Stock {
    let new = StockNew {
        e164: "+14155550100".into(),
        country: None,
        kind: None,
        setup_cost_cents: 100,
        monthly_cost_cents: 200,
        capabilities: Capabilities::default(),
    };
    Stock::create(StockId(uuid(6)), new, now()).unwrap()
}

/// The same, reserved for the organization of the tests' keys.
pub(crate) fn held_stock() -> Stock {
    stock().hold(OrganizationId(uuid(1)), now()).unwrap()
}

pub(crate) fn number() -> NumberView {
    let sip_credentials = Credentials { username: "u7".into(), password: Sealed(vec![9; 9]) };
    let birth = Birth { now: now(), id: NumberId(uuid(7)), sip_credentials, environment: Environment::Live };
    let setup = NumberSetup { label: Some("front desk".into()), ..NumberSetup::default() };
    let (number, _) =
        Number::buy(OrganizationId(uuid(1)), &stock(), None, (setup, Wiring::default()), birth).unwrap();
    let number = number.activate().unwrap();
    NumberView {
        number,
        agent: Some(AgentBrief { id: AgentId::parse("ada").unwrap(), name: "Ada".into() }),
        provider: None,
        minutes_this_month: 12,
        sip: SipAccess {
            domain: "sip.example.com".into(),
            port: 5060,
            username: "u7".into(),
            password: None,
        },
    }
}

pub(crate) fn call() -> Call {
    let mut trail = Trail::default();
    trail.see(RuleName::SourceIsTrunk.is(true));
    let free = Seen::Money { free: 1_000_000, needed: 14_756 };
    trail.see(RuleName::Balance.is(true).seeing(free));
    Call {
        id: CallId(uuid(8)),
        organization_id: OrganizationId(uuid(1)),
        direction: Direction::Inbound,
        number_id: Some(NumberId(uuid(7))),
        number: E164::from_digits("14155550100"),
        from: "sip:+12125550100@192.0.2.7".into(),
        to: "+14155550100".into(),
        status: CallStatus::Completed,
        started_at: now(),
        answered_at: Some(now()),
        ended_at: Some(now()),
        duration_seconds: 61,
        monotonic: true,
        ended_by: Some(EndedBy::Caller),
        sip_status: None,
        reason: None,
        provider_id: Some(ProviderId(uuid(5))),
        endpoint_id: Some(EndpointId(uuid(4))),
        attempts: vec![Attempt {
            n: 0,
            target: "sip:agent@127.0.0.1:5080".into(),
            sip_status: Some(200),
            cause: "answered".into(),
            started_at: now(),
            ended_at: now(),
            hop: Place::parse("udp:192.0.2.9:5080"),
            ringing_at: Some(now()),
            reason: None,
        }],
        generation: Generation(4),
        price: Price { minimum_seconds: 60, ..Price::by_minute(Micros(14_756)) },
        cost: Micros(15_001),
        dialog: None,
        trail,
        source: Place::parse("udp:192.0.2.7:5060"),
        notes: vec![Note::RecordRouteDropped],
        origin: None,
        legs: Vec::new(),
    }
}

pub(crate) fn rate() -> Rate {
    let price = Price { minimum_seconds: 30, increment_seconds: 6, ..Price::by_minute(Micros(12_500)) };
    let prefix = Prefix::parse("4420").unwrap();
    let new = RateNew { direction: Direction::Outbound, prefix, price };
    Rate::create(RateId(uuid(5)), OrganizationId::NONE, new, now()).unwrap()
}

pub(crate) fn webhook() -> Webhook {
    let wanted = vec!["call.completed".to_owned(), "number.purchased".to_owned()];
    let new = WebhookPatch {
        url: Some("https://example.com/hook".into()),
        wanted: Some(Wanted { events: wanted.clone(), topics: wanted }),
        active: None,
    };
    let id = (WebhookId(uuid(10)), Sealed(vec![9; 9]));
    Webhook::create(OrganizationId(uuid(1)), DialectName("native".into()), id, new, now()).unwrap()
}

/// An event as it is sent.
pub(crate) fn happening(about: About) -> Happening {
    let Event { id, organization_id, name, actor, subject, data, at } = event();
    Happening { id, organization_id, name: name.to_owned(), actor, subject, details: data, about, at }
}

pub(crate) fn delivery() -> Delivery {
    let state = DeliveryState::Waiting(now());
    let waiting = Delivery {
        webhook_id: WebhookId(uuid(10)),
        happening: happening(About::Other),
        attempts: 0,
        state,
        last: None,
    };
    waiting.tried(Answer::Status(500, Some("broken".into())), now())
}

pub(crate) fn event() -> Event {
    Event {
        id: EventId(uuid(9)),
        organization_id: OrganizationId(uuid(1)),
        name: "number.purchased",
        actor: Actor::Key(KeyId(uuid(2))),
        subject: uuid(7).to_string(),
        data: Bag::new(),
        at: now(),
    }
}
