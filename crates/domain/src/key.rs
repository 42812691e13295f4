//! API keys: role, scopes, and the one dialect a key works in.

use std::net::IpAddr;

use jiff::SignedDuration;

use crate::error::{Error, Kind, Result, What};
use crate::ids::{KeyId, OrganizationId};
use crate::provider::AddressRule;
use crate::{Caller, Timestamp};

/// What a key's holder is in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and writes numbers, agents, endpoints and providers.
    Member,
    /// All that the organization may, but for keys and roles above its own; sees SIP passwords.
    Admin,
    /// All.
    Owner,
}

impl Role {
    /// The roles with their names.
    pub const NAMES: [(Self, &'static str); 4] =
        [(Self::Owner, "owner"), (Self::Admin, "admin"), (Self::Member, "member"), (Self::Viewer, "viewer")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Numbers and the stock on sale.
    Numbers,
    /// Calls.
    Calls,
    /// Endpoints.
    Endpoints,
    /// Agents.
    Agents,
    /// Providers.
    Providers,
    /// The ledger.
    Billing,
    /// API keys.
    Keys,
    /// The audit log.
    Events,
    /// The organization itself.
    Organization,
    /// Webhook subscriptions.
    Webhooks,
    /// Call statistics.
    Analytics,
}

/// Whether a scope reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// A right, printed as `numbers:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// About what.
    pub area: Area,
    /// To do what.
    pub access: Access,
}

impl Area {
    /// The areas with their names in a scope.
    pub const NAMES: [(Self, &'static str); 11] = [
        (Self::Numbers, "numbers"),
        (Self::Calls, "calls"),
        (Self::Endpoints, "endpoints"),
        (Self::Agents, "agents"),
        (Self::Providers, "providers"),
        (Self::Billing, "billing"),
        (Self::Keys, "api-keys"),
        (Self::Events, "events"),
        (Self::Organization, "organization"),
        (Self::Webhooks, "webhooks"),
        (Self::Analytics, "analytics"),
    ];
}

impl Scope {
    /// The right to read.
    pub const fn read(area: Area) -> Self {
        Self { area, access: Access::Read }
    }

    /// The right to write.
    pub const fn write(area: Area) -> Self {
        Self { area, access: Access::Write }
    }

    /// From `numbers:read`.
    pub fn parse(text: &str) -> Option<Self> {
        let (area, access) = text.split_once(':')?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return None,
        };
        Some(Self { area: crate::event::by_name(&Area::NAMES, area)?, access })
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        write!(f, "{}:{access}", crate::event::name_of(&Area::NAMES, self.area))
    }
}

/// Whether a key acts on the real thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The real thing.
    Live,
    /// Numbers made with it are in the sandbox.
    Test,
}

impl Mode {
    /// The modes with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Live, "live"), (Self::Test, "test")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// The name of the API a key works in. A plain word here: which words there are is known to the dialects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DialectName(pub String);

/// The keyed hash of a key's secret: what is stored instead of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// An API key. Its secret is shown once, at creation, and never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// The organization it decides.
    pub organization_id: OrganizationId,
    /// A name for people.
    pub name: String,
    /// The one API it works in.
    pub dialect: DialectName,
    /// What its holder is.
    pub role: Role,
    /// If set, the only rights it has (within its role's).
    pub scopes: Option<Vec<Scope>>,
    /// Live or test.
    pub mode: Mode,
    /// The only addresses it may be used from; none: from anywhere.
    pub allowed_addresses: Vec<AddressRule>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// The secret's first characters, to recognise it by.
    pub prefix: String,
    /// The secret's hash.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When another took its place; it then had a day left, and no third is made of it.
    pub replaced_at: Option<Timestamp>,
    /// Counts changes from 1.
    pub version: u64,
}

/// What is asked for in a new key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyNew {
    /// A name for people.
    pub name: String,
    /// The one API it will work in.
    pub dialect: DialectName,
    /// What its holder is.
    pub role: Role,
    /// If set, its only rights.
    pub scopes: Option<Vec<Scope>>,
    /// Live or test.
    pub mode: Mode,
    /// The only addresses it may be used from; none: from anywhere.
    pub allowed_addresses: Vec<AddressRule>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
}

