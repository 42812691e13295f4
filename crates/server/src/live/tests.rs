//! Applying changes one by one gives the same table as building it from where they led.

use domain::endpoint::EndpointPatch;
use domain::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use domain::number::{Environment, Status};
use domain::organization::Kyc;
use domain::provider::{AddressRule, Inbound, ProviderKind, ProviderPatch};
use domain::routing::{CallIn, CallerShown};
use domain::target::{Target, TargetUri};
use domain::{Bag, E164, Endpoint, Micros, Organization, Patch, Provider, Timestamp};
use proptest::prelude::*;
use std::collections::HashMap;
use store::{Changed, NumberRow};
use uuid::Uuid;

use super::Live;

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
    let patch = ProviderPatch { label: Some("t".into()), inbound, outbound: Patch::Keep, ..ProviderPatch::default() };
    let (own, id) = (own.map(|o| OrganizationId(Uuid::from_u128(o))), ProviderId(Uuid::from_u128(id)));
    Provider::create(own, id, ProviderKind::SipTrunk, patch, Timestamp::UNIX_EPOCH).unwrap()
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
                allow_inbound,
                provider_id: t.map(|t| ProviderId(Uuid::from_u128(t))),
                endpoint_id: e.map(|e| EndpointId(Uuid::from_u128(e))),
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
        1 => small.prop_map(|id| Changed::ProviderGone(ProviderId(Uuid::from_u128(id)))),
    ]
}

/// What a store would hold after these changes, as it would tell it from scratch.
fn rebuilt(history: &[Changed]) -> Live {
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
            Changed::Key(_) => {}
        }
    }
    let live = Live::new();
    for change in last.into_values() {
        live.apply(change);
    }
    live
}

/// Everything that a call could find out.
fn answers(live: &Live) -> Vec<String> {
    let mut answers = Vec::new();
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
        let live = Live::new();
        for change in history.clone() {
            live.apply(change);
        }
        prop_assert_eq!(answers(&live), answers(&rebuilt(&history)));
        let numbers = |live: &Live| {
            let mut ids: Vec<_> = live.numbers.all().iter().map(super::numbers::Slot::id).collect();
            ids.sort_unstable();
            ids
        };
        prop_assert_eq!(numbers(&live), numbers(&rebuilt(&history)));
    }
}
