//! Agents. What the vendor says of their voices is kept for it and given back; it chooses nothing here.

use domain::agent::AgentPatch;
use domain::error::{Error, Result, What};
use domain::ids::AgentId;
use domain::view::AgentProfile;
use domain::{Agent, Bag, Op, Page, Patch};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::wire::ID_PREFIX;
use crate::Request;
use crate::json::{self, Body, text, time};

/// The bag of this dialect.
const BAG: &str = "cartesia";
/// The most agents of the list, whose contract has no pages.
const LIST_MAX: u32 = 10_000;
/// The longest text in the bag, in characters.
const TEXT_MAX: usize = 200;
/// The language where none was set.
const LANGUAGE: &str = "en";

fn id(request: &Request<'_>) -> Result<AgentId> {
    AgentId::parse(request.param("agent_id")).ok_or_else(|| Error::not_found(What::Agent))
}

pub(super) fn list(_request: &Request<'_>) -> Op {
    Op::AgentProfileList(Page::first(LIST_MAX))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentProfileGet(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Agent)?;
    if body.take("webhook_id").is_some_and(|value| !value.is_null()) {
        let words = "`webhook_id`: webhooks are not served yet; leave it out.";
        return Err(Error::invalid(What::Agent, "webhook_id", words));
    }
    let mut bag = Bag::new();
    kept(&mut body, "tts_voice", &mut bag)?;
    kept(&mut body, "tts_language", &mut bag)?;
    let name = body.optional("name", "a text", text)?;
    let description = body.patch("description", "a text or null", text)?;
    let bags =
        if bag.is_empty() { Bag::new() } else { Bag::from_iter([(BAG.to_owned(), Value::Object(bag))]) };
    Ok(Op::AgentProfileUpdate(id, AgentPatch { name, description, bags }))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentDissolve(id(request)?))
}

fn kept(body: &mut Body, field: &'static str, bag: &mut Bag) -> Result<()> {
    let must = "a text of at most 200 characters or null";
    let short = |value| text(value).filter(|t| t.chars().count() <= TEXT_MAX);
    match body.patch(field, must, short)? {
        Patch::Keep => None,
        Patch::Clear => bag.insert(field.to_owned(), Value::Null),
        Patch::Set(text) => bag.insert(field.to_owned(), Value::from(text)),
    };
    Ok(())
}

/// All agents.
#[derive(Serialize, ToSchema)]
#[schema(as = GetAgentsResponse)]
pub(super) struct AgentsOut {
    summaries: Vec<AgentSummaryOut>,
}

/// An agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentSummary)]
pub(super) struct AgentSummaryOut {
    id: String,
    name: String,
    description: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    tts_voice: String,
    tts_language: String,
    phone_numbers: Vec<NumberSummaryOut>,
    /// Always false: agents are not run here.
    has_text_to_agent_run: bool,
    /// Always 0: agents are not deployed here.
    deployment_count: u32,
}

/// A number of an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = PhoneNumberSummary)]
pub(super) struct NumberSummaryOut {
    id: String,
    number: String,
}

impl From<Vec<AgentProfile>> for AgentsOut {
    fn from(profiles: Vec<AgentProfile>) -> Self {
        Self { summaries: profiles.into_iter().map(AgentSummaryOut::from).collect() }
    }
}

impl From<AgentProfile> for AgentSummaryOut {
    fn from(profile: AgentProfile) -> Self {
        let AgentProfile { agent, numbers } = profile;
        let Agent { id, organization_id: _, name, description, bags, created_at, updated_at, version: _ } =
            agent;
        let kept = |field: &str| bags.get(BAG).and_then(|bag| bag.get(field)).and_then(Value::as_str);
        Self {
            id: id.to_string(),
            name,
            description,
            created_at: time(created_at),
            updated_at: time(updated_at),
            tts_voice: kept("tts_voice").unwrap_or_default().to_owned(),
            tts_language: kept("tts_language").unwrap_or(LANGUAGE).to_owned(),
            phone_numbers: numbers
                .into_iter()
                .map(|(id, e164)| NumberSummaryOut {
                    id: format!("{ID_PREFIX}{id}"),
                    number: e164.to_string(),
                })
                .collect(),
            has_text_to_agent_run: false,
            deployment_count: 0,
        }
    }
}
