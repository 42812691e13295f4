//! Requests within a dialog, carried by the cookie alone: any node can do it (RFC 3261 sections 16.4, 16.6, 16.11).
//! Nothing is kept, except that what came on a stream and leaves over UDP gets a client transaction: nobody upstream
//! would repeat it.

use std::net::SocketAddr;
use std::time::Instant;

use uuid::Uuid;

use super::api::{Fact, Output, STEP_FIRST, Send, SendId, Side, Transfer, Whom};
use super::context::{Context, Extra, Phase, Work};
use super::respond::{self, Reply};
use super::{Edge, Got, private, record, session};
use crate::branch::{Mark, turn, with_shift};
use crate::cookie::{CallIds, Cookie, Direction, Place, Reach};
use crate::edit::{self, Forward, Interval, Routes};
use crate::message::{Core, Kept, Message, Method, Name};
use crate::sdp;
use crate::text;
use crate::transport::{Flow, Hop, Transport};
use crate::uri::{Scheme, Uri, address};

/// Route set and Request-URI after our own routes were taken away.
struct Path<'a> {
    cookie: Cookie,
    from: Side,
    routes: Vec<&'a [u8]>,
    /// Set where it differs from the one in the message.
    request_uri: Option<&'a [u8]>,
    /// The listener on the other side, where it is another one.
    toward: Option<u16>,
}

impl Path<'_> {
    /// Who is to be at the end of a new connection; datagrams have none.
    fn whom(&self, next: &[u8], to: Transport) -> Whom {
        let whose = Some(self.cookie.ids.organization);
        match (self.from, self.cookie.reach) {
            (Side::Caller, Reach::Flow) => Whom::Connected,
            _ if !to.stream() => Whom::Address,
            (Side::Caller, Reach::Open) => Whom::within(next, whose, Side::Callee),
            (Side::Callee, _) => Whom::within(next, whose, Side::Caller),
        }
    }
}

/// Why an offer within the dialog is refused.
const UNFIT: &str = "Reason: SIP;cause=488;text=\"What was offered is not encrypted as the trunk or the endpoint asks for: see their media_encryption.\"\r\n";

/// A request within the dialog on its way with a transaction.
struct Carried<'e> {
    plan: &'e Forward<'e>,
    ids: CallIds,
    to: Flow,
    prefer: Option<Hop>,
    whom: Whom,
    /// Credentials.
    lines: &'e [u8],
    extra: Extra,
}

impl Edge {
    pub(super) fn dialog(&mut self, now: Instant, flow: Flow, message: &Message<'_>, core: &Core<'_>) {
        let Some(path) = self.path(message, core) else {
            // who is told so is asked: a stranger hears nothing
            if core.method != Method::Ack {
                self.unmatched(now, flow, message, core);
            }
            return;
        };
        if self.refused_within(&flow, (message, core), &path) {
            return;
        }
        let target = path.request_uri.unwrap_or_else(|| message.request_uri());
        let (first, lines, next) = write_path(target, &path.routes);
        let request_uri = first.or(path.request_uri);
        let peer = match path.from {
            Side::Caller => path.cookie.callee,
            Side::Callee => path.cookie.caller,
        };
        let Some((to, prefer)) = self.onward(&path, next, peer, flow.listener) else {
            return self.refuse_plain(&flow, (message, core), 404, "Next Hop Not Allowed");
        };
        let cookie = path.cookie;
        let whom = path.whom(next, to.transport);
        // what was added when the callee's challenges were answered holds for the caller's requests of the whole dialog
        let down = path.from == Side::Caller;
        let shift = if down { cookie.shift } else { 0 };
        let cseq = core.cseq.saturating_add(u32::from(shift));
        self.tell(&path, (message, core), cseq);
        let routes = if lines.is_empty() { Routes::Drop } else { Routes::Lines(&lines) };
        let stamp = respond::stamp(&flow);
        let mut plan = Forward {
            request_uri,
            top: b"",
            stamp,
            routes,
            anonymous: false,
            shift,
            to: None,
            from: None,
            interval: Interval::Keep,
        };
        let sdp_type = down && cookie.sdp_type && matches!(core.method, Method::Invite | Method::Update);
        let mut lines = Vec::new();
        let mut key = None;
        if let (true, Some(owner)) = (down && core.method != Method::Cancel, cookie.login) {
            key = Some((cookie.ids.call, cookie.callee.addr));
            let uri = request_uri.unwrap_or_else(|| message.request_uri());
            self.credentials_for(cookie.ids.call, (cookie.callee.addr, owner), (core, uri), &mut lines);
        }
        // nobody upstream would repeat it, or answer what it is asked, or tell that the agent's connection is gone
        let flowing = whom == Whom::Connected && to.transport.stream();
        let stateful = flow.transport.stream() && !to.transport.stream() || key.is_some() || flowing;
        if stateful
            && !matches!(core.method, Method::Ack | Method::Cancel)
            && self.slab.alive() < self.config.limits.transactions_max
        {
            let extra = Extra { shift, key, sdp_type, ..Extra::default() };
            let carried = Carried { plan: &plan, ids: cookie.ids, to, prefer, whom, lines: &lines, extra };
            return self.carry(now, flow, (message, core), carried);
        }
        // the 2xx of these may refresh the session; ACK and CANCEL have the branch of their INVITE
        let refreshes = matches!(core.method, Method::Invite | Method::Update | Method::Ack | Method::Cancel);
        let renewing = matches!(core.method, Method::Invite | Method::Update);
        let interval = session::of_caller(message, Interval::Keep).filter(|_| renewing);
        let mut token = Vec::with_capacity(72);
        let (ids, mark) = (refreshes.then_some(cookie.ids), Mark { shift, sdp_type, interval });
        respond::seen(&flow, core).shifted(shift).write(&self.ring, ids, mark, &mut token);
        let mut top = Vec::with_capacity(128);
        self.via(&mut top, to.listener, &token);
        top.extend_from_slice(&lines);
        plan.top = &top;
        let mut bytes = Vec::new();
        edit::request(message, &plan, &mut bytes);
        self.out.push_back(Output::Send(Send { id: SendId::NONE, to, prefer, whom, bytes }));
    }

