//! What is said of the sound: changes by either side, and encryption.

use std::time::Duration;

use sip::*;

use crate::world::*;

#[test]
fn a_change_of_the_session_goes_to_the_other_side() {
    for changer in [0, 1] {
        let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
        parties[changer].reinvite_after = Some(secs(5));
        let mut world = World::new(1, parties);
        world.call(&[0], &[1]);
        world.run(secs(20));
        let other = 1 - changer;
        let changed =
            world.events.iter().filter(|(at, event)| *at == changer && *event == AgentEvent::Changed).count();
        assert!(changed >= 1, "{changer}: {:?}", world.events);
        let body = if changer == 0 { "m=audio 4000" } else { "m=audio 6000" };
        assert!(world.sent(EDGE, other, "INVITE").last().unwrap().contains(body), "{changer}");
        world.parties[other].hang_up(world.now, None);
        world.over();
    }
}

#[test]
fn when_both_change_at_once_neither_waits_for_ever() {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    // on its way while the other one's is
    parties[0].reinvite_after = Some(secs(5));
    parties[1].reinvite_after = Some(Duration::from_millis(4_990));
    let mut world = World::new(1, parties);
    world.call(&[0], &[1]);
    world.run(secs(5));
    world.run(secs(20));
    let texts: Vec<_> = world.seen.iter().map(|(.., text)| text.as_str()).collect();
    assert!(texts.iter().any(|text| text.starts_with("SIP/2.0 491")), "they met");
    assert_eq!(world.story().last().unwrap(), "answered");
    world.parties[0].hang_up(world.now, None);
    world.over();
}

/// The same body with its sound encrypted, by a key of its own.
fn encrypted(sdp: &[u8], key: &str) -> Vec<u8> {
    let text = str::from_utf8(sdp).unwrap().replace("RTP/AVP", "RTP/SAVP");
    format!("{text}a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n").into_bytes()
}

fn encrypted_world(phone: Vec<u8>) -> World {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    (parties[0].sdp, parties[1].sdp) = (encrypted(AGENT_SDP, "agent"), phone);
    parties[1].reinvite_after = Some(secs(5));
    let mut world = World::new(1, parties);
    let new = Origination { sound: Sound::Encrypted, media: MediaRule::PLAIN, ..origination(&[0], &[1]) };
    assert!(world.bridges.originate(world.now, new));
    world
}

#[test]
fn each_side_learns_the_others_key_and_nothing_plain_is_offered() {
    let mut world = encrypted_world(encrypted(PHONE_SDP, "phone"));
    world.run(secs(20));
    let invites = world.sent(EDGE, 0, "INVITE");
    assert!(
        invites[0].contains("RTP/SAVP 0 8 9 101")
            && invites[0].contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
    );
    assert!(!invites[0].contains("RTP/AVP"), "{}", invites[0]);
    assert!(invites[1].contains("inline:phone"), "{}", invites[1]);
    assert!(world.sent(EDGE, 1, "INVITE")[0].contains("inline:agent"));
    assert_eq!(world.story().last().unwrap(), "answered", "an offer of the same kind passes");
    world.parties[0].hang_up(world.now, None);
    world.over();
}

#[test]
fn an_answer_that_is_plain_ends_a_call_that_must_not_be() {
    let mut world = encrypted_world(PHONE_SDP.to_vec());
    world.over();
    assert_eq!(world.story()[5..], ["answered", "ended Callee"]);
    // and the agent's, before anybody is called
    let mut world = two(NOW, NOW);
    let new = Origination { sound: Sound::Encrypted, media: MediaRule::PLAIN, ..origination(&[0], &[1]) };
    world.bridges.originate(world.now, new);
    world.over();
    assert_eq!(world.story().last().unwrap(), "unplaced Caller 488 Media");
    assert_eq!(world.to(1, "INVITE"), 0);
}

#[test]
fn a_later_offer_of_the_other_kind_is_refused_also_by_the_next_process() {
    let mut parties = vec![answerer(0, NOW), answerer(1, NOW)];
    parties[1].reinvite_after = Some(secs(5));
    let mut world = World::new(1, parties);
    world.call(&[0], &[1]);
    world.run(secs(3));
    world.replace();
    let dialogs = BridgeDialogs { media: MediaRule::PLAIN, ..world.dialogs() };
    assert!(world.bridges.adopt(world.now, ids(), dialogs, Transfer::Refused));
    let before = world.to(0, "INVITE");
    world.run(secs(10));
    assert_eq!((world.sent(EDGE, 1, "SIP/2.0 488").len(), world.to(0, "INVITE")), (1, before));
    world.parties[0].hang_up(world.now, None);
    world.over();
}
