//! PolyAI's API: one phone number of an agent, and the refusal of every other path under `/v1/agents` and `/v1/accounts`.
//! Every answer names its exchange by `X-PolyAI-Correlation-Id`.

mod error;
mod wire;

use domain::error::{Error, Result, What};
use domain::ids::AgentId;
use domain::key::{Area, Mode, Scope};
use domain::number::NumberRef;
use domain::{E164, Op, View};
use http::{HeaderMap, Method, StatusCode};

use crate::openapi::{Document, Operation, Shape};
use crate::{Context, Dialect, Endpoint, Reply, Request, api_key, under};
use wire::{ErrorOut, NumberOut};

/// PolyAI's API.
#[derive(Debug)]
pub struct PolyAi;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));
const NUMBER: &str = "/v1/agents/{agentId}/telephony/phone-numbers/{phoneNumber}";
const REFUSALS: [u16; 7] = [400, 401, 403, 404, 429, 500, 503];

static ENDPOINTS: [Endpoint; 1] =
    [Endpoint { method: Method::GET, path: NUMBER, verb: "number_get", scope: READ }];

impl Dialect for PolyAi {
    fn name(&self) -> &'static str {
        "polyai"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        &ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        under(path, "/v1/agents").or_else(|| under(path, "/v1/accounts"))
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        Ok(api_key(headers))
    }

    /// The vendor publishes no form; keys are opaque and tell nothing of their mode.
    fn key(&self, secret: &str, _mode: Mode) -> String {
        format!("poly_{secret}")
    }

    fn deviations(&self) -> &'static [&'static str] {
        &[
            "Operations: those of the contract page (one read). The wider telephony surface is not served yet.",
            "Ids: `accountId`, `projectId` and `connectorId` are our organization's, agent's and endpoint's ids.",
            "`connectorId` is left out while a number has no endpoint.",
            "Keys have the form `poly_…`; the vendor publishes none. No key is `AUTH_USER_UNAUTHORISED`, a wrong one `AUTH_USER_INVALID_TOKEN`, both 401.",
            "A correlation id of more than 128 characters, or with other than visible ASCII, is replaced by one of ours.",
            "What is no phone number is 400 `PHONE_NUMBERS_INVALID_PHONE_NUMBER_FORMAT`; a number of another agent is 404.",
        ]
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        match request.endpoint.verb {
            "number_get" => number(request).map(Op::NumberGet),
            verb => Err(Error::internal(format!("polyai has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        match (request.endpoint.verb, view) {
            ("number_get", View::Number(view)) => Reply::json(StatusCode::OK, &NumberOut::from(*view))
                .with(error::CORRELATION_HEADER, &error::correlation_id(request.context)),
            (verb, _) => {
                self.refuse(request.context, &Error::internal(format!("no view of polyai's {verb}")))
            }
        }
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn openapi(&self) -> serde_json::Value {
        let [endpoint] = &ENDPOINTS;
        let operation = Operation::new("Reads a phone number of an agent.")
            .tag("Phone Numbers")
            .header("X-PolyAI-Correlation-Id", "Names the exchange; echoed.")
            .answer(200, "The number.", Shape::of::<NumberOut>())
            .answer_header("X-PolyAI-Correlation-Id", "Names the exchange.")
            .refuses(&REFUSALS);
        Document::new("PolyAI's API on Trunkline", "1.0.3", "Phone numbers of agents.")
            .api_key("x-api-key")
            .path_parameter("agentId", "The agent.", Shape::text())
            .path_parameter("phoneNumber", "The number in E.164, `+` as it is or as `%2B`.", Shape::text())
            .refusal("application/json", Shape::of::<ErrorOut>())
            .operation(endpoint, operation)
            .build()
    }
}

/// The number that the path names below its agent. The number is read first, so that a bad one is said wherever it stands.
fn number(request: &Request<'_>) -> Result<NumberRef> {
    let e164 = E164::dialled(request.param("phoneNumber"), None).ok_or_else(|| {
        let words = "The phone number is not in E.164 form, such as +14155550100.";
        Error::invalid(What::Number, "e164", words)
    })?;
    let agent = AgentId::parse(request.param("agentId")).ok_or_else(|| Error::not_found(What::Number))?;
    Ok(NumberRef::OfAgent(agent, e164))
}
