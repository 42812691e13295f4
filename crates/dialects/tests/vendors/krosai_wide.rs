//! KrosAI's endpoints, calls and API keys. No document of the vendor's has them: answers are held against our own.
#![expect(clippy::unwrap_used, reason = "a fixture: what fails here fails the test")]

use crate::kit::{ENDPOINT, NUMBER, ORGANIZATION, OTHER, Text, body, context, hold, now};
use dialects::Dialect;
use dialects::krosai::KrosAi;
use domain::call::{Call, CallCount, CallDay, CallStatus, Direction, EndedBy};
use domain::endpoint::{EndpointKind, EndpointPatch};
use domain::error::{Error, Kind, What};
use domain::ids::{CallId, EndpointId, KeyId, NumberId, OrganizationId};
use domain::key::{DialectName, Key, KeyHash, KeyNew, KeyUsage, Minted, Mode, Role};
use domain::number::Environment;
use domain::op::Secret;
use domain::{Endpoint, Generation, Micros, Op, Paged, Patch, View};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

fn at(path: &str) -> String {
    format!("{path}/{OTHER}")
}

fn op(request: &str) -> Op {
    Text(request).decode(&KrosAi).unwrap_or_else(|e| panic!("{request}: {e:?}"))
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&KrosAi);
    (reply.status.as_u16(), body(&reply)["code"].as_str().unwrap_or("").to_owned())
}

fn endpoint(kind: EndpointKind, url: Option<&str>, config: Value) -> Endpoint {
    let Value::Object(config) = config else { panic!("no object") };
    let new = EndpointPatch {
        name: Some("desk".into()),
        kind: Some(kind),
        url: url.map_or(Patch::Keep, |url| Patch::Set(url.into())),
        config: Some(config),
        ..EndpointPatch::default()
    };
    Endpoint::create(
        OrganizationId(uuid(ORGANIZATION)),
        EndpointId(uuid(ENDPOINT)),
        new,
        Environment::Live,
        now(),
    )
    .unwrap()
}

fn call(status: CallStatus) -> Call {
    let (e164, _) = domain::E164::parse("+14155550100").unwrap();
    let completed = status == CallStatus::Completed;
    Call {
        id: CallId(uuid(OTHER)),
        organization_id: OrganizationId(uuid(ORGANIZATION)),
        direction: Direction::Inbound,
        number_id: Some(NumberId(uuid(NUMBER))),
        number: Some(e164),
        from: "+12125550100".into(),
        to: "+14155550100".into(),
        status,
        started_at: now(),
        answered_at: completed.then(now),
        ended_at: status.is_final().then(now),
        duration_seconds: 61,
        monotonic: true,
        ended_by: completed.then_some(EndedBy::Callee),
        sip_status: None,
        reason: None,
        provider_id: None,
        endpoint_id: Some(EndpointId(uuid(ENDPOINT))),
        attempts: Vec::new(),
        generation: Generation(1),
        price: domain::Price::FREE,
        cost: Micros(29_999),
        dialog: None,
        trail: domain::trail::Trail::default(),
        source: None,
        notes: Vec::new(),
        origin: None,
        legs: Vec::new(),
    }
}

fn key() -> Key {
    let new = KeyNew {
        name: "ci".into(),
        dialect: DialectName("krosai".into()),
        role: Role::Viewer,
        scopes: None,
        mode: Mode::Live,
        allowed_addresses: Vec::new(),
        expires_at: None,
    };
    let minted = Minted { id: KeyId(uuid(OTHER)), prefix: "kros_live_ab".into(), hash: KeyHash([7; 32]) };
    Key::create(OrganizationId(uuid(ORGANIZATION)), new, minted, now()).unwrap()
}

/// An answer's body, held against our own document.
fn answer(request: &str, operation: (&str, &str), view: View) -> Value {
    let reply = Text(request).encode(&KrosAi, view);
    hold(&KrosAi.openapi(), operation, &reply, None);
    assert!(reply.status.is_success());
    if reply.body.is_empty() { Value::Null } else { body(&reply) }
}