/// A key's secret and what is kept of it; made outside, since it needs randomness.
#[derive(Clone, Debug, PartialEq)]
pub struct Minted {
    /// The key's id.
    pub id: KeyId,
    /// The first characters of the secret.
    pub prefix: String,
    /// The secret's hash.
    pub hash: KeyHash,
}

impl Key {
    /// A new key of an organization.
    pub fn create(
        organization_id: OrganizationId,
        new: KeyNew,
        minted: Minted,
        now: Timestamp,
    ) -> Result<Self> {
        let KeyNew { name, dialect, role, scopes, mode, allowed_addresses, expires_at } = new;
        let Minted { id, prefix, hash } = minted;
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid(
                What::Key,
                "scopes",
                "`scopes` must name at least one right, or be absent.",
            ));
        }
        let allowed_addresses = crate::provider::within_limit(allowed_addresses, "allowed_addresses")?;
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid(What::Key, "expires_at", "`expires_at` must be in the future."));
        }
        let name = crate::agent::text_within(What::Key, "name", &name, Self::NAME_MAX)?;
        let (revoked_at, replaced_at) = (None, None);
        Ok(Self {
            id,
            organization_id,
            name,
            dialect,
            role,
            scopes,
            mode,
            allowed_addresses,
            expires_at,
            prefix,
            hash,
            created_at: now,
            revoked_at,
            replaced_at,
            version: 1,
        })
    }

    /// The longest name, in characters.
    pub const NAME_MAX: usize = 200;

    /// How long a key that was replaced still works.
    pub const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

    /// A key in the place of this one, with the same rights, and this one with its last day begun. The new one ends when this
    /// one was to end; this one never lives longer than it was to. A key is replaced once: what was to end it is no longer known.
    pub fn rotate(&self, minted: Minted, now: Timestamp) -> Result<(Self, Self)> {
        if self.revoked_at.is_some() || self.expires_at.is_some_and(|at| at <= now) {
            let words = "The key no longer works; make a new one.";
            return Err(Error::new(Kind::Conflict, What::Key, words));
        }
        if self.replaced_at.is_some() {
            let words = "The key was replaced already; rotate the one in its place.";
            return Err(Error::new(Kind::Conflict, What::Key, words));
        }
        let Minted { id, prefix, hash } = minted;
        let next = Self { id, prefix, hash, created_at: now, version: 1, ..self.clone() };
        let last = now.checked_add(Self::OVERLAP).unwrap_or(Timestamp::MAX);
        let end = self.expires_at.map_or(last, |at| at.min(last));
        let (expires_at, replaced_at) = (Some(end), Some(now));
        Ok((next, Self { expires_at, replaced_at, version: self.version + 1, ..self.clone() }))
    }

    /// Whether the key works at this time, from this address where it is known.
    pub fn admits(&self, from: Option<IpAddr>, now: Timestamp) -> Result<()> {
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(Error::new(
                Kind::Unauthenticated,
                What::Key,
                "The API key has expired; make a new one.",
            )
            .at("expires_at"));
        }
        let from = from.map(|address| address.to_canonical());
        let allowed = |rule: &AddressRule| from.is_some_and(|address| rule.contains(address));
        if self.allowed_addresses.is_empty() || self.allowed_addresses.iter().any(allowed) {
            return Ok(());
        }
        let words = "The API key may not be used from this address.";
        Err(Error::new(Kind::Forbidden, What::Key, words).at("allowed_addresses"))
    }
}

impl KeyNew {
    /// The same within the rights of whoever makes it: what is not named is as narrow as the maker's own, what is named and
    /// wider is refused. `own` is the maker's key, where it acts by one.
    pub fn within(mut self, maker: &Caller, own: Option<&Key>) -> Result<Self> {
        if self.role > maker.role {
            return Err(Error::forbidden("A key cannot make one with a higher role than its own."));
        }
        if maker.mode == Mode::Test && self.mode == Mode::Live {
            return Err(Error::forbidden("A test key cannot make a live one."));
        }
        match &self.scopes {
            None => self.scopes.clone_from(&maker.scopes),
            Some(scopes) => scopes.iter().try_for_each(|scope| maker.require(*scope))?,
        }
        let Some(own) = own else { return Ok(self) };
        match (self.expires_at, own.expires_at) {
            (None, end) => self.expires_at = end,
            (Some(wanted), Some(end)) if wanted > end => {
                return Err(Error::forbidden("A key cannot make one that outlives it.").at("expires_at"));
            }
            (Some(_), _) => {}
        }
        if self.allowed_addresses.is_empty() {
            self.allowed_addresses.clone_from(&own.allowed_addresses);
        }
        let covered = |rule: &AddressRule| own.allowed_addresses.iter().any(|wide| wide.covers(rule));
        if !own.allowed_addresses.is_empty() && !self.allowed_addresses.iter().all(covered) {
            return Err(Error::forbidden(
                "A key cannot make one for addresses that it may not be used from itself.",
            ));
        }
        Ok(self)
    }
}

