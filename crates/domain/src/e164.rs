//! Phone numbers in E.164 (ITU-T E.164: at most 15 digits), and what the numbering plan says of them.
//!
//! The plan's data and rules come from Google's libphonenumber in its Rust port. The call path never calls it: a dialled
//! number is compared as an integer ([`E164::dialled`]).

use rlibphonenumber::enums::Region;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use std::fmt;

use crate::error::{Error, Result, What};

/// A phone number: its digits with the country code, as an integer (15 digits fit).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(u64);

/// A country as ISO 3166-1 alpha-2, or `001` for numbers of no country (such as +800).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country([u8; 3], u8);

/// What kind of number it is, as all dialects name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NumberType {
    /// A geographic number; also where the plan cannot tell fixed from mobile.
    Local,
    /// A mobile number.
    Mobile,
    /// Free for the caller.
    TollFree,
}

impl NumberType {
    /// The types with their names.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Local, "local"), (Self::Mobile, "mobile"), (Self::TollFree, "toll_free")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

impl Country {
    /// A country by its two letters (any case), if libphonenumber knows it.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 2 && text != "001" {
            return None;
        }
        let upper = text.to_ascii_uppercase();
        let region = Region::from_code(&upper).ok()?;
        Some(Self::from_text(region.as_region_str().as_str()))
    }

    fn from_text(text: &str) -> Self {
        let mut bytes = [0; 3];
        let len = text.len().min(3);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self(bytes, u8::try_from(len).unwrap_or(3))
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..usize::from(self.1)]).unwrap_or("")
    }

    /// The country calling code, such as 44; `None` where there is none.
    pub fn calling_code(&self) -> Option<u16> {
        let region = Region::from_code(self.as_str()).ok()?;
        PHONE_NUMBER_UTIL.get_country_code_for_region(region).and_then(|code| u16::try_from(code).ok())
    }
}

/// What the numbering plan says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The country it belongs to.
    pub country: Country,
    /// Its type.
    pub kind: NumberType,
}

impl E164 {
    /// The most digits of a number, country code included.
    pub const DIGITS_MAX: usize = 15;

    /// Reads a number in international form (`+1 415 555 0100`), checks it against the numbering plan and says what it is.
    /// Spaces and the visual separators `-.()/` are allowed; letters, extensions and numbers outside the plan are not.
    pub fn parse(text: &str) -> Result<(Self, Plan)> {
        let bad = || {
            let words = "The number is not a valid phone number in E.164 form, such as +14155550100.";
            Error::invalid(What::Number, "e164", words)
        };
        let text = text.trim();
        let plain = text.len() <= 40
            && text.bytes().all(|b| b.is_ascii_digit() || b" +-.()/".contains(&b))
            && text.starts_with('+');
        if !plain {
            return Err(bad());
        }
        Self::planned(text, None).ok_or_else(bad)
    }

    /// The number that somebody in a country dials, in the forms usual there: `+44 20 7183 8750`, the country's own prefix for
    /// other countries (`011 44 20…`), its national form (`(415) 555-0100`, `020 7183 8750`), or the digits with the country code
    /// and nothing before them. Only numbers of the plan; a few microseconds.
    pub fn national(user: &str, country: Country) -> Option<(Self, Plan)> {
        let plain = user.len() <= 40 && user.bytes().all(|b| b.is_ascii_digit() || b" +-.()/".contains(&b));
        if !plain {
            return None;
        }
        if user.starts_with('+') {
            return Self::planned(user, None);
        }
        let region = Region::from_code(country.as_str()).ok();
        region
            .and_then(|region| Self::planned(user, Some(region)))
            .or_else(|| Self::planned(&format!("+{user}"), None))
    }

    /// What the numbering plan says of it; none of what is not in the plan.
    pub fn plan(self) -> Option<Plan> {
        Self::planned(&self.to_string(), None).map(|(_, plan)| plan)
    }

