//! Callers who prove whose they are by digest (RFC 7616, RFC 8760): asked by 407, verified in memory. Nothing tells a user name
//! that is there from one that is not: the same answer, after the same work.

use domain::ids::ProviderId;
use sip::digest::{self, Credentials, Freshness, Nonces, Secret};
use sip::{Ask, Verdict};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

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
    habits: Habits,
}

/// Somebody who is asked: an address, and the user that it speaks for.
pub(super) type Who<'a> = (IpAddr, &'a str);

impl Proofs {
    pub(super) fn new() -> Self {
        // A key of this process alone: which nonces of an earlier one were used is not known any more.
        let nonces = Nonces::new(clock::random(), clock::instant());
        Self { nonces, nobody: Secret::new("", &clock::random::<18>()), habits: Habits::default() }
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
        for value in ask.credentials().iter().take(VALUES_MAX) {
            let Some(given) = Credentials::read(value) else { continue };
            if !self.nonces.ours(&given) || !digest::names(&given, &ask.request_uri()) {
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

    /// What the credentials of a REGISTER prove, by the same rules: only numbers' agents register.
    pub(super) fn line(&mut self, ask: &Ask, live: &Live, named: Option<&Named>, now: Instant) -> Shown {
        for value in ask.credentials().iter().take(VALUES_MAX) {
            let Some(given) = Credentials::read(value) else { continue };
            if !self.nonces.ours(&given) || !digest::names(&given, &ask.request_uri()) {
                continue;
            }
            let proves = |line: &&Line| line.secret.proves(&given, "REGISTER");
            let Some(named) = named.filter(|named| named.username == given.username) else {
                let recent = live.lines.recent(given.username);
                if recent.is_none() {
                    std::hint::black_box(self.nobody.proves(&given, "REGISTER"));
                }
                return match recent.as_ref().filter(proves) {
                    Some(own) => self.used(&given, own, now),
                    None => Shown::Unsure(given.username.to_owned()),
                };
            };
            if named.looked.lines.is_empty() {
                std::hint::black_box(self.nobody.proves(&given, "REGISTER"));
            }
            let Some(own) = named.looked.lines.iter().find(proves) else { return Shown::Wrong(None) };
            let shown = self.used(&given, own, now);
            if matches!(shown, Shown::Proven(_)) {
                live.lines.proved(&named.username, own, &named.looked);
            }
            return shown;
        }
        Shown::Nothing
    }

    fn used(&mut self, given: &Credentials<'_>, line: &Line, now: Instant) -> Shown {
        match self.nonces.take(given, now) {
            Freshness::Fresh => Shown::Proven(Proven::Number(Box::new(line.clone()))),
            Freshness::Stale | Freshness::Foreign => Shown::Stale,
        }
    }

    /// Somebody who was asked has answered right.
    pub(super) fn answered(&mut self, who: Who<'_>, now: Instant) {
        self.habits.answered(who, now);
    }

    /// Asks for credentials.
    pub(super) fn challenge(&mut self, shown: &Shown, who: Who<'_>, now: Instant) -> Verdict {
        let [md5, sha256] = self.nonces.challenges(now, *shown == Shown::Stale);
        let sha256 = if self.habits.knows_md5_alone(who, now) { String::new() } else { sha256 };
        Verdict::Challenge { values: [md5, sha256] }
    }
}

/// A caller that is asked again after so long, and did not answer, cannot.
const UNANSWERED: Duration = Duration::from_secs(2);
/// How long it is remembered.
const HABIT: Duration = Duration::from_mins(30);
/// Those that are remembered.
const HABITS_MAX: usize = 8_192;

#[derive(Clone, Copy, Debug)]
struct Habit {
    asked: Instant,
    md5_alone: bool,
}

/// Clients that give up where they are offered an algorithm that they do not know, instead of passing it over (libre before
/// version 3 does): who does not answer the two challenges is offered MD5 alone the next time. Nothing is lost by it, since MD5
/// was offered before.
#[derive(Debug, Default)]
struct Habits {
    known: HashMap<(IpAddr, String), Habit>,
}

impl Habits {
    /// Whether somebody who is about to be asked knows MD5 alone.
    fn knows_md5_alone(&mut self, (source, user): Who<'_>, now: Instant) -> bool {
        let key = (source.to_canonical(), user.to_owned());
        let since = |habit: &Habit| now.saturating_duration_since(habit.asked);
        if self.known.len() >= HABITS_MAX && !self.known.contains_key(&key) {
            self.known.retain(|_, habit| since(habit) < UNANSWERED);
            if self.known.len() >= HABITS_MAX {
                return false;
            }
        }
        let former = self.known.get(&key).copied().filter(|habit| since(habit) < HABIT);
        let md5_alone = former.is_some_and(|habit| habit.md5_alone || since(&habit) >= UNANSWERED);
        self.known.insert(key, Habit { asked: now, md5_alone });
        md5_alone
    }

    fn answered(&mut self, (source, user): Who<'_>, now: Instant) {
        let key = (source.to_canonical(), user.to_owned());
        match self.known.get_mut(&key) {
            Some(habit) if habit.md5_alone => habit.asked = now,
            Some(_) => drop(self.known.remove(&key)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_two_challenges_is_offered_the_one_that_all_know() {
        let (mut habits, start) = (Habits::default(), clock::instant());
        let who = ("192.0.2.1".parse().unwrap(), "tl1");
        let ask =
            |habits: &mut Habits, seconds| habits.knows_md5_alone(who, start + Duration::from_secs(seconds));
        assert!(!ask(&mut habits, 0) && !ask(&mut habits, 1), "a repeat");
        assert!(ask(&mut habits, 30) && ask(&mut habits, 31));
        habits.answered(who, start + Duration::from_secs(31));
        assert!(ask(&mut habits, 90), "as it is from now on");
        assert!(!ask(&mut habits, 90 + 1_800), "for a while");
        habits.answered(who, start + Duration::from_secs(1_890));
        assert!(!ask(&mut habits, 1_900), "who answers both goes on being asked by both");
        for n in 0..HABITS_MAX * 2 {
            habits.knows_md5_alone((who.0, &n.to_string()), start);
        }
        assert!(habits.known.len() <= HABITS_MAX);
    }
}
