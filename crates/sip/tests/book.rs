//! RFC 3261 sections 16 and 18 where the wording decides: loops and spirals, methods, extensions, next hops, answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;

use bench::*;
use sip::*;

/// What an agent sends that hands the call on: the INVITE with a Via of its own and another Request-URI.
fn forwarded(invite: &Sent, uri: &str, round: usize) -> String {
    let (first, rest) = invite.text.split_once("\r\n").unwrap();
    assert!(first.starts_with("INVITE "));
    let rest = rest.replace("Max-Forwards: ", "X-Max-Forwards: ");
    format!("INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-s{round}\r\n{rest}")
}

#[test]
fn a_loop_is_482_and_a_spiral_goes_on_a_bounded_number_of_times() {
    let mut bench = Bench::new();
    let mut invite = bench.call();
    let same = forwarded(&invite, "sip:+4930123456@203.0.113.1", 99);
    assert!(
        bench.give(AGENT, &same)[0].first().starts_with("SIP/2.0 482"),
        "the same number again is a loop"
    );
    let mut rounds = 0;
    let refused = loop {
        let sent =
            bench.give(AGENT, &forwarded(&invite, &format!("sip:+493012345{rounds}@203.0.113.1"), rounds));
        match sent.into_iter().find(|sent| !sent.first().starts_with("SIP/2.0 100")) {
            Some(next) if next.first().starts_with("INVITE") => invite = next,
            Some(other) => break other,
            None => panic!("silence"),
        }
        rounds += 1;
    };
    assert!(refused.first().starts_with("SIP/2.0 482"), "{refused:?}");
    assert_eq!(rounds, 4, "a call is forwarded here four times at most");
}

#[test]
fn a_known_method_in_small_letters_slips_past_no_rule() {
    for method in ["refer", "Refer", "bye", "iNVITE"] {
        let mut bench = Bench::new();
        bench.transfer = Transfer::Refused;
        let route = bench.up();
        let text = within(
            method,
            "sip:x@198.51.100.7",
            &format!("{route}Refer-To: <sip:y@z>\r\n"),
            ("t1", "f1", "c1"),
        );
        let sent = bench.give(AGENT, &text);
        assert_eq!(Bench::statuses(&sent), ["SIP/2.0 400 Method Not in Capitals"], "{method}");
    }
    let mut bench = Bench::new();
    let route = bench.up();
    for method in ["FOO", "foo"] {
        let sent = bench.give(CARRIER, &within(method, TARGET, &route, ENDS));
        assert!(sent[0].first().starts_with(&format!("{method} {TARGET}")), "others go on as they are");
    }
}

#[test]
fn every_extension_that_is_asked_of_a_proxy_is_named_as_unsupported() {
    let lines = "Proxy-Require:\r\nProxy-Require: gin, foo\r\nproxy-require: bar\r\n";
    let mut bench = Bench::new();
    let sent = bench.give(CARRIER, &request("INVITE", lines));
    assert!(sent[0].first().starts_with("SIP/2.0 420"));
    assert_eq!(sent[0].header("Unsupported"), Some("gin, foo, bar"));
    let mut bench = Bench::new();
    let route = bench.up();
    let headers = format!("{route}{lines}");
    let sent = bench.give(CARRIER, &within("INFO", TARGET, &headers, ENDS));
    assert_eq!(
        (&sent[0].first()[..11], sent[0].header("Unsupported")),
        ("SIP/2.0 420", Some("gin, foo, bar"))
    );
    for method in ["ACK", "CANCEL"] {
        let sent = bench.give(CARRIER, &within(method, TARGET, &headers, ENDS));
        assert!(sent[0].first().starts_with(method), "passed over in {method}");
    }
    let sent = Bench::new().give(CARRIER, &request("INVITE", "Require: 100rel, x\r\n"));
    assert!(sent[1].text.contains("\r\nRequire: 100rel, x\r\n"), "what is asked of the callee goes there");
}

#[test]
fn a_100_gives_the_timestamp_back() {
    let sent = Bench::new().give(CARRIER, &request("INVITE", "Timestamp: 54.5\r\n"));
    assert!(sent[0].first().starts_with("SIP/2.0 100"));
    assert_eq!(sent[0].header("Timestamp"), Some("54.5"));
}

