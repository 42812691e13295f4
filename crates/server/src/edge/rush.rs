//! Whether more comes to a socket than can be worked off. Its threads look now and then whether anything waits there; where
//! something always did for a while, messages wait longer than callers do, and new calls are shed until the queue was empty once.
//! What belongs to a call goes on. Nothing is measured in calls a second: what a machine bears is found out by bearing it.

use socket2::SockRef;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// While the queue is known to be empty at times, it is looked at after so many messages.
const EVERY: u32 = 32;
/// Of the messages that come while new calls are shed, one in so many is taken all the same: where even shedding does not empty the
/// queue, some calls are still carried.
const TAKEN: u32 = 32;
/// The queue is never empty for so long: new calls are shed. A caller repeats after 500 ms (T1).
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether there is room for new calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// There is.
    Usual,
    /// New calls are refused before anything is kept of them.
    Over,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Rush {
    begun: Instant,
    /// Since when the queue was never seen empty, in microseconds since `begun`; 0: it was at the last look.
    since: AtomicU64,
}

impl Rush {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, since: AtomicU64::new(0) }
    }

    /// After a message was taken from the socket: how much there is to do. `count` is the thread's own, of messages.
    pub(super) fn load(&self, socket: &UdpSocket, count: &mut u32, clock: impl Fn() -> Instant) -> Load {
        let since = self.since.load(Ordering::Relaxed);
        *count = count.wrapping_add(1);
        if since == 0 && !count.is_multiple_of(EVERY) {
            return Load::Usual;
        }
        match self.looked(!waits(socket), clock()) {
            Load::Over if count.is_multiple_of(TAKEN) => Load::Usual,
            load => load,
        }
    }

    /// The queue was empty, or not.
    pub(super) fn looked(&self, empty: bool, now: Instant) -> Load {
        let micros = u64::try_from(now.duration_since(self.begun).as_micros()).unwrap_or(u64::MAX).max(1);
        let since = self.since.load(Ordering::Relaxed);
        let (next, load) = match (empty, since) {
            (true, _) => (0, Load::Usual),
            (false, 0) => (micros, Load::Usual),
            (false, since) => {
                let long = Duration::from_micros(micros.saturating_sub(since)) >= PATIENCE;
                (since, if long { Load::Over } else { Load::Usual })
            }
        };
        if next != since {
            self.since.store(next, Ordering::Relaxed);
        }
        load
    }
}

/// Whether a datagram waits: one is looked at without waiting for one, and left where it is.
fn waits(socket: &UdpSocket) -> bool {
    let mut first = [MaybeUninit::uninit(); 1];
    SockRef::from(socket).recv_with_flags(&mut first, libc::MSG_PEEK | libc::MSG_DONTWAIT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn only_a_queue_that_is_never_empty_sheds_and_it_ends_at_once() {
        let begun = clock::instant();
        let rush = Rush::new(begun);
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(rush.looked(false, at(1)), Load::Usual, "something waits, which is what queues are for");
        assert_eq!(rush.looked(false, at(90)), Load::Usual);
        assert_eq!(rush.looked(true, at(95)), Load::Usual);
        assert_eq!(rush.looked(false, at(150)), Load::Usual, "counted from the last time it was empty");
        assert_eq!(rush.looked(false, at(250)), Load::Over);
        assert_eq!(rush.looked(true, at(251)), Load::Usual);
    }

    #[test]
    fn a_datagram_that_waits_is_seen_and_stays() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!waits(&socket));
        socket.send_to(b"one", socket.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(socket.peek(&mut buffer).unwrap(), 3);
        assert!(waits(&socket) && waits(&socket));
        assert_eq!(socket.recv(&mut buffer).unwrap(), 3);
        assert!(!waits(&socket));
    }
}
