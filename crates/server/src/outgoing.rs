//! HTTP requests that we send: to webhooks, identity providers, carriers, and to our own service from the command line.
//!
//! Where a tenant names the destination, [`Guarded`] keeps requests out of the operator's own network and away from where we are
//! ourselves, by the same rule as what is named for SIP ([`domain::reach`]): the address that is connected to is the one that was looked
//! at, so that a name which means another address a moment later changes nothing.

use anyhow::Context;
use domain::reach::{Private, Reach};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::live::Live;

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

/// Sends requests to places that tenants name.
pub(crate) struct Guarded {
    client: reqwest::Client,
    /// What knows where we are ourselves; none where anything may be named.
    public: Option<Arc<Live>>,
}

impl Guarded {
    /// With a client of its own.
    pub(crate) fn new(private: Private, live: Arc<Live>) -> anyhow::Result<Self> {
        Ok(match private {
            Private::Allowed => Self { client: client()?, public: None },
            Private::Denied => {
                let names = Arc::new(PublicOnly(Arc::clone(&live)));
                let client = built(|| reqwest::Client::builder().dns_resolver(Arc::clone(&names)))?;
                Self { client, public: Some(live) }
            }
        })
    }

    /// Reads a destination; in words, why nothing is sent there. A name is looked up when something is.
    pub(crate) fn check(&self, url: &str) -> Result<reqwest::Url, String> {
        let url = reqwest::Url::parse(url).map_err(|error| format!("`url` cannot be read: {error}."))?;
        let reach = self.public.as_ref().map_or(Reach::ANYWHERE, |live| live.reach_of_public());
        if !reach.admits_host(url.host_str().unwrap_or_default()) {
            return Err(
                "`url` must be at a public address: this service sends nothing into its own network, nor to itself."
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

/// Resolves names to public addresses only, of others.
struct PublicOnly(Arc<Live>);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let live = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let reach = live.reach_of_public();
            let public: Vec<SocketAddr> = found.into_iter().filter(|at| reach.admits(at.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_looked_at_in_every_dress() {
        choose_cryptography();
        let live = Arc::new(Live::new());
        let guarded = |private| Guarded::new(private, Arc::clone(&live)).unwrap();
        let (open, closed) = (guarded(Private::Allowed), guarded(Private::Denied));
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
        // Once we are there ourselves, it is not sent there.
        live.put_own("", ["1.1.1.1".parse().unwrap()].into_iter());
        for url in ["https://1.1.1.1/hook", "http://[::ffff:1.1.1.1]/", "http://16843009/"] {
            assert!(closed.check(url).is_err() && open.check(url).is_ok(), "{url}");
        }
        assert!(closed.check("https://1.1.1.2/hook").is_ok());
    }

    #[tokio::test]
    async fn a_name_of_the_own_network_is_not_connected_to() {
        choose_cryptography();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Not one of the names that are refused before they are looked up.
        let port = listener.local_addr().unwrap().port();
        let name: Name = "localhost".parse().unwrap();
        let live = Arc::new(Live::new());
        assert!(PublicOnly(Arc::clone(&live)).resolve(name).await.is_err());
        let url = reqwest::Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let closed = Guarded::new(Private::Denied, live).unwrap();
        assert!(closed.post(url.clone()).send().await.is_err());
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nothing came");
    }
}
