//! Requests about agents to operations. Their bodies are closed. What they say of an agent's behaviour (greeting, voice, model)
//! is checked for its shape and not kept: agents live elsewhere, this service leads calls to them.

use domain::agent::AgentPatch;
use domain::agent_op::AgentOp;
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, OrganizationId};
use domain::key::{Area, Scope};
use domain::{Op, Page};
use serde_json::Value;

use super::read::agent;
use crate::Request;
use crate::json::{self, Body, boolean, object, text};

/// The most agents of a list, which has no pages.
const LIST_MAX: u32 = 100_000;
/// The most experiments that a request may list.
const CONFIGS_MAX: usize = 1_000;

const ID_MUST: &str = "made of letters, digits and `-`, at most 100 of them";
const NAME_MUST: &str = "a text of 1 to 100 characters";
const SOME_TEXT: &str = "a text that is not empty";
const AN_OBJECT: &str = "an object";

/// The path's account, where it names one, is the key's own.
fn account(request: &Request<'_>) -> Result<()> {
    let named = request.endpoint.path.contains("{accountId}");
    let own = OrganizationId::parse(request.param("accountId")) == request.caller.organization_id;
    if !named || own { Ok(()) } else { Err(Error::not_found(What::Organization)) }
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    account(request)?;
    Ok(Op::AgentList(Page::first(LIST_MAX)))
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    account(request)?;
    let mut body = json::body(request.body, What::Agent)?.null_is_absent();
    let name = body.required("name", NAME_MUST, text)?;
    let id = body.optional("agentId", ID_MUST, chosen)?;
    let mut response = within(body.required("responseSettings", AN_OBJECT, object)?);
    response.required("greeting", SOME_TEXT, visible)?;
    response.optional("languageCode", SOME_TEXT, visible)?;
    response.close()?;
    if let Some(voice) = body.optional("voiceSettings", AN_OBJECT, object)? {
        let mut voice = within(voice);
        voice.required("voiceId", SOME_TEXT, visible)?;
        voice.close()?;
    }
    if let Some(model) = body.optional("llmSettings", AN_OBJECT, object)? {
        let mut model = within(model);
        model.optional("modelId", "a text", text)?;
        model.close()?;
    }
    if let Some(experiments) = body.optional("experimentalConfig", AN_OBJECT, object)? {
        experiments_check(within(experiments))?;
    }
    body.close()?;
    Ok(Op::AgentCreate(id, AgentPatch { name: Some(name), ..AgentPatch::default() }))
}

fn experiments_check(mut experiments: Body) -> Result<()> {
    let list = |value: Value| {
        let Value::Array(items) = value else { return None };
        if items.len() > CONFIGS_MAX {
            return None;
        }
        items.into_iter().map(object).collect::<Option<Vec<_>>>()
    };
    let configs = experiments.required("configs", "a list of at most 1000 objects", list)?;
    experiments.close()?;
    for config in configs {
        let mut config = within(config);
        for field in ["id", "createdAt", "createdBy", "updatedAt", "updatedBy"] {
            config.required(field, "a text", text)?;
        }
        config.required("features", AN_OBJECT, object)?;
        config.required("active", "true or false", boolean)?;
        config.close()?;
    }
    Ok(())
}

pub(super) fn duplicate(request: &Request<'_>) -> Result<Op> {
    let agent = agent(request)?;
    let mut body = json::body(request.body, What::Agent)?.null_is_absent();
    let name = body.required("newAgentName", NAME_MUST, text)?;
    let id = body.optional("newAgentId", ID_MUST, chosen)?;
    body.close()?;
    Ok(Op::OfAgent(agent, AgentOp::Duplicate(id, AgentPatch { name: Some(name), ..AgentPatch::default() })))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    // Its connectors and numbers go with it, so their rights are needed too.
    request.caller.require(Scope::write(Area::Endpoints))?;
    request.caller.require(Scope::write(Area::Numbers))?;
    Ok(Op::OfAgent(agent(request)?, AgentOp::Delete))
}

/// An object within the body; closed as it is.
fn within(fields: domain::Bag) -> Body {
    Body::of(fields, What::Agent).null_is_absent()
}

fn visible(value: Value) -> Option<String> {
    text(value).filter(|text| !text.is_empty())
}

/// An id of the client's choice. The vendor takes no `_`, which other APIs' ids may have.
#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
fn chosen(value: Value) -> Option<AgentId> {
    AgentId::parse(value.as_str()?).filter(|id| !id.as_str().contains('_'))
}
