//! Work at carriers: what was written down as an [`Intent`] is asked for, and its outcome is committed.
//!
//! The order is always the same, so that it does not matter where a process dies:
//!
//! 1. one commit: the number `pending`, its stock taken, its price charged, and the intent, open;
//! 2. the carrier is asked; whatever it is asked again, it is first asked whether it was done already ([`ask`]);
//! 3. one commit: the number active, or everything taken back, and the intent ended ([`outcome`]).
//!
//! Who wrote an intent hands it over ([`Carriage::settle`]) and waits a little. What it did not wait for, and what an earlier
//! process left open, the loop takes up ([`follow`]), which also gives back what is nobody's ([`reconcile`]).
//!
//! Of all nodes that share the store one is at a piece of work: the operator's carriers are asked under a claim on the intent ([`claim`]),
//! accounts are changed in one's turn with them ([`turn`]); within the process a set says what is being worked on. Who waits for
//! work that is another node's looks at the store now and then.

mod accounts;
mod ask;
mod attach;
mod claim;
mod node;
mod outcome;
mod prune;
mod reconcile;
mod turn;
mod way_out;

use domain::ids::IntentId;
use domain::intent::Progress;
use domain::{E164, Intent};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::sync::{Notify, Semaphore};

pub(crate) use accounts::{Accounts, loggable};
pub(crate) use attach::{is_in_account, words};
pub(crate) use node::Node;
pub(crate) use reconcile::Reach;

use claim::Taken;

use crate::clock;
use crate::live::Live;
use crate::sim::SimCarrier;

/// How long a request waits for a carrier before it answers that the number is pending.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest time between two looks at what is open.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The shortest.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often what carriers hold is compared with what is held here.
const RECONCILE_EVERY: Duration = Duration::from_mins(10);
/// How much open work one look takes up.
const DUE_MAX: u32 = 256;
/// How many answers of the operator's carriers are waited for at once.
const ASKED_MAX: usize = 32;
/// How often is looked whether another node has ended what is waited for.
const LOOK_ELSEWHERE: Duration = Duration::from_millis(100);
/// How often an outcome that lost a race is decided again.
const RACES_MAX: usize = 16;

/// See the module's head.
pub(crate) struct Carriage {
    store: Store,
    live: Arc<Live>,
    simulated: Arc<SimCarrier>,
    accounts: Accounts,
    node: Node,
    /// What is being worked on in this process. Of one intent two tasks never ask the carrier at once.
    claimed: Mutex<HashSet<IntentId>>,
    asking: Semaphore,
    /// Held by the one comparison with carriers: two at once would find each other's work.
    comparing: tokio::sync::Mutex<()>,
    wake: Notify,
    /// Told whenever an intent is let go, for those who wait for one.
    ended: Notify,
}

/// Holds an intent while it is worked on; lets it go also when the task dies.
struct Claim<'a> {
    carriage: &'a Carriage,
    id: IntentId,
}

/// What became of the attempt to work on an intent.
enum Worked {
    /// There is nothing more to be done now.
    Done,
    /// It had ended before.
    Ended,
    /// Another task of this process is at it.
    Here,
    /// Another node is.
    Elsewhere,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.carriage.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.carriage.ended.notify_waiters();
    }
}

