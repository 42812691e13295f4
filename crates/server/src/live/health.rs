//! How the targets of endpoints are that are asked (`edge::health` asks). Memory only: after a start nobody is known to be down.

use domain::Endpoint;
use domain::ids::EndpointId;
use domain::rules::{Health, TargetState};
use hashbrown::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Targets that are remembered: more than are asked at a time.
pub(crate) const TARGETS_MAX: usize = 65_536;

type Known = HashMap<(EndpointId, String), Health>;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Healths {
    known: RwLock<Known>,
}

impl Healths {
    // Plain data: whole whatever happened under the lock.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How each target of an endpoint is, in their order; of one that is not asked nothing is known.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> Vec<Health> {
        if !endpoint.rules.health.enabled {
            return vec![Health::default(); endpoint.targets.len()];
        }
        let known = self.read();
        let one = |uri: &str| known.get(&(endpoint.id, uri.to_owned())).copied().unwrap_or_default();
        endpoint.targets.iter().map(|target| one(target.uri.as_str())).collect()
    }

    /// Whether all targets that are switched on are known to be down.
    pub(crate) fn all_down(&self, endpoint: &Endpoint) -> bool {
        if !endpoint.rules.health.enabled {
            return false;
        }
        let health = self.of(endpoint);
        let mut on = endpoint.targets.iter().zip(health).filter(|(target, _)| target.enabled).peekable();
        on.peek().is_some() && on.all(|(_, health)| health.state == TargetState::Down)
    }

    /// Something was heard of a target: gives its health before and after.
    pub(crate) fn put(
        &self,
        endpoint: EndpointId,
        uri: &str,
        next: impl FnOnce(Health) -> Health,
    ) -> (Health, Health) {
        let mut known = self.write();
        let key = (endpoint, uri.to_owned());
        let before = known.get(&key).copied().unwrap_or_default();
        let after = next(before);
        if known.len() < TARGETS_MAX || known.contains_key(&key) {
            known.insert(key, after);
        }
        (before, after)
    }

    /// Forgets the targets that are asked no longer.
    pub(crate) fn keep(&self, asked: impl Fn(EndpointId, &str) -> bool) {
        self.write().retain(|(endpoint, uri), _| asked(*endpoint, uri));
    }

    /// How many targets are in each state, in the order of [`TargetState::NAMES`].
    pub(crate) fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for health in self.read().values() {
            counts[health.state as usize] += 1;
        }
        counts
    }
}
