//! The node's journal: facts of calls on disk before the message that depends on them leaves.
//!
//! [`Journal::append`] is one write(2) to a file opened for appending: what it returned from survives `kill -9` at once, and
//! a power loss after the next sync (`meter`, within 50 ms). The same files are the spool while the store is away: a fact
//! leaves the journal only when the store has it ([`Journal::ack`]). Facts are unique in the store, so reading one twice
//! does nothing.
//!
//! Files are segments named by time, process and count. Each process writes only its own newest segment and holds a lock on
//! it; at start it adopts the segments of processes that are gone. Positions count bytes through all segments of this
//! process's view; the queue in memory is only a cache of what stands in the files and may be short of it.

mod frame;
mod segment;

use domain::Fact;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use segment::{Active, Segment};

/// Facts kept in memory for the store; what is more is read back from the files.
const QUEUE_MAX: usize = if cfg!(test) { 512 } else { 16_384 };
/// A segment is ended when it is longer than this.
const SEGMENT_BYTES: u64 = if cfg!(test) { 256 << 10 } else { 16 << 20 };
/// A segment whose facts are all in the store is thrown away when it is longer than this.
const IDLE_BYTES: u64 = if cfg!(test) { 64 << 10 } else { 1 << 20 };
/// The most bytes read back at once.
const READ_BYTES: u64 = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
    full: AtomicBool,
    failed: AtomicU64,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    /// All segments that are not deleted, oldest first; the last is the one written to.
    segments: VecDeque<Segment>,
    active: Active,
    /// Where the next frame goes.
    end: u64,
    /// Everything before this is in the store.
    acked: u64,
    /// Facts by where they stand.
    queue: VecDeque<Queued>,
    /// Files written since the last sync.
    dirty: bool,
}

#[derive(Debug)]
struct Queued {
    start: u64,
    end: u64,
    fact: Fact,
}

/// Facts for the store.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The facts.
    pub(crate) facts: Vec<Fact>,
    /// To be given to [`Journal::ack`] once the store has them.
    pub(crate) upto: u64,
}

