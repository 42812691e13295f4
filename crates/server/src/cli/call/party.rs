//! Placing one call: the sockets around [`sip::Caller`].

use anyhow::{Context, bail};
use sip::{
    AgentEvent, AgentInput, AgentOutput, Caller, CallerConfig, Frame, Framer, Local, Login, Message, Name,
    Timers, Transport,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::Notify;

use super::media::{Media, PACKET_EVERY};
use crate::cli::timeline::{Event, Party, since};
use crate::clock;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest wait without anything to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A call to be placed.
#[derive(Clone, Debug)]
pub(crate) struct CallOrder {
    /// Who is called.
    pub(crate) number: String,
    /// Who calls.
    pub(crate) from: String,
    /// Where the call is sent.
    pub(crate) via: SocketAddr,
    /// How.
    pub(crate) transport: Transport,
    /// How long to talk; none: until the other side hangs up.
    pub(crate) talk: Option<Duration>,
    /// How long to let it ring.
    pub(crate) ring: Duration,
    /// What answers a challenge.
    pub(crate) login: Option<Login>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered, and ended by either side.
    Completed,
    /// Refused, with this status.
    Refused(u16),
    /// Nobody was reached, or nobody answered in time.
    Unreachable,
    /// Given up by us.
    Cancelled,
}

impl Outcome {
    /// The exit code of the command.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Refused(401 | 403 | 407) => 3,
            Self::Refused(404) => 4,
            Self::Refused(486 | 600 | 603) => 5,
            Self::Refused(503) => 6,
            Self::Refused(408 | 480) | Self::Unreachable => 7,
            Self::Refused(_) | Self::Cancelled => 1,
        }
    }
}

/// A call that is over.
#[derive(Clone, Debug)]
pub(crate) struct CallReport {
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// When it began.
    pub(crate) began: Instant,
    /// From the INVITE to the answer.
    pub(crate) answered_after: Option<Duration>,
    /// From the answer to the end.
    pub(crate) talked: Duration,
    /// Packets of sound sent.
    pub(crate) sent: u32,
    /// How many of them came back.
    pub(crate) echoed: u32,
    /// Why it was refused, where the other side said so (RFC 3326).
    pub(crate) reason: Option<String>,
    /// What was said, in order.
    pub(crate) events: Vec<Event>,
}

impl CallReport {
    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        match self.outcome {
            Outcome::Completed => {
                let answered = self.answered_after.map(since).unwrap_or_default();
                let sound = match (self.sent, self.echoed) {
                    (0, _) => String::new(),
                    (sent, 0) => format!(", {sent} packets of sound sent, none came back"),
                    (sent, echoed) => format!(", {echoed} of {sent} packets of sound came back"),
                };
                format!("✓ answered after {answered}, talked {}{sound}", since(self.talked))
            }
            Outcome::Refused(status) => match &self.reason {
                Some(reason) => format!("✗ refused with {status}: {reason}"),
                None => format!("✗ refused with {status}"),
            },
            Outcome::Unreachable => "✗ no answer: nobody was reached in time".to_owned(),
            Outcome::Cancelled => "✗ given up before an answer".to_owned(),
        }
    }
}

/// The way to the other side.
enum Wire {
    Udp(UdpSocket),
    Tcp(Box<TcpStream>, Framer),
}

