//! The cluster's secret and what is derived from it: keyed BLAKE3 for cookies, Via branches and tags. Two keys live at
//! once, so that a key can be changed while calls are up.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One secret with the number (0 to 15) that cookies name it by.
#[derive(Clone, Copy)]
pub struct Key {
    /// Number of the key, 0 to 15.
    pub id: u8,
    /// The secret.
    pub secret: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The keys in use. Retire the previous one only after the longest allowed call.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Signs.
    pub current: Key,
    /// Verifies only.
    pub previous: Option<Key>,
}

/// Secrets for one purpose each, derived from one [`Key`].
#[derive(Clone)]
pub(crate) struct Derived {
    pub(crate) id: u8,
    pub(crate) cookie: [u8; 32],
    pub(crate) branch: [u8; 32],
    pub(crate) tag: [u8; 32],
}

impl Derived {
    pub(crate) fn new(key: &Key) -> Self {
        Self {
            id: key.id & 15,
            cookie: blake3::derive_key("trunkline 2026 sip dialog cookie", &key.secret),
            branch: blake3::derive_key("trunkline 2026 sip via branch", &key.secret),
            tag: blake3::derive_key("trunkline 2026 sip tags", &key.secret),
        }
    }
}

/// The keys with their derived secrets, current first.
#[derive(Clone)]
pub(crate) struct Ring {
    keys: [Option<Derived>; 2],
}

impl Ring {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { keys: [Some(Derived::new(&keys.current)), keys.previous.as_ref().map(Derived::new)] }
    }

    pub(crate) fn current(&self) -> &Derived {
        let [Some(current), _] = &self.keys else { unreachable!("a ring always has its first key") };
        current
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Derived> {
        self.keys.iter().flatten()
    }

    pub(crate) fn by_id(&self, id: u8) -> Option<&Derived> {
        self.all().find(|key| key.id == id)
    }
}

/// Keyed BLAKE3 over parts, each with its length before it, so that no two lists of parts are the same text.
pub(crate) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut text = [0u8; 256];
    let mut at = 0;
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        let (Some(head), Some(next)) = (text.get_mut(at..at + 2), (at + 2).checked_add(part.len())) else {
            return mac_long(key, parts);
        };
        let [low, high, ..] = length;
        head.copy_from_slice(&[low, high]);
        let Some(body) = text.get_mut(at + 2..next) else { return mac_long(key, parts) };
        body.copy_from_slice(part);
        at = next;
    }
    *blake3::keyed_hash(key, text.get(..at).unwrap_or_default()).as_bytes()
}

fn mac_long(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        let [low, high, ..] = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        hasher.update(&[low, high]);
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Writes base64url without padding into `into`, and says how long it is; nothing where it does not fit.
pub(crate) fn base64url_into(bytes: &[u8], into: &mut [u8]) -> usize {
    URL_SAFE_NO_PAD.encode_slice(bytes, into).unwrap_or_default()
}

/// Appends base64url without padding.
pub(crate) fn base64url(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = [0u8; 192];
    let written = base64url_into(bytes, &mut text);
    out.extend_from_slice(text.get(..written).unwrap_or_default());
}

/// Reads base64url without padding into `into`; `None` when it is not, or does not fit.
pub(crate) fn base64url_read<'b>(text: &[u8], into: &'b mut [u8]) -> Option<&'b [u8]> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, into).ok()?;
    into.get(..length)
}
