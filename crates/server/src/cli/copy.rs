//! `trunkline copy`: everything from one store into another, whatever their engines.

use anyhow::Context;
use clap::Args;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use store::Store;
use store::copy::Progress;

use super::store_arg::standing;
use crate::clock;
use crate::files;
use crate::lease::Lease;
use crate::store_url::StoreUrl;

/// How often the bar is drawn anew.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
const BAR: usize = 30;

/// The flags of `trunkline copy`.
#[derive(Args, Debug)]
pub(super) struct CopyArgs {
    /// The store that is read; its server is to be stopped
    #[arg(long, env = "TRUNKLINE_COPY_FROM", value_name = "URL", hide_env_values = true)]
    from: String,
    /// The store that is written: empty, or with a copy of the same store that was interrupted
    #[arg(long, env = "TRUNKLINE_COPY_TO", value_name = "URL", hide_env_values = true)]
    to: String,
}

/// Copies, showing how far it is on the standard error output, and says on the standard output what has arrived.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: CopyArgs) -> anyhow::Result<ExitCode> {
    let (from, to) = (StoreUrl::new(args.from), StoreUrl::new(args.to));
    if from == to {
        anyhow::bail!("--from and --to name one store");
    }
    let from = standing("--from", from)?;
    let _alone = (alone("--from", &from)?, alone("--to", &to)?);
    let began = clock::instant();
    let copied = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let source = Store::open_to_copy(from.reveal()).context("--from")?;
        let target = Store::open_to_copy(to.reveal()).context("--to")?;
        let mut bar = Bar::new(began);
        let copied = target.copy_from(&source, &mut |progress| bar.show(progress))?;
        bar.end();
        Ok((copied, target))
    });
    let (copied, target) = copied.await??;
    target.close().await;
    let again =
        if copied.found > 0 { format!(" ({} were there from before)", copied.found) } else { String::new() };
    println!("{} rows copied and compared{again} in {:.1} s", copied.rows, began.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Refuses a file that a service has open: what it writes from here on would not be copied, or be written over.
fn alone(flag: &str, url: &StoreUrl) -> anyhow::Result<Option<Lease>> {
    let Some(file) = url.file() else { return Ok(None) };
    let lock = files::lock_of(file);
    let lease = Lease::take(&lock).with_context(|| lock.display().to_string())?;
    if lease.is_none() {
        anyhow::bail!("{flag}: a service has {} open; stop it first", file.display());
    }
    Ok(lease)
}

/// Where somebody watches one line that is written over and over, else a line for each table.
struct Bar {
    watched: bool,
    began: Instant,
    drawn: Option<Instant>,
    last: Option<Progress>,
}

impl Bar {
    fn new(began: Instant) -> Self {
        Self { watched: std::io::stderr().is_terminal(), began, drawn: None, last: None }
    }

    fn show(&mut self, progress: Progress) {
        let other = |last: Progress| (last.table, last.checking) != (progress.table, progress.checking);
        let ended = self.last.replace(progress).filter(|last| other(*last));
        if !self.watched {
            if let Some(ended) = ended {
                write(&format!("{}\n", line(ended)));
            }
            return;
        }
        let now = clock::instant();
        if ended.is_some() || self.drawn.is_none_or(|at| now.duration_since(at) >= DRAWN_EVERY) {
            self.drawn = Some(now);
            let seconds = now.duration_since(self.began).as_secs();
            write(&format!("\r{} {} {seconds} s\x1b[K", bar(progress), line(progress)));
        }
    }

    fn end(&mut self) {
        match self.last.take() {
            Some(last) if !self.watched => write(&format!("{}\n", line(last))),
            _ => write("\r\x1b[K"),
        }
    }
}

/// What cannot be shown is not: the copy goes on.
fn write(text: &str) {
    let mut output = std::io::stderr().lock();
    drop(output.write_all(text.as_bytes()).and_then(|()| output.flush()));
}

fn line(Progress { table, checking, done, total }: Progress) -> String {
    let what = if checking { "compared" } else { "copied" };
    format!("{table}: {done} of {total} {what}")
}

fn bar(progress: Progress) -> String {
    let done = usize::try_from(progress.done).unwrap_or(usize::MAX);
    let total = usize::try_from(progress.total).unwrap_or(usize::MAX).max(1);
    let full = (done.saturating_mul(BAR) / total).min(BAR);
    format!("[{}{}]", "#".repeat(full), " ".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_table() {
        let at = |done, total| bar(Progress { table: "calls", checking: false, done, total });
        assert_eq!(at(0, 10), format!("[{}]", " ".repeat(30)));
        assert_eq!(at(5, 10), format!("[{}{}]", "#".repeat(15), " ".repeat(15)));
        assert_eq!(at(10, 10), format!("[{}]", "#".repeat(30)));
        // A table of which there is nothing, and one that grew.
        assert_eq!(at(0, 0), format!("[{}]", " ".repeat(30)));
        assert_eq!(at(11, 10), format!("[{}]", "#".repeat(30)));
    }
}
