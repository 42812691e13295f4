//! The states of a number and the table of what leads from one to another.

use crate::error::{Error, Kind, Result, What};

/// The state of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Ordered or imported, not yet usable.
    Pending,
    /// In use.
    Active,
    /// Held, but switched off.
    Inactive,
    /// Given back; kept for audit, restorable while its quarantine lasts.
    Released,
    /// On its way in from another carrier.
    PortIn,
    /// On its way out to another carrier.
    PortOut,
    /// Gone for good.
    Deleted,
}

/// What happens to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The carrier or the operator has finished: it can be used. Also: its holder switches it on.
    Activate,
    /// Its holder switches it off.
    Deactivate,
    /// Its holder gives it back.
    Release,
    /// Its holder takes it back during the quarantine.
    Restore,
    /// The same where taking it back needs the operator's consent, as bringing it in would.
    Reclaim,
    /// Its holder removes it for good.
    Delete,
    /// It comes from another carrier.
    PortIn,
    /// It leaves for another carrier.
    PortOut,
}

/// The whole table of transitions. What is not here is refused.
pub const TRANSITIONS: [(Status, Step, Status); 21] = [
    (Status::Pending, Step::Activate, Status::Active),
    (Status::Pending, Step::PortIn, Status::PortIn),
    (Status::Pending, Step::Release, Status::Released),
    (Status::Pending, Step::Delete, Status::Deleted),
    (Status::PortIn, Step::Activate, Status::Active),
    // One that never came is not there to be taken back: that would be a way round who has to let it in.
    (Status::PortIn, Step::Release, Status::Deleted),
    (Status::PortIn, Step::Delete, Status::Deleted),
    (Status::Active, Step::Activate, Status::Active),
    (Status::Active, Step::Deactivate, Status::Inactive),
    (Status::Active, Step::Release, Status::Released),
    (Status::Active, Step::Delete, Status::Deleted),
    (Status::Active, Step::PortOut, Status::PortOut),
    (Status::Inactive, Step::Activate, Status::Active),
    (Status::Inactive, Step::Deactivate, Status::Inactive),
    (Status::Inactive, Step::Release, Status::Released),
    (Status::Inactive, Step::Delete, Status::Deleted),
    (Status::PortOut, Step::Activate, Status::Active),
    (Status::PortOut, Step::Delete, Status::Deleted),
    (Status::Released, Step::Restore, Status::Active),
    (Status::Released, Step::Reclaim, Status::Pending),
    (Status::Released, Step::Delete, Status::Deleted),
];

impl Status {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::Pending, "pending"),
        (Self::Active, "active"),
        (Self::Inactive, "inactive"),
        (Self::Released, "released"),
        (Self::PortIn, "port_in"),
        (Self::PortOut, "port_out"),
        (Self::Deleted, "deleted"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// Whether the organization holds the number: it counts, costs, and nobody else can have it.
    pub fn is_held(self) -> bool {
        match self {
            Self::Pending | Self::Active | Self::Inactive | Self::PortIn | Self::PortOut => true,
            Self::Released | Self::Deleted => false,
        }
    }

    /// The one function that applies the table.
    pub fn after(self, step: Step) -> Result<Self> {
        let row = TRANSITIONS.iter().find(|(from, by, _)| *from == self && *by == step);
        row.map(|(_, _, to)| *to).ok_or_else(|| {
            let verb = match step {
                Step::Activate => "activated",
                Step::Deactivate => "deactivated",
                Step::Release => "released",
                Step::Restore | Step::Reclaim => "restored",
                Step::Delete => "deleted",
                Step::PortIn => "ported in",
                Step::PortOut => "ported out",
            };
            let words = format!("A number that is {} cannot be {verb}.", self.as_str());
            Error::new(Kind::Conflict, What::Number, words).at("status")
        })
    }
}
