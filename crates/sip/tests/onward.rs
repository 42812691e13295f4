//! Legs of a call: after which outcomes the next target, another leg or an answer of ours comes; and how long a target may ring.

mod world;

use sip::*;
use std::sync::Arc;
use world::*;

const LONG: Answering = Answering::Accept { ring: std::time::Duration::from_mins(1) };

/// One leg for each agent.
fn world(agents: &[Answering]) -> World {
    let agents = agents.iter().enumerate().map(|(index, one)| agent(index, one.clone())).collect();
    let mut world = World::new(1, caller(1, Transport::Udp), agents);
    let one = |at: usize| Leg { targets: at..at + 1, ..Leg::of(0) };
    world.legs = (0..world.targets.len()).map(one).collect();
    world
}

fn on(outcomes: &[Outcome]) -> Outcomes {
    outcomes.iter().fold(Outcomes::NONE, |set, one| set.with(*one))
}

#[test]
fn an_exit_is_taken_on_its_outcomes_only() {
    for (status, outcome) in [(486, Outcome::Busy), (603, Outcome::Declined), (404, Outcome::NotFound)] {
        for other in Outcome::ALL {
            let mut world = world(&[Answering::Refuse { status }, RING]);
            world.legs[0].exits = vec![(on(&[other]), Exit::Leg(1))];
            world.run();
            let (first, taken) = ((0, Some(status), Cause::Refused), other == outcome);
            let wanted: Vec<_> =
                if taken { vec![first, (1, Some(200), Cause::Answered)] } else { vec![first] };
            assert_eq!(world.attempts(), wanted, "{status} {other:?}");
            assert_eq!(world.failed(), (!taken).then_some((status, Cause::Refused)));
        }
    }
}

#[test]
fn a_leg_without_an_exit_is_the_end_whatever_legs_stand_behind_it() {
    let mut world = world(&[Answering::Refuse { status: 503 }, RING]);
    world.run();
    assert_eq!(world.failed(), Some((500, Cause::Refused)));
    assert_eq!(world.attempts(), [(0, Some(503), Cause::Refused)]);
}

#[test]
fn the_first_exit_that_has_the_outcome_counts_and_legs_may_be_passed_over() {
    let mut world = world(&[Answering::Refuse { status: 486 }, RING, RING]);
    let exits = [(on(&[Outcome::NoAnswer]), Exit::Leg(1)), (on(&[Outcome::Busy]), Exit::Leg(2))];
    world.legs[0].exits = exits.to_vec();
    world.run();
    assert_eq!(world.attempts(), [(0, Some(486), Cause::Refused), (2, Some(200), Cause::Answered)]);
    assert!(world.trace.iter().all(|line| !line.contains("> 192.0.2.11")), "{:?}", world.trace);
}

#[test]
fn a_target_with_a_bound_of_its_own_leaves_the_next_its_time() {
    let mut world = world(&[LONG, Answering::Accept { ring: ms(30_000) }]);
    world.targets[0].manner = Some(Arc::new(Manner { ring: Some(ms(10_000)), ..Manner::default() }));
    world.legs[0].exits = vec![(on(&[Outcome::TooLate]), Exit::Leg(1))];
    world.run();
    assert_eq!(world.attempts(), [(0, None, Cause::TooLate), (1, Some(200), Cause::Answered)]);
    let mut alone = self::world(&[LONG]);
    alone.targets[0].manner = Some(Arc::new(Manner { ring: Some(ms(10_000)), ..Manner::default() }));
    alone.run();
    assert_eq!(alone.failed(), Some((480, Cause::TooLate)));
}

#[test]
fn a_place_that_takes_no_such_sound_is_passed_over() {
    for (rules, failed, tried) in [
        ([MediaRule::default(), MediaRule::PLAIN], Some((486, Cause::Refused)), 1),
        ([MediaRule::PLAIN, MediaRule::PLAIN], Some((488, Cause::Media)), 0),
        ([MediaRule::PLAIN, MediaRule::SDES], None, 1),
    ] {
        let first = if failed.is_some() { Answering::Refuse { status: 486 } } else { RING };
        let mut world = world(&[first, RING]);
        for (target, media) in world.targets.iter_mut().zip(rules) {
            target.media = media;
        }
        // two ways to one place, then one to each of two
        if failed.is_none() {
            world.legs = vec![Leg::of(2)];
        } else {
            world.legs[0].exits = vec![(on(&[Outcome::Busy, Outcome::Transport]), Exit::Leg(1))];
        }
        world.run();
        assert_eq!((world.failed(), world.attempts().len()), (failed, tried), "{rules:?}");
    }
}

#[test]
fn an_exit_may_be_an_answer_of_ours() {
    let mut world = world(&[Answering::Refuse { status: 503 }]);
    world.legs[0].exits =
        vec![(on(&[Outcome::Unavailable]), Exit::Refuse { status: 486, reason: "Busy Here" })];
    world.run();
    assert_eq!(world.failed(), Some((486, Cause::Refused)));
    assert!(world.events.contains(&AgentEvent::Refused { status: 486 }));
}

