//! Our Via branches (RFC 3261 sections 8.1.1.7 and 16.11). A stateful one is the index of its transaction, so that an
//! answer needs no hash table; a stateless one is the same for all repeats of a request. Both are signed, together with
//! where the answer goes back to, so that an answer without a transaction can be proved to be to something we sent, and
//! goes nowhere else.

use uuid::Uuid;

use crate::cookie::CallIds;
use crate::keys::{self, Ring};
use crate::text;
use crate::transport::Hop;
use crate::uri::Uri;

/// `z9hG4bK`, then base64url.
pub(crate) const MAGIC: &[u8] = b"z9hG4bK";
const MAC: usize = 6;
const PLACE: usize = 18;
const STATEFUL: usize = PLACE + MAC;
const STATELESS: usize = 12;
/// A stateless one of a request that may refresh a session: with the ids of its call.
const NAMED: usize = STATELESS + 32;
/// The longest: with what an answer has to be told back with, a [`Mark`].
const NAMED_MARKED: usize = NAMED + 3;
/// How many attempts a stateful branch can count; the bits above are the `CSeq` shift.
pub(crate) const ATTEMPTS_MAX: u8 = 1 << SHIFT_AT;
const SHIFT_AT: u32 = 6;
/// Characters of a stateful branch, the magic cookie included.
pub(crate) const STATEFUL_TEXT: usize = 7 + 32;

/// The place of a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) node: u16,
    pub(crate) process: u32,
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) attempt: u8,
    /// Of whom the Request-URI that came in names ([`turn`]): where it is the same again, the request goes in a circle.
    pub(crate) turn: [u8; 3],
}

/// A short name of whom a Request-URI names: where a call goes is decided by the user part, not by the host. Not secret: it is
/// signed with the rest, and bounds hold where two are alike by chance.
pub(crate) fn turn(request_uri: &[u8]) -> [u8; 3] {
    let user = Uri::parse(request_uri).and_then(|uri| uri.user).unwrap_or(request_uri);
    // FNV-1a, folded: the same in every process
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    let hash = user.iter().fold(0xCBF2_9CE4_8422_2325, step);
    let folded = hash ^ hash >> 24 ^ hash >> 48;
    let [.., high, middle, low] = folded.to_be_bytes();
    [high, middle, low]
}

/// What follows the first `branch=` of a response that was not read yet: that of the top Via, where one is ours.
pub(crate) fn first(response: &[u8]) -> Option<&[u8]> {
    let mut rest = response;
    loop {
        let (before, after) = text::cut(rest, text::find(rest, b'=')?);
        if before.ends_with(b"branch") {
            return Some(after);
        }
        rest = after;
    }
}

/// The attempt and the `CSeq` shift in one byte.
pub(crate) fn with_shift(attempt: usize, shift: u8) -> usize {
    attempt | usize::from(shift & 3) << SHIFT_AT
}

impl Branch {
    /// Which attempt of its transaction.
    pub(crate) fn place(self) -> usize {
        usize::from(self.attempt & (ATTEMPTS_MAX - 1))
    }

    /// What was added to `CSeq` in the request.
    pub(crate) fn shift(self) -> u8 {
        self.attempt >> SHIFT_AT
    }
}

/// What a branch of ours turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Stateful(Branch),
    Stateless(Mark),
    /// Of a request within the dialog of this call; the number is not told.
    Named(CallIds, Mark),
}

/// What was changed in a request that was forwarded without a transaction, so that its answer can be told back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What was added to `CSeq`.
    pub(crate) shift: u8,
    /// An SDP body without a type gets one.
    pub(crate) sdp_type: bool,
    /// The session interval that a 2xx gets where it names none.
    pub(crate) interval: Option<u32>,
}

impl Mark {
    /// Nothing, a byte, or with an interval three.
    fn write(self, into: &mut [u8]) -> usize {
        let interval = self.interval.map(|seconds| u16::try_from(seconds).unwrap_or(u16::MAX).to_be_bytes());
        let mut text = [self.shift & 3 | u8::from(self.sdp_type) << 2, 0, 0];
        if let Some(seconds) = interval {
            text[1..].copy_from_slice(&seconds);
        }
        let length = match (text[0], interval) {
            (0, None) => 0,
            (_, None) => 1,
            (_, Some(_)) => 3,
        };
        into[..length].copy_from_slice(&text[..length]);
        length
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (byte, interval) = match text {
            [] => (0, None),
            [byte] => (*byte, None),
            [byte, high, low] => (*byte, Some(u16::from_be_bytes([*high, *low]).into())),
            _ => return None,
        };
        Some(Self { shift: byte & 3, sdp_type: byte & 4 != 0, interval })
    }
}

