//! Endpoints: places that answer calls.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::page::page;
use super::providers;
use super::read::{self, expect, path_id};
use super::reply::{id_or_null, time};
use super::rules;
use super::words::{self, one_of};
use crate::Request;
use crate::json::{self, Body, boolean, object, text};
use domain::endpoint::{Endpoint, EndpointKind, EndpointPatch, EndpointStatus};
use domain::error::{Error, Kind, Result, What};
use domain::ids::{AgentId, EndpointId};
use domain::manner::{Header, Manner, MannerPatch, ToForm};
use domain::number::Environment;
use domain::provider::{AddressRule, MediaEncryption};
use domain::rules::{EndpointRules, Health, HealthCheck, Heard, json as rules_json};
use domain::target::{Target, TargetUri};
use domain::{Bag, Op};

/// Priority and weight of a target that names none.
const MIDDLE: u16 = 10;
/// What a list of addresses must be.
pub(super) const ADDRESSES: &str = "a list of IP addresses or ranges, such as `192.0.2.7` or `192.0.2.0/24`";

fn id(request: &Request<'_>) -> Result<EndpointId> {
    path_id(request, What::Endpoint, EndpointId::parse)
}

/// A list of addresses and ranges.
pub(super) fn addresses(value: Value) -> Option<Vec<AddressRule>> {
    read::array(value)?.iter().map(|entry| AddressRule::parse(entry.as_str()?)).collect()
}

fn targets(items: Vec<Value>) -> Result<Vec<Target>> {
    items.into_iter().enumerate().map(|(at, item)| target(at, item)).collect()
}

/// One target; what is wrong is said with its place, under the field `targets`.
fn target(at: usize, item: Value) -> Result<Target> {
    let bad = |words: String| Error::invalid(What::Endpoint, "targets", words);
    let Value::Object(mut fields) = item else {
        return Err(bad(format!("`targets[{at}]` must be an object with a `uri`.")));
    };
    let uri = match fields.remove("uri") {
        Some(Value::String(uri)) => TargetUri::parse(&uri)?,
        Some(Value::Null) | None => {
            let words = format!("`targets[{at}].uri` is required.");
            return Err(Error::new(Kind::Missing, What::Endpoint, words).at("targets"));
        }
        Some(_) => return Err(bad(format!("`targets[{at}].uri` must be a text."))),
    };
    let mut small = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(MIDDLE),
        Some(value) => json::whole(value).and_then(|n| u16::try_from(n).ok()).ok_or_else(|| {
            bad(format!("`targets[{at}].{name}` must be a whole number from 0 to {}.", u16::MAX))
        }),
    };
    let (priority, weight) = (small("priority")?, small("weight")?);
    let enabled = match fields.remove("enabled") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(enabled)) => enabled,
        Some(_) => return Err(bad(format!("`targets[{at}].enabled` must be true or false."))),
    };
    match fields.keys().next() {
        Some(name) => {
            Err(bad(format!("`targets[{at}].{}` is not a field of a target.", name.escape_debug())))
        }
        None => Ok(Target { uri, priority, weight, enabled }),
    }
}

/// How calls are put to it.
fn manner(body: &mut Body) -> Result<MannerPatch> {
    let media = read::word(MediaEncryption::parse);
    let seconds = |value| json::whole(value).and_then(|n| u16::try_from(n).ok());
    Ok(MannerPatch {
        login: providers::credentials(body, What::Endpoint)?,
        media_encryption: body.unclearable("media_encryption", &one_of(&MediaEncryption::NAMES), media)?,
        headers: body.patch("headers", "an object of texts by the headers' names, or null", headers)?,
        to_form: body.unclearable("to_form", &one_of(&ToForm::NAMES), read::word(ToForm::parse))?,
        ring_seconds: body.patch("ring_seconds", "a whole number of seconds, or null", seconds)?,
        ..MannerPatch::default()
    })
}

fn headers(value: Value) -> Option<Vec<Header>> {
    let one = |(name, value)| Some(Header { name, value: text(value)? });
    object(value)?.into_iter().map(one).collect()
}

