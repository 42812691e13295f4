//! Providers. The operator's own stand under [`OrganizationId::NONE`].

use crate::db::{Db, params};
use domain::carrier_account::AccountRef;
use domain::e164::{Country, E164};
use domain::ids::{OrganizationId, ProviderId};
use domain::op::TrunkQuery;
use domain::provider::{
    Credentials, DialForm, FromForm, HostName, Inbound, MediaEncryption, NumberFormat, Outbound,
    ProviderKind, Register, Sealed,
};
use domain::target::Transport;
use domain::{CarrierAccount, Page, Paged, Provider, What};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

use super::apply::Tx;
use super::change_log::Topic;
use super::endpoint::{addresses_read, addresses_text};
use super::list::{List, page_of_ids};
use super::sql::{Columns, Table, blob, corrupt, exists, int, json, one, time};
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let columns = "kind, label, inbound, outbound, register, account, account_id, account_region, calls_max, created_at, \
                   updated_at, version";
    Table::new("providers", columns, "organization_id, id")
});

#[derive(Serialize, Deserialize)]
struct CredentialsRow {
    username: String,
    /// The encrypted password in hexadecimal.
    password: String,
}

#[derive(Serialize, Deserialize)]
struct InboundRow {
    allowed_addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_numbers: Vec<u64>,
    /// Absent: allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_encryption: Option<String>,
    credentials: Option<CredentialsRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificate_names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OutboundRow {
    address: String,
    transport: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination_country: Option<String>,
    /// Absent: disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_encryption: Option<String>,
    credentials: Option<CredentialsRow>,
    /// Absent: with the plus sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number_format: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    /// Absent: as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    emergency: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls_per_second: Option<u32>,
    /// Absent: the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct RegisterRow {
    registrar: String,
    transport: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    credentials: CredentialsRow,
    expires_seconds: u32,
}

#[derive(Serialize, Deserialize)]
struct AccountRow {
    id: String,
    key_id: String,
    /// The encrypted secret in hexadecimal.
    key_secret: String,
    region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attachment: Option<String>,
}

fn hexadecimal(Sealed(bytes): &Sealed) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

fn sealed(text: &str) -> Result<Sealed, StoreError> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok()?;
        (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten()
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.map(Sealed).ok_or_else(|| corrupt("a sealed secret", "not hexadecimal"))
}

fn account_text(account: &CarrierAccount) -> String {
    let CarrierAccount { id, key_id, key_secret, region, attachment } = account;
    json(&AccountRow {
        id: id.clone(),
        key_id: key_id.clone(),
        key_secret: hexadecimal(key_secret),
        region: region.clone(),
        attachment: attachment.clone(),
    })
}

/// Reads an account back.
pub(super) fn account_read(text: &str) -> Result<CarrierAccount, StoreError> {
    let row: AccountRow = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let AccountRow { id, key_id, key_secret, region, attachment } = row;
    Ok(CarrierAccount { id, key_id, key_secret: sealed(&key_secret)?, region, attachment })
}

impl CredentialsRow {
    fn of(credentials: &Credentials) -> Self {
        let Credentials { username, password } = credentials;
        Self { username: username.clone(), password: hexadecimal(password) }
    }

