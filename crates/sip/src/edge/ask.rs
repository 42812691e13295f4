//! Requests outside dialogs: what is asked of the shell, and what its verdict does. CANCEL of a pending INVITE too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::{Ask, AskId, AskKind, Cause, Fact, Fault, Input, Output, Target, Verdict, party};
use super::context::{At, Cancel, Context, Phase, Repeat, Routing, State, Work};
use super::onward::{Leg, Outcome};
use super::respond::{self, Reply};
use super::{Edge, Got, session, unreliable};
use crate::branch::{Ours, Seen, turn};
use crate::message::{Core, Kept, Message, Method, Name, Refusal, Via};
use crate::register::{self, Register};
use crate::sdp;
use crate::text;
use crate::transport::Flow;
use crate::uri::{Dialled, Uri};

/// A request that is refused though the table is full, at most this many at once; above it there is silence.
const SLACK: usize = 64;
/// A request that was here so often, each time for another user, goes no further: every round may try several targets,
/// and Max-Forwards alone would let them multiply (RFC 5393).
const SPIRALS_MAX: usize = 5;

/// A request as long as this, with what is added on its way, may be more than a datagram is for (RFC 3261 section 18.1.1: 1,300
/// bytes where nothing is known of the path). The rest is for our Via and two Record-Routes.
const DATAGRAM_MAX: usize = 1_300 - 512;

/// Where a target lists TCP too, that is tried before its datagrams for a large request; a target that does not gets them in
/// fragments.
fn prefer_streams(request: Option<&Arc<Kept>>, targets: &mut [Target]) {
    if request.is_none_or(|kept| kept.message().bytes.len() <= DATAGRAM_MAX) {
        return;
    }
    for target in targets {
        let large = std::mem::take(&mut target.large);
        target.hops.retain(|hop| !large.contains(hop));
        target.hops.splice(..0, large);
    }
}

impl AskId {
    fn new(at: At) -> Self {
        Self(u64::from(at.index) << 32 | u64::from(at.generation))
    }

    fn at(self) -> At {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
        At { index: half(self.0 >> 32), generation: half(self.0) }
    }
}

impl Edge {
    /// A new request outside dialogs: kept, and asked about.
    pub(super) fn ask(&mut self, now: Instant, flow: Flow, message: &Message<'_>, core: &Core<'_>) {
        let refusal = self.refusal(message, core);
        let kind = match (refusal, core.method) {
            (Some(refusal), _) => AskKind::Malformed { status: refusal.status, reason: refusal.reason },
            (None, Method::Invite) => AskKind::Invite,
            (None, Method::Options) => AskKind::Options,
            (None, _) => AskKind::Other(text::owned(core.method_text)),
        };
        let key = self.key.as_slice().into();
        self.question(now, flow, (message, Some(core)), (kind, key));
    }

    /// A request that could not be read whole; answered only if it has a Via to answer to.
    pub(super) fn malformed(&mut self, now: Instant, flow: Flow, message: &Message<'_>, refusal: Refusal) {
        let kind = AskKind::Malformed { status: refusal.status, reason: refusal.reason };
        self.question(now, flow, (message, None), (kind, Box::default()));
    }

    /// A request for a dialog or transaction that is not known: 481, to those who may know.
    pub(super) fn unmatched(&mut self, now: Instant, flow: Flow, message: &Message<'_>, core: &Core<'_>) {
        let kind = AskKind::Malformed { status: 481, reason: "Call/Transaction Does Not Exist" };
        self.question(now, flow, (message, Some(core)), (kind, Box::default()));
    }

    fn question(
        &mut self,
        now: Instant,
        flow: Flow,
        (message, core): (&Message<'_>, Option<&Core<'_>>),
        (kind, key): (AskKind, Box<[u8]>),
    ) {
        let most = self.config.limits.transactions_max;
        let first = || message.values(Name::Via).next();
        let read = |value| Via::parse(value).or_else(|| Via::rough(value));
        let Some(via) = core.map(|core| core.via).or_else(|| first().and_then(read)) else { return };
        if self.slab.alive() >= most + SLACK {
            return;
        }
        let full = self.slab.alive() >= most;
        let kind = if full { AskKind::Malformed { status: 503, reason: "Overloaded" } } else { kind };
        let at = self.slab.reserve();
        let request = Kept::of(message, core);
        let ask = build(AskId::new(at), kind, flow, (message, Arc::clone(&request)));
        let setup =
            if ask.kind == AskKind::Invite { self.config.timers.setup } else { Duration::from_secs(32) };
        let context = Context {
            at,
            now,
            key,
            source: flow,
            back: respond::reply_flow(flow, &via),
            method: message.method().unwrap_or(Method::Other),
            request: Some(request),
            phase: Phase::Asking,
            last: Vec::new(),
            cancelled: false,
            cancel_answer: None,
            work: Work::Local,
            clients: Vec::with_capacity(1),
            bound: Some(now + setup),
            queued: None,
        };
        self.insert(now, at, context);
        self.out.push_back(Output::Ask(Box::new(ask)));
    }

