//! Calls that an API begins, from the decision to the bridge: on record first, then on their way. And calls that an earlier
//! process placed, from their record back into the bridge.

use domain::call::{CallStatus, EndedBy, FactKind, Started, Unanswered};
use domain::ids::{CallId, OrganizationId};
use domain::originate::{LegParts, Origin};
use domain::outbound::Destination;
use domain::provider::MediaEncryption;
use domain::trail::Trail;
use domain::{Call, CallEnd, Endpoint, Fact};
use sip::{BridgeDialogs, BridgeLeg, CallIds, MediaRule, Origination, Party, Sound, Target, Transfer};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::bridge::Stranded;
use super::control::{self, Control};
use super::dress::{self, Dress, Told};
use super::facts;
use super::plan::{self, Place, State};
use super::resolve::Hops;
use crate::clock;
use crate::live::{RouteOut, WayOut};

/// How long an agent may take to answer before anybody is called.
const AGENT_ANSWER: Duration = Duration::from_mins(1);

/// A call to be placed, as it was decided.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) ids: CallIds,
    pub(crate) route: RouteOut,
    /// Who answers for the number.
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) origin: Origin,
    /// The rules of its decision.
    pub(crate) trail: Trail,
    /// How long it may ring.
    pub(crate) ring: Duration,
    /// Header lines for the agent.
    pub(crate) headers: Vec<String>,
    /// What both sides are offered.
    pub(crate) sound: Sound,
}

impl Placement {
    fn called(&self) -> String {
        match self.route.placed.to {
            Destination::Number(e164, _) => e164.to_string(),
            Destination::Emergency(digits) => digits.to_string(),
        }
    }

    /// The facts of a call that is to be placed.
    fn facts(&self) -> Vec<Fact> {
        let placed = &self.route.placed;
        let started = Started {
            direction: domain::call::Direction::Outbound,
            number_id: Some(placed.number.id),
            number: Some(placed.number.e164),
            from: placed.number.e164.to_string(),
            to: self.called(),
            provider_id: placed.trunks.first().copied(),
            endpoint_id: Some(self.endpoint.id),
            generation: self.route.generation,
            price: placed.price,
            sip_call_id: String::new(),
            trail: self.trail,
            source: None,
        };
        let at = clock::moment();
        vec![
            facts::about(self.ids, at, FactKind::Started(Box::new(started))),
            facts::about(self.ids, at, FactKind::Origin(Box::new(self.origin.clone()))),
        ]
    }
}

impl Control {
    /// Decides while nobody else does: what is counted in it, the next one finds.
    pub(crate) fn in_turn<T>(&self, decide: impl FnOnce() -> T) -> T {
        self.wire.in_turn(decide)
    }

    /// Puts a call that is to be placed on record, and counts it: before anybody is told of it, and before anything is sent.
    /// None where its record could not be kept.
    pub(crate) fn record(&self, placement: &Placement) -> Option<(Call, Vec<Fact>)> {
        let wire = &self.wire;
        if wire.parts.journal.full() || wire.bridges.draining.load(Ordering::Acquire) {
            return None;
        }
        let (call, placed) = (CallId(placement.ids.call), &placement.route.placed);
        wire.parts.live.call_placed(call, placed);
        // The Call-IDs of its legs come with them.
        let whose = (placed.number.organization_id, placed.number.id);
        wire.parts.live.traces.begin(call, whose, &call.0.to_string());
        wire.parts.live.traces.hide(call, placement.route.own_headers());
        let facts = placement.facts();
        let recorded = Call::fold(&facts)?;
        wire.bridges.wait(call.0);
        self.tell(facts.clone());
        Some((recorded, facts))
    }

    /// Ends a call that is on record and not on its way; false where it is not there.
    pub(super) fn unplaced(&self, (organization, call): (OrganizationId, CallId)) -> bool {
        let waited = self.wire.bridges.waited(call.0);
        if waited {
            let ids = CallIds { call: call.0, organization: organization.0, number: uuid::Uuid::nil() };
            let (status, reason) = (CallStatus::Cancelled, CallEnd::Api.words().to_owned());
            let unanswered = Unanswered { sip_status: 487, status, reason, by: Some(EndedBy::Api) };
            self.tell(vec![facts::about(ids, clock::moment(), FactKind::Unanswered(unanswered))]);
        }
        waited
    }

    /// A call that is on record and will not be placed after all.
    pub(crate) fn withdraw(&self, ids: CallIds, reason: &str) {
        self.wire.bridges.waited(ids.call);
        let (status, reason) = (CallStatus::Failed, reason.to_owned());
        let unanswered = Unanswered { sip_status: 503, status, reason, by: None };
        self.tell(vec![facts::about(ids, clock::moment(), FactKind::Unanswered(unanswered))]);
    }

    fn tell(&self, mut facts: Vec<Fact>) {
        let parts = &self.wire.parts;
        for fact in &facts {
            parts.tally.saw(fact);
            parts.live.saw(fact);
        }
        parts.journal.append(&mut facts);
    }

