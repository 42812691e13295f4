//! Reads KrosAI's requests. Input is taken in `camelCase` and `snake_case` alike; both at once must agree.

use domain::e164::{Country, NumberType};
use domain::error::{Error, Kind, Result, What};
use domain::ids::{EndpointId, NumberId, OrganizationId, StockId};
use domain::number::{NumberPatch, NumberQuery, NumberRef, NumberSetup, Switch};
use domain::op::{Believed, Purchase};
use domain::stock::{StockQuery, StockRef};
use domain::{E164, Op, Page, Patch, Start};
use serde_json::Value;

use super::error::ORGANIZATION_HEADER;
use crate::Request;
use crate::json::{self, Body, boolean, text, whole};

/// How many rows a page has where the request does not say.
const LIMIT_DEFAULT: u32 = 20;
/// The most rows of a page.
const LIMIT_MAX: u32 = 100;
/// The one value of a removal's `action`.
pub(super) const RELEASE: &str = "release";

/// A header that names an organization must name the key's own: a key acts for no other.
pub(super) fn organization(request: &Request<'_>) -> Result<()> {
    for value in request.context.headers.get_all(ORGANIZATION_HEADER) {
        let id = value.to_str().ok().and_then(|text| OrganizationId::parse(text.trim()));
        let words = "`x-organization-id` must be the UUID of an organization.";
        let id = id.ok_or_else(|| Error::invalid(What::Organization, ORGANIZATION_HEADER, words))?;
        if request.caller.organization_id != Some(id) {
            let words = "`x-organization-id` names another organization than the key's.";
            return Err(Error::new(Kind::Forbidden, What::Organization, words).at(ORGANIZATION_HEADER));
        }
    }
    Ok(())
}

/// The number that the path names. What is no id names no number.
pub(super) fn number(request: &Request<'_>) -> Result<NumberRef> {
    NumberId::parse(request.param("id")).map(NumberRef::Id).ok_or_else(|| Error::not_found(What::Number))
}

/// `country` and `type` count for numbers on sale only.
pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let limit = request.whole("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let offset = request.whole("offset", 0..=u32::MAX)?.unwrap_or(0);
    match request.query("action") {
        None | Some("assigned") => Ok(Op::NumberList(NumberQuery::default(), page(limit, offset))),
        Some("available") => {
            let country = match request.query("country") {
                None | Some("") => return Err(Error::missing(What::Request, "country")),
                Some(text) => Country::parse(text).ok_or_else(|| invalid("country", COUNTRY))?,
            };
            let kind = request
                .query("type")
                .map(|text| NumberType::parse(text).ok_or_else(|| invalid("type", TYPE)));
            let (kind, available_at) = (kind.transpose()?, Some(request.now));
            let query = StockQuery { country: Some(country), kind, available_at, ..StockQuery::default() };
            Ok(Op::StockList(query, page(limit, offset)))
        }
        Some(_) => Err(invalid("action", "`assigned` or `available`")),
    }
}

fn page<K>(limit: u32, offset: u32) -> Page<K> {
    let start = if offset == 0 { Start::First } else { Start::Offset(offset) };
    Page { limit, start }
}

/// A purchase by `inventory_id`, or by number, country and type.
pub(super) fn purchase(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Request)?;
    let stock_id =
        set(either(&mut body, ["inventory_id", "inventoryId"], UUID, |v| StockId::parse(v.as_str()?))?);
    let e164 = body.optional("e164", "a phone number", text)?;
    let country = body.optional("country", COUNTRY, |v| Country::parse(v.as_str()?))?;
    let kind = body.optional("type", TYPE, |v| NumberType::parse(v.as_str()?))?;
    let endpoint_id = set(endpoint(&mut body)?);
    let mut cents = |names| either(&mut body, names, "a whole number of cents", whole).map(set);
    let believed = Believed {
        total_cents: cents(["totalCostCents", "total_cost_cents"])?,
        setup_cents: cents(["setupCostCents", "setup_cost_cents"])?,
        monthly_cents: cents(["monthlyCostCents", "monthly_cost_cents"])?,
    };
    let stock = match (stock_id, e164, country, kind) {
        (Some(id), ..) => StockRef::Id(id),
        // Read here, so that a number that is none is said before anything is looked up.
        (None, Some(e164), Some(_), Some(_)) => {
            StockRef::Number { e164: E164::parse(&e164)?.0.to_string(), country, kind }
        }
        (None, e164, country, _) => return Err(incomplete(e164.is_some(), country.is_some())),
    };
    let setup = NumberSetup { endpoint_id, ..NumberSetup::default() };
    Ok(Op::NumberBuy(Purchase { stock, setup, believed }))
}