impl Carriage {
    pub(crate) fn new(
        store: Store,
        live: Arc<Live>,
        simulated: Arc<SimCarrier>,
        accounts: Accounts,
        node: Node,
    ) -> Self {
        Self {
            store,
            live,
            simulated,
            accounts,
            node,
            claimed: Mutex::default(),
            asking: Semaphore::new(ASKED_MAX),
            comparing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Works on an intent until it has ended, or for as long as a request waits. The work goes on where the waiting ends, also
    /// where whoever asked hangs up.
    pub(crate) async fn settle(self: &Arc<Self>, id: IntentId) {
        let carriage = Arc::clone(self);
        let working = tokio::spawn(async move { carriage.work_and_wait(id).await });
        if tokio::time::timeout(WAIT_MAX, working).await.is_err() {
            tracing::info!(intent.id = %id, "a carrier takes its time; its answer is not waited for any longer");
        }
    }

    /// Looks at the open work on a number at once, whenever its next look is due.
    pub(crate) async fn settle_number(self: &Arc<Self>, e164: E164) {
        if let Ok(Some(intent)) = self.store.intent_open(e164) {
            self.settle(intent.id).await;
        }
    }

    /// Wakes the loop: there is new work, or stock whose rest is over.
    pub(crate) fn nudge(&self) {
        self.wake.notify_one();
    }

    async fn work_and_wait(&self, id: IntentId) {
        let until = clock::instant() + WAIT_MAX;
        loop {
            let ended = self.ended.notified();
            let mut elsewhere = true;
            match self.work(id, None).await {
                Worked::Done => return,
                Worked::Ended => {}
                // It tells when it is done.
                Worked::Here => {
                    ended.await;
                    elsewhere = false;
                }
                // Nobody waits for longer.
                Worked::Elsewhere if clock::instant() >= until => return,
                Worked::Elsewhere => clock::sleep(LOOK_ELSEWHERE).await,
            }
            if !matches!(self.store.intent_get(id), Ok(Some(intent)) if intent.progress == Progress::Open) {
                // What another node wrote is what the next call here meets, as if it had been written here.
                if elsewhere && let Ok((_, generation)) = self.store.generation() {
                    self.live.follow(generation).await;
                }
                return;
            }
        }
    }

    /// Works on an intent once, where nobody else does; who `saw` it at a version only where it still has that.
    async fn work(&self, id: IntentId, saw: Option<u64>) -> Worked {
        if !self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            return Worked::Here;
        }
        let _claim = Claim { carriage: self, id };
        // Read under the claim: what another task ended is not asked for again.
        let intent = match self.store.intent_get(id) {
            Ok(Some(intent)) if intent.progress == Progress::Open => intent,
            Ok(_) => return Worked::Ended,
            Err(error) => {
                tracing::error!(error = %error, intent.id = %id, "an intent could not be read");
                return Worked::Done;
            }
        };
        // Work in a tenant's own account has places of its own: a tenant's slow carrier holds up nobody's purchases.
        if let Some(provider) = intent.provider_id.filter(|_| is_in_account(&intent)) {
            self.work_in_account(provider, intent).await;
            return Worked::Done;
        }
        // The semaphore is never closed. The claim among nodes comes behind it: its time is not spent with waiting.
        let _permit = self.asking.acquire().await.ok();
        match self.take(id, saw).await {
            Taken::Held(mut held) => match self.ask_held(&mut held).await {
                Some(told) => {
                    self.conclude(held.intent, told).await;
                    Worked::Done
                }
                None => Worked::Elsewhere,
            },
            Taken::Elsewhere => Worked::Elsewhere,
            Taken::Nothing => Worked::Done,
        }
    }

    async fn look(self: &Arc<Self>) {
        let now = clock::now();
        self.release_rested(now).await;
        let due: Vec<Intent> = match self.store.intents_due(now, self.node.id(), DUE_MAX) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = %error, "open work at carriers could not be read");
                return;
            }
        };
        let mut working = Vec::new();
        for intent in due {
            let carriage = Arc::clone(self);
            let task = tokio::spawn(async move { carriage.work(intent.id, Some(intent.version)).await });
            // Work in tenants' own accounts ends by itself: it may take long, and others' does not wait for it.
            if !is_in_account(&intent) {
                working.push(task);
            }
        }
        for task in working {
            // A slow carrier does not hold up the loop: what is still being worked on is claimed, and passed over next time.
            if tokio::time::timeout(LOOK_EVERY, task).await.is_err() {
                return;
            }
        }
    }

    fn until_next(&self) -> Duration {
        let next = self.store.intent_next().ok().flatten();
        let wait = next.map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default());
        // Not at once again, should what is due be in another task's hands, or wait for a turn with an account.
        wait.unwrap_or(LOOK_EVERY).clamp(LOOK_AGAIN, LOOK_EVERY)
    }
}

/// Takes up what is open, and keeps what carriers hold and what is held here the same. Runs until it is aborted.
pub(crate) async fn follow(carriage: Arc<Carriage>) {
    let (mut reconciled, mut sleeper) = (None, clock::Sleeper::new());
    loop {
        carriage.look().await;
        let now = clock::now();
        let since = reconciled.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        if since.is_none_or(|since| since >= RECONCILE_EVERY) {
            let report = carriage.reconcile(Reach::Few, now).await;
            reconcile::log(&report);
            carriage.prune(now).await;
            reconciled = Some(now);
        }
        tokio::select! {
            _ = sleeper.sleep(carriage.until_next()) => {}
            () = carriage.wake.notified() => {}
        }
    }
}
