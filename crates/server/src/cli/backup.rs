//! `trunkline backup` and `trunkline restore`: a checked copy of a store that is in use, and a store made of a copy.

use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use store::Copied;

use super::store_arg::StoreArg;
use crate::clock;
use crate::files;
use crate::lease::Lease;

/// What a store that is no file is copied with.
const OTHERS: &str = "PostgreSQL is copied by its own means (pg_basebackup, pg_dump); see docs/OPERATIONS.md";
/// The longest pause between two steps of a copy.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The flags of `trunkline backup`.
#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    store: StoreArg,
}

/// The flags of `trunkline restore`.
#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// The copy
    #[arg(value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    store: StoreArg,
}

/// Copies, half of the time: the other half of the disk is the service's.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let BackupArgs { to, store } = args;
    let url = store.url();
    let Some(file) = url.file().map(Path::to_owned) else { bail!("--store {url}: {OTHERS}") };
    let target = to.clone();
    let copied = tokio::task::spawn_blocking(move || {
        let mut began = clock::instant();
        store::backup(&file, &target, &mut |progress| {
            if progress.done < progress.all {
                std::thread::sleep(clock::instant().saturating_duration_since(began).min(PAUSE_MAX));
            }
            began = clock::instant();
        })
    });
    let copied = copied.await?.with_context(|| format!("{} was not written", to.display()))?;
    println!("{}: {}, generation {}, checked", to.display(), size(copied.bytes), copied.generation.0);
    println!("the secret key, call records on their way and a simulation's files are not in it");
    Ok(told(&copied))
}

/// Makes a store of a copy, where none is and none is in use.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let RestoreArgs { from, store } = args;
    let url = store.url();
    let Some(file) = url.file().map(Path::to_owned) else { bail!("--store {url}: {OTHERS}") };
    // Also where the file was moved away: who has it open would go on with that one, and begin with this one.
    let lock = files::lock_of(&file);
    let lease = Lease::take(&lock).with_context(|| lock.display().to_string())?;
    let Some(_alone) = lease else {
        bail!("--store {}: a service has it open; stop it first", file.display());
    };
    let target = file.clone();
    let restored = tokio::task::spawn_blocking(move || store::restore(&from, &target)).await?;
    let restored = restored.with_context(|| format!("{} was not made", file.display()))?;
    let shown = file.display();
    println!("{shown}: {}, generation {}, checked", size(restored.bytes), restored.generation.0);
    if !files::key_of(&file).exists() {
        println!(
            "its secret key is not beside it: put the old {shown}.key there before the next start, or give --secret-key-file; with another key no sealed secret opens"
        );
    }
    if files::has_records(&files::journal_of(&file)) {
        println!("call records of before are beside it: the next start brings into the store what it lacks");
    }
    Ok(told(&restored))
}

/// The exit code; what must hold and does not is printed.
#[expect(clippy::print_stdout, reason = "this command's output")]
fn told(copied: &Copied) -> ExitCode {
    for problem in &copied.problems {
        println!("{problem}");
    }
    if copied.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn size(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!((size(544_768), size(12_345_678)), ("0.5 MB".to_owned(), "12.3 MB".to_owned()));
    }
}
