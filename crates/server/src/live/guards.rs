//! Trunks whose callers may prove who they are by digest. A trunk's addresses and its credentials are two ways in: a call comes
//! from such an address, **or** it knows the password and comes from anywhere.

use domain::ids::{OrganizationId, ProviderId};
use domain::provider::{Credentials, Provider};
use hashbrown::HashMap;
use sip::Login;
use sip::digest::Secret;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

use crate::vault::Vault;

/// Trunks of one user name that are tried for a call: tenants may have chosen the same. The trunk that the call is for is
/// among them however many there are.
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
        let organization = provider.organization_id;
        Some(Guard { username: credentials.username.clone(), secret, organization })
    }
}

/// Opens the password of a login that answers challenges: at an endpoint's targets, or at a trunk's carrier.
impl Opener {
    pub(super) fn login(&self, owner: Uuid, credentials: Option<&Credentials>) -> Option<Arc<Login>> {
        let Credentials { username, password } = credentials?;
        let opened = self.0.as_ref().and_then(|vault| vault.open(password, owner.as_bytes()));
        if opened.is_none() {
            tracing::error!(owner.id = %owner, "a password for a target cannot be opened: its challenges stay unanswered");
        }
        opened.map(|password| Arc::new(Login { owner, username: username.clone(), password }))
    }
}

/// What a trunk asks of its callers.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    pub(super) username: String,
    /// None where the password could not be opened: nobody knows it then.
    pub(super) secret: Option<Secret>,
    /// None: the operator's.
    pub(super) organization: Option<OrganizationId>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Guards {
    pub(super) all: HashMap<ProviderId, Guard>,
    /// The operator's first: they carry numbers of all, and no tenant makes one. Then by their ids, so that every node tries the same.
    pub(super) by_name: HashMap<String, Vec<ProviderId>>,
    /// How many each organization has.
    pub(super) by_owner: HashMap<Option<OrganizationId>, u32>,
}

impl Guards {
    pub(super) fn put(&mut self, id: ProviderId, guard: Option<Guard>) {
        if let Some(former) = self.all.remove(&id) {
            self.forget(id, &former);
        }
        if let Some(guard) = guard {
            let ids = self.by_name.entry(guard.username.clone()).or_default();
            let owner = |other: &ProviderId| self.all.get(other).and_then(|guard| guard.organization);
            let place = (guard.organization.is_some(), id);
            let at = ids.partition_point(|other| (owner(other).is_some(), *other) < place);
            ids.insert(at, id);
            *self.by_owner.entry(guard.organization).or_insert(0) += 1;
            self.all.insert(id, guard);
        }
    }

    fn forget(&mut self, id: ProviderId, former: &Guard) {
        if let Some(ids) = self.by_name.get_mut(&former.username) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_name.remove(&former.username);
            }
        }
        if let Some(count) = self.by_owner.get_mut(&former.organization) {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(&former.organization);
            }
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

    /// Whether callers of somebody else's trunk may: of another organization than this one.
    pub(super) fn any_beyond(&self, organization: OrganizationId) -> bool {
        self.by_owner.keys().any(|owner| *owner != Some(organization))
    }

    /// The trunks that a caller with this user name may be: that of the number that was dialled, however many others have the
    /// name, then the operator's, then some others, for which a right password earns the answer that the number is not theirs.
    pub(super) fn named(&self, username: &str, dialled: Option<ProviderId>) -> Vec<(ProviderId, Secret)> {
        let ids = self.by_name.get(username).map(Vec::as_slice).unwrap_or_default();
        let of = |id: &ProviderId| self.all.get(id).filter(|guard| guard.username == username);
        let secret =
            |id: &ProviderId| of(id).and_then(|guard| guard.secret.clone()).map(|secret| (*id, secret));
        let others = ids.iter().filter(|id| Some(**id) != dialled);
        dialled.iter().chain(others).filter_map(secret).take(NAMESAKES_MAX).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::provider::{Inbound, ProviderKind, ProviderPatch};
    use domain::{Patch, Timestamp};

    fn guard(vault: &Vault, id: ProviderId, username: &str) -> Option<Guard> {
        guard_of(vault, Some(OrganizationId(Uuid::from_u128(9))), id, username)
    }

    fn guard_of(
        vault: &Vault,
        organization: Option<OrganizationId>,
        id: ProviderId,
        username: &str,
    ) -> Option<Guard> {
        let password = vault.seal(b"secret", id.0.as_bytes());
        let credentials = Some(Credentials { username: username.to_owned(), password });
        let inbound = Patch::Set(Inbound { credentials, ..Inbound::default() });
        let patch = ProviderPatch { label: Some("t".into()), inbound, ..ProviderPatch::default() };
        let now = Timestamp::UNIX_EPOCH;
        let trunk = Provider::create(organization, id, ProviderKind::SipTrunk, patch, now).unwrap();
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
            guards.named(name, None).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!((named(&guards, "line"), named(&guards, "other")), (vec![id(1), id(2)], vec![]));
        guards.put(id(2), None);
        assert!(guards.holds(id(1)) && !guards.holds(id(2)) && guards.any());
        guards.put(id(1), guard(&vault, id(1), "new"));
        assert_eq!((named(&guards, "line"), named(&guards, "new")), (vec![], vec![id(1)]));
    }

    #[test]
    fn namesakes_of_others_keep_no_trunk_out() {
        let vault = Vault::new([7; 32]);
        let id = |n| ProviderId(Uuid::from_u128(n));
        let mut guards = Guards::default();
        for n in 1..=20 {
            guards.put(id(n), guard(&vault, id(n), "line"));
        }
        guards.put(id(30), guard_of(&vault, None, id(30), "line"));
        let named = |dialled| {
            let found = guards.named("line", dialled);
            found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        let found = named(Some(id(20)));
        assert_eq!((found.len(), &found[..3]), (NAMESAKES_MAX, &[id(20), id(30), id(1)][..]));
        let found = named(Some(id(3)));
        assert_eq!(found.iter().filter(|one| **one == id(3)).count(), 1);
        assert_eq!(named(None)[0], id(30), "a number of the stock comes by the operator's trunk");
        assert!(guards.named("other", Some(id(20))).is_empty(), "the name has to be its own");
    }

    #[test]
    fn it_is_known_whose_callers_are_asked() {
        let vault = Vault::new([7; 32]);
        let (id, own) = (|n| ProviderId(Uuid::from_u128(n)), OrganizationId(Uuid::from_u128(9)));
        let mut guards = Guards::default();
        guards.put(id(1), guard(&vault, id(1), "line"));
        guards.put(id(1), guard(&vault, id(1), "line"));
        assert!(!guards.any_beyond(own) && guards.any_beyond(OrganizationId(Uuid::from_u128(8))));
        guards.put(id(2), guard_of(&vault, None, id(2), "line"));
        assert!(guards.any_beyond(own));
        guards.put(id(2), None);
        guards.put(id(1), None);
        assert!(guards.by_owner.is_empty() && !guards.any_beyond(own));
    }

    #[test]
    fn a_password_that_cannot_be_opened_lets_nobody_in() {
        let id = ProviderId(Uuid::from_u128(1));
        let mut guards = Guards::default();
        guards.put(id, guard(&Vault::new([8; 32]), id, "line"));
        assert!(guards.holds(id) && guards.named("line", Some(id)).is_empty());
        assert!(!format!("{guards:?}").contains("secret\""));
    }
}