#[test]
fn a_party_behind_a_nat_is_reached_by_the_hop_that_the_dialog_knows() {
    let mut bench = Bench::new();
    let route = bench.up();
    for host in ["192.168.1.5:5062", "10.0.0.1", "[fe80::1]", "127.0.0.1:22", "192.0.2.10;maddr=10.0.0.9"] {
        let sent = bench.give(CARRIER, &within("BYE", &format!("sip:a@{host}"), &route, ENDS));
        assert_eq!(sent[0].to.remote, AGENT.parse().unwrap(), "{host}");
        assert!(sent[0].first().starts_with(&format!("BYE sip:a@{host} ")), "the Request-URI stays");
    }
}

/// RFC 5626 section 5.3.1: what was for the flow of a registered agent has no other way.
#[test]
fn a_request_by_a_flow_that_is_gone_is_answered_at_once() {
    let mut bench = Bench::new();
    let flow = tcp(AGENT);
    bench.targets = vec![Target { flow: Some(flow), ..target(AGENT, Transport::Tcp) }];
    let invite = bench.call();
    bench.input(flow, &invite.answer(200, "t1", ""));
    let mut routes = invite.headers("Record-Route");
    routes.reverse();
    let route = format!("Route: {}\r\n", routes.join(", "));
    for (method, status) in
        [("INFO", Some("430 ")), ("INVITE", Some("430 ")), ("BYE", Some("430 ")), ("ACK", None)]
    {
        let sent = bench.give(CARRIER, &within(method, TARGET, &route, ENDS));
        let on = sent.iter().find(|sent| sent.first().starts_with(method)).unwrap();
        assert_eq!((on.to.remote, on.to.transport), (flow.remote, Transport::Tcp));
        bench.edge.handle(bench.now, Input::Fault { send: on.id, why: Fault::Unreachable });
        let told = bench.drain();
        let told = told.first().map(Sent::first).and_then(|line| line.strip_prefix("SIP/2.0 "));
        assert_eq!(told.and_then(|line| line.get(..4)), status, "{method}");
    }
}

/// A strict router's URI comes to stand in the request line, and a Contact in our BYE: one that is folded would end that line.
#[test]
fn nothing_that_is_folded_gets_into_a_request_line() {
    let mut bench = Bench::new();
    let route = bench.up();
    for more in ["<sip:198.51.100.9;x=\r\n y>", "<sip:198.51.100.9; x>", "<sip:a\tb@198.51.100.9>"] {
        let routes = format!("{}, {more}\r\n", route.trim_end());
        for sent in bench.give(CARRIER, &within("INFO", TARGET, &routes, ENDS)) {
            let mut words = sent.first().split(' ');
            assert_eq!(
                (words.next(), words.next(), words.next()),
                (Some("INFO"), Some(TARGET), Some("SIP/2.0"))
            );
        }
    }
}

/// RFC 3261 section 8.1.3.1: the sender of what cannot be delivered hears 503, also where no transaction is kept.
#[test]
fn what_cannot_be_delivered_is_answered_by_the_way_that_it_came() {
    let mut bench = Bench::new();
    let route = bench.up();
    for (method, answered) in [("INFO", true), ("INVITE", true), ("BYE", true), ("ACK", false)] {
        let on = bench.give(CARRIER, &within(method, TARGET, &route, ENDS)).remove(0);
        assert_eq!((on.id, on.to.remote), (SendId::NONE, AGENT.parse().unwrap()));
        let answer = undelivered(on.text.as_bytes(), &on.to).map(|bytes| String::from_utf8(bytes).unwrap());
        let Some(answer) = answer else {
            assert!(!answered, "{method}");
            continue;
        };
        let up = bench.give(AGENT, &answer).remove(0);
        assert!(answered && up.first().starts_with("SIP/2.0 503 "), "{}", up.text);
        assert_eq!((up.to.remote, up.headers("Via").len()), (CARRIER.parse().unwrap(), 1));
        assert_eq!(up.header("CSeq"), Some(format!("2 {method}").as_str()));
    }
    let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n";
    assert!(undelivered(answer.as_bytes(), &udp(AGENT)).is_none(), "an answer is not answered");
}

#[test]
fn maddr_stands_for_the_host() {
    let mut bench = Bench::new();
    let route = bench.up();
    for (uri, wanted) in [
        ("sip:a@agent.example;maddr=192.0.2.44", "192.0.2.44:5060"),
        ("sip:a@192.0.2.1:5070;maddr=192.0.2.44", "192.0.2.44:5070"),
        ("sip:a@192.0.2.1;maddr=name.example", AGENT),
    ] {
        let sent = bench.give(CARRIER, &within("INFO", uri, &route, ENDS));
        assert_eq!(sent[0].to.remote.to_string(), wanted, "{uri}");
    }
}

