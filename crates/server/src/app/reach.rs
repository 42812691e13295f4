//! What may be written of places for SIP. Where a name leads is looked at when it is used; a place that says itself to be private is
//! refused when it is written, so that nobody waits for a call to find out.

use domain::error::Result;
use domain::ids::OrganizationId;
use domain::target::{TargetUri, host_and_port};
use domain::{Endpoint, Error, Provider, What};

use super::App;

impl App {
    /// Looks at the targets that an endpoint did not have before.
    pub(super) fn check_targets(&self, before: Option<&Endpoint>, next: &Endpoint) -> Result<()> {
        let known =
            |uri: &TargetUri| before.is_some_and(|before| before.targets.iter().any(|one| one.uri == *uri));
        let new = next.targets.iter().map(|target| &target.uri).filter(|uri| !known(uri));
        for uri in new {
            self.check_host(
                Some(next.organization_id),
                uri.host(),
                (What::Endpoint, "targets", "The target's host"),
            )?;
        }
        Ok(())
    }

    /// The same of where a trunk's calls go and where it registers.
    pub(super) fn check_ways(&self, before: Option<&Provider>, next: &Provider) -> Result<()> {
        fn out(one: &Provider) -> Option<&str> {
            one.outbound.as_ref().map(|out| out.address.as_str())
        }
        fn registrar(one: &Provider) -> Option<&str> {
            one.register.as_ref().map(|register| register.registrar.as_str())
        }
        for (field, name, place, former) in [
            ("outbound", "`outbound.address`:", out(next), before.and_then(out)),
            ("register", "`register.registrar`:", registrar(next), before.and_then(registrar)),
        ] {
            let new = place.filter(|place| former != Some(place)).and_then(host_and_port);
            let Some((host, _)) = new else { continue };
            self.check_host(next.organization_id, host, (What::Provider, field, name))?;
        }
        Ok(())
    }

    fn check_host(
        &self,
        owner: Option<OrganizationId>,
        host: &str,
        (what, field, name): (What, &'static str, &str),
    ) -> Result<()> {
        if self.live.reach_of(owner).admits_host(host) {
            return Ok(());
        }
        let words = format!(
            "{name} {host} is no public address, or this service's own: nothing is sent there. The operator can allow it by the organization's setting `sip_private`, or by --sip-private."
        );
        Err(Error::invalid(what, field, words))
    }
}
