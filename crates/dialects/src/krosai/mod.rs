//! KrosAI's API: phone numbers under `/v1/phone-numbers`, and the refusal of every other `/v1/…` path that PolyAI does not
//! claim. Lists are bare arrays; ids are UUIDs; output is in `snake_case`.

mod error;
mod openapi;
mod read;
mod wire;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::{Op, View};
use http::{HeaderMap, Method, StatusCode};

use crate::{Context, Dialect, Endpoint, Reply, Request, bearer_or_api_key, under};
use wire::{AvailableOut, NumberDetailOut, NumberOut, ReleasedOut};

/// KrosAI's API.
#[derive(Debug)]
pub struct KrosAi;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));
const WRITE: Option<Scope> = Some(Scope::write(Area::Numbers));
const NUMBERS: &str = "/v1/phone-numbers";
const NUMBER: &str = "/v1/phone-numbers/{id}";

static ENDPOINTS: [Endpoint; 5] = [
    Endpoint { method: Method::GET, path: NUMBERS, verb: "number_list", scope: READ },
    Endpoint { method: Method::POST, path: NUMBERS, verb: "number_buy", scope: WRITE },
    Endpoint { method: Method::GET, path: NUMBER, verb: "number_get", scope: READ },
    Endpoint { method: Method::PATCH, path: NUMBER, verb: "number_update", scope: WRITE },
    Endpoint { method: Method::DELETE, path: NUMBER, verb: "number_delete", scope: WRITE },
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
            "Operations: phone numbers. Endpoints, calls, webhooks and API keys are not served yet.",
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
            verb => Err(Error::internal(format!("krosai has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
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

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn openapi(&self) -> serde_json::Value {
        openapi::document(&ENDPOINTS)
    }
}
