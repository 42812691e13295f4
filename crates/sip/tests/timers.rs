//! Every timer of RFC 3261 section 17, RFC 6026 and of this edge, by name, on invented time: when it fires, what it does, and
//! that a stream has none of those that only repair what datagrams lose.

mod bench;

use bench::*;
use sip::*;

/// What passed to `place` in this time, as milliseconds and the first word (of an answer: its status).
fn to<'a>(passed: &'a [(u128, Sent)], place: &str) -> Vec<(u128, &'a str)> {
    let here = |(_, sent): &&(u128, Sent)| sent.to.remote.to_string() == place;
    let word = |sent: &'a Sent| {
        let first = sent.first();
        first.strip_prefix("SIP/2.0 ").unwrap_or(first).split(' ').next().unwrap_or_default()
    };
    passed.iter().filter(here).map(|(at, sent)| (*at, word(sent))).collect()
}

const DOUBLING: [u128; 6] = [500, 1500, 3500, 7500, 15_500, 31_500];
/// T1 doubling up to T2.
const CAPPED: [u128; 10] = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];

fn stream_agent() -> Bench {
    let mut bench = Bench::new();
    bench.targets = vec![target(AGENT, Transport::Tcp)];
    bench
}

/// A process that ends a call by its facts alone: its BYE to the callee.
fn own_bye(transport: Transport) -> (Bench, Sent) {
    let mut bench = Bench::new();
    let hop = AGENT.parse().map(|addr| Hop { transport, addr }).ok();
    let dialog = Dialog {
        call_id: "c1".into(),
        from: "<sip:a@b>;tag=f1".into(),
        to: "<sip:c@d>;tag=t1".into(),
        callee_contact: Some(format!("sip:agent@{AGENT};transport={}", transport.param())),
        callee_hop: hop,
        ..Dialog::default()
    };
    assert_eq!(bench.edge.hang_up(bench.now, (CallIds::default(), 1), &dialog, "x"), 1);
    let bye = bench.drain().remove(0);
    (bench, bye)
}

#[test]
fn timer_a_repeats_an_invite_with_doubling_pauses() {
    let mut bench = Bench::new();
    bench.call();
    let passed = bench.pass(ms(31_999));
    assert_eq!(to(&passed, AGENT), DOUBLING.map(|at| (at, "INVITE")));
    let mut bench = Bench::new();
    let invite = bench.call();
    bench.pass(ms(700));
    bench.give(AGENT, &invite.answer(100, "", ""));
    assert_eq!(bench.pass(ms(60_000)), [], "a provisional answer ends it");
    let mut bench = stream_agent();
    bench.call();
    assert_eq!(bench.pass(ms(31_999)), [], "a stream repeats nothing");
}

#[test]
fn timer_b_gives_an_invite_up_after_64_t1() {
    for mut bench in [Bench::new(), stream_agent()] {
        bench.call();
        let passed = bench.pass(ms(31_999));
        assert_eq!(to(&passed, CARRIER), []);
        let passed = bench.pass(ms(1));
        assert_eq!(to(&passed, CARRIER), [(32_000, "408")]);
        bench.pass(ms(32_000));
        assert!(bench.edge.idle());
    }
}

#[test]
fn timer_c_cancels_after_three_minutes_and_101_to_199_reset_it() {
    let mut settings = config();
    settings.timers.setup = std::time::Duration::from_mins(30);
    let mut bench = Bench::with(settings.clone());
    let invite = bench.call();
    bench.give(AGENT, &invite.answer(100, "", ""));
    bench.pass(ms(100_000));
    bench.give(AGENT, &invite.answer(100, "", ""));
    let passed = bench.pass(ms(80_000));
    assert_eq!(to(&passed, AGENT), [(180_000, "CANCEL")], "100 does not reset it");
    let mut bench = Bench::with(settings);
    let invite = bench.call();
    for status in [180, 199, 101] {
        bench.give(AGENT, &invite.answer(status, "t1", ""));
        let passed = bench.pass(ms(179_000));
        assert_eq!(to(&passed, AGENT), [], "{status}");
    }
    let passed = bench.pass(ms(1000));
    assert_eq!(to(&passed, AGENT), [(538_000, "CANCEL")]);
    // who does not answer that either is given up 64·T1 later (section 9.1); the CANCEL is repeated meanwhile
    let passed = bench.pass(ms(32_000));
    assert_eq!(to(&passed, AGENT), CAPPED.map(|at| (538_000 + at, "CANCEL")));
    assert_eq!(to(&passed, CARRIER), [(570_000, "408")]);
}

