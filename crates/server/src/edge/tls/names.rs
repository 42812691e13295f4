//! Whose a certificate is (RFC 5922 section 7.1): the domains of its `sip:` URIs, or, where it has none, its DNS names.
//!
//! One departure: a DNS name may begin with `*.` for one label, as in HTTPS. The RFC forbids it (section 7.2); the platforms that
//! give each customer a host of its own have no other certificates.

use rustls::pki_types::{CertificateDer, ServerName};
use sip::Whom;
use std::net::IpAddr;
use webpki::EndEntityCert;

/// Names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// The names in a certificate that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Names {
    /// Domains of `sip:` URIs without a user part, in lower case.
    sip: Vec<String>,
    /// DNS names, in lower case.
    dns: Vec<String>,
}

impl Names {
    /// Reads them; a certificate that cannot be read has none.
    pub(in super::super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(read) = EndEntityCert::try_from(certificate) else { return Self::default() };
        let sip = read.valid_uri_names().take(NAMES_MAX).filter_map(domain).collect();
        let dns = read.valid_dns_names().take(NAMES_MAX).map(str::to_ascii_lowercase).collect();
        Self { sip, dns }
    }

    /// The domains that it speaks for.
    pub(in super::super) fn domains(&self) -> &[String] {
        if self.sip.is_empty() { &self.dns } else { &self.sip }
    }

    fn covers(&self, host: &str) -> bool {
        if !self.sip.is_empty() {
            return self.sip.iter().any(|one| one.eq_ignore_ascii_case(host));
        }
        self.dns.iter().any(|one| match one.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
                !label.is_empty() && parent.contains('.') && rest.eq_ignore_ascii_case(parent)
            }),
            None => one.eq_ignore_ascii_case(host),
        })
    }

    /// Whether the owner of a certificate at `address` is who a connection is meant for. `hosts` are the targets of an
    /// organization, asked for where a peer within a dialog named an address only.
    pub(in super::super) fn reach(
        certificate: &CertificateDer<'_>,
        (whom, address): (&Whom, IpAddr),
        hosts: impl FnOnce(uuid::Uuid) -> Vec<String>,
    ) -> bool {
        let names = Self::of(certificate);
        let by_address = || {
            let name = ServerName::from(address);
            EndEntityCert::try_from(certificate)
                .is_ok_and(|read| read.verify_is_valid_for_subject_name(&name).is_ok())
        };
        match whom {
            Whom::Domain(host) | Whom::Named { host, .. } => names.covers(host),
            Whom::Address | Whom::Connected => by_address(),
            Whom::Of(organization) => {
                by_address() || hosts(*organization).iter().any(|host| names.covers(host))
            }
        }
    }
}

/// The domain of a `sip:` URI that stands for a domain, not for a user in it.
fn domain(uri: &str) -> Option<String> {
    let read = sip::Uri::parse(uri.as_bytes())?;
    let whole = read.scheme == sip::Scheme::Sip && read.user.is_none();
    let host = std::str::from_utf8(read.host).ok()?;
    (whole && !host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_names_come_before_dns_names_and_only_whole_ones_count() {
        let names = |sip: &[&str], dns: &[&str]| Names {
            sip: sip.iter().filter_map(|uri| domain(uri)).collect(),
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
        };
        let both = names(&["sip:Example.com"], &["sip.example.com"]);
        assert!(both.covers("example.com") && both.covers("EXAMPLE.COM") && !both.covers("sip.example.com"));
        let user =
            names(&["sip:alice@example.com", "sips:example.com", "https://example.com"], &["a.example.com"]);
        assert!(!user.covers("example.com") && user.covers("a.example.com"));
        let wild = names(&[], &["*.sip.example.com", "*.com"]);
        assert!(wild.covers("x1.sip.example.com"));
        for host in ["sip.example.com", "a.b.sip.example.com", ".sip.example.com", "example.com", "com"] {
            assert!(!wild.covers(host), "{host}");
        }
    }
}
