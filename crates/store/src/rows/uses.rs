//! Which endpoints are named by rules of numbers and of other endpoints. The foreign key sees to it that each of them is there.

use crate::db::{Db, Failure, params};
use domain::What;
use domain::ids::{EndpointId, OrganizationId};
use std::collections::BTreeSet;

use super::apply::Tx;
use super::sql::{blob, exists, write};
use crate::error::{CommitError, StoreError};

/// Says which endpoints a holder's rules name from now on.
pub(super) fn put(
    tx: &Tx<'_>,
    (organization, holder): (OrganizationId, &[u8; 16]),
    endpoints: impl Iterator<Item = EndpointId>,
) -> Result<(), CommitError> {
    let owner = blob(organization);
    let sql = "DELETE FROM endpoint_uses WHERE organization_id = $1 AND holder = $2";
    write(tx.db, sql, params![owner, holder]).map_err(|f| f.about(What::Endpoint, What::Endpoint))?;
    for id in endpoints.collect::<BTreeSet<_>>() {
        let sql = "INSERT INTO endpoint_uses (organization_id, endpoint_id, holder) VALUES ($1, $2, $3)";
        match write(tx.db, sql, params![owner, blob(id), holder]) {
            Ok(()) => {}
            Err(Failure::Dangling(_)) => return Err(CommitError::Stale(What::Endpoint)),
            Err(failure) => return Err(failure.about(What::Endpoint, What::Endpoint)),
        }
    }
    Ok(())
}

/// Whether rules name an endpoint.
pub(crate) fn any(db: Db<'_>, organization: OrganizationId, id: EndpointId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoint_uses WHERE organization_id = $1 AND endpoint_id = $2 LIMIT 1";
    exists(db, sql, params![blob(organization), blob(id)])
}