/// The fields where null is refused: they can be left out or set.
fn patch(body: &mut Body) -> Result<EndpointPatch> {
    let targets_in = body.unclearable("targets", "a list of targets", read::array)?;
    Ok(EndpointPatch {
        name: body.unclearable("name", "a text", text)?,
        kind: body.unclearable("kind", &one_of(&EndpointKind::NAMES), read::word(EndpointKind::parse))?,
        status: body.unclearable(
            "status",
            &one_of(&EndpointStatus::NAMES),
            read::word(EndpointStatus::parse),
        )?,
        url: body.patch("url", "a text", text)?,
        config: body.unclearable("config", "an object", object)?,
        agent_id: body.patch("agent_id", read::AGENT_ID, read::word(AgentId::parse))?,
        environment: body.unclearable(
            "environment",
            &one_of(&Environment::NAMES),
            read::word(Environment::parse),
        )?,
        is_default: body.unclearable("is_default", "true or false", boolean)?,
        targets: targets_in.map(targets).transpose()?,
        source_addresses: body.unclearable("source_addresses", ADDRESSES, addresses)?,
        allow_transfer: body.unclearable("allow_transfer", "true or false", boolean)?,
        manner: Box::new(manner(body)?),
        rules: rules::of_endpoint(body)?,
        bags: Bag::new(),
    })
}

pub(super) fn create(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Endpoint)?.null_is_absent();
    let new = patch(&mut body)?;
    body.close()?;
    if new.name.is_none() {
        return Err(Error::missing(What::Endpoint, "name"));
    }
    Ok(Op::EndpointCreate(new))
}

pub(super) fn list(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointList(page(request, EndpointId::parse)?))
}

pub(super) fn get(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointGet(id(request)?))
}

pub(super) fn health(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointHealth(id(request)?))
}

pub(super) fn update(request: &Request<'_>) -> Result<Op> {
    let id = id(request)?;
    let mut body = json::body(request.body, What::Endpoint)?;
    let patch = patch(&mut body)?;
    body.close()?;
    Ok(Op::EndpointUpdate(id, patch, expect(request)?))
}

pub(super) fn delete(request: &Request<'_>) -> Result<Op> {
    Ok(Op::EndpointDelete(id(request)?, expect(request)?))
}

/// One SIP target.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub(super) struct TargetOut {
    /// `sip:` or `sips:`; without a user part, the dialled number is put there.
    uri: String,
    /// Lower is tried first.
    priority: u16,
    /// Share among targets of one priority.
    weight: u16,
    /// Whether it is used at all.
    enabled: bool,
}

