//! One edge, message by message: what needs no second party. Refusals, silence, the cookie and the next-hop rule.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod settings;

use std::time::Instant;

use proptest::prelude::*;
use sip::*;

fn config() -> Config {
    settings::config(1)
}

#[expect(clippy::disallowed_methods, reason = "an origin for invented time")]
fn origin() -> Instant {
    Instant::now()
}

struct Bench {
    edge: Edge,
    now: Instant,
    asks: Vec<AskKind>,
    facts: Vec<Fact>,
    drop: bool,
    transfer: Transfer,
    challenge: bool,
    media: Vec<Media>,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self {
            edge: Edge::new(config),
            now: origin(),
            asks: Vec::new(),
            facts: Vec::new(),
            drop: false,
            transfer: Transfer::Allowed,
            challenge: false,
            media: Vec::new(),
        }
    }

    /// Gives a message from `from`; what was sent comes back.
    fn give(&mut self, from: &str, bytes: &str) -> Vec<(Flow, String)> {
        let flow =
            Flow { listener: 0, transport: Transport::Udp, remote: from.parse().unwrap(), connection: None };
        self.edge.handle(self.now, Input::Message { flow, bytes: bytes.as_bytes() });
        self.drain()
    }

    fn drain(&mut self) -> Vec<(Flow, String)> {
        let mut out = Vec::new();
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Send(send) => out.push((send.to, String::from_utf8(send.bytes).unwrap())),
                Output::Fact(fact) => self.facts.push(*fact),
                Output::Login(_) | Output::Probed(_) => panic!("nothing of the kind is asked here"),
                Output::Ask(ask) => {
                    self.asks.push(ask.kind.clone());
                    self.media.push(ask.media);
                    let verdict = match ask.kind {
                        _ if self.drop => Verdict::Drop,
                        AskKind::Invite if self.challenge => {
                            Verdict::Challenge { values: ["Digest one".into(), "Digest two".into()] }
                        }
                        AskKind::Invite => route(self.transfer),
                        AskKind::Options => {
                            Verdict::Answer { headers: vec!["Accept: application/sdp".into()] }
                        }
                        AskKind::Other(_) => refuse(405, "Method Not Allowed"),
                        AskKind::Malformed { status, reason } => refuse(status, reason),
                    };
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
            }
        }
        out
    }

    /// Places a call and gives the Route for requests of the caller.
    fn route(&mut self) -> String {
        let sent = self.give(CARRIER, &request("INVITE", "", ""));
        let invite = &sent.iter().find(|(_, text)| text.starts_with("INVITE")).unwrap().1;
        let line = invite.lines().find(|line| line.starts_with("Record-Route")).unwrap();
        line.trim_start_matches("Record-Route: ").into()
    }
}

const CARRIER: &str = "198.51.100.7:5060";
const AGENT: &str = "192.0.2.10:5060";

fn route(transfer: Transfer) -> Verdict {
    Verdict::Route {
        call: CallIds::default(),
        direction: Direction::Inbound,
        trust: Trust::Untrusted,
        transfer,
        targets: vec![Target {
            request_uri: format!("sip:+4930123456@{AGENT}"),
            hops: vec![Hop { transport: Transport::Udp, addr: AGENT.parse().unwrap() }],
            flow: None,
            tag: 0,
            headers: vec!["X-Call: 7".into()],
            ..Target::default()
        }],
        legs: Vec::new(),
    }
}

fn refuse(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refuse { status, reason, reason_header: None, retry_after: Some(5), fact_call: None }
}

