//! Moves facts from the journal to the store, and closes calls whose end nobody saw.
//!
//! A fact leaves the journal when the store has it, in batches. While the store is away the journal keeps them, is synced
//! instead, and the batch is tried again: facts are unique in the store, so that trying again is harmless.

mod ends;
mod reaper;
mod tally;

use anyhow::Context;
use domain::{CallEnd, Fact};
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock;
use crate::edge::Control;
use crate::journal::{Batch, Journal};
use crate::live::Live;
use ends::Unheard;
pub(crate) use tally::Tally;

/// Facts in one transaction of the store.
const BATCH_MAX: usize = 1_000;
/// Facts taken from the journal at once: several transactions.
const TAKE_MAX: usize = 8_000;
/// How long facts gather before they are moved.
const GATHER: Duration = Duration::from_millis(40);
/// When more facts than this gather in that time, they are given longer: the facts of a call that meet in one batch cost one
/// row written instead of three. The journal is synced meanwhile.
const GATHER_BUSY: usize = 16;
/// The longest that facts gather, in steps of [`GATHER`]: an agent that answers at once does so within it. Records of calls lag by
/// so much where some hundred calls a second come.
const GATHER_STEPS: u32 = 25;
/// The journal is synced when the store takes longer than this: facts are safe from a loss of power 50 ms after they were
/// written, by the one or by the other.
const SLOW: Duration = Duration::from_millis(10);
/// The pauses between attempts while the store is away grow up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a stop waits for the store.
const STOP_MAX: Duration = Duration::from_secs(5);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Meter {
    tally: Arc<Tally>,
    journal: Arc<Journal>,
    stop: watch::Sender<bool>,
    mover: JoinHandle<()>,
    reaper: JoinHandle<()>,
    ends: Option<JoinHandle<()>>,
    unheard: Vec<Unheard>,
}

impl Meter {
    /// Brings into the store what an earlier process left in the journal, then begins.
    pub(crate) async fn start(store: Store, journal: Arc<Journal>, live: Arc<Live>) -> anyhow::Result<Self> {
        let (mut replayed, mut unheard) = (0, Vec::new());
        let now = clock::now();
        while let Some(batch) = journal.take(BATCH_MAX).context("the journal cannot be read")? {
            let Batch { facts, upto } = batch;
            replayed += facts.len();
            unheard.extend(facts.iter().filter_map(|fact| Unheard::read(fact, now)));
            store.facts_append(facts).await.context("the journal cannot be brought into the store")?;
            journal.ack(upto);
        }
        if replayed > 0 {
            tracing::info!(facts = replayed, "call records of an earlier process brought into the store");
        }
        let tally = Arc::new(Tally::new());
        let (stop, stopped) = watch::channel(false);
        let mover = Mover {
            store: store.clone(),
            live: Arc::clone(&live),
            journal: Arc::clone(&journal),
            tally: Arc::clone(&tally),
            holding: gauge!("trunkline_calls_holding"),
            unproven: counter!("trunkline_calls_unproven_total"),
            away: false,
        };
        metrics::describe_gauge!("trunkline_calls_holding", "Calls that hold a part of their balance");
        metrics::describe_counter!(
            "trunkline_calls_unproven_total",
            "Calls whose end was seen and whose answer was not: not billed"
        );
        let reaper = reaper::Reaper { store, live, journal: Arc::clone(&journal), tally: Arc::clone(&tally) };
        Ok(Self {
            tally,
            journal,
            stop,
            mover: tokio::spawn(mover.run(stopped)),
            reaper: tokio::spawn(reaper.run()),
            ends: None,
            unheard,
        })
    }

    /// From now on calls are ended that have lasted or cost enough.
    pub(crate) fn end_calls(&mut self, store: Store, live: Arc<Live>, control: Control) {
        let (tally, unheard) = (Arc::clone(&self.tally), std::mem::take(&mut self.unheard));
        metrics::describe_counter!(
            "trunkline_calls_stopped_total",
            "Calls that the service ended, since they had lasted or cost enough, by cause"
        );
        let stopped = CallEnd::ALL
            .map(|why| counter!("trunkline_calls_stopped_total", "cause" => why.ended_by().as_str()));
        let begun = clock::now();
        let ends = ends::Ends { store, live, tally, control, unheard, stopped, begun };
        self.ends = Some(tokio::spawn(ends.run()));
    }

    /// Who counts calls.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Moves what is left, for as long as a stop may take. What cannot be moved stays in the journal.
    pub(crate) async fn stop(self) {
        self.reaper.abort();
        self.ends.iter().for_each(JoinHandle::abort);
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_MAX, self.mover).await.is_err() {
            tracing::warn!(
                "the store did not take all call records; the next start brings them from the journal"
            );
        }
        let journal = self.journal;
        let closed = tokio::task::spawn_blocking(move || {
            journal.sync();
            journal.close();
        });
        if let Err(error) = closed.await {
            tracing::error!(error = %error, "the journal was not closed");
        }
    }
}

