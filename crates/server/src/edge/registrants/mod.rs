//! Trunks that register with their carriers: the shell around [`sip::Registrant`]. One lock of its own beside the edges'. Of several
//! processes over one store one registers ([`Lease`]): two bindings would have the carrier call both. Files: this the table and the
//! ways in and out of it, `follow` what keeps it in step with the trunks, `shown` what is told of it.

mod follow;
mod shown;

use domain::ids::ProviderId;
use hashbrown::HashMap;
use sip::{
    Account, Fault, Flow, Hop, Input, Registrant, RegistrantConfig, RegistrantOutput, RegistrantState,
    RegistrantStatus, SendId, Transport,
};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::resolve::Place;
use super::wire::{Wire, Work};
use crate::clock;
use crate::lease::Lease;
pub(super) use follow::follow;

/// Trunks that register at once; more are left out, with a word in the log.
const TRUNKS_MAX: usize = 10_000;

/// How long a registration that leaves has before the one that takes its place begins.
const HANDOVER: Duration = Duration::from_secs(1);

/// One registration.
#[derive(Debug)]
struct Row {
    trunk: ProviderId,
    one: Registrant,
    /// Where the registrar was found last.
    located: Vec<IpAddr>,
    /// It was found at addresses alone where its organization's may not be.
    private: bool,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<u32, Row>,
    /// The row of each trunk; those that leave have none.
    by_trunk: HashMap<ProviderId, u32>,
    next: u32,
    lease: Option<Lease>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct RegistrantDesk {
    table: Mutex<Table>,
    config: sip::Config,
    /// Where the lease is taken; none: it is nobody else's.
    lease: Option<PathBuf>,
    armed: Notify,
    /// Whether there is any: else no message is looked at.
    any: AtomicBool,
    /// From now on all leave.
    leaving: AtomicBool,
}

impl RegistrantDesk {
    pub(super) fn new(config: sip::Config, lease: Option<PathBuf>) -> Self {
        let (any, leaving) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { table: Mutex::default(), config, lease, armed: Notify::new(), any, leaving }
    }

    // What is half done to one registration when a panic comes is its loss; the others are whole.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of them a message answers.
    pub(super) fn owner(&self, bytes: &[u8]) -> Option<u32> {
        self.any.load(Ordering::Relaxed).then(|| sip::registrant_of(bytes)).flatten()
    }

    /// An answer to what one of them sent.
    pub(super) fn message(&self, wire: &Arc<Wire>, index: u32, flow: Flow, bytes: &[u8]) {
        self.act(wire, index, |one, now| one.handle(now, flow, bytes));
    }

    /// A send of one of them failed.
    pub(super) fn fault(&self, wire: &Arc<Wire>, index: u32, send: SendId, why: Fault) {
        self.act(wire, index, |one, now| one.fault(now, send, why));
    }

    /// A connection has ended. Most are nobody's here.
    pub(super) fn gone(&self, wire: &Arc<Wire>, connection: u64) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let by = |row: &Row| row.one.connection() == Some(connection);
        let whose: Vec<u32> = {
            let table = self.lock();
            table.rows.iter().filter(|(_, row)| by(row)).map(|(index, _)| *index).collect()
        };
        for index in whose {
            self.act(wire, index, |one, now| one.lost(now, connection));
        }
    }

    /// The flows over datagrams that a NAT is to be reminded of.
    pub(super) fn flows(&self) -> Vec<Flow> {
        let (table, now) = (self.lock(), clock::instant());
        let flows = table.rows.values().filter_map(|row| {
            let status = row.one.status(now);
            status.flow.filter(|_| status.state == RegistrantState::Registered)
        });
        flows.filter(|flow| !flow.transport.stream()).collect()
    }

    /// One turn: work on a registration under the lock, then what came of it.
    fn act(&self, wire: &Arc<Wire>, index: u32, act: impl FnOnce(&mut Registrant, Instant)) {
        let mut work = Work::default();
        {
            let mut table = self.lock();
            let now = clock::instant();
            let Some(row) = table.rows.get_mut(&index) else { return };
            let before = row.one.status(now);
            act(&mut row.one, now);
            collect(wire, index, &mut row.one, &mut work);
            let after = row.one.status(now);
            told(wire, row, (&before, &after));
            if row.one.finished() {
                table.rows.remove(&index);
            }
        }
        self.armed.notify_one();
        wire.perform(&mut work);
        for (send, why) in std::mem::take(&mut work.faults) {
            // Told beside the caller: a fault may bring the next.
            let told = Arc::clone(wire);
            wire.spawn(async move { told.aside(Input::Fault { send, why }) });
        }
    }

