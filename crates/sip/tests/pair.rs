//! Whole calls: a caller, the edge, agents, on invented time; then the same over a bad network from many seeds.

mod world;

use sip::*;
use world::*;

fn world(agents: &[Answering]) -> World {
    let agents = agents.iter().enumerate().map(|(index, one)| agent(index, one.clone())).collect();
    World::new(1, caller(1, Transport::Udp), agents)
}

#[test]
fn a_plain_call_is_answered_and_ended() {
    let mut world = world(&[RING]);
    world.run();
    assert_eq!(world.asks, 1);
    assert_eq!(world.attempts(), [(0, Some(200), Cause::Answered)]);
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    assert!(matches!(
        &world.events[..],
        [AgentEvent::Ringing { status: 180 }, AgentEvent::Answered { .. }, AgentEvent::Ended { status: 200 }]
    ));
    let Some(Fact::Answered { ids: told, dialog, known }) =
        world.facts.iter().find(|fact| matches!(fact, Fact::Answered { .. }))
    else {
        panic!("no answer")
    };
    assert_eq!((*told, *known), (ids(), Known::Transaction));
    assert_eq!(dialog.caller_contact.as_deref(), Some("sip:agent@198.51.100.7:5060;transport=udp"));
    assert_eq!(dialog.callee_contact.as_deref(), Some("sip:agent@192.0.2.10:5060;transport=udp"));
    assert!(dialog.record_routed && dialog.caller_routes.is_empty() && dialog.callee_routes.is_empty());
    assert!(!dialog.from_tag.is_empty() && !dialog.to_tag.is_empty());
}

#[test]
fn sound_at_an_address_that_the_other_side_cannot_reach_is_told() {
    let hidden =
        b"v=0\r\no=- 1 1 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    for (at_caller, at_agent) in [(false, false), (true, false), (false, true)] {
        let (mut settings, mut one) = (caller(1, Transport::Udp), agent(0, RING));
        if at_caller {
            settings.sdp = hidden.to_vec();
        }
        if at_agent {
            one.sdp = hidden.to_vec();
        }
        let mut world = World::new(1, settings, vec![one]);
        world.run();
        let told = world.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.unreachable),
            _ => None,
        });
        assert_eq!(told, Some(at_caller || at_agent), "{at_caller} {at_agent}");
    }
}

#[test]
fn the_callee_may_hang_up() {
    let mut one = agent(0, RING);
    one.hang_up_after = Some(ms(2000));
    let mut settings = caller(1, Transport::Udp);
    settings.hang_up_after = None;
    let mut world = World::new(1, settings, vec![one]);
    world.run();
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Callee)));
    assert!(world.events.contains(&AgentEvent::HungUp));
}

#[test]
fn a_cancelled_call_ends_with_487() {
    let mut settings = caller(1, Transport::Udp);
    settings.cancel_after = Some(ms(700));
    let mut world = World::new(1, settings, vec![agent(0, RING)]);
    world.run();
    assert_eq!(world.failed(), Some((487, Cause::Cancelled)));
    assert!(world.events.contains(&AgentEvent::Refused { status: 487 }));
    assert_eq!(world.attempts(), [(0, Some(487), Cause::Cancelled)]);
}

#[test]
fn the_next_target_is_tried_on_503_480_and_408() {
    for status in [503, 480, 408, 500] {
        let mut world = world(&[Answering::Refuse { status }, RING]);
        world.run();
        assert_eq!(
            world.attempts(),
            [(0, Some(status), Cause::Refused), (1, Some(200), Cause::Answered)],
            "{status}"
        );
        assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    }
}

#[test]
fn the_next_target_is_not_tried_on_486_404_and_603() {
    for status in [486, 404, 603, 401] {
        let mut world = world(&[Answering::Refuse { status }, RING]);
        world.run();
        assert_eq!(world.attempts(), [(0, Some(status), Cause::Refused)], "{status}");
        assert_eq!(world.failed(), Some((status, Cause::Refused)));
        assert!(world.events.contains(&AgentEvent::Refused { status }));
    }
}

#[test]
fn the_best_answer_goes_up_when_all_refuse() {
    let mut world = world(&[Answering::Refuse { status: 503 }, Answering::Refuse { status: 480 }]);
    world.run();
    assert_eq!(world.failed(), Some((480, Cause::Refused)));
}

#[test]
fn a_silent_target_is_passed_over_after_two_seconds() {
    let mut world = world(&[Answering::Silent, RING]);
    world.run();
    assert_eq!(world.attempts(), [(0, None, Cause::Silent), (1, Some(200), Cause::Answered)]);
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
}

#[test]
fn a_lone_silent_target_ends_with_408() {
    let mut world = world(&[Answering::Silent]);
    world.run();
    assert_eq!(world.failed(), Some((408, Cause::Timeout)));
}

#[test]
fn a_transport_fault_moves_on_at_once() {
    let mut world = world(&[RING, RING]);
    world.faulty.insert(agent_addr(0));
    world.run();
    assert_eq!(
        world.attempts(),
        [(0, None, Cause::Fault(Fault::Unreachable)), (1, Some(200), Cause::Answered)]
    );
    assert!(world.trace.iter().all(|line| !line.contains("> 192.0.2.10")));
}

