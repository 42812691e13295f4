//! One connection: a task that reads and a task that writes. What arrives and leaves is the same for all streams; how it looks
//! on the wire is of two kinds ([`Take`], [`Put`]): bytes, which are framed by Content-Length, and WebSocket's frames.

use sip::{Fault, Flow, Frame, Framer, Input, SendId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;
use tokio_rustls::TlsStream;
use tokio_tungstenite::WebSocketStream;

use super::super::wire::{Wire, Work};
use super::line::{Line, Recent, Writer};
use super::{Piece, Seat, What, web};
use crate::clock;

/// Messages that wait to be written.
const QUEUE: usize = 256;
/// Messages that are written at once.
const AT_ONCE: usize = 16;
/// The longest that one message may take to arrive whole, or to be written.
const MESSAGE_MAX: Duration = Duration::from_secs(3);
/// How long the other end may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A trunk, whoever was answered, or whom we made the connection to: a call's length and more.
    pub(crate) known: Duration,
    /// A stranger.
    pub(crate) stranger: Duration,
    /// A connection in use that was silent so long is asked whether it is alive (RFC 5626 section 4.4.1: under 30 s keeps what
    /// stands between open).
    pub(crate) ping: Duration,
    /// Who has answered such a question before has so long to answer the next (RFC 5626 section 4.4.1).
    pub(crate) pong: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            known: Duration::from_hours(5),
            stranger: Duration::from_secs(30),
            ping: Duration::from_secs(28),
            pong: Duration::from_secs(10),
        }
    }
}

/// What was sent and is not acknowledged in this time shows that nobody is there.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// What a connection is made of.
pub(super) enum Stream {
    /// The bytes themselves.
    Plain(TcpStream),
    /// Under TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// WebSocket.
    Web(Box<WebSocketStream<TcpStream>>),
    /// WebSocket under TLS.
    WebTls(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// What arrives.
#[derive(Debug)]
pub(super) enum Came {
    /// A whole message.
    Message(Vec<u8>),
    /// The question whether we are alive, to be answered.
    Ping,
    /// The answer to ours.
    Pong,
    /// Something that is none of these, or not whole yet.
    Part,
}

/// Why a connection ends. Over WebSocket the other end is told (RFC 6455 section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The other end closed it, or it broke.
    Gone,
    /// We stop.
    Leaving,
    /// Nothing was heard, or a message did not become whole.
    Silent,
    /// A message was too long.
    TooLong,
    /// Its framing is lost.
    Malformed,
    /// What was framed is no SIP.
    NotSip,
}

/// The side that reads.
pub(super) trait Take: Send + 'static {
    /// The next of what arrives. To be dropped and asked again loses nothing.
    fn take(&mut self) -> impl Future<Output = Result<Came, Close>> + Send;
    /// Whether a message has begun and is not whole.
    fn partial(&self) -> bool;
}

/// The side that writes.
pub(super) trait Put: Send + 'static {
    /// Writes what it takes out of `pieces`, in their order.
    fn put(&mut self, pieces: &mut Vec<Piece>) -> impl Future<Output = std::io::Result<()>> + Send;
    /// Says good-bye, where the other end still listens.
    fn end(&mut self, why: Close) -> impl Future<Output = ()> + Send;
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

/// A connection's way in, and its task that reads.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) line: Arc<Line>,
    pub(super) reader: AbortHandle,
    /// Lets the reader begin.
    pub(super) go: Arc<Notify>,
}

