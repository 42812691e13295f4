//! What carriers hold for us and what is held here are kept the same: what is nobody's goes back, and what a holder has and its
//! carrier has lost is bought of it again, at nobody's cost.
//!
//! Each difference is written down as an intent, like any other work at a carrier, so that it does not matter where a process
//! dies. The loop mends few at a time ([`Reach::Few`]): a great many say that the store and the carrier's account do not belong
//! together (an old copy, a wrong setting), and then it is for people to decide.

use carriers::{Failure, Told};
use domain::ids::{IntentId, NumberId, OrganizationId};
use domain::intent::{Progress, Work};
use domain::number::{Network, Status};
use domain::reconciled::{Difference, Mending, Reconciled, Side};
use domain::stock::StockState;
use domain::{Change, Commit, E164, Intent, Timestamp};
use jiff::SignedDuration;
use std::collections::HashSet;
use std::sync::Arc;
use store::{CommitError, StoreError};

use super::{Carriage, WAIT_MAX};
use crate::clock;

/// How much stock one look gives back.
const RESTED_MAX: u32 = 1_000;
/// The most pages of a carrier's list that are read in one turn.
const PAGES_MAX: usize = 10_000;
/// So many differences of a kind are mended without anybody's word, however few numbers there are.
const FEW_MAX: usize = 10;
/// As large a part of the numbers, where that is more: one in so many.
const FEW_OF: usize = 20;
/// A carrier that refused to have a number ours again is asked by the loop no sooner than after so many hours.
const REFUSED_HOURS: i64 = 24;

/// How far a comparison goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing is changed.
    Look,
    /// What differs is mended where it is little.
    Few,
    /// All that differs is mended: somebody has said so.
    All,
}

/// Why a comparison came to no end.
enum Ended {
    Store(StoreError),
    Carrier(String),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsupported(words) => Self::Carrier(words.to_owned()),
            Failure::Refused(words) | Failure::Unavailable(words) => Self::Carrier(words),
        }
    }
}

impl Carriage {
    /// Stock of a carrier's whose rest is over goes back to it: nobody can restore it any more, and nobody pays for it. In the
    /// same commit it is on sale again; it can be bought once the carrier has it.
    pub(super) async fn release_rested(&self, now: Timestamp) {
        let rested = match self.store.stock_rested(now, RESTED_MAX) {
            Ok(rested) => rested,
            Err(error) => {
                tracing::error!(error = %error, "rested stock could not be read");
                return;
            }
        };
        for stock in rested.iter().filter(|stock| stock.held(now).is_none()) {
            let intent = self.in_hands(Intent::release_stock(IntentId(clock::id()), stock, now));
            let changes = vec![
                Change::Stock(stock.moved(StockState::Available, now)),
                Change::Intent(Box::new(intent)),
            ];
            match self.store.commit(Commit { changes, ..Commit::default() }).await {
                // Bought, restored or taken out of stock in this moment: then it is not to go back.
                Ok(_) | Err(CommitError::Stale(_) | CommitError::Exists(_)) => {}
                Err(error) => tracing::error!(error = ?error, "rested stock was not given back"),
            }
        }
    }

    /// Compares a carrier's own list with what is held here, and writes down what is to be done about what differs.
    pub(crate) async fn reconcile(&self, reach: Reach, now: Timestamp) -> Reconciled {
        let _alone = self.comparing.lock().await;
        let dry_run = reach == Reach::Look;
        let mut report = Reconciled { carrier: "simulated", dry_run, ..Reconciled::default() };
        match self.compare(reach, now, &mut report).await {
            Ok(()) => {}
            Err(Ended::Store(error)) => {
                tracing::error!(error = %error, "carriers could not be compared with the store");
                report.ended_by = Some("The store cannot be read.".to_owned());
            }
            Err(Ended::Carrier(cause)) => {
                tracing::warn!(cause, "a carrier could not be compared");
                report.ended_by = Some(cause);
            }
        }
        // What is seen of an unfinished list is no reason to doubt what was seen before.
        if self.mend(reach, now, &mut report).await {
            self.nudge();
        }
        report
    }

