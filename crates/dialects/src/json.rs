//! Reading JSON bodies field by field: what is wrong is said with the field's name, and absent is told from null.

use domain::error::{Error, Kind, Result, What};
use domain::{Bag, Patch};
use serde_json::Value;

/// A body that must be a JSON object.
#[derive(Debug)]
pub(crate) struct Body {
    fields: Bag,
    what: What,
    null_is_absent: bool,
}

/// Reads the body of a request. An empty body reads as an empty object where `optional` says that the contract allows none.
pub(crate) fn body(bytes: &[u8], what: What) -> Result<Body> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Body::of(Bag::new(), what));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(Body::of(fields, what)),
        Ok(_) => Err(Error::new(Kind::Malformed, what, "The body must be a JSON object.")),
        Err(error) => Err(Error::new(Kind::Malformed, what, format!("The body is not valid JSON: {error}."))),
    }
}

impl Body {
    /// From an object within a body.
    pub(crate) fn of(fields: Bag, what: What) -> Self {
        Self { fields, what, null_is_absent: false }
    }

    /// Reads null as absent in every field: for requests that make a thing with the fields of its change.
    pub(crate) fn null_is_absent(mut self) -> Self {
        self.null_is_absent = true;
        self
    }

    /// Takes a field as it is: `None` where it is absent.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field)
    }

    /// An error about a field.
    pub(crate) fn invalid(&self, field: &'static str, must: &str) -> Error {
        Error::invalid(self.what, field, format!("`{field}` must be {must}."))
    }

    /// Takes a field through `read`: absent, null, or a value. `must` completes "`field` must be …".
    pub(crate) fn patch<T>(
        &mut self,
        field: &'static str,
        must: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Patch<T>> {
        match self.take(field) {
            None => Ok(Patch::Keep),
            Some(Value::Null) if self.null_is_absent => Ok(Patch::Keep),
            Some(Value::Null) => Ok(Patch::Clear),
            Some(value) => read(value).map(Patch::Set).ok_or_else(|| self.invalid(field, must)),
        }
    }

    /// The same with a reader that makes its own errors.
    pub(crate) fn patch_by<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&Value) -> Result<T>,
    ) -> Result<Patch<T>> {
        match self.take(field) {
            None => Ok(Patch::Keep),
            Some(Value::Null) if self.null_is_absent => Ok(Patch::Keep),
            Some(Value::Null) => Ok(Patch::Clear),
            Some(value) => read(&value).map(Patch::Set),
        }
    }

    /// The same where null means absent.
    pub(crate) fn optional<T>(
        &mut self,
        field: &'static str,
        must: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.patch(field, must, read)? {
            Patch::Set(value) => Ok(Some(value)),
            Patch::Keep | Patch::Clear => Ok(None),
        }
    }

    /// The same where null is refused: the field can be left out or set, not cleared.
    pub(crate) fn unclearable<T>(
        &mut self,
        field: &'static str,
        must: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.patch(field, must, read)? {
            Patch::Set(value) => Ok(Some(value)),
            Patch::Keep => Ok(None),
            Patch::Clear => Err(self.invalid(field, must)),
        }
    }

    /// The same where the field is required.
    pub(crate) fn required<T>(
        &mut self,
        field: &'static str,
        must: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T> {
        self.optional(field, must, read)?.ok_or_else(|| Error::missing(self.what, field))
    }

    /// Refuses what is left: for objects that the contract closes.
    pub(crate) fn close(self) -> Result<()> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => {
                let words = format!("`{}` is not a field of this request.", name.escape_debug());
                Err(Error::new(Kind::Invalid, self.what, words))
            }
        }
    }
}

/// A text.
pub(crate) fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A truth value.
#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
pub(crate) fn boolean(value: Value) -> Option<bool> {
    value.as_bool()
}

/// The largest whole number up to which a fraction's form holds each one exactly: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A whole number, also written with a fraction of zero: `100.0` is one to JSON Schema and to clients that know no others.
#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
#[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is within what i64 holds")]
pub(crate) fn whole(value: Value) -> Option<i64> {
    let written = || value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX);
    value.as_i64().or_else(|| written().map(|number| number as i64))
}

/// An object.
pub(crate) fn object(value: Value) -> Option<Bag> {
    if let Value::Object(fields) = value { Some(fields) } else { None }
}

/// A time on its way out: RFC 3339 in UTC with milliseconds, such as `2026-03-01T12:00:00.000Z`.
pub(crate) fn time(at: domain::Timestamp) -> String {
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fraction_of_zero_is_none() {
        let rows =
            [(json!(7), Some(7)), (json!(-7.0), Some(-7)), (json!(1e3), Some(1_000)), (json!(0.0), Some(0))];
        for (value, number) in rows {
            assert_eq!(whole(value.clone()), number, "{value}");
        }
        for value in
            [json!(0.5), json!(1e300), json!(-1e17), json!("7"), json!(null), json!(true), json!(u64::MAX)]
        {
            assert_eq!(whole(value.clone()), None, "{value}");
        }
    }
}
