//! The simulated carrier's numbers: of many countries, made by a rule, each valid by its numbering plan. Where a plan keeps
//! numbers for fiction, they are of those; elsewhere they are of a plain range, and are called by nobody: they never leave the
//! simulation.

use domain::e164::{Country, E164, NumberType};

/// A range of numbers of one country and type.
struct Range {
    country: &'static str,
    kind: NumberType,
    /// The digits before the counted ones, country code included; several are filled one after the other.
    prefixes: &'static [&'static str],
    /// The first count.
    from: u32,
    /// How many there are with each prefix.
    count: u32,
    /// How many digits the count has.
    digits: usize,
    /// What a number costs at the start, and each month, in cents.
    cents: (i64, i64),
    /// Whether the plan keeps the range for fiction.
    fiction: bool,
}

/// The ranges. North America: 555-0100 to 555-0199 of each area code (NANPA). Great Britain (but for mobile): Ofcom's numbers for drama. Australia:
/// ACMA's for fiction. Germany: the regulator's for drama. France: Arcep's for audiovisual works. The others have none that are valid.
const RANGES: &[Range] = &[
    fiction(
        "US",
        NumberType::Local,
        &["1415555", "1212555", "1312555", "1206555"],
        (100, 100, 4),
        (100, 115),
    ),
    range("US", NumberType::TollFree, &["1800555", "1888555"], (100, 100, 4), (200, 300)),
    fiction("CA", NumberType::Local, &["1416555", "1604555"], (100, 100, 4), (100, 115)),
    fiction("GB", NumberType::Local, &["44207946", "44161496", "44117496"], (0, 1_000, 4), (100, 125)),
    range("GB", NumberType::Mobile, &["447400"], (900_000, 1_000, 6), (150, 200)),
    fiction("GB", NumberType::TollFree, &["44808157"], (0, 1_000, 4), (200, 400)),
    range("NL", NumberType::Local, &["3120555"], (0, 1_000, 4), (200, 300)),
    fiction("AU", NumberType::Local, &["6125550", "6135550"], (0, 1_000, 4), (150, 250)),
    range("AU", NumberType::Mobile, &["61491570"], (0, 1_000, 3), (200, 600)),
    fiction("DE", NumberType::Local, &["4930231255"], (0, 100, 2), (200, 300)),
    fiction("FR", NumberType::Local, &["33199001"], (0, 1_000, 3), (200, 300)),
    range("NG", NumberType::Mobile, &["234803555"], (0, 1_000, 4), (300, 500)),
    range("KE", NumberType::Mobile, &["254712555"], (0, 1_000, 3), (300, 500)),
    range("AE", NumberType::Local, &["9714555"], (0, 1_000, 4), (500, 900)),
];

const fn range(
    country: &'static str,
    kind: NumberType,
    prefixes: &'static [&'static str],
    (from, count, digits): (u32, u32, usize),
    cents: (i64, i64),
) -> Range {
    Range { country, kind, prefixes, from, count, digits, cents, fiction: false }
}

/// A range that its plan keeps for fiction: nobody in the world has its numbers.
const fn fiction(
    country: &'static str,
    kind: NumberType,
    prefixes: &'static [&'static str],
    counted: (u32, u32, usize),
    cents: (i64, i64),
) -> Range {
    let plain = range(country, kind, prefixes, counted, cents);
    Range { fiction: true, ..plain }
}

/// A number that the carrier has, with its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The number.
    pub e164: E164,
    /// Its type; the plan alone cannot tell fixed from mobile everywhere.
    pub kind: NumberType,
    /// Paid once, in cents.
    pub setup_cents: i64,
    /// Paid each month, in cents.
    pub monthly_cents: i64,
}

/// The countries and types of which there are numbers.
pub fn kinds() -> impl Iterator<Item = (Country, NumberType)> {
    RANGES.iter().filter_map(|range| Some((Country::parse(range.country)?, range.kind)))
}

/// Those of which there are numbers that nobody in the world has.
pub fn kinds_of_fiction() -> impl Iterator<Item = (Country, NumberType)> {
    RANGES
        .iter()
        .filter(|range| range.fiction)
        .filter_map(|range| Some((Country::parse(range.country)?, range.kind)))
}

/// Their countries, each once.
pub fn countries_of_fiction() -> impl Iterator<Item = Country> {
    let mut last = None;
    // The ranges of a country stand together.
    kinds_of_fiction()
        .map(|(country, _)| country)
        .filter(move |country| last.replace(*country) != Some(*country))
}

/// The numbers of a country and type, in an order that a seed decides: the same seed, the same order.
pub fn offers(country: Country, kind: NumberType, seed: u64) -> Vec<Offer> {
    let ranges = RANGES.iter().filter(|r| r.country == country.as_str() && r.kind == kind);
    let mut offers: Vec<_> = ranges.flat_map(of_range).collect();
    // Sorted by a hash: shuffled, and by nothing but the seed.
    offers.sort_by_key(|offer| mixed(offer.e164.as_u64() ^ seed.rotate_left(17)));
    offers
}

fn of_range(range: &Range) -> impl Iterator<Item = Offer> {
    let numbers = range.prefixes.iter().flat_map(move |prefix| {
        (range.from..range.from + range.count)
            .map(move |n| format!("{prefix}{n:0width$}", width = range.digits))
    });
    let offer = |digits: String| {
        let (setup_cents, monthly_cents) = range.cents;
        E164::from_digits(&digits).map(|e164| Offer { e164, kind: range.kind, setup_cents, monthly_cents })
    };
    numbers.filter_map(offer)
}

/// `SplitMix64`'s finish: each bit of the input changes half of the output's.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_valid_of_its_country_and_type_and_there_once() {
        let mut seen = std::collections::HashSet::new();
        for (country, kind) in kinds() {
            let offers = offers(country, kind, 1);
            assert!(offers.len() >= 100, "{} {}", country.as_str(), kind.as_str());
            for offer in offers {
                let text = offer.e164.to_string();
                let (read, plan) = E164::parse(&text).unwrap_or_else(|_| panic!("{text} is not valid"));
                assert_eq!((read, plan.country, plan.kind), (offer.e164, country, kind), "{text}");
                assert!(seen.insert(text));
            }
        }
        assert!(kinds().count() >= 14);
    }

    #[test]
    fn a_seed_decides_the_order() {
        let country = Country::parse("US").unwrap();
        let order = |seed| offers(country, NumberType::Local, seed);
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
