//! Cartesia's API.

use dialects::Dialect;
use dialects::cartesia::Cartesia;
use domain::error::{Error, Kind, What};
use domain::key::Mode;
use domain::provider::ProviderKind;
use domain::view::{AgentBrief, NumberView, ProviderBrief};
use domain::{Paged, View};
use insta::assert_snapshot;

use crate::kit::{
    NUMBER, OTHER, PROVIDER, Text, agent, body, column, context, contract, hold, hold_refusals, number,
    print, provider,
};

const LIST: &str = "/agents/phone-numbers";
const OF_AGENT: &str = "/agents/{agent_id}/phone-numbers";

fn ops(requests: &[&str]) -> String {
    let row = |request: &&str| {
        format!("{request}\n  {:?}\n", Text(request).decode(&Cartesia).map_err(|e| e.public))
    };
    requests.iter().map(row).collect()
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&Cartesia);
    (reply.status.as_u16(), body(&reply)["title"].as_str().unwrap_or("").to_owned())
}

#[test]
fn each_kind_has_its_status_code_and_title() {
    assert_snapshot!(column(&Cartesia, |body| format!("{} {}", body["error_code"], body["title"])), @r#"
    Unauthenticated 401 null "Unauthorized"
    Forbidden 403 null "Forbidden"
    NotFound 404 null "Not found"
    MethodNotAllowed 405 null "Method not allowed"
    Exists 409 null "Already exists" x-should-retry="false"
    Stale 409 null "Conflict" x-should-retry="false"
    Conflict 409 null "Conflict" x-should-retry="false"
    Malformed 400 null "Bad request"
    TooLarge 413 null "Request too large"
    Missing 400 null "Bad request"
    Invalid 400 null "Bad request"
    KeyReused 400 null "Bad request"
    Running 409 null "Request in progress"
    KycNotSubmitted 403 null "Identity verification required"
    KycInitiated 403 null "Identity verification required"
    KycPending 403 null "Identity verification required"
    KycDeclined 403 null "Identity verification required"
    Balance 402 null "Insufficient balance"
    Slots 402 "quota_exceeded" "Quota exceeded"
    Limit 429 null "Too many requests" retry-after="1"
    CarrierRefused 400 null "Refused by the carrier"
    Unavailable 503 null "Service unavailable"
    Internal 500 null "Internal error"
    "#);
}

#[test]
fn refusals_keep_to_their_shape() {
    // The contract has no schema of errors; the document made here is the judge.
    hold_refusals(&Cartesia, &contract("cartesia-numbers"), ("get", LIST), None);
    let error = Error::new(Kind::Conflict, What::Number, "It is in use.");
    assert_snapshot!(print(&Cartesia.refuse(&context(&[]), &error)), @r#"
    409 Conflict
    x-should-retry: false

    {
      "error_code": null,
      "message": "It is in use.",
      "request_id": "0190b5b0-0000-7000-8000-000000000006",
      "title": "Conflict"
    }
    "#);
}

#[test]
fn lists_are_read() {
    assert_snapshot!(ops(&[
        "GET /agents/phone-numbers",
        "GET /agents/phone-numbers?starting_after=&ending_before=&limit=&agent_id=&provider_id=&type=&q=",
        &format!("GET /agents/phone-numbers?agent_id=PROJECT-1&provider_id={PROVIDER}&type=sip_trunk&q=%2B1&limit=100"),
        &format!("GET /agents/phone-numbers?starting_after=pn_{NUMBER}&type=cartesia"),
        &format!("GET /agents/phone-numbers?ending_before={NUMBER}&limit=1"),
        "GET /agents/PROJECT-1/phone-numbers",
    ]), @r#"
    GET /agents/phone-numbers
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 10, start: First }))
    GET /agents/phone-numbers?starting_after=&ending_before=&limit=&agent_id=&provider_id=&type=&q=
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 10, start: First }))
    GET /agents/phone-numbers?agent_id=PROJECT-1&provider_id=0190b5b0-0000-7000-8000-000000000005&type=sip_trunk&q=%2B1&limit=100
      Ok(NumberList(NumberQuery { q: Some("+1"), agent_id: Some(AgentId("PROJECT-1")), endpoint_id: None, provider_id: Some(ProviderId(0190b5b0-0000-7000-8000-000000000005)), provider_kind: Some(SipTrunk), country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 100, start: First }))
    GET /agents/phone-numbers?starting_after=pn_0190b5b0-0000-7000-8000-000000000002&type=cartesia
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: Some(Managed), country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 10, start: After(NumberId(0190b5b0-0000-7000-8000-000000000002)) }))
    GET /agents/phone-numbers?ending_before=0190b5b0-0000-7000-8000-000000000002&limit=1
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 1, start: Before(NumberId(0190b5b0-0000-7000-8000-000000000002)) }))
    GET /agents/PROJECT-1/phone-numbers
      Ok(NumberListOfAgent(AgentId("PROJECT-1"), Page { limit: 10000, start: First }))
    "#);
}

#[test]
fn filters_that_nothing_meets_are_no_errors() {
    let nil = "provider_id: Some(ProviderId(00000000-0000-0000-0000-000000000000))";
    for query in
        ["provider_id=ata_1", "agent_id=no%20id", &format!("agent_id=no%20id&provider_id={PROVIDER}")]
    {
        let request = format!("GET /agents/phone-numbers?{query}");
        let op = Text(&request).decode(&Cartesia).unwrap();
        assert!(format!("{op:?}").contains(nil), "{query}: {op:?}");
    }
}

