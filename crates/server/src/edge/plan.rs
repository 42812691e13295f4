//! The targets of a decided call, in the order they are tried, until each has addresses or is passed over.

use domain::call::{self, FactKind, Unanswered};
use domain::outbound::Destination;
use domain::provider::{FromForm, MediaEncryption};
use domain::reach::Reach;
use domain::rules::{Cause, Causes, Exit, Onward, TargetState};
use domain::target::{self, TargetUri};
use domain::{E164, Endpoint};
use sip::{
    Ask, AskId, CallIds, Direction, Flow, Hop, Leg, Manner, MediaRule, Outcome, Outcomes, Target, Transfer,
    Transport, Trust, Verdict,
};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::dress::Dress;
use super::dress::Told;
use super::resolve::Hops;
use super::{facts, resolve};
use crate::clock;
use crate::live::health::Healths;
use crate::live::registrations::Binding;
use crate::live::{Route, RouteLeg, RouteOut, WayOut};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) ask: AskId,
    ids: CallIds,
    pub(super) places: Vec<Place>,
    /// What comes after what; the targets of each are known once the places are settled.
    legs: Vec<Leg>,
    transfer: Transfer,
    direction: Direction,
    trust: Trust,
    /// What draws among equals are seeded by: the same for a repeat of the call.
    seed: String,
}

/// One target.
#[derive(Debug)]
pub(super) struct Place {
    /// Which leg it is of.
    leg: usize,
    /// Stands in To.
    pub(super) to: Option<String>,
    pub(super) from: Option<String>,
    pub(super) request_uri: String,
    /// Where the target says.
    pub(super) transport: Option<Transport>,
    pub(super) headers: Vec<String>,
    pub(super) media: MediaRule,
    pub(super) manner: Option<Arc<Manner>>,
    pub(super) state: State,
    /// The way of a registered agent.
    pub(super) flow: Option<Flow>,
    /// Where it may be, once its name is known.
    reach: Reach,
}

/// What is known of where a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its hops.
    Found(Hops),
    /// A name still to be resolved.
    Named(resolve::Place),
    /// Passed over, with the cause that its attempt gets.
    Skipped(&'static str),
}

