//! A user agent that answers calls (RFC 3261 sections 13.3 and 17.2.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::leg::{self, Ends, Leg, Life, Unacked};
use super::{AgentEvent, AgentInput, AgentOutput, Got, Local, Names, Outbox};
use crate::edge::Timers;
use crate::message::{Core, Message, Method, Name};
use crate::text;

/// What becomes of a new call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// 180, then 200 after `ring`; with zero, 200 at once.
    Accept {
        /// How long it rings.
        ring: Duration,
    },
    /// A final refusal.
    Refuse {
        /// Its status.
        status: u16,
    },
    /// Nothing at all for new calls.
    Silent,
}

/// How an [`Answerer`] behaves.
#[derive(Clone, Debug)]
pub struct AnswererConfig {
    /// Where this agent is.
    pub local: Local,
    /// What becomes of new calls.
    pub answering: Answering,
    /// The answer to every offer.
    pub sdp: Vec<u8>,
    /// Hang up so long after the ACK.
    pub hang_up_after: Option<Duration>,
    /// Change the session so long after the ACK.
    pub reinvite_after: Option<Duration>,
    /// The most calls at once; above it 486.
    pub calls_max: usize,
    /// Makes tags and branches.
    pub seed: u64,
    /// T1, T2.
    pub timers: Timers,
}

#[derive(Debug)]
enum Stage {
    /// 200 follows at this time.
    Ringing {
        at: Instant,
    },
    /// A non-2xx is out until its ACK; the bytes stand in `last`.
    Refused {
        repeat: Option<(Instant, Duration)>,
        until: Instant,
    },
    Up,
}

#[derive(Debug)]
struct Call {
    from: SocketAddr,
    branch: Vec<u8>,
    invite: Vec<u8>,
    tag: String,
    last: Vec<u8>,
    stage: Stage,
    leg: Option<Leg>,
    reinvite_at: Option<Instant>,
    hang_up_at: Option<Instant>,
}

/// Answers calls. `handle`, then drain `poll`; tick at `next_deadline`.
#[derive(Debug)]
pub struct Answerer {
    config: AnswererConfig,
    names: Names,
    calls: HashMap<Vec<u8>, Call>,
    out: Outbox,
}

impl Answerer {
    /// An agent without calls.
    pub fn new(config: AnswererConfig) -> Self {
        Self { names: Names::new(config.seed), config, calls: HashMap::new(), out: Outbox::new() }
    }

    /// Changes what becomes of calls from now on.
    pub fn answering(&mut self, answering: Answering) {
        self.config.answering = answering;
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<AgentOutput> {
        self.out.pop_front()
    }

    /// True when no call is here, not even one that lingers.
    pub fn idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many calls are up.
    pub fn up(&self) -> usize {
        self.calls.values().filter(|call| call.leg.as_ref().is_some_and(|leg| leg.life == Life::Up)).count()
    }

    /// Hangs up one call, or all of them.
    pub fn hang_up(&mut self, now: Instant, call_id: Option<&str>) {
        for call in self.calls.values_mut() {
            if let Some(leg) = &mut call.leg
                && call_id.is_none_or(|wanted| wanted == leg.call_id)
            {
                leg.bye(now, &mut self.names, &mut self.out);
            }
        }
    }

    /// Asks within every call that is up whether the other side is there.
    pub fn options(&mut self, now: Instant) {
        for leg in self.calls.values_mut().filter_map(|call| call.leg.as_mut()) {
            leg.options(now, &mut self.names, &mut self.out);
        }
    }

    /// When the next tick is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.calls.values().filter_map(Call::deadline).min()
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: AgentInput<'_>) {
        if let AgentInput::Message { from, bytes } = input {
            self.message(now, from, bytes);
        }
        self.tick(now);
    }

