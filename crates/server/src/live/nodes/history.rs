//! Steps of a random history: one commit each, of every kind that a table depends on. Some are refused, and are meant to be.

use domain::agent::AgentPatch;
use domain::call::Direction;
use domain::change::Guard;
use domain::endpoint::{EndpointPatch, EndpointStatus};
use domain::ids::{AgentId, EndpointId, OrganizationId, ProviderId, RateId};
use domain::key::KeyHash;
use domain::manner::MannerPatch;
use domain::number::{NumberPatch, NumberQuery, Status, Switch, Trust, Wiring};
use domain::organization::{OrganizationPatch, Settings};
use domain::provider::{
    AddressRule, Credentials, HostName, Inbound, Outbound, ProviderKind, ProviderPatch, Register,
};
use domain::rate::{Prefix, RateNew};
use domain::rules::{EndpointRulesPatch, HealthCheck, NumberRulesPatch};
use domain::target::{Target, TargetUri, Transport};
use domain::trace::TraceWindow;
use domain::{
    Agent, Bag, Change, Commit, Endpoint, Generation, Micros, Number, Organization, Page, Patch, Price,
    Provider, Rate, Timestamp,
};
use serde_json::json;
use store::StoreError;

use super::world::World;
use crate::vault::Vault;

/// What is done, to which, and how; each kind reads the numbers in its own way.
pub(super) type Step = (u8, usize, usize);

/// How many kinds of steps there are.
pub(super) const KINDS: u8 = 24;

/// What a step may work on, as its node reads it.
struct Scene<'a> {
    world: &'a World,
    vault: &'a Vault,
    organization: Organization,
    agents: Vec<Agent>,
    endpoints: Vec<Endpoint>,
    providers: Vec<Provider>,
    numbers: Vec<Number>,
    n: usize,
}

fn pick<T>(items: &[T], n: usize) -> Option<&T> {
    items.get(n.checked_rem(items.len())?)
}

/// Makes a step at a node; gives the generation where it was not refused.
pub(super) async fn step(world: &World, vault: &Vault, step: Step) -> Option<Generation> {
    // The store may be away just now.
    let commit = commit_of(world, vault, step).ok()??;
    world.store.commit(commit).await.ok()
}

/// None: there is nothing to do it to, or the rules refuse it.
fn commit_of(world: &World, vault: &Vault, (what, which, n): Step) -> Result<Option<Commit>, StoreError> {
    let all = world.store.organization_list(&Page::first(9))?.items;
    let Some(organization) =
        pick(&all, which).filter(|_| !what.is_multiple_of(KINDS) || all.len() > 3).cloned()
    else {
        return Ok(Some(of(vec![Change::Organization(world.new_organization())])));
    };
    let (id, page, store) = (organization.id, Page::first(50), &world.store);
    let status = (n.is_multiple_of(5)).then_some(Status::Released);
    let numbers =
        store.number_list(id, &NumberQuery { status, ..NumberQuery::default() }, &Page::first(50))?;
    let mut providers = store.provider_list(Some(id), &page)?.items;
    // Everybody sees the operator's.
    providers.retain(|one| one.organization_id == Some(id) || n.is_multiple_of(3));
    let scene = Scene {
        world,
        vault,
        organization,
        agents: store.agent_list(id, &Page::first(50))?.items,
        endpoints: store.endpoint_list(id, &Page::first(50))?.items,
        providers,
        numbers: numbers.items,
        n,
    };
    Ok(match what % KINDS {
        0 | 1 => scene.settings(),
        2 => scene.keys()?,
        3 => scene.agent(),
        4 | 5 => scene.endpoint(),
        6 | 7 => scene.endpoint_changes(),
        8 => pick(&scene.endpoints, n).map(|one| of(vec![Change::EndpointDelete(id, one.id, one.version)])),
        9 | 10 => scene.provider(),
        11 => scene.provider_changes(),
        12 => pick(&scene.providers, n).map(|one| of(vec![Change::ProviderDelete(one.id, one.version)])),
        13 => scene.purchase(),
        14 | 15 => scene.import(),
        16 | 17 => scene.number(),
        18 => scene.number_ends()?,
        19 => scene.rate()?,
        20 => scene.trace(),
        21 => scene.stale(),
        22 => scene.refused(),
        _ => Some(of(vec![world.funding(id, i64::try_from(n).unwrap_or(1))])),
    })
}

