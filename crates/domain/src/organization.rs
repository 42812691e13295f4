//! The tenant.

use crate::e164::Country;
use crate::error::{Error, Kind, Result, What};
use crate::ids::OrganizationId;
use crate::money::Micros;
use crate::outbound::{Caps, Countries};
use crate::reach::Private;
use crate::rules::Schedule;
use crate::{Bag, Timestamp};

/// How far the operator knows the tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kyc {
    /// Nothing submitted.
    #[default]
    NotSubmitted,
    /// Begun, not yet reviewed.
    Initiated,
    /// In review.
    Pending,
    /// Refused.
    Declined,
    /// Known: may buy.
    Approved,
}

impl Kyc {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::NotSubmitted, "not_submitted"),
        (Self::Initiated, "initiated"),
        (Self::Pending, "pending"),
        (Self::Declined, "declined"),
        (Self::Approved, "approved"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// Whether the tenant may buy; else the error that says what is missing.
    pub fn check(self) -> Result<()> {
        let (kind, words) = match self {
            Self::Approved => return Ok(()),
            Self::NotSubmitted => (Kind::KycNotSubmitted, "Identity verification has not been submitted."),
            Self::Initiated => {
                (Kind::KycInitiated, "Identity verification has been started but not finished.")
            }
            Self::Pending => (Kind::KycPending, "Identity verification is in review."),
            Self::Declined => (Kind::KycDeclined, "Identity verification was declined."),
        };
        Err(Error::new(kind, What::Organization, words))
    }
}

/// A tenant: owns keys, agents, endpoints, numbers, calls and money.
#[derive(Clone, Debug, PartialEq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// How far the operator knows it.
    pub kyc: Kyc,
    /// How many numbers it may hold at once; none: no limit.
    pub number_slots: Option<u32>,
    /// Free settings; [`Settings::read`] knows the ones with a meaning.
    pub settings: Bag,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// Who may bring numbers in on an own trunk without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imports {
    /// Imported numbers are active at once.
    Open,
    /// They stay pending until the operator activates them.
    Operator,
}

/// What becomes of a number whose rent the wallet does not cover. It is charged either way: the wallet goes below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpaid {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is inactive until the wallet is at zero or above.
    Deactivate,
}

/// The settings with a meaning, read from an organization's free settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `imports`: none means by rule (open while the installation has one organization).
    pub imports: Option<Imports>,
    /// `rate_cents_per_minute`, default 0: the price of a call's minute.
    pub rate_cents_per_minute: i64,
    /// `max_call_seconds`, default 14,400 (four hours): the longest a call can last.
    pub max_call_seconds: u32,
    /// `max_concurrent_calls`: how many calls may be in progress at a time, those that ring too; none: no limit.
    pub max_concurrent_calls: Option<u32>,
    /// `schedule`: when its numbers take calls that have none of their own; none: always.
    pub schedule: Option<Schedule>,
    /// `quarantine_days`, default 90: how long a released number of the stock rests before it is sold again.
    pub quarantine_days: u32,
    /// `rental_unpaid`, default keep: what becomes of a number whose rent the wallet does not cover.
    pub rental_unpaid: Unpaid,
    /// `refund_hours`, default 0 (never), at most 672 (28 days, no longer than any month): a number given up so soon after its
    /// purchase, without an answered call, gets its monthly price back.
    pub refund_hours: u32,
    /// `balance_low_cents`: a wallet that falls below it is told of by the event `balance.low`; none: never.
    pub balance_low_cents: Option<i64>,
    /// `number_churn_max`: how many numbers may be bought or brought in within any 30 days; none: no limit.
    pub number_churn_max: Option<u32>,
    /// `outbound_countries`: which countries its numbers may call, as ISO 3166-1 codes, `"*"` for every one; none: a number's own.
    pub outbound_countries: Countries,
    /// `outbound_calls_per_minute` and `…_day`, `outbound_number_calls_per_minute` and `…_day`: how many calls out may be begun.
    pub outbound_caps: Caps,
    /// `sip_private`: whether its targets, trunks and registrars may be at addresses that are not public; none: as the
    /// installation says.
    pub sip_private: Option<Private>,
}

impl Settings {
    /// The longest call allowed by any setting (24 h): dialog keys are kept longer than this.
    pub const MAX_CALL_SECONDS: u32 = 86_400;

