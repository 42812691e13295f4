//! Everything that can be answered. Each dialect encodes the views that its own operations give.

use crate::Timestamp;
use crate::agent::Agent;
use crate::call::{Call, CallCount, CallDay};
use crate::carrier_account::{AccountBrief, CarrierAccount};
use crate::e164::E164;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event::Event;
use crate::ids::{AgentId, CallId, EndpointId, NumberId, ProviderId, StockId};
use crate::key::{Key, KeyUsage};
use crate::ledger::Entry;
use crate::money::Micros;
use crate::number::Number;
use crate::organization::Organization;
use crate::page::Paged;
use crate::provider::{Provider, ProviderKind};
use crate::rate::Rate;
use crate::reconciled::Reconciled;
use crate::rules::{Exit, Health, TargetState};
use crate::stock::Stock;
use crate::trace::{Trace, TraceFormat, TraceWindow};
use crate::trail::Rule;
use crate::trunk_status::TrunkStatus;
use crate::webhook::{Delivery, Webhook};
use std::net::{IpAddr, SocketAddr};

/// A number with what dialects show beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberView {
    /// The number.
    pub number: Number,
    /// Its agent, by name.
    pub agent: Option<AgentBrief>,
    /// Its provider; none: the operator's stock.
    pub provider: Option<ProviderBrief>,
    /// Minutes of its calls in this calendar month (UTC); every begun minute of each call counts.
    pub minutes_this_month: u64,
    /// How to reach it by SIP.
    pub sip: SipAccess,
}

/// An agent as named beside a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentBrief {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
}

/// A provider as named beside a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderBrief {
    /// Its id.
    pub id: ProviderId,
    /// What kind it is.
    pub kind: ProviderKind,
    /// Its name.
    pub label: String,
    /// The account at the carrier (accounts only).
    pub account: Option<AccountBrief>,
}

impl From<Provider> for ProviderBrief {
    fn from(provider: Provider) -> Self {
        let account = provider.account.as_ref().map(CarrierAccount::brief);
        Self { id: provider.id, kind: provider.kind, label: provider.label, account }
    }
}

/// An agent with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentProfile {
    /// The agent.
    pub agent: Agent,
    /// The numbers it has, the newest first, at most [`AgentProfile::NUMBERS_MAX`].
    pub numbers: Vec<(NumberId, E164)>,
}

impl AgentProfile {
    /// The most numbers shown beside an agent.
    pub const NUMBERS_MAX: u32 = 1_000;
}

/// A call with the agent that had its number when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentCall {
    /// The call.
    pub call: Call,
    /// The agent.
    pub agent_id: AgentId,
    /// The agent's name, while it is there.
    pub agent_name: Option<String>,
    /// The kind of provider that the number is of.
    pub provider: Option<ProviderKind>,
    /// When what is private was taken out of the record.
    pub redacted_at: Option<Timestamp>,
}

/// How to reach a number by SIP.
#[derive(Clone, PartialEq, Eq)]
pub struct SipAccess {
    /// Our public host.
    pub domain: String,
    /// Our public port.
    pub port: u16,
    /// The user name.
    pub username: String,
    /// The password in clear; only for one number at a time, and only to owners and admins.
    pub password: Option<String>,
}

impl std::fmt::Debug for SipAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SipAccess({}:{})", self.domain, self.port)
    }
}

/// Where a call would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked about, as understood.
    pub number: Option<E164>,
    /// `route` or `refuse`.
    pub outcome: Outcome,
    /// The SIP status a caller would get; 200 for a call that is let in.
    pub sip_status: u16,
    /// One sentence.
    pub reason: String,
    /// Each rule in order.
    pub steps: Vec<Rule>,
    /// The targets in the order of trying, for a call that is let in.
    pub targets: Vec<String>,
    /// The places that it can come to, the first one first.
    pub legs: Vec<LegShown>,
    /// How the number's own trunk is, where that is to be shown.
    pub trunk: Option<Box<TrunkStatus>>,
}

/// A place that a call can come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegShown {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Its name.
    pub name: String,
    /// Its targets in the order of trying, with how each of them is.
    pub targets: Vec<(String, TargetState)>,
    /// How long each may ring.
    pub answer_seconds: Option<u16>,
    /// Where the call goes on from there.
    pub exits: Vec<Exit>,
}

/// Whether a call is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is.
    Route,
    /// It is not.
    Refuse,
}

/// An agent that is registered for a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// What it is called by.
    pub contact: String,
    /// Where it registered from, which its calls go to.
    pub source: SocketAddr,
    /// How.
    pub transport: &'static str,
    /// Which device it says to be.
    pub instance: Option<String>,
    /// When it last registered.
    pub registered_at: Timestamp,
    /// When that ends.
    pub expires_at: Timestamp,
}

