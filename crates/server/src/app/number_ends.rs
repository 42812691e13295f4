//! Numbers given up and taken back: release, removal, restore, ports to other carriers; what that does to stock, rent and carrier.

use domain::ids::IntentId;
use domain::number::{NumberRef, Status, Trust};
use domain::op::Expect;
use domain::organization::Settings;
use domain::provider::ProviderKind;
use domain::{Change, Commit, Error, Guard, Intent, Kind, Number, Result, View, What};

use super::failure::of_read;
use super::stock::taken;
use super::{App, Ask, again, expect};
use crate::clock;

impl App {
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
            let next = before.delete(&settings, ask.caller.is_operator(), ask.now)?;
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
        let elsewhere = next.stock_id.is_none() || before.is_ported_away(ask.caller.is_operator());
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
            commit.changes.push(Change::Intent(Box::new(self.carriage.in_hands(intent))));
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
            if next.status == Status::Deleted && before.is_ported_away(ask.caller.is_operator()) {
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
            let next = self.with_rules_that_stand(next)?;
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
            let settings = Settings::read(&organization.settings)?;
            if rent.is_some() || next.must_be_covered(&before, &settings) {
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
}
