//! Engine: who may sign, and what was signed.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::{ManifestError, ManifestErrorKind, wire};
use crate::{
    config::InvalidConfig,
    token::{Rng, RngError},
    wiped::Wiped,
};

/// The public keys whose signatures a host believes, by the id manifests name them by.
///
/// ```
/// use tower_plugin_auth::{SystemRng, admission::manifest::{ManifestKey, TrustedKeys}};
///
/// let key = ManifestKey::generate(&SystemRng)?;
/// let trusted = TrustedKeys::new().with_key("release-2026", &key.public_key())?;
/// assert_eq!(trusted.ids().collect::<Vec<_>>(), ["release-2026"]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TrustedKeys(BTreeMap<Box<str>, VerifyingKey>);

impl TrustedKeys {
    /// The most keys a host may trust.
    pub const MAX: usize = 64;

    /// No key: nothing is believed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes what is signed under this key, too. To replace a key, trust both for a while.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if the id is not 1 to 128 letters, digits, `.`, `_`, `:` and `-`, or known already; if the
    /// key is not one of Ed25519, or one for which everybody can sign; and beyond [`MAX`](Self::MAX) keys.
    pub fn with_key(mut self, id: &str, public_key: &[u8; 32]) -> Result<Self, InvalidConfig> {
        if !is_key_id(id) || self.0.contains_key(id) {
            return Err(INVALID_KEY_ID);
        }
        if self.0.len() == Self::MAX {
            return Err(InvalidConfig::new("trusted_keys", "1 to 64 keys"));
        }
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| INVALID_KEY)?;
        if key.is_weak() {
            return Err(INVALID_KEY);
        }
        self.0.insert(id.into(), key);
        Ok(self)
    }

    /// The ids of all keys, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|id| &**id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn verify(&self, signed: &[u8], block: &Block) -> Result<(), ManifestError> {
        let key = self
            .0
            .get(&block.key_id)
            .ok_or(ManifestErrorKind::UnknownKey)?;
        // Strictly: one message, one key, one signature.
        key.verify_strict(signed, &block.signature)
            .map_err(|_| ManifestErrorKind::BadSignature.into())
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}

/// A private key that signs manifests (Ed25519, RFC 8032). It is wiped when dropped.
///
/// It belongs where plugins are released, never on the host that admits them.
pub struct ManifestKey(SigningKey);

impl ManifestKey {
    /// The length of a seed in bytes.
    pub const LEN: usize = 32;

    /// Draws a key.
    ///
    /// # Errors
    ///
    /// [`RngError`] if there is no randomness.
    pub fn generate(rng: &impl Rng) -> Result<Self, RngError> {
        let mut seed = Wiped::<{ Self::LEN }>::zeros();
        rng.fill(&mut *seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key with this seed, the private key of RFC 8032.
    #[must_use]
    pub fn from_seed(seed: &[u8; Self::LEN]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The secret itself, to be kept. Do not log it.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; Self::LEN] {
        self.0.as_bytes()
    }

    /// What hosts need to know to believe it.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(super) fn sign(
        &self,
        key_id: &str,
        signed: &[u8],
    ) -> Result<wire::Signature, ManifestError> {
        if !is_key_id(key_id) {
            return Err(ManifestErrorKind::InvalidField(INVALID_KEY_ID).into());
        }
        Ok(wire::Signature {
            algorithm: Some(ALGORITHM.to_owned()),
            key_id: Some(key_id.to_owned()),
            signature: Some(STANDARD.encode(self.0.sign(signed).to_bytes())),
        })
    }
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestKey").finish_non_exhaustive()
    }
}

/// A signature as a document has it.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) key_id: Box<str>,
    signature: Signature,
}

impl Block {
    pub(super) fn read(wire: wire::Signature) -> Result<Self, ManifestError> {
        let algorithm = wire
            .algorithm
            .ok_or_else(|| ManifestError::missing("signature.algorithm"))?;
        if algorithm != ALGORITHM {
            return Err(ManifestErrorKind::UnsupportedAlgorithm.into());
        }
        let key_id = wire
            .key_id
            .ok_or_else(|| ManifestError::missing("signature.key_id"))?;
        if !is_key_id(&key_id) {
            return Err(ManifestErrorKind::UnknownKey.into());
        }
        let signature = wire
            .signature
            .ok_or_else(|| ManifestError::missing("signature.signature"))?;
        let bytes = STANDARD
            .decode(signature)
            .map_err(|_| ManifestErrorKind::BadSignature)?;
        let signature =
            Signature::from_slice(&bytes).map_err(|_| ManifestErrorKind::BadSignature)?;
        Ok(Self {
            key_id: key_id.into(),
            signature,
        })
    }
}

fn is_key_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=128).contains(&id.len()) && id.bytes().all(allowed)
}

const ALGORITHM: &str = "ed25519";

const INVALID_KEY: InvalidConfig = InvalidConfig::new(
    "trusted_keys",
    "32 bytes each, of a sound Ed25519 public key",
);
const INVALID_KEY_ID: InvalidConfig = InvalidConfig::new(
    "key_id",
    "1 to 128 letters, digits, '.', '_', ':' and '-', and unique",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_which_everybody_can_sign_are_not_trusted() {
        let sound = ManifestKey::from_seed(&[1; 32]).public_key();
        // The neutral element, and a point of order two: both of small order.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut order_two = [0xFF; 32];
        order_two[0] = 0xEC;
        order_two[31] = 0x7F;
        for (id, key, field) in [
            ("weak", neutral, "trusted_keys"),
            ("weak", order_two, "trusted_keys"),
            ("", sound, "key_id"),
            ("two words", sound, "key_id"),
            (&"k".repeat(129), sound, "key_id"),
        ] {
            let error = TrustedKeys::new().with_key(id, &key).unwrap_err();
            assert_eq!(error.field(), field, "{id}");
        }
        let one = TrustedKeys::new().with_key("a", &sound).unwrap();
        assert_eq!(one.with_key("a", &sound).unwrap_err().field(), "key_id");
        let many = (0..64).try_fold(TrustedKeys::new(), |keys, n| {
            keys.with_key(&n.to_string(), &sound)
        });
        assert!(many.unwrap().with_key("65th", &sound).is_err());
    }

    #[test]
    fn a_key_is_that_of_rfc_8032() {
        // Section 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let bytes: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let key = ManifestKey::from_seed(&bytes.try_into().unwrap());
        let hex: String = key.public_key().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex, public);
        assert_eq!(format!("{key:?}"), "ManifestKey { .. }");
    }
}
