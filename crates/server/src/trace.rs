//! The SIP messages of calls that are traced: kept in the memory of the process that carries them, in bounds, without their
//! secrets. Switched on for a number for a bounded time; calls that begin in it are followed to their end.
//!
//! Where nothing is traced a message costs one look at a flag. What is sent over TCP or TLS is kept as the message it is.
//! A trace is gone with the process, or with its call's record, or after a day.

use domain::Timestamp;
use domain::call::Place;
use domain::ids::{CallId, NumberId, OrganizationId};
use domain::trace::{Trace, TraceWindow, TracedMessage, redact};
use hashbrown::{HashMap, HashSet};
use metrics::{Counter, Gauge, counter, gauge};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock;
use crate::hep::Collector;
use crate::live::registering::hide_contacts;

/// Calls of which messages are kept; one more, and the oldest goes.
const CALLS_MAX: usize = 200;
/// Bytes of the messages of one call.
const CALL_BYTES_MAX: usize = 256 * 1024;
/// Messages of one call.
const CALL_MESSAGES_MAX: usize = 1_000;
/// How long a trace is kept, in seconds since its call began.
const KEPT_SECONDS: i64 = 86_400;
/// How long messages of a call are kept that come after its end: those that are repeated (64·T1, twice).
const AFTER_END_SECONDS: i64 = 64;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Whether any number is traced or any call followed: what a message looks at.
    active: AtomicBool,
    state: Mutex<State>,
    /// Where messages of calls that are followed are sent as they come.
    collector: OnceLock<Collector>,
    calls: Gauge,
    bytes: Gauge,
    left_out: Counter,
}

#[derive(Debug, Default)]
struct State {
    windows: HashMap<NumberId, Timestamp>,
    calls: HashMap<CallId, Traced>,
    /// The same, the oldest first.
    order: VecDeque<CallId>,
    /// Whose call a Call-ID is, while it is followed.
    names: HashMap<Vec<u8>, CallId>,
    bytes: usize,
}

#[derive(Debug)]
struct Traced {
    organization: OrganizationId,
    began: Timestamp,
    /// Until when its messages are kept; none while it goes on.
    until: Option<Timestamp>,
    trace: Trace,
    bytes: usize,
    /// Headers whose values are not shown.
    hidden: Vec<String>,
}

impl Default for Traces {
    fn default() -> Self {
        metrics::describe_gauge!("trunkline_traced_calls", "Calls of which SIP messages are kept");
        metrics::describe_gauge!("trunkline_trace_bytes", "Bytes of SIP messages that are kept");
        metrics::describe_counter!(
            "trunkline_trace_left_out_total",
            "SIP messages of traced calls that were not kept, since a trace has a bound"
        );
        Self {
            active: AtomicBool::new(false),
            state: Mutex::default(),
            collector: OnceLock::new(),
            calls: gauge!("trunkline_traced_calls"),
            bytes: gauge!("trunkline_trace_bytes"),
            left_out: counter!("trunkline_trace_left_out_total"),
        }
    }
}

impl Traces {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that are kept are handed over here too, for as long as the process runs.
    pub(crate) fn collect(&self, collector: Collector) {
        if self.collector.set(collector).is_err() {
            tracing::warn!("traces have a collector already");
        }
    }

    /// Whether anything may have to be kept.
    pub(crate) fn active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Calls of a number are traced until a time, or (none) no longer. Calls that are followed already go on.
    pub(crate) fn put(&self, window: TraceWindow) {
        let mut state = self.lock();
        match window.until {
            Some(until) => state.windows.insert(window.number_id, until),
            None => state.windows.remove(&window.number_id),
        };
        self.tidy(&mut state, clock::now());
    }

    /// The numbers besides these of which calls are traced.
    pub(crate) fn others(&self, seen: &HashSet<NumberId>) -> Vec<NumberId> {
        self.lock().windows.keys().filter(|id| !seen.contains(*id)).copied().collect()
    }

    /// The numbers of which calls are traced, and until when.
    #[cfg(test)]
    pub(crate) fn windows(&self) -> std::collections::BTreeMap<NumberId, Timestamp> {
        self.lock().windows.iter().map(|(id, until)| (*id, *until)).collect()
    }

    /// A call to or from a number begins; it is followed where the number is traced. Its other leg may have another Call-ID:
    /// then this is told once for each.
    pub(crate) fn begin(
        &self,
        call: CallId,
        (organization, number): (OrganizationId, NumberId),
        sip_call_id: &str,
    ) {
        if !self.active() {
            return;
        }
        let now = clock::now();
        let mut state = self.lock();
        if state.windows.get(&number).is_none_or(|until| *until <= now) {
            return;
        }
        state.names.insert(sip_call_id.as_bytes().to_vec(), call);
        if !state.calls.contains_key(&call) {
            let traced = Traced {
                organization,
                began: now,
                until: None,
                trace: Trace::default(),
                bytes: 0,
                hidden: Vec::new(),
            };
            state.calls.insert(call, traced);
            state.order.push_back(call);
        }
        self.tidy(&mut state, now);
    }

