//! Targets one after the other: an attempt is begun, given up for silence or fault, cancelled; and what is told to the
//! caller when none is left (RFC 3261 sections 16.6 and 16.7).

use std::time::{Duration, Instant};

use super::api::{Attempt, Cause, Fact, Fault, Output, Send, SendId, Target, Whom};
use super::context::{At, Cancel, CancelSent, Client, Context, Extra, Phase, Repeat, Role, State, Work};
use super::onward::Outcome;
use super::{Edge, respond, session, unreliable};
use crate::branch::{self, Branch, STATEFUL_TEXT, Seen, with_shift};
use crate::cookie::{Cookie, Place, Reach};
use crate::edit::{self, Forward, Routes};
use crate::login::{Asked, Session};
use crate::message::{Core, Kept, Message, Method, Name};
use crate::sdp;
use crate::transport::{Flow, Hop};
use crate::uri::Uri;

impl SendId {
    fn new(at: At, attempt: usize) -> Self {
        let generation = u64::from(at.generation & 0x00FF_FFFF);
        Self(u64::from(at.index) << 32 | generation << 8 | (attempt as u64 & 0xFF))
    }
}

/// Why a call is refused for which no place is left that takes what was offered.
const OFFERED: &[u8] = b"Reason: SIP;cause=488;text=\"What was offered is not encrypted as the endpoint asks for: see its media_encryption.\"\r\n";

/// The most attempts of one call: the branch counts them in a byte.
const ATTEMPTS_MAX: usize = branch::ATTEMPTS_MAX as usize;

impl Edge {
    /// Begins the next attempt of the leg; false when it has no target left.
    pub(super) fn next_target(&mut self, context: &mut Context) -> bool {
        loop {
            let Work::Call(routing) = &mut context.work else { return false };
            let (target, hop) = routing.next;
            let within = routing.legs.get(routing.leg).is_some_and(|leg| target < leg.targets.end);
            let Some(one) = routing.targets.get(target).filter(|_| within) else { return false };
            let Some(&to) = one.hops.get(hop) else {
                if one.hops.is_empty() {
                    routing.cause = Cause::Fault(Fault::Unresolved);
                }
                routing.next = (target + 1, 0);
                continue;
            };
            // each place has its rule, and the call was decided by that of the first
            if one.media.any() && context.request.as_ref().is_some_and(|asked| refuses(one, asked)) {
                routing.cause = Cause::Media;
                routing.next = (target + 1, 0);
                continue;
            }
            let own = one.flow;
            routing.next = (target, hop + 1);
            if routing.refused.contains(&to)
                || context.clients.len() >= ATTEMPTS_MAX
                || !routing.refused_hosts.is_empty()
                    && routing.refused_hosts.contains(&host(&one.request_uri))
            {
                continue;
            }
            let Some(flow) = own.or_else(|| self.flow_to(to, context.source.listener)) else {
                routing.cause = Cause::Fault(Fault::Unspoken);
                continue;
            };
            return self.attempt(context, target, flow);
        }
    }

    fn attempt(&mut self, context: &mut Context, target: usize, to: Flow) -> bool {
        let Work::Call(routing) = &context.work else { return false };
        let Some(one) = routing.targets.get(target) else { return false };
        let plain = one.manner.is_none() && one.to.is_none() && one.from.is_none();
        let extra = if plain { None } else { Some(Self::extra(context, one)) };
        self.put(context, (target, to), extra)
    }

    fn extra(context: &Context, one: &Target) -> Box<Extra> {
        let manner = one.manner.as_deref().cloned().unwrap_or_default();
        let written = |name| {
            let request = context.message()?;
            request.value(name).map(<[u8]>::to_vec)
        };
        Box::new(Extra {
            session: manner.login.map(Session::new),
            to: one.to.as_ref().and_then(|_| written(Name::To)),
            from: one.from.as_ref().and_then(|_| written(Name::From)),
            sdp_type: manner.sdp_type,
            ring: manner.ring,
            ..Extra::default()
        })
    }

