//! Whether sound is encrypted, and what an offer says of it.

/// Whether sound is encrypted on its way to and from a trunk. The edge hands an offer on as it is, or refuses it: see
/// [`MediaEncryption::refuses`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaEncryption {
    /// It is not asked for.
    #[default]
    Disabled,
    /// The two ends may agree on it.
    Allowed,
    /// It must be: what may end up plain is refused.
    Required,
}

/// What a call's offer says of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// There is none: the one who is called makes it (RFC 3261 section 13.2.1).
    Absent,
    /// It could not be read.
    Unreadable,
    /// Every stream may be plain.
    Plain,
    /// Every stream is encrypted, with keys that stand in the offer.
    Secure,
    /// Every stream is encrypted, with keys that the two ends agree on (DTLS).
    Dtls,
    /// Some streams are encrypted, others may be plain.
    Mixed,
}

impl Offer {
    /// The offers that can be asked about, with their names.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Plain, "plain"),
        (Self::Secure, "encrypted"),
        (Self::Dtls, "dtls"),
        (Self::Mixed, "mixed"),
        (Self::Absent, "none"),
    ];

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

impl MediaEncryption {
    /// The ways with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Disabled, "disabled"), (Self::Allowed, "allowed"), (Self::Required, "required")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// Whether an offer cannot be taken. `required` takes only what is encrypted whatever the other side answers, so it refuses
    /// one that cannot be read; `disabled` refuses only what cannot be answered plain. Where there is none, the answer makes it,
    /// and that is judged then.
    pub fn refuses(self, offer: Offer) -> bool {
        match self {
            Self::Required => matches!(offer, Offer::Unreadable | Offer::Plain | Offer::Mixed),
            Self::Disabled => matches!(offer, Offer::Secure | Offer::Dtls),
            Self::Allowed => false,
        }
    }
}
