//! KrosAI's OpenAPI document.

use serde_json::{Value, json};

use super::error::ORGANIZATION_HEADER;
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
    let words = "Phone numbers: held and on sale. Lists are bare arrays.";
    let mut document = Document::new("KrosAI's API on Trunkline", "1.3.0", words)
        .bearer()
        .api_key("x-api-key")
        .path_parameter("id", "The number.", uuid())
        .refusal("application/json", Shape::of::<ErrorOut>());
    for endpoint in endpoints {
        let words = "The key's own organization; any other is refused.";
        let operation = operation(endpoint.verb).tag("Phone Numbers").header(ORGANIZATION_HEADER, words);
        document = document.operation(endpoint, operation);
    }
    document.build()
}

fn operation(verb: &str) -> Operation {
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
