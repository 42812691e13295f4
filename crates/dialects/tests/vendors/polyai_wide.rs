//! PolyAI's API beyond its first page: requests to operations, views to answers, each answer held against contracts/full and
//! against the document made here.

use dialects::polyai::PolyAi;
use domain::agent::AgentPatch;
use domain::endpoint::EndpointPatch;
use domain::error::{Error, What};
use domain::ids::{EndpointId, NumberId, OrganizationId};
use domain::number::Environment;
use domain::view::{EndpointRow, NumberView, RowResult};
use domain::{Agent, Bag, Endpoint, Paged, Patch, View};
use insta::assert_snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::{ENDPOINT, ORGANIZATION, OTHER, Text, agent, body, contract, hold, now, number, one, print};
use dialects::{Dialect, Reply};

const BASE: &str = "/v1/agents/{agentId}";

fn ops(requests: &[&str]) -> String {
    let row = |request: &&str| {
        let head = request.lines().next().expect("the fixture is well-formed");
        let op = format!("{:?}", Text(request).decode(&PolyAi).map_err(|e| e.public));
        // What a change leaves alone is not printed: a new field of an endpoint is no news here.
        let told = op
            .split(", ")
            .filter(|part| !part.ends_with(": None") && !part.ends_with(": Keep") || part.contains('{'));
        format!("{head}\n  {}\n", told.collect::<Vec<_>>().join(", "))
    };
    requests.iter().map(row).collect()
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&PolyAi);
    (reply.status.as_u16(), body(&reply)["error_code"].as_str().unwrap_or("").to_owned())
}

fn connector(bag: Value) -> Endpoint {
    let Value::Object(mut fields) = bag else { panic!("an object") };
    let keeps = fields.remove("disableHandoff").is_some();
    let organization = OrganizationId::parse(ORGANIZATION).expect("the fixture is well-formed");
    let new = EndpointPatch {
        name: Some("desk".into()),
        agent_id: Patch::Set(agent()),
        allow_transfer: keeps.then_some(false),
        bags: Bag::from_iter([("polyai".to_owned(), Value::Object(fields))]),
        ..EndpointPatch::default()
    };
    let mut made = Endpoint::create(
        organization,
        EndpointId::parse(ENDPOINT).expect("the fixture is well-formed"),
        new,
        Environment::Live,
        now(),
    )
    .expect("the fixture is well-formed");
    made.is_default = true;
    made
}

fn numbers() -> Paged<NumberView> {
    let mut view = number();
    view.number.agent_id = Some(agent());
    Paged { items: vec![view], more: false }
}

fn an_agent() -> Agent {
    let new = AgentPatch { name: Some("Ada".into()), ..AgentPatch::default() };
    Agent::create(
        OrganizationId::parse(ORGANIZATION).expect("the fixture is well-formed"),
        agent(),
        new,
        now(),
    )
    .expect("the fixture is well-formed")
}

/// An answer, held against the contract (where it has the operation) and our own document.
fn answer(request: &str, path: &str, view: View) -> Reply {
    let reply = Text(request).encode(&PolyAi, view);
    let method = request.split(' ').next().expect("the fixture is well-formed").to_ascii_lowercase();
    let contract = contract("full/polyai");
    if contract["paths"][path][&method].is_object() {
        hold(&contract, (&method, path), &reply, None);
    }
    hold(&PolyAi.openapi(), (&method, path), &reply, None);
    reply
}

