//! What was said on a connection and is not answered yet.
//!
//! Answers come in the order of the words, so only the first that is owed is asked for. Who said words of a piece of work went on as if
//! they had been done ([`Hope`]); where the answer says otherwise, what was built upon it is worth nothing: the group is written
//! again, and waits where it was wrong ([`Owed::refuted`]).

use std::cell::{Cell as Flag, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio_postgres::Error;

use super::fault::Fault;

/// An answer that is to come: how many rows were touched.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// What is taken for granted until the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    /// Nothing is built on it: the next who waits is told of its failure.
    None,
    /// That the write of this number in its transaction succeeds.
    Done(usize),
    /// That it touches a row, too: a version or a state that is as expected.
    Touched(usize),
    /// That it finds none: nobody has what is to be had once.
    Absent(usize),
}

/// See the module's head.
#[derive(Default)]
pub(super) struct Owed {
    words: RefCell<VecDeque<(Hope, Answer)>>,
    /// The first write that was not what it was taken for.
    refuted: Flag<Option<usize>>,
}

impl Owed {
    /// Has the words said now: the first polling puts them into the connection's queue, so that those said next come behind them.
    /// Words that could not even be said are an error; the server knows nothing of them.
    pub(super) fn say(&self, hope: Hope, mut answer: Answer) -> Result<(), Error> {
        let mut context = Context::from_waker(Waker::noop());
        let answer: Answer = match answer.as_mut().poll(&mut context) {
            Poll::Pending => answer,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(touched)) => Box::pin(std::future::ready(Ok(touched))),
        };
        self.words.borrow_mut().push_back((hope, answer));
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.words.borrow().len()
    }

    /// Whether a COMMIT said now could make durable what is not as expected: the server minds how many rows are touched or found no more
    /// than it was told to.
    pub(super) fn is_deciding(&self) -> bool {
        self.words.borrow().iter().any(|(hope, _)| matches!(hope, Hope::Touched(_) | Hope::Absent(_)))
    }

    /// The first write that was not what it was taken for, since this was forgotten.
    pub(super) fn refuted(&self) -> Option<usize> {
        self.refuted.get()
    }

    pub(super) fn forget(&self) {
        self.refuted.set(None);
    }

    /// Takes in the answers that are there; ready when no more than `left` are owed. The first failure is left in `first`: it is the
    /// cause of those behind it.
    pub(super) fn poll(&self, context: &mut Context<'_>, left: usize, first: &mut Option<Fault>) -> Poll<()> {
        let mut words = self.words.borrow_mut();
        while let Some((hope, answer)) = words.front_mut() {
            let Poll::Ready(answer) = answer.as_mut().poll(context) else {
                return if words.len() > left { Poll::Pending } else { Poll::Ready(()) };
            };
            let fault = match (answer, *hope) {
                (Err(error), _) => Some(Fault::from(error)),
                (Ok(0), Hope::Touched(_)) | (Ok(1..), Hope::Absent(_)) => Some(Fault::Otherwise),
                (Ok(_), _) => None,
            };
            if fault.is_some()
                && self.refuted.get().is_none()
                && let Hope::Done(write) | Hope::Touched(write) | Hope::Absent(write) = *hope
            {
                self.refuted.set(Some(write));
            }
            if first.is_none() {
                *first = fault;
            }
            words.pop_front();
        }
        Poll::Ready(())
    }
}
