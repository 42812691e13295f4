//! The simulated carrier's record: one line of JSON for each thing that happened, only ever appended.

use anyhow::Context;
use domain::E164;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use super::orders::Sale;
use crate::clock;

/// One thing that happened.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Line {
    /// When; for people.
    at: String,
    /// The number.
    pub(super) number: String,
    /// The order.
    pub(super) reference: String,
    /// What it came to.
    pub(super) sale: Sale,
}

impl Line {
    pub(super) fn of(number: E164, reference: &str, sale: Sale) -> Self {
        let (at, number) = (clock::now().to_string(), number.to_string());
        Self { at, number, reference: reference.to_owned(), sale }
    }
}

/// The file.
pub(super) struct Record {
    path: PathBuf,
    file: Option<File>,
}

impl Record {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// What happened so far. A last line that a dying process left half is nothing that happened.
    pub(super) fn lines(&self) -> anyhow::Result<Vec<Line>> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |line| {
            serde_json::from_str(line).with_context(|| format!("{}: a broken line", self.path.display()))
        };
        whole.lines().map(read).collect()
    }

    /// Appends a line. It outlives the process at once, though not the loss of power: a simulation can do without.
    pub(super) fn append(&mut self, line: &Line) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                cut_half_line(&self.path)?;
                none.insert(File::options().create(true).append(true).open(&self.path)?)
            }
        };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)
    }
}

/// Takes off what a dying process left of a line, so that the next does not run on from it.
fn cut_half_line(path: &std::path::Path) -> io::Result<()> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole == bytes.len() {
        return Ok(());
    }
    File::options().write(true).open(path)?.set_len(whole as u64)
}
