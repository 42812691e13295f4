//! Keeps registrations in step with the trunks, and their deadlines.

use hashbrown::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::RegistrantDesk;
use crate::clock;
use crate::edge::wire::Wire;
use crate::lease::Lease;

/// How often it is looked whether the process that registers is still there.
const LEASE_EVERY: Duration = Duration::from_secs(5);
/// How often registrations are counted by state.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// New registrations begin one after the other, so far apart.
const APART: Duration = Duration::from_millis(20);
/// The least pause between two looks at deadlines.
const TICK: Duration = Duration::from_millis(20);

/// Follows the trunks until the task is dropped.
pub(in super::super) async fn follow(wire: Arc<Wire>) {
    super::shown::describe();
    let desk = &wire.registrants;
    let mut looked: Option<Instant> = None;
    let mut counted = clock::instant();
    let mut behind = true;
    loop {
        if behind && !desk.leaving.load(Ordering::Acquire) {
            behind = !desk.sync(&wire, &mut looked);
        }
        desk.due(&wire);
        if clock::instant().duration_since(counted) >= COUNT_EVERY {
            counted = clock::instant();
            desk.count();
        }
        tokio::select! {
            () = clock::sleep(desk.wait()) => {}
            () = desk.armed.notified() => clock::sleep(TICK).await,
            () = wire.parts.live.registering.changed() => behind = true,
        }
    }
}

impl RegistrantDesk {
    /// Begins what is to be registered and is not, and ends what is no longer to be. False where another process does that.
    fn sync(&self, wire: &Arc<Wire>, looked: &mut Option<Instant>) -> bool {
        let wanted = wire.parts.live.registering.all();
        if wanted.is_empty() && self.lock().by_trunk.is_empty() {
            return true;
        }
        let now = clock::instant();
        if !self.leads(now, looked) {
            return false;
        }
        let stays: HashSet<_> = wanted.iter().map(|(trunk, _)| *trunk).collect();
        let known: Vec<_> = self.lock().by_trunk.keys().copied().collect();
        known
            .into_iter()
            .filter(|trunk| !stays.contains(trunk))
            .for_each(|trunk| self.end(wire, trunk, true));
        let mut at = now;
        for (trunk, account) in &wanted {
            let before = self.lock().next;
            self.put(wire, *trunk, account, at);
            if self.lock().next != before {
                at += APART;
            }
        }
        true
    }

    /// Whether this process is the one that registers.
    fn leads(&self, now: Instant, looked: &mut Option<Instant>) -> bool {
        let mut table = self.lock();
        let Some(path) = &self.lease else { return true };
        if table.lease.is_some() {
            return true;
        }
        if looked.is_some_and(|looked| now.duration_since(looked) < LEASE_EVERY) {
            return false;
        }
        let first = looked.replace(now).is_none();
        match Lease::take(path) {
            Ok(Some(lease)) => table.lease = Some(lease),
            Ok(None) if first => tracing::info!("another process of this store registers its trunks"),
            Ok(None) => {}
            Err(error) => tracing::error!(error = %error, "trunks cannot register: the lock cannot be taken"),
        }
        table.lease.is_some()
    }

    fn due(&self, wire: &Arc<Wire>) {
        let now = clock::instant();
        let due: Vec<u32> = {
            let table = self.lock();
            let due = |at: Instant| at <= now;
            let rows = table.rows.iter();
            rows.filter(|(_, row)| row.one.next_deadline().is_some_and(due))
                .map(|(index, _)| *index)
                .collect()
        };
        for index in due {
            self.act(wire, index, super::Registrant::tick);
        }
    }

    /// How long to wait, within bounds.
    fn wait(&self) -> Duration {
        let (table, now) = (self.lock(), clock::instant());
        let next = table.rows.values().filter_map(|row| row.one.next_deadline()).min();
        next.map_or(LEASE_EVERY, |at| at.saturating_duration_since(now).clamp(TICK, LEASE_EVERY))
    }
}
