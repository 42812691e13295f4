//! Each row of the table, both directions.

use dialects::Dialect as _;
use dialects::native::Native;
use domain::op::Secret;
use domain::routing::Rule;
use domain::view::{Explanation, Outcome};
use domain::{E164, Micros, Paged, View};
use serde_json::json;

use crate::fixtures::*;
use crate::support::{Ask, answer, ask, owner};

fn page<T>(row: T) -> Paged<T> {
    Paged { items: vec![row], more: true }
}

const ORGANIZATION: &str = "11111111-1111-1111-1111-111111111111";
const KEY: &str = "22222222-2222-2222-2222-222222222222";
const ENDPOINT: &str = "44444444-4444-4444-4444-444444444444";
const PROVIDER: &str = "55555555-5555-5555-5555-555555555555";
const STOCK: &str = "66666666-6666-6666-6666-666666666666";
const NUMBER: &str = "77777777-7777-7777-7777-777777777777";
const CALL: &str = "88888888-8888-8888-8888-888888888888";

fn of_organizations() -> Vec<(Ask, View)> {
    let at = |rest: &str| format!("/api/v1/organizations/{ORGANIZATION}{rest}");
    let settings =
        json!({ "name": "acme", "kyc": "approved", "number_slots": null, "settings": { "imports": "open" } });
    let post = |rest: &str| ask(&format!("POST {}", at(rest)));
    let get = |rest: &str| ask(&format!("GET {}", at(rest)));
    let new_key = json!({ "name": "ci", "dialect": "native", "role": "member", "scopes": ["numbers:read"], "mode": "test" });
    vec![
        (ask("POST /api/v1/organizations").json(&settings), View::Organization(organization())),
        (ask("GET /api/v1/organizations?limit=1").by(owner()), View::Organizations(page(organization()))),
        (get("").by(owner()), View::Organization(organization())),
        (
            ask(&format!("PATCH {}", at(""))).json(&json!({ "number_slots": 5 })).header("if-match", "\"2\""),
            View::Organization(organization()),
        ),
        (post("/keys").json(&new_key), View::KeyCreated(key(), Secret("tl_test_abcdef".into()))),
        (get("/keys"), View::Keys(page(key()))),
        (ask(&format!("DELETE {}", at(&format!("/keys/{KEY}")))), View::Done),
        (post("/ledger").json(&json!({ "amount_cents": 500, "reason": "top up" })), View::Entry(entry())),
        (get("/ledger?cursor=OQ"), View::Ledger(page(entry()))),
        (get("/balance"), View::Balance(Micros(984_999))),
    ]
}

fn of_agents() -> Vec<(Ask, View)> {
    vec![
        (
            ask("POST /api/v1/agents").json(&json!({ "name": "Ada", "description": null })),
            View::Agent(agent()),
        ),
        (ask("GET /api/v1/agents?limit=1000&cursor=YWRh"), View::Agents(page(agent()))),
        (ask("GET /api/v1/agents/ada"), View::Agent(agent())),
        (ask("PATCH /api/v1/agents/ada").json(&json!({ "description": null })), View::Agent(agent())),
        (ask("DELETE /api/v1/agents/ada").header("if-match", "\"1\""), View::Done),
    ]
}

fn of_endpoints() -> Vec<(Ask, View)> {
    let body = json!({
        "name": "desk", "kind": "sip", "agent_id": "ada", "environment": "live", "is_default": null,
        "targets": [{ "uri": "sip:agent@127.0.0.1:5080" }, { "uri": "sip:b@h", "priority": 0, "weight": 1, "enabled": false }],
        "source_addresses": ["192.0.2.77/24"],
    });
    let at = |method: &str| ask(&format!("{method} /api/v1/endpoints/{ENDPOINT}"));
    vec![
        (ask("POST /api/v1/endpoints").json(&body), View::Endpoint(endpoint())),
        (ask("GET /api/v1/endpoints"), View::Endpoints(page(endpoint()))),
        (at("GET"), View::Endpoint(endpoint())),
        (at("PATCH").json(&json!({ "agent_id": null, "targets": [] })), View::Endpoint(endpoint())),
        (at("DELETE"), View::Done),
    ]
}

