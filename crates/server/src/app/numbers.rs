//! Numbers held: listed, read, changed.

use domain::ids::{AgentId, NumberId, OrganizationId};
use domain::number::{NumberPatch, NumberQuery, NumberRef, Status};
use domain::op::Expect;
use domain::organization::Settings;
use domain::{Change, Commit, Error, Guard, Number, Page, Result, View, What};
use store::NumberShown;

use super::failure::of_read;
use super::{App, Ask, again, expect, one};

impl App {
    pub(super) fn number_list(
        &self,
        ask: Ask<'_>,
        query: &NumberQuery,
        page: &Page<NumberId>,
    ) -> Result<View> {
        let organization = ask.organization()?;
        let query = &NumberQuery { mode: Some(ask.caller.mode), ..query.clone() };
        let numbers = self.store.number_list(organization, query, page).map_err(of_read)?;
        self.number_views(ask, organization, numbers, query.with_minutes).map(View::Numbers)
    }

    pub(super) fn number_list_of_agent(
        &self,
        ask: Ask<'_>,
        agent: &AgentId,
        page: &Page<NumberId>,
    ) -> Result<View> {
        let agent = self.agent_get(ask, agent)?;
        let query = NumberQuery { agent_id: Some(agent.id), ..NumberQuery::default() };
        self.number_list(ask, &query, page)
    }

    pub(super) fn number_get(&self, ask: Ask<'_>, number: &NumberRef) -> Result<View> {
        let NumberRef::Id(id) = number else {
            let view = self.number_view(ask, self.number_find(ask, number)?)?;
            return Ok(View::Number(Box::new(view)));
        };
        let found = self.store.number_shown(ask.organization()?, *id).map_err(of_read)?;
        let seen = |number: &Number| number.status != Status::Deleted && number.is_for(ask.caller.mode);
        let found = found.filter(|shown| seen(&shown.number));
        let NumberShown { number, agent, provider } = found.ok_or_else(|| Error::not_found(What::Number))?;
        Ok(View::Number(Box::new(self.number_view_of(ask, number, agent, provider))))
    }

    /// A number of the tenant's; a deleted one is nobody's.
    pub(super) fn number_find(&self, ask: Ask<'_>, number: &NumberRef) -> Result<Number> {
        let organization = ask.organization()?;
        let found = match number {
            NumberRef::Id(id) | NumberRef::Held(id) => self.store.number_get(organization, *id),
            NumberRef::E164(e164) | NumberRef::OfAgent(_, e164) => {
                self.store.number_find(organization, *e164)
            }
        };
        let visible = |n: &Number| match number {
            NumberRef::Id(_) | NumberRef::E164(_) => n.status != Status::Deleted,
            NumberRef::Held(_) => n.status.is_held(),
            NumberRef::OfAgent(agent, _) => n.status.is_held() && n.agent_id.as_ref() == Some(agent),
        };
        let found =
            found.map_err(of_read)?.filter(|number| visible(number) && number.is_for(ask.caller.mode));
        found.ok_or_else(|| Error::not_found(What::Number))
    }

    pub(super) async fn number_update(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        patch: NumberPatch,
        expected: Expect,
    ) -> Result<View> {
        let (patch, expected) = self.number_reaches(ask, &number, patch, expected).await?;
        self.number_calls_out(ask, &number, &patch).await?;
        self.number_put(ask, number, patch, expected).await
    }

    /// Changes a number whose carrier need not be asked, or was.
    pub(super) async fn number_put(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        patch: NumberPatch,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.number_find(ask, &number)?;
            expect(expected, before.version, What::Number)?;
            if let Some(provider) = patch.provider_id {
                self.own_provider(before.organization_id, provider)?;
            }
            let found = self.wiring_of_patch(ask, &patch, &before)?;
            let organization = self.organization_get(ask, before.organization_id)?;
            let trust = self.number_trust(ask, &organization, &before)?;
            let next = before.update(patch.clone(), found.as_wiring(), trust, ask.now)?;
            self.check_number_rules(&before.rules, &next)?;
            let event = ask.event(next.organization_id, "number.updated", next.id);
            let put = |n: Number| Change::Number(Box::new(n));
            let mut commit = one(before.version, next.clone(), next.version, put, event);
            commit.guards.extend(found.landing(&next).filter(|_| next.endpoint_id != before.endpoint_id));
            if matches!(before.status, Status::Pending | Status::PortIn) && next.status == Status::Active {
                // It can be used from here on, which is more than a change.
                commit.changes.push(ask.event(next.organization_id, "number.activated", next.id));
            }
            if next.must_be_covered(&before, &Settings::read(&organization.settings)?) {
                commit.guards.push(Guard::WalletCovers(organization.id));
            }
            let view = self.number_view(ask, next)?;
            self.commit(ask, commit, View::Number(Box::new(view))).await
        })
    }

    pub(super) async fn number_credentials(&self, ask: Ask<'_>, number: NumberRef) -> Result<View> {
        again!(None::<u64>, {
            let before = self.number_find(ask, &number)?;
            let credentials = self.vault.sip_credentials(before.id.0.as_bytes());
            let next = before.replace_credentials(credentials, ask.now)?;
            let changes = vec![
                Change::Number(Box::new(next.clone())),
                ask.event(next.organization_id, "number.credentials_replaced", next.id),
            ];
            let (id, view) = (next.id, self.number_view(ask, next)?);
            let done =
                self.commit(ask, Commit { changes, ..Commit::default() }, View::Number(Box::new(view))).await;
            if done.is_ok() {
                // Who registered with the former password is no agent of the number any more.
                self.live.registrations.clear(id);
            }
            done
        })
    }

    /// The tenant, which must exist: the operator may have named one that does not.
    pub(super) fn tenant(&self, ask: Ask<'_>) -> Result<OrganizationId> {
        self.organization_get(ask, ask.organization()?).map(|organization| organization.id)
    }
}
