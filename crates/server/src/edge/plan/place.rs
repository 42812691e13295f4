//! One place that a call may be sent to: a target, an agent that is registered, a trunk. With addresses, a name that is still to be
//! looked up, or why it is passed over.

use domain::E164;
use domain::outbound::Destination;
use domain::provider::{FromForm, MediaEncryption};
use domain::reach::Reach;
use domain::target::{self, TargetUri};
use sip::{Flow, Hop, Manner, MediaRule, Transport};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::edge::dress::Dress;
use crate::edge::resolve::{self, Hops};
use crate::live::WayOut;
use crate::live::registrations::Binding;

/// One target.
#[derive(Debug)]
pub(in crate::edge) struct Place {
    /// Which leg it is of.
    pub(super) leg: usize,
    /// Stands in To.
    pub(in crate::edge) to: Option<String>,
    pub(in crate::edge) from: Option<String>,
    pub(in crate::edge) request_uri: String,
    /// Where the target says.
    pub(in crate::edge) transport: Option<Transport>,
    pub(in crate::edge) headers: Vec<String>,
    pub(in crate::edge) media: MediaRule,
    pub(in crate::edge) manner: Option<Arc<Manner>>,
    pub(in crate::edge) state: State,
    /// The way of a registered agent.
    pub(in crate::edge) flow: Option<Flow>,
    /// Where it may be, once its name is known.
    pub(super) reach: Reach,
}

/// What is known of where a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edge) enum State {
    /// Its hops.
    Found(Hops),
    /// A name still to be resolved.
    Named(resolve::Place),
    /// Passed over, with the cause that its attempt gets.
    Skipped(&'static str),
}

/// The cause of a target for registered agents that has none.
const NOT_REGISTERED: &str = "not_registered";
/// The cause of a target whose name leads nowhere.
pub(in crate::edge) const NAME_NOT_FOUND: &str = "name_not_found";
/// The cause of a target, a trunk or a registrar at addresses where its organization's may not be.
pub(crate) const PRIVATE: &str = "private_address";
/// What a call is told that found none.
const UNREGISTERED: &str =
    "No agent is registered for the number. Have one register with the number's SIP credentials.";
/// What a call is told whose places are all private.
const ALL_PRIVATE: &str =
    "Where the call goes is no public address: have the operator allow that (sip_private), or move it.";
const UNREACHED: &str = "No target could be reached: see the causes of its attempts.";

impl Place {
    /// A target, or each of the agents that it stands for.
    pub(in crate::edge) fn all(
        (uri, reach): (&TargetUri, &Reach),
        user: &str,
        dress: Option<&Dress>,
        agents: &[Binding],
    ) -> Vec<Self> {
        let one = || Self::new((uri, reach), user, dress);
        if !uri.is_registered() {
            return vec![one()];
        }
        if agents.is_empty() {
            return vec![Self { state: State::Skipped(NOT_REGISTERED), ..one() }];
        }
        let reached = agents.iter().map(|agent| Self {
            request_uri: agent.contact.clone(),
            transport: Some(agent.flow.transport),
            state: State::Found(Hops { hops: vec![agent.flow.hop()], large: Vec::new() }),
            flow: Some(agent.flow),
            ..one()
        });
        reached.collect()
    }

    fn new((uri, reach): (&TargetUri, &Reach), user: &str, dress: Option<&Dress>) -> Self {
        let named = uri.named_transport().map(transport);
        let state = State::of(uri.host(), uri.named_port(), named).within(reach);
        let reach = reach.clone();
        let transport = named;
        let (headers, media, manner) = (Vec::new(), MediaRule::default(), None);
        let request_uri = uri.with_user(user);
        let (to, from) = (None, None);
        let place = Self {
            leg: 0,
            to,
            from,
            request_uri,
            transport,
            headers,
            media,
            manner,
            state,
            flow: None,
            reach,
        };
        match dress {
            None => place,
            Some(dress) => Self {
                headers: dress.headers.clone(),
                media: dress.media,
                manner: dress.manner.clone(),
                to: dress.to(&place.request_uri, user),
                ..place
            },
        }
    }

    /// A trunk: the number that calls is asserted (RFC 3325), whatever From shows.
    pub(in crate::edge) fn out(way: &WayOut, (number, shows): (E164, bool), to: Destination) -> Self {
        let outbound = &way.outbound;
        let transport = Some(transport(outbound.transport));
        // It was checked when it was written.
        let (host, port) = target::host_and_port(&outbound.address).unwrap_or_default();
        let routed = way.routes.first().and_then(|first| State::routed(first, transport));
        let passes = routed.is_some();
        let (state, transport) = routed.unwrap_or_else(|| (State::of(host, port, transport), transport));
        let bracketed = target::bracketed(host);
        let mut headers = vec![format!("P-Asserted-Identity: <sip:{number}@{bracketed}>")];
        if passes {
            headers.push(format!("Route: {}", way.routes.join(", ")));
        }
        headers.extend(outbound.dial.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let media = match outbound.media_encryption {
            MediaEncryption::Disabled => MediaRule::SDES.and(MediaRule::DTLS),
            MediaEncryption::Allowed => MediaRule::default(),
            // keys that are read on the way keep nothing
            MediaEncryption::Required if transport.is_some_and(Transport::secure) => MediaRule::PLAIN,
            MediaEncryption::Required => MediaRule::PLAIN.and(MediaRule::SDES),
        };
        let rewritten = shows && outbound.dial.from == FromForm::Number;
        let from = rewritten.then(|| format!("sip:{number}@{bracketed}"));
        let login = way.login.clone();
        let manner = login.map(|login| Arc::new(Manner { login: Some(login), ..Manner::default() }));
        let (request_uri, to) = (outbound.request_uri(to), None);
        let (state, reach) = (state.within(&way.reach), way.reach.clone());
        Self { leg: 0, to, from, request_uri, transport, headers, media, manner, state, flow: None, reach }
    }

    /// Its name was looked up: its hops, or why there are none.
    pub(in crate::edge) fn resolved(
        &mut self,
        found: Option<&resolve::Found>,
        draw: &mut impl FnMut(u32) -> u32,
    ) {
        self.state = State::resolved(found, draw).within(&self.reach);
    }
}

/// Why a target is passed over that needs no looking up to know; `agents` are those registered for the number.
pub(crate) fn passed((uri, reach): (&TargetUri, &Reach), agents: &[Binding]) -> Option<&'static str> {
    if uri.is_registered() {
        return agents.is_empty().then_some(NOT_REGISTERED);
    }
    (!reach.admits_address(uri.host())).then_some(PRIVATE)
}

