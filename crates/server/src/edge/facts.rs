//! What the edge tells, as facts of a call's record.

use domain::CallEnd;
use domain::call::{self, CallStatus, DialogParts, EndedBy, FactKind, Moment, Note, Place, Unanswered};
use domain::ids::{CallId, OrganizationId};
use domain::originate::LegParts;
use domain::routing::Refused;
use domain::{Fact, Timestamp, target};
use sip::{CallIds, Cause, Side, Transport};
use std::net::SocketAddr;
use std::time::Instant;

use super::control::{flow_text, hop_text};
use super::gauge::Gauge;
use crate::clock;
use crate::meter::Tally;

/// The longest text of a peer that is kept in a record.
const TEXT_MAX: usize = 256;

/// A fact about a call.
pub(super) fn about(ids: CallIds, at: Moment, kind: FactKind) -> Fact {
    Fact { organization_id: OrganizationId(ids.organization), call_id: CallId(ids.call), at, kind }
}

/// A peer's socket as a record names it.
pub(super) fn place(transport: Transport, address: SocketAddr) -> Place {
    let transport = match transport {
        Transport::Udp => target::Transport::Udp,
        Transport::Tcp => target::Transport::Tcp,
        Transport::Tls => target::Transport::Tls,
        Transport::Ws => target::Transport::Ws,
        Transport::Wss => target::Transport::Wss,
    };
    Place { transport, address }
}

/// What the receipt has to tell of an answer, beside the answer itself.
pub(super) fn notes(fact: &sip::Fact) -> Vec<Fact> {
    let sip::Fact::Answered { ids, dialog, .. } = fact else { return Vec::new() };
    let all = [
        (!dialog.record_routed, Note::RecordRouteDropped),
        (dialog.unreachable, Note::MediaUnreachable),
        (dialog.crossed, Note::CancelRace),
    ];
    let told = all.into_iter().filter(|(is, _)| *is);
    told.map(|(_, note)| about(*ids, clock::moment(), FactKind::Note(note))).collect()
}

/// Reads what the edge told; `None` where the record has no place for it.
pub(super) fn read(fact: sip::Fact, now: Instant, gauge: &Gauge, tally: &Tally) -> Option<Fact> {
    let at = clock::moment();
    let (ids, kind) = match fact {
        sip::Fact::Attempt(attempt) => (attempt.ids, FactKind::Attempt(tried(attempt, now, at.wall))),
        sip::Fact::Answered { ids, dialog, known } => {
            // Repeats of a 2xx whose transaction is gone: its fact is written, or the call is over.
            if known == sip::Known::CookieOnly && tally.is_old(CallId(ids.call)) {
                return None;
            }
            if !dialog.record_routed {
                gauge.not_record_routed.increment(1);
                tracing::warn!(call.id = %ids.call, "a target dropped the Record-Route: the end of its call will not pass here");
            }
            let whose = (OrganizationId(ids.organization), CallId(ids.call));
            tally.answered(whose, &dialog.to_tag, dialog.cseq);
            // Of a call that another process began, the caller's Contact is not known: the rest is enough to end it.
            let parts = Some(Box::new(parts(*dialog)));
            (ids, FactKind::Answered(parts))
        }
        sip::Fact::Ended { ids, by, callee_tag, reason } => {
            // A target that was passed over may answer late and hang up: that ends its dialog, not the call. And a call has one
            // end, however often a side says BYE.
            if tally.is_over(CallId(ids.call)) || tally.other_dialog(CallId(ids.call), &callee_tag) {
                return None;
            }
            let by = match by {
                Side::Caller => EndedBy::Caller,
                Side::Callee => EndedBy::Callee,
            };
            (ids, FactKind::Ended(call::Ended { by, reason: reason.map(bounded) }))
        }
        sip::Fact::Failed { ids, status, cause } => (ids, FactKind::Unanswered(unanswered(status, cause))),
        sip::Fact::HungUp { ids, mark } => {
            let why = usize::try_from(mark).ok().and_then(|mark| CallEnd::ALL.get(mark).copied());
            let why = why.unwrap_or(CallEnd::Api);
            let reason = Some(why.words().to_owned());
            (ids, FactKind::Ended(call::Ended { by: why.ended_by(), reason }))
        }
        sip::Fact::Step { ids, by, bits } => {
            let side = side_of(by);
            if !tally.is_step(CallId(ids.call), side, bits) {
                return None;
            }
            (ids, FactKind::Step(side, bits))
        }
        sip::Fact::Refreshed { ids, seconds } => {
            if !tally.is_renewal(CallId(ids.call), seconds) {
                return None;
            }
            (ids, FactKind::Refreshed(seconds))
        }
        sip::Fact::Leg { ids, side, leg } => (ids, FactKind::Leg(Box::new(leg_parts(side_of(side), *leg)))),
        sip::Fact::Unplaced { ids, side, status, cause } => {
            (ids, FactKind::Unanswered(unplaced(side_of(side), status, cause)))
        }
    };
    Some(about(ids, at, kind))
}

