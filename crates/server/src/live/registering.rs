//! The trunks that are to register with their carriers, and what their carriers call us by. Who registers them: `edge::registrants`.

use domain::ids::ProviderId;
use domain::provider::Provider;
use hashbrown::HashMap;
use sip::Account;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use super::guards::Opener;

#[derive(Debug, Default)]
struct Table {
    accounts: HashMap<ProviderId, Arc<Account>>,
    /// By the user part of our Contact.
    by_user: HashMap<String, ProviderId>,
    /// The routes that carriers want calls out to take (RFC 3608); most name none.
    routes: HashMap<ProviderId, Vec<String>>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Registering {
    table: Mutex<Table>,
    changed: Notify,
}

impl Registering {
    // Plain data; each change below is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a trunk is to register; none: nothing.
    pub(super) fn put(&self, trunk: ProviderId, account: Option<Account>) {
        let mut table = self.lock();
        let before = table.accounts.remove(&trunk);
        if before.as_deref() == account.as_ref() {
            table.accounts.extend(before.map(|account| (trunk, account)));
            return;
        }
        table.routes.remove(&trunk);
        if let Some(before) = before {
            table.by_user.remove(&before.user);
        }
        if let Some(account) = account {
            table.by_user.insert(account.user.clone(), trunk);
            table.accounts.insert(trunk, Arc::new(account));
        }
        drop(table);
        self.changed.notify_one();
    }

    /// The routes that a trunk's carrier wants calls out to take, in place of those before.
    pub(crate) fn put_routes(&self, trunk: ProviderId, routes: Vec<String>) {
        let mut table = self.lock();
        if routes.is_empty() || !table.accounts.contains_key(&trunk) {
            table.routes.remove(&trunk);
        } else {
            table.routes.insert(trunk, routes);
        }
    }

    /// These routes, in their order.
    pub(super) fn routes(&self, trunk: ProviderId) -> Vec<String> {
        self.lock().routes.get(&trunk).cloned().unwrap_or_default()
    }

    /// Every trunk that is to register.
    pub(crate) fn all(&self) -> Vec<(ProviderId, Arc<Account>)> {
        self.lock().accounts.iter().map(|(trunk, account)| (*trunk, Arc::clone(account))).collect()
    }

    /// Whether a trunk is to register.
    pub(crate) fn has(&self, trunk: ProviderId) -> bool {
        self.lock().accounts.contains_key(&trunk)
    }

    /// The trunk whose carrier calls us by this user. Nobody else knows it.
    pub(crate) fn trunk_called(&self, user: &str) -> Option<ProviderId> {
        user.starts_with(USER).then(|| self.lock().by_user.get(user).copied()).flatten()
    }

