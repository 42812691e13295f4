//! Which final answer the caller gets (RFC 3261 section 16.7), what forks behind a target do, and races of CANCEL.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;

use bench::*;
use sip::*;

fn two() -> Bench {
    let mut bench = Bench::new();
    bench.targets.push(target(SECOND, Transport::Udp));
    bench
}

/// The INVITE to the first target, passed over for its silence, and that to the second.
fn passed_over(bench: &mut Bench) -> (Sent, Sent) {
    let first = bench.call();
    let sent = bench.pass(ms(2000));
    let second = SECOND.parse().unwrap();
    let second = sent.into_iter().map(|(_, sent)| sent).find(|sent| sent.to.remote == second).unwrap();
    assert!(second.first().starts_with("INVITE"));
    (first, second)
}

/// What went up to the caller.
fn up(sent: &[Sent]) -> Vec<&str> {
    let caller = |one: &&Sent| one.to.remote == CARRIER.parse().unwrap();
    sent.iter().filter(caller).map(|one| &one.first()[8..11]).collect()
}

#[test]
fn the_best_answer_is_chosen_by_the_book() {
    for (first, second, wanted) in [
        (486, 404, "404"),
        (404, 486, "486"),
        (302, 486, "302"),
        (486, 407, "407"),
        (407, 486, "407"),
        (420, 404, "420"),
        (500, 486, "486"),
        (503, 480, "480"),
        (480, 503, "480"),
        (503, 503, "500"),
    ] {
        let mut bench = two();
        let (one, other) = passed_over(&mut bench);
        assert_eq!(up(&bench.give(AGENT, &one.answer(first, "a", ""))), [""; 0], "{first}: another rings");
        let sent = bench.give(SECOND, &other.answer(second, "b", ""));
        assert_eq!(up(&sent), [wanted], "{first} {second}");
        let failed =
            |fact: &Fact| matches!(fact, Fact::Failed { status, .. } if status.to_string() == wanted);
        assert!(bench.facts.iter().any(failed), "the record has what the caller was told");
    }
}

#[test]
fn a_6xx_calls_everybody_back_and_goes_up_last() {
    let mut bench = two();
    let (one, other) = passed_over(&mut bench);
    bench.give(SECOND, &other.answer(180, "b", ""));
    let sent = bench.give(AGENT, &one.answer(603, "a", ""));
    let methods: Vec<&str> = sent.iter().map(|one| one.first().split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["ACK", "CANCEL"], "it is acknowledged, and the other is cancelled");
    let sent = bench.give(SECOND, &other.answer(487, "b", ""));
    assert_eq!(up(&sent), ["603"]);
}

#[test]
fn challenges_of_several_targets_all_reach_the_caller() {
    let mut bench = two();
    let (one, other) = passed_over(&mut bench);
    bench.give(AGENT, &one.answer(401, "a", "WWW-Authenticate: Digest realm=\"one\"\r\n"));
    let sent = bench.give(SECOND, &other.answer(407, "b", "Proxy-Authenticate: Digest realm=\"two\"\r\n"));
    let told = sent.iter().find(|one| one.to.remote == CARRIER.parse().unwrap()).unwrap();
    assert_eq!(told.header("WWW-Authenticate"), Some("Digest realm=\"one\""));
    assert_eq!(told.header("Proxy-Authenticate"), Some("Digest realm=\"two\""));
}

#[test]
fn a_targets_overload_is_not_ours() {
    let mut bench = Bench::new();
    let invite = bench.call();
    let sent = bench.give(AGENT, &invite.answer(503, "a", "Retry-After: 3600\r\nReason: Q.850;cause=42\r\n"));
    let told = &sent[1];
    assert!(told.first().starts_with("SIP/2.0 500 "), "{told:?}");
    assert_eq!((told.header("Retry-After"), told.header("Reason")), (None, Some("Q.850;cause=42")));
    assert_eq!(told.headers("Via").len(), 1);
    let tried = |fact: &Fact| matches!(fact, Fact::Attempt(one) if one.status == Some(503));
    assert!(bench.facts.iter().any(tried), "the record has what the target said");
}

