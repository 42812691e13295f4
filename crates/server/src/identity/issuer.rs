//! One issuer and its keys: read at the start, again every few minutes, and at once when a token names a key that is not there
//! (but not as often as strangers like). A reading that fails changes nothing at first: the keys that are known go on, until they
//! were not confirmed for so long that nobody can say any more whether they still hold.

use anyhow::Context;
use arc_swap::ArcSwapOption;
use domain::Timestamp;
use jsonwebtoken::Algorithm;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

use super::keys::{KeySet, SET_MAX};
use super::settings::{IssuerSettings, Source};
use crate::{clock, outgoing};

/// How long an issuer may take to give its keys.
const FETCH_MAX: Duration = Duration::from_secs(5);
/// How often tokens with unknown keys may make us ask the issuer: every 30 seconds, in microseconds.
const ASKED_EVERY_US: u64 = 30_000_000;
/// How soon the first reading that failed is tried again; doubled each time, until the ordinary period.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// The issuer's keys were never read, or not for too long.
    Away,
    /// They were, and it is not among them.
    Unknown,
}

/// A set, and when the issuer last gave it. Replaced whole: no set ever stands with another one's time.
struct Known {
    set: Arc<KeySet>,
    confirmed_at: Timestamp,
}

/// See the module's head.
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    known: ArcSwapOption<Known>,
    client: reqwest::Client,
    /// Held while the keys are read: whoever waits for it finds them read. Says when a token last made us read them, in
    /// microseconds of the monotonic clock.
    reading: Mutex<Option<u64>>,
}

impl Issuer {
    /// Reads keys that lie in a file: a file that is not there now is a mistake in the configuration.
    pub(super) fn open(settings: IssuerSettings) -> anyhow::Result<Self> {
        let known = ArcSwapOption::empty();
        let name = settings.name.clone();
        match &settings.source {
            Source::File(path) => {
                let read = std::fs::read(path).map_err(|error| error.to_string());
                let set = read.and_then(within_size).and_then(|text| KeySet::read(text, 1));
                let set = set.map_err(anyhow::Error::msg);
                let set = set.with_context(|| format!("issuers: {name:?}: `jwks` {}", path.display()))?;
                told_if_empty(&name, &set);
                known.store(Some(Arc::new(Known { set: Arc::new(set), confirmed_at: clock::now() })));
            }
            Source::Url(url) if url.scheme() == "http" => {
                tracing::warn!(
                    issuer = name,
                    "its keys come over plain http: whoever sits between can sign tokens"
                );
            }
            Source::Url(_) => {}
        }
        Ok(Self { settings, known, client: outgoing::client()?, reading: Mutex::new(None) })
    }

