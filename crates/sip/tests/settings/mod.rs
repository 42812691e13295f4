//! What edges and bridges are built with in tests: one node, known by one address.
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part of it")]

use std::net::SocketAddr;

use sip::*;

pub(crate) const EDGE: &str = "203.0.113.1:5060";

/// Over UDP and TCP.
pub(crate) fn config(process: u32) -> Config {
    over(&[Transport::Udp, Transport::Tcp], process)
}

pub(crate) fn over(transports: &[Transport], process: u32) -> Config {
    let listener = |transport: &Transport| Listener {
        transport: *transport,
        local: SocketAddr::from(([203, 0, 113, 1], 5060)),
        public_host: "203.0.113.1".into(),
        public_port: 5060,
    };
    Config {
        listeners: transports.iter().map(listener).collect(),
        node: 1,
        process,
        keys: Keys { current: Key { id: 1, secret: [7; 32] }, previous: None },
        timers: Timers::default(),
        limits: Limits::default(),
    }
}
