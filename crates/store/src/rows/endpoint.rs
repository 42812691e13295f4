//! Endpoints.

use crate::db::{Db, Failure, params};
use domain::endpoint::{EndpointKind, EndpointStatus};
use domain::ids::{AgentId, EndpointId, OrganizationId};
use domain::manner::{Header, Manner, ToForm};
use domain::number::Environment;
use domain::provider::{AddressRule, MediaEncryption};
use domain::rules::EndpointRules;
use domain::target::{Target, TargetUri};
use domain::{Endpoint, Page, Paged, What};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

use super::apply::Tx;
use super::change_log::Topic;
use super::list::{List, page_of_ids};
use super::provider::{credentials_read, credentials_text};
use super::sql::{Columns, Table, all, bag, blob, change, corrupt, exists, int, json, one, time, write};
use super::uses;
use crate::error::{CommitError, StoreError};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let columns = "name, kind, status, url, config, agent_id, environment, is_default, targets, source_addresses, bags, allow_transfer, credentials, media_encryption, headers, to_form, ring_seconds, rules, created_at, updated_at, version";
    Table::new("endpoints", columns, "organization_id, id")
});

#[derive(Serialize, Deserialize)]
struct TargetRow {
    uri: String,
    priority: u16,
    weight: u16,
    enabled: bool,
}

impl TargetRow {
    fn of(target: &Target) -> Self {
        let Target { uri, priority, weight, enabled } = target;
        Self { uri: uri.as_str().to_owned(), priority: *priority, weight: *weight, enabled: *enabled }
    }

    fn read(self) -> Result<Target, StoreError> {
        let Self { uri, priority, weight, enabled } = self;
        let uri = TargetUri::parse(&uri).map_err(|_| corrupt("a target", &uri))?;
        Ok(Target { uri, priority, weight, enabled })
    }
}

pub(super) fn addresses_text(rules: &[AddressRule]) -> Vec<String> {
    rules.iter().map(AddressRule::to_string).collect()
}

pub(super) fn addresses_read(texts: &[String]) -> Result<Vec<AddressRule>, StoreError> {
    texts.iter().map(|text| AddressRule::parse(text).ok_or_else(|| corrupt("an address", text))).collect()
}

fn read(mut row: Columns<'_, '_>) -> Result<Endpoint, StoreError> {
    let name = row.get()?;
    let kind = row.named(EndpointKind::parse)?;
    let status = row.named(EndpointStatus::parse)?;
    let (url, config) = (row.get()?, row.json()?);
    let agent_id = row.agent_of()?;
    let environment = row.named(Environment::parse)?;
    let is_default = row.get()?;
    let targets: Vec<TargetRow> = row.json()?;
    let targets = targets.into_iter().map(TargetRow::read).collect::<Result<_, _>>()?;
    let source_addresses = addresses_read(&row.json::<Vec<String>>()?)?;
    let bags = row.json()?;
    let allow_transfer = row.get()?;
    let manner = manner(&mut row)?;
    let rules = row.get::<Option<String>>()?.map(|text| rules_read(&text)).transpose()?.unwrap_or_default();
    let (created_at, updated_at, version) = (row.time()?, row.time()?, row.uint()?);
    let (organization_id, id) = (row.id()?, row.id()?);
    Ok(Endpoint {
        id,
        organization_id,
        name,
        kind,
        status,
        url,
        config,
        agent_id,
        environment,
        is_default,
        targets,
        source_addresses,
        allow_transfer,
        manner,
        rules,
        bags,
        created_at,
        updated_at,
        version,
    })
}

fn manner(row: &mut Columns<'_, '_>) -> Result<Manner, StoreError> {
    let credentials = row.get::<Option<String>>()?.map(|text| credentials_read(&text)).transpose()?;
    let media_encryption = row.named(MediaEncryption::parse)?;
    let headers: Vec<(String, String)> = row.json()?;
    let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
    let to_form = row.named(ToForm::parse)?;
    let ring_seconds = row.get()?;
    Ok(Manner { credentials, media_encryption, headers, to_form, ring_seconds })
}

fn rules_read(text: &str) -> Result<EndpointRules, StoreError> {
    let bag = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    EndpointRules::read(&bag).map_err(|_| corrupt("the rules of an endpoint", text))
}

