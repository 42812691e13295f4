//! How a number's trunk is, as `trunkline explain` prints it: whether its carrier knows it, and where the hosts that it names are.

use serde::Deserialize;
use std::fmt;

/// The trunk's part of an explanation.
#[derive(Deserialize)]
pub(super) struct TrunkOut {
    registration: Option<RegistrationOut>,
    hosts: Vec<HostOut>,
}

#[derive(Deserialize)]
struct RegistrationOut {
    state: String,
    expires_at: Option<String>,
    next_attempt_at: Option<String>,
    problem: Option<String>,
}

#[derive(Deserialize)]
struct HostOut {
    name: String,
    addresses: Vec<String>,
    next_look_up_at: Option<String>,
    failing: bool,
}

/// A time to the second.
fn second(at: &str) -> &str {
    at.split('.').next().unwrap_or(at)
}

impl fmt::Display for TrunkOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(RegistrationOut { state, expires_at, next_attempt_at, problem }) = &self.registration {
            write!(f, "  trunk: {state}")?;
            expires_at.iter().try_for_each(|at| write!(f, " until {}Z", second(at)))?;
            next_attempt_at.iter().try_for_each(|at| write!(f, ", next try {}Z", second(at)))?;
            problem.iter().try_for_each(|problem| write!(f, ". {problem}"))?;
            writeln!(f)?;
        }
        for HostOut { name, addresses, next_look_up_at, failing } in &self.hosts {
            let known = if addresses.is_empty() { "not known".to_owned() } else { addresses.join(", ") };
            write!(f, "  trunk: {name} is {known}")?;
            next_look_up_at.iter().try_for_each(|at| write!(f, ", looked up next {}Z", second(at)))?;
            writeln!(f, "{}", if *failing { " (the last look-up found nothing)" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_is_told_in_a_line_for_each_thing() {
        let text = r#"{"registration": {"state": "refused", "expires_at": null, "next_attempt_at": "2026-03-01T12:00:00.250000Z",
            "problem": "The carrier refuses it."}, "hosts": [{"name": "sip.example.com", "addresses": [], "next_look_up_at": null,
            "failing": true}]}"#;
        let trunk: TrunkOut = serde_json::from_str(text).unwrap();
        let told = "  trunk: refused, next try 2026-03-01T12:00:00Z. The carrier refuses it.\n  \
                    trunk: sip.example.com is not known (the last look-up found nothing)\n";
        assert_eq!(trunk.to_string(), told);
    }
}
