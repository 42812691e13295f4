//! The edge's metrics, looked up once: a name costs more than the count.

use metrics::{Counter, counter};
use sip::Transport;

/// Counters of the wire.
#[derive(Debug)]
pub(super) struct Gauge {
    received: [Counter; 3],
    sent: [Counter; 3],
    pub(super) unknown_source: Counter,
    pub(super) malformed: Counter,
    pub(super) queue_full: Counter,
    pub(super) connections: Counter,
    pub(super) send_failed: Counter,
    pub(super) not_record_routed: Counter,
    pub(super) challenged: Counter,
}

impl Gauge {
    pub(super) fn new() -> Self {
        metrics::describe_counter!("trunkline_sip_messages_total", "SIP messages by direction and transport");
        metrics::describe_counter!(
            "trunkline_sip_dropped_total",
            "SIP messages that were not answered, by reason"
        );
        metrics::describe_counter!("trunkline_sip_challenged_total", "Calls that were asked for a password");
        let messages = |direction: &'static str| {
            [Transport::Udp, Transport::Tcp, Transport::Tls].map(|transport| {
                counter!("trunkline_sip_messages_total", "direction" => direction, "transport" => transport.param())
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
            send_failed: dropped("send_failed"),
            not_record_routed: counter!("trunkline_sip_not_record_routed_total"),
            challenged: counter!("trunkline_sip_challenged_total"),
        }
    }

    pub(super) fn received(&self, transport: Transport) {
        of(&self.received, transport).increment(1);
    }

    pub(super) fn sent(&self, transport: Transport) {
        of(&self.sent, transport).increment(1);
    }
}

fn of(counters: &[Counter; 3], transport: Transport) -> &Counter {
    match transport {
        Transport::Udp => &counters[0],
        Transport::Tcp => &counters[1],
        Transport::Tls => &counters[2],
    }
}
