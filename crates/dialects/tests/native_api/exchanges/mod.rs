//! Each row of the table, both directions.

mod account;
mod rates_traces;
mod telephony;
mod webhooks;

use dialects::Dialect as _;
use dialects::native::Native;
use domain::call::Place;
use domain::op::Secret;
use domain::reconciled::{Difference, Mending, Reconciled, Side};
use domain::rules::{Health, Heard};
use domain::trace::{Trace, TraceFormat, TraceWindow, TracedMessage};
use domain::trail::{RuleName, Seen};
use domain::view::{Ban, Explanation, Outcome, Registration, Rung};
use domain::{E164, Micros, Paged, Timestamp, View};
use serde_json::json;

use crate::fixtures::*;
use crate::support::{Ask, answer, ask, now, owner};

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
const EVENT: &str = "99999999-9999-9999-9999-999999999999";
const WEBHOOK: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

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
        (ask(&format!("GET /api/v1/endpoints/{ENDPOINT}/health")), health()),
        (at("PATCH").json(&json!({ "agent_id": null, "targets": [] })), View::Endpoint(endpoint())),
        (at("DELETE"), View::Done),
    ]
}

/// One target that answered, one that is not asked.
fn health() -> View {
    let mut checked = endpoint();
    checked.rules.health.enabled = true;
    let told = Health::default().after(Heard::Answer(200), Timestamp::UNIX_EPOCH);
    let rest = checked.targets.iter().skip(1).map(|_| Health::default());
    let health = std::iter::once(told).chain(rest).collect();
    View::EndpointHealth(checked, health)
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
            ask(&format!("GET /api/v1/providers/{PROVIDER}/status")),
            View::TrunkStatus(Box::new(trunk_status())),
        ),
        (
            at("PATCH").json(&json!({ "register": {
                "registrar": "sip.example.com", "domain": null, "user": "+4930123",
                "credentials": { "username": "line", "password": "hush" }, "expires_seconds": 600,
            } })),
            View::Provider(provider()),
        ),
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
        (ask(&format!("POST /api/v1/stock/{STOCK}/hold")).by(owner()), View::Stock(held_stock())),
        (ask(&format!("DELETE /api/v1/stock/{STOCK}/hold")).by(owner()), View::Done),
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
        steps: vec![
            RuleName::NumberReady.is(true),
            RuleName::CallsRoom.is(false).seeing(Seen::Count { now: 3, most: 3 }),
        ],
        targets: Vec::new(),
        legs: Vec::new(),
        trunk: Some(Box::new(trunk_status())),
    };
    let buy = json!({ "stock_id": STOCK, "agent_id": "ada", "label": null });
    let import = json!({ "provider_id": PROVIDER, "label": "batch", "numbers": ["+14155550100", { "e164": "+14155550101", "label": "own" }] });
    let filters = format!(
        "q=415&agent_id=ada&endpoint_id={ENDPOINT}&status=active&country=US&type=local&environment=live"
    );
    vec![
        (ask("POST /api/v1/numbers").json(&buy), view()),
        (
            ask("POST /api/v1/numbers")
                .json(&json!({ "e164": "+14155550100", "provider_id": PROVIDER, "port_in": true })),
            view(),
        ),
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
        (ask(&format!("POST /api/v1/numbers/{NUMBER}/port-out")).header("if-match", "\"1\""), view()),
        (ask("POST /api/v1/numbers/14155550100/sip-credentials"), View::Number(Box::new(shown))),
        (ask("GET /api/v1/numbers/anything/explain?from=[::1]:5060"), View::Explanation(explanation)),
    ]
}

fn of_simulated() -> Vec<(Ask, View)> {
    let rung = Rung {
        outcome: "completed",
        sip_status: Some(200),
        reason: None,
        talked_seconds: 2,
        packets: (99, 98),
        timeline: vec!["+0 ms Caller → Edge: INVITE".into()],
    };
    let refused = Rung { outcome: "refused", sip_status: None, reason: Some("No.".into()), ..rung.clone() };
    let wanted = json!({ "from": "+12125550199", "hold_seconds": 2, "ring_seconds": null });
    let at = format!("POST /api/v1/numbers/{NUMBER}/simulate-call");
    vec![(ask(&at).json(&wanted), View::Rung(Box::new(rung))), (ask(&at), View::Rung(Box::new(refused)))]
}

fn of_access() -> Vec<(Ask, View)> {
    let registration = Registration {
        contact: "sip:tl0123456789ab@10.0.0.7:5062;transport=tcp".into(),
        source: "192.0.2.7:40112".parse().unwrap(),
        transport: "tcp",
        instance: Some("<urn:uuid:00000000-0000-1000-8000-000a95a0e128>".into()),
        registered_at: now(),
        expires_at: now(),
    };
    let address = "192.0.2.66".parse().unwrap();
    let ban = Ban { address, since: now(), until: now(), refused: 12 };
    vec![
        (ask("GET /api/v1/numbers/+14155550100/registrations"), View::Registrations(vec![registration])),
        (ask("GET /api/v1/bans"), View::Bans(vec![ban])),
        (ask("DELETE /api/v1/bans/192.0.2.66"), View::Done),
        (ask("POST /api/v1/carriers/reconcile").json(&json!({ "dry_run": true })), reconciled()),
    ]
}

