//! Agents: who answers.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::page;
use super::read::{expect, path_id};
use super::reply::time;
use crate::Request;
use crate::json::{self, text};
use domain::agent::AgentPatch;
use domain::error::{Result, What};
use domain::ids::AgentId;
use domain::{Agent, Op, Patch};

fn id(request: &Request<'_>) -> Result<AgentId> {
    path_id(request, What::Agent, AgentId::parse)
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Agent)?;
    let new = AgentPatch {
        name: Some(body.required("name", "a text", text)?),
        description: body.optional("description", "a text or null", text)?.map_or(Patch::Keep, Patch::Set),
        ..AgentPatch::default()
    };
    body.close()?;
    Ok(Op::AgentCreate(None, new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentList(page(request, AgentId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentGet(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Agent)?;
    let patch = AgentPatch {
        name: body.unclearable("name", "a text", text)?,
        description: body.patch("description", "a text or null", text)?,
        ..AgentPatch::default()
    };
    body.close()?;
    Ok(Op::AgentUpdate(id, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::AgentDelete(id(request)?, expect(request)?))
}

/// Who answers calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub(super) struct AgentOut {
    /// Its id.
    id: String,
    /// A name for people.
    name: String,
    /// What it does.
    #[schema(required = true)]
    description: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&Agent> for AgentOut {
    fn from(agent: &Agent) -> Self {
        let Agent { id, organization_id: _, name, description, bags: _, created_at, updated_at, version: _ } =
            agent;
        Self {
            id: id.to_string(),
            name: name.clone(),
            description: description.clone(),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}
