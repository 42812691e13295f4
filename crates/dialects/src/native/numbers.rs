//! Numbers: bought, brought in, listed, changed, given back, restored.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::page::{filter, page, search};
use super::read::{self, COUNTRY, UUID, expect, no_body};
use super::reply::{id_or_null, time, time_or_null};
use super::rules;
use super::stock::CapabilitiesOut;
use super::words::{self, one_of};
use crate::Request;
use crate::json::{self, Body, boolean, object, text};
use domain::e164::{Country, E164, NumberType};
use domain::error::{Error, Kind, Result, What};
use domain::ids::{AgentId, EndpointId, NumberId, ProviderId, StockId};
use domain::number::{Environment, Number, NumberPatch, NumberQuery, NumberRef, NumberSetup, Status, Switch};
use domain::op::{Believed, Import, Purchase};
use domain::rules::{NumberRules, Schedule, json as rules_json};
use domain::stock::StockRef;
use domain::target::bracketed;
use domain::view::{NumberView, SipAccess};
use domain::{Bag, Op};

const SWITCH: &str = "one of `active`, `inactive`";

/// The number in the path: its id, or the number itself in any form that could be dialled. What is neither names nothing.
pub(super) fn number(request: &Request<'_>) -> Result<NumberRef> {
    let text = request.param("number");
    let by_id = NumberId::parse(text).map(NumberRef::Id);
    by_id.or_else(|| E164::dialled(text.trim(), None).map(NumberRef::E164)).ok_or_else(|| {
        let words =
            "There is no such phone number; name it by its id or in E.164 form, such as +14155550100.";
        Error::not_found(What::Number).say(words)
    })
}

