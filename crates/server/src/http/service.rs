//! What belongs to no dialect: health, metrics, the API documents.

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, extract::Extension};
use http::{StatusCode, header};
use metrics::{Counter, Gauge, Histogram, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Front;
use crate::clock;
use crate::journal::Journal;
use crate::live::Live;

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Finishing; new work goes elsewhere.
    Draining,
}

/// What health and metrics answer.
pub(crate) struct Health {
    phase: AtomicU8,
    metrics: PrometheusHandle,
    /// What is looked at when it is asked for, once it is there.
    watched: OnceLock<Watched>,
}

struct Watched {
    live: Arc<Live>,
    journal: Arc<Journal>,
    waiting: Gauge,
}

impl Health {
    pub(crate) fn new(metrics: PrometheusHandle) -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), metrics, watched: OnceLock::new() }
    }

    /// From now on the table and the journal are told of too.
    pub(crate) fn watch(&self, live: Arc<Live>, journal: Arc<Journal>) {
        let (waiting, most) = (gauge!("trunkline_journal_bytes"), gauge!("trunkline_journal_bytes_max"));
        metrics::describe_gauge!("trunkline_journal_bytes", "Bytes of call records that wait for the store");
        metrics::describe_gauge!(
            "trunkline_journal_bytes_max",
            "The most that may wait; from nine tenths on, new calls are refused"
        );
        most.set(float(journal.bytes_max()));
        // It is told once, at start.
        self.watched.get_or_init(|| Watched { live, journal, waiting });
    }

    /// How the table stands and what waits, as of now; the metrics are brought up to date by it.
    fn look(&self) -> Option<serde_json::Value> {
        let Watched { live, journal, waiting } = self.watched.get()?;
        let (stands, bytes) = (live.stands(clock::instant()), journal.waiting());
        waiting.set(float(bytes));
        Some(serde_json::json!({
            "store": if stands.up { "up" } else { "away" },
            "table": {
                "generation": stands.generation.0,
                "newest": stands.newest.0,
                "behind": stands.behind(),
                "age_seconds": stands.age.as_secs(),
            },
            "journal": { "bytes": bytes, "bytes_max": journal.bytes_max(), "full": journal.full() },
        }))
    }

    /// Enters a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn ready(&self) -> bool {
        self.phase.load(Ordering::Acquire) == Phase::Ready as u8
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; the journal is smaller than 2^52 bytes")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

/// Health, metrics and documents.
pub(super) fn router(health: Arc<Health>) -> Router<Arc<Front>> {
    Router::new()
        .route("/health/live", get(|| async { Json(serde_json::json!({"status": "live"})) }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics_text))
        .route("/openapi/{file}", get(document))
        .route("/api/v1/openapi/{file}", get(document))
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/docs", get(docs))
        .route("/api/v1/docs", get(docs))
        .layer(Extension(health))
}

/// Ready as long as calls are carried: a store that is away, or a table that is behind, is told of and no reason to send calls
/// elsewhere, where it would be the same.
async fn ready(Extension(health): Extension<Arc<Health>>) -> Response {
    let (status, word) = if health.ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mut body = health.look().unwrap_or_else(|| serde_json::json!({}));
    body["status"] = word.into();
    (status, Json(body)).into_response()
}

async fn metrics_text(Extension(health): Extension<Arc<Health>>) -> Response {
    health.look();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], health.metrics.render()).into_response()
}

async fn document(Path(file): Path<String>) -> Response {
    match file.strip_suffix(".json").and_then(dialects::by_name) {
        Some(dialect) => Json(dialect.openapi()).into_response(),
        None => (StatusCode::NOT_FOUND, Json(serde_json::json!({"error": "There is no such document."})))
            .into_response(),
    }
}

/// A page of every operation, from the dialects' tables; no script, nothing fetched.
async fn docs() -> Html<String> {
    let mut page = String::from(include_str!("docs.html"));
    for dialect in dialects::all() {
        let name = dialect.name();
        write!(page, "<h2 id=\"{name}\">{name} <a href=\"/openapi/{name}.json\">OpenAPI</a></h2><table>")
            .expect("a String takes any text");
        for endpoint in dialect.endpoints() {
            let scope = endpoint.scope.map(|s| s.to_string()).unwrap_or_default();
            let (method, path, verb) = (&endpoint.method, endpoint.path, endpoint.verb.replace('_', " "));
            write!(
                page,
                "<tr><td>{method}</td><td><code>{path}</code></td><td>{verb}</td><td>{scope}</td></tr>"
            )
            .expect("a String takes any text");
        }
        page.push_str("</table>");
    }
    page.push_str("</main></html>");
    Html(page)
}

/// Counts the requests of one operation. What a request is counted in is looked up by its labels once, not each time.
pub(super) struct Meter {
    dialect: &'static str,
    operation: &'static str,
    /// By the status's first digit, made when it is first answered.
    requests: [OnceLock<Counter>; STATUSES.len()],
    seconds: OnceLock<Histogram>,
}

const STATUSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Meter {
    pub(super) const fn new(dialect: &'static str, operation: &'static str) -> Self {
        Self {
            dialect,
            operation,
            requests: [const { OnceLock::new() }; STATUSES.len()],
            seconds: OnceLock::new(),
        }
    }

    /// Counts a request.
    pub(super) fn count(&self, status: StatusCode, took: Duration) {
        let (dialect, operation) = (self.dialect, self.operation);
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(STATUSES.len() - 1);
        let requests = self.requests[class].get_or_init(|| {
            metrics::counter!("trunkline_http_requests_total", "dialect" => dialect, "operation" => operation, "status" => STATUSES[class])
        });
        requests.increment(1);
        let seconds = self
            .seconds
            .get_or_init(|| metrics::histogram!("trunkline_http_request_seconds", "dialect" => dialect));
        seconds.record(took);
    }
}
