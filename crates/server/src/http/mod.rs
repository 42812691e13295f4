//! HTTP: the mounted tables of all dialects, and the one way a request takes through them.
//!
//! ```text
//! path → endpoint → credential → caller → right → limit → body → decode → Op → app → View → encode → reply
//! ```
//!
//! Nothing here knows a vendor. What fails before an endpoint is known is refused by the dialect that claims the path.

mod admission;
mod idempotency;
mod limits;
mod routes;
mod service;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use dialects::{Context, Dialect, Endpoint, Reply};
use domain::{Caller, Error, Kind, What};
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::app::{App, Ask};
use crate::clock;
use crate::identity::Identity;
use crate::sim::Sim;
pub(crate) use admission::AdminKey;
use admission::Admission;
use idempotency::{Idempotency, Repeat};
use limits::RateLimits;
use routes::{Found, Routes};
use service::Meter;
pub(crate) use service::{Health, Phase};

/// How long a client may take to send a body.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How much of the body of a refused request is read away, in bytes.
const DISCARD_MAX: usize = 16 << 20;
/// How long the body of a refused request is waited for.
const DISCARD_WAIT_MAX: Duration = Duration::from_secs(2);
/// The longest query string that is read, in bytes.
const QUERY_MAX: usize = 8 * 1024;

/// What the HTTP side needs.
pub(crate) struct Front {
    pub(crate) app: Arc<App>,
    admission: Admission,
    routes: Routes,
    limits: RateLimits,
    idempotency: Idempotency,
}

impl Front {
    /// Mounts every dialect.
    pub(crate) fn new(app: Arc<App>, admin: AdminKey, identity: Identity) -> Self {
        let admission = Admission::new(admin, identity);
        let (limits, idempotency) = (RateLimits::of_dialects(), Idempotency::default());
        Self { app, admission, routes: Routes::mount(), limits, idempotency }
    }
}

/// The whole service as a router: health, metrics and documents by axum, all else by the dialects' tables. A simulation's
/// paths are there only where there is one.
pub(crate) fn router(front: Arc<Front>, health: Arc<Health>, sim: Option<Arc<Sim>>) -> Router {
    let router = service::router(health);
    let router = match sim {
        Some(sim) => router.merge(crate::sim::router(sim)),
        None => router,
    };
    router.fallback(exchange).with_state(front)
}

/// Takes one request through its dialect.
async fn exchange(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let began = clock::instant();
    let (dialect, known, path, allow) = match front.routes.find(&head.method, head.uri.path()) {
        Found::Endpoint(dialect, known, path) => (dialect, Some(known), path, None),
        Found::Method(dialect, allow) => (dialect, None, Vec::new(), Some(allow)),
        Found::Nothing(dialect) => (dialect, None, Vec::new(), None),
    };
    let mut context = Context { request_id: clock::id(), headers: head.headers, limits: None };
    let from = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let incoming =
        Incoming { other_methods: allow.is_some(), query: head.uri.query().unwrap_or(""), path, from };
    let endpoint = known.map(|(endpoint, _)| endpoint);
    let outcome = without_panic(front.answer((dialect, endpoint), incoming, &mut context, body)).await;
    let reply = outcome.unwrap_or_else(|error| {
        log_refusal(dialect, &context, &error);
        let reply = dialect.refuse(&context, &error);
        // RFC 9110 section 15.5.6: a 405 names the methods that there are.
        match allow.filter(|_| error.kind == Kind::MethodNotAllowed) {
            Some(allow) => reply.with("allow", &allow),
            None => reply,
        }
    });
    match known {
        Some((_, meter)) => meter.count(reply.status, began.elapsed()),
        None => Meter::new(dialect.name(), "none").count(reply.status, began.elapsed()),
    }
    named(response(reply), context.request_id)
}