fn of_providers() -> Vec<(Ask, View)> {
    let body = json!({
        "kind": "sip_trunk", "label": "carrier",
        "inbound": { "allowed_addresses": ["127.0.0.1"], "credentials": { "username": "in", "password": "hush" } },
        "outbound": { "address": "sip.example.com:5061", "transport": "tls" },
    });
    let at = |method: &str| ask(&format!("{method} /api/v1/providers/{PROVIDER}"));
    vec![
        (ask("POST /api/v1/providers").json(&body), View::Provider(provider())),
        (ask("GET /api/v1/providers"), View::Providers(page(provider()))),
        (at("GET"), View::Provider(provider())),
        (
            at("PATCH").json(&json!({ "inbound": { "allowed_addresses": [], "credentials": null } })),
            View::Provider(provider()),
        ),
        (at("DELETE"), View::Done),
    ]
}

fn of_stock() -> Vec<(Ask, View)> {
    let body = json!({
        "e164": "+14155550100", "country": "US", "type": "local", "setup_cost_cents": 100, "monthly_cost_cents": 200,
        "capabilities": { "voice": true, "sms": false, "fax": false },
    });
    let at = |method: &str| ask(&format!("{method} /api/v1/stock/{STOCK}"));
    vec![
        (ask("POST /api/v1/stock").json(&body), View::Stock(stock())),
        (ask("GET /api/v1/stock?country=us&type=local&q=415").by(owner()), View::Stocks(page(stock()))),
        (at("PATCH").json(&json!({ "monthly_cost_cents": 0 })), View::Stock(stock())),
        (at("DELETE"), View::Done),
    ]
}

fn of_numbers() -> Vec<(Ask, View)> {
    let view = || View::Number(Box::new(number()));
    let mut shown = number();
    shown.sip.password = Some("hush".into());
    let explanation = Explanation {
        number: E164::from_digits("14155550100"),
        outcome: Outcome::Refuse,
        sip_status: 480,
        reason: "The number has no endpoint.".into(),
        steps: vec![Rule { name: "number", passed: true }, Rule { name: "endpoint", passed: false }],
        targets: Vec::new(),
    };
    let buy = json!({ "stock_id": STOCK, "agent_id": "ada", "label": null });
    let import = json!({ "provider_id": PROVIDER, "label": "batch", "numbers": ["+14155550100", { "e164": "+14155550101", "label": "own" }] });
    let filters = format!(
        "q=415&agent_id=ada&endpoint_id={ENDPOINT}&status=active&country=US&type=local&environment=live"
    );
    vec![
        (ask("POST /api/v1/numbers").json(&buy), view()),
        (ask(&format!("GET /api/v1/numbers?{filters}")), View::Numbers(page(number()))),
        (ask("POST /api/v1/numbers/import").json(&import), View::Imported(Vec::new())),
        (ask("GET /api/v1/numbers/+14155550100"), view()),
        (
            ask(&format!("PATCH /api/v1/numbers/{NUMBER}"))
                .json(&json!({ "endpoint_id": null, "status": "inactive" })),
            view(),
        ),
        (ask(&format!("DELETE /api/v1/numbers/{NUMBER}")), view()),
        (ask(&format!("DELETE /api/v1/numbers/{NUMBER}?permanent=true")), View::Done),
        (ask(&format!("POST /api/v1/numbers/{NUMBER}/restore")), view()),
        (ask("POST /api/v1/numbers/14155550100/sip-credentials"), View::Number(Box::new(shown))),
        (ask("GET /api/v1/numbers/anything/explain?from=[::1]:5060"), View::Explanation(explanation)),
    ]
}

fn of_records() -> Vec<(Ask, View)> {
    vec![
        // Form decoding makes a blank of `+`.
        (
            ask("GET /api/v1/calls?status=no_answer&direction=inbound&number= 14155550100"),
            View::Calls(page(call())),
        ),
        (ask(&format!("GET /api/v1/calls/{CALL}")), View::Call(Box::new(call()))),
        (ask("GET /api/v1/events?limit=7"), View::Events(page(event()))),
    ]
}