/// How much a key was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Requests of the last 24 hours, by whole hours.
    pub requests_day: u64,
    /// Requests of the last 30 days, by whole hours.
    pub requests_month: u64,
}

/// Uses of a key within one hour, to be added to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Whose key.
    pub organization_id: OrganizationId,
    /// Which key.
    pub key_id: KeyId,
    /// The hour, counted from the unix epoch.
    pub hour: i64,
    /// How many requests.
    pub requests: u64,
    /// The last of them.
    pub last_at: Timestamp,
}

impl KeyUsage {
    /// How many hours "24 hours" and "30 days" look back, the running one included.
    pub const HOURS: [i64; 2] = [24, 720];

    /// Adds uses, seen from the hour `now`.
    pub fn add(&mut self, used: &KeyUse, now: i64) {
        self.last_used_at = self.last_used_at.max(Some(used.last_at));
        let [day, month] = Self::HOURS;
        if used.hour > now - day {
            self.requests_day += used.requests;
        }
        if used.hour > now - month {
            self.requests_month += used.requests;
        }
    }

    /// The hour of a time.
    pub fn hour(at: Timestamp) -> i64 {
        at.as_second().div_euclid(3_600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Actor;
    use crate::ids::{KeyId, OrganizationId};
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn new() -> KeyNew {
        let dialect = DialectName("native".into());
        KeyNew {
            name: "k".into(),
            dialect,
            role: Role::Admin,
            scopes: None,
            mode: Mode::Live,
            allowed_addresses: vec![],
            expires_at: None,
        }
    }

    fn key(new: KeyNew) -> Key {
        let minted = Minted { id: KeyId(Uuid::nil()), prefix: "p".into(), hash: KeyHash([0; 32]) };
        Key::create(OrganizationId(Uuid::nil()), new, minted, at(1_000)).unwrap()
    }

    fn rules(texts: &[&str]) -> Vec<AddressRule> {
        texts.iter().map(|text| AddressRule::parse(text).unwrap()).collect()
    }

    fn caller(role: Role, scopes: Option<&[&str]>) -> Caller {
        let scopes = scopes.map(|s| s.iter().map(|text| Scope::parse(text).unwrap()).collect());
        Caller {
            actor: Actor::Key(KeyId(Uuid::nil())),
            organization_id: None,
            role,
            scopes,
            mode: Mode::Live,
        }
    }

    #[test]
    fn a_key_ends_and_stays_at_its_addresses() {
        let made =
            key(KeyNew { allowed_addresses: rules(&["192.0.2.0/24"]), expires_at: Some(at(2_000)), ..new() });
        let from = |text: &str| Some(text.parse().unwrap());
        assert!(made.admits(from("192.0.2.7"), at(1_999)).is_ok());
        assert!(made.admits(from("::ffff:192.0.2.7"), at(1_999)).is_ok());
        assert_eq!(made.admits(from("192.0.2.7"), at(2_000)).unwrap_err().kind, Kind::Unauthenticated);
        assert_eq!(made.admits(from("192.0.3.7"), at(1_999)).unwrap_err().kind, Kind::Forbidden);
        assert_eq!(made.admits(None, at(1_999)).unwrap_err().kind, Kind::Forbidden);
        assert!(key(new()).admits(None, at(9_999)).is_ok());
    }

    #[test]
    fn nobody_makes_a_key_with_more_rights_than_his_own() {
        let scopes =
            |texts: &[&str]| Some(texts.iter().map(|t| Scope::parse(t).unwrap()).collect::<Vec<_>>());
        let admin = caller(Role::Admin, Some(&["numbers:write", "api-keys:write"]));
        assert_eq!(new().within(&admin, None).unwrap().scopes, admin.scopes);
        let made = KeyNew { scopes: scopes(&["numbers:read"]), ..new() }.within(&admin, None);
        assert_eq!(made.unwrap().scopes, scopes(&["numbers:read"]));
        for (wide, maker) in [
            (KeyNew { scopes: scopes(&["calls:read"]), ..new() }, admin.clone()),
            (KeyNew { role: Role::Owner, ..new() }, caller(Role::Admin, None)),
            (new(), Caller { mode: Mode::Test, ..caller(Role::Owner, None) }),
        ] {
            assert_eq!(wide.within(&maker, None).unwrap_err().kind, Kind::Forbidden);
        }
        let own =
            key(KeyNew { allowed_addresses: rules(&["10.0.0.0/8"]), expires_at: Some(at(2_000)), ..new() });
        let owner = caller(Role::Owner, None);
        let narrow = new().within(&owner, Some(&own)).unwrap();
        assert_eq!((narrow.expires_at, narrow.allowed_addresses), (Some(at(2_000)), rules(&["10.0.0.0/8"])));
        let inside =
            KeyNew { allowed_addresses: rules(&["10.1.0.0/16"]), expires_at: Some(at(1_500)), ..new() };
        assert!(inside.within(&owner, Some(&own)).is_ok());
        let outside = KeyNew { allowed_addresses: rules(&["0.0.0.0/1"]), ..new() };
        assert!(outside.within(&owner, Some(&own)).is_err());
        let longer = KeyNew { expires_at: Some(at(2_001)), ..new() };
        assert!(longer.within(&owner, Some(&own)).is_err());
    }

    #[test]
    fn a_replaced_key_has_a_day_and_never_more_than_it_had() {
        let minted = || Minted { id: KeyId(Uuid::max()), prefix: "q".into(), hash: KeyHash([1; 32]) };
        let day = 24 * 3_600;
        let (next, last) = key(new()).rotate(minted(), at(5_000)).unwrap();
        assert_eq!((next.id, next.expires_at, next.created_at), (KeyId(Uuid::max()), None, at(5_000)));
        assert_eq!((last.id, last.expires_at, last.version), (KeyId(Uuid::nil()), Some(at(5_000 + day)), 2));
        assert!(last.admits(None, at(5_000 + day - 1)).is_ok());
        assert_eq!(last.admits(None, at(5_000 + day)).unwrap_err().kind, Kind::Unauthenticated);
        let short = key(KeyNew { expires_at: Some(at(6_000)), ..new() });
        let (next, last) = short.rotate(minted(), at(5_000)).unwrap();
        assert_eq!((next.expires_at, last.expires_at), (Some(at(6_000)), Some(at(6_000))));
        assert_eq!(short.rotate(minted(), at(6_000)).unwrap_err().kind, Kind::Conflict);
        assert_eq!(
            last.rotate(minted(), at(5_001)).unwrap_err().kind,
            Kind::Conflict,
            "a third is not made of it"
        );
        let (third, _) = next.rotate(minted(), at(5_500)).unwrap();
        assert_eq!(third.expires_at, Some(at(6_000)), "the one in its place goes on");
        let gone = Key { revoked_at: Some(at(4_000)), ..key(new()) };
        assert_eq!(gone.rotate(minted(), at(5_000)).unwrap_err().kind, Kind::Conflict);
    }

    #[test]
    fn use_is_counted_by_whole_hours() {
        let mut usage = KeyUsage::default();
        for hour in [0, 281, 976, 977, 1_000] {
            let last_at = at(hour * 3_600);
            let used = KeyUse {
                organization_id: OrganizationId(Uuid::nil()),
                key_id: KeyId(Uuid::nil()),
                hour,
                requests: 1,
                last_at,
            };
            usage.add(&used, KeyUsage::hour(at(1_000 * 3_600 + 1)));
        }
        assert_eq!((usage.requests_day, usage.requests_month), (2, 4));
        assert_eq!(usage.last_used_at, Some(at(1_000 * 3_600)));
    }
}