/// A request of the caller outside a dialog.
fn request(method: &str, headers: &str, body: &str) -> String {
    format!(
        "{method} sip:+4930123456@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-a-{method}\r\n\
         From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+4930123456@203.0.113.1>\r\nCall-ID: c1\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:+1201@198.51.100.7>\r\nP-Asserted-Identity: <sip:x@y>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request within the dialog; From tag, To tag, Call-ID and Request-URI as given.
fn within(method: &str, uri: &str, routes: &str, (from, to, call): (&str, &str, &str)) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-b-{method}\r\n{routes}\
         From: <sip:+1201@c>;tag={from}\r\nTo: <sip:+4930123456@203.0.113.1>;tag={to}\r\nCall-ID: {call}\r\n\
         CSeq: 2 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn first_line(sent: &[(Flow, String)]) -> &str {
    sent.first().map_or("", |(_, text)| text.lines().next().unwrap_or_default())
}

const ENDS: (&str, &str, &str) = ("f1", "t1", "c1");
const TARGET: &str = "sip:agent@192.0.2.10:5060";

#[test]
fn a_dropped_source_hears_nothing_and_leaves_nothing() {
    let mut bench = Bench::new(config());
    bench.drop = true;
    for text in [
        request("INVITE", "", ""),
        request("OPTIONS", "", ""),
        request("REGISTER", "", ""),
        request("INVITE", "Max-Forwards: 0\r\n", ""),
        request("INVITE", "", "").replace("CSeq: 1", "CSeq: x"),
    ] {
        assert!(bench.give(CARRIER, &text).is_empty(), "{text}");
    }
    assert_eq!(bench.asks.len(), 5);
    assert!(bench.edge.idle());
}

#[test]
fn an_invite_goes_on_with_what_it_came_with() {
    let mut bench = Bench::new(config());
    let sent =
        bench.give(CARRIER, &request("INVITE", "X-Odd :  a ;b\r\nMax-Forwards: 9\r\nIdentity: x\r\n", "v=0"));
    assert!(sent[0].1.starts_with("SIP/2.0 100 Trying\r\n"));
    let (to, invite) = &sent[1];
    assert_eq!(to.remote, AGENT.parse().unwrap());
    assert!(invite.starts_with(
        "INVITE sip:+4930123456@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1:5060;branch="
    ));
    for part in [
        "\r\nX-Odd :  a ;b\r\n",
        "\r\nMax-Forwards: 8\r\n",
        "\r\nIdentity: x\r\n",
        "\r\nX-Call: 7\r\n",
        "\r\n\r\nv=0",
    ] {
        assert!(invite.contains(part), "{part}\n{invite}");
    }
    assert!(!invite.contains("P-Asserted-Identity"));
    assert_eq!(invite.matches("Record-Route:").count(), 1);
}

#[test]
fn a_repeated_invite_is_never_asked_twice() {
    let mut bench = Bench::new(config());
    bench.give(CARRIER, &request("INVITE", "", ""));
    let again = bench.give(CARRIER, &request("INVITE", "", ""));
    assert_eq!((bench.asks.len(), first_line(&again)), (1, "SIP/2.0 100 Trying"));
    let first = bench.give(CARRIER, &request("OPTIONS", "", ""));
    let second = bench.give(CARRIER, &request("OPTIONS", "", ""));
    assert_eq!((bench.asks.len(), &first), (2, &second));
    assert!(first[0].1.contains("Accept: application/sdp"));
}

#[test]
fn what_the_edge_refuses_carries_its_status() {
    for (method, headers, wanted) in [
        ("INVITE", "Max-Forwards: 0\r\n", "SIP/2.0 483"),
        ("INVITE", "Proxy-Require: gin\r\n", "SIP/2.0 420"),
        ("INVITE", "Route: <sip:192.0.2.77;lr>\r\n", "SIP/2.0 403"),
        ("REGISTER", "", "SIP/2.0 405"),
        ("CANCEL", "", "SIP/2.0 481"),
    ] {
        let sent = Bench::new(config()).give(CARRIER, &request(method, headers, ""));
        assert!(first_line(&sent).starts_with(wanted), "{headers}: {sent:?}");
    }
    let sent = Bench::new(config()).give(CARRIER, &request("INVITE", "Proxy-Require: gin\r\n", ""));
    assert!(sent[0].1.contains("Unsupported: gin\r\n"));
}

#[test]
fn a_route_to_ourselves_is_taken_away() {
    let sent = Bench::new(config()).give(CARRIER, &request("INVITE", "Route: <sip:203.0.113.1;lr>\r\n", ""));
    assert!(sent[1].1.starts_with("INVITE") && !sent[1].1.contains("\r\nRoute:"));
}

#[test]
fn a_loop_is_found_by_our_own_signature() {
    let mut bench = Bench::new(config());
    let sent = bench.give(CARRIER, &request("INVITE", "", ""));
    let looped = sent[1].1.replacen("Via:", "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx\r\nVia:", 1);
    assert!(first_line(&bench.give(AGENT, &looped)).starts_with("SIP/2.0 482"));
}

#[test]
fn a_draining_edge_refuses_calls_only() {
    let mut bench = Bench::new(config());
    let route = bench.route();
    bench.edge.drain();
    let sent = bench.give(CARRIER, &request("INVITE", "", "").replace("z9hG4bK-a", "z9hG4bK-z"));
    assert!(sent[0].1.starts_with("SIP/2.0 503") && sent[0].1.contains("Retry-After: "));
    let bye = within("BYE", TARGET, &format!("Route: {route}\r\n"), ENDS);
    assert!(first_line(&bench.give(CARRIER, &bye)).starts_with("BYE"));
}

#[test]
fn a_full_table_refuses_with_503() {
    let mut settings = config();
    settings.limits.transactions_max = 1;
    let mut bench = Bench::new(settings);
    bench.give(CARRIER, &request("INVITE", "", ""));
    let sent = bench.give(CARRIER, &request("INVITE", "", "").replace("z9hG4bK-a", "z9hG4bK-z"));
    assert!(first_line(&sent).starts_with("SIP/2.0 503"));
}

#[test]
fn a_dialog_is_carried_without_a_table() {
    let mut bench = Bench::new(config());
    let route = format!("Route: {}\r\n", bench.route());
    let mut other = Bench::new(Config { process: 2, ..config() });
    for method in
        ["ACK", "INVITE", "UPDATE", "INFO", "REFER", "PRACK", "OPTIONS", "MESSAGE", "NOTIFY", "FOO", "BYE"]
    {
        let sent = other.give(CARRIER, &within(method, TARGET, &route, ENDS));
        assert!(first_line(&sent).starts_with(&format!("{method} {TARGET}")), "{method} {sent:?}");
        assert!(!sent[0].1.contains("Route:") && sent[0].1.contains("Max-Forwards: 69"));
        assert_eq!(
            sent,
            other.give(CARRIER, &within(method, TARGET, &route, ENDS)),
            "a repeat goes the same way"
        );
        let back = sent[0].1.replacen(&format!("{method} {TARGET} SIP/2.0"), "SIP/2.0 200 OK", 1);
        if method != "ACK" {
            let answer = other.give(AGENT, &back);
            assert_eq!(
                (answer[0].0.remote, answer[0].1.matches("Via:").count()),
                (CARRIER.parse().unwrap(), 1)
            );
        }
    }
    assert!(other.edge.idle());
    other.facts.retain(|fact| !matches!(fact, Fact::Refreshed { .. }));
    assert!(
        matches!(&other.facts[..], [Fact::Ended { by: Side::Caller, callee_tag, .. }, _] if callee_tag == "t1")
    );
}

#[test]
fn the_callee_is_known_by_its_tag() {
    let mut bench = Bench::new(config());
    let route = format!("Route: {}\r\n", bench.route());
    let sent = bench.give(AGENT, &within("BYE", "sip:x@198.51.100.7", &route, ("t1", "f1", "c1")));
    assert_eq!(sent[0].0.remote, CARRIER.parse().unwrap());
    assert!(
        matches!(&bench.facts[..], [Fact::Ended { by: Side::Callee, callee_tag, .. }] if callee_tag == "t1")
    );
}

#[test]
fn the_agent_of_a_call_without_transfer_refers_to_nobody() {
    for (transfer, allowed) in [(Transfer::Allowed, true), (Transfer::Refused, false)] {
        let mut bench = Bench::new(config());
        bench.transfer = transfer;
        let route = format!("Route: {}\r\n", bench.route());
        // the rule is in the cookie: a process that saw nothing of the call knows it
        let mut other = Bench::new(Config { process: 2, ..config() });
        let agent = ("t1", "f1", "c1");
        let refer = within("REFER", "sip:x@198.51.100.7", &format!("{route}Refer-To: <sip:y@z>\r\n"), agent);
        let sent = other.give(AGENT, &refer);
        let wanted = if allowed { "REFER sip:x@198.51.100.7" } else { "SIP/2.0 603" };
        assert!(first_line(&sent).starts_with(wanted), "{sent:?}");
        assert_eq!(sent[0].0.remote, if allowed { CARRIER } else { AGENT }.parse().unwrap());
        let replaces =
            within("INVITE", "sip:x@198.51.100.7", &format!("{route}replaces: 1@x;to-tag=a\r\n"), agent);
        let wanted = if allowed { "INVITE" } else { "SIP/2.0 603" };
        assert!(first_line(&other.give(AGENT, &replaces)).starts_with(wanted));
        for method in ["INVITE", "INFO", "UPDATE", "NOTIFY", "BYE"] {
            let sent = other.give(AGENT, &within(method, "sip:x@198.51.100.7", &route, agent));
            assert!(first_line(&sent).starts_with(method), "what else it sends goes on: {method}");
        }
        // the carrier's side may hand its end over
        let refer = within("REFER", TARGET, &format!("{route}Refer-To: <sip:y@z>\r\n"), ENDS);
        assert!(first_line(&other.give(CARRIER, &refer)).starts_with("REFER"));
    }
}

#[test]
fn a_challenge_is_407_and_its_answer_goes_no_further() {
    let mut bench = Bench::new(config());
    bench.challenge = true;
    let sent = bench.give(CARRIER, &request("INVITE", "", ""));
    assert!(first_line(&sent).starts_with("SIP/2.0 407"));
    assert!(sent[0].1.contains("Proxy-Authenticate: Digest one\r\nProxy-Authenticate: Digest two\r\n"));
    let mut bench = Bench::new(config());
    let others = "Digest username=\"a\", realm=\"other\"";
    let headers = format!(
        "Proxy-Authorization: Digest username=\"a\", realm=\"trunkline\", nonce=\"x\"\r\nAuthorization: {others}\r\n"
    );
    let sent = bench.give(CARRIER, &request("INVITE", &headers, ""));
    let invite = &sent[1].1;
    assert!(!invite.contains("trunkline") && invite.contains(&format!("Authorization: {others}\r\n")));
    let route = format!("Route: {}\r\n{headers}", Bench::new(config()).route());
    let sent = bench.give(CARRIER, &within("BYE", TARGET, &route, ENDS));
    assert!(!sent[0].1.contains("trunkline") && sent[0].1.contains(others));
}

#[test]
fn a_stranger_hears_nothing_of_dialogs() {
    let mut bench = Bench::new(config());
    bench.drop = true;
    for method in ["BYE", "INVITE", "REFER", "CANCEL", "ACK"] {
        assert!(bench.give(CARRIER, &within(method, TARGET, "", ENDS)).is_empty(), "{method}");
    }
    assert!(bench.edge.idle());
}

#[test]
fn high_numbers_of_a_dialog_are_told_before_they_go_on() {
    let mut bench = Bench::new(config());
    let route = format!("Route: {}\r\n", bench.route());
    let numbered = |method: &str, cseq: u32, from| {
        within(method, TARGET, &route, from).replace("CSeq: 2 ", &format!("CSeq: {cseq} "))
    };
    let agent = ("t1", "f1", "c1");
    for text in [
        numbered("INFO", 1023, ENDS),
        numbered("ACK", 5000, ENDS),
        numbered("INFO", 1024, ENDS),
        numbered("UPDATE", 2_147_483_647, agent).replace(TARGET, "sip:x@198.51.100.7"),
    ] {
        bench.give(CARRIER, &text);
    }
    let told = bench.facts.iter().map(|fact| match fact {
        Fact::Step { by, bits, .. } => (*by, *bits),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(Side::Caller, 11), (Side::Callee, 31)]);
}

#[test]
fn our_byes_follow_the_route_sets_and_go_nowhere_private() {
    let hop = |text: &str| Some(Hop { transport: Transport::Udp, addr: text.parse().unwrap() });
    let dialog = Dialog {
        call_id: "c1".into(),
        from: "<sip:+1201@c>;tag=f1".into(),
        to: "<sip:+49@d>;tag=t1".into(),
        from_tag: "f1".into(),
        to_tag: "t1".into(),
        caller_contact: None,
        callee_contact: Some(TARGET.into()),
        caller_routes: vec!["<sip:198.51.100.8;lr>".into()],
        callee_routes: vec!["<sip:192.0.2.20:5070>".into(), "<sip:192.0.2.21;lr>".into()],
        caller_hop: hop(CARRIER),
        callee_hop: hop(AGENT),
        cseq: 1,
        callee_cseq: 3000,
        ..Dialog::default()
    };
    let mut bench = Bench::new(config());
    assert_eq!(bench.edge.hang_up(bench.now, (CallIds::default(), 9), &dialog, "Q.850;cause=16"), 2);
    let sent = bench.drain();
    assert!(matches!(bench.facts[..], [Fact::HungUp { mark: 9, .. }]));
    let (to, callee) = &sent[0];
    assert_eq!(to.remote, "192.0.2.20:5070".parse().unwrap());
    for part in [
        "BYE sip:192.0.2.20:5070 SIP/2.0\r\n",
        "Route: <sip:192.0.2.21;lr>\r\nRoute: <sip:agent@192.0.2.10:5060>\r\n",
        "From: <sip:+1201@c>;tag=f1\r\nTo: <sip:+49@d>;tag=t1\r\nCall-ID: c1\r\nCSeq: 1024 BYE\r\n",
        "Reason: Q.850;cause=16\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert!(callee.contains(part), "{part}\n{callee}");
    }
    let (to, other) = &sent[1];
    assert_eq!(to.remote, "198.51.100.8:5060".parse().unwrap());
    assert!(other.starts_with("BYE sip:198.51.100.7:5060;transport=udp SIP/2.0\r\n"), "{other}");
    assert!(other.contains("From: <sip:+49@d>;tag=t1\r\nTo: <sip:+1201@c>;tag=f1\r\n"));
    assert!(other.contains("CSeq: 4096 BYE"));
    // an answer is taken and nothing is left
    for (_, bye) in &sent {
        bench.give(AGENT, &bye.replacen(bye.lines().next().unwrap(), "SIP/2.0 481 Gone", 1));
    }
    bench.edge.handle(bench.now + std::time::Duration::from_mins(1), Input::Tick);
    assert!(bench.edge.idle());
    // a place inside that the dialog does not go to gets nothing: the hop that it knows is told
    let inside = Dialog { callee_routes: vec!["<sip:10.0.0.1;lr>".into()], ..dialog.clone() };
    assert_eq!(bench.edge.hang_up(bench.now, (CallIds::default(), 9), &inside, "x"), 2);
    assert_eq!(bench.drain()[0].0.remote, AGENT.parse().unwrap());
    let nobody = Dialog { callee_hop: None, caller_hop: None, ..dialog };
    assert_eq!(bench.edge.hang_up(bench.now, (CallIds::default(), 9), &nobody, "x"), 0);
    assert!(bench.drain().is_empty());
}

/// Two UDP listeners; a call comes by the second.
fn two() -> Config {
    let second = Listener {
        transport: Transport::Udp,
        local: "203.0.113.2:5070".parse().unwrap(),
        public_host: "sip2.example".into(),
        public_port: 5070,
    };
    let mut config = config();
    config.listeners.insert(1, second);
    config
}

#[test]
fn our_byes_leave_by_the_listener_that_the_call_came_by() {
    let mut bench = Bench::new(two());
    let by = |listener, remote: &str| Flow {
        listener,
        transport: Transport::Udp,
        remote: remote.parse().unwrap(),
        connection: None,
    };
    let call = request("INVITE", "", "");
    bench.edge.handle(bench.now, Input::Message { flow: by(1, CARRIER), bytes: call.as_bytes() });
    let sent = bench.drain();
    let invite = &sent[1];
    assert_eq!(invite.0.listener, 1);
    let answer = invite
        .1
        .replacen(invite.1.lines().next().unwrap(), "SIP/2.0 200 OK", 1)
        .replace("To: <sip:+4930123456@203.0.113.1>", "To: <sip:+4930123456@203.0.113.1>;tag=t1");
    let answered = |facts: &[Fact]| {
        facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, known, .. } => Some((dialog.as_ref().clone(), *known)),
            _ => None,
        })
    };
    // another process, which knows no more than the cookie; then the one that saw the call begin
    let mut other = Bench::new(Config { process: 2, ..two() });
    other.edge.handle(other.now, Input::Message { flow: by(1, AGENT), bytes: answer.as_bytes() });
    let back = other.drain();
    assert_eq!((back[0].0.listener, back[0].0.remote), (1, CARRIER.parse().unwrap()));
    bench.edge.handle(bench.now, Input::Message { flow: by(1, AGENT), bytes: answer.as_bytes() });
    bench.drain();
    for (facts, wanted) in [(&other.facts, Known::CookieOnly), (&bench.facts, Known::Transaction)] {
        let (dialog, known) = answered(facts).unwrap();
        assert_eq!(known, wanted);
        let ours = Some("sip2.example:5070".to_owned());
        assert_eq!((&dialog.caller_listener, &dialog.callee_listener), (&ours, &ours));
        let mut third = Bench::new(Config { process: 3, ..two() });
        assert_eq!(third.edge.hang_up(third.now, (CallIds::default(), 9), &dialog, "x"), 2);
        let sent = third.drain();
        assert_eq!(sent.iter().map(|(to, _)| to.listener).collect::<Vec<_>>(), [1, 1]);
        assert!(sent.iter().all(|(_, bye)| bye.contains("Via: SIP/2.0/UDP sip2.example:5070;")));
        // records of earlier versions do not tell it, and a listener may be gone
        for listener in [None, Some("gone.example:1".to_owned())] {
            let caller_listener = listener.clone();
            let old = Dialog { caller_listener, callee_listener: listener, ..dialog.clone() };
            assert_eq!(third.edge.hang_up(third.now, (CallIds::default(), 9), &old, "x"), 2);
            assert!(third.drain().iter().all(|(to, _)| to.listener == 0));
        }
    }
}

