//! The service as a whole: everything that `trunkline serve` runs, started in order and stopped in order. `demo` runs the same.
//!
//! Start: secrets → store → live table → journal replayed → sockets. No SIP port is bound before the first table is built,
//! and what a killed process left in its journal is in the store before anybody is served.
//! Stop: not ready → no new calls → open transactions finish → HTTP → facts flushed → store closed. Calls in progress are not
//! waited for: whichever process comes next carries them.

use anyhow::Context;
use domain::carrier_account::CarrierSources;
use domain::provider::ProviderKind;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{App, PublicSip};
use crate::carriage::{self, Accounts, Carriage, Node};
use crate::edge::{Beside, EdgeHandle, EdgeParts, EdgeSettings, ListenerSettings};
use crate::files::Files;
use crate::http::{Front, Health, Phase};
use crate::identity::Identity;
use crate::journal::Journal;
use crate::key_uses::{self, KeyUses};
use crate::lease::Lease;
use crate::live::{Live, refresh};
use crate::meter::Meter;
use crate::outgoing::Guarded;
use crate::rental::Rental;
use crate::settings::Settings;
use crate::sim::{Sim, SimCarrier, SimGround, SimNetwork};
use crate::vault::{self, Vault};
use crate::{clock, edge, hep, http, sim, webhooks};

/// How often a stop looks whether transactions are still open.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
/// How often histograms are folded: what the exporter's own server would do.
const METRICS_UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// A target that says nothing for this long is passed over.
const NO_PROVISIONAL: Duration = Duration::from_secs(2);

/// A running service.
pub(crate) struct Service {
    /// Where HTTP listens.
    pub(crate) http: SocketAddr,
    /// Where SIP listens.
    pub(crate) sip: Vec<(sip::Transport, SocketAddr)>,
    /// The operator's key, where this start made it.
    pub(crate) new_admin_key: Option<String>,
    /// Where a simulation's agents answer.
    pub(crate) sim_agents: Option<SocketAddr>,
    health: Arc<Health>,
    edge: EdgeHandle,
    meter: Meter,
    store: Store,
    uses: Arc<KeyUses>,
    drain: Duration,
    stop_http: oneshot::Sender<()>,
    http_task: JoinHandle<std::io::Result<()>>,
    tasks: Vec<JoinHandle<()>>,
    /// Says that the store is open.
    _lease: Option<Lease>,
}

impl Service {
    /// Starts everything; ready when it returns.
    pub(crate) async fn start(settings: Settings) -> anyhow::Result<Self> {
        let (files, vault) = Files::open(&settings)?;
        let lease = opened(&files)?;
        // Before anything takes the time.
        let ground = ground(&settings, &files)?;
        let (health, upkeep) = health()?;
        let store =
            Store::open(settings.store.reveal()).with_context(|| format!("--store {}", settings.store))?;
        let (admin_key, new_admin_key) = admin_key(&settings, &vault, &files.admin())?;
        let live = live_table(&settings, &vault, &store)?;
        let journal = Arc::new(Journal::open(&files.journal(), settings.journal_max)?);
        let mut meter = metered(&health, &store, &journal, &live).await?;
        let (listener, http) = listen(settings.http).await?;
        let parts = EdgeParts { live: Arc::clone(&live), journal, tally: meter.tally() };
        let edge = edge::start(edge_settings(&settings, &vault, &files), parts).await?;
        meter.end_calls(store.clone(), Arc::clone(&live), edge.control());
        let sip = edge.bound().to_vec();
        let public = public_sip(&settings, &sip);
        let (uses, rents) = (Arc::new(KeyUses::default()), Arc::new(tokio::sync::Notify::new()));
        let simulated = Arc::new(sim_carrier(&settings, &files)?);
        let asked = (Arc::clone(&simulated), accounts(&settings, &vault, &public, http)?);
        let node = Node::open(|count| files.own(&format!(".node{count}")))?;
        let carriage = Arc::new(Carriage::new(store.clone(), Arc::clone(&live), asked.0, asked.1, node));
        let network = SimNetwork::new(Arc::clone(&live), sip.clone());
        let app = Arc::new(App {
            simulated,
            network: Arc::new(if ground.is_some() { network.apart().await } else { network }),
            carriage: Arc::clone(&carriage),
            store: store.clone(),
            live: Arc::clone(&live),
            vault,
            public,
            provisions: tokio::sync::Mutex::new(()),
            uses: Arc::clone(&uses),
            rents: Arc::clone(&rents),
            outgoing: Guarded::new(settings.outgoing_private, Arc::clone(&live))?,
            control: edge.control(),
        });
        let identity = Identity::open(settings.issuers)?;
        let mut tasks = vec![
            upkeep,
            tokio::spawn(Rental { store: store.clone(), live: Arc::clone(&live), wake: rents }.run()),
            tokio::spawn(refresh::follow(live, store.clone())),
            tokio::spawn(webhooks::follow(Arc::clone(&app))),
            tokio::spawn(webhooks::prune(Arc::clone(&app))),
            tokio::spawn(key_uses::follow(Arc::clone(&uses), store.clone())),
            tokio::spawn(carriage::follow(carriage)),
        ];
        tasks.extend(identity.follow().map(tokio::spawn));
        let sim = simulation(ground, &app, &mut tasks).await?;
        let sim_agents = sim.as_ref().map(|sim| sim.agents());
        let front = Arc::new(Front::new(app, admin_key, identity));
        let (stop_http, http_task) = serve_http(listener, http::router(front, Arc::clone(&health), sim));
        health.enter(Phase::Ready);
        Ok(Self {
            http,
            sip,
            new_admin_key,
            sim_agents,
            health,
            edge,
            meter,
            store,
            uses,
            drain: settings.drain,
            stop_http,
            http_task,
            tasks,
            _lease: lease,
        })
    }

