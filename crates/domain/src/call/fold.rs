//! The record of a call: what its facts say together, in whatever order they came.

use crate::Timestamp;
use crate::change::Generation;
use crate::e164::E164;
use crate::ids::{CallId, EndpointId, NumberId, OrganizationId, ProviderId};
use crate::money::Micros;
use crate::originate::{LegParts, Origin};
use crate::price::Price;
use crate::trail::Trail;

use super::{
    Attempt, CallStatus, DialogParts, Direction, Ended, EndedBy, Fact, FactKind, Moment, Note, Place, Side,
    Started, Unanswered,
};

/// The record of a call: the fold of its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Which way.
    pub direction: Direction,
    /// The number of ours.
    pub number_id: Option<NumberId>,
    /// The number, as dialled or shown.
    pub number: Option<E164>,
    /// Who called.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// What became of it.
    pub status: CallStatus,
    /// When it came.
    pub started_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Seconds from answer to end; 0 where it was not answered.
    pub duration_seconds: u64,
    /// Whether duration came from one process's monotonic clock or from the wall.
    pub monotonic: bool,
    /// Who ended it.
    pub ended_by: Option<EndedBy>,
    /// What the caller was answered, where that was not 200.
    pub sip_status: Option<u16>,
    /// Why it ended as it did, in words.
    pub reason: Option<String>,
    /// The trunk it came from.
    pub provider_id: Option<ProviderId>,
    /// The endpoint it was sent to.
    pub endpoint_id: Option<EndpointId>,
    /// Each target tried.
    pub attempts: Vec<Attempt>,
    /// The tables it was decided on.
    pub generation: Generation,
    /// What it costs by, as it was when it came.
    pub price: Price,
    /// What it cost.
    pub cost: Micros,
    /// What ending it needs.
    pub dialog: Option<DialogParts>,
    /// The rules of its decision.
    pub trail: Trail,
    /// Where it came from.
    pub source: Option<Place>,
    /// What its receipt has to tell beside, each once, in order.
    pub notes: Vec<Note>,
    /// What an API asked for, where one began it.
    pub origin: Option<Box<Origin>>,
    /// Its legs as far as they came, where we place it: the last try of each side.
    pub legs: Vec<LegParts>,
}

/// A call whose answer crossed the caller's CANCEL is not billed if it ends in this time (64·T1, RFC 3261 section 13.3.1.4): by
/// then a caller that meant it has hung up.
pub const CANCEL_RACE_SECONDS: u64 = 32;

