//! Applying changes one by one gives the same table as building it from where they led.

use domain::call::Direction;
use domain::carrier_account::{AccountPatch, CarrierSources};
use domain::endpoint::EndpointPatch;
use domain::ids::{EndpointId, KeyId, NumberId, OrganizationId, ProviderId, RateId};
use domain::key::{DialectName, KeyHash, Mode, Role};
use domain::number::{Environment, Status};
use domain::organization::Kyc;
use domain::provider::{AddressRule, Inbound, ProviderKind, ProviderPatch, Sealed};
use domain::rate::Prefix;
use domain::routing::{CallIn, CallerShown, Intake};
use domain::rules::NumberRules;
use domain::target::{Target, TargetUri};
use domain::{
    Bag, E164, Endpoint, Generation, Key, Micros, Organization, Patch, Price, Provider, Rate, Timestamp,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{Changed, Epoch, NumberRow};
use uuid::Uuid;

use super::Live;
use super::rebuild::Rebuild;

const DIGITS: u64 = 14_152_000_000;

fn organization(id: u128, rate: i64) -> Organization {
    let now = Timestamp::UNIX_EPOCH;
    let settings: Bag = [("rate_cents_per_minute".to_owned(), rate.into())].into_iter().collect();
    let id = OrganizationId(Uuid::from_u128(id));
    Organization {
        id,
        name: "o".into(),
        kyc: Kyc::Approved,
        number_slots: None,
        settings,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn endpoint(id: u128, on: bool) -> Endpoint {
    let target =
        Target { uri: TargetUri::parse("sip:127.0.0.1:5080").unwrap(), priority: 1, weight: 1, enabled: on };
    let patch =
        EndpointPatch { name: Some("e".into()), targets: Some(vec![target]), ..EndpointPatch::default() };
    let (organization, id) = (OrganizationId(Uuid::from_u128(0)), EndpointId(Uuid::from_u128(id)));
    Endpoint::create(organization, id, patch, Environment::Live, Timestamp::UNIX_EPOCH).unwrap()
}

fn trunk(id: u128, own: Option<u128>, host: u8) -> Provider {
    let rules = [format!("192.0.2.{host}"), format!("198.51.100.{host}/28")];
    let allowed_addresses = rules.iter().map(|r| AddressRule::parse(r).unwrap()).collect();
    let allowed_numbers = E164::from_u64(DIGITS).filter(|_| host == 2).into_iter().collect();
    let inbound = Patch::Set(Inbound { allowed_addresses, allowed_numbers, ..Inbound::default() });
    let patch =
        ProviderPatch { label: Some("t".into()), inbound, outbound: Patch::Keep, ..ProviderPatch::default() };
    let (own, id) = (own.map(|o| OrganizationId(Uuid::from_u128(o))), ProviderId(Uuid::from_u128(id)));
    Provider::create(own, id, ProviderKind::SipTrunk, patch, Timestamp::UNIX_EPOCH).unwrap()
}

/// An account at a carrier, under the ids of trunks.
fn account(id: u128, own: u128) -> Provider {
    let account = AccountPatch {
        id: Some("A1".into()),
        key_id: Some("K1".into()),
        key_secret: Some(Sealed(vec![1])),
        region: Some("r1".into()),
    };
    let patch = ProviderPatch { label: Some("a".into()), account: Some(account), ..ProviderPatch::default() };
    let (own, id) = (Some(OrganizationId(Uuid::from_u128(own))), ProviderId(Uuid::from_u128(id)));
    Provider::create(own, id, ProviderKind::Twilio, patch, Timestamp::UNIX_EPOCH).unwrap()
}

/// From where carriers call, in these tests.
const CARRIER: &str = "203.0.113.7:5060";

fn empty() -> Live {
    let live = Live::new();
    let sources = CarrierSources(vec![AddressRule::parse("203.0.113.0/28").unwrap()]);
    live.carriers_from(sources, false);
    live
}

fn change() -> impl Strategy<Value = Changed> {
    let small = 0u128..3;
    let status = prop_oneof![
        Just(Status::Active),
        Just(Status::Inactive),
        Just(Status::Pending),
        Just(Status::Released)
    ];
    let links = (prop::option::of(0u128..3), prop::option::of(0u128..3));
    let number = (0u64..4, 0u128..3, 0u128..3, status, any::<bool>(), links).prop_map(
        |(digits, id, own, status, allow_inbound, (e, t))| {
            Changed::Number(NumberRow {
                // Each number has its own row per holder, so one id never stands under two numbers.
                id: NumberId(Uuid::from_u128(u128::from(digits) * 16 + id)),
                organization_id: OrganizationId(Uuid::from_u128(own)),
                e164: E164::from_u64(DIGITS + digits).unwrap(),
                status,
                network: domain::number::Network::Public,
                unpaid: id == 1,
                intake: Intake::of(allow_inbound, id != 2),
                allow_outbound: id == 0,
                provider_id: t.map(|t| ProviderId(Uuid::from_u128(t))),
                endpoint_id: e.map(|e| EndpointId(Uuid::from_u128(e))),
                rules: (id == 0)
                    .then(|| Arc::new(NumberRules { calls_max: Some(0), ..NumberRules::default() })),
            })
        },
    );
    prop_oneof![
        6 => number,
        1 => (small.clone(), 0i64..2, -1i64..2).prop_map(|(id, rate, b)| Changed::Organization(organization(id, rate), Micros(b))),
        1 => (small.clone(), -1i64..2).prop_map(|(id, b)| Changed::Balance(OrganizationId(Uuid::from_u128(id)), Micros(b))),
        2 => (small.clone(), any::<bool>()).prop_map(|(id, on)| Changed::Endpoint(endpoint(id, on))),
        1 => small.clone().prop_map(|id| Changed::EndpointGone(EndpointId(Uuid::from_u128(id)))),
        2 => (small.clone(), prop::option::of(0u128..2), 0u8..3).prop_map(|(id, own, h)| Changed::Provider(trunk(id, own, h))),
        1 => (small.clone(), 0u128..2).prop_map(|(id, own)| Changed::Provider(account(id, own))),
        1 => small.prop_map(|id| Changed::ProviderGone(ProviderId(Uuid::from_u128(id)))),
    ]
}

/// What a store would hold after these changes, as it would tell it from scratch.
fn contents(history: &[Changed]) -> Vec<Changed> {
    let mut last: HashMap<String, Changed> = HashMap::new();
    for change in history {
        match change {
            Changed::Balance(id, balance) => {
                if let Some(Changed::Organization(_, held)) = last.get_mut(&format!("o{id}")) {
                    *held = *balance;
                }
            }
            Changed::Organization(o, _) => drop(last.insert(format!("o{}", o.id), change.clone())),
            Changed::Endpoint(e) => drop(last.insert(format!("e{}", e.id), change.clone())),
            Changed::EndpointGone(id) => drop(last.remove(&format!("e{id}"))),
            Changed::Provider(p) => drop(last.insert(format!("p{}", p.id), change.clone())),
            Changed::ProviderGone(id) => drop(last.remove(&format!("p{id}"))),
            Changed::Number(row) if row.status.is_held() => {
                drop(last.insert(format!("n{}", row.e164), change.clone()));
            }
            Changed::Number(row) => {
                let held = format!("n{}", row.e164);
                if matches!(last.get(&held), Some(Changed::Number(holder)) if holder.id == row.id) {
                    last.remove(&held);
                }
            }
            // Their own tests show it.
            Changed::Key(_) | Changed::Rate(_) | Changed::RateGone(_) | Changed::Trace(_) => {}
        }
    }
    last.into_values().collect()
}

fn rebuilt(history: &[Changed]) -> Live {
    let live = empty();
    built(&live, 1, history);
    live
}

/// Builds a table by what a store holds after these changes, of which history that is.
fn built(live: &Live, epoch: u64, history: &[Changed]) {
    let mut rebuild = Rebuild::begin(live);
    for change in contents(history) {
        rebuild.see(change);
    }
    rebuild.finish((Epoch(epoch), Generation(history.len() as u64)));
}

/// What is there of things that no call could find out about.
fn inside(live: &Live) -> Vec<String> {
    let mut inside: Vec<_> = live.numbers.all().iter().map(|slot| slot.id().to_string()).collect();
    let directory = live.read();
    inside.extend(directory.schedules.keys().map(|id| format!("schedule of {id}")));
    let tenants = (0..3).map(|n| OrganizationId(Uuid::from_u128(n)));
    inside.extend(tenants.map(|id| format!("{id} {:?}", directory.organization(id))));
    inside.sort_unstable();
    inside
}

/// Everything that a call could find out.
fn answers(live: &Live) -> Vec<String> {
    let mut answers = Vec::new();
    let carrier: SocketAddr = CARRIER.parse().unwrap();
    answers.push(format!("{:?}", live.trunks_of(carrier)));
    for digits in 0..4 {
        let own = E164::from_u64(DIGITS + digits).and_then(|e164| live.account_of(e164, carrier));
        answers.push(format!("{own:?}"));
    }
    for host in 0..20 {
        for net in ["192.0.2", "198.51.100"] {
            let mut trunks = live.trunks_from(format!("{net}.{host}").parse().unwrap());
            trunks.sort_by_key(|t| t.id);
            for digits in 0..4 {
                let decided = live.decide(
                    CallIn {
                        trunks: &trunks,
                        dialled: E164::from_u64(DIGITS + digits),
                        caller: CallerShown::Number(None),
                        offer: None,
                        at: Timestamp::UNIX_EPOCH,
                        name: "",
                        tls: None,
                    },
                    |_| {},
                );
                answers.push(format!("{:?}", decided.map(|r| (r.routed, r.endpoint))));
            }
        }
    }
    answers
}

proptest! {
    #[test]
    fn applying_changes_equals_building_anew(history in prop::collection::vec(change(), 0..60)) {
        let live = empty();
        for change in history.clone() {
            live.apply(change);
        }
        prop_assert_eq!(answers(&live), answers(&rebuilt(&history)));
        prop_assert_eq!(inside(&live), inside(&rebuilt(&history)));
    }

    /// As where a standby takes over that has not got the last commits, and others follow there: the two histories have a beginning
    /// in common, or nothing.
    #[test]
    fn building_anew_leaves_nothing_of_another_history(
        history in prop::collection::vec(change(), 0..60),
        shared in 0usize..60,
        later in prop::collection::vec(change(), 0..30),
    ) {
        let live = empty();
        built(&live, 1, &[]);
        for change in history.clone() {
            live.apply(change);
        }
        let shared = history.into_iter().take(shared);
        let other: Vec<_> = shared.chain(later).collect();
        built(&live, 2, &other);
        prop_assert_eq!(answers(&live), answers(&rebuilt(&other)));
        prop_assert_eq!(inside(&live), inside(&rebuilt(&other)));
        let ruled = |live: &Live| live.read().rules.keys().copied().collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(ruled(&live), ruled(&rebuilt(&other)));
        prop_assert_eq!(live.generation(), Generation(other.len() as u64));
    }
}

#[test]
fn a_key_that_another_history_does_not_have_opens_nothing() {
    let live = empty();
    built(&live, 1, &[]);
    let (organization_id, now) = (OrganizationId(Uuid::from_u128(1)), Timestamp::UNIX_EPOCH);
    let key = Key {
        id: KeyId(Uuid::from_u128(1)),
        organization_id,
        name: "k".into(),
        dialect: DialectName("native".into()),
        role: Role::Owner,
        scopes: None,
        mode: Mode::Live,
        allowed_addresses: Vec::new(),
        expires_at: None,
        prefix: "p".into(),
        hash: KeyHash([7; 32]),
        created_at: now,
        revoked_at: None,
        replaced_at: None,
        version: 1,
    };
    let rate = Rate {
        id: RateId(Uuid::from_u128(2)),
        organization_id,
        direction: Direction::Inbound,
        prefix: Prefix::parse("").unwrap(),
        price: Price::by_minute(Micros(7)),
        created_at: now,
    };
    live.apply(Changed::Key(key.clone()));
    live.apply(Changed::Rate(rate));
    assert!(live.key(&key.hash).is_some());
    built(&live, 2, &[]);
    assert!(live.key(&key.hash).is_none());
    let dialled = E164::from_u64(DIGITS).unwrap();
    assert_eq!(live.read().price(organization_id, Direction::Inbound, dialled), Price::default());
}

#[test]
fn a_carrier_reaches_the_numbers_of_accounts_and_nothing_else() {
    let live = empty();
    let number = |digits: u64, provider: u128| {
        Changed::Number(NumberRow {
            id: NumberId(Uuid::from_u128(u128::from(digits))),
            organization_id: OrganizationId(Uuid::from_u128(1)),
            e164: E164::from_u64(DIGITS + digits).unwrap(),
            status: Status::Active,
            network: domain::number::Network::Public,
            unpaid: false,
            intake: Intake::Open,
            allow_outbound: false,
            provider_id: Some(ProviderId(Uuid::from_u128(provider))),
            endpoint_id: None,
            rules: None,
        })
    };
    let (carrier, stranger) = (CARRIER.parse().unwrap(), "203.0.113.200:5060".parse().unwrap());
    let e164 = |digits| E164::from_u64(DIGITS + digits).unwrap();
    live.apply(number(0, 7));
    live.apply(number(1, 8));
    live.apply(Changed::Provider(trunk(8, Some(1), 1)));
    assert!(live.trunks_of(carrier).is_empty(), "nobody has an account");
    live.apply(Changed::Provider(account(7, 1)));
    assert_eq!(live.account_of(e164(0), carrier).map(|t| t.id), Some(ProviderId(Uuid::from_u128(7))));
    assert_eq!((live.account_of(e164(0), stranger), live.account_of(e164(1), carrier)), (None, None));
    // The carrier alone is known, and carries nothing: neither the account's numbers nor the stock's.
    let unnamed = live.trunks_of(carrier);
    for digits in [0, 1] {
        let route = live.number(e164(digits)).unwrap();
        let stock = domain::routing::NumberRoute { trunk: None, ..route };
        assert!(!unnamed.is_empty() && unnamed.iter().all(|t| !domain::routing::carries(t, &route)));
        assert!(unnamed.iter().all(|t| !domain::routing::carries(t, &stock)));
    }
    live.apply(Changed::ProviderGone(ProviderId(Uuid::from_u128(7))));
    assert_eq!((live.trunks_of(carrier).len(), live.account_of(e164(0), carrier)), (0, None));
}
