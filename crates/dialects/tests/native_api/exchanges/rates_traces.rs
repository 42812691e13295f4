//! What calls cost, and their messages.

use super::*;

#[test]
fn rates_and_traces() {
    insta::assert_snapshot!(text(of_rates_and_traces()), @r#"
    POST /api/v1/rates {"direction":"outbound","increment_seconds":6,"minimum_seconds":30,"prefix":"+4420","rate_per_minute_micros":12500,"setup_micros":null}
    → RateSet(RateNew { direction: Outbound, prefix: Prefix { digits: 4420, len: 4 }, price: Price { per_minute: Micros(12500), setup: Micros(0), minimum_seconds: 30, increment_seconds: 6 } })
    ← 201
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created_at": "2026-03-01T12:00:00.250000Z",
      "currency": "USD",
      "direction": "outbound",
      "id": "55555555-5555-5555-5555-555555555555",
      "increment_seconds": 6,
      "minimum_seconds": 30,
      "organization_id": null,
      "prefix": "4420",
      "rate_per_minute_micros": 12500,
      "setup_micros": 0
    }

    GET /api/v1/rates?limit=7
    → RateList(Page { limit: 7, start: First })
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {"data":["as above"],"next_cursor":"NTU1NTU1NTUtNTU1NS01NTU1LTU1NTUtNTU1NTU1NTU1NTU1"}

    DELETE /api/v1/rates/55555555-5555-5555-5555-555555555555
    → RateDelete(RateId(55555555-5555-5555-5555-555555555555))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    POST /api/v1/numbers/77777777-7777-7777-7777-777777777777/trace {"minutes":60}
    → NumberTrace(Id(NumberId(77777777-7777-7777-7777-777777777777)), 60)
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "active": true,
      "number_id": "77777777-7777-7777-7777-777777777777",
      "until": "2026-03-01T13:00:00.000000Z"
    }

    GET /api/v1/numbers/77777777-7777-7777-7777-777777777777/trace
    → NumberTraceGet(Id(NumberId(77777777-7777-7777-7777-777777777777)))
    ← 200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "active": false,
      "number_id": "77777777-7777-7777-7777-777777777777",
      "until": null
    }

    DELETE /api/v1/numbers/77777777-7777-7777-7777-777777777777/trace
    → NumberTraceEnd(Id(NumberId(77777777-7777-7777-7777-777777777777)))
    ← 204
    x-request-id: 00000000-0000-0000-0000-000000000000

    GET /api/v1/calls/88888888-8888-8888-8888-888888888888/trace
    → CallTrace(CallId(88888888-8888-8888-8888-888888888888), Text)
    ← 200
    cache-control: no-store
    content-disposition: attachment; filename="88888888-8888-8888-8888-888888888888.txt"
    x-request-id: 00000000-0000-0000-0000-000000000000
    text/plain; charset=utf-8: --- 2026-03-01T12:00:00.250000Z udp 192.0.2.7:5060 -> 192.0.2.9:5060 23 bytes
    BYE sip:a@b SIP/2.0

    --- 2 more messages were not kept
    "#);
}

#[test]
fn what_is_no_rate_or_no_time_is_refused_by_its_field() {
    let rate = |field: &str, value: serde_json::Value| {
        let mut body = json!({ "direction": "inbound", "prefix": "1", "rate_per_minute_micros": 5 });
        body[field] = value;
        ask("POST /api/v1/rates").json(&body).op().unwrap_err().field
    };
    assert_eq!(rate("direction", json!("sideways")), Some("direction"));
    assert_eq!(rate("prefix", json!("044")), Some("prefix"));
    assert_eq!(rate("prefix", json!(null)), Some("prefix"));
    assert_eq!(rate("rate_per_minute_micros", json!(1.5)), Some("rate_per_minute_micros"));
    assert_eq!(rate("increment_seconds", json!(-1)), Some("increment_seconds"));
    for minutes in [json!(0), json!(1_441), json!(1.5), json!("9"), json!(null)] {
        let at = format!("POST /api/v1/numbers/{NUMBER}/trace");
        let refused = ask(&at).json(&json!({ "minutes": minutes })).op().unwrap_err();
        assert_eq!(refused.field, Some("minutes"), "{minutes}");
    }
    let refused = ask(&format!("GET /api/v1/calls/{CALL}/trace?format=hep")).op().unwrap_err();
    assert_eq!(refused.field, Some("format"));
}
