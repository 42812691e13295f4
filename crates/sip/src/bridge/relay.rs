//! What one side asks of the other once both are up: each request goes on in the other dialog, under that dialog's own names and
//! numbers, with its body untouched; the answer comes back the same way. Who asks while the other asks too hears 491.

use super::asked::Why;
use super::asks::Asked;
use super::call::{Call, Stage, reason_of};
use super::desk::Desk;
use super::leg::{Life, What};
use super::media;
use crate::edge::{Side, Transfer};
use crate::message::{Core, Message, Method, Name};
use crate::sdp;
use crate::text;

/// Headers of a dialog or of a hop that have no [`Name`]: each leg has its own. Of those that have one, few go on.
const OWN: [&str; 5] = ["Allow", "RSeq", "User-Agent", "Server", "Authentication-Info"];

/// A 2xx to an INVITE that was handed on, until its ACK can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed {
    /// Of the request, on the leg where it was asked.
    number: u64,
    /// That leg.
    from: Side,
    /// Of our INVITE on the other leg.
    cseq: u32,
}

fn other(side: Side) -> Side {
    match side {
        Side::Caller => Side::Callee,
        Side::Callee => Side::Caller,
    }
}

/// What goes on of a message: its body, and the headers that are not of one dialog.
fn carried(message: &Message<'_>, method: &str) -> What {
    let mut lines = String::new();
    for header in message.headers() {
        let own = match header.name {
            Name::Other => {
                let title =
                    crate::message::Span { start: header.line.start, end: header.name_end }.of(message.bytes);
                OWN.iter().any(|own| title.eq_ignore_ascii_case(own.as_bytes()))
            }
            Name::SessionExpires | Name::MinSe | Name::Reason | Name::Date => false,
            _ => true,
        };
        if !own {
            lines.push_str(&text::owned(header.line.of(message.bytes)));
        }
    }
    // session timers are agreed between the two sides (RFC 4028)
    let timer = |value: Option<&[u8]>| {
        value.is_some_and(|value| text::List(value).any(|one| one.eq_ignore_ascii_case(b"timer")))
    };
    let supported = message.other("Supported").or_else(|| message.other("k"));
    if timer(supported) {
        lines.push_str("Supported: timer\r\n");
    }
    if timer(message.other("Require")) {
        lines.push_str("Require: timer\r\n");
    }
    let kind = message.value(Name::ContentType).map(text::owned).unwrap_or_default();
    What { method: method.to_owned(), lines, kind, body: message.body().to_vec() }
}

impl Call {
    pub(super) fn asked(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        asked: Asked,
        got: (&Message<'_>, &Core<'_>),
    ) {
        let (message, core) = got;
        match asked {
            Asked::Nothing => {}
            Asked::New(number) if core.method == Method::Bye => self.hung_up(desk, side, number, message),
            Asked::New(number) if self.stage == Stage::Up => self.relay(desk, side, number, got),
            Asked::New(number) => self.early(desk, side, number, core.method),
            Asked::Acked(number) => self.acked(desk, side, number, message),
            Asked::Cancelled(number) => {
                self.leg(other(side)).cancel(desk, |sent| sent.why == Why::Relay(number));
            }
        }
    }

    /// A BYE: the end is told, the other side hears of it, then the sender.
    fn hung_up(&mut self, desk: &mut Desk<'_>, side: Side, number: u64, message: &Message<'_>) {
        let was = self.leg(side).life;
        // its own dialog is over: nothing is to be sent in it
        self.leg(side).over(desk);
        match self.stage {
            Stage::Up => self.end(desk, side, reason_of(message)),
            Stage::Agent | Stage::Callee if side == Side::Caller => self.agent_left(desk),
            Stage::Agent | Stage::Callee | Stage::Ended => {}
        }
        let leg = self.leg(side);
        leg.answer(desk, number, (200, "OK"), &What::default());
        if was == Life::Leaving && !leg.sent.is_empty() {
            // both hung up at once: our own BYE still awaits its answer
            leg.life = Life::Leaving;
        }
    }

    fn relay(
        &mut self,
        desk: &mut Desk<'_>,
        side: Side,
        number: u64,
        (message, core): (&Message<'_>, &Core<'_>),
    ) {
        let answer = self.denial(side, number, (message, core));
        if let Some(answer) = answer {
            let lines = if answer.0 == 420 { "Unsupported: 100rel\r\n" } else { "" };
            let what = What { lines: lines.to_owned(), ..What::default() };
            return self.leg(side).answer(desk, number, answer, &what);
        }
        if matches!(core.method, Method::Invite | Method::Update) {
            self.leg(side).moved(message);
            self.leg(side).refreshed(desk);
        }
        let what = carried(message, &text::owned(core.method_text));
        if !self.leg(other(side)).ask(desk, what, Why::Relay(number)) {
            self.leg(side).answer(desk, number, (503, "Too Many Requests Pending"), &What::default());
        }
    }

