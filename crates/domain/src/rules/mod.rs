//! What a tenant may say of where calls go, beyond a number's endpoint: rules by caller and by time, a split in percent, a chain
//! of fallbacks, limits on calls at a time; and of an endpoint: when its next target is tried, how long it may ring, whether its
//! health is looked at, its own fallbacks. [`order`] says once in which order they are looked at.
//!
//! Their JSON form (`json`) is the same in the native API and in the store.

mod caller;
mod cause;
mod chain;
mod health;
pub mod json;
pub mod order;
mod schedule;
mod split;
#[cfg(test)]
mod tests;

pub use caller::{CallerIs, CallerRule, Then};
pub use cause::{Cause, Causes, Rank};
pub use chain::{Chain, Exit, LEGS_MAX, Leg, Onward, loops};
pub(crate) use chain::{Entry, resolve, stands};
pub use health::{ABSENT, DOWN_AFTER, Health, Heard, TargetState, UP_AFTER};
pub use schedule::{Day, Hours, Schedule, Window};
pub use split::{Share, branch};

use crate::E164;
use crate::Patch;
use crate::error::{Error, Result, What};
use crate::ids::EndpointId;

/// Statuses that a rule may refuse a call with: no, not here, not now, busy, try elsewhere, declined.
pub const REFUSALS: [u16; 6] = [403, 404, 480, 486, 503, 603];
/// The most rules by caller of one number.
pub const CALLERS_MAX: usize = 200;
/// The most steps of one chain of fallbacks.
pub const STEPS_MAX: usize = 8;
/// The longest that a target may be told to ring, in seconds: less than the bound on the whole of a call's setup.
pub const ANSWER_SECONDS_MAX: u16 = 110;

/// Where a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To an endpoint.
    Endpoint(EndpointId),
    /// To the endpoint of another number of the same holder, as it is then.
    Number(E164),
    /// To an answer.
    Refuse(u16),
}

/// One step of a chain of fallbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why the place before must have failed for this step to be taken.
    pub on: Causes,
    /// Where the call goes on.
    pub to: Goal,
}

/// What a number's holder has said of its calls. Most numbers have nothing of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberRules {
    /// By who calls; the first that fits counts.
    pub callers: Vec<CallerRule>,
    /// When it takes calls; none: as its organization says, else always.
    pub schedule: Option<Schedule>,
    /// Places that share its calls, in place of its endpoint.
    pub split: Vec<Share>,
    /// Where calls go on that its place did not answer.
    pub fallback: Vec<Step>,
    /// How many calls of it may be in progress, in and out, those that ring too; none: no limit.
    pub calls_max: Option<u32>,
    /// How many calls out it may begin in a minute; none: as many as its organization's setting lets each number.
    pub minute_max: Option<u32>,
    /// How many in a day, likewise.
    pub day_max: Option<u32>,
}

/// What a change of a number's rules may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NumberRulesPatch {
    /// All rules by caller.
    pub callers: Patch<Vec<CallerRule>>,
    /// The schedule.
    pub schedule: Patch<Schedule>,
    /// The whole split.
    pub split: Patch<Vec<Share>>,
    /// The whole chain.
    pub fallback: Patch<Vec<Step>>,
    /// The limit on calls at a time.
    pub calls_max: Patch<u32>,
    /// The limit on calls out in a minute.
    pub minute_max: Patch<u32>,
    /// That in a day.
    pub day_max: Patch<u32>,
}

/// A list that null empties.
fn put<T>(patch: Patch<Vec<T>>, list: &mut Vec<T>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => list.clear(),
        Patch::Set(items) => *list = items,
    }
}

