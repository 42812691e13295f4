//! Emergency numbers: what is dialled for help. The phone library's port knows none, so they stand here as data.
//!
//! Mobile phones treat a few as such everywhere (3GPP TS 22.101 section 10.1.1); each country has its own besides. Only what a
//! caller in that country may dial counts: 110 is the police in Germany and nobody in the United States.

use std::fmt;

use crate::e164::Country;

/// Emergency numbers everywhere.
const EVERYWHERE: [&str; 7] = ["112", "911", "999", "000", "110", "118", "119"];

/// Of countries, beyond [`EVERYWHERE`]; the first is dialled where only the service is named (RFC 5031).
#[rustfmt::skip]
const OF_COUNTRIES: [(&str, &[&str]); 56] = [
    ("AE", &["999", "997", "998", "996"]), ("AR", &["911", "100", "101", "107"]), ("AT", &["112", "122", "133", "144", "140", "141"]),
    ("AU", &["000", "106"]), ("BE", &["112", "100", "101"]), ("BR", &["190", "192", "193", "191", "197", "199"]),
    ("CA", &["911"]), ("CH", &["112", "117", "118", "144", "1414"]), ("CL", &["133", "131", "132"]),
    ("CN", &["110", "119", "120", "122"]), ("CO", &["123"]), ("CZ", &["112", "150", "155", "156", "158"]),
    ("DE", &["112", "110"]), ("DK", &["112"]), ("EG", &["122", "123", "180"]), ("ES", &["112", "061", "062", "080", "085", "091", "092"]),
    ("FI", &["112"]), ("FR", &["112", "15", "17", "18", "114", "115", "191", "196", "197"]), ("GB", &["999", "112", "18000"]),
    ("GH", &["112", "191", "192", "193"]), ("GR", &["112", "100", "108", "166", "199"]), ("HK", &["999", "992"]),
    ("HU", &["112", "104", "105", "107"]), ("ID", &["112", "110", "113", "115", "118", "119"]), ("IE", &["112", "999"]),
    ("IL", &["100", "101", "102"]), ("IN", &["112", "100", "101", "102", "108"]), ("IT", &["112", "113", "115", "118"]),
    ("JP", &["110", "118", "119"]), ("KE", &["999", "112", "911"]), ("KR", &["112", "119", "113", "118"]),
    ("MX", &["911", "066"]), ("MY", &["999", "991", "994"]), ("NG", &["112", "199", "767"]), ("NL", &["112"]),
    ("NO", &["112", "110", "113"]), ("NZ", &["111"]), ("PH", &["911", "117"]), ("PK", &["15", "16", "115", "1122"]),
    ("PL", &["112", "997", "998", "999"]), ("PT", &["112"]), ("RO", &["112"]), ("RU", &["112", "101", "102", "103"]),
    ("SA", &["911", "997", "998", "999"]), ("SE", &["112", "90000"]), ("SG", &["999", "995"]), ("SK", &["112", "150", "155", "158"]),
    ("TH", &["191", "199", "1669"]), ("TR", &["112", "110", "155", "156", "177"]), ("TW", &["110", "119"]),
    ("TZ", &["112", "114", "115"]), ("UA", &["112", "101", "102", "103", "104"]), ("UG", &["999", "112"]),
    ("US", &["911", "933"]), ("VN", &["113", "114", "115"]), ("ZA", &["112", "10111", "10177", "107"]),
];

/// An emergency number, as it is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emergency(&'static str);

impl Emergency {
    /// What was dialled by a caller in a country, if it calls for help: the digits alone, with visual separators, behind the
    /// country's own calling code (`+1911`), or the service's name (`urn:service:sos`, RFC 5031).
    pub fn dialled(user: &str, country: Country) -> Option<Self> {
        let own = OF_COUNTRIES.iter().find(|(code, _)| *code == country.as_str()).map_or(&[][..], |(_, n)| n);
        if user.get(..15).is_some_and(|head| head.eq_ignore_ascii_case("urn:service:sos")) {
            return own.first().or(EVERYWHERE.first()).map(|digits| Self(digits));
        }
        // Longer is none of them, with any calling code before it.
        if user.len() > 24 {
            return None;
        }
        let digits: String = user.chars().filter(char::is_ascii_digit).collect();
        let behind = country.calling_code().and_then(|code| digits.strip_prefix(&code.to_string()));
        let local = if user.starts_with('+') { behind? } else { &digits };
        let plain = user.bytes().all(|b| b.is_ascii_digit() || b"+-.() ".contains(&b));
        let known = own.iter().chain(&EVERYWHERE).find(|number| **number == local);
        known.filter(|_| plain).map(|number| Self(number))
    }
}

impl fmt::Display for Emergency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_known_in_the_forms_it_is_dialled_in() {
        let of = |user, country: &str| {
            Emergency::dialled(user, Country::parse(country).unwrap()).map(|e| e.to_string())
        };
        for (user, country, digits) in [
            ("911", "US", Some("911")),
            ("9-1-1", "US", Some("911")),
            ("+1911", "US", Some("911")),
            ("+44999", "GB", Some("999")),
            ("112", "NG", Some("112")),
            ("000", "AU", Some("000")),
            ("18", "FR", Some("18")),
            ("urn:service:sos.fire", "DE", Some("112")),
            ("urn:service:sos", "XK", Some("112")),
            ("18", "US", None),
            ("+1911", "GB", None),
            ("+14155550911", "US", None),
            ("911911", "US", None),
            ("a911", "US", None),
            ("", "US", None),
        ] {
            assert_eq!(of(user, country).as_deref(), digits, "{user} {country}");
        }
    }

    #[test]
    fn every_country_of_the_table_is_one_and_stands_once() {
        for (at, (code, numbers)) in OF_COUNTRIES.iter().enumerate() {
            assert!(Country::parse(code).is_some() && !numbers.is_empty(), "{code}");
            assert!(OF_COUNTRIES[..at].iter().all(|(other, _)| other < code), "{code}: in order, once");
        }
    }
}
