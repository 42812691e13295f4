//! The simulated carrier's record: one line of JSON for each thing that happened, appended. What has grown long is written anew
//! when it is opened, with a line for each number and each order that is remembered.

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
    pub(super) at: String,
    /// The number.
    pub(super) number: String,
    /// The order.
    pub(super) reference: String,
    /// What it came to.
    pub(super) sale: Sale,
    /// How often the number was sold in all, where the line stands for all that happened to it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) times_sold: Option<u64>,
}

impl Line {
    pub(super) fn of(number: E164, reference: &str, sale: Sale) -> Self {
        let (at, number) = (clock::now().to_string(), number.to_string());
        Self { at, number, reference: reference.to_owned(), sale, times_sold: None }
    }

    /// The same, in the place of all lines of a number that was sold so often.
    pub(super) fn sold(self, times: u64) -> Self {
        Self { times_sold: Some(times), ..self }
    }

    /// An order that was refused, of whatever number.
    pub(super) fn refused(reference: &str) -> Self {
        let (at, reference) = (clock::now().to_string(), reference.to_owned());
        Self { at, number: String::new(), reference, sale: Sale::Refused, times_sold: None }
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

    /// What happened so far. A last line that a dying process left half is nothing that happened, and one that cannot be read is
    /// passed over: a simulation's books are no reason not to serve.
    pub(super) fn lines(&self) -> anyhow::Result<Vec<Line>> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |(at, line)| {
            let path = self.path.display();
            let warn = |error| tracing::warn!(%error, line = at, "a line of {path} cannot be read; it is passed over");
            serde_json::from_str(line).map_err(warn).ok()
        };
        Ok((1..).zip(whole.lines()).filter_map(read).collect())
    }

    /// Puts these lines in the place of all there are. Who dies on the way leaves the old ones.
    pub(super) fn replace(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let beside = self.path.with_added_extension("new");
        let failed = || beside.display().to_string();
        std::fs::write(&beside, text).with_context(failed)?;
        std::fs::rename(&beside, &self.path).with_context(failed)?;
        self.file = None;
        Ok(())
    }

    /// Appends a line. It outlives the process at once, though not the loss of power: a simulation can do without. Should it come
    /// to be written in part (a full disk), the next takes that off before it is written itself.
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
        let done = file.write_all(&text);
        if done.is_err() {
            self.file = None;
        }
        done
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reference: &str) -> Line {
        Line::of(E164::from_u64(14_155_550_100).unwrap(), reference, Sale::Sold)
    }

    fn path() -> PathBuf {
        std::env::temp_dir().join(format!("trunkline-sim-record-{}", clock::id()))
    }

    fn references(record: &Record) -> Vec<String> {
        record.lines().unwrap().into_iter().map(|line| line.reference).collect()
    }

    #[test]
    fn a_line_that_cannot_be_read_takes_no_other_with_it() {
        let path = path();
        let mut record = Record::at(path.clone());
        record.append(&line("a")).unwrap();
        // What an earlier version left of a full disk: half a line, and the next run on from it.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_within(..20);
        bytes.extend_from_within(..bytes.len() - 20);
        std::fs::write(&path, bytes).unwrap();
        record.append(&line("b")).unwrap();
        assert_eq!(references(&Record::at(path.clone())), ["a", "b"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_was_written_in_part_is_taken_off_by_the_next_line() {
        let path = path();
        let mut record = Record::at(path.clone());
        record.append(&line("a")).unwrap();
        // A disk that is full: some of the line is there, and the writing fails.
        let mut half = std::fs::read(&path).unwrap();
        half.truncate(20);
        File::options().append(true).open(&path).unwrap().write_all(&half).unwrap();
        record.file = Some(File::open(&path).unwrap());
        record.append(&line("b")).unwrap_err();
        record.append(&line("c")).unwrap();
        assert_eq!(references(&record), ["a", "c"]);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert_eq!(whole.lines().count(), 2, "{whole}");
        std::fs::remove_file(path).unwrap();
    }
}
