//! Session timers (RFC 4028 section 8): what the callee is asked, what the caller is told, and what the record hears of it.

mod bench;

use bench::*;
use sip::*;

fn invite(headers: &str, bench: &mut Bench) -> Vec<Sent> {
    bench.give(CARRIER, &request("INVITE", headers))
}

/// Headers of the caller, then `Session-Expires` as it goes on; then for each answer of the callee what the caller gets.
type Case = (&'static str, &'static str, [(&'static str, &'static str, bool); 2]);

const CALLEE_KNOWS: &str = "Session-Expires: 1200;refresher=uas\r\nRequire: timer\r\n";

#[test]
fn a_call_gets_a_timer_where_either_end_knows_them() {
    let cases: [Case; 9] = [
        ("", "1800", [("", "", false), (CALLEE_KNOWS, "1200;refresher=uas", true)]),
        (
            "Supported: timer\r\n",
            "1800",
            [("", "1800;refresher=uac", true), (CALLEE_KNOWS, "1200;refresher=uas", true)],
        ),
        (
            "k: 100rel,timer\r\n",
            "1800",
            [("", "1800;refresher=uac", true), (CALLEE_KNOWS, "1200;refresher=uas", true)],
        ),
        (
            "Supported: timer\r\nSession-Expires: 600\r\n",
            "600",
            [("", "600;refresher=uac", true), (CALLEE_KNOWS, "1200;refresher=uas", true)],
        ),
        (
            "Supported: timer\r\nx: 7200 ;refresher=uac\r\n",
            "1800 ;refresher=uac",
            [("", "1800;refresher=uac", true), ("Require: timer\r\n", "1800;refresher=uac", true)],
        ),
        (
            "Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600\r\n",
            "3600",
            [("", "3600;refresher=uac", true), (CALLEE_KNOWS, "1200;refresher=uas", true)],
        ),
        ("Min-SE: 2400\r\n", "2400", [("", "", false), (CALLEE_KNOWS, "1200;refresher=uas", true)]),
        ("Session-Expires: 60\r\n", "60", [("", "", false), (CALLEE_KNOWS, "1200;refresher=uas", true)]),
        (
            "Supported: timer\r\nSession-Expires: x\r\n",
            "x",
            [("", "", false), (CALLEE_KNOWS, "1200;refresher=uas", true)],
        ),
    ];
    for (headers, asked, answers) in cases {
        for (answer, told, required) in answers {
            let mut bench = Bench::new();
            let sent = invite(headers, &mut bench);
            let name = if headers.contains("x: ") { "x" } else { "Session-Expires" };
            assert_eq!(sent[1].headers(name), [asked], "{headers}");
            for round in 0..2 {
                let back = bench.give(AGENT, &sent[1].answer(200, "t1", answer));
                let wanted: Vec<&str> = Some(told).filter(|told| !told.is_empty()).into_iter().collect();
                assert_eq!(back[0].headers("Session-Expires"), wanted, "{headers} {answer} {round}");
                assert_eq!(back[0].headers("Require").len(), usize::from(required), "{headers} {answer}");
            }
            let known = bench.facts.iter().find_map(|fact| match fact {
                Fact::Answered { dialog, .. } => Some(dialog.session_expires.clone()),
                _ => None,
            });
            assert_eq!(known.unwrap().unwrap_or_default(), told, "the record knows the same");
        }
    }
}

#[test]
fn a_refresher_is_never_named_in_a_request() {
    for headers in ["", "Supported: timer\r\n", "Session-Expires: 7200\r\n"] {
        let sent = invite(headers, &mut Bench::new());
        assert!(!sent[1].text.contains("refresher"), "{headers}");
    }
}

