//! The first look at a message, before it is read: strangers who ask for what strangers are not told cost no more than this.
//! Who is a stranger is known by its address; what it asks, by the method in the start line. What answers us or says that it
//! belongs to a dialog passes: it proves itself by what we signed, or is dropped then.

use sip::Flow;
use std::net::IpAddr;
use std::time::Instant;

use super::gauge::Gauge;
use crate::clock;
use crate::live::Live;
use crate::live::bans::Fault;

/// Whether a message is read at all.
pub(super) fn admits(live: &Live, gauge: &Gauge, flow: &Flow, bytes: &[u8], now: Instant) -> bool {
    if bytes.starts_with(b"SIP/2.0 ") {
        return true;
    }
    let source = flow.remote.ip();
    let banned = live.bans.holds(source, now);
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let asks = matches!(
        method,
        b"OPTIONS" | b"REGISTER" | b"SUBSCRIBE" | b"PUBLISH" | b"MESSAGE" | b"NOTIFY" | b"INFO"
    );
    if !banned && !asks {
        return true;
    }
    if in_dialog(bytes) || live.is_known(flow.remote, now) {
        return true;
    }
    if banned {
        live.bans.refused(source, now);
        gauge.banned.increment(1);
        return false;
    }
    // A carrier may ask whether we are there from another address than the registrar's: by what only it knows.
    let called = || live.registering.trunk_called(user(bytes)).is_some();
    if method == b"REGISTER" && live.registers() || method == b"OPTIONS" && called() {
        return true;
    }
    gauge.unknown_source.increment(1);
    wrong(live, source, Fault::Asks, now);
    false
}

/// The user in a request line; empty where there is none.
fn user(bytes: &[u8]) -> &str {
    let uri = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let rest = uri.strip_prefix(b"sip:").or_else(|| uri.strip_prefix(b"sips:")).unwrap_or_default();
    let user = rest.iter().position(|byte| *byte == b'@').and_then(|at| rest.get(..at));
    user.and_then(|user| std::str::from_utf8(user).ok()).unwrap_or_default()
}

/// Takes note of what a stranger did wrong.
pub(super) fn wrong(live: &Live, source: IpAddr, fault: Fault, now: Instant) {
    live.bans.add(source, fault, (now, clock::now()));
}

/// Whether a request says that it belongs to a dialog that passes here: it has a Route, or, of a strict router, our own URI in
/// its request line.
fn in_dialog(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.windows(3).any(|three| three == b";lr")
        || bytes.windows(7).any(|seven| seven.eq_ignore_ascii_case(b"\nroute:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_stands_in_the_request_line() {
        for (line, name) in [
            ("OPTIONS sip:tr01@h SIP/2.0\r\n", "tr01"),
            ("OPTIONS sips:a@h;x=b@c SIP/2.0\r\n", "a"),
            ("OPTIONS sip:h SIP/2.0\r\nTo: <sip:a@b>\r\n", ""),
            ("OPTIONS tel:+1@h SIP/2.0\r\n", ""),
            ("OPTIONS", ""),
            ("", ""),
        ] {
            assert_eq!(user(line.as_bytes()), name, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_a_dialog_says_so() {
        assert!(in_dialog(b"OPTIONS sip:a@h SIP/2.0\r\nVia: x\r\nroute: <sip:c@h;lr>\r\n\r\n"));
        assert!(in_dialog(b"INFO sip:cookie@h;lr SIP/2.0\r\nVia: x\r\n\r\n"));
        assert!(!in_dialog(b"OPTIONS sip:a@h SIP/2.0\r\nRecord-Route: <sip:c@h;lr>\r\n\r\n"));
        assert!(!in_dialog(b""));
    }
}
