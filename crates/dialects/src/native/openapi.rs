//! The native API's OpenAPI document: the table, with what it does not say.

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, schema::Schema};

use super::error::ProblemOut;
use super::page::{LIMIT_DEFAULT, LIMIT_MAX};
use super::words::names;
use super::{
    access, agents, bodies, bulk, calls, endpoints, events, explain, numbers, organizations, originate,
    providers, rates, reconcile, ring, stock, table, traces, trunk_status, webhooks,
};
use crate::Endpoint;
use crate::openapi::{Document, Operation, Shape};
use domain::call::{CallStatus, Direction};
use domain::e164::NumberType;
use domain::number::{Environment, Status};
use domain::provider::Offer;
use domain::trace::TraceFormat;

const ABOUT: &str = "One phone number, four vendors' APIs: this is Trunkline's own. Objects in requests are closed: an unknown \
    field is refused. In a PATCH an absent field stays as it is. Lists give `next_cursor`, null at their end. The operator's \
    admin key names the organization it acts for with the header `x-organization-id`.";

/// The document.
pub(super) fn document() -> Value {
    let uuid = || Shape::inline(json!({ "type": "string", "format": "uuid" }));
    let empty = Document::new("Trunkline", env!("CARGO_PKG_VERSION"), ABOUT)
        .bearer()
        .api_key("x-api-key")
        .refusal("application/problem+json", Shape::of::<ProblemOut>())
        // An agent's id can be one that a client chose.
        .path_parameter("id", "The id of the resource.", Shape::text())
        .path_parameter("key_id", "The id of the key.", uuid())
        .path_parameter("event_id", "The id of the event.", uuid())
        .path_parameter("address", "The address that is banned.", Shape::text())
        .path_parameter("number", "The id of the number, or the number in E.164 form.", Shape::text());
    let full = table::ENDPOINTS
        .iter()
        .fold(empty, |document, endpoint| document.operation(endpoint, whole(endpoint)));
    full.build()
}

/// What is alike in all operations, around what is not.
fn whole(endpoint: &'static Endpoint) -> Operation {
    let group = endpoint.path.split('/').nth(3).unwrap_or("");
    let mut operation = operation(endpoint.verb).tag(group);
    for name in table::parameters(endpoint.verb) {
        let (about, shape) = parameter(endpoint.verb, name);
        operation = operation.query(name, about, shape);
    }
    operation = operation
        .header("x-organization-id", "The organization to act for (admin key only).")
        .answer_header("x-request-id", "Names the request for the operator.")
        .refuses(&[400, 401, 403, 404, 422, 429, 500, 503]);
    let [posts, changes] = [http::Method::POST, http::Method::PATCH].map(|method| endpoint.method == method);
    if posts {
        let about = "A repeat with the same key and body gives the first answer, for 24 hours.";
        operation = operation.header("idempotency-key", about);
    }
    if posts || changes {
        operation = operation.refuses(&[402, 409, 413]);
    }
    if has_version(endpoint.verb) {
        operation = operation.answer_header("etag", "The resource's version.");
        if changes {
            operation = operation.header("if-match", "The version that is to be changed.").refuses(&[412]);
        }
    }
    if endpoint.verb.ends_with("_delete") && !matches!(endpoint.verb, "key_delete" | "ban_delete") {
        operation = operation.header("if-match", "The version that is to be removed.").refuses(&[409, 412]);
    }
    operation
}

fn has_version(verb: &str) -> bool {
    let noun = verb.split('_').next().unwrap_or("");
    let versioned =
        matches!(noun, "organization" | "agent" | "endpoint" | "provider" | "stock" | "number" | "webhook");
    versioned && (verb.ends_with("_create") || verb.ends_with("_get") || verb.ends_with("_update"))
}

