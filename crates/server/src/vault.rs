//! Secrets: the one key they hang on, sealing at rest, and the hashes of API keys.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::key::KeyHash;
use domain::provider::{Credentials, Sealed};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::io::Write;
use std::path::Path;
use zeroize::Zeroizing;

use crate::clock;

/// The first byte of everything sealed: which key and which form.
const ENVELOPE: u8 = 1;
const NONCE: usize = 24;

/// Holds the installation's secret key and the keys derived from it.
#[derive(Clone)]
pub(crate) struct Vault {
    cipher: XChaCha20Poly1305,
    keys: Hmac<Sha256>,
    master: Zeroizing<[u8; 32]>,
}

impl Vault {
    /// From the 32 bytes of the secret key.
    pub(crate) fn new(master: [u8; 32]) -> Self {
        let master = Zeroizing::new(master);
        let cipher = XChaCha20Poly1305::new(&derived(&master, "seal").into());
        let keys =
            Hmac::<Sha256>::new_from_slice(&derived(&master, "keys")).expect("HMAC takes any key length");
        Self { cipher, keys, master }
    }

    /// From base64 text.
    pub(crate) fn from_text(text: &str) -> anyhow::Result<Self> {
        let bytes = STANDARD.decode(text.trim()).or_else(|_| URL_SAFE_NO_PAD.decode(text.trim()));
        let bytes = bytes.context("the secret key is not base64")?;
        let master: [u8; 32] = bytes.try_into().ok().context("the secret key must be 32 bytes in base64")?;
        Ok(Self::new(master))
    }

    /// From a file, which is made (readable by its owner only) if it is not there.
    pub(crate) fn from_file(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_text(&text).with_context(|| format!("in {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let master: [u8; 32] = clock::random();
                write_private(path, &STANDARD.encode(master))
                    .with_context(|| format!("cannot write the secret key to {}", path.display()))?;
                Ok(Self::new(master))
            }
            Err(error) => bail!("cannot read the secret key {}: {error}", path.display()),
        }
    }

    /// The key of the call path's dialog cookies: the same on every node that shares the secret.
    pub(crate) fn cookie_key(&self) -> [u8; 32] {
        derived(&self.master, "cookie")
    }

    /// The key of the draw by which callers are shared among endpoints: the same on every node that shares the secret.
    pub(crate) fn split_key(&self) -> [u8; 32] {
        derived(&self.master, "split")
    }

    /// What is stored of an API key's secret.
    pub(crate) fn key_hash(&self, secret: &str) -> KeyHash {
        KeyHash(self.mac(&[secret.as_bytes()]))
    }

    /// A keyed hash over several parts, each with its length, so that no two lists of parts give one hash.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keys.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Encrypts; `about` (a row's id) is bound to it, so that a secret cannot be moved to another row.
    pub(crate) fn seal(&self, clear: &[u8], about: &[u8]) -> Sealed {
        let nonce: [u8; NONCE] = clock::random();
        let payload = Payload { msg: clear, aad: about };
        let body = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("memory for the ciphertext");
        let mut out = Vec::with_capacity(1 + NONCE + body.len());
        out.push(ENVELOPE);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        Sealed(out)
    }

    /// Decrypts; `None` where the key, the row or the bytes are not the ones it was sealed with.
    pub(crate) fn open(&self, sealed: &Sealed, about: &[u8]) -> Option<Vec<u8>> {
        let (&envelope, rest) = sealed.0.split_first()?;
        if envelope != ENVELOPE || rest.len() < NONCE {
            return None;
        }
        let (nonce, body) = rest.split_at(NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: body, aad: about }).ok()
    }

    /// The name and the password by which the provider with this id is let out by its account: the same on every node and at every
    /// repeat, since the carrier is told them before they are kept here. The password has what carriers ask of one: both cases
    /// and a digit.
    pub(crate) fn way_out_login(&self, about: &[u8]) -> (String, String) {
        let name = self.mac(&[b"way out name", about]);
        let password = URL_SAFE_NO_PAD.encode(self.mac(&[b"way out password", about]));
        (format!("tl{}", hex(&name[..8])), format!("Tl1{}", password.replace(['-', '_'], "x")))
    }

    /// Fresh SIP credentials for the number with this id.
    pub(crate) fn sip_credentials(&self, about: &[u8]) -> Credentials {
        let name: [u8; 6] = clock::random();
        let password: [u8; 18] = clock::random();
        let username = format!("tl{}", hex(&name));
        Credentials { username, password: self.seal(URL_SAFE_NO_PAD.encode(password).as_bytes(), about) }
    }
}

/// 32 random bytes as text without punctuation that a shell or a URL would mind.
pub(crate) fn random_secret() -> String {
    let bytes: [u8; 32] = clock::random();
    URL_SAFE_NO_PAD.encode(bytes).replace(['-', '_'], "x")
}

/// Reads a key's hash from a file; `None` where there is no file.
pub(crate) fn read_hash(path: &Path) -> anyhow::Result<Option<KeyHash>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!("cannot read {}: {error}", path.display()),
    };
    let hash = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    let hash = hash.with_context(|| {
        format!("{} does not hold a key's hash; remove it to make a new key", path.display())
    })?;
    Ok(Some(KeyHash(hash)))
}

/// Writes a key's hash to a new file that only its owner can read.
pub(crate) fn write_hash(path: &Path, hash: &KeyHash) -> std::io::Result<()> {
    write_private(path, &STANDARD.encode(hash.0))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

fn derived(master: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(master).expect("HMAC takes any key length");
    mac.update(b"trunkline ");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_where_it_was_sealed() {
        let vault = Vault::new([7; 32]);
        let sealed = vault.seal(b"secret", b"row 1");
        assert_eq!(vault.open(&sealed, b"row 1").as_deref(), Some(&b"secret"[..]));
        assert_eq!(vault.open(&sealed, b"row 2"), None);
        assert_eq!(Vault::new([8; 32]).open(&sealed, b"row 1"), None);
        let mut torn = sealed;
        torn.0.truncate(10);
        assert_eq!(vault.open(&torn, b"row 1"), None);
    }

    #[test]
    fn the_login_of_a_way_out_is_the_same_each_time_and_another_for_each() {
        let (one, other) = (Vault::new([7; 32]), Vault::new([8; 32]));
        assert_eq!(one.way_out_login(b"1"), one.way_out_login(b"1"));
        assert_ne!(one.way_out_login(b"1"), one.way_out_login(b"2"));
        assert_ne!(one.way_out_login(b"1"), other.way_out_login(b"1"));
        let (name, password) = one.way_out_login(b"1");
        assert_eq!((name.len(), password.len()), (18, 46));
        assert!(password.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn parts_are_told_apart() {
        let vault = Vault::new([7; 32]);
        assert_ne!(vault.mac(&[b"ab", b"c"]), vault.mac(&[b"a", b"bc"]));
    }
}
