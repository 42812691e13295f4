//! Stock, numbers, calls and the audit log.

use domain::View;

use super::{of_numbers, of_records, of_simulated, of_stock, text};
use crate::fixtures::number;
use crate::support::ask;

#[test]
fn stock_for_sale() {
    insta::assert_snapshot!(text(of_stock()), @r#"
    POST /api/v1/stock {"capabilities":{"fax":false,"sms":false,"voice":true},"country":"US","e164":"+14155550100","monthly_cost_cents":200,"setup_cost_cents":100,"type":"local"}
    → StockAddOne(StockNew { e164: "+14155550100", country: Some(Country([85, 83, 0], 2)), kind: Some(Local), setup_cost_cents: 100, monthly_cost_cents: 200, capabilities: Capabilities { voice: true, sms: false, fax: false } })
    ← 201
    etag: "1"
    location: /api/v1/stock/66666666-6666-6666-6666-666666666666
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "capabilities": {
        "fax": false,
        "sms": false,
        "voice": true
      },
      "country": "US",
      "created_at": "2026-03-01T12:00:00.250000Z",
      "e164": "+14155550100",
      "held_until": null,
      "id": "66666666-6666-6666-6666-666666666666",
      "monthly_cost_cents": 200,
      "network": "public",
      "quarantined_until": null,
      "setup_cost_cents": 100,
      "status": "available",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    GET /api/v1/stock?country=us&type=local&q=415
    → StockList(StockQuery { country: Some(Country([85, 83, 0], 2)), kind: Some(Local), available_at: Some(2026-03-01T12:00:00.25Z), buyer: None, mode: None, q: Some("415") }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NjY2NjY2NjYtNjY2Ni02NjY2LTY2NjYtNjY2NjY2NjY2NjY2"}

    PATCH /api/v1/stock/66666666-6666-6666-6666-666666666666 {"monthly_cost_cents":0}
    → StockUpdate(StockId(66666666-6666-6666-6666-666666666666), StockPatch { setup_cost_cents: None, monthly_cost_cents: Some(0), capabilities: None, kind: None }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/stock/66666666-6666-6666-6666-666666666666
    → StockDelete(StockId(66666666-6666-6666-6666-666666666666), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/stock/66666666-6666-6666-6666-666666666666/hold
    → StockHold(StockId(66666666-6666-6666-6666-666666666666))
    ← 200
    etag: "2"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "capabilities": {
        "fax": false,
        "sms": false,
        "voice": true
      },
      "country": "US",
      "created_at": "2026-03-01T12:00:00.250000Z",
      "e164": "+14155550100",
      "held_until": "2026-03-01T12:30:00.250000Z",
      "id": "66666666-6666-6666-6666-666666666666",
      "monthly_cost_cents": 200,
      "network": "public",
      "quarantined_until": null,
      "setup_cost_cents": 100,
      "status": "held",
      "type": "local",
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    DELETE /api/v1/stock/66666666-6666-6666-6666-666666666666/hold
    → StockUnhold(StockId(66666666-6666-6666-6666-666666666666))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000
    "#);
}

#[test]
fn a_number_at_an_address_of_ipv6_has_a_uri() {
    let mut view = number();
    view.sip.domain = "2001:db8::1".into();
    let reply = ask("GET /api/v1/numbers/+14155550100").reply(View::Number(Box::new(view)));
    let shown: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(shown["sip_uri"], "sip:+14155550100@[2001:db8::1]:5060");
}

#[test]
fn numbers() {
    insta::assert_snapshot!(text(of_numbers()), @r#"
    POST /api/v1/numbers {"agent_id":"ada","label":null,"stock_id":"66666666-6666-6666-6666-666666666666"}
    → NumberBuy(Purchase { stock: Id(StockId(66666666-6666-6666-6666-666666666666)), setup: NumberSetup { endpoint_id: None, agent_id: Some(AgentId("ada")), label: None, environment: None }, believed: Believed { total_cents: None, setup_cents: None, monthly_cents: None } })
    ← 201
    etag: "1"
    location: /api/v1/numbers/77777777-7777-7777-7777-777777777777
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "agent_id": null,
      "agent_settings": {},
      "allow_inbound": true,
      "allow_outbound": false,
      "caller_rules": null,
      "capabilities": {
        "fax": false,
        "sms": false,
        "voice": true
      },
      "country": "US",
      "created_at": "2026-03-01T12:00:00.250000Z",
      "e164": "+14155550100",
      "endpoint_id": null,
      "environment": "live",
      "fallback": null,
      "id": "77777777-7777-7777-7777-777777777777",
      "label": "front desk",
      "max_concurrent_calls": null,
      "monthly_cost_cents": 200,
      "network": "public",
      "outbound_calls_per_day": null,
      "outbound_calls_per_minute": null,
      "provider_id": null,
      "psa_settings": {},
      "quarantined_until": null,
      "released_at": null,
      "rented_until": "2026-04-01T12:00:00.250000Z",
      "schedule": null,
      "setup_cost_cents": 100,
      "sip_uri": "sip:+14155550100@sip.example.com:5060",
      "sip_username": "u7",
      "split": null,
      "status": "active",
      "stock_id": "66666666-6666-6666-6666-666666666666",
      "type": "local",
      "unpaid": false,
      "updated_at": "2026-03-01T12:00:00.250000Z"
    }

    POST /api/v1/numbers {"e164":"+14155550100","port_in":true,"provider_id":"55555555-5555-5555-5555-555555555555"}
    → NumberPortIn(ProviderId(55555555-5555-5555-5555-555555555555), Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: None, agent_id: None, label: None, environment: None } })
    ← 201
    etag: "1"
    location: /api/v1/numbers/77777777-7777-7777-7777-777777777777
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    GET /api/v1/numbers?q=415&agent_id=ada&endpoint_id=44444444-4444-4444-4444-444444444444&status=active&country=US&type=local&environment=live
    → NumberList(NumberQuery { q: Some("415"), agent_id: Some(AgentId("ada")), endpoint_id: Some(EndpointId(44444444-4444-4444-4444-444444444444)), provider_id: None, provider_kind: None, country: Some(Country([85, 83, 0], 2)), kind: Some(Local), status: Some(Active), environment: Some(Live), with_minutes: false, mode: None }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"Nzc3Nzc3NzctNzc3Ny03Nzc3LTc3NzctNzc3Nzc3Nzc3Nzc3"}

    POST /api/v1/numbers/import {"label":"batch","numbers":["+14155550100",{"e164":"+14155550101","label":"own"}],"provider_id":"55555555-5555-5555-5555-555555555555"}
    → NumberImportMany(ProviderId(55555555-5555-5555-5555-555555555555), [Ok(Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: None, agent_id: None, label: Some("batch"), environment: None } }), Ok(Import { e164: "+14155550101", setup: NumberSetup { endpoint_id: None, agent_id: None, label: Some("own"), environment: None } })])
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created": 0,
      "failed": 0,
      "results": []
    }

    GET /api/v1/numbers/+14155550100
    → NumberGet(E164(E164(+1••••••••00)))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    PATCH /api/v1/numbers/77777777-7777-7777-7777-777777777777 {"endpoint_id":null,"status":"inactive"}
    → NumberUpdate(Id(NumberId(77777777-7777-7777-7777-777777777777)), NumberPatch { endpoint_id: Clear, agent_id: Keep, provider_id: None, environment: None, label: Keep, allow_inbound: None, allow_outbound: None, rules: NumberRulesPatch { callers: Keep, schedule: Keep, split: Keep, fallback: Keep, calls_max: Keep, minute_max: Keep, day_max: Keep }, status: Some(Inactive), psa_settings: None, agent_settings: None }, None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/numbers/77777777-7777-7777-7777-777777777777
    → NumberRelease(Id(NumberId(77777777-7777-7777-7777-777777777777)), None)
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    DELETE /api/v1/numbers/77777777-7777-7777-7777-777777777777?permanent=true
    → NumberDelete(Id(NumberId(77777777-7777-7777-7777-777777777777)), None)
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/restore
    → NumberRestore(Id(NumberId(77777777-7777-7777-7777-777777777777)))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/port-out
    → NumberPortOut(Id(NumberId(77777777-7777-7777-7777-777777777777)), Some(1))
    ← 200
    etag: "1"
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/numbers/14155550100/sip-credentials
    → NumberCredentials(E164(E164(+1••••••••00)))
    ← 200
    etag: "1"
    cache-control: no-store
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "sip_domain": "sip.example.com",
      "sip_password": "hush",
      "sip_port": 5060,
      "sip_username": "u7"
    }

    GET /api/v1/numbers/anything/explain?from=[::1]:5060
    → NumberExplain("anything", ExplainAbout { from: Some(::1), caller: None, offer: None, at: None })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "legs": [],
      "number": "+14155550100",
      "outcome": "refuse",
      "reason": "The number has no endpoint.",
      "sip_status": 480,
      "steps": [
        {
          "passed": true,
          "rule": "the number is ready"
        },
        {
          "detail": "3 in progress, at most 3",
          "passed": false,
          "rule": "there is room for another call"
        }
      ],
      "targets": [],
      "trunk": {
        "hosts": [
          {
            "addresses": [
              "192.0.2.9"
            ],
            "failing": true,
            "looked_up_at": "2026-03-01T12:00:00.250000Z",
            "name": "sip.example.com",
            "next_look_up_at": null
          }
        ],
        "registration": {
          "contact": "sip:tr00@edge.example.com:5060",
          "expires_at": null,
          "failures": 1,
          "next_attempt_at": "2026-03-01T12:00:00.250000Z",
          "problem": "The carrier refuses it.",
          "registrar": "udp:192.0.2.9:5060",
          "service_route": [
            "<sip:proxy.example.com;lr>"
          ],
          "sip_status": 403,
          "state": "refused"
        }
      }
    }
    "#);
}

