//! Providers: how a number reaches the phone network.

mod address;
mod dial;
mod media;
mod register;

pub use address::{AddressRule, HostName};
pub use dial::{DialForm, FromForm, NumberFormat};
pub use media::{MediaEncryption, Offer};
pub use register::Register;

use std::fmt;
use std::net::IpAddr;

use crate::carrier_account::{AccountPatch, CarrierAccount};
use crate::e164::{Country, E164};
use crate::error::{Error, Kind, Result, What};
use crate::ids::{OrganizationId, ProviderId};
use crate::outbound::Destination;
use crate::target::{Transport, host_and_port};
use crate::{Patch, Timestamp};

/// What kind of way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Numbers from the operator's own stock.
    Managed,
    /// A SIP trunk of the organization, or of the operator.
    SipTrunk,
    /// An account of the organization at the carrier of this name. Elsewhere in the rules it has no name: there is one kind
    /// for each carrier, and [`CarrierAccount`] is what they share.
    Twilio,
}

impl ProviderKind {
    /// The kinds with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Managed, "managed"), (Self::SipTrunk, "sip_trunk"), (Self::Twilio, "twilio")];

    /// Whether it is an organization's account at a carrier.
    pub fn is_account(self) -> bool {
        match self {
            Self::Twilio => true,
            Self::Managed | Self::SipTrunk => false,
        }
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// A secret, encrypted by the server. Opaque here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// A user name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password, encrypted.
    pub password: Sealed,
}

/// What may come in from a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// From where.
    pub allowed_addresses: Vec<AddressRule>,
    /// From where, by name: from whatever these resolve to.
    pub allowed_hosts: Vec<HostName>,
    /// From which callers; empty: from all.
    pub allowed_numbers: Vec<E164>,
    /// Whether sound may be encrypted.
    pub media_encryption: MediaEncryption,
    /// With which digest credentials.
    pub credentials: Option<Credentials>,
    /// From whom: names that a certificate shown over TLS may have, wherever it comes from. Domains in lower case.
    pub certificate_names: Box<Vec<String>>,
}

impl Inbound {
    /// The most names of certificates of one trunk.
    pub const CERTIFICATE_NAMES_MAX: usize = 64;

    /// The domain of a certificate's name as it is written: `sip.carrier.example` or `sip:carrier.example` (RFC 5922). None for
    /// anything else.
    pub fn certificate_name(text: &str) -> Option<String> {
        let name = text.strip_prefix("sip:").unwrap_or(text);
        let (host, port) = host_and_port(name)?;
        let domain = host.len() <= 253 && host.contains('.') && !host.ends_with('.') && !host.contains("..");
        (domain && port.is_none() && host.parse::<IpAddr>().is_err()).then(|| host.to_ascii_lowercase())
    }
}

impl Default for Inbound {
    fn default() -> Self {
        let (allowed_addresses, allowed_numbers) = (Vec::new(), Vec::new());
        Self {
            allowed_addresses,
            allowed_hosts: Vec::new(),
            allowed_numbers,
            media_encryption: MediaEncryption::Allowed,
            credentials: None,
            certificate_names: Box::default(),
        }
    }
}

/// Where calls out to the phone network go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// `host` or `host:port`.
    pub address: String,
    /// How.
    pub transport: Transport,
    /// The country that its calls are for.
    pub destination_country: Option<Country>,
    /// Whether sound may be encrypted.
    pub media_encryption: MediaEncryption,
    /// With which digest credentials.
    pub credentials: Option<Credentials>,
    /// What calls look like there.
    pub dial: DialForm,
    /// Whether it carries calls for help.
    pub emergency: bool,
    /// How many calls it takes in a second; none: as many as come.
    pub calls_per_second: Option<u32>,
    /// Which of several is tried first: the lowest.
    pub priority: u16,
}

impl Outbound {
    /// The most calls in a second that can be set.
    pub const CALLS_PER_SECOND_MAX: u32 = 100_000;
    /// The priority where none is set, as of targets.
    pub const PRIORITY: u16 = 10;

    /// A side with nothing but its place.
    pub fn new(address: String, transport: Transport) -> Self {
        Self {
            address,
            transport,
            destination_country: None,
            media_encryption: MediaEncryption::default(),
            credentials: None,
            dial: DialForm::default(),
            emergency: false,
            calls_per_second: None,
            priority: Self::PRIORITY,
        }
    }

    /// The Request-URI of a call by it.
    pub fn request_uri(&self, to: Destination) -> String {
        format!("sip:{}@{}{}", self.dial.user(to), self.address, self.transport.parameter())
    }
}

