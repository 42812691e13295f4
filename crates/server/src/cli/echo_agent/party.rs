//! The echo agent itself: the sockets around [`sip::Answerer`].
//!
//! One socket echoes the sound of all calls: each packet of RTP goes back to where it came from, while a call is up. So there
//! is one port to open, whatever the number of calls.

use anyhow::Context;
use sip::{
    AgentEvent, AgentInput, AgentOutput, Answerer, AnswererConfig, Answering, Local, Message, Name, Timers,
    Transport,
};
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::ways::Ways;
use crate::cli::call::sdp;
use crate::cli::timeline::{Event, Party};
use crate::clock;

/// The most calls at once.
const CALLS_MAX: usize = 10_000;
/// Messages remembered for timelines.
const SEEN_MAX: usize = 1_000;
/// The longest wait without anything to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the agent tells of its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A call came.
    Invited {
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
    },
    /// It was answered.
    Answered,
    /// It is over.
    Ended {
        /// How long it was up.
        talked: Duration,
        /// Packets echoed since the agent began.
        echoed: u64,
    },
}

/// The last messages.
type Seen = Arc<Mutex<VecDeque<Event>>>;

/// A running echo agent.
#[derive(Debug)]
pub(crate) struct EchoAgent {
    bound: SocketAddr,
    seen: Seen,
    stop: Arc<Notify>,
    answering: JoinHandle<()>,
    echoing: JoinHandle<()>,
}

impl EchoAgent {
    /// Answers at once, over UDP, and tells nobody.
    pub(crate) async fn start(bind: SocketAddr) -> anyhow::Result<Self> {
        Self::start_with(Transport::Udp, bind, Duration::ZERO, |_| {}).await
    }

    /// Begins to answer. `tell` hears of each call.
    pub(super) async fn start_with(
        transport: Transport,
        bind: SocketAddr,
        ring: Duration,
        tell: impl Fn(&Told) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let ways = Ways::open(transport, bind)
            .await
            .with_context(|| format!("cannot listen on {}:{bind}", transport.param()))?;
        let bound = ways.local()?;
        let reached = SocketAddr::new(reachable(bound).await?.ip(), bound.port());
        let sound =
            UdpSocket::bind(SocketAddr::new(bound.ip(), 0)).await.context("cannot open a port for sound")?;
        let config = AnswererConfig {
            local: Local { transport, addr: reached },
            answering: Answering::Accept { ring },
            sdp: sdp(SocketAddr::new(reached.ip(), sound.local_addr()?.port())),
            hang_up_after: None,
            reinvite_after: None,
            calls_max: CALLS_MAX,
            seed: u64::from_le_bytes(clock::random()),
            timers: Timers::default(),
        };
        let (up, echoed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let (seen, stop) = (Seen::default(), Arc::new(Notify::new()));
        let agent = Agent {
            ways,
            answerer: Answerer::new(config),
            since: HashMap::new(),
            seen: Arc::clone(&seen),
            up: Arc::clone(&up),
            echoed: Arc::clone(&echoed),
            tell,
        };
        let answering = tokio::spawn(agent.run(Arc::clone(&stop)));
        let echoing = tokio::spawn(echo(sound, up, echoed));
        Ok(Self { bound, seen, stop, answering, echoing })
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.bound
    }

    /// What was said between the service and this agent lately, for a timeline.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Stops answering. Calls that are up are hung up first.
    pub(crate) async fn stop(self) {
        self.stop.notify_one();
        self.echoing.abort();
        if tokio::time::timeout(LOOK_EVERY * 2, self.answering).await.is_err() {
            tracing::warn!("the echo agent did not stop in time");
        }
    }
}

/// An address that others reach: the bound one, or where it is unspecified, the one that packets leave by.
async fn reachable(bound: SocketAddr) -> anyhow::Result<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return Ok(bound);
    }
    // Documentation addresses (RFC 5737, RFC 3849): connecting a datagram socket sends nothing.
    let towards = if bound.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let socket = UdpSocket::bind(SocketAddr::new(bound.ip(), 0)).await?;
    let found = match socket.connect(towards).await {
        Ok(()) => socket.local_addr()?.ip(),
        Err(_) if bound.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        Err(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(found, bound.port()))
}