#[test]
fn nothing_reachable_is_503() {
    let mut world = world(&[RING]);
    world.faulty.insert(agent_addr(0));
    world.run();
    assert_eq!(world.failed(), Some((503, Cause::Fault(Fault::Unreachable))));
}

#[test]
fn a_refused_host_is_not_asked_again() {
    let mut world = world(&[Answering::Refuse { status: 503 }, RING]);
    let again = world.targets[0].clone();
    world.targets.insert(1, again);
    world.run();
    assert_eq!(world.attempts(), [(0, Some(503), Cause::Refused), (1, Some(200), Cause::Answered)]);
}

#[test]
fn a_long_ring_ends_within_the_bound() {
    let mut world = world(&[Answering::Accept { ring: ms(200_000) }]);
    world.run();
    assert_eq!(world.failed(), Some((480, Cause::Timeout)));
    assert!(world.events.contains(&AgentEvent::Refused { status: 480 }));
}

/// The first agent answers without a provisional, after it was passed over; the second rings longer.
#[test]
fn a_late_2xx_of_a_passed_over_target_is_taken_if_nothing_was_answered() {
    let late = Answering::Accept { ring: ms(0) };
    let mut world = world(&[late, Answering::Accept { ring: ms(9000) }]);
    world.hold.insert(agent_addr(0), ms(3000));
    world.run();
    assert_eq!(world.attempts()[0], (0, None, Cause::Silent));
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    assert!(
        world.trace.iter().any(|line| line.contains("> 192.0.2.11:5060 CANCEL")),
        "{}",
        world.trace.join("\n")
    );
}

#[test]
fn a_late_2xx_after_another_answer_is_ended_by_the_edge() {
    let late = Answering::Accept { ring: ms(0) };
    let mut world = world(&[late, Answering::Accept { ring: ms(300) }]);
    world.hold.insert(agent_addr(0), ms(4000));
    world.run();
    assert_eq!(world.answered(), 1);
    for method in ["ACK", "BYE"] {
        let wanted = format!("203.0.113.1:5060 > 192.0.2.10:5060 {method}");
        assert!(
            world.trace.iter().any(|line| line.contains(&wanted)),
            "{method}:\n{}",
            world.trace.join("\n")
        );
    }
}

#[test]
fn the_session_may_change_in_both_directions() {
    let mut one = agent(0, RING);
    one.reinvite_after = Some(ms(1500));
    let mut settings = caller(1, Transport::Udp);
    settings.reinvite_after = Some(ms(500));
    let mut world = World::new(1, settings, vec![one]);
    world.run();
    let changed =
        |events: &[AgentEvent]| events.iter().filter(|event| **event == AgentEvent::Changed).count();
    let agents: Vec<_> = world.agent_events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!((changed(&world.events), changed(&agents)), (2, 2), "{}", world.trace.join("\n"));
    assert_eq!((world.asks, world.answered(), world.ended()), (1, 1, Some(Side::Caller)));
}

#[test]
fn a_new_process_carries_the_bye_of_a_call() {
    let mut world = world(&[RING]);
    world.replace_at = vec![ms(3000)];
    world.run();
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    assert!(world.events.contains(&AgentEvent::Ended { status: 200 }));
}

#[test]
fn a_new_process_carries_the_answer_of_a_ringing_call() {
    let mut world = world(&[RING]);
    world.replace_at = vec![ms(800)];
    world.run();
    let known: Vec<_> = world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Answered { known, ids, .. } => Some((*known, *ids)),
            _ => None,
        })
        .collect();
    assert_eq!(known[0], (Known::CookieOnly, ids()));
    assert_eq!(world.ended(), Some(Side::Caller));
    assert!(world.events.iter().any(|event| matches!(event, AgentEvent::Answered { .. })));
}

#[test]
fn a_tcp_caller_reaches_a_udp_agent_with_two_record_routes() {
    let mut one = agent(0, RING);
    one.reinvite_after = Some(ms(1500));
    let mut settings = caller(1, Transport::Tcp);
    settings.reinvite_after = Some(ms(500));
    let mut world = World::new(1, settings, vec![one]);
    world.run();
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Caller)));
    let changed = world.events.iter().filter(|event| **event == AgentEvent::Changed).count();
    assert_eq!(changed, 2, "{}", world.trace.join("\n"));
    assert!(world.events.contains(&AgentEvent::Ended { status: 200 }));
}

#[test]
fn a_udp_caller_reaches_a_tcp_agent_and_the_agent_hangs_up() {
    let mut one = agent(0, RING);
    one.local.transport = Transport::Tcp;
    one.hang_up_after = Some(ms(2000));
    let mut world = World::new(1, caller(1, Transport::Udp), vec![one]);
    world.run();
    assert_eq!((world.answered(), world.ended()), (1, Some(Side::Callee)));
}

