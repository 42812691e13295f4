//! Agents with their numbers, and the removal of an agent that takes it from all it had.

use domain::agent::AgentPatch;
use domain::ids::{AgentId, NumberId};
use domain::number::{NumberPatch, NumberQuery, Trust, Wiring};
use domain::view::AgentProfile;
use domain::{Agent, Change, Commit, Number, Page, Paged, Patch, Result, Start, View};

use super::failure::of_read;
use super::{App, Ask, again, one};

/// How many numbers or endpoints are read at once.
const BATCH: u32 = 1_000;

impl App {
    pub(super) fn agent_profile_list(&self, ask: Ask<'_>, page: &Page<AgentId>) -> Result<View> {
        let found = self.store.agent_list(ask.organization()?, page).map_err(of_read)?;
        let mut items = Vec::with_capacity(found.items.len());
        for agent in found.items {
            items.push(self.agent_profile(agent)?);
        }
        Ok(View::AgentProfiles(Paged { items, more: found.more }))
    }

    pub(super) fn agent_profile_get(&self, ask: Ask<'_>, id: &AgentId) -> Result<View> {
        self.agent_profile(self.agent_get(ask, id)?).map(View::AgentProfile)
    }

    pub(super) async fn agent_profile_update(
        &self,
        ask: Ask<'_>,
        id: AgentId,
        patch: AgentPatch,
    ) -> Result<View> {
        again!(None::<u64>, {
            let before = self.agent_get(ask, &id)?;
            let next = before.update(patch.clone(), ask.now)?;
            let event = ask.event(before.organization_id, "agent.updated", &id);
            let commit = one(before.version, next.clone(), next.version, Change::Agent, event);
            let profile = self.agent_profile(next)?;
            self.commit(ask, commit, View::AgentProfile(profile)).await
        })
    }

    fn agent_profile(&self, agent: Agent) -> Result<AgentProfile> {
        let query = NumberQuery { agent_id: Some(agent.id.clone()), ..NumberQuery::default() };
        let page = Page::first(AgentProfile::NUMBERS_MAX);
        let numbers = self.store.number_list(agent.organization_id, &query, &page).map_err(of_read)?;
        let numbers = numbers.items.into_iter().map(|number| (number.id, number.e164)).collect();
        Ok(AgentProfile { agent, numbers })
    }

    /// One commit: the agent is gone, and nothing names it any more, or nothing has changed. What is given to the agent in this
    /// moment refuses the commit by the store's references, and the next turn takes it along.
    pub(super) async fn agent_dissolve(&self, ask: Ask<'_>, id: AgentId) -> Result<View> {
        again!(None::<u64>, {
            let before = self.agent_get(ask, &id)?;
            let organization = before.organization_id;
            let mut changes = Vec::new();
            let unassign = NumberPatch { agent_id: Patch::Clear, ..NumberPatch::default() };
            for number in self.numbers_of(&before)? {
                let next = number.update(unassign.clone(), Wiring::default(), Trust::Trusted, ask.now)?;
                changes.push(Change::Number(Box::new(next)));
            }
            for endpoint in self.store.agent_endpoints(organization, &id, u32::MAX).map_err(of_read)? {
                let patch = domain::endpoint::EndpointPatch { agent_id: Patch::Clear, ..Default::default() };
                let next = self.endpoint_get(ask, endpoint)?.update(patch, ask.now)?;
                changes.push(Change::Endpoint(next));
            }
            changes.push(Change::AgentDelete(organization, id.clone(), before.version));
            changes.push(ask.event(organization, "agent.deleted", &id));
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }

    fn numbers_of(&self, agent: &Agent) -> Result<Vec<Number>> {
        let query = NumberQuery { agent_id: Some(agent.id.clone()), ..NumberQuery::default() };
        let (mut all, mut start) = (Vec::new(), Start::First);
        loop {
            let page = Page { limit: BATCH, start };
            let found = self.store.number_list(agent.organization_id, &query, &page).map_err(of_read)?;
            let last: Option<NumberId> = found.items.last().map(|number| number.id);
            all.extend(found.items);
            match last.filter(|_| found.more) {
                Some(id) => start = Start::After(id),
                None => return Ok(all),
            }
        }
    }
}