    fn read(self) -> Result<Credentials, StoreError> {
        let Self { username, password } = self;
        Ok(Credentials { username, password: sealed(&password)? })
    }
}

/// Credentials in a column of their own.
pub(super) fn credentials_text(credentials: &Credentials) -> String {
    json(&CredentialsRow::of(credentials))
}

/// Reads them back.
pub(super) fn credentials_read(text: &str) -> Result<Credentials, StoreError> {
    let row: CredentialsRow = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    row.read()
}

fn encryption_read(text: Option<&str>, absent: MediaEncryption) -> Result<MediaEncryption, StoreError> {
    let read = |text| MediaEncryption::parse(text).ok_or_else(|| corrupt("a way of encryption", text));
    text.map_or(Ok(absent), read)
}

fn inbound_text(inbound: &Inbound) -> String {
    let Inbound {
        allowed_addresses,
        allowed_hosts,
        allowed_numbers,
        media_encryption,
        credentials,
        certificate_names,
    } = inbound;
    json(&InboundRow {
        allowed_addresses: addresses_text(allowed_addresses),
        allowed_hosts: allowed_hosts.iter().map(|host| host.as_str().to_owned()).collect(),
        allowed_numbers: allowed_numbers.iter().map(|number| number.as_u64()).collect(),
        media_encryption: Some(media_encryption.as_str().to_owned()),
        credentials: credentials.as_ref().map(CredentialsRow::of),
        certificate_names: certificate_names.to_vec(),
    })
}

fn inbound_read(text: &str) -> Result<Inbound, StoreError> {
    let row: InboundRow = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let InboundRow {
        allowed_addresses,
        allowed_hosts,
        allowed_numbers,
        media_encryption,
        credentials,
        certificate_names,
    } = row;
    let host = |text: String| HostName::parse(&text).ok_or_else(|| corrupt("a host", &text));
    let number = |n: u64| E164::from_u64(n).ok_or_else(|| corrupt("a caller's number", "of a wrong length"));
    Ok(Inbound {
        allowed_addresses: addresses_read(&allowed_addresses)?,
        allowed_hosts: allowed_hosts.into_iter().map(host).collect::<Result<_, _>>()?,
        allowed_numbers: allowed_numbers.into_iter().map(number).collect::<Result<_, _>>()?,
        media_encryption: encryption_read(media_encryption.as_deref(), MediaEncryption::Allowed)?,
        credentials: credentials.map(CredentialsRow::read).transpose()?,
        certificate_names: Box::new(certificate_names),
    })
}

fn outbound_text(outbound: &Outbound) -> String {
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
    json(&OutboundRow {
        address: address.clone(),
        transport: transport.as_str().to_owned(),
        destination_country: destination_country.map(|country| country.as_str().to_owned()),
        media_encryption: Some(media_encryption.as_str().to_owned()),
        credentials: credentials.as_ref().map(CredentialsRow::of),
        number_format: Some(number_format.as_str().to_owned()),
        prefix: prefix.clone(),
        headers: headers.clone(),
        from: Some(from.as_str().to_owned()),
        emergency: *emergency,
        calls_per_second: *calls_per_second,
        priority: Some(*priority),
    })
}

fn outbound_read(text: &str) -> Result<Outbound, StoreError> {
    let row: OutboundRow = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let OutboundRow {
        address,
        transport,
        destination_country,
        media_encryption,
        credentials,
        number_format,
        prefix,
        headers,
        from,
        emergency,
        calls_per_second,
        priority,
    } = row;
    let from_form = |text: String| FromForm::parse(&text).ok_or_else(|| corrupt("a form of From", &text));
    let from = from.map(from_form).transpose()?.unwrap_or_default();
    let format = |text: String| NumberFormat::parse(&text).ok_or_else(|| corrupt("a number's form", &text));
    let number_format = number_format.map(format).transpose()?.unwrap_or_default();
    let country = |text: String| Country::parse(&text).ok_or_else(|| corrupt("a country", &text));
    let transport = Transport::parse(&transport).ok_or_else(|| corrupt("a transport", &transport))?;
    Ok(Outbound {
        address,
        transport,
        destination_country: destination_country.map(country).transpose()?,
        media_encryption: encryption_read(media_encryption.as_deref(), MediaEncryption::Disabled)?,
        credentials: credentials.map(CredentialsRow::read).transpose()?,
        dial: DialForm { number_format, prefix, headers, from },
        emergency,
        calls_per_second,
        priority: priority.unwrap_or(Outbound::PRIORITY),
    })
}

fn register_text(register: &Register) -> String {
    let Register { registrar, transport, domain, user, credentials, expires_seconds } = register;
    json(&RegisterRow {
        registrar: registrar.clone(),
        transport: transport.as_str().to_owned(),
        domain: domain.clone(),
        user: user.clone(),
        credentials: CredentialsRow::of(credentials),
        expires_seconds: *expires_seconds,
    })
}

fn register_read(text: &str) -> Result<Register, StoreError> {
    let row: RegisterRow = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let RegisterRow { registrar, transport, domain, user, credentials, expires_seconds } = row;
    let transport = Transport::parse(&transport).ok_or_else(|| corrupt("a transport", &transport))?;
    Ok(Register { registrar, transport, domain, user, credentials: credentials.read()?, expires_seconds })
}

fn read(mut row: Columns<'_, '_>) -> Result<Provider, StoreError> {
    let kind = row.named(ProviderKind::parse)?;
    let label = row.get()?;
    let inbound = row.get::<Option<String>>()?.map(|text| inbound_read(&text)).transpose()?;
    let outbound = row.get::<Option<String>>()?.map(|text| outbound_read(&text)).transpose()?;
    let register = row.get::<Option<String>>()?.map(|text| register_read(&text)).transpose()?;
    let register = register.map(Box::new);
    let account = row.get::<Option<String>>()?.map(|text| account_read(&text)).transpose()?;
    let (_, _): (Option<String>, Option<String>) = (row.get()?, row.get()?);
    let calls_max = row.get()?;
    let (created_at, updated_at, version) = (row.time()?, row.time()?, row.uint()?);
    let organization_id = Some(row.id()?).filter(|id| *id != OrganizationId::NONE);
    Ok(Provider {
        id: row.id()?,
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
        version,
    })
}

pub(super) fn put(tx: &mut Tx<'_>, provider: &Provider) -> Result<(), CommitError> {
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
        version,
    } = provider;
    let owner = organization_id.unwrap_or(OrganizationId::NONE);
    if organization_id.is_some() && super::organization::serial(tx.db, owner)?.is_none() {
        return Err(CommitError::Stale(What::Organization));
    }
    let (inbound, outbound) = (inbound.as_ref().map(inbound_text), outbound.as_ref().map(outbound_text));
    let register = register.as_deref().map(register_text);
    let (created, updated, own) = (time(*created_at), time(*updated_at), blob(*id));
    let account_id = account.as_ref().map(|account| &account.id);
    let region = account.as_ref().map(|account| &account.region);
    let account = account.as_ref().map(account_text);
    let row = params![
        kind.as_str(),
        label,
        inbound,
        outbound,
        register,
        account,
        account_id,
        region,
        calls_max,
        created,
        updated,
        int(*version),
        blob(owner),
        own
    ];
    TABLE
        .put(tx.db, What::Provider, *version, row)
        .map_err(|f| f.about(What::Provider, What::Organization))?;
    tx.log(Topic::Provider, owner, &own)
}

