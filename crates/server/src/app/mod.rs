//! The only way in: every front door turns its input into an [`Op`], and [`App::run`] gives a [`View`] or an [`Error`].
//!
//! A write reads what it needs within the tenant, asks the rules in `domain` what becomes of it, and commits that in one
//! piece. No transaction is held over an await: each changed row is written under the version it was read at, conditions
//! over several rows are guards that the store evaluates inside the transaction, and a commit that lost a race is decided
//! again from the start ([`again`]).

mod agent_calls;
mod agent_profiles;
mod agents;
mod calls;
mod endpoints;
mod explain;
mod failure;
mod keys;
mod numbers;
mod of_agent;
mod organizations;
mod providers;
mod purchase;
mod stock;
mod trunks;
mod views;

use domain::change::KeptAnswer;
use domain::event::Event;
use domain::ids::{EventId, OrganizationId};
use domain::{Bag, Caller, Change, Commit, Error, Op, Result, Timestamp, View, What};
use std::sync::Arc;
use store::Store;

use crate::clock;
use crate::key_uses::KeyUses;
use crate::live::Live;
use crate::vault::Vault;

/// How often a write that lost a race is decided again before its caller is told to try later.
const RACES_MAX: usize = 16;

/// Where SIP reaches us, as told to users.
#[derive(Clone, Debug)]
pub(crate) struct PublicSip {
    /// A name or an address.
    pub(crate) host: String,
    /// A port.
    pub(crate) port: u16,
}

/// Everything that operations need.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) live: Arc<Live>,
    pub(crate) vault: Vault,
    pub(crate) public: PublicSip,
    /// Held while a number is chosen for somebody, so that buyers who come at once do not run for the same one.
    pub(crate) provisions: tokio::sync::Mutex<()>,
    pub(crate) uses: Arc<KeyUses>,
}

/// Makes the answer to be kept with a commit, from the view that the commit leads to.
pub(crate) type Keep<'a> = &'a (dyn Fn(&View) -> KeptAnswer + Sync);

/// One request as the operations see it.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// The time at which it is decided.
    pub(crate) now: Timestamp,
    /// How to keep the answer for a repeat, where one can come.
    pub(crate) keep: Option<Keep<'a>>,
    /// Names the request among all repeats of it, where one can come.
    pub(crate) slot: Option<[u8; 32]>,
}

impl Ask<'_> {
    fn organization(&self) -> Result<OrganizationId> {
        self.caller.organization()
    }

    /// An entry of the audit log about this request.
    fn event(&self, organization_id: OrganizationId, name: &'static str, subject: impl std::fmt::Display) -> Change {
        let (id, actor, at) = (EventId(clock::id()), self.caller.actor, self.now);
        Change::Event(Event { id, organization_id, name, actor, subject: subject.to_string(), data: Bag::new(), at })
    }
}

