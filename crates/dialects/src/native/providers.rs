//! Providers: how a number reaches the phone network. Passwords go in and never come out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::page::page;
use super::read::{self, expect, path_id};
use super::reply::{id_or_null, time};
use super::words::{self, one_of};
use crate::json::{self, Body, boolean, object, text, whole};
use crate::{Request, account};
use domain::carrier_account::AccountBrief;
use domain::e164::Country;
use domain::error::{Error, Result, What};
use domain::ids::ProviderId;
use domain::op::{CredentialsIn, InboundIn, OutboundIn, Place, ProviderIn, RegisterIn, Secret};
use domain::provider::{
    AddressRule, Credentials, DialForm, FromForm, HostName, Inbound, MediaEncryption, NumberFormat, Outbound,
    Provider, ProviderKind, Register,
};
use domain::rules::json as rules_json;
use domain::target::Transport;
use domain::{Bag, CarrierAccount, E164, Op, Patch};

fn id(request: &Request<'_>) -> Result<ProviderId> {
    path_id(request, What::Provider, ProviderId::parse)
}

/// Says what is wrong in an object within `field` with its place: `username` becomes `credentials.username`.
fn within<T>(field: &'static str, result: Result<T>) -> Result<T> {
    result.map_err(|error| {
        let words = error.public.replacen('`', &format!("`{field}."), 1);
        error.at(field).say(words)
    })
}

/// Digest credentials on their way in.
pub(super) fn credentials(outer: &mut Body, what: What) -> Result<Patch<CredentialsIn>> {
    let fields = outer.patch("credentials", "an object with `username` and `password`, or null", object)?;
    let read = |fields: Bag| {
        let mut body = Body::of(fields, what);
        let visible = |value: Value| {
            text(value).filter(|t| (1..=255).contains(&t.len()) && !t.chars().any(char::is_control))
        };
        let username = body.required("username", "a text of 1 to 255 characters", visible)?;
        let password = body.required("password", "a text of 1 to 255 characters", visible)?;
        body.close()?;
        Ok(CredentialsIn { username, password: Some(Secret(password)) })
    };
    Ok(match fields {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(fields) => Patch::Set(within("credentials", read(fields))?),
    })
}

const SOURCES: &str = "a list of IP addresses, ranges or host names, such as `192.0.2.7`, `192.0.2.0/24` or `sip.carrier.example`";

/// Addresses and ranges, and hosts.
fn sources(value: Value) -> Option<(Vec<AddressRule>, Vec<HostName>)> {
    let (mut rules, mut hosts) = (Vec::new(), Vec::new());
    for entry in read::array(value)? {
        let text = entry.as_str()?;
        match AddressRule::parse(text) {
            Some(rule) => rules.push(rule),
            None => hosts.push(HostName::parse(text)?),
        }
    }
    Some((rules, hosts))
}

const CALLERS: &str = "a list of phone numbers in E.164 form, such as +12125550100";

fn callers(value: Value) -> Option<Vec<E164>> {
    let Value::Array(items) = value else { return None };
    let read = |item| text(item).and_then(|number| E164::parse(&number).ok()).map(|(number, _)| number);
    items.into_iter().map(read).collect()
}

fn inbound(fields: Bag) -> Result<InboundIn> {
    let mut body = Body::of(fields, What::Provider);
    let sources = body.required("allowed_addresses", SOURCES, sources)?;
    let read = InboundIn {
        allowed_addresses: Some(sources.0),
        allowed_numbers: body.unclearable("allowed_numbers", CALLERS, callers)?,
        allowed_hosts: Some(sources.1),
        media_encryption: encryption(&mut body)?,
        credentials: credentials(&mut body, What::Provider)?,
        certificate_names: body.unclearable("certificate_names", CERTIFICATES, certificates)?,
    };
    body.close()?;
    Ok(read)
}

const CERTIFICATES: &str = "a list of domains that certificates name, such as sip.carrier.example";

