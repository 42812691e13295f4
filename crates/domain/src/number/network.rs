//! Which phone network a number is part of: the world's, or one that only simulates.

use super::{Environment, Number};
use crate::key::Mode;

/// The phone network that a number is part of. Decided by the stock it comes from, for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// The world's.
    #[default]
    Public,
    /// A simulation of the whole service: its numbers are bought, cost and ring as others do, of the simulated carrier.
    Simulated,
    /// Numbers for trying things out beside real ones: they cost nothing, and only the simulated network reaches them.
    Test,
}

impl Network {
    /// The networks with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Public, "public"), (Self::Simulated, "simulated"), (Self::Test, "test")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// Whether its numbers are the simulated carrier's.
    pub fn is_simulated(self) -> bool {
        match self {
            Self::Public => false,
            Self::Simulated | Self::Test => true,
        }
    }

    /// Whether a key of this mode sees and buys its numbers: a test key those for tests, a live key all others.
    pub fn is_for(self, mode: Mode) -> bool {
        (self == Self::Test) == (mode == Mode::Test)
    }

    /// Whether a trunk of the operator's carries calls to its numbers. The simulated network reaches no number of the world, and
    /// the world none that is for tests.
    pub fn is_reached(self, from: Self) -> bool {
        match self {
            Self::Public => !from.is_simulated(),
            Self::Simulated => true,
            Self::Test => from.is_simulated(),
        }
    }
}

impl Number {
    /// Whether a key of this mode sees it: a test key what is for tests or in the sandbox, a live key everything.
    pub fn is_for(&self, mode: Mode) -> bool {
        let tried = self.network == Network::Test || self.environment == Environment::Sandbox;
        tried || mode == Mode::Live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_and_real_ones_never_meet() {
        assert!(Network::Test.is_for(Mode::Test) && !Network::Test.is_for(Mode::Live));
        assert!(Network::Public.is_for(Mode::Live) && !Network::Public.is_for(Mode::Test));
        assert!(!Network::Test.is_reached(Network::Public) && Network::Test.is_reached(Network::Simulated));
        assert!(
            !Network::Public.is_reached(Network::Simulated) && Network::Public.is_reached(Network::Public)
        );
        for (network, name) in Network::NAMES {
            assert_eq!((network.as_str(), Network::parse(name)), (name, Some(network)));
        }
    }
}
