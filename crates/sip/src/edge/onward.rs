//! What comes after an attempt that was not answered, as data: one table from how it ended to its outcome, and for each leg of a
//! call a set of outcomes after which its next target is tried, and exits to other legs. Who fills them is the shell.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::Edge;
use super::api::Cause;
use super::context::{Cancel, Context, Role, State, Work};

/// How an attempt ended without an answer, in the words that rules about what comes next are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// In another call.
    Busy,
    /// Said no.
    Declined,
    /// Knows nobody of that name.
    NotFound,
    /// Does not take the call now.
    NoAnswer,
    /// Any other final answer but those of 5xx.
    Refused,
    /// Cannot serve it.
    Unavailable,
    /// No provisional answer in time.
    NoResponse,
    /// No final answer in time (timers B and C).
    Timeout,
    /// The transport failed, or there is no address.
    Transport,
    /// Rang longer than its leg allows.
    TooLate,
}

/// Which final answers mean what; the first row that has a status counts. What no row has is [`Outcome::Refused`].
pub const STATUSES: [(RangeInclusive<u16>, Outcome); 11] = [
    (486..=486, Outcome::Busy),
    (600..=600, Outcome::Busy),
    (603..=603, Outcome::Declined),
    // unwanted and rejected (RFC 8197, RFC 8688): a person's or an analyser's no
    (607..=608, Outcome::Declined),
    (404..=404, Outcome::NotFound),
    (410..=410, Outcome::NotFound),
    (484..=484, Outcome::NotFound),
    (604..=604, Outcome::NotFound),
    (408..=408, Outcome::NoAnswer),
    (480..=480, Outcome::NoAnswer),
    (500..=599, Outcome::Unavailable),
];

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 10] = [
        Self::Busy,
        Self::Declined,
        Self::NotFound,
        Self::NoAnswer,
        Self::Refused,
        Self::Unavailable,
        Self::NoResponse,
        Self::Timeout,
        Self::Transport,
        Self::TooLate,
    ];

    /// What a final answer of 300 and above means.
    pub fn of(status: u16) -> Self {
        let row = STATUSES.iter().find(|(statuses, _)| statuses.contains(&status));
        row.map_or(Self::Refused, |(_, outcome)| *outcome)
    }

    /// What the end of an attempt without a final answer means.
    fn of_loss(cause: Cause) -> Self {
        match cause {
            Cause::Silent => Self::NoResponse,
            Cause::Fault(_) => Self::Transport,
            Cause::TooLate => Self::TooLate,
            Cause::Timeout
            | Cause::Answered
            | Cause::Refused
            | Cause::Challenged
            | Cause::Auth
            | Cause::Media
            | Cause::Cancelled
            | Cause::Stopped => Self::Timeout,
        }
    }
}

/// A set of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcomes(u16);

impl Outcomes {
    /// None.
    pub const NONE: Self = Self(0);
    /// After which the next target of an endpoint is tried, where nothing else is said: it could not, or did not, take the call.
    /// Never after a word that is about the call itself (486, 404, 6xx).
    pub const DEFAULT: Self = Self::NONE
        .with(Outcome::NoAnswer)
        .with(Outcome::Unavailable)
        .with(Outcome::NoResponse)
        .with(Outcome::Timeout)
        .with(Outcome::Transport)
        .with(Outcome::TooLate);

    /// The same and one more.
    #[must_use]
    pub const fn with(self, outcome: Outcome) -> Self {
        Self(self.0 | 1 << outcome as u8)
    }

    /// Whether one is in it.
    pub const fn has(self, outcome: Outcome) -> bool {
        self.0 & 1 << outcome as u8 != 0
    }
}

/// Where a call goes on after a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// To another leg; one that stands further back, so that every call comes to an end.
    Leg(usize),
    /// To an answer of ours.
    Refuse {
        /// Status, 300 to 699.
        status: u16,
        /// Phrase.
        reason: &'static str,
    },
}

/// Targets that belong together: one place that answers calls, reached in several ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Which of the verdict's targets.
    pub targets: Range<usize>,
    /// After which outcomes its next target is tried.
    pub failover: Outcomes,
    /// How long a target may ring; then it is cancelled ([`Outcome::TooLate`]).
    pub ring: Option<Duration>,
    /// Where the call goes on when its last attempt ended so; the first that has the outcome counts. Nowhere: to its end.
    pub exits: Vec<(Outcomes, Exit)>,
}