#[test]
fn an_agent_that_may_not_transfer_sends_the_carrier_nowhere() {
    for (transfer, wanted) in [(Transfer::Allowed, 302), (Transfer::Refused, 480)] {
        let mut bench = Bench::new(config());
        bench.transfer = transfer;
        let sent = bench.give(CARRIER, &request("INVITE", "", ""));
        let invite = &sent[1].1;
        let answer = invite
            .replacen(invite.lines().next().unwrap(), "SIP/2.0 302 Moved\r\nContact: <sip:elsewhere@z>", 1)
            .replace("To: <sip:+4930123456@203.0.113.1>", "To: <sip:+4930123456@203.0.113.1>;tag=t1");
        let sent = bench.give(AGENT, &answer);
        assert!(first_line(&sent).starts_with("ACK "), "{sent:?}");
        let (to, told) = &sent[1];
        assert_eq!(to.remote, CARRIER.parse().unwrap());
        assert!(told.starts_with(&format!("SIP/2.0 {wanted} ")), "{told}");
        assert_eq!(told.contains("elsewhere"), transfer == Transfer::Allowed);
        assert_eq!(told.matches("Via:").count(), 1);
        assert!(
            bench.facts.iter().any(|fact| matches!(fact, Fact::Failed { status, .. } if *status == wanted))
        );
        let tried = |fact: &Fact| matches!(fact, Fact::Attempt(one) if one.status == Some(302));
        assert!(bench.facts.iter().any(tried), "the record has what the agent said");
    }
}

