//! Numbers brought in: on a trunk, in an account, one or many; from a carrier that still has them.

use domain::ids::{OrganizationId, ProviderId};
use domain::key::Mode;
use domain::number::Trust;
use domain::op::Import;
use domain::organization::{Imports, Settings};
use domain::provider::ProviderKind;
use domain::{Change, Commit, Error, Guard, Number, Organization, Result, View, What};

use super::failure::of_read;
use super::stock::{Bulk, taken};
use super::{App, Ask};

/// Why a number cannot be brought in.
pub(super) const TAKEN: &str = "The number is held already, or is in the operator's stock.";

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
                    let (number, _) = self.imported(ask, (&organization, trust), provider, &import)?;
                    if ask.caller.mode == Mode::Test {
                        self.number_tried(&number)?;
                    }
                    Ok(number)
                }),
            )
        };
        // As in `stock_add`: other tasks of this thread go on elsewhere meanwhile.
        let rows: Vec<_> = tokio::task::block_in_place(|| rows.into_iter().map(make).collect());
        let good = rows.iter().filter(|(_, row)| row.is_ok()).count();
        if let Some(max) = organization.number_slots {
            let held = self.store.number_slots_used(organization.id).map_err(of_read)?;
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
}
