//! The audit log: who did what to which thing.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::page;
use super::reply::time;
use super::words;
use crate::Request;
use domain::caller::{Actor, Person};
use domain::error::Result;
use domain::ids::EventId;
use domain::{Bag, Event, Op};

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EventList(page(request, EventId::parse)?))
}

/// One entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// What happened, as `noun.verb`.
    name: &'static str,
    /// Who did it.
    #[schema(schema_with = words::actor)]
    actor: &'static str,
    /// With which key, where it was one.
    #[schema(required = true, format = "uuid")]
    key_id: Option<String>,
    /// Who signed in, where it was a person.
    #[schema(required = true)]
    person: Option<PersonOut>,
    /// The id of the thing.
    subject: String,
    /// What a reader wants to know besides.
    #[schema(value_type = Object)]
    data: Bag,
    /// When.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A person, as an identity provider names them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub(super) struct PersonOut {
    /// Who vouches for them: the token's `iss`.
    issuer: String,
    /// Who it is: the token's `sub`.
    subject: String,
}

impl From<Person> for PersonOut {
    fn from(person: Person) -> Self {
        Self { issuer: person.issuer().to_owned(), subject: person.subject().to_owned() }
    }
}

/// Who acts, in a word.
pub(super) fn actor(actor: &Actor) -> &'static str {
    let [operator, key, service, person] = words::ACTORS;
    match actor {
        Actor::Operator => operator,
        Actor::Key(_) => key,
        Actor::Service => service,
        Actor::Person(_) => person,
    }
}

impl From<Event> for EventOut {
    fn from(event: Event) -> Self {
        let Event { id, organization_id: _, name, actor, subject, data, at } = event;
        let [operator, key, service, person] = words::ACTORS;
        let (actor, key_id, named) = match actor {
            Actor::Operator => (operator, None, None),
            Actor::Key(id) => (key, Some(id.to_string()), None),
            Actor::Service => (service, None, None),
            Actor::Person(who) => (person, None, Some(who.into())),
        };
        let (id, created_at) = (id.to_string(), time(at));
        Self { id, name, actor, key_id, person: named, subject, data, created_at }
    }
}
