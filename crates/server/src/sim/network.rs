//! The simulated phone network: callers that ring. Each call is a real one by SIP, from a socket of this process's own to one of
//! its listeners; the edge knows the socket as the simulated network's ([`Live::simulate`]), and nothing else of it.

use anyhow::Context;
use domain::ids::OrganizationId;
use domain::{Error, Kind, What};
use serde_json::{Value, json};
use sip::Transport;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::cli::call::{CallOrder, CallReport, Outcome, place_from};
use crate::cli::timeline::since;
use crate::clock;
use crate::live::Live;

/// The most calls at once.
const CALLS_MAX: usize = 100;
/// The most calls at once that one organization places to its own numbers: a few take no place from the others.
const CALLS_OF_ONE_MAX: usize = 5;
/// How many calls are remembered.
const KNOWN_MAX: usize = 1_000;
/// From where calls come on a machine that has the whole of 127/8: an address that nothing else uses.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A call to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// What is dialled.
    pub(crate) to: String,
    /// Who calls.
    pub(crate) from: String,
    /// How long to talk.
    pub(crate) hold: Duration,
    /// How long to let it ring.
    pub(crate) patience: Duration,
    /// By which kind of listener; none: the first, datagrams before streams.
    pub(crate) transport: Option<Transport>,
}

/// A call that was begun.
struct Known {
    id: Uuid,
    ring: Ring,
    began: domain::Timestamp,
    /// None while it goes on.
    ended: Option<Result<CallReport, String>>,
}

/// See the module's head.
pub(crate) struct SimNetwork {
    live: Arc<Live>,
    listeners: Vec<(Transport, SocketAddr)>,
    /// From where calls come; none: from the listener's own address.
    source: Option<IpAddr>,
    room: Arc<Semaphore>,
    /// How many calls each organization has placed that are up; none at zero.
    placed: Mutex<HashMap<OrganizationId, usize>>,
    calls: Mutex<VecDeque<Known>>,
}

impl SimNetwork {
    /// A network that calls the listeners of this service from their own addresses.
    pub(crate) fn new(live: Arc<Live>, listeners: Vec<(Transport, SocketAddr)>) -> Self {
        let room = Arc::new(Semaphore::new(CALLS_MAX));
        Self { live, listeners, source: None, room, placed: Mutex::default(), calls: Mutex::default() }
    }

    /// The same from an address of its own, where the machine has it and the listeners can be reached from it.
    pub(crate) async fn apart(mut self) -> Self {
        let reached = self.listeners.iter().all(|(_, at)| at.ip().is_ipv4() && is_near(at.ip()));
        if reached && UdpSocket::bind(SocketAddr::new(SOURCE, 0)).await.is_ok() {
            self.source = Some(SOURCE);
        }
        self
    }

    /// From where its calls come, if that is an address of its own.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    fn listener(&self, transport: Option<Transport>) -> Option<(Transport, SocketAddr)> {
        let of = |wanted| self.listeners.iter().find(|(own, _)| *own == wanted).copied();
        match transport {
            Some(wanted) => of(wanted),
            None => of(Transport::Udp).or_else(|| of(Transport::Tcp)),
        }
    }

    /// Whether there is a listener of this kind.
    pub(crate) fn reaches(&self, transport: Option<Transport>) -> bool {
        self.listener(transport).is_some()
    }

    /// Places a call of an organization's and waits for its end. An error where it, or all together, have too many up.
    pub(crate) async fn ring(
        &self,
        organization: OrganizationId,
        ring: &Ring,
    ) -> domain::Result<anyhow::Result<CallReport>> {
        // Both are held until the call has ended or whoever waits for it is gone.
        let _share = Share::take(&self.placed, organization).ok_or_else(|| {
            let words = format!(
                "An organization has at most {CALLS_OF_ONE_MAX} simulated calls at a time; wait for one to end."
            );
            Error::new(Kind::Limit, What::Call, words)
        })?;
        let _room = self.room.try_acquire().map_err(|_| busy())?;
        Ok(self.place(ring).await)
    }

    async fn place(&self, ring: &Ring) -> anyhow::Result<CallReport> {
        let (transport, bound) =
            self.listener(ring.transport).context("no listener takes calls of this kind")?;
        let near: IpAddr =
            if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let host = if bound.ip().is_unspecified() { near } else { bound.ip() };
        let via = SocketAddr::new(host, bound.port());
        let (number, from, talk) = (ring.to.clone(), ring.from.clone(), Some(ring.hold));
        let (ring, login) = (ring.patience, None);
        let order = CallOrder { number, from, via, transport, talk, ring, login };
        let opened = |socket| self.live.simulate(socket);
        Box::pin(place_from(order, Some(self.source.unwrap_or(host)), opened, &Notify::new())).await
    }

    /// Begins a call; its id. None where too many calls are up.
    pub(crate) fn begin(self: &Arc<Self>, ring: Ring) -> Option<Uuid> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let id = clock::id();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= KNOWN_MAX
            && let Some(oldest) = calls.iter().position(|call| call.ended.is_some())
        {
            calls.remove(oldest);
        }
        calls.push_back(Known { id, ring: ring.clone(), began: clock::now(), ended: None });
        drop(calls);
        let network = Arc::clone(self);
        tokio::spawn(async move {
            let ended = network.place(&ring).await.map_err(|error| format!("{error:#}"));
            let mut calls = network.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(call) = calls.iter_mut().find(|call| call.id == id) {
                call.ended = Some(ended);
            }
            drop(room);
        });
        Some(id)
    }

    /// What is known of a call.
    pub(crate) fn call(&self, id: Uuid) -> Option<Value> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { id, ring, began, ended } = calls.iter().find(|call| call.id == id)?;
        let mut told =
            json!({"id": id.to_string(), "to": ring.to, "from": ring.from, "began_at": began.to_string()});
        let more = match ended {
            None => json!({"state": "under_way"}),
            Some(Ok(report)) => told_of(report),
            Some(Err(error)) => json!({"state": "failed", "reason": error}),
        };
        if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
            told.extend(more);
        }
        Some(told)
    }
}