#[test]
fn timer_d_acknowledges_repeats_of_a_refusal_for_32_seconds() {
    let mut bench = Bench::new();
    let invite = bench.call();
    let refusal = invite.answer(486, "t1", "");
    assert!(bench.give(AGENT, &refusal)[0].first().starts_with("ACK"));
    bench.give(CARRIER, &request("ACK", "").replace("CSeq: 1 INVITE", "CSeq: 1 ACK"));
    bench.pass(ms(31_999));
    assert!(bench.give(AGENT, &refusal)[0].first().starts_with("ACK"));
    bench.pass(ms(1));
    assert_eq!(bench.give(AGENT, &refusal), []);
    assert!(bench.edge.idle());
    let mut bench = stream_agent();
    let invite = bench.call();
    bench.input(tcp(AGENT), &invite.answer(486, "t1", ""));
    bench.give(CARRIER, &request("ACK", ""));
    bench.pass(ms(5000));
    assert!(bench.edge.idle(), "zero on a stream");
}

#[test]
fn timer_e_repeats_other_requests_up_to_t2() {
    let (mut bench, _) = own_bye(Transport::Udp);
    let passed = bench.pass(ms(31_999));
    assert_eq!(to(&passed, AGENT), CAPPED.map(|at| (at, "BYE")));
    let (mut bench, bye) = own_bye(Transport::Udp);
    bench.give(AGENT, &bye.answer(100, "", ""));
    let passed = bench.pass(ms(31_999));
    assert_eq!(to(&passed, AGENT)[..2], [(4000, "BYE"), (8000, "BYE")], "after a provisional each T2");
    let (mut bench, _) = own_bye(Transport::Tcp);
    assert_eq!(bench.pass(ms(31_999)), [], "a stream repeats nothing");
}

#[test]
fn timer_f_gives_other_requests_up_after_64_t1() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut bench, _) = own_bye(transport);
        bench.pass(ms(31_999));
        assert!(!bench.edge.idle());
        bench.pass(ms(1));
        assert!(bench.edge.idle());
    }
}

#[test]
fn timer_g_repeats_a_refusal_until_it_is_acknowledged() {
    let refused = || {
        let mut bench = Bench::new();
        bench.verdict = Some(refuse(486, "Busy Here"));
        bench
    };
    let mut bench = refused();
    bench.give(CARRIER, &request("INVITE", ""));
    let passed = bench.pass(ms(31_999));
    assert_eq!(to(&passed, CARRIER), CAPPED.map(|at| (at, "486")));
    let mut bench = refused();
    bench.give(CARRIER, &request("INVITE", ""));
    bench.pass(ms(700));
    assert_eq!(bench.give(CARRIER, &request("ACK", "")), []);
    assert_eq!(bench.pass(ms(60_000)), []);
    let mut bench = refused();
    bench.input(tcp(CARRIER), &request("INVITE", "").replace("/UDP", "/TCP"));
    assert_eq!(bench.pass(ms(31_999)), [], "a stream repeats nothing");
}

#[test]
fn timer_h_ends_the_wait_for_an_ack_after_64_t1() {
    for flow in [udp(CARRIER), tcp(CARRIER)] {
        let mut bench = Bench::new();
        bench.verdict = Some(refuse(486, "Busy Here"));
        bench.input(flow, &request("INVITE", ""));
        bench.pass(ms(31_999));
        assert!(!bench.edge.idle());
        bench.pass(ms(1));
        assert!(bench.edge.idle());
    }
}

#[test]
fn timer_i_absorbs_repeats_of_an_ack_for_t4() {
    let mut bench = Bench::new();
    bench.verdict = Some(refuse(486, "Busy Here"));
    bench.give(CARRIER, &request("INVITE", ""));
    bench.give(CARRIER, &request("ACK", ""));
    bench.pass(ms(4999));
    for method in ["ACK", "INVITE"] {
        assert_eq!(bench.give(CARRIER, &request(method, "")), [], "{method}");
    }
    assert!(!bench.edge.idle());
    bench.pass(ms(1));
    assert!(bench.edge.idle());
    let mut bench = Bench::new();
    bench.verdict = Some(refuse(486, "Busy Here"));
    bench.input(tcp(CARRIER), &request("INVITE", ""));
    bench.input(tcp(CARRIER), &request("ACK", ""));
    assert!(bench.edge.idle(), "zero on a stream");
}

