//! The shell around [`sip::Edge`]: sockets, threads, and the answers to its questions.
//!
//! Several edges, each under a lock of its own, and a call belongs to one of them by its Call-ID. Any thread takes any message: it
//! locks the call's edge, hands the message in, drains what comes out (deciding new calls from the live table on the way),
//! unlocks, and then performs the outputs **in their order**: facts to the journal by a plain write before the sends that stand
//! behind them. Nothing is handed to another thread, since a wake-up costs more than the work. Nothing here waits for the store.
//! Files: `wire` the locks and the order, `decide` questions, `out` those of calls out, `bridge` and `place` calls that we place,
//! `control` ends of calls from outside, `facts` call records, `udp` and `streams` sockets, `tls` certificates, `resolve` names of
//! targets, `health` whether those are there.

mod bridge;
mod control;
mod decide;
mod dress;
mod facts;
mod flows;
mod gate;
mod gauge;
mod health;
mod hosts;
mod out;
mod place;
pub(crate) mod plan;
mod proof;
mod ration;
mod registrants;
mod registrar;
mod resolve;
mod rush;
mod streams;
mod tls;
mod udp;
mod wire;

use anyhow::{Context, bail};
use sip::{Listener, Timers, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::journal::Journal;
use crate::live::Live;
use crate::meter::Tally;
pub(crate) use bridge::Stranded;
pub(crate) use control::Control;
pub(crate) use place::Placement;
pub(crate) use streams::Patience;
use streams::StreamParts;
use tls::Tls;
pub(crate) use tls::{ClientAuth, TlsSettings};
use wire::Wire;

/// The longest that carriers' answers are awaited when registrations are taken away at the end.
const LEAVE_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether they came.
const LEAVE_LOOK: Duration = Duration::from_millis(20);

/// A socket to listen on.
#[derive(Clone, Debug)]
pub(crate) struct ListenerSettings {
    /// How.
    pub(crate) transport: Transport,
    /// Where; port 0 takes any.
    pub(crate) bind: SocketAddr,
    /// What stands for it in Via and Record-Route; without it, the bound address. A bind to an unspecified address needs it.
    pub(crate) public: Option<(String, u16)>,
}

/// What [`start`] needs to know.
#[derive(Clone, Debug)]
pub(crate) struct EdgeSettings {
    /// The sockets.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// Number of this node in its cluster.
    pub(crate) node: u16,
    /// The secret of the cluster's cookies, with its number.
    pub(crate) key: [u8; 32],
    /// Certificates.
    pub(crate) tls: TlsSettings,
    /// Where names are asked for; none: as the machine is set.
    pub(crate) dns: Option<SocketAddr>,
    /// A target that gives no provisional answer in this time is passed over.
    pub(crate) no_provisional: Duration,
    /// How many threads receive at each UDP socket.
    pub(crate) threads: NonZero<usize>,
    /// How long the other end of a stream may be silent.
    pub(crate) patience: Patience,
    /// Files beside the store; none: nothing is kept, and nobody else is reckoned with.
    pub(crate) beside: Option<Beside>,
}

/// Files of the edge beside the store.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    /// Held by the process that registers trunks.
    pub(crate) register: PathBuf,
    /// What agents registered.
    pub(crate) bindings: PathBuf,
}

/// What the edge works with.
#[derive(Clone, Debug)]
pub(crate) struct EdgeParts {
    /// The tables that calls are decided on.
    pub(crate) live: Arc<Live>,
    /// Where facts go.
    pub(crate) journal: Arc<Journal>,
    /// Who counts them.
    pub(crate) tally: Arc<Tally>,
}

