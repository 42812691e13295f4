//! The two APIs as the simulated Twilio answers them; its answers have the fields and types of `contracts/carriers/twilio.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::super::carrier::wait;
use super::{Account, Books, Number, Refusal, Rule, SimTwilio, State, Trunk, Url};

/// When everything in the simulated Twilio was made.
pub(super) const MADE_RFC2822: &str = "Thu, 01 Jan 2026 00:00:00 +0000";
pub(super) const MADE: &str = "2026-01-01T00:00:00Z";

/// A request to one of the APIs.
pub(in crate::sim) struct ApiRequest<'a> {
    pub(in crate::sim) method: &'a Method,
    /// Behind `/sim/twilio/`.
    pub(in crate::sim) path: &'a str,
    pub(in crate::sim) query: &'a str,
    pub(in crate::sim) headers: &'a HeaderMap,
    pub(in crate::sim) body: &'a [u8],
}

/// An answer: status, headers that matter, body.
pub(in crate::sim) struct ApiReply {
    pub(in crate::sim) status: StatusCode,
    pub(in crate::sim) retry_after: Option<u64>,
    pub(in crate::sim) body: Option<Value>,
}

/// Whose request it is, and for which region.
pub(super) struct Session {
    pub(super) account: String,
    pub(super) region: String,
}

pub(super) type Form = BTreeMap<String, String>;
pub(super) type Answer = Result<(u16, Value), (u16, u64, String)>;

/// Whether a path is of the APIs: `{region}/2010-04-01/…` or `{region}/v1/…`.
pub(in crate::sim) fn is_api(path: &str) -> bool {
    let mut parts = path.splitn(3, '/').skip(1);
    matches!((parts.next(), parts.next()), (Some("2010-04-01" | "v1"), Some(_)))
}

impl SimTwilio {
    /// Answers a request to one of the APIs.
    pub(in crate::sim) async fn api(&self, request: ApiRequest<'_>) -> ApiReply {
        let (region, path) = request.path.split_once('/').unwrap_or((request.path, ""));
        let segments: Vec<String> =
            path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let Some(operation) = operation(request.method, &segments) else {
            return error(404, 20404, "The requested resource was not found");
        };
        let rule = self.with(|state| {
            *state.requests.entry(operation).or_default() += 1;
            state.rule(operation)
        });
        let Some(rule) = rule else { return self.carry_out(&request, region, operation, &segments) };
        let half = rule.delay / 2;
        wait(half).await;
        // Carried out and not yet said: who dies now has to look again.
        let carried = (rule.done || rule.refusal.is_none())
            .then(|| self.carry_out(&request, region, operation, &segments));
        wait(half).await;
        match (rule.refusal, carried) {
            (None, Some(reply)) => reply,
            (Some(Refusal { status, code, message, retry_after }), _) => {
                ApiReply { retry_after, ..error(status, code.unwrap_or_else(|| u64::from(status)), &message) }
            }
            (None, None) => error(500, 20500, "Internal Server Error"),
        }
    }

    fn carry_out(&self, request: &ApiRequest<'_>, region: &str, operation: &str, path: &[&str]) -> ApiReply {
        self.with(|state| {
            let Some(session) = session(&state.books, request.headers, region) else {
                return error(401, 20003, "Authenticate");
            };
            // The numbers' API names the account; a key opens its own only.
            if path[0] == "2010-04-01" && path.get(2) != Some(&session.account.as_str()) {
                return error(401, 20003, "Authenticate");
            }
            let query = form(request.query.as_bytes());
            let done = answer(&mut state.books, &session, operation, (path, &query, &form(request.body)));
            if *request.method != Method::GET {
                self.keep(&state.books);
            }
            match done {
                Ok((204, _)) => ApiReply { status: StatusCode::NO_CONTENT, retry_after: None, body: None },
                Ok((status, body)) => reply(status, body),
                Err((status, code, message)) => error(status, code, &message),
            }
        })
    }
}

impl State {
    /// The rule for a request, used up by asking. The last that was said counts first.
    fn rule(&mut self, operation: &str) -> Option<Rule> {
        let fits = |rule: &Rule| rule.operation.is_none_or(|named| named == operation);
        let at = self.rules.iter().rposition(fits)?;
        let rule = self.rules[at].clone();
        if let Some(times) = &mut self.rules[at].times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(at);
            }
        }
        Some(rule)
    }
}

fn operation(method: &Method, path: &[&str]) -> Option<&'static str> {
    match (method.as_str(), path) {
        ("GET", ["2010-04-01", "Accounts", _, "IncomingPhoneNumbers.json"]) => Some("numbers.list"),
        ("GET", ["v1", "Trunks"]) => Some("trunks.list"),
        ("POST", ["v1", "Trunks"]) => Some("trunks.create"),
        ("DELETE", ["v1", "Trunks", _]) => Some("trunks.delete"),
        ("GET", ["v1", "Trunks", _]) => Some("trunks.get"),
        ("POST", ["v1", "Trunks", _]) => Some("trunks.update"),
        ("GET", ["v1", "Trunks", _, "OriginationUrls"]) => Some("origination_urls.list"),
        ("POST", ["v1", "Trunks", _, "OriginationUrls"]) => Some("origination_urls.create"),
        ("POST", ["v1", "Trunks", _, "PhoneNumbers"]) => Some("numbers.attach"),
        ("DELETE", ["v1", "Trunks", _, "PhoneNumbers", _]) => Some("numbers.detach"),
        (method, path) => super::lists::operation(method, path),
    }
}