    fn message(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        if message.status().is_some() {
            let key = [core.call_id, b" ", core.to_tag.unwrap_or_default()].concat();
            if let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.leg.as_mut()) {
                leg.response(now, (&message, &core), &mut self.names, &mut self.out);
            }
            return;
        }
        let key = [core.call_id, b" ", core.from_tag].concat();
        let known = self.calls.get_mut(&key);
        match (core.method, known) {
            (Method::Invite, Some(call)) if core.via.branch == Some(&call.branch[..]) => {
                // a repeat; the 2xx repeats itself
                if !call.last.is_empty() && !matches!(call.stage, Stage::Up) {
                    self.out.push_back(AgentOutput::Send { to: from, bytes: call.last.clone() });
                }
            }
            (Method::Cancel, _) => self.cancel(now, from, (&message, &core), &key),
            (Method::Ack, Some(call)) => match (&call.stage, &mut call.leg) {
                (Stage::Refused { .. }, _) => {
                    self.calls.remove(&key);
                }
                (_, Some(leg)) => leg.incoming(now, &message, &core, &mut self.out),
                (_, None) => {}
            },
            (Method::Ack, None) => {}
            (_, Some(call)) if core.to_tag.is_some() => {
                if let Some(leg) = &mut call.leg {
                    leg.peer = from;
                    leg.incoming(now, &message, &core, &mut self.out);
                }
            }
            (Method::Options, _) if core.to_tag.is_none() => self.plain(from, &message, 200, "OK"),
            (Method::Invite, None) if core.to_tag.is_none() => self.invite(now, from, (&message, &core), key),
            (Method::Invite, Some(_)) => self.plain(from, &message, 482, "Merged"),
            _ => self.plain(from, &message, 481, "Call/Transaction Does Not Exist"),
        }
    }

    fn plain(&mut self, to: SocketAddr, message: &Message<'_>, status: u16, reason: &str) {
        let tag = self.names.next();
        let local = (status == 200).then_some(self.config.local);
        let bytes = leg::response(message, (status, reason), &tag, local, b"");
        self.out.push_back(AgentOutput::Send { to, bytes });
    }

    fn invite(&mut self, now: Instant, from: SocketAddr, (message, core): Got<'_, '_>, key: Vec<u8>) {
        if self.calls.len() >= self.config.calls_max {
            return self.plain(from, message, 486, "Busy Here");
        }
        let mut call = Call {
            from,
            branch: core.via.branch.unwrap_or_default().to_vec(),
            invite: message.bytes.to_vec(),
            tag: self.names.next(),
            last: Vec::new(),
            stage: Stage::Ringing { at: now },
            leg: None,
            reinvite_at: None,
            hang_up_at: None,
        };
        let event = AgentEvent::Invited { sdp: message.body().to_vec() };
        match self.config.answering {
            Answering::Silent => return,
            Answering::Refuse { status } => {
                self.out.push_back(AgentOutput::Event { call_id: text::owned(core.call_id), event });
                call.refuse(now, (status, "Refused"), &self.config, &mut self.out);
            }
            Answering::Accept { ring } => {
                self.out.push_back(AgentOutput::Event { call_id: text::owned(core.call_id), event });
                if !ring.is_zero() {
                    call.last =
                        leg::response(message, (180, "Ringing"), &call.tag, Some(self.config.local), b"");
                    self.out.push_back(AgentOutput::Send { to: from, bytes: call.last.clone() });
                }
                call.stage = Stage::Ringing { at: now + ring };
            }
        }
        self.calls.insert(key, call);
    }

    fn cancel(&mut self, now: Instant, from: SocketAddr, (message, core): Got<'_, '_>, key: &[u8]) {
        let call = self.calls.get_mut(key);
        let Some(call) = call.filter(|call| core.via.branch == Some(&call.branch[..])) else {
            return self.plain(from, message, 481, "Call/Transaction Does Not Exist");
        };
        let bytes = leg::response(message, (200, "OK"), &call.tag, None, b"");
        self.out.push_back(AgentOutput::Send { to: from, bytes });
        if matches!(call.stage, Stage::Ringing { .. }) {
            call.refuse(now, (487, "Request Terminated"), &self.config, &mut self.out);
        }
    }

    fn tick(&mut self, now: Instant) {
        let (config, names, out) = (&self.config, &mut self.names, &mut self.out);
        self.calls.retain(|_, call| call.tick(now, config, names, out));
    }
}

