//! `trunkline sim-carrier`: a simulation's carrier in a process of its own, for services with `--sim-carrier`. It outlives those
//! that are killed, and several nodes share one.

use anyhow::{Context, bail};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;

use super::serve::{start_log, until_told};
use crate::sim::{SimCarrier, carrier_router};

/// The flags of `trunkline sim-carrier`.
#[derive(Args, Debug)]
pub(super) struct SimCarrierArgs {
    /// Where it listens, on loopback: it asks nobody for a key
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8090")]
    http: SocketAddr,
    /// The file with what it has sold; made with the first sale
    #[arg(long, value_name = "FILE", default_value = "./trunkline.sim-carrier")]
    record: PathBuf,
}

/// Serves until it is told to stop.
#[expect(clippy::print_stdout, reason = "where it listens is this command's output")]
pub(super) async fn run(args: SimCarrierArgs) -> anyhow::Result<ExitCode> {
    start_log("info");
    let SimCarrierArgs { http, record } = args;
    if !http.ip().is_loopback() {
        bail!("--http {http}: a simulated carrier listens on loopback only");
    }
    let carrier = Arc::new(SimCarrier::open(record)?);
    let listener = TcpListener::bind(http).await.with_context(|| format!("--http {http}"))?;
    println!("the simulated carrier is at http://{}", listener.local_addr()?);
    let serving = axum::serve(listener, carrier_router(carrier)).into_future();
    tokio::select! {
        done = serving => done.context("the listener failed")?,
        told = until_told() => told?,
    }
    Ok(ExitCode::SUCCESS)
}
