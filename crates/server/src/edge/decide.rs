//! Answers to the edge's questions: who may call, and where the call goes. Memory only. Sources that are no trunk's get
//! silence; of their calls a few a second leave a row, so that a misconfigured carrier can be found. Where some trunk takes a
//! password, or a number's agent may call out, they are asked for it (`proof`), and so are agents that register (`registrar`).

use domain::call::{FactKind, Started};
use domain::e164::E164;
use domain::ids::{CallId, OrganizationId, ProviderId};
use domain::provider::Offer;
use domain::routing::{CallIn, CallerShown, Refusal, Refused, TrunkRoute};
use domain::trail::{RuleName, Trail};
use domain::{Fact, Price};
use sip::{Ask, AskKind, CallIds, Media, Transport, Verdict};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

use super::dress::Told;
use super::facts;
use super::gate;
use super::gauge::Gauge;
use super::plan::{Plan, takes_registered};
use super::proof::{Named, Proofs, Proven, Shown, Who};
use super::ration::{Bucket, Rates, Rations};
use super::registrar;
use super::resolve::Names;
use super::streams::Streams;
use super::wire::Work;
use crate::clock;
use crate::journal::Journal;
use crate::live::bans::Fault;
use crate::live::registering::is_contact;
use crate::live::{Live, Route};

/// Rows a second for INVITEs of unknown sources.
const UNKNOWN_PER_SECOND: u32 = 10;
/// Challenges, and what else is told to those who are not taken by their address alone. A caller whose INVITE is passed over
/// repeats it.
const CHALLENGES: Rates = Rates { address: 100, network: 400, all: 2_000 };
/// Rows for calls whose password was wrong.
const WRONG: Rates = Rates { address: 2, network: 5, all: 10 };
/// Names that are looked up in the store. A name that proved right lately is not.
const LOOK_UPS: Rates = Rates { address: 50, network: 200, all: 1_000 };
/// Answers a second to requests of trunks that are refused for their form.
const MALFORMED_PER_SECOND: u32 = 100;
/// No phone number of the world is shorter than seven digits with its country's: who dials less is no trunk's caller.
const NUMBER_MIN: u64 = 1_000_000;
/// Seconds after which a caller may try again when this node cannot take the call.
pub(super) const RETRY_AFTER: u32 = 5;
const ALLOW: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";

/// See the module's head.
#[derive(Debug)]
pub(super) struct Decider {
    pub(super) live: Arc<Live>,
    pub(super) journal: Arc<Journal>,
    /// The transports of the listeners: others cannot be sent by.
    transports: Vec<Transport>,
    unknown: Bucket,
    malformed: Bucket,
    challenges: Rations,
    wrong: Rations,
    look_ups: Rations,
    proofs: Proofs,
}

/// An answer, or a call that waits for its targets' names.
#[derive(Debug)]
pub(super) enum Step {
    Now(Verdict),
    Later(Box<Plan>),
    /// The caller's name has to be looked up: then [`Decider::named`] is asked.
    LookUp(String),
}

/// What a decision is taken with, beside the tables.
pub(super) struct Around<'a> {
    pub(super) now: Instant,
    pub(super) gauge: &'a Gauge,
    pub(super) names: &'a Names,
    pub(super) streams: &'a Streams,
    /// Takes the facts of the decision.
    pub(super) work: &'a mut Work,
}

impl Decider {
    pub(super) fn new(live: Arc<Live>, journal: Arc<Journal>, transports: Vec<Transport>) -> Self {
        let bucket = Bucket::new;
        Self {
            live,
            journal,
            transports,
            unknown: bucket(UNKNOWN_PER_SECOND),
            malformed: bucket(MALFORMED_PER_SECOND),
            challenges: Rations::new(CHALLENGES),
            wrong: Rations::new(WRONG),
            look_ups: Rations::new(LOOK_UPS),
            proofs: Proofs::new(),
        }
    }

