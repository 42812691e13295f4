//! Neo's API.

use dialects::neo::Neo;
use dialects::{Context, Dialect, Limits};
use domain::e164::E164;
use domain::error::{Error, Kind, What};
use domain::ids::{KeyId, OrganizationId};
use domain::key::{DialectName, KeyHash, KeyNew, Mode, Role};
use domain::number::Status;
use domain::op::Secret;
use domain::view::NumberView;
use domain::{Key, Op, Paged, View};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::{
    ORGANIZATION, OTHER, REQUEST, Text, body, column, context, contract, hold, hold_refusals, now, number,
    print,
};

const PATH: &str = "/public-api/phone/numbers";
const OPERATION: (&str, &str) = ("get", PATH);

fn written(items: Vec<NumberView>, more: bool) -> Value {
    let reply = Text(&format!("GET {PATH}")).encode(&Neo, View::Numbers(Paged { items, more }));
    hold(&Neo.openapi(), OPERATION, &reply, None);
    body(&reply)
}

#[test]
fn each_kind_has_its_status_and_code() {
    assert_snapshot!(column(&Neo, |body| body["error"]["code"].to_string()), @r#"
    Unauthenticated 401 "UNAUTHORIZED"
    Forbidden 403 "FORBIDDEN"
    NotFound 404 "NOT_FOUND"
    MethodNotAllowed 405 "METHOD_NOT_ALLOWED"
    Exists 409 "ALREADY_EXISTS"
    Stale 409 "CONFLICT"
    Conflict 409 "CONFLICT"
    Malformed 400 "BAD_REQUEST"
    TooLarge 413 "REQUEST_TOO_LARGE"
    Missing 422 "VALIDATION_ERROR"
    Invalid 422 "VALIDATION_ERROR"
    KeyReused 422 "IDEMPOTENCY_KEY_REUSED"
    Running 409 "REQUEST_IN_PROGRESS"
    KycNotSubmitted 403 "IDENTITY_NOT_VERIFIED"
    KycInitiated 403 "IDENTITY_NOT_VERIFIED"
    KycPending 403 "IDENTITY_NOT_VERIFIED"
    KycDeclined 403 "IDENTITY_NOT_VERIFIED"
    Balance 409 "INSUFFICIENT_BALANCE"
    Slots 409 "NUMBER_LIMIT_REACHED"
    Limit 429 "RATE_LIMITED" retry-after="1"
    CarrierRefused 422 "CARRIER_REFUSED"
    Unavailable 503 "SERVICE_UNAVAILABLE"
    Internal 500 "INTERNAL_ERROR"
    "#);
}

#[test]
fn refusals_keep_to_the_contract() {
    hold_refusals(&Neo, &contract("neo"), OPERATION, Some("ErrorEnvelope"));
}

#[test]
fn the_list_is_read_whole_with_minutes() {
    let op = Text(&format!("GET {PATH}?page_size=5&cursor=x")).decode(&Neo).unwrap();
    assert_snapshot!(format!("{op:?}"), @"NumberList(NumberQuery { q: None, agent_id: None, endpoint_id: None, provider_id: None, provider_kind: None, country: None, kind: None, status: None, environment: None, with_minutes: true, mode: None }, Page { limit: 10000, start: First })");
}

#[test]
fn the_list_is_written_in_its_envelope() {
    let mut view = number();
    view.number.psa_settings.insert("missing".into(), json!({"depth": [1, 2.5, null, "é"]}));
    let page = View::Numbers(Paged { items: vec![view], more: false });
    let reply = Text(&format!("GET {PATH}")).encode(&Neo, page);
    hold(&contract("neo"), OPERATION, &reply, None);
    hold(&Neo.openapi(), OPERATION, &reply, None);
    assert_snapshot!(print(&reply), @r#"
    200 OK

    {
      "data": [
        {
          "agent_settings": {},
          "country": [
            "US",
            "+1",
            null,
            null
          ],
          "created_at": "2026-03-01T12:00:00.123Z",
          "id": 7,
          "minutes_used_this_month": 3,
          "number": "+14155550100",
          "psa_settings": {
            "missing": {
              "depth": [
                1,
                2.5,
                null,
                "é"
              ]
            }
          },
          "status": "ACTIVE",
          "updated_at": "2026-03-01T12:00:00.123Z"
        }
      ],
      "meta": {
        "pagination": {
          "has_more": false,
          "next_cursor": null
        },
        "request_id": "0190b5b0-0000-7000-8000-000000000006",
        "timings_ms": {}
      }
    }
    "#);
}

#[test]
fn a_list_that_is_cut_says_so() {
    let meta = written(vec![number()], true)["meta"].clone();
    assert_eq!(meta["warnings"], json!(["Only the newest 10000 numbers are listed."]));
    assert_eq!(meta["pagination"], json!({"next_cursor": null, "has_more": false}));
}

#[test]
fn countries_are_the_contracts_where_it_has_them() {
    let country = |text: &str| {
        let mut view = number();
        let (e164, plan) = E164::parse(text).unwrap();
        (view.number.e164, view.number.country) = (e164, plan.country);
        let body = written(vec![view], false);
        body["data"][0]["country"].to_string()
    };
    let of_contract = contract("neo")["components"]["schemas"]["CountryCode"]["enum"].clone();
    let literals: Vec<String> = of_contract.as_array().unwrap().iter().map(Value::to_string).collect();
    let numbers = ["+14155550100", "+16135550100", "+442071838750", "+31201234567", "+61212345678"];
    assert_eq!(numbers.map(country).to_vec(), literals);
    assert_eq!(country("+4930123456"), r#"["DE","+49",null,null]"#);
    assert_eq!(country("+2348012345678"), r#"["NG","+234",null,null]"#);
    assert_eq!(country("+80012345678"), r#"["001","+800",null,null]"#);
}

#[test]
fn each_state_is_on_or_off() {
    let status = |status| {
        let mut view = number();
        view.number.status = status;
        written(vec![view], false)["data"][0]["status"].as_str().unwrap().to_owned()
    };
    assert_snapshot!(Status::NAMES.map(|(state, name)| format!("{name} {}", status(state))).join(", "), @"pending INACTIVE, active ACTIVE, inactive INACTIVE, released INACTIVE, port_in INACTIVE, port_out ACTIVE, deleted INACTIVE");
}

#[test]
fn limits_are_told_with_every_answer() {
    let limits = Some(Limits { limit: 1_200, remaining: 0, reset: 1_772_366_460 });
    let context = Context { limits, ..context(&[]) };
    let error = Error::new(Kind::Limit, What::Request, "Too many requests.")
        .after(std::time::Duration::from_secs(12));
    assert_snapshot!(print(&Neo.refuse(&context, &error)), @r#"
    429 Too Many Requests
    retry-after: 12
    x-ratelimit-limit: 1200
    x-ratelimit-remaining: 0
    x-ratelimit-reset: 1772366460

    {
      "error": {
        "code": "RATE_LIMITED",
        "message": "Too many requests."
      },
      "meta": {
        "request_id": "0190b5b0-0000-7000-8000-000000000006"
      }
    }
    "#);
    assert_eq!(Neo.rate_limit(), Some((1_200, 60)));
}

#[test]
fn keys_are_bearers_only() {
    assert_eq!(Neo.key("s", Mode::Live), "neo_sk_prod_s");
    assert_eq!(Neo.key("s", Mode::Test), "neo_sk_test_s");
    let read = |headers: &[(&str, &str)]| Neo.credential(&context(headers).headers).unwrap();
    assert_eq!(read(&[("authorization", "bearer neo_sk_prod_s")]), Some("neo_sk_prod_s".into()));
    assert_eq!(read(&[("x-api-key", "neo_sk_prod_s")]), None);
}

const KEYS: &str = "/public-api/api-keys";

#[test]
fn people_who_administer_make_and_rotate_keys_and_nobody_else_does() {
    let create = format!("POST {KEYS}\n\n{{\"name\": \"Phones\", \"expires_at\": \"2030-01-31T12:00:00Z\"}}");
    let rotate = format!("POST {KEYS}/{OTHER}/rotate");
    for request in [&create, &rotate] {
        let refused = Text(request).refusal(&Neo);
        assert_eq!((refused.status.as_u16(), &body(&refused)["error"]["code"]), (403, &json!("FORBIDDEN")));
        for role in [Role::Viewer, Role::Member] {
            assert_eq!(Text(request).decode_of_person(role, &Neo).unwrap_err().kind, Kind::Forbidden);
        }
    }
    let made = Text(&create).decode_of_person(Role::Admin, &Neo).unwrap();
    let Op::KeyCreate(_, new) = made else { panic!("{made:?}") };
    assert_eq!((new.name.as_str(), new.dialect.0.as_str(), new.role), ("Phones", "neo", Role::Member));
    assert_eq!(new.expires_at, Some("2030-01-31T12:00:00Z".parse().unwrap()));
    let rotated = Text(&rotate).decode_of_person(Role::Owner, &Neo).unwrap();
    assert!(
        matches!(rotated, Op::KeyRotate(_, dialect, id) if dialect.0 == "neo" && id.to_string() == OTHER)
    );
}

#[test]
fn a_new_keys_fields_are_checked_one_by_one() {
    let long = format!(r#"{{"name": "{}"}}"#, "n".repeat(201));
    for (sent, kind, field) in [
        ("{}", Kind::Missing, Some("name")),
        (r#"{"name": null}"#, Kind::Missing, Some("name")),
        (r#"{"name": ""}"#, Kind::Invalid, Some("name")),
        (r#"{"name": 7}"#, Kind::Invalid, Some("name")),
        (long.as_str(), Kind::Invalid, Some("name")),
        (r#"{"name": "a", "expires_at": "soon"}"#, Kind::Invalid, Some("expires_at")),
        (r#"{"name": "a", "expires_at": 7}"#, Kind::Invalid, Some("expires_at")),
        ("[]", Kind::Malformed, None),
    ] {
        let request = format!("POST {KEYS}\n\n{sent}");
        let error = Text(&request).decode_of_person(Role::Admin, &Neo).unwrap_err();
        assert_eq!((error.kind, error.field), (kind, field), "{sent}");
    }
    for open in [r#"{"name": "a"}"#, r#"{"name": "a", "expires_at": null}"#] {
        let request = format!("POST {KEYS}\n\n{open}");
        let made = Text(&request).decode_of_person(Role::Admin, &Neo).unwrap();
        assert!(matches!(made, Op::KeyCreate(_, KeyNew { expires_at: None, .. })), "{open}");
    }
}

#[test]
fn a_new_key_is_shown_once_in_an_envelope() {
    let key = Key {
        id: KeyId::parse(OTHER).unwrap(),
        organization_id: OrganizationId::parse(ORGANIZATION).unwrap(),
        name: "Phones".into(),
        dialect: DialectName("neo".into()),
        role: Role::Member,
        scopes: None,
        mode: Mode::Live,
        allowed_addresses: Vec::new(),
        expires_at: None,
        prefix: "neo_sk_prod_".into(),
        hash: KeyHash([0; 32]),
        created_at: now(),
        revoked_at: None,
        replaced_at: None,
        version: 1,
    };
    for (request, path, status) in [
        (KEYS.to_owned(), KEYS, 201),
        (format!("{KEYS}/{OTHER}/rotate"), "/public-api/api-keys/{key_id}/rotate", 200),
    ] {
        let view = View::KeyCreated(key.clone(), Secret("neo_sk_prod_s".into()));
        let reply = Text(&format!("POST {request}")).encode(&Neo, view);
        assert_eq!(reply.status.as_u16(), status);
        hold(&Neo.openapi(), ("post", path), &reply, None);
        assert!(reply.headers.iter().any(|(name, value)| name == "cache-control" && value == "no-store"));
        let expected = json!({
            "data": {
                "id": OTHER, "name": "Phones", "key": "neo_sk_prod_s",
                "created_at": "2026-03-01T12:00:00.123Z", "expires_at": null,
            },
            "meta": {"request_id": REQUEST, "timings_ms": {}},
        });
        assert_eq!(body(&reply), expected);
    }
}

#[test]
fn the_document_is_for_everybody_and_nothing_else_is() {
    for endpoint in Neo.endpoints() {
        let answer = Neo.open(endpoint, &context(&[]));
        assert_eq!(answer.is_some(), endpoint.path == "/public-api/openapi.json");
        if let Some(reply) = answer {
            assert_eq!(body(&reply), Neo.openapi());
        }
    }
}
