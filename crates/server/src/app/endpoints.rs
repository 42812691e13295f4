//! Endpoints; their numbers follow them.

use domain::endpoint::EndpointPatch;
use domain::error::Kind;
use domain::ids::{AgentId, EndpointId, NumberId, OrganizationId};
use domain::key::{Area, Scope};
use domain::number::{NumberPatch, NumberRef, Wiring};
use domain::op::{CredentialsIn, Expect};
use domain::provider::{AddressRule, Credentials};
use domain::{Change, Commit, Endpoint, Error, Guard, Page, Patch, Result, View, What};

use super::failure::of_read;
use super::{App, Ask, again, expect};
use crate::clock;

/// How many numbers are read at once when they follow their endpoint.
const BATCH: u32 = 1_000;

impl App {
    pub(super) async fn endpoint_create(&self, ask: Ask<'_>, new: EndpointPatch) -> Result<View> {
        let organization = self.tenant(ask)?;
        again!(None::<u64>, {
            let (id, environment) = (EndpointId(clock::id()), ask.caller.environment());
            let new = self.endpoint_sealed(id, new.clone(), None)?;
            let endpoint = Endpoint::create(organization, id, new, environment, ask.now)?;
            self.endpoint_write(ask, None, endpoint, "endpoint.created").await
        })
    }

    /// Makes an endpoint and gives it a number, both or neither.
    pub(super) async fn endpoint_create_for(
        &self,
        ask: Ask<'_>,
        new: EndpointPatch,
        number: NumberId,
    ) -> Result<View> {
        ask.caller.require(Scope::write(Area::Numbers))?;
        let organization = self.organization_get(ask, ask.organization()?)?;
        let (trust, organization) = (self.import_trust(ask, &organization)?, organization.id);
        again!(None::<u64>, {
            let (id, environment) = (EndpointId(clock::id()), ask.caller.environment());
            let new = self.endpoint_sealed(id, new.clone(), None)?;
            let mut endpoint = Endpoint::create(organization, id, new, environment, ask.now)?;
            let before = self.number_find(ask, &NumberRef::Id(number))?;
            let wiring = Wiring { endpoint: Some(&endpoint), ..Wiring::default() };
            let patch = NumberPatch { endpoint_id: Patch::Set(id), ..NumberPatch::default() };
            let landed = before.update(patch, wiring, trust, ask.now)?;
            let mut commit = self.endpoint_commit(ask, None, &mut endpoint, "endpoint.created")?;
            commit.changes.push(Change::Number(Box::new(landed)));
            commit.changes.push(ask.event(organization, "number.updated", number));
            self.commit(ask, commit, View::Endpoint(endpoint)).await
        })
    }

    pub(super) fn endpoint_list(&self, ask: Ask<'_>, page: &Page<EndpointId>) -> Result<View> {
        self.store.endpoint_list(ask.organization()?, page).map(View::Endpoints).map_err(of_read)
    }

    pub(super) fn endpoint_get(&self, ask: Ask<'_>, id: EndpointId) -> Result<Endpoint> {
        let found = self.store.endpoint_get(ask.organization()?, id).map_err(of_read)?;
        found.ok_or_else(|| Error::not_found(What::Endpoint))
    }

    /// How its targets are, as calls of this process know it.
    pub(super) fn endpoint_health(&self, ask: Ask<'_>, id: EndpointId) -> Result<View> {
        let endpoint = self.endpoint_get(ask, id)?;
        let reach = self.live.reach_of(Some(endpoint.organization_id));
        let health = self.live.health.of(&endpoint, &reach);
        Ok(View::EndpointHealth(endpoint, health))
    }

    pub(super) async fn endpoint_update(
        &self,
        ask: Ask<'_>,
        id: EndpointId,
        patch: EndpointPatch,
        expected: Expect,
    ) -> Result<View> {
        self.endpoint_change(ask, (id, None), patch, expected).await
    }

