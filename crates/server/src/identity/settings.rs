//! Which identity providers are trusted, as the configuration file says it: `[[issuers]]`, checked before anything starts.

use anyhow::{Context, bail, ensure};
use domain::ids::OrganizationId;
use domain::key::Role;
use http::{HeaderMap, HeaderValue, header};
use jiff::SignedDuration;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

/// The most issuers, and the most dialects, audiences, organizations or roles of one.
const LIST_MAX: usize = 1_000;
/// The longest issuer, name or claim path, in bytes.
const TEXT_MAX: usize = 255;
/// The widest clock skew that can be allowed, in seconds.
const LEEWAY_MAX: u64 = 600;
const LEEWAY_DEFAULT: u64 = 60;
const REFRESH_DEFAULT: u64 = 300;
/// How long keys that could not be read again count: a day, and at most thirty.
const LAPSE_DEFAULT: u64 = 86_400;
const LAPSE_MAX: u64 = 30 * 86_400;

/// What may be verified with a public key. `none` and the shared-secret algorithms are not among them.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// An entry of `[[issuers]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerArgs {
    /// What the log calls it.
    name: String,
    /// The APIs that accept its tokens.
    dialects: Vec<String>,
    /// The tokens' `iss`; `{claim}` stands for a claim of the token itself.
    issuer: String,
    /// The tokens' `aud`: one of these.
    audience: OneOrMany,
    /// Its public keys: a file, or an http(s) URL.
    jwks: String,
    /// Which claim names the organization: a name, or names joined by dots.
    organization_claim: String,
    /// What the claim's values mean here; without it they are our ids.
    #[serde(default)]
    organizations: Option<BTreeMap<String, String>>,
    /// Which claim names the role.
    #[serde(default)]
    role_claim: Option<String>,
    /// What its values mean here.
    #[serde(default)]
    roles: BTreeMap<String, String>,
    /// The role of whoever has none of these; without it they are refused.
    #[serde(default)]
    default_role: Option<String>,
    /// How far its clock may differ from ours.
    #[serde(default)]
    leeway_seconds: Option<u64>,
    /// How often its keys are read again.
    #[serde(default)]
    refresh_seconds: Option<u64>,
    /// How long its keys count after they were last read.
    #[serde(default)]
    lapse_seconds: Option<u64>,
    /// Which algorithms it may sign with; without it, each that its keys fit.
    #[serde(default)]
    algorithms: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// An address.
    Url(reqwest::Url),
}

/// A claim's place: the whole name first, since names such as `https://example.com/org` hold dots themselves, then step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPath(pub(crate) String);

/// An issuer, checked.
#[derive(Clone, Debug)]
pub(crate) struct IssuerSettings {
    pub(crate) name: String,
    pub(crate) dialects: Vec<&'static str>,
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) source: Source,
    pub(crate) organization_claim: ClaimPath,
    pub(crate) organizations: Option<HashMap<String, OrganizationId>>,
    pub(crate) role_claim: Option<ClaimPath>,
    pub(crate) roles: HashMap<String, Role>,
    pub(crate) default_role: Option<Role>,
    /// In seconds.
    pub(crate) leeway: i64,
    pub(crate) refresh: Duration,
    /// Longer than `refresh`.
    pub(crate) lapse: SignedDuration,
    pub(crate) algorithms: Vec<Algorithm>,
}

/// Reads an issuer from a JSON object: the form of the flag and of the environment.
pub(crate) fn from_json(text: &str) -> anyhow::Result<IssuerArgs> {
    serde_json::from_str(text).context("--issuer: not a JSON object with the fields of [[issuers]]")
}

/// Checks all issuers, and that no token could be of two.
pub(crate) fn check(args: Vec<IssuerArgs>) -> anyhow::Result<Vec<IssuerSettings>> {
    ensure!(args.len() <= LIST_MAX, "issuers: at most {LIST_MAX}");
    let mut issuers: Vec<IssuerSettings> = Vec::with_capacity(args.len());
    for args in args {
        let label = args.name.clone();
        let next = args.check().with_context(|| format!("issuers: {label:?}"))?;
        for other in &issuers {
            ensure!(other.name != next.name, "issuers: two are called {:?}", next.name);
            let shared = other.dialects.iter().find(|dialect| next.dialects.contains(dialect));
            if let Some(dialect) = shared.filter(|_| overlap(&other.issuer, &next.issuer)) {
                bail!(
                    "issuers: {:?} and {:?}: one `iss` fits the `issuer` of both for {dialect}",
                    other.name,
                    next.name
                );
            }
        }
        issuers.push(next);
    }
    Ok(issuers)
}

