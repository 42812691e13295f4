//! What `explain` says is what the call path does: random configurations and INVITEs, each asked about first and called then, both
//! by the functions that the server runs ([`Explainer`], [`Decider`]).

mod dice;

use domain::call::{FactKind, Started};
use domain::routing::TrunkRoute;
use domain::trail::{Rule, RuleName};
use domain::view::{Explanation, Outcome};
use proptest::prelude::*;
use sip::{Ask, Edge, Verdict};
use std::cell::RefCell;

use super::decide::{Around, Decider, Step};
use super::gauge::Gauge;
use super::plan::{onward, outcomes};
use super::resolve::Names;
use super::streams::Streams;
use super::wire::Work;
use super::*;
use crate::app::explain::Explainer;
use dice::{Dice, owner};

fn edge() -> Edge {
    let listener = Listener {
        transport: Transport::Tls,
        local: ([203, 0, 113, 1], 5061).into(),
        public_host: "203.0.113.1".into(),
        public_port: 5061,
    };
    Edge::new(sip::Config {
        listeners: vec![listener],
        node: 1,
        process: 1,
        keys: sip::Keys { current: sip::Key { id: 0, secret: [7; 32] }, previous: None },
        timers: Timers::default(),
        limits: sip::Limits::default(),
    })
}

/// What a call leaves of its decision: the rules that were looked at, and why it was refused.
fn told(work: &Work) -> (Vec<Rule>, Option<(u16, String)>) {
    let (mut steps, mut refused) = (Vec::new(), None);
    for fact in work.facts() {
        match &fact.kind {
            FactKind::Started(started) => {
                let Started { trail, .. } = started.as_ref();
                steps = trail.steps().collect();
            }
            FactKind::Unanswered(end) => refused = Some((end.sip_status, end.reason.clone())),
            _ => {}
        }
    }
    (steps, refused)
}

fn same(explained: &Explanation, verdict: &Verdict, work: &Work) -> Result<(), TestCaseError> {
    let (steps, refused) = told(work);
    // Who is asked for a password has not been decided about: nothing is recorded.
    if !matches!(verdict, Verdict::Challenge { .. }) {
        prop_assert_eq!(&explained.steps, &steps);
    }
    match verdict {
        Verdict::Route { targets, legs, .. } => {
            prop_assert_eq!((explained.outcome, explained.sip_status), (Outcome::Route, 200));
            prop_assert_eq!(explained.legs.len(), legs.len());
            for (shown, leg) in explained.legs.iter().zip(legs) {
                let uris: Vec<_> =
                    targets[leg.targets.clone()].iter().map(|one| one.request_uri.as_str()).collect();
                let said: Vec<_> = shown.targets.iter().map(|(uri, _)| uri.as_str()).collect();
                prop_assert_eq!(said, uris);
                let exits: Vec<_> =
                    shown.exits.iter().map(|exit| (outcomes(exit.on), onward(exit.to))).collect();
                prop_assert_eq!(&exits, &leg.exits);
                prop_assert_eq!(shown.answer_seconds.map(|s| Duration::from_secs(s.into())), leg.ring);
            }
        }
        Verdict::Refuse { status, .. } => {
            prop_assert_eq!((explained.outcome, explained.sip_status), (Outcome::Refuse, *status));
            prop_assert_eq!(refused, Some((*status, explained.reason.clone())));
        }
        Verdict::Drop | Verdict::Challenge { .. } => {
            prop_assert_eq!(explained.outcome, Outcome::Refuse);
            prop_assert_eq!(explained.steps.last(), Some(&RuleName::SourceIsTrunk.is(false)));
        }
        Verdict::Answer { .. } => prop_assert!(false, "{:?}", verdict),
    }
    Ok(())
}

/// The same of a call out. That its address is no trunk's is told where it is asked about, and goes without saying in a receipt.
fn same_out(explained: &Explanation, verdict: &Verdict, work: &Work) -> Result<(), TestCaseError> {
    let (steps, refused) = told(work);
    prop_assert_eq!(explained.steps.first(), Some(&RuleName::SourceNoTrunk.is(true)));
    prop_assert_eq!(&explained.steps[1..], &steps);
    match verdict {
        Verdict::Route { targets, .. } => {
            prop_assert_eq!((explained.outcome, explained.sip_status), (Outcome::Route, 200));
            let uris: Vec<_> = targets.iter().map(|one| one.request_uri.clone()).collect();
            prop_assert_eq!(&explained.targets, &uris);
        }
        Verdict::Refuse { status, .. } => {
            prop_assert_eq!((explained.outcome, explained.sip_status), (Outcome::Refuse, *status));
            prop_assert_eq!(refused, Some((*status, explained.reason.clone())));
        }
        Verdict::Drop | Verdict::Answer { .. } | Verdict::Challenge { .. } => {
            prop_assert!(false, "{:?}", verdict);
        }
    }
    Ok(())
}

