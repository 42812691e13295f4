//! A call as a ladder: who said what to whom, when. Pure: events in, text out.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Who takes part. The order is that of the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// Who calls.
    Caller,
    /// Trunkline.
    Edge,
    /// Who answers.
    Agent,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Instant,
    /// Who did it.
    pub(crate) from: Party,
    /// To whom; the same as `from` for a note.
    pub(crate) to: Party,
    /// What, in a few words.
    pub(crate) text: String,
    /// How it is meant.
    pub(crate) tone: Tone,
}

/// How an event is meant: decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A request.
    Ask,
    /// Progress.
    Progress,
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// A remark.
    Note,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// For a terminal.
    On,
    /// For anything else.
    Off,
}

const DIM: &str = "2";
const BOLD: &str = "1";

impl Colour {
    /// On for a terminal that did not ask for none.
    pub(crate) fn of(output: &impl std::io::IsTerminal) -> Self {
        let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if output.is_terminal() && !asked_for_none { Self::On } else { Self::Off }
    }

    /// Text in a colour.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

impl Tone {
    /// Its colour.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Ask => "36",
            Self::Progress => "33",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Note => "35",
        }
    }

    /// The tone of a SIP message by its first line; `None` where it is no message.
    pub(crate) fn of(bytes: &[u8]) -> Option<(String, Self)> {
        let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next()?;
        let line = String::from_utf8_lossy(line);
        let Some(rest) = line.strip_prefix("SIP/2.0 ") else {
            let method = line.split(' ').next().filter(|method| !method.is_empty())?;
            return Some((method.to_owned(), Self::Ask));
        };
        let tone = match rest.as_bytes().first()? {
            b'1' => Self::Progress,
            b'2' => Self::Good,
            _ => Self::Bad,
        };
        Some((rest.to_owned(), tone))
    }
}

impl Event {
    /// A SIP message from one to another.
    pub(crate) fn message(at: Instant, from: Party, to: Party, bytes: &[u8]) -> Option<Self> {
        Tone::of(bytes).map(|(text, tone)| Self { at, from, to, text, tone })
    }

    /// A remark about one of them.
    pub(crate) fn note(at: Instant, about: Party, text: String) -> Self {
        Self { at, from: about, to: about, text, tone: Tone::Note }
    }
}

/// Cells between two lanes.
const GAP: usize = 30;
const LANES: [(Party, &str); 3] =
    [(Party::Caller, "caller"), (Party::Edge, "trunkline"), (Party::Agent, "agent")];

/// The ladder. Lanes that nobody speaks on are left out; a repeat of the line above is counted, not shown again.
pub(crate) fn render(events: &[Event], start: Instant, colour: Colour) -> String {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| event.at);
    let last =
        sorted.iter().map(|event| event.from.max(event.to)).max().unwrap_or(Party::Edge).max(Party::Edge);
    let lanes: Vec<_> = LANES.iter().filter(|(party, _)| *party <= last).collect();
    let mut out = String::new();
    let names = lanes.iter().fold(String::new(), |names, (_, name)| names + &format!("{name:<GAP$}"));
    line(&mut out, &format!("{:>9}   {}", "", colour.paint(BOLD, names.trim_end())));
    let count = lanes.len();
    let mut events = sorted.into_iter().peekable();
    while let Some(event) = events.next() {
        let mut times = 1;
        let same = |next: &&Event| (next.from, next.to, &next.text) == (event.from, event.to, &event.text);
        while events.next_if(same).is_some() {
            times += 1;
        }
        let since = since(event.at.saturating_duration_since(start));
        let row = if event.from == event.to {
            note(event, count, colour)
        } else {
            arrow(event, times, count, colour)
        };
        line(&mut out, &format!("{}   {}", colour.paint(DIM, &format!("{since:>9}")), row.trim_end()));
    }
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes any text");
}