fn text(exchanges: Vec<(Ask, View)>) -> String {
    let mut shown = Vec::new();
    let texts: Vec<_> = exchanges.into_iter().map(|(ask, view)| ask.exchange(view, &mut shown)).collect();
    texts.join("\n\n")
}

#[test]
fn every_row_of_the_table_has_an_exchange() {
    let all = [
        of_organizations(),
        of_agents(),
        of_endpoints(),
        of_providers(),
        of_stock(),
        of_numbers(),
        of_records(),
    ];
    let asked: Vec<_> = all.iter().flatten().map(|(ask, _)| ask.verb()).collect();
    for endpoint in Native.endpoints() {
        assert!(asked.contains(&endpoint.verb), "{} {} has no exchange", endpoint.method, endpoint.path);
        assert!(endpoint.scope.is_some() && endpoint.path.starts_with("/api/v1/"), "{}", endpoint.path);
    }
}

#[test]
fn organizations_keys_and_money() {
    insta::assert_snapshot!(text(of_organizations()), @r#"
    POST /api/v1/organizations {"kyc":"approved","name":"acme","number_slots":null,"settings":{"imports":"open"}}
    → OrganizationCreate(OrganizationNew { name: "acme", kyc: Approved, number_slots: None, settings: {"imports": String("open")} })
    ← 201
    etag: "3"
    location: /api/v1/organizations/11111111-1111-1111-1111-111111111111
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": "11111111-1111-1111-1111-111111111111",
      "kyc": "approved",
      "name": "acme",
      "number_slots": null,
      "settings": {
        "imports": "open"
      },
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/organizations?limit=1
    → OrganizationList(Page { limit: 1, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"MTExMTExMTEtMTExMS0xMTExLTExMTEtMTExMTExMTExMTEx"}

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111
    → OrganizationGet(OrganizationId(11111111-1111-1111-1111-111111111111))
    ← 200
    etag: "3"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/organizations/11111111-1111-1111-1111-111111111111 {"number_slots":5}
    → OrganizationUpdate(OrganizationId(11111111-1111-1111-1111-111111111111), OrganizationPatch { name: None, kyc: None, number_slots: Set(5), settings: None }, Some(2))
    ← 200
    etag: "3"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys {"dialect":"native","mode":"test","name":"ci","role":"member","scopes":["numbers:read"]}
    → KeyCreate(OrganizationId(11111111-1111-1111-1111-111111111111), KeyNew { name: "ci", dialect: DialectName("native"), role: Member, scopes: Some([Scope { area: Numbers, access: Read }]), mode: Test, allowed_addresses: [], expires_at: None })
    ← 201
    location: /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys/22222222-2222-2222-2222-222222222222
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "allowed_addresses": [],
      "created_at": "2026-03-01T12:00:00.250000Z",
      "dialect": "native",
      "expires_at": null,
      "id": "22222222-2222-2222-2222-222222222222",
      "key": "tl_test_abcdef",
      "mode": "test",
      "name": "ci",
      "prefix": "tl_test_abcd",
      "revoked_at": null,
      "role": "member",
      "scopes": [
        "numbers:read"
      ]
    }

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys
    → KeyList(OrganizationId(11111111-1111-1111-1111-111111111111), Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "allowed_addresses": [],
          "created_at": "2026-03-01T12:00:00.250000Z",
          "dialect": "native",
          "expires_at": null,
          "id": "22222222-2222-2222-2222-222222222222",
          "mode": "test",
          "name": "ci",
          "prefix": "tl_test_abcd",
          "revoked_at": null,
          "role": "member",
          "scopes": [
            "numbers:read"
          ]
        }
      ],
      "next_cursor": "MjIyMjIyMjItMjIyMi0yMjIyLTIyMjItMjIyMjIyMjIyMjIy"
    }

    DELETE /api/v1/organizations/11111111-1111-1111-1111-111111111111/keys/22222222-2222-2222-2222-222222222222
    → KeyDelete(OrganizationId(11111111-1111-1111-1111-111111111111), KeyId(22222222-2222-2222-2222-222222222222))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/organizations/11111111-1111-1111-1111-111111111111/ledger {"amount_cents":500,"reason":"top up"}
    → LedgerPost(OrganizationId(11111111-1111-1111-1111-111111111111), 500, "top up")
    ← 201
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "account": "wallet",
      "amount_cents": -2,
      "amount_micros": -15001,
      "balance_after_cents": 98,
      "balance_after_micros": 984999,
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": 9,
      "posting_id": "33333333-3333-3333-3333-333333333333",
      "reason": "call"
    }

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/ledger?cursor=OQ
    → LedgerList(OrganizationId(11111111-1111-1111-1111-111111111111), Page { limit: 100, start: After(9) })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"OQ"}

    GET /api/v1/organizations/11111111-1111-1111-1111-111111111111/balance
    → BalanceGet(OrganizationId(11111111-1111-1111-1111-111111111111))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "balance_cents": 98,
      "currency": "USD"
    }
    "#);
}