    /// What these headers of a call say is not kept: a trunk's own may be what lets it in at its carrier, and the trunk may be the
    /// operator's.
    pub(crate) fn hide<'a>(&self, call: CallId, headers: impl Iterator<Item = &'a str>) {
        if self.active()
            && let Some(traced) = self.lock().calls.get_mut(&call)
        {
            traced.hidden.extend(headers.map(str::to_owned));
        }
    }

    /// A call has ended: its messages are kept for a little longer.
    pub(crate) fn end(&self, call: CallId) {
        if !self.active() {
            return;
        }
        let now = clock::now();
        let mut state = self.lock();
        if let Some(traced) = state.calls.get_mut(&call)
            && traced.until.is_none()
        {
            traced.until = Some(later(now, AFTER_END_SECONDS));
        }
        self.tidy(&mut state, now);
    }

    /// A message that came at a time, or leaves; kept if it is of a call that is followed.
    pub(crate) fn message(&self, at: Timestamp, (from, to): (Place, Place), bytes: &[u8]) {
        let Some(name) = call_id(bytes) else { return };
        let mut state = self.lock();
        let Some(call) = state.names.get(name).copied() else { return };
        let Some(traced) = state.calls.get_mut(&call) else { return };
        let mut bytes = bytes.to_vec();
        redact(&mut bytes, &traced.hidden);
        hide_contacts(&mut bytes);
        let size = bytes.len();
        if traced.until.is_some_and(|until| until < at) {
            return self.tidy(&mut state, at);
        }
        if let Some(collector) = self.collector.get() {
            collector.message(call, at, (from, to), &bytes);
        }
        let full = traced.bytes + size > CALL_BYTES_MAX || traced.trace.messages.len() >= CALL_MESSAGES_MAX;
        if full {
            traced.trace.left_out = traced.trace.left_out.saturating_add(1);
            self.left_out.increment(1);
            return;
        }
        traced.trace.messages.push(TracedMessage { at, from, to, bytes });
        traced.bytes += size;
        state.bytes += size;
        self.show(&state);
    }

    /// The messages of a call of an organization's, in the order of their times.
    pub(crate) fn get(&self, organization: OrganizationId, call: CallId) -> Option<Trace> {
        let mut state = self.lock();
        self.tidy(&mut state, clock::now());
        let traced = state.calls.get(&call).filter(|traced| traced.organization == organization)?;
        let mut trace = traced.trace.clone();
        drop(state);
        // Stable: what came stands before what was sent in the same moment because of it.
        trace.messages.sort_by_key(|message| message.at);
        Some(trace)
    }

    /// The messages of a call go.
    pub(crate) fn forget(&self, call: CallId) {
        let mut state = self.lock();
        state.remove(call);
        self.tidy(&mut state, clock::now());
    }

    /// Takes out what is too old or too much, and says whether there is anything to look for.
    fn tidy(&self, state: &mut State, now: Timestamp) {
        state.windows.retain(|_, until| *until > now);
        let old = |traced: &Traced| later(traced.began, KEPT_SECONDS) < now;
        while let Some(first) = state.order.front().copied()
            && (state.order.len() > CALLS_MAX || state.calls.get(&first).is_none_or(old))
        {
            state.remove(first);
        }
        let State { names, calls, .. } = state;
        let followed =
            |call: &CallId| calls.get(call).is_some_and(|one| one.until.is_none_or(|until| until >= now));
        names.retain(|_, call| followed(call));
        self.active.store(!state.windows.is_empty() || !state.names.is_empty(), Ordering::Relaxed);
        self.show(state);
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats; both are bounded far below 2^52")]
    fn show(&self, state: &State) {
        self.calls.set(state.calls.len() as f64);
        self.bytes.set(state.bytes as f64);
    }
}

