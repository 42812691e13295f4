//! The command line: arguments in, an exit code out.

mod backup;
pub(crate) mod call;
mod copy;
mod demo;
mod doctor;
pub(crate) mod echo_agent;
mod explain;
mod migrate;
mod receipt;
mod reconcile;
mod serve;
mod sim_carrier;
mod store_arg;
pub(crate) mod timeline;
mod trunk;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Phone numbers for voice agents: owns numbers from any carrier, binds each to an agent, carries the call there.
#[derive(Parser)]
#[command(name = "trunkline", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(Box<crate::settings::ServeArgs>),
    /// Show everything at work: a number bought, bound, seen through four APIs, called, metered
    Demo(demo::DemoArgs),
    /// Answer calls and echo their sound
    EchoAgent(echo_agent::EchoAgentArgs),
    /// Place one call and print its timeline
    Call(call::CallArgs),
    /// Say where a call to a number would go, and why
    Explain(explain::ExplainArgs),
    /// Copy a store, also one in use, into a new file
    Backup(backup::BackupArgs),
    /// Make a store of a copy
    Restore(backup::RestoreArgs),
    /// Copy everything from one store into another, such as from a file to PostgreSQL
    Copy(copy::CopyArgs),
    /// Bring a store's schema up to date
    Migrate(migrate::MigrateArgs),
    /// Check what must always hold of a store
    Doctor(doctor::DoctorArgs),
    /// Compare what carriers hold for us with what is held, and mend it
    Reconcile(reconcile::ReconcileArgs),
    /// Run a simulation's carrier by itself, so that it outlives the services that buy of it
    SimCarrier(sim_carrier::SimCarrierArgs),
}

/// Runs a command.
pub(crate) fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::from(error).context("cannot start the runtime")),
    };
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(*args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::EchoAgent(args) => echo_agent::run(args).await,
            Command::Call(args) => call::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Backup(args) => backup::backup(args).await,
            Command::Restore(args) => backup::restore(args).await,
            Command::Copy(args) => copy::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Reconcile(args) => reconcile::run(args).await,
            Command::SimCarrier(args) => sim_carrier::run(args).await,
        }
    });
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Says what went wrong, with its causes, on one line.
#[expect(clippy::print_stderr, reason = "this is a command's error output")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("trunkline: {error:#}");
    ExitCode::FAILURE
}