/// How a number reaches the phone network.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Whose it is; none: the operator's, which carries managed numbers of all.
    pub organization_id: Option<OrganizationId>,
    /// What kind of way it is.
    pub kind: ProviderKind,
    /// A name for people.
    pub label: String,
    /// What may come in (trunks only).
    pub inbound: Option<Inbound>,
    /// Where calls go out (trunks and accounts).
    pub outbound: Option<Outbound>,
    /// Where it registers, so that calls come in (trunks only).
    pub register: Option<Box<Register>>,
    /// The account at the carrier (accounts only).
    pub account: Option<CarrierAccount>,
    /// How many calls of it may be in progress, in and out, those that ring too; none: no limit.
    pub calls_max: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// What a change of a provider may name; also what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderPatch {
    /// A name.
    pub label: Option<String>,
    /// What may come in.
    pub inbound: Patch<Inbound>,
    /// Where calls go out.
    pub outbound: Patch<Outbound>,
    /// Where it registers.
    pub register: Patch<Box<Register>>,
    /// The account at a carrier.
    pub account: Option<AccountPatch>,
    /// How many calls of it may be in progress, in and out.
    pub calls_max: Patch<u32>,
}

/// The most addresses of one trunk or endpoint.
pub const ADDRESSES_MAX: usize = 256;
/// The most hosts of one trunk.
pub const HOSTS_MAX: usize = 16;
/// The most callers that one trunk names.
pub const CALLERS_MAX: usize = 1_000;

pub(crate) fn within_limit(addresses: Vec<AddressRule>, field: &'static str) -> Result<Vec<AddressRule>> {
    if addresses.len() > ADDRESSES_MAX {
        let words = format!("`{field}` may have at most {ADDRESSES_MAX} entries.");
        return Err(Error::invalid(What::Provider, field, words));
    }
    if let Some(wide) = addresses.iter().find(|rule| rule.is_too_wide()) {
        let (v4, v6) = (AddressRule::V4_MIN, AddressRule::V6_MIN);
        let words =
            format!("`{field}`: {wide} is too wide; name ranges of /{v4} or narrower, for IPv6 /{v6}.");
        return Err(Error::invalid(What::Provider, field, words));
    }
    Ok(addresses)
}

impl Provider {
    /// A new provider.
    pub fn create(
        organization_id: Option<OrganizationId>,
        id: ProviderId,
        kind: ProviderKind,
        new: ProviderPatch,
        now: Timestamp,
    ) -> Result<Self> {
        if new.label.is_none() {
            return Err(Error::missing(What::Provider, "label"));
        }
        let blank = Self {
            id,
            organization_id,
            kind,
            label: String::new(),
            inbound: None,
            outbound: None,
            register: None,
            account: None,
            calls_max: None,
            created_at: now,
            updated_at: now,
            version: 0,
        };
        blank.update(new, now)
    }

    /// Applies a patch; the same provider back means that nothing changed.
    pub fn update(&self, patch: ProviderPatch, now: Timestamp) -> Result<Self> {
        let ProviderPatch { label, inbound, outbound, register, account, calls_max } = patch;
        let mut next = self.clone();
        if let Some(text) = label {
            next.label = crate::agent::text_within(What::Provider, "label", &text, crate::agent::NAME_MAX)?;
        }
        inbound.apply(&mut next.inbound);
        outbound.apply(&mut next.outbound);
        register.apply(&mut next.register);
        next.set_account(account)?;
        // What let calls out in another region is not to be had either, unless the same change says where they go now.
        let attachment = |p: &Self| p.account.as_ref().and_then(|account| account.attachment.clone());
        if attachment(self).is_some() && attachment(&next).is_none() && next.outbound == self.outbound {
            next.outbound = None;
        }
        calls_max.apply(&mut next.calls_max);
        next.check_sides()?;
        if let Some(inbound) = &mut next.inbound {
            inbound.allowed_addresses =
                within_limit(std::mem::take(&mut inbound.allowed_addresses), "inbound")?;
            if inbound.certificate_names.len() > Inbound::CERTIFICATE_NAMES_MAX {
                let most = Inbound::CERTIFICATE_NAMES_MAX;
                let words = format!("`certificate_names` may have at most {most} entries.");
                return Err(Error::invalid(What::Provider, "inbound", words));
            }
            if inbound.allowed_hosts.len() > HOSTS_MAX {
                let words = format!("`allowed_addresses` may name at most {HOSTS_MAX} hosts.");
                return Err(Error::invalid(What::Provider, "inbound", words));
            }
            if inbound.allowed_numbers.len() > CALLERS_MAX {
                let words = format!("`allowed_numbers` may have at most {CALLERS_MAX} entries.");
                return Err(Error::invalid(What::Provider, "inbound", words));
            }
        }
        if let Some(outbound) = &next.outbound
            && host_and_port(&outbound.address).is_none()
        {
            let words = "`outbound.address` must be a host or host:port.";
            return Err(Error::invalid(What::Provider, "outbound", words));
        }
        if let Some(outbound) = &next.outbound {
            outbound.dial.check()?;
        }
        if next.register != self.register
            && let Some(register) = &next.register
        {
            register.check()?;
        }
        next.check_names(self)?;
        if next != *self {
            next.version += 1;
            next.updated_at = now;
        }
        Ok(next)
    }

