//! Twilio's words: URLs by region, basic authorization, forms; the few fields that are read of its replies, and its errors.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::E164;
use serde::Deserialize;
use std::time::Duration;

use crate::account::{Access, Trouble};
use crate::{Reply, Request};

/// Items on a page of a list: the most that Twilio gives.
const PAGE: u32 = 1_000;
/// As much as is kept of Twilio's words, in characters.
const WORDS_MAX: usize = 200;

/// Which of the two APIs.
#[derive(Clone, Copy)]
enum Api {
    Numbers,
    Trunking,
}

/// The origin of an API. Outside the United States a host names its edge and its region (twilio.com/docs/global-infrastructure).
fn origin(access: &Access, api: Api) -> Result<String, Trouble> {
    if let Some(base) = &access.base_url {
        return Ok(base.trim_end_matches('/').replace("{region}", &access.region));
    }
    let product = match api {
        Api::Numbers => "api",
        Api::Trunking => "trunking",
    };
    match access.region.as_str() {
        "us1" => Ok(format!("https://{product}.twilio.com")),
        "ie1" => Ok(format!("https://{product}.dublin.ie1.twilio.com")),
        "au1" => Ok(format!("https://{product}.sydney.au1.twilio.com")),
        other => Err(Trouble::Refused(format!("There is no region {other}."))),
    }
}

fn request(access: &Access, method: &'static str, url: String, form: &[(&str, &str)]) -> Request {
    let login = format!("{}:{}", access.key_id, access.key_secret);
    let mut headers = vec![
        ("authorization", format!("Basic {}", STANDARD.encode(login))),
        ("accept", "application/json".to_owned()),
    ];
    if method == "POST" {
        headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    }
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    Request { method, url, headers, body: pairs.join("&").into_bytes() }
}

/// A request to the numbers' API, which names the account.
fn of_account(
    access: &Access,
    method: &'static str,
    path: &str,
    form: &[(&str, &str)],
) -> Result<Request, Trouble> {
    let origin = origin(access, Api::Numbers)?;
    let url = format!("{origin}/2010-04-01/Accounts/{}/{path}", encoded(&access.account));
    Ok(request(access, method, url, form))
}

/// The account's numbers: one named, or a page of all. A page is named by the query that the last one gave.
pub(super) enum Wanted<'a> {
    One(E164),
    Any,
    First,
    Page(&'a str),
}

pub(super) fn numbers(access: &Access, wanted: &Wanted<'_>) -> Result<Request, Trouble> {
    let query = match wanted {
        Wanted::One(number) => format!("PhoneNumber={}&PageSize=20", encoded(&number.to_string())),
        Wanted::Any => "PageSize=1".to_owned(),
        Wanted::First => format!("PageSize={PAGE}"),
        Wanted::Page(query) => (*query).to_owned(),
    };
    of_account(access, "GET", &format!("IncomingPhoneNumbers.json?{query}"), &[])
}

fn trunking(
    access: &Access,
    method: &'static str,
    path: &str,
    form: &[(&str, &str)],
) -> Result<Request, Trouble> {
    let url = format!("{}/v1/{path}", origin(access, Api::Trunking)?);
    Ok(request(access, method, url, form))
}

pub(super) fn trunks(access: &Access, page: Option<&str>) -> Result<Request, Trouble> {
    let query = page.map_or_else(|| format!("PageSize={PAGE}"), str::to_owned);
    trunking(access, "GET", &format!("Trunks?{query}"), &[])
}

pub(super) fn trunk_create(access: &Access, name: &str) -> Result<Request, Trouble> {
    trunking(access, "POST", "Trunks", &[("FriendlyName", name)])
}

pub(super) fn trunk_delete(access: &Access, trunk: &str) -> Result<Request, Trouble> {
    trunking(access, "DELETE", &format!("Trunks/{}", encoded(trunk)), &[])
}

/// A trunk has at most ten of them, so one page has all.
pub(super) fn originations(access: &Access, trunk: &str) -> Result<Request, Trouble> {
    trunking(access, "GET", &format!("Trunks/{}/OriginationUrls?PageSize={PAGE}", encoded(trunk)), &[])
}

pub(super) fn origination_create(access: &Access, trunk: &str, sip_url: &str) -> Result<Request, Trouble> {
    let form = [
        ("FriendlyName", "Trunkline"),
        ("SipUrl", sip_url),
        ("Priority", "10"),
        ("Weight", "10"),
        ("Enabled", "true"),
    ];
    trunking(access, "POST", &format!("Trunks/{}/OriginationUrls", encoded(trunk)), &form)
}

pub(super) fn attach(access: &Access, trunk: &str, number_sid: &str) -> Result<Request, Trouble> {
    let path = format!("Trunks/{}/PhoneNumbers", encoded(trunk));
    trunking(access, "POST", &path, &[("PhoneNumberSid", number_sid)])
}

