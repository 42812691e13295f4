//! Text search: what a person typed, as a question to the trigram index.
//!
//! The index answers for three characters and more. Shorter texts are looked for by reading the newest rows, [`SHORT_SCAN`]
//! of them at most: a bound, not a promise. Case is ignored; nothing that is typed has a special meaning.

/// How many of the newest rows are looked at for a text of one or two characters.
pub(super) const SHORT_SCAN: usize = 5_000;
/// How many agents' names may answer one search.
pub(super) const AGENTS_MAX: usize = 256;

/// The private-use characters U+E000 to U+F8FF: no text of a person contains them, and they have no case. These stand for
/// numbers, the rest for pairs of digits: a trigram that meant two things would make both slow to find.
const FIRST: u32 = 0xE000;
const COUNT: u64 = 0x1800;
const FIRST_PAIR: u32 = 0xF800;

/// A trigram that stands for a small number: three private-use characters.
fn trigram(number: u64) -> String {
    let digits = [number / (COUNT * COUNT) % COUNT, number / COUNT % COUNT, number % COUNT];
    let character = |d: u64| u32::try_from(d).ok().and_then(|d| char::from_u32(FIRST + d));
    digits.into_iter().filter_map(character).collect()
}

/// Digits as a character for each two neighbours: a trigram of these stands for four digits.
pub(crate) fn fours(digits: &str) -> String {
    let pair = |pair: &[u8]| {
        let two = u32::from(pair[0].wrapping_sub(b'0')) * 10 + u32::from(pair[1].wrapping_sub(b'0'));
        char::from_u32(FIRST_PAIR + two)
    };
    digits.as_bytes().windows(2).filter_map(pair).collect()
}

/// A number and the numbers that its label names, in both ways in which the index knows digits.
pub(super) fn digits_of(number: u64, label: Option<&str>) -> (String, String) {
    let mut runs = vec![number.to_string()];
    runs.extend(label.iter().flat_map(|label| dialled_runs(label)));
    let fours: Vec<String> = runs.iter().map(|run| fours(run)).collect();
    (runs.join(" "), fours.join(" "))
}

/// Runs of digits, separators between them left out, as they are in what is looked for.
fn dialled_runs(text: &str) -> Vec<String> {
    let runs = text.split(|c: char| !is_dialled(c));
    let digits = runs.map(|run| run.chars().filter(char::is_ascii_digit).collect::<String>());
    digits.filter(|run| run.len() >= 3).collect()
}

fn is_dialled(c: char) -> bool {
    c.is_ascii_digit() || " +-.()/".contains(c)
}

/// The trigram of an organization's held numbers, or of those it gave back.
pub(super) fn tenant(serial: u64, held: bool) -> String {
    trigram(serial * 3 + u64::from(held))
}

/// The trigram of an agent.
pub(crate) fn agent(serial: u64) -> String {
    trigram(serial * 3 + 2)
}

/// What is looked for.
pub(crate) struct Sought {
    /// The text in lower case.
    pub(crate) text: String,
    /// Its digits, if it looks like a part of a phone number: separators and `+` do not count.
    pub(crate) digits: Option<String>,
}

impl Sought {
    /// `None` for a text without anything to look for.
    pub(super) fn read(typed: &str) -> Option<Self> {
        let visible: String = typed.chars().filter(|c| !c.is_control() && !is_private(*c)).collect();
        let text = visible.trim().to_lowercase();
        let dialled = text.chars().all(is_dialled);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let digits = Some(digits).filter(|d| dialled && !d.is_empty());
        (!text.is_empty()).then_some(Self { text, digits })
    }

    /// Whether the index can answer.
    pub(super) fn is_indexed(&self) -> bool {
        self.text.chars().count() >= 3 && self.digits.as_ref().is_none_or(|d| d.len() >= 3)
    }

    /// Whether it is part of a number or of a label.
    pub(super) fn is_in(&self, number: u64, label: Option<&str>) -> bool {
        let by_digits = self.digits.as_ref().is_some_and(|part| number.to_string().contains(part.as_str()));
        by_digits || label.is_some_and(|label| label.to_lowercase().contains(&self.text))
    }
}

fn is_private(c: char) -> bool {
    ('\u{E000}'..='\u{F8FF}').contains(&c)
}

/// What may stand in the index: without the characters that have a meaning there.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_private(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read() {
        let read =
            |text: &str| Sought::read(text).map(|s| (s.text.clone(), s.digits.clone(), s.is_indexed()));
        let row = |t: &str, d: Option<&str>, i| Some((t.to_owned(), d.map(str::to_owned), i));
        assert_eq!(read("+1 (415) 555"), row("+1 (415) 555", Some("1415555"), true));
        assert_eq!(read(" Front "), row("front", None, true));
        assert_eq!(read("+ 1"), row("+ 1", Some("1"), false));
        assert_eq!(read("ab"), row("ab", None, false));
        assert_eq!(read(" \u{0}\u{E000} "), None);
    }

    #[test]
    fn small_numbers_have_trigrams_of_their_own() {
        let all: std::collections::HashSet<_> =
            (0..20_000).chain([COUNT * COUNT, COUNT * COUNT * COUNT - 1]).map(trigram).collect();
        assert_eq!(all.len(), 20_002);
        assert!(all.iter().all(|t| t.chars().count() == 3));
        let pairs = fours("0123456789");
        assert!(all.iter().all(|t| t.chars().all(|c| !pairs.contains(c) && is_private(c))));
        assert!(pairs.chars().all(is_private));
    }

    #[test]
    fn a_part_of_a_number_is_a_part_of_its_fours() {
        assert!(fours("14155550100").contains(&fours("5550")));
        assert!(!fours("14155550100").contains(&fours("5551")));
        assert_eq!(fours("0199").chars().collect::<Vec<_>>(), ['\u{F801}', '\u{F813}', '\u{F863}']);
    }
}
