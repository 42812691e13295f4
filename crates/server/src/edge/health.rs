//! Asks the targets of endpoints whether they are there, where the endpoint says so: an OPTIONS to each place, however many targets
//! name it, again and again. What is heard goes to `live::health`, where calls look. Not the call path, and never in its way: so many
//! questions are open at a time, of one organization fewer, and what is due beyond them waits; a process that ends asks nothing.

use domain::ids::OrganizationId;
use domain::reach::Reach;
use domain::rules::{Health, Heard, TargetState};
use hashbrown::HashMap;
use sip::{Cause, Fault, Hop, Probe, Probed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::facts;
use super::plan::{self, State};
use super::wire::Wire;
use crate::clock;
use crate::live::Live;
use crate::live::health::Spot;

/// How often it is looked at who is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How soon a change of endpoints is followed; where nobody is asked, how often that is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// The longest that a final answer is awaited; where a place is asked more often than that, until it is asked again.
const WAIT: Duration = Duration::from_secs(5);
/// How long a place that is asked from now on may wait for its first question, so that many do not begin at once.
const FIRST: Duration = Duration::from_secs(2);
/// Questions open at a time.
const OPEN_MAX: usize = 256;
/// Of those, for one organization.
const OPEN_OF_ONE: usize = 32;
/// Places that are asked.
const PLACES_MAX: usize = 65_536;
/// Addresses of one place that are asked, one after the other, until one answers.
const HOPS_MAX: usize = 4;

/// Questions whose answers somebody here awaits.
#[derive(Debug, Default)]
pub(super) struct Open {
    next: AtomicU64,
    awaited: Mutex<HashMap<u64, oneshot::Sender<Result<u16, Cause>>>>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<u16, Cause>>>> {
        // Plain data: whole whatever happened under the lock.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> (u64, oneshot::Receiver<Result<u16, Cause>>) {
        let (tell, told) = oneshot::channel();
        let mark = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(mark, tell);
        (mark, told)
    }

    /// An edge heard something.
    pub(super) fn heard(&self, probed: Probed) {
        if let Some(tell) = self.lock().remove(&probed.mark) {
            // Who awaited it may be gone: then it is nobody's.
            tell.send(probed.heard).ok();
        }
    }
}

/// A place that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    every: Duration,
    /// Whose endpoint it is; of several, the first's.
    organization: OrganizationId,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    wanted: Wanted,
    due: Instant,
    open: bool,
}

/// Who is asked when.
#[derive(Debug, Default)]
struct Rounds {
    rows: HashMap<Spot, Row>,
}

impl Rounds {
    /// These places are asked from now on, and no others. `draw(most)` gives a time up to `most`.
    fn follow(
        &mut self,
        wanted: &HashMap<Spot, Wanted>,
        now: Instant,
        mut draw: impl FnMut(Duration) -> Duration,
    ) {
        self.rows.retain(|spot, _| wanted.contains_key(spot));
        for (spot, one) in wanted {
            if let Some(row) = self.rows.get_mut(spot) {
                row.wanted = *one;
                row.due = row.due.min(now + one.every);
            } else {
                let due = now + draw(FIRST.min(one.every));
                self.rows.insert(spot.clone(), Row { wanted: *one, due, open: false });
            }
        }
    }

    /// Who is to be asked now, the longest due first; their questions are open from here on.
    fn due(&mut self, now: Instant) -> Vec<(Spot, Wanted)> {
        let mut open: HashMap<OrganizationId, usize> = HashMap::new();
        let mut room = OPEN_MAX;
        for row in self.rows.values().filter(|row| row.open) {
            *open.entry(row.wanted.organization).or_default() += 1;
            room = room.saturating_sub(1);
        }
        let mut due: Vec<_> = self.rows.iter_mut().filter(|(_, row)| !row.open && row.due <= now).collect();
        due.sort_by_key(|(_, row)| row.due);
        let mut chosen = Vec::new();
        for (spot, row) in due {
            let of_one = open.entry(row.wanted.organization).or_default();
            if chosen.len() < room && *of_one < OPEN_OF_ONE {
                *of_one += 1;
                row.open = true;
                chosen.push((spot.clone(), row.wanted));
            }
        }
        chosen
    }

    /// A question is over. False where the place is asked no longer: then nobody wants to know.
    fn done(&mut self, spot: &Spot, now: Instant, mut draw: impl FnMut(Duration) -> Duration) -> bool {
        let Some(row) = self.rows.get_mut(spot) else { return false };
        row.open = false;
        // Nine to eleven tenths of the interval: many that began together drift apart.
        row.due = now + row.wanted.every * 9 / 10 + draw(row.wanted.every / 5);
        true
    }
}