pub(super) fn detach(access: &Access, trunk: &str, number_sid: &str) -> Result<Request, Trouble> {
    let path = format!("Trunks/{}/PhoneNumbers/{}", encoded(trunk), encoded(number_sid));
    trunking(access, "DELETE", &path, &[])
}

pub(super) fn trunk(access: &Access, trunk: &str) -> Result<Request, Trouble> {
    trunking(access, "GET", &format!("Trunks/{}", encoded(trunk)), &[])
}

pub(super) fn trunk_domain(access: &Access, trunk: &str, domain: &str) -> Result<Request, Trouble> {
    trunking(access, "POST", &format!("Trunks/{}", encoded(trunk)), &[("DomainName", domain)])
}

/// The credential lists of the account; a page is named by the query that the last one gave.
pub(super) fn lists(access: &Access, page: Option<&str>) -> Result<Request, Trouble> {
    let query = page.map_or_else(|| format!("PageSize={PAGE}"), str::to_owned);
    of_account(access, "GET", &format!("SIP/CredentialLists.json?{query}"), &[])
}

pub(super) fn list_create(access: &Access, name: &str) -> Result<Request, Trouble> {
    of_account(access, "POST", "SIP/CredentialLists.json", &[("FriendlyName", name)])
}

pub(super) fn list_delete(access: &Access, list: &str) -> Result<Request, Trouble> {
    of_account(access, "DELETE", &format!("SIP/CredentialLists/{}.json", encoded(list)), &[])
}

/// The names in a list of ours, which has one: one page has all.
pub(super) fn credentials(access: &Access, list: &str) -> Result<Request, Trouble> {
    let path = format!("SIP/CredentialLists/{}/Credentials.json?PageSize={PAGE}", encoded(list));
    of_account(access, "GET", &path, &[])
}

pub(super) fn credential_create(
    access: &Access,
    list: &str,
    (username, password): (&str, &str),
) -> Result<Request, Trouble> {
    let path = format!("SIP/CredentialLists/{}/Credentials.json", encoded(list));
    of_account(access, "POST", &path, &[("Username", username), ("Password", password)])
}

pub(super) fn credential_update(
    access: &Access,
    list: &str,
    (credential, password): (&str, &str),
) -> Result<Request, Trouble> {
    let path = format!("SIP/CredentialLists/{}/Credentials/{}.json", encoded(list), encoded(credential));
    of_account(access, "POST", &path, &[("Password", password)])
}

/// The credential lists that open a trunk; ours is one of a few.
pub(super) fn trunk_lists(access: &Access, trunk: &str) -> Result<Request, Trouble> {
    trunking(access, "GET", &format!("Trunks/{}/CredentialLists?PageSize={PAGE}", encoded(trunk)), &[])
}

pub(super) fn trunk_list_add(access: &Access, trunk: &str, list: &str) -> Result<Request, Trouble> {
    let path = format!("Trunks/{}/CredentialLists", encoded(trunk));
    trunking(access, "POST", &path, &[("CredentialListSid", list)])
}

