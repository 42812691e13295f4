//! Trunks whose callers prove who they are by digest. A trunk's addresses and its credentials narrow each other: with both, a
//! call must come from such an address **and** know the password; with credentials alone it may come from anywhere.

use domain::ids::ProviderId;
use domain::provider::{AddressRule, Provider};
use hashbrown::HashMap;
use sip::digest::Secret;
use std::fmt;
use std::net::IpAddr;

use crate::vault::Vault;

/// Trunks of one user name that are tried for a call: tenants may have chosen the same.
const NAMESAKES_MAX: usize = 8;

/// Opens what the vault sealed; without a vault nothing opens.
#[derive(Default)]
pub(super) struct Opener(pub(super) Option<Vault>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(…)")
    }
}

impl Opener {
    /// What verifying a trunk's callers needs, if it asks them. Computed once, when the trunk is loaded.
    pub(super) fn guard(&self, provider: &Provider) -> Option<Guard> {
        let inbound = provider.inbound.as_ref()?;
        let credentials = inbound.credentials.as_ref()?;
        let opened = self.0.as_ref().and_then(|v| v.open(&credentials.password, provider.id.0.as_bytes()));
        if opened.is_none() {
            tracing::error!(provider.id = %provider.id, "a trunk's password cannot be opened: its callers are refused");
        }
        let secret = opened.map(|password| Secret::new(&credentials.username, &password));
        let (username, rules) = (credentials.username.clone(), inbound.allowed_addresses.clone());
        Some(Guard { username, rules, secret })
    }
}

/// What a trunk asks of its callers.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    username: String,
    rules: Vec<AddressRule>,
    /// None where the password could not be opened: nobody knows it then.
    secret: Option<Secret>,
}

impl Guard {
    fn takes(&self, source: IpAddr) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.contains(source))
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Guards {
    all: HashMap<ProviderId, Guard>,
    by_name: HashMap<String, Vec<ProviderId>>,
}

impl Guards {
    pub(super) fn put(&mut self, id: ProviderId, guard: Option<Guard>) {
        if let Some(former) = self.all.remove(&id)
            && let Some(ids) = self.by_name.get_mut(&former.username)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_name.remove(&former.username);
            }
        }
        if let Some(guard) = guard {
            self.by_name.entry(guard.username.clone()).or_default().push(id);
            self.all.insert(id, guard);
        }
    }

    /// Whether a trunk asks its callers.
    pub(super) fn holds(&self, id: ProviderId) -> bool {
        self.all.contains_key(&id)
    }

    /// Whether a caller from here could prove to be some trunk's.
    pub(super) fn any_takes(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.all.values().any(|guard| guard.takes(source))
    }

    /// The trunks that a caller from here could prove to be.
    pub(super) fn from(&self, source: IpAddr) -> Vec<ProviderId> {
        let source = source.to_canonical();
        self.all.iter().filter(|(_, guard)| guard.takes(source)).map(|(id, _)| *id).collect()
    }

    /// Whether a caller from here could prove to be this trunk's.
    pub(super) fn takes(&self, id: ProviderId, source: IpAddr) -> bool {
        self.all.get(&id).is_some_and(|guard| guard.takes(source.to_canonical()))
    }

    /// The trunks that a caller from here with this user name may be.
    pub(super) fn named(&self, username: &str, source: IpAddr) -> Vec<(ProviderId, Secret)> {
        let source = source.to_canonical();
        let ids = self.by_name.get(username).map(Vec::as_slice).unwrap_or_default();
        let guards = ids.iter().filter_map(|id| self.all.get(id).map(|guard| (*id, guard)));
        let taking = guards.filter(|(_, guard)| guard.takes(source));
        taking.filter_map(|(id, guard)| Some((id, guard.secret.clone()?))).take(NAMESAKES_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::provider::{Credentials, Inbound, ProviderKind, ProviderPatch};
    use domain::{Patch, Timestamp};
    use uuid::Uuid;

    fn guard(vault: &Vault, id: ProviderId, username: &str, rules: &[&str]) -> Option<Guard> {
        let password = vault.seal(b"secret", id.0.as_bytes());
        let credentials = Some(Credentials { username: username.to_owned(), password });
        let allowed_addresses = rules.iter().map(|rule| AddressRule::parse(rule).unwrap()).collect();
        let inbound = Patch::Set(Inbound { allowed_addresses, credentials, ..Inbound::default() });
        let patch = ProviderPatch {
            label: Some("t".into()),
            inbound,
            outbound: Patch::Keep,
            ..ProviderPatch::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let trunk = Provider::create(None, id, ProviderKind::SipTrunk, patch, now).unwrap();
        Opener(Some(Vault::new([7; 32]))).guard(&trunk)
    }

    #[test]
    fn addresses_and_credentials_narrow_each_other() {
        let vault = Vault::new([7; 32]);
        let id = |n| ProviderId(Uuid::from_u128(n));
        let address = |text: &str| text.parse().unwrap();
        let mut guards = Guards::default();
        guards.put(id(1), guard(&vault, id(1), "line", &["192.0.2.0/24"]));
        guards.put(id(2), guard(&vault, id(2), "line", &[]));
        let named = |guards: &Guards, name: &str, from: &str| {
            guards.named(name, address(from)).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(named(&guards, "line", "192.0.2.7"), [id(1), id(2)]);
        assert_eq!(named(&guards, "line", "::ffff:192.0.2.7"), [id(1), id(2)]);
        assert_eq!(named(&guards, "line", "198.51.100.7"), [id(2)]);
        assert_eq!(named(&guards, "other", "192.0.2.7"), []);
        assert!(guards.takes(id(1), address("192.0.2.7")) && !guards.takes(id(1), address("198.51.100.7")));
        guards.put(id(2), None);
        assert!(guards.holds(id(1)) && !guards.holds(id(2)));
        assert!(guards.any_takes(address("192.0.2.7")) && !guards.any_takes(address("198.51.100.7")));
        // a renamed one is not found by its former name
        guards.put(id(1), guard(&vault, id(1), "new", &[]));
        assert_eq!(
            (named(&guards, "line", "192.0.2.7"), named(&guards, "new", "192.0.2.7")),
            (vec![], vec![id(1)])
        );
    }

    #[test]
    fn a_password_that_cannot_be_opened_lets_nobody_in() {
        let id = ProviderId(Uuid::from_u128(1));
        let mut guards = Guards::default();
        guards.put(id, guard(&Vault::new([8; 32]), id, "line", &[]));
        assert!(guards.holds(id) && guards.named("line", "192.0.2.7".parse().unwrap()).is_empty());
        assert!(!format!("{guards:?}").contains("secret\""));
    }
}
