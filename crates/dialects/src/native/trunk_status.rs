//! How a trunk is at the moment: whether its carrier knows it, and where the hosts that it names are.

use serde::Serialize;
use utoipa::ToSchema;

use super::reply::time_or_null;
use super::words;
use domain::trunk_status::{HostStatus, TrunkRegistration, TrunkStatus};

/// A registration with a carrier.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrunkRegistration)]
pub(super) struct TrunkRegistrationOut {
    /// How it is; calls come in while it is `registered`.
    #[schema(schema_with = words::registration_state)]
    state: &'static str,
    /// What the carrier calls us by.
    #[schema(required = true)]
    contact: Option<String>,
    /// Where the carrier was found.
    #[schema(required = true)]
    registrar: Option<String>,
    /// When it ends, unless it is renewed before.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
    /// When the next try is; null while one is under way.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// What the carrier answered to the last try, where it was no yes.
    #[schema(required = true)]
    sip_status: Option<u16>,
    /// What is wrong, and what to do.
    #[schema(required = true)]
    problem: Option<String>,
    /// Tries in a row that came to nothing.
    failures: u32,
    /// The routes that the carrier wants calls out to take (RFC 3608).
    service_route: Vec<String>,
}

impl From<TrunkRegistration> for TrunkRegistrationOut {
    fn from(one: TrunkRegistration) -> Self {
        let TrunkRegistration {
            state,
            contact,
            registrar,
            expires_at,
            next_attempt_at,
            sip_status,
            problem,
            failures,
            service_route,
        } = one;
        Self {
            state: state.as_str(),
            contact,
            registrar,
            expires_at: time_or_null(expires_at),
            next_attempt_at: time_or_null(next_attempt_at),
            sip_status,
            problem,
            failures,
            service_route,
        }
    }
}

/// A host that a trunk names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrunkHost)]
pub(super) struct TrunkHostOut {
    /// Its name.
    name: String,
    /// What it resolved to last; calls from there are the trunk's.
    addresses: Vec<String>,
    /// When that was; null: it never did.
    #[schema(required = true, format = DateTime)]
    looked_up_at: Option<String>,
    /// When it is looked up next.
    #[schema(required = true, format = DateTime)]
    next_look_up_at: Option<String>,
    /// Whether the last look-up found nothing; what was found before it stays.
    failing: bool,
}

impl From<HostStatus> for TrunkHostOut {
    fn from(host: HostStatus) -> Self {
        let HostStatus { name, addresses, looked_up_at, next_look_up_at, failing } = host;
        Self {
            name,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            looked_up_at: time_or_null(looked_up_at),
            next_look_up_at: time_or_null(next_look_up_at),
            failing,
        }
    }
}

/// How a trunk is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrunkStatus)]
pub(super) struct TrunkStatusOut {
    /// Its registration; null: it has none.
    #[schema(required = true)]
    registration: Option<TrunkRegistrationOut>,
    /// The hosts that it names.
    hosts: Vec<TrunkHostOut>,
}

impl From<TrunkStatus> for TrunkStatusOut {
    fn from(status: TrunkStatus) -> Self {
        let TrunkStatus { registration, hosts } = status;
        Self {
            registration: registration.map(TrunkRegistrationOut::from),
            hosts: hosts.into_iter().map(TrunkHostOut::from).collect(),
        }
    }
}
