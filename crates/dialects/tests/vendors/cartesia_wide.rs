//! Cartesia's numbers, trunks, agents and calls: what is read, and each answer held against contracts/full.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use dialects::Dialect;
use dialects::cartesia::Cartesia;
use domain::agent::AgentPatch;
use domain::call::{CallStatus, Ended, EndedBy, Fact, FactKind, Moment, Started, Unanswered};
use domain::error::{Error, Kind, What};
use domain::ids::{AgentId, CallId, OrganizationId};
use domain::provider::{AddressRule, Credentials, Inbound, Outbound, ProviderKind, ProviderPatch, Sealed};
use domain::target::Transport;
use domain::view::{AgentBrief, AgentCall, AgentProfile, ProviderBrief};
use domain::{Agent, Bag, Call, E164, Generation, Micros, Paged, Patch, Provider, View};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kit::{
    NUMBER, OTHER, PROVIDER, Text, agent, body, context, contract, hold, now, number, one, provider,
};

const CREATE_TRUNK: &str = "POST /agents/phone-numbers/providers";

fn request(line: &str, body: &Value) -> String {
    format!("{line}\n\n{body}")
}

fn op(line: &str, body: &Value) -> String {
    let text = request(line, body);
    format!("{:?}", Text(&text).decode(&Cartesia).map_err(|error| error.public))
}

fn refused(line: &str, body: &Value) -> u16 {
    Text(&request(line, body)).refusal(&Cartesia).status.as_u16()
}

#[test]
fn requests_become_operations() {
    let number = format!("/agents/phone-numbers/pn_{NUMBER}");
    let trunk = format!("/agents/phone-numbers/providers/{PROVIDER}");
    let imported =
        json!({"label": "a", "number": "+1 415 555 0100", "provider": {"id": PROVIDER}, "agent_id": "x"});
    let rows = [
        ("POST /agents/phone-numbers".into(), imported, "NumberImport(ProviderId("),
        ("POST /agents/phone-numbers/provision".into(), json!({"label": "a"}), "NumberProvision(Country("),
        (format!("GET {number}"), Value::Null, "NumberGet(Held("),
        (format!("PATCH {number}"), json!({"agent_id": null}), "agent_id: Clear, provider_id: None"),
        (
            format!("PATCH {number}"),
            json!({"label": "b"}),
            "agent_id: Keep, provider_id: None, environment: None, label: Set(\"b\")",
        ),
        (format!("PATCH {number}"), json!({"provider": {"id": PROVIDER}}), "provider_id: Some("),
        (format!("DELETE {number}"), Value::Null, "NumberDeleteUnassigned(Held("),
        (
            "GET /agents/phone-numbers/providers".into(),
            Value::Null,
            "TrunkList(TrunkQuery { kind: None, account_id: None }, Page { limit: 1000",
        ),
        (
            "GET /agents/phone-numbers/providers?type=twilio".into(),
            Value::Null,
            "TrunkList(TrunkQuery { kind: Some(Twilio)",
        ),
        (format!("GET {trunk}"), Value::Null, "TrunkGet("),
        (
            format!("PATCH {trunk}"),
            json!({"type": "sip_trunk", "inbound": {"allowed_numbers": []}}),
            "allowed_addresses: None, allowed_numbers: Some([])",
        ),
        (
            format!("PATCH {trunk}"),
            json!({"type": "sip_trunk", "outbound": {"credentials": null}}),
            "place: Fixed, destination_country: Keep, media_encryption: None, credentials: Clear",
        ),
        (format!("DELETE {trunk}"), Value::Null, "TrunkDelete("),
        ("GET /agents".into(), Value::Null, "AgentProfileList("),
        ("GET /agents/x".into(), Value::Null, "AgentProfileGet("),
        (
            "PATCH /agents/x".into(),
            json!({"name": null, "tts_voice": "v"}),
            "AgentPatch { name: None, description: Keep, bags: {\"cartesia\": Object {\"tts_voice\": String(\"v\")}} }",
        ),
        ("DELETE /agents/x".into(), Value::Null, "AgentDissolve("),
        (
            "GET /agents/calls?agent_id=x&start_time_gte=2026-03-01T12:00:00%2B02:00".into(),
            Value::Null,
            "from: Some(2026-03-01T10:00:00Z), to: None, mode: None }, Page { limit: 10, start: First })",
        ),
        (format!("GET /agents/calls/{OTHER}"), Value::Null, "AgentCallGet("),
        (format!("DELETE /agents/calls/{OTHER}"), Value::Null, "AgentCallRedact("),
        (format!("POST /agents/calls/{OTHER}/cancel"), Value::Null, "AgentCallHangup("),
    ];
    for (line, body, wanted) in rows {
        let op = op(&line, &if body.is_null() { json!({}) } else { body });
        assert!(op.starts_with("Ok(") && op.contains(wanted), "{line}: {op}");
    }
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let number = format!("PATCH /agents/phone-numbers/{NUMBER}");
    let trunk = |side: Value| json!({"type": "sip_trunk", "label": "t", "inbound": side});
    let twilio = json!({"label": "a", "number": "+14155550100", "provider": {"type": "twilio"}});
    let rows = [
        ("POST /agents/phone-numbers", json!({}), 400),
        ("POST /agents/phone-numbers", twilio, 400),
        ("POST /agents/phone-numbers/provision", json!({"label": 7}), 400),
        (number.as_str(), json!({"label": null}), 400),
        (&number, json!({"agent_id": 7}), 400),
        (&number, json!({"agent_id": "no id"}), 404),
        (&number, json!({"provider": {"id": "ata_1"}}), 404),
        (CREATE_TRUNK, json!({"type": "twilio"}), 400),
        (CREATE_TRUNK, trunk(json!({"media_encryption": "never"})), 400),
        (CREATE_TRUNK, trunk(json!({"allowed_addresses": ["0.0.0.0/0"]})), 400),
        (CREATE_TRUNK, trunk(json!({"credentials": {"username": "u"}})), 400),
        ("PATCH /agents/x", json!({"webhook_id": "w"}), 400),
        ("GET /agents/calls", json!({}), 400),
        ("GET /agents/calls?agent_id=x&batch_id=b", json!({}), 400),
        ("GET /agents/calls?agent_id=x&start_time_lte=noon", json!({}), 400),
        ("GET /agents/calls/c1", json!({}), 404),
    ];
    for (line, body, status) in rows {
        assert_eq!(refused(line, &body), status, "{line} {body}");
    }
}

