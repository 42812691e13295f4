//! Which calls: the conditions of lists and counts, written once.

use crate::db::{Db, params};
use domain::Timestamp;
use domain::call::{CallCount, CallDay, CallQuery, CallStatus};
use domain::ids::{NumberId, OrganizationId};
use domain::key::Mode;

use super::super::list::List;
use super::super::sql::{all, blob, e164, time, time_from};
use crate::error::StoreError;

/// Microseconds of a day: times are stored in them.
const DAY: i64 = 86_400_000_000;

/// `select` ends with a condition.
pub(super) fn filtered(select: &str, organization: OrganizationId, query: &CallQuery) -> List {
    let CallQuery { status, direction, number, any_of, number_id, from, before, mode } = query;
    let list = List::new(select, Vec::new()).and("organization_id =", blob(organization).to_vec());
    // The conditions without parameters name the partial indexes.
    let list = match status {
        None => list,
        Some(CallStatus::Completed) => list.literally("status = 'completed'"),
        Some(status) if status.is_final() => {
            list.literally("open = 0 AND status <> 'completed'").and("status =", status.as_str().to_owned())
        }
        Some(status) => list.literally("open = 1").and("status =", status.as_str().to_owned()),
    };
    // Words of a closed list: they can stand in the statement.
    let list = match any_of {
        None => list,
        Some(states) if states.is_empty() => list.literally("false"),
        Some(states) => {
            let words: Vec<_> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
            list.literally(&format!("status IN ({})", words.join(", ")))
        }
    };
    let id = |id: NumberId| blob(id).to_vec();
    seen(list, *mode)
        .and_some("number =", number.map(e164))
        .and_some("number_id =", number_id.map(id))
        .and_some("direction =", direction.map(|d| d.as_str().to_owned()))
        .and_some("started_at >=", from.map(time))
        .and_some("started_at <", before.map(time))
}

pub(crate) fn count(db: Db<'_>, organization: OrganizationId, query: &CallQuery) -> Result<u64, StoreError> {
    let list = filtered("SELECT count(*) FROM calls WHERE true", organization, query);
    Ok(list.rows(db, "", |mut row| row.uint())?.first().copied().unwrap_or(0))
}

pub(crate) fn stats(
    db: Db<'_>,
    organization: OrganizationId,
    query: &CallQuery,
) -> Result<Vec<CallCount>, StoreError> {
    let select = "SELECT status, count(*), CAST(sum(duration_seconds) AS BIGINT) FROM calls WHERE true";
    filtered(select, organization, query).rows(db, "GROUP BY status", |mut row| {
        Ok(CallCount { status: row.named(CallStatus::parse)?, calls: row.uint()?, seconds: row.uint()? })
    })
}

pub(crate) fn days(
    db: Db<'_>,
    organization: OrganizationId,
    query: &CallQuery,
) -> Result<Vec<CallDay>, StoreError> {
    let select = format!("SELECT started_at / {DAY}, count(*) FROM calls WHERE true");
    filtered(&select, organization, query).rows(db, "GROUP BY 1 ORDER BY 1", |mut row| {
        let day: i64 = row.get()?;
        Ok(CallDay { day: time_from(day.saturating_mul(DAY))?, calls: row.uint()? })
    })
}

/// How many calls out were let out since a time, by organization and number: of every tenant, to count on with.
pub(crate) fn placed(
    db: Db<'_>,
    since: Timestamp,
) -> Result<Vec<(OrganizationId, Option<NumberId>, u32)>, StoreError> {
    // The first condition names the partial index.
    let sql = "SELECT organization_id, number_id, count(*) FROM calls \
               WHERE direction = 'outbound' AND started_at >= $1 AND status <> 'refused' GROUP BY 1, 2";
    all(db, sql, params![time(since)], |mut row| {
        let (organization, number, calls) = (row.id()?, row.id_of()?, row.uint()?);
        Ok((organization, number, u32::try_from(calls).unwrap_or(u32::MAX)))
    })
}

/// Of a test key only the calls of numbers that it sees (`Number::is_for`).
pub(super) fn seen(list: List, mode: Option<Mode>) -> List {
    match mode {
        Some(Mode::Test) => list.literally(
            "number_id IN (SELECT n.id FROM numbers n WHERE n.organization_id = calls.organization_id \
             AND (n.network = 'test' OR n.environment = 'sandbox'))",
        ),
        Some(Mode::Live) | None => list,
    }
}
