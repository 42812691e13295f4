//! Calls that are begun here.

use utoipa::ToSchema;

use super::read;
use crate::{Request, json};
use domain::Op;
use domain::error::{Result, What};
use domain::ids::{AgentId, EndpointId, NumberId};
use domain::number::NumberRef;
use domain::originate::{CallTo, CallingNumber, DURATION_MAX, Originate, RING};
use domain::{Bag, E164};

const UUID: &str = "a UUID";

pub(super) fn originate(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Call)?.null_is_absent();
    let number = |text: &str| {
        let id = NumberId::parse(text).map(NumberRef::Held);
        id.or_else(|| E164::dialled(text, None).map(NumberRef::E164))
    };
    let from = body
        .required("from", "a number of the organization, by its id or in E.164", |v| number(v.as_str()?))?;
    let to = body.required("to", "a phone number, such as +14155550100", json::text)?;
    let agent_id = body.optional("agent_id", read::AGENT_ID, read::word(AgentId::parse))?;
    let endpoint_id = body.optional("endpoint_id", UUID, read::word(EndpointId::parse))?;
    let metadata = body.optional("metadata", "an object", json::object)?.unwrap_or_default();
    let rings = format!("a whole number of seconds from {} to {}", RING.start(), RING.end());
    let ring_seconds =
        body.optional("ring_seconds", &rings, |v| read::small(v).filter(|seconds| RING.contains(seconds)))?;
    let lasts = format!("a whole number of seconds from 1 to {DURATION_MAX}");
    let fits = |seconds: &u32| (1..=DURATION_MAX).contains(seconds);
    let max_seconds = body.optional("max_seconds", &lasts, |v| read::small(v).filter(fits))?;
    body.close()?;
    Ok(Op::CallOriginate(Box::new(Originate {
        from: CallingNumber::Named(from),
        agent_id,
        endpoint_id,
        calls: vec![CallTo { number: to, country: None, metadata }],
        each: false,
        ring_seconds,
        max_seconds,
    })))
}

/// A call to be begun: the agent is called first, then, through the number's trunk, who is called.
#[derive(ToSchema)]
#[schema(as = CallCreate)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct OriginateBody {
    /// Which number calls: its id, or the number itself.
    from: String,
    /// Who is called: E.164, or as is usual in the number's country.
    to: String,
    /// Whom the number speaks for; absent: who it is assigned to.
    agent_id: Option<String>,
    /// Which endpoint takes the call; absent: the agent's default one, or the number's.
    #[schema(format = "uuid")]
    endpoint_id: Option<String>,
    /// Your own words about the call, at most 8 KB: kept with it, and sent to the agent.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Bag>,
    /// How long it may ring, in seconds; absent: 60.
    #[schema(minimum = 5, maximum = 80)]
    ring_seconds: Option<u32>,
    /// How long it may last, in seconds, at most as long as the organization allows.
    #[schema(minimum = 1, maximum = 86400)]
    max_seconds: Option<u32>,
}
