//! `trunkline migrate`: brings a store's schema up to date, before the first node of a new version does it at its start. Under the lock
//! that those take, too: whoever comes second finds the work done.

use anyhow::Context;
use clap::Args;
use std::process::ExitCode;
use store::Store;

use super::store_arg::StoreArg;

/// The flags of `trunkline migrate`.
#[derive(Args, Debug)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Say what is to be done, and do nothing
    #[arg(long)]
    show: bool,
}

/// Prints each change on a line of its own, then makes them.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let url = args.store.standing()?;
    let named = || format!("--store {url}");
    let before = store::schema(url.reveal()).with_context(named)?;
    println!("schema {}", before.applied);
    for one in &before.pending {
        let breaks = if one.breaks { ", older versions cannot work with it" } else { "" };
        println!("  {}: {}{breaks}", one.number, one.name);
    }
    if args.show {
        return Ok(ExitCode::SUCCESS);
    }
    let store = Store::open(url.reveal()).with_context(named)?;
    store.close().await;
    let after = store::schema(url.reveal()).with_context(named)?;
    println!("schema {}: up to date", after.applied);
    Ok(ExitCode::SUCCESS)
}
