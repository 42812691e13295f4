//! Ends of calls that are asked for from outside the call path: by an API, or because a call has lasted or cost enough.

use domain::call::DialogParts;
use domain::ids::{CallId, OrganizationId, ProviderId};
use domain::trunk_status::TrunkRegistration;
use domain::{Call, CallEnd};
use sip::{CallIds, Dialog, Hop, Reach, Transport};
use std::sync::Arc;

use super::wire::Wire;

/// A handle on the running edge.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(super) wire: Arc<Wire>,
}

impl Control {
    /// How a trunk's registration with its carrier is, if the trunk is to register.
    pub(crate) fn registration(&self, trunk: ProviderId) -> Option<TrunkRegistration> {
        let live = &self.wire.parts.live;
        live.is_to_register(trunk).then(|| self.wire.registrants.shown(live, trunk))
    }

    pub(super) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Ends a call of an organization that this process is setting up. False when it is not: it was answered, or is over, or its
    /// process is gone.
    pub(crate) fn stop(&self, (organization, call): (OrganizationId, CallId)) -> bool {
        self.unplaced((organization, call))
            || self.wire.bridges.stop(&self.wire, call.0, CallEnd::Api)
            || self.wire.act_on_any(|edge, now| edge.stop(now, call.0))
    }

    /// Ends an answered call, whichever process carried its INVITE: its end is in the journal, then a BYE leaves for each
    /// side. False when its record tells neither side's place.
    pub(crate) fn hang_up(&self, call: &Call, why: CallEnd) -> bool {
        if call.dialog.as_ref().is_some_and(|parts| parts.bridged.is_some()) {
            return self.adopt(call) && self.wire.bridges.stop(&self.wire, call.id.0, why);
        }
        let Some(mut dialog) = call.dialog.as_ref().map(dialog) else { return false };
        // What was seen within the moment is on its way to the record.
        let steps = self.wire.parts.tally.steps(call.id).map(highest);
        dialog.cseq = dialog.cseq.max(steps[0]);
        dialog.callee_cseq = dialog.callee_cseq.max(steps[1]);
        let ids = CallIds {
            call: call.id.0,
            organization: call.organization_id.0,
            number: call.number_id.map_or(uuid::Uuid::nil(), |id| id.0),
        };
        let mark = mark(why);
        let end = |edge: &mut sip::Edge, now| edge.hang_up(now, (ids, mark), &dialog, why.reason_header());
        self.wire.act(&dialog.call_id, end) > 0
    }
}

/// What [`super::facts`] reads back.
pub(super) fn mark(why: CallEnd) -> u64 {
    CallEnd::ALL.iter().position(|one| *one == why).unwrap_or_default() as u64
}

/// The highest number of so many bits.
pub(super) fn highest(bits: u8) -> u32 {
    u32::MAX.checked_shr(u32::BITS - u32::from(bits.min(31))).unwrap_or(0)
}

/// The dialog as the call's record has it.
fn dialog(parts: &DialogParts) -> Dialog {
    let DialogParts {
        call_id,
        from,
        to,
        caller_contact,
        callee_contact,
        caller_routes,
        callee_routes,
        caller_hop,
        callee_hop,
        cseq,
        callee_cseq,
        session_expires: _,
        login,
        bridged: _,
    } = parts.clone();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Dialog {
        call_id,
        from,
        to,
        caller_contact: some(caller_contact),
        callee_contact: some(callee_contact),
        caller_routes,
        callee_routes,
        caller_hop: hop(&caller_hop),
        callee_hop: hop(&callee_hop),
        callee_reach: reach(&callee_hop),
        caller_listener: listener(&caller_hop),
        callee_listener: listener(&callee_hop),
        cseq,
        callee_cseq,
        login,
        ..Dialog::default()
    }
}

/// What stands between a hop and our listener in a record.
const BY: &str = " by ";

/// A hop as a record writes it, with our listener on that side: `udp:192.0.2.7:5060 by 203.0.113.1:5060`.
pub(super) fn hop_text(hop: Option<Hop>, listener: Option<String>) -> String {
    let mut text = String::with_capacity(96);
    let Some(hop) = hop else { return text };
    hop.write(&mut text);
    if let Some(listener) = listener {
        text.push_str(BY);
        text.push_str(&listener);
    }
    text
}

/// What stands behind a hop that is a registered agent's flow.
const FLOW: &str = " as flow";

/// Marks a hop in a record as a flow, where it is one.
pub(super) fn flow_text(hop: String, reach: Reach) -> String {
    if reach == Reach::Flow { hop + FLOW } else { hop }
}

fn reach(text: &str) -> Reach {
    if text.ends_with(FLOW) { Reach::Flow } else { Reach::Open }
}

pub(super) fn hop(text: &str) -> Option<Hop> {
    let text = text.strip_suffix(FLOW).unwrap_or(text);
    let (place, _) = text.split_once(BY).unwrap_or((text, ""));
    let (transport, addr) = place.split_once(':')?;
    Some(Hop { transport: Transport::read(transport.as_bytes())?, addr: addr.parse().ok()? })
}

/// Records of earlier versions do not name it.
pub(super) fn listener(text: &str) -> Option<String> {
    let text = text.strip_suffix(FLOW).unwrap_or(text);
    text.split_once(BY).map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_written_and_read() {
        for text in ["udp:192.0.2.7:5060", "tcp:[2001:db8::1]:5061"] {
            assert_eq!((hop_text(hop(text), None).as_str(), listener(text)), (text, None));
            let named = format!("{text} by sip.example:5060");
            assert_eq!(hop_text(hop(&named), listener(&named)), named);
            assert_eq!(hop(&named), hop(text));
            let flow = flow_text(named.clone(), Reach::Flow);
            assert_eq!((hop(&flow), listener(&flow)), (hop(text), listener(&named)));
            assert_eq!((reach(&flow), reach(&named)), (Reach::Flow, Reach::Open));
        }
        assert_eq!([0, 1, 10, 31, 99].map(highest), [0, 1, 1023, (1 << 31) - 1, (1 << 31) - 1]);
        assert_eq!((hop(""), hop("udp:x"), hop_text(None, None)), (None, None, String::new()));
    }
}
