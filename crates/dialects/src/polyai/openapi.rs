//! PolyAI's OpenAPI document.

use serde_json::Value;

use super::table::ENDPOINTS;
use super::{bodies, calls, wire};
use crate::openapi::{Document, Operation, Shape};

const HEADER: &str = "X-PolyAI-Correlation-Id";
const REFUSALS: [u16; 9] = [400, 401, 403, 404, 409, 413, 429, 500, 503];

pub(super) fn document() -> Value {
    let words = "Agents, and the phone numbers and connectors of agents.";
    let mut document = Document::new("PolyAI's API on Trunkline", "1.0.11", words)
        .api_key("x-api-key")
        .path_parameter("accountId", "The key's own account.", Shape::text())
        .path_parameter("agentId", "The agent.", Shape::text())
        .path_parameter("connectorId", "The connector.", Shape::text())
        .path_parameter("phoneNumber", "The number in E.164, `+` as it is or as `%2B`.", Shape::text())
        .refusal("application/json", Shape::of::<wire::ErrorOut>());
    for endpoint in &ENDPOINTS {
        let (tag, operation) = match endpoint.verb {
            verb if verb.starts_with("number") => ("Phone Numbers", number(verb)),
            verb if verb.starts_with("connector") => ("Connectors", connector(verb)),
            verb if verb.starts_with("call") => ("Outbound Calls", call(verb)),
            verb => ("Agents", agent(verb)),
        };
        let operation = operation
            .tag(tag)
            .header(HEADER, "Names the exchange; echoed.")
            .answer_header(HEADER, "Names the exchange.")
            .refuses(&REFUSALS);
        document = document.operation(endpoint, operation);
    }
    document.build()
}

fn number(verb: &str) -> Operation {
    let one = Shape::of::<wire::NumberOut>;
    match verb {
        "number_list" => Operation::new("Lists the phone numbers of an agent.")
            .query("connectorId", "Only those of this connector.", Shape::text())
            .answer(200, "All numbers.", Shape::of::<wire::NumbersOut>()),
        "number_import_many" => Operation::new("Imports phone numbers, all or none.")
            .body(Shape::of::<bodies::ImportManyIn>())
            .answer(201, "Imported.", Shape::of::<wire::ImportedManyOut>()),
        "number_delete_many" => Operation::new("Gives phone numbers back, each for itself.")
            .body(Shape::of::<bodies::DeleteManyIn>())
            .answer(200, "What was given back.", Shape::of::<wire::DeletedManyOut>()),
        "number_get_many" => Operation::new("Reads phone numbers.")
            .body(Shape::of::<bodies::NumberGetManyIn>())
            .answer(200, "Those that are there.", Shape::of::<wire::NumbersFoundOut>()),
        "number_import" => Operation::new("Imports a phone number.")
            .body(Shape::of::<bodies::ImportIn>())
            .body_optional()
            .answer(201, "Imported.", Shape::of::<wire::ImportedOut>()),
        "number_move" => Operation::new("Puts a phone number on another connector of the agent.")
            .body(Shape::of::<bodies::MoveIn>())
            .answer(200, "The number after the move.", one()),
        "number_delete" => Operation::new("Gives a phone number back.").answer(
            200,
            "Given back.",
            Shape::of::<wire::DeletedOut>(),
        ),
        _ => Operation::new("Reads a phone number of an agent.").answer(200, "The number.", one()),
    }
}

fn connector(verb: &str) -> Operation {
    let one = Shape::of::<wire::ConnectorOut>;
    match verb {
        "connector_list" => Operation::new("Lists the connectors of an agent.").answer(
            200,
            "All connectors.",
            Shape::of::<wire::ConnectorsOut>(),
        ),
        "connector_create" => Operation::new("Makes a connector.")
            .extension()
            .body(Shape::of::<bodies::ConnectorIn>())
            .answer(201, "Made.", one()),
        "connector_get_many" => Operation::new("Reads connectors.")
            .body(Shape::of::<bodies::ConnectorGetManyIn>())
            .answer(200, "Those that are there.", Shape::of::<wire::ConnectorsFoundOut>()),
        "connector_update_many" => Operation::new("Changes connectors, each for itself.")
            .body(Shape::of::<bodies::ConnectorPatchManyIn>())
            .answer(200, "What became of each.", Shape::of::<wire::ConnectorResultsOut>()),
        "connector_lookup" => Operation::new("Reads the connector that a phone number is on.")
            .body(Shape::of::<bodies::LookupIn>())
            .answer(200, "The connector.", one()),
        "connector_update" => {
            Operation::new("Changes a connector, or moves it with its numbers to another agent.")
                .body(Shape::of::<bodies::ConnectorPatchIn>())
                .answer(200, "The connector after the change.", one())
        }
        "connector_delete" => Operation::new("Removes a connector and gives its phone numbers back.").answer(
            200,
            "What went.",
            Shape::of::<wire::ConnectorDeletedOut>(),
        ),
        _ => Operation::new("Reads a connector.").answer(200, "The connector.", one()),
    }
}

fn call(verb: &str) -> Operation {
    match verb {
        "call_create" => Operation::new("Begins a call from one of the agent's phone numbers.")
            .body(Shape::of::<calls::OriginateIn>())
            .answer(200, "It is on its way.", Shape::of::<calls::TriggeredOut>())
            .refuses(&[502]),
        _ => Operation::new("Says what became of a call.")
            .query(
                "environment",
                "The one that it was begun in; required.",
                Shape::words(&["sandbox", "pre-release", "live"]),
            )
            .answer(200, "Its state.", Shape::of::<calls::StatusOut>())
            .refuses(&[502]),
    }
}

fn agent(verb: &str) -> Operation {
    let one = Shape::of::<wire::AgentOut>;
    match verb {
        "agent_list" | "agent_list_older" => {
            Operation::new("Lists agents.").answer(200, "All agents.", one().list())
        }
        "agent_create" | "agent_create_older" => {
            Operation::new("Makes an agent.").body(Shape::of::<bodies::AgentIn>()).answer(200, "Made.", one())
        }
        "agent_duplicate" => {
            Operation::new("Makes another agent like this one, without connectors and numbers.")
                .body(Shape::of::<bodies::DuplicateIn>())
                .answer(200, "Made.", one())
        }
        "agent_delete" => {
            Operation::new("Removes an agent with its connectors; its phone numbers are given back.")
                .answer_empty(204, "Removed.")
        }
        _ => Operation::new("Says what answers in each environment.").answer(
            200,
            "The default connector of each environment that has one.",
            Shape::of::<wire::ActiveOut>(),
        ),
    }
}
