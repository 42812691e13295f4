//! Header names this crate acts on, long and compact (RFC 3261 section 7.3.3); all others are [`Name::Other`] and pass untouched.
#![warn(clippy::indexing_slicing)]

macro_rules! names {
    ($($name:ident $text:literal $doc:literal,)*) => {
        /// A header name the edge reads or writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Name {
            /// Any other header: carried byte for byte.
            Other,
            $(#[doc = $doc] $name,)*
        }

        impl Name {
            /// How many names there are, `Other` included.
            pub(crate) const COUNT: usize = [Self::Other, $(Self::$name),*].len();
        }

        /// Every long name with its text.
        #[cfg(test)]
        const ALL: &[(Name, &str)] = &[$((Name::$name, $text)),*];
    };
}

names! {
    Via "Via" "RFC 3261 section 20.42",
    From "From" "RFC 3261 section 20.20",
    To "To" "RFC 3261 section 20.39",
    CallId "Call-ID" "RFC 3261 section 20.8",
    CSeq "CSeq" "RFC 3261 section 20.16",
    MaxForwards "Max-Forwards" "RFC 3261 section 20.22",
    Contact "Contact" "RFC 3261 section 20.10",
    ContentLength "Content-Length" "RFC 3261 section 20.14",
    ContentType "Content-Type" "RFC 3261 section 20.15",
    Route "Route" "RFC 3261 section 20.34",
    RecordRoute "Record-Route" "RFC 3261 section 20.30",
    ProxyRequire "Proxy-Require" "RFC 3261 section 20.29",
    SessionExpires "Session-Expires" "RFC 4028 section 4",
    MinSe "Min-SE" "RFC 4028 section 5",
    Supported "Supported" "RFC 3261 section 20.37",
    Require "Require" "RFC 3261 section 20.32",
    Reason "Reason" "RFC 3326",
    Authorization "Authorization" "RFC 3261 section 20.7",
    ProxyAuthorization "Proxy-Authorization" "RFC 3261 section 20.28",
    AssertedIdentity "P-Asserted-Identity" "RFC 3325 section 9.1",
    PreferredIdentity "P-Preferred-Identity" "RFC 3325 section 9.2",
    RemotePartyId "Remote-Party-ID" "draft-ietf-sip-privacy-04",
    Diversion "Diversion" "RFC 5806",
    Date "Date" "RFC 3261 section 20.17",
    Timestamp "Timestamp" "RFC 3261 section 20.38",
    RAck "RAck" "RFC 3262 section 7.2",
    WwwAuthenticate "WWW-Authenticate" "RFC 3261 section 20.44",
    ProxyAuthenticate "Proxy-Authenticate" "RFC 3261 section 20.27",
}

impl Name {
    /// The name as written in a message, in any case, long or compact.
    pub fn read(text: &[u8]) -> Self {
        // length and first letter leave one candidate; most senders write it as the RFC does
        let (long, name) = match (text.len(), text.first().map_or(0, |first| first | 0x20)) {
            (1, _) => return Self::compact(text),
            (2, b't') => ("To", Self::To),
            (3, b'v') => ("Via", Self::Via),
            (4, b'f') => ("From", Self::From),
            (4, b'c') => ("CSeq", Self::CSeq),
            (4, b'd') => ("Date", Self::Date),
            (4, b'r') => ("RAck", Self::RAck),
            (5, b'r') => ("Route", Self::Route),
            (6, b'r') => ("Reason", Self::Reason),
            (6, b'm') => ("Min-SE", Self::MinSe),
            (7, b'r') => ("Require", Self::Require),
            (9, b's') => ("Supported", Self::Supported),
            (7, b'c') if text.get(4) == Some(&b'-') => ("Call-ID", Self::CallId),
            (7, b'c') => ("Contact", Self::Contact),
            (9, b'd') => ("Diversion", Self::Diversion),
            (9, b't') => ("Timestamp", Self::Timestamp),
            (12, b'm') => ("Max-Forwards", Self::MaxForwards),
            (12, b'c') => ("Content-Type", Self::ContentType),
            (12, b'r') => ("Record-Route", Self::RecordRoute),
            (13, b'a') => ("Authorization", Self::Authorization),
            (13, b'p') => ("Proxy-Require", Self::ProxyRequire),
            (14, b'c') => ("Content-Length", Self::ContentLength),
            (15, b's') => ("Session-Expires", Self::SessionExpires),
            (15, b'r') => ("Remote-Party-ID", Self::RemotePartyId),
            (16, b'w') => ("WWW-Authenticate", Self::WwwAuthenticate),
            (18, b'p') => ("Proxy-Authenticate", Self::ProxyAuthenticate),
            (19, b'p') if text.get(1) == Some(&b'-') => ("P-Asserted-Identity", Self::AssertedIdentity),
            (19, b'p') => ("Proxy-Authorization", Self::ProxyAuthorization),
            (20, b'p') => ("P-Preferred-Identity", Self::PreferredIdentity),
            _ => return Self::Other,
        };
        if text == long.as_bytes() || text.eq_ignore_ascii_case(long.as_bytes()) { name } else { Self::Other }
    }

    fn compact(text: &[u8]) -> Self {
        match text.first().map(u8::to_ascii_lowercase) {
            Some(b'v') => Self::Via,
            Some(b'f') => Self::From,
            Some(b't') => Self::To,
            Some(b'i') => Self::CallId,
            Some(b'm') => Self::Contact,
            Some(b'l') => Self::ContentLength,
            Some(b'c') => Self::ContentType,
            Some(b'x') => Self::SessionExpires,
            Some(b'k') => Self::Supported,
            _ => Self::Other,
        }
    }

    /// A header that may stand only once with one value: a second one makes the message malformed.
    pub(crate) const fn single(self) -> bool {
        matches!(
            self,
            Self::From
                | Self::To
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::ContentLength
                | Self::ContentType
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_in_any_case() {
        for (name, text) in ALL {
            assert_eq!(Name::read(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
            assert_eq!(Name::read(text.to_ascii_lowercase().as_bytes()), *name, "{text}");
        }
        assert_eq!(Name::read(b"I"), Name::CallId);
        assert_eq!(Name::read(b"Subject"), Name::Other);
    }
}
