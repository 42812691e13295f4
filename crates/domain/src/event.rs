//! The audit log: who did what to which thing. Also the two helpers by which closed lists are named.

use crate::caller::Actor;
use crate::ids::{EventId, OrganizationId};
use crate::{Bag, Timestamp};

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose log it stands in.
    pub organization_id: OrganizationId,
    /// What happened, as `noun.verb`: `number.purchased`, `call.completed`.
    pub name: &'static str,
    /// Who did it.
    pub actor: Actor,
    /// The id of the thing.
    pub subject: String,
    /// What a reader wants to know besides; never a secret.
    pub data: Bag,
    /// When.
    pub at: Timestamp,
}

/// The names of all events of an organization, and of the start of a call, which is sent and not logged. What can be wanted of a
/// webhook; a test of the server holds them against what is written.
pub const NAMES: [&str; 51] = [
    "agent.created",
    "agent.deleted",
    "agent.updated",
    "balance.low",
    "call.busy",
    "call.cancelled",
    "call.completed",
    "call.deleted",
    "call.failed",
    "call.hung_up",
    "call.no_answer",
    "call.originated",
    "call.redacted",
    "call.refused",
    "call.started",
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.updated",
    "key.created",
    "key.revoked",
    "key.rotated",
    "ledger.posted",
    "number.activated",
    "number.credentials_replaced",
    "number.deleted",
    "number.imported",
    "number.imported_many",
    "number.lost",
    "number.porting_out",
    "number.purchase_failed",
    "number.purchased",
    "number.recovered",
    "number.released",
    "number.restored",
    "number.resumed",
    "number.suspended",
    "number.trace_ended",
    "number.traced",
    "number.updated",
    "organization.created",
    "organization.updated",
    "provider.created",
    "provider.deleted",
    "provider.updated",
    "rate.deleted",
    "rate.set",
    "stock.held",
    "stock.unheld",
    "webhook.created",
    "webhook.deleted",
    "webhook.updated",
];

/// The name of a value in a closed list. Every list names each of its values; a test walks them.
pub(crate) fn name_of<T: Copy + PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(v, _)| *v == value).map_or("", |(_, name)| name)
}

/// The value of a name in a closed list.
pub(crate) fn by_name<T: Copy>(names: &[(T, &'static str)], text: &str) -> Option<T> {
    names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value)
}
