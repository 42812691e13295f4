//! Answers to what was forwarded with a transaction (RFC 3261 sections 16.7 and 17.1, RFC 6026).

use std::net::IpAddr;
use std::time::Instant;

use super::api::{Cause, Dialog, Fact, Known, Output, Send, SendId, Side, Transfer};
use super::context::{At, Cancel, Context, Phase, Repeat, Role, State, Work};
use super::hang_up::Own;
use super::login::Challenged;
use super::onward::Outcome;
use super::respond::{self, Reply, Within};
use super::{Edge, Got, session, unreliable};
use crate::cookie::{Cookie, Direction, Reach};
use crate::edit::{self, Back};
use crate::message::{Core, Message, Method, Name};
use crate::sdp::{self, Media};
use crate::text;
use crate::uri::Uri;
use crate::write;

/// Why a call is refused whose answer made an offer that the rule refuses.
const UNFIT: &[u8] = b"Reason: SIP;cause=488;text=\"The agent offered sound that is not encrypted as the trunk or the endpoint asks for: see their media_encryption.\"\r\n";

/// The most dialogs of one attempt that are ended for answering too late: a fork behind a target gives one each. More than that
/// are acknowledged, and left to their session timers.
const LATE_MAX: usize = 8;

/// Order of RFC 3261 section 16.7 step 6: any 6xx, else the lowest class, and in it what helps the caller most.
fn rank(status: u16) -> u16 {
    match status {
        600..=699 => 0,
        300..=399 => 1,
        401 | 407 | 415 | 420 | 484 => 2,
        400..=499 => 3,
        _ => 4,
    }
}

/// Keeps the better of two final answers; the later of two that are alike where it is `decisive`. Challenges of both reach the
/// caller, who may have an answer to either (section 16.7 step 7).
fn better(best: &mut Option<(u16, Vec<u8>)>, (status, bytes): (u16, Vec<u8>), decisive: bool) {
    const CHALLENGES: [u16; 2] = [401, 407];
    let Some((before, kept)) = best else {
        *best = Some((status, bytes));
        return;
    };
    let (old, new) = (rank(*before), rank(status));
    let takes = new < old || new == old && decisive;
    let (mut chosen, other) = if takes {
        ((status, bytes), std::mem::take(kept))
    } else {
        ((*before, std::mem::take(kept)), bytes)
    };
    if CHALLENGES.contains(before) && CHALLENGES.contains(&status) {
        chosen.1 = edit::with_challenges(&chosen.1, &other);
    }
    *best = Some(chosen);
}

impl Edge {
    /// An answer to the client transaction `index` of a context.
    pub(super) fn client_response(
        &mut self,
        now: Instant,
        at: At,
        index: usize,
        (message, core): Got<'_, '_>,
    ) {
        let Some(status) = message.status() else { return };
        self.with(now, at, |edge, context| {
            let Some(client) = context.clients.get_mut(index) else { return };
            if core.method == Method::Cancel && context.method == Method::Invite {
                if let Cancel::Sent(sent) = &mut client.cancel
                    && status >= 200
                {
                    sent.repeat = None;
                }
                return;
            }
            // RFC 3261 section 17.1.3: the method of CSeq counts too; without a second Via the answer has nowhere to go
            let ours = matches!(context.work, Work::Own | Work::Probe { .. });
            let lost = !ours && message.values(Name::Via).nth(1).is_none();
            if core.method != context.method || lost {
                return;
            }
            if context.method != Method::Invite {
                return edge.other_response(context, index, message, status);
            }
            match status {
                100..=199 => edge.provisional_response(context, index, message, status),
                200..=299 => edge.success(context, index, (message, core)),
                _ => edge.failure(context, index, (message, core), status),
            }
        });
    }

    fn provisional_response(
        &mut self,
        context: &mut Context,
        index: usize,
        message: &Message<'_>,
        status: u16,
    ) {
        let now = context.now;
        let Some(client) = context.clients.get_mut(index) else { return };
        if !matches!(client.state, State::Calling | State::Proceeding) {
            return;
        }
        if client.state == State::Calling {
            client.state = State::Proceeding;
            client.repeat = None;
            client.silence = None;
            client.until = None;
        }
        if status >= 180 && client.ringing.is_none() {
            client.ringing = Some(now);
        }
        if client.timer_c.is_some() && status > 100 {
            client.timer_c = Some(now + self.timer_c(client));
        }
        if matches!(client.cancel, Cancel::Wanted) {
            self.cancel_client(now, client);
        }
        let role = client.role;
        if status > 100 && role == Role::Current && context.open() {
            let Some(client) = context.clients.get(index) else { return };
            let mut bytes = Vec::new();
            edit::response_back(message, &client.back(), &mut bytes);
            self.remember(context, index);
            context.last.clone_from(&bytes);
            self.send(context.back, bytes);
        }
    }