impl IssuerArgs {
    fn check(self) -> anyhow::Result<IssuerSettings> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        ensure!(
            !self.name.is_empty() && self.name.len() <= TEXT_MAX && self.name.chars().all(plain),
            "`name` must be letters, digits, `-` and `_`"
        );
        let fits =
            |text: &str| !text.is_empty() && text.len() <= TEXT_MAX && !text.contains(char::is_whitespace);
        ensure!(fits(&self.issuer), "`issuer` must be 1 to {TEXT_MAX} characters without spaces");
        let other_claim = claim_in(&self.issuer)?.is_some_and(|claim| claim != self.organization_claim);
        ensure!(
            !other_claim || self.organizations.is_some(),
            "`issuer` stands for many tenants and `organization_claim` is another claim than theirs: any of them could name any \
             organization; give `organizations`, or take the tenants' claim"
        );
        let audiences = match self.audience {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        ensure!(
            (1..=LIST_MAX).contains(&audiences.len()) && audiences.iter().all(|a| !a.is_empty()),
            "`audience` must be a text or a list of texts: a token for somebody else must not open this service"
        );
        let default_role = self.default_role.as_deref().map(role).transpose().context("default_role")?;
        let named = |(value, name): (String, String)| Ok((value, role(&name)?));
        let roles: HashMap<_, _> =
            self.roles.into_iter().map(named).collect::<anyhow::Result<_>>().context("roles")?;
        ensure!(roles.len() <= LIST_MAX, "`roles` has at most {LIST_MAX} entries");
        ensure!(
            default_role.is_some() || (self.role_claim.is_some() && !roles.is_empty()),
            "give `role_claim` and `roles`, or a `default_role`: as it is, nobody has a role"
        );
        let seconds = |given: Option<u64>, default, range: std::ops::RangeInclusive<u64>, name: &str| {
            let value = given.unwrap_or(default);
            ensure!(range.contains(&value), "`{name}` must be {} to {}", range.start(), range.end());
            Ok(value)
        };
        let leeway = seconds(self.leeway_seconds, LEEWAY_DEFAULT, 0..=LEEWAY_MAX, "leeway_seconds")?;
        let refresh = seconds(self.refresh_seconds, REFRESH_DEFAULT, 1..=86_400, "refresh_seconds")?;
        // Twice the period at least: one reading that fails puts nobody out.
        let lapse = LAPSE_DEFAULT.max(refresh * 2);
        let lapse = seconds(self.lapse_seconds, lapse, refresh * 2..=LAPSE_MAX, "lapse_seconds")?;
        Ok(IssuerSettings {
            name: self.name,
            dialects: dialects_named(&self.dialects)?,
            issuer: self.issuer,
            audiences,
            source: source(&self.jwks)?,
            organization_claim: path("organization_claim", self.organization_claim)?,
            organizations: self.organizations.map(organizations).transpose()?,
            role_claim: self.role_claim.map(|claim| path("role_claim", claim)).transpose()?,
            roles,
            default_role,
            leeway: i64::try_from(leeway)?,
            refresh: Duration::from_secs(refresh),
            lapse: SignedDuration::from_secs(i64::try_from(lapse)?),
            algorithms: algorithms(self.algorithms.as_deref())?,
        })
    }
}

/// What may stand for `{claim}` in an issuer. A slash could lend itself to another issuer's path.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

/// The claim of an issuer's `{claim}`, if it has one.
fn claim_in(issuer: &str) -> anyhow::Result<Option<&str>> {
    let Some((_, rest)) = issuer.split_once('{') else { return Ok(None) };
    let claim = rest.split_once('}').filter(|(claim, after)| !claim.is_empty() && !after.contains('{'));
    claim.map(|(claim, _)| Some(claim)).context("`issuer` has at most one `{claim}`")
}

