//! What is kept of one request: its server transaction, the client transactions it was forwarded by, and their timers
//! (RFC 3261 section 17, RFC 6026). The slab gives each a place and a generation, so that answers find it by index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::api::{Cause, Target};
use super::onward::Leg;
use crate::branch::STATEFUL_TEXT;
use crate::cookie::{CallIds, Direction};
use crate::edit::Back;
use crate::login::Session;
use crate::message::{Core, Kept, Message, Method};
use crate::transport::{Flow, Hop};

use super::api::{Transfer, Trust, Whom};

/// A repeat of a message on an unreliable transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) at: Instant,
    pub(crate) pause: Duration,
}

impl Repeat {
    /// The first one after T1.
    pub(crate) fn first(now: Instant, t1: Duration) -> Self {
        Self { at: now + t1, pause: t1 }
    }

    /// The one after this; the pause doubles up to `most`.
    pub(crate) fn again(self, now: Instant, most: Duration) -> Self {
        let pause = (self.pause * 2).min(most);
        Self { at: now + pause, pause }
    }
}

/// The server side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// The verdict is awaited.
    Asking,
    /// Forwarded; no final answer was sent.
    Proceeding,
    /// A final answer was sent: timers G and H of an INVITE, J of others.
    Completed { repeat: Option<Repeat>, until: Instant },
    /// The non-2xx was acknowledged: timer I.
    Confirmed { until: Instant },
    /// A 2xx to INVITE was sent: timer L (RFC 6026).
    Accepted { until: Instant },
    /// Nothing more to do.
    Done,
}

/// The client side of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Proceeding,
    /// A non-2xx to INVITE (timer D), or any final to others (timer K).
    Completed,
    /// A 2xx to INVITE (timer M).
    Accepted,
    Dead,
}

/// How far the CANCEL of a client transaction is.
#[derive(Clone, Debug)]
pub(crate) enum Cancel {
    No,
    /// To be sent at the first provisional answer (RFC 3261 section 9.1).
    Wanted,
    /// Sent; apart, since few calls have one.
    Sent(Box<CancelSent>),
}

/// A CANCEL that was sent.
#[derive(Clone, Debug)]
pub(crate) struct CancelSent {
    pub(crate) bytes: Vec<u8>,
    /// None once it was answered.
    pub(crate) repeat: Option<Repeat>,
}

/// Whether the call waits for this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Current,
    /// Passed over for silence; may still answer.
    Abandoned,
    /// Its 2xx went to the caller.
    Won,
}

/// A client transaction.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) target: usize,
    pub(crate) to: Flow,
    pub(crate) prefer: Option<Hop>,
    pub(crate) whom: Whom,
    /// It was sent again after its connection broke.
    pub(crate) reopened: bool,
    pub(crate) token: [u8; STATEFUL_TEXT],
    pub(crate) sent: Vec<u8>,
    pub(crate) started: Instant,
    pub(crate) state: State,
    pub(crate) role: Role,
    /// Timers A and E.
    pub(crate) repeat: Option<Repeat>,
    /// Timers B, F, D, K, M, by state; after a CANCEL, how long the final is awaited.
    pub(crate) until: Option<Instant>,
    /// The next target is tried at this time.
    pub(crate) silence: Option<Instant>,
    /// Timer C.
    pub(crate) timer_c: Option<Instant>,
    /// It has rung long enough at this time.
    pub(crate) late: Option<Instant>,
    pub(crate) cancel: Cancel,
    /// The end of the attempt was told.
    pub(crate) told: bool,
    /// The ACK of its non-2xx.
    pub(crate) ack: Vec<u8>,
    /// To tag of its first 2xx.
    pub(crate) to_tag: Vec<u8>,
    /// Callee tags of its 2xx answers that were ended because they came too late.
    pub(crate) ended: Vec<Vec<u8>>,
    /// The session interval that its 2xx gets where it names none.
    pub(crate) interval: Option<u32>,
    /// When its first 180 to 199 came.
    pub(crate) ringing: Option<Instant>,
    /// The `Reason` header of its final answer.
    pub(crate) reason: Option<String>,
    /// What sets it apart from a plain one.
    pub(crate) extra: Option<Box<Extra>>,
}