    fn success(&mut self, context: &mut Context, index: usize, (message, core): Got<'_, '_>) {
        let now = context.now;
        let t1 = self.config.timers.t1;
        let to_tag = core.to_tag.unwrap_or_default();
        let open = context.open();
        let Some(client) = context.clients.get_mut(index) else { return };
        let first = matches!(client.state, State::Calling | State::Proceeding | State::Dead);
        if first {
            client.state = State::Accepted;
            client.until = Some(now + t1 * 64);
            client.repeat = None;
            client.silence = None;
            client.timer_c = None;
            client.late = None;
            client.cancel = Cancel::No;
            to_tag.clone_into(&mut client.to_tag);
        }
        let same = client.to_tag == to_tag;
        let role = client.role;
        if open && first && Self::unfit(context, index, message) {
            self.attempt_told(context, index, message.status(), Cause::Media);
            self.end_late(context, index, (message, core));
            return self.fail(context, (488, "Not Acceptable Here"), Cause::Media, UNFIT);
        }
        if open && first {
            let Some(client) = context.clients.get_mut(index) else { return };
            client.role = Role::Won;
            self.remember(context, index);
            self.attempt_told(context, index, message.status(), Cause::Answered);
            self.answered(context, index, message, core);
            context.phase = Phase::Accepted { until: now + t1 * 64 };
            self.forward_up(context, index, message);
            self.cancel_all(context);
            // for 64·T1 only repeats are absorbed and passed: the bytes are not needed any more
            context.request = None;
            context.last = Vec::new();
            if let (Work::Call(_), [_]) = (&context.work, &context.clients[..]) {
                // nor where the call was to go: the only attempt is told of
                context.work = Work::Local;
            }
            if let Some(client) = context.clients.get_mut(index) {
                client.sent = Vec::new();
            }
            return;
        }
        // within a dialog there is nothing to end: who asked hears of it, whatever was answered meanwhile
        if same && role == Role::Won || matches!(context.work, Work::Dialog { .. }) {
            return self.forward_up(context, index, message);
        }
        self.attempt_told(context, index, message.status(), Cause::Answered);
        self.end_late(context, index, (message, core));
    }

    fn forward_up(&mut self, context: &Context, index: usize, message: &Message<'_>) {
        let Some(client) = context.clients.get(index) else { return };
        let lines = session::lines(message, client.interval).unwrap_or_default();
        let mut bytes = Vec::new();
        edit::response_back(message, &Back { lines: lines.as_bytes(), ..client.back() }, &mut bytes);
        self.send(context.back, bytes);
    }

    /// Whether a 2xx makes the offer, and one that is refused: there is nobody before it who could be told in time.
    fn unfit(context: &Context, index: usize, message: &Message<'_>) -> bool {
        let (Work::Call(routing), Some(client)) = (&context.work, context.clients.get(index)) else {
            return false;
        };
        let rule = routing.targets.get(client.target).map(|target| target.media).unwrap_or_default();
        let late = || context.message().is_some_and(|one| sdp::media(&one) == Media::Absent);
        rule.any() && rule.refuses(sdp::media(message)) && late()
    }

