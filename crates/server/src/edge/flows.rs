//! What keeps registered agents reachable, beside the call path: their flows end when they are over, and those over datagrams
//! hear from us, so that a NAT on the way does not forget them.

use std::sync::Arc;
use std::time::Duration;

use super::wire::Wire;
use crate::clock;

/// How often a NAT is reminded. Those that forget datagrams soonest do so after half a minute (RFC 4787 section 4.3 asks for
/// two).
const REMIND_EVERY: Duration = Duration::from_secs(25);
/// Nothing that is SIP: agents pass it over (RFC 5626 section 4.4.1 has it for streams).
const REMINDER: &[u8] = b"\r\n\r\n";

/// Keeps the flows of registered agents until the task is dropped.
pub(super) async fn follow(wire: Arc<Wire>) {
    let (agents, banned) =
        (metrics::gauge!("trunkline_sip_registrations"), metrics::gauge!("trunkline_sip_banned_sources"));
    metrics::describe_gauge!("trunkline_sip_registrations", "Flows of agents that are registered");
    metrics::describe_gauge!("trunkline_sip_banned_sources", "Sources that are not heard for a while");
    loop {
        clock::sleep(REMIND_EVERY).await;
        let (count, flows) = wire.parts.live.registrations.sweep(clock::instant());
        let float = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
        agents.set(float(count));
        banned.set(float(wire.parts.live.bans.count()));
        for flow in flows.into_iter().chain(wire.registrants.flows()) {
            let socket = wire.udp.get(usize::from(flow.listener)).and_then(Option::as_ref);
            if socket.is_some_and(|socket| socket.send_to(REMINDER, flow.remote).is_err()) {
                wire.gauge.send_failed.increment(1);
            }
        }
    }
}
