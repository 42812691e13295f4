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
    if std::env::args_os().any(|argument| argument.to_str().is_some_and(has_password)) {
        tracing::warn!(
            "a URL with a password is on the command line, where everybody on this machine can read it; TRUNKLINE_STORE and the file of --config keep it to yourself"
        );
    }
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

/// Whether an argument is a store's URL with a password: `postgres://user:password@…`.
fn has_password(argument: &str) -> bool {
    let url = argument.strip_prefix("--store=").unwrap_or(argument);
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    rest.is_some_and(|rest| rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')))
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

/// What would tell numbers and secrets, whatever is asked for: the database's driver shows the values of statements.
const TOLD_ALL: [&str; 3] =
    ["tokio_postgres=warn", "tokio_postgres::query=warn", "tokio_postgres::prepare=warn"];

/// Logs to standard error: text for a person, JSON for a collector. `RUST_LOG` says how much.
pub(super) fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let filter =
        TOLD_ALL.iter().filter_map(|quiet| quiet.parse().ok()).fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_on_the_command_line_are_seen() {
        for with in ["postgres://me:secret@host/db", "--store=postgresql://me:s@h/d"] {
            assert!(has_password(with), "{with}");
        }
        for without in ["postgres://me@host:5432/db", "postgres://host:5432/db", "sqlite:a:b@c", "--store"] {
            assert!(!has_password(without), "{without}");
        }
    }
}
