//! What readers that keep the configuration in memory are told.

use domain::e164::E164;
use domain::ids::{AgentId, EndpointId, NumberId, OrganizationId, ProviderId, RateId};
use domain::number::{Network, Status};
use domain::routing::Intake;
use domain::rules::NumberRules;
use domain::trace::TraceWindow;
use domain::view::{AgentBrief, ProviderBrief};
use domain::{Call, Endpoint, Generation, Key, Micros, Number, Organization, Provider, Rate, Timestamp};
use std::sync::Arc;

/// Names a history of generations. Where it differs from what a reader knows, the reader builds anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// One thing as it is now. Each carries the whole row, so it may be applied again, and later than its generation.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// A tenant, with what its wallet holds.
    Organization(Organization, Micros),
    /// What a tenant's wallet holds.
    Balance(OrganizationId, Micros),
    /// A key; revoked ones come once more, with their time, and are not part of a snapshot.
    Key(Key),
    /// An endpoint.
    Endpoint(Endpoint),
    /// An endpoint that is gone.
    EndpointGone(EndpointId),
    /// A provider.
    Provider(Provider),
    /// A provider that is gone.
    ProviderGone(ProviderId),
    /// A number. One that is no longer held must be taken out only where the same id stands: its E.164 may have a new holder,
    /// named before or after it. Numbers that are not held are not part of a snapshot.
    Number(NumberRow),
    /// What calls cost.
    Rate(Rate),
    /// A rate that is gone.
    RateGone(RateId),
    /// Until when calls of a number are traced.
    Trace(TraceWindow),
}

/// As much of a number as a call needs.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberRow {
    /// Its id.
    pub id: NumberId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The number.
    pub e164: E164,
    /// Its state.
    pub status: Status,
    /// Whether it is inactive because its rent is not paid.
    pub unpaid: bool,
    /// Which phone network it is part of.
    pub network: Network,
    /// Whether it takes calls.
    pub intake: Intake,
    /// Whether it may call out.
    pub allow_outbound: bool,
    /// How it reaches the phone network.
    pub provider_id: Option<ProviderId>,
    /// Where its calls go.
    pub endpoint_id: Option<EndpointId>,
    /// What else is said of calls to it; most have nothing.
    pub rules: Option<Arc<NumberRules>>,
}

/// A number with the names that are shown beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberShown {
    /// The number.
    pub number: Number,
    /// Its agent.
    pub agent: Option<AgentBrief>,
    /// Its provider.
    pub provider: Option<ProviderBrief>,
}

/// What has changed since a generation. Each thing comes once, however often it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The history that these are of.
    pub epoch: Epoch,
    /// The newest generation that there is.
    pub newest: Generation,
    /// Every change up to here is in `items`, or was before.
    pub upto: Generation,
    /// Whether there is more behind it.
    pub more: bool,
    /// The things as they are now (in one snapshot at `upto` or later).
    pub items: Vec<Changed>,
}

/// What became of facts that were appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Facts that were not there before.
    pub inserted: usize,
    /// Calls that reached a final state for the first time.
    pub settled: usize,
    /// Those of them whose end was seen and whose answer was not.
    pub unproven: usize,
    /// The generation, where money moved.
    pub generation: Option<Generation>,
}

/// A call to which more is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCall {
    /// The call.
    pub call: Call,
    /// Its latest fact.
    pub last: domain::call::Moment,
}

/// A call with the agent that had its number when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentCallRow {
    /// The call.
    pub call: Call,
    /// The agent; it may be gone since.
    pub agent_id: AgentId,
    /// When what is private was taken out of the record.
    pub redacted_at: Option<Timestamp>,
}
