//! A signed token (RFC 7515, RFC 7519) against one issuer and its keys. Pure: what it says is checked, when it holds is compared
//! with a time that is given. Why a token is refused is for the log; whoever sent it learns that it is not valid.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::caller::Person;
use domain::ids::OrganizationId;
use domain::key::Role;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::KeySet;
use super::settings::{ClaimPath, IssuerSettings, is_plain};

/// The most values of a claim that are looked at: organizations, roles, audiences.
const VALUES_MAX: usize = 100;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no token in three readable parts.
    Form,
    /// Its algorithm is none that the issuer may use.
    Algorithm,
    /// No key of the issuer could have signed it.
    Key,
    /// The signature is not of these words.
    Signature,
    /// It is of another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It says of nobody in particular who they are.
    Subject,
    /// It does not say until when it holds, or not readably.
    Times,
}

/// A token taken apart, nothing of it verified.
pub(super) struct Parts<'a> {
    /// What is signed.
    message: &'a str,
    signature: &'a str,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key_id: Option<String>,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, section 4.1.11): none is.
    crit: Option<Value>,
}

/// What a token says, verified. Whether it holds now is asked at each use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verified {
    pub(super) person: Person,
    /// The organizations that the claim names and that have an id here, in the claim's order.
    pub(super) organizations: Vec<OrganizationId>,
    /// The highest role that the claim names, or the default.
    pub(super) role: Option<Role>,
    /// In unix seconds, with the issuer's leeway: holds from, and until before.
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Bytes of base64url text without padding.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    pub(super) fn of(token: &'a str) -> Result<Self, Refused> {
        let (message, signature) = token.rsplit_once('.').ok_or(Refused::Form)?;
        let (header, claims) = message.split_once('.').ok_or(Refused::Form)?;
        let read = |part: &str| decoded(part).ok_or(Refused::Form);
        let header: Header = serde_json::from_slice(&read(header)?).map_err(|_| Refused::Form)?;
        let claims = serde_json::from_slice(&read(claims)?).map_err(|_| Refused::Form)?;
        if header.crit.is_some() {
            return Err(Refused::Form);
        }
        let algorithm = header.alg.parse().ok();
        Ok(Self { message, signature, algorithm, key_id: header.kid, claims })
    }

    /// Whether it says that this issuer made it.
    pub(super) fn is_of(&self, issuer: &IssuerSettings) -> bool {
        let said = self.claims.get("iss").and_then(Value::as_str);
        said.is_some_and(|said| issuer_of(&issuer.issuer, &self.claims).as_deref() == Some(said))
    }

    /// Verifies the signature and reads what is said. Costs the time of one signature; everything cheaper was checked before.
    pub(super) fn verify(self, issuer: &IssuerSettings, keys: &KeySet) -> Result<Verified, Refused> {
        let algorithm = self.algorithm.filter(|a| issuer.algorithms.contains(a)).ok_or(Refused::Algorithm)?;
        let key = keys.find(self.key_id.as_deref(), algorithm).ok_or(Refused::Key)?;
        let verified =
            jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key.key, algorithm);
        if !verified.unwrap_or(false) {
            return Err(Refused::Signature);
        }
        self.says(issuer)
    }

    fn says(&self, issuer: &IssuerSettings) -> Result<Verified, Refused> {
        if !self.is_of(issuer) {
            return Err(Refused::Issuer);
        }
        let for_us = |value: &&str| issuer.audiences.iter().any(|audience| audience == value);
        if !texts(self.claims.get("aud")).iter().any(for_us) {
            return Err(Refused::Audience);
        }
        let text = |name| self.claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let person = Person::new(text("iss"), text("sub")).ok_or(Refused::Subject)?;
        let seconds = |name| self.claims.get(name).map(|value| seconds(value).ok_or(Refused::Times));
        let until = seconds("exp").ok_or(Refused::Times)??;
        let from = seconds("nbf").unwrap_or(Ok(i64::MIN))?;
        let meaning = |value: &&str| match &issuer.organizations {
            Some(named) => named.get(*value).copied(),
            None => OrganizationId::parse(value),
        };
        let organizations =
            texts(issuer.organization_claim.of(&self.claims)).iter().filter_map(meaning).collect();
        let claim = issuer.role_claim.as_ref().and_then(|claim| claim.of(&self.claims));
        let named = texts(claim).into_iter().filter_map(|value| issuer.roles.get(value).copied()).max();
        Ok(Verified {
            person,
            organizations,
            role: named.or(issuer.default_role),
            from: from.saturating_sub(issuer.leeway),
            until: until.saturating_add(issuer.leeway),
        })
    }
}

impl ClaimPath {
    fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Self(path) = self;
        claims.get(path).or_else(|| {
            let mut steps = path.split('.');
            let first = claims.get(steps.next()?)?;
            steps.try_fold(first, |value, step| value.get(step))
        })
    }
}

