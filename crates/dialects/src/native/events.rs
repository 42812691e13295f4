//! The audit log: who did what to which thing.

use serde::Serialize;
use utoipa::ToSchema;

use super::page::page;
use super::reply::time;
use super::words;
use crate::Request;
use domain::caller::Actor;
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
    /// The id of the thing.
    subject: String,
    /// What a reader wants to know besides.
    #[schema(value_type = Object)]
    data: Bag,
    /// When.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Event> for EventOut {
    fn from(event: Event) -> Self {
        let Event { id, organization_id: _, name, actor, subject, data, at } = event;
        let [operator, key, service] = words::ACTORS;
        let (actor, key_id) = match actor {
            Actor::Operator => (operator, None),
            Actor::Key(id) => (key, Some(id.to_string())),
            Actor::Service => (service, None),
        };
        Self { id: id.to_string(), name, actor, key_id, subject, data, created_at: time(at) }
    }
}
