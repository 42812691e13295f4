//! Each field of each change, absent, null, valid and of a wrong type.

use dialects::Dialect as _;
use dialects::native::Native;
use serde_json::{Value, json};

use crate::support::{ask, id, uuid};

/// What null does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Null {
    Clears,
    IsRefused,
}
use Null::{Clears, IsRefused};

type Field = (&'static str, Null, Value);

fn changes() -> Vec<(&'static str, String, Vec<Field>)> {
    let at = |collection: &str| format!("/api/v1/{collection}/{}", uuid(1));
    let uuid = json!(id(4));
    vec![
        (
            "OrganizationUpdate",
            at("organizations"),
            vec![
                ("name", IsRefused, json!("acme")),
                ("kyc", IsRefused, json!("declined")),
                ("number_slots", Clears, json!(5)),
                ("settings", IsRefused, json!({ "imports": null })),
            ],
        ),
        (
            "AgentUpdate",
            at("agents"),
            vec![("name", IsRefused, json!("Ada")), ("description", Clears, json!("answers"))],
        ),
        (
            "EndpointUpdate",
            at("endpoints"),
            vec![
                ("name", IsRefused, json!("desk")),
                ("kind", IsRefused, json!("sip")),
                ("status", IsRefused, json!("inactive")),
                ("url", Clears, json!("sip:a@b")),
                ("config", IsRefused, json!({})),
                ("agent_id", Clears, json!("ada")),
                ("environment", IsRefused, json!("pre-release")),
                ("is_default", IsRefused, json!(true)),
                ("targets", IsRefused, json!([{ "uri": "sip:a@b" }])),
                ("source_addresses", IsRefused, json!(["192.0.2.1"])),
                ("allow_transfer", IsRefused, json!(false)),
                ("credentials", Clears, json!({"username": "u", "password": "p"})),
                ("media_encryption", IsRefused, json!("required")),
                ("headers", Clears, json!({"X-A": "b"})),
                ("to_form", IsRefused, json!("e164")),
                ("ring_seconds", Clears, json!(300)),
                ("failover", Clears, json!({ "on": ["busy"] })),
                ("answer_seconds", Clears, json!(20)),
                ("health", Clears, json!({ "enabled": true, "interval_seconds": 5 })),
                ("fallback", Clears, json!([{ "on": ["busy"], "to": { "endpoint_id": id(4) } }])),
            ],
        ),
        (
            "ProviderUpdate",
            at("providers"),
            vec![
                ("label", IsRefused, json!("carrier")),
                ("inbound", Clears, json!({ "allowed_addresses": [] })),
                ("outbound", Clears, json!({ "address": "h" })),
                ("register", Clears, json!({ "registrar": "h" })),
                ("api_key_sid", IsRefused, json!("SK2")),
                ("api_key_secret", IsRefused, json!("hush")),
                ("region", IsRefused, json!("ie1")),
                ("max_concurrent_calls", Clears, json!(7)),
            ],
        ),
        (
            "StockUpdate",
            at("stock"),
            vec![
                ("setup_cost_cents", IsRefused, json!(5)),
                ("monthly_cost_cents", IsRefused, json!(0)),
                ("capabilities", IsRefused, json!({ "voice": true, "sms": true, "fax": false })),
                ("type", IsRefused, json!("toll_free")),
            ],
        ),
        (
            "WebhookUpdate",
            at("webhooks"),
            vec![
                ("url", IsRefused, json!("https://a.b")),
                ("events", IsRefused, json!(["*"])),
                ("active", IsRefused, json!(false)),
            ],
        ),
        (
            "NumberUpdate",
            at("numbers"),
            vec![
                ("endpoint_id", Clears, uuid),
                ("agent_id", Clears, json!("ada")),
                ("provider_id", IsRefused, json!(id(5))),
                ("environment", IsRefused, json!("sandbox")),
                ("label", Clears, json!("front")),
                ("allow_inbound", IsRefused, json!(false)),
                ("allow_outbound", IsRefused, json!(true)),
                ("caller_rules", Clears, json!([{ "from": "+1212*", "action": "refuse" }])),
                ("schedule", Clears, json!({ "time_zone": "UTC", "windows": [] })),
                ("split", Clears, json!([{ "endpoint_id": id(4), "percent": 100 }])),
                ("fallback", Clears, json!([{ "on": ["closed"], "to": { "refuse": 480 } }])),
                ("max_concurrent_calls", Clears, json!(7)),
                ("outbound_calls_per_minute", Clears, json!(7)),
                ("outbound_calls_per_day", Clears, json!(0)),
                ("status", IsRefused, json!("active")),
                ("psa_settings", IsRefused, json!({})),
                ("agent_settings", IsRefused, json!({ "a": { "b": null } })),
            ],
        ),
    ]
}

/// A value of a type that no field has: a number with a fraction.
fn wrong() -> Value {
    json!(0.5)
}

#[test]
fn absent_null_valid_and_wrong_are_four_different_things() {
    for (name, path, fields) in changes() {
        let send = |body: Value| ask(&format!("PATCH {path}")).json(&body);
        let absent = format!("{:?}", send(json!({})).op().unwrap());
        for (field, null, valid) in fields {
            let set = format!(
                "{:?}",
                send(json!({ field: valid })).op().unwrap_or_else(|e| panic!("{name}.{field}: {e:?}"))
            );
            assert_ne!(set, absent, "{name}.{field} is read");
            match null {
                Clears => {
                    let cleared = format!("{:?}", send(json!({ field: null })).op().unwrap());
                    assert!(cleared != absent && cleared != set, "{name}.{field}: null clears");
                }
                IsRefused => {
                    let refusal = send(json!({ field: null })).refusal();
                    assert!(
                        refusal.starts_with(&format!("422 invalid {field}: `{field}` must be ")),
                        "{refusal}"
                    );
                }
            }
            let refusal = send(json!({ field: wrong() })).refusal();
            assert!(refusal.starts_with(&format!("422 invalid {field}: `{field}` must be ")), "{refusal}");
        }
        let refusal = send(json!({ "pigeons": 1 })).refusal();
        assert_eq!(refusal, "422 invalid -: `pigeons` is not a field of this request.");
    }
}

/// The described body and the one that is read have the same fields, and agree on which can be null.
#[test]
fn the_description_of_each_change_is_what_is_read() {
    let document = Native.openapi();
    for (name, _, fields) in changes() {
        let described = document["components"]["schemas"][name]["properties"].as_object().unwrap();
        let mut names: Vec<_> = fields.iter().map(|(field, ..)| *field).collect();
        names.sort_unstable();
        let mut listed: Vec<_> = described.keys().map(String::as_str).collect();
        listed.sort_unstable();
        assert_eq!(listed, names, "{name}");
        for (field, null, _) in fields {
            let nullable = described[field].to_string().contains("\"null\"");
            assert_eq!(nullable, null == Clears, "{name}.{field}: {}", described[field]);
        }
    }
}

/// For what is made, null is absent, and nothing is read that is not described.
#[test]
fn the_description_of_each_new_thing_is_what_is_read() {
    let document = Native.openapi();
    let makes = [
        ("OrganizationCreate", "/api/v1/organizations".to_owned()),
        ("KeyCreate", format!("/api/v1/organizations/{}/keys", uuid(1))),
        ("LedgerPost", format!("/api/v1/organizations/{}/ledger", uuid(1))),
        ("AgentCreate", "/api/v1/agents".to_owned()),
        ("EndpointCreate", "/api/v1/endpoints".to_owned()),
        ("ProviderCreate", "/api/v1/providers".to_owned()),
        ("StockCreate", "/api/v1/stock".to_owned()),
        ("NumberCreate", "/api/v1/numbers".to_owned()),
        ("NumberImport", "/api/v1/numbers/import".to_owned()),
        ("WebhookCreate", "/api/v1/webhooks".to_owned()),
    ];
    for (name, path) in makes {
        let schema = &document["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name} is closed");
        let send = |body: Value| ask(&format!("POST {path}")).json(&body);
        for field in schema["properties"].as_object().unwrap().keys() {
            // Alone and of a wrong type, a field is refused by name, or another that is required is missed first.
            let refusal = send(json!({ field: wrong() })).refusal();
            assert!(!refusal.contains("not a field"), "{name}.{field}: {refusal}");
        }
        for field in schema["required"].as_array().into_iter().flatten() {
            let field = field.as_str().unwrap();
            let mut all: serde_json::Map<_, _> = valid(name).as_object().unwrap().clone();
            all.remove(field);
            let refusal = send(Value::Object(all)).refusal();
            assert_eq!(refusal, format!("422 missing {field}: `{field}` is required."), "{name}");
        }
        assert!(send(valid(name)).op().is_ok(), "{name}: {:?}", send(valid(name)).op());
        let mut nulls = valid(name);
        for field in schema["properties"].as_object().unwrap().keys() {
            if nulls.get(field).is_none() {
                nulls[field] = Value::Null;
            }
        }
        assert_eq!(
            format!("{:?}", send(nulls).op()),
            format!("{:?}", send(valid(name)).op()),
            "{name}: null is absent"
        );
    }
}

fn valid(name: &str) -> Value {
    match name {
        "OrganizationCreate" | "AgentCreate" | "EndpointCreate" => json!({ "name": "a" }),
        "KeyCreate" => json!({ "name": "k", "dialect": "krosai", "role": "viewer" }),
        "LedgerPost" => json!({ "amount_cents": -5, "reason": "r" }),
        "ProviderCreate" => json!({ "kind": "managed", "label": "p" }),
        "StockCreate" => json!({ "e164": "+14155550100", "setup_cost_cents": 0, "monthly_cost_cents": 0 }),
        "NumberCreate" => json!({ "stock_id": id(6) }),
        "WebhookCreate" => json!({ "url": "https://a.b", "events": ["call.completed"] }),
        "NumberImport" => json!({ "provider_id": id(5), "numbers": [] }),
        _ => panic!("{name}"),
    }
}