pub(super) fn delete(tx: &mut Tx<'_>, id: ProviderId, version: u64) -> Result<(), CommitError> {
    let own = blob(id);
    let sql = "DELETE FROM providers WHERE id = $1 AND version = $2 RETURNING organization_id";
    let owner = one(tx.db, sql, params![own, int(version)], |mut row| row.id())?;
    let owner = owner.ok_or(CommitError::Stale(What::Provider))?;
    tx.check_provider(id);
    tx.log(Topic::Provider, owner, &own)
}

/// Whether a held number names it.
pub(super) fn in_use(db: Db<'_>, id: ProviderId) -> Result<bool, StoreError> {
    exists(db, "SELECT 1 FROM numbers WHERE provider_id = $1 AND held = 1", params![blob(id)])
}

/// Whether it is there.
pub(super) fn is_here(db: Db<'_>, id: ProviderId) -> Result<bool, StoreError> {
    exists(db, "SELECT 1 FROM providers WHERE id = $1", params![blob(id)])
}

pub(crate) fn get(db: Db<'_>, id: ProviderId) -> Result<Option<Provider>, StoreError> {
    one(db, &format!("{} AND id = $1", TABLE.select), params![blob(id)], read)
}

pub(crate) fn visible(
    db: Db<'_>,
    organization: OrganizationId,
    id: ProviderId,
) -> Result<Option<Provider>, StoreError> {
    Ok(get(db, id)?.filter(|p| p.organization_id.is_none_or(|owner| owner == organization)))
}

pub(crate) fn list(
    db: Db<'_>,
    organization: Option<OrganizationId>,
    page: &Page<ProviderId>,
) -> Result<Paged<Provider>, StoreError> {
    let owner = organization.map(|id| blob(id).to_vec());
    let list = List::new(&TABLE.select, Vec::new()).and_some("organization_id =", owner);
    list.page(db, "id", page_of_ids(page), read)
}

/// The tenant's SIP trunks and accounts.
pub(crate) fn own(
    db: Db<'_>,
    organization: Option<OrganizationId>,
    query: &TrunkQuery,
    page: &Page<ProviderId>,
) -> Result<Paged<Provider>, StoreError> {
    let TrunkQuery { kind, account_id } = query;
    let owner = organization.map(|id| blob(id).to_vec());
    let list = List::new(&TABLE.select, Vec::new())
        .and_some("organization_id =", owner)
        .literally("kind <> 'managed'")
        .and_some("kind =", kind.map(|kind| kind.as_str().to_owned()))
        .and_some("account_id =", account_id.clone());
    list.page(db, "id", page_of_ids(page), read)
}

/// The tenant's provider of an account.
pub(crate) fn find_account(
    db: Db<'_>,
    organization: OrganizationId,
    account: &AccountRef,
) -> Result<Option<Provider>, StoreError> {
    let AccountRef { kind, id, region } = account;
    let sql = format!(
        "{} AND organization_id = $1 AND kind = $2 AND account_id = $3 AND account_region = $4",
        TABLE.select
    );
    one(db, &sql, params![blob(organization), kind.as_str(), id, region], read)
}

pub(crate) fn managed_first(
    db: Db<'_>,
    organization: OrganizationId,
) -> Result<Option<Provider>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND kind = 'managed' ORDER BY id LIMIT 1", TABLE.select);
    one(db, &sql, params![blob(organization)], read)
}

/// Every provider.
pub(super) fn each(
    db: Db<'_>,
    mut see: impl FnMut(Provider) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    super::sql::each(db, &TABLE.select, |row| see(read(row)?))
}
