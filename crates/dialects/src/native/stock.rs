//! Stock: numbers that the operator can sell. Writing is the operator's, whatever the body says.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::bulk::{is_csv, json, objects};
use super::csv::rows;
use super::page::{filter, page, search};
use super::read::{self, COUNTRY, expect, no_body, path_id};
use super::reply::{time, time_or_null};
use super::words::{self, one_of};
use crate::Request;
use crate::json::{self, Body, boolean, object, text, whole};
use domain::e164::{Country, NumberType};
use domain::error::{Error, Kind, Result, What};
use domain::ids::StockId;
use domain::stock::{Capabilities, Hold, Stock, StockNew, StockPatch, StockQuery, StockState};
use domain::{Bag, Caller, Op};

const CENTS: &str = "a whole number of cents, 0 or more";
const CAPABILITIES: &str = "an object of `voice`, `sms` and `fax`, each true or false";
const COLUMNS: [&str; 6] =
    ["e164", "country", "type", "setup_cost_cents", "monthly_cost_cents", "capabilities"];

fn cents(value: Value) -> Option<i64> {
    whole(value).filter(|cents| *cents >= 0)
}

/// What a new number carries; what is not named is as usual.
fn capabilities(fields: Bag) -> Result<Capabilities> {
    let usual = Capabilities::default();
    let mut body = Body::of(fields, What::Stock);
    let mut of = |name| body.optional(name, "true or false", boolean);
    let read = Capabilities {
        voice: of("voice")?.unwrap_or(usual.voice),
        sms: of("sms")?.unwrap_or(usual.sms),
        fax: of("fax")?.unwrap_or(usual.fax),
    };
    body.close()?;
    Ok(read)
}

/// What a changed number carries: all three, since the whole is replaced.
fn all_capabilities(fields: Bag) -> Result<Capabilities> {
    let mut body = Body::of(fields, What::Stock);
    let mut of = |name| body.required(name, "true or false", boolean);
    let read = Capabilities { voice: of("voice")?, sms: of("sms")?, fax: of("fax")? };
    body.close()?;
    Ok(read)
}

fn one(fields: Bag) -> Result<StockNew> {
    let mut body = Body::of(fields, What::Stock);
    let given = body.optional("capabilities", CAPABILITIES, object)?;
    let new = StockNew {
        e164: body.required("e164", "a phone number in E.164 form", text)?,
        country: body.optional("country", COUNTRY, read::word(Country::parse))?,
        kind: body.optional("type", &one_of(&NumberType::NAMES), read::word(NumberType::parse))?,
        setup_cost_cents: body.required("setup_cost_cents", CENTS, cents)?,
        monthly_cost_cents: body.required("monthly_cost_cents", CENTS, cents)?,
        capabilities: given.map(capabilities).transpose()?.unwrap_or_default(),
    };
    body.close()?;
    Ok(new)
}

