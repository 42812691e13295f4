//! Providers: SIP trunks and accounts at Twilio. Secrets go in and never come out.

use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::ProviderId;
use domain::op::{CredentialsIn, InboundIn, OutboundIn, Place, ProviderIn, Secret, TrunkQuery};
use domain::provider::{
    AddressRule, Credentials, Inbound, MediaEncryption, Outbound, Provider, ProviderKind,
};
use domain::target::Transport;
use domain::{Bag, E164, Op, Page, Patch};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::read::filled;
use super::wire::TwilioOut;
use crate::json::{self, Body, object, text};
use crate::openapi::one_of_words;
use crate::{Request, account};

/// The most providers of the list, whose contract has no pages.
const LIST_MAX: u32 = 1_000;
/// The longest user name or password, in bytes.
const SECRET_MAX: usize = 255;
const ENCRYPTION: &str = "`disabled`, `allowed` or `required`";

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
    let kind = match filled(request, "type") {
        None => None,
        Some("sip_trunk") => Some(ProviderKind::SipTrunk),
        Some("twilio") => Some(ProviderKind::Twilio),
        Some(_) => {
            return Err(Error::invalid(What::Request, "type", "`type` must be `twilio` or `sip_trunk`."));
        }
    };
    let account_id = filled(request, "account_sid").map(str::to_owned);
    Ok(Op::TrunkList(TrunkQuery { kind, account_id }, Page::first(LIST_MAX)))
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Provider)?.null_is_absent();
    let kind = kind(&mut body)?;
    if kind == ProviderKind::Twilio {
        let account = account::create(&mut body)?;
        let label = body.optional("label", "a text", text)?;
        let label = label.unwrap_or_else(|| format!("Twilio {}", account.id.as_deref().unwrap_or_default()));
        let new = ProviderIn { label: Some(label), account: Some(account), ..ProviderIn::default() };
        return Ok(Op::ProviderCreate(kind, new));
    }
    let label = Some(body.required("label", "a text", text)?);
    let inbound = side(&mut body, "inbound", |fields| inbound(fields, How::Create))?;
    let outbound = side(&mut body, "outbound", |fields| outbound(fields, How::Create))?;
    Ok(Op::ProviderCreate(kind, ProviderIn { label, inbound, outbound, ..ProviderIn::default() }))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::TrunkGet(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Provider)?;
    let kind = kind(&mut body)?;
    if kind == ProviderKind::Twilio {
        // The contract asks for both halves of a key.
        let account = account::update(&mut body)?.unwrap_or_default();
        let missing = |field| Error::missing(What::Provider, field);
        account.key_id.as_ref().ok_or_else(|| missing("api_key_sid"))?;
        account.key_secret.as_ref().ok_or_else(|| missing("api_key_secret"))?;
        let label = body.unclearable("label", "a text", text)?;
        let patch = ProviderIn { label, account: Some(account), ..ProviderIn::default() };
        return Ok(Op::TrunkUpdate(id, kind, patch));
    }
    let label = body.unclearable("label", "a text", text)?;
    let inbound = side(&mut body, "inbound", |fields| inbound(fields, How::Merge))?;
    let outbound = side(&mut body, "outbound", |fields| outbound(fields, How::Merge))?;
    Ok(Op::TrunkUpdate(id, kind, ProviderIn { label, inbound, outbound, ..ProviderIn::default() }))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::TrunkDelete(id(request)?))
}

fn kind(body: &mut Body) -> Result<ProviderKind> {
    let must = "`twilio` or `sip_trunk`";
    match body.required("type", must, text)?.as_str() {
        "sip_trunk" => Ok(ProviderKind::SipTrunk),
        "twilio" => Ok(ProviderKind::Twilio),
        _ => Err(body.invalid("type", must)),
    }
}

fn side<T>(body: &mut Body, field: &'static str, read: impl FnOnce(Bag) -> Result<T>) -> Result<Patch<T>> {
    let Some(fields) = body.unclearable(field, "an object", object)? else { return Ok(Patch::Keep) };
    within(field, read(fields)).map(Patch::Set)
}