#[test]
fn an_offer_is_told_with_the_question() {
    let mut bench = Bench::new(config());
    let offer = |profile: &str| format!("v=0\r\nm=audio 4000 {profile} 0\r\na=crypto:1 x inline:y\r\n");
    for (at, body) in [String::new(), offer("RTP/AVP"), offer("RTP/SAVP"), "x".into()].iter().enumerate() {
        let text = request("INVITE", "Content-Type: application/sdp\r\n", body);
        bench.give(CARRIER, &text.replace("z9hG4bK-a", &format!("z9hG4bK-{at}")));
    }
    assert_eq!(bench.media, [Media::Absent, Media::Plain, Media::Secure, Media::Unreadable]);
}

#[test]
fn a_cookie_opens_no_other_dialog() {
    let mut bench = Bench::new(config());
    let route = format!("Route: {}\r\n", bench.route());
    for ends in [("f2", "t1", "c1"), ("f1", "t1", "c2")] {
        let sent = bench.give(CARRIER, &within("BYE", TARGET, &route, ends));
        assert!(first_line(&sent).starts_with("SIP/2.0 481"), "{sent:?}");
        assert!(bench.give(CARRIER, &within("ACK", TARGET, &route, ends)).is_empty());
    }
    assert!(bench.facts.is_empty());
    let mut other = Bench::new(Config {
        keys: Keys { current: Key { id: 1, secret: [8; 32] }, previous: None },
        ..config()
    });
    assert!(
        first_line(&other.give(CARRIER, &within("BYE", TARGET, &route, ENDS))).starts_with("SIP/2.0 481")
    );
    let keys =
        Keys { current: Key { id: 2, secret: [8; 32] }, previous: Some(Key { id: 1, secret: [7; 32] }) };
    let mut other = Bench::new(Config { keys, ..config() });
    assert!(first_line(&other.give(CARRIER, &within("BYE", TARGET, &route, ENDS))).starts_with("BYE"));
}