/// Basic authorization, really checked: key, secret and the key's region.
fn session(books: &Books, headers: &HeaderMap, region: &str) -> Option<Session> {
    let coded = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let login = String::from_utf8(STANDARD.decode(coded).ok()?).ok()?;
    let (sid, secret) = login.split_once(':')?;
    let opens = |account: &&Account| {
        account.keys.iter().any(|key| key.sid == sid && key.secret == secret && key.region == region)
    };
    let (account, _) = books.accounts.iter().find(|(_, account)| opens(account))?;
    Some(Session { account: account.clone(), region: region.to_owned() })
}

fn form(bytes: &[u8]) -> Form {
    let text = String::from_utf8_lossy(bytes).replace('+', " ");
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

pub(super) fn gone() -> (u16, u64, String) {
    (404, 20404, "The requested resource was not found".to_owned())
}

pub(super) fn lacks(field: &str) -> (u16, u64, String) {
    (400, 20001, format!("Missing required parameter {field}"))
}

/// The session's own trunk, of its region.
pub(super) fn trunk<'a>(
    account: &'a mut Account,
    session: &Session,
    sid: &str,
) -> Result<&'a mut Trunk, (u16, u64, String)> {
    account.trunks.get_mut(sid).filter(|trunk| trunk.region == session.region).ok_or_else(gone)
}

fn answer(
    books: &mut Books,
    session: &Session,
    operation: &str,
    (path, query, form): (&[&str], &Form, &Form),
) -> Answer {
    let new = books.id(match operation {
        "trunks.create" => "TK",
        "credential_lists.create" => "CL",
        "credentials.create" => "CR",
        _ => "OU",
    });
    let account = books.accounts.get_mut(&session.account).ok_or_else(gone)?;
    match operation {
        "numbers.list" => Ok((200, numbers(account, session, query))),
        "trunks.list" => Ok((200, trunks(account, session, query))),
        "trunks.get" => Ok((200, trunk_out(session, path[2], trunk(account, session, path[2])?))),
        "origination_urls.list" => {
            let trunk = trunk(account, session, path[2])?;
            let urls: Vec<Value> = trunk.urls.iter().map(|url| url_out(session, path[2], url)).collect();
            Ok((
                200,
                json!({"origination_urls": urls, "meta": {"key": "origination_urls", "next_page_url": null}}),
            ))
        }
        _ => change(account, session, operation, (path, form, new)),
    }
}

fn change(
    account: &mut Account,
    session: &Session,
    operation: &str,
    (path, form, new): (&[&str], &Form, String),
) -> Answer {
    match operation {
        "trunks.create" => {
            let name = form.get("FriendlyName").cloned().unwrap_or_default();
            let region = session.region.clone();
            let trunk = Trunk { name, region, urls: Vec::new(), domain: None, lists: Vec::new() };
            let out = trunk_out(session, &new, &trunk);
            account.trunks.insert(new, trunk);
            Ok((201, out))
        }
        "trunks.delete" => {
            trunk(account, session, path[2])?;
            account.trunks.remove(path[2]);
            for number in account.numbers.values_mut() {
                number.trunk.take_if(|trunk| trunk == path[2]);
            }
            Ok((204, Value::Null))
        }
        "origination_urls.create" => {
            let url = url_in(form, new)?;
            let out = url_out(session, path[2], &url);
            trunk(account, session, path[2])?.urls.push(url);
            Ok((201, out))
        }
        "numbers.attach" => {
            trunk(account, session, path[2])?;
            let sid = form.get("PhoneNumberSid").ok_or_else(|| lacks("PhoneNumberSid"))?;
            let found = account.numbers.iter_mut().find(|(_, number)| number.sid == *sid);
            let (name, number) = found.ok_or_else(gone)?;
            number.trunk = Some(path[2].to_owned());
            Ok((201, attached_out(session, path[2], name, number)))
        }
        "numbers.detach" => {
            trunk(account, session, path[2])?;
            let here =
                |number: &&mut Number| number.sid == path[4] && number.trunk.as_deref() == Some(path[2]);
            let number = account.numbers.values_mut().find(here).ok_or_else(gone)?;
            number.trunk = None;
            Ok((204, Value::Null))
        }
        "trunks.update" => {
            let domain = form.get("DomainName");
            if domain.is_some_and(|name| !name.ends_with(".pstn.twilio.com")) {
                return Err((400, 21248, "Invalid domain name".to_owned()));
            }
            let trunk = trunk(account, session, path[2])?;
            trunk.domain = domain.cloned().or_else(|| trunk.domain.take());
            Ok((200, trunk_out(session, path[2], trunk)))
        }
        _ => super::lists::answer(account, session, operation, (path, form, new)),
    }
}

