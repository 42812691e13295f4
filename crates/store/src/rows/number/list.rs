//! Lists of numbers. Without a text they are in the order of ids; what the search index finds is in the order in which the
//! numbers came into the store, which differs only among those made at the same moment.

use crate::db::Value;
use crate::db::{Db, params};
use domain::ids::{EndpointId, NumberId, OrganizationId};
use domain::key::Mode;
use domain::number::{NumberQuery, Status};
use domain::provider::ProviderKind;
use domain::{Number, Page, Paged, Start};

use super::super::index::row_of;
use super::super::list::{List, page_of_ids};
use super::super::search::{self, AGENTS_MAX, SHORT_SCAN, Sought};
use super::super::sql::{Columns, all, blob, one};
use super::{COLUMNS, read};
use crate::error::StoreError;

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    query: &NumberQuery,
    page: &Page<NumberId>,
) -> Result<Paged<Number>, StoreError> {
    let owner = blob(organization).to_vec();
    match query.q.as_deref().and_then(Sought::read) {
        None => {
            let list = List::new(&format!("SELECT {} FROM numbers n WHERE true", columns()), Vec::new());
            let list = filtered(list.and("n.organization_id =", owner), query);
            list.page(db, "n.id", page_of_ids(page), read)
        }
        Some(sought) if sought.is_indexed() => {
            let Some(serial) = super::super::organization::serial(db, organization)? else {
                return Ok(Paged { items: Vec::new(), more: false });
            };
            let tenant = search::tenant(serial, query.status.is_none_or(Status::is_held));
            let agents = super::super::agent::named(db, organization, &sought.text, AGENTS_MAX)?;
            let agents: Vec<u64> = agents.into_iter().map(|(_, serial)| serial).collect();
            let (list, key) = db.numbers_sought(&columns(), &sought, (owner, &tenant), &agents);
            let list = filtered(list, query);
            list.page_ascending(db, key, by_alias(db, organization, page)?, read)
        }
        Some(sought) => short(db, organization, query, (&sought, page)),
    }
}