    /// What RFC 3261 section 16.3 refuses before routing.
    fn refusal(&self, message: &Message<'_>, core: &Core<'_>) -> Option<Refusal> {
        let forwards = message.value(Name::MaxForwards).and_then(text::number);
        if forwards == Some(0) && core.method != Method::Options {
            return Some(Refusal { status: 483, reason: "Too Many Hops" });
        }
        if message.values(Name::ProxyRequire).next().is_some() {
            return Some(Refusal { status: 420, reason: "Bad Extension" });
        }
        // OPTIONS is answered here: what it requires is required of us (section 8.2.2.3)
        if core.method == Method::Options && message.values(Name::Require).next().is_some() {
            return Some(Refusal { status: 420, reason: "Bad Extension" });
        }
        if self.looped(message, core) {
            return Some(Refusal { status: 482, reason: "Loop Detected" });
        }
        if core.method == Method::Invite
            && let Some(refusal) = session::refusal(message)
        {
            return Some(refusal);
        }
        // no open relay: a Route that is not ours would send the call past every rule
        let foreign = message.values(Name::Route).any(|value| !self.ours(value));
        (foreign && core.method == Method::Invite).then_some(Refusal { status: 403, reason: "Foreign Route" })
    }

    /// True when the request was here for the same user (a loop, RFC 3261 section 16.3), or too often with others (a
    /// spiral: a call that is forwarded to another number here).
    fn looped(&self, message: &Message<'_>, core: &Core<'_>) -> bool {
        let mut spirals = 0;
        let below = message.values(Name::Via).skip(1).filter_map(Via::parse);
        let mut values = std::iter::once(core.via).chain(below).peekable();
        while let Some(via) = values.next() {
            let Some(branch) = via.branch else { continue };
            let seen = match values.peek() {
                Some(below) => respond::seen_below(below, core),
                None => Seen::own(core.call_id, core.cseq),
            };
            match seen.proves(branch, &self.ring) {
                Some(Ours::Stateful(place)) if place.turn == turn(message.request_uri()) => return true,
                Some(_) => spirals += 1,
                None => {}
            }
        }
        spirals >= SPIRALS_MAX
    }

    /// True for a Route value that names one of our listeners.
    pub(super) fn ours(&self, value: &[u8]) -> bool {
        let Some(uri) = text::name_addr(value).and_then(|read| Uri::parse(read.uri)) else { return false };
        self.config.listeners.iter().any(|one| {
            let port = uri.port.unwrap_or_else(|| one.transport.port());
            let named = uri.host.eq_ignore_ascii_case(one.public_host.as_bytes());
            let address = uri.address();
            let public =
                named || address.is_some() && address == crate::uri::address(one.public_host.as_bytes());
            public && port == one.public_port || address == Some(one.local.ip()) && port == one.local.port()
        })
    }

    pub(super) fn trying(&mut self, now: Instant, ask: AskId) {
        self.with(now, ask.at(), Self::provisional);
    }

    /// 100 Trying, once, for INVITE (RFC 3261 section 16.2).
    pub(super) fn provisional(&mut self, context: &mut Context) {
        if context.method == Method::Invite && context.last.is_empty() && context.open() {
            self.answer(context, &Reply { status: 100, reason: "Trying", to_tag: b"", lines: b"" });
        }
    }

    /// Writes a response of our own to the context's request, keeps it for repeats and sends it.
    pub(super) fn answer(&mut self, context: &mut Context, reply: &Reply<'_>) {
        let Some(request) = context.message() else { return };
        let bytes = respond::reply(&request, &context.source, reply);
        context.last.clone_from(&bytes);
        self.send(context.back, bytes);
    }

    /// A final answer of our own, non-2xx for INVITE.
    pub(super) fn refuse(&mut self, context: &mut Context, (status, reason): (u16, &str), lines: &[u8]) {
        let tag = self.tag_of(context);
        self.answer(context, &Reply { status, reason, to_tag: &tag, lines });
        self.completed(context);
    }

