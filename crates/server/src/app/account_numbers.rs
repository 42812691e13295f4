//! Numbers in organizations' own accounts. That a number is in the account is the proof that it is the organization's: nobody
//! else has to agree.
//!
//! A number is brought in before the carrier is asked to send its calls here, and given its agent after: whatever dies or
//! refuses in between leaves a number without an agent, which a change of the number mends.

use carriers::account::Task;
use domain::carrier_account::AccountRef;
use domain::ids::{IntentId, OrganizationId, ProviderId};
use domain::intent::Progress;
use domain::number::{NumberPatch, NumberRef, NumberSetup, Status, Switch, Trust, Wiring};
use domain::op::{Expect, Import};
use domain::provider::ProviderKind;
use domain::{
    Change, Commit, E164, Error, Guard, Intent, Kind, Number, Organization, Patch, Provider, Result, View,
    What,
};

use super::failure::of_read;
use super::imports::TAKEN;
use super::stock::taken;
use super::{App, Ask, RACES_MAX, again, expect};
use crate::{carriage, clock};

impl App {
    pub(super) async fn number_import_in_account(
        &self,
        ask: Ask<'_>,
        account: AccountRef,
        import: Import,
    ) -> Result<View> {
        let provider = self.account_find(ask, &account)?;
        self.number_import(ask, provider, import).await
    }

    pub(super) async fn number_update_in_account(
        &self,
        ask: Ask<'_>,
        number: NumberRef,
        patch: NumberPatch,
        account: AccountRef,
    ) -> Result<View> {
        let provider_id = Some(self.account_find(ask, &account)?);
        self.number_update(ask, number, NumberPatch { provider_id, ..patch }, None).await
    }

