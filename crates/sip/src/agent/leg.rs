//! One end of an established dialog (RFC 3261 section 12): requests both ways, repeats, and the 2xx that is sent until
//! its ACK comes (section 13.3.1.4). Both agents use it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::{AgentEvent, AgentOutput, Got, Local, Names, Outbox};
use crate::edge::Timers;
use crate::message::{Core, Message, Method, Name};
use crate::text;

/// A request of ours that awaits its final answer.
#[derive(Debug)]
struct Pending {
    branch: String,
    method: Method,
    cseq: u32,
    bytes: Vec<u8>,
    at: Option<Instant>,
    pause: std::time::Duration,
    until: Instant,
}

/// A final answer to an INVITE, sent until its ACK.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cseq: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) at: Instant,
    pub(super) pause: std::time::Duration,
    pub(super) until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    /// Our BYE is out.
    Ending,
    /// Lingers to answer repeats.
    Over {
        until: Instant,
    },
}

/// The dialog as this end sees it.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) local: Local,
    pub(super) timers: Timers,
    pub(super) call_id: String,
    /// From value of our requests, tag included.
    pub(super) ours: String,
    /// To value of our requests, tag included.
    pub(super) theirs: String,
    pub(super) target: String,
    pub(super) routes: Vec<String>,
    pub(super) cseq: u32,
    pub(super) peer: SocketAddr,
    pub(super) sdp: Vec<u8>,
    pub(super) life: Life,
    pub(super) unacked: Option<Unacked>,
    /// ACKs of 2xx, by `CSeq` number, for repeats of the 2xx.
    pub(super) acks: Vec<(u32, Vec<u8>)>,
    pending: Vec<Pending>,
    answered: VecDeque<(Vec<u8>, Vec<u8>)>,
}

/// What a leg is made from.
pub(super) struct Ends {
    pub(super) ours: String,
    pub(super) theirs: String,
    pub(super) target: String,
    pub(super) routes: Vec<String>,
    pub(super) cseq: u32,
}

impl Leg {
    pub(super) fn new(
        (local, timers): (Local, Timers),
        call_id: String,
        ends: Ends,
        peer: SocketAddr,
        sdp: Vec<u8>,
    ) -> Self {
        Self {
            local,
            timers,
            call_id,
            ours: ends.ours,
            theirs: ends.theirs,
            target: ends.target,
            routes: ends.routes,
            cseq: ends.cseq,
            peer,
            sdp,
            life: Life::Up,
            unacked: None,
            acks: Vec::new(),
            pending: Vec::new(),
            answered: VecDeque::new(),
        }
    }

    fn write(&self, method: &str, cseq: u32, branch: &str, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {} SIP/2.0\r\n", self.target);
        head.push_str(&via(self.local, branch));
        for route in &self.routes {
            head.push_str(&format_line("Route", route));
        }
        head.push_str(&format_line("From", &self.ours));
        head.push_str(&format_line("To", &self.theirs));
        head.push_str(&format_line("Call-ID", &self.call_id));
        head.push_str(&format_line("CSeq", &format!("{cseq} {method}")));
        head.push_str(&format_line("Max-Forwards", "70"));
        head.push_str(&contact(self.local));
        finish(head, body)
    }

    /// The ACK of a 2xx to our INVITE.
    pub(super) fn ack(&mut self, cseq: u32, names: &mut Names, out: &mut Outbox) {
        let known = self.acks.iter().find(|(number, _)| *number == cseq).map(|(_, bytes)| bytes.clone());
        let bytes = if let Some(bytes) = known {
            bytes
        } else {
            let bytes = self.write("ACK", cseq, &names.branch(), b"");
            self.acks.push((cseq, bytes.clone()));
            bytes
        };
        self.send(bytes, out);
    }

    pub(super) fn send(&self, bytes: Vec<u8>, out: &mut Outbox) {
        out.push_back(AgentOutput::Send { to: self.peer, bytes });
    }

    pub(super) fn event(&self, event: AgentEvent, out: &mut Outbox) {
        out.push_back(AgentOutput::Event { call_id: self.call_id.clone(), event });
    }

