//! Calls and the audit log: read, and records of calls removed.

use domain::call::{CallQuery, CallStatus};
use domain::ids::{CallId, EventId, OrganizationId};
use domain::{CallEnd, Change, Commit, Error, Kind, Page, Result, View, What};
use std::time::Duration;

use super::failure::of_read;
use super::{App, Ask};
use crate::clock;

/// How long the end of a call is waited for.
const HANGUP_MAX: Duration = Duration::from_secs(2);
/// How often it is looked for.
const HANGUP_LOOK: Duration = Duration::from_millis(25);

impl App {
    pub(super) fn call_list(&self, ask: Ask<'_>, query: &CallQuery, page: &Page<CallId>) -> Result<View> {
        self.store.call_list(log_of(ask)?, &seen_by(ask, query), page).map(View::Calls).map_err(of_read)
    }

    pub(super) fn call_get(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let call = self.call_of(log_of(ask)?, id)?;
        self.call_seen(ask, &call)?;
        Ok(View::Call(Box::new(call)))
    }

    /// A page of calls, and how many there are in all.
    pub(super) fn call_page(&self, ask: Ask<'_>, query: &CallQuery, page: &Page<CallId>) -> Result<View> {
        let (log, query) = (log_of(ask)?, &seen_by(ask, query));
        let calls = self.store.call_list(log, query, page).map_err(of_read)?;
        let total = self.store.call_count(log, query).map_err(of_read)?;
        Ok(View::CallPage(calls, total))
    }

    pub(super) fn call_stats(&self, ask: Ask<'_>, query: &CallQuery) -> Result<View> {
        self.store.call_stats(log_of(ask)?, &seen_by(ask, query)).map(View::CallStats).map_err(of_read)
    }

    pub(super) fn call_trends(&self, ask: Ask<'_>, query: &CallQuery) -> Result<View> {
        self.store.call_days(log_of(ask)?, &seen_by(ask, query)).map(View::CallTrends).map_err(of_read)
    }

    /// Removes a record. One that is still written would lose its minutes, so it must have ended.
    pub(super) async fn call_delete(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let organization = ask.organization()?;
        let call = self.call_of(organization, id)?;
        self.call_seen(ask, &call)?;
        if !call.status.is_final() {
            let words = "The call is in progress; its record can be removed once it has ended.";
            return Err(Error::new(Kind::Conflict, What::Call, words));
        }
        let changes = vec![Change::CallDelete(organization, id), ask.event(organization, "call.deleted", id)];
        self.live.traces.forget(id);
        match self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await {
            // Somebody else removed it between our read and our commit.
            Err(error) if error.kind == Kind::Stale => Err(Error::not_found(What::Call)),
            outcome => outcome,
        }
    }

    /// Ends a call on both sides. Answered once the record has the end; whoever hangs up meanwhile changes nothing.
    pub(super) async fn call_hangup(&self, ask: Ask<'_>, id: CallId) -> Result<View> {
        let organization = log_of(ask)?;
        let until = clock::instant() + HANGUP_MAX;
        loop {
            let call = self.call_of(organization, id)?;
            self.call_seen(ask, &call)?;
            if call.status.is_final() {
                return Err(Error::new(
                    Kind::Conflict,
                    What::Call,
                    "The call is not in progress: it is over.",
                ));
            }
            let answered = call.status == CallStatus::Answered;
            let ended = if answered {
                self.control.hang_up(&call, CallEnd::Api)
            } else {
                self.control.stop((organization, id))
            };
            if ended {
                break;
            }
            // A call that rings may have been answered just now; its record follows within the moment. One whose process is
            // gone while it rang cannot be reached from here.
            if answered || clock::instant() >= until {
                let words =
                    "The call could not be ended now: this process does not reach its sides. Try again.";
                return Err(Error::new(Kind::Unavailable, What::Call, words));
            }
            clock::sleep(HANGUP_LOOK).await;
        }
        let call = self.call_over(organization, id).await?;
        let changes = vec![ask.event(organization, "call.hung_up", id)];
        self.commit(ask, Commit { changes, ..Commit::default() }, View::Call(Box::new(call))).await
    }

    /// The record once it has its end, or as it is when that takes long: the end is in the journal already.
    async fn call_over(&self, organization: OrganizationId, id: CallId) -> Result<domain::Call> {
        let until = clock::instant() + HANGUP_MAX;
        loop {
            let call = self.call_of(organization, id)?;
            if call.status.is_final() || clock::instant() >= until {
                return Ok(call);
            }
            clock::sleep(HANGUP_LOOK).await;
        }
    }

    fn call_of(&self, organization: OrganizationId, id: CallId) -> Result<domain::Call> {
        let found = self.store.call_get(organization, id).map_err(of_read)?;
        found.ok_or_else(|| Error::not_found(What::Call))
    }

    pub(super) fn event_list(&self, ask: Ask<'_>, page: &Page<EventId>) -> Result<View> {
        self.store.event_list(log_of(ask)?, page).map(View::Events).map_err(of_read)
    }
}

/// The query, and of whose numbers the calls may be.
fn seen_by(ask: Ask<'_>, query: &CallQuery) -> CallQuery {
    CallQuery { mode: Some(ask.caller.mode), ..query.clone() }
}

/// Whose log is read: the tenant's; the operator's own where it names none (calls from unknown sources, stock, tenants made).
fn log_of(ask: Ask<'_>) -> Result<OrganizationId> {
    if ask.caller.is_operator() {
        Ok(ask.caller.organization_id.unwrap_or(OrganizationId::NONE))
    } else {
        ask.organization()
    }
}
