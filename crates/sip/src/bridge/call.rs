//! One bridged call: two legs and what joins them. The flow is that of decision 18: the agent is called first, with an offer on
//! hold, and is acknowledged at once, so that nothing of it waits while a phone rings; then who is called, with the agent's answer
//! as the offer; then the agent learns the other's answer by a re-INVITE. Files: `setup` until both are up, `relay` from then on.

use std::time::Instant;

use super::api::{BridgeDialogs, BridgeLeg, Origination, Party, Sound};
use super::asked::{Heard, Why};
use super::asks::Asked;
use super::desk::Desk;
use super::leg::{Leg, Life, What};
use super::media;
use super::relay::Relayed;
use crate::cookie::CallIds;
use crate::edge::{Cause, Dialog, Fact, Fault, SendId, Side, Transfer};
use crate::login::Session;
use crate::message::{Core, Message};
use crate::sdp::{self, MediaRule};
use crate::text;
use crate::transport::{Flow, Hop};

/// The most legs that are wound down beside the two.
const OLD_MAX: usize = 8;

/// How often the callee learns of new media of the agent's while the call is joined: the second time settles it with sides that
/// take new keys or ports at each offer, and no pair of them goes on for ever.
const ROUNDS_MAX: u8 = 2;
/// How often it is asked again after it asked at the same time (491). One that always does learns nothing.
const CLASHES_MAX: u8 = 10;
/// Why a call ends whose sound is not encrypted as it must be, or is where it must not.
pub(super) const UNFIT: &str =
    "SIP;cause=488;text=\"The sound is not encrypted as the trunk or the endpoint asks for\"";

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The agent is called.
    Agent,
    /// The agent waits; the other side is called.
    Callee,
    /// Both are up.
    Up,
    /// It is over; its legs may still be ending.
    Ended,
}

/// The target that is tried.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) target: String,
    pub(super) tag: u64,
    pub(super) hop: Hop,
    pub(super) started: Instant,
    /// Its first provisional answer above 100.
    pub(super) ringing: Option<Instant>,
    /// The Reason of its final answer.
    pub(super) reason: Option<String>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) ids: CallIds,
    pub(super) transfer: Transfer,
    pub(super) sound: Sound,
    /// Which offers and answers are refused.
    pub(super) media: MediaRule,
    pub(super) stage: Stage,
    pub(super) agent: Leg,
    pub(super) callee: Leg,
    /// Legs that were passed over or lost.
    pub(super) old: Vec<Leg>,
    /// Whom to call; gone once both were.
    pub(super) parties: Option<Box<(Party, Party)>>,
    /// The next place of the side that is called: target, hop.
    pub(super) next: (usize, usize),
    /// Counts attempts.
    pub(super) n: u16,
    pub(super) trial: Option<Trial>,
    /// No provisional answer by then: the next place is tried.
    pub(super) silence: Option<Instant>,
    /// The side that is called must have answered by then.
    pub(super) limit: Option<Instant>,
    /// What the callee was offered of the agent.
    pub(super) offer: Vec<u8>,
    /// What the agent last learned of the callee.
    pub(super) given: Vec<u8>,
    /// What it is to learn, as soon as nothing is open on its leg.
    pub(super) wanted: Option<Vec<u8>>,
    /// How often the callee was told of new media of the agent's; each may bring new ones in return.
    pub(super) rounds: u8,
    /// How often it answered such an offer with 491.
    pub(super) clashes: u8,
    /// Not before this time.
    pub(super) sync_at: Option<Instant>,
    /// What the callee is to learn of the agent, who is elsewhere than it was offered.
    pub(super) owed: Option<Vec<u8>>,
    /// Not before this time.
    pub(super) owed_at: Option<Instant>,
    /// Its record knows, or may know, of a session with an end.
    pub(super) timed: bool,
    pub(super) relayed: Vec<Relayed>,
    /// The deadline that stands in the queue.
    pub(super) queued: Option<Instant>,
    /// The Call-IDs that stand in the index.
    pub(super) indexed: Vec<String>,
}

impl Call {
    pub(super) fn new(new: Origination) -> Self {
        let Origination { ids, agent, callee, transfer, sound, media } = new;
        let legs = [Side::Caller, Side::Callee].map(|side| Leg::new(ids, side, None));
        let call = Self::with(ids, transfer, legs, Some(Box::new((agent, callee))));
        Self { sound, media, ..call }
    }