#[test]
fn endpoints_are_read() {
    let Op::EndpointCreate(new) =
        op("POST /v1/endpoints\n\n{\"name\": \"a\", \"type\": \"elevenlabs\", \"url\": null, \
        \"provider_config\": {\"elevenlabs_agent_id\": \"x\"}}")
    else {
        panic!("no creation")
    };
    assert_eq!((new.kind, new.url, new.status), (Some(EndpointKind::ElevenLabs), Patch::Keep, None));
    assert_eq!(new.config.map(Value::Object), Some(json!({"elevenlabs_agent_id": "x"})));
    let body = json!({"name": "a", "type": "agent", "phone_number_id": NUMBER});
    let Op::EndpointCreateFor(_, number) = op(&format!("POST /v1/endpoints\n\n{body}")) else {
        panic!("no number")
    };
    assert_eq!(number, NumberId(uuid(NUMBER)));
    let desk = at("/v1/endpoints");
    assert!(matches!(op(&format!("GET {desk}")), Op::EndpointGet(_)));
    assert!(matches!(op(&format!("DELETE {desk}")), Op::EndpointDelete(_, None)));
    let Op::EndpointUpdate(_, patch, None) =
        op(&format!("PATCH {desk}\n\n{{\"url\": null, \"type\": \"vapi\"}}"))
    else {
        panic!("no change")
    };
    assert_eq!(patch, EndpointPatch { url: Patch::Clear, ..EndpointPatch::default() });
}

#[test]
fn each_type_is_written_as_it_is_named() {
    let ids = json!({"assistant_id": "a", "agent_id": "a", "elevenlabs_agent_id": "a", "livekit_sip_uri": "h",
        "project_id": "p", "region": "r"});
    for (kind, name) in EndpointKind::NAMES {
        let (url, config) = match kind {
            EndpointKind::Webhook => (Some("https://h/x"), json!({})),
            EndpointKind::CustomSip | EndpointKind::Sip => (Some("sip:a@h"), json!({})),
            _ => (None, ids.clone()),
        };
        let view = View::Endpoint(endpoint(kind, url, config));
        let out =
            answer(&format!("GET {}", at("/v1/endpoints")), ("get", "/v1/endpoints/{endpoint_id}"), view);
        let ours = matches!(
            kind,
            EndpointKind::Sip
                | EndpointKind::OpenAi
                | EndpointKind::AzureOpenAi
                | EndpointKind::XAi
                | EndpointKind::Bland
        );
        assert_eq!(out["type"], if ours { "custom_sip" } else { name });
        if !ours {
            let request = json!({"name": "x", "type": name});
            assert!(
                matches!(op(&format!("POST /v1/endpoints\n\n{request}")), Op::EndpointCreate(new) if new.kind == Some(kind))
            );
        }
        let has_url = !matches!(kind, EndpointKind::Agent | EndpointKind::Vogent | EndpointKind::DirectSip);
        assert_eq!(out["url"].is_string(), has_url, "{name}");
    }
    let page = View::Endpoints(Paged {
        items: vec![endpoint(EndpointKind::DirectSip, None, json!({}))],
        more: false,
    });
    assert_eq!(answer("GET /v1/endpoints", ("get", "/v1/endpoints"), page)[0]["provider_config"], json!({}));
}

