//! What the rules of calls out look up in the live table, and the ways that such a call takes.

use domain::call::Direction;
use domain::ids::{CallId, NumberId, OrganizationId, ProviderId};
use domain::outbound::{
    self, Begun, CallOut, NumberCaps, NumberOut, OrganizationOut, Placed, Refusal, Refused, TrunkOut, Whose,
    Window,
};
use domain::provider::{MediaEncryption, Outbound};
use domain::reach::Reach;
use domain::routing::Intake;
use domain::target::{Transport, host_and_port};
use domain::trail::Rule;
use domain::{E164, Endpoint, Generation, Micros, Price, Provider, Timestamp};
use sip::Login;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use super::{Live, Reading};
use crate::clock;

/// A call that is let out, with what the edge needs to send it there.
#[derive(Debug)]
pub(crate) struct RouteOut {
    /// The decision.
    pub(crate) placed: Placed,
    /// The ways, in the order of trying.
    pub(crate) ways: Vec<WayOut>,
    /// The endpoint of the number, whose agent calls; its rules hold.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    /// The tables it was decided on.
    pub(crate) generation: Generation,
}

impl RouteOut {
    /// The names of the headers that its trunks add.
    pub(crate) fn own_headers(&self) -> impl Iterator<Item = &str> {
        self.ways.iter().flat_map(|way| &way.outbound.dial.headers).map(|(name, _)| name.as_str())
    }
}

/// A way to the phone network.
#[derive(Debug)]
pub(crate) struct WayOut {
    /// Where its calls go.
    pub(crate) outbound: Outbound,
    /// What answers its carrier's challenges.
    pub(crate) login: Option<Arc<Login>>,
    /// Where it may lead.
    pub(crate) reach: Reach,
    /// Proxies that its carrier wants to be passed on the way, the first one first (RFC 3608).
    pub(crate) routes: Vec<String>,
}

/// One look at the tables at a time.
struct Looking<'a> {
    reading: &'a Reading<'a>,
    begun: &'a super::begun::Calls,
    callees: Option<SocketAddr>,
    now: Timestamp,
}

impl Live {
    /// Decides a call out. `see` is told each rule; the call path passes a function that does nothing.
    pub(crate) fn place(&self, call: CallOut<'_>, see: impl FnMut(Rule)) -> Result<RouteOut, Refused> {
        let generation = self.generation();
        let directory = self.read();
        let reading = self.reading(&directory);
        let callees = *self.callees.read().unwrap_or_else(PoisonError::into_inner);
        let looking = Looking { reading: &reading, begun: &self.begun, callees, now: clock::now() };
        let placed = outbound::decide(&looking, call, see)?;
        let way = |id: &ProviderId| {
            let login = directory.login(id.0);
            if *id == ProviderId::SIMULATED {
                let (reach, routes) = (Reach::ANYWHERE, Vec::new());
                return callees.map(|at| WayOut { outbound: simulated(at), login, reach, routes });
            }
            let trunk = directory.trunk(*id)?;
            let outbound = trunk.outbound.clone()?;
            let routes = self.routes(trunk);
            // Where calls of a simulated carrier's accounts go is in nobody's DNS.
            let aside = callees.filter(|_| directory.is_simulated_account(trunk, &outbound.address));
            Some(match aside.map(|at| at.to_string()) {
                Some(address) => {
                    let outbound = Outbound { address, ..outbound };
                    WayOut { outbound, login, reach: Reach::ANYWHERE, routes }
                }
                None => WayOut { outbound, login, reach: directory.reach(trunk.organization_id), routes },
            })
        };
        // The rules have just found them under this same lock.
        let ways = placed.trunks.iter().filter_map(way).collect();
        let endpoint = placed.number.endpoint_id.and_then(|id| directory.endpoint(id).cloned());
        Ok(RouteOut { placed, ways, endpoint, generation })
    }

    /// The way out by a trunk, for a call that is up.
    pub(crate) fn way_of(&self, id: ProviderId) -> Option<WayOut> {
        let directory = self.read();
        let trunk = directory.trunk(id)?;
        let (outbound, routes) = (trunk.outbound.clone()?, self.routes(trunk));
        let reach = directory.reach(trunk.organization_id);
        Some(WayOut { outbound, login: directory.login(id.0), reach, routes })
    }

    /// The routes of a trunk's calls out: where they go to whom it has registered with.
    fn routes(&self, trunk: &Provider) -> Vec<String> {
        let (Some(register), Some(outbound)) = (&trunk.register, &trunk.outbound) else { return Vec::new() };
        let host = |at: &str| host_and_port(at).map(|(host, _)| host.to_ascii_lowercase());
        let to = host(&outbound.address);
        let same = to == host(&register.registrar) || to == register.domain.as_deref().and_then(host);
        if same { self.registering.routes(trunk.id) } else { Vec::new() }
    }

