//! Cartesia's OpenAPI document.

use serde_json::Value;

use super::wire::{AgentNumberOut, ErrorOut, PageOut};
use crate::Endpoint;
use crate::openapi::{Document, Operation, Shape};

const REFUSALS: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];

pub(super) fn document(endpoints: &'static [Endpoint]) -> Value {
    let words = "Phone numbers of voice agents.";
    let mut document = Document::new("Cartesia's API on Trunkline", "2026-03-01", words)
        .bearer()
        .api_key("x-api-key")
        .path_parameter("agent_id", "The agent.", Shape::text())
        .refusal("application/json", Shape::of::<ErrorOut>());
    for endpoint in endpoints {
        let words = "2026-03-01 (also without the header) or 2026-08-14.";
        let operation = operation(endpoint.verb).header("Cartesia-Version", words).refuses(&REFUSALS);
        document = document.operation(endpoint, operation);
    }
    document.build()
}

fn operation(verb: &str) -> Operation {
    match verb {
        "number_list" => Operation::new("Lists phone numbers, newest first.")
            .tag("Phone Numbers")
            .query("agent_id", "Only with this agent.", Shape::text())
            .query("provider_id", "Only of this provider.", Shape::text())
            .query(
                "type",
                "Only of this kind of provider.",
                Shape::words(&["twilio", "cartesia", "sip_trunk"]),
            )
            .query("q", "Part of the number, the label or the agent's name.", Shape::text())
            .query("starting_after", "Numbers behind this id.", Shape::text())
            .query("ending_before", "Numbers before this id; not with `starting_after`.", Shape::text())
            .query("limit", "At most this many.", Shape::whole(1, 100, 10))
            .answer(200, "A page; empty at the end.", Shape::of::<PageOut>()),
        _ => Operation::new("Lists the phone numbers of an agent.").tag("Agents").answer(
            200,
            "All of them.",
            Shape::list_of::<AgentNumberOut>(),
        ),
    }
}
