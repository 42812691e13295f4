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
    /// A final answer, whatever it says: somebody is there.
    Answer(u16),
    /// None in time.
    NoResponse,
    /// The transport failed.
    Transport,
    /// Its name has no address.
    NameNotFound,
    /// No listener here speaks its transport.
    NoListener,
}

impl Heard {
    /// A name for it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Answer(_) => "answered",
            Self::NoResponse => "no_response",
            Self::Transport => "transport",
            Self::NameNotFound => "name_not_found",
            Self::NoListener => "no_listener",
        }
    }

    fn is_alive(self) -> bool {
        matches!(self, Self::Answer(_))
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
        let (ok, no) = (Heard::Answer(503), Heard::NoResponse);
        let rows: [(&[Heard], TargetState); 8] = [
            (&[], TargetState::Unknown),
            (&[ok], TargetState::Up),
            (&[no], TargetState::Unknown),
            (&[no, no], TargetState::Down),
            (&[ok, no, ok, no], TargetState::Up),
            (&[ok, no, Heard::Transport], TargetState::Down),
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
}
