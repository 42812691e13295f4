//! What is said of where calls go, of numbers, endpoints and providers: its fields in bodies, and its shapes for OpenAPI. Its JSON is
//! read and written by `domain::rules::json`.
#![expect(dead_code, reason = "these describe JSON to OpenAPI and are never built")]

use serde_json::Value;
use utoipa::ToSchema;

use super::words;
use crate::json::Body;
use domain::error::{Result, What};
use domain::rules::{EndpointRulesPatch, NumberRulesPatch, Schedule, json};

/// The rules of a number in a change.
pub(super) fn of_number(body: &mut Body) -> Result<NumberRulesPatch> {
    Ok(NumberRulesPatch {
        callers: body.patch_by("caller_rules", json::callers)?,
        schedule: body.patch_by("schedule", |value| Schedule::read(value, (What::Number, "schedule")))?,
        split: body.patch_by("split", json::split)?,
        fallback: body.patch_by("fallback", |value| json::steps(value, What::Number))?,
        calls_max: body.patch_by("max_concurrent_calls", |value| json::calls_max(value, What::Number))?,
        minute_max: body.patch_by(json::MINUTE_MAX, |value| json::begun_max(value, json::MINUTE_MAX))?,
        day_max: body.patch_by(json::DAY_MAX, |value| json::begun_max(value, json::DAY_MAX))?,
    })
}

/// The rules of an endpoint in a change.
pub(super) fn of_endpoint(body: &mut Body) -> Result<EndpointRulesPatch> {
    Ok(EndpointRulesPatch {
        failover: body.patch_by("failover", json::failover)?,
        answer_seconds: body.patch_by("answer_seconds", json::answer_seconds)?,
        health: body.patch_by("health", json::health)?,
        fallback: body.patch_by("fallback", |value| json::steps(value, What::Endpoint))?,
    })
}

/// A list that is null where it is empty.
pub(super) fn some(list: Value) -> Option<Value> {
    Some(list).filter(|list| list.as_array().is_none_or(|items| !items.is_empty()))
}

/// Whether a target is asked whether it is there (OPTIONS), and how often.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthCheck {
    /// Whether it is.
    enabled: bool,
    /// How often, in seconds; absent: 30.
    #[schema(minimum = 2, maximum = 3600)]
    interval_seconds: Option<u16>,
}

/// What becomes of the calls of some callers.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallerRule {
    /// A number (`+12125550100`), a prefix (`+1212*`), `anonymous` (callers that show no number), or `all`.
    from: String,
    /// `allow` (no later rule is looked at), `refuse`, or `endpoint`.
    #[schema(schema_with = words::caller_action)]
    action: String,
    /// With `refuse`: one of 403, 404, 480, 486, 503, 603; absent: 603.
    status: Option<u16>,
    /// With `endpoint`: where the call goes.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
}

/// Part of a day.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hours {
    /// From this time of the clock, such as `09:00`.
    from: String,
    /// To before this one, such as `17:00`, up to `24:00`.
    to: String,
    /// Where calls go then; null: where they go anyway.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
}

/// Part of some days of the week.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    /// On which days.
    #[schema(schema_with = words::days)]
    days: Vec<String>,
    /// From this time of the clock, such as `09:00`.
    from: String,
    /// To before this one, such as `17:00`, up to `24:00`.
    to: String,
    /// Where calls go then; null: where they go anyway.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
}

/// A single date, such as a holiday.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleDate {
    /// Which.
    #[schema(format = Date)]
    date: String,
    /// When calls are taken, in place of the week's windows; empty or absent: not at all.
    #[schema(max_items = 64)]
    windows: Option<Vec<Hours>>,
}

/// When calls are taken.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Schedule)]
pub(super) struct ScheduleShape {
    /// The name of an IANA time zone, such as `America/New_York`.
    time_zone: String,
    /// The week.
    #[schema(max_items = 64)]
    windows: Option<Vec<Window>>,
    /// Single dates.
    #[schema(max_items = 366)]
    dates: Option<Vec<ScheduleDate>>,
}

/// A place's part of a number's calls.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    /// The place.
    #[schema(format = "uuid")]
    endpoint_id: String,
    /// Its part; all parts come to 100.
    #[schema(minimum = 1, maximum = 100)]
    percent: u8,
}

/// Where a call goes on: one of the three.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FallbackTo {
    /// To this endpoint.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// To the endpoint of this number, which must be of the same organization.
    e164: Option<String>,
    /// To this answer: one of 403, 404, 480, 486, 503, 603.
    refuse: Option<u16>,
}

/// A step of a chain of fallbacks.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fallback {
    /// Why the place before must have failed.
    #[schema(schema_with = words::causes)]
    on: Vec<String>,
    /// Where the call goes on.
    to: FallbackTo,
}

/// After which causes an endpoint's next target is tried.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Failover {
    /// The causes; never those that are a word about the call itself.
    #[schema(schema_with = words::failover_causes)]
    on: Vec<String>,
}