pub(super) fn columns() -> String {
    COLUMNS
        .split(", ")
        .chain(["organization_id", "id"])
        .map(|c| format!("n.{}", c.trim()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The conditions of a query, on the table `n`. A condition with a `+` is never taken as the way into the table: the index of
/// the narrower one is.
fn filtered(list: List, query: &NumberQuery) -> List {
    let NumberQuery {
        q: _,
        agent_id,
        endpoint_id,
        provider_id,
        provider_kind,
        country,
        kind,
        status,
        environment,
        with_minutes: _,
        mode,
    } = query;
    let narrow = agent_id.is_some() || endpoint_id.is_some() || provider_id.is_some();
    let list = match status {
        None if narrow => list.literally("+n.held = 1"),
        None => list.literally("n.held = 1"),
        Some(Status::Active) => list.literally("n.held = 1 AND n.status = 'active'"),
        // Named as the partial index names it.
        Some(status) => list.literally("n.status <> 'active'").and("n.status =", status.as_str().to_owned()),
    };
    let list = list
        .and_some("n.agent_id =", agent_id.as_ref().map(|id| id.as_str().to_owned()))
        .and_some("n.endpoint_id =", endpoint_id.map(|id| blob(id).to_vec()))
        .and_some("n.provider_id =", provider_id.map(|id| blob(id).to_vec()))
        .and_some("n.country =", country.map(|c| c.as_str().to_owned()))
        .and_some("n.kind =", kind.map(|k| k.as_str().to_owned()))
        .and_some("n.environment =", environment.map(|e| e.as_str().to_owned()));
    let list = match mode {
        // What a test key sees (`Number::is_for`).
        Some(Mode::Test) => list.literally("(n.network = 'test' OR n.environment = 'sandbox')"),
        Some(Mode::Live) | None => list,
    };
    let of_kind = "EXISTS (SELECT 1 FROM providers p WHERE p.id = n.provider_id AND p.kind =";
    match provider_kind {
        None => list,
        Some(ProviderKind::Managed) => {
            list.literally(&format!("(n.provider_id IS NULL OR {of_kind} 'managed'))"))
        }
        Some(ProviderKind::SipTrunk) => list.literally(&format!("{of_kind} 'sip_trunk')")),
        Some(ProviderKind::Twilio) => list.literally(&format!("{of_kind} 'twilio')")),
    }
}

/// The same page over the rows of the index. An id that is not there leaves no place: its page is empty.
fn by_alias(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<NumberId>,
) -> Result<Page<Value>, StoreError> {
    let sql = "SELECT alias FROM numbers WHERE organization_id = $1 AND id = $2";
    let alias = |id: &NumberId| one(db, sql, params![blob(organization), blob(*id)], |mut row| row.uint());
    let start = match &page.start {
        Start::First => Start::First,
        Start::Offset(rows) => Start::Offset(*rows),
        Start::After(id) => Start::After(Value::Integer(alias(id)?.map_or(i64::MAX, row_of))),
        Start::Before(id) => Start::Before(Value::Integer(alias(id)?.map_or(0, row_of))),
    };
    Ok(Page { limit: page.limit, start })
}

/// Texts of one or two characters: the newest rows behind (or before) the page's start are looked at.
fn short(
    db: Db<'_>,
    organization: OrganizationId,
    query: &NumberQuery,
    (sought, page): (&Sought, &Page<NumberId>),
) -> Result<Paged<Number>, StoreError> {
    let agents = super::super::agent::named(db, organization, &sought.text, AGENTS_MAX)?;
    let matches = |mut row: Columns<'_, '_>| {
        let (id, number): (NumberId, u64) = (row.id()?, row.uint()?);
        let (label, agent): (Option<String>, Option<String>) = (row.get()?, row.get()?);
        let by_agent = agent.is_some_and(|agent| agents.iter().any(|(id, _)| id.as_str() == agent));
        Ok((by_agent || sought.is_in(number, label.as_deref())).then_some(id))
    };
    let sql = "SELECT n.id, n.e164, n.label, n.agent_id FROM numbers n WHERE true";
    let list =
        filtered(List::new(sql, Vec::new()).and("n.organization_id =", blob(organization).to_vec()), query);
    let (start, skip) = match &page.start {
        Start::Offset(rows) => (Start::First, usize::try_from(*rows).unwrap_or(usize::MAX)),
        start => (start.clone(), 0),
    };
    let scan = Page { limit: u32::try_from(SHORT_SCAN).unwrap_or(u32::MAX), start };
    let found = list.page(db, "n.id", page_of_ids(&scan), matches)?.items;
    let ids: Vec<NumberId> = found.into_iter().flatten().skip(skip).collect();
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = ids.len() > limit;
    // Towards newer rows the page ends where it starts: at the rows just before its key.
    let from = if matches!(page.start, Start::Before(_)) { ids.len().saturating_sub(limit) } else { 0 };
    let wanted = ids.into_iter().skip(from).take(limit);
    let rows = wanted.map(|id| super::get(db, organization, id)).collect::<Result<Vec<_>, _>>()?;
    Ok(Paged { items: rows.into_iter().flatten().collect(), more })
}

/// Held numbers on an endpoint, oldest first, behind `after`.
pub(crate) fn on_endpoint(
    db: Db<'_>,
    organization: OrganizationId,
    endpoint: EndpointId,
    after: Option<NumberId>,
    limit: u32,
) -> Result<Vec<Number>, StoreError> {
    let after = after.map_or_else(Vec::new, |id| blob(id).to_vec());
    let sql = format!(
        "SELECT {} FROM numbers n WHERE n.organization_id = $1 AND n.endpoint_id = $2 AND n.id > $3 AND +n.held = 1 \
         ORDER BY n.id LIMIT $4",
        columns()
    );
    all(db, &sql, params![blob(organization), blob(endpoint), after, limit], read)
}