#[test]
fn what_is_wrong_within_an_object_is_named_with_its_place() {
    let words = |side: &str, fields: Value| {
        let body = json!({"type": "sip_trunk", "label": "t", side: fields});
        let reply = Text(&request(CREATE_TRUNK, &body)).refusal(&Cartesia);
        String::from_utf8(reply.body).unwrap()
    };
    for side in ["inbound", "outbound"] {
        for (credentials, told) in [
            (json!({"username": "u"}), "credentials.password` is required"),
            (json!({"password": "p"}), "credentials.username` is required"),
            (json!({"username": "u", "password": 7}), "credentials.password` must be"),
            (json!(7), "credentials` must be"),
        ] {
            let words = words(side, json!({"credentials": credentials}));
            assert!(words.contains(&format!("`{side}.{told}")), "{words}");
        }
    }
    let words = words("inbound", json!({"media_encryption": "never"}));
    assert!(words.contains("`inbound.media_encryption`"), "{words}");
}

#[test]
fn what_a_state_does_not_allow_is_400_where_the_vendor_says_so() {
    let status = |what, field: Option<&'static str>| {
        let error = Error::new(Kind::Conflict, what, "Words.");
        let reply =
            Cartesia.refuse(&context(&[]), &if let Some(field) = field { error.at(field) } else { error });
        (reply.status.as_u16(), reply.headers.iter().any(|(name, _)| name == "x-should-retry"))
    };
    assert_eq!(status(What::Number, Some("agent_id")), (400, false));
    assert_eq!(status(What::Call, Some("status")), (400, false));
    assert_eq!(status(What::Provider, Some("inbound")), (400, false));
    assert_eq!(status(What::Provider, None), (409, true));
    assert_eq!(status(What::Stock, None), (409, true));
}

fn held(method: &str, path: &'static str, view: View) -> Value {
    let filled = path
        .replace("providers/{id}", &format!("providers/{PROVIDER}"))
        .replace("{id}", NUMBER)
        .replace("{agent_id}", "PROJECT-1")
        .replace("{call_id}", OTHER);
    let query = if path == "/agents/calls" { "?agent_id=PROJECT-1" } else { "" };
    let reply = Text(&format!("{} {filled}{query}", method.to_ascii_uppercase())).encode(&Cartesia, view);
    hold(&contract("full/cartesia"), (method, path), &reply, None);
    hold(&Cartesia.openapi(), (method, path), &reply, None);
    body(&reply)
}

