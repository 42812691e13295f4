//! Phone numbers: birth, states, assignment, release and restore.

mod delivery;
mod network;
mod rent;
mod status;

pub use network::Network;
pub use rent::period_start;
pub use status::{Status, Step, TRANSITIONS};

use crate::agent::text_within;
use crate::e164::{Country, E164, NumberType, Plan};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result, What};
use crate::ids::{AgentId, EndpointId, NumberId, OrganizationId, ProviderId, StockId};
use crate::key::Mode;
use crate::ledger::Posting;
use crate::money::Micros;
use crate::organization::Settings;
use crate::provider::Credentials;
use crate::rules::{NumberRules, NumberRulesPatch};
use crate::stock::{Capabilities, Stock, StockState};
use crate::{Bag, Patch, Timestamp};

/// Where in an agent's life: try-out, rehearsal, production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// Try-out.
    Sandbox,
    /// Rehearsal.
    PreRelease,
    /// Production.
    Live,
}

impl Environment {
    /// The environments with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Sandbox, "sandbox"), (Self::PreRelease, "pre-release"), (Self::Live, "live")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// A phone number that an organization holds or held.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its id.
    pub id: NumberId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// A small integer that stands for it where a dialect has integer ids; 0 until the store gives it one at birth.
    pub alias: u64,
    /// The number.
    pub e164: E164,
    /// Its country.
    pub country: Country,
    /// Its type.
    pub kind: NumberType,
    /// Its state.
    pub status: Status,
    /// A name for people.
    pub label: Option<String>,
    /// How it reaches the phone network; none: the operator's stock.
    pub provider_id: Option<ProviderId>,
    /// The stock it was bought from.
    pub stock_id: Option<StockId>,
    /// Which phone network it is part of.
    pub network: Network,
    /// Paid once.
    pub setup_cost: Micros,
    /// Paid per month.
    pub monthly_cost: Micros,
    /// What it carries.
    pub capabilities: Capabilities,
    /// Where its calls go.
    pub endpoint_id: Option<EndpointId>,
    /// Who answers them; follows the endpoint whenever that has an agent.
    pub agent_id: Option<AgentId>,
    /// In which environment; follows the endpoint likewise.
    pub environment: Environment,
    /// Whether calls may come in.
    pub allow_inbound: bool,
    /// Whether calls may go out.
    pub allow_outbound: bool,
    /// What else its holder has said of calls to it.
    pub rules: NumberRules,
    /// Free settings for the tenant's service desk, given back unread.
    pub psa_settings: Bag,
    /// Free settings for the agent, given back unread.
    pub agent_settings: Bag,
    /// With what a platform may place calls from it.
    pub sip_credentials: Credentials,
    /// When it was bought or imported.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was given back.
    pub released_at: Option<Timestamp>,
    /// Until when it rests and can be restored.
    pub quarantined_until: Option<Timestamp>,
    /// Until when its rent is paid; none where it costs nothing each month.
    pub rented_until: Option<Timestamp>,
    /// When its carrier delivered it, where that was waited for: its rent is reckoned from then, not from the purchase.
    pub delivered_at: Option<Timestamp>,
    /// Whether it is inactive because its rent is not paid, or was when it was given up.
    pub unpaid: bool,
    /// Counts changes from 1; the entity tag.
    pub version: u64,
}

/// How a request names a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberRef {
    /// By its id.
    Id(NumberId),
    /// By its id, while it is held; one that was given up is not found.
    Held(NumberId),
    /// By the number itself; finds the one held now.
    E164(E164),
    /// By the number itself, held now and answered by this agent; any other number is not found.
    OfAgent(AgentId, E164),
}

/// What a new number is to be given; every part is optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberSetup {
    /// Where its calls go.
    pub endpoint_id: Option<EndpointId>,
    /// Who answers them.
    pub agent_id: Option<AgentId>,
    /// A name for people.
    pub label: Option<String>,
    /// In which environment.
    pub environment: Option<Environment>,
}

impl NumberSetup {
    /// Checks what can be checked without looking anything up.
    pub fn check(&self) -> Result<()> {
        let label = self.label.as_deref();
        label.map_or(Ok(()), |text| text_within(What::Number, "label", text, LABEL_MAX).map(|_| ()))
    }
}