pub(super) fn open(wire: &Arc<Wire>, stream: Stream, name: Name) -> Opened {
    match stream {
        Stream::Plain(stream) => {
            tune(&stream);
            let (read, write) = stream.into_split();
            bytes(wire, (read, write), name)
        }
        Stream::Tls(stream) => {
            tune(stream.get_ref().0);
            bytes(wire, tokio::io::split(*stream), name)
        }
        Stream::Web(stream) => {
            tune(stream.get_ref());
            halves(wire, web::split(*stream), Line::queued, name)
        }
        Stream::WebTls(stream) => {
            tune(stream.get_ref().get_ref().0);
            halves(wire, web::split(*stream), Line::queued, name)
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

fn bytes<R, W>(wire: &Arc<Wire>, (read, write): (R, W), name: Name) -> Opened
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let writer = Writer::new(write);
    let pen = writer.pen();
    halves(wire, (Reader::new(read), writer), |queue, recent| Line::direct(pen, queue, recent), name)
}

fn halves(
    wire: &Arc<Wire>,
    (read, write): (impl Take, impl Put),
    line: impl FnOnce(Sender<Piece>, Recent) -> Line,
    name: Name,
) -> Opened {
    let (writer, queue) = mpsc::channel(QUEUE);
    let (recent, go, why) = (Recent::default(), Arc::new(Notify::new()), Farewell::default());
    let stuck = Arc::new(Notify::new());
    let leaving = Leaving { recent: recent.clone(), why: Arc::clone(&why), stuck: Arc::clone(&stuck) };
    tokio::spawn(write_all(Arc::clone(wire), write, (name.id, queue), leaving));
    let ends = Ends { writer: writer.downgrade(), recent: recent.clone(), go: Arc::clone(&go), why, stuck };
    let reading = read_all(Arc::clone(wire), read, name, ends);
    let line = Arc::new(line(writer, recent));
    Opened { line, reader: tokio::spawn(reading).abort_handle(), go }
}

/// Why the reader ended, for the writer to tell; nothing where it was ended.
type Farewell = Arc<OnceLock<Close>>;

/// What the writer shares with the reader.
struct Leaving {
    recent: Recent,
    why: Farewell,
    /// Nothing can be written any more: then nothing is read either.
    stuck: Arc<Notify>,
}

/// Tells the edge of sends that a break took.
fn tell(wire: &Arc<Wire>, lost: impl IntoIterator<Item = SendId>) {
    for send in lost.into_iter().filter(|send| *send != SendId::NONE) {
        wire.aside(Input::Fault { send, why: Fault::Broken });
    }
}

async fn write_all(
    wire: Arc<Wire>,
    mut half: impl Put,
    (id, mut queue): (u64, Receiver<Piece>),
    Leaving { recent, why, stuck }: Leaving,
) {
    let mut pieces = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut pieces, AT_ONCE).await > 0 {
        recent.remember(pieces.iter().map(|piece| piece.id));
        if !matches!(tokio::time::timeout(MESSAGE_MAX, half.put(&mut pieces)).await, Ok(Ok(()))) {
            // Half a message may be out: the stream is lost, and with it what waits.
            wire.streams.remove(id);
            wire.gone(id);
            queue.close();
            stuck.notify_one();
            tell(&wire, recent.take());
            while let Ok(piece) = queue.try_recv() {
                tell(&wire, [piece.id]);
            }
            return;
        }
        pieces.clear();
    }
    if why.get().is_some() {
        // Written to an end that had gone already.
        tell(&wire, recent.take());
    }
    let why = why.get().copied().unwrap_or(Close::Leaving);
    drop(tokio::time::timeout(MESSAGE_MAX, half.end(why)).await);
}

/// What the reader shares with the writer and the table.
struct Ends {
    writer: mpsc::WeakSender<Piece>,
    recent: Recent,
    go: Arc<Notify>,
    why: Farewell,
    stuck: Arc<Notify>,
}

async fn read_all(wire: Arc<Wire>, half: impl Take, name: Name, ends: Ends) {
    ends.go.notified().await;
    wire.gauge.connected(name.flow.transport, 1);
    let pulse = Pulse {
        patience: wire.streams.patience(),
        heard: clock::instant(),
        asked: None,
        // Whoever speaks WebSocket answers pings (RFC 6455 section 5.5.2).
        answers: name.flow.transport.web(),
    };
    let why = tokio::select! {
        why = messages(&wire, half, &name, (pulse, &ends.writer)) => why,
        () = ends.stuck.notified() => Close::Gone,
    };
    ends.why.get_or_init(|| why);
    wire.gauge.connected(name.flow.transport, -1);
    wire.streams.remove(name.id);
    wire.gone(name.id);
    drop(name.seat);
    tell(&wire, ends.recent.take());
}

/// Whether the other end is alive (RFC 5626 section 3.5.1). Not everybody answers a ping: silence after one only means
/// something of who has answered before. What is gone without a word is found by TCP, which the ping makes look.
struct Pulse {
    patience: Patience,
    heard: Instant,
    /// When it was asked, if it has not been heard since.
    asked: Option<Instant>,
    answers: bool,
}

/// What is to be done about silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// To wait so long for what arrives.
    For(Duration),
    /// To ask, and then wait so long.
    Ask(Duration),
    /// To wait no longer.
    Over,
}