#[test]
fn calls_and_events() {
    insta::assert_snapshot!(text(of_records()), @r#"
    GET /api/v1/calls?status=no_answer&direction=inbound&number= 14155550100
    → CallList(CallQuery { status: Some(NoAnswer), direction: Some(Inbound), number: Some(E164(+1••••••••00)), any_of: None, number_id: None, from: None, before: None, mode: None }, Page { limit: 100, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "answered_at": "2026-03-01T12:00:00.250000Z",
          "attempts": [
            {
              "cause": "answered",
              "ended_at": "2026-03-01T12:00:00.250000Z",
              "hop": "udp:192.0.2.9:5080",
              "n": 0,
              "reason": null,
              "ringing_at": "2026-03-01T12:00:00.250000Z",
              "sip_status": 200,
              "started_at": "2026-03-01T12:00:00.250000Z",
              "target": "sip:agent@127.0.0.1:5080"
            }
          ],
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
        }
      ],
      "next_cursor": "ODg4ODg4ODgtODg4OC04ODg4LTg4ODgtODg4ODg4ODg4ODg4"
    }

    POST /api/v1/calls {"agent_id":"ada","endpoint_id":"44444444-4444-4444-4444-444444444444","from":"+14155550100","max_seconds":600,"metadata":{"order":7},"ring_seconds":30,"to":"(212) 555-0123"}
    → CallOriginate(Originate { from: Named(E164(E164(+1••••••••00))), agent_id: Some(AgentId("ada")), endpoint_id: Some(EndpointId(44444444-4444-4444-4444-444444444444)), calls: [CallTo { number: "(212) 555-0123", country: None, metadata: {"order": Number(7)} }], each: false, ring_seconds: Some(30), max_seconds: Some(600) })
    ← 201
    location: /api/v1/calls/88888888-8888-8888-8888-888888888888
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "answered_at": "2026-03-01T12:00:00.250000Z",
      "attempts": [
        {
          "cause": "answered",
          "ended_at": "2026-03-01T12:00:00.250000Z",
          "hop": "udp:192.0.2.9:5080",
          "n": 0,
          "reason": null,
          "ringing_at": "2026-03-01T12:00:00.250000Z",
          "sip_status": 200,
          "started_at": "2026-03-01T12:00:00.250000Z",
          "target": "sip:agent@127.0.0.1:5080"
        }
      ],
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
      "receipt": {
        "billed_seconds": 61,
        "clock": "monotonic",
        "dialled": "+14155550100",
        "generation": 4,
        "notes": [
          {
            "code": "record_route_dropped",
            "words": "The target dropped our Record-Route, so the end of the call may not have passed here. Have it keep Record-Route headers."
          }
        ],
        "price": {
          "increment_seconds": 1,
          "minimum_seconds": 60,
          "per_minute_micros": 14756,
          "setup_micros": 0
        },
        "source": {
          "address": "192.0.2.7:5060",
          "class": "public",
          "transport": "udp"
        },
        "steps": [
          {
            "passed": true,
            "rule": "the source is a trunk"
          },
          {
            "detail": "1.00 free, 0.014756 needed",
            "passed": true,
            "rule": "the balance allows it"
          }
        ],
        "trunk_id": "55555555-5555-5555-5555-555555555555"
      },
      "sip_status": null,
      "started_at": "2026-03-01T12:00:00.250000Z",
      "status": "completed",
      "to": "+14155550100"
    }

    GET /api/v1/calls/88888888-8888-8888-8888-888888888888
    → CallGet(CallId(88888888-8888-8888-8888-888888888888))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    POST /api/v1/calls/88888888-8888-8888-8888-888888888888/hangup
    → CallHangup(CallId(88888888-8888-8888-8888-888888888888))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: "as above"

    GET /api/v1/events?limit=7
    → EventList(Page { limit: 7, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "data": [
        {
          "actor": "key",
          "created_at": "2026-03-01T12:00:00.250000Z",
          "data": {},
          "id": "99999999-9999-9999-9999-999999999999",
          "key_id": "22222222-2222-2222-2222-222222222222",
          "name": "number.purchased",
          "person": null,
          "subject": "77777777-7777-7777-7777-777777777777"
        }
      ],
      "next_cursor": "OTk5OTk5OTktOTk5OS05OTk5LTk5OTktOTk5OTk5OTk5OTk5"
    }
    "#);
}

#[test]
fn a_simulated_call() {
    insta::assert_snapshot!(text(of_simulated()), @r#"
    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/simulate-call {"from":"+12125550199","hold_seconds":2,"ring_seconds":null}
    → NumberRing(Id(NumberId(77777777-7777-7777-7777-777777777777)), RingIn { from: Some("+12125550199"), hold_seconds: Some(2), ring_seconds: None })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "outcome": "completed",
      "packets_back": 98,
      "packets_sent": 99,
      "reason": null,
      "sip_status": 200,
      "talked_seconds": 2,
      "timeline": [
        "+0 ms Caller → Edge: INVITE"
      ]
    }

    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/simulate-call
    → NumberRing(Id(NumberId(77777777-7777-7777-7777-777777777777)), RingIn { from: None, hold_seconds: None, ring_seconds: None })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "outcome": "refused",
      "packets_back": 98,
      "packets_sent": 99,
      "reason": "No.",
      "sip_status": null,
      "talked_seconds": 2,
      "timeline": [
        "+0 ms Caller → Edge: INVITE"
      ]
    }
    "#);
}
