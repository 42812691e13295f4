//! What a connector has beside the domain's endpoint: variant, languages and voice, kept in the endpoint's bag of this dialect.

use domain::error::Result;
use domain::{Bag, Endpoint, Patch};
use serde_json::Value;

use crate::json::{Body, boolean};

/// The bag's name.
const DIALECT: &str = "polyai";
/// The longest of these texts, in bytes.
const TEXT_MAX: usize = 100;

const VARIANT: &str = "variantId";
const LANGUAGE: &str = "asrLangCode";
const VOICE: &str = "voiceName";
const HANDOFF: &str = "disableHandoff";

const VARIANT_MUST: &str = "null or a text of at most 100 visible ASCII characters";
const LANGUAGE_MUST: &str = "null or a language code such as en-US";
const VOICE_MUST: &str = "null or a voice's name that begins with its language, such as en-US-Neural2-A";

/// A connector's fields as they are read.
pub(super) struct Voice {
    pub(super) variant_id: String,
    pub(super) asr_lang_code: String,
    pub(super) tts_lang_code: String,
    pub(super) name: String,
    pub(super) disable_handoff: bool,
}

impl Voice {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let bag = endpoint.bags.get(DIALECT);
        let field = |name| bag.and_then(|bag| bag.get(name));
        let text = |name| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text(VOICE);
        Self {
            variant_id: text(VARIANT),
            asr_lang_code: text(LANGUAGE),
            tts_lang_code: language_of(&name).unwrap_or_default().to_owned(),
            name,
            disable_handoff: !endpoint.allow_transfer,
        }
    }
}

/// Reads the fields that a change names. An empty text is what an unset field reads as, so it unsets like null.
pub(super) fn changes(body: &mut Body) -> Result<Bag> {
    let mut bag = Bag::new();
    put(&mut bag, VARIANT, body.patch(VARIANT, VARIANT_MUST, checked(is_variant))?);
    put(&mut bag, LANGUAGE, body.patch(LANGUAGE, LANGUAGE_MUST, checked(is_language))?);
    put(&mut bag, VOICE, body.patch(VOICE, VOICE_MUST, checked(|text| language_of(text).is_some()))?);
    Ok(bag)
}

/// Reads what only a new connector may say: whether its agent may hand a call over.
pub(super) fn handoff(body: &mut Body) -> Result<Option<bool>> {
    Ok(body.optional(HANDOFF, "true or false", boolean)?.map(|disabled| !disabled))
}

/// A connector that leaves its agent leaves the agent's variants, unless the change names one of its new agent's.
pub(super) fn leave(bag: &mut Bag) {
    bag.entry(VARIANT).or_insert(Value::Null);
}

/// These fields as a change of an endpoint's bags.
pub(super) fn bags(fields: Bag) -> Bag {
    if fields.is_empty() { fields } else { Bag::from_iter([(DIALECT.to_owned(), Value::Object(fields))]) }
}

fn put(bag: &mut Bag, name: &str, wish: Patch<Value>) {
    match wish {
        Patch::Keep => {}
        Patch::Clear => drop(bag.insert(name.to_owned(), Value::Null)),
        Patch::Set(value) => drop(bag.insert(name.to_owned(), value)),
    }
}

fn checked(fits: impl FnOnce(&str) -> bool) -> impl FnOnce(Value) -> Option<Value> {
    move |value| {
        let text = value.as_str()?;
        match text {
            "" => Some(Value::Null),
            text if text.len() <= TEXT_MAX && fits(text) => Some(value),
            _ => None,
        }
    }
}

fn is_variant(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Subtags as RFC 5646 shapes them: a language of two or three letters, then parts of one to eight letters and digits.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().is_some_and(is_primary);
    language
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_primary(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
}

/// The language and region with which a voice's name begins; `None` where the text is no voice's name.
fn language_of(voice: &str) -> Option<&str> {
    let mut parts = voice.splitn(3, '-');
    let (language, region, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let country = region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase());
    let area = region.len() == 3 && region.bytes().all(|b| b.is_ascii_digit());
    let named = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (is_primary(language) && (country || area) && named).then(|| &voice[..=language.len() + region.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voices_name_begins_with_its_language() {
        assert_eq!(language_of("en-US-Neural2-A"), Some("en-US"));
        assert_eq!(language_of("cmn-CN-Wavenet-A"), Some("cmn-CN"));
        assert_eq!(language_of("es-419-Standard-B"), Some("es-419"));
        for text in ["", "en", "en-US", "en-US-", "EN-us-A", "alloy", "en-US-é", "english-US-A"] {
            assert_eq!(language_of(text), None, "{text}");
        }
    }

    #[test]
    fn languages_have_their_shape() {
        for text in ["en", "en-US", "zh-Hant-TW", "cmn-Hans-CN"] {
            assert!(is_language(text), "{text}");
        }
        for text in ["", "e", "EN", "en_US", "en-", "-en", "en-toolongpart", "é"] {
            assert!(!is_language(text), "{text}");
        }
    }
}
