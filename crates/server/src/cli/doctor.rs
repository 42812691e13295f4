//! `trunkline doctor`: checks what must always hold of a store, also of one that a service uses at this moment.

use anyhow::Context;
use clap::Args;
use std::process::ExitCode;
use store::Store;

use crate::store_url::StoreUrl;

/// The flags of `trunkline doctor`.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// The store to check
    #[arg(
        long,
        env = "TRUNKLINE_STORE",
        value_name = "URL",
        default_value = "sqlite:./trunkline.db",
        hide_env_values = true
    )]
    store: String,
}

/// Prints each problem on a line of its own; the exit code tells whether there is one.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let url = StoreUrl::new(args.store);
    // A store that is not there is not made.
    if let Some(path) = url.file()
        && !path.exists()
    {
        anyhow::bail!("--store: {} is not there", path.display());
    }
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
