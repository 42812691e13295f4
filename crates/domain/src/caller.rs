//! Who asks, and what they may do.

use crate::error::{Error, Result, What};
use crate::ids::{KeyId, OrganizationId};
use crate::key::{Access, Area, Key, Mode, Role, Scope};
use crate::number::Environment;
use std::sync::Arc;

/// A person who signed in elsewhere, as a token of an identity provider names them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Person(Arc<(String, String)>);

impl Person {
    /// The longest issuer and the longest subject, in characters (`OpenID` Connect Core 1.0, section 2, bounds the subject so).
    pub const PART_MAX: usize = 255;

    /// A person by issuer and subject; none where either is empty, too long, or holds what does not belong into a log.
    pub fn new(issuer: &str, subject: &str) -> Option<Self> {
        let plain = |text: &str| {
            !text.is_empty() && text.chars().count() <= Self::PART_MAX && !text.chars().any(char::is_control)
        };
        let whole = plain(issuer) && !issuer.contains(' ') && plain(subject);
        whole.then(|| Self(Arc::new((issuer.to_owned(), subject.to_owned()))))
    }

    /// Who vouches for the person: the token's `iss`. Holds no space.
    pub fn issuer(&self) -> &str {
        &self.0.0
    }

    /// Who it is, in the issuer's words: the token's `sub`.
    pub fn subject(&self) -> &str {
        &self.0.1
    }
}

/// A person's name reaches the audit log, not the service's own log.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person(… of {})", self.issuer())
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operator, by the admin key.
    Operator,
    /// The holder of an API key.
    Key(KeyId),
    /// A person who signed in, by a token.
    Person(Person),
    /// The service itself (metering, timers).
    Service,
}

/// The authenticated caller of one request: tenant and rights.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Who acts.
    pub actor: Actor,
    /// The tenant. The operator may act without one.
    pub organization_id: Option<OrganizationId>,
    /// The role.
    pub role: Role,
    /// If set, the only rights.
    pub scopes: Option<Vec<Scope>>,
    /// Live or test.
    pub mode: Mode,
}

impl Caller {
    /// The operator, acting for `organization_id` if one is named.
    pub fn operator(organization_id: Option<OrganizationId>) -> Self {
        Self { actor: Actor::Operator, organization_id, role: Role::Owner, scopes: None, mode: Mode::Live }
    }

    /// Whether this is the operator.
    pub fn is_operator(&self) -> bool {
        self.actor == Actor::Operator
    }

    /// The tenant; an error that says what to send where the operator named none.
    pub fn organization(&self) -> Result<OrganizationId> {
        self.organization_id.ok_or_else(|| {
            let words = "Name the organization with the header `x-organization-id`.";
            Error::missing(What::Organization, "x-organization-id").say(words)
        })
    }

    /// Whether role and scopes hold a right.
    pub fn may(&self, scope: Scope) -> bool {
        let by_role = match (scope.access, self.role) {
            (Access::Read, _) | (Access::Write, Role::Owner | Role::Admin) => true,
            (Access::Write, Role::Member) => {
                !matches!(scope.area, Area::Keys | Area::Billing | Area::Organization)
            }
            (Access::Write, Role::Viewer) => false,
        };
        // A right to write includes the right to read what is written.
        let by_scope = self.scopes.as_ref().is_none_or(|held| {
            held.contains(&scope)
                || (scope.access == Access::Read && held.contains(&Scope::write(scope.area)))
        });
        by_role && by_scope
    }

    /// The same as an error.
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.may(scope) {
            Ok(())
        } else {
            let holder = if matches!(self.actor, Actor::Person(_)) { "Your role" } else { "This key" };
            Err(Error::forbidden(format!("{holder} lacks the right `{scope}`.")))
        }
    }

    /// What only a person of the tenant may do, never a key: whoever finds a key must not be able to outlive it.
    pub fn require_person(&self) -> Result<()> {
        match self.actor {
            Actor::Person(_) if self.role >= Role::Admin => Ok(()),
            Actor::Person(_) => Err(Error::forbidden("Only an owner or an admin may do this.")),
            Actor::Key(_) | Actor::Operator | Actor::Service => {
                Err(Error::forbidden("Only an admin who has signed in may do this; an API key may not."))
            }
        }
    }

    /// Whether this caller may revoke a key: nobody locks out those above.
    pub fn check_revoke(&self, key: &Key) -> Result<()> {
        if key.role > self.role {
            return Err(Error::forbidden("A key cannot revoke one with a higher role than its own."));
        }
        Ok(())
    }

    /// What only the operator may do.
    pub fn require_operator(&self) -> Result<()> {
        if self.is_operator() {
            Ok(())
        } else {
            Err(Error::forbidden("Only the operator's admin key may do this."))
        }
    }

    /// Whether SIP passwords are shown: to owners and admins whose key may read numbers.
    pub fn sees_passwords(&self) -> bool {
        self.role >= Role::Admin
    }

    /// Whether webhooks' secrets are shown: to owners and admins who may write webhooks.
    pub fn sees_webhook_secrets(&self) -> bool {
        self.sees_passwords() && self.may(Scope::write(Area::Webhooks))
    }

    /// The environment of what this caller makes without naming one.
    pub fn environment(&self) -> Environment {
        match self.mode {
            Mode::Live => Environment::Live,
            Mode::Test => Environment::Sandbox,
        }
    }
}
