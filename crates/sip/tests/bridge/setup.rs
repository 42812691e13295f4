//! A call as it is set up: whom it calls, in which order, and how it ends where nobody takes it.

use std::sync::Arc;
use std::time::Duration;

use sip::*;
use uuid::Uuid;

use crate::world::*;

#[test]
fn the_agent_is_called_first_and_learns_the_others_answer() {
    let mut world = two(RING, RING);
    world.call(&[0], &[1]);
    world.run(secs(10));
    assert_eq!(
        world.story(),
        [
            "leg Caller dialled",
            "attempt 0 Some(200) Answered",
            "leg Caller up",
            "leg Callee dialled",
            "attempt 1 Some(200) Answered",
            "answered"
        ]
    );
    let invites = world.sent(EDGE, 0, "INVITE");
    assert!(invites[0].contains("a=inactive") && invites[1].ends_with(str::from_utf8(PHONE_SDP).unwrap()));
    assert_eq!(invites.len(), 2);
    let offer = world.sent(EDGE, 1, "INVITE");
    assert!(offer[0].contains("m=audio 4000") && !offer[0].contains("a=inactive"), "{}", offer[0]);
    assert_eq!((world.to(0, "ACK"), world.to(1, "ACK"), offer.len()), (2, 1, 1));
    world.parties[1].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "ended Callee");
    assert_eq!((world.to(0, "BYE"), world.to(1, "BYE")), (1, 0));
}

#[test]
fn a_long_ring_keeps_nobody_waiting_for_an_ack() {
    let mut world = two(NOW, Answering::Accept { ring: secs(59) });
    world.call(&[0], &[1]);
    world.run(secs(58));
    assert_eq!((world.to(0, "INVITE"), world.to(0, "ACK"), world.to(1, "INVITE")), (1, 1, 1));
    world.run(secs(10));
    assert_eq!(world.story().last().unwrap(), "answered");
    world.bridges.stop(world.now, ids().call, 7, "Q.850;cause=16");
    world.over();
    assert_eq!(world.story().last().unwrap(), "hung up 7");
    assert!(world.sent(EDGE, 1, "BYE")[0].contains("Reason: Q.850;cause=16"));
}

#[test]
fn who_does_not_take_the_call_ends_it_for_both() {
    for (agent, phone, told) in [
        (Answering::Refuse { status: 486 }, RING, "unplaced Caller 486 Refused"),
        (Answering::Silent, RING, "unplaced Caller 408 Timeout"),
        (Answering::Accept { ring: secs(90) }, RING, "unplaced Caller 480 Timeout"),
        (RING, Answering::Refuse { status: 486 }, "unplaced Callee 486 Refused"),
        (RING, Answering::Refuse { status: 404 }, "unplaced Callee 404 Refused"),
        (RING, Answering::Silent, "unplaced Callee 408 Timeout"),
        (RING, Answering::Accept { ring: secs(90) }, "unplaced Callee 480 Timeout"),
    ] {
        let mut world = two(agent, phone);
        world.call(&[0], &[1]);
        world.over();
        assert_eq!(world.story().last().unwrap(), told);
    }
}

#[test]
fn the_next_target_is_tried_where_one_is_silent_or_broken() {
    let mut world = World::new(
        1,
        vec![
            answerer(0, RING),
            answerer(1, RING),
            answerer(2, Answering::Silent),
            answerer(3, Answering::Refuse { status: 503 }),
        ],
    );
    world.call(&[2, 0], &[3, 1]);
    world.run(secs(20));
    let story = world.story();
    assert_eq!(story.last().unwrap(), "answered", "{story:?}");
    assert!(story.contains(&"attempt 0 None Silent".to_owned()), "{story:?}");
    assert!(story.contains(&"attempt 2 Some(503) Refused".to_owned()), "{story:?}");
    world.parties[0].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "ended Caller");
}

