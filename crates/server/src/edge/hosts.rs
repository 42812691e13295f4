//! Keeps the hosts that trunks name looked up, and our own names, beside the call path: each again when its answer has aged, within
//! bounds.

use domain::Timestamp;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

use super::wire::Wire;
use crate::clock;
use crate::live::hosts::Looked;

/// How often names that are due are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon a name is asked again after nobody answered.
const AGAIN: Duration = Duration::from_secs(10);
/// How soon a name is asked again that is not there.
const ABSENT: Duration = Duration::from_secs(15);
/// Names that are asked at once.
const AT_ONCE: usize = 32;

/// Which name is asked when.
#[derive(Debug, Default)]
struct Rounds(HashMap<String, Instant>);

impl Rounds {
    /// These names are asked from now on, and no others.
    fn follow(&mut self, names: Vec<String>, now: Instant) {
        let names: HashSet<String> = names.into_iter().collect();
        self.0.retain(|name, _| names.contains(name));
        for name in names {
            self.0.entry(name).or_insert(now);
        }
    }

    /// So many of those that are due: whoever has waited longest comes first, so that nobody's many names keep another's away.
    fn due(&mut self, now: Instant, room: usize) -> Vec<String> {
        let mut due: Vec<_> = self.0.iter_mut().filter(|(_, due)| **due <= now).collect();
        due.sort_by_key(|(_, due)| **due);
        let chosen = due.into_iter().take(room);
        // Until its answer says when: a look-up takes less.
        let asked = |(name, due): (&String, &mut Instant)| {
            *due = now + AGAIN;
            name.clone()
        };
        chosen.map(asked).collect()
    }

    fn put(&mut self, name: &str, next: Instant) {
        if let Some(due) = self.0.get_mut(name) {
            *due = next;
        }
    }
}

/// Keeps the hosts of trunks resolved, and our `own` names, until the task is dropped.
pub(super) async fn follow(wire: Arc<Wire>, own: Vec<String>) {
    metrics::describe_counter!("trunkline_trunk_host_lookups_total", "Look-ups of hosts that trunks name");
    let mut rounds = Rounds::default();
    let mut asking: JoinSet<(String, (Looked, Duration))> = JoinSet::new();
    loop {
        while let Some(done) = asking.try_join_next() {
            let Ok((name, answer)) = done else { continue };
            if let (true, Looked::Found(addresses)) = (own.contains(&name), &answer.0) {
                wire.parts.live.put_own(&name, addresses.iter().copied());
            }
            let pause = note(&wire, &name, answer);
            rounds.put(&name, clock::instant() + pause);
        }
        let now = clock::instant();
        rounds.follow([wire.parts.live.hosts(), own.clone()].concat(), now);
        // One that is slow holds up no others.
        for name in rounds.due(now, AT_ONCE.saturating_sub(asking.len())) {
            let wire = Arc::clone(&wire);
            asking.spawn(async move {
                let answer = wire.names.host(&name).await;
                (name, answer)
            });
        }
        clock::sleep(LOOK_EVERY).await;
    }
}

/// Takes note of an answer; gives how soon the name is asked again.
fn note(wire: &Wire, name: &str, (looked, lasts): (Looked, Duration)) -> Duration {
    let (result, pause) = match &looked {
        Looked::Found(_) => ("found", lasts),
        Looked::Absent => ("absent", ABSENT),
        Looked::Failed => ("failed", AGAIN),
    };
    metrics::counter!("trunkline_trunk_host_lookups_total", "result" => result).increment(1);
    if !matches!(looked, Looked::Found(_)) {
        tracing::warn!(host = %name, result, "a host of a trunk, or our own, cannot be resolved: the last answer stays");
    }
    let at = clock::now();
    let next = at.checked_add(pause).unwrap_or(Timestamp::MAX);
    wire.parts.live.put_host(name, looked, (at, next));
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_that_are_asked_often_keep_no_other_away() {
        let (begin, second) = (clock::instant(), Duration::from_secs(1));
        let mut rounds = Rounds::default();
        let mut names: Vec<_> = (0..500).map(|n| format!("slow{n}.example")).collect();
        rounds.follow(names.clone(), begin);
        let mut late = HashSet::new();
        // Each round has room for as many as time out in it; all of them are due again before their turn comes round.
        for turn in 0..40 {
            let now = begin + 3 * turn * second;
            if turn == 4 {
                names.extend((0..500).map(|n| format!("late{n}.example")));
            }
            rounds.follow(names.clone(), now);
            let asked = rounds.due(now, AT_ONCE);
            assert_eq!(asked.len(), AT_ONCE);
            for name in &asked {
                rounds.put(name, now + AGAIN);
            }
            late.extend(asked.into_iter().filter(|name| name.starts_with("late")));
        }
        assert_eq!(late.len(), 500, "everybody's turn comes");
        rounds.follow(names[..1].to_vec(), begin);
        assert!(rounds.0.len() == 1 && rounds.due(begin + 1_000 * second, AT_ONCE).len() == 1);
        assert!(rounds.due(begin + 1_000 * second, AT_ONCE).is_empty(), "it is asked");
    }
}
