//! Reading the bodies of requests to the simulation: flat objects, every field named and bounded.

use domain::e164::Country;
use domain::{Bag, E164, Error, Kind, Result, Timestamp, What};
use serde_json::Value;
use std::ops::RangeInclusive;

/// A body that must be a JSON object; fields are taken out of it, and what is left is unknown.
pub(super) struct Body(Bag);

impl Body {
    /// Reads a body; none is an empty object.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Bag::new()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Error::new(Kind::Malformed, What::Request, "The body must be a JSON object.")),
            Err(error) => Err(Error::new(
                Kind::Malformed,
                What::Request,
                format!("The body is not valid JSON: {error}."),
            )),
        }
    }

    /// Takes a field through `read`; absent and null are none. `must` completes "`field` must be …".
    pub(super) fn take<T>(
        &mut self,
        field: &'static str,
        must: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(&value)
                .map(Some)
                .ok_or_else(|| Error::invalid(What::Request, field, format!("`{field}` must be {must}."))),
        }
    }

    /// A whole number within a range.
    pub(super) fn whole(&mut self, field: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let must = format!("a whole number from {} to {}", range.start(), range.end());
        self.take(field, &must, |value| value.as_u64().filter(|n| range.contains(n)))
    }

    /// A time of day.
    pub(super) fn time(&mut self, field: &'static str) -> Result<Option<Timestamp>> {
        let must = "a time such as \"2030-01-31T12:00:00Z\"";
        self.take(field, must, |value| value.as_str().and_then(|text| text.parse().ok()))
    }

    /// A country.
    pub(super) fn country(&mut self) -> Result<Option<Country>> {
        self.take("country", "a country's two letters", |v| v.as_str().and_then(Country::parse))
    }

    /// A phone number.
    pub(super) fn number(&mut self, field: &'static str) -> Result<Option<E164>> {
        let must = "a phone number such as +14155550100";
        self.take(field, must, |v| {
            v.as_str().and_then(|text| E164::parse(text).ok()).map(|(number, _)| number)
        })
    }

    /// Refuses fields that nobody took.
    pub(super) fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let words =
                    format!("There is no field {:?} here.", name.chars().take(40).collect::<String>());
                Err(Error::new(Kind::Invalid, What::Request, words))
            }
        }
    }
}
