//! How many calls out were begun, by number and by organization: what caps are held against. Memory, by this node alone; a day's
//! count is read from the store at the start, so that a restart does not begin it anew.

use domain::Timestamp;
use domain::ids::ProviderId;
use domain::outbound::{Begun, Whose, Window};
use hashbrown::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A minute is counted in so many parts: a call counts for 55 to 60 seconds.
const PARTS: u8 = 12;
const PART_SECONDS: i64 = 5;
const DAY_SECONDS: i64 = 86_400;
/// Counts beyond this many are looked through for such as count nothing any more.
const COUNTS_MAX: usize = 65_536;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Whose, Count>,
    /// How many counts there may be before they are looked through.
    most: usize,
    /// Calls of the running second, by the trunk they went to first.
    paces: HashMap<ProviderId, (i64, u32)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Each part of the last minute: its number since 1970, and how many calls were begun in it.
    parts: [(i64, u32); PARTS as usize],
    day: i64,
    today: u32,
}

fn seconds(now: Timestamp) -> i64 {
    now.as_second()
}

impl Count {
    fn add(&mut self, at: i64, calls: u32) {
        self.add_today(at, calls);
        let part = at.div_euclid(PART_SECONDS);
        let slot = &mut self.parts[index(part)];
        if slot.0 != part {
            *slot = (part, 0);
        }
        slot.1 = slot.1.saturating_add(calls);
    }

    fn add_today(&mut self, at: i64, calls: u32) {
        let day = at.div_euclid(DAY_SECONDS);
        if self.day != day {
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(calls);
    }

    fn begun(&self, at: i64, window: Window) -> Begun {
        match window {
            Window::Day => {
                let calls = if self.day == at.div_euclid(DAY_SECONDS) { self.today } else { 0 };
                Begun { calls, fewer_in: whole(DAY_SECONDS - at.rem_euclid(DAY_SECONDS)) }
            }
            Window::Minute => {
                let part = at.div_euclid(PART_SECONDS);
                let alive = self.parts.iter().filter(|(n, calls)| *calls > 0 && part - n < i64::from(PARTS));
                let first = alive.clone().map(|(n, _)| *n).min().unwrap_or(part);
                let calls = alive.fold(0_u32, |sum, (_, calls)| sum.saturating_add(*calls));
                Begun { calls, fewer_in: whole((first + i64::from(PARTS)) * PART_SECONDS - at) }
            }
        }
    }
}

fn index(part: i64) -> usize {
    usize::try_from(part.rem_euclid(i64::from(PARTS))).unwrap_or(0)
}

fn whole(seconds: i64) -> u32 {
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

impl Calls {
    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was begun.
    pub(super) fn begin(&self, whose: [Whose; 2], trunk: Option<ProviderId>, now: Timestamp) {
        let at = seconds(now);
        let mut state = self.lock();
        state.prune(at);
        for one in whose {
            state.counts.entry(one).or_default().add(at, 1);
        }
        if let Some(trunk) = trunk {
            let pace = state.paces.entry(trunk).or_default();
            *pace = if pace.0 == at { (at, pace.1.saturating_add(1)) } else { (at, 1) };
        }
    }

    /// Calls of today that an earlier process began.
    pub(super) fn earlier(&self, whose: Whose, calls: u32, now: Timestamp) {
        self.lock().counts.entry(whose).or_default().add_today(seconds(now), calls);
    }

    /// How many were begun.
    pub(super) fn begun(&self, whose: Whose, window: Window, now: Timestamp) -> Begun {
        let at = seconds(now);
        self.lock().counts.get(&whose).copied().unwrap_or_default().begun(at, window)
    }

    /// Whether a trunk that takes so many calls a second takes another one.
    pub(super) fn paced(&self, trunk: ProviderId, per_second: u32, now: Timestamp) -> bool {
        let pace = self.lock().paces.get(&trunk).copied().unwrap_or_default();
        pace.0 != seconds(now) || pace.1 < per_second
    }
}

impl State {
    /// Forgets what counts nothing any more, now and then.
    fn prune(&mut self, at: i64) {
        if self.counts.len() < self.most.max(COUNTS_MAX) {
            return;
        }
        let day = at.div_euclid(DAY_SECONDS);
        self.counts.retain(|_, count| count.day == day || count.begun(at, Window::Minute).calls > 0);
        self.paces.retain(|_, (second, _)| *second == at);
        // Should all of them count: they are looked through when there are half as many more.
        self.most = self.counts.len() + self.counts.len() / 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{NumberId, OrganizationId};
    use uuid::Uuid;

    const BOTH: [Whose; 2] = [
        Whose::Number(NumberId(Uuid::from_u128(1))),
        Whose::Organization(OrganizationId(Uuid::from_u128(2))),
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(DAY_SECONDS * 20_000 + second).unwrap()
    }

    #[test]
    fn a_call_counts_for_about_a_minute_and_for_its_day() {
        let calls = Calls::default();
        calls.begin(BOTH, None, at(3));
        calls.begin(BOTH, None, at(30));
        let of = |second, window| calls.begun(BOTH[0], window, at(second));
        assert_eq!(of(30, Window::Minute), Begun { calls: 2, fewer_in: 30 });
        assert_eq!(of(59, Window::Minute), Begun { calls: 2, fewer_in: 1 });
        assert_eq!(of(60, Window::Minute), Begun { calls: 1, fewer_in: 30 });
        assert_eq!(of(90, Window::Minute).calls, 0);
        assert_eq!(of(90, Window::Day), Begun { calls: 2, fewer_in: 86_310 });
        assert_eq!(of(DAY_SECONDS, Window::Day).calls, 0);
        calls.begin(BOTH, None, at(DAY_SECONDS));
        assert_eq!(of(DAY_SECONDS, Window::Day).calls, 1);
        assert_eq!(calls.begun(BOTH[1], Window::Day, at(DAY_SECONDS)).calls, 1);
    }

    #[test]
    fn calls_of_an_earlier_process_count_for_the_day_alone() {
        let calls = Calls::default();
        calls.earlier(BOTH[0], 7, at(5));
        assert_eq!(calls.begun(BOTH[0], Window::Day, at(6)).calls, 7);
        assert_eq!(calls.begun(BOTH[0], Window::Minute, at(6)).calls, 0);
    }

    #[test]
    fn a_trunk_takes_so_many_calls_a_second() {
        let calls = Calls::default();
        let trunk = ProviderId(Uuid::from_u128(5));
        for _ in 0..2 {
            assert!(calls.paced(trunk, 2, at(1)));
            calls.begin(BOTH, Some(trunk), at(1));
        }
        assert!(
            !calls.paced(trunk, 2, at(1)) && calls.paced(trunk, 3, at(1)) && calls.paced(trunk, 2, at(2))
        );
        assert!(!calls.paced(trunk, 0, at(1)), "none at all");
    }

    #[test]
    fn what_counts_nothing_is_forgotten() {
        let calls = Calls::default();
        let own = |n: usize| Whose::Number(NumberId(Uuid::from_u128(n as u128)));
        for n in 0..COUNTS_MAX - 1 {
            calls.begin([own(n), BOTH[1]], None, at(0));
        }
        calls.begin([own(7), BOTH[1]], None, at(2 * DAY_SECONDS));
        assert_eq!(calls.lock().counts.len(), 2);
    }
}
