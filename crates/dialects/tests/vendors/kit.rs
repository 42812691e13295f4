//! What the vendors' tests share: requests as text, answers as text, a number, and the contracts as judges.
#![expect(clippy::unwrap_used, reason = "a fixture: what fails here fails the test")]

use dialects::{Context, Dialect, Endpoint, Reply, Request};
use domain::caller::{Actor, Person};
use domain::e164::NumberType;
use domain::error::{Error, Kind, Result, What};
use domain::ids::{AgentId, EndpointId, KeyId, NumberId, OrganizationId, ProviderId, StockId};
use domain::key::{Mode, Role};
use domain::number::{Environment, Status};
use domain::provider::{Credentials, Sealed};
use domain::stock::{Capabilities, StockState};
use domain::view::{NumberView, SipAccess};
use domain::{Bag, Caller, E164, Micros, Number, Op, Stock, Timestamp, View};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const ORGANIZATION: &str = "0190b5b0-0000-7000-8000-000000000001";
pub(crate) const NUMBER: &str = "0190b5b0-0000-7000-8000-000000000002";
pub(crate) const ENDPOINT: &str = "0190b5b0-0000-7000-8000-000000000003";
pub(crate) const STOCK: &str = "0190b5b0-0000-7000-8000-000000000004";
pub(crate) const PROVIDER: &str = "0190b5b0-0000-7000-8000-000000000005";
pub(crate) const REQUEST: &str = "0190b5b0-0000-7000-8000-000000000006";
pub(crate) const OTHER: &str = "0190b5b0-0000-7000-8000-00000000000f";

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00.123456Z".parse().unwrap()
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

/// A number with an endpoint and no agent, bought from stock.
pub(crate) fn number() -> NumberView {
    let (e164, plan) = E164::parse("+14155550100").unwrap();
    let number = Number {
        id: NumberId(uuid(NUMBER)),
        organization_id: OrganizationId(uuid(ORGANIZATION)),
        alias: 7,
        e164,
        country: plan.country,
        kind: plan.kind,
        status: Status::Active,
        label: Some("front desk".into()),
        provider_id: None,
        stock_id: Some(StockId(uuid(STOCK))),
        setup_cost: Micros::from_cents(100).unwrap(),
        monthly_cost: Micros::from_cents(250).unwrap(),
        capabilities: Capabilities { voice: true, sms: true, fax: false },
        endpoint_id: Some(EndpointId(uuid(ENDPOINT))),
        agent_id: None,
        environment: Environment::Live,
        allow_inbound: true,
        allow_outbound: false,
        rules: domain::rules::NumberRules::default(),
        psa_settings: Bag::new(),
        agent_settings: Bag::new(),
        sip_credentials: Credentials { username: "u".into(), password: Sealed(vec![1]) },
        created_at: now(),
        updated_at: now(),
        released_at: None,
        quarantined_until: None,
        network: domain::number::Network::Public,
        rented_until: Some(now()),
        delivered_at: None,
        unpaid: false,
        version: 1,
    };
    let (domain, username) = ("sip.example.org".into(), "n7".into());
    let sip = SipAccess { domain, port: 5060, username, password: Some("secret".into()) };
    NumberView { number, agent: None, provider: None, minutes_this_month: 3, sip }
}

pub(crate) fn agent() -> AgentId {
    AgentId::parse("PROJECT-1").unwrap()
}

pub(crate) fn provider() -> ProviderId {
    ProviderId(uuid(PROVIDER))
}

/// A number on sale.
pub(crate) fn stock() -> Stock {
    let (e164, plan) = E164::parse("+447400123456").unwrap();
    Stock {
        id: StockId(uuid(STOCK)),
        e164,
        country: plan.country,
        kind: NumberType::Mobile,
        setup_cost: Micros::ZERO,
        monthly_cost: Micros::from_cents(300).unwrap(),
        capabilities: Capabilities::default(),
        state: StockState::Available,
        hold: None,
        network: domain::number::Network::Public,
        created_at: now(),
        updated_at: now(),
        version: 1,
    }
}

/// The view of one number.
pub(crate) fn one(view: NumberView) -> View {
    View::Number(Box::new(view))
}

/// The row that a method and a path lead to; a literal segment wins over a parameter.
fn row(dialect: &dyn Dialect, method: &str, path: &str) -> (&'static Endpoint, Vec<(&'static str, String)>) {
    let segments: Vec<&str> = path.split('/').collect();
    let fits = |endpoint: &&'static Endpoint| {
        let parts: Vec<&str> = endpoint.path.split('/').collect();
        endpoint.method == method
            && parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
    };
    let endpoint = dialect.endpoints().iter().filter(fits).min_by_key(|e| e.path.matches('{').count());
    let endpoint = endpoint.unwrap_or_else(|| panic!("no row for {method} {path}"));
    let named = endpoint.path.split('/').zip(segments).filter_map(|(part, segment)| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some((name, percent_decode_str(segment).decode_utf8_lossy().into_owned()))
    });
    (endpoint, named.collect())
}

pub(crate) fn context(headers: &[(&str, &str)]) -> Context {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Context { request_id: uuid(REQUEST), headers: map, limits: None }
}

fn caller(actor: Actor, role: Role) -> Caller {
    let organization_id = OrganizationId::parse(ORGANIZATION);
    Caller { actor, organization_id, role, scopes: None, mode: Mode::Live }
}