/// What a change of a number may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberPatch {
    /// Where its calls go; null detaches.
    pub endpoint_id: Patch<EndpointId>,
    /// Who answers them; null clears agent and endpoint.
    pub agent_id: Patch<AgentId>,
    /// The trunk of the organization's that brings its calls from now on; only for a number that is on one.
    pub provider_id: Option<ProviderId>,
    /// In which environment.
    pub environment: Option<Environment>,
    /// A name for people.
    pub label: Patch<String>,
    /// Whether calls may come in.
    pub allow_inbound: Option<bool>,
    /// Whether calls may go out.
    pub allow_outbound: Option<bool>,
    /// What else is said of calls to it.
    pub rules: NumberRulesPatch,
    /// On or off.
    pub status: Option<Switch>,
    /// Replaces the service desk settings.
    pub psa_settings: Option<Bag>,
    /// Replaces the agent settings.
    pub agent_settings: Option<Bag>,
}

/// What a holder can set a number's status to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    Active,
    /// Off.
    Inactive,
}

/// What the ids in a request stand for, looked up within the tenant by whoever calls the rules below.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wiring<'a> {
    /// The endpoint that is named (or kept).
    pub endpoint: Option<&'a Endpoint>,
    /// The default endpoint of the agent that is named, in the number's environment.
    pub agent_default: Option<&'a Endpoint>,
}

/// What a new number needs from outside the rules.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The time.
    pub now: Timestamp,
    /// Its id.
    pub id: NumberId,
    /// Its SIP credentials.
    pub sip_credentials: Credentials,
    /// The environment where none is named.
    pub environment: Environment,
}

/// The largest of a number's two free settings, in bytes of JSON.
pub const SETTINGS_MAX: usize = 65_536;
/// The longest label, in characters.
pub const LABEL_MAX: usize = 200;

