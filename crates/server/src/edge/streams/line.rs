//! The way onto a connection. Where nothing waits, a message is written by the thread that has it: waking a task for each costs
//! more than the write. What the system does not take at once, and what comes meanwhile, waits for the connection's task.
//!
//! Invariants: messages of one caller leave in the order in which it gave them, since nobody writes past what waits; a message
//! that was begun is finished before anything else is written, since its rest is kept with the half that it belongs to.

use sip::{Fault, SendId};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::connection::{Close, Put};
use super::{Piece, What};

/// Sends that are reported as lost when the connection breaks.
const RECENT: usize = 64;

/// The last sends that were begun, whose transactions must hear of a break: the kernel may have taken bytes that never arrived. What
/// still waits is not among them, so that each is told of once: a transaction takes a second break for that of its next connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    ids: VecDeque<SendId>,
    /// They were told of.
    over: bool,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, ids: impl Iterator<Item = SendId>) {
        let mut held = self.lock();
        for id in ids.filter(|id| *id != SendId::NONE) {
            if held.ids.contains(&id) {
                continue;
            }
            if held.ids.len() >= RECENT {
                held.ids.pop_front();
            }
            held.ids.push_back(id);
        }
    }

    /// It was not begun after all. True where it was told of meanwhile.
    fn forget(&self, id: SendId) -> bool {
        let mut held = self.lock();
        let before = held.ids.len();
        held.ids.retain(|one| *one != id);
        held.over && held.ids.len() == before && id != SendId::NONE
    }

    /// Gives them, to be told of.
    pub(super) fn take(&self) -> VecDeque<SendId> {
        let mut held = self.lock();
        held.over = true;
        std::mem::take(&mut held.ids)
    }
}

/// What became of an attempt to write at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrote {
    /// It is with the system.
    All,
    /// It was begun: the task writes the rest.
    Part,
    /// Something else is before it.
    Nothing,
}

/// What writes at once.
pub(super) trait Pen: Send + Sync {
    fn write(&self, bytes: &[u8]) -> Wrote;
    /// Messages that wait for the task: nothing is written past them.
    fn waiting(&self) -> &AtomicUsize;
}

/// See the module's head.
pub(super) struct Line {
    pen: Option<Arc<dyn Pen>>,
    queue: Sender<Piece>,
    recent: Recent,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("free", &self.queue.capacity()).finish_non_exhaustive()
    }
}

impl Line {
    /// The way of a connection whose every message is the task's to write.
    pub(super) const fn queued(queue: Sender<Piece>, recent: Recent) -> Self {
        Self { pen: None, queue, recent }
    }

    /// The way of one whose bytes any thread may write.
    pub(super) const fn direct(pen: Arc<dyn Pen>, queue: Sender<Piece>, recent: Recent) -> Self {
        Self { pen: Some(pen), queue, recent }
    }

    /// Writes a message or lets it wait; the fault says why it does neither. An error of the connection is met by its task, which
    /// tells of all that is lost.
    pub(super) fn send(&self, mut piece: Piece) -> Result<(), Fault> {
        let Some(pen) = &self.pen else { return self.wait(piece) };
        if let What::Message(bytes) = &mut piece.what {
            // Before it leaves: a break just behind it has to find it.
            self.recent.remember(std::iter::once(piece.id));
            match pen.write(bytes) {
                Wrote::All => return Ok(()),
                // The task is woken for the rest by an empty piece, unless it has more to do anyway or is gone: its break is told.
                Wrote::Part => {
                    bytes.clear();
                    piece.id = SendId::NONE;
                    self.behind(pen.as_ref(), piece).ok();
                    return Ok(());
                }
                Wrote::Nothing if self.recent.forget(piece.id) => return Ok(()),
                Wrote::Nothing => {}
            }
        }
        self.behind(pen.as_ref(), piece)
    }

    /// Lets a piece wait, and everything that comes after it.
    fn behind(&self, pen: &dyn Pen, piece: Piece) -> Result<(), Fault> {
        // Counted first: who comes behind this, on whichever thread, waits too.
        pen.waiting().fetch_add(1, Ordering::AcqRel);
        let waits = self.wait(piece);
        if waits.is_err() {
            pen.waiting().fetch_sub(1, Ordering::AcqRel);
        }
        waits
    }

    fn wait(&self, piece: Piece) -> Result<(), Fault> {
        self.queue.try_send(piece).map_err(|error| match error {
            TrySendError::Full(_) => Fault::Full,
            TrySendError::Closed(_) => Fault::Broken,
        })
    }
}

/// The side of a stream of bytes that writes: shared by its task and by whoever has a message for it.
pub(super) struct Writer<W>(Arc<Desk<W>>);

struct Desk<W> {
    half: tokio::sync::Mutex<Half<W>>,
    waiting: AtomicUsize,
}

struct Half<W> {
    bytes: W,
    /// What is left of a message that was begun.
    rest: Vec<u8>,
}

impl<W: AsyncWrite + Unpin + Send + 'static> Writer<W> {
    pub(super) fn new(bytes: W) -> Self {
        let half = tokio::sync::Mutex::new(Half { bytes, rest: Vec::new() });
        Self(Arc::new(Desk { half, waiting: AtomicUsize::new(0) }))
    }

    /// What others write with.
    pub(super) fn pen(&self) -> Arc<dyn Pen> {
        Arc::clone(&self.0) as _
    }
}

