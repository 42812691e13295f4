//! How many connections others may have: of one source, and in all.

use hashbrown::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of one source, those being agreed included.
const PER_SOURCE_MAX: u32 = 256;
/// Connections in all.
const CONNECTIONS_MAX: u32 = 8_192;
/// Connections of those who were strangers when they came: however many they are, trunks find room.
const STRANGERS_MAX: u32 = 6_144;

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    strangers: u32,
    by_source: HashMap<IpAddr, u32>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Taken>);

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    source: IpAddr,
    known: bool,
}

/// Who counts as one source: an address; of IPv6 the network that one customer gets.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        four @ IpAddr::V4(_) => four,
    }
}

impl Seats {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from an address, if there is one left; `known` is whether it is a trunk's.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, known: bool) -> Option<Seat> {
        let source = source(address);
        let mut taken = self.lock();
        let count = taken.by_source.get(&source).copied().unwrap_or(0);
        let room = taken.all < CONNECTIONS_MAX && (known || taken.strangers < STRANGERS_MAX);
        if !room || count >= PER_SOURCE_MAX {
            return None;
        }
        taken.all += 1;
        taken.strangers += u32::from(!known);
        taken.by_source.insert(source, count + 1);
        Some(Seat { seats: Arc::clone(self), source, known })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        taken.strangers -= u32::from(!self.known);
        if let Some(count) = taken.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_so_many_places_and_gets_them_back() {
        let seats = Arc::new(Seats::default());
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let take = |text: &str| seats.take(at(text), true);
        let held: Vec<_> = (0..PER_SOURCE_MAX).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none() && take("::ffff:192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(held);
        assert!(take("192.0.2.1").is_some() && seats.lock().by_source.is_empty());
        let net: Vec<_> = (0..PER_SOURCE_MAX).map(|n| take(&format!("2001:db8::{n:x}")).unwrap()).collect();
        assert!(take("2001:db8::ffff:1").is_none() && take("2001:db8:0:1::1").is_some());
        drop(net);
    }

    #[test]
    fn all_together_have_so_many_and_strangers_leave_room_for_trunks() {
        let seats = Arc::new(Seats::default());
        let take = |n: u32, known| seats.take(std::net::Ipv4Addr::from(n / 200).into(), known);
        let strangers: Vec<_> = (0..STRANGERS_MAX).map(|n| take(n, false).unwrap()).collect();
        assert!(take(u32::MAX, false).is_none(), "however many they are");
        let trunks: Vec<_> = (STRANGERS_MAX..CONNECTIONS_MAX).map(|n| take(n, true).unwrap()).collect();
        assert!(take(u32::MAX, true).is_none());
        drop((strangers, trunks));
        let left = seats.lock();
        assert_eq!((left.all, left.strangers), (0, 0));
    }
}