/// A page of the account's numbers.
#[derive(Deserialize)]
pub(super) struct Numbers {
    pub(super) incoming_phone_numbers: Vec<Number>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Number {
    pub(super) sid: String,
    #[serde(rename = "phone_number")]
    pub(super) e164: String,
    #[serde(default)]
    pub(super) trunk_sid: Option<String>,
}

/// A page of trunks.
#[derive(Deserialize)]
pub(super) struct Trunks {
    pub(super) trunks: Vec<Trunk>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    next_page_url: Option<String>,
}

/// A trunk.
#[derive(Deserialize)]
pub(super) struct Trunk {
    pub(super) sid: String,
    #[serde(default)]
    pub(super) account_sid: Option<String>,
    #[serde(default)]
    pub(super) friendly_name: Option<String>,
    #[serde(default)]
    pub(super) domain_name: Option<String>,
}

/// A page of the account's credential lists, or those of a trunk.
#[derive(Deserialize)]
pub(super) struct Lists {
    pub(super) credential_lists: Vec<List>,
    #[serde(default)]
    next_page_uri: Option<String>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct List {
    pub(super) sid: String,
    #[serde(default)]
    pub(super) friendly_name: Option<String>,
}

/// The names in a list.
#[derive(Deserialize)]
pub(super) struct Credentials {
    pub(super) credentials: Vec<Credential>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Credential {
    pub(super) sid: String,
    #[serde(default)]
    pub(super) username: Option<String>,
}

/// A trunk's origination URLs.
#[derive(Deserialize)]
pub(super) struct Originations {
    pub(super) origination_urls: Vec<Origination>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Origination {
    #[serde(default)]
    pub(super) sip_url: Option<String>,
    #[serde(default)]
    pub(super) enabled: bool,
}

impl Numbers {
    pub(super) fn next(&self) -> Option<String> {
        next(self.next_page_uri.as_deref())
    }
}

impl Lists {
    pub(super) fn next(&self) -> Option<String> {
        next(self.next_page_uri.as_deref())
    }
}

impl Trunks {
    pub(super) fn next(&self) -> Option<String> {
        next(self.meta.next_page_url.as_deref())
    }
}

/// The query of the next page. Where a reply says it is, is not asked: secrets go to the origin that we chose only.
fn next(url: Option<&str>) -> Option<String> {
    let (_, query) = url?.split_once('?')?;
    let plain = !query.is_empty() && query.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    plain.then(|| query.to_owned())
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Option<u64>,
    #[serde(default)]
    message: Option<String>,
}

/// What a reply says that is no success; for a 404 that the caller expects, see [`is_gone`].
pub(super) fn trouble(reply: Reply<'_>) -> Trouble {
    let ErrorBody { code, message } = serde_json::from_slice(reply.body).unwrap_or_default();
    let message = message.unwrap_or_else(|| format!("status {}", reply.status));
    let words: String = message.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    let named = code.map_or_else(|| words.clone(), |code| format!("{words} ({code})"));
    match (reply.status, code) {
        // 20003: the key is not known, or has no right to this; 20004 likewise for a method.
        (401 | 403, _) | (_, Some(20003)) => Trouble::Credentials,
        (429 | 500..=599, _) | (_, Some(20429)) => {
            Trouble::Unavailable(named, reply.retry_after.map(Duration::from_secs))
        }
        (400..=499, _) => Trouble::Refused(named),
        // Neither a success of this version's kind nor an error: what it means is not known.
        _ => Trouble::Unavailable(named, None),
    }
}

/// Whether what was named is not there (20404).
pub(super) fn is_gone(reply: Reply<'_>) -> bool {
    reply.status == 404
}

/// Reads a successful reply.
pub(super) fn read<T: for<'a> Deserialize<'a>>(reply: Reply<'_>) -> Result<T, Trouble> {
    if !matches!(reply.status, 200 | 201) {
        return Err(trouble(reply));
    }
    serde_json::from_slice(reply.body)
        .map_err(|error| Trouble::Unavailable(format!("an unreadable reply: {error}"), None))
}

/// Percent-encoding of a value in a form, a query or a path (RFC 3986: all but the unreserved characters).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |d: u8| char::from_digit(u32::from(d), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(base: Option<&str>, region: &str) -> Access {
        Access {
            base_url: base.map(str::to_owned),
            account: "AC1".into(),
            key_id: "SK1".into(),
            key_secret: "s e:c".into(),
            region: region.into(),
        }
    }

    #[test]
    fn the_region_decides_the_host() {
        let url = |base, region| numbers(&access(base, region), &Wanted::Any).map(|r| r.url);
        let path = "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json?PageSize=1";
        assert_eq!(url(None, "us1"), Ok(format!("https://api.twilio.com{path}")));
        assert_eq!(url(None, "ie1"), Ok(format!("https://api.dublin.ie1.twilio.com{path}")));
        assert_eq!(url(Some("http://h/x/{region}/"), "au1"), Ok(format!("http://h/x/au1{path}")));
        assert!(matches!(url(None, "xx1"), Err(Trouble::Refused(_))));
        let trunk = trunk_create(&access(None, "au1"), "Ours & more").unwrap();
        assert_eq!(trunk.url, "https://trunking.sydney.au1.twilio.com/v1/Trunks");
        assert_eq!(trunk.body, b"FriendlyName=Ours%20%26%20more");
        assert_eq!(trunk.headers[0].1, "Basic U0sxOnMgZTpj");
    }

    #[test]
    fn errors_are_told_apart() {
        let of = |status, body: &str| trouble(Reply { status, body: body.as_bytes(), retry_after: Some(3) });
        let auth = r#"{"code": 20003, "message": "Authenticate", "status": 401}"#;
        assert_eq!(of(401, auth), Trouble::Credentials);
        assert_eq!(of(403, ""), Trouble::Credentials);
        let wait = Trouble::Unavailable("Too Many Requests (20429)".into(), Some(Duration::from_secs(3)));
        assert_eq!(of(429, r#"{"code":20429,"message":"Too Many Requests"}"#), wait);
        assert!(matches!(of(503, "<html>"), Trouble::Unavailable(_, _)));
        assert_eq!(of(400, r#"{"code":21422,"message":"No"}"#), Trouble::Refused("No (21422)".into()));
        assert_eq!(of(404, r#"{"code":20404,"message":"x"}"#), Trouble::Refused("x (20404)".into()));
        assert!(matches!(of(302, ""), Trouble::Unavailable(..)), "an unknown state is not done");
    }

    #[test]
    fn a_next_page_is_asked_of_the_same_origin() {
        assert_eq!(next(Some("https://evil.example/x?PageToken=PA1")), Some("PageToken=PA1".into()));
        assert_eq!(next(Some("/no-query")), None);
        assert_eq!(next(Some("/x?a b")), None);
        assert_eq!(next(None), None);
    }
}