    /// Sends a call to a target.
    pub(super) fn put(
        &mut self,
        context: &mut Context,
        (target, to): (usize, Flow),
        mut extra: Option<Box<Extra>>,
    ) -> bool {
        let now = context.now;
        if context.clients.len() >= ATTEMPTS_MAX {
            return false;
        }
        let (Some(message), Some(core)) = (context.message(), context.core()) else { return false };
        let Work::Call(routing) = &context.work else { return false };
        let Some(one) = routing.targets.get(target) else { return false };
        let ring = routing.legs.get(routing.leg).and_then(|leg| leg.ring);
        let at = context.at;
        let shift = extra.as_ref().map_or(0, |extra| extra.shift);
        let turn = branch::turn(message.request_uri());
        let seen = respond::seen(&context.source, &core).shifted(shift);
        let token = self.token(at, with_shift(context.clients.len(), shift), &seen, turn);
        let mut top = Vec::with_capacity(512);
        self.via(&mut top, to.listener, &token);
        let cookie = Cookie {
            direction: routing.direction,
            place: Place::Single,
            shift,
            transfer: routing.transfer,
            ids: routing.ids,
            caller: context.source.hop(),
            callee: to.hop(),
            reach: if one.flow.is_some() { Reach::Flow } else { Reach::Open },
            media: one.media,
            sdp_type: extra.as_ref().is_some_and(|extra| extra.sdp_type),
            login: extra.as_ref().and_then(|extra| extra.session.as_ref()).map(|one| one.login.owner),
        };
        let near = self.facing_caller(context.source.listener, &message);
        let far = self.facing_target(to.listener, &one.request_uri);
        self.record_routes(&mut top, (near, far), cookie, &core);
        top.extend_from_slice(super::ask::lines(&one.headers).as_bytes());
        if let Some(session) = extra.as_mut().and_then(|extra| extra.session.as_mut()) {
            let (uri, cnonce) = (one.request_uri.as_bytes(), super::login::cnonce(&self.ring, &[&token]));
            session.write(&Asked { method: b"INVITE", uri, cnonce: &cnonce }, &mut top);
        }
        let to_value = one.to.as_ref().map(|uri| format!("<{uri}>"));
        let from_value =
            one.from.as_ref().map(|uri| [b"<", uri.as_bytes(), b">;tag=", core.from_tag].concat());
        let plan = Forward {
            request_uri: Some(one.request_uri.as_bytes()),
            top: &top,
            stamp: respond::stamp(&context.source),
            routes: Routes::Drop,
            anonymous: routing.trust == super::Trust::Untrusted,
            shift,
            to: to_value.as_deref().map(str::as_bytes),
            from: from_value.as_deref(),
            interval: session::ask(&message, self.config.timers.session),
        };
        let mut sent = Vec::new();
        edit::request(&message, &plan, &mut sent);
        let mut client = self.client(now, to, token, sent);
        client.target = target;
        client.whom = match one.flow {
            Some(_) => Whom::Connected,
            None if to.transport.stream() => Whom::of(one.next()),
            None => Whom::Address,
        };
        client.extra = extra;
        client.interval = session::of_caller(&message, plan.interval);
        client.timer_c = Some(now + self.timer_c(&client));
        client.silence = Some(now + self.config.timers.no_provisional);
        // of what the leg and the target say the shorter holds
        let own = client.extra.as_ref().and_then(|extra| extra.ring);
        client.late = ring.into_iter().chain(own).min().map(|ring| now + ring);
        self.launch(at, context, client, None);
        true
    }

    /// Timer C; a target that may ring longer has a longer one.
    pub(super) fn timer_c(&self, client: &Client) -> Duration {
        let timer = self.config.timers.timer_c;
        client.extra.as_ref().and_then(|extra| extra.ring).map_or(timer, |ring| ring.max(timer))
    }

    /// A client transaction as it begins (RFC 3261 section 17.1).
    pub(super) fn client(&self, now: Instant, to: Flow, token: [u8; STATEFUL_TEXT], sent: Vec<u8>) -> Client {
        let t1 = self.config.timers.t1;
        Client {
            target: 0,
            to,
            prefer: None,
            whom: Whom::Address,
            reopened: false,
            token,
            sent,
            started: now,
            state: State::Calling,
            role: Role::Current,
            repeat: unreliable(to.transport).then(|| Repeat::first(now, t1)),
            until: Some(now + t1 * 64),
            silence: None,
            timer_c: None,
            late: None,
            cancel: Cancel::No,
            told: false,
            ringing: None,
            reason: None,
            ack: Vec::new(),
            to_tag: Vec::new(),
            extra: None,
            ended: Vec::new(),
            interval: None,
        }
    }

    pub(super) fn launch(&mut self, at: At, context: &mut Context, mut client: Client, prefer: Option<Hop>) {
        client.prefer = prefer;
        let (id, bytes) = (SendId::new(at, context.clients.len()), client.sent.clone());
        let whom = client.whom.clone();
        self.out.push_back(Output::Send(Send { id, to: client.to, prefer, whom, bytes }));
        context.clients.push(client);
    }

