//! Requests of ours on one leg, and their answers: client transactions (RFC 3261 section 17.1), CANCEL, ACK, BYE, and what is
//! sent again with credentials.

use std::time::{Duration, Instant};

use super::desk::Desk;
use super::leg::{Leg, Life, What};
use crate::edge::{Fact, Repeat, SendId, companion};
use crate::login::challenges;
use crate::message::{Core, Message, Method};
use crate::text;
use crate::transport::{Flow, Hop};

/// How often a request is sent again with credentials: once, and once more for a nonce that was too old.
const LOGINS_MAX: u8 = 2;
/// Open requests of one leg; above it new ones are not sent.
const SENT_MAX: usize = 32;
/// Bytes of them all; above it no further one is sent but the BYE.
const SENT_BYTES_MAX: usize = 128 * 1024;
/// ACKs kept for repeats.
const ACKS_MAX: usize = 16;

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The first INVITE.
    Dial,
    /// Tells this side the other's SDP.
    Sync,
    /// Carries a request of the other leg, by its number there.
    Relay(u64),
    /// Keeps the session alive.
    Refresh,
    /// Ends it.
    Bye,
    /// Asks whether the side is still there: one that knows the call no longer says 481, and any other answer is life.
    Probe,
    /// Its answer changes nothing.
    Aside,
}

#[derive(Clone, Debug)]
enum Cancel {
    No,
    /// At the first provisional answer (RFC 3261 section 9.1).
    Wanted,
    Sent {
        bytes: Vec<u8>,
        repeat: Option<Repeat>,
    },
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: SendId,
    pub(super) why: Why,
    what: What,
    branch: String,
    cseq: u32,
    bytes: Vec<u8>,
    to: Flow,
    prefer: Option<Hop>,
    repeat: Option<Repeat>,
    until: Option<Instant>,
    proceeding: bool,
    cancel: Cancel,
    logins: u8,
}

impl Sent {
    pub(super) fn invite(&self) -> bool {
        self.what.method == "INVITE"
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let cancel = match &self.cancel {
            Cancel::Sent { repeat: Some(repeat), .. } => Some(repeat.at),
            Cancel::Sent { .. } | Cancel::Wanted | Cancel::No => None,
        };
        [self.repeat.map(|repeat| repeat.at), self.until, cancel].into_iter().flatten().min()
    }
}

/// What an answer is to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing new.
    Nothing,
    /// One of 100 to 199.
    Provisional(Why, u16),
    /// The first final one; of an INVITE with its number, which is still to be acknowledged where it is a 2xx.
    Final(Why, u16, u32),
}

impl Leg {
    /// Sends a request. False where it cannot be sent.
    pub(super) fn ask(&mut self, desk: &mut Desk<'_>, what: What, why: Why) -> bool {
        self.ask_again(desk, what, why, 0)
    }

    fn ask_again(&mut self, desk: &mut Desk<'_>, what: What, why: Why, logins: u8) -> bool {
        let waiting: usize = self.sent.iter().map(|sent| sent.bytes.len()).sum();
        if (self.sent.len() >= SENT_MAX || waiting > SENT_BYTES_MAX) && why != Why::Bye {
            return false;
        }
        let cseq = self.number(desk, why);
        let branch = desk.branch(&self.dialog.call_id, cseq);
        let Some((to, prefer, bytes)) = self.write(desk, &what, (cseq, &branch)) else { return false };
        let (t1, now) = (desk.config.timers.t1, desk.now);
        let id = desk.send_id();
        if why == Why::Dial {
            self.dialog.branch.clone_from(&branch);
            desk.fact(Fact::Leg { ids: self.ids, side: self.side, leg: Box::new(self.dialog.clone()) });
        }
        desk.send(id, to, prefer, bytes.clone());
        let repeat = (!to.transport.stream()).then(|| Repeat::first(now, t1));
        let until = Some(now + t1 * 64);
        let (proceeding, cancel) = (false, Cancel::No);
        self.sent.push(Sent {
            id,
            why,
            what,
            branch,
            cseq,
            bytes,
            to,
            prefer,
            repeat,
            until,
            proceeding,
            cancel,
            logins,
        });
        true
    }

