//! Where registered agents are: for each number the flows by which its agents can be reached (RFC 3261 section 10.3, RFC 5626).
//! Memory; what came over datagrams is on disk besides, since it outlives the process (`bindings`).

use domain::Timestamp;
use domain::ids::NumberId;
use hashbrown::HashMap;
use sip::{Flow, Listener};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bindings::{self, Kept};
use crate::lease::Lease;

/// Flows of one number; the oldest makes room for another.
pub(crate) const PER_NUMBER_MAX: usize = 8;
/// Flows in all, about 500 bytes each.
const ALL_MAX: usize = 100_000;

/// A flow by which an agent can be reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binding {
    /// What it is called by: its Contact as written.
    pub(crate) contact: String,
    /// Where it came from, and where its calls go.
    pub(crate) flow: Flow,
    /// The user name that it proved to be: of credentials that were replaced nothing stays.
    pub(crate) username: String,
    /// Which device it is, where it says so, and which of its flows (RFC 5626 section 4.1).
    pub(crate) instance: Option<String>,
    /// `reg-id`, where flows are kept open by the agent.
    pub(crate) flow_id: Option<u32>,
    /// The Call-ID of its REGISTER.
    pub(crate) call_id: String,
    /// The `CSeq` number of its last REGISTER.
    pub(crate) cseq: u32,
    /// When it was last registered.
    pub(crate) registered_at: Timestamp,
    /// When that ends.
    pub(crate) until: Timestamp,
    /// The same for time that never goes back: since when.
    pub(crate) seen: Instant,
    /// How long it lasts from then.
    pub(crate) lasts: Duration,
}

