//! SIP over streams: the table of connections, who may have one, and sending on the right one (RFC 3261 section 18,
//! RFC 5923).
//!
//! A message goes on the connection it names, else on a live one to the hop of the dialog's cookie, else on one that we made to
//! its remote end for whom it is meant, else on a new one. A connection that a peer made is used for requests to that very hop
//! only: an address alone proves nobody. Every queue is bounded; what does not fit is reported as a fault, never kept. Files:
//! `accept` and `dial` begin connections, `web` agrees on WebSocket, `connection` reads and
//! writes one, `line` is the way onto it, `seats` counts them by source.

mod accept;
mod connection;
mod dial;
mod line;
mod seats;
mod web;

use hashbrown::HashMap;
use sip::{Fault, Framer, Input, SendId, Transport, Whom};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::tls::{Names, Tls};
use super::wire::Wire;
pub(super) use accept::listen;
pub(crate) use connection::Patience;
use connection::{Name, Stream};
use line::Line;
use seats::{Seat, Seats};

/// Messages that wait for a connection that is being made.
const WAITING_MAX: usize = 64;
/// Connections being made at once.
const CONNECTING_MAX: usize = 1_024;
/// Handshakes with sources that are no trunk's, at once; with those that are, four times as many.
const HANDSHAKES_MAX: usize = 512;

/// Something on its way to a connection.
#[derive(Debug)]
struct Piece {
    id: SendId,
    what: What,
}

/// What it is.
#[derive(Debug)]
enum What {
    Message(Vec<u8>),
    /// The question whether the other end is alive.
    Ping,
    /// The answer to such a question.
    Pong,
}

impl Default for What {
    fn default() -> Self {
        Self::Message(Vec::new())
    }
}

impl What {
    /// As it stands among the bytes of a stream.
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Message(bytes) => bytes,
            Self::Ping => Framer::PING.to_vec(),
            Self::Pong => Framer::PONG.to_vec(),
        }
    }
}

/// What a connection is made for: another name at the same address gets another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    transport: Transport,
    remote: SocketAddr,
    whom: Whom,
}

#[derive(Debug)]
struct Live {
    at: (Transport, SocketAddr),
    /// Set where we made it.
    key: Option<Key>,
    /// What the other end proved to be, by a certificate.
    names: Option<Arc<Names>>,
    /// Whether a call was answered on it, or its source is a trunk's: it may be silent for long.
    known: Arc<AtomicBool>,
    line: Arc<Line>,
    reader: AbortHandle,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: HashMap<u64, Live>,
    /// The newest connection to a remote end.
    by_remote: HashMap<(Transport, SocketAddr), u64>,
    made: HashMap<Key, u64>,
    connecting: HashMap<Key, Vec<Piece>>,
}

/// What streams need beside the wire.
#[derive(Debug, Default)]
pub(super) struct StreamParts {
    /// Certificates; none where no listener speaks TLS.
    pub(super) tls: Option<Arc<Tls>>,
    /// The addresses of the listeners, in their order: what we send comes from there.
    pub(super) locals: Vec<SocketAddr>,
    /// How long others may be silent.
    pub(super) patience: Patience,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Streams {
    table: Mutex<Table>,
    seats: Arc<Seats>,
    strangers: Arc<Semaphore>,
    trunks: Arc<Semaphore>,
    parts: OnceLock<StreamParts>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            seats: Arc::default(),
            strangers: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            trunks: Arc::new(Semaphore::new(HANDSHAKES_MAX * 4)),
            parts: OnceLock::new(),
        }
    }
}

impl Table {
    fn find(&self, send: &sip::Send, key: &Key) -> Option<&Live> {
        let live = |id: &u64| self.live.get(id);
        let named = send.to.connection.as_ref().and_then(live);
        let preferred =
            || send.prefer.and_then(|hop| self.by_remote.get(&(hop.transport, hop.addr)).and_then(live));
        named.or_else(preferred).or_else(|| self.made.get(key).and_then(live))
    }
}

impl Streams {
    // The table is plain data; each change below is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called once, before the first connection.
    pub(super) fn prepare(&self, parts: StreamParts) {
        let again = self.parts.set(parts);
        debug_assert!(again.is_ok(), "an edge is started once");
    }

    fn tls(&self) -> Option<&Arc<Tls>> {
        self.parts.get()?.tls.as_ref()
    }

    fn patience(&self) -> Patience {
        self.parts.get().map(|parts| parts.patience).unwrap_or_default()
    }

    /// The address that messages of a listener come from, where it is bound to one.
    fn local(&self, listener: u16) -> Option<IpAddr> {
        let bound = self.parts.get()?.locals.get(usize::from(listener))?.ip();
        (!bound.is_unspecified()).then_some(bound)
    }

