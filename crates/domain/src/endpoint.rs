//! Endpoints: places that answer calls.

use crate::agent::name;
use crate::error::{Error, Result, What};
use crate::ids::{AgentId, EndpointId, OrganizationId};
use crate::number::Environment;
use crate::provider::AddressRule;
use crate::target::Target;
use crate::{Bag, Patch, Timestamp};

/// What stands behind an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// Plain SIP targets.
    Sip,
}

impl EndpointKind {
    /// The kinds with their names.
    pub const NAMES: [(Self, &'static str); 1] = [(Self::Sip, "sip")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// A place that answers calls; belongs to an agent or to none.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// A name for people.
    pub name: String,
    /// What stands behind it.
    pub kind: EndpointKind,
    /// The agent that answers here.
    pub agent_id: Option<AgentId>,
    /// Where in the agent's life: sandbox, pre-release, live.
    pub environment: Environment,
    /// Whether a number that is given this agent lands here. At most one per (agent, environment); the first becomes it.
    pub is_default: bool,
    /// Where it answers.
    pub targets: Vec<Target>,
    /// Addresses it may place calls from without a password.
    pub source_addresses: Vec<AddressRule>,
    /// What only one dialect knows, by the dialect's name: a free object for each. Nothing but its own dialect reads it.
    pub bags: Bag,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// What a change of an endpoint may name; also what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointPatch {
    /// A name.
    pub name: Option<String>,
    /// What stands behind it.
    pub kind: Option<EndpointKind>,
    /// The agent.
    pub agent_id: Patch<AgentId>,
    /// The environment.
    pub environment: Option<Environment>,
    /// Whether it is the agent's default.
    pub is_default: Option<bool>,
    /// All targets.
    pub targets: Option<Vec<Target>>,
    /// All source addresses.
    pub source_addresses: Option<Vec<AddressRule>>,
    /// Fields of dialects' bags by the dialect's name, merged into what is there: null removes one.
    pub bags: Bag,
}

impl Endpoint {
    /// The most targets of one endpoint.
    pub const TARGETS_MAX: usize = 16;
    /// The most that all bags of one endpoint hold, in bytes of JSON.
    pub const BAGS_MAX: usize = 16_384;

    /// A new endpoint. `first` says that its agent has no other in this environment: then it becomes the default.
    pub fn create(
        organization_id: OrganizationId,
        id: EndpointId,
        new: EndpointPatch,
        default_environment: Environment,
        now: Timestamp,
    ) -> Result<Self> {
        if new.name.is_none() {
            return Err(Error::missing(What::Endpoint, "name"));
        }
        let blank = Self {
            id,
            organization_id,
            name: String::new(),
            kind: EndpointKind::Sip,
            agent_id: None,
            environment: default_environment,
            is_default: false,
            targets: Vec::new(),
            source_addresses: Vec::new(),
            bags: Bag::new(),
            created_at: now,
            updated_at: now,
            version: 0,
        };
        blank.update(new, now)
    }

    /// Applies a patch; the same endpoint back means that nothing changed.
    pub fn update(&self, patch: EndpointPatch, now: Timestamp) -> Result<Self> {
        let EndpointPatch { name: new_name, kind, agent_id, environment, is_default, targets, source_addresses, bags } = patch;
        let mut next = self.clone();
        if let Some(text) = new_name {
            next.name = name(What::Endpoint, &text)?;
        }
        next.kind = kind.unwrap_or(next.kind);
        agent_id.apply(&mut next.agent_id);
        next.environment = environment.unwrap_or(next.environment);
        next.is_default = is_default.unwrap_or(next.is_default);
        if let Some(targets) = targets {
            if targets.len() > Self::TARGETS_MAX {
                let words = format!("`targets` may have at most {} entries.", Self::TARGETS_MAX);
                return Err(Error::invalid(What::Endpoint, "targets", words));
            }
            next.targets = targets;
        }
        if let Some(addresses) = source_addresses {
            next.source_addresses = crate::provider::within_limit(addresses, "source_addresses")?;
        }
        next.bags_merge(bags)?;
        // Without an agent there is nothing to be the default of.
        next.is_default &= next.agent_id.is_some();
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }

    /// Merges fields into the bags of dialects; null removes one, and an empty bag goes.
    fn bags_merge(&mut self, bags: Bag) -> Result<()> {
        for (dialect, fields) in bags {
            let serde_json::Value::Object(fields) = fields else { continue };
            let mut bag = match self.bags.remove(&dialect) {
                Some(serde_json::Value::Object(bag)) => bag,
                Some(_) | None => Bag::new(),
            };
            for (name, value) in fields {
                if value.is_null() {
                    bag.remove(&name);
                } else {
                    bag.insert(name, value);
                }
            }
            if !bag.is_empty() {
                self.bags.insert(dialect, serde_json::Value::Object(bag));
            }
        }
        if serde_json::to_vec(&self.bags).is_ok_and(|text| text.len() <= Self::BAGS_MAX) {
            return Ok(());
        }
        let words = format!("The settings of one endpoint may have at most {} bytes.", Self::BAGS_MAX);
        Err(Error::invalid(What::Endpoint, "bags", words))
    }

    /// Settles who is the default of this endpoint's (agent, environment) after it changed: the first becomes it, and
    /// a new default takes the place of `current`. Gives the former default to be written with it, if there is one.
    pub fn settle_default(&mut self, current: Option<&Self>, now: Timestamp) -> Option<Self> {
        self.agent_id.as_ref()?;
        match current.filter(|other| other.id != self.id) {
            None => {
                self.is_default = true;
                None
            }
            Some(other) if self.is_default => {
                let mut former = other.clone();
                former.is_default = false;
                former.version += 1;
                former.updated_at = now;
                Some(former)
            }
            Some(_) => None,
        }
    }
}