impl Leg {
    /// All of so many targets, by the default table.
    pub fn of(targets: usize) -> Self {
        Self { targets: 0..targets, failover: Outcomes::DEFAULT, ring: None, exits: Vec::new() }
    }

    pub(super) fn exit(&self, outcome: Outcome) -> Option<Exit> {
        self.exits.iter().find(|(on, _)| on.has(outcome)).map(|(_, exit)| *exit)
    }
}

impl Edge {
    /// What comes after an attempt that ended so: the leg's next target, another leg, an answer of ours. False where there is
    /// nothing more.
    pub(super) fn go_on(&mut self, context: &mut Context, outcome: Outcome) -> bool {
        let mut outcome = outcome;
        loop {
            let Work::Call(routing) = &mut context.work else { return false };
            let Some(leg) = routing.legs.get(routing.leg) else { return false };
            let (exit, moves_on) = (leg.exit(outcome), leg.failover.has(outcome));
            if moves_on && self.next_target(context) {
                return true;
            }
            let Work::Call(routing) = &mut context.work else { return false };
            match exit {
                Some(Exit::Refuse { status, reason }) => {
                    self.fail(context, (status, reason), Cause::Refused, b"");
                    return true;
                }
                Some(Exit::Leg(next)) if next > routing.leg => {
                    let Some(leg) = routing.legs.get(next) else { return false };
                    routing.next = (leg.targets.start, 0);
                    routing.leg = next;
                    // another place: what one host said of the place before is no word about this one
                    routing.refused.clear();
                    if self.next_target(context) {
                        return true;
                    }
                    outcome = Outcome::Transport;
                }
                Some(Exit::Leg(_)) | None => return false,
            }
        }
    }

    /// The same after an attempt without a final answer.
    pub(super) fn go_on_from(&mut self, context: &mut Context, cause: Cause) -> bool {
        !context.cancelled && self.go_on(context, Outcome::of_loss(cause))
    }

    /// True while something could come after such an outcome.
    pub(super) fn has_more(context: &Context, outcome: Outcome) -> bool {
        let Work::Call(routing) = &context.work else { return false };
        let Some(leg) = routing.legs.get(routing.leg) else { return false };
        let (target, hop) = routing.next;
        let left = routing.targets.iter().enumerate().take(leg.targets.end).skip(target);
        let untried =
            left.flat_map(|(index, one)| one.hops.iter().skip(if index == target { hop } else { 0 }));
        let another = untried.into_iter().any(|hop| !routing.refused.contains(hop));
        leg.failover.has(outcome) && another || leg.exit(outcome).is_some()
    }

    /// A target has rung as long as its leg allows: it is cancelled, and the call goes on without waiting for what it says to
    /// that. Should it answer at this very moment, it has the call (RFC 3261 section 16.7).
    pub(super) fn too_late(&mut self, context: &mut Context, index: usize) {
        let now = context.now;
        if !context.open() || context.cancelled {
            return;
        }
        let Some(client) = context.clients.get_mut(index) else { return };
        if client.role != Role::Current {
            return;
        }
        client.role = Role::Abandoned;
        (client.repeat, client.silence, client.timer_c) = (None, None, None);
        client.cancel = Cancel::Wanted;
        if client.state == State::Proceeding {
            self.cancel_client(now, client);
        }
        self.attempt_told(context, index, None, Cause::TooLate);
        if !self.go_on_from(context, Cause::TooLate) {
            self.conclude(context, Cause::TooLate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_outcome_and_words_about_the_call_never_move_it_on() {
        let moving: Vec<u16> =
            (300..700).filter(|status| Outcomes::DEFAULT.has(Outcome::of(*status))).collect();
        let wanted: Vec<u16> = [408, 480].into_iter().chain(500..600).collect();
        assert_eq!(moving, wanted);
        for (status, outcome) in [
            (302, Outcome::Refused),
            (486, Outcome::Busy),
            (600, Outcome::Busy),
            (603, Outcome::Declined),
            (604, Outcome::NotFound),
            (487, Outcome::Refused),
            (488, Outcome::Refused),
        ] {
            assert_eq!(Outcome::of(status), outcome, "{status}");
        }
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        for one in Outcome::ALL {
            let set = Outcomes::NONE.with(one);
            assert!(Outcome::ALL.into_iter().all(|other| set.has(other) == (other == one)));
        }
    }
}
