//! The order of rules and the chain of fallbacks, on tables made by hand and at random.

use super::*;
use crate::call::Direction;
use crate::endpoint::{EndpointKind, EndpointStatus};
use crate::ids::{NumberId, OrganizationId, ProviderId};
use crate::money::Micros;
use crate::number::{Network, Status};
use crate::price::Price;
use crate::provider::MediaEncryption;
use crate::routing::EndpointMedia;
use crate::routing::{
    CallIn, CallerShown, EndpointRoute, Intake, NumberRoute, OrganizationRoute, Refusal, Table, TrunkRoute,
    decide,
};
use crate::trail::{Rule, RuleName, Seen};
use proptest::prelude::*;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

const DIALLED: u64 = 14_155_550_100;
const OTHER: u64 = 14_155_550_101;
const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));
const TRUNK: ProviderId = ProviderId(Uuid::from_u128(2));

fn id(n: u128) -> EndpointId {
    EndpointId(Uuid::from_u128(100 + n))
}

#[derive(Clone, Debug, Default)]
struct Memory {
    endpoints: HashMap<EndpointId, EndpointRoute>,
    fallbacks: HashMap<EndpointId, Vec<Step>>,
    rules: Option<Arc<NumberRules>>,
    schedule: Option<Arc<Schedule>>,
    endpoint_id: Option<EndpointId>,
    number_calls: u32,
    trunk_calls: u32,
    trunk_max: Option<u32>,
}

impl Memory {
    /// Endpoints 0 to 4, all of which can be called; the number's is 0.
    fn new() -> Self {
        let route = EndpointRoute {
            media: EndpointMedia { encryption: MediaEncryption::Allowed, dtls: true, tls: false },
            kind: EndpointKind::Sip,
            status: EndpointStatus::Active,
            targets_on: 1,
            down: None,
            has_fallback: false,
        };
        let endpoints = (0..5).map(|n| (id(n), route)).collect();
        Self { endpoints, endpoint_id: Some(id(0)), ..Self::default() }
    }

    fn rules(mut self, rules: serde_json::Value) -> Self {
        let serde_json::Value::Object(bag) = rules else { panic!("an object") };
        self.rules = Some(Arc::new(NumberRules::read(&bag).unwrap()));
        self
    }

    fn own(mut self, n: u128, steps: &serde_json::Value) -> Self {
        self.fallbacks.insert(id(n), json::steps(steps, What::Endpoint).unwrap());
        self.endpoints.get_mut(&id(n)).unwrap().has_fallback = true;
        self
    }

    fn with(mut self, n: u128, change: impl Fn(&mut EndpointRoute)) -> Self {
        change(self.endpoints.get_mut(&id(n)).unwrap());
        self
    }
}

impl Table for Memory {
    fn number(&self, e164: E164) -> Option<NumberRoute> {
        let (endpoint_id, ruled) = match e164.as_u64() {
            DIALLED => (self.endpoint_id, self.rules.is_some()),
            OTHER => (Some(id(4)), false),
            _ => return None,
        };
        Some(NumberRoute {
            id: NumberId(Uuid::from_u128(u128::from(e164.as_u64()))),
            organization_id: OWNER,
            status: Status::Active,
            unpaid: false,
            intake: Intake::Open,
            trunk: Some(TRUNK),
            network: Network::Public,
            endpoint_id,
            ruled,
        })
    }

    fn organization(&self, _: OrganizationId) -> Option<OrganizationRoute> {
        Some(OrganizationRoute { balance: Micros::ZERO, rate_per_minute: Micros::ZERO, calls_max: None })
    }

    fn calls(&self, _: OrganizationId) -> u32 {
        0
    }

    fn price(&self, _: OrganizationId, _: Direction, _: E164) -> Price {
        Price::FREE
    }

    fn held(&self, _: OrganizationId) -> Micros {
        Micros::ZERO
    }

    fn endpoint(&self, id: EndpointId) -> Option<EndpointRoute> {
        self.endpoints.get(&id).copied()
    }

    fn admits(&self, _: ProviderId, _: Option<E164>) -> bool {
        true
    }

