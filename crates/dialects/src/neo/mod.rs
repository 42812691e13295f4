//! Neo's API: the phone numbers of the tenant, as one whole list in an envelope. Read-only: settings are written elsewhere and
//! given back untouched. A number's id is an integer; every answer tells the limits. Keys are made and replaced by people who
//! have signed in, never by keys.

mod country;
mod error;
mod keys;
mod wire;

use std::sync::OnceLock;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::number::NumberQuery;
use domain::view::NumberView;
use domain::{Op, Page, Paged, View};
use http::{HeaderMap, Method, StatusCode};

use crate::openapi::{Document, Operation, Shape};
use crate::{Context, Dialect, Endpoint, Reply, Request, bearer, under};
use keys::{KeyCreatedOut, KeyIn};
use wire::{ErrorEnvelopeOut, MetaOut, NumberOut, NumbersOut, PaginationOut};

/// Neo's API.
#[derive(Debug)]
pub struct Neo;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));
const KEY_WRITE: Option<Scope> = Some(Scope::write(Area::Keys));

/// The list has no pages in the contract; beyond this many rows it is cut, newest first, and `warnings` says so.
const LIST_MAX: u32 = 10_000;
/// 1,200 requests in 60 seconds for a tenant, all its keys together.
const RATE: (u32, u32) = (1_200, 60);
/// The answers that the contract lists besides 200, and the one for a store that is away.
const REFUSALS: [u16; 9] = [400, 401, 403, 404, 409, 422, 429, 500, 503];

static ENDPOINTS: [Endpoint; 4] = [
    Endpoint { method: Method::GET, path: "/public-api/phone/numbers", verb: "number_list", scope: READ },
    Endpoint { method: Method::POST, path: "/public-api/api-keys", verb: "key_create", scope: KEY_WRITE },
    Endpoint {
        method: Method::POST,
        path: "/public-api/api-keys/{key_id}/rotate",
        verb: "key_rotate",
        scope: KEY_WRITE,
    },
    Endpoint { method: Method::GET, path: "/public-api/openapi.json", verb: "document", scope: None },
];

