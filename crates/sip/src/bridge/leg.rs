//! One dialog of a bridge, in which we are a user agent of our own (RFC 3261 sections 12 and 13): what is written in it, and
//! what it remembers. Knows nothing of the other leg: `super::call` joins the two. Files: `asked` requests of ours and their
//! answers, `asks` requests of the other side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::BridgeLeg;
use super::asked::{Sent, Why};
use super::asks::Got;
use super::desk::Desk;
use super::places::Way;
use super::{names, places};
use crate::cookie::CallIds;
use crate::edge::{Fact, STEP_FIRST, Side, Target, secured};
use crate::login::{Asked, Login, Session};
use crate::message::{Core, Message, Name};
use crate::text;
use crate::transport::{Flow, Hop};

/// What we take in a dialog.
const ALLOW: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, REFER, NOTIFY\r\n";

/// A request that is written: where it goes, on which connection at best, and its bytes.
pub(super) type Written = (Flow, Option<Hop>, Vec<u8>);

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nothing was sent.
    Idle,
    /// Its INVITE awaits an answer.
    Dialling,
    /// It is a dialog.
    Up,
    /// Our CANCEL or BYE is out.
    Leaving,
    /// Lingers to answer repeats.
    Over { until: Instant },
    /// Nothing more comes of it.
    Gone,
}

/// A request, or the part of an answer that is not of the dialog.
#[derive(Clone, Debug, Default)]
pub(super) struct What {
    pub(super) method: String,
    /// Whole header lines.
    pub(super) lines: String,
    /// The type of the body.
    pub(super) kind: String,
    pub(super) body: Vec<u8>,
}

impl What {
    pub(super) fn new(method: &str) -> Self {
        Self { method: method.to_owned(), ..Self::default() }
    }

    pub(super) fn sdp(method: &str, body: Vec<u8>) -> Self {
        let kind = if body.is_empty() { String::new() } else { "application/sdp".to_owned() };
        Self { method: method.to_owned(), lines: String::new(), kind, body }
    }
}

/// A session timer (RFC 4028): who does not refresh in time is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    every: Duration,
    /// We refresh.
    ours: bool,
    at: Instant,
}

/// How long after the expiry a session is given up.
const EXPIRY_MARGIN: Duration = Duration::from_secs(32);
/// The shortest interval that is kept: a shorter one is a mistake (RFC 4028 section 5).
const EVERY_MIN: u32 = 90;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) ids: CallIds,
    pub(super) side: Side,
    pub(super) life: Life,
    pub(super) dialog: BridgeLeg,
    /// Our tag, and the other side's once there is one.
    pub(super) tags: (String, String),
    pub(super) near: u16,
    pub(super) peer: Option<Hop>,
    /// The way to an agent that registered.
    pub(super) flow: Option<Flow>,
    pub(super) session: Option<Session>,
    pub(super) sent: Vec<Sent>,
    pub(super) got: VecDeque<Got>,
    /// ACKs of 2xx by the number of the INVITE, for repeats; none while what it is to say is not known.
    pub(super) acks: VecDeque<(u32, Option<Written>)>,
    /// ACKs of other finals, by branch.
    pub(super) refused: VecDeque<(String, Vec<u8>)>,
    pub(super) remote_cseq: Option<u32>,
    /// The last SDP that we sent.
    pub(super) told: Vec<u8>,
    /// The session timer that its first answer set.
    pub(super) timer: Option<Timer>,
    /// What the BYE of a leg that is cancelled says, should it be answered after all.
    pub(super) reason: String,
}

impl Leg {
    pub(super) fn new(ids: CallIds, side: Side, login: Option<Arc<Login>>) -> Self {
        Self {
            ids,
            side,
            life: Life::Idle,
            dialog: BridgeLeg::default(),
            tags: Default::default(),
            near: 0,
            peer: None,
            flow: None,
            session: login.map(Session::new),
            sent: Vec::new(),
            got: VecDeque::new(),
            acks: VecDeque::new(),
            refused: VecDeque::new(),
            remote_cseq: None,
            told: Vec::new(),
            timer: None,
            reason: String::new(),
        }
    }

