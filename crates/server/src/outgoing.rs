//! HTTP requests that we send: to webhooks, identity providers, carriers, and to our own service from the command line.

use anyhow::Context;
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
    let builder = || {
        reqwest::Client::builder()
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
