//! KrosAI's webhooks: what is read, what is shown, and the bodies that are sent. No document of the vendor's has them: answers are
//! held against our own, names against the vendor's pages.
#![expect(clippy::unwrap_used, reason = "a fixture: what fails here fails the test")]

use crate::kit::{ENDPOINT, NUMBER, ORGANIZATION, OTHER, Text, body, context, hold, now};
use dialects::krosai::KrosAi;
use dialects::{Context, Dialect, Limits};
use domain::call::{EndedBy, FactKind, Moment, Started};
use domain::caller::Actor;
use domain::error::{Error, Kind, What};
use domain::ids::{CallId, EndpointId, EventId, NumberId, OrganizationId, WebhookId};
use domain::key::DialectName;
use domain::number::{Environment, Status};
use domain::op::Secret;
use domain::page::{Page, Start};
use domain::provider::Sealed;
use domain::webhook::{About, Answer, Delivery, DeliveryState, Happening, NumberBrief, Wanted, WebhookPatch};
use domain::{Bag, E164, Fact, Generation, Micros, Op, Paged, View, Webhook};
use serde_json::{Value, json};
use uuid::Uuid;

const EVENTS: [&str; 8] = [
    "call.started",
    "call.completed",
    "call.failed",
    "call.recording.ready",
    "transcription.completed",
    "number.provisioned",
    "number.released",
    "balance.low",
];

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

fn op(request: &str) -> Op {
    Text(request).decode(&KrosAi).unwrap_or_else(|e| panic!("{request}: {e:?}"))
}

fn refused(request: &str) -> (u16, String) {
    let reply = Text(request).refusal(&KrosAi);
    (reply.status.as_u16(), body(&reply)["code"].as_str().unwrap_or("").to_owned())
}

fn created(fields: &Value) -> WebhookPatch {
    let Op::WebhookCreate(DialectName(name), new) = op(&format!("POST /v1/webhooks\n\n{fields}")) else {
        panic!("no creation")
    };
    assert_eq!(name, "krosai");
    new
}

fn webhook() -> Webhook {
    let new = created(&json!({"url": "https://example.com/hook", "events": ["call.completed"]}));
    let id = (WebhookId(uuid(OTHER)), Sealed(vec![1]));
    Webhook::create(OrganizationId(uuid(ORGANIZATION)), DialectName("krosai".into()), id, new, now()).unwrap()
}

fn happening(name: &str, about: About) -> Happening {
    Happening {
        id: EventId(uuid(OTHER)),
        organization_id: OrganizationId(uuid(ORGANIZATION)),
        name: name.into(),
        actor: Actor::Service,
        subject: OTHER.into(),
        details: Bag::from_iter([("balance_cents".into(), json!(12))]),
        about,
        at: now(),
    }
}

fn delivery() -> Delivery {
    let state = DeliveryState::Waiting(now());
    let happening = happening("call.busy", About::Other);
    Delivery { webhook_id: WebhookId(uuid(OTHER)), happening, attempts: 0, state, last: None }
}

fn shown(operation: (&str, &str), request: &str, view: View) -> Value {
    let reply = Text(request).encode(&KrosAi, view);
    hold(&KrosAi.openapi(), operation, &reply, None);
    assert!(reply.status.is_success());
    if reply.body.is_empty() { Value::Null } else { body(&reply) }
}

#[test]
fn webhooks_are_read() {
    let all = created(&json!({"url": "https://a.b", "events": null, "active": null}));
    assert_eq!(all.wanted.unwrap().events, EVENTS, "no events named are all");
    let new =
        created(&json!({"url": "https://a.b", "events": ["call.failed", "number.released", "call.failed"]}));
    let topics = ["call.failed", "call.busy", "call.no_answer", "call.refused", "call.cancelled"];
    let wanted = Wanted {
        events: ["call.failed", "number.released"].map(str::to_owned).to_vec(),
        topics: topics
            .into_iter()
            .chain(["number.released", "number.deleted:deleted"])
            .map(str::to_owned)
            .collect(),
    };
    assert_eq!(new, WebhookPatch { url: Some("https://a.b".into()), wanted: Some(wanted), active: None });
    let at = format!("/v1/webhooks/{OTHER}");
    let Op::WebhookUpdate(_, id, patch, None) = op(&format!("PATCH {at}\n\n{{\"active\": false}}")) else {
        panic!("no change")
    };
    assert_eq!(id, WebhookId(uuid(OTHER)));
    assert_eq!(patch, WebhookPatch { active: Some(false), ..WebhookPatch::default() });
    assert!(matches!(op(&format!("GET {at}")), Op::WebhookGet(..)));
    assert!(matches!(op(&format!("DELETE {at}")), Op::WebhookDelete(_, _, None)));
    let page = Page { limit: 3, start: Start::Offset(6) };
    assert!(matches!(op("GET /v1/webhooks?limit=3&offset=6"), Op::WebhookList(_, p) if p.limit == 3));
    let Op::DeliveryList(_, _, asked) = op(&format!("GET {at}/deliveries?limit=3&offset=6")) else {
        panic!("no list")
    };
    assert_eq!(asked, page);
    let Op::DeliveryAgain(_, _, event) = op(&format!("POST {at}/deliveries/{OTHER}/retry")) else {
        panic!("not again")
    };
    assert_eq!(event, EventId(uuid(OTHER)));
}

