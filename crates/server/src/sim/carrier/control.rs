//! What the carrier's operator says and asks: how purchases go, how one ends, what was sold.
//!
//! ```text
//! GET  /books                          {"numbers": [{"e164", "state", "reference", "times_sold"}]}
//! POST /purchases                      {"outcome": "ok", "delay_ms": 500, "times": 1, "e164" | "country" | "all": …}   204
//! POST /purchases/{e164}/settle        {"outcome": "ok" | "fail"}   204; 404 where none is pending
//! ```

use dialects::Reply;
use domain::{E164, Error, Kind, Result, What};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

use super::super::body::Body;
use super::Books;
use super::orders::{Behaviour, Selector, Verdict};

/// The longest that it can be told to take, in milliseconds.
const DELAY_MAX: u64 = 600_000;

impl Books {
    pub(super) fn control(&self, method: &str, path: &str, body: &[u8]) -> Result<Reply> {
        let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match (method, segments.as_slice()) {
            ("GET", ["books"]) => {
                let numbers = self.with(|orders| orders.books());
                Ok(Reply::json(StatusCode::OK, &json!({ "numbers": numbers })))
            }
            ("POST", ["purchases"]) => self.purchases(Body::read(body)?),
            ("POST", ["purchases", number, "settle"]) => self.settle(number, Body::read(body)?),
            _ => Err(Error::new(Kind::NotFound, What::Route, "There is no such path.")),
        }
    }

    fn purchases(&self, mut body: Body) -> Result<Reply> {
        let number = body.number("e164")?;
        let country = body.country()?;
        let all = body.take("all", "true", |v| (v == &Value::Bool(true)).then_some(()))?;
        let outcome =
            body.take("outcome", "ok, fail, pending or slow", |v| v.as_str().and_then(verdict_of))?;
        let delay = body.whole("delay_ms", 0..=DELAY_MAX)?;
        let times = body.whole("times", 1..=1_000_000)?;
        body.finish()?;
        let (verdict, slow) = outcome.ok_or_else(|| Error::missing(What::Request, "outcome"))?;
        let selector = match (number, country, all) {
            (Some(number), None, None) => Selector::Number(number),
            (None, Some(country), None) => Selector::Country(country),
            (None, None, Some(()) | None) => Selector::All,
            _ => {
                let words = "Name one of `e164`, `country` and `all`.";
                return Err(Error::invalid(What::Request, "e164", words));
            }
        };
        let delay = Duration::from_millis(delay.unwrap_or(if slow { 2_000 } else { 0 }));
        let times = times.and_then(|times| u32::try_from(times).ok());
        if !self.with(|orders| orders.behave(Behaviour { selector, verdict, delay, times })) {
            let words = "Too many such rules wait; begin a new simulation.";
            return Err(Error::new(Kind::Conflict, What::Request, words));
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    fn settle(&self, number: &str, mut body: Body) -> Result<Reply> {
        let outcome = body.take("outcome", "ok or fail", |v| match v.as_str()? {
            "ok" => Some(true),
            "fail" => Some(false),
            _ => None,
        })?;
        body.finish()?;
        let delivered = outcome.ok_or_else(|| Error::missing(What::Request, "outcome"))?;
        let none = || {
            Error::new(Kind::NotFound, What::Number, "The simulated carrier has no such purchase pending.")
        };
        let number = named(number).ok_or_else(none)?;
        let settled = self.with(|orders| orders.settle(number, delivered));
        if !settled.map_err(|error| Error::internal(error.to_string()))? {
            return Err(none());
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

/// The number that a path names.
pub(in super::super) fn named(segment: &str) -> Option<E164> {
    let text = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    E164::from_digits(text.trim_start_matches('+'))
}

/// An outcome, and whether it takes its time unless told how long.
fn verdict_of(word: &str) -> Option<(Verdict, bool)> {
    match word {
        "ok" => Some((Verdict::Deliver, false)),
        "slow" => Some((Verdict::Deliver, true)),
        "fail" => Some((Verdict::Refuse, false)),
        "pending" => Some((Verdict::Pend, false)),
        _ => None,
    }
}
