//! Where a target is (RFC 3263): its name to hops, beside the call path. A call whose targets are all addresses, or names that
//! are fresh here, never waits; where the resolver fails, the last answer is used for a while. Files: `dns` asks, this keeps.

mod dns;

use domain::target;
use hashbrown::HashMap;
use sip::{Hop, Input, Transport};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::plan::{Plan, State};
use super::wire::Wire;
use crate::clock;
use crate::live::hosts::Looked;
pub(super) use dns::Dns;

/// How long an answer is used after its time when the resolver gives none.
const STALE: Duration = Duration::from_hours(1);
/// After a failure the resolver is not asked again for so long: calls meanwhile do not wait for it.
const REST: Duration = Duration::from_secs(5);
/// A name that is not there is not asked for again for so long.
const ABSENT: Duration = Duration::from_secs(15);
/// The longest a look-up may take.
const LOOKUP_MAX: Duration = Duration::from_secs(3);
/// Names remembered.
const NAMES_MAX: usize = 4_096;

/// What is asked: the parts of a target's URI that decide where it is (RFC 3263 section 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The name, in lower case.
    pub(super) host: String,
    /// Set where the URI has one: then the name is that of a host.
    pub(super) port: Option<u16>,
    /// Set where the URI says.
    pub(super) transport: Option<Transport>,
}

/// Hosts of one transport that stand for a name, with their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) transport: Transport,
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) at: Vec<SocketAddr>,
}

/// What a name was found to be: groups in the order of preference, each of one transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) groups: Vec<Vec<Server>>,
    /// Servers over TCP that are listed beside UDP: for requests too large for a datagram (RFC 3261 section 18.1.1).
    pub(super) large: Vec<Server>,
}

/// The hops of a target, in the order of trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hops {
    pub(super) hops: Vec<Hop>,
    pub(super) large: Vec<Hop>,
}

impl Found {
    /// The order for one call: by priority, within one by a weighted draw (RFC 2782).
    pub(super) fn order(&self, draw: &mut impl FnMut(u32) -> u32) -> Hops {
        let mut hops: Vec<Hop> = self.groups.iter().flat_map(|group| ordered(group, draw)).collect();
        hops.truncate(HOPS_MAX);
        let mut large = ordered(&self.large, draw);
        large.truncate(HOPS_MAX);
        Hops { hops, large }
    }

    fn is_empty(&self) -> bool {
        self.groups.iter().all(Vec::is_empty)
    }
}

/// Hops of one target that are tried.
const HOPS_MAX: usize = 16;

fn ordered(servers: &[Server], draw: &mut impl FnMut(u32) -> u32) -> Vec<Hop> {
    let rows: Vec<_> = servers.iter().map(|server| (server.priority, server.weight)).collect();
    let order = target::order_of(&rows, draw);
    let servers = order.into_iter().filter_map(|at| servers.get(at));
    servers
        .flat_map(|server| server.at.iter().map(|addr| Hop { transport: server.transport, addr: *addr }))
        .collect()
}

#[derive(Debug)]
struct Known {
    /// Empty: there is no such name.
    found: Arc<Found>,
    /// Until then it is used without asking.
    fresh: Instant,
    /// When it was an answer last.
    answered: Instant,
}