fn of(changes: Vec<Change>) -> Commit {
    Commit { changes, ..Commit::default() }
}

fn rules(texts: &[&str]) -> Vec<AddressRule> {
    texts.iter().filter_map(|text| AddressRule::parse(text)).collect()
}

/// Addresses, few enough that several things have the same.
fn addresses(n: usize) -> Vec<AddressRule> {
    rules(&["192.0.2.1", "192.0.2.0/28", "2001:db8::/64", "192.0.2.2"][n % 4..][..=(4 - n % 4) / 2])
}

fn schedule(n: usize) -> serde_json::Value {
    let hours = json!([{"days": ["mon", "sun"], "from": "09:00", "to": format!("1{}:30", n % 10)}]);
    json!({"time_zone": "Europe/Berlin", "windows": hours, "dates": []})
}

impl Scene<'_> {
    fn id(&self) -> OrganizationId {
        self.organization.id
    }

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn credentials(&self, owner: uuid::Uuid) -> Credentials {
        let username = format!("line{}", self.n % 2);
        Credentials { username, password: self.vault.seal(b"a password", owner.as_bytes()) }
    }

    fn settings(&self) -> Option<Commit> {
        let n = self.n;
        let (name, value) = match n % 8 {
            0 => ("rate_cents_per_minute", json!(n)),
            1 => ("max_concurrent_calls", json!(n)),
            2 => ("max_call_seconds", json!(60 + n)),
            3 => ("schedule", schedule(n)),
            4 => ("schedule", json!(null)),
            5 => ("sip_private", json!(if n % 16 == 5 { "deny" } else { "allow" })),
            6 => ("outbound_countries", json!(["US", "DE"][..=n / 8 % 2])),
            _ => ("outbound_calls_per_day", json!(n)),
        };
        let settings = Some([(name.to_owned(), value)].into_iter().collect());
        let patch = OrganizationPatch { settings, ..OrganizationPatch::default() };
        let next = self.organization.update(patch, self.now()).ok()?;
        (next.version != self.organization.version).then(|| of(vec![Change::Organization(next)]))
    }

    /// A new key, or the end of one, or one in the place of another.
    fn keys(&self) -> Result<Option<Commit>, StoreError> {
        let (id, n) = (self.id(), self.n);
        let known = self.world.store.key_list(id, &Page::first(20))?.items;
        let now = self.now();
        let live = known.iter().find(|key| key.revoked_at.is_none());
        Ok(match (n % 3, live) {
            (0, Some(key)) => {
                let revoked = domain::Key { revoked_at: Some(now), version: key.version + 1, ..key.clone() };
                Some(of(vec![Change::Key(revoked)]))
            }
            (1, Some(key)) => {
                let fresh = self.world.new_key(id);
                let minted =
                    domain::key::Minted { id: fresh.id, prefix: fresh.prefix, hash: KeyHash(fresh.hash.0) };
                key.rotate(minted, now).ok().map(|(new, old)| of(vec![Change::Key(new), Change::Key(old)]))
            }
            _ => Some(of(vec![Change::Key(self.world.new_key(id))])),
        })
    }

    fn agent(&self) -> Option<Commit> {
        let known = pick(&self.agents, self.n);
        let change = match (self.n % 3, known) {
            (0, Some(agent)) => {
                let patch = AgentPatch { name: Some(format!("Agent {}", self.n)), ..AgentPatch::default() };
                Change::Agent(
                    agent.update(patch, self.now()).ok().filter(|next| next.version != agent.version)?,
                )
            }
            (1, Some(agent)) => Change::AgentDelete(self.id(), agent.id.clone(), agent.version),
            _ => Change::Agent(self.world.new_agent(self.id(), "Agent")),
        };
        Some(of(vec![change]))
    }

    fn endpoint_patch(&self, id: EndpointId) -> EndpointPatch {
        let n = self.n;
        let registered = format!("sip:{}", TargetUri::REGISTERED);
        let uri = ["sip:192.0.2.1:5080;transport=tcp", "sip:agent.example", registered.as_str()][n % 3];
        let targets = TargetUri::parse(uri).map(|uri| Target {
            uri,
            priority: 1,
            weight: 1,
            enabled: !n.is_multiple_of(7),
        });
        let credentials = if n % 4 == 1 { Patch::Set(self.credentials(id.0)) } else { Patch::Clear };
        let ring_seconds = if n % 5 == 2 { Patch::Set(20) } else { Patch::Clear };
        let health = HealthCheck { enabled: n.is_multiple_of(2), interval_seconds: 30 };
        let agent: Option<AgentId> =
            pick(&self.agents, n / 3).filter(|_| n % 3 == 1).map(|agent| agent.id.clone());
        EndpointPatch {
            name: Some(format!("Endpoint {n}")),
            status: Some(if n % 6 == 5 { EndpointStatus::Inactive } else { EndpointStatus::Active }),
            agent_id: agent.map_or(Patch::Clear, Patch::Set),
            targets: targets.ok().map(|one| vec![one]),
            source_addresses: Some(if n.is_multiple_of(2) { addresses(n / 2) } else { Vec::new() }),
            manner: Box::new(MannerPatch { credentials, ring_seconds, ..MannerPatch::default() }),
            rules: EndpointRulesPatch { health: Patch::Set(health), ..EndpointRulesPatch::default() },
            ..EndpointPatch::default()
        }
    }

    fn endpoint(&self) -> Option<Commit> {
        let blank = self.world.new_endpoint(self.id(), None);
        let next = blank.update(self.endpoint_patch(blank.id), blank.created_at).ok()?;
        Some(of(vec![Change::Endpoint(Endpoint { version: 1, ..next })]))
    }

    fn endpoint_changes(&self) -> Option<Commit> {
        let known = pick(&self.endpoints, self.n)?;
        let next = known.update(self.endpoint_patch(known.id), self.now()).ok()?;
        // Numbers on it would have to follow its agent; here they do not, and that is refused.
        let guards = vec![Guard::EndpointFollowed(self.id(), known.id)];
        (next.version != known.version).then(|| Commit {
            changes: vec![Change::Endpoint(next)],
            guards,
            answer: None,
        })
    }

    fn sides(&self, id: ProviderId) -> ProviderPatch {
        let n = self.n;
        let bit = |at: usize| (n >> at) & 1 == 1;
        let hosts = ["sip.carrier.example", "sbc.carrier.example"].map(HostName::parse);
        let inbound = Inbound {
            allowed_addresses: addresses(n),
            allowed_hosts: hosts.into_iter().flatten().skip(n % 3).collect(),
            credentials: bit(0).then(|| self.credentials(id.0)),
            certificate_names: Box::new(if bit(3) { vec!["carrier.example".to_owned()] } else { Vec::new() }),
            ..Inbound::default()
        };
        let mut outbound = Outbound::new("out.carrier.example:5060".to_owned(), Transport::Udp);
        outbound.credentials = bit(2).then(|| self.credentials(id.0));
        let register = Register {
            registrar: "sip.carrier.example:5070".to_owned(),
            transport: Transport::Udp,
            domain: None,
            user: bit(4).then(|| "+4930123".to_owned()),
            credentials: self.credentials(id.0),
            expires_seconds: 600,
        };
        ProviderPatch {
            label: Some(format!("Trunk {n}")),
            inbound: Patch::Set(inbound),
            outbound: if bit(1) { Patch::Set(outbound) } else { Patch::Clear },
            register: if n.is_multiple_of(3) { Patch::Set(Box::new(register)) } else { Patch::Clear },
            calls_max: if bit(2) { Patch::Set(5) } else { Patch::Clear },
            ..ProviderPatch::default()
        }
    }

    fn provider(&self) -> Option<Commit> {
        let id = ProviderId(self.world.uuid());
        // Every fourth is the operator's, every seventh an account at a carrier.
        let owner = Some(self.id()).filter(|_| !self.n.is_multiple_of(4));
        let (kind, patch) = if self.n % 7 == 3 {
            let account = domain::carrier_account::AccountPatch {
                id: Some(format!("AC{:032x}", id.0.as_u128())),
                key_id: Some("SK1".to_owned()),
                key_secret: Some(self.vault.seal(b"a secret", id.0.as_bytes())),
                region: Some("us1".to_owned()),
            };
            let label = Some("Account".to_owned());
            let patch = ProviderPatch { label, account: Some(account), ..ProviderPatch::default() };
            (ProviderKind::Twilio, patch)
        } else {
            (ProviderKind::SipTrunk, self.sides(id))
        };
        let owner = if kind == ProviderKind::Twilio { Some(self.id()) } else { owner };
        let new = Provider::create(owner, id, kind, patch, self.now()).ok()?;
        Some(of(vec![Change::Provider(new)]))
    }

    fn provider_changes(&self) -> Option<Commit> {
        let trunks = self.providers.iter().filter(|one| one.kind == ProviderKind::SipTrunk);
        let known = pick(&trunks.collect::<Vec<_>>(), self.n).copied()?;
        let next = known.update(self.sides(known.id), self.now()).ok()?;
        (next.version != known.version).then(|| of(vec![Change::Provider(next)]))
    }

    /// A number of the stock, which comes into the stock in the same commit, is bought and paid.
    fn purchase(&self) -> Option<Commit> {
        let digits = 14_165_550_100 + u64::try_from(self.n).ok()?;
        let stock = self.world.new_stock(digits, 5);
        let bought = self.world.purchase(self.id(), &stock);
        let changes = [vec![Change::Stock(stock), self.world.funding(self.id(), 3)], bought].concat();
        Some(Commit { changes, guards: vec![Guard::WalletCovers(self.id())], answer: None })
    }

    /// Numbers on a trunk, one or several at once. Others may hold them already.
    fn import(&self) -> Option<Commit> {
        let trunk = pick(&self.providers, self.n).filter(|one| one.organization_id.is_some())?;
        let endpoint = pick(&self.endpoints, self.n / 2).filter(|one| one.agent_id.is_none());
        let first = 14_155_550_100 + u64::try_from(self.n % 16).ok()?;
        let digits = first..first + if self.n.is_multiple_of(6) { 7 } else { 1 };
        let changes = digits.map(|digits| {
            let number = self.world.new_number(self.id(), trunk, digits);
            Change::Number(Box::new(Number { endpoint_id: endpoint.map(|one| one.id), ..number }))
        });
        Some(of(changes.collect()))
    }

    fn number(&self) -> Option<Commit> {
        let (known, now, n) = (pick(&self.numbers, self.n / 5)?, self.now(), self.n);
        let endpoint = pick(&self.endpoints, n / 4);
        let patch = match n % 10 {
            0 | 1 => NumberPatch {
                endpoint_id: endpoint.map_or(Patch::Clear, |one| Patch::Set(one.id)),
                ..NumberPatch::default()
            },
            2 => NumberPatch { endpoint_id: Patch::Clear, ..NumberPatch::default() },
            3 | 4 => NumberPatch {
                allow_inbound: Some(!n.is_multiple_of(3)),
                allow_outbound: Some(n % 4 > 1),
                ..NumberPatch::default()
            },
            5 | 6 => {
                let calls_max =
                    u32::try_from(n).ok().filter(|_| n.is_multiple_of(2)).map_or(Patch::Clear, Patch::Set);
                NumberPatch {
                    rules: NumberRulesPatch { calls_max, ..Default::default() },
                    ..Default::default()
                }
            }
            7 => NumberPatch {
                status: Some(if n % 4 > 1 { Switch::Active } else { Switch::Inactive }),
                ..NumberPatch::default()
            },
            8 => return known.suspend(now).map(|next| of(vec![Change::Number(Box::new(next))])),
            _ => return known.resume(now).map(|next| of(vec![Change::Number(Box::new(next))])),
        };
        let wiring = Wiring { endpoint, agent_default: None };
        let next = known.update(patch, wiring, Trust::Trusted, now).ok()?;
        let lands = endpoint.filter(|one| next.endpoint_id == Some(one.id));
        let guards = lands.map(|one| Guard::EndpointAt(self.id(), one.id, one.version)).into_iter().collect();
        (next.version != known.version).then(|| Commit {
            changes: vec![Change::Number(Box::new(next))],
            guards,
            answer: None,
        })
    }

    /// A number is given back, deleted, taken back, or on its way to another carrier. Its stock rests meanwhile.
    fn number_ends(&self) -> Result<Option<Commit>, StoreError> {
        let Some(known) = pick(&self.numbers, self.n / 5) else { return Ok(None) };
        let (settings, now) = (Settings::read(&Bag::new()).expect("no setting is wrong"), self.now());
        let next = match self.n % 6 {
            0 => known.restore(None, Trust::Trusted, now).map(|(next, _)| next),
            1 => known.port_out(now),
            2 => known.delete(&settings, true, now),
            _ => known.release(&settings, now),
        };
        let Ok(next) = next else { return Ok(None) };
        let mut changes = Vec::new();
        if let Some(stock) = known.stock_id.map(|id| self.world.store.stock_get(id)).transpose()?.flatten() {
            let after = if next.status.is_held() {
                stock.moved(domain::stock::StockState::Sold(next.id), now)
            } else {
                next.stock_after(&stock, now)
            };
            changes.extend((after.state != stock.state).then_some(Change::Stock(after)));
        }
        changes.push(Change::Number(Box::new(next)));
        Ok(Some(of(changes)))
    }

    /// Sets a rate, which may take another's place, or removes one.
    fn rate(&self) -> Result<Option<Commit>, StoreError> {
        let n = self.n;
        let owner = if n.is_multiple_of(2) { OrganizationId::NONE } else { self.id() };
        if n.is_multiple_of(5) {
            let known = self.world.store.rate_list(owner, &Page::first(9))?.items;
            let gone = pick(&known, n).map(|rate| Change::RateDelete(rate.organization_id, rate.id));
            return Ok(gone.map(|gone| of(vec![gone])));
        }
        let direction = if n.is_multiple_of(3) { Direction::Inbound } else { Direction::Outbound };
        let prefix = Prefix::parse(["1", "44", "447", ""][n % 4]).unwrap_or_default();
        let new =
            RateNew { direction, prefix, price: Price::by_minute(Micros(i64::try_from(n).unwrap_or(1))) };
        let rate = Rate::create(RateId(self.world.uuid()), owner, new, self.now());
        Ok(rate.ok().map(|rate| of(vec![Change::Rate(rate)])))
    }

    /// Far enough ahead that no window ends meanwhile.
    fn trace(&self) -> Option<Commit> {
        let number_id = pick(&self.numbers, self.n / 5)?.id;
        let day = i64::try_from(self.n).ok()? * 86_400;
        let until = Timestamp::from_second(4_102_444_800 + day).ok().filter(|_| !self.n.is_multiple_of(3));
        Some(of(vec![Change::Trace(self.id(), TraceWindow { number_id, until })]))
    }

    /// As a writer would that read before somebody else wrote: refused, with all that comes with it.
    fn stale(&self) -> Option<Commit> {
        let known = pick(&self.endpoints, self.n)?;
        let late = Endpoint { name: "too late".to_owned(), ..known.clone() };
        Some(of(vec![self.world.funding(self.id(), 1), Change::Endpoint(late)]))
    }

    /// A guard says no after everything was written.
    fn refused(&self) -> Option<Commit> {
        let known = pick(&self.numbers, self.n).filter(|one| one.status.is_held())?;
        let off = Number { allow_inbound: false, version: known.version + 1, ..known.clone() };
        let endpoint = Change::Endpoint(self.world.new_endpoint(self.id(), None));
        let changes = vec![self.world.funding(self.id(), 1), endpoint, Change::Number(Box::new(off))];
        Some(Commit { changes, guards: vec![Guard::SlotsWithin(self.id(), 0)], answer: None })
    }
}
