//! Where the endpoints of platforms answer. A platform is known by a few ids that an endpoint keeps as data (`config`); its SIP
//! address follows from them, so nobody has to know it. An `url` of the endpoint's own stands in its place.
//!
//! Not here: whether a call goes there (`routing`), and what a vendor's API calls these fields.

mod presets;

use crate::Bag;
use crate::endpoint::EndpointKind;
use crate::error::{Error, Kind, Result, What};
use crate::manner::{Header, Manner, ToForm};
use crate::provider::MediaEncryption;
use crate::target::{Target, TargetUri};
use serde_json::Value;

pub use presets::PRESETS;

/// How a platform knows whose calls these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// As the endpoint's holder has set it up there.
    AsConfigured,
    /// By our address, or by what the Request-URI names.
    Address,
    /// By our address, or by a password that it asks for.
    AddressOrPassword,
}

/// One way to make a platform's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// It holds where `config` has this; the last one has no condition.
    pub when: &'static str,
    /// The address, with names of `config` in braces: `{id}` an id, `{a|b}` the first of two that is there, `{@uri}` a whole
    /// address or a host. Without a user part, the dialled number is put there.
    pub uri: &'static str,
}

/// What a platform wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The kind of its endpoints.
    pub kind: EndpointKind,
    /// How its address is made; the first way whose condition holds.
    pub ways: &'static [Way],
    /// What stands in To.
    pub to_form: ToForm,
    /// Lines that calls get on their way.
    pub headers: &'static [(&'static str, &'static str)],
    /// Whether sound may be encrypted.
    pub media_encryption: MediaEncryption,
    /// Whether it takes keys that are agreed by DTLS.
    pub dtls: bool,
    /// How it knows whose calls these are.
    pub auth: Auth,
    /// Its answers may carry SDP without a type: they get one.
    pub sdp_type: bool,
    /// What one of its addresses refused, none of its host is asked again.
    pub once: bool,
    /// How long it may ring, where that is not the usual.
    pub ring_seconds: Option<u16>,
    /// The page this was read from.
    pub source: &'static str,
    /// The month it was read in.
    pub read: &'static str,
}

/// The row of a kind.
pub fn preset(kind: EndpointKind) -> &'static Preset {
    PRESETS.iter().find(|row| row.kind == kind).unwrap_or(&presets::PLAIN)
}

/// The same for an endpoint that may name its platform within its config.
pub fn preset_of(kind: EndpointKind, config: &Bag) -> &'static Preset {
    let named = || config.get("provider").and_then(Value::as_str).and_then(EndpointKind::parse);
    preset(if kind == EndpointKind::Agent { named().unwrap_or(kind) } else { kind })
}

/// The fields that a kind fills in.
pub(crate) fn manner(kind: EndpointKind) -> Manner {
    let Preset { to_form, headers, media_encryption, ring_seconds, .. } = *preset(kind);
    let line = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: (*value).into() };
    let headers = headers.iter().map(line).collect();
    Manner { credentials: None, media_encryption, headers, to_form, ring_seconds }
}

/// The most that an endpoint's `config` holds, in bytes of JSON.
pub const CONFIG_MAX: usize = 8_192;
/// The longest `url`, in bytes.
pub const URL_MAX: usize = 2_048;
/// The longest id of a platform's, in bytes.
const ID_MAX: usize = 128;
/// Priority and weight of a target that stands alone.
const MIDDLE: u16 = 10;

/// The targets of an endpoint whose kind is no plain SIP.
pub(crate) fn targets(kind: EndpointKind, url: Option<&str>, config: &Bag) -> Result<Vec<Target>> {
    if serde_json::to_vec(config).map_or(true, |text| text.len() > CONFIG_MAX) {
        return Err(invalid("config", format!("`config` may have at most {CONFIG_MAX} bytes.")));
    }
    let address = match (kind, url) {
        (EndpointKind::Webhook, url) => return web(url).map(|()| Vec::new()),
        (_, Some(url)) => {
            // Ids beside an address of its own are still ids, and kept.
            return TargetUri::parse(url).map(|uri| vec![alone(uri)]).map_err(|e| e.at("url").say(SIP_URL));
        }
        (EndpointKind::CustomSip, None) => return Err(Error::missing(What::Endpoint, "url")),
        (EndpointKind::Agent, None) => return of_provider(config),
        (_, None) => match address(preset(kind), config)? {
            Some(address) => address,
            None => return Ok(Vec::new()),
        },
    };
    let uri = TargetUri::parse(&address)
        .map_err(|_| invalid("config", "`config` does not make a SIP address.".into()))?;
    Ok(vec![alone(uri)])
}

pub(crate) const SIP_URL: &str = "`url` must be a SIP address such as `sip:agent@sip.example.com`.";

/// A target that stands alone.
pub(crate) fn alone(uri: TargetUri) -> Target {
    Target { uri, priority: MIDDLE, weight: MIDDLE, enabled: true }
}

