//! HTTP requests that we send: to webhooks, identity providers, carriers, and to our own service from the command line.
//!
//! Where a tenant names the destination, [`Guarded`] keeps requests out of the operator's own network: the address that is
//! connected to is the one that was looked at, so that a name which means another address a moment later changes nothing.

use anyhow::Context;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an exchange may take in all, unless a request says otherwise.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// The cryptography that TLS uses, for the whole process. To be called once, before the first connection.
pub(crate) fn choose_cryptography() {
    // An error means that it was chosen already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A client with bounded waits that follows no redirect and asks no proxy. Peers of `https` are checked against the machine's
/// certificates; on a machine without any, plain `http` still works and `https` fails.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    built(reqwest::Client::builder)
}

fn built(begin: impl Fn() -> reqwest::ClientBuilder) -> anyhow::Result<reqwest::Client> {
    let builder = || {
        begin()
            .connect_timeout(CONNECT_MAX)
            .timeout(EXCHANGE_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("trunkline/", env!("CARGO_PKG_VERSION")))
    };
    builder()
        .build()
        .or_else(|error| {
            tracing::debug!(%error, "no certificates of authorities on this machine: https to others will fail");
            builder().tls_certs_only([]).build()
        })
        .context("no HTTP client can be made")
}

/// Whether requests whose destination a tenant names may go to addresses that are not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Private {
    /// They may: for a service that is used by its operator alone.
    Allowed,
    /// They may not.
    Denied,
}

impl Private {
    /// The settings with their names.
    pub(crate) const NAMES: [(Self, &'static str); 2] = [(Self::Allowed, "allow"), (Self::Denied, "deny")];
}

/// Sends requests to places that tenants name.
#[derive(Debug)]
pub(crate) struct Guarded {
    client: reqwest::Client,
    private: Private,
}

impl Guarded {
    /// With a client of its own.
    pub(crate) fn new(private: Private) -> anyhow::Result<Self> {
        let client = match private {
            Private::Allowed => client()?,
            Private::Denied => built(|| reqwest::Client::builder().dns_resolver(Arc::new(PublicOnly)))?,
        };
        Ok(Self { client, private })
    }

    /// Reads a destination; in words, why nothing is sent there. A name is looked up when something is.
    pub(crate) fn check(&self, url: &str) -> Result<reqwest::Url, String> {
        let url = reqwest::Url::parse(url).map_err(|error| format!("`url` cannot be read: {error}."))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        // Names of these never are in the public DNS (RFC 6761 section 6.3).
        let own = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
        let literal = host.parse::<IpAddr>().is_ok_and(|address| !is_public(address));
        if self.private == Private::Denied && (own || literal) {
            return Err(
                "`url` must be at a public address: this service sends nothing into its own network."
                    .to_owned(),
            );
        }
        Ok(url)
    }

    /// A request to a destination that [`Self::check`] has read.
    pub(crate) fn post(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.client.post(url)
    }
}

/// Resolves names to public addresses only.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.into_iter().filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet: by the special-purpose registries of IANA (RFC 6890 and those after it). An
/// IPv6 address that stands for an IPv4 one is judged as that.
fn is_public(address: IpAddr) -> bool {
    let v6 = match address {
        IpAddr::V4(v4) => return is_public_v4(v4),
        IpAddr::V6(v6) => v6,
    };
    if let Some(v4) = embedded(v6) {
        return is_public_v4(v4);
    }
    // Global unicast is 2000::/3; within it, documentation, benchmarks and the like are not.
    let [first, second, ..] = v6.segments();
    let special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x3fff => second < 0x1000,
        _ => false,
    };
    first & 0xe000 == 0x2000 && !special
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224.., ..]
            | [100, 64..128, ..]
            | [169, 254, ..]
            | [172, 16..32, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

/// The IPv4 address that an IPv6 address stands for: mapped or compatible (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |[high, low]: [u16; 2]| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(of([high, low]))
        }
        [0x2002, high, low, ..] => Some(of([high, low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "203.0.114.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::808:808",
            "2002:808:808::",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_destination_is_looked_at_in_every_dress() {
        choose_cryptography();
        let (open, closed) =
            (Guarded::new(Private::Allowed).unwrap(), Guarded::new(Private::Denied).unwrap());
        for url in [
            "http://127.0.0.1:1/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://localhost/",
            "http://a.LOCALHOST/",
            "http://127.1/",
        ] {
            assert!(open.check(url).is_ok(), "{url}");
            assert!(closed.check(url).is_err(), "{url}");
        }
        assert!(closed.check("https://example.com/hook").is_ok());
        assert!(closed.check("https://1.1.1.1/hook").is_ok());
    }

    #[tokio::test]
    async fn a_name_of_the_own_network_is_not_connected_to() {
        choose_cryptography();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Not one of the names that are refused before they are looked up.
        let port = listener.local_addr().unwrap().port();
        let name: Name = "localhost".parse().unwrap();
        assert!(PublicOnly.resolve(name).await.is_err());
        let url = reqwest::Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let closed = Guarded::new(Private::Denied).unwrap();
        assert!(closed.post(url.clone()).send().await.is_err());
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nothing came");
    }
}