#[test]
fn numbers_are_asked_for() {
    let base = "/v1/agents/P/telephony/phone-numbers";
    let rows = [
        format!("GET {base}"),
        format!("GET {base}?connectorId={ENDPOINT}"),
        format!("GET {base}?connectorId=conn_x"),
        format!(
            "POST {base}\n\n{{\"phoneNumbers\":[\"+14155550100\"],\"clientEnv\":\"sandbox\",\"more\":1}}"
        ),
        format!("POST {base}/batch\n\n{{\"phoneNumbers\":[\"+14155550100\"]}}"),
        format!("POST {base}/+14155550100"),
        format!("POST {base}/%2B14155550100\n\n{{\"connectorId\":\"{ENDPOINT}\",\"clientEnv\":null}}"),
        format!("PATCH {base}/+14155550100\n\n{{\"connectorId\":\"{ENDPOINT}\"}}"),
        format!("DELETE {base}\n\n{{\"phoneNumbers\":[\"+14155550100\",\"x\"]}}"),
        format!("DELETE {base}/+14155550100"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_snapshot!(ops(&rows), @r#"
    GET /v1/agents/P/telephony/phone-numbers
      Ok(OfAgent(AgentId("P"), NumberList(None)))
    GET /v1/agents/P/telephony/phone-numbers?connectorId=0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), NumberList(Some(EndpointId(0190b5b0-0000-7000-8000-000000000003)))))
    GET /v1/agents/P/telephony/phone-numbers?connectorId=conn_x
      Ok(OfAgent(AgentId("P"), NumberList(Some(EndpointId(00000000-0000-0000-0000-000000000000)))))
    POST /v1/agents/P/telephony/phone-numbers
      Ok(OfAgent(AgentId("P"), NumberImport(AgentImport { numbers: ["+14155550100"], environment: Some(Sandbox) })))
    POST /v1/agents/P/telephony/phone-numbers/batch
      Ok(OfAgent(AgentId("P"), NumberGetMany([E164(+1••••••••00)])))
    POST /v1/agents/P/telephony/phone-numbers/+14155550100
      Ok(OfAgent(AgentId("P"), NumberImport(AgentImport { numbers: ["+14155550100"], environment: None })))
    POST /v1/agents/P/telephony/phone-numbers/%2B14155550100
      Ok(OfAgent(AgentId("P"), NumberImport(AgentImport { numbers: ["+14155550100"], endpoint_id: Some(EndpointId(0190b5b0-0000-7000-8000-000000000003)), environment: None })))
    PATCH /v1/agents/P/telephony/phone-numbers/+14155550100
      Ok(OfAgent(AgentId("P"), NumberMove(E164(+1••••••••00), EndpointId(0190b5b0-0000-7000-8000-000000000003))))
    DELETE /v1/agents/P/telephony/phone-numbers
      Ok(OfAgent(AgentId("P"), NumberRelease([("+14155550100", Ok(E164(+1••••••••00))), ("x", Err(Error { kind: Invalid, what: Number, field: Some("e164"), public: "The phone number is not in E.164 form, such as +14155550100.", numbers: [], cause: None }))])))
    DELETE /v1/agents/P/telephony/phone-numbers/+14155550100
      Ok(NumberRelease(OfAgent(AgentId("P"), E164(+1••••••••00)), None))
    "#);
}