#[test]
fn each_field_of_a_change_is_absent_null_valid_or_wrong() {
    for (field, valid, wrong) in [
        ("url", json!("https://a.b"), json!(7)),
        ("events", json!(["call.started"]), json!(["call.ringing"])),
        ("active", json!(true), json!("yes")),
    ] {
        let request = |value: &Value| format!("PATCH /v1/webhooks/{OTHER}\n\n{}", json!({field: value}));
        assert!(matches!(op(&request(&valid)), Op::WebhookUpdate(..)), "{field}");
        for bad in [&wrong, &Value::Null] {
            assert_eq!(refused(&request(bad)), (400, "INVALID_PARAMETER".into()), "{field}: {bad}");
        }
    }
    for wrong in [json!("call.started"), json!([7]), json!({"a": 1}), json!(["*"]), json!(["call.*"])] {
        let request = format!("POST /v1/webhooks\n\n{}", json!({"url": "https://a.b", "events": wrong}));
        assert_eq!(refused(&request).0, 400, "{wrong}");
    }
    assert_eq!(refused("GET /v1/webhooks/none"), (404, "WEBHOOK_NOT_FOUND".into()));
    let again = format!("POST /v1/webhooks/{OTHER}/deliveries/none/retry");
    assert_eq!(refused(&again), (404, "DELIVERY_NOT_FOUND".into()));
}

#[test]
fn webhooks_and_deliveries_are_written() {
    let one = ("get", "/v1/webhooks/{webhook_id}");
    let at = format!("GET /v1/webhooks/{OTHER}");
    let secret = Some(Secret("whsec_x".into()));
    let with = shown(one, &at, View::Webhook(Box::new(webhook()), secret.clone()));
    assert_eq!(
        with,
        json!({
            "id": OTHER, "url": "https://example.com/hook", "secret": "whsec_x", "events": ["call.completed"], "active": true,
            "organization_id": ORGANIZATION, "created_at": "2026-03-01T12:00:00.123Z", "updated_at": "2026-03-01T12:00:00.123Z",
        })
    );
    let without = shown(one, &at, View::Webhook(Box::new(webhook()), None));
    assert!(without.get("secret").is_none());
    let page = Paged { items: vec![webhook()], more: false };
    let listed = shown(("get", "/v1/webhooks"), "GET /v1/webhooks", View::Webhooks(page));
    assert_eq!(listed, json!([without]));
    let request = "POST /v1/webhooks\n\n{\"url\": \"https://a.b\"}";
    let made = Text(request).encode(&KrosAi, View::Webhook(Box::new(webhook()), secret));
    hold(&KrosAi.openapi(), ("post", "/v1/webhooks"), &made, None);
    assert_eq!((made.status.as_u16(), made.headers[0].1.to_str().unwrap()), (201, "no-store"));
    let sent = |delivery: Delivery| {
        let page = Paged { items: vec![delivery], more: false };
        let request = format!("GET /v1/webhooks/{OTHER}/deliveries");
        let log = ("get", "/v1/webhooks/{webhook_id}/deliveries");
        shown(log, &request, View::Deliveries(page))[0].clone()
    };
    let waiting = sent(delivery());
    assert_eq!((&waiting["event"], &waiting["status"]), (&json!("call.failed"), &json!("pending")));
    assert_eq!((&waiting["attempts"], &waiting["response_status"]), (&json!(0), &Value::Null));
    let failed = sent(delivery().tried(Answer::Status(503, Some("busy".into())), now()));
    assert_eq!((&failed["response_status"], &failed["error"]), (&json!(503), &json!("busy")));
    assert_eq!(failed["next_attempt_at"], "2026-03-01T12:01:00.123Z");
    let done = sent(delivery().tried(Answer::Status(204, None), now()));
    assert_eq!((&done["status"], &done["next_attempt_at"]), (&json!("delivered"), &Value::Null));
}

fn sent(happening: &Happening) -> Value {
    serde_json::from_slice(&KrosAi.hook_body(happening).unwrap()).unwrap()
}

fn call(ends: &[FactKind]) -> About {
    let started = Started {
        direction: domain::call::Direction::Inbound,
        number_id: Some(NumberId(uuid(NUMBER))),
        number: Some(E164::parse("+14155550100").unwrap().0),
        from: "+12125550100".into(),
        to: "+14155550100".into(),
        provider_id: None,
        endpoint_id: Some(EndpointId(uuid(ENDPOINT))),
        generation: Generation(1),
        price: domain::Price::by_minute(Micros(600_000)),
        trail: domain::trail::Trail::default(),
        source: None,
        sip_call_id: "secret".into(),
    };
    let kinds = std::iter::once(FactKind::Started(Box::new(started))).chain(ends.iter().cloned());
    let facts: Vec<Fact> = kinds
        .zip(0u64..)
        .map(|(kind, n)| Fact {
            organization_id: OrganizationId(uuid(ORGANIZATION)),
            call_id: CallId(uuid(OTHER)),
            at: Moment { wall: now(), process: 1, monotonic_us: n * 61_000_000 },
            kind,
        })
        .collect();
    About::Call(Box::new(domain::Call::fold(&facts).unwrap()))
}

