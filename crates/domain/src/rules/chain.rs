//! A chain of fallbacks as a call will walk it: resolved once, when the call is decided, so that nothing is looked up while it
//! rings. The places stand in one list, and from each a call goes only to those behind it: an endpoint's own steps right behind
//! the endpoint, the number's at the end. So no chain goes round, however its parts were written.

use super::cause::{Cause, Causes, Rank};
use super::{Goal, Step};
use crate::endpoint::{EndpointKind, EndpointStatus};
use crate::ids::{EndpointId, OrganizationId};
use crate::routing::Table;

/// The most places that one call is led to.
pub const LEGS_MAX: usize = 8;
/// The most steps that are looked at, those to answers too.
const LINKS_MAX: usize = 32;

/// Where a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// To a leg, by its place in the chain.
    Leg(usize),
    /// To an answer.
    Refuse(u16),
}

/// A way on from a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why the leg must have failed.
    pub on: Causes,
    /// Where the call goes on.
    pub to: Onward,
}

/// A place that a call can come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Which.
    pub endpoint_id: EndpointId,
    /// Where the call goes on from there; no two have a cause in common.
    pub exits: Vec<Exit>,
}

/// The places of a call, the first one first. Exits lead forward only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The places.
    pub legs: Vec<Leg>,
}

/// Where a call begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// At the chain's first leg.
    Chain(Chain),
    /// It is refused by a step.
    Refuse(u16),
    /// No step is for the cause.
    Nowhere,
}

/// What stands in the list.
struct Link {
    goal: Result<EndpointId, Cause>,
    answer: Option<u16>,
    on: Causes,
    /// The link whose own step it is; none: everybody's.
    of: Option<usize>,
}

/// Why an endpoint cannot be called, if it cannot.
pub(crate) fn stands(table: &impl Table, id: EndpointId) -> Result<(), Cause> {
    let endpoint = table.endpoint(id).ok_or(Cause::NoEndpoint)?;
    match (endpoint.status, endpoint.kind, endpoint.targets_on) {
        (EndpointStatus::Inactive, ..) => Err(Cause::EndpointInactive),
        (EndpointStatus::Active, EndpointKind::Webhook, _) => Err(Cause::EndpointNotSip),
        (EndpointStatus::Active, _, 0) => Err(Cause::NoTarget),
        (EndpointStatus::Active, ..) => Ok(()),
    }
}

struct List<'a, T> {
    table: &'a T,
    organization: OrganizationId,
    links: Vec<Link>,
    /// A step was left out since its place stands in the list already.
    looped: bool,
}

impl<T: Table> List<'_, T> {
    fn endpoint(&self, goal: Goal) -> Result<EndpointId, Cause> {
        match goal {
            Goal::Endpoint(id) => Ok(id),
            Goal::Number(e164) => {
                let number = self.table.number(e164).filter(|n| n.organization_id == self.organization);
                number.and_then(|n| n.endpoint_id).ok_or(Cause::NoEndpoint)
            }
            Goal::Refuse(_) => Err(Cause::NoEndpoint),
        }
    }

    /// A place with its own steps behind it. `depth` bounds how far places of places are followed.
    fn push(&mut self, goal: Result<EndpointId, Cause>, on: Causes, of: Option<usize>) {
        if self.links.len() >= LINKS_MAX {
            return;
        }
        if let Ok(id) = goal
            && self.links.iter().any(|link| link.answer.is_none() && link.goal == Ok(id))
        {
            self.looped = true;
            return;
        }
        let at = self.links.len();
        self.links.push(Link { goal, answer: None, on, of });
        if let Ok(id) = goal
            && self.table.endpoint(id).is_some_and(|endpoint| endpoint.has_fallback)
        {
            self.steps(&self.table.fallback(id), Some(at));
        }
    }

    fn steps(&mut self, steps: &[Step], of: Option<usize>) {
        for step in steps {
            match step.to {
                Goal::Refuse(status) if self.links.len() < LINKS_MAX => {
                    let goal = Err(Cause::NoEndpoint);
                    self.links.push(Link { goal, answer: Some(status), on: step.on, of });
                }
                Goal::Refuse(_) => {}
                goal @ (Goal::Endpoint(_) | Goal::Number(_)) => self.push(self.endpoint(goal), step.on, of),
            }
        }
    }

    /// Where a call goes on from a link that failed for a cause: an index of the list, or an answer.
    fn follow(&self, from: usize, cause: Cause) -> Option<Result<usize, u16>> {
        let fits = |(_, link): &(usize, &Link)| link.on.has(cause) && link.of.is_none_or(|of| of == from);
        let (at, link) = self.links.iter().enumerate().skip(from + 1).find(fits)?;
        match (link.answer, self.usable(at)) {
            (Some(status), _) => Some(Err(status)),
            (None, Ok(())) => Some(Ok(at)),
            (None, Err(cause)) => self.follow(at, cause),
        }
    }

    /// Whether a link's place can be tried. One whose targets are all down is tried anyway, unless a step says where else.
    fn usable(&self, at: usize) -> Result<(), Cause> {
        let id = self.links[at].goal?;
        stands(self.table, id)?;
        let down = self.table.endpoint(id).is_some_and(|endpoint| endpoint.all_down());
        if down && self.follow(at, Cause::AllDown).is_some() { Err(Cause::AllDown) } else { Ok(()) }
    }
}