    /// True while an INVITE is open in one of the directions: another one would meet it (RFC 3261 section 14).
    pub(super) fn busy(&self) -> bool {
        self.sent.iter().any(Sent::invite) || self.got.iter().any(super::asks::Got::open_invite)
    }

    /// Acknowledges a 2xx.
    pub(super) fn ack(&mut self, desk: &mut Desk<'_>, cseq: u32, what: What) {
        let branch = desk.branch(&self.dialog.call_id, cseq);
        let what = What { method: "ACK".to_owned(), ..what };
        let Some((to, prefer, bytes)) = self.write(desk, &what, (cseq, &branch)) else { return };
        desk.send(SendId::NONE, to, prefer, bytes.clone());
        let ack = Some((to, prefer, bytes));
        match self.acks.iter_mut().find(|(known, _)| *known == cseq) {
            Some((_, known)) => *known = ack,
            None => self.acks.push_back((cseq, ack)),
        }
        if self.acks.len() > ACKS_MAX {
            self.acks.pop_front();
        }
    }

    /// Ends the leg, however far it is: an INVITE that rings is cancelled, a dialog gets a BYE. `reason` is the value of a
    /// `Reason` header, or empty.
    pub(super) fn leave(&mut self, desk: &mut Desk<'_>, reason: &str) {
        match self.life {
            Life::Idle => self.over(desk),
            Life::Dialling => {
                self.life = Life::Leaving;
                reason.clone_into(&mut self.reason);
                self.cancel(desk, |sent| sent.why == Why::Dial);
                if self.sent.is_empty() {
                    self.over(desk);
                }
            }
            Life::Up => self.bye(desk, reason),
            Life::Leaving | Life::Over { .. } | Life::Gone => {}
        }
    }

    fn bye(&mut self, desk: &mut Desk<'_>, reason: &str) {
        self.life = Life::Leaving;
        let forgotten = desk.now + desk.config.timers.t1 * 64;
        self.got.iter_mut().for_each(|got| got.quiet(forgotten));
        // what is open in the dialog ends with it
        self.sent.retain(|sent| sent.why == Why::Bye);
        let mut what = What::new("BYE");
        if !reason.is_empty() {
            what.lines = format!("Reason: {reason}\r\n");
        }
        if !self.ask(desk, what, Why::Bye) {
            self.over(desk);
        }
    }

    /// Cancels open INVITEs.
    pub(super) fn cancel(&mut self, desk: &mut Desk<'_>, which: impl Fn(&Sent) -> bool) {
        let timers = desk.config.timers;
        for sent in self.sent.iter_mut().filter(|sent| sent.invite()).filter(|sent| which(sent)) {
            if !matches!(sent.cancel, Cancel::No) {
                continue;
            }
            sent.cancel = Cancel::Wanted;
            if sent.proceeding {
                send_cancel(desk, sent, timers.t1);
            }
        }
    }

    /// The CANCEL of an INVITE that an earlier process sent, from what the record has of it.
    pub(super) fn cancel_of(&mut self, desk: &mut Desk<'_>) {
        let (branch, cseq) = (self.dialog.branch.clone(), self.dialog.cseq);
        let what = What::new("CANCEL");
        self.life = Life::Leaving;
        if let Some((to, prefer, bytes)) = self.write(desk, &what, (cseq, &branch)) {
            let (t1, id) = (desk.config.timers.t1, desk.send_id());
            desk.send(id, to, prefer, bytes.clone());
            let repeat = (!to.transport.stream()).then(|| Repeat::first(desk.now, t1));
            let until = Some(desk.now + t1 * 64);
            let (why, cancel) = (Why::Aside, Cancel::No);
            self.sent.push(Sent {
                id,
                why,
                what,
                branch,
                cseq,
                bytes,
                to,
                prefer,
                repeat,
                until,
                proceeding: false,
                cancel,
                logins: 0,
            });
        } else {
            self.over(desk);
        }
    }

