//! Reads requests about one number: import, provision, change, delete.

use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, ProviderId};
use domain::number::{NumberPatch, NumberRef, NumberSetup};
use domain::op::Import;
use domain::{Op, Patch};

use super::wire;
use crate::Request;
use crate::json::{self, Body, object, text};

/// Where provisioned numbers are from.
const COUNTRY: &str = "US";

/// The number that the path names, while it is held.
pub(super) fn named(request: &Request<'_>) -> Result<NumberRef> {
    wire::id(request.param("id")).map(NumberRef::Held).ok_or_else(|| Error::not_found(What::Number))
}

/// Ids are opaque to the client: one that nothing can have is one that nothing has.
fn agent(id: &str) -> Result<AgentId> {
    AgentId::parse(id).ok_or_else(|| Error::not_found(What::Agent).at("agent_id"))
}

fn setup(body: &mut Body) -> Result<NumberSetup> {
    let label = body.required("label", "a text", text)?;
    let agent_id = body.optional("agent_id", "the id of an agent", text)?;
    let agent_id = agent_id.map(|id| agent(&id)).transpose()?;
    Ok(NumberSetup { agent_id, label: Some(label), ..NumberSetup::default() })
}

/// `{id}` of a SIP trunk; the other form names a Twilio account.
fn provider(body: &mut Body) -> Result<Option<ProviderId>> {
    let fields = body.unclearable("provider", "an object with the `id` of a provider", object)?;
    let Some(fields) = fields else { return Ok(None) };
    let mut fields = Body::of(fields, What::Provider);
    if fields.take("type").is_some() || fields.take("account_sid").is_some() {
        let words = "`provider`: Twilio accounts are not supported yet; name the `id` of a SIP trunk.";
        return Err(Error::invalid(What::Provider, "provider", words));
    }
    let id = fields.required("id", "the id of a provider", text)?;
    ProviderId::parse(&id).map(Some).ok_or_else(|| Error::not_found(What::Provider).at("provider"))
}

pub(super) fn import(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Number)?;
    let setup = setup(&mut body)?;
    let e164 = body.required("number", "a phone number in E.164 form, such as +14155550100", text)?;
    let provider = provider(&mut body)?.ok_or_else(|| Error::missing(What::Number, "provider"))?;
    Ok(Op::NumberImport(provider, Import { e164, setup }))
}

pub(super) fn provision(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Number)?;
    let setup = setup(&mut body)?;
    let country = Country::parse(COUNTRY).ok_or_else(|| Error::internal("the plan lacks the country"))?;
    Ok(Op::NumberProvision(country, setup))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let number = named(request)?;
    let mut body = json::body(request.body, What::Number)?;
    let agent_id = match body.patch("agent_id", "the id of an agent or null", text)? {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(id) => Patch::Set(agent(&id)?),
    };
    let label = body.unclearable("label", "a text", text)?.map_or(Patch::Keep, Patch::Set);
    let provider_id = provider(&mut body)?;
    let patch = NumberPatch { label, agent_id, provider_id, ..NumberPatch::default() };
    Ok(Op::NumberUpdate(number, patch, None))
}
