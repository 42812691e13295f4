//! KrosAI's API.

use crate::kit::{
    ENDPOINT, NUMBER, ORGANIZATION, OTHER, STOCK, Text, body, column, context, contract, hold, hold_refusals,
    number, one, print, stock,
};
use dialects::Dialect;
use dialects::krosai::KrosAi;
use domain::error::{Error, Kind, What};
use domain::key::Mode;
use domain::number::Status;
use domain::view::NumberView;
use domain::{Op, Paged, View};
use insta::assert_snapshot;
use serde_json::{Value, json};

const PATH: &str = "/v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002";

fn ops(requests: &[&str]) -> String {
    let row =
        |request: &&str| format!("{request}\n  {:?}\n", Text(request).decode(&KrosAi).map_err(|e| e.public));
    requests.iter().map(row).collect()
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&KrosAi);
    (reply.status.as_u16(), body(&reply)["code"].as_str().unwrap_or("").to_owned())
}

#[test]
fn each_kind_has_its_status_and_code() {
    assert_snapshot!(column(&KrosAi, |body| body["code"].to_string()), @r#"
    Unauthenticated 401 "MISSING_API_KEY"
    Forbidden 403 "INSUFFICIENT_SCOPE"
    NotFound 404 "NUMBER_NOT_FOUND"
    MethodNotAllowed 405 "METHOD_NOT_ALLOWED"
    Exists 400 "NUMBER_NOT_AVAILABLE"
    Stale 400 "CONFLICT"
    Conflict 400 "CONFLICT"
    Malformed 400 "INVALID_REQUEST"
    TooLarge 413 "REQUEST_TOO_LARGE"
    Missing 400 "MISSING_FIELDS"
    Invalid 400 "INVALID_PARAMETER"
    KeyReused 422 "IDEMPOTENCY_KEY_REUSED"
    Running 409 "REQUEST_IN_PROGRESS"
    KycNotSubmitted 400 "KYC_NOT_SUBMITTED"
    KycInitiated 400 "KYC_INITIATED"
    KycPending 400 "KYC_PENDING"
    KycDeclined 400 "KYC_DECLINED"
    Balance 402 "INSUFFICIENT_BALANCE"
    Slots 402 "NUMBER_LIMIT_REACHED"
    Limit 429 "RATE_LIMIT_EXCEEDED" retry-after="1"
    CarrierRefused 400 "CARRIER_REFUSED"
    Unavailable 503 "SERVICE_UNAVAILABLE"
    Internal 500 "INTERNAL_ERROR"
    "#);
}

#[test]
fn what_is_missing_says_what() {
    let code = |what| {
        let reply = KrosAi.refuse(&context(&[]), &Error::not_found(what));
        (reply.status.as_u16(), body(&reply)["code"].as_str().map(str::to_owned))
    };
    assert_eq!(code(What::Stock), (400, Some("NUMBER_NOT_AVAILABLE".into())));
    assert_eq!(code(What::Endpoint), (404, Some("ENDPOINT_NOT_FOUND".into())));
    assert_eq!(code(What::Route), (404, Some("NOT_FOUND".into())));
    let sent = context(&[("x-api-key", "kros_live_x")]);
    let reply = KrosAi.refuse(&sent, &Error::new(Kind::Unauthenticated, What::Key, "No."));
    assert_eq!(body(&reply), json!({"error": "No.", "code": "INVALID_API_KEY"}));
}

#[test]
fn a_field_is_named_as_the_vendor_names_it() {
    let error = Error::invalid(What::Number, "endpoint_id", "`endpoint_id` must fit.");
    let expected = json!({
        "error": "`endpointId` must fit.", "code": "INVALID_PARAMETER", "details": {"field": "endpointId"},
    });
    assert_eq!(body(&KrosAi.refuse(&context(&[]), &error)), expected);
}

#[test]
fn refusals_keep_to_the_contract() {
    hold_refusals(&KrosAi, &contract("krosai"), ("get", "/phone-numbers"), Some("Error"));
}

#[test]
fn lists_are_read() {
    assert_snapshot!(ops(&[
        "GET /v1/phone-numbers",
        "GET /v1/phone-numbers?action=assigned&limit=100&offset=40&country=Utopia&type=pager",
        "GET /v1/phone-numbers?offset=99999999999",
        "GET /v1/phone-numbers?action=available&country=us",
        "GET /v1/phone-numbers?action=available&country=GB&type=toll_free&limit=1&offset=1",
    ]), @r"
    GET /v1/phone-numbers
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 20, start: First }))
    GET /v1/phone-numbers?action=assigned&limit=100&offset=40&country=Utopia&type=pager
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 100, start: Offset(40) }))
    GET /v1/phone-numbers?offset=99999999999
      Ok(NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: false, mode: None }, Page { limit: 20, start: Offset(4294967295) }))
    GET /v1/phone-numbers?action=available&country=us
      Ok(StockList(StockQuery { country: Some(Country([85, 83, 0], 2)), kind: None, available_at: Some(2026-03-01T12:00:00.123456Z), buyer: None, mode: None, q: None }, Page { limit: 20, start: First }))
    GET /v1/phone-numbers?action=available&country=GB&type=toll_free&limit=1&offset=1
      Ok(StockList(StockQuery { country: Some(Country([71, 66, 0], 2)), kind: Some(TollFree), available_at: Some(2026-03-01T12:00:00.123456Z), buyer: None, mode: None, q: None }, Page { limit: 1, start: Offset(1) }))
    ");
}