    fn with(
        ids: CallIds,
        transfer: Transfer,
        [agent, callee]: [Leg; 2],
        parties: Option<Box<(Party, Party)>>,
    ) -> Self {
        Self {
            ids,
            transfer,
            sound: Sound::Plain,
            media: MediaRule::default(),
            stage: Stage::Agent,
            agent,
            callee,
            old: Vec::new(),
            parties,
            next: (0, 0),
            n: 0,
            trial: None,
            silence: None,
            limit: None,
            offer: Vec::new(),
            given: Vec::new(),
            wanted: None,
            rounds: 0,
            clashes: 0,
            sync_at: None,
            owed: None,
            owed_at: None,
            timed: false,
            relayed: Vec::new(),
            queued: None,
            indexed: Vec::new(),
        }
    }

    /// A call that is up and that an earlier process led.
    pub(super) fn adopted(
        ids: CallIds,
        dialogs: BridgeDialogs,
        transfer: Transfer,
        desk: &Desk<'_>,
    ) -> Option<Self> {
        let BridgeDialogs { agent, callee, logins: [at_agent, at_callee], media } = dialogs;
        let mut agent = Leg::of(ids, Side::Caller, &agent, desk)?;
        let mut callee = Leg::of(ids, Side::Callee, &callee, desk)?;
        agent.session = at_agent.map(Session::new);
        callee.session = at_callee.map(Session::new);
        let mut call = Self::with(ids, transfer, [agent, callee], None);
        (call.stage, call.media, call.timed) = (Stage::Up, media, true);
        Some(call)
    }

    /// What is left of a call whose process ended while it was set up: its legs are ended.
    pub(super) fn abandoned(ids: CallIds, legs: &[(Side, BridgeLeg)], desk: &mut Desk<'_>) -> Self {
        let idle = [Side::Caller, Side::Callee].map(|side| Leg::new(ids, side, None));
        let mut call = Self::with(ids, Transfer::Refused, idle, None);
        call.stage = Stage::Ended;
        for (side, dialog) in legs.iter().take(OLD_MAX) {
            let Some(mut leg) = Leg::of(ids, *side, dialog, desk) else { continue };
            if leg.life == Life::Up {
                leg.leave(desk, "SIP;cause=500;text=\"Service restarted\"");
            } else {
                leg.cancel_of(desk);
            }
            call.old.push(leg);
        }
        call
    }

