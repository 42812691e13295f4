//! The schemas of Cartesia's request bodies, for its OpenAPI document; the readers stand beside each resource.

use serde_json::{Value, json};

use crate::openapi::Shape;

fn label() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 200 })
}

fn provider() -> Value {
    json!({ "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] })
}

pub(super) fn import() -> Shape {
    Shape::inline(json!({
        "type": "object",
        "properties": {
            "label": label(), "number": { "type": "string" }, "provider": provider(), "agent_id": { "type": "string" },
        },
        "required": ["label", "number", "provider"],
    }))
}

pub(super) fn provision() -> Shape {
    Shape::inline(json!({
        "type": "object",
        "properties": { "label": label(), "agent_id": { "type": "string" } },
        "required": ["label"],
    }))
}

pub(super) fn number() -> Shape {
    Shape::inline(json!({
        "type": "object",
        "properties": { "label": label(), "agent_id": { "type": ["string", "null"] }, "provider": provider() },
    }))
}

fn credentials(required: &[&str], kind: &Value) -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    json!({ "type": kind, "properties": { "username": text, "password": text }, "required": required })
}

fn trunk(credentials: &Value, country: &Value, outbound: &[&str], required: &[&str]) -> Shape {
    let texts = |most: u32| json!({ "type": "array", "items": { "type": "string" }, "maxItems": most });
    let encryption = json!({ "type": "string", "enum": ["disabled", "allowed"] });
    Shape::inline(json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": ["sip_trunk"] },
            "label": { "type": "string", "minLength": 1, "maxLength": 100 },
            "inbound": {
                "type": "object",
                "properties": {
                    "credentials": credentials, "allowed_addresses": texts(256), "allowed_numbers": texts(1_000),
                    "media_encryption": encryption,
                },
            },
            "outbound": {
                "type": "object",
                "properties": {
                    "address": { "type": "string", "minLength": 1 },
                    "transport": { "type": "string", "enum": ["tcp", "tls"] },
                    "destination_country": { "type": country, "pattern": "^[A-Za-z]{2}$" },
                    "media_encryption": encryption, "credentials": credentials,
                },
                "required": outbound,
            },
        },
        "required": required,
    }))
}

pub(super) fn trunk_create() -> Shape {
    let credentials = credentials(&["username", "password"], &json!("object"));
    trunk(&credentials, &json!("string"), &["address", "transport"], &["type", "label"])
}

pub(super) fn trunk_update() -> Shape {
    let credentials = credentials(&["username"], &json!(["object", "null"]));
    trunk(&credentials, &json!(["string", "null"]), &[], &["type"])
}

pub(super) fn agent() -> Shape {
    let text = |most: u32| json!({ "type": ["string", "null"], "maxLength": most });
    Shape::inline(json!({
        "type": "object",
        "properties": {
            "name": text(100), "description": text(2_000), "tts_voice": text(200), "tts_language": text(200),
        },
    }))
}
