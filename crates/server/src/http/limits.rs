//! How many requests a tenant may send: by its plan in the dialect's vendor, else by the one limit that the vendor documents for
//! all. Counts are in memory and of this process: a restart begins them anew, and each process has its own.

use dialects::plan::Plan;
use dialects::{Context, Dialect, Limits};
use domain::ids::OrganizationId;
use domain::{Caller, Error, Kind, Result, Timestamp, What};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock;

type Limiter = RateLimiter<
    OrganizationId,
    DefaultKeyedStateStore<OrganizationId>,
    DefaultClock,
    StateInformationMiddleware,
>;

struct Limited {
    limiter: Limiter,
    requests: u32,
    window: Duration,
}

impl Limited {
    fn new(requests: u32, window: Duration) -> Option<Self> {
        let burst = NonZeroU32::new(requests)?;
        let quota = Quota::with_period(window / requests)?.allow_burst(burst);
        let limiter = RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>();
        Some(Self { limiter, requests, window })
    }

    /// Counts a request: how many are left, or until when to wait.
    fn take(&self, organization: OrganizationId) -> (Limits, Result<(), Duration>) {
        let limit = self.requests;
        let reset_after = |used: u32| self.window / limit * used;
        match self.limiter.check_key(&organization) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                (limits(limit, remaining, reset_after(limit.saturating_sub(remaining))), Ok(()))
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now()).max(Duration::from_secs(1));
                (limits(limit, 0, reset_after(limit)), Err(wait))
            }
        }
    }
}

/// Requests of one day (UTC), by tenant.
#[derive(Default)]
struct Days {
    /// The day, counted from the unix epoch, and what it has seen.
    counted: Mutex<(i64, HashMap<OrganizationId, u32>)>,
}

impl Days {
    const SECONDS: i64 = 86_400;

    /// How many requests of today are left, and in how many seconds tomorrow begins.
    fn left(&self, organization: OrganizationId, limit: u32, now: Timestamp) -> (u32, u32) {
        let mut counted = self.today(now);
        let used = *counted.1.entry(organization).or_insert(0);
        let ends = Self::SECONDS - now.as_second().rem_euclid(Self::SECONDS);
        (limit.saturating_sub(used), u32::try_from(ends).unwrap_or(u32::MAX))
    }

    fn count(&self, organization: OrganizationId, now: Timestamp) {
        *self.today(now).1.entry(organization).or_insert(0) += 1;
    }

    fn today(&self, now: Timestamp) -> MutexGuard<'_, (i64, HashMap<OrganizationId, u32>)> {
        // Plain numbers: whole whatever happened under the lock.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now.as_second().div_euclid(Self::SECONDS);
        if counted.0 != day {
            *counted = (day, HashMap::new());
        }
        counted
    }
}

/// A dialect's plans that limit requests.
struct Planned {
    by_second: HashMap<&'static str, Limited>,
    days: Days,
}

/// One limiter per dialect that has a limit, and one per plan.
#[derive(Default)]
pub(super) struct RateLimits {
    by_dialect: HashMap<&'static str, Limited>,
    by_plan: HashMap<&'static str, Planned>,
}

impl RateLimits {
    /// Reads the dialects' limits.
    pub(super) fn of_dialects() -> Self {
        let limited = |dialect: &'static dyn Dialect| {
            let (requests, seconds) = dialect.rate_limit()?;
            Some((dialect.name(), Limited::new(requests, Duration::from_secs(u64::from(seconds)))?))
        };
        let planned = |dialect: &'static dyn Dialect| {
            let second = |plan: &'static Plan| {
                Some((plan.name, Limited::new(plan.per_second?, Duration::from_secs(1))?))
            };
            let by_second = dialect.plans()?.plans.iter().filter_map(second).collect();
            Some((dialect.name(), Planned { by_second, days: Days::default() }))
        };
        Self {
            by_dialect: dialects::all().into_iter().filter_map(limited).collect(),
            by_plan: dialects::all().into_iter().filter_map(planned).collect(),
        }
    }

    /// Notes the whole allowance in a context, for answers to those who are not known (yet).
    pub(super) fn announce(&self, dialect: &dyn Dialect, context: &mut Context) {
        let limited = self.by_dialect.get(dialect.name());
        context.limits = limited.map(|l| limits(l.requests, l.requests, Duration::ZERO));
    }

    /// Counts a request, and notes in its context how many are left. `plan` is the tenant's in this dialect, as it is now.
    pub(super) fn take(
        &self,
        dialect: &dyn Dialect,
        caller: &Caller,
        plan: Option<&'static Plan>,
        context: &mut Context,
    ) -> Result<()> {
        let Some(organization) = caller.organization_id else { return Ok(()) };
        let taken = match (plan, self.by_plan.get(dialect.name()), self.by_dialect.get(dialect.name())) {
            (Some(plan), Some(planned), _) => planned.take(plan, organization),
            (_, _, Some(limited)) => Some(limited.take(organization)),
            (_, _, None) => None,
        };
        let Some((limits, taken)) = taken else { return Ok(()) };
        context.limits = Some(limits);
        taken.map_err(|wait| Error::new(Kind::Limit, What::Request, "Too many requests.").after(wait))
    }
}