/// The places that endpoints want to be asked: as often as whoever wants it most.
fn wanted(live: &Live) -> HashMap<Spot, Wanted> {
    let mut all: HashMap<Spot, Wanted> = HashMap::new();
    for endpoint in live.asked() {
        let reach = live.reach_of(Some(endpoint.organization_id));
        let every = Duration::from_secs(endpoint.rules.health.interval_seconds.into());
        let one = Wanted { every, organization: endpoint.organization_id };
        for target in endpoint.targets.iter().filter(|target| target.enabled) {
            let Some(spot) = Spot::of(&target.uri, &reach) else { continue };
            if let Some(known) = all.get_mut(&spot) {
                known.every = known.every.min(every);
            } else if all.len() < PLACES_MAX {
                all.insert(spot, one);
            }
        }
    }
    all
}

/// Asks whoever is due, for as long as the task lives: its questions end with it.
pub(super) async fn follow(wire: Arc<Wire>) {
    let mut rounds = Rounds::default();
    let mut open: JoinSet<(Spot, Option<Heard>)> = JoinSet::new();
    let mut followed = None;
    describe();
    loop {
        let mut heard_of = false;
        while let Some(over) = open.try_join_next() {
            heard_of = true;
            match over {
                Ok((spot, heard)) => {
                    if rounds.done(&spot, clock::instant(), draw)
                        && let Some(heard) = heard
                    {
                        note(&wire, spot, heard);
                    }
                }
                Err(error) => tracing::error!(error = %error, "a question to a target failed"),
            }
        }
        let (now, generation) = (clock::instant(), wire.parts.live.generation());
        if followed.is_none_or(|(at, when)| at != generation && now.duration_since(when) >= FOLLOW_EVERY) {
            followed = Some((generation, now));
            rounds.follow(&wanted(&wire.parts.live), now, draw);
            wire.parts.live.health.keep(|spot| rounds.rows.contains_key(spot));
            levels(&wire, rounds.rows.len());
        }
        if heard_of {
            levels(&wire, rounds.rows.len());
        }
        for (spot, one) in rounds.due(now) {
            let wire = Arc::clone(&wire);
            open.spawn(async move {
                let heard = ask(&wire, &spot, one.every.min(WAIT)).await;
                (spot, heard)
            });
        }
        let idle = rounds.rows.is_empty() && open.is_empty();
        clock::sleep(if idle { FOLLOW_EVERY } else { LOOK_EVERY }).await;
    }
}

