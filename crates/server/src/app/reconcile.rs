//! Comparing what carriers hold with what is held here, at the operator's word.

use domain::op::Reconcile;
use domain::{Result, View};

use super::{App, Ask};
use crate::carriage::Reach;

impl App {
    pub(super) async fn carrier_reconcile(&self, ask: Ask<'_>, how: Reconcile) -> Result<View> {
        ask.caller.require_operator()?;
        let reach = match how {
            Reconcile::DryRun => Reach::Look,
            Reconcile::Mend => Reach::All,
        };
        let report = self.carriage.reconcile(reach, ask.now).await;
        // A carrier that is quick has answered by the time that the report is read.
        Ok(View::Reconciled(Box::new(self.carriage.await_mending(report).await)))
    }
}
