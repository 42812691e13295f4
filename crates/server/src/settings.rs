//! What `trunkline serve` is told: flags, environment variables, a TOML file, defaults, in this order.

use anyhow::{Context, bail};
use clap::Args;
use domain::provider::AddressRule;
use domain::reach::Private;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::edge::{ClientAuth, TlsSettings};
use crate::identity::settings::{self as identity, IssuerArgs, IssuerSettings};
use crate::store_url::StoreUrl;

/// The most threads that receive at one UDP socket.
const SIP_THREADS_MAX: usize = 64;

/// What may wait for a store that is away: some 1,600,000 facts, or half a million calls.
const JOURNAL_MEGABYTES: u64 = 1_024;
/// The most of it, a terabyte: beyond, it is a slip.
const JOURNAL_MEGABYTES_MAX: u64 = 1 << 20;

/// The flags of `trunkline serve`. Each can be set in the environment, or in the file under its own name with `_` for `-`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeArgs {
    /// Where HTTP listens [default: 127.0.0.1:8080]
    #[arg(long, env = "TRUNKLINE_HTTP", value_name = "ADDRESS:PORT")]
    http: Option<String>,
    /// Where SIP listens: udp:, tcp:, tls:, ws:, wss: (repeat for several) [default: udp:127.0.0.1:5060]
    #[arg(long, env = "TRUNKLINE_SIP", value_delimiter = ',', value_name = "TRANSPORT:ADDRESS:PORT")]
    sip: Option<Vec<String>>,
    /// How many threads receive at each UDP socket, 1 to 64 [default: as many as there are cores]
    #[arg(long, env = "TRUNKLINE_SIP_THREADS", value_name = "COUNT")]
    sip_threads: Option<usize>,
    /// Where data is kept: sqlite:PATH or postgres://…; a URL with a password belongs in the environment or the file, since `ps` shows flags to everybody [default: sqlite:./trunkline.db]
    #[arg(long, env = "TRUNKLINE_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// The folder of what is this node's own: call records on their way to the store, registrations [default: beside the SQLite store; else ./trunkline.data]
    #[arg(long, env = "TRUNKLINE_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// How much of call records may wait for a store that is away; shortly before, new calls are refused [default: 1024]
    #[arg(long, env = "TRUNKLINE_JOURNAL_MEGABYTES", value_name = "COUNT")]
    journal_megabytes: Option<u64>,
    /// A TOML file with these settings
    #[arg(long, env = "TRUNKLINE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// What stands in Via, Record-Route and SIP credentials, one per --sip; required where a listener is bound to an unspecified address
    #[arg(long, env = "TRUNKLINE_PUBLIC_SIP", value_delimiter = ',', value_name = "[TRANSPORT:]HOST:PORT")]
    public_sip: Option<Vec<String>>,
    /// Our certificate for SIP over TLS, with what stands between it and its authority: PEM. Read again when it changes, and on SIGHUP
    #[arg(long, env = "TRUNKLINE_SIP_TLS_CERTIFICATE", value_name = "FILE")]
    sip_tls_certificate: Option<PathBuf>,
    /// The certificate's private key: PEM
    #[arg(long, env = "TRUNKLINE_SIP_TLS_KEY", value_name = "FILE")]
    sip_tls_key: Option<PathBuf>,
    /// Authorities whose certificates prove callers over TLS: PEM
    #[arg(long, env = "TRUNKLINE_SIP_TLS_CLIENT_CA", value_name = "FILE")]
    sip_tls_client_ca: Option<PathBuf>,
    /// Whether callers over TLS show a certificate: off, allow, require [default: off; with --sip-tls-client-ca allow]
    #[arg(long, env = "TRUNKLINE_SIP_TLS_CLIENT_AUTH", value_name = "off|allow|require")]
    sip_tls_client_auth: Option<String>,
    /// Authorities of targets' certificates, beside those that this machine knows: PEM
    #[arg(long, env = "TRUNKLINE_SIP_TLS_CA", value_name = "FILE")]
    sip_tls_ca: Option<PathBuf>,
    /// The DNS server that SIP asks for targets [default: as this machine is set]
    #[arg(long, env = "TRUNKLINE_SIP_DNS", value_name = "ADDRESS[:PORT]")]
    sip_dns: Option<String>,
    /// Where messages of traced calls are sent as they come, by HEP version 3 over UDP [default: nowhere]
    #[arg(long, env = "TRUNKLINE_HEP", value_name = "HOST:PORT")]
    hep: Option<String>,
    /// A file with the secret key, 32 bytes in base64 [default: beside the SQLite store, made at first start; with PostgreSQL it is needed]
    #[arg(long, env = "TRUNKLINE_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<PathBuf>,
    /// The secret key itself
    #[arg(long, env = "TRUNKLINE_SECRET_KEY", value_name = "BASE64", hide_env_values = true, hide = true)]
    secret_key: Option<String>,
    /// The operator's key for the native API
    #[arg(long, env = "TRUNKLINE_ADMIN_KEY", value_name = "KEY", hide_env_values = true, hide = true)]
    admin_key: Option<String>,
    /// An identity provider whose tokens are accepted, as a JSON object with the fields of the file's `issuers` tables
    #[arg(long = "issuer", env = "TRUNKLINE_ISSUER", value_name = "JSON")]
    #[serde(skip)]
    issuer: Option<String>,
    #[arg(skip)]
    issuers: Vec<IssuerArgs>,
    /// Whether webhooks may be at addresses that are not public: allow, deny [default: deny; with --sim allow]
    #[arg(long, env = "TRUNKLINE_OUTGOING_PRIVATE", value_name = "allow|deny")]
    outgoing_private: Option<String>,
    /// Whether SIP targets, trunks and registrars of tenants may be at addresses that are not public: allow, deny
    /// [default: allow where every --sip is on loopback, else deny; with --sim allow]
    #[arg(long, env = "TRUNKLINE_SIP_PRIVATE", value_name = "allow|deny")]
    sip_private: Option<String>,
    /// How long a stop waits for open transactions [default: 10]
    #[arg(long, env = "TRUNKLINE_DRAIN_SECONDS", value_name = "SECONDS")]
    drain_seconds: Option<u64>,
    /// Where Twilio's APIs are, with {region} for a key's region [default: where Twilio says; with --sim the simulated one]
    #[arg(long, env = "TRUNKLINE_TWILIO_URL", value_name = "URL", hide = true)]
    twilio_url: Option<String>,
    /// From where Twilio sends calls [default: the addresses that it publishes]
    #[arg(
        long,
        env = "TRUNKLINE_TWILIO_SOURCES",
        value_delimiter = ',',
        value_name = "ADDRESSES",
        hide = true
    )]
    twilio_sources: Option<Vec<String>>,
    /// Simulate: a clock that can be moved, under /sim and the admin key: for tests and demonstrations, on loopback only
    #[arg(long, env = "TRUNKLINE_SIM", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    sim: Option<bool>,
    /// Which of its numbers a simulation puts on sale [default: 1]
    #[arg(long, env = "TRUNKLINE_SIM_SEED", value_name = "NUMBER")]
    sim_seed: Option<u64>,
    /// Let a simulation listen on addresses that others reach
    #[arg(long, env = "TRUNKLINE_SIM_EXPOSED", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new())]
    sim_exposed: Option<bool>,
    /// Where a simulation's carrier is that runs by itself: trunkline sim-carrier [default: part of this process]
    #[arg(long, env = "TRUNKLINE_SIM_CARRIER", value_name = "URL")]
    sim_carrier: Option<String>,
}

