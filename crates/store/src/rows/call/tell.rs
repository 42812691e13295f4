//! What webhooks are told of a call: its start and its end, each once, in the transaction in which it is first known.
//!
//! Only of calls to a number of the organization's: a call that reached none concerns nobody. Facts may come in any order, so the
//! end can be known before the number is; it is told when both are. Whether anybody wants to know makes no difference to what
//! counts as told: a webhook that is made during a call hears of its end alone.

use domain::call::FactKind;
use domain::ids::EventId;
use domain::{Call, Fact};
use uuid::Uuid;

use super::super::apply::Tx;
use super::super::delivery::announce_call;
use super::super::event::stamped;
use super::settle::ended;
use crate::error::StoreError;

/// Which events of a call were made, as it stands in its row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told(pub(super) u8);

const STARTED: u8 = 1;
const ENDED: u8 = 2;

impl Told {
    /// Whether this is the first time; from now on it is not.
    fn first(&mut self, event: u8) -> bool {
        let first = self.0 & event == 0;
        self.0 |= event;
        first
    }
}

pub(super) fn tell(tx: &mut Tx<'_>, call: &Call, facts: &[Fact], told: &mut Told) -> Result<(), StoreError> {
    if call.number_id.is_none() {
        return Ok(());
    }
    let whose = (call.organization_id, call.id);
    if told.first(STARTED) {
        let begun: Vec<Fact> = facts
            .iter()
            .filter(|fact| matches!(fact.kind, FactKind::Started(_) | FactKind::Origin(_)))
            .cloned()
            .collect();
        // Another last bit than that of the end, which has the call's own id: they may be of one moment.
        let id = EventId(stamped(Uuid::from_u128(call.id.0.as_u128() ^ 1), call.started_at));
        announce_call(tx, (id, domain::call::STARTED_EVENT, call.started_at), whose, &begun)?;
    }
    if call.status.is_final() && told.first(ENDED) {
        let event = ended(call);
        announce_call(tx, (event.id, event.name, event.at), whose, facts)?;
    }
    Ok(())
}
