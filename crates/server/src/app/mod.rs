//! The only way in: every front door turns its input into an [`Op`], and [`App::run`] gives a [`View`] or an [`Error`].
//!
//! A write reads what it needs within the tenant, asks the rules in `domain` what becomes of it, and commits that in one
//! piece. No transaction is held over an await: each changed row is written under the version it was read at, conditions
//! over several rows are guards that the store evaluates inside the transaction, and a commit that lost a race is decided
//! again from the start ([`again`]).

mod access;
mod account_numbers;
mod accounts;
mod agent_calls;
mod agent_profiles;
mod agents;
mod calls;
mod churn;
mod endpoints;
pub(crate) mod explain;
mod explain_out;
mod failure;
mod holds;
mod imports;
mod keys;
mod named;
mod number_ends;
mod numbers;
mod of_agent;
mod organizations;
mod originate;
mod providers;
mod purchase;
mod rates;
mod reach;
mod reconcile;
mod ring;
mod stock;
mod test_mode;
mod test_stock;
mod traces;
mod trunks;
mod views;
mod webhooks;
mod wiring;

use domain::change::KeptAnswer;
use domain::event::Event;
use domain::ids::{EventId, OrganizationId};
use domain::intent::Slot;
use domain::{Bag, Caller, Change, Commit, Error, Op, Result, Timestamp, View, What};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

use crate::carriage::Carriage;
use crate::clock;
use crate::edge::Control;
use crate::key_uses::KeyUses;
use crate::live::Live;
use crate::outgoing::Guarded;
use crate::sim::{SimCarrier, SimNetwork};
use crate::vault::Vault;

/// How often a write that lost a race is decided again before its caller is told to try later.
const RACES_MAX: usize = 32;
/// From which turn on it steps aside first: on a store that answers at once the others are through by then.
const ASIDE_FROM: usize = 3;
/// The longest that it steps aside.
const ASIDE_MAX: Duration = Duration::from_millis(64);

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
    /// Wakes who charges rents: money came in, or a setting changed.
    pub(crate) rents: Arc<tokio::sync::Notify>,
    /// Sends to places that tenants name.
    pub(crate) outgoing: Guarded,
    /// The simulated carrier, and the simulated phone network.
    pub(crate) simulated: Arc<SimCarrier>,
    pub(crate) network: Arc<SimNetwork>,
    /// Asks carriers.
    pub(crate) carriage: Arc<Carriage>,
    /// Ends calls.
    pub(crate) control: Control,
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
    pub(crate) slot: Option<Slot>,
}

impl Ask<'_> {
    fn organization(&self) -> Result<OrganizationId> {
        self.caller.organization()
    }

    /// An entry of the audit log about many rows that this request wrote at once.
    fn event_of_many(
        &self,
        organization_id: OrganizationId,
        name: &'static str,
        subject: impl std::fmt::Display,
        count: usize,
    ) -> Change {
        let data = [("count".to_owned(), count.into())].into_iter().collect();
        let (id, actor, at) = (EventId(clock::id()), self.caller.actor.clone(), self.now);
        Change::Event(Event { id, organization_id, name, actor, subject: subject.to_string(), data, at })
    }

    /// An entry of the audit log about this request.
    fn event(
        &self,
        organization_id: OrganizationId,
        name: &'static str,
        subject: impl std::fmt::Display,
    ) -> Change {
        let (id, actor, at) = (EventId(clock::id()), self.caller.actor.clone(), self.now);
        Change::Event(Event {
            id,
            organization_id,
            name,
            actor,
            subject: subject.to_string(),
            data: Bag::new(),
            at,
        })
    }
}

impl App {
    /// Refuses at once what would wait for a store that does not answer. What it is known by is asked by the live table, again and
    /// again, so that no request has to find out by waiting.
    pub(crate) fn reachable(&self) -> Result<()> {
        if self.live.is_cut_off(clock::instant()) { Err(failure::unreachable()) } else { Ok(()) }
    }

