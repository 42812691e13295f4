//! The simulated carrier's books: which number it sold to us, and how the next purchases are to go.

use domain::E164;
use domain::e164::Country;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::record::{Line, Record};

/// The most behaviours that wait to be used.
const BEHAVIOURS_MAX: usize = 1_000;
/// As many refused orders are remembered: one that is repeated is refused again.
const REFUSED_MAX: usize = 10_000;
/// A record of more lines is written anew when it is opened, where half of them would do.
const COMPACT_FROM: usize = 1_000;

/// How far a sale is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sale {
    /// The number is ours.
    Sold,
    /// It is on its way.
    Pending,
    /// It was not sold to this order.
    Refused,
    /// It was given back.
    Returned,
}

/// What becomes of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Sold.
    Deliver,
    /// Refused.
    Refuse,
    /// Pending until it is settled.
    Pend,
}

/// Which purchases are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// Of this number.
    Number(E164),
    /// Of numbers of this country.
    Country(Country),
    /// All.
    All,
}

/// How purchases go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// Which.
    pub(crate) selector: Selector,
    /// What becomes of them.
    pub(crate) verdict: Verdict,
    /// How long the carrier takes for its answer.
    pub(crate) delay: Duration,
    /// For how many purchases; none: until something else is said.
    pub(crate) times: Option<u32>,
}

/// What stands under a number.
#[derive(Clone, Debug)]
struct Entry {
    sale: Sale,
    reference: String,
    /// How often it was sold in all.
    times_sold: u64,
}

/// See the module's head.
pub(super) struct Orders {
    record: Record,
    numbers: BTreeMap<E164, Entry>,
    refused: VecDeque<String>,
    behaviours: Vec<Behaviour>,
}

