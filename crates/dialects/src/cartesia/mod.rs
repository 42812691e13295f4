//! Cartesia's API: the lists of phone numbers under `/agents`. Ids are printed `pn_<uuid>` and read with or without the
//! prefix; a managed number is of provider `cartesia`, one on an own trunk of `sip_trunk`.

mod error;
mod openapi;
mod read;
mod wire;

use domain::error::{Error, Result};
use domain::key::{Area, Mode, Scope};
use domain::{Op, View};
use http::{HeaderMap, Method, StatusCode};

use crate::{Context, Dialect, Endpoint, Reply, Request, bearer_or_api_key, under};
use wire::{AgentNumberOut, NumberOut, PageOut};

/// Cartesia's API.
#[derive(Debug)]
pub struct Cartesia;

const READ: Option<Scope> = Some(Scope::read(Area::Numbers));

static ENDPOINTS: [Endpoint; 2] = [
    Endpoint { method: Method::GET, path: "/agents/phone-numbers", verb: "number_list", scope: READ },
    Endpoint {
        method: Method::GET,
        path: "/agents/{agent_id}/phone-numbers",
        verb: "number_list_of_agent",
        scope: READ,
    },
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
            "Operations: the two of the contract pages. Import, provision, providers, agents and calls are not served yet.",
            "`Cartesia-Version`: 2026-03-01 and 2026-08-14; absent reads as 2026-03-01; any other is 404 (decision 4).",
            "A number on a SIP trunk shows `{type: \"sip_trunk\", id, label}` as provider in both versions; the older contract has no such form.",
            "Order: newest first, the same in both directions. A cursor that is no id is 400; both cursors at once are 400; a limit outside 1 to 100 is 400.",
            "`has_more` tells of the direction that was asked for.",
            "409 carries `x-should-retry: false`, so that the vendor's clients do not send it three times.",
        ]
    }

    fn decode(&self, request: &Request<'_>) -> Result<Op> {
        read::version(request)?;
        match request.endpoint.verb {
            "number_list" => read::list(request),
            "number_list_of_agent" => read::list_of_agent(request),
            verb => Err(Error::internal(format!("cartesia has no verb {verb}"))),
        }
    }

    fn encode(&self, request: &Request<'_>, view: View) -> Reply {
        match (request.endpoint.verb, view) {
            ("number_list", View::Numbers(page)) => {
                let data = page.items.into_iter().map(NumberOut::from).collect();
                Reply::json(StatusCode::OK, &PageOut { data, has_more: page.more })
            }
            ("number_list_of_agent", View::Numbers(page)) => {
                let items: Vec<_> = page.items.into_iter().map(AgentNumberOut::from).collect();
                Reply::json(StatusCode::OK, &items)
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
