//! Whole calls through an edge in this process: real sockets on loopback, the echo agent, the product's own caller.

use domain::call::{CallStatus, FactKind};
use domain::endpoint::EndpointPatch;
use domain::ids::{EndpointId, NumberId, OrganizationId, ProviderId};
use domain::number::{Environment, Status};
use domain::provider::{AddressRule, Inbound, ProviderKind, ProviderPatch};
use domain::target::{Target, TargetUri};
use domain::{Call, E164, Endpoint, Fact, Patch, Provider, Timestamp};
use std::collections::BTreeMap;
use store::{Changed, NumberRow};
use uuid::Uuid;

use super::*;
use crate::cli::call::{CallOrder, CallReport, Outcome, place};
use crate::cli::echo_agent::EchoAgent;

const NUMBER: u64 = 14_155_550_100;
const OWNER: OrganizationId = OrganizationId(Uuid::from_u128(1));

pub(super) struct Stage {
    edge: EdgeHandle,
    journal: Arc<Journal>,
    folder: PathBuf,
}

/// A table with one number whose calls go to these targets, in this order.
fn table(targets: &[String]) -> Live {
    let live = Live::new();
    let targets = targets.iter().zip(1..).map(|(uri, priority)| Target {
        uri: TargetUri::parse(uri).unwrap(),
        priority,
        weight: 1,
        enabled: true,
    });
    let patch = EndpointPatch {
        name: Some("echo".into()),
        targets: Some(targets.collect()),
        ..EndpointPatch::default()
    };
    let (endpoint, trunk) = (EndpointId(Uuid::from_u128(2)), ProviderId(Uuid::from_u128(3)));
    let now = Timestamp::UNIX_EPOCH;
    live.apply(Changed::Endpoint(Endpoint::create(OWNER, endpoint, patch, Environment::Live, now).unwrap()));
    let allowed_addresses = vec![AddressRule::parse("127.0.0.1").unwrap()];
    let inbound = Patch::Set(Inbound { allowed_addresses, ..Inbound::default() });
    let patch = ProviderPatch {
        label: Some("carrier".into()),
        inbound,
        outbound: Patch::Keep,
        ..ProviderPatch::default()
    };
    live.apply(Changed::Provider(
        Provider::create(Some(OWNER), trunk, ProviderKind::SipTrunk, patch, now).unwrap(),
    ));
    live.apply(Changed::Number(NumberRow {
        id: NumberId(Uuid::from_u128(4)),
        organization_id: OWNER,
        e164: E164::from_u64(NUMBER).unwrap(),
        status: Status::Active,
        network: domain::number::Network::Public,
        unpaid: false,
        intake: domain::routing::Intake::Open,
        allow_outbound: true,
        provider_id: Some(trunk),
        endpoint_id: Some(endpoint),
        rules: None,
    }));
    live
}

impl Stage {
    async fn set(name: &str, targets: &[String]) -> Self {
        Self::set_with(name, targets, Patience::default()).await
    }

    pub(super) async fn set_with(name: &str, targets: &[String], patience: Patience) -> Self {
        let folder =
            std::env::temp_dir().join(format!("trunkline-edge-{name}-{:x}", clock::process_number()));
        let journal = Arc::new(Journal::open(&folder, 1 << 20).unwrap());
        let listener =
            |transport| ListenerSettings { transport, bind: "127.0.0.1:0".parse().unwrap(), public: None };
        let settings = EdgeSettings {
            listeners: vec![listener(Transport::Udp), listener(Transport::Tcp), listener(Transport::Ws)],
            node: 0,
            key: [7; 32],
            tls: TlsSettings::default(),
            dns: None,
            no_provisional: Duration::from_millis(200),
            threads: NonZero::new(2).unwrap(),
            patience,
            beside: None,
        };
        let live = Arc::new(table(targets));
        let parts = EdgeParts { live, journal: Arc::clone(&journal), tally: Arc::new(Tally::new()) };
        Self { edge: start(settings, parts).await.unwrap(), journal, folder }
    }

