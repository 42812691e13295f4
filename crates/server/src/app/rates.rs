//! Rates: what calls cost by prefix. The operator's to set, for everybody or for one organization.

use domain::ids::{OrganizationId, RateId};
use domain::rate::RateNew;
use domain::{Change, Commit, Error, Guard, Kind, Page, Rate, Result, View, What};

use super::failure::of_read;
use super::{App, Ask};
use crate::clock;

/// The most rates of one owner.
const RATES_MAX: u32 = 50_000;

impl App {
    pub(super) async fn rate_set(&self, ask: Ask<'_>, new: RateNew) -> Result<View> {
        ask.caller.require_operator()?;
        let owner = ask.caller.organization_id.unwrap_or(OrganizationId::NONE);
        let rate = Rate::create(RateId(clock::id()), owner, new, ask.now)?;
        let changes = vec![Change::Rate(rate.clone()), ask.event(owner, "rate.set", rate.id)];
        let guards = vec![Guard::RatesWithin(owner, RATES_MAX)];
        self.commit(ask, Commit { changes, guards, answer: None }, View::Rate(rate)).await
    }

    pub(super) fn rate_list(&self, ask: Ask<'_>, page: &Page<RateId>) -> Result<View> {
        self.store.rate_list(rates_of(ask)?, page).map(View::Rates).map_err(of_read)
    }

    pub(super) async fn rate_delete(&self, ask: Ask<'_>, id: RateId) -> Result<View> {
        ask.caller.require_operator()?;
        let owner = ask.caller.organization_id.unwrap_or(OrganizationId::NONE);
        let changes = vec![Change::RateDelete(owner, id), ask.event(owner, "rate.deleted", id)];
        match self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await {
            Err(error) if error.kind == Kind::Stale => Err(Error::not_found(What::Rate)),
            outcome => outcome,
        }
    }
}

/// Whose rates are read: the tenant's; everybody's where the operator names none.
fn rates_of(ask: Ask<'_>) -> Result<OrganizationId> {
    if ask.caller.is_operator() {
        Ok(ask.caller.organization_id.unwrap_or(OrganizationId::NONE))
    } else {
        ask.organization()
    }
}
