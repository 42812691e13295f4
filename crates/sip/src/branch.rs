//! Our Via branches (RFC 3261 sections 8.1.1.7 and 16.11). A stateful one is the index of its transaction, so that an
//! answer needs no hash table; a stateless one is the same for all repeats of a request. Both are signed, so that an
//! answer without a transaction can be proved to be to something we sent.

use crate::keys::{self, Ring};

/// `z9hG4bK`, then base64url.
pub(crate) const MAGIC: &[u8] = b"z9hG4bK";
const MAC: usize = 6;
const STATEFUL: usize = 15 + MAC;
const STATELESS: usize = 12;
/// Characters of a stateful branch, the magic cookie included.
pub(crate) const STATEFUL_TEXT: usize = 7 + 28;

/// The place of a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) node: u16,
    pub(crate) process: u32,
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) attempt: u8,
}

/// What a branch of ours turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Stateful(Branch),
    Stateless,
}

impl Branch {
    fn raw(self) -> [u8; 15] {
        let mut raw = [0; 15];
        raw[..2].copy_from_slice(&self.node.to_be_bytes());
        raw[2..6].copy_from_slice(&self.process.to_be_bytes());
        raw[6..10].copy_from_slice(&self.index.to_be_bytes());
        raw[10..14].copy_from_slice(&self.generation.to_be_bytes());
        raw[14] = self.attempt;
        raw
    }

    /// Appends the branch with its magic cookie.
    pub(crate) fn write(self, ring: &Ring, call_id: &[u8], cseq: u32, out: &mut Vec<u8>) {
        let raw = self.raw();
        let mac = keys::mac(&ring.current().branch, &[&raw, call_id, &cseq.to_be_bytes()]);
        let mut whole = [0; STATEFUL];
        whole[..15].copy_from_slice(&raw);
        whole[15..].copy_from_slice(&mac[..MAC]);
        out.extend_from_slice(MAGIC);
        keys::base64url(&whole, out);
    }

    /// Reads the place without proving it: the caller compares the branch text with the one it sent.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut buffer = [0; STATEFUL + 3];
        let raw: &[u8; STATEFUL] =
            keys::base64url_read(text.strip_prefix(MAGIC)?, &mut buffer)?.try_into().ok()?;
        let [n0, n1, p0, p1, p2, p3, i0, i1, i2, i3, g0, g1, g2, g3, attempt, ..] = *raw;
        Some(Self {
            node: u16::from_be_bytes([n0, n1]),
            process: u32::from_be_bytes([p0, p1, p2, p3]),
            index: u32::from_be_bytes([i0, i1, i2, i3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            attempt,
        })
    }
}

/// What the answer to a statelessly forwarded request shows of it: the Via below ours, the Call-ID, the `CSeq` number.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) branch: &'a [u8],
    pub(crate) sent_by: &'a [u8],
    pub(crate) call_id: &'a [u8],
    pub(crate) cseq: u32,
}

impl Seen<'_> {
    fn mac(self, key: &[u8; 32]) -> [u8; 32] {
        keys::mac(key, &[self.branch, self.sent_by, self.call_id, &self.cseq.to_be_bytes()])
    }

    /// Appends the stateless branch: equal for repeats, CANCEL and the ACK of a non-2xx.
    pub(crate) fn write(self, ring: &Ring, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        keys::base64url(&self.mac(&ring.current().branch)[..STATELESS], out);
    }

    /// Proves a branch to be ours. For a stateful one `branch` and `sent_by` do not count.
    pub(crate) fn proves(self, text: &[u8], ring: &Ring) -> Option<Ours> {
        let mut buffer = [0; STATEFUL + 3];
        let raw = keys::base64url_read(text.strip_prefix(MAGIC)?, &mut buffer)?;
        match raw.len() {
            STATEFUL => {
                let (place, mac) = raw.split_at(15);
                let good = |key: &keys::Derived| {
                    let wanted = keys::mac(&key.branch, &[place, self.call_id, &self.cseq.to_be_bytes()]);
                    crate::cookie::equal(&wanted[..MAC], mac)
                };
                ring.all().any(good).then(|| Branch::read(text).map(Ours::Stateful)).flatten()
            }
            STATELESS => {
                let good =
                    |key: &keys::Derived| crate::cookie::equal(&self.mac(&key.branch)[..STATELESS], raw);
                ring.all().any(good).then_some(Ours::Stateless)
            }
            _ => None,
        }
    }
}
