//! Agents: who answers.

use crate::error::{Error, Result, What};
use crate::ids::{AgentId, OrganizationId};
use crate::{Bag, Patch, Timestamp};

/// Who answers calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// A name for people.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// What only one dialect knows, by the dialect's name; see [`crate::bags`].
    pub bags: Bag,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// What a change of an agent may name; also what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentPatch {
    /// A name.
    pub name: Option<String>,
    /// A description.
    pub description: Patch<String>,
    /// Fields of dialects' bags, merged into what is there: null removes one.
    pub bags: Bag,
}

/// The longest name of anything, in characters.
pub const NAME_MAX: usize = 100;
/// The longest description, in characters.
pub const DESCRIPTION_MAX: usize = 2_000;

/// Checks a name: something visible, not too long, no control characters.
pub fn name(what: What, text: &str) -> Result<String> {
    text_within(what, "name", text, NAME_MAX)
}

/// Checks a text that people read.
pub(crate) fn text_within(what: What, field: &'static str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max || text.chars().any(|c| c.is_control() && c != '\n') {
        let words = format!("`{field}` must have 1 to {max} printable characters.");
        return Err(Error::invalid(what, field, words));
    }
    Ok(text.to_owned())
}

impl Agent {
    /// A new agent.
    pub fn create(
        organization_id: OrganizationId,
        id: AgentId,
        new: AgentPatch,
        now: Timestamp,
    ) -> Result<Self> {
        if new.name.is_none() {
            return Err(Error::missing(What::Agent, "name"));
        }
        let blank = Self {
            id,
            organization_id,
            name: String::new(),
            description: None,
            bags: Bag::new(),
            created_at: now,
            updated_at: now,
            version: 0,
        };
        blank.update(new, now)
    }

    /// Applies a patch; the same agent back means that nothing changed.
    pub fn update(&self, patch: AgentPatch, now: Timestamp) -> Result<Self> {
        let AgentPatch { name: new_name, description, bags } = patch;
        let mut next = self.clone();
        if let Some(text) = new_name {
            next.name = name(What::Agent, &text)?;
        }
        if let Some(text) = description.value() {
            text_within(What::Agent, "description", text, DESCRIPTION_MAX)?;
        }
        description.apply(&mut next.description);
        crate::bags::merge(&mut next.bags, bags, What::Agent)?;
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }
}
