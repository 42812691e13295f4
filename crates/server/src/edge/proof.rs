//! Callers who prove whose they are by digest (RFC 7616, RFC 8760): asked by 407, verified in memory. Nothing tells a user name
//! that is there from one that is not: the same answer, after the same work.

use domain::ids::ProviderId;
use sip::digest::{self, Credentials, Freshness, Nonces, Secret};
use sip::{Ask, Verdict};
use std::time::Instant;

use crate::clock;
use crate::live::Live;

/// Values of credentials that are looked at in one request.
const VALUES_MAX: usize = 4;

/// What a caller has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing that answers a question of ours.
    Nothing,
    /// An answer to our question, and a wrong one.
    Wrong,
    /// The right password for a nonce that is too old or was used.
    Stale,
    /// To be the caller of these trunks.
    Proven(Vec<ProviderId>),
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

    /// What the credentials of an INVITE prove; `dialled` is the trunk of the number it is for, if its callers are asked.
    pub(super) fn read(
        &mut self,
        ask: &Ask,
        live: &Live,
        dialled: Option<ProviderId>,
        now: Instant,
    ) -> Shown {
        let mut shown = Shown::Nothing;
        for value in ask.credentials.iter().take(VALUES_MAX) {
            let Some(given) = Credentials::read(value) else { continue };
            if !self.nonces.ours(&given) || !digest::names(&given, &ask.request_uri) {
                continue;
            }
            let mut namesakes = live.guards_named(given.username, dialled);
            if namesakes.is_empty() {
                namesakes.push((ProviderId(uuid::Uuid::nil()), self.nobody.clone()));
            }
            namesakes.retain(|(_, secret)| secret.proves(&given, "INVITE"));
            if namesakes.is_empty() {
                if shown == Shown::Nothing {
                    shown = Shown::Wrong;
                }
                continue;
            }
            match self.nonces.take(&given, now) {
                Freshness::Fresh => {
                    return Shown::Proven(namesakes.into_iter().map(|(id, _)| id).collect());
                }
                Freshness::Stale | Freshness::Foreign => shown = Shown::Stale,
            }
        }
        shown
    }

    /// Asks for credentials.
    pub(super) fn challenge(&mut self, shown: &Shown, now: Instant) -> Verdict {
        Verdict::Challenge { values: self.nonces.challenges(now, *shown == Shown::Stale) }
    }
}