    fn media(&self, _: ProviderId) -> MediaEncryption {
        MediaEncryption::Allowed
    }

    fn rules(&self, _: NumberId) -> Option<Arc<NumberRules>> {
        self.rules.clone()
    }

    fn schedule(&self, _: OrganizationId) -> Option<Arc<Schedule>> {
        self.schedule.clone()
    }

    fn fallback(&self, id: EndpointId) -> Vec<Step> {
        self.fallbacks.get(&id).cloned().unwrap_or_default()
    }

    fn number_calls(&self, _: NumberId) -> u32 {
        self.number_calls
    }

    fn trunk_calls(&self, _: ProviderId) -> u32 {
        self.trunk_calls
    }

    fn trunk_calls_max(&self, _: ProviderId) -> Option<u32> {
        self.trunk_max
    }

    fn split_key(&self) -> &[u8; 32] {
        &[7; 32]
    }
}

type Found = Result<Vec<String>, (Refusal, u16)>;

/// Where a call goes: its legs as (endpoint, exits in words), or the refusal with its status; and the rules that were told.
fn told(table: &Memory, caller: &str, at: &str) -> (Found, Vec<Rule>) {
    let trunks = [TrunkRoute::of(TRUNK, Some(OWNER))];
    let call = CallIn {
        tls: None,
        trunks: &trunks,
        dialled: E164::from_u64(DIALLED),
        caller: CallerShown::Number(E164::from_digits(caller)),
        offer: None,
        at: at.parse().unwrap(),
        name: "call@host",
    };
    let mut rules = Vec::new();
    let decided = decide(table, call, |rule| rules.push(rule));
    let number = |endpoint: EndpointId| endpoint.0.as_u128() - 100;
    let legs = decided.map(|routed| match routed.chain {
        None => vec![format!("{}", number(routed.endpoint_id))],
        Some(chain) => {
            assert_eq!(chain.legs[0].endpoint_id, routed.endpoint_id);
            let exit = |exit: &Exit| {
                let to = match exit.to {
                    Onward::Leg(leg) => format!("#{leg}"),
                    Onward::Refuse(status) => format!("{status}"),
                };
                format!(" {}→{to}", exit.on.names().join("|"))
            };
            let leg = |leg: &Leg| {
                format!("{}{}", number(leg.endpoint_id), leg.exits.iter().map(exit).collect::<String>())
            };
            chain.legs.iter().map(leg).collect()
        }
    });
    (legs.map_err(|refused| (refused.why, refused.sip_status())), rules)
}

fn legs(table: &Memory) -> Vec<String> {
    told(table, "12125550100", "2026-03-02T12:00:00Z").0.unwrap()
}

fn refusal(table: &Memory) -> (Refusal, u16) {
    told(table, "12125550100", "2026-03-02T12:00:00Z").0.unwrap_err()
}

fn to(n: u128) -> serde_json::Value {
    json!({"endpoint_id": id(n).to_string()})
}

#[test]
fn a_plain_number_has_no_chain_and_tells_no_more_rules() {
    let (legs, rules) = told(&Memory::new(), "12125550100", "2026-03-02T12:00:00Z");
    assert_eq!(legs.unwrap(), ["0"]);
    assert_eq!(rules.last().unwrap().name, RuleName::CallsRoom);
    assert!(rules.iter().all(|rule| rule.passed && rule.seen == Seen::Nothing));
}

#[test]
fn each_step_serves_its_causes_and_what_stands_before_it_only() {
    let table = Memory::new().rules(json!({"fallback": [
        {"on": ["busy"], "to": to(1)},
        {"on": ["no_answer", "too_late"], "to": to(2)},
        {"on": ["failed", "busy"], "to": {"refuse": 503}},
    ]}));
    assert_eq!(
        legs(&table),
        [
            "0 busy→#1 no_answer|too_late→#2 failed→503",
            "1 busy|failed→503 no_answer|too_late→#2",
            "2 busy|failed→503"
        ]
    );
}