    /// Begins a trunk's registration, or goes on with it if it is the same; another one leaves first.
    fn put(&self, wire: &Arc<Wire>, trunk: ProviderId, account: &Arc<Account>, mut at: Instant) {
        let known = self.lock().by_trunk.get(&trunk).copied();
        if let Some(index) = known {
            let table = self.lock();
            let Some(before) = table.rows.get(&index).map(|row| row.one.account().clone()) else { return };
            drop(table);
            if before == **account {
                return;
            }
            // The same Contact for the same address: the new one takes its place, and taking it away would take both.
            let same = before.registrar == account.registrar && before.aor == account.aor;
            self.end(wire, trunk, !same);
            // A registrar that goes by the instance may take both for one: the former is to be gone before.
            at += if same { Duration::ZERO } else { HANDOVER };
        }
        let mut table = self.lock();
        if table.rows.len() >= TRUNKS_MAX {
            tracing::error!(trunk.id = %trunk, most = TRUNKS_MAX, "too many trunks register: this one is left out");
            return;
        }
        table.next = table.next.wrapping_add(1);
        let index = table.next;
        let config = RegistrantConfig {
            index,
            account: Account::clone(account),
            listeners: self.config.listeners.clone().into(),
            timers: self.config.timers,
            seed: clock::random(),
        };
        let one = Registrant::new(config, at);
        table.rows.insert(index, Row { trunk, one, located: Vec::new(), private: false });
        table.by_trunk.insert(trunk, index);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Ends a trunk's registration; with `leave` the carrier is told.
    fn end(&self, wire: &Arc<Wire>, trunk: ProviderId, leave: bool) {
        let mut table = self.lock();
        let Some(index) = table.by_trunk.remove(&trunk) else { return };
        if leave {
            drop(table);
            self.act(wire, index, Registrant::leave);
        } else {
            table.rows.remove(&index);
        }
    }

    /// Ends all, and tells the carriers; true when that is done.
    pub(super) fn leave(&self, wire: &Arc<Wire>) -> bool {
        self.leaving.store(true, Ordering::Release);
        let trunks: Vec<ProviderId> = self.lock().by_trunk.keys().copied().collect();
        for trunk in trunks {
            self.end(wire, trunk, true);
        }
        self.lock().rows.is_empty()
    }
}

/// Performs what a registration wants, beside the lock where it takes time.
fn collect(wire: &Arc<Wire>, index: u32, one: &mut Registrant, work: &mut Work) {
    while let Some(output) = one.poll() {
        match output {
            RegistrantOutput::Send(send) => work.send(send),
            RegistrantOutput::Locate(uri) => wire.spawn(locate(Arc::clone(wire), index, uri)),
        }
    }
}

/// Looks a registrar up: its hops, in the order of trying, but for those that are beyond its organization's reach.
async fn locate(wire: Arc<Wire>, index: u32, uri: String) {
    let mut hops = hops(&wire, &uri).await.unwrap_or_default();
    let (desk, live) = (&wire.registrants, &wire.parts.live);
    let trunk = desk.lock().rows.get(&index).map(|row| row.trunk);
    // One that leaves may be of a trunk that is gone: then nobody says whose it was.
    let reach = trunk.and_then(|trunk| live.trunk(trunk)).map(|trunk| live.reach_of(trunk.organization_id));
    let reach = reach.unwrap_or_else(|| live.reach_of_public());
    let found = !hops.is_empty();
    hops.retain(|hop| reach.admits(hop.addr.ip()));
    if let Some(row) = desk.lock().rows.get_mut(&index) {
        row.private = found && hops.is_empty();
        row.located = hops.iter().map(|hop| hop.addr.ip().to_canonical()).collect();
        row.located.sort_unstable();
        row.located.dedup();
    }
    desk.act(&wire, index, |one, now| one.found(now, &hops));
}

async fn hops(wire: &Wire, uri: &str) -> Option<Vec<Hop>> {
    let uri = sip::Uri::parse(uri.as_bytes())?;
    // A trunk that names no other way registers over datagrams.
    let transport = uri.param(b"transport").map_or(Some(Transport::Udp), Transport::read)?;
    if let Some(address) = uri.address() {
        let port = uri.port.unwrap_or_else(|| transport.port());
        return Some(vec![Hop { transport, addr: SocketAddr::new(address, port) }]);
    }
    let host = std::str::from_utf8(uri.host).ok()?.to_ascii_lowercase();
    let place = Place { host, port: uri.port, transport: Some(transport) };
    let found = wire.names.look_up(&place, &wire.spoken).await?;
    let mut draw = |most: u32| u32::from_le_bytes(clock::random()) % most.saturating_add(1);
    Some(found.order(&mut draw).hops)
}

/// Makes of a change what others need of it: whose calls come from where, the count, and a word in the log.
fn told(wire: &Wire, row: &Row, (before, after): (&RegistrantStatus, &RegistrantStatus)) {
    let result = match after.trouble {
        None if after.until.is_some() && after.until != before.until => Some("accepted"),
        Some(_) if after.next.is_some() && after.next != before.next => {
            Some(if after.state == RegistrantState::Refused { "refused" } else { "failed" })
        }
        Some(_) | None => None,
    };
    let Some(result) = result else { return };
    metrics::counter!("trunkline_sip_trunk_registers_total", "result" => result).increment(1);
    match result {
        "accepted" => {
            if before.state != RegistrantState::Registered {
                tracing::info!(trunk.id = %row.trunk, "a trunk has registered with its carrier");
            }
            wire.parts.live.put_registrar(row.trunk, row.located.clone());
            wire.parts.live.registering.put_routes(row.trunk, after.service_route.clone());
        }
        _ if before.state != after.state || before.trouble != after.trouble => {
            if after.state == RegistrantState::Refused {
                // Whoever will not have us is no longer known by its address.
                wire.parts.live.put_registrar(row.trunk, Vec::new());
                wire.parts.live.registering.put_routes(row.trunk, Vec::new());
            }
            let problem =
                after.trouble.map(|trouble| shown::problem(trouble, row.private)).unwrap_or_default();
            tracing::warn!(trunk.id = %row.trunk, problem, "a trunk is not registered with its carrier");
        }
        _ => {}
    }
}
