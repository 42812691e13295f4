//! What a registrant tells of itself.

use std::time::Instant;

use super::{Registrant, Stage};
use crate::edge::Fault;
use crate::transport::Flow;

/// How a registration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrantState {
    /// The first try is under way.
    Registering,
    /// The carrier has taken it.
    Registered,
    /// It has not; another try comes.
    Failing,
    /// The carrier has refused it, and is left alone for long.
    Refused,
    /// It is being taken away, or is gone.
    Leaving,
}

/// Why the last try came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing was answered.
    Silent,
    /// Nothing could be sent.
    Fault(Fault),
    /// A final answer that may be another one the next time.
    Answer(u16),
    /// The carrier does not know who we say to be, or will not have it.
    Refused(u16),
    /// It did not take our credentials.
    Credentials(u16),
    /// It asks for what nobody here can answer: another scheme, another algorithm.
    Challenge(u16),
    /// It agreed, and bound nothing.
    Unbound,
}

/// How a registration is, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrantStatus {
    /// In a word.
    pub state: RegistrantState,
    /// Our Contact there, once something was sent.
    pub contact: Option<String>,
    /// The way to it, and the way that calls come by.
    pub flow: Option<Flow>,
    /// When it ends, unless it is renewed before.
    pub until: Option<Instant>,
    /// When the next try is; none while one is under way.
    pub next: Option<Instant>,
    /// What is wrong, if something is.
    pub trouble: Option<Trouble>,
    /// Tries in a row that came to nothing.
    pub failures: u32,
    /// The routes of calls out, where the carrier names some (RFC 3608).
    pub service_route: Vec<String>,
}

impl Registrant {
    /// How it is.
    pub fn status(&self, now: Instant) -> RegistrantStatus {
        let bound = self.bound.filter(|bound| bound.until > now);
        let state = match (&self.stage, bound, self.trouble) {
            _ if self.leaving => RegistrantState::Leaving,
            (_, Some(_), _) => RegistrantState::Registered,
            _ if self.refused => RegistrantState::Refused,
            (_, None, Some(_)) => RegistrantState::Failing,
            (_, None, None) => RegistrantState::Registering,
        };
        let flow = bound.map(|bound| bound.flow).or(match &self.stage {
            Stage::Asking(sent) => Some(sent.to),
            Stage::Waiting(_) | Stage::Locating | Stage::Over => None,
        });
        RegistrantStatus {
            state,
            contact: flow.map(|flow| self.contact(flow)),
            flow,
            until: bound.map(|bound| bound.until),
            next: match &self.stage {
                Stage::Waiting(at) => Some(*at),
                Stage::Locating | Stage::Asking(_) | Stage::Over => None,
            },
            trouble: self.trouble,
            failures: if self.trouble.is_some() { self.failures } else { 0 },
            service_route: if bound.is_some() { self.service_route.clone() } else { Vec::new() },
        }
    }
}