/// What a new number is to be given; null means absent.
pub(super) fn setup(body: &mut Body) -> Result<NumberSetup> {
    Ok(NumberSetup {
        endpoint_id: body.optional("endpoint_id", UUID, read::word(EndpointId::parse))?,
        agent_id: body.optional("agent_id", read::AGENT_ID, read::word(AgentId::parse))?,
        label: body.optional("label", "a text", text)?,
        environment: body.optional(
            "environment",
            &one_of(&Environment::NAMES),
            read::word(Environment::parse),
        )?,
    })
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Number)?;
    let stock_id = body.optional("stock_id", UUID, read::word(StockId::parse))?;
    let e164 = body.optional("e164", "a phone number in E.164 form", text)?;
    let provider_id = body.optional("provider_id", UUID, read::word(ProviderId::parse))?;
    let port_in = body.optional("port_in", "true or false", boolean)?.unwrap_or(false);
    let setup = setup(&mut body)?;
    body.close()?;
    match (stock_id, e164, provider_id) {
        (Some(_), _, _) if port_in => {
            let words =
                "`port_in` is for numbers that come from another carrier, by `e164` and `provider_id`.";
            Err(Error::invalid(What::Number, "port_in", words))
        }
        (Some(id), None, None) => {
            Ok(Op::NumberBuy(Purchase { stock: StockRef::Id(id), setup, believed: Believed::default() }))
        }
        (None, Some(e164), Some(provider)) if port_in => {
            Ok(Op::NumberPortIn(provider, Import { e164, setup }))
        }
        (None, Some(e164), Some(provider)) => Ok(Op::NumberImport(provider, Import { e164, setup })),
        (Some(_), Some(_) | None, Some(_) | None) => {
            let words =
                "`stock_id` buys a number, `e164` with `provider_id` brings one in; send one of the two.";
            Err(Error::invalid(What::Number, "stock_id", words))
        }
        (None, Some(_), None) => {
            let words =
                "`provider_id` is required with `e164`; to buy a number from stock, send its `stock_id`.";
            Err(Error::new(Kind::Missing, What::Number, words).at("provider_id"))
        }
        (None, None, Some(_)) => Err(Error::missing(What::Number, "e164")),
        (None, None, None) => {
            let words =
                "`stock_id` is required to buy a number; to bring one in, send `e164` and `provider_id`.";
            Err(Error::new(Kind::Missing, What::Number, words).at("stock_id"))
        }
    }
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let query = NumberQuery {
        q: search(request),
        agent_id: filter(request, "agent_id", read::AGENT_ID, AgentId::parse)?,
        endpoint_id: filter(request, "endpoint_id", UUID, EndpointId::parse)?,
        provider_id: filter(request, "provider_id", UUID, ProviderId::parse)?,
        provider_kind: None,
        country: filter(request, "country", COUNTRY, Country::parse)?,
        kind: filter(request, "type", one_of(&NumberType::NAMES), NumberType::parse)?,
        status: filter(request, "status", one_of(&Status::NAMES), Status::parse)?,
        environment: filter(request, "environment", one_of(&Environment::NAMES), Environment::parse)?,
        with_minutes: false,
        mode: None,
    };
    Ok(Op::NumberList(query, page(request, NumberId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::NumberGet(number(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let number = number(request)?;
    let mut body = json::body(request.body, What::Number)?;
    let patch = NumberPatch {
        endpoint_id: body.patch("endpoint_id", UUID, read::word(EndpointId::parse))?,
        agent_id: body.patch("agent_id", read::AGENT_ID, read::word(AgentId::parse))?,
        environment: body.unclearable(
            "environment",
            &one_of(&Environment::NAMES),
            read::word(Environment::parse),
        )?,
        label: body.patch("label", "a text or null", text)?,
        allow_inbound: body.unclearable("allow_inbound", "true or false", boolean)?,
        allow_outbound: body.unclearable("allow_outbound", "true or false", boolean)?,
        status: body.unclearable("status", SWITCH, |value| match value.as_str()? {
            "active" => Some(Switch::Active),
            "inactive" => Some(Switch::Inactive),
            _ => None,
        })?,
        psa_settings: body.unclearable("psa_settings", "an object", object)?,
        agent_settings: body.unclearable("agent_settings", "an object", object)?,
        provider_id: body.unclearable("provider_id", UUID, read::word(ProviderId::parse))?,
        rules: rules::of_number(&mut body)?,
    };
    body.close()?;
    Ok(Op::NumberUpdate(number, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    let permanent = filter(request, "permanent", "`true` or `false`", read::boolean)?.unwrap_or(false);
    let (number, expect) = (number(request)?, expect(request)?);
    Ok(if permanent { Op::NumberDelete(number, expect) } else { Op::NumberRelease(number, expect) })
}

pub(super) fn restore(request: &Request<'_>) -> Result<Op> {
    no_body(request, What::Number)?;
    Ok(Op::NumberRestore(number(request)?))
}

pub(super) fn port_out(request: &Request<'_>) -> Result<Op> {
    no_body(request, What::Number)?;
    Ok(Op::NumberPortOut(number(request)?, expect(request)?))
}

pub(super) fn credentials(request: &Request<'_>) -> Result<Op> {
    no_body(request, What::Number)?;
    Ok(Op::NumberCredentials(number(request)?))
}

/// A phone number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Number)]
pub(super) struct NumberOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// The number in E.164 form.
    e164: String,
    /// Its country (ISO 3166-1), or `001` for numbers of no country.
    country: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(schema_with = words::number_type)]
    kind: &'static str,
    /// Its state.
    #[schema(schema_with = words::status)]
    status: &'static str,
    /// A name for people.
    #[schema(required = true)]
    label: Option<String>,
    /// How it reaches the phone network; null: the operator's stock.
    #[schema(required = true, format = "uuid")]
    provider_id: Option<String>,
    /// The stock it was bought from.
    #[schema(required = true, format = "uuid")]
    stock_id: Option<String>,
    /// Which phone network it is part of: the world's, or a simulation's. Numbers for tests cost nothing, and only the simulated
    /// network calls them.
    #[schema(schema_with = words::network)]
    network: &'static str,
    /// Where its calls go.
    #[schema(required = true, format = "uuid")]
    endpoint_id: Option<String>,
    /// Who answers them; follows the endpoint whenever that has an agent.
    #[schema(required = true)]
    agent_id: Option<String>,
    /// In which environment; follows the endpoint likewise.
    #[schema(schema_with = words::environment)]
    environment: &'static str,
    /// Whether calls may come in.
    allow_inbound: bool,
    /// Whether calls may go out.
    allow_outbound: bool,
    /// By who calls; the first rule that fits counts.
    #[schema(required = true, value_type = Option<Vec<rules::CallerRule>>)]
    caller_rules: Option<Value>,
    /// When it takes calls; null: as its organization's settings say, else always.
    #[schema(required = true, value_type = Option<rules::ScheduleShape>)]
    schedule: Option<Value>,
    /// Places that share its calls, in place of `endpoint_id`.
    #[schema(required = true, value_type = Option<Vec<rules::Share>>)]
    split: Option<Value>,
    /// Where calls go on that its place does not answer, in order.
    #[schema(required = true, value_type = Option<Vec<rules::Fallback>>)]
    fallback: Option<Value>,
    /// How many calls of it may be in progress, in and out; null: no limit.
    #[schema(required = true)]
    max_concurrent_calls: Option<u32>,
    /// How many calls out it may begin in a minute; null: as its organization's settings say.
    #[schema(required = true)]
    outbound_calls_per_minute: Option<u32>,
    /// How many calls out it may begin in a day by UTC; null: as its organization's settings say.
    #[schema(required = true)]
    outbound_calls_per_day: Option<u32>,
    /// Free settings for the tenant's service desk, given back unread.
    #[schema(value_type = Object)]
    psa_settings: Bag,
    /// Free settings for the agent, given back unread.
    #[schema(value_type = Object)]
    agent_settings: Bag,
    /// What it carries.
    capabilities: CapabilitiesOut,
    /// Paid once.
    setup_cost_cents: i64,
    /// Paid per month.
    monthly_cost_cents: i64,
    /// Where a carrier sends its calls.
    sip_uri: String,
    /// With which user name a platform may place calls from it.
    sip_username: String,
    /// When it was bought or brought in.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it was given back.
    #[schema(required = true, format = DateTime)]
    released_at: Option<String>,
    /// Until when it rests and can be restored.
    #[schema(required = true, format = DateTime)]
    quarantined_until: Option<String>,
    /// Until when its rent is paid; null where it costs nothing each month.
    #[schema(required = true, format = DateTime)]
    rented_until: Option<String>,
    /// Whether its rent is unpaid, for which it is inactive: it is active again, or can be restored, once the balance is not
    /// below zero.
    unpaid: bool,
}

impl From<&NumberView> for NumberOut {
    fn from(view: &NumberView) -> Self {
        // The month's minutes are left out: they change with each call, and an ETag of the number's version would lie.
        let NumberView { number, agent: _, provider: _, minutes_this_month: _, sip } = view;
        let Number {
            id,
            organization_id: _,
            alias: _,
            e164,
            country,
            kind,
            status,
            label,
            provider_id,
            stock_id,
            network,
            setup_cost,
            monthly_cost,
            capabilities,
            endpoint_id,
            agent_id,
            environment,
            allow_inbound,
            allow_outbound,
            rules: NumberRules { callers, schedule, split, fallback, calls_max, minute_max, day_max },
            psa_settings,
            agent_settings,
            sip_credentials: _,
            created_at,
            updated_at,
            released_at,
            quarantined_until,
            rented_until,
            delivered_at: _,
            unpaid,
            version: _,
        } = number;
        Self {
            id: id.to_string(),
            e164: e164.to_string(),
            country: country.as_str().to_owned(),
            kind: kind.as_str(),
            status: status.as_str(),
            label: label.clone(),
            provider_id: id_or_null(*provider_id),
            stock_id: id_or_null(*stock_id),
            network: network.as_str(),
            endpoint_id: id_or_null(*endpoint_id),
            agent_id: id_or_null(agent_id.as_ref()),
            environment: environment.as_str(),
            allow_inbound: *allow_inbound,
            allow_outbound: *allow_outbound,
            caller_rules: rules::some(rules_json::callers_value(callers)),
            schedule: schedule.as_ref().map(Schedule::value),
            split: rules::some(rules_json::split_value(split)),
            fallback: rules::some(rules_json::steps_value(fallback)),
            max_concurrent_calls: *calls_max,
            outbound_calls_per_minute: *minute_max,
            outbound_calls_per_day: *day_max,
            psa_settings: psa_settings.clone(),
            agent_settings: agent_settings.clone(),
            capabilities: (*capabilities).into(),
            setup_cost_cents: setup_cost.cents_floor(),
            monthly_cost_cents: monthly_cost.cents_floor(),
            sip_uri: format!("sip:{e164}@{}:{}", bracketed(&sip.domain), sip.port),
            sip_username: sip.username.clone(),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
            released_at: time_or_null(*released_at),
            quarantined_until: time_or_null(*quarantined_until),
            rented_until: time_or_null(*rented_until),
            unpaid: *unpaid,
        }
    }
}

/// How to reach a number by SIP, with its new password.
#[derive(Serialize, ToSchema)]
#[schema(as = SipCredentials)]
#[expect(clippy::struct_field_names, reason = "the names are the contract's")]
pub(super) struct CredentialsOut {
    /// The host.
    sip_domain: String,
    /// The port.
    sip_port: u16,
    /// The user name.
    sip_username: String,
    /// The password; null to keys of roles below admin.
    #[schema(required = true)]
    sip_password: Option<String>,
}

impl From<SipAccess> for CredentialsOut {
    fn from(sip: SipAccess) -> Self {
        let SipAccess { domain, port, username, password } = sip;
        Self { sip_domain: domain, sip_port: port, sip_username: username, sip_password: password }
    }
}
