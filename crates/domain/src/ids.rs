//! Identifiers. All are UUIDs (version 7, made outside: randomness is a parameter), except an agent's, which a client may choose.

use std::fmt;
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the hyphenated form; `None` where the text is no UUID.
            pub fn parse(text: &str) -> Option<Self> {
                // Only the canonical form: braces, urn: and bare hex would give one thing several names.
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    )+};
}

id! {
    /// A tenant.
    OrganizationId,
    /// An API key (its public name, not its secret).
    KeyId,
    /// A place that answers calls.
    EndpointId,
    /// A way to the phone network.
    ProviderId,
    /// A number that the operator can sell.
    StockId,
    /// A number held by an organization.
    NumberId,
    /// A call.
    CallId,
    /// An entry of the audit log.
    EventId,
    /// A place that events are sent to.
    WebhookId,
    /// What calls to numbers with a prefix cost.
    RateId,
    /// One movement of money: all its ledger entries together.
    PostingId,
    /// One piece of work at a carrier.
    IntentId,
    /// One of those that share a store.
    NodeId,
}

impl OrganizationId {
    /// Stands for "no tenant": the operator's own rows, such as a call from an unknown source.
    pub const NONE: Self = Self(Uuid::nil());
}

impl ProviderId {
    /// The simulated phone network, as a trunk of the operator's ("simulated networ" in its bytes).
    pub const SIMULATED: Self = Self(Uuid::from_u128(0x7369_6d75_6c61_7465_6420_6e65_7477_6f72));
}

/// An agent's id: generated, or chosen by the client where its dialect allows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(String);

impl AgentId {
    /// The longest id accepted, in bytes.
    pub const MAX: usize = 100;

    /// Letters, digits, `-` and `_`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (fits && plain).then(|| Self(text.to_owned()))
    }

    /// An id made from a fresh UUID.
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id.as_hyphenated().to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
