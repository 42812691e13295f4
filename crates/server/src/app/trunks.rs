//! What an organization brings of its own: SIP trunks and accounts at carriers, for front doors that show nothing else. And how a
//! trunk is.

use domain::error::Kind;
use domain::ids::ProviderId;
use domain::op::{ProviderIn, TrunkQuery};
use domain::provider::ProviderKind;
use domain::trunk_status::TrunkStatus;
use domain::{Error, Page, Provider, Result, View, What};

use super::failure::of_read;
use super::{App, Ask};

impl App {
    pub(super) fn provider_status(&self, ask: Ask<'_>, id: ProviderId) -> Result<View> {
        let provider = self.provider_get(ask, id)?;
        Ok(View::TrunkStatus(Box::new(self.trunk_status(provider.id))))
    }

    /// How a trunk is at the moment.
    pub(super) fn trunk_status(&self, id: ProviderId) -> TrunkStatus {
        TrunkStatus { registration: self.control.registration(id), hosts: self.live.hosts_of(id) }
    }

    pub(super) fn trunk_list(
        &self,
        ask: Ask<'_>,
        query: &TrunkQuery,
        page: &Page<ProviderId>,
    ) -> Result<View> {
        self.store.provider_own(ask.caller.organization_id, query, page).map(View::Providers).map_err(of_read)
    }

    pub(super) fn trunk_get(&self, ask: Ask<'_>, id: ProviderId) -> Result<Provider> {
        let found = self.provider_get(ask, id)?;
        // A provider never changes its kind, so what was looked at once stays so.
        match found.kind {
            ProviderKind::SipTrunk | ProviderKind::Twilio => Ok(found),
            ProviderKind::Managed => Err(Error::not_found(What::Provider)),
        }
    }

    pub(super) async fn trunk_update(
        &self,
        ask: Ask<'_>,
        id: ProviderId,
        kind: ProviderKind,
        patch: ProviderIn,
    ) -> Result<View> {
        if self.trunk_get(ask, id)?.kind != kind {
            let words = "A provider's type cannot change; make another provider.";
            return Err(Error::new(Kind::Invalid, What::Provider, words).at("kind"));
        }
        self.provider_update(ask, id, patch, None).await
    }

    pub(super) async fn trunk_delete(&self, ask: Ask<'_>, id: ProviderId) -> Result<View> {
        self.trunk_get(ask, id)?;
        self.provider_delete(ask, id, None).await
    }
}