#[test]
fn lists_out_of_bounds_are_refused() {
    for (query, code) in [
        ("limit=0", "INVALID_PARAMETER"),
        ("limit=101", "INVALID_PARAMETER"),
        ("limit=+5", "INVALID_PARAMETER"),
        ("limit=", "INVALID_PARAMETER"),
        ("limit=many", "INVALID_PARAMETER"),
        ("offset=-1", "INVALID_PARAMETER"),
        ("offset=1.5", "INVALID_PARAMETER"),
        ("action=stolen", "INVALID_PARAMETER"),
        ("action=available", "MISSING_FIELDS"),
        ("action=available&country=", "MISSING_FIELDS"),
        ("action=available&country=Utopia", "INVALID_PARAMETER"),
        ("action=available&country=US&type=pager", "INVALID_PARAMETER"),
    ] {
        assert_eq!(refused(&format!("GET /v1/phone-numbers?{query}")), (400, code.into()), "{query}");
    }
}

#[test]
fn purchases_are_read() {
    assert_snapshot!(ops(&[
        &format!("POST /v1/phone-numbers\n\n{{\"inventory_id\": \"{STOCK}\", \"unknown\": 1, \"endpointId\": null}}"),
        &format!("POST /v1/phone-numbers\n\n{{\"inventoryId\": \"{STOCK}\", \"endpoint_id\": \"{ENDPOINT}\"}}"),
        "POST /v1/phone-numbers\n\n{\"e164\": \"+44 7400 123456\", \"country\": \"gb\", \"type\": \"mobile\", \
         \"totalCostCents\": 3, \"setup_cost_cents\": 1, \"setupCostCents\": 1, \"monthlyCostCents\": 2}",
    ]), @r#"
    POST /v1/phone-numbers

    {"inventory_id": "0190b5b0-0000-7000-8000-000000000004", "unknown": 1, "endpointId": null}
      Ok(NumberBuy(Purchase { stock: Id(StockId(0190b5b0-0000-7000-8000-000000000004)), setup: NumberSetup { endpoint_id: None, agent_id: None, label: None, environment: None }, believed: Believed { total_cents: None, setup_cents: None, monthly_cents: None } }))
    POST /v1/phone-numbers

    {"inventoryId": "0190b5b0-0000-7000-8000-000000000004", "endpoint_id": "0190b5b0-0000-7000-8000-000000000003"}
      Ok(NumberBuy(Purchase { stock: Id(StockId(0190b5b0-0000-7000-8000-000000000004)), setup: NumberSetup { endpoint_id: Some(EndpointId(0190b5b0-0000-7000-8000-000000000003)), agent_id: None, label: None, environment: None }, believed: Believed { total_cents: None, setup_cents: None, monthly_cents: None } }))
    POST /v1/phone-numbers

    {"e164": "+44 7400 123456", "country": "gb", "type": "mobile", "totalCostCents": 3, "setup_cost_cents": 1, "setupCostCents": 1, "monthlyCostCents": 2}
      Ok(NumberBuy(Purchase { stock: Number { e164: "+447400123456", country: Some(Country([71, 66, 0], 2)), kind: Some(Mobile) }, setup: NumberSetup { endpoint_id: None, agent_id: None, label: None, environment: None }, believed: Believed { total_cents: Some(3), setup_cents: Some(1), monthly_cents: Some(2) } }))
    "#);
}

#[test]
fn purchases_that_are_none_are_refused() {
    let number = |fields: Value| {
        let mut body = json!({"e164": "+14155550100", "country": "US", "type": "local"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body.to_string()
    };
    for (body, code) in [
        (String::new(), "MISSING_FIELDS"),
        ("{}".into(), "MISSING_FIELDS"),
        ("{".into(), "INVALID_REQUEST"),
        ("[]".into(), "INVALID_REQUEST"),
        ("null".into(), "INVALID_REQUEST"),
        (json!({"inventory_id": "x"}).to_string(), "INVALID_PARAMETER"),
        (json!({"inventory_id": 5}).to_string(), "INVALID_PARAMETER"),
        (json!({"inventory_id": STOCK, "inventoryId": OTHER}).to_string(), "INVALID_PARAMETER"),
        (json!({"inventory_id": STOCK, "endpointId": "x"}).to_string(), "INVALID_PARAMETER"),
        (
            json!({"inventory_id": STOCK, "endpointId": ENDPOINT, "endpoint_id": null}).to_string(),
            "INVALID_PARAMETER",
        ),
        (json!({"inventory_id": STOCK, "totalCostCents": 1.5}).to_string(), "INVALID_PARAMETER"),
        (json!({"inventory_id": STOCK, "totalCostCents": "1"}).to_string(), "INVALID_PARAMETER"),
        (json!({"country": "US", "type": "local"}).to_string(), "MISSING_FIELDS"),
        (number(json!({"type": null})), "MISSING_FIELDS"),
        (number(json!({"country": null})), "MISSING_FIELDS"),
        (number(json!({"type": "pager"})), "INVALID_PARAMETER"),
        (number(json!({"country": "Utopia"})), "INVALID_PARAMETER"),
        (number(json!({"e164": "hello"})), "INVALID_PHONE_NUMBERS"),
        (number(json!({"e164": ""})), "INVALID_PHONE_NUMBERS"),
        (number(json!({"e164": 1})), "INVALID_PHONE_NUMBERS"),
    ] {
        assert_eq!(refused(&format!("POST /v1/phone-numbers\n\n{body}")), (400, code.into()), "{body}");
    }
}

#[test]
fn each_field_of_a_change_is_absent_null_valid_or_wrong() {
    let wrong = "400";
    for (field, null, valid, bad) in [
        ("endpointId", "endpoint_id: Clear", json!(ENDPOINT), json!(7)),
        ("endpoint_id", "endpoint_id: Clear", json!(ENDPOINT), json!("x")),
        ("allowInbound", wrong, json!(false), json!("yes")),
        ("allow_inbound", wrong, json!(true), json!(1)),
        ("allowOutbound", wrong, json!(true), json!(0)),
        ("allow_outbound", wrong, json!(false), json!([])),
        ("status", wrong, json!("inactive"), json!("pending")),
        ("status", wrong, json!("active"), json!(1)),
    ] {
        let read = |value: Option<&Value>| {
            let body = value.map_or_else(|| "{}".into(), |value| json!({ field: value }).to_string());
            let request = format!("PATCH {PATH}\n\n{body}");
            match Text(&request).decode(&KrosAi) {
                Ok(Op::NumberUpdate(_, patch, None)) => format!("{patch:?}"),
                Ok(op) => panic!("{op:?}"),
                Err(_) => refused(&request).0.to_string(),
            }
        };
        let absent = read(None);
        assert_eq!(absent, format!("{:?}", domain::number::NumberPatch::default()), "{field}");
        assert!(read(Some(&Value::Null)).contains(null), "{field} null");
        let set = read(Some(&valid));
        assert!(set != wrong && set != absent, "{field} {valid}: {set}");
        assert_eq!(read(Some(&bad)), wrong, "{field} {bad}");
    }
}

#[test]
fn changes_and_removals_are_read() {
    assert_snapshot!(ops(&[
        &format!("PATCH {PATH}"),
        &format!("PATCH {PATH}\n\n{{\"endpointId\": \"{ENDPOINT}\", \"allow_inbound\": true, \"allowInbound\": true, \"x\": 1}}"),
        &format!("GET {PATH}"),
        &format!("DELETE {PATH}"),
        &format!("DELETE {PATH}?action=release"),
    ]), @r#"
    PATCH /v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002
      Ok(NumberUpdate(Id(NumberId(0190b5b0-0000-7000-8000-000000000002)), NumberPatch { endpoint_id: Keep, agent_id: Keep, provider_id: None, environment: None, label: Keep, allow_inbound: None, allow_outbound: None, rules: NumberRulesPatch { callers: Keep, schedule: Keep, split: Keep, fallback: Keep, calls_max: Keep, minute_max: Keep, day_max: Keep }, status: None, psa_settings: None, agent_settings: None }, None))
    PATCH /v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002

    {"endpointId": "0190b5b0-0000-7000-8000-000000000003", "allow_inbound": true, "allowInbound": true, "x": 1}
      Ok(NumberUpdate(Id(NumberId(0190b5b0-0000-7000-8000-000000000002)), NumberPatch { endpoint_id: Set(EndpointId(0190b5b0-0000-7000-8000-000000000003)), agent_id: Keep, provider_id: None, environment: None, label: Keep, allow_inbound: Some(true), allow_outbound: None, rules: NumberRulesPatch { callers: Keep, schedule: Keep, split: Keep, fallback: Keep, calls_max: Keep, minute_max: Keep, day_max: Keep }, status: None, psa_settings: None, agent_settings: None }, None))
    GET /v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002
      Ok(NumberGet(Id(NumberId(0190b5b0-0000-7000-8000-000000000002))))
    DELETE /v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002
      Ok(NumberDelete(Id(NumberId(0190b5b0-0000-7000-8000-000000000002)), None))
    DELETE /v1/phone-numbers/0190b5b0-0000-7000-8000-000000000002?action=release
      Ok(NumberRelease(Id(NumberId(0190b5b0-0000-7000-8000-000000000002)), None))
    "#);
    let both = format!("PATCH {PATH}\n\n{{\"allow_inbound\": true, \"allowInbound\": false}}");
    assert_eq!(refused(&both), (400, "INVALID_PARAMETER".into()));
    assert_eq!(refused(&format!("DELETE {PATH}?action=burn")), (400, "INVALID_PARAMETER".into()));
    for method in ["GET", "PATCH", "DELETE"] {
        let request = format!("{method} /v1/phone-numbers/%00");
        assert_eq!(refused(&request), (404, "NUMBER_NOT_FOUND".into()), "{method}");
    }
}

#[test]
fn a_key_acts_for_its_own_organization_only() {
    let with = |id: &str| format!("GET {PATH}\nx-organization-id: {id}");
    assert!(Text(&with(ORGANIZATION)).decode(&KrosAi).is_ok());
    assert_eq!(refused(&with(OTHER)), (403, "ORGANIZATION_MISMATCH".into()));
    assert_eq!(refused(&with("mine")), (400, "INVALID_PARAMETER".into()));
    assert_eq!(refused(&format!("{}\nx-organization-id: {OTHER}", with(ORGANIZATION))).0, 403);
}

fn answer(request: &str, operation: (&str, &str), view: View) -> String {
    let reply = Text(request).encode(&KrosAi, view);
    hold(&contract("krosai"), operation, &reply, None);
    let (method, path) = operation;
    hold(&KrosAi.openapi(), (method, &format!("/v1{path}")), &reply, None);
    print(&reply)
}

#[test]
fn lists_are_written() {
    let page = View::Numbers(Paged { items: vec![number()], more: true });
    assert_snapshot!(answer("GET /v1/phone-numbers", ("get", "/phone-numbers"), page), @r#"
    200 OK

    [
      {
        "allow_inbound": true,
        "allow_outbound": false,
        "country": "US",
        "created_at": "2026-03-01T12:00:00.123Z",
        "e164": "+14155550100",
        "endpoint_id": "0190b5b0-0000-7000-8000-000000000003",
        "id": "0190b5b0-0000-7000-8000-000000000002",
        "organization_id": "0190b5b0-0000-7000-8000-000000000001",
        "sip_uri": "sip:+14155550100@sip.example.org:5060",
        "status": "active",
        "type": "local",
        "updated_at": "2026-03-01T12:00:00.123Z"
      }
    ]
    "#);
    let page = View::Stocks(Paged { items: vec![stock()], more: false });
    let request = "GET /v1/phone-numbers?action=available&country=GB";
    assert_snapshot!(answer(request, ("get", "/phone-numbers"), page), @r#"
    200 OK

    [
      {
        "allow_inbound": true,
        "allow_outbound": false,
        "country": "GB",
        "created_at": "2026-03-01T12:00:00.123Z",
        "e164": "+447400123456",
        "endpoint_id": null,
        "id": "0190b5b0-0000-7000-8000-000000000004",
        "inventory": {
          "capabilities": {
            "fax": false,
            "sms": false,
            "voice": true
          },
          "monthly_cost_cents": 300,
          "setup_cost_cents": 0
        },
        "status": "inactive",
        "type": "mobile",
        "updated_at": "2026-03-01T12:00:00.123Z"
      }
    ]
    "#);
    let nothing = View::Numbers(Paged { items: Vec::new(), more: false });
    assert!(answer("GET /v1/phone-numbers", ("get", "/phone-numbers"), nothing).ends_with("\n[]"));
}

#[test]
fn a_number_is_written() {
    let mut view = number();
    view.number.endpoint_id = None;
    view.sip.domain = "2001:db8::1".into();
    assert_snapshot!(answer("POST /v1/phone-numbers", ("post", "/phone-numbers"), one(view)), @r#"
    201 Created

    {
      "allow_inbound": true,
      "allow_outbound": false,
      "country": "US",
      "created_at": "2026-03-01T12:00:00.123Z",
      "e164": "+14155550100",
      "endpoint_id": null,
      "id": "0190b5b0-0000-7000-8000-000000000002",
      "organization_id": "0190b5b0-0000-7000-8000-000000000001",
      "sip_uri": "sip:+14155550100@[2001:db8::1]:5060",
      "status": "active",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.123Z"
    }
    "#);
    assert_snapshot!(answer(&format!("GET {PATH}"), ("get", "/phone-numbers/{id}"), one(number())), @r#"
    200 OK

    {
      "allow_inbound": true,
      "allow_outbound": false,
      "country": "US",
      "created_at": "2026-03-01T12:00:00.123Z",
      "e164": "+14155550100",
      "endpoint_id": "0190b5b0-0000-7000-8000-000000000003",
      "id": "0190b5b0-0000-7000-8000-000000000002",
      "inventory": {
        "capabilities": {
          "fax": false,
          "sms": true,
          "voice": true
        },
        "monthly_cost_cents": 250,
        "setup_cost_cents": 100
      },
      "organization_id": "0190b5b0-0000-7000-8000-000000000001",
      "sip_credentials": {
        "sip_domain": "sip.example.org",
        "sip_password": "secret",
        "sip_port": 5060,
        "sip_username": "n7"
      },
      "sip_uri": "sip:+14155550100@sip.example.org:5060",
      "status": "active",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.123Z"
    }
    "#);
    let mut view = number();
    view.sip.password = None;
    let member = answer(&format!("GET {PATH}"), ("get", "/phone-numbers/{id}"), one(view));
    assert!(member.contains("sip_username") && !member.contains("sip_password"));
}

#[test]
fn removals_are_written() {
    let operation = ("delete", "/phone-numbers/{id}");
    assert_snapshot!(answer(&format!("DELETE {PATH}"), operation, View::Done), @"204 No Content");
    assert_snapshot!(answer(&format!("DELETE {PATH}?action=release"), operation, one(number())), @r#"
    200 OK

    {
      "action": "release",
      "success": true
    }
    "#);
}

#[test]
fn each_state_reads_as_one_of_the_contracts() {
    let status = |status| {
        let mut view: NumberView = number();
        view.number.status = status;
        let reply = Text(&format!("PATCH {PATH}")).encode(&KrosAi, one(view));
        hold(&contract("krosai"), ("patch", "/phone-numbers/{id}"), &reply, None);
        body(&reply)["status"].as_str().unwrap().to_owned()
    };
    let all = Status::NAMES.map(|(state, name)| format!("{name} {}", status(state))).join(", ");
    assert_snapshot!(all, @"pending pending, active active, inactive inactive, released inactive, port_in pending, port_out active, deleted inactive");
}

#[test]
fn a_limit_says_when_to_try_again() {
    let error =
        Error::new(Kind::Limit, What::Request, "Slow down.").after(std::time::Duration::from_millis(1_500));
    assert_snapshot!(print(&KrosAi.refuse(&context(&[]), &error)), @r#"
    429 Too Many Requests
    retry-after: 2

    {
      "code": "RATE_LIMIT_EXCEEDED",
      "error": "Slow down.",
      "retry_after": 2
    }
    "#);
}

#[test]
fn keys_say_their_mode_and_paths_their_owner() {
    assert_eq!(KrosAi.key("s", Mode::Live), "kros_live_s");
    assert_eq!(KrosAi.key("s", Mode::Test), "kros_test_s");
    assert_eq!(KrosAi.claims("/v1/anything"), Some(3));
    assert_eq!(KrosAi.claims("/v1"), Some(3));
    assert_eq!(KrosAi.claims("/v1x"), None);
    let owner = |path: &str| {
        let all = dialects::all().into_iter();
        let claims = all.filter_map(|d| d.claims(path).map(|depth| (depth, d.name())));
        claims.max_by_key(|(depth, _)| *depth).map(|(_, name)| name)
    };
    assert_eq!(owner(&format!("/v1/phone-numbers/{NUMBER}")), Some("krosai"));
    assert_eq!(owner("/v1/agentsx"), Some("krosai"));
    assert_eq!(owner("/v1/agents/a/pigeons"), Some("polyai"));
    assert_eq!(owner("/v1/accounts"), Some("polyai"));
    assert_eq!(owner("/agents/phone-numbers/pn_x/pigeons"), Some("cartesia"));
    assert_eq!(owner("/public-api/pigeons"), Some("neo"));
    assert_eq!(owner("/elsewhere"), None);
}
