//! The manner in which calls are put to an endpoint: what its targets want of an INVITE beyond an address. A platform's kind fills
//! these fields in ([`crate::platform`]); whoever holds the endpoint may change each of them.

use crate::Patch;
use crate::error::{Error, Result, What};
use crate::header;
use crate::op::CredentialsIn;
use crate::provider::{Credentials, MediaEncryption};

/// What stands in an INVITE's To.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToForm {
    /// What the caller's network wrote.
    #[default]
    AsReceived,
    /// `sip:+…@host`: the dialled number in E.164 at the target's host. The caller finds its own To in the answers.
    E164,
}

impl ToForm {
    /// The forms with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::AsReceived, "as_received"), (Self::E164, "e164")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// A header line that calls get on their way. In its value `{call_id}` stands for our id of the call, `{caller}` for the number that
/// the caller shows, `{number}` for the dialled one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Header {
    /// The longest value, in bytes.
    pub const VALUE_MAX: usize = 512;

    fn check(&self) -> Result<()> {
        let Self { name, value } = self;
        if !header::is_free(name) || header::says_who(name) {
            let words = format!(
                "`headers`: `{}` cannot be set; a name has 2 to {} letters, digits or hyphens, and is none that a call has of its own, such as From or Via.",
                name.escape_debug(),
                header::NAME_MAX
            );
            return Err(Error::invalid(What::Endpoint, "headers", words));
        }
        let printable = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        if value.is_empty() || value.len() > Self::VALUE_MAX || !printable {
            let words = format!(
                "`headers`: the value of `{name}` must have 1 to {} characters of plain ASCII.",
                Self::VALUE_MAX
            );
            return Err(Error::invalid(What::Endpoint, "headers", words));
        }
        Ok(())
    }
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What answers where the targets ask for a password.
    pub credentials: Option<Credentials>,
    /// Whether sound may be encrypted.
    pub media_encryption: MediaEncryption,
    /// Lines that calls get on their way.
    pub headers: Vec<Header>,
    /// What stands in To.
    pub to_form: ToForm,
    /// How long a target may ring, in seconds, before the call goes elsewhere or is refused; none: [`Manner::RING`].
    pub ring_seconds: Option<u16>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            credentials: None,
            media_encryption: MediaEncryption::Allowed,
            headers: Vec::new(),
            to_form: ToForm::AsReceived,
            ring_seconds: None,
        }
    }
}

/// What a change of a manner may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MannerPatch {
    /// The credentials as they came in; `credentials` has them once they are encrypted.
    pub login: Patch<CredentialsIn>,
    /// The credentials.
    pub credentials: Patch<Credentials>,
    /// Whether sound may be encrypted.
    pub media_encryption: Option<MediaEncryption>,
    /// All headers.
    pub headers: Patch<Vec<Header>>,
    /// What stands in To.
    pub to_form: Option<ToForm>,
    /// How long a target may ring.
    pub ring_seconds: Patch<u16>,
}

impl Manner {
    /// The most headers of one endpoint.
    pub const HEADERS_MAX: usize = 16;
    /// How long a call may ring where nothing else is said.
    pub const RING: u16 = 120;
    /// The bounds of `ring_seconds`.
    pub const RING_BOUNDS: std::ops::RangeInclusive<u16> = 5..=900;

