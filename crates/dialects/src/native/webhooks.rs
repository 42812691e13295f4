//! Webhooks: where the events of the audit log and those of calls are sent, and what was sent.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::page::{ListOut, page};
use super::read::{expect, no_body, path_id};
use super::reply::{id_or_null, one, time, time_or_null};
use super::{calls, words};
use crate::json::{self, Body, boolean, text};
use crate::{Reply, Request};
use domain::error::{Error, Result, What};
use domain::event::NAMES;
use domain::ids::{EventId, WebhookId};
use domain::key::DialectName;
use domain::op::Secret;
use domain::webhook::{
    About, Answer, Delivery, DeliveryState, EVERY, Happening, NumberBrief, Wanted, Webhook, WebhookPatch,
};
use domain::{Bag, Op, Paged};

/// What the list of events must be.
const EVENTS: &str = "a list of event names such as `call.completed` or `number.purchased`, or `*` for all";

fn dialect() -> DialectName {
    DialectName("native".to_owned())
}

fn id(request: &Request<'_>) -> Result<WebhookId> {
    path_id(request, What::Webhook, WebhookId::parse)
}

/// Names of events, each once; `*` stands for all, those of later versions too.
#[expect(clippy::needless_pass_by_value, reason = "has the signature of a reader of fields")]
fn wanted(value: Value) -> Option<Wanted> {
    let mut events: Vec<String> = Vec::new();
    for name in value.as_array()? {
        let name = name.as_str().filter(|name| *name == EVERY || NAMES.contains(name))?;
        if !events.iter().any(|known| known == name) {
            events.push(name.to_owned());
        }
    }
    Some(Wanted { topics: events.clone(), events })
}

