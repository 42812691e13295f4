//! Agents. Their ids may be chosen by clients, so they are unique within an organization only.

use crate::db::Value;
use crate::db::{Db, params};
use domain::ids::{AgentId, EndpointId, OrganizationId};
use domain::{Agent, Page, Paged, What};
use std::sync::LazyLock;

use super::apply::Tx;
use super::list::{List, page_of};
use super::sql::{Columns, Table, all, bag, blob, change, corrupt, exists, int, one, time, write};
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::new(
        "agents",
        "name, description, bags, created_at, updated_at, serial, version",
        "organization_id, id",
    )
});

fn read(mut row: Columns<'_, '_>) -> Result<Agent, StoreError> {
    let (name, description, bags) = (row.get()?, row.get()?, row.json()?);
    let (created_at, updated_at) = (row.time()?, row.time()?);
    row.skip(); // serial
    let (version, organization_id) = (row.uint()?, row.id()?);
    let id = row.agent_of()?.ok_or_else(|| corrupt("an agent's id", "absent"))?;
    Ok(Agent { id, organization_id, name, description, bags, created_at, updated_at, version })
}

pub(super) fn put(tx: &mut Tx<'_>, agent: &Agent) -> Result<(), CommitError> {
    let Agent { id, organization_id, name, description, bags, created_at, updated_at, version } = agent;
    let serial = match serial(tx.db, *organization_id, id)? {
        Some(serial) => serial,
        None => tx.counters.next_serial(),
    };
    let (created, updated, organization) = (time(*created_at), time(*updated_at), blob(*organization_id));
    let bags = bag(bags);
    let row = params![
        name,
        description,
        bags,
        created,
        updated,
        int(serial),
        int(*version),
        organization,
        id.as_str()
    ];
    TABLE.put(tx.db, What::Agent, *version, row).map_err(|f| f.about(What::Agent, What::Organization))?;
    tx.touch();
    Ok(())
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    id: &AgentId,
    version: u64,
) -> Result<(), CommitError> {
    let owner = blob(organization);
    // A number that was given back keeps no hold on its agent; a held one does, and so does an endpoint.
    let sql = "UPDATE numbers SET agent_id = NULL WHERE organization_id = $1 AND agent_id = $2 AND held = 0";
    write(tx.db, sql, params![owner, id.as_str()]).map_err(|f| f.about(What::Number, What::Agent))?;
    let sql = "DELETE FROM agents WHERE organization_id = $1 AND id = $2 AND version = $3";
    let gone = change(tx.db, sql, params![owner, id.as_str(), int(version)]);
    if !gone.map_err(|f| f.about(What::Agent, What::Agent))? {
        return Err(CommitError::Stale(What::Agent));
    }
    tx.touch();
    Ok(())
}

/// The number that stands for an agent in the search index.
pub(super) fn serial(
    db: Db<'_>,
    organization: OrganizationId,
    id: &AgentId,
) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT serial FROM agents WHERE organization_id = $1 AND id = $2";
    one(db, sql, params![blob(organization), id.as_str()], |mut row| row.uint())
}

/// The ids and serials of the agents whose name contains `part` (in lower case), at most `most` of them.
pub(super) fn named(
    db: Db<'_>,
    organization: OrganizationId,
    part: &str,
    most: usize,
) -> Result<Vec<(AgentId, u64)>, StoreError> {
    let sql = "SELECT name, id, serial FROM agents WHERE organization_id = $1 ORDER BY id";
    let mut found = Vec::new();
    all(db, sql, params![blob(organization)], |mut row| {
        if found.len() < most && row.named(|name| Some(name.to_lowercase().contains(part)))? {
            let id = row.agent_of()?.ok_or_else(|| corrupt("an agent's id", "absent"))?;
            found.push((id, row.uint()?));
        }
        Ok(())
    })?;
    Ok(found)
}

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    id: &AgentId,
) -> Result<Option<Agent>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND id = $2", TABLE.select);
    one(db, &sql, params![blob(organization), id.as_str()], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<AgentId>,
) -> Result<Paged<Agent>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new()).and("organization_id =", blob(organization).to_vec());
    list.page(db, "id", page_of(page, |id| Value::Text(id.as_str().to_owned())), read)
}

pub(crate) fn names(
    db: Db<'_>,
    organization: OrganizationId,
    ids: &[AgentId],
) -> Result<Vec<(AgentId, String)>, StoreError> {
    let sql = "SELECT name FROM agents WHERE organization_id = $1 AND id = $2";
    let name = |id: &AgentId| one(db, sql, params![blob(organization), id.as_str()], |mut row| row.get());
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(name(id)?.map(|name| (id.clone(), name)));
    }
    Ok(found)
}

/// The agent's endpoints, at most `limit`.
pub(crate) fn endpoints(
    db: Db<'_>,
    organization: OrganizationId,
    id: &AgentId,
    limit: u32,
) -> Result<Vec<EndpointId>, StoreError> {
    let sql = "SELECT id FROM endpoints WHERE organization_id = $1 AND agent_id = $2 ORDER BY id LIMIT $3";
    all(db, sql, params![blob(organization), id.as_str(), limit], |mut row| row.id())
}

pub(crate) fn has_endpoints(
    db: Db<'_>,
    organization: OrganizationId,
    id: &AgentId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoints WHERE organization_id = $1 AND agent_id = $2";
    exists(db, sql, params![blob(organization), id.as_str()])
}