    pub(super) fn decide(&mut self, ask: &Ask, around: &mut Around<'_>) -> Step {
        let trunks = self.sources(ask, around);
        let known = !trunks.is_empty() || self.live.is_known(ask.flow.remote, around.now);
        let verdict = match ask.kind {
            AskKind::Invite => return self.invite(ask, trunks, None, around),
            AskKind::Options if known => {
                Verdict::Answer { headers: vec![ALLOW.to_owned(), "Accept: application/sdp".to_owned()] }
            }
            AskKind::Other(_) if ask.register.is_some() => return self.register(ask, None, around),
            AskKind::Other(_) if known => refuse(405, "Method Not Allowed"),
            AskKind::Malformed { status, reason } if known && self.malformed.take(around.now) => {
                around.gauge.malformed.increment(1);
                refuse(status, reason)
            }
            AskKind::Malformed { .. } if known => {
                around.gauge.malformed.increment(1);
                Verdict::Drop
            }
            AskKind::Options | AskKind::Other(_) | AskKind::Malformed { .. } => {
                self.unheard(ask, around);
                Verdict::Drop
            }
        };
        Step::Now(verdict)
    }

    /// Decides an INVITE or a REGISTER whose sender's name was looked up.
    pub(super) fn named(&mut self, ask: &Ask, named: &Named, around: &mut Around<'_>) -> Step {
        if ask.register.is_some() {
            return self.register(ask, Some(named), around);
        }
        let trunks = self.sources(ask, around);
        self.invite(ask, trunks, Some(named), around)
    }

    /// The trunks that a request may have come through: by where it came from, and by the certificate that was shown there.
    fn sources(&self, ask: &Ask, around: &Around<'_>) -> Vec<TrunkRoute> {
        let mut trunks = self.live.trunks_of(ask.flow.remote);
        let shown = ask.flow.connection.filter(|_| ask.flow.transport.secure());
        if let Some(names) = shown.and_then(|connection| around.streams.names(connection)) {
            // What an endpoint calls from stays so, whatever domain somebody else says its trunk has.
            let owners = self.live.organizations_from(ask.flow.remote.ip());
            let own = |one: &TrunkRoute| {
                owners.is_empty() || one.organization_id.is_none_or(|owner| owners.contains(&owner))
            };
            let certified = self.live.trunks_certified(names.domains()).into_iter().filter(own);
            let new: Vec<_> = certified.filter(|one| trunks.iter().all(|other| other.id != one.id)).collect();
            trunks.extend(new);
        }
        let called = self.called(ask).filter(|one| trunks.iter().all(|other| other.id != one.id));
        trunks.extend(called);
        trunks
    }

    /// The trunk whose registered Contact a request is for: nobody but its carrier knows that.
    fn called(&self, ask: &Ask) -> Option<TrunkRoute> {
        self.live.registering.trunk_called(&ask.dialled.user).and_then(|id| self.live.trunk(id))
    }