/// The chain of a call whose first place is `first`, or could not be found for a cause. Says also whether a step was left out
/// because it led back.
pub(crate) fn resolve(
    table: &impl Table,
    organization: OrganizationId,
    first: Result<EndpointId, Cause>,
    steps: &[Step],
) -> (Entry, bool) {
    let mut list = List { table, organization, links: Vec::new(), looped: false };
    list.push(first, Causes::NONE, None);
    list.steps(steps, None);
    let start = match list.usable(0) {
        Ok(()) => 0,
        Err(cause) => match list.follow(0, cause) {
            Some(Ok(at)) => at,
            Some(Err(status)) => return (Entry::Refuse(status), list.looped),
            None => return (Entry::Nowhere, list.looped),
        },
    };
    (Entry::Chain(walk(&list, start)), list.looped)
}

/// The legs that can be reached from a link, in the list's order.
fn walk<T: Table>(list: &List<'_, T>, start: usize) -> Chain {
    let mut reached = vec![start];
    let mut ways: Vec<Vec<(Cause, Result<usize, u16>)>> = Vec::new();
    let mut at = 0;
    while let Some(&link) = reached.get(at) {
        let causes = Cause::ALL.into_iter().filter(|cause| cause.rank() != Rank::Decided);
        let mut found: Vec<_> =
            causes.filter_map(|cause| list.follow(link, cause).map(|to| (cause, to))).collect();
        for (_, to) in &found {
            if let Ok(next) = to
                && !reached.contains(next)
                && reached.len() < LEGS_MAX
            {
                // Kept in the list's order: what comes next stands behind what is being looked at.
                let place = reached.partition_point(|known| known < next);
                reached.insert(place, *next);
            }
        }
        found.shrink_to_fit();
        ways.push(found);
        at += 1;
    }
    let leg_of = |link: usize| reached.iter().position(|known| *known == link);
    let legs = reached.iter().zip(&ways).map(|(link, ways)| {
        let mut exits: Vec<Exit> = Vec::new();
        for (cause, to) in ways {
            let to = match to {
                Ok(link) => match leg_of(*link) {
                    Some(leg) => Onward::Leg(leg),
                    // Beyond the bound: the call ends here.
                    None => continue,
                },
                Err(status) => Onward::Refuse(*status),
            };
            match exits.iter_mut().find(|exit| exit.to == to) {
                Some(exit) => exit.on = exit.on.with(*cause),
                None => exits.push(Exit { on: Causes::NONE.with(*cause), to }),
            }
        }
        let endpoint_id = list.links[*link].goal.unwrap_or(EndpointId(uuid::Uuid::nil()));
        Leg { endpoint_id, exits }
    });
    Chain { legs: legs.collect() }
}

/// Whether an endpoint's fallbacks, followed as they are stored, come back to it. `steps_of` gives those of an endpoint; of the
/// endpoint itself the new ones. What is written is checked so; what came together in another way is cut when a call is decided.
pub fn loops<E>(
    own: EndpointId,
    mut steps_of: impl FnMut(EndpointId) -> Result<Vec<EndpointId>, E>,
) -> Result<bool, E> {
    let (mut seen, mut open) = (vec![own], vec![own]);
    while let Some(id) = open.pop() {
        for next in steps_of(id)? {
            if next == own {
                return Ok(true);
            }
            if !seen.contains(&next) && seen.len() < LINKS_MAX {
                seen.push(next);
                open.push(next);
            }
        }
    }
    Ok(false)
}