    /// What the other end of a connection proved to be, by a certificate.
    pub(super) fn names(&self, connection: u64) -> Option<Arc<Names>> {
        self.lock().live.get(&connection)?.names.clone()
    }

    /// Queues a message; what found no room comes back with the reason.
    pub(super) fn send(&self, wire: &Arc<Wire>, send: sip::Send) -> Result<(), (SendId, Fault)> {
        // Whom it is meant for matters where the other end shows its name, or has to be looked for.
        let transport = send.to.transport;
        let whom = match &send.whom {
            Whom::Address | Whom::Domain(_) | Whom::Of(_) if !transport.secure() && !transport.web() => {
                Whom::Address
            }
            whom => whom.clone(),
        };
        let key = Key { transport: send.to.transport, remote: send.to.remote, whom };
        let mut table = self.lock();
        let id = send.id;
        if let Some(live) = table.find(&send, &key) {
            if send.bytes.starts_with(b"SIP/2.0 2") {
                live.known.store(true, Ordering::Relaxed);
            }
            let line = Arc::clone(&live.line);
            // Writing is nothing to hold the table for.
            drop(table);
            return line.send(Piece { id, what: What::Message(send.bytes) }).map_err(|why| (id, why));
        }
        // Who made it alone can make it again: an agent behind a NAT, a browser that waits for an answer (RFC 7118 section 5).
        if key.whom == Whom::Connected || key.transport.web() && send.to.connection.is_some() {
            return Err((id, Fault::Unreachable));
        }
        let piece = Piece { id, what: What::Message(send.bytes) };
        if let Some(waiting) = table.connecting.get_mut(&key) {
            if waiting.len() >= WAITING_MAX {
                return Err((id, Fault::Full));
            }
            waiting.push(piece);
            return Ok(());
        }
        if table.connecting.len() >= CONNECTING_MAX {
            return Err((id, Fault::Full));
        }
        table.connecting.insert(key.clone(), vec![piece]);
        drop(table);
        wire.spawn(dial::connect(Arc::clone(wire), key, send.to.listener));
        Ok(())
    }

    /// Closes every connection; what is queued is still written.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.live.drain().for_each(|(_, live)| live.reader.abort());
        table.by_remote.clear();
        table.made.clear();
    }

    fn remove(&self, id: u64) {
        let mut table = self.lock();
        let Some(live) = table.live.remove(&id) else { return };
        if table.by_remote.get(&live.at) == Some(&id) {
            table.by_remote.remove(&live.at);
        }
        if let Some(key) = live.key
            && table.made.get(&key) == Some(&id)
        {
            table.made.remove(&key);
        }
    }

    /// Takes a connection that is ready in, with what waited for it.
    fn admit(&self, wire: &Arc<Wire>, stream: Stream, how: Origin) {
        let mut table = self.lock();
        let at = (how.transport, how.remote);
        let waiting = how.key.as_ref().and_then(|key| table.connecting.remove(key)).unwrap_or_default();
        table.next += 1;
        let id = table.next;
        let known = Arc::new(AtomicBool::new(how.known));
        let flow = sip::Flow {
            listener: how.listener,
            transport: how.transport,
            remote: how.remote,
            connection: Some(id),
        };
        let name = Name { id, flow, known: Arc::clone(&known), seat: how.seat };
        let opened = connection::open(wire, stream, name);
        for piece in waiting {
            let lost = piece.id;
            if let Err(why) = opened.line.send(piece) {
                lose(wire, lost, why);
            }
        }
        table.by_remote.insert(at, id);
        if let Some(key) = &how.key {
            table.made.insert(key.clone(), id);
        }
        let (line, reader) = (opened.line, opened.reader);
        table.live.insert(id, Live { at, key: how.key, names: how.names, known, line, reader });
        drop(table);
        // The tasks wait for this: by now the table knows their connection.
        opened.go.notify_one();
    }
}

/// Tells the edge beside the caller, who may hold the table.
fn lose(wire: &Arc<Wire>, send: SendId, why: Fault) {
    let told = Arc::clone(wire);
    wire.spawn(async move { told.aside(Input::Fault { send, why }) });
}

/// How a connection came to be.
#[derive(Debug)]
struct Origin {
    transport: Transport,
    remote: SocketAddr,
    listener: u16,
    /// Its place among its source's, where it was accepted.
    seat: Option<Seat>,
    /// Set where we made it.
    key: Option<Key>,
    names: Option<Arc<Names>>,
    known: bool,
}