    /// Reads the known settings; an unknown one is kept unread, a known one of a wrong type is an error that names it.
    pub fn read(bag: &Bag) -> Result<Self> {
        let whole = |name: &'static str, default: i64, max: i64| match bag.get(name) {
            None | Some(serde_json::Value::Null) => Ok(default),
            Some(value) => value.as_i64().filter(|n| (0..=max).contains(n)).ok_or_else(|| {
                let words = format!("`settings.{name}` must be a whole number from 0 to {max}.");
                Error::invalid(What::Organization, "settings", words)
            }),
        };
        let imports = match bag.get("imports") {
            None | Some(serde_json::Value::Null) => None,
            Some(value) => Some(match value.as_str() {
                Some("open") => Imports::Open,
                Some("operator") => Imports::Operator,
                _ => {
                    let words = "`settings.imports` must be \"open\" or \"operator\".";
                    return Err(Error::invalid(What::Organization, "settings", words));
                }
            }),
        };
        let rental_unpaid = match bag.get("rental_unpaid") {
            None | Some(serde_json::Value::Null) => Unpaid::Keep,
            Some(value) => match value.as_str() {
                Some("keep") => Unpaid::Keep,
                Some("deactivate") => Unpaid::Deactivate,
                _ => {
                    let words = "`settings.rental_unpaid` must be \"keep\" or \"deactivate\".";
                    return Err(Error::invalid(What::Organization, "settings", words));
                }
            },
        };
        let sip_private = match bag.get("sip_private") {
            None | Some(serde_json::Value::Null) => None,
            Some(value) => Some(value.as_str().and_then(Private::parse).ok_or_else(|| {
                let words = "`settings.sip_private` must be \"allow\" or \"deny\".";
                Error::invalid(What::Organization, "settings", words)
            })?),
        };
        let schedule = match bag.get("schedule") {
            None | Some(serde_json::Value::Null) => None,
            Some(value) => Some(Schedule::read(value, (What::Organization, "settings"))?),
        };
        if schedule.as_ref().is_some_and(|schedule| schedule.endpoints().next().is_some()) {
            let words = "`settings.schedule` says when numbers take calls, not where; leave `endpoint_id` to their own.";
            return Err(Error::invalid(What::Organization, "settings", words));
        }
        // Where absence means off, and 0 does not.
        let set = |name: &'static str, max: i64| match bag.get(name) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(_) => whole(name, 0, max).map(Some),
        };
        let small = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Self {
            imports,
            rate_cents_per_minute: whole("rate_cents_per_minute", 0, 1_000_000)?,
            max_call_seconds: small(whole("max_call_seconds", 14_400, i64::from(Self::MAX_CALL_SECONDS))?),
            max_concurrent_calls: set("max_concurrent_calls", 1_000_000)?.map(small),
            schedule,
            quarantine_days: small(whole("quarantine_days", 90, 3_650)?),
            rental_unpaid,
            refund_hours: small(whole("refund_hours", 0, 672)?),
            balance_low_cents: set("balance_low_cents", Micros::MAX_CENTS)?,
            number_churn_max: set("number_churn_max", 10_000_000)?.map(small),
            outbound_countries: countries(bag)?,
            sip_private,
            outbound_caps: Caps {
                organization_minute: set("outbound_calls_per_minute", 10_000_000)?.map(small),
                organization_day: set("outbound_calls_per_day", 1_000_000_000)?.map(small),
                number_minute: set("outbound_number_calls_per_minute", 10_000_000)?.map(small),
                number_day: set("outbound_number_calls_per_day", 1_000_000_000)?.map(small),
            },
        })
    }
}

fn countries(bag: &Bag) -> Result<Countries> {
    let named = match bag.get("outbound_countries") {
        None | Some(serde_json::Value::Null) => return Ok(Countries::Own),
        Some(value) => value.as_array(),
    };
    let words = named.and_then(|all| all.iter().map(serde_json::Value::as_str).collect::<Option<Vec<_>>>());
    if words.as_ref().is_some_and(|words| words.contains(&"*")) {
        return Ok(Countries::All);
    }
    let read = words.and_then(|words| words.into_iter().map(Country::parse).collect::<Option<Vec<_>>>());
    read.map(|all| Countries::Named(all.into())).ok_or_else(|| {
        let words =
            "`settings.outbound_countries` must be a list of countries by their two letters, or [\"*\"].";
        Error::invalid(What::Organization, "settings", words)
    })
}

/// What a change of an organization may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrganizationPatch {
    /// A new name.
    pub name: Option<String>,
    /// A new state of knowledge.
    pub kyc: Option<Kyc>,
    /// A new number of slots; null: no limit.
    pub number_slots: crate::Patch<u32>,
    /// Settings to merge: null removes one.
    pub settings: Option<Bag>,
}

impl Organization {
    /// Applies a patch; the same organization back means that nothing changed.
    pub fn update(&self, patch: OrganizationPatch, now: Timestamp) -> Result<Self> {
        let OrganizationPatch { name, kyc, number_slots, settings } = patch;
        let mut next = self.clone();
        if let Some(name) = name {
            next.name = crate::agent::name(What::Organization, &name)?;
        }
        if let Some(kyc) = kyc {
            next.kyc = kyc;
        }
        number_slots.apply(&mut next.number_slots);
        for (key, value) in settings.into_iter().flatten() {
            if value.is_null() {
                next.settings.remove(&key);
            } else {
                next.settings.insert(key, value);
            }
        }
        Settings::read(&next.settings)?;
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }
}