#[test]
fn nothing_is_sent_to_private_places_the_dialog_does_not_know() {
    let mut bench = Bench::new(config());
    let route = format!("Route: {}\r\n", bench.route());
    for host in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[::1]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:a00:1::]",
        "[fd00::1]",
        "[fec0::1]",
        "0.0.0.0",
        "100.64.0.1",
    ] {
        let sent = bench.give(CARRIER, &within("BYE", &format!("sip:a@{host}"), &route, ENDS));
        assert_eq!(sent[0].0.remote, AGENT.parse().unwrap(), "{host} {sent:?}");
        let routes = format!("{route}Route: <sip:{host};lr>\r\n");
        let sent = bench.give(CARRIER, &within("INFO", TARGET, &routes, ENDS));
        assert_eq!(sent[0].0.remote, AGENT.parse().unwrap(), "{host} {sent:?}");
    }
    // a name is not resolved: the dialog's own hop
    let sent = bench.give(CARRIER, &within("BYE", "sip:a@localhost", &route, ENDS));
    assert_eq!(sent[0].0.remote, AGENT.parse().unwrap());
}

#[test]
fn route_sets_are_obeyed_mended_and_turned() {
    let mut bench = Bench::new(config());
    let ours = bench.route();
    let next = |bench: &mut Bench, uri: &str, routes: &str| {
        let sent = bench.give(CARRIER, &within("INFO", uri, routes, ENDS));
        (sent[0].0.remote.to_string(), sent[0].1.clone())
    };
    // two more proxies behind us
    let (to, text) =
        next(&mut bench, TARGET, &format!("Route: {ours}, <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>\r\n"));
    assert_eq!(to, "192.0.2.1:5060");
    assert!(text.contains("Route: <sip:192.0.2.1;lr>\r\nRoute: <sip:192.0.2.2;lr>\r\n"));
    // ours stands last: reversed
    let (to, text) =
        next(&mut bench, TARGET, &format!("Route: <sip:192.0.2.2;lr>, <sip:192.0.2.1;lr>, {ours}\r\n"));
    assert_eq!(to, "192.0.2.1:5060");
    assert!(text.contains("Route: <sip:192.0.2.1;lr>\r\nRoute: <sip:192.0.2.2;lr>\r\n"));
    // a strict router behind us
    let (to, text) = next(&mut bench, TARGET, &format!("Route: {ours}, <sip:192.0.2.1>\r\n"));
    assert_eq!(to, "192.0.2.1:5060");
    assert!(
        text.starts_with("INFO sip:192.0.2.1 SIP/2.0") && text.contains(&format!("Route: <{TARGET}>\r\n"))
    );
    // a strict router before us
    let own = ours.trim_matches(['<', '>']);
    let (to, text) = next(&mut bench, own, &format!("Route: <{TARGET}>\r\n"));
    assert_eq!(to, AGENT);
    assert!(text.starts_with(&format!("INFO {TARGET} SIP/2.0")) && !text.contains("\r\nRoute:"));
}

