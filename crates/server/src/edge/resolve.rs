//! Names of targets to addresses, beside the call path: a call whose targets are all addresses, or names looked up in the
//! last half minute, never waits.

use hashbrown::HashMap;
use sip::Input;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::{Plan, State};
use super::wire::Wire;
use crate::clock;

/// How long an answer is used.
const FRESH: Duration = Duration::from_secs(30);
/// How long the last answer is used when the resolver gives none.
const STALE: Duration = Duration::from_hours(1);
/// The longest a look-up may take.
const LOOKUP_MAX: Duration = Duration::from_secs(3);
/// Names remembered.
const NAMES_MAX: usize = 4_096;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

type Known = HashMap<(String, u16), (Instant, Vec<SocketAddr>)>;

/// Names looked up lately.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<Known>,
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, Known> {
        // Plain data: whole whatever happened under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn within(&self, host: &str, port: u16, age: Duration) -> Option<Vec<SocketAddr>> {
        let known = self.lock();
        let (at, found) = known.get(&(host.to_owned(), port))?;
        (clock::instant().duration_since(*at) <= age).then(|| found.clone())
    }

    /// The addresses of a name, if they were looked up lately.
    pub(super) fn recent(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        self.within(host, port, FRESH)
    }

    async fn look_up(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let answer = tokio::time::timeout(LOOKUP_MAX, tokio::net::lookup_host((host, port))).await;
        let found: Vec<_> = answer.into_iter().flatten().flatten().take(ADDRESSES_MAX).collect();
        if found.is_empty() {
            return self.within(host, port, STALE);
        }
        let mut known = self.lock();
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert((host.to_owned(), port), (clock::instant(), found.clone()));
        Some(found)
    }
}

/// Resolves what a plan still needs, then gives the edge its verdict.
pub(super) async fn finish(wire: Arc<Wire>, mut plan: Plan) {
    for place in &mut plan.places {
        if let State::Named(host, port) = &place.state {
            let found = wire.names.look_up(host, *port).await;
            place.state = found.map_or(State::Skipped("name_not_found"), State::Found);
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
