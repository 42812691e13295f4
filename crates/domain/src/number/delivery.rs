//! A number that its carrier has yet to deliver: bought and paid for, pending until the carrier has the last word.

use super::{Number, Status, Step};
use crate::Timestamp;
use crate::error::{Error, Kind, Result, What};
use crate::ids::ProviderId;
use crate::money::Micros;

impl Number {
    /// The carrier has delivered it: it can be used.
    pub fn acquired(&self, now: Timestamp) -> Result<Self> {
        let status = self.status.after(Step::Activate)?;
        Ok(Self { status, ..self.clone() }.changed_from(self, now))
    }

    /// Calls to it are sent to us from an account at its carrier: it is on that account's provider, and can be used.
    pub fn attached(&self, provider: ProviderId, now: Timestamp) -> Result<Self> {
        let pending = self.status == Status::Pending;
        let status = if pending { self.status.after(Step::Activate)? } else { self.status };
        Ok(Self { status, provider_id: Some(provider), ..self.clone() }.changed_from(self, now))
    }

    /// The carrier does not deliver it: it is gone, and rests for nobody.
    pub fn not_acquired(&self, now: Timestamp) -> Result<Self> {
        let status = self.status.after(Step::Delete)?;
        let gone = Self { status, released_at: Some(now), quarantined_until: None, ..self.clone() };
        Ok(gone.changed_from(self, now))
    }

    /// All that was paid for a number that was never delivered: setup, the first month, and each month that passed meanwhile.
    pub fn paid(&self) -> Micros {
        let months = self.rented_until.map_or(1, |until| self.next_period(until).max(1));
        (0..months).fold(self.setup_cost, |sum, _| sum + self.monthly_cost)
    }

    /// Whether it waits for its carrier: only the carrier's word ends that, nobody's switch.
    pub(super) fn check_delivered(&self) -> Result<()> {
        if self.status == Status::Pending && self.stock_id.is_some() {
            let words = "The number waits for its carrier; it is active once the carrier has delivered it.";
            return Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        }
        Ok(())
    }
}
