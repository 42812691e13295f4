//! Numbers: the row, its claim, its place in the search index. Lists are in [`list`].

pub(crate) mod list;
pub(crate) mod rent;

use crate::db::{Db, Failure, Param, Value, params};
use domain::e164::{Country, E164, NumberType};
use domain::ids::{AgentId, NumberId, OrganizationId};
use domain::number::{Environment, Network, Status};
use domain::provider::{Credentials, ProviderKind, Sealed};
use domain::routing::Intake;
use domain::rules::NumberRules;
use domain::stock::Capabilities;
use domain::view::{AgentBrief, ProviderBrief};
use domain::{Number, What};
use std::sync::{Arc, LazyLock};

use super::apply::Tx;
use super::change_log::Topic;
use super::index::{NumberText, Pending, Text};
use super::search;
use super::sql::{
    Columns, Table, absent, all, bag, blob, blob_of, corrupt, e164, int, one, time, time_of, write,
};
use super::uses;
use crate::error::{CommitError, StoreError};
use crate::feed::{NumberRow, NumberShown};

const COLUMNS: &str = "alias, e164, country, kind, status, held, label, provider_id, stock_id, network, setup_cost, monthly_cost, \
                       voice, sms, fax, endpoint_id, agent_id, environment, allow_inbound, allow_outbound, psa_settings, \
                       agent_settings, sip_username, sip_password, created_at, updated_at, released_at, \
                       quarantined_until, rented_until, delivered_at, unpaid, rules, version";

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new("numbers", COLUMNS, "organization_id, id"));

/// Numbers of one user name that are looked at.
const NAMESAKES_MAX: u32 = 8;

/// As much of a number as stands in the search index, and whether it is held.
struct Standing {
    alias: u64,
    held: bool,
    label: Option<String>,
    agent_id: Option<AgentId>,
    /// Whether it has rules.
    ruled: bool,
}

fn read(mut row: Columns<'_, '_>) -> Result<Number, StoreError> {
    read_from(&mut row)
}

fn rules_read(text: &str) -> Result<NumberRules, StoreError> {
    let bag = serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    NumberRules::read(&bag).map_err(|_| corrupt("the rules of a number", text))
}

fn read_from(row: &mut Columns<'_, '_>) -> Result<Number, StoreError> {
    let (alias, number) = (row.uint()?, row.e164()?);
    let (country, kind, status) =
        (row.named(Country::parse)?, row.named(NumberType::parse)?, row.named(Status::parse)?);
    row.skip(); // held: a function of the status
    let (label, provider_id, stock_id) = (row.get()?, row.id_of()?, row.id_of()?);
    let network = row.named(Network::parse)?;
    let (setup_cost, monthly_cost) = (row.micros()?, row.micros()?);
    let capabilities = Capabilities { voice: row.get()?, sms: row.get()?, fax: row.get()? };
    let (endpoint_id, agent_id, environment) =
        (row.id_of()?, row.agent_of()?, row.named(Environment::parse)?);
    let (allow_inbound, allow_outbound) = (row.get()?, row.get()?);
    let (psa_settings, agent_settings) = (row.json()?, row.json()?);
    let sip_credentials = Credentials { username: row.get()?, password: Sealed(row.get()?) };
    let (created_at, updated_at) = (row.time()?, row.time()?);
    let (released_at, quarantined_until) = (row.time_of()?, row.time_of()?);
    let (rented_until, delivered_at, unpaid) = (row.time_of()?, row.time_of()?, row.get()?);
    let rules = row.get::<Option<String>>()?.map(|text| rules_read(&text)).transpose()?.unwrap_or_default();
    let (version, organization_id, id) = (row.uint()?, row.id()?, row.id()?);
    Ok(Number {
        id,
        organization_id,
        alias,
        e164: number,
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
        rules,
        psa_settings,
        agent_settings,
        sip_credentials,
        created_at,
        updated_at,
        released_at,
        quarantined_until,
        rented_until,
        delivered_at,
        unpaid,
        version,
    })
}

pub(super) fn put(tx: &mut Tx<'_>, number: &Number) -> Result<(), CommitError> {
    let before = if number.version == 1 { None } else { standing(tx.db, number)? };
    let alias = match &before {
        Some(before) => before.alias,
        // An alias named at birth is kept (a store that is copied); the counter never gives it again.
        None => tx.counters.alias_for(number.alias),
    };
    // Held numbers may name only a provider that is there. No foreign key: one that was given back may outlive its trunk.
    if let (true, Some(provider)) = (number.status.is_held(), number.provider_id)
        && !tx.provider_is_here(provider)?
    {
        return Err(CommitError::Stale(What::Provider));
    }
    row_put(tx, number, alias)?;
    if !number.rules.is_empty() || before.as_ref().is_some_and(|b| b.ruled) {
        // One that was given back keeps no hold on the endpoints that its rules name.
        let named = number.rules.endpoints().filter(|_| number.status.is_held());
        uses::put(tx, (number.organization_id, &blob(number.id)), named)?;
    }
    claim(tx, number, before.as_ref().is_some_and(|b| b.held))?;
    index(tx, number, alias, before.as_ref())?;
    tx.log(Topic::Number, number.organization_id, &blob(number.id))
}

