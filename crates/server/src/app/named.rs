//! What rules of where calls go name: it must be the tenant's own, and lead in no circle.

use domain::E164;
use domain::ids::{EndpointId, OrganizationId};
use domain::rules::{self, EndpointRules, Goal, NumberRules, Step};
use domain::{Endpoint, Error, Kind, Number, Result, What};

use super::App;
use super::failure::of_read;

impl App {
    /// Checks the rules of a number that changes.
    pub(super) fn check_number_rules(&self, before: &NumberRules, next: &Number) -> Result<()> {
        if *before == next.rules {
            return Ok(());
        }
        let owner = next.organization_id;
        for (field, ids) in next.rules.named() {
            ids.into_iter().try_for_each(|id| self.check_endpoint(owner, id, field))?;
        }
        self.check_numbers(owner, &next.rules.fallback)
    }

    /// The same number, without rules where something that they name is gone: it rested, and held nothing.
    pub(super) fn with_rules_that_stand(&self, mut number: Number) -> Result<Number> {
        let mut stands = true;
        for id in number.rules.endpoints() {
            stands &= self.store.endpoint_get(number.organization_id, id).map_err(of_read)?.is_some();
        }
        if !stands {
            number.rules = NumberRules::default();
        }
        Ok(number)
    }

    /// Checks the rules of an endpoint that changes.
    pub(super) fn check_endpoint_rules(&self, before: Option<&EndpointRules>, next: &Endpoint) -> Result<()> {
        if before.map_or(next.rules.fallback.is_empty(), |before| before.fallback == next.rules.fallback) {
            return Ok(());
        }
        let owner = next.organization_id;
        for id in next.rules.endpoints() {
            self.check_endpoint(owner, id, "fallback")?;
        }
        self.check_numbers(owner, &next.rules.fallback)?;
        let steps_of = |id: EndpointId| {
            if id == next.id {
                return self.led_to(owner, &next.rules.fallback);
            }
            let found = self.store.endpoint_get(owner, id).map_err(of_read)?;
            self.led_to(owner, &found.map(|endpoint| endpoint.rules.fallback).unwrap_or_default())
        };
        if rules::loops(next.id, steps_of)? {
            return Err(rules::looped(What::Endpoint, "a call would come back to this endpoint"));
        }
        Ok(())
    }

    /// The endpoints that steps lead to.
    fn led_to(&self, owner: OrganizationId, steps: &[Step]) -> Result<Vec<EndpointId>> {
        let mut ids = Vec::new();
        for step in steps {
            match step.to {
                Goal::Endpoint(id) => ids.push(id),
                Goal::Number(e164) => {
                    let number = self.store.number_find(owner, e164).map_err(of_read)?;
                    ids.extend(number.filter(|n| n.status.is_held()).and_then(|n| n.endpoint_id));
                }
                Goal::Refuse(_) => {}
            }
        }
        Ok(ids)
    }

    fn check_endpoint(&self, owner: OrganizationId, id: EndpointId, field: &'static str) -> Result<()> {
        let found = self.store.endpoint_get(owner, id).map_err(of_read)?;
        found.map(|_| ()).ok_or_else(|| Error::not_found(What::Endpoint).at(field))
    }

    fn check_numbers(&self, owner: OrganizationId, steps: &[Step]) -> Result<()> {
        let numbers = steps.iter().filter_map(|step| match step.to {
            Goal::Number(e164) => Some(e164),
            Goal::Endpoint(_) | Goal::Refuse(_) => None,
        });
        numbers.into_iter().try_for_each(|e164: E164| {
            let found = self.store.number_find(owner, e164).map_err(of_read)?;
            let held = found.filter(|number| number.status.is_held());
            held.map(|_| ()).ok_or_else(|| Error::not_found(What::Number).at("fallback"))
        })
    }

    /// An endpoint that rules name stays: what they mean without it is for their writer to say.
    pub(super) fn check_unnamed(&self, owner: OrganizationId, id: EndpointId) -> Result<()> {
        if !self.store.endpoint_is_named(owner, id).map_err(of_read)? {
            return Ok(());
        }
        let words =
            "Rules of numbers or fallbacks of endpoints name the endpoint; take it out of them first.";
        Err(Error::new(Kind::Conflict, What::Endpoint, words))
    }
}