impl Branch {
    fn raw(self) -> [u8; PLACE] {
        let mut raw = [0; PLACE];
        raw[..2].copy_from_slice(&self.node.to_be_bytes());
        raw[2..6].copy_from_slice(&self.process.to_be_bytes());
        raw[6..10].copy_from_slice(&self.index.to_be_bytes());
        raw[10..14].copy_from_slice(&self.generation.to_be_bytes());
        raw[14] = self.attempt;
        raw[15..].copy_from_slice(&self.turn);
        raw
    }

    /// The branch with its magic cookie. Of `seen` the branch below does not count.
    pub(crate) fn text(self, ring: &Ring, seen: &Seen<'_>) -> [u8; STATEFUL_TEXT] {
        let raw = self.raw();
        let mac = seen.stateful(&ring.current().branch, &raw);
        let mut whole = [0; STATEFUL];
        whole[..PLACE].copy_from_slice(&raw);
        whole[PLACE..].copy_from_slice(&mac[..MAC]);
        let mut text = [0; STATEFUL_TEXT];
        let (magic, token) = text.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        keys::base64url_into(&whole, token);
        text
    }

    /// Reads the place without proving it: the caller compares the branch text with the one it sent.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let mut buffer = [0; STATEFUL + 3];
        let raw: &[u8; STATEFUL] =
            keys::base64url_read(text.strip_prefix(MAGIC)?, &mut buffer)?.try_into().ok()?;
        let [n0, n1, p0, p1, p2, p3, i0, i1, i2, i3, g0, g1, g2, g3, attempt, t0, t1, t2, ..] = *raw;
        Some(Self {
            node: u16::from_be_bytes([n0, n1]),
            process: u32::from_be_bytes([p0, p1, p2, p3]),
            index: u32::from_be_bytes([i0, i1, i2, i3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            attempt,
            turn: [t0, t1, t2],
        })
    }
}

/// What the answer to a request of ours shows of it: the Via below ours, the Call-ID, the `CSeq` number.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) branch: &'a [u8],
    pub(crate) sent_by: &'a [u8],
    /// Where the Via below has the answer sent to; none for a request of our own.
    pub(crate) back: Option<Hop>,
    pub(crate) call_id: &'a [u8],
    pub(crate) cseq: u32,
}

impl<'a> Seen<'a> {
    /// Of a request of our own: nothing stands below our Via.
    pub(crate) fn own(call_id: &'a [u8], cseq: u32) -> Self {
        Self { branch: b"", sent_by: b"", back: None, call_id, cseq }
    }

    /// Of a request whose number was raised on its way.
    pub(crate) fn shifted(self, shift: u8) -> Self {
        Self { cseq: self.cseq.saturating_add(u32::from(shift)), ..self }
    }
}

impl Seen<'_> {
    fn mac(self, key: &[u8; 32], ids: &[u8]) -> [u8; 32] {
        let (transport, back) = place(self.back);
        let cseq = self.cseq.to_be_bytes();
        keys::mac(key, &[self.branch, self.sent_by, transport, &back, self.call_id, &cseq, ids])
    }

    fn stateful(&self, key: &[u8; 32], raw: &[u8]) -> [u8; 32] {
        let (transport, back) = place(self.back);
        keys::mac(key, &[raw, self.sent_by, transport, &back, self.call_id, &self.cseq.to_be_bytes()])
    }

    /// Appends the stateless branch: equal for repeats, CANCEL and the ACK of a non-2xx; `cseq` is the number as sent. With
    /// `ids`, the answer tells which call it belongs to.
    pub(crate) fn write(self, ring: &Ring, ids: Option<CallIds>, mark: Mark, out: &mut Vec<u8>) {
        let mut whole = [0; NAMED_MARKED];
        let (mac, rest) = whole.split_at_mut(STATELESS);
        let mut length = 0;
        if let Some(ids) = ids {
            rest[..16].copy_from_slice(ids.call.as_bytes());
            rest[16..32].copy_from_slice(ids.organization.as_bytes());
            length = 32;
        }
        length += mark.write(&mut rest[length..]);
        mac.copy_from_slice(&self.mac(&ring.current().branch, &rest[..length])[..STATELESS]);
        out.extend_from_slice(MAGIC);
        keys::base64url(&whole[..STATELESS + length], out);
    }

    /// Proves a branch to be ours. For a stateful one `branch` does not count.
    pub(crate) fn proves(self, text: &[u8], ring: &Ring) -> Option<Ours> {
        let mut buffer = [0; NAMED_MARKED + 3];
        let raw = keys::base64url_read(text.strip_prefix(MAGIC)?, &mut buffer)?;
        match raw.len() {
            STATEFUL => {
                let (place, mac) = raw.split_at(PLACE);
                let good = |key: &keys::Derived| {
                    crate::cookie::equal(&self.stateful(&key.branch, place)[..MAC], mac)
                };
                ring.all().any(good).then(|| Branch::read(text).map(Ours::Stateful)).flatten()
            }
            STATELESS..=NAMED_MARKED => {
                let (mac, rest) = raw.split_at(STATELESS);
                let good = |key: &keys::Derived| {
                    crate::cookie::equal(&self.mac(&key.branch, rest)[..STATELESS], mac)
                };
                let proved = ring.all().any(good).then(|| {
                    let Some((ids, mark)) = rest.split_first_chunk::<32>() else {
                        return Mark::read(rest).map(Ours::Stateless);
                    };
                    let id = |part: &[u8]| Uuid::from_slice(part).unwrap_or_default();
                    let (call, organization) = (id(&ids[..16]), id(&ids[16..]));
                    let ids = CallIds { call, organization, number: Uuid::nil() };
                    Mark::read(mark).map(|mark| Ours::Named(ids, mark))
                });
                proved.flatten()
            }
            _ => None,
        }
    }
}