/// Turns a panic, which is a fault of ours, into an answer: a connection that ends without one tells its client nothing. What a
/// request writes is one commit at its end, and locks are taken over from a panic, so nothing half-done is left behind.
async fn without_panic<T>(work: impl Future<Output = domain::Result<T>>) -> domain::Result<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        let turn = std::panic::AssertUnwindSafe(|| work.as_mut().poll(context));
        std::panic::catch_unwind(turn)
            .unwrap_or_else(|_| Poll::Ready(Err(Error::internal("the request ended in a panic"))))
    })
    .await
}

/// Every answer names its request, in all dialects alike, whatever a vendor's own way of saying it is.
fn named(mut response: Response, request_id: uuid::Uuid) -> Response {
    if let Ok(value) = HeaderValue::from_str(&request_id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// What is known of a request before its body.
struct Incoming<'a> {
    /// Whether the path takes any method at all.
    other_methods: bool,
    query: &'a str,
    path: Vec<(&'static str, String)>,
    /// The other end of the connection.
    from: Option<IpAddr>,
}

impl Front {
    /// Takes a request outside all tables: only the operator is answered, and refusals are the native API's.
    pub(crate) async fn operator_exchange<F>(
        &self,
        request: Request,
        body_max: usize,
        answer: impl FnOnce(Vec<u8>) -> F + Send,
    ) -> Response
    where
        F: Future<Output = domain::Result<Reply>> + Send,
    {
        let (head, body) = request.into_parts();
        let native = &dialects::native::Native;
        let from = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let context = Context { request_id: clock::id(), headers: head.headers, limits: None };
        let caller = self.admission.caller(&self.app, native, &context, from).await;
        let outcome = match caller.and_then(|caller| caller.require_operator()) {
            Ok(()) => match read_body(body, body_max).await {
                Ok(body) => answer(body).await,
                Err(error) => Err(error),
            },
            Err(error) => {
                discard(body).await;
                Err(error)
            }
        };
        let reply = outcome.unwrap_or_else(|error| {
            log_refusal(native, &context, &error);
            native.refuse(&context, &error)
        });
        named(response(reply), context.request_id)
    }

    async fn answer(
        &self,
        (dialect, endpoint): (&'static dyn Dialect, Option<&'static Endpoint>),
        incoming: Incoming<'_>,
        context: &mut Context,
        body: Body,
    ) -> domain::Result<Reply> {
        self.limits.announce(dialect, context);
        if let Some(reply) = endpoint.and_then(|endpoint| dialect.open(endpoint, context)) {
            discard(body).await;
            return Ok(reply);
        }
        let (caller, endpoint) = match self.admit((dialect, endpoint), &incoming, context).await {
            Ok(admitted) => admitted,
            Err(error) => {
                discard(body).await;
                return Err(error);
            }
        };
        let body = read_body(body, dialect.body_max(endpoint)).await?;
        let query = routes::query(incoming.query, QUERY_MAX)?;
        let now = clock::now();
        let request = dialects::Request {
            endpoint,
            path: incoming.path,
            query,
            body: &body,
            caller: &caller,
            now,
            context,
        };
        self.perform(dialect, &request).await
    }

    /// What is settled before the body is read. Who asks comes first: a stranger learns nothing, not even which paths there are.
    async fn admit(
        &self,
        (dialect, endpoint): (&'static dyn Dialect, Option<&'static Endpoint>),
        incoming: &Incoming<'_>,
        context: &mut Context,
    ) -> domain::Result<(Caller, &'static Endpoint)> {
        let caller = self.admission.caller(&self.app, dialect, context, incoming.from).await?;
        let plan = caller.organization_id.and_then(|id| self.app.live.plan(id, dialect.name()));
        self.limits.take(dialect, &caller, plan, context)?;
        let endpoint = endpoint.ok_or_else(|| {
            let (kind, words) = if incoming.other_methods {
                (Kind::MethodNotAllowed, "This path does not take that method.")
            } else {
                (Kind::NotFound, "There is no such path.")
            };
            Error::new(kind, What::Route, words)
        })?;
        if let Some(scope) = endpoint.scope {
            caller.require(scope)?;
        }
        Ok((caller, endpoint))
    }

    /// Decodes and runs a request; a POST that names an idempotency key is run once.
    async fn perform(
        &self,
        dialect: &'static dyn Dialect,
        request: &dialects::Request<'_>,
    ) -> domain::Result<Reply> {
        let repeat = self.idempotency.begin(&self.app, request)?;
        let ticket = match repeat {
            Repeat::None => None,
            Repeat::First(ticket) => Some(ticket),
            Repeat::Again(reply) => return Ok(reply),
        };
        let op = dialect.decode(request)?;
        let keep = |view: &domain::View| {
            let reply = dialect.encode(request, view.clone());
            idempotency::kept(
                &self.app,
                ticket.as_ref().expect("only called with a ticket"),
                &reply,
                request.now,
            )
        };
        let ask = Ask {
            caller: request.caller,
            now: request.now,
            keep: ticket.as_ref().map(|_| &keep as _),
            slot: ticket.as_ref().map(idempotency::Ticket::slot),
        };
        let outcome = self.app.run(ask, op).await;
        match (outcome, &ticket) {
            (Ok(view), None) => Ok(dialect.encode(request, view)),
            (Ok(view), Some(ticket)) => {
                let reply = dialect.encode(request, view);
                self.idempotency.finish(&self.app, ticket, &reply, request.now).await?;
                Ok(reply)
            }
            (Err(error), Some(ticket)) if idempotency::keeps(error.kind) => {
                let reply = dialect.refuse(request.context, &error);
                self.idempotency.finish(&self.app, ticket, &reply, request.now).await?;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Reads away the body of a request that is refused for other reasons, as far as an ordinary one goes: a connection with an
/// unread body can only be closed, which a client that keeps it for its next request sees as a fault.
async fn discard(mut body: Body) {
    let read = async {
        let mut left = DISCARD_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len))?;
        }
        Some(())
    };
    if !matches!(tokio::time::timeout(DISCARD_WAIT_MAX, read).await, Ok(Some(()))) {
        tracing::debug!("the body of a refused request was not read to its end");
    }
}

async fn read_body(body: Body, max: usize) -> domain::Result<Vec<u8>> {
    let too_large = || {
        let words = format!("The body is larger than {max} bytes.");
        Error::new(Kind::TooLarge, What::Request, words)
    };
    if http_body::Body::size_hint(&body).lower() > max as u64 {
        discard(body).await;
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_large()),
        Ok(Err(error)) => {
            let words = "The body could not be read to its end.";
            Err(Error::new(Kind::Malformed, What::Request, words).because(error.to_string()))
        }
        Err(_) => Err(Error::new(Kind::Malformed, What::Request, "The body took too long to arrive.")),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Each refusal is logged once, here, with its cause; what the caller did wrong is no warning of ours.
fn log_refusal(dialect: &dyn Dialect, context: &Context, error: &Error) {
    let (dialect, request_id) = (dialect.name(), context.request_id);
    match error.kind {
        Kind::Internal | Kind::Unavailable => {
            tracing::error!(dialect, %request_id, kind = ?error.kind, cause = error.for_log(), "request failed");
        }
        _ => tracing::debug!(dialect, %request_id, kind = ?error.kind, what = ?error.what, "request refused"),
    }
}

fn response(reply: Reply) -> Response {
    let Reply { status, headers, content_type, body } = reply;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    if !body.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        *response.body_mut() = Body::from(body);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_fault_of_ours_and_not_the_end() {
        let error = without_panic::<()>(async {
            tokio::task::yield_now().await;
            panic!("a test")
        });
        assert_eq!(error.await.unwrap_err().kind, Kind::Internal);
        assert_eq!(without_panic(async { Ok(7) }).await.unwrap(), 7);
    }
}
