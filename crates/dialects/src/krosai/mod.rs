//! KrosAI's API: phone numbers, endpoints, calls, webhooks and API keys under `/v1`, and the refusal of every other `/v1/…` path that
//! PolyAI does not claim. Lists are bare arrays, but for calls; ids are UUIDs; output is in `snake_case`.

mod calls;
mod endpoints;
mod error;
mod keys;
mod openapi;
mod plans;
mod read;
mod webhooks;
mod wire;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::{Op, View};
use http::{HeaderMap, Method, StatusCode};

use crate::{Context, Dialect, Endpoint, Reply, Request, bearer_or_api_key, under};
use calls::{CallDetailOut, CallPageOut, CallStatsOut};
use endpoints::EndpointOut;
use keys::{KeyCreatedOut, KeyOut};
use webhooks::{DeliveryOut, WebhookOut};
use wire::{AvailableOut, NumberDetailOut, NumberOut, ReleasedOut};

/// KrosAI's API.
#[derive(Debug)]
pub struct KrosAi;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));
const WRITE: Option<Scope> = Some(Scope::write(Area::Numbers));
const NUMBERS: &str = "/v1/phone-numbers";
const NUMBER: &str = "/v1/phone-numbers/{id}";

const ENDPOINT_READ: Option<Scope> = Some(Scope::read(Area::Endpoints));
const ENDPOINT_WRITE: Option<Scope> = Some(Scope::write(Area::Endpoints));
const ENDPOINT_ALL: &str = "/v1/endpoints";
const ENDPOINT: &str = "/v1/endpoints/{endpoint_id}";
const CALL_READ: Option<Scope> = Some(Scope::read(Area::Calls));
const CALL_WRITE: Option<Scope> = Some(Scope::write(Area::Calls));
const CALL: &str = "/v1/calls/{call_id}";
const KEY_READ: Option<Scope> = Some(Scope::read(Area::Keys));
const KEY_WRITE: Option<Scope> = Some(Scope::write(Area::Keys));
const KEYS: &str = "/v1/api-keys";
const KEY: &str = "/v1/api-keys/{key_id}";
const HOOK_READ: Option<Scope> = Some(Scope::read(Area::Webhooks));
const HOOK_WRITE: Option<Scope> = Some(Scope::write(Area::Webhooks));
const HOOKS: &str = "/v1/webhooks";
const HOOK: &str = "/v1/webhooks/{webhook_id}";
const SENT: &str = "/v1/webhooks/{webhook_id}/deliveries";
const AGAIN: &str = "/v1/webhooks/{webhook_id}/deliveries/{event_id}/retry";

static ENDPOINTS: [Endpoint; 25] = [
    Endpoint { method: Method::GET, path: NUMBERS, verb: "number_list", scope: READ },
    Endpoint { method: Method::POST, path: NUMBERS, verb: "number_buy", scope: WRITE },
    Endpoint { method: Method::GET, path: NUMBER, verb: "number_get", scope: READ },
    Endpoint { method: Method::PATCH, path: NUMBER, verb: "number_update", scope: WRITE },
    Endpoint { method: Method::DELETE, path: NUMBER, verb: "number_delete", scope: WRITE },
    Endpoint { method: Method::GET, path: ENDPOINT_ALL, verb: "endpoint_list", scope: ENDPOINT_READ },
    Endpoint { method: Method::POST, path: ENDPOINT_ALL, verb: "endpoint_create", scope: ENDPOINT_WRITE },
    Endpoint { method: Method::GET, path: ENDPOINT, verb: "endpoint_get", scope: ENDPOINT_READ },
    Endpoint { method: Method::PATCH, path: ENDPOINT, verb: "endpoint_update", scope: ENDPOINT_WRITE },
    Endpoint { method: Method::DELETE, path: ENDPOINT, verb: "endpoint_delete", scope: ENDPOINT_WRITE },
    Endpoint { method: Method::POST, path: "/v1/outbound-calls", verb: "call_create", scope: CALL_WRITE },
    Endpoint { method: Method::GET, path: "/v1/calls", verb: "call_list", scope: CALL_READ },
    Endpoint { method: Method::GET, path: CALL, verb: "call_get", scope: CALL_READ },
    Endpoint { method: Method::DELETE, path: CALL, verb: "call_delete", scope: CALL_WRITE },
    Endpoint { method: Method::GET, path: KEYS, verb: "key_list", scope: KEY_READ },
    Endpoint { method: Method::POST, path: KEYS, verb: "key_create", scope: KEY_WRITE },
    Endpoint { method: Method::GET, path: KEY, verb: "key_get", scope: KEY_READ },
    Endpoint { method: Method::DELETE, path: KEY, verb: "key_delete", scope: KEY_WRITE },
    Endpoint { method: Method::GET, path: HOOKS, verb: "webhook_list", scope: HOOK_READ },
    Endpoint { method: Method::POST, path: HOOKS, verb: "webhook_create", scope: HOOK_WRITE },
    Endpoint { method: Method::GET, path: HOOK, verb: "webhook_get", scope: HOOK_READ },
    Endpoint { method: Method::PATCH, path: HOOK, verb: "webhook_update", scope: HOOK_WRITE },
    Endpoint { method: Method::DELETE, path: HOOK, verb: "webhook_delete", scope: HOOK_WRITE },
    Endpoint { method: Method::GET, path: SENT, verb: "webhook_deliveries", scope: HOOK_READ },
    Endpoint { method: Method::POST, path: AGAIN, verb: "webhook_retry", scope: HOOK_WRITE },
];

