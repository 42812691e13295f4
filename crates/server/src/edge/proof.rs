//! Callers who prove whose they are by digest (RFC 7616, RFC 8760): asked by 407, verified in memory. Nothing tells a user name
//! that is there from one that is not: the same answer, after the same work.

use domain::ids::ProviderId;
use sip::digest::{self, Credentials, Freshness, Nonces, Secret};
use sip::{Ask, Verdict};
use std::time::Instant;

use crate::clock;
use crate::live::Live;
use crate::live::lines::{Line, Looked};

/// Values of credentials that are looked at in one request.
const VALUES_MAX: usize = 4;

/// Who a caller has proven to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proven {
    /// The caller of these trunks: its calls come in.
    Trunks(Vec<ProviderId>),
    /// The agent of a number: its calls go out.
    Number(Box<Line>),
}

/// What a caller has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing that answers a question of ours.
    Nothing,
    /// An answer to our question, and a wrong one; of whose name, where it is a number's.
    Wrong(Option<Box<Line>>),
    /// An answer to our question under this name, which is not among those that proved right lately: it has to be looked up
    /// ([`Lines::look_up`](crate::live::lines::Lines::look_up)), whether it is anybody's or not.
    Unsure(String),
    /// The right password for a nonce that is too old or was used.
    Stale,
    /// Who it is.
    Proven(Proven),
}

/// What a name was found to be, where it was looked up.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) username: String,
    pub(super) looked: Looked,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Proofs {
    nonces: Nonces,
    /// Verified against where there is nobody of that name.
    nobody: Secret,
}

impl Proofs {
    pub(super) fn new() -> Self {
        // A key of this process alone: which nonces of an earlier one were used is not known any more.
        let nonces = Nonces::new(clock::random(), clock::instant());
        Self { nonces, nobody: Secret::new("", &clock::random::<18>()) }
    }

    /// What the credentials of an INVITE prove; `dialled` is the trunk of the number it is for, if its callers are asked, and
    /// `named` what was looked up for this request. At most one name is looked up for one.
    pub(super) fn read(
        &mut self,
        ask: &Ask,
        live: &Live,
        (dialled, named): (Option<ProviderId>, Option<&Named>),
        now: Instant,
    ) -> Shown {
        let mut shown = Shown::Nothing;
        for value in ask.credentials.iter().take(VALUES_MAX) {
            let Some(given) = Credentials::read(value) else { continue };
            if !self.nonces.ours(&given) || !digest::names(&given, &ask.request_uri) {
                continue;
            }
            let named = named.filter(|named| named.username == given.username);
            let Some(proven) = self.proven(&given, live, (dialled, named)) else {
                if shown == Shown::Nothing {
                    let of = named.and_then(|named| named.looked.lines.first()).cloned().map(Box::new);
                    shown = if named.is_some() {
                        Shown::Wrong(of)
                    } else {
                        Shown::Unsure(given.username.to_owned())
                    };
                }
                continue;
            };
            match self.nonces.take(&given, now) {
                Freshness::Fresh => {
                    if let (Proven::Number(line), Some(named)) = (&proven, named) {
                        live.lines.proved(&named.username, line, &named.looked);
                    }
                    return Shown::Proven(proven);
                }
                Freshness::Stale | Freshness::Foreign => shown = Shown::Stale,
            }
        }
        shown
    }

    /// Who made the credentials, trunks before numbers.
    fn proven(
        &self,
        given: &Credentials<'_>,
        live: &Live,
        (dialled, named): (Option<ProviderId>, Option<&Named>),
    ) -> Option<Proven> {
        let mut trunks = live.guards_named(given.username, dialled);
        let recent = named.is_none().then(|| live.lines.recent(given.username)).flatten();
        let looked = named.into_iter().flat_map(|named| &named.looked.lines).cloned();
        let lines: Vec<Line> = recent.into_iter().chain(looked).collect();
        if trunks.is_empty() && lines.is_empty() {
            trunks.push((ProviderId(uuid::Uuid::nil()), self.nobody.clone()));
        }
        trunks.retain(|(_, secret)| secret.proves(given, "INVITE"));
        if !trunks.is_empty() {
            return Some(Proven::Trunks(trunks.into_iter().map(|(id, _)| id).collect()));
        }
        let proves = |one: &Line| one.secret.proves(given, "INVITE");
        lines.into_iter().find(proves).map(|one| Proven::Number(Box::new(one)))
    }

    /// Asks for credentials.
    pub(super) fn challenge(&mut self, shown: &Shown, now: Instant) -> Verdict {
        Verdict::Challenge { values: self.nonces.challenges(now, *shown == Shown::Stale) }
    }
}
