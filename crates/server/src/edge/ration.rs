//! How often strangers are answered. What one source asks for too often is taken from that source alone: a flood from one place
//! keeps nobody else out, and only many places together reach the bound of all.

use hashbrown::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many a second, no more than a second's worth at once.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    left: u32,
    filled: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, left: per_second, filled: None }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let filled = *self.filled.get_or_insert(now);
        if now.saturating_duration_since(filled) >= Duration::from_secs(1) {
            (self.filled, self.left) = (Some(now), self.per_second);
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// Answers a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// To one address; of IPv6, to one network of 64 bits, which is what one host has.
    pub(super) address: u32,
    /// To one network: of 24 bits, of IPv6 48.
    pub(super) network: u32,
    /// To all.
    pub(super) all: u32,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Rations {
    rates: Rates,
    /// What was given since `begun`, by address and by network. Nothing is counted that was not given, so there are never more
    /// of them than twice the rate of all.
    given: HashMap<(IpAddr, u8), u32>,
    total: u32,
    begun: Option<Instant>,
}

impl Rations {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates, given: HashMap::new(), total: 0, begun: None }
    }

    /// Whether a source is answered now.
    pub(super) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let begun = *self.begun.get_or_insert(now);
        if now.saturating_duration_since(begun) >= Duration::from_secs(1) {
            (self.begun, self.total) = (Some(now), 0);
            self.given.clear();
        }
        let Rates { address, network, all } = self.rates;
        let [narrow, wide] = places(source);
        let given = |place| self.given.get(&place).copied().unwrap_or(0);
        if given(narrow) >= address || given(wide) >= network || self.total >= all {
            return false;
        }
        for place in [narrow, wide] {
            *self.given.entry(place).or_insert(0) += 1;
        }
        self.total += 1;
        true
    }
}

/// The places that a source is counted by, the narrower first, each with its bits.
fn places(source: IpAddr) -> [(IpAddr, u8); 2] {
    match source.to_canonical() {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            [(four.into(), 32), (IpAddr::from([a, b, c, 0]), 24)]
        }
        IpAddr::V6(six) => {
            let cut = |bits: u32| IpAddr::from(Ipv6Addr::from_bits(six.to_bits() >> bits << bits));
            [(cut(64), 64), (cut(80), 48)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_bucket_gives_its_rate() {
        let mut bucket = Bucket::new(10);
        let start = clock::instant();
        let given = (0..3_000).filter(|n| bucket.take(start + Duration::from_millis(*n))).count();
        assert_eq!(given, 30);
    }

    #[test]
    fn a_source_that_floods_takes_from_nobody_but_its_network() {
        let mut rations = Rations::new(Rates { address: 10, network: 25, all: 60 });
        let now = clock::instant();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut take = |source: &str, now| (0..100).filter(|_| rations.take(ip(source), now)).count();
        assert_eq!(take("192.0.2.1", now), 10);
        assert_eq!(take("::ffff:192.0.2.1", now), 0, "the same address");
        assert_eq!(take("192.0.2.2", now), 10, "a neighbour has its own");
        assert_eq!((take("192.0.2.3", now), take("192.0.2.4", now)), (5, 0), "until the network is used up");
        assert_eq!((take("2001:db8::1", now), take("2001:db8::2", now)), (10, 0), "one host");
        assert_eq!((take("2001:db8:0:1::1", now), take("2001:db8:0:2::1", now)), (10, 5));
        assert_eq!((take("198.51.100.1", now), take("203.0.113.1", now)), (10, 0), "all together");
        assert_eq!(take("203.0.113.1", now + Duration::from_secs(1)), 10);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut rations = Rations::new(Rates { address: 10, network: 25, all: 60 });
        let now = clock::instant();
        let given =
            (0..10_000u32).filter(|n| rations.take(IpAddr::from(n.to_be_bytes().map(|b| b ^ 7)), now));
        assert_eq!(given.count(), 60);
        assert!(rations.given.len() <= 120);
    }
}
