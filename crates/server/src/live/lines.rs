//! Numbers by the user name of their SIP credentials: who registers, or calls out, proves to be a number's agent by them.
//!
//! Millions of passwords are not kept in memory. What proved right lately is, so that an agent at work never waits for the
//! store; everything else, the right password of somebody new as well as a wrong one of anybody, takes the same way through
//! it. So nothing tells a user name that is there from one that is not, and a password that was replaced counts at once.

use domain::Number;
use domain::e164::E164;
use domain::ids::{NumberId, OrganizationId};
use domain::provider::Sealed;
use hashbrown::HashMap;
use sip::digest::Secret;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::Store;

use crate::clock;
use crate::vault::Vault;

/// Lines that are remembered, about 300 bytes each.
const LINES_MAX: usize = 65_536;
/// How often a look-up is repeated because numbers changed meanwhile, before its finding is used but not remembered.
const TRIES: usize = 3;

/// A number that an agent can prove to be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The number's id.
    pub(crate) id: NumberId,
    /// Whose it is.
    pub(crate) organization_id: OrganizationId,
    /// The number.
    pub(crate) e164: E164,
    /// Its user name.
    pub(crate) username: String,
    /// What verifies its password.
    pub(crate) secret: Secret,
}

#[derive(Default)]
struct Kept {
    by_name: HashMap<String, Line>,
    names: HashMap<NumberId, String>,
    /// Counts changes of numbers: a look-up that one crossed is looked up again.
    changes: u64,
}

/// See the module's head.
pub(crate) struct Lines {
    source: Option<Source>,
    kept: Mutex<Kept>,
}

struct Source {
    store: Store,
    vault: Vault,
    /// Opened where there is nobody of a name, so that this takes as long.
    nobody: Sealed,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines(…)")
    }
}

/// What a look-up found, and as of which state of the numbers.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The lines of the name.
    pub(crate) lines: Vec<Line>,
    changes: Option<u64>,
}

impl Lines {
    /// Without a source nobody is found.
    pub(super) fn new(source: Option<(Store, Vault)>) -> Self {
        let source = source.map(|(store, vault)| {
            let nobody = vault.seal(&clock::random::<24>(), NumberId(uuid::Uuid::nil()).0.as_bytes());
            Source { store, vault, nobody }
        });
        Self { source, kept: Mutex::default() }
    }

    // Plain data: whole whatever happened under the lock.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of this name that proved itself lately. Memory only.
    pub(crate) fn recent(&self, username: &str) -> Option<Line> {
        self.lock().by_name.get(username).cloned()
    }

    /// The lines of a name, by the store. Blocks for one look-up: never on the call path.
    pub(crate) fn look_up(&self, username: &str) -> Looked {
        let Some(Source { store, vault, nobody }) = &self.source else { return Looked::default() };
        let mut looked = Looked::default();
        for _ in 0..TRIES {
            let before = self.lock().changes;
            match store.numbers_of_username(username) {
                Ok(numbers) => {
                    if numbers.is_empty() {
                        let id = NumberId(uuid::Uuid::nil());
                        let opened = vault.open(nobody, id.0.as_bytes()).unwrap_or_default();
                        std::hint::black_box(&Secret::new(username, &opened));
                    }
                    looked.lines = numbers.iter().filter_map(|n| opened(vault, n)).collect();
                }
                Err(error) => {
                    tracing::error!(error = %error, "numbers cannot be looked up by their SIP user names");
                    return Looked::default();
                }
            }
            if self.lock().changes == before {
                looked.changes = Some(before);
                break;
            }
        }
        looked
    }

    /// Whether a user name is a number's, by the store. No password is looked at.
    pub(super) fn is_of(&self, number: NumberId, username: &str) -> bool {
        let found = self.source.as_ref().map(|source| source.store.numbers_of_username(username));
        match found {
            Some(Ok(numbers)) => numbers.iter().any(|one| one.id == number),
            Some(Err(error)) => {
                tracing::error!(error = %error, "numbers cannot be looked up by their SIP user names");
                false
            }
            None => false,
        }
    }

    /// Remembers a line that has just proved itself.
    pub(crate) fn proved(&self, username: &str, line: &Line, looked: &Looked) {
        let mut kept = self.lock();
        if looked.changes != Some(kept.changes) {
            return;
        }
        if kept.by_name.len() >= LINES_MAX {
            (kept.by_name, kept.names) = Default::default();
        }
        kept.names.insert(line.id, username.to_owned());
        kept.by_name.insert(username.to_owned(), line.clone());
    }

    /// A number changed: its password may have.
    pub(super) fn forget(&self, number: NumberId) {
        let mut kept = self.lock();
        kept.changes += 1;
        if let Some(name) = kept.names.remove(&number)
            && kept.by_name.get(&name).is_some_and(|line| line.id == number)
        {
            kept.by_name.remove(&name);
        }
    }
}

fn opened(vault: &Vault, number: &Number) -> Option<Line> {
    let credentials = &number.sip_credentials;
    let password = vault.open(&credentials.password, number.id.0.as_bytes());
    if password.is_none() {
        tracing::error!(number.id = %number.id, "a number's SIP password cannot be opened: its agent is refused");
    }
    let secret = Secret::new(&credentials.username, &password?);
    let username = credentials.username.clone();
    Some(Line { id: number.id, organization_id: number.organization_id, e164: number.e164, username, secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn line(n: u128) -> Line {
        let id = NumberId(Uuid::from_u128(n));
        let organization_id = OrganizationId(Uuid::from_u128(9));
        let e164 = E164::from_u64(14_155_550_100).unwrap();
        Line { id, organization_id, e164, username: "tl".to_owned(), secret: Secret::new("tl", b"p") }
    }

    #[test]
    fn a_line_is_remembered_until_its_number_changes() {
        let lines = Lines::new(None);
        let looked = Looked { lines: vec![line(1)], changes: Some(0) };
        lines.proved("tl1", &line(1), &looked);
        assert_eq!(lines.recent("tl1"), Some(line(1)));
        lines.forget(NumberId(Uuid::from_u128(2)));
        assert!(lines.recent("tl1").is_some(), "another number's change");
        lines.forget(NumberId(Uuid::from_u128(1)));
        assert_eq!(lines.recent("tl1"), None);
    }

    #[test]
    fn what_was_looked_up_before_a_change_is_not_remembered() {
        let lines = Lines::new(None);
        let looked = Looked { lines: vec![line(1)], changes: Some(0) };
        lines.forget(NumberId(Uuid::from_u128(1)));
        lines.proved("tl1", &line(1), &looked);
        assert_eq!(lines.recent("tl1"), None);
        assert!(lines.look_up("tl1").lines.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let lines = Lines::new(None);
        let looked = Looked { lines: Vec::new(), changes: Some(0) };
        for n in 0..=LINES_MAX as u128 {
            lines.proved(&format!("tl{n}"), &line(n), &looked);
        }
        assert!(lines.lock().by_name.len() <= LINES_MAX && lines.lock().names.len() <= LINES_MAX);
        assert!(lines.recent(&format!("tl{LINES_MAX}")).is_some());
    }
}