#[test]
fn a_place_that_cannot_be_called_is_passed_over_by_its_cause() {
    let steps = json!({"fallback": [
        {"on": ["endpoint_inactive"], "to": to(1)},
        {"on": ["no_target"], "to": to(2)},
        {"on": ["no_endpoint", "endpoint_not_sip"], "to": {"refuse": 404}},
    ]});
    let table = Memory::new().rules(steps);
    let off = |e: &mut EndpointRoute| e.status = EndpointStatus::Inactive;
    assert_eq!(legs(&table.clone().with(0, off)), ["1"]);
    let empty = |e: &mut EndpointRoute| e.targets_on = 0;
    assert_eq!(legs(&table.clone().with(0, off).with(1, empty)), ["2"]);
    let hook = |e: &mut EndpointRoute| e.kind = EndpointKind::Webhook;
    assert_eq!(refusal(&table.clone().with(0, hook)), (Refusal::EndpointNotSip, 404));
    let mut none = table.clone();
    none.endpoint_id = None;
    assert_eq!(refusal(&none), (Refusal::NoEndpoint, 404));
    // Without a step for the cause, the refusal is what it is without a chain.
    assert_eq!(refusal(&table.with(0, off).with(1, off)), (Refusal::EndpointInactive, 480));
}

#[test]
fn an_endpoint_s_own_steps_come_first_and_serve_it_alone() {
    let table = Memory::new()
        .own(0, &json!([{"on": ["failed"], "to": to(1)}]))
        .own(2, &json!([{"on": ["failed", "busy"], "to": to(3)}]))
        .rules(json!({"fallback": [{"on": ["failed", "busy"], "to": to(2)}]}));
    assert_eq!(legs(&table), ["0 busy→#2 failed→#1", "1 busy|failed→#2", "2 busy|failed→#3", "3"]);
}

#[test]
fn circles_are_cut_and_told() {
    let table = Memory::new()
        .own(0, &json!([{"on": ["failed"], "to": to(1)}]))
        .own(1, &json!([{"on": ["failed"], "to": to(2)}]))
        .own(2, &json!([{"on": ["failed"], "to": to(0)}]));
    assert_eq!(legs(&table), ["0 failed→#1", "1 failed→#2", "2"]);
    let (_, rules) = told(&table, "12125550100", "2026-03-02T12:00:00Z");
    assert!(rules.iter().any(|rule| rule.name == RuleName::NoCircle && !rule.passed));
}

#[test]
fn what_is_written_must_not_lead_back() {
    let stored = |id_: EndpointId| -> std::result::Result<Vec<EndpointId>, ()> {
        Ok(match id_.0.as_u128() - 100 {
            0 => vec![id(1)],
            1 => vec![id(2), id(3)],
            2 => vec![id(0)],
            _ => Vec::new(),
        })
    };
    assert_eq!((loops(id(0), stored), loops(id(3), stored)), (Ok(true), Ok(false)));
    let own = E164::from_u64(DIALLED).unwrap();
    let mut rules = NumberRules::default();
    let steps = json!([{"on": ["busy"], "to": {"e164": own.to_string()}}]);
    let patch = NumberRulesPatch {
        fallback: Patch::Set(json::steps(&steps, What::Number).unwrap()),
        ..NumberRulesPatch::default()
    };
    assert_eq!(rules.update(patch, own).unwrap_err().field, Some("fallback"));
    let mut rules = EndpointRules::default();
    let steps = json::steps(&json!([{"on": ["busy"], "to": to(1)}]), What::Endpoint).unwrap();
    let patch = EndpointRulesPatch { fallback: Patch::Set(steps), ..EndpointRulesPatch::default() };
    assert!(rules.update(patch.clone(), id(1)).is_err() && rules.update(patch, id(2)).is_ok());
}

#[test]
fn all_down_is_tried_anyway_unless_a_step_says_where_else() {
    let down = |e: &mut EndpointRoute| e.down = Some(e.targets_on);
    assert_eq!(legs(&Memory::new().with(0, down)), ["0"]);
    let table = Memory::new().rules(json!({"fallback": [{"on": ["all_down"], "to": to(1)}]})).with(0, down);
    assert_eq!(legs(&table), ["1"]);
    // The place of the step is down too: there is no step behind it, so it is tried.
    assert_eq!(legs(&table.with(1, down)), ["1"]);
}

