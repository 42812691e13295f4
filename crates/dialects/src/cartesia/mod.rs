//! Cartesia's API under `/agents`: phone numbers, providers, agents, calls. A number's id is printed `pn_<uuid>` and read with or without the
//! prefix; a managed number is of provider `cartesia`, one on an own trunk of `sip_trunk`.

mod agents;
mod bodies;
mod calls;
mod error;
mod numbers;
mod openapi;
mod providers;
mod read;
mod wire;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::{Op, View};
use http::{HeaderMap, Method, StatusCode};

use crate::{Context, Dialect, Endpoint, Reply, Request, bearer_or_api_key, under};
use agents::{AgentSummaryOut, AgentsOut};
use calls::{CallOut, CallsOut, CancelledOut};
use providers::ProviderAccountOut;
use wire::{AgentNumberOut, NumberBaseOut, NumberOut, PageOut};

/// Cartesia's API.
#[derive(Debug)]
pub struct Cartesia;

const fn row(method: Method, path: &'static str, verb: &'static str, scope: Scope) -> Endpoint {
    Endpoint { method, path, verb, scope: Some(scope) }
}

const fn reads(path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(Method::GET, path, verb, Scope::read(area))
}

const fn writes(method: Method, path: &'static str, verb: &'static str, area: Area) -> Endpoint {
    row(method, path, verb, Scope::write(area))
}

const NUMBERS: &str = "/agents/phone-numbers";
const NUMBER: &str = "/agents/phone-numbers/{id}";
const PROVIDERS: &str = "/agents/phone-numbers/providers";
const PROVIDER: &str = "/agents/phone-numbers/providers/{id}";
const AGENT: &str = "/agents/{agent_id}";
const CALL: &str = "/agents/calls/{call_id}";
const CALL_CANCEL: &str = "/agents/calls/{call_id}/cancel";

static ENDPOINTS: [Endpoint; 21] = [
    reads(NUMBERS, "number_list", Area::Numbers),
    reads("/agents/{agent_id}/phone-numbers", "number_list_of_agent", Area::Numbers),
    writes(Method::POST, NUMBERS, "number_import", Area::Numbers),
    writes(Method::POST, "/agents/phone-numbers/provision", "number_provision", Area::Numbers),
    reads(NUMBER, "number_get", Area::Numbers),
    writes(Method::PATCH, NUMBER, "number_update", Area::Numbers),
    writes(Method::DELETE, NUMBER, "number_delete", Area::Numbers),
    reads(PROVIDERS, "provider_list", Area::Providers),
    writes(Method::POST, PROVIDERS, "provider_create", Area::Providers),
    reads(PROVIDER, "provider_get", Area::Providers),
    writes(Method::PATCH, PROVIDER, "provider_update", Area::Providers),
    writes(Method::DELETE, PROVIDER, "provider_delete", Area::Providers),
    reads("/agents", "agent_list", Area::Agents),
    reads(AGENT, "agent_get", Area::Agents),
    writes(Method::PATCH, AGENT, "agent_update", Area::Agents),
    writes(Method::DELETE, AGENT, "agent_delete", Area::Agents),
    reads("/agents/calls", "call_list", Area::Calls),
    writes(Method::POST, "/agents/calls", "call_create", Area::Calls),
    reads(CALL, "call_get", Area::Calls),
    writes(Method::DELETE, CALL, "call_delete", Area::Calls),
    writes(Method::POST, CALL_CANCEL, "call_cancel", Area::Calls),
];