/// What sets a client transaction apart from one that only forwards; most have none.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Added to the caller's `CSeq`.
    pub(crate) shift: u8,
    /// What the target asked so far, while the call is being set up.
    pub(crate) session: Option<Session>,
    /// Within a dialog: whose session answers.
    pub(crate) key: Option<super::login::Key>,
    /// How many answers were sent within the dialog.
    pub(crate) tries: u8,
    /// To as the caller wrote it, where another went on.
    pub(crate) to: Option<Vec<u8>>,
    /// From likewise.
    pub(crate) from: Option<Vec<u8>>,
    /// Answers get a type for their SDP.
    pub(crate) sdp_type: bool,
    /// How long it may ring.
    pub(crate) ring: Option<Duration>,
}

impl Client {
    /// How its answers are told back.
    pub(crate) fn back(&self) -> Back<'_> {
        self.extra.as_deref().map_or_else(Back::default, |extra| Back {
            shift: extra.shift,
            to: extra.to.as_deref(),
            from: extra.from.as_deref(),
            sdp_type: extra.sdp_type,
            lines: b"",
        })
    }
}

/// Where a routed call goes.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) ids: CallIds,
    pub(crate) direction: Direction,
    pub(crate) trust: Trust,
    pub(crate) transfer: Transfer,
    pub(crate) targets: Vec<Target>,
    /// What belongs together, and which of it is being tried.
    pub(crate) legs: Vec<Leg>,
    pub(crate) leg: usize,
    /// The next one to try: target, hop.
    pub(crate) next: (usize, usize),
    /// Hops that gave a final answer: not asked again for this call.
    pub(crate) refused: Vec<Hop>,
    /// Hosts of which no address is asked again.
    pub(crate) refused_hosts: Vec<Vec<u8>>,
    /// The best final answer so far, ready to be sent.
    pub(crate) best: Option<(u16, Vec<u8>)>,
    /// Why the last attempt failed.
    pub(crate) cause: Cause,
}

impl Routing {
    /// A target's hop gave a final answer: what is not asked again after it.
    pub(crate) fn close(&mut self, target: usize, hop: Hop) {
        self.refused.push(hop);
        if let Some(one) = self.targets.get(target)
            && one.manner.as_ref().is_some_and(|manner| manner.once)
        {
            self.refused_hosts.push(super::attempt::host(&one.request_uri));
        }
    }
}

/// What a request is to the edge.
#[derive(Debug)]
pub(crate) enum Work {
    /// A verdict decides, or decided without routing; or a call that is answered, whose only attempt has been told of.
    Local,
    /// A call being set up.
    Call(Box<Routing>),
    /// Within a dialog: one attempt, no choice. `refresh` holds the ids where a 2xx may be a session refresh.
    Dialog { refresh: Option<CallIds> },
    /// A request of ours: nobody waits for the answer.
    Own,
    /// A question of ours: the shell hears the answer.
    Probe { mark: u64 },
}

/// A request and all that came of it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) at: At,
    /// The time of the input being worked on.
    pub(crate) now: Instant,
    pub(crate) key: Box<[u8]>,
    pub(crate) source: Flow,
    pub(crate) back: Flow,
    pub(crate) method: Method,
    /// The request, until a 2xx to it went up; of a request of ours there is none.
    pub(crate) request: Option<Arc<Kept>>,
    pub(crate) phase: Phase,
    /// The last response sent, for repeats of the request.
    pub(crate) last: Vec<u8>,
    pub(crate) cancelled: bool,
    /// The answer to a CANCEL that came before the verdict: a source that is dropped hears none.
    pub(crate) cancel_answer: Option<Box<(Flow, Vec<u8>)>>,
    pub(crate) work: Work,
    pub(crate) clients: Vec<Client>,
    /// When setup must have ended.
    pub(crate) bound: Option<Instant>,
    /// The deadline that stands in the queue.
    pub(crate) queued: Option<Instant>,
}