impl Number {
    /// A number bought from stock: pending until its carrier has finished ([`Self::activate`]). Gives the number and the
    /// stock it takes. Whether it is available must have been checked; the stock's version makes sure that only one buyer wins.
    pub fn buy(
        organization_id: OrganizationId,
        stock: &Stock,
        provider_id: Option<ProviderId>,
        (setup, wiring): (NumberSetup, Wiring<'_>),
        birth: Birth,
    ) -> Result<(Self, Stock)> {
        let sold = stock.moved(StockState::Sold(birth.id), birth.now);
        let plan = Plan { country: stock.country, kind: stock.kind };
        let mut number = Self::blank(organization_id, stock.e164, plan, birth);
        number.provider_id = provider_id;
        number.stock_id = Some(stock.id);
        number.network = stock.network;
        number.setup_cost = stock.setup_cost;
        number.monthly_cost = stock.monthly_cost;
        number.capabilities = stock.capabilities;
        Ok((number.set_up(setup, wiring)?, sold))
    }

    /// A number brought in on an own trunk: pending until its carrier and, where it must be asked, the operator agree
    /// ([`Self::activate`]).
    pub fn import(
        organization_id: OrganizationId,
        e164: &str,
        provider_id: ProviderId,
        (setup, wiring): (NumberSetup, Wiring<'_>),
        birth: Birth,
    ) -> Result<Self> {
        let (e164, plan) = E164::parse(e164)?;
        let mut number = Self::blank(organization_id, e164, plan, birth);
        number.provider_id = Some(provider_id);
        number.set_up(setup, wiring)
    }

    /// The same new number, in use from birth.
    pub fn activate(self) -> Result<Self> {
        Ok(Self { status: self.status.after(Step::Activate)?, rented_until: self.first_rent(), ..self })
    }

    fn blank(organization_id: OrganizationId, e164: E164, plan: Plan, birth: Birth) -> Self {
        let Birth { now, id, sip_credentials, environment } = birth;
        Self {
            id,
            organization_id,
            alias: 0,
            e164,
            country: plan.country,
            kind: plan.kind,
            status: Status::Pending,
            label: None,
            provider_id: None,
            stock_id: None,
            network: Network::Public,
            setup_cost: Micros::ZERO,
            monthly_cost: Micros::ZERO,
            capabilities: Capabilities::default(),
            endpoint_id: None,
            agent_id: None,
            environment,
            allow_inbound: true,
            allow_outbound: false,
            rules: NumberRules::default(),
            psa_settings: Bag::new(),
            agent_settings: Bag::new(),
            sip_credentials,
            created_at: now,
            updated_at: now,
            released_at: None,
            quarantined_until: None,
            rented_until: None,
            delivered_at: None,
            unpaid: false,
            version: 1,
        }
    }

    fn set_up(mut self, setup: NumberSetup, wiring: Wiring<'_>) -> Result<Self> {
        let NumberSetup { endpoint_id, agent_id, label, environment } = setup;
        let patch = NumberPatch {
            endpoint_id: endpoint_id.map_or(Patch::Keep, Patch::Set),
            agent_id: agent_id.map_or(Patch::Keep, Patch::Set),
            label: label.map_or(Patch::Keep, Patch::Set),
            environment,
            ..NumberPatch::default()
        };
        self.assign(&patch, wiring)?;
        self.set_label(patch.label)?;
        Ok(self)
    }

    /// Applies a patch; the same number back means that nothing changed. A number still waiting for the operator's trust
    /// can be switched on by the operator only, and one that needed none in the sandbox does not leave it without.
    pub fn update(
        &self,
        patch: NumberPatch,
        wiring: Wiring<'_>,
        trust: Trust,
        now: Timestamp,
    ) -> Result<Self> {
        let mut next = self.clone();
        next.assign(&patch, wiring)?;
        let NumberPatch {
            endpoint_id: _,
            agent_id: _,
            provider_id,
            environment: _,
            label,
            allow_inbound,
            allow_outbound,
            rules,
            status,
            psa_settings,
            agent_settings,
        } = patch;
        if !self.status.is_held() {
            let words = format!("A number that is {} cannot be changed.", self.status.as_str());
            return Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        }
        if let Some(provider) = provider_id {
            next.move_to(provider)?;
        }
        next.set_label(label)?;
        next.allow_inbound = allow_inbound.unwrap_or(next.allow_inbound);
        next.allow_outbound = allow_outbound.unwrap_or(next.allow_outbound);
        next.rules.update(rules, next.e164)?;
        if let Some(settings) = psa_settings {
            crate::bags::within(&settings, SETTINGS_MAX, (What::Number, "psa_settings"))?;
            next.psa_settings = settings;
        }
        if let Some(settings) = agent_settings {
            crate::bags::within(&settings, SETTINGS_MAX, (What::Number, "agent_settings"))?;
            next.agent_settings = settings;
        }
        if let Some(switch) = status {
            self.check_delivered()?;
            next.check_switch(switch, trust)?;
            next.status = next.status.after(match switch {
                Switch::Active => Step::Activate,
                Switch::Inactive => Step::Deactivate,
            })?;
            // Off by its holder's own wish from here on: money alone does not switch it on again.
            next.unpaid &= switch != Switch::Inactive;
        }
        next.check_sandbox(self, trust)?;
        Ok(next.changed_from(self, now))
    }

    /// Whether its holder may switch it.
    fn check_switch(&self, switch: Switch, trust: Trust) -> Result<()> {
        let refused = |words: &str| Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        match (self.status, switch) {
            (Status::Pending, _) if !self.is_trusted(trust) => {
                refused("The number waits for the operator, who alone can activate it.")
            }
            (Status::PortIn, _) if trust != Trust::Operator => refused(
                "The number is on its way in from another carrier; the operator activates it when it is here.",
            ),
            (_, Switch::Active) if self.unpaid => {
                refused("The number is off because its rent is unpaid; add money to the ledger.")
            }
            _ => Ok(()),
        }
    }

    /// Moves a number from one trunk of its holder's to another; whether `provider` is one must have been checked.
    fn move_to(&mut self, provider: ProviderId) -> Result<()> {
        if self.stock_id.is_some() {
            let words = "The number is of the operator's stock; it cannot move to a trunk.";
            return Err(Error::invalid(What::Number, "provider_id", words));
        }
        self.provider_id = Some(provider);
        Ok(())
    }

    /// What some dialects ask before a number is given up: that no agent has it.
    pub fn check_unassigned(&self) -> Result<()> {
        if self.agent_id.is_none() {
            return Ok(());
        }
        let words = "The number is assigned to an agent; unassign it first.";
        Err(Error::new(Kind::Conflict, What::Number, words).at("agent_id"))
    }

    /// Whether it may be in use: the operator agrees, or has no need to.
    pub fn is_trusted(&self, trust: Trust) -> bool {
        trust != Trust::Untrusted || self.environment == Environment::Sandbox
    }

    fn check_sandbox(&self, before: &Self, trust: Trust) -> Result<()> {
        let leaves =
            before.stock_id.is_none() && before.is_trusted(Trust::Untrusted) && !self.is_trusted(trust);
        if leaves && self.status != Status::Pending {
            let words =
                "The number was brought in for the sandbox; the operator alone can take it out of there.";
            return Err(Error::new(Kind::Conflict, What::Number, words).at("environment"));
        }
        Ok(())
    }

    /// Gives the number back. A number of the stock rests for the quarantine; one on an own trunk is free at once.
    pub fn release(&self, settings: &Settings, now: Timestamp) -> Result<Self> {
        let mut next = self.given_up(settings, now);
        next.status = self.status.after(Step::Release)?;
        Ok(next.changed_from(self, now))
    }

    fn given_up(&self, settings: &Settings, now: Timestamp) -> Self {
        let rest = jiff::SignedDuration::from_hours(24 * i64::from(settings.quarantine_days));
        // What was for tests need not rest: nobody outside knows it, and the next who tries something out wants it.
        let rests = self.stock_id.filter(|_| self.network != Network::Test);
        let quarantined_until = rests.and_then(|_| now.checked_add(rest).ok());
        Self { released_at: Some(now), quarantined_until, ..self.clone() }
    }

    /// What becomes of the stock when this number's holder gives it up.
    pub fn stock_after(&self, stock: &Stock, now: Timestamp) -> Stock {
        let state = match self.quarantined_until {
            Some(until) if until > now => StockState::Quarantined { number: self.id, until },
            Some(_) | None => StockState::Available,
        };
        stock.moved(state, now)
    }

    /// Takes a released number back while its quarantine lasts. It follows its endpoint as that is now, and on an own trunk
    /// it needs the trust that bringing it in again would need. The posting is what is to be paid for the period that it is
    /// taken back in, where that is not paid. One that was unpaid when it was given up is no way round paying: the wallet must be
    /// at zero or above for it, which is for the commit's guard to say.
    pub fn restore(
        &self,
        endpoint: Option<&Endpoint>,
        trust: Trust,
        now: Timestamp,
    ) -> Result<(Self, Option<Posting>)> {
        let mut next = self.clone();
        if let Some(endpoint) = endpoint {
            next.land(endpoint);
        }
        let free = self.stock_id.is_some() || next.is_trusted(trust);
        next.status = self.status.after(if free { Step::Restore } else { Step::Reclaim })?;
        if self.stock_id.is_some() && self.quarantined_until.is_none_or(|until| until <= now) {
            let words = "The quarantine is over; the number can only be bought again.";
            return Err(Error::new(Kind::Conflict, What::Number, words).at("quarantined_until"));
        }
        next.released_at = None;
        next.quarantined_until = None;
        next.unpaid = false;
        let rent = next.rent_again(now);
        Ok((next.changed_from(self, now), rent))
    }

    /// On its way to another carrier: it takes calls until it is deleted, when the carrier has moved it.
    pub fn port_out(&self, now: Timestamp) -> Result<Self> {
        let status = self.status.after(Step::PortOut)?;
        Ok(Self { status, ..self.clone() }.changed_from(self, now))
    }

    /// Whether its deletion means that it has left for another carrier, so that nobody can sell it again: it is on its way out,
    /// and who deletes it is the operator. Its holder's word alone takes nothing out of the operator's stock.
    pub fn is_ported_away(&self, by_operator: bool) -> bool {
        self.status == Status::PortOut && (by_operator || self.stock_id.is_none())
    }

    /// The same new number, on its way in from another carrier until the operator activates it.
    pub fn port_in(self) -> Result<Self> {
        Ok(Self { status: self.status.after(Step::PortIn)?, ..self })
    }

    /// Removes the number for good. A held number of the stock rests like a released one before it is sold again; one that has
    /// left for another carrier ([`Self::is_ported_away`]) does not.
    pub fn delete(&self, settings: &Settings, by_operator: bool, now: Timestamp) -> Result<Self> {
        let mut next = if self.status.is_held() { self.given_up(settings, now) } else { self.clone() };
        if self.is_ported_away(by_operator) {
            next.quarantined_until = None;
        }
        next.status = self.status.after(Step::Delete)?;
        Ok(next.changed_from(self, now))
    }

    /// New SIP credentials in place of the old.
    pub fn replace_credentials(&self, credentials: Credentials, now: Timestamp) -> Result<Self> {
        if !self.status.is_held() {
            let words =
                format!("A number that is {} has no SIP credentials to replace.", self.status.as_str());
            return Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        }
        Ok(Self { sip_credentials: credentials, ..self.clone() }.changed_from(self, now))
    }

    /// The same number after its endpoint changed (agent or environment), or went away (`None`).
    pub fn follow(&self, endpoint: Option<&Endpoint>, trust: Trust, now: Timestamp) -> Result<Self> {
        let mut next = self.clone();
        match endpoint {
            Some(endpoint) => next.land(endpoint),
            None => next.endpoint_id = None,
        }
        next.check_sandbox(self, trust)?;
        Ok(next.changed_from(self, now))
    }

    fn changed_from(mut self, before: &Self, now: Timestamp) -> Self {
        if self != *before {
            // Counted once per change, however many rules ran on the way.
            self.version = before.version + 1;
            self.updated_at = now;
        }
        self
    }

    fn set_label(&mut self, label: Patch<String>) -> Result<()> {
        let label = match label {
            Patch::Set(text) => Patch::Set(text_within(What::Number, "label", &text, LABEL_MAX)?),
            unset @ (Patch::Keep | Patch::Clear) => unset,
        };
        label.apply(&mut self.label);
        Ok(())
    }

    /// number → endpoint → agent: an endpoint with an agent decides agent and environment; an agent alone lands on its
    /// default endpoint of the number's environment, or on none.
    fn assign(&mut self, patch: &NumberPatch, wiring: Wiring<'_>) -> Result<()> {
        let stays = patch.environment.is_none_or(|named| named == self.environment);
        self.environment = patch.environment.unwrap_or(self.environment);
        match (&patch.endpoint_id, &patch.agent_id) {
            (Patch::Set(_), agent) => {
                let endpoint = wiring.endpoint.ok_or_else(|| Error::not_found(What::Endpoint))?;
                if let (Some(named), Some(has)) = (agent.value(), &endpoint.agent_id)
                    && named != has
                {
                    let words = "`agent_id` is not the agent of the endpoint; name one of the two.";
                    return Err(Error::invalid(What::Number, "agent_id", words));
                }
                if endpoint.agent_id.is_none() {
                    agent.clone().apply(&mut self.agent_id);
                }
                self.land(endpoint);
            }
            // Who answers is named as it is: a client that writes back what it read does not move the number.
            (Patch::Keep, Patch::Set(agent)) if stays && self.agent_id.as_ref() == Some(agent) => {}
            (endpoint, Patch::Set(agent)) => {
                self.agent_id = Some(agent.clone());
                self.endpoint_id = None;
                if let (Some(default), true) = (wiring.agent_default, endpoint.is_keep()) {
                    self.land(default);
                }
            }
            (_, Patch::Clear) => {
                self.agent_id = None;
                self.endpoint_id = None;
            }
            (Patch::Clear, Patch::Keep) => self.endpoint_id = None,
            (Patch::Keep, Patch::Keep) => {}
        }
        if let (Some(asked), Some(endpoint)) = (patch.environment, wiring.endpoint)
            && self.endpoint_id == Some(endpoint.id)
            && endpoint.agent_id.is_some()
            && endpoint.environment != asked
        {
            let words = format!(
                "`environment` is decided by the endpoint, which is {}.",
                endpoint.environment.as_str()
            );
            return Err(Error::invalid(What::Number, "environment", words));
        }
        Ok(())
    }

    fn land(&mut self, endpoint: &Endpoint) {
        self.endpoint_id = Some(endpoint.id);
        if let Some(agent) = &endpoint.agent_id {
            self.agent_id = Some(agent.clone());
            self.environment = endpoint.environment;
        }
    }
}

/// Whether an import, or the switching on of a pending number, needs nobody else's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the operator itself.
    Operator,
    /// By a setting that allows it.
    Trusted,
    /// Waits for the operator.
    Untrusted,
}

/// Which numbers are wanted in a list. Numbers that are held, unless a status is named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberQuery {
    /// Part of the number, of the label, or of the agent's name.
    pub q: Option<String>,
    /// Only with this agent.
    pub agent_id: Option<AgentId>,
    /// Only on this endpoint.
    pub endpoint_id: Option<EndpointId>,
    /// Only of this provider.
    pub provider_id: Option<ProviderId>,
    /// Only of a kind of provider (numbers of the stock count as managed).
    pub provider_kind: Option<crate::provider::ProviderKind>,
    /// Only of this country.
    pub country: Option<Country>,
    /// Only of this type.
    pub kind: Option<NumberType>,
    /// Only in this state; also shows released ones.
    pub status: Option<Status>,
    /// Only in this environment.
    pub environment: Option<Environment>,
    /// Whether the view is to tell each number's minutes of this month.
    pub with_minutes: bool,
    /// Only what keys of this mode see ([`Number::is_for`]); none: all.
    pub mode: Option<Mode>,
}

#[cfg(test)]
mod tests;
