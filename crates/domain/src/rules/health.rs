//! How a target is, by what came of asking it. Hysteresis: one lost answer takes nobody out, one good one brings nobody back.

use crate::Timestamp;

/// Failures in a row after which a target is down.
pub const DOWN_AFTER: u8 = 2;
/// Answers in a row after which a target that was down is up.
pub const UP_AFTER: u8 = 2;

/// How a target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// Nobody has asked it, or not often enough to say.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not. It is tried last.
    Down,
}

impl TargetState {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Unknown, "unknown"), (Self::Up, "up"), (Self::Down, "down")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }
}

/// What came of asking a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A final answer.
    Answer(u16),
    /// None in time.
    NoResponse,
    /// It could not be asked: the cause that an attempt of a call would get, such as `transport` or `name_not_found`.
    Failed(&'static str),
}

/// Answers that somebody else gives for a target that is not there, or the target for its being of no use now: a proxy before it
/// that heard nothing (RFC 3261 sections 16.8 and 21.4.9, 21.5.5), and one that says itself to be overloaded or under maintenance
/// (section 21.5.4). Everything else, a refusal or a challenge too, says that somebody is there: OPTIONS is answered as an INVITE
/// would be (section 11.2), and 486 is the answer of a busy agent.
pub const ABSENT: [u16; 3] = [408, 503, 504];

impl Heard {
    /// A name for it.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Answer(_) if self.is_alive() => "answered",
            Self::Answer(_) => "unavailable",
            Self::NoResponse => "no_response",
            Self::Failed(cause) => cause,
        }
    }

    /// Its status, where it is an answer.
    pub fn sip_status(self) -> Option<u16> {
        match self {
            Self::Answer(status) => Some(status),
            Self::NoResponse | Self::Failed(_) => None,
        }
    }

    /// Whether it says that somebody is there.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Answer(status) if !ABSENT.contains(&status))
    }
}

/// A target's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How it is.
    pub state: TargetState,
    /// What was heard last.
    pub heard: Option<Heard>,
    /// When it was asked last.
    pub checked_at: Option<Timestamp>,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// How often in a row what was heard speaks against the state.
    against: u8,
}

impl Health {
    /// The same after something was heard.
    #[must_use]
    pub fn after(self, heard: Heard, now: Timestamp) -> Self {
        let mut next = Self { heard: Some(heard), checked_at: Some(now), ..self };
        let (speaks_for, needed) = match (self.state, heard.is_alive()) {
            (TargetState::Up, true) | (TargetState::Down, false) => {
                next.against = 0;
                return next;
            }
            (TargetState::Unknown, true) => (TargetState::Up, 1),
            (TargetState::Down, true) => (TargetState::Up, UP_AFTER),
            (TargetState::Unknown | TargetState::Up, false) => (TargetState::Down, DOWN_AFTER),
        };
        next.against = self.against.saturating_add(1);
        if next.against >= needed {
            (next.state, next.since, next.against) = (speaks_for, Some(now), 0);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_goes_down_and_comes_back_after_two_in_a_row() {
        let (ok, no) = (Heard::Answer(486), Heard::NoResponse);
        let rows: [(&[Heard], TargetState); 8] = [
            (&[], TargetState::Unknown),
            (&[ok], TargetState::Up),
            (&[no], TargetState::Unknown),
            (&[no, no], TargetState::Down),
            (&[ok, no, ok, no], TargetState::Up),
            (&[ok, no, Heard::Failed("transport")], TargetState::Down),
            (&[no, no, ok, no, ok], TargetState::Down),
            (&[no, no, ok, ok], TargetState::Up),
        ];
        for (heard, wanted) in rows {
            let now = Timestamp::UNIX_EPOCH;
            let health = heard.iter().fold(Health::default(), |health, heard| health.after(*heard, now));
            assert_eq!(health.state, wanted, "{heard:?}");
            assert_eq!(health.heard, heard.last().copied());
        }
    }

    #[test]
    fn any_answer_is_a_sign_of_life_but_one_for_somebody_absent() {
        for (heard, alive, cause) in [
            (Heard::Answer(200), true, "answered"),
            (Heard::Answer(302), true, "answered"),
            (Heard::Answer(401), true, "answered"),
            (Heard::Answer(404), true, "answered"),
            (Heard::Answer(486), true, "answered"),
            (Heard::Answer(500), true, "answered"),
            (Heard::Answer(603), true, "answered"),
            (Heard::Answer(408), false, "unavailable"),
            (Heard::Answer(503), false, "unavailable"),
            (Heard::Answer(504), false, "unavailable"),
            (Heard::NoResponse, false, "no_response"),
            (Heard::Failed("tls_name"), false, "tls_name"),
        ] {
            assert_eq!((heard.is_alive(), heard.cause()), (alive, cause), "{heard:?}");
        }
    }
}
