//! The dialog cookie in the user part of our Record-Route: all that any node needs to carry a dialog that another one
//! began. It is signed over itself, the Call-ID and the From tag of the INVITE, so it opens no other dialog.
//!
//! | bytes | field |
//! | --- | --- |
//! | 1 | version (4 bits), key id (4 bits) |
//! | 1 | flags: outbound, one of two, faces the callee, `CSeq` shift (2 bits), caller's hop is a stream, callee's hop is a stream, the agent may not transfer |
//! | 16, 16, 16 | call, organization, number |
//! | 7 or 19 | caller's hop as received: transport, port, address |
//! | 7 or 19 | callee's hop as sent to; a bit of its transport marks a flow of a registered agent |
//! | 1, 0 or 16 | version 2 only: marks (3 bits refused media, answers' types added, a login follows); whose login answers the callee |
//! | 10 | tag |
//!
//! A cookie that needs no marks is of version 1.

use std::net::{IpAddr, SocketAddr};

use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::edge::Transfer;
use crate::keys::{self, Ring};
use crate::sdp::MediaRule;
use crate::transport::{Hop, Transport};

const VERSION: u8 = 1;
const VERSION_MARKED: u8 = 2;
const TAG: usize = 10;
/// Characters of the shortest cookie: both hops IPv4.
const SHORTEST_TEXT: usize = ((2 + 48 + 7 + 7 + TAG) * 4).div_ceil(3);
/// The longest cookie: both hops IPv6.
pub(crate) const COOKIE_MAX: usize = 2 + 48 + 19 + 19 + 17 + TAG;

const OUTBOUND: u8 = 1;
const TWIN: u8 = 1 << 1;
const CALLEE_SIDE: u8 = 1 << 2;
const SHIFT_AT: u32 = 3;
const CALLER_STREAM: u8 = 1 << 5;
const CALLEE_STREAM: u8 = 1 << 6;
const NO_TRANSFER: u8 = 1 << 7;
/// In the transport of the callee's hop.
const FLOW: u8 = 1 << 4;
const SDP_TYPE: u8 = 1 << 3;
const LOGIN: u8 = 1 << 4;

/// The ids of one call, in every fact and in the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallIds {
    /// The call.
    pub call: Uuid,
    /// Whose call it is: the shard key of its row.
    pub organization: Uuid,
    /// The number that was dialled or that calls; nil if none.
    pub number: Uuid,
}

/// From the network towards an agent, or from an agent to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Towards an agent.
    #[default]
    Inbound,
    /// From an agent.
    Outbound,
}

/// Which of our Record-Routes a cookie stands in (RFC 5658).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The only one.
    #[default]
    Single,
    /// One of two, on the caller's side.
    CallerSide,
    /// One of two, on the callee's side.
    CalleeSide,
}

/// How the callee is reached within the dialog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// By its Contact and its routes.
    #[default]
    Open,
    /// Only where the INVITE was sent: an agent that registered, perhaps from behind a NAT.
    Flow,
}

/// The contents of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The call's direction.
    pub direction: Direction,
    /// Which Record-Route.
    pub place: Place,
    /// What is added to `CSeq` towards the callee, 0 to 3.
    pub shift: u8,
    /// Whether the agent may transfer the call: as it was when the call began.
    pub transfer: Transfer,
    /// The call.
    pub ids: CallIds,
    /// Where the INVITE came from.
    pub caller: Hop,
    /// Where it was sent.
    pub callee: Hop,
    /// How that is reached.
    pub reach: Reach,
    /// Which offers are refused.
    pub media: MediaRule,
    /// Answers of the callee that carry SDP without a type get one.
    pub sdp_type: bool,
    /// Whose login answers the callee's challenges, where it made some: [`crate::Login::owner`].
    pub login: Option<Uuid>,
}

impl Cookie {
    /// Appends the signed cookie as base64url.
    pub(crate) fn write(&self, ring: &Ring, call_id: &[u8], from_tag: &[u8], out: &mut Vec<u8>) {
        let key = ring.current();
        let mut raw = Raw::default();
        let marks = self.marks();
        let version = if marks == 0 { VERSION } else { VERSION_MARKED };
        raw.put(&[version << 4 | key.id, self.flags()]);
        raw.put(self.ids.call.as_bytes());
        raw.put(self.ids.organization.as_bytes());
        raw.put(self.ids.number.as_bytes());
        raw.hop(self.caller, Reach::Open);
        raw.hop(self.callee, self.reach);
        if marks != 0 {
            raw.put(&[marks]);
            raw.put(self.login.as_ref().map_or(&[][..], |id| id.as_bytes()));
        }
        let tag = keys::mac(&key.cookie, &[raw.bytes(), call_id, from_tag]);
        raw.put(tag.get(..TAG).unwrap_or_default());
        keys::base64url(raw.bytes(), out);
    }

    /// Reads and verifies a cookie. `tag` is the From tag of the INVITE.
    pub(crate) fn read(text: &[u8], ring: &Ring, call_id: &[u8], tag: &[u8]) -> Option<Self> {
        Self::read_by(text, ring, call_id, &[tag]).map(|(_, cookie)| cookie)
    }

    /// The URI, where it is long enough for a cookie.
    pub(crate) fn may_be_in(uri: &[u8]) -> Option<&[u8]> {
        (uri.len() > SHORTEST_TEXT).then_some(uri)
    }