    /// Applies a patch. `base` is what holds where the patch says nothing.
    pub fn update(base: &Self, patch: MannerPatch) -> Result<Self> {
        let MannerPatch { login: _, credentials, media_encryption, headers, to_form, ring_seconds } = patch;
        let mut next = base.clone();
        credentials.apply(&mut next.credentials);
        next.media_encryption = media_encryption.unwrap_or(next.media_encryption);
        next.to_form = to_form.unwrap_or(next.to_form);
        ring_seconds.apply(&mut next.ring_seconds);
        let headers = match headers {
            Patch::Keep => None,
            Patch::Clear => Some(Vec::new()),
            Patch::Set(headers) => Some(headers),
        };
        if let Some(headers) = headers {
            if headers.len() > Self::HEADERS_MAX {
                let words = format!("`headers` may have at most {} entries.", Self::HEADERS_MAX);
                return Err(Error::invalid(What::Endpoint, "headers", words));
            }
            headers.iter().try_for_each(Header::check)?;
            next.headers = headers;
        }
        if next.ring_seconds.is_some_and(|seconds| !Self::RING_BOUNDS.contains(&seconds)) {
            let (least, most) = (Self::RING_BOUNDS.start(), Self::RING_BOUNDS.end());
            let words = format!("`ring_seconds` must be from {least} to {most}, or null.");
            return Err(Error::invalid(What::Endpoint, "ring_seconds", words));
        }
        let fits = |name: &str| !name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        if next.credentials.as_ref().is_some_and(|one| !fits(&one.username)) {
            let words =
                "`credentials.username` must not contain a quote, a backslash or a control character.";
            return Err(Error::invalid(What::Endpoint, "credentials", words));
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Sealed;

    fn headers(rows: &[(&str, &str)]) -> Result<Manner> {
        let rows = rows.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() });
        let patch = MannerPatch { headers: Patch::Set(rows.collect()), ..MannerPatch::default() };
        Manner::update(&Manner::default(), patch)
    }

    #[test]
    fn headers_that_a_call_has_of_its_own_cannot_be_set() {
        assert!(headers(&[("X-Telnyx-Token", "abc"), ("X-CALL-ID", "{call_id}")]).is_ok());
        for (name, value) in [
            ("Via", "x"),
            ("FROM", "x"),
            ("v", "x"),
            ("", "x"),
            ("X Y", "x"),
            ("X:Y", "x"),
            ("X\r\nVia", "x"),
            ("X-A", ""),
            ("X-A", "a\r\nVia: b"),
            ("X-A", "ü"),
        ] {
            assert_eq!(headers(&[(name, value)]).unwrap_err().field, Some("headers"), "{name}: {value}");
        }
        let long = "x".repeat(Header::VALUE_MAX + 1);
        assert!(headers(&[("X-A", &long)]).is_err() && headers(&[(&"N".repeat(65), "x")]).is_err());
        assert!(headers(&[("X-A", "x"); Manner::HEADERS_MAX]).is_ok());
        assert!(headers(&[("X-A", "x"); Manner::HEADERS_MAX + 1]).is_err());
    }

    #[test]
    fn each_field_changes_alone_and_has_its_bounds() {
        let credentials = Credentials { username: "u".into(), password: Sealed(vec![1]) };
        let full = MannerPatch {
            credentials: Patch::Set(credentials.clone()),
            media_encryption: Some(MediaEncryption::Required),
            to_form: Some(ToForm::E164),
            ring_seconds: Patch::Set(300),
            ..MannerPatch::default()
        };
        let manner = Manner::update(&Manner::default(), full).unwrap();
        assert_eq!(Manner::update(&manner, MannerPatch::default()).unwrap(), manner);
        let cleared =
            MannerPatch { credentials: Patch::Clear, ring_seconds: Patch::Clear, ..MannerPatch::default() };
        let cleared = Manner::update(&manner, cleared).unwrap();
        assert_eq!((cleared.credentials, cleared.ring_seconds), (None, None));
        assert_eq!(cleared.to_form, ToForm::E164);
        for seconds in [0, 4, 901] {
            let patch = MannerPatch { ring_seconds: Patch::Set(seconds), ..MannerPatch::default() };
            assert_eq!(Manner::update(&manner, patch).unwrap_err().field, Some("ring_seconds"));
        }
        let quoted = Credentials { username: "a\"b".into(), ..credentials };
        let patch = MannerPatch { credentials: Patch::Set(quoted), ..MannerPatch::default() };
        assert_eq!(Manner::update(&manner, patch).unwrap_err().field, Some("credentials"));
        for (form, name) in ToForm::NAMES {
            assert_eq!((form.as_str(), ToForm::parse(name)), (name, Some(form)));
        }
    }
}
