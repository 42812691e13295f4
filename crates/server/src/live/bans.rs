//! Sources that ask again and again for what is not theirs are not heard for a while. By behaviour only: each thing that a
//! stranger does wrong adds to its score, which halves every minute; above a bound it is banned until the score has fallen
//! to half of that. So a ban ends by itself, some minutes after its source has ceased.
//!
//! Datagrams can be sent in anybody's name, so a ban must hurt nobody who belongs here: who calls this neither for trunks,
//! endpoints and registered agents nor for those who proved themselves lately, and it does not reach what belongs to a dialog
//! (see `edge::gate`). Memory only: a process begins without bans.

use domain::Timestamp;
use domain::view::Ban;
use hashbrown::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is wrong about a message of a stranger's, in points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It asks for what strangers are not told.
    Asks,
    /// Its password is wrong.
    Password,
    /// It was asked for a password more often than it may.
    Overflow,
}

impl Fault {
    const fn points(self) -> f64 {
        match self {
            Self::Asks => 1.0,
            Self::Password => 3.0,
            Self::Overflow => 0.1,
        }
    }
}

/// A score above which its source is banned.
const BANNED: f64 = 100.0;
/// Where a ban ends.
const FORGIVEN: f64 = BANNED / 2.0;
/// The highest score: 4 minutes to [`FORGIVEN`].
const MOST: f64 = BANNED * 8.0;
const HALF_LIFE: Duration = Duration::from_mins(1);
/// Sources whose score is kept, about 100 bytes each. When there are so many, those that did least are forgotten.
const MARKS_MAX: usize = 16_384;
/// How long a source is trusted that proved itself.
const TRUST: Duration = Duration::from_hours(1);
/// Sources that are trusted.
const TRUSTED_MAX: usize = 65_536;

#[derive(Clone, Copy, Debug)]
struct Mark {
    score: f64,
    at: Instant,
    banned: Option<Timestamp>,
    refused: u64,
}

impl Mark {
    fn now(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at);
        self.score * (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }

    /// How long it stays banned if nothing comes any more.
    fn lasts(&self, now: Instant) -> Duration {
        let halvings = (self.now(now) / FORGIVEN).log2().max(0.0);
        HALF_LIFE.mul_f64(halvings)
    }
}

#[derive(Debug, Default)]
struct Table {
    marks: HashMap<IpAddr, Mark>,
    trusted: HashMap<IpAddr, Instant>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    table: Mutex<Table>,
    /// How many are banned: while none is, nobody waits for the lock.
    held: AtomicUsize,
}

