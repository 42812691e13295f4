//! Who reaches us: agents that are registered for a number, and sources that are not heard for a while.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::ListOut;
use super::reply::time;
use crate::Request;
use domain::error::{Error, Result, What};
use domain::view::{Ban, Registration};
use domain::{Kind, Op, Paged};

pub(super) fn registrations(request: &Request<'_>) -> Result<Op> {
    Ok(Op::NumberRegistrations(super::numbers::number(request)?))
}

pub(super) fn list(_: &Request<'_>) -> Op {
    Op::BanList
}

pub(super) fn lift(request: &Request<'_>) -> Result<Op> {
    let address = request.param("address").parse();
    let nobody = |_| Error::new(Kind::NotFound, What::Request, "No ban of this address is in force.");
    address.map(Op::BanLift).map_err(nobody)
}

/// An agent that is registered for a number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Registration)]
pub(super) struct RegistrationOut {
    /// What it is called by.
    contact: String,
    /// The address and port that it registered from; its calls go there.
    source: String,
    /// How.
    transport: &'static str,
    /// The device, where it says which it is.
    #[schema(required = true)]
    instance: Option<String>,
    /// When it last registered.
    #[schema(format = DateTime)]
    registered_at: String,
    /// When that ends, unless it registers again.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<Registration> for RegistrationOut {
    fn from(one: Registration) -> Self {
        let Registration { contact, source, transport, instance, registered_at, expires_at } = one;
        Self {
            contact,
            source: source.to_string(),
            transport,
            instance,
            registered_at: time(registered_at),
            expires_at: time(expires_at),
        }
    }
}

/// A source that is not heard for a while.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
pub(super) struct BanOut {
    /// Its address; of IPv6, the first of its network of 64 bits.
    address: String,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// Until when, if nothing comes from there any more.
    #[schema(format = DateTime)]
    until: String,
    /// How many messages were dropped.
    refused: u64,
}

impl From<Ban> for BanOut {
    fn from(ban: Ban) -> Self {
        let Ban { address, since, until, refused } = ban;
        Self { address: address.to_string(), since: time(since), until: time(until), refused }
    }
}

/// All of a short list, as one page.
pub(super) fn whole<T, O: From<T>>(all: Vec<T>) -> ListOut<O> {
    ListOut::of(Paged { items: all, more: false }, |_| String::new(), O::from)
}
