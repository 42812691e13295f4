//! Random configurations, and INVITEs of trunks and agents with the questions about them: the same for the same seed.

use domain::endpoint::{EndpointPatch, EndpointStatus};
use domain::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use domain::manner::MannerPatch;
use domain::number::{Environment, Network, Status};
use domain::op::{ExplainAbout, ExplainOut};
use domain::organization::Kyc;
use domain::provider::{
    AddressRule, DialForm, Inbound, MediaEncryption, Outbound, ProviderKind, ProviderPatch,
};
use domain::reach::Private;
use domain::routing::Intake;
use domain::rules::{EndpointRules, EndpointRulesPatch, Heard, NumberRules};
use domain::target::{Target, TargetUri};
use domain::{Bag, E164, Endpoint, Micros, Organization, Patch, Provider, Timestamp};
use serde_json::{Value, json};
use sip::{Ask, Edge, Flow, Input, Output, Transport};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Changed, NumberRow};
use uuid::Uuid;

use super::super::decide;
use crate::clock;
use crate::live::Live;
use crate::live::health::Spot;
use crate::live::registrations::{Binding, Change};

const DIGITS: u64 = 14_152_000_000;
/// Numbers, endpoints, trunks and organizations of a configuration.
const NUMBERS: u64 = 3;
const ENDPOINTS: u128 = 4;
const TRUNKS: u128 = 3;
const OWNERS: u128 = 2;

pub(super) fn owner(n: u128) -> OrganizationId {
    OrganizationId(Uuid::from_u128(100 + n))
}

fn endpoint_id(n: u128) -> EndpointId {
    EndpointId(Uuid::from_u128(200 + n))
}

fn trunk_id(n: u128) -> ProviderId {
    ProviderId(Uuid::from_u128(300 + n))
}

fn number(n: u64) -> E164 {
    E164::from_u64(DIGITS + n).unwrap()
}

/// A draw that repeats: a configuration is what it says.
pub(super) struct Dice(Cell<u64>);