    /// Runs one operation. Whether the caller has the right to it was checked against the dialect's table before its body
    /// was read; what only the operator may do, and whose rows are seen, is checked here.
    ///
    /// Reads are answered at once. A write is a future of its own, so that a read does not carry the room that writes need.
    #[expect(clippy::too_many_lines, reason = "a table: one line for each operation")]
    pub(crate) async fn run(&self, ask: Ask<'_>, op: Op) -> Result<View> {
        test_mode::admits(ask, &op)?;
        if !matches!(op, Op::NumberExplain(..) | Op::NumberExplainOut(..) | Op::CallTrace(..)) {
            self.reachable()?;
        }
        let write: Pin<Box<dyn Future<Output = Result<View>> + Send + '_>> = match op {
            Op::OrganizationCreate(new) => Box::pin(self.organization_create(ask, new)),
            Op::OrganizationList(page) => return self.organization_list(ask, &page),
            Op::OrganizationGet(id) => return self.organization_get(ask, id).map(View::Organization),
            Op::OrganizationUpdate(id, patch, expect) => {
                Box::pin(self.organization_update(ask, id, patch, expect))
            }
            Op::KeyCreate(id, new) => Box::pin(self.key_create(ask, id, new)),
            Op::KeyRotate(id, dialect, key) => Box::pin(self.key_rotate(ask, id, dialect, key)),
            Op::KeyUseList(id, dialect, page) => return self.key_use_list(ask, id, &dialect, &page),
            Op::KeyUseGet(id, dialect, key) => return self.key_use_get(ask, id, &dialect, key),
            Op::KeyUseDelete(id, dialect, key) => {
                Box::pin(async move { self.key_use_delete(ask, id, &dialect, key).await })
            }
            Op::KeyList(id, page) => return self.key_list(ask, id, &page),
            Op::KeyDelete(id, key) => Box::pin(self.key_delete(ask, id, key)),
            Op::LedgerPost(id, cents, reason) => Box::pin(self.ledger_post(ask, id, cents, reason)),
            Op::LedgerList(id, page) => return self.ledger_list(ask, id, &page),
            Op::BalanceGet(id) => return self.balance_get(ask, id),
            Op::AgentCreate(id, new) => Box::pin(self.agent_create(ask, id, new)),
            Op::AgentList(page) => return self.agent_list(ask, &page),
            Op::AgentGet(id) => return self.agent_get(ask, &id).map(View::Agent),
            Op::AgentUpdate(id, patch, expect) => Box::pin(self.agent_update(ask, id, patch, expect)),
            Op::AgentDelete(id, expect) => Box::pin(self.agent_delete(ask, id, expect)),
            Op::AgentProfileList(page) => return self.agent_profile_list(ask, &page),
            Op::AgentProfileGet(id) => return self.agent_profile_get(ask, &id),
            Op::AgentProfileUpdate(id, patch) => Box::pin(self.agent_profile_update(ask, id, patch)),
            Op::AgentDissolve(id) => Box::pin(self.agent_dissolve(ask, id)),
            Op::OfAgent(agent, op) => Box::pin(self.of_agent(ask, agent, op)),
            Op::EndpointCreate(new) => Box::pin(self.endpoint_create(ask, new)),
            Op::EndpointCreateFor(new, number) => Box::pin(self.endpoint_create_for(ask, new, number)),
            Op::EndpointList(page) => return self.endpoint_list(ask, &page),
            Op::EndpointGet(id) => return self.endpoint_get(ask, id).map(View::Endpoint),
            Op::EndpointHealth(id) => return self.endpoint_health(ask, id),
            Op::EndpointUpdate(id, patch, expect) => Box::pin(self.endpoint_update(ask, id, patch, expect)),
            Op::EndpointDelete(id, expect) => Box::pin(self.endpoint_delete(ask, id, expect)),
            Op::ProviderCreate(kind, new) => Box::pin(self.provider_create(ask, kind, new)),
            Op::ProviderList(page) => return self.provider_list(ask, &page),
            Op::ProviderGet(id) => return self.provider_get(ask, id).map(View::Provider),
            Op::ProviderUpdate(id, patch, expect) => Box::pin(self.provider_update(ask, id, patch, expect)),
            Op::ProviderDelete(id, expect) => Box::pin(self.provider_delete(ask, id, expect)),
            Op::TrunkList(query, page) => return self.trunk_list(ask, &query, &page),
            Op::TrunkGet(id) => return self.trunk_get(ask, id).map(View::Provider),
            Op::TrunkUpdate(id, kind, patch) => Box::pin(self.trunk_update(ask, id, kind, patch)),
            Op::TrunkDelete(id) => Box::pin(self.trunk_delete(ask, id)),
            Op::StockAdd(rows) => Box::pin(self.stock_add(ask, rows)),
            Op::StockAddOne(new) => Box::pin(self.stock_add_one(ask, new)),
            Op::StockList(query, page) => Box::pin(self.stock_list(ask, query, page)),
            Op::StockUpdate(id, patch, expect) => Box::pin(self.stock_update(ask, id, patch, expect)),
            Op::StockHold(id) => Box::pin(self.stock_hold(ask, id)),
            Op::StockUnhold(id) => Box::pin(self.stock_unhold(ask, id)),
            Op::StockDelete(id, expect) => Box::pin(self.stock_delete(ask, id, expect)),
            Op::NumberBuy(purchase) => Box::pin(self.number_buy(ask, purchase)),
            Op::NumberProvision(country, setup) => Box::pin(self.number_provision(ask, country, setup)),
            Op::NumberImport(provider, import) => Box::pin(self.number_import(ask, provider, import)),
            Op::NumberImportInAccount(account, import) => {
                Box::pin(self.number_import_in_account(ask, account, import))
            }
            Op::NumberPortIn(provider, import) => Box::pin(self.number_port_in(ask, provider, import)),
            Op::NumberImportMany(provider, rows) => Box::pin(self.number_import_many(ask, provider, rows)),
            Op::NumberList(query, page) => return self.number_list(ask, &query, &page),
            Op::NumberListOfAgent(agent, page) => return self.number_list_of_agent(ask, &agent, &page),
            Op::NumberGet(number) => return self.number_get(ask, &number),
            Op::NumberUpdate(number, patch, expect) => {
                Box::pin(self.number_update(ask, number, patch, expect))
            }
            Op::NumberUpdateInAccount(number, patch, account) => {
                Box::pin(self.number_update_in_account(ask, number, patch, account))
            }
            Op::NumberRelease(number, expect) => Box::pin(self.number_release(ask, number, expect)),
            Op::NumberPortOut(number, expect) => Box::pin(self.number_port_out(ask, number, expect)),
            Op::NumberDelete(number, expect) => Box::pin(self.number_delete(ask, number, expect)),
            Op::NumberDeleteUnassigned(number) => Box::pin(self.number_delete_unassigned(ask, number)),
            Op::NumberUnlink(number) => Box::pin(self.number_unlink(ask, number)),
            Op::NumberRestore(number) => Box::pin(self.number_restore(ask, number)),
            Op::NumberCredentials(number) => Box::pin(self.number_credentials(ask, number)),
            Op::NumberRing(number, ring) => Box::pin(self.number_ring(ask, number, ring)),
            Op::NumberExplain(text, about) => return self.number_explain(ask, &text, &about),
            Op::NumberExplainOut(text, out) => return self.number_explain_out(ask, &text, &out),
            Op::ProviderStatus(id) => return self.provider_status(ask, id),
            Op::NumberRegistrations(number) => return self.number_registrations(ask, &number),
            Op::BanList => return self.ban_list(ask),
            Op::BanLift(address) => return self.ban_lift(ask, address),
            Op::CallList(query, page) => return self.call_list(ask, &query, &page),
            Op::CallGet(id) => return self.call_get(ask, id),
            Op::AgentCallList(query, page) => return self.agent_call_list(ask, &query, &page),
            Op::AgentCallGet(id) => return self.agent_call_get(ask, id),
            Op::AgentCallRedact(id) => Box::pin(self.agent_call_redact(ask, id)),
            Op::CallPage(query, page) => return self.call_page(ask, &query, &page),
            Op::CallStats(query) => return self.call_stats(ask, &query),
            Op::CallTrends(query) => return self.call_trends(ask, &query),
            Op::CallDelete(id) => Box::pin(self.call_delete(ask, id)),
            Op::CallOriginate(asked) => Box::pin(self.call_originate(ask, *asked)),
            Op::CallHangup(id) => Box::pin(self.call_hangup(ask, id)),
            Op::AgentCallHangup(id) => Box::pin(self.agent_call_hangup(ask, id)),
            Op::WebhookCreate(dialect, new) => Box::pin(self.webhook_create(ask, dialect, new)),
            Op::WebhookList(dialect, page) => return self.webhook_list(ask, &dialect, &page),
            Op::WebhookGet(dialect, id) => return self.webhook_get(ask, &dialect, id),
            Op::WebhookUpdate(dialect, id, patch, expect) => {
                Box::pin(self.webhook_update(ask, (dialect, id), patch, expect))
            }
            Op::WebhookDelete(dialect, id, expect) => {
                Box::pin(self.webhook_delete(ask, (dialect, id), expect))
            }
            Op::DeliveryList(dialect, id, page) => return self.delivery_list(ask, (&dialect, id), &page),
            Op::DeliveryAgain(dialect, id, event) => Box::pin(self.delivery_again(ask, (dialect, id), event)),
            Op::RateSet(new) => Box::pin(self.rate_set(ask, new)),
            Op::RateList(page) => return self.rate_list(ask, &page),
            Op::RateDelete(id) => Box::pin(self.rate_delete(ask, id)),
            Op::NumberTrace(number, minutes) => {
                Box::pin(async move { self.number_trace(ask, &number, minutes).await })
            }
            Op::NumberTraceGet(number) => return self.number_trace_get(ask, &number),
            Op::NumberTraceEnd(number) => Box::pin(async move { self.number_trace_end(ask, &number).await }),
            Op::CallTrace(id, format) => return self.call_trace(ask, id, format),
            Op::CarrierReconcile(how) => Box::pin(self.carrier_reconcile(ask, how)),
            Op::EventList(page) => return self.event_list(ask, &page),
        };
        write.await
    }

    /// Commits and answers. The answer is kept in the same transaction, so a repeat after a crash finds either both the
    /// work and the answer or neither. The reply waits until calls follow the change.
    async fn commit(&self, ask: Ask<'_>, mut commit: Commit, view: View) -> Result<View> {
        if commit.changes.is_empty() && ask.keep.is_none() {
            return Ok(view);
        }
        self.admits_commit(ask, &commit)?;
        commit.answer = ask.keep.map(|keep| keep(&view));
        let works = commit.changes.iter().any(|change| matches!(change, Change::Intent(_)));
        let generation = self.store.commit(commit).await.map_err(failure::of_commit)?;
        // From here on the change is durable: whatever happens to this task, nothing is half-done.
        self.live.follow(generation).await;
        if works {
            self.carriage.nudge();
        }
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
                Err(error)
                    if error.kind == domain::Kind::Stale && $expect.is_none() && turn < super::RACES_MAX =>
                {
                    super::step_aside(turn).await;
                }
                outcome => break outcome,
            }
        }
    }};
}
use again;

/// Lets those go first who want to change the same, the longer the more often they were faster. Writers that lost together are spread
/// over the time; in step they would meet in the next group of commits again, and one of them lose each time.
async fn step_aside(turn: usize) {
    if turn < ASIDE_FROM {
        return;
    }
    let most = Duration::from_millis(1 << turn.min(16)).min(ASIDE_MAX);
    let [share]: [u8; 1] = clock::random();
    clock::sleep(most * u32::from(share) / 256).await;
}

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
fn one<T>(
    before_version: u64,
    next: T,
    version: u64,
    put: impl FnOnce(T) -> Change,
    event: Change,
) -> Commit {
    if before_version == version {
        return Commit::default();
    }
    Commit { changes: vec![put(next), event], ..Commit::default() }
}
