//! Calls and the audit log: read only.

use domain::call::CallQuery;
use domain::ids::{CallId, EventId, OrganizationId};
use domain::{Error, Page, Result, View, What};

use super::failure::of_read;
use super::{App, Ask};

impl App {
    pub(super) fn call_list(&self, ask: Ask<'_>, query: &CallQuery, page: &Page<CallId>) -> Result<View> {
        self.store.call_list(log_of(ask)?, query, page).map(View::Calls).map_err(of_read)
    }

    pub(super) fn call_get(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let found = self.store.call_get(log_of(ask)?, id).map_err(of_read)?;
        found.map(|call| View::Call(Box::new(call))).ok_or_else(|| Error::not_found(What::Call))
    }

    pub(super) fn event_list(&self, ask: Ask<'_>, page: &Page<EventId>) -> Result<View> {
        self.store.event_list(log_of(ask)?, page).map(View::Events).map_err(of_read)
    }
}

/// Whose log is read: the tenant's; the operator's own where it names none (calls from unknown sources, stock, tenants made).
fn log_of(ask: Ask<'_>) -> Result<OrganizationId> {
    if ask.caller.is_operator() { Ok(ask.caller.organization_id.unwrap_or(OrganizationId::NONE)) } else { ask.organization() }
}