#[test]
fn an_exit_that_leads_back_is_no_exit() {
    let mut world = world(&[Answering::Refuse { status: 503 }, Answering::Refuse { status: 503 }]);
    let failed = on(&[Outcome::Unavailable]);
    world.legs[0].exits = vec![(failed, Exit::Leg(1))];
    world.legs[1].exits = vec![(failed, Exit::Leg(0))];
    world.run();
    assert_eq!(world.attempts().len(), 2);
    assert_eq!(world.failed(), Some((500, Cause::Refused)));
}

#[test]
fn what_a_leg_moves_on_for_is_its_own() {
    let mut world = world(&[Answering::Refuse { status: 486 }, RING]);
    world.legs = vec![Leg { failover: on(&[Outcome::Busy]), ..Leg::of(2) }];
    world.run();
    assert_eq!(world.attempts(), [(0, Some(486), Cause::Refused), (1, Some(200), Cause::Answered)]);
    let mut world = self::world(&[Answering::Refuse { status: 503 }, RING]);
    world.legs = vec![Leg { failover: on(&[Outcome::Busy]), ..Leg::of(2) }];
    world.run();
    assert_eq!(world.failed(), Some((500, Cause::Refused)));
}

#[test]
fn a_target_that_rings_too_long_is_cancelled_and_the_next_is_tried() {
    let mut world = world(&[LONG, RING]);
    world.legs = vec![Leg { ring: Some(ms(5_000)), ..Leg::of(2) }];
    world.run();
    assert_eq!(world.attempts(), [(0, None, Cause::TooLate), (1, Some(200), Cause::Answered)]);
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    assert!(world.trace.iter().any(|line| line.contains("CANCEL")), "{:?}", world.trace);
}

#[test]
fn a_lone_target_that_rings_too_long_ends_with_480() {
    let mut world = world(&[LONG]);
    world.legs[0].ring = Some(ms(5_000));
    world.run();
    assert_eq!(world.failed(), Some((480, Cause::TooLate)));
    assert_eq!(world.attempts(), [(0, None, Cause::TooLate)]);
}

#[test]
fn a_silent_target_that_is_too_late_is_left_too() {
    let mut world = world(&[Answering::Silent]);
    world.legs[0].ring = Some(ms(1_000));
    world.run();
    assert_eq!(world.failed(), Some((480, Cause::TooLate)));
}

#[test]
fn a_leg_without_addresses_counts_as_a_fault_of_the_transport() {
    let mut world = world(&[RING, RING]);
    world.targets[0].hops.clear();
    world.legs[0].exits = vec![(on(&[Outcome::Transport]), Exit::Leg(1))];
    world.run();
    assert_eq!(world.attempts(), [(1, Some(200), Cause::Answered)]);
}

#[test]
fn a_call_given_up_goes_nowhere() {
    let mut settings = caller(1, Transport::Udp);
    settings.cancel_after = Some(ms(700));
    let mut world = World::new(1, settings, vec![agent(0, LONG), agent(1, RING)]);
    let cancelled = on(&Outcome::ALL);
    world.legs = vec![
        Leg { targets: 0..1, exits: vec![(cancelled, Exit::Leg(1))], ..Leg::of(0) },
        Leg { targets: 1..2, ..Leg::of(0) },
    ];
    world.run();
    assert_eq!(world.failed(), Some((487, Cause::Cancelled)));
    assert_eq!(world.attempts(), [(0, Some(487), Cause::Cancelled)]);
}

/// Whatever the legs and the answers, a call ends with one outcome, over a bad network too.
#[test]
fn every_call_ends_over_a_bad_network() {
    for seed in 0..150_usize {
        let dice = seed as u64;
        let pick = |n: usize, of: usize| (seed / n) % of;
        let answers = [
            Answering::Refuse { status: [486, 503, 480, 603][pick(1, 4)] },
            if pick(4, 2) == 0 { LONG } else { Answering::Silent },
            RING,
        ];
        let agents = answers.iter().enumerate().map(|(index, one)| agent(index, one.clone())).collect();
        let mut world = World::new(dice + 1, caller(dice + 1, Transport::Udp), agents);
        world.legs = (0..3).map(|at| Leg { targets: at..at + 1, ..Leg::of(0) }).collect();
        world.legs[0].exits = vec![(on(&Outcome::ALL), Exit::Leg(1))];
        world.legs[1].exits = vec![(on(&Outcome::ALL), Exit::Leg(2))];
        world.legs[1].ring = Some(ms(1_000 + dice * 20));
        world.net = Net { loss: 100, twice: 100, late: 100 };
        world.run();
        let failed = world.facts.iter().filter(|fact| matches!(fact, Fact::Failed { .. })).count();
        assert!(world.answered() + failed >= 1, "seed {seed}: {:?}", world.trace);
    }
}