impl Journal {
    /// Opens the folder, making it if need be. What processes that are gone left there comes first in [`Journal::take`].
    /// `bytes_max` is the most that may wait for the store: shortly before it, new calls are refused.
    pub(crate) fn open(folder: &Path, bytes_max: u64) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut end = 0;
        let mut segments = VecDeque::new();
        for found in segment::left_behind(folder)? {
            end += found.length;
            segments.push_back(Segment { base: end - found.length, ..found });
        }
        let (active, path) = Active::create(folder)?;
        segments.push_back(Segment { path, base: end, length: 0 });
        let state = State { segments, active, end, acked: 0, queue: VecDeque::new(), dirty: false };
        let journal = Self {
            folder: folder.to_owned(),
            bytes_max,
            full: AtomicBool::new(end > bytes_max / 10 * 9),
            failed: AtomicU64::new(0),
            wake: Notify::new(),
            state: Mutex::new(state),
        };
        if end > 0 {
            journal.wake.notify_one();
        }
        Ok(journal)
    }

    // The state is changed only after what can fail has been done; a panic between leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes facts, leaving `facts` empty. When this returns, they survive the end of the process. A disk that fails is
    /// counted and logged; the facts then live in memory only, and calls go on.
    pub(crate) fn append(&self, facts: &mut Vec<Fact>) {
        if facts.is_empty() {
            return;
        }
        let mut bytes = Vec::with_capacity(1024 * facts.len());
        let mut ends = Vec::with_capacity(facts.len());
        for fact in facts.iter() {
            frame::write(&mut bytes, |out| store::fact_encode(fact, out));
            ends.push(bytes.len() as u64);
        }
        let mut state = self.lock();
        let start = state.end;
        let written = self.write(&mut state, &bytes);
        if let Err(error) = &written {
            let times = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            if times.is_power_of_two() {
                tracing::error!(error = %error, times, "the journal cannot be written; call records are kept in memory");
            }
        }
        let idle = state.queue.is_empty();
        let mut from = start;
        for (fact, end) in facts.drain(..).zip(ends) {
            // What is not on disk has no length: it is found in the queue or nowhere.
            let end = if written.is_ok() { start + end } else { start };
            if state.queue.len() < QUEUE_MAX {
                state.queue.push_back(Queued { start: from, end, fact });
            }
            from = end;
        }
        self.measure(&state);
        drop(state);
        if idle {
            self.wake.notify_one();
        }
    }

    fn write(&self, state: &mut State, bytes: &[u8]) -> std::io::Result<()> {
        if state.segments.back().is_some_and(|last| last.length > SEGMENT_BYTES) {
            self.rotate(state)?;
        }
        let length = state.segments.back().map_or(0, |last| last.length);
        state.active.write(bytes, length)?;
        let more = bytes.len() as u64;
        state.end += more;
        state.dirty = true;
        if let Some(last) = state.segments.back_mut() {
            last.length += more;
        }
        Ok(())
    }

    /// Ends the newest segment and begins another.
    fn rotate(&self, state: &mut State) -> std::io::Result<()> {
        let (active, path) = Active::create(&self.folder)?;
        let ended = std::mem::replace(&mut state.active, active);
        state.active.after(ended);
        state.segments.push_back(Segment { path, base: state.end, length: 0 });
        Ok(())
    }

    fn measure(&self, state: &State) {
        let waiting = state.end - state.acked;
        self.full.store(waiting > self.bytes_max / 10 * 9, Ordering::Relaxed);
    }

    /// True when so much waits for the store that new calls are to be refused; calls in progress never are.
    pub(crate) fn full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// The most bytes that may wait for the store.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes that wait for the store.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.lock();
        state.end - state.acked
    }

    /// Facts in memory that wait for the store.
    pub(crate) fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    /// Waits until something may be there to take.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The oldest facts that the store does not have; none when it has all. Taken again until they are acknowledged.
    pub(crate) fn take(&self, most: usize) -> std::io::Result<Option<Batch>> {
        let mut state = self.lock();
        let from = state.acked;
        let mut facts = Vec::new();
        let mut upto = from;
        while facts.len() < most
            && let Some(queued) = state.queue.pop_front_if(|queued| queued.start <= upto)
        {
            if queued.start == upto {
                upto = queued.end;
                facts.push(queued.fact);
            }
        }
        if !facts.is_empty() {
            return Ok(Some(Batch { facts, upto }));
        }
        if state.end == from {
            return Ok(None);
        }
        let until = state.queue.front().map_or(state.end, |queued| queued.start);
        let Some(segment) = state.segments.iter().rfind(|segment| segment.base <= from).cloned() else {
            return Ok(None);
        };
        drop(state);
        Self::read_back(&segment, from, until, most).map(Some)
    }

    /// Reads facts from a file: what the queue had no room for, or what another process left.
    fn read_back(segment: &Segment, from: u64, until: u64, most: usize) -> std::io::Result<Batch> {
        let segment_end = segment.base + segment.length;
        let bytes = segment.read(from - segment.base, READ_BYTES)?;
        let mut rest = bytes.as_slice();
        let (mut facts, mut upto, mut unread) = (Vec::new(), from, 0_u64);
        while facts.len() < most && upto < until {
            let Some((body, tail)) = frame::read(rest) else { break };
            upto += (rest.len() - tail.len()) as u64;
            rest = tail;
            match store::fact_decode(body) {
                Some(fact) => facts.push(fact),
                None => unread += 1,
            }
        }
        if unread > 0 {
            tracing::error!(
                facts = unread,
                "the journal holds facts of a form that this version does not know"
            );
        }
        // Nothing whole stands here: the torn end of a process that was killed while it wrote.
        if upto == from {
            if segment_end > from {
                tracing::warn!(bytes = segment_end - from, "a journal file ends in a half-written fact");
            }
            upto = segment_end.max(from);
        }
        Ok(Batch { facts, upto })
    }

    /// The store has everything up to here; files that hold nothing else are deleted.
    pub(crate) fn ack(&self, upto: u64) {
        let mut state = self.lock();
        state.acked = state.acked.max(upto).min(state.end);
        let idle = state.acked == state.end;
        if idle && state.segments.back().is_some_and(|last| last.length > IDLE_BYTES) {
            // A failure means a disk without room: the old segment stays in use.
            if let Err(error) = self.rotate(&mut state) {
                tracing::warn!(error = %error, "the journal cannot begin a new file");
            }
        }
        let mut gone = Vec::new();
        while state.segments.get(1).is_some_and(|next| next.base <= state.acked) {
            gone.extend(state.segments.pop_front());
        }
        self.measure(&state);
        drop(state);
        gone.iter().for_each(Segment::delete);
    }

    /// Brings what was written to the disk's platter. Blocks.
    pub(crate) fn sync(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.dirty, false) {
            return;
        }
        let files = state.active.files();
        drop(state);
        if let Err(error) = files.sync(&self.folder) {
            self.lock().dirty = true;
            tracing::error!(error = %error, "the journal cannot be synced");
        }
    }

    /// Deletes the last segment if the store has everything: a clean end leaves nothing to replay.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.acked == state.end {
            state.segments.drain(..).for_each(|segment| segment.delete());
        }
    }
}

#[cfg(test)]
mod tests;
