//! Organizations, and what stands under them: keys, ledger, balance.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::page;
use super::read::{self, expect, organization, path_id};
use super::reply::{id_or_null, time, time_or_null};
use super::words::{self, one_of};
use crate::Request;
use crate::json::{self, Body, object, text, whole};
use domain::error::{Error, Result, What};
use domain::ids::{KeyId, OrganizationId};
use domain::key::{DialectName, KeyNew, Mode, Role, Scope};
use domain::ledger::Entry;
use domain::op::{OrganizationNew, Secret};
use domain::organization::{Kyc, OrganizationPatch};
use domain::{Bag, Key, Micros, Op, Organization};

const SLOTS: &str = "a whole number, 0 or more; null means no limit";
/// The longest reason of a ledger entry, in characters.
const REASON_MAX: usize = 200;

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    request.caller.require_operator()?;
    let mut body = json::body(request.body, What::Organization)?;
    let new = OrganizationNew {
        name: body.required("name", "a text", text)?,
        kyc: body.optional("kyc", &one_of(&Kyc::NAMES), read::word(Kyc::parse))?.unwrap_or_default(),
        number_slots: body.optional("number_slots", SLOTS, read::small)?,
        settings: body.optional("settings", "an object", object)?.unwrap_or_default(),
    };
    body.close()?;
    Ok(Op::OrganizationCreate(new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::OrganizationList(page(request, OrganizationId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::OrganizationGet(organization(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = organization(request)?;
    let mut body = json::body(request.body, What::Organization)?;
    let patch = OrganizationPatch {
        name: body.unclearable("name", "a text", text)?,
        kyc: body.unclearable("kyc", &one_of(&Kyc::NAMES), read::word(Kyc::parse))?,
        number_slots: body.patch("number_slots", SLOTS, read::small)?,
        settings: body.unclearable("settings", "an object", object)?,
    };
    body.close()?;
    Ok(Op::OrganizationUpdate(id, patch, expect(request)?))
}

pub(super) fn key_create(request: &Request<'_>) -> Result<Op> {
    let id = organization(request)?;
    let mut body = json::body(request.body, What::Key)?;
    let names = crate::all().map(|dialect| (dialect, dialect.name()));
    let new = KeyNew {
        name: body.required("name", "a text", text)?,
        dialect: body.required("dialect", &one_of(&names), |value| {
            let dialect = crate::by_name(value.as_str()?)?;
            Some(DialectName(dialect.name().to_owned()))
        })?,
        role: body.required("role", &one_of(&Role::NAMES), read::word(Role::parse))?,
        scopes: scopes(&mut body)?,
        mode: body.optional("mode", &one_of(&Mode::NAMES), read::word(Mode::parse))?.unwrap_or(Mode::Live),
        allowed_addresses: body
            .optional("allowed_addresses", super::endpoints::ADDRESSES, super::endpoints::addresses)?
            .unwrap_or_default(),
        expires_at: body
            .optional("expires_at", "a time such as `2030-01-31T12:00:00Z`", |v| v.as_str()?.parse().ok())?,
    };
    body.close()?;
    Ok(Op::KeyCreate(id, new))
}

fn scopes(body: &mut Body) -> Result<Option<Vec<Scope>>> {
    body.optional("scopes", "a list of rights such as `numbers:read`", |value| {
        value.as_array()?.iter().map(|scope| Scope::parse(scope.as_str()?)).collect()
    })
}

pub(super) fn key_list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::KeyList(organization(request)?, page(request, KeyId::parse)?))
}

pub(super) fn key_delete(request: &Request<'_>) -> Result<Op> {
    let key = KeyId::parse(request.param("key_id"));
    Ok(Op::KeyDelete(organization(request)?, key.ok_or_else(|| Error::not_found(What::Key))?))
}

pub(super) fn ledger_post(request: &Request<'_>) -> Result<Op> {
    request.caller.require_operator()?;
    let id = path_id(request, What::Organization, OrganizationId::parse)?;
    let mut body = json::body(request.body, What::Ledger)?;
    let must = format!("a whole number of cents other than 0, up to {}", Micros::MAX_CENTS);
    let cents = body.required("amount_cents", &must, |value| {
        whole(value).filter(|cents| *cents != 0 && Micros::from_cents(*cents).is_some())
    })?;
    let must = format!("a text of 1 to {REASON_MAX} characters");
    let reason = body.required("reason", &must, |value| {
        let reason = text(value)?.trim().to_owned();
        let fits =
            (1..=REASON_MAX).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
        fits.then_some(reason)
    })?;
    body.close()?;
    Ok(Op::LedgerPost(id, cents, reason))
}

pub(super) fn ledger_list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::LedgerList(organization(request)?, page(request, |text| text.parse().ok())?))
}

pub(super) fn balance_get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::BalanceGet(organization(request)?))
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Organization)]
pub(super) struct OrganizationOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Its name.
    name: String,
    /// How far the operator knows it; `approved` may buy numbers.
    #[schema(schema_with = words::kyc)]
    kyc: &'static str,
    /// How many numbers it may hold at once; null: no limit.
    #[schema(required = true)]
    number_slots: Option<u32>,
    /// Free settings. With a meaning: `imports`, `rate_cents_per_minute`, `max_call_seconds`, `quarantine_days`,
    /// `rental_unpaid`, `refund_hours`, `balance_low_cents`, `number_churn_max`.
    #[schema(value_type = Object)]
    settings: Bag,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&Organization> for OrganizationOut {
    fn from(organization: &Organization) -> Self {
        let Organization { id, name, kyc, number_slots, settings, created_at, updated_at, version: _ } =
            organization;
        Self {
            id: id.to_string(),
            name: name.clone(),
            kyc: kyc.as_str(),
            number_slots: *number_slots,
            settings: settings.clone(),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}

/// An API key without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(super) struct KeyOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// A name for people.
    name: String,
    /// The one API it works in.
    #[schema(schema_with = words::dialect)]
    dialect: String,
    /// What its holder is.
    #[schema(schema_with = words::role)]
    role: &'static str,
    /// Its only rights; null: all of its role.
    #[schema(required = true)]
    scopes: Option<Vec<String>>,
    /// Live or test.
    #[schema(schema_with = words::mode)]
    mode: &'static str,
    /// The only addresses it may be used from; empty: from anywhere.
    allowed_addresses: Vec<String>,
    /// When it stops working by itself.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
    /// The secret's first characters.
    prefix: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was revoked.
    #[schema(required = true, format = DateTime)]
    revoked_at: Option<String>,
    /// When another took its place; it works for a day more.
    #[schema(required = true, format = DateTime)]
    replaced_at: Option<String>,
}

impl From<Key> for KeyOut {
    fn from(key: Key) -> Self {
        let Key {
            id,
            organization_id: _,
            name,
            dialect,
            role,
            scopes,
            mode,
            allowed_addresses,
            expires_at,
            prefix,
            hash: _,
            created_at,
            revoked_at,
            replaced_at,
            version: _,
        } = key;
        Self {
            id: id.to_string(),
            name,
            dialect: dialect.0,
            role: role.as_str(),
            scopes: scopes.map(|held| held.iter().map(Scope::to_string).collect()),
            mode: mode.as_str(),
            allowed_addresses: allowed_addresses.iter().map(ToString::to_string).collect(),
            expires_at: time_or_null(expires_at),
            prefix,
            created_at: time(created_at),
            revoked_at: time_or_null(revoked_at),
            replaced_at: time_or_null(replaced_at),
        }
    }
}

/// A new API key with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyCreated)]
pub(super) struct KeyCreatedOut {
    /// The secret. Keep it: it is not stored.
    key: String,
    #[serde(flatten)]
    rest: KeyOut,
}

impl KeyCreatedOut {
    pub(super) fn new(key: Key, secret: Secret) -> Self {
        Self { key: secret.0, rest: key.into() }
    }
}

/// One entry of the double-entry ledger; the entries of a posting sum to zero.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(super) struct EntryOut {
    /// Its id.
    id: u64,
    /// The posting it belongs to.
    #[schema(format = "uuid")]
    posting_id: String,
    /// What the posting is about: money in or out, a purchase, a number's rent, a price given back, or a call.
    #[schema(schema_with = words::posting)]
    kind: &'static str,
    /// The number it is about.
    #[schema(required = true, format = "uuid")]
    number_id: Option<String>,
    /// The call it is about.
    #[schema(required = true, format = "uuid")]
    call_id: Option<String>,
    /// The month that a rent is for, counted from the purchase, which paid month 0.
    #[schema(required = true)]
    period: Option<u32>,
    /// The account; `wallet` is what the organization can spend.
    #[schema(schema_with = words::account)]
    account: &'static str,
    /// What was added, in whole cents, rounded down.
    amount_cents: i64,
    /// What was added, in millionths of the currency.
    amount_micros: i64,
    /// What the account holds since, in whole cents, rounded down.
    balance_after_cents: i64,
    /// What the account holds since, in millionths of the currency.
    balance_after_micros: i64,
    /// Why.
    reason: String,
    /// When.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Entry> for EntryOut {
    fn from(entry: Entry) -> Self {
        let Entry { id, posting_id, subject, account, amount, balance_after, reason, at } = entry;
        Self {
            id,
            posting_id: posting_id.to_string(),
            kind: subject.kind(),
            number_id: id_or_null(subject.number()),
            call_id: id_or_null(subject.call()),
            period: subject.period(),
            account: account.as_str(),
            amount_cents: amount.cents_floor(),
            amount_micros: amount.0,
            balance_after_cents: balance_after.cents_floor(),
            balance_after_micros: balance_after.0,
            reason,
            created_at: time(at),
        }
    }
}

/// What an organization can spend.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
pub(super) struct BalanceOut {
    /// In whole cents, rounded down.
    balance_cents: i64,
    /// The currency (ISO 4217).
    #[schema(schema_with = words::currency)]
    currency: &'static str,
}

impl From<Micros> for BalanceOut {
    fn from(amount: Micros) -> Self {
        Self { balance_cents: amount.cents_floor(), currency: "USD" }
    }
}
