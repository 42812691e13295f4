//! One commit inside the writer's transaction: its changes in order, then what must hold once all are applied.

use crate::db::{Db, params};
use domain::ids::{AgentId, OrganizationId, ProviderId};
use domain::ledger::Account;
use domain::number::Environment;
use domain::{Change, Commit, Event, Generation, Guard, Micros, What};
use std::collections::BTreeMap;

use super::change_log::Topic;
use super::index::Pending;
use super::sql::{blob, corrupt, int, one, write};
use super::{
    agent, answer, call, delivery, endpoint, event, intent, key, ledger, number, organization, provider,
    rate, stock, trace, turn, webhook,
};
use crate::error::{CommitError, StoreError};

/// What is counted for the whole installation. Read when the writer's transaction begins, written before it ends; a commit
/// that fails gives back what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    generation: u64,
    alias: u64,
    serial: u64,
    entry: u64,
}

impl Counters {
    pub(crate) fn load(db: Db<'_>) -> Result<Self, StoreError> {
        let sql = "SELECT generation, alias, serial, entry, 0 FROM meta WHERE one = 1";
        Self::load_with(db, sql).map(|(counters, _)| counters)
    }

    /// The same by a statement of the engine's, with one more number.
    pub(crate) fn load_with(db: Db<'_>, sql: &str) -> Result<(Self, i64), StoreError> {
        let found = one(db, sql, &[], |mut row| {
            let (generation, alias, serial, entry) = (row.uint()?, row.uint()?, row.uint()?, row.uint()?);
            Ok((Self { generation, alias, serial, entry }, row.get()?))
        })?;
        found.ok_or_else(|| corrupt("meta", "absent"))
    }

    /// As they stand in their row.
    pub(crate) fn row(&self) -> [i64; 4] {
        let Self { generation, alias, serial, entry } = *self;
        [generation, alias, serial, entry].map(int)
    }

    pub(crate) fn save(&self, db: Db<'_>) -> Result<(), StoreError> {
        let [generation, alias, serial, entry] = self.row();
        let sql = "UPDATE meta SET generation = $1, alias = $2, serial = $3, entry = $4 WHERE one = 1";
        let saved = write(db, sql, params![generation, alias, serial, entry]);
        Ok(saved.map_err(|f| f.about(What::Request, What::Request))?)
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn next_entry(&mut self) -> u64 {
        self.entry += 1;
        self.entry
    }

    /// The alias of a new number: the one it has, or (0) the next.
    pub(super) fn alias_for(&mut self, own: u64) -> u64 {
        if own == 0 {
            self.alias += 1;
            return self.alias;
        }
        self.alias = self.alias.max(own);
        own
    }
}

/// What the commands of one group share.
pub(crate) struct Group {
    pub(crate) counters: Counters,
    pub(crate) index: Pending,
    /// What accounts hold, as far as this group has looked: nobody else posts until it has ended.
    balances: Balances,
}

/// What an account of an organization holds.
type Balances = BTreeMap<(OrganizationId, Account), Micros>;

/// Where a command of a group began.
pub(crate) struct Mark(Counters, usize);

impl Group {
    pub(crate) fn new(counters: Counters) -> Self {
        Self { counters, index: Pending::default(), balances: Balances::new() }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.counters, self.index.mark())
    }

    /// Forgets what a command did that failed.
    pub(crate) fn back_to(&mut self, Mark(counters, index): Mark) {
        self.counters = counters;
        self.index.back_to(index);
        self.balances.clear();
    }
}