#[test]
fn timer_j_answers_repeats_of_other_requests_for_64_t1() {
    let mut bench = Bench::new();
    let first = bench.give(CARRIER, &request("OPTIONS", ""));
    bench.pass(ms(31_999));
    assert_eq!((bench.give(CARRIER, &request("OPTIONS", "")), bench.asks.len()), (first, 1));
    bench.pass(ms(1));
    bench.give(CARRIER, &request("OPTIONS", ""));
    assert_eq!(bench.asks.len(), 2);
    let mut bench = Bench::new();
    bench.input(tcp(CARRIER), &request("OPTIONS", ""));
    assert!(bench.edge.idle(), "zero on a stream");
}

#[test]
fn timer_k_absorbs_repeats_of_an_answer_for_t4() {
    let (mut bench, bye) = own_bye(Transport::Udp);
    bench.give(AGENT, &bye.answer(200, "", ""));
    bench.pass(ms(4999));
    assert!(!bench.edge.idle());
    assert_eq!(bench.give(AGENT, &bye.answer(200, "", "")), []);
    bench.pass(ms(1));
    assert!(bench.edge.idle());
    let (mut bench, bye) = own_bye(Transport::Tcp);
    bench.input(tcp(AGENT), &bye.answer(200, "", ""));
    bench.pass(ms(5000));
    assert!(bench.edge.idle());
}

#[test]
fn timer_l_absorbs_repeats_of_an_answered_invite_for_64_t1() {
    let mut bench = Bench::new();
    bench.up();
    bench.pass(ms(31_999));
    assert_eq!(bench.give(CARRIER, &request("INVITE", "")), []);
    assert_eq!(bench.asks.len(), 1);
    bench.pass(ms(1));
    assert!(bench.edge.idle());
}

#[test]
fn timer_m_passes_repeats_of_a_2xx_for_64_t1_and_then_they_pass_without_it() {
    let mut bench = Bench::new();
    let invite = bench.call();
    let answer = invite.answer(200, "t1", "");
    let answered = |bench: &Bench| {
        let known = |fact: &Fact| match fact {
            Fact::Answered { known, .. } => Some(*known),
            _ => None,
        };
        bench.facts.iter().filter_map(known).collect::<Vec<_>>()
    };
    for after in [0, 1, 31_998] {
        bench.pass(ms(after));
        let sent = bench.give(AGENT, &answer);
        assert_eq!((sent.len(), sent[0].to.remote.to_string()), (1, CARRIER.to_owned()));
    }
    assert_eq!(answered(&bench), [Known::Transaction]);
    bench.pass(ms(1));
    assert!(bench.edge.idle());
    let sent = bench.give(AGENT, &answer);
    assert_eq!((sent.len(), sent[0].to.remote.to_string()), (1, CARRIER.to_owned()));
    assert_eq!(answered(&bench), [Known::Transaction, Known::CookieOnly]);
}

#[test]
fn the_next_target_is_tried_when_no_provisional_came_in_two_seconds() {
    let two = || {
        let mut bench = Bench::new();
        bench.targets.push(target(SECOND, Transport::Udp));
        bench
    };
    let mut bench = two();
    bench.call();
    let passed = bench.pass(ms(1999));
    assert_eq!(to(&passed, SECOND), []);
    let passed = bench.pass(ms(1));
    assert_eq!(to(&passed, SECOND), [(2000, "INVITE")]);
    let mut bench = two();
    let invite = bench.call();
    bench.give(AGENT, &invite.answer(100, "", ""));
    let passed = bench.pass(ms(60_000));
    assert_eq!(to(&passed, SECOND), [], "a 100 is enough");
}

#[test]
fn the_bound_on_setup_always_gives_a_final_answer() {
    let mut bench = Bench::new();
    let invite = bench.call();
    for _ in 0..4 {
        bench.give(AGENT, &invite.answer(180, "t1", ""));
        let passed = bench.pass(ms(29_999));
        assert_eq!(to(&passed, CARRIER), []);
    }
    let passed = bench.pass(ms(4));
    assert_eq!(to(&passed, CARRIER), [(120_000, "480")]);
    assert_eq!(to(&passed, AGENT), [(120_000, "CANCEL")]);
}

#[test]
fn a_question_that_nobody_decides_ends_in_silence_or_503() {
    for told in [false, true] {
        let mut bench = Bench::new();
        bench.hold = true;
        bench.give(CARRIER, &request("INVITE", ""));
        let id = bench.asks[0].id;
        if told {
            bench.edge.handle(bench.now, Input::Trying { ask: id });
            assert_eq!(bench.drain().len(), 1);
        }
        let passed = bench.pass(ms(120_000));
        let wanted: &[_] = if told { &[(120_000, "503")] } else { &[] };
        assert_eq!(to(&passed, CARRIER), wanted);
        assert_eq!(bench.edge.idle(), !told);
    }
}
