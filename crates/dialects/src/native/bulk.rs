//! Many rows in one request, as JSON or CSV, with a result per row in the order of the rows.

use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;
use utoipa::ToSchema;

use super::csv::{ROWS_MAX, rows, too_many};
use super::error::RowErrorOut;
use super::numbers::setup;
use super::page::filter;
use super::read::{self, UUID};
use super::words::one_of;
use crate::Request;
use crate::json::{Body, text};
use domain::error::{Error, Kind, Result, What};
use domain::ids::{AgentId, EndpointId, ProviderId};
use domain::number::{Environment, NumberSetup};
use domain::op::Import;
use domain::view::RowResult;
use domain::{Bag, Op};

/// What became of one row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RowResult)]
pub(super) struct RowOut {
    /// The number as written; null where the row could not be read.
    #[schema(required = true)]
    e164: Option<String>,
    /// The id it got.
    #[schema(required = true, format = "uuid")]
    id: Option<String>,
    /// Why it was refused.
    #[schema(required = true)]
    error: Option<RowErrorOut>,
}

/// What became of each row, in the order of the rows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkResult)]
pub(super) struct BulkOut {
    /// One per row.
    results: Vec<RowOut>,
    /// How many rows were taken.
    created: usize,
    /// How many were refused.
    failed: usize,
}

impl<K: Display> From<Vec<RowResult<K>>> for BulkOut {
    fn from(rows: Vec<RowResult<K>>) -> Self {
        let results: Vec<RowOut> = rows
            .into_iter()
            .map(|RowResult { e164, result }| {
                let e164 = Some(e164).filter(|text| !text.is_empty());
                match result {
                    Ok(id) => RowOut { e164, id: Some(id.to_string()), error: None },
                    Err(error) => RowOut { e164, id: None, error: Some(error.into()) },
                }
            })
            .collect();
        let created = results.iter().filter(|row| row.id.is_some()).count();
        Self { created, failed: results.len() - created, results }
    }
}

/// Whether the body says that it is CSV.
pub(super) fn is_csv(request: &Request<'_>) -> bool {
    let media = request.header("content-type").and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("text/csv"))
}

/// A body of any JSON.
pub(super) fn json(request: &Request<'_>, what: What) -> Result<Value> {
    serde_json::from_slice(request.body)
        .map_err(|error| Error::new(Kind::Malformed, what, format!("The body is not valid JSON: {error}.")))
}

/// Rows of a JSON list, each an object.
pub(super) fn objects(items: Vec<Value>, what: What) -> Result<Vec<Result<Bag>>> {
    if items.len() > ROWS_MAX {
        return Err(too_many(what));
    }
    let object = |item| match item {
        Value::Object(fields) => Ok(fields),
        // A number alone stands for a row that names nothing else.
        Value::String(e164) => Ok(Bag::from_iter([("e164".to_owned(), Value::String(e164))])),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(Error::new(Kind::Invalid, what, "The row must be an object."))
        }
    };
    Ok(items.into_iter().map(object).collect())
}

/// What rows get that do not say otherwise.
#[derive(Default)]
struct Defaults {
    provider_id: Option<ProviderId>,
    setup: NumberSetup,
}

impl Defaults {
    /// What `self` names counts; the rest is `other`'s.
    fn or(self, other: Self) -> Self {
        Self { provider_id: self.provider_id.or(other.provider_id), setup: or(self.setup, other.setup) }
    }

    fn of_query(request: &Request<'_>) -> Result<Self> {
        Ok(Self {
            provider_id: filter(request, "provider_id", UUID, ProviderId::parse)?,
            setup: NumberSetup {
                endpoint_id: filter(request, "endpoint_id", UUID, EndpointId::parse)?,
                agent_id: filter(request, "agent_id", read::AGENT_ID, AgentId::parse)?,
                label: filter(request, "label", "a text", |text| Some(text.to_owned()))?,
                environment: filter(request, "environment", one_of(&Environment::NAMES), Environment::parse)?,
            },
        })
    }

    fn of_body(body: &mut Body) -> Result<Self> {
        Ok(Self {
            provider_id: body.optional("provider_id", UUID, read::word(ProviderId::parse))?,
            setup: setup(body)?,
        })
    }
}

/// Where a call goes is one choice: a row that names an endpoint or an agent takes neither from the defaults.
fn or(named: NumberSetup, default: NumberSetup) -> NumberSetup {
    let NumberSetup { endpoint_id, agent_id, label, environment } = named;
    let (endpoint_id, agent_id) = match (endpoint_id, agent_id) {
        (None, None) => (default.endpoint_id, default.agent_id),
        named => named,
    };
    let (label, environment) = (label.or(default.label), environment.or(default.environment));
    NumberSetup { endpoint_id, agent_id, label, environment }
}

const COLUMNS: [&str; 6] = ["e164", "label", "endpoint_id", "agent_id", "environment", "provider_id"];

/// `POST /numbers/import`: an object with `numbers`, a list, or CSV; what the rows leave out comes from the object, then from
/// the query.
pub(super) fn import(request: &Request<'_>) -> Result<Op> {
    let mut defaults = Defaults::of_query(request)?;
    let found = if is_csv(request) {
        rows(request.body, What::Number, &COLUMNS)?
    } else {
        match json(request, What::Number)? {
            Value::Array(items) => objects(items, What::Number)?,
            Value::Object(fields) => {
                let mut body = Body::of(fields, What::Number);
                defaults = Defaults::of_body(&mut body)?.or(defaults);
                let items = body.required("numbers", "a list of numbers", read::array)?;
                body.close()?;
                objects(items, What::Number)?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(Error::new(
                    Kind::Malformed,
                    What::Number,
                    "The body must be a JSON object or list.",
                ));
            }
        }
    };
    let mut provider_id = defaults.provider_id;
    let mut imports = Vec::with_capacity(found.len());
    for fields in found {
        imports.push(fields.and_then(|fields| one(fields, &defaults.setup, &mut provider_id)));
    }
    let provider_id = provider_id.ok_or_else(|| Error::missing(What::Number, "provider_id"))?;
    Ok(Op::NumberImportMany(provider_id, imports))
}

/// One row. All rows come in on one trunk: the first that is named.
fn one(fields: Bag, defaults: &NumberSetup, provider_id: &mut Option<ProviderId>) -> Result<Import> {
    let mut body = Body::of(fields, What::Number);
    let e164 = body.required("e164", "a phone number in E.164 form", text)?;
    let named = Defaults::of_body(&mut body)?;
    body.close()?;
    if let Some(wanted) = named.provider_id
        && *provider_id.get_or_insert(wanted) != wanted
    {
        let words =
            "`provider_id` differs from that of the request; import each trunk's numbers on their own.";
        return Err(Error::invalid(What::Number, "provider_id", words));
    }
    Ok(Import { e164, setup: or(named.setup, defaults.clone()) })
}
