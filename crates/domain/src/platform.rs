//! Where the endpoints of platforms answer. A platform is known by a few ids that an endpoint keeps as data (`config`); its SIP
//! address follows from them, so nobody has to know it. An `url` of the endpoint's own stands in its place.
//!
//! Not here: whether a call goes there (`routing`), and what a vendor's API calls these fields.

use crate::Bag;
use crate::endpoint::EndpointKind;
use crate::error::{Error, Kind, Result, What};
use crate::target::{Target, TargetUri};
use serde_json::Value;

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
        (EndpointKind::Vapi, None) => vapi(config)?,
        (EndpointKind::Retell, None) => {
            format!("sip:{}@sip.retellai.com;transport=tcp", id(config, &["agent_id"])?)
        }
        (EndpointKind::ElevenLabs, None) => {
            let agent = id(config, &["elevenlabs_agent_id", "agent_id"])?;
            format!("sip:{agent}@sip.rtc.elevenlabs.io:5060;transport=tcp")
        }
        (EndpointKind::LiveKit, None) => livekit(config)?,
        (EndpointKind::Agent, None) => return of_provider(config),
        (EndpointKind::Vogent | EndpointKind::DirectSip | EndpointKind::Sip, None) => return Ok(Vec::new()),
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

/// A trunk credential has a host of its own, where the dialled number is the user; without one the assistant is the user.
fn vapi(config: &Bag) -> Result<String> {
    let assistant = id(config, &["assistant_id"])?;
    Ok(match config.get("credential_id") {
        None | Some(Value::Null) => format!("sip:{assistant}@sip.vapi.ai"),
        Some(_) => format!("sip:{}.sip.vapi.ai", id(config, &["credential_id"])?),
    })
}

/// The project's own SIP host, with or without the scheme. The dialled number is the user: the platform's trunk goes by it.
fn livekit(config: &Bag) -> Result<String> {
    if !config.get("livekit_sip_trunk_id").is_none_or(Value::is_null) {
        id(config, &["livekit_sip_trunk_id"])?;
    }
    let text = match config.get("livekit_sip_uri") {
        Some(Value::String(text)) => text.as_str(),
        Some(_) => return Err(invalid("config", "`config`: `livekit_sip_uri` must be a text.".into())),
        None => return Err(lacks("livekit_sip_uri")),
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
            (K::Agent, None, json!({"provider": "pigeon"}), "Invalid config"),
            (K::Vogent, None, json!({"x": "y".repeat(CONFIG_MAX)}), "Invalid config"),
        ] {
            assert_eq!(made(kind, url, config.clone()), refusal, "{kind:?} {config}");
        }
    }
}
