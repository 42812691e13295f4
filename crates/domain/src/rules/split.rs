//! A number's calls shared among endpoints in percent. A caller stays with its branch: the draw is a keyed hash over number and
//! caller, the same in every process, and a branch that grows takes callers from its neighbour only.

use crate::error::{Error, Result, What};
use crate::ids::{EndpointId, NumberId};
use crate::routing::CallerShown;

/// The most places that share a number.
const SHARES_MAX: usize = 16;

/// A place's part of a number's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The place.
    pub endpoint_id: EndpointId,
    /// Its part, 1 to 100.
    pub percent: u8,
}

pub(super) fn check(split: &[Share]) -> Result<()> {
    let bad = |words: String| Err(Error::invalid(What::Number, "split", words));
    super::bounded(split.len(), SHARES_MAX, (What::Number, "split"))?;
    let total: u32 = split.iter().map(|share| u32::from(share.percent)).sum();
    if !split.is_empty() && total != 100 {
        return bad(format!("The percents of `split` come to {total}; they must come to 100."));
    }
    let twice = split
        .iter()
        .enumerate()
        .any(|(at, one)| split[..at].iter().any(|o| o.endpoint_id == one.endpoint_id));
    if twice {
        return bad("`split` names an endpoint twice.".to_owned());
    }
    Ok(())
}

/// Which share a call belongs to: by its caller, or, where that shows no number, by its own name (Call-ID).
pub fn branch(split: &[Share], key: &[u8; 32], number: NumberId, caller: CallerShown, call: &str) -> usize {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(number.0.as_bytes());
    match caller {
        CallerShown::Number(Some(caller)) => hasher.update(b"caller").update(&caller.as_u64().to_le_bytes()),
        CallerShown::Number(None) | CallerShown::Anyone => hasher.update(b"call").update(call.as_bytes()),
    };
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // Even to one part in 2^32.
    let mark = ((u64::from_le_bytes(first) >> 32) * 100) >> 32;
    let mut end = 0;
    let found = split.iter().position(|share| {
        end += u64::from(share.percent);
        mark < end
    });
    found.unwrap_or_else(|| split.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::E164;
    use uuid::Uuid;

    fn split(percents: &[u8]) -> Vec<Share> {
        let share = |(at, percent): (usize, &u8)| Share {
            endpoint_id: EndpointId(Uuid::from_u128(at as u128)),
            percent: *percent,
        };
        percents.iter().enumerate().map(share).collect()
    }

    fn at(split: &[Share], caller: u64) -> usize {
        let caller = CallerShown::Number(E164::from_u64(caller));
        branch(split, &[7; 32], NumberId(Uuid::from_u128(1)), caller, "")
    }

    #[test]
    fn percents_come_to_a_hundred_and_name_each_place_once() {
        for bad in [&[50, 49][..], &[100, 1], &[1]] {
            assert_eq!(check(&split(bad)).unwrap_err().field, Some("split"));
        }
        let mut twice = split(&[50, 50]);
        twice[1].endpoint_id = twice[0].endpoint_id;
        assert!(check(&twice).is_err() && check(&split(&[50, 50])).is_ok() && check(&[]).is_ok());
    }

    /// Fixed callers, so the counts never change; the bounds are five standard deviations.
    #[test]
    fn many_callers_spread_as_the_percents_say() {
        let split = split(&[10, 60, 30]);
        let mut counts = [0_u32; 3];
        for caller in 0..20_000 {
            counts[at(&split, 12_125_550_000 + caller)] += 1;
        }
        for (count, share) in counts.iter().zip(&split) {
            let p = f64::from(share.percent) / 100.0;
            let off = (f64::from(*count) - 20_000.0 * p).abs();
            assert!(off < 5.0 * (20_000.0 * p * (1.0 - p)).sqrt(), "{counts:?}");
        }
    }

    #[test]
    fn a_caller_stays_and_a_larger_branch_takes_from_its_neighbour_only() {
        let (before, after) = (split(&[10, 90]), split(&[30, 70]));
        for caller in 12_125_550_000..12_125_552_000 {
            assert_eq!(at(&before, caller), at(&before, caller));
            assert!(at(&after, caller) <= at(&before, caller), "nobody leaves the branch that grew");
        }
    }

    #[test]
    fn callers_without_a_number_are_told_apart_by_their_calls() {
        let split = split(&[50, 50]);
        let of =
            |call: &str| branch(&split, &[7; 32], NumberId(Uuid::nil()), CallerShown::Number(None), call);
        assert_eq!(of("a@b"), of("a@b"));
        let second = (0..1_000).filter(|n| of(&format!("{n}@host")) == 1).count();
        assert!((400..600).contains(&second), "{second}");
    }
}
