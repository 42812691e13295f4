//! Calls and the audit log: read, and records of calls removed.

use domain::call::CallQuery;
use domain::ids::{CallId, EventId, OrganizationId};
use domain::{Change, Commit, Error, Kind, Page, Result, View, What};

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

    /// A page of calls, and how many there are in all.
    pub(super) fn call_page(&self, ask: Ask<'_>, query: &CallQuery, page: &Page<CallId>) -> Result<View> {
        let log = log_of(ask)?;
        let calls = self.store.call_list(log, query, page).map_err(of_read)?;
        let total = self.store.call_count(log, query).map_err(of_read)?;
        Ok(View::CallPage(calls, total))
    }

    pub(super) fn call_stats(&self, ask: Ask<'_>, query: &CallQuery) -> Result<View> {
        self.store.call_stats(log_of(ask)?, query).map(View::CallStats).map_err(of_read)
    }

    pub(super) fn call_trends(&self, ask: Ask<'_>, query: &CallQuery) -> Result<View> {
        self.store.call_days(log_of(ask)?, query).map(View::CallTrends).map_err(of_read)
    }

    /// Removes a record. One that is still written would lose its minutes, so it must have ended.
    pub(super) async fn call_delete(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let organization = ask.organization()?;
        let call = self.store.call_get(organization, id).map_err(of_read)?;
        let call = call.ok_or_else(|| Error::not_found(What::Call))?;
        if !call.status.is_final() {
            let words = "The call is in progress; its record can be removed once it has ended.";
            return Err(Error::new(Kind::Conflict, What::Call, words));
        }
        let changes = vec![Change::CallDelete(organization, id), ask.event(organization, "call.deleted", id)];
        match self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await {
            // Somebody else removed it between our read and our commit.
            Err(error) if error.kind == Kind::Stale => Err(Error::not_found(What::Call)),
            outcome => outcome,
        }
    }

    pub(super) fn event_list(&self, ask: Ask<'_>, page: &Page<EventId>) -> Result<View> {
        self.store.event_list(log_of(ask)?, page).map(View::Events).map_err(of_read)
    }
}

/// Whose log is read: the tenant's; the operator's own where it names none (calls from unknown sources, stock, tenants made).
fn log_of(ask: Ask<'_>) -> Result<OrganizationId> {
    if ask.caller.is_operator() {
        Ok(ask.caller.organization_id.unwrap_or(OrganizationId::NONE))
    } else {
        ask.organization()
    }
}
