//! Where messages come from and go to. Not sockets: those are the shell's.

use std::net::SocketAddr;

use crate::write;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS; the edge treats it like TCP.
    Tls,
    /// WebSocket (RFC 7118): a peer is reached by the connection that it made, or that we made to it.
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// True where the transport itself repeats what is lost.
    pub const fn stream(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// True where what is sent can be read by the two ends alone.
    pub const fn secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// True for WebSocket.
    pub const fn web(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Its name, in settings, metrics and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wss => "wss",
            Self::Udp | Self::Tcp | Self::Tls | Self::Ws => self.param(),
        }
    }

    /// The token in Via.
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The `transport` parameter of a URI. WebSocket has one for both (RFC 7118 section 5.2); whether TLS is under it, is known by
    /// who reads it from the hop it stands for.
    pub const fn param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// The port where a URI names none (RFC 3261 section 19.1.2, RFC 7118 section 5.3).
    pub const fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Reads a `transport` parameter, a Via token or a name.
    pub fn read(text: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|one| text.eq_ignore_ascii_case(one.via().as_bytes()))
    }
}

/// A place to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// How.
    pub transport: Transport,
    /// Where.
    pub addr: SocketAddr,
}

impl Hop {
    /// `udp:192.0.2.7:5060`, as records write it; appended to `out`.
    pub fn write(&self, out: &mut String) {
        let mut text = Vec::with_capacity(56);
        let six = self.addr.is_ipv6();
        text.extend_from_slice(self.transport.name().as_bytes());
        text.extend_from_slice(if six { b":[" } else { b":" });
        write::ip(&mut text, self.addr.ip());
        text.extend_from_slice(if six { b"]:" } else { b":" });
        write::number(&mut text, u32::from(self.addr.port()));
        out.push_str(str::from_utf8(&text).unwrap_or_default());
    }
}

/// Where bytes came from, or where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Which of [`crate::Config::listeners`].
    pub listener: u16,
    /// How.
    pub transport: Transport,
    /// The other end.
    pub remote: SocketAddr,
    /// For streams, the shell's number of the connection; `None` to send means "a live connection to `remote` on that
    /// transport, or a new one".
    pub connection: Option<u64>,
}

impl Flow {
    /// The other end as a hop.
    pub const fn hop(&self) -> Hop {
        Hop { transport: self.transport, addr: self.remote }
    }
}

/// A socket the shell listens on, and what stands for it in Via and Record-Route.
#[derive(Clone, Debug)]
pub struct Listener {
    /// How.
    pub transport: Transport,
    /// The bound address.
    pub local: SocketAddr,
    /// The host that others reach it by.
    pub public_host: String,
    /// The port that others reach it by.
    pub public_port: u16,
}