    /// Stops everything, within the drain time and a little more for flushing.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.health.enter(Phase::Draining);
        // Carriers send no new calls then.
        self.edge.leave().await;
        self.edge.drain();
        let until = clock::instant() + self.drain;
        while !self.edge.idle() && clock::instant() < until {
            clock::sleep(DRAIN_LOOK).await;
        }
        self.edge.stop().await;
        // Readiness has been 503 since the first line; requests under way are answered, idle connections closed.
        let asked = self.stop_http.send(());
        let left = until.saturating_duration_since(clock::instant()).max(Duration::from_millis(500));
        if asked.is_err() || tokio::time::timeout(left, self.http_task).await.is_err() {
            tracing::warn!("HTTP connections were still open at the end of the drain time");
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        self.uses.flush(&self.store).await;
        self.meter.stop().await;
        self.store.close().await;
        Ok(())
    }
}

/// Says to who would put another file in its place that the store is open.
fn opened(files: &Files) -> anyhow::Result<Option<Lease>> {
    let Some(path) = files.lock() else { return Ok(None) };
    let lease = Lease::share(&path).with_context(|| path.display().to_string())?;
    Ok(Some(lease.context("--store: it is just being restored")?))
}

/// The clock and the files of a simulation, where there is to be one.
fn ground(settings: &Settings, files: &Files) -> anyhow::Result<Option<SimGround>> {
    let open = || SimGround::open(|ending| files.own(ending), settings.sim_seed);
    settings.sim.then(open).transpose()
}

/// The simulated carrier; for numbers that are for tests it is there without a simulation too.
fn sim_carrier(settings: &Settings, files: &Files) -> anyhow::Result<SimCarrier> {
    match &settings.sim_carrier {
        Some(url) => SimCarrier::at(url),
        None => SimCarrier::open(files.own(".sim-carrier")),
    }
}

/// What health and metrics answer, and what keeps the metrics small.
fn health() -> anyhow::Result<(Arc<Health>, JoinHandle<()>)> {
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder();
    let metrics = metrics.context("metrics can be installed once per process")?;
    let upkeep = tokio::spawn(metrics_upkeep(metrics.clone()));
    Ok((Arc::new(Health::new(metrics)), upkeep))
}

/// The meter, once what is in the journal is in the store; a day's calls out are counted on from there.
async fn metered(
    health: &Health,
    store: &Store,
    journal: &Arc<Journal>,
    live: &Arc<Live>,
) -> anyhow::Result<Meter> {
    health.watch(Arc::clone(live), Arc::clone(journal));
    let meter = Meter::start(store.clone(), Arc::clone(journal), Arc::clone(live)).await?;
    live.calls_placed_earlier(&store.calls_placed(clock::day_begin())?);
    Ok(meter)
}

/// The first table that calls are decided on.
fn live_table(settings: &Settings, vault: &Vault, store: &Store) -> anyhow::Result<Arc<Live>> {
    let live = Arc::new(Live::with_vault(vault.clone(), store.clone()));
    live.carriers_from(carrier_sources(settings), settings.sim);
    live.private_by_default(settings.sip_private);
    if let Some(host) = settings.hep.clone() {
        let (collector, sending) = hep::to(host);
        live.traces.collect(collector);
        // It ends with the process: nothing is kept that it would have to bring away.
        drop(tokio::spawn(sending.run()));
    }
    refresh::build(&live, store)?;
    Ok(live)
}

