//! What a carrier's own list and the numbers that are held here have of each other, and what was done where they differ.

use crate::e164::E164;
use crate::ids::{IntentId, NumberId, OrganizationId};

/// The most differences that one report names; how many more there are is counted.
pub const NAMED_MAX: usize = 10_000;

/// A comparison of a carrier with what is held here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The carrier's name.
    pub carrier: &'static str,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// How many numbers the carrier says are ours or on their way.
    pub listed: u64,
    /// How many numbers are held here that must be among them.
    pub held: u64,
    /// Why the comparison came to no end, if it did not. What was found until then stands.
    pub ended_by: Option<String>,
    /// The differences, those that are nobody's first.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub left_out: u64,
}

/// A number that one side has and the other has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number.
    pub e164: E164,
    /// Who has it and who has not.
    pub side: Side,
    /// What was done.
    pub mending: Mending,
    /// The work at the carrier that was begun for it.
    pub intent: Option<IntentId>,
}

/// Which side has a number that the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The carrier has it for us; here it is nobody's.
    Carrier,
    /// A tenant holds it here; the carrier knows nothing of it.
    Tenant(OrganizationId, NumberId),
}

/// What was done about a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mending {
    /// Nothing: nobody asked for it.
    None,
    /// It is written down what is to be done; the carrier has not said its last word.
    UnderWay,
    /// The carrier has the number back, or the number is ours there again.
    Done,
    /// The carrier will not do it: its words. Somebody has to decide.
    Refused(String),
}

impl Reconciled {
    /// Whether both sides have the same now, as far as is known.
    pub fn is_sound(&self) -> bool {
        let mended = |difference: &Difference| difference.mending == Mending::Done;
        self.ended_by.is_none() && self.left_out == 0 && self.differences.iter().all(mended)
    }

    /// Adds a difference, or counts it where there are too many.
    pub fn found(&mut self, e164: E164, side: Side) {
        if self.differences.len() < NAMED_MAX {
            self.differences.push(Difference { e164, side, mending: Mending::None, intent: None });
        } else {
            self.left_out += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_sound_when_all_is_mended_and_all_was_seen() {
        let mut report = Reconciled::default();
        assert!(report.is_sound());
        let e164 = E164::from_u64(14_155_550_100).unwrap();
        report.found(e164, Side::Carrier);
        assert!(!report.is_sound());
        report.differences[0].mending = Mending::Done;
        assert!(report.is_sound());
        report.differences[0].mending = Mending::Refused("gone".into());
        assert!(!report.is_sound());
        assert!(!Reconciled { ended_by: Some("away".into()), ..Reconciled::default() }.is_sound());
        for _ in 0..NAMED_MAX {
            report.found(e164, Side::Carrier);
        }
        assert_eq!((report.differences.len(), report.left_out), (NAMED_MAX, 1));
    }
}