fn certificates(value: Value) -> Option<Vec<String>> {
    let Value::Array(items) = value else { return None };
    items.into_iter().map(|item| text(item).and_then(|name| Inbound::certificate_name(&name))).collect()
}

fn encryption(body: &mut Body) -> Result<Option<MediaEncryption>> {
    body.unclearable("media_encryption", &one_of(&MediaEncryption::NAMES), read::word(MediaEncryption::parse))
}

fn country(value: Value) -> Option<Country> {
    text(value).and_then(|text| Country::parse(&text)).filter(|country| country.calling_code().is_some())
}

fn outbound(fields: Bag) -> Result<OutboundIn> {
    let mut body = Body::of(fields, What::Provider);
    let read = OutboundIn {
        address: Some(body.required("address", "a host or host:port", text)?),
        transport: body
            .unclearable("transport", &one_of(&Transport::NAMES), read::word(Transport::parse))?
            .or(Some(Transport::Udp)),
        place: Place::Movable,
        destination_country: body.patch("destination_country", "the two letters of a country", country)?,
        media_encryption: encryption(&mut body)?,
        credentials: credentials(&mut body, What::Provider)?,
        number_format: body.unclearable(
            "number_format",
            &one_of(&NumberFormat::NAMES),
            read::word(NumberFormat::parse),
        )?,
        prefix: body.patch("prefix", "a text of digits, or null", text)?,
        headers: body.patch("headers", "an object of texts by the headers' names, or null", headers)?,
        from: body.unclearable("from", &one_of(&FromForm::NAMES), read::word(FromForm::parse))?,
        emergency: body.unclearable("emergency", "true or false", boolean)?,
        calls_per_second: body.patch(
            "calls_per_second",
            "a whole number from 1 to 100000, or null",
            |value| {
                let most = i64::from(Outbound::CALLS_PER_SECOND_MAX);
                whole(value).filter(|n| (1..=most).contains(n)).and_then(|n| u32::try_from(n).ok())
            },
        )?,
        priority: body.unclearable("priority", "a whole number from 0 to 65535", |value| {
            whole(value).and_then(|n| u16::try_from(n).ok())
        })?,
    };
    body.close()?;
    Ok(read)
}

fn register(fields: Bag) -> Result<RegisterIn> {
    let mut body = Body::of(fields, What::Provider);
    let read = RegisterIn {
        registrar: Some(body.required("registrar", "a host or host:port", text)?),
        transport: body
            .unclearable("transport", &one_of(&Transport::NAMES), read::word(Transport::parse))?
            .or(Some(Transport::Udp)),
        domain: body.patch("domain", "a host, or null", text)?,
        user: body.patch("user", "a text of 1 to 64 characters, or null", text)?,
        credentials: credentials(&mut body, What::Provider)?,
        expires_seconds: body.unclearable("expires_seconds", "a whole number from 60 to 86400", |value| {
            whole(value).and_then(|n| u32::try_from(n).ok())
        })?,
    };
    body.close()?;
    Ok(read)
}

fn headers(value: Value) -> Option<Vec<(String, String)>> {
    object(value)?.into_iter().map(|(name, value)| Some((name, text(value)?))).collect()
}

fn side<T>(body: &mut Body, field: &'static str, read: impl FnOnce(Bag) -> Result<T>) -> Result<Patch<T>> {
    Ok(match body.patch(field, "an object or null", object)? {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(fields) => Patch::Set(within(field, read(fields))?),
    })
}

