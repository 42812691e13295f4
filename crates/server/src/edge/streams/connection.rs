//! One connection: a task that reads and a task that writes.

use sip::{Fault, Flow, Frame, Framer, Input, SendId};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;

use super::super::wire::{Wire, Work};
use super::{Piece, Seat};
use crate::clock;

/// Messages that wait to be written.
const QUEUE: usize = 256;
/// Messages that are written at once.
const AT_ONCE: usize = 16;
/// The longest that one message may take to arrive whole, or to be written.
const MESSAGE_MAX: Duration = Duration::from_secs(3);
/// A connection of a trunk, or one that we made, may be silent so long: a call's length and more.
const IDLE_KNOWN: Duration = Duration::from_hours(5);
/// One of a stranger may not.
const IDLE_STRANGER: Duration = Duration::from_secs(30);
/// A connection in use that was silent so long is asked whether it is alive (RFC 5626 section 4.4.1: under 30 s keeps what
/// stands between open).
const PING_AFTER: Duration = Duration::from_secs(28);
/// Who has answered such a question before has so long to answer the next (RFC 5626 section 4.4.1).
const PONG_MAX: Duration = Duration::from_secs(10);
/// What was sent and is not acknowledged in this time shows that nobody is there.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// Sends that are reported as lost when the connection breaks.
const RECENT: usize = 64;

/// What a connection is made of.
pub(super) enum Stream {
    /// The bytes themselves.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

/// What its tasks know of it.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) id: u64,
    pub(super) flow: Flow,
    pub(super) known: Arc<AtomicBool>,
    /// Held while it lives.
    pub(super) seat: Option<Seat>,
}

/// A connection's two tasks.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: Sender<Piece>,
    pub(super) reader: AbortHandle,
    /// Lets the reader begin.
    pub(super) go: Arc<Notify>,
}

/// The last sends, whose transactions must hear of a break: the kernel may have taken bytes that never arrived.
type Recent = Arc<Mutex<VecDeque<SendId>>>;

pub(super) fn open(wire: &Arc<Wire>, stream: Stream, name: Name) -> Opened {
    match stream {
        Stream::Plain(stream) => {
            tune(&stream);
            let (read, write) = stream.into_split();
            halves(wire, (read, write), name)
        }
        Stream::Tls(stream) => {
            tune(stream.get_ref().0);
            halves(wire, tokio::io::split(*stream), name)
        }
    }
}

/// A peer that vanished without a word is found by what it does not acknowledge.
fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let keep_alive = socket2::TcpKeepalive::new().with_time(Duration::from_mins(1));
    for (what, set) in [
        ("no delay", stream.set_nodelay(true)),
        ("keep-alive", socket.set_tcp_keepalive(&keep_alive)),
        ("a bound on silence", socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))),
    ] {
        if let Err(error) = set {
            tracing::debug!(error = %error, what, "a connection keeps the system's setting");
        }
    }
}

fn halves<R, W>(wire: &Arc<Wire>, (read, write): (R, W), name: Name) -> Opened
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (writer, queue) = mpsc::channel(QUEUE);
    let (recent, go) = (Recent::default(), Arc::new(Notify::new()));
    tokio::spawn(write_all(Arc::clone(wire), write, (name.id, queue), Arc::clone(&recent)));
    let reading = read_all(Arc::clone(wire), read, name, (writer.downgrade(), recent, Arc::clone(&go)));
    Opened { writer, reader: tokio::spawn(reading).abort_handle(), go }
}

async fn write_all(
    wire: Arc<Wire>,
    mut half: impl AsyncWrite + Unpin,
    (id, mut queue): (u64, Receiver<Piece>),
    recent: Recent,
) {
    let mut pieces = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut pieces, AT_ONCE).await > 0 {
        remember(&recent, &pieces);
        let bytes = match &mut pieces[..] {
            [one] => std::mem::take(&mut one.bytes),
            several => several.iter().flat_map(|piece| &piece.bytes).copied().collect(),
        };
        pieces.clear();
        let written = async {
            half.write_all(&bytes).await?;
            half.flush().await
        };
        if !matches!(tokio::time::timeout(MESSAGE_MAX, written).await, Ok(Ok(()))) {
            // Half a message may be out: the stream is lost, and with it what waits.
            wire.streams.remove(id);
            wire.parts.live.registrations.gone(id);
            queue.close();
            while let Ok(piece) = queue.try_recv() {
                wire.aside(Input::Fault { send: piece.id, why: Fault::Broken });
            }
            return;
        }
    }
    // Says good-bye, where the other end still listens.
    drop(tokio::time::timeout(MESSAGE_MAX, half.shutdown()).await);
}

