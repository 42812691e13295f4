//! People who sign in elsewhere: tokens of configured identity providers become callers. A token is verified once; until its
//! issuer's keys change, the same token again costs a look-up. Whether it holds *now* is asked at each use.
//!
//! An issuer's keys are read at the start and then again and again ([`issuer`]). A provider that is away keeps nobody out whose
//! keys were confirmed within a day, and does not keep the service from starting: while its keys are not there its tokens are
//! refused with 503, since nobody can say that they are wrong.

mod issuer;
mod keys;
pub(crate) mod settings;
mod token;

use domain::caller::Actor;
use domain::ids::OrganizationId;
use domain::key::{KeyHash, Mode};
use domain::{Caller, Error, Kind, Result, Timestamp, What};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

use crate::clock;
use issuer::{Issuer, Missed};
use settings::IssuerSettings;
use token::{Parts, Refused, Verified};

/// The longest token, in bytes. Large ones list a person's groups.
const TOKEN_MAX: usize = 8 * 1024;
/// How many verified tokens are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How many signatures are verified at once, however many strangers send tokens.
const VERIFIED_AT_ONCE: usize = 4;

/// A token that was verified, and with which of its issuer's key sets.
struct Remembered {
    issuer: usize,
    generation: u64,
    verified: Arc<Verified>,
}

/// Knows the issuers and the tokens that were verified.
pub(crate) struct Identity {
    issuers: Vec<Arc<Issuer>>,
    /// By the same keyed hash that keys are found by: a token itself is kept nowhere.
    remembered: Mutex<HashMap<KeyHash, Remembered>>,
    verifying: Arc<Semaphore>,
}

impl Identity {
    /// Reads the keys that lie in files; those behind URLs are fetched by [`Identity::follow`].
    pub(crate) fn open(settings: Vec<IssuerSettings>) -> anyhow::Result<Self> {
        let opened = settings.into_iter().map(|settings| Issuer::open(settings).map(Arc::new));
        Ok(Self {
            issuers: opened.collect::<anyhow::Result<_>>()?,
            remembered: Mutex::default(),
            verifying: Arc::new(Semaphore::new(VERIFIED_AT_ONCE)),
        })
    }

    /// What reads each issuer's keys again and again; to be run beside everything else.
    pub(crate) fn follow(&self) -> impl Iterator<Item = impl Future<Output = ()> + Send + use<>> {
        self.issuers.clone().into_iter().map(issuer::follow)
    }

    /// Whether a credential is a token's form, in a dialect that takes tokens.
    pub(crate) fn takes(&self, dialect: &str, credential: &str) -> bool {
        self.issuers.iter().any(|issuer| issuer.settings.dialects.contains(&dialect))
            && credential.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// The caller that a token names. `hash` is the token's; `wanted` the organization that the request names; `is_there` says
    /// which organizations there are.
    pub(crate) async fn caller(
        &self,
        dialect: &'static str,
        (token, hash): (&str, KeyHash),
        wanted: Option<OrganizationId>,
        is_there: impl Fn(OrganizationId) -> bool + Send,
    ) -> Result<Caller> {
        let verified = match self.remembered(dialect, &hash) {
            Some(verified) => verified,
            None => self.verified(dialect, token, hash).await?,
        };
        let now = clock::now();
        check_times(&verified, now)?;
        let organization_id = organization(&verified, wanted, is_there)?;
        let role =
            verified.role.ok_or_else(|| Error::forbidden("Your account has no role in this service."))?;
        let actor = Actor::Person(verified.person.clone());
        Ok(Caller { actor, organization_id: Some(organization_id), role, scopes: None, mode: Mode::Live })
    }

    fn remembered(&self, dialect: &str, hash: &KeyHash) -> Option<Arc<Verified>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(hash)?;
        let issuer = &self.issuers[found.issuer];
        let current = issuer.keys().is_some_and(|keys| keys.generation == found.generation);
        (current && issuer.settings.dialects.contains(&dialect)).then(|| Arc::clone(&found.verified))
    }