    fn invite(
        &mut self,
        ask: &Ask,
        mut trunks: Vec<TrunkRoute>,
        named: Option<&Named>,
        around: &mut Around<'_>,
    ) -> Step {
        let dialled = dialled(ask);
        trunks.extend(dialled.and_then(|e164| self.live.account_of(e164, ask.flow.remote)));
        let guard = dialled.and_then(|e164| self.live.guard_of(e164));
        let shown = self.proofs.read(ask, &self.live, (guard.map(|trunk| trunk.id), named), around.now);
        self.proved(&shown, (ask.flow.remote.ip(), &ask.from.user), around.now);
        match &shown {
            Shown::Proven(Proven::Trunks(ids)) => {
                trunks.extend(ids.iter().filter_map(|id| self.live.trunk(*id)));
            }
            Shown::Unsure(name) => return self.look_up(name, ask, around),
            Shown::Proven(Proven::Number(_)) | Shown::Nothing | Shown::Wrong(_) | Shown::Stale => {}
        }
        if goes_out(&shown, &trunks)
            && let Some(step) = self.out(ask, &shown, around)
        {
            return step;
        }
        if trunks.is_empty() {
            // Who dials what can be no number, in the name of none, is no trunk's caller and no agent: scanners do.
            let may_be = dialled.is_some_and(|e164| e164.as_u64() >= NUMBER_MIN);
            if self.live.asks() && (may_be || registrar::is_name(&ask.from.user)) {
                return Step::Now(self.challenge(ask, &shown, around));
            }
            return Step::Now(self.stranger(ask, dialled, around));
        }
        if self.journal.full() {
            // A call whose record could not be kept is not begun.
            return Step::Now(refuse(503, "Call Records Cannot Be Kept"));
        }
        let caller = CallerShown::Number(E164::dialled(&ask.from.user, ask.from.phone_context.as_deref()));
        let offer = Some(offer(ask.media));
        let mut trail = Trail::default();
        let (at, name, tls) = (clock::now(), ask.call_id.as_str(), ask.flow.transport.secure());
        let call = CallIn { trunks: &trunks, dialled, caller, offer, at, name, tls: Some(tls) };
        match self.live.decide(call, |rule| trail.see(rule)) {
            // The number may be on a trunk whose callers can prove themselves, and the caller came from another's address. Where
            // that would be another tenant's trunk, a number that nobody holds gets the same answer.
            Err(Refused { why: Refusal::UnknownNumber, .. })
                if !matches!(shown, Shown::Proven(Proven::Trunks(_)))
                    && (guard.is_some()
                        || self.live.asks_beyond(&trunks)
                        || self.may_go_out(ask, &shown, &trunks)) =>
            {
                Step::Now(self.challenge(ask, &shown, around))
            }
            Ok(route) => {
                self.proven_by(ask, (&shown, route.routed.trunk.id), around, &mut trail);
                let agents = self.live.registrations.of(route.routed.number.id, around.now);
                if takes_registered(&route.endpoint) {
                    trail.see(RuleName::AgentRegistered.is(!agents.is_empty()));
                }
                let ids = CallIds {
                    call: clock::id(),
                    organization: route.routed.number.organization_id.0,
                    number: route.routed.number.id.0,
                };
                // Counted under the edge's lock: whoever comes next finds it.
                let whose = route.routed.number.organization_id;
                self.live.call_began_in(CallId(ids.call), &route.routed);
                let traced = (whose, route.routed.number.id);
                self.live.traces.begin(CallId(ids.call), traced, &ask.call_id);
                around.work.fact(started(ids, ask, dialled, (&route, trail)));
                let user = dialled.map_or_else(String::new, |e164| e164.to_string());
                let told = Told { call: ids.call, caller: &ask.from.user, number: &user, tls };
                let seed = (user.as_str(), ask.call_id.as_str());
                self.go(Plan::new((ask.id, ids), &route, (&self.live.health, told, &agents), seed), around)
            }
            Err(refused) => {
                for fact in self.row(ask, dialled, (refused, trail)) {
                    around.work.fact(fact);
                }
                Step::Now(refusal(&refused))
            }
        }
    }

    /// Whether a call to nobody's number may be one that an agent makes: by its name, of a number that calls out, and from an
    /// address that other organizations alone name as their trunks'. Nobody turns another's calls out round so.
    fn may_go_out(&self, ask: &Ask, shown: &Shown, trunks: &[TrunkRoute]) -> bool {
        if matches!(shown, Shown::Proven(_)) {
            return false;
        }
        match E164::dialled(&ask.from.user, ask.from.phone_context.as_deref()) {
            Some(e164) => {
                let number = self.live.number_out(e164).filter(|number| number.allow_outbound);
                number.is_some_and(|number| foreign(trunks, number.organization_id))
            }
            None => {
                registrar::is_name(&ask.from.user) && trunks.iter().all(|one| one.organization_id.is_some())
            }
        }
    }

    /// Notes what a call came by its trunk for, beside its address.
    fn proven_by(
        &self,
        ask: &Ask,
        (shown, trunk): (&Shown, ProviderId),
        around: &Around<'_>,
        trail: &mut Trail,
    ) {
        if self.contacted(ask, trunk) {
            trail.see(RuleName::CallerAtContact.is(true));
        }
        if self.certified(ask, trunk, around) {
            trail.see(RuleName::CallerCertified.is(true));
        }
        if matches!(shown, Shown::Proven(Proven::Trunks(ids)) if ids.contains(&trunk)) {
            trail.see(RuleName::CallerProven.is(true));
        }
    }