/// A SIP listener, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SipListener {
    /// Its transport.
    pub(crate) transport: sip::Transport,
    /// Where it binds.
    pub(crate) bind: SocketAddr,
    /// What stands in Via and Record-Route; port 0: the bound one.
    pub(crate) public: (String, u16),
}

/// Settings, read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) http: SocketAddr,
    pub(crate) sip: Vec<SipListener>,
    /// How many threads receive at each UDP socket.
    pub(crate) sip_threads: NonZero<usize>,
    /// Certificates of SIP.
    pub(crate) sip_tls: TlsSettings,
    /// Where SIP asks for names, if not where the machine does.
    pub(crate) sip_dns: Option<SocketAddr>,
    /// Where messages of traced calls are sent, as `host:port`.
    pub(crate) hep: Option<String>,
    pub(crate) store: StoreUrl,
    /// The folder of what is this node's own, if it is not beside the store.
    pub(crate) data: Option<PathBuf>,
    /// The most bytes of call records that may wait for the store.
    pub(crate) journal_max: u64,
    pub(crate) secret_key_file: Option<PathBuf>,
    pub(crate) secret_key: Option<String>,
    pub(crate) admin_key: Option<String>,
    pub(crate) drain: Duration,
    /// Whether webhooks of tenants may be in our own network.
    pub(crate) outgoing_private: Private,
    /// Whether what tenants name for SIP may be.
    pub(crate) sip_private: Private,
    /// Identity providers whose tokens are accepted.
    pub(crate) issuers: Vec<IssuerSettings>,
    /// Where Twilio's APIs are, if not where it says.
    pub(crate) twilio_url: Option<String>,
    /// From where Twilio sends calls, if not from where it says.
    pub(crate) twilio_sources: Option<Vec<AddressRule>>,
    /// Whether this is a simulation, and which.
    pub(crate) sim: bool,
    pub(crate) sim_seed: u64,
    /// Where its carrier is, if not in this process.
    pub(crate) sim_carrier: Option<String>,
}