fn remember(recent: &Recent, pieces: &[Piece]) {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    for piece in pieces.iter().filter(|piece| piece.id != SendId::NONE) {
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(piece.id);
    }
}

type Ends = (mpsc::WeakSender<Piece>, Recent, Arc<Notify>);

async fn read_all(wire: Arc<Wire>, half: impl AsyncRead + Unpin, name: Name, (writer, recent, go): Ends) {
    go.notified().await;
    wire.gauge.connected(name.flow.transport, 1);
    let pulse = Pulse {
        known: Arc::clone(&name.known),
        writer,
        heard: clock::instant(),
        asked: None,
        answers: false,
    };
    messages(&wire, half, name.flow, pulse).await;
    wire.gauge.connected(name.flow.transport, -1);
    wire.streams.remove(name.id);
    // A registered agent is not to be reached by it any more.
    wire.parts.live.registrations.gone(name.id);
    drop(name.seat);
    let recent = std::mem::take(&mut *recent.lock().unwrap_or_else(PoisonError::into_inner));
    for send in recent {
        wire.aside(Input::Fault { send, why: Fault::Broken });
    }
}

/// Whether the other end is alive (RFC 5626 section 3.5.1). Not everybody answers a ping: silence after one only means
/// something of who has answered before. What is gone without a word is found by TCP, which the ping makes look.
struct Pulse {
    known: Arc<AtomicBool>,
    writer: mpsc::WeakSender<Piece>,
    heard: Instant,
    /// When it was asked, if it has not been heard since.
    asked: Option<Instant>,
    answers: bool,
}

impl Pulse {
    fn heard(&mut self, pong: bool) {
        self.heard = clock::instant();
        self.answers |= pong && self.asked.is_some();
        self.asked = None;
    }

    /// How long to wait for bytes; none: no longer.
    fn wait(&mut self, begun: Option<Instant>) -> Option<Duration> {
        let now = clock::instant();
        let left = |since: Instant, most: Duration| most.checked_sub(now.duration_since(since));
        if let Some(begun) = begun {
            return left(begun, MESSAGE_MAX);
        }
        if !self.known.load(Ordering::Relaxed) {
            return left(self.heard, IDLE_STRANGER);
        }
        let idle = left(self.heard, IDLE_KNOWN)?;
        if let Some(asked) = self.asked {
            if self.answers {
                return left(asked, PONG_MAX).map(|left| left.min(idle));
            }
            if let Some(left) = left(asked, PING_AFTER) {
                return Some(left.min(idle));
            }
        }
        let last = self.asked.unwrap_or(self.heard);
        match left(last, PING_AFTER) {
            Some(left) if !left.is_zero() => Some(left.min(idle)),
            Some(_) | None => {
                self.say(Framer::PING);
                self.asked = Some(now);
                Some(if self.answers { PONG_MAX } else { PING_AFTER })
            }
        }
    }

    /// A full queue means that more than this is on its way.
    fn say(&self, bytes: &[u8]) {
        if let Some(writer) = self.writer.upgrade() {
            drop(writer.try_send(Piece { id: SendId::NONE, bytes: bytes.to_vec() }));
        }
    }
}

/// Reads until the stream ends, loses its framing, or is too slow.
async fn messages(wire: &Arc<Wire>, mut half: impl AsyncRead + Unpin, flow: Flow, mut pulse: Pulse) {
    let mut framer = Framer::new();
    let mut buffer = vec![0_u8; 8_192];
    let mut work = Work::default();
    let mut begun = None;
    loop {
        let Some(left) = pulse.wait(begun) else { return };
        let length = match tokio::time::timeout(left, half.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => length,
            Ok(_) => return,
            // What is due then is for the pulse to say.
            Err(_) => continue,
        };
        let bytes = &buffer[..length];
        pulse.heard(bytes == Framer::PONG);
        framer.push(bytes);
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(bytes))) => {
                    begun = None;
                    if wire.message(flow, &bytes, &mut work) {
                        wire.arm();
                    }
                }
                Ok(Some(Frame::Ping)) => pulse.say(Framer::PONG),
                Ok(None) => break,
                Err(_) => {
                    wire.gauge.malformed.increment(1);
                    return;
                }
            }
        }
        begun = if framer.partial() { begun.or_else(|| Some(clock::instant())) } else { None };
    }
}
