//! All that a table has from its store, in a form that does not depend on the order in which it came. Fields are taken apart one by
//! one: who adds one to the table says here what of it the store tells.

use domain::call::Direction;
use domain::ids::{NumberId, ProviderId};
use domain::{E164, Timestamp};
use sip::digest::Secret;
use sip::{Account, Login};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use uuid::Uuid;

use super::super::Live;
use super::super::carriers::Carriers;
use super::super::directory::Directory;
use super::super::guards::{Guard, Guards};
use super::super::numbers::Slot;
use super::super::rates::Rates;
use super::super::sources::Sources;

/// What is shown in text under its name; and what is never shown, and so is compared as it is.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Held {
    shown: BTreeMap<String, String>,
    secrets: BTreeMap<ProviderId, Option<Secret>>,
    logins: BTreeMap<Uuid, Arc<Login>>,
    accounts: BTreeMap<ProviderId, Arc<Account>>,
    traced: BTreeMap<NumberId, Timestamp>,
}

impl Held {
    pub(super) fn of(live: &Live) -> Self {
        let mut held = Self::default();
        let Live {
            numbers,
            directory: _,
            registering,
            traces,
            // What this process sees of calls, agents, targets and strangers, and what it needs for that.
            opener: _,
            calls: _,
            begun: _,
            callees: _,
            lines: _,
            registrations: _,
            bans: _,
            holds: _,
            health: _,
            split_key,
            // Where it stands is compared beside it.
            applied: _,
            standing: _,
            nudge: _,
        } = live;
        let directory = live.read();
        held.directory(&directory);
        numbers.each(|slot| held.number(slot, &directory));
        held.show("numbers", "in all", &(numbers.len(), numbers.any_outbound()));
        held.show("split", "key", split_key);
        held.accounts = registering.all().into_iter().collect();
        held.traced = traces.windows();
        held
    }

    /// Which of these kinds of things it does not hold.
    pub(super) fn lacks<'a>(&self, kinds: &[&'a str]) -> Vec<&'a str> {
        let mut lacks = kinds.to_vec();
        lacks.retain(|kind| !self.shown.keys().any(|name| name.starts_with(kind)));
        let beside = [
            ("logins", self.logins.is_empty()),
            ("accounts", self.accounts.is_empty()),
            ("traced", self.traced.is_empty()),
            ("secrets", !self.secrets.values().any(Option::is_some)),
        ];
        lacks.extend(beside.into_iter().filter(|(_, none)| *none).map(|(name, _)| name));
        lacks
    }

    /// Where it differs from another.
    pub(super) fn differs_from(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.shown.keys().chain(other.shown.keys()).collect();
        let told = names.into_iter().filter(|name| self.shown.get(*name) != other.shown.get(*name));
        let mut told: Vec<_> = told
            .map(|name| format!("{name}: {:?} and {:?}", self.shown.get(name), other.shown.get(name)))
            .collect();
        if told.is_empty() && self != other {
            told.push("secrets, logins, accounts or traces".to_owned());
        }
        told
    }

    fn show(&mut self, what: &str, name: impl Debug, value: &impl Debug) {
        self.shown.insert(format!("{what} {name:?}"), format!("{value:?}"));
    }

    fn number(&mut self, slot: &Slot, directory: &Directory) {
        let Slot { organization, endpoint, trunk, status, marks, network, intake, .. } = slot;
        let owner = directory.organization_at(*organization);
        let way = (directory.endpoint_at(*endpoint), directory.trunk_at(*trunk));
        self.show("number", slot.digits(), &(slot.id(), owner, way, status, marks, network, intake));
    }

    fn directory(&mut self, directory: &Directory) {
        let Directory {
            organizations,
            endpoints,
            trunks,
            addresses,
            certificates,
            ranges,
            hosts,
            keys,
            guards,
            logins,
            manners,
            simulated,
            carriers: Carriers { accounts, .. },
            sources,
            registering,
            asked,
            operators,
            rates,
            rules,
            grounds: _,
            schedules,
        } = directory;
        organizations.each(|id, one| self.show("organization", id, one));
        endpoints.each(|id, one| self.show("endpoint", id, one));
        trunks.each(|id, one| self.show("trunk", id, one));
        addresses.iter().for_each(|(at, trunks)| self.show("trunks at", at, trunks));
        self.show("trunks in", "ranges", ranges);
        for (name, trunks) in certificates {
            self.show("certificate", name, &trunks.iter().collect::<BTreeSet<_>>());
        }
        for (name, host) in &hosts.by_name {
            self.show("host", name, &host.trunks.iter().map(|trunk| trunk.id).collect::<BTreeSet<_>>());
        }
        keys.iter().for_each(|(hash, key)| self.show("key", hash.0, key));
        self.logins = logins.iter().map(|(id, login)| (*id, Arc::clone(login))).collect();
        manners.iter().for_each(|(id, manner)| self.show("manner", id, manner));
        self.show("simulated", "sockets", simulated);
        self.show("accounts", "in all", &accounts.iter().collect::<BTreeSet<_>>());
        self.show("endpoints", "registering", registering);
        self.show("endpoints", "asked", &asked.iter().collect::<BTreeSet<_>>());
        self.show("trunks", "of the operator", &operators.iter().collect::<BTreeSet<_>>());
        rules.iter().for_each(|(id, rules)| self.show("rules", id, rules));
        schedules.iter().for_each(|(id, schedule)| self.show("schedule", id, schedule));
        self.guards(guards);
        self.sources(sources);
        self.rates(rates);
    }

    fn guards(&mut self, Guards { all, by_name, by_owner }: &Guards) {
        for (id, Guard { username, secret, organization }) in all {
            self.show("guard", id, &(username, organization));
            self.secrets.insert(*id, secret.clone());
        }
        by_name.iter().for_each(|(name, ids)| self.show("guards named", name, ids));
        by_owner.iter().for_each(|(owner, count)| self.show("guards of", owner, count));
    }

    fn sources(&mut self, Sources { addresses, ranges, known }: &Sources) {
        for (at, owners) in addresses {
            self.show("endpoints at", at, &owners.iter().collect::<BTreeSet<_>>());
        }
        let ranges: BTreeSet<_> = ranges.iter().map(|one| format!("{one:?}")).collect();
        self.show("endpoints in", "ranges", &ranges);
        known.iter().for_each(|(id, rules)| self.show("addresses of", id, rules));
    }

    fn rates(&mut self, rates: &Rates) {
        let Rates { decks, places } = rates;
        places.iter().for_each(|(id, place)| self.show("rate", id, place));
        for (owner, _) in decks.keys() {
            let to = ["12125550100", "447911123456", "442071838750", "4930123456"];
            let prices = to.map(|to| {
                let far = to.parse().ok().and_then(E164::from_u64).unwrap();
                [Direction::Inbound, Direction::Outbound].map(|way| rates.price(*owner, way, far))
            });
            self.show("prices of", owner, &prices);
        }
    }
}
