//! Requests about numbers and connectors to operations. A path's number and agent are read first, so that a bad one is said
//! wherever it stands. Bodies of telephony tolerate fields that they do not know.

use domain::agent_op::{AgentImport, AgentOp, EndpointChange};
use domain::endpoint::EndpointPatch;
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, EndpointId};
use domain::key::{Area, Scope};
use domain::number::{Environment, NumberRef};
use domain::target::{Target, TargetUri};
use domain::{E164, Endpoint, Op, Patch};
use serde_json::Value;

use super::voice;
use crate::Request;
use crate::json::{self, Body, text};

/// The most items of one request about many.
pub(super) const MANY_MAX: usize = 1_000;

const ENVIRONMENT_MUST: &str = "sandbox, pre-release or live";
const TARGETS_MUST: &str = "a list of at most 16 SIP URIs";

/// The path's agent.
pub(super) fn agent(request: &Request<'_>) -> Result<AgentId> {
    AgentId::parse(request.param("agentId")).ok_or_else(|| Error::not_found(What::Agent))
}

fn e164(text: &str) -> Result<E164> {
    E164::dialled(text, None).ok_or_else(|| {
        let words = "The phone number is not in E.164 form, such as +14155550100.";
        Error::invalid(What::Number, "e164", words)
    })
}

/// The path's number below its agent.
pub(super) fn number(request: &Request<'_>) -> Result<NumberRef> {
    let e164 = e164(request.param("phoneNumber"))?;
    let agent = AgentId::parse(request.param("agentId")).ok_or_else(|| Error::not_found(What::Number))?;
    Ok(NumberRef::OfAgent(agent, e164))
}

fn connector(text: &str) -> Result<EndpointId> {
    EndpointId::parse(text).ok_or_else(|| Error::not_found(What::Endpoint))
}

/// A list of 1 to [`MANY_MAX`] texts.
fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    let fits = (1..=MANY_MAX).contains(&items.len());
    fits.then(|| items.into_iter().map(text).collect()).flatten()
}

/// The list of texts in a body, as it is written there.
pub(super) fn listed(request: &Request<'_>, field: &'static str) -> Result<Vec<String>> {
    json::body(request.body, What::Request)?.required(field, "a list of 1 to 1000 texts", texts)
}

fn environment(body: &mut Body) -> Result<Option<Environment>> {
    let word = |value: Value| Environment::parse(value.as_str()?);
    body.optional("clientEnv", ENVIRONMENT_MUST, word)
}

/// The connector that takes an imported or moved number; another's is as unknown as none.
fn target(body: &mut Body) -> Result<Option<EndpointId>> {
    let found = body.optional("connectorId", "a connector's id", text)?;
    found.map(|id| connector(&id).map_err(|error| error.at("endpoint_id"))).transpose()
}

pub(super) fn number_list(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    // An id that is none has no numbers, like that of a connector without any.
    let endpoint =
        request.query("connectorId").map(|id| EndpointId::parse(id).unwrap_or(EndpointId(uuid::Uuid::nil())));
    Ok(Op::OfAgent(agent, AgentOp::NumberList(endpoint)))
}

pub(super) fn number_get_many(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let numbers = listed(request, "phoneNumbers")?;
    let numbers = numbers.iter().map(|text| e164(text)).collect::<Result<_>>()?;
    Ok(Op::OfAgent(agent, AgentOp::NumberGetMany(numbers)))
}

pub(super) fn number_import_many(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let numbers = listed(request, "phoneNumbers")?;
    let mut body = json::body(request.body, What::Request)?;
    let import =
        AgentImport { numbers, endpoint_id: target(&mut body)?, environment: environment(&mut body)? };
    Ok(Op::OfAgent(agent, AgentOp::NumberImport(import)))
}

pub(super) fn number_import(request: &Request<'_>) -> Result<Op> {
    let numbers = vec![e164(request.param("phoneNumber"))?.to_string()];
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Request)?;
    let import =
        AgentImport { numbers, endpoint_id: target(&mut body)?, environment: environment(&mut body)? };
    Ok(Op::OfAgent(agent, AgentOp::NumberImport(import)))
}

pub(super) fn number_move(request: &Request<'_>) -> Result<Op> {
    let number = e164(request.param("phoneNumber"))?;
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Request)?;
    let endpoint = target(&mut body)?.ok_or_else(|| Error::missing(What::Request, "connectorId"))?;
    Ok(Op::OfAgent(agent, AgentOp::NumberMove(number, endpoint)))
}

