//! The way in to a simulated carrier in a process of its own: what is asked of it (`carriers::simulated`), and what its operator
//! says ([`super::control`]). On loopback, without keys.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use dialects::{Context, Dialect};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

use super::SimCarrier;
use crate::clock;

/// The largest body, in bytes.
const BODY_MAX: usize = 64 << 10;

/// The carrier's paths.
pub(crate) fn router(carrier: Arc<SimCarrier>) -> Router {
    Router::new().fallback(move |request: Request| exchange(Arc::clone(&carrier), request))
}

async fn exchange(carrier: Arc<SimCarrier>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let method = head.method.as_str();
    if head.uri.path().starts_with("/numbers") {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let (status, body) = carrier.answer(method, path, &body).await;
        return reply(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            "application/json",
            body,
        );
    }
    let answered = carrier.control(method, head.uri.path(), &body).await;
    let answered = answered.unwrap_or_else(|error| {
        let context = Context { request_id: clock::id(), headers: HeaderMap::new(), limits: None };
        dialects::native::Native.refuse(&context, &error)
    });
    reply(answered.status, answered.content_type, answered.body)
}

fn reply(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    if body.is_empty() {
        return status.into_response();
    }
    (status, [(http::header::CONTENT_TYPE, content_type)], body).into_response()
}