/// A time up to `most`.
fn draw(most: Duration) -> Duration {
    let part = u32::from_le_bytes(clock::random());
    most.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

/// Asks a place: each of its addresses until one answers. None where it could not be asked for want of room here.
async fn ask(wire: &Arc<Wire>, spot: &Spot, wait: Duration) -> Option<Heard> {
    let hops = match hops(wire, spot).await {
        Ok(hops) => hops,
        Err(heard) => return Some(heard),
    };
    let mut last = None;
    for hop in hops.into_iter().take(HOPS_MAX) {
        let heard = ask_hop(wire, spot, hop, wait).await;
        if heard.is_some_and(Heard::is_alive) {
            return heard;
        }
        last = last.or(heard);
    }
    last
}

async fn hops(wire: &Arc<Wire>, spot: &Spot) -> Result<Vec<Hop>, Heard> {
    let transport = spot.transport.map(plan::transport);
    if let Some(unspoken) = transport.filter(|transport| !wire.speaks(*transport)) {
        return Err(Heard::Failed(plan::unspoken(unspoken)));
    }
    let live = &wire.parts.live;
    let reach = if spot.public { live.reach_of_public() } else { Reach::ANYWHERE };
    let state = match State::of(&spot.host, spot.port, transport) {
        State::Named(place) => {
            let found = wire.names.look_up(&place, &wire.spoken).await;
            // By priority; among equals as they stand: all are asked until one answers.
            State::resolved(found.as_deref(), &mut |_| 0)
        }
        state @ (State::Found(_) | State::Skipped(_)) => state,
    };
    match state.within(&reach) {
        State::Found(hops) => Ok(hops.hops),
        State::Skipped(cause) => Err(Heard::Failed(cause)),
        State::Named(_) => Err(Heard::Failed(plan::NAME_NOT_FOUND)),
    }
}

async fn ask_hop(wire: &Arc<Wire>, spot: &Spot, hop: Hop, wait: Duration) -> Option<Heard> {
    let (mark, told) = wire.open.begin();
    let call_id = format!("{}@{}", clock::id(), wire.public_host());
    let probe = Probe { mark, hop, uri: spot.uri(), call_id, wait };
    let sent = wire.act(&probe.call_id, |edge, now| edge.probe(now, &probe));
    if let Err(why) = sent {
        wire.open.lock().remove(&mark);
        return (why != Fault::Full).then(|| Heard::Failed(facts::fault(why)));
    }
    // The edge tells it within its wait.
    let heard = told.await.ok()?;
    Some(match heard {
        Ok(status) => Heard::Answer(status),
        Err(Cause::Fault(why)) => Heard::Failed(facts::fault(why)),
        Err(_) => Heard::NoResponse,
    })
}

/// Takes note of what was heard.
fn note(wire: &Wire, spot: Spot, heard: Heard) {
    let outcome = match heard {
        Heard::Answer(_) => heard.cause(),
        Heard::NoResponse => "no_response",
        Heard::Failed(_) => "failed",
    };
    metrics::counter!("trunkline_target_probes_total", "outcome" => outcome).increment(1);
    let host = spot.host.clone();
    let (before, Health { state, .. }) = wire.parts.live.health.put(spot, heard, clock::now());
    match (before, state) {
        (TargetState::Unknown | TargetState::Up, TargetState::Down) => {
            tracing::warn!(target.host = %host, cause = heard.cause(), "a target is down: calls try it last");
        }
        (TargetState::Down, TargetState::Up) => tracing::info!(target.host = %host, "a target is up again"),
        _ => {}
    }
}

fn describe() {
    metrics::describe_gauge!(
        "trunkline_targets",
        "Places of targets that are asked whether they are there, by state"
    );
    metrics::describe_counter!("trunkline_target_probes_total", "Questions to targets, by what came of them");
}

/// Of places that nothing was heard of yet, nothing is known.
fn levels(wire: &Wire, asked: usize) {
    let [unknown, up, down] = wire.parts.live.health.counts();
    let unheard = asked.saturating_sub(unknown + up + down);
    for ((_, name), count) in TargetState::NAMES.into_iter().zip([unknown + unheard, up, down]) {
        metrics::gauge!("trunkline_targets", "state" => name)
            .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn spot(n: usize) -> Spot {
        Spot { host: format!("h{n}"), port: None, transport: None, public: false }
    }

    fn one(seconds: u64, organization: u128) -> Wanted {
        Wanted {
            every: Duration::from_secs(seconds),
            organization: OrganizationId(Uuid::from_u128(organization)),
        }
    }

    fn names(due: Vec<(Spot, Wanted)>) -> Vec<String> {
        due.into_iter().map(|(spot, _)| spot.host).collect()
    }

    #[test]
    fn a_place_is_asked_once_at_a_time_and_again_after_its_interval() {
        let (begin, second) = (clock::instant(), Duration::from_secs(1));
        let mut rounds = Rounds::default();
        let all: HashMap<_, _> = [(spot(0), one(10, 1))].into();
        rounds.follow(&all, begin, |most| most);
        assert_eq!(names(rounds.due(begin)), [""; 0], "not all at once");
        assert_eq!(names(rounds.due(begin + FIRST)), ["h0"]);
        assert_eq!(names(rounds.due(begin + 100 * second)), [""; 0], "its question is open");
        assert!(rounds.done(&spot(0), begin + 3 * second, |_| Duration::ZERO));
        assert_eq!(names(rounds.due(begin + 11 * second)), [""; 0], "nine tenths at the least");
        assert_eq!(names(rounds.due(begin + 12 * second)), ["h0"]);
        assert!(rounds.done(&spot(0), begin + 12 * second, |most| most));
        assert_eq!(names(rounds.due(begin + 22 * second)), [""; 0], "eleven tenths at the most");
        // a shorter interval holds from now on
        rounds.follow(&[(spot(0), one(2, 1))].into(), begin + 13 * second, |most| most);
        assert_eq!(names(rounds.due(begin + 15 * second)), ["h0"]);
        // and one that nobody wants to know of is not heard
        rounds.follow(&HashMap::new(), begin + 15 * second, |most| most);
        assert!(!rounds.done(&spot(0), begin + 16 * second, |most| most));
        assert_eq!(names(rounds.due(begin + 100 * second)), [""; 0]);
    }

    #[test]
    fn open_questions_are_bounded_and_no_organization_takes_all_of_them() {
        let begin = clock::instant();
        let mut rounds = Rounds::default();
        let many: HashMap<_, _> =
            (0..1000).map(|n| (spot(n), one(10, if n < 990 { 1 } else { 2 }))).collect();
        rounds.follow(&many, begin, |_| Duration::ZERO);
        let due = rounds.due(begin);
        let of = |who: u128| due.iter().filter(|(_, one)| one.organization.0 == Uuid::from_u128(who)).count();
        assert_eq!((of(1), of(2)), (OPEN_OF_ONE, 10));
        assert_eq!(rounds.due(begin).len(), 0, "no room before one is over");
        let first = due.iter().find(|(_, one)| one.organization.0 == Uuid::from_u128(1)).unwrap();
        rounds.done(&first.0, begin, |most| most);
        assert_eq!(rounds.due(begin).len(), 1);
        let each: HashMap<_, _> = (0..1000).map(|n| (spot(n), one(10, n as u128))).collect();
        let mut rounds = Rounds::default();
        rounds.follow(&each, begin, |_| Duration::ZERO);
        assert_eq!(rounds.due(begin).len(), OPEN_MAX);
    }
}