impl Bans {
    // Plain data; each change below is whole before the lock is given back.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sources are banned, at most: some may have been forgiven since.
    pub(crate) fn count(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether a source is banned.
    pub(crate) fn holds(&self, source: IpAddr, now: Instant) -> bool {
        if self.count() == 0 {
            return false;
        }
        let mut table = self.lock();
        let Some(mark) = table.marks.get_mut(&place(source)) else { return false };
        if mark.banned.is_some() && mark.now(now) < FORGIVEN {
            mark.banned = None;
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
        mark.banned.is_some()
    }

    /// A banned source came again.
    pub(crate) fn refused(&self, source: IpAddr, now: Instant) {
        if let Some(mark) = self.lock().marks.get_mut(&place(source)) {
            mark.refused += 1;
            (mark.score, mark.at) = ((mark.now(now) + Fault::Asks.points()).min(MOST), now);
        }
    }

    /// A stranger did something wrong.
    pub(crate) fn add(&self, source: IpAddr, fault: Fault, (now, wall): (Instant, Timestamp)) {
        let mut table = self.lock();
        let place = place(source);
        if table.marks.len() >= MARKS_MAX && !table.marks.contains_key(&place) {
            table.marks.retain(|_, mark| mark.banned.is_some() || mark.now(now) >= 2.0);
            if table.marks.len() >= MARKS_MAX {
                return;
            }
        }
        let blank = Mark { score: 0.0, at: now, banned: None, refused: 0 };
        let mark = table.marks.entry(place).or_insert(blank);
        (mark.score, mark.at) = ((mark.now(now) + fault.points()).min(MOST), now);
        if mark.score >= BANNED && mark.banned.is_none() {
            mark.banned = Some(wall);
            self.held.fetch_add(1, Ordering::Relaxed);
            tracing::info!("a source is banned for what it asks: GET /api/v1/bans says which");
        }
    }

    /// A source proved to belong here.
    pub(crate) fn trust(&self, source: IpAddr, now: Instant) {
        let mut table = self.lock();
        let source = source.to_canonical();
        if table.trusted.len() >= TRUSTED_MAX && !table.trusted.contains_key(&source) {
            table.trusted.retain(|_, since| now.saturating_duration_since(*since) < TRUST);
            if table.trusted.len() >= TRUSTED_MAX {
                return;
            }
        }
        table.trusted.insert(source, now);
        drop(table);
        self.lift(source);
    }

    /// Whether a source proved itself within the hour.
    pub(crate) fn trusts(&self, source: IpAddr, now: Instant) -> bool {
        let since = self.lock().trusted.get(&source.to_canonical()).copied();
        since.is_some_and(|since| now.saturating_duration_since(since) < TRUST)
    }

    /// Ends a ban, and forgets what led to it. False where there was none.
    pub(crate) fn lift(&self, source: IpAddr) -> bool {
        let mark = self.lock().marks.remove(&place(source));
        let banned = mark.is_some_and(|mark| mark.banned.is_some());
        if banned {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
        banned
    }

    /// Who is banned, the latest first.
    pub(crate) fn list(&self, (now, wall): (Instant, Timestamp)) -> Vec<Ban> {
        let table = self.lock();
        let banned = table.marks.iter().filter(|(_, mark)| mark.now(now) >= FORGIVEN);
        let mut bans: Vec<Ban> = banned
            .filter_map(|(address, mark)| {
                let until = wall.checked_add(mark.lasts(now)).unwrap_or(wall);
                let (address, refused) = (*address, mark.refused);
                mark.banned.map(|since| Ban { address, since, until, refused })
            })
            .collect();
        bans.sort_by_key(|ban| std::cmp::Reverse((ban.since, ban.address)));
        bans
    }
}

/// What one host has: an address, of IPv6 a network of 64 bits.
fn place(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(four) => four.into(),
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fault(bans: &Bans, source: &str, fault: Fault, times: usize, now: Instant) {
        (0..times).for_each(|_| bans.add(ip(source), fault, (now, Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn a_ban_comes_by_what_is_done_and_goes_by_itself() {
        let (bans, now) = (Bans::default(), clock::instant());
        fault(&bans, "192.0.2.1", Fault::Asks, 99, now);
        assert!(!bans.holds(ip("192.0.2.1"), now));
        fault(&bans, "192.0.2.1", Fault::Asks, 1, now);
        assert!(bans.holds(ip("::ffff:192.0.2.1"), now), "the same address");
        assert!(!bans.holds(ip("192.0.2.2"), now), "a neighbour is not");
        assert!(bans.holds(ip("192.0.2.1"), now + Duration::from_secs(59)));
        assert!(!bans.holds(ip("192.0.2.1"), now + Duration::from_secs(61)));
        assert_eq!(bans.count(), 0);
    }

    #[test]
    fn whoever_goes_on_stays_banned_and_no_ban_outlives_its_cause_by_more_than_four_minutes() {
        let (bans, start) = (Bans::default(), clock::instant());
        fault(&bans, "192.0.2.1", Fault::Asks, 100, start);
        let mut now = start;
        for _ in 0..100_000 {
            now += Duration::from_millis(10);
            assert!(bans.holds(ip("192.0.2.1"), now));
            bans.refused(ip("192.0.2.1"), now);
        }
        let [ban] = &bans.list((now, Timestamp::UNIX_EPOCH))[..] else { panic!("one ban") };
        assert_eq!((ban.address, ban.refused), (ip("192.0.2.1"), 100_000));
        assert!(bans.holds(ip("192.0.2.1"), now + Duration::from_secs(230)));
        assert!(!bans.holds(ip("192.0.2.1"), now + Duration::from_secs(241)));
    }

    #[test]
    fn a_mistyped_password_that_is_tried_every_ten_seconds_is_borne() {
        let (bans, mut now) = (Bans::default(), clock::instant());
        for _ in 0..1_000 {
            fault(&bans, "192.0.2.1", Fault::Password, 1, now);
            now += Duration::from_secs(10);
        }
        assert!(!bans.holds(ip("192.0.2.1"), now));
        fault(&bans, "192.0.2.1", Fault::Password, 34, now);
        assert!(bans.holds(ip("192.0.2.1"), now), "a list of passwords is not");
    }

    #[test]
    fn who_proves_itself_is_forgiven_and_trusted_for_an_hour() {
        let (bans, now) = (Bans::default(), clock::instant());
        fault(&bans, "192.0.2.1", Fault::Password, 50, now);
        assert!(bans.holds(ip("192.0.2.1"), now));
        bans.trust(ip("192.0.2.1"), now);
        assert!(!bans.holds(ip("192.0.2.1"), now) && bans.trusts(ip("192.0.2.1"), now));
        assert!(!bans.trusts(ip("192.0.2.1"), now + TRUST));
        assert!(!bans.lift(ip("192.0.2.1")));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (bans, now) = (Bans::default(), clock::instant());
        for n in 0..u32::try_from(MARKS_MAX).unwrap() * 2 {
            bans.add(IpAddr::from(n.to_be_bytes()), Fault::Asks, (now, Timestamp::UNIX_EPOCH));
        }
        assert!(bans.lock().marks.len() <= MARKS_MAX);
        fault(&bans, "192.0.2.1", Fault::Asks, 100, now + Duration::from_mins(9));
        assert!(bans.holds(ip("192.0.2.1"), now + Duration::from_mins(9)), "there is room for who does much");
        let six = |text: &str| bans.holds(ip(text), now);
        fault(&bans, "2001:db8::1", Fault::Asks, 100, now);
        assert!(six("2001:db8::2") && !six("2001:db8:0:1::1"), "one host has a network");
    }
}