#[test]
fn agents() {
    insta::assert_snapshot!(text(of_agents()), @r#"
    POST /api/v1/agents {"description":null,"name":"Ada"}
    → AgentCreate(None, AgentPatch { name: Some("Ada"), description: Keep, bags: {} })
    ← 201
    etag: "1"
    location: /api/v1/agents/ada
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "description": null,
      "id": "ada",
      "name": "Ada",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/agents?limit=1000&cursor=YWRh
    → AgentList(Page { limit: 1000, start: After(AgentId("ada")) })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"YWRh"}

    GET /api/v1/agents/ada
    → AgentGet(AgentId("ada"))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/agents/ada {"description":null}
    → AgentUpdate(AgentId("ada"), AgentPatch { name: None, description: Clear, bags: {} }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/agents/ada
    → AgentDelete(AgentId("ada"), Some(1))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn endpoints() {
    insta::assert_snapshot!(text(of_endpoints()), @r#"
    POST /api/v1/endpoints {"agent_id":"ada","environment":"live","is_default":null,"kind":"sip","name":"desk","source_addresses":["192.0.2.77/24"],"targets":[{"uri":"sip:agent@127.0.0.1:5080"},{"enabled":false,"priority":0,"uri":"sip:b@h","weight":1}]}
    → EndpointCreate(EndpointPatch { name: Some("desk"), kind: Some(Sip), status: None, url: Keep, config: None, agent_id: Set(AgentId("ada")), environment: Some(Live), is_default: None, targets: Some([Target { uri: TargetUri { text: "sip:agent@127.0.0.1:5080", user: Some("agent"), host: "127.0.0.1", port: Some(5080), transport: Udp }, priority: 10, weight: 10, enabled: true }, Target { uri: TargetUri { text: "sip:b@h", user: Some("b"), host: "h", port: None, transport: Udp }, priority: 0, weight: 1, enabled: false }]), source_addresses: Some([AddressRule { network: 192.0.2.0, prefix: 24 }]), bags: {} })
    ← 201
    etag: "1"
    location: /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "agent_id": "ada",
      "config": {},
      "created_at": "2026-03-01T12:00:00.250000Z",
      "environment": "live",
      "id": "44444444-4444-4444-4444-444444444444",
      "is_default": false,
      "kind": "sip",
      "name": "desk",
      "source_addresses": [
        "192.0.2.0/24"
      ],
      "status": "active",
      "targets": [
        {
          "enabled": true,
          "priority": 10,
          "uri": "sip:agent@127.0.0.1:5080",
          "weight": 10
        }
      ],
      "updated_at": "2026-03-01T12:00:00.250000Z",
      "url": null
    }

    GET /api/v1/endpoints
    → EndpointList(Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NDQ0NDQ0NDQtNDQ0NC00NDQ0LTQ0NDQtNDQ0NDQ0NDQ0NDQ0"}

    GET /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    → EndpointGet(EndpointId(44444444-4444-4444-4444-444444444444))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/endpoints/44444444-4444-4444-4444-444444444444 {"agent_id":null,"targets":[]}
    → EndpointUpdate(EndpointId(44444444-4444-4444-4444-444444444444), EndpointPatch { name: None, kind: None, status: None, url: Keep, config: None, agent_id: Clear, environment: None, is_default: None, targets: Some([]), source_addresses: None, bags: {} }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/endpoints/44444444-4444-4444-4444-444444444444
    → EndpointDelete(EndpointId(44444444-4444-4444-4444-444444444444), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn providers_never_show_a_password() {
    insta::assert_snapshot!(text(of_providers()), @r#"
    POST /api/v1/providers {"inbound":{"allowed_addresses":["127.0.0.1"],"credentials":{"password":"hush","username":"in"}},"kind":"sip_trunk","label":"carrier","outbound":{"address":"sip.example.com:5061","transport":"tls"}}
    → ProviderCreate(SipTrunk, ProviderIn { label: Some("carrier"), inbound: Set(InboundIn { allowed_addresses: Some([AddressRule { network: 127.0.0.1, prefix: 32 }]), allowed_numbers: None, media_encryption: None, credentials: Set(CredentialsIn { username: "in", password: Some(Secret(…)) }) }), outbound: Set(OutboundIn { address: Some("sip.example.com:5061"), transport: Some(Tls), place: Movable, destination_country: Keep, media_encryption: None, credentials: Keep }) })
    ← 201
    etag: "1"
    location: /api/v1/providers/55555555-5555-5555-5555-555555555555
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "id": "55555555-5555-5555-5555-555555555555",
      "inbound": {
        "allowed_addresses": [
          "127.0.0.1"
        ],
        "allowed_numbers": [],
        "username": "in"
      },
      "kind": "sip_trunk",
      "label": "carrier",
      "organization_id": "11111111-1111-1111-1111-111111111111",
      "outbound": {
        "address": "sip.example.com:5061",
        "transport": "tls",
        "username": null
      },
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/providers
    → ProviderList(Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NTU1NTU1NTUtNTU1NS01NTU1LTU1NTUtNTU1NTU1NTU1NTU1"}

    GET /api/v1/providers/55555555-5555-5555-5555-555555555555
    → ProviderGet(ProviderId(55555555-5555-5555-5555-555555555555))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/providers/55555555-5555-5555-5555-555555555555 {"inbound":{"allowed_addresses":[],"credentials":null}}
    → ProviderUpdate(ProviderId(55555555-5555-5555-5555-555555555555), ProviderIn { label: None, inbound: Set(InboundIn { allowed_addresses: Some([]), allowed_numbers: None, media_encryption: None, credentials: Clear }), outbound: Keep }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/providers/55555555-5555-5555-5555-555555555555
    → ProviderDelete(ProviderId(55555555-5555-5555-5555-555555555555), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn stock_for_sale() {
    insta::assert_snapshot!(text(of_stock()), @r#"
    POST /api/v1/stock {"capabilities":{"fax":false,"sms":false,"voice":true},"country":"US","e164":"+14155550100","monthly_cost_cents":200,"setup_cost_cents":100,"type":"local"}
    → StockAddOne(StockNew { e164: "+14155550100", country: Some(Country([85, 83, 0], 2)), kind: Some(Local), setup_cost_cents: 100, monthly_cost_cents: 200, capabilities: Capabilities { voice: true, sms: false, fax: false } })
    ← 201
    etag: "1"
    location: /api/v1/stock/66666666-6666-6666-6666-666666666666
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "capabilities": {
        "fax": false,
        "sms": false,
        "voice": true
      },
      "country": "US",
      "created_at": "2026-03-01T12:00:00.250000Z",
      "e164": "+14155550100",
      "id": "66666666-6666-6666-6666-666666666666",
      "monthly_cost_cents": 200,
      "quarantined_until": null,
      "setup_cost_cents": 100,
      "status": "available",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/stock?country=us&type=local&q=415
    → StockList(StockQuery { country: Some(Country([85, 83, 0], 2)), kind: Some(Local), available_at: Some(2026-03-01T12:00:00.25Z), q: Some("415") }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NjY2NjY2NjYtNjY2Ni02NjY2LTY2NjYtNjY2NjY2NjY2NjY2"}

    PATCH /api/v1/stock/66666666-6666-6666-6666-666666666666 {"monthly_cost_cents":0}
    → StockUpdate(StockId(66666666-6666-6666-6666-666666666666), StockPatch { setup_cost_cents: None, monthly_cost_cents: Some(0), capabilities: None, kind: None }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/stock/66666666-6666-6666-6666-666666666666
    → StockDelete(StockId(66666666-6666-6666-6666-666666666666), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn numbers() {
    insta::assert_snapshot!(text(of_numbers()), @r#"
    POST /api/v1/numbers {"agent_id":"ada","label":null,"stock_id":"66666666-6666-6666-6666-666666666666"}
    → NumberBuy(Purchase { stock: Id(StockId(66666666-6666-6666-6666-666666666666)), setup: NumberSetup { endpoint_id: None, agent_id: Some(AgentId("ada")), label: None, environment: None }, believed: Believed { total_cents: None, setup_cents: None, monthly_cents: None } })
    ← 201
    etag: "1"
    location: /api/v1/numbers/77777777-7777-7777-7777-777777777777
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "agent_id": null,
      "agent_settings": {},
      "allow_inbound": true,
      "allow_outbound": false,
      "capabilities": {
        "fax": false,
        "sms": false,
        "voice": true
      },
      "country": "US",
      "created_at": "2026-03-01T12:00:00.250000Z",
      "e164": "+14155550100",
      "endpoint_id": null,
      "environment": "live",
      "id": "77777777-7777-7777-7777-777777777777",
      "label": "front desk",
      "monthly_cost_cents": 200,
      "provider_id": null,
      "psa_settings": {},
      "quarantined_until": null,
      "released_at": null,
      "setup_cost_cents": 100,
      "sip_uri": "sip:+14155550100@sip.example.com:5060",
      "sip_username": "u7",
      "status": "active",
      "stock_id": "66666666-6666-6666-6666-666666666666",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/numbers?q=415&agent_id=ada&endpoint_id=44444444-4444-4444-4444-444444444444&status=active&country=US&type=local&environment=live
    → NumberList(NumberQuery { q: Some("415"), agent_id: Some(AgentId("ada")), endpoint_id: Some(EndpointId(44444444-4444-4444-4444-444444444444)), provider_id: None, provider_kind: None, country: Some(Country([85, 83, 0], 2)), kind: Some(Local), status: Some(Active), environment: Some(Live), with_minutes: false }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"Nzc3Nzc3NzctNzc3Ny03Nzc3LTc3NzctNzc3Nzc3Nzc3Nzc3"}

    POST /api/v1/numbers/import {"label":"batch","numbers":["+14155550100",{"e164":"+14155550101","label":"own"}],"provider_id":"55555555-5555-5555-5555-555555555555"}
    → NumberImportMany(ProviderId(55555555-5555-5555-5555-555555555555), [Ok(Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: None, agent_id: None, label: Some("batch"), environment: None } }), Ok(Import { e164: "+14155550101", setup: NumberSetup { endpoint_id: None, agent_id: None, label: Some("own"), environment: None } })])
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created": 0,
      "failed": 0,
      "results": []
    }

    GET /api/v1/numbers/+14155550100
    → NumberGet(E164(E164(+1••••••••00)))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/numbers/77777777-7777-7777-7777-777777777777 {"endpoint_id":null,"status":"inactive"}
    → NumberUpdate(Id(NumberId(77777777-7777-7777-7777-777777777777)), NumberPatch { endpoint_id: Clear, agent_id: Keep, provider_id: None, environment: None, label: Keep, allow_inbound: None, allow_outbound: None, status: Some(Inactive), psa_settings: None, agent_settings: None }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/numbers/77777777-7777-7777-7777-777777777777
    → NumberRelease(Id(NumberId(77777777-7777-7777-7777-777777777777)), None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/numbers/77777777-7777-7777-7777-777777777777?permanent=true
    → NumberDelete(Id(NumberId(77777777-7777-7777-7777-777777777777)), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/restore
    → NumberRestore(Id(NumberId(77777777-7777-7777-7777-777777777777)))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/numbers/14155550100/sip-credentials
    → NumberCredentials(E164(E164(+1••••••••00)))
    ← 200
    etag: "1"
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "sip_domain": "sip.example.com",
      "sip_password": "hush",
      "sip_port": 5060,
      "sip_username": "u7"
    }

    GET /api/v1/numbers/anything/explain?from=[::1]:5060
    → NumberExplain("anything", Some(::1), None)
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "number": "+14155550100",
      "outcome": "refuse",
      "reason": "The number has no endpoint.",
      "sip_status": 480,
      "steps": [
        {
          "passed": true,
          "rule": "number"
        },
        {
          "passed": false,
          "rule": "endpoint"
        }
      ],
      "targets": []
    }
    "#);
}

#[test]
fn calls_and_events() {
    insta::assert_snapshot!(text(of_records()), @r#"
    GET /api/v1/calls?status=no_answer&direction=inbound&number= 14155550100
    → CallList(CallQuery { status: Some(NoAnswer), direction: Some(Inbound), number: Some(E164(+1••••••••00)), any_of: None, number_id: None, from: None, before: None }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "answered_at": "2026-03-01T12:00:00.250000Z",
          "attempts": [
            {
              "cause": "answered",
              "ended_at": "2026-03-01T12:00:00.250000Z",
              "n": 0,
              "sip_status": 200,
              "started_at": "2026-03-01T12:00:00.250000Z",
              "target": "sip:agent@127.0.0.1:5080"
            }
          ],
          "cost_micros": 15001,
          "direction": "inbound",
          "duration_seconds": 61,
          "ended_at": "2026-03-01T12:00:00.250000Z",
          "ended_by": "caller",
          "endpoint_id": "44444444-4444-4444-4444-444444444444",
          "from": "sip:+12125550100@192.0.2.7",
          "id": "88888888-8888-8888-8888-888888888888",
          "number": "+14155550100",
          "number_id": "77777777-7777-7777-7777-777777777777",
          "organization_id": "11111111-1111-1111-1111-111111111111",
          "provider_id": "55555555-5555-5555-5555-555555555555",
          "reason": null,
          "sip_status": null,
          "started_at": "2026-03-01T12:00:00.250000Z",
          "status": "completed",
          "to": "+14155550100"
        }
      ],
      "next_cursor": "ODg4ODg4ODgtODg4OC04ODg4LTg4ODgtODg4ODg4ODg4ODg4"
    }

    GET /api/v1/calls/88888888-8888-8888-8888-888888888888
    → CallGet(CallId(88888888-8888-8888-8888-888888888888))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    GET /api/v1/events?limit=7
    → EventList(Page { limit: 7, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "actor": "key",
          "created_at": "2026-03-01T12:00:00.250000Z",
          "data": {},
          "id": "99999999-9999-9999-9999-999999999999",
          "key_id": "22222222-2222-2222-2222-222222222222",
          "name": "number.purchased",
          "subject": "77777777-7777-7777-7777-777777777777"
        }
      ],
      "next_cursor": "OTk5OTk5OTktOTk5OS05OTk5LTk5OTktOTk5OTk5OTk5OTk5"
    }
    "#);
}

#[test]
fn the_last_page_has_no_cursor() {
    let last = Paged { items: vec![agent()], more: false };
    let reply = ask("GET /api/v1/agents").reply(View::Agents(last));
    assert!(answer(&reply).contains("\"next_cursor\": null"));
}

#[test]
fn keys_and_paths_are_the_dialects_own() {
    use domain::key::Mode;
    assert_eq!([Mode::Live, Mode::Test].map(|mode| Native.key("s", mode)), ["tl_live_s", "tl_test_s"]);
    assert_eq!(
        ["/api", "/api/v1/x", "/apis", "/v1"].map(|path| Native.claims(path)),
        [Some(4), Some(5), None, None]
    );
}