    /// Brings a number in that is in an own account.
    pub(super) async fn number_import_owned(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        provider: &Provider,
        import: Import,
    ) -> Result<View> {
        // What an earlier process began for this same request and did not live to answer.
        if let Some(begun) = self.begun_before(ask)? {
            return self.number_owned(ask, begun, import.setup).await;
        }
        let Import { e164, setup } = import;
        let birth = self.birth(ask);
        // The whole request is looked at before the carrier is asked anything.
        let found = self.wiring_of_setup(ask, &setup, birth.environment)?;
        let whole = (setup.clone(), found.as_wiring());
        let whole = Number::import(organization.id, &e164, provider.id, whole, birth.clone())?;
        if self.store.number_holder(whole.e164).map_err(of_read)?.is_some() {
            return Err(Error::new(Kind::Exists, What::Number, TAKEN));
        }
        self.in_account(provider, Task::Find(whole.e164)).await?;
        let bare = NumberSetup { endpoint_id: None, agent_id: None, ..setup.clone() };
        let number = Number::import(organization.id, &e164, provider.id, (bare, Wiring::default()), birth)?;
        let intent = Intent::acquire(IntentId(clock::id()), &number, ask.slot, ask.now);
        let id = intent.id;
        let changes = vec![
            Change::Number(Box::new(number.clone())),
            Change::Intent(Box::new(intent)),
            ask.event(organization.id, "number.imported", number.id),
        ];
        let slots = organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max));
        let guards = slots.into_iter().chain(self.churn(ask, organization, 1)?).collect();
        self.commit_over(ask, number.e164, Commit { changes, guards, answer: None }).await?;
        self.number_owned(ask, id, setup).await
    }

    /// Commits work on a number, in place of work that is open: what was meant last is meant.
    async fn commit_over(&self, ask: Ask<'_>, e164: E164, commit: Commit) -> Result<()> {
        for _ in 0..RACES_MAX {
            // Whoever works on it has it first, so that the carrier is not told two things at once.
            self.carriage.settle_number(e164).await;
            let open = self.store.intent_open(e164).map_err(of_read)?;
            if open.as_ref().is_some_and(|open| !carriage::is_in_account(open)) {
                return Err(Error::new(Kind::Exists, What::Number, TAKEN));
            }
            let mut commit = commit.clone();
            commit.changes.splice(0..0, superseded(open, ask.now));
            match self.commit(Ask { keep: None, ..ask }, commit, View::Done).await {
                Err(error) if error.what == What::Intent => {}
                done => return done.map(drop).map_err(|error| taken(error, TAKEN)),
            }
        }
        Err(Error::new(Kind::Stale, What::Intent, "The number is being worked on; try again."))
    }

    /// A number whose carrier was asked, with its agent and endpoint once it is attached.
    async fn number_owned(&self, ask: Ask<'_>, id: IntentId, setup: NumberSetup) -> Result<View> {
        let intent = self.settled(id).await?;
        let number = intent.number_id.ok_or_else(|| Error::internal("an intent without a number"))?;
        let NumberSetup { endpoint_id, agent_id, label: _, environment } = setup;
        let patch = NumberPatch {
            environment: environment.filter(|_| endpoint_id.is_some() || agent_id.is_some()),
            endpoint_id: endpoint_id.map_or(Patch::Keep, Patch::Set),
            agent_id: agent_id.map_or(Patch::Keep, Patch::Set),
            ..NumberPatch::default()
        };
        self.number_put(ask, NumberRef::Id(number), patch, None).await
    }

    /// A piece of work that has ended well.
    async fn settled(&self, id: IntentId) -> Result<Intent> {
        self.carriage.settle(id).await;
        let intent = self.store.intent_get(id).map_err(of_read)?;
        let intent = intent.ok_or_else(|| Error::internal("an intent is not there"))?;
        if intent.progress == Progress::Done {
            return Ok(intent);
        }
        if let Some(number) = intent.number_id {
            // Given up meanwhile: there is nothing to try again.
            let found = self.store.number_get(intent.organization_id, number).map_err(of_read)?;
            found.filter(|number| number.status.is_held()).ok_or_else(|| Error::not_found(What::Number))?;
        }
        let told = intent.told.as_deref().unwrap_or("the carrier takes its time");
        let words = format!(
            "The number is here, but its carrier does not send its calls here yet: {told}. Set its agent or its provider \
             to have it tried again."
        );
        Err(Error::new(Kind::CarrierRefused, What::Number, words))
    }

    /// Has a way out made in a number's account, where a change of the number is to let it call out and there is none. A number
    /// that is not attached yet gets it with that.
    pub(super) async fn number_calls_out(
        &self,
        ask: Ask<'_>,
        number: &NumberRef,
        patch: &NumberPatch,
    ) -> Result<()> {
        if patch.allow_outbound != Some(true) {
            return Ok(());
        }
        let before = self.number_find(ask, number)?;
        let Some(provider) = self.provider_of(&before)?.filter(|_| before.stock_id.is_none()) else {
            return Ok(());
        };
        let attached = provider.account.as_ref().is_some_and(|account| account.attachment.is_some());
        if !attached || provider.outbound.is_some() {
            return Ok(());
        }
        let opened = self.carriage.open_out(provider.id).await;
        opened.map_err(|trouble| super::accounts::of_trouble(&trouble))
    }

    /// Has the carrier asked, where a change of a number needs that: the number moves to another account, or it is still to be
    /// attached. Gives what is left of the change, and the version that it is for.
    pub(super) async fn number_reaches(
        &self,
        ask: Ask<'_>,
        number: &NumberRef,
        patch: NumberPatch,
        expected: Expect,
    ) -> Result<(NumberPatch, Expect)> {
        let before = self.number_find(ask, number)?;
        let from = self.provider_of(&before)?;
        let to = match patch.provider_id.filter(|id| Some(*id) != before.provider_id) {
            Some(id) => Some(self.own_provider(before.organization_id, id)?),
            None => None,
        };
        let kind = |provider: &Provider| provider.kind;
        if let (Some(from), Some(to)) = (from.as_ref().map(kind), to.as_ref().map(kind))
            && (from.is_account() || to.is_account())
            && from != to
        {
            let words =
                "The type of a number's provider cannot change; delete the number and bring it in again.";
            return Err(Error::invalid(What::Number, "provider_id", words));
        }
        let moves = to.is_some();
        let account = to.or(from).filter(|provider| provider.kind.is_account() && before.stock_id.is_none());
        let waits = before.status == Status::Pending && is_wanted(&patch);
        let Some(account) = account.filter(|_| moves || waits) else { return Ok((patch, expected)) };
        expect(expected, before.version, What::Number)?;
        let left = NumberPatch { provider_id: None, ..patch };
        let organization = self.organization_get(ask, before.organization_id)?;
        let trust = self.number_trust(ask, &organization, &before)?;
        let found = self.wiring_of_patch(ask, &left, &before)?;
        // The rest of the change must be good before the carrier is asked.
        let rest = NumberPatch { status: None, ..left.clone() };
        before.update(rest, found.as_wiring(), trust, ask.now)?;
        self.in_account(&account, Task::Find(before.e164)).await?;
        let on_account = Number { provider_id: Some(account.id), ..before.clone() };
        let intent = Intent::acquire(IntentId(clock::id()), &on_account, None, ask.now);
        let (id, changes) = (intent.id, vec![Change::Intent(Box::new(intent))]);
        self.commit_over(ask, before.e164, Commit { changes, ..Commit::default() }).await?;
        self.settled(id).await?;
        if let Some(old) =
            self.provider_of(&before)?.filter(|old| old.kind.is_account() && old.id != account.id)
        {
            let carriage = std::sync::Arc::clone(&self.carriage);
            let e164 = before.e164;
            // Not waited for: nothing here depends on it.
            drop(tokio::spawn(async move { carriage.detach(&old, e164).await }));
        }
        let after = self.number_find(ask, &NumberRef::Id(before.id))?;
        // What was active before is as it was; what waited is active by now.
        let status = left.status.filter(|wanted| *wanted != Switch::Active || after.status != Status::Active);
        Ok((NumberPatch { status, ..left }, expected.map(|_| after.version)))
    }

    /// Removes a number for good that no agent has; one in an own account also if one has, since it stays there.
    pub(super) async fn number_unlink(&self, ask: Ask<'_>, number: NumberRef) -> Result<View> {
        again!(None::<u64>, {
            let before = self.number_find(ask, &number)?;
            if !self.is_owned(&before)? {
                before.check_unassigned()?;
            }
            self.number_delete(ask, number.clone(), Some(before.version)).await
        })
    }

    /// What is written when a number of an own account is given up: it stays in the account, and is no longer attached.
    pub(super) fn leaves_account(&self, ask: Ask<'_>, before: &Number, commit: &mut Commit) -> Result<()> {
        if before.status.is_held() && self.is_owned(before)? {
            let open = self.store.intent_open(before.e164).map_err(of_read)?;
            commit.changes.extend(superseded(open, ask.now));
            let intent = Intent::release(IntentId(clock::id()), before, ask.now);
            commit.changes.push(Change::Intent(Box::new(intent)));
        }
        Ok(())
    }

    /// The work that a number of an own account needs that is taken back, in place of what is open.
    pub(super) fn returns_to_account(&self, ask: Ask<'_>, next: &Number) -> Result<Vec<Change>> {
        let open = self.store.intent_open(next.e164).map_err(of_read)?;
        let intent = Intent::acquire(IntentId(clock::id()), next, None, ask.now);
        let acquire = Change::Intent(Box::new(intent));
        Ok(superseded(open, ask.now).into_iter().chain([acquire]).collect())
    }

    /// Whether it is in an own account.
    pub(super) fn is_owned(&self, number: &Number) -> Result<bool> {
        Ok(number.stock_id.is_none()
            && self.provider_of(number)?.is_some_and(|provider| provider.kind.is_account()))
    }

    /// The trust that a number's changes need: one in an own account has proved itself.
    pub(super) fn number_trust(
        &self,
        ask: Ask<'_>,
        organization: &Organization,
        number: &Number,
    ) -> Result<Trust> {
        match self.import_trust(ask, organization)? {
            Trust::Untrusted if self.is_owned(number)? => Ok(Trust::Trusted),
            trust => Ok(trust),
        }
    }

    fn provider_of(&self, number: &Number) -> Result<Option<Provider>> {
        number.provider_id.map_or(Ok(None), |id| self.store.provider_get(id).map_err(of_read))
    }

    /// A provider of the organization's own on which numbers can be brought in.
    pub(super) fn own_provider(&self, organization: OrganizationId, id: ProviderId) -> Result<Provider> {
        let found = self.store.provider_get(id).map_err(of_read)?;
        let own = found.filter(|p| p.organization_id == Some(organization));
        let own = own.ok_or_else(|| Error::not_found(What::Provider).at("provider_id"))?;
        match own.kind {
            ProviderKind::SipTrunk | ProviderKind::Twilio => Ok(own),
            ProviderKind::Managed => {
                let words = "Numbers of a managed provider are bought by `stock_id`, not imported.";
                Err(Error::invalid(What::Provider, "provider_id", words))
            }
        }
    }
}

/// Whether a change is one that somebody makes who wants calls to come.
fn is_wanted(patch: &NumberPatch) -> bool {
    patch.provider_id.is_some()
        || patch.agent_id.value().is_some()
        || patch.endpoint_id.value().is_some()
        || patch.status == Some(Switch::Active)
}

/// The end of open work in an account that something else takes the place of. Work of another kind on the number is let be: with
/// it the number is nobody's to bring in.
fn superseded(open: Option<Intent>, now: domain::Timestamp) -> Option<Change> {
    let open = open.filter(carriage::is_in_account)?;
    Some(Change::Intent(Box::new(open.ended(Progress::Failed, "something else was asked for", now))))
}
