//! Work in organizations' own accounts at carriers, over HTTP: the sending, the patience, and the secrets.
//!
//! A talk that could not be finished is begun again from its first look, a few times and within [`TASK_MAX`]: carriers are
//! looked at before anything is changed there, so whatever an earlier turn did is found. Of one provider's account one task
//! changes things at a time ([`super::turn`]): a number that is given up and brought in again is not attached and detached at once.

use carriers::account::{Access, Outcome, Task, Trouble, Turn};
use carriers::{Reply, Request};
use domain::ids::ProviderId;
use domain::provider::Sealed;
use domain::{CarrierAccount, Provider};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::vault::Vault;

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(4);
/// How long a task may take in all: less than a request to us waits for it.
const TASK_MAX: Duration = Duration::from_secs(8);
/// How often a task is begun.
const TURNS_MAX: u32 = 3;
/// The first wait before it is begun again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest wait that a carrier is granted in between.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The largest reply that is read: a page of a thousand numbers has a little over a megabyte.
const REPLY_MAX: usize = 4 << 20;
/// The most requests of one task: every page of the longest list that is read, and a dozen for the rest.
const REQUESTS_MAX: usize = 112;
/// In how many accounts something is changed at once.
const PLACES_MAX: usize = 64;

/// See the module's head.
pub(crate) struct Accounts {
    client: reqwest::Client,
    vault: Vault,
    /// Where calls are to be sent.
    sip_url: String,
    /// Where carriers are, if not where they say.
    base_url: Option<String>,
    turns: Mutex<HashMap<ProviderId, Arc<tokio::sync::Mutex<()>>>>,
    places: Arc<Semaphore>,
}

impl Accounts {
    pub(crate) fn new(vault: Vault, sip_url: String, base_url: Option<String>) -> anyhow::Result<Self> {
        let (client, places) = (crate::outgoing::client()?, Arc::new(Semaphore::new(PLACES_MAX)));
        Ok(Self { client, vault, sip_url, base_url, turns: Mutex::default(), places })
    }

    /// Our SIP address, as carriers are told it.
    pub(super) fn sip_url(&self) -> &str {
        &self.sip_url
    }

    /// The secrets' keeper.
    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// One's turn with a provider's account, within this process.
    pub(super) async fn turn(&self, id: ProviderId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody waits for need not be kept.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(id).or_default())
        };
        turn.lock_owned().await
    }

    /// A place among all that are asked at once.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Does a task in the account of a provider.
    pub(crate) async fn run(&self, provider: &Provider, task: Task) -> Result<Outcome, Trouble> {
        let none = || Trouble::Refused("the provider has no account".to_owned());
        let carrier = carriers::account::carrier(provider.kind).ok_or_else(none)?;
        let account = provider.account.as_ref().ok_or_else(none)?;
        let access = self.access(provider.id, account)?;
        let began = clock::instant();
        let work = async {
            let mut pause = PAUSE;
            for turn in 1.. {
                let done = self.talk(carrier.begin(task.clone(), access.clone())).await;
                let Err(Trouble::Unavailable(cause, asked)) = done else { return done };
                let wait = asked.unwrap_or(pause);
                if turn >= TURNS_MAX || wait > PAUSE_MAX {
                    return Err(Trouble::Unavailable(cause, asked));
                }
                let cause = loggable(&Trouble::Unavailable(cause, None));
                tracing::debug!(carrier = carrier.name(), cause, "a task is begun again");
                clock::sleep(wait).await;
                pause *= 2;
            }
            Err(Trouble::Unavailable("no turn is left".to_owned(), None))
        };
        let done = tokio::time::timeout(TASK_MAX, work).await;
        let done = done.unwrap_or_else(|_| Err(Trouble::Unavailable("it takes too long".to_owned(), None)));
        let took = clock::instant().saturating_duration_since(began).as_millis();
        if let Err(trouble) = &done {
            let (carrier, cause) = (carrier.name(), loggable(trouble));
            tracing::warn!(carrier.name = carrier, provider.id = %provider.id, duration_ms = took, cause, "work in an account");
        }
        done
    }

    fn access(&self, id: ProviderId, account: &CarrierAccount) -> Result<Access, Trouble> {
        let CarrierAccount { id: account_id, key_id, key_secret: Sealed(_), region, attachment: _ } = account;
        let opened = self.vault.open(&account.key_secret, id.0.as_bytes());
        let secret = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        let key_secret =
            secret.ok_or_else(|| Trouble::Refused("the key's secret cannot be opened".to_owned()))?;
        Ok(Access {
            base_url: self.base_url.clone(),
            account: account_id.clone(),
            key_id: key_id.clone(),
            key_secret,
            region: region.clone(),
        })
    }

    async fn talk(&self, mut talk: Box<dyn carriers::account::Talk>) -> Result<Outcome, Trouble> {
        let mut turn = talk.turn(None)?;
        for _ in 0..REQUESTS_MAX {
            let request = match turn {
                Turn::Done(outcome) => return Ok(outcome),
                Turn::Send(request) => request,
            };
            let (status, retry_after, body) =
                self.send(request).await.map_err(|cause| Trouble::Unavailable(cause, None))?;
            turn = talk.turn(Some(Reply { status, body: &body, retry_after }))?;
        }
        Err(Trouble::Unavailable("the talk does not end".to_owned(), None))
    }

    /// Sends a request. What went wrong is told without its URL, which names the account.
    async fn send(&self, request: Request) -> Result<(u16, Option<u64>, Vec<u8>), String> {
        let Request { method, url, headers, body } = request;
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        let mut sending = self.client.request(method, url).timeout(REQUEST_MAX);
        for (name, value) in headers {
            sending = sending.header(name, value);
        }
        let words = |error: reqwest::Error| error.without_url().to_string();
        let mut reply = sending.body(body).send().await.map_err(words)?;
        let status = reply.status().as_u16();
        let after =
            reply.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut whole = Vec::new();
        while let Some(chunk) = reply.chunk().await.map_err(words)? {
            if whole.len() + chunk.len() > REPLY_MAX {
                return Err(format!("a reply of more than {REPLY_MAX} bytes"));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((status, after, whole))
    }
}

/// What may be logged of a trouble: a carrier's own words without what they name, which may be a caller, a number or an account.
pub(crate) fn loggable(trouble: &Trouble) -> String {
    let plain = |words: &str| {
        let names = |word: &str| {
            word.bytes().filter(u8::is_ascii_digit).count() > 5
                || word.len() > 20
                || word.contains(['@', '/'])
        };
        let words = words.split_whitespace().map(|word| if names(word) { "…" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    match trouble {
        Trouble::Credentials => "the key is not accepted".to_owned(),
        Trouble::NotOwned => "the number is not in the account".to_owned(),
        Trouble::Refused(words) => format!("refused: {}", plain(words)),
        Trouble::Unavailable(words, _) => format!("unavailable: {}", plain(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_does_not_tell_whom_a_carrier_names() {
        let words = "The resource /2010-04-01/Accounts/AC0 of AC00112233445566778899aabbccddeeff and +14155550100 is busy (20500)";
        let told = loggable(&Trouble::Refused(words.to_owned()));
        assert_eq!(told, "refused: The resource … of … and … is busy (20500)");
    }
}
