//! Header lines that a tenant may have added to calls: which names are free.

/// What a call's own lines are: the edge writes or reads them.
const OWN: [&str; 30] = [
    "accept",
    "allow",
    "authorization",
    "call-id",
    "contact",
    "content-encoding",
    "content-length",
    "content-type",
    "cseq",
    "date",
    "from",
    "identity",
    "max-forwards",
    "min-se",
    "p-asserted-identity",
    "path",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-require",
    "rack",
    "record-route",
    "refer-to",
    "replaces",
    "require",
    "route",
    "rseq",
    "session-expires",
    "supported",
    "to",
    "via",
];

/// The longest name, in bytes.
pub(crate) const NAME_MAX: usize = 64;

/// Whether it is a name that a line may have beside a call's own: none of those, in neither its long form nor the short one, which
/// is a letter (RFC 3261 section 7.3.3).
pub(crate) fn is_free(name: &str) -> bool {
    // RFC 3261 section 25.1, `token`
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let named = (2..=NAME_MAX).contains(&name.len()) && name.bytes().all(token);
    named && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether it says who calls, or for whom.
pub(crate) fn says_who(name: &str) -> bool {
    ["diversion", "p-preferred-identity", "remote-party-id"].iter().any(|one| one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_calls_own_lines_are_not_free_in_any_form() {
        for name in ["X-Telnyx-Token", "Diversion", "Alert-Info"] {
            assert!(is_free(name), "{name}");
        }
        for name in
            ["Via", "FROM", "v", "x", "X", "Session-Expires", "Proxy-Require", "", "X Y", "X:Y", "X\r\nVia"]
        {
            assert!(!is_free(name), "{name}");
        }
        assert!(!is_free(&"N".repeat(NAME_MAX + 1)) && says_who("remote-party-ID"));
    }
}