    /// The fact of the first 2xx; what stands in the INVITE only is taken from there.
    fn answered(&mut self, context: &Context, index: usize, message: &Message<'_>, core: &Core<'_>) {
        let Some(client) = context.clients.get(index) else { return };
        let (to, interval) = (client.to, client.interval);
        match &context.work {
            Work::Call(routing) => {
                // Its cookie is of the INVITE's Call-ID and tag: in an answer with others it carries nothing.
                let same = |asked: Core<'_>| (asked.call_id, asked.from_tag) == (core.call_id, core.from_tag);
                let written = route_in(&client.sent).filter(|_| context.core().is_some_and(same));
                let mut dialog = self.dialog_of(message, core, written);
                if let Some(request) = context.message() {
                    dialog.caller_contact = contact(&request);
                    // What each side offers is for the other.
                    let hidden = |body: &[u8], far: IpAddr| {
                        !super::private(far) && sdp::addresses(body).any(super::private)
                    };
                    dialog.unreachable = hidden(request.body(), to.remote.ip())
                        || hidden(message.body(), context.source.remote.ip());
                }
                if dialog.session_expires.is_none() {
                    dialog.session_expires = interval.map(session::refreshed);
                }
                dialog.caller_hop = Some(context.source.hop());
                dialog.callee_hop = Some(to.hop());
                if routing.targets.iter().any(|target| target.flow == Some(to)) {
                    dialog.callee_reach = Reach::Flow;
                }
                dialog.caller_listener = self.listener_name(context.source.listener);
                dialog.callee_listener = self.listener_name(to.listener);
                let session = client.extra.as_ref().and_then(|extra| extra.session.as_ref());
                dialog.login = session.map(|session| session.login.owner);
                dialog.crossed = context.cancelled;
                let ids = routing.ids;
                self.fact(Fact::Answered { ids, dialog: Box::new(dialog), known: Known::Transaction });
            }
            Work::Dialog { refresh: Some(ids) } => {
                let seconds = session::interval(message).or(interval);
                self.fact(Fact::Refreshed { ids: *ids, seconds });
            }
            Work::Dialog { refresh: None } | Work::Local | Work::Own | Work::Probe { .. } => {}
        }
    }

    /// What a 2xx to the INVITE tells of the dialog. `written` is our Record-Route as it was sent, where that is known.
    pub(super) fn dialog_of(&self, message: &Message<'_>, core: &Core<'_>, written: Option<&[u8]>) -> Dialog {
        let routes: Vec<_> = message.values(Name::RecordRoute).collect();
        let (mut above, mut below) = (Vec::new(), Vec::new());
        let ours = self.ours_among(&routes, core, written);
        if let Some((first, last)) = ours {
            above = routes.iter().take(first).rev().map(|value| text::owned(value)).collect();
            below = routes.iter().skip(last + 1).map(|value| text::owned(value)).collect();
        }
        Dialog {
            call_id: text::owned(core.call_id),
            from_tag: text::owned(core.from_tag),
            to_tag: text::owned(core.to_tag.unwrap_or_default()),
            from: text::owned(core.from),
            to: text::owned(core.to),
            caller_contact: None,
            callee_contact: contact(message),
            caller_routes: below,
            callee_routes: above,
            caller_hop: None,
            callee_hop: None,
            callee_reach: Reach::Open,
            caller_listener: None,
            callee_listener: None,
            cseq: core.cseq,
            callee_cseq: 0,
            session_expires: message.value(Name::SessionExpires).map(text::owned),
            login: None,
            record_routed: ours.is_some(),
            crossed: false,
            unreachable: false,
            bridged: None,
        }
    }

    /// The first and the last of our own among Record-Route values. What came back as it was written needs no other proof.
    fn ours_among(
        &self,
        routes: &[&[u8]],
        core: &Core<'_>,
        written: Option<&[u8]>,
    ) -> Option<(usize, usize)> {
        let own =
            |value: &&[u8]| written == Some(*value) || self.cookie_in(value, core, Side::Caller).is_some();
        let first = routes.iter().position(own)?;
        let more = routes.iter().skip(first + 1).rposition(own);
        Some((first, more.map_or(first, |more| first + 1 + more)))
    }

    /// What our own Record-Routes call our listeners, where nothing else tells: on the caller's side, on the callee's. Of two,
    /// the one that faces the callee stands above (RFC 5658).
    pub(super) fn listeners_of(&self, message: &Message<'_>, core: &Core<'_>) -> [Option<String>; 2] {
        let routes: Vec<_> = message.values(Name::RecordRoute).collect();
        let named = |at: usize| {
            let uri = text::name_addr(routes.get(at)?).and_then(|read| Uri::parse(read.uri))?;
            let mut name = Vec::new();
            write::place(&mut name, str::from_utf8(uri.host).ok()?, uri.port?);
            String::from_utf8(name).ok()
        };
        self.ours_among(&routes, core, None).map_or([None, None], |(first, last)| [named(last), named(first)])
    }

    /// Our cookie in a Route or Record-Route value, if it is valid for this dialog with the tag of `side` as its key.
    pub(super) fn cookie_in(&self, value: &[u8], core: &Core<'_>, side: Side) -> Option<Cookie> {
        self.cookie_of(text::name_addr(value)?.uri, core, side)
    }

    /// Our cookie in a URI.
    pub(super) fn cookie_of(&self, uri: &[u8], core: &Core<'_>, side: Side) -> Option<Cookie> {
        let user = Uri::parse(Cookie::may_be_in(uri)?)?.user?;
        let tag = match side {
            Side::Caller => core.from_tag,
            Side::Callee => core.to_tag?,
        };
        Cookie::read(user, &self.ring, core.call_id, tag)
    }