    /// Reads a cookie and tells which of some tags verifies it, the first that does.
    pub(crate) fn read_by(text: &[u8], ring: &Ring, call_id: &[u8], tags: &[&[u8]]) -> Option<(usize, Self)> {
        if text.len() < SHORTEST_TEXT {
            return None;
        }
        let mut buffer = [0u8; COOKIE_MAX + 2];
        let raw = keys::base64url_read(text, &mut buffer)?;
        let (body, mac) = raw.split_at_checked(raw.len().checked_sub(TAG)?)?;
        let first = *body.first()?;
        if !matches!(first >> 4, VERSION | VERSION_MARKED) {
            return None;
        }
        let key = ring.by_id(first & 15)?;
        let proves = |tag: &&[u8]| {
            let wanted = keys::mac(&key.cookie, &[body, call_id, tag]);
            wanted.get(..TAG).is_some_and(|wanted| equal(wanted, mac))
        };
        let by = tags.iter().position(proves)?;
        Self::of_body(body).map(|cookie| (by, cookie))
    }

    /// The contents of a cookie that is verified.
    fn of_body(body: &[u8]) -> Option<Self> {
        let [first, flags, ref rest @ ..] = *body else { return None };
        let mut rest = rest;
        let ids = CallIds { call: id(&mut rest)?, organization: id(&mut rest)?, number: id(&mut rest)? };
        let ((caller, _), to) = (hop(&mut rest)?, hop(&mut rest)?);
        let [marks] = if first >> 4 == VERSION_MARKED { *take::<1>(&mut rest)? } else { [0] };
        let login = if marks & LOGIN == 0 { None } else { Some(id(&mut rest)?) };
        let place = match (flags & TWIN != 0, flags & CALLEE_SIDE != 0) {
            (false, _) => Place::Single,
            (true, false) => Place::CallerSide,
            (true, true) => Place::CalleeSide,
        };
        let direction = if flags & OUTBOUND == 0 { Direction::Inbound } else { Direction::Outbound };
        let shift = flags >> SHIFT_AT & 3;
        let transfer = if flags & NO_TRANSFER == 0 { Transfer::Allowed } else { Transfer::Refused };
        rest.is_empty().then_some(Self {
            direction,
            place,
            shift,
            transfer,
            ids,
            caller,
            callee: to.0,
            reach: to.1,
            media: MediaRule::from_bits(marks),
            sdp_type: marks & SDP_TYPE != 0,
            login,
        })
    }

    fn marks(&self) -> u8 {
        let login = if self.login.is_some() { LOGIN } else { 0 };
        self.media.bits() | login | if self.sdp_type { SDP_TYPE } else { 0 }
    }

    fn flags(&self) -> u8 {
        let place = match self.place {
            Place::Single => 0,
            Place::CallerSide => TWIN,
            Place::CalleeSide => TWIN | CALLEE_SIDE,
        };
        let direction = if self.direction == Direction::Outbound { OUTBOUND } else { 0 };
        let mut streams = if self.caller.transport.stream() { CALLER_STREAM } else { 0 };
        if self.callee.transport.stream() {
            streams |= CALLEE_STREAM;
        }
        let transfer = if self.transfer == Transfer::Refused { NO_TRANSFER } else { 0 };
        place | direction | streams | transfer | (self.shift & 3) << SHIFT_AT
    }
}

/// Compares without telling by time where the first difference is.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

struct Raw {
    text: [u8; COOKIE_MAX],
    length: usize,
}

impl Default for Raw {
    fn default() -> Self {
        Self { text: [0; COOKIE_MAX], length: 0 }
    }
}

impl Raw {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.text.get_mut(self.length..end).expect("the longest cookie fits").copy_from_slice(bytes);
        self.length = end;
    }

    fn hop(&mut self, hop: Hop, reach: Reach) {
        let transport = match hop.transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
            Transport::Tls => 2,
            Transport::Ws => 3,
            // 4 marks IPv6.
            Transport::Wss => 8,
        };
        let transport = if reach == Reach::Flow { transport | FLOW } else { transport };
        let [high, low] = hop.addr.port().to_be_bytes();
        match hop.addr.ip() {
            IpAddr::V4(four) => {
                self.put(&[transport, high, low]);
                self.put(&four.octets());
            }
            IpAddr::V6(six) => {
                self.put(&[transport | 4, high, low]);
                self.put(&six.octets());
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

fn id(rest: &mut &[u8]) -> Option<Uuid> {
    take::<16>(rest).map(|bytes| Uuid::from_bytes(*bytes))
}

fn hop(rest: &mut &[u8]) -> Option<(Hop, Reach)> {
    let [kind, high, low] = *take::<3>(rest)?;
    let ip = if kind & 4 == 0 { IpAddr::from(*take::<4>(rest)?) } else { IpAddr::from(*take::<16>(rest)?) };
    let reach = if kind & FLOW == 0 { Reach::Open } else { Reach::Flow };
    let transport = match kind & !4 & !FLOW {
        0 => Transport::Udp,
        1 => Transport::Tcp,
        2 => Transport::Tls,
        3 => Transport::Ws,
        8 => Transport::Wss,
        _ => return None,
    };
    Some((Hop { transport, addr: SocketAddr::new(ip, u16::from_be_bytes([high, low])) }, reach))
}
