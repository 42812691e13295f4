//! What the ids in a request about a number stand for: endpoint and agent, looked up within the tenant.

use domain::endpoint::Endpoint;
use domain::ids::{AgentId, EndpointId};
use domain::number::{Environment, NumberPatch, NumberSetup, Wiring};
use domain::{Error, Guard, Number, Patch, Result, What};

use super::failure::of_read;
use super::{App, Ask};

/// The things that a request's ids stand for, looked up within the tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    endpoint: Option<Endpoint>,
    agent_default: Option<Endpoint>,
}

impl Found {
    pub(super) fn as_wiring(&self) -> Wiring<'_> {
        Wiring { endpoint: self.endpoint.as_ref(), agent_default: self.agent_default.as_ref() }
    }

    /// That the endpoint a number lands on is still as it was read: else it could land with another's agent.
    pub(super) fn landing(&self, number: &Number) -> Option<Guard> {
        let found = [&self.endpoint, &self.agent_default].into_iter().flatten();
        let landed = found.into_iter().find(|endpoint| Some(endpoint.id) == number.endpoint_id)?;
        Some(Guard::EndpointAt(landed.organization_id, landed.id, landed.version))
    }
}

impl App {
    pub(super) fn wiring_of_setup(
        &self,
        ask: Ask<'_>,
        setup: &NumberSetup,
        environment: Environment,
    ) -> Result<Found> {
        let environment = setup.environment.unwrap_or(environment);
        self.wiring(ask, setup.endpoint_id, setup.agent_id.as_ref(), environment)
    }

    pub(super) fn wiring_of_patch(
        &self,
        ask: Ask<'_>,
        patch: &NumberPatch,
        before: &Number,
    ) -> Result<Found> {
        let environment = patch.environment.unwrap_or(before.environment);
        let kept = before.endpoint_id.filter(|_| patch.endpoint_id.is_keep() && patch.agent_id.is_keep());
        let endpoint = match &patch.endpoint_id {
            Patch::Set(id) => Some(*id),
            Patch::Keep => kept,
            Patch::Clear => None,
        };
        self.wiring(ask, endpoint, patch.agent_id.value(), environment)
    }

    pub(super) fn wiring(
        &self,
        ask: Ask<'_>,
        endpoint: Option<EndpointId>,
        agent: Option<&AgentId>,
        environment: Environment,
    ) -> Result<Found> {
        let organization = ask.organization()?;
        let mut found = Found::default();
        if let Some(id) = endpoint {
            let endpoint = self.store.endpoint_get(organization, id).map_err(of_read)?;
            found.endpoint =
                Some(endpoint.ok_or_else(|| Error::not_found(What::Endpoint).at("endpoint_id"))?);
        }
        if let Some(id) = agent {
            let agent = self.store.agent_get(organization, id).map_err(of_read)?;
            agent.ok_or_else(|| Error::not_found(What::Agent).at("agent_id"))?;
            found.agent_default =
                self.store.endpoint_default(organization, id, environment).map_err(of_read)?;
        }
        Ok(found)
    }
}
