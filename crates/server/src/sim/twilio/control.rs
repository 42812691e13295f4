//! What the simulated Twilio is told: its accounts, and how it is to behave.

use dialects::Reply;
use domain::{E164, Error, Result, What};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

use super::super::body::Body;
use super::{Account, Key, Number, OPERATIONS, Refusal, Rule, SimTwilio};

/// The most accounts, and the most numbers of one.
const ACCOUNTS_MAX: usize = 1_000;
const NUMBERS_MAX: usize = 10_000;
/// The most rules that wait to be used.
const RULES_MAX: usize = 1_000;
/// The longest delay, in milliseconds.
const DELAY_MAX: u64 = 600_000;
const ID: &str = "letters and digits";

fn id(value: &Value) -> Option<String> {
    value.as_str().filter(|text| domain::carrier_account::is_id(text)).map(str::to_owned)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| (1..=255).contains(&text.len())).map(str::to_owned)
}

fn numbers(value: &Value) -> Option<Vec<E164>> {
    let items = value.as_array().filter(|items| items.len() <= NUMBERS_MAX)?;
    items.iter().map(|item| E164::parse(item.as_str()?).ok().map(|(number, _)| number)).collect()
}

impl SimTwilio {
    /// Answers the operator.
    pub(in crate::sim) fn control(&self, method: &Method, path: &[&str], body: &[u8]) -> Result<Reply> {
        match (method.as_str(), path) {
            ("GET", []) => Ok(Reply::json(StatusCode::OK, &self.books())),
            ("POST", ["accounts"]) => self.account(Body::read(body)?),
            ("POST", ["behaviour"]) => self.behaviour(Body::read(body)?),
            (_, [] | ["accounts" | "behaviour"]) => Err(Error::new(
                domain::Kind::MethodNotAllowed,
                What::Route,
                "This path does not take that method.",
            )),
            _ => Err(Error::new(domain::Kind::NotFound, What::Route, "There is no such path.")),
        }
    }

    fn account(&self, mut body: Body) -> Result<Reply> {
        let missing = |field| Error::missing(What::Request, field);
        let account_sid = body.take("account_sid", ID, id)?.ok_or_else(|| missing("account_sid"))?;
        let sid = body.take("api_key_sid", ID, id)?.ok_or_else(|| missing("api_key_sid"))?;
        let secret = body.take("api_key_secret", "a text", text)?.ok_or_else(|| missing("api_key_secret"))?;
        let region = body.take("region", ID, id)?.unwrap_or_else(|| "us1".to_owned());
        let wanted = body.take("numbers", "a list of phone numbers", numbers)?;
        body.finish()?;
        self.with(|state| {
            let mut account = match state.books.accounts.remove(&account_sid) {
                Some(account) => account,
                None if state.books.accounts.len() >= ACCOUNTS_MAX => {
                    let words = "Too many simulated accounts; begin a new simulation.";
                    return Err(Error::new(domain::Kind::Conflict, What::Request, words));
                }
                None => Account::default(),
            };
            account.keys.retain(|key| key.sid != sid || key.region != region);
            account.keys.push(Key { sid, secret, region });
            if let Some(wanted) = wanted {
                let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                account.numbers.retain(|number, _| names.contains(number));
                for name in names {
                    let made = || Number { sid: state.books.id("PN"), trunk: None };
                    account.numbers.entry(name).or_insert_with(made);
                }
            }
            state.books.accounts.insert(account_sid, account);
            self.keep(&state.books);
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        })
    }

    fn behaviour(&self, mut body: Body) -> Result<Reply> {
        let named = |value: &Value| {
            let word = value.as_str()?;
            if word == "all" {
                Some(None)
            } else {
                OPERATIONS.iter().find(|known| **known == word).map(|o| Some(*o))
            }
        };
        let must = format!("`all` or one of {}", OPERATIONS.join(", "));
        let operation = body.take("operation", &must, named)?;
        let operation = operation.ok_or_else(|| Error::missing(What::Request, "operation"))?;
        let status = body.whole("status", 400..=599)?.and_then(|status| u16::try_from(status).ok());
        let code = body.whole("code", 0..=99_999)?;
        let message = body.take("message", "a text", text)?;
        let retry_after = body.whole("retry_after", 0..=3_600)?;
        let delay = Duration::from_millis(body.whole("delay_ms", 0..=DELAY_MAX)?.unwrap_or(0));
        let done = body.take("done", "true or false", Value::as_bool)?.unwrap_or(false);
        let times = body.whole("times", 0..=1_000_000)?.and_then(|times| u32::try_from(times).ok());
        body.finish()?;
        let message = message.unwrap_or_else(|| "The simulated Twilio was told to refuse this.".to_owned());
        let refusal = status.map(|status| Refusal { status, code, message, retry_after });
        self.with(|state| {
            // What is said of an operation takes the place of what was said of it.
            state.rules.retain(|rule| rule.operation != operation);
            if times != Some(0) && state.rules.len() < RULES_MAX {
                state.rules.push(Rule { operation, refusal, delay, done, times });
            }
        });
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// What it has, for people and tests. Without the keys' secrets; the passwords of credential lists are shown, by which a
    /// stand-in for its termination side can ask for them.
    fn books(&self) -> Value {
        self.with(|state| {
            let account = |(sid, account): (&String, &Account)| {
                let numbers: Vec<Value> = account
                    .numbers
                    .iter()
                    .map(|(number, at)| json!({"phone_number": number, "sid": at.sid, "trunk_sid": at.trunk}))
                    .collect();
                let trunks: Vec<Value> = account
                    .trunks
                    .iter()
                    .map(|(sid, trunk)| {
                        let urls: Vec<&str> = trunk.urls.iter().map(|url| url.place.as_str()).collect();
                        let logins = trunk.lists.iter().filter_map(|sid| account.lists.get(sid));
                        let logins: Vec<Value> = logins
                            .flat_map(|list| &list.credentials)
                            .map(|one| json!({"username": one.username, "password": one.password}))
                            .collect();
                        json!({
                            "sid": sid, "friendly_name": trunk.name, "region": trunk.region, "sip_urls": urls,
                            "domain_name": trunk.domain, "credentials": logins,
                        })
                    })
                    .collect();
                let lists: Vec<&str> = account.lists.values().map(|list| list.name.as_str()).collect();
                json!({"account_sid": sid, "numbers": numbers, "trunks": trunks, "credential_lists": lists})
            };
            let accounts: Vec<Value> = state.books.accounts.iter().map(account).collect();
            json!({"accounts": accounts, "requests": state.requests})
        })
    }
}
