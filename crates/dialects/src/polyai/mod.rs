//! PolyAI's API: agents, and the phone numbers, connectors and outbound calls of agents. Every answer names its
//! exchange by `X-PolyAI-Correlation-Id`.

mod agents;
mod bodies;
mod calls;
mod error;
mod openapi;
mod read;
mod table;
mod voice;
mod wire;

use domain::agent_op::AgentOp;
use domain::error::{Error, Result};
use domain::ids::EndpointId;
use domain::key::Mode;
use domain::view::EndpointRow;
use domain::{E164, Endpoint as Connector, Op, View};
use http::{HeaderMap, StatusCode};

use crate::{Context, Dialect, Endpoint, Reply, Request, api_key, under};

/// PolyAI's API.
#[derive(Debug)]
pub struct PolyAi;

impl Dialect for PolyAi {
    fn name(&self) -> &'static str {
        "polyai"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        &table::ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        under(path, "/v1/agents").or_else(|| under(path, "/v1/accounts"))
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        Ok(api_key(headers))
    }

    /// The vendor publishes no form; keys are opaque and tell nothing of their mode.
    fn key(&self, secret: &str, _mode: Mode) -> String {
        format!("poly_{secret}")
    }

    fn deviations(&self) -> &'static [&'static str] {
        &DEVIATIONS
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        match request.endpoint.verb {
            "number_get" => read::number(request).map(Op::NumberGet),
            "number_list" => read::number_list(request),
            "number_get_many" => read::number_get_many(request),
            "number_import_many" => read::number_import_many(request),
            "number_import" => read::number_import(request),
            "number_move" => read::number_move(request),
            "number_delete" => read::number(request).map(|number| Op::NumberRelease(number, None)),
            "number_delete_many" => read::number_delete_many(request),
            // What is active is told by the agent's connectors.
            "connector_list" | "deployment_active" => {
                Ok(Op::OfAgent(read::agent(request)?, AgentOp::EndpointList))
            }
            "connector_create" => read::connector_create(request),
            "connector_get_many" => read::connector_get_many(request),
            "connector_update_many" => read::connector_update_many(request),
            "connector_lookup" => read::connector_lookup(request),
            "connector_get" => read::connector_get(request),
            "connector_update" => read::connector_update(request),
            "connector_delete" => read::connector_delete(request),
            "agent_list" | "agent_list_older" => agents::list(request),
            "agent_create" | "agent_create_older" => agents::create(request),
            "agent_duplicate" => agents::duplicate(request),
            "agent_delete" => agents::delete(request),
            "call_create" => calls::originate(request),
            "call_status" => calls::status(request),
            verb => Err(Error::internal(format!("polyai has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        match body(request, view) {
            Ok(reply) => reply.with(error::CORRELATION_HEADER, &error::correlation_id(request.context)),
            Err(error) => self.refuse(request.context, &error),
        }
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn openapi(&self) -> serde_json::Value {
        openapi::document()
    }
}

fn body(request: &Request<'_>, view: View) -> Result<Reply> {
    let ok = StatusCode::OK;
    Ok(match (request.endpoint.verb, view) {
        ("number_get" | "number_move", View::Number(view)) => Reply::json(ok, &wire::NumberOut::from(*view)),
        ("number_delete", View::Number(view)) => {
            Reply::json(ok, &wire::DeletedOut { deleted: view.number.e164.to_string() })
        }
        ("number_list", View::Numbers(page)) => {
            let phone_numbers = page.items.into_iter().map(wire::NumberOut::from).collect();
            Reply::json(ok, &wire::NumbersOut { phone_numbers })
        }
        ("number_get_many", View::Numbers(page)) => {
            let mut missing = read::listed(request, "phoneNumbers")?;
            missing.retain(|text| {
                let e164 = E164::dialled(text, None);
                !page.items.iter().any(|found| Some(found.number.e164) == e164)
            });
            let found = page.items.into_iter().map(wire::NumberOut::from).collect();
            Reply::json(ok, &wire::NumbersFoundOut { found, not_found: missing })
        }
        ("number_import_many", View::Imported(rows)) => {
            let imported = rows.into_iter().map(|row| row.e164).collect();
            Reply::json(StatusCode::CREATED, &wire::ImportedManyOut { imported })
        }
        ("number_import", View::Imported(rows)) => {
            let imported = rows.into_iter().next().map(|row| row.e164).unwrap_or_default();
            Reply::json(StatusCode::CREATED, &wire::ImportedOut { imported })
        }
        ("number_delete_many", View::Imported(rows)) => Reply::json(ok, &deleted(rows)),
        ("connector_get" | "connector_update" | "connector_lookup", View::Endpoint(endpoint)) => {
            Reply::json(ok, &wire::ConnectorOut::from(endpoint))
        }
        ("connector_create", View::Endpoint(endpoint)) => {
            Reply::json(StatusCode::CREATED, &wire::ConnectorOut::from(endpoint))
        }
        ("connector_list", View::Endpoints(page)) => {
            let connectors = page.items.into_iter().map(wire::ConnectorOut::from).collect();
            Reply::json(ok, &wire::ConnectorsOut { connectors })
        }
        ("connector_get_many", View::Endpoints(page)) => {
            let missing = read::listed(request, "connectorIds")?;
            Reply::json(ok, &connectors_found(page.items, missing))
        }
        ("connector_update_many", View::EndpointRows(rows)) => {
            Reply::json(ok, &wire::ConnectorResultsOut { results: rows.into_iter().map(result).collect() })
        }
        ("connector_delete", View::EndpointGone(id, numbers)) => {
            let deleted_phone_numbers = numbers.iter().map(ToString::to_string).collect();
            Reply::json(
                ok,
                &wire::ConnectorDeletedOut { deleted_connector: id.to_string(), deleted_phone_numbers },
            )
        }
        ("agent_list" | "agent_list_older", View::Agents(page)) => {
            let agents: Vec<_> = page.items.into_iter().map(wire::AgentOut::from).collect();
            Reply::json(ok, &agents)
        }
        ("agent_create" | "agent_create_older" | "agent_duplicate", View::Agent(agent)) => {
            Reply::json(ok, &wire::AgentOut::from(agent))
        }
        ("call_create", View::Originated(rows)) => match rows.into_iter().next() {
            Some((_, Ok(call))) => Reply::json(ok, &calls::TriggeredOut::from(call.as_ref())),
            Some((_, Err(error))) => return Err(error),
            None => return Err(Error::internal("a call that was begun is not shown")),
        },
        ("call_status", View::Call(call)) => Reply::json(ok, &calls::StatusOut::from(call.as_ref())),
        ("agent_delete", View::Done) => Reply::empty(StatusCode::NO_CONTENT),
        ("deployment_active", View::Endpoints(page)) => Reply::json(ok, &wire::ActiveOut::from(page.items)),
        (verb, _) => return Err(Error::internal(format!("no view of polyai's {verb}"))),
    })
}

fn deleted(rows: Vec<domain::view::RowResult<domain::ids::NumberId>>) -> wire::DeletedManyOut {
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for row in rows {
        match row.result {
            Ok(_) => deleted.push(row.e164),
            Err(error) => {
                errors.push(wire::DeleteErrorOut {
                    phone_number: row.e164,
                    error: error::words(&error).into_owned(),
                });
            }
        }
    }
    wire::DeletedManyOut { deleted, errors }
}

fn connectors_found(items: Vec<Connector>, mut missing: Vec<String>) -> wire::ConnectorsFoundOut {
    missing.retain(|text| {
        let id = EndpointId::parse(text);
        !items.iter().any(|found| Some(found.id) == id)
    });
    let found = items.into_iter().map(wire::ConnectorOut::from).collect();
    wire::ConnectorsFoundOut { found, not_found: missing }
}

fn result(row: EndpointRow) -> wire::ConnectorResultOut {
    let EndpointRow { id: connector_id, result } = row;
    let (data, error) = match result {
        Ok(endpoint) => (Some(wire::ConnectorOut::from(endpoint)), None),
        Err(error) => (None, Some(error::words(&error).into_owned())),
    };
    wire::ConnectorResultOut { connector_id, success: error.is_none(), data, error }
}

static DEVIATIONS: [&str; 22] = [
    "Outbound calls: made from the oldest of the agent's numbers in the environment that may call out (`allow_outbound`; no such number: 400), by the agent's default connector there (none: 404). `variantId` and `encryption` have no effect. `metadata` is kept, and sent to the agent as `X-Call-Metadata` (base64url of JSON, at most 8 KB). `status` is `QUEUED` while the agent is called, `CALLING` while the other side rings, `SUCCESS` once it has answered, `FAILURE` otherwise; it is told for two hours after the end. An unknown `callSid`, or another environment's, is 404.",
    "Operations: agents, connectors, phone numbers, outbound calls and what is active. Branches, variants, publishing and real-time configs are not served.",
    "Ours: `POST …/telephony/connectors` makes a connector (`name`, and optionally `clientEnv`, `variantId`, `asrLangCode`, `voiceName`, `disableHandoff`, and `targets`: SIP URIs in the order of trying) and answers 201 with it. The OpenAPI document marks it `x-trunkline-extension`. The vendor has no public operation for it.",
    "`GET` and `POST /v1/agents`, the older spelling of `/v1/accounts/{accountId}/agents`, are served too.",
    "Ids: `accountId`, `projectId` and `connectorId` are our organization's, agent's and endpoint's ids. Another account's id is 404.",
    "`connectorId` is left out while a number has no endpoint.",
    "Keys have the form `poly_…`; the vendor publishes none. No key is `AUTH_USER_UNAUTHORISED`, a wrong one `AUTH_USER_INVALID_TOKEN`, both 401.",
    "A correlation id of more than 128 characters, or with other than visible ASCII, is replaced by one of ours.",
    "What is no phone number is 400 `PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT`; a number of another agent is 404.",
    "An import names no provider: its numbers come in on the account's one SIP trunk. Without a trunk, or with several, it is 400. All or none are imported; a number that somebody holds is 409.",
    "An import without `clientEnv` goes to `live` (a test key's to `sandbox`). `connectorId` in an import, single or list, names a connector of the agent; without it the number lands on the agent's default connector of the environment, or on none. A `clientEnv` that is not the connector's is 400.",
    "Whether an imported number can be called at once is for the organization's setting `imports`; where it is `operator`, the number is listed, and refuses calls until the operator activates it.",
    "A number is reassigned to a connector of its own agent only, and takes that connector's environment; any other connector is 404 `PHONE_NUMBERS_CONNECTOR_DOES_NOT_EXIST`.",
    "A connector that moves to another agent takes its numbers along in one step, loses its variant unless the request names one, and does not become the new agent's default where that has one. `projectId: null` is 400.",
    "`variantId`, `asrLangCode` and `voiceName` are unset by null or by an empty text, and read as empty texts while unset. Variants are not looked up. A voice is checked by its name's shape only.",
    "A connector that another API made is shown with empty languages and voice. `name`, `clientEnv` and `disableHandoff` cannot be changed here, and fields that a telephony body does not know are passed over.",
    "Looking up a number without a connector is 404 `CONNECTORS_NOT_FOUND`, one that is not the agent's 404 `PHONE_NUMBERS_NOT_FOUND`.",
    "A request about many takes at most 1,000 items. Lists have no pages and end after 100,000 rows.",
    "Removing a connector needs the right to write numbers too, removing an agent that and the right to write endpoints: what hangs on them goes in the same step, and the numbers are given back.",
    "Greeting, voice, model and experiments of a new agent are checked for their shape and not kept. `branchCount` is 0. A copied agent has no connectors and no numbers.",
    "`activeDeployments` has an entry for each environment in which the agent has a default connector: its id, and the connector's version as version. An environment without one is left out.",
    "Every POST takes an `Idempotency-Key`.",
];