    /// Whether a call came by a trunk for the Contact alone that the trunk registered.
    fn contacted(&self, ask: &Ask, trunk: ProviderId) -> bool {
        self.called(ask).is_some_and(|one| one.id == trunk)
            && !self.live.trunks_of(ask.flow.remote).iter().any(|one| one.id == trunk)
    }

    /// Whether a call came by a trunk for its certificate alone.
    fn certified(&self, ask: &Ask, trunk: ProviderId, around: &Around<'_>) -> bool {
        let by_address = || self.live.trunks_of(ask.flow.remote).iter().any(|one| one.id == trunk);
        ask.flow.transport.secure()
            && !by_address()
            && self.sources(ask, around).iter().any(|one| one.id == trunk)
    }

    /// Sends a call on its way, once its targets are known.
    pub(super) fn go(&self, mut plan: Plan, around: &mut Around<'_>) -> Step {
        plan.settle(&self.transports, around.names);
        if !plan.settled() {
            return Step::Later(Box::new(plan));
        }
        let (facts, verdict) = plan.verdict();
        for fact in facts {
            around.work.fact(fact);
        }
        Step::Now(verdict)
    }

    /// A call from nobody's address is not answered. Now and then one leaves a row, so that a misconfigured carrier can be found.
    fn stranger(&mut self, ask: &Ask, dialled: Option<E164>, around: &mut Around<'_>) -> Verdict {
        self.unheard(ask, around);
        if self.unknown.take(around.now) && !self.journal.full() {
            let mut trail = Trail::default();
            trail.see(RuleName::SourceIsTrunk.is(false));
            let refused = Refused { why: Refusal::UnknownSource, number: None, trunk: None, answer: None };
            for fact in self.row(ask, dialled, (refused, trail)) {
                around.work.fact(fact);
            }
        }
        Verdict::Drop
    }

    /// Whoever has proved itself is trusted for a while.
    fn proved(&mut self, shown: &Shown, who: Who<'_>, now: Instant) {
        if matches!(shown, Shown::Proven(_)) {
            self.live.bans.trust(who.0, now);
            self.proofs.answered(who, now);
        }
    }

    /// A stranger asked for what strangers are not told.
    fn unheard(&self, ask: &Ask, around: &Around<'_>) {
        around.gauge.unknown_source.increment(1);
        gate::wrong(&self.live, ask.flow.remote.ip(), Fault::Asks, around.now);
    }

    /// An agent registers: it proves to be a number's, then it is done.
    fn register(&mut self, ask: &Ask, named: Option<&Named>, around: &mut Around<'_>) -> Step {
        let source = ask.flow.remote.ip();
        if !self.live.registers() || !registrar::is_name(&ask.to().user) {
            if self.live.is_known(ask.flow.remote, around.now) {
                return Step::Now(refuse(404, "Not Found"));
            }
            self.unheard(ask, around);
            return Step::Now(Verdict::Drop);
        }
        let shown = self.proofs.line(ask, &self.live, named, around.now);
        match &shown {
            Shown::Unsure(name) => self.look_up(name, ask, around),
            Shown::Proven(Proven::Number(line)) => {
                self.proved(&shown, (source, &ask.to().user), around.now);
                Step::Now(registrar::register(&self.live, line, ask, (around.now, clock::now())))
            }
            Shown::Proven(Proven::Trunks(_)) | Shown::Nothing | Shown::Wrong(_) | Shown::Stale => {
                if !self.may_ask(ask, &shown, around) {
                    return Step::Now(Verdict::Drop);
                }
                Step::Now(self.challenged(&shown, (source, &ask.to().user), around))
            }
        }
    }

    /// Whether somebody who proves nothing is asked for a password now; a stranger's wrong ones are counted.
    fn may_ask(&mut self, ask: &Ask, shown: &Shown, around: &Around<'_>) -> bool {
        let source = ask.flow.remote.ip();
        let known = self.live.is_known(ask.flow.remote, around.now);
        if matches!(shown, Shown::Wrong(_)) && !known {
            gate::wrong(&self.live, source, Fault::Password, around.now);
        }
        let may = self.challenges.take(source, around.now);
        if !may {
            around.gauge.unknown_source.increment(1);
            if !known {
                gate::wrong(&self.live, source, Fault::Overflow, around.now);
            }
        }
        may
    }

