//! Charges what rents are due, and switches numbers whose rent is unpaid, where their organization's settings say so.
//!
//! Nothing is kept in memory and no time is waited for: each turn asks the store which held numbers are paid no longer than
//! until now. A number's charges and its new `rented_until` are one commit under its version, and each charge has an id made of
//! number and period: whatever dies, comes twice, runs on two nodes, or goes back in time, every period is posted once.

use domain::caller::Actor;
use domain::event::Event;
use domain::ids::EventId;
use domain::organization::{Settings, Unpaid};
use domain::{Bag, Change, Commit, Guard, Micros, Number, Posting, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use store::{CommitError, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock;
use crate::live::Live;

/// How often it is looked at what is due. What is due costs an index look-up, and a rent is charged this late at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Numbers charged at once: their commits share one flush.
const AT_ONCE: u32 = 256;
/// Periods charged in one commit; after years of downtime a number takes several.
const PERIODS_MAX: usize = 24;
/// How often one number is decided anew in a turn, by others' changes or for its many periods; the next turn goes on.
const TRIES_MAX: usize = 64;

/// What charging works with.
#[derive(Clone, Debug)]
pub(crate) struct Rental {
    /// The store.
    pub(crate) store: Store,
    /// What calls are decided on.
    pub(crate) live: Arc<Live>,
    /// Wakes it: money came in.
    pub(crate) wake: Arc<Notify>,
}

impl Rental {
    /// Charges for as long as the service runs.
    pub(crate) async fn run(self) {
        let mut sleeper = clock::Sleeper::new();
        loop {
            // Asked for before the turn, so that money which comes during it is not overlooked.
            let woken = self.wake.notified();
            if let Err(error) = self.turn(clock::now()).await {
                tracing::warn!(error = %error, "rents could not be looked at; they are charged later");
            }
            tokio::select! {
                _ = sleeper.sleep(LOOK_EVERY) => {}
                () = woken => {}
            }
        }
    }

    /// Charges everything that is due at `now`, then switches on again what has been paid.
    pub(crate) async fn turn(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let due = self.store.numbers_due(now, after, AT_ONCE)?;
            // A number that could not be charged stays behind; the next turn finds it again.
            after = due.last().and_then(|number| number.rented_until.map(|until| (until, number.alias)));
            let more = after.is_some() && due.len() == AT_ONCE as usize;
            self.each(due, now, Self::charge).await;
            if !more {
                break;
            }
        }
        let mut after = 0;
        loop {
            let unpaid = self.store.numbers_unpaid(after, AT_ONCE)?;
            let Some(last) = unpaid.last() else { return Ok(()) };
            after = last.alias;
            self.each(unpaid, now, Self::resume).await;
        }
    }

    async fn each<F>(&self, numbers: Vec<Number>, now: Timestamp, work: fn(Self, Number, Timestamp) -> F)
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for number in numbers {
            tasks.spawn(work(self.clone(), number, now));
        }
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "a rent could not be charged; it is tried again");
                }
                Err(error) => {
                    tracing::error!(error = %error, "a rent could not be charged; it is tried again");
                }
            }
        }
    }

    async fn charge(self, mut number: Number, now: Timestamp) -> Result<(), CommitError> {
        let mut refused = None;
        for _ in 0..TRIES_MAX {
            let (paid, postings) = number.rent(now, PERIODS_MAX);
            if postings.is_empty() {
                return Ok(());
            }
            let commit =
                self.charged(&paid, postings, now, matches!(refused, Some(CommitError::Guard(_))))?;
            match self.store.commit(commit).await {
                Ok(_) => {
                    self.live.nudge();
                    refused = None;
                }
                // Somebody changed it, or charged it, or spent the money: decide anew on what there is now.
                Err(error @ (CommitError::Stale(_) | CommitError::Exists(_) | CommitError::Guard(_))) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error),
            }
            match self.store.number_get(number.organization_id, number.id)? {
                Some(now) => number = now,
                None => return Ok(()),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// The commit of some periods. Where an unpaid number is to be off, either the guard says that the wallet covers them, or
    /// the number goes off with them; a number that was overtaken by money is on again with the end of the turn.
    fn charged(
        &self,
        paid: &Number,
        postings: Vec<Posting>,
        now: Timestamp,
        is_short: bool,
    ) -> Result<Commit, StoreError> {
        let organization = paid.organization_id;
        let mut commit = Commit::default();
        let mut next = paid.clone();
        if self.rule(paid)? == Unpaid::Deactivate {
            let price = postings.iter().map(|_| paid.monthly_cost).sum::<Micros>();
            if is_short || self.store.balance(organization)? < price {
                if let Some(off) = paid.suspend(now) {
                    // Counted as one change with the charge.
                    next = Number { version: paid.version, ..off };
                    commit.changes.push(event(&next, "number.suspended", now));
                }
            } else {
                commit.guards.push(Guard::WalletCovers(organization));
            }
        }
        commit.changes.push(Change::Number(Box::new(next)));
        commit.changes.extend(postings.into_iter().map(Change::Posting));
        Ok(commit)
    }

    /// Switches a number on again whose organization has paid, or no longer asks for it to be off.
    async fn resume(self, number: Number, now: Timestamp) -> Result<(), CommitError> {
        let organization = number.organization_id;
        let keeps = self.rule(&number)? == Unpaid::Keep;
        let pays = self.store.balance(organization)? >= Micros::ZERO;
        let Some(next) = number.resume(now).filter(|_| keeps || pays) else { return Ok(()) };
        let changes = vec![event(&next, "number.resumed", now), Change::Number(Box::new(next))];
        let guards = if keeps { Vec::new() } else { vec![Guard::WalletCovers(organization)] };
        match self.store.commit(Commit { changes, guards, answer: None }).await {
            Ok(_) => self.live.nudge(),
            // Changed at the same moment, or the money went again: the next turn sees.
            Err(CommitError::Stale(_) | CommitError::Guard(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn rule(&self, number: &Number) -> Result<Unpaid, StoreError> {
        let organization = self.store.organization_get(number.organization_id)?;
        let settings = organization.and_then(|o| Settings::read(&o.settings).ok());
        Ok(settings.map_or(Unpaid::Keep, |settings| settings.rental_unpaid))
    }
}

fn event(number: &Number, name: &'static str, at: Timestamp) -> Change {
    Change::Event(Event {
        id: EventId(clock::id()),
        organization_id: number.organization_id,
        name,
        actor: Actor::Service,
        subject: number.id.to_string(),
        data: Bag::new(),
        at,
    })
}

#[cfg(test)]
mod tests;
