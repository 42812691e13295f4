//! An issuer's public keys, as a JSON Web Key Set (RFC 7517) gives them. What a key may verify is read from the key; a token's
//! header chooses among that and can add nothing.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// The largest key set, in bytes; those of the large providers have some tens of thousands.
pub(super) const SET_MAX: usize = 256 * 1024;
/// The most keys of a set.
const KEYS_MAX: usize = 64;
/// What an RSA modulus has in bytes: 2048 bits are the least that RFC 7518 section 3.3 allows, 4096 the most that is verified.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// The largest public exponent, in bytes; all real ones are 65537.
const EXPONENT_MAX: usize = 4;

/// One key that verifies.
#[derive(Clone)]
pub(super) struct VerifyingKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// The keys of an issuer at one time.
pub(super) struct KeySet {
    keys: Vec<VerifyingKey>,
    /// The set as it was read: another text is another set.
    text: Vec<u8>,
    /// Counts the sets of the issuer: what was verified with an older one is verified again.
    pub(super) generation: u64,
}

impl KeySet {
    /// Reads a set. Keys that cannot verify (for encryption, of other kinds, too small) are passed over; a set that has no others
    /// is a set of none: an issuer that empties its set takes back all that it signed.
    pub(super) fn read(text: Vec<u8>, generation: u64) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(&text).map_err(|error| format!("not JSON: {error}"))?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or("no list `keys`")?;
        if listed.len() > KEYS_MAX {
            return Err(format!("more than {KEYS_MAX} keys"));
        }
        let keys = listed.iter().filter_map(verifying).collect();
        Ok(Self { keys, text, generation })
    }

    /// Whether a text is the one that this set was read from.
    pub(super) fn is_of(&self, text: &[u8]) -> bool {
        self.text == text
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that a token names and that may verify its algorithm. A token that names none is verified where only one key
    /// could have signed it: trying them all would be work that a stranger sets us.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&VerifyingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

fn verifying(value: &Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|u| *u == PublicKeyUse::Signature);
    let verifies = jwk
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let fitting = algorithms_of(&jwk.algorithm);
    let algorithms = match jwk.common.key_algorithm {
        None => fitting.to_vec(),
        Some(only) => {
            let only = Algorithm::try_from(only).ok()?;
            fitting.iter().copied().filter(|fits| *fits == only).collect()
        }
    };
    if !for_signatures || !verifies || algorithms.is_empty() || !is_sized(&jwk.algorithm) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(VerifyingKey { id: jwk.common.key_id, algorithms, key })
}

/// What a kind of key can verify. A shared secret is no public key: it verifies nothing here.
fn algorithms_of(parameters: &AlgorithmParameters) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    }
}

fn is_sized(parameters: &AlgorithmParameters) -> bool {
    let AlgorithmParameters::RSA(rsa) = parameters else { return true };
    let bytes = |text: &str| super::token::decoded(text).unwrap_or_default();
    // Leading zeros are no size.
    let length = |bytes: Vec<u8>| bytes.iter().skip_while(|byte| **byte == 0).count();
    MODULUS.contains(&length(bytes(&rsa.n))) && (1..=EXPONENT_MAX).contains(&length(bytes(&rsa.e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    fn rsa(id: &str, bytes: usize) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![0xC3; bytes]);
        json!({"kty": "RSA", "kid": id, "n": n, "e": "AQAB"})
    }

    fn set(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::read(json!({ "keys": keys }).to_string().into_bytes(), 1)
    }

    #[test]
    fn a_key_says_what_it_verifies() {
        let mut only = rsa("b", 256);
        only["alg"] = json!("RS256");
        let keys = set(&[rsa("a", 256), only]).unwrap();
        assert!(keys.find(Some("a"), Algorithm::PS384).is_some());
        assert!(keys.find(Some("b"), Algorithm::RS256).is_some());
        assert!(keys.find(Some("b"), Algorithm::PS256).is_none());
        assert!(keys.find(Some("a"), Algorithm::HS256).is_none(), "a public key is no shared secret");
        assert!(keys.find(Some("a"), Algorithm::ES256).is_none());
        assert!(keys.find(Some("c"), Algorithm::RS256).is_none());
        assert!(keys.find(None, Algorithm::RS256).is_none(), "two could have signed it");
        assert!(keys.find(None, Algorithm::RS512).is_some());
    }

    #[test]
    fn keys_for_other_things_are_passed_over_and_sets_are_bounded() {
        let encryption = json!({"use": "enc"});
        let mut sealed = rsa("a", 256);
        sealed["use"] = encryption["use"].clone();
        let shared = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"});
        let unsized_exponent = {
            let mut key = rsa("e", 256);
            key["e"] = json!("AQABAQABAQAB");
            key
        };
        for keys in [
            vec![],
            vec![sealed],
            vec![shared],
            vec![rsa("a", 128)],
            vec![rsa("a", 1_024)],
            vec![unsized_exponent],
        ] {
            assert_eq!(set(&keys).unwrap().len(), 0, "{keys:?}");
        }
        assert_eq!(set(&[json!("junk"), json!({"kty": "?"}), rsa("a", 512)]).unwrap().len(), 1);
        assert!(set(&vec![rsa("a", 256); KEYS_MAX + 1]).is_err());
        for text in ["[]", "{}", "", "{\"keys\": {}}", "{\"keys\": null}"] {
            assert!(KeySet::read(text.into(), 1).is_err(), "no set: {text}");
        }
    }
}
