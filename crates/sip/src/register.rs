//! What a REGISTER asks of a registrar (RFC 3261 section 10, RFC 5626 section 6), as data. Not a registrar: what is bound, and
//! for how long, is the shell's.
#![warn(clippy::indexing_slicing)]

use crate::message::{Core, Message, Name};
use crate::text;

/// The shortest time a binding is given, in seconds; less is refused with 423 and this as `Min-Expires`.
pub const EXPIRES_MIN: u32 = 60;
/// The longest.
pub const EXPIRES_MAX: u32 = 3_600;
/// Contacts of one request; more are refused.
pub const CONTACTS_MAX: usize = 8;

/// A REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// `CSeq` number: within one Call-ID it must rise.
    pub cseq: u32,
    /// `Expires` of the request, in seconds.
    pub expires: Option<u32>,
    /// Which bindings.
    pub contacts: Contacts,
    /// Whether the agent keeps flows open (RFC 5626): `outbound` in Supported or Require.
    pub outbound: bool,
    /// Whether it came straight from the agent: one Via.
    pub direct: bool,
    /// Extensions that are required and not known here.
    pub unsupported: Vec<String>,
}

/// Which bindings a REGISTER is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// None: it asks what is bound.
    Fetch,
    /// `*`: all, to be removed.
    All,
    /// These.
    Some(Vec<Contact>),
    /// They could not be read, contradict each other, or are too many.
    Unreadable,
}

/// One contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its URI as written.
    pub uri: String,
    /// Its own `expires`, in seconds.
    pub expires: Option<u32>,
    /// `+sip.instance` without its quotes.
    pub instance: Option<String>,
    /// `reg-id`: which of the instance's flows.
    pub flow: Option<u32>,
}

impl Register {
    /// Reads a REGISTER.
    pub(crate) fn read(message: &Message<'_>, core: &Core<'_>) -> Self {
        let expires = message.other("Expires").map(text::trim).map(seconds);
        let required = options(message, "Require");
        let supported = options(message, "Supported").into_iter().chain(options(message, "k"));
        let outbound = supported.chain(required.iter().cloned()).any(|option| option == "outbound");
        let unsupported = required.into_iter().filter(|option| option != "outbound").collect();
        Self {
            cseq: core.cseq,
            expires,
            contacts: Contacts::read(message, expires),
            outbound,
            direct: message.values(Name::Via).nth(1).is_none(),
            unsupported,
        }
    }
}

impl Contacts {
    fn read(message: &Message<'_>, expires: Option<u32>) -> Self {
        let mut all = Vec::new();
        let mut star = false;
        for value in message.values(Name::Contact) {
            if text::trim(value) == b"*" {
                star = true;
                continue;
            }
            let Some(contact) = Contact::read(value) else { return Self::Unreadable };
            all.push(contact);
        }
        match (star, all.len()) {
            // RFC 3261 section 10.2.2: `*` stands alone, and with an Expires of 0.
            (true, 0) if expires == Some(0) => Self::All,
            (false, 0) => Self::Fetch,
            (false, 1..=CONTACTS_MAX) => Self::Some(all),
            (true | false, _) => Self::Unreadable,
        }
    }
}

impl Contact {
    fn read(value: &[u8]) -> Option<Self> {
        let read = text::name_addr(value)?;
        let uri = crate::Uri::parse(text::target(value)?)?;
        // What is bound is called by SIP, and its headers would be a stranger's.
        if !matches!(uri.scheme, crate::Scheme::Sip | crate::Scheme::Sips) || !uri.headers.is_empty() {
            return None;
        }
        let param = |name: &[u8]| text::param_value(read.params, name);
        let instance = param(b"+sip.instance").map(|value| {
            let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
            text::owned(inside)
        });
        let flow = match param(b"reg-id") {
            None => None,
            Some(text) => Some(text::number(text).filter(|id| *id > 0)?),
        };
        let plain = |text: &str| !text.chars().any(char::is_control) && text.len() <= 255;
        let uri = Some(text::owned(read.uri)).filter(|uri| plain(uri))?;
        let instance = instance.filter(|text| !text.is_empty() && plain(text));
        Some(Self { uri, expires: param(b"expires").map(seconds), instance, flow })
    }
}

/// Seconds; what is none counts as an hour (RFC 3261 section 10.2.1.1).
fn seconds(text: &[u8]) -> u32 {
    text::number(text).unwrap_or(EXPIRES_MAX)
}

/// The options of a header, in lower case.
fn options(message: &Message<'_>, name: &str) -> Vec<String> {
    let value = message.other(name).unwrap_or_default();
    text::List(value).map(|option| text::owned(option).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Register {
        let text = format!(
            "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>\r\n\
             Call-ID: c\r\nCSeq: 7 REGISTER\r\nMax-Forwards: 70\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        let message = Message::parse(text.as_bytes()).unwrap();
        Register::read(&message, &Core::read(&message).unwrap())
    }

    #[test]
    fn contacts_are_read_with_their_parameters() {
        let asked = read(
            "Contact: \"A\" <sip:a@10.0.0.1:5062;transport=tcp>;expires=90;+sip.instance=\"<urn:uuid:1>\";reg-id=2, sip:b@h;q=0.5\r\n\
             Expires: 600\r\nSupported: path, outbound\r\n",
        );
        assert!(asked.outbound && asked.direct && asked.unsupported.is_empty());
        assert_eq!((asked.cseq, asked.expires), (7, Some(600)));
        let Contacts::Some(contacts) = asked.contacts else { panic!("{asked:?}") };
        let [first, second] = &contacts[..] else { panic!("{contacts:?}") };
        assert_eq!(first.uri, "sip:a@10.0.0.1:5062;transport=tcp");
        assert_eq!((first.expires, first.flow), (Some(90), Some(2)));
        assert_eq!(first.instance.as_deref(), Some("<urn:uuid:1>"));
        assert_eq!((second.uri.as_str(), second.expires), ("sip:b@h", None));
    }

    #[test]
    fn removals_and_questions_are_told_apart() {
        assert_eq!(read("").contacts, Contacts::Fetch);
        assert_eq!(read("Contact: *\r\nExpires: 0\r\n").contacts, Contacts::All);
        assert_eq!(read("Expires: soon\r\n").expires, Some(EXPIRES_MAX));
        assert_eq!(read("Require: gruu, outbound\r\n").unsupported, ["gruu"]);
    }

    #[test]
    fn what_contradicts_itself_is_unreadable() {
        let many = "Contact: <sip:a@h>\r\n".repeat(CONTACTS_MAX + 1);
        for lines in [
            "Contact: *\r\n",
            "Contact: *\r\nExpires: 60\r\n",
            "Contact: *, <sip:a@h>\r\nExpires: 0\r\n",
            "Contact: <mailto:a@h>\r\n",
            "Contact: <sip:a@h?Route=x>\r\n",
            "Contact: <sip:a@h>;reg-id=0\r\n",
            many.as_str(),
        ] {
            assert_eq!(read(lines).contacts, Contacts::Unreadable, "{lines}");
        }
    }
}
