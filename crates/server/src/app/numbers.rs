//! Numbers: import, list, change, release, restore.

use domain::endpoint::Endpoint;
use domain::ids::{AgentId, EndpointId, IntentId, NumberId, OrganizationId, ProviderId};
use domain::number::{Environment, NumberPatch, NumberQuery, NumberRef, NumberSetup, Status, Trust, Wiring};
use domain::op::{Expect, Import};
use domain::organization::{Imports, Settings};
use domain::provider::ProviderKind;
use domain::{
    Change, Commit, Error, Guard, Intent, Kind, Number, Organization, Page, Patch, Result, View, What,
};
use store::NumberShown;

use super::failure::of_read;
use super::stock::{Bulk, taken};
use super::{App, Ask, again, expect, one};
use crate::clock;

/// Why a number cannot be brought in.
pub(super) const TAKEN: &str = "The number is held already, or is in the operator's stock.";

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
    pub(super) async fn number_import(
        &self,
        ask: Ask<'_>,
        provider: ProviderId,
        import: Import,
    ) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        let own = self.own_provider(organization.id, provider)?;
        if own.kind.is_account() {
            return self.number_import_owned(ask, &organization, &own, import).await;
        }
        let trust = self.import_trust(ask, &organization)?;
        let (number, _) = self.imported(ask, (&organization, trust), provider, &import)?;
        self.number_arrives(ask, &organization, number).await
    }

    /// Brings one in that another carrier still has: it waits for the operator, whoever asks and wherever it is used.
    pub(super) async fn number_port_in(
        &self,
        ask: Ask<'_>,
        provider: ProviderId,
        import: Import,
    ) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        self.check_trunk(organization.id, provider)?;
        let birth = self.birth(ask);
        let found = self.wiring_of_setup(ask, &import.setup, birth.environment)?;
        let setup = (import.setup, found.as_wiring());
        let number = Number::import(organization.id, &import.e164, provider, setup, birth)?.port_in()?;
        self.number_arrives(ask, &organization, number).await
    }

    /// Writes a number that is brought in.
    async fn number_arrives(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        number: Number,
    ) -> Result<View> {
        let event = ask.event(organization.id, "number.imported", number.id);
        let changes = vec![Change::Number(Box::new(number.clone())), event];
        let slots = organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max));
        let guards = slots.into_iter().chain(self.churn(ask, organization, 1)?).collect();
        let commit = Commit { changes, guards, answer: None };
        let view = self.number_view(ask, number)?;
        let done = self.commit(ask, commit, View::Number(Box::new(view))).await;
        done.map_err(|error| taken(self.churn_told(ask, organization, error), TAKEN))
    }

    pub(super) async fn number_import_many(
        &self,
        ask: Ask<'_>,
        provider: ProviderId,
        rows: Vec<Result<Import>>,
    ) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        self.check_trunk(organization.id, provider)?;
        let trust = self.import_trust(ask, &organization)?;
        let make = |row: Result<Import>| {
            let e164 = row.as_ref().map(|import| import.e164.clone()).unwrap_or_default();
            (
                e164,
                row.and_then(|import| {
                    self.imported(ask, (&organization, trust), provider, &import).map(|(number, _)| number)
                }),
            )
        };
        // As in `stock_add`: other tasks of this thread go on elsewhere meanwhile.
        let rows: Vec<_> = tokio::task::block_in_place(|| rows.into_iter().map(make).collect());
        let good = rows.iter().filter(|(_, row)| row.is_ok()).count();
        if let Some(max) = organization.number_slots {
            let held = self.store.number_held_count(organization.id).map_err(of_read)?;
            if held + good as u64 > u64::from(max) {
                return Err(super::failure::of_commit(store::CommitError::Guard(Guard::SlotsWithin(
                    organization.id,
                    max,
                ))));
            }
        }
        let churn = self.churn(ask, &organization, good as u64)?;
        let slots = organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max));
        let bulk = Bulk {
            put: |number: &Number| Change::Number(Box::new(number.clone())),
            event: |_: &Number, count| {
                ask.event_of_many(organization.id, "number.imported_many", provider, count)
            },
            guards: slots.into_iter().chain(churn).collect(),
            taken: TAKEN,
        };
        self.write_rows(rows, bulk, |number| number.id).await.map(View::Imported)
    }

    /// A number as it would be imported, and what must hold of where it lands.
    pub(super) fn imported(
        &self,
        ask: Ask<'_>,
        (organization, trust): (&Organization, Trust),
        provider: ProviderId,
        import: &Import,
    ) -> Result<(Number, Option<Guard>)> {
        let birth = self.birth(ask);
        let found = self.wiring_of_setup(ask, &import.setup, birth.environment)?;
        let setup = (import.setup.clone(), found.as_wiring());
        let number = Number::import(organization.id, &import.e164, provider, setup, birth)?;
        // An own trunk's carrier is asked nothing.
        let number = if number.is_trusted(trust) { number.activate()? } else { number };
        let landing = found.landing(&number);
        Ok((number, landing))
    }

    /// Importing asks for trust: the operator has it; others by setting, which is open while there is one organization.
    pub(super) fn import_trust(&self, ask: Ask<'_>, organization: &Organization) -> Result<Trust> {
        if ask.caller.is_operator() {
            return Ok(Trust::Operator);
        }
        let open = match Settings::read(&organization.settings)?.imports {
            Some(Imports::Open) => true,
            Some(Imports::Operator) => false,
            None => self.store.organization_count().map_err(of_read)? <= 1,
        };
        Ok(if open { Trust::Trusted } else { Trust::Untrusted })
    }

    /// Imports go on a trunk of the organization's own.
    fn check_trunk(&self, organization: OrganizationId, provider: ProviderId) -> Result<()> {
        let found = self.store.provider_get(provider).map_err(of_read)?;
        let own = found.filter(|p| p.organization_id == Some(organization));
        let own = own.ok_or_else(|| Error::not_found(What::Provider).at("provider_id"))?;
        match own.kind {
            ProviderKind::SipTrunk => Ok(()),
            ProviderKind::Twilio => {
                let words = "Numbers of an account at a carrier are brought in one at a time, and only those that are there.";
                Err(Error::invalid(What::Provider, "provider_id", words))
            }
            ProviderKind::Managed => {
                let words = "Numbers of a managed provider are bought by `stock_id`, not imported.";
                Err(Error::invalid(What::Provider, "provider_id", words))
            }
        }
    }

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
            let event = ask.event(next.organization_id, "number.updated", next.id);
            let put = |n: Number| Change::Number(Box::new(n));
            let mut commit = one(before.version, next.clone(), next.version, put, event);
            commit.guards.extend(found.landing(&next).filter(|_| next.endpoint_id != before.endpoint_id));
            let view = self.number_view(ask, next)?;
            self.commit(ask, commit, View::Number(Box::new(view))).await
        })
    }

    pub(super) async fn number_release(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.number_find(ask, &number)?;
            expect(expected, before.version, What::Number)?;
            let settings = self.settings(ask, &before)?;
            let next = before.release(&settings, ask.now)?;
            let (next, commit) = self.number_leaving(ask, (&before, next), &settings, "number.released")?;
            let view = self.number_view(ask, next)?;
            self.commit(ask, commit, View::Number(Box::new(view))).await
        })
    }

    pub(super) async fn number_delete(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.number_find(ask, &number)?;
            expect(expected, before.version, What::Number)?;
            let settings = self.settings(ask, &before)?;
            let next = before.delete(&settings, ask.now)?;
            let (_, commit) = self.number_leaving(ask, (&before, next), &settings, "number.deleted")?;
            self.commit(ask, commit, View::Done).await
        })
    }

    pub(super) async fn number_delete_unassigned(&self, ask: Ask<'_>, number: NumberRef) -> Result<View> {
        again!(None::<u64>, {
            let before = self.number_find(ask, &number)?;
            before.check_unassigned()?;
            // Under the version that was looked at: an agent that comes in this moment is seen by the next turn.
            self.number_delete(ask, number.clone(), Some(before.version)).await
        })
    }

    /// Says that a number is on its way to another carrier. It takes calls until it is deleted.
    pub(super) async fn number_port_out(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.number_find(ask, &number)?;
            expect(expected, before.version, What::Number)?;
            let next = before.port_out(ask.now)?;
            let changes = vec![
                Change::Number(Box::new(next.clone())),
                ask.event(next.organization_id, "number.porting_out", next.id),
            ];
            let view = self.number_view(ask, next)?;
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Number(Box::new(view))).await
        })
    }

    /// A number that rests stays at its carrier, so that it can be restored; one that does not is given back, which is written
    /// down with the rest. One that its carrier is yet to deliver cannot be given up: nobody knows yet what there is to give.
    fn leaves_carrier(
        &self,
        ask: Ask<'_>,
        before: &Number,
        next: &Number,
        commit: &mut Commit,
    ) -> Result<()> {
        // One that went to another carrier is no longer at ours.
        let elsewhere = next.stock_id.is_none() || before.is_ported_away(next);
        if elsewhere || !carriers::is_asked(next.network, ProviderKind::Managed) {
            return Ok(());
        }
        if before.status == Status::Pending {
            let words = "The number waits for its carrier; give it up when it is active.";
            return Err(Error::new(Kind::Conflict, What::Number, words).at("status"));
        }
        let rests = next.quarantined_until.is_some_and(|until| until > ask.now);
        if before.status.is_held() && !rests {
            let intent = Intent::release(IntentId(clock::id()), next, ask.now);
            commit.changes.push(Change::Intent(Box::new(intent)));
        }
        Ok(())
    }

    /// What is written when a number is given up: the number, its stock (all or nothing, so that nothing is sold twice or
    /// lost), the rent that is due, and what is given back by rule.
    pub(super) fn number_leaving(
        &self,
        ask: Ask<'_>,
        (before, next): (&Number, Number),
        settings: &Settings,
        name: &'static str,
    ) -> Result<(Number, Commit)> {
        let mut commit = Commit::default();
        if let Some(stock) = self.stock_of(&next)? {
            if before.is_ported_away(&next) {
                // It is another carrier's from here on: nobody can buy it here again.
                commit.changes.push(Change::StockDelete(stock.id, stock.version));
            } else {
                let after = next.stock_after(&stock, ask.now);
                commit.changes.extend((after.version != stock.version).then_some(Change::Stock(after)));
            }
        }
        self.leaves_carrier(ask, before, &next, &mut commit)?;
        self.leaves_account(ask, before, &mut commit)?;
        let (mut next, mut postings) = next.rent_at_end(before, ask.now);
        if let Some((refunded, refund)) = next.refund(before, settings, ask.now)
            && !self.store.number_was_called(next.organization_id, next.id).map_err(of_read)?
            && self.store.wallet_entry(next.organization_id, refund.id).map_err(of_read)?.is_none()
        {
            // A call that is answered in this moment is in the journal, and in the store some milliseconds later.
            commit.guards.push(Guard::NumberUncalled(next.organization_id, next.id));
            postings.push(refund);
            next = refunded;
        }
        commit.changes.push(ask.event(next.organization_id, name, next.id));
        // Before the postings: a row that has changed since it was read is told as that, and decided again.
        commit.changes.push(Change::Number(Box::new(next.clone())));
        commit.changes.extend(postings.into_iter().map(Change::Posting));
        Ok((next, commit))
    }

    pub(super) async fn number_restore(&self, ask: Ask<'_>, number: NumberRef) -> Result<View> {
        let outcome = again!(None::<u64>, {
            let before = self.on_provider(self.number_find(ask, &number)?)?;
            let organization = self.organization_get(ask, before.organization_id)?;
            let found = self.wiring(ask, before.endpoint_id, None, before.environment)?;
            let owned = self.is_owned(&before)?;
            // One of an own account waits until its carrier sends its calls here again.
            let trust = if owned { Trust::Untrusted } else { self.import_trust(ask, &organization)? };
            let (next, rent) = before.restore(found.as_wiring().endpoint, trust, ask.now)?;
            let mut commit = Commit::default();
            if owned {
                commit.changes.extend(self.returns_to_account(ask, &next)?);
            }
            match self.stock_of(&next)? {
                Some(stock) => commit
                    .changes
                    .push(Change::Stock(stock.moved(domain::stock::StockState::Sold(next.id), ask.now))),
                None if next.stock_id.is_some() => {
                    let words = "The number has left the stock; it cannot be restored.";
                    return Err(Error::new(Kind::Conflict, What::Number, words));
                }
                None => {}
            }
            commit.changes.push(Change::Number(Box::new(next.clone())));
            commit.changes.push(ask.event(next.organization_id, "number.restored", next.id));
            if rent.is_some() || before.unpaid {
                commit.guards.push(Guard::WalletCovers(organization.id));
            }
            commit.changes.extend(rent.map(Change::Posting));
            commit.guards.extend(found.landing(&next));
            commit
                .guards
                .extend(organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max)));
            let view = self.number_view(ask, next)?;
            self.commit(ask, commit, View::Number(Box::new(view))).await
        });
        outcome.map_err(|error| {
            taken(error, "The number is somebody else's by now, or in the operator's stock.")
        })
    }

    /// The number on a provider that is there: the one it was released from may have gone since.
    fn on_provider(&self, number: Number) -> Result<Number> {
        let Some(id) = number.provider_id else { return Ok(number) };
        if self.store.provider_get(id).map_err(of_read)?.is_some() {
            return Ok(number);
        }
        if number.stock_id.is_none() {
            let words = "The number's trunk is gone; import the number on another.";
            return Err(Error::new(Kind::Conflict, What::Provider, words).at("provider_id"));
        }
        let managed = self.store.provider_managed_first(number.organization_id).map_err(of_read)?;
        Ok(Number { provider_id: managed.map(|p| p.id), ..number })
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
            let view = self.number_view(ask, next)?;
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Number(Box::new(view))).await
        })
    }

    /// The stock behind a number, if it is still this number's: one sold on since is none of its business.
    fn stock_of(&self, number: &Number) -> Result<Option<domain::Stock>> {
        let Some(id) = number.stock_id else { return Ok(None) };
        let stock = self.store.stock_get(id).map_err(of_read)?;
        Ok(stock.filter(|s| match s.state {
            domain::stock::StockState::Sold(holder)
            | domain::stock::StockState::Quarantined { number: holder, .. } => holder == number.id,
            domain::stock::StockState::Available => false,
        }))
    }

    fn settings(&self, ask: Ask<'_>, number: &Number) -> Result<Settings> {
        Settings::read(&self.organization_get(ask, number.organization_id)?.settings)
    }

    /// The tenant, which must exist: the operator may have named one that does not.
    pub(super) fn tenant(&self, ask: Ask<'_>) -> Result<OrganizationId> {
        self.organization_get(ask, ask.organization()?).map(|organization| organization.id)
    }

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

    fn wiring(
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