/// A request as text: `METHOD /path?query`, headers, an empty line, the body.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Text<'_> {
    /// Hands the request to `then`.
    fn with<T>(&self, dialect: &dyn Dialect, then: impl FnOnce(&Request<'_>) -> T) -> T {
        self.by(&caller(Actor::Key(KeyId(uuid(OTHER))), Role::Owner), dialect, then)
    }

    /// The same, asked by somebody.
    fn by<T>(&self, caller: &Caller, dialect: &dyn Dialect, then: impl FnOnce(&Request<'_>) -> T) -> T {
        let (head, body) = self.0.split_once("\n\n").unwrap_or((self.0, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let headers: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        });
        let (endpoint, path) = row(dialect, method, path);
        let (query, context, body) = (query.collect(), context(&headers), body.trim().as_bytes());
        then(&Request { endpoint, path, query, body, caller, now: now(), context: &context })
    }

    pub(crate) fn decode(&self, dialect: &dyn Dialect) -> Result<Op> {
        self.with(dialect, |request| dialect.decode(request))
    }

    /// Decodes what a person with a role asks, who has signed in.
    pub(crate) fn decode_of_person(&self, role: Role, dialect: &dyn Dialect) -> Result<Op> {
        let person = Person::new("https://issuer.example", "ada").unwrap();
        self.by(&caller(Actor::Person(person), role), dialect, |request| dialect.decode(request))
    }

    pub(crate) fn encode(&self, dialect: &dyn Dialect, view: View) -> Reply {
        self.with(dialect, |request| dialect.encode(request, view))
    }

    /// The refusal of a request that cannot be read.
    pub(crate) fn refusal(&self, dialect: &dyn Dialect) -> Reply {
        self.with(dialect, |request| match dialect.decode(request) {
            Ok(op) => panic!("{} was read: {op:?}", self.0),
            Err(error) => dialect.refuse(request.context, &error),
        })
    }
}

/// An answer as text.
pub(crate) fn print(reply: &Reply) -> String {
    let mut headers = String::new();
    for (name, value) in &reply.headers {
        headers.extend([name.as_str(), ": ", value.to_str().unwrap(), "\n"]);
    }
    let body = if reply.body.is_empty() { String::new() } else { format!("{:#}", body(reply)) };
    format!("{}\n{headers}\n{body}", reply.status)
}

/// An answer's body.
pub(crate) fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// Every kind with its status and code: the dialect's whole column.
pub(crate) fn column(dialect: &dyn Dialect, code: impl Fn(&Value) -> String) -> String {
    let rows = Kind::ALL.iter().map(|kind| {
        let error = Error::new(*kind, What::Number, "Words.").because("a secret cause");
        let reply = dialect.refuse(&context(&[]), &error);
        assert!(!String::from_utf8_lossy(&reply.body).contains("secret"), "{kind:?} tells its cause");
        assert_eq!(reply.content_type, "application/json");
        let names: Vec<_> = reply.headers.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
        format!("{kind:?} {} {}{}\n", reply.status.as_u16(), code(&body(&reply)), names.concat())
    });
    rows.collect()
}

fn nullable(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(nullable),
        Value::Object(fields) => {
            fields.values_mut().for_each(nullable);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                let plain = std::mem::take(node);
                *node = json!({"anyOf": [plain, {"type": "null"}]});
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A contract of contracts/seed, or of another folder if it is named (`full/polyai`), with OpenAPI 3.0's `nullable` said as JSON Schema says it.
pub(crate) fn contract(name: &str) -> Value {
    let name = if name.contains('/') { name.to_owned() } else { format!("seed/{name}") };
    let path = format!("{}/../../contracts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    nullable(&mut document);
    document
}

/// Holds an answer against what a document declares for a status of an operation; a status that it does not declare is
/// held against `fallback`, a named schema.
pub(crate) fn hold(document: &Value, operation: (&str, &str), reply: &Reply, fallback: Option<&str>) {
    let (method, path) = operation;
    let status = reply.status.as_str();
    let declared = &document["paths"][path][method]["responses"][status];
    let declared = declared["$ref"].as_str().map_or(declared, |r| document.pointer(&r[1..]).unwrap());
    let schema = match (&declared["content"]["application/json"]["schema"], fallback) {
        (Value::Null, Some(name)) => json!({ "$ref": format!("#/components/schemas/{name}") }),
        (Value::Null, None) => {
            assert!(declared.is_object(), "{method} {path} does not declare {status}");
            return;
        }
        (schema, _) => schema.clone(),
    };
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"], "allOf": [schema],
    });
    let judge = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
    let body = body(reply);
    let faults: Vec<String> =
        judge.iter_errors(&body).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{method} {path} {status}: {faults:?}\n{body:#}");
}

/// Holds every refusal of a dialect against the contract's schema of errors and against its own document.
pub(crate) fn hold_refusals(
    dialect: &dyn Dialect,
    document: &Value,
    operation: (&str, &str),
    fallback: Option<&str>,
) {
    let own = dialect.openapi();
    for kind in Kind::ALL {
        let error = Error::new(kind, What::Number, "Words.").at("endpoint_id");
        let reply = dialect.refuse(&context(&[]), &error);
        if reply.status == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        if fallback.is_some() {
            hold(document, operation, &reply, fallback);
        }
        let schema = own["components"]["schemas"].as_object().unwrap();
        let name = ["ErrorEnvelope", "Error"].into_iter().find(|name| schema.contains_key(*name)).unwrap();
        let row = dialect.endpoints().first().unwrap();
        hold(&own, (row.method.as_str(), row.path), &reply, Some(name));
    }
}
