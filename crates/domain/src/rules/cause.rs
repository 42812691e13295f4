//! Why a place did not take a call, in the words that rules and records share: one table.

/// Why a place did not take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// In another call: 486, 600.
    Busy,
    /// Said no: 603, 607, 608.
    Declined,
    /// Does not know who is called: 404, 410, 484, 604.
    NotFound,
    /// Did not take it: 408, 480, no final answer in time.
    NoAnswer,
    /// Refused it in another way: what else there is of 3xx, 4xx and 6xx.
    Refused,
    /// Could not be reached or could not serve: 5xx, a broken transport, silence.
    Failed,
    /// Rang longer than its `answer_seconds`.
    TooLate,
    /// There is no endpoint.
    NoEndpoint,
    /// The endpoint is switched off.
    EndpointInactive,
    /// The endpoint takes no calls by SIP.
    EndpointNotSip,
    /// The endpoint has no target switched on.
    NoTarget,
    /// All of the endpoint's targets are down.
    AllDown,
    /// The number is closed at this time.
    Closed,
}

/// When a cause comes up, and whether an endpoint's next target may be tried after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Ends an attempt; the next target is tried unless the endpoint says otherwise.
    MovesOn,
    /// Ends an attempt; the next target is tried only if the endpoint says so.
    MayMoveOn,
    /// Ends an attempt, and is a word about the call: another way to the same place would get the same.
    Final,
    /// Known before anything is tried.
    Decided,
}

/// The table: each cause with its name and its rank.
const TABLE: [(Cause, &str, Rank); 13] = [
    (Cause::Busy, "busy", Rank::MayMoveOn),
    (Cause::Declined, "declined", Rank::Final),
    (Cause::NotFound, "not_found", Rank::Final),
    (Cause::NoAnswer, "no_answer", Rank::MovesOn),
    (Cause::Refused, "refused", Rank::MayMoveOn),
    (Cause::Failed, "failed", Rank::MovesOn),
    (Cause::TooLate, "too_late", Rank::MovesOn),
    (Cause::NoEndpoint, "no_endpoint", Rank::Decided),
    (Cause::EndpointInactive, "endpoint_inactive", Rank::Decided),
    (Cause::EndpointNotSip, "endpoint_not_sip", Rank::Decided),
    (Cause::NoTarget, "no_target", Rank::Decided),
    (Cause::AllDown, "all_down", Rank::Decided),
    (Cause::Closed, "closed", Rank::Decided),
];

impl Cause {
    /// Every cause.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Busy; TABLE.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = TABLE[at].0;
            at += 1;
        }
        all
    };

    /// The name.
    pub fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        TABLE.iter().find(|(_, name, _)| *name == text).map(|(cause, ..)| *cause)
    }

    /// When it comes up, and what it allows.
    pub fn rank(self) -> Rank {
        TABLE[self as usize].2
    }

    /// The names of those that pass.
    pub fn names(passes: impl Fn(Rank) -> bool) -> Vec<&'static str> {
        TABLE.iter().filter(|(.., rank)| passes(*rank)).map(|(_, name, _)| *name).collect()
    }
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u16);

impl Causes {
    /// None.
    pub const NONE: Self = Self(0);
    /// After which the next target of an endpoint is tried, where it says nothing else.
    pub const MOVES_ON: Self = {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < TABLE.len() {
            if matches!(TABLE[at].2, Rank::MovesOn) {
                set = set.with(TABLE[at].0);
            }
            at += 1;
        }
        set
    };

    /// The same and one more.
    #[must_use]
    pub const fn with(self, cause: Cause) -> Self {
        Self(self.0 | 1 << cause as u8)
    }

    /// Whether one is in it.
    pub const fn has(self, cause: Cause) -> bool {
        self.0 & 1 << cause as u8 != 0
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.has(*cause))
    }

    /// From names; the first that is none, or does not pass, is the error.
    pub fn read<'a>(
        names: impl IntoIterator<Item = &'a str>,
        passes: impl Fn(Rank) -> bool,
    ) -> Result<Self, &'a str> {
        names.into_iter().try_fold(Self::NONE, |set, name| {
            Cause::parse(name).filter(|cause| passes(cause.rank())).map(|cause| set.with(cause)).ok_or(name)
        })
    }

    /// The names.
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Cause::as_str).collect()
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<T: IntoIterator<Item = Cause>>(causes: T) -> Self {
        causes.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_cause_at_its_place_and_each_name_once() {
        for (at, (cause, name, _)) in TABLE.iter().enumerate() {
            assert_eq!((*cause as usize, cause.as_str(), Cause::parse(name)), (at, *name, Some(*cause)));
        }
    }

    #[test]
    fn words_about_the_call_never_move_it_to_the_next_target() {
        assert_eq!(Causes::MOVES_ON.names(), ["no_answer", "failed", "too_late"]);
        let may = |rank| matches!(rank, Rank::MovesOn | Rank::MayMoveOn);
        assert_eq!(Causes::read(["busy", "failed"], may).unwrap().names(), ["busy", "failed"]);
        for never in ["declined", "not_found", "closed", "no_endpoint", "smoke"] {
            assert_eq!(Causes::read([never], may), Err(never));
        }
    }
}
