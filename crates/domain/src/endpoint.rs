//! Endpoints: places that answer calls.

use crate::agent::name;
use crate::error::{Error, Result, What};
use crate::ids::{AgentId, EndpointId, OrganizationId};
use crate::manner::{Manner, MannerPatch};
use crate::number::Environment;
use crate::provider::AddressRule;
use crate::rules::{EndpointRules, EndpointRulesPatch};
use crate::target::{Target, TargetUri};
use crate::{Bag, Patch, Timestamp};

/// What stands behind an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// Plain SIP targets.
    Sip,
    /// An HTTP address; takes no calls by SIP.
    Webhook,
    /// An agent on a platform that its config names.
    Agent,
    /// A platform, by its assistant's id.
    Vapi,
    /// A platform, by its agent's id.
    Retell,
    /// A platform, by its project's SIP address.
    LiveKit,
    /// A platform, by its agent's id.
    ElevenLabs,
    /// A platform, by its project's id.
    OpenAi,
    /// A platform, by its project's id and its region.
    AzureOpenAi,
    /// A platform, by the number.
    XAi,
    /// A platform, by its region and the number.
    Bland,
    /// A platform, by its SIP address.
    Vogent,
    /// One SIP address.
    CustomSip,
    /// One SIP address, or none yet.
    DirectSip,
}