/// A call that nobody but us ends.
fn endless(transport: Transport) -> World {
    let mut settings = caller(1, transport);
    settings.hang_up_after = None;
    World::new(1, settings, vec![agent(0, RING)])
}

fn hung_up(world: &World) -> usize {
    world.facts.iter().filter(|fact| matches!(fact, Fact::HungUp { mark: 7, .. })).count()
}

fn byes_to(world: &World, to: &str) -> usize {
    world.trace.iter().filter(|line| line.contains(&format!("{EDGE} > {to} BYE"))).count()
}

#[test]
fn our_end_of_a_call_reaches_both_sides() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = endless(transport);
        world.hang_up_at.push(ms(5000));
        world.run();
        assert_eq!((world.hung_up.as_slice(), hung_up(&world)), (&[(false, 2)][..], 1));
        assert!(world.events.contains(&AgentEvent::HungUp), "{transport:?}");
        assert!(world.agent_events.contains(&(0, AgentEvent::HungUp)));
        assert_eq!((byes_to(&world, CALLER), byes_to(&world, "192.0.2.10:5060")), (1, 1));
        assert_eq!(world.ended(), None, "neither side hung up");
    }
}

#[test]
fn another_process_ends_a_call_by_its_facts_alone() {
    let mut world = endless(Transport::Udp);
    world.replace_at.push(ms(4000));
    world.hang_up_at.push(ms(5000));
    world.run();
    assert_eq!(world.hung_up, [(false, 2)]);
    assert!(world.events.contains(&AgentEvent::HungUp));
    assert!(world.agent_events.contains(&(0, AgentEvent::HungUp)));
}

#[test]
fn our_bye_is_numbered_above_every_request_of_its_side() {
    let mut settings = caller(1, Transport::Udp);
    (settings.hang_up_after, settings.reinvite_after) = (None, Some(ms(500)));
    let mut one = agent(0, RING);
    one.reinvite_after = Some(ms(1000));
    let mut world = World::new(1, settings, vec![one]);
    world.hang_up_at.push(ms(8000));
    world.run();
    assert!(world.agent_events.contains(&(0, AgentEvent::HungUp)), "{}", world.trace.join("\n"));
    assert!(world.events.contains(&AgentEvent::HungUp), "{}", world.trace.join("\n"));
    assert_eq!((byes_to(&world, CALLER), byes_to(&world, "192.0.2.10:5060")), (1, 1));
}

#[test]
fn a_side_that_never_answers_our_bye_holds_nothing_up() {
    let mut settings = caller(1, Transport::Udp);
    settings.hang_up_after = Some(ms(100_000));
    let mut world = World::new(1, settings, vec![agent(0, RING)]);
    world.hang_up_at.push(ms(5000));
    world.deaf.insert(addr(CALLER), ms(4900));
    world.run();
    assert_eq!((world.hung_up.as_slice(), hung_up(&world)), (&[(false, 2)][..], 1));
    assert_eq!(byes_to(&world, CALLER), 11, "timer E doubles up to T2, timer F ends it");
}

#[test]
fn crossing_ends_leave_nobody_up() {
    for at in [4490, 4500, 4505, 4510, 4515, 4520, 4530, 4545] {
        let mut world = world(&[RING]);
        world.hang_up_at.push(ms(at));
        world.run();
        // run() checks that all are idle; one of the two ends is first, and the other changes nothing
        assert_eq!(world.hung_up, [(false, 2)], "{at}");
        assert_eq!(world.answered(), 1);
    }
}

#[test]
fn a_call_that_rings_is_cancelled_below_and_refused_above() {
    let mut world = endless(Transport::Udp);
    world.hang_up_at.push(ms(700));
    world.run();
    assert_eq!(world.hung_up, [(true, 0)]);
    assert_eq!(world.failed(), Some((487, Cause::Stopped)));
    assert!(world.events.contains(&AgentEvent::Refused { status: 487 }));
    assert_eq!(world.attempts(), [(0, None, Cause::Stopped)]);
    assert!(world.trace.iter().any(|line| line.contains("> 192.0.2.10:5060 CANCEL")));
    assert_eq!(world.answered(), 0);
}

#[test]
fn an_answer_that_crosses_our_end_is_ended_too() {
    for at in (1480..1560).step_by(5) {
        let mut world = endless(Transport::Udp);
        world.hang_up_at.extend([ms(at), ms(4000)]);
        world.run();
        let ended = world.hung_up.iter().filter(|(stopped, sides)| *stopped || *sides > 0).count();
        assert!(ended > 0, "{at} {:?}\n{}", world.hung_up, world.trace.join("\n"));
        assert_eq!(usize::from(world.failed().is_some()) + hung_up(&world).min(1), 1, "{at}");
    }
}

#[test]
fn what_is_not_known_here_is_not_ended() {
    let mut edge = Edge::new(config(1));
    let now = endless(Transport::Udp).now;
    assert!(!edge.stop(now, ids().call));
    assert_eq!(edge.hang_up(now, (ids(), 7), &Dialog::default(), "x"), 0);
    assert!(edge.poll().is_none() && edge.idle());
}
