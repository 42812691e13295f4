//! Rules by who calls. The first that fits counts.

use crate::E164;
use crate::ids::EndpointId;
use crate::routing::CallerShown;

/// Which callers a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerIs {
    /// This number.
    Number(E164),
    /// Numbers that begin with these digits, country code first.
    Prefix(String),
    /// Callers that show no number.
    Anonymous,
    /// Everybody.
    All,
}

impl CallerIs {
    /// Reads `+12125550100`, `+1212*`, `anonymous` or `all`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "anonymous" => return Some(Self::Anonymous),
            "all" => return Some(Self::All),
            _ => {}
        }
        let digits = text.strip_prefix('+')?;
        match digits.strip_suffix('*') {
            None => E164::from_digits(digits).map(Self::Number),
            Some(prefix) => {
                let shaped = (1..E164::DIGITS_MAX).contains(&prefix.len()) && !prefix.starts_with('0');
                (shaped && prefix.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| Self::Prefix(prefix.to_owned()))
            }
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Prefix(digits) => format!("+{digits}*"),
            Self::Anonymous => "anonymous".to_owned(),
            Self::All => "all".to_owned(),
        }
    }

    /// Whether a caller is one of them. A question that is about no caller in particular is about those of no rule but `all`.
    pub fn fits(&self, caller: CallerShown) -> bool {
        match (self, caller) {
            (Self::All, _) | (Self::Anonymous, CallerShown::Number(None)) => true,
            (Self::Number(number), CallerShown::Number(Some(caller))) => *number == caller,
            (Self::Prefix(digits), CallerShown::Number(Some(caller))) => {
                begins(caller.as_u64(), digits.parse().unwrap_or(u64::MAX))
            }
            (Self::Number(_) | Self::Prefix(_) | Self::Anonymous, _) => false,
        }
    }
}

/// Whether the digits of one number begin with those of another. No text is made: this is asked while a caller waits.
fn begins(mut number: u64, prefix: u64) -> bool {
    while number > prefix {
        number /= 10;
    }
    number == prefix
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on as any other: no later rule is looked at.
    Allow,
    /// It is refused with this status.
    Refuse(u16),
    /// It goes to this endpoint.
    Endpoint(EndpointId),
}

/// A rule by who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerRule {
    /// Who.
    pub from: CallerIs,
    /// What becomes of the call.
    pub then: Then,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_apart() {
        let shown = |digits| CallerShown::Number(E164::from_digits(digits));
        let rows = [
            ("+12125550100", "12125550100", true),
            ("+12125550100", "12125550101", false),
            ("+1212*", "12125550100", true),
            ("+1212*", "12145550100", false),
            ("+1212*", "121", false),
            ("+1*", "12125550100", true),
            ("+4*", "12125550100", false),
            ("anonymous", "12125550100", false),
            ("anonymous", "", true),
            ("all", "", true),
            ("all", "12125550100", true),
            ("+1212*", "", false),
        ];
        for (rule, caller, fits) in rows {
            assert_eq!(CallerIs::parse(rule).unwrap().fits(shown(caller)), fits, "{rule} {caller}");
            assert_eq!(CallerIs::parse(rule).unwrap().text(), rule);
        }
        assert!(!CallerIs::parse("+1*").unwrap().fits(CallerShown::Anyone));
        assert!(CallerIs::All.fits(CallerShown::Anyone));
    }

    #[test]
    fn half_callers_are_refused() {
        for text in [
            "",
            "+",
            "*",
            "+*",
            "+0*",
            "+01*",
            "1212*",
            "+12a*",
            "+1212**",
            "ALL",
            "+1234567890123456",
            "+123456789012345*",
        ] {
            assert_eq!(CallerIs::parse(text), None, "{text}");
        }
    }
}