impl Binding {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) >= self.lasts
    }

    /// How long it still lasts.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.lasts.saturating_sub(now.saturating_duration_since(self.seen))
    }

    /// Whether another binding stands in the place of this one: the same flow of the same device, or else the same Contact
    /// (RFC 5626 section 6, RFC 3261 section 10.3 step 7).
    fn is_same(&self, other: &Self) -> bool {
        match (self.flow_id, other.flow_id) {
            (Some(_), Some(_)) => self.flow_id == other.flow_id && self.instance == other.instance,
            // Behind two NATs two devices may have the same private address.
            (None, None) => {
                self.contact == other.contact
                    && self.flow.remote.ip().to_canonical() == other.flow.remote.ip().to_canonical()
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// What a REGISTER changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Adds a binding, or renews it.
    Bind(Binding),
    /// Removes one.
    Unbind(Binding),
    /// Removes all.
    UnbindAll,
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unchanged {
    /// An older REGISTER of the same Call-ID came later.
    OutOfOrder,
    /// There is no room.
    Full,
}

#[derive(Debug, Default)]
struct Table {
    by_number: HashMap<NumberId, Vec<Binding>>,
    /// How many bindings come from an address.
    by_address: HashMap<IpAddr, u32>,
    /// The numbers bound by a connection.
    by_connection: HashMap<u64, Vec<NumberId>>,
    all: usize,
    /// Where it is kept over a restart, while no other process of the store does that.
    kept: Option<(Lease, Kept)>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    table: Mutex<Table>,
}

impl Registrations {
    // Plain data; each change below is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what an earlier process kept in a file, as far as it still holds and is `right`, and keeps it there from now
    /// on. Gives how much that was; none where another process keeps its own there.
    pub(crate) fn keep(
        &self,
        path: &Path,
        listeners: &[Listener],
        times: (Instant, Timestamp),
        right: impl Fn(NumberId, &str) -> bool,
    ) -> std::io::Result<Option<usize>> {
        let Some(lease) = Lease::take(&path.with_added_extension("lock"))? else { return Ok(None) };
        let found = bindings::read(path, listeners, times)?;
        let mut table = self.lock();
        for (number, mut bound) in found {
            bound.retain(|one| right(number, &one.username));
            if table.all + bound.len() <= ALL_MAX {
                table.put(number, bound);
            }
        }
        let locals = listeners.iter().map(|one| one.local).collect();
        table.kept = Some((lease, Kept::create(path, locals, table.holds())?));
        Ok(Some(table.all))
    }

    /// Makes all of the changes, or none. `call_id` and `cseq` are those of the REGISTER. Gives what is bound afterwards,
    /// the newest first.
    pub(crate) fn change(
        &self,
        number: NumberId,
        (call_id, cseq): (&str, u32),
        changes: Vec<Change>,
        now: Instant,
    ) -> Result<Vec<Binding>, Unchanged> {
        let mut table = self.lock();
        let mut bound: Vec<Binding> = table.bound(number, now);
        for change in changes {
            let touched = |one: &Binding| match &change {
                Change::Bind(other) | Change::Unbind(other) => one.is_same(other),
                Change::UnbindAll => true,
            };
            if bound.iter().any(|one| touched(one) && one.call_id == call_id && one.cseq >= cseq) {
                return Err(Unchanged::OutOfOrder);
            }
            bound.retain(|one| !touched(one));
            if let Change::Bind(binding) = change {
                bound.insert(0, binding);
            }
        }
        bound.truncate(PER_NUMBER_MAX);
        let before = table.by_number.get(&number).map_or(0, Vec::len);
        if bound.len() > before && table.all - before + bound.len() > ALL_MAX {
            return Err(Unchanged::Full);
        }
        table.put(number, bound.clone());
        Ok(bound)
    }

    /// What is bound, the newest first.
    pub(crate) fn of(&self, number: NumberId, now: Instant) -> Vec<Binding> {
        self.lock().bound(number, now)
    }

    /// Whether an agent is registered from an address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.lock().by_address.contains_key(&address.to_canonical())
    }

    #[cfg(test)]
    fn holds(&self, connection: u64) -> bool {
        self.lock().by_connection.contains_key(&connection)
    }

    /// A connection has ended, and with it its flows.
    pub(crate) fn gone(&self, connection: u64) {
        let mut table = self.lock();
        for number in table.by_connection.get(&connection).cloned().unwrap_or_default() {
            let mut bound = table.by_number.get(&number).cloned().unwrap_or_default();
            bound.retain(|one| one.flow.connection != Some(connection));
            table.put(number, bound);
        }
    }

    /// A number has no agents any more: it was given back, or its password was replaced.
    pub(crate) fn clear(&self, number: NumberId) {
        self.lock().put(number, Vec::new());
    }

    /// Forgets what is over, and gives how many flows there are, with those over datagrams: something has to be sent there
    /// now and then, so that a NAT does not forget them.
    pub(crate) fn sweep(&self, now: Instant) -> (usize, Vec<Flow>) {
        let mut table = self.lock();
        let over = |(number, bound): (&NumberId, &Vec<Binding>)| {
            bound.iter().any(|one| one.is_over(now)).then_some(*number)
        };
        let due: Vec<NumberId> = table.by_number.iter().filter_map(over).collect();
        for number in due {
            let bound = table.bound(number, now);
            table.put(number, bound);
        }
        let flows = table.by_number.values().flatten().map(|one| one.flow);
        (table.all, flows.filter(|flow| !flow.transport.stream()).collect())
    }
}

impl Table {
    fn bound(&self, number: NumberId, now: Instant) -> Vec<Binding> {
        let bound = self.by_number.get(&number).map(Vec::as_slice).unwrap_or_default();
        bound.iter().filter(|one| !one.is_over(now)).cloned().collect()
    }

    fn holds(&self) -> impl Iterator<Item = (NumberId, &[Binding])> {
        self.by_number.iter().map(|(number, bound)| (*number, bound.as_slice()))
    }

    /// Puts the bindings of a number in place of what there was, on disk too.
    fn put(&mut self, number: NumberId, bound: Vec<Binding>) {
        let keeps = |bound: &[Binding]| bound.iter().any(|one| !one.flow.transport.stream());
        let before = self.by_number.get(&number).is_some_and(|bound| keeps(bound));
        let grown = match &mut self.kept {
            Some((_, kept)) if before || keeps(&bound) => kept.write(number, &bound),
            Some(_) | None => false,
        };
        self.index(number, bound);
        if grown && let Some((lease, mut kept)) = self.kept.take() {
            match kept.anew(self.holds()) {
                Ok(anew) => kept = anew,
                Err(error) => kept.grown(&error),
            }
            self.kept = Some((lease, kept));
        }
    }

    /// The same in memory, with the indices.
    fn index(&mut self, number: NumberId, bound: Vec<Binding>) {
        for old in self.by_number.remove(&number).unwrap_or_default() {
            self.all -= 1;
            let address = old.flow.remote.ip().to_canonical();
            if let Some(count) = self.by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.by_address.remove(&address);
                }
            }
            if let Some(connection) = old.flow.connection
                && let Some(numbers) = self.by_connection.get_mut(&connection)
            {
                numbers.retain(|one| *one != number);
                if numbers.is_empty() {
                    self.by_connection.remove(&connection);
                }
            }
        }
        for new in &bound {
            self.all += 1;
            *self.by_address.entry(new.flow.remote.ip().to_canonical()).or_insert(0) += 1;
            if let Some(connection) = new.flow.connection {
                let numbers = self.by_connection.entry(connection).or_default();
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        }
        if !bound.is_empty() {
            self.by_number.insert(number, bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use sip::Transport;
    use uuid::Uuid;

    fn number(n: u128) -> NumberId {
        NumberId(Uuid::from_u128(n))
    }

    fn binding(contact: &str, cseq: u32, connection: Option<u64>, now: Instant) -> Binding {
        let transport = if connection.is_some() { Transport::Tcp } else { Transport::Udp };
        let remote = "192.0.2.7:40000".parse().unwrap();
        Binding {
            contact: contact.to_owned(),
            flow: Flow { listener: 0, transport, remote, connection },
            username: "tl".to_owned(),
            instance: None,
            flow_id: None,
            call_id: "c".to_owned(),
            cseq,
            registered_at: Timestamp::UNIX_EPOCH,
            until: Timestamp::UNIX_EPOCH,
            seen: now,
            lasts: Duration::from_mins(1),
        }
    }

    fn contacts(bound: &[Binding]) -> Vec<&str> {
        bound.iter().map(|one| one.contact.as_str()).collect()
    }

    #[test]
    fn the_newest_flow_comes_first_and_each_ends_by_itself() {
        let (table, now) = (Registrations::default(), clock::instant());
        let bind = |contact: &str, cseq, at| {
            table.change(number(1), ("c", cseq), vec![Change::Bind(binding(contact, cseq, None, at))], at)
        };
        bind("sip:a@h", 1, now).unwrap();
        let later = now + Duration::from_secs(30);
        assert_eq!(contacts(&bind("sip:b@h", 2, later).unwrap()), ["sip:b@h", "sip:a@h"]);
        let address = "192.0.2.7".parse().unwrap();
        assert!(table.knows(address) && !table.knows("192.0.2.8".parse().unwrap()));
        assert_eq!(contacts(&table.of(number(1), now + Duration::from_mins(1))), ["sip:b@h"]);
        assert_eq!(table.sweep(now + Duration::from_mins(1)).0, 1);
        assert_eq!(table.sweep(now + Duration::from_secs(90)), (0, Vec::new()));
        assert!(!table.knows(address));
    }

    #[test]
    fn an_older_register_changes_nothing() {
        let (table, now) = (Registrations::default(), clock::instant());
        let change = |cseq, change| table.change(number(1), ("c", cseq), vec![change], now);
        change(5, Change::Bind(binding("sip:a@h", 5, None, now))).unwrap();
        for cseq in [4, 5] {
            let again = change(cseq, Change::Bind(binding("sip:a@h", cseq, None, now)));
            assert_eq!(again, Err(Unchanged::OutOfOrder));
            assert_eq!(change(cseq, Change::UnbindAll), Err(Unchanged::OutOfOrder));
        }
        // All or nothing.
        let both = vec![
            Change::Bind(binding("sip:b@h", 4, None, now)),
            Change::Unbind(binding("sip:a@h", 4, None, now)),
        ];
        assert_eq!(table.change(number(1), ("c", 4), both, now), Err(Unchanged::OutOfOrder));
        assert_eq!(contacts(&table.of(number(1), now)), ["sip:a@h"]);
        assert_eq!(change(6, Change::Unbind(binding("sip:a@h", 6, None, now))), Ok(Vec::new()));
    }

    #[test]
    fn a_device_that_comes_from_elsewhere_takes_its_own_place() {
        let (table, now) = (Registrations::default(), clock::instant());
        let device = |contact: &str, cseq, id| {
            let binding = binding(contact, cseq, Some(u64::from(cseq)), now);
            let bound = Binding { instance: Some("<urn:uuid:1>".to_owned()), flow_id: Some(id), ..binding };
            table.change(number(1), ("c", cseq), vec![Change::Bind(bound)], now).unwrap()
        };
        device("sip:a@10.0.0.1:1", 1, 1);
        assert_eq!(device("sip:a@10.0.0.1:2", 2, 1).len(), 1);
        assert_eq!(device("sip:a@10.0.0.1:3", 3, 2).len(), 2, "another flow of it");
        assert!(!table.holds(1) && table.holds(2) && table.holds(3));
        table.gone(3);
        assert_eq!(contacts(&table.of(number(1), now)), ["sip:a@10.0.0.1:2"]);
        table.clear(number(1));
        assert!(!table.holds(2) && table.sweep(now) == (0, Vec::new()));
    }

    #[test]
    fn flows_of_a_number_are_bounded() {
        let (table, now) = (Registrations::default(), clock::instant());
        for n in 0..20 {
            let change = Change::Bind(binding(&format!("sip:{n}@h"), n, None, now));
            table.change(number(1), ("c", n), vec![change], now).unwrap();
        }
        let bound = table.of(number(1), now);
        assert_eq!((bound.len(), bound[0].contact.as_str()), (PER_NUMBER_MAX, "sip:19@h"));
        assert_eq!(table.lock().all, PER_NUMBER_MAX);
    }
}