/// Whether some text is of both issuers. Walks both at once, over every way to share the letters out.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (steps(one), steps(other));
    let (mut open, mut seen) = (vec![(0, 0)], HashSet::from([(0, 0)]));
    while let Some((i, j)) = open.pop() {
        let (a, b) = match (one.get(i), other.get(j)) {
            (None, None) => return true,
            (Some(a), Some(b)) => (*a, *b),
            _ => continue,
        };
        let common = match (a, b) {
            (Some(a), Some(b)) => a == b,
            (Some(c), None) | (None, Some(c)) => is_plain(c),
            (None, None) => true,
        };
        // A claim's value goes on or ends with each letter; a letter of the text is over.
        let after = |step: Option<char>, at: usize| at + usize::from(step.is_some())..=at + 1;
        let next = after(a, i).flat_map(|i| after(b, j).map(move |j| (i, j)));
        open.extend(next.filter(|pair| common && seen.insert(*pair)));
    }
    false
}

/// The letters of an issuer; none stands for one or more of a claim's value.
fn steps(issuer: &str) -> Vec<Option<char>> {
    let Some((before, rest)) = issuer.split_once('{') else { return issuer.chars().map(Some).collect() };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    before.chars().map(Some).chain([None]).chain(after.chars().map(Some)).collect()
}

fn path(field: &str, claim: String) -> anyhow::Result<ClaimPath> {
    ensure!(!claim.is_empty() && claim.len() <= TEXT_MAX, "`{field}` must be 1 to {TEXT_MAX} characters");
    Ok(ClaimPath(claim))
}

fn role(name: &str) -> anyhow::Result<Role> {
    Role::parse(name).with_context(|| format!("{name:?} is no role: owner, admin, member or viewer"))
}

fn dialects_named(names: &[String]) -> anyhow::Result<Vec<&'static str>> {
    ensure!(!names.is_empty(), "`dialects` must name at least one API");
    let known = |name: &String| {
        let dialect = dialects::by_name(name).with_context(|| format!("`dialects`: {name:?} is none"))?;
        let bearer =
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"))]);
        let reads = dialect.credential(&bearer).ok().flatten().is_some_and(|secret| secret == "a.b.c");
        ensure!(
            reads,
            "`dialects`: requests of {name} carry no `Authorization: Bearer`, which a token comes by"
        );
        Ok(dialect.name())
    };
    names.iter().map(known).collect()
}

fn organizations(named: BTreeMap<String, String>) -> anyhow::Result<HashMap<String, OrganizationId>> {
    ensure!(named.len() <= LIST_MAX, "`organizations` has at most {LIST_MAX} entries");
    let read = |(value, id): (String, String)| {
        let id = OrganizationId::parse(&id).with_context(|| format!("`organizations`: {id:?} is no UUID"))?;
        Ok((value, id))
    };
    named.into_iter().map(read).collect()
}

fn source(text: &str) -> anyhow::Result<Source> {
    ensure!(!text.is_empty(), "`jwks` must be a file or an http(s) URL");
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Ok(Source::File(PathBuf::from(text)));
    }
    let url: reqwest::Url = text.parse().context("`jwks` is no URL")?;
    ensure!(url.host_str().is_some_and(|host| !host.is_empty()), "`jwks` names no host");
    Ok(Source::Url(url))
}