impl Planned {
    /// Counts a request that both limits let pass; one that either refuses counts in neither. What is told is the limit of a
    /// second, or that of the day where less is left of it.
    fn take(&self, plan: &Plan, organization: OrganizationId) -> Option<(Limits, Result<(), Duration>)> {
        let now = clock::now();
        let today = plan.per_day.map(|limit| {
            let (left, seconds) = self.days.left(organization, limit, now);
            (limit, left, Duration::from_secs(u64::from(seconds)))
        });
        if let Some((limit, 0, wait)) = today {
            return Some((limits(limit, 0, wait), Err(wait)));
        }
        let second = self.by_second.get(plan.name).map(|limited| limited.take(organization));
        if today.is_some() && second.as_ref().is_none_or(|(_, taken)| taken.is_ok()) {
            self.days.count(organization, now);
        }
        match (second, today) {
            (Some((told, taken)), Some((limit, left, wait)))
                if taken.is_ok() && left - 1 < told.remaining =>
            {
                Some((limits(limit, left - 1, wait), taken))
            }
            (Some(second), _) => Some(second),
            (None, Some((limit, left, wait))) => Some((limits(limit, left - 1, wait), Ok(()))),
            (None, None) => None,
        }
    }
}

/// When the whole allowance is back, as unix seconds rounded up.
fn limits(limit: u32, remaining: u32, after: Duration) -> Limits {
    let seconds = i64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
    Limits { limit, remaining, reset: clock::now().as_second().saturating_add(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    static SMALL: Plan = Plan { name: "small", per_second: None, per_day: Some(3), calls: None };

    #[test]
    fn a_day_ends_at_midnight_and_tenants_do_not_share_it() {
        let days = Days::default();
        let (one, two) = (OrganizationId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let evening: Timestamp = "2026-03-01T23:59:00Z".parse().unwrap();
        for left in [3, 2, 1] {
            assert_eq!(days.left(one, 3, evening), (left, 60));
            days.count(one, evening);
        }
        assert_eq!((days.left(one, 3, evening).0, days.left(two, 3, evening).0), (0, 3));
        let morning: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
        assert_eq!(days.left(one, 3, morning), (3, 86_400));
    }

    #[test]
    fn a_plan_without_figures_limits_nothing_and_a_day_that_is_used_up_refuses() {
        let planned = Planned { by_second: HashMap::new(), days: Days::default() };
        let free = Plan { name: "free", per_second: None, per_day: None, calls: None };
        let organization = OrganizationId(Uuid::from_u128(1));
        assert!(planned.take(&free, organization).is_none());
        for left in [2, 1, 0] {
            let (told, taken) = planned.take(&SMALL, organization).unwrap();
            assert_eq!((told.limit, told.remaining, taken), (3, left, Ok(())));
        }
        let (told, taken) = planned.take(&SMALL, organization).unwrap();
        assert_eq!(told.remaining, 0);
        assert!(taken.unwrap_err() <= Duration::from_hours(24));
    }

    #[test]
    fn a_second_holds_its_rate_and_what_it_refuses_does_not_use_up_the_day() {
        let by_second = HashMap::from([("small", Limited::new(2, Duration::from_secs(1_000)).unwrap())]);
        let planned = Planned { by_second, days: Days::default() };
        let organization = OrganizationId(Uuid::from_u128(1));
        for _ in 0..9 {
            planned.take(&SMALL, organization);
        }
        let (told, taken) = planned.take(&SMALL, organization).unwrap();
        assert_eq!((told.limit, told.remaining), (2, 0));
        assert!(taken.is_err());
        assert_eq!(planned.days.left(organization, 3, clock::now()).0, 1);
    }
}
