//! An account that an organization has at a carrier, through which its numbers there reach us.
//!
//! Which carriers there are is told by [`ProviderKind`]; what ids, keys and regions look like is theirs to know.

use std::net::IpAddr;

use crate::error::{Error, Result, What};
use crate::provider::{AddressRule, ProviderKind, Sealed};

/// An organization's account at a carrier, with the key that it gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierAccount {
    /// The carrier's id of the account. Never changes: another account is another provider.
    pub id: String,
    /// The id of the key; shown in part only ([`masked`]).
    pub key_id: String,
    /// The key's secret, encrypted.
    pub key_secret: Sealed,
    /// In which of the carrier's regions the key is.
    pub region: String,
    /// The carrier's id of what we made there to have calls sent to us; none until the first number needed it.
    pub attachment: Option<String>,
}

/// What a change of an account may name; also what a new one is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountPatch {
    /// The carrier's id of the account.
    pub id: Option<String>,
    /// The id of the key.
    pub key_id: Option<String>,
    /// The key's secret, encrypted.
    pub key_secret: Option<Sealed>,
    /// The region.
    pub region: Option<String>,
}

/// Names an organization's provider by its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRef {
    /// At which carrier.
    pub kind: ProviderKind,
    /// The carrier's id of the account.
    pub id: String,
    /// The region.
    pub region: String,
}

/// As much of an account as is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBrief {
    /// The carrier's id of the account.
    pub id: String,
    /// The id of the key, masked.
    pub key_id: String,
    /// The region.
    pub region: String,
}

/// The longest id of an account or a key, in characters.
pub const ID_MAX: usize = 64;
/// The most numbers that one account's provider may have here.
pub const NUMBERS_MAX: u32 = 10_000;
/// How many characters of a key's id are shown at each end.
const SHOWN: usize = 4;

/// Whether a text may be a carrier's id: it stands in URLs and headers, so it has letters and digits only.
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A key's id as it is shown: the first and the last four characters; nothing of a short one.
pub fn masked(key_id: &str) -> String {
    let all: Vec<char> = key_id.chars().collect();
    let hidden = if all.len() > 3 * SHOWN { SHOWN..all.len() - SHOWN } else { 0..all.len() };
    all.iter().enumerate().map(|(at, c)| if hidden.contains(&at) { '*' } else { *c }).collect()
}

impl CarrierAccount {
    /// As much as is shown.
    pub fn brief(&self) -> AccountBrief {
        let Self { id, key_id, key_secret: _, region, attachment: _ } = self;
        AccountBrief { id: id.clone(), key_id: masked(key_id), region: region.clone() }
    }

    /// The same with what was made there.
    #[must_use]
    pub fn attached(&self, attachment: String) -> Self {
        Self { attachment: Some(attachment), ..self.clone() }
    }

    /// A new account, or what a patch makes of one. In another region what we made in the old one is not to be had.
    pub(crate) fn patched(before: Option<&Self>, patch: AccountPatch) -> Result<Self> {
        let AccountPatch { id, key_id, key_secret, region } = patch;
        if let (Some(before), Some(id)) = (before, &id)
            && before.id != *id
        {
            let words = "A provider stays with its account; make another provider for another account.";
            return Err(Error::invalid(What::Provider, "account_id", words));
        }
        let id = id.or_else(|| before.map(|b| b.id.clone()));
        let key_id = key_id.or_else(|| before.map(|b| b.key_id.clone()));
        let region = region.or_else(|| before.map(|b| b.region.clone()));
        let missing = |field| Error::missing(What::Provider, field);
        let next = Self {
            id: id.filter(|id| is_id(id)).ok_or_else(|| missing("account_id"))?,
            key_id: key_id.filter(|id| is_id(id)).ok_or_else(|| missing("key_id"))?,
            key_secret: key_secret
                .or_else(|| before.map(|b| b.key_secret.clone()))
                .ok_or_else(|| missing("key_secret"))?,
            region: region.filter(|region| is_id(region)).ok_or_else(|| missing("region"))?,
            attachment: None,
        };
        let kept = before.filter(|before| before.region == next.region).and_then(|b| b.attachment.clone());
        Ok(Self { attachment: kept, ..next })
    }
}

/// From which addresses the carriers of accounts send calls. Their customers share them: an account's calls are told apart by
/// the number alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CarrierSources(pub Vec<AddressRule>);

impl CarrierSources {
    /// Whether a call from an address comes from a carrier.
    pub fn contains(&self, source: IpAddr) -> bool {
        self.0.iter().any(|rule| rule.contains(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> AccountPatch {
        AccountPatch {
            id: Some("AC01".into()),
            key_id: Some("SK0123456789abcdef".into()),
            key_secret: Some(Sealed(vec![1])),
            region: Some("r1".into()),
        }
    }

    #[test]
    fn a_key_is_shown_in_part_only() {
        assert_eq!(masked("SK0123456789abcdef"), "SK01**********cdef");
        assert_eq!(masked("SK0123456789"), "************");
        let brief = CarrierAccount::patched(None, new()).unwrap().brief();
        assert_eq!((brief.id.as_str(), brief.key_id.as_str()), ("AC01", "SK01**********cdef"));
    }

    #[test]
    fn an_account_is_whole_and_stays_itself() {
        let one = CarrierAccount::patched(None, new()).unwrap();
        let one = one.attached("TK1".into());
        for lacks in [
            AccountPatch { key_secret: None, ..new() },
            AccountPatch { id: Some("a/b".into()), ..new() },
            AccountPatch { region: None, ..new() },
        ] {
            assert!(CarrierAccount::patched(None, lacks).is_err());
        }
        let key = AccountPatch { key_secret: Some(Sealed(vec![2])), ..AccountPatch::default() };
        let next = CarrierAccount::patched(Some(&one), key).unwrap();
        assert_eq!((next.key_id.as_str(), next.attachment.as_deref()), ("SK0123456789abcdef", Some("TK1")));
        let moved = AccountPatch { region: Some("r2".into()), ..AccountPatch::default() };
        assert_eq!(CarrierAccount::patched(Some(&one), moved).unwrap().attachment, None);
        let other = AccountPatch { id: Some("AC02".into()), ..AccountPatch::default() };
        assert_eq!(CarrierAccount::patched(Some(&one), other).unwrap_err().field, Some("account_id"));
    }
}