/// Names looked up lately.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<HashMap<Place, Known>>,
    dns: OnceLock<Dns>,
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Known>> {
        // Plain data: whole whatever happened under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called once, before the first question.
    pub(super) fn ask_by(&self, dns: Dns) {
        let again = self.dns.set(dns);
        debug_assert!(again.is_ok(), "an edge is started once");
    }

    /// What a name is, if that is known without asking; empty where it is known not to be there.
    pub(super) fn recent(&self, place: &Place) -> Option<Arc<Found>> {
        let known = self.lock();
        known.get(place).filter(|known| clock::instant() <= known.fresh).map(|known| Arc::clone(&known.found))
    }

    /// What a host resolves to, each address once, and how long that lasts. Nothing is remembered here.
    pub(super) async fn host(&self, host: &str) -> (Looked, Duration) {
        let failed = (Looked::Failed, Duration::ZERO);
        let Some(dns) = self.dns.get() else { return failed };
        let Ok(Ok((mut found, lasts))) = tokio::time::timeout(LOOKUP_MAX, dns.host(host)).await else {
            return failed;
        };
        found.retain(|address| !address.is_unspecified() && !address.is_multicast());
        found.sort_unstable();
        found.dedup();
        (if found.is_empty() { Looked::Absent } else { Looked::Found(found) }, lasts)
    }

    pub(super) async fn look_up(&self, place: &Place, spoken: &[Transport]) -> Option<Arc<Found>> {
        if let Some(found) = self.recent(place) {
            return Some(found);
        }
        let dns = self.dns.get()?;
        if let Some(last) = self.lock().get_mut(place) {
            // One asks; whoever comes meanwhile has the last answer.
            let now = clock::instant();
            if now.duration_since(last.answered) <= STALE {
                last.fresh = now + LOOKUP_MAX;
            }
        }
        let answer = tokio::time::timeout(LOOKUP_MAX, dns.ask(place, spoken)).await;
        let now = clock::instant();
        let mut known = self.lock();
        let (found, fresh, answered) = match answer {
            Ok(Ok((found, lasts))) if !found.is_empty() => (Arc::new(found), now + lasts, now),
            Ok(Ok(_)) => (Arc::default(), now + ABSENT, now),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("trunkline_sip_lookups_failed_total").increment(1);
                match known.get(place) {
                    Some(last) if now.duration_since(last.answered) <= STALE => {
                        (Arc::clone(&last.found), now + REST, last.answered)
                    }
                    // nor does every call wait for a resolver that gives no answer
                    Some(_) | None => (Arc::default(), now + REST, now),
                }
            }
        };
        if known.len() >= NAMES_MAX {
            known.retain(|_, known| now <= known.fresh);
        }
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(place.clone(), Known { found: Arc::clone(&found), fresh, answered });
        Some(found)
    }
}

/// Resolves what a plan still needs, then gives the edge its verdict.
pub(super) async fn finish(wire: Arc<Wire>, mut plan: Plan) {
    let spoken = wire.spoken.clone();
    let mut asking = JoinSet::new();
    for (at, place) in plan.places.iter().enumerate() {
        if let State::Named(asked) = &place.state {
            let (wire, asked, spoken) = (Arc::clone(&wire), asked.clone(), spoken.clone());
            asking.spawn(async move { (at, wire.names.look_up(&asked, &spoken).await) });
        }
    }
    while let Some(found) = asking.join_next().await {
        if let Ok((at, found)) = found {
            plan.resolved(at, found.as_deref());
        }
    }
    let ask = plan.ask;
    let (mut facts, verdict) = plan.verdict();
    for fact in &facts {
        wire.parts.tally.saw(fact);
        wire.parts.live.saw(fact);
    }
    wire.parts.journal.append(&mut facts);
    wire.aside(Input::Verdict { ask, verdict });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_ordered_by_priority_and_weight_and_transports_stay_apart() {
        let server = |transport, priority, weight, port| Server {
            transport,
            priority,
            weight,
            at: vec![SocketAddr::from(([192, 0, 2, 1], port))],
        };
        let found = Found {
            groups: vec![
                vec![
                    server(Transport::Tls, 20, 0, 1),
                    server(Transport::Tls, 10, 1, 2),
                    server(Transport::Tls, 10, 9, 3),
                ],
                vec![server(Transport::Udp, 0, 0, 4)],
            ],
            large: vec![server(Transport::Tcp, 0, 0, 5)],
        };
        let ports = |hops: Hops| hops.hops.iter().map(|hop| hop.addr.port()).collect::<Vec<_>>();
        assert_eq!(ports(found.order(&mut |total| total)), [3, 2, 1, 4]);
        assert_eq!(ports(found.order(&mut |_| 0)), [2, 3, 1, 4]);
        assert_eq!(found.order(&mut |_| 0).large[0].addr.port(), 5);
    }
}