    /// Places a call that is on record. Names of targets are looked up beside the caller.
    pub(crate) fn place(&self, placement: Placement) {
        let control = self.clone();
        self.wire.spawn(async move { control.placed(placement).await });
    }

    async fn placed(&self, placement: Placement) {
        let (user, dialled) = (placement.route.placed.number.e164, placement.called());
        let Placement { ids, route, endpoint, ring, headers, sound, origin: _, trail: _ } = placement;
        let number = user.to_string();
        let told = Told { call: ids.call, caller: &dialled, number: &number, tls: false };
        let manner = self.wire.parts.live.manner_of(endpoint.id);
        let dress = Dress::of(&endpoint, manner, MediaEncryption::Allowed, told);
        let live = &self.wire.parts.live;
        let reach = live.reach_of(Some(endpoint.organization_id));
        let order = plan::order((&endpoint, &reach), &live.health, &ids.call.to_string());
        let order = order.into_iter().filter_map(|at| endpoint.targets.get(at));
        let bound = live.registrations.of(route.placed.number.id, clock::instant());
        let all = |target: &domain::target::Target| {
            Place::all((&target.uri, &reach), &number, dress.as_ref(), &bound)
        };
        let agents = order.flat_map(all).collect();
        let to = route.placed.to;
        let trunks = route.ways.iter().map(|way| Place::out(way, (user, true), to)).collect();
        let seed = ids.call.to_string();
        let (agents, trunks) = tokio::join!(self.targets(agents, &seed), self.targets(trunks, &seed));
        if !self.wire.bridges.waited(ids.call) {
            // It was ended meanwhile.
            return;
        }
        let (mut agents, trunks) = match (agents, trunks) {
            (Ok(agents), Ok(trunks)) => (agents, trunks),
            (Err(causes), _) => return self.withdraw(ids, &unfound("the agent", &causes)),
            (_, Err(causes)) => return self.withdraw(ids, &unfound("the trunk", &causes)),
        };
        for target in &mut agents {
            // an endpoint's own headers may have one of ours
            let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            let own: Vec<_> = target.headers.iter().map(|line| name(line)).collect();
            target.headers.extend(headers.iter().filter(|line| !own.contains(&name(line))).cloned());
        }
        let host = domain::target::bracketed(self.wire.public_host());
        let transfer = if endpoint.allow_transfer { Transfer::Allowed } else { Transfer::Refused };
        let party = |targets, user: String, answer| Party {
            targets,
            from: format!("sip:{user}@{host}"),
            to: String::new(),
            answer,
        };
        // to its agent a call seems to come from whom it is about to talk to
        let agent = party(agents, dialled, AGENT_ANSWER);
        let phone = party(trunks, user.to_string(), ring);
        let media = media(&route.ways, &endpoint);
        let new = Origination { ids, agent, callee: phone, transfer, sound, media };
        if !self.wire.bridges.act(&self.wire, |bridges, now| bridges.originate(now, new)) {
            self.withdraw(ids, "Too many calls are placed at once.");
        }
    }

