//! SIP over TCP: the table of connections, who may have one, and sending on the right one (RFC 3261 section 18, RFC 5923).
//!
//! A message goes on the connection it names, else on a live one to the hop of the dialog's cookie, else on a live one to its
//! remote end, else on a new one. Every queue is bounded; what does not fit is reported as a fault, never kept.

mod connection;

use hashbrown::HashMap;
use sip::{Input, SendId, Transport};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::wire::Wire;
use crate::clock;

/// Connections of one source.
const PER_SOURCE_MAX: u32 = 256;
/// Connections in all.
const CONNECTIONS_MAX: usize = 8_192;
/// Messages that wait for a connection that is being made.
const WAITING_MAX: usize = 64;
/// Connections being made at once.
const CONNECTING_MAX: usize = 1_024;
/// The longest a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A pause after the system refuses to accept (out of file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A message on its way to a connection.
#[derive(Debug)]
struct Piece {
    id: SendId,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Live {
    remote: SocketAddr,
    writer: Sender<Piece>,
    reader: AbortHandle,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: HashMap<u64, Live>,
    /// The newest connection to a remote end.
    by_remote: HashMap<SocketAddr, u64>,
    per_source: HashMap<IpAddr, u32>,
    connecting: HashMap<SocketAddr, Vec<Piece>>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Streams {
    table: Mutex<Table>,
}

impl Table {
    fn find(&self, send: &sip::Send) -> Option<&Live> {
        let to = |remote: SocketAddr| self.by_remote.get(&remote).and_then(|id| self.live.get(id));
        let named = send.to.connection.and_then(|id| self.live.get(&id));
        let preferred =
            || send.prefer.filter(|hop| hop.transport == Transport::Tcp).and_then(|hop| to(hop.addr));
        named.or_else(preferred).or_else(|| to(send.to.remote))
    }
}

impl Streams {
    // The table is plain data; each change below is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message; the id of what found no room comes back as an error.
    pub(super) fn send(&self, wire: &Arc<Wire>, send: sip::Send) -> Result<(), SendId> {
        let mut table = self.lock();
        let id = send.id;
        if let Some(live) = table.find(&send) {
            return live.writer.try_send(Piece { id, bytes: send.bytes }).map_err(|_| id);
        }
        let remote = send.to.remote;
        let piece = Piece { id, bytes: send.bytes };
        if let Some(waiting) = table.connecting.get_mut(&remote) {
            if waiting.len() >= WAITING_MAX {
                return Err(id);
            }
            waiting.push(piece);
            return Ok(());
        }
        if table.connecting.len() >= CONNECTING_MAX {
            return Err(id);
        }
        table.connecting.insert(remote, vec![piece]);
        drop(table);
        wire.spawn(connect(Arc::clone(wire), remote, send.to.listener));
        Ok(())
    }

    /// Closes every connection; what is queued is still written.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.live.drain().for_each(|(_, live)| live.reader.abort());
        table.by_remote.clear();
    }

    fn remove(&self, id: u64) {
        let mut table = self.lock();
        let Some(live) = table.live.remove(&id) else { return };
        if table.by_remote.get(&live.remote) == Some(&id) {
            table.by_remote.remove(&live.remote);
        }
        if let Some(count) = table.per_source.get_mut(&live.remote.ip()) {
            *count -= 1;
            if *count == 0 {
                table.per_source.remove(&live.remote.ip());
            }
        }
    }

    /// Takes a new connection in, with what waited for it; `None` when its source has enough of them. A connection that we
    /// made ourselves is always taken: it was bounded before.
    fn admit(&self, wire: &Arc<Wire>, stream: TcpStream, remote: SocketAddr, how: Origin) -> Option<()> {
        let mut table = self.lock();
        let source = remote.ip();
        let theirs = matches!(how, Origin::Accepted { .. });
        let count = table.per_source.get(&source).copied().unwrap_or(0);
        if theirs && (count >= PER_SOURCE_MAX || table.live.len() >= CONNECTIONS_MAX) {
            return None;
        }
        let waiting = table.connecting.remove(&remote).unwrap_or_default();
        table.next += 1;
        let id = table.next;
        let opened = connection::open(Arc::clone(wire), stream, connection::Name { id, remote, how });
        for piece in waiting {
            let lost = piece.id;
            if opened.writer.try_send(piece).is_err() {
                let wire = Arc::clone(wire);
                let fault = async move { wire.aside(Input::Fault { send: lost }) };
                tokio::spawn(fault);
            }
        }
        table.by_remote.insert(remote, id);
        *table.per_source.entry(source).or_insert(0) += 1;
        table.live.insert(id, Live { remote, writer: opened.writer, reader: opened.reader });
        drop(table);
        // The tasks wait for this: by now the table knows their connection.
        opened.go.notify_one();
        Some(())
    }
}

/// Who made a connection.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// The other end, through this listener.
    Accepted { listener: u16, trusted: bool },
    /// We, for a message that goes out by this listener's name.
    Made { listener: u16 },
}

/// Accepts connections until the task is dropped.
pub(super) async fn listen(wire: Arc<Wire>, socket: TcpListener, listener: u16) {
    loop {
        match socket.accept().await {
            Ok((stream, remote)) => {
                let trusted = !wire.parts.live.trunks_of(remote).is_empty();
                if wire.streams.admit(&wire, stream, remote, Origin::Accepted { listener, trusted }).is_none()
                {
                    wire.gauge.connections.increment(1);
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "a SIP connection cannot be accepted");
                clock::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn connect(wire: Arc<Wire>, remote: SocketAddr, listener: u16) {
    let made = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(remote)).await;
    if let Ok(Ok(stream)) = made {
        let admitted = wire.streams.admit(&wire, stream, remote, Origin::Made { listener });
        debug_assert!(admitted.is_some(), "a connection that we make is always taken");
        return;
    }
    let waiting = wire.streams.lock().connecting.remove(&remote).unwrap_or_default();
    for piece in waiting {
        wire.aside(Input::Fault { send: piece.id });
    }
}