impl ServeArgs {
    /// Arguments for a service of this program's own, on loopback, which this machine's user alone uses.
    pub(crate) fn embedded(store: String, http: SocketAddr, sip: SocketAddr, admin_key: String) -> Self {
        let (http, sip) = (Some(http.to_string()), Some(vec![format!("udp:{sip}"), format!("tcp:{sip}")]));
        let outgoing_private = Some("allow".to_owned());
        Self {
            http,
            sip,
            store: Some(store),
            admin_key: Some(admin_key),
            outgoing_private,
            ..Self::default()
        }
    }

    /// Reads the file, if there is one, fills in defaults, and checks.
    pub(crate) fn resolve(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => from_file(path)?,
            None => Self::default(),
        };
        let http = self.http.or(file.http).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let http = http.parse().with_context(|| format!("--http {http}: not an address and port"))?;
        let binds = self.sip.or(file.sip).unwrap_or_else(|| vec!["udp:127.0.0.1:5060".to_owned()]);
        let public = self.public_sip.or(file.public_sip).unwrap_or_default();
        let sip = listeners(&binds, &public)?;
        let own = both(
            self.sip_tls_certificate.or(file.sip_tls_certificate),
            self.sip_tls_key.or(file.sip_tls_key),
        )?;
        let client_ca = self.sip_tls_client_ca.or(file.sip_tls_client_ca);
        let auth = self.sip_tls_client_auth.or(file.sip_tls_client_auth);
        let client_auth = client_auth(auth.as_deref(), client_ca.is_some())?;
        let target_ca = self.sip_tls_ca.or(file.sip_tls_ca);
        let sim = self.sim.or(file.sim).unwrap_or(false);
        let sim_carrier = self.sim_carrier.or(file.sim_carrier);
        if sim_carrier.is_some() && !sim {
            bail!("--sim-carrier: without --sim there is no simulated carrier");
        }
        if sim && !self.sim_exposed.or(file.sim_exposed).unwrap_or(false) {
            check_loopback(http, &sip)?;
        }
        let mut issuers = file.issuers;
        issuers.extend(self.issuers);
        issuers.extend(self.issuer.as_deref().map(identity::from_json).transpose()?);
        let private = self.outgoing_private.or(file.outgoing_private);
        let sip_private = self.sip_private.or(file.sip_private);
        let open = sim || sip.iter().all(|one| one.bind.ip().to_canonical().is_loopback());
        let sources = self.twilio_sources.or(file.twilio_sources);
        Ok(Settings {
            twilio_url: self.twilio_url.or(file.twilio_url).map(url_of).transpose()?,
            twilio_sources: sources.map(|texts| rules_of(&texts)).transpose()?,
            // Where HTTP listens says nothing: behind a proxy on the same machine that is loopback, and its tenants are the world.
            outgoing_private: private_of(("--outgoing-private", private.as_deref()), sim)?,
            // SIP on loopback alone serves this machine, whose agents are there too; decision 0026.
            sip_private: private_of(("--sip-private", sip_private.as_deref()), open)?,
            http,
            issuers: identity::check(issuers)?,
            sip,
            sip_dns: self.sip_dns.or(file.sip_dns).map(|text| dns_of(&text)).transpose()?,
            hep: self.hep.or(file.hep).map(hep_of).transpose()?,
            sip_tls: TlsSettings { own, client_auth, client_ca, target_ca },
            sim,
            sim_seed: self.sim_seed.or(file.sim_seed).unwrap_or(1),
            sim_carrier,
            sip_threads: threads_of(self.sip_threads.or(file.sip_threads))?,
            store: store_of(self.store.or(file.store)),
            data: self.data.or(file.data),
            journal_max: journal_of(self.journal_megabytes.or(file.journal_megabytes))?,
            secret_key_file: self.secret_key_file.or(file.secret_key_file),
            secret_key: self.secret_key.or(file.secret_key),
            admin_key: self.admin_key.or(file.admin_key).filter(|key| !key.is_empty()),
            drain: Duration::from_secs(self.drain_seconds.or(file.drain_seconds).unwrap_or(10)),
        })
    }
}

