//! How the targets of endpoints are that are asked (`edge::health` asks). Memory only: after a start nobody is known to be down, and
//! each process asks for itself. What is known is of a place, not of an endpoint: targets that say the same place share it.

use domain::reach::Reach;
use domain::rules::{Health, Heard, TargetState};
use domain::target::{TargetUri, Transport, bracketed};
use domain::{Endpoint, Timestamp};
use hashbrown::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Where a target is, as its URI says: what is asked, and what an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    /// In lower case.
    pub(crate) host: String,
    /// Where the URI has one.
    pub(crate) port: Option<u16>,
    /// Where the URI says.
    pub(crate) transport: Option<Transport>,
    /// Whether it is asked at public addresses only: what is known of a place beyond those is not for whom it is beyond reach.
    pub(crate) public: bool,
}

impl Spot {
    /// Of a target; none where it stands for registered agents, whose flows are kept alive by themselves.
    pub(crate) fn of(uri: &TargetUri, reach: &Reach) -> Option<Self> {
        (!uri.is_registered()).then(|| Self {
            public: reach.is_public(),
            host: uri.host().to_ascii_lowercase(),
            port: uri.named_port(),
            transport: uri.named_transport(),
        })
    }

    /// As a request to whoever is there names it: without a user part, since several targets may share it.
    pub(crate) fn uri(&self) -> String {
        let host = bracketed(&self.host);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = self.transport.map(|one| format!(";transport={}", one.as_str())).unwrap_or_default();
        format!("sip:{host}{port}{transport}")
    }
}

type Known = HashMap<Spot, Health>;

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

    /// How each target of an endpoint is, in their order; of one that is not asked nothing is known. `reach` is its organization's.
    pub(crate) fn of(&self, endpoint: &Endpoint, reach: &Reach) -> Vec<Health> {
        if !asked(endpoint) {
            return vec![Health::default(); endpoint.targets.len()];
        }
        let known = self.read();
        let one = |uri: &TargetUri| Spot::of(uri, reach).and_then(|spot| known.get(&spot).copied());
        let all = endpoint.targets.iter().map(|target| {
            let health = one(&target.uri).filter(|_| target.enabled);
            health.unwrap_or_default()
        });
        all.collect()
    }

    /// How many of an endpoint's targets that are switched on are known to be down; none where they are not asked.
    pub(crate) fn down(&self, endpoint: &Endpoint, reach: &Reach) -> Option<usize> {
        let down = |health: &Health| health.state == TargetState::Down;
        asked(endpoint).then(|| self.of(endpoint, reach).iter().filter(|health| down(health)).count())
    }

    /// Something was heard of a place: gives its state before, and its health now.
    pub(crate) fn put(&self, spot: Spot, heard: Heard, now: Timestamp) -> (TargetState, Health) {
        let mut known = self.write();
        let health = known.entry(spot).or_default();
        let before = health.state;
        *health = health.after(heard, now);
        (before, *health)
    }

    /// Forgets the places that are asked no longer.
    pub(crate) fn keep(&self, asked: impl Fn(&Spot) -> bool) {
        self.write().retain(|spot, _| asked(spot));
    }

    /// How many places are known to be in each state, in the order of [`TargetState::NAMES`].
    pub(crate) fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for health in self.read().values() {
            counts[health.state as usize] += 1;
        }
        counts
    }
}

/// Whether an endpoint's targets are asked.
pub(crate) fn asked(endpoint: &Endpoint) -> bool {
    endpoint.rules.health.enabled && endpoint.status == domain::endpoint::EndpointStatus::Active
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_without_what_only_calls_need() {
        for (uri, wanted) in [
            ("sip:agent@Host.Example", Some("sip:host.example")),
            ("sip:192.0.2.1:5080;transport=TCP", Some("sip:192.0.2.1:5080;transport=tcp")),
            ("sips:proj_1@sip.example:5061", Some("sip:sip.example:5061;transport=tls")),
            ("sip:a@[2001:DB8::1]:7", Some("sip:[2001:db8::1]:7")),
            ("sip:registered.invalid", None),
        ] {
            let spot = Spot::of(&TargetUri::parse(uri).unwrap(), &Reach::ANYWHERE);
            assert_eq!(spot.map(|spot| spot.uri()).as_deref(), wanted, "{uri}");
        }
    }

    #[test]
    fn what_is_known_goes_with_the_last_who_asks() {
        let healths = Healths::default();
        let spot = |host: &str| Spot { host: host.into(), port: None, transport: None, public: false };
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(healths.put(spot("a"), Heard::NoResponse, now).0, TargetState::Unknown);
        let (before, health) = healths.put(spot("a"), Heard::NoResponse, now);
        assert_eq!((before, health.state), (TargetState::Unknown, TargetState::Down));
        healths.put(spot("b"), Heard::Answer(200), now);
        assert_eq!(healths.counts(), [0, 1, 1]);
        healths.keep(|spot| spot.host == "b");
        assert_eq!(healths.counts(), [0, 1, 0]);
    }
}
