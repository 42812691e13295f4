//! What the rules want stored: a list of changes that is applied whole or not at all.

use crate::Timestamp;
use crate::agent::Agent;
use crate::claim::AccountTurn;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::ids::{
    AgentId, CallId, EndpointId, NumberId, OrganizationId, ProviderId, RateId, StockId, WebhookId,
};
use crate::intent::Intent;
use crate::key::{Key, KeyUse};
use crate::ledger::Posting;
use crate::number::Number;
use crate::organization::Organization;
use crate::provider::Provider;
use crate::rate::Rate;
use crate::stock::Stock;
use crate::trace::TraceWindow;
use crate::webhook::{Delivery, Webhook};

/// Counts commits of the installation. Memory that has applied generation n has seen every commit up to n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// One change. A put of version 1 inserts; a put of version n expects version n − 1 to be stored; a delete expects its version.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A tenant.
    Organization(Organization),
    /// An API key (revoked ones stay, with their time).
    Key(Key),
    /// An agent.
    Agent(Agent),
    /// An agent goes.
    AgentDelete(OrganizationId, AgentId, u64),
    /// An endpoint.
    Endpoint(Endpoint),
    /// An endpoint goes.
    EndpointDelete(OrganizationId, EndpointId, u64),
    /// A provider.
    Provider(Provider),
    /// A provider goes.
    ProviderDelete(ProviderId, u64),
    /// A number for sale.
    Stock(Stock),
    /// A number leaves the stock.
    StockDelete(StockId, u64),
    /// A phone number. While its status is held, its E.164 is claimed: a second holder is refused as `Exists`.
    Number(Box<Number>),
    /// A movement of money; a posting id that is there already is refused as `Exists`.
    Posting(Posting),
    /// What is private goes from the record of a call; once gone, a repeat changes nothing.
    CallRedact(OrganizationId, CallId, Timestamp),
    /// Work at a carrier. While it is open, another of the same number is refused as `Exists`, as is a second one of the same
    /// request.
    Intent(Box<Intent>),
    /// Work at carriers that ended before a time goes: at most so much. The generation stays.
    IntentsPrune(Timestamp, u32),
    /// A node takes its turn with an account; refused as `Exists` while it is another's. The generation stays.
    AccountTurn(ProviderId, AccountTurn),
    /// It ends; one that another has followed is let be. The generation stays.
    AccountTurnEnd(ProviderId, AccountTurn),
    /// An entry of the audit log.
    Event(Event),
    /// A place that events are sent to. Each event of the same commit makes a delivery for those that want it.
    Webhook(Webhook),
    /// A webhook goes, with all that waits for it.
    WebhookDelete(OrganizationId, WebhookId, u64),
    /// What became of a delivery; a delivery that moved on meanwhile is refused as `Stale`. No memory follows it: the generation
    /// stays.
    Delivery(Box<Delivery>),
    /// Deliveries of events from before a time go, and those of webhooks that are gone: at most so many. The generation stays.
    DeliveriesPrune(Timestamp, u32),
    /// Uses of a key, added to those that are stored. No memory follows it: the generation stays.
    KeyUse(KeyUse),
    /// What calls cost. One of the same owner, direction and prefix before it is gone.
    Rate(Rate),
    /// A rate goes.
    RateDelete(OrganizationId, RateId),
    /// For how long calls of a number are traced.
    Trace(OrganizationId, TraceWindow),
    /// The record of a call that has ended goes; what it counted and cost stays.
    CallDelete(OrganizationId, CallId),
}

/// A condition over more than one row, evaluated in the same transaction after the changes, under the organization's lock:
/// row versions alone would let two purchases of different numbers overdraw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The organization's wallet is not below zero.
    WalletCovers(OrganizationId),
    /// The organization holds at most this many numbers.
    SlotsWithin(OrganizationId, u32),
    /// Since a time the organization has bought or brought in at most this many numbers, whatever became of them.
    ChurnWithin(OrganizationId, u32, Timestamp),
    /// At most this many numbers of the stock are reserved for the organization at a time.
    HoldsWithin(OrganizationId, u32, Timestamp),
    /// No call to the number was answered.
    NumberUncalled(OrganizationId, NumberId),
    /// The organization holds at most this many numbers for tests.
    TestNumbersWithin(OrganizationId, u32),
    /// The endpoint is stored in this version: a number lands on what was read of it, and on nothing newer.
    EndpointAt(OrganizationId, EndpointId, u64),
    /// Each held number on this endpoint has the endpoint's agent and environment, where the endpoint has an agent.
    EndpointFollowed(OrganizationId, EndpointId),
    /// No held number names this endpoint.
    EndpointUnused(OrganizationId, EndpointId),
    /// The organization has at most this many webhooks.
    WebhooksWithin(OrganizationId, u32),
    /// No held number names this provider.
    ProviderUnused(ProviderId),
    /// The owner has at most this many rates.
    RatesWithin(OrganizationId, u32),
}

/// Changes that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Applied in order.
    pub changes: Vec<Change>,
    /// Evaluated after the changes.
    pub guards: Vec<Guard>,
    /// The answer to this request, kept for its repeats. A slot that is taken refuses the whole commit as `Exists`.
    pub answer: Option<KeptAnswer>,
}

/// For how many hours the first answer to a request is kept: after that its key names a new one.
pub const KEPT_HOURS: i64 = 24;

/// The first answer to a request with an idempotency key, kept for its repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Names the request: a hash over organization, route and key.
    pub slot: [u8; 32],
    /// A hash of the request's body.
    pub body: [u8; 32],
    /// The answer, encrypted.
    pub sealed: Vec<u8>,
    /// When it was given.
    pub at: Timestamp,
}
