//! What a test key reaches: what is for tests and of the sandbox. Numbers say so themselves (`Number::is_for`) and are not found
//! otherwise, nor are their calls; all else that live calls depend on it may read, not change.

use domain::ids::{AgentId, EndpointId, OrganizationId};
use domain::key::Mode;
use domain::number::{Environment, Network, NumberQuery, Status};
use domain::{Call, Change, Commit, Error, Micros, Number, Op, Page, Result, Stock, What};

use super::failure::of_read;
use super::{App, Ask};

/// How many of an agent's endpoints and numbers are looked at; an agent with more is a live one.
const LOOK_MAX: u32 = 1_000;

/// Refuses what a test key cannot ask at all: money and names of the tenant, its trunks, and what tells of live calls.
pub(super) fn admits(ask: Ask<'_>, op: &Op) -> Result<()> {
    let words = match op {
        _ if ask.caller.mode == Mode::Live => return Ok(()),
        Op::WebhookCreate(..)
        | Op::WebhookList(..)
        | Op::WebhookGet(..)
        | Op::WebhookUpdate(..)
        | Op::WebhookDelete(..)
        | Op::DeliveryList(..)
        | Op::DeliveryAgain(..) => "Webhooks are told of live calls; use a live key.",
        Op::EventList(_) => "The audit log tells of live things; use a live key.",
        _ => return Ok(()),
    };
    Err(Error::forbidden(words))
}

fn live(what: What) -> Error {
    let words =
        format!("A test key cannot change this {}, which live calls depend on; use a live key.", what.noun());
    Error::forbidden(words)
}

impl App {
    /// Refuses a commit of a test key's that changes what is live. The rows are read anew here: each is written under the
    /// version that it was decided on, so one that has changed since is refused by the store.
    pub(super) fn admits_commit(&self, ask: Ask<'_>, commit: &Commit) -> Result<()> {
        if ask.caller.mode == Mode::Live {
            return Ok(());
        }
        commit.changes.iter().try_for_each(|change| match change {
            Change::Organization(_) => Err(live(What::Organization)),
            Change::Provider(_) | Change::ProviderDelete(..) => Err(live(What::Provider)),
            Change::Key(key) if key.mode == Mode::Live => Err(live(What::Key)),
            Change::Endpoint(endpoint) if endpoint.environment != Environment::Sandbox => {
                Err(live(What::Endpoint))
            }
            // Whoever calls from there calls from any of the organization's numbers.
            Change::Endpoint(endpoint) if !endpoint.source_addresses.is_empty() => Err(live(What::Endpoint)),
            Change::Endpoint(endpoint) => self.endpoint_tried(endpoint.organization_id, endpoint.id),
            Change::EndpointDelete(organization, id, _) => self.endpoint_tried(*organization, *id),
            Change::Agent(agent) if agent.version > 1 => self.agent_tried(agent.organization_id, &agent.id),
            Change::AgentDelete(organization, id, _) => self.agent_tried(*organization, id),
            Change::CallRedact(organization, id, _) | Change::CallDelete(organization, id) => {
                let call = self.store.call_get(*organization, *id).map_err(of_read)?;
                call.map_or(Ok(()), |call| self.call_seen(ask, &call))
            }
            Change::Number(number) => self.number_tried(number),
            Change::Stock(Stock { network: Network::Test, .. }) => Ok(()),
            Change::Stock(_) | Change::StockDelete(..) => Err(live(What::Stock)),
            Change::Intent(intent) if intent.network != Network::Test => Err(live(What::Number)),
            Change::Trace(organization, window) => {
                let number = self.store.number_get(*organization, window.number_id).map_err(of_read)?;
                let tried = number.is_some_and(|number| number.is_for(Mode::Test));
                if tried { Ok(()) } else { Err(live(What::Number)) }
            }
            Change::Rate(_) | Change::RateDelete(..) => Err(live(What::Rate)),
            Change::Posting(_) => Err(Error::forbidden("A test key moves no money; use a live key.")),
            Change::Intent(_)
            | Change::Key(_)
            | Change::Agent(_)
            | Change::Event(_)
            | Change::IntentsPrune(..)
            | Change::AccountTurn(..)
            | Change::AccountTurnEnd(..)
            | Change::Webhook(_)
            | Change::WebhookDelete(..)
            | Change::Delivery(_)
            | Change::DeliveriesPrune(..)
            | Change::KeyUse(_) => Ok(()),
        })
    }

    /// A call that the caller sees: a test key those of numbers that it sees.
    pub(super) fn call_seen(&self, ask: Ask<'_>, call: &Call) -> Result<()> {
        if ask.caller.mode == Mode::Live {
            return Ok(());
        }
        let number = match call.number_id {
            Some(id) => self.store.number_get(call.organization_id, id).map_err(of_read)?,
            None => None,
        };
        let seen = number.is_some_and(|number| number.is_for(Mode::Test));
        if seen { Ok(()) } else { Err(Error::not_found(What::Call)) }
    }

    /// A number for tests; or one on an own trunk, of the sandbox before and after: nobody pays for it. One that is brought in for
    /// elsewhere may wait for the operator, and is out of a test key's reach from then on.
    pub(super) fn number_tried(&self, number: &Number) -> Result<()> {
        let sandbox = |number: &Number| number.environment == Environment::Sandbox;
        let free = number.stock_id.is_none() && number.setup_cost + number.monthly_cost == Micros::ZERO;
        let waits = number.version == 1 && number.status == Status::Pending;
        let mut tried = number.network == Network::Test || (free && (sandbox(number) || waits));
        if tried && number.network != Network::Test && number.version > 1 {
            let stored = self.store.number_get(number.organization_id, number.id).map_err(of_read)?;
            // Calls out cost its holder money at the carrier.
            let calls = |stored: &Number| number.allow_outbound && !stored.allow_outbound;
            tried = stored.is_none_or(|stored| sandbox(&stored) && !calls(&stored));
        }
        if tried { Ok(()) } else { Err(live(What::Number)) }
    }

    /// An endpoint that is new, or of the sandbox as it is stored.
    fn endpoint_tried(&self, organization: OrganizationId, id: EndpointId) -> Result<()> {
        let stored = self.store.endpoint_get(organization, id).map_err(of_read)?;
        let tried = stored.is_none_or(|endpoint| endpoint.environment == Environment::Sandbox);
        if tried { Ok(()) } else { Err(live(What::Endpoint)) }
    }

    /// An agent whose endpoints and numbers are all for tests or of the sandbox.
    fn agent_tried(&self, organization: OrganizationId, id: &AgentId) -> Result<()> {
        let endpoints = self.store.endpoints_of_agent(organization, id, LOOK_MAX).map_err(of_read)?;
        let query = NumberQuery { agent_id: Some(id.clone()), ..NumberQuery::default() };
        let numbers =
            self.store.number_list(organization, &query, &Page::first(LOOK_MAX)).map_err(of_read)?;
        let tried = !numbers.more
            && endpoints.iter().all(|endpoint| endpoint.environment == Environment::Sandbox)
            && numbers.items.iter().all(|number| number.is_for(Mode::Test));
        if tried { Ok(()) } else { Err(live(What::Agent)) }
    }
}