/// The facts of a call by kind, whatever order they came in.
#[derive(Default)]
struct Gathered<'a> {
    started: Option<(Moment, &'a Started)>,
    answered: Option<(Moment, Option<&'a DialogParts>)>,
    /// The first end that was seen; without one, the reaper's.
    ended: Option<(Moment, &'a Ended)>,
    unanswered: Option<(Moment, &'a Unanswered)>,
    attempts: Vec<Attempt>,
    remarks: Vec<Note>,
    origin: Option<&'a Origin>,
    legs: Vec<(Timestamp, &'a LegParts)>,
    /// The highest `CSeq` number of each side that its facts allow.
    steps: [u32; 2],
}

impl<'a> Gathered<'a> {
    fn of(facts: &'a [Fact]) -> Self {
        let (mut all, mut reaped) = (Self::default(), None);
        for fact in facts {
            match &fact.kind {
                FactKind::Started(s) => all.started = Some((fact.at, s.as_ref())),
                FactKind::Attempt(attempt) => all.attempts.push(attempt.clone()),
                FactKind::Answered(dialog) => all.answered = Some((fact.at, dialog.as_deref())),
                FactKind::Step(side, bits) => {
                    let highest = u32::MAX >> (32 - u32::from((*bits).clamp(1, 31)));
                    let of_side = match side {
                        Side::Caller => &mut all.steps[0],
                        Side::Callee => &mut all.steps[1],
                    };
                    *of_side = highest.max(*of_side);
                }
                FactKind::Origin(asked) => all.origin = Some(asked),
                FactKind::Leg(leg) => all.legs.push((fact.at.wall, leg)),
                FactKind::Ended(e) if e.by == EndedBy::Reaper => reaped = Some((fact.at, e)),
                // Both sides may hang up at once, and the service with them: the first end stands.
                FactKind::Ended(e) => {
                    let earlier = all.ended.filter(|(at, _)| at.wall <= fact.at.wall);
                    all.ended = earlier.or(Some((fact.at, e)));
                }
                FactKind::Unanswered(u) => all.unanswered = Some((fact.at, u)),
                FactKind::Note(note) => all.remarks.push(*note),
                FactKind::Refreshed(_) => {}
            }
        }
        all.ended = all.ended.or(reaped);
        all.attempts.sort_by_key(|attempt| attempt.n);
        all.attempts.dedup_by_key(|attempt| attempt.n);
        all.remarks.sort_unstable();
        all.remarks.dedup();
        all
    }
}

impl Call {
    /// Folds the facts of one call, given in any order. `None` for no facts.
    pub fn fold(facts: &[Fact]) -> Option<Self> {
        let first = facts.iter().min_by_key(|fact| fact.at.wall)?;
        let gathered = Gathered::of(facts);
        let Gathered { started, answered, ended, unanswered, attempts, remarks, origin, legs, steps } =
            gathered;
        let noted = |note| remarks.contains(&note);
        let (raced, unproven) = (noted(Note::CancelRace), noted(Note::Unproven));
        let mut call = Self::begun(first, started);
        (call.attempts, call.notes) = (attempts, remarks);
        call.origin = origin.cloned().map(Box::new);
        call.legs = last_of_each(legs);
        if let Some((at, dialog)) = answered {
            call.status = CallStatus::Answered;
            call.answered_at = Some(at.wall);
            call.dialog = dialog.cloned();
            if let Some(dialog) = &mut call.dialog {
                dialog.cseq = dialog.cseq.max(steps[0]);
                dialog.callee_cseq = dialog.callee_cseq.max(steps[1]);
                dialog.renew(facts, at);
            }
        }
        match (answered, ended, unanswered) {
            (Some((from, _)), Some((to, how)), _) => {
                call.status = CallStatus::Completed;
                call.ended_at = Some(to.wall.max(from.wall));
                call.ended_by = Some(how.by);
                call.reason.clone_from(&how.reason);
                call.duration_seconds = to.seconds_since(&from);
                call.monotonic = to.process == from.process;
                call.cost = call.price.charge(call.duration_seconds);
                if raced && call.duration_seconds <= CANCEL_RACE_SECONDS {
                    (call.status, call.duration_seconds, call.cost) =
                        (CallStatus::Cancelled, 0, Micros::ZERO);
                    call.reason = Some(Note::CancelRace.words().to_owned());
                }
            }
            // The answer may be on its way from another node: nothing is settled until it is here, or was waited for. An end
            // without a proven answer is billed nothing. Where it was told that nobody answered, that stands until an answer
            // is known: what was final once is not open again.
            (None, Some((at, how)), refused) if unproven || refused.is_none() => {
                call.status = if unproven { CallStatus::Failed } else { CallStatus::Answered };
                call.ended_at = Some(at.wall);
                call.ended_by = Some(how.by);
                call.reason = unproven.then(|| Note::Unproven.words().to_owned());
            }
            (None, _, Some((at, how))) => {
                call.status = how.status;
                call.ended_at = Some(at.wall);
                call.sip_status = Some(how.sip_status);
                call.ended_by = how.by;
                call.reason = Some(how.reason.clone());
            }
            (Some(_), None, _) | (None, _, None) => {}
        }
        Some(call)
    }

    fn begun(first: &Fact, started: Option<(Moment, &Started)>) -> Self {
        let mut call = Self {
            id: first.call_id,
            organization_id: first.organization_id,
            direction: Direction::Inbound,
            number_id: None,
            number: None,
            from: String::new(),
            to: String::new(),
            status: CallStatus::Ringing,
            started_at: first.at.wall,
            answered_at: None,
            ended_at: None,
            duration_seconds: 0,
            monotonic: false,
            ended_by: None,
            sip_status: None,
            reason: None,
            provider_id: None,
            endpoint_id: None,
            attempts: Vec::new(),
            generation: Generation(0),
            price: Price::FREE,
            cost: Micros::ZERO,
            dialog: None,
            trail: Trail::default(),
            source: None,
            notes: Vec::new(),
            origin: None,
            legs: Vec::new(),
        };
        if let Some((at, started)) = started {
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
                sip_call_id: _,
                trail,
                source,
            } = started;
            call.started_at = at.wall;
            call.direction = *direction;
            call.number_id = *number_id;
            call.number = *number;
            call.from.clone_from(from);
            call.to.clone_from(to);
            call.provider_id = *provider_id;
            call.endpoint_id = *endpoint_id;
            call.generation = *generation;
            (call.price, call.trail, call.source) = (*price, *trail, *source);
        }
        call
    }
}

/// The last try of each side; of one try, its answer.
fn last_of_each(mut legs: Vec<(Timestamp, &LegParts)>) -> Vec<LegParts> {
    legs.sort_by_key(|(at, leg)| (*at, leg.cseq, leg.branch.is_empty()));
    let last = |side| legs.iter().rev().find(|(_, leg)| leg.side == side).map(|(_, leg)| (*leg).clone());
    [Side::Caller, Side::Callee].into_iter().filter_map(last).collect()
}

/// Whole minutes as counted for a month: every begun minute of each call counts.
pub fn minutes(seconds: u64) -> u64 {
    seconds.div_ceil(60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn moment(second: i64, process: u64) -> Moment {
        let monotonic_us = u64::try_from(second).unwrap() * 1_000_000;
        Moment { wall: Timestamp::from_second(1_000_000 + second).unwrap(), process, monotonic_us }
    }

    fn fact(second: i64, process: u64, kind: FactKind) -> Fact {
        let (organization_id, call_id) = (OrganizationId(Uuid::nil()), CallId(Uuid::nil()));
        Fact { organization_id, call_id, at: moment(second, process), kind }
    }

    fn ended() -> FactKind {
        FactKind::Ended(Ended { by: EndedBy::Caller, reason: None })
    }

    #[test]
    fn minutes_survive_a_change_of_process() {
        let call = Call::fold(&[fact(1, 7, FactKind::Answered(None)), fact(62, 8, ended())]).unwrap();
        assert_eq!((call.status, call.duration_seconds, call.monotonic), (CallStatus::Completed, 61, false));
        assert_eq!(minutes(call.duration_seconds), 2);
    }

    #[test]
    fn a_clock_set_back_bills_nothing_negative() {
        let call = Call::fold(&[fact(9, 7, FactKind::Answered(None)), fact(1, 8, ended())]).unwrap();
        assert_eq!(call.duration_seconds, 0);
    }

    #[test]
    fn an_end_without_an_answer_is_waited_with_and_then_not_billed() {
        let priced = fact(0, 7, started(Price::by_minute(Micros(600))));
        let facts = [priced, fact(9, 7, ended()), fact(9, 7, FactKind::Note(Note::Unproven))];
        let waits = Call::fold(&facts[..2]).unwrap();
        assert_eq!((waits.status, waits.answered_at, waits.cost), (CallStatus::Answered, None, Micros::ZERO));
        assert_eq!(waits.ended_at, Some(facts[1].at.wall));
        let call = Call::fold(&facts).unwrap();
        assert_eq!((call.status, call.duration_seconds, call.cost), (CallStatus::Failed, 0, Micros::ZERO));
        // An answer that comes after all makes it a call like any other.
        let all = [facts.to_vec(), vec![fact(1, 7, FactKind::Answered(None))]].concat();
        let call = Call::fold(&all).unwrap();
        assert_eq!((call.status, call.cost), (CallStatus::Completed, Micros(80)));
    }

    #[test]
    fn an_end_that_was_seen_stands_over_the_reapers() {
        let reaped = FactKind::Ended(Ended { by: EndedBy::Reaper, reason: None });
        let facts = [fact(1, 7, FactKind::Answered(None)), fact(1, 7, reaped), fact(90, 7, ended())];
        let call = Call::fold(&facts).unwrap();
        assert_eq!((call.duration_seconds, call.ended_by), (89, Some(EndedBy::Caller)));
        assert_eq!(Call::fold(&facts[..2]).unwrap().ended_by, Some(EndedBy::Reaper));
        assert_ne!(facts[1].key(), facts[2].key());
    }

    #[test]
    fn the_first_end_stands_and_steps_are_kept() {
        let by = |by| FactKind::Ended(Ended { by, reason: None });
        let parts = DialogParts { cseq: 5, ..DialogParts::default() };
        let mut facts = vec![
            fact(1, 7, FactKind::Answered(Some(Box::new(parts)))),
            fact(9, 7, by(EndedBy::Caller)),
            fact(8, 7, by(EndedBy::Api)),
            fact(3, 7, FactKind::Step(Side::Callee, 15)),
            fact(4, 7, FactKind::Step(Side::Callee, 12)),
        ];
        for _ in 0..2 {
            let call = Call::fold(&facts).unwrap();
            assert_eq!((call.ended_by, call.duration_seconds), (Some(EndedBy::Api), 7));
            let dialog = call.dialog.unwrap();
            assert_eq!((dialog.cseq, dialog.callee_cseq), (5, 32_767));
            facts.reverse();
        }
        assert_ne!(facts[0].key(), facts[1].key());
    }

    fn started(price: Price) -> FactKind {
        FactKind::Started(Box::new(Started {
            direction: Direction::Inbound,
            number_id: None,
            number: None,
            from: "+12125550100".into(),
            to: "+14155550100".into(),
            provider_id: None,
            endpoint_id: None,
            generation: Generation(1),
            price,
            sip_call_id: "a@b".into(),
            trail: Trail::default(),
            source: Place::parse("udp:192.0.2.7:5060"),
        }))
    }

    #[test]
    fn a_call_is_billed_by_the_price_it_began_with() {
        let price = Price { minimum_seconds: 60, increment_seconds: 60, ..Price::by_minute(Micros(600)) };
        let facts =
            |end| [fact(0, 7, started(price)), fact(1, 7, FactKind::Answered(None)), fact(end, 7, ended())];
        for (end, cost) in [(1, 600), (2, 600), (61, 600), (62, 1_200)] {
            assert_eq!(Call::fold(&facts(end)).unwrap().cost, Micros(cost), "{end}");
        }
    }

    #[test]
    fn an_answer_that_crossed_a_cancel_is_not_billed_unless_they_talk() {
        let facts = |end| {
            [
                fact(0, 7, started(Price::by_minute(Micros(600)))),
                fact(1, 7, FactKind::Answered(None)),
                fact(1, 7, FactKind::Note(Note::CancelRace)),
                fact(end, 7, ended()),
            ]
        };
        let short = Call::fold(&facts(33)).unwrap();
        assert_eq!(
            (short.status, short.duration_seconds, short.cost),
            (CallStatus::Cancelled, 0, Micros::ZERO)
        );
        let long = Call::fold(&facts(34)).unwrap();
        assert_eq!((long.status, long.duration_seconds, long.cost), (CallStatus::Completed, 33, Micros(330)));
        assert_eq!(
            Call::fold(&facts(33)[..3]).unwrap().status,
            CallStatus::Answered,
            "it is up until it ends"
        );
    }

    #[test]
    fn a_call_that_was_told_to_be_unanswered_is_not_open_again_until_its_answer_is_known() {
        let none =
            Unanswered { sip_status: 408, status: CallStatus::NoAnswer, reason: "gone".to_owned(), by: None };
        let mut facts = vec![
            fact(0, 1, started(Price::by_minute(Micros(600)))),
            fact(300, 1, FactKind::Unanswered(none)),
            fact(400, 2, ended()),
        ];
        let status = |facts: &[Fact]| Call::fold(facts).unwrap().status;
        assert_eq!((status(&facts[..2]), status(&facts)), (CallStatus::NoAnswer, CallStatus::NoAnswer));
        assert_eq!(
            status(&[facts[0].clone(), facts[2].clone()]),
            CallStatus::Answered,
            "its answer may come"
        );
        facts.push(fact(1, 1, FactKind::Answered(None)));
        let call = Call::fold(&facts).unwrap();
        assert_eq!((call.status, call.duration_seconds), (CallStatus::Completed, 399));
        // What was closed unproven stays so.
        facts[3] = fact(500, 2, FactKind::Note(Note::Unproven));
        assert_eq!(status(&facts), CallStatus::Failed);
    }

    #[test]
    fn places_are_written_and_read_with_their_class() {
        for (text, class) in [
            ("udp:192.0.2.7:5060", "public"),
            ("ws:203.0.100.255:65535", "public"),
            ("udp:0.0.0.0:10", "public"),
            ("tcp:[2001:db8::1]:5061", "public"),
            ("tls:10.0.0.1:1", "private"),
            ("udp:[fd00::1]:1", "private"),
            ("udp:[::ffff:127.0.0.1]:1", "loopback"),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!((place.to_string().as_str(), place.class()), (text, class));
        }
        assert_eq!((Place::parse("udp"), Place::parse("x:192.0.2.7:1")), (None, None));
    }

    proptest! {
        #[test]
        fn facts_fold_alike_in_any_order(seed in any::<u64>()) {
            let unanswered = Unanswered { sip_status: 487, status: CallStatus::Cancelled, reason: String::new(), by: None };
            let mut facts = vec![
                fact(0, 1, started(Price::by_minute(Micros(600)))),
                fact(0, 1, FactKind::Unanswered(unanswered)),
                fact(1, 1, FactKind::Answered(None)),
                fact(1, 1, FactKind::Note(Note::CancelRace)),
                fact(1, 1, FactKind::Note(Note::RecordRouteDropped)),
                fact(99, 1, ended()),
                fact(98, 2, FactKind::Ended(Ended { by: EndedBy::Api, reason: None })),
            ];
            let whole = Call::fold(&facts);
            // Facts may come twice, too.
            facts.extend(facts.clone());
            let len = facts.len();
            for i in 0..len {
                facts.swap(i, usize::try_from(seed.rotate_left(u32::try_from(i).unwrap() * 8) % 7).unwrap());
            }
            prop_assert_eq!(Call::fold(&facts), whole);
        }
    }
}