#[test]
fn lists_out_of_bounds_are_refused() {
    let both = format!("starting_after=pn_{NUMBER}&ending_before=pn_{OTHER}");
    for query in [
        "limit=0",
        "limit=101",
        "limit=-5",
        "limit=ten",
        "type=pigeon",
        "starting_after=pn_nowhere",
        "ending_before=%25%25",
        "starting_after=pn_",
        &both,
    ] {
        assert_eq!(refused(&format!("GET {LIST}?{query}")), (400, "Bad request".into()), "{query}");
    }
    assert_eq!(refused("GET /agents/no%20id/phone-numbers").0, 404);
}

#[test]
fn two_versions_are_served_and_none_means_the_contracts() {
    let with = |version: &str| format!("GET {LIST}\nCartesia-Version: {version}");
    assert!(Text(&with("2026-03-01")).decode(&Cartesia).is_ok());
    assert!(Text(&with("2026-08-14")).decode(&Cartesia).is_ok());
    for version in ["2025-04-16", "latest"] {
        assert_eq!(refused(&with(version)), (404, "API version not found".into()), "{version}");
    }
}

fn view(change: impl FnOnce(&mut NumberView)) -> NumberView {
    let mut view = number();
    change(&mut view);
    view
}

fn on_trunk(kind: ProviderKind) -> NumberView {
    view(|view| {
        view.number.agent_id = Some(agent());
        view.agent = Some(AgentBrief { id: agent(), name: "Ada".into() });
        view.provider = Some(ProviderBrief { id: provider(), kind, label: "carrier".into(), account: None });
    })
}

#[test]
fn pages_are_written() {
    let unnamed = view(|view| view.number.label = None);
    let page = Paged { items: vec![unnamed, on_trunk(ProviderKind::Managed)], more: true };
    let reply = Text(&format!("GET {LIST}")).encode(&Cartesia, View::Numbers(page));
    hold(&contract("cartesia-numbers"), ("get", LIST), &reply, None);
    hold(&Cartesia.openapi(), ("get", LIST), &reply, None);
    assert_snapshot!(print(&reply), @r#"
    200 OK

    {
      "data": [
        {
          "agent": null,
          "created_at": "2026-03-01T12:00:00.123Z",
          "id": "pn_0190b5b0-0000-7000-8000-000000000002",
          "label": null,
          "number": "+14155550100",
          "provider": {
            "type": "cartesia"
          },
          "updated_at": "2026-03-01T12:00:00.123Z"
        },
        {
          "agent": {
            "id": "PROJECT-1",
            "name": "Ada"
          },
          "created_at": "2026-03-01T12:00:00.123Z",
          "id": "pn_0190b5b0-0000-7000-8000-000000000002",
          "label": "front desk",
          "number": "+14155550100",
          "provider": {
            "type": "cartesia"
          },
          "updated_at": "2026-03-01T12:00:00.123Z"
        }
      ],
      "has_more": true
    }
    "#);
    let page = Paged { items: vec![on_trunk(ProviderKind::SipTrunk)], more: false };
    let reply = Text(&format!("GET {LIST}")).encode(&Cartesia, View::Numbers(page));
    // The contract's providers have no trunk: only our own document can judge this one.
    hold(&Cartesia.openapi(), ("get", LIST), &reply, None);
    assert_snapshot!(body(&reply)["data"][0]["provider"], @r#"{"id":"0190b5b0-0000-7000-8000-000000000005","label":"carrier","type":"sip_trunk"}"#);
    let nothing = Paged { items: Vec::new(), more: false };
    let reply = Text(&format!("GET {LIST}")).encode(&Cartesia, View::Numbers(nothing));
    assert_eq!(body(&reply), serde_json::json!({"data": [], "has_more": false}));
}

#[test]
fn the_list_of_an_agent_is_written() {
    let items = vec![on_trunk(ProviderKind::Managed), on_trunk(ProviderKind::SipTrunk)];
    let page = View::Numbers(Paged { items, more: false });
    let reply = Text("GET /agents/PROJECT-1/phone-numbers").encode(&Cartesia, page);
    hold(&contract("cartesia-agent-numbers"), ("get", OF_AGENT), &reply, None);
    hold(&Cartesia.openapi(), ("get", OF_AGENT), &reply, None);
    assert_snapshot!(print(&reply), @r#"
    200 OK

    [
      {
        "agent_id": "PROJECT-1",
        "created_at": "2026-03-01T12:00:00.123Z",
        "is_cartesia_managed": true,
        "number": "+14155550100",
        "updated_at": "2026-03-01T12:00:00.123Z"
      },
      {
        "agent_id": "PROJECT-1",
        "created_at": "2026-03-01T12:00:00.123Z",
        "is_cartesia_managed": false,
        "number": "+14155550100",
        "updated_at": "2026-03-01T12:00:00.123Z"
      }
    ]
    "#);
}

#[test]
fn both_credential_forms_are_taken() {
    let read = |headers: &[(&str, &str)]| Cartesia.credential(&context(headers).headers).ok();
    let key = Cartesia.key("s", Mode::Test);
    assert_eq!(key, "sk_car_s");
    let bearer = format!("Bearer {key}");
    assert_eq!(read(&[("authorization", &bearer)]), Some(Some(key.clone())));
    assert_eq!(read(&[("x-api-key", &key)]), Some(Some(key.clone())));
    assert_eq!(read(&[("x-api-key", &key), ("authorization", &bearer)]), Some(Some(key.clone())));
    assert_eq!(read(&[("x-api-key", "other"), ("authorization", &bearer)]), None);
    assert_eq!(read(&[("authorization", "Basic eDp5")]), Some(Some(String::new())));
    assert_eq!(read(&[]), Some(None));
}
