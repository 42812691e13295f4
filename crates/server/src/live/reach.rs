//! Where what is named for SIP may be: as the installation says, or an organization's settings; never at our own addresses where
//! only public ones are allowed.

use domain::ids::OrganizationId;
use domain::reach::{Private, Reach, meant};
use std::net::IpAddr;
use std::sync::Arc;

use super::Live;

/// What the installation says, and where we are ourselves.
#[derive(Debug)]
pub(super) struct Grounds {
    private: Private,
    /// By the name that led there; that of addresses which were told as such is empty.
    named: Vec<(String, Vec<IpAddr>)>,
    /// All of them.
    own: Arc<[IpAddr]>,
}

impl Default for Grounds {
    /// Everything is allowed until the service says otherwise, before its first call.
    fn default() -> Self {
        Self { private: Private::Allowed, named: Vec::new(), own: Arc::default() }
    }
}

impl Grounds {
    pub(super) fn reach(&self, said: Option<Private>) -> Reach {
        match said.unwrap_or(self.private) {
            Private::Allowed => Reach::ANYWHERE,
            Private::Denied => Reach::public(Arc::clone(&self.own)),
        }
    }

    fn put(&mut self, name: &str, addresses: impl Iterator<Item = IpAddr>) {
        let addresses = addresses.map(meant).filter(|address| !address.is_unspecified()).collect();
        self.named.retain(|(other, _)| other != name);
        self.named.push((name.to_owned(), addresses));
        self.own = self.named.iter().flat_map(|(_, addresses)| addresses).copied().collect();
    }
}

impl Live {
    /// Whether what is named for SIP may be at private addresses, where an organization's settings say nothing.
    pub(crate) fn private_by_default(&self, private: Private) {
        self.write().grounds.private = private;
    }

    /// Where we are ourselves, by the name that leads there or (an empty one) by addresses, in place of what was known of it.
    pub(crate) fn put_own(&self, name: &str, addresses: impl Iterator<Item = IpAddr>) {
        self.write().grounds.put(name, addresses);
    }

    /// Where what somebody names for SIP may be; none: the operator.
    pub(crate) fn reach_of(&self, owner: Option<OrganizationId>) -> Reach {
        self.read().reach(owner)
    }

    /// Where what only public addresses are allowed to may be.
    pub(crate) fn reach_of_public(&self) -> Reach {
        self.read().grounds.reach(Some(Private::Denied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::organization::Kyc;
    use domain::reach::is_public;
    use domain::{Bag, Micros, Organization, Timestamp};
    use store::Changed;
    use uuid::Uuid;

    #[test]
    fn an_organizations_settings_come_before_the_installations_and_the_operators_own_is_free() {
        let (live, at) = (Live::new(), |text: &str| text.parse::<IpAddr>().unwrap());
        let organization = |n: u128, said: Option<&str>| {
            let id = OrganizationId(Uuid::from_u128(n));
            let settings: Bag =
                said.map(|said| ("sip_private".to_owned(), said.into())).into_iter().collect();
            let now = Timestamp::UNIX_EPOCH;
            let (kyc, name) = (Kyc::Approved, "o".to_owned());
            let one = Organization {
                id,
                name,
                kyc,
                number_slots: None,
                settings,
                created_at: now,
                updated_at: now,
                version: 1,
            };
            live.apply(Changed::Organization(one, Micros(0)));
            Some(id)
        };
        let (silent, open, closed) =
            (organization(1, None), organization(2, Some("allow")), organization(3, Some("deny")));
        let unknown = Some(OrganizationId(Uuid::from_u128(4)));
        let admitted = |owner| live.reach_of(owner).admits(at("10.0.0.1"));
        assert_eq!([silent, open, closed, unknown, None].map(admitted), [true, true, false, true, true]);
        live.private_by_default(Private::Denied);
        assert_eq!([silent, open, closed, unknown, None].map(admitted), [false, true, false, false, true]);
        // ourselves, where we are now
        live.put_own("", [at("9.9.9.9"), at("0.0.0.0")].into_iter());
        live.put_own("sip.example", [at("9.9.9.10")].into_iter());
        live.put_own("sip.example", [at("::ffff:9.9.9.11")].into_iter());
        let within = |text| live.reach_of(silent).admits(at(text));
        assert_eq!(["9.9.9.9", "9.9.9.10", "9.9.9.11", "9.9.9.12"].map(within), [false, true, false, true]);
        assert!(live.reach_of(open).admits(at("9.9.9.9")) && live.reach_of_public() == live.reach_of(closed));
    }

    /// Within a call addresses are judged in `sip`, which knows nothing of `domain`: also there what is only documented, measured with
    /// or given to protocols may be named, since nobody is there.
    #[test]
    fn what_is_private_within_a_call_is_never_public_and_the_other_way_round() {
        let nobodys = |four: [u8; 4]| {
            matches!(
                four,
                [192, 0, 0 | 2, _]
                    | [192, 88, 99, _]
                    | [198, 18 | 19, ..]
                    | [198, 51, 100, _]
                    | [203, 0, 113, _]
            )
        };
        for high in 0..=u16::MAX {
            let [a, b] = high.to_be_bytes();
            for four in [0, 2, 99, 100, 113].map(|c| [a, b, c, 7]) {
                let mapped = std::net::Ipv4Addr::from(four).to_ipv6_mapped().segments();
                let [.., first, second] = mapped;
                let dressed = [
                    mapped,
                    [0x64, 0xff9b, 0, 0, 0, 0, first, second],
                    [0x2002, first, second, 0, 0, 0, 0, 1],
                ];
                for ip in dressed.map(IpAddr::from).into_iter().chain([IpAddr::from(four)]) {
                    assert!(sip::private(ip) != is_public(ip) || nobodys(four), "{ip}");
                }
            }
            let six = IpAddr::from([high, 0x4700, 0, 0, 0, 0, 0, 1]);
            assert!(!sip::private(six) || !is_public(six), "{six}");
        }
    }
}
