//! Where a call from a number would go, and why: the call path's own decision, told.

use domain::ids::NumberId;
use domain::number::NumberRef;
use domain::op::ExplainOut;
use domain::outbound::{CallOut, Party, Shown};
use domain::trail::RuleName;
use domain::view::{Explanation, Outcome};
use domain::{E164, Result, View};

use super::explain::{Explainer, explained, unheld};
use super::{App, Ask};
use crate::edge::plan;
use crate::live::WayOut;

impl App {
    pub(super) fn number_explain_out(&self, ask: Ask<'_>, text: &str, out: &ExplainOut) -> Result<View> {
        let organization = ask.organization()?;
        let number = match NumberId::parse(text) {
            Some(id) => Some(self.number_find(ask, &NumberRef::Id(id))?.e164),
            None => E164::dialled(text, None),
        };
        Ok(View::Explanation(Explainer { live: &self.live, organization }.outbound(number, out)))
    }
}

impl Explainer<'_> {
    /// Where a call from a number would go.
    pub(crate) fn outbound(&self, number: Option<E164>, out: &ExplainOut) -> Explanation {
        let organization = self.organization;
        let ExplainOut { to, from, caller, offer } = out;
        let mut steps = Vec::new();
        if let Some(address) = from {
            let mut trunks = self.live.trunks_from(*address).into_iter();
            let none = !trunks.any(|trunk| trunk.organization_id.is_none_or(|owner| owner == organization));
            steps.push(RuleName::SourceNoTrunk.is(none));
            if !none {
                let why = "The address is a trunk's: what comes from it comes in, always. Call from another address.";
                return explained(number, (403, why), steps);
            }
        }
        // Another tenant's number is explained like one that nobody holds.
        let own = number.and_then(|n| self.live.number_out(n)).filter(|n| n.organization_id == organization);
        let trusted = from.is_some_and(|at| self.live.organizations_from(at).contains(&organization));
        let owners = [organization];
        let party = match own {
            Some(own) if !trusted => {
                steps.push(RuleName::NumberProven.is(true));
                Party::Number(own.e164)
            }
            Some(_) | None => Party::Organizations(&owners),
        };
        let unseen = own.map_or_else(unheld, |own| own.e164);
        let shown = caller.as_deref().map_or(Shown::Number(unseen), |text| Shown::of(text, None));
        let call = CallOut { party, shown, to, offer: *offer, tls: None };
        match self.live.place(call, |rule| steps.push(rule)) {
            Ok(route) => {
                let (e164, to) = (route.placed.number.e164, route.placed.to);
                let passed = |way: &WayOut| plan::passed_out(way, e164, to);
                let ways = route.ways.iter().filter(|way| passed(way).is_none());
                let targets: Vec<_> = ways.map(|way| way.outbound.request_uri(to)).collect();
                if targets.is_empty() {
                    let causes: Vec<_> = route.ways.iter().filter_map(passed).collect();
                    return explained(number, plan::unreached(&causes), steps);
                }
                let reason = "The call goes out by the number's trunk.".to_owned();
                let (outcome, sip_status) = (Outcome::Route, 200);
                let legs = Vec::new();
                Explanation { number, outcome, sip_status, reason, steps, targets, legs, trunk: None }
            }
            Err(why) => explained(number, (why.why.sip_status(), why.why.words()), steps),
        }
    }
}
