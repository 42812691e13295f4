//! The keys of one API as its own clients see them: with their use, and none of another API's.

use domain::caller::Actor;
use domain::ids::{KeyId, OrganizationId};
use domain::key::{DialectName, KeyUsage};
use domain::op::Secret;
use domain::{Change, Commit, Error, Key, Page, Paged, Result, View, What};

use super::failure::of_read;
use super::{App, Ask, again};

impl App {
    pub(super) fn key_use_list(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        dialect: &DialectName,
        page: &Page<KeyId>,
    ) -> Result<View> {
        self.organization_get(ask, id)?;
        let Paged { items, more } = self.store.key_list_of(id, dialect, page).map_err(of_read)?;
        let items = items.into_iter().map(|key| self.key_used(ask, key)).collect::<Result<_>>()?;
        Ok(View::KeysUsed(Paged { items, more }))
    }

    pub(super) fn key_use_get(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        dialect: &DialectName,
        key: KeyId,
    ) -> Result<View> {
        let (key, usage) = self.key_used(ask, self.key_of(ask, id, dialect, key)?)?;
        Ok(View::KeyUsed(key, usage))
    }

    pub(super) async fn key_use_delete(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        dialect: &DialectName,
        key: KeyId,
    ) -> Result<View> {
        self.key_of(ask, id, dialect, key)?;
        self.key_delete(ask, id, key).await
    }

    pub(super) async fn key_rotate(
        &self,
        ask: Ask<'_>,
        id: OrganizationId,
        dialect: DialectName,
        key: KeyId,
    ) -> Result<View> {
        ask.caller.require_person()?;
        again!(None::<u64>, {
            let before = self.key_of(ask, id, &dialect, key)?;
            // A revoked key is gone for whoever asks by its id.
            let before =
                Some(before).filter(|k| k.revoked_at.is_none()).ok_or_else(|| Error::not_found(What::Key))?;
            ask.caller.check_revoke(&before)?;
            let form = dialects::by_name(&dialect.0);
            let form = form.ok_or_else(|| Error::internal(format!("no dialect {}", dialect.0)))?;
            let (secret, minted) = self.key_mint(form, before.mode);
            let (next, last) = before.rotate(minted, ask.now)?;
            let event = ask.event(id, "key.rotated", key);
            let changes = vec![Change::Key(next.clone()), Change::Key(last), event];
            let view = View::KeyCreated(next, Secret(secret));
            self.commit(ask, Commit { changes, ..Commit::default() }, view).await
        })
    }

    /// The key that the caller acts by, where it acts by one.
    pub(super) fn own_key(&self, ask: Ask<'_>) -> Result<Option<Key>> {
        match (&ask.caller.actor, ask.caller.organization_id) {
            (Actor::Key(key), Some(organization)) => self.store.key_get(organization, *key).map_err(of_read),
            _ => Ok(None),
        }
    }

    fn key_of(&self, ask: Ask<'_>, id: OrganizationId, dialect: &DialectName, key: KeyId) -> Result<Key> {
        self.organization_get(ask, id)?;
        let found = self.store.key_get(id, key).map_err(of_read)?.filter(|key| key.dialect == *dialect);
        found.ok_or_else(|| Error::not_found(What::Key))
    }

    /// A key with its use: what is stored, and what is not stored yet.
    fn key_used(&self, ask: Ask<'_>, key: Key) -> Result<(Key, KeyUsage)> {
        let (mut usage, hour) = (KeyUsage::default(), KeyUsage::hour(ask.now));
        let stored = self.store.key_usage(key.organization_id, key.id).map_err(of_read)?;
        let waiting = self.uses.of(key.organization_id, key.id);
        stored.iter().chain(&waiting).for_each(|used| usage.add(used, hour));
        Ok((key, usage))
    }
}
