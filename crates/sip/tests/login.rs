//! Targets that ask for credentials: message by message, with an agent that checks what it is sent, and processes that are
//! replaced in between.

mod asking;

use std::sync::Arc;
use std::time::Duration;

use asking::*;
use sip::*;

#[test]
fn a_challenged_call_rises_in_number_on_both_sides_through_all_its_requests() {
    for replaced in [false, true] {
        for (asks, shift) in ways() {
            let mut line = whole_call(asks.clone(), shift, replaced);
            // the agent's own numbers stay as they are
            let sent = line.taken();
            let heard = line.callee(&back(&sent, "INVITE", 1));
            let asked = heard.iter().find(|text| text.starts_with("INVITE")).unwrap();
            assert_eq!(field(asked, "CSeq"), "1 INVITE");
            line.give(CARRIER, &reply(asked, 200, "Contact: <sip:+1201@198.51.100.7>\r\n", ""));
            let heard = line.drain();
            assert!(heard[0].starts_with("agent:SIP/2.0 200") && field(&heard[0], "CSeq") == "1 INVITE");
            let heard = line.callee(&back(&sent, "BYE", 2));
            assert_eq!(field(heard.iter().find(|text| text.starts_with("BYE")).unwrap(), "CSeq"), "2 BYE");
            let dialog = line.dialog();
            assert_eq!((dialog.cseq, dialog.login), (7 + shift, Some(OWNER)));
        }
    }
}

#[test]
fn the_caller_hangs_up_and_so_may_we_before_and_after_a_restart() {
    for replaced in [false, true] {
        for (asks, shift) in ways() {
            let mut line = whole_call(asks.clone(), shift, replaced);
            let answer = line.answer();
            let heard = line.caller(&within(&answer, "BYE", 12, ""));
            assert_eq!(status(heard.last().unwrap()), "200", "{heard:?}");
            let byes = line.agent.got.iter().filter(|text| text.starts_with("BYE")).count();
            assert_eq!(line.agent.cseq, 12 + shift);
            let dialog = line.dialog();
            if replaced {
                line.edge = Edge::new(config(99));
            }
            line.edge.hang_up(
                line.now,
                (CallIds { call: CALL, ..CallIds::default() }, 0),
                &dialog,
                "Q.850;cause=16",
            );
            line.drain();
            let ours: Vec<_> =
                line.agent.got.iter().filter(|text| text.starts_with("BYE")).skip(byes).collect();
            let last = ours.last().unwrap();
            assert!(line.agent.cseq >= 1024, "{last}");
            assert_eq!(last.contains("uthorization: Digest username=\"line\""), asks.within, "{last}");
        }
    }
}

#[test]
fn a_call_without_answer_to_its_challenges_is_503_and_the_caller_sees_no_challenge() {
    let cases = [
        (Asks { never: true, ..md5(&["a"]) }, 2),
        (Asks { never: true, stale: true, ..md5(&["a"]) }, 2),
        (Asks { algorithm: Some("SHA-512-256"), ..md5(&["a"]) }, 1),
        (md5(&["a", "b", "c", "d", "e"]), 4),
    ];
    for (asks, tries) in cases {
        let mut line = Line::new(asks);
        let heard = line.caller(&invite(""));
        let last = heard.last().unwrap();
        assert_eq!(status(last), "503", "{last}");
        assert!(
            !last.contains("Authenticate")
                && field(last, "CSeq") == "7 INVITE"
                && last.contains("target_auth")
        );
        assert_eq!(line.agent.got.iter().filter(|text| text.starts_with("INVITE")).count(), tries);
        assert_eq!(line.agent.got.iter().filter(|text| text.starts_with("ACK")).count(), tries);
        assert_eq!(line.attempts().last(), Some(&(Some(407), Cause::Auth)));
        assert!(matches!(line.facts.last(), Some(Fact::Failed { status: 503, cause: Cause::Auth, .. })));
    }
}

#[test]
fn the_next_target_begins_with_the_callers_number() {
    let mut line = Line::new(Asks { never: true, ..md5(&["a"]) });
    line.targets.push(target(OTHER, Manner::default()));
    let heard = line.caller(&invite(""));
    assert_eq!(status(heard.last().unwrap()), "200");
    assert_eq!((line.agent.cseq, line.other.cseq), (8, 7));
    assert!(!line.other.got[0].contains("uthorization"), "credentials go to their target only");
}

