//! Who asks: a secret becomes a caller, by memory alone; a token of an identity provider by [`crate::identity`].

use dialects::{Context, Dialect};
use domain::ids::OrganizationId;
use domain::key::KeyHash;
use domain::{Caller, Error, Kind, Result, What};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::clock;
use crate::identity::Identity;

/// The header by which a caller names an organization.
const ORGANIZATION: &str = "x-organization-id";
/// The longest secret that is looked at, in bytes.
const SECRET_MAX: usize = 512;

/// The hash of the operator's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdminKey(pub(crate) KeyHash);

/// Knows the operator's key, and who vouches for people.
pub(super) struct Admission {
    admin: AdminKey,
    identity: Identity,
}

impl Admission {
    pub(super) fn new(admin: AdminKey, identity: Identity) -> Self {
        Self { admin, identity }
    }

    /// The caller of a request. A key works only in its own dialect; the operator's only in the native one.
    /// `from` is the connection's other end: a header that names another address is nobody's word.
    pub(super) async fn caller(
        &self,
        app: &App,
        dialect: &'static dyn Dialect,
        context: &Context,
        from: Option<IpAddr>,
    ) -> Result<Caller> {
        let missing = || Error::new(Kind::Unauthenticated, What::Key, "An API key is required.");
        let secret = dialect.credential(&context.headers)?.ok_or_else(missing)?;
        let unknown = || Error::new(Kind::Unauthenticated, What::Key, "The API key is not valid here.");
        // A token comes as the vendors' clients send it, behind `Bearer`.
        let is_token = self.identity.takes(dialect.name(), &secret)
            && dialects::bearer(&context.headers).as_ref() == Some(&secret);
        if secret.is_empty() || (secret.len() > SECRET_MAX && !is_token) {
            return Err(unknown());
        }
        let named = named_organization(context)?;
        let hash = app.vault.key_hash(&secret);
        if bool::from(hash.0.ct_eq(&self.admin.0.0)) {
            return if dialect.name() == dialects::native::Native.name() {
                Ok(Caller::operator(named))
            } else {
                Err(unknown())
            };
        }
        if is_token {
            let is_there = |id| app.live.has_organization(id);
            return self.identity.caller(dialect.name(), (&secret, hash), named, is_there).await;
        }
        // The map is keyed by a keyed hash of the secret: what a timing could tell is nothing one can compute.
        let key = app.live.key(&hash).filter(|key| key.dialect.0 == dialect.name()).ok_or_else(unknown)?;
        if named.is_some_and(|id| id != key.organization_id) {
            return Err(Error::forbidden("`x-organization-id` names another organization than the key's."));
        }
        let now = clock::now();
        key.admits(from, now)?;
        app.uses.note(key.organization_id, key.id, now);
        Ok(Caller {
            actor: domain::caller::Actor::Key(key.id),
            organization_id: Some(key.organization_id),
            role: key.role,
            scopes: key.scopes.clone(),
            mode: key.mode,
        })
    }
}

fn named_organization(context: &Context) -> Result<Option<OrganizationId>> {
    let Some(value) = context.headers.get(ORGANIZATION) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| OrganizationId::parse(text.trim()));
    let words = "`x-organization-id` must be a UUID.";
    id.map(Some).ok_or_else(|| Error::new(Kind::Malformed, What::Organization, words).at("x-organization-id"))
}