/// What was said, by which flag; else whether it is open by itself: a simulation is, whose receivers are beside it.
fn private_of((flag, said): (&str, Option<&str>), open: bool) -> anyhow::Result<Private> {
    let by_default = if open { Private::Allowed } else { Private::Denied };
    said.map_or(Ok(by_default), |said| {
        Private::parse(said).with_context(|| format!("{flag} {said}: must be allow or deny"))
    })
}

/// What was said; else one for each core, within the bound.
fn threads_of(said: Option<usize>) -> anyhow::Result<NonZero<usize>> {
    let Some(count) = said else {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        return Ok(NonZero::new(cores.min(SIP_THREADS_MAX)).unwrap_or(NonZero::<usize>::MIN));
    };
    let within = NonZero::new(count).filter(|_| count <= SIP_THREADS_MAX);
    within.with_context(|| format!("--sip-threads {count}: must be 1 to {SIP_THREADS_MAX}"))
}

/// A certificate and its key, or neither.
fn both(certificate: Option<PathBuf>, key: Option<PathBuf>) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => bail!("--sip-tls-certificate needs --sip-tls-key"),
        (None, Some(_)) => bail!("--sip-tls-key needs --sip-tls-certificate"),
    }
}

/// An address; port 53 where none is written.
fn dns_of(text: &str) -> anyhow::Result<SocketAddr> {
    let address = text.parse::<std::net::IpAddr>().map(|address| SocketAddr::new(address, 53));
    address.or_else(|_| text.parse()).with_context(|| format!("--sip-dns {text}: not an address"))
}

/// A host with its port.
fn hep_of(text: String) -> anyhow::Result<String> {
    match domain::target::host_and_port(&text) {
        Some((_, Some(_))) => Ok(text),
        Some((_, None)) | None => bail!("--hep {text}: must be HOST:PORT"),
    }
}

fn client_auth(said: Option<&str>, authorities: bool) -> anyhow::Result<ClientAuth> {
    let Some(said) = said else {
        return Ok(if authorities { ClientAuth::Allow } else { ClientAuth::Off });
    };
    let named = ClientAuth::NAMES.iter().find(|(_, name)| *name == said).map(|(auth, _)| *auth);
    let auth =
        named.with_context(|| format!("--sip-tls-client-auth {said}: must be off, allow or require"))?;
    if auth != ClientAuth::Off && !authorities {
        bail!("--sip-tls-client-auth {said} needs --sip-tls-client-ca");
    }
    Ok(auth)
}

fn url_of(text: String) -> anyhow::Result<String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text);
    }
    bail!("--twilio-url {text}: begin with http:// or https://")
}

fn rules_of(texts: &[String]) -> anyhow::Result<Vec<AddressRule>> {
    let read = |text: &String| {
        AddressRule::parse(text)
            .with_context(|| format!("--twilio-sources {text}: not an address or a range"))
    };
    texts.iter().map(read).collect()
}

fn store_of(said: Option<String>) -> StoreUrl {
    StoreUrl::new(said.unwrap_or_else(|| "sqlite:./trunkline.db".to_owned()))
}

fn journal_of(said: Option<u64>) -> anyhow::Result<u64> {
    let megabytes = said.unwrap_or(JOURNAL_MEGABYTES);
    let within = (1..=JOURNAL_MEGABYTES_MAX).contains(&megabytes);
    if within {
        Ok(megabytes << 20)
    } else {
        bail!("--journal-megabytes {megabytes}: must be 1 to {JOURNAL_MEGABYTES_MAX}")
    }
}