pub(super) fn number_delete_many(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let numbers = listed(request, "phoneNumbers")?;
    let rows = numbers.into_iter().map(|text| {
        let number = e164(&text);
        (text, number)
    });
    Ok(Op::OfAgent(agent, AgentOp::NumberRelease(rows.collect())))
}

pub(super) fn connector_get_many(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let ids = listed(request, "connectorIds")?;
    let ids = ids.iter().filter_map(|id| EndpointId::parse(id)).collect();
    Ok(Op::OfAgent(agent, AgentOp::EndpointGetMany(ids)))
}

pub(super) fn connector_lookup(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let number = json::body(request.body, What::Request)?.required("phoneNumber", "a text", text)?;
    Ok(Op::OfAgent(agent, AgentOp::EndpointOfNumber(e164(&number)?)))
}

pub(super) fn connector_get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::OfAgent(agent(request)?, AgentOp::EndpointGet(connector(request.param("connectorId"))?)))
}

pub(super) fn connector_delete(request: &Request<'_>) -> Result<Op> {
    // Its numbers go with it, so the right to give numbers back is needed too.
    request.caller.require(Scope::write(Area::Numbers))?;
    Ok(Op::OfAgent(agent(request)?, AgentOp::EndpointDelete(connector(request.param("connectorId"))?)))
}

pub(super) fn connector_update(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let id = connector(request.param("connectorId"))?;
    let patch = patch(&mut json::body(request.body, What::Endpoint)?, &agent)?;
    Ok(Op::OfAgent(agent, AgentOp::EndpointUpdate(id, patch)))
}

pub(super) fn connector_update_many(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Request)?;
    let fits = |value: Value| {
        let Value::Array(items) = value else { return None };
        (1..=MANY_MAX).contains(&items.len()).then_some(items)
    };
    let items = body.required("updates", "a list of 1 to 1000 objects", fits)?;
    let row = |item| change(item, &agent);
    let rows = items.into_iter().map(row).collect::<Result<_>>()?;
    Ok(Op::OfAgent(agent, AgentOp::EndpointUpdateMany(rows)))
}

/// One item of a batch: without an id the whole request is unreadable; all else is the item's own failure.
fn change(item: Value, agent: &AgentId) -> Result<EndpointChange> {
    let words = "Each of `updates` must be an object with a text `connectorId`.";
    let bad = || Error::invalid(What::Request, "updates", words);
    let mut body = Body::of(json::object(item).ok_or_else(bad)?, What::Endpoint);
    let id = body.take("connectorId").and_then(text).ok_or_else(bad)?;
    let row = connector(&id).and_then(|endpoint| Ok((endpoint, patch(&mut body, agent)?)));
    Ok((id, row))
}

/// A change of a connector of `agent`. Where it names another agent, the connector moves there: not as that agent's default,
/// and without the variant of the agent that it leaves.
fn patch(body: &mut Body, agent: &AgentId) -> Result<EndpointPatch> {
    let mut fields = voice::changes(body)?;
    let project = body.unclearable("projectId", "an agent's id", text)?;
    let project =
        project.map(|id| AgentId::parse(&id).ok_or_else(|| Error::not_found(What::Agent))).transpose()?;
    let moves = project.filter(|project| project != agent);
    if moves.is_some() {
        voice::leave(&mut fields);
    }
    Ok(EndpointPatch {
        is_default: moves.as_ref().map(|_| false),
        agent_id: moves.map_or(Patch::Keep, Patch::Set),
        bags: voice::bags(fields),
        ..EndpointPatch::default()
    })
}

pub(super) fn connector_create(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Endpoint)?.null_is_absent();
    let name = body.required("name", "a text of 1 to 100 characters", text)?;
    let fields = voice::changes(&mut body)?;
    let allow_transfer = voice::handoff(&mut body)?;
    let targets = match body.take("targets") {
        None | Some(Value::Null) => None,
        Some(value) => Some(targets(value)?),
    };
    Ok(Op::EndpointCreate(EndpointPatch {
        name: Some(name),
        agent_id: Patch::Set(agent),
        environment: environment(&mut body)?,
        targets,
        allow_transfer,
        bags: voice::bags(fields),
        ..EndpointPatch::default()
    }))
}

/// SIP URIs in the order of trying.
fn targets(value: Value) -> Result<Vec<Target>> {
    let bad = || Error::invalid(What::Endpoint, "targets", format!("`targets` must be {TARGETS_MUST}."));
    let items = texts(value).filter(|items| items.len() <= Endpoint::TARGETS_MAX).ok_or_else(bad)?;
    let target = |(priority, text): (u16, String)| {
        Ok(Target { uri: TargetUri::parse(&text)?, priority, weight: 1, enabled: true })
    };
    (1..).zip(items).map(target).collect()
}
