//! Neo's API: the phone numbers of the tenant, as one whole list in an envelope. Read-only: settings are written elsewhere and
//! given back untouched. Ids are integers; every answer tells the limits.

mod country;
mod error;
mod wire;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::number::NumberQuery;
use domain::view::NumberView;
use domain::{Op, Page, Paged, View};
use http::{HeaderMap, Method, StatusCode};

use crate::openapi::{Document, Operation, Shape};
use crate::{Context, Dialect, Endpoint, Reply, Request, bearer, under};
use wire::{ErrorEnvelopeOut, MetaOut, NumberOut, NumbersOut, PaginationOut};

/// Neo's API.
#[derive(Debug)]
pub struct Neo;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));

/// The list has no pages in the contract; beyond this many rows it is cut, newest first, and `warnings` says so.
const LIST_MAX: u32 = 10_000;
/// 1,200 requests in 60 seconds for a tenant, all its keys together.
const RATE: (u32, u32) = (1_200, 60);
/// The answers that the contract lists besides 200, and the one for a store that is away.
const REFUSALS: [u16; 9] = [400, 401, 403, 404, 409, 422, 429, 500, 503];

static ENDPOINTS: [Endpoint; 1] =
    [Endpoint { method: Method::GET, path: "/public-api/phone/numbers", verb: "number_list", scope: READ }];

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
            "Operations: the list of numbers. API keys are made by the operator.",
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
            verb => Err(Error::internal(format!("neo has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        match (request.endpoint.verb, view) {
            ("number_list", View::Numbers(page)) => {
                let reply = Reply::json(StatusCode::OK, &numbers(page, request.context));
                error::limited(reply, request.context)
            }
            (verb, _) => self.refuse(request.context, &Error::internal(format!("no view of neo's {verb}"))),
        }
    }

    fn refuse(&self, context: &Context, error: &Error) -> Reply {
        error::reply(context, error)
    }

    fn openapi(&self) -> serde_json::Value {
        let [endpoint] = &ENDPOINTS;
        let operation = Operation::new("Lists the phone numbers of the tenant.")
            .tag("Phone Agent")
            .answer(200, "All of them, newest first.", Shape::of::<NumbersOut>())
            .answer_header("X-RateLimit-Limit", "Requests per window.")
            .answer_header("X-RateLimit-Remaining", "Requests left in it.")
            .answer_header("X-RateLimit-Reset", "When it ends, in unix seconds.")
            .refuses(&REFUSALS);
        Document::new("Neo's API on Trunkline", "1.0.0", "Phone numbers of a tenant.")
            .bearer()
            .refusal("application/json", Shape::of::<ErrorEnvelopeOut>())
            .operation(endpoint, operation)
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
            request_id: context.request_id.to_string(),
            timings_ms: std::collections::BTreeMap::new(),
            // There is no cursor to go on with, so there is no more: the two must agree for a client that loops.
            pagination: PaginationOut { next_cursor: None, has_more: false },
            warnings: if more { vec![cut] } else { Vec::new() },
        },
    }
}
