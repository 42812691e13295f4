//! The order in which a number's rules are looked at, once. The call path, `explain` and the receipt of a call have it from here.
//!
//! 1. What refuses any call: source, trunk, the number's state, money (see [`crate::routing::decide`]).
//! 2. A rule that refuses this caller: open or closed, it is refused.
//! 3. The schedule: the number's own, else its organization's. Closed is the cause `closed`.
//! 4. The place: that of the rule for this caller, else that of the schedule's window, else the split's branch, else the
//!    number's endpoint.
//! 5. Whether the place can be called; if not, the first fallback for the cause, and so on.
//! 6. Whether there is room: of the organization, the number, the trunk.

use super::{Cause, NumberRules, Then, branch};
use crate::Timestamp;
use crate::ids::EndpointId;
use crate::routing::{CallIn, NumberRoute, Table};
use crate::trail::{List, Rule, RuleName, Seen};

/// What a number's rules say of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The caller is refused.
    Refused(u16),
    /// The place, or why there is none.
    Place(Result<Option<EndpointId>, Cause>),
}

/// The place of a call, by steps 2 to 4 of the order. Only rules that are set are told to `see`.
pub(crate) fn pick(
    table: &impl Table,
    (call, number): (&CallIn<'_>, &NumberRoute),
    rules: Option<&NumberRules>,
    see: &mut impl FnMut(Rule),
) -> Pick {
    let by_caller = rules.and_then(|rules| {
        let found = rules.callers.iter().position(|rule| rule.from.fits(call.caller))?;
        Some((found, rules.callers[found].then))
    });
    if rules.is_some_and(|rules| !rules.callers.is_empty()) {
        let refused = match by_caller {
            Some((at, Then::Refuse(status))) => Some((at, status)),
            Some((_, Then::Allow | Then::Endpoint(_))) | None => None,
        };
        let rule = RuleName::NotBlocked.is(refused.is_none());
        see(refused.map_or(rule, |(at, status)| rule.seeing(Seen::entry(List::Callers, Some(at), status))));
        if let Some((_, status)) = refused {
            return Pick::Refused(status);
        }
    }
    let window = match opens(table, number, rules, call.at) {
        Opens::Always => None,
        Opens::Window(endpoint) => {
            see(RuleName::Open.is(true));
            endpoint
        }
        Opens::Closed => {
            see(RuleName::Open.is(false));
            return Pick::Place(Err(Cause::Closed));
        }
    };
    if let Some((at, Then::Endpoint(id))) = by_caller {
        see(RuleName::ByCaller.is(true).seeing(Seen::place(List::Callers, Some(at))));
        return Pick::Place(Ok(Some(id)));
    }
    if let Some(id) = window {
        see(RuleName::ByTime.is(true).seeing(Seen::place(List::Schedule, None)));
        return Pick::Place(Ok(Some(id)));
    }
    if let Some(rules) = rules.filter(|rules| !rules.split.is_empty()) {
        let at = branch(&rules.split, table.split_key(), number.id, call.caller, call.name);
        let id = rules.split[at].endpoint_id;
        see(RuleName::BySplit.is(true).seeing(Seen::place(List::Split, Some(at))));
        return Pick::Place(Ok(Some(id)));
    }
    Pick::Place(Ok(number.endpoint_id))
}

enum Opens {
    /// Nothing is said of times.
    Always,
    /// With the window's own place.
    Window(Option<EndpointId>),
    Closed,
}

fn opens(table: &impl Table, number: &NumberRoute, rules: Option<&NumberRules>, at: Timestamp) -> Opens {
    let of = |schedule: &super::Schedule| match schedule.open_at(at) {
        Some(hours) => Opens::Window(hours.endpoint_id),
        None => Opens::Closed,
    };
    match rules.and_then(|rules| rules.schedule.as_ref()) {
        Some(schedule) => of(schedule),
        None => table.schedule(number.organization_id).map_or(Opens::Always, |schedule| of(&schedule)),
    }
}
