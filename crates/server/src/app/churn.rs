//! How many numbers a tenant buys or brings in: `settings.number_churn_max` in any 30 days, whatever became of them since.

use domain::organization::Settings;
use domain::{Error, Guard, Kind, Organization, Result, Timestamp, What};
use jiff::SignedDuration;
use std::time::Duration;

use super::failure::of_read;
use super::{App, Ask};

/// The days that are counted.
const DAYS: i64 = 30;

impl App {
    /// What must hold once so many more numbers are there, where there is a cap; the error that says when to come again, where
    /// it is known already that it will not.
    pub(super) fn churn(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        more: u64,
    ) -> Result<Option<Guard>> {
        let Some(max) = Settings::read(&organization.settings)?.number_churn_max else { return Ok(None) };
        let since = ask.now.checked_sub(window()).unwrap_or(Timestamp::MIN);
        let most = u64::from(max);
        let had = self.store.numbers_born(organization.id, since, most + 1).map_err(of_read)?;
        if had + more <= most {
            return Ok(Some(Guard::ChurnWithin(organization.id, max, since)));
        }
        // There is room again once the oldest of those have gone by that stand in the way.
        let behind = u32::try_from(most.saturating_sub(more)).unwrap_or(u32::MAX);
        let last = self.store.number_last_born(organization.id, behind).map_err(of_read)?;
        let room = last.filter(|_| more <= most).and_then(|last| last.checked_add(window()).ok());
        let wait = room.and_then(|room| Duration::try_from(room.duration_since(ask.now)).ok());
        Err(refused(max, wait))
    }

    /// A refusal by the guard, for who lost a race for the last room, with the time that it lacks.
    pub(super) fn churn_told(&self, ask: Ask<'_>, organization: &Organization, error: Error) -> Error {
        if (error.kind, error.what, error.retry_after) != (Kind::Limit, What::Number, None) {
            return error;
        }
        self.churn(ask, organization, 1).err().unwrap_or(error)
    }
}

fn window() -> SignedDuration {
    SignedDuration::from_hours(24 * DAYS)
}

/// The refusal. Without a time where none would help, or where it was a race that was lost: then the next try knows it.
pub(super) fn refused(max: u32, wait: Option<Duration>) -> Error {
    let words =
        format!("At most {max} numbers can be bought or brought in within {DAYS} days; try again later.");
    let error = Error::new(Kind::Limit, What::Number, words);
    match wait {
        Some(wait) => error.after(wait),
        None => error,
    }
}
