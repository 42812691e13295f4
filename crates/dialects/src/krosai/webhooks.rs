//! KrosAI's webhooks: subscriptions, what was sent to them, and the bodies that are sent. The events are those of the vendor's
//! OpenAPI document, and `balance.low` of its page of events.

use domain::error::{Error, Result, What};
use domain::ids::{EventId, WebhookId};
use domain::key::DialectName;
use domain::op::Secret;
use domain::webhook::{About, Answer, Delivery, DeliveryState, Happening, NumberBrief, Wanted, WebhookPatch};
use domain::{Op, Timestamp, Webhook};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::calls::cause;
use super::endpoints::whole_page;
use crate::Request;
use crate::json::{self, Body, boolean, text, time};

/// The vendor's events with our topics that they stand for: a number is provisioned when it can be used, also again, and released when it
/// is given up, whichever way, but not once more when what was released is removed for good. Nothing is recorded and nothing is
/// transcribed here, so those two are taken and never sent.
const EVENTS: [(&str, &[&str]); 8] = [
    ("call.started", &["call.started"]),
    ("call.completed", &["call.completed"]),
    ("call.failed", &["call.failed", "call.busy", "call.no_answer", "call.refused", "call.cancelled"]),
    ("call.recording.ready", &[]),
    ("transcription.completed", &[]),
    (
        "number.provisioned",
        &["number.purchased:active", "number.imported:active", "number.activated", "number.restored:active"],
    ),
    ("number.released", &["number.released", "number.deleted:deleted"]),
    ("balance.low", &["balance.low"]),
];

fn dialect() -> DialectName {
    DialectName("krosai".to_owned())
}

fn id(request: &Request<'_>) -> Result<WebhookId> {
    WebhookId::parse(request.param("webhook_id")).ok_or_else(|| Error::not_found(What::Webhook))
}

/// The names of all events.
pub(super) fn events() -> [&'static str; EVENTS.len()] {
    EVENTS.map(|(name, _)| name)
}

/// Events in both names, each once.
fn wanted(names: impl IntoIterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    for name in names {
        let (_, topics) = EVENTS.iter().find(|(known, _)| *known == name)?;
        if !wanted.events.contains(&name) {
            wanted.topics.extend(topics.iter().map(|topic| (*topic).to_owned()));
            wanted.events.push(name);
        }
    }
    Some(wanted)
}

fn patch(body: &mut Body) -> Result<WebhookPatch> {
    let must = format!("a list of events among {}", events().map(|name| format!("`{name}`")).join(", "));
    let listed = |value: Value| {
        let names: Option<Vec<String>> = value.as_array()?.iter().cloned().map(text).collect();
        wanted(names?)
    };
    Ok(WebhookPatch {
        url: body.unclearable("url", "a text", text)?,
        wanted: body.unclearable("events", &must, listed)?,
        active: body.unclearable("active", "true or false", boolean)?,
    })
}

/// Without `events` a webhook wants them all: the vendor requires the address alone.
pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let new = patch(&mut json::body(request.body, What::Webhook)?.null_is_absent())?;
    let new = match new.wanted {
        None => WebhookPatch { wanted: wanted(events().map(str::to_owned)), ..new },
        Some(_) => new,
    };
    Ok(Op::WebhookCreate(dialect(), new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookList(dialect(), whole_page(request)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookGet(dialect(), id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let patch = patch(&mut json::body(request.body, What::Webhook)?)?;
    Ok(Op::WebhookUpdate(dialect(), id, patch, None))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::WebhookDelete(dialect(), id(request)?, None))
}

pub(super) fn deliveries(request: &Request<'_>) -> Result<Op> {
    Ok(Op::DeliveryList(dialect(), id(request)?, whole_page(request)?))
}

pub(super) fn again(request: &Request<'_>) -> Result<Op> {
    let event = EventId::parse(request.param("event_id")).ok_or_else(|| Error::not_found(What::Delivery));
    Ok(Op::DeliveryAgain(dialect(), id(request)?, event?))
}

/// The events that can be wanted. Those of recordings and transcriptions are never sent.
#[derive(ToSchema)]
#[schema(as = WebhookEvent)]
#[expect(dead_code, reason = "describes a list of words")]
pub(super) enum EventOut {
    #[schema(rename = "call.started")]
    CallStarted,
    #[schema(rename = "call.completed")]
    CallCompleted,
    #[schema(rename = "call.failed")]
    CallFailed,
    #[schema(rename = "call.recording.ready")]
    CallRecordingReady,
    #[schema(rename = "transcription.completed")]
    TranscriptionCompleted,
    #[schema(rename = "number.provisioned")]
    NumberProvisioned,
    #[schema(rename = "number.released")]
    NumberReleased,
    #[schema(rename = "balance.low")]
    BalanceLow,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookOut {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "uri")]
    url: String,
    /// What bodies are signed with: at creation, and where one webhook is read or changed by an owner or admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<String>,
    #[schema(value_type = Vec<EventOut>)]
    events: Vec<String>,
    active: bool,
    #[schema(format = "uuid")]
    organization_id: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
}

/// A new subscription.
#[derive(ToSchema)]
#[schema(as = WebhookCreate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct WebhookIn {
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    /// Absent: all of them.
    #[schema(nullable = false, min_items = 1)]
    events: Option<Vec<EventOut>>,
    #[schema(nullable = false, default = true)]
    active: Option<bool>,
}