    /// Departure (c): a 2xx that came after another final answer went up, from another target or another branch of a fork, is
    /// ended with our own ACK and BYE. A repeat of it gets the ACK only.
    fn end_late(&mut self, context: &mut Context, index: usize, (message, core): Got<'_, '_>) {
        let (now, at) = (context.now, context.at);
        let Some(client) = context.clients.get_mut(index) else { return };
        let (to, whom) = (client.to, client.whom.clone());
        let all: Vec<_> = message.values(Name::RecordRoute).collect();
        let own = |value: &&[u8]| self.cookie_in(value, core, Side::Caller).is_some();
        let above = all.iter().position(own).unwrap_or(0);
        let routes: Vec<&[u8]> = all.into_iter().take(above).rev().collect();
        let token = self.token_own(at, 0xFE, core.call_id, core.cseq);
        let mut via = Vec::with_capacity(128);
        self.via(&mut via, to.listener, &token);
        let ack = Within { method: "ACK", via: &via, cseq: core.cseq };
        let Some(bytes) = respond::within(message, core, &routes, &ack) else { return };
        self.send(to, bytes);
        let tag = core.to_tag.unwrap_or_default();
        if client.ended.iter().any(|known| known == tag) || client.ended.len() >= LATE_MAX {
            return;
        }
        client.ended.push(tag.to_vec());
        let own = self.slab.reserve();
        let token = self.token_own(own, 0, core.call_id, core.cseq);
        via.clear();
        self.via(&mut via, to.listener, &token);
        let bye = Within { method: "BYE", via: &via, cseq: core.cseq + 1 };
        let Some(bytes) = respond::within(message, core, &routes, &bye) else { return self.slab.free(own) };
        self.launch_own(now, Own { at: own, to, prefer: None, whom, token, bytes, extra: None });
    }

    fn failure(&mut self, context: &mut Context, index: usize, (message, core): Got<'_, '_>, status: u16) {
        let now = context.now;
        let t1 = self.config.timers.t1;
        let Some(client) = context.clients.get_mut(index) else { return };
        if matches!(client.state, State::Accepted) {
            return;
        }
        if client.ack.is_empty() {
            let Ok(sent) = Message::parse(&client.sent) else { return };
            let Ok(own) = Core::read(&sent) else { return };
            client.ack = respond::companion(&sent, &own, "ACK", core.to);
        }
        self.out.push_back(Output::Send(Send {
            id: SendId::NONE,
            to: client.to,
            prefer: client.prefer,
            whom: client.whom.clone(),
            bytes: client.ack.clone(),
        }));
        if !matches!(client.state, State::Calling | State::Proceeding) {
            return;
        }
        let udp = unreliable(client.to.transport);
        client.state = if udp { State::Completed } else { State::Dead };
        client.until = Some(now + t1 * 64);
        client.repeat = None;
        client.silence = None;
        client.timer_c = None;
        client.late = None;
        client.cancel = Cancel::No;
        client.reason = message.value(Name::Reason).map(text::owned);
        let (role, hop, target) = (client.role, client.to.hop(), client.target);
        let challenged = self.challenged(context, index, message);
        if challenged == Challenged::Answered {
            return;
        }
        let in_vain = challenged == Challenged::InVain;
        let cause = match (context.cancelled, in_vain) {
            (true, _) => Cause::Cancelled,
            (false, true) => Cause::Auth,
            (false, false) => Cause::Refused,
        };
        self.attempt_told(context, index, Some(status), cause);
        if !context.open() {
            return;
        }
        let mut bytes = Vec::new();
        let Some(client) = context.clients.get(index) else { return };
        edit::response_back(message, &client.back(), &mut bytes);
        let elsewhere = (300..400).contains(&status) && self.unmoved(context, &mut bytes);
        let mut status = if elsewhere { 480 } else { status };
        if in_vain {
            (status, bytes) = (503, self.not_let_in(context));
        }
        let told = if in_vain { Cause::Auth } else { Cause::Refused };
        // a 480 of ours in place of a 3xx is a word about the call, not of a target that could not take it
        let outcome = if elsewhere { Outcome::Refused } else { Outcome::of(status) };
        let Work::Call(routing) = &mut context.work else {
            return self.final_up(context, status, bytes, told);
        };
        routing.close(target, hop);
        self.weigh(context, role, (status, bytes, told), outcome);
    }