struct Agent<T> {
    ways: Ways,
    answerer: Answerer,
    since: HashMap<String, Instant>,
    seen: Seen,
    up: Arc<AtomicUsize>,
    echoed: Arc<AtomicU64>,
    tell: T,
}

impl<T: Fn(&Told)> Agent<T> {
    async fn run(mut self, stop: Arc<Notify>) {
        loop {
            let now = clock::instant();
            let due =
                self.answerer.next_deadline().map_or(LOOK_EVERY, |due| due.saturating_duration_since(now));
            tokio::select! {
                (from, bytes) = self.ways.receive() => {
                    let now = clock::instant();
                    self.saw(now, Party::Edge, Party::Agent, &bytes);
                    self.invited(&bytes);
                    self.answerer.handle(now, AgentInput::Message { from, bytes: &bytes });
                }
                () = clock::sleep(due.min(LOOK_EVERY)) => self.answerer.handle(clock::instant(), AgentInput::Tick),
                () = stop.notified() => {
                    self.answerer.hang_up(clock::instant(), None);
                    self.drain().await;
                    return;
                }
            }
            self.drain().await;
        }
    }

    async fn drain(&mut self) {
        while let Some(output) = self.answerer.poll() {
            let now = clock::instant();
            match output {
                AgentOutput::Send { to, bytes } => {
                    self.saw(now, Party::Agent, Party::Edge, &bytes);
                    if let Err(error) = self.ways.send(to, &bytes).await {
                        tracing::debug!(error = %error, "the echo agent's message was not sent");
                    }
                }
                AgentOutput::Event { call_id, event } => self.heard(now, call_id, &event),
            }
        }
        self.up.store(self.since.len(), Ordering::Relaxed);
    }

    fn heard(&mut self, now: Instant, call_id: String, event: &AgentEvent) {
        match event {
            AgentEvent::Answered { .. } => {
                self.since.insert(call_id, now);
                (self.tell)(&Told::Answered);
            }
            AgentEvent::HungUp | AgentEvent::Ended { .. } => {
                if let Some(since) = self.since.remove(&call_id) {
                    let talked = now.saturating_duration_since(since);
                    (self.tell)(&Told::Ended { talked, echoed: self.echoed.load(Ordering::Relaxed) });
                }
            }
            AgentEvent::Invited { .. }
            | AgentEvent::Ringing { .. }
            | AgentEvent::Changed
            | AgentEvent::Refused { .. } => {}
        }
    }

    /// Tells of a new call, by its INVITE.
    fn invited(&self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let text = |name| String::from_utf8_lossy(message.value(name).unwrap_or_default()).into_owned();
        let (from, to) = (text(Name::From), text(Name::To));
        if message.method() == Some(sip::Method::Invite) && !to.contains(";tag=") {
            let user = |header: &str| {
                let uri = header.split_once("sip:").map_or(header, |(_, rest)| rest);
                uri.split(['@', '>', ';']).next().unwrap_or(uri).to_owned()
            };
            (self.tell)(&Told::Invited { from: user(&from), to: user(&to) });
        }
    }

    fn saw(&self, at: Instant, from: Party, to: Party, bytes: &[u8]) {
        let Some(event) = Event::message(at, from, to, bytes) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN_MAX {
            seen.pop_front();
        }
        seen.push_back(event);
    }
}

/// Sends each packet back to where it came from, while a call is up and if it is RTP (RFC 3550: version 2).
async fn echo(socket: UdpSocket, up: Arc<AtomicUsize>, echoed: Arc<AtomicU64>) {
    let mut packet = vec![0; 2_048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        let rtp = length >= 12 && packet[0] >> 6 == 2;
        if rtp && up.load(Ordering::Relaxed) > 0 && socket.send_to(&packet[..length], from).await.is_ok() {
            echoed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