impl Pulse {
    fn heard(&mut self, pong: bool, now: Instant) {
        self.heard = now;
        self.answers |= pong && self.asked.is_some();
        self.asked = None;
    }

    /// How long to wait; `known` is whether the other end is no stranger.
    fn wait(&mut self, begun: Option<Instant>, known: bool, now: Instant) -> Wait {
        let Patience { known: idle, stranger, ping, pong } = self.patience;
        let left = |since: Instant, most: Duration| most.checked_sub(now.saturating_duration_since(since));
        let bounded = |left: Option<Duration>| left.map_or(Wait::Over, Wait::For);
        if let Some(begun) = begun {
            return bounded(left(begun, MESSAGE_MAX));
        }
        if !known {
            return bounded(left(self.heard, stranger));
        }
        let Some(idle) = left(self.heard, idle) else { return Wait::Over };
        if let Some(asked) = self.asked.filter(|_| self.answers) {
            return bounded(left(asked, pong).map(|left| left.min(idle)));
        }
        match left(self.asked.unwrap_or(self.heard), ping) {
            Some(left) if !left.is_zero() => Wait::For(left.min(idle)),
            Some(_) | None => {
                self.asked = Some(now);
                Wait::Ask(if self.answers { pong } else { ping })
            }
        }
    }
}

/// A full queue means that more than this is on its way.
fn say(writer: &mpsc::WeakSender<Piece>, what: What) {
    if let Some(writer) = writer.upgrade() {
        drop(writer.try_send(Piece { id: SendId::NONE, what }));
    }
}

/// Reads until the stream ends, loses its framing, or is too slow.
async fn messages(
    wire: &Arc<Wire>,
    mut half: impl Take,
    name: &Name,
    (mut pulse, writer): (Pulse, &mpsc::WeakSender<Piece>),
) -> Close {
    let mut work = Work::default();
    let mut begun = None;
    loop {
        let left = match pulse.wait(begun, name.known.load(Ordering::Relaxed), clock::instant()) {
            Wait::For(left) => left,
            Wait::Ask(left) => {
                say(writer, What::Ping);
                left
            }
            Wait::Over => return Close::Silent,
        };
        let came = match tokio::time::timeout(left, half.take()).await {
            Ok(Ok(came)) => came,
            Ok(Err(why)) => {
                if matches!(why, Close::Malformed | Close::NotSip | Close::TooLong) {
                    wire.gauge.malformed.increment(1);
                }
                return why;
            }
            // What is due then is for the pulse to say.
            Err(_) => continue,
        };
        let now = clock::instant();
        pulse.heard(matches!(came, Came::Pong), now);
        match came {
            Came::Message(bytes) => {
                begun = None;
                if wire.message(name.flow, &bytes, &mut work) {
                    wire.arm();
                }
            }
            Came::Ping => say(writer, What::Pong),
            Came::Pong | Came::Part => {}
        }
        begun = half.partial().then(|| begun.unwrap_or(now));
    }
}

