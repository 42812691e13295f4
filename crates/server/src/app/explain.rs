//! Where a call would go, and why: the call path's own decision, told.

use domain::ids::{NumberId, OrganizationId, ProviderId};
use domain::number::{NumberRef, Status};
use domain::op::ExplainAbout;
use domain::reach::Reach;
use domain::routing::{CallIn, CallerShown, TrunkRoute};
use domain::rules::Exit;
use domain::trail::{Rule, RuleName};
use domain::trunk_status::{RegistrationState as State, TrunkRegistration, TrunkStatus};
use domain::view::{Explanation, LegShown, Outcome};
use domain::{E164, Endpoint, Result, Timestamp, View};
use std::net::{IpAddr, SocketAddr};

use super::{App, Ask};
use crate::clock;
use crate::edge::plan::{self, takes_registered};
use crate::live::registrations::Binding;
use crate::live::{Live, Route};

impl App {
    pub(super) fn number_explain(&self, ask: Ask<'_>, text: &str, about: &ExplainAbout) -> Result<View> {
        let organization = ask.organization()?;
        let dialled = match NumberId::parse(text) {
            Some(id) => Some(self.number_find(ask, &NumberRef::Id(id))?.e164),
            None => E164::dialled(text, None),
        };
        let explainer = Explainer { live: &self.live, organization };
        let mut explanation = explainer.inbound(dialled, about, ask.now);
        explanation.trunk = self.trunk_shown(organization, dialled);
        let registration = explanation.trunk.as_ref().and_then(|trunk| trunk.registration.as_ref());
        if let Some(TrunkRegistration { state: State::Failing | State::Refused, problem, .. }) = registration
        {
            let problem = problem.as_deref().unwrap_or_default();
            let words = [" But its trunk is not registered with its carrier. ", problem];
            explanation.reason.extend(words);
        }
        Ok(View::Explanation(explanation))
    }
}

impl App {
    /// How the own trunk of an own number is: of the operator's trunks a tenant is told nothing.
    fn trunk_shown(&self, organization: OrganizationId, number: Option<E164>) -> Option<Box<TrunkStatus>> {
        let own = self.live.number(number?).filter(|n| n.organization_id == organization)?;
        let trunk =
            self.live.trunk(own.trunk?).filter(|trunk| trunk.organization_id == Some(organization))?;
        Some(Box::new(self.trunk_status(trunk.id)))
    }
}

/// The tables that calls are decided on, and who asks about them.
#[derive(Clone, Copy)]
pub(crate) struct Explainer<'a> {
    /// The tables.
    pub(crate) live: &'a Live,
    /// Who asks: of others' numbers and trunks it is told what it would be told if there were none.
    pub(crate) organization: OrganizationId,
}

impl Explainer<'_> {
    /// Where a call to a number would go.
    pub(crate) fn inbound(&self, dialled: Option<E164>, about: &ExplainAbout, now: Timestamp) -> Explanation {
        let ExplainAbout { from, caller, offer, at } = about;
        let organization = self.organization;
        // Another tenant's number is explained like one that nobody holds.
        let own = dialled.and_then(|n| self.live.number(n)).filter(|n| n.organization_id == organization);
        let mut by = Vec::new();
        let trunks = match *from {
            Some(address) => self.sources(address, own.and(dialled), &mut by),
            // No address named: assume the way that the number's calls come.
            None => vec![match own.and_then(|n| n.trunk).and_then(|id| self.live.trunk(id)) {
                Some(trunk) => trunk,
                None if own.is_some_and(|n| n.network.is_simulated()) => {
                    TrunkRoute::of(ProviderId::SIMULATED, None)
                }
                None => TrunkRoute::of(ProviderId(uuid::Uuid::nil()), None),
            }],
        };
        let visible = |t: &TrunkRoute| t.organization_id.is_none_or(|id| id == organization);
        let trunks: Vec<_> = trunks.into_iter().filter(visible).collect();
        let known = dialled.filter(|_| own.is_some());
        let mut steps = Vec::new();
        let asked = match (dialled, known) {
            (Some(_), None) if !trunks.is_empty() => Some(unheld()),
            _ => dialled,
        };
        let caller = caller
            .as_deref()
            .map_or(CallerShown::Anyone, |text| CallerShown::Number(E164::dialled(text, None)));
        let at = at.unwrap_or(now);
        let call = CallIn { trunks: &trunks, dialled: asked, caller, offer: *offer, at, name: "", tls: None };
        let decided = self.live.decide(call, |rule| steps.push(rule));
        match decided {
            Ok(route) => {
                let ways = by.iter().filter(|(trunk, _)| *trunk == route.routed.trunk.id);
                steps.extend(ways.map(|(_, rule)| rule.is(true)));
                self.routed(dialled, &route, steps)
            }
            Err(refused) => explained(dialled, (refused.sip_status(), refused.why.words()), steps),
        }
    }

    /// Where a call goes that is let in; nowhere, where every target of its only place is passed over.
    fn routed(&self, dialled: Option<E164>, route: &Route, mut steps: Vec<Rule>) -> Explanation {
        let agents = self.live.registrations.of(route.routed.number.id, clock::instant());
        if takes_registered(&route.endpoint) {
            steps.push(RuleName::AgentRegistered.is(!agents.is_empty()));
        }
        let on = route.endpoint.targets.iter().filter(|target| target.enabled);
        let causes: Option<Vec<_>> =
            on.map(|target| plan::passed((&target.uri, &route.reach), &agents)).collect();
        if let Some(causes) = causes.filter(|causes| route.legs.is_empty() && !causes.is_empty()) {
            return explained(dialled, plan::unreached(&causes), steps);
        }
        let (legs, private) = self.legs_shown(route, dialled, &agents);
        let targets = legs.iter().take(1).flat_map(|leg| &leg.targets);
        let targets = targets.map(|(uri, _)| uri.clone()).collect();
        let leaves = route.routed.number.status == Status::PortOut;
        let until = if leaves { ", until the number has gone to another carrier (port_out)" } else { "" };
        let mut reason = format!("The call goes to the endpoint “{}”{until}.", route.endpoint.name);
        if !private.is_empty() {
            let words = [" Passed over: ", &private.join(", "), " (", plan::PRIVATE, ")."];
            reason.extend(words);
        }
        let (outcome, sip_status) = (Outcome::Route, 200);
        Explanation { number: dialled, outcome, sip_status, reason, steps, targets, legs, trunk: None }
    }

    /// The places that a call can come to, the first one first, and the targets that are left out for where they are. Agents that
    /// are registered stand in place of the target that means them; where none is, nothing does.
    fn legs_shown(
        &self,
        route: &Route,
        dialled: Option<E164>,
        agents: &[Binding],
    ) -> (Vec<LegShown>, Vec<String>) {
        let mut private = Vec::new();
        let mut shown = |endpoint: &Endpoint, reach: &Reach, exits: &[Exit]| {
            let states = self.live.health.of(endpoint, reach);
            let order = plan::order((endpoint, reach), &self.live.health, "");
            let target = |at: usize| {
                let uri = &endpoint.targets[at].uri;
                if plan::passed((uri, reach), agents) == Some(plan::PRIVATE) {
                    private.push(uri.as_str().to_owned());
                    return Vec::new();
                }
                let contacts =
                    agents.iter().filter(|_| uri.is_registered()).map(|agent| agent.contact.clone());
                let own = (!uri.is_registered()).then(|| uri.with_user(text_of(dialled)));
                let state = states[at].state;
                contacts.chain(own).map(|uri| (uri, state)).collect::<Vec<_>>()
            };
            LegShown {
                endpoint_id: endpoint.id,
                name: endpoint.name.clone(),
                targets: order.into_iter().flat_map(target).collect(),
                answer_seconds: endpoint.rules.answer_seconds,
                exits: exits.to_vec(),
            }
        };
        let legs = if route.legs.is_empty() {
            vec![shown(&route.endpoint, &route.reach, &[])]
        } else {
            route.legs.iter().map(|leg| shown(&leg.endpoint, &leg.reach, &leg.exits)).collect()
        };
        (legs, private)
    }
}

