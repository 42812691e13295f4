//! KrosAI's OpenAPI document.

use serde_json::{Value, json};

use super::calls::{CallDetailOut, CallPageOut, CallStatsOut, CallTrendOut, InitiatedOut, OriginateIn};
use super::endpoints::{EndpointIn, EndpointOut, EndpointPatchIn};
use super::error::ORGANIZATION_HEADER;
use super::keys::{KeyCreatedOut, KeyIn, KeyOut};
use super::webhooks::{DeliveryOut, WebhookIn, WebhookOut, WebhookPatchIn};
use super::wire::{
    AvailableOut, ErrorOut, NumberDetailOut, NumberOut, NumberPatchIn, PurchaseIn, ReleasedOut,
};
use crate::Endpoint;
use crate::openapi::{Document, Operation, Shape};

const READ: [u16; 6] = [400, 401, 403, 429, 500, 503];
const READ_ONE: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];
const BUY: [u16; 10] = [400, 401, 402, 403, 409, 413, 422, 429, 500, 503];
const WRITE_ONE: [u16; 10] = [400, 401, 403, 404, 409, 413, 422, 429, 500, 503];

pub(super) fn document(endpoints: &'static [Endpoint]) -> Value {
    let words =
        "Phone numbers, held and on sale; endpoints, calls, API keys. Lists are bare arrays, but for calls.";
    let mut document = Document::new("KrosAI's API on Trunkline", "1.3.0", words)
        .bearer()
        .api_key("x-api-key")
        .path_parameter("id", "The number.", uuid())
        .path_parameter("endpoint_id", "The endpoint.", uuid())
        .path_parameter("call_id", "The call.", uuid())
        .path_parameter("key_id", "The key.", uuid())
        .path_parameter("webhook_id", "The webhook.", uuid())
        .path_parameter("event_id", "The event.", uuid())
        .refusal("application/json", Shape::of::<ErrorOut>());
    for endpoint in endpoints {
        let words = "The key's own organization; any other is refused.";
        let operation = operation(endpoint.verb).tag(tag(endpoint.verb)).header(ORGANIZATION_HEADER, words);
        document = document.operation(endpoint, operation);
    }
    document.build()
}

fn tag(verb: &str) -> &'static str {
    match verb.split('_').next() {
        Some("endpoint") => "Endpoints",
        Some("call") => "Calls",
        Some("key") => "API Keys",
        Some("webhook") => "Webhooks",
        _ => "Phone Numbers",
    }
}

fn wider(verb: &str) -> Operation {
    let endpoint = Shape::of::<EndpointOut>;
    let listed = |operation: Operation| {
        let offset = json!({"type": "integer", "minimum": 0, "default": 0});
        operation
            .query("limit", "At most this many rows.", Shape::whole(1, 100, 100))
            .query("offset", "Rows to skip.", Shape::inline(offset))
            .refuses(&READ)
    };
    match verb {
        "endpoint_list" => {
            listed(Operation::new("Lists endpoints.").answer(200, "The endpoints.", endpoint().list()))
        }
        "endpoint_create" => Operation::new("Makes an endpoint, and points a number at it if one is named.")
            .body(Shape::of::<EndpointIn>())
            .answer(201, "Made.", endpoint())
            .refuses(&WRITE_ONE),
        "endpoint_get" => {
            Operation::new("Reads an endpoint.").answer(200, "The endpoint.", endpoint()).refuses(&READ_ONE)
        }
        "endpoint_update" => Operation::new("Changes an endpoint.")
            .body(Shape::of::<EndpointPatchIn>())
            .body_optional()
            .answer(200, "The endpoint after the change.", endpoint())
            .refuses(&WRITE_ONE),
        "endpoint_delete" => Operation::new("Removes an endpoint; its numbers lose their target.")
            .answer_empty(204, "Removed.")
            .refuses(&WRITE_ONE),
        "call_create" => Operation::new("Begins a call: the endpoint first, then who is called.")
            .body(Shape::of::<OriginateIn>())
            .answer(200, "It is on its way.", Shape::of::<InitiatedOut>())
            .refuses(&[400, 401, 402, 403, 404, 429, 500, 503]),
        "call_list" => call_list(),
        "webhook_list" => listed(Operation::new("Lists webhooks.").answer(
            200,
            "The webhooks, without their secrets.",
            Shape::list_of::<WebhookOut>(),
        )),
        "webhook_deliveries" => {
            listed(Operation::new("Lists what was sent to a webhook in the last 30 days.").answer(
                200,
                "The deliveries, the newest event first.",
                Shape::list_of::<DeliveryOut>(),
            ))
            .refuses(&[404])
            .extension()
        }
        verb if verb.starts_with("webhook_") => of_webhook(verb),
        "call_get" => Operation::new("Reads a call with its events.")
            .answer(200, "The call.", Shape::of::<CallDetailOut>())
            .refuses(&READ_ONE),
        "call_delete" => Operation::new("Removes the record of a call that has ended.")
            .answer_empty(204, "Removed.")
            .refuses(&WRITE_ONE),
        "key_list" => {
            listed(Operation::new("Lists API keys.").answer(200, "The keys.", Shape::list_of::<KeyOut>()))
        }
        "key_create" => Operation::new("Makes an API key; its secret is shown this once.")
            .body(Shape::of::<KeyIn>())
            .answer(201, "Made.", Shape::of::<KeyCreatedOut>())
            .refuses(&WRITE_ONE),
        "key_delete" => {
            Operation::new("Revokes an API key.").answer_empty(204, "Revoked.").refuses(&WRITE_ONE)
        }
        _ => Operation::new("Reads an API key.")
            .answer(200, "The key.", Shape::of::<KeyOut>())
            .refuses(&READ_ONE),
    }
}