    /// Asks the caller for a password; silence where too many are asked already. A wrong one leaves a row, now and then, with
    /// whose number was dialled: a trunk whose password was mistyped can be found.
    fn challenge(&mut self, ask: &Ask, shown: &Shown, around: &mut Around<'_>) -> Verdict {
        let source = ask.flow.remote.ip();
        if !self.may_ask(ask, shown, around) {
            return Verdict::Drop;
        }
        if let Shown::Wrong(of) = shown
            && self.wrong.take(source, around.now)
            && !self.journal.full()
        {
            if let Some(line) = of {
                for fact in self.row_of_wrong(ask, line) {
                    around.work.fact(fact);
                }
                return self.challenged(shown, (source, &ask.from.user), around);
            }
            let dialled = dialled(ask);
            let trunk = dialled.and_then(|e164| self.live.guard_of(e164));
            let number = dialled.filter(|_| trunk.is_some()).and_then(|e164| self.live.number(e164));
            let mut trail = Trail::default();
            trail.see(RuleName::CallerProven.is(false));
            let refused = Refused { why: Refusal::NotProven, number, trunk, answer: None };
            for fact in self.row(ask, dialled, (refused, trail)) {
                around.work.fact(fact);
            }
        }
        self.challenged(shown, (source, &ask.from.user), around)
    }

    fn challenged(&mut self, shown: &Shown, who: Who<'_>, around: &Around<'_>) -> Verdict {
        around.gauge.challenged.increment(1);
        self.proofs.challenge(shown, who, around.now)
    }

    /// Has a name looked up; silence where too many are already: the caller repeats itself.
    fn look_up(&mut self, name: &str, ask: &Ask, around: &Around<'_>) -> Step {
        if self.look_ups.take(ask.flow.remote.ip(), around.now) {
            return Step::LookUp(name.to_owned());
        }
        around.gauge.unknown_source.increment(1);
        Step::Now(Verdict::Drop)
    }

    /// What a refused call leaves behind.
    fn row(&self, ask: &Ask, dialled: Option<E164>, (refused, trail): (Refused, Trail)) -> [Fact; 2] {
        let organization = refused
            .number
            .map(|n| n.organization_id)
            .or_else(|| refused.trunk.and_then(|t| t.organization_id));
        let ids = CallIds {
            call: clock::id(),
            organization: organization.unwrap_or(OrganizationId::NONE).0,
            number: refused.number.map_or(Uuid::nil(), |n| n.id.0),
        };
        if let Some(number) = refused.number {
            let traced = (number.organization_id, number.id);
            self.live.traces.begin(CallId(ids.call), traced, &ask.call_id);
        }
        let started = Started {
            number_id: refused.number.map(|n| n.id),
            provider_id: refused.trunk.map(|t| t.id),
            endpoint_id: refused.number.and_then(|n| n.endpoint_id),
            generation: self.live.generation(),
            trail,
            ..told(ask, dialled)
        };
        let at = clock::moment();
        [
            facts::about(ids, at, FactKind::Started(Box::new(started))),
            facts::about(ids, at, facts::refused(&refused)),
        ]
    }
}

fn started(ids: CallIds, ask: &Ask, dialled: Option<E164>, (route, trail): (&Route, Trail)) -> Fact {
    let started = Started {
        number_id: Some(route.routed.number.id),
        provider_id: Some(route.routed.trunk.id),
        endpoint_id: Some(route.routed.endpoint_id),
        generation: route.generation,
        price: route.routed.price,
        trail,
        ..told(ask, dialled)
    };
    facts::about(ids, clock::moment(), FactKind::Started(Box::new(started)))
}