#[test]
fn an_interval_that_is_too_short_is_422_to_those_who_know_timers() {
    let sent = invite("Supported: timer\r\nSession-Expires: 89\r\n", &mut Bench::new());
    assert!(sent[0].first().starts_with("SIP/2.0 422"), "{sent:?}");
    assert_eq!(sent[0].header("Min-SE"), Some("90"));
    let sent = invite("Supported: timer\r\nSession-Expires: 90\r\n", &mut Bench::new());
    assert_eq!(sent[1].header("Session-Expires"), Some("90"));
}

#[test]
fn without_a_longest_interval_calls_are_left_as_they_are() {
    let mut settings = config();
    settings.timers.session = std::time::Duration::ZERO;
    for headers in ["", "Supported: timer\r\n", "Session-Expires: 7200\r\n"] {
        let mut bench = Bench::with(settings.clone());
        let sent = invite(headers, &mut bench);
        assert_eq!(sent[1].headers("Session-Expires").len(), usize::from(headers.contains("Expires")));
        let back = bench.give(AGENT, &sent[1].answer(200, "t1", ""));
        assert_eq!(back[0].headers("Session-Expires").len(), 0);
    }
}

fn refreshed(bench: &Bench) -> Vec<Option<u32>> {
    let seconds = |fact: &Fact| match fact {
        Fact::Refreshed { ids, seconds } => {
            assert_eq!(ids.call, uuid::Uuid::from_u128(1));
            Some(*seconds)
        }
        _ => None,
    };
    bench.facts.iter().filter_map(seconds).collect()
}

#[test]
fn a_refresh_is_told_by_any_process_and_passes_as_it_is() {
    let route = Bench::new().up();
    let timers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
    for method in ["INVITE", "UPDATE"] {
        for (headers, answer, wanted, added) in [
            (timers, CALLEE_KNOWS, Some(1200), false),
            (timers, "", Some(600), true),
            ("", "", None, false),
            ("Session-Expires: 600\r\n", "", None, false),
        ] {
            let mut bench = Bench::with(Config { process: 2, ..config() });
            let sent = bench.give(CARRIER, &within(method, TARGET, &format!("{route}{headers}"), ENDS));
            assert_eq!(sent[0].header("Session-Expires").is_some(), headers.contains("Expires"));
            assert_eq!(bench.give(AGENT, &sent[0].answer(491, "", ""))[0].first(), "SIP/2.0 491 Answer");
            assert_eq!(refreshed(&bench), [], "a refusal refreshes nothing");
            let mut other = Bench::with(Config { process: 3, ..config() });
            let back = other.give(AGENT, &sent[0].answer(200, "", answer));
            assert_eq!(back[0].to.remote, CARRIER.parse().unwrap());
            assert_eq!(refreshed(&other), [wanted], "{method} {headers} {answer}");
            assert_eq!(back[0].text.contains("600;refresher=uac\r\nRequire: timer"), added);
        }
    }
}

#[test]
fn a_refresh_that_came_on_a_stream_is_told_too() {
    for method in ["INVITE", "UPDATE"] {
        let mut bench = Bench::new();
        let route = bench.up();
        let text =
            within(method, TARGET, &format!("{route}Supported: timer\r\nSession-Expires: 600\r\n"), ENDS);
        let sent = bench.input(tcp(CARRIER), &text.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        let request = sent.iter().find(|sent| sent.first().starts_with(method)).unwrap();
        let back = bench.give(AGENT, &request.answer(200, "", ""));
        assert_eq!(refreshed(&bench), [Some(600)], "{method}");
        assert_eq!(back[0].header("Session-Expires"), Some("600;refresher=uac"));
    }
}

#[test]
fn what_else_goes_on_in_a_call_refreshes_nothing() {
    let route = Bench::new().up();
    for method in ["INFO", "MESSAGE", "BYE", "PRACK"] {
        let mut bench = Bench::with(Config { process: 2, ..config() });
        let sent = bench.give(CARRIER, &within(method, TARGET, &route, ENDS));
        bench.give(AGENT, &sent[0].answer(200, "", "Session-Expires: 600\r\n"));
        assert_eq!(refreshed(&bench), [], "{method}");
    }
}
