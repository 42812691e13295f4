//! The demo's HTTP client: what a user would do with curl.

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;

/// Speaks to one service.
pub(super) struct Client {
    base: String,
    http: reqwest::Client,
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) header: (&'static str, String),
    pub(super) organization: Option<&'a str>,
    pub(super) body: Option<Value>,
}

impl Client {
    pub(super) fn new(base: String) -> anyhow::Result<Self> {
        Ok(Self { base, http: crate::outgoing::client()? })
    }

    /// Sends a request; any status but 2xx is an error that shows the answer.
    pub(super) async fn send(&self, request: Request<'_>) -> anyhow::Result<Value> {
        let Request { method, path, header: (name, value), organization, body } = request;
        let mut sent = self.http.request(method.clone(), format!("{}{path}", self.base)).header(name, value);
        if let Some(id) = organization {
            sent = sent.header("x-organization-id", id);
        }
        if let Some(body) = body {
            sent = sent.json(&body);
        }
        let reply = sent.send().await.with_context(|| format!("{method} {path}"))?;
        let status = reply.status();
        let text = reply.text().await.with_context(|| format!("{method} {path}"))?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {text}");
        }
        if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(&text).with_context(|| format!("{method} {path}"))
        }
    }

    /// The native API with a key, for an organization.
    pub(super) async fn native(
        &self,
        key: &str,
        organization: Option<&str>,
        call: (Method, &str, Option<Value>),
    ) -> anyhow::Result<Value> {
        let (method, path, body) = call;
        let header = ("authorization", format!("Bearer {key}"));
        self.send(Request { method, path: &format!("/api/v1{path}"), header, organization, body }).await
    }
}

/// A text field of an answer.
pub(super) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("the answer has no `{field}`: {value}"))
}
