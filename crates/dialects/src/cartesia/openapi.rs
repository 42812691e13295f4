//! Cartesia's OpenAPI document.

use serde_json::Value;

use super::agents::{AgentSummaryOut, AgentsOut};
use super::bodies;
use super::calls::{CallOut, CallsOut, CancelledOut, OriginatedOut};
use super::providers::ProviderAccountOut;
use super::wire::{AgentNumberOut, ErrorOut, NumberBaseOut, NumberOut, PageOut};
use crate::Endpoint;
use crate::openapi::{Document, Operation, Shape};

const REFUSALS: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];

pub(super) fn document(endpoints: &'static [Endpoint]) -> Value {
    let words = "Phone numbers of voice agents, their providers, agents and calls.";
    let mut document = Document::new("Cartesia's API on Trunkline", "2026-03-01", words)
        .bearer()
        .api_key("x-api-key")
        .path_parameter("id", "The phone number or the provider.", Shape::text())
        .path_parameter("call_id", "The call.", Shape::text())
        .path_parameter("agent_id", "The agent.", Shape::text())
        .refusal("application/json", Shape::of::<ErrorOut>());
    for endpoint in endpoints {
        let words = "2026-03-01 (also without the header) or 2026-08-14.";
        let operation = operation(endpoint.verb).header("Cartesia-Version", words).refuses(&REFUSALS);
        let operation =
            if endpoint.method == http::Method::GET { operation } else { operation.refuses(&[413]) };
        document = document.operation(endpoint, operation);
    }
    document.build()
}

fn operation(verb: &str) -> Operation {
    if verb.starts_with("number") {
        number(verb)
    } else if verb.starts_with("provider") {
        provider(verb).tag("Providers")
    } else {
        agent_or_call(verb).tag("Agents")
    }
}

fn cursors(operation: Operation) -> Operation {
    operation
        .query("starting_after", "What is behind this id.", Shape::text())
        .query("ending_before", "What is before this id; not with `starting_after`.", Shape::text())
        .query("limit", "At most this many.", Shape::whole(1, 100, 10))
}

fn number(verb: &str) -> Operation {
    let kinds = Shape::words(&["twilio", "cartesia", "sip_trunk"]);
    let operation = match verb {
        "number_list" => cursors(Operation::new("Lists phone numbers, newest first."))
            .query("agent_id", "Only with this agent.", Shape::text())
            .query("provider_id", "Only of this provider.", Shape::text())
            .query("type", "Only of this kind of provider.", kinds)
            .query("q", "Part of the number, the label or the agent's name.", Shape::text())
            .answer(200, "A page; empty at the end.", Shape::of::<PageOut>()),
        "number_import" => {
            Operation::new("Imports a phone number on a SIP trunk, or one of an account at Twilio.")
                .body(bodies::import())
                .answer(201, "The number.", Shape::of::<NumberOut>())
                .refuses(&[402, 409])
        }
        "number_provision" => Operation::new("Buys the cheapest phone number of the US on sale.")
            .body(bodies::provision())
            .answer(201, "The number.", Shape::of::<NumberBaseOut>())
            .refuses(&[402, 409]),
        "number_get" => {
            Operation::new("Reads a phone number.").answer(200, "The number.", Shape::of::<NumberOut>())
        }
        "number_update" => Operation::new("Changes a phone number.")
            .body(bodies::number())
            .answer(200, "The number.", Shape::of::<NumberOut>())
            .refuses(&[409]),
        "number_delete" => Operation::new(
            "Deletes a phone number that has no agent, or (newer version) one of an account at Twilio.",
        )
        .answer_empty(204, "It is gone.")
        .refuses(&[409]),
        _ => {
            let of_agent = Operation::new("Lists the phone numbers of an agent.").tag("Agents");
            return of_agent.answer(200, "All of them.", Shape::list_of::<AgentNumberOut>());
        }
    };
    operation.tag("Phone Numbers")
}

fn provider(verb: &str) -> Operation {
    let one = |operation: Operation, status| {
        operation.answer(status, "The provider.", Shape::of::<ProviderAccountOut>())
    };
    match verb {
        "provider_list" => Operation::new("Lists SIP trunks and accounts at Twilio.")
            .query("type", "Only of this kind.", Shape::words(&["twilio", "sip_trunk"]))
            .query("account_sid", "Only of this Twilio account.", Shape::text())
            .answer(200, "All of them.", Shape::list_of::<ProviderAccountOut>()),
        "provider_create" => one(
            Operation::new("Makes a SIP trunk, or links an account at Twilio.")
                .body(bodies::provider_create()),
            201,
        )
        .refuses(&[409]),
        "provider_get" => one(Operation::new("Reads a SIP trunk or an account at Twilio."), 200),
        "provider_update" => {
            let words = "Changes a SIP trunk or the key of an account; what is left out stays.";
            one(Operation::new(words).body(bodies::provider_update()), 200).refuses(&[409])
        }
        _ => Operation::new("Deletes a provider that has no numbers.")
            .answer_empty(204, "It is gone.")
            .refuses(&[409]),
    }
}

fn agent_or_call(verb: &str) -> Operation {
    let moment = || Shape::inline(serde_json::json!({ "type": "string", "format": "date-time" }));
    let agent = |operation: Operation| operation.answer(200, "The agent.", Shape::of::<AgentSummaryOut>());
    let call = |operation: Operation| operation.answer(200, "The call.", Shape::of::<CallOut>());
    match verb {
        "agent_list" => Operation::new("Lists agents.").answer(200, "All of them.", Shape::of::<AgentsOut>()),
        "agent_get" => agent(Operation::new("Reads an agent.")),
        "agent_update" => agent(Operation::new("Changes an agent.").body(bodies::agent())).refuses(&[409]),
        "agent_delete" => Operation::new("Deletes an agent; its numbers stay, without an agent.")
            .answer_empty(204, "It is gone.")
            .refuses(&[409]),
        "call_list" => cursors(Operation::new("Lists the calls of an agent, newest first."))
            .query("agent_id", "The agent; required.", Shape::text())
            .query("batch_id", "Not served.", Shape::text())
            .query("start_time_gte", "Begun at this time or later.", moment())
            .query("start_time_lte", "Begun at this time or earlier.", moment())
            .query("expand", "Has no effect.", Shape::text())
            .answer(200, "A page; empty at the end.", Shape::of::<CallsOut>()),
        "call_create" => Operation::new("Begins calls of an agent from a phone number.")
            .body(bodies::outbound_calls())
            .answer(200, "What became of each, in the order of asking.", Shape::of::<OriginatedOut>())
            .refuses(&[402]),
        "call_get" => call(Operation::new("Reads a call.")),
        "call_cancel" => Operation::new("Ends a call that rings or is answered, on both sides.")
            .answer(200, "It is over.", Shape::of::<CancelledOut>())
            .refuses(&[400, 502]),
        _ => call(Operation::new("Takes what is private out of the record of a call that has ended.")),
    }
}
