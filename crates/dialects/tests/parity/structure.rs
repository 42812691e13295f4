//! Each document that is generated says what its vendor's contract says, operation by operation; where not, the difference and
//! its reason are listed in `contracts/differences.json`. A difference that is not listed fails, and so does one that is listed
//! and gone. `*` in a listed line stands for any text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::facts::{differences, operations};

/// Contract, dialect, and what stands before the contract's paths. Where two have an operation, the first is compared.
const CONTRACTS: [(&str, &str, &str); 7] = [
    ("seed/krosai", "krosai", "/v1"),
    ("seed/cartesia-numbers", "cartesia", ""),
    ("seed/cartesia-agent-numbers", "cartesia", ""),
    ("seed/neo", "neo", ""),
    ("seed/polyai", "polyai", ""),
    ("full/polyai", "polyai", ""),
    ("full/cartesia", "cartesia", ""),
];

/// Differences with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    /// Whose.
    pub(crate) dialect: String,
    /// Why.
    pub(crate) reason: String,
    /// Which, as `METHOD /path place: ours …, contract …`.
    pub(crate) differences: Vec<String>,
}

fn read(file: &str) -> Value {
    let path = format!("{}/../../contracts/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The differences that are listed, with their reasons.
pub(crate) fn listed() -> Vec<Listed> {
    serde_json::from_value(read("differences")).expect("contracts/differences.json has its form")
}

/// The differences that there are, by dialect.
fn found() -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for dialect in dialects::all() {
        let ours = operations(&dialect.openapi(), "");
        let mut contract = BTreeMap::new();
        for (file, _, prefix) in CONTRACTS.iter().filter(|(_, name, _)| *name == dialect.name()) {
            for (operation, facts) in operations(&read(file), prefix) {
                contract.entry(operation).or_insert(facts);
            }
        }
        for (operation, theirs) in contract {
            let Some(ours) = ours.get(&operation) else { continue };
            let found = differences(ours, &theirs);
            lines.extend(found.into_iter().map(|line| (dialect.name(), format!("{operation} {line}"))));
        }
    }
    lines
}

fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(between) = last.replace(part) {
            match rest.find(between) {
                Some(at) => rest = &rest[at + between.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[test]
fn documents_say_what_the_contracts_say_but_for_what_is_listed() {
    let (listed, found) = (listed(), found());
    let is_listed = |(dialect, line): &&(&str, String)| {
        let mine = listed.iter().filter(|entry| entry.dialect == *dialect);
        mine.flat_map(|entry| &entry.differences).any(|pattern| fits(pattern, line))
    };
    let new: Vec<_> =
        found.iter().filter(|row| !is_listed(row)).map(|(d, line)| format!("{d}: {line}")).collect();
    assert!(new.is_empty(), "{} not in contracts/differences.json:\n{}", new.len(), new.join("\n"));
    let is_there =
        |dialect: &str, pattern: &str| found.iter().any(|(d, line)| *d == dialect && fits(pattern, line));
    for entry in &listed {
        assert!(!entry.reason.is_empty() && !entry.differences.is_empty(), "{entry:?}");
        for pattern in &entry.differences {
            assert!(is_there(&entry.dialect, pattern), "{}: listed and not there: {pattern}", entry.dialect);
        }
    }
}

#[test]
fn a_difference_is_found_where_there_is_one() {
    let contract = read("seed/krosai");
    let ours = operations(&contract, "");
    assert!(ours.values().zip(operations(&contract, "").values()).all(|(a, b)| differences(a, b).is_empty()));
    let mut changed = contract;
    let number =
        changed.pointer_mut("/components/schemas/PhoneNumber/properties").and_then(Value::as_object_mut);
    let number = number.expect("the contract has numbers");
    number.remove("e164").expect("which have a number");
    number["status"]["enum"] = serde_json::json!(["active"]);
    number["country"] = serde_json::json!({"type": "string", "nullable": true});
    let lines: Vec<_> = operations(&changed, "")
        .iter()
        .flat_map(|(operation, facts)| differences(facts, &ours[operation]))
        .collect();
    for place in
        ["e164: ours absent", "status words: ours \"active\", ", "country null: ours yes, contract no"]
    {
        assert!(lines.iter().any(|line| line.contains(place)), "{place} in {lines:#?}");
    }
}

#[test]
fn a_star_stands_for_any_text() {
    assert!(
        fits("a*c*", "abbcd")
            && fits("*", "")
            && fits("a*", "a")
            && fits("abc", "abc")
            && fits("*b*b", "abb")
    );
    assert!(!fits("a*c", "abcd") && !fits("abc", "abcd") && !fits("*x*", "abc") && !fits("a*b*b", "ab"));
}
