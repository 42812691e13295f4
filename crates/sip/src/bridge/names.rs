//! What bridged calls are found by: the user part of our Contact, which a request carries back, and the branch of our Via,
//! which an answer carries back. Both begin with a mark that is no base64url, so that neither is taken for the proxy's; both
//! are signed, so that any process of the cluster can tell its own.

use uuid::Uuid;

use crate::branch;
use crate::cookie::{CallIds, equal};
use crate::edge::Side;
use crate::keys::{self, Ring};
use crate::message::Core;
use crate::uri::Uri;

/// Before the cookie in the user part of our Contact.
const USER: &str = "b.";
/// Before the token in our branch.
const BRANCH: &[u8] = b"z9hG4bKb.";
const VERSION: u8 = 1;
const TAG: usize = 10;
const BODY: usize = 2 + 48;
const MAC: usize = 6;

/// True for a message that only the bridges can deal with. Looks at the request line, or at the first branch of a response.
pub(super) fn owns(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"SIP/") {
        return branch::first(bytes).is_some_and(|rest| rest.starts_with(BRANCH));
    }
    let Some(space) = bytes.iter().take(32).position(|byte| *byte == b' ') else { return false };
    let uri = bytes.get(space + 1..).unwrap_or_default();
    let user = uri.strip_prefix(b"sip:").or_else(|| uri.strip_prefix(b"sips:"));
    user.is_some_and(|user| user.starts_with(USER.as_bytes()))
}

/// The user part of our Contact in one dialog: `tag` is our own.
pub(super) fn user(ring: &Ring, (ids, side): (CallIds, Side), call_id: &str, tag: &str) -> String {
    let key = ring.current();
    let mut raw = [0u8; BODY + TAG];
    let (body, mac) = raw.split_at_mut(BODY);
    if let [first, second, rest @ ..] = body {
        *first = VERSION << 4 | key.id;
        *second = u8::from(side == Side::Callee);
        for (place, id) in rest.chunks_exact_mut(16).zip([ids.call, ids.organization, ids.number]) {
            place.copy_from_slice(id.as_bytes());
        }
    }
    let signed = keys::mac(&key.cookie, &[b"bridge", body, call_id.as_bytes(), tag.as_bytes()]);
    mac.copy_from_slice(signed.get(..TAG).unwrap_or_default());
    let mut text = USER.as_bytes().to_vec();
    keys::base64url(&raw, &mut text);
    crate::text::owned(&text)
}

/// The call and the sender of a request to our Contact; `None` where the signature does not fit its dialog.
pub(super) fn read(ring: &Ring, uri: &[u8], core: &Core<'_>) -> Option<(CallIds, Side)> {
    let user = Uri::parse(uri)?.user?.strip_prefix(USER.as_bytes())?;
    let mut buffer = [0u8; BODY + TAG + 3];
    let raw = keys::base64url_read(user, &mut buffer).filter(|raw| raw.len() == BODY + TAG)?;
    let (body, mac) = raw.split_at_checked(BODY)?;
    let [first, side, ids @ ..] = body else { return None };
    if first >> 4 != VERSION {
        return None;
    }
    let key = ring.by_id(first & 15)?;
    let wanted = keys::mac(&key.cookie, &[b"bridge", body, core.call_id, core.to_tag?]);
    if !equal(wanted.get(..TAG)?, mac) {
        return None;
    }
    let mut ids = ids.chunks_exact(16).map(|id| Uuid::from_slice(id).unwrap_or_default());
    let (call, organization, number) = (ids.next()?, ids.next()?, ids.next()?);
    let side = if *side == 0 { Side::Caller } else { Side::Callee };
    Some((CallIds { call, organization, number }, side))
}

/// A branch of ours: the count makes it unique within the process.
pub(super) fn branch(ring: &Ring, (process, count): (u32, u32), call_id: &str, cseq: u32) -> String {
    let mut raw = [0u8; 8 + MAC];
    let (place, mac) = raw.split_at_mut(8);
    place.copy_from_slice(&(u64::from(process) << 32 | u64::from(count)).to_be_bytes());
    let signed =
        keys::mac(&ring.current().branch, &[b"bridge", place, call_id.as_bytes(), &cseq.to_be_bytes()]);
    mac.copy_from_slice(signed.get(..MAC).unwrap_or_default());
    let mut text = BRANCH.to_vec();
    keys::base64url(&raw, &mut text);
    crate::text::owned(&text)
}

/// Whether a response is to a request that this cluster sent.
pub(super) fn proves(ring: &Ring, core: &Core<'_>) -> bool {
    let Some(text) = core.via.branch.and_then(|branch| branch.strip_prefix(BRANCH)) else { return false };
    let mut buffer = [0u8; 8 + MAC + 3];
    let Some(raw) = keys::base64url_read(text, &mut buffer).filter(|raw| raw.len() == 8 + MAC) else {
        return false;
    };
    let (place, mac) = raw.split_at(8);
    ring.all().any(|key| {
        let wanted = keys::mac(&key.branch, &[b"bridge", place, core.call_id, &core.cseq.to_be_bytes()]);
        wanted.get(..MAC).is_some_and(|wanted| equal(wanted, mac))
    })
}
