//! Where an endpoint answers: SIP targets with priority and weight (RFC 2782 semantics).

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Result, What};

/// How a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// An encrypted stream.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// Those of trunks, with their names in a SIP URI's `transport` parameter.
    pub const NAMES: [(Self, &'static str); 3] = [(Self::Udp, "udp"), (Self::Tcp, "tcp"), (Self::Tls, "tls")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Udp | Self::Tcp | Self::Tls => crate::event::name_of(&Self::NAMES, self),
        }
    }

    /// As a URI says it; UDP is meant where it says nothing.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws => ";transport=ws",
            Self::Wss => ";transport=wss",
        }
    }

    /// One of a trunk by name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, &text.to_ascii_lowercase())
    }

    /// Any by name, in any case.
    pub fn parse_any(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "ws" => Some(Self::Ws),
            "wss" => Some(Self::Wss),
            trunk => Self::parse(trunk),
        }
    }

    /// Whether what is sent can be read by the two ends alone.
    pub fn secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// A SIP URI as a target: `sip:[user@]host[:port][;transport=…]` (RFC 3261 section 19.1, without headers or password).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUri {
    text: String,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    transport: Transport,
    /// Whether the URI says the transport.
    named: bool,
}

impl TargetUri {
    /// The longest URI accepted, in bytes.
    pub const MAX: usize = 255;
    /// The host that stands for the number's registered agents: `sip:registered.invalid`. No name ends so (RFC 2606), and a
    /// target stays a SIP URI in every API.
    pub const REGISTERED: &str = "registered.invalid";

    /// Reads one; the error names the field `uri`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad =
            |words: &str| Error::invalid(What::Endpoint, "targets", format!("The target's `uri` {words}."));
        if text.len() > Self::MAX
            || !text.bytes().all(|b| (0x21..0x7f).contains(&b) && !b"<>\"?".contains(&b))
        {
            return Err(bad("must be plain ASCII without spaces, brackets, quotes or headers"));
        }
        let scheme_end = text.find(':').ok_or_else(|| bad("must begin with sip: or sips:"))?;
        let (scheme, rest) = (&text[..scheme_end], &text[scheme_end + 1..]);
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "sip" => false,
            "sips" => true,
            _ => return Err(bad("must begin with sip: or sips:")),
        };
        let mut parts = rest.split(';');
        let address = parts.next().unwrap_or("");
        let (mut transport, mut named) = (if secure { Transport::Tls } else { Transport::Udp }, secure);
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.eq_ignore_ascii_case("transport")
            {
                named = true;
                transport = Transport::parse_any(value)
                    .ok_or_else(|| bad("names a transport other than udp, tcp, tls, ws or wss"))?;
            }
        }
        // `sips` asks for TLS on every hop; its parameter says over what (RFC 3261 section 26.2.2, RFC 7118 section 5.2)
        transport = match transport {
            Transport::Tcp if secure => Transport::Tls,
            Transport::Ws if secure => Transport::Wss,
            other @ (Transport::Udp | Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss) => {
                other
            }
        };
        if secure && transport == Transport::Udp {
            return Err(bad("asks for sips over udp, which does not exist"));
        }
        let (user, host_port) = match address.rsplit_once('@') {
            Some((user, host)) if !user.is_empty() && !user.contains([':', '@']) => {
                (Some(user.to_owned()), host)
            }
            Some(_) => return Err(bad("has an empty user part or a password")),
            None => (None, address),
        };
        let (host, port) = host_and_port(host_port).ok_or_else(|| bad("has no valid host and port"))?;
        Ok(Self { text: text.to_owned(), user, host: host.to_owned(), port, transport, named })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The user part, if it has one; else the dialled number is put there.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it stands for the agents that are registered with the credentials of the number that is called.
    pub fn is_registered(&self) -> bool {
        self.host.eq_ignore_ascii_case(Self::REGISTERED)
    }

    /// The port, or the transport's default (RFC 3261 section 19.1.2).
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.transport {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        })
    }

    /// The port, where one is written: then the host is one host, not a domain (RFC 3263 section 4.2).
    pub fn named_port(&self) -> Option<u16> {
        self.port
    }

    /// How it is reached, where the URI says: by a parameter, or `sips`. Else the domain may list ways (RFC 3263 section 4.1).
    pub fn named_transport(&self) -> Option<Transport> {
        self.named.then_some(self.transport)
    }

    /// How it is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The Request-URI of a call to it: a target without a user part gets `user`.
    pub fn with_user(&self, user: impl fmt::Display) -> String {
        if self.user.is_some() {
            return self.text.clone();
        }
        let start = self.text.find(':').map_or(0, |i| i + 1);
        format!("{}{user}@{}", &self.text[..start], &self.text[start..])
    }
}

/// A host as a URI has it: an IPv6 address in brackets (RFC 3261 section 25.1, `IPv6reference`).
pub fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]").into() } else { host.into() }
}

/// Splits `host[:port]`; brackets go from an IPv6 address.
pub fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("") }))
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
        let named = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
            && !host.starts_with(['-', '.']);
        if !named {
            return None;
        }
        (host, port)
    };
    match port {
        None => Some((host, None)),
        Some(port) => {
            let port: u16 = port.parse().ok().filter(|p| *p > 0)?;
            Some((host, Some(port)))
        }
    }
}