/// All places are taken.
pub(super) fn busy() -> Error {
    Error::new(Kind::Limit, What::Call, "Too many simulated calls are up; try again.")
}

/// One call's place among those of its organization; given back when it is dropped.
struct Share<'a> {
    placed: &'a Mutex<HashMap<OrganizationId, usize>>,
    organization: OrganizationId,
}

impl<'a> Share<'a> {
    fn take(placed: &'a Mutex<HashMap<OrganizationId, usize>>, organization: OrganizationId) -> Option<Self> {
        let mut counts = placed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(organization).or_insert(0);
        if *count >= CALLS_OF_ONE_MAX {
            return None;
        }
        *count += 1;
        Some(Self { placed, organization })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut counts = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.organization) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.organization);
            }
        }
    }
}

/// Loopback, or every address, which includes it.
fn is_near(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// The name of an outcome, and the status of a refusal.
pub(crate) fn outcome_of(report: &CallReport) -> (&'static str, Option<u16>) {
    match report.outcome {
        Outcome::Completed => ("completed", Some(200)),
        Outcome::Refused(status) => ("refused", Some(status)),
        Outcome::Unreachable => ("unreachable", None),
        Outcome::Cancelled => ("cancelled", None),
    }
}

/// The lines of a call's ladder: when, from whom to whom, what.
pub(crate) fn lines_of(report: &CallReport) -> Vec<String> {
    let line = |event: &crate::cli::timeline::Event| {
        let after = since(event.at.saturating_duration_since(report.began));
        format!("+{after} {:?} → {:?}: {}", event.from, event.to, event.text)
    };
    report.events.iter().map(line).collect()
}

fn told_of(report: &CallReport) -> Value {
    let (state, status) = outcome_of(report);
    let answered = report.answered_after.and_then(|after| u64::try_from(after.as_millis()).ok());
    json!({
        "state": state,
        "sip_status": status,
        "reason": report.reason,
        "answered_after_ms": answered,
        "talked_seconds": report.talked.as_secs(),
        "packets_sent": report.sent,
        "packets_back": report.echoed,
        "timeline": lines_of(report),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_a_few_places_and_gives_them_back() {
        let (placed, one) = (Mutex::default(), OrganizationId(Uuid::max()));
        let mut held: Vec<_> = (0..CALLS_OF_ONE_MAX).map(|_| Share::take(&placed, one).unwrap()).collect();
        assert!(Share::take(&placed, one).is_none());
        assert!(Share::take(&placed, OrganizationId::NONE).is_some(), "the others have their own");
        held.pop();
        held.push(Share::take(&placed, one).unwrap());
        assert!(Share::take(&placed, one).is_none());
        drop(held);
        assert!(placed.lock().unwrap().is_empty(), "nothing is left of those who call no more");
    }
}
