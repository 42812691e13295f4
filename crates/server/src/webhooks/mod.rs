//! Sends events to webhooks.
//!
//! What is to be sent stands in the store, written with the event itself; this takes what is due, sends it, and writes what became
//! of it. A process that is killed between the two sends once more: at least once, never less, and the event's id tells a repeat.
//! Each webhook gets one delivery at a time, by the time it is due, so a receiver sees events in order unless it failed one. One
//! that fails rests before it is sent anything, and those that failed or are slow take a few places among all ([`places`]): they
//! hold up nobody else. Of the nodes of one database one sends ([`store::Store::lead`]).

mod places;
mod request;

use domain::webhook::{DeliveryState, KEPT_DAYS};
use domain::{Change, Commit, Timestamp};
use jiff::SignedDuration;
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{CommitError, Lead, Leading};
use tokio::task::JoinSet;

use crate::app::App;
use crate::clock;
use places::{Place, Places};

/// How often the store is asked what is due: one look-up by an index.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is asked whether this node is the one that sends.
const LEAD_EVERY: Duration = Duration::from_secs(1);
/// A receiver that takes longer is slow.
const SLOW: Duration = Duration::from_secs(2);
/// Webhooks looked at at once: more than can be under way, since some may not be sent to yet.
const DUE_MAX: u32 = 1_000;
/// How long a delivery rests whose outcome could not be written: it was sent, and would be sent again at once.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something to remove.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Deliveries removed in one transaction.
const PRUNE_MAX: u32 = 1_000;

struct Sender {
    app: Arc<App>,
    /// Of the nodes of one store one sends: what holds within a process holds among them then.
    lead: Lead,
    /// When it was asked whether that is this one, and the answer.
    led: (Option<Instant>, bool),
    /// Whether the store did not say it when it was asked last: that is told once.
    unsaid: bool,
    counts: Arc<Counts>,
    /// What is under way; each ends with whether its receiver was slow.
    under_way: JoinSet<(Place, bool)>,
    places: Places,
}

struct Counts {
    delivered: Counter,
    failed: Counter,
    given_up: Counter,
    waiting_seconds: Gauge,
}

/// Sends what is due, until the task is dropped.
pub(crate) async fn follow(app: Arc<App>) {
    let counts = Arc::new(Counts::new());
    let lead = app.store.lead(Leading::Webhooks);
    let (under_way, places) = (JoinSet::new(), Places::default());
    let mut sender = Sender { app, lead, led: (None, false), unsaid: false, counts, under_way, places };
    loop {
        sender.look();
        tokio::select! {
            Some(ended) = sender.under_way.join_next_with_id(), if !sender.under_way.is_empty() => {
                match ended {
                    Ok((_, (place, slow))) => sender.places.free(place, slow),
                    // Which one it was is not known; the others end by themselves.
                    Err(error) => {
                        tracing::error!(error = %error, "a delivery ended in a fault of ours");
                        sender.free_all().await;
                    }
                }
            }
            () = clock::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Sender {
    /// Begins what is due, as far as there is room.
    fn look(&mut self) {
        let now = clock::now();
        self.counts.measure(&self.app, now);
        if self.places.are_taken() || !self.leads() {
            return;
        }
        let due = match self.app.store.webhooks_due(now, DUE_MAX) {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = %error, "what is due to webhooks cannot be read");
                return;
            }
        };
        for place in self.places.take(due) {
            let (app, counts) = (Arc::clone(&self.app), Arc::clone(&self.counts));
            self.under_way.spawn(async move {
                let began = clock::instant();
                turn(app, counts, place).await;
                (place, clock::instant().saturating_duration_since(began) > SLOW)
            });
        }
    }

    /// Whether this node sends. A node that dies is followed by another within a second or two.
    fn leads(&mut self) -> bool {
        let now = clock::instant();
        let (asked, leads) = self.led;
        if asked.is_some_and(|at| now.saturating_duration_since(at) < LEAD_EVERY) {
            return leads;
        }
        let (leads, failed) = match self.lead.holds() {
            Ok(leads) => (leads, false),
            Err(error) => {
                if !self.unsaid {
                    tracing::warn!(error = %error, "the store does not say which node sends to webhooks; this one does not");
                }
                (false, true)
            }
        };
        (self.led, self.unsaid) = ((Some(now), leads), failed);
        leads
    }

    /// Waits for all that is under way: each ends within its deadline.
    async fn free_all(&mut self) {
        while self.under_way.join_next().await.is_some() {}
        self.places.free_all();
    }
}

/// Sends the webhook's next delivery and writes what became of it. Until it has ended, nobody else takes a delivery of this
/// webhook in this process.
async fn turn(app: Arc<App>, counts: Arc<Counts>, (organization, id): Place) {
    let (webhook, delivery) = match app.store.delivery_next(organization, id, clock::now()) {
        Ok(Some(next)) => next,
        // Switched off or removed since it was found due.
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(error = %error, "a delivery cannot be read");
            return clock::sleep(STORE_PAUSE).await;
        }
    };
    let answer = request::send(&app, &webhook, &delivery.happening).await;
    let next = delivery.tried(answer, clock::now());
    let state = next.state;
    let changes = vec![Change::Delivery(Box::new(next))];
    match app.store.commit(Commit { changes, ..Commit::default() }).await {
        Ok(_) => counts.count(state),
        // It made room for others meanwhile, or was asked for again: what stands there counts.
        Err(CommitError::Stale(_)) => {}
        Err(error) => {
            tracing::warn!(webhook.id = %id, error = %error, "what became of a delivery was not written; it is sent again");
            clock::sleep(STORE_PAUSE).await;
        }
    }
}

impl Counts {
    fn new() -> Self {
        let (name, waiting) = ("trunkline_webhook_attempts_total", "trunkline_webhook_oldest_seconds");
        metrics::describe_counter!(name, "Attempts to deliver an event, by outcome");
        metrics::describe_gauge!(waiting, "Age of the oldest event that waits for a webhook");
        Self {
            delivered: counter!(name, "outcome" => "delivered"),
            failed: counter!(name, "outcome" => "failed"),
            given_up: counter!(name, "outcome" => "given_up"),
            waiting_seconds: gauge!(waiting),
        }
    }

    fn count(&self, state: DeliveryState) {
        match state {
            DeliveryState::Delivered(_) => self.delivered.increment(1),
            DeliveryState::Waiting(_) => self.failed.increment(1),
            DeliveryState::GivenUp(_) => self.given_up.increment(1),
        }
    }

    fn measure(&self, app: &App, now: Timestamp) {
        if let Ok(oldest) = app.store.delivery_oldest() {
            let age = oldest.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
            self.waiting_seconds.set(age.max(0.0));
        }
    }
}

/// Removes deliveries that nobody will ask for any more, a bounded number at a time.
pub(crate) async fn prune(app: Arc<App>) {
    let mut sleeper = clock::Sleeper::new();
    loop {
        sleeper.sleep(PRUNE_EVERY).await;
        let kept = SignedDuration::from_hours(24 * KEPT_DAYS);
        let Ok(before) = clock::now().checked_sub(kept) else { continue };
        while let Ok(true) = app.store.deliveries_prunable(before) {
            let changes = vec![Change::DeliveriesPrune(before, PRUNE_MAX)];
            // Others' writes come between two of these.
            if let Err(error) = app.store.commit(Commit { changes, ..Commit::default() }).await {
                tracing::warn!(error = %error, "old deliveries were not removed; it is tried again");
                break;
            }
        }
    }
}