    /// Waits until what is to be registered changes.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Before the secret part of the user in our Contact.
const USER: &str = "tr";
/// Bytes of the secret part.
const USER_BYTES: usize = 15;

/// Whether a user has the form of those in our Contacts: it is not to be shown.
pub(crate) fn is_contact(user: &str) -> bool {
    let hex = |secret: &str| secret.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    user.strip_prefix(USER).is_some_and(|secret| secret.len() == 2 * USER_BYTES && hex(secret))
}

/// Takes the secrets of such users out of a message, whose length stays: who has one calls as the trunk's carrier.
pub(crate) fn hide_contacts(message: &mut [u8]) {
    const LENGTH: usize = USER.len() + 2 * USER_BYTES;
    let mut at = 0;
    while let Some(word) = message.get_mut(at..at + LENGTH) {
        if std::str::from_utf8(word).is_ok_and(is_contact) {
            word[USER.len()..].fill(b'x');
            at += LENGTH;
        } else {
            at += 1;
        }
    }
}

impl Opener {
    /// What a trunk is to register, if it is. The user of its Contact is a secret between its carrier and us, and like the instance
    /// the same over restarts: so the binding stays one.
    pub(super) fn account(&self, provider: &Provider) -> Option<Account> {
        let register = provider.register.as_ref()?;
        let vault = self.0.as_ref()?;
        let id = provider.id.0.as_bytes();
        let login = self.login(provider.id.0, Some(&register.credentials))?;
        let secret = vault.mac(&[b"contact", id]);
        let user =
            secret.iter().take(USER_BYTES).fold(USER.to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let instance = vault.mac(&[b"instance", id]).first_chunk().copied().unwrap_or_default();
        Some(Account {
            registrar: register.request_uri(),
            aor: register.address_of_record(),
            user,
            instance: uuid::Builder::from_custom_bytes(instance).into_uuid(),
            login,
            expires: register.expires_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::vault::Vault;
    use domain::Patch;
    use domain::Timestamp;
    use domain::provider::{Credentials, ProviderKind, ProviderPatch, Register};
    use domain::target::Transport;
    use store::Changed;
    use uuid::Uuid;

    fn provider(vault: &Vault, registrar: &str) -> Provider {
        let id = ProviderId(Uuid::from_u128(7));
        let password = vault.seal(b"secret", id.0.as_bytes());
        let register = Register {
            registrar: registrar.to_owned(),
            transport: Transport::Tcp,
            domain: None,
            user: None,
            credentials: Credentials { username: "line".to_owned(), password },
            expires_seconds: 600,
        };
        let new = ProviderPatch {
            label: Some("t".into()),
            register: Patch::Set(Box::new(register)),
            ..ProviderPatch::default()
        };
        Provider::create(None, id, ProviderKind::SipTrunk, new, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_trunk_is_found_by_what_its_carrier_calls_us() {
        let (vault, table) = (Vault::new([1; 32]), Registering::default());
        let opener = Opener(Some(vault.clone()));
        let trunk = provider(&vault, "carrier.example");
        let account = opener.account(&trunk).unwrap();
        assert_eq!(account.registrar, "sip:carrier.example;transport=tcp");
        assert_eq!((account.aor.as_str(), account.user.len()), ("sip:line@carrier.example", 32));
        assert!(is_contact(&account.user) && !is_contact("trunk") && !is_contact("+14155550100"));
        assert_eq!(opener.account(&trunk), Some(account.clone()), "the same after a restart");
        assert_ne!(Opener(Some(Vault::new([2; 32]))).account(&trunk), Some(account.clone()));
        let line =
            |user: &str| format!("INVITE sip:{user}@h SIP/2.0\r\nTo: <sip:{user}@h>\r\n\r\ntr0").into_bytes();
        let mut message = line(&account.user);
        hide_contacts(&mut message);
        assert_eq!(message, line(&format!("tr{}", "x".repeat(30))));
        table.put(trunk.id, Some(account.clone()));
        assert_eq!(table.trunk_called(&account.user), Some(trunk.id));
        assert!(
            table.has(trunk.id) && table.trunk_called("tr00").is_none() && table.trunk_called("").is_none()
        );
        table.put_routes(trunk.id, vec!["<sip:a;lr>".to_owned()]);
        assert_eq!(table.routes(trunk.id).len(), 1);
        table.put(trunk.id, None);
        table.put_routes(trunk.id, vec!["<sip:a;lr>".to_owned()]);
        assert!(table.routes(trunk.id).is_empty(), "late news of a trunk that is gone");
        assert!(table.all().is_empty() && table.trunk_called(&account.user).is_none());
        assert!(!format!("{account:?}").contains("secret"));
    }

    /// What a registrar may be is its organization's: asked at once, it must not be found of nobody.
    #[test]
    fn a_trunk_is_in_the_table_before_it_is_to_register() {
        let vault = Vault::new([1; 32]);
        let mut live = Live::new();
        live.opener = Opener(Some(vault.clone()));
        let trunk = provider(&vault, "carrier.example");
        let id = trunk.id;
        std::thread::scope(|scope| {
            let looks = live.read();
            let applies = scope.spawn(|| live.apply(Changed::Provider(trunk)));
            // It waits for who looks at the table, which keeps others from looking, and nobody is told before it is in there.
            while live.directory.try_read().is_ok() {
                assert!(!applies.is_finished());
                std::thread::yield_now();
            }
            assert!(!live.registering.has(id));
            drop(looks);
            applies.join().unwrap();
        });
        assert!(live.registering.has(id) && live.trunk(id).is_some());
    }
}
