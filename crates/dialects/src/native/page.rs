//! Query parameters: closed per operation; lists page by an opaque cursor, the base64url of the last row's id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::Request;
use domain::error::{Error, Kind, Result, What};
use domain::{Page, Paged, Start};

/// Rows of a page where `limit` is absent.
pub(super) const LIMIT_DEFAULT: u32 = 100;
/// The most rows of a page.
pub(super) const LIMIT_MAX: u32 = 1_000;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct ListOut<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> ListOut<T> {
    /// From a page of rows, each with its id.
    pub(super) fn of<R>(paged: Paged<R>, id: impl Fn(&R) -> String, row: impl FnMut(R) -> T) -> Self {
        let last = paged.items.last().filter(|_| paged.more);
        let next_cursor = last.map(|last| URL_SAFE_NO_PAD.encode(id(last)));
        Self { data: paged.items.into_iter().map(row).collect(), next_cursor }
    }
}

/// Refuses query parameters that the operation does not have, or that come twice.
pub(super) fn known_parameters(request: &Request<'_>) -> Result<()> {
    let known = super::table::parameters(request.endpoint.verb);
    for (at, (name, _)) in request.query.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let words = format!("`{}` is not a query parameter of this request.", name.escape_debug());
            return Err(Error::new(Kind::Invalid, What::Request, words));
        }
        if request.query[..at].iter().any(|(other, _)| other == name) {
            let words = format!("The query parameter `{name}` came twice.");
            return Err(Error::new(Kind::Invalid, What::Request, words));
        }
    }
    Ok(())
}

/// The wanted page of a list whose rows have such ids.
pub(super) fn page<K>(request: &Request<'_>, id: impl FnOnce(&str) -> Option<K>) -> Result<Page<K>> {
    let limit = match request.query("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => whole(text).filter(|n| (1..=LIMIT_MAX).contains(n)).ok_or_else(|| {
            let words = format!("`limit` must be a whole number from 1 to {LIMIT_MAX}.");
            Error::invalid(What::Request, "limit", words)
        })?,
    };
    let start = match request.query("cursor") {
        None => Start::First,
        Some(text) => {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| id(&text));
            Start::After(key.ok_or_else(|| {
                let words = "`cursor` must be the `next_cursor` of a page of the same list.";
                Error::invalid(What::Request, "cursor", words)
            })?)
        }
    };
    Ok(Page { limit, start })
}

fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A filter: absent or empty means none. `must` completes "`name` must be …".
pub(super) fn filter<T>(
    request: &Request<'_>,
    name: &'static str,
    must: impl AsRef<str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    match request.query(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => read(text).map(Some).ok_or_else(|| {
            let words = format!("`{name}` must be {}.", must.as_ref());
            Error::invalid(What::Request, name, words)
        }),
    }
}

/// A search text: absent or blank means none. A `+` that form decoding turned into a blank is not missed: any part matches.
pub(super) fn search(request: &Request<'_>) -> Option<String> {
    request.query("q").map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