/// An agent knows the Via of the request it was sent. It must not turn its answers into messages to somebody else.
#[test]
fn an_answer_goes_back_where_its_request_came_from_and_nowhere_else() {
    let places = ["received=10.0.0.5;rport=80", "received=203.0.113.77", "maddr=10.0.0.5"];
    let mut bench = Bench::new();
    let route = bench.up();
    let info = bench.give(CARRIER, &within("INFO", TARGET, &route, ENDS)).remove(0);
    let mut gone = Bench::with(Config { process: 2, ..config() });
    for (request, name) in
        [(bench.call_again(), "of a transaction that is gone"), (info, "of a request without one")]
    {
        for place in places {
            let answer = request
                .answer(200, "t1", "")
                .replace("198.51.100.7:5060;branch", &format!("198.51.100.7:5060;{place};branch"));
            for sent in gone.give(AGENT, &answer) {
                assert_eq!(sent.to.remote, CARRIER.parse().unwrap(), "{name}: {place}");
            }
        }
        let answer =
            request.answer(200, "t1", "").replace("198.51.100.7:5060;branch", "10.0.0.5:5060;branch");
        assert_eq!(gone.give(AGENT, &answer), [], "{name}");
        let sent = gone.give(AGENT, &request.answer(200, "t1", ""));
        assert_eq!(sent[0].to.remote, CARRIER.parse().unwrap(), "{name}");
    }
}

#[test]
fn an_answer_that_fits_its_transaction_in_the_branch_alone_changes_nothing() {
    let mut bench = Bench::new();
    let invite = bench.call();
    for text in [
        invite.answer(200, "t1", "").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        invite.answer(200, "t1", "").replace("CSeq: 1 INVITE", "CSeq: 1 invite"),
        invite
            .answer(486, "t1", "")
            .replace("Via: SIP/2.0/UDP 198.51.100.7", "X-Via: SIP/2.0/UDP 198.51.100.7"),
    ] {
        assert_eq!(bench.give(AGENT, &text), [], "{text}");
    }
    assert_eq!(Bench::statuses(&bench.give(AGENT, &invite.answer(200, "t1", ""))), ["SIP/2.0 200 Answer"]);
}

#[test]
fn a_flood_of_strangers_leaves_no_deadlines_behind() {
    let mut bench = Bench::new();
    bench.verdict = Some(Verdict::Drop);
    for n in 0..20_000 {
        let text = request("INVITE", "").replace("z9hG4bK-a", &format!("z9hG4bK-{n}"));
        assert_eq!(bench.give(CARRIER, &text), []);
    }
    assert!(bench.edge.idle());
    assert!(bench.edge.deadlines() <= 5_000, "{}", bench.edge.deadlines());
}

#[test]
fn editing_keeps_every_byte_that_it_does_not_name() {
    let headers = "v:  SIP/2.0/UDP\r\n 192.0.2.200;branch=z9hG4bK-2 ,SIP/2.0/UDP 192.0.2.201\r\nSubject : a\r\n\tb\r\n\
                   s: c\r\nk: timer\r\nX-Empty:\r\nmax-forwards : 7\r\nk:100rel\r\n";
    let text = request("INVITE", headers).replace("From: ", "f:").replace("Call-ID: ", "i :  ");
    let sent = Bench::new().give(CARRIER, &text);
    let invite = &sent[1].text;
    for part in [
        "\r\nv:  SIP/2.0/UDP\r\n 192.0.2.200;branch=z9hG4bK-2 ,SIP/2.0/UDP 192.0.2.201\r\n",
        "\r\nSubject : a\r\n\tb\r\ns: c\r\nk: timer\r\nX-Empty:\r\nmax-forwards : 6\r\nk:100rel\r\n",
        "\r\nf:<sip:+1201@c>;tag=f1\r\n",
        "\r\ni :  c1\r\n",
    ] {
        assert!(invite.contains(part), "{part}\n{invite}");
    }
    // one line with several Vias, ours among them: only ours is taken away
    let mut invite = sent[1].clone();
    invite.text = invite.text.replace("\r\nf:", "\r\nFrom: ").replace("\r\ni :  ", "\r\nCall-ID: ");
    let answer = invite.answer(183, "t1", "").replace(";rport\r\nVia: ", ";rport ,\r\n  ");
    let mut bench = Bench::new();
    bench.give(CARRIER, &text);
    let back = bench.give(AGENT, &answer);
    assert_eq!(back[0].text.matches("SIP/2.0/UDP 203.0.113.1").count(), 0, "{}", back[0].text);
    assert!(back[0].text.contains("SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-a-INVITE"));
}