#[test]
fn a_fork_behind_a_target_leaves_one_call_up() {
    let mut bench = Bench::new();
    let invite = bench.call();
    for tag in ["a", "b", "c"] {
        assert_eq!(up(&bench.give(AGENT, &invite.answer(180, tag, ""))), ["180"], "early dialogs all go up");
    }
    assert_eq!(up(&bench.give(AGENT, &invite.answer(200, "a", ""))), ["200"]);
    for _ in 0..3 {
        for tag in ["b", "c"] {
            bench.give(AGENT, &invite.answer(200, tag, ""));
        }
        assert_eq!(
            up(&bench.give(AGENT, &invite.answer(200, "a", ""))),
            ["200"],
            "repeats of the winner go up"
        );
    }
    // each of the others had an ACK for every 2xx, and one BYE
    let mut again = Bench::new();
    let invite = again.call();
    again.give(AGENT, &invite.answer(200, "a", ""));
    let mut sent = Vec::new();
    for tag in ["b", "c", "b", "c", "b"] {
        sent.extend(again.give(AGENT, &invite.answer(200, tag, "")));
    }
    let count = |method: &str, tag: &str| {
        let one =
            |sent: &&Sent| sent.first().starts_with(method) && sent.header("To").unwrap().ends_with(tag);
        sent.iter().filter(one).count()
    };
    assert_eq!(
        (count("ACK", "=b"), count("BYE", "=b"), count("ACK", "=c"), count("BYE", "=c")),
        (3, 1, 2, 1)
    );
    let told = |fact: &&Fact| matches!(fact, Fact::Answered { .. });
    assert_eq!(again.facts.iter().filter(told).count(), 1);
}

#[test]
fn forks_without_end_are_bounded() {
    let mut bench = Bench::new();
    let invite = bench.call();
    bench.give(AGENT, &invite.answer(200, "a", ""));
    let mut byes = 0;
    for n in 0..100 {
        let sent = bench.give(AGENT, &invite.answer(200, &format!("x{n}"), ""));
        byes += sent.iter().filter(|sent| sent.first().starts_with("BYE")).count();
    }
    assert_eq!(byes, 8);
}

fn cancel() -> String {
    request("CANCEL", "")
}

#[test]
fn a_cancel_before_the_verdict_is_answered_with_it_and_not_to_strangers() {
    for known in [true, false] {
        let mut bench = Bench::new();
        bench.hold = true;
        assert_eq!(bench.give(CARRIER, &request("INVITE", "")), []);
        assert_eq!(bench.give(CARRIER, &cancel()), [], "nothing is told before the verdict");
        let id = bench.asks[0].id;
        let verdict = if known { bench.route() } else { Verdict::Drop };
        let sent = bench.decide(id, verdict);
        let said: Vec<_> =
            sent.iter().map(|sent| (&sent.first()[8..11], sent.header("CSeq").unwrap())).collect();
        let wanted: &[_] = if known { &[("200", "1 CANCEL"), ("487", "1 INVITE")] } else { &[] };
        assert_eq!(said, wanted);
    }
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let mut bench = Bench::new();
    let invite = bench.call();
    bench.give(AGENT, &invite.answer(200, "t1", ""));
    let sent = bench.give(CARRIER, &cancel());
    assert_eq!(up(&sent), ["200"]);
    assert_eq!((sent.len(), sent[0].header("CSeq")), (1, Some("1 CANCEL")));
}

#[test]
fn an_answer_that_crosses_a_cancel_goes_up() {
    let mut bench = Bench::new();
    let invite = bench.call();
    bench.give(AGENT, &invite.answer(180, "t1", ""));
    let sent = bench.give(CARRIER, &cancel());
    assert_eq!(sent.iter().filter(|sent| sent.first().starts_with("CANCEL sip:")).count(), 1);
    assert_eq!(up(&bench.give(AGENT, &invite.answer(200, "t1", ""))), ["200"]);
    assert!(bench.facts.iter().any(|fact| matches!(fact, Fact::Answered { .. })));
}

#[test]
fn a_cancel_waits_for_the_first_provisional() {
    let mut bench = Bench::new();
    let invite = bench.call();
    let sent = bench.give(CARRIER, &cancel());
    assert_eq!((up(&sent), sent.len()), (vec!["200"], 1));
    let sent = bench.give(AGENT, &invite.answer(100, "", ""));
    assert_eq!(Bench::statuses(&sent), ["CANCEL sip:+4930123456@192.0.2.10:5060 SIP/2.0"]);
    assert_eq!(sent[0].header("Via"), invite.header("Via"), "one Via, that of the INVITE");
    assert_eq!(up(&bench.give(AGENT, &invite.answer(487, "t1", ""))), ["487"]);
}