    /// A leg that an earlier process led, as the call's record has it. Our next number is above all that were used.
    pub(super) fn of(ids: CallIds, side: Side, dialog: &BridgeLeg, desk: &Desk<'_>) -> Option<Self> {
        let hop = dialog.hop?;
        let tag = |value: &str| {
            let read = text::name_addr(value.as_bytes())?;
            text::param_value(read.params, b"tag").map(text::owned)
        };
        let near = places::named(&desk.config.listeners, &dialog.listener, hop.transport).unwrap_or(0);
        let mut leg = Self::new(ids, side, None);
        leg.tags = (tag(&dialog.ours)?, tag(&dialog.theirs).unwrap_or_default());
        leg.life = if leg.tags.1.is_empty() { Life::Dialling } else { Life::Up };
        (leg.near, leg.peer) = (near, Some(hop));
        leg.dialog = dialog.clone();
        if leg.life == Life::Up {
            leg.dialog.cseq = crate::edge::beyond(dialog.cseq).saturating_sub(1);
        }
        Some(leg)
    }

    /// Sends the first INVITE to a place. False where no listener of ours speaks its transport.
    pub(super) fn dial(
        &mut self,
        desk: &mut Desk<'_>,
        (target, hop): (&Target, Hop),
        (from, to): (&str, &str),
        offer: Vec<u8>,
    ) -> bool {
        // an agent that registered is reached by its own flow
        let flow = target.flow.or_else(|| places::flow_to(&desk.config.listeners, hop, self.near));
        let Some(flow) = flow else { return false };
        self.flow = target.flow;
        self.near = flow.listener;
        self.peer = Some(hop);
        self.tags = (desk.token(), String::new());
        let from = target.from.as_deref().unwrap_or(from);
        let named = target.to.as_deref().unwrap_or(&target.request_uri);
        let to = if to.is_empty() { named } else { to };
        self.dialog = BridgeLeg {
            call_id: desk.token(),
            ours: format!("<{from}>;tag={}", self.tags.0),
            theirs: format!("<{to}>"),
            target: target.request_uri.clone(),
            routes: Vec::new(),
            hop: Some(hop),
            listener: places::name(&desk.config.listeners, flow.listener),
            cseq: 0,
            branch: String::new(),
        };
        let mut what = What::sdp("INVITE", offer);
        for line in &target.headers {
            what.lines.push_str(&line.replace(['\r', '\n'], " "));
            what.lines.push_str("\r\n");
        }
        self.life = Life::Dialling;
        self.ask(desk, what, Why::Dial);
        true
    }

    /// Bytes of a request, and where they go.
    pub(super) fn write(
        &mut self,
        desk: &mut Desk<'_>,
        what: &What,
        (cseq, branch): (u32, &str),
    ) -> Option<Written> {
        let peer = self.peer?;
        let listeners = &desk.config.listeners;
        let Way { request_uri: uri, lines: routes, to, prefer } = if self.tags.1.is_empty() {
            let to = self.flow.or_else(|| places::flow_to(listeners, peer, self.near))?;
            Way { request_uri: self.dialog.target.clone().into_bytes(), lines: Vec::new(), to, prefer: None }
        } else {
            places::path(listeners, (&self.dialog.target, &self.dialog.routes), (peer, self.near))?
        };
        let mut bytes = Vec::with_capacity(768 + what.body.len());
        bytes.extend_from_slice(what.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&uri);
        let place = desk.place(to.listener);
        let mut head = format!(
            " SIP/2.0\r\nVia: SIP/2.0/{} {place};branch={branch};rport\r\nMax-Forwards: 70\r\n",
            to.transport.via()
        );
        head.push_str(&text::owned(&routes));
        let BridgeLeg { ours, theirs, call_id, .. } = &self.dialog;
        let method = &what.method;
        let names =
            format!("From: {ours}\r\nTo: {theirs}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n");
        head.push_str(&names);
        if !matches!(what.method.as_str(), "ACK" | "BYE" | "CANCEL") {
            head.push_str(&self.contact(desk, to));
        }
        if what.method == "INVITE" {
            head.push_str(ALLOW);
            if !what.lines.contains("Supported: timer") {
                head.push_str("Supported: timer\r\n");
            }
        }
        head.push_str(&what.lines);
        bytes.extend_from_slice(head.as_bytes());
        if let Some(session) = &mut self.session {
            match what.method.as_str() {
                // that of a 2xx has what its INVITE had (RFC 3261 section 22.1)
                "ACK" => bytes.extend_from_slice(&session.invite),
                "CANCEL" => {}
                method if session.ready() => {
                    let cnonce = desk.token();
                    let asked = Asked { method: method.as_bytes(), uri: &uri, cnonce: cnonce.as_bytes() };
                    session.write(&asked, &mut bytes);
                }
                _ => {}
            }
        }
        self.end(&mut bytes, what);
        Some((to, prefer, bytes))
    }