    /// Sends the request of a client transaction again.
    pub(super) fn relaunch(&mut self, at: At, index: usize, client: &Client) {
        let (id, bytes) = (SendId::new(at, index), client.sent.clone());
        let (to, prefer, whom) = (client.to, client.prefer, client.whom.clone());
        self.out.push_back(Output::Send(Send { id, to, prefer, whom, bytes }));
    }

    /// The branch of a request of our own.
    pub(super) fn token_own(&self, at: At, attempt: usize, call_id: &[u8], cseq: u32) -> [u8; STATEFUL_TEXT] {
        self.token(at, attempt, &Seen::own(call_id, cseq), [0; 3])
    }

    /// The branch of a client transaction.
    pub(super) fn token(
        &self,
        at: At,
        attempt: usize,
        seen: &Seen<'_>,
        turn: [u8; 3],
    ) -> [u8; STATEFUL_TEXT] {
        let branch = Branch {
            node: self.config.node,
            process: self.config.process,
            index: at.index,
            generation: at.generation,
            attempt: u8::try_from(attempt).unwrap_or(u8::MAX),
            turn,
        };
        branch.text(&self.ring, seen)
    }

    /// Our Via line.
    pub(super) fn via(&self, out: &mut Vec<u8>, listener: u16, token: &[u8]) {
        let Some(one) = self.faces.get(usize::from(listener)) else { return };
        out.extend_from_slice(&one.via);
        out.extend_from_slice(token);
        out.extend_from_slice(b";rport\r\n");
    }

    /// Sends the CANCEL of a client transaction that had a provisional answer.
    pub(super) fn cancel_client(&mut self, now: Instant, client: &mut Client) {
        let Ok(sent) = Message::parse(&client.sent) else { return };
        let Ok(core) = Core::read(&sent) else { return };
        let bytes = respond::companion(&sent, &core, "CANCEL", core.to);
        let t1 = self.config.timers.t1;
        let repeat = unreliable(client.to.transport).then(|| Repeat::first(now, t1));
        self.out.push_back(Output::Send(Send {
            id: SendId::NONE,
            to: client.to,
            prefer: client.prefer,
            whom: client.whom.clone(),
            bytes: bytes.clone(),
        }));
        client.cancel = Cancel::Sent(Box::new(CancelSent { bytes, repeat }));
        // RFC 3261 section 9.1: without a final answer in 64·T1 it counts as cancelled
        client.until = Some(now + t1 * 64);
        client.timer_c = None;
    }

    /// Tells the end of an attempt, once.
    pub(super) fn attempt_told(
        &mut self,
        context: &mut Context,
        index: usize,
        status: Option<u16>,
        cause: Cause,
    ) {
        let now = context.now;
        let Work::Call(routing) = &mut context.work else { return };
        let Some(client) = context.clients.get_mut(index) else { return };
        if std::mem::replace(&mut client.told, true) {
            return;
        }
        if cause != Cause::Answered {
            routing.cause = cause;
        }
        let Some(target) = routing.targets.get(client.target) else { return };
        let fact = Fact::Attempt(Attempt {
            ids: routing.ids,
            n: u16::try_from(index).unwrap_or(u16::MAX),
            target: target.request_uri.clone(),
            tag: target.tag,
            hop: client.to.hop(),
            status,
            cause,
            started: client.started,
            ended: now,
            ringing: client.ringing,
            reason: client.reason.take(),
        });
        self.fact(fact);
    }

    /// An attempt ended without a final answer: the next target, or the end.
    pub(super) fn attempt_lost(&mut self, context: &mut Context, index: usize, cause: Cause) {
        let Some(client) = context.clients.get_mut(index) else { return };
        client.state = State::Dead;
        if let Work::Probe { mark } = context.work {
            return self.probed(mark, Err(cause));
        }
        let role = client.role;
        self.attempt_told(context, index, None, cause);
        if role == Role::Abandoned || !context.open() {
            return;
        }
        if !self.go_on_from(context, cause) {
            self.conclude(context, cause);
        }
    }

    /// No provisional answer in time: the next target, if there is one; this attempt may still answer.
    pub(super) fn silent(&mut self, context: &mut Context, index: usize) {
        if !Self::has_more(context, Outcome::NoResponse) || !context.open() {
            return;
        }
        let Some(client) = context.clients.get_mut(index) else { return };
        client.role = Role::Abandoned;
        client.repeat = None;
        client.timer_c = None;
        client.cancel = Cancel::Wanted;
        self.attempt_told(context, index, None, Cause::Silent);
        if !self.go_on_from(context, Cause::Silent) {
            self.conclude(context, Cause::Silent);
        }
    }

