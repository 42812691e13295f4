//! Requests of the other side on one leg: server transactions (RFC 3261 section 17.2), the 2xx that is sent until its ACK
//! comes (section 13.3.1.4), CANCEL, and the order of numbers in a dialog.

use std::time::Instant;

use super::desk::Desk;
use super::leg::{Leg, Life, What};
use crate::edge::{Repeat, SendId, reply_flow};
use crate::message::{Core, Message, Method};
use crate::transport::Flow;

/// Requests of one leg that are remembered for their repeats.
const GOT_MAX: usize = 32;

#[derive(Clone, Copy, Debug)]
enum State {
    /// Awaits its final answer.
    Open,
    /// An INVITE with a final answer, which is sent until its ACK comes.
    Unacked { repeat: Option<Repeat>, until: Instant },
    /// Remembered for repeats (timers I and J).
    Done { until: Instant },
}

/// A server transaction.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) number: u64,
    key: Vec<u8>,
    pub(super) request: Vec<u8>,
    flow: Flow,
    back: Flow,
    cseq: u32,
    pub(super) method: Method,
    last: Vec<u8>,
    accepted: bool,
    state: State,
}

impl Got {
    pub(super) fn open_invite(&self) -> bool {
        self.method == Method::Invite && !matches!(self.state, State::Done { .. })
    }

    /// No more repeats: the dialog ends.
    pub(super) fn quiet(&mut self, until: Instant) {
        if matches!(self.state, State::Unacked { .. }) {
            self.state = State::Done { until };
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Unacked { repeat, until } => Some(repeat.map_or(until, |repeat| repeat.at.min(until))),
            State::Done { until } => Some(until),
            State::Open => None,
        }
    }
}

/// What a request is to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was dealt with here.
    Nothing,
    /// To be answered, by this number.
    New(u64),
    /// The ACK of an INVITE that was answered with 2xx.
    Acked(u64),
    /// An open INVITE is to be given up.
    Cancelled(u64),
}

fn key_of(core: &Core<'_>) -> Vec<u8> {
    let method: &[u8] = if core.method == Method::Cancel { b"INVITE" } else { core.method_text };
    [core.via.branch.unwrap_or_default(), b" ", core.via.sent_by, b" ", method].concat()
}

impl Leg {
    /// A request in the dialog.
    pub(super) fn request(
        &mut self,
        desk: &mut Desk<'_>,
        flow: Flow,
        (message, core): (&Message<'_>, &Core<'_>),
    ) -> Asked {
        let back = reply_flow(flow, &core.via);
        let forgotten = desk.now + desk.config.timers.t1 * 64;
        if core.method == Method::Ack {
            let acked = self.got.iter_mut().find(|got| {
                got.method == Method::Invite
                    && got.cseq == core.cseq
                    && matches!(got.state, State::Unacked { .. })
            });
            let Some(got) = acked else { return Asked::Nothing };
            got.state = State::Done { until: forgotten };
            return if got.accepted { Asked::Acked(got.number) } else { Asked::Nothing };
        }
        let key = key_of(core);
        let known = self.got.iter().find(|got| got.key == key);
        if core.method == Method::Cancel {
            let open = known.filter(|got| matches!(got.state, State::Open)).map(|got| got.number);
            let (status, reason) =
                if known.is_some() { (200, "OK") } else { (481, "Call/Transaction Does Not Exist") };
            let bytes = self.reply(desk, (message, flow), (status, reason), &What::default());
            desk.send(SendId::NONE, back, None, bytes);
            return open.map_or(Asked::Nothing, Asked::Cancelled);
        }
        if let Some(got) = known {
            if !got.last.is_empty() {
                desk.send(SendId::NONE, back, None, got.last.clone());
            }
            return Asked::Nothing;
        }
        if self.remote_cseq.is_some_and(|last| core.cseq < last) {
            let bytes = self.reply(desk, (message, flow), (500, "Out of Order"), &What::default());
            desk.send(SendId::NONE, back, None, bytes);
            return Asked::Nothing;
        }
        self.remote_cseq = Some(core.cseq);
        let number = u64::from(core.cseq) << 16 | desk.draw(1 << 16);
        if self.got.len() >= GOT_MAX {
            let done = |got: &Got| matches!(got.state, State::Done { .. });
            let old = self.got.iter().position(done).unwrap_or(0);
            self.got.remove(old);
        }
        self.got.push_back(Got {
            number,
            key,
            request: message.bytes.to_vec(),
            flow,
            back,
            cseq: core.cseq,
            method: core.method,
            last: Vec::new(),
            accepted: false,
            state: State::Open,
        });
        if matches!(self.life, Life::Over { .. } | Life::Gone)
            || self.life == Life::Leaving && core.method != Method::Bye
        {
            self.answer(desk, number, (481, "Call/Transaction Does Not Exist"), &What::default());
            return Asked::Nothing;
        }
        if core.method == Method::Invite {
            self.answer(desk, number, (100, "Trying"), &What::default());
        }
        Asked::New(number)
    }

    /// The request of a number, if it is remembered.
    pub(super) fn asked(&self, number: u64) -> Option<&Got> {
        self.got.iter().find(|got| got.number == number)
    }

    /// Answers a request that is open.
    pub(super) fn answer(
        &mut self,
        desk: &mut Desk<'_>,
        number: u64,
        (status, reason): (u16, &str),
        what: &What,
    ) {
        let Some(index) = self.got.iter().position(|got| got.number == number) else { return };
        let Some(got) = self.got.get(index).filter(|got| matches!(got.state, State::Open)) else { return };
        let (request, flow, back) = (got.request.clone(), got.flow, got.back);
        let Ok(message) = Message::parse(&request) else { return };
        let bytes = self.reply(desk, (&message, flow), (status, reason), what);
        let t1 = desk.config.timers.t1;
        let Some(got) = self.got.get_mut(index) else { return };
        got.last.clone_from(&bytes);
        if status >= 200 {
            got.accepted = status < 300;
            // what is repeated from now on is the answer
            got.request = Vec::new();
            got.state = if got.method == Method::Invite {
                // a 2xx is repeated on streams too (RFC 3261 section 13.3.1.4)
                let repeats = got.accepted || !back.transport.stream();
                let repeat = repeats.then(|| Repeat::first(desk.now, t1));
                State::Unacked { repeat, until: desk.now + t1 * 64 }
            } else {
                State::Done { until: desk.now + t1 * 64 }
            };
        }
        desk.send(SendId::NONE, back, None, bytes);
    }

    /// Repeats of answers, and what is forgotten; true when a 2xx was never acknowledged.
    pub(super) fn unheard(&mut self, desk: &mut Desk<'_>) -> bool {
        let (now, t1, t2) = (desk.now, desk.config.timers.t1, desk.config.timers.t2);
        let (mut lost, mut again) = (false, Vec::new());
        for got in &mut self.got {
            let State::Unacked { repeat, until } = got.state else { continue };
            if until <= now {
                got.state = State::Done { until: now + t1 * 64 };
                lost |= got.accepted;
            } else if let Some(due) = repeat.filter(|repeat| repeat.at <= now) {
                got.state = State::Unacked { repeat: Some(due.again(now, t2)), until };
                again.push((got.back, got.last.clone()));
            }
        }
        self.got.retain(|got| !matches!(got.state, State::Done { until } if until <= now));
        for (back, bytes) in again {
            desk.send(SendId::NONE, back, None, bytes);
        }
        lost
    }
}
