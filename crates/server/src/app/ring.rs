//! A call of the simulated network's to a tenant's number for tests: a route is tried without a phone, on a production server too.

use domain::number::{Network, NumberRef};
use domain::op::RingIn;
use domain::view::Rung;
use domain::{Error, Kind, Result, View, What};
use std::time::Duration;

use super::{App, Ask};
use crate::sim::{Ring, lines_of, outcome_of};

/// Who calls where nobody is named: a number that its plan keeps for fiction.
const CALLER: &str = "+12125550199";

impl App {
    pub(super) async fn number_ring(&self, ask: Ask<'_>, number: NumberRef, ring: RingIn) -> Result<View> {
        let number = self.number_find(ask, &number)?;
        if number.network != Network::Test {
            let words =
                "Only numbers for tests are called by the simulated network; buy one with a test key.";
            return Err(Error::new(Kind::Conflict, What::Number, words));
        }
        let RingIn { from, hold_seconds, ring_seconds } = ring;
        let seconds = |given: Option<u32>, usual| Duration::from_secs(u64::from(given.unwrap_or(usual)));
        let ring = Ring {
            to: number.e164.to_string(),
            from: from.unwrap_or_else(|| CALLER.to_owned()),
            hold: seconds(hold_seconds, 1),
            patience: seconds(ring_seconds, 10),
            transport: None,
        };
        let report = self.network.ring(number.organization_id, &ring).await?;
        let report = report.map_err(|error| {
            Error::new(Kind::Unavailable, What::Call, "The call could not be placed.")
                .because(format!("{error:#}"))
        })?;
        let (outcome, sip_status) = outcome_of(&report);
        Ok(View::Rung(Box::new(Rung {
            outcome,
            sip_status,
            reason: report.reason.clone(),
            talked_seconds: report.talked.as_secs(),
            packets: (report.sent, report.echoed),
            timeline: lines_of(&report),
        })))
    }
}
