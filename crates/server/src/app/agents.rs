//! Agents.

use domain::agent::AgentPatch;
use domain::ids::AgentId;
use domain::number::NumberQuery;
use domain::op::Expect;
use domain::{Agent, Change, Commit, Error, Kind, Page, Result, View, What};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::clock;

impl App {
    pub(super) async fn agent_create(
        &self,
        ask: Ask<'_>,
        id: Option<AgentId>,
        new: AgentPatch,
    ) -> Result<View> {
        let organization = self.tenant(ask)?;
        let id = id.unwrap_or_else(|| AgentId::from_uuid(clock::id()));
        let agent = Agent::create(organization, id, new, ask.now)?;
        let changes = vec![Change::Agent(agent.clone()), ask.event(organization, "agent.created", &agent.id)];
        self.commit(ask, Commit { changes, ..Commit::default() }, View::Agent(agent)).await
    }

    pub(super) fn agent_list(&self, ask: Ask<'_>, page: &Page<AgentId>) -> Result<View> {
        self.store.agent_list(ask.organization()?, page).map(View::Agents).map_err(of_read)
    }

    pub(super) fn agent_get(&self, ask: Ask<'_>, id: &AgentId) -> Result<Agent> {
        let found = self.store.agent_get(ask.organization()?, id).map_err(of_read)?;
        found.ok_or_else(|| Error::not_found(What::Agent))
    }

    pub(super) async fn agent_update(
        &self,
        ask: Ask<'_>,
        id: AgentId,
        patch: AgentPatch,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.agent_get(ask, &id)?;
            expect(expected, before.version, What::Agent)?;
            let next = before.update(patch.clone(), ask.now)?;
            let event = ask.event(before.organization_id, "agent.updated", &id);
            let commit = one(before.version, next.clone(), next.version, Change::Agent, event);
            self.commit(ask, commit, View::Agent(next)).await
        })
    }

    pub(super) async fn agent_delete(&self, ask: Ask<'_>, id: AgentId, expected: Expect) -> Result<View> {
        again!(expected, {
            let before = self.agent_get(ask, &id)?;
            expect(expected, before.version, What::Agent)?;
            let organization = before.organization_id;
            let query = NumberQuery { agent_id: Some(id.clone()), ..NumberQuery::default() };
            let numbers = self.store.number_list(organization, &query, &Page::first(1)).map_err(of_read)?;
            let endpoints = self.store.agent_has_endpoints(organization, &id).map_err(of_read)?;
            if endpoints || !numbers.items.is_empty() {
                let words = "The agent still has endpoints or numbers; move or remove them first.";
                return Err(Error::new(Kind::Conflict, What::Agent, words));
            }
            // Should one arrive in this moment, the store's references refuse the delete.
            let event = ask.event(organization, "agent.deleted", &id);
            let changes = vec![Change::AgentDelete(organization, id.clone(), before.version), event];
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }
}