impl Orders {
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let (numbers, refused) = (BTreeMap::new(), VecDeque::new());
        let mut orders = Self { record: Record::at(path), numbers, refused, behaviours: Vec::new() };
        let lines = orders.record.lines()?;
        for line in &lines {
            orders.apply(line);
        }
        let standing = orders.numbers.len() + orders.refused.len();
        if lines.len() > COMPACT_FROM && lines.len() > 2 * standing {
            let lines = orders.standing();
            if let Err(error) = orders.record.replace(&lines) {
                tracing::warn!(error = %error, "the simulated carrier's record stays long");
            }
        }
        Ok(orders)
    }

    /// As few lines as come to the same books.
    fn standing(&self) -> Vec<Line> {
        let own = self.numbers.values().filter(|entry| entry.sale == Sale::Refused);
        let own: HashSet<&str> = own.map(|entry| entry.reference.as_str()).collect();
        let refused = self.refused.iter().filter(|reference| !own.contains(reference.as_str()));
        let numbers = self
            .numbers
            .iter()
            .map(|(number, entry)| Line::of(*number, &entry.reference, entry.sale).sold(entry.times_sold));
        refused.map(|reference| Line::refused(reference)).chain(numbers).collect()
    }

    fn apply(&mut self, line: &Line) {
        let Line { number, reference, sale, times_sold, .. } = line;
        if *sale == Sale::Refused {
            if self.refused.len() >= REFUSED_MAX {
                self.refused.pop_front();
            }
            self.refused.push_back(reference.clone());
        }
        let Some(number) = E164::from_digits(number.trim_start_matches('+')) else { return };
        let entry = self.numbers.entry(number).or_insert_with(|| Entry {
            sale: Sale::Refused,
            reference: String::new(),
            times_sold: 0,
        });
        entry.times_sold = times_sold.unwrap_or(entry.times_sold + u64::from(*sale == Sale::Sold));
        (entry.sale, entry.reference) = (*sale, reference.clone());
    }

    /// On the record first, then in the books.
    fn write(&mut self, number: E164, reference: &str, sale: Sale) -> io::Result<()> {
        let line = Line::of(number, reference, sale);
        self.record.append(&line)?;
        self.apply(&line);
        Ok(())
    }

    pub(super) fn sale(&self, number: E164) -> Option<Sale> {
        self.numbers.get(&number).map(|entry| entry.sale)
    }

    /// How a new purchase goes, used up by asking; none for a repeat, which goes as the first did.
    pub(super) fn behaviour(&mut self, number: E164, reference: &str) -> Option<Behaviour> {
        let known = self.numbers.get(&number).is_some_and(|entry| entry.reference == reference);
        if known || self.refused.iter().any(|refused| refused == reference) {
            return None;
        }
        let country = E164::parse(&number.to_string()).ok().map(|(_, plan)| plan.country);
        let fits = |behaviour: &Behaviour| match behaviour.selector {
            Selector::Number(named) => named == number,
            Selector::Country(named) => Some(named) == country,
            Selector::All => true,
        };
        // The last that was said counts first.
        let at = self.behaviours.iter().rposition(fits)?;
        let behaviour = self.behaviours[at];
        if let Some(times) = &mut self.behaviours[at].times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.behaviours.remove(at);
            }
        }
        Some(behaviour)
    }

    /// Sells a number, or does not. The same order again gives what it gave; a number that is ours already stays ours.
    pub(super) fn buy(&mut self, number: E164, reference: &str, verdict: Verdict) -> io::Result<Sale> {
        if self.refused.iter().any(|refused| refused == reference) {
            return Ok(Sale::Refused);
        }
        if let Some(sale @ (Sale::Sold | Sale::Pending)) = self.sale(number) {
            return Ok(sale);
        }
        let sale = match verdict {
            Verdict::Deliver => Sale::Sold,
            Verdict::Refuse => Sale::Refused,
            Verdict::Pend => Sale::Pending,
        };
        self.write(number, reference, sale).map(|()| sale)
    }

    pub(super) fn release(&mut self, number: E164) -> io::Result<()> {
        match self.numbers.get(&number) {
            Some(Entry { sale: Sale::Sold | Sale::Pending, reference, .. }) => {
                let reference = reference.clone();
                self.write(number, &reference, Sale::Returned)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn settle(&mut self, number: E164, delivered: bool) -> io::Result<bool> {
        let Some(Entry { sale: Sale::Pending, reference, .. }) = self.numbers.get(&number) else {
            return Ok(false);
        };
        let reference = reference.clone();
        self.write(number, &reference, if delivered { Sale::Sold } else { Sale::Refused })?;
        Ok(true)
    }

    /// False where too many behaviours wait.
    pub(super) fn behave(&mut self, behaviour: Behaviour) -> bool {
        // What is said without an end takes the place of all that was said of the same purchases.
        self.behaviours.retain(|known| known.selector != behaviour.selector || behaviour.times.is_some());
        if self.behaviours.len() >= BEHAVIOURS_MAX {
            return false;
        }
        self.behaviours.push(behaviour);
        true
    }

    /// Numbers that are ours or on their way, behind one of them.
    pub(super) fn ours(&self, after: Option<E164>, limit: usize) -> Vec<E164> {
        let ours = self.numbers.iter().filter(|(_, entry)| matches!(entry.sale, Sale::Sold | Sale::Pending));
        ours.map(|(number, _)| *number).filter(|n| after.is_none_or(|after| *n > after)).take(limit).collect()
    }

    pub(super) fn books(&self) -> serde_json::Value {
        let row = |(number, entry): (&E164, &Entry)| {
            let Entry { sale, reference, times_sold } = entry;
            serde_json::json!({"e164": number.to_string(), "state": sale, "reference": reference, "times_sold": times_sold})
        };
        self.numbers.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn number(last: u64) -> E164 {
        E164::from_u64(14_155_550_100 + last).unwrap()
    }

    #[test]
    fn orders_are_what_they_were_after_a_restart() {
        let path = std::env::temp_dir().join(format!("trunkline-sim-carrier-{}", clock::id()));
        let mut orders = Orders::open(path.clone()).unwrap();
        assert_eq!(orders.buy(number(0), "a", Verdict::Deliver).unwrap(), Sale::Sold);
        assert_eq!(orders.buy(number(0), "b", Verdict::Refuse).unwrap(), Sale::Sold, "ours stays ours");
        assert_eq!(orders.buy(number(1), "c", Verdict::Refuse).unwrap(), Sale::Refused);
        assert_eq!(
            orders.buy(number(1), "c", Verdict::Deliver).unwrap(),
            Sale::Refused,
            "one order, one answer"
        );
        assert_eq!(orders.buy(number(2), "d", Verdict::Pend).unwrap(), Sale::Pending);
        orders.release(number(0)).unwrap();
        orders.release(number(7)).unwrap();
        let mut again = Orders::open(path.clone()).unwrap();
        assert_eq!(again.books(), orders.books());
        assert_eq!(again.ours(None, 9), [number(2)]);
        assert_eq!(again.buy(number(1), "c", Verdict::Deliver).unwrap(), Sale::Refused);
        assert!(again.settle(number(2), true).unwrap() && !again.settle(number(2), true).unwrap());
        assert_eq!(again.sale(number(2)), Some(Sale::Sold));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_record_that_has_grown_long_is_written_anew() {
        let path = std::env::temp_dir().join(format!("trunkline-sim-carrier-{}", clock::id()));
        let mut orders = Orders::open(path.clone()).unwrap();
        for turn in 0..600 {
            orders.buy(number(0), &format!("a{turn}"), Verdict::Deliver).unwrap();
            orders.release(number(0)).unwrap();
        }
        orders.buy(number(1), "refused first", Verdict::Refuse).unwrap();
        orders.buy(number(1), "then sold", Verdict::Deliver).unwrap();
        orders.buy(number(2), "refused", Verdict::Refuse).unwrap();
        let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
        assert_eq!(lines(), 1_203);
        for _ in 0..2 {
            let mut again = Orders::open(path.clone()).unwrap();
            assert_eq!((lines(), again.books()), (4, orders.books()));
            for (of, reference) in [(1, "refused first"), (2, "refused")] {
                let told = again.buy(number(of), reference, Verdict::Deliver).unwrap();
                assert_eq!(told, Sale::Refused, "one order, one answer");
            }
        }
        let mut again = Orders::open(path.clone()).unwrap();
        again.buy(number(0), "once more", Verdict::Deliver).unwrap();
        assert_eq!((lines(), Orders::open(path.clone()).unwrap().books()), (5, again.books()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_was_said_last_counts_first_and_as_often_as_was_said() {
        let mut orders = Orders::open(std::env::temp_dir().join(format!("none-{}", clock::id()))).unwrap();
        let say = |verdict, times, selector| Behaviour { selector, verdict, delay: Duration::ZERO, times };
        assert!(orders.behave(say(Verdict::Pend, None, Selector::All)));
        assert!(orders.behave(say(Verdict::Refuse, Some(1), Selector::Number(number(0)))));
        let mut verdict = |reference: &str| orders.behaviour(number(0), reference).map(|b| b.verdict);
        assert_eq!((verdict("a"), verdict("b")), (Some(Verdict::Refuse), Some(Verdict::Pend)));
        assert!(orders.behave(say(Verdict::Deliver, None, Selector::All)));
        assert_eq!(orders.behaviour(number(0), "c").map(|b| b.verdict), Some(Verdict::Deliver));
    }
}