impl Explainer<'_> {
    /// The trunks that a call from an address may come through, and what it takes where the address is not enough; `own` is the
    /// number that is asked about, if it is the asker's.
    fn sources(
        &self,
        address: IpAddr,
        own: Option<E164>,
        by: &mut Vec<(ProviderId, RuleName)>,
    ) -> Vec<TrunkRoute> {
        let mut trunks = self.live.trunks_from(address);
        trunks.extend(own.and_then(|e164| self.live.account_of(e164, SocketAddr::new(address, 0))));
        // From elsewhere, a caller of the number's trunk may know its password.
        let guard = own.and_then(|e164| self.live.guard_of(e164));
        let guard = guard.filter(|guard| trunks.iter().all(|trunk| trunk.id != guard.id));
        by.extend(guard.map(|guard| (guard.id, RuleName::CallerProven)));
        trunks.extend(guard);
        // Or call what the trunk registered with it.
        let called = own.and_then(|e164| self.registered(e164, &trunks));
        by.extend(called.map(|trunk| (trunk.id, RuleName::CallerAtContact)));
        trunks.extend(called);
        // Or show a certificate that the trunk names.
        let shows = own.and_then(|e164| self.certified(e164, &trunks));
        by.extend(shows.map(|trunk| (trunk.id, RuleName::CallerCertified)));
        trunks.extend(shows);
        trunks
    }

    /// The trunk of a number that registers with its carrier, who may call from elsewhere.
    fn registered(&self, e164: E164, known: &[TrunkRoute]) -> Option<TrunkRoute> {
        let trunk = self.live.number(e164)?.trunk.filter(|id| self.live.registering.has(*id))?;
        self.live.trunk(trunk).filter(|trunk| known.iter().all(|other| other.id != trunk.id))
    }

    /// The trunk of a number that a caller from elsewhere may prove by a certificate.
    fn certified(&self, e164: E164, known: &[TrunkRoute]) -> Option<TrunkRoute> {
        let trunk = self.live.number(e164)?.trunk.filter(|id| self.live.is_certified(*id))?;
        self.live.trunk(trunk).filter(|trunk| known.iter().all(|other| other.id != trunk.id))
    }
}

/// A call that is refused.
pub(super) fn explained(
    number: Option<E164>,
    (sip_status, words): (u16, &str),
    steps: Vec<Rule>,
) -> Explanation {
    let (outcome, targets, legs) = (Outcome::Refuse, Vec::new(), Vec::new());
    Explanation { number, outcome, sip_status, reason: words.to_owned(), steps, targets, legs, trunk: None }
}

/// A number that nobody can hold: the shortest E.164 there is, outside every numbering plan.
pub(super) fn unheld() -> E164 {
    E164::from_u64(10).expect("two digits are a number")
}

fn text_of(number: Option<E164>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}