    pub(super) fn tag_of(&self, context: &Context) -> Vec<u8> {
        match (context.core(), &context.request) {
            (Some(core), _) => self.tag(&core),
            (None, Some(_)) => b"malformed".to_vec(),
            (None, None) => Vec::new(),
        }
    }

    /// The server transaction after its final answer: timers G and H, or J.
    pub(super) fn completed(&mut self, context: &mut Context) {
        let now = context.now;
        let t1 = self.config.timers.t1;
        let udp = unreliable(context.back.transport);
        context.phase = match (context.key.is_empty(), context.method == Method::Invite, udp) {
            (true, ..) | (false, false, false) => Phase::Done,
            (false, true, _) => {
                Phase::Completed { repeat: udp.then(|| Repeat::first(now, t1)), until: now + t1 * 64 }
            }
            (false, false, true) => Phase::Completed { repeat: None, until: now + t1 * 64 },
        };
    }

    pub(super) fn verdict(&mut self, now: Instant, ask: AskId, verdict: Verdict) {
        self.with(now, ask.at(), |edge, context| {
            if !matches!(context.phase, Phase::Asking) {
                return;
            }
            let answer = context.cancel_answer.take().filter(|_| !matches!(verdict, Verdict::Drop));
            if let Some(answer) = answer {
                let (back, bytes) = *answer;
                edge.send(back, bytes);
            }
            match verdict {
                Verdict::Drop => context.phase = Phase::Done,
                Verdict::Answer { headers } => {
                    let lines = lines(&headers);
                    edge.refuse(context, (200, "OK"), lines.as_bytes());
                }
                Verdict::Refuse { status, reason, reason_header, retry_after, fact_call } => {
                    if let Some(ids) = fact_call {
                        edge.fact(Fact::Failed { ids, status, cause: Cause::Refused });
                    }
                    let mut more =
                        reason_header.map(|value| format!("Reason: {value}\r\n")).unwrap_or_default();
                    if let Some(seconds) = retry_after {
                        more.push_str("Retry-After: ");
                        more.push_str(&seconds.to_string());
                        more.push_str("\r\n");
                    }
                    if let Some(request) = context.message() {
                        more.push_str(&obliged(&request, status));
                    }
                    edge.refuse(context, (status.clamp(300, 699), reason), more.as_bytes());
                }
                Verdict::Challenge { values } => {
                    // RFC 3261 section 22.3: a proxy asks by 407, a registrar by 401
                    let (status, reason, name) = match context.method {
                        Method::Register => (401, "Unauthorized", "WWW-Authenticate"),
                        _ => (407, "Proxy Authentication Required", "Proxy-Authenticate"),
                    };
                    let values = values.into_iter().filter(|value| !value.is_empty());
                    let lines: Vec<_> = values.map(|value| format!("{name}: {value}\r\n")).collect();
                    let lines = lines.concat();
                    edge.refuse(context, (status, reason), lines.as_bytes());
                }
                Verdict::Route { call, direction, trust, transfer, mut targets, mut legs } => {
                    prefer_streams(context.request.as_ref(), &mut targets);
                    if legs.is_empty() {
                        legs = vec![Leg::of(targets.len())];
                    }
                    if let Some(most) = longest(&targets, edge.config.timers.setup) {
                        context.bound = Some(now + most);
                    }
                    let first = legs.first().map_or(0, |leg| leg.targets.start);
                    let (next, refused, refused_hosts) = ((first, 0), Vec::new(), Vec::new());
                    let routing = Routing {
                        ids: call,
                        direction,
                        trust,
                        transfer,
                        targets,
                        legs,
                        leg: 0,
                        next,
                        refused,
                        refused_hosts,
                        best: None,
                        cause: Cause::Refused,
                    };
                    context.work = Work::Call(Box::new(routing));
                    edge.route(context);
                }
            }
        });
    }

    fn route(&mut self, context: &mut Context) {
        if self.draining {
            let retry = b"Retry-After: 5\r\n";
            return self.fail(context, (503, "Restarting"), Cause::Refused, retry);
        }
        if context.cancelled {
            return self.fail(context, (487, "Request Terminated"), Cause::Cancelled, b"");
        }
        self.provisional(context);
        context.phase = Phase::Proceeding;
        if !self.next_target(context) && !self.go_on(context, Outcome::Transport) {
            self.conclude(context, Cause::Fault(Fault::Unspoken));
        }
    }