fn url_in(form: &Form, sid: String) -> Result<Url, (u16, u64, String)> {
    let field = |name: &str| form.get(name).cloned().ok_or_else(|| lacks(name));
    let whole = |name: &str| field(name)?.parse::<u32>().map_err(|_| lacks(name));
    let place = field("SipUrl")?;
    if !place.starts_with("sip:") {
        return Err((400, 21245, "Invalid SipUrl".to_owned()));
    }
    let (priority, weight, enabled) = (whole("Priority")?, whole("Weight")?, field("Enabled")? == "true");
    Ok(Url { sid, place, name: field("FriendlyName")?, priority, weight, enabled })
}

fn trunks(account: &Account, session: &Session, query: &Form) -> Value {
    let all = account.trunks.iter().filter(|(_, trunk)| trunk.region == session.region);
    let all: Vec<Value> = all.map(|(sid, trunk)| trunk_out(session, sid, trunk)).collect();
    let (items, next) = page(&all, query);
    let next = next.map(|query| format!("https://trunking.twilio.com/v1/Trunks?{query}"));
    json!({"trunks": items, "meta": {"key": "trunks", "next_page_url": next, "page": 0}})
}

fn numbers(account: &Account, session: &Session, query: &Form) -> Value {
    let part = query.get("PhoneNumber").map_or("", String::as_str).trim();
    // A plus that was not encoded reads as a space.
    let part = part.trim_start_matches('+');
    let all = account.numbers.iter().filter(|(name, _)| name.contains(part));
    let all: Vec<Value> = all.map(|(name, number)| number_out(session, name, number)).collect();
    let (items, next) = page(&all, query);
    let path = format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers.json", session.account);
    let next = next.map(|query| format!("{path}?{query}"));
    json!({"incoming_phone_numbers": items, "next_page_uri": next, "uri": path, "page": 0, "page_size": items.len()})
}

/// A page of a list, and the query of the next.
fn page(all: &[Value], query: &Form) -> (Vec<Value>, Option<String>) {
    let number = |name: &str, default: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (size, page) = (number("PageSize", 50).clamp(1, 1_000), number("Page", 0));
    let items: Vec<Value> = all.iter().skip(page.saturating_mul(size)).take(size).cloned().collect();
    let more = all.len() > (page + 1).saturating_mul(size);
    let next = more.then(|| format!("PageSize={size}&Page={}&PageToken=PT{}", page + 1, page + 1));
    (items, next)
}

fn number_out(session: &Session, name: &str, number: &Number) -> Value {
    json!({
        "sid": number.sid, "account_sid": session.account, "phone_number": name, "friendly_name": name,
        "trunk_sid": number.trunk, "voice_url": null, "voice_receive_mode": "voice", "status": "in-use", "beta": false,
        "capabilities": {"voice": true, "sms": false, "mms": false, "fax": false}, "origin": "twilio",
        "api_version": "2010-04-01", "date_created": MADE_RFC2822, "date_updated": MADE_RFC2822,
        "uri": format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers/{}.json", session.account, number.sid),
    })
}

fn trunk_out(session: &Session, sid: &str, trunk: &Trunk) -> Value {
    json!({
        "sid": sid, "account_sid": session.account, "friendly_name": trunk.name, "domain_name": trunk.domain, "secure": false,
        "cnam_lookup_enabled": false, "auth_type": if trunk.lists.is_empty() { "" } else { "CREDENTIAL_LIST" },
        "auth_type_set": if trunk.lists.is_empty() { json!([]) } else { json!(["CREDENTIAL_LIST"]) }, "transfer_mode": "disable-all",
        "date_created": MADE, "date_updated": MADE, "url": format!("https://trunking.twilio.com/v1/Trunks/{sid}"),
        "links": {"origination_urls": format!("https://trunking.twilio.com/v1/Trunks/{sid}/OriginationUrls")},
    })
}

fn url_out(session: &Session, trunk: &str, url: &Url) -> Value {
    json!({
        "sid": url.sid, "account_sid": session.account, "trunk_sid": trunk, "sip_url": url.place,
        "friendly_name": url.name, "priority": url.priority, "weight": url.weight, "enabled": url.enabled,
        "date_created": MADE, "date_updated": MADE,
        "url": format!("https://trunking.twilio.com/v1/Trunks/{trunk}/OriginationUrls/{}", url.sid),
    })
}

fn attached_out(session: &Session, trunk: &str, name: &str, number: &Number) -> Value {
    json!({
        "sid": number.sid, "account_sid": session.account, "trunk_sid": trunk, "phone_number": name, "friendly_name": name,
        "capabilities": {"voice": true, "sms": false}, "api_version": "2010-04-01", "beta": false,
        "date_created": MADE, "date_updated": MADE,
        "url": format!("https://trunking.twilio.com/v1/Trunks/{trunk}/PhoneNumbers/{}", number.sid),
    })
}

fn reply(status: u16, body: Value) -> ApiReply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ApiReply { status, retry_after: None, body: Some(body) }
}

fn error(status: u16, code: u64, message: &str) -> ApiReply {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    reply(status, json!({"code": code, "message": message, "more_info": more, "status": status}))
}