/// Says what is wrong in an object within `field` with its place: `username` becomes `credentials.username`.
fn within<T>(field: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let words = error.public.replacen('`', &format!("`{field}."), 1);
        error.at(field).say(words)
    })
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
        allowed_hosts: None,
        media_encryption: encryption(&mut body)?,
        credentials: credentials(&mut body, how)?,
        certificate_names: None,
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
        ..OutboundIn::default()
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
    body.unclearable("media_encryption", ENCRYPTION, |value| MediaEncryption::parse(value.as_str()?))
}

fn credentials(body: &mut Body, how: How) -> Result<Patch<CredentialsIn>> {
    let fields = match body.patch("credentials", "an object with `username` and `password`", object)? {
        Patch::Keep => return Ok(Patch::Keep),
        Patch::Clear => return Ok(Patch::Clear),
        Patch::Set(fields) => fields,
    };
    within("credentials", named(of(fields, how), how)).map(Patch::Set)
}

fn named(mut fields: Body, how: How) -> Result<CredentialsIn> {
    let must = "a text of 1 to 255 characters";
    let visible = |value| {
        text(value).filter(|t| (1..=SECRET_MAX).contains(&t.len()) && !t.chars().any(char::is_control))
    };
    let username = fields.required("username", must, visible)?;
    let password = match how {
        How::Create => Some(fields.required("password", must, visible)?),
        How::Merge => fields.unclearable("password", must, visible)?,
    };
    Ok(CredentialsIn { username, password: password.map(Secret) })
}

/// A provider.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ProviderAccountResponse)]
pub(super) enum ProviderAccountOut {
    Twilio(TwilioOut),
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
    #[schema(schema_with = encryption_words)]
    media_encryption: &'static str,
}

/// Where calls out to the phone network go.
#[derive(Serialize, ToSchema)]
#[schema(as = SIPTrunkOutboundDetails)]
pub(super) struct OutboundOut {
    address: String,
    #[schema(schema_with = transport_words)]
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    destination_country: Option<String>,
    #[schema(schema_with = encryption_words)]
    media_encryption: &'static str,
    /// Empty where there are no credentials.
    auth_username: String,
}

/// `udp` is what a trunk made elsewhere may have.
fn transport_words() -> Object {
    one_of_words(&["udp", "tcp", "tls"], false)
}

fn encryption_words() -> Object {
    one_of_words(&["disabled", "allowed", "required"], false)
}

fn username(credentials: Option<Credentials>) -> String {
    credentials.map(|Credentials { username, password: _ }| username).unwrap_or_default()
}

impl From<Inbound> for InboundOut {
    fn from(inbound: Inbound) -> Self {
        let Inbound {
            allowed_addresses,
            allowed_hosts: _,
            allowed_numbers,
            media_encryption,
            credentials,
            certificate_names: _,
        } = inbound;
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
        let Outbound {
            address,
            transport,
            destination_country,
            media_encryption,
            credentials,
            dial: _,
            emergency: _,
            calls_per_second: _,
            priority: _,
        } = outbound;
        Self {
            address,
            transport: transport.as_str(),
            destination_country: destination_country.map(|country| country.as_str().to_owned()),
            media_encryption: media_encryption.as_str(),
            auth_username: username(credentials),
        }
    }
}

impl ProviderAccountOut {
    /// As a version shows it.
    pub(super) fn of(provider: Provider, newer: bool) -> Self {
        let mut out = Self::from(provider);
        if let Self::Twilio(account) = &mut out {
            account.seen(newer);
        }
        out
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
            register: _,
            account,
            calls_max: _,
            created_at: _,
            updated_at: _,
            version: _,
        } = provider;
        if let Some(account) = account {
            return Self::Twilio(TwilioOut::of(id, label, account.brief()));
        }
        Self::SipTrunk {
            id: id.to_string(),
            label: Some(label),
            inbound: inbound.map(InboundOut::from),
            outbound: outbound.map(OutboundOut::from),
        }
    }
}
