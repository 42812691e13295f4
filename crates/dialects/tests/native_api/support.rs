//! A request as a client writes it, and what becomes of it.

use dialects::native::Native;
use dialects::{Context, Dialect as _, Endpoint, Reply, Request};
use domain::caller::Actor;
use domain::error::Result;
use domain::ids::{KeyId, OrganizationId};
use domain::key::{Mode, Role};
use domain::{Caller, Op, Timestamp, View};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use uuid::Uuid;

/// An id made of one digit.
pub(crate) fn uuid(digit: u8) -> Uuid {
    Uuid::from_bytes([digit * 0x11; 16])
}

/// The same as text.
pub(crate) fn id(digit: u8) -> String {
    uuid(digit).to_string()
}

/// The time of all tests.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00.25Z".parse().unwrap()
}

/// The holder of a key of organization 1.
pub(crate) fn owner() -> Caller {
    Caller {
        actor: Actor::Key(KeyId(uuid(2))),
        organization_id: Some(OrganizationId(uuid(1))),
        role: Role::Owner,
        scopes: None,
        mode: Mode::Live,
    }
}

/// A request under construction; by default the operator's.
pub(crate) struct Ask {
    line: String,
    endpoint: &'static Endpoint,
    path: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
    caller: Caller,
}

/// `GET /api/v1/agents?limit=1`
pub(crate) fn ask(line: &str) -> Ask {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let literals = |endpoint: &Endpoint| endpoint.path.matches('{').count();
    let mut found: Vec<_> = Native
        .endpoints()
        .iter()
        .filter(|endpoint| endpoint.method == method)
        .filter_map(|endpoint| Some((endpoint, filled(endpoint.path, path)?)))
        .collect();
    // A literal segment wins over a parameter.
    found.sort_by_key(|(endpoint, _)| literals(endpoint));
    let (endpoint, path) = found.into_iter().next().unwrap_or_else(|| panic!("no row for {line}"));
    let query = query.split('&').filter(|pair| !pair.is_empty());
    let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Ask {
        line: line.to_owned(),
        endpoint,
        path,
        query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        caller: Caller::operator(Some(OrganizationId(uuid(1)))),
    }
}

fn filled(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let mut parameters = Vec::new();
    if wanted.len() != given.len() {
        return None;
    }
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => parameters.push((name, given.to_owned())),
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(parameters)
}

impl Ask {
    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub(crate) fn text(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", media)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) fn by(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    pub(crate) fn verb(&self) -> &'static str {
        self.endpoint.verb
    }

    fn with<T>(&self, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let context = Context { request_id: Uuid::nil(), headers: self.headers.clone(), limits: None };
        then(&Request {
            endpoint: self.endpoint,
            path: self.path.clone(),
            query: self.query.clone(),
            body: &self.body,
            caller: &self.caller,
            now: now(),
            context: &context,
        })
    }

    pub(crate) fn op(&self) -> Result<Op> {
        self.with(|request| Native.decode(request))
    }

    pub(crate) fn reply(&self, view: View) -> Reply {
        self.with(|request| Native.encode(request, view))
    }

    /// The refusal of a request that must be refused: `422 invalid field: words`.
    pub(crate) fn refusal(&self) -> String {
        let error = self.op().expect_err(&self.line);
        let reply = self.with(|request| Native.refuse(request.context, &error));
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        let text = |name: &str| problem[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}: {}", reply.status.as_u16(), text("code"), text("field"), text("detail"))
    }

    /// Both directions as text. A resource that was `shown` before is not printed again.
    pub(crate) fn exchange(&self, view: View, shown: &mut Vec<String>) -> String {
        let op = self.op().unwrap_or_else(|error| panic!("{}: {error:?}", self.line));
        let body = String::from_utf8_lossy(&self.body);
        let reply = self.reply(view);
        let mut text = answer(&reply);
        if let Ok(mut value) = serde_json::from_slice::<Value>(&reply.body) {
            let place = if value.pointer("/data/0").is_some() { "/data/0" } else { "" };
            let one = value.pointer_mut(place).unwrap();
            let printed = serde_json::to_string_pretty(one).unwrap();
            if shown.contains(&printed) {
                *one = Value::from("as above");
                text = format!("{}\n{}: {}", head(&reply), reply.content_type, value);
            } else {
                shown.push(printed);
            }
        }
        let asked = format!("{} {body}", self.line);
        format!("{}\n→ {op:?}\n← {text}", asked.trim_end())
    }
}

fn head(reply: &Reply) -> String {
    let mut text = reply.status.as_u16().to_string();
    for (name, value) in &reply.headers {
        text = format!("{text}\n{name}: {}", value.to_str().unwrap());
    }
    text
}

/// An answer as text: status, headers, body.
pub(crate) fn answer(reply: &Reply) -> String {
    if reply.body.is_empty() {
        return head(reply);
    }
    if reply.content_type.starts_with("text/") {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        return format!("{}\n{}: {}", head(reply), reply.content_type, text.replace('\r', ""));
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    format!("{}\n{}: {}", head(reply), reply.content_type, serde_json::to_string_pretty(&body).unwrap())
}