    /// The targets of places; where there are none, why not.
    async fn targets(&self, places: Vec<Place>, seed: &str) -> Result<Vec<Target>, Vec<&'static str>> {
        let wire = &self.wire;
        let mut draw = plan::draws(seed);
        let (mut targets, mut causes) = (Vec::new(), Vec::new());
        let mut asking = JoinSet::new();
        for (at, place) in places.iter().enumerate() {
            if let State::Named(asked) = &place.state {
                let (wire, asked) = (Arc::clone(wire), asked.clone());
                asking.spawn(async move { (at, wire.names.look_up(&asked, &wire.spoken).await) });
            }
        }
        let mut found: HashMap<usize, _> = asking.join_all().await.into_iter().collect();
        for (at, mut place) in places.into_iter().enumerate() {
            if let Some(transport) = place.transport.filter(|transport| !wire.speaks(*transport)) {
                causes.push(plan::unspoken(transport));
                continue;
            }
            if matches!(place.state, State::Named(_)) {
                place.resolved(found.remove(&at).flatten().as_deref(), &mut draw);
            }
            let Place { to, from, request_uri, headers, media, manner, state, flow, .. } = place;
            match state {
                State::Found(Hops { hops, large }) => {
                    let target = Target { request_uri, hops, large, flow, headers, ..Target::default() };
                    targets.push(Target { media, manner, to, from, ..target });
                }
                State::Skipped(cause) => causes.push(cause),
                State::Named(_) => causes.push(plan::NAME_NOT_FOUND),
            }
        }
        if targets.is_empty() { Err(causes) } else { Ok(targets) }
    }

    /// Takes a call that an earlier process placed over, from its record; true when it is here now.
    pub(crate) fn adopt(&self, call: &Call) -> bool {
        let Some(mut dialogs) = dialogs(call) else { return false };
        // What was seen within the moment is on its way to the record.
        let steps = self.wire.parts.tally.steps(call.id).map(control::highest);
        dialogs.callee.cseq = dialogs.callee.cseq.max(steps[0]);
        dialogs.agent.cseq = dialogs.agent.cseq.max(steps[1]);
        let login = |id: Option<uuid::Uuid>| id.and_then(|id| self.wire.parts.live.login(id));
        dialogs.logins = [login(call.endpoint_id.map(|id| id.0)), login(call.provider_id.map(|id| id.0))];
        let endpoint = call.endpoint_id.and_then(|id| self.wire.parts.live.endpoint_of(id));
        let trunk = call.provider_id.and_then(|id| self.wire.parts.live.way_of(id));
        if let Some(endpoint) = &endpoint {
            dialogs.media = media(trunk.as_slice(), endpoint);
        }
        let allowed = endpoint.is_some_and(|endpoint| endpoint.allow_transfer);
        let transfer = if allowed { Transfer::Allowed } else { Transfer::Refused };
        self.wire.bridges.act(&self.wire, |bridges, now| bridges.adopt(now, ids(call), dialogs, transfer))
    }

    /// Asks both sides of a call that an earlier process placed whether they are still there; where one is not, it ends.
    pub(crate) fn probe(&self, call: &Call) {
        if self.adopt(call) {
            self.wire.bridges.act(&self.wire, |bridges, now| bridges.probe(now, call.id.0));
        }
    }

    /// Ends what an earlier process left of a call that it was placing.
    pub(crate) fn abandon(&self, call: &Call) {
        self.withdraw(ids(call), "The service was restarted while the call was being set up.");
        let legs: Vec<_> = call.legs.iter().map(|parts| (side(parts.side), leg(parts))).collect();
        self.wire.bridges.act(&self.wire, |bridges, now| bridges.abandon(now, ids(call), &legs));
    }

    /// The calls of earlier processes are here, or were given up: from now on an answer that belongs to none is ended.
    pub(crate) fn adopted(&self) {
        self.wire.bridges.act(&self.wire, |bridges, _| bridges.hold(false));
    }

    /// Messages of calls that are not in memory; whoever asks first has them.
    pub(crate) fn stranded(&self) -> Option<mpsc::Receiver<Stranded>> {
        self.wire.bridges.stranded()
    }

    /// Gives a message again, whose call is here now.
    pub(crate) fn again(&self, stranded: &Stranded) {
        self.wire.bridges.message(&self.wire, stranded.flow, &stranded.bytes);
    }

    /// Refuses a message whose call is over, or was never heard of.
    pub(crate) fn refuse(&self, stranded: &Stranded) {
        self.wire.bridges.act(&self.wire, |bridges, _| bridges.refuse(stranded.flow, &stranded.bytes));
    }
}

/// What is told of a call that has no place to go to on a side.
fn unfound(side: &str, causes: &[&str]) -> String {
    if !causes.is_empty() && causes.iter().all(|cause| *cause == plan::PRIVATE) {
        return format!(
            "The address of {side} is not public, and this organization's may not be private (sip_private)."
        );
    }
    format!("No address of {side} was found, or none by a transport that is spoken here.")
}

fn ids(call: &Call) -> CallIds {
    CallIds {
        call: call.id.0,
        organization: call.organization_id.0,
        number: call.number_id.map_or(uuid::Uuid::nil(), |id| id.0),
    }
}

fn side(side: domain::call::Side) -> sip::Side {
    match side {
        domain::call::Side::Caller => sip::Side::Caller,
        domain::call::Side::Callee => sip::Side::Callee,
    }
}

fn leg(parts: &LegParts) -> BridgeLeg {
    let LegParts { side: _, call_id, ours, theirs, target, routes, hop, cseq, branch } = parts.clone();
    let (place, listener) = (control::hop(&hop), control::listener(&hop).unwrap_or_default());
    BridgeLeg { call_id, ours, theirs, target, routes, hop: place, listener, cseq, branch }
}

/// Both dialogs of a call that is up, as its record has them.
fn dialogs(call: &Call) -> Option<BridgeDialogs> {
    let parts = call.dialog.as_ref()?;
    let mut agent = leg(parts.bridged.as_deref()?);
    agent.cseq = agent.cseq.max(parts.callee_cseq);
    let callee = BridgeLeg {
        call_id: parts.call_id.clone(),
        ours: parts.from.clone(),
        theirs: parts.to.clone(),
        target: parts.callee_contact.clone(),
        routes: parts.callee_routes.clone(),
        hop: control::hop(&parts.callee_hop),
        listener: control::listener(&parts.callee_hop).unwrap_or_default(),
        cseq: parts.cseq,
        branch: String::new(),
    };
    Some(BridgeDialogs { agent, callee, ..BridgeDialogs::default() })
}

/// Which offers a call's sides may not make: what its endpoint or a trunk of its way does not take.
fn media(ways: &[WayOut], endpoint: &Endpoint) -> MediaRule {
    // That keys travel by TLS only was seen to before anything was sent.
    let rules = ways.iter().map(|way| dress::rule(way.outbound.media_encryption, endpoint, true));
    rules.fold(dress::rule(MediaEncryption::Allowed, endpoint, true), MediaRule::and)
}