impl Call {
    fn refuse(&mut self, now: Instant, answer: (u16, &str), config: &AnswererConfig, out: &mut Outbox) {
        let Ok(message) = Message::parse(&self.invite) else { return };
        self.last = leg::response(&message, answer, &self.tag, None, b"");
        out.push_back(AgentOutput::Send { to: self.from, bytes: self.last.clone() });
        let t1 = config.timers.t1;
        let repeat = (!config.local.transport.stream()).then(|| (now + t1, t1));
        self.stage = Stage::Refused { repeat, until: now + t1 * 64 };
    }

    fn accept(&mut self, now: Instant, config: &AnswererConfig, out: &mut Outbox) {
        let Ok(message) = Message::parse(&self.invite) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let bytes = leg::response(&message, (200, "OK"), &self.tag, Some(config.local), &config.sdp);
        let target =
            message.values(Name::Contact).next().and_then(text::name_addr).map(|read| text::owned(read.uri));
        let ends = Ends {
            ours: format!("{};tag={}", text::owned(core.to), self.tag),
            theirs: text::owned(core.from),
            target: target.unwrap_or_default(),
            routes: message.values(Name::RecordRoute).map(text::owned).collect(),
            cseq: 0,
        };
        let own = (config.local, config.timers);
        let mut leg = Leg::new(own, text::owned(core.call_id), ends, self.from, config.sdp.clone());
        let t1 = config.timers.t1;
        leg.unacked = Some(Unacked {
            cseq: core.cseq,
            bytes: bytes.clone(),
            at: now + t1,
            pause: t1,
            until: now + t1 * 64,
        });
        leg.send(bytes.clone(), out);
        leg.event(AgentEvent::Answered { sdp: message.body().to_vec() }, out);
        self.last = bytes;
        self.leg = Some(leg);
        self.stage = Stage::Up;
        self.hang_up_at = config.hang_up_after.map(|after| now + after);
        self.reinvite_at = config.reinvite_after.map(|after| now + after);
    }

    fn deadline(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Ringing { at } => Some(*at),
            Stage::Refused { repeat, until } => Some(repeat.map_or(*until, |(at, _)| at.min(*until))),
            Stage::Up => None,
        };
        let leg = self.leg.as_ref().and_then(Leg::deadline);
        [stage, leg, self.reinvite_at, self.hang_up_at].into_iter().flatten().min()
    }

    /// What is due; false when the call can be forgotten.
    fn tick(&mut self, now: Instant, config: &AnswererConfig, names: &mut Names, out: &mut Outbox) -> bool {
        match &mut self.stage {
            Stage::Ringing { at } if *at <= now => self.accept(now, config, out),
            Stage::Refused { until, .. } if *until <= now => return false,
            Stage::Refused { repeat: Some((at, pause)), .. } if *at <= now => {
                *pause = (*pause * 2).min(config.timers.t2);
                *at = now + *pause;
                out.push_back(AgentOutput::Send { to: self.from, bytes: self.last.clone() });
            }
            Stage::Ringing { .. } | Stage::Refused { .. } | Stage::Up => {}
        }
        let Some(leg) = &mut self.leg else { return true };
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.reinvite_at) {
            leg.reinvite(now, names, out);
        }
        if due(&mut self.hang_up_at) {
            leg.bye(now, names, out);
        }
        if leg.life != Life::Up {
            self.reinvite_at = None;
            self.hang_up_at = None;
        }
        leg.tick(now, names, out)
    }
}
