//! The receipt of a call as `trunkline explain CALL-ID` prints it: why it went where it went, what was tried, what it cost.

use serde::Deserialize;
use std::fmt;

use super::explain::StepOut;

/// A call as the native API tells it, as far as it is printed.
#[derive(Deserialize)]
pub(super) struct Receipt {
    id: String,
    direction: String,
    from: String,
    to: String,
    status: String,
    started_at: Time,
    answered_at: Option<Time>,
    duration_seconds: u64,
    ended_by: Option<String>,
    sip_status: Option<u16>,
    reason: Option<String>,
    attempts: Vec<Attempt>,
    cost_micros: i64,
    #[serde(rename = "receipt")]
    details: Details,
}

#[derive(Deserialize)]
struct Attempt {
    n: u16,
    target: String,
    hop: Option<String>,
    sip_status: Option<u16>,
    cause: String,
    reason: Option<String>,
    started_at: Time,
    ringing_at: Option<Time>,
    ended_at: Time,
}

#[derive(Deserialize)]
struct Details {
    generation: u64,
    source: Option<Source>,
    steps: Vec<StepOut>,
    clock: Option<String>,
    billed_seconds: u64,
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Source {
    transport: String,
    address: String,
    class: String,
}

#[derive(Deserialize)]
struct Note {
    code: String,
    words: String,
}

impl Receipt {
    /// Whether the service refused it.
    pub(super) fn is_refused(&self) -> bool {
        self.status == "refused"
    }
}

/// A time as the API writes it.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Time(domain::Timestamp);

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

/// Milliseconds between two times.
fn millis(from: Time, to: Time) -> i64 {
    (to.0.as_microsecond() - from.0.as_microsecond()) / 1_000
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, direction, from, to, started_at, details, .. } = self;
        writeln!(f, "{direction} call {id} at {:.3}", started_at.0)?;
        writeln!(f, "  {from} called {to}")?;
        if let Some(Source { transport, address, class }) = &details.source {
            writeln!(
                f,
                "  from {transport} {address} ({class}), decided on configuration {}",
                details.generation
            )?;
        }
        for step in &details.steps {
            writeln!(f, "{step}")?;
        }
        for attempt in &self.attempts {
            attempt.write(f, *started_at)?;
        }
        for Note { code, words } in &details.notes {
            writeln!(f, "  ! {code}: {words}")?;
        }
        self.end(f)
    }
}

impl Receipt {
    fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(status) = self.sip_status {
            write!(f, " ({status})")?;
        }
        if let Some(answered) = self.answered_at {
            write!(f, ", answered after {} ms", millis(self.started_at, answered))?;
        }
        if let Some(clock) = &self.details.clock {
            write!(f, ", {} s by the {clock} clock", self.duration_seconds)?;
        }
        if self.cost_micros != 0 {
            let cost = (self.cost_micros / 1_000_000, self.cost_micros % 1_000_000);
            write!(f, ", {} s billed: {}.{:06}", self.details.billed_seconds, cost.0, cost.1)?;
        }
        if let Some(by) = &self.ended_by {
            write!(f, ", ended by {by}")?;
        }
        match &self.reason {
            Some(reason) => writeln!(f, ": {reason}"),
            None => writeln!(f),
        }
    }
}

impl Attempt {
    fn write(&self, f: &mut fmt::Formatter<'_>, began: Time) -> fmt::Result {
        let Self { n, target, hop, sip_status, cause, reason, started_at, ringing_at, ended_at } = self;
        write!(f, "  → {n} {target}")?;
        if let Some(hop) = hop {
            write!(f, " at {hop}")?;
        }
        write!(f, ": +{} ms", millis(began, *started_at))?;
        if let Some(ringing) = ringing_at {
            write!(f, ", rings +{} ms", millis(began, *ringing))?;
        }
        write!(f, ", {cause} +{} ms", millis(began, *ended_at))?;
        if let Some(status) = sip_status {
            write!(f, " ({status})")?;
        }
        match reason {
            Some(reason) => writeln!(f, " {reason}"),
            None => writeln!(f),
        }
    }
}