    /// An answer.
    pub(super) fn response(
        &mut self,
        desk: &mut Desk<'_>,
        (message, core): (&Message<'_>, &Core<'_>),
    ) -> Heard {
        let status = message.status().unwrap_or_default();
        let branch = core.via.branch.unwrap_or_default();
        let found = self.sent.iter().position(|sent| {
            sent.branch.as_bytes() == branch
                && (core.method == Method::Cancel) != (sent.what.method != "CANCEL")
        });
        if core.method == Method::Cancel && found.is_none() {
            self.cancelled(desk, branch, status);
            return Heard::Nothing;
        }
        let Some(index) = found else {
            self.repeated(desk, (message, core), status);
            return Heard::Nothing;
        };
        let timers = desk.config.timers;
        let Some(sent) = self.sent.get_mut(index) else { return Heard::Nothing };
        if status < 200 {
            let first = !std::mem::replace(&mut sent.proceeding, true);
            if sent.invite() {
                sent.repeat = None;
                if first {
                    // of a first INVITE the call counts the time; of others timer C (RFC 3261 section 16.6)
                    sent.until = (sent.why != Why::Dial).then(|| desk.now + timers.timer_c);
                    if matches!(sent.cancel, Cancel::Wanted) {
                        send_cancel(desk, sent, timers.t1);
                    }
                }
            } else if let Some(repeat) = &mut sent.repeat {
                *repeat = Repeat { at: desk.now + timers.t2, pause: timers.t2 };
            }
            let why = sent.why;
            return Heard::Provisional(why, status);
        }
        let sent = self.sent.swap_remove(index);
        if sent.invite() {
            if status < 300 {
                self.acks.push_back((sent.cseq, None));
            } else {
                self.refuse(desk, (message, core), &sent);
            }
        }
        if matches!(status, 401 | 407) && self.logged_in(desk, message, &sent) {
            return Heard::Nothing;
        }
        Heard::Final(sent.why, status, sent.cseq)
    }

    /// A final answer that came again, or for which another dialog was taken already.
    fn repeated(&mut self, desk: &mut Desk<'_>, (message, core): (&Message<'_>, &Core<'_>), status: u16) {
        if core.method != Method::Invite || status < 200 {
            return;
        }
        if status >= 300 {
            let branch = core.via.branch.unwrap_or_default();
            let known = self.refused.iter().find(|(known, _)| known.as_bytes() == branch);
            if let (Some((_, bytes)), Some(flow)) = (known, self.way(desk)) {
                desk.send(SendId::NONE, flow, None, bytes.clone());
            }
            return;
        }
        let same = core.to_tag.unwrap_or_default() == self.tags.1.as_bytes();
        if !same {
            return super::stray::end(desk, (message, core), self.way(desk));
        }
        match self.acks.iter().find(|(cseq, _)| *cseq == core.cseq) {
            Some((_, Some((to, prefer, bytes)))) => desk.send(SendId::NONE, *to, *prefer, bytes.clone()),
            // of an INVITE that an earlier process sent; its offer was in it
            None if self.life == Life::Up => self.ack(desk, core.cseq, What::default()),
            // what the ACK is to say is still to come; or it is over
            Some((_, None)) | None => {}
        }
    }

    fn way(&self, desk: &Desk<'_>) -> Option<Flow> {
        super::places::flow_to(&desk.config.listeners, self.peer?, self.near)
    }

    /// The ACK of a non-2xx: hop by hop, with the branch of its INVITE (RFC 3261 section 17.1.1.3).
    fn refuse(&mut self, desk: &mut Desk<'_>, (_, core): (&Message<'_>, &Core<'_>), sent: &Sent) {
        let Ok(invite) = Message::parse(&sent.bytes) else { return };
        let ack = companion(&invite, core, "ACK", core.to);
        desk.send(SendId::NONE, sent.to, sent.prefer, ack.clone());
        self.refused.push_back((sent.branch.clone(), ack));
        if self.refused.len() > ACKS_MAX {
            self.refused.pop_front();
        }
    }

    /// The CANCEL was answered: no more of it is sent. The final answer of its INVITE is awaited for a while.
    fn cancelled(&mut self, desk: &Desk<'_>, branch: &[u8], status: u16) {
        let until = desk.now + desk.config.timers.t1 * 64;
        for sent in self.sent.iter_mut().filter(|sent| sent.branch.as_bytes() == branch && status >= 200) {
            if let Cancel::Sent { repeat, .. } = &mut sent.cancel {
                *repeat = None;
                sent.until = Some(until);
            }
        }
    }

