//! Traces of calls: switched on for a number for a while, and shown to its organization alone.

use domain::ids::CallId;
use domain::number::NumberRef;
use domain::trace::{TraceFormat, TraceWindow};
use domain::{Change, Commit, Error, Kind, Result, Timestamp, View, What};

use super::failure::of_read;
use super::{App, Ask};

impl App {
    pub(super) async fn number_trace(&self, ask: Ask<'_>, number: &NumberRef, minutes: u32) -> Result<View> {
        let number_id = self.number_find(ask, number)?.id;
        let until = ask.now.as_second().saturating_add(i64::from(minutes) * 60);
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        self.trace_put(ask, TraceWindow { number_id, until: Some(until) }, "number.traced").await
    }

    pub(super) fn number_trace_get(&self, ask: Ask<'_>, number: &NumberRef) -> Result<View> {
        let number_id = self.number_find(ask, number)?.id;
        let until = self.store.trace_until(ask.organization()?, number_id).map_err(of_read)?;
        Ok(View::TraceWindow(TraceWindow { number_id, until }))
    }

    pub(super) async fn number_trace_end(&self, ask: Ask<'_>, number: &NumberRef) -> Result<View> {
        let number_id = self.number_find(ask, number)?.id;
        self.trace_put(ask, TraceWindow { number_id, until: None }, "number.trace_ended").await
    }

    async fn trace_put(&self, ask: Ask<'_>, window: TraceWindow, event: &'static str) -> Result<View> {
        let organization = ask.organization()?;
        let event = ask.event(organization, event, window.number_id);
        let changes = vec![Change::Trace(organization, window), event];
        let view = if window.until.is_some() { View::TraceWindow(window) } else { View::Done };
        self.commit(ask, Commit { changes, ..Commit::default() }, view).await
    }

    pub(super) fn call_trace(&self, ask: Ask<'_>, id: CallId, format: TraceFormat) -> Result<View> {
        let organization = ask.organization()?;
        let call = self.store.call_get(organization, id).map_err(of_read)?;
        let call = call.ok_or_else(|| Error::not_found(What::Call))?;
        self.call_seen(ask, &call)?;
        let trace = self.live.traces.get(organization, id).ok_or_else(|| {
            let words = "No messages of this call are kept: its number was not traced when it began, or that is long ago, or \
                         another process carried it.";
            Error::new(Kind::NotFound, What::Trace, words)
        })?;
        Ok(View::Trace(id, trace, format))
    }
}