#[test]
fn a_number_is_written_with_its_provider_and_without_it() {
    let mut view = number();
    view.agent = Some(AgentBrief { id: agent(), name: "Ada".into() });
    view.provider = Some(ProviderBrief {
        id: provider(),
        kind: ProviderKind::SipTrunk,
        label: "carrier".into(),
        account: None,
    });
    for (method, path) in [
        ("post", "/agents/phone-numbers"),
        ("get", "/agents/phone-numbers/{id}"),
        ("patch", "/agents/phone-numbers/{id}"),
    ] {
        assert_eq!(held(method, path, one(view.clone()))["provider"]["type"], "sip_trunk");
    }
    let base = held("post", "/agents/phone-numbers/provision", one(view));
    assert!(base.get("provider").is_none() && base["agent"]["name"] == "Ada", "{base}");
}

fn trunk() -> Provider {
    let credentials = Some(Credentials { username: "in".into(), password: Sealed(b"secret".to_vec()) });
    let new = ProviderPatch {
        label: Some("carrier".into()),
        inbound: Patch::Set(Inbound {
            allowed_addresses: vec![AddressRule::parse("192.0.2.0/24").unwrap()],
            allowed_numbers: vec![E164::from_u64(12_125_550_100).unwrap()],
            credentials,
            ..Inbound::default()
        }),
        outbound: Patch::Set(Outbound::new("sip.example.com".into(), Transport::Tcp)),
        ..ProviderPatch::default()
    };
    Provider::create(None, provider(), ProviderKind::SipTrunk, new, now()).unwrap()
}

#[test]
fn trunks_are_written_without_their_passwords() {
    const ONE: &str = "/agents/phone-numbers/providers/{id}";
    let wanted = json!({
        "type": "sip_trunk", "id": PROVIDER, "label": "carrier",
        "inbound": {
            "allowed_addresses": ["192.0.2.0/24"], "allowed_numbers": ["+12125550100"], "auth_username": "in",
            "media_encryption": "allowed",
        },
        "outbound": {
            "address": "sip.example.com", "transport": "tcp", "media_encryption": "disabled", "auth_username": "",
        },
    });
    assert_eq!(held("post", "/agents/phone-numbers/providers", View::Provider(trunk())), wanted);
    assert_eq!(held("get", ONE, View::Provider(trunk())), wanted);
    assert_eq!(held("patch", ONE, View::Provider(trunk())), wanted);
    let page = View::Providers(Paged { items: vec![trunk()], more: false });
    assert_eq!(held("get", "/agents/phone-numbers/providers", page), json!([wanted]));
}

#[test]
fn agents_are_written_with_their_numbers() {
    let bags: Bag = [
        ("cartesia".to_owned(), json!({"tts_voice": "v1"})),
        ("other".to_owned(), json!({"tts_language": "fr"})),
    ]
    .into_iter()
    .collect();
    let new = AgentPatch { name: Some("Ada".into()), bags, ..AgentPatch::default() };
    let agent = Agent::create(OrganizationId(Uuid::nil()), agent(), new, now()).unwrap();
    let numbers = vec![(number().number.id, number().number.e164)];
    let profile = AgentProfile { agent, numbers };
    let one = held("get", "/agents/{agent_id}", View::AgentProfile(profile.clone()));
    // What another dialect keeps is not shown here.
    assert_eq!((&one["tts_voice"], &one["tts_language"]), (&json!("v1"), &json!("en")));
    assert_eq!(one["phone_numbers"], json!([{"id": format!("pn_{NUMBER}"), "number": "+14155550100"}]));
    assert_eq!(held("patch", "/agents/{agent_id}", View::AgentProfile(profile.clone())), one);
    let page = View::AgentProfiles(Paged { items: vec![profile], more: false });
    assert_eq!(held("get", "/agents", page), json!({"summaries": [one]}));
}

