//! Calls that we place ourselves, as third party call control (RFC 3725): two dialogs of our own with one body of SDP between
//! them. **Sans-I/O** like [`crate::Edge`]: inputs go in by [`Bridges::handle`] and its neighbours, [`Bridges::poll`] gives what came
//! of them, facts before the sends that depend on them. No media passes here.
//!
//! Not a proxy: each dialog has its own Call-ID, tags and numbers, and lives in this memory. What ending it needs is in the
//! facts, so that another process can go on from the call's record: [`Bridges::adopt`] for a call that is up,
//! [`Bridges::abandon`] for one that was being set up. Files: `call`, `setup` and `relay` one call, `leg`, `asked` and `asks` one of its
//! dialogs, `names` how messages find their call, `stray` answers that came too late.

mod api;
mod asked;
mod asks;
mod call;
mod desk;
mod leg;
mod media;
mod names;
pub(crate) mod places;
mod relay;
mod setup;
mod stray;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use hashbrown::HashMap;
use uuid::Uuid;

pub use api::{BridgeDialogs, BridgeLeg, Origination, Party, Sound, Unknown};
use call::Call;
use desk::Desk;

use crate::cookie::CallIds;
use crate::edge::{Config, Fault, Output, Reply, SendId, Side, Transfer, Whom, reply, reply_flow};
use crate::keys::Ring;
use crate::message::{Core, Message, Method};
use crate::transport::Flow;

/// Calls at once; above it none is placed. Each holds some ten kilobytes.
pub const BRIDGES_MAX: usize = 10_000;
/// Requests of calls that are not here, waiting for their records.
const UNKNOWN_MAX: usize = 256;

/// See the module's head.
pub struct Bridges {
    config: Config,
    ring: Ring,
    calls: HashMap<Uuid, Box<Call>>,
    dialogs: HashMap<String, Uuid>,
    deadlines: BTreeSet<(Instant, Uuid)>,
    out: VecDeque<Output>,
    unknown: VecDeque<(Unknown, Flow, Vec<u8>)>,
    /// Answers of calls that are not here wait: see [`Bridges::hold`].
    held: bool,
    count: u32,
}

impl fmt::Debug for Bridges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridges").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

impl Bridges {
    /// Without calls.
    pub fn new(config: Config) -> Self {
        let ring = Ring::new(&config.keys);
        Self {
            config,
            ring,
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            deadlines: BTreeSet::new(),
            out: VecDeque::new(),
            unknown: VecDeque::new(),
            held: false,
            count: 0,
        }
    }

    /// While this is said, answers to what an earlier process asked change nothing: they are repeated. A process that begins has
    /// calls to adopt, and must not take the answers of those for answers that nobody waits for.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// True for a message that is to be given to [`Bridges::handle`] and to nobody else.
    pub fn owns(bytes: &[u8]) -> bool {
        names::owns(bytes)
    }

    /// True for a send of the bridges: its fault is told to [`Bridges::fault`].
    pub fn sent(id: SendId) -> bool {
        id.0 >> 62 == desk::OURS >> 62
    }

    /// The next output, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The next message of a call that is not here: the shell looks its record up, then [`Bridges::adopt`]s it and gives the message
    /// again, or [`Bridges::refuse`]s it.
    pub fn poll_unknown(&mut self) -> Option<(Unknown, Flow, Vec<u8>)> {
        self.unknown.pop_front()
    }

    /// When [`Bridges::tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many calls are here, those that linger too.
    pub fn count(&self) -> usize {
        self.calls.len()
    }

    /// True when no call is being set up.
    pub fn settled(&self) -> bool {
        self.calls.values().all(|call| !call.awaits())
    }

    /// True for a call that is here and not over.
    pub fn has(&self, call: Uuid) -> bool {
        self.calls.get(&call).is_some_and(|call| call.stage != call::Stage::Ended)
    }

    /// Places a call. False where there are too many.
    pub fn originate(&mut self, now: Instant, new: Origination) -> bool {
        if self.calls.len() >= BRIDGES_MAX || self.calls.contains_key(&new.ids.call) {
            return false;
        }
        let id = new.ids.call;
        self.calls.insert(id, Box::new(Call::new(new)));
        self.with(now, id, Call::begin);
        true
    }

    /// Takes over a call that is up, from its record. False where it cannot be, or there are too many.
    pub fn adopt(&mut self, now: Instant, ids: CallIds, dialogs: BridgeDialogs, transfer: Transfer) -> bool {
        if self.calls.contains_key(&ids.call) {
            return true;
        }
        if self.calls.len() >= BRIDGES_MAX {
            return false;
        }
        let Some(call) = Call::adopted(ids, dialogs, transfer, &self.desk(now)) else { return false };
        self.calls.insert(ids.call, Box::new(call));
        self.with(now, ids.call, |_, _| ());
        true
    }