fn parameter(verb: &str, name: &str) -> (&'static str, Shape) {
    let uuid = || Shape::inline(json!({ "type": "string", "format": "uuid" }));
    match name {
        "limit" => ("The most rows of a page.", Shape::whole(1, LIMIT_MAX.into(), LIMIT_DEFAULT.into())),
        "cursor" => ("The `next_cursor` of the page before.", Shape::text()),
        "q" => ("Part of the number, of the label, or of the agent's name.", Shape::text()),
        "agent_id" => ("The agent.", Shape::text()),
        "endpoint_id" => ("The endpoint.", uuid()),
        "provider_id" => ("The provider.", uuid()),
        "label" => ("A name for people.", Shape::text()),
        "status" if verb == "call_list" => ("The state.", Shape::words(&names(&CallStatus::NAMES))),
        "status" => ("The state.", Shape::words(&names(&Status::NAMES))),
        "country" => ("The country's two letters (ISO 3166-1).", Shape::text()),
        "type" => ("The type of number.", Shape::words(&names(&NumberType::NAMES))),
        "environment" => ("The environment.", Shape::words(&names(&Environment::NAMES))),
        "direction" => ("Which way, seen from the number.", Shape::words(&names(&Direction::NAMES))),
        "format" => {
            ("How they are shown; `text` where it is left out.", Shape::words(&names(&TraceFormat::NAMES)))
        }
        "number" => ("The number in E.164 form.", Shape::text()),
        "available" => ("Only what is on sale; always so but for the operator.", boolean()),
        "permanent" => ("Removes the number for good, with its restore.", boolean()),
        "caller" => ("The number that would call; absent: one that may.", Shape::text()),
        "media" => {
            ("What the call would offer; absent: what the trunk takes.", Shape::words(&names(&Offer::NAMES)))
        }
        "to" => ("What the number would dial: then it is a call out that is explained.", Shape::text()),
        "at" => ("When the call would come, in RFC 3339; absent: now.", Shape::text()),
        "from" => ("The IP address that the call would come from, with or without a port.", Shape::text()),
        _ => ("", Shape::text()),
    }
}

fn boolean() -> Shape {
    Shape::inline(json!({ "type": "boolean", "default": false }))
}

/// A page of a list.
fn page_of<T: ToSchema>() -> Shape {
    Shape::list_of::<T>().map(|data| {
        json!({
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": { "data": data, "next_cursor": { "type": ["string", "null"] } },
        })
    })
}

/// Rows of an import: texts, or objects.
pub(super) fn rows() -> Schema {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    let row = OneOfBuilder::new().item(text).item(Ref::from_schema_name(bodies::ImportRow::name())).build();
    Schema::Array(
        ArrayBuilder::new().items(RefOr::T(Schema::OneOf(row))).max_items(Some(super::csv::ROWS_MAX)).build(),
    )
}

/// A CSV body with these columns.
fn csv(columns: &str) -> Shape {
    Shape::inline(
        json!({ "type": "string", "description": format!("The first line names columns among {columns}.") }),
    )
}

fn created<T: ToSchema>(summary: &'static str, body: Shape) -> Operation {
    Operation::new(summary)
        .body(body)
        .answer(201, "It is made.", Shape::of::<T>())
        .answer_header("location", "Where it is found from now on.")
}

fn listed<T: ToSchema>(summary: &'static str) -> Operation {
    Operation::new(summary).answer(200, "A page, newest first.", page_of::<T>())
}

fn shown<T: ToSchema>(summary: &'static str) -> Operation {
    Operation::new(summary).answer(200, "As it is now.", Shape::of::<T>())
}

fn removed(summary: &'static str) -> Operation {
    Operation::new(summary).answer_empty(204, "It is gone.")
}

/// Adding an operation, 3 of 3: what its row does not say.
fn operation(verb: &str) -> Operation {
    match verb.split_once('_').map_or("", |(noun, _)| noun) {
        "organization" | "key" | "ledger" | "balance" => of_organizations(verb),
        "agent" | "endpoint" | "provider" => of_wiring(verb),
        "stock" | "number" => of_numbers(verb),
        "call" | "event" | "rate" | "ban" | "carrier" => of_records(verb),
        "webhook" => of_webhooks(verb),
        _ => Operation::default(),
    }
}

fn of_organizations(verb: &str) -> Operation {
    use organizations::{BalanceOut, EntryOut, KeyCreatedOut, KeyOut, OrganizationOut};
    match verb {
        "organization_create" => created::<OrganizationOut>(
            "Make an organization (operator)",
            Shape::of::<bodies::OrganizationCreate>(),
        ),
        "organization_list" => listed::<OrganizationOut>("List organizations"),
        "organization_get" => shown::<OrganizationOut>("Read an organization"),
        "organization_update" => {
            shown::<OrganizationOut>("Change an organization").body(Shape::of::<bodies::OrganizationUpdate>())
        }
        "key_create" => {
            created::<KeyCreatedOut>("Make a key; it is shown this once", Shape::of::<bodies::KeyCreate>())
        }
        "key_list" => listed::<KeyOut>("List keys"),
        "key_delete" => removed("Revoke a key"),
        "ledger_post" => Operation::new("Add money, or take it (operator)")
            .body(Shape::of::<bodies::LedgerPost>())
            .answer(201, "It is posted; this is the wallet's entry.", Shape::of::<EntryOut>()),
        "ledger_list" => listed::<EntryOut>("List ledger entries"),
        "balance_get" => shown::<BalanceOut>("Read the balance"),
        _ => Operation::default(),
    }
}