    /// What is refused of a request within a dialog before it goes anywhere; true where it was.
    fn refused_within(&mut self, flow: &Flow, got: Got<'_, '_>, path: &Path<'_>) -> bool {
        let refusal = Self::refusal_within(got, path);
        if let Some((status, reason)) = refusal {
            self.refuse_plain(flow, got, status, reason);
        }
        refusal.is_some()
    }

    fn refusal_within((message, core): Got<'_, '_>, path: &Path<'_>) -> Option<(u16, &'static str)> {
        let forwards = message.value(Name::MaxForwards).and_then(text::number);
        if forwards == Some(0) {
            return Some((483, "Too Many Hops"));
        }
        // in an ACK or CANCEL it is passed over (RFC 3261 section 8.2.2.3)
        let hop_by_hop = matches!(core.method, Method::Ack | Method::Cancel);
        if !hop_by_hop && message.values(Name::ProxyRequire).next().is_some() {
            return Some((420, "Bad Extension"));
        }
        if core.method == Method::Refer
            || core.method == Method::Invite && message.other("Replaces").is_some()
        {
            let agent = match path.cookie.direction {
                Direction::Inbound => Side::Callee,
                Direction::Outbound => Side::Caller,
            };
            if path.cookie.transfer == Transfer::Refused && path.from == agent {
                return Some((603, "Transfer Not Allowed"));
            }
        }
        if path.cookie.media.any()
            && matches!(core.method, Method::Invite | Method::Update)
            && path.cookie.media.refuses(sdp::media(message))
        {
            return Some((488, "Not Acceptable Here"));
        }
        None
    }

    /// The facts of a request within a dialog, before it goes on.
    fn tell(&mut self, path: &Path<'_>, (message, core): Got<'_, '_>, cseq: u32) {
        if core.method == Method::Bye {
            let reason = message.value(Name::Reason).map(text::owned);
            let callee_tag = text::owned(match path.from {
                Side::Caller => core.to_tag.unwrap_or_default(),
                Side::Callee => core.from_tag,
            });
            self.fact(Fact::Ended { ids: path.cookie.ids, by: path.from, callee_tag, reason });
        }
        let bits = bits(cseq);
        if bits > STEP_FIRST && !matches!(core.method, Method::Ack | Method::Cancel | Method::Bye) {
            self.fact(Fact::Step { ids: path.cookie.ids, by: path.from, bits });
        }
    }