/// How often each thing came up: a world without it would show nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    routed: u32,
    refused: u32,
    unknown: u32,
    chains: u32,
    asked: u32,
    agents: u32,
    out: u32,
    out_refused: u32,
}

/// A configuration, and an edge that decides on it.
struct Case {
    dice: Dice,
    live: Arc<Live>,
    edge: Edge,
    decider: Decider,
    gauge: Gauge,
    names: Names,
    streams: Streams,
}

impl Case {
    fn of(seed: u64, journal: &Arc<Journal>) -> Self {
        let dice = Dice::new(seed);
        let live = Arc::new(dice.configuration());
        let decider = Decider::new(Arc::clone(&live), Arc::clone(journal), Transport::ALL.to_vec());
        let (gauge, names, streams) = (Gauge::new(), Names::default(), Streams::default());
        Self { dice, live, edge: edge(), decider, gauge, names, streams }
    }

    fn decide(&mut self, ask: &Ask) -> (Verdict, Work) {
        let mut work = Work::default();
        let Self { gauge, names, streams, decider, .. } = self;
        let mut around = Around { now: clock::instant(), gauge, names, streams, work: &mut work };
        let Step::Now(verdict) = decider.decide(ask, &mut around) else {
            panic!("nothing here has to be looked up")
        };
        (verdict, work)
    }

    /// A call in.
    fn comes_in(&mut self, n: usize, seen: &mut Seen) -> Result<(), TestCaseError> {
        let live = Arc::clone(&self.live);
        let (ask, about, dialled) = self.dice.invite(&live, &mut self.edge, n);
        let held = dialled.and_then(|e164| live.number(e164));
        let organization = held.map_or_else(|| owner(0), |number| number.organization_id);
        let explained = Explainer { live: &live, organization }.inbound(dialled, &about, clock::now());
        let (verdict, work) = self.decide(&ask);
        let trunks = live.trunks_of(ask.flow.remote);
        let shown = |one: &TrunkRoute| one.organization_id.is_none_or(|id| id == organization);
        if !trunks.is_empty() && !trunks.iter().any(shown) {
            // Of a trunk that is another's alone, who asks is told nothing.
            seen.unknown += 1;
            prop_assert_eq!(&explained.steps, &[RuleName::SourceIsTrunk.is(false)]);
            let routed = matches!(verdict, Verdict::Route { .. });
            prop_assert!(!routed);
            return Ok(());
        }
        same(&explained, &verdict, &work)?;
        let routed = explained.outcome == Outcome::Route;
        let agent = RuleName::AgentRegistered.is(true);
        seen.routed += u32::from(routed);
        seen.refused += u32::from(!routed);
        seen.chains += u32::from(explained.legs.len() > 1);
        seen.agents += u32::from(routed && explained.steps.contains(&agent));
        seen.asked += u32::from(explained.steps.contains(&RuleName::TargetsUp.is(true)));
        Ok(())
    }

    /// A call out.
    fn goes_out(&mut self, n: usize, seen: &mut Seen) -> Result<(), TestCaseError> {
        let (ask, about, number) = self.dice.agent_invite(&mut self.edge, n);
        let explained = Explainer { live: &self.live, organization: owner(0) }.outbound(number, &about);
        let (verdict, work) = self.decide(&ask);
        if self.live.organizations_from(ask.flow.remote.ip()).is_empty() {
            // Its endpoint is off: whoever calls from there has to know a password, which `explain` takes for granted.
            let stranger = matches!(verdict, Verdict::Drop | Verdict::Challenge { .. });
            prop_assert!(stranger);
            return Ok(());
        }
        same_out(&explained, &verdict, &work)?;
        seen.out += u32::from(explained.outcome == Outcome::Route);
        seen.out_refused += u32::from(explained.outcome == Outcome::Refuse);
        Ok(())
    }
}

#[test]
fn what_is_explained_is_what_is_decided() {
    let folder = std::env::temp_dir().join(format!("trunkline-explained-{:x}", clock::process_number()));
    let journal = Arc::new(Journal::open(&folder, 1 << 20).unwrap());
    let seen = RefCell::new(Seen::default());
    let settings = ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() };
    let run = proptest::test_runner::TestRunner::new(settings).run(&(1_u64..), |seed| {
        let (mut case, mut seen) = (Case::of(seed, &journal), seen.borrow_mut());
        (0..4).try_for_each(|n| case.comes_in(n, &mut seen))?;
        (4..7).try_for_each(|n| case.goes_out(n, &mut seen))
    });
    drop(std::fs::remove_dir_all(folder));
    if let Err(why) = run {
        panic!("{why}");
    }
    let seen = seen.into_inner();
    let Seen { routed, refused, unknown, chains, asked, agents, out, out_refused } = seen;
    let counts = [routed, refused, unknown, chains, asked, agents, out, out_refused];
    assert!(counts.iter().all(|count| *count > 100), "too little of something to show anything: {seen:?}");
}
