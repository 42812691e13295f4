//! How much keys are used: counted in memory, stored in batches. A request costs no write; what was counted since the last batch
//! is lost with a killed process, and nothing else is.

use domain::ids::{KeyId, OrganizationId};
use domain::key::{KeyUsage, KeyUse};
use domain::{Change, Commit, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Store;

use crate::clock;

/// How often counts are stored.
const EVERY: Duration = Duration::from_secs(5);

type Place = (OrganizationId, KeyId, i64);

/// What is not stored yet.
#[derive(Debug, Default)]
pub(crate) struct KeyUses {
    waiting: Mutex<HashMap<Place, KeyUse>>,
}

impl KeyUses {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Place, KeyUse>> {
        // Counts are plain numbers: whatever happened under the lock, they are still counts.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one request.
    pub(crate) fn note(&self, organization_id: OrganizationId, key_id: KeyId, now: Timestamp) {
        let hour = KeyUsage::hour(now);
        let mut waiting = self.waiting();
        let none = KeyUse { organization_id, key_id, hour, requests: 0, last_at: now };
        let used = waiting.entry((organization_id, key_id, hour)).or_insert(none);
        used.requests += 1;
        used.last_at = used.last_at.max(now);
    }

    /// What is waiting of one key.
    pub(crate) fn of(&self, organization_id: OrganizationId, key_id: KeyId) -> Vec<KeyUse> {
        let waiting = self.waiting();
        let own =
            waiting.values().filter(|used| used.organization_id == organization_id && used.key_id == key_id);
        own.copied().collect()
    }

    /// Stores what is waiting. What cannot be stored waits on.
    pub(crate) async fn flush(&self, store: &Store) {
        let batch: Vec<KeyUse> = self.waiting().values().copied().collect();
        if batch.is_empty() {
            return;
        }
        let changes = batch.iter().copied().map(Change::KeyUse).collect();
        match store.commit(Commit { changes, ..Commit::default() }).await {
            Ok(_) => self.stored(&batch),
            Err(error) => tracing::warn!(error = %error, "the use of keys was not stored; it is tried again"),
        }
    }

    fn stored(&self, batch: &[KeyUse]) {
        let mut waiting = self.waiting();
        for used in batch {
            let place = (used.organization_id, used.key_id, used.hour);
            if let Some(left) = waiting.get_mut(&place) {
                left.requests = left.requests.saturating_sub(used.requests);
                if left.requests == 0 {
                    waiting.remove(&place);
                }
            }
        }
    }
}

/// Stores what is waiting, again and again.
pub(crate) async fn follow(uses: Arc<KeyUses>, store: Store) {
    loop {
        clock::sleep(EVERY).await;
        uses.flush(&store).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_was_counted_during_a_batch_waits_for_the_next() {
        let (organization, key) = (OrganizationId(Uuid::nil()), KeyId(Uuid::nil()));
        let (uses, now) = (KeyUses::default(), Timestamp::UNIX_EPOCH);
        uses.note(organization, key, now);
        uses.note(organization, key, now);
        let batch = uses.of(organization, key);
        assert_eq!(batch.iter().map(|used| used.requests).sum::<u64>(), 2);
        uses.note(organization, key, now);
        uses.stored(&batch);
        assert_eq!(uses.of(organization, key).iter().map(|used| used.requests).sum::<u64>(), 1);
        uses.stored(&uses.of(organization, key));
        assert!(uses.of(organization, key).is_empty());
    }
}
