//! Where what tenants name may be: one rule for what is sent there by HTTP (webhooks) and by SIP (targets, trunks, registrars). Whose
//! address may not be private is kept out of the operator's own network, and away from our own listeners: what comes to those
//! from our own address could pass for somebody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Whether what tenants name may be at addresses that are not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// It may: for a service that is used by its operator alone.
    Allowed,
    /// It may not.
    Denied,
}

impl Private {
    /// The settings with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Allowed, "allow"), (Self::Denied, "deny")];

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// Where somebody's places may be. Asked of an address when it is used, so that a name which means another one a moment later
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach(Option<Arc<[IpAddr]>>);

impl Reach {
    /// Anywhere.
    pub const ANYWHERE: Self = Self(None);

    /// At public addresses that are none of these, our own; those of IPv4 as such.
    pub fn public(own: Arc<[IpAddr]>) -> Self {
        Self(Some(own))
    }

    /// Whether it is only public addresses.
    pub fn is_public(&self) -> bool {
        self.0.is_some()
    }

    /// Whether an address is within it.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_none_or(|own| is_public(address) && !own.contains(&meant(address)))
    }

    /// Whether a host may be within it as far as it says itself: of a name that is known where it leads.
    pub fn admits_address(&self, host: &str) -> bool {
        host.trim_matches(['[', ']']).parse().map_or(true, |address| self.admits(address))
    }

    /// The same when it is written: names that never are in the public DNS (RFC 6761 section 6.3) lead to no public address.
    pub fn admits_host(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        let own = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
        self.admits_address(host) && !(own && self.is_public())
    }
}

/// The address that an address stands for: itself, or an IPv4 one within it.
pub fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
    }
}

/// Whether an address is one of the public internet: by the special-purpose registries of IANA (RFC 6890 and those after it). An
/// IPv6 address that stands for an IPv4 one is judged as that.
pub fn is_public(address: IpAddr) -> bool {
    let v6 = match meant(address) {
        IpAddr::V4(v4) => return is_public_v4(v4),
        IpAddr::V6(v6) => v6,
    };
    // Global unicast is 2000::/3; within it, documentation, benchmarks and the like are not.
    let [first, second, ..] = v6.segments();
    let special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x3fff => second < 0x1000,
        _ => false,
    };
    first & 0xe000 == 0x2000 && !special
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..128, ..]
            | [169, 254, ..]
            | [172, 16..32, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

/// The IPv4 address that an IPv6 address stands for: mapped or compatible (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |[high, low]: [u16; 2]| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of([high, low]))
        }
        [0x2002, high, low, ..] => Some(of([high, low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "64:ff9b:1::808:808",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "203.0.114.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::808:808",
            "2002:808:808::",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn our_own_addresses_are_out_of_reach_in_every_dress_and_names_are_known_where_they_lead() {
        let own: Arc<[IpAddr]> = vec!["9.9.9.9".parse().unwrap(), "2620:fe::9".parse().unwrap()].into();
        let reach = Reach::public(own);
        for host in [
            "9.9.9.9",
            "[2620:fe::9]",
            "::ffff:9.9.9.9",
            "64:ff9b::909:909",
            "10.0.0.1",
            "LocalHost",
            "a.localhost",
            "localhost.",
        ] {
            assert!(!reach.admits_host(host) && Reach::ANYWHERE.admits_host(host), "{host}");
        }
        for host in ["9.9.9.8", "2620:fe::8", "sip.example", "localhost.example", "registered.invalid"] {
            assert!(reach.admits_host(host), "{host}");
        }
        assert_eq!((Private::parse("deny"), Private::parse("maybe")), (Some(Private::Denied), None));
    }
}