/// A place that answers calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Endpoint)]
pub(super) struct EndpointOut {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// A name for people.
    name: String,
    /// What stands behind it.
    #[schema(schema_with = words::endpoint_kind)]
    kind: &'static str,
    /// Whether it is in use; calls to the numbers of an inactive one are refused.
    #[schema(schema_with = words::endpoint_status)]
    status: &'static str,
    /// Its own address: of a webhook by HTTP, of any other kind by SIP; plain SIP has `targets` instead.
    #[schema(required = true)]
    url: Option<String>,
    /// What its platform needs to know, such as `elevenlabs_agent_id`.
    #[schema(value_type = Object)]
    config: Bag,
    /// The agent that answers here.
    #[schema(required = true)]
    agent_id: Option<String>,
    /// Where in the agent's life.
    #[schema(schema_with = words::environment)]
    environment: &'static str,
    /// Whether a number that is given this agent lands here.
    is_default: bool,
    /// Where it answers.
    targets: Vec<TargetOut>,
    /// Addresses it may place calls from without a password.
    source_addresses: Vec<String>,
    /// Whether its agent may hand a call to somebody else (REFER); a call keeps what held when it began.
    allow_transfer: bool,
    /// The user name of its credentials; the password is never shown.
    #[schema(required = true)]
    username: Option<String>,
    /// Whether its sound may or must be encrypted.
    #[schema(schema_with = words::media_encryption)]
    media_encryption: &'static str,
    /// Lines that calls get on their way.
    headers: BTreeMap<String, String>,
    /// What stands in an INVITE's To.
    #[schema(schema_with = words::to_form)]
    to_form: &'static str,
    /// How long a target may ring, in seconds; null: 120.
    #[schema(required = true)]
    ring_seconds: Option<u16>,
    /// After which causes its next target is tried; null: after `no_answer`, `failed` and `too_late`.
    #[schema(required = true, value_type = Option<rules::Failover>)]
    failover: Option<Value>,
    /// How many seconds a target may ring before the call goes on; null: as long as a call may be set up.
    #[schema(required = true)]
    answer_seconds: Option<u16>,
    /// Whether, and how often, its targets are asked whether they are there; how they are: `/health`.
    #[schema(value_type = rules::HealthCheck)]
    health: Value,
    /// Where calls go on that it does not answer, before the number's own fallbacks.
    #[schema(required = true, value_type = Option<Vec<rules::Fallback>>)]
    fallback: Option<Value>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<&Target> for TargetOut {
    fn from(target: &Target) -> Self {
        let Target { uri, priority, weight, enabled } = target;
        Self { uri: uri.as_str().to_owned(), priority: *priority, weight: *weight, enabled: *enabled }
    }
}

impl From<&Endpoint> for EndpointOut {
    fn from(endpoint: &Endpoint) -> Self {
        let Endpoint {
            id,
            organization_id: _,
            name,
            kind,
            status,
            url,
            config,
            agent_id,
            environment,
            is_default,
            targets,
            source_addresses,
            allow_transfer,
            manner,
            rules: EndpointRules { failover, answer_seconds, health, fallback },
            bags: _,
            created_at,
            updated_at,
            version: _,
        } = endpoint;
        let Manner { credentials, media_encryption, headers, to_form, ring_seconds } = manner;
        Self {
            id: id.to_string(),
            name: name.clone(),
            kind: kind.as_str(),
            status: status.as_str(),
            url: url.clone(),
            config: config.clone(),
            agent_id: id_or_null(agent_id.as_ref()),
            environment: environment.as_str(),
            is_default: *is_default,
            targets: targets.iter().map(TargetOut::from).collect(),
            source_addresses: source_addresses.iter().map(AddressRule::to_string).collect(),
            allow_transfer: *allow_transfer,
            username: credentials.as_ref().map(|one| one.username.clone()),
            media_encryption: media_encryption.as_str(),
            headers: headers.iter().map(|one| (one.name.clone(), one.value.clone())).collect(),
            to_form: to_form.as_str(),
            ring_seconds: *ring_seconds,
            failover: failover.map(rules_json::failover_value),
            answer_seconds: *answer_seconds,
            health: rules_json::health_value(*health),
            fallback: rules::some(rules_json::steps_value(fallback)),
            created_at: time(*created_at),
            updated_at: time(*updated_at),
        }
    }
}

/// How a target is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TargetHealth)]
pub(super) struct TargetHealthOut {
    /// The target, as its endpoint has it.
    uri: String,
    /// Down: calls try it last. Unknown: it is not asked, or too little was heard of it.
    #[schema(schema_with = words::target_state)]
    state: &'static str,
    /// Since when it is so.
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    /// When something was heard of it last, be it that no answer came.
    #[schema(required = true, format = DateTime)]
    checked_at: Option<String>,
    /// What was heard last: `answered`, `unavailable` (408, 503 and 504 say that nobody is there), `no_response`, or why it could not
    /// be asked, in the words of calls' attempts.
    #[schema(required = true)]
    cause: Option<&'static str>,
    /// The status of the last answer, if it was one.
    #[schema(required = true)]
    sip_status: Option<u16>,
}

/// How the targets of an endpoint are, as the process that answers knows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndpointHealth)]
pub(super) struct HealthOut {
    /// Whether they are asked.
    enabled: bool,
    /// How often, in seconds.
    interval_seconds: u16,
    /// Each of them, in the endpoint's order.
    targets: Vec<TargetHealthOut>,
}

impl HealthOut {
    pub(super) fn new(endpoint: &Endpoint, health: Vec<Health>) -> Self {
        let HealthCheck { enabled, interval_seconds } = endpoint.rules.health;
        let one = |(target, health): (&Target, Health)| TargetHealthOut {
            uri: target.uri.as_str().to_owned(),
            state: health.state.as_str(),
            since: health.since.map(time),
            checked_at: health.checked_at.map(time),
            cause: health.heard.map(Heard::cause),
            sip_status: health.heard.and_then(Heard::sip_status),
        };
        Self { enabled, interval_seconds, targets: endpoint.targets.iter().zip(health).map(one).collect() }
    }
}
