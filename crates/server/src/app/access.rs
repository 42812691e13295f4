//! Who reaches us: the agents registered for a number, and the sources that are not heard for a while.

use domain::number::NumberRef;
use domain::view::Registration;
use domain::{Error, Kind, Result, View, What};
use std::net::IpAddr;

use super::{App, Ask};
use crate::clock;

impl App {
    pub(super) fn number_registrations(&self, ask: Ask<'_>, number: &NumberRef) -> Result<View> {
        let number = self.number_find(ask, number)?;
        let now = clock::instant();
        let bound = self.live.registrations.of(number.id, now);
        let shown = bound.into_iter().map(|one| Registration {
            expires_at: ask.now.checked_add(one.left(now)).unwrap_or(ask.now),
            contact: one.contact,
            source: one.flow.remote,
            transport: one.flow.transport.name(),
            instance: one.instance,
            registered_at: one.registered_at,
        });
        Ok(View::Registrations(shown.collect()))
    }

    pub(super) fn ban_list(&self, ask: Ask<'_>) -> Result<View> {
        ask.caller.require_operator()?;
        Ok(View::Bans(self.live.bans.list((clock::instant(), ask.now))))
    }

    pub(super) fn ban_lift(&self, ask: Ask<'_>, address: IpAddr) -> Result<View> {
        ask.caller.require_operator()?;
        if self.live.bans.lift(address) {
            return Ok(View::Done);
        }
        Err(Error::new(Kind::NotFound, What::Request, "No ban of this address is in force."))
    }
}
