//! What a carrier's answer means for what is stored: one commit, whole or not at all.

use carriers::{Failure, Told};
use domain::caller::Actor;
use domain::event::Event;
use domain::ids::EventId;
use domain::intent::{Progress, Work};
use domain::number::Status;
use domain::stock::StockState;
use domain::{Bag, Change, Commit, Intent, Number, Posting, Timestamp};
use store::{CommitError, StoreError};

use super::attach::is_in_account;
use super::{Carriage, RACES_MAX};
use crate::clock;

/// What is left to be done once an outcome is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concluded {
    /// Nothing.
    Fine,
    /// The number was attached, and something else had taken the place of that in the meantime.
    Overtaken,
}

/// What became of an intent.
enum Outcome {
    Done,
    Failed(String),
    /// Not yet: what the carrier said.
    Waiting(String),
}

impl Carriage {
    /// Commits what a carrier said. What cannot be committed stays open, and is asked for again.
    ///
    /// Each turn writes under the version that it has read, and only while the work is this node's: in its hands, or in an account that
    /// it has its turn with. Once it is another's, that one asks for itself what was done, and says what became of it.
    pub(super) async fn conclude(&self, mut intent: Intent, told: Result<Told, Failure>) -> Concluded {
        let outcome = outcome_of(&intent, told);
        for _ in 0..RACES_MAX {
            let now = clock::now();
            let commit = match self.commit_of(&intent, &outcome, now) {
                Ok(commit) => commit,
                Err(error) => {
                    tracing::error!(error = %error, intent.id = %intent.id, "an outcome could not be prepared");
                    return Concluded::Fine;
                }
            };
            match self.store.commit(commit).await {
                Ok(generation) => {
                    self.live.follow(generation).await;
                    return Concluded::Fine;
                }
                // The number or its stock moved between our read and our commit, or the money was given back already.
                Err(CommitError::Stale(_) | CommitError::Exists(_)) => {}
                Err(error) => {
                    tracing::error!(error = ?error, intent.id = %intent.id, "an outcome was not committed");
                    return Concluded::Fine;
                }
            }
            match self.store.intent_get(intent.id) {
                Ok(Some(current)) if current.progress == Progress::Open => {
                    if !is_in_account(&current) && !self.is_ours(&current) {
                        tracing::warn!(intent.id = %intent.id, "an outcome came after the end of its claim");
                        return Concluded::Fine;
                    }
                    intent = current;
                }
                Ok(_) if matches!(outcome, Outcome::Done) && intent.work == Work::Acquire => {
                    return if is_in_account(&intent) { Concluded::Overtaken } else { Concluded::Fine };
                }
                _ => return Concluded::Fine,
            }
        }
        tracing::error!(intent.id = %intent.id, "an outcome lost every race; it is asked for again later");
        Concluded::Fine
    }

    fn commit_of(&self, intent: &Intent, outcome: &Outcome, now: Timestamp) -> Result<Commit, StoreError> {
        let mut changes = Vec::new();
        let number = match intent.number_id {
            Some(id) => self.store.number_get(intent.organization_id, id)?,
            None => None,
        };
        if is_in_account(intent) {
            return Ok(attached(intent, number, outcome, now));
        }
        if intent.work == Work::Recover {
            return Ok(recovered(intent, number, outcome, now));
        }
        // A number that is not waiting any more is not touched: what its carrier holds of it is compared by the loop.
        let waiting = number.filter(|n| intent.work == Work::Acquire && n.status == Status::Pending);
        let ended = match outcome {
            Outcome::Waiting(words) => intent.waiting(words, now),
            Outcome::Done => {
                if let Some(number) = waiting {
                    changes.push(event(&number, "number.activated", "", now));
                    changes.extend(number.acquired(now).map(|next| Change::Number(Box::new(next))));
                }
                intent.ended(Progress::Done, "", now)
            }
            Outcome::Failed(words) => {
                if let Some(number) = waiting {
                    changes.push(event(&number, "number.purchase_failed", words, now));
                    self.take_back(&number, words, now, &mut changes)?;
                } else {
                    tracing::error!(intent.id = %intent.id, work = intent.work.as_str(), words, "a carrier refused");
                }
                intent.ended(Progress::Failed, words, now)
            }
        };
        changes.push(Change::Intent(Box::new(ended)));
        Ok(Commit { changes, ..Commit::default() })
    }

