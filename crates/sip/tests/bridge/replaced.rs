//! A new process in the middle of a call: what it goes on with, what it ends, and what it refuses.

use std::net::SocketAddr;
use std::time::Duration;

use sip::*;

use crate::world::*;

#[test]
fn a_new_process_goes_on_from_the_record() {
    for first in [0, 1] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        world.replace();
        world.parties[first].hang_up(world.now, None);
        world.run(Duration::from_millis(100));
        let (unknown, flow, bytes) = world.unknown.remove(0);
        assert_eq!(
            (unknown.ids, unknown.side),
            (ids(), if first == 0 { Side::Caller } else { Side::Callee })
        );
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.handle(world.now, flow, &bytes);
        world.over();
        assert_eq!(world.story().last().unwrap(), if first == 0 { "ended Caller" } else { "ended Callee" });
        assert_eq!(world.to(1 - first, "BYE"), 1);
    }
}

#[test]
fn a_new_process_finds_out_that_a_side_is_gone() {
    for gone in [None, Some(0), Some(1)] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        world.replace();
        if let Some(index) = gone {
            // It was started anew meanwhile and knows nothing.
            world.parties[index] = Answerer::new(answerer(index, NOW));
        }
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.probe(world.now, ids().call);
        world.run(secs(40));
        assert_eq!((world.to(0, "OPTIONS"), world.to(1, "OPTIONS")), (1, 1));
        let Some(index) = gone else {
            assert!(!world.story().iter().any(|fact| fact.starts_with("ended")), "who answers lives");
            world.parties[0].hang_up(world.now, None);
            world.over();
            continue;
        };
        assert_eq!(world.story().last().unwrap(), if index == 0 { "ended Caller" } else { "ended Callee" });
        assert_eq!(world.to(1 - index, "BYE"), 1);
        world.over();
    }
}

#[test]
fn an_answer_that_comes_again_to_a_new_process_is_acknowledged_and_the_call_goes_on() {
    for party in [0, 1] {
        let mut world = two(NOW, NOW);
        world.call(&[0], &[1]);
        world.run(secs(5));
        // its ACK was lost with the process
        let answer = |(_, from, _, text): &&(Duration, SocketAddr, SocketAddr, String)| {
            *from == party_addr(party) && text.starts_with("SIP/2.0 200") && text.contains(" INVITE\r\n")
        };
        let answer = world.seen.iter().rev().find(answer).unwrap().3.clone();
        let flow =
            Flow { listener: 0, transport: Transport::Udp, remote: party_addr(party), connection: None };
        world.replace();
        let before = world.to(party, "ACK");
        world.bridges.hold(true);
        world.bridges.handle(world.now, flow, answer.as_bytes());
        world.drain();
        assert_eq!((world.to(party, "ACK"), world.to(party, "BYE")), (before, 0), "it will come again");
        let dialogs = world.dialogs();
        assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
        world.bridges.hold(false);
        world.bridges.handle(world.now, flow, answer.as_bytes());
        world.run(secs(5));
        assert_eq!((world.to(party, "ACK"), world.to(party, "BYE")), (before + 1, 0));
        assert_eq!(world.parties[party].up(), 1);
        world.parties[party].hang_up(world.now, None);
        world.over();
    }
}

#[test]
fn a_new_process_ends_an_adopted_call_on_both_sides() {
    let mut world = two(NOW, NOW);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.replace();
    let dialogs = world.dialogs();
    assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
    assert!(world.bridges.stop(world.now, ids().call, 1, "Q.850;cause=16"));
    world.over();
    assert_eq!((world.to(0, "BYE"), world.to(1, "BYE")), (1, 1));
}

#[test]
fn what_a_dead_process_was_setting_up_is_ended() {
    for millis in (0..4_500).step_by(100) {
        let mut world = two(RING, RING);
        world.call(&[0], &[1]);
        world.run(Duration::from_millis(millis));
        let answered = world.story().contains(&"answered".to_owned());
        world.replace();
        world.run(Duration::from_millis(100));
        let legs = world.legs();
        world.bridges.abandon(world.now, ids(), &legs);
        // one that was answered is up: its record says so
        if answered {
            continue;
        }
        world.over();
    }
}

#[test]
fn a_request_of_a_call_without_a_record_is_refused() {
    let mut world = two(NOW, NOW);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.replace();
    world.parties[0].hang_up(world.now, None);
    world.run(Duration::from_millis(100));
    let (_, flow, bytes) = world.unknown.remove(0);
    world.bridges.refuse(flow, &bytes);
    world.run(secs(1));
    assert!(world.sent(EDGE, 0, "SIP/2.0 481").len() == 1);
    let forged = String::from_utf8(bytes).unwrap().replacen("b.", "b.A", 1);
    world.bridges.handle(world.now, flow, forged.as_bytes());
    assert!(
        world.bridges.poll_unknown().is_none() && world.bridges.poll().is_none(),
        "a forged name is silence"
    );
}