impl Plan {
    /// The targets of a call's legs. `seed` is the call's name: a repeat of the same call has the same order. Targets that are
    /// down come last within their leg. `told` is what the call may wear at an endpoint that wants it; `agents` are those
    /// registered for the number, the newest first.
    pub(super) fn new(
        (ask, ids): (AskId, CallIds),
        route: &Route,
        (health, told, agents): (&Healths, Told<'_>, &[Binding]),
        (user, seed): (&str, &str),
    ) -> Self {
        let (places, legs, transfer) = (Vec::new(), Vec::new(), Transfer::Allowed);
        let (direction, trust) = (Direction::Inbound, Trust::Trusted);
        let mut plan = Self { ask, ids, places, legs, transfer, direction, trust, seed: seed.to_owned() };
        let dressed = |endpoint: &Endpoint, manner: &Option<Arc<Manner>>| {
            Dress::of(endpoint, manner.clone(), route.trunk_media, told)
        };
        if route.legs.is_empty() {
            let dress = dressed(&route.endpoint, &route.manner);
            plan.leg((&route.endpoint, &[], &route.reach), dress.as_ref(), (health, agents), (user, seed));
        }
        for RouteLeg { endpoint, manner, exits, reach } in &route.legs {
            let dress = dressed(endpoint, manner);
            plan.leg((endpoint, exits, reach), dress.as_ref(), (health, agents), (user, seed));
        }
        plan
    }

    fn leg(
        &mut self,
        (endpoint, exits, reach): (&Endpoint, &[Exit], &Reach),
        dress: Option<&Dress>,
        (health, agents): (&Healths, &[Binding]),
        (user, seed): (&str, &str),
    ) {
        let order = order((endpoint, reach), health, seed);
        let leg = self.legs.len();
        let targets = order.into_iter().filter_map(|at| endpoint.targets.get(at));
        let places = targets.flat_map(|target| Place::all((&target.uri, reach), user, dress, agents));
        self.places.extend(places.map(|place| Place { leg, ..place }));
        self.legs.push(Leg {
            targets: 0..0,
            failover: outcomes(endpoint.rules.moves_on()),
            ring: endpoint.rules.answer_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            exits: exits.iter().map(|exit| (outcomes(exit.on), onward(exit.to))).collect(),
        });
        if !endpoint.allow_transfer {
            // One cookie key of the whole call says it: the strictest place decides.
            self.transfer = Transfer::Refused;
        }
    }

    /// The ways of a call out. What the caller says of its identity stays here: who calls is told by us.
    pub(super) fn out(ask: &Ask, ids: CallIds, route: &RouteOut) -> Self {
        let (number, to) = (route.placed.number.e164, route.placed.to);
        // Whoever hides itself stays hidden; to the carrier it is asserted all the same.
        let shows = !ask.from.user.eq_ignore_ascii_case("anonymous");
        let places = route.ways.iter().map(|way| Place::out(way, (number, shows), to)).collect();
        let ask = ask.id;
        let allowed = route.endpoint.as_ref().is_none_or(|endpoint| endpoint.allow_transfer);
        let transfer = if allowed { Transfer::Allowed } else { Transfer::Refused };
        let (direction, trust, legs) = (Direction::Outbound, Trust::Untrusted, Vec::new());
        let seed = ids.call.to_string();
        Self { ask, ids, places, legs, transfer, direction, trust, seed }
    }

    /// Settles what needs no waiting: transports that no listener speaks, names that are known.
    pub(super) fn settle(&mut self, spoken: &[Transport], names: &resolve::Names) {
        for at in 0..self.places.len() {
            let Some(place) = self.places.get_mut(at) else { return };
            if matches!(place.state, State::Skipped(_)) {
                continue;
            }
            let unspoken = place.transport.filter(|transport| !spoken.contains(transport));
            if let Some(transport) = unspoken {
                place.state = State::Skipped(self::unspoken(transport));
            } else if let State::Named(asked) = &place.state
                && let Some(found) = names.recent(asked)
            {
                self.resolved(at, Some(&found));
            }
        }
    }

    /// A name was looked up: its hops for this call, or none.
    pub(super) fn resolved(&mut self, at: usize, found: Option<&resolve::Found>) {
        let seed = format!("{}/{at}", self.seed);
        if let Some(place) = self.places.get_mut(at) {
            place.resolved(found, &mut draws(&seed));
        }
    }

    /// True when every target has addresses or is passed over.
    pub(super) fn settled(&self) -> bool {
        self.places.iter().all(|place| !matches!(place.state, State::Named(..)))
    }

    /// The verdict, with the facts that come before it.
    pub(super) fn verdict(mut self) -> (Vec<domain::Fact>, Verdict) {
        let at = clock::moment();
        let (mut told, mut targets) = (Vec::new(), Vec::new());
        for place in std::mem::take(&mut self.places) {
            let begun = targets.len();
            if let Some(leg) = self.legs.get_mut(place.leg)
                && leg.targets.is_empty()
            {
                leg.targets = begun..begun;
            }
            match place.state {
                State::Found(Hops { hops, large }) => {
                    let Place { leg, request_uri, headers, manner, media, to, from, flow, .. } = place;
                    targets.push(Target {
                        request_uri,
                        hops,
                        large,
                        headers,
                        manner,
                        media,
                        to,
                        from,
                        flow,
                        ..Target::default()
                    });
                    if let Some(leg) = self.legs.get_mut(leg) {
                        leg.targets.end = targets.len();
                    }
                }
                // Of a leg that the call may never come to, nothing is told in advance.
                State::Skipped(_) | State::Named(..) if place.leg > 0 => {}
                State::Skipped(cause) => told.push((place.request_uri, cause)),
                State::Named(..) => told.push((place.request_uri, NAME_NOT_FOUND)),
            }
        }
        let causes: Vec<_> = told.iter().map(|(_, cause)| *cause).collect();
        let mut facts = passed_over(self.ids, at, told);
        if targets.is_empty() && self.legs.iter().all(|leg| leg.exits.is_empty()) {
            let (fact, verdict) = refused(unreached(&causes));
            facts.push(facts::about(self.ids, at, FactKind::Unanswered(fact)));
            return (facts, verdict);
        }
        // The edge counts its attempts from 0; the mark puts them behind those told here.
        let skipped = facts.len() as u64;
        for target in &mut targets {
            target.tag = skipped;
        }
        let Self { ids: call, direction, trust, transfer, legs, .. } = self;
        (facts, Verdict::Route { call, direction, trust, transfer, targets, legs })
    }
}

/// The attempts at targets that were passed over, each with its cause.
fn passed_over(ids: CallIds, at: call::Moment, told: Vec<(String, &'static str)>) -> Vec<domain::Fact> {
    told.into_iter()
        .enumerate()
        .map(|(n, (target, cause))| {
            let n = u16::try_from(n).unwrap_or(u16::MAX);
            let (started_at, ended_at) = (at.wall, at.wall);
            let cause = cause.to_owned();
            let attempt = call::Attempt {
                n,
                target,
                sip_status: None,
                cause,
                started_at,
                ended_at,
                hop: None,
                ringing_at: None,
                reason: None,
            };
            facts::about(ids, at, FactKind::Attempt(attempt))
        })
        .collect()
}

/// Whether an endpoint has a target for registered agents.
pub(crate) fn takes_registered(endpoint: &Endpoint) -> bool {
    endpoint.targets.iter().any(|target| target.enabled && target.uri.is_registered())
}

/// The order in which an endpoint's targets are tried for a call.
/// `reach` is its organization's.
pub(crate) fn order((endpoint, reach): (&Endpoint, &Reach), health: &Healths, seed: &str) -> Vec<usize> {
    let mut order = target::order(&endpoint.targets, draws(seed));
    if endpoint.rules.health.enabled {
        let known = health.of(endpoint, reach);
        // Stable: among those that are up, and among those that are down, the order stays.
        order.sort_by_key(|at| known.get(*at).is_some_and(|health| health.state == TargetState::Down));
    }
    order
}

/// Causes of rules in the edge's words.
pub(super) fn outcomes(causes: Causes) -> Outcomes {
    causes.iter().fold(Outcomes::NONE, |set, cause| match cause {
        Cause::Busy => set.with(Outcome::Busy),
        Cause::Declined => set.with(Outcome::Declined),
        Cause::NotFound => set.with(Outcome::NotFound),
        Cause::NoAnswer => set.with(Outcome::NoAnswer).with(Outcome::Timeout),
        Cause::Refused => set.with(Outcome::Refused),
        Cause::Failed => set.with(Outcome::Unavailable).with(Outcome::NoResponse).with(Outcome::Transport),
        Cause::TooLate => set.with(Outcome::TooLate),
        // Known before anything is tried: no attempt ends so.
        Cause::NoEndpoint
        | Cause::EndpointInactive
        | Cause::EndpointNotSip
        | Cause::NoTarget
        | Cause::AllDown
        | Cause::Closed => set,
    })
}

pub(super) fn onward(to: Onward) -> sip::Exit {
    match to {
        Onward::Leg(leg) => sip::Exit::Leg(leg),
        Onward::Refuse(status) => sip::Exit::Refuse { status, reason: super::decide::phrase(status) },
    }
}

/// The cause of a target for registered agents that has none.
const NOT_REGISTERED: &str = "not_registered";
/// The cause of a target whose name leads nowhere.
pub(super) const NAME_NOT_FOUND: &str = "name_not_found";
/// The cause of a target, a trunk or a registrar at addresses where its organization's may not be.
pub(crate) const PRIVATE: &str = "private_address";
/// What a call is told that found none.
const UNREGISTERED: &str =
    "No agent is registered for the number. Have one register with the number's SIP credentials.";
/// What a call is told whose places are all private.
const ALL_PRIVATE: &str =
    "Where the call goes is no public address: have the operator allow that (sip_private), or move it.";
const UNREACHED: &str = "No target could be reached: see the causes of its attempts.";

impl Place {
    /// A target, or each of the agents that it stands for.
    pub(super) fn all(
        (uri, reach): (&TargetUri, &Reach),
        user: &str,
        dress: Option<&Dress>,
        agents: &[Binding],
    ) -> Vec<Self> {
        let one = || Self::new((uri, reach), user, dress);
        if !uri.is_registered() {
            return vec![one()];
        }
        if agents.is_empty() {
            return vec![Self { state: State::Skipped(NOT_REGISTERED), ..one() }];
        }
        let reached = agents.iter().map(|agent| Self {
            request_uri: agent.contact.clone(),
            transport: Some(agent.flow.transport),
            state: State::Found(Hops { hops: vec![agent.flow.hop()], large: Vec::new() }),
            flow: Some(agent.flow),
            ..one()
        });
        reached.collect()
    }

    fn new((uri, reach): (&TargetUri, &Reach), user: &str, dress: Option<&Dress>) -> Self {
        let named = uri.named_transport().map(transport);
        let state = State::of(uri.host(), uri.named_port(), named).within(reach);
        let reach = reach.clone();
        let transport = named;
        let (headers, media, manner) = (Vec::new(), MediaRule::default(), None);
        let request_uri = uri.with_user(user);
        let (to, from) = (None, None);
        let place = Self {
            leg: 0,
            to,
            from,
            request_uri,
            transport,
            headers,
            media,
            manner,
            state,
            flow: None,
            reach,
        };
        match dress {
            None => place,
            Some(dress) => Self {
                headers: dress.headers.clone(),
                media: dress.media,
                manner: dress.manner.clone(),
                to: dress.to(&place.request_uri, user),
                ..place
            },
        }
    }

    /// A trunk: the number that calls is asserted (RFC 3325), whatever From shows.
    pub(super) fn out(way: &WayOut, (number, shows): (E164, bool), to: Destination) -> Self {
        let outbound = &way.outbound;
        let transport = Some(transport(outbound.transport));
        // It was checked when it was written.
        let (host, port) = target::host_and_port(&outbound.address).unwrap_or_default();
        let routed = way.routes.first().and_then(|first| State::routed(first, transport));
        let passes = routed.is_some();
        let (state, transport) = routed.unwrap_or_else(|| (State::of(host, port, transport), transport));
        let bracketed = target::bracketed(host);
        let mut headers = vec![format!("P-Asserted-Identity: <sip:{number}@{bracketed}>")];
        if passes {
            headers.push(format!("Route: {}", way.routes.join(", ")));
        }
        headers.extend(outbound.dial.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let media = match outbound.media_encryption {
            MediaEncryption::Disabled => MediaRule::SDES.and(MediaRule::DTLS),
            MediaEncryption::Allowed => MediaRule::default(),
            // keys that are read on the way keep nothing
            MediaEncryption::Required if transport.is_some_and(Transport::secure) => MediaRule::PLAIN,
            MediaEncryption::Required => MediaRule::PLAIN.and(MediaRule::SDES),
        };
        let rewritten = shows && outbound.dial.from == FromForm::Number;
        let from = rewritten.then(|| format!("sip:{number}@{bracketed}"));
        let login = way.login.clone();
        let manner = login.map(|login| Arc::new(Manner { login: Some(login), ..Manner::default() }));
        let (request_uri, to) = (outbound.request_uri(to), None);
        let (state, reach) = (state.within(&way.reach), way.reach.clone());
        Self { leg: 0, to, from, request_uri, transport, headers, media, manner, state, flow: None, reach }
    }

    /// Its name was looked up: its hops, or why there are none.
    pub(super) fn resolved(&mut self, found: Option<&resolve::Found>, draw: &mut impl FnMut(u32) -> u32) {
        self.state = State::resolved(found, draw).within(&self.reach);
    }
}

/// Why a target is passed over that needs no looking up to know; `agents` are those registered for the number.
pub(crate) fn passed((uri, reach): (&TargetUri, &Reach), agents: &[Binding]) -> Option<&'static str> {
    if uri.is_registered() {
        return agents.is_empty().then_some(NOT_REGISTERED);
    }
    (!reach.admits_address(uri.host())).then_some(PRIVATE)
}

/// The same of a way out.
pub(crate) fn passed_out(way: &WayOut, number: E164, to: Destination) -> Option<&'static str> {
    match Place::out(way, (number, true), to).state {
        State::Skipped(cause) => Some(cause),
        State::Found(_) | State::Named(_) => None,
    }
}

/// What a call is told of which no place is left, by the causes of all of them.
pub(crate) fn unreached(causes: &[&'static str]) -> (u16, &'static str) {
    let all = |wanted: &str| !causes.is_empty() && causes.iter().all(|cause| *cause == wanted);
    if all(NOT_REGISTERED) {
        (480, UNREGISTERED)
    } else if all(PRIVATE) {
        (503, ALL_PRIVATE)
    } else {
        (503, UNREACHED)
    }
}

fn refused((sip_status, words): (u16, &'static str)) -> (Unanswered, Verdict) {
    let (status, reason) = match sip_status {
        480 => (call::CallStatus::NoAnswer, "Temporarily Unavailable"),
        _ => (call::CallStatus::Failed, "No Target Reached"),
    };
    let reason_header = Some(format!("SIP;cause={sip_status};text=\"{words}\""));
    let verdict =
        Verdict::Refuse { status: sip_status, reason, reason_header, retry_after: None, fact_call: None };
    (Unanswered { sip_status, status, reason: words.to_owned(), by: None }, verdict)
}

/// The cause of a target whose transport no listener speaks.
pub(super) fn unspoken(transport: Transport) -> &'static str {
    match transport {
        Transport::Tls => "tls_unavailable",
        Transport::Tcp => "tcp_unavailable",
        Transport::Udp => "udp_unavailable",
        Transport::Ws => "ws_unavailable",
        Transport::Wss => "wss_unavailable",
    }
}

impl State {
    /// Of the first route that a call is to take, with its transport: the trunk's where it names none. A trunk that calls by TLS
    /// takes no route without.
    fn routed(route: &str, transport: Option<Transport>) -> Option<(Self, Option<Transport>)> {
        let inside = route.split('<').nth(1)?.split('>').next()?;
        let uri = sip::Uri::parse(inside.as_bytes())?;
        let named = match uri.scheme {
            sip::Scheme::Sips => Some(Transport::Tls),
            _ => uri.param(b"transport").and_then(Transport::read),
        };
        let secure = |one: Option<Transport>| one.is_some_and(Transport::secure);
        if secure(transport) && !secure(named.or(transport)) {
            return None;
        }
        let (host, transport) = (std::str::from_utf8(uri.host).ok()?, named.or(transport));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((Self::of(host, uri.port, transport), transport))
    }

    /// Of a name that was looked up.
    pub(super) fn resolved(found: Option<&resolve::Found>, draw: &mut impl FnMut(u32) -> u32) -> Self {
        let hops = found.map(|found| found.order(draw)).filter(|hops| !hops.hops.is_empty());
        hops.map_or(Self::Skipped(NAME_NOT_FOUND), Self::Found)
    }

    /// The same without the hops that are beyond reach; passed over where none is left.
    pub(super) fn within(mut self, reach: &Reach) -> Self {
        let Self::Found(Hops { hops, large }) = &mut self else { return self };
        hops.retain(|hop| reach.admits(hop.addr.ip()));
        large.retain(|hop| reach.admits(hop.addr.ip()));
        if hops.is_empty() { Self::Skipped(PRIVATE) } else { self }
    }

    pub(super) fn of(host: &str, port: Option<u16>, transport: Option<Transport>) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let transport = transport.unwrap_or(Transport::Udp);
                let addr = SocketAddr::new(address, port.unwrap_or_else(|| transport.port()));
                Self::Found(Hops { hops: vec![Hop { transport, addr }], large: Vec::new() })
            }
            Err(_) => Self::Named(resolve::Place { host: host.to_ascii_lowercase(), port, transport }),
        }
    }
}

