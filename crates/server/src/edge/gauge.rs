//! The edge's metrics, looked up once: a name costs more than the count.

use metrics::{Counter, Gauge as Level, counter, gauge};
use sip::{Fault, Transport};

/// Counters of the wire.
#[derive(Debug)]
pub(super) struct Gauge {
    received: [Counter; 5],
    sent: [Counter; 5],
    pub(super) unknown_source: Counter,
    pub(super) malformed: Counter,
    pub(super) queue_full: Counter,
    pub(super) connections: Counter,
    pub(super) handshakes: Counter,
    open: [Level; 5],
    pub(super) send_failed: Counter,
    pub(super) not_record_routed: Counter,
    pub(super) challenged: Counter,
    pub(super) shed: Counter,
    pub(super) banned: Counter,
}

impl Gauge {
    pub(super) fn new() -> Self {
        metrics::describe_counter!("trunkline_sip_messages_total", "SIP messages by direction and transport");
        metrics::describe_counter!(
            "trunkline_sip_dropped_total",
            "SIP messages that were not answered, by reason"
        );
        metrics::describe_gauge!("trunkline_sip_connections", "Connections that are open, by transport");
        metrics::describe_counter!(
            "trunkline_sip_connects_failed_total",
            "Connections that could not be made, by reason"
        );
        metrics::describe_counter!("trunkline_sip_challenged_total", "Calls that were asked for a password");
        metrics::describe_counter!(
            "trunkline_sip_shed_total",
            "New calls that were refused because more came than could be worked off"
        );
        let messages = |direction: &'static str| {
            Transport::ALL.map(|transport| {
                counter!("trunkline_sip_messages_total", "direction" => direction, "transport" => transport.name())
            })
        };
        let dropped = |reason: &'static str| counter!("trunkline_sip_dropped_total", "reason" => reason);
        Self {
            received: messages("in"),
            sent: messages("out"),
            unknown_source: dropped("unknown_source"),
            malformed: dropped("malformed"),
            queue_full: dropped("queue_full"),
            connections: dropped("connections"),
            handshakes: dropped("handshake"),
            open: Transport::ALL
                .map(|transport| gauge!("trunkline_sip_connections", "transport" => transport.name())),
            send_failed: dropped("send_failed"),
            not_record_routed: counter!("trunkline_sip_not_record_routed_total"),
            challenged: counter!("trunkline_sip_challenged_total"),
            shed: counter!("trunkline_sip_shed_total"),
            banned: dropped("banned"),
        }
    }

    pub(super) fn received(&self, transport: Transport) {
        self.received[place(transport)].increment(1);
    }

    pub(super) fn sent(&self, transport: Transport) {
        self.sent[place(transport)].increment(1);
    }

    /// One connection more, or less.
    pub(super) fn connected(&self, transport: Transport, by: i8) {
        self.open[place(transport)].increment(f64::from(by));
    }
}

/// A connection could not be made.
pub(super) fn connect_failed(why: Fault) {
    counter!("trunkline_sip_connects_failed_total", "reason" => super::facts::fault(why)).increment(1);
}

/// Where a transport stands in [`Transport::ALL`].
const fn place(transport: Transport) -> usize {
    match transport {
        Transport::Udp => 0,
        Transport::Tcp => 1,
        Transport::Tls => 2,
        Transport::Ws => 3,
        Transport::Wss => 4,
    }
}
