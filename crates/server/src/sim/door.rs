//! The way in: `/sim/…`, under the operator's key, with the native API's problem documents.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use dialects::Reply;
use domain::e164::NumberType;
use domain::ids::OrganizationId;
use domain::number::Network;
use domain::organization::Kyc;
use domain::{Error, Kind, Result, What};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::body::Body;
use super::network::{Ring, busy};
use super::twilio::{self, ApiReply, ApiRequest};
use super::{Sim, carrier, clock as sim_clock, kyc};
use crate::clock;
use crate::http::Front;

/// The largest body, in bytes.
const BODY_MAX: usize = 64 << 10;
/// The most numbers that are put on sale at a time.
const STOCK_MAX: u64 = 1_000;
/// The longest that a call can be held or let ring, in seconds.
const CALL_MAX: u64 = 3_600;
/// Who calls where nobody is named.
const CALLER: &str = "+12125550199";

/// The simulation's paths.
pub(crate) fn router(sim: Arc<Sim>) -> Router<Arc<Front>> {
    let take =
        move |State(front): State<Arc<Front>>, request: Request| exchange(front, Arc::clone(&sim), request);
    Router::new().route("/sim", any(take.clone())).route("/sim/{*rest}", any(take))
}

async fn exchange(front: Arc<Front>, sim: Arc<Sim>, request: Request) -> Response {
    let of_twilio = request.uri().path().strip_prefix("/sim/twilio/").map(str::to_owned);
    if let Some(path) = of_twilio.filter(|path| twilio::is_api(path)) {
        return twilio_exchange(&sim, &path, request).await;
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = |body: Vec<u8>| async move { sim.answer(&method, &path, &body).await };
    front.operator_exchange(request, BODY_MAX, answer).await
}

/// A request to the simulated Twilio's own APIs, which have keys of their own.
async fn twilio_exchange(sim: &Sim, path: &str, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = head.uri.query().unwrap_or("");
    let asked = ApiRequest { method: &head.method, path, query, headers: &head.headers, body: &body };
    let ApiReply { status, retry_after, body } = sim.twilio.api(asked).await;
    let mut response =
        body.map_or_else(|| status.into_response(), |body| (status, axum::Json(body)).into_response());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

impl Sim {
    async fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Result<Reply> {
        let segments: Vec<_> = path.trim_start_matches("/sim").split('/').filter(|s| !s.is_empty()).collect();
        match (method.as_str(), segments.as_slice()) {
            ("GET", []) => Ok(self.about()),
            ("GET", ["clock"]) => Ok(self.clock_reply()),
            ("POST", ["clock"]) => self.clock_move(Body::read(body)?),
            ("GET", ["carrier"]) => self.app.simulated.control("GET", "/books", &[]).await,
            ("POST", ["stock"]) => self.stock(Body::read(body)?).await,
            ("POST", ["purchases"]) => self.app.simulated.control("POST", "/purchases", body).await,
            ("POST", ["purchases", number, "settle"]) => self.settle(number, body).await,
            ("POST", ["kyc"]) => self.kyc(Body::read(body)?).await,
            ("POST", ["calls"]) => self.call(Body::read(body)?),
            ("GET", ["calls", id]) => self.call_get(id),
            (_, ["twilio", rest @ ..]) => self.twilio.control(method, rest, body),
            (
                _,
                []
                | ["clock" | "carrier" | "stock" | "purchases" | "kyc" | "calls"]
                | ["purchases", _, "settle"]
                | ["calls", _],
            ) => Err(Error::new(Kind::MethodNotAllowed, What::Route, "This path does not take that method.")),
            _ => Err(Error::new(Kind::NotFound, What::Route, "There is no such path.")),
        }
    }

    /// What there is.
    fn about(&self) -> Reply {
        let agent = self.agents.address();
        let source = self.app.network.source().map(|at| at.to_string());
        let kinds = carriers::simulated::numbers::kinds();
        let sold = kinds.map(|(country, kind)| json!({"country": country.as_str(), "type": kind.as_str()}));
        ok(&json!({
            "now": clock::now().to_string(),
            "seed": self.seed,
            "agents": {"address": agent.to_string(), "echo": format!("sip:echo@{agent}")},
            "network": {"address": source, "provider_id": domain::ids::ProviderId::SIMULATED.to_string()},
            "stock": sold.collect::<Vec<_>>(),
        }))
    }

    fn clock_reply(&self) -> Reply {
        let moved = self.clock.moved().as_secs();
        ok(&json!({"now": clock::now().to_string(), "moved_seconds": moved}))
    }

    fn clock_move(&self, mut body: Body) -> Result<Reply> {
        let by = body.whole("advance_seconds", 0..=sim_clock::MOVED_MAX.as_secs())?;
        let to = body.time("now")?;
        body.finish()?;
        match (by, to) {
            (Some(seconds), None) => self.clock.advance(Duration::from_secs(seconds))?,
            (None, Some(to)) => self.clock.advance_to(to)?,
            (None, None) => return Err(Error::missing(What::Request, "advance_seconds")),
            (Some(_), Some(_)) => {
                let words = "Send `advance_seconds` or `now`, not both.";
                return Err(Error::invalid(What::Request, "now", words));
            }
        };
        Ok(self.clock_reply())
    }

    async fn stock(&self, mut body: Body) -> Result<Reply> {
        let country = body.country()?.ok_or_else(|| Error::missing(What::Request, "country"))?;
        let kind =
            body.take("type", "local, mobile or toll_free", |v| v.as_str().and_then(NumberType::parse))?;
        let kind = kind.unwrap_or(NumberType::Local);
        let count = body.whole("count", 1..=STOCK_MAX)?.unwrap_or(10);
        let prices =
            ["setup_cost_cents", "monthly_cost_cents"].map(|name| body.whole(name, 0..=1_000_000_000));
        body.finish()?;
        let [setup, monthly] = prices;
        let price = domain::stock::StockPatch {
            setup_cost_cents: setup?.and_then(|cents| i64::try_from(cents).ok()),
            monthly_cost_cents: monthly?.and_then(|cents| i64::try_from(cents).ok()),
            ..Default::default()
        };
        if !carriers::simulated::numbers::kinds().any(|known| known == (country, kind)) {
            let words = "The simulated carrier has no numbers of this country and type; `GET /sim` lists those it has.";
            return Err(Error::invalid(What::Request, "country", words));
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let made = self
            .app
            .stock_offers((country, kind), (Network::Simulated, self.seed, count), clock::now())
            .await?;
        let mut rows = Vec::with_capacity(made.len());
        for stock in made {
            let stock = self.app.stock_priced(stock, price).await?;
            let cents = (stock.setup_cost.cents_floor(), stock.monthly_cost.cents_floor());
            rows.push(json!({
                "id": stock.id.to_string(), "e164": stock.e164.to_string(),
                "setup_cost_cents": cents.0, "monthly_cost_cents": cents.1,
            }));
        }
        Ok(Reply::json(StatusCode::CREATED, &json!({"data": rows})))
    }

    async fn settle(&self, number: &str, body: &[u8]) -> Result<Reply> {
        let reply = self.app.simulated.control("POST", &format!("/purchases/{number}/settle"), body).await?;
        if let Some(number) = carrier::named(number) {
            // The next look would come by itself, a little later.
            self.app.carriage.settle_number(number).await;
        }
        Ok(reply)
    }

    async fn kyc(&self, mut body: Body) -> Result<Reply> {
        let id = body.take("organization_id", "a UUID", |v| v.as_str().and_then(OrganizationId::parse))?;
        let decision =
            body.take("decision", "approved, declined, pending, initiated or not_submitted", |v| {
                v.as_str().and_then(Kyc::parse)
            })?;
        let after = body.whole("after_seconds", 0..=sim_clock::MOVED_MAX.as_secs())?.unwrap_or(0);
        body.finish()?;
        let id = id.ok_or_else(|| Error::missing(What::Request, "organization_id"))?;
        let decision = decision.ok_or_else(|| Error::missing(What::Request, "decision"))?;
        if after == 0 {
            kyc::set(&self.app, id, decision).await?;
        } else {
            kyc::set(&self.app, id, Kyc::Pending).await?;
            let after = jiff::SignedDuration::from_secs(i64::try_from(after).unwrap_or(i64::MAX));
            let at = clock::now().checked_add(after).map_err(|error| Error::internal(error.to_string()))?;
            self.decisions.keep(id, decision, at)?;
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    fn call(&self, mut body: Body) -> Result<Reply> {
        let to = body
            .take("to", "a number to dial", dialled)?
            .ok_or_else(|| Error::missing(What::Request, "to"))?;
        let from = body.take("from", "a number that calls", dialled)?.unwrap_or_else(|| CALLER.to_owned());
        let hold = Duration::from_secs(body.whole("hold_seconds", 0..=CALL_MAX)?.unwrap_or(1));
        let patience = Duration::from_secs(body.whole("ring_seconds", 1..=CALL_MAX)?.unwrap_or(60));
        let transport = body.take("via", "udp or tcp", |v| match v.as_str()? {
            "udp" => Some(sip::Transport::Udp),
            "tcp" => Some(sip::Transport::Tcp),
            _ => None,
        })?;
        body.finish()?;
        if !self.app.network.reaches(transport) {
            return Err(Error::invalid(
                What::Request,
                "via",
                "`via` names a transport that no listener takes.",
            ));
        }
        let id = self.app.network.begin(Ring { to, from, hold, patience, transport }).ok_or_else(busy)?;
        Ok(Reply::json(StatusCode::ACCEPTED, &json!({"id": id.to_string()})))
    }

    fn call_get(&self, id: &str) -> Result<Reply> {
        let found = Uuid::try_parse(id).ok().and_then(|id| self.app.network.call(id));
        found.map(|call| ok(&call)).ok_or_else(|| Error::not_found(What::Call))
    }
}

fn ok(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body)
}

/// What can stand as a number in a SIP address.
fn dialled(value: &Value) -> Option<String> {
    let text: String = value.as_str()?.chars().filter(|c| !c.is_whitespace()).collect();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (plain && (1..=40).contains(&text.len())).then_some(text)
}
