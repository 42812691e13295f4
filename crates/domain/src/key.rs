//! API keys: role, scopes, and the one dialect a key works in.

use crate::Timestamp;
use crate::error::{Error, Result, What};
use crate::ids::{KeyId, OrganizationId};

/// What a key's holder is in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and writes numbers, agents, endpoints and providers.
    Member,
    /// All but the organization itself; sees SIP passwords.
    Admin,
    /// All.
    Owner,
}

impl Role {
    /// The roles with their names.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Owner, "owner"),
        (Self::Admin, "admin"),
        (Self::Member, "member"),
        (Self::Viewer, "viewer"),
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

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Numbers and the stock on sale.
    Numbers,
    /// Calls.
    Calls,
    /// Endpoints.
    Endpoints,
    /// Agents.
    Agents,
    /// Providers.
    Providers,
    /// The ledger.
    Billing,
    /// API keys.
    Keys,
    /// The audit log.
    Events,
    /// The organization itself.
    Organization,
    /// Webhook subscriptions.
    Webhooks,
    /// Call statistics.
    Analytics,
}

/// Whether a scope reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// A right, printed as `numbers:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// About what.
    pub area: Area,
    /// To do what.
    pub access: Access,
}

impl Area {
    /// The areas with their names in a scope.
    pub const NAMES: [(Self, &'static str); 11] = [
        (Self::Numbers, "numbers"),
        (Self::Calls, "calls"),
        (Self::Endpoints, "endpoints"),
        (Self::Agents, "agents"),
        (Self::Providers, "providers"),
        (Self::Billing, "billing"),
        (Self::Keys, "api-keys"),
        (Self::Events, "events"),
        (Self::Organization, "organization"),
        (Self::Webhooks, "webhooks"),
        (Self::Analytics, "analytics"),
    ];
}

impl Scope {
    /// The right to read.
    pub const fn read(area: Area) -> Self {
        Self { area, access: Access::Read }
    }

    /// The right to write.
    pub const fn write(area: Area) -> Self {
        Self { area, access: Access::Write }
    }

    /// From `numbers:read`.
    pub fn parse(text: &str) -> Option<Self> {
        let (area, access) = text.split_once(':')?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return None,
        };
        Some(Self { area: crate::event::by_name(&Area::NAMES, area)?, access })
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(f, "{}:{access}", crate::event::name_of(&Area::NAMES, self.area))
    }
}

/// Whether a key acts on the real thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The real thing.
    Live,
    /// Numbers made with it are in the sandbox.
    Test,
}

impl Mode {
    /// The modes with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Live, "live"), (Self::Test, "test")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// The name of the API a key works in. A plain word here: which words there are is known to the dialects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DialectName(pub String);

/// The keyed hash of a key's secret: what is stored instead of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// An API key. Its secret is shown once, at creation, and never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// The organization it decides.
    pub organization_id: OrganizationId,
    /// A name for people.
    pub name: String,
    /// The one API it works in.
    pub dialect: DialectName,
    /// What its holder is.
    pub role: Role,
    /// If set, the only rights it has (within its role's).
    pub scopes: Option<Vec<Scope>>,
    /// Live or test.
    pub mode: Mode,
    /// The secret's first characters, to recognise it by.
    pub prefix: String,
    /// The secret's hash.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Counts changes from 1.
    pub version: u64,
}

/// What is asked for in a new key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyNew {
    /// A name for people.
    pub name: String,
    /// The one API it will work in.
    pub dialect: DialectName,
    /// What its holder is.
    pub role: Role,
    /// If set, its only rights.
    pub scopes: Option<Vec<Scope>>,
    /// Live or test.
    pub mode: Mode,
}

/// A key's secret and what is kept of it; made outside, since it needs randomness.
#[derive(Clone, Debug, PartialEq)]
pub struct Minted {
    /// The key's id.
    pub id: KeyId,
    /// The first characters of the secret.
    pub prefix: String,
    /// The secret's hash.
    pub hash: KeyHash,
}

impl Key {
    /// A new key of an organization.
    pub fn create(organization_id: OrganizationId, new: KeyNew, minted: Minted, now: Timestamp) -> Result<Self> {
        let KeyNew { name, dialect, role, scopes, mode } = new;
        let Minted { id, prefix, hash } = minted;
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid(What::Key, "scopes", "`scopes` must name at least one right, or be absent."));
        }
        let name = crate::agent::name(What::Key, &name)?;
        let revoked_at = None;
        Ok(Self { id, organization_id, name, dialect, role, scopes, mode, prefix, hash, created_at: now, revoked_at, version: 1 })
    }
}