#[test]
fn challenges_of_a_target_without_a_login_are_the_callers() {
    let mut line = Line::new(md5(&["a"]));
    line.targets = vec![Target { manner: None, ..line.targets[0].clone() }];
    let heard = line.caller(&invite(""));
    assert_eq!((status(heard.last().unwrap()), line.logins), ("407", 0));
    assert!(heard.last().unwrap().contains("Proxy-Authenticate"));
}

#[test]
fn a_login_that_is_gone_ends_in_503_within_the_dialog() {
    let mut line = whole_call(Asks { within: true, ..md5(&["a"]) }, 1, false);
    let answer = line.answer();
    (line.replaced, line.known) = (true, false);
    let heard = line.caller(&within(&answer, "INFO", 12, ""));
    assert_eq!(status(heard.last().unwrap()), "503", "{heard:?}");
    assert!(heard.iter().all(|text| !text.contains("Authenticate")));
}

#[test]
fn a_challenged_call_may_be_cancelled() {
    let mut line = Line::new(md5(&["a"]));
    line.give(CARRIER, &invite(""));
    // the agent's answers are kept back after the challenge
    let mut invites = Vec::new();
    while let Some(output) = line.edge.poll() {
        match output {
            Output::Ask(ask) => {
                let verdict = Verdict::Route {
                    call: CallIds { call: CALL, ..CallIds::default() },
                    direction: Direction::Inbound,
                    trust: Trust::Untrusted,
                    transfer: Transfer::Allowed,
                    targets: line.targets.clone(),
                    legs: Vec::new(),
                };
                line.edge.handle(line.now, Input::Verdict { ask: ask.id, verdict });
            }
            Output::Send(send) if send.bytes.starts_with(b"INVITE") => {
                let text = String::from_utf8(send.bytes).unwrap();
                let challenge = "Proxy-Authenticate: Digest realm=\"a\", nonce=\"n\"\r\n";
                let answer = if invites.is_empty() {
                    reply(&text, 407, challenge, "")
                } else {
                    reply(&text, 180, "", "")
                };
                invites.push(text);
                line.give(AGENT, &answer);
            }
            Output::Send(_) | Output::Fact(_) | Output::Login(_) | Output::Probed(_) => {}
        }
    }
    line.agent.cseq = 8;
    let cancel = invite("").replace("INVITE sip", "CANCEL sip").replace("7 INVITE", "7 CANCEL");
    let heard = line.caller(
        &cancel
            .replace("Content-Type: application/sdp\r\n", "")
            .replace("Content-Length: 5\r\n\r\nv=0\r\n", "Content-Length: 0\r\n\r\n"),
    );
    assert_eq!((status(&heard[0]), field(&heard[0], "CSeq")), ("200", "7 CANCEL"));
    let cancelled = line.agent.got.iter().find(|text| text.starts_with("CANCEL")).unwrap();
    assert_eq!((field(cancelled, "CSeq"), field(cancelled, "Via")), ("8 CANCEL", field(&invites[1], "Via")));
    line.give(AGENT, &reply(&invites[1], 487, "", ""));
    let heard = line.drain();
    assert_eq!((status(&heard[0]), field(&heard[0], "CSeq")), ("487", "7 INVITE"));
    let ack = line.agent.got.last().unwrap();
    assert!(ack.starts_with("ACK") && field(ack, "CSeq") == "8 ACK");
}

