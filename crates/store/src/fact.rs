//! The one codec of facts: the same rows as lines of JSON in the store, where people may read them, and as `MessagePack` in the
//! server's journal, which is written while a caller waits.
//!
//! In the store a fact stands in its call's row, so the two ids are left out there. A field may be added as optional; none is
//! ever renamed: old journals are read by new versions.

use domain::call::{
    Attempt, CallStatus, DialogParts, Direction, Ended, EndedBy, FactKind, Moment, Note, Place, Side,
    Started, Unanswered,
};
use domain::e164::E164;
use domain::ids::{AgentId, CallId, EndpointId, NumberId, OrganizationId, ProviderId};
use domain::number::Environment;
use domain::originate::{LegParts, Origin};
use domain::trail::Trail;
use domain::{Fact, Generation, Micros, Price, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use uuid::Uuid;

/// Borrowed where it is written, owned where it was read.
type Text<'a> = Cow<'a, str>;

/// An id, as its canonical text.
#[derive(Clone, Copy)]
struct IdText(Uuid);

impl Serialize for IdText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        // As every id is read: no other form of a UUID.
        CallId::parse(&text).map(|id| Self(id.0)).ok_or_else(|| D::Error::custom("not an id"))
    }
}

#[derive(Serialize, Deserialize)]
struct Whole<F> {
    org: IdText,
    call: IdText,
    fact: F,
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    /// Wall clock in microseconds, process, microseconds of its monotonic clock.
    at: (i64, u64, u64),
    is: KindRow<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindRow<'a> {
    Started(Box<StartedRow<'a>>),
    Attempt(AttemptRow<'a>),
    Answered(Option<Box<DialogRow<'a>>>),
    /// Whose `CSeq`, and how many bits it has.
    Step(Text<'a>, u8),
    /// For how many seconds; 0 for a session without an end of its own.
    Refreshed(u32),
    Origin(Box<OriginRow<'a>>),
    Leg(Box<LegRow<'a>>),
    Ended(EndedRow<'a>),
    Unanswered(UnansweredRow<'a>),
    Note(Text<'a>),
}

#[derive(Serialize, Deserialize)]
struct StartedRow<'a> {
    direction: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number_id: Option<IdText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    from: Text<'a>,
    to: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_id: Option<IdText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint_id: Option<IdText>,
    generation: u64,
    rate: i64,
    sip_call_id: Text<'a>,
    /// What a price has beside its rate: the fee, the minimum, the step; absent where it has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<(i64, u32, u32)>,
    /// The rules of the decision, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    trail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct AttemptRow<'a> {
    n: u16,
    target: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sip_status: Option<u16>,
    cause: Text<'a>,
    started_at: i64,
    ended_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hop: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ringing_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct DialogRow<'a> {
    call_id: Text<'a>,
    from: Text<'a>,
    to: Text<'a>,
    caller_contact: Text<'a>,
    callee_contact: Text<'a>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    caller_routes: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    callee_routes: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    caller_hop: Text<'a>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    callee_hop: Text<'a>,
    cseq: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    callee_cseq: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_expires: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridged: Option<Box<LegRow<'a>>>,
}

#[derive(Serialize, Deserialize)]
struct OriginRow<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    metadata: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_seconds: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct LegRow<'a> {
    side: Text<'a>,
    call_id: Text<'a>,
    ours: Text<'a>,
    theirs: Text<'a>,
    target: Text<'a>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Text<'a>>,
    hop: Text<'a>,
    cseq: u32,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    branch: Text<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
struct EndedRow<'a> {
    by: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct UnansweredRow<'a> {
    sip_status: u16,
    status: Text<'a>,
    reason: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Text<'a>>,
}

/// Appends a fact for the journal to `out`.
pub fn fact_encode(fact: &Fact, out: &mut Vec<u8>) {
    let (org, call) = (IdText(fact.organization_id.0), IdText(fact.call_id.0));
    let whole = Whole { org, call, fact: Row::of(fact) };
    // Fields have their names in it, so that one can be added; memory takes every byte.
    rmp_serde::encode::write_named(out, &whole).expect("a row struct can be written to memory");
}

/// The fact of such bytes, or of a line of JSON, which is what journals of earlier versions hold; `None` for anything else, such
/// as one that was cut short by a loss of power.
pub fn fact_decode(bytes: &[u8]) -> Option<Fact> {
    let json = bytes.first() == Some(&b'{');
    let whole = if json { serde_json::from_slice(bytes).ok() } else { rmp_serde::from_slice(bytes).ok() };
    let Whole::<Row<'_>> { org, call, fact } = whole?;
    fact.read(OrganizationId(org.0), CallId(call.0))
}

/// The fact without its ids, at the end of `text`.
pub(crate) fn line_write(fact: &Fact, text: &mut String) {
    text.push_str(&serde_json::to_string(&Row::of(fact)).expect("a row struct is always JSON"));
}

/// The fact of such a line.
pub(crate) fn line_read(organization: OrganizationId, call: CallId, line: &str) -> Option<Fact> {
    serde_json::from_str::<Row<'_>>(line).ok()?.read(organization, call)
}

impl<'a> Row<'a> {
    fn of(fact: &'a Fact) -> Self {
        let Fact { organization_id: _, call_id: _, at: Moment { wall, process, monotonic_us }, kind } = fact;
        let is = match kind {
            FactKind::Started(started) => KindRow::Started(Box::new(StartedRow::of(started))),
            FactKind::Attempt(attempt) => KindRow::Attempt(AttemptRow::of(attempt)),
            FactKind::Answered(dialog) => {
                KindRow::Answered(dialog.as_deref().map(|d| Box::new(DialogRow::of(d))))
            }
            FactKind::Step(side, bits) => KindRow::Step(side.as_str().into(), *bits),
            FactKind::Refreshed(seconds) => KindRow::Refreshed(seconds.unwrap_or(0)),
            FactKind::Origin(origin) => KindRow::Origin(Box::new(OriginRow::of(origin))),
            FactKind::Leg(leg) => KindRow::Leg(Box::new(LegRow::of(leg))),
            FactKind::Ended(Ended { by, reason }) => {
                KindRow::Ended(EndedRow { by: by.as_str().into(), reason: reason.as_deref().map(Text::from) })
            }
            FactKind::Unanswered(Unanswered { sip_status, status, reason, by }) => {
                KindRow::Unanswered(UnansweredRow {
                    sip_status: *sip_status,
                    status: status.as_str().into(),
                    reason: reason.as_str().into(),
                    by: by.map(|by| by.as_str().into()),
                })
            }
            FactKind::Note(note) => KindRow::Note(note.as_str().into()),
        };
        Self { at: (wall.as_microsecond(), *process, *monotonic_us), is }
    }

    fn read(self, organization_id: OrganizationId, call_id: CallId) -> Option<Fact> {
        let Self { at: (wall, process, monotonic_us), is } = self;
        let kind = match is {
            KindRow::Started(row) => FactKind::Started(Box::new(row.read()?)),
            KindRow::Attempt(row) => FactKind::Attempt(row.read()?),
            KindRow::Answered(None) => FactKind::Answered(None),
            KindRow::Answered(Some(row)) => FactKind::Answered(Some(Box::new(row.read()?))),
            KindRow::Step(side, bits) => FactKind::Step(Side::parse(&side)?, bits),
            KindRow::Refreshed(seconds) => FactKind::Refreshed((seconds > 0).then_some(seconds)),
            KindRow::Origin(row) => FactKind::Origin(Box::new(row.read())),
            KindRow::Leg(row) => FactKind::Leg(Box::new(row.read()?)),
            KindRow::Ended(EndedRow { by, reason }) => {
                FactKind::Ended(Ended { by: EndedBy::parse(&by)?, reason: reason.map(Text::into_owned) })
            }
            KindRow::Unanswered(UnansweredRow { sip_status, status, reason, by }) => {
                let by = by.as_deref().and_then(EndedBy::parse);
                let status = CallStatus::parse(&status)?;
                FactKind::Unanswered(Unanswered { sip_status, status, reason: reason.into_owned(), by })
            }
            KindRow::Note(note) => FactKind::Note(Note::parse(&note)?),
        };
        let at = Moment { wall: Timestamp::from_microsecond(wall).ok()?, process, monotonic_us };
        Some(Fact { organization_id, call_id, at, kind })
    }
}

fn texts(all: &[String]) -> Vec<Text<'_>> {
    all.iter().map(|text| text.as_str().into()).collect()
}

fn owned(all: Vec<Text<'_>>) -> Vec<String> {
    all.into_iter().map(Text::into_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0xf)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

impl<'a> StartedRow<'a> {
    fn of(started: &'a Started) -> Self {
        let Started {
            direction,
            number_id,
            number,
            from,
            to,
            provider_id,
            endpoint_id,
            generation,
            price,
            sip_call_id,
            trail,
            source,
        } = started;
        let Price { per_minute, setup, minimum_seconds, increment_seconds } = *price;
        let beside = (setup.0, minimum_seconds, increment_seconds);
        Self {
            direction: direction.as_str().into(),
            number_id: number_id.map(|id| IdText(id.0)),
            number: number.map(E164::as_u64),
            from: from.as_str().into(),
            to: to.as_str().into(),
            provider_id: provider_id.map(|id| IdText(id.0)),
            endpoint_id: endpoint_id.map(|id| IdText(id.0)),
            generation: generation.0,
            rate: per_minute.0,
            sip_call_id: sip_call_id.as_str().into(),
            price: (*price != Price::by_minute(per_minute)).then_some(beside),
            trail: hex(trail.as_bytes()),
            source: source.map(|source| source.to_string().into()),
        }
    }

    fn read(self) -> Option<Started> {
        let Self {
            direction,
            number_id,
            number,
            from,
            to,
            provider_id,
            endpoint_id,
            generation,
            rate,
            sip_call_id,
            price,
            trail,
            source,
        } = self;
        let by_minute = Price::by_minute(Micros(rate));
        let price = price.map_or(by_minute, |(setup, minimum_seconds, increment_seconds)| Price {
            setup: Micros(setup),
            minimum_seconds,
            increment_seconds,
            ..by_minute
        });
        Some(Started {
            direction: Direction::parse(&direction)?,
            number_id: number_id.map(|id| NumberId(id.0)),
            number: number.and_then(E164::from_u64),
            from: from.into_owned(),
            to: to.into_owned(),
            provider_id: provider_id.map(|id| ProviderId(id.0)),
            endpoint_id: endpoint_id.map(|id| EndpointId(id.0)),
            generation: Generation(generation),
            price,
            sip_call_id: sip_call_id.into_owned(),
            trail: unhex(&trail).and_then(|bytes| Trail::from_bytes(&bytes)).unwrap_or_default(),
            source: source.as_deref().and_then(Place::parse),
        })
    }
}

impl<'a> AttemptRow<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let Attempt { n, target, sip_status, cause, started_at, ended_at, hop, ringing_at, reason } = attempt;
        Self {
            n: *n,
            target: target.as_str().into(),
            sip_status: *sip_status,
            cause: cause.as_str().into(),
            started_at: started_at.as_microsecond(),
            ended_at: ended_at.as_microsecond(),
            hop: hop.map(|hop| hop.to_string().into()),
            ringing_at: ringing_at.map(Timestamp::as_microsecond),
            reason: reason.as_deref().map(Text::from),
        }
    }

    fn read(self) -> Option<Attempt> {
        let Self { n, target, sip_status, cause, started_at, ended_at, hop, ringing_at, reason } = self;
        let started_at = Timestamp::from_microsecond(started_at).ok()?;
        Some(Attempt {
            n,
            target: target.into_owned(),
            sip_status,
            cause: cause.into_owned(),
            started_at,
            ended_at: Timestamp::from_microsecond(ended_at).ok()?,
            hop: hop.as_deref().and_then(Place::parse),
            ringing_at: ringing_at.and_then(|at| Timestamp::from_microsecond(at).ok()),
            reason: reason.map(Text::into_owned),
        })
    }
}

impl<'a> DialogRow<'a> {
    fn of(parts: &'a DialogParts) -> Self {
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
            session_expires,
            login,
            bridged,
        } = parts;
        Self {
            call_id: call_id.as_str().into(),
            from: from.as_str().into(),
            to: to.as_str().into(),
            caller_contact: caller_contact.as_str().into(),
            callee_contact: callee_contact.as_str().into(),
            caller_routes: texts(caller_routes),
            callee_routes: texts(callee_routes),
            caller_hop: caller_hop.as_str().into(),
            callee_hop: callee_hop.as_str().into(),
            cseq: *cseq,
            callee_cseq: *callee_cseq,
            session_expires: *session_expires,
            login: login.map(|id| id.to_string().into()),
            bridged: bridged.as_deref().map(|leg| Box::new(LegRow::of(leg))),
        }
    }

    fn read(self) -> Option<DialogParts> {
        let Self {
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
            session_expires,
            login,
            bridged,
        } = self;
        let bridged = match bridged {
            Some(leg) => Some(Box::new(leg.read()?)),
            None => None,
        };
        Some(DialogParts {
            call_id: call_id.into_owned(),
            from: from.into_owned(),
            to: to.into_owned(),
            caller_contact: caller_contact.into_owned(),
            callee_contact: callee_contact.into_owned(),
            caller_routes: owned(caller_routes),
            callee_routes: owned(callee_routes),
            caller_hop: caller_hop.into_owned(),
            callee_hop: callee_hop.into_owned(),
            cseq,
            callee_cseq,
            session_expires,
            login: login.and_then(|text| text.parse().ok()),
            bridged,
        })
    }
}

impl<'a> OriginRow<'a> {
    fn of(origin: &'a Origin) -> Self {
        let Origin { agent_id, environment, metadata, max_seconds } = origin;
        Self {
            agent_id: agent_id.as_ref().map(|id| id.as_str().into()),
            environment: environment.map(|environment| environment.as_str().into()),
            metadata: metadata.clone().into_iter().collect(),
            max_seconds: *max_seconds,
        }
    }

    fn read(self) -> Origin {
        let Self { agent_id, environment, metadata, max_seconds } = self;
        Origin {
            agent_id: agent_id.as_deref().and_then(AgentId::parse),
            environment: environment.as_deref().and_then(Environment::parse),
            metadata: metadata.into_iter().collect(),
            max_seconds,
        }
    }
}

impl<'a> LegRow<'a> {
    fn of(leg: &'a LegParts) -> Self {
        let LegParts { side, call_id, ours, theirs, target, routes, hop, cseq, branch } = leg;
        Self {
            side: side.as_str().into(),
            call_id: call_id.as_str().into(),
            ours: ours.as_str().into(),
            theirs: theirs.as_str().into(),
            target: target.as_str().into(),
            routes: texts(routes),
            hop: hop.as_str().into(),
            cseq: *cseq,
            branch: branch.as_str().into(),
        }
    }

    fn read(self) -> Option<LegParts> {
        let Self { side, call_id, ours, theirs, target, routes, hop, cseq, branch } = self;
        let side = Side::parse(&side)?;
        Some(LegParts {
            side,
            call_id: call_id.into_owned(),
            ours: ours.into_owned(),
            theirs: theirs.into_owned(),
            target: target.into_owned(),
            routes: owned(routes),
            hop: hop.into_owned(),
            cseq,
            branch: branch.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::trail::RuleName;

    fn leg(branch: &str) -> LegParts {
        LegParts {
            side: Side::Caller,
            call_id: "c".into(),
            ours: "<sip:a>;tag=1".into(),
            theirs: "<sip:b>;tag=2".into(),
            target: "sip:b@192.0.2.1".into(),
            routes: vec!["<sip:r;lr>".into()],
            hop: "udp:192.0.2.1:5060 by 203.0.113.1:5060".into(),
            cseq: 2,
            branch: branch.into(),
        }
    }

    fn fact(kind: FactKind) -> Fact {
        let wall = Timestamp::from_second(1_700_000_000).unwrap();
        let at = Moment { wall, process: 7, monotonic_us: 9 };
        let (organization_id, call_id) = (OrganizationId(Uuid::from_u128(1)), CallId(Uuid::from_u128(2)));
        Fact { organization_id, call_id, at, kind }
    }

    #[test]
    fn what_ends_a_call_is_read_as_it_was_written() {
        let parts = DialogParts {
            caller_hop: "udp:192.0.2.1:5060".into(),
            callee_hop: "tcp:[2001:db8::1]:5061".into(),
            cseq: 7,
            callee_cseq: 32_767,
            login: Some(Uuid::from_u128(9)),
            bridged: Some(Box::new(leg(""))),
            ..DialogParts::default()
        };
        let origin = Origin {
            agent_id: AgentId::parse("ada"),
            environment: Some(Environment::Sandbox),
            metadata: [("a".to_owned(), 1.into())].into_iter().collect(),
            max_seconds: Some(60),
        };
        let status = CallStatus::Cancelled;
        let by = Some(EndedBy::Api);
        for kind in [
            FactKind::Answered(Some(Box::new(parts))),
            FactKind::Step(Side::Callee, 15),
            FactKind::Refreshed(Some(1800)),
            FactKind::Refreshed(None),
            FactKind::Origin(Box::new(origin)),
            FactKind::Origin(Box::default()),
            FactKind::Leg(Box::new(leg("z9hG4bKb.1"))),
            FactKind::Ended(Ended { by: EndedBy::MaxDuration, reason: None }),
            FactKind::Unanswered(Unanswered { sip_status: 487, status, reason: String::new(), by }),
            FactKind::Note(Note::CancelRace),
            FactKind::Started(Box::new(priced())),
        ] {
            let fact = fact(kind);
            let mut bytes = Vec::new();
            fact_encode(&fact, &mut bytes);
            assert_eq!(fact_decode(&bytes), Some(fact));
        }
    }

    fn priced() -> Started {
        let mut trail = Trail::default();
        for name in RuleName::ALL {
            trail.see(name.is(true));
        }
        Started {
            direction: Direction::Outbound,
            number_id: None,
            number: None,
            from: "a".into(),
            to: "b".into(),
            provider_id: None,
            endpoint_id: None,
            generation: Generation(7),
            price: Price {
                per_minute: Micros(6_500),
                setup: Micros(1),
                minimum_seconds: 30,
                increment_seconds: 6,
            },
            sip_call_id: "c".into(),
            trail,
            source: Place::parse("tls:[2001:db8::1]:5061"),
        }
    }

    #[test]
    fn facts_of_earlier_versions_are_read() {
        let head = r#"{"org":"00000000-0000-0000-0000-000000000001","call":"00000000-0000-0000-0000-000000000002","fact":{"at":[1700000000000000,7,9],"is":"#;
        let answered = r#"{"answered":{"call_id":"c","from":"f","to":"t","caller_contact":"a","callee_contact":"b","cseq":3}}}}"#;
        let parts = DialogParts {
            call_id: "c".into(),
            from: "f".into(),
            to: "t".into(),
            caller_contact: "a".into(),
            callee_contact: "b".into(),
            cseq: 3,
            ..DialogParts::default()
        };
        let read = |body: &str| fact_decode(format!("{head}{body}").as_bytes());
        assert_eq!(read(answered), Some(fact(FactKind::Answered(Some(Box::new(parts))))));
        let unanswered = r#"{"unanswered":{"sip_status":486,"status":"busy","reason":"r"}}}}"#;
        let busy = Unanswered { sip_status: 486, status: CallStatus::Busy, reason: "r".into(), by: None };
        assert_eq!(read(unanswered), Some(fact(FactKind::Unanswered(busy))));
        let started = r#"{"started":{"direction":"outbound","from":"a","to":"b","generation":7,"rate":60,"sip_call_id":"c"}}}}"#;
        let plain = Started {
            price: Price::by_minute(Micros(60)),
            trail: Trail::default(),
            source: None,
            ..priced()
        };
        assert_eq!(read(started), Some(fact(FactKind::Started(Box::new(plain)))));
    }
}
