//! Until when calls of a number are traced.

use crate::db::{Db, params};
use domain::Timestamp;
use domain::ids::{NumberId, OrganizationId};
use domain::trace::TraceWindow;

use super::apply::Tx;
use super::change_log::Topic;
use super::sql::{all, blob, one, time, write};
use crate::error::{CommitError, StoreError};
use domain::What;

/// Sets the window of a number, or (none) removes it.
pub(super) fn put(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    window: TraceWindow,
) -> Result<(), CommitError> {
    let TraceWindow { number_id, until } = window;
    let about = |f: crate::db::Failure| f.about(What::Trace, What::Number);
    let done = if let Some(until) = until {
        let sql = "INSERT INTO traces (organization_id, number_id, until) VALUES ($1, $2, $3) \
                   ON CONFLICT (organization_id, number_id) DO UPDATE SET until = excluded.until";
        write(tx.db, sql, params![blob(organization), blob(number_id), time(until)])
    } else {
        let sql = "DELETE FROM traces WHERE organization_id = $1 AND number_id = $2";
        write(tx.db, sql, params![blob(organization), blob(number_id)])
    };
    done.map_err(about)?;
    tx.log(Topic::Trace, organization, &blob(number_id))
}

/// The window of a number; one that is over may still stand.
pub(crate) fn until(
    db: Db<'_>,
    organization: OrganizationId,
    number: NumberId,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT until FROM traces WHERE organization_id = $1 AND number_id = $2";
    one(db, sql, params![blob(organization), blob(number)], |mut row| row.time())
}

/// Every window.
pub(super) fn each(db: Db<'_>, mut see: impl FnMut(TraceWindow)) -> Result<(), StoreError> {
    let sql = "SELECT number_id, until FROM traces";
    let windows = all(db, sql, params![], |mut row| {
        Ok(TraceWindow { number_id: row.id()?, until: Some(row.time()?) })
    })?;
    for window in windows {
        see(window);
    }
    Ok(())
}