    fn request(&mut self, now: Instant, method: Method, names: &mut Names, out: &mut Outbox) {
        self.cseq += 1;
        let (word, body) = match method {
            Method::Invite => ("INVITE", self.sdp.clone()),
            Method::Options => ("OPTIONS", Vec::new()),
            _ => ("BYE", Vec::new()),
        };
        let branch = names.branch();
        let bytes = self.write(word, self.cseq, &branch, &body);
        let at = (!self.local.transport.stream()).then(|| now + self.timers.t1);
        self.pending.push(Pending {
            branch,
            method,
            cseq: self.cseq,
            bytes: bytes.clone(),
            at,
            pause: self.timers.t1,
            until: now + self.timers.t1 * 64,
        });
        self.send(bytes, out);
    }

    pub(super) fn bye(&mut self, now: Instant, names: &mut Names, out: &mut Outbox) {
        if self.life == Life::Up {
            self.life = Life::Ending;
            self.unacked = None;
            self.request(now, Method::Bye, names, out);
        }
    }

    pub(super) fn reinvite(&mut self, now: Instant, names: &mut Names, out: &mut Outbox) {
        if self.life == Life::Up && self.unacked.is_none() && self.pending.is_empty() {
            self.request(now, Method::Invite, names, out);
        }
    }

    pub(super) fn options(&mut self, now: Instant, names: &mut Names, out: &mut Outbox) {
        if self.life == Life::Up {
            self.request(now, Method::Options, names, out);
        }
    }

    fn over(&mut self, now: Instant) {
        self.life = Life::Over { until: now + self.timers.t1 * 64 };
        self.unacked = None;
    }

    /// A response to one of our requests within the dialog.
    pub(super) fn response(
        &mut self,
        now: Instant,
        (message, core): Got<'_, '_>,
        names: &mut Names,
        out: &mut Outbox,
    ) {
        let status = message.status().unwrap_or_default();
        let branch = core.via.branch.unwrap_or_default();
        let Some(index) = self.pending.iter().position(|one| one.branch.as_bytes() == branch) else {
            if core.method == Method::Invite
                && (200..300).contains(&status)
                && self.acks.iter().any(|(n, _)| *n == core.cseq)
            {
                self.ack(core.cseq, names, out);
            }
            return;
        };
        let Some(one) = self.pending.get_mut(index) else { return };
        if status < 200 {
            one.at = one.at.filter(|_| one.method != Method::Invite).map(|_| now + self.timers.t2);
            return;
        }
        let one = self.pending.swap_remove(index);
        match one.method {
            Method::Invite if status < 300 => {
                self.ack(one.cseq, names, out);
                self.event(AgentEvent::Changed, out);
            }
            Method::Invite => {
                let ack = self.write("ACK", one.cseq, &one.branch, b"");
                self.send(ack, out);
                if matches!(status, 408 | 481) {
                    self.bye(now, names, out);
                }
            }
            Method::Bye => {
                self.over(now);
                self.event(AgentEvent::Ended { status }, out);
            }
            _ => {}
        }
    }

    /// A request within the dialog; true when it is of this dialog and was dealt with.
    pub(super) fn incoming(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        core: &Core<'_>,
        out: &mut Outbox,
    ) {
        if core.method == Method::Ack {
            if self.unacked.as_ref().is_some_and(|one| one.cseq == core.cseq) {
                self.unacked = None;
            }
            return;
        }
        let key = [core.via.branch.unwrap_or_default(), core.method_text].concat();
        if let Some((_, bytes)) = self.answered.iter().find(|(known, _)| *known == key) {
            return self.send(bytes.clone(), out);
        }
        let over = matches!(self.life, Life::Over { .. });
        let local = self.local;
        let respond = |status: u16, reason: &str, body: &[u8]| {
            response(message, (status, reason), "", Some(local), body)
        };
        let bytes = match core.method {
            Method::Bye => {
                if self.life == Life::Up {
                    self.event(AgentEvent::HungUp, out);
                }
                if self.life == Life::Ending && self.pending.iter().any(|one| one.method == Method::Bye) {
                    // both hung up at once: our own BYE still awaits its answer
                } else if !over {
                    self.over(now);
                }
                respond(200, "OK", b"")
            }
            _ if over => respond(481, "Call/Transaction Does Not Exist", b""),
            Method::Invite if self.pending.iter().any(|one| one.method == Method::Invite) => {
                respond(491, "Request Pending", b"")
            }
            Method::Invite => {
                let bytes = respond(200, "OK", &self.sdp);
                let t1 = self.timers.t1;
                self.unacked = Some(Unacked {
                    cseq: core.cseq,
                    bytes: bytes.clone(),
                    at: now + t1,
                    pause: t1,
                    until: now + t1 * 64,
                });
                if let Some(read) = message.values(Name::Contact).next().and_then(text::name_addr) {
                    self.target = text::owned(read.uri);
                }
                self.event(AgentEvent::Changed, out);
                bytes
            }
            Method::Refer => respond(603, "Decline", b""),
            _ => respond(200, "OK", b""),
        };
        self.answered.push_back((key, bytes.clone()));
        if self.answered.len() > 16 {
            self.answered.pop_front();
        }
        self.send(bytes, out);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let pending = self.pending.iter().flat_map(|one| [one.at, Some(one.until)]).flatten();
        let unacked = self.unacked.iter().map(|one| one.at.min(one.until));
        let over = match self.life {
            Life::Over { until } => Some(until),
            Life::Up | Life::Ending => None,
        };
        pending.chain(unacked).chain(over).min()
    }