#[test]
fn the_number_in_to_is_the_targets_and_the_callers_in_its_answers() {
    let mut line = Line::new(Asks { untyped: true, ..md5(&["a"]) });
    line.targets[0].to = Some("sip:+4930123456@192.0.2.10".into());
    line.targets[0].manner =
        Some(Arc::new(Manner { login: Some(login()), sdp_type: true, ..Manner::default() }));
    let heard = line.caller(&invite(""));
    for sent in line.agent.got.iter().filter(|text| text.starts_with("INVITE")) {
        assert_eq!(field(sent, "To"), "<sip:+4930123456@192.0.2.10>");
    }
    for text in &heard[1..] {
        assert_eq!(field(text, "To"), "\"N\" <sip:030123456@203.0.113.1>;tag=t1");
    }
    assert_eq!(field(&heard[2], "Content-Type"), "application/sdp");
    // a later answer is mended by any process, and with or without a login
    line.replaced = true;
    let again = line.caller(&within(&heard[2], "INVITE", 8, ""));
    assert_eq!(field(again.last().unwrap(), "Content-Type"), "application/sdp");
    line.targets[0].manner = Some(Arc::new(Manner { sdp_type: true, ..Manner::default() }));
    let mut line = Line { targets: line.targets, ..Line::new(Asks { untyped: true, ..Asks::default() }) };
    let heard = line.caller(&invite(""));
    line.replaced = true;
    let again = line.caller(&within(&heard[2], "INVITE", 8, ""));
    assert_eq!(field(again.last().unwrap(), "Content-Type"), "application/sdp");
    assert_eq!(line.edge.alive(), 0, "it took no transaction");
}

#[test]
fn a_host_that_repeats_its_refusals_is_asked_once() {
    for (once, asked) in [(true, 1), (false, 2)] {
        let mut line = Line::new(Asks { never: true, ..md5(&["a"]) });
        let manner = Manner { once, ..Manner::default() };
        let mut first = target(AGENT, manner.clone());
        first.request_uri = "sip:+4930123456@p.example".into();
        first.hops.push(Hop { transport: Transport::Udp, addr: "192.0.2.12:5060".parse().unwrap() });
        line.targets = vec![first];
        line.give(CARRIER, &invite(""));
        let mut invites = 0;
        while let Some(output) = line.edge.poll() {
            match output {
                Output::Ask(ask) => {
                    let call = CallIds::default();
                    let (direction, trust) = (Direction::Inbound, Trust::Untrusted);
                    let (transfer, targets) = (Transfer::Allowed, line.targets.clone());
                    let verdict =
                        Verdict::Route { call, direction, trust, transfer, targets, legs: Vec::new() };
                    line.edge.handle(line.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Send(send) if send.bytes.starts_with(b"INVITE") => {
                    invites += 1;
                    let text = String::from_utf8(send.bytes).unwrap();
                    line.give(&send.to.remote.to_string(), &reply(&text, 503, "", ""));
                }
                Output::Send(_) | Output::Fact(_) | Output::Login(_) | Output::Probed(_) => {}
            }
        }
        assert_eq!(invites, asked);
    }
}

#[test]
fn a_target_may_ring_for_long() {
    let mut line = Line::new(md5(&[]));
    let ring = Some(Duration::from_mins(5));
    line.targets = vec![target("192.0.2.99:5060", Manner { ring, ..Manner::default() })];
    line.give(CARRIER, &invite(""));
    let mut bytes = String::new();
    while let Some(output) = line.edge.poll() {
        match output {
            Output::Ask(ask) => {
                let call = CallIds::default();
                let (direction, trust) = (Direction::Inbound, Trust::Untrusted);
                let (transfer, targets) = (Transfer::Allowed, line.targets.clone());
                let verdict = Verdict::Route { call, direction, trust, transfer, targets, legs: Vec::new() };
                line.edge.handle(line.now, Input::Verdict { ask: ask.id, verdict });
            }
            Output::Send(send) if send.bytes.starts_with(b"INVITE") => {
                bytes = String::from_utf8(send.bytes).unwrap();
                line.give("192.0.2.99:5060", &reply(&bytes, 180, "", ""));
            }
            Output::Send(_) | Output::Fact(_) | Output::Login(_) | Output::Probed(_) => {}
        }
    }
    line.agent.cseq = 7;
    let begin = line.now;
    line.now = begin + Duration::from_secs(299);
    line.edge.handle(line.now, Input::Tick);
    assert!(line.drain().is_empty(), "it still rings");
    line.now = begin + Duration::from_secs(301);
    line.edge.handle(line.now, Input::Tick);
    assert_eq!(status(&line.drain()[0]), "480");
    assert_eq!(Agent::status(&bytes), "INVITE");
    assert_eq!(URI, bytes.split(' ').nth(1).unwrap().replace("99", "10"));
}
