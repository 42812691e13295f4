//! One folder per API that Trunkline speaks. Each is a pure translator: a table of endpoints, and `decode`, `encode` and
//! `refuse` beside it. The table mounts the routes, drives the coverage tests and prints PARITY.md. A vendor's words live only
//! in its folder; a new dialect is one folder and one line in [`all`].
#![warn(clippy::wildcard_enum_match_arm)]

use domain::error::{Error, Kind, Result, What};
use domain::key::{Mode, Scope};
use domain::webhook::Happening;
use domain::{Caller, Op, Timestamp, View};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use plan::Plans;
use uuid::Uuid;

mod account;
pub mod cartesia;
mod json;
pub mod krosai;
pub mod native;
pub mod neo;
pub(crate) mod openapi;
pub mod plan;
pub mod polyai;

/// The largest body of an operation that is not about many rows, in bytes.
pub const BODY_MAX: usize = 1 << 20;

/// As much as one thing takes as JSON, in bytes: most answers are written without moving them to a larger place.
const BODY_USUAL: usize = 1 << 10;

/// One operation of a dialect.
#[derive(Debug)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path with `{parameters}`; a literal segment wins over a parameter.
    pub path: &'static str,
    /// Its name within the dialect; `decode` and `encode` go by it.
    pub verb: &'static str,
    /// The right it needs; none: any valid key of the dialect, or nothing where [`Dialect::open`] answers.
    pub scope: Option<Scope>,
}

/// A limit on requests, as told in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests per window.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// When the window ends, in unix seconds.
    pub reset: i64,
}

/// What an answer may quote of its request, known before it is read.
#[derive(Clone, Debug)]
pub struct Context {
    /// Names the request for support.
    pub request_id: Uuid,
    /// The request's headers.
    pub headers: HeaderMap,
    /// Limits that apply, where the dialect tells them.
    pub limits: Option<Limits>,
}

/// A request whose path was found in the table and whose caller is known.
#[derive(Debug)]
pub struct Request<'a> {
    /// The row of the table.
    pub endpoint: &'static Endpoint,
    /// Path parameters, percent-decoded, by name.
    pub path: Vec<(&'static str, String)>,
    /// Query parameters, percent-decoded, in order.
    pub query: Vec<(String, String)>,
    /// The body, bounded by the server.
    pub body: &'a [u8],
    /// Who asks.
    pub caller: &'a Caller,
    /// The time.
    pub now: Timestamp,
    /// The rest.
    pub context: &'a Context,
}

impl Request<'_> {
    /// A path parameter; the table guarantees that it is there.
    pub fn param(&self, name: &str) -> &str {
        self.path.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    /// A query parameter, the first of its name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that must be a whole number within `range`.
    pub(crate) fn whole(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>> {
        let Some(text) = self.query(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // Digits beyond 32 bits are still a number: the largest, for the range to judge.
        let value = digits.then(|| text.parse().unwrap_or(u32::MAX)).filter(|value| range.contains(value));
        let (least, most) = (range.start(), range.end());
        value.map(Some).ok_or_else(|| {
            let words = match *most {
                u32::MAX => format!("`{name}` must be a whole number, {least} or more."),
                _ => format!("`{name}` must be a whole number from {least} to {most}."),
            };
            Error::invalid(What::Request, name, words)
        })
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.context.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers besides Content-Length and Content-Type.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body; empty: none.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), content_type: "application/json", body: Vec::new() }
    }

    /// A JSON answer.
    pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        // The wire structs have string keys and no failing serializer, so this cannot fail; an empty body would be seen at once.
        let mut bytes = Vec::with_capacity(BODY_USUAL);
        match serde_json::to_writer(&mut bytes, body) {
            Ok(()) => Self { body: bytes, ..Self::empty(status) },
            Err(_) => Self::empty(status),
        }
    }

    /// Adds a header; a value that is no header text is left out.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// Adds `Retry-After` in whole seconds, never less than the wait, where the error says when to try again.
    #[must_use]
    pub(crate) fn with_retry_after(self, error: &Error) -> Self {
        match retry_seconds(error) {
            Some(seconds) => self.with("retry-after", &seconds.to_string()),
            None => self,
        }
    }
}

/// One API.
pub trait Dialect: Sync + Send {
    /// Its name: what a key's `dialect` says.
    fn name(&self) -> &'static str;

    /// Its operations.
    fn endpoints(&self) -> &'static [Endpoint];