/// A row of CSV as the same fields that JSON has: prices as numbers, capabilities as words (`voice sms`).
fn of_csv(mut fields: Bag) -> Result<StockNew> {
    for name in ["setup_cost_cents", "monthly_cost_cents"] {
        if let Some(cell) = fields.get_mut(name)
            && let Some(number) = cell.as_str().and_then(|text| text.parse::<i64>().ok())
        {
            *cell = Value::from(number);
        }
    }
    if let Some(cell) = fields.get_mut("capabilities")
        && let Some(words) = cell.as_str()
    {
        let mut held =
            Bag::from_iter(["voice", "sms", "fax"].map(|name| (name.to_owned(), Value::from(false))));
        for word in words.split([' ', '|', ';', ',']).filter(|word| !word.is_empty()) {
            held.insert(word.to_owned(), Value::from(true));
        }
        *cell = Value::Object(held);
    }
    one(fields)
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    request.caller.require_operator()?;
    if is_csv(request) {
        let rows = rows(request.body, What::Stock, &COLUMNS)?;
        return Ok(Op::StockAdd(rows.into_iter().map(|row| row.and_then(of_csv)).collect()));
    }
    match json(request, What::Stock)? {
        Value::Object(fields) => Ok(Op::StockAddOne(one(fields)?)),
        Value::Array(items) => {
            let rows = objects(items, What::Stock)?;
            Ok(Op::StockAdd(rows.into_iter().map(|row| row.and_then(one)).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Error::new(Kind::Malformed, What::Stock, "The body must be a JSON object or list."))
        }
    }
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let available = filter(request, "available", "`true` or `false`", read::boolean)?;
    // What is sold or rests is the operator's to see.
    let all = request.caller.is_operator() && available != Some(true);
    let query = StockQuery {
        country: filter(request, "country", COUNTRY, Country::parse)?,
        kind: filter(request, "type", one_of(&NumberType::NAMES), NumberType::parse)?,
        available_at: (!all).then_some(request.now),
        q: search(request),
        // Who asks is the request's to say.
        buyer: None,
        mode: None,
    };
    Ok(Op::StockList(query, page(request, StockId::parse)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    request.caller.require_operator()?;
    let id = path_id(request, What::Stock, StockId::parse)?;
    let mut body = json::body(request.body, What::Stock)?;
    let given = body.unclearable("capabilities", CAPABILITIES, object)?;
    let patch = StockPatch {
        setup_cost_cents: body.unclearable("setup_cost_cents", CENTS, cents)?,
        monthly_cost_cents: body.unclearable("monthly_cost_cents", CENTS, cents)?,
        capabilities: given.map(all_capabilities).transpose()?,
        kind: body.unclearable("type", &one_of(&NumberType::NAMES), read::word(NumberType::parse))?,
    };
    body.close()?;
    Ok(Op::StockUpdate(id, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    request.caller.require_operator()?;
    Ok(Op::StockDelete(path_id(request, What::Stock, StockId::parse)?, expect(request)?))
}

pub(super) fn hold(request: &Request<'_>) -> Result<Op> {
    no_body(request, What::Stock)?;
    Ok(Op::StockHold(path_id(request, What::Stock, StockId::parse)?))
}

pub(super) fn unhold(request: &Request<'_>) -> Result<Op> {
    Ok(Op::StockUnhold(path_id(request, What::Stock, StockId::parse)?))
}

/// What a number can carry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capabilities)]
pub(super) struct CapabilitiesOut {
    /// Calls.
    voice: bool,
    /// Text messages.
    sms: bool,
    /// Fax.
    fax: bool,
}

impl From<Capabilities> for CapabilitiesOut {
    fn from(Capabilities { voice, sms, fax }: Capabilities) -> Self {
        Self { voice, sms, fax }
    }
}

/// A number that the operator can sell.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stock)]
pub(super) struct StockOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// The number.
    e164: String,
    /// Its country (ISO 3166-1), or `001` for numbers of no country.
    country: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(schema_with = words::number_type)]
    kind: &'static str,
    /// Paid once.
    setup_cost_cents: i64,
    /// Paid per month, the first at purchase.
    monthly_cost_cents: i64,
    /// What it carries.
    capabilities: CapabilitiesOut,
    /// Which phone network it is part of: the world's, or a simulation's; numbers for tests are seen by test keys and the operator.
    #[schema(schema_with = words::network)]
    network: &'static str,
    /// Whether it can be bought.
    #[schema(schema_with = words::stock_status)]
    status: &'static str,
    /// When it may be sold again, while it rests.
    #[schema(required = true, format = DateTime)]
    quarantined_until: Option<String>,
    /// Until when it is reserved, for its holder and the operator to see; to all others it is not for sale meanwhile.
    #[schema(required = true, format = DateTime)]
    held_until: Option<String>,
    /// When it was put in stock.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl StockOut {
    /// As it is to a caller at `now`: a quarantine ends by itself, and so does a reservation.
    pub(super) fn new(stock: &Stock, caller: &Caller, now: domain::Timestamp) -> Self {
        let seen = |hold: &Hold| caller.is_operator() || caller.organization_id == Some(hold.organization_id);
        let held = stock.held(now).filter(seen);
        let available = stock.is_available(now);
        let Stock {
            id,
            e164,
            country,
            kind,
            setup_cost,
            monthly_cost,
            capabilities,
            network,
            state,
            hold: _,
            created_at,
            updated_at,
            version: _,
        } = stock;
        let [on_sale, sold, quarantined, reserved] = words::STOCK_STATES;
        let (status, until) = match state {
            StockState::Sold(_) => (sold, None),
            StockState::Quarantined { number: _, until } if !available => (quarantined, Some(*until)),
            StockState::Available | StockState::Quarantined { .. } if held.is_some() => (reserved, None),
            StockState::Available | StockState::Quarantined { .. } => (on_sale, None),
        };
        Self {
            id: id.to_string(),
            e164: e164.to_string(),
            country: country.as_str().to_owned(),
            kind: kind.as_str(),
            setup_cost_cents: setup_cost.cents_floor(),
            monthly_cost_cents: monthly_cost.cents_floor(),
            capabilities: (*capabilities).into(),
            network: network.as_str(),
            status,
            quarantined_until: time_or_null(until),
            held_until: time_or_null(held.map(|hold| hold.until)),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}
