//! How many requests a tenant may send, for dialects whose vendor documents one limit for all.

use dialects::{Context, Dialect, Limits};
use domain::ids::OrganizationId;
use domain::{Caller, Error, Kind, Result, What};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
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

/// One limiter per dialect that has a limit.
#[derive(Default)]
pub(super) struct RateLimits {
    by_dialect: HashMap<&'static str, Limited>,
}

impl RateLimits {
    /// Reads the dialects' limits.
    pub(super) fn of_dialects() -> Self {
        let limited = |dialect: &'static dyn Dialect| {
            let (requests, seconds) = dialect.rate_limit()?;
            let burst = NonZeroU32::new(requests)?;
            let window = Duration::from_secs(u64::from(seconds));
            let quota = Quota::with_period(window / requests)?.allow_burst(burst);
            let limiter = RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>();
            Some((dialect.name(), Limited { limiter, requests, window }))
        };
        Self { by_dialect: dialects::all().into_iter().filter_map(limited).collect() }
    }

    /// Notes the whole allowance in a context, for answers to those who are not known (yet).
    pub(super) fn announce(&self, dialect: &dyn Dialect, context: &mut Context) {
        let limited = self.by_dialect.get(dialect.name());
        context.limits = limited.map(|l| limits(l.requests, l.requests, Duration::ZERO));
    }

    /// Counts a request, and notes in its context how many are left.
    pub(super) fn take(&self, dialect: &dyn Dialect, caller: &Caller, context: &mut Context) -> Result<()> {
        let (Some(limited), Some(organization)) =
            (self.by_dialect.get(dialect.name()), caller.organization_id)
        else {
            return Ok(());
        };
        let limit = limited.requests;
        let reset_after = |used: u32| limited.window / limit * used;
        match limited.limiter.check_key(&organization) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                context.limits = Some(limits(limit, remaining, reset_after(limit.saturating_sub(remaining))));
                Ok(())
            }
            Err(until) => {
                context.limits = Some(limits(limit, 0, reset_after(limit)));
                let wait = until.wait_time_from(DefaultClock::default().now()).max(Duration::from_secs(1));
                Err(Error::new(Kind::Limit, What::Request, "Too many requests.").after(wait))
            }
        }
    }
}

/// When the whole allowance is back, as unix seconds rounded up.
fn limits(limit: u32, remaining: u32, after: Duration) -> Limits {
    let seconds = i64::try_from(after.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
    Limits { limit, remaining, reset: clock::now().as_second().saturating_add(seconds) }
}
