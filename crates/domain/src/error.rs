//! The one error of the product. It becomes a vendor's body, a SIP status or an exit code only in the last step.
//!
//! [`Error`] does not implement `Display` on purpose: its private cause is reachable only through [`Error::for_log`], so it
//! cannot reach a caller by accident.

use std::time::Duration;

use crate::e164::E164;

/// What went wrong, as a state of the world. Adding a kind, 1 of 2: here; 2 of 2: each dialect's `error.rs` (the build says where).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No credential, or one that is not valid here.
    Unauthenticated,
    /// A valid credential without the right.
    Forbidden,
    /// No such thing, or not the caller's: the two cannot be told apart.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// It is there already, or somebody else has it.
    Exists,
    /// The thing changed since the caller read it (a version did not match).
    Stale,
    /// The thing's state does not allow this.
    Conflict,
    /// The request could not be read at all (broken JSON, a bad header).
    Malformed,
    /// The request is larger than the limit.
    TooLarge,
    /// A required field is absent.
    Missing,
    /// A field has a value that is not allowed.
    Invalid,
    /// An `Idempotency-Key` came again with another request.
    KeyReused,
    /// The first request with this `Idempotency-Key` is still running.
    Running,
    /// Know-your-customer: nothing was submitted.
    KycNotSubmitted,
    /// Know-your-customer: begun, not yet reviewed.
    KycInitiated,
    /// Know-your-customer: in review.
    KycPending,
    /// Know-your-customer: declined.
    KycDeclined,
    /// The balance does not cover it.
    Balance,
    /// All number slots are in use.
    Slots,
    /// Too many requests.
    Limit,
    /// The carrier said no.
    CarrierRefused,
    /// The store or a carrier is away; try again.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl Kind {
    /// Every kind, for tests that print a dialect's whole column.
    pub const ALL: [Self; 23] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Exists,
        Self::Stale,
        Self::Conflict,
        Self::Malformed,
        Self::TooLarge,
        Self::Missing,
        Self::Invalid,
        Self::KeyReused,
        Self::Running,
        Self::KycNotSubmitted,
        Self::KycInitiated,
        Self::KycPending,
        Self::KycDeclined,
        Self::Balance,
        Self::Slots,
        Self::Limit,
        Self::CarrierRefused,
        Self::Unavailable,
        Self::Internal,
    ];
}

/// Which thing an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A tenant.
    Organization,
    /// An API key.
    Key,
    /// An agent.
    Agent,
    /// An endpoint.
    Endpoint,
    /// A provider.
    Provider,
    /// A number for sale.
    Stock,
    /// A number.
    Number,
    /// A call.
    Call,
    /// Money.
    Ledger,
    /// What calls cost.
    Rate,
    /// The messages of a call.
    Trace,
    /// Work at a carrier.
    Intent,
    /// A webhook.
    Webhook,
    /// An event on its way to a webhook.
    Delivery,
    /// The path.
    Route,
    /// The request itself.
    Request,
}

impl What {
    /// The noun a person reads.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Key => "key",
            Self::Agent => "agent",
            Self::Endpoint => "endpoint",
            Self::Provider => "provider",
            Self::Stock => "stock number",
            Self::Number => "phone number",
            Self::Call => "call",
            Self::Ledger => "ledger",
            Self::Rate => "rate",
            Self::Trace => "trace",
            Self::Intent => "work at the carrier",
            Self::Webhook => "webhook",
            Self::Delivery => "delivery",
            Self::Route => "path",
            Self::Request => "request",
        }
    }
}

/// The one error. See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// About which thing.
    pub what: What,
    /// The field at fault, by its native name; dialects translate it.
    pub field: Option<&'static str>,
    /// A sentence for the caller: no blame, names the field, says the next step.
    pub public: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The numbers that stand in the way, where the sentence is not enough.
    pub numbers: Vec<E164>,
    cause: Option<String>,
}

/// `std::result::Result` with the one error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` about `what`, with a sentence for the caller.
    pub fn new(kind: Kind, what: What, public: impl Into<String>) -> Self {
        Self {
            kind,
            what,
            field: None,
            public: public.into(),
            retry_after: None,
            numbers: Vec::new(),
            cause: None,
        }
    }

    /// No such thing, or not the caller's.
    pub fn not_found(what: What) -> Self {
        Self::new(Kind::NotFound, what, format!("There is no such {}.", what.noun()))
    }

    /// A field with a value that is not allowed.
    pub fn invalid(what: What, field: &'static str, public: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what, public).at(field)
    }

    /// A required field that is absent.
    pub fn missing(what: What, field: &'static str) -> Self {
        Self::new(Kind::Missing, what, format!("`{field}` is required.")).at(field)
    }

    /// A right that the caller lacks.
    pub fn forbidden(public: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, What::Request, public)
    }

    /// A fault of ours; `cause` goes to the log only.
    pub fn internal(cause: impl Into<String>) -> Self {
        let public = "Something went wrong on our side. Quote the request id to the operator.";
        Self::new(Kind::Internal, What::Request, public).because(cause)
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Replaces the sentence for the caller.
    #[must_use]
    pub fn say(mut self, public: impl Into<String>) -> Self {
        self.public = public.into();
        self
    }

    /// Adds what only the log may say.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Names the numbers that stand in the way.
    #[must_use]
    pub fn listing(mut self, numbers: Vec<E164>) -> Self {
        self.numbers = numbers;
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The private cause, for the log only.
    pub fn for_log(&self) -> &str {
        self.cause.as_deref().unwrap_or("")
    }
}