fn reconciled() -> View {
    let e164 = E164::from_u64(14_155_550_100).unwrap();
    let of = |side, mending| Difference { e164, side, mending, intent: None };
    let holder = Side::Tenant(organization().id, number().number.id);
    let differences = vec![
        of(Side::Carrier, Mending::Done),
        of(holder, Mending::None),
        of(holder, Mending::Refused("It is another's.".into())),
    ];
    let (carrier, ended_by) = ("simulated", Some("busy".into()));
    let report =
        Reconciled { carrier, dry_run: true, listed: 7, held: 9, ended_by, differences, left_out: 2 };
    View::Reconciled(Box::new(report))
}

fn of_records() -> Vec<(Ask, View)> {
    vec![
        // Form decoding makes a blank of `+`.
        (
            ask("GET /api/v1/calls?status=no_answer&direction=inbound&number= 14155550100"),
            View::Calls(page(call())),
        ),
        (
            ask("POST /api/v1/calls").json(&json!({
                "from": "+14155550100", "to": "(212) 555-0123", "agent_id": "ada", "endpoint_id": ENDPOINT,
                "metadata": { "order": 7 }, "ring_seconds": 30, "max_seconds": 600,
            })),
            View::Originated(vec![("+12125550123".to_owned(), Ok(Box::new(call())))]),
        ),
        (ask(&format!("GET /api/v1/calls/{CALL}")), View::Call(Box::new(call()))),
        (ask(&format!("POST /api/v1/calls/{CALL}/hangup")), View::Call(Box::new(call()))),
        (ask("GET /api/v1/events?limit=7"), View::Events(page(event()))),
    ]
}

fn of_webhooks() -> Vec<(Ask, View)> {
    let body = json!({ "url": "https://example.com/hook", "events": ["call.completed", "number.purchased"], "active": true });
    let at = |rest: &str| format!("/api/v1/webhooks/{WEBHOOK}{rest}");
    let view =
        |secret: Option<&str>| View::Webhook(Box::new(webhook()), secret.map(|text| Secret(text.into())));
    vec![
        (ask("POST /api/v1/webhooks").json(&body), view(Some("whsec_abcdef"))),
        (ask("GET /api/v1/webhooks?limit=7"), View::Webhooks(page(webhook()))),
        (ask(&format!("GET {}", at(""))), view(None)),
        (
            ask(&format!("PATCH {}", at(""))).json(&json!({ "events": ["*"] })).header("if-match", "\"1\""),
            view(None),
        ),
        (ask(&format!("DELETE {}", at(""))).header("if-match", "\"1\""), View::Done),
        (ask(&format!("GET {}", at("/deliveries?limit=7"))), View::Deliveries(page(delivery()))),
        (
            ask(&format!("POST {}", at(&format!("/deliveries/{EVENT}/retry")))),
            View::Delivery(Box::new(delivery())),
        ),
    ]
}

fn of_rates_and_traces() -> Vec<(Ask, View)> {
    let window = |until| View::TraceWindow(TraceWindow { number_id: number().number.id, until });
    let place = |text| Place::parse(text).unwrap();
    let message = TracedMessage {
        at: now(),
        from: place("udp:192.0.2.7:5060"),
        to: place("udp:192.0.2.9:5060"),
        bytes: b"BYE sip:a@b SIP/2.0\r\n\r\n".to_vec(),
    };
    let traced =
        |format| View::Trace(call().id, Trace { messages: vec![message.clone()], left_out: 2 }, format);
    let set = json!({
        "direction": "outbound", "prefix": "+4420", "rate_per_minute_micros": 12_500, "minimum_seconds": 30,
        "increment_seconds": 6, "setup_micros": null,
    });
    let trace = format!("/api/v1/numbers/{NUMBER}/trace");
    vec![
        (ask("POST /api/v1/rates").json(&set), View::Rate(rate())),
        (ask("GET /api/v1/rates?limit=7"), View::Rates(page(rate()))),
        (ask(&format!("DELETE /api/v1/rates/{PROVIDER}")), View::Done),
        (ask(&format!("POST {trace}")).json(&json!({ "minutes": 60 })), window(Some(later(60)))),
        (ask(&format!("GET {trace}")), window(Some(now()))),
        (ask(&format!("DELETE {trace}")), View::Done),
        (ask(&format!("GET /api/v1/calls/{CALL}/trace")), traced(TraceFormat::Text)),
    ]
}

fn later(minutes: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + minutes * 60).unwrap()
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
        of_simulated(),
        of_access(),
        of_records(),
        of_webhooks(),
        of_rates_and_traces(),
    ];
    let asked: Vec<_> = all.iter().flatten().map(|(ask, _)| ask.verb()).collect();
    for endpoint in Native.endpoints() {
        assert!(asked.contains(&endpoint.verb), "{} {} has no exchange", endpoint.method, endpoint.path);
        assert!(endpoint.scope.is_some() && endpoint.path.starts_with("/api/v1/"), "{}", endpoint.path);
    }
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