/// A source that is not heard for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Its address; of IPv6, the first of its network of 64 bits.
    pub address: IpAddr,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if nothing comes from there any more.
    pub until: Timestamp,
    /// How many messages were dropped.
    pub refused: u64,
}

/// What became of one row of a bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct RowResult<K> {
    /// The row's number as written, if it had one.
    pub e164: String,
    /// The id it got, or why not.
    pub result: Result<K, Error>,
}

/// What became of one of many endpoints that were to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// The endpoint's id as written.
    pub id: String,
    /// The endpoint as it is now, or why it did not change.
    pub result: Result<Endpoint, Error>,
}

/// What became of a call of the simulated network's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// `completed`, `refused`, `unreachable` or `cancelled`.
    pub outcome: &'static str,
    /// The status of the last answer, if there was one.
    pub sip_status: Option<u16>,
    /// Why, where the answer said so.
    pub reason: Option<String>,
    /// From the answer to the end.
    pub talked_seconds: u64,
    /// Packets of sound that were sent, and how many came back.
    pub packets: (u32, u32),
    /// What was said, line by line.
    pub timeline: Vec<String>,
}

/// Everything that can be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    /// A tenant.
    Organization(Organization),
    /// Tenants.
    Organizations(Paged<Organization>),
    /// A new key and its secret, shown once.
    KeyCreated(Key, crate::op::Secret),
    /// Keys.
    Keys(Paged<Key>),
    /// A key with its use.
    KeyUsed(Key, KeyUsage),
    /// Keys with their use.
    KeysUsed(Paged<(Key, KeyUsage)>),
    /// The wallet's entry of a movement of money.
    Entry(Entry),
    /// Ledger entries.
    Ledger(Paged<Entry>),
    /// What a wallet holds.
    Balance(Micros),
    /// What calls cost.
    Rate(Rate),
    /// Rates.
    Rates(Paged<Rate>),
    /// A comparison with a carrier.
    Reconciled(Box<Reconciled>),
    /// Until when calls of a number are traced.
    TraceWindow(TraceWindow),
    /// The messages of a call.
    Trace(CallId, Trace, TraceFormat),
    /// An agent.
    Agent(Agent),
    /// Agents.
    Agents(Paged<Agent>),
    /// An agent with its numbers.
    AgentProfile(AgentProfile),
    /// Agents with their numbers.
    AgentProfiles(Paged<AgentProfile>),
    /// An endpoint.
    Endpoint(Endpoint),
    /// An endpoint, and how its targets are, in their order.
    EndpointHealth(Endpoint, Vec<Health>),
    /// Endpoints.
    Endpoints(Paged<Endpoint>),
    /// What became of each endpoint of many.
    EndpointRows(Vec<EndpointRow>),
    /// An endpoint that went, and the numbers given back with it.
    EndpointGone(EndpointId, Vec<E164>),
    /// A provider.
    Provider(Provider),
    /// Providers.
    Providers(Paged<Provider>),
    /// How a trunk is.
    TrunkStatus(Box<TrunkStatus>),
    /// A number for sale.
    Stock(Stock),
    /// Numbers for sale.
    Stocks(Paged<Stock>),
    /// What became of each row put in stock.
    StockAdded(Vec<RowResult<StockId>>),
    /// A number.
    Number(Box<NumberView>),
    /// Numbers.
    Numbers(Paged<NumberView>),
    /// What became of each imported row.
    Imported(Vec<RowResult<NumberId>>),
    /// What became of a call of the simulated network's.
    Rung(Box<Rung>),
    /// Where a call would go.
    Explanation(Explanation),
    /// The agents that are registered for a number, the newest first.
    Registrations(Vec<Registration>),
    /// The sources that are not heard for a while, the latest first.
    Bans(Vec<Ban>),
    /// A call.
    Call(Box<Call>),
    /// Calls that were begun, each with whom it was to be to, in the order of asking.
    Originated(Vec<(String, Result<Box<Call>, Error>)>),
    /// Calls.
    Calls(Paged<Call>),
    /// A call of an agent.
    AgentCall(Box<AgentCall>),
    /// Calls of an agent.
    AgentCalls(Paged<AgentCall>),
    /// Calls, and how many there are in all.
    CallPage(Paged<Call>, u64),
    /// Calls by state.
    CallStats(Vec<CallCount>),
    /// Calls by day; days without any are left out.
    CallTrends(Vec<CallDay>),
    /// A webhook, with its secret where the caller may see it.
    Webhook(Box<Webhook>, Option<crate::op::Secret>),
    /// Webhooks.
    Webhooks(Paged<Webhook>),
    /// What was sent to a webhook, and what waits.
    Deliveries(Paged<Delivery>),
    /// One of them.
    Delivery(Box<Delivery>),
    /// The audit log.
    Events(Paged<Event>),
    /// Done; nothing to show.
    Done,
}