pub(super) fn transport(named: target::Transport) -> Transport {
    match named {
        target::Transport::Udp => Transport::Udp,
        target::Transport::Tcp => Transport::Tcp,
        target::Transport::Tls => Transport::Tls,
        target::Transport::Ws => Transport::Ws,
        target::Transport::Wss => Transport::Wss,
    }
}

/// Draws in `0..=n`, the same for the same seed in any process (`SplitMix64`).
pub(super) fn draws(seed: &str) -> impl FnMut(u32) -> u32 {
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(seed.as_bytes());
    let mut state = hasher.finish();
    move |n| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // The high half times the range, shifted down: even to one part in 2^32.
        let scaled = ((mixed >> 32) * (u64::from(n) + 1)) >> 32;
        u32::try_from(scaled).unwrap_or(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_call_on_by_default_is_one_table_in_both_crates() {
        assert_eq!(outcomes(Causes::MOVES_ON), Outcomes::DEFAULT);
    }

    #[test]
    fn a_trunk_that_calls_by_tls_takes_no_route_without() {
        let by = |route, transport| State::routed(route, Some(transport)).map(|(_, transport)| transport);
        for (route, trunk, taken) in [
            ("<sip:p.example;lr>", Transport::Tls, Some(Some(Transport::Tls))),
            ("<sips:p.example;lr>", Transport::Tls, Some(Some(Transport::Tls))),
            ("<sip:p.example;transport=udp;lr>", Transport::Tls, None),
            ("<sip:192.0.2.1;transport=TCP;lr>", Transport::Tls, None),
            ("<sip:p.example;transport=tcp;lr>", Transport::Udp, Some(Some(Transport::Tcp))),
            ("<sip:p.example;transport=tls;lr>", Transport::Udp, Some(Some(Transport::Tls))),
        ] {
            assert_eq!(by(route, trunk), taken, "{route}");
        }
    }

    /// An endpoint of targets with these priorities and weights.
    fn endpoint(rows: &[(u16, u16)]) -> Endpoint {
        use domain::endpoint::EndpointPatch;
        let uri = |at| TargetUri::parse(&format!("sip:192.0.2.{at}")).expect("a target");
        let target = |(at, (priority, weight)): (usize, &(u16, u16))| target::Target {
            uri: uri(at),
            priority: *priority,
            weight: *weight,
            enabled: true,
        };
        let targets = Some(rows.iter().enumerate().map(target).collect());
        let patch = EndpointPatch { name: Some("e".into()), targets, ..EndpointPatch::default() };
        let (organization, id) =
            (domain::ids::OrganizationId::NONE, domain::ids::EndpointId(uuid::Uuid::nil()));
        let (environment, now) = (domain::number::Environment::Live, domain::Timestamp::UNIX_EPOCH);
        Endpoint::create(organization, id, patch, environment, now).expect("an endpoint")
    }

    /// How often each order comes up, over calls with names as carriers give them.
    fn orders(rows: &[(u16, u16)], calls: u32) -> std::collections::HashMap<Vec<usize>, u32> {
        let (endpoint, health) = (endpoint(rows), Healths::default());
        let mut counts = std::collections::HashMap::new();
        for call in 0..calls {
            let name = format!("{:x}-{call}@198.51.100.7", call.wrapping_mul(2_654_435_761));
            let at = (&endpoint, &Reach::ANYWHERE);
            let first = order(at, &health, &name);
            assert_eq!(first, order(at, &health, &name), "a repeat of the call");
            *counts.entry(first).or_default() += 1;
        }
        counts
    }

    /// Of so many calls, about this share: within five standard deviations, which one run in a million leaves by chance; the names
    /// are the same in each run.
    fn about(count: u32, calls: u32, share: f64) -> bool {
        let (calls, count) = (f64::from(calls), f64::from(count));
        (count - calls * share).abs() <= 5.0 * (calls * share * (1.0 - share)).sqrt() + 1.0
    }

    #[test]
    fn shares_of_targets_are_as_their_weights_say() {
        const CALLS: u32 = 40_000;
        for weights in
            [&[1_u16, 1][..], &[10, 90], &[1, 2, 3], &[50, 30, 15, 5], &[65_535, 65_535], &[1, 1, 1, 1, 1]]
        {
            let rows: Vec<_> = weights.iter().map(|weight| (10, *weight)).collect();
            let counts = orders(&rows, CALLS);
            let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            for (at, weight) in weights.iter().enumerate() {
                // RFC 2782 draws from 0 to the sum, both of them too: 0 is one more for the first in the list
                let first = |(order, count): (&Vec<usize>, &u32)| if order[0] == at { *count } else { 0 };
                let count = counts.iter().map(first).sum();
                let share = (f64::from(*weight) + if at == 0 { 1.0 } else { 0.0 }) / (total + 1.0);
                assert!(about(count, CALLS, share), "{weights:?}[{at}]: {count} of {CALLS}, for {share}");
            }
        }
        // and who comes second, where the first is taken away: 2 of 2 + 3 after the 1, each draw anew
        let counts = orders(&[(10, 1), (10, 2), (10, 3)], CALLS);
        let after_first: u32 = counts.iter().filter(|(order, _)| order[0] == 0).map(|(_, count)| count).sum();
        let share = (2.0 + 1.0) / (2.0 + 3.0 + 1.0);
        assert!(about(counts[&vec![0, 1, 2]], after_first, share), "{counts:?}");
    }

    #[test]
    fn a_lower_priority_comes_first_in_every_call_and_weight_0_almost_last() {
        const CALLS: u32 = 20_000;
        let counts = orders(&[(20, 500), (10, 1), (10, 3), (30, 0)], CALLS);
        assert!(counts.keys().all(|order| order[2..] == [0, 3]), "{counts:?}");
        // RFC 2782: "a very small chance of being selected", 1 in the sum of the others and one
        let counts = orders(&[(10, 0), (10, 60), (10, 39)], CALLS);
        let zero: u32 = counts.iter().filter(|(order, _)| order[0] == 0).map(|(_, count)| count).sum();
        assert!(about(zero, CALLS, 1.0 / 100.0) && zero > 0, "{zero}");
        // where all have none, there is no choice to make: they are tried as they are written
        assert_eq!(orders(&[(10, 0), (10, 0), (10, 0)], 100), [(vec![0, 1, 2], 100)].into());
        // a weight of 0 that is alone in its priority has its turn
        assert_eq!(orders(&[(10, 0), (20, 9)], 100), [(vec![0, 1], 100)].into());
    }

    #[test]
    fn draws_repeat_for_a_call_and_spread_over_calls() {
        let first = |seed: &str| draws(seed)(9);
        assert_eq!(first("a@b"), first("a@b"));
        let mut counts = [0_u32; 10];
        for call in 0..10_000 {
            counts[first(&format!("{call}@host")) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }
}