/// The same of a way out.
pub(crate) fn passed_out(way: &WayOut, number: E164, to: Destination) -> Option<&'static str> {
    match Place::out(way, (number, true), to).state {
        State::Skipped(cause) => Some(cause),
        State::Found(_) | State::Named(_) => None,
    }
}

/// What a call is told of which no place is left, by the causes of all of them.
pub(crate) fn unreached(causes: &[&'static str]) -> (u16, &'static str) {
    let all = |wanted: &str| !causes.is_empty() && causes.iter().all(|cause| *cause == wanted);
    if all(NOT_REGISTERED) {
        (480, UNREGISTERED)
    } else if all(PRIVATE) {
        (503, ALL_PRIVATE)
    } else {
        (503, UNREACHED)
    }
}

/// The cause of a target whose transport no listener speaks.
pub(in crate::edge) fn unspoken(transport: Transport) -> &'static str {
    match transport {
        Transport::Tls => "tls_unavailable",
        Transport::Tcp => "tcp_unavailable",
        Transport::Udp => "udp_unavailable",
        Transport::Ws => "ws_unavailable",
        Transport::Wss => "wss_unavailable",
    }
}

impl State {
    /// Of the first route that a call is to take, with its transport: the trunk's where it names none. A trunk that calls by TLS
    /// takes no route without.
    fn routed(route: &str, transport: Option<Transport>) -> Option<(Self, Option<Transport>)> {
        let inside = route.split('<').nth(1)?.split('>').next()?;
        let uri = sip::Uri::parse(inside.as_bytes())?;
        let named = match uri.scheme {
            sip::Scheme::Sips => Some(Transport::Tls),
            _ => uri.param(b"transport").and_then(Transport::read),
        };
        let secure = |one: Option<Transport>| one.is_some_and(Transport::secure);
        if secure(transport) && !secure(named.or(transport)) {
            return None;
        }
        let (host, transport) = (std::str::from_utf8(uri.host).ok()?, named.or(transport));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((Self::of(host, uri.port, transport), transport))
    }

    /// Of a name that was looked up.
    pub(in crate::edge) fn resolved(
        found: Option<&resolve::Found>,
        draw: &mut impl FnMut(u32) -> u32,
    ) -> Self {
        let hops = found.map(|found| found.order(draw)).filter(|hops| !hops.hops.is_empty());
        hops.map_or(Self::Skipped(NAME_NOT_FOUND), Self::Found)
    }

    /// The same without the hops that are beyond reach; passed over where none is left.
    pub(in crate::edge) fn within(mut self, reach: &Reach) -> Self {
        let Self::Found(Hops { hops, large }) = &mut self else { return self };
        hops.retain(|hop| reach.admits(hop.addr.ip()));
        large.retain(|hop| reach.admits(hop.addr.ip()));
        if hops.is_empty() { Self::Skipped(PRIVATE) } else { self }
    }

    pub(in crate::edge) fn of(host: &str, port: Option<u16>, transport: Option<Transport>) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let transport = transport.unwrap_or(Transport::Udp);
                let addr = SocketAddr::new(address, port.unwrap_or_else(|| transport.port()));
                Self::Found(Hops { hops: vec![Hop { transport, addr }], large: Vec::new() })
            }
            Err(_) => Self::Named(resolve::Place { host: host.to_ascii_lowercase(), port, transport }),
        }
    }
}

pub(in crate::edge) fn transport(named: target::Transport) -> Transport {
    match named {
        target::Transport::Udp => Transport::Udp,
        target::Transport::Tcp => Transport::Tcp,
        target::Transport::Tls => Transport::Tls,
        target::Transport::Ws => Transport::Ws,
        target::Transport::Wss => Transport::Wss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_that_calls_by_tls_takes_no_route_without() {
        let by = |route, transport| State::routed(route, Some(transport)).map(|(_, transport)| transport);
        for (route, trunk, taken) in [
            ("<sip:p.example;lr>", Transport::Tls, Some(Some(Transport::Tls))),
            ("<sips:p.example;lr>", Transport::Tls, Some(Some(Transport::Tls))),
            ("<sip:p.example;transport=udp;lr>", Transport::Tls, None),
            ("<sip:192.0.2.1;transport=TCP;lr>", Transport::Tls, None),
            ("<sip:p.example;transport=tcp;lr>", Transport::Udp, Some(Some(Transport::Tcp))),
            ("<sip:p.example;transport=tls;lr>", Transport::Udp, Some(Some(Transport::Tls))),
        ] {
            assert_eq!(by(route, trunk), taken, "{route}");
        }
    }
}
