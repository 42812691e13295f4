//! Why calls out are refused: one status, one name and one sentence for each.

/// Why a call out is refused. Each has one SIP status, one name for records and one sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Nothing proves whose call it is.
    UnknownSource,
    /// Credentials that are nobody's.
    NotProven,
    /// What is shown as the caller is no number of the organization's.
    CallerNotHeld,
    /// What is shown as the caller is another number than that of the credentials.
    CallerNotProven,
    /// The number waits for its carrier or for the operator.
    Pending,
    /// The number is switched off.
    Inactive,
    /// The number is off because its rent is not paid.
    Unpaid,
    /// The number is not made for calls.
    NoVoice,
    /// The number may not call out.
    OutboundOff,
    /// What was dialled is no phone number.
    NotANumber,
    /// The number's trunk takes no calls out.
    TrunkOneWay,
    /// The number's account at a carrier has no address for calls out.
    AccountOneWay,
    /// The operator has no trunk that takes calls out.
    NoTrunk,
    /// A call for help, which the trunk does not carry.
    Emergency,
    /// The organization may not call that country.
    CountryClosed,
    /// The trunk is for calls to another country.
    TrunkCountry,
    /// The trunk takes encrypted sound only, and the offer may end up plain.
    MediaPlain,
    /// The trunk takes no encrypted sound, and the offer allows nothing else.
    MediaSecure,
    /// Sound has to be encrypted, its keys stand in the offer, and the offer does not travel encrypted on both sides.
    MediaKeysOpen,
    /// The balance is used up.
    Balance,
    /// The organization has as many calls in progress as it may have.
    TooManyCalls,
    /// The number has as many calls in progress as it may have.
    NumberFull,
    /// The trunk has as many calls in progress as it may have.
    TrunkFull,
    /// The number has begun as many calls this minute as it may.
    NumberMinute,
    /// The number has begun as many calls today as it may.
    NumberDay,
    /// The organization has begun as many calls this minute as it may.
    OrganizationMinute,
    /// The organization has begun as many calls today as it may.
    OrganizationDay,
    /// The trunk takes no more calls this second.
    TrunkPace,
}

// What is refused for now, in words: see [`Refusal::words`].
const NUMBER_FULL: &str = "The number has as many calls in progress as its `max_concurrent_calls` allows. Wait until one ends, or raise it.";
const TRUNK_FULL: &str = "The trunk has as many calls in progress as its `max_concurrent_calls` allows. Wait until one ends, or raise it.";
const NUMBER_MINUTE: &str = "The number has begun as many calls this minute as it may: see its `outbound_calls_per_minute` and the organization's setting `outbound_number_calls_per_minute`.";
const NUMBER_DAY: &str = "The number has begun as many calls today as it may: see its `outbound_calls_per_day` and the organization's setting `outbound_number_calls_per_day`.";
const ORGANIZATION_MINUTE: &str = "The organization has begun as many calls this minute as it may: see its setting `outbound_calls_per_minute`.";
const ORGANIZATION_DAY: &str =
    "The organization has begun as many calls today as it may: see its setting `outbound_calls_per_day`.";
const TRUNK_PACE: &str =
    "The trunk takes no more calls this second: see its `outbound.calls_per_second`. Try again.";

impl Refusal {
    /// Every refusal, in the order of the rules.
    pub const ALL: [Self; 28] = [
        Self::UnknownSource,
        Self::NotProven,
        Self::CallerNotHeld,
        Self::CallerNotProven,
        Self::Pending,
        Self::Inactive,
        Self::Unpaid,
        Self::NoVoice,
        Self::OutboundOff,
        Self::NotANumber,
        Self::TrunkOneWay,
        Self::AccountOneWay,
        Self::NoTrunk,
        Self::Emergency,
        Self::CountryClosed,
        Self::TrunkCountry,
        Self::MediaPlain,
        Self::MediaSecure,
        Self::MediaKeysOpen,
        Self::Balance,
        Self::TooManyCalls,
        Self::NumberFull,
        Self::TrunkFull,
        Self::NumberMinute,
        Self::NumberDay,
        Self::OrganizationMinute,
        Self::OrganizationDay,
        Self::TrunkPace,
    ];

    /// The SIP status (RFC 3261 section 21). Of what is refused for now, 486 is of this call alone, as for calls that come in;
    /// 503 says with Retry-After when to try again.
    pub fn sip_status(self) -> u16 {
        match self {
            Self::NotProven => 407,
            Self::UnknownSource
            | Self::CallerNotHeld
            | Self::CallerNotProven
            | Self::Pending
            | Self::Inactive
            | Self::NoVoice
            | Self::OutboundOff
            | Self::TrunkOneWay
            | Self::AccountOneWay
            | Self::NoTrunk
            | Self::Emergency
            | Self::CountryClosed
            | Self::TrunkCountry => 403,
            Self::NotANumber => 404,
            Self::MediaPlain | Self::MediaSecure | Self::MediaKeysOpen => 488,
            Self::Unpaid | Self::Balance => 402,
            Self::TooManyCalls | Self::NumberFull => 486,
            Self::TrunkFull
            | Self::NumberMinute
            | Self::NumberDay
            | Self::OrganizationMinute
            | Self::OrganizationDay
            | Self::TrunkPace => 503,
        }
    }