/// The stored row that this version takes the place of.
fn standing(db: Db<'_>, number: &Number) -> Result<Option<Standing>, StoreError> {
    let sql = "SELECT alias, held, label, agent_id, rules IS NOT NULL FROM numbers WHERE organization_id = $1 AND id = $2";
    one(db, sql, params![blob(number.organization_id), blob(number.id)], |mut row| {
        Ok(Standing {
            alias: row.uint()?,
            held: row.get()?,
            label: row.get()?,
            agent_id: row.agent_of()?,
            ruled: row.get()?,
        })
    })
}

#[expect(clippy::too_many_lines, reason = "a table: one column after the other")]
fn row_put(tx: &Tx<'_>, number: &Number, alias: u64) -> Result<(), CommitError> {
    let Number {
        id,
        organization_id,
        alias: _,
        e164: digits,
        country,
        kind,
        status,
        label,
        provider_id,
        stock_id,
        network,
        setup_cost,
        monthly_cost,
        capabilities: Capabilities { voice, sms, fax },
        endpoint_id,
        agent_id,
        environment,
        allow_inbound,
        allow_outbound,
        rules,
        psa_settings,
        agent_settings,
        sip_credentials,
        created_at,
        updated_at,
        released_at,
        quarantined_until,
        rented_until,
        delivered_at,
        unpaid,
        version,
    } = number;
    let said = Some(rules.bag()).filter(|rules| !rules.is_empty());
    let Credentials { username, password: Sealed(password) } = sip_credentials;
    let row = params![
        int(alias),
        e164(*digits),
        country.as_str(),
        kind.as_str(),
        status.as_str(),
        status.is_held(),
        label,
        blob_of(*provider_id),
        blob_of(*stock_id),
        network.as_str(),
        setup_cost.0,
        monthly_cost.0,
        voice,
        sms,
        fax,
        blob_of(*endpoint_id),
        agent_id.as_ref().map(AgentId::as_str),
        environment.as_str(),
        allow_inbound,
        allow_outbound,
        bag(psa_settings),
        bag(agent_settings),
        username,
        password,
        time(*created_at),
        time(*updated_at),
        time_of(*released_at),
        time_of(*quarantined_until),
        time_of(*rented_until),
        time_of(*delivered_at),
        unpaid,
        said.as_ref().map(bag),
        int(*version),
        blob(*organization_id),
        blob(*id)
    ];
    TABLE.put(tx.db, What::Number, *version, row).or_else(|failure| refused(tx.db, number, failure))
}

fn refused(db: Db<'_>, number: &Number, failure: Failure) -> Result<(), CommitError> {
    Err(match failure {
        Failure::Dangling(Some(what)) => CommitError::Stale(what),
        Failure::Dangling(None) => CommitError::Stale(blame(db, number)?),
        failure @ (Failure::Taken | Failure::Commit(_)) => failure.about(What::Number, What::Organization),
    })
}

/// Which of the things that a number refers to is not there.
fn blame(db: Db<'_>, number: &Number) -> Result<What, StoreError> {
    let organization = number.organization_id;
    if super::organization::serial(db, organization)?.is_none() {
        return Ok(What::Organization);
    }
    let endpoint_here = match number.endpoint_id {
        Some(id) => super::endpoint::get(db, organization, id)?.is_some(),
        None => true,
    };
    Ok(if endpoint_here { What::Agent } else { What::Endpoint })
}

/// A number that comes to be held claims its E.164, and one that ceases to be gives the claim up.
fn claim(tx: &mut Tx<'_>, number: &Number, was_held: bool) -> Result<(), CommitError> {
    let (digits, owner, own) = (e164(number.e164), blob(number.organization_id), blob(number.id));
    // What the operator has in stock, on sale or resting, is had from there only.
    let from_elsewhere = !was_held && number.status.is_held() && number.stock_id.is_none();
    if from_elsewhere && !super::stock::is_not_here(tx.db, number.e164)? {
        return Err(CommitError::Exists(What::Number));
    }
    let (sql, more) = match (was_held, number.status.is_held()) {
        (false, true) => {
            ("INSERT INTO number_claims (e164, organization_id, number_id) VALUES ($1, $2, $3)", 1)
        }
        (true, false) => {
            ("DELETE FROM number_claims WHERE e164 = $1 AND organization_id = $2 AND number_id = $3", -1)
        }
        (false, false) | (true, true) => return Ok(()),
    };
    write(tx.db, sql, params![digits, owner, own]).map_err(|f| f.about(What::Number, What::Number))?;
    tx.count_held(number.organization_id, more);
    Ok(())
}