fn algorithms(names: Option<&[String]>) -> anyhow::Result<Vec<Algorithm>> {
    let Some(names) = names else { return Ok(ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect()) };
    ensure!(!names.is_empty(), "`algorithms` must name at least one");
    let known = |name: &String| {
        let found = ALGORITHMS.iter().find(|(known, _)| known == name).map(|(_, algorithm)| *algorithm);
        let all = ALGORITHMS.map(|(known, _)| known).join(", ");
        found.with_context(|| format!("`algorithms`: {name:?} is not one of {all}"))
    };
    names.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "name": "entra", "dialects": ["neo"], "issuer": "https://login.example/{tid}/v2.0", "audience": "api://trunkline",
            "jwks": "https://login.example/keys", "organization_claim": "tid",
            "organizations": {"t1": "0190b5b0-1111-7222-8333-444455556666"},
            "role_claim": "roles", "roles": {"Admins": "admin"},
        })
    }

    fn checked(issuers: &[Value]) -> anyhow::Result<Vec<IssuerSettings>> {
        check(issuers.iter().map(|issuer| from_json(&issuer.to_string())).collect::<anyhow::Result<_>>()?)
    }

    fn with(field: &str, value: Value) -> Value {
        let mut issuer = good();
        issuer[field] = value;
        issuer
    }

    #[test]
    fn an_issuer_is_read_with_its_defaults() {
        let [issuer] = checked(&[good()]).unwrap().try_into().unwrap();
        assert_eq!((issuer.leeway, issuer.refresh), (60, Duration::from_mins(5)));
        assert_eq!(issuer.lapse, SignedDuration::from_hours(24));
        let seldom = checked(&[with("refresh_seconds", json!(86_400))]).unwrap();
        assert_eq!(seldom[0].lapse, SignedDuration::from_hours(48));
        assert_eq!(issuer.algorithms.len(), ALGORITHMS.len());
        assert!(matches!(issuer.source, Source::Url(_)));
        let file = checked(&[with("jwks", json!("/etc/keys.json"))]).unwrap();
        assert!(matches!(file[0].source, Source::File(_)));
    }

    #[test]
    fn what_would_open_the_door_too_wide_or_to_nobody_is_refused() {
        for (field, value) in [
            ("audience", json!([])),
            ("audience", json!("")),
            ("dialects", json!([])),
            ("dialects", json!(["fax"])),
            ("dialects", json!(["polyai"])),
            ("algorithms", json!(["HS256"])),
            ("algorithms", json!(["none"])),
            ("algorithms", json!([])),
            ("issuer", json!("")),
            ("roles", json!({})),
            ("roles", json!({"Admins": "king"})),
            ("organizations", json!({"t1": "acme"})),
            ("leeway_seconds", json!(601)),
            ("refresh_seconds", json!(0)),
            // Two readings at least, and not for ever.
            ("lapse_seconds", json!(599)),
            ("lapse_seconds", json!(2_592_001)),
            ("jwks", json!("https://")),
            ("tenant", json!("x")),
        ] {
            let error = checked(&[with(field, value.clone())]);
            assert!(error.is_err(), "{field} {value}");
        }
        assert!(checked(&[good(), good()]).is_err());
        assert!(checked(&[good(), with("name", json!("other"))]).is_err(), "one token, two issuers");
        let mut literal = with("issuer", json!("https://login.example/t-2/v2.0"));
        literal["name"] = json!("other");
        for pair in [[good(), literal.clone()], [literal.clone(), good()]] {
            let error = checked(&pair).unwrap_err().to_string();
            assert!(error.contains("\"entra\"") && error.contains("\"other\""), "{error}");
        }
        literal["dialects"] = json!(["krosai"]);
        assert!(checked(&[good(), literal]).is_ok());
        let mut elsewhere = with("name", json!("other"));
        elsewhere["dialects"] = json!(["krosai"]);
        assert!(checked(&[good(), elsewhere]).is_ok());
    }

    #[test]
    fn an_issuer_of_many_tenants_lets_none_name_anothers_organization() {
        let mut wide = with("organization_claim", json!("app.organization"));
        assert!(checked(&[wide.clone()]).is_ok(), "what its values mean is said");
        wide["organizations"] = Value::Null;
        let error = format!("{:#}", checked(&[wide.clone()]).unwrap_err());
        assert!(error.contains("organization_claim"), "{error}");
        wide["organization_claim"] = json!("tid");
        assert!(checked(&[wide]).is_ok());
        for issuer in ["https://{}/", "https://{tid", "https://{a}/{b}"] {
            assert!(checked(&[with("issuer", json!(issuer))]).is_err(), "{issuer}");
        }
    }

    #[test]
    fn issuers_overlap_where_one_text_is_of_both() {
        for (one, other, both) in [
            ("https://a/b", "https://a/b", true),
            ("https://a/b", "https://a/c", false),
            ("https://a/{t}/v2", "https://a/b-1/v2", true),
            ("https://a/{t}/v2", "https://a/b/c/v2", false),
            ("https://a/{t}/v2", "https://a//v2", false),
            ("https://a/{t}/v2", "https://a/{o}/v2", true),
            ("https://a/{t}", "https://a/b/{t}", false),
            ("https://a/{t}/x-y", "https://a/b/x{t}", true),
            ("https://{t}.a", "https://x{t}", false),
            ("https://{t}a", "https://x{t}", true),
        ] {
            assert_eq!((overlap(one, other), overlap(other, one)), (both, both), "{one} {other}");
        }
    }
}
