//! Decisions about who a tenant is, taken on request: in review at once, decided when the clock says so. What is to be decided is
//! kept in a file, so that a restart does not forget it.

use anyhow::Context;
use domain::ids::OrganizationId;
use domain::organization::Kyc;
use domain::{Timestamp, organization::OrganizationPatch};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use super::write_whole;
use crate::app::{App, Ask};
use crate::clock;

/// The most decisions that wait.
const WAITING_MAX: usize = 10_000;
/// The longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A decision that waits for its time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Waiting {
    organization_id: String,
    decision: String,
    at: String,
}

/// See the module's head.
pub(super) struct Decisions {
    file: PathBuf,
    waiting: Mutex<Vec<Waiting>>,
    wake: Notify,
}

impl Decisions {
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let waiting = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        Ok(Self { file: file.to_owned(), waiting: Mutex::new(waiting), wake: Notify::new() })
    }

    /// Keeps a decision until its time; it takes the place of one about the same organization.
    pub(super) fn keep(
        &self,
        organization: OrganizationId,
        decision: Kyc,
        at: Timestamp,
    ) -> domain::Result<()> {
        let (organization_id, decision) = (organization.to_string(), decision.as_str().to_owned());
        self.change(|waiting| {
            waiting.retain(|known| known.organization_id != organization_id);
            if waiting.len() < WAITING_MAX {
                waiting.push(Waiting { organization_id, decision, at: at.to_string() });
            }
        })?;
        self.wake.notify_one();
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Waiting>)) -> domain::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        let failed = |error: String| domain::Error::internal(format!("{}: {error}", self.file.display()));
        let text = serde_json::to_string(&*waiting).map_err(|error| failed(error.to_string()))?;
        write_whole(&self.file, &text).map_err(|error| failed(error.to_string()))
    }

    fn due(&self, now: Timestamp) -> (Vec<Waiting>, Duration) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |w: &Waiting| w.at.parse::<Timestamp>().unwrap_or(now);
        let due = waiting.iter().filter(|w| at(w) <= now).cloned().collect();
        let next = waiting.iter().map(at).filter(|at| *at > now).min();
        let wait = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        (due, wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY))
    }

    /// Decides what is due, whenever the clock says so. Runs until it is aborted.
    pub(super) async fn follow(self: Arc<Self>, app: Arc<App>) {
        let mut sleeper = clock::Sleeper::new();
        loop {
            let (due, wait) = self.due(clock::now());
            for decision in due {
                // Decided first and forgotten then: a process that dies in between decides once more, to the same.
                decide(&app, &decision).await;
                if let Err(error) = self.change(|waiting| waiting.retain(|known| *known != decision)) {
                    tracing::error!(cause = error.for_log(), "the simulation's decisions could not be kept");
                    break;
                }
            }
            tokio::select! {
                _ = sleeper.sleep(wait) => {}
                () = self.wake.notified() => {}
            }
        }
    }
}

async fn decide(app: &App, decision: &Waiting) {
    let Some((id, kyc)) =
        OrganizationId::parse(&decision.organization_id).zip(Kyc::parse(&decision.decision))
    else {
        return;
    };
    if let Err(error) = set(app, id, kyc).await {
        tracing::warn!(kind = ?error.kind, cause = error.for_log(), "a simulated decision could not be written");
    }
}

/// Sets a tenant's state as the operator does.
pub(super) async fn set(app: &App, id: OrganizationId, kyc: Kyc) -> domain::Result<()> {
    let caller = domain::Caller::operator(None);
    let ask = Ask { caller: &caller, now: clock::now(), keep: None, slot: None };
    let patch = OrganizationPatch { kyc: Some(kyc), ..OrganizationPatch::default() };
    app.run(ask, domain::Op::OrganizationUpdate(id, patch, None)).await.map(drop)
}