    /// Verifies a token. A key that is not known is asked for once: the issuer may have a new one.
    async fn verified(&self, dialect: &'static str, token: &str, hash: KeyHash) -> Result<Arc<Verified>> {
        if token.len() > TOKEN_MAX {
            return Err(refused("?", Refused::Form));
        }
        let parts = Parts::of(token).map_err(|why| refused("?", why))?;
        let mut candidates = self.issuers.iter().enumerate();
        let of =
            |issuer: &Issuer| issuer.settings.dialects.contains(&dialect) && parts.is_of(&issuer.settings);
        let (index, issuer) =
            candidates.find(|(_, issuer)| of(issuer)).ok_or_else(|| refused("?", Refused::Issuer))?;
        let name = issuer.settings.name.as_str();
        let algorithm = parts.algorithm.filter(|a| issuer.settings.algorithms.contains(a));
        let algorithm = algorithm.ok_or_else(|| refused(name, Refused::Algorithm))?;
        let id = parts.key_id.clone();
        let keys = match issuer.keys_for(id.as_deref(), algorithm).await {
            Ok(keys) => keys,
            Err(Missed::Unknown) => return Err(refused(name, Refused::Key)),
            Err(Missed::Away) => {
                let words =
                    "Tokens cannot be checked right now, since their issuer is not reachable; try again.";
                let cause = format!("the keys of issuer {name} were not read, never or for too long");
                return Err(Error::new(Kind::Unavailable, What::Key, words).because(cause));
            }
        };
        let generation = keys.generation;
        // The permit is held until the signature is verified, also when the client hangs up: the work goes on without it.
        let permit = Arc::clone(&self.verifying).acquire_owned().await;
        let permit = permit.map_err(|error| Error::internal(error.to_string()))?;
        let (owned, of) = (token.to_owned(), Arc::clone(issuer));
        let work = tokio::task::spawn_blocking(move || {
            let _held = permit;
            Parts::of(&owned).and_then(|parts| parts.verify(&of.settings, &keys))
        });
        let outcome = work.await.map_err(|error| Error::internal(error.to_string()))?;
        let verified = Arc::new(outcome.map_err(|why| refused(name, why))?);
        self.remember(hash, Remembered { issuer: index, generation, verified: Arc::clone(&verified) });
        Ok(verified)
    }

    /// Remembers a token. Where there is no room, those that are over go, and if none is, all: each costs one signature again.
    fn remember(&self, hash: KeyHash, token: Remembered) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            let now = clock::now().as_second();
            remembered.retain(|_, token| now < token.verified.until);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
        }
        remembered.insert(hash, token);
    }
}

/// One answer for all that is wrong with a token; the reason goes to the log, without a word of the token.
fn refused(issuer: &str, why: Refused) -> Error {
    tracing::debug!(issuer, ?why, "token refused");
    Error::new(Kind::Unauthenticated, What::Key, "The token is not valid here.")
}

/// Said only of tokens that the issuer did sign.
fn check_times(verified: &Verified, now: Timestamp) -> Result<()> {
    let words = match now.as_second() {
        second if second >= verified.until => "The token has expired; sign in again.",
        second if second < verified.from => "The token is not valid yet.",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Unauthenticated, What::Key, words))
}

/// The organization that is meant: the one that the request names, if the token lists it, else the token's first.
fn organization(
    verified: &Verified,
    wanted: Option<OrganizationId>,
    is_there: impl Fn(OrganizationId) -> bool,
) -> Result<OrganizationId> {
    let mut own = verified.organizations.iter().copied().filter(|id| is_there(*id));
    match wanted {
        Some(wanted) => own.find(|id| *id == wanted).ok_or_else(|| {
            Error::forbidden("`x-organization-id` names an organization that you do not belong to.")
        }),
        None => own.next().ok_or_else(|| Error::forbidden("You belong to no organization of this service.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::caller::Person;
    use uuid::Uuid;

    fn verified(organizations: &[u128]) -> Verified {
        let organizations = organizations.iter().map(|id| OrganizationId(Uuid::from_u128(*id))).collect();
        let person = Person::new("https://i.example", "ada").unwrap();
        Verified { person, organizations, role: None, from: 500, until: 1_000 }
    }

    #[test]
    fn a_token_holds_from_and_until() {
        let at = |second| check_times(&verified(&[]), Timestamp::from_second(second).unwrap());
        assert!(at(500).is_ok() && at(999).is_ok());
        assert!(at(499).unwrap_err().public.contains("not valid yet"));
        assert!(at(1_000).unwrap_err().public.contains("expired"));
    }

    #[test]
    fn the_organization_is_the_one_named_if_it_is_listed() {
        let id = |id| OrganizationId(Uuid::from_u128(id));
        let of = |wanted: Option<u128>| {
            organization(&verified(&[9, 1, 2]), wanted.map(id), |found| found != id(9))
        };
        assert_eq!(of(None).unwrap(), id(1), "the first that is there");
        assert_eq!(of(Some(2)).unwrap(), id(2));
        assert_eq!(of(Some(3)).unwrap_err().kind, Kind::Forbidden);
        assert_eq!(of(Some(9)).unwrap_err().kind, Kind::Forbidden);
        assert_eq!(organization(&verified(&[]), None, |_| true).unwrap_err().kind, Kind::Forbidden);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let identity = Identity::open(Vec::new()).unwrap();
        for n in 0..=REMEMBERED_MAX {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            let verified = Arc::new(verified(&[]));
            identity.remember(KeyHash(hash), Remembered { issuer: 0, generation: 1, verified });
        }
        assert!(identity.remembered.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