#[test]
fn bodies_are_as_the_vendor_has_them() {
    let ended = FactKind::Ended(domain::call::Ended { by: EndedBy::Callee, reason: None });
    let completed = happening("call.completed", call(&[FactKind::Answered(None), ended]));
    assert_eq!(
        sent(&completed),
        json!({
            "id": OTHER, "event": "call.completed", "timestamp": "2026-03-01T12:00:00.123Z",
            "data": {
                "call_id": OTHER, "direction": "inbound", "from_number": "+12125550100", "to_number": "+14155550100",
                "phone_number_id": NUMBER, "endpoint_id": ENDPOINT, "duration": 61, "cost_cents": 61,
                "hangup_cause": "agent_hangup", "recording_url": null, "transcript": null, "metadata": {},
            },
        })
    );
    assert_eq!(KrosAi.hook_body(&completed), KrosAi.hook_body(&completed), "the same bytes each time");
    let begun = sent(&happening("call.started", call(&[])));
    assert_eq!((&begun["event"], &begun["data"]["hangup_cause"]), (&json!("call.started"), &Value::Null));
    for (name, event) in [("call.busy", "call.failed"), ("call.refused", "call.failed")] {
        assert_eq!(sent(&happening(name, call(&[])))["event"], event);
    }
    let (e164, plan) = E164::parse("+14155550100").unwrap();
    let number = About::Number(Box::new(NumberBrief {
        id: NumberId(uuid(NUMBER)),
        e164,
        country: plan.country,
        kind: plan.kind,
        status: Status::Active,
        endpoint_id: None,
        agent_id: None,
        environment: Environment::Live,
    }));
    let bought = sent(&happening("number.purchased", number));
    assert_eq!(bought["event"], "number.provisioned");
    assert_eq!(
        (&bought["data"]["phone_number_id"], &bought["data"]["e164"]),
        (&json!(NUMBER), &json!("+14155550100"))
    );
    let low = sent(&happening("balance.low", About::Other));
    assert_eq!((&low["event"], &low["data"]), (&json!("balance.low"), &json!({"balance_cents": 12})));
    let headers = KrosAi.hook_headers("ab01");
    assert_eq!(headers[0].0, "x-webhook-signature");
    assert_eq!(headers[0].1, "sha256=ab01");
}

#[test]
fn limits_are_told_where_a_plan_sets_some() {
    let limits = Some(Limits { limit: 10, remaining: 0, reset: 1_700_000_000 });
    let limited = Context { limits, ..context(&[]) };
    let error = Error::new(Kind::Limit, What::Request, "Too many requests.")
        .after(std::time::Duration::from_millis(1_500));
    let reply = KrosAi.refuse(&limited, &error);
    let header = |name: &str| {
        let found = reply.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    };
    assert_eq!((reply.status.as_u16(), body(&reply)["code"].clone()), (429, json!("RATE_LIMIT_EXCEEDED")));
    assert_eq!(body(&reply)["retry_after"], 2);
    assert_eq!(header("retry-after").as_deref(), Some("2"), "whole seconds, never less than the wait");
    assert_eq!(header("x-ratelimit-limit").as_deref(), Some("10"));
    assert_eq!(header("x-ratelimit-remaining").as_deref(), Some("0"));
    assert_eq!(header("x-ratelimit-reset").as_deref(), Some("1700000000"));
    let unlimited = KrosAi.refuse(&context(&[]), &error);
    assert!(unlimited.headers.iter().all(|(name, _)| !name.as_str().starts_with("x-ratelimit")));
}

#[test]
fn plans_are_the_vendors_and_named_by_a_setting() {
    let plans = KrosAi.plans().unwrap();
    let figures: Vec<_> = plans.plans.iter().map(|p| (p.name, p.per_second, p.per_day, p.calls)).collect();
    assert_eq!(
        figures,
        [
            ("free", Some(10), Some(1_000), Some(1)),
            ("pro", Some(50), Some(50_000), Some(10)),
            ("business", Some(200), Some(500_000), Some(50)),
            ("enterprise", None, None, None),
        ]
    );
    let of = |value: Value| plans.of(&Bag::from_iter([(plans.setting.to_owned(), value)]));
    assert_eq!(of(json!("pro")).unwrap().unwrap().name, "pro");
    assert!(of(Value::Null).unwrap().is_none() && plans.of(&Bag::new()).unwrap().is_none());
    for wrong in [json!("gold"), json!(7), json!("")] {
        let error = of(wrong).unwrap_err();
        assert_eq!((error.kind, error.field), (Kind::Invalid, Some("settings")));
    }
}