    fn planned(text: &str, from: Option<Region>) -> Option<(Self, Plan)> {
        let parsed = PHONE_NUMBER_UTIL.parse(text, from).ok()?;
        if !PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
            return None;
        }
        let digits = parsed.format_as(PhoneNumberFormat::E164);
        let number = Self::from_digits(digits.trim_start_matches('+'))?;
        let region = PHONE_NUMBER_UTIL.get_region_for_number(&parsed);
        let country = region
            .map_or_else(|| Country::from_text("001"), |r| Country::from_text(r.as_region_str().as_str()));
        let kind = match PHONE_NUMBER_UTIL.get_number_type(&parsed) {
            PhoneNumberType::Mobile => NumberType::Mobile,
            PhoneNumberType::TollFree => NumberType::TollFree,
            // Fixed-line-or-mobile counts as local; so does every rarer type, since the dialects know only three.
            PhoneNumberType::FixedLine
            | PhoneNumberType::FixedLineOrMobile
            | PhoneNumberType::PremiumRate
            | PhoneNumberType::SharedCost
            | PhoneNumberType::VoIP
            | PhoneNumberType::PersonalNumber
            | PhoneNumberType::Pager
            | PhoneNumberType::UAN
            | PhoneNumberType::VoiceMail
            | PhoneNumberType::Unknown => NumberType::Local,
        };
        Some((number, Plan { country, kind }))
    }

    /// From digits alone; `None` unless there are 2 to 15 of them and the first is not 0.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let shaped = (2..=Self::DIGITS_MAX).contains(&digits.len()) && !digits.starts_with('0');
        (shaped && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse().ok().map(Self))
            .flatten()
    }

    /// The number a caller dialled, as far as its form tells: `+1415…`, `1415…`, `001415…`, with visual separators
    /// (RFC 3966 section 5.1.1). `context` is a `phone-context` that begins with `+`, put before a local number.
    /// Reads no plan and allocates nothing: it stands on the call path. `None` for what is no number.
    pub fn dialled(user: &str, context: Option<&str>) -> Option<Self> {
        let mut value: u64 = 0;
        let mut digits = 0;
        let mut push = |text: &str| {
            for byte in text.bytes() {
                match byte {
                    b'0'..=b'9' => {
                        // A leading zero is an international prefix (00) or nothing we can place.
                        value = value * 10 + u64::from(byte - b'0');
                        digits += 1;
                    }
                    b'-' | b'.' | b'(' | b')' | b' ' => {}
                    _ => return None,
                }
                if digits > Self::DIGITS_MAX {
                    return None;
                }
            }
            Some(())
        };
        let (prefix, rest) = match (user.strip_prefix('+'), context.and_then(|c| c.strip_prefix('+'))) {
            (Some(rest), _) => ("", rest),
            (None, Some(context)) => (context, user),
            (None, None) => ("", user.strip_prefix("00").unwrap_or(user)),
        };
        if prefix.starts_with('0') || (prefix.is_empty() && rest.starts_with('0')) {
            return None;
        }
        push(prefix)?;
        push(rest)?;
        (digits >= 2).then_some(Self(value))
    }

    /// The digits as an integer.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// From an integer made by [`Self::as_u64`]; `None` beyond 15 digits.
    pub fn from_u64(value: u64) -> Option<Self> {
        (10..=999_999_999_999_999).contains(&value).then_some(Self(value))
    }

    /// All but the country code's first digit and the last two digits hidden: the form for logs.
    pub fn redacted(self) -> String {
        let digits = self.0.to_string();
        let hidden = digits.len().saturating_sub(3);
        format!("+{}{}{}", &digits[..1], "•".repeat(hidden), &digits[digits.len() - 2..])
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// Debug prints are for logs: they hide the subscriber.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({})", self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_plan_tells_country_and_type() {
        let of = |text: &str| {
            E164::parse(text).map(|(n, p)| (n.to_string(), p.country.as_str().to_owned(), p.kind)).ok()
        };
        let row = |n: &str, c: &str, k| Some((n.to_owned(), c.to_owned(), k));
        assert_eq!(of("+1 (415) 555-0100"), row("+14155550100", "US", NumberType::Local));
        assert_eq!(of("+14152000000"), row("+14152000000", "US", NumberType::Local));
        assert_eq!(of("+18005550199"), row("+18005550199", "US", NumberType::TollFree));
        assert_eq!(of("+442071838750"), row("+442071838750", "GB", NumberType::Local));
        assert_eq!(of("+447400123456"), row("+447400123456", "GB", NumberType::Mobile));
        assert_eq!(of("+2348012345678"), row("+2348012345678", "NG", NumberType::Mobile));
        assert_eq!(of("+390612345678"), row("+390612345678", "IT", NumberType::Local));
        assert_eq!(of("+80012345678"), row("+80012345678", "001", NumberType::TollFree));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "+",
            "+1",
            "911",
            "4155550100",
            "+1415555010",
            "+1 800 FLOWERS",
            "+14155550100;ext=5",
            "+141555501000000000",
        ] {
            assert!(E164::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn national_forms_are_read_by_the_country_they_are_dialled_in() {
        for (user, country, number) in [
            ("+442071838750", "US", Some("+442071838750")),
            ("011442071838750", "US", Some("+442071838750")),
            ("(415) 555-0100", "US", Some("+14155550100")),
            ("14155550100", "US", Some("+14155550100")),
            ("442071838750", "US", Some("+442071838750")),
            ("020 7183 8750", "GB", Some("+442071838750")),
            ("00442071838750", "DE", Some("+442071838750")),
            ("08012345678", "NG", Some("+2348012345678")),
            ("5550100", "US", None),
            ("911", "US", None),
            ("alice", "US", None),
            ("", "US", None),
            ("+", "US", None),
        ] {
            let read = E164::national(user, Country::parse(country).unwrap());
            assert_eq!(read.map(|(n, _)| n.to_string()).as_deref(), number, "{user} {country}");
        }
        let (_, plan) = E164::national("020 7183 8750", Country::parse("GB").unwrap()).unwrap();
        assert_eq!(plan.country.as_str(), "GB");
        assert_eq!(E164::from_u64(442_071_838_750).unwrap().plan(), Some(plan));
        assert_eq!(E164::from_u64(10).unwrap().plan(), None);
    }

    #[test]
    fn dialled_forms_are_one_number() {
        let number = E164::parse("+14155550100").unwrap().0;
        for user in ["+14155550100", "14155550100", "0014155550100", "+1-415-555-0100", "+1.415.(555)0100"] {
            assert_eq!(E164::dialled(user, None), Some(number), "{user}");
        }
        assert_eq!(E164::dialled("4155550100", Some("+1")), Some(number));
        assert_eq!(E164::dialled("+14155550100", Some("+44")), Some(number));
        for user in ["", "1", "alice", "+", "04155550100", "+014155550100", "1415555010012345678", "+1415x"] {
            assert_eq!(E164::dialled(user, None), None, "{user}");
        }
    }

    proptest! {
        #[test]
        fn dialling_what_is_printed_gives_the_same_number(value in 10u64..999_999_999_999_999) {
            let number = E164::from_u64(value).unwrap();
            prop_assert_eq!(E164::dialled(&number.to_string(), None), Some(number));
            prop_assert_eq!(E164::from_digits(&value.to_string()), Some(number));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            drop(E164::parse(&text));
            let _number = E164::dialled(&text, Some(&text));
            let _number = E164::national(&text, Country::parse("GB").unwrap());
        }
    }
}