    /// The same; where an agent is named, another's endpoint is not found.
    pub(super) async fn endpoint_change(
        &self,
        ask: Ask<'_>,
        (id, agent): (EndpointId, Option<&AgentId>),
        patch: EndpointPatch,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.endpoint_of(ask, id, agent)?;
            expect(expected, before.version, What::Endpoint)?;
            let patch = self.endpoint_sealed(id, patch.clone(), Some(&before))?;
            let next = before.update(patch, ask.now)?;
            if next.version == before.version {
                return self.commit(ask, Commit::default(), View::Endpoint(next)).await;
            }
            self.endpoint_write(ask, Some(&before), next, "endpoint.updated").await
        })
    }

    /// The same patch with its password encrypted for this endpoint.
    fn endpoint_sealed(
        &self,
        id: EndpointId,
        mut patch: EndpointPatch,
        before: Option<&Endpoint>,
    ) -> Result<EndpointPatch> {
        let login = std::mem::take(&mut patch.manner.login);
        let old = before.and_then(|endpoint| endpoint.manner.credentials.as_ref());
        patch.manner.credentials = match login {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(CredentialsIn { username, password }) => {
                let password = match (password, old) {
                    (Some(password), _) => self.vault.seal(password.0.as_bytes(), id.0.as_bytes()),
                    (None, Some(old)) => old.password.clone(),
                    (None, None) => return Err(Error::missing(What::Endpoint, "credentials")),
                };
                Patch::Set(Credentials { username, password })
            }
        };
        Ok(patch)
    }

    /// Writes an endpoint with all that hangs on it in one commit: its agent must exist, its addresses may not be a
    /// trunk's, the agent's default is settled, its numbers follow.
    async fn endpoint_write(
        &self,
        ask: Ask<'_>,
        before: Option<&Endpoint>,
        mut next: Endpoint,
        name: &'static str,
    ) -> Result<View> {
        let commit = self.endpoint_commit(ask, before, &mut next, name)?;
        self.commit(ask, commit, View::Endpoint(next)).await
    }

    fn endpoint_commit(
        &self,
        ask: Ask<'_>,
        before: Option<&Endpoint>,
        next: &mut Endpoint,
        name: &'static str,
    ) -> Result<Commit> {
        let organization = next.organization_id;
        if let Some(agent) = &next.agent_id {
            let found = self.store.agent_get(organization, agent).map_err(of_read)?;
            found.ok_or_else(|| Error::not_found(What::Agent).at("agent_id"))?;
        }
        self.check_no_trunk(&next.source_addresses)?;
        self.check_targets(before, next)?;
        self.check_endpoint_rules(before.map(|before| &before.rules), next)?;
        let mut changes = Vec::new();
        if let Some(agent) = &next.agent_id {
            let current =
                self.store.endpoint_default(organization, agent, next.environment).map_err(of_read)?;
            // Written first: at no moment does the agent have two defaults.
            changes.extend(next.settle_default(current.as_ref(), ask.now).map(Change::Endpoint));
        }
        changes.push(Change::Endpoint(next.clone()));
        let moved = before.is_some_and(|b| b.agent_id != next.agent_id || b.environment != next.environment);
        if moved {
            changes.extend(self.numbers_follow(ask, (organization, next.id), Some(&*next))?);
        }
        changes.push(ask.event(organization, name, next.id));
        // A number that lands here between the reading above and the commit refuses it; the next turn takes it along.
        let guards = if moved { vec![Guard::EndpointFollowed(organization, next.id)] } else { Vec::new() };
        Ok(Commit { changes, guards, answer: None })
    }

    pub(super) async fn endpoint_delete(
        &self,
        ask: Ask<'_>,
        id: EndpointId,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.endpoint_get(ask, id)?;
            expect(expected, before.version, What::Endpoint)?;
            let organization = before.organization_id;
            self.check_unnamed(organization, id)?;
            let mut changes = self.numbers_follow(ask, (organization, id), None)?;
            changes.push(Change::EndpointDelete(organization, id, before.version));
            changes.push(ask.event(organization, "endpoint.deleted", id));
            // A number that arrives between the reading above and the commit refuses it, and the next turn takes it along.
            let guards = vec![Guard::EndpointUnused(organization, id)];
            self.commit(ask, Commit { changes, guards, answer: None }, View::Done).await
        })
    }

    /// Each held number of an endpoint as it is after the endpoint changed or (`None`) went away.
    fn numbers_follow(
        &self,
        ask: Ask<'_>,
        (organization, id): (OrganizationId, EndpointId),
        next: Option<&Endpoint>,
    ) -> Result<Vec<Change>> {
        let (mut changes, mut after) = (Vec::new(), None);
        let trust = self.import_trust(ask, &self.organization_get(ask, organization)?)?;
        loop {
            let numbers = self.store.numbers_on_endpoint(organization, id, after, BATCH).map_err(of_read)?;
            let Some(last) = numbers.last() else { return Ok(changes) };
            after = Some(last.id);
            for number in &numbers {
                let followed = number.follow(next, trust, ask.now)?;
                changes
                    .extend((followed.version != number.version).then(|| Change::Number(Box::new(followed))));
            }
        }
    }

    /// An address is a trunk's or an endpoint's, never both: a call from it must have one meaning.
    fn check_no_trunk(&self, addresses: &[AddressRule]) -> Result<()> {
        let clash = addresses.iter().find(|rule| self.live.is_trunk_address(rule));
        clash.map_or(Ok(()), |rule| {
            let words = format!("`source_addresses`: {rule} belongs to a trunk.");
            Err(Error::new(Kind::Conflict, What::Endpoint, words).at("source_addresses"))
        })
    }
}
