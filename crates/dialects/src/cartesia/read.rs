//! Reads Cartesia's requests. An empty parameter counts as absent: generated clients send nullable ones that way.

use domain::error::{Error, Kind, Result, What};
use domain::ids::{AgentId, ProviderId};
use domain::number::NumberQuery;
use domain::provider::ProviderKind;
use domain::{Op, Page, Start};
use uuid::Uuid;

use super::error::VERSION_HEADER;
use super::wire;
use crate::Request;

/// The versions served, the older first; they differ in which numbers can be deleted.
const VERSIONS: [&str; 2] = ["2026-03-01", "2026-08-14"];
/// How many rows a page has where the request does not say.
const LIMIT_DEFAULT: u32 = 10;
/// The most rows of a page.
const LIMIT_MAX: u32 = 100;
/// The most rows of an agent's own list, whose contract has no pages.
const AGENT_LIST_MAX: u32 = 10_000;
/// No provider has this id: a list filtered by it is empty.
const NO_PROVIDER: ProviderId = ProviderId(Uuid::nil());

/// Whether the request is of the newer version.
pub(super) fn is_newer(request: &Request<'_>) -> bool {
    let version = request.context.headers.get(VERSION_HEADER).and_then(|value| value.to_str().ok());
    version.is_some_and(|text| text.trim() == VERSIONS[1])
}

/// The version must be one that is served; without the header it is the contract's.
pub(super) fn version(request: &Request<'_>) -> Result<()> {
    match request.context.headers.get(VERSION_HEADER) {
        None => Ok(()),
        Some(value) if value.to_str().is_ok_and(|text| VERSIONS.contains(&text.trim())) => Ok(()),
        Some(_) => {
            let words = format!(
                "No API exists for the requested Cartesia-Version; send one of {}.",
                VERSIONS.join(", ")
            );
            Err(Error::new(Kind::NotFound, What::Route, words).at(VERSION_HEADER))
        }
    }
}

/// A page of the organization's numbers.
pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    let page = page(request, "a phone number", wire::id)?;
    let mut query = NumberQuery { q: filled(request, "q").map(str::to_owned), ..NumberQuery::default() };
    // Ids are opaque to the client: one that nothing has finds nothing, whatever its form.
    if let Some(text) = filled(request, "agent_id") {
        query.agent_id = AgentId::parse(text);
        query.provider_id = query.agent_id.is_none().then_some(NO_PROVIDER);
    }
    if let Some(text) = filled(request, "provider_id") {
        query.provider_id =
            query.provider_id.or_else(|| Some(ProviderId::parse(text).unwrap_or(NO_PROVIDER)));
    }
    match filled(request, "type") {
        None => {}
        Some("cartesia") => query.provider_kind = Some(ProviderKind::Managed),
        Some("sip_trunk") => query.provider_kind = Some(ProviderKind::SipTrunk),
        Some("twilio") => query.provider_kind = Some(ProviderKind::Twilio),
        Some(_) => {
            let words = "`type` must be `twilio`, `cartesia` or `sip_trunk`.";
            return Err(Error::invalid(What::Request, "type", words));
        }
    }
    Ok(Op::NumberList(query, page))
}

/// All numbers of one agent.
pub(super) fn list_of_agent(request: &Request<'_>) -> Result<Op> {
    let agent = AgentId::parse(request.param("agent_id")).ok_or_else(|| Error::not_found(What::Agent))?;
    Ok(Op::NumberListOfAgent(agent, Page::first(AGENT_LIST_MAX)))
}

/// The page that a request asks for. `noun` says what its cursors name.
pub(super) fn page<K>(
    request: &Request<'_>,
    noun: &str,
    parse: impl Fn(&str) -> Option<K>,
) -> Result<Page<K>> {
    let limit = match filled(request, "limit") {
        None => None,
        Some(_) => request.whole("limit", 1..=LIMIT_MAX)?,
    };
    let cursor = |name: &'static str| {
        let read = |text| {
            let words = format!("`{name}` must be the id of {noun}, such as the last one of a page.");
            parse(text).ok_or_else(|| Error::invalid(What::Request, name, words))
        };
        filled(request, name).map(read).transpose()
    };
    let start = match (cursor("starting_after")?, cursor("ending_before")?) {
        (None, None) => Start::First,
        (Some(id), None) => Start::After(id),
        (None, Some(id)) => Start::Before(id),
        (Some(_), Some(_)) => {
            let words = "Send `starting_after` or `ending_before`, not both.";
            return Err(Error::invalid(What::Request, "ending_before", words));
        }
    };
    Ok(Page { limit: limit.unwrap_or(LIMIT_DEFAULT), start })
}

/// A query parameter that is there and not empty.
pub(super) fn filled<'a>(request: &'a Request<'_>, name: &str) -> Option<&'a str> {
    request.query(name).filter(|text| !text.is_empty())
}
