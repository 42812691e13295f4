//! A carrier that wants a trunk to register with it before it sends calls (RFC 3261 section 10.2).

use super::{Credentials, Error, Result, What};
use crate::target::{Transport, bracketed, host_and_port};

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Where: `host` or `host:port`.
    pub registrar: String,
    /// How.
    pub transport: Transport,
    /// The domain of what is registered, where it is not the registrar's host.
    pub domain: Option<String>,
    /// The user of what is registered, where it is not the user name of the credentials.
    pub user: Option<String>,
    /// With which digest credentials.
    pub credentials: Credentials,
    /// How long the registration is asked to last, in seconds.
    pub expires_seconds: u32,
}

impl Register {
    /// How long is asked for where nothing is set, in seconds (RFC 3261 section 10.2.1.1 suggests an hour).
    pub const EXPIRES: u32 = 3_600;
    /// The least and the most that can be asked for.
    pub const EXPIRES_RANGE: std::ops::RangeInclusive<u32> = 60..=86_400;
    /// The longest user.
    pub const USER_MAX: usize = 64;

    /// The user of what is registered.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.credentials.username)
    }

    /// What is registered, as a URI.
    pub fn address_of_record(&self) -> String {
        let host = host_and_port(&self.registrar).map_or("", |(host, _)| host);
        format!("sip:{}@{}", self.user(), self.domain.as_deref().unwrap_or(&bracketed(host)))
    }

    /// The Request-URI of its REGISTER.
    pub fn request_uri(&self) -> String {
        format!("sip:{}{}", self.registrar, self.transport.parameter())
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |words: &str| Err(Error::invalid(What::Provider, "register", words));
        if host_and_port(&self.registrar).is_none() {
            return refuse("`register.registrar` must be a host or host:port.");
        }
        if matches!(self.transport, Transport::Ws | Transport::Wss) {
            return refuse("`register.transport` must be udp, tcp or tls.");
        }
        let named = |domain: &str| host_and_port(domain).is_some_and(|(_, port)| port.is_none());
        if self.domain.as_deref().is_some_and(|domain| domain.len() > 253 || !named(domain)) {
            return refuse("`register.domain` must be a host.");
        }
        // RFC 3261 section 25.1: what stands in a URI as it is.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%".contains(&b);
        let user = self.user();
        if user.is_empty() || user.len() > Self::USER_MAX || !user.bytes().all(plain) {
            let field =
                if self.user.is_some() { "`register.user`" } else { "`register.credentials.username`" };
            let words = format!(
                "{field} cannot be the user of a SIP address; set `register.user` to what the carrier knows the line by."
            );
            return refuse(&words);
        }
        if !Self::EXPIRES_RANGE.contains(&self.expires_seconds) {
            return refuse("`register.expires_seconds` must be from 60 to 86400.");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Sealed;

    fn register(registrar: &str) -> Register {
        Register {
            registrar: registrar.to_owned(),
            transport: Transport::Udp,
            domain: None,
            user: None,
            credentials: Credentials { username: "line7".to_owned(), password: Sealed(vec![1]) },
            expires_seconds: Register::EXPIRES,
        }
    }

    #[test]
    fn what_is_registered_is_named_as_the_carrier_names_it() {
        let plain = register("sip.carrier.example:5070");
        assert_eq!(plain.address_of_record(), "sip:line7@sip.carrier.example");
        assert_eq!(plain.request_uri(), "sip:sip.carrier.example:5070");
        let (domain, user) = (Some("carrier.example".to_owned()), Some("+4930123".to_owned()));
        let other = Register { domain, user, transport: Transport::Tls, ..plain };
        assert_eq!(other.address_of_record(), "sip:+4930123@carrier.example");
        assert_eq!(other.request_uri(), "sip:sip.carrier.example:5070;transport=tls");
        assert_eq!(register("[2001:db8::1]:5060").address_of_record(), "sip:line7@[2001:db8::1]");
    }

    #[test]
    fn what_no_carrier_could_read_is_refused() {
        let good = || register("carrier.example");
        assert!(good().check().is_ok());
        for bad in [
            register(""),
            register("carrier.example:0"),
            register("sip:carrier.example"),
            Register { transport: Transport::Ws, ..good() },
            Register { domain: Some("carrier.example:5060".into()), ..good() },
            Register { domain: Some("a b".into()), ..good() },
            Register { user: Some(String::new()), ..good() },
            Register { user: Some("a@b".into()), ..good() },
            Register { user: Some("a>\r\nX: y".into()), ..good() },
            Register { user: Some("a".repeat(65)), ..good() },
            Register { credentials: Credentials { username: "a@b".into(), ..good().credentials }, ..good() },
            Register { expires_seconds: 59, ..good() },
            Register { expires_seconds: 86_401, ..good() },
        ] {
            assert_eq!(bad.check().unwrap_err().field, Some("register"), "{bad:?}");
        }
    }
}