impl Dialect for Cartesia {
    fn name(&self) -> &'static str {
        "cartesia"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        &ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        under(path, "/agents")
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        bearer_or_api_key(headers)
    }

    /// Keys tell nothing of their mode here.
    fn key(&self, secret: &str, _mode: Mode) -> String {
        format!("sk_car_{secret}")
    }

    fn deviations(&self) -> &'static [&'static str] {
        &[
            "A test key provisions numbers for tests and no others: they cost nothing and take no slot, and only the simulated network calls them. A number that its carrier has not delivered yet has all its fields here and takes no calls; one that the carrier refuses is 400.",
            "Operations: phone numbers, SIP trunks, accounts at Twilio, agents, calls. Not served: batches of calls, audio, webhooks, templates, and `/v1/agents`, which is PolyAI's path here.",
            "`Cartesia-Version`: 2026-03-01 and 2026-08-14; absent reads as 2026-03-01; any other is 404 (decision 4).",
            "A number on a SIP trunk shows `{type: \"sip_trunk\", id, label}` as provider in both versions; the older contract has no such form.",
            "Order: newest first, the same in both directions. A cursor that is no id is 400; both cursors at once are 400; a limit outside 1 to 100 is 400.",
            "`has_more` tells of the direction that was asked for.",
            "409 carries `x-should-retry: false`, so that the vendor's clients do not send it three times.",
            "Import: the trunk must be the organization's own. Where the operator has to agree, the number waits, and calls to it are refused until then.",
            "Provision: the cheapest number of the US on sale, among equals the oldest in stock, paid from the ledger. Slots in use: 402 `quota_exceeded`; balance too low: 402; nothing in stock: 409; identity not verified: 403.",
            "Delete: a number that has an agent is 400, but for one of an account at Twilio in 2026-08-14. A managed number rests before it is sold again; one of an account stays there, and letting it go there is tried a few times without anybody waiting.",
            "Accounts at Twilio: calls come over a SIP trunk that is made in the account and to which its numbers are attached, not over voice webhooks. A key is tried by reading a number of the account, since keys of the standard kind cannot read the account itself.",
            "`api_key_sid` shows its first and last four characters. `label` of an account is shown in 2026-08-14; without one it is `Twilio` and the account's id. The numbers that a new key does not reach are in `unreachable_numbers`.",
            "A carrier that cannot be reached is 503 with `Retry-After` while nothing was changed. Once a number is stored it is 400 as the contract says: the number has no agent, PATCH of its agent or provider has it tried again, and so does the service by itself.",
            "An import with a provider's account needs nobody's consent: being in the account is the proof. A number never moves between a trunk, an account and the stock (400).",
            "A number of the stock cannot move to a trunk (400).",
            "`agent_id` of a number is its agent; the number lands on the agent's default endpoint of its environment. Null takes both away; the agent that it has already changes nothing.",
            "`allowed_numbers` names callers: others, and callers without a number, are refused on calls (`caller_not_allowed`). Entries are E.164.",
            "`inbound.media_encryption` is held against the offer of each call: `required` refuses (488) what may end up plain, also a call without an offer; `disabled` refuses what can only be encrypted. The offer itself goes on as it is, and a change of the media during a call is not judged.",
            "`destination_country` is kept and given back; there is one region here. `auth_username` is empty where there are no credentials. `transport` may read `udp` for a trunk made elsewhere.",
            "Digest credentials and `allowed_addresses` of an inbound side are two ways in: a call comes from such an address, or its caller knows the password (asked by 407, MD5 or SHA-256); with neither, none comes in.",
            "Deleting an agent takes it from its numbers and endpoints; the numbers stay, without an endpoint.",
            "Agents: `tts_voice` (empty) and `tts_language` (`en`) are kept and given back; `deployment_count` is 0, `has_text_to_agent_run` false; at most 10,000 are listed, each with at most 1,000 numbers. A null `name` changes nothing.",
            "Calls: `agent_id` is required; the agent is who had the number when the call came. `status` is of the newer version in both. No transcript, summary or variables; `expand` has no effect. Calls of numbers without an agent are not shown.",
            "Outbound calls: at most 100 in a request, each with its own result; what is wrong with the number or the agent refuses the whole request. The agent is called first, then who is called through the number's trunk. `metadata` (2026-03-01) and `dynamic_variables` (2026-08-14) are taken in both versions, kept with the call, shown as `dynamic_variables` where their values are texts, numbers or booleans, and sent to the agent as `X-Call-Metadata` (base64url of JSON, at most 8 KB). A number that may not call out, or whose trunk takes no calls, is 400. `error` of an item has `message` and, where it says when to try again, `retry_after_seconds`. No queue: pacing is the trunk's `calls_per_second`, and beyond it an item has an error.",
            "Cancelling ends a call that rings or is answered, on both sides, and answers once its record has the end: `status` `failed` (it rang) or `completed`, `end_reason` `api_cancelled`. A call whose process died while it rang, or whose record tells neither side's place, is 502 until it ends by itself.",
            "Deleting a call takes callers, targets and reasons out of its record, in every API; times, minutes and cost stay.",
        ]
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        read::version(request)?;
        match request.endpoint.verb {
            "number_list" => read::list(request),
            "number_list_of_agent" => read::list_of_agent(request),
            "number_import" => numbers::import(request),
            "number_provision" => numbers::provision(request),
            "number_get" => numbers::named(request).map(Op::NumberGet),
            "number_update" => numbers::update(request),
            "number_delete" if read::is_newer(request) => numbers::named(request).map(Op::NumberUnlink),
            "number_delete" => numbers::named(request).map(Op::NumberDeleteUnassigned),
            "provider_list" => providers::list(request),
            "provider_create" => providers::create(request),
            "provider_get" => providers::get(request),
            "provider_update" => providers::update(request),
            "provider_delete" => providers::delete(request),
            "agent_list" => Ok(agents::list(request)),
            "agent_get" => agents::get(request),
            "agent_update" => agents::update(request),
            "agent_delete" => agents::delete(request),
            "call_list" => calls::list(request),
            "call_create" => calls::originate(request),
            "call_get" => calls::get(request),
            "call_delete" => calls::delete(request),
            "call_cancel" => calls::cancel(request),
            verb => Err(Error::internal(format!("cartesia has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        let newer = read::is_newer(request);
        match (request.endpoint.verb, view) {
            ("number_list", View::Numbers(page)) => {
                let data = page.items.into_iter().map(|view| NumberOut::of(view, newer)).collect();
                Reply::json(StatusCode::OK, &PageOut { data, has_more: page.more })
            }
            ("number_list_of_agent", View::Numbers(page)) => {
                let items: Vec<_> = page.items.into_iter().map(AgentNumberOut::from).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("number_import", View::Number(view)) => {
                Reply::json(StatusCode::CREATED, &NumberOut::of(*view, newer))
            }
            ("number_provision", View::Number(view)) => {
                Reply::json(StatusCode::CREATED, &NumberBaseOut::from(*view))
            }
            ("number_get" | "number_update", View::Number(view)) => {
                Reply::json(StatusCode::OK, &NumberOut::of(*view, newer))
            }
            ("provider_list", View::Providers(page)) => {
                let items: Vec<_> =
                    page.items.into_iter().map(|p| ProviderAccountOut::of(p, newer)).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("provider_create", View::Provider(provider)) => {
                Reply::json(StatusCode::CREATED, &ProviderAccountOut::of(provider, newer))
            }
            ("provider_get" | "provider_update", View::Provider(provider)) => {
                Reply::json(StatusCode::OK, &ProviderAccountOut::of(provider, newer))
            }
            ("agent_list", View::AgentProfiles(page)) => {
                Reply::json(StatusCode::OK, &AgentsOut::from(page.items))
            }
            ("agent_get" | "agent_update", View::AgentProfile(profile)) => {
                Reply::json(StatusCode::OK, &AgentSummaryOut::from(profile))
            }
            ("call_list", View::AgentCalls(page)) => {
                Reply::json(StatusCode::OK, &CallsOut::of(page, &CallsOut::start(request)))
            }
            ("call_create", View::Originated(rows)) => {
                Reply::json(StatusCode::OK, &calls::OriginatedOut::from(rows))
            }
            ("call_get" | "call_delete", View::AgentCall(call)) => {
                Reply::json(StatusCode::OK, &CallOut::from(*call))
            }
            ("call_cancel", View::Call(_)) => Reply::json(StatusCode::OK, &CancelledOut { cancelled: true }),
            ("number_delete" | "provider_delete" | "agent_delete", View::Done) => {
                Reply::empty(StatusCode::NO_CONTENT)
            }
            (verb, _) => {
                self.refuse(request.context, &Error::internal(format!("no view of cartesia's {verb}")))
            }
        }
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn openapi(&self) -> serde_json::Value {
        openapi::document(&ENDPOINTS)
    }
}