    /// The number was not to be had: it goes, its stock is on sale again, and all that was paid for it is given back.
    fn take_back(
        &self,
        number: &Number,
        words: &str,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let Ok(gone) = number.not_acquired(now) else { return Ok(()) };
        changes.push(Change::Number(Box::new(gone)));
        if let Some(id) = number.stock_id
            && let Some(stock) = self.store.stock_get(id)?
            && stock.state == StockState::Sold(number.id)
        {
            changes.push(Change::Stock(stock.moved(StockState::Available, now)));
        }
        let paid = number.paid();
        if paid > domain::Micros::ZERO {
            let reason = format!("number {} not bought: {words}", number.e164);
            changes.push(Change::Posting(Posting::refund(number, paid, reason, now)));
        }
        Ok(())
    }
}

/// What becomes of a number of an own account. One that could not be attached stays as it was: it is in the account, and its
/// holder can have it tried again.
fn attached(intent: &Intent, number: Option<Number>, outcome: &Outcome, now: Timestamp) -> Commit {
    let mut changes = Vec::new();
    let ended = match outcome {
        Outcome::Waiting(words) => intent.waiting(words, now),
        Outcome::Failed(words) => {
            // What it said is in the log already, without what it named.
            tracing::warn!(intent.id = %intent.id, work = intent.work.as_str(), "work in an account has failed");
            intent.ended(Progress::Failed, words, now)
        }
        Outcome::Done => {
            let held = number.filter(|number| intent.work == Work::Acquire && number.status.is_held());
            if let (Some(number), Some(provider)) = (held, intent.provider_id)
                && let Ok(next) = number.attached(provider, now)
                && next.version != number.version
            {
                let name =
                    if number.status == Status::Pending { "number.activated" } else { "number.updated" };
                changes.push(event(&number, name, "", now));
                changes.push(Change::Number(Box::new(next)));
            }
            intent.ended(Progress::Done, "", now)
        }
    };
    changes.push(Change::Intent(Box::new(ended)));
    Commit { changes, ..Commit::default() }
}

/// What becomes of a number that its carrier had lost. It stays as it was, whatever the carrier says: whether a tenant loses it is
/// for people to decide, who read of it in the audit log and in the report.
fn recovered(intent: &Intent, number: Option<Number>, outcome: &Outcome, now: Timestamp) -> Commit {
    let held = number.filter(|number| number.status.is_held());
    let (ended, name, words) = match outcome {
        Outcome::Waiting(words) => (intent.waiting(words, now), None, ""),
        Outcome::Done => (intent.ended(Progress::Done, "", now), Some("number.recovered"), ""),
        Outcome::Failed(words) => {
            (intent.ended(Progress::Failed, words, now), Some("number.lost"), words.as_str())
        }
    };
    let told = held.zip(name).map(|(number, name)| event(&number, name, words, now));
    let changes = told.into_iter().chain([Change::Intent(Box::new(ended))]).collect();
    Commit { changes, ..Commit::default() }
}

fn outcome_of(intent: &Intent, told: Result<Told, Failure>) -> Outcome {
    match (intent.work, told) {
        (Work::Acquire | Work::Recover, Ok(Told::Ours)) | (Work::Release, Ok(Told::NotOurs)) => Outcome::Done,
        (_, Ok(Told::Pending)) => Outcome::Waiting("pending".to_owned()),
        (Work::Release, Ok(Told::Ours)) => Outcome::Waiting("still ours".to_owned()),
        (Work::Acquire | Work::Recover, Ok(Told::NotOurs)) | (_, Ok(Told::Page(..))) => {
            Outcome::Waiting("the carrier's answer does not fit the question".to_owned())
        }
        (_, Err(Failure::Refused(words))) => Outcome::Failed(words),
        (_, Err(Failure::Unsupported(words))) => Outcome::Failed(words.to_owned()),
        (_, Err(Failure::Unavailable(cause))) => {
            tracing::warn!(cause, intent.id = %intent.id, "a carrier could not be asked");
            Outcome::Waiting("the carrier cannot be reached".to_owned())
        }
    }
}

fn event(number: &Number, name: &'static str, words: &str, at: Timestamp) -> Change {
    let mut data = Bag::new();
    if !words.is_empty() {
        data.insert("reason".to_owned(), words.into());
    }
    let (id, subject) = (EventId(clock::id()), number.id.to_string());
    let organization_id = number.organization_id;
    Change::Event(Event { id, organization_id, name, actor: Actor::Service, subject, data, at })
}
