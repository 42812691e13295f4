//! What a leg works with while something is done to it: the time, the settings, and the way out.

use std::collections::VecDeque;
use std::time::Instant;

use super::names;
use uuid::Uuid;

use crate::edge::{Config, Fact, Output, Send, SendId, Side, Whom};
use crate::keys::{self, Ring};
use crate::message::{Message, Name};
use crate::text;
use crate::transport::{Flow, Hop};
use crate::write;

/// Faults of sends that begin with these two bits are the bridges': no edge has so many shards.
pub(super) const OURS: u64 = 1 << 63;

/// See the module's head.
pub(super) struct Desk<'d> {
    pub(super) now: Instant,
    pub(super) config: &'d Config,
    pub(super) ring: &'d Ring,
    pub(super) out: &'d mut VecDeque<Output>,
    /// The organization whose call it is.
    pub(super) whose: Option<Uuid>,
    /// Of names made by this process.
    pub(super) count: &'d mut u32,
}

impl Desk<'_> {
    fn next(&mut self) -> u32 {
        *self.count = self.count.wrapping_add(1);
        *self.count
    }

    /// A Call-ID, a tag.
    pub(super) fn token(&mut self) -> String {
        let (node, process, count) = (self.config.node, self.config.process, self.next());
        let parts = [&node.to_be_bytes()[..], &process.to_be_bytes(), &count.to_be_bytes()];
        let mac = keys::mac(&self.ring.current().tag, &parts);
        let mut text = Vec::new();
        keys::base64url(mac.get(..15).unwrap_or_default(), &mut text);
        text::owned(&text)
    }

    /// A number below `most`, another each time.
    pub(super) fn draw(&mut self, most: u64) -> u64 {
        let count = self.next();
        let mac = keys::mac(
            &self.ring.current().tag,
            &[b"draw", &self.config.process.to_be_bytes(), &count.to_be_bytes()],
        );
        mac.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) % most.max(1)
    }

    /// A key and salt for an offer on hold, in base64. Nothing is ever encrypted by it: no packet is sent before there is the
    /// other side's.
    pub(super) fn keys(&mut self) -> String {
        let (process, count) = (self.config.process, self.next());
        let mac =
            keys::mac(&self.ring.current().tag, &[b"hold", &process.to_be_bytes(), &count.to_be_bytes()]);
        let mut text = Vec::new();
        keys::base64url(mac.get(..30).unwrap_or_default(), &mut text);
        text::owned(&text).replace('-', "+").replace('_', "/")
    }

    pub(super) fn branch(&mut self, call_id: &str, cseq: u32) -> String {
        let place = (self.config.process, self.next());
        names::branch(self.ring, place, call_id, cseq)
    }

    pub(super) fn send_id(&mut self) -> SendId {
        SendId(OURS | u64::from(self.next()))
    }

    pub(super) fn send(&mut self, id: SendId, to: Flow, prefer: Option<Hop>, bytes: Vec<u8>) {
        let stream = to.transport.stream();
        let whom = if stream { whom(&bytes, self.whose, (to, prefer)) } else { Whom::Address };
        self.out.push_back(Output::Send(Send { id, to, prefer, whom, bytes }));
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.out.push_back(Output::Fact(Box::new(fact)));
    }

    /// Our place on a listener, as it stands in Via.
    pub(super) fn place(&self, listener: u16) -> String {
        let Some(one) = self.config.listeners.get(usize::from(listener)) else { return String::new() };
        let mut text = Vec::new();
        write::place(&mut text, &one.public_host, one.public_port);
        text::owned(&text)
    }
}

/// Who is to be at the other end of a new connection, by where the request goes: its first route, or its target. Within a dialog
/// (only there a hop is preferred) that is whom we called. An answer goes back where its request came from.
fn whom(bytes: &[u8], whose: Option<Uuid>, (to, prefer): (Flow, Option<Hop>)) -> Whom {
    let Ok(message) = Message::parse(bytes) else { return Whom::Address };
    if message.status().is_some() {
        return Whom::Address;
    }
    if to.connection.is_some() {
        return Whom::Connected;
    }
    let route = message.values(Name::Route).next().and_then(text::name_addr).map(|read| read.uri);
    let next = route.unwrap_or_else(|| message.request_uri());
    match (Whom::of(next), prefer) {
        (_, Some(_)) => Whom::within(next, whose, Side::Callee),
        (Whom::Address, None) => whose.map_or(Whom::Address, Whom::Of),
        (first, None) => first,
    }
}