impl Wire {
    /// Opens the way; `source` is where from, if that matters.
    async fn open(order: &CallOrder, source: Option<IpAddr>) -> anyhow::Result<Self> {
        let any: IpAddr =
            if order.via.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let any = source.unwrap_or(any);
        match order.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
                // Tells our own address on the way there, and errors of the other end.
                socket.connect(order.via).await?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => {
                let socket = if order.via.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(any, 0))?;
                let connecting = tokio::time::timeout(CONNECT_MAX, socket.connect(order.via)).await;
                let stream = connecting.context("the connection took too long")??;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(Box::new(stream), Framer::new()))
            }
            Transport::Tls | Transport::Ws | Transport::Wss => {
                bail!("calls over {} are not available yet", order.transport.name())
            }
        }
    }

    fn local(&self) -> std::io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream, _) => stream.local_addr(),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).await.map(drop),
            Self::Tcp(stream, _) => stream.write_all(bytes).await,
        }
    }

    /// The next message. Safe to drop while it waits.
    async fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        match self {
            Self::Udp(socket) => {
                let length = socket.recv(&mut buffer).await?;
                buffer.truncate(length);
                Ok(buffer)
            }
            Self::Tcp(stream, framer) => loop {
                match framer.next_frame() {
                    Ok(Some(Frame::Message(bytes))) => return Ok(bytes),
                    Ok(Some(Frame::Ping)) => {}
                    Ok(None) => match stream.read(&mut buffer).await? {
                        0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                        length => framer.push(&buffer[..length]),
                    },
                    Err(_) => return Err(std::io::ErrorKind::InvalidData.into()),
                }
            },
        }
    }
}

/// A call under way.
struct Placing {
    wire: Wire,
    media: Media,
    caller: Caller,
    via: SocketAddr,
    began: Instant,
    answered: Option<Instant>,
    ended: Option<(Instant, Outcome)>,
    fault: bool,
    reason: Option<String>,
    events: Vec<Event>,
}

/// Places a call and waits for its end. `hang_up` ends it early.
pub(crate) async fn place(order: CallOrder, hang_up: &Notify) -> anyhow::Result<CallReport> {
    place_from(order, None, |_| {}, hang_up).await
}

/// The same from an address. What `opened` gives for the socket that the call is placed from is kept until its end.
pub(crate) async fn place_from<T: Send>(
    order: CallOrder,
    source: Option<IpAddr>,
    opened: impl FnOnce(SocketAddr) -> T + Send,
    hang_up: &Notify,
) -> anyhow::Result<CallReport> {
    let began = clock::instant();
    let wire = match Wire::open(&order, source).await {
        Ok(wire) => wire,
        Err(error) => {
            let text = format!("cannot be reached: {error:#}");
            return Ok(unreachable(began, text));
        }
    };
    let local = wire.local()?;
    let _kept = opened(local);
    let media = Media::open(local.ip(), u32::from_le_bytes(clock::random())).await?;
    let config = CallerConfig {
        local: Local { transport: order.transport, addr: local },
        peer: order.via,
        to_uri: format!("sip:{}@{}", order.number, order.via),
        from_uri: format!("sip:{}@{local}", order.from),
        sdp: media.sdp()?,
        headers: Vec::new(),
        login: order.login.clone(),
        hang_up_after: order.talk,
        cancel_after: Some(order.ring),
        reinvite_after: None,
        seed: u64::from_le_bytes(clock::random()),
        timers: Timers::default(),
    };
    let began = clock::instant();
    let caller = Caller::new(config, began);
    let (via, answered, ended) = (order.via, None, None);
    let (fault, reason, events) = (false, None, Vec::new());
    let mut placing = Placing { wire, media, caller, via, began, answered, ended, fault, reason, events };
    placing.run(hang_up).await;
    Ok(placing.report())
}

/// The text of a Reason header: `SIP;cause=404;text="…"`.
fn reason_text(bytes: &[u8]) -> Option<String> {
    let message = Message::parse(bytes).ok()?;
    let reason = std::str::from_utf8(message.value(Name::Reason)?).ok()?;
    let (_, rest) = reason.split_once("text=\"")?;
    rest.split_once('"').map(|(text, _)| text.to_owned())
}

fn unreachable(began: Instant, text: String) -> CallReport {
    let events = vec![Event::note(clock::instant(), Party::Edge, text)];
    let outcome = Outcome::Unreachable;
    let (answered_after, talked, reason) = (None, Duration::ZERO, None);
    CallReport { outcome, began, answered_after, talked, sent: 0, echoed: 0, reason, events }
}