#[test]
fn connectors_are_asked_for() {
    let base = "/v1/agents/P/telephony/connectors";
    let rows = [
        format!("GET {base}"),
        format!("POST {base}/batch\n\n{{\"connectorIds\":[\"{ENDPOINT}\",\"conn_x\"]}}"),
        format!("POST {base}/lookup\n\n{{\"phoneNumber\":\"+14155550100\"}}"),
        format!("GET {base}/{ENDPOINT}"),
        format!(
            "PATCH {base}/{ENDPOINT}\n\n{{\"variantId\":null,\"asrLangCode\":\"en-US\",\"voiceName\":\"\",\"projectId\":\"P\"}}"
        ),
        format!("PATCH {base}/{ENDPOINT}\n\n{{\"projectId\":\"Q\"}}"),
        format!("PATCH {base}/{ENDPOINT}\n\n{{\"projectId\":\"Q\",\"variantId\":\"V\"}}"),
        format!(
            "PATCH {base}/batch\n\n{{\"updates\":[{{\"connectorId\":\"{ENDPOINT}\"}},{{\"connectorId\":\"x\"}}]}}"
        ),
        format!("DELETE {base}/{ENDPOINT}"),
        format!(
            "POST {base}\n\n{{\"name\":\"desk\",\"disableHandoff\":true,\"clientEnv\":\"live\",\"targets\":[\"sip:h\"]}}"
        ),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_snapshot!(ops(&rows), @r#"
    GET /v1/agents/P/telephony/connectors
      Ok(OfAgent(AgentId("P"), EndpointList))
    POST /v1/agents/P/telephony/connectors/batch
      Ok(OfAgent(AgentId("P"), EndpointGetMany([EndpointId(0190b5b0-0000-7000-8000-000000000003)])))
    POST /v1/agents/P/telephony/connectors/lookup
      Ok(OfAgent(AgentId("P"), EndpointOfNumber(E164(+1••••••••00))))
    GET /v1/agents/P/telephony/connectors/0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), EndpointGet(EndpointId(0190b5b0-0000-7000-8000-000000000003))))
    PATCH /v1/agents/P/telephony/connectors/0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), EndpointUpdate(EndpointId(0190b5b0-0000-7000-8000-000000000003), EndpointPatch { name: None, manner: MannerPatch { login: Keep, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, fallback: Keep }, bags: {"polyai": Object {"asrLangCode": String("en-US"), "variantId": Null, "voiceName": Null}} })))
    PATCH /v1/agents/P/telephony/connectors/0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), EndpointUpdate(EndpointId(0190b5b0-0000-7000-8000-000000000003), EndpointPatch { name: None, agent_id: Set(AgentId("Q")), is_default: Some(false), manner: MannerPatch { login: Keep, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, fallback: Keep }, bags: {"polyai": Object {"variantId": Null}} })))
    PATCH /v1/agents/P/telephony/connectors/0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), EndpointUpdate(EndpointId(0190b5b0-0000-7000-8000-000000000003), EndpointPatch { name: None, agent_id: Set(AgentId("Q")), is_default: Some(false), manner: MannerPatch { login: Keep, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, fallback: Keep }, bags: {"polyai": Object {"variantId": String("V")}} })))
    PATCH /v1/agents/P/telephony/connectors/batch
      Ok(OfAgent(AgentId("P"), EndpointUpdateMany([("0190b5b0-0000-7000-8000-000000000003", Ok((EndpointId(0190b5b0-0000-7000-8000-000000000003), EndpointPatch { name: None, manner: MannerPatch { login: Keep, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, fallback: Keep }, bags: {} }))), ("x", Err(Error { kind: NotFound, what: Endpoint, public: "There is no such endpoint.", numbers: [], cause: None }))])))
    DELETE /v1/agents/P/telephony/connectors/0190b5b0-0000-7000-8000-000000000003
      Ok(OfAgent(AgentId("P"), EndpointDelete(EndpointId(0190b5b0-0000-7000-8000-000000000003))))
    POST /v1/agents/P/telephony/connectors
      Ok(EndpointCreate(EndpointPatch { name: Some("desk"), agent_id: Set(AgentId("P")), environment: Some(Live), targets: Some([Target { uri: TargetUri { text: "sip:h", host: "h", transport: Udp, named: false }, priority: 1, weight: 1, enabled: true }]), allow_transfer: Some(false), manner: MannerPatch { login: Keep, ring_seconds: Keep }, rules: EndpointRulesPatch { failover: Keep, fallback: Keep }, bags: {} }))
    "#);
}