impl Dialect for KrosAi {
    fn name(&self) -> &'static str {
        "krosai"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        &ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        under(path, "/v1")
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        bearer_or_api_key(headers)
    }

    fn key(&self, secret: &str, mode: Mode) -> String {
        format!("kros_{}_{secret}", mode.as_str())
    }

    fn deviations(&self) -> &'static [&'static str] {
        &[
            "Operations: phone numbers, endpoints, calls, webhooks and API keys. Outbound calls, port requests and recordings are not served yet.",
            "Endpoints, calls and keys follow the vendor's reference pages (generation A). Shapes that no page shows are ours: `action=stats` is `{total, total_duration, by_status}`, `action=trends` a bare array of `{date, count}` with each day (UTC) of the time asked about, the last 30 days where it is not said, at most 366; both need `analytics:read` besides `calls:read`. Removals are 204.",
            "Endpoints: `url` reads as the endpoint's own, else as the SIP address made of `provider_config`: `vapi` by `assistant_id` or `credential_id`, `retell` by `agent_id`, `elevenlabs` by `elevenlabs_agent_id`, `livekit` by `livekit_sip_uri`, `agent` by its `provider`. A `url` that is set takes the place of that address. An endpoint of a kind that the vendor's documents do not name (`sip`, `openai`, `azure_openai`, `xai`, `bland`) shows as `custom_sip` with its SIP address: a client that knows nine types reads no tenth. An endpoint without any takes no calls, nor does a `webhook`: its numbers refuse with 480 and say so. No signing secret is made, since nothing is sent to a webhook endpoint.",
            "Endpoints: `status` is `active` or `inactive`, never `error`; the numbers of an inactive one refuse calls with 480. `type` cannot be changed. Plain SIP of the native API shows as `custom_sip`. Lists take `limit` (100) and `offset`.",
            "Calls: `answered` in a filter means `in_progress`; refused calls read `failed`, cancelled ones `no_answer`; no call is `initiated`. `recording_url` and `transcript` are null, since sound does not pass through the service. A call in progress cannot be removed; minutes, money and the audit log outlive the record.",
            "`kros_test_` keys see and buy numbers for tests and no others: of ranges kept for fiction, at no cost, without balance, verification or slot, at most twenty held at once, not resting when released. Only the simulated network calls them. Live keys do not see them on sale. A purchase that its carrier has not confirmed is `pending`; one that it refuses is `CARRIER_REFUSED`, refunded.",
            "API keys: only those of this API are seen. A key has its maker's role and mode and no more than its maker's scopes, addresses and time. `allowed_ips` is held against the connection's other end, never a header. `requests_24h` and `requests_30d` count by whole hours; up to five seconds of them are lost with a killed process.",
            "Webhooks: the events are those of the vendor's OpenAPI document, and `balance.low` of its page of events; no wildcards. `call.recording.ready` and `transcription.completed` are taken and never sent, since sound does not pass through the service. Without `events` a webhook gets all. `call.failed` stands for every call that was not answered or not let in; a call that reached no number of the organization's makes no event. `number.provisioned` is told whenever a number comes to be usable: bought, activated or restored; `number.released` when it is given up, by a release or a removal, once. `metadata` is always `{}`.",
            "Webhooks: only those of this API are seen, at most 20 of an organization with those of the native API. `secret` is shown at creation, and to owners and admins with `webhooks:write` where one webhook is read or changed; lists leave it out. A key with scopes has no event sent that it may not read: calls need `calls:read`, numbers `numbers:read`, `balance.low` `billing:read`; one that lacks a right names its events. `GET …/deliveries` and `POST …/deliveries/{event_id}/retry` are ours. An address inside the operator's own network is refused or not connected to, as the operator's settings say.",
            "Rate limits: the vendor's per-plan figures hold once the organization's `settings.krosai_plan` names a plan. `Retry-After` is in whole seconds, `retry_after` the same. What is told in `X-RateLimit-…` is the limit of a second, or that of the day (UTC) where less is left of it. Counts are in memory and per process. The limit on calls at a time counts every call of the organization that rings or is answered; one more is refused with 486. The vendor's limits per route are not held.",
            "`action=available`: the items carry `id` (the `inventory_id` to buy), `status` `inactive` and `inventory` with costs and capabilities; they have no `organization_id` and no `sip_uri`.",
            "Field names are taken in camelCase and snake_case; both at once with different values are 400.",
            "Prices are ours: cost fields that differ are refused.",
            "A released number reads `inactive`, is left out of lists, and cannot be changed; removing one for good rests its stock like releasing it.",
            "`sip_password` is left out for everybody but owners and admins.",
            "Codes where none is published: `INVALID_PARAMETER`, `INVALID_PHONE_NUMBERS`, `ENDPOINT_NOT_FOUND`, `CONFLICT` (400), `NUMBER_LIMIT_REACHED` (402), `ORGANIZATION_MISMATCH` (403).",
        ]
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        read::organization(request)?;
        match request.endpoint.verb {
            "number_list" => read::list(request),
            "number_buy" => read::purchase(request),
            "number_get" => read::number(request).map(Op::NumberGet),
            "number_update" => read::update(request),
            "number_delete" => read::remove(request),
            "endpoint_list" => endpoints::list(request),
            "endpoint_create" => endpoints::create(request),
            "endpoint_get" => endpoints::get(request),
            "endpoint_update" => endpoints::update(request),
            "endpoint_delete" => endpoints::delete(request),
            "call_create" => calls::originate(request),
            "call_list" => calls::list(request),
            "call_get" => calls::get(request),
            "call_delete" => calls::delete(request),
            "key_list" => keys::list(request),
            "key_create" => keys::create(request),
            "key_get" => keys::get(request),
            "key_delete" => keys::delete(request),
            "webhook_list" => webhooks::list(request),
            "webhook_create" => webhooks::create(request),
            "webhook_get" => webhooks::get(request),
            "webhook_update" => webhooks::update(request),
            "webhook_delete" => webhooks::delete(request),
            "webhook_deliveries" => webhooks::deliveries(request),
            "webhook_retry" => webhooks::again(request),
            verb => Err(Error::internal(format!("krosai has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        error::limited(self.encoded(request, view), request.context)
    }

    fn hook_body(&self, happening: &domain::webhook::Happening) -> Option<Vec<u8>> {
        Some(webhooks::body(happening))
    }

    fn plans(&self) -> Option<&'static crate::plan::Plans> {
        Some(&plans::PLANS)
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::limited(error::reply(context, error), context)
    }

    fn openapi(&self) -> serde_json::Value {
        openapi::document(&ENDPOINTS)
    }
}

impl KrosAi {
    fn encoded(&self, request: &Request<'_>, view: View) -> Reply {
        if !request.endpoint.verb.starts_with("number_") {
            return self.encode_wider(request, view);
        }
        match (request.endpoint.verb, view) {
            ("number_list", View::Numbers(page)) => {
                let items: Vec<_> = page.items.iter().map(NumberOut::new).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("number_list", View::Stocks(page)) => {
                let items: Vec<_> = page.items.iter().map(AvailableOut::new).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("number_buy", View::Number(view)) => Reply::json(StatusCode::CREATED, &NumberOut::new(&view)),
            ("number_get", View::Number(view)) => Reply::json(StatusCode::OK, &NumberDetailOut::new(*view)),
            ("number_update", View::Number(view)) => Reply::json(StatusCode::OK, &NumberOut::new(&view)),
            ("number_delete", View::Number(_) | View::Done) => match request.query("action") {
                Some(_) => Reply::json(StatusCode::OK, &ReleasedOut { success: true, action: read::RELEASE }),
                None => Reply::empty(StatusCode::NO_CONTENT),
            },
            (verb, _) => {
                self.refuse(request.context, &Error::internal(format!("no view of krosai's {verb}")))
            }
        }
    }

    /// What is not about numbers.
    fn encode_wider(&self, request: &Request<'_>, view: View) -> Reply {
        match (request.endpoint.verb, view) {
            ("endpoint_list", View::Endpoints(page)) => {
                let items: Vec<_> = page.items.iter().map(EndpointOut::from).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("endpoint_create", View::Endpoint(e)) => {
                Reply::json(StatusCode::CREATED, &EndpointOut::from(&e))
            }
            ("endpoint_get" | "endpoint_update", View::Endpoint(e)) => {
                Reply::json(StatusCode::OK, &EndpointOut::from(&e))
            }
            ("call_create", View::Originated(rows)) => match rows.into_iter().next() {
                Some((_, Ok(call))) => Reply::json(StatusCode::OK, &calls::InitiatedOut::from(call.as_ref())),
                Some((_, Err(error))) => self.refuse(request.context, &error),
                None => self.refuse(request.context, &Error::internal("a call that was begun is not shown")),
            },
            ("call_list", View::CallPage(calls, total)) => {
                Reply::json(StatusCode::OK, &CallPageOut::new(request, &calls, total))
            }
            ("call_list", View::CallStats(counts)) => {
                Reply::json(StatusCode::OK, &CallStatsOut::new(&counts))
            }
            ("call_list", View::CallTrends(days)) => match calls::trends(request, &days) {
                Ok(days) => Reply::json(StatusCode::OK, &days),
                Err(error) => self.refuse(request.context, &error),
            },
            ("call_get", View::Call(call)) => {
                Reply::json(StatusCode::OK, &CallDetailOut::from(call.as_ref()))
            }
            ("key_list", View::KeysUsed(page)) => {
                let items: Vec<_> = page.items.iter().map(|(key, usage)| KeyOut::new(key, usage)).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("key_get", View::KeyUsed(key, usage)) => Reply::json(StatusCode::OK, &KeyOut::new(&key, &usage)),
            ("key_create", View::KeyCreated(key, secret)) => {
                Reply::json(StatusCode::CREATED, &KeyCreatedOut::new(&key, secret))
                    .with("cache-control", "no-store")
            }
            ("webhook_list", View::Webhooks(page)) => {
                let items: Vec<_> = page.items.iter().map(|webhook| WebhookOut::new(webhook, None)).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("webhook_create", View::Webhook(webhook, secret)) => {
                Reply::json(StatusCode::CREATED, &WebhookOut::new(&webhook, secret))
                    .with("cache-control", "no-store")
            }
            ("webhook_get" | "webhook_update", View::Webhook(webhook, secret)) => {
                Reply::json(StatusCode::OK, &WebhookOut::new(&webhook, secret))
                    .with("cache-control", "no-store")
            }
            ("webhook_deliveries", View::Deliveries(page)) => {
                let items: Vec<_> = page.items.iter().map(DeliveryOut::from).collect();
                Reply::json(StatusCode::OK, &items)
            }
            ("webhook_retry", View::Delivery(delivery)) => {
                Reply::json(StatusCode::ACCEPTED, &DeliveryOut::from(delivery.as_ref()))
            }
            ("endpoint_delete" | "call_delete" | "key_delete" | "webhook_delete", View::Done) => {
                Reply::empty(StatusCode::NO_CONTENT)
            }
            (verb, _) => {
                self.refuse(request.context, &Error::internal(format!("no view of krosai's {verb}")))
            }
        }
    }
}
