//! Stub, being written.
use crate::{Context, Dialect, Endpoint, Reply, Request};
use domain::error::{Error, Result};
use domain::key::Mode;
use domain::{Op, View};
use http::{HeaderMap, StatusCode};

/// Stub.
#[derive(Debug)]
pub struct Neo;

impl Dialect for Neo {
    fn name(&self) -> &'static str { "neo" }
    fn endpoints(&self) -> &'static [Endpoint] { &[] }
    fn claims(&self, _path: &str) -> Option<usize> { None }
    fn credential(&self, headers: &HeaderMap) -> Result<Option<String>> { crate::bearer_or_api_key(headers) }
    fn key(&self, secret: &str, _mode: Mode) -> String { secret.to_owned() }
    fn decode(&self, _request: &Request<'_>) -> Result<Op> { Err(Error::internal("stub")) }
    fn encode(&self, _request: &Request<'_>, _view: View) -> Reply { Reply::empty(StatusCode::NOT_IMPLEMENTED) }
    fn refuse(&self, _context: &Context, _error: &Error) -> Reply { Reply::empty(StatusCode::NOT_IMPLEMENTED) }
    fn openapi(&self) -> serde_json::Value { serde_json::Value::Null }
}
