//! What happens to a call: facts, each written once, by whichever process saw it.

use crate::Timestamp;
use crate::change::Generation;
use crate::e164::E164;
use crate::ids::{CallId, EndpointId, NumberId, OrganizationId, ProviderId};
use crate::originate::{LegParts, Origin};
use crate::price::Price;
use crate::target::Transport;
use crate::trail::Trail;
use std::net::{IpAddr, SocketAddr};

use super::{CallStatus, Direction, EndedBy, Side};

/// When something happened: by the wall, and by the clock of the process that saw it, which never jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// Which process saw it (a number of its own, new at each start).
    pub process: u64,
    /// Microseconds since that process began.
    pub monotonic_us: u64,
}

impl Moment {
    /// Seconds from `earlier` to this, rounded to the nearest: by the monotonic clock where one process saw both, else by
    /// the wall; never negative.
    pub fn seconds_since(&self, earlier: &Self) -> u64 {
        let micros = if self.process == earlier.process {
            i64::try_from(self.monotonic_us.saturating_sub(earlier.monotonic_us)).unwrap_or(i64::MAX)
        } else {
            self.wall.as_microsecond().saturating_sub(earlier.wall.as_microsecond())
        };
        u64::try_from(micros.saturating_add(500_000) / 1_000_000).unwrap_or(0)
    }
}

/// How an attempt at one target ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counts attempts of a call from 0.
    pub n: u16,
    /// The target, as its URI.
    pub target: String,
    /// The SIP status it answered with, if it did.
    pub sip_status: Option<u16>,
    /// Why it ended: `answered`, `busy`, `no_response`, `transport`, `cancelled`, …
    pub cause: String,
    /// When it began, in microseconds of the unix epoch.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Where it was sent; none where it was not.
    pub hop: Option<Place>,
    /// When its first 180 to 199 came.
    pub ringing_at: Option<Timestamp>,
    /// The Reason header of its answer, if one came (RFC 3326).
    pub reason: Option<String>,
}

/// A socket of a peer, and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl Place {
    /// From `udp:192.0.2.7:5060`.
    pub fn parse(text: &str) -> Option<Self> {
        let (transport, address) = text.split_once(':')?;
        Some(Self { transport: Transport::parse_any(transport)?, address: address.parse().ok()? })
    }

    /// What kind of address it is: `loopback`, `private` or `public`.
    pub fn class(&self) -> &'static str {
        let ip = self.address.ip().to_canonical();
        let inside = match ip {
            IpAddr::V4(four) => four.is_private() || four.is_link_local(),
            IpAddr::V6(six) => six.is_unique_local() || six.is_unicast_link_local(),
        };
        if ip.is_loopback() {
            "loopback"
        } else if inside {
            "private"
        } else {
            "public"
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SocketAddr::V4(four) = self.address else {
            return write!(f, "{}:{}", self.transport.as_str(), self.address);
        };
        // Every call has some: written from behind, without the machinery of padding and widths.
        let [first, second, third, last] = four.ip().octets().map(u16::from);
        let parts = [(b':', four.port()), (b'.', last), (b'.', third), (b'.', second), (b':', first)];
        let mut text = *b":255.255.255.255:65535";
        let mut at = text.len();
        for (mark, mut number) in parts {
            let mut put = |byte| {
                at -= 1;
                text[at] = byte;
            };
            put(b'0' + u8::try_from(number % 10).unwrap_or_default());
            while number > 9 {
                number /= 10;
                put(b'0' + u8::try_from(number % 10).unwrap_or_default());
            }
            put(mark);
        }
        f.write_str(self.transport.as_str())?;
        f.write_str(std::str::from_utf8(&text[at..]).unwrap_or_default())
    }
}

/// Something of a call that its receipt has to tell, and that nothing else of its record says. Nothing of it is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// The target's answer lacked our Record-Route.
    RecordRouteDropped,
    /// A side offered an address for its sound that the other cannot reach.
    MediaUnreachable,
    /// The answer crossed the caller's CANCEL.
    CancelRace,
    /// Its end was seen, and no answer became known for as long as one is waited for.
    Unproven,
}

impl Note {
    /// All with their names.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::RecordRouteDropped, "record_route_dropped"),
        (Self::MediaUnreachable, "media_unreachable"),
        (Self::CancelRace, "cancel_race"),
        (Self::Unproven, "unproven"),
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }

    /// What it means, and what to do about it.
    pub fn words(self) -> &'static str {
        match self {
            Self::RecordRouteDropped => {
                "The target dropped our Record-Route, so the end of the call may not have passed here. Have it keep Record-Route headers."
            }
            Self::MediaUnreachable => {
                "A side asked for its sound at a private address that the other side cannot reach. Have it offer its public address."
            }
            Self::CancelRace => "The agent's answer crossed the caller's hanging up: the call is not billed.",
            Self::Unproven => "The end of the call was seen, its answer was not: the call is not billed.",
        }
    }
}

/// What is known when a call begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Which way.
    pub direction: Direction,
    /// The number of ours, if one was found.
    pub number_id: Option<NumberId>,
    /// The number that was dialled, if it was one.
    pub number: Option<E164>,
    /// Who called, as the phone network said.
    pub from: String,
    /// What was dialled, as it came.
    pub to: String,
    /// The trunk it came from.
    pub provider_id: Option<ProviderId>,
    /// The endpoint it was sent to.
    pub endpoint_id: Option<EndpointId>,
    /// The tables it was decided on.
    pub generation: Generation,
    /// What it costs, as it was when the call came.
    pub price: Price,
    /// The protocol's own name of the call.
    pub sip_call_id: String,
    /// The rules of its decision.
    pub trail: Trail,
    /// Where it came from; none in records of earlier versions, or where it did not come from outside.
    pub source: Option<Place>,
}

