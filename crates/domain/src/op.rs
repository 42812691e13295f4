//! Everything that can be asked. Each front door turns its input into an [`Op`]; nothing else reaches the rules.

use std::net::IpAddr;

use crate::agent::AgentPatch;
use crate::agent_op::AgentOp;
use crate::call::{AgentCallQuery, CallQuery};
use crate::carrier_account::AccountRef;
use crate::e164::{Country, E164};
use crate::endpoint::EndpointPatch;
use crate::ids::{
    AgentId, CallId, EndpointId, EventId, KeyId, NumberId, OrganizationId, ProviderId, RateId, StockId,
    WebhookId,
};
use crate::key::{DialectName, KeyNew};
use crate::number::{NumberPatch, NumberQuery, NumberRef, NumberSetup};
use crate::organization::{Kyc, OrganizationPatch};
use crate::originate::Originate;
use crate::page::Page;
use crate::provider::{AddressRule, FromForm, HostName, MediaEncryption, NumberFormat, Offer, ProviderKind};
use crate::rate::RateNew;
use crate::stock::{StockNew, StockPatch, StockQuery, StockRef};
use crate::target::Transport;
use crate::trace::TraceFormat;
use crate::webhook::WebhookPatch;
use crate::{Bag, Patch, Timestamp};

/// The version that a write expects (If-Match); none: any.
pub type Expect = Option<u64>;

/// A secret on its way in, in clear: sealed before it is stored, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Digest credentials on their way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsIn {
    /// The user name.
    pub username: String,
    /// The password; absent keeps what is there.
    pub password: Option<Secret>,
}

/// A trunk's inbound side on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboundIn {
    /// Addresses as written; absent keeps what is there.
    pub allowed_addresses: Option<Vec<AddressRule>>,
    /// The only callers; absent keeps what is there.
    pub allowed_numbers: Option<Vec<E164>>,
    /// Hosts; absent keeps what is there.
    pub allowed_hosts: Option<Vec<HostName>>,
    /// Whether sound may be encrypted; absent keeps what is there.
    pub media_encryption: Option<MediaEncryption>,
    /// Credentials; absent keeps what is there, null clears.
    pub credentials: Patch<CredentialsIn>,
    /// Names of certificates; absent keeps what is there.
    pub certificate_names: Option<Vec<String>>,
}

/// Whether the place that calls go out to may change once it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It may.
    #[default]
    Movable,
    /// It stays.
    Fixed,
}

/// A trunk's outbound side on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundIn {
    /// `host` or `host:port`; absent keeps what is there.
    pub address: Option<String>,
    /// How; absent keeps what is there.
    pub transport: Option<Transport>,
    /// Whether address and transport of a side that is there may change.
    pub place: Place,
    /// The country its calls are for.
    pub destination_country: Patch<Country>,
    /// Whether sound may be encrypted; absent keeps what is there.
    pub media_encryption: Option<MediaEncryption>,
    /// Credentials; absent keeps what is there, null clears.
    pub credentials: Patch<CredentialsIn>,
    /// How numbers are written; absent keeps what is there.
    pub number_format: Option<NumberFormat>,
    /// What stands before the number; null: nothing.
    pub prefix: Patch<String>,
    /// All added headers; null: none.
    pub headers: Patch<Vec<(String, String)>>,
    /// What From shows; absent keeps what is there.
    pub from: Option<FromForm>,
    /// Whether it carries calls for help; absent keeps what is there.
    pub emergency: Option<bool>,
    /// How many calls it takes in a second; null: as many as come.
    pub calls_per_second: Patch<u32>,
    /// Which of several is tried first; absent keeps what is there.
    pub priority: Option<u16>,
}

/// Where a trunk registers, on its way in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegisterIn {
    /// `host` or `host:port`; absent keeps what is there.
    pub registrar: Option<String>,
    /// How; absent keeps what is there.
    pub transport: Option<Transport>,
    /// The domain of what is registered; null: the registrar's host.
    pub domain: Patch<String>,
    /// The user of what is registered; null: the user name of the credentials.
    pub user: Patch<String>,
    /// Credentials; absent keeps what is there.
    pub credentials: Patch<CredentialsIn>,
    /// How long it is asked to last; absent keeps what is there.
    pub expires_seconds: Option<u32>,
}

/// What a call from a number would be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainOut {
    /// What is dialled.
    pub to: String,
    /// From which address; none: the caller knows the number's password.
    pub from: Option<IpAddr>,
    /// What From shows; none: the number.
    pub caller: Option<String>,
    /// What is offered; none: what the trunk takes.
    pub offer: Option<Offer>,
}