fn patch(body: &mut Body) -> Result<ProviderIn> {
    Ok(ProviderIn {
        label: body.unclearable("label", "a text", text)?,
        inbound: side(body, "inbound", inbound)?,
        outbound: side(body, "outbound", outbound)?,
        register: side(body, "register", register)?,
        account: None,
        calls_max: body
            .patch_by("max_concurrent_calls", |value| rules_json::calls_max(value, What::Provider))?,
    })
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Provider)?.null_is_absent();
    let kind = body.required("kind", &one_of(&ProviderKind::NAMES), read::word(ProviderKind::parse))?;
    let account = if kind == ProviderKind::Twilio {
        Some(account::create(&mut body)?)
    } else {
        account::none(&mut body)?;
        None
    };
    let new = ProviderIn { account, ..patch(&mut body)? };
    body.close()?;
    if new.label.is_none() {
        return Err(Error::missing(What::Provider, "label"));
    }
    Ok(Op::ProviderCreate(kind, new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::ProviderList(page(request, ProviderId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::ProviderGet(id(request)?))
}

pub(super) fn status(request: &Request<'_>) -> Result<Op> {
    Ok(Op::ProviderStatus(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Provider)?;
    let account = account::update(&mut body)?;
    let patch = ProviderIn { account, ..patch(&mut body)? };
    body.close()?;
    Ok(Op::ProviderUpdate(id, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::ProviderDelete(id(request)?, expect(request)?))
}

/// What may come in from a trunk.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inbound)]
pub(super) struct InboundOut {
    /// Addresses, ranges and hosts it may send from; of a host, whatever its name resolves to.
    allowed_addresses: Vec<String>,
    /// The only callers it may bring; empty: all.
    allowed_numbers: Vec<String>,
    /// Whether its sound may or must be encrypted.
    #[schema(schema_with = words::media_encryption)]
    media_encryption: &'static str,
    /// The user name of its credentials; the password is never shown.
    #[schema(required = true)]
    username: Option<String>,
    /// Domains whose certificate, shown over TLS, proves a call to be its, wherever it comes from.
    certificate_names: Vec<String>,
}

/// Where calls out to the phone network go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outbound)]
pub(super) struct OutboundOut {
    /// `host` or `host:port`.
    address: String,
    /// How.
    #[schema(schema_with = words::transport)]
    transport: &'static str,
    /// The country that its calls are for.
    #[schema(required = true)]
    destination_country: Option<String>,
    /// Whether its sound may or must be encrypted.
    #[schema(schema_with = words::media_encryption)]
    media_encryption: &'static str,
    /// The user name of its credentials; the password is never shown.
    #[schema(required = true)]
    username: Option<String>,
    /// How numbers are written in calls to it.
    #[schema(schema_with = words::number_format)]
    number_format: &'static str,
    /// What stands before the number.
    #[schema(required = true)]
    prefix: Option<String>,
    /// Headers that are added to each call, by name.
    headers: BTreeMap<String, String>,
    /// What From shows.
    #[schema(schema_with = words::from_form)]
    from: &'static str,
    /// Whether it carries calls to emergency numbers.
    emergency: bool,
    /// How many calls it takes in a second; null: as many as come.
    #[schema(required = true)]
    calls_per_second: Option<u32>,
    /// Of the operator's trunks: which is tried first, the lowest.
    priority: u16,
}

/// Where a trunk registers, so that its carrier sends calls; how that goes is in its status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Register)]
pub(super) struct RegisterOut {
    /// `host` or `host:port`.
    registrar: String,
    /// How.
    #[schema(schema_with = words::transport)]
    transport: &'static str,
    /// The domain of what is registered; null: the registrar's host.
    #[schema(required = true)]
    domain: Option<String>,
    /// The user of what is registered; null: the user name.
    #[schema(required = true)]
    user: Option<String>,
    /// The user name of its credentials; the password is never shown.
    username: String,
    /// How long the registration is asked to last, in seconds.
    expires_seconds: u32,
}

impl From<&Register> for RegisterOut {
    fn from(register: &Register) -> Self {
        let Register { registrar, transport, domain, user, credentials, expires_seconds } = register;
        let Credentials { username, password: _ } = credentials;
        Self {
            registrar: registrar.clone(),
            transport: transport.as_str(),
            domain: domain.clone(),
            user: user.clone(),
            username: username.clone(),
            expires_seconds: *expires_seconds,
        }
    }
}

/// How a number reaches the phone network.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub(super) struct ProviderOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Whose it is; null: the operator's.
    #[schema(required = true, format = "uuid")]
    organization_id: Option<String>,
    /// What kind of way it is.
    #[schema(schema_with = words::provider_kind)]
    kind: &'static str,
    /// A name for people.
    label: String,
    /// What may come in.
    #[schema(required = true)]
    inbound: Option<InboundOut>,
    /// Where calls go out.
    #[schema(required = true)]
    outbound: Option<OutboundOut>,
    /// Where it registers, so that its carrier sends calls.
    #[schema(required = true)]
    register: Option<RegisterOut>,
    /// The account at Twilio (that kind only).
    #[schema(required = true)]
    account_sid: Option<String>,
    /// The id of its key, in part; the key's secret is never shown.
    #[schema(required = true)]
    api_key_sid: Option<String>,
    /// The region of the key.
    #[schema(required = true)]
    region: Option<String>,
    /// How many calls of it may be in progress, in and out; null: no limit.
    #[schema(required = true)]
    max_concurrent_calls: Option<u32>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

fn username(credentials: Option<&Credentials>) -> Option<String> {
    credentials.map(|Credentials { username, password: _ }| username.clone())
}

impl From<&Inbound> for InboundOut {
    fn from(inbound: &Inbound) -> Self {
        let Inbound {
            allowed_addresses,
            allowed_hosts,
            allowed_numbers,
            media_encryption,
            credentials,
            certificate_names,
        } = inbound;
        let hosts = allowed_hosts.iter().map(|host| host.as_str().to_owned());
        Self {
            allowed_addresses: allowed_addresses.iter().map(AddressRule::to_string).chain(hosts).collect(),
            allowed_numbers: allowed_numbers.iter().map(E164::to_string).collect(),
            media_encryption: media_encryption.as_str(),
            username: username(credentials.as_ref()),
            certificate_names: certificate_names.to_vec(),
        }
    }
}

impl From<&Outbound> for OutboundOut {
    fn from(outbound: &Outbound) -> Self {
        let Outbound {
            address,
            transport,
            destination_country,
            media_encryption,
            credentials,
            dial: DialForm { number_format, prefix, headers, from },
            emergency,
            calls_per_second,
            priority,
        } = outbound;
        Self {
            address: address.clone(),
            transport: transport.as_str(),
            destination_country: destination_country.map(|country| country.as_str().to_owned()),
            media_encryption: media_encryption.as_str(),
            username: username(credentials.as_ref()),
            number_format: number_format.as_str(),
            prefix: Some(prefix.clone()).filter(|prefix| !prefix.is_empty()),
            headers: headers.iter().cloned().collect(),
            from: from.as_str(),
            emergency: *emergency,
            calls_per_second: *calls_per_second,
            priority: *priority,
        }
    }
}

impl From<&Provider> for ProviderOut {
    fn from(provider: &Provider) -> Self {
        let Provider {
            id,
            organization_id,
            kind,
            label,
            inbound,
            outbound,
            register,
            account,
            calls_max,
            created_at,
            updated_at,
            version: _,
        } = provider;
        let account = account.as_ref().map(CarrierAccount::brief);
        let (account_sid, api_key_sid, region) = account
            .map(|AccountBrief { id, key_id, region }| (id, key_id, region))
            .map_or((None, None, None), |(id, key, region)| (Some(id), Some(key), Some(region)));
        Self {
            id: id.to_string(),
            organization_id: id_or_null(*organization_id),
            kind: kind.as_str(),
            label: label.clone(),
            inbound: inbound.as_ref().map(InboundOut::from),
            outbound: outbound.as_ref().map(OutboundOut::from),
            register: register.as_deref().map(RegisterOut::from),
            account_sid,
            api_key_sid,
            region,
            max_concurrent_calls: *calls_max,
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}