fn from_file(path: &Path) -> anyhow::Result<ServeArgs> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--config {}", path.display()))?;
    // The reader's own words show the line, which may be the one with a password.
    toml::from_str(&text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
        anyhow::anyhow!("--config {}: line {line}: {}", path.display(), error.message())
    })
}

/// A simulation is no service: its clock goes where it is told, and its calls and money are nobody's.
fn check_loopback(http: SocketAddr, sip: &[SipListener]) -> anyhow::Result<()> {
    let mut all = sip.iter().map(|l| ("--sip", l.bind)).chain([("--http", http)]);
    if let Some((flag, address)) = all.find(|(_, address)| !address.ip().is_loopback()) {
        bail!(
            "{flag} {address}: a simulation listens on loopback only; --sim-exposed allows other addresses"
        );
    }
    Ok(())
}

/// Pairs each listener with what the world calls it.
fn listeners(binds: &[String], public: &[String]) -> anyhow::Result<Vec<SipListener>> {
    if !public.is_empty() && public.len() != binds.len() {
        bail!("--public-sip: give one for each --sip ({} and {} were given)", public.len(), binds.len());
    }
    let mut listeners = Vec::with_capacity(binds.len());
    for (index, bind) in binds.iter().enumerate() {
        let (transport, address) = transport_and_rest(bind)
            .with_context(|| format!("--sip {bind}: begin with udp:, tcp:, tls:, ws: or wss:"))?;
        let bind: SocketAddr =
            address.parse().with_context(|| format!("--sip {bind}: not an address and port"))?;
        let public = match public.get(index) {
            Some(text) => public_of(text, transport)?,
            None if bind.ip().is_unspecified() => {
                bail!("--sip {address} listens on every address: say with --public-sip how others reach it")
            }
            None => (bind.ip().to_string(), bind.port()),
        };
        listeners.push(SipListener { transport, bind, public });
    }
    if listeners.is_empty() {
        bail!("--sip: at least one listener is needed");
    }
    Ok(listeners)
}

/// `udp:rest`, and so on.
pub(crate) fn transport_and_rest(text: &str) -> Option<(sip::Transport, &str)> {
    let (name, rest) = text.split_once(':')?;
    sip::Transport::ALL.into_iter().find(|one| one.name() == name).map(|one| (one, rest))
}