    async fn compare(&self, reach: Reach, now: Timestamp, report: &mut Reconciled) -> Result<(), Ended> {
        let (listed, list_ended) = self.listed().await;
        report.listed = listed.len() as u64;
        for e164 in &listed {
            if !self.is_somebodys(*e164)? {
                report.found(*e164, Side::Carrier);
            }
        }
        // Without the whole list nothing can be said to be missing from it.
        if let Some(failure) = list_ended {
            return Err(failure.into());
        }
        // Read after the list: what is bought meanwhile is asked for by its name below, and found.
        let held = self.live.numbers_of_carriers();
        report.held = held.len() as u64;
        let listed: HashSet<E164> = listed.into_iter().collect();
        let mut absent = Vec::new();
        for e164 in held.into_iter().filter(|e164| !listed.contains(e164)) {
            absent.extend(self.may_be_lost(e164, reach, now)?.map(|whose| (e164, whose)));
        }
        if reach == Reach::Few && !is_few(absent.len(), report.held) {
            report.left_out += absent.len() as u64;
            return Ok(());
        }
        for (e164, (organization, number)) in absent {
            if let Told::NotOurs = self.find(e164).await? {
                report.found(e164, Side::Tenant(organization, number));
            }
        }
        Ok(())
    }

    /// All that the carrier lists, or what it listed until it failed.
    async fn listed(&self) -> (Vec<E164>, Option<Failure>) {
        let (mut listed, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            match self.list(Network::Simulated, after).await {
                Ok(Told::Page(numbers, next)) => {
                    listed.extend(numbers);
                    after = next;
                    if after.is_none() {
                        return (listed, None);
                    }
                }
                Ok(Told::Ours | Told::NotOurs | Told::Pending) => {
                    let words = "the carrier's answer is no list".to_owned();
                    return (listed, Some(Failure::Unavailable(words)));
                }
                Err(failure) => return (listed, Some(failure)),
            }
        }
        (listed, Some(Failure::Unavailable(format!("the carrier's list has more than {PAGES_MAX} pages"))))
    }

    /// Whether a number at a carrier is held here, rests for whoever gave it up, or is being worked on.
    fn is_somebodys(&self, e164: E164) -> Result<bool, StoreError> {
        if self.store.intent_open(e164)?.is_some() || self.store.number_holder(e164)?.is_some() {
            return Ok(true);
        }
        let stock = self.store.stock_find(e164)?;
        Ok(stock.is_some_and(|stock| matches!(stock.state, StockState::Quarantined { .. })))
    }