#[test]
fn an_answer_nobody_asked_for_goes_nowhere() {
    let mut bench = Bench::new(config());
    let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKAAAAAAAAAAAAAAAA\r\n\
                  Via: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKy\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: q\r\nCSeq: 1 INVITE\r\n\r\n";
    assert!(bench.give(AGENT, answer).is_empty());
}

#[test]
fn via_tells_where_a_request_really_came_from() {
    let mut bench = Bench::new(config());
    let text = request("OPTIONS", "", "").replace("5060;branch", "5060;rport;received=1.2.3.4;branch");
    let sent = bench.give("192.0.2.200:4444", &text);
    assert_eq!(sent[0].0.remote.to_string(), "192.0.2.200:4444");
    assert!(sent[0].1.contains(";received=192.0.2.200;rport=4444\r\n") && !sent[0].1.contains("1.2.3.4"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_cookie_with_any_other_character_is_refused(at in 0usize..90, with in "[A-Za-z0-9_-]") {
        let mut bench = Bench::new(config());
        let route = bench.route();
        let mut bytes = route.clone().into_bytes();
        let place = "<sip:".len() + at;
        prop_assume!(bytes[place] != with.as_bytes()[0]);
        bytes[place] = with.as_bytes()[0];
        let route = format!("Route: {}\r\n", String::from_utf8(bytes).unwrap());
        let sent = bench.give(CARRIER, &within("BYE", TARGET, &route, ENDS));
        prop_assert!(first_line(&sent).starts_with("SIP/2.0 481"));
        prop_assert!(bench.facts.is_empty());
    }

    #[test]
    fn untouched_headers_arrive_byte_for_byte(
        lines in proptest::collection::vec(("X-[A-Za-z]{1,12}", "[ -~]{0,40}"), 0..12),
        body in "[ -~\r\n]{0,200}",
    ) {
        let headers = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect::<Vec<_>>().concat();
        let sent = Bench::new(config()).give(CARRIER, &request("INVITE", &headers, &body));
        let invite = &sent.last().unwrap().1;
        prop_assert!(invite.contains(&headers));
        let ending = format!("\r\n\r\n{body}");
        prop_assert!(invite.ends_with(&ending));
    }
}