#[test]
fn a_call_is_given_up_at_any_time() {
    for millis in (0..5_000).step_by(50) {
        let mut world = two(RING, RING);
        world.call(&[0], &[1]);
        world.run(Duration::from_millis(millis));
        assert!(world.bridges.stop(world.now, ids().call, 3, "Q.850;cause=16"));
        world.over();
        let ends = world
            .story()
            .iter()
            .filter(|fact| fact.starts_with("unplaced") || fact.starts_with("hung up"))
            .count();
        assert_eq!(ends, 1, "{millis} ms: {:?}", world.story());
        assert!(!world.bridges.stop(world.now, ids().call, 3, ""));
    }
}

#[test]
fn an_agent_that_hangs_up_while_it_rings_ends_the_ringing() {
    let mut world = two(NOW, Answering::Accept { ring: secs(30) });
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.parties[0].hang_up(world.now, None);
    world.over();
    assert_eq!(world.story().last().unwrap(), "unplaced Caller 487 Cancelled");
    assert_eq!((world.to(1, "CANCEL"), world.to(0, "BYE")), (1, 0));
}

#[test]
fn a_side_that_asks_who_we_are_is_told() {
    let mut world = two(NOW, NOW);
    let mut new = origination(&[0], &[1]);
    let login = Login { owner: Uuid::nil(), username: "line".into(), password: b"secret".to_vec() };
    let manner = Manner { login: Some(Arc::new(login)), ..Manner::default() };
    new.agent.targets[0].manner = Some(Arc::new(manner));
    world.bridges.originate(world.now, new);
    let mut invite = String::new();
    while let Some(output) = world.bridges.poll() {
        if let Output::Send(send) = output {
            invite = String::from_utf8(send.bytes).unwrap();
        }
    }
    let lines: Vec<_> = invite
        .lines()
        .filter(|l| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|h| l.starts_with(h)))
        .collect();
    let challenge = format!(
        "SIP/2.0 407 Who\r\n{}\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
        lines.join("\r\n").replace("\r\nCall-ID", ";tag=x\r\nCall-ID")
    );
    let flow = Flow { listener: 0, transport: Transport::Udp, remote: party_addr(0), connection: None };
    world.bridges.handle(world.now, flow, challenge.as_bytes());
    let mut sent = Vec::new();
    while let Some(output) = world.bridges.poll() {
        if let Output::Send(send) = output {
            sent.push(String::from_utf8(send.bytes).unwrap());
        }
    }
    assert!(sent[0].starts_with("ACK") && sent[1].starts_with("INVITE"), "{sent:?}");
    assert!(
        sent[1].contains("Proxy-Authorization: Digest username=\"line\"")
            && sent[1].contains("CSeq: 2 INVITE")
    );
    assert!(!sent[1].contains(";tag=x") && !sent[1].contains("secret"), "{}", sent[1]);
}

#[test]
fn whatever_is_lost_every_call_ends() {
    for seed in 0..400 {
        let mut parties = vec![answerer(0, RING), answerer(1, RING)];
        parties[usize::from(seed % 2 == 0)].hang_up_after = Some(secs(5));
        parties[0].reinvite_after = (seed % 3 == 0).then(|| secs(2));
        parties[1].reinvite_after = (seed % 5 == 0).then(|| secs(2));
        let mut world = World::new(seed + 1, parties);
        world.loss = 50 + seed % 200;
        world.call(&[0], &[1]);
        if seed % 7 == 0 {
            world.run(Duration::from_millis(200 * (seed % 40)));
            world.bridges.stop(world.now, ids().call, 3, "");
        }
        world.run(secs(600));
        assert_eq!(world.bridges.count(), 0, "seed {seed}: {:?}", world.story());
        let story = world.story();
        let ends = story
            .iter()
            .filter(|f| ["unplaced", "ended", "hung up"].iter().any(|end| f.starts_with(end)))
            .count();
        assert_eq!(ends, 1, "seed {seed}: {story:?}");
        let paired =
            story.contains(&"answered".to_owned()) != story.iter().any(|f| f.starts_with("unplaced"));
        assert!(paired, "seed {seed}: {story:?}");
    }
}