    /// No target is left: the best answer goes to the caller, or one of ours. `cause` is how the last attempt ended.
    pub(super) fn conclude(&mut self, context: &mut Context, cause: Cause) {
        if !context.open() {
            return;
        }
        let (best, cause) = match &mut context.work {
            Work::Call(routing) => (routing.best.take(), routing.cause),
            Work::Local | Work::Dialog { .. } | Work::Own | Work::Probe { .. } => (None, cause),
        };
        match (best, cause) {
            _ if context.cancelled => self.fail(context, (487, "Request Terminated"), Cause::Cancelled, b""),
            (Some((status, bytes)), cause) => {
                let cause = if cause == Cause::Auth { cause } else { Cause::Refused };
                self.final_up(context, status, bytes, cause);
            }
            (None, Cause::Silent | Cause::Timeout) => {
                self.fail(context, (408, "Request Timeout"), Cause::Timeout, b"");
            }
            // RFC 5626 section 5.3.1: there is no other way to this agent
            (None, Cause::Fault(_)) if context.flow_gone() => {
                self.fail(context, (430, "Flow Failed"), cause, b"");
            }
            (None, Cause::Media) => self.fail(context, (488, "Not Acceptable Here"), Cause::Media, OFFERED),
            (None, Cause::TooLate) => {
                self.fail(context, (480, "No Answer in Time"), Cause::TooLate, b"");
            }
            (None, cause) => self.fail(context, (503, "No Target Reached"), cause, b""),
        }
    }

    /// A final non-2xx of our own to the caller.
    pub(super) fn fail(
        &mut self,
        context: &mut Context,
        (status, reason): (u16, &str),
        cause: Cause,
        lines: &[u8],
    ) {
        if let Work::Call(routing) = &context.work {
            let ids = routing.ids;
            self.fact(Fact::Failed { ids, status, cause });
        }
        self.refuse(context, (status, reason), lines);
        self.cancel_all(context);
    }

    /// A final non-2xx of a target to the caller; for other methods any final.
    pub(super) fn final_up(&mut self, context: &mut Context, status: u16, bytes: Vec<u8>, cause: Cause) {
        if let Work::Call(routing) = &context.work {
            let cause = if context.cancelled { Cause::Cancelled } else { cause };
            let ids = routing.ids;
            self.fact(Fact::Failed { ids, status, cause });
        }
        context.last.clone_from(&bytes);
        self.send(context.back, bytes);
        self.completed(context);
        self.cancel_all(context);
    }

    pub(super) fn fault(&mut self, now: Instant, send: SendId, why: Fault) {
        if send == SendId::NONE {
            return;
        }
        let [a, b, c, d, .., attempt] = send.0.to_be_bytes();
        let Some(at) = self.slab.at(u32::from_be_bytes([a, b, c, d])) else { return };
        if SendId::new(at, usize::from(attempt)) != send {
            return;
        }
        self.with(now, at, |edge, context| {
            let index = usize::from(attempt);
            let Some(client) = context.clients.get_mut(index) else { return };
            if client.state != State::Calling {
                return;
            }
            // A connection that was up may have been closed before the request got there: one more is made, once.
            if why == Fault::Broken
                && client.to.transport.stream()
                && !std::mem::replace(&mut client.reopened, true)
            {
                let (id, to, prefer) = (SendId::new(at, index), client.to, client.prefer);
                let (whom, bytes) = (client.whom.clone(), client.sent.clone());
                return edge.out.push_back(Output::Send(Send { id, to, prefer, whom, bytes }));
            }
            let told = context.method == Method::Invite || matches!(context.work, Work::Probe { .. });
            if told || matches!(context.phase, Phase::Proceeding) {
                edge.attempt_lost(context, index, Cause::Fault(why));
            } else if let Some(client) = context.clients.get_mut(index) {
                client.state = State::Dead;
            }
        });
    }
}

/// Whether a target takes no sound of the kind that the caller offers.
fn refuses(target: &Target, asked: &Kept) -> bool {
    target.media.refuses(sdp::media(&asked.message()))
}

/// The host of a URI, in one spelling.
pub(super) fn host(uri: &str) -> Vec<u8> {
    Uri::parse(uri.as_bytes()).map(|uri| uri.host.to_ascii_lowercase()).unwrap_or_default()
}