    /// Asks for the login that a request within the dialog may need, and appends what is known to answer with.
    fn credentials_for(
        &mut self,
        call: Uuid,
        (callee, owner): (SocketAddr, Uuid),
        (core, uri): (&Core<'_>, &[u8]),
        out: &mut Vec<u8>,
    ) {
        if core.method != Method::Ack {
            self.ask_login((call, callee), owner);
        }
        self.credentials((call, callee), core, uri, out);
    }

    /// Forwards with a transaction.
    fn carry(&mut self, now: Instant, flow: Flow, (message, core): Got<'_, '_>, carried: Carried<'_>) {
        let Carried { plan, ids, to, prefer, whom, lines, extra } = carried;
        let at = self.slab.reserve();
        let seen = respond::seen(&flow, core).shifted(extra.shift);
        let token = self.token(at, with_shift(0, extra.shift), &seen, turn(message.request_uri()));
        let mut top = Vec::with_capacity(128);
        self.via(&mut top, to.listener, &token);
        top.extend_from_slice(lines);
        let mut sent = Vec::new();
        edit::request(message, &Forward { top: &top, ..*plan }, &mut sent);
        let refresh = matches!(core.method, Method::Invite | Method::Update).then_some(ids);
        let mut client = self.client(now, to, token, sent);
        client.whom = whom;
        client.extra = (extra.shift > 0 || extra.key.is_some() || extra.sdp_type).then(|| Box::new(extra));
        client.interval = refresh.and_then(|_| session::of_caller(message, Interval::Keep));
        let invite = core.method == Method::Invite;
        client.timer_c = invite.then(|| now + self.config.timers.timer_c);
        let mut context = Context {
            at,
            now,
            key: self.key.as_slice().into(),
            source: flow,
            back: respond::reply_flow(flow, &core.via),
            method: core.method,
            request: Some(Kept::of(message, Some(core))),
            phase: Phase::Proceeding,
            last: Vec::new(),
            cancelled: false,
            cancel_answer: None,
            work: Work::Dialog { refresh },
            clients: Vec::with_capacity(1),
            bound: None,
            queued: None,
        };
        self.provisional(&mut context);
        self.launch(at, &mut context, client, prefer);
        self.insert(now, at, context);
    }

    /// A refusal without a transaction; ACK is never answered.
    fn refuse_plain(&mut self, flow: &Flow, (message, core): Got<'_, '_>, status: u16, reason: &str) {
        if core.method == Method::Ack {
            return;
        }
        let tag = self.tag(core);
        let lines = match status {
            488 => UNFIT.to_owned(),
            _ => super::ask::obliged(message, status),
        };
        let reply = Reply { status, reason, to_tag: &tag, lines: lines.as_bytes() };
        let bytes = respond::reply(message, flow, &reply);
        self.send(respond::reply_flow(*flow, &core.via), bytes);
    }

    /// Finds our cookie and takes our routes away; `None` when there is no valid one.
    fn path<'a>(&self, message: &Message<'a>, core: &Core<'_>) -> Option<Path<'a>> {
        let mut routes: Vec<&[u8]> = message.values(Name::Route).collect();
        let uri = message.request_uri();
        // RFC 3261 section 16.4: a strict router put our Record-Route into the Request-URI
        if let Some((cookie, from)) = self.who(uri, core) {
            let last = routes.pop()?;
            let request_uri = Some(text::target(last)?);
            let toward = self.pop_twin(&mut routes, 0, core, (cookie, from));
            return Some(Path { cookie, from, routes, request_uri, toward });
        }
        let mut found = None;
        for (index, value) in routes.iter().enumerate() {
            let Some(read) = text::name_addr(value) else { continue };
            if let Some(who) = self.who(read.uri, core) {
                found = Some((index, who));
                break;
            }
        }
        let (index, who) = found?;
        routes.remove(index);
        let toward = self.pop_twin(&mut routes, index, core, who);
        let (cookie, from) = who;
        if index > 0 && index == routes.len() {
            // ours stood last: the peer did not turn its route set round
            routes.reverse();
        } else {
            routes.drain(..index);
        }
        Some(Path { cookie, from, routes, request_uri: None, toward })
    }

    /// Removes the other of our two Record-Routes, if it stands at `index`, and gives the listener that it names.
    fn pop_twin(
        &self,
        routes: &mut Vec<&[u8]>,
        index: usize,
        core: &Core<'_>,
        who: (Cookie, Side),
    ) -> Option<u16> {
        let (cookie, from) = who;
        let twin = cookie.place != Place::Single
            && routes
                .get(index)
                .and_then(|value| self.cookie_in(value, core, from))
                .is_some_and(|other| other.ids == cookie.ids);
        if !twin {
            return None;
        }
        let uri = Uri::parse(text::name_addr(routes.remove(index))?.uri)?;
        let transport = record::transport(&uri)?;
        let mut name = Vec::new();
        crate::write::place(&mut name, std::str::from_utf8(uri.host).ok()?, uri.port?);
        self.listener_named(std::str::from_utf8(&name).ok()?, transport)
    }

    /// Whose dialog a URI with our cookie belongs to: the side whose tag verifies is the sender.
    fn who(&self, uri: &[u8], core: &Core<'_>) -> Option<(Cookie, Side)> {
        let user = Uri::parse(Cookie::may_be_in(uri)?)?.user?;
        let (tags, count) = match core.to_tag {
            Some(to) => ([core.from_tag, to], 2),
            None => ([core.from_tag, b""], 1),
        };
        let (by, cookie) = Cookie::read_by(user, &self.ring, core.call_id, tags.get(..count)?)?;
        Some((cookie, if by == 0 { Side::Caller } else { Side::Callee }))
    }

    /// Where a request of a dialog goes next.
    fn onward(&self, path: &Path<'_>, next: &[u8], peer: Hop, near: u16) -> Option<(Flow, Option<Hop>)> {
        if path.from == Side::Caller && path.cookie.reach == Reach::Flow {
            // whatever its Contact says: behind a NAT that is an address of nobody here
            let to = self.flow_to(peer, path.toward.unwrap_or(near))?;
            return Some((to, to.transport.stream().then_some(peer)));
        }
        self.next_hop(next, peer, near)
    }

    /// Where a request goes next. An address that is not public is only allowed where the dialog already goes: who names one
    /// of its own network, a party behind a NAT, is reached by the hop that the dialog knows, and nothing else is.
    pub(super) fn next_hop(&self, uri: &[u8], peer: Hop, near: u16) -> Option<(Flow, Option<Hop>)> {
        let uri = Uri::parse(uri)?;
        if peer.transport.web() {
            // its connection is the only way to it (RFC 7118 section 5)
            return self.flow_to(peer, near).map(|to| (to, Some(peer)));
        }
        let named = uri.param(b"transport").and_then(Transport::read);
        let transport = match (uri.scheme, named) {
            (Scheme::Sips, _) => Transport::Tls,
            (_, Some(named)) if named.secure() || !peer.transport.secure() => named,
            // what began in secret stays so, whatever a Contact says
            (_, Some(_) | None) => peer.transport,
        };
        let maddr = uri.param(b"maddr").map(|host| {
            let inside = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
            inside.unwrap_or(host)
        });
        // RFC 3263 section 4: maddr stands for the host
        let hop = match maddr.map_or_else(|| uri.address(), address) {
            // a name is not resolved here: its owner answered from the cookie's hop. Where that is gone the shell resolves it
            None => peer,
            Some(address) if private(address) && address != peer.addr.ip() => peer,
            Some(address) => {
                let port = uri.port.unwrap_or_else(|| transport.port());
                Hop { transport, addr: SocketAddr::new(address, port) }
            }
        };
        let to = self.flow_to(hop, near).or_else(|| {
            // a transport we do not speak, at the very peer of the dialog
            (hop.addr.ip() == peer.addr.ip()).then(|| self.flow_to(peer, near)).flatten()
        })?;
        let live =
            peer.transport == to.transport && peer.addr.ip() == to.remote.ip() && to.transport.stream();
        Some((to, live.then_some(peer)))
    }
}

/// The Request-URI to write where it is not `target`, the Route lines to write, and the URI of the next hop. A strict router
/// ahead gets its own URI in the request line, and the real one as the last Route (RFC 3261 section 16.6 step 6).
pub(crate) fn write_path<'a>(target: &'a [u8], routes: &[&'a [u8]]) -> (Option<&'a [u8]>, Vec<u8>, &'a [u8]) {
    let first = routes.first().and_then(|value| text::target(value));
    let Some(first) = first else { return (None, Vec::new(), target) };
    let loose = Uri::parse(first).is_some_and(|uri| uri.loose());
    let mut lines = Vec::new();
    for value in routes.iter().skip(usize::from(!loose)) {
        respond::line(&mut lines, "Route: ", value);
    }
    if loose {
        return (None, lines, first);
    }
    lines.extend_from_slice(b"Route: <");
    lines.extend_from_slice(target);
    lines.extend_from_slice(b">\r\n");
    (Some(first), lines, first)
}

/// How many bits a `CSeq` number has.
fn bits(cseq: u32) -> u8 {
    u8::try_from(u32::BITS - cseq.leading_zeros()).unwrap_or(u8::MAX)
}
