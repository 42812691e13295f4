//! `sips` (RFC 3261 section 16.6 step 4, RFC 5630): which of our Record-Routes have it, and that dialogs go on by them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bench;

use bench::*;
use sip::*;

/// UDP, TLS and secure WebSocket.
fn secure() -> Config {
    let listener = |transport, public_port| Listener {
        transport,
        local: EDGE.parse().unwrap(),
        public_host: "203.0.113.1".into(),
        public_port,
    };
    let listeners =
        vec![listener(Transport::Udp, 5060), listener(Transport::Tls, 5061), listener(Transport::Wss, 443)];
    Config { listeners, ..config() }
}

fn flow(listener: u16, transport: Transport, remote: &str) -> Flow {
    let connection = transport.stream().then_some(u64::from(listener) + 7);
    Flow { listener, transport, remote: remote.parse().unwrap(), connection }
}

struct Sides {
    bench: Bench,
    caller: Flow,
    agent: Flow,
    invite: Sent,
}

/// A call, as far as its INVITE at the agent.
fn call(caller: Flow, (line, more): (&str, &str), target: &str) -> Sides {
    let mut bench = Bench::with(secure());
    let uri = target.split(['@', ';']).nth(1).unwrap();
    let transport = match (target.starts_with("sips:"), target.contains("tls")) {
        (false, false) => Transport::Udp,
        _ => Transport::Tls,
    };
    bench.targets = vec![Target {
        request_uri: target.into(),
        hops: vec![Hop { transport, addr: uri.parse().unwrap() }],
        ..Target::default()
    }];
    let text = request("INVITE", more).replace("INVITE sip:", &format!("INVITE {line}:"));
    let sent = bench.input(caller, &text);
    let invite = sent.into_iter().find(|sent| sent.first().starts_with("INVITE ")).unwrap();
    let agent = Flow { connection: transport.stream().then_some(3), ..invite.to };
    Sides { bench, caller, agent, invite }
}

/// The scheme and what follows the cookie, of each Record-Route.
fn routes(invite: &Sent) -> Vec<String> {
    let shape = |value: &&str| {
        let (scheme, rest) = value.trim_matches(['<', '>']).split_once(':').unwrap();
        format!("{scheme}:{}", rest.split_once('@').unwrap().1)
    };
    invite.headers("Record-Route").iter().map(shape).collect()
}

const TLS: (u16, Transport) = (1, Transport::Tls);
const SIPS: &str = "sips:203.0.113.1:5061;lr";
const SIP: &str = "sip:203.0.113.1:5061;transport=tls;lr";
const UDP: &str = "sip:203.0.113.1:5060;transport=udp;lr";
const WEB: &str = "sips:203.0.113.1:443;transport=ws;lr";

#[test]
fn each_side_has_the_scheme_that_it_speaks_of_itself() {
    let preloaded = "Route: <sips:203.0.113.1:5061;lr>\r\n";
    for (here, came, target, wanted) in [
        (TLS, ("sip", ""), "sip:a@192.0.2.10:5061;transport=tls", vec![SIP]),
        (TLS, ("sips", ""), "sips:a@192.0.2.10:5061", vec![SIPS]),
        (TLS, ("SIPS", ""), "sips:a@192.0.2.10:5061", vec![SIPS]),
        (TLS, ("sips", ""), "sip:a@192.0.2.10:5061;transport=tls", vec![SIP, SIPS]),
        (TLS, ("sip", ""), "sips:a@192.0.2.10:5061", vec![SIPS, SIP]),
        (TLS, ("sip", preloaded), "sips:a@192.0.2.10:5061", vec![SIPS]),
        (TLS, ("sips", ""), "sip:a@192.0.2.10:5060", vec![UDP, SIPS]),
        ((2, Transport::Wss), ("sips", ""), "sips:a@192.0.2.10:5061", vec![SIPS, WEB]),
        // there is no name with `sips` for a listener without TLS
        ((0, Transport::Udp), ("sips", ""), "sips:a@192.0.2.10:5061", vec![SIPS, UDP]),
        ((0, Transport::Udp), ("sips", ""), "sip:a@192.0.2.10:5060", vec![UDP]),
    ] {
        let sides = call(flow(here.0, here.1, CARRIER), came, target);
        assert_eq!(routes(&sides.invite), wanted, "{came:?} to {target}");
    }
}

#[test]
fn a_dialog_goes_on_by_them_from_both_sides() {
    for (line, target) in [
        ("sips", "sips:a@192.0.2.10:5061"),
        ("sips", "sip:a@192.0.2.10:5061;transport=tls"),
        ("sip", "sips:a@192.0.2.10:5061"),
        ("sips", "sip:a@192.0.2.10:5060"),
    ] {
        let Sides { mut bench, caller, agent, invite } =
            call(flow(1, Transport::Tls, CARRIER), (line, ""), target);
        let up = bench.input(agent, &invite.answer(200, "t1", ""));
        let set = up.iter().find(|sent| sent.first().starts_with("SIP/2.0 200")).unwrap();
        let (own, mut turned) = (invite.headers("Record-Route").join(", "), set.headers("Record-Route"));
        turned.reverse();
        let [own, turned] = [own, turned.join(", ")].map(|routes| format!("Route: {routes}\r\n"));
        let down = bench.input(caller, &within("INFO", target, &turned, ENDS));
        let info = down.iter().find(|sent| sent.first().starts_with("INFO")).unwrap();
        assert!(info.header("Route").is_none(), "both are taken away: {}", info.text);
        assert_eq!(
            (info.to.transport, info.to.listener),
            (agent.transport, agent.listener),
            "{line} to {target}"
        );
        let info = within("INFO", "sips:c@198.51.100.7:5060", &own, ("t1", "f1", "c1"));
        let back = bench.input(agent, &info.replace("z9hG4bK-b", "z9hG4bK-d"));
        let info = back.iter().find(|sent| sent.first().starts_with("INFO")).unwrap();
        assert!(info.header("Route").is_none(), "{}", info.text);
        assert_eq!((info.to.transport, info.to.listener), (Transport::Tls, 1), "{line} to {target}");
    }
}
