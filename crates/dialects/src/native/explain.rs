//! `explain`: where a call to a number would go, or one from it (`to`), and why. Also for numbers that nobody holds.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use utoipa::ToSchema;

use super::page::filter;
use super::words::{self, one_of};
use crate::Request;
use domain::Op;
use domain::error::Result;
use domain::op::ExplainOut;
use domain::provider::Offer;
use domain::trail::Rule;
use domain::view::{Explanation, Outcome};

/// The longest caller that is asked about, in bytes.
const CALLER_MAX: usize = 64;

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

pub(super) fn explain(request: &Request<'_>) -> Result<Op> {
    let from = filter(request, "from", "an IP address, such as 192.0.2.7, or one with a port", address)?;
    let caller = filter(request, "caller", "the number that calls, such as +12125550100", |text| {
        (text.len() <= CALLER_MAX).then(|| text.to_owned())
    })?;
    let offer = filter(request, "media", one_of(&Offer::NAMES), Offer::parse)?;
    let to = filter(request, "to", "what is dialled, such as +12125550100", |text| {
        (text.len() <= CALLER_MAX).then(|| text.to_owned())
    })?;
    let number = request.param("number").to_owned();
    Ok(match to {
        Some(to) => Op::NumberExplainOut(number, ExplainOut { to, from, caller, offer }),
        None => Op::NumberExplain(number, from, caller, offer),
    })
}

/// One rule that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainStep)]
pub(super) struct StepOut {
    /// Its name.
    rule: &'static str,
    /// Whether the call passed it.
    passed: bool,
    /// What mattered to it beside: how many calls there were and may be, how much money was free and needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<Rule> for StepOut {
    fn from(rule: Rule) -> Self {
        Self { rule: rule.name.words(), passed: rule.passed, detail: rule.detail() }
    }
}

/// Where a call would go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct ExplanationOut {
    /// The number that was asked about, as understood.
    #[schema(required = true)]
    number: Option<String>,
    /// Whether the call would be let in.
    #[schema(schema_with = words::outcome)]
    outcome: &'static str,
    /// The SIP status that the caller would get; 200 where the call is let in.
    sip_status: u16,
    /// Why, in a sentence that says what to do next.
    reason: String,
    /// Each rule in order.
    steps: Vec<StepOut>,
    /// The targets in the order of trying.
    targets: Vec<String>,
}

impl From<Explanation> for ExplanationOut {
    fn from(explanation: Explanation) -> Self {
        let Explanation { number, outcome, sip_status, reason, steps, targets } = explanation;
        let [route, refuse] = words::OUTCOMES;
        Self {
            number: number.map(|number| number.to_string()),
            outcome: match outcome {
                Outcome::Route => route,
                Outcome::Refuse => refuse,
            },
            sip_status,
            reason,
            steps: steps.into_iter().map(StepOut::from).collect(),
            targets,
        }
    }
}