#[test]
fn agents_are_asked_for_in_both_spellings() {
    let create = r#"{"name":"Ada","agentId":"ADA-1","responseSettings":{"greeting":"Hi"}}"#;
    let rows = [
        format!("GET /v1/accounts/{ORGANIZATION}/agents"),
        "GET /v1/agents".to_owned(),
        format!("POST /v1/accounts/{ORGANIZATION}/agents\n\n{create}"),
        format!("POST /v1/agents\n\n{create}"),
        "POST /v1/agents/P/duplicate\n\n{\"newAgentName\":\"Copy\"}".to_owned(),
        "DELETE /v1/agents/P".to_owned(),
        "GET /v1/agents/P/deployments/active".to_owned(),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_snapshot!(ops(&rows), @r#"
    GET /v1/accounts/0190b5b0-0000-7000-8000-000000000001/agents
      Ok(AgentList(Page { limit: 100000, start: First }))
    GET /v1/agents
      Ok(AgentList(Page { limit: 100000, start: First }))
    POST /v1/accounts/0190b5b0-0000-7000-8000-000000000001/agents
      Ok(AgentCreate(Some(AgentId("ADA-1")), AgentPatch { name: Some("Ada"), bags: {} }))
    POST /v1/agents
      Ok(AgentCreate(Some(AgentId("ADA-1")), AgentPatch { name: Some("Ada"), bags: {} }))
    POST /v1/agents/P/duplicate
      Ok(OfAgent(AgentId("P"), Duplicate(None, AgentPatch { name: Some("Copy"), bags: {} })))
    DELETE /v1/agents/P
      Ok(OfAgent(AgentId("P"), Delete))
    GET /v1/agents/P/deployments/active
      Ok(OfAgent(AgentId("P"), EndpointList))
    "#);
    let foreign = refused(&format!("GET /v1/accounts/{OTHER}/agents"));
    assert_eq!(foreign, (404, "ACCOUNT_NOT_FOUND".into()));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let base = "/v1/agents/P/telephony";
    let many = format!("{{\"connectorIds\":{}}}", json!(vec!["x"; 1_001]));
    let rows = [
        (format!("POST {base}/connectors/batch\n\n{many}"), 400, "SCHEMA_VALIDATION_FAILED"),
        (format!("POST {base}/connectors/batch\n\n[]"), 400, "SCHEMA_VALIDATION_FAILED"),
        (format!("POST {base}/connectors/lookup\n\n{{\"phoneNumber\":\"x\"}}"), 400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"),
        (format!("GET {base}/connectors/conn_x"), 404, "CONNECTORS_NOT_FOUND"),
        (format!("PATCH {base}/connectors/{ENDPOINT}\n\n{{\"voiceName\":\"alloy\"}}"), 400, "CONNECTORS_VALIDATION_FAILED"),
        (format!("PATCH {base}/connectors/{ENDPOINT}\n\n{{\"projectId\":\"a b\"}}"), 404, "PROJECT_NOT_FOUND"),
        (format!("PATCH {base}/connectors/{ENDPOINT}\n\n{{"), 400, "SCHEMA_VALIDATION_FAILED"),
        (format!("POST {base}/connectors\n\n{{}}"), 400, "SCHEMA_VALIDATION_FAILED"),
        (format!("POST {base}/connectors\n\n{{\"name\":\"x\",\"targets\":[\"http://x\"]}}"), 400, "CONNECTORS_VALIDATION_FAILED"),
        (format!("PATCH {base}/phone-numbers/+14155550100\n\n{{\"connectorId\":\"x\"}}"), 404, "PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST"),
        (format!("POST {base}/phone-numbers/x"), 400, "PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT"),
        ("GET /v1/agents/a%20b/telephony/connectors".to_owned(), 404, "PROJECT_NOT_FOUND"),
        ("POST /v1/agents\n\n{\"name\":\"x\",\"responseSettings\":{\"greeting\":\"x\"},\"x\":1}".to_owned(), 400, "SCHEMA_VALIDATION_FAILED"),
        ("POST /v1/agents\n\n{\"name\":\"x\",\"responseSettings\":{\"greeting\":\"x\"},\"agentId\":\"a_b\"}".to_owned(), 400, "PROJECT_ID_INVALID"),
    ];
    for (request, status, code) in rows {
        assert_eq!(refused(&request), (status, code.into()), "{request:.120}");
    }
}

#[test]
fn numbers_are_written() {
    let (url, path) = ("/v1/agents/P/telephony/phone-numbers", format!("{BASE}/telephony/phone-numbers"));
    let listed = answer(&format!("GET {url}"), &path, View::Numbers(numbers()));
    assert_eq!(body(&listed)["phoneNumbers"][0]["number"], "+14155550100");
    let request = format!("POST {url}/batch\n\n{{\"phoneNumbers\":[\"+14155550101\",\"14155550100\"]}}");
    let found = body(&answer(&request, &format!("{path}/batch"), View::Numbers(numbers())));
    assert_eq!(
        (found["notFound"].clone(), found["found"].as_array().unwrap().len()),
        (json!(["+14155550101"]), 1)
    );
    let row = |e164: &str, result| RowResult { e164: e164.to_owned(), result };
    let id = NumberId(Uuid::nil());
    let many = View::Imported(vec![row("+14155550100", Ok(id)), row("+14155550101", Ok(id))]);
    let imported = answer(&format!("POST {url}"), &path, many.clone());
    assert_eq!(body(&imported), json!({"imported": ["+14155550100", "+14155550101"]}));
    let single =
        answer(&format!("POST {url}/+14155550100"), &format!("{path}/{{phoneNumber}}"), many.clone());
    assert_eq!((single.status.as_u16(), body(&single)), (201, json!({"imported": "+14155550100"})));
    let deleted = answer(&format!("DELETE {url}"), &path, many);
    assert_eq!(body(&deleted), json!({"deleted": ["+14155550100", "+14155550101"]}));
    let mixed = vec![row("+14155550100", Ok(id)), row("x", Err(Error::not_found(What::Number)))];
    let mixed = body(&answer(&format!("DELETE {url}"), &path, View::Imported(mixed)));
    assert_eq!(mixed["errors"], json!([{"phoneNumber": "x", "error": "There is no such phone number."}]));
    let gone =
        answer(&format!("DELETE {url}/+14155550100"), &format!("{path}/{{phoneNumber}}"), one(number()));
    assert_eq!(body(&gone), json!({"deleted": "+14155550100"}));
}

#[test]
fn connectors_are_written() {
    let (url, path) = ("/v1/agents/P/telephony/connectors", format!("{BASE}/telephony/connectors"));
    let whole = connector(
        json!({"variantId": "V", "asrLangCode": "en-GB", "voiceName": "en-US-Neural2-A", "disableHandoff": true}),
    );
    let made = answer(&format!("POST {url}"), &path, View::Endpoint(whole.clone()));
    assert_snapshot!(print(&made), @r#"
    201 Created
    x-polyai-correlation-id: 0190b5b0-0000-7000-8000-000000000006

    {
      "accountId": "0190b5b0-0000-7000-8000-000000000001",
      "asrLangCode": "en-GB",
      "clientEnv": "live",
      "connectorId": "0190b5b0-0000-7000-8000-000000000003",
      "disableHandoff": true,
      "name": "desk",
      "projectId": "PROJECT-1",
      "ttsLangCode": "en-US",
      "variantId": "V",
      "voiceName": "en-US-Neural2-A"
    }
    "#);
    let plain = connector(json!({}));
    let read = body(&answer(
        &format!("GET {url}/{ENDPOINT}"),
        &format!("{path}/{{connectorId}}"),
        View::Endpoint(plain),
    ));
    for unset in ["variantId", "asrLangCode", "ttsLangCode", "voiceName"] {
        assert_eq!(read[unset], "", "{unset}");
    }
    let page = View::Endpoints(Paged { items: vec![whole.clone()], more: false });
    answer(&format!("GET {url}"), &path, page.clone());
    let request = format!("POST {url}/batch\n\n{{\"connectorIds\":[\"{OTHER}\",\"{ENDPOINT}\",\"x\"]}}");
    let found = body(&answer(&request, &format!("{path}/batch"), page.clone()));
    assert_eq!(found["notFound"], json!([OTHER, "x"]));
    let rows = View::EndpointRows(vec![
        EndpointRow { id: ENDPOINT.into(), result: Ok(whole) },
        EndpointRow { id: "x".into(), result: Err(Error::not_found(What::Endpoint)) },
    ]);
    let results = body(&answer(&format!("PATCH {url}/batch"), &format!("{path}/batch"), rows));
    assert_eq!(results["results"][0]["data"]["connectorId"], ENDPOINT);
    let failed = json!({"connectorId": "x", "success": false, "error": "There is no such connector."});
    assert_eq!(results["results"][1], failed);
    let gone = View::EndpointGone(EndpointId::parse(ENDPOINT).unwrap(), vec![number().number.e164]);
    let gone = answer(&format!("DELETE {url}/{ENDPOINT}"), &format!("{path}/{{connectorId}}"), gone);
    assert_eq!(body(&gone), json!({"deletedConnector": ENDPOINT, "deletedPhoneNumbers": ["+14155550100"]}));
    let active = answer("GET /v1/agents/P/deployments/active", &format!("{BASE}/deployments/active"), page);
    assert_snapshot!(print(&active), @r#"
    200 OK
    x-polyai-correlation-id: 0190b5b0-0000-7000-8000-000000000006

    {
      "activeDeployments": {
        "live": {
          "accountId": "0190b5b0-0000-7000-8000-000000000001",
          "agentId": "PROJECT-1",
          "artifactVersion": "1",
          "createdAt": "2026-03-01T12:00:00.123Z",
          "createdBy": "trunkline",
          "environment": "live",
          "id": "0190b5b0-0000-7000-8000-000000000003",
          "version": "1"
        }
      }
    }
    "#);
}

#[test]
fn agents_are_written() {
    let page = View::Agents(Paged { items: vec![an_agent()], more: false });
    let path = "/v1/accounts/{accountId}/agents";
    let listed = answer(&format!("GET /v1/accounts/{ORGANIZATION}/agents"), path, page.clone());
    assert_snapshot!(print(&listed), @r#"
    200 OK
    x-polyai-correlation-id: 0190b5b0-0000-7000-8000-000000000006

    [
      {
        "accountId": "0190b5b0-0000-7000-8000-000000000001",
        "agentId": "PROJECT-1",
        "agentName": "Ada",
        "branchCount": 0,
        "createdAt": "2026-03-01T12:00:00.123Z",
        "updatedAt": "2026-03-01T12:00:00.123Z"
      }
    ]
    "#);
    assert_eq!(answer("GET /v1/agents", "/v1/agents", page).body, listed.body);
    let one = answer("POST /v1/agents/P/duplicate", &format!("{BASE}/duplicate"), View::Agent(an_agent()));
    assert_eq!((one.status.as_u16(), &body(&one)), (200, &body(&listed)[0]));
    let gone = Text("DELETE /v1/agents/P").encode(&PolyAi, View::Done);
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
}

#[test]
fn bodies_of_agents_are_closed_in_the_document_too() {
    let document = PolyAi.openapi();
    let schemas = &document["components"]["schemas"];
    for closed in [
        "CreateAgentBody",
        "ResponseSettings",
        "VoiceSettings",
        "LlmSettings",
        "ExperimentalConfig",
        "DuplicateAgentBody",
    ] {
        assert_eq!(schemas[closed]["additionalProperties"], false, "{closed}");
    }
    for open in
        ["UpdateConnectorBody", "ImportPhoneNumbersBody", "ReassignPhoneNumberBody", "CreateConnectorBody"]
    {
        assert!(
            schemas[open]["properties"].is_object() && schemas[open]["additionalProperties"].is_null(),
            "{open}"
        );
    }
    let bodies = contract("full/polyai");
    for (name, body) in bodies["components"]["schemas"].as_object().unwrap() {
        if !name.ends_with("Body") || name.starts_with("InitiateOutbound") {
            continue;
        }
        for field in body["properties"].as_object().unwrap().keys() {
            assert!(schemas[name]["properties"][field].is_object(), "{name}.{field}");
        }
        for field in body["required"].as_array().into_iter().flatten() {
            assert!(schemas[name]["required"].as_array().unwrap().contains(field), "{name}.{field}");
        }
    }
}
