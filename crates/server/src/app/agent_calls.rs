//! Calls as an agent's: who had the number when the call came, and records without their private part.

use domain::call::AgentCallQuery;
use domain::ids::CallId;
use domain::provider::ProviderKind;
use domain::view::AgentCall;
use domain::{Change, Commit, Error, Kind, Page, Result, View, What};
use store::AgentCallRow;

use super::failure::of_read;
use super::{App, Ask};

impl App {
    pub(super) fn agent_call_list(
        &self,
        ask: Ask<'_>,
        query: &AgentCallQuery,
        page: &Page<CallId>,
    ) -> Result<View> {
        let agent = self.agent_get(ask, &query.agent_id)?;
        let query = AgentCallQuery { mode: Some(ask.caller.mode), ..query.clone() };
        let found = self.store.agent_call_list(agent.organization_id, &query, page).map_err(of_read)?;
        let mut items = Vec::with_capacity(found.items.len());
        for row in found.items {
            items.push(self.agent_call(ask, row, Some(agent.name.clone()))?);
        }
        Ok(View::AgentCalls(domain::Paged { items, more: found.more }))
    }

    pub(super) fn agent_call_get(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let row = self.agent_call_row(ask, id)?;
        self.agent_call_named(ask, row).map(|call| View::AgentCall(Box::new(call)))
    }

    /// What is private goes, for good; a repeat changes nothing and is answered alike.
    pub(super) async fn agent_call_redact(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let before = self.agent_call_row(ask, id)?;
        if !before.call.status.is_final() {
            let words = "The call has not ended yet; its record can be deleted once it has.";
            return Err(Error::new(Kind::Conflict, What::Call, words).at("status"));
        }
        if before.redacted_at.is_none() {
            let organization = before.call.organization_id;
            let changes = vec![
                Change::CallRedact(organization, id, ask.now),
                ask.event(organization, "call.redacted", id),
            ];
            let commit = Commit { changes, ..Commit::default() };
            self.live.traces.forget(id);
            self.store.commit(commit).await.map_err(super::failure::of_commit)?;
        }
        self.agent_call_get(ask, id)
    }

    /// Ends a call of an agent.
    pub(super) async fn agent_call_hangup(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        self.agent_call_row(ask, id)?;
        self.call_hangup(ask, id).await
    }

    fn agent_call_row(&self, ask: Ask<'_>, id: CallId) -> Result<AgentCallRow> {
        let found = self.store.agent_call_get(ask.organization()?, id).map_err(of_read)?;
        let row = found.ok_or_else(|| Error::not_found(What::Call))?;
        self.call_seen(ask, &row.call)?;
        Ok(row)
    }

    fn agent_call_named(&self, ask: Ask<'_>, row: AgentCallRow) -> Result<AgentCall> {
        let agent = self.store.agent_get(ask.organization()?, &row.agent_id).map_err(of_read)?;
        self.agent_call(ask, row, agent.map(|agent| agent.name))
    }

    fn agent_call(&self, ask: Ask<'_>, row: AgentCallRow, agent_name: Option<String>) -> Result<AgentCall> {
        let AgentCallRow { call, agent_id, redacted_at } = row;
        let number = match call.number_id {
            Some(id) => self.store.number_get(ask.organization()?, id).map_err(of_read)?,
            None => None,
        };
        let provider = match number {
            Some(number) if number.stock_id.is_some() => Some(ProviderKind::Managed),
            Some(number) if self.is_owned(&number)? => Some(ProviderKind::Twilio),
            Some(_) => Some(ProviderKind::SipTrunk),
            None => None,
        };
        Ok(AgentCall { call, agent_id, agent_name, provider, redacted_at })
    }
}
