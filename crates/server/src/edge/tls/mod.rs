//! TLS of SIP (RFC 3261 section 26, RFC 5922): who we say we are, and whom we believe. Not connections: those are
//! `streams`'.
//!
//! The files are read at start, on SIGHUP, and when one of them has changed. What cannot be used is logged and counted, and
//! what was there stays; connections that are up go on under what they began with. TLS 1.2 and 1.3, by ring.

mod names;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock;
pub(super) use names::Names;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Whether callers show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; who has none is a caller like any other.
    Allow,
    /// Who has none is not let in.
    Require,
}

impl ClientAuth {
    /// The ways with their names.
    pub(crate) const NAMES: [(Self, &'static str); 3] =
        [(Self::Off, "off"), (Self::Allow, "allow"), (Self::Require, "require")];
}

/// What is read at start, and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Our certificate with what stands between it and its authority, and its key; PEM.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
    /// Whether callers show certificates.
    pub(crate) client_auth: ClientAuth,
    /// Authorities of callers' certificates.
    pub(crate) client_ca: Option<PathBuf>,
    /// Authorities of targets' certificates, beside those that the machine knows.
    pub(crate) target_ca: Option<PathBuf>,
}

impl TlsSettings {
    fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        own.chain(&self.client_ca).chain(&self.target_ca).map(PathBuf::as_path)
    }

    /// What shows that a file is another one: its time and length. A file that is not there has neither.
    fn stamp(&self) -> Vec<Option<(SystemTime, u64)>> {
        let of = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        };
        self.files().map(of).collect()
    }
}

#[derive(Debug)]
struct Current {
    server: Option<Arc<ServerConfig>>,
    client: Arc<ClientConfig>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Tls {
    settings: TlsSettings,
    current: ArcSwap<Current>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn open(settings: TlsSettings) -> anyhow::Result<Self> {
        metrics::describe_counter!("trunkline_sip_tls_reloads_total", "Certificates read again, by result");
        let current = ArcSwap::from_pointee(read(&settings)?);
        Ok(Self { settings, current })
    }

    /// For connections that come in; none without a certificate.
    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current.load().server.clone()
    }

    /// For connections that we make.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }

    fn reload(&self) {
        let result = match read(&self.settings) {
            Ok(current) => {
                self.current.store(Arc::new(current));
                tracing::info!("the certificates of SIP were read again");
                "ok"
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "new certificates of SIP cannot be used: the former ones stay"
                );
                "failed"
            }
        };
        metrics::counter!("trunkline_sip_tls_reloads_total", "result" => result).increment(1);
    }
}

/// Reads the files again when they have changed, and on SIGHUP.
pub(super) async fn follow(tls: Arc<Tls>) {
    let mut hangup = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(error = %error, "SIGHUP cannot be waited for"),
    };
    let mut stamp = tls.settings.stamp();
    loop {
        let told = tokio::select! {
            _ = hangup.recv() => true,
            () = clock::sleep(LOOK) => false,
        };
        let now = tls.settings.stamp();
        if told || now != stamp {
            stamp = now;
            let tls = Arc::clone(&tls);
            if tokio::task::spawn_blocking(move || tls.reload()).await.is_err() {
                tracing::error!("reading certificates ended in a panic");
            }
        }
    }
}

fn read(settings: &TlsSettings) -> anyhow::Result<Current> {
    let provider = Arc::new(ring::default_provider());
    let own = settings.own.as_ref().map(|(chain, key)| own(chain, key)).transpose()?;
    let server = own.as_ref().map(|own| server(settings, Arc::clone(&provider), own)).transpose()?;
    let client = client(settings, provider, own.as_ref())?;
    Ok(Current { server: server.map(Arc::new), client: Arc::new(client) })
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(chain: &Path, key: &Path) -> anyhow::Result<Own> {
    let chain_read = certificates(chain)?;
    let key_read =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("no private key in {}", key.display()))?;
    Ok((chain_read, key_read))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all = all.with_context(|| format!("cannot read certificates from {}", path.display()))?;
    if all.is_empty() {
        bail!("no certificate in {}", path.display());
    }
    Ok(all)
}

fn authorities(path: &Path, store: &mut RootCertStore) -> anyhow::Result<()> {
    for one in certificates(path)? {
        store.add(one).with_context(|| format!("an authority in {} cannot be used", path.display()))?;
    }
    Ok(())
}

fn server(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    (chain, key): &Own,
) -> anyhow::Result<ServerConfig> {
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match (settings.client_auth, &settings.client_ca) {
        (ClientAuth::Off, _) => builder.with_no_client_auth(),
        (_, None) => {
            bail!("--sip-tls-client-auth needs --sip-tls-client-ca: the authorities of callers' certificates")
        }
        (auth, Some(path)) => {
            let mut roots = RootCertStore::empty();
            authorities(path, &mut roots)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match auth {
                ClientAuth::Require => verifier,
                ClientAuth::Allow | ClientAuth::Off => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    builder
        .with_single_cert(chain.clone(), key.clone_key())
        .context("the certificate and the key of SIP do not fit together")
}

fn client(
    settings: &TlsSettings,
    provider: Arc<CryptoProvider>,
    own: Option<&Own>,
) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let machine = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(machine.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = &settings.target_ca {
        authorities(path, &mut roots)?;
    }
    let verifier = Arc::new(Chain { roots, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match own {
        Some((chain, key)) => Ok(builder.with_client_auth_cert(chain.clone(), key.clone_key())?),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Verifies that a certificate is valid now and of an authority that is known. Whose it is, is looked at when the handshake is
/// over and before anything is sent ([`Names::reach`]): SIP has rules of its own for that (RFC 5922 section 7).
#[derive(Debug)]
struct Chain {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let roots = &self.roots;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &certificate,
            roots,
            intermediates,
            now,
            algorithms,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake that we began failed.
pub(super) fn fault(error: &std::io::Error) -> sip::Fault {
    use rustls::CertificateError as Bad;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                sip::Fault::TlsExpired
            }
            _ => sip::Fault::TlsUntrusted,
        },
        Some(_) | None => sip::Fault::Handshake,
    }
}
