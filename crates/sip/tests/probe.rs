//! Questions of ours to targets (RFC 3261 section 11), on invented time: what is sent, what is heard of each answer, and that it is
//! heard once.

mod bench;

use bench::*;
use sip::*;

const WAIT: u64 = 5000;

fn probe(transport: Transport) -> Probe {
    let uri = format!("sip:{AGENT};transport={}", transport.param());
    let hop = Hop { transport, addr: AGENT.parse().expect("an address") };
    Probe { mark: 7, hop, uri, call_id: "probe-1".into(), wait: ms(WAIT) }
}

fn asked(transport: Transport) -> (Bench, Sent) {
    let mut bench = Bench::new();
    assert_eq!(bench.edge.probe(bench.now, &probe(transport)), Ok(()));
    let sent = bench.drain().remove(0);
    (bench, sent)
}

fn heard(bench: &Bench) -> Vec<Result<u16, Cause>> {
    assert!(bench.probed.iter().all(|probed| probed.mark == 7));
    bench.probed.iter().map(|probed| probed.heard).collect()
}

#[test]
fn a_question_is_an_options_outside_any_dialog() {
    let (_, sent) = asked(Transport::Udp);
    assert_eq!(sent.first(), format!("OPTIONS sip:{AGENT};transport=udp SIP/2.0"));
    let message = Message::parse(sent.text.as_bytes()).expect("SIP");
    let core = Core::read(&message).expect("all fields");
    assert_eq!((core.cseq, core.method, core.to_tag), (1, Method::Options, None));
    assert_eq!((core.call_id, core.from_tag.is_empty()), (&b"probe-1"[..], false));
    assert_eq!(sent.header("Max-Forwards"), Some("70"));
    assert_eq!(sent.header("Accept"), Some("application/sdp"));
    assert_eq!(sent.headers("Via").len(), 1);
}

#[test]
fn any_final_answer_is_heard_once_and_its_repeats_are_absorbed() {
    for status in [200, 302, 401, 404, 407, 486, 503, 603] {
        let (mut bench, sent) = asked(Transport::Udp);
        bench.give(AGENT, &sent.answer(100, "", ""));
        assert_eq!(heard(&bench), [], "a provisional answer says nothing yet");
        for _ in 0..3 {
            assert_eq!(
                bench.give(AGENT, &sent.answer(status, "t", "")),
                [],
                "{status}: nothing is sent for it"
            );
        }
        assert_eq!(heard(&bench), [Ok(status)]);
        bench.pass(ms(60_000));
        assert_eq!(heard(&bench), [Ok(status)]);
        assert!(bench.edge.idle() && bench.facts.is_empty(), "no call's record hears of it");
    }
}

#[test]
fn silence_is_heard_when_the_wait_is_over_and_a_later_answer_is_not() {
    let (mut bench, sent) = asked(Transport::Udp);
    let passed = bench.pass(ms(WAIT - 1));
    let at: Vec<_> = passed.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [500, 1500, 3500], "timer E");
    assert_eq!(heard(&bench), []);
    bench.pass(ms(1));
    assert_eq!(heard(&bench), [Err(Cause::Timeout)]);
    assert!(bench.edge.idle());
    assert_eq!(bench.give(AGENT, &sent.answer(200, "t", "")), []);
    assert_eq!(heard(&bench).len(), 1);
    // a provisional answer is no final one
    let (mut bench, sent) = asked(Transport::Tcp);
    bench.input(tcp(AGENT), &sent.answer(180, "t", ""));
    bench.pass(ms(WAIT));
    assert_eq!(heard(&bench), [Err(Cause::Timeout)]);
}

#[test]
fn a_broken_transport_is_heard_after_one_more_connection() {
    let (mut bench, sent) = asked(Transport::Tcp);
    bench.edge.handle(bench.now, Input::Fault { send: sent.id, why: Fault::Broken });
    let again = bench.drain();
    assert_eq!((again.len(), again[0].text == sent.text), (1, true));
    bench.edge.handle(bench.now, Input::Fault { send: sent.id, why: Fault::Broken });
    assert_eq!(heard_after(&mut bench), [Err(Cause::Fault(Fault::Broken))]);
    let (mut bench, sent) = asked(Transport::Tcp);
    bench.edge.handle(bench.now, Input::Fault { send: sent.id, why: Fault::TlsName });
    assert_eq!(heard_after(&mut bench), [Err(Cause::Fault(Fault::TlsName))]);
}

fn heard_after(bench: &mut Bench) -> Vec<Result<u16, Cause>> {
    bench.drain();
    assert!(bench.edge.idle());
    heard(bench)
}

#[test]
fn somebody_elses_answer_is_not_heard() {
    let (mut bench, sent) = asked(Transport::Udp);
    let answer = sent.answer(200, "t", "");
    let branch = sent.header("Via").and_then(|via| via.split("branch=").nth(1)).expect("a branch");
    let branch = branch.split(';').next().unwrap_or_default();
    let mut other = branch.to_owned();
    let last = other.pop();
    other.push(if last == Some('A') { 'B' } else { 'A' });
    bench.give(AGENT, &answer.replace(branch, &other));
    bench.give(AGENT, &answer.replace("1 OPTIONS", "1 BYE"));
    assert_eq!(heard(&bench), []);
}

#[test]
fn what_cannot_be_asked_is_said_at_once() {
    let mut bench = Bench::new();
    let six = Hop { transport: Transport::Udp, addr: "[2001:db8::1]:5060".parse().expect("an address") };
    let unspoken = Probe { hop: six, ..probe(Transport::Udp) };
    assert_eq!(bench.edge.probe(bench.now, &unspoken), Err(Fault::Unspoken));
    bench.edge.drain();
    assert_eq!(bench.edge.probe(bench.now, &probe(Transport::Udp)), Err(Fault::Full));
    assert_eq!((bench.drain(), heard(&bench), bench.edge.idle()), (vec![], vec![], true));
}

#[test]
fn a_process_that_ends_does_not_wait_for_an_answer() {
    let (bench, _) = asked(Transport::Udp);
    assert!(bench.edge.settled() && !bench.edge.idle());
}
