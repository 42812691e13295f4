//! `explain`: where a call to a number would go, or one from it (`to`), and why. Also for numbers that nobody holds.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use utoipa::ToSchema;

use super::page::filter;
use super::trunk_status::TrunkStatusOut;
use super::words::{self, one_of};
use crate::Request;
use domain::Op;
use domain::error::Result;
use domain::op::{ExplainAbout, ExplainOut};
use domain::provider::Offer;
use domain::rules::{Exit, Onward};
use domain::trail::Rule;
use domain::view::{Explanation, LegShown, Outcome};

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
    let at = filter(request, "at", "a time, such as 2026-12-24T20:00:00Z", |text| text.parse().ok())?;
    let offer = filter(request, "media", one_of(&Offer::NAMES), Offer::parse)?;
    let to = filter(request, "to", "what is dialled, such as +12125550100", |text| {
        (text.len() <= CALLER_MAX).then(|| text.to_owned())
    })?;
    let number = request.param("number").to_owned();
    Ok(match to {
        Some(to) => Op::NumberExplainOut(number, ExplainOut { to, from, caller, offer }),
        None => Op::NumberExplain(number, ExplainAbout { from, caller, offer, at }),
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

/// A way on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainExit)]
pub(super) struct ExitOut {
    /// Why the place must have failed.
    #[schema(schema_with = words::causes)]
    on: Vec<&'static str>,
    /// To which place of `legs`, from 0.
    #[schema(required = true)]
    leg: Option<usize>,
    /// Or to which answer.
    #[schema(required = true)]
    sip_status: Option<u16>,
}

/// A place that the call can come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainLeg)]
pub(super) struct LegOut {
    /// The endpoint.
    #[schema(format = "uuid")]
    endpoint_id: String,
    /// Its name.
    name: String,
    /// Its targets in the order of trying.
    targets: Vec<String>,
    /// How each of them is, in the same order: `up`, `down`, or `unknown`.
    #[schema(schema_with = words::target_states)]
    health: Vec<&'static str>,
    /// How long each may ring, in seconds; null: as long as a call may be set up.
    #[schema(required = true)]
    answer_seconds: Option<u16>,
    /// Where the call goes on from there.
    exits: Vec<ExitOut>,
}

impl From<LegShown> for LegOut {
    fn from(leg: LegShown) -> Self {
        let LegShown { endpoint_id, name, targets, answer_seconds, exits } = leg;
        let exit = |exit: Exit| {
            let (leg, sip_status) = match exit.to {
                Onward::Leg(leg) => (Some(leg), None),
                Onward::Refuse(status) => (None, Some(status)),
            };
            ExitOut { on: exit.on.names(), leg, sip_status }
        };
        let (targets, health) = targets.into_iter().map(|(uri, state)| (uri, state.as_str())).unzip();
        Self {
            endpoint_id: endpoint_id.to_string(),
            name,
            targets,
            health,
            answer_seconds,
            exits: exits.into_iter().map(exit).collect(),
        }
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
    /// The places that the call can come to, the first one first.
    legs: Vec<LegOut>,
    /// How the number's own trunk is, where calls come in by it.
    #[schema(required = true)]
    trunk: Option<TrunkStatusOut>,
}

impl From<Explanation> for ExplanationOut {
    fn from(explanation: Explanation) -> Self {
        let Explanation { number, outcome, sip_status, reason, steps, targets, legs, trunk } = explanation;
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
            legs: legs.into_iter().map(LegOut::from).collect(),
            trunk: trunk.map(|status| TrunkStatusOut::from(*status)),
        }
    }
}
