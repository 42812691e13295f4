//! `trunkline doctor`: checks what must always hold of a store, also of one that a service uses at this moment.

use anyhow::Context;
use clap::Args;
use std::process::ExitCode;
use store::Store;

use super::store_arg::StoreArg;

/// The flags of `trunkline doctor`.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    store: StoreArg,
}

/// Prints each problem on a line of its own; the exit code tells whether there is one.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let url = args.store.standing()?;
    let store = Store::open(url.reveal()).context("--store")?;
    let checked = store.clone();
    // It reads everything: seconds for a large store.
    let problems = tokio::task::spawn_blocking(move || checked.doctor()).await??;
    store.close().await;
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("the store is sound");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
