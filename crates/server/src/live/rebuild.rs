//! Building the table from a snapshot: at start, and anew under calls where the store's history has become another. What the store
//! has is put in place row by row, then what it does not have goes. Calls are decided all the while, each row as it was or as
//! it is; what is known beside the store (what hosts resolve to, who is registered, what is held) stays.
//!
//! It takes about ten bytes a number for as long as it lasts.

use domain::Generation;
use domain::e164::E164;
use domain::ids::{EndpointId, NumberId, OrganizationId, ProviderId, RateId};
use domain::key::KeyHash;
use domain::trace::TraceWindow;
use hashbrown::HashSet;
use store::{Changed, Epoch};

use super::Live;

/// See the module's head. Dropped before its end it leaves what was put in place, and nothing is taken away: the next one does.
pub(super) struct Rebuild<'a> {
    live: &'a Live,
    /// None where there was nothing before that could have to go.
    seen: Option<Seen>,
}

#[derive(Default)]
struct Seen {
    organizations: HashSet<OrganizationId>,
    keys: HashSet<KeyHash>,
    endpoints: HashSet<EndpointId>,
    providers: HashSet<ProviderId>,
    rates: HashSet<RateId>,
    traced: HashSet<NumberId>,
    numbers: HashSet<u64>,
    ruled: HashSet<NumberId>,
}

impl Seen {
    fn note(&mut self, change: &Changed) {
        let _new = match change {
            Changed::Organization(organization, _) => self.organizations.insert(organization.id),
            Changed::Key(key) => self.keys.insert(key.hash),
            Changed::Endpoint(endpoint) => self.endpoints.insert(endpoint.id),
            Changed::Provider(provider) => self.providers.insert(provider.id),
            Changed::Rate(rate) => self.rates.insert(rate.id),
            Changed::Trace(window) => self.traced.insert(window.number_id),
            Changed::Number(row) => {
                if row.rules.is_some() {
                    self.ruled.insert(row.id);
                }
                self.numbers.insert(row.e164.as_u64())
            }
            // No part of a snapshot.
            Changed::Balance(..)
            | Changed::EndpointGone(_)
            | Changed::ProviderGone(_)
            | Changed::RateGone(_) => false,
        };
    }
}

impl<'a> Rebuild<'a> {
    pub(super) fn begin(live: &'a Live) -> Self {
        let empty = live.standing.is_new();
        Self { live, seen: (!empty).then(Seen::default) }
    }

    /// Takes one row of the snapshot.
    pub(super) fn see(&mut self, change: Changed) {
        let Some(seen) = &mut self.seen else { return self.live.apply(change) };
        seen.note(&change);
        let former = match &change {
            Changed::Number(row) => {
                self.live.numbers.get(row.e164).map(|slot| slot.id()).filter(|id| *id != row.id)
            }
            _ => None,
        };
        self.live.apply(change);
        // In place of another that had the same digits, whose end nobody told.
        if let Some(former) = former {
            self.live.forget(former);
        }
    }

    /// All rows were seen: what was not among them goes, and the table is of this history and generation.
    pub(super) fn finish(self, (epoch, generation): (Epoch, Generation)) {
        if let Some(seen) = &self.seen {
            self.live.keep_only(seen);
        }
        self.live.standing.built((epoch, generation));
        self.live.is_at(generation);
    }
}

impl Live {
    fn keep_only(&self, seen: &Seen) {
        let gone = self.write().keep_only(seen);
        for change in gone {
            self.apply(change);
        }
        for (e164, id) in self.numbers.others(&seen.numbers) {
            self.forget(id);
            self.numbers.remove(e164, id);
        }
        for number_id in self.traces.others(&seen.traced) {
            self.traces.put(TraceWindow { number_id, until: None });
        }
    }

    /// A number is no longer held: what is known beside its row goes.
    pub(super) fn forget(&self, id: NumberId) {
        self.lines.forget(id);
        self.registrations.clear(id);
        self.write().put_rules(id, None);
    }
}

impl super::Directory {
    /// Takes out keys and tenants that are not among these, and gives what is to be applied of the rest.
    fn keep_only(&mut self, seen: &Seen) -> Vec<Changed> {
        self.keys.retain(|hash, _| seen.keys.contains(hash));
        self.rules.retain(|id, _| seen.ruled.contains(id));
        for id in self.organizations.others(&seen.organizations) {
            self.organizations.put(id, None);
            self.schedules.remove(&id);
        }
        let endpoints = self.endpoints.others(&seen.endpoints).into_iter().map(Changed::EndpointGone);
        let providers = self.trunks.others(&seen.providers).into_iter().map(Changed::ProviderGone);
        let rates = self.rates.others(&seen.rates).into_iter().map(Changed::RateGone);
        endpoints.chain(providers).chain(rates).collect()
    }
}

impl super::Numbers {
    /// What is there besides these digits.
    fn others(&self, seen: &HashSet<u64>) -> Vec<(E164, NumberId)> {
        let mut others = Vec::new();
        self.each(|slot| {
            if let Some(e164) = E164::from_u64(slot.digits()).filter(|_| !seen.contains(&slot.digits())) {
                others.push((e164, slot.id()));
            }
        });
        others
    }
}