/// What ending an answered dialog needs: enough to write a BYE to either side (RFC 3261 section 12.2.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialogParts {
    /// Call-ID.
    pub call_id: String,
    /// The caller's From, with its tag.
    pub from: String,
    /// The callee's To, with its tag.
    pub to: String,
    /// The caller's Contact; empty where a process answered that did not see the call begin.
    pub caller_contact: String,
    /// The callee's Contact.
    pub callee_contact: String,
    /// Routes towards the caller, in order.
    pub caller_routes: Vec<String>,
    /// Routes towards the callee, in order.
    pub callee_routes: Vec<String>,
    /// Where the caller is, as `transport:address:port`, then ` by ` and our listener on that side; empty, or without a listener,
    /// in records of earlier versions.
    pub caller_hop: String,
    /// Where the callee is.
    pub callee_hop: String,
    /// A number that no `CSeq` of the caller's known so far is above.
    pub cseq: u32,
    /// The same of the callee; 0 while it sent no request with a high one.
    pub callee_cseq: u32,
    /// The agreed session interval in seconds, if any (RFC 4028).
    pub session_expires: Option<u32>,
    /// Whose login answers the callee's challenges: an endpoint's or a trunk's id.
    pub login: Option<uuid::Uuid>,
    /// Of a call that we placed: the caller's dialog, which is another one than the callee's.
    pub bridged: Option<Box<LegParts>>,
}

impl DialogParts {
    /// The last renewal of the session counts. What was renewed before the answer is part of the answer.
    pub(super) fn renew(&mut self, facts: &[Fact], answered: Moment) {
        let mut last = answered.wall;
        for fact in facts {
            if let FactKind::Refreshed(seconds) = fact.kind
                && fact.at.wall >= last
            {
                (last, self.session_expires) = (fact.at.wall, seconds);
            }
        }
    }
}

/// Why a call ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// What the caller was answered.
    pub sip_status: u16,
    /// What it means.
    pub status: CallStatus,
    /// In words.
    pub reason: String,
    /// Who ended it, where the service did.
    pub by: Option<EndedBy>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who ended it.
    pub by: EndedBy,
    /// The Reason header, if one came (RFC 3326).
    pub reason: Option<String>,
}

/// One thing that happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// It came, and was decided.
    Started(Box<Started>),
    /// One target was tried.
    Attempt(Attempt),
    /// It was answered. Without dialog parts where a process answered that did not see the call begin.
    Answered(Option<Box<DialogParts>>),
    /// A side sent a request with a `CSeq` number of so many bits, more than before: a BYE of the service's own must be
    /// numbered above it.
    Step(Side, u8),
    /// Its session was renewed for so many seconds (RFC 4028); without them it has no end of its own any more. The last one counts.
    Refreshed(Option<u32>),
    /// An API began it.
    Origin(Box<Origin>),
    /// One leg of a call that we place: before its INVITE leaves, and when it has answered while the other side is to be called.
    Leg(Box<LegParts>),
    /// It ended after an answer.
    Ended(Ended),
    /// It ended without one.
    Unanswered(Unanswered),
    /// Something that its receipt has to tell.
    Note(Note),
}

/// A fact about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Whose call; [`OrganizationId::NONE`] where no tenant is known.
    pub organization_id: OrganizationId,
    /// Which call.
    pub call_id: CallId,
    /// When.
    pub at: Moment,
    /// What.
    pub kind: FactKind,
}

impl Fact {
    /// The name under which it is unique within its call.
    pub fn key(&self) -> String {
        match &self.kind {
            FactKind::Started(_) => "started".to_owned(),
            FactKind::Attempt(attempt) => format!("attempt.{}", attempt.n),
            FactKind::Answered(_) => "answered".to_owned(),
            FactKind::Step(side, bits) => format!("step.{}.{bits}", side.as_str()),
            FactKind::Refreshed(_) => "refreshed".to_owned(),
            FactKind::Origin(_) => "origin".to_owned(),
            // Each try of each leg: which side, in which dialog, by which request, and whether it was answered.
            FactKind::Leg(leg) => {
                let LegParts { side, call_id, cseq, branch, .. } = leg.as_ref();
                format!("leg.{}.{call_id}.{cseq}.{}", side.as_str(), branch.is_empty())
            }
            // A guess of the reaper's never stands in the way of the end that somebody saw.
            FactKind::Ended(Ended { by: EndedBy::Reaper, .. }) => "reaped".to_owned(),
            FactKind::Ended(_) => "ended".to_owned(),
            FactKind::Unanswered(_) => "unanswered".to_owned(),
            FactKind::Note(note) => format!("note.{}", note.as_str()),
        }
    }
}

impl Fact {
    /// The same without what is private: who called, where the sides were, what they said of the end. What remains is what
    /// minutes and money are counted from.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        match &mut self.kind {
            FactKind::Started(started) => {
                started.from.clear();
                started.to.clear();
                started.sip_call_id.clear();
                started.source = None;
            }
            FactKind::Attempt(attempt) => {
                attempt.target.clear();
                attempt.hop = None;
                attempt.reason = None;
            }
            FactKind::Answered(dialog) => *dialog = None,
            FactKind::Step(..) | FactKind::Refreshed(_) | FactKind::Note(_) => {}
            FactKind::Origin(origin) => origin.metadata.clear(),
            FactKind::Leg(leg) => {
                (leg.ours, leg.theirs, leg.target, leg.hop) = Default::default();
                leg.routes.clear();
            }
            FactKind::Ended(ended) => ended.reason = None,
            FactKind::Unanswered(unanswered) => unanswered.reason.clear(),
        }
        self
    }
}
