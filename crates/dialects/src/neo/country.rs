//! Neo's countries: four-element arrays of which the contract has five, with its own regulatory ids. Data to be edited by
//! whoever has bundles and addresses of their own; a strict client accepts only the five as they stand here.

use domain::E164;
use domain::e164::Country;
use serde::Serialize;

/// `[ISO code, dial prefix, regulatory bundle, address]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CountryOut(String, String, Option<&'static str>, Option<&'static str>);

type Row = (&'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// The contract's literals, as contracts/seed/neo.json has them.
const LITERALS: [Row; 5] = [
    ("US", "+1", None, None),
    ("CA", "+1", None, None),
    ("GB", "+44", Some("BUd29cd8d0f57893ad3311964d784dc9a1"), Some("AD231ece3809334da636dd351b9f2fdf60")),
    ("NL", "+31", None, Some("AD3e3f88b6d5277d90f9a5b3946c8f6b4c")),
    ("AU", "+61", None, Some("AD2959da1db1ac1fc0bd2019c9baa658dc")),
];

impl CountryOut {
    /// The country of a number: one of the literals, else the same form without bundle and address.
    pub(super) fn of(country: Country, number: E164) -> Self {
        let iso = country.as_str();
        match LITERALS.iter().find(|row| row.0 == iso) {
            Some((iso, prefix, bundle, address)) => {
                Self((*iso).to_owned(), (*prefix).to_owned(), *bundle, *address)
            }
            None => Self(iso.to_owned(), prefix(country, number), None, None),
        }
    }
}

fn prefix(country: Country, number: E164) -> String {
    // Numbers of no country (+800, +883) share no prefix; all their codes have three digits (ITU-T E.164, annex A).
    let shared = (country.as_str() != "001").then(|| country.calling_code()).flatten();
    shared.map_or_else(|| number.to_string().chars().take(4).collect(), |code| format!("+{code}"))
}