/// Bytes, cut into messages by their Content-Length.
struct Reader<R> {
    half: R,
    framer: Framer,
    buffer: Vec<u8>,
}

impl<R> Reader<R> {
    fn new(half: R) -> Self {
        Self { half, framer: Framer::new(), buffer: vec![0; 8_192] }
    }

    fn next_frame(&mut self) -> Result<Option<Came>, Close> {
        Ok(self.framer.next_frame().map_err(|_| Close::Malformed)?.map(|frame| match frame {
            Frame::Message(bytes) => Came::Message(bytes),
            Frame::Ping => Came::Ping,
        }))
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> Take for Reader<R> {
    async fn take(&mut self) -> Result<Came, Close> {
        if let Some(came) = self.next_frame()? {
            return Ok(came);
        }
        let length = match self.half.read(&mut self.buffer).await {
            Ok(length) if length > 0 => length,
            Ok(_) | Err(_) => return Err(Close::Gone),
        };
        let bytes = self.buffer.get(..length).unwrap_or_default();
        let answer = if bytes == Framer::PONG { Came::Pong } else { Came::Part };
        self.framer.push(bytes);
        Ok(self.next_frame()?.unwrap_or(answer))
    }

    fn partial(&self) -> bool {
        self.framer.partial()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silence {
        pulse: Pulse,
        now: Instant,
    }

    impl Silence {
        fn of(answers: bool) -> Self {
            let now = clock::instant();
            Self { pulse: Pulse { patience: Patience::default(), heard: now, asked: None, answers }, now }
        }

        /// What is to be done after so many seconds more.
        fn after(&mut self, seconds: u64, known: bool) -> Wait {
            self.now += Duration::from_secs(seconds);
            self.pulse.wait(None, known, self.now)
        }
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_answered_one_ping_and_not_the_next_is_gone_after_ten_seconds() {
        let mut silence = Silence::of(false);
        assert_eq!(silence.after(0, true), Wait::For(secs(28)));
        assert_eq!(silence.after(28, true), Wait::Ask(secs(28)));
        silence.now += secs(1);
        silence.pulse.heard(true, silence.now);
        assert_eq!(silence.after(0, true), Wait::For(secs(28)));
        assert_eq!(silence.after(28, true), Wait::Ask(secs(10)), "it is known to answer");
        assert_eq!(silence.after(4, true), Wait::For(secs(6)));
        assert_eq!(silence.after(7, true), Wait::Over);
    }

    #[test]
    fn who_never_answers_a_ping_is_asked_again_and_kept_for_five_hours() {
        let mut silence = Silence::of(false);
        for _ in 0..642 {
            assert_eq!(silence.after(28, true), Wait::Ask(secs(28)));
        }
        assert_eq!(silence.after(25, true), Wait::Over, "{:?}", silence.now - silence.pulse.heard);
    }

    #[test]
    fn over_web_socket_the_first_ping_has_to_be_answered() {
        let mut silence = Silence::of(true);
        assert_eq!(silence.after(28, true), Wait::Ask(secs(10)));
        assert_eq!(silence.after(11, true), Wait::Over);
    }

    #[test]
    fn what_is_heard_but_no_pong_shows_life_and_no_habit_of_answering() {
        let mut silence = Silence::of(false);
        assert_eq!(silence.after(28, true), Wait::Ask(secs(28)));
        silence.pulse.heard(false, silence.now);
        assert_eq!(silence.after(28, true), Wait::Ask(secs(28)));
    }

    #[test]
    fn strangers_have_half_a_minute_and_a_message_three_seconds() {
        let mut silence = Silence::of(false);
        assert_eq!(silence.after(29, false), Wait::For(secs(1)));
        assert_eq!(silence.after(2, false), Wait::Over);
        let begun = Some(silence.now);
        assert_eq!(silence.pulse.wait(begun, true, silence.now + secs(1)), Wait::For(secs(2)));
        assert_eq!(silence.pulse.wait(begun, true, silence.now + secs(4)), Wait::Over);
    }
}