/// One commit being applied.
pub(super) struct Tx<'a> {
    pub(super) db: Db<'a>,
    pub(super) counters: &'a mut Counters,
    pub(super) index: &'a mut Pending,
    pub(super) balances: &'a mut Balances,
    /// Whether anything was written, so that the generation rises.
    touched: bool,
    defaults: Vec<(OrganizationId, AgentId, Environment)>,
    providers_gone: Vec<ProviderId>,
    /// The organization asked for last: a bulk of numbers asks for the same again and again. The same of an agent and of a provider,
    /// once they were found.
    serial: Option<(OrganizationId, Option<u64>)>,
    agent: Option<(OrganizationId, AgentId, u64)>,
    provider: Option<ProviderId>,
    /// Events that were written, for the webhooks that want them.
    events: Vec<Event>,
    /// How many numbers more are held than before, by organization.
    held: Vec<(OrganizationId, i64)>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(db: Db<'a>, group: &'a mut Group) -> Self {
        let Group { counters, index, balances } = group;
        let (defaults, providers_gone) = (Vec::new(), Vec::new());
        Self {
            db,
            counters,
            index,
            balances,
            touched: false,
            defaults,
            providers_gone,
            serial: None,
            agent: None,
            provider: None,
            events: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Says that an organization holds a number more, or one fewer. Written once all changes are: a bulk of numbers would write
    /// one row again and again, and on PostgreSQL each time a version of it that the next one has to pass by.
    pub(super) fn count_held(&mut self, organization: OrganizationId, more: i64) {
        match self.held.iter_mut().rfind(|(known, _)| *known == organization) {
            Some((_, held)) => *held += more,
            None => self.held.push((organization, more)),
        }
    }

    /// Says that something was written.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Says that an event was written. The operator's own have no webhooks.
    pub(super) fn announce(&mut self, event: &Event) {
        if event.organization_id != OrganizationId::NONE {
            self.events.push(event.clone());
        }
    }

    /// The events written so far, once.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Says that something was written that memory follows.
    pub(super) fn log(
        &mut self,
        topic: Topic,
        organization: OrganizationId,
        key: &[u8; 16],
    ) -> Result<(), CommitError> {
        self.touch();
        let sql = "INSERT INTO change_log (generation, kind, organization_id, key) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let row = params![int(self.counters.generation + 1), topic as u8, blob(organization), key];
        write(self.db, sql, row).map_err(|f| f.about(What::Request, What::Request))
    }

    /// Asks that an agent have at most one default in an environment at the end.
    pub(super) fn check_default(
        &mut self,
        organization: OrganizationId,
        agent: AgentId,
        environment: Environment,
    ) {
        self.defaults.push((organization, agent, environment));
    }

    /// Asks that no held number name a provider at the end.
    pub(super) fn check_provider(&mut self, id: ProviderId) {
        self.providers_gone.push(id);
    }

    /// The number that stands for an organization in the search index.
    pub(super) fn organization_serial(&mut self, id: OrganizationId) -> Result<Option<u64>, StoreError> {
        match self.serial {
            Some((known, serial)) if known == id => Ok(serial),
            _ => {
                let serial = organization::serial(self.db, id)?;
                self.serial = Some((id, serial));
                Ok(serial)
            }
        }
    }

    /// The number that stands for an agent in the search index. One that is deleted behind this is still named, which its table refuses.
    pub(super) fn agent_serial(
        &mut self,
        organization: OrganizationId,
        id: &AgentId,
    ) -> Result<Option<u64>, StoreError> {
        if let Some((owner, known, serial)) = &self.agent
            && (*owner, known) == (organization, id)
        {
            return Ok(Some(*serial));
        }
        let serial = agent::serial(self.db, organization, id)?;
        self.agent = serial.map(|serial| (organization, id.clone(), serial));
        Ok(serial)
    }

    /// Whether a provider is there. One that is deleted behind this must not be in use at the end ([`Self::check_provider`]).
    pub(super) fn provider_is_here(&mut self, id: ProviderId) -> Result<bool, StoreError> {
        if self.provider != Some(id) {
            self.provider = provider::is_here(self.db, id)?.then_some(id);
        }
        Ok(self.provider == Some(id))
    }

    /// Ends it: the generation that holds what was written.
    pub(super) fn raise(self) -> Option<Generation> {
        self.touched.then(|| {
            self.counters.generation += 1;
            self.counters.generation()
        })
    }
}

/// Applies a commit. After an error the caller rolls back to where it began.
pub(crate) fn commit(db: Db<'_>, group: &mut Group, commit: &Commit) -> Result<Generation, CommitError> {
    let Commit { changes, guards, answer } = commit;
    let mut tx = Tx::new(db, group);
    for change in changes {
        apply(&mut tx, change)?;
    }
    for (organization, more) in std::mem::take(&mut tx.held) {
        number::count_held(tx.db, organization, more)?;
    }
    delivery::announce(&mut tx)?;
    for agents_default in &tx.defaults {
        if endpoint::defaults_clash(db, agents_default)? {
            return Err(CommitError::Stale(What::Endpoint));
        }
    }
    for guard in guards {
        if !holds(db, guard)? {
            return Err(CommitError::Guard(*guard));
        }
    }
    for id in &tx.providers_gone {
        if provider::in_use(db, *id)? {
            return Err(CommitError::Stale(What::Provider));
        }
    }
    if let Some(answer) = answer {
        answer::keep(db, answer)?;
    }
    let raised = tx.raise();
    Ok(raised.unwrap_or_else(|| group.counters.generation()))
}

fn apply(tx: &mut Tx<'_>, change: &Change) -> Result<(), CommitError> {
    match change {
        Change::Organization(organization) => organization::put(tx, organization),
        Change::Key(key) => key::put(tx, key),
        Change::Agent(agent) => agent::put(tx, agent),
        Change::AgentDelete(organization, id, version) => agent::delete(tx, *organization, id, *version),
        Change::Endpoint(endpoint) => endpoint::put(tx, endpoint),
        Change::EndpointDelete(organization, id, version) => {
            endpoint::delete(tx, *organization, *id, *version)
        }
        Change::Provider(provider) => provider::put(tx, provider),
        Change::ProviderDelete(id, version) => provider::delete(tx, *id, *version),
        Change::Stock(stock) => stock::put(tx, stock),
        Change::StockDelete(id, version) => stock::delete(tx, *id, *version),
        Change::Number(number) => number::put(tx, number),
        Change::Posting(posting) => ledger::post(tx, posting),
        Change::CallRedact(organization, id, at) => call::agent::redact(tx, (*organization, *id), *at),
        Change::Event(event) => event::put(tx, event),
        Change::Intent(intent) => intent::put(tx, intent),
        Change::IntentsPrune(before, most) => intent::prune(tx, *before, *most),
        Change::AccountTurn(provider, turn) => turn::take(tx, *provider, turn),
        Change::AccountTurnEnd(provider, turn) => turn::end(tx, *provider, turn),
        Change::Webhook(webhook) => webhook::put(tx, webhook),
        Change::WebhookDelete(organization, id, version) => webhook::delete(tx, *organization, *id, *version),
        Change::Delivery(delivery) => delivery::put(tx, delivery),
        Change::DeliveriesPrune(before, most) => delivery::prune(tx, *before, *most),
        Change::KeyUse(used) => key::used(tx, used),
        Change::Rate(rate) => rate::put(tx, rate),
        Change::RateDelete(organization, id) => rate::delete(tx, *organization, *id),
        Change::Trace(organization, window) => trace::put(tx, *organization, *window),
        Change::CallDelete(organization, id) => call::delete(tx, *organization, *id),
    }
}

/// Whether a guard holds. There is one writer at a time (on PostgreSQL the one who has locked `meta`), so it holds until the commit.
fn holds(db: Db<'_>, guard: &Guard) -> Result<bool, StoreError> {
    Ok(match guard {
        Guard::WalletCovers(organization) => ledger::balance(db, *organization)? >= Micros::ZERO,
        Guard::SlotsWithin(organization, most) => number::slots_used(db, *organization)? <= u64::from(*most),
        Guard::ChurnWithin(organization, most, since) => {
            number::rent::born(db, *organization, *since, u64::from(*most) + 1)? <= u64::from(*most)
        }
        Guard::HoldsWithin(organization, most, at) => {
            stock::holds(db, *organization, *at)?.len() <= usize::try_from(*most).unwrap_or(usize::MAX)
        }
        Guard::NumberUncalled(organization, id) => !number::rent::was_called(db, *organization, *id)?,
        Guard::EndpointAt(organization, id, version) => {
            endpoint::get(db, *organization, *id)?.is_some_and(|endpoint| endpoint.version == *version)
        }
        Guard::EndpointFollowed(organization, id) => endpoint::is_followed(db, *organization, *id)?,
        Guard::EndpointUnused(organization, id) => {
            number::list::on_endpoint(db, *organization, *id, None, 1)?.is_empty()
        }
        Guard::TestNumbersWithin(organization, most) => {
            number::held_for_tests(db, *organization)? <= u64::from(*most)
        }
        Guard::WebhooksWithin(organization, most) => webhook::count(db, *organization)? <= u64::from(*most),
        Guard::RatesWithin(owner, most) => rate::count(db, *owner)? <= u64::from(*most),
        Guard::ProviderUnused(id) => !provider::in_use(db, *id)?,
    })
}
