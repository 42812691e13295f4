//! `trunkline reconcile`: has a running service compare what carriers hold for us with what is held there, and mend it.

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use std::process::ExitCode;
use std::time::Duration;

use super::explain::{Problem, exit_code};

/// How long a comparison is waited for; the service ends it all the same.
const PATIENCE: Duration = Duration::from_mins(10);

/// The flags of `trunkline reconcile`.
#[derive(Args, Debug)]
pub(super) struct ReconcileArgs {
    /// The service
    #[arg(long, env = "TRUNKLINE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The operator's key
    #[arg(long, env = "TRUNKLINE_ADMIN_KEY", hide_env_values = true)]
    key: String,
    /// Tell what differs and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct Report {
    carrier: String,
    sound: bool,
    carrier_numbers: u64,
    held_numbers: u64,
    ended_by: Option<String>,
    differences: Vec<Row>,
    left_out: u64,
}

#[derive(Deserialize)]
struct Row {
    e164: String,
    finding: String,
    organization_id: Option<String>,
    number_id: Option<String>,
    action: String,
    reason: Option<String>,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.finding == "nobodys" {
            write!(f, "{}: at the carrier, and nobody's here", self.e164)?;
        } else {
            let (number, organization) = (self.number_id.as_deref(), self.organization_id.as_deref());
            let (number, organization) = (number.unwrap_or("?"), organization.unwrap_or("?"));
            write!(
                f,
                "{}: number {number} of organization {organization}, and not at the carrier",
                self.e164
            )?;
        }
        match self.action.as_str() {
            "none" => Ok(()),
            action => write!(f, "; {}", action.replace('_', " ")),
        }?;
        self.reason.as_deref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

/// Prints each difference on a line of its own; exits 0 where both sides have the same now, 1 where something is left.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: ReconcileArgs) -> anyhow::Result<ExitCode> {
    let ReconcileArgs { url, key, dry_run } = args;
    let address = format!("{}/api/v1/carriers/reconcile", url.trim_end_matches('/'));
    let request = crate::outgoing::client()?.post(address).bearer_auth(key);
    let request = request.json(&serde_json::json!({ "dry_run": dry_run })).timeout(PATIENCE);
    let reply = request.send().await.with_context(|| format!("cannot reach {url}"))?;
    let status = reply.status();
    if !status.is_success() {
        let problem = reply.json::<Problem>().await.unwrap_or_default();
        if status.is_server_error() {
            bail!("{status}: {}", problem.detail);
        }
        super::failed(&anyhow::anyhow!("{status}: {}", problem.detail));
        return Ok(ExitCode::from(exit_code(status.as_u16())));
    }
    let report: Report = reply.json().await.context("the service's answer is not a comparison")?;
    for row in &report.differences {
        println!("{row}");
    }
    let Report { carrier, carrier_numbers, held_numbers, .. } = &report;
    println!("{carrier}: {carrier_numbers} numbers at the carrier, {held_numbers} of its numbers held here");
    if report.left_out > 0 {
        println!("{} more differ", report.left_out);
    }
    if let Some(cause) = &report.ended_by {
        println!("not compared to the end: {cause}");
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
