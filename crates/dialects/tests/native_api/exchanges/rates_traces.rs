//! What calls cost, and their messages.

use super::*;

#[test]
fn rates_and_traces() {
    insta::assert_snapshot!(text(of_rates_and_traces()), @r#"
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
