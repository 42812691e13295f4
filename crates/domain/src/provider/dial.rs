//! What a call looks like to the trunk it goes out by: carriers differ in how they want numbers written, and in what else they
//! want to be told.

use super::{Error, Result, What};
use crate::header;
use crate::outbound::Destination;

/// How a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    /// With the plus sign, `+14155550100`.
    #[default]
    E164,
    /// The digits alone, `14155550100`.
    Plain,
}

impl NumberFormat {
    /// The forms with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::E164, "e164"), (Self::Plain, "plain")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// What From shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FromForm {
    /// What the agent wrote, byte for byte.
    #[default]
    AsSent,
    /// The number that calls, for carriers that look there; an agent that is `anonymous` stays so.
    Number,
}

impl FromForm {
    /// The forms with their names.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::AsSent, "as_sent"), (Self::Number, "number")];

    /// The name.
    pub fn as_str(self) -> &'static str {
        crate::event::name_of(&Self::NAMES, self)
    }

    /// By name.
    pub fn parse(text: &str) -> Option<Self> {
        crate::event::by_name(&Self::NAMES, text)
    }
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialForm {
    /// How numbers are written.
    pub number_format: NumberFormat,
    /// What stands before the number, such as a tech prefix; emergency numbers go without.
    pub prefix: String,
    /// Headers that are added to each call.
    pub headers: Vec<(String, String)>,
    /// What From shows.
    pub from: FromForm,
}

impl DialForm {
    /// The longest prefix.
    pub const PREFIX_MAX: usize = 16;
    /// The most headers.
    pub const HEADERS_MAX: usize = 16;
    /// The longest value of a header.
    pub const HEADER_VALUE_MAX: usize = 255;

    /// The user part of a call's Request-URI.
    pub fn user(&self, to: Destination) -> String {
        match (to, self.number_format) {
            (Destination::Emergency(digits), _) => digits.to_string(),
            (Destination::Number(e164, _), NumberFormat::E164) => format!("{}{e164}", self.prefix),
            (Destination::Number(e164, _), NumberFormat::Plain) => {
                format!("{}{}", self.prefix, e164.as_u64())
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |words: String| Err(Error::invalid(What::Provider, "outbound", words));
        let digit = |b: u8| b.is_ascii_digit() || b"*+".contains(&b);
        if self.prefix.len() > Self::PREFIX_MAX || !self.prefix.bytes().all(digit) {
            let most = Self::PREFIX_MAX;
            return refuse(format!("`outbound.prefix` must be at most {most} of the digits, * and +."));
        }
        if self.headers.len() > Self::HEADERS_MAX {
            return refuse(format!("`outbound.headers` may have at most {} entries.", Self::HEADERS_MAX));
        }
        for (name, value) in &self.headers {
            // what rings is the phone's own (RFC 3261 section 20.4)
            if !header::is_free(name) || name.eq_ignore_ascii_case("alert-info") {
                let name = name.escape_debug();
                return refuse(format!(
                    "`outbound.headers`: `{name}` is each call's own, or no name of a header of two letters and more, and cannot be set."
                ));
            }
            if value.len() > Self::HEADER_VALUE_MAX || value.chars().any(char::is_control) {
                let most = Self::HEADER_VALUE_MAX;
                return refuse(format!(
                    "`outbound.headers.{name}` must be at most {most} bytes in one line."
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::e164::{Country, E164};
    use crate::emergency::Emergency;
    use crate::provider::Outbound;
    use crate::target::Transport;

    #[test]
    fn numbers_are_written_as_the_trunk_wants_them() {
        let us = Country::parse("US").unwrap();
        let to = Destination::Number(E164::from_u64(14_155_550_100).unwrap(), us);
        let mut outbound = Outbound::new("carrier.example:5070".into(), Transport::Tcp);
        assert_eq!(outbound.request_uri(to), "sip:+14155550100@carrier.example:5070;transport=tcp");
        outbound.dial =
            DialForm { number_format: NumberFormat::Plain, prefix: "99*".into(), ..DialForm::default() };
        outbound.transport = Transport::Udp;
        assert_eq!(outbound.request_uri(to), "sip:99*14155550100@carrier.example:5070");
        let help = Destination::Emergency(Emergency::dialled("911", us).unwrap());
        assert_eq!(outbound.request_uri(help), "sip:911@carrier.example:5070");
    }

    #[test]
    fn what_would_break_a_call_is_no_form_of_one() {
        let headers = |name: &str, value: &str| DialForm {
            headers: vec![(name.to_owned(), value.to_owned())],
            ..DialForm::default()
        };
        assert!(headers("X-Telnyx-Token", "abc").check().is_ok() && DialForm::default().check().is_ok());
        for bad in [
            headers("X Y", "a"),
            headers("", "a"),
            headers("From", "<sip:a@b>"),
            headers("f", "<sip:a@b>"),
            headers("Session-Expires", "90"),
            headers("x", "90"),
            headers("P-Asserted-Identity", "<sip:a@b>"),
            headers("X-A", "a\r\nVia: b"),
            headers("X-A", &"a".repeat(256)),
            DialForm { prefix: "12;x".into(), ..DialForm::default() },
            DialForm { prefix: "1".repeat(17), ..DialForm::default() },
            DialForm { headers: vec![("X-A".into(), String::new()); 17], ..DialForm::default() },
        ] {
            assert_eq!(bad.check().unwrap_err().field, Some("outbound"), "{bad:?}");
        }
    }
}
