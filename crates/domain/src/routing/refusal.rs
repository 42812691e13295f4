//! Why a call is refused: one status, one name, one sentence each.

/// Why a call is refused. Each has one SIP status, one phrase for the wire and one sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The source is no trunk's address: said to nobody, answered with silence.
    UnknownSource,
    /// The caller was asked for its trunk's password and gave a wrong one.
    NotProven,
    /// What was dialled is no phone number.
    NotANumber,
    /// No such number here, or not reachable through this trunk.
    UnknownNumber,
    /// The number waits for its carrier or for the operator.
    Pending,
    /// The number is on its way in from another carrier.
    PortIn,
    /// The number is switched off.
    Inactive,
    /// The number is off because its rent is not paid.
    Unpaid,
    /// The trunk takes calls of other callers only.
    CallerNotAllowed,
    /// The trunk takes encrypted sound only, and the offer may end up plain.
    MediaPlain,
    /// The trunk takes no encrypted sound, and the offer allows nothing else.
    MediaSecure,
    /// The endpoint takes encrypted sound only, and the offer may end up plain.
    EndpointMediaPlain,
    /// The endpoint takes no encrypted sound, and the offer allows nothing else.
    EndpointMediaSecure,
    /// The endpoint takes no keys agreed by DTLS, and the offer allows nothing else.
    EndpointMediaDtls,
    /// Sound has to be encrypted, its keys stand in the offer, and the offer does not travel encrypted on both sides.
    MediaKeysOpen,
    /// The number takes no calls.
    InboundOff,
    /// The number is not made for calls.
    NoVoice,
    /// The balance is used up.
    Balance,
    /// Nobody answers this number.
    NoEndpoint,
    /// The endpoint is switched off.
    EndpointInactive,
    /// The endpoint is called over HTTP, never by SIP.
    EndpointNotSip,
    /// The endpoint has no target switched on.
    NoTarget,
    /// The organization has as many calls in progress as it may have.
    TooManyCalls,
    /// A rule of the number refuses this caller.
    CallerRefused,
    /// The number is closed at this time.
    Closed,
    /// The number has as many calls in progress as it may have.
    NumberFull,
    /// The trunk has as many calls in progress as it may have.
    TrunkFull,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 27] = [
        Self::UnknownSource,
        Self::NotProven,
        Self::NotANumber,
        Self::UnknownNumber,
        Self::Pending,
        Self::PortIn,
        Self::Inactive,
        Self::Unpaid,
        Self::CallerNotAllowed,
        Self::MediaPlain,
        Self::MediaSecure,
        Self::EndpointMediaPlain,
        Self::EndpointMediaSecure,
        Self::EndpointMediaDtls,
        Self::MediaKeysOpen,
        Self::InboundOff,
        Self::NoVoice,
        Self::Balance,
        Self::NoEndpoint,
        Self::EndpointInactive,
        Self::EndpointNotSip,
        Self::NoTarget,
        Self::TooManyCalls,
        Self::CallerRefused,
        Self::Closed,
        Self::NumberFull,
        Self::TrunkFull,
    ];

    /// The SIP status (RFC 3261 section 21).
    pub fn sip_status(self) -> u16 {
        match self {
            Self::UnknownSource | Self::CallerNotAllowed | Self::InboundOff => 403,
            Self::NotANumber | Self::UnknownNumber => 404,
            Self::NotProven => 407,
            Self::MediaPlain
            | Self::MediaSecure
            | Self::EndpointMediaPlain
            | Self::EndpointMediaSecure
            | Self::EndpointMediaDtls
            | Self::MediaKeysOpen => 488,
            Self::Pending
            | Self::PortIn
            | Self::Inactive
            | Self::NoVoice
            | Self::NoEndpoint
            | Self::EndpointInactive
            | Self::EndpointNotSip
            | Self::NoTarget
            | Self::Closed => 480,
            Self::Balance | Self::Unpaid => 402,
            // Of this call alone: a 503 would tell the carrier to keep all others away too (RFC 3261 section 21.5.4).
            Self::TooManyCalls | Self::NumberFull => 486,
            // Here it is meant so: the carrier is to take another way for a while.
            Self::TrunkFull => 503,
            Self::CallerRefused => 603,
        }
    }

    /// A short name for records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::NotProven => "wrong_password",
            Self::NotANumber => "not_a_number",
            Self::UnknownNumber => "unknown_number",
            Self::Pending => "number_pending",
            Self::PortIn => "number_port_in",
            Self::Inactive => "number_inactive",
            Self::Unpaid => "number_unpaid",
            Self::CallerNotAllowed => "caller_not_allowed",
            Self::MediaPlain => "media_not_encrypted",
            Self::MediaSecure => "media_encrypted",
            Self::EndpointMediaPlain => "endpoint_media_not_encrypted",
            Self::EndpointMediaSecure => "endpoint_media_encrypted",
            Self::EndpointMediaDtls => "endpoint_media_dtls",
            Self::MediaKeysOpen => "media_keys_open",
            Self::InboundOff => "inbound_off",
            Self::NoVoice => "no_voice",
            Self::Balance => "balance",
            Self::NoEndpoint => "no_endpoint",
            Self::EndpointInactive => "endpoint_inactive",
            Self::EndpointNotSip => "endpoint_not_sip",
            Self::NoTarget => "no_target",
            Self::TooManyCalls => "too_many_calls",
            Self::CallerRefused => "caller_refused",
            Self::Closed => "closed",
            Self::NumberFull => "number_full",
            Self::TrunkFull => "trunk_full",
        }
    }

    /// A sentence that says what to do next.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnknownSource => {
                "The call came from an address that no trunk allows. Add it to the trunk's `inbound.allowed_addresses`."
            }
            Self::NotProven => {
                "The caller gave a user name or password that is not its trunk's. Compare them with the trunk's `inbound.credentials`."
            }
            Self::NotANumber => {
                "What was dialled is not a phone number. Have the carrier send E.164, such as +14155550100."
            }
            Self::UnknownNumber => {
                "No organization holds this number, or not on the trunk that the call came from."
            }
            Self::Pending => "The number is pending: its carrier or the operator has not activated it yet.",
            Self::PortIn => {
                "The number is on its way in from another carrier (port_in). The operator activates it when it is here."
            }
            Self::Inactive => "The number is inactive. Set its status to active.",
            Self::Unpaid => "The number is inactive because its rent is unpaid. Add money to the ledger.",
            Self::CallerNotAllowed => {
                "The trunk does not take calls of this caller. Add the caller to its `inbound.allowed_numbers`, or empty that list."
            }
            Self::MediaPlain => {
                "The trunk requires encrypted sound and the call did not offer it. Have the carrier offer SRTP only, or set the trunk's `inbound.media_encryption` to allowed."
            }
            Self::MediaSecure => {
                "The call offered encrypted sound only, which the trunk has disabled. Set its `inbound.media_encryption` to allowed, or have the carrier offer plain RTP."
            }
            Self::EndpointMediaPlain => {
                "The endpoint requires encrypted sound and the call did not offer it. Turn on secure trunking (SRTP) at the carrier, or set the endpoint's `media_encryption` to allowed if its platform takes plain RTP."
            }
            Self::EndpointMediaSecure => {
                "The call offered encrypted sound only, which the endpoint has disabled. Turn secure trunking (SRTP) off at the carrier, or set the endpoint's `media_encryption` to allowed if its platform takes SRTP."
            }
            Self::EndpointMediaDtls => {
                "The call offered sound that is encrypted with keys agreed by DTLS, which the endpoint's platform does not take. Have the carrier offer SRTP with keys in its offer (SDES), or plain RTP."
            }
            Self::MediaKeysOpen => {
                "Encrypted sound is required, its keys stand in the offer, and the offer does not travel by TLS on both sides. Have the carrier call by TLS and give the endpoint targets with `transport=tls`, or set `media_encryption` of the trunk and the endpoint to allowed."
            }
            Self::InboundOff => "The number does not accept calls. Set `allow_inbound` to true.",
            Self::NoVoice => "The number carries no calls: `capabilities.voice` is false. Buy one that does.",
            Self::Balance => "The organization's balance is used up. Add money to its ledger.",
            Self::NoEndpoint => {
                "The number has no endpoint. Give it one, or an agent that has a default endpoint in its environment."
            }
            Self::EndpointInactive => {
                "The number's endpoint is inactive. Set the endpoint's status to active."
            }
            Self::EndpointNotSip => {
                "The number's endpoint is a webhook, which takes no calls by SIP. Give the number another endpoint."
            }
            Self::NoTarget => "The number's endpoint has no target that is switched on.",
            Self::TooManyCalls => {
                "The organization has as many calls in progress as it may have. Wait until one ends, or have the operator raise the limit in its settings."
            }
            Self::CallerRefused => "A rule of the number's `caller_rules` refuses this caller.",
            Self::Closed => {
                "The number is closed at this time by its `schedule`, or its organization's. Give it a `fallback` on `closed` to have such calls answered."
            }
            Self::NumberFull => {
                "The number has as many calls in progress as its `max_concurrent_calls` allows. Wait until one ends, or raise it."
            }
            Self::TrunkFull => {
                "The trunk has as many calls in progress as its `max_concurrent_calls` allows. Wait until one ends, or raise it."
            }
        }
    }
}