    /// What a final answer of a target does to its call: the next target, or the best answer so far goes up.
    fn weigh(
        &mut self,
        context: &mut Context,
        role: Role,
        (mut status, mut bytes, told): (u16, Vec<u8>, Cause),
        outcome: Outcome,
    ) {
        if context.cancelled && role == Role::Current {
            return self.final_up(context, status, bytes, told);
        }
        let Work::Call(routing) = &mut context.work else { return };
        let leg = routing.legs.get(routing.leg);
        let goes_on = leg.is_some_and(|leg| leg.failover.has(outcome) || leg.exit(outcome).is_some());
        if status == 503 && told != Cause::Auth {
            // it is the target that is overloaded: the caller would send us nothing for as long as Retry-After says
            (status, bytes) = (500, edit::unavailable(&bytes));
        }
        let decisive = !goes_on && role == Role::Current;
        better(&mut routing.best, (status, bytes), decisive);
        if role == Role::Abandoned && (600..700).contains(&status) && !goes_on {
            // nobody else is asked, and who rings is called back (section 16.7 step 5)
            routing.legs.clear();
            return self.cancel_all(context);
        }
        if decisive || role == Role::Current && !self.go_on(context, outcome) {
            self.conclude(context, told);
        }
    }

    /// An agent that may not transfer its calls sends them nowhere before the answer either: a 3xx, whose Contact the carrier would
    /// call, becomes a 480 of ours. False where the agent may.
    fn unmoved(&mut self, context: &Context, bytes: &mut Vec<u8>) -> bool {
        let Work::Call(routing) = &context.work else { return false };
        if routing.transfer != Transfer::Refused || routing.direction != Direction::Inbound {
            return false;
        }
        let tag = self.tag_of(context);
        let Some(request) = context.message() else { return false };
        let reply = Reply { status: 480, reason: "Temporarily Unavailable", to_tag: &tag, lines: b"" };
        *bytes = respond::reply(&request, &context.source, &reply);
        true
    }

    /// An answer to a request other than INVITE.
    fn other_response(&mut self, context: &mut Context, index: usize, message: &Message<'_>, status: u16) {
        let now = context.now;
        let timers = self.config.timers;
        let Some(client) = context.clients.get_mut(index) else { return };
        if !matches!(client.state, State::Calling | State::Proceeding) {
            return;
        }
        if status < 200 {
            client.state = State::Proceeding;
            if let Some(repeat) = &mut client.repeat {
                *repeat = Repeat { at: now + timers.t2, pause: timers.t2 };
            }
        } else {
            let udp = unreliable(client.to.transport);
            client.state = if udp { State::Completed } else { State::Dead };
            client.repeat = None;
            client.until = Some(now + timers.t4);
        }
        if let Work::Probe { mark } = context.work {
            if status >= 200 {
                self.probed(mark, Ok(status));
            }
            return;
        }
        if status == 100 {
            return;
        }
        let challenged = self.challenged(context, index, message);
        if !context.open() || challenged == Challenged::Answered {
            return;
        }
        if challenged == Challenged::InVain {
            let bytes = self.not_let_in(context);
            return self.final_up(context, 503, bytes, Cause::Auth);
        }
        let Some(client) = context.clients.get(index) else { return };
        let interval = client.interval;
        let renewed = match &context.work {
            Work::Dialog { refresh: Some(ids) } if (200..300).contains(&status) => Some(*ids),
            _ => None,
        };
        let lines = renewed.and_then(|_| session::lines(message, interval)).unwrap_or_default();
        let mut bytes = Vec::new();
        edit::response_back(message, &Back { lines: lines.as_bytes(), ..client.back() }, &mut bytes);
        if let Some(key) = client.extra.as_ref().and_then(|extra| extra.key)
            && context.method == Method::Bye
            && status >= 200
        {
            self.sessions.remove(key);
        }
        if status < 200 {
            context.last.clone_from(&bytes);
            self.send(context.back, bytes);
            return;
        }
        if let Some(ids) = renewed {
            self.fact(Fact::Refreshed { ids, seconds: session::interval(message).or(interval) });
        }
        self.final_up(context, status, bytes, Cause::Refused);
    }
}

/// The first Record-Route of ours in an INVITE that was sent: it stands behind our Via.
fn route_in(sent: &[u8]) -> Option<&[u8]> {
    text::lines(sent).nth(2).and_then(|line| line.strip_prefix(b"Record-Route: "))
}

/// The URI of the first Contact.
fn contact(message: &Message<'_>) -> Option<String> {
    message.values(Name::Contact).next().and_then(text::target).map(text::owned)
}