/// One place of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where.
    pub uri: TargetUri,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among targets of one priority; 0 is chosen last.
    pub weight: u16,
    /// Whether it is used at all.
    pub enabled: bool,
}

/// The order in which targets are tried (RFC 2782): by priority, within one priority by a weighted draw.
/// `draw(n)` gives a number in `0..=n`; the caller seeds it, so that a replay gives the same order.
pub fn order(targets: &[Target], draw: impl FnMut(u32) -> u32) -> Vec<usize> {
    let enabled: Vec<_> = (0..targets.len()).filter(|&i| targets[i].enabled).collect();
    let rows: Vec<_> = enabled.iter().map(|&i| (targets[i].priority, targets[i].weight)).collect();
    order_of(&rows, draw).into_iter().map(|i| enabled[i]).collect()
}

/// The same for rows of priority and weight.
pub fn order_of(rows: &[(u16, u16)], mut draw: impl FnMut(u32) -> u32) -> Vec<usize> {
    let mut left: Vec<usize> = (0..rows.len()).collect();
    // Weight 0 stands first within its priority, so that only a draw of 0 can choose it (RFC 2782, "Usage rules").
    left.sort_by_key(|&i| (rows[i].0, rows[i].1 != 0));
    let mut chosen = Vec::with_capacity(left.len());
    while let Some(&first) = left.first() {
        let same = left.iter().take_while(|&&i| rows[i].0 == rows[first].0).count();
        let total: u32 = left[..same].iter().map(|&i| u32::from(rows[i].1)).sum();
        let mark = if same > 1 { draw(total) } else { 0 };
        let mut running = 0;
        let pick = left[..same].iter().position(|&i| {
            running += u32::from(rows[i].1);
            running >= mark
        });
        chosen.push(left.remove(pick.unwrap_or(0)));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(priority: u16, weight: u16, enabled: bool) -> Target {
        Target { uri: TargetUri::parse("sip:127.0.0.1:5080").unwrap(), priority, weight, enabled }
    }

    #[test]
    fn uris_are_read_and_users_filled_in() {
        let uri = TargetUri::parse("sip:127.0.0.1:5080").unwrap();
        assert_eq!(
            (uri.host(), uri.port(), uri.transport(), uri.user()),
            ("127.0.0.1", 5080, Transport::Udp, None)
        );
        assert_eq!(uri.with_user("+14155550100"), "sip:+14155550100@127.0.0.1:5080");
        let uri = TargetUri::parse("sip:proj_1@sip.example.com;transport=tls").unwrap();
        assert_eq!(
            (uri.port(), uri.with_user("x")),
            (5061, "sip:proj_1@sip.example.com;transport=tls".to_owned())
        );
        for (text, transport, port) in [
            ("sips:h;transport=tcp", Transport::Tls, 5061),
            ("sips:h;transport=ws", Transport::Wss, 443),
            ("sip:h;transport=WS", Transport::Ws, 80),
            ("sip:h;transport=wss", Transport::Wss, 443),
        ] {
            let uri = TargetUri::parse(text).unwrap();
            assert_eq!((uri.transport(), uri.port()), (transport, port), "{text}");
        }
        let uri = TargetUri::parse("SIPS:agent@[2001:db8::1]:5071").unwrap();
        assert_eq!((uri.host(), uri.port(), uri.transport()), ("2001:db8::1", 5071, Transport::Tls));
    }

    #[test]
    fn a_host_is_bracketed_where_it_is_an_address_of_ipv6_and_once() {
        for (host, wanted) in
            [("::1", "[::1]"), ("[::1]", "[::1]"), ("192.0.2.1", "192.0.2.1"), ("sip.example", "sip.example")]
        {
            assert_eq!(bracketed(host), wanted);
        }
    }

    #[test]
    fn half_uris_are_refused() {
        for text in [
            "",
            "sip:",
            "http://x",
            "sip:a@",
            "sip:@h",
            "sip:h:0",
            "sip:h:70000",
            "sip:[::1",
            "sip:[::1]x",
            "sip:a b@h",
            "sip:h;transport=smoke",
            "sips:h;transport=udp",
            "sip:u:pw@h",
            "sip:h?x=y",
        ] {
            assert!(TargetUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn priority_comes_before_weight_and_disabled_never() {
        let targets = [target(20, 5, true), target(10, 0, true), target(10, 9, true), target(1, 1, false)];
        assert_eq!(order(&targets, |total| total), [2, 1, 0]);
        assert_eq!(order(&targets, |_| 0), [1, 2, 0]);
    }

    proptest! {
        #[test]
        fn every_enabled_target_is_tried_once(
            rows in prop::collection::vec((0u16..3, 0u16..5, any::<bool>()), 0..8), seed in any::<u32>(),
        ) {
            let targets: Vec<_> = rows.iter().map(|&(p, w, e)| target(p, w, e)).collect();
            let mut chosen = order(&targets, |n| seed % (n + 1));
            let sorted = chosen.windows(2).all(|w| targets[w[0]].priority <= targets[w[1]].priority);
            prop_assert!(sorted);
            chosen.sort_unstable();
            let enabled: Vec<_> = (0..targets.len()).filter(|&i| targets[i].enabled).collect();
            prop_assert_eq!(chosen, enabled);
        }
    }
}