impl Context {
    /// The request, while it is kept.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        self.request.as_ref().map(|kept| kept.message())
    }

    /// Its fields, where they could be read.
    pub(crate) fn core(&self) -> Option<Core<'_>> {
        self.request.as_ref().and_then(|kept| kept.core())
    }

    /// True when it can be forgotten.
    pub(crate) fn done(&self) -> bool {
        matches!(self.phase, Phase::Done) && self.clients.iter().all(|client| client.state == State::Dead)
    }

    /// True while no final answer was sent.
    pub(crate) fn open(&self) -> bool {
        matches!(self.phase, Phase::Asking | Phase::Proceeding)
    }

    /// True where a request within a dialog was for an agent that nothing but its own connection leads to.
    pub(crate) fn flow_gone(&self) -> bool {
        let only = || self.clients.iter().all(|client| client.whom == Whom::Connected);
        matches!(self.work, Work::Dialog { .. }) && only()
    }

    /// True while an answer is awaited: by somebody, or to a request of ours.
    pub(crate) fn awaits(&self) -> bool {
        let ours = matches!(self.work, Work::Own)
            && self.clients.iter().any(|one| matches!(one.state, State::Calling | State::Proceeding));
        ours || self.open()
    }

    /// The next time something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Asking | Phase::Proceeding => self.bound,
            Phase::Completed { repeat, until } => Some(repeat.map_or(until, |repeat| repeat.at.min(until))),
            Phase::Confirmed { until } | Phase::Accepted { until } => Some(until),
            Phase::Done => None,
        };
        let sooner = |one: Option<Instant>, other: Option<Instant>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.clients.iter().filter(|client| client.state != State::Dead).fold(phase, |due, client| {
            let cancel = match &client.cancel {
                Cancel::Sent(sent) => sent.repeat.map(|repeat| repeat.at),
                Cancel::No | Cancel::Wanted => None,
            };
            let late = client.late.filter(|_| client.role == Role::Current);
            let repeat = client.repeat.map(|repeat| repeat.at);
            [repeat, client.until, client.silence, client.timer_c, late, cancel].into_iter().fold(due, sooner)
        })
    }
}

struct Slot {
    generation: u32,
    context: Option<Box<Context>>,
}

/// Bits of an index below the edge's own number.
const INDEX_BITS: u32 = 26;

/// All contexts, by index. The upper six bits of an index are the edge's own number: no two edges of a process have one in
/// common.
pub(crate) struct Slab {
    first: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    alive: usize,
}

/// A place in the slab, with the generation that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Slab {
    /// No contexts yet, of the edge of this number.
    pub(crate) fn of(shard: u8) -> Self {
        Self { first: u32::from(shard) << INDEX_BITS, slots: Vec::new(), free: Vec::new(), alive: 0 }
    }

    /// The slot of a place, if that is (still) its generation.
    fn slot(&self, at: At) -> Option<&Slot> {
        let index = at.index.checked_sub(self.first)?;
        self.slots.get(index as usize).filter(|slot| slot.generation == at.generation)
    }

    fn slot_mut(&mut self, at: At) -> Option<&mut Slot> {
        let index = at.index.checked_sub(self.first)?;
        self.slots.get_mut(index as usize).filter(|slot| slot.generation == at.generation)
    }

    /// How many are alive, those taken out for work included.
    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// Every context that is not taken out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Context> {
        self.slots.iter().filter_map(|slot| slot.context.as_deref())
    }

    /// A place for a new context, to be filled with [`Slab::put`] or given up with [`Slab::free`].
    pub(crate) fn reserve(&mut self) -> At {
        self.alive += 1;
        if let Some(index) = self.free.pop()
            && let Some(at) = self.at(index)
        {
            return at;
        }
        let count = u32::try_from(self.slots.len()).ok().filter(|count| *count < 1 << INDEX_BITS);
        let index = self.first + count.expect("limits keep the slab below 2^26");
        self.slots.push(Slot { generation: 1, context: None });
        At { index, generation: 1 }
    }

    /// Takes a context out for work on it.
    pub(crate) fn take(&mut self, at: At) -> Option<Box<Context>> {
        self.slot_mut(at)?.context.take()
    }

    pub(crate) fn get(&self, at: At) -> Option<&Context> {
        self.slot(at)?.context.as_deref()
    }

    /// The live generation at an index.
    pub(crate) fn at(&self, index: u32) -> Option<At> {
        let slot = self.slots.get(index.checked_sub(self.first)? as usize)?;
        Some(At { index, generation: slot.generation })
    }

    pub(crate) fn put(&mut self, at: At, context: Box<Context>) {
        if let Some(slot) = self.slot_mut(at) {
            slot.context = Some(context);
        }
    }

    pub(crate) fn free(&mut self, at: At) {
        if let Some(slot) = self.slot_mut(at) {
            slot.generation = slot.generation.wrapping_add(1);
            self.alive -= 1;
            self.free.push(at.index);
        }
    }
}
