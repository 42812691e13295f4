//! `trunkline serve`.

use anyhow::Context;
use std::io::IsTerminal;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::service::Service;
use crate::settings::ServeArgs;

/// Serves until it is told to stop.
#[expect(clippy::print_stdout, reason = "where it listens and a new admin key are this command's output")]
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    start_log("info");
    let settings = args.resolve()?;
    let service = Service::start(settings).await?;
    println!("trunkline {} is ready", env!("CARGO_PKG_VERSION"));
    if let Some(agents) = service.sim_agents {
        println!("  SIMULATION: the clock, the carrier and the callers under /sim are not real");
        println!(
            "  agents that answer: sip:echo@{agents} (busy, reject-503, no-answer, slow-1500, hangup-3, silent)"
        );
    }
    println!("  http  http://{}", service.http);
    for (transport, address) in &service.sip {
        println!("  sip   {}:{address}", transport.name());
    }
    if let Some(key) = &service.new_admin_key {
        println!("  admin key (shown once; keep it): {key}");
    }
    until_told().await?;
    service.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn until_told() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C")?,
    }
    Ok(())
}

/// Logs to standard error: text for a person, JSON for a collector. `RUST_LOG` says how much.
pub(super) fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().init() }
}