    /// Why a request does not go on.
    fn denial(
        &mut self,
        side: Side,
        number: u64,
        (message, core): (&Message<'_>, &Core<'_>),
    ) -> Option<(u16, &'static str)> {
        let requires = |wanted: &[u8]| {
            let value = message.other("Require");
            value.is_some_and(|value| text::List(value).any(|one| one.eq_ignore_ascii_case(wanted)))
        };
        let changes =
            core.method == Method::Invite || core.method == Method::Update && media::sdp(message).is_some();
        let open = self.leg(side).got.iter().any(|got| got.number != number && got.open_invite());
        if changes
            && (open
                || self.leg(other(side)).busy()
                || self.leg(side).sent.iter().any(super::asked::Sent::invite))
        {
            return Some((491, "Request Pending"));
        }
        if changes && self.media.refuses(sdp::media(message)) {
            return Some((488, "Not Acceptable Here"));
        }
        match core.method {
            Method::Invite if message.other("Replaces").is_some() => Some((603, "Decline")),
            Method::Invite if requires(b"100rel") => Some((420, "Bad Extension")),
            Method::Refer => {
                let refer_to = message.other("Refer-To").or_else(|| message.other("r")).unwrap_or_default();
                let named = memchr::memmem::find(&refer_to.to_ascii_lowercase(), b"replaces=").is_some();
                let refused = side == Side::Caller && self.transfer == Transfer::Refused;
                // a dialog named there is one of ours, which the other side does not know
                (named || refused).then_some((603, "Transfer Not Allowed"))
            }
            Method::Prack => Some((481, "Call/Transaction Does Not Exist")),
            _ => None,
        }
    }

    pub(super) fn relay_provisional(&mut self, desk: &mut Desk<'_>, side: Side, number: u64, status: u16) {
        let to = self.leg(other(side));
        if to.asked(number).is_some_and(|got| got.method == Method::Invite) {
            to.answer(desk, number, (status, "Session Progress"), &What::default());
        }
    }

    /// The final answer of the other side.
    pub(super) fn relay_final(
        &mut self,
        desk: &mut Desk<'_>,
        (side, number): (Side, u64),
        (status, cseq): (u16, u32),
        (message, core): (&Message<'_>, &Core<'_>),
    ) {
        let from = other(side);
        let session = status < 300 && matches!(core.method, Method::Invite | Method::Update);
        if session {
            self.leg(side).moved(message);
            self.leg(side).agreed(desk, message, false);
            self.leg(from).agreed(desk, message, true);
            self.renewed(desk, message);
        }
        let known = self.leg(from).asked(number).is_some();
        if core.method == Method::Invite && status < 300 {
            if known {
                self.relayed.push(Relayed { number, from, cseq });
                if self.relayed.len() > 16 {
                    self.relayed.remove(0);
                }
            } else {
                self.leg(side).ack(desk, cseq, What::default());
            }
        }
        // what was asked for without an offer has it in its answer. What OPTIONS is answered with says only what could be
        if session && media::sdp(message).is_some_and(|sdp| self.media.refuses(sdp::offer(sdp))) {
            self.relayed.retain(|one| one.number != number || one.from != from);
            // One that nobody waits for any more has its ACK already.
            if known && core.method == Method::Invite {
                self.leg(side).ack(desk, cseq, What::default());
            }
            self.leg(from).answer(desk, number, (488, "Not Acceptable Here"), &What::default());
            return self.unfit(desk, side);
        }
        let reason = text::owned(message.reason());
        // a challenge for our credentials is nobody else's to answer
        let answer = if matches!(status, 401 | 407) { (403, "Forbidden") } else { (status, reason.as_str()) };
        let what = if answer.0 == status { carried(message, "") } else { What::default() };
        self.leg(from).answer(desk, number, answer, &what);
        // of a subscription or a message of its own it says nothing about the call (RFC 5057 section 5)
        let apart = matches!(core.method_text, b"NOTIFY" | b"SUBSCRIBE" | b"REFER" | b"MESSAGE");
        if matches!(status, 408 | 481) && !apart {
            self.lost(desk, side, status);
        }
    }

    /// The other side gave no answer.
    pub(super) fn relay_lost(&mut self, desk: &mut Desk<'_>, side: Side, number: u64) {
        self.leg(other(side)).answer(desk, number, (408, "Request Timeout"), &What::default());
    }

    /// The ACK of a 2xx that was handed on: the other side has its own, with the body that this one has.
    fn acked(&mut self, desk: &mut Desk<'_>, side: Side, number: u64, message: &Message<'_>) {
        let Some(index) = self.relayed.iter().position(|one| one.number == number && one.from == side) else {
            return;
        };
        let Relayed { cseq, .. } = self.relayed.swap_remove(index);
        let kind = message.value(Name::ContentType).map(text::owned).unwrap_or_default();
        let what = What { kind, body: message.body().to_vec(), ..What::default() };
        self.leg(other(side)).ack(desk, cseq, what);
    }
}