#[test]
fn a_decision_tells_of_targets_that_are_asked_and_down() {
    let two = |down: Option<usize>| move |e: &mut EndpointRoute| (e.targets_on, e.down) = (2, down);
    let told = |table: &Memory| {
        let mut told = Vec::new();
        let trunks = [TrunkRoute::of(TRUNK, Some(OWNER))];
        let call = CallIn {
            tls: None,
            trunks: &trunks,
            dialled: E164::from_u64(DIALLED),
            caller: CallerShown::Anyone,
            offer: None,
            at: crate::Timestamp::UNIX_EPOCH,
            name: "",
        };
        decide(table, call, |rule| told.push(rule)).unwrap();
        let of_targets = |rule: &Rule| rule.name == RuleName::TargetsUp;
        told.into_iter().filter(of_targets).map(|rule| (rule.passed, rule.detail())).collect::<Vec<_>>()
    };
    let words = |text: &str| Some(text.to_owned());
    assert_eq!(told(&Memory::new().with(0, two(None))), [], "nobody asks");
    assert_eq!(told(&Memory::new().with(0, two(Some(0)))), [(true, None)]);
    assert_eq!(told(&Memory::new().with(0, two(Some(1)))), [(false, words("1 of 2 down, tried last"))]);
    assert_eq!(told(&Memory::new().with(0, two(Some(2)))), [(false, words("all 2 down"))]);
    let steps = json!({"fallback": [{"on": ["all_down"], "to": to(1)}]});
    let table = Memory::new().rules(steps).with(0, two(Some(2))).with(1, two(Some(0)));
    assert_eq!(told(&table), [(false, words("all 2 down")), (true, None)], "and of the place gone on to");
}

#[test]
fn another_number_stands_for_its_endpoint() {
    let steps = |digits: u64| json!({"fallback": [{"on": ["busy"], "to": {"e164": format!("+{digits}")}}]});
    assert_eq!(legs(&Memory::new().rules(steps(OTHER))), ["0 busy→#1", "4"]);
    assert_eq!(legs(&Memory::new().rules(steps(14_155_550_999))), ["0"], "a number that nobody holds");
}

#[test]
fn rules_are_looked_at_in_their_order() {
    let all = json!({
        "caller_rules": [
            {"from": "+1900*", "action": "refuse", "status": 403},
            {"from": "+12125550100", "action": "endpoint", "endpoint_id": id(1).to_string()},
            {"from": "anonymous", "action": "refuse"},
        ],
        "schedule": {"time_zone": "UTC", "windows": [
            {"days": ["mon"], "from": "09:00", "to": "12:00"},
            {"days": ["mon"], "from": "12:00", "to": "17:00", "endpoint_id": id(2).to_string()}]},
        "split": [{"endpoint_id": id(3).to_string(), "percent": 100}],
        "fallback": [{"on": ["closed"], "to": to(4)}],
    });
    let table = Memory::new().rules(all);
    let (morning, noon, night) = ("2026-03-02T09:30:00Z", "2026-03-02T12:00:00Z", "2026-03-02T20:00:00Z");
    let rows = [
        // A refused caller is refused, open or closed.
        ("19005550100", morning, Err((Refusal::CallerRefused, 403))),
        ("19005550100", night, Err((Refusal::CallerRefused, 403))),
        ("", morning, Err((Refusal::CallerRefused, 603))),
        // Closed comes before the caller's place; then caller, window, split.
        ("12125550100", night, Ok("4")),
        ("12125550100", noon, Ok("1")),
        ("12125550199", noon, Ok("2")),
        ("12125550199", morning, Ok("3")),
    ];
    for (caller, at, wanted) in rows {
        let found = told(&table, caller, at).0.map(|legs| legs[0].clone());
        assert_eq!(found, wanted.map(str::to_owned), "{caller} {at}");
    }
}