    pub(super) async fn call(&self, number: &str, transport: Transport) -> CallReport {
        let via = self.edge.bound().iter().find(|(one, _)| *one == transport).unwrap().1;
        let order = CallOrder {
            number: number.to_owned(),
            from: "+12125550199".to_owned(),
            via,
            transport,
            talk: Some(Duration::from_millis(100)),
            ring: Duration::from_secs(10),
            login: None,
        };
        place(order, &tokio::sync::Notify::new()).await.unwrap()
    }

    /// Stops, and reads the calls out of the journal as the store would.
    pub(super) async fn calls(self) -> Vec<Call> {
        assert!(self.edge.idle());
        self.edge.stop().await;
        let mut facts: BTreeMap<_, Vec<Fact>> = BTreeMap::new();
        while let Some(batch) = self.journal.take(1_000).unwrap() {
            for fact in batch.facts {
                facts.entry(fact.call_id).or_default().push(fact);
            }
            self.journal.ack(batch.upto);
        }
        for call in facts.values() {
            assert!(matches!(call[0].kind, FactKind::Started(_)), "a record begins with its beginning");
        }
        std::fs::remove_dir_all(self.folder).unwrap();
        facts.values().map(|facts| Call::fold(facts).unwrap()).collect()
    }
}

async fn echo_agent() -> EchoAgent {
    EchoAgent::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_both_transports_are_carried_and_recorded() {
    let agent = echo_agent().await;
    let stage = Stage::set("both", &[format!("sip:{}", agent.address())]).await;
    for transport in [Transport::Udp, Transport::Tcp] {
        let report = stage.call("+14155550100", transport).await;
        assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.events);
        assert!(report.echoed > 0, "the sound goes past the edge, and comes back");
    }
    let calls = stage.calls().await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!((call.status, call.organization_id), (CallStatus::Completed, OWNER));
        assert_eq!((call.from.as_str(), call.to.as_str()), ("+12125550199", "+14155550100"));
        assert_eq!(call.attempts.len(), 1);
        assert!(call.monotonic && call.dialog.is_some());
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_cannot_be_reached_are_passed_over_with_their_causes() {
    let agent = echo_agent().await;
    // A socket that never answers, a port that nobody listens on, a transport that is not spoken.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let targets = [
        format!("sip:{closed};transport=tcp"),
        format!("sip:{}", silent.local_addr().unwrap()),
        "sips:127.0.0.1:9".to_owned(),
        format!("sip:{}", agent.address()),
    ];
    let stage = Stage::set("over", &targets).await;
    assert_eq!(stage.call("+14155550100", Transport::Udp).await.outcome, Outcome::Completed);
    let calls = stage.calls().await;
    let attempts = &calls[0].attempts;
    let causes: Vec<_> = attempts.iter().map(|attempt| (attempt.n, attempt.cause.as_str())).collect();
    assert_eq!(causes, [(0, "tls_unavailable"), (1, "transport"), (2, "no_response"), (3, "answered")]);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_are_told_why_and_leave_a_record() {
    let stage = Stage::set("refused", &[]).await;
    let report = stage.call("+14155550100", Transport::Udp).await;
    assert_eq!(report.outcome, Outcome::Refused(480));
    assert!(report.reason.unwrap().contains("target"));
    let report = stage.call("+14155550101", Transport::Tcp).await;
    assert_eq!(report.outcome, Outcome::Refused(404));
    let statuses: Vec<_> = stage.calls().await.iter().map(|call| (call.status, call.sip_status)).collect();
    assert_eq!(statuses, [(CallStatus::Refused, Some(480)), (CallStatus::Refused, Some(404))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_edge_takes_no_new_calls() {
    let agent = echo_agent().await;
    let stage = Stage::set("drained", &[format!("sip:{}", agent.address())]).await;
    stage.edge.drain();
    assert_eq!(stage.call("+14155550100", Transport::Udp).await.outcome, Outcome::Refused(503));
    drop(stage.calls().await);
    agent.stop().await;
}