/// The running edge.
#[derive(Debug)]
pub(crate) struct EdgeHandle {
    wire: Arc<Wire>,
    bound: Vec<(Transport, SocketAddr)>,
    /// Of each UDP socket so many.
    per_socket: usize,
    threads: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl EdgeHandle {
    /// Where it listens, in the order of the settings.
    pub(crate) fn bound(&self) -> &[(Transport, SocketAddr)] {
        &self.bound
    }

    /// Ends calls.
    pub(crate) fn control(&self) -> Control {
        Control::new(Arc::clone(&self.wire))
    }

    /// From now on new calls get 503; what is up goes on.
    pub(crate) fn drain(&self) {
        self.wire.drain();
    }

    /// Takes registrations with carriers away: no call is to come in any more. Waits for their answers, within a bound.
    pub(crate) async fn leave(&self) {
        let until = clock::instant() + LEAVE_MAX;
        while !self.wire.registrants.leave(&self.wire) && clock::instant() < until {
            clock::sleep(LEAVE_LOOK).await;
        }
    }

    /// True when no transaction awaits an answer.
    pub(crate) fn idle(&self) -> bool {
        self.wire.idle()
    }

    /// Closes the sockets and waits for the threads.
    pub(crate) async fn stop(self) {
        self.wire.stopping.store(true, Ordering::Release);
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        self.wire.streams.close();
        self.wire.wake_threads(self.per_socket);
        let joined = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        match joined.await {
            Ok(0) => {}
            Ok(panicked) => tracing::error!(panicked, "threads of the edge had panicked"),
            Err(error) => tracing::error!(error = %error, "the edge's threads were not waited for"),
        }
    }
}

/// Binds the sockets and begins to take calls. To be called within a tokio runtime.
pub(crate) async fn start(settings: EdgeSettings, parts: EdgeParts) -> anyhow::Result<EdgeHandle> {
    let tls = certificates(&settings)?;
    let mut listeners = Vec::new();
    let mut udp: Vec<Option<Arc<UdpSocket>>> = Vec::new();
    let mut streams = Vec::new();
    for one in &settings.listeners {
        let name = || format!("cannot listen for SIP on {}:{}", one.transport.name(), one.bind);
        let (socket, local) = match one.transport {
            Transport::Udp => {
                let socket = udp::bind(one.bind).with_context(name)?;
                let local = socket.local_addr()?;
                (Some(Arc::new(socket)), local)
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                let socket = tokio::net::TcpListener::bind(one.bind).await.with_context(name)?;
                let local = socket.local_addr()?;
                streams.push((index(listeners.len()), socket, one.transport));
                (None, local)
            }
        };
        let (public_host, public_port) = match &one.public {
            Some((host, port)) => (host.clone(), if *port == 0 { local.port() } else { *port }),
            None if local.ip().is_unspecified() => {
                bail!(
                    "{}: bound to all addresses, so --public-sip must say which one others reach it by",
                    name()
                )
            }
            None => (local.ip().to_string(), local.port()),
        };
        listeners.push(Listener { transport: one.transport, local, public_host, public_port });
        udp.push(socket);
    }
    let bound = listeners.iter().map(|one| (one.transport, one.local)).collect();
    let config = sip::Config {
        listeners,
        node: settings.node,
        process: u32::from_le_bytes(clock::random()),
        keys: sip::Keys { current: sip::Key { id: 0, secret: settings.key }, previous: None },
        timers: Timers { no_provisional: settings.no_provisional, ..Timers::default() },
        limits: sip::Limits::default(),
    };
    let locals = config.listeners.iter().map(|one| one.local).collect();
    let own = ourselves(&config.listeners, &parts.live);
    let lease = keep(&settings, &config, &parts.live)?;
    let wire = Wire::new(&config, udp, parts, lease);
    wire.names.ask_by(resolve::Dns::open(settings.dns)?);
    wire.streams.prepare(StreamParts { tls: tls.clone(), locals, patience: settings.patience });
    let mut threads = Vec::new();
    for (at, socket) in wire.udp.iter().enumerate() {
        if let Some(socket) = socket {
            threads.extend(udp::spawn(&wire, socket, index(at), settings.threads.get())?);
        }
    }
    let mut tasks = vec![
        tokio::spawn(wire::follow_deadlines(Arc::clone(&wire))),
        tokio::spawn(flows::follow(Arc::clone(&wire))),
        tokio::spawn(health::follow(Arc::clone(&wire))),
        tokio::spawn(hosts::follow(Arc::clone(&wire), own)),
        tokio::spawn(registrants::follow(Arc::clone(&wire))),
    ];
    for (at, socket, transport) in streams {
        tasks.push(tokio::spawn(streams::listen(Arc::clone(&wire), socket, at, transport)));
    }
    tasks.push(tokio::spawn(bridge::follow(Arc::clone(&wire))));
    tasks.extend(tls.map(|tls| tokio::spawn(tls::follow(tls))));
    Ok(EdgeHandle { wire, bound, per_socket: settings.threads.get(), threads, tasks })
}

/// Takes up what agents registered before, where it is kept. Gives where the lease is that trunks are registered under.
fn keep(settings: &EdgeSettings, config: &sip::Config, live: &Live) -> anyhow::Result<Option<PathBuf>> {
    let Some(Beside { register, bindings }) = &settings.beside else { return Ok(None) };
    live.keep_registrations(bindings, &config.listeners, (clock::instant(), clock::now()))
        .with_context(|| format!("registrations cannot be kept in {}", bindings.display()))?;
    Ok(Some(register.clone()))
}

/// Says where we are ourselves, as far as it is known without asking; gives the names that are to be looked up for it.
fn ourselves(listeners: &[Listener], live: &Live) -> Vec<String> {
    let host = |one: &Listener| one.public_host.trim_matches(['[', ']']).to_ascii_lowercase();
    let told = listeners.iter().filter_map(|one| host(one).parse::<IpAddr>().ok());
    live.put_own("", told.chain(listeners.iter().map(|one| one.local.ip())));
    let names: BTreeSet<_> =
        listeners.iter().map(host).filter(|host| host.parse::<IpAddr>().is_err()).collect();
    names.into_iter().collect()
}

/// The certificates of the listeners, where one needs them.
fn certificates(settings: &EdgeSettings) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(secure) = settings.listeners.iter().find(|one| one.transport.secure()) else { return Ok(None) };
    if settings.tls.own.is_none() {
        let (transport, bind) = (secure.transport.name(), secure.bind);
        bail!("--sip {transport}:{bind} needs --sip-tls-certificate and --sip-tls-key");
    }
    Ok(Some(Arc::new(Tls::open(settings.tls.clone())?)))
}

fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod explained;
#[cfg(test)]
mod pinged;
#[cfg(test)]
mod tests;