/// Whether a call goes out: it comes from no trunk, or its number is proven and the trunks are none of its organization's.
fn goes_out(shown: &Shown, trunks: &[TrunkRoute]) -> bool {
    match shown {
        Shown::Proven(Proven::Number(line)) => foreign(trunks, line.organization_id),
        Shown::Proven(Proven::Trunks(_))
        | Shown::Unsure(_)
        | Shown::Nothing
        | Shown::Wrong(_)
        | Shown::Stale => trunks.is_empty(),
    }
}

/// Whether trunks are other organizations', each of them: neither this one's own nor the operator's.
fn foreign(trunks: &[TrunkRoute], owner: OrganizationId) -> bool {
    trunks.iter().all(|trunk| trunk.organization_id.is_some_and(|other| other != owner))
}

/// What the caller's offer says of encryption.
pub(super) fn offer(media: Media) -> Offer {
    match media {
        Media::Absent => Offer::Absent,
        Media::Unreadable => Offer::Unreadable,
        Media::Plain => Offer::Plain,
        Media::Secure => Offer::Secure,
        Media::Dtls => Offer::Dtls,
        Media::Mixed => Offer::Mixed,
    }
}

/// What the caller told of the call.
fn told(ask: &Ask, dialled: Option<E164>) -> Started {
    // What we are called by at a carrier is a secret: who was called stands in To then.
    let called = is_contact(&ask.dialled.user);
    let to = if called { ask.to().user } else { ask.dialled.user.clone() };
    let to = match to {
        to if is_contact(&to) => String::new(),
        to if to.is_empty() && !called => ask.request_uri(),
        to => to,
    };
    let from = if ask.from.user.is_empty() { ask.from_uri() } else { ask.from.user.clone() };
    Started {
        direction: domain::call::Direction::Inbound,
        number_id: None,
        number: dialled,
        from: facts::bounded(from),
        to: facts::bounded(to),
        provider_id: None,
        endpoint_id: None,
        generation: domain::Generation(0),
        price: Price::FREE,
        sip_call_id: facts::bounded(ask.call_id.clone()),
        trail: Trail::default(),
        source: Some(facts::place(ask.flow.transport, ask.flow.remote)),
    }
}

/// The number that was dialled: of the Request-URI, or, where that is none, of To (some carriers put a name of their own
/// into the request line).
fn dialled(ask: &Ask) -> Option<E164> {
    let read = |from: &sip::Dialled| E164::dialled(&from.user, from.phone_context.as_deref());
    read(&ask.dialled).or_else(|| read(&ask.to()))
}

fn refusal(refusal: &Refused) -> Verdict {
    // A stranger is told nothing but no.
    let words = (refusal.why != Refusal::UnknownSource).then(|| refusal.why.words());
    let status = refusal.sip_status();
    refused(status, words, (status == 503).then_some(RETRY_AFTER))
}

/// A refusal by the rules, with its words in a `Reason` (RFC 3326).
pub(super) fn refused(status: u16, words: Option<&str>, retry_after: Option<u32>) -> Verdict {
    let reason = phrase(status);
    let quoted = |words: &str| words.replace(['"', '\\'], "'");
    let reason_header = words.map(|words| format!("SIP;cause={status};text=\"{}\"", quoted(words)));
    Verdict::Refuse { status, reason, reason_header, retry_after, fact_call: None }
}

/// The phrase of a status of ours.
pub(super) fn phrase(status: u16) -> &'static str {
    match status {
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Temporarily Unavailable",
    }
}

pub(super) fn refuse(status: u16, reason: &'static str) -> Verdict {
    let retry_after = (status == 503).then_some(RETRY_AFTER);
    Verdict::Refuse { status, reason, reason_header: None, retry_after, fact_call: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_trunks_why_and_strangers_nothing() {
        for why in Refusal::ALL {
            let refused = Refused { why, number: None, trunk: None, answer: None };
            let Verdict::Refuse { status, reason_header, retry_after, .. } = refusal(&refused) else {
                panic!("{why:?}")
            };
            assert_eq!(retry_after.is_some(), why == Refusal::TrunkFull);
            assert_eq!(status, why.sip_status());
            assert_eq!(reason_header.is_some(), why != Refusal::UnknownSource);
            assert!(reason_header.is_none_or(|text| text.matches('"').count() == 2));
        }
    }
}