#[test]
fn calls_are_read() {
    let Op::CallPage(query, page) = op("GET /v1/calls?page=3&limit=10&status=no_answer") else {
        panic!("no page")
    };
    assert_eq!((page.limit, page.start), (10, domain::Start::Offset(20)));
    assert_eq!(query.any_of, Some(vec![CallStatus::NoAnswer, CallStatus::Cancelled]));
    let Op::CallStats(query) = op("GET /v1/calls?action=stats&start_date=2026-02-01&end_date=2026-02-01")
    else {
        panic!("no stats")
    };
    let span = query.before.unwrap().duration_since(query.from.unwrap());
    assert_eq!(span.as_hours(), 24);
    let Op::CallTrends(query) = op("GET /v1/calls?action=trends") else { panic!("no trends") };
    assert_eq!(query.from, Some("2026-01-31T00:00:00Z".parse().unwrap()));
    for (query, code) in [
        ("page=0", "INVALID_PARAMETER"),
        ("limit=101", "INVALID_PARAMETER"),
        ("status=lost", "INVALID_PARAMETER"),
        ("action=sum", "INVALID_PARAMETER"),
        ("phone_number_id=x", "INVALID_PARAMETER"),
        ("start_date=2026-1-1", "INVALID_PARAMETER"),
        ("start_date=2026-02-30", "INVALID_PARAMETER"),
        ("action=trends&start_date=2024-01-01", "INVALID_PARAMETER"),
    ] {
        assert_eq!(refused(&format!("GET /v1/calls?{query}")), (400, code.into()), "{query}");
    }
    assert_eq!(refused("GET /v1/calls/x"), (404, "CALL_NOT_FOUND".into()));
}

