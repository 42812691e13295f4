//! Calls out: an agent's INVITE, proven by its number's SIP credentials or by its endpoint's address, goes to the number's trunk.
//! What comes from a trunk's address never comes here: that is inbound, always; but for what a number's credentials prove where
//! the trunk is another organization's, which may name any address.

use domain::call::{Direction, FactKind, Started};
use domain::ids::{CallId, OrganizationId};
use domain::outbound::{CallOut, Destination, NumberOut, Party, Refusal, Refused};
use domain::trail::{RuleName, Trail};
use domain::{E164, Fact, Generation, Price, outbound};
use sip::{Ask, CallIds, Dialled};

use super::decide::{self, Around, Decider, Step};
use super::facts;
use super::plan::Plan;
use super::proof::{Proven, Shown};
use crate::clock;
use crate::live::RouteOut;
use crate::live::lines::Line;

impl Decider {
    /// Decides a call out; none where nothing shows whose it is.
    pub(super) fn out(&mut self, ask: &Ask, shown: &Shown, around: &mut Around<'_>) -> Option<Step> {
        let owners = self.live.organizations_from(ask.flow.remote.ip());
        let party = match shown {
            Shown::Proven(Proven::Number(line)) => Party::Number(line.e164),
            _ if owners.is_empty() => return None,
            _ => Party::Organizations(&owners),
        };
        if self.journal.full() {
            return Some(Step::Now(decide::refuse(503, "Call Records Cannot Be Kept")));
        }
        let to = dialled(ask);
        let (offer, tls) = (Some(decide::offer(ask.media)), Some(ask.flow.transport.secure()));
        let call = CallOut { party, shown: caller(ask), to: &to, offer, tls };
        let mut trail = Trail::default();
        if matches!(party, Party::Number(_)) {
            trail.see(RuleName::NumberProven.is(true));
        }
        Some(match self.live.place(call, |rule| trail.see(rule)) {
            Ok(route) => {
                let ids = ids(Some(&route.placed.number), None);
                // Counted under the edge's lock: whoever comes next finds it.
                self.live.call_placed(CallId(ids.call), &route.placed);
                let traced = (route.placed.number.organization_id, route.placed.number.id);
                self.live.traces.begin(CallId(ids.call), traced, &ask.call_id);
                self.live.traces.hide(CallId(ids.call), route.own_headers());
                around.work.fact(started(ids, ask, (&route, trail)));
                self.go(Plan::out(ask, ids, &route), around)
            }
            Err(refused) => {
                let whose = if let [only] = owners[..] { Some(only) } else { None };
                for fact in self.row_out(ask, whose, (refused, trail)) {
                    around.work.fact(fact);
                }
                let (status, words) = (refused.why.sip_status(), refused.why.words());
                Step::Now(decide::refused(status, Some(words), refused.retry_after))
            }
        })
    }

    /// What a refused call out leaves behind.
    fn row_out(
        &self,
        ask: &Ask,
        whose: Option<OrganizationId>,
        (refused, trail): (Refused, Trail),
    ) -> [Fact; 2] {
        let Refused { why, number, to, retry_after: _ } = refused;
        let ids = ids(number.as_ref(), whose);
        if let Some(number) = &number {
            self.live.traces.begin(CallId(ids.call), (number.organization_id, number.id), &ask.call_id);
        }
        let started = Started {
            generation: self.live.generation(),
            trail,
            to: to.map_or_else(|| facts::bounded(dialled(ask)), |e164| e164.to_string()),
            ..told(ask, number.as_ref())
        };
        let at = clock::moment();
        let (status, words) = (why.sip_status(), why.words());
        [
            facts::about(ids, at, FactKind::Started(Box::new(started))),
            facts::about(ids, at, facts::refused_with(status, words)),
        ]
    }

    /// The same of one whose password was wrong: whose user name it is, sees it.
    pub(super) fn row_of_wrong(&self, ask: &Ask, line: &Line) -> [Fact; 2] {
        let number = self.live.number_out(line.e164).filter(|number| number.id == line.id);
        let why = Refusal::NotProven;
        let refused = Refused { why, number, to: None, retry_after: None };
        let mut trail = Trail::default();
        trail.see(RuleName::NumberProven.is(false));
        self.row_out(ask, Some(line.organization_id), (refused, trail))
    }
}

/// The number that is shown as the caller: in From, else as it asserts or prefers.
fn caller(ask: &Ask) -> outbound::Shown {
    let of = |from: &Dialled| outbound::Shown::of(&from.user, from.phone_context.as_deref());
    of(&ask.from).or(of(&ask.identity()))
}

/// What was dialled: in the Request-URI, or, where a name stands there, in To.
fn dialled(ask: &Ask) -> String {
    // A call for help by the service's name (RFC 5031).
    let uri = ask.request_uri();
    if uri.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:")) {
        return uri;
    }
    let named =
        ask.dialled.user.is_empty() || ask.dialled.user.starts_with(|c: char| c.is_ascii_alphabetic());
    let to = if named { ask.to() } else { Dialled::default() };
    let from = if named { &to } else { &ask.dialled };
    match from.phone_context.as_deref().filter(|context| context.starts_with('+')) {
        Some(context) if !from.user.starts_with('+') => format!("{context}{}", from.user),
        Some(_) | None => from.user.clone(),
    }
}

fn ids(number: Option<&NumberOut>, whose: Option<OrganizationId>) -> CallIds {
    let organization = number.map(|n| n.organization_id).or(whose);
    CallIds {
        call: clock::id(),
        organization: organization.unwrap_or(OrganizationId::NONE).0,
        number: number.map_or(uuid::Uuid::nil(), |n| n.id.0),
    }
}

fn started(ids: CallIds, ask: &Ask, (route, trail): (&RouteOut, Trail)) -> Fact {
    let placed = &route.placed;
    let to = match placed.to {
        Destination::Number(e164, _) => e164.to_string(),
        Destination::Emergency(digits) => digits.to_string(),
    };
    let started = Started {
        to,
        provider_id: placed.trunks.first().copied(),
        generation: route.generation,
        price: placed.price,
        trail,
        ..told(ask, Some(&placed.number))
    };
    facts::about(ids, clock::moment(), FactKind::Started(Box::new(started)))
}

/// What is known of a call out by its INVITE and its number. Without a number, who was shown as the caller.
fn told(ask: &Ask, number: Option<&NumberOut>) -> Started {
    let shown = if ask.from.user.is_empty() { ask.from_uri() } else { ask.from.user.clone() };
    Started {
        direction: Direction::Outbound,
        number_id: number.map(|n| n.id),
        number: number.map(|n| n.e164),
        from: number.map_or_else(|| facts::bounded(shown), |n| E164::to_string(&n.e164)),
        to: String::new(),
        provider_id: None,
        endpoint_id: number.and_then(|n| n.endpoint_id),
        generation: Generation(0),
        price: Price::FREE,
        sip_call_id: facts::bounded(ask.call_id.clone()),
        trail: Trail::default(),
        source: Some(facts::place(ask.flow.transport, ask.flow.remote)),
    }
}