impl App {
    /// Runs one operation. Whether the caller has the right to it was checked against the dialect's table before its body
    /// was read; what only the operator may do, and whose rows are seen, is checked here.
    pub(crate) async fn run(&self, ask: Ask<'_>, op: Op) -> Result<View> {
        match op {
            Op::OrganizationCreate(new) => self.organization_create(ask, new).await,
            Op::OrganizationList(page) => self.organization_list(ask, &page),
            Op::OrganizationGet(id) => self.organization_get(ask, id).map(View::Organization),
            Op::OrganizationUpdate(id, patch, expect) => self.organization_update(ask, id, patch, expect).await,
            Op::KeyCreate(id, new) => self.key_create(ask, id, new).await,
            Op::KeyUseList(id, dialect, page) => self.key_use_list(ask, id, &dialect, &page),
            Op::KeyUseGet(id, dialect, key) => self.key_use_get(ask, id, &dialect, key),
            Op::KeyUseDelete(id, dialect, key) => self.key_use_delete(ask, id, &dialect, key).await,
            Op::KeyList(id, page) => self.key_list(ask, id, &page),
            Op::KeyDelete(id, key) => self.key_delete(ask, id, key).await,
            Op::LedgerPost(id, cents, reason) => self.ledger_post(ask, id, cents, reason).await,
            Op::LedgerList(id, page) => self.ledger_list(ask, id, &page),
            Op::BalanceGet(id) => self.balance_get(ask, id),
            Op::AgentCreate(id, new) => self.agent_create(ask, id, new).await,
            Op::AgentList(page) => self.agent_list(ask, &page),
            Op::AgentGet(id) => self.agent_get(ask, &id).map(View::Agent),
            Op::AgentUpdate(id, patch, expect) => self.agent_update(ask, id, patch, expect).await,
            Op::AgentDelete(id, expect) => self.agent_delete(ask, id, expect).await,
            Op::AgentProfileList(page) => self.agent_profile_list(ask, &page),
            Op::AgentProfileGet(id) => self.agent_profile_get(ask, &id),
            Op::AgentProfileUpdate(id, patch) => self.agent_profile_update(ask, id, patch).await,
            Op::AgentDissolve(id) => self.agent_dissolve(ask, id).await,
            Op::OfAgent(agent, op) => self.of_agent(ask, agent, op).await,
            Op::EndpointCreate(new) => self.endpoint_create(ask, new).await,
            Op::EndpointCreateFor(new, number) => self.endpoint_create_for(ask, new, number).await,
            Op::EndpointList(page) => self.endpoint_list(ask, &page),
            Op::EndpointGet(id) => self.endpoint_get(ask, id).map(View::Endpoint),
            Op::EndpointUpdate(id, patch, expect) => self.endpoint_update(ask, id, patch, expect).await,
            Op::EndpointDelete(id, expect) => self.endpoint_delete(ask, id, expect).await,
            Op::ProviderCreate(kind, new) => self.provider_create(ask, kind, new).await,
            Op::ProviderList(page) => self.provider_list(ask, &page),
            Op::ProviderGet(id) => self.provider_get(ask, id).map(View::Provider),
            Op::ProviderUpdate(id, patch, expect) => self.provider_update(ask, id, patch, expect).await,
            Op::ProviderDelete(id, expect) => self.provider_delete(ask, id, expect).await,
            Op::TrunkList(page) => self.trunk_list(ask, &page),
            Op::TrunkGet(id) => self.trunk_get(ask, id).map(View::Provider),
            Op::TrunkUpdate(id, patch) => self.trunk_update(ask, id, patch).await,
            Op::TrunkDelete(id) => self.trunk_delete(ask, id).await,
            Op::StockAdd(rows) => self.stock_add(ask, rows).await,
            Op::StockAddOne(new) => self.stock_add_one(ask, new).await,
            Op::StockList(query, page) => self.stock_list(ask, query, &page),
            Op::StockUpdate(id, patch, expect) => self.stock_update(ask, id, patch, expect).await,
            Op::StockDelete(id, expect) => self.stock_delete(ask, id, expect).await,
            Op::NumberBuy(purchase) => self.number_buy(ask, purchase).await,
            Op::NumberProvision(country, setup) => self.number_provision(ask, country, setup).await,
            Op::NumberImport(provider, import) => self.number_import(ask, provider, import).await,
            Op::NumberImportMany(provider, rows) => self.number_import_many(ask, provider, rows).await,
            Op::NumberList(query, page) => self.number_list(ask, &query, &page),
            Op::NumberListOfAgent(agent, page) => self.number_list_of_agent(ask, &agent, &page),
            Op::NumberGet(number) => self.number_get(ask, &number),
            Op::NumberUpdate(number, patch, expect) => self.number_update(ask, number, patch, expect).await,
            Op::NumberRelease(number, expect) => self.number_release(ask, number, expect).await,
            Op::NumberDelete(number, expect) => self.number_delete(ask, number, expect).await,
            Op::NumberDeleteUnassigned(number) => self.number_delete_unassigned(ask, number).await,
            Op::NumberRestore(number) => self.number_restore(ask, number).await,
            Op::NumberCredentials(number) => self.number_credentials(ask, number).await,
            Op::NumberExplain(text, from, caller) => self.number_explain(ask, &text, from, caller.as_deref()),
            Op::CallList(query, page) => self.call_list(ask, &query, &page),
            Op::CallGet(id) => self.call_get(ask, id),
            Op::AgentCallList(query, page) => self.agent_call_list(ask, &query, &page),
            Op::AgentCallGet(id) => self.agent_call_get(ask, id),
            Op::AgentCallRedact(id) => self.agent_call_redact(ask, id).await,
            Op::CallPage(query, page) => self.call_page(ask, &query, &page),
            Op::CallStats(query) => self.call_stats(ask, &query),
            Op::CallTrends(query) => self.call_trends(ask, &query),
            Op::CallDelete(id) => self.call_delete(ask, id).await,
            Op::EventList(page) => self.event_list(ask, &page),
        }
    }

    /// Commits and answers. The answer is kept in the same transaction, so a repeat after a crash finds either both the
    /// work and the answer or neither. The reply waits until calls follow the change.
    async fn commit(&self, ask: Ask<'_>, mut commit: Commit, view: View) -> Result<View> {
        if commit.changes.is_empty() && ask.keep.is_none() {
            return Ok(view);
        }
        commit.answer = ask.keep.map(|keep| keep(&view));
        let generation = self.store.commit(commit).await.map_err(failure::of_commit)?;
        // From here on the change is durable: whatever happens to this task, nothing is half-done.
        self.live.follow(generation).await;
        Ok(view)
    }
}

/// Decides a write again after it lost a race: `Stale` without an expected version means that somebody else was faster
/// between our read and our commit. Every turn reads anew.
macro_rules! again {
    ($expect:expr, $turn:expr) => {{
        let mut turn = 0;
        loop {
            turn += 1;
            match $turn {
                Err(error) if error.kind == domain::Kind::Stale && $expect.is_none() && turn < super::RACES_MAX => {}
                outcome => break outcome,
            }
        }
    }};
}
use again;

/// Checks the version that a caller expects.
fn expect(expected: Option<u64>, version: u64, what: What) -> Result<()> {
    match expected {
        Some(expected) if expected != version => {
            let words = format!("The {} was changed since you read it; read it again.", what.noun());
            Err(Error::new(domain::Kind::Stale, what, words))
        }
        Some(_) | None => Ok(()),
    }
}

/// The changes of one row, or none where the rules say that nothing changed.
fn one<T>(before_version: u64, next: T, version: u64, put: impl FnOnce(T) -> Change, event: Change) -> Commit {
    if before_version == version {
        return Commit::default();
    }
    Commit { changes: vec![put(next), event], ..Commit::default() }
}
