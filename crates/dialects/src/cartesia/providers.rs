//! Providers: SIP trunks. Passwords go in and never come out.

use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::ProviderId;
use domain::op::{CredentialsIn, InboundIn, OutboundIn, Place, ProviderIn, Secret};
use domain::provider::{
    AddressRule, Credentials, Inbound, MediaEncryption, Outbound, Provider, ProviderKind,
};
use domain::target::Transport;
use domain::{Bag, E164, Op, Page, Patch};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::read::filled;
use crate::Request;
use crate::json::{self, Body, object, text};

/// The most providers of the list, whose contract has no pages.
const LIST_MAX: u32 = 1_000;
/// The longest user name or password, in bytes.
const SECRET_MAX: usize = 255;
const ENCRYPTION: &str = "`disabled` or `allowed`";
const TWILIO: &str = "Twilio accounts are not supported yet; `type` must be `sip_trunk`.";

/// Whether a request makes a thing or changes one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Create,
    Merge,
}

fn id(request: &Request<'_>) -> Result<ProviderId> {
    ProviderId::parse(request.param("id")).ok_or_else(|| Error::not_found(What::Provider))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let wanted = match filled(request, "type") {
        None | Some("sip_trunk") => LIST_MAX,
        // A kind of the contract that no provider here is of.
        Some("twilio") => 0,
        Some(_) => {
            return Err(Error::invalid(What::Request, "type", "`type` must be `twilio` or `sip_trunk`."));
        }
    };
    // Only Twilio's providers have an account.
    let limit = if filled(request, "account_sid").is_some() { 0 } else { wanted };
    Ok(Op::TrunkList(Page::first(limit)))
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Provider)?.null_is_absent();
    kind(&mut body)?;
    let label = Some(body.required("label", "a text", text)?);
    let inbound = side(&mut body, "inbound", |fields| inbound(fields, How::Create))?;
    let outbound = side(&mut body, "outbound", |fields| outbound(fields, How::Create))?;
    Ok(Op::ProviderCreate(ProviderKind::SipTrunk, ProviderIn { label, inbound, outbound }))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::TrunkGet(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Provider)?;
    kind(&mut body)?;
    let label = body.unclearable("label", "a text", text)?;
    let inbound = side(&mut body, "inbound", |fields| inbound(fields, How::Merge))?;
    let outbound = side(&mut body, "outbound", |fields| outbound(fields, How::Merge))?;
    Ok(Op::TrunkUpdate(id, ProviderIn { label, inbound, outbound }))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::TrunkDelete(id(request)?))
}

fn kind(body: &mut Body) -> Result<()> {
    match body.required("type", "`sip_trunk`", text)?.as_str() {
        "sip_trunk" => Ok(()),
        "twilio" => Err(Error::invalid(What::Provider, "type", TWILIO)),
        _ => Err(body.invalid("type", "`sip_trunk`")),
    }
}

fn side<T>(body: &mut Body, field: &'static str, read: impl FnOnce(Bag) -> Result<T>) -> Result<Patch<T>> {
    let Some(fields) = body.unclearable(field, "an object", object)? else { return Ok(Patch::Keep) };
    // What is wrong within is said with its place.
    let placed = |error: Error| {
        let words = error.public.replacen('`', &format!("`{field}."), 1);
        error.at(field).say(words)
    };
    read(fields).map(Patch::Set).map_err(placed)
}

fn inbound(fields: Bag, how: How) -> Result<InboundIn> {
    let mut body = of(fields, how);
    Ok(InboundIn {
        allowed_addresses: body.unclearable(
            "allowed_addresses",
            "a list of IP addresses and ranges, such as 192.0.2.0/24, and none of everything",
            |value| each(value, AddressRule::parse),
        )?,
        allowed_numbers: body.unclearable(
            "allowed_numbers",
            "a list of phone numbers in E.164 form, such as +12125550100",
            |value| each(value, |text| E164::parse(text).ok().map(|(number, _)| number)),
        )?,
        media_encryption: encryption(&mut body)?,
        credentials: credentials(&mut body, how)?,
    })
}

fn outbound(fields: Bag, how: How) -> Result<OutboundIn> {
    let mut body = of(fields, how);
    let transport = |value: Value| match value.as_str()? {
        "tcp" => Some(Transport::Tcp),
        "tls" => Some(Transport::Tls),
        _ => None,
    };
    let country = |value: Value| {
        let country = value.as_str().filter(|text| text.len() == 2).and_then(Country::parse);
        country.filter(|country| country.calling_code().is_some())
    };
    Ok(OutboundIn {
        address: body.unclearable("address", "a host or host:port", text)?,
        transport: body.unclearable("transport", "`tcp` or `tls`", transport)?,
        place: Place::Fixed,
        destination_country: body.patch("destination_country", "the two letters of a country", country)?,
        media_encryption: encryption(&mut body)?,
        credentials: credentials(&mut body, how)?,
    })
}