#[test]
fn each_state_of_a_call_reads_as_one_of_the_vendors() {
    let reads = |status| {
        let view = View::Call(Box::new(call(status)));
        let out = answer(&format!("GET {}", at("/v1/calls")), ("get", "/v1/calls/{call_id}"), view);
        format!(
            "{} {} {}",
            status.as_str(),
            out["status"].as_str().unwrap(),
            out["hangup_cause"].as_str().unwrap_or("-")
        )
    };
    insta::assert_snapshot!(CallStatus::NAMES.map(|(status, _)| reads(status)).join("\n"), @r"
    ringing ringing -
    answered in_progress -
    completed completed agent_hangup
    busy busy busy
    no_answer no_answer no_answer
    failed failed network_error
    refused failed rejected
    cancelled no_answer user_hangup
    ");
}

#[test]
fn calls_are_written() {
    let calls = Paged { items: vec![call(CallStatus::Completed)], more: true };
    let operation = ("get", "/v1/calls");
    let out = answer("GET /v1/calls?page=2&limit=1", operation, View::CallPage(calls, 3));
    assert_eq!((&out["total"], &out["page"], &out["total_pages"]), (&json!(3), &json!(2), &json!(3)));
    assert_eq!((&out["data"][0]["cost_cents"], &out["data"][0]["duration"]), (&json!(2), &json!(61)));
    let counts = vec![
        CallCount { status: CallStatus::Failed, calls: 1, seconds: 0 },
        CallCount { status: CallStatus::Refused, calls: 2, seconds: 0 },
        CallCount { status: CallStatus::Completed, calls: 4, seconds: 60 },
    ];
    let out = answer("GET /v1/calls?action=stats", operation, View::CallStats(counts));
    assert_eq!(
        (&out["total"], &out["total_duration"], &out["by_status"]["failed"]),
        (&json!(7), &json!(60), &json!(3))
    );
    let days = vec![CallDay { day: "2026-02-28T00:00:00Z".parse().unwrap(), calls: 5 }];
    let request = "GET /v1/calls?action=trends&start_date=2026-02-27&end_date=2026-03-01";
    let expected = json!([
        {"date": "2026-02-27", "count": 0}, {"date": "2026-02-28", "count": 5}, {"date": "2026-03-01", "count": 0},
    ]);
    assert_eq!(answer(request, operation, View::CallTrends(days)), expected);
}

#[test]
fn keys_are_read_and_written() {
    let body = json!({
        "name": "ci", "scopes": ["numbers:read"], "allowed_ips": ["192.0.2.7", "2001:db8::/32"], "expires_at": "2030-01-01T00:00:00Z",
    });
    let Op::KeyCreate(organization, new) = op(&format!("POST /v1/api-keys\n\n{body}")) else {
        panic!("no key")
    };
    assert_eq!(
        (organization, new.role, new.mode),
        (OrganizationId(uuid(ORGANIZATION)), Role::Owner, Mode::Live)
    );
    assert_eq!((new.allowed_addresses.len(), new.dialect), (2, DialectName("krosai".into())));
    for (body, code) in [
        (json!({}), "MISSING_FIELDS"),
        (json!({"name": "k", "scopes": ["voice:connect"]}), "INVALID_PARAMETER"),
        (json!({"name": "k", "scopes": ["agents:read"]}), "INVALID_PARAMETER"),
        (json!({"name": "k", "allowed_ips": ["x"]}), "INVALID_PARAMETER"),
        (json!({"name": "k", "expires_at": "tomorrow"}), "INVALID_PARAMETER"),
        (json!({"name": "k", "allowed_ips": [], "allowedIps": ["192.0.2.7"]}), "INVALID_PARAMETER"),
    ] {
        assert_eq!(refused(&format!("POST /v1/api-keys\n\n{body}")), (400, code.into()), "{body}");
    }
    let usage = KeyUsage { last_used_at: Some(now()), requests_day: 2, requests_month: 3 };
    let out = answer(
        &format!("GET {}", at("/v1/api-keys")),
        ("get", "/v1/api-keys/{key_id}"),
        View::KeyUsed(key(), usage),
    );
    assert_eq!((&out["requests_24h"], &out["requests_30d"]), (&json!(2), &json!(3)));
    assert!(
        out["scopes"]
            .as_array()
            .is_some_and(|scopes| scopes.iter().all(|s| s.as_str().is_some_and(|s| s.ends_with(":read"))))
    );
    let page = View::KeysUsed(Paged { items: vec![(key(), KeyUsage::default())], more: false });
    let list = answer("GET /v1/api-keys", ("get", "/v1/api-keys"), page);
    assert!(list[0]["key"].is_null() && list[0]["last_used_at"].is_null());
    let made = View::KeyCreated(key(), Secret("kros_live_abc".into()));
    assert_eq!(answer("POST /v1/api-keys", ("post", "/v1/api-keys"), made)["key"], "kros_live_abc");
}

#[test]
fn removals_are_empty() {
    for (path, parameter) in
        [("/v1/endpoints", "endpoint_id"), ("/v1/calls", "call_id"), ("/v1/api-keys", "key_id")]
    {
        let reply = Text(&format!("DELETE {}", at(path))).encode(&KrosAi, View::Done);
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        hold(&KrosAi.openapi(), ("delete", &format!("{path}/{{{parameter}}}")), &reply, None);
        let (status, _) = refused(&format!("DELETE {path}/x"));
        assert_eq!(status, 404, "{path}");
    }
}

#[test]
fn a_key_that_is_refused_is_told_why() {
    let code = |error: &Error| {
        let reply = KrosAi.refuse(&context(&[("x-api-key", "kros_live_x")]), error);
        (reply.status.as_u16(), body(&reply)["code"].as_str().map(str::to_owned))
    };
    let expired = Error::new(Kind::Unauthenticated, What::Key, "No.").at("expires_at");
    assert_eq!(code(&expired), (401, Some("KEY_EXPIRED".into())));
    let elsewhere = Error::new(Kind::Forbidden, What::Key, "No.").at("allowed_addresses");
    assert_eq!(code(&elsewhere), (403, Some("IP_NOT_ALLOWED".into())));
    let config = Error::new(Kind::Missing, What::Endpoint, "`config` must have `agent_id`.").at("config");
    let reply = KrosAi.refuse(&context(&[]), &config);
    assert_eq!(body(&reply)["error"], "`provider_config` must have `agent_id`.");
    assert_eq!(code(&Error::not_found(What::Endpoint)), (404, Some("ENDPOINT_NOT_FOUND".into())));
    assert_eq!(
        code(&Error::not_found(What::Endpoint).at("endpoint_id")),
        (400, Some("ENDPOINT_NOT_FOUND".into()))
    );
}