    /// Sends a challenged request again with credentials. Every try has a number of its own: the dialog is ours.
    fn logged_in(&mut self, desk: &mut Desk<'_>, message: &Message<'_>, sent: &Sent) -> bool {
        let leaves = self.life == Life::Leaving && sent.why != Why::Bye;
        let taken = !leaves
            && sent.logins < LOGINS_MAX
            && self.session.as_mut().is_some_and(|session| {
                // an answer to an older request may be asked for anew
                session.take(challenges(message), sent.logins == 0)
            });
        if !taken {
            return false;
        }
        if sent.why == Why::Dial {
            // outside a dialog still: the answer to the challenge had a tag of its own
            self.tags.1.clear();
        }
        self.ask_again(desk, sent.what.clone(), sent.why, sent.logins + 1)
    }

    /// PRACK of a reliable provisional answer, should a side send one that we did not ask for (RFC 3262 section 4).
    pub(super) fn prack(&mut self, desk: &mut Desk<'_>, (message, core): (&Message<'_>, &Core<'_>)) {
        let reliable = message
            .other("Require")
            .is_some_and(|value| text::List(value).any(|token| token.eq_ignore_ascii_case(b"100rel")));
        let Some(number) = message.other("RSeq").and_then(text::number).filter(|_| reliable) else { return };
        if self.life != Life::Dialling {
            return;
        }
        // within the early dialog, which the final answer may replace
        let (theirs, target, routes) =
            (self.dialog.theirs.clone(), self.dialog.target.clone(), self.dialog.routes.clone());
        let branch = self.dialog.branch.clone();
        self.established(message, core);
        let mut what = What::new("PRACK");
        what.lines = format!("RAck: {number} {} INVITE\r\n", core.cseq);
        self.ask(desk, what, Why::Aside);
        (self.dialog.theirs, self.dialog.target, self.dialog.routes) = (theirs, target, routes);
        self.dialog.branch = branch;
        self.tags.1.clear();
        self.life = Life::Dialling;
    }

    /// Repeats, and what is no longer awaited: its purpose, once.
    pub(super) fn due(&mut self, desk: &mut Desk<'_>) -> Vec<Why> {
        let timers = desk.config.timers;
        let now = desk.now;
        let mut lost = Vec::new();
        let mut again = Vec::new();
        self.sent.retain_mut(|sent| {
            if sent.until.is_some_and(|until| until <= now) {
                lost.push(sent.why);
                return false;
            }
            if let Some(repeat) = sent.repeat.filter(|repeat| repeat.at <= now) {
                // timer A doubles without an upper bound, timer E up to T2
                let most = if sent.invite() { timers.t1 * 64 } else { timers.t2 };
                sent.repeat = Some(repeat.again(now, most));
                again.push((sent.id, sent.to, sent.prefer, sent.bytes.clone()));
            }
            if let Cancel::Sent { bytes, repeat: Some(repeat) } = &mut sent.cancel
                && repeat.at <= now
            {
                *repeat = repeat.again(now, timers.t2);
                again.push((SendId::NONE, sent.to, sent.prefer, bytes.clone()));
            }
            true
        });
        for (id, to, prefer, bytes) in again {
            desk.send(id, to, prefer, bytes);
        }
        lost
    }

    /// True while the answer to this send is awaited.
    pub(super) fn awaits(&self, id: SendId) -> bool {
        self.sent.iter().any(|sent| sent.id == id)
    }

    /// A send failed; its purpose, if its answer is still awaited.
    pub(super) fn fault(&mut self, id: SendId) -> Option<Why> {
        let index = self.sent.iter().position(|sent| sent.id == id)?;
        Some(self.sent.swap_remove(index).why)
    }
}

fn send_cancel(desk: &mut Desk<'_>, sent: &mut Sent, t1: Duration) {
    let Ok(invite) = Message::parse(&sent.bytes) else { return };
    let Ok(core) = Core::read(&invite) else { return };
    let bytes = companion(&invite, &core, "CANCEL", core.to);
    desk.send(SendId::NONE, sent.to, sent.prefer, bytes.clone());
    let repeat = (!sent.to.transport.stream()).then(|| Repeat::first(desk.now, t1));
    sent.cancel = Cancel::Sent { bytes, repeat };
    sent.until = Some(desk.now + t1 * 64);
}