fn of(fields: Bag, how: How) -> Body {
    let body = Body::of(fields, What::Provider);
    if how == How::Create { body.null_is_absent() } else { body }
}

fn each<T>(value: Value, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let Value::Array(items) = value else { return None };
    items.iter().map(|item| item.as_str().and_then(&read)).collect()
}

fn encryption(body: &mut Body) -> Result<Option<MediaEncryption>> {
    let word = body.unclearable("media_encryption", ENCRYPTION, text)?;
    let read = |word: String| match word.as_str() {
        "required" => {
            let words = "`media_encryption`: `required` cannot be kept here, since sound does not pass through this service; \
                         use `allowed`.";
            Err(Error::invalid(What::Provider, "media_encryption", words))
        }
        word => MediaEncryption::parse(word).ok_or_else(|| body.invalid("media_encryption", ENCRYPTION)),
    };
    word.map(read).transpose()
}

fn credentials(body: &mut Body, how: How) -> Result<Patch<CredentialsIn>> {
    let fields = match body.patch("credentials", "an object with `username` and `password`", object)? {
        Patch::Keep => return Ok(Patch::Keep),
        Patch::Clear => return Ok(Patch::Clear),
        Patch::Set(fields) => fields,
    };
    let mut fields = of(fields, how);
    let must = "a text of 1 to 255 characters";
    let visible = |value| {
        text(value).filter(|t| (1..=SECRET_MAX).contains(&t.len()) && !t.chars().any(char::is_control))
    };
    let username = fields.required("username", must, visible)?;
    let password = match how {
        How::Create => Some(fields.required("password", must, visible)?),
        How::Merge => fields.unclearable("password", must, visible)?,
    };
    Ok(Patch::Set(CredentialsIn { username, password: password.map(Secret) }))
}

/// A provider.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ProviderAccountResponse)]
pub(super) enum ProviderAccountOut {
    SipTrunk {
        id: String,
        label: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        inbound: Option<InboundOut>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        outbound: Option<OutboundOut>,
    },
}

/// What may come in from a trunk.
#[derive(Serialize, ToSchema)]
#[schema(as = SIPTrunkInboundDetails)]
pub(super) struct InboundOut {
    allowed_addresses: Vec<String>,
    /// The only callers; empty: all.
    allowed_numbers: Vec<String>,
    /// Empty where there are no credentials.
    auth_username: String,
    media_encryption: &'static str,
}

/// Where calls out to the phone network go.
#[derive(Serialize, ToSchema)]
#[schema(as = SIPTrunkOutboundDetails)]
pub(super) struct OutboundOut {
    address: String,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    destination_country: Option<String>,
    media_encryption: &'static str,
    /// Empty where there are no credentials.
    auth_username: String,
}

fn username(credentials: Option<Credentials>) -> String {
    credentials.map(|Credentials { username, password: _ }| username).unwrap_or_default()
}

impl From<Inbound> for InboundOut {
    fn from(inbound: Inbound) -> Self {
        let Inbound { allowed_addresses, allowed_numbers, media_encryption, credentials } = inbound;
        Self {
            allowed_addresses: allowed_addresses.iter().map(AddressRule::to_string).collect(),
            allowed_numbers: allowed_numbers.iter().map(E164::to_string).collect(),
            auth_username: username(credentials),
            media_encryption: media_encryption.as_str(),
        }
    }
}

impl From<Outbound> for OutboundOut {
    fn from(outbound: Outbound) -> Self {
        let Outbound { address, transport, destination_country, media_encryption, credentials } = outbound;
        Self {
            address,
            transport: transport.as_str(),
            destination_country: destination_country.map(|country| country.as_str().to_owned()),
            media_encryption: media_encryption.as_str(),
            auth_username: username(credentials),
        }
    }
}

impl From<Provider> for ProviderAccountOut {
    fn from(provider: Provider) -> Self {
        let Provider {
            id,
            organization_id: _,
            kind: _,
            label,
            inbound,
            outbound,
            created_at: _,
            updated_at: _,
            version: _,
        } = provider;
        Self::SipTrunk {
            id: id.to_string(),
            label: Some(label),
            inbound: inbound.map(InboundOut::from),
            outbound: outbound.map(OutboundOut::from),
        }
    }
}
