//! Comparing what carriers hold with what is held here, at the operator's word.

use domain::op::Reconcile;
use domain::{Error, Result, View};
use std::sync::Arc;

use super::{App, Ask};
use crate::carriage::Reach;

impl App {
    pub(super) async fn carrier_reconcile(&self, ask: Ask<'_>, how: Reconcile) -> Result<View> {
        ask.caller.require_operator()?;
        let reach = match how {
            Reconcile::DryRun => Reach::Look,
            Reconcile::Mend => Reach::All,
        };
        let (carriage, now) = (Arc::clone(&self.carriage), ask.now);
        // It goes on where the client has hung up: what was found is mended all the same.
        let compared = tokio::spawn(async move {
            let report = carriage.reconcile(reach, now).await;
            // A carrier that is quick has answered by the time that the report is read.
            carriage.await_mending(report).await
        });
        match compared.await {
            Ok(report) => Ok(View::Reconciled(Box::new(report))),
            Err(error) => Err(Error::internal(error.to_string())),
        }
    }
}