/// A time as people read it: microseconds are noise, hours never happen.
pub(crate) fn since(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) {
        let micros = elapsed.as_micros();
        format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100)
    } else {
        format!("{}.{:03} s", elapsed.as_secs(), elapsed.subsec_millis())
    }
}

fn lane(party: Party) -> usize {
    LANES.iter().position(|(one, _)| *one == party).unwrap_or(0)
}

fn arrow(event: &Event, times: usize, lanes: usize, colour: Colour) -> String {
    let (from, to) = (lane(event.from), lane(event.to));
    let (left, right) = (from.min(to), from.max(to));
    let width = (right - left) * GAP - 1;
    let label = if times > 1 { format!(" {} (×{times}) ", event.text) } else { format!(" {} ", event.text) };
    let label: String = label.chars().take(width - 4).collect();
    let dashes = width - 3 - label.chars().count();
    let drawn = if from < to {
        format!("──{label}{}▶", "─".repeat(dashes))
    } else {
        format!("◀─{label}{}", "─".repeat(dashes + 1))
    };
    row(lanes, colour, left, right, &colour.paint(event.tone.code(), &drawn))
}

fn note(event: &Event, lanes: usize, colour: Colour) -> String {
    let at = lane(event.from);
    let text = colour.paint(event.tone.code(), &event.text);
    let before = format!("{}{}", colour.paint(DIM, "│"), " ".repeat(GAP - 1)).repeat(at);
    debug_assert!(at < lanes, "a lane is shown when somebody speaks on it");
    format!("{before}{} {text}", colour.paint(event.tone.code(), "•"))
}

/// One line: lanes as bars, `drawn` between two of them.
fn row(lanes: usize, colour: Colour, left: usize, right: usize, drawn: &str) -> String {
    let bar = colour.paint(DIM, "│");
    let mut text = String::new();
    let mut at = 0;
    while at < lanes {
        text.push_str(&bar);
        if at == left {
            text.push_str(drawn);
            at = right;
        } else {
            text.push_str(&" ".repeat(GAP - 1));
            at += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_drawn() {
        let start = crate::clock::instant();
        let at = |ms| start + Duration::from_millis(ms);
        let message = |ms, from, to, text: &str| Event::message(at(ms), from, to, text.as_bytes()).unwrap();
        let events = [
            message(0, Party::Caller, Party::Edge, "INVITE sip:+14155550100@127.0.0.1 SIP/2.0\r\n"),
            message(1, Party::Edge, Party::Caller, "SIP/2.0 100 Trying\r\n"),
            message(2, Party::Edge, Party::Agent, "INVITE sip:+14155550100@127.0.0.1:5080 SIP/2.0\r\n"),
            message(3, Party::Agent, Party::Edge, "SIP/2.0 200 OK\r\n"),
            message(3, Party::Agent, Party::Edge, "SIP/2.0 200 OK\r\n"),
            Event::note(at(900), Party::Caller, "40 packets of sound echoed".to_owned()),
        ];
        let drawn = render(&events, start, Colour::Off);
        let expected = "
            caller                        trunkline                     agent
   0.0 ms   │── INVITE ──────────────────▶│                             │
   1.0 ms   │◀─ 100 Trying ───────────────│                             │
   2.0 ms   │                             │── INVITE ──────────────────▶│
   3.0 ms   │                             │◀─ 200 OK (×2) ──────────────│
 900.0 ms   • 40 packets of sound echoed
";
        assert_eq!(format!("\n{drawn}"), expected, "\n{drawn}");
        let coloured = render(&events, start, Colour::On);
        assert!(coloured.contains("\x1b[36m── INVITE"), "{coloured}");
    }

    #[test]
    fn lanes_without_words_are_left_out() {
        let start = crate::clock::instant();
        let event = Event::message(start, Party::Caller, Party::Edge, b"INVITE sip:a SIP/2.0\r\n").unwrap();
        assert!(!render(&[event], start, Colour::Off).contains("agent"));
        assert_eq!(Tone::of(b""), None);
    }
}
