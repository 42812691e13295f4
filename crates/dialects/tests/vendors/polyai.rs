//! PolyAI's API.

use dialects::Dialect;
use dialects::polyai::PolyAi;
use domain::error::{Error, Kind, What};
use domain::key::Mode;
use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{
    REQUEST, Text, agent, body, column, context, contract, hold, hold_refusals, number, one, print,
};

const PATH: &str = "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}";
const OPERATION: (&str, &str) = ("get", PATH);

fn get(number: &str) -> String {
    format!("GET /v1/agents/PROJECT-1/telephony/phone-numbers/{number}")
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&PolyAi);
    (reply.status.as_u16(), body(&reply)["error_code"].as_str().unwrap_or("").to_owned())
}

#[test]
fn each_kind_has_its_status_and_code() {
    assert_snapshot!(column(&PolyAi, |body| body["error_code"].to_string()), @r#"
    Unauthenticated 401 "AUTH_USER_UNAUTHORISED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Forbidden 403 "USER_ACCESS_FORBIDDEN" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    NotFound 404 "PHONE_NUMBERS_NOT_FOUND" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    MethodNotAllowed 405 "METHOD_NOT_ALLOWED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Exists 409 "PHONE_NUMBERS_ALREADY_EXISTS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Stale 409 "CONFLICT" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Conflict 409 "CONFLICT" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Malformed 400 "SCHEMA_VALIDATION_FAILED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    TooLarge 413 "REQUEST_TOO_LARGE" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Missing 400 "SCHEMA_VALIDATION_FAILED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Invalid 400 "SCHEMA_VALIDATION_FAILED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    KeyReused 422 "IDEMPOTENCY_KEY_REUSED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Running 409 "REQUEST_IN_PROGRESS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    KycNotSubmitted 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    KycInitiated 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    KycPending 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    KycDeclined 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Balance 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Slots 403 "ACCOUNT_INSUFFICIENT_PERMISSIONS" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Limit 429 "RATE_LIMIT_EXCEEDED" retry-after="1" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    CarrierRefused 400 "CARRIER_REFUSED" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Unavailable 503 "SERVICE_UNAVAILABLE" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    Internal 500 "INTERNAL_SERVER_ERROR" x-polyai-correlation-id="0190b5b0-0000-7000-8000-000000000006"
    "#);
}

#[test]
fn what_is_missing_says_what() {
    let code = |what| body(&PolyAi.refuse(&context(&[]), &Error::not_found(what)))["error_code"].clone();
    assert_eq!(code(What::Endpoint), "CONNECTORS_NOT_FOUND");
    assert_eq!(code(What::Agent), "PROJECT_NOT_FOUND");
    assert_eq!(code(What::Organization), "ACCOUNT_NOT_FOUND");
    assert_eq!(code(What::Route), "NOT_FOUND");
    let sent = context(&[("x-api-key", "nobody")]);
    let reply = PolyAi.refuse(&sent, &Error::new(Kind::Unauthenticated, What::Key, "No."));
    assert_eq!(body(&reply)["error_code"], "AUTH_USER_INVALID_TOKEN");
}

#[test]
fn refusals_keep_to_their_shape() {
    // The contract has no schema of errors; the document made here is the judge.
    hold_refusals(&PolyAi, &contract("polyai"), OPERATION, None);
    assert_snapshot!(print(&PolyAi.refuse(&context(&[]), &Error::not_found(What::Number))), @r#"
    404 Not Found
    x-polyai-correlation-id: 0190b5b0-0000-7000-8000-000000000006

    {
      "data": null,
      "error": "There is no such phone number.",
      "error_code": "PHONE_NUMBERS_NOT_FOUND",
      "error_id": "0190b5b0-0000-7000-8000-000000000006",
      "error_message": "There is no such phone number.",
      "success": false
    }
    "#);
}

#[test]
fn a_number_is_read_in_each_spelling() {
    let op = Text(&get("+14155550100")).decode(&PolyAi).unwrap();
    for spelled in [
        "%2B14155550100",
        "%2b14155550100",
        "14155550100",
        "0014155550100",
        "+1-415-555-0100",
        "+1%20415%205550100",
    ] {
        assert_eq!(Text(&get(spelled)).decode(&PolyAi).unwrap(), op, "{spelled}");
    }
    assert_snapshot!(format!("{op:?}"), @r#"NumberGet(OfAgent(AgentId("PROJECT-1"), E164(+1••••••••00)))"#);
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["hello", "+1", "%00", "+14155550100%00", "+1415555010012345678", "%FF"] {
        assert_eq!(refused(&get(text)), (400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT".into()), "{text}");
    }
    let request = "GET /v1/agents/no%20id/telephony/phone-numbers/+14155550100";
    assert_eq!(refused(request), (404, "PHONE_NUMBERS_NOT_FOUND".into()));
}

#[test]
fn a_number_is_written() {
    let mut view = number();
    view.number.agent_id = Some(agent());
    let reply = Text(&get("+14155550100")).encode(&PolyAi, one(view.clone()));
    hold(&contract("polyai"), OPERATION, &reply, None);
    hold(&PolyAi.openapi(), OPERATION, &reply, None);
    assert_snapshot!(print(&reply), @r#"
    200 OK
    x-polyai-correlation-id: 0190b5b0-0000-7000-8000-000000000006

    {
      "accountId": "0190b5b0-0000-7000-8000-000000000001",
      "clientEnv": "live",
      "connectorId": "0190b5b0-0000-7000-8000-000000000003",
      "number": "+14155550100",
      "projectId": "PROJECT-1"
    }
    "#);
    view.number.endpoint_id = None;
    let reply = Text(&get("+14155550100")).encode(&PolyAi, one(view));
    hold(&contract("polyai"), OPERATION, &reply, None);
    assert!(body(&reply).get("connectorId").is_none());
}

#[test]
fn the_correlation_id_is_echoed_if_it_is_fit() {
    let echoed = |sent: &str| {
        let context = context(&[("X-PolyAI-Correlation-Id", sent)]);
        let reply = PolyAi.refuse(&context, &Error::not_found(What::Number));
        let (_, header) = reply.headers.iter().find(|(name, _)| name == "x-polyai-correlation-id").unwrap();
        assert_eq!(body(&reply)["error_id"], json!(header.to_str().unwrap()));
        header.to_str().unwrap().to_owned()
    };
    assert_eq!(echoed("adk-123e4567"), "adk-123e4567");
    assert_eq!(echoed(&"x".repeat(128)), "x".repeat(128));
    for unfit in ["", "two words", "é", &"x".repeat(129)] {
        assert_eq!(echoed(unfit), REQUEST, "{unfit:?}");
    }
    let request = format!("{}\nX-PolyAI-Correlation-Id: mine", get("+14155550100"));
    let reply = Text(&request).encode(&PolyAi, one(number()));
    assert_eq!(reply.headers.first().unwrap().1, "mine");
}

#[test]
fn keys_stand_in_one_header() {
    assert_eq!(PolyAi.key("s", Mode::Live), "poly_s");
    let read = |headers: &[(&str, &str)]| PolyAi.credential(&context(headers).headers).unwrap();
    assert_eq!(read(&[("X-API-KEY", "poly_s")]), Some("poly_s".into()));
    assert_eq!(read(&[("authorization", "Bearer poly_s")]), None);
}
