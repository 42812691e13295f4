//! The calls of agents: each row names the agent that had the number when the call came.

use crate::db::Value;
use crate::db::{Db, params};
use domain::call::AgentCallQuery;
use domain::ids::{CallId, OrganizationId};
use domain::{Call, Fact, Page, Paged, Timestamp, What};
use uuid::Uuid;

use super::super::apply::Tx;
use super::super::delivery;
use super::super::list::{List, page_of_ids};
use super::super::sql::{Columns, blob, corrupt, one, time, write};
use super::facts_read;
use crate::error::{CommitError, StoreError};
use crate::fact::line_write;
use crate::feed::AgentCallRow;

const SELECT: &str =
    "SELECT agent_id, redacted_at, organization_id, id, facts FROM calls WHERE agent_id IS NOT NULL";
/// How far a call's id, which holds the time at which it was made, may lie from the call's beginning, in milliseconds.
const SLACK_MS: i64 = 3_600_000;

fn read(mut row: Columns<'_, '_>) -> Result<AgentCallRow, StoreError> {
    let agent_id = row.agent_of()?.ok_or_else(|| corrupt("a call's agent", "absent"))?;
    let redacted_at = row.time_of()?;
    let call = Call::fold(&super::read_facts(row)?).ok_or_else(|| corrupt("a call", "without facts"))?;
    Ok(AgentCallRow { call, agent_id, redacted_at })
}

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    id: CallId,
) -> Result<Option<AgentCallRow>, StoreError> {
    let sql = format!("{SELECT} AND organization_id = $1 AND id = $2");
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    query: &AgentCallQuery,
    page: &Page<CallId>,
) -> Result<Paged<AgentCallRow>, StoreError> {
    let AgentCallQuery { agent_id, from, to, mode } = query;
    let list = List::new(SELECT, Vec::new())
        .and("organization_id =", blob(organization).to_vec())
        .and("agent_id =", agent_id.as_str().to_owned())
        // The bounds of ids narrow what is read; those of times say what is meant.
        .and_some("id >=", from.map(|at| bound(at, -SLACK_MS)))
        .and_some("id <", to.map(|at| bound(at, SLACK_MS)))
        .and_some("started_at >=", from.map(time))
        .and_some("started_at <=", to.map(time));
    super::query::seen(list, *mode).page(db, "id", page_of_ids(page), read)
}

/// The least id made at a time (RFC 9562 section 5.7: its first 48 bits are milliseconds).
fn bound(at: Timestamp, slack: i64) -> Value {
    let millis = u128::try_from(at.as_millisecond().saturating_add(slack)).unwrap_or(0).min((1 << 48) - 1);
    Value::Blob(Uuid::from_u128(millis << 80).into_bytes().to_vec())
}

/// Takes what is private out of a call's facts. A call that is redacted stays as it is.
pub(in super::super) fn redact(
    tx: &mut Tx<'_>,
    (organization, id): (OrganizationId, CallId),
    at: Timestamp,
) -> Result<(), CommitError> {
    let sql = "SELECT facts FROM calls WHERE organization_id = $1 AND id = $2 AND redacted_at IS NULL";
    let key = params![blob(organization), blob(id)];
    let Some(text) = one(tx.db, sql, key, |mut row| row.get::<String>())? else { return Ok(()) };
    let mut clean = String::with_capacity(text.len());
    for fact in facts_read(organization, id, &text)?.into_iter().map(Fact::redacted) {
        if !clean.is_empty() {
            clean.push('\n');
        }
        line_write(&fact, &mut clean);
    }
    let sql = "UPDATE calls SET facts = $1, redacted_at = $2 WHERE organization_id = $3 AND id = $4";
    let row = params![clean, time(at), blob(organization), blob(id)];
    write(tx.db, sql, row).map_err(|f| f.about(What::Call, What::Call))?;
    tx.touch();
    delivery::redact_call(tx, organization, id)
}