    /// Repeats and ends of waiting; false when the leg can be forgotten.
    pub(super) fn tick(&mut self, now: Instant, names: &mut Names, out: &mut Outbox) -> bool {
        let (t2, mut sends, mut lost) = (self.timers.t2, Vec::new(), Vec::new());
        self.pending.retain_mut(|one| {
            if one.until <= now {
                lost.push(one.method);
                return false;
            }
            if one.at.is_some_and(|at| at <= now) {
                one.pause *= 2;
                if one.method != Method::Invite {
                    one.pause = one.pause.min(t2);
                }
                one.at = Some(now + one.pause);
                sends.push(one.bytes.clone());
            }
            true
        });
        let mut give_up = false;
        if let Some(one) = &mut self.unacked {
            if one.until <= now {
                give_up = true;
            } else if one.at <= now {
                one.pause = (one.pause * 2).min(t2);
                one.at = now + one.pause;
                sends.push(one.bytes.clone());
            }
        }
        for bytes in sends {
            self.send(bytes, out);
        }
        if give_up {
            self.unacked = None;
            self.bye(now, names, out);
        }
        for method in lost {
            if method == Method::Bye {
                self.over(now);
                self.event(AgentEvent::Ended { status: 408 }, out);
            } else {
                self.bye(now, names, out);
            }
        }
        !matches!(self.life, Life::Over { until } if until <= now)
    }
}

pub(super) fn format_line(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

pub(super) fn via(local: Local, branch: &str) -> String {
    format!("Via: SIP/2.0/{} {};branch={branch};rport\r\n", local.transport.via(), local.addr)
}

pub(super) fn contact(local: Local) -> String {
    format!("Contact: <sip:agent@{};transport={}>\r\n", local.addr, local.transport.param())
}

/// The end of a message: length, type, body.
pub(super) fn finish(mut head: String, body: &[u8]) -> Vec<u8> {
    if !body.is_empty() {
        head.push_str("Content-Type: application/sdp\r\n");
    }
    head.push_str(&format_line("Content-Length", &body.len().to_string()));
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A response of an agent, with Record-Route copied and its Contact (RFC 3261 section 12.1.1).
pub(super) fn response(
    message: &Message<'_>,
    (status, reason): (u16, &str),
    tag: &str,
    local: Option<Local>,
    body: &[u8],
) -> Vec<u8> {
    let mut head = format!("SIP/2.0 {status} {reason}\r\n");
    for value in message.values(Name::Via) {
        head.push_str(&format_line("Via", &text::owned(value)));
    }
    for value in message.values(Name::RecordRoute) {
        head.push_str(&format_line("Record-Route", &text::owned(value)));
    }
    let copy = |name| text::owned(message.value(name).unwrap_or_default());
    let mut to = copy(Name::To);
    if !tag.is_empty()
        && text::name_addr(to.as_bytes()).is_some_and(|read| !text::has_param(read.params, b"tag"))
    {
        to.push_str(";tag=");
        to.push_str(tag);
    }
    head.push_str(&format_line("From", &copy(Name::From)));
    head.push_str(&format_line("To", &to));
    head.push_str(&format_line("Call-ID", &copy(Name::CallId)));
    head.push_str(&format_line("CSeq", &copy(Name::CSeq)));
    if let Some(local) = local {
        head.push_str(&contact(local));
        head.push_str("Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO\r\n");
    }
    finish(head, body)
}