impl Dice {
    /// The draws of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    fn roll(&self, sides: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        (state >> 11) % sides
    }

    fn one(&self, of: u64) -> bool {
        self.roll(of) == 0
    }

    fn pick<T: Clone>(&self, all: &[T]) -> T {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()].clone()
    }

    fn small(&self, sides: u64) -> u128 {
        u128::from(self.roll(sides))
    }

    fn media(&self) -> MediaEncryption {
        let rare = self.pick(&[MediaEncryption::Required, MediaEncryption::Disabled]);
        if self.one(4) { rare } else { MediaEncryption::Allowed }
    }

    fn organization(&self, n: u128) -> Changed {
        let now = Timestamp::UNIX_EPOCH;
        let mut settings: Bag =
            [("rate_cents_per_minute".to_owned(), self.roll(2).into())].into_iter().collect();
        if self.one(3) {
            settings.insert("max_concurrent_calls".into(), self.roll(3).into());
        }
        if self.one(4) {
            settings.insert("schedule".into(), self.schedule());
        }
        let organization = Organization {
            id: owner(n),
            name: "o".into(),
            kyc: Kyc::Approved,
            number_slots: None,
            settings,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let balance = if self.one(10) { 0 } else { 1_000_000 };
        Changed::Organization(organization, Micros(balance))
    }

    /// Whole days, so that a case does not change within itself.
    fn schedule(&self) -> Value {
        let days: Vec<_> =
            ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].into_iter().filter(|_| self.one(2)).collect();
        let place = self.one(3).then(|| endpoint_id(self.small(4)).to_string());
        let windows = if days.is_empty() {
            json!([])
        } else {
            json!([{"days": days, "from": "00:00", "to": "24:00", "endpoint_id": place}])
        };
        json!({"time_zone": "UTC", "windows": windows})
    }

    fn steps(&self, what: u64) -> Value {
        let causes = [
            "busy",
            "no_answer",
            "failed",
            "closed",
            "all_down",
            "no_target",
            "endpoint_inactive",
            "no_endpoint",
        ];
        let first = self.roll(8);
        let step = |n| {
            let to = match self.roll(4) {
                0 => json!({"refuse": self.pick(&[480, 486, 503])}),
                1 => json!({"e164": number(self.roll(NUMBERS)).to_string()}),
                _ => json!({"endpoint_id": endpoint_id(self.small(4)).to_string()}),
            };
            // No two steps of one list have a cause in common.
            let causes = (0..2).map(|more| causes[usize::try_from((first + 2 * n + more) % 8).unwrap()]);
            let on: Vec<_> = causes.collect();
            json!({"on": on, "to": to})
        };
        (0..self.roll(what)).map(step).collect()
    }

    fn endpoint(&self, n: u128, live: &Live) -> Changed {
        let target = |at: u64| {
            // one in three is private
            let host = format!("{}.0.{n}.{at}", self.pick(&[10, 9, 9]));
            let uri = match self.roll(8) {
                0 => "sip:registered.invalid".to_owned(),
                1 => format!("sip:agent@{host}:5070"),
                2 => format!("sips:{host}"),
                _ => format!("sip:{host}"),
            };
            let uri = TargetUri::parse(&uri).unwrap();
            let spot = Spot::of(&uri, &live.reach_of(Some(owner(0))));
            if self.one(2)
                && let Some(spot) = spot
            {
                for _ in 0..2 {
                    live.health.put(spot.clone(), Heard::NoResponse, Timestamp::UNIX_EPOCH);
                }
            }
            // Of one priority each: among equals the Call-ID draws, which nobody asks about.
            Target {
                uri,
                priority: u16::try_from(at ^ self.roll(2)).unwrap() * 2 + u16::try_from(at).unwrap() % 2,
                weight: 1,
                enabled: !self.one(4),
            }
        };
        let targets = (0..self.roll(3) + u64::from(!self.one(6))).map(target).collect();
        let mut rules = json!({});
        if self.one(2) {
            rules["health"] = json!({"enabled": true});
        }
        if self.one(3) {
            rules["fallback"] = self.steps(3);
        }
        if self.one(4) {
            rules["failover"] = json!({"on": ["busy"]});
        }
        // What leads in a circle at once cannot be written.
        let rules = EndpointRules::read(rules.as_object().unwrap()).unwrap_or_default();
        let rules = EndpointRulesPatch {
            failover: rules.failover.map_or(Patch::Keep, Patch::Set),
            health: Patch::Set(rules.health),
            fallback: Patch::Set(rules.fallback),
            ..EndpointRulesPatch::default()
        };
        let media = self.media();
        let manner = MannerPatch { media_encryption: Some(media), ..MannerPatch::default() };
        let patch = EndpointPatch {
            name: Some(format!("e{n}")),
            targets: Some(targets),
            status: self.one(8).then_some(EndpointStatus::Inactive),
            manner: Box::new(manner),
            rules,
            source_addresses: Some(vec![AddressRule::parse(&format!("192.0.3.{n}")).unwrap()]),
            ..EndpointPatch::default()
        };
        let make = |patch| {
            Endpoint::create(owner(0), endpoint_id(n), patch, Environment::Live, Timestamp::UNIX_EPOCH)
        };
        let plain = EndpointPatch { rules: EndpointRulesPatch::default(), ..patch.clone() };
        Changed::Endpoint(make(patch).unwrap_or_else(|_| make(plain).unwrap()))
    }

    fn way_out(&self, n: u128) -> Outbound {
        Outbound {
            address: format!("{}.51.100.{n}", self.pick(&[198, 9])),
            transport: domain::target::Transport::Tcp,
            destination_country: None,
            media_encryption: self.media(),
            credentials: None,
            dial: DialForm::default(),
            emergency: self.one(2),
            calls_per_second: self.one(4).then_some(1),
            priority: 10,
        }
    }

    fn trunk(&self, n: u128) -> Changed {
        let allowed_addresses = vec![AddressRule::parse(&format!("192.0.2.{}", n % 2)).unwrap()];
        let allowed_numbers = if self.one(8) { vec![number(90)] } else { Vec::new() };
        let media_encryption = self.media();
        let inbound = Inbound { allowed_addresses, allowed_numbers, media_encryption, ..Inbound::default() };
        let patch = ProviderPatch {
            label: Some("t".into()),
            inbound: Patch::Set(inbound),
            outbound: if self.one(6) { Patch::Keep } else { Patch::Set(self.way_out(n)) },
            calls_max: if self.one(4) {
                Patch::Set(u32::try_from(self.roll(3)).unwrap())
            } else {
                Patch::Keep
            },
            ..ProviderPatch::default()
        };
        let own = (n < OWNERS).then(|| owner(n));
        Changed::Provider(
            Provider::create(own, trunk_id(n), ProviderKind::SipTrunk, patch, Timestamp::UNIX_EPOCH).unwrap(),
        )
    }

    fn number(&self, n: u64) -> Changed {
        let usual = if self.one(4) { Status::PortOut } else { Status::Active };
        let status = if self.one(6) { self.pick(&[Status::Inactive, Status::Pending]) } else { usual };
        let whose = u128::from(self.one(4));
        let mut rules = json!({});
        if self.one(3) {
            let endpoint = endpoint_id(self.small(5)).to_string();
            rules["caller_rules"] = json!([
                {"from": number(90).to_string(), "action": "refuse", "status": 486},
                {"from": "+1415*", "action": "endpoint", "endpoint_id": endpoint},
            ]);
        }
        if self.one(3) {
            rules["schedule"] = self.schedule();
        }
        if self.one(4) {
            rules["split"] = json!([
                {"endpoint_id": endpoint_id(0).to_string(), "percent": 40},
                {"endpoint_id": endpoint_id(1).to_string(), "percent": 60},
            ]);
        }
        if self.one(2) {
            rules["fallback"] = self.steps(4);
        }
        if self.one(4) {
            rules["max_concurrent_calls"] = self.roll(3).into();
        }
        // A place that two steps name, or a cause, cannot be written.
        let rules = NumberRules::read(rules.as_object().unwrap()).unwrap_or_default();
        Changed::Number(NumberRow {
            id: NumberId(Uuid::from_u128(400 + u128::from(n))),
            organization_id: owner(whose),
            e164: number(n),
            status,
            network: Network::Public,
            unpaid: self.one(2),
            intake: Intake::of(!self.one(8), !self.one(10)),
            allow_outbound: !self.one(4),
            // Its holder's, or the operator's: no other can be written.
            provider_id: (!self.one(5)).then(|| trunk_id(self.pick(&[whose, whose, OWNERS]))),
            endpoint_id: (!self.one(8)).then(|| endpoint_id(self.small(4))),
            rules: (!rules.is_empty()).then(|| Arc::new(rules)),
        })
    }

    pub(super) fn configuration(&self) -> Live {
        let live = Live::new();
        live.private_by_default(if self.one(3) { Private::Denied } else { Private::Allowed });
        (0..OWNERS).for_each(|n| live.apply(self.organization(n)));
        (0..ENDPOINTS).for_each(|n| live.apply(self.endpoint(n, &live)));
        (0..TRUNKS).for_each(|n| live.apply(self.trunk(n)));
        (0..NUMBERS).for_each(|n| live.apply(self.number(n)));
        for n in (0..NUMBERS).filter(|_| self.one(2)) {
            (0..=self.roll(2)).for_each(|device| register(&live, n, device));
        }
        live
    }

    /// An agent's INVITE from its endpoint's address, in the name of a number.
    pub(super) fn agent_invite(&self, edge: &mut Edge, n: usize) -> (Box<Ask>, ExplainOut, Option<E164>) {
        let remote: SocketAddr = ([192, 0, 3, u8::try_from(self.roll(4)).unwrap()], 5061).into();
        let from = number(self.roll(NUMBERS + 1));
        let to = self.pick(&["+12125550100", "+442071234567", "+12125550101", "911", "12", "nobody"]);
        let ask = self.asked(edge, (remote, &from.to_string(), to), n);
        let (from_address, caller) = (Some(remote.ip()), Some(from.to_string()));
        let offer = Some(decide::offer(ask.media));
        (ask, ExplainOut { to: to.to_owned(), from: from_address, caller, offer }, Some(from))
    }

    /// What the edge asks of an INVITE.
    fn asked(
        &self,
        edge: &mut Edge,
        (remote, from, dialled): (SocketAddr, &str, &str),
        n: usize,
    ) -> Box<Ask> {
        let (kind, key) =
            self.pick(&[("RTP/AVP", ""), ("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n")]);
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 {kind} 0\r\n{key}"
        );
        let text = format!(
            "INVITE sip:{dialled}@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/TLS {remote};branch=z9hG4bK-{n}\r\nFrom: <sip:{from}@192.0.2.1>;tag=f\r\n\
             To: <sip:{dialled}@203.0.113.1>\r\nCall-ID: call-{n}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:c@{remote}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let flow = Flow { listener: 0, transport: Transport::Tls, remote, connection: None };
        edge.handle(clock::instant(), Input::Message { flow, bytes: text.as_bytes() });
        let Some(Output::Ask(ask)) = edge.poll() else { panic!("an INVITE is asked about:\n{text}") };
        ask
    }

    /// An INVITE, and the question about it.
    pub(super) fn invite(
        &self,
        live: &Live,
        edge: &mut Edge,
        n: usize,
    ) -> (Box<Ask>, ExplainAbout, Option<E164>) {
        let dialled = number(if self.one(10) { NUMBERS } else { self.roll(NUMBERS) });
        // Mostly from where its trunk is.
        let its = live.number(dialled).is_some_and(|number| number.trunk == Some(trunk_id(1)));
        let host = if self.one(6) { self.pick(&[0, 1, 9]) } else { u8::from(its) };
        let remote: SocketAddr = ([192, 0, 2, host], 5061).into();
        let from = self.pick(&[
            number(90).to_string(),
            number(91).to_string(),
            "+12125550100".into(),
            "+442071234567".into(),
        ]);
        let ask = self.asked(edge, (remote, &from, &dialled.to_string()), n);
        let offer = Some(decide::offer(ask.media));
        let about = ExplainAbout { from: Some(remote.ip()), caller: Some(from), offer, at: None };
        (ask, about, Some(dialled))
    }
}

/// An agent of a number registers.
fn register(live: &Live, n: u64, device: u64) {
    let remote = ([10, 9, 9, u8::try_from(device).unwrap()], 5070).into();
    let binding = Binding {
        contact: format!("sip:agent@10.9.9.{device}:5070"),
        flow: Flow { listener: 0, transport: Transport::Udp, remote, connection: None },
        username: "u".into(),
        instance: None,
        flow_id: None,
        call_id: "r".into(),
        cseq: 1,
        registered_at: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH,
        seen: clock::instant(),
        lasts: Duration::from_mins(1),
    };
    let id = NumberId(Uuid::from_u128(400 + u128::from(n)));
    let changes = vec![Change::Bind(binding)];
    live.registrations.change(id, (&format!("r{device}"), 1), changes, clock::instant()).unwrap();
}