    /// The keys that count now: none once they were not confirmed for the time that the settings allow.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        let known = self.known.load();
        let known = known.as_ref()?;
        let age = clock::now().duration_since(known.confirmed_at);
        (age < self.settings.lapse).then(|| Arc::clone(&known.set))
    }

    fn confirm(&self, set: Arc<KeySet>) {
        self.known.store(Some(Arc::new(Known { set, confirmed_at: clock::now() })));
    }

    /// Keys among which there is one for a token; asks the issuer if there is none and nobody did just now.
    pub(super) async fn keys_for(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<KeySet>, Missed> {
        let found = |keys: &Arc<KeySet>| keys.find(id, algorithm).is_some();
        let before = self.keys();
        if let Some(keys) = before.as_ref().filter(|keys| found(keys)) {
            return Ok(Arc::clone(keys));
        }
        let seen = before.map(|keys| keys.generation);
        // A task of its own: should the client hang up, the reading that it set off is still of use to the next one.
        let this = Arc::clone(self);
        let asked = tokio::spawn(async move { this.asked(seen).await });
        if asked.await.is_err() {
            tracing::error!(issuer = self.settings.name, "reading the keys ended in a fault");
        }
        match self.keys() {
            None => Err(Missed::Away),
            Some(keys) if found(&keys) => Ok(keys),
            Some(_) => Err(Missed::Unknown),
        }
    }

    /// Reads the keys for a token, unless others were read since it looked, or a token made us read them just now.
    async fn asked(&self, seen: Option<u64>) {
        let mut last = self.reading.lock().await;
        let newer = self.keys().map(|keys| keys.generation) != seen;
        let now = clock::moment().monotonic_us;
        if newer || last.is_some_and(|last| now.saturating_sub(last) < ASKED_EVERY_US) {
            return;
        }
        *last = Some(now);
        self.read().await;
    }

    /// Reads the keys; whether that worked. To be called under `reading`.
    async fn read(&self) -> bool {
        let name = &self.settings.name;
        // Also keys that have lapsed: their text may be confirmed, and their generation is not given out again.
        let before = self.known.load_full().map(|known| Arc::clone(&known.set));
        let text = match &self.settings.source {
            Source::File(path) => text_of(path).await,
            Source::Url(url) => self.text_at(url.clone()).await,
        };
        let generation = before.as_ref().map_or(1, |keys| keys.generation + 1);
        let read = text.and_then(|text| match &before {
            Some(keys) if keys.is_of(&text) => Ok(Arc::clone(keys)),
            _ => KeySet::read(text, generation).map(Arc::new),
        });
        match read {
            Ok(set) => {
                if set.generation == generation {
                    tracing::info!(issuer = name, keys = set.len(), "the issuer's keys were read");
                    told_if_empty(name, &set);
                }
                self.confirm(set);
                true
            }
            Err(error) if self.keys().is_some() => {
                tracing::warn!(
                    issuer = name,
                    error,
                    "the issuer's keys were not read; the known ones stay in use"
                );
                false
            }
            Err(error) => {
                tracing::error!(
                    issuer = name,
                    error,
                    "the issuer's keys were not read, never or for too long; its tokens are refused"
                );
                false
            }
        }
    }

    async fn text_at(&self, url: reqwest::Url) -> Result<Vec<u8>, String> {
        let exchange = async {
            let mut response = self.client.get(url).send().await.map_err(told)?;
            if response.status() != http::StatusCode::OK {
                return Err(format!("status {}", response.status().as_u16()));
            }
            let mut text = Vec::new();
            while let Some(part) = response.chunk().await.map_err(told)? {
                text.extend_from_slice(&part);
                text = within_size(text)?;
            }
            Ok(text)
        };
        tokio::time::timeout(FETCH_MAX, exchange).await.map_err(|_| "no answer in time".to_owned())?
    }
}

/// An empty set is obeyed, and may still be a mistake.
fn told_if_empty(issuer: &str, set: &KeySet) {
    if set.len() == 0 {
        tracing::warn!(issuer, "its set has no key that verifies a signature: all its tokens are refused");
    }
}

/// An error with its causes: the first alone says only that something failed. The address is left out: it may hold a secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

async fn text_of(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| error.to_string()).and_then(within_size)
}

fn within_size(text: Vec<u8>) -> Result<Vec<u8>, String> {
    if text.len() > SET_MAX { Err(format!("larger than {SET_MAX} bytes")) } else { Ok(text) }
}

/// Reads the keys again and again: every period, sooner after a failure.
pub(super) async fn follow(issuer: Arc<Issuer>) {
    let period = issuer.settings.refresh;
    let mut sleeper = clock::Sleeper::new();
    let mut retry = RETRY_FIRST;
    // A file was read a moment ago, at the start.
    let mut wait = if issuer.known.load().is_some() { period } else { Duration::ZERO };
    loop {
        let due = clock::now().checked_add(wait).unwrap_or(Timestamp::MAX);
        while let Ok(left) = Duration::try_from(due.duration_since(clock::now())) {
            if left.is_zero() {
                break;
            }
            sleeper.sleep(left).await;
        }
        let held = issuer.reading.lock().await;
        let worked = issuer.read().await;
        drop(held);
        wait = if worked { period } else { retry.min(period) };
        retry = if worked { RETRY_FIRST } else { (retry * 2).min(period) };
    }
}
