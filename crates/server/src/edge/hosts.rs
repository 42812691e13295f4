//! Keeps the hosts that trunks name looked up, beside the call path: each again when its answer has aged, within bounds.

use domain::Timestamp;
use hashbrown::HashMap;
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

/// Keeps the hosts of trunks resolved until the task is dropped.
pub(super) async fn follow(wire: Arc<Wire>) {
    metrics::describe_counter!("trunkline_trunk_host_lookups_total", "Look-ups of hosts that trunks name");
    let mut due: HashMap<String, Instant> = HashMap::new();
    loop {
        let names = wire.parts.live.hosts();
        due.retain(|name, _| names.contains(name));
        let now = clock::instant();
        let is_due = |name: &String| due.get(name).is_none_or(|due| *due <= now);
        let mut asking = JoinSet::new();
        for name in names.into_iter().filter(is_due).take(AT_ONCE) {
            let wire = Arc::clone(&wire);
            asking.spawn(async move {
                let answer = wire.names.host(&name).await;
                (name, answer)
            });
        }
        while let Some(done) = asking.join_next().await {
            let Ok((name, (looked, lasts))) = done else { continue };
            let (result, pause) = match &looked {
                Looked::Found(_) => ("found", lasts),
                Looked::Absent => ("absent", ABSENT),
                Looked::Failed => ("failed", AGAIN),
            };
            metrics::counter!("trunkline_trunk_host_lookups_total", "result" => result).increment(1);
            if !matches!(looked, Looked::Found(_)) {
                tracing::warn!(host = %name, result, "a trunk's host cannot be resolved: the last answer stays");
            }
            let at = clock::now();
            let next = at.checked_add(pause).unwrap_or(Timestamp::MAX);
            wire.parts.live.put_host(&name, looked, (at, next));
            due.insert(name, clock::instant() + pause);
        }
        clock::sleep(LOOK_EVERY).await;
    }
}