/// A change: what is absent stays.
#[derive(ToSchema)]
#[schema(as = WebhookUpdate)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub(super) struct WebhookPatchIn {
    #[schema(format = "uri", max_length = 2048, nullable = false)]
    url: Option<String>,
    #[schema(nullable = false, min_items = 1)]
    events: Option<Vec<EventOut>>,
    #[schema(nullable = false)]
    active: Option<bool>,
}

/// What is to become of a delivery, or became.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryStatus)]
#[serde(rename_all = "snake_case")]
pub(super) enum StatusOut {
    Pending,
    Delivered,
    Failed,
}

/// An event that was sent, or waits to be.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(super) struct DeliveryOut {
    /// The event's id, as in the body.
    #[schema(format = "uuid")]
    id: String,
    #[schema(value_type = EventOut)]
    event: String,
    status: StatusOut,
    attempts: u32,
    /// What the receiver answered last.
    #[schema(required = true)]
    response_status: Option<u16>,
    /// Why the last attempt failed, or the beginning of what the receiver said then.
    #[schema(required = true)]
    error: Option<String>,
    #[schema(required = true, format = "date-time")]
    last_attempt_at: Option<String>,
    #[schema(required = true, format = "date-time")]
    next_attempt_at: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
}

impl WebhookOut {
    pub(super) fn new(webhook: &Webhook, secret: Option<Secret>) -> Self {
        Self {
            id: webhook.id.to_string(),
            url: webhook.url.clone(),
            secret: secret.map(|Secret(text)| text),
            events: webhook.events.clone(),
            active: webhook.active,
            organization_id: webhook.organization_id.to_string(),
            created_at: time(webhook.created_at),
            updated_at: time(webhook.updated_at),
        }
    }
}

impl From<&Delivery> for DeliveryOut {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { webhook_id: _, happening, attempts, state, last } = delivery;
        let (status, next) = match state {
            DeliveryState::Waiting(at) => (StatusOut::Pending, Some(*at)),
            DeliveryState::Delivered(_) => (StatusOut::Delivered, None),
            DeliveryState::GivenUp(_) => (StatusOut::Failed, None),
        };
        let (response_status, error) = match last.as_ref().map(|tried| &tried.answer) {
            None => (None, None),
            Some(Answer::Status(status, text)) => (Some(*status), text.clone()),
            Some(Answer::Failure(text)) => (None, Some(text.clone())),
        };
        Self {
            id: happening.id.to_string(),
            event: event_of(&happening.name).to_owned(),
            status,
            attempts: *attempts,
            response_status,
            error,
            last_attempt_at: last.as_ref().map(|tried| time(tried.at)),
            next_attempt_at: next.map(time),
            created_at: time(happening.at),
        }
    }
}

/// The vendor's name of an event of ours. Webhooks of this API are sent no others.
fn event_of(name: &str) -> &str {
    let stands_for = |topic: &&str| topic.split(':').next() == Some(name);
    EVENTS.iter().find(|(_, topics)| topics.iter().any(stands_for)).map_or(name, |(event, _)| event)
}

/// What is sent.
#[derive(Serialize)]
struct BodyOut<'a> {
    id: String,
    event: &'a str,
    timestamp: String,
    data: Value,
}

/// The body of a delivery.
pub(super) fn body(happening: &Happening) -> Vec<u8> {
    let Happening { id, organization_id: _, name, actor: _, subject: _, details, about, at } = happening;
    let data = match about {
        About::Call(call) => call_data(call),
        About::Number(number) => number_data(number, happening.at),
        About::Other => Value::Object(details.clone()),
    };
    let body = BodyOut { id: id.to_string(), event: event_of(name), timestamp: time(*at), data };
    // A struct with string keys and no failing serializer.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn call_data(call: &domain::Call) -> Value {
    json!({
        "call_id": call.id.to_string(),
        "direction": call.direction.as_str(),
        "from_number": call.from,
        "to_number": call.to,
        "phone_number_id": call.number_id.map(|id| id.to_string()),
        "endpoint_id": call.endpoint_id.map(|id| id.to_string()),
        "duration": call.duration_seconds,
        "cost_cents": call.cost.cents_floor(),
        "hangup_cause": cause(call),
        "recording_url": null,
        "transcript": null,
        "metadata": call.origin.as_ref().map(|origin| origin.metadata.clone()).unwrap_or_default(),
    })
}

fn number_data(number: &NumberBrief, at: Timestamp) -> Value {
    let NumberBrief { id, e164, country, kind, status: _, endpoint_id, agent_id: _, environment: _ } = number;
    json!({
        "phone_number_id": id.to_string(),
        "e164": e164.to_string(),
        "country": country.as_str(),
        "type": kind.as_str(),
        "endpoint_id": endpoint_id.map(|id| id.to_string()),
        "changed_at": time(at),
    })
}