    /// Ends what an earlier process left of a call that it was setting up: dialogs get a BYE, INVITEs a CANCEL.
    pub fn abandon(&mut self, now: Instant, ids: CallIds, legs: &[(Side, BridgeLeg)]) {
        if self.calls.contains_key(&ids.call) || self.calls.len() >= BRIDGES_MAX {
            return;
        }
        let call = Call::abandoned(ids, legs, &mut self.desk(now));
        self.calls.insert(ids.call, Box::new(call));
        self.with(now, ids.call, |_, _| ());
    }

    /// Ends a call that is here, however far it is; `mark` and `reason` as in [`crate::Edge::hang_up`]. False when it is not here, or
    /// over.
    pub fn stop(&mut self, now: Instant, call: Uuid, mark: u64, reason: &str) -> bool {
        self.has(call) && self.with(now, call, |call, desk| call.stop(desk, mark, reason)).is_some()
    }

    /// Asks both sides of a call that is here whether they still know it; where one does not, the call ends. For a call that was
    /// adopted: its sides may have hung up while nobody was there to hear it.
    pub fn probe(&mut self, now: Instant, call: Uuid) {
        self.with(now, call, Call::probe);
    }

    /// A message that [`Bridges::owns`].
    pub fn handle(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        if usize::from(flow.listener) >= self.config.listeners.len() {
            return;
        }
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let known = std::str::from_utf8(core.call_id).ok().and_then(|id| self.dialogs.get(id).copied());
        if message.status().is_none() {
            let Some((ids, side)) = names::read(&self.ring, message.request_uri(), &core) else { return };
            match known {
                Some(id) if id == ids.call => {
                    self.with(now, id, |call, desk| call.message(desk, flow, (&message, &core)));
                }
                Some(_) | None => self.stranded(Unknown { ids, side }, flow, &message),
            }
            return;
        }
        match known {
            Some(id) => {
                self.with(now, id, |call, desk| call.message(desk, flow, (&message, &core)));
            }
            None if !self.held && names::proves(&self.ring, &core) => {
                let accepted = message.status().is_some_and(|status| (200..300).contains(&status));
                if accepted && core.method == Method::Invite {
                    stray::end(&mut self.desk(now), (&message, &core), Some(flow));
                }
            }
            None => {}
        }
    }

    /// A request of a call that is not here.
    fn stranded(&mut self, unknown: Unknown, flow: Flow, message: &Message<'_>) {
        if !matches!(message.method(), Some(Method::Ack | Method::Cancel)) && self.unknown.len() < UNKNOWN_MAX
        {
            self.unknown.push_back((unknown, flow, message.bytes.to_vec()));
        }
    }

    /// Answers a request whose call has no record, or is over there.
    pub fn refuse(&mut self, flow: Flow, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let answer =
            Reply { status: 481, reason: "Call/Transaction Does Not Exist", to_tag: b"", lines: b"" };
        let bytes = reply(&message, &flow, &answer);
        let send = crate::edge::Send {
            id: SendId::NONE,
            to: reply_flow(flow, &core.via),
            prefer: None,
            whom: Whom::Address,
            bytes,
        };
        self.out.push_back(Output::Send(send));
    }

    /// A send failed.
    pub fn fault(&mut self, now: Instant, send: SendId, why: Fault) {
        let whose = self.calls.iter().find(|(_, call)| call.sent(send)).map(|(id, _)| *id);
        if let Some(id) = whose {
            self.with(now, id, |call, desk| call.fault(desk, send, why));
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        while let Some((due, id)) = self.deadlines.first().copied() {
            if due > now {
                return;
            }
            self.with(now, id, Call::due);
        }
    }

    fn desk(&mut self, now: Instant) -> Desk<'_> {
        let Self { config, ring, out, count, .. } = self;
        Desk { now, config, ring, out, whose: None, count }
    }

    /// Works on a call, then puts it where it is found, or forgets it.
    fn with<T>(
        &mut self,
        now: Instant,
        id: Uuid,
        work: impl FnOnce(&mut Call, &mut Desk<'_>) -> T,
    ) -> Option<T> {
        let Self { config, ring, calls, dialogs, deadlines, out, count, .. } = self;
        let call = calls.get_mut(&id)?;
        let whose = Some(call.ids.organization);
        let mut desk = Desk { now, config, ring, out, whose, count };
        let done = work(call, &mut desk);
        if let Some(at) = call.queued.take() {
            deadlines.remove(&(at, id));
        }
        let gone = call.gone();
        let wanted: Vec<String> =
            if gone { Vec::new() } else { call.call_ids().map(str::to_owned).collect() };
        for old in call.indexed.iter().filter(|old| !wanted.contains(old)) {
            dialogs.remove(old);
        }
        for new in wanted.iter().filter(|new| !call.indexed.contains(new)) {
            dialogs.insert(new.clone(), id);
        }
        call.indexed = wanted;
        if gone {
            calls.remove(&id);
        } else if let Some(at) = call.deadline() {
            call.queued = Some(at);
            deadlines.insert((at, id));
        }
        Some(done)
    }
}
