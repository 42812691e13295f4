//! Webhooks, what was sent to them, and the bodies that are sent.

use dialects::Dialect as _;
use dialects::native::Native;
use domain::webhook::About;
use serde_json::Value;

use super::{of_webhooks, text};
use crate::fixtures::{call, happening};

#[test]
fn webhooks_and_deliveries() {
    insta::assert_snapshot!(text(of_webhooks()), @r#"
    POST /api/v1/webhooks {"active":true,"events":["call.completed","number.purchased"],"url":"https://example.com/hook"}
    → WebhookCreate(DialectName("native"), WebhookPatch { url: Some("https://example.com/hook"), wanted: Some(Wanted { events: ["call.completed", "number.purchased"], topics: ["call.completed", "number.purchased"] }), active: Some(true) })
    ← 201
    etag: "1"
    location: /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "active": true,
      "created_at": "2026-03-01T12:00:00.250000Z",
      "events": [
        "call.completed",
        "number.purchased"
      ],
      "id": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
      "secret": "whsec_abcdef",
      "updated_at": "2026-03-01T12:00:00.250000Z",
      "url": "https://example.com/hook"
    }

    GET /api/v1/webhooks?limit=7
    → WebhookList(DialectName("native"), Page { limit: 7, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "active": true,
          "created_at": "2026-03-01T12:00:00.250000Z",
          "events": [
            "call.completed",
            "number.purchased"
          ],
          "id": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
          "updated_at": "2026-03-01T12:00:00.250000Z",
          "url": "https://example.com/hook"
        }
      ],
      "next_cursor": "YWFhYWFhYWEtYWFhYS1hYWFhLWFhYWEtYWFhYWFhYWFhYWFh"
    }

    GET /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa
    → WebhookGet(DialectName("native"), WebhookId(aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa))
    ← 200
    etag: "1"
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa {"events":["*"]}
    → WebhookUpdate(DialectName("native"), WebhookId(aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa), WebhookPatch { url: None, wanted: Some(Wanted { events: ["*"], topics: ["*"] }), active: None }, Some(1))
    ← 200
    etag: "1"
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa
    → WebhookDelete(DialectName("native"), WebhookId(aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa), Some(1))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    GET /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/deliveries?limit=7
    → DeliveryList(DialectName("native"), WebhookId(aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa), Page { limit: 7, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "attempts": 1,
          "created_at": "2026-03-01T12:00:00.250000Z",
          "error": "broken",
          "event": "number.purchased",
          "id": "99999999-9999-9999-9999-999999999999",
          "last_attempt_at": "2026-03-01T12:00:00.250000Z",
          "next_attempt_at": "2026-03-01T12:01:00.250000Z",
          "over_at": null,
          "response_status": 500,
          "status": "waiting",
          "subject": "77777777-7777-7777-7777-777777777777"
        }
      ],
      "next_cursor": "OTk5OTk5OTktOTk5OS05OTk5LTk5OTktOTk5OTk5OTk5OTk5"
    }

    POST /api/v1/webhooks/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/deliveries/99999999-9999-9999-9999-999999999999/retry
    → DeliveryAgain(DialectName("native"), WebhookId(aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa), EventId(99999999-9999-9999-9999-999999999999))
    ← 202
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"
    "#);
}

#[test]
fn bodies_tell_the_event_and_the_thing_as_it_was() {
    let body =
        |about| -> Value { serde_json::from_slice(&Native.hook_body(&happening(about)).unwrap()).unwrap() };
    let other = body(About::Other);
    assert_eq!(other["event"], "number.purchased");
    assert!(other["data"]["number"].is_null() && other["data"]["call"].is_null());
    let told = body(About::Call(Box::new(call())));
    insta::assert_snapshot!(serde_json::to_string_pretty(&told).unwrap(), @r#"
    {
      "data": {
        "actor": "key",
        "call": {
          "answered_at": "2026-03-01T12:00:00.250000Z",
          "cost_micros": 15001,
          "direction": "inbound",
          "duration_seconds": 61,
          "ended_at": "2026-03-01T12:00:00.250000Z",
          "ended_by": "caller",
          "endpoint_id": "44444444-4444-4444-4444-444444444444",
          "from": "sip:+12125550100@192.0.2.7",
          "id": "88888888-8888-8888-8888-888888888888",
          "metadata": {},
          "number": "+14155550100",
          "number_id": "77777777-7777-7777-7777-777777777777",
          "organization_id": "11111111-1111-1111-1111-111111111111",
          "provider_id": "55555555-5555-5555-5555-555555555555",
          "reason": null,
          "sip_status": null,
          "started_at": "2026-03-01T12:00:00.250000Z",
          "status": "completed",
          "to": "+14155550100"
        },
        "details": {},
        "number": null,
        "organization_id": "11111111-1111-1111-1111-111111111111",
        "subject": "77777777-7777-7777-7777-777777777777"
      },
      "event": "number.purchased",
      "id": "99999999-9999-9999-9999-999999999999",
      "timestamp": "2026-03-01T12:00:00.250000Z"
    }
    "#);
    assert_eq!(Native.hook_headers("ab")[0].1, "sha256=ab");
}