fn tried(attempt: sip::Attempt, now: Instant, wall: Timestamp) -> call::Attempt {
    let when = |instant: Instant| {
        let ago = now.saturating_duration_since(instant);
        wall.checked_sub(ago).unwrap_or(wall)
    };
    // The mark counts the targets that were passed over before the first attempt.
    let skipped = u16::try_from(attempt.tag).unwrap_or(u16::MAX);
    call::Attempt {
        n: attempt.n.saturating_add(skipped),
        started_at: when(attempt.started),
        ended_at: when(attempt.ended),
        sip_status: attempt.status,
        cause: cause(attempt.cause, attempt.status).to_owned(),
        target: bounded(attempt.target),
        hop: Some(place(attempt.hop.transport, attempt.hop.addr)),
        ringing_at: attempt.ringing.map(when),
        reason: attempt.reason.map(bounded),
    }
}

fn cause(cause: Cause, status: Option<u16>) -> &'static str {
    match (cause, status) {
        (Cause::Answered, _) => "answered",
        (Cause::Refused, Some(486 | 600)) => "busy",
        (Cause::Refused, Some(603)) => "declined",
        (Cause::Refused, Some(404 | 604)) => "not_found",
        (Cause::Refused, Some(408 | 480)) => "no_answer",
        (Cause::Refused, _) => "refused",
        (Cause::Challenged, _) => "challenged",
        (Cause::Auth, _) => "target_auth",
        (Cause::Media, _) => "media_refused",
        (Cause::Silent, _) => "no_response",
        (Cause::Timeout, _) => "timeout",
        (Cause::TooLate, _) => "too_late",
        (Cause::Fault(why), _) => fault(why),
        (Cause::Cancelled | Cause::Stopped, _) => "cancelled",
    }
}

/// Why a target could not be sent to.
pub(super) fn fault(why: sip::Fault) -> &'static str {
    match why {
        sip::Fault::Broken | sip::Fault::Unreachable => "transport",
        sip::Fault::Unspoken => "transport_unavailable",
        sip::Fault::Unresolved => "name_not_found",
        sip::Fault::TlsName => "tls_name",
        sip::Fault::TlsExpired => "tls_expired",
        sip::Fault::TlsUntrusted => "tls_untrusted",
        sip::Fault::Handshake => "tls_handshake",
        sip::Fault::Upgrade => "ws_handshake",
        sip::Fault::Full => "transport_full",
    }
}

/// What a final answer to the caller means for the record.
fn unanswered(sip_status: u16, cause: Cause) -> Unanswered {
    let (status, reason) = match (cause, sip_status) {
        (Cause::Cancelled, _) => (CallStatus::Cancelled, "The caller gave up before an answer."),
        (Cause::Stopped, _) => (CallStatus::Cancelled, CallEnd::Api.words()),
        (_, 486 | 600) => (CallStatus::Busy, "Who was called was busy."),
        (_, 603) => (CallStatus::Busy, "Who was called declined the call."),
        (Cause::Auth, _) => (
            CallStatus::Failed,
            "The target did not take the credentials that we have for it: compare the `credentials` of the endpoint, or of the trunk's `outbound`, with those that the target knows.",
        ),
        (Cause::Media, _) => (
            CallStatus::Failed,
            "The sound that was offered is not encrypted as the trunk or the endpoint asks for: see their `media_encryption`.",
        ),
        (Cause::Timeout | Cause::TooLate, _) => (CallStatus::NoAnswer, "No target answered in time."),
        (_, 408 | 480 | 487) => (CallStatus::NoAnswer, "Who was called did not take the call."),
        (Cause::Fault(_), _) => (CallStatus::Failed, "No target could be reached."),
        (Cause::Silent, _) => (CallStatus::NoAnswer, "No target answered in time."),
        (_, 503) => (CallStatus::Failed, "The call could not be set up now."),
        (_, 404 | 604) => (CallStatus::Failed, "The target does not know who was called."),
        (_, 488 | 606) => (CallStatus::Failed, "The target did not accept the media that was offered."),
        (_, 401 | 403 | 407) => (CallStatus::Failed, "The target did not let the call in."),
        (Cause::Refused | Cause::Challenged | Cause::Answered, _) => {
            (CallStatus::Failed, "The target refused the call.")
        }
    };
    // Only an API ends a call that rings: what ends calls by time or money looks at answered ones.
    let by = (cause == Cause::Stopped).then_some(EndedBy::Api);
    Unanswered { sip_status, status, reason: reason.to_owned(), by }
}

