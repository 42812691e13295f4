//! The reads: one line of documentation, one signature, one function per engine. All of them block for the time of one look-up;
//! see the crate's head. "In the tenant" means that another organization's row is not found.

use domain::call::{AgentCallQuery, CallCount, CallDay, CallQuery};
use domain::carrier_account::AccountRef;
use domain::change::KeptAnswer;
use domain::claim::AccountTurn;
use domain::e164::{Country, E164};
use domain::ids::{
    AgentId, CallId, EndpointId, EventId, IntentId, KeyId, NodeId, NumberId, OrganizationId, PostingId,
    ProviderId, RateId, StockId, WebhookId,
};
use domain::key::{DialectName, KeyHash, KeyUse, Mode};
use domain::ledger::Entry;
use domain::number::{Environment, NumberQuery};
use domain::op::TrunkQuery;
use domain::stock::StockQuery;
use domain::{
    Agent, Call, Delivery, Endpoint, Event, Generation, Intent, Key, Micros, Number, Organization, Page,
    Paged, Provider, Rate, Stock, Timestamp, Webhook,
};

use crate::error::StoreError;
use crate::feed::{AgentCallRow, Changed, Changes, Epoch, NumberShown, OpenCall};
use crate::rows::{
    agent, answer, call, change_log, delivery, doctor, endpoint, event, intent, key, ledger, number,
    organization, provider, rate, stock, trace, turn, uses, webhook,
};
use crate::{Engine, Store};

macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $read:ident $function:path;)+) => {
        impl Store {$(
            $(#[$doc])*
            pub fn $name(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                match &self.0 {
                    Engine::Sqlite(engine) => engine.$read(|db| $function(db, $($arg),*)),
                    Engine::Postgres(engine) => engine.$read(|db| $function(db, $($arg),*)),
                }
            }
        )+}
    };
}