    /// CANCEL of an INVITE that is here (RFC 3261 sections 9.2 and 16.10).
    pub(super) fn cancel(&mut self, now: Instant, flow: Flow, at: At, (message, core): Got<'_, '_>) {
        let tag = self.tag(core);
        self.with(now, at, |edge, context| {
            let reply = Reply { status: 200, reason: "OK", to_tag: &tag, lines: b"" };
            let bytes = respond::reply(message, &flow, &reply);
            let back = respond::reply_flow(flow, &core.via);
            if matches!(context.phase, Phase::Asking) && context.last.is_empty() {
                // nothing was answered to this source yet: the verdict decides
                context.cancelled = true;
                context.cancel_answer = Some(Box::new((back, bytes)));
                return;
            }
            edge.send(back, bytes);
            if !context.open() || context.cancelled {
                return;
            }
            context.cancelled = true;
            if matches!(context.phase, Phase::Asking) {
                return;
            }
            edge.cancel_all(context);
            if context
                .clients
                .iter()
                .all(|client| !matches!(client.state, State::Calling | State::Proceeding))
            {
                edge.fail(context, (487, "Request Terminated"), Cause::Cancelled, b"");
            }
        });
    }

    /// Cancels every attempt that may still ring.
    pub(super) fn cancel_all(&mut self, context: &mut Context) {
        let now = context.now;
        for index in 0..context.clients.len() {
            let Some(client) = context.clients.get_mut(index) else { return };
            if !matches!(client.state, State::Calling | State::Proceeding)
                || !matches!(client.cancel, Cancel::No)
            {
                continue;
            }
            client.cancel = Cancel::Wanted;
            client.silence = None;
            if client.state == State::Proceeding {
                self.cancel_client(now, client);
            }
        }
    }
}

/// How long a call may be set up, where one of its targets says how long it may ring: that one rings long, or short, is no bound on
/// those that come behind it.
fn longest(targets: &[Target], setup: Duration) -> Option<Duration> {
    let rings = targets.iter().filter_map(|target| target.manner.as_ref()?.ring);
    let others = if targets.len() > 1 { setup } else { Duration::ZERO };
    rings.max().map(|longest| longest.max(setup) + others)
}

fn build(id: AskId, kind: AskKind, flow: Flow, (message, request): (&Message<'_>, Arc<Kept>)) -> Ask {
    Ask {
        id,
        kind,
        flow,
        dialled: Dialled::of(message.request_uri()),
        from: Dialled::of(party(message, Name::From)),
        call_id: text::owned(message.value(Name::CallId).unwrap_or_default()),
        media: sdp::media(message),
        register: registers(message),
        request,
    }
}

/// What a REGISTER that could be read asks.
fn registers(message: &Message<'_>) -> Option<Box<Register>> {
    if message.method() != Some(Method::Register) {
        return None;
    }
    Core::read(message).ok().map(|core| Box::new(Register::read(message, &core)))
}

/// What a status obliges to say: `Unsupported` with what a 420 refuses (RFC 3261 section 20.40), `Allow` with a 405
/// (section 21.4.6), `Min-SE` with a 422 (RFC 4028 section 6).
pub(super) fn obliged(request: &Message<'_>, status: u16) -> String {
    match status {
        422 => format!("Min-SE: {}\r\n", session::INTERVAL_MIN),
        423 => format!("Min-Expires: {}\r\n", register::EXPIRES_MIN),
        405 => "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n".to_owned(),
        420 => {
            // who answers is asked by Require, a proxy by Proxy-Require
            let here = matches!(request.method(), Some(Method::Register | Method::Options))
                && request.values(Name::Route).next().is_none();
            let required = request.values(Name::Require).filter(|_| here);
            let options: Vec<_> =
                request.values(Name::ProxyRequire).chain(required).map(text::owned).collect();
            format!("Unsupported: {}\r\n", options.join(", ").replace(['\r', '\n'], " "))
        }
        _ => String::new(),
    }
}

/// Header lines of the shell; line breaks inside would be new headers and are removed.
pub(super) fn lines(headers: &[String]) -> String {
    headers.iter().flat_map(|line| [line.replace(['\r', '\n'], " "), "\r\n".to_owned()]).collect()
}

impl Input<'_> {
    /// A message, for short.
    pub fn message(flow: Flow, bytes: &[u8]) -> Input<'_> {
        Input::Message { flow, bytes }
    }
}
