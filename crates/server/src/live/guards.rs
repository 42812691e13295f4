//! Trunks whose callers may prove who they are by digest. A trunk's addresses and its credentials are two ways in: a call comes
//! from such an address, **or** it knows the password and comes from anywhere.

use domain::ids::ProviderId;
use domain::provider::Provider;
use hashbrown::HashMap;
use sip::digest::Secret;
use std::fmt;

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
        Some(Guard { username: credentials.username.clone(), secret })
    }
}

/// What a trunk asks of its callers.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    username: String,
    /// None where the password could not be opened: nobody knows it then.
    secret: Option<Secret>,
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

    /// Whether a trunk's callers may prove themselves.
    pub(super) fn holds(&self, id: ProviderId) -> bool {
        self.all.contains_key(&id)
    }

    /// Whether any trunk's callers may.
    pub(super) fn any(&self) -> bool {
        !self.all.is_empty()
    }

    /// The trunks that a caller with this user name may be.
    pub(super) fn named(&self, username: &str) -> Vec<(ProviderId, Secret)> {
        let ids = self.by_name.get(username).map(Vec::as_slice).unwrap_or_default();
        let secret = |id: &ProviderId| self.all.get(id).and_then(|guard| guard.secret.clone());
        ids.iter().filter_map(|id| secret(id).map(|secret| (*id, secret))).take(NAMESAKES_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::provider::{Credentials, Inbound, ProviderKind, ProviderPatch};
    use domain::{Patch, Timestamp};
    use uuid::Uuid;

    fn guard(vault: &Vault, id: ProviderId, username: &str) -> Option<Guard> {
        let password = vault.seal(b"secret", id.0.as_bytes());
        let credentials = Some(Credentials { username: username.to_owned(), password });
        let inbound = Patch::Set(Inbound { credentials, ..Inbound::default() });
        let patch = ProviderPatch { label: Some("t".into()), inbound, ..ProviderPatch::default() };
        let now = Timestamp::UNIX_EPOCH;
        let trunk = Provider::create(None, id, ProviderKind::SipTrunk, patch, now).unwrap();
        Opener(Some(Vault::new([7; 32]))).guard(&trunk)
    }

    #[test]
    fn trunks_are_found_by_the_name_they_have_now() {
        let vault = Vault::new([7; 32]);
        let id = |n| ProviderId(Uuid::from_u128(n));
        let mut guards = Guards::default();
        assert!(!guards.any());
        guards.put(id(1), guard(&vault, id(1), "line"));
        guards.put(id(2), guard(&vault, id(2), "line"));
        let named = |guards: &Guards, name: &str| {
            guards.named(name).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!((named(&guards, "line"), named(&guards, "other")), (vec![id(1), id(2)], vec![]));
        guards.put(id(2), None);
        assert!(guards.holds(id(1)) && !guards.holds(id(2)) && guards.any());
        guards.put(id(1), guard(&vault, id(1), "new"));
        assert_eq!((named(&guards, "line"), named(&guards, "new")), (vec![], vec![id(1)]));
    }

    #[test]
    fn a_password_that_cannot_be_opened_lets_nobody_in() {
        let id = ProviderId(Uuid::from_u128(1));
        let mut guards = Guards::default();
        guards.put(id, guard(&Vault::new([8; 32]), id, "line"));
        assert!(guards.holds(id) && guards.named("line").is_empty());
        assert!(!format!("{guards:?}").contains("secret\""));
    }
}
