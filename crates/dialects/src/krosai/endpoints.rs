//! KrosAI's endpoints: the places that numbers point at, in nine types. Generation A of the vendor's pages.

use domain::endpoint::{EndpointKind, EndpointPatch, EndpointStatus};
use domain::error::{Error, Result, What};
use domain::ids::{EndpointId, NumberId};
use domain::{Bag, Endpoint, Op, Page, Start};
use serde::Serialize;
use utoipa::ToSchema;

use super::read::{UUID, either, set, unclearable};
use crate::Request;
use crate::json::{self, Body, object, text, time};

/// How many rows a list has where the request does not say, and the most: the vendor's documents page no list of endpoints or
/// keys, so a whole one comes at once where it can.
const LIMIT: u32 = 100;
/// The longest name, in characters.
const NAME_MAX: usize = 100;
/// The types with their kinds. Plain SIP of other APIs shows as `custom_sip`.
const TYPES: [(&str, EndpointKind); 9] = [
    ("webhook", EndpointKind::Webhook),
    ("agent", EndpointKind::Agent),
    ("vapi", EndpointKind::Vapi),
    ("retell", EndpointKind::Retell),
    ("livekit", EndpointKind::LiveKit),
    ("elevenlabs", EndpointKind::ElevenLabs),
    ("vogent", EndpointKind::Vogent),
    ("custom_sip", EndpointKind::CustomSip),
    ("direct_sip", EndpointKind::DirectSip),
];
const TYPE: &str = "one of `webhook`, `agent`, `vapi`, `retell`, `livekit`, `elevenlabs`, `vogent`, `custom_sip`, `direct_sip`";

fn id(request: &Request<'_>) -> Result<EndpointId> {
    EndpointId::parse(request.param("endpoint_id")).ok_or_else(|| Error::not_found(What::Endpoint))
}

/// A page by `limit` and `offset`, for the lists that the vendor shows whole.
pub(super) fn whole_page<K>(request: &Request<'_>) -> Result<Page<K>> {
    let limit = request.whole("limit", 1..=LIMIT)?.unwrap_or(LIMIT);
    let start = match request.whole("offset", 0..=u32::MAX)? {
        None | Some(0) => Start::First,
        Some(rows) => Start::Offset(rows),
    };
    Ok(Page { limit, start })
}

fn named(body: &mut Body) -> Result<Option<String>> {
    let must = format!("a text of 1 to {NAME_MAX} characters");
    body.unclearable("name", &must, |value| {
        text(value).filter(|name| name.trim().chars().count() <= NAME_MAX)
    })
}

fn patch(body: &mut Body) -> Result<EndpointPatch> {
    let status =
        body.unclearable("status", "`active` or `inactive`", |value| EndpointStatus::parse(value.as_str()?))?;
    let config = unclearable(body, ["provider_config", "providerConfig"], "an object", object)?;
    Ok(EndpointPatch {
        name: named(body)?,
        url: body.patch("url", "a text", text)?,
        status,
        config,
        ..EndpointPatch::default()
    })
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointList(whole_page(request)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointGet(id(request)?))
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Endpoint)?.null_is_absent();
    let kind = |name: &str| TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let new = patch(&mut body)?;
    if new.name.is_none() {
        return Err(Error::missing(What::Endpoint, "name"));
    }
    let new =
        EndpointPatch { kind: Some(body.required("type", TYPE, |value| kind(value.as_str()?))?), ..new };
    let number =
        either(&mut body, ["phone_number_id", "phoneNumberId"], UUID, |v| NumberId::parse(v.as_str()?))?;
    Ok(match set(number) {
        Some(number) => Op::EndpointCreateFor(new, number),
        None => Op::EndpointCreate(new),
    })
}

/// The type stays: it is not among the fields that the vendor lets change, and is passed over.
pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let patch = patch(&mut json::body(request.body, What::Endpoint)?)?;
    Ok(Op::EndpointUpdate(id, patch, None))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointDelete(id(request)?, None))
}

/// The types of endpoints.
#[derive(Serialize, ToSchema)]
#[schema(as = EndpointType)]
#[serde(rename_all = "snake_case")]
pub(super) enum TypeOut {
    Webhook,
    Agent,
    Vapi,
    Retell,
    #[serde(rename = "livekit")]
    LiveKit,
    #[serde(rename = "elevenlabs")]
    ElevenLabs,
    Vogent,
    CustomSip,
    DirectSip,
}

/// The states of endpoints. The vendor's `error` is not among ours.
#[derive(Serialize, ToSchema)]
#[schema(as = EndpointStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusOut {
    Active,
    Inactive,
}

/// A place that answers calls.
#[derive(Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(super) struct EndpointOut {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    r#type: TypeOut,
    /// Its own address, else the SIP address made of `provider_config`.
    #[schema(required = true)]
    url: Option<String>,
    status: StatusOut,
    #[schema(value_type = Object)]
    provider_config: Bag,
    #[schema(format = "uuid")]
    organization_id: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
}

/// A new endpoint. `url` is required for `webhook` and `custom_sip`; platforms need their ids in `provider_config`.
#[derive(ToSchema)]
#[schema(as = EndpointCreate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct EndpointIn {
    #[schema(max_length = 100)]
    name: String,
    r#type: TypeOut,
    #[schema(nullable = false)]
    url: Option<String>,
    #[schema(nullable = false)]
    status: Option<StatusOut>,
    #[schema(value_type = Object, nullable = false)]
    provider_config: Option<Bag>,
    /// A number to point here.
    #[schema(format = "uuid", nullable = false)]
    phone_number_id: Option<String>,
}

/// A change: what is absent stays.
#[derive(ToSchema)]
#[schema(as = EndpointUpdate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct EndpointPatchIn {
    #[schema(max_length = 100, nullable = false)]
    name: Option<String>,
    /// Null gives way to the address made of `provider_config`.
    url: Option<String>,
    #[schema(nullable = false)]
    status: Option<StatusOut>,
    /// Takes the place of the whole.
    #[schema(value_type = Object, nullable = false)]
    provider_config: Option<Bag>,
}

impl From<EndpointKind> for TypeOut {
    fn from(kind: EndpointKind) -> Self {
        match kind {
            EndpointKind::Webhook => Self::Webhook,
            EndpointKind::Agent => Self::Agent,
            EndpointKind::Vapi => Self::Vapi,
            EndpointKind::Retell => Self::Retell,
            EndpointKind::LiveKit => Self::LiveKit,
            EndpointKind::ElevenLabs => Self::ElevenLabs,
            EndpointKind::Vogent => Self::Vogent,
            EndpointKind::CustomSip
            | EndpointKind::Sip
            | EndpointKind::OpenAi
            | EndpointKind::AzureOpenAi
            | EndpointKind::XAi
            | EndpointKind::Bland => Self::CustomSip,
            EndpointKind::DirectSip => Self::DirectSip,
        }
    }
}

impl From<&Endpoint> for EndpointOut {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            name: endpoint.name.clone(),
            r#type: endpoint.kind.into(),
            url: endpoint.url.as_deref().or_else(|| endpoint.sip_url()).map(str::to_owned),
            status: match endpoint.status {
                EndpointStatus::Active => StatusOut::Active,
                EndpointStatus::Inactive => StatusOut::Inactive,
            },
            provider_config: endpoint.config.clone(),
            organization_id: endpoint.organization_id.to_string(),
            created_at: time(endpoint.created_at),
            updated_at: time(endpoint.updated_at),
        }
    }
}