/// A change of a provider with its secrets still in clear; also what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderIn {
    /// A name.
    pub label: Option<String>,
    /// What may come in.
    pub inbound: Patch<InboundIn>,
    /// Where calls go out.
    pub outbound: Patch<OutboundIn>,
    /// Where it registers.
    pub register: Patch<RegisterIn>,
    /// The account at a carrier.
    pub account: Option<AccountIn>,
    /// How many calls of it may be in progress, in and out.
    pub calls_max: Patch<u32>,
}

/// What is asked about a call that might come; what is absent is as most calls are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainAbout {
    /// From where.
    pub from: Option<IpAddr>,
    /// Who calls.
    pub caller: Option<String>,
    /// What it offers.
    pub offer: Option<Offer>,
    /// When; absent: now.
    pub at: Option<Timestamp>,
}

/// An account at a carrier on its way in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountIn {
    /// The carrier's id of the account; absent keeps what is there.
    pub id: Option<String>,
    /// The id of the key; absent keeps what is there.
    pub key_id: Option<String>,
    /// The key's secret; absent keeps what is there.
    pub key_secret: Option<Secret>,
    /// The region; absent keeps what is there.
    pub region: Option<String>,
}

/// Which of the tenant's own providers are wanted: SIP trunks and accounts at carriers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkQuery {
    /// Only of this kind.
    pub kind: Option<ProviderKind>,
    /// Only of the account of this id.
    pub account_id: Option<String>,
}

/// A new organization.
#[derive(Clone, Debug, PartialEq)]
pub struct OrganizationNew {
    /// Its name.
    pub name: String,
    /// How far the operator knows it.
    pub kyc: Kyc,
    /// How many numbers it may hold.
    pub number_slots: Option<u32>,
    /// Free settings.
    pub settings: Bag,
}

/// A purchase.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// What.
    pub stock: StockRef,
    /// What it is to be given.
    pub setup: NumberSetup,
    /// Prices in cents as the client believes them; refused where ours differ.
    pub believed: Believed,
}

/// A client's belief about prices, in cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Believed {
    /// Setup and first month together.
    pub total_cents: Option<i64>,
    /// Setup.
    pub setup_cents: Option<i64>,
    /// A month.
    pub monthly_cents: Option<i64>,
}

/// One number to be brought in on a trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The number as written.
    pub e164: String,
    /// What it is to be given.
    pub setup: NumberSetup,
}

