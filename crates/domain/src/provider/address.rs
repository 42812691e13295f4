//! From where a trunk's callers come: addresses, ranges, and hosts by name.

use std::fmt;
use std::net::IpAddr;

/// An address, or a range of them (CIDR), from which SIP is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRule {
    /// The network's address; bits beyond the prefix are zero.
    pub network: IpAddr,
    /// How many bits must match.
    pub prefix: u8,
}

impl AddressRule {
    /// The shortest prefix of an IPv4 range: the largest network ever given to one holder (RFC 1918's 10/8, the old class A).
    pub const V4_MIN: u8 = 8;
    /// The shortest prefix of an IPv6 range: registries give carriers /32, the largest of them up to /19.
    pub const V6_MIN: u8 = 16;

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. `None` for anything else, and for a range of everything:
    /// a trunk that trusts the whole world is never meant. An IPv4 address in IPv6 dress (`::ffff:192.0.2.7`) is the IPv4 address: calls are compared in that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let written: IpAddr = address.trim().parse().ok()?;
        let network = written.to_canonical();
        let widest = if network.is_ipv4() { 32 } else { 128 };
        let undressed = if network.is_ipv4() && written.is_ipv6() { 96 } else { 0 };
        let prefix = match prefix {
            None => widest,
            Some(text) => text.trim().parse::<u8>().ok()?.checked_sub(undressed)?,
        };
        (1..=widest).contains(&prefix).then(|| Self { network: masked(network, prefix), prefix })
    }

    /// Whether it is wider than any carrier's: a few of those are the whole world, and nobody's call is unknown any more.
    pub(super) fn is_too_wide(&self) -> bool {
        self.prefix < if self.network.is_ipv4() { Self::V4_MIN } else { Self::V6_MIN }
    }

    /// The range of an address with a prefix of this length.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        Self { network: masked(address, prefix), prefix }
    }

    /// Whether an address lies within.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }

    /// Whether every address of another range lies within this one.
    pub fn covers(&self, other: &Self) -> bool {
        other.prefix >= self.prefix && self.contains(other.network)
    }

    /// Whether two ranges share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        let shorter = self.prefix.min(other.prefix);
        self.network.is_ipv4() == other.network.is_ipv4()
            && masked(self.network, shorter) == masked(other.network, shorter)
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = if self.network.is_ipv4() { 32 } else { 128 };
        if self.prefix == widest {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.prefix)
        }
    }
}

/// A host by name, in lower case: from whatever it resolves to, SIP is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads one (RFC 1123 section 2.1). An address is none; that one was mistyped shows by its last label, which is never a
    /// number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let last = text.rsplit('.').next().unwrap_or_default();
        let named =
            text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit());
        named.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
