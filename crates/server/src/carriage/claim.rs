//! Claims on intents ([`domain::claim`] says what holds): taken before the operator's carriers are asked, renewed while they take
//! their time, ended by the commit of the outcome.
//!
//! A purchase is written down in the hands of the node that sells, so that it takes no commit more. The time of one's own claim is
//! measured by the monotonic clock, from a moment before the claim was written: a wall clock that is moved ends it no later.

use carriers::{Failure, Told};
use domain::claim::{CLAIM, SKEW};
use domain::ids::IntentId;
use domain::intent::Progress;
use domain::{Change, Commit, Intent};
use std::pin::pin;
use std::time::{Duration, Instant};
use store::CommitError;

use super::{Carriage, RACES_MAX};
use crate::clock;

/// A claim on which less is left is renewed: before a carrier is asked, and while it is.
const RENEWED_BELOW: Duration = Duration::from_secs(9);
/// How long is waited after a renewal that the store could not say anything to.
const PAUSE: Duration = Duration::from_millis(500);

/// An intent in this node's hands.
pub(super) struct Held {
    pub(super) intent: Intent,
    /// When the asking must have ended.
    until: Instant,
}

/// What became of the attempt to take an intent up.
pub(super) enum Taken {
    Held(Box<Held>),
    /// Another node works on it.
    Elsewhere,
    /// It has ended, or the store does not say.
    Nothing,
}

impl Carriage {
    /// A new intent as one that this node works on as soon as it is committed.
    pub(crate) fn in_hands(&self, intent: Intent) -> Intent {
        intent.in_hands_of(self.node.id(), clock::now())
    }

    /// Takes an intent up. In this process nobody else is at it. Who `saw` it at a version takes no other: another node has asked
    /// since, and when it is to be asked again is to be looked at anew.
    pub(super) async fn take(&self, id: IntentId, saw: Option<u64>) -> Taken {
        for _ in 0..RACES_MAX {
            let (began, now) = (clock::instant(), clock::now());
            let intent = match self.store.intent_get(id) {
                Ok(Some(intent)) if intent.progress == Progress::Open => intent,
                Ok(_) => return Taken::Nothing,
                Err(error) => {
                    tracing::error!(error = %error, intent.id = %id, "an intent could not be read");
                    return Taken::Nothing;
                }
            };
            if saw.is_some_and(|version| version != intent.version) {
                return Taken::Nothing;
            }
            let left = intent.claim_left(self.node.id(), now).saturating_sub(SKEW);
            if left >= RENEWED_BELOW {
                return Taken::Held(Box::new(Held { intent, until: began + left }));
            }
            if !intent.is_free_for(self.node.id(), now) {
                return Taken::Elsewhere;
            }
            let claimed = intent.claimed(self.node.id(), now);
            match self.store.commit(written(&claimed)).await {
                Ok(_) => return Taken::Held(Box::new(Held { intent: claimed, until: end(began) })),
                // Another node was faster: it is looked at again.
                Err(CommitError::Stale(_)) => {}
                Err(error) => {
                    tracing::warn!(error = ?error, intent.id = %id, "work at a carrier could not be claimed");
                    return Taken::Nothing;
                }
            }
        }
        Taken::Nothing
    }

    /// Asks the carrier for as long as the intent is in this node's hands. None: it is no longer, and nothing more is said of it.
    pub(super) async fn ask_held(&self, held: &mut Held) -> Option<Result<Told, Failure>> {
        let asked = held.intent.clone();
        let asking = pin!(self.ask(&asked));
        // The claim comes first: one that has ended before anything was asked lets nothing be asked.
        tokio::select! {
            biased;
            () = self.hold(held) => {
                tracing::warn!(intent.id = %asked.id, "work at a carrier is no longer this node's");
                None
            }
            told = asking => Some(told),
        }
    }

    /// Renews a claim in time, until it is lost. Where this is dropped in the middle of a commit, the outcome's commit finds
    /// the version that was written.
    async fn hold(&self, held: &mut Held) {
        loop {
            let began = clock::instant();
            let Some(left) = held.until.checked_duration_since(began).filter(|left| !left.is_zero()) else {
                return;
            };
            if left > RENEWED_BELOW {
                clock::sleep(left.saturating_sub(RENEWED_BELOW)).await;
                continue;
            }
            let next = held.intent.claimed(self.node.id(), clock::now());
            let Ok(renewed) = tokio::time::timeout(left, self.store.commit(written(&next))).await else {
                return;
            };
            match renewed {
                Ok(_) => *held = Held { intent: next, until: end(began) },
                Err(CommitError::Stale(_)) => match self.store.intent_get(held.intent.id) {
                    // An earlier renewal of which nothing was heard.
                    Ok(Some(now)) if self.is_ours(&now) => held.intent = now,
                    Ok(_) => return,
                    Err(_) => clock::sleep(PAUSE).await,
                },
                Err(_) => clock::sleep(PAUSE).await,
            }
        }
    }

    /// Whether an intent that this process works on is still its own.
    pub(super) fn is_ours(&self, intent: &Intent) -> bool {
        intent.progress == Progress::Open && intent.claimed_by == Some(self.node.id())
    }
}

/// When the asking ends under a claim that was taken then.
fn end(began: Instant) -> Instant {
    began + Duration::try_from(CLAIM).unwrap_or_default().saturating_sub(SKEW)
}

fn written(intent: &Intent) -> Commit {
    Commit { changes: vec![Change::Intent(Box::new(intent.clone()))], ..Commit::default() }
}