    /// Whose a number is that its carrier does not list, and is to be asked for by name; none where nothing is to be done about it
    /// now. The store is read before the carrier is asked: what is given up in between is seen to by the intent, which looks once
    /// more.
    fn may_be_lost(
        &self,
        e164: E164,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Option<(OrganizationId, NumberId)>, StoreError> {
        let Some((organization, id)) = self.store.number_holder(e164)? else { return Ok(None) };
        let number = self.store.number_get(organization, id)?;
        let in_use = number.is_some_and(|number| {
            number.network == Network::Simulated && matches!(number.status, Status::Active | Status::Inactive)
        });
        if !in_use || self.store.intent_open(e164)?.is_some() {
            return Ok(None);
        }
        let last = self.store.intent_last(id)?.filter(|last| last.work == Work::Recover);
        let refused_at = last.filter(|last| last.progress == Progress::Failed).map(|last| last.updated_at);
        let waits = |at: Timestamp| now.duration_since(at) < SignedDuration::from_hours(REFUSED_HOURS);
        if reach == Reach::Few && refused_at.is_some_and(waits) {
            return Ok(None);
        }
        Ok(Some((organization, id)))
    }

    /// Writes down what is to be done, as far as it is to be done. Whether there is work now.
    async fn mend(&self, reach: Reach, now: Timestamp, report: &mut Reconciled) -> bool {
        let strays = report.differences.iter().filter(|one| one.side == Side::Carrier).count();
        let few = is_few(strays, report.listed);
        let mut begun = false;
        for difference in &mut report.differences {
            match (reach, difference.side) {
                (Reach::Look, _) => return false,
                (Reach::Few, Side::Carrier) if !few => continue,
                (Reach::Few | Reach::All, _) => {}
            }
            match self.begin(difference.e164, difference.side, now).await {
                Ok(intent) => {
                    (difference.mending, difference.intent) = (Mending::UnderWay, intent);
                    begun = true;
                }
                Err(error) => tracing::error!(error = ?error, "a difference to a carrier was not mended"),
            }
        }
        begun
    }

    /// Begins the work on one number. Where other work on it was begun meanwhile, that decides.
    async fn begin(&self, e164: E164, side: Side, now: Timestamp) -> Result<Option<IntentId>, CommitError> {
        let id = IntentId(clock::id());
        let intent = match side {
            Side::Carrier => Intent::release_stray(id, e164, Network::Simulated, now),
            Side::Tenant(organization, number) => {
                let found = self.store.number_get(organization, number).map_err(CommitError::from)?;
                let Some(number) = found else { return Ok(None) };
                Intent::recover(id, &number, now)
            }
        };
        let changes = vec![Change::Intent(Box::new(self.in_hands(intent)))];
        match self.store.commit(Commit { changes, ..Commit::default() }).await {
            Ok(_) => Ok(Some(id)),
            Err(CommitError::Exists(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits a little for what a comparison began, and says what became of it.
    pub(crate) async fn await_mending(self: &Arc<Self>, mut report: Reconciled) -> Reconciled {
        let until = clock::instant() + WAIT_MAX;
        for difference in &mut report.differences {
            let Some(id) = difference.intent else { continue };
            let left = until.saturating_duration_since(clock::instant());
            // The work goes on where the waiting ends.
            drop(tokio::time::timeout(left, self.settle(id)).await);
            let ended = self.store.intent_get(id).ok().flatten();
            difference.mending = match ended.map(|intent| (intent.progress, intent.told)) {
                Some((Progress::Done, _)) => Mending::Done,
                Some((Progress::Failed, told)) => Mending::Refused(told.unwrap_or_default()),
                Some((Progress::Open, _)) | None => Mending::UnderWay,
            };
        }
        report
    }
}

/// Whether so many differences may come of themselves.
fn is_few(count: usize, of: u64) -> bool {
    let share = usize::try_from(of).unwrap_or(usize::MAX) / FEW_OF;
    count <= FEW_MAX.max(share)
}

/// Tells the log what a comparison of the loop's found.
pub(super) fn log(report: &Reconciled) {
    for Difference { e164, side, mending, .. } in &report.differences {
        let (number, mended) = (e164.redacted(), *mending != Mending::None);
        match side {
            Side::Carrier => {
                tracing::warn!(number, mended, "a carrier holds a number for us that is nobody's");
            }
            Side::Tenant(_, id) => {
                tracing::warn!(number, number.id = %id, mended, "a carrier has lost a number that is held here");
            }
        }
    }
    let open = report.differences.iter().filter(|one| one.mending == Mending::None).count() as u64;
    if open + report.left_out > 0 {
        let count = open + report.left_out;
        tracing::error!(
            count,
            "more differs between a carrier and the store than is mended without being asked; see `trunkline reconcile --dry-run`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_mended_without_being_asked_and_many_are_not() {
        for (count, of, few) in
            [(0, 0, true), (10, 10, true), (11, 200, false), (11, 220, true), (51, 1_000, false)]
        {
            assert_eq!(is_few(count, of), few, "{count} of {of}");
        }
    }
}
