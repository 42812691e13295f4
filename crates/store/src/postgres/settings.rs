//! Where PostgreSQL is and how it is reached: the URL, with what it leaves out.

use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::tls::{Tls, Trust};
use crate::error::StoreError;

/// How long a connection may take to come about, each address of the server's.
const CONNECT: Duration = Duration::from_secs(3);
/// After how long without an answer a peer that is gone is noticed (`tcp_user_timeout`), where the machine can tell.
const UNHEARD: Duration = Duration::from_secs(10);
/// When a connection on which nothing is said asks whether its peer is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often it asks before the peer counts as gone.
const KEEPALIVES: u32 = 3;

/// See the module's head. Holds a password: it is not to be shown.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Settings {
    /// Reads a URL. What it refuses it does not repeat: a URL may hold a password.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let refused = |words: &str| Err(StoreError::Url(format!("the PostgreSQL URL {words}")));
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(value)),
                _ => others.push(pair),
            }
        }
        if roots.is_some() && mode != Some("verify-full") {
            return refused("names sslrootcert, which only sslmode=verify-full asks");
        }
        let (mode, trust) = match mode {
            Some("disable") => (SslMode::Disable, Trust::Anybody),
            None | Some("prefer") => (SslMode::Prefer, Trust::Anybody),
            Some("require") => (SslMode::Require, Trust::Anybody),
            Some("verify-full") => (SslMode::Require, Trust::Named(roots)),
            Some(_) => return refused("has an sslmode other than disable, prefer, require or verify-full"),
        };
        let text = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        let Ok(mut config) = text.parse::<Config>() else {
            return refused(
                "cannot be read; it is written postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full",
            );
        };
        if config.get_hosts().is_empty() {
            return refused("names no host");
        }
        config.ssl_mode(mode).target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNHEARD);
        }
        config.keepalives(true).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE / KEEPALIVES);
        config.keepalives_retries(KEEPALIVES);
        if config.get_application_name().is_none() {
            config.application_name("trunkline");
        }
        Ok(Self { config, tls: Tls::new(trust)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_what_it_leaves_out() {
        let read = |url| Settings::read(url).unwrap().config;
        let config = read("postgres://ada:secret@db.example:5433/lines");
        assert_eq!((config.get_user(), config.get_dbname()), (Some("ada"), Some("lines")));
        assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT));
        let config = read(
            "postgresql://a@one.example,two.example/x?sslmode=verify-full&connect_timeout=1&application_name=n",
        );
        assert_eq!((config.get_ssl_mode(), config.get_hosts().len()), (SslMode::Require, 2));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(1)));
        assert_eq!(config.get_application_name(), Some("n"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_password() {
        for url in [
            "postgres://ada:secret@db.example:port/x",
            "postgres:///x",
            "postgres://ada:secret@db.example/x?sslmode=allow",
            "postgres://ada:secret@db.example/x?sslmode=verify-full&sslrootcert=/absent/roots.pem",
            "postgres://ada:secret@db.example/x?sslmode=require&sslrootcert=/etc/ssl/certs/ca.pem",
            "postgres://ada:secret@db.example/x?nonsense=1",
        ] {
            let Err(refused) = Settings::read(url) else { panic!("{url} was read") };
            assert!(
                matches!(refused, StoreError::Url(_)) && !refused.to_string().contains("secret"),
                "{refused}"
            );
        }
    }
}