    /// Whether an unknown path is this dialect's to refuse: how many leading bytes of it are the dialect's own.
    fn claims(&self, path: &str) -> Option<usize>;

    /// The credential of a request, in each header form that the vendor documents. Two forms that differ are an error.
    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>>;

    /// A new key in the vendor's form, around 32 random bytes in text. `(secret, mode)` → text.
    fn key(&self, secret: &str, mode: Mode) -> String;

    /// Reads a request.
    fn decode(&self, request: &Request<'_>) -> Result<Op>;

    /// Writes an answer. `view` is what the request's operation gives; another is an internal error.
    fn encode(&self, request: &Request<'_>, view: View) -> Reply;

    /// Answers an operation that anybody may ask, with or without a key: such an operation reads nothing of any tenant.
    fn open(&self, _endpoint: &Endpoint, _context: &Context) -> Option<Reply> {
        None
    }

    /// Writes a refusal.
    fn refuse(&self, context: &Context, error: &Error) -> Reply;

    /// The API's description as an OpenAPI document, generated from the table and the wire structs.
    fn openapi(&self) -> serde_json::Value;

    /// Where it differs from what the vendor publishes, or decides what the vendor leaves open. PARITY.md prints them.
    fn deviations(&self) -> &'static [&'static str];

    /// The largest body that an operation takes, in bytes.
    fn body_max(&self, _endpoint: &Endpoint) -> usize {
        BODY_MAX
    }

    /// The body of a webhook's delivery; none where the API has no webhooks. The same event gives the same bytes.
    fn hook_body(&self, _happening: &Happening) -> Option<Vec<u8>> {
        None
    }

    /// The headers that sign such a body. `mac` is its HMAC-SHA256 with the webhook's secret, in hexadecimal digits.
    fn hook_headers(&self, mac: &str) -> Vec<(HeaderName, HeaderValue)> {
        let value = HeaderValue::from_str(&format!("sha256={mac}"));
        value.into_iter().map(|value| (HeaderName::from_static("x-webhook-signature"), value)).collect()
    }

    /// The plans by which the vendor limits its customers, where it has such.
    fn plans(&self) -> Option<&'static Plans> {
        None
    }

    /// How many requests of one tenant are served within how many seconds, where the vendor documents a limit for all.
    fn rate_limit(&self) -> Option<(u32, u32)> {
        None
    }
}

/// How many dialects there are.
pub const COUNT: usize = 5;

/// Every dialect. The order settles who refuses a path that two claim alike.
pub fn all() -> [&'static dyn Dialect; COUNT] {
    [&native::Native, &polyai::PolyAi, &cartesia::Cartesia, &neo::Neo, &krosai::KrosAi]
}

/// A dialect by its name.
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    all().into_iter().find(|dialect| dialect.name() == name)
}

/// When to try again, in whole seconds rounded up. A limit always says so, even where the error does not.
pub(crate) fn retry_seconds(error: &Error) -> Option<u64> {
    let wait = error
        .retry_after
        .or_else(|| (error.kind == Kind::Limit).then_some(std::time::Duration::from_secs(1)))?;
    Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
}

/// How much of `path` is `prefix`, where the path is the prefix or goes on below it.
pub(crate) fn under(path: &str, prefix: &str) -> Option<usize> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix.len())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // A value that is no text is a credential all the same: one that fits nobody.
    headers.get(name).map(|value| value.to_str().map_or("", str::trim))
}

/// The secret of `Authorization: Bearer …`; empty where the header holds something else.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    header_text(headers, "authorization").map(|value| match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
        _ => String::new(),
    })
}

/// The secret of `x-api-key: …`.
pub fn api_key(headers: &HeaderMap) -> Option<String> {
    header_text(headers, "x-api-key").map(str::to_owned)
}

/// The secret of `Authorization: Bearer …` and of `x-api-key: …`, for dialects that take both. Both with different secrets
/// are an error: guessing which one counts would be a coin toss with somebody's rights.
pub fn bearer_or_api_key(headers: &HeaderMap) -> Result<Option<String>> {
    match (bearer(headers), api_key(headers)) {
        (Some(a), Some(b)) if a != b => {
            let words = "`Authorization` and `x-api-key` carry different keys; send one.";
            Err(Error::new(Kind::Unauthenticated, What::Key, words))
        }
        (Some(secret), _) | (None, Some(secret)) => Ok(Some(secret)),
        (None, None) => Ok(None),
    }
}
