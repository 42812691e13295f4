//! What a registrant sends, and how its answers and faults are known.

use std::time::{Duration, Instant};

use super::Registrant;
use crate::branch;
use crate::bridge::places;
use crate::edge::{Send, SendId, Whom};
use crate::login::Asked;
use crate::transport::Flow;

/// Before the index and the token in a branch. A point is no base64url, so that it is never taken for the proxy's.
const BRANCH: &str = "z9hG4bKr.";
/// Faults of sends that begin so are the registrants': no edge has so many shards, and the bridges' begin otherwise.
const OURS: u64 = 0b11 << 62;
/// Bits of the count in a [`SendId`].
const COUNT_BITS: u32 = 24;

/// A request that awaits its final answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: SendId,
    pub(super) branch: String,
    pub(super) to: Flow,
    pub(super) whom: Whom,
    pub(super) bytes: Vec<u8>,
    /// When it is sent again over datagrams, and the pause before.
    pub(super) repeat: Option<(Instant, Duration)>,
    /// Timer F.
    pub(super) until: Instant,
}

impl Sent {
    pub(super) fn again(&self) -> Send {
        let (whom, bytes) = (self.whom.clone(), self.bytes.clone());
        Send { id: self.id, to: self.to, prefer: None, whom, bytes }
    }
}

pub(super) fn branch(index: u32, token: &str) -> String {
    format!("{BRANCH}{index:x}.{token}")
}

pub(super) fn send_id(index: u32, count: u64) -> SendId {
    SendId(OURS | u64::from(index) << COUNT_BITS | (count & ((1 << COUNT_BITS) - 1)))
}

/// The index of the registrant that a message answers; `None` for every other message.
pub fn owner(bytes: &[u8]) -> Option<u32> {
    if !bytes.starts_with(b"SIP/") {
        return None;
    }
    let rest = branch::first(bytes)?.strip_prefix(BRANCH.as_bytes())?;
    let end = rest.iter().take(9).position(|byte| *byte == b'.')?;
    u32::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?, 16).ok()
}

/// The index of the registrant whose send failed; `None` for every other send.
pub fn sender(send: SendId) -> Option<u32> {
    let index = (send.0 & !OURS) >> COUNT_BITS;
    (send.0 & OURS == OURS).then(|| u32::try_from(index).unwrap_or(u32::MAX))
}

impl Registrant {
    /// Our Contact, without its parameters for the header.
    pub(super) fn contact(&self, by: Flow) -> String {
        let place = places::name(&self.config.listeners, by.listener);
        let streams = by.transport.stream();
        let parameter = if streams { format!(";transport={}", by.transport.param()) } else { String::new() };
        format!("sip:{}@{place}{parameter}", self.config.account.user)
    }

    /// A REGISTER as it goes by a flow, with what answers the challenges so far.
    pub(super) fn write(&mut self, by: Flow, branch: &str) -> Vec<u8> {
        let uri = self.uri().to_owned();
        let (place, contact) = (places::name(&self.config.listeners, by.listener), self.contact(by));
        let expires = if self.leaving { 0 } else { self.expires };
        let Self { call_id, tag, cseq, config, .. } = &*self;
        let (aor, instance) = (&config.account.aor, config.account.instance);
        let mut bytes = format!(
            "REGISTER {uri} SIP/2.0\r\n\
             Via: SIP/2.0/{} {place};branch={branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <{aor}>;tag={tag}\r\n\
             To: <{aor}>\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\n\
             Contact: <{contact}>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id=1;expires={expires}\r\n\
             Expires: {expires}\r\n\
             Supported: path, outbound\r\n",
            by.transport.via()
        )
        .into_bytes();
        let cnonce = self.token();
        let asked = Asked { method: b"REGISTER", uri: uri.as_bytes(), cnonce: cnonce.as_bytes() };
        self.session.write(&asked, &mut bytes);
        bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        bytes
    }
}