    /// A SIP trunk has one side at least, an account the way out alone, and what is managed none.
    fn check_sides(&self) -> Result<()> {
        let sides = self.inbound.is_some() || self.outbound.is_some();
        match self.kind {
            ProviderKind::Managed if sides => {
                let words = "Only a SIP trunk has `inbound` and `outbound`; leave them out.";
                Err(Error::invalid(What::Provider, "inbound", words))
            }
            ProviderKind::Twilio if self.inbound.is_some() => {
                let words =
                    "Calls of an account come by its carrier; only a SIP trunk has `inbound`, leave it out.";
                Err(Error::invalid(What::Provider, "inbound", words))
            }
            ProviderKind::Managed | ProviderKind::Twilio if self.register.is_some() => {
                let words = "Only a SIP trunk has `register`; leave it out.";
                Err(Error::invalid(What::Provider, "register", words))
            }
            ProviderKind::SipTrunk if !sides && self.register.is_none() => {
                let words = "A SIP trunk needs `inbound`, `outbound` or `register`.";
                Err(Error::new(Kind::Missing, What::Provider, words).at("inbound"))
            }
            ProviderKind::Managed | ProviderKind::SipTrunk | ProviderKind::Twilio => Ok(()),
        }
    }

    /// User names stand in quotes on the wire (RFC 7616 section 3.4), where clients escape a quote or a backslash each in its own
    /// way, or not: a caller with such a name could not prove itself. A name that is there already stays.
    fn check_names(&self, before: &Self) -> Result<()> {
        fn name(credentials: Option<&Credentials>) -> Option<&str> {
            credentials.map(|one| one.username.as_str())
        }
        fn of(provider: &Provider) -> [(&'static str, Option<&str>); 3] {
            let inbound = provider.inbound.as_ref().and_then(|side| side.credentials.as_ref());
            let outbound = provider.outbound.as_ref().and_then(|side| side.credentials.as_ref());
            let register = provider.register.as_ref().map(|side| &side.credentials);
            [("inbound", name(inbound)), ("outbound", name(outbound)), ("register", name(register))]
        }
        let fits = |name: &str| !name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        for ((side, name), (_, before)) in of(self).into_iter().zip(of(before)) {
            if name != before && name.is_some_and(|name| !fits(name)) {
                let words = format!(
                    "`{side}.credentials.username` must not contain a quote, a backslash or a control character."
                );
                return Err(Error::invalid(What::Provider, side, words));
            }
        }
        Ok(())
    }

    fn set_account(&mut self, patch: Option<AccountPatch>) -> Result<()> {
        match (patch, &self.account) {
            (Some(_), _) if !self.kind.is_account() => {
                let words = "Only a provider that is an account at a carrier has one.";
                return Err(Error::invalid(What::Provider, "account_id", words));
            }
            (None, None) if self.kind.is_account() => {
                return Err(Error::missing(What::Provider, "account_id"));
            }
            (None, _) => {}
            (Some(patch), before) => {
                self.account = Some(CarrierAccount::patched(before.as_ref(), patch)?);
            }
        }
        Ok(())
    }

    /// The same with what was made in its account for our numbers.
    #[must_use]
    pub fn attached(&self, attachment: String, now: Timestamp) -> Self {
        let account = self.account.as_ref().map(|account| account.attached(attachment));
        if account == self.account {
            return self.clone();
        }
        Self { account, version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// The same with the way out of its account, where calls go that somebody did not send elsewhere.
    #[must_use]
    pub fn opened(&self, outbound: Outbound, now: Timestamp) -> Self {
        if self.outbound.is_some() || self.account.is_none() {
            return self.clone();
        }
        Self { outbound: Some(outbound), version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// Whether a caller may call through this trunk; a caller without a number only where all may.
    pub fn admits(&self, caller: Option<E164>) -> bool {
        let named = self.inbound.as_ref().map_or(&[][..], |inbound| &inbound.allowed_numbers);
        named.is_empty() || caller.is_some_and(|caller| named.contains(&caller))
    }

    /// Whether a caller's address is this trunk's.
    pub fn accepts_from(&self, address: IpAddr) -> bool {
        self.inbound.as_ref().is_some_and(|i| i.allowed_addresses.iter().any(|rule| rule.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_mistyped_addresses() {
        for name in ["sip.carrier.example", "A-1.example.", "1.2.example", "localhost"] {
            assert_eq!(HostName::parse(name).unwrap().as_str(), name.trim_end_matches('.').to_lowercase());
        }
        for name in
            ["", ".", "192.0.2.256", "192.0.2", "a..b", "-a.b", "a-.b", "a_b.c", "a b.c", "*.b.c", "sip:a.b"]
        {
            assert_eq!(HostName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn ranges_hold_their_addresses_and_no_others() {
        let rule = AddressRule::parse("192.0.2.77/24").unwrap();
        assert_eq!(rule.to_string(), "192.0.2.0/24");
        assert!(rule.contains("192.0.2.1".parse().unwrap()));
        assert!(!rule.contains("192.0.3.1".parse().unwrap()));
        assert!(!rule.contains("::ffff:c000:201".parse().unwrap()));
        let one = AddressRule::parse("2001:db8::1").unwrap();
        assert_eq!((one.to_string().as_str(), one.prefix), ("2001:db8::1", 128));
        assert!(AddressRule::parse("192.0.2.128/25").unwrap().overlaps(&rule));
        assert!(!AddressRule::parse("192.0.3.0/24").unwrap().overlaps(&rule));
    }

    #[test]
    fn a_trunk_admits_the_callers_it_names_or_all() {
        let trunk = |allowed_numbers: Vec<E164>| {
            let inbound = Patch::Set(Inbound { allowed_numbers, ..Inbound::default() });
            let new = ProviderPatch { label: Some("t".into()), inbound, ..ProviderPatch::default() };
            let id = ProviderId(uuid::Uuid::nil());
            Provider::create(None, id, ProviderKind::SipTrunk, new, Timestamp::UNIX_EPOCH)
        };
        let (one, other) = (E164::from_digits("12125550100"), E164::from_digits("13125550100"));
        let open = trunk(Vec::new()).unwrap();
        assert!(open.admits(one) && open.admits(None));
        let closed = trunk(one.into_iter().collect()).unwrap();
        assert!(closed.admits(one) && !closed.admits(other) && !closed.admits(None));
        let many = (0..=CALLERS_MAX as u64).filter_map(|n| E164::from_u64(12_125_550_000 + n)).collect();
        assert_eq!(trunk(many).unwrap_err().field, Some("inbound"));
    }

    #[test]
    fn names_of_certificates_are_domains() {
        for (text, name) in
            [("SIP.Carrier.example", "sip.carrier.example"), ("sip:carrier.example", "carrier.example")]
        {
            assert_eq!(Inbound::certificate_name(text).as_deref(), Some(name));
        }
        for text in [
            "",
            "carrier",
            "*.carrier.example",
            "192.0.2.1",
            "[2001:db8::1]",
            "carrier.example:5061",
            "sips:c.example",
            "a..b",
            "c.example.",
        ] {
            assert_eq!(Inbound::certificate_name(text), None, "{text}");
        }
        let certificate_names = Box::new(vec!["c.example".to_owned(); Inbound::CERTIFICATE_NAMES_MAX + 1]);
        let inbound = Patch::Set(Inbound { certificate_names, ..Inbound::default() });
        let new = ProviderPatch { label: Some("t".into()), inbound, ..ProviderPatch::default() };
        let id = ProviderId(uuid::Uuid::nil());
        let made = Provider::create(None, id, ProviderKind::SipTrunk, new, Timestamp::UNIX_EPOCH);
        assert_eq!(made.unwrap_err().field, Some("inbound"));
    }

    #[test]
    fn user_names_are_such_as_every_client_writes_alike() {
        let now = Timestamp::UNIX_EPOCH;
        let credentials = |name: &str| Some(Credentials { username: name.into(), password: Sealed(vec![1]) });
        let inbound = |name| {
            let side = Patch::Set(Inbound { credentials: credentials(name), ..Inbound::default() });
            ProviderPatch { label: Some("t".into()), inbound: side, ..ProviderPatch::default() }
        };
        let outbound = |name| {
            let plain = Outbound::new("carrier.example".into(), Transport::Udp);
            let side = Outbound { credentials: credentials(name), ..plain };
            let outbound = Patch::Set(side);
            ProviderPatch { label: Some("t".into()), outbound, ..ProviderPatch::default() }
        };
        let make =
            |new| Provider::create(None, ProviderId(uuid::Uuid::nil()), ProviderKind::SipTrunk, new, now);
        let plain = make(inbound("line 1@example.com ü")).unwrap();
        for name in ["a\"b", "a\\b", "\"", "a\r\nb", "a\u{7f}"] {
            for refused in [make(inbound(name)), plain.update(inbound(name), now)] {
                let error = refused.unwrap_err();
                assert_eq!(error.field, Some("inbound"), "{name}");
                assert!(error.public.contains("`inbound.credentials.username`"), "{}", error.public);
            }
            assert_eq!(make(outbound(name)).unwrap_err().field, Some("outbound"));
        }
        // one that was taken before there was this rule does not stand in the way of another change
        let mut former = plain;
        former.inbound.as_mut().unwrap().credentials = credentials("a\"b");
        let label = ProviderPatch { label: Some("u".into()), ..ProviderPatch::default() };
        assert!(former.update(label, now).is_ok());
    }

    #[test]
    fn an_account_is_a_kind_of_its_own() {
        let account = || AccountPatch {
            id: Some("AC1".into()),
            key_id: Some("SK1".into()),
            key_secret: Some(Sealed(vec![1])),
            region: Some("r1".into()),
        };
        let make = |kind, account, inbound| {
            let new = ProviderPatch { label: Some("a".into()), account, inbound, ..ProviderPatch::default() };
            Provider::create(None, ProviderId(uuid::Uuid::nil()), kind, new, Timestamp::UNIX_EPOCH)
        };
        let linked = make(ProviderKind::Twilio, Some(account()), Patch::Keep).unwrap();
        assert_eq!(make(ProviderKind::Twilio, None, Patch::Keep).unwrap_err().kind, Kind::Missing);
        assert!(make(ProviderKind::Twilio, Some(account()), Patch::Set(Inbound::default())).is_err());
        assert!(make(ProviderKind::SipTrunk, Some(account()), Patch::Set(Inbound::default())).is_err());
        assert!(make(ProviderKind::Managed, Some(account()), Patch::Keep).is_err());
        let now = Timestamp::UNIX_EPOCH;
        let attached = linked.attached("T1".into(), now);
        assert_eq!((attached.version, attached.attached("T1".into(), now).version), (2, 2));
        let way = || Outbound::new("tl1.carrier.example".into(), Transport::Udp);
        let opened = attached.opened(way(), now);
        assert_eq!((opened.version, opened.outbound.as_ref()), (3, Some(&way())));
        let other = Outbound::new("other.example".into(), Transport::Tls);
        assert_eq!(opened.opened(other.clone(), now), opened, "where calls go is somebody's choice");
        let patch = |outbound, region: Option<&str>| {
            let account = region.map(|r| AccountPatch { region: Some(r.into()), ..AccountPatch::default() });
            opened.update(ProviderPatch { outbound, account, ..ProviderPatch::default() }, now).unwrap()
        };
        assert_eq!(patch(Patch::Keep, Some("r2")).outbound, None, "another region's domain is none of ours");
        assert_eq!(patch(Patch::Set(other.clone()), Some("r2")).outbound, Some(other));
        assert_eq!(patch(Patch::Keep, Some("r1")).outbound, Some(way()));
        assert_eq!(patch(Patch::Clear, None).outbound, None);
        for (kind, name) in ProviderKind::NAMES {
            assert_eq!((kind.as_str(), ProviderKind::parse(name)), (name, Some(kind)));
        }
    }

    #[test]
    fn half_of_the_world_is_no_trunk_either() {
        let within = |text| within_limit(vec![AddressRule::parse(text).unwrap()], "inbound").is_ok();
        assert!(within("10.0.0.0/8") && within("2001:db8::/32"));
        assert!(!within("128.0.0.0/1") && !within("8000::/1"));
    }

    #[test]
    fn an_address_in_ipv6_dress_is_the_ipv4_address() {
        for (text, plain) in [("::ffff:192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.0/120", "192.0.2.0/24")] {
            assert_eq!(AddressRule::parse(text), AddressRule::parse(plain), "{text}");
        }
    }

    #[test]
    fn the_whole_world_is_no_trunk() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "::ffff:0.0.0.0/96",
            "::ffff:1.2.3.4/64",
            "",
            "localhost",
            "1.2.3.4/33",
            "1.2.3",
            "1.2.3.4/-1",
        ] {
            assert!(AddressRule::parse(text).is_none(), "{text}");
        }
    }
}