fn call(end: FactKind) -> Call {
    let fact = |kind| Fact {
        organization_id: OrganizationId(Uuid::nil()),
        call_id: CallId(Uuid::parse_str(OTHER).unwrap()),
        at: Moment { wall: now(), process: 1, monotonic_us: 0 },
        kind,
    };
    let started = Started {
        direction: domain::call::Direction::Inbound,
        number_id: None,
        number: E164::from_u64(14_155_550_100),
        from: "+12125550100".into(),
        to: "+14155550100".into(),
        provider_id: None,
        endpoint_id: None,
        generation: Generation(1),
        price: domain::Price::by_minute(Micros::ZERO),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: "c".into(),
    };
    let mut facts = vec![fact(FactKind::Started(Box::new(started)))];
    if matches!(end, FactKind::Ended(_)) {
        facts.push(fact(FactKind::Answered(None)));
    }
    facts.push(fact(end));
    Call::fold(&facts).unwrap()
}

fn of_agent(call: Call, redacted: bool) -> AgentCall {
    let agent_id = AgentId::parse("PROJECT-1").unwrap();
    let redacted_at = redacted.then(now);
    AgentCall {
        call,
        agent_id,
        agent_name: Some("Ada".into()),
        provider: Some(ProviderKind::Managed),
        redacted_at,
    }
}

#[test]
fn calls_are_written_with_status_and_reason() {
    let ended = |by| FactKind::Ended(Ended { by, reason: None });
    let failed = |status| {
        FactKind::Unanswered(Unanswered { sip_status: 486, status, reason: "Words.".into(), by: None })
    };
    let words = "Words.".to_owned();
    let status = CallStatus::Cancelled;
    let cancelled =
        FactKind::Unanswered(Unanswered { sip_status: 487, status, reason: words, by: Some(EndedBy::Api) });
    let rows = [
        (ended(EndedBy::Caller), "completed", json!("client_hangup"), Value::Null),
        (ended(EndedBy::Callee), "completed", json!("agent_hangup"), Value::Null),
        (ended(EndedBy::Reaper), "completed", json!("client_disconnected"), Value::Null),
        (failed(CallStatus::Busy), "failed", json!("dial_busy"), json!("Words.")),
        (failed(CallStatus::NoAnswer), "failed", json!("dial_no_answer"), json!("Words.")),
        (failed(CallStatus::Failed), "failed", json!("dial_failed"), json!("Words.")),
        (failed(CallStatus::Refused), "failed", json!("error"), json!("Words.")),
        (failed(CallStatus::Cancelled), "failed", json!("client_hangup"), json!("Words.")),
        (ended(EndedBy::Api), "completed", json!("api_cancelled"), Value::Null),
        (ended(EndedBy::MaxDuration), "completed", json!("max_duration"), Value::Null),
        (ended(EndedBy::Balance), "completed", json!("error"), Value::Null),
        (cancelled, "failed", json!("api_cancelled"), json!("Words.")),
        (FactKind::Answered(None), "started", Value::Null, Value::Null),
    ];
    for (end, status, reason, words) in rows {
        let call = of_agent(call(end), false);
        let shown = held("get", "/agents/calls/{call_id}", View::AgentCall(Box::new(call.clone())));
        assert_eq!(
            (&shown["status"], &shown["end_reason"], &shown["error_message"]),
            (&json!(status), &reason, &words)
        );
        assert_eq!(shown["telephony_params"]["to"], "+12125550100");
        assert_eq!(shown["telephony_account_type"], "cartesia");
        let page = View::AgentCalls(Paged { items: vec![call.clone()], more: true });
        let page = held("get", "/agents/calls", page);
        assert_eq!((&page["data"][0], &page["next_page"]), (&shown, &json!(OTHER)));
    }
}

#[test]
fn a_cancelled_call_is_said_to_be() {
    let over = call(FactKind::Ended(Ended { by: EndedBy::Api, reason: None }));
    let shown = held("post", "/agents/calls/{call_id}/cancel", View::Call(Box::new(over)));
    assert_eq!(shown, json!({"cancelled": true}));
}

#[test]
fn a_record_without_its_private_part_names_nobody() {
    let facts = call(FactKind::Ended(Ended { by: EndedBy::Caller, reason: Some("words".into()) }));
    let shown = held("delete", "/agents/calls/{call_id}", View::AgentCall(Box::new(of_agent(facts, true))));
    assert_eq!((&shown["telephony_params"], shown["redacted_at"].is_string()), (&Value::Null, true));
}