fn invalid(field: &'static str, words: String) -> Error {
    Error::invalid(What::Endpoint, field, words)
}

/// A webhook's address: it is called over HTTP, never by SIP.
fn web(url: Option<&str>) -> Result<()> {
    let url = url.ok_or_else(|| Error::missing(What::Endpoint, "url"))?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or("");
    let printable = url.bytes().all(|b| (0x21..0x7f).contains(&b) && !b"<>\"\\".contains(&b));
    if rest.is_empty() || rest.starts_with('/') || url.len() > URL_MAX || !printable {
        return Err(invalid(
            "url",
            format!(
                "`url` must be an address that begins with https:// or http://, of at most {URL_MAX} bytes."
            ),
        ));
    }
    Ok(())
}

/// The address that a platform's `config` makes; none where the kind has no way to one.
fn address(preset: &Preset, config: &Bag) -> Result<Option<String>> {
    let there =
        |name: &str| config.get(name).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
    let Some(way) = preset.ways.iter().find(|way| way.when.is_empty() || there(way.when)) else {
        return Ok(None);
    };
    // Kept as data, and an id like the others.
    if preset.kind == EndpointKind::LiveKit && there("livekit_sip_trunk_id") {
        id(config, &["livekit_sip_trunk_id"])?;
    }
    let mut text = String::new();
    let mut rest = way.uri;
    while let Some((before, hole)) = rest.split_once('{') {
        let (names, after) = hole.split_once('}').unwrap_or((hole, ""));
        text.push_str(before);
        match names.strip_prefix('@') {
            Some(name) => text.push_str(&uri_of(config, name)?),
            None => text.push_str(id(config, &names.split('|').collect::<Vec<_>>())?),
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(Some(text))
}

/// A SIP address of the platform's own, with or without the scheme.
fn uri_of(config: &Bag, name: &str) -> Result<String> {
    let text = match config.get(name) {
        Some(Value::String(text)) => text.as_str(),
        None | Some(Value::Null) => return Err(lacks(name)),
        Some(_) => return Err(invalid("config", format!("`config`: `{name}` must be a text."))),
    };
    let schemed = text.starts_with("sip:") || text.starts_with("sips:");
    Ok(if schemed { text.to_owned() } else { format!("sip:{text}") })
}

/// An agent that names its platform within its config; one that names none has no address of ours.
fn of_provider(config: &Bag) -> Result<Vec<Target>> {
    let kind = match config.get("provider") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_str().and_then(EndpointKind::parse),
    };
    match kind {
        Some(
            kind @ (EndpointKind::Vapi
            | EndpointKind::Retell
            | EndpointKind::LiveKit
            | EndpointKind::OpenAi
            | EndpointKind::AzureOpenAi
            | EndpointKind::XAi
            | EndpointKind::Bland
            | EndpointKind::ElevenLabs),
        ) => targets(kind, None, config),
        Some(EndpointKind::Vogent) => Ok(Vec::new()),
        _ => Err(invalid(
            "config",
            "`config`: `provider` must be one of `elevenlabs`, `livekit`, `retell`, `vapi`, `vogent`.".into(),
        )),
    }
}

fn lacks(name: &str) -> Error {
    let words = format!("`config` must have `{name}`.");
    Error::new(Kind::Missing, What::Endpoint, words).at("config")
}

/// An id of a platform's, by the first of its names that is there. It becomes a part of an address, so it holds nothing that
/// would change the address's shape.
fn id<'a>(config: &'a Bag, names: &[&str]) -> Result<&'a str> {
    let name = names.iter().copied().find(|name| config.get(*name).is_some_and(|v| !v.is_null()));
    let Some((name, value)) = name.and_then(|name| config.get(name).map(|value| (name, value))) else {
        return Err(lacks(names.first().copied().unwrap_or_default()));
    };
    let plain = |text: &&str| {
        (1..=ID_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+~".contains(&b))
    };
    value.as_str().filter(plain).ok_or_else(|| {
        invalid(
            "config",
            format!("`config`: `{name}` must be an id of at most {ID_MAX} letters, digits, `-`, `_` or `.`."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn made(kind: EndpointKind, url: Option<&str>, config: Value) -> String {
        let Value::Object(config) = config else { panic!("no object") };
        match targets(kind, url, &config) {
            Ok(targets) => targets.iter().map(|t| t.uri.as_str()).collect::<Vec<_>>().join(" "),
            Err(error) => format!("{:?} {}", error.kind, error.field.unwrap_or("")),
        }
    }

    #[test]
    fn platforms_have_addresses() {
        use EndpointKind as K;
        for (kind, config, address) in [
            (K::Vapi, json!({"assistant_id": "as-1"}), "sip:as-1@sip.vapi.ai"),
            (K::Vapi, json!({"assistant_id": "as-1", "credential_id": "cr-1"}), "sip:cr-1.sip.vapi.ai"),
            (K::Retell, json!({"agent_id": "agent_1"}), "sip:agent_1@sip.retellai.com;transport=tcp"),
            (
                K::ElevenLabs,
                json!({"elevenlabs_agent_id": "a"}),
                "sip:a@sip.rtc.elevenlabs.io:5060;transport=tcp",
            ),
            (K::LiveKit, json!({"livekit_sip_uri": "p.sip.livekit.cloud"}), "sip:p.sip.livekit.cloud"),
            (K::LiveKit, json!({"livekit_sip_uri": "sip:127.0.0.1:5080"}), "sip:127.0.0.1:5080"),
            (K::OpenAi, json!({"project_id": "proj_1"}), "sip:proj_1@sip.api.openai.com;transport=tls"),
            (
                K::AzureOpenAi,
                json!({"project_id": "proj_1", "region": "swedencentral"}),
                "sip:proj_1@swedencentral.sip.ai.azure.com;transport=tls",
            ),
            (K::XAi, json!({}), "sip:sip.voice.x.ai;transport=tls"),
            (K::Bland, json!({"region": "us2"}), "sip:us2.sip.bland.ai:5061;transport=tls"),
            (K::ElevenLabs, json!({"imported_number": true}), "sip:sip.rtc.elevenlabs.io:5060;transport=tcp"),
            (K::Retell, json!({"imported_number": true}), "sip:sip.retellai.com;transport=tcp"),
            (
                K::Agent,
                json!({"provider": "retell", "agent_id": "x"}),
                "sip:x@sip.retellai.com;transport=tcp",
            ),
            (K::Agent, json!({}), ""),
            (K::Vogent, json!({"agent": 1}), ""),
            (K::DirectSip, json!({}), ""),
        ] {
            assert_eq!(made(kind, None, config), address, "{kind:?}");
            assert_eq!(made(kind, Some("sip:own@h"), json!({})), "sip:own@h", "{kind:?}");
        }
        assert_eq!(made(K::Webhook, Some("https://example.com/x"), json!({})), "");
    }

    #[test]
    fn each_row_is_in_the_page_that_says_what_platforms_want() {
        let page = include_str!("../../../../docs/PLATFORMS.md");
        for row in &PRESETS {
            assert!(page.contains(row.source) && page.contains(row.read), "{:?}", row.kind);
            assert!(page.contains(&format!("`{}`", row.kind.as_str())), "{:?}", row.kind);
            for way in row.ways {
                assert!(page.contains(way.uri), "{}", way.uri);
            }
            assert_eq!(preset(row.kind), row);
            let manner = manner(row.kind);
            let same = crate::manner::MannerPatch {
                headers: crate::Patch::Set(manner.headers.clone()),
                ..Default::default()
            };
            assert_eq!(Manner::update(&manner, same).unwrap(), manner, "a user could have set it so");
        }
    }

    #[test]
    fn what_makes_no_address_is_refused() {
        use EndpointKind as K;
        for (kind, url, config, refusal) in [
            (K::Webhook, None, json!({}), "Missing url"),
            (K::Webhook, Some("sip:a@h"), json!({}), "Invalid url"),
            (K::Webhook, Some("https://"), json!({}), "Invalid url"),
            (K::CustomSip, None, json!({}), "Missing url"),
            (K::CustomSip, Some("https://example.com"), json!({}), "Invalid url"),
            (K::Vapi, None, json!({}), "Missing config"),
            (K::Vapi, None, json!({"assistant_id": "a@b"}), "Invalid config"),
            (K::Vapi, None, json!({"assistant_id": "a", "credential_id": 7}), "Invalid config"),
            (K::Retell, None, json!({"agent_id": ""}), "Invalid config"),
            (K::ElevenLabs, None, json!({"elevenlabs_agent_id": "x".repeat(ID_MAX + 1)}), "Invalid config"),
            (K::LiveKit, None, json!({"livekit_sip_uri": "a b"}), "Invalid config"),
            (K::LiveKit, None, json!({"livekit_sip_trunk_id": "t"}), "Missing config"),
            (K::OpenAi, None, json!({}), "Missing config"),
            (K::OpenAi, None, json!({"project_id": "a;transport=udp"}), "Invalid config"),
            (K::AzureOpenAi, None, json!({"project_id": "a"}), "Missing config"),
            (K::Bland, None, json!({}), "Missing config"),
            (K::Retell, None, json!({"imported_number": false}), "Missing config"),
            (K::Agent, None, json!({"provider": "pigeon"}), "Invalid config"),
            (K::Vogent, None, json!({"x": "y".repeat(CONFIG_MAX)}), "Invalid config"),
        ] {
            assert_eq!(made(kind, url, config.clone()), refusal, "{kind:?} {config}");
        }
    }
}