impl NumberRules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies a patch to the rules of a number.
    pub fn update(&mut self, patch: NumberRulesPatch, own: E164) -> Result<()> {
        let NumberRulesPatch { callers, schedule, split, fallback, calls_max, minute_max, day_max } = patch;
        put(callers, &mut self.callers);
        schedule.apply(&mut self.schedule);
        put(split, &mut self.split);
        put(fallback, &mut self.fallback);
        calls_max.apply(&mut self.calls_max);
        minute_max.apply(&mut self.minute_max);
        day_max.apply(&mut self.day_max);
        bounded(self.callers.len(), CALLERS_MAX, (What::Number, "caller_rules"))?;
        split::check(&self.split)?;
        check_steps(&self.fallback, What::Number)?;
        if self.fallback.iter().any(|step| step.to == Goal::Number(own)) {
            return Err(looped(What::Number, "a call to this number would come back to it"));
        }
        Ok(())
    }

    /// Every endpoint that is named, by the field that names it.
    pub fn named(&self) -> [(&'static str, Vec<EndpointId>); 4] {
        let only = |rules: Self| rules.endpoints().collect();
        let Self { callers, schedule, split, fallback, calls_max: _, minute_max: _, day_max: _ } =
            self.clone();
        [
            ("caller_rules", only(Self { callers, ..Self::default() })),
            ("schedule", only(Self { schedule, ..Self::default() })),
            ("split", only(Self { split, ..Self::default() })),
            ("fallback", only(Self { fallback, ..Self::default() })),
        ]
    }

    /// Every endpoint that is named.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> + '_ {
        let by_caller = self.callers.iter().filter_map(|rule| match rule.then {
            Then::Endpoint(id) => Some(id),
            Then::Allow | Then::Refuse(_) => None,
        });
        let by_time = self.schedule.iter().flat_map(Schedule::endpoints);
        let shared = self.split.iter().map(|share| share.endpoint_id);
        by_caller.chain(by_time).chain(shared).chain(endpoints_of(&self.fallback))
    }
}

/// Whether and how often an endpoint's targets are asked whether they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Whether they are.
    pub enabled: bool,
    /// How often, in seconds.
    pub interval_seconds: u16,
}

impl HealthCheck {
    /// The shortest and longest interval, in seconds.
    pub const INTERVAL: std::ops::RangeInclusive<u16> = 2..=3_600;
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { enabled: false, interval_seconds: 30 }
    }
}

/// What is said of how an endpoint is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRules {
    /// After which causes its next target is tried; none: [`Causes::MOVES_ON`].
    pub failover: Option<Causes>,
    /// How long a target may ring; none: as long as a call may be set up.
    pub answer_seconds: Option<u16>,
    /// Whether its targets' health is looked at.
    pub health: HealthCheck,
    /// Where calls go on that it did not answer, before the number's own fallbacks.
    pub fallback: Vec<Step>,
}

/// What a change of an endpoint's rules may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRulesPatch {
    /// The causes; null: the default ones.
    pub failover: Patch<Causes>,
    /// The seconds.
    pub answer_seconds: Patch<u16>,
    /// The check; null: off.
    pub health: Patch<HealthCheck>,
    /// The whole chain.
    pub fallback: Patch<Vec<Step>>,
}

impl EndpointRules {
    /// Applies a patch to the rules of an endpoint.
    pub fn update(&mut self, patch: EndpointRulesPatch, own: EndpointId) -> Result<()> {
        let EndpointRulesPatch { failover, answer_seconds, health, fallback } = patch;
        failover.apply(&mut self.failover);
        answer_seconds.apply(&mut self.answer_seconds);
        match health {
            Patch::Keep => {}
            Patch::Clear => self.health = HealthCheck::default(),
            Patch::Set(check) => self.health = check,
        }
        put(fallback, &mut self.fallback);
        check_steps(&self.fallback, What::Endpoint)?;
        if endpoints_of(&self.fallback).any(|id| id == own) {
            return Err(looped(What::Endpoint, "it names the endpoint itself"));
        }
        Ok(())
    }

    /// After which causes the next target is tried.
    pub fn moves_on(&self) -> Causes {
        self.failover.unwrap_or(Causes::MOVES_ON)
    }

    /// Every endpoint that is named.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> + '_ {
        endpoints_of(&self.fallback)
    }
}

fn endpoints_of(steps: &[Step]) -> impl Iterator<Item = EndpointId> + '_ {
    steps.iter().filter_map(|step| match step.to {
        Goal::Endpoint(id) => Some(id),
        Goal::Number(_) | Goal::Refuse(_) => None,
    })
}

/// That a chain of fallbacks leads in a circle.
pub fn looped(what: What, why: &str) -> Error {
    Error::invalid(what, "fallback", format!("`fallback` leads in a circle: {why}."))
}

fn bounded(count: usize, most: usize, (what, field): (What, &'static str)) -> Result<()> {
    if count <= most {
        return Ok(());
    }
    Err(Error::invalid(what, field, format!("`{field}` may have at most {most} entries.")))
}

/// Each cause is handled once, and no place is named twice: what stands behind would never be reached.
fn check_steps(steps: &[Step], what: What) -> Result<()> {
    bounded(steps.len(), STEPS_MAX, (what, "fallback"))?;
    for (at, step) in steps.iter().enumerate() {
        let goal = !matches!(step.to, Goal::Refuse(_));
        if goal && steps.iter().take(at).any(|other| other.to == step.to) {
            return Err(looped(what, &format!("`fallback[{at}]` names a place that an earlier step names")));
        }
    }
    Ok(())
}
