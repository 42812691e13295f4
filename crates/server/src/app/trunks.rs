//! SIP trunks, for front doors that know no other kind of own provider.

use domain::ids::ProviderId;
use domain::op::ProviderIn;
use domain::provider::ProviderKind;
use domain::{Error, Page, Provider, Result, View, What};

use super::{App, Ask};

impl App {
    pub(super) fn trunk_list(&self, ask: Ask<'_>, page: &Page<ProviderId>) -> Result<View> {
        let found =
            self.store.provider_list(ask.caller.organization_id, page).map_err(super::failure::of_read)?;
        let more = found.more;
        let items =
            found.items.into_iter().filter(|provider| provider.kind == ProviderKind::SipTrunk).collect();
        Ok(View::Providers(domain::Paged { items, more }))
    }

    pub(super) fn trunk_get(&self, ask: Ask<'_>, id: ProviderId) -> Result<Provider> {
        let found = self.provider_get(ask, id)?;
        // A provider never changes its kind, so what was looked at once stays so.
        if found.kind == ProviderKind::SipTrunk { Ok(found) } else { Err(Error::not_found(What::Provider)) }
    }

    pub(super) async fn trunk_update(&self, ask: Ask<'_>, id: ProviderId, patch: ProviderIn) -> Result<View> {
        self.trunk_get(ask, id)?;
        self.provider_update(ask, id, patch, None).await
    }

    pub(super) async fn trunk_delete(&self, ask: Ask<'_>, id: ProviderId) -> Result<View> {
        self.trunk_get(ask, id)?;
        self.provider_delete(ask, id, None).await
    }
}