    /// A short name for records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::NotProven => "wrong_password",
            Self::CallerNotHeld => "caller_not_held",
            Self::CallerNotProven => "caller_not_proven",
            Self::Pending => "number_pending",
            Self::Inactive => "number_inactive",
            Self::Unpaid => "number_unpaid",
            Self::NoVoice => "no_voice",
            Self::OutboundOff => "outbound_off",
            Self::NotANumber => "not_a_number",
            Self::TrunkOneWay => "trunk_one_way",
            Self::AccountOneWay => "account_one_way",
            Self::NoTrunk => "no_trunk",
            Self::Emergency => "emergency",
            Self::CountryClosed => "country_closed",
            Self::TrunkCountry => "trunk_country",
            Self::MediaPlain => "media_not_encrypted",
            Self::MediaSecure => "media_encrypted",
            Self::MediaKeysOpen => "media_keys_open",
            Self::Balance => "balance",
            Self::TooManyCalls => "too_many_calls",
            Self::NumberFull => "number_full",
            Self::TrunkFull => "trunk_full",
            Self::NumberMinute => "number_calls_per_minute",
            Self::NumberDay => "number_calls_per_day",
            Self::OrganizationMinute => "organization_calls_per_minute",
            Self::OrganizationDay => "organization_calls_per_day",
            Self::TrunkPace => "trunk_pace",
        }
    }

    /// A sentence that says what to do next.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnknownSource => {
                "Nothing shows whose call this is. Give the number's SIP credentials, or add the address to the endpoint's `source_addresses`."
            }
            Self::NotProven => {
                "The user name or the password is no number's. Compare them with the number's `sip_credentials`."
            }
            Self::CallerNotHeld => {
                "The organization does not hold the number shown as the caller. Put one of its numbers in E.164 into From, such as +14155550100."
            }
            Self::CallerNotProven => {
                "The credentials are another number's than the one shown as the caller. Use the SIP credentials of the number that calls."
            }
            Self::Pending => {
                "The number that calls is pending: its carrier or the operator has not activated it yet."
            }
            Self::Inactive => "The number that calls is inactive. Set its status to active.",
            Self::Unpaid => {
                "The number that calls is inactive because its rent is unpaid. Add money to the ledger."
            }
            Self::NoVoice => {
                "The number that calls carries no calls: `capabilities.voice` is false. Use one that does."
            }
            Self::OutboundOff => "The number does not call out. Set its `allow_outbound` to true.",
            Self::NotANumber => {
                "What was dialled is not a phone number. Dial E.164, such as +14155550100, or as is usual in the country of the number that calls."
            }
            Self::TrunkOneWay => {
                "The number's trunk takes no calls out. Give the trunk an `outbound` address."
            }
            Self::AccountOneWay => {
                "Nothing lets calls out of the number's account at its carrier. Set the number's `allow_outbound` to true again to have it made, or give the provider an `outbound` address."
            }
            Self::NoTrunk => "The operator has no trunk that takes calls out from this number.",
            Self::Emergency => {
                "Emergency numbers cannot be called here: nobody would know where the caller is. Use another phone."
            }
            Self::CountryClosed => {
                "The organization does not call this country. Have the operator add it to its setting `outbound_countries`."
            }
            Self::TrunkCountry => {
                "The trunk is for calls to another country. Change its `outbound.destination_country`, or empty it."
            }
            Self::MediaPlain => {
                "The trunk requires encrypted sound and the call did not offer it. Offer SRTP only, or set the trunk's `outbound.media_encryption` to allowed."
            }
            Self::MediaSecure => {
                "The call offered encrypted sound only, which the trunk has disabled. Set its `outbound.media_encryption` to allowed, or offer plain RTP."
            }
            Self::MediaKeysOpen => {
                "The trunk requires encrypted sound, the call's keys stand in its offer, and that does not travel by TLS on both sides. Call by TLS and give the trunk's `outbound` the transport tls, or set its `media_encryption` to allowed."
            }
            Self::Balance => "The organization's balance is used up. Add money to its ledger.",
            Self::TooManyCalls => {
                "The organization has as many calls in progress as it may have. Wait until one ends, or have the operator raise the limit in its settings."
            }
            Self::NumberFull => NUMBER_FULL,
            Self::TrunkFull => TRUNK_FULL,
            Self::NumberMinute => NUMBER_MINUTE,
            Self::NumberDay => NUMBER_DAY,
            Self::OrganizationMinute => ORGANIZATION_MINUTE,
            Self::OrganizationDay => ORGANIZATION_DAY,
            Self::TrunkPace => TRUNK_PACE,
        }
    }
}
