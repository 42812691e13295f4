//! Fields in the native form, and what a request says besides its body: ids in the path, If-Match.

use serde_json::Value;

use crate::Request;
use domain::error::{Error, Kind, Result, What};
use domain::ids::OrganizationId;
use domain::op::Expect;

/// What an id must be, for the sentence "`field` must be …".
pub(super) const UUID: &str = "an id in its hyphenated UUID form";
/// What an agent's id must be.
pub(super) const AGENT_ID: &str = "the id of an agent";
/// What a country must be.
pub(super) const COUNTRY: &str = "a country's two letters (ISO 3166-1), such as `US`";

/// A text that is an id, or a word of a closed list.
pub(super) fn word<T>(parse: impl Fn(&str) -> Option<T>) -> impl Fn(Value) -> Option<T> {
    move |value| value.as_str().and_then(&parse)
}

/// A whole number that is small and not negative.
pub(super) fn small(value: Value) -> Option<u32> {
    crate::json::whole(value).and_then(|n| u32::try_from(n).ok())
}

/// A list.
pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

/// The id in the path; what is no id names nothing.
pub(super) fn path_id<T>(request: &Request<'_>, what: What, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    parse(request.param("id")).ok_or_else(|| Error::not_found(what))
}

/// The organization in the path. A key knows only its own: another is not there, whatever the body says.
pub(super) fn organization(request: &Request<'_>) -> Result<OrganizationId> {
    let id = path_id(request, What::Organization, OrganizationId::parse)?;
    if !request.caller.is_operator() && request.caller.organization_id != Some(id) {
        return Err(Error::not_found(What::Organization));
    }
    Ok(id)
}

/// The version that If-Match names (RFC 9110 section 13.1.1). Versions only grow, so of several tags only the highest can
/// still be the current one; a tag that we never gave out, or a weak one, matches nothing.
pub(super) fn expect(request: &Request<'_>) -> Result<Expect> {
    let malformed = || {
        let words = "`If-Match` must be `*` or entity tags in quotes, such as \"3\".";
        Error::new(Kind::Malformed, What::Request, words)
    };
    let mut tags = Vec::new();
    for line in request.context.headers.get_all("if-match") {
        let line = line.to_str().map_err(|_| malformed())?;
        tags.extend(line.split(',').map(str::trim).filter(|tag| !tag.is_empty()));
    }
    if tags.is_empty() {
        let named = request.context.headers.contains_key("if-match");
        return if named { Err(malformed()) } else { Ok(None) };
    }
    if tags == ["*"] {
        return Ok(None);
    }
    let mut highest = None;
    for tag in tags {
        let (weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |rest| (true, rest));
        let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(malformed)?;
        if inner.contains('"') {
            return Err(malformed());
        }
        if !weak {
            highest = highest.max(inner.parse::<u64>().ok());
        }
    }
    match highest {
        Some(version) => Ok(Some(version)),
        None => Err(Error::new(Kind::Stale, What::Request, "`If-Match` names no version of this resource.")),
    }
}

/// A truth value in a query.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// For operations that take no body: none, or an empty object.
pub(super) fn no_body(request: &Request<'_>, what: What) -> Result<()> {
    crate::json::body(request.body, what)?.close()
}
