//! Rates: what calls cost by prefix. The operator sets them; an organization sees its own and those for everybody.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::page::{ListOut, page};
use super::read::{no_body, path_id};
use super::reply::{id_or_null, time};
use super::words;
use crate::json;
use crate::{Reply, Request};
use domain::call::Direction;
use domain::error::{Result, What};
use domain::ids::{OrganizationId, RateId};
use domain::rate::{Prefix, Rate, RateNew};
use domain::{Micros, Op, Paged, Price};

const PREFIX: &str =
    "at most 15 digits that a number in E.164 form begins with, such as \"44\"; \"\" for all";

/// A rate to be set.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateSet)]
#[expect(dead_code, reason = "describes a request to OpenAPI and is never built")]
pub(super) struct RateBody {
    /// Which way calls go.
    #[schema(schema_with = words::direction)]
    direction: String,
    /// Digits that the called number begins with; empty: every number. Of ours where calls come in.
    #[schema(max_length = 16, pattern = r"^\+?([1-9][0-9]*)?$")]
    prefix: String,
    /// A minute, in millionths of the currency.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    rate_per_minute_micros: i64,
    /// Once for each answered call, in millionths of the currency; absent or null: nothing.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    setup_micros: Option<i64>,
    /// Seconds that are billed at least; absent or null: none.
    #[schema(minimum = 0, maximum = 3600)]
    minimum_seconds: Option<u32>,
    /// Beyond the minimum, billed in whole steps of so many seconds; absent or null: 1.
    #[schema(minimum = 1, maximum = 3600)]
    increment_seconds: Option<u32>,
}

#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
fn micros(value: Value) -> Option<Micros> {
    value.as_i64().map(Micros)
}

#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
fn seconds(value: Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}

pub(super) fn set(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Rate)?;
    let named = |value: Value| value.as_str().and_then(Direction::parse);
    let direction = body.required("direction", &words::one_of(&Direction::NAMES), named)?;
    let prefix = body.required("prefix", PREFIX, |value| value.as_str().and_then(Prefix::parse))?;
    let whole = "a whole number";
    let price = Price {
        per_minute: body.required("rate_per_minute_micros", whole, micros)?,
        setup: body.optional("setup_micros", whole, micros)?.unwrap_or_default(),
        minimum_seconds: body.optional("minimum_seconds", whole, seconds)?.unwrap_or(0),
        increment_seconds: body.optional("increment_seconds", whole, seconds)?.unwrap_or(1),
    };
    body.close()?;
    Ok(Op::RateSet(RateNew { direction, prefix, price }))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::RateList(page(request, RateId::parse)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    no_body(request, What::Rate)?;
    Ok(Op::RateDelete(path_id(request, What::Rate, RateId::parse)?))
}

/// What calls to numbers with a prefix cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rate)]
pub(super) struct RateOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Whose; null: everybody's without one of their own.
    #[schema(required = true, format = "uuid")]
    organization_id: Option<String>,
    /// Which way calls go.
    #[schema(schema_with = words::direction)]
    direction: &'static str,
    /// Digits that the called number begins with; empty: every number. The longest that fits wins.
    prefix: String,
    /// A minute, in millionths of the currency.
    rate_per_minute_micros: i64,
    /// Once for each answered call, in millionths of the currency.
    setup_micros: i64,
    /// Seconds that are billed at least.
    minimum_seconds: u32,
    /// Beyond the minimum, billed in whole steps of so many seconds.
    increment_seconds: u32,
    /// The currency (ISO 4217).
    #[schema(schema_with = words::currency)]
    currency: &'static str,
    /// When it was set.
    #[schema(format = DateTime)]
    created_at: String,
}

pub(super) fn reply(rate: Rate) -> Reply {
    Reply::json(StatusCode::CREATED, &RateOut::from(rate))
}

pub(super) fn page_out(page: Paged<Rate>) -> ListOut<RateOut> {
    ListOut::of(page, |rate| rate.id.to_string(), RateOut::from)
}

impl From<Rate> for RateOut {
    fn from(rate: Rate) -> Self {
        let Rate { id, organization_id, direction, prefix, price, created_at } = rate;
        let Price { per_minute, setup, minimum_seconds, increment_seconds } = price;
        Self {
            id: id.to_string(),
            organization_id: id_or_null(Some(organization_id).filter(|id| *id != OrganizationId::NONE)),
            direction: direction.as_str(),
            prefix: prefix.to_string(),
            rate_per_minute_micros: per_minute.0,
            setup_micros: setup.0,
            minimum_seconds,
            increment_seconds,
            currency: "USD",
            created_at: time(created_at),
        }
    }
}