/// Why a call that we place was not set up: the agent is the caller's side.
fn unplaced(side: call::Side, sip_status: u16, cause: Cause) -> Unanswered {
    let (status, reason) = match (side, cause, sip_status) {
        (_, Cause::Stopped, _) => (CallStatus::Cancelled, CallEnd::Api.words()),
        (call::Side::Caller, Cause::Cancelled, _) => {
            (CallStatus::Cancelled, "The agent hung up before an answer.")
        }
        (call::Side::Caller, Cause::Timeout | Cause::Silent, _) => {
            (CallStatus::Failed, "The agent did not answer in time, so nobody was called.")
        }
        (call::Side::Caller, Cause::Fault(_), _) => {
            (CallStatus::Failed, "The agent could not be reached, so nobody was called.")
        }
        (call::Side::Caller, ..) => {
            (CallStatus::Failed, "The agent did not take the call, so nobody was called.")
        }
        (call::Side::Callee, _, 486 | 600) => (CallStatus::Busy, "The number that was called was busy."),
        (call::Side::Callee, _, 603) => (CallStatus::Busy, "Whoever was called declined."),
        (call::Side::Callee, Cause::Timeout | Cause::Silent, _)
        | (call::Side::Callee, _, 408 | 480 | 487) => (CallStatus::NoAnswer, "Nobody answered in time."),
        (call::Side::Callee, Cause::Fault(_), _) => (CallStatus::Failed, "The trunk could not be reached."),
        (call::Side::Callee, _, 404 | 410 | 484 | 604) => {
            (CallStatus::Failed, "The trunk does not know the number that was called.")
        }
        (call::Side::Callee, _, 401 | 403 | 407) => {
            (CallStatus::Failed, "The trunk did not let the call out.")
        }
        (call::Side::Callee, _, 488 | 606) => {
            (CallStatus::Failed, "The trunk did not accept the media that the agent offered.")
        }
        (call::Side::Callee, ..) => (CallStatus::Failed, "The trunk refused the call."),
    };
    let by = (cause == Cause::Stopped).then_some(EndedBy::Api);
    Unanswered { sip_status, status, reason: reason.to_owned(), by }
}

fn side_of(side: Side) -> call::Side {
    match side {
        Side::Caller => call::Side::Caller,
        Side::Callee => call::Side::Callee,
    }
}

fn leg_parts(side: call::Side, leg: sip::BridgeLeg) -> LegParts {
    let sip::BridgeLeg { call_id, ours, theirs, target, routes, hop, listener, cseq, branch } = leg;
    LegParts {
        side,
        call_id,
        ours,
        theirs,
        target,
        routes,
        hop: hop_text(hop, Some(listener).filter(|name| !name.is_empty())),
        cseq,
        branch,
    }
}

/// A call that we refuse.
pub(super) fn refused(refused: &Refused) -> FactKind {
    refused_with(refused.sip_status(), refused.why.words())
}

/// The same with its status and its sentence.
pub(super) fn refused_with(sip_status: u16, words: &str) -> FactKind {
    let reason = words.to_owned();
    FactKind::Unanswered(Unanswered { sip_status, status: CallStatus::Refused, reason, by: None })
}

fn parts(dialog: sip::Dialog) -> DialogParts {
    let session_expires = dialog.session_expires.and_then(|text| {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().ok()
    });
    DialogParts {
        call_id: dialog.call_id,
        from: dialog.from,
        to: dialog.to,
        caller_contact: dialog.caller_contact.unwrap_or_default(),
        callee_contact: dialog.callee_contact.unwrap_or_default(),
        caller_routes: dialog.caller_routes,
        callee_routes: dialog.callee_routes,
        caller_hop: hop_text(dialog.caller_hop, dialog.caller_listener),
        callee_hop: flow_text(hop_text(dialog.callee_hop, dialog.callee_listener), dialog.callee_reach),
        cseq: dialog.cseq,
        callee_cseq: dialog.callee_cseq,
        session_expires,
        login: dialog.login,
        bridged: dialog.bridged.map(|leg| Box::new(leg_parts(call::Side::Caller, *leg))),
    }
}

/// Text of a peer, cut to what a record keeps.
pub(super) fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_answers_mean_what_the_record_says() {
        for (status, why, meaning) in [
            (487, Cause::Cancelled, CallStatus::Cancelled),
            (487, Cause::Stopped, CallStatus::Cancelled),
            (200, Cause::Cancelled, CallStatus::Cancelled),
            (486, Cause::Refused, CallStatus::Busy),
            (600, Cause::Refused, CallStatus::Busy),
            (603, Cause::Refused, CallStatus::Busy),
            (408, Cause::Timeout, CallStatus::NoAnswer),
            (408, Cause::Silent, CallStatus::NoAnswer),
            (480, Cause::Refused, CallStatus::NoAnswer),
            (503, Cause::Fault(sip::Fault::TlsName), CallStatus::Failed),
            (404, Cause::Refused, CallStatus::Failed),
            (500, Cause::Refused, CallStatus::Failed),
        ] {
            let told = unanswered(status, why);
            assert_eq!((told.status, told.sip_status), (meaning, status), "{status} {why:?}");
            assert_eq!(told.by, (why == Cause::Stopped).then_some(EndedBy::Api));
        }
    }

    #[test]
    fn long_texts_of_peers_are_cut_between_characters() {
        let text = bounded("ä".repeat(1_000));
        assert_eq!((text.len(), text.chars().all(|c| c == 'ä')), (TEXT_MAX, true));
    }
}
