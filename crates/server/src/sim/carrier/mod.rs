//! The simulated carrier itself: answers what `carriers::simulated` asks, and does as it was told.
//!
//! What it believes to have sold is a record of its own ([`record`]), a file beside the store that no commit of ours touches: a
//! purchase whose answer we never heard is sold all the same, as with a real carrier. What it was told to do next is in memory.
//!
//! It is part of this process, or a process of its own ([`door`]) that outlives this one and that several share ([`remote`]).

mod control;
mod door;
mod orders;
mod record;
mod remote;

use carriers::simulated::{Listed, Order as Asked, Refusal};
use dialects::Reply;
use domain::E164;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) use control::named;
pub(crate) use door::router;
use orders::{Orders, Sale, Verdict};
use remote::Remote;

use crate::clock;

/// How many numbers a page of its list has.
const PAGE: usize = 500;

/// See the module's head.
pub(crate) enum SimCarrier {
    /// In this process.
    Here(Books),
    /// In another.
    There(Remote),
}

/// The books of a carrier in this process.
pub(crate) struct Books {
    orders: Mutex<Orders>,
}

impl SimCarrier {
    /// The carrier whose record is this file; it is made with the first sale.
    pub(crate) fn open(record: PathBuf) -> anyhow::Result<Self> {
        Books::open(record).map(Self::Here)
    }

    /// The carrier that another process is.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        Remote::at(url).map(Self::There)
    }

    /// Answers a request: status and body.
    pub(crate) async fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match self {
            Self::Here(books) => books.answer(method, path, body).await,
            Self::There(remote) => remote.answer(method, path, body).await,
        }
    }

    /// Answers its operator: see [`control`].
    pub(crate) async fn control(&self, method: &str, path: &str, body: &[u8]) -> domain::Result<Reply> {
        match self {
            Self::Here(books) => books.control(method, path, body),
            Self::There(remote) => remote.control(method, path, body).await,
        }
    }
}

impl Books {
    fn open(record: PathBuf) -> anyhow::Result<Self> {
        Ok(Self { orders: Mutex::new(Orders::open(record)?) })
    }

    /// Works with them. Nothing is awaited meanwhile.
    fn with<T>(&self, work: impl FnOnce(&mut Orders) -> T) -> T {
        work(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let number =
            path.strip_prefix("/numbers/").and_then(|text| E164::from_digits(text.trim_start_matches('+')));
        match (method, number) {
            ("GET", None) if path == "/numbers" => self.list(query.strip_prefix("after=")),
            ("GET", Some(number)) => (self.with(|orders| status_of(orders.sale(number))), Vec::new()),
            ("DELETE", Some(number)) => match self.with(|orders| orders.release(number)) {
                Ok(()) => (204, Vec::new()),
                Err(error) => out_of_order(&error),
            },
            ("PUT", Some(number)) => match serde_json::from_slice(body) {
                Ok(Asked { reference }) => self.buy(number, &reference).await,
                Err(_) => refused("The order has no reference."),
            },
            _ => refused("There is no such path."),
        }
    }

    async fn buy(&self, number: E164, reference: &str) -> (u16, Vec<u8>) {
        let behaviour = self.with(|orders| orders.behaviour(number, reference));
        let half = behaviour.map_or(Duration::ZERO, |b| b.delay) / 2;
        wait(half).await;
        let verdict = behaviour.map_or(Verdict::Deliver, |b| b.verdict);
        let sold = self.with(|orders| orders.buy(number, reference, verdict));
        // Sold and not yet said: who dies now has to ask again.
        wait(half).await;
        match sold {
            Ok(Sale::Refused) => refused("The simulated carrier was told to refuse this purchase."),
            Ok(sale) => (status_of(Some(sale)), Vec::new()),
            Err(error) => out_of_order(&error),
        }
    }

    fn list(&self, after: Option<&str>) -> (u16, Vec<u8>) {
        let after = after.and_then(|text| E164::from_digits(text.trim_start_matches('+')));
        let numbers = self.with(|orders| orders.ours(after, PAGE + 1));
        let next = numbers.get(PAGE - 1).filter(|_| numbers.len() > PAGE).map(ToString::to_string);
        let numbers = numbers.iter().take(PAGE).map(ToString::to_string).collect();
        (200, serde_json::to_vec(&Listed { numbers, next }).unwrap_or_default())
    }
}

pub(super) async fn wait(time: Duration) {
    let end = clock::instant() + time;
    while let Some(left) = end.checked_duration_since(clock::instant()).filter(|left| !left.is_zero()) {
        clock::sleep(left).await;
    }
}

fn status_of(sale: Option<Sale>) -> u16 {
    match sale {
        Some(Sale::Sold) => 200,
        Some(Sale::Pending) => 202,
        Some(Sale::Refused | Sale::Returned) | None => 404,
    }
}

fn refused(words: &str) -> (u16, Vec<u8>) {
    (409, serde_json::to_vec(&Refusal { words: words.to_owned() }).unwrap_or_default())
}

fn out_of_order(error: &std::io::Error) -> (u16, Vec<u8>) {
    tracing::error!(error = %error, "the simulated carrier cannot write its record");
    (503, Vec::new())
}