    /// A call was let out: it is in progress from now on, and counts.
    pub(crate) fn call_placed(&self, call: CallId, placed: &Placed) {
        let NumberOut { id, organization_id, .. } = placed.number;
        let way = super::calls::Way { number: Some(placed.number.id), trunk: placed.trunks.first().copied() };
        self.call_began(call, organization_id, way, placed.price);
        let whose = [Whose::Number(id), Whose::Organization(organization_id)];
        self.begun.begin(whose, placed.trunks.first().copied(), clock::now());
    }

    /// Calls out of today that earlier processes began.
    pub(crate) fn calls_placed_earlier(&self, calls: &[(OrganizationId, Option<NumberId>, u32)]) {
        let now = clock::now();
        for (organization, number, count) in calls {
            self.begun.earlier(Whose::Organization(*organization), *count, now);
            if let Some(number) = number {
                self.begun.earlier(Whose::Number(*number), *count, now);
            }
        }
    }

    /// The organizations of whose endpoints calls come from an address.
    pub(crate) fn organizations_from(&self, source: IpAddr) -> Vec<OrganizationId> {
        self.read().organizations_from(source)
    }

    /// A number as the rules of calls out know it.
    pub(crate) fn number_out(&self, e164: E164) -> Option<NumberOut> {
        let directory = self.read();
        self.reading(&directory).number_out(e164)
    }

    /// Where the simulated network's callees answer.
    pub(crate) fn callees_at(&self, address: Option<SocketAddr>) {
        *self.callees.write().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

/// The way to the simulated network's callees.
fn simulated(callees: SocketAddr) -> Outbound {
    Outbound::new(callees.to_string(), Transport::Udp)
}

impl Reading<'_> {
    fn number_out(&self, e164: E164) -> Option<NumberOut> {
        let slot = self.numbers.get(e164)?;
        Some(NumberOut {
            e164,
            id: slot.id(),
            organization_id: self.directory.organization_at(slot.organization)?,
            status: slot.status,
            unpaid: slot.marks.unpaid(),
            voice: slot.intake != Intake::NoVoice,
            allow_outbound: slot.marks.outbound(),
            trunk: self.directory.trunk_at(slot.trunk),
            network: slot.network,
            endpoint_id: self.directory.endpoint_at(slot.endpoint),
        })
    }
}

impl Looking<'_> {
    fn trunk(&self, provider: &Provider) -> Result<TrunkOut, Refusal> {
        let Some(outbound) = &provider.outbound else {
            let account = provider.kind.is_account();
            return Err(if account { Refusal::AccountOneWay } else { Refusal::TrunkOneWay });
        };
        let paced =
            outbound.calls_per_second.is_none_or(|most| self.begun.paced(provider.id, most, self.now));
        Ok(TrunkOut {
            id: provider.id,
            destination_country: outbound.destination_country,
            emergency: outbound.emergency,
            media: outbound.media_encryption,
            tls: outbound.transport.secure(),
            priority: outbound.priority,
            paced,
            calls: provider.calls_max.map(|most| (self.reading.calls.of_trunk(provider.id), most)),
        })
    }
}

impl outbound::Table for Looking<'_> {
    fn number(&self, e164: E164) -> Option<NumberOut> {
        self.reading.number_out(e164)
    }

    fn organization(&self, id: OrganizationId) -> Option<OrganizationOut> {
        let tenant = self.reading.directory.organization(id)?;
        let route = tenant.route;
        Some(OrganizationOut {
            balance: route.balance,
            calls_max: route.calls_max,
            caps: tenant.caps,
            countries: tenant.countries.clone(),
        })
    }

    fn calls(&self, organization: OrganizationId) -> u32 {
        self.reading.calls.of(organization)
    }

    fn caps(&self, number: NumberId) -> NumberCaps {
        let Some(rules) = self.reading.directory.rules.get(&number) else { return NumberCaps::default() };
        let calls = rules.calls_max.map(|most| (self.reading.calls.of_number(number), most));
        NumberCaps { calls, minute: rules.minute_max, day: rules.day_max }
    }

    fn price(&self, organization: OrganizationId, to: E164) -> Price {
        self.reading.directory.price(organization, Direction::Outbound, to)
    }

    fn held(&self, organization: OrganizationId) -> Micros {
        self.reading.holds.of(organization, self.now)
    }

    fn begun(&self, whose: Whose, window: Window) -> Begun {
        self.begun.begun(whose, window, self.now)
    }

    fn ways(&self, number: &NumberOut) -> Result<Vec<TrunkOut>, Refusal> {
        let directory = self.reading.directory;
        match number.trunk {
            Some(id) => directory.trunk(id).map_or(Err(Refusal::NoTrunk), |p| Ok(vec![self.trunk(p)?])),
            // Numbers of the simulated carrier never leave for the world.
            None if number.network.is_simulated() => {
                let callees = self.callees.map(|_| TrunkOut {
                    id: ProviderId::SIMULATED,
                    destination_country: None,
                    emergency: false,
                    media: MediaEncryption::Allowed,
                    tls: false,
                    priority: 0,
                    paced: true,
                    calls: None,
                });
                Ok(callees.into_iter().collect())
            }
            None => Ok(directory.operators().filter_map(|p| self.trunk(p).ok()).collect()),
        }
    }
}
