//! Where PostgreSQL is and how it is reached: the URL, with what it leaves out.
//!
//! Of several hosts each is asked by itself and with a bound of its own, in their order, beginning with the one that answered last: one
//! that takes connections and says nothing keeps nobody from the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};

use super::fault::Fault;
use super::tls::{Tls, Trust};
use crate::error::StoreError;

/// How long a connection may take to come about, each address of the server's.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one host may take until it can be asked something, TLS and password included: the only one, and each of several.
const ONE: Duration = Duration::from_secs(5);
const EACH: Duration = Duration::from_secs(3);
/// How long all of them may take.
const ALL: Duration = Duration::from_secs(10);
/// After how long without an answer a peer that is gone is noticed (`tcp_user_timeout`), where the machine can tell.
const UNHEARD: Duration = Duration::from_secs(10);
/// When a connection on which nothing is said asks whether its peer is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often it asks before the peer counts as gone.
const KEEPALIVES: u32 = 3;

/// See the module's head. Holds a password: it is not to be shown.
#[derive(Clone)]
pub(super) struct Settings {
    /// One for each host.
    hosts: Vec<Config>,
    /// Which of them answered last.
    last: Arc<AtomicUsize>,
    tls: Tls,
}

/// A connection as the driver has it: who asks, and what moves the bytes.
type Opened = (Client, Connection<Socket, <Tls as MakeTlsConnect<Socket>>::Stream>);

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
        let Some(hosts) = apart(&config) else {
            return refused("names hosts, addresses or ports of different counts");
        };
        Ok(Self { hosts, last: Arc::default(), tls: Tls::new(trust)? })
    }

    /// A connection to the first host that gives one; else the last one's reason.
    pub(super) async fn connect(&self) -> Result<Opened, Fault> {
        let count = self.hosts.len();
        let (first, each) = (self.last.load(Ordering::Relaxed), if count == 1 { ONE } else { EACH });
        let all = async {
            let mut why = Fault::Slow;
            for at in (0..count).map(|behind| (first + behind) % count) {
                match timeout(each, self.hosts[at].connect(self.tls.clone())).await {
                    Ok(Ok(opened)) => {
                        self.last.store(at, Ordering::Relaxed);
                        return Ok(opened);
                    }
                    Ok(Err(error)) => why = error.into(),
                    Err(_) => why = Fault::Slow,
                }
            }
            Err(why)
        };
        timeout(ALL, all).await.unwrap_or(Err(Fault::Slow))
    }
}

/// The same for each host alone; none where hosts, addresses and ports do not belong together.
fn apart(config: &Config) -> Option<Vec<Config>> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let fits = |count: usize| count == 0 || count == hosts.len();
    if !fits(addresses.len()) || !(fits(ports.len()) || ports.len() == 1) {
        return None;
    }
    let one = |(at, host): (usize, &Host)| {
        let mut one = Config::new();
        match host {
            Host::Tcp(name) => one.host(name),
            Host::Unix(path) => one.host_path(path),
        };
        if let Some(address) = addresses.get(at) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or_else(|| ports.first()) {
            one.port(*port);
        }
        besides_host(config, &mut one);
        if hosts.len() > 1 {
            // An address that says nothing leaves time for the host's next.
            let wait = config.get_connect_timeout().copied().unwrap_or(CONNECT);
            one.connect_timeout(wait.min(EACH / 2));
        }
        one
    };
    Some(hosts.iter().enumerate().map(one).collect())
}

/// All that a configuration says beside where.
fn besides_host(all: &Config, one: &mut Config) {
    type Put = for<'a, 'b> fn(&'a mut Config, &'b str) -> &'a mut Config;
    let texts: [(Option<&str>, Put); 4] = [
        (all.get_user(), |one, text| one.user(text)),
        (all.get_dbname(), |one, text| one.dbname(text)),
        (all.get_options(), |one, text| one.options(text)),
        (all.get_application_name(), |one, text| one.application_name(text)),
    ];
    for (text, put) in texts {
        if let Some(text) = text {
            put(one, text);
        }
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(wait) = all.get_connect_timeout() {
        one.connect_timeout(*wait);
    }
    if let Some(wait) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*wait);
    }
    if let Some(wait) = all.get_keepalives_interval() {
        one.keepalives_interval(wait);
    }
    if let Some(times) = all.get_keepalives_retries() {
        one.keepalives_retries(times);
    }
    one.keepalives(all.get_keepalives()).keepalives_idle(all.get_keepalives_idle());
    one.ssl_mode(all.get_ssl_mode()).ssl_negotiation(all.get_ssl_negotiation());
    one.channel_binding(all.get_channel_binding()).load_balance_hosts(all.get_load_balance_hosts());
    one.target_session_attrs(all.get_target_session_attrs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_what_it_leaves_out() {
        let read = |url| Settings::read(url).unwrap().hosts;
        let [config] = read("postgres://ada:secret@db.example:5433/lines").try_into().unwrap();
        assert_eq!((config.get_password(), config.get_ports()), (Some(&b"secret"[..]), &[5433][..]));
        assert_eq!((config.get_user(), config.get_dbname()), (Some("ada"), Some("lines")));
        assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT));
        let both = read(
            "postgresql://a@one.example:1,two.example:2/x?sslmode=verify-full&connect_timeout=1&application_name=n&options=-cx%3D1",
        );
        for (config, (host, port)) in both.iter().zip([("one.example", 1), ("two.example", 2)]) {
            assert_eq!(
                (config.get_hosts(), config.get_ports()),
                (&[Host::Tcp(host.to_owned())][..], &[port][..])
            );
            assert_eq!(config.get_ssl_mode(), SslMode::Require);
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(1)));
            assert_eq!((config.get_application_name(), config.get_options()), (Some("n"), Some("-cx=1")));
            assert_eq!(config.get_keepalives_retries(), Some(KEEPALIVES));
        }
        assert_eq!(both.len(), 2);
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