/// The simulation over the service, where there is to be one.
async fn simulation(
    ground: Option<SimGround>,
    app: &Arc<App>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> anyhow::Result<Option<Arc<Sim>>> {
    let Some(ground) = ground else { return Ok(None) };
    let (sim, following) = Sim::start(ground, Arc::clone(app)).await?;
    tasks.push(following);
    Ok(Some(Arc::new(sim)))
}

/// The way to carriers' APIs; in a simulation the one that is simulated here.
fn accounts(
    settings: &Settings,
    vault: &Vault,
    public: &PublicSip,
    http: SocketAddr,
) -> anyhow::Result<Accounts> {
    let elsewhere = settings.sim.then(|| sim::twilio_url(http));
    let twilio_url = settings.twilio_url.clone().or(elsewhere);
    Accounts::new(vault.clone(), sip_url(settings, public), twilio_url)
}

/// Where HTTP listens, with the port that it got.
async fn listen(at: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(at).await.with_context(|| format!("--http {at}"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves HTTP until it is told to stop.
fn serve_http(
    listener: TcpListener,
    router: axum::Router,
) -> (oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async {
            // A sender that is dropped means the same as one that speaks: stop.
            drop(stopped.await);
        });
    (stop, tokio::spawn(serving.into_future()))
}

/// Folds what histograms have recorded. Without it each sample is kept until somebody asks for `/metrics`, who may never come.
async fn metrics_upkeep(metrics: PrometheusHandle) {
    loop {
        clock::sleep(METRICS_UPKEEP_EVERY).await;
        metrics.run_upkeep();
    }
}

/// The operator's key: the one given; else the one whose hash an earlier start left; else a new one, shown once.
fn admin_key(
    settings: &Settings,
    vault: &Vault,
    file: &Path,
) -> anyhow::Result<(http::AdminKey, Option<String>)> {
    if let Some(key) = &settings.admin_key {
        return Ok((http::AdminKey(vault.key_hash(key)), None));
    }
    if let Some(hash) = vault::read_hash(file)? {
        return Ok((http::AdminKey(hash), None));
    }
    let key = format!("tl_admin_{}", vault::random_secret());
    let hash = vault.key_hash(&key);
    vault::write_hash(file, &hash)
        .with_context(|| format!("cannot keep the admin key's hash in {}", file.display()))?;
    Ok((http::AdminKey(hash), Some(key)))
}

fn edge_settings(settings: &Settings, vault: &Vault, files: &Files) -> EdgeSettings {
    let listener = |l: &crate::settings::SipListener| ListenerSettings {
        transport: l.transport,
        bind: l.bind,
        public: Some(l.public.clone()),
    };
    let listeners = settings.sip.iter().map(listener).collect();
    EdgeSettings {
        listeners,
        node: 0,
        key: vault.cookie_key(),
        tls: settings.sip_tls.clone(),
        dns: settings.sip_dns,
        no_provisional: NO_PROVISIONAL,
        threads: settings.sip_threads,
        patience: edge::Patience::default(),
        beside: Some(Beside { register: files.own(".register"), bindings: files.own(".bindings") }),
    }
}

/// From where carriers send calls at which organizations have accounts.
fn carrier_sources(settings: &Settings) -> CarrierSources {
    let all = ProviderKind::NAMES.into_iter().filter_map(|(kind, _)| carriers::account::carrier(kind));
    let published = || all.flat_map(carriers::account::AccountCarrier::sources).collect();
    CarrierSources(settings.twilio_sources.clone().unwrap_or_else(published))
}

/// Where carriers are to send calls: to the first listener, by its transport.
fn sip_url(settings: &Settings, public: &PublicSip) -> String {
    let transport = match settings.sip.first().map(|listener| listener.transport) {
        Some(sip::Transport::Tcp) => ";transport=tcp",
        Some(sip::Transport::Tls) => ";transport=tls",
        Some(sip::Transport::Ws | sip::Transport::Wss) => ";transport=ws",
        Some(sip::Transport::Udp) | None => "",
    };
    format!("sip:{}:{}{transport}", domain::target::bracketed(&public.host), public.port)
}

/// What users are told: the first listener, by the name the world calls it.
fn public_sip(settings: &Settings, bound: &[(sip::Transport, SocketAddr)]) -> PublicSip {
    let first = settings.sip.first().map(|l| l.public.clone()).unwrap_or_default();
    let port = match first.1 {
        0 => bound.first().map_or(0, |(_, address)| address.port()),
        port => port,
    };
    PublicSip { host: first.0, port }
}
