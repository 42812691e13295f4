//! The targets of a decided call, in the order they are tried, until each has addresses or is passed over.

mod place;

use domain::Endpoint;
use domain::call::{self, FactKind, Unanswered};
use domain::reach::Reach;
use domain::rules::{Cause, Causes, Exit, Onward, TargetState};
use domain::target;
use sip::{
    Ask, AskId, CallIds, Direction, Leg, Manner, Outcome, Outcomes, Target, Transfer, Transport, Trust,
    Verdict,
};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::dress::{Dress, Told};
use super::resolve::Hops;
use super::{facts, resolve};
use crate::clock;
use crate::live::health::Healths;
use crate::live::registrations::Binding;
use crate::live::{Route, RouteLeg, RouteOut};
pub(super) use place::{NAME_NOT_FOUND, Place, State, transport, unspoken};
pub(crate) use place::{PRIVATE, passed, passed_out, unreached};

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

    /// An endpoint of targets with these priorities and weights.
    fn endpoint(rows: &[(u16, u16)]) -> Endpoint {
        use domain::endpoint::EndpointPatch;
        let uri = |at| target::TargetUri::parse(&format!("sip:192.0.2.{at}")).expect("a target");
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