    pub(super) fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.agent,
            Side::Callee => &mut self.callee,
        }
    }

    /// Keeps a leg until it has ended.
    pub(super) fn retire(&mut self, leg: Leg) {
        if !matches!(leg.life, Life::Idle) {
            if self.old.len() >= OLD_MAX {
                self.old.remove(0);
            }
            self.old.push(leg);
        }
    }

    /// Where in the call a dialog is: a side, or one of the old legs.
    fn place(&self, call_id: &[u8]) -> Option<Result<Side, usize>> {
        let is = |leg: &Leg| leg.dialog.call_id.as_bytes() == call_id;
        if is(&self.agent) {
            return Some(Ok(Side::Caller));
        }
        if is(&self.callee) {
            return Some(Ok(Side::Callee));
        }
        self.old.iter().position(is).map(Err)
    }

    pub(super) fn message(&mut self, desk: &mut Desk<'_>, flow: Flow, got: (&Message<'_>, &Core<'_>)) {
        let (message, core) = got;
        match (self.place(core.call_id), message.status()) {
            (Some(Ok(side)), Some(_)) => {
                let heard = self.leg(side).response(desk, got);
                self.heard(desk, side, heard, got);
            }
            (Some(Err(index)), Some(_)) => {
                if let Some(leg) = self.old.get_mut(index) {
                    let heard = leg.response(desk, got);
                    wound_down(desk, leg, heard, got);
                }
            }
            (Some(Ok(side)), None) => {
                let asked = self.leg(side).request(desk, flow, got);
                self.asked(desk, side, asked, got);
            }
            (Some(Err(index)), None) => {
                if let Some(leg) = self.old.get_mut(index)
                    && let Asked::New(number) = leg.request(desk, flow, got)
                {
                    leg.answer(desk, number, (481, "Call/Transaction Does Not Exist"), &What::default());
                }
            }
            (None, _) => {}
        }
        self.sync(desk);
    }

    fn heard(&mut self, desk: &mut Desk<'_>, side: Side, heard: Heard, got: (&Message<'_>, &Core<'_>)) {
        if self.leg(side).life == Life::Leaving {
            return wound_down(desk, self.leg(side), heard, got);
        }
        match heard {
            Heard::Provisional(Why::Dial, status) => self.ringing(desk, side, status, got),
            Heard::Provisional(Why::Relay(number), status) if status > 100 => {
                self.relay_provisional(desk, side, number, status);
            }
            Heard::Final(Why::Dial, status, cseq) if status < 300 => self.answered(desk, side, cseq, got),
            Heard::Final(Why::Dial, status, _) => self.refused(desk, side, (status, reason_of(got.0))),
            Heard::Final(Why::Sync, status, cseq) => self.synced(desk, side, (status, cseq), got),
            Heard::Final(Why::Relay(number), status, cseq) => {
                self.relay_final(desk, (side, number), (status, cseq), got);
            }
            Heard::Final(Why::Refresh, status, cseq) => {
                if status < 300 {
                    self.leg(side).ack(desk, cseq, What::default());
                    self.leg(side).timed(desk, got.0);
                    if side == Side::Callee {
                        self.renewed(desk, got.0);
                    }
                } else if matches!(status, 408 | 481) {
                    self.lost(desk, side, status);
                }
            }
            Heard::Final(Why::Probe, 481, _) => self.lost(desk, side, 481),
            Heard::Nothing
            | Heard::Provisional(..)
            | Heard::Final(Why::Bye | Why::Probe | Why::Aside, ..) => {}
        }
    }

    /// The session that the record knows, the callee's, was renewed.
    pub(super) fn renewed(&mut self, desk: &mut Desk<'_>, message: &Message<'_>) {
        let seconds = crate::edge::interval(message);
        if self.timed || seconds.is_some() {
            self.timed = true;
            desk.fact(Fact::Refreshed { ids: self.ids, seconds });
        }
    }

    /// One side has gone without a word: the call is over.
    pub(super) fn lost(&mut self, desk: &mut Desk<'_>, side: Side, status: u16) {
        let reason = format!("SIP;cause={status};text=\"The other side is gone\"");
        match self.stage {
            Stage::Up => self.end(desk, side, Some(reason)),
            Stage::Agent | Stage::Callee => self.fail(desk, side, (status, Cause::Timeout)),
            Stage::Ended => {}
        }
    }

    /// An answered call is over: its end is told before either side is.
    pub(super) fn end(&mut self, desk: &mut Desk<'_>, by: Side, reason: Option<String>) {
        if self.stage != Stage::Up {
            return;
        }
        self.stage = Stage::Ended;
        let callee_tag = self.callee.tags.1.clone();
        desk.fact(Fact::Ended { ids: self.ids, by, callee_tag, reason: reason.clone() });
        self.leave_both(desk, &reason.unwrap_or_default());
    }

    /// Asks both sides whether they still know the call (RFC 3261 section 11.2: an OPTIONS within a dialog changes nothing of it).
    pub(super) fn probe(&mut self, desk: &mut Desk<'_>) {
        if self.stage == Stage::Up {
            for side in [Side::Caller, Side::Callee] {
                let what = What { method: "OPTIONS".to_owned(), ..What::default() };
                self.leg(side).ask(desk, what, Why::Probe);
            }
        }
    }

    /// Ends the call, however far it is.
    pub(super) fn stop(&mut self, desk: &mut Desk<'_>, mark: u64, reason: &str) {
        match self.stage {
            Stage::Up => {
                self.stage = Stage::Ended;
                desk.fact(Fact::HungUp { ids: self.ids, mark });
                self.leave_both(desk, reason);
            }
            Stage::Agent | Stage::Callee => {
                let side = if self.stage == Stage::Agent { Side::Caller } else { Side::Callee };
                self.tried(desk, None, Cause::Stopped);
                self.fail(desk, side, (487, Cause::Stopped));
            }
            Stage::Ended => {}
        }
    }

    pub(super) fn leave_both(&mut self, desk: &mut Desk<'_>, reason: &str) {
        (self.silence, self.limit, self.parties) = (None, None, None);
        (self.wanted, self.sync_at, self.owed, self.owed_at) = (None, None, None, None);
        self.callee.leave(desk, reason);
        self.agent.leave(desk, reason);
    }

    /// Both dialogs as the record needs them. The agent is the caller: it is who the call is for.
    pub(super) fn dialog(&self, session_expires: Option<String>) -> Dialog {
        let (agent, callee) = (&self.agent.dialog, &self.callee.dialog);
        Dialog {
            call_id: callee.call_id.clone(),
            from_tag: self.callee.tags.0.clone(),
            to_tag: self.callee.tags.1.clone(),
            from: callee.ours.clone(),
            to: callee.theirs.clone(),
            caller_contact: Some(agent.target.clone()),
            callee_contact: Some(callee.target.clone()),
            caller_routes: agent.routes.clone(),
            callee_routes: callee.routes.clone(),
            caller_hop: agent.hop,
            callee_hop: callee.hop,
            caller_listener: Some(agent.listener.clone()),
            callee_listener: Some(callee.listener.clone()),
            cseq: callee.cseq,
            callee_cseq: agent.cseq,
            session_expires,
            record_routed: true,
            bridged: Some(Box::new(agent.clone())),
            ..Dialog::default()
        }
    }

    /// Tells each side what it is to know of the other, when nothing stands in the way.
    pub(super) fn sync(&mut self, desk: &mut Desk<'_>) {
        if !matches!(self.stage, Stage::Callee | Stage::Up) {
            return;
        }
        let ready = |leg: &Leg, at: Option<Instant>| leg.life == Life::Up && !leg.busy() && at.is_none();
        if ready(&self.agent, self.sync_at)
            && let Some(sdp) = self.wanted.take()
            && sdp != self.given
        {
            self.given.clone_from(&sdp);
            self.agent.ask(desk, What::sdp("INVITE", sdp), Why::Sync);
        }
        if self.stage == Stage::Up
            && ready(&self.callee, self.owed_at)
            && let Some(sdp) = self.owed.take()
            && !media::alike(&sdp, &self.offer)
            && self.rounds < ROUNDS_MAX
        {
            self.rounds += 1;
            self.offer.clone_from(&sdp);
            self.callee.ask(desk, What::sdp("INVITE", sdp), Why::Sync);
        }
    }

    /// The answer to a re-INVITE of ours.
    fn synced(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        (status, cseq): (u16, u32),
        (message, _): (&Message<'_>, &Core<'_>),
    ) {
        let answer = media::sdp(message).map(<[u8]>::to_vec);
        match status {
            0..300 => {
                let leg = self.leg(side);
                leg.moved(message);
                leg.ack(desk, cseq, What::default());
                match (side, answer) {
                    (_, Some(answer)) if self.media.refuses(sdp::offer(&answer)) => self.unfit(desk, side),
                    // where the agent's sound is elsewhere now, the callee has to know, once it is there
                    (Side::Caller, Some(answer)) => self.owed = Some(answer),
                    (Side::Callee, Some(answer)) if !media::alike(&answer, &self.given) => {
                        self.wanted = Some(answer);
                    }
                    (_, _) => {}
                }
            }
            // both asked at once: we own the Call-ID, so we wait for longer (RFC 3261 section 14.1)
            491 => {
                let at = Some(desk.now + std::time::Duration::from_millis(2_100 + desk.draw(1_900)));
                match side {
                    Side::Caller => {
                        let given = std::mem::take(&mut self.given);
                        (self.wanted, self.sync_at) = (self.wanted.take().or(Some(given)), at);
                    }
                    Side::Callee if self.clashes == CLASHES_MAX => {}
                    Side::Callee => {
                        // It has not learned of them: that was no round.
                        (self.rounds, self.clashes) = (self.rounds.saturating_sub(1), self.clashes + 1);
                        let offer = std::mem::take(&mut self.offer);
                        (self.owed, self.owed_at) = (self.owed.take().or(Some(offer)), at);
                    }
                }
            }
            408 | 481 => self.lost(desk, side, status),
            _ if self.stage == Stage::Up && (side == Side::Callee || self.wanted.is_none()) => {
                let reason = format!("SIP;cause={status};text=\"The media of the other side was refused\"");
                self.end(desk, side, Some(reason));
            }
            // before the answer sound is a courtesy; with it the agent is told again
            _ => self.given.clear(),
        }
    }

    /// A side's sound is none that the call may have.
    pub(super) fn unfit(&mut self, desk: &mut Desk<'_>, side: Side) {
        match self.stage {
            Stage::Up => self.end(desk, side, Some(UNFIT.to_owned())),
            Stage::Agent | Stage::Callee => self.fail(desk, side, (488, Cause::Media)),
            Stage::Ended => {}
        }
    }

    /// True while the answer to this send is awaited.
    pub(super) fn sent(&self, id: SendId) -> bool {
        [&self.agent, &self.callee].into_iter().chain(&self.old).any(|leg| leg.awaits(id))
    }

    pub(super) fn fault(&mut self, desk: &mut Desk<'_>, id: SendId, fault: Fault) -> bool {
        for side in [Side::Caller, Side::Callee] {
            if let Some(why) = self.leg(side).fault(id) {
                self.gave_up(desk, side, why, Cause::Fault(fault));
                return true;
            }
        }
        for leg in &mut self.old {
            if leg.fault(id).is_some() {
                leg.over(desk);
                return true;
            }
        }
        false
    }

    /// An answer is no longer awaited.
    fn gave_up(&mut self, desk: &mut Desk<'_>, side: Side, why: Why, cause: Cause) {
        let leaving = self.leg(side).life == Life::Leaving;
        match why {
            Why::Bye => self.leg(side).over(desk),
            Why::Dial if leaving => self.leg(side).over(desk),
            _ if leaving => {}
            Why::Dial => self.unreached(desk, side, cause),
            Why::Sync | Why::Refresh => self.lost(desk, side, 408),
            Why::Relay(number) => {
                self.relay_lost(desk, side, number);
                self.lost(desk, side, 408);
            }
            // Silence tells nothing: it may be a peer that answers no such request.
            Why::Probe | Why::Aside => {}
        }
    }

    pub(super) fn due(&mut self, desk: &mut Desk<'_>) {
        let now = desk.now;
        for side in [Side::Caller, Side::Callee] {
            for why in self.leg(side).due(desk) {
                self.gave_up(desk, side, why, Cause::Timeout);
            }
            self.leg(side).fade(now);
            if self.leg(side).unheard(desk) || self.leg(side).expired(desk) {
                self.lost(desk, side, 408);
            }
        }
        for leg in &mut self.old {
            let ended = !leg.due(desk).is_empty();
            leg.unheard(desk);
            leg.fade(now);
            if ended && leg.sent.is_empty() {
                leg.over(desk);
            }
        }
        if self.silence.take_if(|at| *at <= now).is_some() {
            self.silent(desk);
        }
        if self.limit.take_if(|at| *at <= now).is_some() {
            self.too_late(desk);
        }
        self.sync_at.take_if(|at| *at <= now);
        self.owed_at.take_if(|at| *at <= now);
        self.sync(desk);
        self.old.retain(|leg| !leg.gone());
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let legs = [&self.agent, &self.callee].into_iter().chain(&self.old).filter_map(Leg::deadline);
        legs.chain([self.silence, self.limit, self.sync_at, self.owed_at].into_iter().flatten()).min()
    }

    pub(super) fn gone(&self) -> bool {
        let legs = [&self.agent, &self.callee].into_iter().chain(&self.old);
        self.stage == Stage::Ended && legs.into_iter().all(Leg::gone)
    }

    /// True while an answer is awaited that decides something.
    pub(super) fn awaits(&self) -> bool {
        matches!(self.stage, Stage::Agent | Stage::Callee)
    }

    pub(super) fn call_ids(&self) -> impl Iterator<Item = &str> {
        let legs = [&self.agent, &self.callee].into_iter().chain(&self.old);
        legs.map(|leg| leg.dialog.call_id.as_str()).filter(|id| !id.is_empty())
    }
}

/// The answer to something on a leg that ends.
fn wound_down(desk: &mut Desk<'_>, leg: &mut Leg, heard: Heard, (message, core): (&Message<'_>, &Core<'_>)) {
    match heard {
        // it was answered after all
        Heard::Final(Why::Dial, status, cseq) if status < 300 => {
            leg.established(message, core);
            leg.ack(desk, cseq, What::default());
            let reason = std::mem::take(&mut leg.reason);
            leg.leave(desk, &reason);
        }
        Heard::Final(Why::Dial | Why::Bye | Why::Aside, ..) => leg.over(desk),
        Heard::Final(_, status, cseq) if status < 300 && core.method == crate::message::Method::Invite => {
            leg.ack(desk, cseq, What::default());
        }
        Heard::Final(..) | Heard::Provisional(..) | Heard::Nothing => {}
    }
}

/// The value of a Reason header.
pub(super) fn reason_of(message: &Message<'_>) -> Option<String> {
    message.value(crate::message::Name::Reason).map(text::owned)
}