/// Everything that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Makes a tenant (operator).
    OrganizationCreate(OrganizationNew),
    /// Lists tenants: all to the operator, its own to a key.
    OrganizationList(Page<OrganizationId>),
    /// Reads a tenant.
    OrganizationGet(OrganizationId),
    /// Changes a tenant; all but the name is the operator's.
    OrganizationUpdate(OrganizationId, OrganizationPatch, Expect),
    /// Makes a key; its secret is in the view, once.
    KeyCreate(OrganizationId, KeyNew),
    /// Puts a new key of one API in the place of another, which still works for a while.
    KeyRotate(OrganizationId, DialectName, KeyId),
    /// Lists the keys of one API with their use.
    KeyUseList(OrganizationId, DialectName, Page<KeyId>),
    /// Reads a key of one API with its use.
    KeyUseGet(OrganizationId, DialectName, KeyId),
    /// Revokes a key of one API.
    KeyUseDelete(OrganizationId, DialectName, KeyId),
    /// Lists keys.
    KeyList(OrganizationId, Page<KeyId>),
    /// Revokes a key.
    KeyDelete(OrganizationId, KeyId),
    /// Adds money to a wallet, or takes it (operator).
    LedgerPost(OrganizationId, i64, String),
    /// Lists ledger entries.
    LedgerList(OrganizationId, Page<u64>),
    /// What a wallet holds.
    BalanceGet(OrganizationId),

    /// Makes an agent, with an id of the client's choice if it has one.
    AgentCreate(Option<AgentId>, AgentPatch),
    /// Lists agents.
    AgentList(Page<AgentId>),
    /// Reads an agent.
    AgentGet(AgentId),
    /// Changes an agent.
    AgentUpdate(AgentId, AgentPatch, Expect),
    /// Removes an agent that nothing refers to.
    AgentDelete(AgentId, Expect),
    /// What is asked below one agent.
    OfAgent(AgentId, AgentOp),
    /// Lists agents with their numbers.
    AgentProfileList(Page<AgentId>),
    /// Reads an agent with its numbers.
    AgentProfileGet(AgentId),
    /// Changes an agent; the answer has its numbers.
    AgentProfileUpdate(AgentId, AgentPatch),
    /// Removes an agent; its numbers and endpoints lose it, and its numbers lose their endpoint.
    AgentDissolve(AgentId),

    /// Makes an endpoint.
    EndpointCreate(EndpointPatch),
    /// Makes an endpoint and gives it a number.
    EndpointCreateFor(EndpointPatch, NumberId),
    /// Lists endpoints.
    EndpointList(Page<EndpointId>),
    /// Reads an endpoint.
    EndpointGet(EndpointId),
    /// How the targets of one are.
    EndpointHealth(EndpointId),
    /// Changes an endpoint; its numbers follow.
    EndpointUpdate(EndpointId, EndpointPatch, Expect),
    /// Removes an endpoint; its numbers lose their target.
    EndpointDelete(EndpointId, Expect),

    /// Makes a provider.
    ProviderCreate(ProviderKind, ProviderIn),
    /// Lists providers.
    ProviderList(Page<ProviderId>),
    /// Reads a provider.
    ProviderGet(ProviderId),
    /// Says how a provider is: its registration, and what its hosts resolve to.
    ProviderStatus(ProviderId),
    /// Changes a provider.
    ProviderUpdate(ProviderId, ProviderIn, Expect),
    /// Removes a provider that has no numbers.
    ProviderDelete(ProviderId, Expect),
    /// Lists the providers that are the tenant's own: SIP trunks and accounts at carriers.
    TrunkList(TrunkQuery, Page<ProviderId>),
    /// Reads one of them.
    TrunkGet(ProviderId),
    /// Changes one of them, which must be of this kind.
    TrunkUpdate(ProviderId, ProviderKind, ProviderIn),
    /// Removes one of them that has no numbers.
    TrunkDelete(ProviderId),

    /// Puts numbers in stock (operator): a result per row.
    StockAdd(Vec<Result<StockNew, crate::Error>>),
    /// Puts one number in stock (operator).
    StockAddOne(StockNew),
    /// Lists the stock.
    StockList(StockQuery, Page<StockId>),
    /// Changes a number in stock (operator).
    StockUpdate(StockId, StockPatch, Expect),
    /// Reserves a number of the stock for the tenant.
    StockHold(StockId),
    /// Ends the tenant's reservation of a number of the stock.
    StockUnhold(StockId),
    /// Takes a number out of stock (operator).
    StockDelete(StockId, Expect),

    /// Buys a number.
    NumberBuy(Purchase),
    /// Buys the cheapest number on sale in a country.
    NumberProvision(Country, NumberSetup),
    /// Brings one number in on a trunk.
    NumberImport(ProviderId, Import),
    /// Brings one number in on the provider of an account.
    NumberImportInAccount(AccountRef, Import),
    /// Brings one number in on a trunk that is on its way from another carrier.
    NumberPortIn(ProviderId, Import),
    /// Brings many in: a result per row.
    NumberImportMany(ProviderId, Vec<Result<Import, crate::Error>>),
    /// Lists numbers.
    NumberList(NumberQuery, Page<NumberId>),
    /// Lists the numbers of one agent; an agent that is not there is not found, unlike one without numbers.
    NumberListOfAgent(AgentId, Page<NumberId>),
    /// Reads a number.
    NumberGet(NumberRef),
    /// Changes a number.
    NumberUpdate(NumberRef, NumberPatch, Expect),
    /// The same, and moves the number to the provider of an account.
    NumberUpdateInAccount(NumberRef, NumberPatch, AccountRef),
    /// Gives a number back.
    NumberRelease(NumberRef, Expect),
    /// Says that a number is on its way to another carrier.
    NumberPortOut(NumberRef, Expect),
    /// Removes a number for good.
    NumberDelete(NumberRef, Expect),
    /// Removes a number for good, if no agent has it.
    NumberDeleteUnassigned(NumberRef),
    /// Removes a number for good; if an agent has it, only one that is in an account at a carrier and stays there.
    NumberUnlink(NumberRef),
    /// Takes a released number back.
    NumberRestore(NumberRef),
    /// Replaces a number's SIP credentials.
    NumberCredentials(NumberRef),
    /// Has the simulated network call a number that is for tests, and waits for the end of the call.
    NumberRing(NumberRef, RingIn),
    /// Says where a call to a number would go, from an address and by a caller if they are named.
    NumberExplain(String, ExplainAbout),
    /// Says where a call from a number would go.
    NumberExplainOut(String, ExplainOut),

    /// Lists the agents that are registered for a number.
    NumberRegistrations(NumberRef),
    /// Lists the sources that are not heard for a while (operator).
    BanList,
    /// Hears a source again (operator).
    BanLift(IpAddr),

    /// Lists calls.
    CallList(CallQuery, Page<CallId>),
    /// Reads a call.
    CallGet(CallId),
    /// Lists the calls of one agent.
    AgentCallList(AgentCallQuery, Page<CallId>),
    /// Reads a call of an agent.
    AgentCallGet(CallId),
    /// Takes what is private out of the record of an agent's call that has ended.
    AgentCallRedact(CallId),
    /// Lists calls, with how many there are.
    CallPage(CallQuery, Page<CallId>),
    /// Counts calls by state.
    CallStats(CallQuery),
    /// Counts calls by day.
    CallTrends(CallQuery),
    /// Removes the record of a call that has ended.
    CallDelete(CallId),
    /// Begins calls: the agent first, then who is called.
    CallOriginate(Box<Originate>),
    /// Hang up a call in progress, on both sides, or end one that rings.
    CallHangup(CallId),
    /// The same for a call of an agent.
    AgentCallHangup(CallId),
    /// Makes a webhook of one API; its secret is in the view.
    WebhookCreate(DialectName, WebhookPatch),
    /// Lists the webhooks of one API.
    WebhookList(DialectName, Page<WebhookId>),
    /// Reads a webhook of one API.
    WebhookGet(DialectName, WebhookId),
    /// Changes a webhook of one API.
    WebhookUpdate(DialectName, WebhookId, WebhookPatch, Expect),
    /// Removes a webhook of one API.
    WebhookDelete(DialectName, WebhookId, Expect),
    /// Lists what was sent to a webhook of one API, and what waits.
    DeliveryList(DialectName, WebhookId, Page<EventId>),
    /// Sends an event to a webhook of one API again.
    DeliveryAgain(DialectName, WebhookId, EventId),

    /// Sets what calls to numbers with a prefix cost (operator); the rate before it is gone.
    RateSet(RateNew),
    /// Lists rates: the tenant's own and those for everybody.
    RateList(Page<RateId>),
    /// Removes a rate (operator).
    RateDelete(RateId),
    /// Traces calls of a number that begin in so many minutes from now.
    NumberTrace(NumberRef, u32),
    /// Says until when calls of a number are traced.
    NumberTraceGet(NumberRef),
    /// Traces no more calls of a number.
    NumberTraceEnd(NumberRef),
    /// Shows the messages of a call.
    CallTrace(CallId, TraceFormat),

    /// Compares what carriers hold for us with what is held here (operator), and mends it unless it is only to be looked.
    CarrierReconcile(Reconcile),

    /// Lists the audit log.
    EventList(Page<EventId>),
}