    /// Type, length and body.
    fn end(&mut self, bytes: &mut Vec<u8>, what: &What) {
        if !what.body.is_empty() {
            let kind = if what.kind.is_empty() { "application/sdp" } else { &what.kind };
            bytes.extend_from_slice(format!("Content-Type: {kind}\r\n").as_bytes());
            if kind.starts_with("application/sdp") {
                self.told.clone_from(&what.body);
            }
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", what.body.len()).as_bytes());
        bytes.extend_from_slice(&what.body);
    }

    /// Our Contact: with `sips` where the other side is spoken of so (RFC 3261 sections 8.1.1.8 and 12.1.1).
    fn contact(&self, desk: &Desk<'_>, flow: Flow) -> String {
        let user = names::user(desk.ring, (self.ids, self.side), &self.dialog.call_id, &self.tags.0);
        let place = desk.place(flow.listener);
        let next = self.dialog.routes.first().and_then(|value| text::name_addr(value.as_bytes()));
        let asked = secured(self.dialog.target.as_bytes()) || next.is_some_and(|next| secured(next.uri));
        match (asked && flow.transport.secure(), flow.transport.web()) {
            (true, false) => format!("Contact: <sips:{user}@{place}>\r\n"),
            (true, true) => format!("Contact: <sips:{user}@{place};transport=ws>\r\n"),
            (false, _) => format!("Contact: <sip:{user}@{place};transport={}>\r\n", flow.transport.param()),
        }
    }

    /// Bytes of an answer to a request of the other side.
    pub(super) fn reply(
        &mut self,
        desk: &Desk<'_>,
        (request, flow): (&Message<'_>, Flow),
        (status, reason): (u16, &str),
        what: &What,
    ) -> Vec<u8> {
        let mut lines = String::new();
        if status < 300 {
            for value in request.values(Name::RecordRoute) {
                lines.push_str("Record-Route: ");
                lines.push_str(&text::owned(value));
                lines.push_str("\r\n");
            }
            lines.push_str(&self.contact(desk, flow));
            lines.push_str(ALLOW);
        }
        lines.push_str(&what.lines);
        let reply =
            crate::edge::Reply { status, reason, to_tag: self.tags.0.as_bytes(), lines: lines.as_bytes() };
        let mut bytes = crate::edge::reply(request, &flow, &reply);
        if !what.body.is_empty() {
            // in the place of the empty end
            bytes.truncate(bytes.len().saturating_sub(b"Content-Length: 0\r\n\r\n".len()));
            self.end(&mut bytes, what);
        }
        bytes
    }

    /// Takes the dialog of a 2xx to our first INVITE (RFC 3261 section 12.1.2).
    pub(super) fn established(&mut self, message: &Message<'_>, core: &Core<'_>) {
        self.dialog.theirs = text::owned(core.to);
        self.tags.1 = text::owned(core.to_tag.unwrap_or_default());
        self.dialog.routes = message.values(Name::RecordRoute).map(text::owned).collect();
        self.dialog.routes.reverse();
        self.dialog.branch.clear();
        self.life = Life::Up;
        self.moved(message);
    }

    /// Takes the session timer of a 2xx to an INVITE of ours.
    pub(super) fn timed(&mut self, desk: &Desk<'_>, message: &Message<'_>) {
        let value = message.value(Name::SessionExpires).unwrap_or_default();
        let (seconds, params) = text::split(value, b';').unwrap_or((value, &[]));
        let Some(seconds) = text::number(text::trim(seconds)) else { return self.timer = None };
        let every = Duration::from_secs(u64::from(seconds.max(EVERY_MIN)));
        let ours =
            text::param_value(params, b"refresher").is_some_and(|who| who.eq_ignore_ascii_case(b"uac"));
        let at = desk.now + if ours { every / 2 } else { every + EXPIRY_MARGIN };
        self.timer = Some(Timer { every, ours, at });
    }

    /// Takes the session timer of a 2xx to a request that one side made of the other: the two agreed on it, through us. `asked` is
    /// true on the leg where it was asked, false on that where it went on. Who does not refresh is heard of by whoever does.
    pub(super) fn agreed(&mut self, desk: &Desk<'_>, message: &Message<'_>, asked: bool) {
        self.timed(desk, message);
        let Some(timer) = &mut self.timer else { return };
        let by_asker = timer.ours;
        if by_asker == asked {
            timer.ours = false;
            timer.at = desk.now + timer.every + EXPIRY_MARGIN;
        } else {
            self.timer = None;
        }
    }

    /// The other side asked something that proves it to be there.
    pub(super) fn refreshed(&mut self, desk: &Desk<'_>) {
        if let Some(timer) = self.timer.as_mut().filter(|timer| !timer.ours) {
            timer.at = desk.now + timer.every + EXPIRY_MARGIN;
        }
    }

    /// Refreshes the session where that is for us to do; true where the other side should have, and did not.
    pub(super) fn expired(&mut self, desk: &mut Desk<'_>) -> bool {
        let due = self.timer.as_mut().filter(|timer| timer.at <= desk.now && self.life == Life::Up);
        let Some(timer) = due else { return false };
        timer.at = desk.now + timer.every / 2;
        if !timer.ours {
            return true;
        }
        if !self.busy() {
            let what = What::sdp("INVITE", self.told.clone());
            self.ask(desk, what, Why::Refresh);
        }
        false
    }

    /// A Contact in a request or answer that refreshes the target (RFC 3261 section 12.2.1.2).
    pub(super) fn moved(&mut self, message: &Message<'_>) {
        if let Some(uri) = message.values(Name::Contact).next().and_then(text::target) {
            self.dialog.target = text::owned(uri);
        }
    }

    /// Numbers a request. The record must know of high numbers: another process goes on above them.
    pub(super) fn number(&mut self, desk: &mut Desk<'_>, why: Why) -> u32 {
        let before = bits(self.dialog.cseq);
        self.dialog.cseq = (self.dialog.cseq + 1).min((1 << 31) - 1);
        let now = bits(self.dialog.cseq);
        // nothing comes behind a BYE
        if now > STEP_FIRST && now > before && why != Why::Bye {
            // what we send to one side stands for the other's numbers there
            let by = match self.side {
                Side::Caller => Side::Callee,
                Side::Callee => Side::Caller,
            };
            desk.fact(Fact::Step { ids: self.ids, by, bits: now });
        }
        self.dialog.cseq
    }

    pub(super) fn over(&mut self, desk: &Desk<'_>) {
        if matches!(self.life, Life::Over { .. } | Life::Gone) {
            return;
        }
        self.life = Life::Over { until: desk.now + desk.config.timers.t1 * 64 };
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let over = match self.life {
            Life::Over { until } => Some(until),
            Life::Idle | Life::Dialling | Life::Up | Life::Leaving | Life::Gone => None,
        };
        let timer = self.timer.filter(|_| self.life == Life::Up).map(|timer| timer.at);
        let sent = self.sent.iter().filter_map(Sent::deadline).chain(timer);
        sent.chain(self.got.iter().filter_map(Got::deadline)).chain(over).min()
    }

    /// True when nothing more comes of it.
    pub(super) fn gone(&self) -> bool {
        matches!(self.life, Life::Idle | Life::Gone)
    }

    /// Forgets a leg that has lingered for long enough.
    pub(super) fn fade(&mut self, now: Instant) {
        if matches!(self.life, Life::Over { until } if until <= now) {
            self.life = Life::Gone;
            self.sent.clear();
            self.got.clear();
        }
    }
}

fn bits(cseq: u32) -> u8 {
    u8::try_from(u32::BITS - cseq.leading_zeros()).unwrap_or(u8::MAX)
}