fn of_wiring(verb: &str) -> Operation {
    use {agents::AgentOut, endpoints::EndpointOut, providers::ProviderOut};
    match verb {
        "agent_create" => created::<AgentOut>("Make an agent", Shape::of::<bodies::AgentCreate>()),
        "agent_list" => listed::<AgentOut>("List agents"),
        "agent_get" => shown::<AgentOut>("Read an agent"),
        "agent_update" => shown::<AgentOut>("Change an agent").body(Shape::of::<bodies::AgentUpdate>()),
        "agent_delete" => removed("Remove an agent that nothing refers to"),
        "endpoint_create" => {
            created::<EndpointOut>("Make an endpoint", Shape::of::<bodies::EndpointCreate>())
        }
        "endpoint_list" => listed::<EndpointOut>("List endpoints"),
        "endpoint_get" => shown::<EndpointOut>("Read an endpoint"),
        "endpoint_health" => shown::<endpoints::HealthOut>("Say how an endpoint's targets are"),
        "endpoint_update" => shown::<EndpointOut>("Change an endpoint; its numbers follow")
            .body(Shape::of::<bodies::EndpointUpdate>()),
        "endpoint_delete" => removed("Remove an endpoint"),
        "provider_create" => created::<ProviderOut>("Make a provider", Shape::of::<bodies::ProviderCreate>()),
        "provider_list" => listed::<ProviderOut>("List providers"),
        "provider_get" => shown::<ProviderOut>("Read a provider"),
        "provider_status" => shown::<trunk_status::TrunkStatusOut>(
            "Say how a trunk is: its registration, and what its hosts resolve to",
        ),
        "provider_update" => {
            shown::<ProviderOut>("Change a provider").body(Shape::of::<bodies::ProviderUpdate>())
        }
        "provider_delete" => removed("Remove a provider that has no numbers"),
        _ => Operation::default(),
    }
}

fn of_numbers(verb: &str) -> Operation {
    use {numbers::NumberOut, stock::StockOut};
    match verb {
        "stock_create" => {
            let one_or_many = [Shape::of::<bodies::StockCreate>(), Shape::list_of::<bodies::StockCreate>()];
            created::<StockOut>("Put numbers in stock (operator)", Shape::one_of(one_or_many))
                .body_as(
                    "text/csv",
                    csv("e164, country, type, setup_cost_cents, monthly_cost_cents, capabilities"),
                )
                .answer(200, "What became of each row, where there were many.", Shape::of::<bulk::BulkOut>())
        }
        "stock_list" => listed::<StockOut>("List numbers for sale"),
        "stock_update" => {
            shown::<StockOut>("Change a number in stock (operator)").body(Shape::of::<bodies::StockUpdate>())
        }
        "stock_delete" => removed("Take a number out of stock (operator)"),
        "stock_hold" => {
            shown::<StockOut>("Reserve a number for 30 minutes, at most 20 at once; a repeat changes nothing")
                .body(Shape::of::<bodies::Nothing>())
                .body_optional()
        }
        "stock_unhold" => removed("Give up a reservation"),
        "number_create" => created::<NumberOut>(
            "Buy a number, or bring one in on a trunk",
            Shape::of::<bodies::NumberCreate>(),
        ),
        "number_import" => {
            let rows = Shape::list_of::<bodies::ImportRow>();
            Operation::new("Bring many numbers in on a trunk")
                .body(Shape::one_of([Shape::of::<bodies::NumberImport>(), rows]))
                .body_as("text/csv", csv("e164, label, endpoint_id, agent_id, environment, provider_id"))
                .answer(200, "What became of each row.", Shape::of::<bulk::BulkOut>())
        }
        "number_list" => listed::<NumberOut>("List numbers; released ones only by their status"),
        "number_get" => shown::<NumberOut>("Read a number"),
        "number_update" => shown::<NumberOut>("Change a number; the next call follows it")
            .body(Shape::of::<bodies::NumberUpdate>()),
        "number_delete" => shown::<NumberOut>("Give a number back; it can be restored while it rests")
            .answer_empty(204, "It is gone for good (`permanent`)."),
        "number_restore" => shown::<NumberOut>("Take a released number back")
            .body(Shape::of::<bodies::Nothing>())
            .body_optional(),
        "number_port_out" => shown::<NumberOut>(
            "Say that a number goes to another carrier; it takes calls until it is deleted",
        )
        .body(Shape::of::<bodies::Nothing>())
        .body_optional(),
        "number_credentials" => shown::<numbers::CredentialsOut>("Replace a number's SIP credentials")
            .body(Shape::of::<bodies::Nothing>())
            .body_optional(),
        "number_ring" => shown::<ring::RungOut>("Have the simulated network call a number that is for tests")
            .body(Shape::of::<ring::RingBody>())
            .body_optional(),
        "number_trace" => {
            shown::<traces::WindowOut>("Trace calls of a number that begin in the next minutes")
                .body(Shape::of::<traces::TraceBody>())
        }
        "number_trace_state" => shown::<traces::WindowOut>("Say until when calls of a number are traced"),
        "number_trace_end" => removed("Trace no more calls of a number"),
        "number_registrations" => Operation::new("List the agents that are registered for a number").answer(
            200,
            "All of them, the newest first.",
            page_of::<access::RegistrationOut>(),
        ),
        "number_explain" => shown::<explain::ExplanationOut>("Say where a call would go, and why"),
        _ => Operation::default(),
    }
}

