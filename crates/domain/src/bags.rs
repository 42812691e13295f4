//! What only one dialect knows of a thing: a free object for each dialect, by its name. Nothing but its own dialect reads it.

use crate::Bag;
use crate::error::{Error, Result, What};
use serde_json::Value;

/// The most that all bags of one thing hold, in bytes of JSON.
pub const BAGS_MAX: usize = 16_384;

/// Merges fields into the bags of dialects; null removes one, and an empty bag goes.
pub fn merge(bags: &mut Bag, patch: Bag, what: What) -> Result<()> {
    for (dialect, fields) in patch {
        let Value::Object(fields) = fields else { continue };
        let mut bag = match bags.remove(&dialect) {
            Some(Value::Object(bag)) => bag,
            Some(_) | None => Bag::new(),
        };
        for (name, value) in fields {
            if value.is_null() {
                bag.remove(&name);
            } else {
                bag.insert(name, value);
            }
        }
        if !bag.is_empty() {
            bags.insert(dialect, Value::Object(bag));
        }
    }
    within(bags, BAGS_MAX, (what, "bags"))
}

/// Checks that a free object is not too large, in bytes of JSON: a page of a thousand things must stay a page.
pub(crate) fn within(bag: &Bag, max: usize, (what, field): (What, &'static str)) -> Result<()> {
    if serde_json::to_vec(bag).is_ok_and(|text| text.len() <= max) {
        return Ok(());
    }
    let words = format!("`{field}` of one {} may have at most {max} bytes.", what.noun());
    Err(Error::invalid(what, field, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bag(value: Value) -> Bag {
        if let Value::Object(bag) = value { bag } else { Bag::new() }
    }

    #[test]
    fn bags_are_merged_by_field_and_bounded() {
        let mut bags = bag(json!({"one": {"a": 1, "b": 2}, "two": {"c": 3}}));
        merge(&mut bags, bag(json!({"one": {"a": null, "d": 4}, "two": {"c": null}})), What::Agent).unwrap();
        assert_eq!(Value::Object(bags.clone()), json!({"one": {"b": 2, "d": 4}}));
        let large = bag(json!({"one": {"x": "x".repeat(BAGS_MAX)}}));
        assert_eq!(merge(&mut bags, large, What::Agent).unwrap_err().field, Some("bags"));
    }
}
