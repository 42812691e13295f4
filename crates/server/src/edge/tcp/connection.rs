//! One TCP connection: a task that reads and a task that writes.

use sip::{Flow, Frame, Framer, Input, SendId, Transport};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::AbortHandle;

use super::super::wire::{Wire, Work};
use super::{Origin, Piece};
use crate::clock;

/// Messages that wait to be written.
const QUEUE: usize = 256;
/// The longest that one message may take to arrive whole, or to be written.
const MESSAGE_MAX: Duration = Duration::from_secs(3);
/// A connection of a trunk, or one that we made, may be silent so long: a call's length and more.
const IDLE_KNOWN: Duration = Duration::from_hours(5);
/// One of a stranger may not.
const IDLE_STRANGER: Duration = Duration::from_secs(30);
/// Sends that are reported as lost when the connection breaks.
const RECENT: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) id: u64,
    pub(super) remote: SocketAddr,
    pub(super) how: Origin,
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

pub(super) fn open(wire: Arc<Wire>, stream: TcpStream, name: Name) -> Opened {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection keeps waiting for full segments");
    }
    // A peer that vanished without a word is found after some minutes.
    let keep_alive = socket2::TcpKeepalive::new().with_time(Duration::from_mins(1));
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive) {
        tracing::debug!(error = %error, "a connection has no keep-alive");
    }
    let (read, write) = stream.into_split();
    let (writer, queue) = mpsc::channel(QUEUE);
    let (recent, go) = (Recent::default(), Arc::new(Notify::new()));
    tokio::spawn(write_all(Arc::clone(&wire), write, (name.id, queue), Arc::clone(&recent)));
    let reading = read_all(wire, read, name, (writer.downgrade(), recent, Arc::clone(&go)));
    Opened { writer, reader: tokio::spawn(reading).abort_handle(), go }
}

async fn write_all(
    wire: Arc<Wire>,
    mut half: OwnedWriteHalf,
    (id, mut queue): (u64, Receiver<Piece>),
    recent: Recent,
) {
    while let Some(piece) = queue.recv().await {
        if piece.id != SendId::NONE {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= RECENT {
                recent.pop_front();
            }
            recent.push_back(piece.id);
        }
        let written = tokio::time::timeout(MESSAGE_MAX, half.write_all(&piece.bytes)).await;
        if !matches!(written, Ok(Ok(()))) {
            // Half a message may be out: the stream is lost, and with it what waits.
            wire.streams.remove(id);
            queue.close();
            while let Ok(piece) = queue.try_recv() {
                wire.aside(Input::Fault { send: piece.id });
            }
            break;
        }
    }
}

type Ends = (mpsc::WeakSender<Piece>, Recent, Arc<Notify>);

async fn read_all(wire: Arc<Wire>, half: OwnedReadHalf, name: Name, (writer, recent, go): Ends) {
    go.notified().await;
    messages(&wire, half, name, &writer).await;
    wire.streams.remove(name.id);
    let recent = std::mem::take(&mut *recent.lock().unwrap_or_else(PoisonError::into_inner));
    for send in recent {
        wire.aside(Input::Fault { send });
    }
}

/// Reads until the stream ends, loses its framing, or is too slow.
async fn messages(wire: &Arc<Wire>, mut half: OwnedReadHalf, name: Name, writer: &mpsc::WeakSender<Piece>) {
    let (listener, idle) = match name.how {
        Origin::Accepted { listener, trusted: false } => (listener, IDLE_STRANGER),
        Origin::Accepted { listener, trusted: true } | Origin::Made { listener } => (listener, IDLE_KNOWN),
    };
    let flow = Flow { listener, transport: Transport::Tcp, remote: name.remote, connection: Some(name.id) };
    let mut framer = Framer::new();
    let mut buffer = vec![0_u8; 8_192];
    let mut work = Work::default();
    let mut begun = None;
    loop {
        let left = match begun {
            Some(begun) => MESSAGE_MAX.saturating_sub(clock::instant().duration_since(begun)),
            None => idle,
        };
        let length = match tokio::time::timeout(left, half.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => length,
            _ => return,
        };
        framer.push(&buffer[..length]);
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(bytes))) => {
                    begun = None;
                    if wire.message(flow, &bytes, &mut work) {
                        wire.arm();
                    }
                }
                Ok(Some(Frame::Ping)) => {
                    let pong = Piece { id: SendId::NONE, bytes: Framer::PONG.to_vec() };
                    // A full queue means that more than a pong is on its way.
                    if writer.upgrade().is_none_or(|writer| writer.try_send(pong).is_err()) {
                        wire.gauge.queue_full.increment(1);
                    }
                }
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