/// A hop as what is signed of it.
fn place(hop: Option<Hop>) -> (&'static [u8], [u8; 18]) {
    let mut raw = [0; 18];
    let Some(hop) = hop else { return (b"", raw) };
    let address = match hop.addr.ip() {
        std::net::IpAddr::V4(four) => four.to_ipv6_mapped(),
        std::net::IpAddr::V6(six) => six,
    };
    raw[..16].copy_from_slice(&address.octets());
    raw[16..].copy_from_slice(&hop.addr.port().to_be_bytes());
    (hop.transport.via().as_bytes(), raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, Keys};
    use crate::transport::Transport;

    fn ring() -> Ring {
        Ring::new(&Keys { current: Key { id: 1, secret: [7; 32] }, previous: None })
    }

    fn seen(port: u16) -> Seen<'static> {
        let back = Hop { transport: Transport::Udp, addr: ([198, 51, 100, 7], port).into() };
        Seen { branch: b"z9hG4bKx", sent_by: b"198.51.100.7", back: Some(back), call_id: b"c1", cseq: 7 }
    }

    #[test]
    fn every_kind_of_branch_is_proved_by_what_it_was_made_of_alone() {
        let ring = ring();
        let place =
            Branch { node: 1, process: 2, index: 3, generation: 4, attempt: 5, turn: turn(b"sip:a@b") };
        let ids = CallIds {
            call: Uuid::from_u128(1),
            organization: Uuid::from_u128(2),
            number: Uuid::from_u128(3),
        };
        let told = CallIds { number: Uuid::nil(), ..ids };
        let stateful = place.text(&ring, &seen(5060)).to_vec();
        let plain = Mark::default();
        let marked = Mark { shift: 2, sdp_type: true, interval: None };
        let renewing = Mark { interval: Some(1800), ..plain };
        let without = |ids, mark| {
            let mut text = Vec::new();
            seen(5060).write(&ring, ids, mark, &mut text);
            text
        };
        for (text, ours) in [
            (&stateful, Ours::Stateful(place)),
            (&without(None, plain), Ours::Stateless(plain)),
            (&without(None, marked), Ours::Stateless(marked)),
            (&without(Some(ids), plain), Ours::Named(told, plain)),
            (&without(Some(ids), marked), Ours::Named(told, marked)),
            (&without(Some(ids), renewing), Ours::Named(told, renewing)),
        ] {
            assert_eq!(seen(5060).proves(text, &ring), Some(ours));
            assert_eq!(seen(5061).proves(text, &ring), None, "it goes back to nowhere else");
            assert_eq!(Seen { cseq: 8, ..seen(5060) }.proves(text, &ring), None);
            assert_eq!(Seen { call_id: b"c2", ..seen(5060) }.proves(text, &ring), None);
            assert_eq!(Seen { sent_by: b"198.51.100.8", ..seen(5060) }.proves(text, &ring), None);
            for at in MAGIC.len()..text.len() {
                let mut other = text.clone();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(seen(5060).proves(&other, &ring), None, "{at}");
            }
        }
        assert_eq!(stateful.len(), STATEFUL_TEXT);
        assert_eq!(Branch::read(&stateful), Some(place));
    }
}