fn of_webhooks(verb: &str) -> Operation {
    use webhooks::{DeliveryOut, WebhookOut};
    match verb {
        "webhook_create" => created::<WebhookOut>(
            "Make a webhook; its signing secret is in the answer",
            Shape::of::<bodies::WebhookCreate>(),
        ),
        "webhook_list" => listed::<WebhookOut>("List webhooks, without their secrets"),
        "webhook_get" => shown::<WebhookOut>("Read a webhook"),
        "webhook_update" => {
            shown::<WebhookOut>("Change a webhook").body(Shape::of::<bodies::WebhookUpdate>())
        }
        "webhook_delete" => removed("Remove a webhook, with what waits for it"),
        "webhook_deliveries" => {
            listed::<DeliveryOut>("List what was sent to a webhook in the last 30 days, and what waits")
        }
        "webhook_retry" => Operation::new("Send an event to a webhook again")
            .body(Shape::of::<bodies::Nothing>())
            .body_optional()
            .answer(202, "It will be sent at once.", Shape::of::<DeliveryOut>()),
        _ => Operation::default(),
    }
}

fn of_records(verb: &str) -> Operation {
    match verb {
        "call_list" => listed::<calls::CallOut>("List calls"),
        "call_create" => created::<calls::CallOut>(
            "Begin a call: the agent first, then who is called",
            Shape::of::<originate::OriginateBody>(),
        ),
        "call_get" => shown::<calls::CallOut>("Read a call"),
        "call_hangup" => shown::<calls::CallOut>("End a call that rings or is answered, on both sides")
            .body(Shape::of::<bodies::Nothing>())
            .body_optional(),
        "call_trace" => Operation::new("Read the SIP messages of a traced call, without their secrets")
            .answer_as("The messages.", &["text/plain", "application/vnd.tcpdump.pcap"]),
        "rate_set" => created::<rates::RateOut>(
            "Set what calls cost by prefix, in place of the rate before (operator)",
            Shape::of::<rates::RateBody>(),
        ),
        "rate_list" => listed::<rates::RateOut>("List rates: the organization's and those for everybody"),
        "rate_remove" => removed("Remove a rate (operator)"),
        "ban_list" => Operation::new("List the sources that are not heard for a while (operator)").answer(
            200,
            "All of them, the latest first.",
            page_of::<access::BanOut>(),
        ),
        "ban_delete" => removed("Hear a source again (operator)"),
        "carrier_reconcile" => shown::<reconcile::ReconciledOut>(
            "Compare what carriers hold for us with what is held here, and mend it (operator)",
        )
        .body(Shape::of::<reconcile::ReconcileBody>())
        .body_optional(),
        "event_list" => listed::<events::EventOut>("List the audit log"),
        _ => Operation::default(),
    }
}
