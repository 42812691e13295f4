//! Neo's API keys: made and replaced by people who have signed in. A key's secret is shown once, in the answer that makes it.

use domain::error::{Error, Result, What};
use domain::ids::KeyId;
use domain::key::{DialectName, KeyNew, Mode, Role};
use domain::op::Secret;
use domain::{Key, Op, Timestamp};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::error::limited;
use super::wire::MetaOut;
use crate::json::{self, time};
use crate::{Context, Reply, Request};

const NAME: &str = "a text of 1 to 200 characters";
const NAME_MAX: usize = 200;
const TIME: &str = "a time such as `2030-01-31T12:00:00Z`, or null for a key that does not end";

fn dialect() -> DialectName {
    DialectName("neo".to_owned())
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    request.caller.require_person()?;
    let mut body = json::body(request.body, What::Key)?;
    let name = |value: Value| json::text(value).filter(|name| (1..=NAME_MAX).contains(&name.chars().count()));
    let moment = |value: Value| value.as_str()?.parse::<Timestamp>().ok();
    let new = KeyNew {
        name: body.required("name", NAME, name)?,
        dialect: dialect(),
        // The vendor's keys carry their tenant's access and know no roles; what is a person's alone stays closed to them.
        role: Role::Member,
        scopes: None,
        mode: Mode::Live,
        allowed_addresses: Vec::new(),
        expires_at: body.optional("expires_at", TIME, moment)?,
    };
    Ok(Op::KeyCreate(request.caller.organization()?, new))
}

pub(super) fn rotate(request: &Request<'_>) -> Result<Op> {
    request.caller.require_person()?;
    let key = KeyId::parse(request.param("key_id")).ok_or_else(|| Error::not_found(What::Key))?;
    Ok(Op::KeyRotate(request.caller.organization()?, dialect(), key))
}

/// A new API key.
#[derive(ToSchema)]
#[schema(as = CreateApiKeyRequest)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct KeyIn {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Null or absent: it does not end.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// A new key in its envelope.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyResponse)]
pub(super) struct KeyCreatedOut {
    data: KeyOut,
    meta: MetaOut,
}

/// A new key with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyWithSecret)]
struct KeyOut {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    key: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(required = true, format = "date-time")]
    expires_at: Option<String>,
}

pub(super) fn reply(status: StatusCode, key: &Key, secret: Secret, context: &Context) -> Reply {
    let data = KeyOut {
        id: key.id.to_string(),
        name: key.name.clone(),
        key: secret.0,
        created_at: time(key.created_at),
        expires_at: key.expires_at.map(time),
    };
    let body = KeyCreatedOut { data, meta: MetaOut::new(context, None) };
    limited(Reply::json(status, &body).with("cache-control", "no-store"), context)
}
