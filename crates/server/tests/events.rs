//! The list of event names that webhooks can want is the list of those that are written.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use domain::event::NAMES;

/// Written to the operator's own log, which has no webhooks.
const OPERATORS: [&str; 4] = ["stock.added", "stock.added_many", "stock.deleted", "stock.updated"];

/// Texts of a file that have the form of an event's name.
fn names(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            names(&entry.unwrap().path(), found);
        }
        return;
    }
    let nouns: BTreeSet<&str> = NAMES.iter().filter_map(|name| name.split('.').next()).collect();
    let text = std::fs::read_to_string(path).unwrap();
    // Tests at a file's end name what they like.
    let text = text.split("#[cfg(test)]").next().unwrap();
    let plain = |verb: &str| !verb.is_empty() && verb.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    for part in text.split('"') {
        if part.split_once('.').is_some_and(|(noun, verb)| nouns.contains(noun) && plain(verb)) {
            found.insert(part.to_owned());
        }
    }
}

#[test]
fn every_event_that_is_written_can_be_wanted_and_none_besides() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut written = BTreeSet::new();
    for folder in ["server/src", "store/src/rows", "domain/src/call"] {
        names(&root.join(folder), &mut written);
    }
    let listed: BTreeSet<String> = NAMES.iter().chain(&OPERATORS).map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.len(), NAMES.len() + OPERATORS.len(), "each once");
    let unlisted: Vec<_> = written.difference(&listed).collect();
    assert!(unlisted.is_empty(), "add to `domain::event::NAMES`: {unlisted:?}");
    let unwritten: Vec<_> = listed.difference(&written).collect();
    assert!(unwritten.is_empty(), "nobody writes: {unwritten:?}");
}