impl<W: AsyncWrite + Unpin + Send> Pen for Desk<W> {
    fn write(&self, bytes: &[u8]) -> Wrote {
        let Ok(mut half) = self.half.try_lock() else { return Wrote::Nothing };
        if self.waiting.load(Ordering::Acquire) > 0 || !half.rest.is_empty() {
            return Wrote::Nothing;
        }
        // Nobody waits for this half to be ready but its task, which asks for itself.
        let mut context = Context::from_waker(Waker::noop());
        let mut left = bytes;
        while !left.is_empty() {
            match Pin::new(&mut half.bytes).poll_write(&mut context, left) {
                Poll::Ready(Ok(written @ 1..)) => left = left.get(written..).unwrap_or_default(),
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        if left.len() == bytes.len() {
            return Wrote::Nothing;
        }
        if left.is_empty()
            && matches!(Pin::new(&mut half.bytes).poll_flush(&mut context), Poll::Ready(Ok(())))
        {
            return Wrote::All;
        }
        half.rest.extend_from_slice(left);
        Wrote::Part
    }

    fn waiting(&self) -> &AtomicUsize {
        &self.waiting
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> Put for Writer<W> {
    async fn put(&mut self, pieces: &mut Vec<Piece>) -> std::io::Result<()> {
        let mut half = self.0.half.lock().await;
        let messages = pieces.iter().filter(|piece| matches!(piece.what, What::Message(_))).count();
        let mut bytes = std::mem::take(&mut half.rest);
        for piece in pieces {
            bytes.append(&mut std::mem::take(&mut piece.what).bytes());
        }
        half.bytes.write_all(&bytes).await?;
        half.bytes.flush().await?;
        // While the half is held: who finds it free finds nothing waiting that is written.
        self.0.waiting.fetch_sub(messages, Ordering::AcqRel);
        Ok(())
    }

    async fn end(&mut self, _why: Close) {
        drop(self.0.half.lock().await.bytes.shutdown().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;

    fn piece(text: &str) -> Piece {
        Piece { id: SendId::NONE, what: What::Message(text.as_bytes().to_vec()) }
    }

    #[tokio::test]
    async fn a_message_is_written_at_once_where_nothing_waits() {
        let (near, mut far) = tokio::io::duplex(64);
        let (queue, mut waiting) = mpsc::channel(4);
        let line = Line::direct(Writer::new(near).pen(), queue, Recent::default());
        line.send(piece("one")).unwrap();
        let mut heard = [0; 3];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"one");
        assert!(waiting.try_recv().is_err(), "the task has nothing to do");
    }

    #[tokio::test]
    async fn what_finds_no_room_is_finished_first_and_what_comes_behind_it_waits() {
        let (near, mut far) = tokio::io::duplex(4);
        let (queue, mut waiting) = mpsc::channel(4);
        let mut writer = Writer::new(near);
        let line = Line::direct(writer.pen(), queue, Recent::default());
        line.send(piece("first!")).unwrap();
        let mut heard = vec![0; 4];
        far.read_exact(&mut heard).await.unwrap();
        // There is room again, but the rest of the first is not out.
        line.send(piece("second")).unwrap();
        let (mut pieces, mut rest) = (Vec::new(), vec![0; 8]);
        waiting.recv_many(&mut pieces, 8).await;
        assert_eq!(pieces.len(), 2);
        let (put, read) = tokio::join!(writer.put(&mut pieces), far.read_exact(&mut rest));
        put.unwrap();
        read.unwrap();
        heard.extend(rest);
        assert_eq!(heard, b"first!second");
        line.send(piece("3")).unwrap();
        far.read_exact(&mut heard[..1]).await.unwrap();
        assert_eq!(heard[0], b'3', "what waited is out: the next is written at once");
    }

    #[tokio::test]
    async fn what_waits_is_told_of_by_whoever_takes_it_out_of_the_queue_and_by_nobody_else() {
        let (near, _far) = tokio::io::duplex(1);
        let (queue, mut waiting) = mpsc::channel(2);
        let recent = Recent::default();
        let line = Line::direct(Writer::new(near).pen(), queue, recent.clone());
        let send = |id| line.send(Piece { id: SendId::numbered(id), ..piece("ab") });
        assert_eq!([1, 2, 3].map(send), [Ok(()), Ok(()), Err(Fault::Full)]);
        assert_eq!(recent.take(), [SendId::numbered(1)], "the others were not begun");
        assert_eq!(waiting.try_recv().unwrap().id, SendId::NONE, "the rest of the first");
        assert_eq!(waiting.try_recv().unwrap().id, SendId::numbered(2));
        drop(waiting);
        assert_eq!(send(4), Err(Fault::Broken));
        assert!(recent.take().is_empty(), "who sent it knows");
        // The other end breaks while a message is between the two.
        recent.remember(std::iter::once(SendId::numbered(5)));
        assert_eq!(recent.take(), [SendId::numbered(5)]);
        assert!(recent.forget(SendId::numbered(5)), "told already: it is not to wait for another word");
    }

    #[tokio::test]
    async fn what_has_no_room_among_what_waits_is_a_fault_and_nobody_waits_for_it() {
        let (near, mut far) = tokio::io::duplex(1);
        let (queue, mut waiting) = mpsc::channel(1);
        let mut writer = Writer::new(near);
        let line = Line::direct(writer.pen(), queue, Recent::default());
        line.send(piece("ab")).unwrap();
        assert_eq!(line.send(piece("cd")), Err(Fault::Full));
        let mut pieces = vec![waiting.recv().await.unwrap()];
        let mut heard = [0; 2];
        let (put, read) = tokio::join!(writer.put(&mut pieces), far.read_exact(&mut heard));
        put.unwrap();
        read.unwrap();
        assert_eq!(&heard, b"ab");
        line.send(piece("e")).unwrap();
        assert!(waiting.try_recv().is_err(), "written at once");
        drop(waiting);
        drop(far);
        assert_eq!(line.send(piece("f")), Err(Fault::Broken));
    }
}