pub(super) fn put(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<(), CommitError> {
    let Endpoint {
        id,
        organization_id,
        name,
        kind,
        status,
        url,
        config,
        agent_id,
        environment,
        is_default,
        targets,
        source_addresses,
        allow_transfer,
        manner,
        rules,
        bags,
        created_at,
        updated_at,
        version,
    } = endpoint;
    let Manner { credentials, media_encryption, headers, to_form, ring_seconds } = manner;
    let headers: Vec<_> = headers.iter().map(|Header { name, value }| (name, value)).collect();
    let said = Some(rules.bag()).filter(|rules| !rules.is_empty());
    let agent = agent_id.as_ref().map(AgentId::as_str);
    let targets = json(&targets.iter().map(TargetRow::of).collect::<Vec<_>>());
    let addresses = json(&addresses_text(source_addresses));
    let (created, updated, own) = (time(*created_at), time(*updated_at), blob(*id));
    let row = params![
        name,
        kind.as_str(),
        status.as_str(),
        url,
        bag(config),
        agent,
        environment.as_str(),
        is_default,
        targets,
        addresses,
        bag(bags),
        allow_transfer,
        credentials.as_ref().map(credentials_text),
        media_encryption.as_str(),
        json(&headers),
        to_form.as_str(),
        ring_seconds,
        said.as_ref().map(bag),
        created,
        updated,
        int(*version),
        blob(*organization_id),
        own
    ];
    match TABLE.put(tx.db, What::Endpoint, *version, row) {
        Ok(()) => {}
        Err(Failure::Dangling(None)) => return Err(CommitError::Stale(blame(tx.db, endpoint)?)),
        Err(failure) => return Err(failure.about(What::Endpoint, What::Organization)),
    }
    uses::put(tx, (*organization_id, &own), rules.endpoints())?;
    if let (true, Some(agent)) = (is_default, agent_id) {
        // Looked at once all changes are applied: the former default may be written after the new one.
        tx.check_default(*organization_id, agent.clone(), *environment);
    }
    tx.log(Topic::Endpoint, *organization_id, &own)
}

/// Which of the things that an endpoint refers to is not there.
fn blame(db: Db<'_>, endpoint: &Endpoint) -> Result<What, StoreError> {
    let missing = match &endpoint.agent_id {
        Some(agent) => super::agent::serial(db, endpoint.organization_id, agent)?.is_none(),
        None => false,
    };
    let here = super::organization::serial(db, endpoint.organization_id)?.is_some();
    Ok(if here && missing { What::Agent } else { What::Organization })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    organization: OrganizationId,
    id: EndpointId,
    version: u64,
) -> Result<(), CommitError> {
    let (owner, own) = (blob(organization), blob(id));
    // A number that was given back keeps no hold on its endpoint; a held one does.
    let sql =
        "UPDATE numbers SET endpoint_id = NULL WHERE organization_id = $1 AND endpoint_id = $2 AND held = 0";
    write(tx.db, sql, params![owner, own]).map_err(|f| f.about(What::Number, What::Endpoint))?;
    uses::put(tx, (organization, &own), std::iter::empty())?;
    let sql = "DELETE FROM endpoints WHERE organization_id = $1 AND id = $2 AND version = $3";
    let gone = change(tx.db, sql, params![owner, own, int(version)]);
    if !gone.map_err(|f| f.about(What::Endpoint, What::Endpoint))? {
        return Err(CommitError::Stale(What::Endpoint));
    }
    tx.log(Topic::Endpoint, organization, &own)
}

/// Whether an agent has two defaults in an environment.
pub(super) fn defaults_clash(
    db: Db<'_>,
    (organization, agent, environment): &(OrganizationId, AgentId, Environment),
) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM endpoints WHERE organization_id = $1 AND agent_id = $2 AND environment = $3 AND is_default = 1";
    let row = params![blob(*organization), agent.as_str(), environment.as_str()];
    Ok(one(db, sql, row, |mut row| row.uint())?.unwrap_or(0) > 1)
}

/// Whether each held number on an endpoint has the endpoint's agent and environment, where it has an agent.
pub(super) fn is_followed(
    db: Db<'_>,
    organization: OrganizationId,
    id: EndpointId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoints e JOIN numbers n ON n.organization_id = e.organization_id AND n.endpoint_id = e.id \
               WHERE e.organization_id = $1 AND e.id = $2 AND e.agent_id IS NOT NULL AND n.held = 1 \
               AND (n.agent_id IS DISTINCT FROM e.agent_id OR n.environment <> e.environment) LIMIT 1";
    exists(db, sql, params![blob(organization), blob(id)]).map(|stray| !stray)
}

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let sql = format!("{} AND organization_id = $1 AND id = $2", TABLE.select);
    one(db, &sql, params![blob(organization), blob(id)], read)
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<EndpointId>,
) -> Result<Paged<Endpoint>, StoreError> {
    let list = List::new(&TABLE.select, Vec::new()).and("organization_id =", blob(organization).to_vec());
    list.page(db, "id", page_of_ids(page), read)
}

pub(crate) fn of_agent(
    db: Db<'_>,
    organization: OrganizationId,
    agent: &AgentId,
    limit: u32,
) -> Result<Vec<Endpoint>, StoreError> {
    let sql =
        format!("{} AND organization_id = $1 AND agent_id = $2 ORDER BY id DESC LIMIT $3", TABLE.select);
    all(db, &sql, params![blob(organization), agent.as_str(), limit], read)
}

pub(crate) fn default(
    db: Db<'_>,
    organization: OrganizationId,
    agent: &AgentId,
    environment: Environment,
) -> Result<Option<Endpoint>, StoreError> {
    let sql = format!(
        "{} AND organization_id = $1 AND agent_id = $2 AND environment = $3 AND is_default = 1 ORDER BY id LIMIT 1",
        TABLE.select
    );
    one(db, &sql, params![blob(organization), agent.as_str(), environment.as_str()], read)
}

/// Every endpoint.
pub(super) fn each(
    db: Db<'_>,
    mut see: impl FnMut(Endpoint) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    super::sql::each(db, &TABLE.select, |row| see(read(row)?))
}