impl EndpointKind {
    /// The kinds with their names.
    pub const NAMES: [(Self, &'static str); 14] = [
        (Self::Sip, "sip"),
        (Self::Webhook, "webhook"),
        (Self::Agent, "agent"),
        (Self::Vapi, "vapi"),
        (Self::Retell, "retell"),
        (Self::LiveKit, "livekit"),
        (Self::ElevenLabs, "elevenlabs"),
        (Self::OpenAi, "openai"),
        (Self::AzureOpenAi, "azure_openai"),
        (Self::XAi, "xai"),
        (Self::Bland, "bland"),
        (Self::Vogent, "vogent"),
        (Self::CustomSip, "custom_sip"),
        (Self::DirectSip, "direct_sip"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// Whether an endpoint is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointStatus {
    /// Its numbers' calls go to it.
    #[default]
    Active,
    /// Its numbers' calls are refused.
    Inactive,
}

impl EndpointStatus {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Active, "active"), (Self::Inactive, "inactive")];

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
    /// Whether it is in use.
    pub status: EndpointStatus,
    /// Its own address, where its kind has one: of a webhook by HTTP, of any other by SIP.
    pub url: Option<String>,
    /// What its platform needs to know: kept as data, read by [`crate::platform`].
    pub config: Bag,
    /// The agent that answers here.
    pub agent_id: Option<AgentId>,
    /// Where in the agent's life: sandbox, pre-release, live.
    pub environment: Environment,
    /// Whether a number that is given this agent lands here. At most one per (agent, environment); the first becomes it.
    pub is_default: bool,
    /// Where it answers. Of every kind but plain SIP they follow from `url` and `config`.
    pub targets: Vec<Target>,
    /// Addresses it may place calls from without a password.
    pub source_addresses: Vec<AddressRule>,
    /// Whether its agent may hand a call to somebody else; what counts is how it was when the call began.
    pub allow_transfer: bool,
    /// How calls are put to it.
    pub manner: Manner,
    /// What is said of how it is called.
    pub rules: EndpointRules,
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
    /// Whether it is in use.
    pub status: Option<EndpointStatus>,
    /// Its address. Of plain SIP: its one target.
    pub url: Patch<String>,
    /// All of its config.
    pub config: Option<Bag>,
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
    /// Whether its agent may hand a call to somebody else.
    pub allow_transfer: Option<bool>,
    /// How calls are put to it. Where the kind changes, what is not named becomes the new kind's.
    pub manner: Box<MannerPatch>,
    /// How it is called.
    pub rules: EndpointRulesPatch,
    /// Fields of dialects' bags by the dialect's name, merged into what is there: null removes one.
    pub bags: Bag,
}

impl Endpoint {
    /// The most targets of one endpoint.
    pub const TARGETS_MAX: usize = 16;

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
            status: EndpointStatus::Active,
            url: None,
            config: Bag::new(),
            agent_id: None,
            environment: default_environment,
            is_default: false,
            targets: Vec::new(),
            source_addresses: Vec::new(),
            allow_transfer: true,
            manner: Manner::default(),
            rules: EndpointRules::default(),
            bags: Bag::new(),
            created_at: now,
            updated_at: now,
            version: 0,
        };
        blank.update(new, now)
    }

    /// Applies a patch; the same endpoint back means that nothing changed.
    pub fn update(&self, patch: EndpointPatch, now: Timestamp) -> Result<Self> {
        let EndpointPatch {
            name: new_name,
            kind,
            status,
            url,
            config,
            agent_id,
            environment,
            is_default,
            targets,
            source_addresses,
            allow_transfer,
            manner,
            rules,
            bags,
        } = patch;
        let mut next = self.clone();
        if let Some(text) = new_name {
            next.name = name(What::Endpoint, &text)?;
        }
        next.kind = kind.unwrap_or(next.kind);
        next.status = status.unwrap_or(next.status);
        next.config = config.unwrap_or(next.config);
        agent_id.apply(&mut next.agent_id);
        next.environment = environment.unwrap_or(next.environment);
        next.is_default = is_default.unwrap_or(next.is_default);
        next.place(self.kind, url, targets)?;
        if let Some(addresses) = source_addresses {
            next.source_addresses = crate::provider::within_limit(addresses, "source_addresses")?;
        }
        next.allow_transfer = allow_transfer.unwrap_or(next.allow_transfer);
        let base = if next.kind == self.kind {
            next.manner.clone()
        } else {
            Manner { credentials: next.manner.credentials.clone(), ..crate::platform::manner(next.kind) }
        };
        next.manner = Manner::update(&base, *manner)?;
        next.rules.update(rules, next.id)?;
        crate::bags::merge(&mut next.bags, bags, What::Endpoint)?;
        // Without an agent there is nothing to be the default of.
        next.is_default &= next.agent_id.is_some();
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }

    /// Settles where it answers: plain SIP has the targets it is given, every other kind those that follow from it.
    fn place(
        &mut self,
        before: EndpointKind,
        url: Patch<String>,
        targets: Option<Vec<Target>>,
    ) -> Result<()> {
        if self.kind == EndpointKind::Sip {
            return self.place_sip(before, url, targets);
        }
        // The address made of the config, written back as it was read, is not the endpoint's own.
        let made = self.url.is_none() && url.value().is_some_and(|url| self.sip_url() == Some(url));
        if !made {
            url.apply(&mut self.url);
        }
        self.targets = crate::platform::targets(self.kind, self.url.as_deref(), &self.config)?;
        // What was read may be written back.
        if targets.is_some_and(|given| given != self.targets) {
            let words = "The `targets` of an endpoint of this `kind` follow from its `url` and `config`; change those.";
            return Err(Error::invalid(What::Endpoint, "targets", words));
        }
        Ok(())
    }

    fn place_sip(
        &mut self,
        before: EndpointKind,
        url: Patch<String>,
        targets: Option<Vec<Target>>,
    ) -> Result<()> {
        self.url = None;
        if before != EndpointKind::Sip {
            self.config = Bag::new();
        }
        if !self.config.is_empty() {
            return Err(Error::invalid(
                What::Endpoint,
                "config",
                "`config` is for platforms; an endpoint of the kind `sip` has none.",
            ));
        }
        if let Some(targets) = targets {
            if targets.len() > Self::TARGETS_MAX {
                let words = format!("`targets` may have at most {} entries.", Self::TARGETS_MAX);
                return Err(Error::invalid(What::Endpoint, "targets", words));
            }
            self.targets = targets;
        }
        match url {
            Patch::Keep => {}
            Patch::Clear => self.targets.clear(),
            // The first target's address written back changes nothing, whatever stands behind it.
            Patch::Set(url) if self.sip_url() == Some(&url) => {}
            Patch::Set(url) => {
                let uri = TargetUri::parse(&url)
                    .map_err(|_| Error::invalid(What::Endpoint, "url", crate::platform::SIP_URL))?;
                self.targets = vec![crate::platform::alone(uri)];
            }
        }
        Ok(())
    }

    /// The first SIP address it answers at, in the order of its targets.
    pub fn sip_url(&self) -> Option<&str> {
        self.targets.first().map(|target| target.uri.as_str())
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
