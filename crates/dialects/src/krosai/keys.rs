//! KrosAI's API keys: made and shown once, listed by their first characters, revoked. Only keys of this API are seen here.

use domain::error::{Error, Result, What};
use domain::ids::{KeyId, OrganizationId};
use domain::key::{Area, DialectName, KeyNew, KeyUsage, Scope};
use domain::op::Secret;
use domain::provider::AddressRule;
use domain::{Caller, Key, Op, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::endpoints::whole_page;
use super::read::{either, set};
use crate::Request;
use crate::json::{self, text, time};

/// The rights that the vendor names; the service has more, which no key of this API can be given.
const SCOPES: [Scope; 13] = [
    Scope::read(Area::Calls),
    Scope::write(Area::Calls),
    Scope::read(Area::Numbers),
    Scope::write(Area::Numbers),
    Scope::read(Area::Endpoints),
    Scope::write(Area::Endpoints),
    Scope::read(Area::Webhooks),
    Scope::write(Area::Webhooks),
    Scope::read(Area::Analytics),
    Scope::read(Area::Billing),
    Scope::write(Area::Billing),
    Scope::read(Area::Keys),
    Scope::write(Area::Keys),
];
const ADDRESSES: &str = "a list of IP addresses or ranges, such as `192.0.2.7` or `192.0.2.0/24`";
const TIME: &str = "a time such as `2030-01-31T12:00:00Z`";

fn dialect() -> DialectName {
    DialectName("krosai".to_owned())
}

fn place(request: &Request<'_>) -> Result<(OrganizationId, KeyId)> {
    let id = KeyId::parse(request.param("key_id")).ok_or_else(|| Error::not_found(What::Key))?;
    Ok((request.caller.organization()?, id))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::KeyUseList(request.caller.organization()?, dialect(), whole_page(request)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    let (organization, id) = place(request)?;
    Ok(Op::KeyUseGet(organization, dialect(), id))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    let (organization, id) = place(request)?;
    Ok(Op::KeyUseDelete(organization, dialect(), id))
}

/// A key has its maker's role and mode: the vendor's keys know neither.
pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Key)?;
    let must = format!("a list of rights among {}", SCOPES.map(|scope| format!("`{scope}`")).join(", "));
    let scope = |value: &Value| Scope::parse(value.as_str()?).filter(|scope| SCOPES.contains(scope));
    let addresses = |value: Value| -> Option<Vec<AddressRule>> {
        value.as_array()?.iter().map(|entry| AddressRule::parse(entry.as_str()?)).collect()
    };
    let moment = |value: Value| value.as_str()?.parse::<Timestamp>().ok();
    let new = KeyNew {
        name: body.required("name", "a text", text)?,
        dialect: dialect(),
        role: request.caller.role,
        scopes: body.optional("scopes", &must, |value| value.as_array()?.iter().map(scope).collect())?,
        mode: request.caller.mode,
        allowed_addresses: set(either(&mut body, ["allowed_ips", "allowedIps"], ADDRESSES, addresses)?)
            .unwrap_or_default(),
        expires_at: set(either(&mut body, ["expires_at", "expiresAt"], TIME, moment)?),
    };
    Ok(Op::KeyCreate(request.caller.organization()?, new))
}

/// An API key without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct KeyOut {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    /// The first characters, to recognise it by.
    key_prefix: String,
    scopes: Vec<String>,
    allowed_ips: Vec<String>,
    requests_24h: u64,
    requests_30d: u64,
    #[schema(required = true, format = "date-time")]
    expires_at: Option<String>,
    #[schema(required = true, format = "date-time")]
    last_used_at: Option<String>,
    #[schema(required = true, format = "date-time")]
    revoked_at: Option<String>,
    #[schema(format = "uuid")]
    organization_id: String,
    #[schema(format = "date-time")]
    created_at: String,
}

/// A new API key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyCreated)]
pub(super) struct KeyCreatedOut {
    key: String,
    #[serde(flatten)]
    rest: KeyOut,
}

/// A new API key. What is absent is as narrow as the key that makes it.
#[derive(ToSchema)]
#[schema(as = ApiKeyCreate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct KeyIn {
    name: String,
    #[schema(nullable = false)]
    scopes: Option<Vec<String>>,
    /// Addresses and ranges that it may be used from.
    #[schema(nullable = false)]
    allowed_ips: Option<Vec<String>>,
    #[schema(nullable = false, format = "date-time")]
    expires_at: Option<String>,
}

impl KeyOut {
    pub(super) fn new(key: &Key, usage: &KeyUsage) -> Self {
        let Key { role, scopes, mode, organization_id, .. } = key;
        let actor = domain::caller::Actor::Key(key.id);
        let holder = Caller {
            actor,
            organization_id: Some(*organization_id),
            role: *role,
            scopes: scopes.clone(),
            mode: *mode,
        };
        let KeyUsage { last_used_at, requests_day, requests_month } = usage;
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            key_prefix: key.prefix.clone(),
            scopes: SCOPES.iter().filter(|scope| holder.may(**scope)).map(Scope::to_string).collect(),
            allowed_ips: key.allowed_addresses.iter().map(AddressRule::to_string).collect(),
            requests_24h: *requests_day,
            requests_30d: *requests_month,
            expires_at: key.expires_at.map(time),
            last_used_at: last_used_at.map(time),
            revoked_at: key.revoked_at.map(time),
            organization_id: organization_id.to_string(),
            created_at: time(key.created_at),
        }
    }
}

impl KeyCreatedOut {
    pub(super) fn new(key: &Key, secret: Secret) -> Self {
        Self { key: secret.0, rest: KeyOut::new(key, &KeyUsage::default()) }
    }
}