impl Placing {
    async fn run(&mut self, hang_up: &Notify) {
        let mut beat = tokio::time::interval(PACKET_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.drain().await;
            if self.ended.is_some() {
                return;
            }
            let now = clock::instant();
            let due =
                self.caller.next_deadline().map_or(LOOK_EVERY, |due| due.saturating_duration_since(now));
            let talking = self.answered.is_some();
            tokio::select! {
                received = self.wire.receive() => self.received(received).await,
                () = clock::sleep(due.min(LOOK_EVERY)) => self.caller.handle(clock::instant(), AgentInput::Tick),
                _ = beat.tick(), if talking => self.media.speak().await,
                Ok(true) = self.media.listen(), if talking => self.media.echoed += 1,
                () = hang_up.notified() => {
                    self.caller.hang_up(clock::instant());
                }
            }
        }
    }

    async fn received(&mut self, received: std::io::Result<Vec<u8>>) {
        let now = clock::instant();
        match received {
            Ok(bytes) => {
                self.events.extend(Event::message(now, Party::Edge, Party::Caller, &bytes));
                self.reason = reason_text(&bytes).or_else(|| self.reason.take());
                self.caller.handle(now, AgentInput::Message { from: self.via, bytes: &bytes });
            }
            // A closed port, or a broken stream. Once answered the call may still go on by other means: it is not ours to end.
            Err(error) => self.broke(&error).await,
        }
    }

    async fn broke(&mut self, error: &std::io::Error) {
        let now = clock::instant();
        if !std::mem::replace(&mut self.fault, true) {
            self.events.push(Event::note(now, Party::Edge, format!("cannot be reached: {error}")));
        }
        self.caller.handle(now, AgentInput::Fault);
        if matches!(self.wire, Wire::Tcp(..)) {
            self.ended.get_or_insert((now, Outcome::Unreachable));
        } else {
            clock::sleep(PACKET_EVERY).await;
        }
    }

    async fn drain(&mut self) {
        while let Some(output) = self.caller.poll() {
            let now = clock::instant();
            match output {
                AgentOutput::Send { bytes, .. } => {
                    self.events.extend(Event::message(now, Party::Caller, Party::Edge, &bytes));
                    if let Err(error) = self.wire.send(&bytes).await {
                        self.broke(&error).await;
                    }
                }
                AgentOutput::Event { event, .. } => self.heard(now, event),
            }
        }
    }

    fn heard(&mut self, now: Instant, event: AgentEvent) {
        match event {
            AgentEvent::Answered { sdp } => {
                self.answered = Some(now);
                self.media.begin(&sdp);
            }
            AgentEvent::HungUp | AgentEvent::Ended { status: 200 } => {
                let outcome = if self.answered.is_some() { Outcome::Completed } else { Outcome::Cancelled };
                self.ended.get_or_insert((now, outcome));
            }
            AgentEvent::Ended { status } => {
                let outcome = if status == 408 { Outcome::Unreachable } else { Outcome::Refused(status) };
                self.ended.get_or_insert((now, outcome));
            }
            AgentEvent::Refused { status } => {
                let outcome = match status {
                    487 => Outcome::Cancelled,
                    _ if self.fault => Outcome::Unreachable,
                    status => Outcome::Refused(status),
                };
                self.ended.get_or_insert((now, outcome));
            }
            AgentEvent::Invited { .. } | AgentEvent::Ringing { .. } | AgentEvent::Changed => {}
        }
    }

    fn report(mut self) -> CallReport {
        let (ended, outcome) = self.ended.unwrap_or_else(|| (clock::instant(), Outcome::Unreachable));
        let talked =
            self.answered.map_or(Duration::ZERO, |answered| ended.saturating_duration_since(answered));
        if self.media.sent > 0 {
            let text = format!("sound: {} packets out, {} back", self.media.sent, self.media.echoed);
            self.events.push(Event::note(ended, Party::Caller, text));
        }
        CallReport {
            outcome,
            began: self.began,
            answered_after: self.answered.map(|answered| answered.saturating_duration_since(self.began)),
            talked,
            sent: self.media.sent,
            echoed: self.media.echoed,
            reason: self.reason,
            events: self.events,
        }
    }
}
