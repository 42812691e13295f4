//! From the first INVITE to both sides being up, or to neither.

use super::api::Sound;
use super::call::{Call, Stage, Trial};
use super::desk::Desk;
use super::leg::{Leg, Life, What};
use super::media;
use crate::edge::{Attempt, Cause, Fact, Fault, Known, Side};
use crate::message::{Core, Message, Name};
use crate::sdp;
use crate::text;

impl Call {
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>) {
        self.call_side(desk, Side::Caller);
    }

    fn side(&self) -> Side {
        if self.stage == Stage::Agent { Side::Caller } else { Side::Callee }
    }

    /// Begins to call one side.
    fn call_side(&mut self, desk: &mut Desk<'_>, side: Side) {
        let Some(parties) = &self.parties else { return };
        let party = if side == Side::Caller { &parties.0 } else { &parties.1 };
        self.limit = Some(desk.now + party.answer);
        self.next = (0, 0);
        if !self.next_place(desk) {
            self.fail(desk, side, (503, Cause::Fault(Fault::Unreachable)));
        }
    }

    /// Calls the next place of the side that is called; false when there is none.
    fn next_place(&mut self, desk: &mut Desk<'_>) -> bool {
        let side = self.side();
        let Some(parties) = self.parties.take() else { return false };
        let party = if side == Side::Caller { &parties.0 } else { &parties.1 };
        let mut called = false;
        while let Some(target) = party.targets.get(self.next.0) {
            let Some(hop) = target.hops.get(self.next.1).copied() else {
                self.next = (self.next.0 + 1, 0);
                continue;
            };
            self.next.1 += 1;
            let login = target.manner.as_ref().and_then(|manner| manner.login.clone());
            let mut leg = Leg::new(self.ids, side, login);
            let offer = match side {
                Side::Caller => {
                    let near = crate::bridge::places::flow_to(&desk.config.listeners, hop, 0);
                    let host = near.and_then(|flow| desk.config.listeners.get(usize::from(flow.listener)));
                    let host = host.map_or("0.0.0.0", |one| one.public_host.as_str()).to_owned();
                    let session = desk.draw(1 << 31);
                    media::hold(&host, session, (self.sound == Sound::Encrypted).then(|| desk.keys()))
                }
                Side::Callee => self.offer.clone(),
            };
            self.trial = Some(Trial {
                target: target.request_uri.clone(),
                tag: target.tag,
                hop,
                started: desk.now,
                ringing: None,
                reason: None,
            });
            if !leg.dial(desk, (target, hop), (&party.from, &party.to), offer) {
                self.tried(desk, None, Cause::Fault(Fault::Unspoken));
                continue;
            }
            let more = target.hops.len() > self.next.1 || party.targets.len() > self.next.0 + 1;
            self.silence = more.then(|| desk.now + desk.config.timers.no_provisional);
            let before = std::mem::replace(self.leg(side), leg);
            self.retire(before);
            called = true;
            break;
        }
        self.parties = Some(parties);
        called
    }

    /// Tells how the attempt at hand ended.
    pub(super) fn tried(&mut self, desk: &mut Desk<'_>, status: Option<u16>, cause: Cause) {
        let Some(Trial { target, tag, hop, started, ringing, reason }) = self.trial.take() else { return };
        let (ids, n, ended) = (self.ids, self.n, desk.now);
        self.n = self.n.saturating_add(1);
        self.silence = None;
        desk.fact(Fact::Attempt(Attempt {
            ids,
            n,
            target,
            tag,
            hop,
            status,
            cause,
            started,
            ended,
            ringing,
            reason,
        }));
    }

    /// A provisional answer to a first INVITE: any of them says that it got there.
    pub(super) fn ringing(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        status: u16,
        got: (&Message<'_>, &Core<'_>),
    ) {
        let (message, _) = got;
        self.silence = None;
        if status == 100 {
            return;
        }
        if let Some(trial) = &mut self.trial {
            trial.ringing = trial.ringing.or(Some(desk.now));
        }
        self.leg(side).prack(desk, got);
        if let (Side::Callee, Some(sdp)) = (side, media::sdp(message))
            && !self.media.refuses(sdp::offer(sdp))
        {
            self.wanted = Some(sdp.to_vec());
        }
    }

    /// A 2xx to a first INVITE.
    pub(super) fn answered(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        cseq: u32,
        (message, core): (&Message<'_>, &Core<'_>),
    ) {
        let sdp = media::sdp(message).map(<[u8]>::to_vec);
        let leg = self.leg(side);
        leg.established(message, core);
        leg.timed(desk, message);
        self.limit = None;
        self.tried(desk, message.status(), Cause::Answered);
        match side {
            Side::Caller => {
                desk.fact(Fact::Leg { ids: self.ids, side, leg: Box::new(self.agent.dialog.clone()) });
                self.agent.ack(desk, cseq, What::default());
                let Some(sdp) = sdp else { return self.fail(desk, side, (488, Cause::Refused)) };
                if self.media.refuses(sdp::offer(&sdp)) {
                    return self.unfit(desk, side);
                }
                self.offer = media::open(&sdp);
                self.stage = Stage::Callee;
                self.call_side(desk, Side::Callee);
            }
            Side::Callee => {
                let expires = message.value(Name::SessionExpires).map(text::owned);
                self.timed = expires.is_some();
                let dialog = Box::new(self.dialog(expires));
                desk.fact(Fact::Answered { ids: self.ids, dialog, known: Known::Transaction });
                self.callee.ack(desk, cseq, What::default());
                self.stage = Stage::Up;
                self.parties = None;
                match sdp {
                    Some(sdp) if self.media.refuses(sdp::offer(&sdp)) => self.unfit(desk, side),
                    Some(sdp) => self.wanted = Some(sdp),
                    None if self.given.is_empty() && self.wanted.is_none() => {
                        let reason = "SIP;cause=488;text=\"Answered without media\"".to_owned();
                        self.end(desk, side, Some(reason));
                    }
                    None => {}
                }
            }
        }
    }

    /// A final answer of 300 and above.
    pub(super) fn refused(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        (status, reason): (u16, Option<String>),
    ) {
        self.leg(side).over(desk);
        if let Some(trial) = &mut self.trial {
            trial.reason = reason;
        }
        self.tried(desk, Some(status), Cause::Refused);
        // a phone that was reached is not called again by another way
        let elsewhere = if side == Side::Caller {
            matches!(status, 408 | 480 | 500..=599)
        } else {
            (500..600).contains(&status)
        };
        if !(elsewhere && self.next_place(desk)) {
            self.fail(desk, side, (status, Cause::Refused));
        }
    }

    /// No answer came, or none could.
    pub(super) fn unreached(&mut self, desk: &mut Desk<'_>, side: Side, cause: Cause) {
        self.leg(side).over(desk);
        self.tried(desk, None, cause);
        if !self.next_place(desk) {
            let status = if matches!(cause, Cause::Fault(_)) { 503 } else { 408 };
            self.fail(desk, side, (status, cause));
        }
    }

    /// Nothing was heard of a place while others are left: it is given up, and may still answer, in vain.
    pub(super) fn silent(&mut self, desk: &mut Desk<'_>) {
        let side = self.side();
        self.tried(desk, None, Cause::Silent);
        self.leg(side).leave(desk, "SIP;cause=480;text=\"Answered too late\"");
        if !self.next_place(desk) {
            self.fail(desk, side, (408, Cause::Silent));
        }
    }

    /// The side that is called took as long as it may.
    pub(super) fn too_late(&mut self, desk: &mut Desk<'_>) {
        let side = self.side();
        self.tried(desk, None, Cause::Timeout);
        self.fail(desk, side, (480, Cause::Timeout));
    }

    /// The call is not set up.
    pub(super) fn fail(&mut self, desk: &mut Desk<'_>, side: Side, (status, cause): (u16, Cause)) {
        if !matches!(self.stage, Stage::Agent | Stage::Callee) {
            return;
        }
        self.stage = Stage::Ended;
        desk.fact(Fact::Unplaced { ids: self.ids, side, status, cause });
        if self.callee.life == Life::Idle {
            self.callee.over(desk);
        }
        self.leave_both(desk, &format!("SIP;cause={status}"));
    }

    /// A request in a dialog whose other side is not there yet.
    pub(super) fn early(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        number: u64,
        method: crate::message::Method,
    ) {
        use crate::message::Method;
        let answer = match method {
            Method::Options => (200, "OK"),
            Method::Invite | Method::Update => (491, "Request Pending"),
            Method::Refer => (603, "Decline"),
            _ => (480, "The Other Side Is Not There Yet"),
        };
        self.leg(side).answer(desk, number, answer, &What::default());
    }

    /// The agent hung up while the other side was called.
    pub(super) fn agent_left(&mut self, desk: &mut Desk<'_>) {
        self.tried(desk, None, Cause::Cancelled);
        self.fail(desk, Side::Caller, (487, Cause::Cancelled));
    }
}
