//! How a trunk is at the moment: whether its carrier knows it, and where the hosts that it names are. Not stored.

use std::net::IpAddr;

use crate::Timestamp;

/// How a registration with a carrier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// The first try is under way.
    Registering,
    /// The carrier has taken it: calls come in.
    Registered,
    /// It has not; another try comes.
    Failing,
    /// The carrier has refused it, and is left alone for long.
    Refused,
    /// Another process of this installation registers.
    Elsewhere,
}

impl RegistrationState {
    /// The states with their names.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Registering, "registering"),
        (Self::Registered, "registered"),
        (Self::Failing, "failing"),
        (Self::Refused, "refused"),
        (Self::Elsewhere, "elsewhere"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }
}

/// A registration with a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkRegistration {
    /// How it is.
    pub state: RegistrationState,
    /// What the carrier calls us by.
    pub contact: Option<String>,
    /// Where the carrier was found: `udp:192.0.2.7:5060`.
    pub registrar: Option<String>,
    /// When it ends, unless it is renewed before.
    pub expires_at: Option<Timestamp>,
    /// When the next try is; none while one is under way.
    pub next_attempt_at: Option<Timestamp>,
    /// What the carrier answered, where it was no yes.
    pub sip_status: Option<u16>,
    /// What is wrong and what to do, in a sentence.
    pub problem: Option<String>,
    /// Tries in a row that came to nothing.
    pub failures: u32,
    /// The routes that calls out take, where the carrier names some.
    pub service_route: Vec<String>,
}

/// A host that a trunk names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Its name.
    pub name: String,
    /// What it resolved to last.
    pub addresses: Vec<IpAddr>,
    /// When that was; none: it never did.
    pub looked_up_at: Option<Timestamp>,
    /// When it is looked up next.
    pub next_look_up_at: Option<Timestamp>,
    /// Whether the last look-up got no answer.
    pub failing: bool,
}

/// How a trunk is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkStatus {
    /// Its registration, where it has one.
    pub registration: Option<TrunkRegistration>,
    /// The hosts that it names.
    pub hosts: Vec<HostStatus>,
}
