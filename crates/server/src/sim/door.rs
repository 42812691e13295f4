//! The way in: `/sim/…`, under the operator's key, with the native API's problem documents.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use dialects::Reply;
use domain::{Error, Kind, Result, What};
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use super::body::Body;
use super::{Sim, clock as sim_clock};
use crate::clock;
use crate::http::Front;

/// The largest body, in bytes.
const BODY_MAX: usize = 64 << 10;

/// The simulation's paths.
pub(crate) fn router(sim: Arc<Sim>) -> Router<Arc<Front>> {
    let take =
        move |State(front): State<Arc<Front>>, request: Request| exchange(front, Arc::clone(&sim), request);
    Router::new().route("/sim", any(take.clone())).route("/sim/{*rest}", any(take))
}

async fn exchange(front: Arc<Front>, sim: Arc<Sim>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = |body: Vec<u8>| async move { sim.answer(&method, &path, &body) };
    front.operator_exchange(request, BODY_MAX, answer).await
}

impl Sim {
    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Result<Reply> {
        let segments: Vec<_> = path.trim_start_matches("/sim").split('/').filter(|s| !s.is_empty()).collect();
        match (segments.as_slice(), method.as_str()) {
            (["clock"], "GET") => Ok(self.clock_reply()),
            (["clock"], "POST") => self.clock_move(body),
            (["clock"], _) => {
                Err(Error::new(Kind::MethodNotAllowed, What::Route, "This path does not take that method."))
            }
            _ => Err(Error::new(Kind::NotFound, What::Route, "There is no such path.")),
        }
    }

    fn clock_reply(&self) -> Reply {
        let moved = self.clock.moved().as_secs();
        Reply::json(StatusCode::OK, &json!({"now": clock::now().to_string(), "moved_seconds": moved}))
    }

    fn clock_move(&self, body: &[u8]) -> Result<Reply> {
        let mut body = Body::read(body)?;
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
}
