//! The schemas of Cartesia's request bodies, for its OpenAPI document; the readers stand beside each resource.

use serde_json::{Value, json};

use crate::account::REGIONS;
use crate::openapi::Shape;

fn label() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 200 })
}

fn region() -> Value {
    json!({ "type": "string", "enum": REGIONS, "default": "us1" })
}

/// By its id, or an account at Twilio by its own.
fn provider() -> Value {
    let id = json!({ "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] });
    let account = json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": ["twilio"] }, "account_sid": account_id(), "region": region(),
        },
        "required": ["type", "account_sid"],
    });
    json!({ "oneOf": [id, account] })
}

fn account_id() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9]{1,64}$" })
}

fn account(named: bool, required: &[&str]) -> Shape {
    let secret = json!({ "type": "string", "minLength": 1, "maxLength": 255, "format": "password", "writeOnly": true });
    let label = json!({ "type": "string", "minLength": 1, "maxLength": 100 });
    let mut fields = json!({
        "type": { "type": "string", "enum": ["twilio"] }, "api_key_sid": account_id(), "api_key_secret": secret,
        "region": region(), "label": label,
    });
    if named {
        fields["account_sid"] = account_id();
    } else {
        fields["region"] = json!({ "type": "string", "enum": REGIONS });
    }
    Shape::inline(json!({ "type": "object", "properties": fields, "required": required }))
}

pub(super) fn provider_create() -> Shape {
    let required = ["type", "account_sid", "api_key_sid", "api_key_secret"];
    Shape::one_of([account(true, &required), trunk_create()])
}

pub(super) fn provider_update() -> Shape {
    Shape::one_of([account(false, &["type", "api_key_sid", "api_key_secret"]), trunk_update()])
}

pub(super) fn outbound_calls() -> Shape {
    let plain = json!({ "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }] });
    let item = json!({
        "type": "object",
        "properties": {
            "to_number": { "type": "string" },
            "metadata": { "type": "object", "additionalProperties": true },
            "dynamic_variables": { "type": "object", "additionalProperties": plain },
        },
        "required": ["to_number"],
    });
    Shape::inline(json!({
        "type": "object",
        "properties": {
            "from_number_id": { "type": "string" },
            "agent_id": { "type": "string" },
            "outbound_calls": { "type": "array", "minItems": 1, "maxItems": 100, "items": item },
            "ringing_timeout_seconds": { "type": "integer", "minimum": 5, "maximum": 80 },
            "max_call_duration_minutes": { "type": "integer", "minimum": 1, "maximum": 1440 },
        },
        "required": ["from_number_id", "agent_id", "outbound_calls"],
    }))
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
    let encryption = json!({ "type": "string", "enum": ["disabled", "allowed", "required"] });
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

fn trunk_create() -> Shape {
    let credentials = credentials(&["username", "password"], &json!("object"));
    trunk(&credentials, &json!("string"), &["address", "transport"], &["type", "label"])
}

fn trunk_update() -> Shape {
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