/// Counts so many numbers more (or fewer) as held.
pub(super) fn count_held(db: Db<'_>, organization: OrganizationId, more: i64) -> Result<(), CommitError> {
    let sql = "UPDATE holdings SET held = held + $1 WHERE organization_id = $2";
    write(db, sql, params![more, blob(organization)]).map_err(|f| f.about(What::Number, What::Organization))
}

/// Brings the search index up to date, where what it knows has changed.
fn index(tx: &mut Tx<'_>, number: &Number, alias: u64, before: Option<&Standing>) -> Result<(), CommitError> {
    let held = number.status.is_held();
    let same = |b: &Standing| b.held == held && b.label == number.label && b.agent_id == number.agent_id;
    if before.is_some_and(same) {
        return Ok(());
    }
    let organization = tx.organization_serial(number.organization_id)?;
    let agent = match &number.agent_id {
        Some(agent) => tx.agent_serial(number.organization_id, agent)?,
        None => None,
    };
    let text = text_of((number.e164.as_u64(), held), number.label.as_deref(), organization, agent);
    tx.index.put(alias, before.is_some(), text);
    Ok(())
}

/// What is to stand in the search index of a number (and whether it is held), by the serials of its organization and agent.
fn text_of(
    (number, held): (u64, bool),
    label: Option<&str>,
    organization: Option<u64>,
    agent: Option<u64>,
) -> Text {
    let (digits, fours) = search::digits_of(number, label);
    Text::Number(NumberText {
        tenant: organization.map(|serial| search::tenant(serial, held)),
        agent: agent.map(search::agent),
        digits,
        fours,
        label: label.map(search::plain),
    })
}

/// Puts numbers into the search index that were copied: those between two keys, which follow each other.
pub(crate) fn index_copied(db: Db<'_>, index: &mut Pending, keys: &[Value]) -> Result<(), StoreError> {
    let sql = "SELECT n.alias, n.e164, n.held, n.label, o.serial, a.serial FROM numbers n \
               JOIN organizations o ON o.id = n.organization_id \
               LEFT JOIN agents a ON a.organization_id = n.organization_id AND a.id = n.agent_id \
               WHERE (n.organization_id, n.id) >= ($1, $2) AND (n.organization_id, n.id) <= ($3, $4)";
    let keys: Vec<&dyn Param> = keys.iter().map(|key| key as &dyn Param).collect();
    let found = all(db, sql, &keys, |mut row| {
        let (alias, number) = (row.uint()?, (row.uint()?, row.get()?));
        let (label, organization): (Option<String>, _) = (row.get()?, row.uint()?);
        let agent: Option<i64> = row.get()?;
        let agent = agent.and_then(|serial| u64::try_from(serial).ok());
        Ok((alias, text_of(number, label.as_deref(), Some(organization), agent)))
    })?;
    for (alias, text) in found {
        index.put(alias, false, text);
    }
    Ok(())
}

static GET: LazyLock<String> =
    LazyLock::new(|| format!("{} AND organization_id = $1 AND id = $2", TABLE.select));

pub(crate) fn get(
    db: Db<'_>,
    organization: OrganizationId,
    id: NumberId,
) -> Result<Option<Number>, StoreError> {
    one(db, &GET, params![blob(organization), blob(id)], read)
}

pub(crate) static SHOWN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {}, a.name, p.kind, p.label, p.account FROM numbers n \
         LEFT JOIN agents a ON a.organization_id = n.organization_id AND a.id = n.agent_id \
         LEFT JOIN providers p ON p.id = n.provider_id \
         WHERE n.organization_id = $1 AND n.id = $2",
        list::columns()
    )
});

/// One look-up instead of three, since this is what is asked for most.
pub(crate) fn shown(
    db: Db<'_>,
    organization: OrganizationId,
    id: NumberId,
) -> Result<Option<NumberShown>, StoreError> {
    one(db, &SHOWN, params![blob(organization), blob(id)], |mut row| {
        let number = read_from(&mut row)?;
        let agent = row.get::<Option<String>>()?.zip(number.agent_id.clone());
        let kind = row.get::<Option<String>>()?;
        let kind = kind.map(|k| ProviderKind::parse(&k).ok_or_else(|| corrupt("a provider's kind", &k)));
        let (kind, label) = (kind.transpose()?, row.get::<Option<String>>()?);
        let account = row.get::<Option<String>>()?;
        let account =
            account.map(|text| super::provider::account_read(&text)).transpose()?.map(|a| a.brief());
        let provider = number.provider_id.zip(kind).zip(label);
        Ok(NumberShown {
            number,
            agent: agent.map(|(name, id)| AgentBrief { id, name }),
            provider: provider.map(|((id, kind), label)| ProviderBrief { id, kind, label, account }),
        })
    })
}