#[test]
fn closed_without_a_fallback_is_refused_and_an_organization_s_schedule_is_for_numbers_without_one() {
    let closed = json!({"time_zone": "UTC"});
    let schedule = Arc::new(Schedule::read(&closed, (What::Organization, "settings")).unwrap());
    let mut table = Memory::new();
    table.schedule = Some(Arc::clone(&schedule));
    assert_eq!(refusal(&table), (Refusal::Closed, 480));
    let week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let always = json!({"schedule": {"time_zone": "UTC", "windows": [{"days": week, "from": "00:00", "to": "24:00"}]}});
    let mut own = Memory::new().rules(always);
    own.schedule = Some(schedule);
    assert_eq!(legs(&own), ["0"]);
}

#[test]
fn limits_on_calls_refuse_by_their_kind() {
    let mut table = Memory::new().rules(json!({"max_concurrent_calls": 2}));
    table.number_calls = 1;
    assert_eq!(legs(&table), ["0"]);
    table.number_calls = 2;
    assert_eq!(refusal(&table), (Refusal::NumberFull, 486));
    (table.number_calls, table.trunk_calls, table.trunk_max) = (0, 5, Some(5));
    assert_eq!(refusal(&table), (Refusal::TrunkFull, 503));
    table.trunk_max = Some(6);
    assert_eq!(legs(&table), ["0"]);
}

fn goal() -> impl Strategy<Value = Goal> {
    prop_oneof![
        5 => (0_u128..6).prop_map(|n| Goal::Endpoint(id(n))),
        1 => Just(Goal::Number(E164::from_u64(OTHER).unwrap())),
        1 => Just(Goal::Refuse(486)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let on = prop::collection::vec(0..Cause::ALL.len(), 1..5)
        .prop_map(|causes| causes.into_iter().map(|at| Cause::ALL[at]).collect::<Causes>());
    prop::collection::vec((on, goal()).prop_map(|(on, to)| Step { on, to }), 0..6)
}

proptest! {
    /// However rules were written: each place is come to once, exits lead forward, no cause has two of them, and nothing that
    /// cannot be called is among the places.
    #[test]
    fn every_chain_comes_to_an_end(
        own in prop::collection::vec(steps(), 5), number in steps(),
        states in prop::collection::vec(0_u8..6, 5), first in prop::option::of(0_u128..6),
    ) {
        let mut table = Memory::new();
        table.endpoint_id = first.map(id);
        for (n, (steps, state)) in (0_u128..).zip(own.into_iter().zip(states)) {
            let endpoint = table.endpoints.get_mut(&id(n)).unwrap();
            endpoint.has_fallback = !steps.is_empty();
            match state {
                0 => endpoint.status = EndpointStatus::Inactive,
                1 => endpoint.targets_on = 0,
                2 => endpoint.down = Some(endpoint.targets_on),
                _ => {}
            }
            table.fallbacks.insert(id(n), steps);
        }
        table.rules = Some(Arc::new(NumberRules { fallback: number, ..NumberRules::default() }));
        let trunks = [TrunkRoute::of(TRUNK, Some(OWNER))];
        let call = CallIn {
            tls: None,
            trunks: &trunks, dialled: E164::from_u64(DIALLED), caller: CallerShown::Number(None), offer: None,
            at: crate::Timestamp::UNIX_EPOCH, name: "",
        };
        let decided = decide(&table, call, |_| {});
        prop_assert_eq!(&decided, &decide(&table, call, |_| {}));
        let Ok(routed) = decided else { return Ok(()) };
        prop_assert!(stands(&table, routed.endpoint_id).is_ok());
        let Some(chain) = routed.chain else { return Ok(()) };
        prop_assert!(chain.legs.len() <= LEGS_MAX);
        let mut seen = Vec::new();
        for (at, leg) in chain.legs.iter().enumerate() {
            prop_assert!(stands(&table, leg.endpoint_id).is_ok() && !seen.contains(&leg.endpoint_id));
            seen.push(leg.endpoint_id);
            for cause in Cause::ALL {
                prop_assert!(leg.exits.iter().filter(|exit| exit.on.has(cause)).count() <= 1);
            }
            for exit in &leg.exits {
                let forward = match exit.to { Onward::Leg(to) => to > at && to < chain.legs.len(), Onward::Refuse(_) => true };
                prop_assert!(forward);
            }
        }
    }
}