/// A change of a number.
pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let number = number(request)?;
    let mut body = json::body(request.body, What::Number)?;
    let endpoint_id = endpoint(&mut body)?;
    let flag = |body: &mut Body, names| unclearable(body, names, "true or false", boolean);
    let allow_inbound = flag(&mut body, ["allowInbound", "allow_inbound"])?;
    let allow_outbound = flag(&mut body, ["allowOutbound", "allow_outbound"])?;
    let status = body.unclearable("status", "`active` or `inactive`", |value| match value.as_str()? {
        "active" => Some(Switch::Active),
        "inactive" => Some(Switch::Inactive),
        _ => None,
    })?;
    let patch = NumberPatch { endpoint_id, allow_inbound, allow_outbound, status, ..NumberPatch::default() };
    Ok(Op::NumberUpdate(number, patch, None))
}

/// A removal: for good, or as a release that keeps the row.
pub(super) fn remove(request: &Request<'_>) -> Result<Op> {
    let number = number(request)?;
    match request.query("action") {
        None => Ok(Op::NumberDelete(number, None)),
        Some(RELEASE) => Ok(Op::NumberRelease(number, None)),
        Some(_) => Err(invalid("action", "`release`, or absent to remove the number for good")),
    }
}

pub(super) const UUID: &str = "a UUID";
const COUNTRY: &str = "a country code of two letters";
const TYPE: &str = "`local`, `mobile` or `toll_free`";

pub(super) fn invalid(field: &'static str, must: &str) -> Error {
    Error::invalid(What::Request, field, format!("`{field}` must be {must}."))
}

fn incomplete(e164: bool, country: bool) -> Error {
    let (field, words) = match (e164, country) {
        (true, true) => ("type", "`type` is required beside `e164` and `country`."),
        (true, false) => ("country", "`country` is required beside `e164`."),
        (false, _) => ("inventory_id", "Send `inventory_id`, or `e164` with `country` and `type`."),
    };
    Error::missing(What::Request, field).say(words)
}

fn endpoint(body: &mut Body) -> Result<Patch<EndpointId>> {
    either(body, ["endpointId", "endpoint_id"], UUID, |value| EndpointId::parse(value.as_str()?))
}

/// A field in either spelling.
pub(super) fn either<T: PartialEq>(
    body: &mut Body,
    [name, alias]: [&'static str; 2],
    must: &str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Patch<T>> {
    let (first, second) = (body.patch(name, must, &read)?, body.patch(alias, must, &read)?);
    match (first, second) {
        (Patch::Keep, value) | (value, Patch::Keep) => Ok(value),
        (first, second) if first == second => Ok(first),
        (_, _) => Err(body.invalid(name, &format!("the same as `{alias}` where both are sent"))),
    }
}

/// The same where null is refused.
pub(super) fn unclearable<T: PartialEq>(
    body: &mut Body,
    names: [&'static str; 2],
    must: &str,
    read: impl Fn(Value) -> Option<T>,
) -> Result<Option<T>> {
    match either(body, names, must, read)? {
        Patch::Clear => Err(body.invalid(names[0], must)),
        Patch::Keep => Ok(None),
        Patch::Set(value) => Ok(Some(value)),
    }
}

/// The same where null means absent.
pub(super) fn set<T>(patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Set(value) => Some(value),
        Patch::Keep | Patch::Clear => None,
    }
}