pub(crate) fn holder(db: Db<'_>, number: E164) -> Result<Option<(OrganizationId, NumberId)>, StoreError> {
    let sql = "SELECT organization_id, number_id FROM number_claims WHERE e164 = $1";
    one(db, sql, params![e164(number)], |mut row| Ok((row.id()?, row.id()?)))
}

/// Whether nobody holds a number, as is expected.
pub(super) fn is_unclaimed(db: Db<'_>, number: E164) -> Result<bool, StoreError> {
    absent(db, "SELECT 1 FROM number_claims WHERE e164 = $1", params![e164(number)])
}

pub(crate) fn find(
    db: Db<'_>,
    organization: OrganizationId,
    number: E164,
) -> Result<Option<Number>, StoreError> {
    if let Some((owner, id)) = holder(db, number)?
        && owner == organization
    {
        return get(db, organization, id);
    }
    let sql = format!(
        "{} AND organization_id = $1 AND e164 = $2 AND held = 0 AND status = 'released' \
         ORDER BY released_at DESC, id DESC LIMIT 1",
        TABLE.select
    );
    one(db, &sql, params![blob(organization), e164(number)], read)
}

/// Held numbers whose SIP credentials have this user name. Names are drawn, so two may have the same.
pub(crate) fn of_username(db: Db<'_>, username: &str) -> Result<Vec<Number>, StoreError> {
    let sql = format!("{} AND sip_username = $1 AND held = 1 ORDER BY id LIMIT $2", TABLE.select);
    all(db, &sql, params![username, NAMESAKES_MAX], read)
}

/// How many numbers an organization holds.
/// How many numbers for tests an organization holds.
pub(crate) fn held_for_tests(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM numbers WHERE organization_id = $1 AND network = 'test' AND held = 1";
    Ok(one(db, sql, params![blob(organization)], |mut row| row.uint())?.unwrap_or(0))
}

/// How many numbers an organization holds that take a slot: all but those for tests.
pub(crate) fn slots_used(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    Ok(held_count(db, organization)?.saturating_sub(held_for_tests(db, organization)?))
}

pub(crate) fn held_count(db: Db<'_>, organization: OrganizationId) -> Result<u64, StoreError> {
    let sql = "SELECT held FROM holdings WHERE organization_id = $1";
    Ok(one(db, sql, params![blob(organization)], |mut row| row.uint())?.unwrap_or(0))
}

const SLIM: &str = "SELECT id, organization_id, e164, status, unpaid, network, allow_inbound, voice, allow_outbound, \
                    provider_id, endpoint_id, rules \
                    FROM numbers";

fn read_slim(mut row: Columns<'_, '_>) -> Result<NumberRow, StoreError> {
    let (id, organization_id) = (row.id()?, row.id()?);
    let (number, status) = (row.e164()?, row.named(Status::parse)?);
    let (unpaid, network) = (row.get()?, row.named(Network::parse)?);
    let intake = Intake::of(row.get()?, row.get()?);
    let allow_outbound = row.get()?;
    Ok(NumberRow {
        id,
        organization_id,
        e164: number,
        status,
        unpaid,
        network,
        intake,
        allow_outbound,
        provider_id: row.id_of()?,
        endpoint_id: row.id_of()?,
        rules: row.get::<Option<String>>()?.map(|text| rules_read(&text).map(Arc::new)).transpose()?,
    })
}

/// As much of a number as a call needs.
pub(super) fn slim(
    db: Db<'_>,
    organization: OrganizationId,
    id: NumberId,
) -> Result<Option<NumberRow>, StoreError> {
    let sql = format!("{SLIM} WHERE organization_id = $1 AND id = $2");
    one(db, &sql, params![blob(organization), blob(id)], read_slim)
}

/// Every held number, in the order of the table: by an index of held ones (the sign keeps them from being taken) a row would be looked up
/// where it lies, each in a page of its own, which takes many times as long as reading all of them one after the other.
pub(crate) static EACH: LazyLock<String> = LazyLock::new(|| format!("{SLIM} WHERE +held = 1"));

pub(super) fn each(
    db: Db<'_>,
    mut see: impl FnMut(NumberRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    super::sql::each(db, &EACH, |row| see(read_slim(row)?))
}