reads! {
    /// An organization.
    organization_get(id: OrganizationId) -> Option<Organization> = read organization::get;
    /// All organizations.
    organization_list(page: &Page<OrganizationId>) -> Paged<Organization> = read organization::list;
    /// How many organizations there are.
    organization_count() -> u64 = read organization::count;

    /// A key, in the tenant; revoked ones too.
    key_get(organization: OrganizationId, id: KeyId) -> Option<Key> = read key::get;
    /// A key by the hash of its secret; revoked ones too.
    key_find(hash: &KeyHash) -> Option<Key> = read key::find;
    /// The tenant's keys; revoked ones too.
    key_list(organization: OrganizationId, page: &Page<KeyId>) -> Paged<Key> = read key::list;

    /// The tenant's keys of one API; revoked ones too.
    key_list_of(organization: OrganizationId, dialect: &DialectName, page: &Page<KeyId>) -> Paged<Key> = read key::list_of;
    /// How much a key was used, by hours, the oldest first: those of 30 days, and the last.
    key_usage(organization: OrganizationId, id: KeyId) -> Vec<KeyUse> = read key::usage;

    /// An agent, in the tenant.
    agent_get(organization: OrganizationId, id: &AgentId) -> Option<Agent> = read agent::get;
    /// The tenant's agents, by id.
    agent_list(organization: OrganizationId, page: &Page<AgentId>) -> Paged<Agent> = read agent::list;
    /// The names of those of these agents that are there.
    agent_names(organization: OrganizationId, ids: &[AgentId]) -> Vec<(AgentId, String)> = read agent::names;
    /// The ids of an agent's endpoints, at most `limit`.
    agent_endpoints(organization: OrganizationId, id: &AgentId, limit: u32) -> Vec<EndpointId> = read agent::endpoints;
    /// Whether an agent has an endpoint.
    agent_has_endpoints(organization: OrganizationId, id: &AgentId) -> bool = read agent::has_endpoints;

    /// An endpoint, in the tenant.
    endpoint_get(organization: OrganizationId, id: EndpointId) -> Option<Endpoint> = read endpoint::get;
    /// The tenant's endpoints.
    endpoint_list(organization: OrganizationId, page: &Page<EndpointId>) -> Paged<Endpoint> = read endpoint::list;
    /// The agent's endpoints, newest first, at most `limit` of them.
    endpoints_of_agent(organization: OrganizationId, agent: &AgentId, limit: u32) -> Vec<Endpoint> = read endpoint::of_agent;
    /// Where numbers land that are given this agent in this environment.
    endpoint_default(organization: OrganizationId, agent: &AgentId, environment: Environment) -> Option<Endpoint>
        = read endpoint::default;

    /// Whether rules of numbers or of other endpoints name an endpoint.
    endpoint_is_named(organization: OrganizationId, id: EndpointId) -> bool = read uses::any;

    /// A provider, whoever's it is.
    provider_get(id: ProviderId) -> Option<Provider> = read provider::get;
    /// A provider that is the tenant's or the operator's.
    provider_visible(organization: OrganizationId, id: ProviderId) -> Option<Provider> = read provider::visible;
    /// The tenant's own providers; without a tenant all there are.
    provider_list(organization: Option<OrganizationId>, page: &Page<ProviderId>) -> Paged<Provider> = read provider::list;
    /// The tenant's own providers that are SIP trunks or accounts at carriers; without a tenant all there are.
    provider_own(organization: Option<OrganizationId>, query: &TrunkQuery, page: &Page<ProviderId>) -> Paged<Provider>
        = read provider::own;
    /// The tenant's provider of an account at a carrier.
    provider_of_account(organization: OrganizationId, account: &AccountRef) -> Option<Provider> = read provider::find_account;
    /// The tenant's oldest provider of the kind `managed`.
    provider_managed_first(organization: OrganizationId) -> Option<Provider> = read provider::managed_first;

    /// A number in stock, by id.
    stock_get(id: StockId) -> Option<Stock> = read stock::get;
    /// A number in stock, by the number.
    stock_find(e164: E164) -> Option<Stock> = read stock::find;
    /// When the reservations end that a tenant has at a time, the first first; one more than it may have at most.
    stock_holds(organization: OrganizationId, at: Timestamp) -> Vec<Timestamp> = read stock::holds;
    /// What costs least of a country's numbers for calls that are on sale at a time to a buyer.
    stock_cheapest(country: Country, buyer: (OrganizationId, Mode), at: Timestamp) -> Option<Stock> = read stock::cheapest;
    /// How many numbers for tests anybody can buy in a country at a time, and how many there are.
    stock_for_tests(country: Country, at: Timestamp) -> (u64, u64) = read stock::count_for_tests;
    /// Numbers of a carrier's whose rest is over at a time, the longest first.
    stock_rested(at: Timestamp, limit: u32) -> Vec<Stock> = read stock::rested;
    /// The stock. A `q` of one or two digits looks at the newest 5,000 only.
    stock_list(query: &StockQuery, page: &Page<StockId>) -> Paged<Stock> = read stock::list;

    /// Work at a carrier.
    intent_get(id: IntentId) -> Option<Intent> = read intent::get;
    /// The open work on a number.
    intent_open(e164: E164) -> Option<Intent> = read intent::open_of;
    /// The work that a request began, if its name still stands for it at a time.
    intent_of_slot(slot: &[u8; 32], at: Timestamp) -> Option<Intent> = read intent::of_slot;
    /// The last work on a tenant's number.
    intent_last(number: NumberId) -> Option<Intent> = read intent::last_of;
    /// Open work that is to be looked at by a time, the longest due first.
    intents_due(at: Timestamp, node: NodeId, limit: u32) -> Vec<Intent> = read intent::due;
    /// When the next open work is to be looked at.
    intent_next() -> Option<Timestamp> = read intent::next;
    /// Whether work that ended before a time is to be pruned.
    intents_prunable(before: Timestamp) -> bool = read intent::prunable;
    /// Whose turn it is with an account at a carrier, or was when it died.
    account_turn(provider: ProviderId) -> Option<AccountTurn> = read turn::of;

    /// How many calls out were let out since a time, by organization and number.
    calls_placed(since: Timestamp) -> Vec<(OrganizationId, Option<NumberId>, u32)> = read call::query::placed;

    /// A number, in the tenant; whatever its status.
    number_get(organization: OrganizationId, id: NumberId) -> Option<Number> = read number::get;
    /// The same with its agent's name and its provider's, all of one moment.
    number_shown(organization: OrganizationId, id: NumberId) -> Option<NumberShown> = read number::shown;
    /// The number that the tenant holds, else the one that it released last.
    number_find(organization: OrganizationId, e164: E164) -> Option<Number> = read number::find;
    /// The held numbers whose SIP credentials have a user name, whoever holds them; at most 8.
    numbers_of_username(username: &str) -> Vec<Number> = read number::of_username;
    /// Who holds a number, world-wide.
    number_holder(e164: E164) -> Option<(OrganizationId, NumberId)> = read number::holder;
    /// The tenant's numbers. With a `q` of three characters or more they come in the order in which they were made (the order
    /// of ids, but for those made at the same moment); one of one or two characters looks at the newest 5,000 only.
    number_list(organization: OrganizationId, query: &NumberQuery, page: &Page<NumberId>) -> Paged<Number>
        = read number::list::list;
    /// How many numbers the tenant holds.
    number_held_count(organization: OrganizationId) -> u64 = read number::held_count;
    /// How many of them take a slot: all but those for tests.
    number_slots_used(organization: OrganizationId) -> u64 = read number::slots_used;
    /// Held numbers of everybody whose rent is paid no longer than until `at`, the longest overdue first, behind `after` (what
    /// the last one's `rented_until` and alias were).
    numbers_due(at: Timestamp, after: Option<(Timestamp, u64)>, limit: u32) -> Vec<Number> = read number::rent::due;
    /// Numbers of everybody that are off because their rent is unpaid, behind an alias.
    numbers_unpaid(after: u64, limit: u32) -> Vec<Number> = read number::rent::unpaid;
    /// How many numbers the tenant has bought or brought in since a time; counted up to `most`.
    numbers_born(organization: OrganizationId, since: Timestamp, most: u64) -> u64 = read number::rent::born;
    /// When the last number but `behind` came that the tenant has bought or brought in.
    number_last_born(organization: OrganizationId, behind: u32) -> Option<Timestamp> = read number::rent::last_born;
    /// Whether a call to the number was answered.
    number_was_called(organization: OrganizationId, id: NumberId) -> bool = read number::rent::was_called;
    /// Held numbers on an endpoint, the oldest first, behind `after`.
    numbers_on_endpoint(organization: OrganizationId, endpoint: EndpointId, after: Option<NumberId>, limit: u32) -> Vec<Number>
        = read number::list::on_endpoint;

    /// What the tenant's wallet holds.
    balance(organization: OrganizationId) -> Micros = read ledger::balance;
    /// The tenant's ledger entries.
    ledger_list(organization: OrganizationId, page: &Page<u64>) -> Paged<Entry> = read ledger::list;
    /// What a posting did to the wallet.
    wallet_entry(organization: OrganizationId, posting: PostingId) -> Option<Entry> = read ledger::wallet_entry;

    /// A call, in the tenant.
    call_get(organization: OrganizationId, id: CallId) -> Option<Call> = read call::get;
    /// The tenant's calls.
    call_list(organization: OrganizationId, query: &CallQuery, page: &Page<CallId>) -> Paged<Call> = read call::list;
    /// A call with the agent that had its number when it came, in the tenant; a call that no agent had is not found.
    agent_call_get(organization: OrganizationId, id: CallId) -> Option<AgentCallRow> = read call::agent::get;
    /// The calls of one agent.
    agent_call_list(organization: OrganizationId, query: &AgentCallQuery, page: &Page<CallId>) -> Paged<AgentCallRow>
        = read call::agent::list;
    /// How many of the tenant's calls there are.
    call_count(organization: OrganizationId, query: &CallQuery) -> u64 = read call::query::count;
    /// How many there are in each state, and how long they were.
    call_stats(organization: OrganizationId, query: &CallQuery) -> Vec<CallCount> = read call::query::stats;
    /// How many began on each day (UTC), the oldest first; days without any are left out.
    call_days(organization: OrganizationId, query: &CallQuery) -> Vec<CallDay> = read call::query::days;
    /// Calls of everybody to which more is to come, the oldest first.
    calls_open(limit: u32) -> Vec<OpenCall> = read call::open;
    /// The same of those that began since a time.
    calls_open_since(since: Timestamp, limit: u32) -> Vec<OpenCall> = read call::open_since;
    /// How many of the tenant's calls are ringing or answered.
    calls_in_progress_count(organization: OrganizationId) -> u64 = read call::in_progress;
    /// Minutes of each of these numbers in the month (UTC) that begins at `month_start`.
    minutes(organization: OrganizationId, numbers: &[NumberId], month_start: Timestamp) -> Vec<(NumberId, u64)>
        = read call::minutes;

    /// A rate of an owner's.
    rate_get(owner: OrganizationId, id: RateId) -> Option<Rate> = read rate::get;
    /// The rates of an owner, and those of everybody.
    rate_list(owner: OrganizationId, page: &Page<RateId>) -> Paged<Rate> = read rate::list;
    /// Until when calls of a number are traced; the time may be over.
    trace_until(organization: OrganizationId, number: NumberId) -> Option<Timestamp> = read trace::until;

    /// A webhook, in the tenant.
    webhook_get(organization: OrganizationId, id: WebhookId) -> Option<Webhook> = read webhook::get;
    /// The tenant's webhooks of one API.
    webhook_list(organization: OrganizationId, dialect: &DialectName, page: &Page<WebhookId>) -> Paged<Webhook>
        = read webhook::list;
    /// Webhooks of everybody with a delivery that is due at a time and whose rest is over, and whether the last attempt failed;
    /// those of which none failed first, then the longest due.
    webhooks_due(at: Timestamp, limit: u32) -> Vec<(OrganizationId, WebhookId, bool)> = read webhook::due;
    /// The delivery of a webhook that has been due for longest, with the webhook as it is now; none where it is switched off.
    delivery_next(organization: OrganizationId, webhook: WebhookId, at: Timestamp) -> Option<(Webhook, Delivery)>
        = read_at_once delivery::next;
    /// A delivery, in the tenant.
    delivery_get(organization: OrganizationId, webhook: WebhookId, event: EventId) -> Option<Delivery> = read delivery::get;
    /// What was sent to a webhook, and what waits, by the time of the events.
    delivery_list(organization: OrganizationId, webhook: WebhookId, page: &Page<EventId>) -> Paged<Delivery>
        = read delivery::list;
    /// When the oldest event of everybody happened that waits for a webhook.
    delivery_oldest() -> Option<Timestamp> = read delivery::oldest;
    /// Whether there are deliveries to be pruned: of events from before a time, or of webhooks that are gone.
    deliveries_prunable(before: Timestamp) -> bool = read delivery::prunable;

    /// The tenant's audit log; the operator's own is that of [`OrganizationId::NONE`].
    event_list(organization: OrganizationId, page: &Page<EventId>) -> Paged<Event> = read event::list;

    /// A kept answer. Whether it has expired (24 h after its time) is for the caller to say, who has a clock.
    answer_find(slot: &[u8; 32]) -> Option<KeptAnswer> = read answer::find;

    /// The epoch and the newest generation.
    generation() -> (Epoch, Generation) = read_feed change_log::generation;
    /// What has changed since a generation, about `limit` things: a generation is never cut in two, so one large commit comes
    /// as a whole. Log and rows are of one moment.
    changes_since(since: Generation, limit: usize) -> Changes = read_feed change_log::since;
    /// Everything that memory follows, of one moment, one thing after the other: what others refer to comes before them. Only
    /// live keys and held numbers. Takes about a second for a million numbers.
    snapshot(each: &mut dyn FnMut(Changed)) -> (Epoch, Generation) = read_long change_log::snapshot;
    /// Checks what must always hold: the ledger, the claims, the stock, the counters, the file itself. Gives the problems, one
    /// sentence each. Takes seconds on a large store.
    doctor() -> Vec<String> = read_long doctor::problems;
}