fn public_of(text: &str, transport: sip::Transport) -> anyhow::Result<(String, u16)> {
    let rest = match transport_and_rest(text) {
        Some((named, rest)) if named == transport => rest,
        Some(_) => bail!("--public-sip {text}: its transport is not that of the --sip in the same place"),
        None => text,
    };
    let (host, port) =
        domain::target::host_and_port(rest).with_context(|| format!("--public-sip {text}: not host:port"))?;
    let port = port.with_context(|| format!("--public-sip {text}: the port is missing"))?;
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sip: &[&str], public: &[&str]) -> anyhow::Result<Vec<SipListener>> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        listeners(&own(sip), &own(public))
    }

    #[test]
    fn every_address_needs_a_public_name_and_the_flag_is_said() {
        let error = args(&["udp:0.0.0.0:5060"], &[]).unwrap_err().to_string();
        assert!(error.contains("--public-sip"), "{error}");
        let both = args(
            &["udp:0.0.0.0:5060", "tcp:[::]:5060"],
            &["udp:sip.example.com:5060", "sip.example.com:5062"],
        )
        .unwrap();
        assert_eq!(both[1].public, ("sip.example.com".to_owned(), 5062));
        let web =
            args(&["ws:127.0.0.1:80", "wss:127.0.0.1:443"], &["a.example:80", "wss:a.example:443"]).unwrap();
        assert_eq!([web[0].transport, web[1].transport], [sip::Transport::Ws, sip::Transport::Wss]);
    }

    #[test]
    fn half_listeners_are_refused() {
        for sip in ["5060", "tls:5061", "udp:localhost", "udp:127.0.0.1:x", "smoke:127.0.0.1:1"] {
            assert!(args(&[sip], &[]).is_err(), "{sip}");
        }
        assert!(args(&["udp:127.0.0.1:1"], &["tcp:h:1"]).is_err());
        assert!(args(&["udp:127.0.0.1:1"], &["a:1", "b:2"]).is_err());
    }

    #[test]
    fn a_simulation_stays_on_loopback_unless_told() {
        let with = |text: &str| toml::from_str::<ServeArgs>(text).unwrap().resolve();
        assert!(with("sim = true").unwrap().sim);
        assert!(!with("").unwrap().sim);
        let outside = "http = \"192.0.2.1:80\"";
        assert!(with(outside).is_ok());
        let error = with(&format!("sim = true\n{outside}")).unwrap_err().to_string();
        assert!(error.contains("--http") && error.contains("--sim-exposed"), "{error}");
        let elsewhere = "sim_carrier = \"http://127.0.0.1:1\"";
        assert!(with(&format!("sim = true\n{elsewhere}")).unwrap().sim_carrier.is_some());
        assert!(with(elsewhere).unwrap_err().to_string().contains("--sim"));
        assert!(with("sim = true\nsip = [\"udp:192.0.2.1:5060\"]").is_err());
        assert!(with(&format!("sim = true\nsim_exposed = true\n{outside}")).unwrap().sim);
    }

    #[test]
    fn what_tenants_name_may_be_private_only_where_that_was_said_and_in_a_simulation() {
        let with =
            |text: &str| toml::from_str::<ServeArgs>(text).unwrap().resolve().unwrap().outgoing_private;
        assert_eq!(with("http = \"127.0.0.1:1\""), Private::Denied, "a proxy may stand before it");
        assert_eq!(with("http = \"192.0.2.1:1\""), Private::Denied);
        assert_eq!(with("sim = true"), Private::Allowed);
        assert_eq!(with("sim = true\noutgoing_private = \"deny\""), Private::Denied);
        assert_eq!(with("outgoing_private = \"allow\""), Private::Allowed);
        let error = private_of(("--sip-private", Some("maybe")), true).unwrap_err().to_string();
        assert!(error.contains("--sip-private maybe"), "{error}");
        let (http, sip) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let demo = ServeArgs::embedded("sqlite:x".into(), http, sip, "k".into()).resolve().unwrap();
        assert_eq!((demo.outgoing_private, demo.sip_private), (Private::Allowed, Private::Allowed));
    }

    #[test]
    fn targets_may_be_private_where_sip_is_on_loopback_alone_or_where_that_was_said() {
        let with = |text: &str| toml::from_str::<ServeArgs>(text).unwrap().resolve().unwrap().sip_private;
        for (text, wanted) in [
            ("", Private::Allowed),
            ("http = \"0.0.0.0:80\"", Private::Allowed),
            ("sip = [\"udp:127.0.0.1:1\", \"tcp:[::1]:1\"]", Private::Allowed),
            ("sip = [\"udp:127.0.0.1:1\", \"udp:10.0.0.1:1\"]", Private::Denied),
            ("sip = [\"udp:0.0.0.0:1\"]\npublic_sip = [\"h.example:1\"]", Private::Denied),
            ("sip = [\"udp:192.0.2.1:1\"]\nsip_private = \"allow\"", Private::Allowed),
            ("sip_private = \"deny\"", Private::Denied),
            ("sim = true\nsim_exposed = true\nsip = [\"udp:192.0.2.1:1\"]", Private::Allowed),
        ] {
            assert_eq!(with(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_unknown_setting_in_the_file_is_an_error() {
        assert!(toml::from_str::<ServeArgs>("http = \"127.0.0.1:1\"\nsip = [\"udp:127.0.0.1:2\"]").is_ok());
        assert!(toml::from_str::<ServeArgs>("htttp = \"x\"").is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_shown() {
        let path =
            std::env::temp_dir().join(format!("trunkline-config-{:x}", crate::clock::process_number()));
        std::fs::write(&path, "http = \"127.0.0.1:1\"\nstore = \"postgres://me:secret@host/db\nsip = []\n")
            .unwrap();
        let error = format!("{:#}", from_file(&path).unwrap_err());
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_may_wait_for_the_store_has_bounds() {
        let with = |text: &str| toml::from_str::<ServeArgs>(text).unwrap().resolve();
        assert_eq!(with("").unwrap().journal_max, 1 << 30);
        assert_eq!(with("journal_megabytes = 1").unwrap().journal_max, 1 << 20);
        for wrong in ["journal_megabytes = 0", "journal_megabytes = 1048577"] {
            assert!(with(wrong).unwrap_err().to_string().contains("--journal-megabytes"), "{wrong}");
        }
    }
}