impl Dialect for Neo {
    fn name(&self) -> &'static str {
        "neo"
    }

    fn endpoints(&self) -> &'static [Endpoint] {
        &ENDPOINTS
    }

    fn claims(&self, path: &str) -> Option<usize> {
        under(path, "/public-api")
    }

    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> {
        Ok(bearer(headers))
    }

    fn key(&self, secret: &str, mode: Mode) -> String {
        let environment = match mode {
            Mode::Live => "prod",
            Mode::Test => "test",
        };
        format!("neo_sk_{environment}_{secret}")
    }

    fn deviations(&self) -> &'static [&'static str] {
        &[
            "Operations: the list of numbers, making and rotating API keys, and this API's own document.",
            "API keys are made and rotated with the token of an owner or admin (`[[issuers]]`); a key is refused with 403. Making one is 201, rotating one 200. `id` is a UUID, as in the native API, which also lists and revokes them.",
            "A rotated key gets a successor with an id of its own and the same end; the key itself works 24 hours more, or until its own end if that is sooner. A key that has ended, or was rotated before, is 409, a revoked one 404.",
            "`GET /public-api/openapi.json` is this service's document of the API and is read without a key, since the vendor's security is per operation and the document holds nothing of a tenant.",
            "`country` is one of the contract's five literals where it can be; any other country is `[ISO code, \"+\" and calling code, null, null]`.",
            "`minutes_used_this_month` counts each begun minute of each call, by calendar month in UTC; it is never null.",
            "The whole list is one page of at most 10,000 numbers; beyond that `meta.warnings` says so.",
            "Only active numbers are `ACTIVE`; released and deleted ones are not listed.",
            "1,200 requests a minute per organization, refilled evenly. A stranger's answer shows the whole allowance.",
        ]
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        match request.endpoint.verb {
            "number_list" => {
                let query = NumberQuery { with_minutes: true, ..NumberQuery::default() };
                Ok(Op::NumberList(query, Page::first(LIST_MAX)))
            }
            "key_create" => keys::create(request),
            "key_rotate" => keys::rotate(request),
            verb => Err(Error::internal(format!("neo has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        match (request.endpoint.verb, view) {
            ("number_list", View::Numbers(page)) => {
                let reply = Reply::json(StatusCode::OK, &numbers(page, request.context));
                error::limited(reply, request.context)
            }
            ("key_create", View::KeyCreated(key, secret)) => {
                keys::reply(StatusCode::CREATED, &key, secret, request.context)
            }
            ("key_rotate", View::KeyCreated(key, secret)) => {
                keys::reply(StatusCode::OK, &key, secret, request.context)
            }
            (verb, _) => self.refuse(request.context, &Error::internal(format!("no view of neo's {verb}"))),
        }
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn open(&self, endpoint: &Endpoint, context: &Context) -> Option<Reply> {
        static DOCUMENT: OnceLock<Vec<u8>> = OnceLock::new();
        let document = || DOCUMENT.get_or_init(|| Reply::json(StatusCode::OK, &self.openapi()).body);
        let reply = || Reply { body: document().clone(), ..Reply::empty(StatusCode::OK) };
        (endpoint.verb == "document").then(|| error::limited(reply(), context))
    }

    fn openapi(&self) -> serde_json::Value {
        let told = |operation: Operation| {
            operation
                .answer_header("X-RateLimit-Limit", "Requests per window.")
                .answer_header("X-RateLimit-Remaining", "Requests left in it.")
                .answer_header("X-RateLimit-Reset", "When it ends, in unix seconds.")
        };
        let limited = |operation: Operation| told(operation).refuses(&REFUSALS);
        let operation = |endpoint: &Endpoint| match endpoint.verb {
            "number_list" => {
                limited(Operation::new("Lists the phone numbers of the tenant.").tag("Phone Agent").answer(
                    200,
                    "All of them, newest first.",
                    Shape::of::<NumbersOut>(),
                ))
            }
            "key_create" => limited(
                Operation::new(
                    "Makes an API key. For owners and admins who have signed in; a key is refused.",
                )
                .tag("API keys")
                .refuses(&[413])
                .body(Shape::of::<KeyIn>())
                .answer(
                    201,
                    "The key; its secret is shown this once.",
                    Shape::of::<KeyCreatedOut>(),
                ),
            ),
            "key_rotate" => limited(
                Operation::new("Puts a new key in the place of one, which works 24 hours more.")
                    .tag("API keys")
                    .refuses(&[413])
                    .answer(200, "The new key; its secret is shown this once.", Shape::of::<KeyCreatedOut>()),
            ),
            _ => told(Operation::new("This document.").tag("Meta").open().answer(
                200,
                "An OpenAPI document.",
                Shape::inline(serde_json::json!({"type": "object"})),
            )),
        };
        let document =
            Document::new("Neo's API on Trunkline", "1.0.0", "Phone numbers and API keys of a tenant.")
                .bearer()
                .path_parameter(
                    "key_id",
                    "The key's id.",
                    Shape::inline(serde_json::json!({"type": "string", "format": "uuid"})),
                )
                .refusal("application/json", Shape::of::<ErrorEnvelopeOut>());
        ENDPOINTS
            .iter()
            .fold(document, |document, endpoint| document.operation(endpoint, operation(endpoint)))
            .build()
    }

    fn rate_limit(&self) -> Option<(u32, u32)> {
        Some(RATE)
    }
}

fn numbers(page: Paged<NumberView>, context: &Context) -> NumbersOut {
    let Paged { items, more } = page;
    let cut = format!("Only the newest {LIST_MAX} numbers are listed.");
    NumbersOut {
        data: items.into_iter().map(NumberOut::from).collect(),
        meta: MetaOut {
            warnings: if more { vec![cut] } else { Vec::new() },
            // There is no cursor to go on with, so there is no more: the two must agree for a client that loops.
            ..MetaOut::new(context, Some(PaginationOut { next_cursor: None, has_more: false }))
        },
    }
}
