//! A call of the simulated network's to a number that is for tests: how a route is tried without a phone.

use serde::Serialize;
use utoipa::ToSchema;

use super::{numbers, read};
use crate::{Request, json};
use domain::Op;
use domain::error::{Result, What};
use domain::op::RingIn;
use domain::view::Rung;

pub(super) fn ring(request: &Request<'_>) -> Result<Op> {
    let number = numbers::number(request)?;
    let mut body = json::body(request.body, What::Number)?.null_is_absent();
    let from = body.optional("from", "a number that calls, such as +12125550199", |v| {
        json::text(v).filter(|t| plain(t))
    })?;
    let most = RingIn::SECONDS_MAX;
    let within = format!("a whole number of seconds, at most {most}");
    let hold_seconds = body.optional("hold_seconds", &within, |v| read::small(v).filter(|s| *s <= most))?;
    let ring_seconds =
        body.optional("ring_seconds", &within, |v| read::small(v).filter(|s| (1..=most).contains(s)))?;
    body.close()?;
    Ok(Op::NumberRing(number, RingIn { from, hold_seconds, ring_seconds }))
}

/// What can stand in a SIP address as it is.
fn plain(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// The call to place; an empty body is one with every default.
#[derive(ToSchema)]
#[schema(as = SimulatedCallIn)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RingBody {
    /// Who calls; absent: +12125550199.
    #[schema(required = false)]
    from: String,
    /// How long to talk, in seconds; absent: 1.
    #[schema(required = false, maximum = 60)]
    hold_seconds: u32,
    /// How long to let it ring, in seconds; absent: 10.
    #[schema(required = false, minimum = 1, maximum = 60)]
    ring_seconds: u32,
}

/// What became of a simulated call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimulatedCall)]
pub(super) struct RungOut {
    /// `completed`, `refused`, `unreachable` or `cancelled`.
    outcome: &'static str,
    /// The SIP status of the last answer.
    #[schema(required = true)]
    sip_status: Option<u16>,
    /// Why, where the answer said so.
    #[schema(required = true)]
    reason: Option<String>,
    /// From the answer to the end.
    talked_seconds: u64,
    /// Packets of sound that were sent.
    packets_sent: u32,
    /// How many of them came back.
    packets_back: u32,
    /// What was said, line by line.
    timeline: Vec<String>,
}

impl From<Rung> for RungOut {
    fn from(rung: Rung) -> Self {
        let Rung { outcome, sip_status, reason, talked_seconds, packets, timeline } = rung;
        let (packets_sent, packets_back) = packets;
        Self { outcome, sip_status, reason, talked_seconds, packets_sent, packets_back, timeline }
    }
}
