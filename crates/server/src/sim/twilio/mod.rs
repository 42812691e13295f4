//! A simulated Twilio: the part of its two APIs that is used here, over accounts, keys and numbers that it is told of.
//!
//! ```text
//! POST /sim/twilio/accounts    {account_sid, api_key_sid, api_key_secret, region?, numbers?[]}   make one, or change it
//! POST /sim/twilio/behaviour   {operation, status?, code?, message?, retry_after?, delay_ms?, done?, times?}
//! GET  /sim/twilio             what it has: numbers with their trunks, trunks with their URLs, requests by operation
//! ANY  /sim/twilio/{region}/2010-04-01/…, /sim/twilio/{region}/v1/…   the APIs, under a key of that region
//! ```
//!
//! What it has is a file beside the store that no commit of ours touches, as with the real one; how it was told to behave is
//! in memory.

mod api;
mod control;
mod lists;

pub(super) use api::{ApiReply, ApiRequest, is_api};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::write_whole;

/// Where the service finds its own simulated Twilio.
pub(crate) fn url(http: SocketAddr) -> String {
    format!("http://{http}/sim/twilio/{{region}}")
}

/// See the module's head.
pub(crate) struct SimTwilio {
    file: PathBuf,
    state: Mutex<State>,
}

/// All of it. Nothing is awaited while it is held.
#[derive(Default)]
struct State {
    books: Books,
    rules: Vec<Rule>,
    requests: BTreeMap<&'static str, u64>,
}

/// What is kept.
#[derive(Default, Deserialize, Serialize)]
struct Books {
    accounts: BTreeMap<String, Account>,
    /// Counts what was made, for ids.
    made: u64,
}

#[derive(Default, Deserialize, Serialize)]
struct Account {
    keys: Vec<Key>,
    /// By number, as `+…`.
    numbers: BTreeMap<String, Number>,
    /// By id.
    trunks: BTreeMap<String, Trunk>,
    /// Credential lists, by id.
    #[serde(default)]
    lists: BTreeMap<String, List>,
}

/// A credential list of the account's.
#[derive(Clone, Deserialize, Serialize)]
struct List {
    name: String,
    credentials: Vec<Credential>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Credential {
    sid: String,
    username: String,
    password: String,
}

#[derive(Deserialize, Serialize)]
struct Key {
    sid: String,
    secret: String,
    region: String,
}

#[derive(Clone, Deserialize, Serialize)]
struct Number {
    sid: String,
    /// The trunk that it is attached to.
    trunk: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Trunk {
    name: String,
    region: String,
    urls: Vec<Url>,
    /// Its termination domain.
    #[serde(default)]
    domain: Option<String>,
    /// The credential lists that open it, by id.
    #[serde(default)]
    lists: Vec<String>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Url {
    sid: String,
    /// Its SIP URL.
    place: String,
    name: String,
    priority: u32,
    weight: u32,
    enabled: bool,
}

/// How an operation goes.
#[derive(Clone)]
struct Rule {
    /// None: every operation.
    operation: Option<&'static str>,
    /// The refusal; none: it is answered as always.
    refusal: Option<Refusal>,
    delay: Duration,
    /// Whether it is carried out all the same, before the delay.
    done: bool,
    /// For how many requests; none: until something else is said.
    times: Option<u32>,
}

#[derive(Clone)]
struct Refusal {
    status: u16,
    code: Option<u64>,
    message: String,
    retry_after: Option<u64>,
}

/// The operations, by name.
const OPERATIONS: [&str; 18] = [
    "numbers.list",
    "trunks.list",
    "trunks.create",
    "trunks.delete",
    "origination_urls.list",
    "origination_urls.create",
    "numbers.attach",
    "numbers.detach",
    "trunks.get",
    "trunks.update",
    "credential_lists.list",
    "credential_lists.create",
    "credential_lists.delete",
    "credentials.list",
    "credentials.create",
    "credentials.update",
    "trunk_credential_lists.list",
    "trunk_credential_lists.create",
];

impl SimTwilio {
    /// The simulated Twilio whose books are this file; it is made with the first account.
    pub(super) fn open(file: PathBuf) -> anyhow::Result<Self> {
        let books = match std::fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Books::default(),
            Err(error) => return Err(error.into()),
        };
        let state = State { books, ..State::default() };
        Ok(Self { file, state: Mutex::new(state) })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the books. A change that cannot be kept is a fault of the simulation, not of who asked.
    fn keep(&self, books: &Books) {
        let kept = serde_json::to_string(books).map_err(std::io::Error::other);
        if let Err(error) = kept.and_then(|text| write_whole(&self.file, &text)) {
            tracing::error!(error = %error, "the simulated Twilio cannot write its books");
        }
    }
}

impl Books {
    /// An id: two letters and 32 hexadecimal digits.
    fn id(&mut self, letters: &str) -> String {
        self.made += 1;
        format!("{letters}{:032x}", self.made)
    }
}