fn of_webhook(verb: &str) -> Operation {
    let webhook = Shape::of::<WebhookOut>;
    match verb {
        "webhook_create" => Operation::new("Makes a webhook; its signing secret is in the answer.")
            .body(Shape::of::<WebhookIn>())
            .answer(201, "Made.", webhook())
            .refuses(&WRITE_ONE),
        "webhook_update" => Operation::new("Changes a webhook.")
            .body(Shape::of::<WebhookPatchIn>())
            .body_optional()
            .answer(200, "The webhook after the change.", webhook())
            .refuses(&WRITE_ONE),
        "webhook_delete" => Operation::new("Removes a webhook, with what waits for it.")
            .answer_empty(204, "Removed.")
            .refuses(&WRITE_ONE),
        "webhook_retry" => Operation::new("Sends an event to a webhook again.")
            .answer(202, "It will be sent at once.", Shape::of::<DeliveryOut>())
            .refuses(&WRITE_ONE)
            .extension(),
        _ => Operation::new("Reads a webhook.").answer(200, "The webhook.", webhook()).refuses(&READ_ONE),
    }
}

fn call_list() -> Operation {
    let shapes = [Shape::of::<CallPageOut>(), Shape::of::<CallStatsOut>(), Shape::list_of::<CallTrendOut>()];
    let states =
        ["initiated", "ringing", "answered", "in_progress", "completed", "failed", "busy", "no_answer"];
    let page = json!({"type": "integer", "minimum": 1, "default": 1});
    Operation::new("Lists calls, or counts them by state or by day.")
        .query(
            "action",
            "Counts instead of the list; needs `analytics:read` too.",
            Shape::words(&["stats", "trends"]),
        )
        .query("page", "Counts from 1.", Shape::inline(page))
        .query("limit", "At most this many rows.", Shape::whole(1, 100, 20))
        .query("status", "Only in this state.", Shape::words(&states))
        .query("direction", "Only this way.", Shape::words(&["inbound", "outbound"]))
        .query("phone_number_id", "Only of this number.", uuid())
        .query("start_date", "Only from this day or time on.", Shape::text())
        .query("end_date", "Only to the end of this day, or before this time.", Shape::text())
        .answer(
            200,
            "A page; `CallStats` with `action=stats`; days with `action=trends`.",
            Shape::one_of(shapes),
        )
        .refuses(&READ)
}

fn operation(verb: &str) -> Operation {
    if !verb.starts_with("number_") {
        return wider(verb);
    }
    let number = Shape::of::<NumberOut>;
    match verb {
        "number_list" => list(),
        "number_buy" => Operation::new("Buys a number.")
            .body(Shape::of::<PurchaseIn>())
            .answer(201, "Bought.", number())
            .refuses(&BUY),
        "number_update" => Operation::new("Changes a number.")
            .body(Shape::of::<NumberPatchIn>())
            .body_optional()
            .answer(200, "The number after the change.", number())
            .refuses(&WRITE_ONE),
        "number_delete" => {
            let words = "`release` gives the number back and keeps its row; without it the row goes too.";
            Operation::new("Releases or removes a number.")
                .query("action", words, Shape::words(&["release"]))
                .answer(200, "Released.", Shape::of::<ReleasedOut>())
                .answer_empty(204, "Removed for good.")
                .refuses(&WRITE_ONE)
        }
        _ => Operation::new("Reads a number with its SIP credentials.")
            .answer(200, "The number.", Shape::of::<NumberDetailOut>())
            .refuses(&READ_ONE),
    }
}

fn list() -> Operation {
    let action = json!({"type": "string", "enum": ["assigned", "available"], "default": "assigned"});
    let offset = json!({"type": "integer", "minimum": 0, "default": 0});
    let lists = Shape::one_of([Shape::of::<NumberOut>(), Shape::of::<AvailableOut>()]).list();
    Operation::new("Lists held numbers, or numbers on sale.")
        .query("action", "Held numbers, or numbers on sale.", Shape::inline(action))
        .query("country", "ISO 3166-1 alpha-2; required with `available`.", Shape::text())
        .query("type", "Only with `available`.", Shape::words(&["local", "mobile", "toll_free"]))
        .query("limit", "At most this many rows.", Shape::whole(1, 100, 20))
        .query("offset", "Rows to skip.", Shape::inline(offset))
        .answer(200, "The numbers: `AvailablePhoneNumber` with `action=available`.", lists)
        .refuses(&READ)
}

fn uuid() -> Shape {
    Shape::inline(json!({"type": "string", "format": "uuid"}))
}