impl State {
    fn remove(&mut self, call: CallId) {
        if let Some(traced) = self.calls.remove(&call) {
            self.bytes -= traced.bytes;
        }
        self.order.retain(|one| *one != call);
        self.names.retain(|_, one| *one != call);
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}

/// The Call-ID of a message, by its full or its short name; without reading the rest.
fn call_id(message: &[u8]) -> Option<&[u8]> {
    for line in message.split(|b| *b == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return None;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i") {
            return Some(line[colon + 1..].trim_ascii());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(9));

    fn number(n: u128) -> NumberId {
        NumberId(Uuid::from_u128(n))
    }

    fn call(n: u128) -> CallId {
        CallId(Uuid::from_u128(n))
    }

    fn places() -> (Place, Place) {
        let place = |text| Place::parse(text).unwrap();
        (place("udp:192.0.2.1:5060"), place("udp:192.0.2.2:5060"))
    }

    fn on(traces: &Traces, n: u128) {
        traces.put(TraceWindow { number_id: number(n), until: Some(later(clock::now(), 60)) });
    }

    fn message(name: &str, size: usize) -> Vec<u8> {
        format!("BYE sip:a@b SIP/2.0\r\nI : {name}\r\nX: {}\r\n\r\n", "y".repeat(size)).into_bytes()
    }

    #[test]
    fn calls_are_followed_that_begin_while_it_is_on() {
        let traces = Traces::default();
        traces.begin(call(1), (OWNER, number(1)), "early");
        on(&traces, 1);
        traces.begin(call(2), (OWNER, number(1)), "followed");
        traces.begin(call(3), (OWNER, number(2)), "of another number");
        traces.put(TraceWindow { number_id: number(1), until: None });
        traces.begin(call(4), (OWNER, number(1)), "late");
        assert!(traces.active(), "a call that is followed is followed to its end");
        for name in ["early", "followed", "of another number", "late"] {
            traces.message(clock::now(), places(), &message(name, 1));
        }
        let kept = |call| traces.get(OWNER, call).map(|trace| trace.messages.len());
        assert_eq!([1, 2, 3, 4].map(|n| kept(call(n))), [None, Some(1), None, None]);
        assert_eq!(traces.get(OrganizationId::NONE, call(2)), None, "another's is not shown");
        traces.forget(call(2));
        assert_eq!((kept(call(2)), traces.active(), traces.lock().bytes), (None, false, 0));
    }

    #[test]
    fn what_a_carrier_calls_us_by_is_in_no_trace() {
        let traces = Traces::default();
        on(&traces, 1);
        traces.begin(call(1), (OWNER, number(1)), "a");
        let secret = "0123456789abcdef0123456789abcd";
        let text = format!(
            "INVITE sip:tr{secret}@h SIP/2.0\r\nCall-ID: a\r\nTo: <sips:tr{secret}@h;user=phone>\r\n\r\n"
        );
        traces.message(clock::now(), places(), text.as_bytes());
        let told = String::from_utf8(traces.get(OWNER, call(1)).unwrap().messages[0].bytes.clone()).unwrap();
        assert_eq!(told, text.replace(secret, &"x".repeat(secret.len())));
    }

    #[test]
    fn what_comes_long_after_the_end_is_not_kept_and_then_nothing_is_looked_at() {
        let traces = Traces::default();
        on(&traces, 1);
        traces.begin(call(1), (OWNER, number(1)), "a");
        traces.put(TraceWindow { number_id: number(1), until: None });
        traces.end(call(1));
        traces.message(clock::now(), places(), &message("a", 1));
        traces.message(later(clock::now(), 65), places(), &message("a", 1));
        assert_eq!(traces.get(OWNER, call(1)).unwrap().messages.len(), 1);
        assert!(!traces.active());
    }

    #[test]
    fn a_trace_and_all_of_them_have_bounds() {
        let traces = Traces::default();
        on(&traces, 1);
        traces.begin(call(0), (OWNER, number(1)), "0");
        for _ in 0..CALL_MESSAGES_MAX + 5 {
            traces.message(clock::now(), places(), &message("0", 1));
        }
        let trace = traces.get(OWNER, call(0)).unwrap();
        assert_eq!((trace.messages.len(), trace.left_out), (CALL_MESSAGES_MAX, 5));
        for n in 1..=CALLS_MAX {
            traces.begin(call(n as u128), (OWNER, number(1)), &n.to_string());
            traces.message(clock::now(), places(), &message(&n.to_string(), 60_000));
        }
        assert_eq!(traces.get(OWNER, call(0)), None, "the oldest made room");
        for _ in 0..9 {
            traces.message(clock::now(), places(), &message("1", 60_000));
        }
        let trace = traces.get(OWNER, call(1)).unwrap();
        assert_eq!((trace.messages.len(), trace.left_out), (4, 6));
        let state = traces.lock();
        assert_eq!(
            (state.calls.len(), state.order.len(), state.names.len()),
            (CALLS_MAX, CALLS_MAX, CALLS_MAX)
        );
        assert_eq!(state.bytes, state.calls.values().map(|one| one.bytes).sum::<usize>());
    }

    #[test]
    fn call_ids_are_found_by_either_name_and_in_headers_only() {
        assert_eq!(call_id(b"INVITE x SIP/2.0\r\nVia: a\r\ncall-ID:  a@b \r\n\r\n"), Some(b"a@b".as_slice()));
        assert_eq!(call_id(b"SIP/2.0 200 OK\ni:c\n\n"), Some(b"c".as_slice()));
        assert_eq!(call_id(b"SIP/2.0 200 OK\r\n\r\ni: c\r\n"), None);
        assert_eq!((call_id(b""), call_id(b"i: c")), (None, None));
    }
}
