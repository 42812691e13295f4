//! A user agent that places one call (RFC 3261 sections 13.2 and 17.1.1).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::leg::{self, Ends, Leg, Life, format_line};
use super::{AgentEvent, AgentInput, AgentOutput, Local, Names, Outbox};
use crate::edge::Timers;
use crate::login::Login;
use crate::message::{Core, Message, Method, Name};
use crate::proof::{Asked, Challenge};
use crate::text;

/// One call to be placed.
#[derive(Clone, Debug)]
pub struct CallerConfig {
    /// Where this agent is.
    pub local: Local,
    /// Where everything is sent: the edge.
    pub peer: SocketAddr,
    /// Request-URI and To.
    pub to_uri: String,
    /// From.
    pub from_uri: String,
    /// The offer.
    pub sdp: Vec<u8>,
    /// Header lines to add, each without its line break.
    pub headers: Vec<String>,
    /// What answers a challenge, once.
    pub login: Option<Login>,
    /// Hang up so long after the answer; `None`: only when the other side does, or [`Caller::hang_up`].
    pub hang_up_after: Option<Duration>,
    /// Give up so long after the INVITE, unless answered; `None`: after timer C.
    pub cancel_after: Option<Duration>,
    /// Change the session so long after the answer.
    pub reinvite_after: Option<Duration>,
    /// Makes Call-ID, tags and branches.
    pub seed: u64,
    /// T1, T2.
    pub timers: Timers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Calling,
    Ringing,
    Up,
    /// A non-2xx came: lingers to acknowledge repeats.
    Refused {
        until: Instant,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Giving {
    No,
    Wanted,
    Sent { at: Option<Instant>, pause: Duration },
}

/// Places one call. `handle`, then drain `poll`; tick at `next_deadline`.
#[derive(Debug)]
pub struct Caller {
    config: CallerConfig,
    names: Names,
    call_id: String,
    from: String,
    branch: String,
    cseq: u32,
    invite: Vec<u8>,
    stage: Stage,
    giving: Giving,
    repeat: Option<(Instant, Duration)>,
    until: Option<Instant>,
    cancel_at: Option<Instant>,
    reinvite_at: Option<Instant>,
    hang_up_at: Option<Instant>,
    legs: Vec<(Vec<u8>, Leg)>,
    out: Outbox,
}

impl Caller {
    /// Begins the call: the INVITE is the first output.
    pub fn new(config: CallerConfig, now: Instant) -> Self {
        let mut names = Names::new(config.seed);
        let call_id = names.next();
        let from = format!("<{}>;tag={}", config.from_uri, names.next());
        let branch = names.branch();
        let invite = invite(&config, [&call_id, &from, &branch], 1, None);
        let (t1, udp) = (config.timers.t1, !config.local.transport.stream());
        let mut out = Outbox::new();
        out.push_back(AgentOutput::Send { to: config.peer, bytes: invite.clone() });
        Self {
            names,
            call_id,
            from,
            branch,
            cseq: 1,
            invite,
            stage: Stage::Calling,
            giving: Giving::No,
            repeat: udp.then(|| (now + t1, t1)),
            until: Some(now + t1 * 64),
            cancel_at: Some(now + config.cancel_after.unwrap_or(config.timers.timer_c)),
            reinvite_at: None,
            hang_up_at: None,
            legs: Vec::new(),
            out,
            config,
        }
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// True when nothing more will be sent or awaited.
    pub fn finished(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<AgentOutput> {
        self.out.pop_front()
    }

    /// When the next tick is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let lingers = match self.stage {
            // with a leg of a late 2xx, that leg decides
            Stage::Refused { until } if self.legs.is_empty() => Some(until),
            Stage::Calling | Stage::Ringing | Stage::Up | Stage::Over | Stage::Refused { .. } => None,
        };
        let giving = match self.giving {
            Giving::Sent { at, .. } => at,
            Giving::No | Giving::Wanted => None,
        };
        let own = [
            self.repeat.map(|repeat| repeat.0),
            self.until,
            self.cancel_at,
            self.reinvite_at,
            self.hang_up_at,
        ];
        own.into_iter()
            .chain([lingers, giving])
            .flatten()
            .chain(self.legs.iter().filter_map(|(_, leg)| leg.deadline()))
            .min()
    }

    /// Hangs up, or gives up if the call is not answered.
    pub fn hang_up(&mut self, now: Instant) {
        match self.stage {
            Stage::Up => {
                if let Some((_, leg)) = self.legs.first_mut() {
                    leg.bye(now, &mut self.names, &mut self.out);
                }
            }
            Stage::Calling | Stage::Ringing => self.give_up(now),
            Stage::Refused { .. } | Stage::Over => {}
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: AgentInput<'_>) {
        match input {
            AgentInput::Message { bytes, .. } => self.message(now, bytes),
            AgentInput::Fault if matches!(self.stage, Stage::Calling) => self.refused(now, 503),
            AgentInput::Fault | AgentInput::Tick => {}
        }
        self.tick(now);
    }

    fn message(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        if core.call_id != self.call_id.as_bytes() {
            return;
        }
        let Some(status) = message.status() else {
            let tag = core.from_tag;
            match self.legs.iter_mut().find(|(known, _)| *known == tag) {
                Some((_, leg)) => leg.incoming(now, &message, &core, &mut self.out),
                None if core.method != Method::Ack => {
                    let bytes =
                        leg::response(&message, (481, "Call/Transaction Does Not Exist"), "", None, b"");
                    self.out.push_back(AgentOutput::Send { to: self.config.peer, bytes });
                }
                None => {}
            }
            return;
        };
        if core.via.branch == Some(self.branch.as_bytes()) {
            match core.method {
                Method::Cancel if status >= 200 => {
                    self.giving = Giving::Sent { at: None, pause: Duration::ZERO }
                }
                Method::Invite => self.invite_response(now, &message, &core, status),
                _ => {}
            }
            return;
        }
        for (tag, leg) in &mut self.legs {
            if Some(&tag[..]) == core.to_tag {
                leg.response(now, (&message, &core), &mut self.names, &mut self.out);
            }
        }
    }

    fn invite_response(&mut self, now: Instant, message: &Message<'_>, core: &Core<'_>, status: u16) {
        match status {
            100..=199 => {
                if !matches!(self.stage, Stage::Calling | Stage::Ringing) {
                    return;
                }
                self.stage = Stage::Ringing;
                self.repeat = None;
                if self.giving == Giving::No {
                    self.until = None;
                }
                if status > 100 {
                    self.event(AgentEvent::Ringing { status });
                }
                if self.giving == Giving::Wanted {
                    self.cancel(now);
                }
            }
            200..=299 => self.success(now, message, core),
            _ => {
                let ack = self.companion("ACK", core.to);
                self.send(ack);
                let open = matches!(self.stage, Stage::Calling | Stage::Ringing) && self.giving == Giving::No;
                if open && matches!(status, 401 | 407) && self.answer(now, message, status) {
                    return;
                }
                if matches!(self.stage, Stage::Calling | Stage::Ringing) {
                    self.refused(now, status);
                }
            }
        }
    }

    /// Answers a challenge with the login, if there is one that was not tried yet: the same call, one number on (RFC 3261 section
    /// 22.2).
    fn answer(&mut self, now: Instant, message: &Message<'_>, status: u16) -> bool {
        let name = if status == 401 { Name::WwwAuthenticate } else { Name::ProxyAuthenticate };
        let values: Vec<_> = message.all(name).map(|h| text::owned(h.value.of(message.bytes))).collect();
        let challenge = Challenge::strongest(values.iter().map(String::as_str));
        let Some((challenge, login)) = challenge.zip(self.config.login.take()) else { return false };
        let cnonce = self.names.next();
        let asked = Asked { method: "INVITE", uri: &self.config.to_uri, count: 1, cnonce: &cnonce };
        let field = if status == 401 { "Authorization" } else { "Proxy-Authorization" };
        let line = format_line(field, &challenge.answer(&login, &asked));
        self.cseq += 1;
        self.branch = self.names.branch();
        let names = [&self.call_id, &self.from, &self.branch];
        self.invite = invite(&self.config, names.map(String::as_str), self.cseq, Some(&line));
        self.stage = Stage::Calling;
        let (t1, udp) = (self.config.timers.t1, !self.config.local.transport.stream());
        self.repeat = udp.then(|| (now + t1, t1));
        self.until = Some(now + t1 * 64);
        self.send(self.invite.clone());
        true
    }

    fn success(&mut self, now: Instant, message: &Message<'_>, core: &Core<'_>) {
        let tag = core.to_tag.unwrap_or_default();
        if let Some((_, leg)) = self.legs.iter_mut().find(|(known, _)| *known == tag) {
            return leg.ack(core.cseq, &mut self.names, &mut self.out);
        }
        let Some(contact) = message.values(Name::Contact).next().and_then(text::name_addr) else { return };
        let mut routes: Vec<_> = message.values(Name::RecordRoute).map(text::owned).collect();
        routes.reverse();
        let ends = Ends {
            ours: self.from.clone(),
            theirs: text::owned(core.to),
            target: text::owned(contact.uri),
            routes,
            cseq: core.cseq,
        };
        let config = &self.config;
        let own = (config.local, config.timers);
        let mut leg = Leg::new(own, self.call_id.clone(), ends, config.peer, config.sdp.clone());
        leg.ack(core.cseq, &mut self.names, &mut self.out);
        let open = matches!(self.stage, Stage::Calling | Stage::Ringing);
        let wanted = open && self.giving == Giving::No;
        if open {
            self.stage = Stage::Up;
            self.repeat = None;
            self.until = None;
            self.cancel_at = None;
            leg.event(AgentEvent::Answered { sdp: message.body().to_vec() }, &mut self.out);
        }
        if wanted {
            self.hang_up_at = self.config.hang_up_after.map(|after| now + after);
            self.reinvite_at = self.config.reinvite_after.map(|after| now + after);
        } else {
            // crossed our CANCEL, or a second fork: nobody wants it
            leg.bye(now, &mut self.names, &mut self.out);
        }
        self.giving = Giving::No;
        self.legs.push((tag.to_vec(), leg));
    }

    fn refused(&mut self, now: Instant, status: u16) {
        self.stage = Stage::Refused { until: now + self.config.timers.t1 * 64 };
        self.repeat = None;
        self.until = None;
        self.cancel_at = None;
        self.giving = Giving::No;
        self.event(AgentEvent::Refused { status });
    }

    fn give_up(&mut self, now: Instant) {
        self.cancel_at = None;
        match (self.giving, self.stage) {
            (Giving::No, Stage::Ringing) => self.cancel(now),
            (Giving::No, Stage::Calling) => self.giving = Giving::Wanted,
            _ => {}
        }
    }

    fn cancel(&mut self, now: Instant) {
        let to = format!("<{}>", self.config.to_uri);
        let bytes = self.companion("CANCEL", to.as_bytes());
        self.send(bytes);
        let t1 = self.config.timers.t1;
        let at = (!self.config.local.transport.stream()).then(|| now + t1);
        self.giving = Giving::Sent { at, pause: t1 };
        self.until = Some(now + t1 * 64);
    }

    /// CANCEL, or the ACK of a non-2xx: same branch as the INVITE.
    fn companion(&self, method: &str, to: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {} SIP/2.0\r\n", self.config.to_uri);
        head.push_str(&leg::via(self.config.local, &self.branch));
        head.push_str("Max-Forwards: 70\r\n");
        head.push_str(&format_line("From", &self.from));
        head.push_str(&format_line("To", &text::owned(to)));
        head.push_str(&format_line("Call-ID", &self.call_id));
        head.push_str(&format_line("CSeq", &format!("{} {method}", self.cseq)));
        leg::finish(head, b"")
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.out.push_back(AgentOutput::Send { to: self.config.peer, bytes });
    }

    fn event(&mut self, event: AgentEvent) {
        self.out.push_back(AgentOutput::Event { call_id: self.call_id.clone(), event });
    }

    fn tick(&mut self, now: Instant) {
        if let Some((at, pause)) = self.repeat
            && at <= now
        {
            self.repeat = Some((now + pause * 2, pause * 2));
            let bytes = self.invite.clone();
            self.send(bytes);
        }
        if let Giving::Sent { at: Some(at), pause } = self.giving
            && at <= now
        {
            let pause = (pause * 2).min(self.config.timers.t2);
            self.giving = Giving::Sent { at: Some(now + pause), pause };
            let to = format!("<{}>", self.config.to_uri);
            let bytes = self.companion("CANCEL", to.as_bytes());
            self.send(bytes);
        }
        if self.until.is_some_and(|until| until <= now) {
            self.refused(now, 408);
        }
        if self.cancel_at.is_some_and(|at| at <= now) {
            self.give_up(now);
        }
        let (names, out) = (&mut self.names, &mut self.out);
        if let Some((_, leg)) = self.legs.first_mut() {
            if self.reinvite_at.is_some_and(|at| at <= now) {
                self.reinvite_at = None;
                leg.reinvite(now, names, out);
            }
            if self.hang_up_at.is_some_and(|at| at <= now) {
                self.hang_up_at = None;
                leg.bye(now, names, out);
            }
            if leg.life != Life::Up {
                self.hang_up_at = None;
                self.reinvite_at = None;
            }
        }
        let had = self.legs.len();
        self.legs.retain_mut(|(_, leg)| leg.tick(now, names, out));
        match self.stage {
            Stage::Refused { until } if until <= now && self.legs.is_empty() => self.stage = Stage::Over,
            Stage::Up if had > 0 && self.legs.is_empty() => self.stage = Stage::Over,
            _ => {}
        }
    }
}

/// The INVITE: of a call, a From and a branch. `more` is a line that only this one has.
fn invite(
    config: &CallerConfig,
    [call_id, from, branch]: [&str; 3],
    cseq: u32,
    more: Option<&str>,
) -> Vec<u8> {
    let mut head = format!("INVITE {} SIP/2.0\r\n", config.to_uri);
    head.push_str(&leg::via(config.local, branch));
    head.push_str("Max-Forwards: 70\r\n");
    head.push_str(&format_line("From", from));
    head.push_str(&format_line("To", &format!("<{}>", config.to_uri)));
    head.push_str(&format_line("Call-ID", call_id));
    head.push_str(&format_line("CSeq", &format!("{cseq} INVITE")));
    head.push_str(&leg::contact(config.local));
    head.push_str("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO\r\n");
    for line in &config.headers {
        head.push_str(&line.replace(['\r', '\n'], " "));
        head.push_str("\r\n");
    }
    head.push_str(more.unwrap_or_default());
    leg::finish(head, &config.sdp)
}