/// How a comparison with carriers goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconcile {
    /// What differs is told, and stays as it is.
    DryRun,
    /// What differs is mended.
    Mend,
}

/// A call that the simulated network is to place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingIn {
    /// Who calls; absent: some number.
    pub from: Option<String>,
    /// How long to talk, in seconds; absent: one.
    pub hold_seconds: Option<u32>,
    /// How long to let it ring, in seconds; absent: ten.
    pub ring_seconds: Option<u32>,
}

impl RingIn {
    /// The longest that either may take, in seconds: the request waits for the call.
    pub const SECONDS_MAX: u32 = 60;
}

impl Op {
    /// Whether it only reads: then it needs no idempotency.
    pub fn is_read(&self) -> bool {
        if let Self::OfAgent(_, op) = self {
            return op.is_read();
        }
        matches!(
            self,
            Self::OrganizationList(_)
                | Self::OrganizationGet(_)
                | Self::KeyList(..)
                | Self::KeyUseList(..)
                | Self::KeyUseGet(..)
                | Self::LedgerList(..)
                | Self::BalanceGet(_)
                | Self::AgentList(_)
                | Self::AgentGet(_)
                | Self::AgentProfileList(_)
                | Self::AgentProfileGet(_)
                | Self::EndpointList(_)
                | Self::EndpointGet(_)
                | Self::EndpointHealth(_)
                | Self::ProviderList(_)
                | Self::ProviderGet(_)
                | Self::ProviderStatus(_)
                | Self::TrunkList(..)
                | Self::TrunkGet(_)
                | Self::StockList(..)
                | Self::NumberList(..)
                | Self::NumberListOfAgent(..)
                | Self::NumberGet(_)
                | Self::NumberExplain(..)
                | Self::NumberExplainOut(..)
                | Self::NumberRegistrations(_)
                | Self::BanList
                | Self::CallList(..)
                | Self::CallGet(_)
                | Self::AgentCallList(..)
                | Self::AgentCallGet(_)
                | Self::CallPage(..)
                | Self::CallStats(_)
                | Self::CallTrends(_)
                | Self::WebhookList(..)
                | Self::WebhookGet(..)
                | Self::DeliveryList(..)
                | Self::RateList(_)
                | Self::NumberTraceGet(_)
                | Self::CallTrace(..)
                | Self::EventList(_)
        )
    }
}
