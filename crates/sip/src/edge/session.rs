//! Session timers as a proxy may take part in them (RFC 4028 section 8): one is asked for where the caller asks for none, and a
//! longer one is shortened; who refreshes is never said in a request. Where the callee knows none and the caller does, the
//! caller is told to refresh alone; where neither does, there is nothing to add. Without them a call whose both ends died
//! would last until its longest duration.

use std::time::Duration;

use crate::edit::Interval;
use crate::message::{Message, Name, Refusal};
use crate::text;

/// The shortest interval that anybody may ask for (RFC 4028 section 4).
pub(super) const INTERVAL_MIN: u32 = 90;

/// True when the sender of a message knows session timers.
fn knows(message: &Message<'_>, name: Name) -> bool {
    message.values(name).any(|option| option.eq_ignore_ascii_case(b"timer"))
}

/// Seconds of a `Session-Expires` or `Min-SE` value.
pub(super) fn seconds(value: &[u8]) -> Option<u32> {
    let (seconds, _) = text::split(value, b';').unwrap_or((value, &[]));
    text::number(text::trim(seconds))
}

/// The interval a message names.
pub(crate) fn interval(message: &Message<'_>) -> Option<u32> {
    message.value(Name::SessionExpires).and_then(seconds)
}

/// What becomes of the interval of a first INVITE when `longest` is wished for: nothing where that is zero.
pub(super) fn ask(message: &Message<'_>, longest: Duration) -> Interval {
    let Some(longest) = u32::try_from(longest.as_secs()).ok().filter(|longest| *longest > 0) else {
        return Interval::Keep;
    };
    let least = message.value(Name::MinSe).and_then(seconds).unwrap_or_default().max(INTERVAL_MIN);
    let wanted = longest.max(least);
    match message.value(Name::SessionExpires) {
        None => Interval::Add(wanted),
        Some(value) => match seconds(value) {
            Some(asked) if asked > wanted => Interval::Lower(wanted),
            _ => Interval::Keep,
        },
    }
}

/// Refuses an interval that is too short, to those who know what to do then: others could not be told.
pub(super) fn refusal(message: &Message<'_>) -> Option<Refusal> {
    let short = interval(message)? < INTERVAL_MIN;
    (short && knows(message, Name::Supported))
        .then_some(Refusal { status: 422, reason: "Session Interval Too Small" })
}

/// The interval that a 2xx is given where the callee names none: that of the request as it was sent, if the caller knows
/// session timers.
pub(super) fn of_caller(request: &Message<'_>, plan: Interval) -> Option<u32> {
    let sent = match plan {
        Interval::Add(seconds) | Interval::Lower(seconds) => Some(seconds),
        Interval::Keep => interval(request),
    };
    sent.filter(|_| knows(request, Name::Supported))
}

/// The interval as its 2xx tells a caller who refreshes alone.
pub(super) fn refreshed(seconds: u32) -> String {
    let mut text = seconds.to_string();
    text.push_str(";refresher=uac");
    text
}

/// The lines that a 2xx lacks: the caller, who alone knows session timers, refreshes.
pub(super) fn lines(answer: &Message<'_>, of_caller: Option<u32>) -> Option<String> {
    let seconds = of_caller.filter(|_| answer.value(Name::SessionExpires).is_none())?;
    let require = if knows(answer, Name::Require) { "" } else { "Require: timer\r\n" };
    Some(["Session-Expires: ", &refreshed(seconds), "\r\n", require].concat())
}
