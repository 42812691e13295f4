//! The registrar of numbers (RFC 3261 section 10.3, RFC 5626): an agent that nobody can reach from outside registers with a
//! number's SIP credentials, and the number's calls come to it by the way that its REGISTER came.

use domain::Timestamp;
use sip::register::{Contact, Contacts, EXPIRES_MAX, EXPIRES_MIN, Register};
use sip::{Ask, Flow, Verdict};
use std::time::{Duration, Instant};

use crate::live::Live;
use crate::live::lines::Line;
use crate::live::registrations::{Binding, Change, Unchanged};

/// The longest that a binding over UDP lasts, in seconds: nobody tells us that such an agent has gone. After a power loss, or a
/// restart on another machine, it is found again in this time at the latest.
const DATAGRAM_MAX: u32 = 300;
/// How often an agent that keeps its flow open is to say something, in seconds (RFC 5626 section 4.4).
const FLOW_TIMER: u32 = 120;

/// Whether a user name may be one of a number's agents: only these are asked for a password, whether they are there or not.
/// Scanners try short and common ones, and hear nothing.
pub(super) fn is_name(user: &str) -> bool {
    let drawn = user.strip_prefix("tl").is_some_and(|rest| {
        rest.len() == 12 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    let number = user
        .strip_prefix('+')
        .is_some_and(|rest| (8..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()));
    drawn || number
}

/// Does what an agent asks that has proved to be the line's.
pub(super) fn register(live: &Live, agent: &Line, ask: &Ask, (now, wall): (Instant, Timestamp)) -> Verdict {
    let Some(asked) = ask.register.as_deref() else { return refuse(400, "Bad Request") };
    if !asked.unsupported.is_empty() {
        return refuse(420, "Bad Extension");
    }
    // RFC 3261 section 10.3 steps 4 and 5: what is registered is the line itself.
    let to = ask.to();
    let own = to.user == agent.username || to.user == agent.e164.to_string();
    if !own {
        return refuse(403, "Not Your Address");
    }
    let contacts = match &asked.contacts {
        Contacts::Unreadable => return refuse(400, "Contact Cannot Be Read"),
        Contacts::Fetch => return answer(&live.registrations.of(agent.id, now), asked, &ask.flow, now),
        Contacts::All => Vec::new(),
        Contacts::Some(contacts) => contacts.clone(),
    };
    let mut changes = Vec::new();
    if asked.contacts == Contacts::All {
        changes.push(Change::UnbindAll);
    }
    for contact in contacts {
        let wanted = contact.expires.or(asked.expires).unwrap_or(EXPIRES_MAX);
        if (1..EXPIRES_MIN).contains(&wanted) {
            return refuse(423, "Interval Too Brief");
        }
        let flow_id = match flow_of(&contact, asked) {
            Ok(id) => id,
            Err(refused) => return refused,
        };
        let lasts = Duration::from_secs(granted(wanted, &ask.flow).into());
        let binding = Binding {
            contact: contact.uri,
            flow: ask.flow,
            username: agent.username.clone(),
            instance: contact.instance,
            flow_id,
            call_id: ask.call_id.clone(),
            cseq: asked.cseq,
            registered_at: wall,
            until: wall.checked_add(lasts).unwrap_or(wall),
            seen: now,
            lasts,
        };
        changes.push(if wanted == 0 { Change::Unbind(binding) } else { Change::Bind(binding) });
    }
    match live.registrations.change(agent.id, (&ask.call_id, asked.cseq), changes, now) {
        Ok(bound) => answer(&bound, asked, &ask.flow, now),
        Err(Unchanged::OutOfOrder) => refuse(500, "Older Than What Is Registered"),
        Err(Unchanged::Full) => refuse(503, "Too Many Registrations"),
    }
}

/// Which flow of its device a contact is, where it is one that the agent keeps open (RFC 5626 section 6).
fn flow_of(contact: &Contact, asked: &Register) -> Result<Option<u32>, Verdict> {
    let id = contact.flow.filter(|_| asked.outbound && contact.instance.is_some());
    if id.is_some() && !asked.direct {
        return Err(refuse(439, "First Hop Lacks Outbound Support"));
    }
    Ok(id)
}

/// How long a binding lasts, in seconds.
fn granted(wanted: u32, flow: &Flow) -> u32 {
    wanted.min(if flow.transport.stream() { EXPIRES_MAX } else { DATAGRAM_MAX })
}

/// 200 with all that is bound.
fn answer(bound: &[Binding], asked: &Register, flow: &Flow, now: Instant) -> Verdict {
    let mut headers: Vec<String> = bound.iter().map(|one| contact(one, now)).collect();
    if asked.outbound && bound.iter().any(|one| one.flow_id.is_some() && one.flow == *flow) {
        headers.push("Require: outbound".to_owned());
        if flow.transport.stream() {
            headers.push(format!("Flow-Timer: {FLOW_TIMER}"));
        }
    }
    headers.push("Supported: outbound".to_owned());
    Verdict::Answer { headers }
}

fn contact(one: &Binding, now: Instant) -> String {
    // A second that has begun counts, so that what was granted is what is said.
    let left = one.left(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let instance = one.instance.as_ref().map(|text| format!(";+sip.instance=\"{text}\"")).unwrap_or_default();
    let flow = one.flow_id.map(|id| format!(";reg-id={id}")).unwrap_or_default();
    format!("Contact: <{}>;expires={seconds}{instance}{flow}", one.contact)
}

fn refuse(status: u16, reason: &'static str) -> Verdict {
    let retry_after = (status == 503).then_some(60);
    Verdict::Refuse { status, reason, reason_header: None, retry_after, fact_call: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_numbers_are_told_from_those_that_scanners_try() {
        for name in ["tl0123456789ab", "+14155550100", "+442079460000"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "100",
            "1000",
            "admin",
            "tl",
            "tl0123456789xy",
            "tl0123456789abc",
            "14155550100",
            "+123",
            "+1415555010x",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