/// What `iss` must be: the configured text, with `{claim}` replaced by that claim of the token, as issuers of many tenants put
/// their tenant's id there. The claim is signed with the issuer's keys like everything else.
fn issuer_of(pattern: &str, claims: &Map<String, Value>) -> Option<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return Some(pattern.to_owned()) };
    let (claim, after) = rest.split_once('}')?;
    let value = claims.get(claim).and_then(Value::as_str)?;
    let plain = !value.is_empty() && value.chars().all(is_plain);
    plain.then(|| format!("{before}{value}{after}"))
}

/// A claim's texts: one, or those of a list.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().take(VALUES_MAX).filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A `NumericDate`: seconds since the unix epoch, perhaps with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "beyond the range of seconds it is the end of time either way"
)]
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|s| s.is_finite()).map(|s| s.floor() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "0190b5b0-1111-7222-8333-444455556666";

    fn issuer() -> IssuerSettings {
        let args = json!({
            "name": "i", "dialects": ["neo"], "issuer": "https://login.example/{tid}/v2.0", "audience": ["a", "b"], "jwks": "keys.json",
            "organization_claim": "app.organizations", "organizations": {ID: ID}, "role_claim": "roles", "roles": {"Readers": "viewer", "Admins": "admin"},
        });
        let args = super::super::settings::from_json(&args.to_string()).unwrap();
        super::super::settings::check(vec![args]).unwrap().remove(0)
    }

    fn good() -> Value {
        json!({
            "iss": "https://login.example/t-1/v2.0", "tid": "t-1", "aud": "b", "sub": "ada", "exp": 1_000, "nbf": 500.9,
            "app": {"organizations": ["x", "0190b5b0-1111-7222-8333-444455556666"]}, "roles": ["Readers", "Admins", "?"],
        })
    }

    fn says(change: &Value) -> Result<Verified, Refused> {
        let mut claims = good();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let claims = claims.as_object().unwrap().clone();
        let parts = Parts { message: "", signature: "", algorithm: None, key_id: None, claims };
        parts.says(&issuer())
    }

    #[test]
    fn what_a_token_says() {
        let verified = says(&json!({})).unwrap();
        assert_eq!((verified.from, verified.until), (440, 1_060));
        assert_eq!(verified.role, Some(Role::Admin));
        assert_eq!(verified.organizations.len(), 1, "what is no id of ours is none");
        assert_eq!(says(&json!({"roles": "Readers"})).unwrap().role, Some(Role::Viewer));
        assert_eq!(says(&json!({"roles": ["King"]})).unwrap().role, None);
        assert_eq!(says(&json!({"app": 1})).unwrap().organizations, []);
    }

    #[test]
    fn what_is_not_for_us_is_refused() {
        for (change, why) in [
            (json!({"iss": "https://login.example/t-2/v2.0"}), Refused::Issuer),
            (json!({"iss": null}), Refused::Issuer),
            (json!({"tid": "t-1/v2.0/../.."}), Refused::Issuer),
            (json!({"aud": "c"}), Refused::Audience),
            (json!({"aud": ["c", 1]}), Refused::Audience),
            (json!({"aud": null}), Refused::Audience),
            (json!({"sub": ""}), Refused::Subject),
            (json!({"sub": "a".repeat(256)}), Refused::Subject),
            (json!({"sub": "a\nb"}), Refused::Subject),
            (json!({"exp": null}), Refused::Times),
            (json!({"exp": "1000"}), Refused::Times),
            (json!({"nbf": "now"}), Refused::Times),
        ] {
            assert_eq!(says(&change).unwrap_err(), why, "{change}");
        }
        assert_eq!(says(&json!({"exp": 1e300})).unwrap().until, i64::MAX);
    }

    #[test]
    fn what_is_no_token_has_no_parts() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let whole = |header: Value| format!("{}.{}.{}", part(header), part(json!({})), "AA");
        for token in [
            "",
            ".",
            "..",
            "a.b.c",
            "a.b",
            &whole(json!({"kid": "a"})),
            &whole(json!({"alg": "RS256", "crit": ["b64"]})),
        ] {
            assert!(Parts::of(token).is_err(), "{token}");
        }
        for (alg, known) in [("RS256", true), ("none", false), ("None", false), ("", false)] {
            assert_eq!(Parts::of(&whole(json!({"alg": alg}))).unwrap().algorithm.is_some(), known, "{alg}");
        }
    }

    #[test]
    fn a_claim_may_have_dots_in_its_name() {
        let claims = json!({"https://x.example/org": "a", "b": {"c": {"d": "e"}}});
        let of = |path: &str| ClaimPath(path.to_owned()).of(claims.as_object().unwrap()).cloned();
        assert_eq!(of("https://x.example/org"), Some(json!("a")));
        assert_eq!(of("b.c.d"), Some(json!("e")));
        assert_eq!((of("b.x"), of("b.c.d.e"), of("")), (None, None, None));
    }
}
