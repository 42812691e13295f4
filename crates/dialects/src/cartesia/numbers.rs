//! Reads requests about one number: import, provision, change, delete.

use domain::carrier_account::AccountRef;
use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::{AgentId, ProviderId};
use domain::number::{NumberPatch, NumberRef, NumberSetup};
use domain::op::Import;
use domain::{Op, Patch};

use super::wire;
use crate::Request;
use crate::account;
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

/// How a request names a provider.
enum Named {
    Id(ProviderId),
    Account(AccountRef),
}

/// `{id}` of a provider, or `{type: "twilio", account_sid, region?}`.
fn provider(body: &mut Body) -> Result<Option<Named>> {
    let must = "an object with the `id` of a provider, or `type` `twilio` and `account_sid`";
    let Some(fields) = body.unclearable("provider", must, object)? else { return Ok(None) };
    let mut fields = Body::of(fields, What::Provider);
    // What is wrong within is said with its place.
    let placed = |error: Error| {
        let words = error.public.replacen('`', "`provider.", 1);
        error.at("provider").say(words)
    };
    match fields.unclearable("type", "`twilio`", text).map_err(placed)?.as_deref() {
        None => {
            let id = fields.required("id", "the id of a provider", text).map_err(placed)?;
            let id = ProviderId::parse(&id).ok_or_else(|| Error::not_found(What::Provider).at("provider"))?;
            Ok(Some(Named::Id(id)))
        }
        Some("twilio") => Ok(Some(Named::Account(account::named(&mut fields).map_err(placed)?))),
        Some(_) => {
            let words = "`provider.type` must be `twilio`; name a SIP trunk by its `id`.";
            Err(Error::invalid(What::Provider, "provider", words))
        }
    }
}

pub(super) fn import(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Number)?;
    let setup = setup(&mut body)?;
    let e164 = body.required("number", "a phone number in E.164 form, such as +14155550100", text)?;
    let provider = provider(&mut body)?.ok_or_else(|| Error::missing(What::Number, "provider"))?;
    let import = Import { e164, setup };
    Ok(match provider {
        Named::Id(id) => Op::NumberImport(id, import),
        Named::Account(account) => Op::NumberImportInAccount(account, import),
    })
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
    let patch = NumberPatch { label, agent_id, ..NumberPatch::default() };
    Ok(match provider(&mut body)? {
        None => Op::NumberUpdate(number, patch, None),
        Some(Named::Id(id)) => Op::NumberUpdate(number, NumberPatch { provider_id: Some(id), ..patch }, None),
        Some(Named::Account(account)) => Op::NumberUpdateInAccount(number, patch, account),
    })
}
