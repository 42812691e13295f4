//! What is refused, and with which words.

use domain::Op;
use serde_json::{Value, json};

use crate::support::{ask, id, owner, uuid};

fn refused(line: &str, body: &Value) -> String {
    ask(line).json(body).refusal()
}

#[test]
fn bodies_that_do_not_fit_are_refused_with_their_field() {
    let id = id(5);
    let organization = format!("/api/v1/organizations/{}", uuid(1));
    let keys = format!("POST {organization}/keys");
    let ledger = format!("POST {organization}/ledger");
    let trunk = |inbound: Value| json!({ "kind": "sip_trunk", "label": "p", "inbound": inbound });
    let lines = [
        refused("POST /api/v1/organizations", &json!({ "name": "a", "number_slots": -1 })),
        refused("POST /api/v1/organizations", &json!({ "name": "a", "kyc": "trusted" })),
        refused("POST /api/v1/organizations", &json!({ "name": "a", "pigeons": null })),
        refused(&keys, &json!({ "name": "k", "dialect": "morse", "role": "owner" })),
        refused(&keys, &json!({ "name": "k", "dialect": "neo", "role": "owner", "scopes": ["numbers:eat"] })),
        refused(&ledger, &json!({ "amount_cents": 1.5, "reason": "r" })),
        refused(&ledger, &json!({ "amount_cents": 0, "reason": "r" })),
        refused(&ledger, &json!({ "amount_cents": 10_000_000_001_i64, "reason": "r" })),
        refused(&ledger, &json!({ "amount_cents": 5, "reason": " " })),
        refused("POST /api/v1/agents", &json!({})),
        refused("POST /api/v1/agents", &json!([])),
        refused("POST /api/v1/endpoints", &json!({ "targets": [] })),
        refused("POST /api/v1/endpoints", &json!({ "name": "e", "targets": ["sip:a@b"] })),
        refused("POST /api/v1/endpoints", &json!({ "name": "e", "targets": [{ "priority": 1 }] })),
        refused(
            "POST /api/v1/endpoints",
            &json!({ "name": "e", "targets": [{ "uri": "sip:a@b", "priority": 65_536 }] }),
        ),
        refused(
            "POST /api/v1/endpoints",
            &json!({ "name": "e", "targets": [{ "uri": "sip:a@b", "port": 1 }] }),
        ),
        refused("POST /api/v1/endpoints", &json!({ "name": "e", "targets": [{ "uri": "http://a" }] })),
        refused("POST /api/v1/providers", &json!({ "kind": "twilio", "label": "p" })),
        refused("POST /api/v1/providers", &json!({ "kind": "managed", "label": "p", "region": "us1" })),
        refused("POST /api/v1/providers", &json!({ "kind": "pigeon", "label": "p" })),
        refused("POST /api/v1/providers", &json!({ "kind": "managed" })),
        refused("POST /api/v1/providers", &trunk(json!({ "allowed_addresses": ["127.0.0.1/99"] }))),
        refused("POST /api/v1/providers", &trunk(json!({ "credentials": null }))),
        refused(
            "POST /api/v1/providers",
            &trunk(json!({ "allowed_addresses": [], "credentials": { "username": "u" } })),
        ),
        refused("POST /api/v1/providers", &trunk(json!({ "allowed_addresses": [], "password": "p" }))),
        refused("POST /api/v1/stock", &json!({ "e164": "+1", "setup_cost_cents": 1 })),
        refused("POST /api/v1/numbers", &json!({})),
        refused("POST /api/v1/numbers", &json!({ "e164": "+14155550100" })),
        refused("POST /api/v1/numbers", &json!({ "provider_id": id })),
        refused("POST /api/v1/numbers", &json!({ "stock_id": id, "e164": "+14155550100" })),
        refused("POST /api/v1/numbers", &json!({ "stock_id": 5 })),
        refused("POST /api/v1/numbers/import", &json!({ "numbers": [] })),
        refused("POST /api/v1/numbers/import", &json!({ "provider_id": id })),
        refused("POST /api/v1/numbers/import", &json!("x")),
        refused(&format!("POST /api/v1/numbers/{id}/restore"), &json!({ "x": 1 })),
        ask("POST /api/v1/agents").text("application/json", "{").refusal(),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    422 invalid number_slots: `number_slots` must be a whole number, 0 or more; null means no limit.
    422 invalid kyc: `kyc` must be one of `not_submitted`, `initiated`, `pending`, `declined`, `approved`.
    422 invalid -: `pigeons` is not a field of this request.
    422 invalid dialect: `dialect` must be one of `native`, `polyai`, `cartesia`, `neo`, `krosai`.
    422 invalid scopes: `scopes` must be a list of rights such as `numbers:read`.
    422 invalid amount_cents: `amount_cents` must be a whole number of cents other than 0, up to 10000000000.
    422 invalid amount_cents: `amount_cents` must be a whole number of cents other than 0, up to 10000000000.
    422 invalid amount_cents: `amount_cents` must be a whole number of cents other than 0, up to 10000000000.
    422 invalid reason: `reason` must be a text of 1 to 200 characters.
    422 missing name: `name` is required.
    400 malformed -: The body must be a JSON object.
    422 missing name: `name` is required.
    422 invalid targets: `targets[0]` must be an object with a `uri`.
    422 missing targets: `targets[0].uri` is required.
    422 invalid targets: `targets[0].priority` must be a whole number from 0 to 65535.
    422 invalid targets: `targets[0].port` is not a field of a target.
    422 invalid targets: The target's `uri` must begin with sip: or sips:.
    422 missing account_sid: `account_sid` is required.
    422 invalid region: `region` must be left out: only an account at Twilio has it.
    422 invalid kind: `kind` must be one of `managed`, `sip_trunk`, `twilio`.
    422 missing label: `label` is required.
    422 invalid inbound: `inbound.allowed_addresses` must be a list of IP addresses, ranges or host names, such as `192.0.2.7`, `192.0.2.0/24` or `sip.carrier.example`.
    422 missing inbound: `inbound.allowed_addresses` is required.
    422 missing inbound: `inbound.credentials.password` is required.
    422 invalid inbound: `inbound.password` is not a field of this request.
    422 missing monthly_cost_cents: `monthly_cost_cents` is required.
    422 missing stock_id: `stock_id` is required to buy a number; to bring one in, send `e164` and `provider_id`.
    422 missing provider_id: `provider_id` is required with `e164`; to buy a number from stock, send its `stock_id`.
    422 missing e164: `e164` is required.
    422 invalid stock_id: `stock_id` buys a number, `e164` with `provider_id` brings one in; send one of the two.
    422 invalid stock_id: `stock_id` must be an id in its hyphenated UUID form.
    422 missing provider_id: `provider_id` is required.
    422 missing numbers: `numbers` is required.
    400 malformed -: The body must be a JSON object or list.
    422 invalid -: `x` is not a field of this request.
    400 malformed -: The body is not valid JSON: EOF while parsing an object at line 1 column 1.
    ");
}

#[test]
fn queries_paths_and_headers_that_do_not_fit_are_refused() {
    let agent = || ask("PATCH /api/v1/agents/ada").json(&json!({}));
    let lines = [
        ask("GET /api/v1/agents?limit=0").refusal(),
        ask("GET /api/v1/agents?limit=1001").refusal(),
        ask("GET /api/v1/agents?limit=1e3").refusal(),
        ask("GET /api/v1/agents?limit=+5").refusal(),
        ask("GET /api/v1/agents?cursor=%%%").refusal(),
        ask("GET /api/v1/numbers?cursor=YWRh").refusal(),
        ask("GET /api/v1/agents?q=a").refusal(),
        ask("GET /api/v1/numbers?q=a&q=b").refusal(),
        ask("GET /api/v1/numbers?status=gone").refusal(),
        ask("GET /api/v1/numbers?country=Utopia").refusal(),
        ask("GET /api/v1/calls?number=alice").refusal(),
        ask("GET /api/v1/numbers/hello").refusal(),
        ask("GET /api/v1/numbers/+14155550100/explain?from=home").refusal(),
        ask("DELETE /api/v1/numbers/+14155550100?permanent=yes").refusal(),
        ask("GET /api/v1/endpoints/1").refusal(),
        ask("GET /api/v1/agents/%00").refusal(),
        agent().header("if-match", "3").refusal(),
        agent().header("if-match", "").refusal(),
        agent().header("if-match", "W/\"3\"").refusal(),
        agent().header("if-match", "\"abc\"").refusal(),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    422 invalid limit: `limit` must be a whole number from 1 to 1000.
    422 invalid limit: `limit` must be a whole number from 1 to 1000.
    422 invalid limit: `limit` must be a whole number from 1 to 1000.
    422 invalid limit: `limit` must be a whole number from 1 to 1000.
    422 invalid cursor: `cursor` must be the `next_cursor` of a page of the same list.
    422 invalid cursor: `cursor` must be the `next_cursor` of a page of the same list.
    422 invalid -: `q` is not a query parameter of this request.
    422 invalid -: The query parameter `q` came twice.
    422 invalid status: `status` must be one of `pending`, `active`, `inactive`, `released`, `port_in`, `port_out`, `deleted`.
    422 invalid country: `country` must be a country's two letters (ISO 3166-1), such as `US`.
    422 invalid number: `number` must be a phone number in E.164 form.
    404 not_found -: There is no such phone number; name it by its id or in E.164 form, such as +14155550100.
    422 invalid from: `from` must be an IP address, such as 192.0.2.7, or one with a port.
    422 invalid permanent: `permanent` must be `true` or `false`.
    404 not_found -: There is no such endpoint.
    404 not_found -: There is no such agent.
    400 malformed -: `If-Match` must be `*` or entity tags in quotes, such as "3".
    400 malformed -: `If-Match` must be `*` or entity tags in quotes, such as "3".
    412 stale -: `If-Match` names no version of this resource.
    412 stale -: `If-Match` names no version of this resource.
    "#);
}

#[test]
fn if_match_names_a_version() {
    let expected = |values: &[&str]| {
        let asked =
            values.iter().fold(ask("DELETE /api/v1/agents/ada"), |ask, value| ask.header("if-match", value));
        match asked.op() {
            Ok(Op::AgentDelete(_, expect)) => expect,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(expected(&[]), None);
    assert_eq!(expected(&["*"]), None);
    assert_eq!(expected(&["\"3\""]), Some(3));
    assert_eq!(expected(&["\"3\", W/\"9\", \"5\""]), Some(5));
    assert_eq!(expected(&["\"7\"", "\"x\""]), Some(7));
}

#[test]
fn the_operators_operations_are_closed_before_their_bodies_are_read() {
    let (mine, theirs) = (uuid(1), uuid(9));
    let closed = |line: &str| ask(line).by(owner()).json(&json!({ "nonsense": 1 })).refusal();
    let lines = [
        closed("POST /api/v1/organizations"),
        closed("POST /api/v1/stock"),
        closed(&format!("PATCH /api/v1/stock/{mine}")),
        closed(&format!("DELETE /api/v1/stock/{mine}")),
        closed(&format!("POST /api/v1/organizations/{mine}/ledger")),
        // Another's organization is not there, whatever is asked of it.
        closed(&format!("PATCH /api/v1/organizations/{theirs}")),
        closed(&format!("POST /api/v1/organizations/{theirs}/keys")),
        closed(&format!("DELETE /api/v1/organizations/{theirs}/keys/{mine}")),
        closed(&format!("GET /api/v1/organizations/{theirs}/balance")),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    403 forbidden -: Only the operator's admin key may do this.
    403 forbidden -: Only the operator's admin key may do this.
    403 forbidden -: Only the operator's admin key may do this.
    403 forbidden -: Only the operator's admin key may do this.
    403 forbidden -: Only the operator's admin key may do this.
    404 not_found -: There is no such organization.
    404 not_found -: There is no such organization.
    404 not_found -: There is no such organization.
    404 not_found -: There is no such organization.
    ");
}

#[test]
fn tenants_see_only_stock_on_sale() {
    let on_sale = |ask: crate::support::Ask| match ask.op() {
        Ok(Op::StockList(query, _)) => query.available_at.is_some(),
        other => panic!("{other:?}"),
    };
    assert!(on_sale(ask("GET /api/v1/stock?available=false").by(owner())));
    assert!(!on_sale(ask("GET /api/v1/stock")));
    assert!(on_sale(ask("GET /api/v1/stock?available=true")));
}