fn patch(body: &mut Body) -> Result<WebhookPatch> {
    Ok(WebhookPatch {
        url: body.unclearable("url", "a text", text)?,
        wanted: body.unclearable("events", EVENTS, wanted)?,
        active: body.unclearable("active", "true or false", boolean)?,
    })
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Webhook)?;
    let new = WebhookPatch {
        url: Some(body.required("url", "a text", text)?),
        wanted: Some(body.required("events", EVENTS, wanted)?),
        active: body.optional("active", "true or false", boolean)?,
    };
    body.close()?;
    Ok(Op::WebhookCreate(dialect(), new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookList(dialect(), page(request, WebhookId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookGet(dialect(), id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Webhook)?;
    let patch = patch(&mut body)?;
    body.close()?;
    Ok(Op::WebhookUpdate(dialect(), id, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookDelete(dialect(), id(request)?, expect(request)?))
}

pub(super) fn deliveries(request: &Request<'_>) -> Result<Op> {
    Ok(Op::DeliveryList(dialect(), id(request)?, page(request, EventId::parse)?))
}

pub(super) fn again(request: &Request<'_>) -> Result<Op> {
    let event = EventId::parse(request.param("event_id")).ok_or_else(|| Error::not_found(What::Delivery))?;
    no_body(request, What::Delivery)?;
    Ok(Op::DeliveryAgain(dialect(), id(request)?, event))
}

/// A webhook as it is answered; one with a secret is not to be kept on the way.
pub(super) fn reply(request: &Request<'_>, webhook: &Webhook, secret: Option<Secret>) -> Reply {
    let reply = one(request, ("webhooks", &webhook.id), webhook.version, &WebhookOut::new(webhook, secret));
    reply.with("cache-control", "no-store")
}

/// A page of webhooks, without their secrets.
pub(super) fn page_out(page: Paged<Webhook>) -> ListOut<WebhookOut> {
    ListOut::of(page, |webhook| webhook.id.to_string(), |webhook| WebhookOut::new(&webhook, None))
}

/// A page of deliveries.
pub(super) fn deliveries_out(page: Paged<Delivery>) -> ListOut<DeliveryOut> {
    ListOut::of(page, |delivery| delivery.happening.id.to_string(), |delivery| DeliveryOut::from(&delivery))
}

/// A delivery that will be made again.
pub(super) fn accepted(delivery: &Delivery) -> Reply {
    Reply::json(StatusCode::ACCEPTED, &DeliveryOut::from(delivery))
}

/// Where events are sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Where to.
    url: String,
    /// The events it wants; `*` is all of them.
    #[schema(schema_with = words::wanted_events)]
    events: Vec<String>,
    /// Whether events are sent.
    active: bool,
    /// What bodies are signed with: at creation, and where one webhook is read or changed by an owner or admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    secret: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl WebhookOut {
    pub(super) fn new(webhook: &Webhook, secret: Option<Secret>) -> Self {
        let Webhook {
            id,
            organization_id: _,
            dialect: _,
            url,
            events,
            topics: _,
            active,
            secret: _,
            created_at,
            updated_at,
            version: _,
        } = webhook;
        Self {
            id: id.to_string(),
            url: url.clone(),
            events: events.clone(),
            active: *active,
            secret: secret.map(|Secret(text)| text),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}

/// An event that was sent to a webhook, or waits to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryOut {
    /// The event's id: the same in each attempt.
    #[schema(format = "uuid")]
    id: String,
    /// What happened.
    event: String,
    /// The id of the thing.
    subject: String,
    /// What is to become of it, or became.
    #[schema(schema_with = words::delivery_status)]
    status: &'static str,
    /// How often it was tried.
    attempts: u32,
    /// What the receiver answered last.
    #[schema(required = true)]
    response_status: Option<u16>,
    /// Why the last attempt failed, or the beginning of what the receiver said then.
    #[schema(required = true)]
    error: Option<String>,
    /// When it was tried last.
    #[schema(required = true, format = DateTime)]
    last_attempt_at: Option<String>,
    /// When it is tried next.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// When it was delivered or given up.
    #[schema(required = true, format = DateTime)]
    over_at: Option<String>,
    /// When the event happened.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&Delivery> for DeliveryOut {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { webhook_id: _, happening, attempts, state, last } = delivery;
        let [waiting, delivered, given_up] = words::DELIVERY_STATES;
        let (status, next, over) = match *state {
            DeliveryState::Waiting(at) => (waiting, Some(at), None),
            DeliveryState::Delivered(at) => (delivered, None, Some(at)),
            DeliveryState::GivenUp(at) => (given_up, None, Some(at)),
        };
        let (response_status, error) = match last.as_ref().map(|tried| &tried.answer) {
            None => (None, None),
            Some(Answer::Status(status, text)) => (Some(*status), text.clone()),
            Some(Answer::Failure(text)) => (None, Some(text.clone())),
        };
        Self {
            id: happening.id.to_string(),
            event: happening.name.clone(),
            subject: happening.subject.clone(),
            status,
            attempts: *attempts,
            response_status,
            error,
            last_attempt_at: time_or_null(last.as_ref().map(|tried| tried.at)),
            next_attempt_at: time_or_null(next),
            over_at: time_or_null(over),
            created_at: time(happening.at),
        }
    }
}

/// What is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookBody)]
pub(super) struct BodyOut {
    /// The event's id: the same in each attempt, so that a repeat can be told.
    #[schema(format = "uuid")]
    id: String,
    /// What happened.
    event: String,
    /// When.
    #[schema(format = DateTime)]
    timestamp: String,
    /// To what, and by whom.
    data: DataOut,
}

/// What an event tells.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookData)]
pub(super) struct DataOut {
    /// Whose.
    #[schema(format = "uuid")]
    organization_id: String,
    /// The id of the thing.
    subject: String,
    /// Who did it.
    #[schema(schema_with = words::actor)]
    actor: &'static str,
    /// What the audit log tells besides.
    #[schema(value_type = Object)]
    details: Bag,
    /// The number, as it was then, where the event is about one.
    #[schema(value_type = Object, required = true)]
    number: Option<Value>,
    /// The call, as it was then, without its attempts, where the event is about one.
    #[schema(value_type = Object, required = true)]
    call: Option<Value>,
}

/// The body of a delivery.
pub(super) fn body(happening: &Happening) -> Vec<u8> {
    let Happening { id, organization_id, name, actor, subject, details, about, at } = happening;
    let (number, call) = match about {
        About::Other => (None, None),
        About::Number(number) => (Some(number_data(number)), None),
        About::Call(call) => (None, Some(call_data(call))),
    };
    let data = DataOut {
        organization_id: organization_id.to_string(),
        subject: subject.clone(),
        actor: super::events::actor(actor),
        details: details.clone(),
        number,
        call,
    };
    let body = BodyOut { id: id.to_string(), event: name.clone(), timestamp: time(*at), data };
    // A struct with string keys and no failing serializer.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn call_data(call: &domain::Call) -> Value {
    let mut shown = json!(calls::CallOut::from(call.clone()));
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("attempts");
    }
    shown
}

fn number_data(number: &NumberBrief) -> Value {
    let NumberBrief { id, e164, country, kind, status, endpoint_id, agent_id, environment } = number;
    json!({
        "id": id.to_string(),
        "e164": e164.to_string(),
        "country": country.as_str(),
        "type": kind.as_str(),
        "status": status.as_str(),
        "endpoint_id": id_or_null(*endpoint_id),
        "agent_id": id_or_null(agent_id.as_ref()),
        "environment": environment.as_str(),
    })
}