#[derive(Debug)]
struct Mover {
    store: Store,
    live: Arc<Live>,
    journal: Arc<Journal>,
    tally: Arc<Tally>,
    holding: Gauge,
    unproven: Counter,
    away: bool,
}

impl Mover {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let last = tokio::select! {
                () = self.journal.woken() => *stopped.borrow(),
                _ = stopped.changed() => true,
            };
            if !last {
                self.gather(&stopped).await;
            }
            let mut pause = Duration::from_millis(100);
            while !self.empty().await {
                clock::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            if last {
                return;
            }
        }
    }

    /// Lets facts come together: the longer, the more there are.
    async fn gather(&self, stopped: &watch::Receiver<bool>) {
        for step in 1..=GATHER_STEPS {
            clock::sleep(GATHER).await;
            let waiting = self.journal.queued();
            let more = (GATHER_BUSY..TAKE_MAX).contains(&waiting);
            if !more || *stopped.borrow() || step == GATHER_STEPS {
                return;
            }
            sync(&self.journal).await;
        }
    }

    /// Moves everything there is; false when it has to be tried again later.
    async fn empty(&mut self) -> bool {
        loop {
            self.show();
            let Batch { facts, upto } = match self.journal.take(TAKE_MAX) {
                Ok(Some(batch)) => batch,
                Ok(None) => return true,
                Err(error) => {
                    tracing::error!(error = %error, "the journal cannot be read");
                    return false;
                }
            };
            for facts in transactions(facts) {
                if let Err(error) = self.append(facts).await {
                    sync(&self.journal).await;
                    if !std::mem::replace(&mut self.away, true) {
                        tracing::warn!(error = %error, "the store takes no call records; the journal keeps them");
                    }
                    return false;
                }
            }
            self.journal.ack(upto);
            if std::mem::replace(&mut self.away, false) {
                tracing::info!("the store takes call records again");
            }
        }
    }

    /// One transaction. A store that takes its time lets the journal be synced meanwhile.
    async fn append(&self, facts: Vec<Fact>) -> Result<(), StoreError> {
        let mut append = std::pin::pin!(self.store.facts_append(facts));
        let appended = tokio::select! {
            appended = &mut append => appended,
            () = clock::sleep(SLOW) => {
                sync(&self.journal).await;
                append.await
            }
        };
        // Where a call was paid, the next one is decided on what is left.
        let appended = appended?;
        self.unproven.increment(appended.unproven as u64);
        if appended.generation.is_some() {
            self.live.nudge();
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; fewer calls than 2^52 hold something"
    )]
    fn show(&self) {
        self.holding.set(self.live.holding() as f64);
        self.tally.show();
    }
}

/// Facts by call, the oldest call first (its id begins with its time), cut between calls.
fn transactions(mut facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    // Stable: of two facts of one kind the first one stands.
    facts.sort_by_key(|fact| fact.call_id);
    let mut cut: Vec<Vec<Fact>> = Vec::new();
    for fact in facts {
        match cut.last_mut() {
            Some(last)
                if last.len() < BATCH_MAX || last.last().is_some_and(|one| one.call_id == fact.call_id) =>
            {
                last.push(fact);
            }
            Some(_) | None => cut.push(vec![fact]),
        }
    }
    cut
}

async fn sync(journal: &Arc<Journal>) {
    let journal = Arc::clone(journal);
    if let Err(error) = tokio::task::spawn_blocking(move || journal.sync()).await {
        tracing::error!(error = %error, "the journal was not synced");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::call::{Ended, EndedBy, FactKind};
    use domain::ids::{CallId, OrganizationId};
    use uuid::Uuid;

    #[test]
    fn facts_of_one_call_stay_together() {
        let fact = |call: u128, reason: usize| Fact {
            organization_id: OrganizationId::NONE,
            call_id: CallId(Uuid::from_u128(call)),
            at: clock::moment(),
            kind: FactKind::Ended(Ended { by: EndedBy::Caller, reason: Some(reason.to_string()) }),
        };
        let facts: Vec<_> = (0..5_000).map(|n| fact((n % 1_500) as u128, n)).collect();
        let cut = transactions(facts.clone());
        assert_eq!(cut.iter().map(Vec::len).sum::<usize>(), facts.len());
        assert!(cut.iter().all(|batch| batch.len() < BATCH_MAX + 4));
        for pair in cut.windows(2) {
            assert!(pair[0].last().unwrap().call_id < pair[1].first().unwrap().call_id);
        }
        let of = |batches: &[Vec<Fact>], call| {
            batches.iter().flatten().filter(|fact| fact.call_id == call).cloned().collect::<Vec<_>>()
        };
        let call = facts[7].call_id;
        assert_eq!(of(&cut, call), of(std::slice::from_ref(&facts), call), "in the order they came");
    }
}
